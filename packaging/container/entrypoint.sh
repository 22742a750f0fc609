#!/bin/sh
# Serves one mount for as long as the container lives; arguments are options of `arrayfs mount`.
set -eu

dir=${ARRAYFS_DIR:-/shared/arrays}
mkdir -p -- "$dir" 2>/dev/null || true # where a daemon died mkdir sees nothing; mounting cleans it up
parent=$(dirname -- "$dir")
propagation=$(findmnt -no PROPAGATION -T "$parent" | tail -n 1)
case $propagation in
  shared*) ;;
  *)
    echo "entrypoint.sh: what is mounted in $parent (${propagation:-nothing}) nobody outside sees;" \
      "run with -v DIR:$parent:rshared" >&2
    exit 1
    ;;
esac
exec arrayfs mount "$dir" --foreground "$@"

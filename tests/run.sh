#!/bin/sh
# Installs what is missing, builds, and runs every test; ctest's summary comes last.
#   run.sh [--preset release|dev|asan-ubsan|tsan|clang|coverage] [--languages] [--sanitizers]
#   run.sh --packaging    instead: packaging/test.sh, with a second build
# Clients of arrays run in the languages that are installed, and the others are named; --languages
# installs all of them, and then a missing one is a failure. With --sanitizers the tests of the mount
# run with daemons under AddressSanitizer and ThreadSanitizer, too.
set -eu

preset=release
languages=
sanitizers=
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=${2:?"--preset: give a name from CMakePresets.json"}; shift ;;
    --languages) languages=all ;;
    --sanitizers) sanitizers="asan-ubsan tsan" ;;
    --packaging) exec "$(dirname "$0")/../packaging/test.sh" --twice ;;
    *) echo "usage: run.sh [--preset NAME] [--languages] [--sanitizers] | --packaging" >&2; exit 2 ;;
  esac
  shift
done
cd "$(dirname "$0")/.."

# Tests put everything below TMPDIR and begin the names of their stores with its name.
TMPDIR=$(mktemp -d /tmp/arrayfs-test-XXXXXX)
chmod 755 "$TMPDIR"
export TMPDIR
clean_up() {
  run=$(basename "$TMPDIR")
  # The last mounted first; a daemon ends with its mount.
  awk -v run="$run" 'index($5, run) { print $5 }' /proc/self/mountinfo | tac | while read -r point; do
    umount -f -l "$point" || fusermount3 -u -z "$point"
  done
  rm -rf --one-file-system "$TMPDIR" "/run/arrayfs/$run"* /dev/shm/arrayfs-*/"$run"* "/dev/shm/$run"*
}
trap clean_up EXIT
trap 'exit 130' INT TERM

mount-scripts/packages.sh test
clients() { python3 -B tests/languages/clients.py "$@"; }
# shellcheck disable=SC2046  # lists of words
mount-scripts/packages.sh test $(clients packages $languages) ||
  [ -z "$languages" ]  # otherwise those that could not be installed are missing, no more
if [ -n "$languages" ]; then
  clients modules
  export ARRAYFS_ALL_LANGUAGES=1
fi
for sanitizer in $sanitizers; do
  cmake --preset "$sanitizer"
  cmake --build --preset "$sanitizer" --target arrayfs
done
mkdir "$TMPDIR/reports"
cmake --preset "$preset" -DARRAYFS_TESTS=ON \
  -DARRAYFS_SANITIZED="$(echo "$sanitizers" | tr ' ' ';')" \
  -DARRAYFS_SANITIZER_REPORTS="$TMPDIR/reports"
cmake --build --preset "$preset"
clients missing
ctest --preset "$preset" -j "$(nproc)"

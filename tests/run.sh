#!/bin/sh
# Installs what is missing, builds, and runs every test; ctest's summary comes last. The tests of the
# mount run with daemons under AddressSanitizer and ThreadSanitizer, too.
#   run.sh [--preset release|dev|asan-ubsan|tsan|clang|coverage]
#   run.sh --packaging    instead: packaging/test.sh, with a second build
set -eu

preset=release
case ${1-} in
  "") ;;
  --preset) preset=${2:?"--preset: give a name from CMakePresets.json"} ;;
  --packaging) exec "$(dirname "$0")/../packaging/test.sh" --twice ;;
  *) echo "usage: run.sh [--preset NAME | --packaging]" >&2; exit 2 ;;
esac
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
sanitized=
if [ "$preset" = release ]; then
  sanitized="asan-ubsan;tsan"
  for sanitizer in asan-ubsan tsan; do
    cmake --preset "$sanitizer"
    cmake --build --preset "$sanitizer" --target arrayfs
  done
fi
mkdir "$TMPDIR/reports"
cmake --preset "$preset" -DARRAYFS_TESTS=ON \
  -DARRAYFS_SANITIZED="$sanitized" -DARRAYFS_SANITIZER_REPORTS="$TMPDIR/reports"
cmake --build --preset "$preset"
ctest --preset "$preset" -j "$(nproc)"

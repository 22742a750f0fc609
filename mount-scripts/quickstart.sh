#!/bin/sh
# From a checkout to an array that processes share: installs what is missing, builds, mounts, fills
# an array from four processes and shows it.
#   quickstart.sh [DIR]    default: /mnt/arrays for root, ~/arrays for others
set -eu

if [ "$(id -u)" = 0 ]; then
  arrays=${1:-/mnt/arrays}
else
  arrays=${1:-$HOME/arrays}
fi
cd "$(dirname "$0")/.."

mount-scripts/packages.sh build
cmake --preset release -DARRAYFS_TESTS=OFF
cmake --build --preset release

PATH=$PWD/build/release/bin:$PATH
# The python3 that comes first on PATH may be one without NumPy.
python=python3
! /usr/bin/python3 -c "import numpy" 2>/dev/null || python=/usr/bin/python3

if ! arrayfs status "$arrays" >/dev/null 2>&1; then
  # A mount whose daemon died is a directory that mkdir cannot see; mounting cleans it up.
  mkdir -p "$arrays" 2>/dev/null || true
  arrayfs mount "$arrays"
fi

show() {
  printf '\n$ %s\n' "$*"
  "$@"
}
show $python tests/languages/python/populate.py "$arrays/populate.npy"
show arrayfs ls "$arrays"
show cat "$arrays/.arrayfs/info/populate.npy"

cat <<NEXT

The array stays until it is removed. Next:
  export PATH=$PWD/build/release/bin:\$PATH
  $python -c "import numpy as np; a = np.load('$arrays/populate.npy', mmap_mode='r+'); a[0, 0] = 7"
  arrayfs info $arrays/populate.npy
  arrayfs create $arrays/images.npy float32 60000,28,28
  cat $arrays/.arrayfs/README
  arrayfs umount $arrays
NEXT

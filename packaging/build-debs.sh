#!/bin/sh
# Builds the Debian packages of this tree, in a copy of it.
#   build-debs.sh DIR    puts them there
set -eu

mkdir -p "${1:?"usage: build-debs.sh DIR"}"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/arrayfs-debs-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

mkdir "$work/arrayfs"
cp -a CMakeLists.txt LICENSE README.md fs libshm mount-scripts packaging tests "$work/arrayfs"
cp -a packaging/debian "$work/arrayfs/debian"
find "$work/arrayfs" -name __pycache__ -exec rm -rf {} +
# Packages of debugging symbols, forty times as large, are built where somebody asks for them.
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-noautodbgsym}"
(cd "$work/arrayfs" && dpkg-buildpackage --build=binary --no-sign --jobs="$(nproc)")
mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$target"

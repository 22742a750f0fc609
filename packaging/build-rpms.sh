#!/bin/sh
# Builds the rpm packages of this tree, in a copy of it.
#   build-rpms.sh DIR    puts them there
set -eu

mkdir -p "${1:?"usage: build-rpms.sh DIR"}"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/arrayfs-rpms-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

version=$(sed -n 's/^Version: *//p' packaging/rpm/arrayfs.spec)
mkdir "$work/SOURCES"
tar -czf "$work/SOURCES/arrayfs-$version.tar.gz" --exclude=__pycache__ --transform "s,^,arrayfs-$version/," \
  CMakeLists.txt LICENSE README.md fs libshm mount-scripts packaging
nodeps=
[ -e /etc/redhat-release ] || nodeps=--nodeps # what is needed has other names there
rpmbuild -bb $nodeps --define "_topdir $work" packaging/rpm/arrayfs.spec
find "$work/RPMS" -name '*.rpm' -exec mv {} "$target" \;

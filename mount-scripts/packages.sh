#!/bin/sh
# The Debian packages that arrayfs needs, and their installation where they are missing.
#   packages.sh build                  to build and run
#   packages.sh test [PACKAGE ...]     to test, too, and these besides
set -eu

build="g++ cmake ninja-build pkg-config libfuse3-dev fuse3 xtl-dev libspdlog-dev libcli11-dev
  nlohmann-json3-dev libexpected-dev libcap-ng-dev libxxhash-dev libpng-dev zlib1g-dev
  libncurses-dev python3 python3-numpy util-linux"
test="libgtest-dev libgmock-dev libbenchmark-dev attr acl jq python3-hypothesis python3-zarr python3-pil
  python3-joblib python3-matplotlib python3-prometheus-client fish zsh shellcheck man-db systemd
  clang clang-format clang-tidy
  libclang-rt-14-dev"

case ${1-} in
  build) wanted=$build ;;
  test) shift; wanted="$build $test $*" ;;
  *) echo "usage: packages.sh build | test [PACKAGE ...]" >&2; exit 2 ;;
esac

missing=
for package in $wanted; do
  case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>&1) in
    ii*) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=
elif sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  echo "packages.sh: not root, so these are not installed and may be missed:$missing" >&2
  exit 0
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086  # lists of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing

#!/bin/sh
# What `cmake --install` gives: builds the examples by pkg-config and by find_package, runs them, and
# looks at what the shared library exports.
#   package_test.sh BUILD_DIRECTORY
set -eu

build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/libshm-package-XXXXXX")
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" --component libshm >"$work/install.log"
pc=$(find "$prefix" -name libshm.pc)
lib=$(dirname "$(dirname "$pc")")
# The prefix is that of configuring; here it is another.
pkg_config() { PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$prefix" "$@" libshm; }
export LD_LIBRARY_PATH="$lib"

fail() { echo "package_test.sh: $*" >&2; exit 1; }

# Headers: C99 without extensions, C++, and each C++ header alone.
echo '#include <shm/shm.h>' >"$work/c99.c"
# shellcheck disable=SC2046  # lists of words
cc -std=c99 -pedantic -Wall -Wextra -Werror $(pkg_config --cflags) -c "$work/c99.c" -o "$work/c99.o"
for header in "$prefix"/include/shm/*; do
  echo "#include <shm/${header##*/}>" >"$work/alone.cpp"
  # shellcheck disable=SC2046
  c++ -std=c++20 -Wall -Wextra -Wpedantic -Werror $(pkg_config --cflags) -fsyntax-only "$work/alone.cpp"
done

# The examples, by pkg-config.
# shellcheck disable=SC2046
cc -std=c99 -pedantic -Wall -Wextra -Werror "$here/coordinate.c" $(pkg_config --cflags --libs) -o "$work/coordinate"
# shellcheck disable=SC2046
c++ -std=c++20 "$here/views.cpp" $(pkg_config --cflags --libs) -o "$work/views"
check() {
  rm -f "$work"/w.npy* "$work"/.w.npy*
  (cd "$work" && "$1/coordinate" w.npy) >"$work/c.out"
  cat >"$work/c.expected" <<END
<f4 (4, 4) 7 4, generation 1
item 0: 0x1010101
the ring is empty: Device or resource busy
missing.npy: No such file or directory
END
  diff "$work/c.expected" "$work/c.out" || fail "coordinate.c says something else"
  "$1/views" "$work/v.npy" >"$work/views.out"
  grep -q '^5 of 12$' "$work/views.out" || fail "views.cpp says something else"
  grep -q '^(5, 4) libshm ' "$work/views.out" || fail "views.cpp says something else"
}
check "$work"
readelf -d "$work/coordinate" | grep -q 'libshm.so.1' || fail "not linked by the soname"

# The same by find_package.
cmake -S "$here/package" -B "$work/package" -DCMAKE_PREFIX_PATH="$prefix" >"$work/configure.log"
cmake --build "$work/package" >"$work/build.log" || { cat "$work/build.log"; fail "find_package"; }
check "$work/package"

# Exactly the functions of shm.h, all of version LIBSHM_1.
nm -D --defined-only "$lib/libshm.so" | awk '$2 == "T" { print $3 }' | sort >"$work/exported"
grep -o '\bshm_[a-z_]*(' "$prefix/include/shm/shm.h" | tr -d '(' | grep -v '^shm_last_error()$' | sort -u |
  sed 's/$/@@LIBSHM_1/' >"$work/declared"
diff "$work/declared" "$work/exported" || fail "the exported symbols are not those of shm.h"
others=$(nm -D --defined-only "$lib/libshm.so" | awk '$2 != "T" && $3 != "LIBSHM_1"')
[ -z "$others" ] || fail "exported besides: $others"

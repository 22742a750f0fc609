#!/bin/sh
# Fails when a C or C++ file of the project is not as clang-format would write it.
set -eu
cd "$(dirname "$0")/../.."
find fs libshm tests -name '*.[ch]pp' -o -name '*.[ch]' | sort | xargs clang-format --dry-run -Werror

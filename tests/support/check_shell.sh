#!/bin/sh
# Fails when shellcheck has something to say of a script of the project.
set -eu
cd "$(dirname "$0")/../.."
grep -rlI '^#!/bin/sh' .ci mount-scripts packaging tests | sort | xargs shellcheck

#!/bin/sh
# Shows what sanitizers have reported into the files of a directory, which must be none.
#   check_reports.sh DIRECTORY
set -eu
cd "${1:?"usage: check_reports.sh DIRECTORY"}"
for report in *; do
  [ -e "$report" ] || exit 0
  echo "== $report"
  cat "$report"
done
exit 1

#!/bin/sh
# Kills the server of a mount again and again under load: kill.sh [TIMES] [--io PLANE] [--signal NAME] [--upgrade]
# Prints what the clients saw and the longest stall; fails on any error, loss or leak.
set -eu
cd "$(dirname "$0")/.."
times=100
case "${1:-}" in [0-9]*) times=$1; shift ;; esac
python=/usr/bin/python3
"$python" -c 'import numpy' 2>/dev/null || python=python3
exec "$python" -B stress/kill.py --times "$times" "$@"

"""How long a request waits when the server is killed under load; tests/stress/kill.py also checks what is left."""

import json
import subprocess
import sys
from pathlib import Path

from bench.places import LIMIT_S, Places
from bench.rows import OURS, Figures

KILL = Path(__file__).parents[1] / "stress/kill.py"


def measure(places: Places) -> Figures:
    command = (sys.executable, "-B", str(KILL), "--times", str(places.sizes.deaths), "--io", "passthrough")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{KILL}: {done.stdout.strip()}")
    result = json.loads(done.stdout)
    return {"longest wait for a killed server": {OURS: result["longest_stall_ms"] / 1e3}}

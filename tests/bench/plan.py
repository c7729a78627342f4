# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a plan for a million memory blocks takes, and how much of the memory can be taken out again afterwards.

Against limits of time, against the kernel's own rule for the same devices (its model, libtier/tier-zoning.h), and
against itself at half the size. CPU time of one thread, the best of five.
"""

import subprocess
import tempfile

TITLE = "Planning a million memory blocks"
LIMIT_SECONDS = 1
# The time of a block as against half as many of them: what is linear has 1, what is quadratic 2.
LINEAR = 1.5
COMPILE = ("gcc -O2 -std=gnu2x -D_GNU_SOURCE -fno-strict-aliasing -I libtier -I libtier/core -o {}/plan "
           "tests/bench/plan.c libtier/core/*.c -lsystemd -lnettle")


def _measure():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["tests/lab/enter", "sh", "-c", COMPILE.format(directory)], check=True)
        done = subprocess.run(["tests/lab/enter", f"{directory}/plan"], text=True, capture_output=True, check=True)
    return {name: int(number) for name, number in map(str.split, done.stdout.splitlines())}


def run():
    found = _measure()
    limit = {"unit": "s", "peer": LIMIT_SECONDS, "peer_name": "the limit"}
    per_block = {name: found[f"{name}-nsec"] / found[f"{name}-blocks"] for name in ("half", "million")}
    return [
        {"figure": "a plan for a million blocks", "ours": round(found["million-nsec"] / 1e9, 4), "target": 0.5, **limit},
        {"figure": "devices of 64 sizes without a divisor", "ours": round(found["odd-nsec"] / 1e9, 4), "target": 0.5,
         **limit},
        {"figure": f"what-if 0..10000, {found['what-if-ranges']} ranges", "ours": round(found["what-if-nsec"] / 1e9, 4),
         "target": 1, **limit},
        {"figure": "a block among a million", "unit": "ns", "ours": round(per_block["million"], 2),
         "peer": round(per_block["half"], 2), "peer_name": "a block among 500,032", "target": LINEAR},
        {"figure": "a plan, steps included", "unit": "s", "ours": round(found["million-nsec"] / 1e9, 4),
         "peer": round(found["kernel-rule-nsec"] / 1e9, 4), "peer_name": "the model of the kernel's rule", "target": 10},
        {"figure": "Movable memory of 400 machines", "unit": "GiB", "ours": found["movable-gib"],
         "peer": found["kernel-rule-movable-gib"], "peer_name": "auto-movable, 301 %, numa_aware=N", "target": 1.2,
         "more_is_better": True},
    ]

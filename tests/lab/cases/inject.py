# SPDX-License-Identifier: GPL-2.0-or-later
"""Every write to sysfs on the way of a region to system RAM fails in turn, in different ways: nothing half done stays."""

import errno
import os
import random
import re
import subprocess

from flying import refused
from rules import blocks, expect_offline, expect_online

SECONDS = 60
DEADLINE = 300
LIBRARY, CONTROL, LOG = "/run/inject.so", "/run/inject", "/run/inject.log"
ERRORS = errno.EBUSY, errno.EINVAL, errno.EAGAIN, errno.ENOMEM
# Nothing depends on these: an id that a driver forgets, what is allowed already, libcxl waiting for probes.
HARMLESS = re.compile(r"/remove_id$|/online_allowed$|/cxl/flush$")
EVERYTHING = os.environ.get("LAB_ALL") == "1"
SAMPLE_WRITES = 8
REGION, ROUND = "", 0


def setup(lab):
    global REGION
    lab.up("A", options=("--dram", "1G", "--cxl", "serial=1,size=512M"))
    a = lab["A"]
    built = "/src/build/lab/inject.so"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", built, "/src/tests/lab/inject.c", "-ldl"],
                   check=True)
    a.push(built, LIBRARY)
    a.run(f"echo 0 0 0 >{CONTROL}; : >{LOG}")
    REGION = a.create_region(1)
    a.start_daemon(environment=(f"LD_PRELOAD={LIBRARY}", f"INJECT_CONTROL={CONTROL}", f"INJECT_LOG={LOG}"))


def begin(host, number, error):
    """A new round; its writes are counted from 1."""
    global ROUND
    ROUND += 1
    host.run(f"echo {ROUND} {number} {error} >{CONTROL}")


def writes(host):
    """Those of this round."""
    found = [line.split(" ", 2) for line in host.run(f"cat {LOG}").out.splitlines()]
    return [path for number, _, path in found if int(number) == ROUND]


def case_online(lab):
    a = lab["A"]
    expect_offline(a, REGION, "device_dax")
    begin(a, 0, 0)
    a.tierctl("online", REGION, "--zone", "movable")
    expect_online(a, REGION, "Movable")
    paths = writes(a)
    # Four blocks, or the device: unplugged, and then online.
    states = [path for path in paths if re.search(r"/(memory\d+|dax\d+\.\d+)/state$", path)]
    wanted = 2 if any("/dax_region" in path for path in states) else 4
    assert len(states) == wanted and any("/kmem/" in path for path in paths), f"the injection does not see it all: {paths}"
    a.tierctl("offline", REGION, "--to-devdax")
    tries = [(number + 1, error) for number in range(len(paths)) for error in ERRORS]
    if not EVERYTHING:
        # Each of the writes is hit in the course of time, and in each run the first and the last of the blocks.
        chance = random.Random(int(os.environ.get("TIER_SEED", "1")))
        ends = [paths.index(states[0]) + 1, paths.index(states[-1]) + 1]
        tries = chance.sample(tries, SAMPLE_WRITES - 2) + [(number, chance.choice(ERRORS)) for number in ends]
    for number, error in tries:
        path, name = paths[number - 1], errno.errorcode[error]
        before = blocks(a, REGION)
        begin(a, number, error)
        done = a.tierctl("online", REGION, "--zone", "movable", check=False)
        seen = writes(a)
        assert seen[:number] == paths[:number], f"{name} at {path}: other writes came: {seen}"
        begin(a, 0, 0)
        if done.code == 0:
            assert HARMLESS.search(path) or len(seen) > len(paths), f"{name} at write {number}, {path}: nobody noticed"
            expect_online(a, REGION, "Movable")
            a.tierctl("offline", REGION, "--to-devdax")
            continue
        refused(done, REGION if path in states else "")
        assert blocks(a, REGION) == before, f"{name} at write {number}, {path}: {before}, then {blocks(a, REGION)}"
    # And nothing is in the way of the next.
    a.tierctl("online", REGION, "--zone", "movable")
    expect_online(a, REGION, "Movable")
    a.stop_daemon()

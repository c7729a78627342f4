# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases about hot memory share: a host, a program of which some memory is hot, and cxl-tierd that is told to tier.

Region of serial 1: shared, on the typed node. Region of serial 2: the host's own, and what is cold may go there.
"""

import contextlib
import json
import os
import subprocess
import time

import nodes
import paths

HOST = ("--dram", "768M", "--cpus", "2", "--cxl", "serial=1,size=512M,window=0", "--cxl", "serial=2,size=1G,window=1")
# Touches a second. As many as an idle processor can do leave nothing cold in the shortest window that DAMON has.
RATE = 300000
CONFIG = ("[Region far]\nMatchSerial=1\nType=switched\nOnline=movable\n[Region own]\nMatchSerial=2\nOnline=movable\n"
          "[Tiering]\nTier=%s\nMeasureSec=3\n")
KDAMONDS = "/sys/kernel/mm/damon/admin/kdamonds"
_SOURCE, _PROGRAM = "/src/tests/lab/heat.c", "/src/build/lab/heat"


def prepare(host):
    """What heat() needs."""
    if not os.path.exists(_PROGRAM) or os.stat(_PROGRAM).st_mtime < os.stat(_SOURCE).st_mtime:
        new = f"{_PROGRAM}.{os.getpid()}"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", new, _SOURCE, "-lm"], check=True)
        os.rename(new, _PROGRAM)
    host.push(_PROGRAM, "/usr/local/bin/heat")


def tier(host, mode="auto", policies=""):
    host.write(nodes.CONFIG, CONFIG % mode + policies)
    host.run("kill -HUP $(cat /run/cxl-tierd.pid)")
    host.rescan()


def kdamonds(host):
    return int(host.run("cat", f"{KDAMONDS}/nr_kdamonds").out)


def worker(host):
    return host.run("pgrep -x tierd-tiering || :").out.strip()


def expect_ended(host):
    """Its process ends after the step in hand."""
    host.wait_for(f"! pgrep -x tierd-tiering >/dev/null && grep -qx 0 {KDAMONDS}/nr_kdamonds", "the end of it", 60)


@contextlib.contextmanager
def heat(host, *words, within=""):
    """The program, once it has touched its memory; what it says is read with until(). @within: its cgroup."""
    enter = f"echo $$ >{nodes.CGROUPS}/{within}/cgroup.procs; " if within else ""
    stream = host.start("sh", "-c", f'{enter}exec heat "$@"', "sh", *map(str, words))
    try:
        stream.wait_line("touched", 120)
        yield stream
    finally:
        host.run("pkill -KILL -x heat || :")
        stream.wait(60)


def until(stream, what, accept, seconds=150):
    """Waits for a line of the program's that is accepted, and returns it."""
    last, end = None, time.monotonic() + paths.patience(seconds)
    while (left := end - time.monotonic()) > 0:
        line = stream.next_line(left)
        assert line is not None, f"{what}: the program has ended, after {last}"
        if line.startswith("{"):
            last = json.loads(line)
            if accept(last):
                return last
    raise AssertionError(f"{what}: not in {seconds} s; the last was {last}")

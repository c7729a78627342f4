# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own tiering beside shared memory that is online, on a kernel that keeps everybody off it."""

import heating
import hinting
import nodes
from heating import heat, until
from nodes import hog, node_of

SECONDS = 36
KERNEL = "patched"
DEADLINE = 420


def setup(lab):
    a = nodes.bring_up_own(lab, heating.HOST, heating.CONFIG % "no", {1: 512, 2: 1024})
    heating.prepare(a)
    hinting.scan_often(a)


def case_nothing_comes_to_shared_memory(lab):
    """Pages go between DRAM and the host's own node; who has named the shared one keeps his pages there."""
    a = lab["A"]
    far = node_of(a, 1)
    with hog(a, 48, "busy", wrap=("numactl", f"--membind={far}")) as bound:
        before = bound.pages_on(far), nodes.allocated(a, far)
        with heat(a, 700, 100, "contiguous", hinting.RATE, 1, 1) as program:
            first = until(program, "the hot pages begin on the slow node", lambda line: True)
            assert first["hot"] < 0.5, first
            a.write(nodes.CONFIG, heating.CONFIG % "auto" + "Mechanism=kernel\n")
            a.run("kill -HUP $(cat /run/cxl-tierd.pid)")
            a.rescan()
            reached = until(program, "most of the hot pages are in DRAM", lambda line: line["hot"] >= 0.7, 300)
            print(f"# {reached}", flush=True)
        after = bound.pages_on(far), nodes.allocated(a, far)
        assert after == before, f"{before} pages, and {after}"
        assert before[0] >= 48 << 8, before
    heating.tier(a, "no")

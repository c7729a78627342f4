# SPDX-License-Identifier: GPL-2.0-or-later
"""cxl-tierd fetches what is hot to DRAM, leaves alone what has its place, and leaves nothing behind.

A has a private region and a shared one, and a program with more memory than DRAM has, of which a part is hot that first
touch has put on the private region's node. The program itself asks the kernel where its pages are.
"""

import contextlib
import re

import heating
import nodes
from heating import KDAMONDS, RATE, expect_ended, heat, kdamonds, prepare, tier, until, worker
from nodes import hog, node_of, region_of

SECONDS = 190
DEADLINE = 420
# With a typed node online; what Debian's makes of that is in tiering-stock.py.
KERNEL = "patched"


def setup(lab):
    prepare(nodes.bring_up_own(lab, heating.HOST, heating.CONFIG % "no", {1: 512, 2: 1024}))


def case_off_by_default(lab):
    """No process, no kdamond."""
    a = lab["A"]
    assert worker(a) == "" and kdamonds(a) == 0


def case_fetches_what_is_hot(lab):
    """First what was hot when it began, then what becomes so."""
    a = lab["A"]
    with heat(a, 700, 100, "contiguous", RATE, 1, 1) as program:
        first = until(program, "the hot pages begin on the slow node", lambda line: True)
        assert first["hot"] < 0.5, first
        tier(a)
        reached = until(program, "most of the hot pages are in DRAM", lambda line: line["hot"] >= 0.8, 240)
        print(f"# {reached}", flush=True)
        moved = {family["name"]: family["samples"] for family in a.tierctl("metrics", "--json").json()}
        promoted, = [it["value"] for it in moved["cxltier_tiering_moved_bytes"] if it["labels"]["reason"] == "hot"]
        assert promoted >= 10 << 20 and moved["cxltier_tiering_active"][0]["value"] == 1, moved
        assert "Tier=auto promotes" in a.tierctl("top", "--once").out.splitlines()[0]
    assert re.search(r"tiering: \d+ KiB of at most \d+ moved .* hot, and on a slow node", a.daemon.text()), a.daemon.text()
    tier(a, "no")
    expect_ended(a)


def case_leaves_alone_what_has_its_place(lab):
    """By a policy, on a typed node, locked, or in a cpuset: busy pages stay on the slow nodes."""
    a = lab["A"]
    own, far = node_of(a, 2), node_of(a, 1)
    lock = ("prlimit", "--memlock=unlimited", "--")
    with contextlib.ExitStack() as stack:
        within = stack.enter_context(nodes.cgroup(a, "narrow", cpuset_mems=str(own)))
        bound = stack.enter_context(hog(a, 48, "busy", wrap=("numactl", f"--membind={own}")))
        typed = stack.enter_context(hog(a, 48, "busy", wrap=("numactl", f"--membind={far}")))
        locked = stack.enter_context(hog(a, 48, "locked", wrap=lock))
        confined = stack.enter_context(hog(a, 48, "busy", within=within))
        a.tierctl("move", "--pid", str(locked.pid), "--to", str(own))
        program = stack.enter_context(heat(a, 650, 80, "contiguous", RATE, 1, 1))
        hogs = (bound, own), (typed, far), (locked, own), (confined, own)
        before = [it.pages_on(node) for it, node in hogs]
        assert min(before) >= 48 << 8, before
        first = until(program, "the hot pages begin on the slow node", lambda line: True)
        assert first["hot"] < 0.5, first
        tier(a)
        until(program, "rounds are made", lambda line: line["hot"] >= 0.5)
        after = [it.pages_on(node) for it, node in hogs]
        tier(a, "no")
    assert after == before, f"{before} pages, then {after}"
    expect_ended(a)


def case_others_have_damon(lab):
    """Whoever was there first keeps it, and the log says so; after that it begins."""
    a = lab["A"]
    a.run(f"echo 1 >{KDAMONDS}/nr_kdamonds")
    with heat(a, 700, 100, "contiguous", RATE, 1, 1) as program:
        tier(a)
        until(program, "it is told", lambda line: "kdamonds of somebody else are there" in a.daemon.text(), 60)
        assert kdamonds(a) == 1, "they were taken away"
        a.run(f"echo 0 >{KDAMONDS}/nr_kdamonds")
        until(program, "it begins", lambda line: line["hot"] >= 0.3)
    tier(a, "no")
    expect_ended(a)


def case_processes_come_and_go(lab):
    """A thousand, each large enough to take part, and gone before its turn: what stays is fetched, by the same process."""
    a = lab["A"]
    storm = ("for ((i = 1; i <= 1000; i++)); do dd if=/dev/zero of=/dev/null bs=4M count=1 status=none & "
             "((i % 20)) || wait; done; wait; echo over")
    with heat(a, 700, 100, "contiguous", RATE, 1, 1) as program:
        first = until(program, "the hot pages begin on the slow node", lambda line: True)
        assert first["hot"] < 0.5, first
        tier(a, "auto", "[Tiering]\nLeastMemory=1M\n")
        a.wait_for("pgrep -x tierd-tiering", "its process", 60)
        before = worker(a)
        # DRAM is full of pages that nobody but it moves: before it has, the kernel itself has none for a process more.
        until(program, "it has begun", lambda line: line["moves"] > 0, 120)
        a.start("bash", "-c", storm).wait_line("over", 200)
        until(program, "most of the hot pages are in DRAM", lambda line: line["hot"] >= 0.8, 240)
        assert worker(a) == before, "it ended in between"
    tier(a, "no")
    expect_ended(a)


def case_goes_offline_meanwhile(lab):
    """The slow node's region is evacuated while it is tiered with; then there is nothing to tier with."""
    a = lab["A"]
    region = region_of(a, 2)["name"]
    with heat(a, 300, 80, "contiguous", RATE, 1, 1) as program:
        tier(a)
        until(program, "it runs", lambda line: True)
        a.tierctl("offline", region)
        expect_ended(a)
        until(program, "the program goes on", lambda line: line["all"] == 1)
    a.tierctl("online", region, "--zone", "movable")
    a.wait_for("pgrep -x tierd-tiering", "another process", 60)
    tier(a, "no")
    expect_ended(a)


def case_killed(lab):
    """Its process, and then the daemon too, are killed in the middle of a measurement: what they left is put back."""
    a = lab["A"]
    tier(a)
    a.wait_for("pgrep -x tierd-tiering", "its process", 60)
    in_use = f"until [ \"$(cat {KDAMONDS}/nr_kdamonds)\" != 0 ]; do :; done"
    a.run(f"timeout 60 sh -c '{in_use}'; kill -KILL {worker(a)}")
    a.wait_for(f"grep -qx 0 {KDAMONDS}/nr_kdamonds", "the daemon puts it back", 60)
    a.wait_for("pgrep -x tierd-tiering", "another process", 90)
    a.run(f"timeout 60 sh -c '{in_use}'; kill -KILL $(cat /run/cxl-tierd.pid) {worker(a)}")
    a.daemon.wait(60)
    assert kdamonds(a) > 0
    a.run("cxl-tierd", "--release")
    assert kdamonds(a) == 0
    a.start_daemon()
    tier(a, "no")
    expect_ended(a)

# SPDX-License-Identifier: GPL-2.0-or-later
"""What a cgroup, or a process, may have of DRAM is what it has, whatever is hot.

One program has more memory than DRAM has, and the hot part of it on the slow node; hogs that do nothing are cold.
"""

import contextlib

import heating
import nodes
from cases import deadline
from flying import refused
from heating import RATE, expect_ended, heat, prepare, tier, until
from nodes import hog, node_of

SECONDS = 180
DEADLINE = 420
KERNEL = "patched"
MIB = 1 << 20
HOT = (600, 80, "contiguous", RATE, 1, 1)


def setup(lab):
    prepare(nodes.bring_up_own(lab, heating.HOST, heating.CONFIG % "no", {1: 512, 2: 1024}))


def policies(host):
    return {entry["name"]: entry for entry in host.tierctl("policy", "--json").json()}


def dram(host, name):
    return policies(host)[name]["dram_bytes"] / MIB


def case_set_shown_and_cleared(lab):
    """By name and by number; what is said again adds to it; and it goes with the cgroup."""
    a = lab["A"]
    with nodes.cgroup(a, "db.service"):
        a.tierctl("policy", "set", "db.service", "DramMin=64M", "Demote=yes")
        a.tierctl("policy", "set", "/db.service", "DramMax=50%")
        shown = policies(a)["/db.service"]
        assert shown["said"] == "DramMin=67108864 DramMax=50% Demote=yes" and shown["from"] == "cgroup", shown
        assert shown["dram_min_bytes"] == 64 * MIB and shown["dram_max_bytes"] > 300 * MIB, shown
        tier(a, "no", "[Policy db]\nCgroup=db.service\nPromote=no\nDemote=no\n")
        shown = policies(a)["/db.service"]
        assert shown["from"] == "configuration, cgroup" and shown["demote"] and not shown["promote"], shown
        assert "/db.service" in a.tierctl("policy").out
        a.tierctl("policy", "set", "db.service", "DramMax=")
        assert "dram_max_bytes" not in policies(a)["/db.service"]
        a.tierctl("policy", "clear", "db.service")
        assert policies(a)["/db.service"]["from"] == "configuration"
        a.tierctl("policy", "set", "db.service", "DramMin=1G")
        tier(a, "no")
    assert policies(a) == {}, "it outlives its cgroup"
    with hog(a, 32, "busy") as one:
        a.tierctl("policy", "set", str(one.pid), "Demote=no")
        shown = policies(a)[f"process {one.pid} (hog)"]
        assert shown["pid"] == one.pid and not shown["demote"] and shown["dram_bytes"] >= 32 * MIB, shown
    assert policies(a) == {}, "it outlives its process"
    with hog(a, 1, "busy") as other:
        a.tierctl("policy", "set", str(other.pid), "Demote=no")
        files = a.run("ls", "/run/cxl-tier/policy").out.split()
        assert files == [str(other.pid)], f"what was of {one.pid} is left: {files}"
    assert "ExecStartPre=+/usr/bin/tierctl policy set %n DramMax=50%% Promote=no\n" in a.tierctl(
        "policy", "set", "web.service", "DramMax=50%", "Promote=no", "--drop-in").out


def case_refused_and_nothing_is_changed(lab):
    a = lab["A"]
    with nodes.cgroup(a, "db.service"):
        a.tierctl("policy", "set", "db.service", "DramMax=1G")
        refused(a.tierctl("policy", "set", "db.service", "DramMin=2G", check=False), "db.service",
                "DramMin is more than DramMax", "nothing is changed")
        assert policies(a)["/db.service"]["said"] == f"DramMax={1 << 30}"
        refused(a.tierctl("policy", "set", "nobody.service", "DramMin=2G", check=False), "nobody.service", "no unit")
        refused(a.tierctl("policy", "set", "4194304", "DramMin=2G", check=False), "4194304", "no such process")
        refused(a.tierctl("policy", "set", "a.slice", "DramMin=2G", "--drop-in", check=False), "a.slice", "is no service")
        other = a.run(*nodes.NOBODY, "tierctl", "policy", "set", "/db.service", "DramMin=1M", check=False)
        refused(other, "/db.service", "cannot be stored", "as root")
        assert a.tierctl("policy", "set", "db.service", "DramMin=1X", check=False).code == 2
        # By somebody who writes attributes by hand: left out, and said.
        a.run("python3", "-c", f"import os; os.setxattr('{nodes.CGROUPS}/db.service', 'trusted.cxl-tier', b'nonsense')")
        shown = a.tierctl("policy")
        assert "not understood" in shown.err and "No cgroup" in shown.out, shown
    with nodes.cgroup(a, "one", memory_max="max"), nodes.cgroup(a, "two", memory_max="max"):
        for name in "/one", "/two":
            a.tierctl("policy", "set", name, "DramMin=80%")
        assert "all DramMin together" in a.tierctl("policy").err


@deadline(400)
def case_no_more_than_its_bound(lab):
    """What is beyond its DramMax goes, and what is hot of it still comes to DRAM, in the place of its own."""
    a = lab["A"]
    with nodes.cgroup(a, "hot", memory_max="max"), heat(a, *HOT, within="hot") as program:
        before = until(program, "the hot pages begin on the slow node", lambda line: True)
        bound = int(600 * before["all"]) - 20
        tier(a, "auto", f"[Policy hot]\nCgroup=/hot\nDramMax={bound}M\n")
        # Less than that is not worth a round.
        enough = bound + 700 / 64 + 1
        until(program, "what is beyond its DramMax goes", lambda line: dram(a, "/hot") <= enough)
        until(program, "what is hot of it is fetched", lambda line: line["hot"] >= 0.7, 240)
        assert dram(a, "/hot") <= enough, f"{dram(a, '/hot')} MiB are more than {bound}"
        explained = a.tierctl("explain", a.run("pgrep", "-o", "-x", "heat").out.strip(), "--json").json()
        assert explained["policy"] == "/hot" and explained["tiering"] and explained["bytes"]["may-move"] > 500 * MIB, explained
        text = a.daemon.text()
        assert "/hot: " in text and "beyond its DramMax" in text, text
    tier(a, "no")
    expect_ended(a)


@deadline(400)
def case_no_less_than_its_bound(lab):
    """DRAM is full of what is idle: room for what is hot is made of it, but not below its DramMin, nor if it must stay."""
    a = lab["A"]
    with contextlib.ExitStack() as stack:
        for name in "idle", "kept":
            stack.enter_context(nodes.cgroup(a, name, memory_max="max"))
        idle = stack.enter_context(hog(a, 200, "busy", within="idle"))
        kept = stack.enter_context(hog(a, 60, "busy", within="kept"))
        for it in idle, kept:
            a.run("kill", "-STOP", str(it.pid))
        a.tierctl("policy", "set", "/idle", "DramMin=170M")
        a.tierctl("policy", "set", "/kept", "Demote=no")
        before = kept.pages_on(0)
        assert before >= 60 << 8 and idle.pages_on(0) >= 200 << 8, "they do not begin in DRAM"
        program = stack.enter_context(heat(a, *HOT))
        until(program, "the hot pages begin on the slow node", lambda line: line["hot"] < 0.5, 10)
        tier(a)
        until(program, "the hot pages are fetched", lambda line: line["hot"] >= 0.7)
        # The kernel's own count has page tables and the like in it as well.
        assert 166 << 8 <= idle.pages_on(0) < 195 << 8, f"{idle.pages_on(0)} pages are left of what has 170 MiB for certain"
        assert kept.pages_on(0) == before, f"{before} pages became {kept.pages_on(0)}"
    tier(a, "no")
    expect_ended(a)


def case_a_process_and_a_cgroup_that_goes(lab):
    """Nothing of it is promoted while its policy says so; its cgroup is removed in the middle, and the rest goes on."""
    a = lab["A"]
    own = node_of(a, 2)
    with heat(a, *HOT) as program, nodes.cgroup(a, "short", memory_max="max"):
        pid = a.run("pgrep", "-o", "-x", "heat").out.strip()
        first = until(program, "the hot pages begin on the slow node", lambda line: True)
        a.tierctl("policy", "set", pid, "Promote=no")
        with hog(a, 32, "busy", within="short") as other:
            a.tierctl("policy", "set", "/short", "DramMax=8M")
            # What is in use all the time would stay.
            a.run("kill", "-STOP", str(other.pid))
            tier(a)
            until(program, "the other one is beyond its bound", lambda line: other.pages_on(own) >= 16 << 8)
        a.run(f"rmdir {nodes.CGROUPS}/short")
        a.run(f"mkdir {nodes.CGROUPS}/short")
        last = until(program, "the next line", lambda line: True)
        assert last["hot"] <= first["hot"] + 0.02, f"{first} became {last}"
        explained = a.tierctl("explain", pid).out
        assert "Promote=no" in explained and "(not by its policy)" in explained, explained
        a.tierctl("policy", "clear", pid)
        until(program, "it is fetched after all", lambda line: line["hot"] >= 0.5)
    tier(a, "no")
    expect_ended(a)

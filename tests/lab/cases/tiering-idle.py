# SPDX-License-Identifier: GPL-2.0-or-later
"""Promotion and demotion by idle page tracking and move_pages(), for kernels that can do neither of it by themselves."""

import nodes
from heating import CONFIG, HOST, RATE, heat, kdamonds, prepare, until
from nodes import hog, node_of

SECONDS = 85
KERNEL = "patched"
DEADLINE = 420


def tier(host, mechanism):
    """None: not at all."""
    nodes.configure(host, CONFIG % ("auto" if mechanism else "no") + f"Mechanism={mechanism or 'auto'}\n")


def expect_ended(host):
    host.wait_for("! pgrep -x tierd-tiering >/dev/null", "the end of it", 60)


def setup(lab):
    a = nodes.bring_up_own(lab, HOST, CONFIG % "no", {1: 512, 2: 1024})
    prepare(a)


def case_fetches_what_is_hot(lab):
    """Without a kdamond, and nothing goes to the shared node; what is bound, or locked, stays where it is."""
    a = lab["A"]
    own, far = node_of(a, 2), node_of(a, 1)
    with heat(a, 700, 100, "contiguous", RATE, 1, 1) as program, hog(a, 32, "busy", wrap=("numactl", f"--membind={own}")) as bound:
        before = bound.pages_on(own)
        first = until(program, "the hot pages begin on the slow node", lambda line: True)
        assert first["hot"] < 0.5 and before >= 32 << 8, (first, before)
        tier(a, "idle")
        # By no other mechanism meanwhile.
        reached = until(program, "most of the hot pages are in DRAM", lambda line: line["hot"] >= 0.7 and not kdamonds(a), 300)
        print(f"# {reached}", flush=True)
        assert bound.pages_on(own) == before, f"{before} pages became {bound.pages_on(own)}"
    assert nodes.used_mib(a, far) == 0, nodes.used_mib(a, far)
    text = a.daemon.text()
    for words in "by idle page tracking and move_pages()", "hot, and on a slow node", "it makes room for what is hot":
        assert words in text, text
    doctor = a.tierctl("doctor", check=False).out
    assert "Tier=auto moves pages by idle page tracking: Mechanism=idle" in doctor, doctor
    tier(a, None)
    expect_ended(a)


def case_from_one_to_the_other(lab):
    """Another mechanism is another process; the one before has ended then."""
    a = lab["A"]
    tier(a, "idle")
    a.wait_for("pgrep -x tierd-tiering", "its process", 60)
    first = a.run("pgrep", "-x", "tierd-tiering").out.strip()
    tier(a, "damon")
    a.wait_for(f"p=$(pgrep -x tierd-tiering) && [ $p != {first} ]", "another process", 60)
    a.run("kill -KILL $(pgrep -x tierd-tiering)")
    tier(a, "idle")
    a.wait_for("grep -qx 0 /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds && pgrep -x tierd-tiering", "the first again", 90)
    tier(a, None)
    expect_ended(a)

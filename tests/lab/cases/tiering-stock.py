# SPDX-License-Identifier: GPL-2.0-or-later
"""Promotion and demotion on Debian's kernel, whose own monitoring has DAMON, and which keeps nothing off shared memory."""

import nodes
from flying import refused
from nodes import node_of

SECONDS = 80
HOST = ("--dram", "768M", "--cxl", "serial=1,size=256M,window=0", "--cxl", "serial=2,size=512M,window=1")
KERNEL = "stock"
CONFIG = ("[Region far]\nMatchSerial=1\nType=switched\nOnline=%s\n[Region own]\nMatchSerial=2\nOnline=movable\n"
          "[Tiering]\nTier=%s\n")
STAT = "/sys/module/damon_stat/parameters/enabled"


def setup(lab):
    nodes.bring_up_own(lab, HOST, CONFIG % ("no", "no"), {2: 512})


def monitoring(host):
    return host.run("cat", STAT).out.strip()


def expect_ended(host):
    host.wait_for("! pgrep -x tierd-tiering >/dev/null", "the end of it", 60)


def case_the_kernels_monitoring(lab):
    """It is off for as long as cxl-tierd tiers, and on again afterwards: when it is told to, and after a kill."""
    a = lab["A"]
    assert monitoring(a) == "Y"
    nodes.configure(a, CONFIG % ("no", "auto"))
    a.wait_for(f"grep -qx N {STAT}", "the end of the kernel's monitoring", 60)
    nodes.configure(a, CONFIG % ("no", "no"))
    expect_ended(a)
    a.wait_for(f"grep -qx Y {STAT}", "its coming back", 60)
    nodes.configure(a, CONFIG % ("no", "auto"))
    a.wait_for(f"grep -qx N {STAT}", "the end of the kernel's monitoring", 60)
    a.run("kill -KILL $(cat /run/cxl-tierd.pid) $(pgrep -x tierd-tiering)")
    a.daemon.wait(60)
    a.run("cxl-tierd", "--release")
    assert monitoring(a) == "Y"
    a.start_daemon()


def case_heat(lab):
    """A map is not taken from the kernel's monitoring, and is when that has been ended."""
    a = lab["A"]
    nodes.configure(a, CONFIG % ("no", "no"))
    expect_ended(a)
    a.wait_for(f"grep -qx Y {STAT}", "the kernel's monitoring", 60)
    refused(a.tierctl("heat", "1", "--for", "1s", check=False), "damon_stat", f"echo N > {STAT}")
    assert monitoring(a) == "Y"
    a.run(f"echo N >{STAT}")
    told = a.tierctl("heat", "1", "--for", "1s", "--json").json()
    a.run(f"echo Y >{STAT}")
    assert told["outcome"] == "done" and told["snapshots"] > 0, told


def case_a_map_in_between(lab):
    """While a map is taken, the kernel's monitoring cannot begin again; it does afterwards."""
    a = lab["A"]
    nodes.configure(a, CONFIG % ("no", "auto"))
    a.wait_for(f"grep -qx N {STAT}", "the end of the kernel's monitoring", 60)
    taken = a.start("tierctl", "heat", "1", "--for", "20s", "--json")
    a.daemon.wait_text("another process of cxl-tier uses it", 60)
    a.wait_for("grep -qx on /sys/kernel/mm/damon/admin/kdamonds/0/state", "the map's kdamond", 20)
    nodes.configure(a, CONFIG % ("no", "no"))
    expect_ended(a)
    assert taken.wait(120) == 0, taken.text()
    a.wait_for(f"grep -qx Y {STAT}", "the kernel's monitoring", 90)


def case_shared_memory_online(lab):
    """DAMON's moves could end up there: nothing is moved, and the log says why."""
    a = lab["A"]
    nodes.configure(a, CONFIG % ("movable", "auto"))
    nodes.expect_memory(a, 1, 256)
    a.rescan()
    expect_ended(a)
    told = f"node{node_of(a, 1)} is shared, and this kernel does not keep ordinary memory off it"
    assert told in a.daemon.text(), a.daemon.text()
    assert monitoring(a) == "Y"

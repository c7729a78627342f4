# SPDX-License-Identifier: GPL-2.0-or-later
"""Two regions of one window, which Debian's kernel gives the same node: who names one of them may get the other's."""

import nodes
from flying import refused
from nodes import hog, region_of

SECONDS = 40
KERNEL = "stock"
TOPOLOGY = None
HOST = ("--dram", "1G", "--cpus", "1", "--cxl", "serial=1,size=256M,window=0", "--cxl", "serial=2,size=256M,window=0")
CONFIG = "[Region one]\nMatchSerial=1\nOnline=movable\n[Region two]\nMatchSerial=2\nOnline=movable\n"


def setup(lab):
    nodes.bring_up_own(lab, HOST, CONFIG, {1: 512})


def case_one_alone_is_refused(lab):
    a = lab["A"]
    regions = [region_of(a, serial) for serial in (1, 2)]
    node = regions[0]["target_node"]
    assert node == regions[1]["target_node"] and all(region["shares_node"] for region in regions), regions
    for words in ("nodes", "--region", "one", "--numactl"), ("run", "--region", "one", "true"), \
            ("numactl", "-m", "one", "true"), ("move", "--pid", "1", "--to", "one"):
        refused(a.tierctl(*words, check=False), regions[0]["name"], f"shares node {node} with {regions[1]['name']}",
                "tierctl doctor")


def case_both_are_not(lab):
    a = lab["A"]
    node = region_of(a, 1)["target_node"]
    assert a.tierctl("nodes", "--region", "one", "--region", "two", "--numactl").out == f"{node}\n"
    assert a.tierctl("numactl", "--dry-run", "-m", "one,two", "true").out == f"numactl -m {node},{node} true\n"
    for words in ("run", "--tier", "cxl", "--"), ("numactl", "-m", "two,one"):
        with hog(a, 32, "small", wrap=("tierctl", *words)) as it:
            assert it.pages_on(node) >= 32 << 8, it.pages_on(node)


def case_one_that_is_offline(lab):
    """The node has memory, but it is the other's."""
    a = lab["A"]
    name = region_of(a, 2)["name"]
    a.tierctl("offline", name)
    refused(a.tierctl("run", "--region", "two", "true", check=False), name, "none of its memory is online")
    a.tierctl("online", name, "--zone", "movable")

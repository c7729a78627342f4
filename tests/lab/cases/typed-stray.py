# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel moves by itself does not go to typed memory, and what is there stays where it was asked for.

NUMA balancing, demotion, khugepaged, KSM, offlining of other memory; long-term pins. Each with a control: on the
private node the same happens.
"""

import re

import nodes
from cases import deadline
from nodes import cgroup, hog, meminfo, node_of, region_of, untouched, used_mib

SECONDS = 75
KERNEL = "patched"
NUMA_BALANCING = "/sys/kernel/debug/sched/numa_balancing"


def setup(lab):
    nodes.bring_up(lab)


def _vmstat(host, *names):
    counters = dict(line.split() for line in host.run("cat", "/proc/vmstat").out.splitlines())
    return sum(int(counters[name]) for name in names)


def case_offline_of_other_memory(lab):
    """The private region goes offline with 150 MiB in it: they go to node 0."""
    a = lab["A"]
    node, own, region = node_of(a, 1), node_of(a, 2), region_of(a, 2)["name"]
    with hog(a, 150, "small", wrap=("numactl", f"--membind={own}")) as here:
        assert used_mib(a, own) > 150
        try:
            with untouched(a, node, "offlining the private region"):
                a.tierctl("offline", region)
            assert used_mib(a, own) is None and here.pages_on(0) > 150 << 8, "the pages did not go to node 0"
        finally:
            a.tierctl("online", region, "--zone", "movable")


def case_offline_of_a_part(lab):
    """Blocks of the typed node go offline: what is in them stays on the node while there is room, and nobody is killed.

    Of small pages and of huge ones. Without room it goes elsewhere.
    """
    a = lab["A"]
    node = node_of(a, 1)
    blocks = a.run(f"ls -d /sys/devices/system/node/node{node}/memory[0-9]*").out.split()
    assert len(blocks) == 4, blocks
    killed = _vmstat(a, "oom_kill")
    for kind in "small", "anonymous":
        with hog(a, 150, kind, wrap=("numactl", f"--membind={node}")) as here:
            pages, migrated = here.pages_on(node), _vmstat(a, "pgmigrate_success")
            assert pages >= 150 << 8, pages
            for block in blocks:
                a.run(f"echo offline >{block}/state")
                assert here.pages_on(node) == pages, f"{kind}, {block}: {here.pages_on(node)} of {pages} pages are left"
                a.run(f"echo online >{block}/state")
            migrated = _vmstat(a, "pgmigrate_success") - migrated
            assert migrated >= pages, f"{kind}: {migrated} pages were moved: the test is blind"
            assert here.pages_on(0) < 1 << 8, f"{kind}: {here.pages_on(0)} pages on node 0"
    with hog(a, 300, "small", wrap=("numactl", f"--membind={node}")) as here:
        a.run(f"for b in {' '.join(blocks[1:])}; do echo offline >$b/state; done")
        assert 64 << 8 < here.pages_on(node) <= 128 << 8, f"{here.pages_on(node)} pages are left in one block"
        assert here.pages_on(node) + here.pages_on(0) + here.pages_on(node_of(a, 2)) >= 300 << 8, "pages are lost"
        a.run(f"for b in {' '.join(blocks[1:])}; do echo online >$b/state; done")
    assert _vmstat(a, "oom_kill") == killed, nodes.victims(a)


def case_demotion(lab):
    """Reclaim of node 0 demotes to the private node, and not to the typed one, also when the private one is full.

    By a cgroup: with demotion and without swap, Linux takes minutes to find out that memory has run out.
    """
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    a.run("echo 1 >/sys/kernel/mm/numa/demotion_enabled")
    demoted = "pgdemote_kswapd", "pgdemote_direct", "pgdemote_khugepaged", "pgdemote_proactive"
    try:
        with untouched(a, node, "demotion"), cgroup(a, "cold", memory_max="max"):
            with hog(a, 300, "small", within="cold"):
                before = _vmstat(a, *demoted)
                for _ in range(3):
                    a.run(f"echo 150M >{nodes.CGROUPS}/cold/memory.reclaim", check=False)
                assert _vmstat(a, *demoted) > before, "nothing was demoted: the test is blind"
                assert used_mib(a, own) > 240, f"{used_mib(a, own)} MiB: the private node is not full"
    finally:
        a.run("echo 0 >/sys/kernel/mm/numa/demotion_enabled")


@deadline(300)
def case_khugepaged(lab):
    """It collapses what is on the private node, and leaves what is on the typed one."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    directory = "/sys/kernel/mm/transparent_hugepage/khugepaged"
    a.run(f"cd {directory} && echo 100000000 >scan_sleep_millisecs && echo 100000 >pages_to_scan")
    with hog(a, 40, "collapsible") as typed, hog(a, 40, "collapsible") as private:
        for it, to in (typed, node), (private, own):
            a.tierctl("move", "--pid", str(it.pid), "--to", str(to), "--typed")
            assert it.act() == "done"
        assert used_mib(a, node) >= 39, used_mib(a, node)
        scans = int(a.run("cat", f"{directory}/full_scans").out)
        a.run(f"echo 10 >{directory}/scan_sleep_millisecs")
        collapsed = f"awk '/AnonHugePages/ {{sum += $2}} END {{exit !(sum >= 38 * 1024)}}' /proc/{private.pid}/smaps"
        a.wait_for(collapsed, "huge pages of what is on the private node", 120)
        a.wait_for(f"[ $(cat {directory}/full_scans) -gt {scans + 3} ]", "further scans", 120)
        a.run(f"echo 10000 >{directory}/scan_sleep_millisecs; echo 4096 >{directory}/pages_to_scan")
        huge = sum(map(int, re.findall(r"AnonHugePages: +(\d+)", a.run("cat", f"/proc/{typed.pid}/smaps").out)))
        assert huge == 0 and meminfo(a, node)["AnonHugePages"] == 0, f"{huge} KiB of the typed node in huge pages"
        assert typed.pages_on(node) >= 39 << 8, f"{typed.pages_on(node)} pages are left on the typed node"


@deadline(300)
def case_ksm(lab):
    """It merges what is on the private node, and leaves what is on the typed one."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    directory = "/sys/kernel/mm/ksm"
    a.run(f"cd {directory} && echo 100000 >pages_to_scan && echo 10 >sleep_millisecs")
    with hog(a, 16, "mergeable", wrap=("numactl", f"--membind={node}")) as typed:
        a.run(f"echo 1 >{directory}/run")
        scans = int(a.run("cat", f"{directory}/full_scans").out)
        a.wait_for(f"[ $(cat {directory}/full_scans) -gt {scans + 3} ]", "scans", 120)
        merged = int(a.run("cat", f"{directory}/pages_sharing").out)
        assert merged == 0 and typed.pages_on(node) >= 16 << 8, f"{merged} pages merged, {typed.pages_on(node)} left"
        with hog(a, 16, "mergeable", wrap=("numactl", f"--membind={own}")):
            a.wait_for(f"[ $(cat {directory}/pages_sharing) -ge 4000 ]", "merge on the private node", 120)
            # What is merged there is no place for what was put here.
            scans = int(a.run("cat", f"{directory}/full_scans").out)
            a.wait_for(f"[ $(cat {directory}/full_scans) -gt {scans + 2} ]", "scans", 120)
            assert typed.pages_on(node) >= 16 << 8, f"{typed.pages_on(node)} pages are left on the typed node"
    a.run(f"echo 2 >{directory}/run; echo 0 >{directory}/run")


@deadline(400)
def case_numa_balancing(lab):
    """What is used all the time comes from the private node to node 0, and stays on the typed one."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    a.run(f"cd {NUMA_BALANCING} && echo 100 >scan_delay_ms && echo 100 >scan_period_min_ms && "
          "echo 500 >scan_period_max_ms && echo 0 >/proc/sys/kernel/numa_balancing")
    with hog(a, 24, "busy") as typed, hog(a, 24, "busy") as private:
        # Without a policy of their own, which NUMA balancing would respect anyway.
        for it, to in (typed, node), (private, own):
            a.tierctl("move", "--pid", str(it.pid), "--to", str(to), "--typed")
        on_typed = typed.pages_on(node)
        assert on_typed >= 23 << 8 and private.pages_on(own) >= 23 << 8, f"{on_typed} {private.pages_on(own)}"
        a.run("echo 1 >/proc/sys/kernel/numa_balancing")
        scanned = int(re.search(r"numa_scan_seq +: +(\d+)", a.run("cat", f"/proc/{typed.pid}/sched").out)[1])
        a.wait_for(f"! grep -q ' N{own}=[0-9][0-9][0-9]' /proc/{private.pid}/numa_maps", "promotion", 200)
        a.wait_for(f"[ $(sed -n 's/.*numa_scan_seq *: *//p' /proc/{typed.pid}/sched) -ge {scanned + 3} ]", "scans", 100)
        assert typed.pages_on(node) == on_typed, f"{on_typed} pages on the typed node became {typed.pages_on(node)}"


def case_long_term_pins(lab):
    """Pages are taken off the typed node before they are pinned, or the pin fails; whoever is bound is no exception."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    for kind in "pinned", "fast", "registered":
        for how, wrap in ("moved there", ()), ("bound", ("numactl", f"--membind={node}")):
            with hog(a, 24, kind, wrap=wrap) as here:
                if not wrap:
                    a.tierctl("move", "--pid", str(here.pid), "--to", str(node), "--typed")
                assert here.pages_on(node) >= 23 << 8, f"{kind}, {how}: {here.pages_on(node)} pages there"
                said = here.act() or "ended"
                left = here.pages_on(node)
                assert left <= 1 << 8 or said.startswith("failed"), f"{kind}, {how}: {said}; {left} pages left"
                # What cannot be pinned at all would be no proof.
                assert said == "done" or kind == "registered", f"{kind}, {how}: {said}"
                assert here.pages_on(own) == 0, "pinned in movable memory of the private node"

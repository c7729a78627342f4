# SPDX-License-Identifier: GPL-2.0-or-later
"""Who names a typed node gets its memory: by mempolicy, by moving pages, by a cpuset, and huge pages of the node's own.

And who takes more than there is pays for it alone.
"""

import re

import nodes
from cases import deadline
from nodes import CGROUPS, allocated, cgroup, hog, meminfo, node_of, used_mib

SECONDS = 60
KERNEL = "patched"
HUGE = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"
ZEROED = "Slab", "PageTables", "KernelStack", "SecPageTables"


def setup(lab):
    nodes.bring_up(lab)


def _expect(host, node, low, high, what):
    used = used_mib(host, node)
    assert low <= used <= high, f"{what}: {used} MiB on node {node}, expected {low} to {high}"


def case_policies(lab):
    """Bind, preferred, interleave: of a task. What it has on other nodes is libraries and kernel memory."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    # The weights of the last are the kernel's, by bandwidth.
    for low, high, policy in (64, 72, f"--membind={node}"), (64, 72, f"--preferred={node}"), \
            (64, 72, f"--preferred-many={node}"), (64, 72, f"--interleave={node}"), \
            (20, 28, f"--interleave={node},{own},0"), (2, 62, f"--weighted-interleave={node},0"):
        with hog(a, 64, "small", wrap=("numactl", policy)) as here:
            _expect(a, node, low, high, policy)
            # Its page tables and all else that the kernel has for it.
            stray = {name: meminfo(a, node)[name] for name in ZEROED if meminfo(a, node).get(name)}
            assert not stray, f"{policy}: {stray} KiB"
            assert int(re.search(r"VmPTE:\s+(\d+)", a.run("cat", f"/proc/{here.pid}/status").out)[1]) > 100
        _expect(a, node, 0, 4, f"{policy}, ended")
    # Two nodes: the nearer one, then the other.
    with hog(a, 64, "small", wrap=("numactl", f"--membind=0,{node}")):
        _expect(a, node, 0, 4, "bound to node 0 as well")


def case_ranges_and_files(lab):
    """mbind() of a range, and a tmpfs whose policy names the node: whoever writes, the file is there."""
    a = lab["A"]
    node = node_of(a, 1)
    a.run("echo 3 >/proc/sys/vm/drop_caches")
    a.run("numactl", "--length=40m", "--file=/dev/shm/bound", f"--membind={node}", "--touch")
    _expect(a, node, 40, 44, "mbind() of a shared range")
    a.run("rm /dev/shm/bound")
    _expect(a, node, 0, 4, "a file that is gone")
    a.run(f"mkdir -p /mnt/typed && mount -t tmpfs -o mpol=bind:{node} typed /mnt/typed")
    try:
        a.run("dd if=/dev/zero of=/mnt/typed/file bs=1M count=40 2>/dev/null")
        _expect(a, node, 39, 44, "tmpfs")
    finally:
        a.run("umount /mnt/typed")


def case_moves(lab):
    """move_pages() by tierctl, and migrate_pages(): there and back."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    for kind in "small", "anonymous", "shmem":
        with hog(a, 64, kind) as here:
            _expect(a, node, 0, 4, kind)
            options = ("--shared",) if kind == "shmem" else ()
            a.tierctl("move", "--pid", str(here.pid), "--to", str(node), "--typed", *options)
            _expect(a, node, 62, 72, f"{kind}: move_pages()")
            a.run("migratepages", str(here.pid), str(node), str(own))
            _expect(a, node, 0, 4, f"{kind}: migrate_pages() away")
            _expect(a, own, 62, 100, f"{kind}: migrate_pages() away")
            a.run("migratepages", str(here.pid), str(own), str(node))
            _expect(a, node, 62, 72, f"{kind}: migrate_pages()")


def case_cpuset(lab):
    """One of nothing but the typed node asks for it; one that has it as well does not, but allows to name it."""
    a = lab["A"]
    node = node_of(a, 1)
    # Its memory goes along, and what it takes from then on comes from there.
    with cgroup(a, "typed", cpuset_mems=node), hog(a, 64, "churn") as here:
        before = allocated(a, node)[0]
        a.run(f"echo {here.pid} >{CGROUPS}/typed/cgroup.procs")
        assert here.pages_on(0) < 1 << 8, f"{here.pages_on(0)} pages are left on node 0"
        hits = f"$(awk '/numa_hit/ {{print $2}}' /sys/devices/system/node/node{node}/numastat)"
        a.wait_for(f"[ {hits} -gt {before + (200 << 8)} ]", "allocation from the cpuset's node")
        # It frees all of it again and again.
        assert 0 < used_mib(a, node) < 80, used_mib(a, node)
    with cgroup(a, "both", cpuset_mems=f"0,{node}"):
        with hog(a, 64, "small", within="both"):
            _expect(a, node, 0, 4, "a cpuset that has node 0 too")
        with hog(a, 64, "small", within="both", wrap=("numactl", f"--membind={node}")):
            _expect(a, node, 64, 76, "bound within a cpuset")


def case_huge_pages_of_the_node(lab):
    """Its own pool is filled by name, and given to who is bound to it; nobody else gets any."""
    a = lab["A"]
    node = node_of(a, 1)
    a.run(f"echo 40 >{HUGE.format(node)}")
    sizes = meminfo(a, node)
    assert (sizes["HugePages_Total"], sizes["HugePages_Free"]) == (40, 40), sizes
    with hog(a, 60, "hugetlb", wrap=("numactl", f"--membind={node}")):
        assert meminfo(a, node)["HugePages_Free"] == 10, meminfo(a, node)
    assert meminfo(a, node)["HugePages_Free"] == 40, meminfo(a, node)
    done = a.run("hog", "20", "hugetlb", "1", check=False, timeout=60)
    assert done.code != 0 and "touched" not in done.out, f"somebody else got them: {done.code} {done.out}"
    a.run(f"echo 0 >{HUGE.format(node)}")
    _expect(a, node, 0, 4, "an empty pool")


def _overflow(host, wrap, within=""):
    """Who asks for more than the node has is killed. Those who are bigger, or have asked for their end, live."""
    node = node_of(host, 1)
    with hog(host, 300, "small") as big, hog(host, 60, "small", wrap=("sh", "-c", """
echo 900 >/proc/self/oom_score_adj
exec "$@" """, "sh")) as meek, hog(host, 40, "small", wrap=("numactl", f"--membind={node}")) as bound:
        nodes.mark(host)
        greedy = nodes.Hog(host, (900, "small", 1), wrap, within)
        code = greedy.stream.wait(200)
        killed = nodes.victims(host)
        assert killed == [(greedy.pid, "hog")] and code != 0, f"{wrap}: exit {code}, killed {killed}, not {greedy.pid}"
        assert "touched" not in greedy.stream.text()
        for other in big, meek, bound:
            assert host.run(f"test -d /proc/{other.pid}", check=False).code == 0, f"{other.pid} is gone"
    _expect(host, node, 0, 4, "after all of them")


@deadline(300)
def case_overflow(lab):
    """Bound to the node; and in a cpuset of the node alone."""
    a = lab["A"]
    _overflow(a, ("numactl", f"--membind={node_of(a, 1)}"))


@deadline(300)
def case_overflow_of_a_cpuset(lab):
    a = lab["A"]
    with cgroup(a, "typed", cpuset_mems=node_of(a, 1)):
        _overflow(a, (), within="typed")


def case_preferred_overflows_to_others(lab):
    """A preference is no limit: what does not fit goes elsewhere, and nobody is killed."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    before = a.run("awk '/^oom_kill /{print $2}' /proc/vmstat").out
    with hog(a, 700, "small", wrap=("numactl", f"--preferred={node}")):
        _expect(a, node, 450, 512, "preferred")
    assert a.run("awk '/^oom_kill /{print $2}' /proc/vmstat").out == before
    assert used_mib(a, own) is not None


def case_cgroup_is_reclaimed_from(lab):
    """Page cache on the typed node is charged, and goes by memory.reclaim, and by a lower memory.max."""
    a = lab["A"]
    node = node_of(a, 1)
    read = "find /usr/bin /usr/lib/x86_64-linux-gnu -type f -size +64k | head -n 400 | xargs cat | head -c 120M | wc -c"
    for how in "reclaim", "max":
        a.run("echo 3 >/proc/sys/vm/drop_caches")
        with cgroup(a, "cache", memory_max="max"):
            count = int(a.run("sh", "-c", f"echo $$ >{CGROUPS}/cache/cgroup.procs; exec numactl --membind={node} sh -c "
                              f"'{read}'").out)
            before = used_mib(a, node)
            assert count > 60 << 20 and before > 50, f"read {count >> 20} MiB, {before} MiB are on the node"
            charged = int(a.run("cat", f"{CGROUPS}/cache/memory.current").out) >> 20
            assert charged > before - 5, f"{charged} MiB charged, {before} MiB on the node"
            a.run(f"echo {'30M' if how == 'reclaim' else '20M'} >{CGROUPS}/cache/memory.{how}", check=how == "max")
            after = used_mib(a, node)
            assert after < before - 25, f"memory.{how}: {before} MiB before, {after} MiB after"
    a.run("echo 3 >/proc/sys/vm/drop_caches")

# SPDX-License-Identifier: GPL-2.0-or-later
"""More than there is of everything but typed memory, until the OOM killer comes: not a page of it is on the typed node.

Each mix of hogs has amounts by TIER_SEED. Three of the mixes run, chosen by TIER_SEED; with LAB_ALL=1 all of them run,
for three seeds each.
"""

import os
import random
import tempfile

import ext2
import nodes
from nodes import allocated, node_of, untouched, until_one_dies

SECONDS = 35
KERNEL = "patched"
DEADLINE = 300
SAMPLE = 3
SEED = int(os.environ.get("TIER_SEED", "1"))
SEEDS = range(SEED, SEED + 3) if os.environ.get("LAB_ALL") == "1" else [SEED]
# More than all of the host's memory, the typed node included.
ALL = 2048
DISK, DISK_BYTES = "/mnt/disk", 96 << 20

# What fills ordinary memory: {own} is the private node, the rest are amounts in MiB. What the OOM killer takes must be
# what the memory is used by, so what outlives its process is never all of it.
MIXES = {
    "anonymous": ["hog {all} anonymous 1"],
    "processes": ["hog {high} anonymous 4"],
    "small": ["hog {all} small 1"],
    "shmem": ["hog {all} shmem 1"],
    "tmpfs": ["env HOG_DIRECTORY=/dev/shm hog {mid} file 1", "hog {all} anonymous 1"],
    "dirty": ["hog {low} dirty 1", "hog {all} small 1"],
    "fork": ["hog {few} fork 1"],
    "forks": ["hog {few} fork 1", "hog {few} fork 1", "hog {mid} churn 2"],
    "slab": ["hog {ten} slab 1", "hog {all} anonymous 1"],
    "socket": ["hog {all} socket 1", "hog {all} small 1"],
    "bound_to_others": ["numactl --membind=0,{own} hog {all} anonymous 1"],
    "interleaved": ["numactl --interleave=0,{own} hog {all} small 1"],
    "preferring": ["numactl --preferred={own} hog {all} anonymous 1"],
    "everything": ["hog {ten} slab 1", "hog {low} dirty 1", "env HOG_DIRECTORY=/dev/shm hog {mid} file 1",
                   "hog {mid} churn 2", "hog {few} fork 1", "hog {all} socket 1", "hog {all} shmem 1"],
}


def setup(lab):
    a = nodes.bring_up(lab)
    with tempfile.NamedTemporaryFile() as image:
        image.write(ext2.image(DISK_BYTES))
        image.flush()
        a.push(image.name, "/run/disk")
    a.run(f"truncate -s {DISK_BYTES} /run/disk && mkdir -p {DISK} && mount -o loop /run/disk {DISK}")


def _amounts(name, seed):
    choose = random.Random(f"{seed} {name}").randint
    return {"all": ALL, "high": choose(300, 600), "mid": choose(60, 150), "low": choose(20, 60), "ten": choose(8, 20),
            "few": choose(8, 24)}


def _mix(name, lab):
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    for seed in SEEDS:
        hogs = [hog.format(own=own, **_amounts(name, seed)) for hog in MIXES[name]]
        print(f"# {' & '.join(hogs)}", flush=True)
        hit = allocated(a, own)
        with untouched(a, node, f"seed {seed}: {hogs}"):
            assert until_one_dies(a, *hogs, directory=DISK), f"nothing was killed: {hogs}"
        # Kernel memory alone may be what fills node 0.
        assert allocated(a, own) > hit, f"none went to the private node either: {hogs}"
        a.run("echo 3 >/proc/sys/vm/drop_caches")


def _case(name):
    return lambda lab: _mix(name, lab)


for _name in MIXES:
    globals()[f"case_{_name}"] = _case(_name)


def case_cgroup(lab):
    """Reclaim and the OOM killer of a cgroup, with all of the other memory free and then without."""
    a = lab["A"]
    node = node_of(a, 1)
    for seed in SEEDS:
        amounts = _amounts("cgroup", seed)
        limit = amounts["mid"] // 2
        with nodes.cgroup(a, "hogs", memory_max=f"{limit}M"), untouched(a, node, f"memory.max={limit}M, seed {seed}"):
            # Reclaim is enough for a file.
            with nodes.hog(a, min(90, amounts["mid"]), "file", wrap=("env", f"HOG_DIRECTORY={DISK}"), within="hogs"):
                pass
            assert "oom_kill 0" in a.run(f"cat {nodes.CGROUPS}/hogs/memory.events").out
            assert int(a.run(f"awk '/^max /{{print $2}}' {nodes.CGROUPS}/hogs/memory.events").out) > 0, "no reclaim"
            a.run(f"rm {DISK}/hog-*")
            assert until_one_dies(a, "hog 512 anonymous 1", f"hog {amounts['low']} dirty 1", "hog 300 shmem 1",
                                  within="hogs", directory=DISK), "nothing was killed"
            with nodes.hog(a, 64, "small"):
                assert until_one_dies(a, "hog 8 fork 1", within="hogs"), "nothing was killed"


def case_hugetlb(lab):
    """The pool of the system takes all that it can get, and then a hog the rest."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    pool = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"
    for seed in SEEDS:
        pages = 250 + _amounts("hugetlb", seed)["mid"]
        with untouched(a, node, f"nr_hugepages={pages}, seed {seed}"):
            a.run(f"echo {pages} >/proc/sys/vm/nr_hugepages; echo 100 >/proc/sys/vm/nr_overcommit_hugepages")
            mine, got = (int(a.run("cat", path).out) for path in (pool.format(own), "/proc/sys/vm/nr_hugepages"))
            assert 20 < mine < got, f"{mine} of {got} huge pages are on the private node: the test is blind"
            with nodes.hog(a, got * 2 - 40, "hugetlb"):
                # The rest of the pool, then surplus pages.
                done = a.run("hog", "600", "hugetlb", "1", check=False)
                assert "touched" not in done.out, "there was room for 600 MiB more"
                assert until_one_dies(a, f"hog {ALL} anonymous 1"), "nothing was killed"
            a.run("echo 0 >/proc/sys/vm/nr_hugepages; echo 0 >/proc/sys/vm/nr_overcommit_hugepages")


def case_swap(lab):
    """Swapped out and in again, by way of zswap, until swap is full as well."""
    a = lab["A"]
    node = node_of(a, 1)
    written = "awk '/^pswpout |^zswpout /{sum += $2} END {print sum}' /proc/vmstat"
    a.run("echo 1 >/sys/module/zswap/parameters/enabled; truncate -s 80M /run/swap && chmod 600 /run/swap && "
          "losetup /dev/loop7 /run/swap && mkswap /dev/loop7 >/dev/null && swapon /dev/loop7")
    try:
        for seed in SEEDS:
            amounts = _amounts("swap", seed)
            with untouched(a, node, f"swap, seed {seed}"):
                before = a.run(written).out
                assert until_one_dies(a, f"hog {amounts['mid']} busy 1", f"hog {ALL} small 1"), "nothing was killed"
                assert a.run(written).out != before, "nothing was swapped out"
    finally:
        a.run("swapoff /dev/loop7; losetup -d /dev/loop7; rm /run/swap; echo 0 >/sys/module/zswap/parameters/enabled")


def case_compaction(lab):
    """Huge pages out of fragments, and every node compacted by hand."""
    a = lab["A"]
    with untouched(a, node_of(a, 1), "compaction"), nodes.hog(a, 400, "small"):
        a.run("echo 1 >/proc/sys/vm/compact_memory; echo 100 >/proc/sys/vm/compaction_proactiveness; "
              "echo 60 >/proc/sys/vm/nr_hugepages")
        assert until_one_dies(a, f"hog {ALL} anonymous 2"), "nothing was killed"
        a.run("echo 1 >/proc/sys/vm/compact_memory; echo 0 >/proc/sys/vm/nr_hugepages; "
              "echo 20 >/proc/sys/vm/compaction_proactiveness")

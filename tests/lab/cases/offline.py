# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking a region offline: progress, deadline, who holds what stays, the way back; the daemon goes on meanwhile.

Two regions of a host's own.
"""

import re
import time

import paths
from flying import refused
from holding import PINNER, PINS, Holder, offline
from rules import SOCKET, blocks, call, configure, expect_offline, expect_online

SECONDS = 90
TOPOLOGY = "one-host-two-regions"
FIRST, SECOND = "region-of-serial-1", "region-of-serial-2"
LAKE = "/dev/shm/lake"
FILLER = """
import mmap, signal, os
area = mmap.mmap(-1, 160 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, len(area), 4096):
    area[at] = 1
print("held by", os.getpid(), flush=True)
signal.pause()
"""
HUGE = """
import mmap, signal, os
area = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
for at in range(0, len(area), 4096):
    area[at] = 1
print("held by", os.getpid(), flush=True)
signal.pause()
"""
# Page tables, one for each 2 MiB, and what lies in pipes.
KERNEL_PAGES = """
import mmap, os, signal
area = mmap.mmap(-1, 256 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, len(area), 2 << 20):
    area[at] = 1
ends = [os.pipe() for _ in range(20)]
for _, end in ends:
    os.set_blocking(end, False)
    os.write(end, bytes(65536))
print("held by", os.getpid(), flush=True)
signal.pause()
"""


def node_of(host, region):
    return next(r["target_node"] for r in host.tierctl("list", "regions", "--json").json() if r["name"] == region)


def setup(lab):
    global FIRST, SECOND
    a = lab["A"]
    FIRST, SECOND = a.create_region(1), a.create_region(2)
    # Someone has to hear beats.
    a.run(f"truncate -s 640M {LAKE}")
    a.tierctl("portal", "format", LAKE, "--host", "A", "--host", "B", "--name", "lake")
    configure(a, f"[Portal lake]\nFile={LAKE}\nHost=A\n[Daemon]\nBeatSec=0.2\n")
    a.start_daemon()
    a.tierctl("online", SECOND, "--zone", "movable")


def beats(host):
    portals = call(host, "Portals").json()["portals"]
    return next(h["beats"] for p in portals if p["path"] == LAKE for h in p["hosts"] if h["name"] == "A")


def case_progress(lab):
    """It is told while it goes on, in bytes; 160 MiB of a process go elsewhere and are intact."""
    a = lab["A"]
    with Holder(a, node_of(a, SECOND), FILLER):
        done, progress, report = offline(a, SECOND, check=True)
    assert len(progress) >= 3, done.out
    assert {p["progress"] for p in progress} == {"evacuating"}, progress
    assert all(p["total"] == 512 << 20 and p["unit"] == "bytes" for p in progress), progress
    assert [p["done"] for p in progress] == sorted({p["done"] for p in progress}), progress
    assert progress[-1]["done"] == 512 << 20, progress
    assert any(p["done"] % (128 << 20) for p in progress), f"by whole blocks only: {progress}"
    assert (report["outcome"], report["offline_blocks"], report["held"]) == ("done", 4, None), report
    expect_offline(a, SECOND, "kmem")
    a.tierctl("online", SECOND, "--zone", "movable")


def case_pinned(lab):
    """A block that is held does not keep the others from going; then the deadline is kept, and who holds it is named."""
    a = lab["A"]
    before = blocks(a, SECOND)
    with Holder(a, node_of(a, SECOND), PINNER) as holder:
        done, _, report = offline(a, SECOND, "--keep-partial")
        refused(done, SECOND, f"{PINS} pinned", "3 of its 4 memory blocks went offline and stay so")
        held = report["held"]
        assert report["keep_partial"] and report["offline_blocks"] == 3 and report["stay"] == [held["block"]], report
        states = {block: state for block, (state, _) in blocks(a, SECOND)[0].items()}
        assert [block for block, state in states.items() if state == "online"] == [held["block"]], states

        began = time.monotonic()
        done, _, report = offline(a, SECOND, "--deadline", "6")
        took = time.monotonic() - began
        refused(done, SECOND, "cannot offline memory block", "zone Movable", "within 6 s", f"{PINS} pinned",
                f"pid {holder.pid}", "vmsplice")
        held = report["held"]
        assert report["outcome"] == "timeout" and report["stay"] == [held["block"]], report
        assert held["pages"] == {"pinned": PINS} and held["stay_pages"] == PINS, held
        assert [(p["pid"], p["comm"], p["pages"]) for p in held["processes"]] == [(holder.pid, "python3", PINS)], held
        assert sum(run["pages"] for run in held["runs"]) == PINS, held
        assert (held["block"] << 27) // 4096 <= held["runs"][0]["frame"] < (held["block"] + 1 << 27) // 4096, held
        assert took < paths.patience(30), f"a deadline of 6 s took {took:.0f} s"
    a.tierctl("offline", SECOND)
    expect_offline(a, SECOND, "kmem")
    a.tierctl("online", SECOND, "--zone", "movable")
    assert blocks(a, SECOND) == before


def case_daemon_goes_on(lab):
    """While a block is stuck: beats, answers, another region; not this one. The tool's end puts all back."""
    a = lab["A"]
    before = blocks(a, SECOND)
    with Holder(a, node_of(a, SECOND), PINNER):
        tool = a.start("tierctl", "offline", SECOND, "--deadline", "600", "--json")
        tool.wait_line("progress", 60)
        a.wait_for("grep -q going-offline /sys/devices/system/memory/memory*/state", "block that is being evacuated", 60)
        first = beats(a)
        refused(a.tierctl("online", SECOND, check=False), SECOND, "is being taken offline")
        refused(a.tierctl("offline", SECOND, check=False), SECOND, "is being taken offline")
        a.rescan()
        assert beats(a) > first, "no beat while memory goes offline"
        first = beats(a)
        a.tierctl("online", FIRST, "--zone", "movable")
        expect_online(a, FIRST, "Movable")
        assert beats(a) > first
        assert tool.process.poll() is None, tool.text()
        a.run("pkill -INT -x tierctl")
        assert tool.wait(30) == 1 and "interrupted; what was taken offline is being put back" in tool.text(), tool.text()
        a.wait_for("! pgrep -x tierd-offline", "end of the offline", 90)
        assert blocks(a, SECOND) == before, f"before {before}, after {blocks(a, SECOND)}"
        assert re.search(f"{SECOND}: cancelled", a.daemon.text()), a.daemon.text()[-1000:]


def case_daemon_is_killed(lab):
    """With SIGKILL, in the middle: what was taken is put back all the same, and the next daemon leaves it so."""
    a = lab["A"]
    before = blocks(a, SECOND)
    with Holder(a, node_of(a, SECOND), PINNER):
        tool = a.start("tierctl", "offline", SECOND, "--json")
        a.wait_for("grep -q going-offline /sys/devices/system/memory/memory*/state", "block that is being evacuated", 60)
        a.run('kill -KILL "$(cat /run/cxl-tierd.pid)"')
        assert tool.wait(30) == 1, tool.text()
        a.wait_for("! pgrep -x tierd-offline", "end of the offline", 90)
        assert blocks(a, SECOND) == before, f"before {before}, after {blocks(a, SECOND)}"
    a.daemon.wait(20)
    a.start_daemon()
    assert blocks(a, SECOND) == before


def case_daemon_stops(lab):
    """Its end is no reason to leave something half done; the tool is told."""
    a = lab["A"]
    before = blocks(a, SECOND)
    with Holder(a, node_of(a, SECOND), PINNER):
        tool = a.start("tierctl", "offline", SECOND)
        a.wait_for("grep -q going-offline /sys/devices/system/memory/memory*/state", "block that is being evacuated", 60)
        a.run('kill "$(cat /run/cxl-tierd.pid)"')
        assert tool.wait(90) == 1 and f"{SECOND}: cancelled" in tool.text(), tool.text()
        assert a.daemon.wait(90) == 0
        assert blocks(a, SECOND) == before, f"before {before}, after {blocks(a, SECOND)}"
    a.start_daemon()


def case_hugetlb(lab):
    """Huge pages in use move, too."""
    a = lab["A"]
    node = node_of(a, SECOND)
    pool = f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages"
    a.run(f"echo 4 >{pool}")
    with Holder(a, node, HUGE) as holder:
        offline(a, SECOND, check=True)
        line = next(line for line in a.run(f"cat /proc/{holder.pid}/numa_maps").out.splitlines() if " huge " in line)
        assert re.search(r" N\d+=4 ", line) and f" N{node}=" not in line, line
    a.run("echo 0 >/proc/sys/vm/nr_hugepages")
    expect_offline(a, SECOND, "kmem")
    a.tierctl("online", SECOND, "--zone", "movable")


def case_memory_of_the_daemon(lab):
    """Its pages may lie there; it may not be bound to lie nowhere else."""
    a = lab["A"]
    node = node_of(a, SECOND)
    pid = a.run("cat /run/cxl-tierd.pid").out.strip()
    a.tierctl("move", "--pid", pid, "--to", str(node), "--shared", check=False)
    assert re.search(rf" N{node}=", a.run(f"cat /proc/{pid}/numa_maps").out), "nothing of it lies there"
    offline(a, SECOND, check=True)
    expect_offline(a, SECOND, "kmem")
    assert not re.search(rf" N{node}=", a.run(f"cat /proc/{pid}/numa_maps").out)
    a.tierctl("online", SECOND, "--zone", "movable")
    before = blocks(a, SECOND)
    a.stop_daemon()
    a.daemon = a.start("numactl", f"--membind={node}", "sh", "-c", "echo $$ >/run/cxl-tierd.pid; exec /usr/sbin/cxl-tierd")
    a.wait_for(f"varlinkctl call {SOCKET} io.cxltier.Manager.Ping '{{}}' >/dev/null 2>&1", "answer of cxl-tierd", 60)
    refused(a.tierctl("offline", SECOND, check=False), SECOND, f"cxl-tierd) may use memory of node {node} only", "membind")
    assert blocks(a, SECOND) == before
    a.stop_daemon()
    a.start_daemon()


def case_kernel_pages(lab):
    """In Normal they are counted by what they are. The last one: this block may never go again."""
    a = lab["A"]
    offline(a, SECOND, check=True)
    a.tierctl("online", SECOND, "--zone", "kernel")
    before = blocks(a, SECOND)
    with Holder(a, node_of(a, SECOND), KERNEL_PAGES, "membind"):
        done, _, report = offline(a, SECOND)
        refused(done, SECOND, "cannot offline memory block", "zone Normal", " page tables", "kernel pages cannot move")
        held = report["held"]
        assert report["outcome"] == "busy" and held["zone"] == "Normal", report
        # A few of either may lie elsewhere, on per-CPU lists that were filled before.
        assert held["pages"]["page-table"] > 100 and held["pages"]["kernel"] > 250, held
        assert "pinned" not in held["pages"] and held["stay_pages"] == sum(held["pages"].values()), held
        assert blocks(a, SECOND) == before, f"before {before}, after {blocks(a, SECOND)}"
    a.stop_daemon()

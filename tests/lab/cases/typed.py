# SPDX-License-Identifier: GPL-2.0-or-later
"""A node for every region, typed memory, and nothing that strays onto it: the kernel series, with cxl-tierd on it.

A has a shared device and a private one behind one switch, in one window.
"""

import os
import re
import subprocess

from cases import deadline
from flying import refused

TOPOLOGY = "switched"
KERNEL = "patched"
SETUP_DEADLINE = 400
DEADLINE = 240
CONFIG = "/etc/cxl-tier/cxl-tierd.conf.d/typed.conf"
# Of the shared device a section says that it is one; nobody has formatted a portal on it.
OPENED = "[Region far]\nMatchSerial=1\nType=switched\nOnline=movable\n[Region own]\nMatchSerial=2\nOnline=movable\n"
CLOSED = OPENED.replace("Online=movable", "Online=no")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
CYCLES = 20
IN_USE = "AnonPages", "FilePages", "Slab", "PageTables", "KernelStack"
SOURCE, PROGRAM = "/src/tests/lab/hog.c", "/src/build/lab/hog"


def region_of(host, serial):
    for region in host.tierctl("list", "regions", "--json").json():
        if serial in [device["serial"] for device in region["memdevs"]]:
            return region
    raise AssertionError(f"no region of {serial}")


def node_of(host, serial):
    return region_of(host, serial)["target_node"]


def used_mib(host, node):
    """What is in use on the node, in MiB; None if it has no memory, or has gone with its blocks.

    MemUsed would count what per-CPU lists keep for a while after somebody has freed it.
    """
    text = host.run("cat", f"/sys/devices/system/node/node{node}/meminfo", check=False).out
    if not text:
        return None
    sizes = {name: int(size) for name, size in re.findall(r"(\w+): +(\d+) kB", text)}
    return sum(sizes[name] for name in IN_USE) / 1024 if sizes["MemTotal"] else None


def configure(host, text):
    host.write(CONFIG, text)
    host.run("kill -HUP $(cat /run/cxl-tierd.pid)")
    host.rescan()


def setup(lab):
    if not os.path.exists(PROGRAM) or os.stat(PROGRAM).st_mtime < os.stat(SOURCE).st_mtime:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", PROGRAM + ".new", SOURCE], check=True)
        os.rename(PROGRAM + ".new", PROGRAM)
    a = lab["A"]
    a.push(PROGRAM, "/usr/local/bin/hog")
    a.write(CONFIG, CLOSED)
    for serial in 1, 2:
        a.create_region(serial)


def case_two_regions_in_one_window(lab):
    """Each has a node of its own, online and without memory, which everybody can read."""
    a = lab["A"]
    regions = [region_of(a, serial) for serial in (1, 2)]
    assert regions[0]["window"] == regions[1]["window"], regions
    nodes = [region["target_node"] for region in regions]
    assert len(set(nodes)) == 2 and 0 not in nodes and not any(region["shares_node"] for region in regions), regions
    for region in regions:
        node = region["target_node"]
        told = a.run(*NOBODY, "cat", f"/sys/bus/cxl/devices/{region['name']}/target_node").out.strip()
        assert told == str(node), f"{told} {node}"
        assert used_mib(a, node) is None
        [listed] = [n for n in a.tierctl("list", "nodes", "--json").json() if n["id"] == node]
        assert listed["online"] and not listed["has_cpu"] and not listed["has_memory"], listed


def case_types(lab):
    """From the configuration to the kernel: the shared one is Switched, the private one behind the same switch Local."""
    a = lab["A"]
    a.start_daemon()
    a.rescan()
    for serial, kind in (1, "Switched"), (2, "Local"):
        region = region_of(a, serial)
        assert (region["type"], region["type_by_kernel"]) == (kind, True), region
        told = a.run(*NOBODY, "cat", f"/sys/bus/cxl/devices/{region['name']}/memory_type").out.strip()
        assert told == kind, told
    assert re.search(r"^region\d+ +ram +1G +Switched ", a.tierctl("list").out, re.MULTILINE)
    assert "ok    typed nodes" in a.tierctl("doctor", check=False).out


def case_bad_types(lab):
    a = lab["A"]
    region = region_of(a, 1)["name"]
    for text in "Far", "", "Switched!", "Local Shared":
        done = a.run(f"printf %s '{text}' >/sys/bus/cxl/devices/{region}/memory_type", check=False)
        assert done.code != 0 or not text, text
    assert region_of(a, 1)["type"] == "Switched"


def case_nobody_else_onlines_it(lab):
    """Not by hand, not by the kernel's own policy; cxl-tierd does, as Movable only."""
    a = lab["A"]
    region = region_of(a, 1)
    dax = a.run(f"ls /sys/bus/cxl/devices/{region['name']}/dax_region*/ | grep ^dax[0-9]").out.strip()
    # By hand: daxctl itself refuses where the kernel would online by itself.
    a.run("echo online >/sys/devices/system/memory/auto_online_blocks")
    a.run(f"cd /sys/bus/dax/drivers && echo {dax} >device_dax/unbind && echo {dax} >kmem/new_id; "
          f"test -e kmem/{dax} || echo {dax} >kmem/bind")
    a.run("echo offline >/sys/devices/system/memory/auto_online_blocks")
    node = f"/sys/devices/system/node/node{region['target_node']}"
    assert used_mib(a, region["target_node"]) is None, "the kernel onlined it"
    assert a.run(*NOBODY, "cat", f"{node}/memory_type").out.strip() == "Switched"
    block = a.run(f"ls -d {node}/memory[0-9]* | head -n 1").out.strip()
    for how in "online", "online_movable", "online_kernel":
        done = a.run("bash", "-c", f"echo {how} >{block}/state", check=False)
        assert done.code != 0 and "not permitted" in done.err, f"{how}: exit {done.code}: {done.err}"
    refused(a.tierctl("online", region["name"], "--zone", "kernel", check=False), region["name"], "Switched memory has none")
    assert used_mib(a, region["target_node"]) is None


def case_online_and_listed(lab):
    a = lab["A"]
    configure(a, OPENED)
    node, own = node_of(a, 1), node_of(a, 2)
    assert used_mib(a, node) is not None and used_mib(a, own) is not None, "not online"
    info = a.run("cat", "/proc/pagetypeinfo").out
    line = re.search(rf"^Node +{node}, zone +Movable, type +Switched((?: +\d+)+)", info, re.MULTILINE)
    assert line and sum(map(int, line[1].split())) > 0, info
    heads = re.search(r"^Number of blocks type +(.*)$", info, re.MULTILINE)[1].split()
    switched = [int(dict(zip(heads, counts.split()))["Switched"]) for counts in (
        re.search(rf"^Node {number}, zone +Movable +(\d.*)$", info, re.MULTILINE)[1] for number in (node, own))]
    assert switched == [512, 0], info
    region = region_of(a, 1)["name"]
    done = a.run("bash", "-c", f"echo Local >/sys/bus/cxl/devices/{region}/memory_type", check=False)
    assert done.code != 0 and "busy" in done.err, done.err
    assert region_of(a, 1)["type"] == "Switched"


def _hog(host, mib, kind, processes=1):
    """True if the OOM killer ended it."""
    before = host.run("awk '/^oom_kill /{print $2}' /proc/vmstat").out
    host.run(f"echo 1000 >/proc/self/oom_score_adj; exec hog {mib} {kind} {processes}", check=False, timeout=200)
    host.run("pkill -x hog; rm -f /var/tmp/hog-*; true")
    return host.run("awk '/^oom_kill /{print $2}' /proc/vmstat").out != before


@deadline(400)
def case_hogs_do_not_reach_it(lab):
    """More than there is of everything else; the private node fills, the typed one has not a page."""
    a = lab["A"]
    node, own = node_of(a, 1), node_of(a, 2)
    for mib, kind, processes in (4096, "anonymous", 1), (1200, "anonymous", 4), (4096, "shmem", 1):
        hit = _numa_hit(a, own)
        assert _hog(a, mib, kind, processes), f"{kind}: nothing was killed"
        assert used_mib(a, node) < 1, f"{kind}: {used_mib(a, node)} MiB on the typed node"
        assert _numa_hit(a, node) == 0, f"{kind}: pages were on the typed node"
        assert _numa_hit(a, own) > hit, f"{kind}: none went to the private node either"


def _numa_hit(host, node):
    """Pages that were ever allocated on the node."""
    text = host.run("cat", f"/sys/devices/system/node/node{node}/numastat").out
    return sum(int(count) for count in re.findall(r"^numa_(?:hit|miss) (\d+)", text, re.MULTILINE))


def case_who_names_it_reaches_it(lab):
    a = lab["A"]
    node = node_of(a, 1)
    stream = a.start("numactl", f"--membind={node}", "hog", "100", "anonymous", "1")
    stream.wait_line("touched", 60)
    assert used_mib(a, node) > 100
    stream.kill()
    a.run("pkill -x hog; true")
    # Bound to it, and more than it has: killed inside its policy.
    done = a.run(f"echo 1000 >/proc/self/oom_score_adj; exec numactl --membind={node} hog 1100 anonymous 1", check=False)
    assert done.code != 0 and "touched" not in done.out, done
    stream = a.start("hog", "64", "anonymous", "1")
    stream.wait_line("touched", 60)
    assert used_mib(a, node) < 1, used_mib(a, node)
    pid = a.run("pgrep -x hog").out.split()[0]
    a.tierctl("move", "--pid", pid, "--to", str(node))
    assert used_mib(a, node) > 60
    a.run("migratepages", pid, str(node), "0")
    assert used_mib(a, node) < 1
    stream.kill()
    a.run("pkill -x hog; true")


def case_huge_pages_do_not(lab):
    a = lab["A"]
    node = node_of(a, 1)
    a.run("echo 2000 >/proc/sys/vm/nr_hugepages")
    mine = int(a.run("cat", f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages").out)
    own = int(a.run("cat", f"/sys/devices/system/node/node{node_of(a, 2)}/hugepages/hugepages-2048kB/nr_hugepages").out)
    a.run("echo 0 >/proc/sys/vm/nr_hugepages")
    assert mine == 0, f"{mine} huge pages of the default pool"
    assert own > 0, "the private node got none either: the test is blind"


@deadline(600)
def case_cycles(lab):
    """Create, type, online, use, offline, destroy: nodes and memory come back."""
    a = lab["A"]
    vacant = "cat /sys/bus/cxl/region_nodes_vacant /sys/bus/cxl/region_nodes_stranded"
    configure(a, CLOSED)
    for serial in 1, 2:
        a.tierctl("offline", region_of(a, serial)["name"], "--to-devdax")
    # Decoders of one window are taken down in the order in which they were not set up.
    a.run("cxl", "destroy-region", "-f", region_of(a, 2)["name"])
    before = a.run(vacant).out
    for _ in range(CYCLES):
        region = region_of(a, 1)
        assert region["type"] == "Switched", region
        a.tierctl("online", region["name"], "--zone", "movable")
        stream = a.start("numactl", f"--membind={region['target_node']}", "hog", "64", "anonymous", "1")
        stream.wait_line("touched", 60)
        # While it is in use.
        a.tierctl("offline", region["name"], "--to-devdax")
        stream.kill()
        a.run("pkill -x hog; true")
        a.run("cxl", "destroy-region", "-f", region["name"])
        a.create_region(1)
        a.rescan()
    assert a.run(vacant).out == before, f"{before} then {a.run(vacant).out}"

# SPDX-License-Identifier: GPL-2.0-or-later
"""A node for every region, and types of memory: the kernel series, with cxl-tierd on it.

A has a shared device and a private one behind one switch, in one window. typed-*.py have what else is about typed
memory: what strays and who reaches it, on a host without a switch; firmware and the kernel command line.
"""

import os
import re

import nodes
from cases import deadline
from flying import refused
from nodes import CLOSED, NOBODY, OPENED, configure, hog, meminfo, node_of, region_of, used_mib

SECONDS = 180
ALWAYS = True
KERNEL = "patched"
DEADLINE = 240
# By the daemon's rules every one of them, so that it does not fall behind. A debug kernel takes minutes for each.
CYCLES, DEBUG_CYCLES = 200 if os.environ.get("LAB_ALL") == "1" else 20, 6
# What a region that leaks costs at least: 512 MiB have 8 MiB of struct pages.
LEAK_KIB = 8 << 10


def setup(lab):
    print(f"# {lab.up('A', topology='switched')}", flush=True)
    a = lab["A"]
    nodes.prepare(a)
    a.write(nodes.CONFIG, CLOSED)
    for serial in 1, 2:
        a.create_region(serial)


def case_two_regions_in_one_window(lab):
    """Each has a node of its own, without memory, which everybody can read."""
    a = lab["A"]
    regions = [region_of(a, serial) for serial in (1, 2)]
    assert regions[0]["window"] == regions[1]["window"], regions
    numbers = [region["target_node"] for region in regions]
    assert len(set(numbers)) == 2 and 0 not in numbers and not any(region["shares_node"] for region in regions), regions
    for region in regions:
        told = a.run(*NOBODY, "cat", f"/sys/bus/cxl/devices/{region['name']}/target_node").out.strip()
        assert told == str(region["target_node"]), f"{told} {region}"
        assert used_mib(a, region["target_node"]) is None


def case_its_node_is_online_and_memoryless(lab):
    """From the time when the region has it, before anything is on it, and while no driver has it."""
    a = lab["A"]
    for serial in 1, 2:
        region, node = region_of(a, serial)["name"], node_of(a, serial)
        a.run("bash", "-c", f"""
cd /sys/bus/dax/drivers
for dax in /sys/bus/cxl/devices/{region}/dax_region*/dax[0-9]*; do
    ! [ -e $dax/driver ] || echo ${{dax##*/}} >$dax/driver/unbind
done""")
        online = a.run("cat", "/sys/devices/system/node/online").out.strip()
        listed = [n for n in a.tierctl("list", "nodes", "--json").json() if n["id"] == node and n["online"]]
        assert listed, f"node {node} of {region} is not online: {online}"
        assert not listed[0]["has_cpu"] and not listed[0]["has_memory"], listed
        assert a.run(*NOBODY, "cat", f"/sys/devices/system/node/node{node}/memory_type").out.strip() == "Local"
        assert meminfo(a, node).get("MemTotal") == 0, meminfo(a, node)


def case_types(lab):
    """From the configuration to the kernel: the shared one Switched, the private one behind the same switch Local."""
    a = lab["A"]
    assert all(memdev["behind_switch"] for memdev in a.tierctl("list", "memdevs", "--json").json()), "no switch"
    # A portal's type need not be said: it is behind a switch.
    a.write(nodes.CONFIG, "[Portal far]\nMatchSerial=1\nHost=A\n")
    a.start_daemon()
    a.rescan()
    for serial, kind in (1, "Switched"), (2, "Local"):
        region = region_of(a, serial)
        assert (region["type"], region["type_by_kernel"]) == (kind, True), region
        told = a.run(*NOBODY, "cat", f"/sys/bus/cxl/devices/{region['name']}/memory_type").out.strip()
        assert told == kind, told
    assert re.search(r"^region\d+ +ram +1G +Switched ", a.tierctl("list").out, re.MULTILINE)
    assert "ok    typed nodes" in a.tierctl("doctor", check=False).out
    configure(a, CLOSED)
    assert region_of(a, 1)["type"] == "Switched"


def case_bad_types(lab):
    a = lab["A"]
    region = region_of(a, 1)
    for path in f"/sys/bus/cxl/devices/{region['name']}/memory_type", "/sys/devices/system/node/node0/memory_type":
        for text in "Far", "Switched!", "Local Shared", "shared", "\\n":
            done = a.run("bash", "-c", f"printf '{text}' >{path}", check=False)
            assert done.code != 0 and "Invalid argument" in done.err, f"{path}: {text}: {done.err}"
    # A node with CPUs is this host's, whatever somebody writes.
    done = a.run("bash", "-c", "echo Switched >/sys/devices/system/node/node0/memory_type", check=False)
    assert done.code != 0 and "busy" in done.err, done.err
    assert region_of(a, 1)["type"] == "Switched"
    assert a.run("cat", "/sys/devices/system/node/node0/memory_type").out.strip() == "Local"


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
    refused(a.tierctl("online", region["name"], "--zone", "kernel", check=False), region["name"],
            "Switched memory has none")
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


def case_no_other_type_while_online(lab):
    """Neither by the region nor by the node, while one block is online; and the other type's rows are not there."""
    a = lab["A"]
    region, node = region_of(a, 1)["name"], node_of(a, 1)
    blocks = a.run(f"ls -d /sys/devices/system/node/node{node}/memory[0-9]*").out.split()
    a.run("sh", "-c", 'for b; do echo offline >$b/state; done', "sh", *blocks[1:])
    assert meminfo(a, node)["MemTotal"] == 128 << 10, meminfo(a, node)
    for path in f"/sys/bus/cxl/devices/{region}/memory_type", f"/sys/devices/system/node/node{node}/memory_type":
        for kind in "Local", "Shared":
            done = a.run("bash", "-c", f"echo {kind} >{path}", check=False)
            assert done.code != 0 and "busy" in done.err, f"{path}: {kind}: {done.err}"
    assert region_of(a, 1)["type"] == "Switched"
    # What has been allowed before need not be allowed once more.
    a.run("sh", "-c", 'for b; do echo online >$b/state; done', "sh", *blocks[1:])
    assert meminfo(a, node)["MemTotal"] == 1 << 20, meminfo(a, node)


def case_offline_in_use(lab):
    """What a task has there stays intact, on other nodes; type and permission survive, and the task can come back."""
    a = lab["A"]
    region, node = region_of(a, 1)["name"], node_of(a, 1)
    with hog(a, 100, "small", wrap=("numactl", f"--membind={node}")) as here:
        for _ in range(2):
            assert used_mib(a, node) >= 100, used_mib(a, node)
            a.tierctl("offline", region)
            assert used_mib(a, node) is None, "still online"
            assert region_of(a, 1)["type"] == "Switched"
            pages = a.run(f"grep -o 'N[0-9]*=[0-9]*' /proc/{here.pid}/numa_maps").out
            assert f"N{node}=" not in pages and sum(map(int, re.findall("=(.*)", pages))) > 100 << 8, pages
            a.tierctl("online", region, "--zone", "movable")
            assert region_of(a, 1)["type"] == "Switched" and f"Node {node:4}, zone  Movable, type     Switched" in \
                a.run("cat", "/proc/pagetypeinfo").out
            a.run("migratepages", str(here.pid), "all", str(node))
    # Another type when nothing is online.
    configure(a, CLOSED)
    a.tierctl("offline", region)
    path = f"/sys/bus/cxl/devices/{region}/memory_type"
    a.run(f"echo Shared >{path}")
    assert a.run("cat", f"/sys/devices/system/node/node{node}/memory_type").out.strip() == "Shared"
    a.run(f"echo Switched >{path}")


def case_tier_goes_while_it_is_read(lab):
    """The last memory of a memory tier goes offline, and others read which nodes the tier has: nobody waits for good."""
    a = lab["A"]
    if not a.daemon:
        a.start_daemon()
    configure(a, CLOSED)
    a.tierctl("offline", region_of(a, 1)["name"])
    a.tierctl("online", region_of(a, 2)["name"], "--zone", "movable")
    node, tiers = node_of(a, 2), "/sys/devices/virtual/memory_tiering"
    blocks = f"/sys/devices/system/node/node{node}/memory[0-9]*"
    loop = f"while :; do for file in {tiers}/memory_tier*/nodelist; do read -r list <$file; done; done 2>/dev/null"
    readers = [a.start("nice", "-n", "19", "bash", "-c", loop) for _ in "ab"]
    before = a.run(f"ls -d {tiers}/memory_tier*").out.split()
    for _ in range(3):
        a.run(f"for b in {blocks}; do echo offline >$b/state || exit; done", timeout=60)
        left = a.run(f"ls -d {tiers}/memory_tier*").out.split()
        assert len(left) == len(before) - 1, f"{before}, then {left}"
        a.run(f"for b in {blocks}; do echo online_movable >$b/state || exit; done", timeout=60)
    for reader in readers:
        reader.kill()


def case_type_before_commit(lab):
    """Written to a region that has no node yet, and given to its node."""
    a = lab["A"]
    for serial in 2, 1:
        a.tierctl("offline", region_of(a, serial)["name"], "--to-devdax")
        # Decoders of one window are taken down in the order in which they were not set up.
        a.run("cxl", "destroy-region", "-f", region_of(a, serial)["name"])
    told = a.run(r'''
set -e
cd /sys/bus/cxl/devices
region=$(cat decoder0.0/create_ram_region)
echo $region >decoder0.0/create_ram_region
cat $region/target_node $region/memory_type
echo Shared >$region/memory_type
cat $region/target_node $region/memory_type
echo $region >decoder0.0/delete_region''').out.split()
    assert told == ["-1", "Local", "-1", "Shared"], told


_CYCLES = r'''
set -e
serial=$1 cycles=$2 busy=$3 early=$4
node0=/sys/devices/system/node/node0
ids() { tr '\n' ' ' </sys/bus/cxl/region_nodes_vacant; tr '\n' ' ' </sys/bus/cxl/region_nodes_stranded; }
# What can be used again is not lost, nor is what belongs to processes.
free() {
    kill -STOP $busy
    echo 3 >/proc/sys/vm/drop_caches
    echo 1 >/proc/sys/vm/compact_memory
    cat /proc/sys/vm/stat_refresh
    awk '/MemFree:|KReclaimable:|FilePages:|AnonPages:/ {sum += $4} END {print sum}' $node0/meminfo
    kill -CONT $busy
}
memdev=$(cxl list -M -s $serial | sed -n 's/.*"memdev":"\([^"]*\)".*/\1/p')
for i in $(seq 0 $cycles); do
    echo "cycle $i free $([ $i -ge $early ] && [ $i -lt $((cycles - 2)) ] || free) ids $(ids)"
    [ $i -lt $cycles ] || break
    region=$(cxl create-region -m -t ram -d decoder0.0 $memdev 2>/dev/null | sed -n 's/.*"region":"\([^"]*\)".*/\1/p')
    node=$(cat /sys/bus/cxl/devices/$region/target_node)
    [ $((i % 2)) = 0 ] && kind=Switched || kind=Shared
    echo $kind >/sys/bus/cxl/devices/$region/memory_type
    tierctl online $region --zone movable >/dev/null
    [ "$(cat /sys/devices/system/node/node$node/memory_type)" = $kind ]
    mkfifo /tmp/touched
    numactl --membind=$node hog 64 anonymous 1 >/tmp/touched &
    read word </tmp/touched
    [ "$word" = touched ]
    used=$(awk '/AnonPages:/ {print $4}' /sys/devices/system/node/node$node/meminfo)
    [ "$used" -ge 65536 ]
    # While it is in use.
    tierctl offline $region --to-devdax >/dev/null
    kill -KILL $!
    wait $! || :
    rm /tmp/touched
    cxl destroy-region -f $region >/dev/null 2>&1
done'''


@deadline(3600)
def case_cycles(lab):
    """Create, type, online, use, offline, destroy, while others use ordinary memory: ids and memory come back."""
    a = lab["A"]
    if not a.daemon:
        # This case alone: the others leave no region.
        a.start_daemon()
        for serial in 2, 1:
            a.tierctl("offline", region_of(a, serial)["name"], "--to-devdax")
            a.run("cxl", "destroy-region", "-f", region_of(a, serial)["name"])
    configure(a, "[Region far]\nMatchSerial=1\nOnline=no\n[Region own]\nMatchSerial=2\nOnline=no\n")
    # What is set up once is, in the first ones.
    cycles = DEBUG_CYCLES if "debug" in a.run("uname -r").out else CYCLES
    settled = cycles // 4
    with hog(a, 200, "churn") as busy:
        done = a.run("bash", "-c", _CYCLES, "cycles", "2", str(cycles), str(busy.pid), str(settled + 3), timeout=3500)
    seen = [re.fullmatch(r"cycle (\d+) free (\d*) ids (.*)", line) for line in done.out.splitlines()]
    assert len(seen) == cycles + 1, done.out + done.err
    assert len({line[3] for line in seen}) == 1, f"ids changed: {sorted({line[3] for line in seen})}"
    free = [int(line[2]) for line in seen if line[2]]
    print(f"# free on node 0, in MiB: {' '.join(str(size >> 10) for size in free)}", flush=True)
    # From one to the next the sum goes up and down by 40 MiB; LEAK_KIB in each would be more than what is allowed.
    lost = max(free[settled:settled + 3]) - max(free[-3:])
    allowed = min(max(LEAK_KIB * (cycles - settled) // 2, 48 << 10), 100 << 10)
    assert lost < allowed, f"{lost >> 10} MiB lost in {cycles - settled} cycles: {free}"

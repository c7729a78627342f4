# SPDX-License-Identifier: GPL-2.0-or-later
"""What firmware, devices and the kernel command line say of nodes and types, right or wrong. Each case boots a host.

With LAB_ALL=1, also as many node ids as the kernel can have at all.
"""

import json
import os
import re
import subprocess
import tempfile

import firmware
import nodes
import paths
from cases import deadline
from nodes import meminfo, node_of, region_of, used_mib

SECONDS = 120
KERNEL = "patched"
DEADLINE = 200
MAX_NODES = 1024
TWO = [{"serial": 1, "size": "512M"}, {"serial": 2, "size": "256M"}]
DRAM = 1 << 30


def _boot(lab, name, append="", files=None, **spec):
    """A host of this kind alone; @files: tables that it refers to."""
    for other in lab.names_up():
        subprocess.run([lab.scenario.HOST, "down", other], check=True)
    paths.DEVICES.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file, text in (files or {}).items():
        (paths.DEVICES / file).write_bytes(text)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as topology:
        json.dump({"hosts": {name: {"dram": f"{DRAM >> 20}M", "cxl": TWO, **spec}}}, topology)
        topology.flush()
        print(f"# {lab.up(name, topology=topology.name, options=('--append', append) if append else ())}", flush=True)
    host = lab[name]
    nodes.prepare(host)
    host.start_daemon()
    return host


def _attribute(host, path):
    return host.run("cat", path).out.strip()


def _type_of(host, region):
    return _attribute(host, f"/sys/bus/cxl/devices/{region}/memory_type")


def _warnings(host, pattern):
    return [line for line in host.dmesg().splitlines() if re.search(pattern, line)]


def _expect_typed_memory_works(host, serial=1):
    """The region of that serial number becomes Switched and goes online; who names it gets there, a hog does not."""
    region = region_of(host, serial)
    node = region["target_node"]
    host.run(f"echo Switched >/sys/bus/cxl/devices/{region['name']}/memory_type")
    host.tierctl("online", region["name"], "--zone", "movable")
    assert _attribute(host, f"/sys/devices/system/node/node{node}/memory_type") == "Switched"
    with nodes.untouched(host, node, "a hog"):
        assert nodes.until_one_dies(host, "hog 2048 anonymous 1"), "nothing was killed"
    with nodes.hog(host, 40, "small", wrap=("numactl", f"--membind={node}")):
        assert 40 <= used_mib(host, node) < 48, used_mib(host, node)
    host.tierctl("offline", region["name"], "--to-devdax")


def case_without_srat(lab):
    """Node 0 is the whole machine, and the kernel says so; regions have nodes all the same."""
    host = _boot(lab, "nosrat", srat="none")
    assert _warnings(host, "No NUMA configuration found"), "the firmware had one after all"
    for serial in 1, 2:
        host.create_region(serial)
    numbers = [node_of(host, serial) for serial in (1, 2)]
    assert len(set(numbers)) == 2 and 0 not in numbers, numbers
    _expect_typed_memory_works(host)


def case_srat_has_the_window(lab):
    """Firmware gives the window a proximity domain: the first region is there, the next on a node of its own."""
    # The window lies above memory and a MiB of registers.
    base, size = (4 << 30) + (256 << 20), 4 << 30
    table = firmware.srat(2, [(0, 0, DRAM), (1, base, size)])
    host = _boot(lab, "srat", srat="srat", files={"srat": table})
    assert int(_attribute(host, "/sys/bus/cxl/devices/decoder0.0/start"), 16) == base, "the table is of another window"
    assert _warnings(host, rf"SRAT: Node 1 PXM 1 \[mem {base:#x}-"), "the kernel has not seen the table"
    for serial in 1, 2:
        host.create_region(serial)
    assert node_of(host, 1) == 1 and node_of(host, 2) > 1, (node_of(host, 1), node_of(host, 2))
    _expect_typed_memory_works(host)
    # And the one that has a reserved id.
    _expect_typed_memory_works(host, 2)


def case_window_in_the_domain_of_the_cpus(lab):
    """Firmware puts the window on node 0, which is no place for regions."""
    base, size = (4 << 30) + (256 << 20), 4 << 30
    table = firmware.srat(2, [(0, 0, DRAM), (0, base, size)])
    host = _boot(lab, "srat0", srat="srat0", files={"srat0": table})
    for serial in 1, 2:
        host.create_region(serial)
    numbers = [node_of(host, serial) for serial in (1, 2)]
    assert len(set(numbers)) == 2 and 0 not in numbers, numbers
    _expect_typed_memory_works(host)


def case_number_of_ids_is_wrong(lab):
    """No number, or one that no kernel can have: a warning for each, and the default holds."""
    wrong = f"{MAX_NODES}", "-1", "many", "99999999999999999999", "2x"
    host = _boot(lab, "wrong", append=" ".join(f"cxl_region_nodes={word}" for word in wrong))
    for word in wrong:
        said = _warnings(host, rf"cxl_region_nodes={word} refused")
        assert len(said) == 1 and f"from 0 to {MAX_NODES - 1}; keeping 8" in said[0], f"{word}: {said}"
    vacant = _attribute(host, "/sys/bus/cxl/region_nodes_vacant")
    assert vacant == "2-9", vacant
    host.create_region(1)
    assert node_of(host, 1) == 1


def case_no_ids(lab):
    """cxl_region_nodes=0: as without the series, and said once for each region; a type needs a node of its own."""
    host = _boot(lab, "none", append="cxl_region_nodes=0")
    assert _attribute(host, "/sys/bus/cxl/region_nodes_vacant") == ""
    first, second = host.create_region(1), host.create_region(2)
    regions = [region_of(host, serial) for serial in (1, 2)]
    assert regions[0]["target_node"] == regions[1]["target_node"] == 1 and regions[1]["shares_node"], regions
    said = _warnings(host, "no NUMA node id left")
    assert len(said) == 1 and f"{second}: no NUMA node id left (cxl_region_nodes=), sharing node 1" in said[0], said
    done = host.tierctl("doctor", check=False)
    line = next(line for line in done.out.splitlines() if "nodes of regions" in line)
    assert line.startswith("warn") and first in line and second in line and "node 1" in line, done.out
    assert "cxl_region_nodes=N" in done.out and "nodes of regions" in host.tierctl("list").out, done.out
    # One cannot be told from the other, so neither has a type; each is what it was.
    for region in second, first:
        done = host.run("bash", "-c", f"echo Switched >/sys/bus/cxl/devices/{region}/memory_type", check=False)
        assert done.code != 0 and "busy" in done.err, f"{region}: {done.err}"
        assert _type_of(host, region) == "Local"
    for region in second, first:
        host.tierctl("online", region)
    assert meminfo(host, 1)["MemTotal"] == 768 << 10, meminfo(host, 1)


def case_out_of_ids(lab):
    """One id for three regions in one window; a typed region that would have to share; an id that comes back."""
    three = [{"serial": serial, "size": "256M"} for serial in (1, 2, 3)]
    host = _boot(lab, "few", append="cxl_region_nodes=1", cxl=three)
    names = [host.create_region(serial) for serial in (1, 2, 3)]
    assert [node_of(host, serial) for serial in (1, 2, 3)] == [1, 2, 1], [node_of(host, serial) for serial in (1, 2, 3)]
    assert [region_of(host, serial)["shares_node"] for serial in (1, 2, 3)] == [True, False, True]
    said = _warnings(host, "no NUMA node id left")
    assert len(said) == 1 and names[2] in said[0], said
    host.run(f"echo Shared >/sys/bus/cxl/devices/{names[1]}/memory_type")
    # The first region's node is shared from now on, and stays Local.
    done = host.run("bash", "-c", f"echo Shared >/sys/bus/cxl/devices/{names[0]}/memory_type", check=False)
    assert done.code != 0 and "busy" in done.err, done.err
    # Bound again with a type, the third has no node to go to, and is a device only.
    host.run(f"cd /sys/bus/cxl/devices/{names[2]}; echo {names[2]} >driver/unbind; echo Switched >memory_type; "
             f"echo {names[2]} >/sys/bus/cxl/drivers/cxl_region/bind")
    assert _attribute(host, f"/sys/bus/cxl/devices/{names[2]}/target_node") == "-1"
    assert _type_of(host, names[2]) == "Switched"
    assert _warnings(host, f"{names[2]}: .*node 1 is no place for memory of another type")
    host.run(f"cd /sys/bus/cxl/devices/{names[2]}; echo {names[2]} >driver/unbind")
    # The second one's id is free without it.
    host.run(f"echo {names[1]} >/sys/bus/cxl/devices/{names[1]}/driver/unbind")
    assert _attribute(host, "/sys/bus/cxl/region_nodes_vacant") == "2"
    host.run(f"echo {names[2]} >/sys/bus/cxl/drivers/cxl_region/bind")
    assert _attribute(host, f"/sys/bus/cxl/devices/{names[2]}/target_node") == "2"
    assert _attribute(host, "/sys/devices/system/node/node2/memory_type") == "Switched"


def case_shareable_by_cdat(lab):
    """The device says that hosts can share it: Shared, with nothing configured. And no memory map in what is shared.

    memmap_on_memory is on, and the other region shows that it works.
    """
    files = {"shareable": firmware.cdat(512 << 20, True), "private": firmware.cdat(256 << 20, False)}
    devices = [{**device, "cdat": name} for device, name in zip(TWO, files)]
    host = _boot(lab, "cdat", append="memory_hotplug.memmap_on_memory=1", files=files, cxl=devices)
    names = [host.create_region(serial) for serial in (1, 2)]
    assert [_type_of(host, name) for name in names] == ["Shared", "Local"], [_type_of(host, name) for name in names]
    host.rescan()
    assert [region_of(host, serial)["type"] for serial in (1, 2)] == ["Shared", "Local"], "the daemon has changed it"
    node, own = node_of(host, 1), node_of(host, 2)
    assert _attribute(host, "/sys/module/memory_hotplug/parameters/memmap_on_memory") == "Y"
    for name in names:
        host.tierctl("online", name, "--zone", "movable")
    assert _attribute(host, f"/sys/devices/system/node/node{node}/memory_type") == "Shared"
    assert meminfo(host, node)["MemTotal"] == 512 << 10, f"the memory map is in shared memory: {meminfo(host, node)}"
    # 2 MiB of each block of 128.
    assert meminfo(host, own)["MemTotal"] == 252 << 10, f"the test is blind: {meminfo(host, own)}"
    for name in names:
        host.tierctl("offline", name)
    # The type of what has its memory map inside cannot be changed: another host could write to it.
    done = host.run("bash", "-c", f"echo Shared >/sys/bus/cxl/devices/{names[1]}/memory_type", check=False)
    assert done.code != 0 and "busy" in done.err, done.err
    # Made Local, and typed again after a device has been made for it that would have had its map inside.
    host.tierctl("offline", names[0], "--to-devdax")
    host.run(f"echo Local >/sys/bus/cxl/devices/{names[0]}/memory_type")
    assert _type_of(host, names[0]) == "Local"
    host.run(f"echo Shared >/sys/bus/cxl/devices/{names[0]}/memory_type")
    host.tierctl("online", names[0], "--zone", "movable")
    assert meminfo(host, node)["MemTotal"] == 512 << 10, meminfo(host, node)


@deadline(400)
def all_the_ids_there_are(lab):
    """More than are left, though fewer than the kernel's maximum: as many as there are, with one warning."""
    host = _boot(lab, "most", append=f"cxl_region_nodes={MAX_NODES - 1}", dram="2G")
    said = _warnings(host, "node ids left to reserve")
    assert len(said) == 1 and f"only {MAX_NODES - 2} of {MAX_NODES - 1}" in said[0], said
    for serial in 1, 2:
        host.create_region(serial)
    assert [node_of(host, serial) for serial in (1, 2)] == [1, 2]
    _expect_typed_memory_works(host)


if os.environ.get("LAB_ALL") == "1":
    case_all_the_ids_there_are = all_the_ids_there_are

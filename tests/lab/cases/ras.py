# SPDX-License-Identifier: GPL-2.0-or-later
"""Poison and uncorrectable errors: who is hit is named, the memory is retired for good, and all of it is told."""

import json
import subprocess

from cases import deadline
from errors import hold, media_error, poison, qmp
from flying import refused
from holding import PINNER, Holder
from rules import blocks, call, configure, expect_online

SECONDS = 105
TOPOLOGY = "one-host-two-regions"
BLOCK = 128 << 20
STATE = "/var/lib/cxl-tier"
REGION = "region-of-serial-1"
SECOND = "region-of-serial-2"
VICTIM = {}
RULE = "[Daemon]\nOnline=movable\nRatio=400\n"


def events(host, kind=None):
    found = host.tierctl("events", "--json").json()
    return [event for event in found if kind in (None, event["kind"])]


def await_event(host, kind, text, seconds=60, after=0):
    """The first of the kind with the text, of those that follow the first @after events."""
    host.wait_for(f"tierctl events --json | grep -q '\"kind\" : \"{kind}\"' && "
                  f"tierctl events | tail -n +{after + 1} | grep -F '{text}' >/dev/null",
                  f"event {kind} with {text}", seconds)
    return next(event for event in events(host)[after:] if event["kind"] == kind and text in event["text"])


def start_of(host, region):
    return int(host.run(f"cat /sys/bus/cxl/devices/{region}/resource").out, 16)


def expect_without(host, region, retired):
    """All of its blocks are online in Movable but for these."""
    found, _ = blocks(host, region)
    off = {block for block, (state, _) in found.items() if state != "online"}
    assert off == set(retired), f"{region}: offline are {off}, retired {retired}: {found}"


def await_online(host, region, count):
    """The daemon onlines block after block."""
    first = start_of(host, region) // BLOCK
    last = first + len(blocks(host, region)[0]) - 1
    states = f"/sys/devices/system/memory/memory{{{first}..{last}}}/state"
    host.wait_for(f"[ $(cat {states} 2>/dev/null | grep -c '^online') = {count} ]", f"{count} blocks of {region} online", 60)


def setup(lab):
    global REGION
    a = lab["A"]
    configure(a, RULE)
    a.start_daemon()
    REGION = a.create_region(1)
    await_online(a, REGION, 8)
    expect_online(a, REGION, "Movable")


@deadline(240)
def case_error_names_who_is_hit_and_retires_the_block(lab):
    a = lab["A"]
    holder, pid, address = hold(a, REGION)
    follow = a.start("tierctl", "events", "--follow", "--json")
    dpa, block = address - start_of(a, REGION), address // BLOCK
    assert 0 <= dpa < 1 << 30, f"the page is not in the region: {address:#x}"
    media_error(a, 0, dpa)

    error = await_event(a, "media", f"device address {dpa:#x}")
    assert [user["pid"] for user in error["users"]] == [pid], error
    assert error["users"][0]["comm"] == "python3" and error["region"] == REGION and error["priority"] == "err", error
    assert f"process {pid} (python3) maps it" in error["text"] and f"memory block {block}" in error["text"], error
    await_event(a, "retired", f"memory block {block} evacuated, taken offline")
    expect_without(a, REGION, [block])
    assert f"{REGION}: media error in mem" in a.daemon.text(), "not in the journal"
    lines = [json.loads(follow.next_line(60)) for _ in range(2)]
    assert [line["kind"] for line in lines] == ["media", "retired"], lines
    follow.kill()
    # What was not hit has been moved, and is whole; who reads the page that was hit is told by SIGBUS.
    a.run("rm /run/holder")
    assert holder.wait_line("others", 60) == "others 7"
    assert holder.wait(60) == 128 + 7, f"ended with {holder.process.returncode}: {holder.text()}"
    VICTIM.update(block=block, dpa=dpa, entry=f"0x1:{dpa:#x}")
    shown = a.tierctl("retired", "--json").json()
    assert [(e["id"], e["block"], e["region"], e["online"]) for e in shown] == [
        (VICTIM["entry"], block, REGION, False)], shown
    assert VICTIM["entry"] in a.tierctl("retired").out


def case_plans_leave_it_out_and_a_restart_changes_nothing(lab):
    a = lab["A"]
    before = events(a)
    assert "cxl-tierd reads the kernel's events" in a.tierctl("doctor", check=False).out
    a.stop_daemon()
    # Its trace instance is still there.
    assert "cxl-tierd, which reads the kernel's events, does not answer" in a.tierctl("doctor", check=False).out
    a.start_daemon()
    assert events(a) == before, f"{before} became {events(a)}"
    expect_without(a, REGION, [VICTIM["block"]])
    assert "1 retired memory block stays offline" in a.tierctl("online", REGION).out
    a.tierctl("offline", REGION, "--to-devdax", timeout=240)
    plan = a.tierctl("plan", REGION, "--json").json()
    assert VICTIM["block"] not in [step.get("block") for step in plan["steps"]], plan
    a.tierctl("online", REGION, timeout=240)
    expect_without(a, REGION, [VICTIM["block"]])
    # Once more in the same place: told, and not retired twice.
    media_error(a, 0, VICTIM["dpa"])
    a.wait_for("[ $(tierctl events --json | grep -c '\"kind\" : \"media\"') = 2 ]", "second event")
    assert len(a.tierctl("retired", "--json").json()) == 1


def case_a_list_that_is_damaged_is_refused(lab):
    a = lab["A"]
    a.run(f"cp {STATE}/retired {STATE}/good && sed -i s/0x1/0x2/ {STATE}/retired")
    a.tierctl("offline", REGION, timeout=240)
    refused(a.tierctl("online", REGION, check=False), REGION, "cannot tell which memory is retired",
            "wrong checksum", "good copy")
    a.stop_daemon()
    a.start_daemon()
    assert "no region is onlined until that is mended" in a.daemon.text(), a.daemon.text()
    refused(a.tierctl("retired", check=False), f"{STATE}/retired", "wrong checksum")
    refused(a.tierctl("retire", REGION, "--offset", "0", check=False), f"{STATE}/retired", "wrong checksum")
    a.stop_daemon()
    a.run(f"mv {STATE}/good {STATE}/retired")
    a.start_daemon()
    assert len(a.tierctl("retired", "--json").json()) == 1


def case_by_hand_and_back(lab):
    a = lab["A"]
    a.tierctl("online", REGION, timeout=240)
    first = start_of(a, REGION) // BLOCK
    other = next(b for b in range(first, first + 8) if b != VICTIM["block"])
    offset = (other - first) * BLOCK + 5000
    would = a.tierctl("retire", REGION, "--offset", str(offset), "--dry-run", "--json").json()
    assert would["block"] == other and len(a.tierctl("retired", "--json").json()) == 1, would
    done = a.tierctl("retire", REGION, "--offset", str(offset), "--json", timeout=240).json()
    assert done == would, f"{would} became {done}"
    expect_without(a, REGION, [VICTIM["block"], other])
    refused(a.tierctl("retire", REGION, "--offset", str(offset), check=False), REGION, "retired already")
    refused(a.tierctl("unretire", "0x1:0x7", check=False), "0x1:0x7", "no such entry")
    a.tierctl("unretire", done["id"])
    expect_without(a, REGION, [VICTIM["block"], other])
    a.tierctl("offline", REGION, timeout=240)
    a.tierctl("online", REGION, timeout=240)
    expect_without(a, REGION, [VICTIM["block"]])
    nobody = call(a, "Unretire", {"id": VICTIM["entry"]}, user=("setpriv", "--reuid=65534", "--clear-groups"))
    assert "PermissionDenied" in nobody.err, nobody.err


@deadline(240)
def case_blocks_wait_for_a_region_that_goes_offline(lab):
    """What is hit meanwhile is told, and written down, at once; a request for the device is refused; the block follows."""
    a = lab["A"]
    before = blocks(a, REGION)[0]
    node = next(r["target_node"] for r in a.tierctl("list", "regions", "--json").json() if r["name"] == REGION)
    with Holder(a, node, PINNER) as holder:
        stuck = {address // BLOCK for address in holder.addresses}
        states = " ".join(f"/sys/devices/system/memory/memory{block}/state" for block in stuck)
        tool = a.start("tierctl", "offline", REGION, "--deadline", "600", "--json")
        tool.wait_line("progress", 60)
        # In the same breath: between two attempts it is none.
        a.run("bash", "-c", f"until grep -l going-offline {states}; do read -t 0.05 <> <(:) || :; done", timeout=60)
        other = next(block for block in sorted(before) if block not in stuck | {VICTIM["block"]})
        dpa = (other - start_of(a, REGION) // BLOCK) * BLOCK + 0x3040
        # The block that was retired by hand before may be the same.
        known = len(events(a))
        media_error(a, 0, dpa)
        await_event(a, "retired", "memory is being taken offline, and its memory blocks follow after that", after=known)
        assert f"0x1:{dpa:#x}" in a.run(f"cut -d' ' -f1,2 {STATE}/retired | tr ' ' :").out
        qmp(a, "device_del", id="dev0")
        await_event(a, "unplug-refused", f"{REGION} is being taken offline", 120)
        # Whoever asked has gone, so all is put back.
        a.run("pkill -INT -x tierctl")
        assert tool.wait(60) == 1, tool.text()
        # It may have gone offline with the others, and then has stayed so when they were put back.
        ends = f"memory block {other} (evacuated|retired)|it is not online, and is left out"
        a.wait_for(f"tierctl events | tail -n +{known + 1} | grep -E '{ends}' >/dev/null", f"end of block {other}", 120)
    assert not events(a, "retire-failed"), events(a, "retire-failed")
    await_online(a, REGION, 6)
    expect_without(a, REGION, [VICTIM["block"], other])
    # The page in which it is was given up; that is no other error.
    ids = {entry["id"] for entry in a.tierctl("retired", "--json").json()}
    assert ids == {VICTIM["entry"], f"0x1:{dpa:#x}"}, ids
    assert not events(a, "page"), events(a, "page")
    a.tierctl("unretire", f"0x1:{dpa:#x}")


@deadline(300)
def case_it_is_still_retired_after_a_reboot(lab):
    """Another boot, in which the other device was found first, and has poison that it knew of before."""
    global REGION, SECOND
    a = lab["A"]
    kept = a.run(f"cat {STATE}/retired").out, a.run(f"cat {STATE}/events").out
    a.stop_daemon()
    subprocess.run([lab.scenario.HOST, "down", "A"], check=True)
    lab.up("A", topology=TOPOLOGY)
    # A host of the lab forgets its disk.
    a.write(f"{STATE}/retired", kept[0])
    a.write(f"{STATE}/events", kept[1])
    configure(a, RULE)
    SECOND = a.create_region(2)
    poison(a, 1, 3 * BLOCK + 0x1000, 256)
    a.start_daemon()
    REGION = a.create_region(1)
    await_online(a, REGION, 7)
    await_online(a, SECOND, 3)
    expect_without(a, REGION, [start_of(a, REGION) // BLOCK + VICTIM["dpa"] // BLOCK])
    # Found before its rule was asked, so it never was online.
    expect_without(a, SECOND, [start_of(a, SECOND) // BLOCK + 3])
    told = await_event(a, "poison", f"device address {3 * BLOCK + 0x1000:#x}, 256 bytes")
    assert told["region"] == SECOND and told["users"] == [] and "source Internal" in told["text"], told
    assert "not online, and is left out when the region is" in await_event(a, "retired", "0x2:0x18001000")["text"]
    assert [e["kind"] for e in events(a)][:2] == ["media", "retired"], "the events of before are lost"
    assert len({event["boot"] for event in events(a)}) == 2


def case_what_has_no_address_names_the_device(lab):
    a = lab["A"]
    qmp(a, "cxl-inject-memory-module-event", path="/machine/peripheral/dev0", log="warning", flags=1, type=1,
        sub_type=0, health_status=2, media_status=1, additional_status=0, life_used=5, temperature=40,
        dirty_shutdown_count=0, corrected_volatile_error_count=0, corrected_persistent_error_count=0)
    told = await_event(a, "module", "Media Status Change, PERFORMANCE_DEGRADED, media Not Ready")
    assert told["serial"] == 1 and told["priority"] == "warning" and "region" not in told, told
    assert len(a.tierctl("retired", "--json").json()) == 2


def case_an_extent_of_a_portal_is_granted_no_more(lab):
    """Extent 0 is this host's, and is retired now; extent 2 was retired before there was a portal, and is the other's."""
    a = lab["A"]
    a.tierctl("offline", SECOND, "--to-devdax", timeout=240)
    a.tierctl("portal", "format", SECOND, "--host", "A", "--host", "B")
    a.rescan()
    media_error(a, 1, BLOCK + 0x2000)
    told = await_event(a, "extent", "extent 0 is hit")
    assert told["extent"] == 0 and told["home"] == "A" and "no flight has it; this host retires it" in told["text"], told
    await_event(a, "retired", "extent 0 retired: it was free, and is granted to no flight any more")
    portal = call(a, "Portals").json()["portals"][0]
    assert portal["retiredExtents"] == 1, portal
    # The control area is everybody's: nothing can be taken out of use but all of it.
    media_error(a, 1, 0x3000)
    assert await_event(a, "control-area", "control area, where every host keeps its records")["priority"] == "crit"
    a.tierctl("unretire", f"0x2:{BLOCK + 0x2000:#x}")
    await_event(a, "unretired", "extent 0 is zeroed, and free again")


def in_qemu(lab):
    done = subprocess.run([lab.scenario.HOST, "qmp", "A", "qom-list", "path=/machine/peripheral"], text=True,
                          capture_output=True, check=True)
    return {entry["name"] for entry in json.loads(done.stdout)} & {"dev0", "dev1"}


# Maps a dax device: nothing but this process would notice that the memory goes.
MAPPER = r"""
import mmap, os, signal, sys
m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 2 << 20)
m[0] = 7
print("mapped by", os.getpid(), flush=True)
signal.pause()
"""


@deadline(300)
def case_a_device_that_is_asked_for_is_refused_or_evacuated(lab):
    """The slot's button: who has it mapped keeps the device; when its memory can be evacuated, QEMU gets it."""
    a = lab["A"]
    a.tierctl("offline", REGION, "--to-devdax", timeout=240)
    dax = a.run(f"ls -d /sys/bus/cxl/devices/{REGION}/dax_region*/dax[0-9]*").out.split("/")[-1].strip()
    mapper = a.start("python3", "-I", "-S", "-c", MAPPER, f"/dev/{dax}")
    pid = mapper.wait_line("mapped by", 60).split()[-1]
    qmp(a, "device_del", id="dev0")
    told = await_event(a, "unplug-refused", f"{REGION}: is mapped: process {pid} (python3) maps it", 120)
    assert "stays on, though its removal was asked for" in told["text"], told
    # Longer than the kernel would have waited.
    a.run("timeout", "7", "tail", "-f", "/dev/null", check=False)
    assert in_qemu(lab) == {"dev0", "dev1"} and a.run(f"cat /proc/{pid}/comm").out == "python3\n"
    a.run(f"kill -KILL {pid}")
    mapper.wait(30)
    a.tierctl("online", REGION, timeout=240)
    qmp(a, "device_del", id="dev0")
    await_event(a, "unplugged", "it may be taken out", 120)
    a.wait_for("! cxl list -M | grep -q '\"serial\":1,'", "end of the memdev")
    assert in_qemu(lab) == {"dev1"}
    await_event(a, "gone", "the memdev with serial 0x1 has gone")

# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions that the configuration declares: made at the daemon's start, after a reboot, when a device arrives; or not."""

import json
import subprocess

from cases import deadline
from rules import configure, expect_offline, expect_online, reload
from scenario import HOST

SECONDS = 50
TOPOLOGY = "declared"
DECLARED = """[Region pair]
Create=3 2
InterleaveGranularity=1K
[Region own]
Create=1
Size=256M
Online=movable
"""
LAKE = "[Region lake]\nCreate=1\n[Portal lake]\nMatchSerial=1\nHost=A\n"
# As the first start made them.
LAYOUT = []


def declared(host):
    """{name: what tierctl says of it}"""
    return {d["name"]: d for d in host.tierctl("list", "declared", "--json").json()}


def layout(host):
    """What the kernel has: address, size, devices in their order, granularity of each region."""
    script = r'''
for region in /sys/bus/cxl/devices/region*; do
    [ -e $region ] || continue
    devices=
    for target in $(cat $region/target[0-9]*); do
        port=${target#decoder} port=${port%.*}
        devices="$devices $(($(cat $(readlink -f /sys/bus/cxl/devices/endpoint$port/uport)/serial)))"
    done
    echo "$(cat $region/resource) $(cat $region/size) $(cat $region/interleave_granularity) $(cat $region/commit)$devices"
done'''
    return sorted(host.run("sh", "-c", script).out.splitlines())


def memdev_of(host, serial):
    memdev, = json.loads(host.run("cxl", "list", "-M", "-s", str(serial)).out)
    return memdev["memdev"]


def qmp(host, *commands):
    text = "".join(json.dumps({"execute": name, "arguments": arguments}) + "\n" for name, arguments in commands)
    done = subprocess.run([HOST, "qmp", host.name, "-"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def said(host, name):
    return [line for line in host.daemon.text().splitlines() if line.startswith(f"cxl-tierd: [Region {name}]: ")]


def wait_said(host, name, words):
    """The daemon's output comes over the network: what it has written may not have arrived."""
    host.daemon.wait_text(words, 60)
    assert words in said(host, name)[-1], said(host, name)


def destroy_all(host):
    configure(host, "")
    reload(host)
    host.run("for r in $(ls /sys/bus/cxl/devices | grep '^region'); do cxl destroy-region -f $r || exit; done")
    assert layout(host) == []


def case_dry_run_makes_nothing(lab):
    a = lab["A"]
    configure(a, DECLARED)
    a.start_daemon("--dry-run")
    wait_said(a, "own", "dry run: 256 MiB on")
    assert "would be made a region in decoder0.1" in said(a, "pair")[0], a.daemon.text()
    a.stop_daemon()
    assert layout(a) == []
    shown = declared(a)
    assert [(n, d["state"], d["bytes"]) for n, d in shown.items()] == [
        ("pair", "create", 512 << 20), ("own", "create", 256 << 20)], shown


def case_made_at_start(lab):
    """One device in part, two interleaved in the declared order; the rule of the section applies."""
    a = lab["A"]
    a.start_daemon()
    a.wait_for("tierctl list regions | grep -q ' 256M .* online  *Movable '", "declared region that is online", 60)
    LAYOUT[:] = layout(a)
    assert [line.split(" ", 2)[1:] for line in LAYOUT] == [
        ["0x10000000", f"{256} 1 1"], ["0x20000000", "1024 1 3 2"]], LAYOUT
    shown = declared(a)
    assert [d["state"] for d in shown.values()] == ["exists", "exists"], shown
    expect_online(a, shown["own"]["region"], "Movable")
    expect_offline(a, shown["pair"]["region"], "device_dax")
    listed = json.loads(a.run("cxl", "list", "-R", "-r", shown["pair"]["region"], "-T").out)[0]
    assert listed["interleave_ways"] == 2 and listed["decode_state"] == "commit", listed
    assert [m["memdev"] for m in sorted(listed["mappings"], key=lambda m: m["position"])] == [
        memdev_of(a, 3), memdev_of(a, 2)], listed
    assert a.run("ls /run/cxl-tier/region-unfinished", check=False).code != 0, "the note of its making is left"


def case_restart_changes_nothing(lab):
    a = lab["A"]
    online = a.run("cat /sys/devices/system/memory/memory*/state").out
    a.stop_daemon()
    a.start_daemon()
    wait_said(a, "own", f"is {declared(a)['own']['region']}")
    reload(a)
    assert layout(a) == LAYOUT
    assert a.run("cat /sys/devices/system/memory/memory*/state").out == online


def case_destroyed_by_hand_stays_so(lab):
    """Whoever takes a region away has a reason; the daemon that sees its devices does not make it again."""
    a = lab["A"]
    region = declared(a)["pair"]["region"]
    a.run("cxl", "destroy-region", "-f", region)
    wait_said(a, "pair", "destroyed by somebody")
    a.run("udevadm trigger -s cxl && udevadm settle")
    assert len(layout(a)) == 1
    reload(a)
    assert layout(a) == LAYOUT
    # A daemon that starts knows nothing of it.
    a.run("cxl", "destroy-region", "-f", declared(a)["pair"]["region"])
    a.run("udevadm settle")
    a.stop_daemon()
    assert len(layout(a)) == 1
    a.start_daemon()
    a.wait_for("tierctl list declared | grep -q '^pair  *exists'", "region that a restart makes again", 60)
    assert layout(a) == LAYOUT


def case_waits_for_a_device(lab):
    """One of two devices is unplugged, and its region waits; a new one with that serial number is plugged in."""
    a = lab["A"]
    destroy_all(a)
    # The second device of the topology, below the second root port; the slot's button takes five seconds.
    qmp(a, ("device_del", {"id": "dev1"}))
    a.wait_for("! cxl list -M -s 2 | grep -q serial", "device that has gone", 60)
    configure(a, DECLARED)
    reload(a)
    wait_said(a, "pair", "waits for memory devices that are not there: serial number 0x2")
    assert declared(a)["pair"]["state"] == "waits"
    a.run("udevadm trigger -s cxl && udevadm settle")
    doctor = a.tierctl("doctor", check=False).out
    assert "[Region pair]" in doctor and "0x2" in doctor, doctor
    qmp(a, ("object-add", {"qom-type": "memory-backend-ram", "id": "new", "size": 256 << 20, "share": True}),
        ("device_add", {"driver": "cxl-type3", "id": "new-device", "bus": "rp1", "volatile-memdev": "new", "sn": 2}))
    a.wait_for("tierctl list declared | grep -q '^pair  *exists'", "region of a device that has arrived", 60)
    assert layout(a) == LAYOUT
    assert len([line for line in said(a, "pair") if "waits" in line]) == 1, said(a, "pair")


def case_refused(lab):
    """Too small, and somebody else's region in the way: said once, and nothing is touched."""
    a = lab["A"]
    destroy_all(a)
    configure(a, "[Region big]\nCreate=1\nSize=1G\n")
    reload(a)
    wait_said(a, "big", "is too small: 512M of its 512M are free, and 1G")
    configure(a, "[Region own]\nCreate=1\nSize=256M\n")
    foreign = a.create_region(1)
    reload(a)
    wait_said(a, "own", f"{foreign}, of 512M, is in the way")
    before = layout(a)
    a.run("udevadm trigger -s cxl && udevadm settle")
    a.rescan()
    assert layout(a) == before
    assert f"cxl destroy-region {foreign}" in said(a, "own")[-1], said(a, "own")
    destroy_all(a)


def case_whole_or_nothing(lab):
    """The last step fails: all before it is taken back, said once, and not tried again until a reload; or it cannot be."""
    a = lab["A"]
    bind, delete = "/sys/bus/cxl/drivers/cxl_region/bind", "/sys/bus/cxl/devices/decoder0.1/delete_region"
    a.run("mount", "--bind", "/dev/full", bind)
    configure(a, DECLARED)
    reload(a)
    a.daemon.wait_text("cannot make region", 60)
    for name in "pair", "own":
        assert "bind its driver" in said(a, name)[-1], said(a, name)
    a.run("udevadm trigger -s cxl && udevadm settle")
    assert layout(a) == []
    for decoder in a.run("cat /sys/bus/cxl/devices/decoder*/dpa_size").out.split():
        assert int(decoder, 0) == 0, "a decoder has kept its memory"
    assert a.run("ls /run/cxl-tier/region-unfinished", check=False).code != 0
    a.wait_for("tierctl list declared | grep -q '^pair  *create'", "plan")
    assert [len([line for line in said(a, name) if "bind its driver" in line]) for name in ("pair", "own")] == [1, 1]
    # Nor can it be taken back: it stays noted, and nothing else is begun before it has gone.
    a.run("mount", "--bind", "/dev/full", delete)
    reload(a)
    wait_said(a, "own", "before another is out of the way: region")
    half, = layout(a)
    assert half.endswith(" 0 3 2"), half
    noted = a.run("cat /run/cxl-tier/region-unfinished").out
    a.run("udevadm trigger -s cxl && udevadm settle")
    a.daemon.wait_text("is half made, and cannot be destroyed: No space left on device; no declared region is made", 60)
    assert layout(a) == [half] and a.run("cat /run/cxl-tier/region-unfinished").out == noted
    a.run("umount", bind)
    a.run("umount", delete)
    reload(a)
    a.wait_for("tierctl list declared | grep -q '^pair  *exists'", "region that nothing is in the way of", 60)
    a.daemon.wait_text("was left half made", 60)
    # In another order, if the other one has had its turn before the reload.
    assert {line.split(" ", 1)[1] for line in layout(a)} == {line.split(" ", 1)[1] for line in LAYOUT}, layout(a)
    destroy_all(a)


def case_killed_midway(lab):
    """What a daemon left half made, its successor destroys, and makes it again."""
    a = lab["A"]
    a.stop_daemon()
    # As far as a device's part of the memory: what is noted is what the daemon would have noted.
    a.run(r'''set -e
cd /sys/bus/cxl/devices
name=$(cat decoder0.1/create_ram_region)
echo $name >decoder0.1/create_ram_region
echo 1024 >$name/interleave_granularity; echo 2 >$name/interleave_ways; echo 0x20000000 >$name/size
memdev=$(cxl list -M -s 3 | sed -n 's/.*"memdev":"\([^"]*\)".*/\1/p')
for endpoint in endpoint*; do
    [ "$(basename $(readlink $endpoint/uport))" = $memdev ] && decoder=decoder${endpoint#endpoint}.0
done
echo ram >$decoder/mode; echo 0x10000000 >$decoder/dpa_size; echo $decoder >$name/target0
printf '%s\n' $name $decoder >/run/cxl-tier/region-unfinished''')
    configure(a, DECLARED)
    a.start_daemon()
    a.wait_for("tierctl list declared | grep -q '^pair  *exists'", "region that was half made", 60)
    assert "was left half made" in a.daemon.text(), a.daemon.text()
    assert layout(a) == LAYOUT


@deadline(300)
def case_reboot(lab):
    """The same regions again, at the same place, and a portal in one of them is found and stays offline."""
    a = lab["A"]
    destroy_all(a)
    configure(a, LAKE + DECLARED.split("[Region own]")[0])
    reload(a)
    a.wait_for("tierctl list declared | grep -q '^lake  *exists'", "region of the portal", 60)
    region = declared(a)["lake"]["region"]
    a.wait_for(f"ls /sys/bus/cxl/devices/{region}/dax_region*/ | grep -q '^dax[0-9]'", "its dax device")
    expect_offline(a, region)
    a.tierctl("portal", "format", region, "--host", "A", "--host", "B", "--name", "lake")
    before = layout(a)
    a.control("down")
    lab.up("A", topology=TOPOLOGY)
    assert layout(a) == []
    configure(a, LAKE + DECLARED.split("[Region own]")[0])
    a.start_daemon()
    a.wait_for("tierctl portal show 2>/dev/null | grep -q lake", "portal that was there before the reboot", 60)
    assert layout(a) == before
    expect_offline(a, declared(a)["lake"]["region"], "device_dax")
    expect_offline(a, declared(a)["pair"]["region"], "device_dax")
    lake = declared(a)["lake"]
    assert lake["type"] == "Shared", lake
    # Where the kernel has types, it had this one from the beginning: nobody has had to change it.
    typed = a.run(f"cat /sys/bus/cxl/devices/{lake['region']}/memory_type 2>/dev/null || echo Shared").out.strip()
    assert typed == "Shared" and "its memory is Shared, was" not in a.daemon.text(), a.daemon.text()

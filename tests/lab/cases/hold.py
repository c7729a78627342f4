# SPDX-License-Identifier: GPL-2.0-or-later
"""Dax devices that arrive wait for cxl-tierd: nothing adds a region's memory before it has been looked at."""

from rules import blocks, configure, decision, expect_offline, expect_online, reload

# Additions of memory are counted by a kprobe, which the kernel of kernel/series is built without.
SECONDS = 30
KERNEL = "stock"
DEADLINE = 120
RULE = "[Region own]\nMatchSerial=1\nOnline=movable\n"
MEMORY = "/sys/devices/system/memory"
AUTOPROBE = "/sys/bus/dax/drivers_autoprobe"
TRACING = "/sys/kernel/tracing"
# Memory that firmware has set aside; dax_hmem makes a dax device of it, which is of no CXL region.
ASIDE = "memmap=128M%0x20000000-1+0xefffffff"
REGION = ""


def setup(lab):
    global REGION
    lab.up("A", options=("--dram", "1G", "--append", ASIDE, "--cxl", "serial=1,size=512M"))
    a = lab["A"]
    a.run("modprobe device_dax && modprobe kmem")
    configure(a, "")
    a.start_daemon()
    REGION = a.create_region(1)
    a.rescan()
    a.run("mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; "
          f"echo 'p:hold/add add_memory_driver_managed' >>{TRACING}/kprobe_events && echo 1 >{TRACING}/events/hold/enable")


def held(host):
    return host.run("cat", AUTOPROBE).out.strip() == "0"


def leave(host):
    """The region's dax device goes, as if it had been unplugged."""
    host.run(f"echo {REGION} >/sys/bus/cxl/drivers/cxl_region/unbind; echo >{TRACING}/trace")


def come(host):
    host.run(f"echo {REGION} >/sys/bus/cxl/drivers/cxl_region/bind")


def added(host):
    return int(host.run(f"grep -c 'add: (add_memory_driver_managed' {TRACING}/trace || :").out)


def case_is_not_added_for_the_look(lab):
    """What no rule onlines never is memory."""
    a = lab["A"]
    leave(a)
    come(a)
    a.rescan()
    expect_offline(a, REGION, "device_dax")
    assert added(a) == 0, a.run("cat", f"{TRACING}/trace").out


def case_is_added_once(lab):
    a = lab["A"]
    leave(a)
    configure(a, RULE)
    reload(a)
    come(a)
    a.wait_for(f"[ \"$(cat {MEMORY}/memory*/valid_zones | grep -c '^Movable$')\" = 4 ]", "4 movable blocks", 60)
    expect_online(a, REGION, "Movable")
    assert "onlined in zone Movable by [Region own]" in decision(a, REGION), a.daemon.text()
    assert added(a) == 1, a.run("cat", f"{TRACING}/trace").out
    a.tierctl("offline", REGION)
    configure(a, "")
    reload(a)


def case_the_kernel_cannot_online_a_portal(lab):
    """Also where it onlines whatever is added."""
    a = lab["A"]
    a.tierctl("portal", "format", REGION, "--host", "A", "--host", "B", "--name", "lake")
    leave(a)
    a.run(f"echo online >{MEMORY}/auto_online_blocks")
    come(a)
    a.rescan()
    shown = a.tierctl("portal", "show", "--json").json()
    a.run(f"echo offline >{MEMORY}/auto_online_blocks")
    expect_offline(a, REGION, "device_dax")
    assert added(a) == 0, a.run("cat", f"{TRACING}/trace").out
    assert [portal["name"] for portal in shown] == ["lake"], shown


def others(host):
    """{dax device: driver} of those that are of no region."""
    text = host.run("cd /sys/bus/dax/devices; for d in dax*; do echo $d $(readlink $d/driver | sed 's,.*/,,'); done").out
    mine = blocks(host, REGION)[1]
    found = [line.split() for line in text.splitlines()]
    return {words[0]: words[1] if len(words) > 1 else "none" for words in found if words[0] not in mine}


def case_other_devices_have_their_driver(lab):
    """One of no CXL region gets it from cxl-tierd as the kernel would have given it, also if it is loaded later."""
    a = lab["A"]
    assert held(a)
    hmem = a.run("modprobe dax_hmem; cd /sys/bus/platform/drivers/hmem && ls -d hmem.*").out.strip()
    go, arrive = (f"echo {hmem} >/sys/bus/platform/drivers/hmem/{file}" for file in ("unbind", "bind"))
    # udevd loads it for a device's sake.
    a.run(f"udevadm settle; {go} && modprobe -r kmem && ! grep -q ^kmem /proc/modules && {arrive}")
    name, = others(a)
    driver = f"/sys/bus/dax/devices/{name}/driver"
    a.wait_for(f"[ -e {driver} ]", "driver of the device that came before it", 30)
    a.run(f"{go}; {arrive}")
    a.wait_for(f"[ -e {driver} ]", "driver of the device that came at once", 30)
    assert others(a) == {name: "kmem"}, others(a)
    # By hand it stays without one: only what arrives is cxl-tierd's.
    a.run(f"echo {name} >/sys/bus/dax/drivers/kmem/unbind")
    leave(a)
    come(a)
    a.rescan()
    a.stop_daemon()
    a.start_daemon()
    assert others(a) == {name: "none"}, others(a)


def case_after_a_kill(lab):
    """What arrives waits for the next daemon, or for --release."""
    a = lab["A"]
    a.run("kill -KILL $(cat /run/cxl-tierd.pid)")
    a.daemon.wait(30)
    leave(a)
    come(a)
    assert held(a) and set(blocks(a, REGION)[1].values()) == {"none"}, blocks(a, REGION)
    assert "stay without a driver" in a.tierctl("doctor", check=False).out
    a.start_daemon()
    expect_offline(a, REGION, "device_dax")
    refused = a.run("cxl-tierd --release", check=False)
    assert refused.code == 1 and "another cxl-tierd" in refused.err and held(a), refused
    assert "those that arrive wait for cxl-tierd" in a.tierctl("doctor", check=False).out
    a.run("kill -KILL $(cat /run/cxl-tierd.pid)")
    a.daemon.wait(30)
    # Whatever the configuration says.
    configure(a, "[Daemon]\nNonsense=1\n")
    a.run("cxl-tierd --release")
    assert not held(a)
    a.run("cxl-tierd --release")
    configure(a, "")
    a.start_daemon()
    assert held(a)
    a.stop_daemon()
    assert not held(a)


def case_an_operators_choice_stays(lab):
    a = lab["A"]
    a.run(f"echo 0 >{AUTOPROBE}")
    a.start_daemon()
    leave(a)
    come(a)
    a.rescan()
    expect_offline(a, REGION, "device_dax")
    a.stop_daemon()
    assert held(a)
    a.run(f"echo 1 >{AUTOPROBE}")
    a.start_daemon("--dry-run")
    assert not held(a)
    a.stop_daemon()

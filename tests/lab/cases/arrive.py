# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory arrives by itself, and rules online it: without a new page or process, whole after a kill, DIMMs as well."""

import contextlib
import re

import qmp
from cases import deadline
from rules import blocks, configure, decision, expect_offline, expect_online, reload

SECONDS = 45
DEADLINE = 180
RULE = "[Region own]\nMatchSerial=1\nOnline=movable\n"
MEMORY = "/sys/devices/system/memory"
# Of the daemon, since it was started: pages that it did not have, and those that had to be read as well.
FAULTS = r"""pid=$(cat /run/cxl-tierd.pid) && sed 's/.*) //' /proc/$pid/stat | cut -d' ' -f8,10"""
FORKS = "/sys/kernel/tracing/events/sched/sched_process_fork"
REGION = ""


def setup(lab):
    lab.up("A", options=("--dram", "1G", "--slots", "4", "--maxmem", "8G", "--cxl", "serial=1,size=512M"))
    a = lab["A"]
    configure(a, RULE)
    a.start_daemon()


def again(host):
    """The region's device goes and comes back, as if it had been plugged."""
    host.run(f"tierctl offline {REGION} && echo {REGION} >/sys/bus/cxl/drivers/cxl_region/unbind")
    return f"echo {REGION} >/sys/bus/cxl/drivers/cxl_region/bind"


def await_online(host, count=4):
    host.wait_for(f"[ \"$(cat {MEMORY}/memory*/valid_zones | grep -c '^Movable$')\" = {count} ]",
                  f"{count} movable memory blocks", 60)


def case_nothing_new_is_needed(lab):
    """Onlining needs no page that the daemon does not have, and no other process."""
    global REGION
    a = lab["A"]
    REGION = a.create_region(1)
    await_online(a)
    expect_online(a, REGION, "Movable")
    assert "onlined in zone Movable by [Region own]" in decision(a, REGION), a.daemon.text()
    arrive = again(a)
    # A process that has had children finds its pages write-protected, and NUMA balancing takes them away to look.
    a.stop_daemon()
    a.run("! [ -e /proc/sys/kernel/numa_balancing ] || echo 0 >/proc/sys/kernel/numa_balancing")
    a.start_daemon()
    a.run("mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; echo >/sys/kernel/tracing/trace && "
          f"echo \"parent_pid == $(cat /run/cxl-tierd.pid)\" >{FORKS}/filter && echo 1 >{FORKS}/enable")
    minor, major = map(int, a.run(FAULTS).out.split())
    a.run(arrive)
    await_online(a)
    # Its next answer comes after all that it had to do.
    a.rescan()
    after = list(map(int, a.run(FAULTS).out.split()))
    forks = a.run(f"echo 0 >{FORKS}/enable; grep parent_pid= /sys/kernel/tracing/trace || :").out
    expect_online(a, REGION, "Movable")
    # One is the device's own memory, which it searches for a portal's superblock.
    assert after[0] <= minor + 1 and after[1] == major, f"page faults: {minor} minor, {major} major before, {after} after"
    assert not forks, forks


def _killed_in_the_middle(a):
    """Of an onlining that a part of the device has come through; False if the kernel brings all of it at once."""
    arrive = again(a)
    trap = a.start("bash", "-c", f"""
read -r pid </run/cxl-tierd.pid
echo ready
until grep -q '^Movable$' {MEMORY}/memory*/valid_zones 2>/dev/null
do :; done
kill -KILL "$pid"
echo killed""")
    trap.wait_line("ready", 30)
    a.run(arrive)
    trap.wait_line("killed", 60)
    a.daemon.wait(30)
    online = [block for block, state in blocks(a, REGION)[0].items() if state[0] == "online"]
    # With kmem's state file one write brings all of them, and ends as if nothing had happened.
    at_once = a.run("test -e /sys/bus/dax/devices/dax*/state", check=False).code == 0
    assert 0 < len(online) < 4 or (at_once and len(online) in (0, 4)), f"the kill came too late or too early: {online}"
    return len(online) < 4


@deadline(240)
def case_killed_in_the_middle(lab):
    """The next daemon brings the rest, into the same zone; or takes the beginning back, if it is not to be onlined."""
    a = lab["A"]
    _killed_in_the_middle(a)
    configure(a, RULE.replace("movable", "no"))
    a.start_daemon()
    expect_offline(a, REGION)
    assert "left offline by [Region own]" in decision(a, REGION), a.daemon.text()
    configure(a, RULE)
    reload(a)
    expect_online(a, REGION, "Movable")
    in_parts = _killed_in_the_middle(a)
    # Another rule by now, for what comes next; this device is finished as it was begun.
    configure(a, RULE.replace("movable", "kernel"))
    a.start_daemon()
    await_online(a)
    expect_online(a, REGION, "Movable")
    words = "as an earlier cxl-tierd had begun to" if in_parts else "already online in Movable"
    assert words in decision(a, REGION), a.daemon.text()
    configure(a, RULE)
    reload(a)
    expect_online(a, REGION, "Movable")


def plug(host, number, megabytes):
    with contextlib.closing(qmp.Qmp(host.info()["qmp_socket"])) as monitor:
        monitor.command({"execute": "object-add", "arguments": {
            "qom-type": "memory-backend-ram", "id": f"backend{number}", "size": megabytes << 20}})
        monitor.command({"execute": "device_add", "arguments": {
            "driver": "pc-dimm", "id": f"dimm{number}", "memdev": f"backend{number}"}})


def ordinary(host):
    """{block: (state, zones)} of what is neither early memory, which is all online, nor the region's."""
    region = set(blocks(host, REGION)[0])
    text = host.run(f"cd {MEMORY} && for b in memory[0-9]*; do echo \"${{b#memory}} $(cat $b/state) "
                    "$(cat $b/valid_zones)\"; done").out
    found = {int(line.split()[0]): tuple(line.split(" ", 2)[1:]) for line in text.splitlines()}
    return {block: state for block, state in found.items() if block not in region and block * (128 << 20) >= 4 << 30}


def case_dimm(lab):
    """A DIMM is onlined when it comes; what an operator takes offline stays so, also for the next daemon."""
    a = lab["A"]
    assert not ordinary(a), ordinary(a)
    plug(a, 1, 512)
    await_online(a, 8)
    found = ordinary(a)
    assert set(found.values()) == {("online", "Movable")} and len(found) == 4, found
    # In one run, unless they came so slowly that they were taken for two devices.
    run = rf"memory{min(found)}(-\d+)?: onlined in zone Movable by \[Daemon\] OrdinaryMemory=auto"
    a.daemon.wait_text("OrdinaryMemory=auto", 30)
    assert re.search(run, a.daemon.text()), a.daemon.text()
    a.run(f"echo offline >{MEMORY}/memory{max(found)}/state")
    a.rescan()
    a.stop_daemon()
    a.start_daemon()
    reload(a)
    states = {block: state for block, (state, _) in ordinary(a).items()}
    assert [block for block, state in states.items() if state == "offline"] == [max(found)], states
    # One that comes while there is no daemon, and one under another rule.
    a.stop_daemon()
    plug(a, 2, 256)
    a.wait_for(f"[ $(ls -d {MEMORY}/memory[0-9]* | wc -l) = {8 + len(blocks(a, REGION)[0]) + 6} ]", "second DIMM", 30)
    a.start_daemon()
    assert len([1 for state in ordinary(a).values() if state == ("online", "Movable")]) == 5, ordinary(a)
    configure(a, RULE + "[Daemon]\nOrdinaryMemory=no\n")
    reload(a)
    before = ordinary(a)
    plug(a, 3, 128)
    last = f"memory{max(before) + 1}"
    a.wait_for(f"[ -e {MEMORY}/{last} ]", "third DIMM", 30)
    a.rescan()
    assert ordinary(a) == before | {max(before) + 1: ordinary(a)[max(before) + 1]}, ordinary(a)
    assert ordinary(a)[max(before) + 1][0] == "offline", ordinary(a)
    assert "left offline by [Daemon] OrdinaryMemory=no" in decision(a, last), a.daemon.text()
    configure(a, RULE)
    reload(a)
    assert ordinary(a)[max(before) + 1][0] == "offline", "a reload asked about it again"
    # The way in by hand.
    a.tierctl("online", last)
    assert ordinary(a)[max(before) + 1] == ("online", "Movable"), ordinary(a)


def case_offline_again(lab):
    """All that has come goes offline by name. DIMMs stay so; of the region the rules are asked again."""
    a = lab["A"]
    for block in sorted(ordinary(a), reverse=True):
        a.tierctl("offline", f"memory{block}")
    a.tierctl("offline", REGION)
    reload(a)
    a.stop_daemon()
    a.start_daemon()
    assert {state for state, _ in ordinary(a).values()} == {"offline"}, ordinary(a)
    a.stop_daemon()

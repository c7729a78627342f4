# SPDX-License-Identifier: GPL-2.0-or-later
"""Two regions of a host's own: listed, planned, onlined and taken offline, by hand and by rules, as a whole or not."""

import json
import re

from cases import deadline
from flying import refused
from rules import (DROP_IN, SOCKET, blocks, call, configure, decision, expect_offline, expect_online, objects,
                   reload)

SECONDS = 110
ALWAYS = True
TOPOLOGY = "one-host-two-regions"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# Region names follow the order of probing; the serial number says which is which: 1 has 1 GiB, 2 has 512 MiB.
FIRST, SECOND = "region-of-serial-1", "region-of-serial-2"


def node_of(host, region):
    return next(r["target_node"] for r in host.tierctl("list", "regions", "--json").json() if r["name"] == region)


def setup(lab):
    global FIRST
    a = lab["A"]
    FIRST = a.create_region(1)
    a.start_daemon()


def case_unlisted_region_stays_offline(lab):
    """No rule, no onlining: at the daemon's start, and after every look."""
    a = lab["A"]
    expect_offline(a, FIRST, "device_dax")
    assert "left offline" in decision(a, FIRST), a.daemon.text()
    a.rescan()
    expect_offline(a, FIRST, "device_dax")


def case_rule_onlines_a_region_that_arrives(lab):
    """The region is created while the daemon runs; udev's events are all that it hears of it."""
    global SECOND
    a = lab["A"]
    configure(a, "[Region second]\nMatchSerial=2\nOnline=movable\n")
    reload(a)
    SECOND = a.create_region(2)
    a.wait_for(f"tierctl list regions | grep -q '^{SECOND} .* 512M  *[A-Za-z-]*  *online '", "region that a rule onlines", 60)
    expect_online(a, SECOND, "Movable")
    assert "onlined in zone Movable by [Region second]" in decision(a, SECOND), a.daemon.text()
    expect_offline(a, FIRST, "device_dax")


def case_list_agrees_with_the_kernel(lab):
    """One region online, one devdax; sysfs, cxl and daxctl say the same as the snapshot, in JSON and as text."""
    a = lab["A"]
    topology = a.tierctl("list", "--json").json()

    def every(command):
        return json.loads(a.run(command).out or "[]")

    ours = {m["serial"]: (m["name"], m["ram_bytes"]) for m in topology["memdevs"]}
    theirs = {m["serial"]: (m["memdev"], m["ram_size"]) for m in every("cxl list -M")}
    assert ours == theirs and set(ours) == {1, 2}, f"memdevs: {ours}, cxl says {theirs}"

    ours = {r["name"]: (r["start"], r["bytes"], r["window"], [m["name"] for m in r["memdevs"]])
            for r in topology["regions"]}
    theirs = {r["region"]: (r["resource"], r["size"], d["decoder"], [m["memdev"] for m in r["mappings"]])
              for d in every("cxl list -D -d root -RT") for r in d.get("regions:" + d["decoder"], [])}
    assert ours == theirs and set(ours) == {FIRST, SECOND}, f"regions: {ours}, cxl says {theirs}"

    ours = {d["name"]: (d["bytes"], d["mode"], d["target_node"]) for d in topology["daxs"]}
    theirs = {d["chardev"]: (d["size"], d["mode"], d["target_node"]) for d in every("daxctl list -D")}
    assert ours == theirs, f"dax devices: {ours}, daxctl says {theirs}"

    script = ('cd /sys/devices/system/memory && for m in memory[0-9]*; do read -r s <$m/state; '
              'n=$(echo $m/node[0-9]*); echo "${m#memory} $s ${n##*/node}"; done')
    ours = {b["index"]: (b["state"], b["node"]) for b in topology["blocks"]}
    theirs = {int(i): (s, int(n) if n.isdigit() else None) for i, s, n in
              (line.split() for line in a.run(script).out.splitlines())}
    assert ours == theirs, f"blocks that differ: {set(ours.items()) ^ set(theirs.items())}"

    script = ('cd /sys/devices/system/node && for n in node[0-9]*; do '
              'set -- $(grep MemTotal $n/meminfo); read -r d <$n/distance; '
              'echo "$2 $4;$d;$(cat $n/cpulist)"; done')
    theirs = {}
    for line in a.run(script).out.splitlines():
        first, distances, cpus = line.split(";")
        node, total = map(int, first.split())
        theirs[node] = (total * 1024, [int(d) for d in distances.split()], cpus)
    ours = {n["id"]: (n["total_bytes"], [d["distance"] for d in n["distances"]], n["cpus"])
            for n in topology["nodes"] if n["online"]}
    assert ours == theirs, f"nodes: {ours}, sysfs says {theirs}"
    movable = {n["id"]: n["present_movable_bytes"] for n in topology["nodes"]}
    assert movable[node_of(a, SECOND)] == 512 << 20, movable

    rows = {line.split()[0]: line.split()[1:] for line in a.tierctl("list", "regions").out.splitlines()}
    assert rows[FIRST][:2] == ["ram", "1G"] and rows[FIRST][3] == "devdax", rows
    assert rows[SECOND][:2] == ["ram", "512M"], rows
    assert rows[SECOND][3:6] == ["online", "Movable", str(node_of(a, SECOND))], rows
    types = {region["name"]: region["type"] or "-" for region in topology["regions"]}
    assert [rows[name][2] for name in (FIRST, SECOND)] == [types[name] for name in (FIRST, SECOND)], rows
    rows = {line.split()[0]: line.split()[1:] for line in a.tierctl("list", "memdevs").out.splitlines()}
    assert {name: rows[name][0] for name in rows if name.startswith("mem")} == {
        m["name"]: f"0x{m['serial']:x}" for m in topology["memdevs"]}, rows
    overview = a.tierctl("list").out
    assert FIRST in overview and "New memory stays offline until it is asked for." in overview, overview


def case_resident(lab):
    """What the daemon keeps in memory, locked, since memory comes online when there is none: little enough."""
    a = lab["A"]
    maps = a.run("cat /proc/$(cat /run/cxl-tierd.pid)/maps").out
    resident, locked = (int(a.run(f"sed -n 's/^{name}:\\s*\\([0-9]*\\) kB/\\1/p' "
                                  "/proc/$(cat /run/cxl-tierd.pid)/status").out) for name in ("VmRSS", "VmLck"))
    assert locked > 0, "nothing is locked"
    assert not re.search(r"/lib(cxl|daxctl|crypto)\.", maps), "libcxl is for making regions, and was not asked to"
    if "libasan" not in maps:
        assert resident < 8 << 10, f"{resident} KiB resident"


def case_list_without_privilege(lab):
    """A region's address is everybody's, so nothing is missing."""
    a = lab["A"]
    for words in ("list", "regions"), ("list", "blocks"), ("list", "memdevs"):
        assert a.run(*NOBODY, "tierctl", *words).out == a.tierctl(*words).out, words


def case_offline_and_to_devdax(lab):
    """All blocks go, by the steps of the dry run; --to-devdax hands the device back as well."""
    a = lab["A"]
    before = blocks(a, SECOND)
    planned = a.tierctl("offline", SECOND, "--dry-run", "--json").json()
    assert [s["action"] for s in planned["steps"]] == ["offline"] * 4, planned
    assert blocks(a, SECOND) == before, "a dry run changed something"
    done = objects(a.tierctl("offline", SECOND, "--json").out)[-1]
    assert done.pop("report")["outcome"] == "done" and done == planned, done
    expect_offline(a, SECOND, "kmem")
    assert "offline" in a.tierctl("offline", SECOND).out
    a.tierctl("offline", SECOND, "--to-devdax")
    expect_offline(a, SECOND, "device_dax")
    a.run("test -c /dev/$(ls /sys/bus/cxl/devices/%s/dax_region*/ | grep '^dax[0-9]')" % SECOND)
    # Its rule had its say when it arrived, and does not undo what somebody does by hand.
    assert "onlined" not in decision(a, SECOND), a.daemon.text()


def _online_as_planned(a, region, *options):
    """--dry-run prints, and changes nothing, what is then carried out."""
    before = blocks(a, region)
    planned = a.tierctl("online", region, *options, "--dry-run", "--json").json()
    assert a.tierctl("plan", region, *options, "--json").json() == planned, "plan and --dry-run differ"
    assert blocks(a, region) == before, "a dry run changed something"
    done = a.tierctl("online", region, *options, "--json").json()
    assert done == planned, f"planned {planned}, done {done}"
    return planned


def case_online_is_what_the_plan_says(lab):
    """From a character device and from system RAM that is offline, into either zone."""
    a = lab["A"]
    plan = _online_as_planned(a, SECOND)
    assert plan["decisions"][0]["zone"] == "Movable", plan
    expect_online(a, SECOND, "Movable")
    a.tierctl("offline", SECOND)
    expect_offline(a, SECOND, "kmem")
    plan = _online_as_planned(a, SECOND, "--zone", "movable")
    assert {s["action"] for s in plan["steps"]} == {"online-movable"}, plan
    expect_online(a, SECOND, "Movable")
    # Once more: nothing to do, and no error.
    assert "already online in Movable" in a.tierctl("online", SECOND).out
    expect_online(a, SECOND, "Movable")
    refused(a.tierctl("online", SECOND, "--zone", "kernel", check=False), SECOND, "already online, in zone Movable",
            f"tierctl offline {SECOND}")
    expect_online(a, SECOND, "Movable")


def case_ratio(lab):
    """512 MiB are Movable; another 1 GiB is more than the ratio allows: a kernel zone, or a refusal that has the sum."""
    a = lab["A"]
    present = {"Movable": 0, "kernel": 0}
    for zone, pages in re.findall(r"zone +(\w+)\n.*?\n +present +(\d+)", a.run("cat /proc/zoneinfo").out, re.S):
        present["Movable" if zone == "Movable" else "kernel"] += int(pages) * 4096
    assert present["Movable"] == 512 << 20, present
    after = (present["Movable"] + (1 << 30)) * 100 // present["kernel"]
    before = blocks(a, FIRST)

    refused(a.tierctl("online", FIRST, "--zone", "movable", "--ratio", str(after - 1), check=False), FIRST,
            f"cannot go to Movable: 1.5G movable after this", f"is {after} %, allowed {after - 1} %", "--ratio")
    assert blocks(a, FIRST) == before, "a refusal changed something"
    plan = a.tierctl("plan", FIRST, "--ratio", str(after + 1), "--json").json()["decisions"][0]
    assert (plan["zone"], plan["ratio_percent_after"]) == ("Movable", after), plan

    plan = _online_as_planned(a, FIRST, "--ratio", str(after - 1))["decisions"][0]
    assert plan["zone"] == "Normal" and f"is {after} %, allowed {after - 1} %" in plan["reason"], plan
    expect_online(a, FIRST, "Normal")
    refused(a.tierctl("online", FIRST, "--zone", "movable", check=False), FIRST, "already online, in zone Normal")
    expect_online(a, FIRST, "Normal")


@deadline(240)
def case_offline_is_whole_or_nothing(lab):
    """Kernel pages keep one block; those that had gone before it come back, in the zone that they had."""
    a = lab["A"]
    before = blocks(a, FIRST)
    # What lies in pipes is unmovable, and comes from the first of the node's blocks.
    holder = a.start("numactl", f"--membind={node_of(a, FIRST)}", "python3", "-I", "-S", "-c", """
import os, signal
ends = [os.pipe() for _ in range(100)]
for _, end in ends:
    os.set_blocking(end, False)
    os.write(end, bytes(65536))
print("held by", os.getpid(), flush=True)
signal.pause()
""")
    pid = holder.wait_line("held by", 60).split()[-1]
    result = a.tierctl("offline", FIRST, check=False, timeout=200)
    refused(result, FIRST, "cannot offline memory block", "Normal", "kernel pages")
    block = int(re.search(r"memory block (\d+)", result.err)[1])
    assert block < max(before[0]), f"block {block} was the first to be tried, so nothing had to be undone: {result.err}"
    assert blocks(a, FIRST) == before, f"before {before}, after {blocks(a, FIRST)}"
    a.run(f"kill -KILL {pid}")
    holder.wait(30)


def _partly_online(a, region, zone):
    """One block of several is online by somebody's hand: refused, whatever is asked for, and the others stay."""
    last = max(blocks(a, region)[0])
    a.run(f"echo online_{zone} >/sys/devices/system/memory/memory{last}/state")
    before = blocks(a, region)
    states = sorted(state for state, _ in before[0].values())
    assert states == ["offline"] * (len(states) - 1) + ["online"], before
    words = region, f"partly online: 1 of its {len(states)} memory blocks", f"tierctl offline {region}"
    for options in (), ("--zone", "movable"), ("--zone", "kernel"), ("--dry-run",):
        refused(a.tierctl("online", region, *options, check=False), *words)
        assert blocks(a, region) == before, f"{options}: before {before}, after {blocks(a, region)}"
    # Nor does the daemon do anything about it.
    a.rescan()
    assert blocks(a, region) == before, "the daemon changed something by itself"
    refused(a.tierctl("portal", "format", region, "--host", "A", "--host", "B", check=False), region,
            f"1 of its {len(states)} memory blocks are online", f"tierctl offline {region} --to-devdax")
    assert blocks(a, region) == before, "a refused format changed something"


def case_partly_online(lab):
    a = lab["A"]
    a.tierctl("offline", SECOND)
    _partly_online(a, SECOND, "movable")
    a.tierctl("offline", SECOND, "--to-devdax")
    expect_offline(a, SECOND, "device_dax")


def case_online_is_whole_or_nothing(lab):
    """The kernel refuses the first block, or a later one: what had been done is undone, to the driver."""
    a = lab["A"]
    inject = "/sys/kernel/debug/notifier-error-inject/memory/actions/MEM_GOING_ONLINE/error"
    a.run("modprobe memory-notifier-error-inject")
    first = min(blocks(a, SECOND)[0])
    for driver, wait in ("device_dax", ""), ("device_dax", f"memory{first}"), ("kmem", f"memory{first + 1}"):
        if driver == "kmem":
            a.tierctl("online", SECOND)
            a.tierctl("offline", SECOND)
        expect_offline(a, SECOND, driver)
        # A block takes the emulated kernel a tenth of a second; the loop sees it after some milliseconds.
        trap = a.start("bash", "-c", f"""
echo ready
while [ "{wait}" ] && ! grep -q online /sys/devices/system/memory/{wait}/state 2>/dev/null
do :; done
echo -12 >{inject}
""")
        trap.wait_line("ready", 30)
        if not wait:
            trap.wait(30)
        result = a.tierctl("online", SECOND, check=False)
        a.run(f"echo 0 >{inject}")
        trap.kill()
        block = re.search(r"cannot online memory block (\d+) to Movable: Cannot allocate memory", result.err)
        refused(result, SECOND, "cannot online memory block")
        assert block and (int(block[1]) > first) == bool(wait), f"after {wait or 'nothing'}: {result.err}"
        expect_offline(a, SECOND, driver)
    a.run("modprobe -r memory-notifier-error-inject")
    a.tierctl("offline", SECOND, "--to-devdax")


def case_rule_applies_when_the_daemon_starts(lab):
    """The region was there first."""
    a = lab["A"]
    a.stop_daemon()
    configure(a, "[Region second]\nMatchSerial=2\nOnline=auto\n")
    expect_offline(a, SECOND)
    a.start_daemon()
    expect_online(a, SECOND, "Movable")
    assert "onlined in zone Movable by [Region second]" in decision(a, SECOND), a.daemon.text()
    # A restart finds it online, and leaves it.
    before = blocks(a, SECOND), blocks(a, FIRST)
    a.stop_daemon()
    assert (blocks(a, SECOND), blocks(a, FIRST)) == before, "a stop changed something"
    configure(a, "")
    a.start_daemon()
    assert (blocks(a, SECOND), blocks(a, FIRST)) == before, "a restart changed something"
    a.tierctl("offline", SECOND, "--to-devdax")


def case_rule_that_the_ratio_forbids(lab):
    """Online=movable is a demand: not possible means left offline, and said."""
    a = lab["A"]
    configure(a, "[Daemon]\nRatio=1\n[Region second]\nMatchSerial=2\nOnline=movable\n")
    reload(a)
    expect_offline(a, SECOND)
    assert "cannot go to Movable" in decision(a, SECOND) and "allowed 1 %" in decision(a, SECOND), decision(a, SECOND)
    configure(a, "")
    reload(a)
    assert "left offline" in decision(a, SECOND), decision(a, SECOND)


def case_rival_that_onlines(lab):
    """Somebody has set auto_online_blocks: doctor fails, the daemon warns, and no device is bound under it."""
    a = lab["A"]
    done = a.tierctl("doctor", check=False)
    assert done.code == 0, f"doctor fails before there is a rival: {done.out}"
    before = blocks(a, SECOND)
    a.run("echo online >/sys/devices/system/memory/auto_online_blocks")
    try:
        done = a.tierctl("doctor", check=False)
        line = next(line for line in done.out.splitlines() if "auto_online_blocks" in line)
        assert done.code == 1 and line.startswith("FAIL") and "memhp_default_state=offline" in done.out, done.out
        found = [f for f in a.tierctl("doctor", "--json", check=False).json() if f["verdict"] == "fail"]
        assert [f["object"] for f in found] == ["auto_online_blocks"], found
        a.rescan()
        assert re.search(r'auto_online_blocks: is "online".*tierctl doctor', a.daemon.text()), a.daemon.text()
        refused(a.tierctl("online", SECOND, check=False), SECOND, "the kernel onlines new memory by itself",
                "tierctl doctor")
        assert blocks(a, SECOND) == before, "a refusal changed something"
        assert "onlined by the kernel at once" in a.tierctl("list").out
    finally:
        a.run("echo offline >/sys/devices/system/memory/auto_online_blocks")


def case_wrong_words(lab):
    """One line each: exit 2 for what is no command line, exit 1 for what is not on this host."""
    a = lab["A"]
    before = blocks(a, FIRST), blocks(a, SECOND)
    for words in ("online", SECOND, "--ratio", "half"), ("online", SECOND, "--ratio", "-1"), ("online",), \
            ("online", SECOND, "--ratio", "30%"), ("online", SECOND, "--zone", "dma"), ("offline",), ("onlien", SECOND), \
            ("online", SECOND, "--frobnicate"), ("offline", SECOND, FIRST), ("list", "gardens"), ("explain",), \
            ("move", "--pid", "1", "--to", "0nowhere"), ("move", "--pid", "1", "--to", "0", "--from", "99"):
        result = a.tierctl(*words, check=False)
        assert result.code == 2 and result.err.startswith("tierctl: ") and result.err.count("\n") == 1, \
            f"{words}: exit {result.code}: {result.err}"
        assert not result.out, f"{words}: {result.out}"
    for words in ("online", "region77"), ("online", "region77", "--dry-run"), ("plan", "region77"), \
            ("offline", "region77"), ("offline", "region77", "--dry-run"), ("online", SECOND, "region77"):
        refused(a.tierctl(*words, check=False), "region77", "no such region", "tierctl list regions")
    refused(a.tierctl("move", "--pid", "1", "--to", "nowhere", check=False), "nowhere", "no region")
    refused(a.tierctl("move", "--pid", "1", "--from", "0", "--to", "42", check=False), "42")
    refused(a.tierctl("move", "--pid", "999999", "--from", "0", "--to", str(node_of(a, FIRST)), check=False), "999999")
    assert (blocks(a, FIRST), blocks(a, SECOND)) == before, "a refusal changed something"


def case_without_privilege(lab):
    """Anybody may look; what changes something needs root, at the tool and at the daemon's socket."""
    a = lab["A"]
    before = blocks(a, FIRST), blocks(a, SECOND)
    for words in ("online", SECOND), ("offline", FIRST), ("offline", FIRST, "--to-devdax"):
        refused(a.run(*NOBODY, "tierctl", *words, check=False), words[1], "needs root", "sudo tierctl")
    assert a.run(*NOBODY, "tierctl", "plan", SECOND).out == a.tierctl("plan", SECOND).out
    refused(a.run(*NOBODY, "tierctl", "portal", "format", SECOND, "--host", "A", "--host", "B", check=False), SECOND,
            "needs root", "sudo tierctl")
    denied = {"Online": {"regions": [SECOND]}, "Offline": {"region": FIRST}, "Rescan": {}, "Reload": {},
              "ApplyWeights": {}, "BeginFlight": {"vm": "x", "destination": "B", "ramBytes": 4096},
              "AcceptFlight": {"portal": "x", "source": 0, "sourceSlot": 0, "flight": "0" * 31 + "1"},
              "EndFlight": {"flight": "0" * 31 + "1"}}
    for method, parameters in denied.items():
        result = call(a, method, parameters, NOBODY)
        assert result.code != 0 and "PermissionDenied" in result.err + result.out, f"{method}: {result.out} {result.err}"
    for method, parameters in {"Ping": {}, "GetInfo": {}, "List": {}, "Plan": {"regions": [SECOND]},
                               "Online": {"regions": [SECOND], "dryRun": True}, "Portals": {}, "Flights": {},
                               "Metrics": {}}.items():
        result = call(a, method, parameters, NOBODY)
        assert result.code == 0, f"{method}: {result.out} {result.err}"
    assert (blocks(a, FIRST), blocks(a, SECOND)) == before, "a refusal changed something"


def case_introspection(lab):
    """varlinkctl knows every method, and the daemon's answers fit what it says of them."""
    a = lab["A"]
    text = a.run("varlinkctl", "introspect", SOCKET, "io.cxltier.Manager").out
    methods = set(re.findall(r"^method (\w+)", text, re.M))
    assert {"Ping", "GetInfo", "List", "Plan", "Online", "Offline", "Portals", "Flights", "Offers", "Rescan", "Reload",
            "ApplyWeights", "BeginFlight", "AcceptFlight", "EndFlight", "Events", "Retired", "Retire",
            "Unretire", "Metrics"} == methods, methods
    assert "error PermissionDenied" in text and "error Refused" in text, text
    assert "io.cxltier.Manager" in a.run("varlinkctl", "info", SOCKET).out
    daemons, tools = call(a, "List").json()["topology"], a.tierctl("list", "--json").json()
    differ = [key for key in tools if key != "nodes" and daemons[key] != tools[key]]
    assert not differ, [(daemons[key], tools[key]) for key in differ]
    result = call(a, "Online", {"regions": ["region77"]})
    assert result.code != 0 and "io.cxltier.Manager.Refused" in result.err, result.err
    result = call(a, "Online", {"regions": [SECOND], "zone": "dma"})
    assert result.code != 0 and "InvalidParameter" in result.err, result.err


def case_bad_configuration(lab):
    """An unknown key or a ratio that is no number: file and line, by whoever reads it; what runs goes on as it was."""
    a = lab["A"]
    for line, words in ("Ration=5", ["Ration"]), ("Ratio=half", ["Ratio", "whole number"]), ("Online=perhaps", ["Online"]):
        configure(a, f"[Daemon]\n{line}\n")
        result = call(a, "Reload")
        assert result.code != 0 and f"{DROP_IN}:2" in result.err + result.out, f"{result.out} {result.err}"
        assert a.daemon.text().splitlines()[-1].startswith(f"cxl-tierd: {DROP_IN}:2: "), a.daemon.text()[-500:]
        assert "stays in force" in a.daemon.text().splitlines()[-1], a.daemon.text()[-500:]
        for verb in "plan", "online":
            refused(a.tierctl(verb, SECOND, *(("--dry-run",) if verb == "online" else ()), check=False),
                    f"{DROP_IN}:2", *words)
        result = a.run("cxl-tierd", "--socket", "/run/second.socket", check=False)
        assert result.code == 1 and result.err.count("\n") == 1 and f"{DROP_IN}:2" in result.err, result.err
    assert call(a, "Ping").code == 0, "the daemon is gone"
    configure(a, "")
    reload(a)
    a.stop_daemon()


def case_rival_is_named(lab):
    """A udev rule of the kind that people are told to write; and, without it, somebody's own hand."""
    a = lab["A"]
    rule = "/etc/udev/rules.d/40-vm.rules"
    a.start_daemon()
    a.tierctl("offline", SECOND, "--to-devdax", check=False)
    dax, = blocks(a, SECOND)[1]
    a.write(rule, '# hot-added memory\nSUBSYSTEM=="memory", ACTION=="add", ATTR{state}=="offline", ATTR{state}="online_movable"\n')
    a.run("udevadm control --reload")
    reload(a)
    a.daemon.wait_text(f'{rule}:2: sets the state of new memory blocks to "online_movable"', 60)
    doctor = {f["object"]: f for f in json.loads(a.tierctl("doctor", "--json", check=False).out)}
    assert doctor[f"{rule}:2"]["verdict"] == "fail" and rule in doctor[f"{rule}:2"]["action"], doctor
    assert next(f for name, f in doctor.items() if "daxctl-device.rules" in name)["verdict"] == "ok", doctor
    a.run("daxctl", "reconfigure-device", "--mode=system-ram", "--no-online", dax)
    a.daemon.wait_text(f"{SECOND}: its memory came online", 60)
    assert f"by another hand than cxl-tierd's, most likely by {rule}:2" in decision(a, SECOND), a.daemon.text()
    # It may have some of the blocks' events still before it.
    a.run(f"udevadm settle && rm {rule} && udevadm control --reload && mkdir -p /etc/cron.d && ln -s loop /etc/cron.d/loop")
    a.tierctl("offline", SECOND, "--to-devdax")
    reload(a)
    assert not [n for n in json.loads(a.tierctl("doctor", "--json", check=False).out) if rule in n["object"]]
    a.run("daxctl", "reconfigure-device", "--mode=system-ram", dax)
    # Nobody may read this one, and so nobody knows what it does.
    a.daemon.wait_text("cxl-tierd's, by hand or by /etc/cron.d/loop, which cannot be read", 60)
    expect_online(a, SECOND, "Movable")
    a.tierctl("offline", SECOND, "--to-devdax")
    a.run("rm /etc/cron.d/loop")
    a.stop_daemon()


def case_partly_online_in_a_kernel_zone(lab):
    """The last one, since such a block may never go offline again."""
    a = lab["A"]
    a.start_daemon()
    a.tierctl("online", SECOND)
    a.tierctl("offline", SECOND)
    _partly_online(a, SECOND, "kernel")
    assert "zone Normal" in a.tierctl("online", SECOND, check=False).err
    a.stop_daemon()

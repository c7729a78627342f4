#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl list, plan, online, offline and doctor on a dump, and their refusals.

test-online.py TIERCTL
"""

import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import each_test  # noqa: E402

TIERCTL = os.path.abspath(sys.argv[1])
DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "expanders")
# A chroot for building has no reason to show the machine's own devices.
LIVE = os.path.exists("/sys/devices/system/node")


def run(*arguments, sysroot=DUMP, config="/dev/null", prefix=(), **more):
    options = (["--config", config] if config else []) + (["--sysroot", sysroot] if sysroot else [])
    return subprocess.run([*prefix, TIERCTL, *arguments, *options], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "CXL_TIERD_SOCKET": "/nonexistent"}, **more)


def good(*arguments, **more):
    result = run(*arguments, **more)
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout


def refused(*arguments, status=1, says=(), **more):
    result = run(*arguments, **more)
    assert result.returncode == status, result
    assert result.stdout == "" and result.stderr.count("\n") == 1, result
    assert result.stderr.startswith("tierctl: "), result.stderr
    for word in says:
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"


def test_list():
    text = good("list")
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("region")}
    assert rows["region0"][1:8] == ["ram", "1G", "-", "online", "Movable", "2", "dax0.0"], rows
    assert rows["region1"][1:8] == ["ram", "512M", "-", "offline", "-", "3", "dax1.0"], rows
    assert "(switch)" in rows["region1"] and "(switch)" not in rows["region0"]
    assert "80 ns" in text and "stays offline" in text
    assert max(map(len, text.splitlines())) <= 80, text
    whole = json.loads(good("list", "--json"))
    for kind in ("nodes", "regions", "blocks", "memdevs", "windows"):
        assert len(good("list", kind).splitlines()) > 1
        assert json.loads(good("list", kind, "--json")) == whole[kind], kind


def test_bad_words():
    refused("list", "portals", status=2, says=['"portals"', "regions"])
    refused("explain", status=2)
    refused("explain", "region0", "region1", status=2)
    refused("explain", "region1", "--what-if", "1..2", status=2)
    refused("plan", "--zone", "movable", status=2, says=["--zone needs a REGION"])
    refused("plan", "region1", "--ratio", "x", status=2, says=["--ratio", '"x"'])
    refused("plan", "region1", "--ratio=-1", status=2)
    refused("plan", "region1", "--ratio", "99999999999999999999", status=2)
    refused("plan", "region1", "--zone", "DMA", status=2, says=["movable"])
    for verb in "plan", "explain", "online":
        refused(verb, "region1", "--ratio", "10001", status=2, says=["10000", "10001"])
    for word in "200", "200..", "..500", "200...500", "200..500x", "200..10001", "-1..5":
        refused("plan", "--what-if=" + word, status=2, says=[f'"{word}"', "200..500"])
    refused("plan", "--what-if", "500..200", status=2, says=["lower one comes first", "200..500"])
    for word in "", "0", "16X", "16G@", "16G@3", "16G@node", "16G@node1024", "1" * 40, "8192T":
        refused("plan", "--add=" + word, status=2, says=[f'"{word}"', "16G@node3"])
    refused("offline", "region0", "region1", status=2)
    for word in "0", "604801", "-1", "1.5", "soon":
        refused("offline", "region0", "--deadline=" + word, status=2, says=["deadline"])
    refused("list", sysroot="/nonexistent", says=["/nonexistent"])


def test_plan():
    text = good("plan", "region1")
    assert "512M would go to Movable" in text and "75 %, allowed 301 %" in text, text
    text = good("plan", "region1", "--ratio", "60")
    assert "512M would go to Normal" in text, text
    plan = json.loads(good("plan", "region1", "--json"))
    assert plan == json.loads(good("online", "region1", "--dry-run", "--json"))
    assert plan["decisions"][0]["zone"] == "Movable" and plan["decisions"][0]["bytes"] == 512 << 20
    assert [(s["action"], s["block"]) for s in plan["steps"]] == [("online-movable", n) for n in range(210, 214)]
    assert "nothing to do: already online in Movable" in good("plan", "region0")


def changed(directory, name, text):
    """A file of a copy of the dump."""
    os.makedirs(os.path.dirname(f"{directory}/{name}"), exist_ok=True)
    with open(f"{directory}/{name}", "w", encoding="ascii") as file:
        file.write(text)


MEMINFO = """MemTotal:        4194304 kB
MemFree:         2097152 kB
KernelStack:       10240 kB
PageTables:        20480 kB
Slab:             163840 kB
SReclaimable:     122880 kB
VmallocUsed:        8192 kB
Percpu:             2048 kB
"""


def test_plan_of_the_machine():
    """What the configuration wants, refusals among it, what comes next, and what the machine bears."""
    text = good("plan")
    assert "Now: 1G movable against 2.0G kernel; allowed 301 %" in text, text
    assert "region1: nothing to do: left as it is: Online=no by [Daemon]" in text, text
    assert "tierctl explain region0" in text and "not known: /proc/meminfo" in text, text
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        changed(directory, "proc/meminfo", MEMINFO)
        changed(directory, "proc/vmstat", "nr_memmap_pages 4096\nnr_memmap_boot_pages 8190\n")
        rules = directory + "/etc/cxl-tier/cxl-tierd.conf"
        changed(directory, "etc/cxl-tier/cxl-tierd.conf",
                "[Daemon]\nRatio=60\nOnline=auto\n[Region second]\n"
                "MatchPath=/sys/bus/cxl/devices/region1\nOnline=movable\nWeight=7\n")
        text = good("plan", sysroot=directory, config=None)
        assert "region1: refused: cannot go to Movable: " in text and "75 %, allowed 60 %" in text, text
        assert "region0: nothing to do: already online in Movable" in text, text
        whole = json.loads(good("plan", "--json", sysroot=directory, config=None))
        assert [(d["region"], d["refused"]) for d in whole["decisions"]] == [("region1", True), ("region0", False)]
        assert whole["steps"] == [] and "what_if" not in whole, whole
        bears = whole["bearing"]
        mib = 1 << 20
        assert (bears["page_tables_bytes_per_gib"], bears["slab_bytes_per_gib"], bears["other_bytes_per_gib"]) == (
            10 * mib, 20 * mib, 10 * mib), bears
        # 48 MiB of struct pages (less two pages) for 2047.5 + 1024 MiB.
        assert 15 * mib < bears["memmap_bytes_per_gib"] < 17 * mib, bears
        assert "per GiB in use: page tables 10M, slab 20M, other 10M" in text, text
        assert f"bears {bears['least_percent']} %" in text and bears["least_percent"] < bears["most_percent"], text
        # The limit of an answer is said, too.
        assert "more than half" not in text
        changed(directory, "proc/meminfo", MEMINFO.replace("2097152", "3097152"))
        assert "more than half of its memory is free" in good("plan", sysroot=directory, config=None)
        # The kernel's default ratio is more than 100 MiB of slab per GiB allow.
        changed(directory, "proc/meminfo", MEMINFO.replace("20480", "920480"))
        assert "allows more than that" in good("plan", "--ratio", "9999", sysroot=directory, config=None)
        # Two lines that contradict each other: nobody plans with them.
        changed(directory, "etc/cxl-tier/cxl-tierd.conf", "[Daemon]\nRatio=0\nOnline=movable\n")
        for words in ("plan",), ("plan", "region1"), ("explain", "region1"), ("online", "region1", "--dry-run"):
            refused(*words, sysroot=directory, config=None, says=[f"{rules}:3", f"Ratio=0 ({rules}:2)"])


def test_weights():
    """A rule's weight counts for the regions that are named, too."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        for block in json.loads(good("list", "blocks", "--json")):
            if block["zone"] == "Movable":
                path = f"sys/devices/system/memory/memory{block['index']}"
                changed(directory, f"{path}/state", "offline\n")
                changed(directory, f"{path}/valid_zones", "Normal Movable\n")
        # By zoneinfo 1 GiB is Movable already: with region0 2 GiB to 2.5 GiB, with region1 1.5 GiB to 3 GiB.
        for weight, movable in (100, "region0"), (1000, "region1"):
            changed(directory, "etc/cxl-tier/cxl-tierd.conf", "[Daemon]\nRatio=81\n[Region second]\n"
                    f"MatchPath=/sys/bus/cxl/devices/region1\nWeight={weight}\n")
            for words in ("plan",), ("online", "--dry-run"):
                plan = json.loads(good(*words, "region0", "region1", "--json", sysroot=directory, config=None))
                zones = {d["region"]: d["zone"] for d in plan["decisions"]}
                assert zones == {"region0": "Normal", "region1": "Normal", movable: "Movable"}, (weight, words, zones)


def test_what_if():
    ranges = json.loads(good("plan", "region1", "--what-if", "0..10000", "--json"))["what_if"]
    assert [(r["low_percent"], r["high_percent"]) for r in ranges] == [(0, 75), (76, 10000)], ranges
    assert [r["regions"] for r in ranges] == [[{"region": "region1", "zone": zone}] for zone in ("Normal", "Movable")]
    assert [r["movable_bytes"] >> 20 for r in ranges] == [1024, 1536]
    # Each side of the border, as a plan of its own.
    for ratio, zone in ("75", "Normal"), ("76", "Movable"):
        assert json.loads(good("plan", "region1", "--ratio", ratio, "--json"))["decisions"][0]["zone"] == zone
    text = good("plan", "region1", "--what-if", "200..500")
    assert "  200 ..   500 %  1.5G movable, 2.0G kernel: region1 Movable" in text, text
    assert "At another ratio" not in good("plan", "region1")


def test_arrivals():
    words = ("plan", "region1", "--add", "16G@node3", "--add", "1G@node0")
    whole = json.loads(good(*words, "--json"))
    assert [(d["region"], d["zone"], d["arrival"]) for d in whole["decisions"]] == [
        ("region1", "Movable", False), ("new0", "Normal", True), ("new1", "Movable", True)], whole
    # 16 GiB feed the kernel, and so there is more room afterwards.
    assert whole["decisions"][2]["kernel_bytes_before"] == whole["decisions"][0]["kernel_bytes_before"] + (16 << 30)
    rule = {a["region"]: {(k["online_policy"], k["numa_aware"]): k["zone"] for k in a["kernel_rule"]}
            for a in whole["arrivals"]}
    assert set(rule["new0"].values()) == {"Normal"}, rule
    assert rule["new1"]["auto-movable", True] == rule["new1"]["auto-movable", False] == "Movable", rule
    text = good(*words)
    assert "new0: 16G that comes would go to Normal" in text and "17.5G movable after this" in text, text
    assert "The kernel by itself would put new1" in text and "auto-movable, 301 %, numa_aware=Y" in text, text
    assert "gets none of it Movable" not in text, text
    assert "gets none of it Movable" in good("plan", "region1", "--add", "1G@node3")


def test_explain():
    text = good("explain", "region1")
    for words in ("region1: 512M on node 3, which has no CPUs; offline", "Rule: [Daemon] Online=no (the default)",
                  "It would go to Movable: 512M", "75 %, allowed 301 %", "    0 ..    75 %  Normal",
                  "   76 .. 10000 %  Movable", "contig-zones                           Normal (as it is set)",
                  "auto-movable, 301 %, numa_aware=Y      Normal", "auto-movable, 301 %, numa_aware=N      Movable",
                  "gets none of it Movable", "allowed           6.0G  301 % of that",
                  "left              4.5G"):
        assert words in text, f"{words!r} is not in {text}"
    assert max(map(len, text.splitlines())) <= 110, text
    text = good("explain", "region1", "--ratio", "60")
    assert "It would go to Normal: 512M" in text and "75 %, allowed 60 %" in text, text
    # One that is online: what it is now, and what would be if it came now.
    text = good("explain", "region0")
    for words in ("8 of its 8 memory blocks of 128M are online, in Movable", "It can be taken offline",
                  "If it came now, it would go to Movable: 1G", "   51 .. 10000 %  Movable"):
        assert words in text, f"{words!r} is not in {text}"
    whole = json.loads(good("explain", "region0", "--json"))
    assert (whole["online_zone"], whole["online_blocks"], whole["zone"]) == ("Movable", 8, "Movable"), whole
    assert whole["movable_bytes_before"] == 0 and whole["bearing"] is None and whole["rule"] == "[Daemon]", whole
    assert [k["zone"] for k in whole["kernel_rule"]] == ["Normal", "Normal", "Movable"], whole
    assert [(r["low_percent"], r["regions"][0]["zone"]) for r in whole["what_if"]] == [(0, "Normal"), (51, "Movable")]
    refused("explain", "region9", says=["region9", "no such region", "tierctl list regions"])


def test_explain_by_rules():
    """The rule's own line; two regions looked at together; one in a kernel zone; one that is refused."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        rules = directory + "/etc/cxl-tier/cxl-tierd.conf"
        changed(directory, "etc/cxl-tier/cxl-tierd.conf",
                "[Region second]\nMatchPath=/sys/bus/cxl/devices/region1\nWeight=7\nOnline=kernel\n")
        text = good("explain", "region1", sysroot=directory, config=None)
        assert f"Rule: [Region second] Online=kernel ({rules}:4), Weight=7" in text, text
        assert "It would go to Normal: 512M" in text and "a kernel zone was asked for" in text, text
        changed(directory, "etc/cxl-tier/cxl-tierd.conf",
                "[Portal lake]\nMatchPath=/sys/bus/cxl/devices/region1\n")
        assert "Rule: [Portal lake] names it: never onlined as a whole" in good(
            "explain", "region1", sysroot=directory, config=None)
        for block in range(210, 214):
            path = f"{directory}/sys/devices/system/memory/memory{block}"
            changed(path, "state", "online\n")
            changed(path, "valid_zones", "Normal\n")
        text = good("explain", "region1", sysroot=directory)
        assert "are online, in Normal" in text and "feeds the kernel's own allocations" in text, text
        os.unlink(directory + "/sys/bus/dax/devices/dax1.0")
        text = good("explain", "region1", sysroot=directory)
        assert "It is refused: cannot be onlined: it has no dax device; modprobe dax_cxl" in text, text
        assert "not known: without an address and a node" in text, text


def test_plan_refusals():
    refused("plan", "region9", says=["region9", "no such region", "tierctl list"])
    refused("plan", "region1", "region9", says=["region9"])
    refused("plan", "region0", "--zone", "kernel", says=["already online, in zone Movable", "tierctl offline region0"])
    refused("plan", "region1", "--zone", "movable", "--ratio", "60", says=["75 %, allowed 60 %", "--ratio"])
    refused("plan", "region1", "region1", says=["more than once"])


def test_offline_plan():
    steps = json.loads(good("offline", "region0", "--to-devdax", "--dry-run", "--json"))["steps"]
    assert [s["block"] for s in steps] == list(range(185, 177, -1)) + [None]
    assert steps[-1]["action"] == "bind-devdax"
    assert "nothing to do" in good("offline", "region1", "--dry-run")


def test_a_dump_is_never_changed():
    refused("online", "region1", status=2, says=["dump"])
    refused("offline", "region0", status=2, says=["dump"])


def test_unprivileged():
    if os.geteuid() != 0 or not LIVE:
        return

    def drop():
        os.setgroups([])
        os.setuid(65534)

    # Opened as root: the build directory may be closed to nobody.
    with open(TIERCTL, "rb") as program:
        result = subprocess.run(["tierctl", "online", "region0", "--config", "/dev/null"], capture_output=True, text=True,
                                executable=f"/proc/self/fd/{program.fileno()}", pass_fds=[program.fileno()],
                                preexec_fn=drop, timeout=60, cwd="/")
    assert result.returncode == 1 and "needs root; sudo tierctl online region0" in result.stderr, result


def test_unknown_region_without_a_daemon():
    if os.geteuid() == 0 and LIVE:
        refused("online", "region99", sysroot=None, says=["region99", "no such region"])
        refused("offline", "region99", sysroot=None, says=["region99", "no such region"])


def test_doctor():
    findings = {f["object"]: f for f in json.loads(good("doctor", "--json"))}
    assert findings["auto_online_blocks"]["verdict"] == "ok"
    assert findings["demotion"]["verdict"] == "warn" and findings["demotion"]["action"]
    # The one thing that must never be overlooked: a kernel that onlines by itself.
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        with open(directory + "/sys/devices/system/memory/auto_online_blocks", "w", encoding="ascii") as file:
            file.write("online\n")
        result = run("doctor", "--json", sysroot=directory)
        assert result.returncode == 1, result
        bad = [f for f in json.loads(result.stdout) if f["verdict"] == "fail"]
        assert [f["object"] for f in bad] == ["auto_online_blocks"] and "portal" in bad[0]["cost"], bad
        text = run("doctor", sysroot=directory).stdout
        assert text.startswith("FAIL  auto_online_blocks"), text
        # Page structures in memory that another host may write.
        with open(directory + "/sys/module/memory_hotplug/parameters/memmap_on_memory", "w", encoding="ascii") as file:
            file.write("Y\n")
        result = run("doctor", "--json", sysroot=directory)
        assert "dax0.0" in [f["object"] for f in json.loads(result.stdout) if f["verdict"] == "fail"], result
    if not LIVE:
        return
    # Whether errors are seen is for the daemon to say, whatever it has left behind.
    found = {f["object"]: f for f in json.loads(run("doctor", "--json", sysroot=None).stdout)}["memory errors"]
    assert found["verdict"] == "warn" and "cxl-tierd" in found["found"] and "does not answer" in found["found"], found


def test_doctor_on_rivals():
    """Each is told, however many there are; what may not be read is no proof that there is none."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        rules = directory + "/etc/udev/rules.d"
        os.makedirs(rules)
        names = [f"/etc/udev/rules.d/{i}-vm.rules" for i in range(100, 200)]
        for name in names:
            with open(directory + name, "w", encoding="ascii") as file:
                file.write('SUBSYSTEM=="memory", ATTR{state}="online"\n')
        findings = json.loads(run("doctor", "--json", sysroot=directory).stdout)
        assert [f["object"] for f in findings if f["object"].startswith("/etc/udev")] == [name + ":1" for name in names]
        # What comes behind them, too.
        assert "typed nodes" in [f["object"] for f in findings], findings
        prefix = ()
        if os.geteuid() == 0:
            prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            os.chmod(directory, 0o755)
        os.chmod(directory + names[0], 0)
        os.chmod(directory + names[7], 0)
        result = run("doctor", "--json", sysroot=directory, prefix=prefix)
        unread, = [f for f in json.loads(result.stdout) if f["object"] == names[0]]
        assert (unread["verdict"], unread["found"]) == (
            "warn", "cannot be read: Permission denied, and 1 more"), unread


def test_retired():
    """By serial number and device address, wherever the region lies; not to be read, nothing is onlined."""
    with tempfile.TemporaryDirectory() as directory:
        def write(name, text):
            path = os.path.realpath(f"{directory}/{name}")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)

        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        text = "cxl-tier retired 1\n"
        for serial in 1, 2:
            text += f"0x{serial} 0x8100040 0x40 1795292102890243 poison\n"
        write("var/lib/cxl-tier/retired", text + "crc32c 0x7e90e0b9\n")
        # Where its part of the device begins is not in the dump: all of it may be bad.
        os.unlink(f"{directory}/sys/bus/cxl/devices/decoder5.0/dpa_resource")
        refused("plan", "region1", sysroot=directory, says=["all of its memory blocks are retired", "tierctl retired"])
        write("sys/bus/cxl/devices/decoder5.0/dpa_resource", "0x100000\n")
        write("sys/bus/cxl/devices/decoder4.0/dpa_resource", "0x0\n")
        plan = json.loads(good("plan", "region1", "--json", sysroot=directory))
        assert "1 retired memory block stays offline" in plan["decisions"][0]["reason"], plan
        assert 211 not in [step["block"] for step in plan["steps"]] and len(plan["steps"]) in (3, 4), plan
        snapshot = json.loads(good("list", "--json", sysroot=directory))
        assert snapshot["retired_blocks"] == [179, 211] and snapshot["retired_problem"] is None, snapshot["retired_blocks"]
        found = {f["object"]: f for f in json.loads(run("doctor", "--json", sysroot=directory).stdout)}["retired memory"]
        assert (found["verdict"], found["found"]) == ("warn", "2 blocks retired, 1 of them online"), found
        write("var/lib/cxl-tier/retired", text + "crc32c 0x00000000\n")
        refused("plan", "region1", sysroot=directory, says=["cannot tell which memory is retired: a wrong checksum in line 4"])
        found = {f["object"]: f for f in json.loads(run("doctor", "--json", sysroot=directory).stdout)}["retired memory"]
        assert found["verdict"] == "fail" and "good copy" in found["action"], found
        assert "region0" in good("list", sysroot=directory)


def test_types():
    """By the configuration on a kernel without them; and two regions that share a node are said to."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cp", "-a", DUMP + "/.", directory], check=True)
        os.makedirs(directory + "/etc/cxl-tier")
        with open(directory + "/etc/cxl-tier/cxl-tierd.conf", "w", encoding="ascii") as file:
            file.write("[Portal lake]\nMatchPath=/sys/bus/cxl/devices/region1\n")
        regions = {r["name"]: r for r in json.loads(good("list", "regions", "--json", sysroot=directory, config=None))}
        assert (regions["region1"]["type"], regions["region1"]["type_by_kernel"]) == ("Switched", False), regions
        assert regions["region0"]["type"] is None and not regions["region0"]["shares_node"], regions
        assert "share" not in good("list", sysroot=directory, config=None)
        with open(os.path.realpath(directory + "/sys/bus/dax/devices/dax1.0") + "/target_node", "w",
                  encoding="ascii") as file:
            file.write("2\n")
        assert "Regions with the same node" in good("list", "regions", sysroot=directory, config=None)
        nodes = {n["id"]: n["type"] for n in json.loads(good("list", "nodes", "--json", sysroot=directory, config=None))}
        assert nodes[2] == "Switched", nodes
        findings = {f["object"]: f for f in json.loads(good("doctor", "--json", sysroot=directory, config=None))}
        found = findings["nodes of regions"]
        assert found["verdict"] == "warn" and found["found"] == "region0, region1 share node 2", found
        # What the kernel says wins; a configuration that cannot be read hides it no more.
        with open(directory + "/etc/cxl-tier/cxl-tierd.conf", "w", encoding="ascii") as file:
            file.write("[Portal lake]\nType=far\n")
        with open(directory + "/sys/devices/system/node/node2/memory_type", "w", encoding="ascii") as file:
            file.write("Shared\n")
        result = run("list", "nodes", "--json", sysroot=directory, config=None)
        nodes = {n["id"]: n["type"] for n in json.loads(result.stdout)}
        assert result.returncode == 0 and nodes == {0: None, 2: "Shared", 3: None}, result
        assert "conf:2: Type=far" in result.stderr and result.stderr.count("\n") == 1, result
        result = run("doctor", "--json", sysroot=directory, config=None)
        findings = {f["object"]: f for f in json.loads(result.stdout)}
        assert findings["typed nodes"]["verdict"] == "ok", findings
        broken, = (f for name, f in findings.items() if name.endswith("cxl-tierd.conf:2"))
        assert result.returncode == 1 and broken["verdict"] == "fail" and "Type=far" in broken["found"], broken


def test_declared():
    """What the configuration declares, against a dump: there, missing, and in somebody's way."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write("[Region there]\nCreate=1\n[Region missing]\nCreate=7 8\n[Region other]\nCreate=2\nSize=256M\n")
        config.flush()
        shown = {d["name"]: d for d in json.loads(good("list", "declared", "--json", config=config.name))}
        assert {name: d["state"] for name, d in shown.items()} == {
            "there": "exists", "missing": "waits", "other": "refused"}, shown
        assert shown["there"]["region"] == "region0" and shown["there"]["reason"] is None, shown
        assert shown["other"]["region"] == "region1" and "destroy-region region1" in shown["other"]["next"], shown
        text = good("list", "declared", config=config.name)
        assert "missing: waits for memory devices that are not there: serial number 0x7, 0x8" in text, text
        assert "2 of 3 declared regions are not there: tierctl list declared" in good("list", config=config.name)
        doctor = run("doctor", config=config.name)
        assert doctor.returncode == 1 and "[Region other]" in doctor.stdout and "[Region missing]" in doctor.stdout, doctor
    assert "declares no regions" in good("list", "declared", config="/dev/null")


each_test.run(globals())

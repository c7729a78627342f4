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
import traceback

TIERCTL = os.path.abspath(sys.argv[1])
DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "expanders")
# A chroot for building has no reason to show the machine's own devices.
LIVE = os.path.exists("/sys/devices/system/node")


def run(*arguments, sysroot=DUMP, config="/dev/null", **more):
    options = (["--config", config] if config else []) + (["--sysroot", sysroot] if sysroot else [])
    return subprocess.run([TIERCTL, *arguments, *options], capture_output=True, text=True, timeout=60,
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
    refused("plan", status=2)
    refused("plan", "region1", "--ratio", "x", status=2, says=["--ratio", '"x"'])
    refused("plan", "region1", "--ratio=-1", status=2)
    refused("plan", "region1", "--ratio", "99999999999999999999", status=2)
    refused("plan", "region1", "--zone", "DMA", status=2, says=["movable"])
    refused("offline", "region0", "region1", status=2)
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
        findings = {f["object"]: f for f in json.loads(good("doctor", "--json", sysroot=directory, config=None))}
        assert findings["typed nodes"]["verdict"] == "ok", findings


def main():
    failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            print(f"ok - {name}")
        except Exception:  # noqa: BLE001 - the traceback says what broke
            failed += 1
            print(f"not ok - {name}")
            traceback.print_exc()
    return 1 if failed else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl weights, calibrate, list nodes and doctor on a dump with interleave weights, and their refusals.

test-weights.py TIERCTL
"""

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import each_test  # noqa: E402

TIERCTL = os.path.abspath(sys.argv[1])
DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "expanders")
WEIGHTS = "sys/kernel/mm/mempolicy/weighted_interleave"
CALIBRATION = "var/lib/cxl-tier/calibration.json"


def run(root, *arguments, config="/dev/null"):
    return subprocess.run([TIERCTL, *arguments, "--sysroot", root, "--config", config], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "CXL_TIERD_SOCKET": "/nonexistent"})


def good(root, *arguments, **more):
    result = run(root, *arguments, **more)
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout


def refused(root, *arguments, status=1, says=(), **more):
    result = run(root, *arguments, **more)
    assert result.returncode == status, result
    assert result.stdout == "" and result.stderr.count("\n") == 1 and result.stderr.startswith("tierctl: "), result
    for word in says:
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"


def write(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def weights(root, automatic, **nodes):
    write(root, f"{WEIGHTS}/auto", f"{automatic}\n")
    for node, weight in nodes.items():
        write(root, f"{WEIGHTS}/{node}", f"{weight}\n")


def calibration(root, uuid="1-2", serials=(2,), mbps=(60000, 20000)):
    """Of a dump whose node 2 has the memory of the devices with those serial numbers."""
    nodes = [{"id": n["id"], "bytes": n["present_kernel_bytes"] + n["present_movable_bytes"]}
             for n in json.loads(good(root, "list", "nodes", "--json")) if n["id"] in (0, 2)]
    # The file is for everybody, and the UUID is not.
    machine = hmac.new(uuid.encode(), b"cxl-tier calibration", hashlib.sha256).hexdigest()[:32]
    pair = {"cpu_node": 0, "rounds": 5, "read_spread_permille": 1, "latency_psec": 90000, "latency_spread_permille": 1,
            "huge_pages": True}
    write(root, "sys/class/dmi/id/product_uuid", "1-2\n")
    write(root, "proc/cpuinfo", "model name\t: A CPU\n")
    write(root, CALIBRATION, json.dumps({
        "version": 2, "made_usec": 1, "machine": f"uuid:{machine}", "cpu": "A CPU",
        "nodes": [{"node": 0, "bytes": nodes[0]["bytes"], "serials": []},
                  {"node": 2, "bytes": 1 << 30, "serials": list(serials)}],
        "pairs": [{**pair, "node": node, "read_mbps": rate} for node, rate in zip((0, 2), mbps)]}))


def region_of(root, node):
    region, = [r for r in json.loads(good(root, "list", "regions", "--json")) if r["target_node"] == node]
    return [m["serial"] for m in region["memdevs"]]


def plan(root, **more):
    return json.loads(good(root, "weights", "--json", **more))


def test_a_kernel_without(root):
    assert "no weighted interleave" in good(root, "weights")
    assert plan(root)["action"] == "nothing" and plan(root)["auto_weights"] is None
    # A narrow terminal has no room for more.
    assert max(map(len, good(root, "list").splitlines())) <= 80


def test_weights_are_shown(root):
    weights(root, "true", node0=5, node2=2)
    shown = {n["id"]: n["interleave_weight"] for n in json.loads(good(root, "list", "nodes", "--json"))}
    assert shown == {0: 5, 2: 2, 3: None}, shown
    assert json.loads(good(root, "list", "--json"))["hotplug"]["auto_weights"] == 1
    row, = [line.split() for line in good(root, "list", "nodes").splitlines() if line.split()[0] == "0"]
    assert row[-1] == "5", row


def test_weights_of_the_configuration(root):
    weights(root, "true", node0=5, node2=2)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"[Region x]\nMatchSerial={region_of(root, 2)[0]}\nInterleaveWeight=7\n"
                     "[Tiering]\nOrdinaryInterleaveWeight=9\n")
        config.flush()
        said = plan(root, config=config.name)
        assert said["action"] == "write", said
        assert said["steps"] == [{"node": 0, "from": 5, "to": 9}, {"node": 2, "from": 2, "to": 7}], said
        assert {w["source"] for w in said["weights"]} == {"configuration"}, said
        text = good(root, "weights", config=config.name)
        assert "changes 2 of them" in text and "InterleaveWeight= of [Region x]" in text, text
    for bad in "InterleaveWeights=sometimes", "OrdinaryInterleaveWeight=0", "OrdinaryInterleaveWeight=256", "Weight=3":
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            config.write(f"[Tiering]\n{bad}\n")
            config.flush()
            refused(root, "weights", config=config.name, says=[f"{config.name}:2", bad.split("=", 1)[0]])
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write("[Region x]\nMatchSerial=1\nType=shared\nInterleaveWeight=7\n")
        config.flush()
        refused(root, "weights", config=config.name, says=[f"{config.name}:4", f"{config.name}:3", "contradicts"])


def test_calibration(root):
    weights(root, "true", node0=5, node2=2)
    calibration(root, serials=region_of(root, 2))
    said = plan(root)
    assert said["action"] == "write" and [w["wanted"] for w in said["weights"]] == [3, 1], said
    assert {w["source"] for w in said["weights"]} == {"calibration"}, said
    assert "holds for every node" in run(root, "doctor").stdout
    for change, why in (({"uuid": "9-9"}, "another machine"),
                        ({"serials": [77]}, "other memory devices stand behind node 2")):
        calibration(root, **{"serials": region_of(root, 2), **change})
        assert why in plan(root)["reason"], plan(root)
        assert "stale: " in run(root, "doctor").stdout and why in run(root, "doctor").stdout
    os.unlink(os.path.join(root, "sys/class/dmi/id/product_uuid"))
    assert "stale" not in plan(root)["reason"] and "cannot tell which machine this is" in plan(root)["reason"], plan(root)
    assert "cannot tell which machine this is" in run(root, "doctor").stdout
    write(root, CALIBRATION, '{"version": 1}')
    assert "in version 1, and this one reads version 2; tierctl calibrate" in run(root, "weights").stderr
    write(root, CALIBRATION, "{")
    result = run(root, "weights", "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["weights"][0]["source"] != "calibration", result
    assert result.stderr.count("\n") == 1 and "is no calibration" in result.stderr, result
    assert "is no calibration" in run(root, "doctor").stdout


def test_calibrate(root):
    said = json.loads(good(root, "calibrate", "--dry-run", "--force", "--json"))
    assert said["nodes"] == [0, 2] and said["cpu_nodes"] == [0] and said["dry_run"] is True, said
    assert "node 0,2 from the CPUs of node 0, with 128M" in good(root, "calibrate", "--dry-run", "--force")
    refused(root, "calibrate", "--force", says=["a dump cannot be measured"])
    refused(root, "calibrate", "--dry-run", "--nodes", "3", says=["node 3 has no memory"])
    refused(root, "calibrate", "--dry-run", "--nodes", "0-5", says=["node 1 has no memory"])
    for nodes in "", "x", "-1", "0,", "2-0", "0-", "0;2", "99999999999":
        refused(root, "calibrate", "--dry-run", "--nodes", nodes, status=2, says=["--nodes takes nodes"])
    refused(root, "calibrate", "--for", "90000", status=2, says=["86400"])
    refused(root, "calibrate", "--for", "1s", status=2)
    refused(root, "calibrate", "0", status=2)
    write(root, "proc/loadavg", "7.00 1.00 1.00 1/9 99\n")
    refused(root, "calibrate", "--dry-run", says=["busy", "7.00 tasks", "--force"])
    meminfo = os.path.join(root, "sys/devices/system/node/node2/meminfo")
    with open(meminfo, encoding="ascii") as file:
        text = file.read()
    write(root, "sys/devices/system/node/node2/meminfo",
          "".join("Node 2 MemFree: 1024 kB\n" if "MemFree" in line else line for line in text.splitlines(True)))
    refused(root, "calibrate", "--dry-run", "--force", says=["node 2 has 1M of free memory", "128M are needed", "--nodes"])
    good(root, "calibrate", "--dry-run", "--force", "--nodes", "0")
    # CPUs that are numbered in turns, node by node, make a list that is longer than most.
    cpus = ",".join(map(str, range(0, 1024, 2)))
    write(root, "sys/devices/system/node/node0/cpulist", f"{cpus}\n")
    assert [n["cpus"] for n in json.loads(good(root, "list", "nodes", "--json"))][0] == cpus
    good(root, "calibrate", "--dry-run", "--force", "--nodes", "0")
    os.unlink(os.path.join(root, "sys/devices/system/node/node0/cpulist"))
    assert [n["cpus"] for n in json.loads(good(root, "list", "nodes", "--json"))][0] is None
    refused(root, "calibrate", "--dry-run", "--force", "--nodes", "0", says=["CPUs of node 0 cannot be read", "node0/cpulist"])


def test_memory_that_other_hosts_see(root):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"[Region x]\nMatchSerial={region_of(root, 2)[0]}\nType=shared\n")
        config.flush()
        said = json.loads(good(root, "calibrate", "--dry-run", "--force", "--json", config=config.name))
        assert said["nodes"] == [0], said
        refused(root, "calibrate", "--dry-run", "--force", "--nodes", "0,2", config=config.name,
                says=["node 2 is Shared memory", "--typed"])
        good(root, "calibrate", "--dry-run", "--force", "--nodes", "0,2", "--typed", config=config.name)


@contextlib.contextmanager
def a_copy():
    """Of the dump, for one test to change."""
    with tempfile.TemporaryDirectory() as scratch:
        root = os.path.join(scratch, "root")
        shutil.copytree(DUMP, root, symlinks=True)
        yield root


each_test.run(globals(), a_copy)

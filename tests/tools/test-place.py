#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl nodes, run, numactl and move on a dump: what they print, and what they refuse before anything runs.

test-place.py TIERCTL
"""

import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import each_test  # noqa: E402

TIERCTL = os.path.abspath(sys.argv[1])
# region0 is online on node 2, region1 is offline, its node is 3.
DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "expanders")
# Both told of, and so Local.
CONFIG = tempfile.NamedTemporaryFile("w", suffix=".conf")
CONFIG.write("[Region zero]\nMatchSerial=1\n[Region one]\nMatchSerial=2\n")
CONFIG.flush()
# A chroot for building has no reason to show the machine's own devices.
LIVE = os.path.exists("/sys/devices/system/node")


def run(verb, *arguments, sysroot=DUMP, config=CONFIG.name):
    """The options of every verb come first: what follows may be a command's."""
    options = ["--config", config] + (["--sysroot", sysroot] if sysroot else [])
    return subprocess.run([TIERCTL, verb, *options, *arguments], capture_output=True, text=True, timeout=60, check=False)


def good(*arguments, **more):
    result = run(*arguments, **more)
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout


def refused(*arguments, status=1, says=(), out="", **more):
    result = run(*arguments, **more)
    assert result.returncode == status, result
    assert result.stdout == out and result.stderr.count("\n") == 1, result
    assert result.stderr.startswith("tierctl: "), result.stderr
    for word in says:
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"


def test_nodes():
    rows = [line.split() for line in good("nodes").splitlines()]
    assert [row[:2] + [row[4], row[7]] for row in rows[1:]] == [
        ["0", "dram", "-", "yes"], ["2", "cxl", "region0", "yes"], ["3", "cxl", "region1", "no:"]], rows
    assert good("nodes", "--tier", "cxl", "--numactl") == "2\n"
    assert good("nodes", "--tier", "auto", "--numactl") == "0,2\n"
    assert good("nodes", "--tier", "4", "--numactl") == "0\n"
    assert good("nodes", "--region", "region0", "--qemu") == "host-nodes=2,policy=bind\n"
    told = json.loads(good("nodes", "--tier", "cxl", "--json"))
    assert (told["taken"], told["numactl"], told["qemu"]) == ([2], "2", "host-nodes=2,policy=bind"), told
    assert [node["why_not"] for node in told["nodes"]] == ["another tier", None, "has no memory"], told


def test_regions_that_nobody_told_of():
    """Their type is not known, and either may be a portal."""
    for verb in ("nodes", "--numactl"), ("run", "--dry-run", "true"):
        refused(verb[0], "--tier", "cxl", *verb[1:], config="/dev/null",
                says=["node2", "may be a portal", "--region region0", "[Region]"])
    assert good("nodes", "--numactl", config="/dev/null") == "0\n"
    assert good("nodes", "--tier", "cxl", "--region", "region0", "--numactl", config="/dev/null") == "2\n"
    told = json.loads(good("nodes", "--json", config="/dev/null"))
    assert [node["why_not"] for node in told["nodes"]] == [None] + 2 * ["is of unknown type, and nobody named it"], told
    for words, wanted in ("-m all", "-m 0"), ("-m !region0", "-m 0"), ("-m 2", "-m 2"), ("-N all", "-N all"):
        assert good("numactl", "--dry-run", *words.split(), "true", config="/dev/null") == f"numactl {wanted} true\n", words


def test_nothing_is_no_list():
    for how in "--numactl", "--qemu":
        refused("nodes", "--tier", "7", how, says=["tier 7", "4, 4996"])
        refused("nodes", "--type", "Shared", how, says=["none fits"])
        refused("nodes", "--region", "region1", how, says=["region1", "tierctl online region1"])
    result = run("nodes", "--tier", "7", "--json")
    assert result.returncode == 1 and json.loads(result.stdout)["numactl"] is None, result


def test_types_of_the_configuration():
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[Region far]\nMatchSerial=1\nType=Switched\n")
        file.flush()
        refused("nodes", "--tier", "cxl", "--numactl", config=file.name,
                says=["node2", "Switched", "--region region0", "--type Switched"])
        refused("run", "--dry-run", "--tier", "cxl", "true", config=file.name, says=["node2", "Switched"])
        for words in ("--type", "switched"), ("--region", "region0"), ("--region", "far"):
            assert good("nodes", *words, "--numactl", config=file.name) == "2\n", words
        assert good("numactl", "--dry-run", "-m", "far", "true", config=file.name) == "numactl -m 2 true\n"
        refused("numactl", "--dry-run", "-m", "0-2", "true", config=file.name, says=["0-2", "Switched", "--typed"])
        assert good("numactl", "--dry-run", "--typed", "-m", "0-2", "a", config=file.name) == "numactl -m 0-2 a\n"
        assert good("numactl", "--dry-run", "--typed", "-i", "all", "a", config=file.name) == "numactl -i 0 a\n"
    refused("nodes", "--region", "far", says=["far", "no region"])


def test_run():
    for words, policy, nodes in ((("--tier", "cxl"), "MPOL_BIND", [2]), (("--tier", "dram"), "MPOL_BIND", [0]),
                                 (("--tier", "auto"), "MPOL_PREFERRED_MANY", [0]),
                                 (("--tier", "auto", "--interleave"), "MPOL_INTERLEAVE", [0, 2]),
                                 (("--tier", "auto", "--interleave", "--region", "region0"), "MPOL_INTERLEAVE", [0, 2]),
                                 (("--tier", "auto", "--interleave", "--type", "Local"), "MPOL_INTERLEAVE", [0, 2]),
                                 (("--region", "region0", "--preferred"), "MPOL_PREFERRED_MANY", [2])):
        told = json.loads(good("run", "--dry-run", "--json", *words, "ls", "--json", "-l"))
        assert told == {"policy": policy, "nodes": nodes, "command": ["ls", "--json", "-l"]}, told
    # A dump has no command to run, and no weights.
    refused("run", "--tier", "cxl", "true", says=["is a dump"])
    refused("run", "--dry-run", "--tier", "cxl", "--weighted", "true", says=["weighted"])


def test_run_in_this_process():
    """On whatever there is here: the policy is that of the command, and what it ends with is the tool's status."""
    if not LIVE:
        print("skip test_run_in_this_process: no nodes are shown here")
        return
    show = good("run", "--tier", "dram", "--", "cat", "/proc/self/numa_maps", sysroot=None)
    assert " bind=static" in show, show.splitlines()[0]
    for words, status in (("sh", "-c", "exit 7"), 7), (("/nonexistent/command",), 127), (("/",), 126):
        result = run("run", "--tier", "dram", "--", *words, sysroot=None)
        assert result.returncode == status, result
        assert (f"tierctl: {words[0]}: cannot run it: " in result.stderr) == (status > 7), result


def test_numactl():
    for words, wanted in (
            ("--membind=region0 true", "--membind=2 true"), ("-mregion0 true", "-m2 true"),
            ("-am region0 true", "-am 2 true"), ("--preferred-m region0 true", "--preferred-m 2 true"),
            # As ambiguous as it is to numactl, which says so.
            ("--pref region0 true", "--pref region0 true"),
            ("-w 0,region0 true -m region1", "-w 0,2 true -m region1"), ("-P !region0 true", "-P '!2' true"),
            ("--interleave=all true", "--interleave=all true"), ("-N 0 -i region0 true", "-N 0 -i 2 true"),
            ("-C region0 -m region0 true", "-C region0 -m 2 true"), ("-m region0 -- -x", "-m 2 -- -x"),
            ("--bogus -m region0 true", "--bogus -m region0 true"), ("-s", "-s"), ("-m", "-m"),
            ("--shm region0 -m region0", "--shm region0 -m 2")):
        assert good("numactl", "--dry-run", *words.split()) == f"numactl {wanted}\n", words
    # A shell reads the same words.
    for words in (["a b", "", "'", "$(x)", "a\nb", "*", "~", "#", "x'y z'", "\\"], ["plain", "--a=b,c:d/e.f@g%h+i_j"]):
        told = good("numactl", "--dry-run", "-m", "region0", *words)
        read = subprocess.run(["sh", "-c", 'set -- ' + told + 'printf "%s\\0" "$@"'], capture_output=True, text=True,
                              timeout=60, check=True).stdout
        assert read.split("\0")[:-1] == ["numactl", "-m", "2", *words], told
        assert ("'" in told) == (words[0] != "plain"), told
    assert json.loads(good("numactl", "--dry-run", "--json", "-m", "region0", "a b")) == ["numactl", "-m", "2", "a b"]
    refused("numactl", "--dry-run", "-m", "region1", "true", says=["region1", "tierctl online region1"])
    refused("numactl", "--dry-run", "-m", "0,nowhere", "true", says=["nowhere"])
    refused("numactl", "--dry-run", "-N", "region0", "true", says=["no CPUs"])
    refused("numactl", "--dry-run", "--cpubind=region0", "true", says=["no CPUs"])
    refused("numactl", "--dry-run", "-i", "+region0", "true", says=["+"])
    refused("numactl", "--dry-run", "-i", "0-region0", "true", says=["range"])
    refused("numactl", "-m", "region0", "true", says=["is a dump"])
    refused("numactl", "--dry-run", status=2)


def test_bad_words():
    for words in (("nodes", "--tier", "fast"), ("nodes", "--type", "far"), ("nodes", "region0"),
                  ("nodes", "--numactl", "--qemu"), ("run", "true"), ("run", "--tier", "cxl"),
                  ("run", "--tier", "cxl", "--interleave", "--weighted", "true"),
                  ("run", "--tier", "cxl", "--interleave", "--preferred", "true"),
                  ("run", "--tier", "auto", "--preferred", "true"),
                  ("run", "--tier", "auto", "--region", "region0", "true"),
                  ("run", "--tier", "auto", "--type", "Local", "true"),
                  ("run", "--tear", "cxl", "true")):
        refused(*words, status=2)


each_test.run(globals())

# SPDX-License-Identifier: GPL-2.0-or-later
"""Weights of weighted interleave: the kernel's own, the configuration's, those of a calibration, and what is left after it.

Firmware (HMAT, CDAT) says that the nodes differ in bandwidth, so that the kernel weighs them by itself; as emulated they
are alike, so that a calibration has other weights. Its numbers mean nothing here, only what becomes of them.
"""

import math

from cases import deadline
from flying import refused
from rules import DROP_IN, configure, expect_offline, expect_online, objects, reload

SECONDS = 60
TOPOLOGY = "hmat"
WEIGHTS = "/sys/kernel/mm/mempolicy/weighted_interleave"
SAVED = "/run/cxl-tier/weights"
CALIBRATION = "/var/lib/cxl-tier/calibration.json"
ONLINE = "[Region expander]\nMatchSerial=1\nOnline=movable\n"
FIXED = ONLINE + "InterleaveWeight=7\n[Tiering]\nOrdinaryInterleaveWeight=3\n"
# The region's name and its node, once it is there.
REGION = {}


def kernel(host):
    """What the kernel has: {node: weight}, and whether it set them itself."""
    lines = host.run(f"cd {WEIGHTS} && grep -H . auto node*").out.splitlines()
    values = dict(line.split(":") for line in lines)
    mode = values.pop("auto")
    return {int(node[4:]): int(weight) for node, weight in values.items()}, mode == "true"


def plan(host):
    return host.tierctl("weights", "--json").json()


def reduced(bandwidths):
    """As reduce_interleave_weights() of the kernel."""
    total = sum(bandwidths.values())
    weights = {node: max(1, 32 * mbps // total) for node, mbps in bandwidths.items()}
    common = math.gcd(*weights.values())
    return {node: weight // common for node, weight in weights.items()}


def firmware(host):
    """{node: MB/s} of those with memory, as the kernel takes it; None if it does not tell."""
    return {node["id"]: node["cpu_read_bandwidth_mbps"] and min(node["cpu_read_bandwidth_mbps"],
                                                                node["cpu_write_bandwidth_mbps"])
            for node in host.tierctl("list", "nodes", "--json").json() if node["has_memory"]}


def expect_kernels_own(host):
    """The kernel's weights, by firmware, and cxl-tierd has written none."""
    weights, automatic = kernel(host)
    bandwidths = firmware(host)
    assert automatic, f"the kernel's mode is off: {weights}"
    assert set(weights) == set(bandwidths), (weights, bandwidths)
    said = plan(host)
    assert said["action"] == "nothing", said
    shares = {node: weight / sum(weights.values()) for node, weight in weights.items()}
    # Debian's kernel reckons with the region's bandwidth and does not tell it.
    told = None not in bandwidths.values()
    assert told or "knows more of node" in said["reason"] and weights[0] > weights[1] >= weights[REGION["node"]], said
    for node, share in shares.items() if told else ():
        right = bandwidths[node] / sum(bandwidths.values())
        assert abs(share - right) <= right / 10 or weights == reduced(bandwidths), (weights, bandwidths)
    assert host.run("test", "-e", SAVED, check=False).code == 1, "something has been written"


def setup(lab):
    lab["A"].start_daemon()


def case_the_kernels_own_weights_stay(lab):
    """Of the two nodes that are there at boot, one has half the bandwidth."""
    a = lab["A"]
    bandwidths = firmware(a)
    assert len(bandwidths) == 2 and bandwidths[0] > bandwidths[1], bandwidths
    expect_kernels_own(a)
    assert kernel(a)[0] == reduced(bandwidths), (kernel(a), bandwidths)
    a.daemon.wait_text("weighted interleave: the kernel's own weights are right by firmware", 30)
    said = plan(a)
    assert said["action"] == "nothing" and said["steps"] == [] and said["auto_weights"] is True, said
    assert {w["node"]: w["mbps"] for w in said["weights"]} == bandwidths, said
    assert {w["source"] for w in said["weights"]} == {"firmware"}, said
    listed = {node["id"]: node["interleave_weight"] for node in a.tierctl("list", "nodes", "--json").json()}
    assert {node: weight for node, weight in listed.items() if weight is not None} == kernel(a)[0], listed


def case_a_region_that_comes_is_weighed(lab):
    a = lab["A"]
    configure(a, ONLINE)
    reload(a)
    REGION["name"] = a.create_region(1)
    a.rescan()
    expect_online(a, REGION["name"], "Movable")
    REGION["node"], = set(firmware(a)) - {0, 1}
    expect_kernels_own(a)


def case_a_region_that_comes_again_is_weighed(lab):
    """A kernel without our series computes them for the first arrival only, unless it is made to."""
    a = lab["A"]
    before = kernel(a)
    a.tierctl("offline", REGION["name"])
    expect_offline(a, REGION["name"])
    expect_kernels_own(a)
    a.rescan()
    expect_online(a, REGION["name"], "Movable")
    expect_kernels_own(a)
    assert kernel(a) == before, (kernel(a), before)


def case_weights_of_the_configuration(lab):
    """Beyond the kernel's range is refused by file and line; within, they are written, and restored when they go."""
    a = lab["A"]
    before = kernel(a)
    configure(a, ONLINE + "InterleaveWeight=256\n")
    result = a.run("varlinkctl", "call", "/run/cxl-tier/cxl-tierd.socket", "io.cxltier.Manager.Reload", "{}", check=False)
    assert result.code != 0 and f"{DROP_IN}:4" in result.out + result.err, (result.out, result.err)
    assert kernel(a) == before
    configure(a, FIXED)
    assert plan(a)["action"] == "write", plan(a)
    reload(a)
    node = REGION["node"]
    assert kernel(a) == ({0: 3, 1: 3, node: 7}, False), kernel(a)
    a.daemon.wait_text(f"node{node}: interleave weight 7, was", 30)
    # The region goes and comes.
    a.tierctl("offline", REGION["name"])
    expect_offline(a, REGION["name"])
    assert kernel(a)[0] == {0: 3, 1: 3}, kernel(a)
    a.rescan()
    expect_online(a, REGION["name"], "Movable")
    assert kernel(a) == ({0: 3, 1: 3, node: 7}, False), kernel(a)
    configure(a, ONLINE)
    reload(a)
    expect_kernels_own(a)
    assert kernel(a) == before, (kernel(a), before)


def case_by_another_hand(lab):
    """What somebody else writes stays, also when the daemon ends."""
    a = lab["A"]
    a.run(f"echo 9 >{WEIGHTS}/node1")
    theirs = kernel(a)
    assert not theirs[1], theirs
    a.rescan()
    a.daemon.wait_text("set by another hand", 30)
    assert kernel(a) == theirs, kernel(a)
    a.stop_daemon()
    assert kernel(a) == theirs, kernel(a)
    a.start_daemon()
    assert kernel(a) == theirs, kernel(a)
    # Who wants the kernel's is heard.
    configure(a, ONLINE + "[Tiering]\nInterleaveWeights=kernel\n")
    reload(a)
    assert kernel(a)[1], kernel(a)
    # It is theirs again when nobody asks for it any more.
    configure(a, ONLINE + "[Tiering]\nInterleaveWeights=no\n")
    reload(a)
    assert kernel(a) == theirs, kernel(a)
    a.run(f"echo 1 >{WEIGHTS}/auto")
    configure(a, ONLINE)
    reload(a)
    expect_kernels_own(a)


def doctor(host, name):
    found = [f for f in host.tierctl("doctor", "--json", check=False).json() if f["object"] == name]
    assert len(found) <= 1, found
    return found[0] if found else None


def kill_daemon(host):
    host.run('kill -9 "$(cat /run/cxl-tierd.pid)"')
    host.daemon.wait(20)


def case_what_a_killed_daemon_leaves(lab):
    """It is named, and put back by the next one, or by cxl-tierd --release."""
    a = lab["A"]
    before = kernel(a)
    for release in False, True:
        configure(a, FIXED)
        reload(a)
        assert not kernel(a)[1], kernel(a)
        assert doctor(a, "interleave weights")["verdict"] == "ok", doctor(a, "interleave weights")
        kill_daemon(a)
        finding = doctor(a, "interleave weights")
        assert finding["verdict"] == "warn" and "killed" in finding["found"], finding
        configure(a, ONLINE)
        if release:
            a.run("/usr/sbin/cxl-tierd", "--release")
            assert kernel(a) == before, kernel(a)
        a.start_daemon()
        assert kernel(a) == before, kernel(a)
        expect_kernels_own(a)
        assert doctor(a, "interleave weights")["verdict"] == "ok", doctor(a, "interleave weights")


def case_calibrate_refuses(lab):
    a = lab["A"]
    refused(a.tierctl("calibrate", "--nodes", "9", "--force", check=False), "calibrate", "node 9 has no memory")
    for words in (["--nodes", "x"], ["--nodes", "2-1"], ["--nodes", "0,"], ["--for", "0x"], ["--for", "90000"],
                  ["--for", "99999999999999999999"]):
        result = a.tierctl("calibrate", *words, check=False)
        assert result.code == 2, (words, result.code, result.err)
    shown = a.tierctl("calibrate", "--dry-run", "--force", "--json").json()
    assert shown["nodes"] == [0, 1, REGION["node"]], shown
    assert a.run("test", "-e", CALIBRATION, check=False).code == 1, "something has been stored"


def come_again(host, config):
    """The region, with its type as the configuration has it: a type is given while nothing of it is online."""
    host.tierctl("offline", REGION["name"])
    configure(host, config)
    reload(host)
    expect_online(host, REGION["name"], "Movable")


def case_memory_that_other_hosts_see_is_left(lab):
    """Neither weighed nor measured, whatever the others get."""
    a = lab["A"]
    node = REGION["node"]
    come_again(a, ONLINE + "Type=shared\n")
    found, = [n for n in a.tierctl("list", "nodes", "--json").json() if n["id"] == node]
    assert found["type"] == "Shared", found
    theirs = kernel(a)[0].get(node)
    configure(a, ONLINE + "Type=shared\n[Tiering]\nOrdinaryInterleaveWeight=3\n")
    reload(a)
    weights, automatic = kernel(a)
    assert not automatic and weights.pop(node, None) == theirs and weights == {0: 3, 1: 3}, (weights, theirs)
    said, = [w for w in plan(a)["weights"] if w["node"] == node]
    assert said["source"] == "left" and "Shared" in said["reason"], said
    shown = a.tierctl("calibrate", "--dry-run", "--force", "--json").json()
    assert shown["nodes"] == [0, 1], shown
    refused(a.tierctl("calibrate", "--nodes", str(node), "--force", check=False), "calibrate", "Shared memory")
    shown = a.tierctl("calibrate", "--dry-run", "--force", "--typed", "--json").json()
    assert shown["nodes"] == [0, 1, node], shown
    # A type that nobody names any more stays.
    come_again(a, ONLINE + "Type=local\n")
    configure(a, ONLINE)
    reload(a)
    expect_kernels_own(a)


@deadline(180)
def case_a_busy_machine_is_not_measured(lab):
    a = lab["A"]
    busy = [a.start("sh", "-c", "while :; do :; done") for _ in range(3)]
    try:
        a.wait_for("awk '{exit !($1 > 1.3)}' /proc/loadavg", "load", 120)
        refused(a.tierctl("calibrate", check=False), "calibrate", "busy")
    finally:
        for stream in busy:
            stream.kill()
    assert a.run("test", "-e", CALIBRATION, check=False).code == 1, "something has been stored"


@deadline(300)
def case_calibrate_end_to_end(lab):
    """Every pair with progress; weights follow at once; stale when the memory is another; gone with the daemon."""
    a = lab["A"]
    own = kernel(a)
    said = objects(a.tierctl("calibrate", "--force", "--for", "3", "--json", timeout=280).out)
    progress, result = said[:-1], said[-1]
    nodes = [0, 1, REGION["node"]]
    assert progress and progress[-1]["done"] == progress[-1]["total"] == 3 * 5 * 2, progress
    assert [(p["cpu_node"], p["node"]) for p in result["pairs"]] == [(0, node) for node in nodes], result
    for pair in result["pairs"]:
        assert pair["read_mbps"] > 0 and pair["latency_psec"] > 0 and pair["rounds"] == 5, pair
    assert [n["serials"] for n in result["nodes"]] == [[], [], [1]], result
    assert result == a.run("cat", CALIBRATION).json(), a.run("cat", CALIBRATION).out
    wanted = {w["node"]: w["wanted"] for w in plan(a)["weights"]}
    assert {w["source"] for w in plan(a)["weights"]} == {"calibration"}, plan(a)
    assert plan(a)["action"] == "nothing", plan(a)
    assert kernel(a)[0] == wanted, (kernel(a), wanted)
    assert doctor(a, "calibration")["verdict"] == "ok", doctor(a, "calibration")
    # Here as there the shares are those of what was measured, within a tenth, or as near as small numbers come.
    measured = {pair["node"]: pair["read_mbps"] for pair in result["pairs"]}
    for node, weight in wanted.items():
        right = measured[node] / sum(measured.values())
        assert abs(weight / sum(wanted.values()) - right) <= right / 10 + 1 / 32, (wanted, measured)
    # The same table on another machine.
    a.run(f"sed -i 's/\"uuid:[^\"]*\"/\"uuid:other\"/; s/\"machine-id:[^\"]*\"/\"machine-id:other\"/' {CALIBRATION}")
    assert "another machine" in plan(a)["reason"], plan(a)
    assert doctor(a, "calibration")["verdict"] == "warn", doctor(a, "calibration")
    a.rescan()
    expect_kernels_own(a)
    # A damaged one is told, and none.
    a.run(f"echo '{{' >{CALIBRATION}")
    a.rescan()
    a.daemon.wait_text("is no calibration", 30)
    expect_kernels_own(a)
    a.run("rm", CALIBRATION)
    a.rescan()
    assert kernel(a) == own, (kernel(a), own)


def case_stopped_it_leaves_what_was_there(lab):
    a = lab["A"]
    own = kernel(a)
    configure(a, FIXED)
    reload(a)
    assert kernel(a) == ({0: 3, 1: 3, REGION["node"]: 7}, False), kernel(a)
    a.stop_daemon()
    assert kernel(a) == own, (kernel(a), own)
    assert a.run("test", "-e", SAVED, check=False).code == 1, "what was there before is still noted"

# SPDX-License-Identifier: GPL-2.0-or-later
"""Where programs have their memory: by tierctl run, numactl and QEMU with nodes from tierctl, and moved by cgroup.

A has two regions in two windows, so each has a node of its own on any kernel: serial 1 is the host's own, near; serial
2 is shared, far, by the kernel where it knows types, else by the configuration.
"""

import json
import re

import nodes
from flying import refused
from nodes import CGROUPS, NOBODY, Hog, cgroup, hog, node_of, region_of

SECONDS = 80
HOST = ("--dram", "1G", "--cpus", "1", "--cxl", "serial=1,size=512M,window=0", "--cxl", "serial=2,size=256M,window=1")
TOPOLOGY = None
DEADLINE = 240
CONFIG = "[Region near]\nMatchSerial=1\nOnline=movable\n[Region far]\nMatchSerial=2\nType=shared\nOnline=movable\n"
PAGES_PER_MIB = 256
WEIGHTS = "/sys/kernel/mm/mempolicy/weighted_interleave"


def setup(lab):
    nodes.bring_up_own(lab, HOST, CONFIG, {1: 512, 2: 256})


def _numbers(host):
    near, far = node_of(host, 1), node_of(host, 2)
    assert len({0, near, far}) == 3, f"nodes {near} and {far}"
    return near, far


def _expect(it, mib, node):
    """All of a hog's memory is there, but for what it had before it was told."""
    pages, wanted = it.pages_on(node), mib * PAGES_PER_MIB
    assert wanted <= pages < wanted + 512, f"{pages} pages on node {node}, not {wanted}"


def _policy(host, *words, user=()):
    """The policy of a command that is run so, as numa_maps has it."""
    told = host.run(*user, "tierctl", "run", *words, "--", "cat", "/proc/self/numa_maps").out
    return re.match(r"[0-9a-f]+ (\S+(?: \(many\)\S*)?) ", told)[1]


def case_nodes(lab):
    """Classes, types, and what fits; nobody needs to be root for it."""
    a = lab["A"]
    near, far = _numbers(a)
    told = a.tierctl("nodes", "--json").json()
    assert {node["node"]: (node["class"], node["type"], node["taken"]) for node in told["nodes"]} == {
        0: ("dram", "Local", True), near: ("cxl", "Local", True), far: ("cxl", "Shared", False)}, told
    for words, wanted in ((("--tier", "cxl"), [near]), (("--tier", "dram"), [0]), (("--tier", "auto"), [0, near]),
                          (("--type", "shared"), [far]), (("--region", "far"), [far]),
                          (("--region", region_of(a, 2)["name"], "--region", "near"), sorted([near, far])),
                          (("--type", "Local", "--tier", "cxl"), [near])):
        told = a.run(*NOBODY, "tierctl", "nodes", *words, "--numactl").out
        assert told == ",".join(map(str, wanted)) + "\n", f"{words}: {told}"
    listed = a.tierctl("nodes", "--tier", "cxl", "--json").json()["nodes"]
    for tier in {node["tier"] for node in listed if node["class"] == "cxl"}:
        told = a.tierctl("nodes", "--tier", str(tier), "--numactl").out
        assert str(near) in told.strip().split(","), f"tier {tier}: {told}"
    refused(a.tierctl("nodes", "--tier", "77", "--numactl", check=False), "memory tier 77")
    refused(a.tierctl("nodes", "--type", "Switched", "--qemu", check=False), "none fits")


def case_run_is_there(lab):
    """What a command takes lies where it was told, and the policy is as it is documented."""
    a = lab["A"]
    near, far = _numbers(a)
    for words, node, mib in (("--tier", "cxl"), near, 64), (("--region", "far"), far, 64), \
            (("--type", "shared"), far, 32), (("--tier", "dram"), 0, 32), (("--tier", "auto"), 0, 32):
        with hog(a, mib, "small", wrap=("tierctl", "run", *words, "--")) as it:
            _expect(it, mib, node)
    # On node 0 a hog is without any policy, too.
    assert _policy(a, "--tier", "dram") == "bind=static:0"
    assert _policy(a, "--tier", "cxl") == f"bind=static:{near}"
    assert _policy(a, "--tier", "auto") == "prefer (many)=static:0"
    assert _policy(a, "--region", "far", "--preferred") == f"prefer (many)=static:{far}"
    assert _policy(a, "--region", "near", user=NOBODY) == f"bind=static:{near}", "not for who is not root"


def case_exit_status(lab):
    a = lab["A"]
    for words, status in (("sh", "-c", "exit 7"), 7), (("/nonexistent",), 127), (("/etc",), 126), (("true",), 0):
        done = a.tierctl("run", "--tier", "cxl", "--", *words, check=False)
        told = f"tierctl: {words[0]}: cannot run it" in done.err
        assert done.code == status and told == (status > 7), f"{words}: exit {done.code}: {done.err}"


def case_refused_and_nothing_runs(lab):
    """An offline region, a typed node that nobody names, a cpuset that does not allow it: the command never begins."""
    a = lab["A"]
    near, far = _numbers(a)
    region = region_of(a, 1)["name"]

    def run(*words, within=""):
        enter = f"echo $$ >{CGROUPS}/{within}/cgroup.procs && " if within else ""
        done = a.run("sh", "-c", f'{enter}exec "$@"', "sh", "tierctl", "run", *words, "--", "touch", "/run/it-ran",
                     check=False)
        assert a.run("test ! -e /run/it-ran", check=False).code == 0, f"{words}: it ran"
        return done

    with cgroup(a, "narrow", cpuset_mems="0"):
        refused(run("--region", "near", within="narrow"), "near", "cpuset", f"node {near}")
        refused(run("--tier", "cxl", within="narrow"), f"node{near}", "cpuset")
        listed = a.run("sh", "-c", f"echo $$ >{CGROUPS}/narrow/cgroup.procs && exec tierctl nodes --numactl").out
        assert listed == "0\n", listed
    a.tierctl("offline", region)
    try:
        refused(run("--region", "near"), region, "none of its memory is online", f"tierctl online {region}")
        refused(run("--tier", "cxl"), f"node{far}", "Shared", "--type Shared")
        refused(a.tierctl("nodes", "--tier", "cxl", "--numactl", check=False), f"node{far}", "Shared")
        refused(a.tierctl("numactl", "--membind=near", "true", check=False), region, "none of its memory is online")
        refused(a.tierctl("move", "--pid", "1", "--to", "near", check=False), region, "none of its memory is online")
    finally:
        a.tierctl("online", region, "--zone", "movable")
    refused(run("--region", "nowhere"), "nowhere", "no region")


def case_region_comes_back(lab):
    """Offline and online again: what was bound to it is bound to it again, for what it allocates then."""
    a = lab["A"]
    near, _ = _numbers(a)
    region = region_of(a, 1)["name"]
    told = a.tierctl("run", "--region", "near", "--", "bash", "-c", f"""
set -e
look() {{ head -n 1 /proc/self/numa_maps | cut -d' ' -f2; }}
look
tierctl offline {region} >/dev/null
tierctl online {region} --zone movable >/dev/null
look
hog 32 small 1 >/run/touched & pid=$!
until grep -q touched /run/touched; do read -t 0.05 <> <(:) || :; done
grep -o 'anon=.* N{near}=[0-9]*' /proc/$pid/numa_maps | sed 's/.*N{near}=//' | sort -n | tail -n 1
kill -KILL $pid""", timeout=180)
    first, second, pages = told.out.split()
    assert first == second == f"bind=static:{near}", told.out
    assert int(pages) >= 32 * PAGES_PER_MIB, told.out


def _weigh(host, weights):
    for node, weight in weights.items():
        host.run(f"echo {weight} >{WEIGHTS}/node{node}")


def case_interleaved(lab):
    """Over two regions, one of them typed and named: evenly, then by weights; and over DRAM and CXL."""
    a = lab["A"]
    near, far = _numbers(a)
    both = ("tierctl", "run", "--region", "near", "--region", "far")

    def shares(*words):
        with hog(a, 64, "small", wrap=(*words, "--")) as it:
            return [it.pages_on(node) / (64 * PAGES_PER_MIB) for node in (0, near, far)]

    _weigh(a, {0: 1, near: 1, far: 1})
    dram, first, second = shares(*both, "--interleave")
    assert dram < 0.02 and 0.48 < first < 0.52 and 0.48 < second < 0.52, (dram, first, second)
    assert "MPOL_WEIGHTED_INTERLEAVE of" in a.run(*both, "--interleave", "--dry-run", "true").out
    _weigh(a, {near: 3})
    assert "MPOL_WEIGHTED_INTERLEAVE of" in a.run(*both, "--interleave", "--dry-run", "true").out
    dram, first, second = shares(*both, "--interleave")
    assert dram < 0.02 and 0.72 < first < 0.78 and 0.22 < second < 0.28, (dram, first, second)
    dram, first, second = shares("tierctl", "run", "--tier", "auto", "--weighted")
    assert 0.22 < dram < 0.28 and 0.72 < first < 0.78 and second == 0, (dram, first, second)
    _weigh(a, {near: 1})


def case_numactl(lab):
    """The real numactl takes the list, and names by way of tierctl."""
    a = lab["A"]
    near, far = _numbers(a)

    def shown(text, what):
        return re.search(rf"^{what}: ([\d ]*?) *$", text, re.MULTILINE)[1]

    told = a.run("numactl --membind=$(tierctl nodes --type Local --tier cxl --numactl) numactl --show").out
    assert shown(told, "membind") == str(near), told
    told = a.run("numactl --interleave=$(tierctl nodes --region near --region far --numactl) numactl --show").out
    assert shown(told, "interleavemask") == " ".join(map(str, sorted((near, far)))), told
    for words, what, wanted in (("--membind=near",), "membind", [near]), \
            (("-N", "0", "-m", "0,far"), "membind", [0, far]), (("-m", "!far"), "membind", [0, near]), \
            (("-i", region_of(a, 1)["name"] + ",far"), "interleavemask", [near, far]), \
            (("--preferred-m", "far"), "preferred", [far]), (("-m", "all"), "membind", [0, near]), \
            (("-i", "!0"), "interleavemask", [near]), (("--typed", "-m", str(far)), "membind", [far]):
        told = a.tierctl("numactl", *words, "numactl", "--show").out
        assert shown(told, what) == " ".join(map(str, sorted(wanted))), f"{words}: {told}"
    with hog(a, 64, "small", wrap=("tierctl", "numactl", "--membind=far")) as it:
        _expect(it, 64, far)
    refused(a.tierctl("numactl", "-N", "near", "true", check=False), "near", "no CPUs")
    for words in str(far), f"0,{far}", f"0-{far}":
        refused(a.tierctl("numactl", "-m", words, "true", check=False), f"node {far} is Shared", "--typed")
    # What numactl does not know it says itself.
    done = a.tierctl("numactl", "--bogus", "true", check=False)
    assert done.code == 1 and "usage: numactl" in done.err, done.err


def case_qemu(lab):
    """The real QEMU takes the properties, and has its memory there."""
    a = lab["A"]
    near, far = _numbers(a)
    for words, wanted in (("--region", "far"), [far]), (("--region", "far", "--region", "near"), sorted([near, far])):
        backend = a.tierctl("nodes", *words, "--qemu").out.strip()
        told = a.run("sh", "-c", 'printf "info memdev\\nquit\\n" | timeout 90 qemu-system-x86_64 -M none -nodefaults '
                     f"-display none -monitor stdio -object memory-backend-ram,id=m,size=32M,prealloc=on,{backend}").out
        found = re.search(r"policy: bind\s+host nodes: ([\d,-]+)", told)
        assert found, told
        bounds = [list(map(int, part.split("-"))) for part in found[1].split(",")]
        assert sum((list(range(part[0], part[-1] + 1)) for part in bounds), []) == wanted, f"{backend}: {found[0]}"


def case_move_by_cgroup(lab):
    """All of a subtree, and who comes meanwhile; to a region by its name."""
    a = lab["A"]
    near, far = _numbers(a)
    with cgroup(a, "job"):
        a.run(f"mkdir {CGROUPS}/job/inner")
        hogs = [Hog(a, (24, "small", 1), (), within).touched() for within in ("job", "job/inner")]
        refused(a.tierctl("move", "--cgroup", "job", "--to", str(far), check=False), f"node{far}", "Shared", "--typed")
        refused(a.tierctl("move", "--cgroup", "no-job", "--to", "near", check=False), "no-job")
        for it in hogs:
            assert it.pages_on(near) == it.pages_on(far) == 0
        # Slow enough for another one to come.
        mover = a.start("tierctl", "move", "--cgroup", "/job", "--to", "near", "--rate", "2M", "--json")
        maps = " ".join(f"/proc/{it.pid}/numa_maps" for it in hogs)
        a.wait_for(f"grep -q ' N{near}=[0-9][0-9][0-9]' {maps}", "pages there")
        hogs.append(Hog(a, (16, "small", 1), (), "job/inner").touched())
        assert mover.wait(120) == 0, mover.text()
        lines = [json.loads(line) for line in mover.lines if line.startswith("{")]
        report, progress = lines[-1], [line for line in lines if "progress" in line]
        assert report["processes"] == 3 and report["outcome"] == "done" and report["to"] == near, report
        assert report["moved_pages"] >= 64 * PAGES_PER_MIB and progress[-1]["done"] == progress[-1]["total"], lines
        for it, mib in zip(hogs, (24, 24, 16)):
            _expect(it, mib, near)
        # A number that is named, and a process of its own.
        told = a.tierctl("move", "--cgroup", f"{CGROUPS}/job", "--to", str(far), "--typed", "--json").out
        told = json.loads(told.splitlines()[-1])
        assert told["processes"] == 3 and told["cgroup"] == f"{CGROUPS}/job", told
        for it, mib in zip(hogs, (24, 24, 16)):
            _expect(it, mib, far)
        told = json.loads(a.tierctl("move", "--pid", str(hogs[0].pid), "--to", "near", "--json").out.splitlines()[-1])
        assert told["pid"] == hogs[0].pid and told["to"] == near and "processes" not in told, told
        _expect(hogs[0], 24, near)
        done = a.run(*NOBODY, "tierctl", "move", "--cgroup", "job", "--to", "near", check=False)
        refused(done, "process ", "not permitted")
        for it in hogs:
            it.end()
        refused(a.tierctl("move", "--cgroup", "job", "--to", "near", check=False), "job", "no process")
        a.run(f"rmdir {CGROUPS}/job/inner")


def case_which_cgroup(lab):
    """A name that two have, one of threads, a path that is none."""
    a = lab["A"]

    def move(name):
        return a.tierctl("move", "--cgroup", name, "--to", "0", check=False)

    with cgroup(a, "one"), cgroup(a, "two"):
        a.run(f"cd {CGROUPS} && mkdir one/twin.service two/twin.service two/threads && "
              "echo threaded >two/threads/cgroup.type")
        refused(move("twin.service"), "twin.service", "/one/twin.service", "/two/twin.service", "give a path")
        refused(move("two/twin.service"), "no process")
        # As in what is delegated to a user: his own are found by their path, and are in nobody's way.
        a.run(f"mkdir {CGROUPS}/two/mine.service && chown 1000 {CGROUPS}/two")
        refused(move("twin.service"), "no process")
        refused(move("mine.service"), "mine.service", "no other cgroup of root's", "give a path")
        refused(move("two/mine.service"), "no process")
        a.run(f"rmdir {CGROUPS}/two/mine.service")
        refused(move("/two/threads"), "/two/threads", "has threads")
        for path in "/three", "one/../../../etc", "/etc/":
            refused(move(path), path, "no such cgroup")
        with hog(a, 8, "small", within="one/twin.service"):
            for name in "one/twin.service", "/one/twin.service", f"{CGROUPS}/one", "one":
                assert "(1 process) to node 0" in move(name).out, name
        a.run(f"cd {CGROUPS} && rmdir one/twin.service two/twin.service two/threads")

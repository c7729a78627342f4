# SPDX-License-Identifier: GPL-2.0-or-later
"""Which share of the accesses DRAM serves, who brings it there, and at what cost: with nobody, the kernel, damo, cxl-tierd.

For each of the four a fresh host with Debian's kernel: DRAM for about a quarter of what the loads use, and a CXL
region's memory online next to it. One load after another, each with a hot part that changes once: tests/lab/heat.c,
which knows where its pages are and so which share of its accesses goes to DRAM, with hot pages in a row, scattered, and
by Zipf's law; valkey-server under two valkey-benchmarks; and sqlite3. The ideal has the hottest pages in as much DRAM
as any run has had of the load. Of valkey and sqlite it is requests that count, and what DAMON's sampling sees in the
end, when nobody moves anything any more.

build/bench/tiering-runs.json has every peer's commands and where they are recommended, and what was seen of each run;
tiering-share.svg shows it over time. A peer that moves nothing at all fails the benchmark: then it was not compared
with. A ceiling that is missed does not: whether it is reached is said.

QUICK=1: shorter, the contiguous load and sqlite only. LOADS, PEERS: names, with commas in between.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))

import tiering_curves  # noqa: E402
import tiering_shares  # noqa: E402
from tiering_peers import NOBODY, OURS, PEERS, STOP_DAEMON, VERSIONS, start_daemon  # noqa: E402

TITLE = "Tiering: accesses served by DRAM, of what could be, and what it takes"
# Missed ceilings are told and no failure: time is what emulation is worst at.
MISSES_PASS = True
QUICK = bool(os.environ.get("QUICK"))
HOST = "T"
MACHINE = ["--dram", "512M", "--cpus", "2", "--kernel", "stock", "--cxl", "serial=1,size=1280M"]
# As a Debian host has it, a little.
SWAP = ("modprobe zram; echo 128M >/sys/block/zram0/disksize; mkswap /dev/zram0 >/dev/null; swapon /dev/zram0; "
        "grep -q zram /proc/swaps")
MIB, HOT_MIB = 1100, 192
PHASES = 2
PHASE_SECONDS = 20 if QUICK else 60
# Of programs that do not know where their pages are, it is the mean that counts, and no recovery.
PROGRAM_SECONDS = 15 if QUICK else 40
# Before the first load, and after each beginning: what feeds back on itself needs some of it.
SETTLE_SECONDS = 30
# At the end, when nothing changes any more.
STILL_SECONDS = 15 if QUICK else 25
TOUCHES_PER_SECOND = 300000
HEAT = "/usr/local/bin/heat"


def _heat(pattern):
    return {"pattern": pattern, "mib": MIB, "hot_mib": HOT_MIB, "exact": True, "phase_seconds": PHASE_SECONDS,
            "command": [HEAT, MIB, HOT_MIB, pattern, TOUCHES_PER_SECOND, PHASE_SECONDS, PHASES]}


def _program(name, mib, hot_mib):
    return {"pattern": "hot and cold", "mib": mib, "hot_mib": hot_mib, "exact": False, "phase_seconds": PROGRAM_SECONDS,
            "command": ["python3", "-I", "-S", f"/usr/local/lib/tiering-{name}.py", mib, hot_mib, PROGRAM_SECONDS, PHASES]}


LOADS = {"contiguous": _heat("contiguous"), "scattered": _heat("scattered"), "zipf": _heat("zipf"),
         "valkey": _program("valkey", 800, 64), "sqlite": _program("sqlite", 800, 100)}
CEILINGS = {"contiguous": 0.95, "recovery": 0.5, "moves": 1.5, "processor": 0.01, "resident_mib": 8}
failed = []


class Lab:
    """Its own instance, so that it is in nobody's way."""

    def __init__(self):
        self.environment = {"LAB_INSTANCE": "bench-tiering", "LAB_PATIENCE": "3", **os.environ}

    def host(self, *words, **options):
        return subprocess.run(["tests/lab/host", *words], env=self.environment, text=True, check=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options).stdout

    def run(self, script, *words, **options):
        return self.host("exec", HOST, "--no-stdin", "--", "sh", "-ec", script, "bench", *map(str, words), **options)

    def down(self):
        subprocess.run(["tests/lab/host", "down", "--all"], env=self.environment, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


CREATE_REGION = """
memdev=$(cxl list -M -s 1 | sed -n 's/.*"memdev":"\\([^"]*\\)".*/\\1/p')
window=$(cxl list -D -d root -m $memdev | sed -n 's/.*"decoder":"\\([^"]*\\)".*/\\1/p')
cxl create-region -m -t ram -d $window $memdev >/dev/null 2>&1
timeout 60 sh -c 'until grep -q "MemTotal: *[1-9]" /sys/devices/system/node/node1/meminfo 2>/dev/null; do :; done'
size=$(cat /sys/devices/system/memory/block_size_bytes)
timeout 60 sh -c 'until ! grep -l offline /sys/devices/system/node/node1/memory*/state >/dev/null 2>&1; do :; done'
"""


def bring_up(lab, heat):
    """A host with a region that is online, and no daemon: the same for all peers."""
    lab.host("up", HOST, *MACHINE)
    for source, target in ((heat, HEAT), *((f"tests/bench/guest/{name}.py", f"/usr/local/lib/{name}.py")
                                           for name in ("tiering", "tiering-valkey", "tiering-sqlite"))):
        lab.host("push", HOST, source, target)
    lab.run(SWAP)
    lab.run("mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing")
    lab.run("\n".join([*start_daemon("no"), CREATE_REGION, *STOP_DAEMON]))


def measure(lab, peer, load):
    """The lines of tests/bench/guest/tiering.py; whoever moves pages goes on after a load that knows where they are."""
    seconds = PHASES * load["phase_seconds"] + load["still_seconds"]
    if load["exact"] and not peer["moves"]:
        # Nothing will be otherwise later.
        seconds = PHASE_SECONDS + tiering_shares.SETTLED_SECONDS
    end = "" if load["exact"] else "\n".join(["set -e", *peer["end"], ":"])
    text = lab.host("exec", HOST, "--no-stdin", "--", "python3", "-I", "-S", "/usr/local/lib/tiering.py", str(seconds),
                    end, *map(str, load["command"]), timeout=seconds + 900)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def measure_all(lab, name, peer, loads):
    runs, running = {}, False
    for load in loads:
        begin = time.monotonic()
        if not running:
            lab.run("\n".join(peer["begin"]), timeout=600)
            if peer["moves"]:
                # Quotas that begin with nothing grow meanwhile, and nobody tells when they have: the time is a part of the setting.
                time.sleep(SETTLE_SECONDS)
        running = loads[load]["exact"]
        runs[load] = measure(lab, peer, loads[load])
        say(f"{load}, {name}: {time.monotonic() - begin:.0f} s")
    return runs


def choose(variable, all_of_them, quick):
    names = [name for name in os.environ.get(variable, "").split(",") if name] or (quick if QUICK else list(all_of_them))
    if unknown := [name for name in names if name not in all_of_them]:
        raise SystemExit(f"bench: {variable}: no {unknown[0]}; there are {', '.join(all_of_them)}")
    return {name: all_of_them[name] for name in names}


def compare(results, peers, loads):
    """The figures with a ceiling, of those runs that were made."""
    figures = []
    others = [name for name in peers if name != OURS]

    def add(text, unit, ours, peer, peer_name, target, more=False):
        figures.append({"figure": text, "unit": unit, "ours": ours, "peer": max(peer, 1e-4), "peer_name": peer_name,
                        "target": target, **({"more_is_better": True} if more else {})})

    def best_of_peers(load, of, lowest=False):
        return (min if lowest else max)(((of(results[name][load]), name) for name in others), default=None)

    for load in loads:
        if OURS not in peers or not loads[load]["exact"]:
            continue
        ours = results[OURS][load]
        if load == "contiguous":
            add("settled, contiguous", "of accesses", ours["share"], ours["ideal"], "the ideal", CEILINGS["contiguous"], True)
        elif best := best_of_peers(load, lambda found: found["share"]):
            add(f"settled, {load}", "of accesses", ours["share"], best[0], f"the best peer, {best[1]}", 1, True)
        # Who has not recovered when the load ends needs longer than that.
        longest = PHASE_SECONDS + loads[load]["still_seconds"]
        if best := best_of_peers(load, lambda found: found["recovery_seconds"][-1] or longest, lowest=True):
            never = all(results[name][load]["recovery_seconds"][-1] is None for name in others)
            add(f"recovery, {load}", "s", ours["recovery_seconds"][-1] or longest, best[0],
                "the end, at which no peer had" if never else f"the best peer, {best[1]}", CEILINGS["recovery"])
        add(f"moves for a necessary one, {load}", "pages", ours["moves_per_necessary"] or 0, 1, "what had to move",
            CEILINGS["moves"])
        if load == "contiguous":
            add("when nothing changes", "processors", round(sum(ours["processor_when_still"].values()), 4), 1,
                "one processor", CEILINGS["processor"])
            add("resident", "MiB", round(resident_mib(ours["resident_kib"]), 2), CEILINGS["resident_mib"], "the ceiling", 1)
    return figures


def resident_mib(sizes):
    """Of the daemon, and what its worker, a copy of it, does not share with it."""
    return (sizes.get("cxl-tierd", [0])[0] + sizes.get("tierd-tiering", [0, 0])[1]) / 1024


def panels(runs, results, peers, loads):
    found = []
    for name, load in loads.items():
        end = PHASES * load["phase_seconds"] + load["still_seconds"]
        key = "share" if load["exact"] else "requests"
        lines = {peer: [(line["at"], line[key]) for line in runs[peer][name] if key in line] for peer in peers
                 if len(runs[peer][name])}
        found.append({
            "title": f"{name}: {'share of accesses that DRAM serves; dashed: the ideal' if load['exact'] else 'requests, a second'}",
            "end": end, "unit": "", "phases": [load["phase_seconds"]], "lines": lines,
            "highest": 1 if load["exact"] else max((value for points in lines.values() for _, value in points), default=1) or 1,
            "ideal": results[next(iter(peers))][name]["ideal"] if load["exact"] else None})
    return found


def tell(results, loads):
    for load in loads:
        for peer, found in results.items():
            one = found[load]
            rest = (f"share {one['share']:.3f} of {one['ideal']:.3f}, recovered after {one['recovery_seconds']} s, "
                    f"{one['moves_per_necessary']} moves for one" if loads[load]["exact"] else
                    f"requests/s {one['requests_per_second']}, share seen {one.get('seen_share')} of {one.get('ideal')}")
            say(f"{load}, {peer}: {rest}; {one['pages_moved']} pages moved; processor {one['processor']}")


def run():
    loads, peers = choose("LOADS", LOADS, ["contiguous", "sqlite"]), choose("PEERS", PEERS, list(PEERS))
    for name, load in loads.items():
        load["still_seconds"] = STILL_SECONDS if name == "contiguous" else 0
    subprocess.run(["tests/lab/build"], check=True, stdout=subprocess.DEVNULL)
    lab, runs, versions = Lab(), {}, ""
    lab.down()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        heat = f"{directory}/heat"
        subprocess.run(["tests/lab/enter", "gcc", "-O2", "-o", heat, "tests/lab/heat.c", "-lm"], check=True)
        try:
            for name, peer in peers.items():
                bring_up(lab, heat)
                versions = versions or lab.run(VERSIONS)
                runs[name] = measure_all(lab, name, peer, loads)
                if name == OURS:
                    pathlib.Path("build/bench/tiering-cxl-tierd.log").write_text(lab.run("cat /run/cxl-tierd.log"))
                lab.down()
        finally:
            lab.down()
    return report(runs, versions, peers, loads)


def report(runs, versions, peers, loads):
    capacity = tiering_shares.capacity([(loads[load], run) for found in runs.values() for load, run in found.items()])
    results = {name: {load: tiering_shares.summary(loads[load], runs[name][load], peers[name]["moves"], capacity)
                      for load in loads} for name in peers}
    out = pathlib.Path("build/bench")
    (out / "tiering-runs.json").write_text(json.dumps({
        "machine": MACHINE, "swap": SWAP, "versions": versions.splitlines(), "loads": loads, "peers": peers,
        "dram_mib_that_a_load_has_had": round(capacity / 256, 1) if capacity else None,
        "share_of_dram": round(capacity / 256 / MIB, 4) if capacity else None,
        "results": results, "runs": runs}) + "\n")
    (out / "tiering-share.svg").write_text(tiering_curves.draw(TITLE, panels(runs, results, peers, loads), peers))
    tell(results, loads)
    if capacity:
        say(f"DRAM for {capacity / 256:.0f} of {MIB} MiB")
    failed[:] = [f"{name} has moved nothing in any load: it was not compared with" for name in peers
                 if name != NOBODY and not any(found["pages_moved"] for found in results[name].values())]
    return compare(results, peers, loads)

# SPDX-License-Identifier: GPL-2.0-or-later
"""usage, in an emulated host: tiering.py SECONDS END LOAD...

Runs LOAD, and from the moment that it says "touched" on passes on its lines of JSON, for SECONDS, each with the time as
"at". Every five in between {"counters": {...}}: pages moved, by the kernel's reason (mm_migrate_pages), /proc/vmstat,
nanoseconds of processor time by name of the task (sched_stat_runtime, which knows those that have ended, too), and what
is resident of cxl-tierd. Then END, a shell command, ends whoever moves pages, and {"seen": {...}} says by DAMON's
sampling how many accesses go to which node; not if END is empty.
"""

import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

TRACING = "/sys/kernel/tracing"
MIGRATE = f"{TRACING}/events/migrate/mm_migrate_pages"
RUNTIME = f"{TRACING}/events/sched/sched_stat_runtime"
HISTOGRAMS = {MIGRATE: "hist:keys=reason:vals=succeeded", RUNTIME: "hist:keys=comm:vals=runtime:size=8192"}
VMSTAT = re.compile(r"^(pgmigrate_success|pgmigrate_fail|pgpromote_\w+|pgdemote_\w+|numa_pages_migrated|numa_hint_faults"
                    r"|numa_pte_updates|compact_success|thp_migration_\w+|oom_kill) (\d+)$", re.M)
PROCESSES = "cxl-tierd", "tierd-tiering"
NODES = "/sys/devices/system/node"
KDAMONDS = "/sys/kernel/mm/damon/admin/kdamonds"
# The kernel's own monitoring, which lets nobody else have DAMON.
STAT = "/sys/module/damon_stat/parameters/enabled"
# How accesses are counted: one page in each of so many regions, in one window after the other.
REGIONS, WINDOW_USEC, WINDOWS = 2000, 50000, 160


def write(path, text):
    with open(path, "wb", buffering=0) as file:
        file.write(str(text).encode())


def read(path):
    with open(path) as file:
        return file.read()


def say(**words):
    print(json.dumps(words), flush=True)


def histogram(event, key, value):
    text = read(f"{event}/hist")
    return {found[1].strip(): int(found[2])
            for found in re.finditer(rf"^\{{ {key}: +(.+?) +\}} .*{value}: +(\d+)", text, re.M)}


def reasons():
    """{"9": "damon"}, of the event's own format."""
    text = read(f"{MIGRATE}/format").rpartition("REC->reason")[2]
    return dict(re.findall(r'\{ *(\d+), *"(\w+)" *\}', text))


def resident():
    """KiB, {name: [VmRSS, of that in no other process]}"""
    found = {}
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            name = read(path).strip()
            if name not in PROCESSES:
                continue
            text = read(path.replace("/comm", "/smaps_rollup"))
        except OSError:
            continue
        sizes = {key: int(size) for key, size in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
        found[name] = [sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"]]
    return found


def memory():
    """KiB, {node: [all, free]}"""
    found = {}
    for path in glob.glob(f"{NODES}/node[0-9]*/meminfo"):
        sizes = dict(re.findall(r"(MemTotal|MemFree): +(\d+)", read(path)))
        found[re.search(r"node(\d+)/", path)[1]] = [int(sizes["MemTotal"]), int(sizes["MemFree"])]
    return found


class Counters:
    def __init__(self):
        self.names = reasons()
        for event, trigger in HISTOGRAMS.items():
            # What a run before has left is taken away, to begin at nothing.
            for text in f"!{trigger}", trigger:
                try:
                    write(f"{event}/trigger", text)
                except OSError:
                    if text == trigger:
                        raise

    def read(self):
        moved = histogram(MIGRATE, "reason", "succeeded")
        return {
            "moved": {self.names.get(number, number): pages for number, pages in moved.items()},
            "cpu": histogram(RUNTIME, "comm", "runtime"),
            "system": self.system(),
            "vmstat": {name: int(number) for name, number in VMSTAT.findall(read("/proc/vmstat"))},
            "resident": resident(), "memory": memory()}

    @staticmethod
    def system():
        """Seconds in the kernel, of all processors: what faults and migrations in a task's own context add to."""
        return int(read("/proc/stat").split()[3]) / os.sysconf("SC_CLK_TCK")


def blocks(size):
    """[(start, end, node)] of all memory, adjacent blocks of a node as one."""
    found = []
    for path in glob.glob(f"{NODES}/node[0-9]*/memory[0-9]*"):
        node, block = map(int, re.search(r"node(\d+)/memory(\d+)$", path).groups())
        found.append([block * size, (block + 1) * size, node])
    merged = []
    for start, end, node in sorted(found):
        if merged and merged[-1][1:] == [start, node]:
            merged[-1][1] = end
        else:
            merged.append([start, end, node])
    return merged


def seen():
    """{node: accesses}, in no unit: bytes of a region times the windows in which its page was touched."""
    if os.path.exists(STAT):
        write(STAT, "N")
    ranges = blocks(int(read("/sys/devices/system/memory/block_size_bytes"), 16))
    write(f"{KDAMONDS}/nr_kdamonds", 1)
    context = f"{KDAMONDS}/0/contexts/0"
    write(f"{KDAMONDS}/0/contexts/nr_contexts", 1)
    write(f"{context}/operations", "paddr")
    for name, number in (("intervals/sample_us", WINDOW_USEC), ("intervals/aggr_us", WINDOW_USEC * WINDOWS),
                         ("intervals/update_us", WINDOW_USEC * WINDOWS), ("nr_regions/max", 2 * REGIONS),
                         ("nr_regions/min", REGIONS)):
        write(f"{context}/monitoring_attrs/{name}", number)
    write(f"{context}/targets/nr_targets", 1)
    write(f"{context}/targets/0/regions/nr_regions", len(ranges))
    for i, (start, end, _) in enumerate(ranges):
        write(f"{context}/targets/0/regions/{i}/start", start)
        write(f"{context}/targets/0/regions/{i}/end", end)
    write(f"{context}/schemes/nr_schemes", 1)
    scheme = f"{context}/schemes/0"
    write(f"{scheme}/action", "stat")
    for name in "sz/max", "nr_accesses/max", "age/max":
        write(f"{scheme}/access_pattern/{name}", 2 ** 32 - 1 if name != "sz/max" else 2 ** 63)
    write(f"{KDAMONDS}/0/state", "on")
    # Returns when the aggregation in hand is over.
    write(f"{KDAMONDS}/0/state", "update_schemes_tried_regions")
    found = {}
    for path in glob.glob(f"{scheme}/tried_regions/[0-9]*"):
        start, end, count = (int(read(f"{path}/{name}")) for name in ("start", "end", "nr_accesses"))
        for first, last, node in ranges:
            if first <= start < last:
                found[str(node)] = found.get(str(node), 0) + (end - start) * count
    write(f"{KDAMONDS}/0/state", "off")
    write(f"{KDAMONDS}/nr_kdamonds", 0)
    return found


def count(counters, begin, over):
    while not over.wait(5):
        say(at=round(time.monotonic() - begin, 2), counters=counters.read())


def main(words):
    seconds, end, load = float(words[0]), words[1], words[2:]
    counters = Counters()
    # What a disk's cache has of DRAM is different each time.
    write("/proc/sys/vm/drop_caches", 1)
    say(before=memory())
    program = subprocess.Popen(load, stdout=subprocess.PIPE, text=True, start_new_session=True)
    over = threading.Event()
    try:
        for line in program.stdout:
            if line.startswith("touched"):
                break
        else:
            raise SystemExit(f"tiering: {load[0]} has ended with {program.wait()} before it had touched its memory")
        begin = time.monotonic()
        say(at=0, counters=counters.read())
        thread = threading.Thread(target=count, args=(counters, begin, over), daemon=True)
        thread.start()
        for line in program.stdout:
            at = time.monotonic() - begin
            if line.startswith("{"):
                say(at=round(at, 2), **json.loads(line))
            if at >= seconds:
                break
        else:
            raise SystemExit(f"tiering: {load[0]} has ended with {program.wait()}")
        over.set()
        thread.join()
        say(at=round(time.monotonic() - begin, 2), counters=counters.read())
        # The load goes on: what it says fits into the pipe.
        if end:
            subprocess.run(["sh", "-c", end], check=True, stdout=sys.stderr)
            say(seen=seen())
    finally:
        over.set()
        # With what it has started.
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

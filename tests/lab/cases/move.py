# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of a process between two DRAM nodes: each is moved, or counted by why it was not; none is lost."""

import json
import os
import re
import subprocess

from flying import refused

SECONDS = 120
SOURCE, PROGRAM = "/src/tests/lab/move-victim.c", "/src/build/lab/move-victim"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
MIB_PAGES = 256
OUTCOMES = ("moved_pages", "already_pages", "elsewhere_pages", "absent_pages", "shared_pages", "pinned_pages",
            "failed_pages", "no_memory_pages")


def setup(lab):
    if not os.path.exists(PROGRAM) or os.stat(PROGRAM).st_mtime < os.stat(SOURCE).st_mtime:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", PROGRAM + ".new", SOURCE], check=True)
        os.rename(PROGRAM + ".new", PROGRAM)
    lab.up("A", options=("--dram", "2G", "--node", "dram=1G"))
    lab["A"].push(PROGRAM, "/usr/local/bin/move-victim")


class Victim:
    """A process with areas of memory on node 0; it knows what belongs into every page."""

    def __init__(self, host, *areas, user=()):
        self.host = host
        fifo = host.run("mktemp -u /run/victim.XXXXXX").out.strip()
        self.stream = host.start("sh", "-c", 'mkfifo -m 666 "$0"; exec "$@" <>"$0"', fifo, *user,
                                 "move-victim", *map(str, areas))
        self.fifo, self.ranges = fifo, []
        while not (line := self.stream.next_line(90)).startswith("ready"):
            if line != "intact":  # that is its child, which has looked at what it shares
                self.ranges.append(line.split()[1])
        self.pid = line.split()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.host.run(f"kill -KILL {self.pid}; rm -f {self.fifo}", check=False)
        self.stream.kill()

    def move(self, *options, area=0, check=True, start=False, user=()):
        words = (*user, "tierctl", "move", "--pid", self.pid, "--to", "1", "--json",
                 *(("--range", self.ranges[area]) if area is not None else ()), *options)
        return self.host.start(*words) if start else self.host.run(*words, check=check)

    def on_node(self, node):
        """Pages of its anonymous and shared areas there."""
        lines = self.host.run(f"grep -v file=/usr /proc/{self.pid}/numa_maps").out
        return sum(map(int, re.findall(rf" N{node}=(\d+)", lines)))

    def expect_intact(self):
        self.host.run(f"echo >{self.fifo}")
        answer = self.stream.next_line(60)
        assert answer == "intact", answer


def report(result):
    """The last line of --json; those before it tell of the progress."""
    return json.loads(result.out.splitlines()[-1])


def expect(result, **counts):
    """Every page is in one of the outcomes, and these are as given; the others are zero."""
    result = report(result)
    assert sum(result[key] for key in OUTCOMES) == result["scanned_pages"], f"the sum is wrong: {result}"
    counts = {f"{key}_pages": value for key, value in counts.items()}
    wrong = {key: result[key] for key in OUTCOMES if result[key] != counts.get(key, 0)}
    assert not wrong, f"expected {counts}, got {result}"
    return result


def case_small_pages(lab):
    a = lab["A"]
    pages = 32 * MIB_PAGES
    with Victim(a, "small", 32) as victim:
        there = victim.on_node(1)
        expect(victim.move("--dry-run"), moved=pages)
        assert victim.on_node(1) == there, "a dry run moved something"
        assert expect(victim.move(), moved=pages)["huge_folios"] == 0
        assert victim.on_node(1) >= pages, f"{victim.on_node(1)} pages arrived"
        victim.expect_intact()
        expect(victim.move(), already=pages)
        result = a.tierctl("move", "--pid", victim.pid, "--from", "1", "--to", "0", "--range", victim.ranges[0])
        assert re.search(rf"moved +{pages} pages +32M", result.out), result.out
        assert victim.on_node(0) >= pages
        victim.expect_intact()


def case_huge_pages_move_whole(lab):
    a = lab["A"]
    with Victim(a, "thp", 64) as victim:
        huge = f"grep -h AnonHugePages /proc/{victim.pid}/smaps | awk '{{ sum += $2 }} END {{ print sum }}'"
        assert a.run(huge).out.strip() == "65536", "the kernel gave no huge pages"
        assert expect(victim.move(), moved=64 * MIB_PAGES)["huge_folios"] == 32
        assert a.run(huge).out.strip() == "65536", "huge pages were split"
        assert victim.on_node(1) >= 64 * MIB_PAGES
        victim.expect_intact()


def case_shared_pages(lab):
    """Two processes map them: EACCES, unless both are meant."""
    with Victim(lab["A"], "shared", 16) as victim:
        pages = 16 * MIB_PAGES
        expect(victim.move(), shared=pages)
        victim.expect_intact()
        expect(victim.move("--shared"), moved=pages)
        victim.expect_intact()


def case_absent_pages(lab):
    """A gigabyte of addresses, of which sixteen pages were ever touched."""
    with Victim(lab["A"], "sparse", 1024) as victim:
        result = expect(victim.move(), moved=16, absent=1024 * MIB_PAGES - 16)
        assert result["elapsed_usec"] < 10e6, result
        victim.expect_intact()


def case_pinned_pages(lab):
    """Registered with io_uring: tried, counted, and where they were."""
    with Victim(lab["A"], "pinned", 2, "small", 2, "pinned-thp", 2) as victim:
        expect(victim.move(), pinned=2 * MIB_PAGES)
        expect(victim.move(area=1), moved=2 * MIB_PAGES)
        expect(victim.move(area=2), pinned=2 * MIB_PAGES)
        victim.expect_intact()


def case_whole_process(lab):
    """Its stacks, libraries and all: nothing in a process is of a kind that makes the move fail."""
    with Victim(lab["A"], "small", 4, "thp", 4, "shared", 4) as victim:
        result = report(victim.move(area=None))
        assert sum(result[key] for key in OUTCOMES) == result["scanned_pages"], result
        assert result["moved_pages"] >= 8 * MIB_PAGES and result["shared_pages"] >= 4 * MIB_PAGES, result
        assert result["failed_pages"] == result["pinned_pages"] == 0, result
        victim.expect_intact()


def case_full_node(lab):
    """It stops where the room ends, and says so; nothing is lost, and nobody is killed for it."""
    a = lab["A"]
    knob = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"
    with Victim(a, "small", 192) as victim:
        free = int(a.run("grep MemFree /sys/devices/system/node/node1/meminfo").out.split()[3])
        a.run(f"echo {(free - 96 * 1024) // 2048} >{knob}")
        try:
            result = victim.move(check=False)
            refused(result, "node1", "no free memory", victim.pid)
            counts = report(result)
            assert counts["outcome"] == "no-space" and 0 < counts["moved_pages"] < 96 * MIB_PAGES, counts
            assert victim.on_node(1) <= counts["moved_pages"] + MIB_PAGES
            victim.expect_intact()
        finally:
            a.run(f"echo 0 >{knob}")
        expect(victim.move(), moved=192 * MIB_PAGES - counts["moved_pages"], already=counts["moved_pages"])
        victim.expect_intact()
    assert "Out of memory" not in a.dmesg()


def case_rate(lab):
    """Twice as much as the rate allows in a second takes the other second."""
    with Victim(lab["A"], "small", 32) as victim:
        result = expect(victim.move("--rate", "16M"), moved=32 * MIB_PAGES)
        assert 1.7e6 < result["elapsed_usec"], result
        victim.expect_intact()


def _moving(lab, victim):
    """A slow move of it that has begun; the tool's pid and its output."""
    mover = victim.move("--rate", "2M", start=True)
    lab["A"].wait_for(f"grep -q ' N1=[0-9][0-9][0-9][0-9]' /proc/{victim.pid}/numa_maps", "thousand pages on node 1")
    return lab["A"].run(f"pgrep -x tierctl").out.strip(), mover


def case_interrupted(lab):
    """Ctrl-C: after the batch in hand it ends, and its counts are what the kernel says."""
    with Victim(lab["A"], "small", 64) as victim:
        pid, mover = _moving(lab, victim)
        lab["A"].run(f"kill -INT {pid}")
        assert mover.wait(20) == 1, mover.text()
        assert "stopped before every page was moved; what was moved stays" in mover.text(), mover.text()
        counts = next(line for line in mover.lines if '"outcome"' in line)
        assert '"outcome":"cancelled"' in counts, counts
        moved = int(re.search(r'"moved_pages":(\d+)', counts)[1])
        assert 0 < moved < 64 * MIB_PAGES and 0 <= victim.on_node(1) - moved < 64, f"{victim.on_node(1)}: {counts}"
        victim.expect_intact()
        expect(victim.move(), moved=64 * MIB_PAGES - moved, already=moved)
        victim.expect_intact()


def case_process_ends_midway(lab):
    with Victim(lab["A"], "small", 64) as victim:
        _, mover = _moving(lab, victim)
        lab["A"].run(f"kill -KILL {victim.pid}")
        assert mover.wait(20) == 1, mover.text()
        assert f"tierctl: process {victim.pid}: no such process, or it has ended" in mover.errors, mover.text()


def case_refusals(lab):
    a = lab["A"]
    with Victim(a, "small", 2) as victim, Victim(a, "small", 2, user=NOBODY) as own:
        def move(*words, user=()):
            return a.run(*user, "tierctl", "move", *words, check=False)

        refused(move("--pid", victim.pid, "--to", "7"), "node7", "no such node", "tierctl list nodes")
        refused(move("--pid", victim.pid, "--from", "5", "--to", "1"), "node5", "no such node")
        refused(move("--pid", victim.pid, "--from", "1", "--to", "1"), "node1", "both")
        refused(move("--pid", "999999", "--to", "1"), "999999", "no such process")
        refused(move("--pid", "2", "--to", "1"), "process 2", "no such process")
        refused(move("--pid", victim.pid, "--to", "1", user=NOBODY), victim.pid, "not permitted", "root")
        for words in (), ("--pid", victim.pid), ("--to", "1"), ("--pid", "x", "--to", "1"), \
                ("--pid", victim.pid, "--to", "1", "--rate", "fast"), ("--pid", victim.pid, "--to", "1", "--range", "7-"), \
                ("--pid", victim.pid, "--to", "1", "--from", "0,"):
            result = move(*words)
            assert result.code == 2 and result.err.count("\n") == 1, f"{words}: exit {result.code}: {result.err}"
        assert victim.on_node(1) < MIB_PAGES, "a refused move moved something"
        # One's own process needs no privilege.
        expect(own.move(user=NOBODY), moved=2 * MIB_PAGES)
        own.expect_intact()

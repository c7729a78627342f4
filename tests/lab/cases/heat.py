# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl heat shows what is hot where it is, takes DAMON from nobody, and leaves nothing behind.

The program of tiering.py has its hot pages at the end of its memory, which is one mapping.
"""

import contextlib
import json
import re
import xml.etree.ElementTree

import nodes
from flying import refused
from heating import KDAMONDS, RATE, kdamonds, prepare
from nodes import NOBODY, cgroup, node_of

SECONDS = 110
HOST = ("--dram", "768M", "--cpus", "2", "--cxl", "serial=1,size=256M,window=0", "--cxl", "serial=2,size=1G,window=1")
DEADLINE = 300
KERNEL = "patched"
CONFIG = ("[Region far]\nMatchSerial=1\nType=switched\nOnline=no\n[Region own]\nMatchSerial=2\nOnline=movable\n"
          "[Tiering]\nTier=%s\n")
MIB, HOT = 240, 60
RECLAIM = "/sys/module/damon_reclaim/parameters/enabled"
_SVG = "{http://www.w3.org/2000/svg}"


def setup(lab):
    a = nodes.bring_up_own(lab, HOST, CONFIG % "no", {2: 1024})
    prepare(a)


@contextlib.contextmanager
def load(host, within="", name="warm"):
    """The program's number, where its memory begins and where the hot pages do."""
    enter = f"echo $$ >{nodes.CGROUPS}/{within}/cgroup.procs; " if within else ""
    # It is called as its file is.
    host.run("cp", "/usr/local/bin/heat", f"/tmp/{name}")
    stream = host.start("sh", "-c", f'echo "pid $$"; {enter}exec "$@"', "sh", f"/tmp/{name}", str(MIB), str(HOT),
                        "contiguous", str(RATE), "1", "1")
    pid = int(stream.wait_line("pid ", 60).split()[1])
    try:
        stream.wait_line("touched", 120)
        maps = host.run("cat", f"/proc/{pid}/maps").out
        start, end = max(((int(a, 16), int(b, 16)) for a, b in re.findall(r"^(\w+)-(\w+)", maps, re.MULTILINE)
                          if not a.startswith("ffff")), key=lambda range_: range_[1] - range_[0])
        # Neighbours are one mapping with it.
        assert MIB << 20 <= end - start < (MIB + 16) << 20, maps
        yield pid, start, end
    finally:
        host.run(f"kill -KILL {pid}", check=False)
        stream.wait(60)


def take(host, *words, **options):
    return host.tierctl("heat", *map(str, words), "--json", **options).json()


def rows_of(told, **which):
    return [row for segment in told["segments"] if all(segment.get(key) == value for key, value in which.items())
            for row in segment["rows"]]


def overlap(row, start, end):
    return max(0, min(row["end"], end) - max(row["start"], start))


def expect_hot_at_the_end(rows, end):
    """Most of what is hot is among the last HOT MiB before @end, or in the row where these begin."""
    start = end - (HOT << 20)
    hottest = max(row["per_second"] for row in rows)
    hot = [row for row in rows if row["per_second"] >= hottest / 2]
    inside = sum(overlap(row, start - (16 << 20), end + (16 << 20)) for row in hot)
    everything = sum(row["end"] - row["start"] for row in hot)
    assert inside >= 0.8 * everything, f"{inside} of {everything} in place: {hot}"
    assert inside >= (HOT << 20) / 2, f"only {inside} bytes are hot"
    cold = [row["per_second"] for row in rows if row["end"] <= start - (16 << 20) and row["end"] > end - (MIB << 20)]
    assert cold and max(cold) < hottest / 2, f"{cold} against {hottest}"


def expect_nothing_left(host):
    assert kdamonds(host) == 0, "a kdamond is left"


def case_process(lab):
    """The hot part is where it is, in JSON and in the picture; and on the node where it was moved to."""
    a = lab["A"]
    own = node_of(a, 2)
    with load(a) as (pid, start, end):
        hot = end - (HOT << 20)
        a.tierctl("move", "--pid", str(pid), "--to", str(own), "--range", f"{hot:x}-{end:x}")
        told = take(a, pid, "--for", "12s", "--rows", "40", "--svg", "/tmp/heat.svg")
        shown = a.tierctl("heat", str(pid), "--for", "2s", "--rows", "8", "--width", "16")
    rows = [row for row in rows_of(told, pid=pid) if overlap(row, start, end)]
    expect_hot_at_the_end(rows, end)
    assert told["outcome"] == "done" and 11e6 < told["elapsed_usec"] < 40e6, told["elapsed_usec"]
    assert len(rows_of(told)) <= 40 and told["columns"] <= 64, told["columns"]
    assert all(len(row["cells"]) == told["columns"] for row in rows)
    assert sum(it["bytes"] for it in told["histogram"]) > MIB << 20, told["histogram"]
    there = {it["node"]: it["hot_bytes"] for it in told["nodes"]}
    assert there[own] > 4 * there.get(0, 0) and there[own] > HOT << 19, there
    picture = xml.etree.ElementTree.fromstring(a.run("cat", "/tmp/heat.svg").out)
    assert picture.tag == f"{_SVG}svg" and len(picture.findall(f"{_SVG}rect")) > len(rows), picture
    assert f"process {pid}" in picture.find(f"{_SVG}title").text
    lines = shown.out.splitlines()
    assert lines[0].startswith(f"process {pid} (warm): ") and "\033" not in shown.out, shown.out
    drawn = [line for line in lines if re.fullmatch(r"[0-9a-f]{16} \|[ .:=+*#%@?-]{1,16}\| +[0-9.]+", line)]
    assert 1 <= len(drawn) <= 8 and any("@" in line for line in drawn), shown.out
    assert "100%" in shown.err, shown.err
    expect_nothing_left(a)


def case_host(lab):
    """By node: of node 0 and the region's, whose hot part it is when the program is bound there."""
    a = lab["A"]
    own = node_of(a, 2)
    with load(a) as (pid, _, _):
        a.tierctl("move", "--pid", str(pid), "--to", str(own))
        told = take(a, "host", "--for", "15s", "--rows", "60")
    assert {segment["node"] for segment in told["segments"]} == {0, own}, told["segments"]
    assert {it["node"] for it in told["nodes"]} == {0, own}, told["nodes"]
    best = {node: max(row["per_second"] for row in rows_of(told, node=node)) for node in (0, own)}
    assert best[own] > 0 and best[own] > best[0] / 2, best
    assert sum(it["bytes"] for it in told["nodes"] if it["node"] == own) <= 1 << 30, told["nodes"]
    expect_nothing_left(a)


def case_cgroup(lab):
    """Every process of it, also one that comes meanwhile; and names that mean something to a terminal or a picture."""
    a = lab["A"]
    evil = "\033]0;<b>&\"\a"
    with cgroup(a, "warm") as within, load(a, within) as (first, _, end):
        stream = a.start("tierctl", "heat", f"/{within}", "--for", "40s", "--rows", "60", "--json", "--svg", "/tmp/group.svg")
        await_map(a)
        with load(a, within, evil) as (second, _, other_end):
            stream.wait(120)
    told = json.loads(stream.text())
    # Each has a child, which lets it share its processor.
    pids = {segment["pid"] for segment in told["segments"]}
    assert pids >= {first, second} and len(pids) == 4, pids
    assert {segment["name"] for segment in told["segments"]} == {"warm", "?]0;<b>&\"?"}, told["segments"]
    expect_hot_at_the_end([row for row in rows_of(told, pid=first) if overlap(row, end - (MIB << 20), end)], end)
    rows = [row for row in rows_of(told, pid=second) if overlap(row, other_end - (MIB << 20), other_end)]
    assert rows and any(row["per_second"] for row in rows), "the one that came is not seen"
    xml.etree.ElementTree.fromstring(a.run("cat", "/tmp/group.svg").out)
    expect_nothing_left(a)


def case_cut_short(lab):
    """The process ends, or the user does not want to wait: there is a map until then, and it says so."""
    a = lab["A"]
    begun = f"grep -qx on {KDAMONDS}/0/state"
    with load(a) as (pid, _, _):
        stream = a.start("tierctl", "heat", str(pid), "--for", "5m", "--json")
        a.wait_for(begun, "the beginning", 60)
        a.wait_for(f"[ -e {KDAMONDS}/0/contexts/0/schemes/0/tried_regions/0 ]", "a snapshot", 60)
        a.run("pkill -INT -x tierctl")
        assert stream.wait(60) == 0
        assert json.loads(stream.text())["outcome"] == "stopped"
        stream = a.start("tierctl", "heat", str(pid), "--for", "5m")
        a.wait_for(begun, "the beginning", 60)
        a.wait_for(f"[ -e {KDAMONDS}/0/contexts/0/schemes/0/tried_regions/0 ]", "a snapshot", 60)
    assert stream.wait(60) == 0
    assert "of 300.0 s, then the process ended" in stream.text(), stream.text()
    expect_nothing_left(a)


def await_map(host):
    """By its thread: while a snapshot is waited for, which is most of the time, DAMON's files answer EBUSY."""
    host.wait_for("pgrep '^kdamond' >/dev/null", "the beginning", 60)


def case_refusals(lab):
    """One line each, and nothing has changed."""
    a = lab["A"]

    def heat(*words):
        return a.tierctl("heat", *words, check=False)

    refused(heat("4194303"), "no such process")
    refused(heat("2"), "no memory of its own")
    refused(heat("no-such.service"), "no-such.service")
    refused(heat("1", "--svg", "/no-such/x.svg"), "/no-such/x.svg")
    refused(heat("1", "--svg", "/dev/null"), "no regular file")
    refused(a.run(*NOBODY, "tierctl", "heat", "host", check=False), "run as root")
    for words in ("1", "--for", "3d"), ("1", "--for", "30"), ("1", "--rows", "1"), ("0",), ():
        assert heat(*words).code == 2, words
    a.run(f"echo 1 >{KDAMONDS}/nr_kdamonds")
    refused(heat("1"), "1 kdamonds of somebody else")
    assert kdamonds(a) == 1, "they were taken away"
    a.run(f"echo 0 >{KDAMONDS}/nr_kdamonds")
    a.run(f"echo Y >{RECLAIM}")
    refused(heat("1"), "damon_reclaim", f"echo N > {RECLAIM}")
    assert a.run("cat", RECLAIM).out.strip() == "Y"
    a.run(f"echo N >{RECLAIM}")
    stream = a.start("tierctl", "heat", "1", "--for", "1h")
    await_map(a)
    refused(heat("1"), "another tierctl heat")
    assert "tierctl heat uses DAMON" in a.tierctl("doctor", check=False).out
    a.run("pkill -INT -x tierctl")
    assert stream.wait(60) == 0
    expect_nothing_left(a)


def case_killed(lab):
    """What is left is found, and put back by cxl-tierd --release, and by the next map."""
    a = lab["A"]

    def kill_one():
        stream = a.start("tierctl", "heat", "1", "--for", "1h")
        await_map(a)
        a.run("pkill -KILL -x tierctl")
        stream.wait(60)
        assert kdamonds(a) == 1
        return a.tierctl("doctor", check=False).out

    kill_one()
    take(a, 1, "--for", "1s")
    expect_nothing_left(a)
    a.stop_daemon()
    assert "DAMON is as" in kill_one()
    a.run("cxl-tierd", "--release")
    expect_nothing_left(a)
    a.start_daemon()


def case_beside_tier_auto(lab):
    """It waits for the step in hand, and cxl-tierd goes on afterwards."""
    a = lab["A"]
    with load(a) as (pid, _, _):
        a.write(nodes.CONFIG, CONFIG % "auto")
        a.run("kill -HUP $(cat /run/cxl-tierd.pid)")
        a.rescan()
        a.wait_for(f"! grep -qx 0 {KDAMONDS}/nr_kdamonds", "a step", 60)
        told = take(a, pid, "--for", "5s")
        assert told["outcome"] == "done" and told["snapshots"] > 3, told["outcome"]
        a.wait_for(f"! grep -qx 0 {KDAMONDS}/nr_kdamonds", "another step", 90)
    a.write(nodes.CONFIG, CONFIG % "no")
    a.run("kill -HUP $(cat /run/cxl-tierd.pid)")
    a.rescan()
    a.wait_for(f"! pgrep -x tierd-tiering >/dev/null && grep -qx 0 {KDAMONDS}/nr_kdamonds", "the end of it", 60)

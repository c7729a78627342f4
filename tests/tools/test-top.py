#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl top on a dump: printed once, and on a terminal that this program plays, with keys and other sizes.

test-top.py TIERCTL; TIER_NCURSES=no: it was built without, and says so.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.dont_write_bytecode = True
import each_test  # noqa: E402

TIERCTL = os.path.abspath(sys.argv[1])
LIVE = os.environ.get("TIER_NCURSES") != "no"
DUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "expanders")
DEADLINE = 30
EVIL = "\x1b[31mevil\x07.service"
# Whatever else reaches the terminal is an error of this test's.
TERMINFO = r"""plain|moves, clears, and marks,
	cols#80, lines#24, clear=\E[H\E[2J, cup=\E[%i%p1%d;%p2%dH, el=\E[K, ed=\E[J, cr=\r, ind=\n,
	rev=\E[7m, bold=\E[1m, dim=\E[2m, sgr0=\E[m, kcuu1=\E[A, kcud1=\E[B, kpp=\E[5~, knp=\E[6~,
"""
SEQUENCE = re.compile(r"\x1b\[(\d*)(?:;(\d+))?([A-Za-z])|([ -~])|([\r\n\b])")


def write(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = path + ".new"
    with open(new, "w", encoding="ascii") as file:
        file.write(text)
    os.rename(new, path)


def counters(root, promoted):
    """Of node 0, in MiB."""
    write(root, "sys/devices/system/node/node0/vmstat",
          f"pgpromote_success {promoted << 8}\npgpromote_candidate 1\npgdemote_kswapd 1\npgdemote_direct 0\n")


def unit(root, path, **nodes):
    text = " ".join(f"N{node[1:]}={mib << 20}" for node, mib in nodes.items())
    write(root, f"sys/fs/cgroup/{path}/memory.numa_stat", f"anon N0=99999999999\nactive_anon {text}\n")


def process(root, pid, name, **nodes):
    text = " ".join(f"N{node[1:]}={mib << 8}" for node, mib in nodes.items())
    write(root, f"proc/{pid}/numa_maps", f"7f00 default anon=1 {text} kernelpagesize_kB=4\n")
    write(root, f"proc/{pid}/statm", "999999 999999 1 1 0 1 0\n")
    write(root, f"proc/{pid}/comm", f"{name}\n")


def machine(scratch):
    """Node 2 is Switched by the configuration; node 3 has no memory."""
    root = os.path.join(scratch, "root")
    shutil.copytree(DUMP, root, symlinks=True)
    write(root, "sys/fs/cgroup/cgroup.controllers", "memory\n")
    unit(root, "system.slice/db.service", n0=10, n2=700)
    unit(root, "system.slice/web.service", n0=100)
    unit(root, f"system.slice/{EVIL}", n0=1)
    for i in range(30):
        unit(root, f"user.slice/u{i:02}.scope", n0=2)
    process(root, 4321, "ba\x1b[2Jd", n0=5, n2=50)
    counters(root, 1000)
    with open(os.path.join(scratch, "conf"), "w", encoding="ascii") as file:
        file.write("[Region zero]\nMatchSerial=1\nType=switched\n")
    with open(os.path.join(scratch, "plain.ti"), "w", encoding="ascii") as file:
        file.write(TERMINFO)
    subprocess.run(["tic", "-o", os.path.join(scratch, "terminfo"), os.path.join(scratch, "plain.ti")], check=True)
    return root


def command(scratch, *arguments):
    return [TIERCTL, "top", "--sysroot", f"{scratch}/root", "--config", f"{scratch}/conf", *arguments]


def run(scratch, *arguments, **environment):
    return subprocess.run(command(scratch, *arguments), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          check=False, env={**os.environ, "CXL_TIERD_SOCKET": "/nonexistent", **environment})


class Terminal:
    """tierctl top on a terminal of this size; what it shows is in self.screen, and where it wrote in self.widest."""

    def __init__(self, scratch, *arguments, rows=24, columns=80, term="plain"):
        self.rows, self.columns = rows, columns
        self.clear()
        self.at, self.pending, self.widest, self.raw, self.status = (0, 0), "", 0, "", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.environ.update(TERM=term, TERMINFO=f"{scratch}/terminfo", CXL_TIERD_SOCKET="/nonexistent", LC_ALL="C")
            if term == "nonesuch":
                # newterm() itself leaks then.
                os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
            os.environ.pop("LINES", None)
            os.environ.pop("COLUMNS", None)
            os.execv(TIERCTL, command(scratch, *arguments))

    def clear(self):
        self.screen = [[" "] * 400 for _ in range(120)]

    def lines(self):
        return ["".join(line).rstrip() for line in self.screen[:self.rows]]

    def take(self, text):
        self.raw += text
        self.pending += text
        while self.pending:
            found = SEQUENCE.match(self.pending)
            if not found:
                assert self.pending[0] == "\x1b" and len(self.pending) < 16, f"what is this? {self.pending[:20]!r}"
                return
            self.pending = self.pending[found.end():]
            self.act(*found.groups())

    def act(self, first, second, letter, plain, control):
        row, column = self.at
        if plain:
            self.screen[row][column] = plain
            self.widest = max(self.widest, column + 1)
            self.at = row, min(column + 1, self.columns - 1)
        elif control == "\r":
            self.at = row, 0
        elif control == "\n":
            self.at = row + 1, column
        elif control == "\b":
            self.at = row, max(column - 1, 0)
        elif letter == "H":
            self.at = int(first or 1) - 1, int(second or 1) - 1
        elif letter == "J" and first == "2":
            self.clear()
        elif letter in "JK":
            self.screen[row][column:] = [" "] * (400 - column)
            for below in range(row + 1, 120) if letter == "J" else ():
                self.screen[below] = [" "] * 400
        else:
            assert letter == "m", f"what is this? {letter!r}"

    def read(self, seconds):
        """False: it has closed the terminal."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        if data:
            self.take(data.decode("ascii"))
        return bool(data)

    def until(self, what, condition):
        end = time.monotonic() + DEADLINE
        while not condition(self.lines()):
            assert self.read(1), f"it ended: {what}: {self.raw[-500:]!r}"
            assert time.monotonic() < end, f"not in {DEADLINE} s: {what}\n" + "\n".join(self.lines())
        return self.lines()

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self):
        """Its exit status, once it has ended by itself."""
        end = time.monotonic() + DEADLINE
        while self.read(1):
            assert time.monotonic() < end, "it does not end"
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def keys_at_the_bottom(terminal):
    return lambda lines: lines[terminal.rows - 1].startswith("q quit") and lines[0].startswith("dump")


def test_once(scratch):
    for environment, width in ({}, 80), ({"COLUMNS": "60"}, 60), ({"COLUMNS": "200"}, 200):
        result = run(scratch, "--once", **environment)
        assert result.returncode == 0 and result.stderr == "", result
        lines = result.stdout.splitlines()
        assert max(map(len, lines)) <= width, lines
        assert result.stdout.isascii() and "\x1b" not in result.stdout and "\x07" not in result.stdout, result
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["db.service", "710M", "10M", "700M"] in rows, rows
    assert ["UNIT", "TOTAL", "DRAM", "SWITCHED"] in rows, rows
    assert ["?[31mevil?.service", "1.0M", "1.0M", "0"] in rows, rows
    assert sum(row[:1] == [f"u{i:02}.scope"] for row in rows for i in range(30)) == 30, rows
    assert "q quit" not in result.stdout
    processes = run(scratch, "--once", "--processes").stdout
    assert [line.split() for line in processes.splitlines()][-1] == ["4321", "ba?[2Jd", "55M", "5.0M", "50M"], processes


def test_json(scratch):
    told = json.loads(run(scratch, "--once", "--json").stdout)
    assert [(node["node"], node["type"], node["class"]) for node in told["nodes"]] == [
        (0, "Local", "dram"), (2, "Switched", "cxl")], told
    assert told["nodes"][0]["promoted_bytes_per_second"] is None, "a dump has no rates"
    assert [tier["tier"] for tier in told["tiers"]] == [4, 4996], told
    first = told["units"][0]
    assert (first["name"], first["cgroup"], first["total_bytes"]) == ("db.service", "/system.slice/db.service", 710 << 20)
    assert first["nodes"][1] == {"node": 2, "type": "Switched", "bytes": 700 << 20}, first
    told = json.loads(run(scratch, "--once", "--json", "--processes", "--least", "1").stdout)
    assert [(p["pid"], p["name"]) for p in told["processes"]] == [(4321, "ba?[2Jd")], told


def test_refusals(scratch):
    for arguments, status, words in (
            ((), 1, ["not a terminal", "tierctl top --once"]), (("--json",), 2, ["--once"]),
            (("--once", "--interval", "0"), 2, ["1 to 3600"]), (("--once", "--interval", "x"), 2, ["--interval"]),
            (("--once", "more"), 2, ["more"])):
        result = run(scratch, *arguments)
        assert result.returncode == status and result.stdout == "" and result.stderr.count("\n") == 1, result
        assert all(word in result.stderr for word in words), result
    shutil.rmtree(f"{scratch}/root/sys/fs/cgroup")
    result = run(scratch, "--once")
    assert result.returncode == 0 and "not mounted" in result.stdout and "--processes" in result.stdout, result


def test_without_ncurses(scratch):
    if LIVE:
        return
    with Terminal(scratch) as terminal:
        assert terminal.end() == 1 and "built without ncurses" in terminal.raw, terminal.raw


def test_screen(scratch):
    with Terminal(scratch) as terminal:
        lines = terminal.until("the first picture", keys_at_the_bottom(terminal))
        assert lines[1].split() == "NODE TIER CLASS TYPE REGIONS SIZE USED USE% PROMOTED DEMOTED".split(), lines
        assert lines[3].split()[:5] == ["2", "4996", "cxl", "Switched", "region0"], lines
        assert lines[8].split() == ["db.service", "710M", "10M", "700M"], lines
        assert len(lines[1]) == 80 and terminal.widest <= 80, terminal.widest
        # What is promoted meanwhile is seen in the next picture; the time between two is not exact.
        counters(f"{scratch}/root", 1900)
        lines = terminal.until("a rate", lambda lines: re.search(r"\d[KMG]/s +0/s$", lines[2]))
        rate = float(re.search(r"([\d.]+)M/s", lines[2])[1])
        assert 100 < rate <= 901, lines[2]
        # A node whose memory goes is read anew.
        write(f"{scratch}/root", "sys/devices/system/node/node2/meminfo", "Node 2 MemTotal: 0 kB\nNode 2 MemFree: 0 kB\n")
        terminal.until("the node has gone", lambda lines: lines[4].startswith("   4 0 "))
        terminal.press("q")
        assert terminal.end() == 0


def test_keys(scratch):
    with Terminal(scratch, "--interval", "3600") as terminal:
        bottom = keys_at_the_bottom(terminal)
        lines = terminal.until("the first picture", bottom)
        assert "1 of 33" in lines[23] and "sort: TOTAL" in lines[23], lines
        terminal.press("\x1b[B")
        terminal.until("the second row is the first", lambda lines: lines[8].startswith("web.service"))
        terminal.press("\x1b[6~" * 5)
        terminal.until("the last row", lambda lines: lines[22].startswith("?[31mevil?.service"))
        terminal.press("\x1b[5~" * 5 + "s")
        terminal.until("sorted by DRAM", lambda lines: "sort: DRAM" in lines[23] and lines[8].startswith("web.service"))
        terminal.press("n")
        terminal.until("by node", lambda lines: lines[7].split() == ["UNIT", "TOTAL", "N0", "N2:Sw"])
        terminal.press("p")
        terminal.until("processes", lambda lines: lines[7].split()[:2] == ["PID", "PROCESS"] and
                       lines[8].split() == ["4321", "ba?[2Jd", "55M", "5.0M", "50M"])
        terminal.press("x?\x1b[7z")
        terminal.press("p")
        terminal.until("units again", lambda lines: lines[7].split()[0] == "UNIT" and bottom(lines))
        assert terminal.widest <= 80, terminal.widest
        terminal.press("\x03")
        assert terminal.end() == 0, "interrupted"


def test_resize(scratch):
    with Terminal(scratch, "--interval", "3600") as terminal:
        terminal.until("the first picture", keys_at_the_bottom(terminal))
        terminal.resize(40, 120)
        lines = terminal.until("a larger one", keys_at_the_bottom(terminal))
        assert len(lines[1]) == 120 and lines[38].strip(), lines
        terminal.resize(12, 40)
        lines = terminal.until("a smaller one", keys_at_the_bottom(terminal))
        # What is drawn from now on has no room for more.
        terminal.widest = 0
        terminal.press("n")
        lines = terminal.until("another table", lambda lines: any("N2:Sw" in line for line in lines))
        assert 0 < terminal.widest <= 40, (terminal.widest, lines)
        assert not any("DEMOTED" in line for line in lines) or max(map(len, lines)) <= 40, lines
        terminal.resize(3, 10)
        terminal.until("hardly one", lambda lines: lines[2].startswith("q quit"))
        terminal.press("q")
        assert terminal.end() == 0


def test_what_is_read_goes_away(scratch):
    """The terminal is given back before a line says why."""
    with Terminal(scratch) as terminal:
        terminal.until("the first picture", keys_at_the_bottom(terminal))
        shutil.rmtree(f"{scratch}/root/sys/devices/system/node")
        assert terminal.end() == 1
        assert terminal.raw.count("cannot read sys/devices/system/node") == 1, terminal.raw[-300:]


def test_unknown_terminal(scratch):
    with Terminal(scratch, term="nonesuch") as terminal:
        assert terminal.end() == 1 and "TERM=nonesuch" in terminal.raw and "--once" in terminal.raw, terminal.raw


NEED_NCURSES = {test_screen, test_keys, test_resize, test_what_is_read_goes_away, test_unknown_terminal}


@contextlib.contextmanager
def a_machine():
    with tempfile.TemporaryDirectory() as scratch:
        machine(scratch)
        yield scratch


each_test.run(globals(), a_machine, () if LIVE else NEED_NCURSES)

# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases about typed memory share: a host with a typed node and a private one, hogs, and what is on a node.

Region of serial 1: shared, on the typed node. Region of serial 2: the host's own.
"""

import contextlib
import os
import re
import subprocess

CONFIG = "/etc/cxl-tier/cxl-tierd.conf.d/typed.conf"
# Of the shared device a section says that it is one; nobody has formatted a portal on it.
OPENED = "[Region far]\nMatchSerial=1\nType=switched\nOnline=movable\n[Region own]\nMatchSerial=2\nOnline=movable\n"
CLOSED = OPENED.replace("Online=movable", "Online=no")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
CGROUPS = "/sys/fs/cgroup"
# Little memory is full soon. Of the typed node there is as much as a hog that strays would notice.
SMALL = ("--dram", "768M", "--cxl", "serial=1,size=512M", "--cxl", "serial=2,size=256M")
_IN_USE = "AnonPages", "FilePages", "Slab", "PageTables", "KernelStack"
_SOURCE, _PROGRAM = "/src/tests/lab/hog.c", "/src/build/lab/hog"


def region_of(host, serial):
    for region in host.tierctl("list", "regions", "--json").json():
        if serial in [device["serial"] for device in region["memdevs"]]:
            return region
    raise AssertionError(f"no region of {serial}")


def node_of(host, serial):
    return region_of(host, serial)["target_node"]


def meminfo(host, node):
    """The node's meminfo in KiB, {} if the node is offline; with what each CPU has counted for itself."""
    text = host.run(f"cat /proc/sys/vm/stat_refresh /sys/devices/system/node/node{node}/meminfo", check=False).out
    return {name: int(size) for name, size in re.findall(r"(\w+): +(\d+)(?: kB)?$", text, re.MULTILINE)}


def used_mib(host, node):
    """What is in use on the node, in MiB; None if it has no memory, whether it is online or has gone with its blocks.

    MemUsed would count what per-CPU lists keep for a while after somebody has freed it.
    """
    sizes = meminfo(host, node)
    if not sizes.get("MemTotal"):
        return None
    return (sum(sizes[name] for name in _IN_USE) + sizes["HugePages_Total"] * 2048) / 1024


def allocated(host, node):
    """Pages that were ever allocated on the node: by those who wanted them there, or elsewhere, or are elsewhere."""
    text = host.run("cat", f"/sys/devices/system/node/node{node}/numastat").out
    counters = dict(line.split() for line in text.splitlines())
    return tuple(int(counters[name]) for name in ("numa_hit", "numa_miss", "other_node"))


@contextlib.contextmanager
def untouched(host, node, what):
    """Not a page comes to the node meanwhile."""
    before = allocated(host, node)
    assert used_mib(host, node) == 0, f"{what}: {used_mib(host, node)} MiB on node {node} before it began"
    yield
    after, used = allocated(host, node), used_mib(host, node)
    assert after == before and used == 0, f"{what}: {used} MiB on node {node}, and {before} allocated became {after}"


def configure(host, text):
    host.write(CONFIG, text)
    host.run("kill -HUP $(cat /run/cxl-tierd.pid)")
    host.rescan()


def prepare(host):
    """What hogs need."""
    if not os.path.exists(_PROGRAM) or os.stat(_PROGRAM).st_mtime < os.stat(_SOURCE).st_mtime:
        new = f"{_PROGRAM}.{os.getpid()}"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", new, _SOURCE], check=True)
        os.rename(new, _PROGRAM)
    host.push(_PROGRAM, "/usr/local/bin/hog")
    host.run(f"mountpoint -q {CGROUPS} || mount -t cgroup2 cgroup2 {CGROUPS}; "
             f"echo '+memory +cpuset' >{CGROUPS}/cgroup.subtree_control; "
             "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug")
    # By itself the kernel leaves them out below 512 MiB, which is what a debug kernel has left of a small host.
    host.run("echo always >/sys/kernel/mm/transparent_hugepage/enabled")


def bring_up(lab, text=OPENED):
    """Host A, small, with both regions and the daemon; online, if the configuration says so."""
    print(f"# {lab.up('A', options=SMALL)}", flush=True)
    a = lab["A"]
    prepare(a)
    a.write(CONFIG, text)
    a.start_daemon()
    for serial in 1, 2:
        a.create_region(serial)
    a.rescan()
    if text == OPENED:
        expect_open(a)
    return a


def bring_up_own(lab, options, text, sizes):
    """Host A with these options and the regions of serial 1 and 2, until {serial: MiB} are on these regions' nodes."""
    print(f"# {lab.up('A', options=options)}", flush=True)
    a = lab["A"]
    prepare(a)
    a.write(CONFIG, text)
    a.start_daemon()
    for serial in 1, 2:
        a.create_region(serial)
    a.rescan()
    for serial, size in sizes.items():
        expect_memory(a, serial, size)
    return a


def expect_memory(host, serial, size):
    path = f"/sys/devices/system/node/node{node_of(host, serial)}/meminfo"
    host.wait_for(f"grep -q 'MemTotal: *{size << 10} kB' {path}", f"memory of serial {serial}", 60)


def expect_open(host):
    for serial, size in (1, 512), (2, 256):
        expect_memory(host, serial, size)
        # Typed before it came online, and maybe after the first look.
        region = region_of(host, serial)
        assert region["type"] == ("Switched" if serial == 1 else "Local"), region


class Hog:
    """A hog that has touched what it was told to."""

    def __init__(self, host, words, wrap, within):
        self.host = host
        enter = f"echo $$ >{CGROUPS}/{within}/cgroup.procs; " if within else ""
        # Says its number first: in a cpuset of movable memory only, there is none for a pipe.
        self.stream = host.start("sh", "-c", f'echo "pid $$"; {enter}exec "$@"', "sh", *wrap, "hog", *map(str, words))
        self.pid = int(self.stream.wait_line("pid ", 60).split()[1])

    def touched(self):
        self.stream.wait_line("touched", 120)
        return self

    def pages_on(self, node):
        """How many of 4 KiB it has there, but for files that others may have read before it."""
        text = self.host.run(f"grep anon= /proc/{self.pid}/numa_maps").out
        return sum(map(int, re.findall(rf" N{node}=(\d+)", text)))

    def act(self):
        """What its kind does when it is told to."""
        self.host.run("kill", "-USR1", str(self.pid))
        while True:
            line = self.stream.next_line(120)
            if line is None or line.startswith(("done", "failed")):
                return line

    def end(self):
        self.host.run(f"kill -KILL {self.pid}", check=False)
        self.stream.wait(60)


@contextlib.contextmanager
def hog(host, mib, kind, processes=1, wrap=(), within=""):
    """A hog that stays for as long as this lasts; @wrap: what starts it; @within: its cgroup."""
    it = Hog(host, (mib, kind, processes), wrap, within)
    try:
        yield it.touched()
    finally:
        it.end()


_UNTIL_ONE_DIES = r'''
count() { awk '/^oom_kill /{print $2}' /proc/vmstat; }
before=$(count)
for words; do
    (
        echo 1000 >/proc/self/oom_score_adj
        [ -z "$GROUP" ] || echo $BASHPID >"$GROUP/cgroup.procs"
        exec $words >/dev/null 2>&1
    ) &
done
wait -n
pids=$(jobs -p)
[ -z "$pids" ] || kill -KILL $pids
wait
rm -f /dev/shm/hog-* "$HOG_DIRECTORY"/hog-*
[ "$(count)" -gt "$before" ]
'''


def until_one_dies(host, *hogs, within="", directory="/dev/shm"):
    """Start the hogs and wait for the first to end, then end the others. True if the OOM killer was there."""
    environment = f"GROUP={f'{CGROUPS}/{within}' if within else ''}", f"HOG_DIRECTORY={directory}"
    done = host.run("env", *environment, "bash", "-c", _UNTIL_ONE_DIES, "hogs", *hogs, check=False, timeout=240)
    return done.code == 0


@contextlib.contextmanager
def cgroup(host, name, **limits):
    """A cgroup, with memory_max="64M" as its memory.max and so on."""
    path = f"{CGROUPS}/{name}"
    words = "".join(f"; echo {value} >{path}/{key.replace('_', '.', 1)}" for key, value in limits.items())
    host.run(f"set -e; mkdir {path}{words}")
    try:
        yield name
    finally:
        host.run(f"echo 1 >{path}/cgroup.kill")
        host.wait_for(f"rmdir {path}", f"end of {name}")


def mark(host):
    """Whatever victims() finds comes later."""
    host.run("echo lab: mark >/dev/kmsg")


def victims(host):
    """Process ids and names that the OOM killer has taken since mark()."""
    return [(int(pid), name) for pid, name in
            re.findall(r"Killed process (\d+) \(([^)]*)\)", host.dmesg().rpartition("lab: mark")[2])]

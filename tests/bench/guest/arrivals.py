# SPDX-License-Identifier: GPL-2.0-or-later
"""usage, in an emulated host: arrivals.py REGION OWNER COUNT [--pressed]

Lets a region's dax device arrive COUNT times, and has its memory onlined by OWNER:
  kernel     auto_online_blocks=online_movable; cxl-tierd is stopped
  cxl-tierd  the daemon, by its configuration; new blocks stay offline
  udev       daxctl's udev rule and unit, as they are installed; new blocks stay offline, cxl-tierd is stopped
--pressed: meanwhile every CPU is busy and the memory of the other nodes is nearly full.

Prints "arrival SECONDS" for each: from the kernel making the dax device (devm_create_dev_dax) to the return of the last
online_pages(), by kprobes; "missed ONLINE of BLOCKS" if not all of it was online in time.
"""

import glob
import os
import re
import signal
import subprocess
import sys
import time

TRACING = "/sys/kernel/tracing"
MEMORY = "/sys/devices/system/memory"
PROBES = {"arrive": "p:bench/arrive devm_create_dev_dax", "online": "r:bench/online online_pages"}
SECONDS = 120
# What is left when memory is full, most of it node 0's memory for the struct pages of what arrives: 1/64 of it.
LEFT = 20 << 20


def write(path, text):
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())


def read(path):
    with open(path) as file:
        return file.read().strip()


def wait(condition, what, seconds=SECONDS):
    """True when it holds. The figure is from kprobes, so how often this looks is no part of it; memory has no event."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            if what:
                raise SystemExit(f"arrivals: no {what} within {seconds} s")
            return False
        time.sleep(0.02)  # interval of a deadline
    return True


def blocks(region):
    size = int(read(f"{MEMORY}/block_size_bytes"), 16)
    start, length = (int(read(f"/sys/bus/cxl/devices/{region}/{name}"), 16) for name in ("resource", "size"))
    return range(start // size, (start + length) // size)


def online(region):
    found = 0
    for block in blocks(region):
        try:
            found += read(f"{MEMORY}/memory{block}/state") == "online"
        except OSError:
            pass
    return found


def devices(region):
    return glob.glob(f"/sys/bus/cxl/devices/{region}/dax_region*/dax[0-9]*")


def take_away(region):
    """Offline, and away with the device; the drivers forget its name, which another owner may have given to one."""
    for block in reversed(blocks(region)):
        try:
            if read(f"{MEMORY}/memory{block}/state") == "online":
                write(f"{MEMORY}/memory{block}/state", "offline")
        except FileNotFoundError:
            pass
    names = [os.path.basename(path) for path in devices(region)]
    if os.path.exists(f"/sys/bus/cxl/drivers/cxl_region/{region}"):
        write("/sys/bus/cxl/drivers/cxl_region/unbind", region)
    wait(lambda: not devices(region), "end of the dax device")
    for name in names:
        for driver in "kmem", "device_dax":
            try:
                write(f"/sys/bus/dax/drivers/{driver}/remove_id", name)
            except OSError:
                pass
    subprocess.run(["udevadm", "settle"], check=False)


def become(owner):
    write(f"{MEMORY}/auto_online_blocks", "online_movable" if owner == "kernel" else "offline")
    subprocess.run(["systemctl", "start" if owner == "cxl-tierd" else "stop", "cxl-tierd"], check=True)
    unit = "/run/systemd/system/daxdev-reconfigure@.service"
    if owner == "udev":
        os.makedirs(os.path.dirname(unit), exist_ok=True)
        write(unit, read("/root/daxdev-reconfigure.unit") + "\n")
    elif os.path.exists(unit):
        os.unlink(unit)
    subprocess.run(["systemctl", "daemon-reload"], check=True)


def trace_on():
    write(f"{TRACING}/tracing_on", "0")
    for name, definition in PROBES.items():
        if not os.path.isdir(f"{TRACING}/events/bench/{name}"):
            # Not open(), which seeks.
            probes = os.open(f"{TRACING}/kprobe_events", os.O_WRONLY | os.O_APPEND)
            os.write(probes, definition.encode() + b"\n")
            os.close(probes)
        write(f"{TRACING}/events/bench/{name}/enable", "1")
    write(f"{TRACING}/trace_clock", "mono")
    write(f"{TRACING}/tracing_on", "1")


def times():
    """When devices were made, and when blocks were online."""
    found = {name: [] for name in PROBES}
    for line in read(f"{TRACING}/trace").splitlines():
        if match := re.search(r" (\d+\.\d+): (arrive|online):", line):
            found[match[2]].append(float(match[1]))
    return found["arrive"], found["online"]


def available():
    """Bytes of memory that processes could have."""
    return int(re.search(r"MemAvailable: +(\d+)", read("/proc/meminfo"))[1]) * 1024


class Pressure:
    def __init__(self):
        self.processes, self.available = [], available()

    def begin(self):
        wait(lambda: available() > self.available * 0.9, "end of the last shortage of memory")
        # Of node 0 only: the memory that arrives must be free to go again.
        self.processes = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                           start_new_session=True) for words in (
            ["stress-ng", "--cpu", "0", "--quiet"],
            ["numactl", "--membind=0", "stress-ng", "--vm", "1", "--vm-bytes", str(self.available - LEFT),
             "--vm-keep", "--vm-method", "incdec", "--quiet"])]
        wait(lambda: available() < 2 * LEFT, "shortage of memory")

    def end(self):
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes = []


def arrive(region):
    want = len(blocks(region))
    write(f"{TRACING}/trace", "")
    write("/sys/bus/cxl/drivers/cxl_region/bind", region)
    if not wait(lambda: online(region) == want, None):
        print(f"missed {online(region)} of {want}", flush=True)
        return
    made, done = times()
    if not made or len(done) < want:
        print(f"missed: the trace has {len(made)} devices and {len(done)} blocks", flush=True)
        return
    print(f"arrival {max(done) - min(made):.6f}", flush=True)


def main(words):
    region, owner, count = words[0], words[1], int(words[2])
    pressure = Pressure()
    take_away(region)
    become(owner)
    trace_on()
    try:
        for _ in range(count):
            if "--pressed" in words:
                pressure.begin()
            arrive(region)
            pressure.end()
            take_away(region)
    finally:
        pressure.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

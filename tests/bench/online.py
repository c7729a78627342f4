# SPDX-License-Identifier: GPL-2.0-or-later
"""How long memory takes from the arrival of its device to its last block online, and whether all of it comes.

One host with Debian's kernel and systemd; a CXL region whose dax device goes and comes back. Three owners of the
onlining: the kernel (auto_online_blocks), cxl-tierd, and udev with daxctl's unit. Each with an idle machine, and with
every CPU busy and memory nearly full; in turns, so that a machine that becomes slower does so for all. The host's
disks answer as often as a hard disk does: what memory pressure has thrown out has to be read again, and from this
machine's page cache that would cost nothing. Times are the kernel's, by kprobes: tests/bench/guest/arrivals.py. Then 64 devices at once, DIMMs and regions, with cxl-tierd, and
once more with the daemon killed on the way.

ARRIVALS=N: instead of 30 for each owner and condition. The benchmark fails if the kernel or cxl-tierd misses an arrival,
or if udev misses all; one that udev misses counts as long as it was waited for.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

TITLE = "From a device's arrival to its last memory block online"
HOST, REGION_SIZE = "O", "512M"
ARRIVALS = int(os.environ.get("ARRIVALS", "30"))
ROUND = 10
# What a disk of 7200 revolutions reads in no order: a seek of 4 ms, half a turn of 4.2 ms.
DISK_IOPS = 120
# How long tests/bench/guest/arrivals.py waits for one.
MISSED_SECONDS = 120
OWNERS = "kernel", "cxl-tierd", "udev"
RULES = "[Daemon]\nOnline=movable\nRatio=10000\nOrdinaryMemory=movable\n"
# As ndctl has it (daxctl/daxdev-reconfigure@.service), which Debian leaves out, but for what it calls: its
# --check-config can name no CXL device (daxctl 81 looks for an nvdimm's uuid only).
UNIT = """[Unit]
Description=Automatic daxctl device reconfiguration
Documentation=man:daxctl-reconfigure-device(1)

[Service]
Type=forking
GuessMainPID=false
ExecStart=/bin/sh -c "exec daxctl reconfigure-device --mode=system-ram $(basename %I)"
"""
DIMMS, REGIONS = 60, 4
BLOCK = 128 << 20


class Lab:
    """Its own instance, so that it is in nobody's way."""

    def __init__(self):
        self.environment = dict(os.environ, LAB_INSTANCE="bench", LAB_PATIENCE=os.environ.get("LAB_PATIENCE", "2"))

    def host(self, *words, **options):
        return subprocess.run(["tests/lab/host", *words], env=self.environment, text=True, check=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options).stdout

    def run(self, *command):
        command = command if len(command) > 1 else ("sh", "-c", command[0])
        return self.host("exec", HOST, "--no-stdin", "--", *command)

    def write(self, path, text):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            os.chmod(file.name, 0o644)
            self.host("push", HOST, file.name, path)

    def qmp(self, commands):
        subprocess.run(["tests/lab/host", "qmp", HOST, "-"], env=self.environment, text=True, check=True,
                       stdout=subprocess.DEVNULL, input="\n".join(map(json.dumps, commands)))

    def slow_disks(self):
        answer = subprocess.run(["tests/lab/host", "qmp", HOST, "query-block"], env=self.environment, text=True, check=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
        none = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
        disks = [disk["device"] for disk in json.loads(answer) if disk.get("inserted")]
        assert disks, answer
        self.qmp([{"execute": "block_set_io_throttle", "arguments": {"device": disk, "iops": DISK_IOPS, **none}}
                  for disk in disks])

    def down(self):
        subprocess.run(["tests/lab/host", "down", "--all"], env=self.environment, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def create_region(lab, serial):
    script = ("memdev=$(cxl list -M -s $1 | sed -n 's/.*\"memdev\":\"\\([^\"]*\\)\".*/\\1/p'); "
              "for w in $(cxl list -D -d root -m $memdev | sed -n 's/.*\"decoder\":\"\\([^\"]*\\)\".*/\\1/p'); do "
              "cxl create-region -m -t ram -d $w $memdev 2>/dev/null && exit; done; exit 1")
    return json.loads(lab.run("sh", "-c", script, "create-region", str(serial)))["region"]


def measure(lab):
    """{(owner, pressed): [seconds]}, and {(owner, pressed): missed}"""
    lab.host("up", HOST, "--dram", "1536M", "--init", "systemd", "--kernel", "stock", "--cxl",
             f"serial=1,size={REGION_SIZE}")
    lab.write("/etc/cxl-tier/cxl-tierd.conf.d/50-bench.conf", RULES)
    lab.write("/root/daxdev-reconfigure.unit", UNIT)
    lab.host("push", HOST, "tests/bench/guest/arrivals.py", "/root/arrivals.py")
    lab.run("systemctl stop cxl-tierd")
    region = create_region(lab, 1)
    lab.slow_disks()
    times = {(owner, pressed): [] for owner in OWNERS for pressed in (False, True)}
    missed = dict.fromkeys(times, 0)
    for start in range(0, ARRIVALS, ROUND):
        for owner, pressed in times:
            text = lab.run("python3", "-I", "-S", "/root/arrivals.py", region, owner, str(min(ROUND, ARRIVALS - start)),
                           *(["--pressed"] if pressed else []))
            found = [float(seconds) for seconds in re.findall(r"^arrival (\S+)", text, re.M)]
            times[owner, pressed] += found
            missed[owner, pressed] += len(re.findall("^missed", text, re.M))
            say(f"{owner}, {'pressed' if pressed else 'idle'}: {len(found)} arrivals, median "
                f"{statistics.median(found or [0]):.3f} s, worst {max(found or [0]):.3f} s; "
                f"{missed[owner, pressed]} missed")
    lab.down()
    return times, missed


def at_once(lab, kill):
    """How many of the 64 devices are wholly online in the end."""
    windows = [word for i in range(REGIONS) for word in ("--cxl", f"serial={i + 1},size=256M,window={i}")]
    lab.host("up", HOST, "--dram", "1536M", "--init", "systemd", "--kernel", "stock", "--slots", str(DIMMS), "--maxmem",
             "32G", *windows)
    lab.write("/etc/cxl-tier/cxl-tierd.conf.d/50-bench.conf", RULES)
    lab.host("push", HOST, "tests/bench/guest/all-online.py", "/root/all-online.py")
    lab.run("systemctl reload cxl-tierd")
    wait = "python3", "-I", "-S", "/root/all-online.py", str(DIMMS + REGIONS), "600"
    lab.qmp([command for i in range(DIMMS) for command in (
        {"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": f"m{i}", "size": BLOCK}},
        {"execute": "device_add", "arguments": {"driver": "pc-dimm", "id": f"d{i}", "memdev": f"m{i}"}})])
    regions = [create_region(lab, i + 1) for i in range(REGIONS)]
    if kill:
        half = int(lab.run(*wait, "--half", *regions))
        if half >= DIMMS + REGIONS:
            raise RuntimeError("all devices were online before cxl-tierd could be killed")
        lab.run("systemctl kill --signal=KILL cxl-tierd")
        say(f"killed when {half} of {DIMMS + REGIONS} devices were online")
    found = int(lab.run(*wait, *regions))
    say(f"{found} of {DIMMS + REGIONS} devices are online")
    lab.down()
    return found


def compare(times, missed):
    """The ratios that count."""
    for (owner, pressed), count in missed.items():
        if count and (owner != "udev" or not times[owner, pressed]):
            raise RuntimeError(f"{owner}, {'pressed' if pressed else 'idle'}: {count} arrivals were missed")
        times[owner, pressed] += count * [MISSED_SECONDS]

    def figure(text, ours, peer, peer_name, target, more=False):
        return {"figure": text, "unit": "s", "ours": round(ours, 4), "peer": round(peer, 4), "peer_name": peer_name,
                "target": target, **({"more_is_better": True} if more else {})}

    median = {key: statistics.median(values) for key, values in times.items()}
    worst = {key: max(values) for key, values in times.items()}
    return [
        figure("idle, median", median["cxl-tierd", False], median["kernel", False], "the kernel's, idle", 2),
        figure("idle, worst", worst["cxl-tierd", False], worst["kernel", False], "the kernel's, idle", 5),
        figure("pressed, median", median["cxl-tierd", True], median["kernel", True], "the kernel's, pressed", 2),
        figure("pressed, worst", worst["cxl-tierd", True], worst["kernel", True], "the kernel's, pressed", 5),
        figure("idle, median", median["cxl-tierd", False], median["udev", False], "udev and daxctl, idle", 1),
        figure("pressed, worst of udev and daxctl", worst["udev", True], worst["cxl-tierd", True], "cxl-tierd, pressed",
               10, more=True),
    ]


def run():
    subprocess.run(["tests/lab/build"], check=True, stdout=subprocess.DEVNULL)
    lab = Lab()
    lab.down()
    try:
        times, missed = measure(lab)
        wanted = {"unit": "devices", "peer": DIMMS + REGIONS, "peer_name": "all that came", "target": 1,
                  "more_is_better": True}
        come = [{"figure": f"{DIMMS} DIMMs and {REGIONS} regions at once{', cxl-tierd killed on the way' if kill else ''}",
                 "ours": at_once(lab, kill), **wanted} for kill in (False, True)]
    finally:
        lab.down()
    pathlib.Path("build/bench/online-arrivals.json").write_text(json.dumps(
        {f"{owner} {'pressed' if pressed else 'idle'}": values for (owner, pressed), values in times.items()}) + "\n")
    return compare(times, missed) + come

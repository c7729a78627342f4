# SPDX-License-Identifier: GPL-2.0-or-later
"""B boots with systemd from the installed package, and finds a portal of A's with another host's VM in it."""

import json
import os
import re
import subprocess

import paths
from cases import deadline
from errors import hold, media_error
from flying import refused
from holding import PINNER, PINS, Holder
from portal_bytes import digest
from rules import DROP_IN, SOCKET, blocks, expect_offline, expect_online

SECONDS = 270
SETUP_DEADLINE = 500
DEADLINE = 180
DEVICE = paths.DEVICES / "portal0"
PORTAL_FILE = "/src/build/lab/portal-file"
SHARED = "serial=1,size=512M,file=portal0"
FLIGHT = "0123456789abcdef0123456789abcdef"
SAFE_WORDS = {"memhp_default_state=offline", "init_on_free=1"}
# Filled in on the way: the device's bytes before B booted, and B's regions.
BEFORE, REGIONS = [], {}


def expect_untouched(when):
    assert digest(DEVICE) == BEFORE[0], f"bytes of the portal changed {when}"


def setup(lab):
    lab.up("A", options=("--dram", "1G", "--cxl", SHARED))
    a = lab["A"]
    region = a.create_region(1)
    a.tierctl("portal", "format", region, "--host", "A", "--host", "B", "--name", "lake")
    a.control("suspend")
    # A VM of A's: what it left in the extents, and the records that say whose it is.
    chunk = os.urandom(1 << 20)
    with open(DEVICE, "r+b") as device:
        device.seek(128 << 20)
        for _ in range(384):
            device.write(chunk)
    subprocess.run([PORTAL_FILE, "offer", DEVICE, "0", "0", "1", FLIGHT, "1", "PUBLISHED", "0", "2"], check=True)
    BEFORE.append(digest(DEVICE))
    lab.up("B", options=("--init", "systemd", "--cxl", f"{SHARED},window=0", "--cxl", "serial=2,size=512M,window=1",
                         "--cxl", "serial=4,size=256M,window=2"))


def properties(host, unit, *names):
    text = host.run("systemctl", "show", unit, *(f"-p{name}" for name in names)).out
    return dict(line.split("=", 1) for line in text.splitlines())


def journal(host, *matches):
    """What the daemon itself said; -u would add what systemd says of it."""
    host.run("journalctl", "--sync")
    return [json.loads(line) for line in host.run("journalctl", "-b", "-o", "json", "_SYSTEMD_UNIT=cxl-tierd.service",
                                                  *matches).out.splitlines()]


def case_unit_is_up(lab):
    """Started by its preset, and notify-ready: systemd knows it from the daemon, not from a fork."""
    b = lab["B"]
    b.wait_for("systemctl is-active --quiet cxl-tierd", "active cxl-tierd.service", 60)
    shown = properties(b, "cxl-tierd", "Type", "SubState", "StatusText", "NRestarts", "Result", "UnitFileState")
    assert shown == shown | {"Type": "notify-reload", "SubState": "running", "NRestarts": "0", "Result": "success",
                             "UnitFileState": "enabled"}, shown
    assert re.match(r"\d regions?, \d portals?, \d flights? under way", shown["StatusText"]), shown
    failed = b.run("systemctl --failed --plain --no-legend").out.split("\n")
    assert not [line for line in failed if "cxl" in line or "dax" in line], failed
    uid, groups = b.run("id -u cxl-tier-vm; id -Gn cxl-tier-vm").out.split("\n")[:2]
    assert 0 < int(uid) < 1000 and "kvm" in groups.split(), f"{uid} {groups}"


def case_machines_have_a_tmpfs(lab):
    b = lab["B"]
    assert properties(b, r"run-cxl\x2dtier-vm.mount", "ActiveState", "Result") == {
        "ActiveState": "active", "Result": "success"}
    fstype, options = b.run("findmnt -no FSTYPE,OPTIONS /run/cxl-tier/vm").out.split()
    assert fstype == "tmpfs" and {"nosuid", "nodev", "noexec", "huge=advise"} <= set(options.split(",")), options
    assert b.run("stat -c %a:%u /run/cxl-tier/vm").out.strip() == "711:0"


def case_new_memory_stays_offline(lab):
    """Each of the places where the package says so, by itself."""
    b = lab["B"]
    assert SAFE_WORDS <= set(b.run("cat /proc/cmdline").out.split())
    knob = "/sys/devices/system/memory/auto_online_blocks"
    assert b.run(f"cat {knob}").out.strip() == "offline"
    # modprobe: somebody has set it otherwise after boot.
    assert "/hold-blocks-offline" in b.run("modprobe -c | grep '^install dax_cxl '").out
    b.run(f"modprobe -r kmem && echo online >{knob} && modprobe kmem")
    assert b.run(f"cat {knob}").out.strip() == "offline", "loading kmem did not set auto_online_blocks"
    # initramfs: the script that runs before udev, and modprobe's line.
    image = b.run("uname -r").out.strip()
    newest = max(paths.BUILD.glob("initramfs-systemd-*.img"), key=lambda path: path.stat().st_mtime)
    names = subprocess.run(["lsinitramfs", newest], text=True, capture_output=True, check=True).stdout.splitlines()
    for wanted in r"scripts/init-top/cxl-tier$", r"hold-blocks-offline$", r"modprobe\.d/cxl-tier\.conf$":
        assert any(re.search(wanted, name) for name in names), f"{wanted} is missing from the initramfs of {image}"
    b.run("! journalctl -b -o cat | grep 'cxl-tier: cannot set'")


def case_boot_region_and_daemon_touch_no_byte(lab):
    """B has booted; now its region appears, under a rule that would online it, and the daemon looks."""
    b = lab["B"]
    expect_untouched("while B booted")
    b.write(DROP_IN, "[Daemon]\nOnline=movable\n[Region careless]\nMatchSerial=1\nOnline=movable\n")
    b.run("systemctl reload cxl-tierd")
    region = REGIONS[1] = b.create_region(1)
    b.wait_for("tierctl flights | grep -q box", "flight that the daemon shows", 60)
    expect_offline(b, region)
    expect_untouched("when B's region appeared")
    b.run("systemctl restart cxl-tierd")
    expect_offline(b, region)

    flights = b.tierctl("flights", "--json").json()
    assert [(f["vm"], f["source"], f["destination"], f["sourceState"]) for f in flights] == [
        ("box", "A", "B", "PUBLISHED")], flights
    assert "box" in b.tierctl("flights").out
    shown = b.tierctl("portal", "show").out
    assert "lake" in shown and "PUBLISHED" in shown and "box" in shown, shown
    logged = [entry["MESSAGE"] for entry in journal(b)]
    assert any("box" in message and "PUBLISHED" in message for message in logged), logged
    refused(b.tierctl("online", region, check=False), region, "portal lake")
    expect_offline(b, region)
    expect_untouched("by looking at it")
    b.run(f"rm {DROP_IN} && systemctl reload cxl-tierd")


def case_doctor_passes(lab):
    done = lab["B"].tierctl("doctor", check=False)
    assert done.code == 0 and "FAIL" not in done.out, done.out + done.err


def case_reload(lab):
    """A rule comes into force with "systemctl reload"; a file that is wrong leaves everything as it was."""
    b = lab["B"]
    region = REGIONS[2] = b.create_region(2)
    b.wait_for(f"journalctl -b -u cxl-tierd CXL_TIER_OBJECT={region} CXL_TIER_DECISION=left-offline -o cat | grep -q .",
               "word on the new region", 60)
    expect_offline(b, region)
    pid = properties(b, "cxl-tierd", "MainPID")
    b.write(DROP_IN, "[Region own]\nMatchSerial=2\nOnline=movable\n")
    b.run("systemctl reload cxl-tierd")
    expect_online(b, region, "Movable")

    b.write(DROP_IN, "[Region own]\nMatchSerial=2\nOnlin=movable\n")
    b.run("systemctl reload cxl-tierd", check=False)
    last = journal(b)[-1]["MESSAGE"]
    b.write(DROP_IN, "[Region own]\nMatchSerial=2\nOnline=movable\n")
    b.run("systemctl reload cxl-tierd")
    assert last.startswith(f"{DROP_IN}:3: ") and "stays in force" in last, last
    assert properties(b, "cxl-tierd", "MainPID") == pid, "it was started again"


def case_an_error_is_seen_from_within_the_sandbox(lab):
    """The kernel's events, another user's pages and the list of retired memory are all within its reach."""
    b, region = lab["B"], REGIONS[2]
    assert "cxl-tierd reads the kernel's events" in b.tierctl("doctor").out
    holder, pid, address = hold(b, region, "65534")
    start = int(b.run(f"cat /sys/bus/cxl/devices/{region}/resource").out, 16)
    media_error(b, 1, address - start)
    b.wait_for("journalctl -b -u cxl-tierd CXL_TIER_DECISION=retired -o cat | grep -q 'taken offline'", "retirement", 60)
    told = journal(b, "CXL_TIER_DECISION=media")[-1]["MESSAGE"]
    assert f"process {pid} (python3) maps it" in told, told
    assert f"0x2:{address - start:#x}" in b.run("cat /var/lib/cxl-tier/retired").out.replace(" ", ":")
    b.run("rm /run/holder")
    assert holder.wait(60) == 128 + 7, holder.text()
    b.tierctl("unretire", f"0x2:{address - start:#x}")
    b.tierctl("offline", region, timeout=240)
    b.tierctl("online", region, timeout=240)
    expect_online(b, region, "Movable")


def case_restart_and_stop_touch_nothing(lab):
    b = lab["B"]
    expect_online(b, REGIONS[2], "Movable")
    before = blocks(b, REGIONS[2])
    b.run("systemctl restart cxl-tierd")
    assert blocks(b, REGIONS[2]) == before, "a restart changed something"
    b.run("systemctl stop cxl-tierd")
    shown = properties(b, "cxl-tierd", "ActiveState", "Result", "ExecMainStatus")
    assert shown == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, shown
    assert b.run(f"test -e {SOCKET}", check=False).code != 0, "its socket is left"
    assert blocks(b, REGIONS[2]) == before, "a stop changed something"
    assert b.run("findmnt -no FSTYPE /run/cxl-tier/vm").out.strip() == "tmpfs", "the machines' tmpfs has gone with it"
    refused(b.tierctl("offline", REGIONS[2], check=False), "cxl-tierd", "not running", "systemctl start cxl-tierd")
    b.run("systemctl start cxl-tierd")
    assert blocks(b, REGIONS[2]) == before, "a start changed something"
    expect_offline(b, REGIONS[1])
    expect_untouched("by restarts of cxl-tierd")


def case_daxctl_leaves_it_to_the_daemon(lab):
    """daxctl's udev rule wants a unit for each new device: with the daemon it decides, without it daxctl does."""
    b = lab["B"]
    device, = b.run(f"cd /sys/bus/cxl/devices/{REGIONS[2]}/dax_region*/ && ls -d dax[0-9]*.*").out.split()
    unit = f"daxdev-reconfigure@dev-{device}.service"
    said = b.run(f"journalctl --sync; journalctl -b -o cat -u {unit}").out
    assert f"/dev/{device}: left to cxl-tierd" in said, f"{unit} has not run for the new device: {said}"
    # Whatever arrives: what somebody has taken offline by hand stays so, although a rule would online it.
    b.tierctl("offline", REGIONS[2])
    b.run("systemctl", "start", unit)
    expect_offline(b, REGIONS[2])
    b.run("systemctl stop cxl-tierd")
    b.run("systemctl", "start", unit)
    said = b.run(f"journalctl --sync; journalctl -b -o cat -u {unit}").out
    b.run("systemctl start cxl-tierd")
    assert f"/dev/{device}: cxl-tierd does not run; left to daxctl" in said, said
    assert properties(b, unit, "Result")["Result"] == "success", said


def case_by_hand_through_the_unit(lab):
    """What the unit's sandbox leaves is enough for the daemon's work, also for claiming extents of a portal."""
    b = lab["B"]
    region = REGIONS[2]
    b.run(f"rm {DROP_IN} && systemctl reload cxl-tierd")
    # Whose pages keep a block, also those of somebody else.
    node = next(r["target_node"] for r in b.tierctl("list", "regions", "--json").json() if r["name"] == region)
    b.tierctl("online", region, "--zone", "movable")
    with Holder(b, node, PINNER, user=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")) as holder:
        refused(b.tierctl("offline", region, "--keep-partial", check=False), region, f"{PINS} pinned", f"pid {holder.pid}")
    b.tierctl("offline", region, "--to-devdax")
    b.tierctl("online", region, "--zone", "kernel")
    expect_online(b, region, "Normal")
    talk = b.run("python3", "-I", "-S", "-c", f"""
import json, socket
s = socket.socket(socket.AF_UNIX); s.connect("{SOCKET}")
def call(method, **parameters):
    s.sendall(json.dumps(dict(method="io.cxltier.Manager." + method, parameters=parameters)).encode() + b"\\0")
    text = b""
    while not text.endswith(b"\\0"):
        text += s.recv(65536)
    print(json.dumps(json.loads(text[:-1])))
    return json.loads(text[:-1])["parameters"]
grant = call("BeginFlight", vm="web", destination="A", ramBytes=64 << 20)
call("Portals")
call("EndFlight", flight=grant["flight"])
call("Portals")
""").out.splitlines()
    answers = [json.loads(line) for line in talk]
    assert not any("error" in answer for answer in answers), answers
    counts = [[answers[i]["parameters"]["portals"][0][key] for key in ("freeExtents", "claimedExtents")] for i in (1, 3)]
    assert counts == [[0, 1], [1, 0]], counts


def case_declared_region_through_the_unit(lab):
    """Made by the daemon in its sandbox, with its note in /run, and once."""
    b = lab["B"]
    b.write(DROP_IN, "[Region new]\nCreate=4\n")
    b.run("systemctl reload cxl-tierd")
    created = journal(b, "CXL_TIER_OBJECT=[Region new]", "CXL_TIER_DECISION=created")
    assert len(created) == 1 and created[0]["PRIORITY"] == "5" and "256 MiB" in created[0]["MESSAGE"], created
    b.run("systemctl restart cxl-tierd")
    assert len(journal(b, "CXL_TIER_OBJECT=[Region new]", "CXL_TIER_DECISION=created")) == 1, "made twice"
    region = json.loads(b.tierctl("list", "declared", "--json").out)[0]["region"]
    expect_offline(b, region)
    b.run(f"rm {DROP_IN}; systemctl reload cxl-tierd; cxl destroy-region -f {region}")


def case_structured_journal(lab):
    """Every decision can be found by object and by kind."""
    b = lab["B"]
    onlined = journal(b, f"CXL_TIER_OBJECT={REGIONS[2]}", "CXL_TIER_DECISION=onlined")
    assert onlined and "[Region own]" in onlined[0]["MESSAGE"] and onlined[0]["PRIORITY"] == "5", onlined
    entries = journal(b)
    bare = [e["MESSAGE"] for e in entries if "CXL_TIER_OBJECT" not in e or "CXL_TIER_DECISION" not in e]
    assert entries and not bare, f"entries without fields: {bare}"


def case_units_are_clean(lab):
    b = lab["B"]
    done = b.run("systemd-analyze", "verify", "--man=no", "cxl-tierd.service", r"run-cxl\x2dtier-vm.mount",
                 "daxdev-reconfigure@dev-dax0.0.service", check=False)
    assert done.code == 0 and not (done.out + done.err).strip(), done.out + done.err
    score = b.run("systemd-analyze security --no-pager cxl-tierd | tail -n 1").out.strip()
    print(f"# {score}", flush=True)
    exposure = float(re.search(r"cxl-tierd(?:\.service)?: ([0-9.]+)", score)[1])
    assert exposure <= 5.0, score


def case_nothing_was_killed_or_denied(lab):
    """The sandbox takes away nothing that was asked for, and the watchdog was content."""
    b = lab["B"]
    text = b.run("journalctl -b -o cat -u cxl-tierd").out
    bad = [line for line in text.splitlines() if re.search(r"Operation not permitted|Permission denied|core-dump|"
                                                           r"status=\d+/SYS|Watchdog timeout|Main process exited, code=(killed|dumped)", line)]
    assert not bad, bad
    assert properties(b, "cxl-tierd", "NRestarts")["NRestarts"] == "0"


@deadline(240)
def case_dax_devices_wait_while_the_unit_runs(lab):
    """Not after its end, be it a kill; the daemon after that one has them wait again."""
    b = lab["B"]

    def autoprobe():
        return b.run("cat /sys/bus/dax/drivers_autoprobe").out.strip()

    before = blocks(b, REGIONS[2])
    assert autoprobe() == "0"
    b.run("systemctl stop cxl-tierd")
    assert autoprobe() == "1"
    b.run("mkdir -p /run/systemd/system/cxl-tierd.service.d")
    b.write("/run/systemd/system/cxl-tierd.service.d/50-test.conf", "[Service]\nRestart=no\n")
    b.run("systemctl daemon-reload && systemctl start cxl-tierd")
    assert autoprobe() == "0"
    b.run("systemctl kill --kill-whom=main --signal=KILL cxl-tierd")
    b.wait_for("systemctl is-failed --quiet cxl-tierd", "end of the unit", 60)
    assert autoprobe() == "1"
    b.run("rm /run/systemd/system/cxl-tierd.service.d/50-test.conf && systemctl daemon-reload && "
          "systemctl reset-failed cxl-tierd && systemctl start cxl-tierd")
    assert autoprobe() == "0" and blocks(b, REGIONS[2]) == before


def case_bare_host_is_told(lab):
    """Without the package the kernel onlines what it finds, and doctor fails: nothing above came from the lab."""
    lab.up("C", options=("--no-package", "--dram", "1G", "--cxl", "serial=3,size=256M"))
    c = lab["C"]
    assert not SAFE_WORDS & set(c.run("cat /proc/cmdline").out.split())
    assert c.run("cat /sys/devices/system/memory/auto_online_blocks").out.strip() != "offline"
    for path in paths.STAGE.glob("usr/lib/*/libtier.so.0"):
        c.push(path, f"/{path.relative_to(paths.STAGE)}")
    c.push(paths.STAGE / "usr/bin/tierctl", "/usr/bin/tierctl")
    done = c.tierctl("doctor", check=False)
    lines = done.out.splitlines()
    at = next(i for i, line in enumerate(lines) if "auto_online_blocks" in line)
    assert done.code == 1 and lines[at].startswith("FAIL"), f"exit {done.code}: {done.out}"
    assert "memhp_default_state=offline" in " ".join(lines[at:at + 3]), done.out
    region = c.create_region(3)
    c.wait_for(f"tierctl list regions | grep -Eq '^{region} .* online '", "region that the kernel onlines", 60)
    assert {state for state, _ in blocks(c, region)[0].values()} == {"online"}

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host's part in the hand-off protocol: boots, beats, home extents, recovery, fences, being cut off.

test-protocol.py CXL-TIERD PORTAL-FILE CLIENT-CALL [TEST...]; exit 77 without root.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from harness import (MIB, PROGRAM, Daemon, config, digest, extent_states, granted, host_record, main, make_portal,
                     portal_file, wait_for, within_few_beats)

EXTENT = 128 * MIB
A_RECORD = 2 * MIB
UUID = "11111111-2222-4333-8444-555555555555"
OTHER = "22222222-2222-4333-8444-555555555555"

QEMU = """
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
print("listens", flush=True)
while True:
    signal.pause()  # accepts nobody, as QMP does that serves another client
"""


def begin(connection, **more):
    return connection.call("BeginFlight", **{"vm": "box", "destination": "B", "ramBytes": 64 * MIB, **more})


def offer(portal, grant, state, vm="box", incarnation=None):
    extents = granted(portal, grant["flight"])
    portal_file("offer", portal, grant["host"], grant["slot"], grant["generation"], grant["flight"], grant["peer"], state,
                extents[0], len(extents), incarnation or grant["incarnation"], vm)
    return extents


def offer_state(portal, grant):
    return portal_file("state", portal, grant["host"], grant["slot"])


def machines(directory, *names, more=""):
    """Lines of [Daemon], then the machines' sections."""
    os.makedirs(f"{directory}/vm", exist_ok=True)
    sections = "".join(f"[Machine {name}]\nMemory=2M\n" for name in names)
    return f"VmDirectory={directory}/vm\n{more}{sections}"


class Qemu:
    """A process where a machine's QEMU would listen, which answers nobody."""

    def __init__(self, directory, name):
        os.makedirs(f"{directory}/vm/{name}", exist_ok=True)
        path = f"{directory}/vm/{name}/qmp"
        if os.path.exists(path):
            os.unlink(path)
        self.process = subprocess.Popen([sys.executable, "-c", QEMU, path], stdout=subprocess.PIPE, text=True)
        Daemon.running.append(self.process)
        assert self.process.stdout.readline() == "listens\n"

    def killed(self):
        return self.process.poll() == -signal.SIGKILL

    def alive(self):
        return self.process.poll() is None


def fake_tierctl(directory, status=0, says="settled"):
    """Writes down how it was called, and ends when it may."""
    with open(f"{directory}/tierctl.new", "w") as file:
        file.write(f"#!{sys.executable}\nimport json, os, sys\n"
                   f"with open('{directory}/calls', 'a') as calls:\n"
                   "    print(json.dumps({'argv': sys.argv[1:], 'socket': os.environ['CXL_TIERD_SOCKET'],"
                   " 'notify': 'NOTIFY_SOCKET' in os.environ}), file=calls)\n"
                   f"print('first line'); print('{says}')\nsys.exit({status})\n")
    os.chmod(f"{directory}/tierctl.new", 0o755)
    os.rename(f"{directory}/tierctl.new", f"{directory}/tierctl")


def calls(directory):
    if not os.path.exists(f"{directory}/calls"):
        return []
    with open(f"{directory}/calls") as file:
        return [json.loads(line) for line in file]


def guarded(daemon):
    """What the daemon has written down for the one after it."""
    try:
        with open(f"{daemon.socket}.guarded") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def guard_file(daemon, *changes):
    """Changes what is written down while no daemon runs; each line's last word is when its portal was reached."""
    text = guarded(daemon)
    for change in changes:
        text = re.sub(*change, text, flags=re.M)
    with open(f"{daemon.socket}.guarded", "w") as file:
        file.write(text)


def add_clock(directory, text):
    """The configuration with one more portal, whose beats tell that those of the others are due too."""
    clock = make_portal(directory, name="clock")
    return clock, f"{text}[Portal clock]\nFile={clock}\nHost=A\n"


def beats_pass(portal, host, count=3):
    """So that whatever a beat does has been done."""
    first = host_record(portal, host)[1]
    wait_for(f"{count} beats of host {host}", lambda: host_record(portal, host)[1] >= first + count)


# ---- boots and beats -----------------------------------------------------------------------------


def test_incarnations(directory):
    portal = make_portal(directory)
    for boot, incarnation in ((1, 1), (1, 1), (2, 2), (2, 2), (7, 3), (2, 4)):
        daemon = Daemon(PROGRAM, directory, config=config(portal), boot=boot)
        assert host_record(portal, 0)[0] == incarnation, f"boot {boot}: {host_record(portal, 0)}"
        assert daemon.call("Portals")["portals"][0]["incarnation"] == incarnation
        connection = daemon.connect()
        grant = begin(connection)
        assert grant["incarnation"] == incarnation, grant
        connection.call("EndFlight", flight=grant["flight"])
        daemon.stop()
    # A fence outlives the record that says which boot this is.
    portal_file("fence", portal, 1, 0, 9, "fenced")
    daemon = Daemon(PROGRAM, directory, config=config(portal), boot=8)
    assert host_record(portal, 0)[0] == 10, host_record(portal, 0)
    daemon.stop()


def test_damaged_host_record(directory):
    """A host that cannot tell which boot it is writes nothing, and says what to do."""
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal), boot=1)
    daemon.stop()
    with open(portal, "r+b") as file:
        file.seek(A_RECORD)
        good = file.read(512)
        for at in (A_RECORD + 90, A_RECORD + 256 + 90):
            file.seek(at)
            file.write(b"\xee")
    before = digest(portal)
    clock, text = add_clock(directory, config(portal))
    daemon = Daemon(PROGRAM, directory, config=text, boot=2)
    wait_for("a line in the log", lambda: "--repair" in daemon.log())
    beats_pass(clock, 0)
    assert daemon.log().count("--repair") == 1, daemon.log()
    refused = daemon.refused("BeginFlight", vm="box", destination="B", portal=portal, ramBytes=MIB)
    assert "takes no part" in refused.text and "damaged" in refused.text, refused
    [listed] = [p for p in daemon.call("Portals")["portals"] if p["path"] == portal]
    assert listed["incarnation"] == 0 and "damaged" in listed["problem"], listed
    assert digest(portal) == before, "it wrote to the portal"
    with open(portal, "r+b") as file:
        file.seek(A_RECORD)
        file.write(good)
    wait_for("it takes part once its record is repaired", lambda: host_record(portal, 0)[0] == 2)
    daemon.stop()


def test_beats(directory):
    portal = make_portal(directory)
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"))
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))

    def seen():
        return a.call("Portals")["portals"][0]["hosts"][1]

    assert host_record(portal, 1)[2:] == (100000, 0)
    first = wait_for("B is seen", lambda: seen()["beats"])
    wait_for("B is seen to go on", lambda: seen()["beats"] > first + 3)
    assert not seen()["overdue"] and seen()["incarnation"] == 1
    assert abs(seen()["lastBeatUsec"] / 1e6 - time.time()) < 10
    b.process.send_signal(signal.SIGSTOP)
    wait_for("B is overdue", lambda: seen()["overdue"])
    assert time.time() - seen()["lastBeatUsec"] / 1e6 > 0.45, "called overdue before five intervals"
    wait_for("it is logged", lambda: "host B has not been heard of" in a.log())
    b.process.send_signal(signal.SIGCONT)
    wait_for("B is back", lambda: not seen()["overdue"])
    wait_for("it is logged", lambda: "heard of again" in a.log())
    own = a.call("Portals")["portals"][0]["hosts"][0]
    assert not own["overdue"] and own["beats"] > 0, own
    # A reload may change the interval.
    a.configure(config(portal, "A", beat=0.3))
    a.call("Reload")
    wait_for("the new interval", lambda: host_record(portal, 0)[2] == 300000)
    a.stop()
    b.stop()


def test_two_machines_of_one_name(directory):
    portal = make_portal(directory)
    first = Daemon(PROGRAM, directory, "first", config=config(portal), boot=1)
    second = Daemon(PROGRAM, directory, "second", config=config(portal), boot=2)
    wait_for("the first one notices", lambda: "another machine writes as host A" in first.log())
    assert "takes no part" in first.refused("BeginFlight", vm="box", destination="B", ramBytes=MIB).text
    beats_pass(portal, 0)
    assert host_record(portal, 0)[0] == 2, "they write over each other"
    assert "another machine" not in second.log()
    first.stop()
    second.stop()


# ---- home extents --------------------------------------------------------------------------------


def test_other_homes_grant(directory):
    """What the source has not comes from the next host, exactly as much as is wanted."""
    portal = make_portal(directory, ("A", "B", "C"))
    a, b, c = (Daemon(PROGRAM, directory, name, config=config(portal, name, beat=0.2)) for name in "ABC")
    wait_for("A hears of both", lambda: all(h["beats"] for h in a.call("Portals")["portals"][0]["hosts"]))
    wait_for("C hears of B", lambda: c.call("Portals")["portals"][0]["hosts"][1]["beats"])
    connection, grant = a.connect(), {}

    def request():
        grant.update(begin(connection, ramBytes=4 * EXTENT))
        assert granted(portal, grant["flight"])[:3] == [0, 1, 2], "its own are not granted at once"

    within_few_beats(portal, 1, "B grants two", request, lambda: granted(portal, grant["flight"]) == [0, 1, 2, 3, 4])
    assert a.call("Flights")["flights"][0]["wantedExtents"] == 5
    beats_pass(portal, 2)
    assert granted(portal, grant["flight"]) == [0, 1, 2, 3, 4], "more than was wanted"
    refused = connection.refused("BeginFlight", vm="crate", destination="B", ramBytes=4 * EXTENT)
    assert "A has 0" in refused.text and "heard of 3" in refused.text, refused

    # Only what the offer lists is kept.
    portal_file("offer", portal, 0, grant["slot"], grant["generation"], grant["flight"], 1, "offered", 0, 4)
    wait_for("what is not listed goes back", lambda: granted(portal, grant["flight"]) == [0, 1, 2, 3])
    portal_file("offer", portal, 0, grant["slot"], grant["generation"], grant["flight"], 1, "aborted", 0, 4)
    wait_for("all of it is back", lambda: extent_states(portal, range(5)) == {"free"})
    for daemon in (a, b, c):
        daemon.stop()


def test_home_keeps_what_it_cannot_read(directory):
    portal = make_portal(directory)
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"))
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))
    wait_for("B is heard of", lambda: a.call("Portals")["portals"][0]["hosts"][1]["beats"])
    connection = a.connect()
    grant = begin(connection, ramBytes=5 * EXTENT)
    lent = wait_for("B grants", lambda: [e for e in granted(portal, grant["flight"]) if e >= 4])
    a.process.kill()
    place = A_RECORD + 0x1000 + grant["slot"] * 2048
    with open(portal, "r+b") as file:
        file.seek(place)
        good = file.read(2048)
        for copy in (0, 1024):
            file.seek(place + copy + 100)
            file.write(b"\xee")
    beats_pass(portal, 1)
    assert extent_states(portal, lent) == {"claimed"}, "given away though nobody knows whose they are"
    flights = b.call("Flights")["flights"]
    assert "start nothing; tierctl portal check" in flights[0]["advice"], flights
    with open(portal, "r+b") as file:
        file.seek(place)
        file.write(good)
    # Its source is fenced before it offered anything: nobody will use them.
    portal_file("fence", portal, 1, 0, 1, "fenced")
    wait_for("they go back", lambda: extent_states(portal, lent) == {"free"})
    b.stop()


def test_asked_in_an_earlier_boot(directory):
    portal = make_portal(directory)
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"), boot=1)
    wait_for("B is heard of", lambda: a.call("Portals")["portals"][0]["hosts"][1]["beats"])
    connection = a.connect()
    grant = begin(connection, ramBytes=5 * EXTENT)
    held = wait_for("B grants", lambda: len(found := granted(portal, grant["flight"])) > 4 and found)
    a.stop(signal.SIGKILL)
    assert offer_state(portal, grant) == "REQUESTED"
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"), boot=2)
    wait_for("given up", lambda: offer_state(portal, grant) == "ABORTED")
    wait_for("both homes have theirs back", lambda: extent_states(portal, held) == {"free"})
    a.stop()
    b.stop()


# ---- flights that nobody carries out -------------------------------------------------------------


def test_recovery(directory):
    portal = make_portal(directory)
    fake_tierctl(directory, 1, "why it could not")
    daemon = Daemon(PROGRAM, directory, config=config(portal, more=machines(directory, "box")))
    connection = daemon.connect()
    grant = begin(connection)
    offer(portal, grant, "offered")
    beats_pass(portal, 0)
    assert not calls(directory), "its tool is still there"
    connection.close()
    wait_for("settle is called", lambda: calls(directory))
    assert calls(directory)[0] == {"argv": ["settle", "--config", daemon.config, grant["flight"]], "socket": daemon.socket,
                                   "notify": False}, calls(directory)
    wait_for("its outcome is told", lambda: "could not carry its flight on: why it could not" in daemon.log())
    beats_pass(portal, 0)
    assert len(calls(directory)) == 1, "called again though nothing has changed"
    fake_tierctl(directory, 0, "done")
    offer(portal, grant, "published")
    wait_for("called again when the records change", lambda: len(calls(directory)) == 2)
    wait_for("its outcome is told", lambda: "has carried its flight on: done" in daemon.log())
    daemon.call("Reload")
    wait_for("called again after a reload", lambda: len(calls(directory)) == 3)
    # COMMITTED, and nobody has refused: it is not this host's to decide.
    offer(portal, grant, "committed")
    beats_pass(portal, 0)
    assert len(calls(directory)) == 3, calls(directory)
    daemon.stop()


def test_no_recovery(directory):
    portal = make_portal(directory)
    fake_tierctl(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal, more=machines(directory, "box", more="Recover=no\n")))
    connection = daemon.connect()
    grant = begin(connection)
    offer(portal, grant, "offered")
    connection.close()
    wait_for("orphaned", lambda: daemon.call("Flights")["flights"][0]["session"] == "orphaned")
    beats_pass(portal, 0)
    assert not calls(directory), calls(directory)
    daemon.configure(config(portal, more=machines(directory, "box")))
    daemon.call("Reload")
    wait_for("settle is called", lambda: calls(directory))
    daemon.stop()


def test_recovery_leaves_tools_alone(directory):
    """A tool that the daemon has forgotten holds the machine's lock."""
    portal = make_portal(directory)
    fake_tierctl(directory)
    text = config(portal, more=machines(directory, "box"))
    daemon = Daemon(PROGRAM, directory, config=text)
    connection = daemon.connect()
    grant = begin(connection)
    with open(f"{directory}/vm/.box.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        daemon.stop()
        daemon = Daemon(PROGRAM, directory, config=text)
        beats_pass(portal, 0)
        assert offer_state(portal, grant) == "REQUESTED", "given up under its tool's hands"
        offer(portal, grant, "offered")
        beats_pass(portal, 0)
        assert not calls(directory), calls(directory)
    wait_for("settle is called when the lock is free", lambda: calls(directory))
    daemon.stop()


def test_recovery_of_what_is_not_configured(directory):
    portal = make_portal(directory)
    fake_tierctl(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal, more=machines(directory, "crate")))
    connection = daemon.connect()
    grant = begin(connection)
    offer(portal, grant, "offered")
    connection.close()
    wait_for("it is told", lambda: "has no [Machine box]" in daemon.log())
    beats_pass(portal, 0)
    assert daemon.log().count("has no [Machine box]") == 1 and not calls(directory)
    daemon.stop()


def test_recovery_on_the_destination(directory):
    """A QEMU that waits for a VM which does not come; the flight is not over here until it has gone."""
    portal = make_portal(directory)
    text = config(portal, "B", more=machines(directory, "box"))
    b = Daemon(PROGRAM, directory, "b", config=text)
    offer_ = lambda state: portal_file("offer", portal, 0, 3, 7, UUID, 1, state, 1, 2)
    portal_file("answer", portal, 1, 0, 7, UUID, 0, 3, "ready")
    fake_tierctl(directory, 1, "no")
    offer_("aborted")
    wait_for("settle is called", lambda: len(calls(directory)) == 1)
    wait_for("its outcome is told", lambda: "could not" in b.log())
    [flight] = b.call("Flights")["flights"]
    assert not flight["ended"] and "over" in flight["advice"], flight
    fake_tierctl(directory)
    b.call("Reload")
    wait_for("settle has succeeded", lambda: "has carried its flight on" in b.log())
    assert not b.call("Flights")["flights"][0]["ended"], "ended before its answer says so"
    portal_file("answer", portal, 1, 0, 7, UUID, 0, 3, "refused")
    wait_for("nothing is left here", lambda: b.call("Flights")["flights"][0]["ended"])
    b.stop()


# ---- the end of VMs ------------------------------------------------------------------------------


def test_fenced(directory):
    """A host that is fenced ends the VMs of that portal, writes nothing more to it, and goes on at its next boot."""
    portal = make_portal(directory)
    fake_tierctl(directory)
    clock, text = add_clock(directory, config(portal, more=machines(directory, "box", "crate", "rest")))
    daemon = Daemon(PROGRAM, directory, config=text, boot=1)
    box, crate, rest = (Qemu(directory, name) for name in ("box", "crate", "rest"))
    connection = daemon.connect()
    grant = begin(connection, portal=portal)
    offer(portal, grant, "offered")
    # The answer first: without one, the daemon may see a VM of a flight that nobody has answered, and settle that.
    portal_file("answer", portal, 0, 0, 7, UUID, 1, 3, "done")
    portal_file("offer", portal, 1, 3, 7, UUID, 0, "committed", 5, 2, 1, "crate")
    # It had been here before.
    portal_file("offer", portal, 0, 9, 3, OTHER, 1, "closed", 5, 2, 1, "crate")
    portal_file("fence", portal, 1, 0, 1, "intent")
    beats_pass(portal, 0)
    assert box.alive() and crate.alive(), "INTENT is not a fence yet"
    portal_file("fence", portal, 1, 0, 1, "fenced")
    wait_for("both are killed", lambda: box.killed() and crate.killed())
    assert rest.alive(), "a VM that has nothing to do with the portal was killed"
    line = "killed: this boot of this host was fenced by B at 2023-11-14"
    wait_for("a line for each", lambda: daemon.log().count(line) == 2)
    before = digest(portal)
    refused = connection.refused("BeginFlight", vm="rest", destination="B", portal=portal, ramBytes=MIB)
    assert "was fenced by B at" in refused.text and "boot" in refused.next, refused
    connection.close()
    beats_pass(clock, 0)
    assert digest(portal) == before, "a fenced host wrote to the portal"
    assert not calls(directory), "a fenced host settles nothing"
    [listed] = [p for p in daemon.call("Portals")["portals"] if p["path"] == portal]
    assert "fenced" in listed["problem"] and not guarded(daemon), listed
    daemon.stop()

    # A daemon that is started again in the same boot has the same duty.
    again = Qemu(directory, "box")
    daemon = Daemon(PROGRAM, directory, config=text, boot=1)
    wait_for("it is killed too", again.killed)
    assert digest(portal) == before
    daemon.stop()
    daemon = Daemon(PROGRAM, directory, config=text, boot=2)
    beats_pass(portal, 0)
    assert host_record(portal, 0)[0] == 2 and rest.alive()
    daemon.stop()


def test_damaged_fence(directory):
    """A host that cannot tell whether it is fenced takes it for being cut off; about others, it only waits."""
    portal = make_portal(directory, ("A", "B", "C"))
    clock, text = add_clock(directory, config(portal, more=machines(directory, "box", more="CutOffSec=0.6\n")))
    daemon = Daemon(PROGRAM, directory, config=text)
    box = Qemu(directory, "box")
    connection = daemon.connect()
    grant = begin(connection, portal=portal)
    offer(portal, grant, "offered")
    wait_for("it is guarded", lambda: " box open " in guarded(daemon))
    fence = lambda host, target: 2 * MIB + host * ((126 * MIB // 3) & -MIB) + 0x11000 + target * 256

    def damage(host, target):
        portal_file("fence", portal, host, target, 1, "intent")
        with open(portal, "r+b") as file:
            for copy in (0, 128):
                file.seek(fence(host, target) + copy + 60)
                file.write(b"\xee")

    damage(2, 1)
    wait_for("it is told", lambda: "cannot read who is fenced" in daemon.log())
    beats_pass(portal, 0, 10)
    assert box.alive() and daemon.log().count("cannot read who is fenced") == 1, daemon.log()
    damage(2, 0)
    wait_for("it is told", lambda: "cannot read whether this host is fenced" in daemon.log())
    wait_for("killed as if cut off", box.killed)
    before = digest(portal)
    beats_pass(clock, 0)
    assert digest(portal) == before, "it wrote to the portal"
    daemon.stop()


def test_cut_off(directory):
    """Without its portal a host ends the VMs that may lie in it, within CutOffSec=, restarted or not."""
    portal = make_portal(directory)
    fake_tierctl(directory)
    text = config(portal, more=machines(directory, "box", "crate", more="CutOffSec=2\n"))
    daemon = Daemon(PROGRAM, directory, config=text)
    box, crate = Qemu(directory, "box"), Qemu(directory, "crate")
    connection = daemon.connect()
    grant = begin(connection)
    offer(portal, grant, "offered")
    begin(connection, vm="crate")
    # It came here by an earlier flight: that loosens nothing.
    portal_file("offer", portal, 1, 3, 7, UUID, 0, "closed", 5, 2, 1, "box")
    portal_file("answer", portal, 0, 0, 7, UUID, 1, 3, "done")
    wait_for("it is guarded", lambda: " box both " in guarded(daemon))
    beats_pass(portal, 0)
    os.rename(portal, portal + ".away")
    gone = time.monotonic()
    wait_for("killed", box.killed)
    assert time.monotonic() - gone > 1.2, "killed long before CutOffSec="
    assert crate.alive(), "nothing of it was in the portal yet"
    wait_for("it is logged", lambda: "killed: portal lake has not been reached for " in daemon.log())
    os.rename(portal + ".away", portal)
    wait_for("it beats again", lambda: "beats again" in daemon.log())

    # The same, but the daemon dies with the device.
    box = Qemu(directory, "box")
    beats_pass(portal, 0)
    daemon.stop(signal.SIGKILL)
    os.rename(portal, portal + ".away")
    daemon = Daemon(PROGRAM, directory, config=text)
    assert box.alive()
    wait_for("killed by the next daemon", box.killed)
    daemon.stop()


def test_cut_off_is_over(directory):
    """What has ended in the records is not guarded any more."""
    portal = make_portal(directory)
    clock, text = add_clock(directory, config(portal, more=machines(directory, "box", more="CutOffSec=0.5\n")))
    daemon = Daemon(PROGRAM, directory, config=text)
    box = Qemu(directory, "box")
    connection = daemon.connect()
    grant = begin(connection, portal=portal)
    offer(portal, grant, "offered")
    wait_for("it is guarded", lambda: " box open " in guarded(daemon))
    offer(portal, grant, "aborted")
    wait_for("it is not", lambda: not guarded(daemon))
    os.rename(portal, portal + ".away")
    wait_for("beats fail", lambda: "cannot open" in daemon.log())
    beats_pass(clock, 0, 10)  # twice CutOffSec=
    assert box.alive(), daemon.log()
    daemon.stop()


def test_away_for_long(directory):
    """A daemon that comes back late looks before it kills; one that never gets so far does not."""
    portal = make_portal(directory)
    text = config(portal, more=machines(directory, "box", more="CutOffSec=1\n"))
    daemon = Daemon(PROGRAM, directory, config=text)
    box = Qemu(directory, "box")
    connection = daemon.connect()
    grant = begin(connection)
    offer(portal, grant, "offered")
    wait_for("it is guarded", lambda: " box open " in guarded(daemon))
    daemon.stop()
    guard_file(daemon, (r" open \d+$", " open 1"))
    daemon = Daemon(PROGRAM, directory, config=text)
    beats_pass(portal, 0)
    assert box.alive(), daemon.log()
    wait_for("the portal was reached", lambda: " starts 0" in guarded(daemon))
    daemon.stop()

    # As if daemons had been ended by the portal's device, too early for anything else.
    guard_file(daemon, (r" starts 0$", " starts 1"), (r" open \d+$", " open 1"))
    daemon = Daemon(PROGRAM, directory, config=text)
    assert box.killed(), "not killed before the portals were looked at"
    daemon.stop()


def test_watchdog(directory):
    """Armed while VMs may lie in a portal, fed while that is reached, disarmed when there are none."""
    preload = os.environ.get("TIER_FAKE_WATCHDOG")
    assert preload and os.path.exists(preload), "TIER_FAKE_WATCHDOG= names the stand-in for the device's ioctl()"
    portal = make_portal(directory)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tierd-watchdog.") as place:
        device = f"{place}/watchdog"
        os.mkfifo(device)
        reader = os.open(device, os.O_RDWR | os.O_NONBLOCK)
        everything = bytearray()

        def written():
            try:
                everything.extend(os.read(reader, 4096))
            except BlockingIOError:
                pass
            return len(everything)

        last = lambda: everything[written() - 1:]
        more = f"CutOffSec=2.5\nWatchdogDevice={device}\n"
        text = config(portal, more=machines(directory, "box", more=more))
        daemon = Daemon(PROGRAM, directory, config=text, preload=preload)
        box = Qemu(directory, "box")
        connection = daemon.connect()
        grant = begin(connection)
        beats_pass(portal, 0)
        assert written() == 0, "armed though no VM lies in a portal"
        offer(portal, grant, "offered")
        wait_for("armed, 2.5 s rounded up", lambda: "is reset 3 s after" in daemon.log())
        wait_for("the host record tells", lambda: host_record(portal, 0)[3] == 3000000)
        fed = written()
        wait_for("fed", lambda: written() > fed + 3)
        assert last() != b"V"

        daemon.stop()
        assert last() != b"V", "disarmed though a VM lies in a portal"
        offer(portal, grant, "aborted")
        daemon = Daemon(PROGRAM, directory, config=text, preload=preload)
        wait_for("disarmed by the next daemon", lambda: last() == b"V")
        wait_for("the host record tells", lambda: host_record(portal, 0)[3] == 0)

        connection = daemon.connect()
        grant = begin(connection)
        offer(portal, grant, "offered")
        wait_for("armed again", lambda: host_record(portal, 0)[3])
        os.rename(portal, portal + ".away")
        wait_for("a beat has failed", lambda: "cannot open it" in daemon.log())
        fed = written()
        assert box.alive()
        wait_for("killed", box.killed)
        wait_for("disarmed: the VM has gone", lambda: last() == b"V")
        assert written() == fed + 1, "fed though the portal was not reached"
        daemon.stop()
        os.close(reader)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))

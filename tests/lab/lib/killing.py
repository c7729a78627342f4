# SPDX-License-Identifier: GPL-2.0-or-later
"""A flight in which something dies, or stands still, at a step that is known to have been reached."""

import json
import time

import flying
from flying import NAME
from scenario import Failure, Guest

TOPOLOGY = "two-hosts"

# Steps after which a side can be stopped, and the last record that it has stored by then.
SOURCE = {
    "CHECK_CLAIMS": "OFFERED",
    "MOVE_VM": "OFFERED",
    "PAUSE_VM": "OFFERED",
    "PUT_VM": "OFFERED",
    "STORE_PUBLISHED": "PUBLISHED",
    "CHECK_PLACEMENT": "PUBLISHED",
    "STORE_COMMITTED": "COMMITTED",
    "END_VM": "COMMITTED",
    "CLOSE_EXTENTS": "COMMITTED",
    "STORE_CLOSED": "CLOSED",
}
DESTINATION = {
    "START_VM": "",
    "STORE_READY": "READY",
    "FETCH_VM": "READY",
    "STORE_ACCEPTED": "ACCEPTED",
    "STORE_RUNNING": "RUNNING",
    "RESUME_VM": "RUNNING",
    "CLOSE_EXTENTS": "RUNNING",
    "STORE_DONE": "DONE",
}
VICTIMS = ("tool", "daemon", "qemu", "host", "stopped", "suspended")

# The VM is the destination's once the source has stored this.
GIVEN = ("STORE_COMMITTED", "END_VM", "CLOSE_EXTENTS", "STORE_CLOSED")
# It runs, or may, on the destination once that has stored this.
TAKEN = ("STORE_RUNNING", "RESUME_VM", "CLOSE_EXTENTS", "STORE_DONE")


def places():
    """Every (side, step, victim) that there is: no QEMU is left to kill on a source that has ended it."""
    return [(side, step, victim) for side, steps in (("source", SOURCE), ("destination", DESTINATION))
            for step in steps for victim in VICTIMS
            if not (side == "source" and victim == "qemu" and step in ("END_VM", "CLOSE_EXTENTS", "STORE_CLOSED"))]


def expected(side, step, victim):
    """Where the VM must be afterwards: "source", "destination", "either" of them, or "gone" with what ran it."""
    if victim == "daemon":
        return "destination"
    if side == "source":
        if step in GIVEN:
            return "destination"
        if victim == "qemu":
            # Stopped between its last look and storing COMMITTED: the destination has everything.
            return {"CHECK_PLACEMENT": "destination", "PUT_VM": "source", "STORE_PUBLISHED": "source"}.get(step, "gone")
        if victim == "host" and step not in ("STORE_PUBLISHED", "CHECK_PLACEMENT"):
            return "gone"
        # Once it is published it is brought out of the portal again, by the next boot too.
        return "source"
    if step == "STORE_RUNNING" and victim == "qemu":
        return "source"
    if step in TAKEN:
        return "gone" if victim in ("qemu", "host") else "destination"
    if step == "STORE_ACCEPTED" and victim != "qemu":
        # The source may have committed before it hears of anything; then it is the destination's.
        return "either"
    return "source"


def setup(lab):
    flying.prepare(lab, memory="64M", rate=200)
    flying.start(lab["A"])


def running(host):
    """Is the VM running on this host? A stopped or waiting process is not."""
    machines = host.tierctl("vm", "list", "--json").json()
    return any(m["name"] == NAME and m["state"] == "running" for m in machines)


def where(lab):
    return [lab[name] for name in lab.names_up() if running(lab[name])]


def home(lab):
    """Where the VM runs; after a case that failed, somewhere again."""
    found = where(lab)
    if len(found) > 1:
        raise Failure(f"the VM runs on {[h.name for h in found]} before anything was done")
    if found:
        return found[0]
    for host in lab["A"], lab["B"]:
        host.run(f"pkill -KILL -x cxl-tier:{NAME}; pkill -KILL -x tierctl", check=False)
    wait_ended(lab)
    flying.start(lab["A"])
    return lab["A"]


def bring_up(lab, host, topology=TOPOLOGY, daemon=""):
    """A host that was killed, as its operator's configuration brings it up again."""
    lab.up(host.name, topology=topology)
    flying.prepare_host(host, memory="64M", rate=200, daemon=daemon)
    host.start_daemon()


def start_tool(host, words, step=None):
    """A tool whose process is known; with @step it stops itself there."""
    broken = f"CXL_TIER_BREAK={step} " if step else ""
    verb = words[0]
    return host.start("sh", "-c", f"echo $$ >/run/{verb}.pid; exec env {broken}tierctl {' '.join(words)} --json")


def signal(host, verb, name):
    host.run(f"kill -{name} $(cat /run/{verb}.pid)", check=False)


def marker(stream, step, record):
    """The tool says itself where it is, and what it has stored last."""
    said = json.loads(stream.wait_line(f'"break":"{step}"', 120))
    if said["when"] != "after" or said["record"] != record:
        raise Failure(f"stopped at {step}, but after record {said['record']!r}, not {record!r}")
    return said


def open_flights(host):
    return [f for f in host.tierctl("flights", "--json").json() if not f["ended"]]


def wait_ended(lab, seconds=150):
    """Until no flight is open and no process waits, by whatever the daemons do about it."""
    deadline, state = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        flights = open_flights(lab["A"])
        tools = [name for name in lab.names_up() if lab[name].run("pgrep -x tierctl", check=False).code == 0]
        if not flights and not tools:
            return
        state = f"{[(f['sourceState'], f['destinationState'], f['advice']) for f in flights]}, tierctl on {tools}"
    raise Failure(f"the flight has not ended after {seconds} s: {state}")


def kill(lab, host, verb, victim, other, other_verb):
    """What happens to the side whose tool stands still at its marker."""
    if victim == "tool":
        signal(host, verb, "KILL")
    elif victim == "daemon":
        host.run('kill -KILL "$(cat /run/cxl-tierd.pid)"')
        host.start_daemon()
        signal(host, verb, "CONT")
    elif victim == "qemu":
        host.run(f"pkill -KILL -x cxl-tier:{NAME}")
        # Its parent stands still: it stays a zombie.
        host.wait_for(f"! pgrep -r D,R,S,T -x cxl-tier:{NAME}", "end of the VM's process")
        signal(host, verb, "CONT")
    elif victim == "host":
        host.control("kill")
        bring_up(lab, host)
    elif victim == "stopped":
        # The other side gives up, or finds that it must not; then this one wakes up.
        signal(other, other_verb, "INT")
        settle_down(other, other_verb)
        signal(host, verb, "CONT")
    else:
        host.control("suspend")
        signal(other, other_verb, "INT")
        settle_down(other, other_verb)
        host.control("resume")
        signal(host, verb, "CONT")


def settle_down(host, verb):
    """Until the tool has ended, or a second without: then it may not end yet, and waits."""
    host.run(f"timeout 1 tail --pid=$(cat /run/{verb}.pid) -f /dev/null", check=False)


def attempt(lab, side, step, victim):
    """One flight with one fault; the hosts afterwards as they were, the VM on one of them."""
    source = home(lab)
    target = lab["B" if source.name == "A" else "A"]
    stop_here = {"source": step if side == "source" else None, "destination": step if side == "destination" else None}
    receiver = start_tool(target, ["receive", "--machine", NAME], stop_here["destination"])
    sender = start_tool(source, ["send", NAME, "--to", target.name], stop_here["source"])
    host, verb, stream, records = ((source, "send", sender, SOURCE) if side == "source" else
                                   (target, "receive", receiver, DESTINATION))
    other, other_verb = (target, "receive") if side == "source" else (source, "send")
    said = marker(stream, step, records[step])
    print(f"# {side} {step} {victim}: stopped there, last record {said['record'] or 'none'}", flush=True)
    kill(lab, host, verb, victim, other, other_verb)
    wait_ended(lab)
    check(lab, side, step, victim, source, target)


def check(lab, side, step, victim, source, target):
    """The VM is in exactly one place, the one where it must be, and whole; nothing of the flight is left."""
    found = [h.name for h in where(lab)]
    names = {"source": [source.name], "destination": [target.name], "gone": []}
    wanted = expected(side, step, victim)
    allowed = [names["destination"], names["source"]] if wanted == "either" else [names[wanted]]
    if found not in allowed:
        raise Failure(f"the VM runs on {found or 'no host'}, not on {wanted}: {allowed}")
    for host in source, target:
        left = host.run(f"pgrep -c -x cxl-tier:{NAME}", check=False).out.strip()
        if left != ("1" if host.name in found else "0"):
            raise Failure(f"{host.name}: {left} processes of the VM")
        host.wait_for("varlinkctl call -j /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Portals '{}' | "
                      "tr -d ' \\n' | grep -q '\"claimedExtents\":0,\"scrubExtents\":0'", "extents given back", 60)
        flying.expect_clean(host)
    if found:
        flying.expect_alive(Guest(lab[found[0]], NAME))
    else:
        flying.start(source)
    next_flight(lab)


def next_flight(lab):
    source = where(lab)[0]
    target = lab["B" if source.name == "A" else "A"]
    receiver = flying.receive(target)
    flying.send(source, to=target.name, check=True)
    if receiver.wait(60) != 0:
        raise Failure(f"the next flight failed: {receiver.text()[-600:]}")
    flying.expect_alive(Guest(target, NAME), verify=False)


def put_away(lab):
    """Ends the VM, wherever it is."""
    for host in where(lab):
        host.tierctl("vm", "stop", NAME)


def wait_down(lab, host, seconds):
    """Until the host's QEMU has ended by itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if host.name not in lab.names_up():
            return
    raise Failure(f"{host.name} is still up after {seconds} s")


def cut_off(host):
    """
    Takes the portal's device away from its daemon. By its name: Linux 7.2 dereferences NULL (__check_vma in device_dax)
    when a device is mapped from which device_dax has been unbound.
    """
    host.run("mv /dev/dax0.0 /dev/dax0.0.away")

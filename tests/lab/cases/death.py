# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that die, are fenced, wake up, or are cut off; who has the VM then; extents lent by another host."""

import flying
import killing
from cases import deadline
from flying import NAME, expect_alive, expect_clean, refused
from killing import bring_up, marker, open_flights, running, start_tool, wait_ended
from scenario import Failure, Guest

SECONDS = 180
TOPOLOGY = "three-hosts"
SETUP_DEADLINE = 500
DEADLINE = 300
SAMPLE = 3
DAEMON = "BeatSec=1\nCutOffSec=5\n"


def setup(lab):
    flying.prepare(lab, memory="64M", rate=200, names=("A", "B", "C"), daemon=DAEMON)
    flying.start(lab["A"])


def _fly(lab, source, target):
    receiver = flying.receive(lab[target])
    flying.send(lab[source], to=target, check=True)
    assert receiver.wait(60) == 0, receiver.text()


def _committed(lab, source, target):
    """A flight that stands at COMMITTED, with the destination's tool stopped before it has seen that."""
    receiver = start_tool(lab[target], ["receive", "--machine", NAME], "STORE_ACCEPTED")
    sender = start_tool(lab[source], ["send", NAME, "--to", target])
    marker(receiver, "STORE_ACCEPTED", "ACCEPTED")
    sender.wait_line('"stage":"committed"', 60)
    return sender, receiver


def _vm_ends(host, where):
    try:
        # What has ended may still be a zombie of a tool that stands still.
        host.wait_for(f"! pgrep -r D,R,S,T -x cxl-tier:{NAME}", f"end of the VM {where}", 60)
    except Failure as failure:
        raise Failure(f"{failure}; its daemon says: {host.daemon.text()[-900:]}") from None


def _again(lab, *names):
    """Hosts that were killed, up again."""
    for name in names:
        bring_up(lab, lab[name], TOPOLOGY, DAEMON)


@deadline(400)
def case_extents_of_another_home(lab):
    """A VM that needs more extents than its own host has: the others lend, and have them back afterwards."""
    a, b = lab["A"], lab["B"]
    own = flying.extents(a)[0]
    killing.put_away(lab)
    for host in a, b:
        Guest.configure(host, "big", memory="512M", rate=50)
    a.tierctl("vm", "start", "big")
    guest = Guest(a, "big")
    guest.wait_ready()
    receiver = b.start("tierctl", "receive", "--machine", "big", "--json")
    sender = start_tool(a, ["send", "big", "--to", "B"], "STORE_OFFERED")
    marker(sender, "STORE_OFFERED", "OFFERED")
    offer = open_flights(a)[0]
    assert offer["extents"] > own, f"{offer['extents']} extents, and A has {own} of its own: nothing was lent"
    killing.signal(a, "send", "CONT")
    assert sender.wait(200) == 0, sender.text()
    assert receiver.wait(60) == 0, receiver.text()
    expect_alive(Guest(b, "big"))
    for name in "A", "B", "C":
        lab[name].wait_for("varlinkctl call -j /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Portals '{}' | "
                           "tr -d ' \\n' | grep -q '\"claimedExtents\":0,\"scrubExtents\":0'", "extents given back", 60)
    b.tierctl("vm", "stop", "big")
    flying.start(a)


def case_a_fence_that_fails_changes_nothing(lab):
    """The agent's word decides; a host that beats is not powered off, whatever a person says."""
    a, b = lab["A"], lab["B"]
    refused(a.tierctl("portal", "fence", "B", "--agent", "/bin/false", check=False), "B")
    refused(a.tierctl("portal", "fence", "B", "--confirm-powered-off", check=False), "B", "beat")
    assert a.tierctl("portal", "fence", "B", check=False).code != 0, "fenced without an agent"
    refused(a.tierctl("portal", "fence", "A", "--agent", "/bin/true", check=False), "A")
    refused(a.tierctl("portal", "fence", "nosuch", "--agent", "/bin/true", check=False), "nosuch")
    assert b.run("pgrep -x cxl-tierd", check=False).code == 0
    _fly(lab, "A", "B")
    expect_alive(Guest(b, NAME))
    _fly(lab, "B", "A")


@deadline(400)
def case_fenced_destination_gives_the_vm_back(lab):
    """It died after COMMITTED; nobody decides anything until it is fenced; then the source resumes by itself."""
    a, b = lab["A"], lab["B"]
    sender, _ = _committed(lab, "A", "B")
    b.control("kill")
    flight = open_flights(a)[0]
    assert flight["holder"] == "B" and flight["inPortal"], flight
    refused(a.tierctl("settle", NAME, check=False), NAME)
    result = a.tierctl("portal", "fence", "B", "--confirm-powered-off", timeout=60)
    assert "B" in result.out + result.err
    assert sender.wait(60) == 1, sender.text()
    wait_ended(lab)
    expect_alive(Guest(a, NAME))
    _again(lab, "B")
    expect_clean(a)
    _fly(lab, "A", "B")
    expect_alive(Guest(b, NAME))
    _fly(lab, "B", "A")


@deadline(400)
def case_fenced_source_leaves_a_published_vm_to_the_destination(lab):
    """The source died with the VM stopped and published; fenced, it will not resume it."""
    a, b = lab["A"], lab["B"]
    receiver = start_tool(b, ["receive", "--machine", NAME])
    sender = start_tool(a, ["send", NAME, "--to", "B"], "CHECK_PLACEMENT")
    marker(sender, "CHECK_PLACEMENT", "PUBLISHED")
    a.control("kill")
    assert not running(b), "it runs on B although A is only silent"
    b.tierctl("portal", "fence", "A", "--confirm-powered-off", timeout=60)
    assert receiver.wait(90) == 0, receiver.text()
    expect_alive(Guest(b, NAME))
    _again(lab, "A")
    wait_ended(lab)
    expect_clean(lab["A"])
    _fly(lab, "B", "A")


@deadline(500)
def case_an_heir_takes_what_two_dead_hosts_left(lab):
    a, b, c = lab["A"], lab["B"], lab["C"]
    _committed(lab, "A", "B")
    a.control("kill")
    b.control("kill")
    c.tierctl("portal", "fence", "B", "--confirm-powered-off", timeout=60)
    flight = open_flights(c)[0]
    assert flight["holder"] == "A", flight
    c.tierctl("portal", "fence", "A", "--confirm-powered-off", "--heir", "C", timeout=60)
    c.wait_for(f"tierctl vm list --json | tr -d ' \\n' | grep -q '\"name\":\"{NAME}\",[^}}]*\"running\"'",
               "the VM on its heir", 120)
    expect_alive(Guest(c, NAME))
    _again(lab, "A", "B")
    wait_ended(lab)
    assert not running(a) and not running(b)
    expect_clean(a)
    _fly(lab, "C", "A")


@deadline(400)
def case_a_fenced_host_that_wakes_up_ends_its_vm(lab):
    """Power was not cut, only said to be: the host finds itself fenced, ends the VM, and takes no part any more."""
    a, b = lab["A"], lab["B"]
    _fly(lab, "A", "B")
    b.control("suspend")
    a.tierctl("portal", "fence", "B", "--confirm-powered-off", timeout=60)
    b.control("resume")
    _vm_ends(b, "on a host that is fenced")
    assert "fenced" in b.daemon.text(), b.daemon.text()[-800:]
    b.control("kill")
    _again(lab, "B")
    flying.start(a)
    _fly(lab, "A", "B")
    expect_alive(Guest(b, NAME))
    _fly(lab, "B", "A")


@deadline(400)
def case_the_watchdog_ends_a_host_whose_daemon_hangs(lab):
    """With a VM in flight and no beats, the host is gone before anybody has to ask."""
    a, b = lab["A"], lab["B"]
    b.write("/etc/cxl-tier/cxl-tierd.conf.d/watchdog.conf", "[Daemon]\nWatchdogDevice=/dev/watchdog0\n")
    b.run("modprobe i6300esb")
    b.stop_daemon()
    b.start_daemon()
    sender, _ = _committed(lab, "A", "B")
    b.run('kill -STOP "$(cat /run/cxl-tierd.pid)"')
    killing.wait_down(lab, b, 60)
    a.tierctl("portal", "fence", "B", "--confirm-powered-off", timeout=60)
    assert sender.wait(60) == 1, sender.text()
    expect_alive(Guest(a, NAME))
    _again(lab, "B")
    wait_ended(lab)


def case_cut_off(lab):
    """The device goes away under a host with a VM in flight: its stopped process is ended, the VM is in the portal."""
    a, b = lab["A"], lab["B"]
    sender, receiver = _committed(lab, "A", "B")
    killing.cut_off(b)
    _vm_ends(b, "on a host that is cut off")
    b.control("kill")
    _again(lab, "B")
    wait_ended(lab)
    places = [h.name for h in (a, b, lab["C"]) if running(h)]
    if len(places) != 1:
        raise Failure(f"the VM runs on {places}")
    expect_alive(Guest(lab[places[0]], NAME))

# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM crosses, crosses back, and stays whole whatever goes wrong on the way."""

import hashlib

import paths
from cases import deadline
from flying import (NAME, expect_alive, expect_clean, prepare, receive, refused, send, start,
                    wait_stage)
from scenario import Guest

SECONDS = 290
TOPOLOGY = "two-hosts"
SETUP_DEADLINE = 400
DEADLINE = 300
# The device as both hosts share it, seen from outside.
DEVICE = paths.DEVICES / "portal0"


def setup(lab):
    prepare(lab)
    start(lab["A"])


@deadline(500)
def case_there_and_back(lab):
    """Both ways, each verified by the guest itself, and nothing over the network."""
    for source, target in (lab["A"], lab["B"]), (lab["B"], lab["A"]):
        before = source.stats()["cluster"]
        receiver = receive(target)
        send(source, to=target.name, check=True)
        after = source.stats()["cluster"]
        assert receiver.wait(60) == 0, receiver.text()
        assert after == before, f"traffic between the hosts: {before} then {after}"
        guest = Guest(target, NAME)
        expect_alive(guest)
        nodes = guest.numa_maps()
        assert set(nodes) == {0}, f"{target.name}: RAM on nodes {nodes}"
        for host in source, target:
            expect_clean(host)
        assert Guest(source, NAME).pid() == 0, "a process is left on the source"
        assert source.run(f"ls /run/cxl-tier/vm/{NAME}/ram", check=False).code != 0, "RAM is left on the source"


def case_extents_are_zero_after_a_flight(lab):
    """What flew is gone from the device before anybody else gets the extents."""
    device = DEVICE.read_bytes()
    assert device[:8] != bytes(8), "this is not the portal"
    assert device.count(0, 128 << 20) == len(device) - (128 << 20), "bytes of the VM are left in the extents"


def case_destination_refuses_another_machine(lab):
    """Its own configuration decides; the sender hears why, and the VM never notices."""
    a, b = lab["A"], lab["B"]
    for change, words in (("Memory=128M", ["memory size differs"]), ("Type=pc", ["machine type differs"])):
        b.write("/etc/cxl-tier/cxl-tierd.conf.d/zz-test.conf", f"[Machine {NAME}]\n{change}\n")
        receiver = receive(b)
        refused(send(a), NAME, "the destination refused", *words, "it runs on here")
        assert receiver.wait(60) == 1, receiver.text()
        b.run("rm /etc/cxl-tier/cxl-tierd.conf.d/zz-test.conf")
        expect_clean(a)
        assert b.run(f"pgrep -c -x cxl-tier:{NAME}", check=False).out.strip() == "0", "a QEMU is left on B"
    expect_alive(Guest(a, NAME), verify=False)


def case_nobody_receives(lab):
    refused(send(lab["A"], "--timeout", "2"), NAME, "the destination did not answer", "tierctl receive")
    expect_clean(lab["A"])


def case_unknown_destination_and_machine(lab):
    refused(send(lab["A"], to="C"), "C")
    refused(lab["A"].tierctl("send", "nosuch", "--to", "B", check=False), "nosuch", "no such machine")
    refused(lab["B"].tierctl("send", NAME, "--to", "A", check=False), NAME, "not running")
    refused(lab["B"].tierctl("receive", "--machine", "nosuch", check=False), "nosuch", "no such machine")
    assert lab["A"].tierctl("send", NAME, check=False).code == 2
    assert lab["A"].tierctl("send", NAME, "--to", "B", "--rate", "fast", check=False).code == 2


def _hold(host, ram_bytes):
    """A flight of another VM that has asked for extents, and does not go on until it is killed."""
    ask = f'{{"vm":"other","destination":"B","ramBytes":{ram_bytes}}}'
    holder = host.start("python3", "-I", "-S", "-c", f"""
import json, socket
s = socket.socket(socket.AF_UNIX); s.connect("/run/cxl-tier/cxl-tierd.socket")
s.sendall(json.dumps({{"method": "io.cxltier.Manager.BeginFlight", "parameters": json.loads('{ask}')}}).encode() + b"\\0")
print("answer", s.recv(65536).decode().rstrip("\\0"), flush=True)
s.recv(1)
""")
    answer = holder.wait_line("answer", 30)
    assert '"flight"' in answer, answer
    return holder


def case_beside_another_flight(lab):
    """In another slot than the first one."""
    a, b = lab["A"], lab["B"]
    holder = _hold(a, 64 << 20)
    receiver = receive(b)
    send(a, check=True)
    assert receiver.wait(60) == 0, receiver.text()
    flight = next(f for f in a.tierctl("flights", "--json").json() if f["vm"] == NAME and f["source"] == "A")
    assert flight["sourceSlot"] != 0 and flight["sourceState"] == "CLOSED", flight
    expect_alive(Guest(b, NAME))
    holder.kill()
    receiver = receive(a)
    send(b, to="A", check=True)
    assert receiver.wait(60) == 0, receiver.text()


def case_not_enough_extents(lab):
    """Two are needed for 192 MiB with room for watermarks; another flight has all but one of the portal's."""
    a = lab["A"]
    holder = _hold(a, 640 << 20)
    a.wait_for("varlinkctl call -j /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Portals '{}' | "
               "grep -q '\"freeExtents\" *: *0'", "all of A's own extents claimed")
    lab["B"].wait_for("varlinkctl call -j /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Portals '{}' | "
                      "grep -q '\"claimedExtents\" *: *2'", "extents lent by B")
    refused(send(a), "portal0", "free extents")
    holder.kill()
    a.wait_for("varlinkctl call -j /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Portals '{}' | "
               "grep -q '\"claimedExtents\" *: *0'", "extents given back when the session ended")


def case_cancelled_while_moving(lab):
    """Ctrl-C: consistent, resumed, everything given back."""
    a, b = lab["A"], lab["B"]
    receiver = receive(b)
    sender = a.start("sh", "-c", f"echo $$ >/run/send.pid; exec tierctl send {NAME} --to B --rate 4M --json")
    wait_stage(sender, "moving")
    a.run("kill -INT $(cat /run/send.pid)")
    assert sender.wait(90) == 1, sender.text()
    assert "cancelled" in sender.text(), sender.text()
    assert receiver.wait(60) == 1, receiver.text()
    expect_alive(Guest(a, NAME))
    expect_clean(a)
    expect_clean(b)


def _recover(host, answer):
    host.write("/etc/cxl-tier/cxl-tierd.conf.d/recover.conf", f"[Daemon]\nRecover={answer}\n")
    host.stop_daemon()
    host.start_daemon()


@deadline(400)
def case_tool_killed_while_moving(lab):
    """kill -9 of the sender, and nobody carries on by itself: the records say whose the VM is, settle brings it back."""
    a, b = lab["A"], lab["B"]
    _recover(a, "no")
    receiver = receive(b)
    sender = a.start("sh", "-c", f"echo $$ >/run/send.pid; exec tierctl send {NAME} --to B --rate 4M --json")
    wait_stage(sender, "moving")
    a.run("kill -KILL $(cat /run/send.pid)")
    sender.wait(60)
    flight = next(f for f in a.tierctl("flights", "--json").json() if not f["ended"])
    assert flight["session"] != "held" and flight["sourceState"] == "OFFERED" and flight["holder"] == "A", flight
    refused(send(a), NAME, "an earlier flight of it has not ended", "tierctl settle")
    assert "ABORTED" in a.tierctl("settle", NAME).out
    assert receiver.wait(60) == 1, receiver.text()
    expect_alive(Guest(a, NAME))
    expect_clean(a)
    refused(a.tierctl("settle", "nosuch", check=False), "nosuch")
    _recover(a, "yes")


def case_settle_leaves_a_living_flight_alone(lab):
    """Also when the daemon has restarted and does not know any more who carries it out."""
    a, b = lab["A"], lab["B"]
    receiver = receive(b)
    sender = a.start("sh", "-c", f"echo $$ >/run/send.pid; exec tierctl send {NAME} --to B --rate 2M --json")
    wait_stage(sender, "moving")
    refused(a.tierctl("settle", NAME, check=False), NAME, "carrying its flight out")
    a.stop_daemon()
    a.start_daemon()
    refused(a.tierctl("settle", NAME, check=False), NAME, "another process")
    a.run("kill -INT $(cat /run/send.pid)")
    assert sender.wait(90) == 1, sender.text()
    assert receiver.wait(60) == 1, receiver.text()
    expect_alive(Guest(a, NAME), verify=False)
    expect_clean(a)


def _send_and_hold_published(lab):
    """A flight that waits at PUBLISHED, because the receiving tool is stopped."""
    a, b = lab["A"], lab["B"]
    receiver = b.start("sh", "-c", f"echo $$ >/run/receive.pid; exec tierctl receive --machine {NAME} --json")
    sender = a.start("tierctl", "send", NAME, "--to", "B", "--json")
    wait_stage(receiver, "ready")
    b.run("kill -STOP $(cat /run/receive.pid)")
    wait_stage(sender, "published")
    return sender, receiver


def case_pages_stay_where_they_were_published(lab):
    """Nobody, not even root, moves a page between PUBLISHED and COMMITTED; afterwards they move again."""
    a, b = lab["A"], lab["B"]
    sender, receiver = _send_and_hold_published(lab)
    node = a.run("for n in /sys/devices/system/node/node*; do [ -s $n/cpulist ] && [ -z \"$(tr -d '\\n' <$n/cpulist)\" ] && "
                 "echo ${n##*node}; done").out.split()[-1]
    pid = a.run(f"pgrep -x cxl-tier:{NAME}").out.strip()
    moved = a.tierctl("move", "--pid", pid, "--from", node, "--to", "0", "--shared", "--json", check=False).out
    assert '"moved_pages":0' in moved.replace(" ", ""), f"published pages have moved: {moved}"
    a.run("echo 1 >/proc/sys/vm/compact_memory")
    b.run("kill -CONT $(cat /run/receive.pid)")
    assert sender.wait(120) == 0, sender.text()
    assert receiver.wait(60) == 0, receiver.text()
    expect_alive(Guest(b, NAME))
    expect_clean(a)
    receiver = receive(a)
    send(b, to="A", check=True)
    assert receiver.wait(60) == 0, receiver.text()


def case_damaged_manifest(lab):
    """Bytes of the manifest change behind both hosts' backs: refused and named, the VM runs on."""
    a, b = lab["A"], lab["B"]
    sender, receiver = _send_and_hold_published(lab)
    offer = next(f for f in a.tierctl("flights", "--json").json() if not f["ended"])
    assert offer["sourceState"] == "PUBLISHED", offer
    with open(DEVICE, "r+b") as device:
        # The blob area of A's host area begins 1 MiB into it; a flight slot has a sixteenth of it.
        device.seek(3 << 20)
        area = device.read(60 << 20)
        used = next(i for i in range(0, len(area), 64) if any(area[i:i + 64]))
        device.seek((3 << 20) + used + 100)
        byte = device.read(1)
        device.seek(-1, 1)
        device.write(bytes([byte[0] ^ 0xff]))
    b.run("kill -CONT $(cat /run/receive.pid)")
    assert sender.wait(120) == 1, sender.text()
    assert receiver.wait(60) == 1, receiver.text()
    assert "the destination refused" in sender.text(), sender.text()
    expect_alive(Guest(a, NAME))
    expect_clean(a)


def case_vm_exits_during_the_flight(lab):
    a, b = lab["A"], lab["B"]
    receiver = receive(b)
    sender = a.start("tierctl", "send", NAME, "--to", "B", "--rate", "4M", "--json")
    wait_stage(sender, "moving")
    a.run(f"pkill -KILL -x cxl-tier:{NAME}")
    assert sender.wait(120) == 1, sender.text()
    assert "ended during the flight" in sender.text(), sender.text()
    assert receiver.wait(60) == 1, receiver.text()
    expect_clean(a)
    expect_clean(b)
    start(a)


def case_daemon_not_running(lab):
    a = lab["A"]
    a.stop_daemon()
    for words in ("send", NAME, "--to", "B"), ("receive",), ("flights",), ("online", "region0"), ("offline", "region0"):
        refused(a.tierctl(*words, check=False), "cxl-tierd", "not running", "systemctl start cxl-tierd")
    a.start_daemon()
    expect_clean(a)
    expect_alive(Guest(a, NAME))


def _digest():
    """Of all but B's own host area: it beats there, and answers."""
    device = DEVICE.read_bytes()
    area = (128 - 2) // 2 << 20
    assert device[(2 << 20) + area:][:4] == b"TPho", "B's host area is not there"
    return hashlib.sha256(device[:(2 << 20) + area] + device[(2 << 20) + 2 * area:]).hexdigest()


@deadline(500)
def case_a_booting_host_touches_no_byte(lab):
    """B boots with the packaged defaults while A's VM lies in the portal; it writes in its own host area only."""
    a, b = lab["A"], lab["B"]
    sender, _ = _send_and_hold_published(lab)
    b.control("kill")
    a.control("suspend")
    before = _digest()
    lab.up("B", topology=TOPOLOGY)
    b.create_region(1)
    assert b.run("cat /sys/devices/system/memory/auto_online_blocks").out.strip() == "offline"
    b.start_daemon()
    b.tierctl("list")
    b.tierctl("portal", "show")
    flights = b.tierctl("flights", "--json").json()
    assert any(f["vm"] == NAME and f["sourceState"] == "PUBLISHED" and f["source"] == "A" for f in flights), flights
    assert "flight" in b.daemon.text() and NAME in b.daemon.text(), b.daemon.text()
    assert _digest() == before, "bytes of the portal changed while B booted"
    refused(b.tierctl("online", "region0", check=False), "region0", "portal")
    assert _digest() == before, "a refused online changed bytes of the portal"
    a.control("resume")
    a.run("pkill -INT tierctl || true")
    assert sender.wait(120) == 1, sender.text()
    expect_alive(Guest(a, NAME))
    expect_clean(a)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Flight sessions of cxl-tierd: who gets which slot and extents, and who gives them back when.

test-sessions.py CXL-TIERD PORTAL-FILE CLIENT-CALL [TEST...]; exit 77 without root.
"""

import sys

from harness import (MIB, PROGRAM, Daemon, config, digest, extent_states, granted, main, make_portal, portal_file,
                     wait_for, within_few_beats)

EXTENT = 128 * MIB
HOST_A_RECORD = (2 * MIB, 2 * MIB + 4096)


def begin(connection, **more):
    return connection.call("BeginFlight", **{"vm": "box", "destination": "B", "ramBytes": 64 * MIB, **more})


def offer(portal, grant, state, vm="box"):
    """What the source's tool stores next."""
    extents = granted(portal, grant["flight"])
    portal_file("offer", portal, grant["host"], grant["slot"], grant["generation"], grant["flight"], grant["peer"], state,
                extents[0], len(extents), grant["incarnation"], vm)
    return extents


def offer_state(portal, grant):
    return portal_file("state", portal, grant["host"], grant["slot"])


def test_begin_and_end(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    connection = daemon.connect()
    grant = begin(connection)
    assert sorted(grant) == ["flight", "generation", "host", "incarnation", "peer", "portal", "portalPath", "region",
                             "slot"], grant
    assert (grant["portalPath"], grant["portal"], grant["host"], grant["peer"]) == (portal, "lake", 0, 1), grant
    [listed] = daemon.call("Portals")["portals"]
    assert grant["generation"] == 1 and grant["incarnation"] == listed["incarnation"] == 1
    assert offer_state(portal, grant) == "REQUESTED"
    [flight] = daemon.call("Flights")["flights"]
    assert (flight["sourceState"], flight["holder"], flight["session"]) == ("REQUESTED", "A", "held"), flight
    mine = granted(portal, grant["flight"])
    assert len(mine) == flight["wantedExtents"] > 0, (mine, flight)
    other = daemon.connect()
    refused = other.refused("BeginFlight", vm="box", destination="B", ramBytes=64 * MIB)
    assert "another process is sending it" in refused.text, refused
    second = begin(other, vm="crate")
    assert second["slot"] != grant["slot"] and second["flight"] != grant["flight"]
    theirs = granted(portal, second["flight"])
    assert theirs and not set(mine) & set(theirs), (mine, theirs)
    refused = other.refused("EndFlight", flight=grant["flight"])
    assert "another process" in refused.text, refused

    # What the VM left behind is zeroed before the extent is anybody's again.
    offer(portal, grant, "offered")
    control, size = map(int, portal_file("layout", portal).split())
    place = control + mine[0] * size + 12345
    neighbour = control + theirs[0] * size
    with open(portal, "r+b") as file:
        for offset in (place, neighbour):
            file.seek(offset)
            file.write(b"secret")
    offer(portal, grant, "aborted")
    connection.call("EndFlight", flight=grant["flight"])
    assert extent_states(portal, mine) == {"free"}, "EndFlight replied before its extents were free"
    with open(portal, "rb") as file:
        file.seek(place)
        assert file.read(6) == bytes(6), "the extent was not scrubbed"
        file.seek(neighbour)
        assert file.read(6) == b"secret", "another flight's extent was scrubbed"
    assert extent_states(portal, theirs) == {"claimed"}, "another flight's extents were freed"
    assert "no portal" in connection.refused("EndFlight", flight="0" * 31 + "1").text
    third = begin(connection)
    assert (third["slot"], third["generation"]) == (grant["slot"], 2), third
    # Given up by the one who asked.
    connection.call("EndFlight", flight=third["flight"])
    assert offer_state(portal, third) == "ABORTED" and not granted(portal, third["flight"])
    assert daemon.stop() == 0


def test_begin_refused(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    before = digest(portal, HOST_A_RECORD)
    connection = daemon.connect()
    for parameters, word in (({"destination": "C"}, "no other host"), ({"destination": "A"}, "no other host"),
                             ({"portal": "pond"}, "no such portal")):
        refused = connection.refused("BeginFlight", **{"vm": "box", "destination": "B", "ramBytes": MIB, **parameters})
        assert refused.error == "Refused" and word in refused.text, (parameters, refused)
        assert list(parameters.values())[0] in refused.object, refused
    # B has four more, but nobody who would grant them.
    refused = connection.refused("BeginFlight", vm="box", destination="B", ramBytes=5 * EXTENT)
    assert "A has 4" in refused.text and "heard of 0" in refused.text, refused
    for parameters in {"vm": "../box", "ramBytes": MIB}, {"vm": "box", "ramBytes": 1}:
        refused = connection.refused("BeginFlight", destination="B", **parameters)
        assert "cannot be offered" in refused.text, refused
    assert digest(portal, HOST_A_RECORD) == before, "a refused flight wrote to the portal"
    assert daemon.call("Portals")["portals"][0]["freeExtents"] == 4
    assert connection.refused("BeginFlight", vm="box", destination="B", ramBytes=0).parameters == {"parameter": "ramBytes"}
    daemon.stop()


def test_disconnect(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal, more="Recover=no\n"))

    connection = daemon.connect()
    grant = begin(connection)
    mine = granted(portal, grant["flight"])
    connection.close()
    wait_for("never offered: given up", lambda: offer_state(portal, grant) == "ABORTED")
    wait_for("given back", lambda: extent_states(portal, mine) == {"free"})

    connection = daemon.connect()
    grant = begin(connection)
    mine = offer(portal, grant, "offered")
    refused = connection.refused("EndFlight", flight=grant["flight"])
    assert "under way" in refused.text and refused.next, refused
    [flight] = daemon.call("Flights")["flights"]
    assert flight["session"] == "held" and flight["flight"] == grant["flight"]
    connection.close()
    wait_for("orphaned", lambda: daemon.call("Flights")["flights"][0]["session"] == "orphaned")
    assert extent_states(portal, mine) == {"claimed"}, "an open offer lost its extents"
    assert grant["flight"] in daemon.log().splitlines()[-1], daemon.log()
    assert daemon.refused("EndFlight", flight=grant["flight"]).next
    for state in ("published", "committed", "withdrawn"):
        offer(portal, grant, state)
        assert "under way" in daemon.refused("EndFlight", flight=grant["flight"]).text, state
    offer(portal, grant, "aborted")
    daemon.call("EndFlight", flight=grant["flight"])
    assert extent_states(portal, mine) == {"free"}
    assert "recovering" not in daemon.log() and "tierctl settle box" not in daemon.log().splitlines()[-1]
    daemon.stop()


def test_ended_by_the_tool(directory):
    """Extents come back when the records say so, though nobody calls EndFlight."""
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    connection = daemon.connect()
    grant = begin(connection)
    mine = offer(portal, grant, "offered")
    within_few_beats(portal, 0, "taken back", lambda: offer(portal, grant, "closed"),
                     lambda: extent_states(portal, mine) == {"free"})
    daemon.stop()


def test_zeroed_one_by_one(directory):
    """Others are served between two extents; EndFlight is answered after the last."""
    portal = f"{directory}/lake"
    portal_file("format", portal, 601 * EXTENT, "A", "B")
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    connection, other = daemon.connect(), daemon.connect()
    assert other.call("Ping") == {}
    grant = begin(connection, ramBytes=280 * EXTENT)
    mine = granted(portal, grant["flight"])
    assert len(mine) > 280, mine
    connection.send("EndFlight", flight=grant["flight"])
    served = 0
    while not connection.replied():
        assert other.call("Ping") == {}
        served += 1
    # Between two Pings it zeroes as many extents as the client's turn takes to come.
    assert served > 5, f"others were served {served} times: answered before the extents were zeroed, or others waited"
    assert connection.receive("EndFlight") == {}
    assert extent_states(portal, (mine[0], mine[len(mine) // 2], mine[-1])) == {"free"}
    daemon.stop()


def test_restart(directory):
    """A restarted daemon takes nothing away that has been offered, and gives up what has not."""
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal, more="Recover=no\n"))
    connection = daemon.connect()
    offered, asked = begin(connection), begin(connection, vm="crate")
    mine = offer(portal, offered, "offered")
    assert daemon.stop() == 0
    assert offer_state(portal, asked) == "REQUESTED", "a stop is not the end of a flight"
    daemon = Daemon(PROGRAM, directory, config=config(portal, more="Recover=no\n"))
    wait_for("nobody asks any more", lambda: offer_state(portal, asked) == "ABORTED")
    assert extent_states(portal, mine) == {"claimed"}
    second = begin(daemon.connect(), vm="chest")
    assert second["slot"] != offered["slot"], "the slot of a flight under way was given away"
    assert "under way" in daemon.refused("EndFlight", flight=offered["flight"]).text
    offer(portal, offered, "aborted")
    daemon.call("EndFlight", flight=offered["flight"])
    assert extent_states(portal, mine) == {"free"}
    daemon.stop()


def test_offer_and_accept(directory):
    portal = make_portal(directory, ("A", "B", "C"))
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"))
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))
    source = a.connect()
    grant = begin(source)
    assert b.call("Offers")["offers"] == []
    [flight] = b.call("Flights")["flights"]
    assert flight["sourceState"] == "REQUESTED" and not flight["ours"], flight
    request = {"portal": "lake", "source": 0, "sourceSlot": grant["slot"], "flight": grant["flight"]}
    assert "not an open offer" in b.refused("AcceptFlight", **request).text
    mine = offer(portal, grant, "offered")
    c = Daemon(PROGRAM, directory, "c", config=config(portal, "C"))
    assert a.call("Offers")["offers"] == c.call("Offers")["offers"] == [], "an offer to somebody else"
    assert "another host" in c.refused("AcceptFlight", **request).text
    c.stop()
    [listed] = b.call("Offers")["offers"]
    assert (listed["flight"], listed["sourceName"], listed["vm"]) == (grant["flight"], "A", "box"), listed
    assert (listed["source"], listed["sourceSlot"]) == (0, grant["slot"]), listed
    assert "not an open offer" in a.refused("AcceptFlight", **request).text
    assert "no such flight" in b.refused("AcceptFlight", **{**request, "sourceSlot": 9}).text
    assert "no such flight" in b.refused("AcceptFlight", **{**request, "source": 77}).text

    target = b.connect()
    accepted = target.call("AcceptFlight", **request)
    assert (accepted["host"], accepted["peer"], accepted["generation"]) == (1, 0, grant["generation"])
    assert accepted["incarnation"] == 1 and "ranges" not in accepted
    assert b.call("Offers")["offers"] == [], "the offer is being answered"
    assert "being answered" in b.refused("AcceptFlight", **request).text
    target.close()
    wait_for("offered again", lambda: b.call("Offers")["offers"])

    target = b.connect()
    accepted = target.call("AcceptFlight", **request)
    answer = lambda state: portal_file("answer", portal, 1, accepted["slot"], grant["generation"], grant["flight"], 0,
                                       grant["slot"], state)
    answer("ready")
    assert "under way" in target.refused("EndFlight", flight=grant["flight"]).text
    [flight] = a.call("Flights")["flights"]
    assert flight["destinationState"] == "READY" and flight["holder"] == "A", flight
    offer(portal, grant, "published")
    offer(portal, grant, "committed")
    answer("accepted")
    [flight] = a.call("Flights")["flights"]
    assert (flight["holder"], flight["inPortal"], flight["lost"], flight["conflict"]) == ("B", True, False, False), flight
    answer("done")
    [flight] = a.call("Flights")["flights"]
    assert (flight["holder"], flight["inPortal"]) == ("B", False), flight
    target.call("EndFlight", flight=grant["flight"])
    assert extent_states(portal, mine) == {"claimed"}, "the destination freed the source's extents"
    offer(portal, grant, "closed")
    source.call("EndFlight", flight=grant["flight"])
    assert extent_states(portal, mine) == {"free"}
    a.stop()
    b.stop()


def test_slots(directory):
    """A slot is given out again when its flight has ended, whatever another home has lent and not taken back."""
    portal = make_portal(directory)
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"))
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))
    wait_for("B is heard of", lambda: a.call("Portals")["portals"][0]["hosts"][1]["beats"] > 0)
    connection = a.connect()
    grant = begin(connection, ramBytes=5 * EXTENT)
    wait_for("B grants too", lambda: len(granted(portal, grant["flight"])) > 4)
    lent = [extent for extent in granted(portal, grant["flight"]) if extent >= 4]
    b.stop()
    connection.call("EndFlight", flight=grant["flight"])
    wait_for("A's own are back", lambda: extent_states(portal, range(4)) == {"free"})
    assert extent_states(portal, lent) == {"claimed"}, "A has written B's records"
    flight = begin(connection)
    assert flight["slot"] == 1, "a slot of which something is lent was taken though others are free"
    connection.call("EndFlight", flight=flight["flight"])
    # All others are under way: then that one.
    for slot in range(1, 16):
        portal_file("offer", portal, 0, slot, 9, f"11111111-2222-4333-8444-{slot:012}", 1, "offered", 7, 1, 1, f"vm{slot}")
    flight = begin(connection)
    assert (flight["slot"], flight["generation"]) == (0, 2), flight
    assert "all 16 flight slots" in connection.refused("BeginFlight", vm="chest", destination="B", ramBytes=MIB).text
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))
    wait_for("B takes back what it lent", lambda: extent_states(portal, lent) == {"free"})
    a.stop()
    b.stop()


if __name__ == "__main__":
    sys.exit(main(dict(globals())))

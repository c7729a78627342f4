#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Flight sessions of cxl-tierd: who gets which slot and extents, and who gives them back when.

test-sessions.py CXL-TIERD PORTAL-FILE CLIENT-CALL [TEST...]; exit 77 without root.
"""

import sys

from harness import MIB, PROGRAM, Daemon, config, digest, main, make_portal, portal_file, wait_for


def extents(portal, ranges):
    return {portal_file("extent", portal, r["first"] + i) for r in ranges for i in range(r["count"])}


def begin(connection, **more):
    return connection.call("BeginFlight", **{"vm": "box", "destination": "B", "ramBytes": 64 * MIB, **more})


def test_begin_and_end(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    connection = daemon.connect()
    grant = begin(connection)
    assert (grant["portalPath"], grant["portal"], grant["host"], grant["peer"]) == (portal, "lake", 0, 1), grant
    assert grant["generation"] == 1 and grant["incarnation"] == daemon.call("GetInfo")["incarnation"]
    assert extents(portal, grant["ranges"]) == {"claimed"}
    other = daemon.connect()
    refused = other.refused("BeginFlight", vm="box", destination="B", ramBytes=64 * MIB)
    assert "another process is sending it" in refused.text, refused
    second = begin(other, vm="crate")
    assert second["slot"] != grant["slot"] and second["flight"] != grant["flight"]
    assert not {r["first"] for r in grant["ranges"]} & {r["first"] for r in second["ranges"]}
    refused = other.refused("EndFlight", flight=grant["flight"])
    assert "another process" in refused.text, refused

    # What the VM left behind is zeroed before the extent is anybody's again.
    control, size = map(int, portal_file("layout", portal).split())
    place = control + grant["ranges"][0]["first"] * size + 12345
    neighbour = control + second["ranges"][0]["first"] * size
    with open(portal, "r+b") as file:
        for offset in (place, neighbour):
            file.seek(offset)
            file.write(b"secret")
    connection.call("EndFlight", flight=grant["flight"])
    assert extents(portal, grant["ranges"]) == {"free"}
    with open(portal, "rb") as file:
        file.seek(place)
        assert file.read(6) == bytes(6), "the extent was not scrubbed"
        file.seek(neighbour)
        assert file.read(6) == b"secret", "another flight's extent was scrubbed"
    assert extents(portal, second["ranges"]) == {"claimed"}, "another flight's extents were freed"
    assert "no portal" in connection.refused("EndFlight", flight="0" * 31 + "1").text
    third = begin(connection)
    assert (third["slot"], third["generation"]) == (grant["slot"], 2), third
    assert daemon.stop() == 0


def test_begin_refused(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    before = digest(portal)
    connection = daemon.connect()
    for parameters, word in (({"destination": "C"}, "no other host"), ({"destination": "A"}, "no other host"),
                             ({"portal": "pond"}, "no such portal")):
        refused = connection.refused("BeginFlight", **{"vm": "box", "destination": "B", "ramBytes": MIB, **parameters})
        assert refused.error == "Refused" and word in refused.text, (parameters, refused)
        assert list(parameters.values())[0] in refused.object, refused
    assert digest(portal) == before, "a refused flight wrote to the portal"
    refused = connection.refused("BeginFlight", vm="box", destination="B", ramBytes=1024 * MIB)
    assert "has 4" in refused.text, refused
    assert daemon.call("Portals")["portals"][0]["freeExtents"] == 4
    assert connection.refused("BeginFlight", vm="box", destination="B", ramBytes=0).parameters == {"parameter": "ramBytes"}
    daemon.stop()


def test_disconnect(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))

    connection = daemon.connect()
    grant = begin(connection)
    connection.close()
    wait_for("never offered: given back", lambda: extents(portal, grant["ranges"]) == {"free"})

    connection = daemon.connect()
    grant = begin(connection)
    first, count = grant["ranges"][0]["first"], grant["ranges"][0]["count"]
    offer = lambda state: portal_file("offer", portal, 0, grant["slot"], grant["generation"], grant["flight"], 1, state, first, count)
    offer("offered")
    refused = connection.refused("EndFlight", flight=grant["flight"])
    assert "under way" in refused.text and refused.next, refused
    [flight] = daemon.call("Flights")["flights"]
    assert flight["session"] == "held" and flight["flight"] == grant["flight"]
    connection.close()
    wait_for("orphaned", lambda: daemon.call("Flights")["flights"][0]["session"] == "orphaned")
    assert extents(portal, grant["ranges"]) == {"claimed"}, "an open offer lost its extents"
    assert grant["flight"] in daemon.log().splitlines()[-1], daemon.log()
    assert daemon.refused("EndFlight", flight=grant["flight"]).next
    for state in ("published", "committed"):
        offer(state)
        assert "under way" in daemon.refused("EndFlight", flight=grant["flight"]).text, state
    offer("aborted")
    daemon.call("EndFlight", flight=grant["flight"])
    assert extents(portal, grant["ranges"]) == {"free"}
    daemon.stop()


def test_restart(directory):
    """A restarted daemon gives nothing away that a tool still uses."""
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    connection = daemon.connect()
    grant = begin(connection)
    assert daemon.stop() == 0
    assert extents(portal, grant["ranges"]) == {"claimed"}, "a stop is not the end of a flight"
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    assert extents(portal, grant["ranges"]) == {"claimed"}
    second = begin(daemon.connect())
    assert second["slot"] != grant["slot"], "the slot of a flight not yet offered was given away"
    daemon.call("EndFlight", flight=grant["flight"])
    assert extents(portal, grant["ranges"]) == {"free"}
    assert "no portal" in daemon.refused("EndFlight", flight=grant["flight"]).text
    daemon.stop()


def test_offer_and_accept(directory):
    portal = make_portal(directory, ("A", "B", "C"))
    a = Daemon(PROGRAM, directory, "a", config=config(portal, "A"))
    b = Daemon(PROGRAM, directory, "b", config=config(portal, "B"))
    source = a.connect()
    grant = begin(source)
    assert b.call("Offers")["offers"] == [] and b.call("Flights")["flights"] == []
    first, count = grant["ranges"][0]["first"], grant["ranges"][0]["count"]
    portal_file("offer", portal, 0, grant["slot"], grant["generation"], grant["flight"], 1, "offered", first, count)
    c = Daemon(PROGRAM, directory, "c", config=config(portal, "C"))
    assert a.call("Offers")["offers"] == c.call("Offers")["offers"] == [], "an offer to somebody else"
    c.stop()
    [offer] = b.call("Offers")["offers"]
    assert (offer["flight"], offer["sourceName"], offer["vm"]) == (grant["flight"], "A", "box"), offer
    request = {"portal": "lake", "source": offer["source"], "sourceSlot": offer["sourceSlot"], "flight": offer["flight"]}
    assert "not an open offer" in a.refused("AcceptFlight", **request).text
    assert "no such flight" in b.refused("AcceptFlight", **{**request, "sourceSlot": 9}).text
    assert "no such flight" in b.refused("AcceptFlight", **{**request, "source": 77}).text

    target = b.connect()
    accepted = target.call("AcceptFlight", **request)
    assert (accepted["host"], accepted["peer"], accepted["generation"]) == (1, 0, grant["generation"])
    assert accepted["ranges"] == grant["ranges"]
    assert b.call("Offers")["offers"] == [], "the offer is being answered"
    assert "being answered" in b.refused("AcceptFlight", **request).text
    target.close()
    wait_for("offered again", lambda: b.call("Offers")["offers"])

    target = b.connect()
    accepted = target.call("AcceptFlight", **request)
    answer = lambda state: portal_file("answer", portal, 1, accepted["slot"], grant["generation"], grant["flight"], 0, grant["slot"], state)
    answer("ready")
    assert "under way" in target.refused("EndFlight", flight=grant["flight"]).text
    [flight] = a.call("Flights")["flights"]
    assert flight["destinationState"].lower() == "ready", flight
    answer("done")
    target.call("EndFlight", flight=grant["flight"])
    assert extents(portal, grant["ranges"]) == {"claimed"}, "the destination freed the source's extents"
    portal_file("offer", portal, 0, grant["slot"], grant["generation"], grant["flight"], 1, "closed", first, count)
    source.call("EndFlight", flight=grant["flight"])
    assert extents(portal, grant["ranges"]) == {"free"}
    a.stop()
    b.stop()


if __name__ == "__main__":
    sys.exit(main(dict(globals())))

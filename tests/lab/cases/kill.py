# SPDX-License-Identifier: GPL-2.0-or-later
"""Tool, daemon, QEMU and host killed or stopped at every step of a flight, on both sides.

A sample by the commit's seed in make check, all of them in make check-long.
"""

import killing

SECONDS = 150
TOPOLOGY = killing.TOPOLOGY
SETUP_DEADLINE = 400
DEADLINE = 300
SAMPLE = 6

setup = killing.setup


def case_every_place_has_an_expected_end(lab):
    """So that no place is left out of what follows, and none is there twice."""
    places = killing.places()
    assert len(set(places)) == len(places) > 100, len(places)
    for place in places:
        assert killing.expected(*place) in ("source", "destination", "either", "gone"), place


def _case(side, step, victim):
    def case(lab):
        killing.attempt(lab, side, step, victim)
    return case


for _side, _step, _victim in killing.places():
    globals()[f"case_{_side}_{_step.lower()}_{_victim}"] = _case(_side, _step, _victim)

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the disorder ends, everything comes to an end. */
#include "hosts.h"

/* A VM that has ended is started anew, from its disk. */
void start_anew(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;
	unsigned i = (unsigned)(sim_random() % HOSTS);

	if (!(w.dead || w.excused) || find_open(&offerer, &slot, &offer) || !w.hosts[i].up)
		return;
	for (unsigned h = 0; h < HOSTS; h++)
		if (w.hosts[h].process != PROCESS_NONE || w.hosts[h].carrier.on)
			return;
	w.dead = w.excused = false;
	w.hosts[i].process = PROCESS_RUNNING;
	w.hosts[i].version = w.newest;
	trace("host %u: the VM is started anew", i);
}

/* Nothing is left to be done. */
bool at_rest(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;

	for (unsigned i = 0; i < HOSTS; i++)
		if (!w.hosts[i].up || w.hosts[i].carrier.on ||
		    w.hosts[i].process == PROCESS_WAITING || w.hosts[i].process == PROCESS_STOPPED)
			return false;
	return !find_open(&offerer, &slot, &offer) && !claimed();
}

/* Everybody is well, and whoever may do something does it. */
static void calm_down(unsigned turns)
{
	w.calm = true;
	memory.fault_at = 0;
	for (unsigned i = 0; i < HOSTS; i++)
		w.hosts[i].suspended = w.hosts[i].carrier.suspended = false;
	for (unsigned i = 0; i < turns && !w.failure; i++) {
		w.turn();
		if (i % 16 == 0 && at_rest())
			return;
	}
}

/*
 * An INTENT whose tool has gone: its operator runs it again, and the agent refuses. One that a tool
 * left in a cache appears at last.
 */
static void end_intents(void)
{
	for (unsigned host = 0; host < HOSTS; host++)
		memory_spill(host, UINT64_MAX, false);
	for (uint32_t host = 0; host < HOSTS; host++)
		for (uint32_t target = 0; target < HOSTS; target++) {
			struct tier_fence_record record;

			if (host != target &&
			    tier_portal_read_fence(&w.oracle, host, target, &record) == 0 &&
			    record.state == TIER_FENCE_INTENT)
				fence(&w.hosts[host], target);
		}
}

void settle(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;
	unsigned places = 0;

	calm_down(300);
	end_intents();
	calm_down(1500);
	if (w.failure)
		return;
	for (unsigned i = 0; i < HOSTS; i++)
		places += w.hosts[i].process != PROCESS_NONE;
	w.dead = w.dead || (w.excused && places == 0);
	if (find_open(&offerer, &slot, &offer))
		fail("the flight from %u does not end: it stays %s", offerer,
		     tier_flight_state_name(offer.state));
	else if (!w.dead && (!runner() || places != 1))
		fail("the VM is lost: %u processes, %s", places,
		     runner() ? "one runs" : "none runs");
	else if (w.dead && places)
		fail("%u processes are left of a VM that has ended", places);
	else if (claimed())
		fail("%u extents are not free", claimed());
}

/* What a boot asked for that is over, and never used, is not kept for it by those who are left. */
static void check_given_back(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;

	if (!find_open(&offerer, &slot, &offer) || offer.state != TIER_FLIGHT_REQUESTED ||
	    w.hosts[offerer].up)
		return;
	for (uint32_t e = 0; e < EXTENTS; e++) {
		struct tier_extent_record record;

		if (w.hosts[tier_super_extent_home(&w.super, e)].up &&
		    tier_portal_read_extent(&w.oracle, e, &record) == 0 &&
		    record.state == TIER_EXTENT_CLAIMED)
			fail("extent %u is kept for a boot that is over", e);
	}
}

static void check_pair(enum tier_record_kind kind, uint32_t host, uint32_t index)
{
	const char *first = memory.bytes + tier_record_offset(&w.super, kind, host, index, 0);
	const char *second = memory.bytes + tier_record_offset(&w.super, kind, host, index, 1);

	if (memcmp(first, second, tier_record_bytes(kind)) != 0)
		fail("host %u has a record of kind %d whose copies differ", host, (int)kind);
}

void check_copies(void)
{
	for (uint32_t host = 0; host < HOSTS; host++) {
		const struct tier_portal_slot *home = &w.super.hosts[host];

		check_pair(TIER_RECORD_HOST, host, 0);
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			check_pair(TIER_RECORD_OFFER, host, slot);
			check_pair(TIER_RECORD_ANSWER, host, slot);
		}
		for (uint32_t target = 0; target < HOSTS; target++)
			check_pair(TIER_RECORD_FENCE, host, target);
		for (uint32_t i = 0; i < home->extent_count; i++)
			check_pair(TIER_RECORD_EXTENT, host, home->first_extent + i);
	}
}

void check_fenced_off(void)
{
	unsigned places = 0;

	for (unsigned i = 0; i < HOSTS; i++)
		places += w.hosts[i].process != PROCESS_NONE;
	if (!runner() && !w.dead && !(w.excused && places == 0))
		fail("nobody runs the VM, and who does not has been fenced");
	check_given_back();
}

/* Without any fault it arrives. */
void next_flight(void)
{
	struct host *from;

	for (unsigned i = 0; i < 2000 && !w.failure && w.dead; i++) {
		start_anew();
		w.turn();
	}
	from = runner();
	if (!from || w.failure)
		return;
	maybe_begin(TIER_PORTAL_NO_HOST);
	for (unsigned i = 0; i < 3000 && !w.failure; i++) {
		w.turn();
		if (i % 16 == 0 && i > 64 && at_rest())
			break;
	}
	if (!w.failure && !runner())
		fail("the next flight loses the VM");
	/* The first look of a destination may be a recovery's: then it is not answered. */
	else if (!w.failure && w.directed && runner() == from)
		fail("the next flight does not arrive");
	w.outcomes[runner() != from ? MOVED : STAYED]++;
}

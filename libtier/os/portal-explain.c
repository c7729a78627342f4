/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the rest of a portal says of a record that cannot be read. */
#include "portal-pair.h"
#include "tier-handoff.h"
#include "util.h"

static bool same_flight(const struct tier_uuid *a, const struct tier_uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool portal_flight_open(const struct tier_offer *offer)
{
	return offer->state >= TIER_FLIGHT_REQUESTED && offer->state <= TIER_FLIGHT_WITHDRAWN;
}

static bool lists(const struct tier_offer *offer, uint32_t extent)
{
	for (uint32_t i = 0; i < offer->range_count; i++)
		if (extent >= offer->ranges[i].first &&
		    extent - offer->ranges[i].first < offer->ranges[i].count)
			return true;
	return false;
}

int portal_extent_flight(struct tier_portal *portal, uint32_t extent, struct tier_offer *ret)
{
	const struct tier_super *super = &portal->super;
	bool found = false;

	for (uint32_t i = 0; i < super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		struct tier_offer offer;
		int r = tier_portal_read_offer(portal, i / TIER_PORTAL_FLIGHTS,
					       i % TIER_PORTAL_FLIGHTS, &offer);

		if (r == TIER_E_NOT_FOUND)
			continue;
		if (r)
			return r;
		if (!portal_flight_open(&offer) || !lists(&offer, extent))
			continue;
		if (found)
			return TIER_E_DAMAGED;
		*ret = offer;
		found = true;
	}
	return found ? 0 : TIER_E_NOT_FOUND;
}

/* Is any extent claimed for a flight of @host that no readable offer of it is about, or may it be? */
static bool claims_unknown(struct tier_portal *portal, uint32_t host)
{
	const struct tier_super *super = &portal->super;

	for (uint32_t extent = 0; extent < super->extent_count; extent++) {
		struct tier_extent_record record;
		bool known = false;
		int r = tier_portal_read_extent(portal, extent, &record);

		if (r == TIER_E_NOT_FOUND)
			continue;
		if (r)
			return true;
		if (record.state != TIER_EXTENT_CLAIMED || record.owner != host)
			continue;
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS && !known; slot++) {
			struct tier_offer offer;

			known = tier_portal_read_offer(portal, host, slot, &offer) == 0 &&
				same_flight(&offer.flight, &record.flight);
		}
		if (!known)
			return true;
	}
	return false;
}

/* The newest answer to whatever that slot has carried. */
static uint32_t newest_answer(struct tier_portal *portal, uint32_t source, uint32_t slot,
			      struct tier_answer *ret)
{
	const struct tier_super *super = &portal->super;
	uint32_t newest = TIER_PORTAL_NO_HOST;

	for (uint32_t i = 0; i < super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		uint32_t host = i / TIER_PORTAL_FLIGHTS;
		struct tier_answer answer;

		if (tier_portal_read_answer(portal, host, i % TIER_PORTAL_FLIGHTS, &answer) != 0 ||
		    answer.state == TIER_FLIGHT_NONE || answer.source != source ||
		    answer.source_slot != slot)
			continue;
		if (newest != TIER_PORTAL_NO_HOST &&
		    answer.stamp.generation <= ret->stamp.generation)
			continue;
		*ret = answer;
		newest = host;
	}
	return newest;
}

void portal_explain_offer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			  bool *ret_needed, char text[static 256])
{
	const char *source = portal->super.hosts[host].name, *there = "";
	struct tier_answer answer = {};
	uint32_t taker = newest_answer(portal, host, slot, &answer);

	*ret_needed = claims_unknown(portal, host);
	if (taker != TIER_PORTAL_NO_HOST)
		there = portal->super.hosts[taker].name;
#define SAY(...) ((void)snprintf(text, 256, __VA_ARGS__))
	if (!*ret_needed)
		SAY("no extent is claimed for it, so nothing hangs on it: %s may empty the slot",
		    source);
	else if (answer.state == TIER_FLIGHT_RUNNING || answer.state == TIER_FLIGHT_DONE)
		SAY("%s has said %s: the VM is or was there; never resume it on %s", there,
		    tier_flight_state_name(answer.state), source);
	else if (answer.state == TIER_FLIGHT_ACCEPTED)
		SAY("%s has said ACCEPTED and may run the VM; if it does not, end what waits there "
		    "(tierctl vm stop), then it is %s's, if its process is there",
		    there, source);
	else if (taker != TIER_PORTAL_NO_HOST)
		SAY("%s has said %s, so it has not run there: the VM is %s's, if its process is "
		    "there; end what waits on %s",
		    there, tier_flight_state_name(answer.state), source, there);
	else
		SAY("nobody's answer to it is known: the VM is %s's, if its process is there",
		    source);
#undef SAY
}

bool portal_answer_open(struct tier_portal *portal, const struct tier_answer *answer)
{
	struct tier_offer offer;
	int r;

	if (answer->state == TIER_FLIGHT_NONE)
		return false;
	r = tier_portal_read_offer(portal, answer->source, answer->source_slot, &offer);
	if (r == TIER_E_NOT_FOUND)
		return false;
	return r != 0 ||
	       (same_flight(&offer.flight, &answer->flight) && portal_flight_open(&offer));
}

/* May an answer of @host that cannot be read be one to this flight? */
static bool may_answer(struct tier_portal *portal, uint32_t host, const struct tier_offer *offer,
		       uint32_t slot)
{
	struct tier_handoff_view view = {.self = TIER_PORTAL_NO_HOST};
	struct tier_answer answer;

	if (!portal_flight_open(offer) || offer->source == host)
		return false;
	/* An heir answers where the source has been fenced; that it was may be what is damaged. */
	if (offer->destination != host && tier_portal_look_hosts(portal, &view) == 0 &&
	    view.fences[offer->source].fenced < offer->source_incarnation)
		return false;
	return tier_portal_find_answer(portal, host, offer, slot, &answer, NULL) != 0;
}

/* The first flight that it may be an answer to; TIER_E_DAMAGED if there is an offer that may. */
static int find_offer(struct tier_portal *portal, uint32_t host, struct tier_offer *ret)
{
	const struct tier_super *super = &portal->super;
	int outcome = TIER_E_NOT_FOUND;

	for (uint32_t i = 0; i < super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		uint32_t source = i / TIER_PORTAL_FLIGHTS, slot = i % TIER_PORTAL_FLIGHTS;
		struct tier_offer offer;
		int r = tier_portal_read_offer(portal, source, slot, &offer);

		if (r == TIER_E_NOT_FOUND || source == host)
			continue;
		if (r) {
			outcome = TIER_E_DAMAGED;
			continue;
		}
		if (!may_answer(portal, host, &offer, slot))
			continue;
		*ret = offer;
		return 0;
	}
	return outcome;
}

void portal_explain_answer(struct tier_portal *portal, uint32_t host, bool *ret_needed,
			   char text[static 256])
{
	const char *taker = portal->super.hosts[host].name, *source;
	struct tier_offer offer;
	int r = find_offer(portal, host, &offer);

	*ret_needed = r != TIER_E_NOT_FOUND;
#define SAY(...) ((void)snprintf(text, 256, __VA_ARGS__))
	if (r == TIER_E_NOT_FOUND) {
		SAY("no open flight lacks an answer of %s, so nothing hangs on it: %s may empty "
		    "the "
		    "slot",
		    taker, taker);
		return;
	}
	if (r) {
		SAY("an offer that cannot be read may be what it answers: see to that first");
		return;
	}
	source = portal->super.hosts[offer.source].name;
	if (offer.state == TIER_FLIGHT_COMMITTED || offer.state == TIER_FLIGHT_PUBLISHED)
		SAY("may be for VM %.40s from %s (%s): if its process runs on %s it is the only "
		    "one; "
		    "never resume it elsewhere before that has ended",
		    offer.vm, source, tier_flight_state_name(offer.state), taker);
	else
		SAY("may be for VM %.40s from %s (%s): the VM is %s's; end what waits for it on %s "
		    "(tierctl vm stop)",
		    offer.vm, source, tier_flight_state_name(offer.state), source, taker);
#undef SAY
}

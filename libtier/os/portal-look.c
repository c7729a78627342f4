/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the protocol decides on, read in the order that it relies on. */
#include "tier-handoff.h"
#include "util.h"

/*
 * A fence that cannot be read may be any: then nothing is decided. What a fence says about a boot
 * holds for every record that is read after it.
 */
static int read_fences(
	struct tier_portal *portal,
	struct tier_fence_record records[TIER_PORTAL_MAX_HOSTS][TIER_PORTAL_MAX_HOSTS])
{
	uint32_t hosts = tier_portal_super(portal)->host_count;

	for (uint32_t host = 0; host < hosts; host++) {
		for (uint32_t target = 0; target < hosts; target++) {
			struct tier_fence_record *record = &records[host][target];
			int r = TIER_E_NOT_FOUND;

			if (host != target)
				r = tier_portal_read_fence(portal, host, target, record);
			if (r == TIER_E_NOT_FOUND)
				*record = (struct tier_fence_record){};
			else if (r)
				return r;
		}
	}
	return 0;
}

static void note_fences(
	uint32_t hosts,
	const struct tier_fence_record records[TIER_PORTAL_MAX_HOSTS][TIER_PORTAL_MAX_HOSTS],
	struct tier_handoff_view *view)
{
	for (uint32_t target = 0; target < hosts; target++) {
		struct tier_handoff_fence *fence = &view->fences[target];

		*fence = (struct tier_handoff_fence){.heir = TIER_PORTAL_NO_HOST};
		for (uint32_t host = 0; host < hosts; host++) {
			const struct tier_fence_record *record = &records[host][target];

			/* It stays while a later boot is being fenced. */
			if (record->fenced_upto <= fence->fenced)
				continue;
			fence->fenced = record->fenced_upto;
			fence->heir = record->fenced_heir;
		}
		fence->intended = fence->fenced;
	}
	/* A fencer whose boot is over will not confirm what it meant to do. */
	for (uint32_t host = 0; host < hosts; host++)
		for (uint32_t target = 0; target < hosts; target++) {
			const struct tier_fence_record *record = &records[host][target];
			struct tier_handoff_fence *fence = &view->fences[target];

			if (record->state == TIER_FENCE_INTENT &&
			    !tier_handoff_dead(view, host, record->stamp.incarnation))
				fence->intended = MAX(fence->intended, record->upto);
		}
}

int tier_portal_look_hosts(struct tier_portal *portal, struct tier_handoff_view *view)
{
	struct tier_fence_record fences[TIER_PORTAL_MAX_HOSTS][TIER_PORTAL_MAX_HOSTS];
	uint32_t hosts = tier_portal_super(portal)->host_count;
	int r = read_fences(portal, fences);

	for (uint32_t host = 0; r == 0 && host < hosts; host++) {
		struct tier_host_record record;

		r = tier_portal_read_host(portal, host, &record);
		view->incarnations[host] = r == 0 ? record.stamp.incarnation : 0;
		/* Never written, or damaged: nothing is known of its boots, so none is over. */
		if (r == TIER_E_NOT_FOUND || r == TIER_E_DAMAGED)
			r = 0;
	}
	if (r == 0)
		note_fences(hosts, fences, view);
	return r;
}

static bool same_flight(const struct tier_answer *a, const struct tier_answer *b)
{
	return memcmp(&a->flight, &b->flight, sizeof(a->flight)) == 0 && a->source == b->source &&
	       a->source_slot == b->source_slot && a->stamp.generation == b->stamp.generation;
}

/* Where it was found before; else anywhere. */
static int look_at_answer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			  struct tier_handoff_view *view)
{
	struct tier_answer *answer = &view->answers[host], found;

	if (answer->state != TIER_FLIGHT_NONE &&
	    memcmp(&answer->flight, &view->offer.flight, sizeof(answer->flight)) == 0 &&
	    tier_portal_read_answer(portal, host, view->answer_slots[host], &found) == 0 &&
	    same_flight(answer, &found) && found.state != TIER_FLIGHT_NONE) {
		*answer = found;
		return 0;
	}
	return tier_portal_find_answer(portal, host, &view->offer, slot, answer,
				       &view->answer_slots[host]);
}

/* This host's answer to a flight whose slot carries another one by now: something may be left of it. */
static int look_at_own(struct tier_portal *portal, const struct tier_uuid *flight,
		       struct tier_handoff_view *view)
{
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_answer answer;
		int r = tier_portal_read_answer(portal, view->self, slot, &answer);

		if (r < 0)
			return r;
		if (r || answer.state == TIER_FLIGHT_NONE ||
		    memcmp(&answer.flight, flight, sizeof(*flight)) != 0)
			continue;
		view->answers[view->self] = answer;
		view->answer_slots[view->self] = slot;
		return 0;
	}
	return 0;
}

/* Answers of others than the destination exist only where the source has been fenced. */
static int look_at_answers(struct tier_portal *portal, uint32_t slot,
			   struct tier_handoff_view *view)
{
	const struct tier_offer *offer = &view->offer;
	uint32_t hosts = tier_portal_super(portal)->host_count;
	bool heirs = view->fences[offer->source].fenced != 0;

	for (uint32_t host = 0; host < hosts; host++) {
		int r = TIER_E_NOT_FOUND;

		if (offer->state != TIER_FLIGHT_NONE && host != offer->source &&
		    (heirs || host == offer->destination || host == view->self))
			r = look_at_answer(portal, host, slot, view);
		if (r == TIER_E_NOT_FOUND)
			view->answers[host] = (struct tier_answer){};
		else if (r != 0)
			return r;
	}
	return 0;
}

bool tier_portal_answer_free(struct tier_portal *portal, uint32_t host, uint64_t incarnation,
			     uint32_t slot)
{
	struct tier_answer answer;
	struct tier_offer offer;
	int r = tier_portal_read_answer(portal, host, slot, &answer);

	if (r == TIER_E_NOT_FOUND || (r == 0 && answer.state == TIER_FLIGHT_NONE))
		return true;
	if (r || tier_portal_read_offer(portal, answer.source, answer.source_slot, &offer) != 0)
		return false;
	if (memcmp(&offer.flight, &answer.flight, sizeof(offer.flight)) == 0 &&
	    offer.state != TIER_FLIGHT_ABORTED && offer.state != TIER_FLIGHT_CLOSED)
		return false;
	/* Until it says so, something of the flight may be left in this boot. */
	return answer.state == TIER_FLIGHT_DONE || answer.state == TIER_FLIGHT_REFUSED ||
	       answer.stamp.incarnation != incarnation;
}

int tier_portal_look(struct tier_portal *portal, uint32_t source, uint32_t slot,
		     const struct tier_uuid *flight, struct tier_handoff_view *view)
{
	int r = tier_portal_look_hosts(portal, view);

	if (r)
		return r;
	r = tier_portal_read_offer(portal, source, slot, &view->offer);
	if (r == TIER_E_NOT_FOUND)
		view->offer = (struct tier_offer){.source = source};
	else if (r)
		return r;
	if (flight && memcmp(&view->offer.flight, flight, sizeof(*flight)) != 0)
		view->offer = (struct tier_offer){.source = source, .flight = *flight};
	r = look_at_answers(portal, slot, view);
	if (r == 0 && flight && view->offer.state == TIER_FLIGHT_NONE &&
	    view->self < tier_portal_super(portal)->host_count)
		r = look_at_own(portal, flight, view);
	return r;
}

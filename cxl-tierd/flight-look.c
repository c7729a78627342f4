/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/* What the records of one flight say, and what a beat does about the flights of this host. */

static const char damaged_offer[] =
	"the source's record is damaged: start nothing; tierctl portal check";
static const char damaged_other[] = "a record of the destination or about fences is damaged: start "
				    "nothing; tierctl portal check";

static bool over(enum tier_flight_state offer)
{
	return offer == TIER_FLIGHT_ABORTED || offer == TIER_FLIGHT_CLOSED;
}

static bool ran(enum tier_flight_state answer)
{
	return answer == TIER_FLIGHT_RUNNING || answer == TIER_FLIGHT_DONE;
}

/* Whose answer is shown: whoever has or had the VM, else the destination's. */
static enum tier_flight_state shown_answer(const struct tier_handoff_view *view)
{
	for (uint32_t host = 0; host < TIER_PORTAL_MAX_HOSTS; host++)
		if (ran(view->answers[host].state))
			return view->answers[host].state;
	return view->answers[view->offer.destination].state;
}

int flight_read(struct portal *portal, struct tier_portal *mapped, uint32_t source, uint32_t slot,
		struct flight *ret)
{
	struct flight flight = {.source = source, .slot = slot};
	struct tier_offer offer;

	flight.code = tier_portal_read_offer(mapped, source, slot, &offer);
	if (flight.code == TIER_E_NOT_FOUND ||
	    (flight.code == 0 && offer.state == TIER_FLIGHT_NONE))
		return TIER_E_NOT_FOUND;
	/* A host that has no slot in it looks like any other that takes no part. */
	flight.view.self = portal->slot == TIER_PORTAL_NO_HOST ? source : portal->slot;
	flight.view.incarnation = portal->record.stamp.incarnation;
	if (flight.code == 0) {
		flight.look = tier_portal_look(mapped, source, slot, &offer.flight, &flight.view);
		if (flight.look != 0)
			flight.view.offer = offer;
		flight.holder = tier_handoff_holder(&flight.view);
		flight.answer = shown_answer(&flight.view);
	}
	if (flight.code != 0)
		COPY(flight.advice, damaged_offer);
	else if (flight.look != 0 && !over(offer.state))
		COPY(flight.advice, damaged_other);
	else
		tier_handoff_advice(&portal->super, &flight.view, flight.advice);
	*ret = flight;
	return 0;
}

int flight_find(struct portal *portal, struct tier_portal *mapped, const struct tier_uuid *uuid,
		struct flight *ret)
{
	for (uint32_t source = 0; source < portal->super.host_count; source++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			struct tier_offer offer;

			if (tier_portal_read_offer(mapped, source, slot, &offer) == 0 &&
			    offer.state != TIER_FLIGHT_NONE && uuid_equal(&offer.flight, uuid))
				return flight_read(portal, mapped, source, slot, ret);
		}
	return TIER_E_NOT_FOUND;
}

bool flight_ended(const struct flight *flight)
{
	return flight->code == 0 && over(flight->view.offer.state);
}

/* This host's answer, by this boot of it; NONE if it has none. */
static enum tier_flight_state own_answer(const struct tier_handoff_view *view)
{
	const struct tier_answer *answer = &view->answers[view->self];

	return answer->stamp.incarnation == view->incarnation ? answer->state : TIER_FLIGHT_NONE;
}

bool flight_settled(struct manager *manager, const struct portal *portal,
		    const struct flight *flight)
{
	enum tier_flight_state own = own_answer(&flight->view);

	if (!flight_ended(flight))
		return false;
	/* A QEMU that waits here for a VM that does not come. */
	return flight->source == portal->slot || flight->look != 0 ||
	       (own != TIER_FLIGHT_READY && own != TIER_FLIGHT_ACCEPTED);
}

bool flight_concerns(const struct portal *portal, const struct flight *flight)
{
	const struct tier_offer *offer = &flight->view.offer;

	return portal->slot != TIER_PORTAL_NO_HOST && flight->code == 0 &&
	       (flight->source == portal->slot || offer->destination == portal->slot ||
		flight->view.answers[portal->slot].state != TIER_FLIGHT_NONE ||
		flight->view.fences[flight->source].heir == portal->slot);
}

/* How the VM of a flight is bound to the portal; -1: not, or not by this boot. */
static int guard_kind(const struct flight *flight)
{
	const struct tier_handoff_view *view = &flight->view;
	const struct tier_offer *offer = &view->offer;

	if (flight->source != view->self) {
		switch (own_answer(view)) {
		case TIER_FLIGHT_READY:
		case TIER_FLIGHT_ACCEPTED:
			return over(offer->state) ? -1 : GUARD_OPEN;
		case TIER_FLIGHT_RUNNING:
			return GUARD_OPEN;
		case TIER_FLIGHT_DONE:
			return GUARD_CAME;
		default:
			return -1;
		}
	}
	/* An earlier boot's VM has ended with it, unless this one has taken it back. */
	if (over(offer->state) || (offer->source_incarnation != view->incarnation &&
				   offer->stamp.incarnation != view->incarnation))
		return -1;
	if (offer->state == TIER_FLIGHT_REQUESTED || ran(flight->answer))
		return GUARD_ASKED;
	return GUARD_OPEN;
}

/* What this host has answered, so that a pass over the portal looks closer at few flights only. */
struct own_answers {
	struct tier_uuid flights[TIER_PORTAL_FLIGHTS];
	size_t count;
	bool unreadable;
};

static void read_own_answers(const struct portal *portal, struct tier_portal *mapped,
			     struct own_answers *ret)
{
	*ret = (struct own_answers){};
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_answer answer;
		int r = tier_portal_read_answer(mapped, portal->slot, slot, &answer);

		if (r == 0 && answer.state != TIER_FLIGHT_NONE &&
		    answer.state != TIER_FLIGHT_REFUSED)
			ret->flights[ret->count++] = answer.flight;
		ret->unreadable |= r != 0 && r != TIER_E_NOT_FOUND;
	}
}

static bool may_concern(const struct portal *portal, const struct tier_offer *offer,
			const struct own_answers *own)
{
	for (size_t i = 0; i < own->count; i++)
		if (uuid_equal(&own->flights[i], &offer->flight))
			return true;
	return !over(offer->state) &&
	       (offer->source == portal->slot || offer->destination == portal->slot ||
		portal->hosts.fences[offer->source].heir == portal->slot);
}

/* Return: false: something cannot be read, so nothing that is known may be forgotten. */
static bool visit(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		  uint32_t source, uint32_t slot, const struct own_answers *own, bool act)
{
	struct tier_offer offer;
	struct flight flight;
	int kind, r = tier_portal_read_offer(mapped, source, slot, &offer);

	if (r == TIER_E_NOT_FOUND || (r == 0 && offer.state == TIER_FLIGHT_NONE))
		return true;
	portal->requested |= r == 0 && offer.state == TIER_FLIGHT_REQUESTED;
	/* It may be one that this host has answered, or its own. */
	if (r != 0)
		return source != portal->slot && own->count == 0;
	if (!may_concern(portal, &offer, own))
		return true;
	if (flight_read(portal, mapped, source, slot, &flight) != 0)
		return true;
	if (flight.code != 0 || flight.look != 0)
		return false;
	kind = guard_kind(&flight);
	if (kind >= 0)
		guard_note(manager, portal, flight.view.offer.vm, kind);
	if (act && !flight_settled(manager, portal, &flight))
		recovery_look(manager, portal, mapped, &flight);
	return true;
}

static void visit_all(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		      bool act)
{
	struct own_answers own;
	bool whole;

	read_own_answers(portal, mapped, &own);
	whole = !own.unreadable;
	portal->requested = false;
	guard_begin(manager, portal);
	for (uint32_t source = 0; source < portal->super.host_count; source++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++)
			whole &= visit(manager, portal, mapped, source, slot, &own, act);
	if (whole)
		guard_commit(manager, portal);
}

void flights_pass(struct manager *manager, struct portal *portal, struct tier_portal *mapped)
{
	visit_all(manager, portal, mapped, true);
	sessions_prune(manager, portal, mapped);
}

void flights_guard(struct manager *manager, struct portal *portal, struct tier_portal *mapped)
{
	visit_all(manager, portal, mapped, false);
}

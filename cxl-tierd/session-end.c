/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/* How a session ends: by EndFlight, by its connection, or by root when nobody holds it. */

/* One portal's view of a flight that this host is a side of. */
struct ending {
	bool source; /* this host is, or was to become, the source */
	bool destination;
	bool unreadable; /* a damaged record of this host may be the flight's */
	bool offered;	 /* @flight is set */
	struct flight flight;
};

static void look(struct portal *portal, struct tier_portal *mapped, const struct tier_uuid *uuid,
		 struct ending *ret)
{
	*ret = (struct ending){};
	for (uint32_t source = 0; source < portal->super.host_count; source++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			struct flight flight;

			if (flight_read(mapped, source, slot, &flight) != 0)
				continue;
			if (flight.code != 0) {
				ret->unreadable |= source == portal->slot;
				continue;
			}
			if (!uuid_equal(&flight.offer.flight, uuid))
				continue;
			ret->offered = true;
			ret->flight = flight;
			ret->source = source == portal->slot;
			ret->destination = flight.offer.destination == portal->slot;
			return;
		}
	ret->source = extents_claimed(portal, mapped, uuid);
}

/* May it end now? The source's extents hold the VM from OFFERED until the offer has ended. */
static int check(const struct ending *ending, bool source, const char *uuid,
		 struct tier_problem *problem)
{
	const struct flight *flight = &ending->flight;

	if (!ending->offered && source && ending->unreadable)
		return tier_problem_set(problem, TIER_E_DAMAGED, uuid, "tierctl portal check",
					"a flight record of this host is damaged and may be this "
					"flight's; its extents are kept");
	if (!ending->offered || flight_ended(flight))
		return 0;
	if (!source && (flight->answer.state == TIER_FLIGHT_DONE ||
			flight->answer.state == TIER_FLIGHT_REFUSED || flight->answer_code != 0))
		return 0;
	return tier_problem_set(problem, TIER_E_BUSY, uuid, flight_advice(flight),
				"the flight of VM %s is still under way (%s/%s)", flight->offer.vm,
				tier_flight_state_name(flight->offer.state),
				tier_flight_state_name(flight->answer.state));
}

/* Ends it in one portal. TIER_E_NOT_FOUND: the flight is not one of this portal's. */
static int end_in(struct manager *manager, struct portal *portal, const struct session *session,
		  const struct tier_uuid *flight, struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct ending ending;
	uint32_t released = 0;
	char uuid[37];
	bool source;
	int r;

	if (portal->code != 0 || portal->slot == TIER_PORTAL_NO_HOST)
		return TIER_E_NOT_FOUND;
	r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
	if (r != 0)
		return r;
	tier_uuid_format(flight, uuid);
	look(portal, mapped, flight, &ending);
	if (!session && !ending.source && !ending.destination)
		return TIER_E_NOT_FOUND;
	source = session ? session->source : ending.source;
	r = check(&ending, source, uuid, problem);
	if (r != 0 || !source)
		return r;
	r = extents_release(manager, portal, mapped, flight, &released, problem);
	if (r != 0)
		return r;
	log_decision(LOG_NOTICE, portal_name(portal), "flight-ended",
		     "flight %s has ended; %" PRIu32 " extents scrubbed and free again", uuid,
		     released);
	return 0;
}

static int end_session(struct manager *manager, struct session *session,
		       struct tier_problem *problem)
{
	struct portal *portal = portals_by_uuid(manager, &session->portal);
	int r;

	if (!portal)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, session->vm,
					"tierctl portal show",
					"the portal of its flight is not there any more");
	r = end_in(manager, portal, session, &session->flight, problem);
	if (r == 0)
		session_drop(manager, session);
	return r;
}

int session_end(struct manager *manager, sd_varlink *link, const struct tier_uuid *flight,
		struct tier_problem *problem)
{
	struct session *session = sessions_find(manager, flight);
	int r = TIER_E_NOT_FOUND;
	char uuid[37];

	tier_uuid_format(flight, uuid);
	if (session && session->link && session->link != link)
		return tier_problem_set(problem, TIER_E_BUSY, uuid, "end that process first",
					"another process carries this "
					"flight out");
	if (session)
		return end_session(manager, session, problem);
	for (struct portal *portal = manager->portals; portal; portal = portal->next) {
		r = end_in(manager, portal, NULL, flight, problem);
		if (r != TIER_E_NOT_FOUND)
			return r;
	}
	return tier_problem_set(problem, TIER_E_NOT_FOUND, uuid, "tierctl flights",
				"no portal of this host has such a flight");
}

void sessions_disconnected(struct manager *manager, sd_varlink *link)
{
	struct session *next;

	for (struct session *session = manager->sessions; session; session = next) {
		struct tier_problem problem = {};

		next = session->next;
		if (session->link != link)
			continue;
		if (end_session(manager, session, &problem) == 0)
			continue;
		session->link = NULL;
		log_decision(LOG_WARNING, problem.object, "flight-orphaned",
			     "the tool that carried this flight out has gone; %s%s%s", problem.text,
			     problem.next[0] ? "; " : "", problem.next);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/* How a session ends: by EndFlight, by its connection, or by root when nobody holds it. */

/* Is it this side's turn no more? The source's records say when its extents hold the VM no more. */
static int check(const struct flight *flight, bool source, const char *uuid,
		 struct tier_problem *problem)
{
	const struct tier_handoff_view *view = &flight->view;
	enum tier_flight_state own = view->answers[view->self].state;

	if (flight_ended(flight))
		return 0;
	if (!source && flight->look == 0 &&
	    (own == TIER_FLIGHT_DONE || own == TIER_FLIGHT_REFUSED || own == TIER_FLIGHT_NONE))
		return 0;
	return tier_problem_set(problem, TIER_E_BUSY, uuid, flight->advice,
				"the flight of VM %s is still under way (%s/%s)", view->offer.vm,
				tier_flight_state_name(view->offer.state),
				tier_flight_state_name(flight->answer));
}

/* Never offered: the request is withdrawn. @mine: the caller is the one whom it was granted. */
static int abandon(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		   const struct flight *flight, bool mine, struct tier_problem *problem)
{
	const struct tier_offer *offer = &flight->view.offer;
	int lock = -1, r = 0;

	if (!mine)
		r = tier_machine_lock(manager->config, offer->vm, &lock, problem);
	if (r == 0 || r == TIER_E_NOT_FOUND)
		r = session_abandon(portal, mapped, flight->slot, offer,
				    "ended before it was offered", problem);
	if (lock >= 0)
		close(lock);
	return r;
}

/* Ends it in one portal. TIER_E_NOT_FOUND: the flight is not one of this portal's. */
static int end_in(struct manager *manager, struct portal *portal, const struct session *session,
		  const struct tier_uuid *uuid, struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct flight flight;
	char text[37];
	bool source;
	int r;

	if (portal->code != 0 || portal->slot == TIER_PORTAL_NO_HOST)
		return TIER_E_NOT_FOUND;
	r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
	if (r != 0)
		return r;
	r = flight_find(portal, mapped, uuid, &flight);
	if (r != 0 || !flight_concerns(portal, &flight))
		return session ? 0 : TIER_E_NOT_FOUND;
	r = portal_may_act(manager, portal, problem);
	if (r != 0)
		return r;
	tier_uuid_format(uuid, text);
	source = flight.source == portal->slot;
	if (source && flight.view.offer.state == TIER_FLIGHT_REQUESTED)
		r = abandon(manager, portal, mapped, &flight, session != NULL, problem);
	else
		r = check(&flight, source, text, problem);
	if (r != 0)
		return r;
	homes_pass(manager, portal, mapped);
	log_decision(LOG_NOTICE, portal_name(portal), "flight-ended", "flight %s has ended here",
		     text);
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
	char uuid[37];
	int r;

	tier_uuid_format(flight, uuid);
	if (session && session->link && session->link != link)
		return tier_problem_set(problem, TIER_E_BUSY, uuid, "end that process first",
					"another process carries this flight out");
	if (session && session->link)
		return end_session(manager, session, problem);
	for (struct portal *portal = manager->portals; portal; portal = portal->next) {
		r = end_in(manager, portal, NULL, flight, problem);
		if (r == TIER_E_NOT_FOUND)
			continue;
		if (r == 0 && session)
			session_drop(manager, session);
		return r;
	}
	return tier_problem_set(problem, TIER_E_NOT_FOUND, uuid, "tierctl flights",
				"no portal of this host has such a flight");
}

void sessions_disconnected(struct manager *manager, sd_varlink *link)
{
	struct session *next;

	homes_disconnected(manager, link);
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

void sessions_prune(struct manager *manager, struct portal *portal, struct tier_portal *mapped)
{
	struct session *next;

	for (struct session *session = manager->sessions; session; session = next) {
		struct flight flight;

		next = session->next;
		if (session->link || !uuid_equal(&session->portal, &portal->super.uuid))
			continue;
		if (flight_find(portal, mapped, &session->flight, &flight) != 0 ||
		    flight_settled(manager, portal, &flight))
			session_drop(manager, session);
	}
}

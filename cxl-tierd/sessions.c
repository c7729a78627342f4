/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * A flight is carried out by a tool, not by the daemon; what the daemon gives it is a session: a
 * flight slot that no other flight of this host can get. A session belongs to its varlink
 * connection: while that lives, the flight is the tool's and nobody else's.
 */

struct session *sessions_find(struct manager *manager, const struct tier_uuid *flight)
{
	for (struct session *session = manager->sessions; session; session = session->next)
		if (uuid_equal(&session->flight, flight))
			return session;
	return NULL;
}

bool sessions_held(struct manager *manager, const struct tier_uuid *flight)
{
	const struct session *session = sessions_find(manager, flight);

	return session && session->link;
}

bool sessions_use_slot(struct manager *manager, const struct portal *portal, bool source,
		       uint32_t slot)
{
	for (struct session *session = manager->sessions; session; session = session->next)
		if (session->source == source && session->slot == slot &&
		    uuid_equal(&session->portal, &portal->super.uuid))
			return true;
	return false;
}

struct session *session_add(struct manager *manager, sd_varlink *link, const struct portal *portal,
			    bool source, const struct tier_uuid *flight, uint32_t slot,
			    const char *vm)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->link = link;
	session->source = source;
	session->portal = portal->super.uuid;
	session->flight = *flight;
	session->slot = slot;
	COPY(session->vm, vm);
	session->next = manager->sessions;
	manager->sessions = session;
	tiering_pause(manager);
	return session;
}

void session_drop(struct manager *manager, struct session *session)
{
	for (struct session **p = &manager->sessions; *p; p = &(*p)->next)
		if (*p == session) {
			*p = session->next;
			free(session);
			/* What waits for its end: tiering. */
			if (!manager->stopping)
				(void)monitor_rescan(manager);
			return;
		}
}

void sessions_free(struct manager *manager)
{
	while (manager->sessions)
		session_drop(manager, manager->sessions);
}

/* The path that a grant can carry; only a plain file's can be longer. */
int session_check_path(const struct portal *portal, struct tier_problem *problem)
{
	if (strlen(portal->path) < sizeof(((struct tier_flight_grant *)NULL)->portal_path))
		return 0;
	return tier_problem_set(problem, TIER_E_REFUSED, portal->path,
				"give the file a shorter path",
				"the portal's path is too long for a flight");
}

int session_grant_to_json(const struct portal *portal, uint32_t peer, uint32_t slot,
			  uint64_t generation, const struct tier_uuid *flight,
			  sd_json_variant **ret)
{
	char uuid[37];

	tier_uuid_format(flight, uuid);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("portalPath", portal->path),
		SD_JSON_BUILD_PAIR_STRING("portal", portal_name(portal)),
		SD_JSON_BUILD_PAIR_STRING("region", portal->region),
		SD_JSON_BUILD_PAIR_UNSIGNED("host", portal->slot),
		SD_JSON_BUILD_PAIR_UNSIGNED("peer", peer),
		SD_JSON_BUILD_PAIR_UNSIGNED("slot", slot),
		SD_JSON_BUILD_PAIR_UNSIGNED("incarnation", portal->record.stamp.incarnation),
		SD_JSON_BUILD_PAIR_UNSIGNED("generation", generation),
		SD_JSON_BUILD_PAIR_STRING("flight", uuid));
}

int session_abandon(struct portal *portal, struct tier_portal *mapped, uint32_t slot,
		    const struct tier_offer *offer, const char *reason,
		    struct tier_problem *problem)
{
	struct tier_offer aborted = *offer;
	char uuid[37];
	int r;

	aborted.state = TIER_FLIGHT_ABORTED;
	aborted.stamp.incarnation = portal->record.stamp.incarnation;
	COPY(aborted.reason, reason);
	r = tier_portal_write_offer(mapped, slot, &aborted);
	if (r != 0)
		return tier_problem_set(problem, r, portal_name(portal), "tierctl portal check",
					"cannot end the flight in slot %" PRIu32, slot);
	tier_uuid_format(&offer->flight, uuid);
	log_decision(LOG_NOTICE, portal_name(portal), "flight-ended",
		     "flight %s of VM %s is given up before it was offered: %s", uuid, offer->vm,
		     reason);
	return 0;
}

/* A VM is on one flight at a time: a second one would move pages that the first has published. */
int session_refuse_second(struct manager *manager, const char *vm, struct tier_problem *problem)
{
	for (struct session *session = manager->sessions; session; session = session->next)
		if (session->source && session->link && streq(session->vm, vm))
			return tier_problem_set(problem, TIER_E_BUSY, vm, "tierctl flights",
						"another process is sending it");
	for (struct portal *portal = manager->portals; portal; portal = portal->next) {
		_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
		struct flight flight;

		if (portal->code != 0 || portal->slot == TIER_PORTAL_NO_HOST ||
		    portal_open(portal, TIER_PORTAL_READ, &mapped, NULL) != 0)
			continue;
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			if (flight_read(portal, mapped, portal->slot, slot, &flight) != 0)
				continue;
			if (flight.code != 0)
				return tier_problem_set(
					problem, TIER_E_DAMAGED, portal_name(portal),
					"tierctl portal check",
					"flight slot %" PRIu32
					" of this host is damaged and may be of VM %s",
					slot, vm);
			if (flight_ended(&flight) || !streq(flight.view.offer.vm, vm))
				continue;
			return tier_problem_set(
				problem, TIER_E_BUSY, vm,
				"tierctl flights; tierctl settle ends it where it may",
				"an earlier flight of it has not ended: %s", flight.advice);
		}
	}
	return 0;
}

/*
 * An answer may be overwritten when its source has taken note of it: the source's slot has ended,
 * or carries another flight by now.
 */
int session_accept(struct manager *manager, sd_varlink *link, const char *name, uint32_t source,
		   uint32_t source_slot, const struct tier_uuid *flight, sd_json_variant **ret,
		   struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct portal *portal = NULL;
	bool answered, held;
	struct flight found;
	uint32_t slot;
	char uuid[37];
	int r;

	tier_uuid_format(flight, uuid);
	r = portals_find(manager, name, &portal, problem);
	if (r == 0)
		r = session_check_path(portal, problem);
	if (r == 0)
		r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
	if (r != 0)
		return r;
	if (portal->slot == TIER_PORTAL_NO_HOST || source >= portal->super.host_count ||
	    source_slot >= TIER_PORTAL_FLIGHTS ||
	    flight_read(portal, mapped, source, source_slot, &found) != 0 || found.code != 0 ||
	    !uuid_equal(&found.view.offer.flight, flight))
		return tier_problem_set(problem, TIER_E_NOT_FOUND, uuid, "tierctl flights",
					"no such flight in slot %" PRIu32 " of host %" PRIu32
					" of portal %s",
					source_slot, source, portal_name(portal));
	r = portal_may_act(manager, portal, problem);
	if (r != 0)
		return r;
	if (found.look != 0)
		return tier_problem_set(problem, TIER_E_DAMAGED, uuid, "tierctl portal check", "%s",
					found.advice);
	answered = found.view.answers[portal->slot].state != TIER_FLIGHT_NONE;
	held = sessions_held(manager, flight);
	if (answered || held || tier_handoff_taker(&found.view) != TIER_HANDOFF_PREPARE)
		return tier_problem_set(problem, TIER_E_REFUSED, uuid, found.advice,
					"is not an open offer to this host: %s, %s",
					tier_flight_state_name(found.view.offer.state),
					answered ? "answered"
					: held	 ? "being answered"
						 : "addressed to another host");
	/* One that left this host and was never settled: what is left of it here would be in the way. */
	r = session_refuse_second(manager, found.view.offer.vm, problem);
	if (r != 0)
		return r;
	for (slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++)
		if (!sessions_use_slot(manager, portal, false, slot) &&
		    tier_portal_answer_free(mapped, portal->slot, portal->record.stamp.incarnation,
					    slot))
			break;
	if (slot == TIER_PORTAL_FLIGHTS)
		return tier_problem_set(
			problem, TIER_E_NO_SPACE, portal_name(portal), "tierctl flights",
			"all %d answer slots of this host are taken", TIER_PORTAL_FLIGHTS);
	r = session_grant_to_json(portal, source, slot, found.view.offer.stamp.generation, flight,
				  ret);
	if (r < 0 || !session_add(manager, link, portal, false, flight, slot, found.view.offer.vm))
		return tier_problem_set(problem, r < 0 ? r : -ENOMEM, uuid, NULL,
					"cannot accept the flight");
	log_decision(LOG_NOTICE, portal_name(portal), "flight-accepted",
		     "flight %s of VM %s from %s is being answered, slot %" PRIu32, uuid,
		     found.view.offer.vm, portal->super.hosts[source].name, slot);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-id128.h>

#include "manager.h"

/*
 * A flight is carried out by a tool, not by the daemon; what the daemon gives it is a session: a
 * flight slot and claimed extents that no other flight of this host can get. A session belongs to
 * its varlink connection, so a tool that dies gives back what nobody needs any more.
 */

struct session *sessions_find(struct manager *manager, const struct tier_uuid *flight)
{
	for (struct session *session = manager->sessions; session; session = session->next)
		if (uuid_equal(&session->flight, flight))
			return session;
	return NULL;
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

static struct session *add(struct manager *manager, sd_varlink *link, const struct portal *portal,
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
	return session;
}

void session_drop(struct manager *manager, struct session *session)
{
	for (struct session **p = &manager->sessions; *p; p = &(*p)->next)
		if (*p == session) {
			*p = session->next;
			free(session);
			return;
		}
}

void sessions_free(struct manager *manager)
{
	while (manager->sessions)
		session_drop(manager, manager->sessions);
}

/* Tells the other hosts which boot of this host the records that follow belong to. */
static int write_host_record(struct manager *manager, struct portal *portal,
			     struct tier_portal *mapped, struct tier_problem *problem)
{
	struct tier_host_record record;
	int r;

	r = tier_portal_read_host(mapped, portal->slot, &record);
	if (r != 0 || record.stamp.incarnation != manager->incarnation)
		record = (struct tier_host_record){.stamp.incarnation = manager->incarnation};
	record.stamp.generation++;
	record.present = true;
	record.beat_usec = manager_now_usec();
	COPY(record.name, tier_portal_super(mapped)->hosts[portal->slot].name);
	r = tier_portal_write_host(mapped, portal->slot, &record);
	if (r != 0)
		return tier_problem_set(problem, r, portal_name(portal), NULL,
					"cannot write this host's record");
	return 0;
}

/* The path that a grant can carry; only a plain file's can be longer. */
static int check_path(const struct portal *portal, struct tier_problem *problem)
{
	if (strlen(portal->path) < sizeof(((struct tier_flight_grant *)NULL)->portal_path))
		return 0;
	return tier_problem_set(problem, TIER_E_REFUSED, portal->path,
				"give the file a shorter path",
				"the portal's path is too long for a flight");
}

static int grant_to_json(struct manager *manager, const struct portal *portal, uint32_t peer,
			 uint32_t slot, uint64_t generation, const struct tier_uuid *flight,
			 const struct tier_extent_range *ranges, uint32_t range_count,
			 sd_json_variant **ret)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
	char uuid[37];
	int r;

	r = sd_json_variant_new_array(&array, NULL, 0);
	for (uint32_t i = 0; r >= 0 && i < range_count; i++)
		r = sd_json_variant_append_arraybo(
			&array, SD_JSON_BUILD_PAIR_UNSIGNED("first", ranges[i].first),
			SD_JSON_BUILD_PAIR_UNSIGNED("count", ranges[i].count));
	if (r < 0)
		return r;
	tier_uuid_format(flight, uuid);
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("portalPath", portal->path),
			      SD_JSON_BUILD_PAIR_STRING("portal", portal_name(portal)),
			      SD_JSON_BUILD_PAIR_STRING("region", portal->region),
			      SD_JSON_BUILD_PAIR_UNSIGNED("host", portal->slot),
			      SD_JSON_BUILD_PAIR_UNSIGNED("peer", peer),
			      SD_JSON_BUILD_PAIR_UNSIGNED("slot", slot),
			      SD_JSON_BUILD_PAIR_UNSIGNED("incarnation", manager->incarnation),
			      SD_JSON_BUILD_PAIR_UNSIGNED("generation", generation),
			      SD_JSON_BUILD_PAIR_STRING("flight", uuid),
			      SD_JSON_BUILD_PAIR_VARIANT("ranges", array));
}

/* The given portal, or the first in which both hosts have a slot. */
static int choose_portal(struct manager *manager, const struct session_request *request,
			 struct portal **ret, uint32_t *ret_peer, struct tier_problem *problem)
{
	struct portal *portal = NULL;
	size_t usable = 0;
	int r;

	if (request->portal) {
		r = portals_find(manager, request->portal, &portal, problem);
		if (r != 0)
			return r;
		if (portal->slot == TIER_PORTAL_NO_HOST)
			return tier_problem_set(problem, TIER_E_REFUSED, portal_name(portal),
						"set Host= in its [Portal] section, or format it "
						"with this host",
						"this host (%s) has no slot in this portal",
						portal->host);
	}
	for (struct portal *p = portal ?: manager->portals; p; p = portal ? NULL : p->next) {
		uint32_t peer;

		if (p->code != 0 || p->slot == TIER_PORTAL_NO_HOST)
			continue;
		usable++;
		peer = tier_super_host(&p->super, request->destination);
		if (peer == TIER_PORTAL_NO_HOST || peer == p->slot)
			continue;
		*ret = p;
		*ret_peer = peer;
		return 0;
	}
	if (usable == 0)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, request->destination,
					"tierctl portal show",
					"this host has no portal that it may "
					"write to");
	return tier_problem_set(
		problem, TIER_E_NOT_FOUND, request->destination, "tierctl portal show",
		portal ? "no other host of this portal has this name"
		       : "no other host of this name shares a portal with this one");
}

/* A slot whose last flight has ended, and whose extents have all been given back. */
static int free_offer_slot(struct manager *manager, struct portal *portal,
			   struct tier_portal *mapped, uint32_t *ret_slot, uint64_t *ret_generation,
			   struct tier_problem *problem)
{
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_offer offer = {};
		int r = tier_portal_read_offer(mapped, portal->slot, slot, &offer);

		if ((r != 0 && r != TIER_E_NOT_FOUND) ||
		    sessions_use_slot(manager, portal, true, slot))
			continue;
		if (r == 0 &&
		    ((offer.state != TIER_FLIGHT_NONE && offer.state != TIER_FLIGHT_ABORTED &&
		      offer.state != TIER_FLIGHT_CLOSED) ||
		     extents_claimed(portal, mapped, &offer.flight)))
			continue;
		*ret_slot = slot;
		*ret_generation = r == 0 ? offer.stamp.generation + 1 : 1;
		return 0;
	}
	return tier_problem_set(problem, TIER_E_NO_SPACE, portal_name(portal), "tierctl flights",
				"all %d flight slots of this host are taken", TIER_PORTAL_FLIGHTS);
}

/*
 * An offer in state NONE that names the flight: no other host sees a flight in it, but a daemon that
 * is restarted before the tool has stored OFFERED does not give the slot to somebody else.
 */
static int reserve_slot(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
			uint32_t peer, uint32_t slot, uint64_t generation,
			const struct tier_uuid *flight, struct tier_problem *problem)
{
	struct tier_offer offer = {
		.stamp = {.incarnation = manager->incarnation, .generation = generation},
		.flight = *flight,
		.source = portal->slot,
		.destination = peer,
		.state = TIER_FLIGHT_NONE,
	};
	int r = tier_portal_write_offer(mapped, slot, &offer);

	if (r != 0)
		return tier_problem_set(problem, r, portal_name(portal), NULL,
					"cannot reserve flight slot %" PRIu32, slot);
	return 0;
}

/* Claims extents, after ending interrupted scrubs if there are too few. */
static int claim(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		 const struct tier_uuid *flight, uint32_t needed,
		 struct tier_extent_range ranges[static TIER_PORTAL_FLIGHT_RANGES],
		 uint32_t *ret_range_count, struct tier_problem *problem)
{
	int r = tier_portal_claim(mapped, portal->slot, manager->incarnation, flight, needed,
				  ranges, ret_range_count, problem);

	if (r != TIER_E_NO_SPACE)
		return r;
	extents_finish_scrubs(manager, portal, mapped);
	return tier_portal_claim(mapped, portal->slot, manager->incarnation, flight, needed, ranges,
				 ret_range_count, problem);
}

/* A VM is on one flight at a time: a second one would move pages that the first has published. */
static int refuse_second_flight(struct manager *manager, const char *vm,
				struct tier_problem *problem)
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
			if (flight_read(mapped, portal->slot, slot, &flight) != 0)
				continue;
			if (flight.code != 0)
				return tier_problem_set(
					problem, TIER_E_DAMAGED, portal_name(portal),
					"tierctl portal check",
					"flight slot %" PRIu32
					" of this host is damaged and may be of VM %s",
					slot, vm);
			if (flight_ended(&flight) || !streq(flight.offer.vm, vm))
				continue;
			return tier_problem_set(
				problem, TIER_E_BUSY, vm,
				"tierctl flights; tierctl settle ends it where it may",
				"an earlier flight of it has not ended: %s",
				flight_advice(&flight));
		}
	}
	return 0;
}

int session_begin(struct manager *manager, sd_varlink *link, const struct session_request *request,
		  sd_json_variant **ret, struct tier_problem *problem)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	uint32_t peer = 0, slot = 0, needed, released, range_count = 0;
	struct tier_problem ignored = {};
	struct tier_uuid flight;
	struct portal *portal = NULL;
	uint64_t generation = 0;
	sd_id128_t random;
	char uuid[37];
	int r;

	r = refuse_second_flight(manager, request->vm, problem);
	if (r == 0)
		r = choose_portal(manager, request, &portal, &peer, problem);
	if (r == 0)
		r = check_path(portal, problem);
	if (r == 0)
		r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
	if (r == 0)
		r = free_offer_slot(manager, portal, mapped, &slot, &generation, problem);
	if (r != 0)
		return r;
	r = sd_id128_randomize(&random);
	if (r < 0)
		return tier_problem_set(problem, r, request->vm, NULL, "no randomness");
	memcpy(flight.bytes, random.bytes, sizeof(flight.bytes));

	r = write_host_record(manager, portal, mapped, problem);
	if (r != 0)
		return r;
	needed = tier_extents_needed(&portal->super, request->ram_bytes);
	r = claim(manager, portal, mapped, &flight, needed, ranges, &range_count, problem);
	if (r != 0)
		return r;
	r = reserve_slot(manager, portal, mapped, peer, slot, generation, &flight, problem);
	if (r == 0 && (grant_to_json(manager, portal, peer, slot, generation, &flight, ranges,
				     range_count, ret) < 0 ||
		       !add(manager, link, portal, true, &flight, slot, request->vm)))
		r = tier_problem_set(problem, -ENOMEM, request->vm, NULL,
				     "cannot begin the flight");
	if (r != 0) {
		extents_release(manager, portal, mapped, &flight, &released, &ignored);
		return r;
	}
	tier_uuid_format(&flight, uuid);
	log_decision(LOG_NOTICE, portal_name(portal), "flight-begun",
		     "flight %s of VM %s to %s begins: %" PRIu32 " extents claimed, slot %" PRIu32
		     ", generation %" PRIu64,
		     uuid, request->vm, request->destination, needed, slot, generation);
	return 0;
}

/*
 * An answer may be overwritten when its source has taken note of it: the source's slot has ended,
 * or carries another flight by now.
 */
static bool answer_slot_free(struct portal *portal, struct tier_portal *mapped, uint32_t slot)
{
	struct tier_answer answer;
	struct tier_offer offer;
	int r = tier_portal_read_answer(mapped, portal->slot, slot, &answer);

	if (r == TIER_E_NOT_FOUND || (r == 0 && answer.state == TIER_FLIGHT_NONE))
		return true;
	if (r != 0 || answer.source >= portal->super.host_count ||
	    answer.source_slot >= TIER_PORTAL_FLIGHTS)
		return false;
	r = tier_portal_read_offer(mapped, answer.source, answer.source_slot, &offer);
	if (r != 0)
		return false;
	return !uuid_equal(&offer.flight, &answer.flight) || offer.state == TIER_FLIGHT_ABORTED ||
	       offer.state == TIER_FLIGHT_CLOSED;
}

int session_accept(struct manager *manager, sd_varlink *link, const char *name, uint32_t source,
		   uint32_t source_slot, const struct tier_uuid *flight, sd_json_variant **ret,
		   struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct portal *portal = NULL;
	struct flight found;
	uint32_t slot;
	char uuid[37];
	int r;

	tier_uuid_format(flight, uuid);
	r = portals_find(manager, name, &portal, problem);
	if (r == 0)
		r = check_path(portal, problem);
	if (r == 0)
		r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
	if (r != 0)
		return r;
	if (portal->slot == TIER_PORTAL_NO_HOST || source >= portal->super.host_count ||
	    source_slot >= TIER_PORTAL_FLIGHTS ||
	    flight_read(mapped, source, source_slot, &found) != 0 || found.code != 0 ||
	    !uuid_equal(&found.offer.flight, flight))
		return tier_problem_set(problem, TIER_E_NOT_FOUND, uuid, "tierctl flights",
					"no such flight in slot %" PRIu32 " of host %" PRIu32
					" of portal %s",
					source_slot, source, portal_name(portal));
	if (found.offer.destination != portal->slot || found.offer.state != TIER_FLIGHT_OFFERED ||
	    found.answer_code == 0 || sessions_find(manager, flight))
		return tier_problem_set(problem, TIER_E_REFUSED, uuid, flight_advice(&found),
					"is not an open offer to this host: %s, %s",
					tier_flight_state_name(found.offer.state),
					found.answer_code == 0 ? "answered"
					: sessions_find(manager, flight)
						? "being answered"
						: "addressed to another host");
	/* One that left this host and was never settled: what is left of it here would be in the way. */
	r = refuse_second_flight(manager, found.offer.vm, problem);
	if (r != 0)
		return r;
	for (slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++)
		if (!sessions_use_slot(manager, portal, false, slot) &&
		    answer_slot_free(portal, mapped, slot))
			break;
	if (slot == TIER_PORTAL_FLIGHTS)
		return tier_problem_set(
			problem, TIER_E_NO_SPACE, portal_name(portal), "tierctl flights",
			"all %d answer slots of this host are taken", TIER_PORTAL_FLIGHTS);
	r = write_host_record(manager, portal, mapped, problem);
	if (r != 0)
		return r;
	r = grant_to_json(manager, portal, source, slot, found.offer.stamp.generation, flight,
			  found.offer.ranges, found.offer.range_count, ret);
	if (r < 0 || !add(manager, link, portal, false, flight, slot, found.offer.vm))
		return tier_problem_set(problem, r < 0 ? r : -ENOMEM, uuid, NULL,
					"cannot accept the flight");
	log_decision(LOG_NOTICE, portal_name(portal), "flight-accepted",
		     "flight %s of VM %s from %s is being answered, slot %" PRIu32, uuid,
		     found.offer.vm, portal->super.hosts[source].name, slot);
	return 0;
}

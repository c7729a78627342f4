/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-id128.h>

#include "manager.h"

/* BeginFlight: a portal, a slot in it, and the request for extents that every home reads. */

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

/* Does an extent that can be read still belong to the flight, at whatever home? */
static bool has_extents(struct tier_portal *mapped, const struct tier_uuid *flight)
{
	const struct tier_super *super = tier_portal_super(mapped);

	for (uint32_t extent = 0; extent < super->extent_count; extent++) {
		struct tier_extent_record record;

		if (tier_portal_read_extent(mapped, extent, &record) == 0 &&
		    (record.state == TIER_EXTENT_CLAIMED || record.state == TIER_EXTENT_SCRUB) &&
		    uuid_equal(&record.flight, flight))
			return true;
	}
	return false;
}

/*
 * A slot whose last flight has ended; rather one of which nothing is left to be given back, so that
 * its record goes on to say why. A home that does not answer, or finds the slot used for another
 * flight, keeps what it has lent or takes it back by itself: it does not block the slot.
 */
static int free_offer_slot(struct manager *manager, struct portal *portal,
			   struct tier_portal *mapped, uint32_t *ret_slot, uint64_t *ret_generation,
			   struct tier_problem *problem)
{
	uint32_t found = TIER_PORTAL_FLIGHTS;

	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_offer offer = {};
		int r = tier_portal_read_offer(mapped, portal->slot, slot, &offer);
		bool lent;

		if ((r != 0 && r != TIER_E_NOT_FOUND) ||
		    sessions_use_slot(manager, portal, true, slot))
			continue;
		if (r == 0 && offer.state != TIER_FLIGHT_NONE &&
		    offer.state != TIER_FLIGHT_ABORTED && offer.state != TIER_FLIGHT_CLOSED)
			continue;
		lent = r == 0 && has_extents(mapped, &offer.flight);
		if (lent && found < TIER_PORTAL_FLIGHTS)
			continue;
		found = slot;
		*ret_slot = slot;
		*ret_generation = r == 0 ? offer.stamp.generation + 1 : 1;
		if (!lent)
			break;
	}
	if (found < TIER_PORTAL_FLIGHTS)
		return 0;
	return tier_problem_set(problem, TIER_E_NO_SPACE, portal_name(portal), "tierctl flights",
				"all %d flight slots of this host are taken", TIER_PORTAL_FLIGHTS);
}

/* Free extents of this host, and of all hosts that would grant some. */
static void count_free(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		       uint32_t *ret_own, uint32_t *ret_others)
{
	uint32_t granting = homes_granting(manager, portal);

	*ret_own = *ret_others = 0;
	for (uint32_t extent = 0; extent < portal->super.extent_count; extent++) {
		uint32_t home = tier_super_extent_home(&portal->super, extent);
		struct tier_extent_record record;
		int r = tier_portal_read_extent(mapped, extent, &record);

		if (r != TIER_E_NOT_FOUND && (r != 0 || (record.state != TIER_EXTENT_FREE &&
							 record.state != TIER_EXTENT_SCRUB)))
			continue;
		if (home == portal->slot)
			(*ret_own)++;
		else if (granting & (1u << home))
			(*ret_others)++;
	}
}

static int refuse_no_space(struct manager *manager, struct portal *portal,
			   struct tier_portal *mapped, uint32_t needed,
			   struct tier_problem *problem)
{
	uint32_t own, others;

	count_free(manager, portal, mapped, &own, &others);
	if (needed <= own + others)
		return 0;
	return tier_problem_set(problem, TIER_E_NO_SPACE, portal_name(portal),
				"end a flight, or format a larger portal",
				"needs %" PRIu32 " free extents of %" PRIu64 " MiB, %s has %" PRIu32
				", and the hosts that are heard of %" PRIu32,
				needed, portal->super.extent_bytes >> 20,
				portal->super.hosts[portal->slot].name, own, others);
}

/* From here on the slot is taken, and every home knows what is asked for. */
static int request_extents(struct portal *portal, struct tier_portal *mapped,
			   const struct session_request *request, uint32_t peer, uint32_t slot,
			   uint64_t generation, uint32_t needed, const struct tier_uuid *flight,
			   struct tier_problem *problem)
{
	uint64_t incarnation = portal->record.stamp.incarnation;
	struct tier_offer offer = {
		.stamp = {.incarnation = incarnation, .generation = generation},
		.flight = *flight,
		.source = portal->slot,
		.destination = peer,
		.state = TIER_FLIGHT_REQUESTED,
		.ram_bytes = request->ram_bytes,
		.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
		.wanted_extents = needed,
		.source_incarnation = incarnation,
		.offered_usec = manager_now_usec(),
	};
	int r;

	if (!COPY_WHOLE(offer.vm, request->vm))
		return tier_problem_set(problem, TIER_E_REFUSED, request->vm, NULL,
					"a VM's name has up to %zu characters",
					sizeof(offer.vm) - 1);
	r = tier_portal_write_offer(mapped, slot, &offer);
	if (r == -EINVAL)
		return tier_problem_set(problem, TIER_E_REFUSED, request->vm,
					"letters, digits, '.', '_' and '-'; whole pages of RAM",
					"its name or the size of its RAM cannot be offered");
	if (r != 0)
		return tier_problem_set(problem, r, portal_name(portal), NULL,
					"cannot reserve flight slot %" PRIu32, slot);
	return 0;
}

int session_begin(struct manager *manager, sd_varlink *link, const struct session_request *request,
		  sd_json_variant **ret, struct tier_problem *problem)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *grant = NULL;
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	uint32_t peer = 0, slot = 0, needed;
	struct tier_uuid flight;
	struct portal *portal = NULL;
	uint64_t generation = 0;
	sd_id128_t random;
	char uuid[37];
	int r;

	r = session_refuse_second(manager, request->vm, problem);
	if (r == 0)
		r = choose_portal(manager, request, &portal, &peer, problem);
	if (r == 0)
		r = portal_may_act(manager, portal, problem);
	if (r == 0)
		r = session_check_path(portal, problem);
	if (r == 0)
		r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
	if (r == 0)
		r = free_offer_slot(manager, portal, mapped, &slot, &generation, problem);
	if (r != 0)
		return r;
	needed = tier_extents_needed(&portal->super, request->ram_bytes);
	r = refuse_no_space(manager, portal, mapped, needed, problem);
	if (r != 0)
		return r;
	r = sd_id128_randomize(&random);
	if (r < 0)
		return tier_problem_set(problem, r, request->vm, NULL, "no randomness");
	memcpy(flight.bytes, random.bytes, sizeof(flight.bytes));

	/* Whatever can fail without a trace does so first. */
	if (session_grant_to_json(portal, peer, slot, generation, &flight, &grant) < 0 ||
	    !session_add(manager, link, portal, true, &flight, slot, request->vm))
		return tier_problem_set(problem, -ENOMEM, request->vm, NULL,
					"cannot begin the flight");
	r = request_extents(portal, mapped, request, peer, slot, generation, needed, &flight,
			    problem);
	if (r != 0) {
		session_drop(manager, sessions_find(manager, &flight));
		return r;
	}
	tier_uuid_format(&flight, uuid);
	log_decision(LOG_NOTICE, portal_name(portal), "flight-begun",
		     "flight %s of VM %s to %s begins: %" PRIu32 " extents wanted, slot %" PRIu32
		     ", generation %" PRIu64,
		     uuid, request->vm, request->destination, needed, slot, generation);
	homes_pass(manager, portal, mapped);
	*ret = grant;
	grant = NULL;
	return 0;
}

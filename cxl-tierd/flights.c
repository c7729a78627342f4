/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/* Flights as they are listed and logged. Only reads. */

static int each_flight(struct portal *portal,
		       int (*each)(void *userdata, struct portal *portal,
				   const struct flight *flight),
		       void *userdata)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct tier_problem problem;
	struct flight flight;
	int r = 0;

	if (portal->code != 0 || portal_open(portal, TIER_PORTAL_READ, &mapped, &problem) != 0)
		return 0; /* Portals{} tells why */
	for (uint32_t source = 0; source < portal->super.host_count; source++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS && r >= 0; slot++)
			if (flight_read(portal, mapped, source, slot, &flight) == 0)
				r = each(userdata, portal, &flight);
	return r;
}

static const char *host_name(const struct portal *portal, uint32_t host)
{
	return host < portal->super.host_count ? portal->super.hosts[host].name : "?";
}

static int announce(void *userdata, struct portal *portal, const struct flight *flight)
{
	const struct tier_offer *offer = &flight->view.offer;
	char uuid[37];

	if (flight_ended(flight))
		return 0;
	if (flight->code != 0) {
		log_decision(LOG_ERR, portal_name(portal), "flight-damaged",
			     "flight slot %s/%" PRIu32 ": %s", host_name(portal, flight->source),
			     flight->slot, flight->advice);
		return 0;
	}
	tier_uuid_format(&offer->flight, uuid);
	log_decision(LOG_NOTICE, portal_name(portal), "flight",
		     "flight %s of VM %s from %s to %s is %s/%s: %s", uuid, offer->vm,
		     host_name(portal, flight->source), host_name(portal, offer->destination),
		     tier_flight_state_name(offer->state), tier_flight_state_name(flight->answer),
		     flight->advice);
	return 0;
}

static void announce_portal(struct manager *manager, struct portal *portal)
{
	char size[32];

	portal->announced = true;
	if (portal->code != 0) {
		log_problem(LOG_ERR, "bad-portal", &portal->problem);
		return;
	}
	snprintf(size, sizeof(size), "%" PRIu64 " MiB", portal->super.total_bytes >> 20);
	if (portal->slot == TIER_PORTAL_NO_HOST)
		log_decision(
			LOG_WARNING, portal_name(portal), "portal",
			"portal of %s on %s; this host (%s) has no slot in it, so it only looks",
			size, portal->path, portal->host);
	else
		log_decision(LOG_NOTICE, portal_name(portal), "portal",
			     "portal of %s on %s, never onlined; this host is %s, slot %" PRIu32,
			     size, portal->path, portal->host, portal->slot);
	each_flight(portal, announce, NULL);
}

void flights_announce(struct manager *manager)
{
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		if (!portal->announced)
			announce_portal(manager, portal);
}

static int count_active(void *userdata, struct portal *portal, const struct flight *flight)
{
	*(size_t *)userdata += !flight_ended(flight);
	return 0;
}

size_t flights_active(struct manager *manager)
{
	size_t count = 0;

	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		each_flight(portal, count_active, &count);
	return count;
}

struct listing {
	struct manager *manager;
	sd_json_variant *array;
};

static const char *session_state(struct manager *manager, const struct flight *flight)
{
	const struct session *session =
		flight->code == 0 ? sessions_find(manager, &flight->view.offer.flight) : NULL;

	return !session ? "none" : session->link ? "held" : "orphaned";
}

static int add_records(const struct portal *portal, const struct flight *flight,
		       sd_json_variant **object)
{
	const struct tier_offer *offer = &flight->view.offer;
	const struct tier_handoff_holder *holder = &flight->holder;
	const char *reason =
		offer->reason[0] ? offer->reason : flight->view.answers[offer->destination].reason;
	bool readable = flight->look == 0;
	uint64_t extents = 0;
	char uuid[37];

	for (uint32_t i = 0; i < offer->range_count; i++)
		extents += offer->ranges[i].count;
	tier_uuid_format(&offer->flight, uuid);
	return sd_json_variant_merge_objectbo(
		object, SD_JSON_BUILD_PAIR_STRING("flight", uuid),
		SD_JSON_BUILD_PAIR_STRING("vm", offer->vm),
		SD_JSON_BUILD_PAIR_STRING("destination", host_name(portal, offer->destination)),
		SD_JSON_BUILD_PAIR_UNSIGNED("generation", offer->stamp.generation),
		SD_JSON_BUILD_PAIR_STRING("sourceState", tier_flight_state_name(offer->state)),
		SD_JSON_BUILD_PAIR_STRING("destinationState",
					  tier_flight_state_name(flight->answer)),
		SD_JSON_BUILD_PAIR_CONDITION(
			readable, "holder",
			SD_JSON_BUILD_STRING(holder->host < portal->super.host_count
						     ? portal->super.hosts[holder->host].name
						     : "")),
		SD_JSON_BUILD_PAIR_CONDITION(readable, "inPortal",
					     SD_JSON_BUILD_BOOLEAN(holder->in_portal)),
		SD_JSON_BUILD_PAIR_CONDITION(readable, "lost", SD_JSON_BUILD_BOOLEAN(holder->lost)),
		SD_JSON_BUILD_PAIR_CONDITION(readable, "conflict",
					     SD_JSON_BUILD_BOOLEAN(holder->conflict)),
		SD_JSON_BUILD_PAIR_UNSIGNED("ramBytes", offer->ram_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("wantedExtents", offer->wanted_extents),
		SD_JSON_BUILD_PAIR_UNSIGNED("extents", extents),
		SD_JSON_BUILD_PAIR_UNSIGNED("offeredUsec", offer->offered_usec),
		SD_JSON_BUILD_PAIR_CONDITION(reason[0] != '\0', "reason",
					     SD_JSON_BUILD_STRING(reason)));
}

static int list_flight(void *userdata, struct portal *portal, const struct flight *flight)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *object = NULL;
	struct listing *listing = userdata;
	int r;

	r = sd_json_buildo(
		&object, SD_JSON_BUILD_PAIR_STRING("portal", portal_name(portal)),
		SD_JSON_BUILD_PAIR_STRING("portalPath", portal->path),
		SD_JSON_BUILD_PAIR_STRING("region", portal->region),
		SD_JSON_BUILD_PAIR_STRING("source", host_name(portal, flight->source)),
		SD_JSON_BUILD_PAIR_BOOLEAN("ours", flight->source == portal->slot),
		SD_JSON_BUILD_PAIR_UNSIGNED("sourceHost", flight->source),
		SD_JSON_BUILD_PAIR_UNSIGNED("sourceSlot", flight->slot),
		SD_JSON_BUILD_PAIR_STRING("session", session_state(listing->manager, flight)),
		SD_JSON_BUILD_PAIR_BOOLEAN("ended",
					   flight_settled(listing->manager, portal, flight)),
		SD_JSON_BUILD_PAIR_STRING("advice", flight->advice));
	if (r >= 0 && flight->code == 0)
		r = add_records(portal, flight, &object);
	if (r >= 0)
		r = sd_json_variant_append_array(&listing->array, object);
	return r;
}

static int list_offer(void *userdata, struct portal *portal, const struct flight *flight)
{
	const struct tier_offer *offer = &flight->view.offer;
	struct listing *listing = userdata;
	char uuid[37];

	if (flight->code != 0 || flight->look != 0 || offer->state != TIER_FLIGHT_OFFERED ||
	    portal->slot == TIER_PORTAL_NO_HOST || offer->destination != portal->slot ||
	    flight->view.answers[portal->slot].state != TIER_FLIGHT_NONE ||
	    sessions_held(listing->manager, &offer->flight))
		return 0;
	tier_uuid_format(&offer->flight, uuid);
	return sd_json_variant_append_arraybo(
		&listing->array, SD_JSON_BUILD_PAIR_STRING("portal", portal_name(portal)),
		SD_JSON_BUILD_PAIR_STRING("portalPath", portal->path),
		SD_JSON_BUILD_PAIR_STRING("region", portal->region),
		SD_JSON_BUILD_PAIR_UNSIGNED("source", flight->source),
		SD_JSON_BUILD_PAIR_STRING("sourceName", host_name(portal, flight->source)),
		SD_JSON_BUILD_PAIR_UNSIGNED("sourceSlot", flight->slot),
		SD_JSON_BUILD_PAIR_STRING("vm", offer->vm),
		SD_JSON_BUILD_PAIR_STRING("flight", uuid),
		SD_JSON_BUILD_PAIR_UNSIGNED("generation", offer->stamp.generation),
		SD_JSON_BUILD_PAIR_UNSIGNED("ramBytes", offer->ram_bytes),
		SD_JSON_BUILD_PAIR_STRING("machineType", offer->machine_type),
		SD_JSON_BUILD_PAIR_STRING("qemuVersion", offer->qemu_version));
}

static int list(struct manager *manager,
		int (*each)(void *userdata, struct portal *portal, const struct flight *flight),
		sd_json_variant **ret)
{
	struct listing listing = {.manager = manager};
	int r;

	r = sd_json_variant_new_array(&listing.array, NULL, 0);
	for (struct portal *portal = manager->portals; r >= 0 && portal; portal = portal->next)
		r = each_flight(portal, each, &listing);
	if (r < 0) {
		sd_json_variant_unref(listing.array);
		return r;
	}
	*ret = listing.array;
	return 0;
}

int flights_to_json(struct manager *manager, sd_json_variant **ret)
{
	return list(manager, list_flight, ret);
}

int offers_to_json(struct manager *manager, sd_json_variant **ret)
{
	return list(manager, list_offer, ret);
}

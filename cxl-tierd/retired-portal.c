/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/*
 * Extents of portals whose memory is retired. Only the home host of an extent writes its record, so each
 * host retires its own; the others see the same error through their own path to the device. An extent
 * that a flight has is left to the flight, whose verification finds what is spoilt, and is retired when
 * it comes back.
 */

/* The extents that a place has a part of; false: none. @ret_control: it is in the control area as well. */
static bool find_extents(const struct portal *portal, const struct tier_topology *topology,
			 const struct tier_ras_place *place, uint32_t *ret_first,
			 uint32_t *ret_count, bool *ret_control)
{
	const struct tier_region *region = tier_topology_region(topology, portal->region);
	const struct tier_super *super = &portal->super;
	const struct tier_dax *dax = region ? region_first_dax(topology, region) : NULL;
	uint64_t base, start, end, first, last;

	*ret_control = false;
	*ret_first = *ret_count = 0;
	if (!region || portal->code != 0)
		return false;
	base = dax && dax->start != TIER_UNKNOWN_U64 ? dax->start : region->start;
	if (place->start + place->bytes <= base)
		return false;
	start = place->start > base ? place->start - base : 0;
	end = place->start + place->bytes - base;
	*ret_control = start < super->control_bytes;
	if (end <= super->control_bytes)
		return false;
	first = start > super->control_bytes ? (start - super->control_bytes) / super->extent_bytes
					     : 0;
	last = (end - super->control_bytes - 1) / super->extent_bytes;
	if (first >= super->extent_count)
		return false;
	if (last >= super->extent_count)
		last = super->extent_count - 1;
	*ret_first = (uint32_t)first;
	*ret_count = (uint32_t)(last - first + 1);
	return true;
}

static bool listed(const struct portal *portal, uint32_t extent)
{
	for (size_t i = 0; i < portal->retired_count; i++)
		if (portal->retired[i] == extent)
			return true;
	return false;
}

static int add_extent(struct portal *portal, uint32_t extent)
{
	uint32_t *grown;

	if (listed(portal, extent))
		return 0;
	grown = reallocarray(portal->retired, portal->retired_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	portal->retired = grown;
	portal->retired[portal->retired_count++] = extent;
	return 0;
}

static int add_place(struct portal *portal, const struct tier_topology *topology,
		     const struct tier_ras_place *place)
{
	uint32_t first, count;
	bool control;
	int r = 0;

	if (!streq(place->region, portal->region) ||
	    !find_extents(portal, topology, place, &first, &count, &control))
		return 0;
	for (uint32_t e = 0; r == 0 && e < count; e++)
		r = add_extent(portal, first + e);
	return r;
}

/* -ENOMEM: some may be missing. */
static int refresh(struct portal *portal, const struct tier_topology *topology,
		   const struct tier_retired *list)
{
	int r = 0;

	free(portal->retired);
	portal->retired = NULL;
	portal->retired_count = 0;
	for (size_t i = 0; r == 0 && list && i < list->count; i++) {
		const struct tier_retirement *entry = &list->entries[i];
		_cleanup_(freep) struct tier_ras_place *places = NULL;
		size_t count = 0;

		r = tier_ras_locate(topology, entry->serial, entry->dpa, entry->bytes, &places,
				    &count);
		for (size_t p = 0; r == 0 && p < count; p++)
			r = add_place(portal, topology, &places[p]);
		if (r == TIER_E_NOT_FOUND)
			r = 0;
	}
	return r;
}

void retired_portals(struct manager *manager, const struct tier_topology *topology)
{
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		if (portal->region[0])
			(void)refresh(portal, topology, manager->retired);
}

static bool ours(const struct portal *portal, uint32_t extent)
{
	return extent < portal->super.extent_count &&
	       tier_super_extent_home(&portal->super, extent) == portal->slot;
}

void retired_pass(struct manager *manager, struct portal *portal, struct tier_portal *mapped)
{
	for (size_t i = 0; i < portal->retired_count; i++) {
		uint32_t extent = portal->retired[i];
		enum tier_extent_state was;

		/* TIER_E_BUSY: a flight has it; the next pass tries again. */
		if (!ours(portal, extent) ||
		    tier_portal_retire_extent(mapped, portal->record.stamp.incarnation, extent,
					      &was) != 0 ||
		    was == TIER_EXTENT_RETIRED)
			continue;
		events_add(manager, LOG_NOTICE, "retired", portal_name(portal), NULL,
			   "extent %u retired: it %s, and is granted to no flight any more", extent,
			   was == TIER_EXTENT_FREE ? "was free" : "has come back");
	}
}

static const char *vm_of(struct portal *portal, struct tier_portal *mapped,
			 const struct tier_extent_record *record, struct flight *flight)
{
	if (flight_find(portal, mapped, &record->flight, flight) != 0 || flight->code != 0)
		return "";
	printable(flight->view.offer.vm);
	return flight->view.offer.vm;
}

/* Whose it is, and what becomes of it. */
static void tell_extent(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
			uint32_t extent, const char *kept)
{
	const struct tier_super *super = &portal->super;
	const char *home = super->hosts[tier_super_extent_home(super, extent)].name;
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = NULL;
	struct tier_extent_record record = {.state = TIER_EXTENT_FREE};
	struct flight flight = {};
	char uuid[37] = "", who[256] = "no flight has it";
	const char *vm = "";
	int r = tier_portal_read_extent(mapped, extent, &record);

	if (r != 0 && r != TIER_E_NOT_FOUND)
		snprintf(who, sizeof(who), "its record cannot be read");
	if (r == 0 && (record.state == TIER_EXTENT_CLAIMED || record.state == TIER_EXTENT_SCRUB)) {
		tier_uuid_format(&record.flight, uuid);
		vm = vm_of(portal, mapped, &record, &flight);
		snprintf(who, sizeof(who), "flight %s of VM %s from host %s %s it", uuid,
			 vm[0] ? vm : "unknown", super->hosts[record.owner].name,
			 record.state == TIER_EXTENT_CLAIMED ? "has" : "had");
	}
	(void)sd_json_buildo(
		&json, SD_JSON_BUILD_PAIR_STRING("region", portal->region),
		SD_JSON_BUILD_PAIR_UNSIGNED("extent", extent),
		SD_JSON_BUILD_PAIR_STRING("home", home),
		SD_JSON_BUILD_PAIR_CONDITION(uuid[0] != '\0', "flight", SD_JSON_BUILD_STRING(uuid)),
		SD_JSON_BUILD_PAIR_CONDITION(vm[0] != '\0', "vm", SD_JSON_BUILD_STRING(vm)));
	events_add(manager, uuid[0] ? LOG_CRIT : LOG_ERR, "extent", portal_name(portal), json,
		   "extent %u is hit: %s; %s%s; %s", extent, who,
		   ours(portal, extent) ? "this host retires it"
					: "to be retired by its home host ",
		   ours(portal, extent)
			   ? record.state == TIER_EXTENT_CLAIMED ? " when it comes back" : ""
			   : home,
		   kept);
}

void retired_portal(struct manager *manager, const struct tier_topology *topology,
		    const struct tier_ras_place *place, const char *kept)
{
	struct portal *portal = portals_by_region(manager, place->region);
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct tier_problem problem = {};
	uint32_t first, count;
	bool any, control;

	(void)refresh(portal, topology, manager->retired);
	any = find_extents(portal, topology, place, &first, &count, &control);
	if (control)
		events_add(manager, LOG_CRIT, "control-area", portal_name(portal), NULL,
			   "the error is in the portal's control area, where every host keeps its "
			   "records; land or withdraw its flights, and format it again elsewhere; "
			   "tierctl portal check %s; %s",
			   portal->region, kept);
	if (!any)
		return;
	if (portal_open(portal, TIER_PORTAL_WRITE, &mapped, &problem) != 0) {
		events_add(manager, LOG_ERR, "extent", portal_name(portal), NULL,
			   "extents %u to %u are hit, and whose they are cannot be read: %s; %s",
			   first, first + count - 1, problem.text, kept);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		tell_extent(manager, portal, mapped, first + i, kept);
	/* Otherwise at the beat from which on it may. */
	if (portal_may_act(manager, portal, &problem) == 0)
		retired_pass(manager, portal, mapped);
}

static int zero(void *userdata, uint32_t extent, struct tier_problem *problem)
{
	return portal_scrub(userdata, &(struct tier_extent_range){.first = extent, .count = 1}, 1,
			    problem);
}

static void tell_back(struct manager *manager, const struct portal *portal, uint32_t extent,
		      enum tier_extent_state was)
{
	static const char *const texts[] = {
		[TIER_EXTENT_FREE] = "was not retired yet: it is free",
		[TIER_EXTENT_CLAIMED] =
			"was not retired yet, and is left to the flight that has it",
		[TIER_EXTENT_SCRUB] = "was not retired yet: it is zeroed as every one that comes "
				      "back",
		[TIER_EXTENT_RETIRED] = "is zeroed, and free again",
	};

	events_add(manager, LOG_NOTICE, "unretired", portal_name(portal), NULL, "extent %u %s",
		   extent, texts[was]);
}

static int give_back(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		     uint32_t extent, struct tier_problem *problem)
{
	enum tier_extent_state was;
	int r = tier_portal_unretire_extent(mapped, portal->record.stamp.incarnation, extent, zero,
					    portal, &was, problem);

	manager_alive(manager);
	if (r == 0)
		tell_back(manager, portal, extent, was);
	else
		events_add(manager, LOG_ERR, "unretire-failed", portal_name(portal), NULL,
			   "extent %u stays as it is: %s", extent, problem->text);
	return r;
}

static int give_place_back(struct manager *manager, const struct tier_topology *topology,
			   struct portal *portal, const struct tier_ras_place *place,
			   struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	uint32_t first, count;
	bool control;
	int r = 0;

	/* It may have extents that are retired, and nobody would give them back. */
	if (portal->code != 0) {
		*problem = portal->problem;
		return portal->code;
	}
	if (!find_extents(portal, topology, place, &first, &count, &control))
		return 0;
	for (uint32_t e = first; r == 0 && e < first + count; e++) {
		if (!ours(portal, e) || listed(portal, e))
			continue;
		if (!mapped)
			r = portal_may_act(manager, portal, problem)
				    ?: portal_open(portal, TIER_PORTAL_WRITE, &mapped, problem);
		if (r == 0)
			r = give_back(manager, portal, mapped, e, problem);
	}
	return r;
}

int retired_extents_back(struct manager *manager, const struct tier_topology *topology,
			 const struct tier_retired *list, const struct tier_ras_place *places,
			 size_t count, struct tier_problem *problem)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct portal *portal = portals_by_region(manager, places[i].region);

		if (!portal)
			continue;
		/* One that another entry has must not be given back. */
		r = refresh(portal, topology, list);
		if (r != 0)
			return tier_problem_set(problem, r, portal_name(portal), NULL,
						"cannot tell which of its extents are retired");
		r = give_place_back(manager, topology, portal, &places[i], problem);
	}
	return r;
}

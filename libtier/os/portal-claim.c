/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Home extents: claimed for a flight and given back. Only the home host writes these records. */
#include <inttypes.h>

#include "tier-flight.h"
#include "util.h"

/* The record of a home extent; one that was never written is a free one. */
static int read_extent(struct tier_portal *portal, uint32_t extent, struct tier_extent_record *ret)
{
	int r = tier_portal_read_extent(portal, extent, ret);

	if (r != TIER_E_NOT_FOUND)
		return r;
	*ret = (struct tier_extent_record){.extent = extent, .state = TIER_EXTENT_FREE};
	return 0;
}

static int write_state(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
		       const struct tier_extent_record *old, enum tier_extent_state state,
		       const struct tier_uuid *flight)
{
	struct tier_extent_record record = {
		.stamp = {.incarnation = incarnation, .generation = old->stamp.generation + 1},
		.extent = extent,
		.state = state,
	};

	if (state != TIER_EXTENT_FREE)
		record.flight = *flight;
	return tier_portal_write_extent(portal, &record);
}

/* Adds @extent to the last range if it follows it, else as a range of its own. */
static bool add_extent(struct tier_extent_range ranges[], uint32_t *count, uint32_t extent)
{
	if (*count && ranges[*count - 1].first + ranges[*count - 1].count == extent) {
		ranges[*count - 1].count++;
		return true;
	}
	if (*count == TIER_PORTAL_FLIGHT_RANGES)
		return false;
	ranges[(*count)++] = (struct tier_extent_range){.first = extent, .count = 1};
	return true;
}

int tier_portal_claim(struct tier_portal *portal, uint32_t host, uint64_t incarnation,
		      const struct tier_uuid *flight, uint32_t needed,
		      struct tier_extent_range ranges[static TIER_PORTAL_FLIGHT_RANGES],
		      uint32_t *ret_range_count, struct tier_problem *problem)
{
	const struct tier_super *super = tier_portal_super(portal);
	const struct tier_portal_slot *slot = &super->hosts[host];
	struct tier_extent_range chosen[TIER_PORTAL_FLIGHT_RANGES];
	struct tier_extent_record record;
	uint32_t count = 0, found = 0, free_extents = 0;
	int r;

	for (uint32_t i = 0; i < slot->extent_count; i++) {
		r = read_extent(portal, slot->first_extent + i, &record);
		if (r || record.state != TIER_EXTENT_FREE)
			continue;
		free_extents++;
		if (found < needed && add_extent(chosen, &count, slot->first_extent + i))
			found++;
	}
	if (found < needed)
		return tier_problem_set(problem, TIER_E_NO_SPACE, super->name,
					"end a flight, or format a larger portal",
					"needs %u free extents of %" PRIu64 " MiB, %s has %u%s",
					needed, super->extent_bytes / MIB, slot->name, free_extents,
					free_extents >= needed ? ", too scattered" : "");

	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < chosen[i].count; j++) {
			uint32_t extent = chosen[i].first + j;

			r = read_extent(portal, extent, &record);
			r = r
				    ?: write_state(portal, incarnation, extent, &record,
						   TIER_EXTENT_CLAIMED, flight);
			if (r) {
				(void)tier_portal_set_extents(portal, incarnation, flight, chosen,
							      count, TIER_EXTENT_FREE);
				return tier_problem_set(problem, r, super->name,
							"tierctl portal check",
							"cannot claim extent %u", extent);
			}
		}
	}
	memcpy(ranges, chosen, sizeof(chosen));
	*ret_range_count = count;
	return 0;
}

int tier_portal_set_extents(struct tier_portal *portal, uint64_t incarnation,
			    const struct tier_uuid *flight, const struct tier_extent_range *ranges,
			    uint32_t range_count, enum tier_extent_state state)
{
	int result = 0;

	for (uint32_t i = 0; i < range_count; i++) {
		for (uint32_t j = 0; j < ranges[i].count; j++) {
			struct tier_extent_record record;
			int r = read_extent(portal, ranges[i].first + j, &record);

			/* Another flight's by now: not ours to give back. */
			if (r == 0 && (record.state == TIER_EXTENT_FREE ||
				       memcmp(&record.flight, flight, sizeof(*flight)) != 0))
				continue;
			r = r
				    ?: write_state(portal, incarnation, ranges[i].first + j,
						   &record, state, flight);
			result = result ?: r;
		}
	}
	return result;
}

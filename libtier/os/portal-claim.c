/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which extents a flight has: what their homes have claimed for it. */
#include "tier-flight.h"
#include "util.h"

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

int tier_portal_granted(struct tier_portal *portal, const struct tier_uuid *flight,
			struct tier_extent_range ranges[static TIER_PORTAL_FLIGHT_RANGES],
			uint32_t *ret_range_count, uint32_t *ret_extents)
{
	const struct tier_super *super = tier_portal_super(portal);
	struct tier_extent_range found[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t count = 0, extents = 0;

	for (uint32_t extent = 0; extent < super->extent_count; extent++) {
		struct tier_extent_record record;
		int r = tier_portal_read_extent(portal, extent, &record);

		/* One that cannot be read may be anybody's. */
		if (r == TIER_E_NOT_FOUND || r == TIER_E_DAMAGED)
			continue;
		if (r)
			return r;
		if (record.state == TIER_EXTENT_CLAIMED &&
		    memcmp(&record.flight, flight, sizeof(*flight)) == 0 &&
		    add_extent(found, &count, extent))
			extents++;
	}
	memcpy(ranges, found, count * sizeof(found[0]));
	*ret_range_count = count;
	*ret_extents = extents;
	return 0;
}

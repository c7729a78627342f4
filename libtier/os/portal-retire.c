/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Home extents that are granted to nobody any more, since their memory is bad. */
#include "tier-flight.h"
#include "util.h"

static int change(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
		  enum tier_extent_state to, enum tier_extent_state *ret_was)
{
	struct tier_extent_record old = {.extent = extent}, new;
	int r = tier_portal_read_extent(portal, extent, &old);

	/* Never written: free. */
	if (r != 0 && r != TIER_E_NOT_FOUND)
		return r;
	if (r == TIER_E_NOT_FOUND)
		old = (struct tier_extent_record){.extent = extent, .state = TIER_EXTENT_FREE};
	if (old.state == to) {
		*ret_was = old.state;
		return 0;
	}
	if (old.state == TIER_EXTENT_CLAIMED ||
	    (to == TIER_EXTENT_FREE && old.state != TIER_EXTENT_RETIRED))
		return TIER_E_BUSY;
	new = (struct tier_extent_record){
		.stamp = {.incarnation = incarnation, .generation = old.stamp.generation + 1},
		.extent = extent,
		.state = to,
	};
	r = tier_portal_write_extent(portal, &new);
	if (r == 0)
		*ret_was = old.state;
	return r;
}

int tier_portal_retire_extent(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
			      enum tier_extent_state *ret_was)
{
	return change(portal, incarnation, extent, TIER_EXTENT_RETIRED, ret_was);
}

int tier_portal_unretire_extent(struct tier_portal *portal, uint64_t incarnation, uint32_t extent)
{
	enum tier_extent_state was;

	return change(portal, incarnation, extent, TIER_EXTENT_FREE, &was);
}

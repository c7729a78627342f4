/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Home extents that are granted to nobody any more, since their memory is bad. */
#include <inttypes.h>

#include "tier-flight.h"
#include "util.h"

/* TIER_E_DAMAGED if it cannot be read. Never written: free. */
static int read_record(struct tier_portal *portal, uint32_t extent, struct tier_extent_record *ret)
{
	int r = tier_portal_read_extent(portal, extent, ret);

	if (r == TIER_E_NOT_FOUND)
		*ret = (struct tier_extent_record){.extent = extent, .state = TIER_EXTENT_FREE};
	return r == TIER_E_NOT_FOUND ? 0 : r;
}

static int write_state(struct tier_portal *portal, uint64_t incarnation,
		       const struct tier_extent_record *old, enum tier_extent_state state)
{
	const struct tier_extent_record new = {
		.stamp = {.incarnation = incarnation, .generation = old->stamp.generation + 1},
		.extent = old->extent,
		.state = state,
	};

	return tier_portal_write_extent(portal, &new);
}

int tier_portal_retire_extent(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
			      enum tier_extent_state *ret_was)
{
	struct tier_extent_record old;
	int r = read_record(portal, extent, &old);

	if (r != 0)
		return r;
	if (old.state == TIER_EXTENT_CLAIMED)
		return TIER_E_BUSY;
	if (old.state != TIER_EXTENT_RETIRED)
		r = write_state(portal, incarnation, &old, TIER_EXTENT_RETIRED);
	if (r == 0)
		*ret_was = old.state;
	return r;
}

int tier_portal_unretire_extent(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
				tier_home_zero zero, void *userdata,
				enum tier_extent_state *ret_was, struct tier_problem *problem)
{
	struct tier_extent_record old;
	char object[32];
	int r = read_record(portal, extent, &old);

	snprintf(object, sizeof(object), "extent %" PRIu32, extent);
	if (r != 0)
		return tier_problem_set(problem, r, object, "tierctl portal check",
					"its record cannot be read");
	/* What lies in any other is somebody's. */
	if (old.state == TIER_EXTENT_RETIRED) {
		r = zero(userdata, extent, problem);
		if (r != 0)
			return r;
		r = write_state(portal, incarnation, &old, TIER_EXTENT_FREE);
	}
	if (r != 0)
		return tier_problem_set(problem, r, object, NULL, "cannot write its record");
	*ret_was = old.state;
	return 0;
}

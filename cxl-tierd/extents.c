/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/* A flight's claims on this host's home extents. Only this host writes their records. */

static const struct tier_portal_slot *home(const struct portal *portal)
{
	return &portal->super.hosts[portal->slot];
}

/* An extent without a record was never used. A damaged record is nobody's to give away. */
static enum tier_extent_state read_state(struct tier_portal *mapped, uint32_t extent,
					 struct tier_extent_record *ret)
{
	int r = tier_portal_read_extent(mapped, extent, ret);

	if (r == 0)
		return ret->state;
	*ret = (struct tier_extent_record){.extent = extent};
	return r == TIER_E_NOT_FOUND ? TIER_EXTENT_FREE : TIER_EXTENT_RETIRED;
}

static bool held(enum tier_extent_state state)
{
	return state == TIER_EXTENT_CLAIMED || state == TIER_EXTENT_SCRUB;
}

void extents_count(struct portal *portal, struct tier_portal *mapped,
		   uint32_t counts[static TIER_EXTENT_RETIRED + 1])
{
	struct tier_extent_record record;

	for (uint32_t i = 0; i < home(portal)->extent_count; i++)
		counts[read_state(mapped, home(portal)->first_extent + i, &record)]++;
}

bool extents_claimed(struct portal *portal, struct tier_portal *mapped,
		     const struct tier_uuid *flight)
{
	struct tier_extent_record record;

	for (uint32_t i = 0; i < home(portal)->extent_count; i++)
		if (held(read_state(mapped, home(portal)->first_extent + i, &record)) &&
		    uuid_equal(&record.flight, flight))
			return true;
	return false;
}

/* The next runs of extents that @flight holds, from *position on; returns their number. */
static uint32_t collect(struct portal *portal, struct tier_portal *mapped,
			const struct tier_uuid *flight, uint32_t *position,
			struct tier_extent_range ranges[static TIER_PORTAL_FLIGHT_RANGES])
{
	struct tier_extent_record record;
	uint32_t count = 0;

	for (; *position < home(portal)->extent_count; (*position)++) {
		uint32_t extent = home(portal)->first_extent + *position;

		if (!held(read_state(mapped, extent, &record)) ||
		    !uuid_equal(&record.flight, flight))
			continue;
		if (count > 0 && ranges[count - 1].first + ranges[count - 1].count == extent) {
			ranges[count - 1].count++;
			continue;
		}
		if (count == TIER_PORTAL_FLIGHT_RANGES)
			break;
		ranges[count++] = (struct tier_extent_range){.first = extent, .count = 1};
	}
	return count;
}

/*
 * SCRUB is stored before the first byte is zeroed, so that after a crash nobody takes the extents
 * for free while another VM's memory is still in them.
 */
int extents_release(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		    const struct tier_uuid *flight, uint32_t *ret_count,
		    struct tier_problem *problem)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t count, position = 0, total = 0;
	int r;

	while ((count = collect(portal, mapped, flight, &position, ranges)) > 0) {
		r = tier_portal_set_extents(mapped, manager->incarnation, flight, ranges, count,
					    TIER_EXTENT_SCRUB);
		if (r != 0)
			return tier_problem_set(problem, r, portal_name(portal), NULL,
						"cannot mark extents for scrubbing");
		manager_alive(manager);
		r = portal_scrub(portal, ranges, count, problem);
		manager_alive(manager);
		if (r != 0)
			return r;
		r = tier_portal_set_extents(mapped, manager->incarnation, flight, ranges, count,
					    TIER_EXTENT_FREE);
		if (r != 0)
			return tier_problem_set(problem, r, portal_name(portal), NULL,
						"cannot free extents");
		for (uint32_t i = 0; i < count; i++)
			total += ranges[i].count;
	}
	*ret_count = total;
	return 0;
}

/* Ends scrubs that a crash or a busy device interrupted. Nobody needs what is in SCRUB extents. */
void extents_finish_scrubs(struct manager *manager, struct portal *portal,
			   struct tier_portal *mapped)
{
	struct tier_extent_record record;
	struct tier_problem problem = {};
	uint32_t count;

	for (uint32_t i = 0; i < home(portal)->extent_count; i++) {
		if (read_state(mapped, home(portal)->first_extent + i, &record) !=
			    TIER_EXTENT_SCRUB ||
		    sessions_find(manager, &record.flight))
			continue;
		if (extents_release(manager, portal, mapped, &record.flight, &count, &problem) !=
		    0) {
			log_problem(LOG_WARNING, "scrub-failed", &problem);
			return;
		}
		log_decision(LOG_NOTICE, portal_name(portal), "scrubbed",
			     "scrubbed %" PRIu32 " extents that an earlier flight had left", count);
	}
}

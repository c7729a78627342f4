/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends a flight whose tool has died, as its records say whose the VM is. */
#include "fd.h"
#include "flight.h"

/*
 * The VM's process on this host, if it is in one of the states that a flight leaves it in.
 * TIER_E_NOT_FOUND: no process, or one that runs. Any other state is not this flight's doing, and
 * nothing is done with it.
 */
static int find_stopped(const struct tier_config *config, const char *name, const char *other_state,
			struct tier_machine **ret, struct tier_machine_info *ret_info,
			struct tier_problem *problem)
{
	_cleanup_(tier_machine_freep) struct tier_machine *machine = NULL;
	int r = tier_machine_attach(config, name, &machine, problem);

	if (r)
		return r;
	/* Whatever else is wrong with it, its status and its RAM are told. */
	*ret_info = (struct tier_machine_info){};
	(void)tier_machine_inspect(machine, ret_info, NULL);
	if (streq(ret_info->status, "running"))
		return TIER_E_NOT_FOUND;
	if (!streq(ret_info->status, "postmigrate") && !streq(ret_info->status, other_state))
		return tier_problem_set(problem, TIER_E_REFUSED, name,
					"resume or end that machine first, then settle again",
					"its process here is %s, which this flight did not do",
					ret_info->status[0] ? ret_info->status
							    : "in no known state");
	*ret = TAKE(machine);
	return 0;
}

static int resume(const struct tier_config *config, const char *name, struct tier_problem *problem)
{
	_cleanup_(tier_machine_freep) struct tier_machine *machine = NULL;
	struct tier_machine_info info;
	int r = find_stopped(config, name, "paused", &machine, &info, problem);

	if (r)
		return r == TIER_E_NOT_FOUND ? 0 : r;
	return tier_machine_resume(machine, problem);
}

/* What is left of a VM that runs on the destination: a stopped QEMU and its RAM. */
static int discard(const struct tier_config *config, const char *name, struct tier_problem *problem)
{
	_cleanup_(tier_machine_freep) struct tier_machine *machine = NULL;
	struct tier_machine_info info;
	int r = find_stopped(config, name, "postmigrate", &machine, &info, problem);

	if (r)
		return r == TIER_E_NOT_FOUND ? 0 : r;
	r = tier_machine_quit(machine, problem);
	return r ?: machine_remove_ram(machine, &info, problem);
}

/* The offer in that slot, if it still is of this flight. */
static int read_offer(struct tier_portal *portal, uint32_t host, uint32_t slot,
		      const struct tier_uuid *flight, struct tier_offer *ret,
		      struct tier_problem *problem)
{
	int r = tier_portal_read_offer(portal, host, slot, ret);

	if (r == 0 &&
	    (ret->state == TIER_FLIGHT_NONE || memcmp(&ret->flight, flight, sizeof(*flight)) != 0))
		r = TIER_E_NOT_FOUND;
	if (r)
		return tier_problem_set(problem, r, tier_portal_path(portal), "tierctl flights",
					"that flight is not in slot %u", slot);
	return 0;
}

/* The kernel moves what is left on the blocks to DRAM as it offlines them. */
static int close_extents(const char *region, const struct tier_super *super,
			 const struct tier_offer *offer, struct tier_problem *problem)
{
	struct tier_extents *extents;
	int r = tier_extents_find(region, super, offer->ranges, offer->range_count, &extents,
				  problem);

	if (r)
		return r == TIER_E_NOT_FOUND ? 0 : r;
	r = tier_extents_close(extents, problem);
	if (r)
		tier_extents_free(extents);
	return r;
}

int tier_flight_settle(const struct tier_config *config, const char *portal_path,
		       const char *region, uint32_t host, uint32_t slot,
		       const struct tier_uuid *flight, enum tier_flight_state *ret_state,
		       struct tier_problem *problem)
{
	_cleanup_portal_ struct tier_portal *portal = NULL;
	enum tier_flight_state end, answered = TIER_FLIGHT_NONE;
	_cleanup_close_ int lock = -1;
	struct tier_answer answer;
	struct tier_offer offer;
	int r;

	r = tier_portal_open(portal_path, TIER_PORTAL_WRITE, &portal, problem);
	if (r)
		return r;
	r = read_offer(portal, host, slot, flight, &offer, problem);
	/* The daemon may have forgotten who carries it out; the lock has not. */
	r = r ?: machine_lock(config, offer.vm, &lock, problem);
	/* What it was before the lock was had is of no account. */
	r = r ?: read_offer(portal, host, slot, flight, &offer, problem);
	if (r)
		return r;
	if (tier_portal_find_answer(portal, &offer, slot, &answer, NULL) == 0)
		answered = answer.state;

	if (offer.state == TIER_FLIGHT_CLOSED ||
	    (offer.state == TIER_FLIGHT_COMMITTED && answered == TIER_FLIGHT_DONE)) {
		end = TIER_FLIGHT_CLOSED;
		r = discard(config, offer.vm, problem);
	} else if (tier_handoff_source_may_run(&offer, answered ? &answer : NULL)) {
		end = TIER_FLIGHT_ABORTED;
		/* ABORTED was written after it ran again: stopped since, it was stopped by somebody. */
		r = offer.state == end ? 0 : resume(config, offer.vm, problem);
	} else {
		return tier_problem_set(problem, TIER_E_REFUSED, offer.vm, "tierctl flights",
					"cannot be settled here: %s",
					tier_handoff_advice(offer.state, answered));
	}
	/* ABORTED is said before the extents go; CLOSED says that they have gone. */
	if (r == 0 && end == TIER_FLIGHT_ABORTED && offer.state != end) {
		offer.state = end;
		copy_string(offer.reason, sizeof(offer.reason),
			    "its tool died; settled on the source");
		r = tier_portal_write_offer(portal, slot, &offer);
	}
	r = r ?: close_extents(region, tier_portal_super(portal), &offer, problem);
	if (r == 0 && offer.state != end) {
		offer.state = end;
		r = tier_portal_write_offer(portal, slot, &offer);
	}
	if (r == 0)
		*ret_state = end;
	return r;
}

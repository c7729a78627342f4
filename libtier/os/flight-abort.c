/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends a flight whose tool has died, where the records leave the VM to the source. */
#include "flight.h"

/* The newest answer to this offer, wherever in the destination's area it lies. */
static bool find_answer(struct tier_portal *portal, const struct tier_offer *offer,
			struct tier_answer *ret)
{
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		if (tier_portal_read_answer(portal, offer->destination, slot, ret) == 0 &&
		    memcmp(&ret->flight, &offer->flight, sizeof(offer->flight)) == 0)
			return true;
	}
	return false;
}

/* Resumes the VM if it is still here; one that is gone or runs already is no failure. */
static int resume(const struct tier_config *config, const char *name, struct tier_problem *problem)
{
	_cleanup_(tier_machine_freep) struct tier_machine *machine = NULL;
	struct tier_machine_info info = {};
	int r;

	r = tier_machine_attach(config, name, &machine, problem);
	if (r == TIER_E_NOT_FOUND)
		return 0;
	if (r)
		return r;
	/* Whatever is wrong with it, its status is told. */
	(void)tier_machine_inspect(machine, &info, NULL);
	if (streq(info.status, "running"))
		return 0;
	return tier_machine_resume(machine, problem);
}

int tier_flight_abort(const struct tier_config *config, const char *portal_path, const char *region,
		      uint32_t host, uint32_t slot, struct tier_offer *ret_offer,
		      struct tier_problem *problem)
{
	_cleanup_portal_ struct tier_portal *portal = NULL;
	_cleanup_(tier_extents_freep) struct tier_extents *extents = NULL;
	struct tier_answer answer;
	struct tier_offer offer;
	bool answered;
	int r;

	r = tier_portal_open(portal_path, TIER_PORTAL_WRITE, &portal, problem);
	if (r)
		return r;
	r = tier_portal_read_offer(portal, host, slot, &offer);
	if (r == 0 && offer.state == TIER_FLIGHT_NONE)
		r = TIER_E_NOT_FOUND;
	if (r)
		return tier_problem_set(problem, r, portal_path, "tierctl flights",
					"no flight in slot %u", slot);
	answered = find_answer(portal, &offer, &answer);
	if (!tier_handoff_source_may_run(&offer, answered ? &answer : NULL))
		return tier_problem_set(
			problem, TIER_E_REFUSED, offer.vm, "tierctl flights",
			"cannot be aborted here: %s",
			tier_handoff_advice(offer.state,
					    answered ? answer.state : TIER_FLIGHT_NONE));

	if (offer.state != TIER_FLIGHT_ABORTED) {
		r = resume(config, offer.vm, problem);
		if (r)
			return r;
		offer.state = TIER_FLIGHT_ABORTED;
		copy_string(offer.reason, sizeof(offer.reason),
			    "its tool died; aborted on the source");
		r = tier_portal_write_offer(portal, slot, &offer);
		if (r)
			return tier_problem_set(problem, r, portal_path, NULL,
						"cannot write the offer");
	}
	/* The kernel moves the VM's pages to DRAM as it offlines the blocks. */
	r = tier_extents_find(region, tier_portal_super(portal), offer.ranges, offer.range_count,
			      &extents, problem);
	if (r == 0) {
		r = tier_extents_close(extents, problem);
		if (r == 0)
			extents = NULL;
	}
	if (r && r != TIER_E_NOT_FOUND)
		return r;
	if (ret_offer)
		*ret_offer = offer;
	return 0;
}

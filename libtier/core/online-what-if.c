/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-plan.h"
#include "tier-explain.h"

/*
 * A larger ratio allows whatever a smaller one does. So if two ratios lead to the same zones, all
 * between them do, and the changes are found by halving.
 */

struct search {
	struct tier_online_policy policy;
	struct online_planning *planning;
	struct tier_what_if *ranges;
	size_t range_count;
	struct tier_problem *problem;
};

struct tier_what_if *tier_what_if_free(struct tier_what_if *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(ranges[i].zones);
	free(ranges);
	return NULL;
}

static void search_done(struct search *search)
{
	tier_what_if_free(search->ranges, search->range_count);
	online_planning_free(search->planning);
}

static size_t zone_count(const struct search *search)
{
	return search->policy.request_count + search->policy.arrival_count;
}

/* Decisions come in the order of execution. */
static size_t place_of(const struct search *search, const struct tier_decision *decision)
{
	const struct tier_online_policy *policy = &search->policy;

	for (size_t i = 0; !decision->arrival && i < policy->request_count; i++)
		if (streq(policy->requests[i].region, decision->region))
			return i;
	for (size_t i = 0; decision->arrival && i < policy->arrival_count; i++)
		if (streq(policy->arrivals[i].name, decision->region))
			return policy->request_count + i;
	return zone_count(search);
}

static void what_if_done(struct tier_what_if *one)
{
	free(one->zones);
}

static int evaluate(struct search *search, unsigned ratio_percent, struct tier_what_if *ret)
{
	_cleanup_plan_ struct tier_plan *plan = NULL;
	struct tier_what_if one = {.low_percent = ratio_percent, .high_percent = ratio_percent};
	int r;

	r = online_finish(search->planning, ratio_percent, false, &plan, search->problem);
	if (r != 0)
		return r;
	one.zones = calloc(zone_count(search) + 1, sizeof(*one.zones));
	if (!one.zones)
		return -ENOMEM;
	for (size_t i = 0; i < plan->decision_count; i++) {
		const struct tier_decision *decision = &plan->decisions[i];

		one.zones[place_of(search, decision)] = decision->zone;
		one.kernel_bytes = decision->kernel_bytes_before +
				   (decision->zone == TIER_ZONE_NORMAL ? decision->bytes : 0);
		one.movable_bytes = decision->movable_bytes_before +
				    (decision->zone == TIER_ZONE_MOVABLE ? decision->bytes : 0);
	}
	*ret = one;
	return 0;
}

static bool same(const struct search *search, const struct tier_what_if *a,
		 const struct tier_what_if *b)
{
	return memcmp(a->zones, b->zones, zone_count(search) * sizeof(*a->zones)) == 0;
}

/* Makes the last range longer, or adds one. */
static int add(struct search *search, const struct tier_what_if *low, unsigned high_percent)
{
	struct tier_what_if *last =
		search->range_count ? &search->ranges[search->range_count - 1] : NULL;

	if (!last || !same(search, last, low)) {
		size_t bytes = zone_count(search) * sizeof(*low->zones);
		enum tier_zone *zones = malloc(bytes + 1);

		last = zones ? array_grow(&search->ranges, &search->range_count, sizeof(*last))
			     : NULL;
		if (!last) {
			free(zones);
			return -ENOMEM;
		}
		*last = *low;
		last->zones = memcpy(zones, low->zones, bytes);
	}
	last->high_percent = high_percent;
	return 0;
}

static int halve(struct search *search, const struct tier_what_if *low,
		 const struct tier_what_if *high)
{
	_cleanup_(what_if_done) struct tier_what_if middle = {};
	unsigned from = low->low_percent, to = high->low_percent;
	int r;

	if (same(search, low, high))
		return add(search, low, to);
	if (to - from == 1) {
		r = add(search, low, from);
		return r == 0 ? add(search, high, to) : r;
	}
	r = evaluate(search, from + (to - from) / 2, &middle);
	if (r == 0)
		r = halve(search, low, &middle);
	return r == 0 ? halve(search, &middle, high) : r;
}

int tier_plan_what_if(const struct tier_topology *topology, const struct tier_online_policy *policy,
		      unsigned low_percent, unsigned high_percent, struct tier_what_if **ret,
		      size_t *ret_count, struct tier_problem *problem)
{
	_cleanup_(search_done) struct search search = {.policy = *policy, .problem = problem};
	_cleanup_(what_if_done) struct tier_what_if low = {}, high = {};
	int r;

	if (low_percent > high_percent || high_percent > TIER_RATIO_MAX)
		return tier_problem_set(problem, -EINVAL, "plan", NULL,
					"%u..%u is no range of ratios", low_percent, high_percent);
	search.policy.keep_going = true;
	r = online_prepare(topology, &search.policy, &search.planning, problem);
	if (r == 0)
		r = evaluate(&search, low_percent, &low);
	if (r == 0)
		r = evaluate(&search, high_percent, &high);
	if (r == 0)
		r = halve(&search, &low, &high);
	if (r == -ENOMEM)
		tier_problem_set(problem, r, "plan", NULL, "cannot plan");
	if (r != 0)
		return r;
	*ret = TAKE(search.ranges);
	*ret_count = search.range_count;
	search.range_count = 0;
	return 0;
}

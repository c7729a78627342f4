/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "online-plan.h"
#include "online-run.h"
#include "online-words.h"
#include "topology.h"

/* A request and what became of it. */
struct wish {
	const struct tier_online_request *request;
	enum tier_online_zone wanted; /* as requested, or where its beginning is */
	struct online_memory memory;
	struct online_candidate *candidate; /* NULL: it does not wait for a zone */
	int code;			    /* refused */
	struct tier_problem problem;
	char reason[128]; /* why it does not wait */
};

struct online_planning {
	const struct tier_topology *topology;
	struct tier_online_policy policy;
	struct online_sum before, now, best;
	struct wish *wishes;
	struct online_candidate *candidates;
	size_t candidate_count;
	struct tier_plan *plan;
};

struct online_planning *online_planning_free(struct online_planning *p)
{
	if (!p)
		return NULL;
	free(p->wishes);
	free(p->candidates);
	tier_plan_free(p->plan);
	free(p);
	return NULL;
}

/* Is it to be had at all, and may it go where it is wanted? */
static int check_zones(struct wish *wish)
{
	const struct online_memory *memory = &wish->memory;
	enum tier_online_zone wanted = wish->wanted;
	bool typed = memory->type > TIER_MEMORY_LOCAL;
	struct online_candidate *candidate = wish->candidate;

	if (wanted == TIER_ONLINE_KERNEL && typed)
		return tier_problem_set(&wish->problem, TIER_E_REFUSED, wish->request->region,
					"choose --zone movable, or type it Local",
					"cannot go to a kernel zone: %s memory has none",
					tier_memory_type_name(memory->type));
	candidate->may_movable = wanted != TIER_ONLINE_KERNEL && !memory->no_movable;
	candidate->may_kernel = wanted != TIER_ONLINE_MOVABLE && !memory->no_kernel && !typed;
	if (candidate->may_movable || candidate->may_kernel)
		return 0;
	return tier_problem_set(&wish->problem, TIER_E_REFUSED, wish->request->region,
				"see tierctl list blocks",
				"cannot go to %s: the kernel does not offer that zone for every "
				"one of its memory blocks",
				wanted == TIER_ONLINE_KERNEL ? "a kernel zone" : "Movable");
}

static int check_online(struct wish *wish)
{
	enum tier_online_zone wanted = wish->request->zone;
	enum tier_zone zone = wish->memory.zone;
	bool as_wanted = zone == TIER_ZONE_MOVABLE
				 ? wanted != TIER_ONLINE_KERNEL
				 : online_is_kernel_zone(zone) && wanted != TIER_ONLINE_MOVABLE;
	char offline[80];

	if (!as_wanted)
		return tier_problem_set(&wish->problem, TIER_E_BUSY, wish->request->region,
					online_next_offline(offline, wish->request->region),
					"is already online, in zone %s", tier_zone_name(zone));
	snprintf(wish->reason, sizeof(wish->reason), "already online in %s", tier_zone_name(zone));
	return 0;
}

static int look_at(struct online_planning *p, size_t number)
{
	struct wish *wish = &p->wishes[number];
	const struct tier_online_request *request = wish->request = &p->policy.requests[number];
	const struct tier_region *region = tier_topology_region(p->topology, request->region);
	uint64_t first, last, online_bytes;
	int r;

	if (!region && tier_run_parse(request->region, &first, &last) < 0)
		return tier_problem_set(&wish->problem, TIER_E_NOT_FOUND, request->region,
					"see tierctl list regions", "no such region");
	for (size_t i = 0; i < number; i++)
		if (streq(p->policy.requests[i].region, request->region))
			return tier_problem_set(&wish->problem, -EINVAL, request->region, NULL,
						"named more than once");
	wish->wanted = request->zone;
	if (request->zone == TIER_ONLINE_NO) {
		snprintf(wish->reason, sizeof(wish->reason), "left as it is: Online=no%s%s",
			 request->rule[0] ? " by " : "", request->rule);
		return 0;
	}
	r = region ? online_survey(p->topology, region, request->resume, &wish->memory,
				   &wish->problem)
		   : online_survey_run(p->topology, request->region, request->resume, &wish->memory,
				       &wish->problem);
	if (r)
		return r;
	online_bytes = wish->memory.online * p->topology->block_bytes;
	if (online_bytes == wish->memory.bytes || (online_bytes > 0 && !request->resume))
		return check_online(wish);
	r = online_bytes > 0 ? check_online(wish) : 0;
	if (r)
		return r;
	/* The rest goes where the beginning is. */
	if (online_bytes > 0)
		wish->wanted = wish->memory.zone == TIER_ZONE_MOVABLE ? TIER_ONLINE_MOVABLE
								      : TIER_ONLINE_KERNEL;
	wish->memory.bytes -= online_bytes;
	wish->candidate = &p->candidates[p->candidate_count];
	*wish->candidate = (struct online_candidate){
		.bytes = wish->memory.bytes, .weight = request->weight ?: TIER_WEIGHT_DEFAULT};
	r = check_zones(wish);
	if (r)
		wish->candidate = NULL;
	else
		p->candidate_count++;
	return r;
}

/* Movable was the only zone, and there is no room in it. */
static int refuse_ratio(struct online_planning *p, struct wish *wish)
{
	const struct online_memory *memory = &wish->memory;
	struct online_sum sum = p->best;
	char text[160], why[80] = "";

	sum.movable += memory->bytes;
	online_sum_text(text, &sum, p->policy.ratio_percent);
	if (memory->type > TIER_MEMORY_LOCAL)
		snprintf(why, sizeof(why), "; %s memory has no kernel zone",
			 tier_memory_type_name(memory->type));
	else if (memory->no_kernel)
		snprintf(why, sizeof(why), "; the kernel offers no kernel zone for all of it");
	return tier_problem_set(&wish->problem, TIER_E_RATIO, wish->request->region,
				memory->type > TIER_MEMORY_LOCAL
					? "allow more with --ratio, or type it Local"
					: "allow more with --ratio, or choose --zone kernel",
				"cannot go to Movable: %s%s", text, why);
}

/* What the machine has when a device is online; @final: when all are. */
static int decide(struct online_planning *p, const char *name, enum tier_online_zone wanted,
		  uint64_t bytes, enum tier_zone zone, const struct online_sum *final,
		  bool no_movable, struct tier_decision **ret)
{
	struct tier_decision *decision = online_add_decision(p->plan, name);

	if (!decision)
		return -ENOMEM;
	decision->wanted = wanted;
	decision->bytes = bytes;
	decision->zone = zone;
	decision->kernel_bytes_before = p->now.kernel;
	decision->movable_bytes_before = p->now.movable;
	if (zone == TIER_ZONE_MOVABLE)
		p->now.movable += bytes;
	else if (zone == TIER_ZONE_NORMAL)
		p->now.kernel += bytes;
	decision->ratio_percent_after = online_percent(&p->now);
	if (zone != TIER_ZONE_NONE)
		online_reason(decision, &p->now, final, p->policy.ratio_percent, no_movable);
	*ret = decision;
	return 0;
}

static int decide_wish(struct online_planning *p, const struct wish *wish,
		       const struct online_sum *final)
{
	enum tier_zone zone =
		wish->candidate && !wish->code ? wish->candidate->zone : TIER_ZONE_NONE;
	struct tier_decision *decision;
	int r = decide(p, wish->request->region, wish->request->zone, wish->memory.bytes, zone,
		       final, wish->memory.no_movable, &decision);

	if (r < 0)
		return r;
	if (zone == TIER_ZONE_NONE) {
		decision->code = wish->code;
		copy_string(decision->reason, sizeof(decision->reason),
			    wish->code ? wish->problem.text : wish->reason);
		copy_string(decision->next, sizeof(decision->next),
			    wish->code ? wish->problem.next : "");
	}
	if (wish->memory.retired > 0 && !wish->code)
		online_tell_retired(decision, wish->memory.retired);
	return 0;
}

/*
 * What feeds the kernel first, so that the ratio is never exceeded on the way; then what becomes
 * Movable; at last those about which there is nothing to do.
 */
static int decide_all(struct online_planning *p)
{
	static const enum tier_zone order[] = {TIER_ZONE_NORMAL, TIER_ZONE_MOVABLE, TIER_ZONE_NONE};
	struct online_sum final = p->now;
	int r = 0;

	for (size_t i = 0; i < p->candidate_count; i++) {
		const struct online_candidate *candidate = &p->candidates[i];

		final.kernel += candidate->zone == TIER_ZONE_NORMAL ? candidate->bytes : 0;
		final.movable += candidate->zone == TIER_ZONE_MOVABLE ? candidate->bytes : 0;
	}
	for (size_t turn = 0; turn < ARRAY_SIZE(order); turn++)
		for (size_t i = 0; r == 0 && i < p->policy.request_count; i++) {
			const struct wish *wish = &p->wishes[i];
			enum tier_zone zone =
				wish->candidate ? wish->candidate->zone : TIER_ZONE_NONE;

			if (zone == order[turn])
				r = decide_wish(p, wish, &final);
		}
	return r;
}

static int decide_arrival(struct online_planning *p, const struct tier_online_arrival *arrival)
{
	uint64_t unit = p->topology->block_bytes;
	struct online_candidate one = {.bytes = unit ? arrival->bytes / unit * unit : 0,
				       .weight = TIER_WEIGHT_DEFAULT,
				       .may_movable = true,
				       .may_kernel = true};
	struct online_sum best, final = p->now;
	struct tier_decision *decision;
	int r = 0;

	if (one.bytes > 0)
		r = online_choose(&p->now, p->policy.ratio_percent, unit, &one, 1, &best);
	if (r < 0)
		return r;
	*(one.zone == TIER_ZONE_MOVABLE ? &final.movable : &final.kernel) += one.bytes;
	r = decide(p, arrival->name, TIER_ONLINE_AUTO, one.bytes, one.zone, &final, false,
		   &decision);
	if (r < 0)
		return r;
	decision->arrival = true;
	if (one.bytes == 0)
		snprintf(decision->reason, sizeof(decision->reason),
			 "cannot be onlined: it holds no whole memory block of %" PRIu64 " MiB",
			 unit / MIB);
	return 0;
}

static int refuse(const struct wish *wish, struct tier_problem *problem)
{
	if (problem)
		*problem = wish->problem;
	return wish->code;
}

int online_prepare(const struct tier_topology *topology, const struct tier_online_policy *policy,
		   struct online_planning **ret, struct tier_problem *problem)
{
	_cleanup_planning_ struct online_planning *p = calloc(1, sizeof(*p));

	if (!p)
		return tier_problem_set(problem, -ENOMEM, "plan", NULL, "cannot plan");
	p->topology = topology;
	p->policy = *policy;
	p->wishes = calloc(policy->request_count + 1, sizeof(*p->wishes));
	p->candidates = calloc(policy->request_count + 1, sizeof(*p->candidates));
	if (!p->wishes || !p->candidates)
		return tier_problem_set(problem, -ENOMEM, "plan", NULL, "cannot plan");
	if (online_sum(topology, &p->before))
		return tier_problem_set(problem, TIER_E_REFUSED, "/proc/zoneinfo", NULL,
					"cannot plan: it does not say how much memory each zone "
					"has, so the ratio is unknown");
	for (size_t i = 0; i < policy->request_count; i++) {
		struct wish *wish = &p->wishes[i];

		wish->code = look_at(p, i);
		if (wish->code && !policy->keep_going)
			return refuse(wish, problem);
	}
	*ret = TAKE(p);
	return 0;
}

/* Lets those that wait for a zone have theirs. */
static int choose(struct online_planning *p, struct tier_problem *problem)
{
	int r = online_choose(&p->now, p->policy.ratio_percent, MAX(p->topology->block_bytes, 1u),
			      p->candidates, p->candidate_count, &p->best);

	if (r < 0)
		return tier_problem_set(problem, r, "plan", NULL, "cannot plan");
	for (size_t i = 0; i < p->policy.request_count; i++) {
		struct wish *wish = &p->wishes[i];

		if (!wish->candidate)
			continue;
		wish->code = wish->candidate->zone == TIER_ZONE_NONE ? refuse_ratio(p, wish) : 0;
		if (wish->code && !p->policy.keep_going)
			return refuse(wish, problem);
	}
	return 0;
}

int online_finish(struct online_planning *p, unsigned ratio_percent, bool steps,
		  struct tier_plan **ret_plan, struct tier_problem *problem)
{
	int r;

	p->policy.ratio_percent = ratio_percent;
	p->now = p->before;
	tier_plan_free(p->plan);
	p->plan = calloc(1, sizeof(*p->plan));
	if (!p->plan)
		return tier_problem_set(problem, -ENOMEM, "plan", NULL, "cannot plan");
	p->plan->kernel_bytes = p->before.kernel;
	p->plan->movable_bytes = p->before.movable;
	r = choose(p, problem);
	if (r != 0)
		return r;
	r = decide_all(p);
	for (size_t i = 0; r == 0 && i < p->policy.arrival_count; i++)
		r = decide_arrival(p, &p->policy.arrivals[i]);
	if (r == 0 && steps)
		r = online_add_steps(p->topology, p->plan);
	if (r < 0)
		return tier_problem_set(problem, r, "plan", NULL, "cannot plan");
	*ret_plan = TAKE(p->plan);
	return 0;
}

int tier_plan_online(const struct tier_topology *topology, const struct tier_online_policy *policy,
		     struct tier_plan **ret_plan, struct tier_problem *problem)
{
	_cleanup_planning_ struct online_planning *planning = NULL;
	int r = online_prepare(topology, policy, &planning, problem);

	return r ?: online_finish(planning, policy->ratio_percent, true, ret_plan, problem);
}

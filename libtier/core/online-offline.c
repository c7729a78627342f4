/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-plan.h"
#include "online-survey.h"
#include "online-words.h"
#include "topology.h"

/* What is taken offline, and the sums as they are then. */
struct offline_planning {
	const struct tier_topology *topology;
	const char *name;
	struct tier_plan *plan;
	struct online_sum sum;
	uint64_t bytes;
	size_t online;
};

/* The highest block goes first. */
static int offline_blocks(struct offline_planning *p, const char *dax,
			  const struct tier_block *blocks, size_t count)
{
	uint64_t size = p->topology->block_bytes;
	int r = 0;

	while (r == 0 && count-- > 0) {
		uint64_t *part =
			blocks[count].zone == TIER_ZONE_MOVABLE ? &p->sum.movable : &p->sum.kernel;

		if (blocks[count].state == TIER_BLOCK_OFFLINE)
			continue;
		p->online++;
		p->bytes += size;
		*part -= MIN(*part, size);
		r = online_add_step(p->plan, TIER_STEP_OFFLINE, p->name, dax, blocks[count].index);
	}
	return r;
}

/* Backwards over the devices. */
static int offline_region(struct offline_planning *p, bool to_devdax, size_t *ret_bound,
			  struct tier_problem *problem)
{
	size_t bound = 0;
	int r = 0;

	for (size_t i = p->topology->dax_count; r == 0 && i-- > 0;) {
		const struct tier_dax *dax = &p->topology->daxs[i];
		const struct tier_block *blocks;
		size_t count;

		if (!streq(dax->region, p->name) || dax->mode != TIER_DAX_SYSTEM_RAM)
			continue;
		if (dax->start == TIER_UNKNOWN_U64)
			return tier_problem_set(
				problem, TIER_E_REFUSED, p->name, "try again as root",
				"cannot plan: the physical address of %s is not readable",
				dax->name);
		bound++;
		blocks = tier_topology_range_blocks(p->topology, dax->start, dax->bytes, &count);
		r = offline_blocks(p, dax->name, blocks, count);
		if (r == 0 && to_devdax)
			r = online_add_step(p->plan, TIER_STEP_BIND_DEVDAX, p->name, dax->name,
					    TIER_UNKNOWN_U64);
	}
	*ret_bound = bound;
	return r < 0 ? tier_problem_set(problem, r, p->name, NULL, "cannot plan") : 0;
}

int tier_plan_offline(const struct tier_topology *topology, const char *name, bool to_devdax,
		      struct tier_plan **ret_plan, struct tier_problem *problem)
{
	_cleanup_plan_ struct tier_plan *plan = calloc(1, sizeof(*plan));
	struct offline_planning p = {.topology = topology, .name = name, .plan = plan};
	const struct tier_block *run = NULL;
	struct tier_decision *decision;
	size_t bound = 1, count = 0;
	unsigned percent;
	int r;

	if (!tier_topology_region(topology, name))
		run = tier_run_blocks(topology, name, &count);
	if (!tier_topology_region(topology, name) && !run)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "see tierctl list regions",
					"no such region");
	if (run && to_devdax)
		return tier_problem_set(problem, TIER_E_REFUSED, name, "leave --to-devdax out",
					"has no dax device");
	decision = plan ? online_add_decision(plan, name) : NULL;
	if (!decision)
		return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot plan");
	decision->wanted = TIER_ONLINE_NO;
	if (online_sum(topology, &p.sum) == 0) {
		decision->kernel_bytes_before = p.sum.kernel;
		decision->movable_bytes_before = p.sum.movable;
	}
	percent = online_percent(&p.sum);
	r = run ? offline_blocks(&p, "", run, count)
		: offline_region(&p, to_devdax, &bound, problem);
	if (r < 0 && run)
		return tier_problem_set(problem, r, name, NULL, "cannot plan");
	if (r != 0)
		return r;
	decision->bytes = p.bytes;
	decision->ratio_percent_after = p.sum.kernel ? online_percent(&p.sum) : 0;
	if (bound == 0)
		snprintf(decision->reason, sizeof(decision->reason), "not system RAM already");
	else if (p.online == 0)
		snprintf(decision->reason, sizeof(decision->reason),
			 "all of it is offline already");
	else if (decision->ratio_percent_after > percent)
		snprintf(decision->reason, sizeof(decision->reason),
			 "%zu memory blocks are evacuated and taken offline; with less kernel "
			 "memory, what is Movable is %u %% of it then",
			 p.online, decision->ratio_percent_after);
	else
		snprintf(decision->reason, sizeof(decision->reason),
			 "%zu memory blocks are evacuated and taken offline", p.online);
	*ret_plan = TAKE(plan);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <limits.h>

#include "online-plan.h"
#include "tier-error.h"
#include "topology.h"

/* The state of a region's memory, over all its dax devices. */
struct memory {
	uint64_t bytes;		    /* whole blocks only: what can be onlined */
	size_t blocks, online;	    /* of those devices that are system RAM */
	enum tier_zone zone;	    /* of the online ones; MIXED when they differ */
	size_t daxs, bound;	    /* devices, and those that are system RAM already */
	bool no_movable, no_kernel; /* some offline block cannot go there */
	enum tier_memory_type type; /* LOCAL unless the kernel keeps kernel zones from it */
	bool missing;		    /* a device is system RAM, but not all of its blocks exist */
};

struct tier_plan *tier_plan_free(struct tier_plan *plan)
{
	if (!plan)
		return NULL;
	free(plan->decisions);
	free(plan->steps);
	free(plan);
	return NULL;
}

static int add_step(struct tier_plan *plan, enum tier_step_action action, const char *region,
		    const char *dax, uint64_t block)
{
	struct tier_step *step = array_grow(&plan->steps, &plan->step_count, sizeof(*step));

	if (!step)
		return -ENOMEM;
	step->action = action;
	step->block = block;
	copy_string(step->region, sizeof(step->region), region);
	copy_string(step->dax, sizeof(step->dax), dax);
	return 0;
}

static struct tier_decision *add_decision(struct tier_plan *plan, const char *region)
{
	struct tier_decision *decision =
		array_grow(&plan->decisions, &plan->decision_count, sizeof(*decision));

	if (decision)
		copy_string(decision->region, sizeof(decision->region), region);
	return decision;
}

/* kmem hands only whole memory blocks to the kernel. */
static uint64_t usable_bytes(const struct tier_topology *topology, const struct tier_dax *dax)
{
	uint64_t size = topology->block_bytes;
	uint64_t start = ROUND_UP(dax->start, size);
	uint64_t end = (dax->start + dax->bytes) / size * size;

	return end > start ? end - start : 0;
}

static void survey(const struct tier_topology *topology, const struct tier_dax *dax,
		   struct memory *memory)
{
	const struct tier_block *block;
	size_t count;

	memory->daxs++;
	memory->bytes += usable_bytes(topology, dax);
	if (dax->mode != TIER_DAX_SYSTEM_RAM)
		return;
	memory->bound++;
	block = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
	memory->blocks += count;
	memory->missing |= count * topology->block_bytes < usable_bytes(topology, dax);
	for (; count > 0; block++, count--) {
		if (block->state == TIER_BLOCK_OFFLINE) {
			memory->no_movable |= !block->can_movable;
			memory->no_kernel |= !block->can_kernel;
			continue;
		}
		memory->zone = memory->online == 0 || memory->zone == block->zone ? block->zone
										  : TIER_ZONE_MIXED;
		memory->online++;
	}
}

static bool is_kernel_zone(enum tier_zone zone)
{
	return zone == TIER_ZONE_NORMAL || zone == TIER_ZONE_DMA || zone == TIER_ZONE_DMA32;
}

/* What the machine has before the plan, in bytes present in the zones. */
static int sum_zones(const struct tier_topology *topology, uint64_t *ret_kernel,
		     uint64_t *ret_movable)
{
	uint64_t kernel = 0, movable = 0;

	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];

		if (node->present_kernel_bytes == TIER_UNKNOWN_U64 ||
		    node->present_movable_bytes == TIER_UNKNOWN_U64)
			return TIER_E_REFUSED;
		kernel += node->present_kernel_bytes;
		movable += node->present_movable_bytes;
	}
	if (kernel == 0)
		return TIER_E_REFUSED;
	*ret_kernel = kernel;
	*ret_movable = movable;
	return 0;
}

static unsigned percent(uint64_t movable, uint64_t kernel)
{
	__uint128_t value = (__uint128_t)movable * 100 / kernel;

	return value > UINT_MAX ? UINT_MAX : (unsigned)value;
}

static bool fits(uint64_t movable, uint64_t kernel, unsigned ratio_percent)
{
	return (__uint128_t)movable * 100 <= (__uint128_t)kernel * ratio_percent;
}

static void next_offline(char *text, size_t size, const char *region)
{
	snprintf(text, size, "take it offline first: tierctl offline %s", region);
}

/* Refuses what cannot be onlined as a whole; 0 if all of it is offline, or online in one zone. */
static int check_region(const struct tier_topology *topology, const struct tier_region *region,
			struct memory *ret, struct tier_problem *problem)
{
	const struct tier_dax *dax = NULL;
	struct memory memory = {.type = region->type_by_kernel ? region->type : TIER_MEMORY_LOCAL};
	char offline[80];

	next_offline(offline, sizeof(offline), region->name);
	if (topology->block_bytes == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, region->name,
					"boot a kernel with CONFIG_MEMORY_HOTPLUG",
					"cannot plan: this kernel has no memory blocks");
	while ((dax = tier_topology_region_dax(topology, region->name, dax))) {
		if (dax->start == TIER_UNKNOWN_U64)
			return tier_problem_set(
				problem, TIER_E_REFUSED, region->name, "try again as root",
				"cannot plan: the physical address of %s is not readable",
				dax->name);
		survey(topology, dax, &memory);
	}
	if (memory.daxs == 0)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name,
			region->committed
				? "modprobe dax_cxl; for pmem: ndctl create-namespace -m devdax"
				: "commit it first: cxl enable-region",
			"cannot be onlined: it has no dax device");
	if (memory.bytes == 0)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name, NULL,
			"cannot be onlined: it holds no whole memory block of %" PRIu64 " MiB",
			topology->block_bytes / MIB);
	if (memory.missing)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name,
			"take it back first: tierctl offline --to-devdax, then try again",
			"cannot be onlined: it is system RAM, but the kernel has made "
			"memory blocks of only a part of it");
	if (memory.online > 0 && (memory.online < memory.blocks || memory.bound < memory.daxs))
		return tier_problem_set(
			problem, TIER_E_BUSY, region->name, offline,
			"is partly online: %zu of its %" PRIu64
			" memory blocks, in zone %s; only a whole region is onlined",
			memory.online, memory.bytes / topology->block_bytes,
			tier_zone_name(memory.zone));
	*ret = memory;
	return 0;
}

static int add_online_steps(struct tier_plan *plan, const struct tier_topology *topology,
			    const struct tier_region *region, enum tier_step_action action)
{
	const struct tier_dax *dax = NULL;
	int r = 0;

	while (r == 0 && (dax = tier_topology_region_dax(topology, region->name, dax))) {
		const struct tier_block *block;
		size_t count;

		if (usable_bytes(topology, dax) == 0)
			continue;
		if (dax->mode != TIER_DAX_SYSTEM_RAM) {
			r = add_step(plan, TIER_STEP_BIND_RAM, region->name, dax->name,
				     TIER_UNKNOWN_U64);
			if (r == 0)
				r = add_step(plan, action, region->name, dax->name,
					     TIER_UNKNOWN_U64);
			continue;
		}
		block = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = add_step(plan, action, region->name, dax->name, block[i].index);
	}
	return r;
}

/* Chooses the zone; fills in the reason; TIER_E_RATIO if what is wanted is not allowed. */
static int choose(const struct tier_online_policy *policy, enum tier_online_zone wanted,
		  const struct memory *memory, struct tier_decision *decision,
		  struct tier_problem *problem)
{
	uint64_t kernel = decision->kernel_bytes_before, before = decision->movable_bytes_before;
	uint64_t after = before + memory->bytes;
	unsigned ratio = policy->ratio_percent;
	bool fit = fits(after, kernel, ratio), movable;
	char after_text[16], kernel_text[16], sum[160];

	snprintf(sum, sizeof(sum),
		 "%s movable after this against %s kernel is %u %%, allowed %u %%",
		 format_bytes(after_text, after), format_bytes(kernel_text, kernel),
		 percent(after, kernel), ratio);
	if (wanted == TIER_ONLINE_MOVABLE && !fit)
		return tier_problem_set(problem, TIER_E_RATIO, decision->region,
					"allow more with --ratio, or choose --zone kernel",
					"cannot go to Movable: %s", sum);
	movable = wanted == TIER_ONLINE_MOVABLE ||
		  (wanted == TIER_ONLINE_AUTO && fit && !memory->no_movable);
	if (!movable && memory->type > TIER_MEMORY_LOCAL && wanted == TIER_ONLINE_KERNEL)
		return tier_problem_set(problem, TIER_E_REFUSED, decision->region,
					"choose --zone movable, or type it Local",
					"cannot go to a kernel zone: %s memory has none",
					tier_memory_type_name(memory->type));
	if (!movable && memory->type > TIER_MEMORY_LOCAL)
		return tier_problem_set(problem, TIER_E_RATIO, decision->region,
					"allow more with --ratio, or type it Local",
					"cannot go to Movable: %s; %s memory has no kernel zone",
					sum, tier_memory_type_name(memory->type));
	if (movable ? memory->no_movable : memory->no_kernel)
		return tier_problem_set(
			problem, TIER_E_REFUSED, decision->region, "see tierctl list blocks",
			"cannot go to %s: the kernel does not offer that zone for every "
			"one of its memory blocks",
			movable ? "Movable" : "a kernel zone");
	decision->zone = movable ? TIER_ZONE_MOVABLE : TIER_ZONE_NORMAL;
	decision->ratio_percent_after = percent(movable ? after : before, kernel);
	if (movable)
		snprintf(decision->reason, sizeof(decision->reason), "Movable: %s", sum);
	else if (wanted == TIER_ONLINE_KERNEL)
		snprintf(decision->reason, sizeof(decision->reason),
			 "Normal: a kernel zone was asked for");
	else if (ratio == 0)
		snprintf(decision->reason, sizeof(decision->reason),
			 "Normal: a ratio of 0 sends everything to a kernel zone");
	else if (fit)
		snprintf(decision->reason, sizeof(decision->reason),
			 "Normal: the kernel does not offer Movable for all of it");
	else
		snprintf(decision->reason, sizeof(decision->reason), "Normal: as Movable, %s", sum);
	return 0;
}

static int plan_request(struct tier_plan *plan, const struct tier_topology *topology,
			const struct tier_online_policy *policy,
			const struct tier_online_request *request, uint64_t kernel,
			uint64_t *movable, struct tier_problem *problem)
{
	const struct tier_region *region = tier_topology_region(topology, request->region);
	struct tier_decision *decision;
	struct memory memory;
	char offline[80];
	int r;

	next_offline(offline, sizeof(offline), request->region);
	if (!region)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, request->region,
					"see tierctl list regions", "no such region");
	for (size_t i = 0; i < plan->decision_count; i++)
		if (streq(plan->decisions[i].region, request->region))
			return tier_problem_set(problem, -EINVAL, request->region, NULL,
						"named more than once");
	decision = add_decision(plan, region->name);
	if (!decision)
		return tier_problem_set(problem, -ENOMEM, region->name, NULL, "cannot plan");
	decision->kernel_bytes_before = kernel;
	decision->movable_bytes_before = *movable;
	decision->ratio_percent_after = percent(*movable, kernel);
	if (request->zone == TIER_ONLINE_NO) {
		snprintf(decision->reason, sizeof(decision->reason), "left as it is: Online=no");
		return 0;
	}
	r = check_region(topology, region, &memory, problem);
	if (r)
		return r;
	decision->bytes = memory.bytes;
	if (memory.online > 0) {
		bool as_wanted = memory.zone == TIER_ZONE_MOVABLE
					 ? request->zone != TIER_ONLINE_KERNEL
					 : is_kernel_zone(memory.zone) &&
						   request->zone != TIER_ONLINE_MOVABLE;
		if (!as_wanted)
			return tier_problem_set(problem, TIER_E_BUSY, region->name, offline,
						"is already online, in zone %s",
						tier_zone_name(memory.zone));
		snprintf(decision->reason, sizeof(decision->reason), "already online in %s",
			 tier_zone_name(memory.zone));
		return 0;
	}
	r = choose(policy, request->zone, &memory, decision, problem);
	if (r)
		return r;
	bool to_movable = decision->zone == TIER_ZONE_MOVABLE;
	if (to_movable)
		*movable += memory.bytes;
	if (add_online_steps(plan, topology, region,
			     to_movable ? TIER_STEP_ONLINE_MOVABLE : TIER_STEP_ONLINE_KERNEL) < 0)
		return tier_problem_set(problem, -ENOMEM, region->name, NULL, "cannot plan");
	return 0;
}

int tier_plan_online(const struct tier_topology *topology, const struct tier_online_policy *policy,
		     struct tier_plan **ret_plan, struct tier_problem *problem)
{
	_cleanup_plan_ struct tier_plan *plan = calloc(1, sizeof(*plan));
	uint64_t kernel = 0, movable = 0;
	int r;

	if (!plan)
		return tier_problem_set(problem, -ENOMEM, "plan", NULL, "cannot plan");
	if (sum_zones(topology, &kernel, &movable))
		return tier_problem_set(problem, TIER_E_REFUSED, "/proc/zoneinfo", NULL,
					"cannot plan: it does not say how much memory each zone "
					"has, so the ratio is unknown");
	for (size_t i = 0; i < policy->request_count; i++) {
		/* Kernel memory that the plan adds does not count, so kernel stays as it is. */
		r = plan_request(plan, topology, policy, &policy->requests[i], kernel, &movable,
				 problem);
		if (r)
			return r;
	}
	*ret_plan = TAKE(plan);
	return 0;
}

int tier_plan_offline(const struct tier_topology *topology, const char *name, bool to_devdax,
		      struct tier_plan **ret_plan, struct tier_problem *problem)
{
	_cleanup_plan_ struct tier_plan *plan = calloc(1, sizeof(*plan));
	const struct tier_region *region = tier_topology_region(topology, name);
	struct tier_decision *decision;
	size_t online = 0, bound = 0;
	uint64_t bytes = 0, kernel = 0, movable = 0;
	int r = 0;

	if (!region)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "see tierctl list regions",
					"no such region");
	decision = plan ? add_decision(plan, name) : NULL;
	if (!decision)
		return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot plan");
	if (sum_zones(topology, &kernel, &movable) == 0) {
		decision->kernel_bytes_before = kernel;
		decision->movable_bytes_before = movable;
	}
	/* Backwards over the devices, so that the highest block goes first. */
	for (size_t i = topology->dax_count; r == 0 && i-- > 0;) {
		const struct tier_dax *dax = &topology->daxs[i];
		const struct tier_block *block;
		size_t count;

		if (!streq(dax->region, name) || dax->mode != TIER_DAX_SYSTEM_RAM)
			continue;
		if (dax->start == TIER_UNKNOWN_U64)
			return tier_problem_set(
				problem, TIER_E_REFUSED, name, "try again as root",
				"cannot plan: the physical address of %s is not readable",
				dax->name);
		bound++;
		block = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
		while (r == 0 && count-- > 0) {
			if (block[count].state == TIER_BLOCK_OFFLINE)
				continue;
			online++;
			bytes += topology->block_bytes;
			uint64_t *sum = block[count].zone == TIER_ZONE_MOVABLE ? &movable : &kernel;
			*sum -= MIN(*sum, topology->block_bytes);
			r = add_step(plan, TIER_STEP_OFFLINE, name, dax->name, block[count].index);
		}
		if (r == 0 && to_devdax)
			r = add_step(plan, TIER_STEP_BIND_DEVDAX, name, dax->name,
				     TIER_UNKNOWN_U64);
	}
	if (r < 0)
		return tier_problem_set(problem, r, name, NULL, "cannot plan");
	decision->bytes = bytes;
	decision->ratio_percent_after = kernel ? percent(movable, kernel) : 0;
	if (bound == 0)
		snprintf(decision->reason, sizeof(decision->reason), "not system RAM already");
	else if (online == 0)
		snprintf(decision->reason, sizeof(decision->reason),
			 "all of it is offline already");
	else
		snprintf(decision->reason, sizeof(decision->reason),
			 "%zu memory blocks are evacuated and taken offline", online);
	*ret_plan = TAKE(plan);
	return 0;
}

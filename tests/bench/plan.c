/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long planning takes, and what it yields: one line "NAME NUMBER" for each figure. Time is this
 * thread's own, the best of some rounds.
 */
#include <inttypes.h>
#include <time.h>

#include "online-plan.h"
#include "tier-explain.h"
#include "topology.h"
#include "zoning.h"

#define BLOCK_BYTES (128 * MIB)
#define PAGES	    (BLOCK_BYTES / 4096)
#define DEVICES	    64
#define ROUNDS	    5
#define MACHINES    400

static uint64_t random_state = 1;

static unsigned random_below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((random_state >> 33) % n);
}

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "plan: %s\n", what);
	exit(1);
}

static uint64_t now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct machine {
	struct tier_topology *topology;
	struct tier_online_request requests[DEVICES];
	struct tier_online_policy policy;
	uint64_t first[DEVICES], count[DEVICES]; /* blocks */
	uint64_t early_blocks;
};

/* A node with memory, and expanders on nodes of their own, all of whose blocks are offline. */
static void machine_new(struct machine *m, uint64_t early_blocks, unsigned devices,
			const uint64_t *sizes)
{
	uint64_t at = early_blocks + 64;
	struct tier_node *node;

	*m = (struct machine){.early_blocks = early_blocks};
	need(tier_topology_new(&m->topology) == 0, "no memory");
	m->topology->block_bytes = BLOCK_BYTES;
	m->topology->page_bytes = 4096;
	for (unsigned i = 0; i <= devices; i++) {
		node = topology_add_node(m->topology, (int)i);
		need(node, "no memory");
		node->present_kernel_bytes = i == 0 ? early_blocks * BLOCK_BYTES : 0;
		node->present_movable_bytes = 0;
	}
	for (unsigned i = 0; i < devices; i++) {
		char name[32];

		snprintf(name, sizeof(name), "region%u", i);
		struct tier_region *region = topology_add_region(m->topology, name);
		copy_string(m->requests[i].region, sizeof(m->requests[i].region), name);
		snprintf(name, sizeof(name), "dax%u.0", i);
		struct tier_dax *dax = topology_add_dax(m->topology, name);
		need(region && dax, "no memory");
		copy_string(dax->region, sizeof(dax->region), region->name);
		m->first[i] = at;
		m->count[i] = sizes[i];
		region->start = dax->start = at * BLOCK_BYTES;
		region->bytes = dax->bytes = sizes[i] * BLOCK_BYTES;
		region->target_node = dax->target_node = (int)i + 1;
		dax->mode = TIER_DAX_SYSTEM_RAM;
		for (uint64_t b = 0; b < sizes[i]; b++) {
			struct tier_block *block = topology_add_block(m->topology, at + b);

			need(block, "no memory");
			block->node = (int)i + 1;
			block->can_movable = block->can_kernel = true;
		}
		at += sizes[i];
	}
	m->policy = (struct tier_online_policy){
		.ratio_percent = 301, .requests = m->requests, .request_count = devices};
}

/* Nanoseconds for a plan with a step for each block; the last plan's Movable bytes. */
static uint64_t plan_nsec(const struct machine *m, uint64_t *ret_movable)
{
	uint64_t best = UINT64_MAX, blocks = m->topology->block_count;

	for (int round = 0; round < ROUNDS; round++) {
		struct tier_plan *plan = NULL;
		uint64_t start = now_nsec(), used, movable = 0;

		need(tier_plan_online(m->topology, &m->policy, &plan, NULL) == 0, "no plan");
		used = now_nsec() - start;
		need(plan->step_count == blocks, "not every block has its step");
		for (size_t i = 0; i < plan->decision_count; i++)
			if (plan->decisions[i].zone == TIER_ZONE_MOVABLE)
				movable += plan->decisions[i].bytes;
		tier_plan_free(plan);
		best = MIN(best, used);
		*ret_movable = movable;
	}
	return best;
}

/* The same devices by the kernel's rule, one after the other; its Movable bytes. */
static uint64_t kernel_nsec(const struct machine *m, bool numa_aware, uint64_t *ret_movable)
{
	const struct tier_zoning_policy policy = {
		.auto_movable = true, .ratio_percent = 301, .numa_aware = numa_aware};
	struct tier_zoning_zone early = {.start_pfn = 1 << 20,
					 .spanned_pages = m->early_blocks * PAGES,
					 .present_pages = m->early_blocks * PAGES,
					 .present_early_pages = m->early_blocks * PAGES};
	struct tier_zoning *zoning = NULL;
	uint64_t start, used;

	need(tier_zoning_new(PAGES, &zoning) == 0 &&
		     tier_zoning_set_zone(zoning, 0, TIER_ZONE_NORMAL, &early) == 0,
	     "no model of the kernel");
	start = now_nsec();
	*ret_movable = 0;
	for (size_t i = 0; i < m->policy.request_count; i++) {
		struct tier_zoning_group group = {.node = (int)i + 1, .pages = m->count[i] * PAGES};
		int id;

		need(tier_zoning_add_group(zoning, &group, &id) == 0 &&
			     tier_zoning_add(zoning, &policy, id, group.node, m->first[i],
					     m->count[i], TIER_ZONING_ONLINE) == 0,
		     "the model refuses a device");
		*ret_movable += tier_zoning_get_group(zoning, id)->present_movable_pages * 4096;
	}
	used = now_nsec() - start;
	tier_zoning_free(zoning);
	return used;
}

static void say(const char *name, uint64_t number)
{
	printf("%s %" PRIu64 "\n", name, number);
}

static void of_one_size(const char *name, uint64_t blocks, bool with_kernel)
{
	uint64_t sizes[DEVICES], movable;
	char text[64];
	struct machine m;

	for (unsigned i = 0; i < DEVICES; i++)
		sizes[i] = blocks / DEVICES;
	machine_new(&m, blocks / 8, DEVICES, sizes);
	snprintf(text, sizeof(text), "%s-nsec", name);
	say(text, plan_nsec(&m, &movable));
	snprintf(text, sizeof(text), "%s-blocks", name);
	say(text, m.topology->block_count);
	if (with_kernel) {
		struct tier_what_if *ranges = NULL;
		size_t count = 0;
		uint64_t start;

		say("kernel-rule-nsec", kernel_nsec(&m, false, &movable));
		start = now_nsec();
		need(tier_plan_what_if(m.topology, &m.policy, 0, 10000, &ranges, &count, NULL) == 0,
		     "no ranges");
		say("what-if-nsec", now_nsec() - start);
		say("what-if-ranges", count);
		tier_what_if_free(ranges, count);
	}
	tier_topology_free(m.topology);
}

/* No two alike and without a common divisor: the largest table of sums. */
static void of_odd_sizes(uint64_t blocks)
{
	uint64_t sizes[DEVICES], left = blocks, movable;
	struct machine m;

	for (unsigned i = 0; i < DEVICES - 1; i++)
		left -= sizes[i] = blocks / DEVICES - 631 + 20 * i + i % 3;
	sizes[DEVICES - 1] = left;
	machine_new(&m, blocks / 8, DEVICES, sizes);
	say("odd-nsec", plan_nsec(&m, &movable));
	tier_topology_free(m.topology);
}

/* Small machines, as they are bought: what can be taken out again afterwards. */
static void yield(void)
{
	static const unsigned gigabytes[] = {16, 32, 64, 64, 128, 256};
	uint64_t ours = 0, kernels = 0, all = 0, best = 0, aware = 0;

	for (unsigned i = 0; i < MACHINES; i++) {
		unsigned devices = 1 + random_below(8);
		uint64_t sizes[DEVICES], movable;
		struct machine m;

		for (unsigned d = 0; d < devices; d++)
			all += sizes[d] =
				(uint64_t)gigabytes[random_below(ARRAY_SIZE(gigabytes))] * 8;
		machine_new(&m, (uint64_t)gigabytes[random_below(4)] * 8, devices, sizes);
		plan_nsec(&m, &movable);
		ours += movable;
		best = movable;
		kernel_nsec(&m, false, &movable);
		kernels += movable;
		need(movable <= best, "the kernel's rule has more Movable than the plan");
		kernel_nsec(&m, true, &movable);
		aware += movable;
		tier_topology_free(m.topology);
	}
	say("movable-gib", ours / GIB);
	say("kernel-rule-movable-gib", kernels / GIB);
	say("kernel-rule-numa-aware-movable-gib", aware / GIB);
	say("all-gib", all / 8);
}

int main(void)
{
	of_one_size("half", 500032, false);
	of_one_size("million", 1000000, true);
	of_odd_sizes(1000000);
	yield();
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy over all devices: random machines, whose plans are carried out step by step and compared
 * with every other choice there is. TIER_SEED=N begins elsewhere, TIER_POLICY_MACHINES=N tries so many.
 */
#include "test.h"

#include "online-choose.h"
#include "online-machine.h"

#define MACHINES 1500
#define REGIONS	 9
#define UNIT	 (128 * MIB)

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((random_state >> 33) % n);
}

static uint64_t seed(void)
{
	const char *from = getenv("TIER_SEED");

	return from ? strtoull(from, NULL, 0) : 1;
}

/* What was asked for, and what a brute force makes of it. */
struct asked {
	uint64_t bytes, value;
	bool only, both; /* only Movable will do; either zone */
	bool refused;	 /* whatever the ratio */
	bool idle;	 /* nothing to be done */
	enum tier_zone best;
};

struct scene {
	struct tier_topology *topology;
	struct tier_online_request requests[REGIONS];
	struct tier_online_policy policy;
	struct asked asked[REGIONS];
	uint64_t kernel, movable;
};

static void region_of_scene(struct scene *s, unsigned i)
{
	static const unsigned weights[] = {0, 1, 50, 100, 100, 200, 1000};
	struct tier_online_request *request = &s->requests[i];
	struct asked *asked = &s->asked[i];
	uint64_t blocks = 1 + random_below(random_below(2) ? 8 : 40);
	bool ram = random_below(2), typed = random_below(8) == 0;
	bool no_movable = ram && random_below(12) == 0, no_kernel = ram && random_below(12) == 0;

	snprintf(request->region, sizeof(request->region), "region%u", i);
	request->zone = random_below(2) ? TIER_ONLINE_AUTO : (enum tier_online_zone)random_below(4);
	request->weight = weights[random_below(ARRAY_SIZE(weights))];
	add_region(s->topology, i, blocks * UNIT, ram ? TIER_DAX_SYSTEM_RAM : TIER_DAX_DEVDAX);
	struct tier_region *region = &s->topology->regions[i];
	struct tier_block *last = ram ? &s->topology->blocks[s->topology->block_count - 1] : NULL;
	region->type = typed ? TIER_MEMORY_SHARED : TIER_MEMORY_LOCAL;
	region->type_by_kernel = typed;
	region->target_node = 1;
	if (last) {
		last->can_movable = !no_movable;
		last->can_kernel = !no_kernel;
	}
	bool may_movable = request->zone != TIER_ONLINE_KERNEL && !no_movable;
	bool may_kernel = request->zone != TIER_ONLINE_MOVABLE && !no_kernel && !typed;

	*asked = (struct asked){.bytes = blocks * UNIT,
				.value = blocks * (request->weight ?: 100),
				.only = may_movable && !may_kernel,
				.both = may_movable && may_kernel,
				.refused = !may_movable && !may_kernel};
	if (request->zone == TIER_ONLINE_KERNEL && typed)
		asked->refused = true;
	if (request->zone == TIER_ONLINE_NO)
		*asked = (struct asked){.idle = true};
	else if (ram && random_below(6) == 0) {
		/* It is online already: counted, and not moved. */
		bool movable = random_below(2);

		put_online(s->topology, i, blocks, movable ? TIER_ZONE_MOVABLE : TIER_ZONE_NORMAL);
		*(movable ? &s->movable : &s->kernel) += blocks * UNIT;
		*asked = (struct asked){.idle = true};
		asked->refused =
			request->zone == (movable ? TIER_ONLINE_KERNEL : TIER_ONLINE_MOVABLE);
	}
}

static void scene_new(struct scene *s)
{
	static const unsigned ratios[] = {0, 1, 33, 100, 100, 250, 301, 301, 301, 1000, 10000};
	struct tier_node *node;

	memset(s, 0, sizeof(*s));
	s->kernel = (1 + random_below(40)) * UNIT - random_below(64) * MIB;
	s->movable = random_below(3) ? 0 : random_below(60) * UNIT;
	s->topology = machine(s->kernel, s->movable);
	if (random_below(4) == 0) {
		s->topology->nodes[0].cma_bytes = 64 * MIB;
		s->kernel -= 64 * MIB;
		s->movable += 64 * MIB;
	}
	/* Without processors and memory, as the node of an expander is. */
	node = topology_add_node(s->topology, 1);
	node->present_kernel_bytes = node->present_movable_bytes = 0;
	s->policy.ratio_percent = ratios[random_below(ARRAY_SIZE(ratios))];
	s->policy.request_count = 1 + random_below(REGIONS);
	s->policy.requests = s->requests;
	s->policy.keep_going = true;
	for (unsigned i = 0; i < s->policy.request_count; i++)
		region_of_scene(s, i);
	uint64_t before[2] = {machine_kernel(s->topology), machine_movable(s->topology)};
	/* Whatever is online shows in the zones of its node. */
	s->topology->nodes[1].present_kernel_bytes = s->kernel - before[0];
	s->topology->nodes[1].present_movable_bytes = s->movable - before[1];
}

static bool holds(uint64_t movable, uint64_t kernel, unsigned ratio)
{
	return (__uint128_t)movable * 100 <= (__uint128_t)kernel * ratio;
}

/* All subsets, the earlier region in the higher bit: a larger number is the better of two equal ones. */
static void brute_force(struct scene *s)
{
	unsigned n = (unsigned)s->policy.request_count, best = 0;
	uint64_t best_only = 0, best_both = 0, best_only_set = 0;

	for (unsigned set = 0; set < 1u << n; set++) {
		uint64_t kernel = s->kernel, movable = s->movable, only = 0, both = 0, only_set = 0;
		bool possible = true;

		for (unsigned i = 0; i < n; i++) {
			const struct asked *a = &s->asked[i];
			bool in = set >> (n - 1 - i) & 1;

			if (a->idle || a->refused || (!a->only && !a->both)) {
				possible &= !in;
				kernel += a->idle || a->refused ? 0 : a->bytes;
			} else if (in) {
				movable += a->bytes;
				*(a->only ? &only : &both) += a->value;
				only_set |= a->only ? UINT64_C(1) << (n - 1 - i) : 0;
			} else {
				kernel += a->both ? a->bytes : 0;
			}
		}
		if (!possible || (set && !holds(movable, kernel, s->policy.ratio_percent)))
			continue;
		/* With what is wanted automatically in Movable, too, later. */
		bool better = only != best_only		  ? only > best_only
			      : only_set != best_only_set ? only_set > best_only_set
			      : both != best_both	  ? both > best_both
							  : set > best;
		if (!better)
			continue;
		best = set;
		best_only = only;
		best_only_set = only_set;
		best_both = both;
	}
	for (unsigned i = 0; i < n; i++) {
		struct asked *a = &s->asked[i];

		a->best = a->idle || a->refused	    ? TIER_ZONE_NONE
			  : best >> (n - 1 - i) & 1 ? TIER_ZONE_MOVABLE
			  : a->only		    ? TIER_ZONE_NONE
						    : TIER_ZONE_NORMAL;
	}
}

static unsigned number_of(const char *region)
{
	return (unsigned)atoi(region + strlen("region"));
}

/* Carries it out. */
static void replay(const struct scene *s, const struct tier_plan *p)
{
	uint64_t kernel = s->kernel, movable = s->movable, done[REGIONS] = {};
	enum tier_zone zones[REGIONS] = {};
	unsigned ratio = s->policy.ratio_percent, turn = 0, last = 0;
	size_t step = 0;

	for (size_t d = 0; d < p->decision_count; d++) {
		const struct tier_decision *decision = &p->decisions[d];
		unsigned i = number_of(decision->region);
		unsigned own = decision->zone == TIER_ZONE_NORMAL    ? 0
			       : decision->zone == TIER_ZONE_MOVABLE ? 1
								     : 2;

		CHECK(own > turn || (own == turn && (d == 0 || i > last)));
		turn = own;
		last = i;
		CHECK_EQ(decision->kernel_bytes_before, kernel);
		CHECK_EQ(decision->movable_bytes_before, movable);
		for (; step < p->step_count && streq(p->steps[step].region, decision->region);
		     step++) {
			const struct tier_step *now = &p->steps[step];
			bool to_movable = now->action == TIER_STEP_ONLINE_MOVABLE;
			uint64_t bytes = now->block == TIER_UNKNOWN_U64 ? s->asked[i].bytes : UNIT;

			if (now->action == TIER_STEP_BIND_RAM)
				continue;
			CHECK(to_movable || now->action == TIER_STEP_ONLINE_KERNEL);
			CHECK(zones[i] == TIER_ZONE_NONE ||
			      (zones[i] == TIER_ZONE_MOVABLE) == to_movable);
			zones[i] = to_movable ? TIER_ZONE_MOVABLE : TIER_ZONE_NORMAL;
			*(to_movable ? &movable : &kernel) += bytes;
			done[i] += bytes;
			if (to_movable && !holds(movable, kernel, ratio))
				FAIL("step %zu exceeds the ratio: %" PRIu64 " to %" PRIu64
				     ", %u %%",
				     step, movable, kernel, ratio);
		}
		CHECK_EQ(zones[i], decision->zone);
		CHECK_EQ(done[i], decision->zone == TIER_ZONE_NONE ? 0 : s->asked[i].bytes);
		CHECK_EQ(decision->ratio_percent_after, (unsigned)(movable * 100 / kernel));
	}
	CHECK_EQ(step, p->step_count);
	CHECK_EQ(p->decision_count, s->policy.request_count);
}

static void check_scene(struct scene *s, unsigned *movables, unsigned *refusals)
{
	struct tier_plan *p = NULL, *again = NULL;
	struct tier_problem problem = {};
	char *text = NULL, *second = NULL;
	bool refused = false;

	CHECK_EQ(tier_plan_online(s->topology, &s->policy, &p, &problem), 0);
	brute_force(s);
	replay(s, p);
	for (size_t d = 0; d < p->decision_count; d++) {
		const struct tier_decision *decision = &p->decisions[d];
		const struct asked *a = &s->asked[number_of(decision->region)];

		if (decision->zone != a->best)
			FAIL("%s goes to %s, the best choice is %s: %s", decision->region,
			     tier_zone_name(decision->zone), tier_zone_name(a->best),
			     decision->reason);
		CHECK_EQ(decision->code != 0, a->refused || (a->only && a->best == TIER_ZONE_NONE));
		CHECK(decision->reason[0]);
		refused |= decision->code != 0;
		*movables += decision->zone == TIER_ZONE_MOVABLE;
		*refusals += decision->code == TIER_E_RATIO;
	}
	CHECK_EQ(tier_plan_to_json(p, &text), 0);
	s->policy.keep_going = false;
	CHECK_EQ(tier_plan_online(s->topology, &s->policy, &again, &problem) != 0, refused);
	if (!refused) {
		CHECK_EQ(tier_plan_to_json(again, &second), 0);
		CHECK_STR(text, second);
	}
	free(text);
	free(second);
	tier_plan_free(p);
	tier_plan_free(again);
}

TEST(random_machines)
{
	const char *many = getenv("TIER_POLICY_MACHINES");
	uint64_t machines = many ? strtoull(many, NULL, 0) : MACHINES;
	unsigned movables = 0, refusals = 0;
	static struct scene s;

	printf("# TIER_SEED=%" PRIu64 ", and the following\n", seed());
	for (uint64_t i = 0; i < machines; i++) {
		random_state = seed() + i;
		scene_new(&s);
		if (getenv("TIER_POLICY_MACHINES"))
			printf("# TIER_SEED=%" PRIu64 "\n", seed() + i);
		check_scene(&s, &movables, &refusals);
		s.topology = tier_topology_free(s.topology);
	}
	/* Of enough of each, so that the comparison means something. */
	CHECK(machines < 100 || (movables > machines / 2 && refusals > machines / 20));
}

/* ---- one property each, by numbers that can be followed ---- */

#define SETUP(kernel, movable)                                                                     \
	_cleanup_topology_ struct tier_topology *t = machine(kernel, movable);                     \
	_cleanup_plan_ struct tier_plan *p = NULL;                                                 \
	struct tier_problem problem = {};                                                          \
	struct tier_online_request r[4] = {{"region0"}, {"region1"}, {"region2"}, {"region3"}};    \
	struct tier_online_policy policy = {.ratio_percent = 100, .requests = r}

static enum tier_zone zone_in(const struct tier_plan *p, const char *region)
{
	for (size_t i = 0; i < p->decision_count; i++)
		if (streq(p->decisions[i].region, region))
			return p->decisions[i].zone;
	FAIL("no decision about %s", region);
}

static void add_regions(struct tier_topology *t, unsigned count, const uint64_t *sizes)
{
	for (unsigned i = 0; i < count; i++)
		add_region(t, i, sizes[i], TIER_DAX_DEVDAX);
}

TEST(what_must_be_movable_goes_before_what_may_be)
{
	SETUP(4 * GIB, 0);

	add_regions(t, 2, (uint64_t[]){4 * GIB, 8 * GIB});
	policy.request_count = 2;
	r[1].zone = TIER_ONLINE_MOVABLE;
	/* 8 to 4 + 4: the first one has to feed the kernel for it. */
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_STR(p->decisions[0].region, "region0");
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
	CHECK_EQ(p->decisions[1].zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(p->decisions[1].ratio_percent_after, 100);
	CHECK_HAS(p->decisions[0].reason, "12G movable after this against 4G kernel is 300 %");
}

TEST(what_must_feed_the_kernel_allows_more)
{
	SETUP(4 * GIB, 0);

	add_regions(t, 2, (uint64_t[]){8 * GIB, 4 * GIB});
	policy.request_count = 2;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region0"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region1"), TIER_ZONE_NORMAL);
	p = tier_plan_free(p);
	r[0].zone = TIER_ONLINE_KERNEL;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region0"), TIER_ZONE_NORMAL);
	CHECK_STR(p->decisions[0].region, "region0");
	CHECK_EQ(zone_in(p, "region1"), TIER_ZONE_MOVABLE);
}

TEST(weight_decides_and_else_the_order)
{
	SETUP(4 * GIB, 0);

	/* Any one of them, since 4 to 4 + 8 leaves no room for a second: (4 + 4) to (4 + 4) does. */
	add_regions(t, 3, (uint64_t[]){4 * GIB, 4 * GIB, 4 * GIB});
	policy.request_count = 3;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region0"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region1"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region2"), TIER_ZONE_NORMAL);
	p = tier_plan_free(p);
	r[2].weight = 101;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region1"), TIER_ZONE_NORMAL);
	CHECK_EQ(zone_in(p, "region2"), TIER_ZONE_MOVABLE);
	p = tier_plan_free(p);
	/* Another order of the same wishes. */
	r[2].weight = 0;
	snprintf(r[0].region, sizeof(r[0].region), "region2");
	snprintf(r[2].region, sizeof(r[2].region), "region0");
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region2"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region0"), TIER_ZONE_NORMAL);
}

/* One large region against two small ones that are less together. */
TEST(more_bytes_rather_than_more_devices)
{
	SETUP(4 * GIB, 0);

	add_regions(t, 3, (uint64_t[]){2 * GIB, 3 * GIB, 6 * GIB});
	policy.request_count = 3;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region2"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region0"), TIER_ZONE_NORMAL);
	CHECK_EQ(zone_in(p, "region1"), TIER_ZONE_NORMAL);
	p = tier_plan_free(p);
	r[0].weight = 250;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(zone_in(p, "region0"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region1"), TIER_ZONE_MOVABLE);
	CHECK_EQ(zone_in(p, "region2"), TIER_ZONE_NORMAL);
}

/* The kernel's numa_aware default would compare each with the node's own kernel memory, which is none. */
TEST(no_node_is_judged_by_itself)
{
	SETUP(4 * GIB, 0);
	struct tier_node *node = topology_add_node(t, 7);

	node->present_kernel_bytes = node->present_movable_bytes = 0;
	add_regions(t, 1, (uint64_t[]){4 * GIB});
	t->regions[0].target_node = 7;
	policy.request_count = 1;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
}

TEST(cma_is_not_the_kernels)
{
	SETUP(4 * GIB, 0);

	add_regions(t, 1, (uint64_t[]){2 * GIB});
	policy.request_count = 1;
	t->nodes[0].cma_bytes = GIB; /* 3 to 3 */
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(p->decisions[0].ratio_percent_after, 100);
	p = tier_plan_free(p);
	t->nodes[0].cma_bytes += 128 * MIB;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
}

/* One after the other, each in what those before it have left. */
TEST(devices_that_arrive_later)
{
	SETUP(4 * GIB, 0);
	struct tier_online_arrival arrivals[] = {{"new0", 2 * GIB, -1},
						 {"new1", 4 * GIB + 1, 3},
						 {"new2", 2 * GIB, -1},
						 {"new3", MIB, -1}};

	add_regions(t, 1, (uint64_t[]){2 * GIB});
	policy.request_count = 1;
	policy.arrivals = arrivals;
	policy.arrival_count = 4;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(p->decision_count, 5);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	CHECK(!p->decisions[0].arrival && p->decisions[1].arrival);
	CHECK_EQ(p->decisions[1].zone, TIER_ZONE_MOVABLE); /* 4 to 4 */
	CHECK_EQ(p->decisions[2].zone, TIER_ZONE_NORMAL);  /* 8 to 4 */
	CHECK_EQ(p->decisions[2].bytes, 4 * GIB);
	CHECK_EQ(p->decisions[3].zone, TIER_ZONE_MOVABLE); /* 6 to 8 */
	CHECK_EQ(p->decisions[3].kernel_bytes_before, 8 * GIB);
	CHECK_EQ(p->decisions[4].zone, TIER_ZONE_NONE);
	CHECK_HAS(p->decisions[4].reason, "no whole memory block");
	CHECK_EQ(p->step_count, 2);
}

TEST(one_that_is_refused_does_not_stop_the_others)
{
	SETUP(4 * GIB, 0);

	add_regions(t, 2, (uint64_t[]){8 * GIB, GIB});
	policy.request_count = 3;
	r[0].zone = TIER_ONLINE_MOVABLE;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), TIER_E_NOT_FOUND);
	policy.keep_going = true;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(p->decision_count, 3);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	CHECK_STR(p->decisions[0].region, "region1");
	CHECK_EQ(p->decisions[1].code, TIER_E_RATIO);
	/* Against the best that can be had for it: the other one in a kernel zone. */
	CHECK_HAS(p->decisions[1].reason,
		  "8G movable after this against 5G kernel is 160 %, allowed 100 %");
	CHECK_EQ(p->decisions[2].code, TIER_E_NOT_FOUND);
	CHECK_HAS(p->decisions[2].next, "tierctl list regions");
}

/* "is 301 %, allowed 301 %" would explain nothing. */
TEST(hardly_more_than_the_ratio)
{
	SETUP(4 * GIB, 0);

	add_regions(t, 1, (uint64_t[]){4 * GIB});
	policy.request_count = 1;
	t->nodes[0].present_kernel_bytes -= 4096;
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
	CHECK_HAS(p->decisions[0].reason, "is more than 100 %, allowed 100 %");
}

/* So many that sizes are rounded up: never more than the ratio, nearly as good, nothing left that fits. */
TEST(many_large_devices)
{
	enum { COUNT = 1000 };
	static struct online_candidate candidates[COUNT];
	struct online_sum before = {.kernel = 1000000 * UNIT}, best;
	unsigned ratio = 150;

	for (unsigned turn = 0; turn < 1; turn++) {
		__uint128_t value = 0, bound = 0;
		struct online_sum after = before;

		random_state = seed() + turn;
		for (unsigned i = 0; i < COUNT; i++)
			candidates[i] =
				(struct online_candidate){.bytes = (1 + random_below(10000)) * UNIT,
							  .weight = 100,
							  .may_movable = true,
							  .may_kernel = true};
		CHECK_EQ(online_choose(&before, ratio, UNIT, candidates, COUNT, &best), 0);
		for (unsigned i = 0; i < COUNT; i++) {
			bool movable = candidates[i].zone == TIER_ZONE_MOVABLE;

			CHECK(movable || candidates[i].zone == TIER_ZONE_NORMAL);
			*(movable ? &after.movable : &after.kernel) += candidates[i].bytes;
			value += movable ? candidates[i].bytes : 0;
		}
		CHECK(online_fits(&after, ratio));
		for (unsigned i = 0; i < COUNT; i++) {
			struct online_sum other = {after.kernel - candidates[i].bytes,
						   after.movable + candidates[i].bytes};

			CHECK(candidates[i].zone == TIER_ZONE_MOVABLE ||
			      !online_fits(&other, ratio));
		}
		/* If devices could be cut. */
		bound = (__uint128_t)best.kernel * ratio / (100 + ratio);
		CHECK(value * 1000 >= bound * 999);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include "online-machine.h"

/* Memory without a dax device, and what an earlier attempt has left half online. */

static void add_blocks(struct tier_topology *t, uint64_t first, uint64_t last, int node)
{
	for (uint64_t index = first; index <= last; index++) {
		struct tier_block *block = topology_add_block(t, index);

		block->node = node;
		block->can_movable = block->can_kernel = true;
	}
	topology_sort(t);
}

static void set_online(struct tier_topology *t, uint64_t index, enum tier_zone zone)
{
	for (size_t i = 0; i < t->block_count; i++)
		if (t->blocks[i].index == index) {
			t->blocks[i].state = TIER_BLOCK_ONLINE;
			t->blocks[i].zone = zone;
		}
}

static int plan(const struct tier_topology *t, const char *name, enum tier_online_zone zone,
		bool resume, struct tier_plan **ret, struct tier_problem *problem)
{
	struct tier_online_request request = {.zone = zone, .resume = resume};
	struct tier_online_policy policy = {
		.ratio_percent = 301, .requests = &request, .request_count = 1};

	copy_string(request.region, sizeof(request.region), name);
	return tier_plan_online(t, &policy, ret, problem);
}

#define SETUP()                                                                                    \
	_cleanup_topology_ struct tier_topology *t = machine(2 * GIB, 0);                          \
	_cleanup_plan_ struct tier_plan *p = NULL;                                                 \
	struct tier_problem problem = {}

TEST(names)
{
	static const char *const wrong[] = {
		"",	     "memory",	   "memory-4",	  "memory4-",
		"memory5-4", "memory4-5x", "memory 4",	  "memory4- 5",
		"memory+4",  "region4",	   "memory4-5-6", "memory99999999999999999999"};
	uint64_t first, last;
	char name[32];

	tier_run_name(name, 48, 143);
	CHECK_STR(name, "memory48-143");
	CHECK_EQ(tier_run_parse(name, &first, &last), 0);
	CHECK_EQ(first, 48);
	CHECK_EQ(last, 143);
	tier_run_name(name, 7, 7);
	CHECK_STR(name, "memory7");
	CHECK_EQ(tier_run_parse(name, &first, &last), 0);
	CHECK_EQ(first, 7);
	CHECK_EQ(last, 7);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK_EQ(tier_run_parse(wrong[i], &first, &last), -EINVAL);
}

TEST(online)
{
	SETUP();

	add_blocks(t, 48, 55, 0);
	CHECK_EQ(plan(t, "memory48-55", TIER_ONLINE_AUTO, false, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(p->decisions[0].bytes, GIB);
	CHECK_EQ(p->step_count, 8);
	for (size_t i = 0; i < 8; i++) {
		CHECK_EQ(p->steps[i].action, TIER_STEP_ONLINE_MOVABLE);
		CHECK_EQ(p->steps[i].block, 48 + i);
		CHECK_STR(p->steps[i].region, "memory48-55");
		CHECK_STR(p->steps[i].dax, "");
	}
	p = tier_plan_free(p);
	CHECK_EQ(plan(t, "memory50", TIER_ONLINE_KERNEL, false, &p, &problem), 0);
	CHECK_EQ(p->step_count, 1);
	CHECK_EQ(p->steps[0].action, TIER_STEP_ONLINE_KERNEL);
	CHECK_EQ(p->steps[0].block, 50);
}

static void expect_none(const struct tier_topology *t, const char *name)
{
	_cleanup_plan_ struct tier_plan *p = NULL;
	struct tier_problem problem = {};

	CHECK_EQ(plan(t, name, TIER_ONLINE_AUTO, false, &p, &problem), TIER_E_NOT_FOUND);
	CHECK(!p);
	CHECK_STR(problem.object, name);
	CHECK_EQ(tier_plan_offline(t, name, false, &p, &problem), TIER_E_NOT_FOUND);
}

/* Never what belongs to a CXL window, region or dax device, by whatever name. */
TEST(only_ordinary_memory)
{
	SETUP();

	add_blocks(t, 48, 55, 0);
	add_blocks(t, 56, 57, 1);
	expect_none(t, "memory48-56");
	expect_none(t, "memory47-48");
	expect_none(t, "memory57-58");
	expect_none(t, "memory18446744073709551615");
	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	topology_sort(t);
	expect_none(t, "memory512");
	expect_none(t, "memory512-519");
	t->daxs[0].region[0] = '\0';
	t->regions[0].start = 128 * GIB;
	expect_none(t, "memory512");
	t->daxs[0].start = TIER_UNKNOWN_U64;
	expect_none(t, "memory48");
	t->daxs[0].bytes = 0;
	CHECK_EQ(plan(t, "memory48", TIER_ONLINE_AUTO, false, &p, &problem), 0);
	struct tier_window *window = topology_add_window(t, "decoder0.0");
	window->start = 50 * t->block_bytes + 4096;
	window->bytes = 4096;
	expect_none(t, "memory50");
	expect_none(t, "memory49-51");
	p = tier_plan_free(p);
	CHECK_EQ(plan(t, "memory51", TIER_ONLINE_AUTO, false, &p, &problem), 0);
}

TEST(half_online)
{
	SETUP();

	add_blocks(t, 48, 55, 0);
	set_online(t, 48, TIER_ZONE_NORMAL);
	set_online(t, 49, TIER_ZONE_NORMAL);
	CHECK_EQ(plan(t, "memory48-55", TIER_ONLINE_AUTO, false, &p, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "partly online: 2 of its 8");
	/* The rest goes to the zone of the beginning, though there were room in the other. */
	CHECK_EQ(plan(t, "memory48-55", TIER_ONLINE_AUTO, true, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
	CHECK_EQ(p->decisions[0].bytes, 6 * t->block_bytes);
	CHECK_EQ(p->step_count, 6);
	for (size_t i = 0; i < 6; i++)
		CHECK_EQ(p->steps[i].block, 50 + i);
	p = tier_plan_free(p);
	CHECK_EQ(plan(t, "memory48-55", TIER_ONLINE_MOVABLE, true, &p, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "zone Normal");
	set_online(t, 50, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, "memory48-55", TIER_ONLINE_AUTO, true, &p, &problem), TIER_E_BUSY);
}

TEST(half_online_region)
{
	SETUP();

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	topology_sort(t);
	put_online(t, 0, 3, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, "region0", TIER_ONLINE_MOVABLE, false, &p, &problem), TIER_E_BUSY);
	CHECK_EQ(plan(t, "region0", TIER_ONLINE_MOVABLE, true, &p, &problem), 0);
	CHECK_EQ(p->step_count, 5);
	CHECK_EQ(p->steps[0].action, TIER_STEP_ONLINE_MOVABLE);
	CHECK_EQ(p->steps[0].block, 515);
	p = tier_plan_free(p);
	/* Its last block came online before it could be said so. */
	put_online(t, 0, 8, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, "region0", TIER_ONLINE_MOVABLE, true, &p, &problem), 0);
	CHECK_EQ(p->step_count, 0);
	CHECK_HAS(p->decisions[0].reason, "already online in Movable");
}

TEST(offline)
{
	SETUP();

	add_blocks(t, 48, 51, 0);
	set_online(t, 48, TIER_ZONE_MOVABLE);
	set_online(t, 50, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_plan_offline(t, "memory48-51", false, &p, &problem), 0);
	CHECK_EQ(p->step_count, 2);
	CHECK_EQ(p->steps[0].block, 50);
	CHECK_EQ(p->steps[1].block, 48);
	CHECK_EQ(p->decisions[0].bytes, 2 * t->block_bytes);
	p = tier_plan_free(p);
	CHECK_EQ(tier_plan_offline(t, "memory48-51", true, &p, &problem), TIER_E_REFUSED);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include "json.h"
#include "online-machine.h"

/* Plans regions 0 .. count - 1 alike. */
static int plan(const struct tier_topology *t, unsigned ratio, enum tier_online_zone zone,
		size_t count, struct tier_plan **ret, struct tier_problem *problem)
{
	struct tier_online_request requests[8] = {};
	struct tier_online_policy policy = {
		.ratio_percent = ratio, .requests = requests, .request_count = count};

	for (size_t i = 0; i < count; i++) {
		snprintf(requests[i].region, sizeof(requests[i].region), "region%zu", i);
		requests[i].zone = zone;
	}
	return tier_plan_online(t, &policy, ret, problem);
}

#define SETUP(kernel, movable)                                                                     \
	_cleanup_topology_ struct tier_topology *t = machine(kernel, movable);                     \
	_cleanup_plan_ struct tier_plan *p = NULL;                                                 \
	struct tier_problem problem = {}

TEST(movable_when_it_fits)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decision_count, 1);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(p->decisions[0].bytes, GIB);
	CHECK_EQ(p->decisions[0].ratio_percent_after, 50);
	CHECK_STR(p->decisions[0].reason,
		  "Movable: 1G movable after this against 2G kernel is 50 %, allowed 301 %");
	CHECK_EQ(p->step_count, 8);
	for (size_t i = 0; i < 8; i++) {
		CHECK_EQ(p->steps[i].action, TIER_STEP_ONLINE_MOVABLE);
		CHECK_EQ(p->steps[i].block, 512 + i);
		CHECK_STR(p->steps[i].dax, "dax0.0");
	}
}

/* Exactly the ratio is allowed, one block more is not. */
TEST(the_limit_itself)
{
	SETUP(GIB, 0);

	add_region(t, 0, 3 * GIB, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(plan(t, 300, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	p = tier_plan_free(p);
	CHECK_EQ(plan(t, 299, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
	CHECK_EQ(p->decisions[0].ratio_percent_after, 0);
	CHECK_EQ(p->steps[0].action, TIER_STEP_ONLINE_KERNEL);
	CHECK_HAS(p->decisions[0].reason, "is 300 %, allowed 299 %");
}

/* Movable memory that is there already counts. */
TEST(existing_movable_counts)
{
	SETUP(GIB, 2 * GIB);

	add_region(t, 0, GIB + 128 * MIB, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
}

/*
 * Seed 000's DIMMs, where the kernel's rule has three Movable and all others in Normal (test-zoning.c,
 * seed_000_dimms): two of them feed the kernel, so that six can be taken out again.
 */
TEST(seed_000_dimms_together)
{
	SETUP(4 * GIB, 0);

	for (unsigned i = 0; i < 8; i++)
		add_region(t, i, 4 * GIB, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 8, &p, &problem), 0);
	CHECK_EQ(p->decision_count, 8);
	for (unsigned i = 0; i < 8; i++) {
		const struct tier_decision *d = &p->decisions[i];

		/* The last two of them, and first of all. */
		CHECK_EQ(d->zone, i < 2 ? TIER_ZONE_NORMAL : TIER_ZONE_MOVABLE);
		CHECK_EQ(d->region[6], i < 2 ? '6' + (char)i : '0' + (char)i - 2);
		CHECK_EQ(d->kernel_bytes_before, (4 + 4 * MIN(i, 2u)) * GIB);
		CHECK_EQ(d->movable_bytes_before, i < 2 ? 0 : 4 * (i - 2) * GIB);
	}
	CHECK_EQ(p->steps[0].action, TIER_STEP_ONLINE_KERNEL);
	CHECK_EQ(p->steps[64].action, TIER_STEP_ONLINE_MOVABLE);
	CHECK_EQ(p->decisions[7].ratio_percent_after, 200);
	CHECK_HAS(p->decisions[0].reason,
		  "28G movable after this against 8G kernel is 350 %, allowed 301 %");
}

TEST(ratio_zero_is_kernel)
{
	SETUP(4 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(plan(t, 0, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
}

TEST(movable_demanded_but_forbidden)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(plan(t, 49, TIER_ONLINE_MOVABLE, 1, &p, &problem), TIER_E_RATIO);
	CHECK(p == NULL);
	CHECK_STR(problem.object, "region0");
	CHECK_HAS(problem.text, "50 %, allowed 49 %");
	CHECK_EQ(plan(t, 50, TIER_ONLINE_MOVABLE, 1, &p, &problem), 0);
}

TEST(devdax_is_bound_first)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].bytes, GIB);
	CHECK_EQ(p->step_count, 2);
	CHECK_EQ(p->steps[0].action, TIER_STEP_BIND_RAM);
	CHECK_EQ(p->steps[1].action, TIER_STEP_ONLINE_MOVABLE);
	CHECK_EQ(p->steps[1].block, TIER_UNKNOWN_U64);
}

/* It is system RAM, but has no blocks: all of it goes online as it is, or is bound anew if a part stays out. */
TEST(unplugged_is_onlined_whole)
{
	uint64_t retired[] = {514};

	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	t->daxs[0].mode = TIER_DAX_SYSTEM_RAM;
	copy_string(t->daxs[0].state, sizeof(t->daxs[0].state), "unplugged");
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].bytes, GIB);
	CHECK_EQ(p->step_count, 1);
	CHECK_EQ(p->steps[0].action, TIER_STEP_ONLINE_MOVABLE);
	CHECK_EQ(p->steps[0].block, TIER_UNKNOWN_U64);
	p = tier_plan_free(p);
	t->retired_blocks = retired;
	t->retired_block_count = 1;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->step_count, 9);
	CHECK_EQ(p->steps[0].action, TIER_STEP_BIND_DEVDAX);
	CHECK_EQ(p->steps[1].action, TIER_STEP_BIND_RAM);
	CHECK_EQ(p->steps[2].action, TIER_STEP_ONLINE_MOVABLE);
	CHECK_EQ(p->steps[2].block, 512);
	CHECK_EQ(p->steps[4].block, 515);
	t->retired_blocks = NULL;
	t->retired_block_count = 0;
}

/* Of any other state it has blocks, and without them it is refused. */
TEST(plugged_without_blocks)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	t->daxs[0].mode = TIER_DAX_SYSTEM_RAM;
	copy_string(t->daxs[0].state, sizeof(t->daxs[0].state), "offline");
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "only a part");
}

/* A control area of 2 MiB at the start costs a whole block; less than a block is nothing. */
TEST(only_whole_blocks)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	t->daxs[0].start += 2 * MIB;
	t->daxs[0].bytes -= 2 * MIB;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].bytes, GIB - 128 * MIB);
	p = tier_plan_free(p);
	t->daxs[0].bytes = 128 * MIB;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "no whole memory block");
}

TEST(already_online)
{
	SETUP(2 * GIB, GIB);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	put_online(t, 0, 8, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->step_count, 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NONE);
	CHECK_STR(p->decisions[0].reason, "already online in Movable");
	p = tier_plan_free(p);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_KERNEL, 1, &p, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "already online, in zone Movable");
	CHECK_HAS(problem.next, "tierctl offline region0");
	put_online(t, 0, 8, TIER_ZONE_NORMAL);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_MOVABLE, 1, &p, &problem), TIER_E_BUSY);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_KERNEL, 1, &p, &problem), 0);
	CHECK_EQ(p->step_count, 0);
}

TEST(partly_online)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	put_online(t, 0, 3, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "3 of its 8 memory blocks");
}

/* Two devices make up one region: one of them online is a part. */
TEST(two_devices_of_a_region)
{
	SETUP(4 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	add_region(t, 1, GIB, TIER_DAX_DEVDAX);
	copy_string(t->daxs[1].region, sizeof(t->daxs[1].region), "region0");
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].bytes, 2 * GIB);
	CHECK_EQ(p->step_count, 8 + 2);
	p = tier_plan_free(p);
	/* 2 GiB do not fit into 49 %, so neither device goes to Movable. */
	CHECK_EQ(plan(t, 49, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	for (size_t i = 0; i < p->step_count; i++)
		CHECK(p->steps[i].action != TIER_STEP_ONLINE_MOVABLE);
	p = tier_plan_free(p);
	put_online(t, 0, 8, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_BUSY);
}

TEST(refusals)
{
	SETUP(2 * GIB, 0);

	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_NOT_FOUND);
	CHECK_STR(problem.object, "region0");
	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	struct tier_online_request twice[] = {{.region = "region0"}, {.region = "region0"}};
	struct tier_online_policy policy = {301, twice, 2};
	CHECK_EQ(tier_plan_online(t, &policy, &p, &problem), -EINVAL);
	t->blocks[5].can_movable = false;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_MOVABLE, 1, &p, &problem), TIER_E_REFUSED);
	/* A block has gone: kmem's memory is not whole. */
	t->block_count--;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_REFUSED);
	t->daxs[0].start = TIER_UNKNOWN_U64;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_REFUSED);
	CHECK_HAS(problem.next, "root");
	t->daxs[0].region[0] = '\0';
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "no dax device");
	t->nodes[0].present_kernel_bytes = TIER_UNKNOWN_U64;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "/proc/zoneinfo");
	CHECK(p == NULL);
}

TEST(kernel_when_movable_is_not_offered)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	t->blocks[5].can_movable = false;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
}

/* Memory that the kernel keeps for who names it: Movable or nothing. */
TEST(typed_memory_has_no_kernel_zone)
{
	SETUP(4 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	t->regions[0].type = TIER_MEMORY_SWITCHED;
	t->regions[0].type_by_kernel = true;
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, NULL), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_KERNEL, 1, NULL, &problem), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "Switched memory has none");
	CHECK_EQ(plan(t, 20, TIER_ONLINE_AUTO, 1, NULL, &problem), TIER_E_RATIO);
	CHECK_HAS(problem.text, "25 %, allowed 20 %; Switched memory has no kernel zone");
	/* What only the configuration says binds no kernel. */
	p = tier_plan_free(p);
	t->regions[0].type_by_kernel = false;
	CHECK_EQ(plan(t, 20, TIER_ONLINE_AUTO, 1, &p, NULL), 0);
	CHECK_EQ(p->decisions[0].zone, TIER_ZONE_NORMAL);
}

TEST(online_no)
{
	SETUP(2 * GIB, 0);

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_NO, 1, &p, &problem), 0);
	CHECK_EQ(p->step_count, 0);
}

TEST(offline)
{
	SETUP(2 * GIB, GIB);

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	put_online(t, 0, 8, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_plan_offline(t, "region0", true, &p, &problem), 0);
	CHECK_EQ(p->step_count, 9);
	CHECK_EQ(p->steps[0].action, TIER_STEP_OFFLINE);
	CHECK_EQ(p->steps[0].block, 519);
	CHECK_EQ(p->steps[7].block, 512);
	CHECK_EQ(p->steps[8].action, TIER_STEP_BIND_DEVDAX);
	CHECK_EQ(p->decisions[0].bytes, GIB);
	CHECK_EQ(p->decisions[0].ratio_percent_after, 0);
	p = tier_plan_free(p);
	/* What is offline already is not offlined again. */
	t->blocks[7].state = TIER_BLOCK_OFFLINE;
	CHECK_EQ(tier_plan_offline(t, "region0", false, &p, &problem), 0);
	CHECK_EQ(p->step_count, 7);
	CHECK_EQ(p->steps[0].block, 518);
	p = tier_plan_free(p);
	t->daxs[0].mode = TIER_DAX_DEVDAX;
	CHECK_EQ(tier_plan_offline(t, "region0", true, &p, &problem), 0);
	CHECK_EQ(p->step_count, 0);
	p = tier_plan_free(p);
	CHECK_EQ(tier_plan_offline(t, "region7", true, &p, &problem), TIER_E_NOT_FOUND);
}

TEST(plan_as_json)
{
	SETUP(2 * GIB, 0);
	_cleanup_json_ sd_json_variant *whole = NULL;
	_cleanup_free_ char *text = NULL;
	sd_json_variant *v;

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	CHECK_EQ(plan(t, 301, TIER_ONLINE_AUTO, 1, &p, &problem), 0);
	CHECK_EQ(tier_plan_to_json(p, &text), 0);
	CHECK(sd_json_parse(text, 0, &whole, NULL, NULL) >= 0);
	v = sd_json_variant_by_index(sd_json_variant_by_key(whole, "decisions"), 0);
	CHECK_STR(sd_json_variant_string(sd_json_variant_by_key(v, "zone")), "Movable");
	CHECK_EQ(sd_json_variant_unsigned(sd_json_variant_by_key(v, "bytes")), GIB);
	v = sd_json_variant_by_index(sd_json_variant_by_key(whole, "steps"), 0);
	CHECK_STR(sd_json_variant_string(sd_json_variant_by_key(v, "action")), "bind-ram");
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(v, "block")));
}

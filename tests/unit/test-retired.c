/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tier-ras.h"
#include "test.h"
#include "online-machine.h"

static void retire(struct tier_retired *list, uint64_t serial, uint64_t dpa, uint64_t bytes,
		   int expected)
{
	struct tier_retirement entry = {
		.serial = serial, .dpa = dpa, .bytes = bytes, .usec = 5, .reason = "poison"};

	CHECK_EQ(tier_retired_add(list, &entry), expected);
}

/* One memdev, with its serial number and where its part of the device begins. */
static void give_memdev(struct tier_topology *t, unsigned number, uint64_t serial, uint64_t dpa)
{
	struct tier_region *region = &t->regions[number];

	CHECK_EQ(topology_region_add_memdev(region, "mem0", serial, dpa), 0);
	region->interleave_ways = (unsigned)region->memdev_count;
	region->interleave_granularity_bytes = 4096;
}

TEST(a_list_comes_back_as_it_was)
{
	struct tier_retired list = {}, *back;
	struct tier_problem problem;
	struct tier_retirement entry = {.serial = UINT64_MAX - 1,
					.dpa = 0x40,
					.bytes = 0x40,
					.usec = UINT64_C(1795292102890243),
					.reason = "of\na device"};
	char *text;

	retire(&list, 7, 0x2000, 0x1000, 0);
	retire(&list, 7, 0x1000, 0x40, 0);
	CHECK_EQ(tier_retired_add(&list, &entry), 0);
	CHECK_EQ(tier_retired_format(&list, &text), 0);
	CHECK_EQ(tier_retired_parse(text, strlen(text), "list", &back, &problem), 0);
	CHECK_EQ(back->count, 3);
	CHECK_EQ(back->entries[0].dpa, 0x1000);
	CHECK_EQ(back->entries[1].dpa, 0x2000);
	CHECK_EQ(back->entries[2].serial, UINT64_MAX - 1);
	CHECK_EQ(back->entries[2].usec, UINT64_C(1795292102890243));
	CHECK_STR(back->entries[2].reason, "of?a device");
	/* Each byte counts. */
	for (size_t i = 0; i < strlen(text); i++) {
		struct tier_retired *none = NULL;
		char was = text[i];
		int r;

		text[i] ^= 1;
		r = tier_retired_parse(text, strlen(text), "list", &none, &problem);
		if (r != TIER_E_DAMAGED && r != TIER_E_INCOMPATIBLE)
			FAIL("byte %zu of the list was changed, and it was taken", i);
		CHECK(!none);
		text[i] = was;
		if (tier_retired_parse(text, i, "list", &none, &problem) != TIER_E_DAMAGED)
			FAIL("%zu bytes of the list were taken for all of it", i);
	}
	CHECK_HAS(problem.text, "cannot tell which memory is retired");
	CHECK_HAS(problem.next, "move it away");
	free(text);
	tier_retired_free(back);
	free(list.entries);
}

TEST(a_later_version_is_not_guessed_at)
{
	static const char text[] = "cxl-tier retired 2\nwhatever\ncrc32c 0x0\n";
	struct tier_problem problem;
	struct tier_retired *list;

	CHECK_EQ(tier_retired_parse(text, strlen(text), "list", &list, &problem),
		 TIER_E_INCOMPATIBLE);
	CHECK_HAS(problem.text, "version 2");
}

TEST(what_is_retired_is_not_retired_twice)
{
	struct tier_retired list = {};

	retire(&list, 1, 0x1000, 0x1000, 0);
	retire(&list, 1, 0x1000, 0x1000, TIER_E_BUSY);
	retire(&list, 1, 0x1800, 0x40, TIER_E_BUSY);
	retire(&list, 2, 0x1800, 0x40, 0); /* another device */
	retire(&list, 1, 0x1800, 0x1000, 0);
	/* Both together cover it. */
	retire(&list, 1, 0x1000, 0x1800, TIER_E_BUSY);
	/* More from the same place: one entry. */
	retire(&list, 1, 0x1000, 0x4000, 0);
	CHECK_EQ(list.count, 3);
	retire(&list, 1, 0x1000, 0, -EINVAL);
	retire(&list, 1, UINT64_MAX - 1, 4, -EINVAL);
	CHECK_EQ(tier_retired_remove(&list, 1, 0x1001), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_retired_remove(&list, 1, 0x1000), 0);
	CHECK_EQ(list.count, 2);
	CHECK_EQ(list.entries[0].dpa, 0x1800);
	free(list.entries);
}

TEST(a_copy_is_a_list_of_its_own)
{
	struct tier_retired list = {}, *copy;

	CHECK_EQ(tier_retired_copy(&list, &copy), 0);
	CHECK_EQ(copy->count, 0);
	tier_retired_free(copy);
	retire(&list, 1, 0x1000, 0x1000, 0);
	CHECK_EQ(tier_retired_copy(&list, &copy), 0);
	CHECK_EQ(tier_retired_remove(copy, 1, 0x1000), 0);
	retire(copy, 2, 0, 64, 0);
	CHECK_EQ(list.count, 1);
	CHECK(tier_retired_covers(&list, 1, 0x1000, 0x1000));
	tier_retired_free(copy);
	free(list.entries);
}

TEST(the_list_has_an_end)
{
	struct tier_retired list = {};

	for (uint64_t i = 0; i < TIER_RETIRED_MAX; i++)
		retire(&list, 1, i * 0x1000, 64, 0);
	retire(&list, 1, TIER_RETIRED_MAX * UINT64_C(0x1000), 64, TIER_E_NO_SPACE);
	CHECK_EQ(list.count, TIER_RETIRED_MAX);
	free(list.entries);
}

TEST(an_address_has_one_place_in_a_region_of_one_device)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_ras_place *places = NULL;
	uint64_t serial, dpa, bytes;
	size_t count;

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	add_region(t, 1, GIB, TIER_DAX_DEVDAX);
	give_memdev(t, 0, 7, 256 * MIB);
	give_memdev(t, 1, 8, 0);
	CHECK_EQ(tier_ras_locate(t, 7, 256 * MIB + 0x1040, 0x40, &places, &count), 0);
	CHECK_EQ(count, 1);
	CHECK_STR(places[0].region, "region0");
	CHECK_EQ(places[0].start, t->regions[0].start + 0x1040);
	CHECK_EQ(places[0].bytes, 0x40);
	CHECK(places[0].exact);
	free(places);
	/* Cut at both ends of what the region has. */
	CHECK_EQ(tier_ras_locate(t, 7, 0, 16 * GIB, &places, &count), 0);
	CHECK_EQ(places[0].start, t->regions[0].start);
	CHECK_EQ(places[0].bytes, GIB);
	free(places);
	CHECK_EQ(tier_ras_locate(t, 7, 0, 256 * MIB, &places, &count), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_ras_locate(t, 7, 256 * MIB + GIB, 64, &places, &count), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_ras_locate(t, 9, 0, 64, &places, &count), TIER_E_NOT_FOUND);
	/* All of the device. */
	CHECK_EQ(tier_ras_locate(t, 8, TIER_UNKNOWN_U64, 0, &places, &count), 0);
	CHECK_EQ(places[0].bytes, GIB);
	CHECK(!places[0].exact);
	free(places);
	CHECK_EQ(tier_ras_device_range(t, "region0", 0x1040, 4096, &serial, &dpa, &bytes, NULL), 0);
	CHECK_EQ(serial, 7);
	CHECK_EQ(dpa, 256 * MIB + 0x1040);
	CHECK_EQ(bytes, 4096);
	CHECK_EQ(tier_ras_device_range(t, "region0", GIB - 64, 4096, &serial, &dpa, &bytes, NULL),
		 0);
	CHECK_EQ(bytes, 64);
	CHECK_EQ(tier_ras_device_range(t, "region0", GIB, 64, &serial, &dpa, &bytes, NULL),
		 TIER_E_NOT_FOUND);
	CHECK(tier_ras_region_of(t, t->regions[1].start + GIB - 1) == &t->regions[1]);
	CHECK(!tier_ras_region_of(t, t->regions[1].start + GIB));
	tier_topology_free(t);
}

TEST(in_an_interleaved_region_it_is_a_stripe)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_ras_place *places = NULL;
	uint64_t serial, dpa, bytes;
	size_t count;

	add_region(t, 0, 2 * GIB, TIER_DAX_DEVDAX);
	give_memdev(t, 0, 7, 0);
	give_memdev(t, 0, 8, 0x10000);
	CHECK_EQ(tier_ras_locate(t, 8, 0x10000 + 5 * 4096 + 64, 64, &places, &count), 0);
	CHECK_EQ(places[0].start, t->regions[0].start + 10 * 4096);
	CHECK_EQ(places[0].bytes, 2 * 4096);
	CHECK(!places[0].exact);
	free(places);
	CHECK_EQ(
		tier_ras_device_range(t, "region0", 11 * 4096 + 5, 64, &serial, &dpa, &bytes, NULL),
		0);
	CHECK_EQ(serial, 7);
	CHECK_EQ(dpa, 5 * 4096);
	CHECK_EQ(bytes, 4096);
	/* The last page of a memory block has nothing in the next one. */
	t->regions[0].interleave_granularity_bytes = 256;
	CHECK_EQ(tier_ras_device_range(t, "region0", 128 * MIB - 4096, 4096, &serial, &dpa, &bytes,
				       NULL),
		 0);
	CHECK_EQ(dpa, 64 * MIB - 2048);
	CHECK_EQ(bytes, 2048);
	/* Not known where its part begins: all of it. */
	t->regions[0].dpa_starts[1] = TIER_UNKNOWN_U64;
	CHECK_EQ(tier_ras_locate(t, 8, 64, 64, &places, &count), 0);
	CHECK_EQ(places[0].bytes, 2 * GIB);
	free(places);
	tier_topology_free(t);
}

/* The page that the kernel gives up for a line in its middle is no other error. */
TEST(a_range_that_has_a_part_of_it_overlaps)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_retired list = {};
	uint64_t start;

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	give_memdev(t, 0, 7, 0x10000);
	start = t->regions[0].start;
	CHECK(!tier_retired_overlaps(&list, t, start, GIB));
	retire(&list, 8, 0x10000, GIB, 0); /* of another device */
	CHECK(!tier_retired_overlaps(&list, t, start, GIB));
	retire(&list, 7, 0x10000 + 0x5ff0, 0x40, 0);
	CHECK(tier_retired_overlaps(&list, t, start + 0x5000, 0x1000));
	CHECK(tier_retired_overlaps(&list, t, start + 0x6000, 0x1000));
	CHECK(tier_retired_overlaps(&list, t, start + 0x602f, 1));
	CHECK(!tier_retired_overlaps(&list, t, start + 0x6030, 1));
	CHECK(!tier_retired_overlaps(&list, t, start + 0x4000, 0x1ff0));
	free(list.entries);
	tier_topology_free(t);
}

TEST(blocks_are_marked_wherever_the_region_lies)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_retired list = {};

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	give_memdev(t, 0, 7, 0);
	/* The last byte of the second block and the first of the third; the fourth, twice. */
	retire(&list, 7, 256 * MIB - 64, 128, 0);
	retire(&list, 7, 384 * MIB, 64, 0);
	retire(&list, 7, 385 * MIB, 64, 0);
	retire(&list, 8, 0, 64, 0);
	CHECK_EQ(tier_retired_mark(t, &list), 0);
	CHECK_EQ(t->retired_block_count, 3);
	CHECK_EQ(t->retired_blocks[0], t->regions[0].start / t->block_bytes + 1);
	CHECK(tier_topology_block_retired(t, t->retired_blocks[2]));
	CHECK(!tier_topology_block_retired(t, t->retired_blocks[0] - 1));
	CHECK(!tier_topology_block_retired(t, t->retired_blocks[2] + 1));
	t->regions[0].start += 4 * GIB;
	CHECK_EQ(tier_retired_mark(t, &list), 0);
	CHECK_EQ(t->retired_block_count, 3);
	CHECK_EQ(t->retired_blocks[0], t->regions[0].start / t->block_bytes + 1);
	free(list.entries);
	tier_topology_free(t);
}

static struct tier_plan *plan_movable(struct tier_topology *t, int expected,
				      struct tier_problem *problem)
{
	const struct tier_online_request request = {.region = "region0",
						    .zone = TIER_ONLINE_MOVABLE};
	const struct tier_online_policy policy = {
		.ratio_percent = 301, .requests = &request, .request_count = 1};
	struct tier_plan *plan = NULL;

	CHECK_EQ(tier_plan_online(t, &policy, &plan, problem), expected);
	return plan;
}

static void mark(struct tier_topology *t, uint64_t dpa, uint64_t bytes)
{
	struct tier_retired list = {};

	retire(&list, 7, dpa, bytes, 0);
	CHECK_EQ(tier_retired_mark(t, &list), 0);
	free(list.entries);
}

TEST(a_plan_leaves_retired_blocks_out)
{
	enum tier_dax_mode modes[] = {TIER_DAX_SYSTEM_RAM, TIER_DAX_DEVDAX};

	for (size_t i = 0; i < 2; i++) {
		struct tier_topology *t = machine(8 * GIB, 0);
		struct tier_plan *plan;
		uint64_t first;

		add_region(t, 0, GIB, modes[i]);
		give_memdev(t, 0, 7, 0);
		first = t->regions[0].start / t->block_bytes;
		mark(t, 300 * MIB, 64);
		plan = plan_movable(t, 0, NULL);
		CHECK_EQ(plan->decisions[0].bytes, GIB - 128 * MIB);
		CHECK_HAS(plan->decisions[0].reason, "1 retired memory block stays offline");
		/* Not yet bound, it is bound first; and then the blocks by name. */
		CHECK_EQ(plan->step_count, 7 + i);
		for (size_t s = i; s < plan->step_count; s++) {
			CHECK_EQ(plan->steps[s].action, TIER_STEP_ONLINE_MOVABLE);
			CHECK_EQ(plan->steps[s].block, first + (s - i) + (s - i >= 2));
		}
		if (i == 1)
			CHECK_EQ(plan->steps[0].action, TIER_STEP_BIND_RAM);
		tier_plan_free(plan);
		tier_topology_free(t);
	}
}

TEST(what_is_online_but_for_retired_blocks_is_online)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_problem problem = {};
	struct tier_plan *plan;

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	give_memdev(t, 0, 7, 0);
	put_online(t, 0, 7, TIER_ZONE_MOVABLE);
	plan = plan_movable(t, TIER_E_BUSY, &problem);
	CHECK_HAS(problem.text, "partly online");
	mark(t, 7 * 128 * MIB, 64);
	plan = plan_movable(t, 0, NULL);
	CHECK_EQ(plan->step_count, 0);
	CHECK_HAS(plan->decisions[0].reason, "already online in Movable; 1 retired");
	tier_plan_free(plan);
	/* A retired block that could not be taken offline is online like the others. */
	mark(t, 0, 64);
	plan_movable(t, TIER_E_BUSY, &problem);
	put_online(t, 0, 8, TIER_ZONE_MOVABLE);
	plan = plan_movable(t, 0, NULL);
	CHECK_STR(plan->decisions[0].reason, "already online in Movable");
	CHECK_EQ(plan->step_count, 0);
	tier_plan_free(plan);
	tier_topology_free(t);
}

TEST(a_region_of_retired_blocks_only_is_refused)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_problem problem = {};

	add_region(t, 0, 256 * MIB, TIER_DAX_DEVDAX);
	give_memdev(t, 0, 7, 0);
	mark(t, 0, 256 * MIB);
	plan_movable(t, TIER_E_REFUSED, &problem);
	CHECK_HAS(problem.text, "all of its memory blocks are retired");
	CHECK_HAS(problem.next, "tierctl retired");
	tier_topology_free(t);
}

TEST(without_the_list_nothing_is_onlined)
{
	struct tier_topology *t = machine(8 * GIB, 0);
	struct tier_problem problem = {};
	struct tier_plan *plan;

	add_region(t, 0, GIB, TIER_DAX_SYSTEM_RAM);
	t->retired_code = tier_problem_set(&t->retired_problem, TIER_E_DAMAGED, "list", "mend it",
					   "cannot tell which memory is retired");
	plan_movable(t, TIER_E_REFUSED, &problem);
	CHECK_HAS(problem.text, "cannot be onlined: list: cannot tell which memory is retired");
	CHECK_STR(problem.next, "mend it");
	/* What is online is no matter of it. */
	put_online(t, 0, 8, TIER_ZONE_MOVABLE);
	plan = plan_movable(t, 0, NULL);
	CHECK_EQ(plan->step_count, 0);
	tier_plan_free(plan);
	tier_topology_free(t);
}

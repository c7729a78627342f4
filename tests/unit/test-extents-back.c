/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cxl-tierd/retired-portal.c: which extents of a portal are given back, by tierctl unretire. */
#include "test.h"
#include "daemon-ras.h"

/* A's are 0 and 1, B's 2 to 6; extent N is in memory block N + 1, after the control area. */
static struct manager manager;
static struct portal portal;
static struct tier_retired list;
static struct tier_retirement entries[2];
static uint32_t given_back; /* a bit for each */
static int act_code, back_code;
static enum tier_extent_state was;

int __wrap_tier_portal_unretire_extent(struct tier_portal *mapped, uint64_t incarnation,
				       uint32_t extent, tier_home_zero zero, void *userdata,
				       enum tier_extent_state *ret_was,
				       struct tier_problem *problem);
int __wrap_tier_portal_unretire_extent(struct tier_portal *mapped, uint64_t incarnation,
				       uint32_t extent, tier_home_zero zero, void *userdata,
				       enum tier_extent_state *ret_was,
				       struct tier_problem *problem)
{
	CHECK_EQ(incarnation, 9);
	if (back_code)
		return tier_problem_set(problem, back_code, "extent", NULL, "cannot be zeroed");
	given_back |= 1u << extent;
	*ret_was = was;
	return 0;
}

int portal_may_act(struct manager *of, const struct portal *in, struct tier_problem *problem)
{
	return act_code ? tier_problem_set(problem, act_code, "lake", NULL, "was fenced") : 0;
}

int portal_open(struct portal *of, unsigned flags, struct tier_portal **ret,
		struct tier_problem *problem)
{
	return 0;
}

int portal_scrub(struct portal *of, const struct tier_extent_range *ranges, uint32_t count,
		 struct tier_problem *problem)
{
	return 0;
}

const char *portal_name(const struct portal *of)
{
	return "lake";
}

struct portal *portals_by_region(struct manager *of, const char *region)
{
	return &portal;
}

const struct tier_dax *region_first_dax(const struct tier_topology *topology,
					const struct tier_region *region)
{
	return NULL;
}

int flight_find(struct portal *of, struct tier_portal *mapped, const struct tier_uuid *uuid,
		struct flight *ret)
{
	return TIER_E_NOT_FOUND;
}

static void begin(void)
{
	daemon_begin(&manager);
	free(portal.retired);
	portal = (struct portal){
		.region = "region0",
		.record.stamp.incarnation = 9,
		.super = {.control_bytes = BLOCK,
			  .extent_bytes = BLOCK,
			  .extent_count = 7,
			  .host_count = 2,
			  .hosts = {{.name = "A", .first_extent = 0, .extent_count = 2},
				    {.name = "B", .first_extent = 2, .extent_count = 5}}}};
	list = (struct tier_retired){.entries = entries};
	given_back = 0;
	act_code = back_code = 0;
	was = TIER_EXTENT_RETIRED;
}

static void stays(uint32_t extent)
{
	entries[list.count++] = (struct tier_retirement){
		.serial = 7, .dpa = (extent + 1) * BLOCK + 4096, .bytes = 64};
}

/* Of an entry for the control area's last line and the first @extents extents, which is no more. */
static int unretire(uint32_t extents, struct tier_problem *problem)
{
	const struct tier_ras_place place = {.region = "region0",
					     .start = REGION_START + BLOCK - 64,
					     .bytes = 64 + extents * BLOCK};
	struct tier_topology *topology = daemon_machine();
	int r = retired_extents_back(&manager, topology, &list, &place, 1, problem);

	tier_topology_free(topology);
	return r;
}

TEST(only_its_own_and_what_no_other_entry_has)
{
	struct tier_problem problem = {};

	begin();
	CHECK_EQ(unretire(4, &problem), 0);
	CHECK_EQ(given_back, 3);
	CHECK_HAS(told, "unretired lake: extent 1 is zeroed, and free again");
	begin();
	stays(0);
	stays(3);
	CHECK_EQ(unretire(4, &problem), 0);
	CHECK_EQ(given_back, 2);
	/* Nothing is to be done: not even a host that may not act is in the way. */
	begin();
	stays(0);
	act_code = TIER_E_REFUSED;
	CHECK_EQ(unretire(1, &problem), 0);
}

TEST(what_cannot_be_given_back_is_not_passed_over)
{
	struct tier_problem problem = {};

	begin();
	act_code = TIER_E_REFUSED;
	CHECK_EQ(unretire(1, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.text, "was fenced");
	CHECK_EQ(given_back, 0);
	begin();
	back_code = -EIO;
	CHECK_EQ(unretire(1, &problem), -EIO);
	CHECK_HAS(told, "unretire-failed lake: extent 0 stays as it is: cannot be zeroed");
	begin();
	portal.code = tier_problem_set(&portal.problem, TIER_E_DAMAGED, "lake", NULL, "is spoilt");
	CHECK_EQ(unretire(1, &problem), TIER_E_DAMAGED);
	CHECK_STR(problem.text, "is spoilt");
}

TEST(what_was_not_retired_is_told)
{
	struct tier_problem problem = {};

	begin();
	was = TIER_EXTENT_CLAIMED;
	CHECK_EQ(unretire(1, &problem), 0);
	CHECK_HAS(told, "extent 0 was not retired yet, and is left to the flight that has it");
	begin();
	free(portal.retired);
	portal.retired = NULL;
}

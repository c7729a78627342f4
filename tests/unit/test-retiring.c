/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cxl-tierd/retired.c and retired-block.c: what is written down, in which order, and what is done then. */
#include "test.h"
#include "daemon-ras.h"

static struct manager manager;
static int store_code, back_code;
static size_t stored;	/* entries of the list that was stored last */
static char order[256]; /* what was done */
static bool defers;
static uint64_t gone; /* memory block that was taken offline last */
static unsigned pages;

int __wrap_tier_retired_store(const struct tier_retired *retired, struct tier_problem *problem);
int __wrap_tier_retired_store(const struct tier_retired *retired, struct tier_problem *problem)
{
	strcat(order, "store ");
	if (store_code)
		return tier_problem_set(problem, store_code, TIER_RETIRED_PATH, NULL,
					"cannot write down which memory is retired");
	stored = retired->count;
	return 0;
}

int __wrap_tier_page_give_up(uint64_t address, struct tier_problem *problem);
int __wrap_tier_page_give_up(uint64_t address, struct tier_problem *problem)
{
	pages++;
	return 0;
}

int manager_apply(struct manager *of, const struct tier_plan *plan, struct tier_problem *problem)
{
	CHECK_EQ(plan->step_count, 1);
	CHECK_EQ(plan->steps[0].action, TIER_STEP_OFFLINE);
	gone = plan->steps[0].block;
	return 0;
}

struct portal *portals_by_region(struct manager *of, const char *region)
{
	return NULL;
}

void retired_portal(struct manager *of, const struct tier_topology *topology,
		    const struct tier_ras_place *place, const char *kept)
{
}

void retired_portals(struct manager *of, const struct tier_topology *topology)
{
	strcat(order, "portals ");
}

int retired_extents_back(struct manager *of, const struct tier_topology *topology,
			 const struct tier_retired *list, const struct tier_ras_place *places,
			 size_t count, struct tier_problem *problem)
{
	strcat(order, "back ");
	/* By the list as it will be; the entry is still there. */
	CHECK_EQ(list->count + 1, manager.retired->count);
	CHECK_EQ(count, 1);
	CHECK_EQ(places[0].start, REGION_START + BLOCK);
	return back_code ? tier_problem_set(problem, back_code, "portal0", NULL, "is fenced") : 0;
}

bool offline_defers_blocks(struct manager *of, const char *region)
{
	return defers;
}

static void begin(void)
{
	retired_free(&manager);
	daemon_begin(&manager);
	manager.retired = allocate(1, sizeof(*manager.retired));
	store_code = back_code = 0;
	stored = 0;
	order[0] = '\0';
	defers = false;
	gone = pages = 0;
}

static void end(void)
{
	retired_free(&manager);
}

static int by_hand(struct tier_problem *problem)
{
	sd_json_variant *json = NULL;
	int r = retired_add_offset(&manager, "region0", BLOCK + 5000, false, &json, problem);

	CHECK_EQ(json != NULL, r == 0);
	sd_json_variant_unref(json);
	return r;
}

static void by_error(uint64_t dpa, uint64_t bytes)
{
	struct tier_topology *topology = daemon_machine();

	retired_add(&manager, topology, 7, dpa, bytes, "poison");
	tier_topology_free(topology);
}

TEST(what_cannot_be_written_down_is_refused_and_can_be_tried_again)
{
	struct tier_problem problem = {};

	begin();
	store_code = -ENOSPC;
	CHECK_EQ(by_hand(&problem), -ENOSPC);
	CHECK_HAS(problem.text, "cannot write down");
	CHECK_EQ(manager.retired->count, 0);
	CHECK_EQ(gone, 0);
	CHECK_EQ(pages, 0);
	CHECK_STR(told, "");
	store_code = 0;
	CHECK_EQ(by_hand(&problem), 0);
	CHECK_EQ(stored, 1);
	CHECK_EQ(gone, FIRST_BLOCK + 1);
	CHECK_EQ(by_hand(&problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "is retired already");
	end();
}

TEST(an_error_is_kept_and_written_down_when_that_is_possible)
{
	struct tier_problem problem = {};

	begin();
	store_code = -EROFS;
	by_error(BLOCK + 4096, 64);
	CHECK_HAS(told, "retire-failed 0x7:0x8001000: not written down, so it is used again after "
			"a reboot");
	CHECK_HAS(told, "evacuated, taken offline");
	CHECK_EQ(gone, FIRST_BLOCK + 1);
	CHECK(retired_has(&manager, 7, BLOCK + 4096, 64));
	retired_save(&manager);
	CHECK_EQ(stored, 0);
	/* It is there, and is not yet. */
	CHECK_EQ(by_hand(&problem), -EROFS);
	CHECK_EQ(manager.retired->count, 1);
	store_code = 0;
	retired_save(&manager);
	CHECK_EQ(stored, 1);
	CHECK_HAS(told, "can be written again");
	order[0] = '\0';
	retired_save(&manager);
	CHECK_STR(order, "");
	end();
}

TEST(a_person_can_try_again_what_was_not_written_down)
{
	struct tier_problem problem = {};

	begin();
	store_code = -EROFS;
	by_error(BLOCK + 4096, 4096);
	store_code = 0;
	CHECK_EQ(by_hand(&problem), 0);
	CHECK_EQ(stored, 1);
	CHECK_EQ(by_hand(&problem), TIER_E_BUSY);
	end();
}

TEST(an_entry_goes_last)
{
	struct tier_problem problem = {};

	begin();
	by_error(BLOCK, 64);
	by_error(2 * BLOCK, 64);
	order[0] = '\0';
	CHECK_EQ(retired_remove(&manager, 7, 64, &problem), TIER_E_NOT_FOUND);
	CHECK_STR(order, "");
	/* An extent of it stays: so does the entry, and nothing is written. */
	back_code = TIER_E_REFUSED;
	CHECK_EQ(retired_remove(&manager, 7, BLOCK, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.text, "is fenced");
	CHECK_STR(order, "back portals ");
	CHECK_EQ(manager.retired->count, 2);
	/* What the file says then is not known: it gets the list as it is. */
	back_code = 0;
	store_code = -EIO;
	order[0] = '\0';
	CHECK_EQ(retired_remove(&manager, 7, BLOCK, &problem), -EIO);
	CHECK_STR(order, "back store portals ");
	CHECK(retired_has(&manager, 7, BLOCK, 64));
	CHECK(!strstr(told, "unretired"));
	store_code = 0;
	retired_save(&manager);
	CHECK_EQ(stored, 2);
	order[0] = '\0';
	CHECK_EQ(retired_remove(&manager, 7, BLOCK, &problem), 0);
	CHECK_STR(order, "back store ");
	CHECK_EQ(stored, 1);
	CHECK(!retired_has(&manager, 7, BLOCK, 64));
	CHECK(retired_has(&manager, 7, 2 * BLOCK, 64));
	CHECK_HAS(told, "unretired 0x7:0x8000000: not retired any more");
	end();
}

TEST(blocks_wait_for_memory_that_is_being_taken_offline)
{
	begin();
	defers = true;
	by_error(3 * BLOCK, 64);
	/* Written down, and not read by anybody, at once. */
	CHECK_EQ(stored, 1);
	CHECK_EQ(pages, 1);
	CHECK_EQ(gone, 0);
	CHECK_HAS(told, "its memory blocks follow after that");
	retired_offline_rest(&manager);
	CHECK_EQ(gone, 0);
	/* What it has taken offline by then, it may put back. */
	memory_online = false;
	by_error(4 * BLOCK, 64);
	CHECK(!strstr(told, "it is not online"));
	memory_online = true;
	defers = false;
	told[0] = '\0';
	retired_offline_rest(&manager);
	CHECK_EQ(gone, FIRST_BLOCK + 4);
	CHECK_HAS(told, "memory block 515 evacuated");
	CHECK_HAS(told, "memory block 516 evacuated");
	told[0] = '\0';
	retired_offline_rest(&manager);
	CHECK_STR(told, "");
	end();
}

TEST(what_waits_at_the_end_of_the_daemon_is_told)
{
	begin();
	defers = true;
	by_error(3 * BLOCK, 64);
	defers = false;
	manager.stopping = true;
	retired_offline_rest(&manager);
	CHECK_EQ(gone, 0);
	CHECK_HAS(told, "retire-failed region0: retired, but cxl-tierd ends");
	end();
}

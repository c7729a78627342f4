/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/portal-home.c: A has extents 0 to 7, B 8 to 14. */
#include "portal-file.h"
#include "test.h"
#include "tier-flight.h"

#define A 0
#define B 1

static struct tier_problem problem;
static struct tier_portal *portal;
static struct tier_handoff_view view;
static struct tier_home_task *tasks;
static size_t count;
static bool idle;

static void begin(const char *name)
{
	const char *path = file_portal(name);

	CHECK_EQ(tier_portal_open(path, TIER_PORTAL_WRITE, &portal, &problem), 0);
	view = (struct tier_handoff_view){};
	for (size_t i = 0; i < TIER_PORTAL_MAX_HOSTS; i++)
		view.fences[i].heir = TIER_PORTAL_NO_HOST;
}

static void end(void)
{
	free(tasks);
	tasks = NULL;
	portal = tier_portal_close(portal);
}

static struct tier_uuid flight(uint8_t number)
{
	return (struct tier_uuid){{0xf1, number}};
}

static void store_offer(uint32_t host, uint32_t slot, uint8_t number, enum tier_flight_state state,
			uint32_t wanted, struct tier_extent_range range)
{
	struct tier_offer offer = {
		.stamp = {.incarnation = 1, .generation = 1},
		.flight = flight(number),
		.source = host,
		.destination = host ^ 1,
		.state = state,
		.vm = "demo",
		.machine_type = "pc-q35-11.1",
		.ram_bytes = 256 * MIB,
		.page_bytes = 4096,
		.wanted_extents = wanted,
		.source_incarnation = 1,
		.ranges = {range},
		.range_count = range.count ? 1 : 0,
	};

	CHECK_EQ(tier_portal_write_offer(portal, slot, &offer), 0);
}

static void store_extent(uint32_t extent, enum tier_extent_state state, uint32_t owner,
			 uint8_t number)
{
	struct tier_extent_record record = {
		.stamp = {.incarnation = 1, .generation = 1}, .extent = extent, .state = state};

	if (state != TIER_EXTENT_FREE) {
		record.owner = owner;
		record.owner_incarnation = 1;
		record.flight = flight(number);
	}
	CHECK_EQ(tier_portal_write_extent(portal, &record), 0);
}

static enum tier_extent_state state_of(uint32_t extent)
{
	struct tier_extent_record record = {.state = TIER_EXTENT_FREE};

	(void)tier_portal_read_extent(portal, extent, &record);
	return record.state;
}

static void look(uint32_t host, uint32_t granting)
{
	free(tasks);
	tasks = NULL;
	CHECK_EQ(tier_portal_home_look(portal, host, &view, granting, &tasks, &count, &idle), 0);
}

static void perform(void)
{
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(tier_portal_home_perform(portal, 1, &tasks[i], NULL, NULL, &problem), 0);
}

TEST(nothing_to_do)
{
	begin("nothing");
	look(A, 1 << B);
	CHECK_EQ(count, 0);
	CHECK(idle);
	CHECK_EQ(tier_portal_home_look(portal, 2, &view, 0, &tasks, &count, NULL), -EINVAL);
	store_offer(A, 0, 1, TIER_FLIGHT_REQUESTED, 1, (struct tier_extent_range){});
	look(A, 0);
	CHECK(!idle);
	perform();
	look(A, 0);
	CHECK_EQ(count, 0);
	CHECK(!idle);
	end();
}

TEST(source_first_then_the_next)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	struct tier_uuid one = flight(1);
	uint32_t range_count, extents;

	begin("share");
	store_offer(B, 3, 1, TIER_FLIGHT_REQUESTED, 9, (struct tier_extent_range){});
	/* B has seven, so two are A's to give, before B has given any. */
	look(A, 1 << B);
	CHECK_EQ(count, 2);
	CHECK_EQ(tasks[0].action, TIER_HANDOFF_GRANT);
	CHECK_EQ(tasks[0].owner, B);
	CHECK_EQ(tasks[0].owner_incarnation, 1);
	CHECK_EQ(tasks[1].extent, 1);
	perform();
	/* Not again. */
	look(A, 1 << B);
	CHECK_EQ(count, 0);
	look(B, 1 << A);
	CHECK_EQ(count, 7);
	perform();
	CHECK_EQ(tier_portal_granted(portal, &one, ranges, &range_count, &extents), 0);
	CHECK_EQ(extents, 9);
	CHECK_EQ(range_count, 2);
	CHECK_EQ(ranges[0].first, 0);
	CHECK_EQ(ranges[0].count, 2);
	CHECK_EQ(ranges[1].first, 8);
	CHECK_EQ(ranges[1].count, 7);
	end();
}

TEST(a_silent_home_is_not_counted_on)
{
	begin("silent");
	store_offer(B, 3, 1, TIER_FLIGHT_REQUESTED, 5, (struct tier_extent_range){});
	look(A, 1 << B);
	CHECK_EQ(count, 0);
	look(A, 0);
	CHECK_EQ(count, 5);
	end();
}

TEST(several_requests)
{
	begin("several");
	store_offer(A, 0, 1, TIER_FLIGHT_REQUESTED, 5, (struct tier_extent_range){});
	store_offer(A, 1, 2, TIER_FLIGHT_REQUESTED, 5, (struct tier_extent_range){});
	look(A, 1 << B);
	CHECK_EQ(count, 8);
	CHECK(memcmp(&tasks[4].flight, &tasks[5].flight, 16) != 0);
	look(B, 1 << A);
	CHECK_EQ(count, 2);
	CHECK_EQ(tasks[0].flight.bytes[1], 2);
	end();
}

TEST(nothing_for_the_dead)
{
	begin("dead");
	store_offer(B, 3, 1, TIER_FLIGHT_REQUESTED, 2, (struct tier_extent_range){});
	store_extent(0, TIER_EXTENT_CLAIMED, B, 1);
	look(A, 0);
	CHECK_EQ(count, 1);
	view.incarnations[B] = 2;
	look(A, 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(tasks[0].action, TIER_HANDOFF_RECLAIM);
	CHECK_EQ(tasks[0].extent, 0);
	view.incarnations[B] = 1;
	view.fences[B].fenced = 1;
	look(A, 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(tasks[0].action, TIER_HANDOFF_RECLAIM);
	end();
}

TEST(claims_by_the_state_of_the_offer)
{
	static const struct {
		enum tier_flight_state state;
		bool reclaim;
	} cases[] = {
		{TIER_FLIGHT_REQUESTED, false}, {TIER_FLIGHT_OFFERED, false},
		{TIER_FLIGHT_WITHDRAWN, false}, {TIER_FLIGHT_ABORTED, true},
		{TIER_FLIGHT_CLOSED, true},	{TIER_FLIGHT_NONE, true},
	};

	begin("claims");
	store_extent(2, TIER_EXTENT_CLAIMED, B, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		store_offer(B, 0, 1, cases[i].state, 1, (struct tier_extent_range){2, 1});
		look(A, 0);
		if ((count == 1) != cases[i].reclaim)
			FAIL("%s: %zu tasks", tier_flight_state_name(cases[i].state), count);
	}
	/* Granted too late: the offer goes without it. */
	store_offer(B, 0, 1, TIER_FLIGHT_OFFERED, 1, (struct tier_extent_range){3, 1});
	look(A, 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(tasks[0].action, TIER_HANDOFF_RECLAIM);
	/* The slot carries another flight, but one of the owner's records may be this one's. */
	store_offer(B, 0, 9, TIER_FLIGHT_OFFERED, 1, (struct tier_extent_range){3, 1});
	store_offer(B, 7, 8, TIER_FLIGHT_OFFERED, 1, (struct tier_extent_range){4, 1});
	for (unsigned copy = 0; copy < 2; copy++)
		file_flip(tier_portal_path(portal),
			  tier_record_offset(tier_portal_super(portal), TIER_RECORD_OFFER, B, 7,
					     copy) +
				  100);
	look(A, 0);
	CHECK_EQ(count, 0);
	end();
}

static int zeroed, zero_result;

static int zero(void *userdata, uint32_t extent, struct tier_problem *ret)
{
	CHECK_EQ(state_of(extent), TIER_EXTENT_SCRUB);
	zeroed++;
	return zero_result;
}

TEST(zeroed_before_it_is_free)
{
	begin("scrub");
	store_extent(2, TIER_EXTENT_CLAIMED, B, 1);
	look(A, 0);
	CHECK_EQ(count, 1);
	zeroed = 0;
	zero_result = -EIO;
	CHECK_EQ(tier_portal_home_perform(portal, 1, tasks, zero, NULL, &problem), -EIO);
	CHECK_EQ(zeroed, 1);
	CHECK_EQ(state_of(2), TIER_EXTENT_SCRUB);
	/* What a crash leaves. */
	look(A, 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(tasks[0].action, TIER_HANDOFF_SCRUB);
	CHECK_EQ(tier_portal_home_perform(portal, 1, tasks, NULL, NULL, &problem), 0);
	CHECK_EQ(state_of(2), TIER_EXTENT_SCRUB);
	zero_result = 0;
	CHECK_EQ(tier_portal_home_perform(portal, 1, tasks, zero, NULL, &problem), 0);
	CHECK_EQ(zeroed, 2);
	CHECK_EQ(state_of(2), TIER_EXTENT_FREE);
	end();
}

TEST(a_task_that_is_too_late)
{
	begin("late");
	store_offer(A, 0, 1, TIER_FLIGHT_REQUESTED, 1, (struct tier_extent_range){});
	look(A, 0);
	CHECK_EQ(count, 1);
	perform();
	CHECK_EQ(tier_portal_home_perform(portal, 1, tasks, NULL, NULL, &problem), TIER_E_STALE);
	store_extent(2, TIER_EXTENT_SCRUB, B, 1);
	look(A, 0);
	CHECK_EQ(count, 1);
	store_extent(2, TIER_EXTENT_SCRUB, B, 5);
	zero_result = 0;
	CHECK_EQ(tier_portal_home_perform(portal, 1, tasks, zero, NULL, &problem), TIER_E_STALE);
	CHECK_EQ(state_of(2), TIER_EXTENT_SCRUB);
	end();
}

TEST(damaged_and_retired_are_nobodys)
{
	begin("damaged");
	store_offer(A, 0, 1, TIER_FLIGHT_REQUESTED, 15, (struct tier_extent_range){});
	CHECK_EQ(tier_portal_write_extent(portal,
					  &(struct tier_extent_record){
						  .stamp = {.incarnation = 1},
						  .extent = 3,
						  .state = TIER_EXTENT_RETIRED,
					  }),
		 0);
	store_extent(4, TIER_EXTENT_CLAIMED, B, 1);
	for (unsigned copy = 0; copy < 2; copy++)
		file_flip(tier_portal_path(portal),
			  tier_record_offset(tier_portal_super(portal), TIER_RECORD_EXTENT, A, 4,
					     copy) +
				  60);
	look(A, 0);
	CHECK_EQ(count, 6);
	for (size_t i = 0; i < count; i++)
		CHECK(tasks[i].extent != 3 && tasks[i].extent != 4);
	end();
}

TEST(a_bad_extent_is_granted_no_more)
{
	enum tier_extent_state was;

	begin("bad");
	/* Never written, waiting to be zeroed, of a flight. */
	CHECK_EQ(tier_portal_retire_extent(portal, 1, 0, &was), 0);
	CHECK_EQ(was, TIER_EXTENT_FREE);
	store_extent(1, TIER_EXTENT_SCRUB, B, 1);
	CHECK_EQ(tier_portal_retire_extent(portal, 1, 1, &was), 0);
	CHECK_EQ(was, TIER_EXTENT_SCRUB);
	store_extent(2, TIER_EXTENT_CLAIMED, B, 1);
	CHECK_EQ(tier_portal_retire_extent(portal, 1, 2, &was), TIER_E_BUSY);
	CHECK_EQ(state_of(2), TIER_EXTENT_CLAIMED);
	CHECK_EQ(tier_portal_retire_extent(portal, 1, 0, &was), 0);
	CHECK_EQ(was, TIER_EXTENT_RETIRED);
	store_offer(A, 0, 2, TIER_FLIGHT_REQUESTED, 15, (struct tier_extent_range){});
	look(A, 0);
	for (size_t i = 0; i < count; i++)
		CHECK(tasks[i].extent > 1);
	CHECK_EQ(state_of(1), TIER_EXTENT_RETIRED);
	end();
}

struct zeroed {
	unsigned extents; /* a bit for each */
	int code;
};

static int zero_one(void *userdata, uint32_t extent, struct tier_problem *why)
{
	struct zeroed *calls = userdata;

	/* It is granted to nobody while that goes on. */
	CHECK_EQ(state_of(extent), TIER_EXTENT_RETIRED);
	calls->extents |= 1u << extent;
	return calls->code;
}

static enum tier_extent_state unretire(uint32_t extent, struct zeroed *calls)
{
	enum tier_extent_state was = TIER_EXTENT_RETIRED + 1;

	CHECK_EQ(tier_portal_unretire_extent(portal, 2, extent, zero_one, calls, &was, &problem),
		 0);
	return was;
}

TEST(only_a_retired_extent_is_zeroed_and_given_back)
{
	enum tier_extent_state was;
	struct zeroed calls = {};

	begin("back");
	/* Never written, of a flight, left by one. */
	store_extent(1, TIER_EXTENT_CLAIMED, B, 1);
	store_extent(2, TIER_EXTENT_SCRUB, B, 1);
	CHECK_EQ(unretire(0, &calls), TIER_EXTENT_FREE);
	CHECK_EQ(unretire(1, &calls), TIER_EXTENT_CLAIMED);
	CHECK_EQ(unretire(2, &calls), TIER_EXTENT_SCRUB);
	CHECK_EQ(calls.extents, 0);
	CHECK_EQ(state_of(1), TIER_EXTENT_CLAIMED);
	CHECK_EQ(state_of(2), TIER_EXTENT_SCRUB);
	CHECK_EQ(tier_portal_retire_extent(portal, 1, 4, &was), 0);
	CHECK_EQ(tier_portal_retire_extent(portal, 1, 5, &was), 0);
	CHECK_EQ(unretire(4, &calls), TIER_EXTENT_RETIRED);
	CHECK_EQ(calls.extents, 1u << 4);
	CHECK_EQ(state_of(4), TIER_EXTENT_FREE);
	CHECK_EQ(unretire(4, &calls), TIER_EXTENT_FREE);
	/* What cannot be zeroed stays retired. */
	calls.code = -EIO;
	CHECK_EQ(tier_portal_unretire_extent(portal, 2, 5, zero_one, &calls, &was, &problem), -EIO);
	CHECK_EQ(state_of(5), TIER_EXTENT_RETIRED);
	/* Whose it is cannot be told: it may be a flight's. */
	for (unsigned copy = 0; copy < 2; copy++)
		file_flip(tier_portal_path(portal),
			  tier_record_offset(tier_portal_super(portal), TIER_RECORD_EXTENT, A, 1,
					     copy) +
				  60);
	CHECK_EQ(tier_portal_unretire_extent(portal, 2, 1, zero_one, &calls, &was, &problem),
		 TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "its record cannot be read");
	CHECK_EQ(calls.extents, 1u << 4 | 1u << 5);
	end();
}

TEST(no_more_ranges_than_an_offer_holds)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	struct tier_uuid one = flight(1);
	uint32_t range_count = 7, extents = 7;

	begin("ranges");
	CHECK_EQ(tier_portal_granted(portal, &one, ranges, &range_count, &extents), 0);
	CHECK_EQ(range_count, 0);
	CHECK_EQ(extents, 0);
	for (uint32_t extent = 0; extent < 15; extent += 2)
		store_extent(extent, TIER_EXTENT_CLAIMED, A, 1);
	store_extent(1, TIER_EXTENT_CLAIMED, A, 2);
	store_extent(3, TIER_EXTENT_SCRUB, A, 1);
	CHECK_EQ(tier_portal_granted(portal, &one, ranges, &range_count, &extents), 0);
	CHECK_EQ(range_count, 8);
	CHECK_EQ(extents, 8);
	CHECK_EQ(ranges[7].first, 14);
	end();
}

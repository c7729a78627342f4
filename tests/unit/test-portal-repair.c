/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/portal-repair.c, os/portal-pair.c, os/portal-explain.c: B repairs, in its boot 5. */
#include "portal-three.h"

static struct tier_portal *portal;
static struct tier_super super;
static struct tier_repair *repairs;
static size_t count;
static struct tier_repairing how;
static bool vm_here;

static bool machine_here(void *userdata, const char *vm)
{
	CHECK_STR(vm, "demo");
	return vm_here;
}

static void begin(const char *name)
{
	tier_portal_close(portal);
	portal = three_portal(name);
	super = three_super();
	three_host(portal, A, 2, 10);
	three_host(portal, B, 5, 10);
	three_host(portal, C, 7, 10);
	vm_here = false;
	how = (struct tier_repairing){.host = B, .boot = {{0xee}}, .machine_here = machine_here};
}

static void repair(void)
{
	uint32_t sum = three_sum(portal);
	struct tier_repair *planned = NULL;
	size_t planned_count;

	/* A dry run writes nothing, and says the same. */
	how.dry_run = true;
	CHECK_EQ(tier_portal_repair(portal, &how, &planned, &planned_count), 0);
	CHECK_EQ(three_sum(portal), sum);
	how.dry_run = false;
	free(repairs);
	repairs = NULL;
	CHECK_EQ(tier_portal_repair(portal, &how, &repairs, &count), 0);
	CHECK_EQ(planned_count, count);
	for (size_t i = 0; i < count; i++) {
		CHECK_STR(planned[i].object, repairs[i].object);
		CHECK_STR(planned[i].text, repairs[i].text);
		CHECK_EQ(planned[i].outcome == TIER_REPAIR_WOULD,
			 repairs[i].outcome == TIER_REPAIR_DONE);
	}
	free(planned);
	/* What is left alone is left alone entirely. */
	for (size_t i = 0; i < count; i++)
		if (repairs[i].outcome != TIER_REPAIR_LEFT)
			return;
	CHECK_EQ(three_sum(portal), sum);
}

/* The only one there is. */
static void expect(enum tier_repair_outcome outcome, const char *object, const char *text)
{
	repair();
	CHECK_EQ(count, 1);
	CHECK_STR(repairs[0].object, object);
	CHECK_HAS(repairs[0].text, text);
	CHECK_EQ(repairs[0].outcome, outcome);
}

/* Are both copies the same and whole, as a writer leaves them? */
static bool whole(enum tier_record_kind kind, uint32_t host, uint32_t index)
{
	size_t bytes = tier_record_bytes(kind);
	uint8_t copies[2][TIER_RECORD_MAX_BYTES];

	for (unsigned copy = 0; copy < 2; copy++)
		file_read(tier_portal_path(portal),
			  tier_record_offset(&super, kind, host, index, copy), copies[copy], bytes);
	return memcmp(copies[0], copies[1], bytes) == 0;
}

static struct tier_offer put_offer(uint32_t source, uint64_t incarnation, uint32_t destination,
				   enum tier_flight_state state)
{
	struct tier_offer offer = three_offer(&super, source, incarnation, destination, 1, state);

	CHECK_EQ(tier_portal_write_offer(portal, 3, &offer), 0);
	return offer;
}

static void put_answer(uint32_t host, const struct tier_offer *offer, uint64_t incarnation,
		       enum tier_flight_state state)
{
	struct tier_answer answer = three_answer(offer, 3, incarnation, state);

	CHECK_EQ(tier_portal_write_answer(portal, host, 4, &answer), 0);
}

static void put_extent(uint32_t extent, enum tier_extent_state state, uint32_t owner,
		       uint64_t incarnation)
{
	struct tier_extent_record record = {
		.stamp = {.incarnation = 1, .generation = 6}, .extent = extent, .state = state};

	if (state == TIER_EXTENT_CLAIMED || state == TIER_EXTENT_SCRUB) {
		record.owner = owner;
		record.owner_incarnation = incarnation;
		record.flight = fixture_flight;
	}
	CHECK_EQ(tier_portal_write_extent(portal, &record), 0);
}

TEST(nothing_to_do)
{
	begin("good");
	put_offer(B, 5, A, TIER_FLIGHT_COMMITTED);
	repair();
	CHECK_EQ(count, 0);
}

TEST(superblock)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		const char *path;

		begin("super");
		path = tier_portal_path(portal);
		file_flip(path, copy * TIER_SUPER_COPY_OFFSET + 200);
		portal = tier_portal_close(portal);
		CHECK_EQ(tier_portal_open(file_path("super"), TIER_PORTAL_WRITE, &portal, NULL), 0);
		CHECK_EQ(tier_portal_super_health(portal), 1u << copy);
		/* Any host may, also one that is none of the portal's. */
		how.host = TIER_PORTAL_NO_HOST;
		expect(TIER_REPAIR_DONE, copy ? "superblock copy 1" : "superblock copy 0",
		       "restored from copy");
		portal = tier_portal_close(portal);
		CHECK_EQ(tier_portal_open(file_path("super"), TIER_PORTAL_READ, &portal, NULL), 0);
		CHECK_EQ(tier_portal_super_health(portal), 0);
	}
	portal = tier_portal_close(portal);
}

TEST(read_only)
{
	begin("read-only");
	portal = tier_portal_close(portal);
	CHECK_EQ(tier_portal_open(file_path("read-only"), TIER_PORTAL_READ, &portal, NULL), 0);
	free(repairs);
	repairs = NULL;
	CHECK_EQ(tier_portal_repair(portal, &how, &repairs, &count), -EROFS);
}

TEST(one_copy_of_each_kind)
{
	struct tier_fence_record fence = three_fence(B, 5, C, 6, TIER_FENCE_FENCED, A);

	for (unsigned copy = 1; copy <= 2; copy++) {
		struct tier_offer offer;
		struct tier_host_record host;
		struct tier_extent_record extent;

		begin("half");
		three_damage(portal, TIER_RECORD_HOST, B, 0, copy);
		expect(TIER_REPAIR_DONE, "host B", "from the good one");
		CHECK(whole(TIER_RECORD_HOST, B, 0));
		CHECK_EQ(tier_portal_read_host(portal, B, &host), 0);
		/* Not a beat, and not another boot. */
		CHECK_EQ(host.stamp.incarnation, 5);
		CHECK_EQ(host.stamp.generation, 10);
		put_extent(6, TIER_EXTENT_RETIRED, 0, 0);
		three_damage(portal, TIER_RECORD_EXTENT, B, 6, copy);
		expect(TIER_REPAIR_DONE, "extent 6", "from the good one");
		CHECK(whole(TIER_RECORD_EXTENT, B, 6));
		CHECK_EQ(tier_portal_read_extent(portal, 6, &extent), 0);
		CHECK_EQ(extent.state, TIER_EXTENT_RETIRED);
		CHECK_EQ(extent.stamp.generation, 6);
		CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
		three_damage(portal, TIER_RECORD_FENCE, B, C, copy);
		expect(TIER_REPAIR_DONE, "fence of C by B", "from the good one");
		CHECK(whole(TIER_RECORD_FENCE, B, C));
		offer = put_offer(B, 5, A, TIER_FLIGHT_ABORTED);
		three_damage(portal, TIER_RECORD_OFFER, B, 3, copy);
		expect(TIER_REPAIR_DONE, "offer B/3", "from the good one");
		CHECK(whole(TIER_RECORD_OFFER, B, 3));
		offer = put_offer(A, 2, B, TIER_FLIGHT_CLOSED);
		put_answer(B, &offer, 5, TIER_FLIGHT_DONE);
		three_damage(portal, TIER_RECORD_ANSWER, B, 4, copy);
		expect(TIER_REPAIR_DONE, "answer B/4", "from the good one");
		CHECK(whole(TIER_RECORD_ANSWER, B, 4));
		repair();
		CHECK_EQ(count, 0);
	}
}

/* Two good copies, the second of which a writer did not come to. */
TEST(interrupted_between_the_copies)
{
	uint8_t old[256];
	uint64_t second;
	struct tier_host_record host;

	begin("behind");
	second = tier_record_offset(&super, TIER_RECORD_HOST, B, 0, 1);
	file_read(tier_portal_path(portal), second, old, sizeof(old));
	three_host(portal, B, 6, 11);
	file_write(tier_portal_path(portal), second, old, sizeof(old));
	expect(TIER_REPAIR_DONE, "host B", "from the good one");
	CHECK(whole(TIER_RECORD_HOST, B, 0));
	CHECK_EQ(tier_portal_read_host(portal, B, &host), 0);
	CHECK_EQ(host.stamp.incarnation, 6);
}

TEST(interrupted_at_first)
{
	static const uint8_t torn[64] = {'T', 'P', 'h', 'o', 1};

	begin("torn");
	file_write(tier_portal_path(portal), tier_record_offset(&super, TIER_RECORD_OFFER, B, 9, 0),
		   torn, sizeof(torn));
	repair();
	CHECK_EQ(count, 0);
}

TEST(only_the_writer)
{
	struct tier_offer offer;

	begin("others");
	three_damage(portal, TIER_RECORD_HOST, A, 0, 1);
	expect(TIER_REPAIR_LEFT, "host A", "only A may write it");
	three_damage(portal, TIER_RECORD_HOST, A, 0, 1);
	put_extent(0, TIER_EXTENT_FREE, 0, 0);
	three_damage(portal, TIER_RECORD_EXTENT, A, 0, 3);
	expect(TIER_REPAIR_LEFT, "extent 0", "--repair there");
	put_extent(0, TIER_EXTENT_FREE, 0, 0);
	offer = put_offer(B, 5, C, TIER_FLIGHT_CLOSED);
	put_answer(C, &offer, 7, TIER_FLIGHT_DONE);
	three_damage(portal, TIER_RECORD_ANSWER, C, 4, 3);
	expect(TIER_REPAIR_LEFT, "answer C/4", "only C may write it");
}

TEST(while_the_daemon_runs)
{
	begin("daemon");
	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	how.no_records = "cxl-tierd writes it";
	expect(TIER_REPAIR_LEFT, "host B", "cxl-tierd writes it");
}

/* ---- both copies of a host record --------------------------------------------------------------- */

static uint64_t new_boot(void)
{
	struct tier_host_record host;

	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	expect(TIER_REPAIR_DONE, "host B", "new record");
	CHECK_EQ(tier_portal_read_host(portal, B, &host), 0);
	CHECK_EQ(host.boot.bytes[0], 0xee);
	CHECK_STR(host.name, "B");
	return host.stamp.incarnation;
}

/* Each record that names a boot of B. */
TEST(host_record_counts_on)
{
	struct tier_extent_record extent = {.stamp = {.incarnation = 20, .generation = 1},
					    .extent = 6,
					    .state = TIER_EXTENT_FREE};
	struct tier_fence_record fence = three_fence(B, 30, A, 1, TIER_FENCE_RETRACTED, B);
	struct tier_answer answer;
	struct tier_offer offer;

	begin("count");
	CHECK_EQ(new_boot(), 1);
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	CHECK_EQ(new_boot(), 21);
	/* Of another home. */
	extent = (struct tier_extent_record){.stamp = {.incarnation = 999, .generation = 1},
					     .extent = 0,
					     .state = TIER_EXTENT_SCRUB,
					     .owner = B,
					     .owner_incarnation = 25,
					     .flight = fixture_flight};
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	CHECK_EQ(new_boot(), 26);
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	CHECK_EQ(new_boot(), 31);
	fence = three_fence(C, 999, B, 40, TIER_FENCE_RETRACTED, C);
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	CHECK_EQ(new_boot(), 41);
	offer = three_offer(&super, B, 50, A, 999, TIER_FLIGHT_ABORTED);
	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), 0);
	CHECK_EQ(new_boot(), 51);
	offer.stamp.incarnation = 60; /* a later boot has ended that flight */
	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), 0);
	CHECK_EQ(new_boot(), 61);
	offer = three_offer(&super, A, 999, B, 70, TIER_FLIGHT_CLOSED);
	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), 0);
	CHECK_EQ(new_boot(), 71);
	answer = three_answer(&offer, 0, 80, TIER_FLIGHT_DONE);
	CHECK_EQ(tier_portal_write_answer(portal, B, 0, &answer), 0);
	CHECK_EQ(new_boot(), 81);
}

/* A new boot would end the part that a living VM's process has in a flight. */
TEST(host_record_of_a_living_flight)
{
	begin("living");
	put_offer(B, 5, A, TIER_FLIGHT_PUBLISHED);
	vm_here = true;
	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	expect(TIER_REPAIR_LEFT, "host B", "VM demo of an open flight has a process here");
	/* Nobody can say. */
	how.machine_here = NULL;
	expect(TIER_REPAIR_LEFT, "host B", "VM demo of an open flight has a process here");
	how.machine_here = machine_here;
	vm_here = false;
	expect(TIER_REPAIR_DONE, "host B", "incarnation 6");
	/* As the destination. */
	begin("living-there");
	put_offer(A, 2, B, TIER_FLIGHT_OFFERED);
	vm_here = true;
	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	expect(TIER_REPAIR_LEFT, "host B", "VM demo of an open flight has a process here");
	/* Not of others, and not of one that is over. */
	begin("living-elsewhere");
	put_offer(A, 2, C, TIER_FLIGHT_OFFERED);
	put_offer(B, 5, A, TIER_FLIGHT_ABORTED);
	vm_here = true;
	CHECK_EQ(new_boot(), 6);
}

/* ---- both copies of an extent record ------------------------------------------------------------ */

static struct tier_extent_record rebuilt(uint32_t extent)
{
	struct tier_extent_record record;

	three_damage(portal, TIER_RECORD_EXTENT, B, extent, 3);
	repair();
	CHECK_EQ(count, 1);
	CHECK_EQ(repairs[0].outcome, TIER_REPAIR_DONE);
	CHECK_EQ(tier_portal_read_extent(portal, extent, &record), 0);
	CHECK(whole(TIER_RECORD_EXTENT, B, extent));
	CHECK_EQ(record.stamp.incarnation, 5);
	return record;
}

static void list_extent_5(enum tier_flight_state state)
{
	struct tier_offer offer = three_offer(&super, A, 2, C, 7, state);

	if (state != TIER_FLIGHT_REQUESTED)
		offer.ranges[0] = (struct tier_extent_range){4, 2};
	CHECK_EQ(tier_portal_write_offer(portal, 3, &offer), 0);
}

TEST(extent_that_a_flight_lists)
{
	static const enum tier_flight_state states[] = {TIER_FLIGHT_OFFERED, TIER_FLIGHT_PUBLISHED,
							TIER_FLIGHT_COMMITTED,
							TIER_FLIGHT_WITHDRAWN};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct tier_extent_record record;

		begin("listed");
		put_extent(5, TIER_EXTENT_CLAIMED, A, 2);
		list_extent_5(states[i]);
		record = rebuilt(5);
		CHECK_EQ(record.state, TIER_EXTENT_CLAIMED);
		CHECK_EQ(record.owner, A);
		CHECK_EQ(record.owner_incarnation, 2);
		CHECK(memcmp(&record.flight, &fixture_flight, sizeof(fixture_flight)) == 0);
	}
}

TEST(extent_that_no_flight_lists)
{
	static const enum tier_flight_state states[] = {TIER_FLIGHT_REQUESTED, TIER_FLIGHT_ABORTED,
							TIER_FLIGHT_CLOSED};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		begin("unlisted");
		put_extent(5, TIER_EXTENT_CLAIMED, A, 2);
		put_extent(7, TIER_EXTENT_FREE, 0, 0);
		list_extent_5(states[i]);
		CHECK_EQ(rebuilt(5).state, TIER_EXTENT_SCRUB);
		CHECK_EQ(rebuilt(7).state, TIER_EXTENT_SCRUB);
	}
}

/* It may be the memory of a VM whose offer cannot be read. */
TEST(extent_that_may_be_listed)
{
	struct tier_offer offer;

	begin("maybe");
	put_extent(5, TIER_EXTENT_CLAIMED, A, 2);
	list_extent_5(TIER_FLIGHT_COMMITTED);
	three_damage(portal, TIER_RECORD_EXTENT, B, 5, 3);
	three_damage(portal, TIER_RECORD_OFFER, A, 3, 3);
	repair();
	CHECK_EQ(count, 2);
	CHECK_EQ(repairs[0].outcome, TIER_REPAIR_LEFT);
	CHECK_EQ(repairs[1].outcome, TIER_REPAIR_LEFT);
	three_damage(portal, TIER_RECORD_OFFER, A, 3, 3);
	/* Two flights that list it. */
	offer = three_offer(&super, C, 7, A, 2, TIER_FLIGHT_OFFERED);
	offer.ranges[0] = (struct tier_extent_range){5, 1};
	offer.flight.bytes[3]++;
	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), 0);
	expect(TIER_REPAIR_LEFT, "extent 5", "several do");
	/* Not known which boot writes it. */
	begin("unknown");
	put_extent(5, TIER_EXTENT_FREE, 0, 0);
	put_offer(B, 5, A, TIER_FLIGHT_OFFERED);
	vm_here = true;
	three_damage(portal, TIER_RECORD_EXTENT, B, 5, 3);
	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	repair();
	CHECK_EQ(count, 2);
	CHECK_EQ(repairs[1].outcome, TIER_REPAIR_LEFT);
	CHECK_HAS(repairs[1].text, "comes first");
}

/* ---- flights ------------------------------------------------------------------------------------ */

TEST(open_flights_are_left_alone)
{
	for (enum tier_flight_state state = TIER_FLIGHT_REQUESTED; state <= TIER_FLIGHT_WITHDRAWN;
	     state++) {
		struct tier_offer offer;

		begin("open");
		put_offer(B, 5, A, state);
		three_damage(portal, TIER_RECORD_OFFER, B, 3, 1);
		expect(TIER_REPAIR_LEFT, "offer B/3", "its flight is not over");
		begin("open-answer");
		offer = put_offer(A, 2, B, state);
		put_answer(B, &offer, 5, TIER_FLIGHT_DONE);
		three_damage(portal, TIER_RECORD_ANSWER, B, 4, 2);
		expect(TIER_REPAIR_LEFT, "answer B/4", "its flight is not over");
	}
}

/* Its offer may be the open one. */
TEST(answer_to_an_offer_that_cannot_be_read)
{
	struct tier_offer offer;

	begin("unread");
	offer = put_offer(A, 2, B, TIER_FLIGHT_CLOSED);
	put_answer(B, &offer, 5, TIER_FLIGHT_DONE);
	three_damage(portal, TIER_RECORD_OFFER, A, 3, 3);
	three_damage(portal, TIER_RECORD_ANSWER, B, 4, 1);
	repair();
	CHECK_EQ(count, 2);
	CHECK_EQ(repairs[0].outcome, TIER_REPAIR_LEFT);
	CHECK_EQ(repairs[1].outcome, TIER_REPAIR_LEFT);
}

static void lost_offer(const char *name, enum tier_flight_state answer_state, const char *text)
{
	struct tier_offer offer, back;

	begin(name);
	offer = put_offer(B, 5, A, TIER_FLIGHT_COMMITTED);
	put_extent(0, TIER_EXTENT_CLAIMED, B, 5);
	if (answer_state != TIER_FLIGHT_NONE)
		put_answer(A, &offer, 2, answer_state);
	three_damage(portal, TIER_RECORD_OFFER, B, 3, 3);
	expect(TIER_REPAIR_LEFT, "offer B/3", text);
	CHECK_EQ(tier_portal_read_offer(portal, B, 3, &back), TIER_E_DAMAGED);
}

TEST(offer_that_is_lost)
{
	struct tier_offer offer, back;

	lost_offer("lost-none", TIER_FLIGHT_NONE, "nobody's answer to it is known");
	lost_offer("lost-ready", TIER_FLIGHT_READY, "A has said READY, so it has not run there");
	lost_offer("lost-accepted", TIER_FLIGHT_ACCEPTED, "A has said ACCEPTED and may run the VM");
	lost_offer("lost-running", TIER_FLIGHT_RUNNING,
		   "A has said RUNNING: the VM is or was there");
	lost_offer("lost-done", TIER_FLIGHT_DONE, "never resume it on B");
	lost_offer("lost-refused", TIER_FLIGHT_REFUSED, "the VM is B's");
	/* Nothing hangs on it, since no extent is claimed for it; the slot counts on. */
	begin("needless");
	offer = put_offer(B, 5, A, TIER_FLIGHT_ABORTED);
	offer.stamp.generation = 9;
	put_answer(A, &offer, 2, TIER_FLIGHT_REFUSED);
	three_damage(portal, TIER_RECORD_OFFER, B, 3, 3);
	expect(TIER_REPAIR_DONE, "offer B/3", "the slot is emptied");
	CHECK_EQ(tier_portal_read_offer(portal, B, 3, &back), 0);
	CHECK_EQ(back.state, TIER_FLIGHT_NONE);
	CHECK_EQ(back.stamp.generation, 9);
	/* A claim that cannot be read may be one for it. */
	put_extent(0, TIER_EXTENT_FREE, 0, 0);
	three_damage(portal, TIER_RECORD_EXTENT, A, 0, 3);
	three_damage(portal, TIER_RECORD_OFFER, B, 3, 3);
	repair();
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(repairs[i].outcome, TIER_REPAIR_LEFT);
}

static void lost_answer(const char *name, enum tier_flight_state offer_state, const char *text)
{
	struct tier_offer offer;
	struct tier_answer back;

	begin(name);
	offer = put_offer(A, 2, B, offer_state);
	put_answer(B, &offer, 5, TIER_FLIGHT_RUNNING);
	three_damage(portal, TIER_RECORD_ANSWER, B, 4, 3);
	expect(TIER_REPAIR_LEFT, "answer B/4", text);
	CHECK_EQ(tier_portal_read_answer(portal, B, 4, &back), TIER_E_DAMAGED);
}

TEST(answer_that_is_lost)
{
	struct tier_fence_record fence;
	struct tier_offer offer;
	struct tier_answer back;

	lost_answer("gone-offered", TIER_FLIGHT_OFFERED, "the VM is A's");
	lost_answer("gone-published", TIER_FLIGHT_PUBLISHED, "if its process runs on B");
	lost_answer("gone-committed", TIER_FLIGHT_COMMITTED, "VM demo from A (COMMITTED)");
	/* To nothing that is open. */
	begin("gone-over");
	offer = put_offer(A, 2, B, TIER_FLIGHT_CLOSED);
	put_answer(B, &offer, 5, TIER_FLIGHT_DONE);
	three_damage(portal, TIER_RECORD_ANSWER, B, 4, 3);
	expect(TIER_REPAIR_DONE, "answer B/4", "the slot is emptied");
	CHECK_EQ(tier_portal_read_answer(portal, B, 4, &back), 0);
	CHECK_EQ(back.state, TIER_FLIGHT_NONE);
	/* As an heir: the flight is to somebody else, and its source is fenced. */
	begin("gone-heir");
	offer = put_offer(A, 2, C, TIER_FLIGHT_COMMITTED);
	put_answer(B, &offer, 5, TIER_FLIGHT_RUNNING);
	fence = three_fence(C, 7, A, 2, TIER_FENCE_FENCED, B);
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	three_damage(portal, TIER_RECORD_ANSWER, B, 4, 3);
	expect(TIER_REPAIR_LEFT, "answer B/4", "if its process runs on B");
	/* Somebody else's flight, with nobody fenced. */
	fence = three_fence(C, 7, A, 2, TIER_FENCE_RETRACTED, B);
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	expect(TIER_REPAIR_DONE, "answer B/4", "the slot is emptied");
}

TEST(fence_that_is_lost)
{
	struct tier_fence_record fence = three_fence(B, 5, C, 6, TIER_FENCE_FENCED, A);

	begin("fence");
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	three_damage(portal, TIER_RECORD_FENCE, B, C, 3);
	expect(TIER_REPAIR_LEFT, "fence of C by B", "tierctl portal fence C");
	free(repairs);
	repairs = NULL;
	portal = tier_portal_close(portal);
}

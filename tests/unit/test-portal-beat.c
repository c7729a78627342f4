/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal-file.h"
#include "test.h"
#include "tier-flight.h"

static struct tier_problem problem;
static const struct tier_uuid boot_1 = {{1}}, boot_2 = {{2}}, boot_3 = {{3}};

static struct tier_portal *open_portal(const char *name)
{
	struct tier_portal *portal = NULL;

	CHECK_EQ(tier_portal_open(file_portal(name), TIER_PORTAL_WRITE, &portal, &problem), 0);
	return portal;
}

TEST(one_more_at_each_boot)
{
	struct tier_portal *portal = open_portal("boots");
	struct tier_host_record record, stored;

	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &record, &problem), 0);
	CHECK_EQ(record.stamp.incarnation, 1);
	CHECK_EQ(tier_portal_read_host(portal, 0, &stored), TIER_E_NOT_FOUND);
	record.interval_usec = 1000000;
	CHECK_EQ(tier_portal_beat(portal, 0, &record, &problem), 0);
	CHECK_EQ(tier_portal_beat(portal, 0, &record, &problem), 0);
	CHECK_EQ(tier_portal_read_host(portal, 0, &stored), 0);
	CHECK_EQ(stored.stamp.generation, 2);
	CHECK_EQ(stored.interval_usec, 1000000);
	CHECK_STR(stored.name, "A");
	CHECK(stored.beat_usec > UINT64_C(1600000000000000));

	/* The same boot goes on where it was, whichever process it is. */
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &record, &problem), 0);
	CHECK_EQ(record.stamp.incarnation, 1);
	CHECK_EQ(record.stamp.generation, 2);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_2, &record, &problem), 0);
	CHECK_EQ(record.stamp.incarnation, 2);
	CHECK_EQ(record.stamp.generation, 0);
	CHECK_EQ(tier_portal_arrive(portal, 2, &boot_2, &record, &problem), -EINVAL);
	tier_portal_close(portal);
}

TEST(later_than_every_fence)
{
	struct tier_portal *portal = open_portal("fences");
	struct tier_fence_record fence = {.stamp = {.incarnation = 1},
					  .host = 1,
					  .target = 0,
					  .upto = 6,
					  .state = TIER_FENCE_INTENT,
					  .heir = 1};
	struct tier_host_record record;

	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &record, &problem), 0);
	CHECK_EQ(record.stamp.incarnation, 7);
	CHECK_EQ(tier_portal_beat(portal, 0, &record, &problem), 0);
	/* A fence about the present boot makes no new one of it. */
	fence.upto = 7;
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &record, &problem), 0);
	CHECK_EQ(record.stamp.incarnation, 7);
	/* One that cannot be read may be about any. */
	for (unsigned copy = 0; copy < 2; copy++)
		file_flip(tier_portal_path(portal),
			  tier_record_offset(tier_portal_super(portal), TIER_RECORD_FENCE, 1, 0,
					     copy) +
				  50);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_2, &record, &problem), TIER_E_DAMAGED);
	CHECK(strstr(problem.next, "--repair"));
	tier_portal_close(portal);
}

TEST(damaged_record)
{
	struct tier_portal *portal = open_portal("damaged");
	struct tier_host_record record, stored;

	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &record, &problem), 0);
	CHECK_EQ(tier_portal_beat(portal, 0, &record, &problem), 0);
	for (unsigned copy = 0; copy < 2; copy++)
		file_flip(tier_portal_path(portal),
			  tier_record_offset(tier_portal_super(portal), TIER_RECORD_HOST, 0, 0,
					     copy) +
				  90);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &stored, &problem), TIER_E_DAMAGED);
	CHECK(strstr(problem.next, "--repair"));
	/* Who knows which boot it is heals it. */
	CHECK_EQ(tier_portal_beat(portal, 0, &record, &problem), 0);
	CHECK_EQ(tier_portal_read_host(portal, 0, &stored), 0);
	CHECK_EQ(stored.stamp.incarnation, 1);
	tier_portal_close(portal);
}

TEST(never_over_a_later_boot)
{
	struct tier_portal *portal = open_portal("usurped");
	struct tier_host_record first, second, stored;

	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &first, &problem), 0);
	CHECK_EQ(tier_portal_beat(portal, 0, &first, &problem), 0);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_2, &second, &problem), 0);
	CHECK_EQ(tier_portal_beat(portal, 0, &second, &problem), 0);
	CHECK_EQ(tier_portal_beat(portal, 0, &first, &problem), TIER_E_STALE);
	CHECK_EQ(tier_portal_read_host(portal, 0, &stored), 0);
	CHECK_EQ(stored.stamp.incarnation, 2);
	/* Two that came at the same moment: one of them wins. */
	second.boot = boot_3;
	CHECK_EQ(tier_portal_beat(portal, 0, &second, &problem), TIER_E_STALE);
	tier_portal_close(portal);
}

TEST(no_counting_past_the_end)
{
	struct tier_portal *portal = open_portal("end");
	struct tier_host_record record;

	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_1, &record, &problem), 0);
	record.stamp.incarnation = INT64_MAX;
	CHECK_EQ(tier_portal_beat(portal, 0, &record, &problem), 0);
	CHECK_EQ(tier_portal_arrive(portal, 0, &boot_2, &record, &problem), TIER_E_DAMAGED);
	tier_portal_close(portal);
}

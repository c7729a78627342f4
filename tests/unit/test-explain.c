/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What plans and explanations are made of: other ratios, the kernel's rule on a dump, what is borne. */
#include "fixture.h"

#include "online-machine.h"
#include "sysfs.h"
#include "tier-explain.h"
#include "zoneinfo.h"
#include "zoning.h"

/* ---- other ratios ---- */

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((random_state >> 33) % n);
}

/* Each ratio by itself, against the ranges that were found by halving. */
static void compare_with_every_ratio(const struct tier_topology *t,
				     struct tier_online_policy *policy, unsigned low, unsigned high)
{
	struct tier_what_if *ranges = NULL;
	size_t count = 0, at = 0;

	CHECK_EQ(tier_plan_what_if(t, policy, low, high, &ranges, &count, NULL), 0);
	CHECK_EQ(ranges[0].low_percent, low);
	CHECK_EQ(ranges[count - 1].high_percent, high);
	policy->keep_going = true;
	for (unsigned ratio = low; ratio <= high; ratio++) {
		struct tier_plan *p = NULL;

		if (ratio > ranges[at].high_percent) {
			at++;
			CHECK_EQ(ranges[at].low_percent, ratio);
		}
		policy->ratio_percent = ratio;
		CHECK_EQ(tier_plan_online(t, policy, &p, NULL), 0);
		for (size_t i = 0; i < p->decision_count; i++) {
			const struct tier_decision *d = &p->decisions[i];
			size_t number = (size_t)atoi(d->region + (d->arrival ? 3 : 6));
			size_t place = number + (d->arrival ? policy->request_count : 0);

			if (ranges[at].zones[place] != d->zone)
				FAIL("at %u %% %s is in %s, not in %s", ratio, d->region,
				     tier_zone_name(d->zone),
				     tier_zone_name(ranges[at].zones[place]));
		}
		uint64_t movable = ranges[at].movable_bytes, kernel = ranges[at].kernel_bytes;
		const struct tier_decision *last = &p->decisions[p->decision_count - 1];

		CHECK_EQ(last->ratio_percent_after, (unsigned)(movable * 100 / kernel));
		tier_plan_free(p);
	}
	CHECK_EQ(at, count - 1);
	tier_what_if_free(ranges, count);
}

TEST(every_ratio_of_random_machines)
{
	size_t most = 0;

	for (unsigned turn = 0; turn < 8; turn++) {
		struct tier_online_request requests[6] = {};
		struct tier_online_arrival arrivals[2] = {{"new0", 0, -1}, {"new1", 0, -1}};
		struct tier_online_policy policy = {.requests = requests,
						    .request_count = 6,
						    .arrivals = arrivals,
						    .arrival_count = 2};

		random_state = turn;
		struct tier_topology *t =
			machine((4 + random_below(20)) * 128 * MIB, random_below(2) * GIB);
		for (unsigned i = 0; i < 6; i++) {
			snprintf(requests[i].region, sizeof(requests[i].region), "region%u", i);
			requests[i].zone = random_below(4) ? TIER_ONLINE_AUTO : TIER_ONLINE_MOVABLE;
			requests[i].weight = 50 + random_below(100);
			add_region(t, i, (1 + random_below(30)) * 128 * MIB, TIER_DAX_DEVDAX);
		}
		for (unsigned i = 0; i < 2; i++)
			arrivals[i].bytes = (1 + random_below(30)) * 128 * MIB;
		compare_with_every_ratio(t, &policy, 0, 700);
		struct tier_what_if *ranges = NULL;
		size_t count = 0;

		CHECK_EQ(tier_plan_what_if(t, &policy, 0, 700, &ranges, &count, NULL), 0);
		most = MAX(most, count);
		tier_what_if_free(ranges, count);
		tier_topology_free(t);
	}
	CHECK(most > 5);
}

TEST(ranges_that_are_none)
{
	_cleanup_topology_ struct tier_topology *t = machine(GIB, 0);
	struct tier_online_request request = {.region = "region0"};
	struct tier_online_policy policy = {.requests = &request, .request_count = 1};
	struct tier_problem problem = {};
	struct tier_what_if *ranges = NULL;
	size_t count = 7;

	add_region(t, 0, GIB, TIER_DAX_DEVDAX);
	CHECK_EQ(tier_plan_what_if(t, &policy, 5, 4, &ranges, &count, &problem), -EINVAL);
	CHECK_HAS(problem.text, "5..4 is no range");
	CHECK_EQ(tier_plan_what_if(t, &policy, 5, 10001, &ranges, &count, NULL), -EINVAL);
	CHECK(!ranges && count == 7);
	CHECK_EQ(tier_plan_what_if(t, &policy, 5, 5, &ranges, &count, NULL), 0);
	CHECK_EQ(count, 1);
	tier_what_if_free(ranges, count);
}

/* ---- what a machine bears ---- */

TEST(the_arithmetic_of_the_docs)
{
	struct tier_kernel_use use = {.kernel_bytes = 8 * GIB,
				      .boot_bytes = 512 * MIB,
				      .page_tables_bytes = 40 * MIB,
				      .slab_bytes = 160 * MIB,
				      .slab_reclaimable_bytes = 80 * MIB,
				      .other_bytes = 40 * MIB,
				      .memmap_bytes = TIER_UNKNOWN_U64,
				      .total_bytes = 8 * GIB,
				      .free_bytes = 4 * GIB,
				      .page_bytes = 4096};
	struct tier_bearing bears;

	tier_kernel_use_bears(&use, use.kernel_bytes, &bears);
	CHECK_EQ(bears.page_tables_per_gib, 10 * MIB);
	CHECK_EQ(bears.slab_per_gib, 20 * MIB);
	CHECK_EQ(bears.other_per_gib, 10 * MIB);
	CHECK_EQ(bears.memmap_per_gib, 16 * MIB);
	/* (4096 - 512 - 40 * 7.5) / (40 + 16) = 58.6 GiB; (4096 - 632 - 10 * 7.38) / 26 = 130.4 */
	CHECK_EQ(bears.least_movable_bytes / MIB, 60050);
	CHECK_EQ(bears.least_percent, 733);
	CHECK_EQ(bears.most_movable_bytes / MIB, 133520);
	CHECK_EQ(bears.most_percent, 1629);
	/* Twice the kernel memory with the same use of it bears more than twice as much. */
	tier_kernel_use_bears(&use, 16 * GIB, &bears);
	CHECK(bears.least_movable_bytes > 2 * 60050 * MIB && bears.least_percent > 733);
	/* Nothing, once half of it is in use already. */
	use.boot_bytes = 4 * GIB;
	tier_kernel_use_bears(&use, use.kernel_bytes, &bears);
	CHECK_EQ(bears.least_percent + bears.most_percent, 0);
	/* As measured, where the kernel counts it. */
	use.memmap_bytes = 64 * MIB;
	tier_kernel_use_bears(&use, use.kernel_bytes, &bears);
	CHECK_EQ(bears.memmap_per_gib, 8 * MIB);
}

static const char zones_text[] = "Node 0, zone      DMA\n"
				 "  pages free     3840\n"
				 "        spanned  4095\n"
				 "        present  3998\n"
				 "        managed  3840\n"
				 "        cma      16\n"
				 "      nr_free_cma  99\n"
				 "  start_pfn:           1\n"
				 "Node 0, zone  Movable\n"
				 "        spanned  0\n"
				 "        present  262144\n"
				 "        managed  262144\n"
				 "        cma      32\n"
				 "Node 0, zone   Device\n"
				 "        present  777\n"
				 "  start_pfn:           4242\n"
				 "Node 3, zone   Normal\n"
				 "        present  100\n"
				 "        managed  90\n"
				 "        cma      1000\n"
				 "  start_pfn:           4096\n";

TEST(zoneinfo)
{
	_cleanup_zoneinfo_ struct zoneinfo info = {};
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char root[64];

	scratch_new(root);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	CHECK_EQ(zoneinfo_read(&sysfs, &info), SYSFS_ABSENT);
	scratch_file(root, "proc/zoneinfo", zones_text);
	CHECK_EQ(zoneinfo_read(&sysfs, &info), 0);
	scratch_done(root);
	CHECK_EQ(info.count, 3);
	CHECK_EQ(info.zones[0].id, TIER_ZONE_DMA);
	CHECK_EQ(info.zones[0].start_pfn, 1);
	CHECK_EQ(info.zones[0].spanned_pages, 4095);
	CHECK_EQ(info.zones[0].present_pages, 3998);
	CHECK_EQ(info.zones[0].managed_pages, 3840);
	CHECK_EQ(info.zones[0].cma_pages, 16);
	/* ZONE_DEVICE changed nothing of the zone before it. */
	CHECK_EQ(info.zones[1].present_pages, 262144);
	CHECK_EQ(info.zones[1].start_pfn, 0);
	CHECK_EQ(info.zones[2].node, 3);
	CHECK_EQ(info.zones[2].cma_pages, 100);
}

TEST(what_the_kernel_uses)
{
	_cleanup_topology_ struct tier_topology *t = machine(GIB, 0);
	struct tier_problem problem = {};
	struct tier_kernel_use use = {};
	char root[64];

	t->page_bytes = 4096;
	scratch_new(root);
	CHECK_EQ(tier_kernel_use_read(root, t, &use, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "/proc/meminfo");
	scratch_file(
		root, "proc/meminfo",
		"MemTotal:        1000 kB\nMemFree:          300 kB\n"
		/* No name of today's, but some begin alike in vmstat. */
		"Slabs:            999 kB\nSlab:              60 kB\n"
		"SReclaimable:      20 kB\nKernelStack:        7 kB\nPageTables:         8 kB\n"
		"SecPageTables:      1 kB\nVmallocTotal:   99999 kB\nVmallocUsed:        2 kB\n"
		"Percpu:             1 kB\nSwapTotal:          5 kB\n");
	CHECK_EQ(tier_kernel_use_read(root, t, &use, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "/proc/zoneinfo");
	scratch_file(root, "proc/zoneinfo", zones_text);
	CHECK_EQ(tier_kernel_use_read(root, t, &use, &problem), 0);
	CHECK_EQ(use.memmap_bytes, TIER_UNKNOWN_U64);
	CHECK_EQ(use.kernel_bytes, (3998 - 16) * 4096);
	CHECK_EQ(use.movable_bytes, (262144 + 16 + 100) * 4096);
	CHECK_EQ(use.boot_bytes, (158 + 10) * 4096);
	CHECK_EQ(use.total_bytes, 1000 * KIB);
	CHECK_EQ(use.free_bytes, 300 * KIB);
	CHECK_EQ(use.page_tables_bytes, 9 * KIB);
	CHECK_EQ(use.slab_bytes, 60 * KIB);
	CHECK_EQ(use.slab_reclaimable_bytes, 20 * KIB);
	CHECK_EQ(use.other_bytes, 10 * KIB);
	scratch_file(root, "proc/vmstat",
		     "nr_free_pages 5\nnr_memmap_pages 3\nnr_memmap_boot_pages 4\n");
	CHECK_EQ(tier_kernel_use_read(root, t, &use, &problem), 0);
	CHECK_EQ(use.memmap_bytes, 7 * 4096);
	scratch_done(root);
}

/* ---- the kernel's rule on a dump: expanders on nodes 2 (1 GiB, Movable) and 3 (512 MiB, offline) ---- */

#define DUMP()                                                                                     \
	_cleanup_topology_ struct tier_topology *t = NULL;                                         \
	_cleanup_zoning_ struct tier_zoning *z = NULL;                                             \
	struct tier_zoning_policy policy = {};                                                     \
	struct tier_problem problem = {};                                                          \
	CHECK_EQ(tier_topology_read(fixture("expanders"), &t, &problem), 0);                       \
	CHECK_EQ(tier_zoning_read(fixture("expanders"), t, &z, &policy, &problem), 0)

TEST(the_state_of_a_dump)
{
	DUMP();
	struct tier_zoning_zone zone;
	const struct tier_zoning_block *block;

	CHECK(!policy.auto_movable && policy.numa_aware && !policy.movable_node);
	CHECK_EQ(policy.ratio_percent, 301);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_DMA32, &zone), 0);
	CHECK_EQ(zone.present_pages, 520151);
	CHECK_EQ(zone.present_early_pages, 520151);
	CHECK_EQ(zone.start_pfn, 4096);
	/* The expander's came later. */
	CHECK_EQ(tier_zoning_get_zone(z, 2, TIER_ZONE_MOVABLE, &zone), 0);
	CHECK_EQ(zone.present_pages, 262144);
	CHECK_EQ(zone.present_early_pages, 0);
	block = tier_zoning_get_block(z, 178);
	CHECK(block && !block->early && block->node == 2 && block->zone == TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_get_group(z, block->group)->pages, 262144);
	CHECK_EQ(tier_zoning_get_group(z, block->group)->present_movable_pages, 262144);
	block = tier_zoning_get_block(z, 210);
	CHECK(block && block->node == 3 && block->zone == TIER_ZONE_NONE);
	block = tier_zoning_get_block(z, 1);
	CHECK(block && block->early && block->group == TIER_ZONING_NO_GROUP);
	/* Nothing else is in the model, or missing in it. */
	CHECK_EQ(z->block_count, t->block_count);
}

static enum tier_zone ask(const struct tier_zoning *z, const struct tier_topology *t,
			  const char *region, bool auto_movable, bool numa_aware, unsigned ratio)
{
	struct tier_zoning_policy policy = {
		.auto_movable = auto_movable, .ratio_percent = ratio, .numa_aware = numa_aware};
	enum tier_zone zone = TIER_ZONE_NONE;

	CHECK_EQ(tier_zoning_region(z, &policy, t, region, &zone), 0);
	return zone;
}

TEST(regions_by_the_kernels_rule)
{
	DUMP();
	enum tier_zone zone = TIER_ZONE_NONE;

	CHECK_EQ(ask(z, t, "region1", false, false, 301), TIER_ZONE_NORMAL);
	/* The node has no kernel memory of its own. */
	CHECK_EQ(ask(z, t, "region1", true, true, 301), TIER_ZONE_NORMAL);
	CHECK_EQ(ask(z, t, "region1", true, true, 10000), TIER_ZONE_NORMAL);
	CHECK_EQ(ask(z, t, "region1", true, false, 301), TIER_ZONE_MOVABLE);
	/* 1.5 GiB against 524149 pages is 75.02 %. */
	CHECK_EQ(ask(z, t, "region1", true, false, 75), TIER_ZONE_NORMAL);
	CHECK_EQ(ask(z, t, "region1", true, false, 76), TIER_ZONE_MOVABLE);
	/* One that is online, as if it came now: its own memory does not count. */
	CHECK_EQ(ask(z, t, "region0", true, false, 51), TIER_ZONE_MOVABLE);
	CHECK_EQ(ask(z, t, "region0", true, false, 50), TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_get_block(z, 178)->zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_region(z, &policy, t, "region9", &zone), TIER_E_NOT_FOUND);
	/* A character device, which the kernel has not seen. */
	for (size_t i = 0; i < t->dax_count; i++)
		if (streq(t->daxs[i].region, "region1")) {
			t->daxs[i].mode = TIER_DAX_DEVDAX;
			CHECK_EQ(tier_zoning_remove(z, 210, 4), 0);
			CHECK_EQ(ask(z, t, "region1", true, false, 76), TIER_ZONE_MOVABLE);
			CHECK_EQ(ask(z, t, "region1", true, false, 75), TIER_ZONE_NORMAL);
			t->daxs[i].start = TIER_UNKNOWN_U64;
		}
	CHECK_EQ(tier_zoning_region(z, &policy, t, "region1", &zone), TIER_E_REFUSED);
}

TEST(arrivals_by_the_kernels_rule)
{
	DUMP();
	struct tier_zoning_policy aware = {
		.auto_movable = true, .ratio_percent = 301, .numa_aware = true};
	enum tier_zone zone = TIER_ZONE_NONE;

	CHECK_EQ(tier_zoning_arrival(z, &aware, t, TIER_ABSENT_NODE, GIB, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_arrival(z, &aware, t, 0, GIB, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_arrival(z, &aware, t, 0, 16 * GIB, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_NORMAL);
	aware.numa_aware = false;
	CHECK_EQ(tier_zoning_arrival(z, &aware, t, TIER_ABSENT_NODE, GIB, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_arrival(z, &aware, t, 0, MIB, &zone), -EINVAL);
}

/* Memory went online between the reading of the one and of the other. */
TEST(a_state_that_cannot_be)
{
	DUMP();
	struct tier_zoning *other = NULL;
	char root[64], command[4300];

	scratch_new(root);
	snprintf(command, sizeof(command), "cp -a '%s/.' %s && sed -i s/262144/0/ %s/proc/zoneinfo",
		 fixture("expanders"), root, root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(tier_zoning_read(root, t, &other, &policy, &problem), TIER_E_STALE);
	CHECK_HAS(problem.text, "does not agree with the memory blocks");
	snprintf(command, sizeof(command), "rm %s/proc/zoneinfo", root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(tier_zoning_read(root, t, &other, &policy, &problem), TIER_E_REFUSED);
	CHECK(!other);
	scratch_file(root, "proc/zoneinfo", "");
	scratch_file(root, "proc/cmdline", "quiet movable_node cma=0\n");
	t->block_count = 0;
	CHECK_EQ(tier_zoning_read(root, t, &other, &policy, &problem), 0);
	CHECK(policy.movable_node);
	tier_zoning_free(other);
	scratch_done(root);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include "zoning-vm.h"

/* ---- the layouts of seed 000 ---- */

TEST(seed_000_dimms)
{
	SETUP(vm());

	for (uint64_t dimm = 0; dimm < 8; dimm++)
		plug(z, &AUTO, 0, 48 + dimm * 32, 32);
	check_zones(z, 1, 15, TIER_ZONE_DMA32);
	check_zones(z, 32, 47, TIER_ZONE_NORMAL);
	check_zones(z, 48, 143, TIER_ZONE_MOVABLE);
	check_zones(z, 144, 48 + 8 * 32 - 1, TIER_ZONE_NORMAL);
}

TEST(seed_000_virtio_mem)
{
	SETUP(vm());
	int group = add_group(z, true, 0, BLOCK);
	uint64_t at = 144;

	CHECK_EQ(tier_zoning_grow(z, &AUTO, group, 48, 1024, 96 + 4 * 60, TIER_ZONING_ONLINE), 0);
	check_zones(z, 48, 143, TIER_ZONE_MOVABLE); /* 12 GiB */
	for (int turn = 0; turn < 60; turn++, at += 4) {
		check_zones(z, at, at, TIER_ZONE_NORMAL);	   /* 128 MiB */
		check_zones(z, at + 1, at + 3, TIER_ZONE_MOVABLE); /* 384 MiB */
	}
}

/* The same range by both policies and by both kinds of group. */
TEST(seed_000_one_device_of_16_gib)
{
	SETUP(vm());

	/* Whole device or nothing: 16 GiB do not fit, so that 12 GiB of it do not either. */
	plug(z, &AUTO, 0, 48, 128);
	check_zones(z, 48, 175, TIER_ZONE_NORMAL);
}

/* ---- auto-movable ---- */

TEST(online_kernel_and_online_movable_do_not_ask_the_ratio)
{
	SETUP(vm());
	enum tier_zone zone;

	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, 0, 48, 1000, TIER_ZONING_ONLINE_MOVABLE), 0);
	check_zones(z, 48, 1047, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, 0, 2000, 1, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(choose(z, &AUTO, 2000), TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_choose(z, &AUTO, 2000, TIER_ZONING_ONLINE_KERNEL, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_choose(z, &AUTO, 2000, TIER_ZONING_ONLINE_MOVABLE, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_MOVABLE);
}

TEST(ratio_of_zero_is_all_kernel)
{
	SETUP(vm());
	struct tier_zoning_policy policy = AUTO;
	int group = add_group(z, true, 0, 4 * BLOCK);

	policy.ratio_percent = 0;
	plug(z, &policy, 0, 48, 1);
	CHECK_EQ(tier_zoning_grow(z, &policy, group, 64, 8, 2, TIER_ZONING_ONLINE), 0);
	check_zones(z, 48, 48, TIER_ZONE_NORMAL);
	check_zones(z, 64, 71, TIER_ZONE_NORMAL);
}

TEST(a_node_without_cpus)
{
	SETUP(vm());

	/* Its own kernel memory is none, so that numa_aware forbids any Movable. */
	plug(z, &AUTO, 1, 100, 8);
	check_zones(z, 100, 107, TIER_ZONE_NORMAL);
	plug(z, &NOT_AWARE, 1, 200, 8);
	check_zones(z, 200, 207, TIER_ZONE_MOVABLE);
	/* Nor does what went to Normal there help it. */
	plug(z, &AUTO, 1, 300, 1);
	check_zones(z, 300, 300, TIER_ZONE_NORMAL);
	/* With memory of its own since boot, it is judged by that and by the system. */
	set_zone(z, 2, TIER_ZONE_NORMAL, 400 * BLOCK, 408 * BLOCK, 8 * BLOCK);
	set_early(z, 2, 400, 407, TIER_ZONE_NORMAL);
	plug(z, &AUTO, 2, 410, 24);
	plug(z, &AUTO, 2, 450, 1);
	check_zones(z, 410, 433, TIER_ZONE_MOVABLE);
	check_zones(z, 450, 450, TIER_ZONE_NORMAL);
	/* The ratio may be reached. */
	struct tier_zoning_policy policy = AUTO;

	CHECK_EQ(tier_zoning_offline(z, 410), 0);
	policy.ratio_percent = 300;
	CHECK_EQ(choose(z, &policy, 410), TIER_ZONE_MOVABLE);
	policy.ratio_percent = 299;
	CHECK_EQ(choose(z, &policy, 410), TIER_ZONE_NORMAL);
}

/*
 * The kernel gives up where there is no early kernel memory before it looks at the device's own, so
 * that virtio-mem on such a node never has anything in Movable.
 */
TEST(virtio_mem_on_a_node_without_early_memory)
{
	SETUP(vm());
	int aware = add_group(z, true, 1, BLOCK), not_aware = add_group(z, true, 2, BLOCK);

	CHECK_EQ(tier_zoning_grow(z, &AUTO, aware, 100, 16, 16, TIER_ZONING_ONLINE), 0);
	check_zones(z, 100, 115, TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_grow(z, &NOT_AWARE, not_aware, 200, 16, 16, TIER_ZONING_ONLINE), 0);
	check_zones(z, 200, 215, TIER_ZONE_MOVABLE);
	/* Nor where other devices have used it up. */
	CHECK_EQ(
		tier_zoning_grow(z, &NOT_AWARE, not_aware, 200, 99, 81, TIER_ZONING_ONLINE_MOVABLE),
		0);
	CHECK_EQ(tier_zoning_grow(z, &NOT_AWARE, aware, 300, 16, 16, TIER_ZONING_ONLINE), 0);
	check_zones(z, 300, 315, TIER_ZONE_NORMAL);
}

TEST(a_static_group_goes_as_its_first_block_went)
{
	SETUP(vm());
	int group = add_group(z, false, 0, 8 * BLOCK);
	struct tier_zoning_policy less = AUTO;

	CHECK_EQ(tier_zoning_add(z, &AUTO, group, 0, 48, 8, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(tier_zoning_online(z, &AUTO, 50, TIER_ZONING_ONLINE_KERNEL, NULL), 0);
	CHECK_EQ(choose(z, &AUTO, 51), TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_offline(z, 50), 0);
	/* None in a kernel zone any more: what is missing is asked about as a whole. */
	CHECK_EQ(tier_zoning_online(z, &AUTO, 51, TIER_ZONING_ONLINE, NULL), 0);
	check_zones(z, 51, 51, TIER_ZONE_MOVABLE);
	less.ratio_percent = 24; /* 7.67 blocks */
	CHECK_EQ(choose(z, &less, 52), TIER_ZONE_NORMAL);
	less.ratio_percent = 26; /* 8.3 */
	CHECK_EQ(choose(z, &less, 52), TIER_ZONE_MOVABLE);
}

TEST(kernel_memory_of_a_static_group_helps_nobody)
{
	SETUP(vm());
	struct tier_zoning_policy one = {.auto_movable = true, .ratio_percent = 100};
	int group = add_group(z, false, 0, 40 * BLOCK);

	CHECK_EQ(tier_zoning_add(z, &one, group, 0, 48, 31, TIER_ZONING_ONLINE_MOVABLE), 0);
	CHECK_EQ(tier_zoning_add(z, &one, group, 0, 79, 9, TIER_ZONING_ONLINE_KERNEL), 0);
	plug(z, &one, 0, 100, 1);
	check_zones(z, 100, 100, TIER_ZONE_NORMAL);
}

TEST(hotplugged_kernel_memory_helps_its_own_dynamic_group_only)
{
	SETUP(vm());
	struct tier_zoning_policy one = {.auto_movable = true, .ratio_percent = 100};
	int own = add_group(z, true, 0, BLOCK), other = add_group(z, true, 0, BLOCK);

	/* 31.98 blocks are early: 31 go to Movable, then one to Normal and one to Movable. */
	CHECK_EQ(tier_zoning_grow(z, &one, own, 48, 64, 33, TIER_ZONING_ONLINE), 0);
	check_zones(z, 48, 78, TIER_ZONE_MOVABLE);
	check_zones(z, 79, 79, TIER_ZONE_NORMAL);
	check_zones(z, 80, 80, TIER_ZONE_MOVABLE);
	/*
	 * For the other one, the 32 Movable and the one Normal need 31 blocks of early memory, of
	 * which .98 are left; none for a DIMM and for what has no group.
	 */
	CHECK_EQ(tier_zoning_grow(z, &one, other, 200, 8, 2, TIER_ZONING_ONLINE), 0);
	check_zones(z, 200, 200, TIER_ZONE_NORMAL);
	check_zones(z, 201, 201, TIER_ZONE_MOVABLE);
	plug(z, &one, 0, 300, 1);
	check_zones(z, 300, 300, TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_add(z, &one, -1, 0, 301, 1, TIER_ZONING_ONLINE), 0);
	check_zones(z, 301, 301, TIER_ZONE_NORMAL);
	/* Kernel memory that the first has got left over does not help anybody either. */
	for (uint64_t i = 48; i < 79; i++)
		CHECK_EQ(tier_zoning_offline(z, i), 0);
	CHECK_EQ(tier_zoning_shrink(z, own, 31), 0);
	plug(z, &one, 0, 400, 31);
	check_zones(z, 400, 430, TIER_ZONE_MOVABLE);
	plug(z, &one, 0, 500, 1);
	check_zones(z, 500, 500, TIER_ZONE_NORMAL);
}

TEST(movable_memory_of_other_dynamic_groups)
{
	SETUP(vm());
	struct tier_zoning_policy policy = {.auto_movable = true, .ratio_percent = 100};
	int first = add_group(z, true, 0, BLOCK);

	/* By hand, more than the ratio allows: nothing is left for others. */
	CHECK_EQ(tier_zoning_grow(z, &policy, first, 48, 64, 32, TIER_ZONING_ONLINE_MOVABLE), 0);
	plug(z, &policy, 0, 200, 1);
	check_zones(z, 200, 200, TIER_ZONE_NORMAL);
	/* On another node it counts for the system, and not for the node. */
	CHECK_EQ(tier_zoning_shrink(z, first, 2), 0);
	plug(z, &policy, 1, 300, 1);
	check_zones(z, 300, 300, TIER_ZONE_MOVABLE);
	plug(z, &policy, 1, 301, 1);
	check_zones(z, 301, 301, TIER_ZONE_NORMAL);
}

TEST(cma_counts_as_movable)
{
	SETUP(vm());
	struct tier_zoning_policy policy = {.auto_movable = true, .ratio_percent = 100};
	struct tier_zoning_zone zone;

	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_NORMAL, &zone), 0);
	zone.cma_pages = 4 * BLOCK; /* 27.98 kernel, 4 movable */
	CHECK_EQ(tier_zoning_set_zone(z, 0, TIER_ZONE_NORMAL, &zone), 0);
	CHECK_EQ(tier_zoning_add(z, &policy, -1, 0, 48, 24, TIER_ZONING_ONLINE), 0);
	check_zones(z, 48, 48 + 22, TIER_ZONE_MOVABLE);
	check_zones(z, 48 + 23, 48 + 23, TIER_ZONE_NORMAL);
	/* In ZONE_MOVABLE it has been counted. */
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_MOVABLE, &zone), 0);
	zone.cma_pages = 23 * BLOCK;
	CHECK_EQ(tier_zoning_set_zone(z, 0, TIER_ZONE_MOVABLE, &zone), 0);
	CHECK_EQ(tier_zoning_offline(z, 48), 0);
	CHECK_EQ(choose(z, &policy, 48), TIER_ZONE_MOVABLE);
}

TEST(early_memory)
{
	SETUP(vm());
	struct tier_zoning_policy policy = {.auto_movable = true, .ratio_percent = 100};
	struct tier_zoning_zone zone;

	/* Early ZONE_MOVABLE counts as any other. */
	set_zone(z, 0, TIER_ZONE_MOVABLE, 48 * BLOCK, 78 * BLOCK, 30 * BLOCK);
	set_early(z, 0, 48, 77, TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_add(z, &policy, -1, 0, 100, 2, TIER_ZONING_ONLINE), 0);
	check_zones(z, 100, 100, TIER_ZONE_MOVABLE);
	check_zones(z, 101, 101, TIER_ZONE_NORMAL);
	/* Early memory that goes offline allows less, back in Normal it allows as much as before. */
	CHECK_EQ(tier_zoning_offline(z, 100), 0);
	CHECK_EQ(tier_zoning_offline(z, 40), 0);
	CHECK_EQ(choose(z, &policy, 100), TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_online(z, &policy, 40, TIER_ZONING_ONLINE_KERNEL, NULL), 0);
	CHECK_EQ(choose(z, &policy, 100), TIER_ZONE_MOVABLE);
	/* Back in Movable, it counts there, and is early there. */
	CHECK_EQ(tier_zoning_offline(z, 40), 0);
	CHECK_EQ(tier_zoning_online(z, &policy, 40, TIER_ZONING_ONLINE_MOVABLE, NULL), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_MOVABLE, &zone), 0);
	CHECK_EQ(zone.present_early_pages, 31 * BLOCK);
	CHECK_EQ(zone.start_pfn, 40 * BLOCK);
	CHECK_EQ(choose(z, &policy, 100), TIER_ZONE_NORMAL);
	/* A block of several zones never goes offline. */
	CHECK_EQ(tier_zoning_offline(z, 0), TIER_E_REFUSED);
}

TEST(units_of_several_blocks)
{
	SETUP(vm());
	struct tier_zoning_policy one = {.auto_movable = true, .ratio_percent = 100};
	int group = add_group(z, true, 0, 8 * BLOCK);

	/* 31.98 blocks allow three units, and 24 of Movable; then one in Normal allows one more. */
	CHECK_EQ(tier_zoning_grow(z, &one, group, 48, 64, 5, TIER_ZONING_ONLINE), 0);
	check_zones(z, 48, 71, TIER_ZONE_MOVABLE);
	check_zones(z, 72, 79, TIER_ZONE_NORMAL);
	check_zones(z, 80, 87, TIER_ZONE_MOVABLE);
	/* A unit that is partly offline: by what is online in it, else by what is missing. */
	CHECK_EQ(tier_zoning_offline(z, 75), 0);
	CHECK_EQ(tier_zoning_offline(z, 81), 0);
	CHECK_EQ(choose(z, &one, 75), TIER_ZONE_NORMAL);
	CHECK_EQ(choose(z, &one, 81), TIER_ZONE_MOVABLE);
	one.ratio_percent = 80;
	CHECK_EQ(choose(z, &one, 81), TIER_ZONE_NORMAL);
	/* One block in Normal decides for the unit, whatever the ratio allows. */
	one.ratio_percent = 1000;
	CHECK_EQ(tier_zoning_offline(z, 87), 0);
	CHECK_EQ(tier_zoning_online(z, &one, 87, TIER_ZONING_ONLINE_KERNEL, NULL), 0);
	CHECK_EQ(choose(z, &one, 81), TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_offline(z, 87), 0);
	CHECK_EQ(choose(z, &one, 81), TIER_ZONE_MOVABLE);
	/* It shrinks from the top, Movable first; a unit that is partly offline is not Movable. */
	CHECK_EQ(tier_zoning_shrink(z, group, 1), 0);
	CHECK(!tier_zoning_get_block(z, 64) && tier_zoning_get_block(z, 63));
	CHECK(tier_zoning_get_block(z, 72) && tier_zoning_get_block(z, 80));
	CHECK_EQ(tier_zoning_shrink(z, group, 9), TIER_E_NO_SPACE);
	CHECK(!tier_zoning_get_block(z, 48) && !tier_zoning_get_block(z, 72));
	CHECK_EQ(tier_zoning_remove_group(z, group), 0);
}

/* While it decides about a device, the kernel forgets which block it was asked about. */
TEST(the_kernel_zone_of_another_range)
{
	SETUP(vm());
	struct tier_zoning_policy one = {.auto_movable = true, .ratio_percent = 1};
	int group = add_group(z, true, 0, 2 * BLOCK), single = add_group(z, true, 0, BLOCK);
	enum tier_zone zone;

	/* A unit of one block is looked at itself. */
	CHECK_EQ(tier_zoning_add(z, &one, single, 0, 31, 1, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(choose(z, &one, 31), TIER_ZONE_DMA32);
	CHECK_EQ(tier_zoning_remove(z, 31, 1), 0);
	/* The last unit below 4 GiB is DMA32's; the kernel looks behind it, and says Normal. */
	CHECK_EQ(tier_zoning_add(z, &one, group, 0, 30, 2, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(choose(z, &one, 30), TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_choose(z, &one, 30, TIER_ZONING_ONLINE_KERNEL, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_DMA32);
	CHECK_EQ(choose(z, &CONTIG, 30), TIER_ZONE_DMA32);
	one.ratio_percent = 0;
	CHECK_EQ(choose(z, &one, 30), TIER_ZONE_DMA32);
	one.ratio_percent = 1;
	/* With something of the unit in a kernel zone, it does not look there. */
	CHECK_EQ(tier_zoning_online(z, &one, 31, TIER_ZONING_ONLINE_KERNEL, NULL), 0);
	CHECK_EQ(choose(z, &one, 30), TIER_ZONE_DMA32);
	/* Nor once that is offline: the span has forgotten the hole. */
	CHECK_EQ(tier_zoning_offline(z, 31), 0);
	CHECK_EQ(choose(z, &CONTIG, 30), TIER_ZONE_NORMAL);
	/* But at what is in a kernel zone: here DMA32 begins in the middle of the unit. */
	set_zone(z, 2, TIER_ZONE_DMA32, 25 * BLOCK, 26 * BLOCK, 0);
	group = add_group(z, true, 2, 2 * BLOCK);
	CHECK_EQ(tier_zoning_add(z, &one, group, 2, 24, 2, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(tier_zoning_online(z, &one, 25, TIER_ZONING_ONLINE_KERNEL, NULL), 0);
	CHECK_EQ(choose(z, &one, 24), TIER_ZONE_DMA32);
	CHECK_EQ(tier_zoning_choose(z, &one, 24, TIER_ZONING_ONLINE_KERNEL, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_NORMAL);
	/* A DIMM: from the block on, as much as is missing of it, which reaches DMA32 here. */
	set_zone(z, 1, TIER_ZONE_DMA32, 28 * BLOCK, 29 * BLOCK, BLOCK);
	set_early(z, 1, 28, 28, TIER_ZONE_DMA32);
	group = add_group(z, false, 1, 4 * BLOCK);
	CHECK_EQ(tier_zoning_add(z, &one, group, 1, 26, 2, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(choose(z, &one, 26), TIER_ZONE_DMA32);
	CHECK_EQ(tier_zoning_choose(z, &one, 26, TIER_ZONING_ONLINE_KERNEL, &zone), 0);
	CHECK_EQ(zone, TIER_ZONE_NORMAL);
}

TEST(ratios_that_nobody_means)
{
	SETUP(vm());
	struct tier_zoning_policy policy = {.auto_movable = true, .ratio_percent = UINT32_MAX};
	int group = add_group(z, true, 0, BLOCK);

	CHECK_EQ(tier_zoning_grow(z, &policy, group, 48, 4096, 4096, TIER_ZONING_ONLINE), 0);
	check_zones(z, 48, 48 + 4095, TIER_ZONE_MOVABLE);
	plug(z, &policy, 0, 10000, 4096);
	check_zones(z, 10000, 14095, TIER_ZONE_MOVABLE);
	/* The kernel's product is of 64 bits: 2^33 pages at 2^31 % allow nothing. */
	set_zone(z, 0, TIER_ZONE_DMA, 1, 4096, 0);
	set_zone(z, 0, TIER_ZONE_DMA32, 4096, 1048576, 0);
	set_zone(z, 0, TIER_ZONE_NORMAL, 1 << 24, (1 << 24) + (UINT64_C(1) << 33),
		 UINT64_C(1) << 33);
	policy.ratio_percent = UINT32_C(1) << 31;
	plug(z, &policy, 0, 20000, 1);
	check_zones(z, 20000, 20000, TIER_ZONE_NORMAL);
	policy.ratio_percent--;
	plug(z, &policy, 0, 20001, 1);
	check_zones(z, 20001, 20001, TIER_ZONE_MOVABLE);
}

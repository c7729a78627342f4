/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include "zoning-vm.h"

/* ---- contig-zones ---- */

TEST(contig_zones_follows_the_span)
{
	SETUP(vm());
	struct tier_zoning_policy movable_node = {.movable_node = true};

	/* In no zone: a kernel zone, or with movable_node Movable. */
	CHECK_EQ(tier_zoning_add(z, &CONTIG, -1, 0, 60, 40, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(choose(z, &CONTIG, 60), TIER_ZONE_NORMAL);
	CHECK_EQ(choose(z, &movable_node, 60), TIER_ZONE_MOVABLE);
	/* Movable from 70 to 80, with a hole. */
	CHECK_EQ(tier_zoning_online(z, &CONTIG, 70, TIER_ZONING_ONLINE_MOVABLE, NULL), 0);
	CHECK_EQ(tier_zoning_online(z, &CONTIG, 80, TIER_ZONING_ONLINE_MOVABLE, NULL), 0);
	CHECK_EQ(choose(z, &CONTIG, 75), TIER_ZONE_MOVABLE);
	CHECK_EQ(choose(z, &CONTIG, 81), TIER_ZONE_NORMAL);
	/* Normal up to 90: now both spans have 75, and only Normal's has 85. */
	CHECK_EQ(tier_zoning_online(z, &CONTIG, 90, TIER_ZONING_ONLINE, NULL), 0);
	CHECK_EQ(zone_of(z, 90), TIER_ZONE_NORMAL);
	CHECK_EQ(choose(z, &CONTIG, 75), TIER_ZONE_NORMAL);
	CHECK_EQ(choose(z, &movable_node, 75), TIER_ZONE_MOVABLE);
	CHECK_EQ(choose(z, &movable_node, 85), TIER_ZONE_NORMAL);
	/* A hole below 4 GiB is DMA32's. */
	CHECK_EQ(tier_zoning_add(z, &CONTIG, -1, 0, 20, 1, TIER_ZONING_ONLINE), 0);
	CHECK_EQ(zone_of(z, 20), TIER_ZONE_DMA32);
}

TEST(spans_shrink_at_their_edges)
{
	SETUP(vm());
	struct tier_zoning_zone zone;

	CHECK_EQ(tier_zoning_add(z, &CONTIG, -1, 0, 60, 40, TIER_ZONING_OFFLINE), 0);
	for (uint64_t i = 70; i < 80; i++)
		CHECK_EQ(tier_zoning_online(z, &CONTIG, i, TIER_ZONING_ONLINE_MOVABLE, NULL), 0);
	CHECK_EQ(tier_zoning_offline(z, 71), 0);
	CHECK_EQ(tier_zoning_offline(z, 72), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_MOVABLE, &zone), 0);
	CHECK_EQ(zone.start_pfn, 70 * BLOCK);
	CHECK_EQ(zone.spanned_pages, 10 * BLOCK);
	CHECK_EQ(zone.present_pages, 8 * BLOCK);
	CHECK_EQ(choose(z, &CONTIG, 71), TIER_ZONE_MOVABLE);
	CHECK_EQ(tier_zoning_offline(z, 70), 0);
	CHECK_EQ(tier_zoning_offline(z, 79), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_MOVABLE, &zone), 0);
	CHECK_EQ(zone.start_pfn, 73 * BLOCK);
	CHECK_EQ(zone.spanned_pages, 6 * BLOCK);
	CHECK_EQ(choose(z, &CONTIG, 71), TIER_ZONE_NORMAL);
	for (uint64_t i = 73; i < 79; i++)
		CHECK_EQ(tier_zoning_offline(z, i), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_MOVABLE, &zone), 0);
	CHECK_EQ(zone.start_pfn, 0);
	CHECK_EQ(zone.spanned_pages, 0);
	CHECK_EQ(zone.present_pages, 0);
	/* Early memory at the other edge stays, also where its span is wider than its blocks. */
	CHECK_EQ(tier_zoning_online(z, &CONTIG, 90, TIER_ZONING_ONLINE_KERNEL, NULL), 0);
	CHECK_EQ(tier_zoning_offline(z, 90), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_NORMAL, &zone), 0);
	CHECK_EQ(zone.start_pfn, 32 * BLOCK);
	CHECK_EQ(zone.spanned_pages, 16 * BLOCK);
	CHECK_EQ(tier_zoning_offline(z, 1), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_DMA32, &zone), 0);
	CHECK_EQ(zone.start_pfn, 4096);
	CHECK_EQ(zone.spanned_pages, 1044480);
	/* DMA32 has the upper part of the block that it shares with DMA. */
	CHECK_EQ(tier_zoning_add(z, &CONTIG, -1, 0, 31, 1, TIER_ZONING_ONLINE), 0);
	for (uint64_t i = 2; i < 16; i++)
		CHECK_EQ(tier_zoning_offline(z, i), 0);
	CHECK_EQ(tier_zoning_offline(z, 31), 0);
	CHECK_EQ(tier_zoning_get_zone(z, 0, TIER_ZONE_DMA32, &zone), 0);
	CHECK_EQ(zone.start_pfn, 4096);
	CHECK_EQ(zone.spanned_pages, BLOCK - 4096);
}

/* ---- what sysfs says, and what the calls refuse ---- */

TEST(valid_zones_as_sysfs_has_them)
{
	SETUP(vm());
	struct tier_zoning_policy none = AUTO;
	enum tier_zone zones[3];

	none.ratio_percent = 0;
	CHECK_EQ(tier_zoning_valid_zones(z, &AUTO, 0, zones), 1);
	CHECK_EQ(zones[0], TIER_ZONE_MIXED);
	CHECK_EQ(tier_zoning_valid_zones(z, &AUTO, 40, zones), 1);
	CHECK_EQ(zones[0], TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_valid_zones(z, &AUTO, 99, zones), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, 0, 99, 1, TIER_ZONING_OFFLINE), 0);
	CHECK_EQ(tier_zoning_valid_zones(z, &AUTO, 99, zones), 2);
	CHECK_EQ(zones[0], TIER_ZONE_MOVABLE);
	CHECK_EQ(zones[1], TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_valid_zones(z, &none, 99, zones), 2);
	CHECK_EQ(zones[0], TIER_ZONE_NORMAL);
	CHECK_EQ(zones[1], TIER_ZONE_MOVABLE);
}

TEST(refusals)
{
	SETUP(vm());
	struct tier_zoning *none = NULL;
	struct tier_zoning_group bad = {.dynamic = true, .pages = BLOCK / 2};
	struct tier_zoning_zone zone = {.present_pages = 1, .present_early_pages = 2};
	struct tier_zoning_block block = {.index = 60, .group = -1, .zone = TIER_ZONE_MOVABLE};
	enum tier_zone chosen;
	int id = -1;

	CHECK_EQ(tier_zoning_new(0, &none), -EINVAL);
	CHECK_EQ(tier_zoning_new(3 * BLOCK, &none), -EINVAL);
	CHECK_EQ(tier_zoning_add_group(z, &bad, &id), -EINVAL);
	bad.pages = 3 * BLOCK;
	CHECK_EQ(tier_zoning_add_group(z, &bad, &id), -EINVAL);
	bad = (struct tier_zoning_group){};
	CHECK_EQ(tier_zoning_add_group(z, &bad, &id), -EINVAL);
	bad.pages = BLOCK;
	bad.node = 1024;
	CHECK_EQ(tier_zoning_add_group(z, &bad, &id), -EINVAL);
	CHECK_EQ(tier_zoning_set_zone(z, 0, TIER_ZONE_NORMAL, &zone), -EINVAL);
	CHECK_EQ(tier_zoning_set_zone(z, -1, TIER_ZONE_NORMAL, &(struct tier_zoning_zone){}),
		 -EINVAL);
	CHECK_EQ(tier_zoning_set_zone(z, 0, TIER_ZONE_DEVICE, &(struct tier_zoning_zone){}),
		 -EINVAL);
	/* Hotplugged, online, but the zone has no such pages. */
	CHECK_EQ(tier_zoning_set_block(z, &block), -EINVAL);
	block.zone = TIER_ZONE_NONE;
	block.group = 7;
	CHECK_EQ(tier_zoning_set_block(z, &block), -EINVAL);
	block.group = -1;
	block.node = 5;
	CHECK_EQ(tier_zoning_set_block(z, &block), -EINVAL);
	block.node = 0;
	CHECK_EQ(tier_zoning_set_block(z, &block), 0);
	CHECK_EQ(tier_zoning_set_block(z, &block), TIER_E_BUSY);
	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, 0, 59, 2, TIER_ZONING_ONLINE), TIER_E_BUSY);
	CHECK(!tier_zoning_get_block(z, 59));
	CHECK_EQ(tier_zoning_add(z, &AUTO, 9, 0, 70, 2, TIER_ZONING_ONLINE), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, 0, UINT64_MAX, 2, TIER_ZONING_ONLINE), -EINVAL);
	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, 0, 70, UINT64_MAX, TIER_ZONING_ONLINE), -EINVAL);
	CHECK_EQ(tier_zoning_add(z, &AUTO, -1, -1, 70, 1, TIER_ZONING_ONLINE), -EINVAL);
	CHECK_EQ(tier_zoning_offline(z, 60), TIER_E_REFUSED);
	CHECK_EQ(tier_zoning_offline(z, 61), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_zoning_online(z, &AUTO, 61, TIER_ZONING_ONLINE, NULL), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_zoning_choose(z, &AUTO, 60, TIER_ZONING_OFFLINE, &chosen), -EINVAL);
	CHECK_EQ(tier_zoning_online(z, &AUTO, 60, TIER_ZONING_ONLINE, NULL), 0);
	CHECK_EQ(tier_zoning_online(z, &AUTO, 60, TIER_ZONING_ONLINE, NULL), TIER_E_REFUSED);
	CHECK_EQ(tier_zoning_remove(z, 50, 20), TIER_E_BUSY);
	CHECK_EQ(tier_zoning_offline(z, 60), 0);
	CHECK_EQ(tier_zoning_remove(z, 50, 20), 0);
	CHECK(!tier_zoning_get_block(z, 60));
	/* A static group neither grows nor shrinks; a dynamic one ends with its range. */
	id = add_group(z, false, 0, 4 * BLOCK);
	CHECK_EQ(tier_zoning_grow(z, &AUTO, id, 48, 4, 1, TIER_ZONING_ONLINE), -EINVAL);
	CHECK_EQ(tier_zoning_shrink(z, id, 1), -EINVAL);
	CHECK_EQ(tier_zoning_remove_group(z, id), 0);
	CHECK_EQ(tier_zoning_remove_group(z, id), TIER_E_NOT_FOUND);
	id = add_group(z, true, 0, 4 * BLOCK);
	CHECK_EQ(tier_zoning_grow(z, &AUTO, id, 50, 8, 1, TIER_ZONING_ONLINE), -EINVAL);
	CHECK_EQ(tier_zoning_grow(z, &AUTO, id, 48, 11, 3, TIER_ZONING_ONLINE), TIER_E_NO_SPACE);
	check_zones(z, 48, 55, TIER_ZONE_MOVABLE);
	CHECK(!tier_zoning_get_block(z, 56));
}

TEST(a_machine_met_while_it_runs)
{
	SETUP(vm());
	int group = plug(z, &AUTO, 0, 48, 32), new_group;
	struct tier_zoning_zone zone, theirs;
	_cleanup_zoning_ struct tier_zoning *met = vm();

	plug(z, &AUTO, 0, 80, 80);
	check_zones(z, 80, 159, TIER_ZONE_NORMAL);
	/* zoneinfo's figures, and the blocks with their devices. */
	new_group = add_group(met, false, 0, 32 * BLOCK);
	for (enum tier_zone id = TIER_ZONE_NORMAL; id <= TIER_ZONE_MOVABLE; id++) {
		CHECK_EQ(tier_zoning_get_zone(z, 0, id, &zone), 0);
		zone.present_early_pages = zone.present_pages;
		CHECK_EQ(tier_zoning_set_zone(met, 0, id, &zone), 0);
	}
	for (uint64_t i = 48; i < 160; i++) {
		struct tier_zoning_block block = *tier_zoning_get_block(z, i);

		block.group = block.group == group ? new_group : -1;
		CHECK_EQ(tier_zoning_set_block(met, &block), 0);
	}
	for (enum tier_zone id = TIER_ZONE_NORMAL; id <= TIER_ZONE_MOVABLE; id++) {
		CHECK_EQ(tier_zoning_get_zone(z, 0, id, &zone), 0);
		CHECK_EQ(tier_zoning_get_zone(met, 0, id, &theirs), 0);
		CHECK_EQ(theirs.present_early_pages, zone.present_early_pages);
	}
	CHECK_EQ(tier_zoning_get_group(met, new_group)->present_movable_pages, 32 * BLOCK);
}

TEST(a_million_blocks)
{
	SETUP(vm());
	int dynamic = add_group(z, true, 0, 16 * BLOCK);
	struct tier_zoning_group const *device;

	plug(z, &AUTO, 0, 1 << 20, 500000);
	check_zones(z, 1 << 20, (1 << 20) + 499999, TIER_ZONE_NORMAL);
	CHECK_EQ(tier_zoning_grow(z, &AUTO, dynamic, 1 << 21, 500000, 31250, TIER_ZONING_ONLINE),
		 0);
	device = tier_zoning_get_group(z, dynamic);
	CHECK_EQ(device->present_kernel_pages + device->present_movable_pages,
		 UINT64_C(500000) * BLOCK);
	CHECK_EQ(tier_zoning_shrink(z, dynamic, 31250), 0);
	CHECK_EQ(tier_zoning_remove_group(z, dynamic), 0);
}

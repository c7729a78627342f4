/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_ZONING_VM_H
#define TIER_TEST_ZONING_VM_H

/* A small machine for the tests of libtier/core/zoning*.c, and what is done to it. After test.h. */
#include "tier-error.h"
#include "zoning.h"

#define BLOCK	   32768 /* pages: 128 MiB */
#define SETUP(...) _cleanup_zoning_ struct tier_zoning *z = __VA_ARGS__

[[maybe_unused]] static const struct tier_zoning_policy AUTO = {
	.auto_movable = true, .ratio_percent = 301, .numa_aware = true};
[[maybe_unused]] static const struct tier_zoning_policy NOT_AWARE = {.auto_movable = true,
								     .ratio_percent = 301};
[[maybe_unused]] static const struct tier_zoning_policy CONTIG = {};

static inline void set_zone(struct tier_zoning *z, int node, enum tier_zone id, uint64_t start,
			    uint64_t end, uint64_t present)
{
	struct tier_zoning_zone zone = {.start_pfn = start,
					.spanned_pages = end - start,
					.present_pages = present,
					.present_early_pages = present};

	CHECK_EQ(tier_zoning_set_zone(z, node, id, &zone), 0);
}

static inline void set_early(struct tier_zoning *z, int node, uint64_t first, uint64_t last,
			     enum tier_zone zone)
{
	for (uint64_t i = first; i <= last; i++) {
		struct tier_zoning_block block = {
			.index = i, .node = node, .group = -1, .early = true, .zone = zone};

		CHECK_EQ(tier_zoning_set_block(z, &block), 0);
	}
}

/* Seed 000's VM of 4 GiB, as zoneinfo of a q35 machine of that size has it. */
static inline struct tier_zoning *vm(void)
{
	struct tier_zoning *z = NULL;

	CHECK_EQ(tier_zoning_new(BLOCK, &z), 0);
	set_zone(z, 0, TIER_ZONE_DMA, 1, 4096, 3998);
	set_zone(z, 0, TIER_ZONE_DMA32, 4096, 1048576, 520154);
	set_zone(z, 0, TIER_ZONE_NORMAL, 1048576, 1572864, 524288);
	set_early(z, 0, 0, 0, TIER_ZONE_MIXED);
	set_early(z, 0, 1, 15, TIER_ZONE_DMA32);
	set_early(z, 0, 32, 47, TIER_ZONE_NORMAL);
	return z;
}

static inline int add_group(struct tier_zoning *z, bool dynamic, int node, uint64_t pages)
{
	struct tier_zoning_group group = {.dynamic = dynamic, .node = node, .pages = pages};
	int id = -1;

	CHECK_EQ(tier_zoning_add_group(z, &group, &id), 0);
	return id;
}

/* A DIMM or a kmem device whose blocks the kernel onlines at once. */
static inline int plug(struct tier_zoning *z, const struct tier_zoning_policy *policy, int node,
		       uint64_t first, uint64_t count)
{
	int group = add_group(z, false, node, count * BLOCK);

	CHECK_EQ(tier_zoning_add(z, policy, group, TIER_ABSENT_NODE, first, count,
				 TIER_ZONING_ONLINE),
		 0);
	return group;
}

static inline enum tier_zone zone_of(const struct tier_zoning *z, uint64_t index)
{
	const struct tier_zoning_block *block = tier_zoning_get_block(z, index);

	CHECK(block);
	return block->zone;
}

static inline void check_zones(const struct tier_zoning *z, uint64_t first, uint64_t last,
			       enum tier_zone zone)
{
	for (uint64_t i = first; i <= last; i++)
		if (zone_of(z, i) != zone)
			FAIL("block %" PRIu64 " is in %s, not in %s", i,
			     tier_zone_name(zone_of(z, i)), tier_zone_name(zone));
}

static inline enum tier_zone choose(const struct tier_zoning *z,
				    const struct tier_zoning_policy *policy, uint64_t index)
{
	enum tier_zone zone = TIER_ZONE_NONE;

	CHECK_EQ(tier_zoning_choose(z, policy, index, TIER_ZONING_ONLINE, &zone), 0);
	return zone;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "tier-error.h"
#include "zoning.h"

/* In the order of Linux 7.2.12's mm/memory_hotplug.c and nearly by its names, to be read beside it. */

#define ALL_NODES (-1)

struct stats {
	uint64_t kernel_early_pages, movable_pages;
};

struct group_stats {
	uint64_t movable_pages, req_kernel_early_pages;
};

/* A range of pages that is asked about; the kernel's rule moves both ends while it decides. */
struct range {
	uint64_t pfn, pages;
};

static void account_node(const struct zoning_node *node, struct stats *stats)
{
	for (int i = 0; i < ZONING_ZONES; i++) {
		const struct tier_zoning_zone *zone = &node->zones[i];

		if (zone->present_pages == 0)
			continue;
		if (i == ZONING_MOVABLE) {
			/* Early or not. CMA in it is part of it. */
			stats->movable_pages += zone->present_pages;
		} else {
			stats->kernel_early_pages += zone->present_early_pages - zone->cma_pages;
			stats->movable_pages += zone->cma_pages;
		}
	}
}

static void account_group(const struct tier_zoning_group *group, uint64_t ratio,
			  struct group_stats *stats)
{
	uint64_t needed = group->present_movable_pages * 100 / ratio;

	/* What a group has left over helps no other. */
	if (needed > group->present_kernel_pages)
		stats->req_kernel_early_pages += needed - group->present_kernel_pages;
	stats->movable_pages += group->present_movable_pages;
}

static bool can_online_movable(const struct tier_zoning *zoning,
			       const struct tier_zoning_policy *policy, int node,
			       const struct zoning_group *group, uint64_t pages)
{
	/* The kernel has it in an int there, so that from 2^31 on no other group needs anything. */
	uint64_t ratio = policy->ratio_percent <= INT_MAX
				 ? policy->ratio_percent
				 : policy->ratio_percent | ~UINT64_C(0xffffffff);
	struct stats stats = {};
	struct group_stats others = {};

	for (size_t i = 0; i < zoning->node_count; i++)
		if (node == ALL_NODES || (size_t)node == i)
			account_node(&zoning->nodes[i], &stats);
	for (size_t i = 0; i < zoning->group_count; i++) {
		const struct zoning_group *other = &zoning->groups[i];

		if (other->used && other->public.dynamic && other != group &&
		    (node == ALL_NODES || other->public.node == node))
			account_group(&other->public, ratio, &others);
	}
	if (stats.kernel_early_pages <= others.req_kernel_early_pages)
		return false;
	stats.kernel_early_pages -= others.req_kernel_early_pages;
	stats.movable_pages -= others.movable_pages;
	/* Hotplugged, but this device gives and takes it back itself. */
	if (group && group->public.dynamic)
		stats.kernel_early_pages += group->public.present_kernel_pages;
	stats.movable_pages += pages;
	return stats.movable_pages <= policy->ratio_percent * stats.kernel_early_pages / 100;
}

static bool intersects(const struct tier_zoning_zone *zone, struct range range)
{
	return zone->spanned_pages > 0 && range.pfn < zoning_end_pfn(zone) &&
	       range.pfn + range.pages > zone->start_pfn;
}

static enum tier_zone default_kernel_zone(const struct tier_zoning *zoning, int node,
					  struct range range)
{
	for (enum tier_zone id = TIER_ZONE_DMA; id < TIER_ZONE_NORMAL; id++)
		if (intersects(zoning_zone(zoning, node, id), range))
			return id;
	return TIER_ZONE_NORMAL;
}

/*
 * The unit of a dynamic group that has several blocks. True if it may go on with ZONE_MOVABLE.
 * @range is then the pages after the unit, as many as are missing in it, and else from the block
 * that is in the way: of no use to anybody, but the kernel looks for a kernel zone there.
 */
static bool look_at_unit(const struct tier_zoning *zoning, uint64_t unit_pages, struct range *range)
{
	uint64_t start = range->pfn / unit_pages * unit_pages, end = start + unit_pages, online = 0;

	for (size_t i = zoning_place(zoning, start / zoning->block_pages);
	     i < zoning->block_count && zoning->blocks[i].index * zoning->block_pages < end; i++) {
		const struct tier_zoning_block *block = &zoning->blocks[i];

		if (block->zone == TIER_ZONE_NONE)
			continue;
		if (block->zone != TIER_ZONE_MOVABLE) {
			range->pfn = block->index * zoning->block_pages;
			return false;
		}
		online += zoning->block_pages;
	}
	*range = (struct range){.pfn = end, .pages = unit_pages - online};
	return true;
}

static enum tier_zone auto_movable_zone(const struct tier_zoning *zoning,
					const struct tier_zoning_policy *policy,
					const struct tier_zoning_block *block, struct range range)
{
	const struct zoning_group *group = zoning_group(zoning, block->group);
	bool movable = policy->ratio_percent > 0;

	if (movable && group && !group->public.dynamic) {
		/* One block in a kernel zone, and the rest of the device follows. */
		movable = group->public.present_kernel_pages == 0;
		if (movable)
			range.pages = group->public.pages - group->public.present_movable_pages;
	} else if (movable && group && group->public.pages != zoning->block_pages) {
		movable = look_at_unit(zoning, group->public.pages, &range);
	}
	movable = movable && can_online_movable(zoning, policy, ALL_NODES, group, range.pages);
	if (movable && policy->numa_aware)
		movable = can_online_movable(zoning, policy, block->node, group, range.pages);
	return movable ? TIER_ZONE_MOVABLE : default_kernel_zone(zoning, block->node, range);
}

/* contig-zones: the zone whose span the block lies in, if that is one. */
static enum tier_zone default_zone(const struct tier_zoning *zoning,
				   const struct tier_zoning_policy *policy, int node,
				   struct range range)
{
	enum tier_zone kernel = default_kernel_zone(zoning, node, range);
	bool in_kernel = intersects(zoning_zone(zoning, node, kernel), range);
	bool in_movable = intersects(zoning_zone(zoning, node, TIER_ZONE_MOVABLE), range);

	if (in_kernel != in_movable)
		return in_kernel ? kernel : TIER_ZONE_MOVABLE;
	return policy->movable_node ? TIER_ZONE_MOVABLE : kernel;
}

enum tier_zone zoning_choose(const struct tier_zoning *zoning,
			     const struct tier_zoning_policy *policy,
			     const struct tier_zoning_block *block, enum tier_zoning_online online)
{
	struct range range = {.pfn = block->index * zoning->block_pages,
			      .pages = zoning->block_pages};

	if (online == TIER_ZONING_ONLINE_KERNEL)
		return default_kernel_zone(zoning, block->node, range);
	if (online == TIER_ZONING_ONLINE_MOVABLE)
		return TIER_ZONE_MOVABLE;
	if (policy->auto_movable)
		return auto_movable_zone(zoning, policy, block, range);
	return default_zone(zoning, policy, block->node, range);
}

int tier_zoning_choose(const struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       uint64_t index, enum tier_zoning_online online, enum tier_zone *ret_zone)
{
	const struct tier_zoning_block *block = zoning_block(zoning, index);

	if (online == TIER_ZONING_OFFLINE)
		return -EINVAL;
	if (!block)
		return TIER_E_NOT_FOUND;
	if (block->zone != TIER_ZONE_NONE)
		return TIER_E_REFUSED;
	*ret_zone = zoning_choose(zoning, policy, block, online);
	return 0;
}

int tier_zoning_valid_zones(const struct tier_zoning *zoning,
			    const struct tier_zoning_policy *policy, uint64_t index,
			    enum tier_zone ret_zones[static 3])
{
	const struct tier_zoning_block *block = zoning_block(zoning, index);
	enum tier_zone kernel;
	int count = 0;

	if (!block)
		return TIER_E_NOT_FOUND;
	ret_zones[count++] = block->zone;
	if (block->zone != TIER_ZONE_NONE)
		return count;
	ret_zones[0] = zoning_choose(zoning, policy, block, TIER_ZONING_ONLINE);
	kernel = zoning_choose(zoning, policy, block, TIER_ZONING_ONLINE_KERNEL);
	if (kernel != ret_zones[0])
		ret_zones[count++] = kernel;
	if (ret_zones[0] != TIER_ZONE_MOVABLE)
		ret_zones[count++] = TIER_ZONE_MOVABLE;
	return count;
}

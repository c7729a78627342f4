/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier-error.h"
#include "zoning.h"

/* adjust_present_page_count() */
static void account(struct tier_zoning *zoning, const struct tier_zoning_block *block,
		    enum tier_zone id, uint64_t pages)
{
	struct tier_zoning_zone *zone = zoning_zone(zoning, block->node, id);
	struct zoning_group *group = zoning_group(zoning, block->group);

	if (block->early)
		zone->present_early_pages += pages;
	zone->present_pages += pages;
	if (group && id == TIER_ZONE_MOVABLE)
		group->public.present_movable_pages += pages;
	else if (group)
		group->public.present_kernel_pages += pages;
}

/* resize_zone_range() */
static void grow_span(struct tier_zoning_zone *zone, uint64_t start, uint64_t end)
{
	uint64_t old_end = zoning_end_pfn(zone);

	if (zone->spanned_pages == 0 || start < zone->start_pfn)
		zone->start_pfn = start;
	zone->spanned_pages = MAX(end, old_end) - zone->start_pfn;
}

/* Has the block pages in this zone? Of a mixed one, it has if its span says so. */
static bool is_in(const struct tier_zoning *zoning, const struct tier_zoning_block *block, int node,
		  enum tier_zone id)
{
	const struct tier_zoning_zone *zone = zoning_zone(zoning, node, id);
	uint64_t start = block->index * zoning->block_pages;

	return (block->node == node && block->zone == id) ||
	       (block->zone == TIER_ZONE_MIXED && start < zoning_end_pfn(zone) &&
		start + zoning->block_pages > zone->start_pfn);
}

/*
 * shrink_zone_span(), after the block at this place has gone offline. Only at the edges; offline
 * blocks and other zones' next to it go from the span as well. The kernel finds the new edge to
 * 2 MiB, this to a block or to where the span was before, which no hotplugged block can tell.
 */
static void shrink_span(const struct tier_zoning *zoning, size_t place, int node, enum tier_zone id)
{
	struct tier_zoning_zone *zone = zoning_zone(zoning, node, id);
	uint64_t pages = zoning->block_pages, start = zoning->blocks[place].index * pages;
	uint64_t old_end = zoning_end_pfn(zone);
	size_t i;

	if (zone->start_pfn == start) {
		for (i = place + 1; i < zoning->block_count; i++)
			if (is_in(zoning, &zoning->blocks[i], node, id))
				break;
		zone->start_pfn =
			i < zoning->block_count ? zoning->blocks[i].index * pages : old_end;
		zone->spanned_pages = old_end > zone->start_pfn ? old_end - zone->start_pfn : 0;
	} else if (old_end == start + pages) {
		for (i = place; i > 0; i--)
			if (is_in(zoning, &zoning->blocks[i - 1], node, id))
				break;
		uint64_t end = i > 0 ? (zoning->blocks[i - 1].index + 1) * pages : 0;

		zone->spanned_pages = end > zone->start_pfn ? end - zone->start_pfn : 0;
	}
	if (zone->spanned_pages == 0)
		zone->start_pfn = 0;
}

void zoning_online(struct tier_zoning *zoning, struct tier_zoning_block *block, enum tier_zone zone)
{
	uint64_t start = block->index * zoning->block_pages;

	grow_span(zoning_zone(zoning, block->node, zone), start, start + zoning->block_pages);
	account(zoning, block, zone, zoning->block_pages);
	block->zone = zone;
}

void zoning_offline(struct tier_zoning *zoning, struct tier_zoning_block *block)
{
	enum tier_zone zone = block->zone;

	block->zone = TIER_ZONE_NONE;
	account(zoning, block, zone, -zoning->block_pages);
	shrink_span(zoning, (size_t)(block - zoning->blocks), block->node, zone);
}

int tier_zoning_online(struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       uint64_t index, enum tier_zoning_online online, enum tier_zone *ret_zone)
{
	enum tier_zone zone;
	int r;

	r = tier_zoning_choose(zoning, policy, index, online, &zone);
	if (r != 0)
		return r;
	zoning_online(zoning, zoning_block(zoning, index), zone);
	if (ret_zone)
		*ret_zone = zone;
	return 0;
}

int tier_zoning_offline(struct tier_zoning *zoning, uint64_t index)
{
	struct tier_zoning_block *block = zoning_block(zoning, index);

	if (!block)
		return TIER_E_NOT_FOUND;
	if (block->zone == TIER_ZONE_NONE || block->zone == TIER_ZONE_MIXED)
		return TIER_E_REFUSED;
	zoning_offline(zoning, block);
	return 0;
}

int tier_zoning_add(struct tier_zoning *zoning, const struct tier_zoning_policy *policy, int group,
		    int node, uint64_t first, uint64_t count, enum tier_zoning_online auto_online)
{
	struct zoning_group *device = zoning_group(zoning, group);
	uint64_t limit = ZONING_PFN_MAX / zoning->block_pages;
	size_t place = zoning_place(zoning, first);
	int r;

	if (group != TIER_ZONING_NO_GROUP && !device)
		return TIER_E_NOT_FOUND;
	if (count == 0 || first >= limit || count > limit - first)
		return -EINVAL;
	if (place < zoning->block_count && zoning->blocks[place].index - first < count)
		return TIER_E_BUSY;
	node = device ? device->public.node : node;
	r = zoning_need_node(zoning, node);
	if (r != 0)
		return r;
	r = zoning_insert(zoning, place, count);
	if (r != 0)
		return r;
	for (size_t i = 0; i < count; i++)
		zoning->blocks[place + i] = (struct tier_zoning_block){
			.index = first + i, .node = node, .group = group};
	if (device)
		device->blocks += count;
	for (size_t i = 0; auto_online != TIER_ZONING_OFFLINE && i < count; i++) {
		struct tier_zoning_block *block = &zoning->blocks[place + i];

		zoning_online(zoning, block, zoning_choose(zoning, policy, block, auto_online));
	}
	return 0;
}

int tier_zoning_remove(struct tier_zoning *zoning, uint64_t first, uint64_t count)
{
	size_t place = zoning_place(zoning, first), end = place;

	for (; end < zoning->block_count && zoning->blocks[end].index - first < count; end++)
		if (zoning->blocks[end].zone != TIER_ZONE_NONE)
			return TIER_E_BUSY;
	for (size_t i = place; i < end; i++) {
		struct zoning_group *group = zoning_group(zoning, zoning->blocks[i].group);

		if (group)
			group->blocks--;
	}
	if (end > place)
		memmove(&zoning->blocks[place], &zoning->blocks[end],
			(zoning->block_count - end) * sizeof(*zoning->blocks));
	zoning->block_count -= end - place;
	return 0;
}

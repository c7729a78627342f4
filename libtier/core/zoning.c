/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier-error.h"
#include "zoning.h"

/* x86 and arm64 have at most these. */
#define NODES_MAX 1024

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

int tier_zoning_new(uint64_t block_pages, struct tier_zoning **ret)
{
	struct tier_zoning *zoning;

	if (!is_power_of_two(block_pages) || block_pages >= ZONING_PFN_MAX)
		return -EINVAL;
	zoning = calloc(1, sizeof(*zoning));
	if (!zoning)
		return -ENOMEM;
	zoning->block_pages = block_pages;
	*ret = zoning;
	return 0;
}

struct tier_zoning *tier_zoning_free(struct tier_zoning *zoning)
{
	if (!zoning)
		return NULL;
	free(zoning->nodes);
	free(zoning->groups);
	free(zoning->blocks);
	free(zoning);
	return NULL;
}

static bool copy_array(void *ret_pointer, const void *from, size_t count, size_t element_bytes)
{
	void *to = NULL;

	if (count > 0) {
		to = malloc(count * element_bytes);
		if (!to)
			return false;
		memcpy(to, from, count * element_bytes);
	}
	memcpy(ret_pointer, &to, sizeof(to));
	return true;
}

int tier_zoning_copy(const struct tier_zoning *zoning, struct tier_zoning **ret)
{
	_cleanup_zoning_ struct tier_zoning *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	copy->block_pages = zoning->block_pages;
	copy->node_count = zoning->node_count;
	copy->group_count = zoning->group_count;
	copy->block_count = copy->block_room = zoning->block_count;
	if (!copy_array(&copy->nodes, zoning->nodes, zoning->node_count, sizeof(*copy->nodes)) ||
	    !copy_array(&copy->groups, zoning->groups, zoning->group_count,
			sizeof(*copy->groups)) ||
	    !copy_array(&copy->blocks, zoning->blocks, zoning->block_count, sizeof(*copy->blocks)))
		return -ENOMEM;
	*ret = TAKE(copy);
	return 0;
}

int zoning_need_node(struct tier_zoning *zoning, int node)
{
	if (node < 0 || node >= NODES_MAX)
		return -EINVAL;
	while (zoning->node_count <= (size_t)node)
		if (!array_grow(&zoning->nodes, &zoning->node_count, sizeof(*zoning->nodes)))
			return -ENOMEM;
	return 0;
}

int tier_zoning_set_zone(struct tier_zoning *zoning, int node, enum tier_zone id,
			 const struct tier_zoning_zone *zone)
{
	int r;

	if (!zoning_is_zone(id) || zone->start_pfn > ZONING_PFN_MAX ||
	    zone->spanned_pages > ZONING_PFN_MAX || zone->present_pages > ZONING_PFN_MAX ||
	    zone->present_early_pages > zone->present_pages ||
	    zone->cma_pages > zone->present_pages)
		return -EINVAL;
	r = zoning_need_node(zoning, node);
	if (r != 0)
		return r;
	*zoning_zone(zoning, node, id) = *zone;
	return 0;
}

int tier_zoning_get_zone(const struct tier_zoning *zoning, int node, enum tier_zone id,
			 struct tier_zoning_zone *ret)
{
	if (node < 0 || node >= NODES_MAX || !zoning_is_zone(id))
		return -EINVAL;
	*ret = (size_t)node < zoning->node_count ? *zoning_zone(zoning, node, id)
						 : (struct tier_zoning_zone){};
	return 0;
}

struct zoning_group *zoning_group(const struct tier_zoning *zoning, int id)
{
	if (id < 0 || (size_t)id >= zoning->group_count || !zoning->groups[id].used)
		return NULL;
	return &zoning->groups[id];
}

int tier_zoning_add_group(struct tier_zoning *zoning, const struct tier_zoning_group *group,
			  int *ret_id)
{
	struct zoning_group *place = NULL;
	int r;

	if (group->pages == 0 || group->present_kernel_pages > 0 ||
	    group->present_movable_pages > 0 ||
	    (group->dynamic &&
	     (!is_power_of_two(group->pages) || group->pages < zoning->block_pages)))
		return -EINVAL;
	r = zoning_need_node(zoning, group->node);
	if (r != 0)
		return r;
	for (size_t i = 0; !place && i < zoning->group_count; i++)
		if (!zoning->groups[i].used)
			place = &zoning->groups[i];
	if (!place)
		place = array_grow(&zoning->groups, &zoning->group_count, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = (struct zoning_group){.public = *group, .used = true};
	*ret_id = (int)(place - zoning->groups);
	return 0;
}

int tier_zoning_remove_group(struct tier_zoning *zoning, int id)
{
	struct zoning_group *group = zoning_group(zoning, id);

	if (!group)
		return TIER_E_NOT_FOUND;
	if (group->blocks > 0)
		return TIER_E_BUSY;
	group->used = false;
	return 0;
}

const struct tier_zoning_group *tier_zoning_get_group(const struct tier_zoning *zoning, int id)
{
	const struct zoning_group *group = zoning_group(zoning, id);

	return group ? &group->public : NULL;
}

size_t zoning_place(const struct tier_zoning *zoning, uint64_t index)
{
	size_t low = 0, high = zoning->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (zoning->blocks[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct tier_zoning_block *zoning_block(const struct tier_zoning *zoning, uint64_t index)
{
	size_t place = zoning_place(zoning, index);

	return place < zoning->block_count && zoning->blocks[place].index == index
		       ? &zoning->blocks[place]
		       : NULL;
}

const struct tier_zoning_block *tier_zoning_get_block(const struct tier_zoning *zoning,
						      uint64_t index)
{
	return zoning_block(zoning, index);
}

int zoning_insert(struct tier_zoning *zoning, size_t place, size_t count)
{
	size_t needed;

	if (__builtin_add_overflow(zoning->block_count, count, &needed) ||
	    needed > SIZE_MAX / sizeof(*zoning->blocks) / 2)
		return -ENOMEM;
	if (needed > zoning->block_room) {
		size_t room = MAX(needed, zoning->block_room * 2);
		struct tier_zoning_block *blocks =
			realloc(zoning->blocks, room * sizeof(*zoning->blocks));

		if (!blocks)
			return -ENOMEM;
		zoning->blocks = blocks;
		zoning->block_room = room;
	}
	memmove(&zoning->blocks[place + count], &zoning->blocks[place],
		(zoning->block_count - place) * sizeof(*zoning->blocks));
	memset(&zoning->blocks[place], 0, count * sizeof(*zoning->blocks));
	zoning->block_count = needed;
	return 0;
}

static int check_block(const struct tier_zoning *zoning, const struct tier_zoning_block *block,
		       const struct zoning_group *group)
{
	if (block->index >= ZONING_PFN_MAX / zoning->block_pages || block->node < 0 ||
	    (size_t)block->node >= zoning->node_count)
		return -EINVAL;
	if (!group != (block->group == TIER_ZONING_NO_GROUP))
		return -EINVAL;
	if (group && (group->public.node != block->node || block->early))
		return -EINVAL;
	if (zoning_block(zoning, block->index))
		return TIER_E_BUSY;
	if (block->zone == TIER_ZONE_NONE)
		return 0;
	if (block->zone == TIER_ZONE_MIXED)
		return block->early ? 0 : -EINVAL;
	if (!zoning_is_zone(block->zone))
		return -EINVAL;
	return !block->early && zoning_zone(zoning, block->node, block->zone)->present_early_pages <
					zoning->block_pages
		       ? -EINVAL
		       : 0;
}

int tier_zoning_set_block(struct tier_zoning *zoning, const struct tier_zoning_block *block)
{
	struct zoning_group *group = zoning_group(zoning, block->group);
	size_t place = zoning_place(zoning, block->index);
	int r;

	r = check_block(zoning, block, group);
	if (r != 0)
		return r;
	r = zoning_insert(zoning, place, 1);
	if (r != 0)
		return r;
	zoning->blocks[place] = *block;
	if (group)
		group->blocks++;
	if (block->zone == TIER_ZONE_NONE || block->early)
		return 0;
	zoning_zone(zoning, block->node, block->zone)->present_early_pages -= zoning->block_pages;
	if (group && block->zone == TIER_ZONE_MOVABLE)
		group->public.present_movable_pages += zoning->block_pages;
	else if (group)
		group->public.present_kernel_pages += zoning->block_pages;
	return 0;
}

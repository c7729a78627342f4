/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier-error.h"
#include "zoning.h"

/* In which order virtio-mem gives units back. */
enum kind {
	KIND_OFFLINE,
	KIND_MOVABLE,
	KIND_KERNEL,
	KIND_NONE,
};

/* The group of a block that is about to be taken out. */
#define GONE (-2)

int tier_zoning_grow(struct tier_zoning *zoning, const struct tier_zoning_policy *policy, int group,
		     uint64_t first, uint64_t count, uint64_t units,
		     enum tier_zoning_online auto_online)
{
	const struct zoning_group *device = zoning_group(zoning, group);
	uint64_t unit;

	if (!device)
		return TIER_E_NOT_FOUND;
	unit = device->public.pages / zoning->block_pages;
	if (!device->public.dynamic || first % unit != 0)
		return -EINVAL;
	for (uint64_t at = 0; units > 0; at += unit) {
		int r;

		if (at > count || count - at < unit)
			return TIER_E_NO_SPACE;
		r = tier_zoning_add(zoning, policy, group, TIER_ABSENT_NODE, first + at, unit,
				    auto_online);
		if (r == 0)
			units--;
		else if (r != TIER_E_BUSY)
			return r;
	}
	return 0;
}

/* What the unit that ends before this place is, and where it begins. */
static enum kind unit_kind(const struct tier_zoning *zoning, int group, uint64_t unit, size_t end,
			   size_t *ret_begin)
{
	uint64_t number = zoning->blocks[end - 1].index / unit;
	bool offline = true, movable = true, ours = true;
	size_t i = end;

	for (; i > 0 && zoning->blocks[i - 1].index / unit == number; i--) {
		const struct tier_zoning_block *block = &zoning->blocks[i - 1];

		ours &= block->group == group;
		offline &= block->zone == TIER_ZONE_NONE;
		movable &= block->zone == TIER_ZONE_MOVABLE;
	}
	*ret_begin = i;
	if (!ours)
		return KIND_NONE;
	return offline ? KIND_OFFLINE : movable ? KIND_MOVABLE : KIND_KERNEL;
}

/* Takes the blocks out that tier_zoning_shrink() has marked, all of them in one go. */
static void sweep(struct tier_zoning *zoning, struct zoning_group *device)
{
	size_t kept = 0;

	for (size_t i = 0; i < zoning->block_count; i++)
		if (zoning->blocks[i].group == GONE)
			device->blocks--;
		else
			zoning->blocks[kept++] = zoning->blocks[i];
	zoning->block_count = kept;
}

int tier_zoning_shrink(struct tier_zoning *zoning, int group, uint64_t units)
{
	struct zoning_group *device = zoning_group(zoning, group);
	uint64_t unit;

	if (!device)
		return TIER_E_NOT_FOUND;
	if (!device->public.dynamic)
		return -EINVAL;
	unit = device->public.pages / zoning->block_pages;
	for (enum kind wanted = KIND_OFFLINE; wanted < KIND_NONE; wanted++) {
		for (size_t end = zoning->block_count, begin; units > 0 && end > 0; end = begin) {
			if (unit_kind(zoning, group, unit, end, &begin) != wanted)
				continue;
			for (size_t i = begin; i < end; i++) {
				if (zoning->blocks[i].zone != TIER_ZONE_NONE)
					zoning_offline(zoning, &zoning->blocks[i]);
				zoning->blocks[i].group = GONE;
			}
			units--;
		}
	}
	sweep(zoning, device);
	return units == 0 ? 0 : TIER_E_NO_SPACE;
}

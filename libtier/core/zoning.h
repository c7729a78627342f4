/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ZONING_H
#define TIER_CORE_ZONING_H

#include "tier-zoning.h"
#include "util.h"

/* Memory ends here, as on any machine of 64 bits; sums of ranges cannot wrap then. */
#define ZONING_PFN_MAX (UINT64_C(1) << 52)

/* In the kernel's order, which default_kernel_zone_for_pfn() relies on. */
enum {
	ZONING_DMA,
	ZONING_DMA32,
	ZONING_NORMAL,
	ZONING_MOVABLE,
	ZONING_ZONES,
};

struct zoning_node {
	struct tier_zoning_zone zones[ZONING_ZONES];
};

struct zoning_group {
	struct tier_zoning_group public;
	bool used;
	size_t blocks;
};

struct tier_zoning {
	uint64_t block_pages;
	struct zoning_node *nodes; /* by id, without gaps; one that was not said is empty */
	size_t node_count;
	struct zoning_group *groups; /* by id; those that are gone are not used */
	size_t group_count;
	struct tier_zoning_block *blocks; /* sorted by index */
	size_t block_count, block_room;
};

DEFINE_CLEANUP(struct tier_zoning *, tier_zoning_free)
#define _cleanup_zoning_ _cleanup_(tier_zoning_freep)

/* Place of the first block whose index is not below @index. */
size_t zoning_place(const struct tier_zoning *zoning, uint64_t index);

/* The block, or NULL. */
struct tier_zoning_block *zoning_block(const struct tier_zoning *zoning, uint64_t index);

/* The group, or NULL for one that is not there, and for TIER_ZONING_NO_GROUP. */
struct zoning_group *zoning_group(const struct tier_zoning *zoning, int id);

/* Makes the node if it is not there; -EINVAL, -ENOMEM. */
int zoning_need_node(struct tier_zoning *zoning, int node);

/* Makes room for @count blocks at a place; they are zeroed. -ENOMEM. */
int zoning_insert(struct tier_zoning *zoning, size_t place, size_t count);

/* The zone that an offline block would go to; @online is not TIER_ZONING_OFFLINE. */
enum tier_zone zoning_choose(const struct tier_zoning *zoning,
			     const struct tier_zoning_policy *policy,
			     const struct tier_zoning_block *block, enum tier_zoning_online online);

/* Brings an offline block online, and counts it; see memory_block_online(). */
void zoning_online(struct tier_zoning *zoning, struct tier_zoning_block *block,
		   enum tier_zone zone);

/* Takes an online block, which is not mixed, offline. */
void zoning_offline(struct tier_zoning *zoning, struct tier_zoning_block *block);

static inline bool zoning_is_zone(enum tier_zone id)
{
	return id >= TIER_ZONE_DMA && id <= TIER_ZONE_MOVABLE;
}

static inline struct tier_zoning_zone *zoning_zone(const struct tier_zoning *zoning, int node,
						   enum tier_zone id)
{
	return &zoning->nodes[node].zones[id - TIER_ZONE_DMA];
}

static inline uint64_t zoning_end_pfn(const struct tier_zoning_zone *zone)
{
	return zone->start_pfn + zone->spanned_pages;
}

#endif

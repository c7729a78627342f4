/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel's rule would do with a region, or with a device that is not there yet. */
#include "online-survey.h"
#include "tier-error.h"
#include "tier-explain.h"
#include "zoning.h"

static void merge(enum tier_zone *zone, enum tier_zone more)
{
	*zone = *zone == TIER_ZONE_NONE || *zone == more ? more : TIER_ZONE_MIXED;
}

/* A device that the kernel has not seen: its group, all of its blocks, then online one by one. */
static int add_device(struct tier_zoning *zoning, const struct tier_zoning_policy *policy, int node,
		      uint64_t first, uint64_t count, enum tier_zone *zone)
{
	struct tier_zoning_group group = {.node = node, .pages = count * zoning->block_pages};
	int id, r = tier_zoning_add_group(zoning, &group, &id);

	if (r == 0)
		r = tier_zoning_add(zoning, policy, id, node, first, count, TIER_ZONING_ONLINE);
	for (uint64_t i = 0; r == 0 && i < count; i++)
		merge(zone, zoning_block(zoning, first + i)->zone);
	return r;
}

/* One that has blocks: as if none of them were online yet. */
static int online_anew(struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       uint64_t first, uint64_t count, enum tier_zone *zone)
{
	for (uint64_t i = count; i-- > 0;) {
		int r = tier_zoning_offline(zoning, first + i);

		if (r == TIER_E_NOT_FOUND)
			return TIER_E_REFUSED;
	}
	for (uint64_t i = 0; i < count; i++) {
		enum tier_zone now;
		int r = tier_zoning_online(zoning, policy, first + i, TIER_ZONING_ONLINE, &now);

		if (r != 0)
			return r;
		merge(zone, now);
	}
	return 0;
}

int tier_zoning_region(const struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       const struct tier_topology *topology, const char *region,
		       enum tier_zone *ret_zone)
{
	_cleanup_zoning_ struct tier_zoning *copy = NULL;
	enum tier_zone zone = TIER_ZONE_NONE;
	const struct tier_dax *dax = NULL;
	uint64_t size = topology->block_bytes;
	int r;

	if (!tier_topology_region(topology, region))
		return TIER_E_NOT_FOUND;
	r = tier_zoning_copy(zoning, &copy);
	while (r == 0 && (dax = tier_topology_region_dax(topology, region, dax))) {
		uint64_t count = online_usable_bytes(topology, dax) / (size ?: 1), first;

		if (dax->start == TIER_UNKNOWN_U64 || dax->target_node < 0)
			return TIER_E_REFUSED;
		first = ROUND_UP(dax->start, size) / size;
		if (count == 0)
			continue;
		r = tier_dax_has_blocks(dax)
			    ? online_anew(copy, policy, first, count, &zone)
			    : add_device(copy, policy, dax->target_node, first, count, &zone);
	}
	if (r != 0)
		return r;
	if (zone == TIER_ZONE_NONE)
		return TIER_E_REFUSED;
	*ret_zone = zone;
	return 0;
}

int tier_zoning_arrival(const struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
			const struct tier_topology *topology, int node, uint64_t bytes,
			enum tier_zone *ret_zone)
{
	_cleanup_zoning_ struct tier_zoning *copy = NULL;
	enum tier_zone zone = TIER_ZONE_NONE;
	uint64_t count = topology->block_bytes ? bytes / topology->block_bytes : 0, behind = 0;
	int r;

	if (count == 0)
		return -EINVAL;
	for (size_t i = 0; i < topology->dax_count; i++) {
		const struct tier_dax *dax = &topology->daxs[i];

		if (dax->start != TIER_UNKNOWN_U64)
			behind = MAX(behind, (dax->start + dax->bytes) / topology->block_bytes + 1);
	}
	r = tier_zoning_copy(zoning, &copy);
	if (r != 0)
		return r;
	if (copy->block_count > 0)
		behind = MAX(behind, copy->blocks[copy->block_count - 1].index + 1);
	for (size_t i = 0; node == TIER_ABSENT_NODE && i < topology->node_count; i++)
		node = MAX(node, topology->nodes[i].id + 1);
	r = add_device(copy, policy, MAX(node, 0), behind, count, &zone);
	if (r == 0)
		*ret_zone = zone;
	return r;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "topology-read.h"

static const char blocks_path[] = "sys/devices/system/memory";

static enum tier_zone zone_of(const char *name)
{
	static const enum tier_zone zones[] = {TIER_ZONE_DMA, TIER_ZONE_DMA32, TIER_ZONE_NORMAL,
					       TIER_ZONE_MOVABLE, TIER_ZONE_DEVICE};

	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		if (streq(name, tier_zone_name(zones[i])))
			return zones[i];
	/* "none": the block spans zones or has holes */
	return TIER_ZONE_MIXED;
}

/* Of an online block its zone; of an offline one what it may become. */
static void read_zones(const struct sysfs *sysfs, const char *name, struct tier_block *block)
{
	char text[128], *save = NULL;

	if (sysfs_read_string(sysfs, text, sizeof(text), "%s/%s/valid_zones", blocks_path, name))
		return;
	if (block->state != TIER_BLOCK_OFFLINE) {
		block->zone = zone_of(text);
		return;
	}
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		enum tier_zone zone = zone_of(word);

		block->can_movable |= zone == TIER_ZONE_MOVABLE;
		block->can_kernel |= zone == TIER_ZONE_NORMAL || zone == TIER_ZONE_DMA32 ||
				     zone == TIER_ZONE_DMA;
	}
}

static int read_block(const struct sysfs *sysfs, struct tier_topology *topology, const char *name)
{
	struct tier_block *block =
		topology_add_block(topology, strtoull(name + strlen("memory"), NULL, 10));
	char state[32];

	if (!block)
		return -ENOMEM;
	if (sysfs_read_string(sysfs, state, sizeof(state), "%s/%s/state", blocks_path, name) != 0) {
		/* It went away since the directory was listed. */
		topology->block_count--;
		return 0;
	}
	block->state = streq(state, "online")	       ? TIER_BLOCK_ONLINE
		       : streq(state, "going-offline") ? TIER_BLOCK_GOING_OFFLINE
						       : TIER_BLOCK_OFFLINE;
	(void)sysfs_read_bool(sysfs, &block->removable, "%s/%s/removable", blocks_path, name);
	read_zones(sysfs, name, block);
	return 0;
}

static int compare_index(const void *key, const void *element)
{
	const uint64_t *index = key;
	const struct tier_block *block = element;

	return (*index > block->index) - (*index < block->index);
}

int topology_read_blocks(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "memory", blocks_path);

	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = read_block(sysfs, topology, names.names[i]);
	if (r < 0)
		return r;
	/* One directory per node instead of one per block: there are thousands of blocks. */
	topology_sort(topology);
	for (size_t n = 0; n < topology->node_count; n++) {
		_cleanup_names_ struct sysfs_names links = {};
		int id = topology->nodes[n].id;

		r = sysfs_list(sysfs, &links, "memory", "sys/devices/system/node/node%d", id);
		if (r < 0)
			return r;
		for (size_t i = 0; i < links.count; i++) {
			uint64_t index = strtoull(links.names[i] + strlen("memory"), NULL, 10);
			struct tier_block *block =
				topology->block_count
					? bsearch(&index, topology->blocks, topology->block_count,
						  sizeof(*block), compare_index)
					: NULL;
			if (block)
				block->node = id;
		}
	}
	return 0;
}

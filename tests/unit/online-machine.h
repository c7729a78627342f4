/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_ONLINE_MACHINE_H
#define TIER_TEST_ONLINE_MACHINE_H

/* Machines for the tests of libtier/core/online-*.c, built in memory. After test.h. */
#include "online-plan.h"
#include "topology.h"

/* A machine with one DRAM node and empty CXL regions of one dax device each, built in memory. */
static inline struct tier_topology *machine(uint64_t kernel_bytes, uint64_t movable_bytes)
{
	struct tier_topology *t = NULL;
	struct tier_node *node;

	CHECK_EQ(tier_topology_new(&t), 0);
	t->block_bytes = 128 * MIB;
	node = topology_add_node(t, 0);
	node->present_kernel_bytes = kernel_bytes;
	node->present_movable_bytes = movable_bytes;
	return t;
}

/* Region N lies at (N + 1) * 64 GiB. */
static inline void add_region(struct tier_topology *t, unsigned number, uint64_t bytes,
			      enum tier_dax_mode mode)
{
	char name[32];

	snprintf(name, sizeof(name), "region%u", number);
	struct tier_region *region = topology_add_region(t, name);
	region->start = (number + 1) * 64 * GIB;
	region->bytes = bytes;
	region->committed = true;
	snprintf(name, sizeof(name), "dax%u.0", number);
	struct tier_dax *dax = topology_add_dax(t, name);
	copy_string(dax->region, sizeof(dax->region), region->name);
	dax->start = region->start;
	dax->bytes = bytes;
	dax->mode = mode;
	if (mode != TIER_DAX_SYSTEM_RAM)
		return;
	for (uint64_t at = 0; at + t->block_bytes <= bytes; at += t->block_bytes) {
		struct tier_block *block =
			topology_add_block(t, (region->start + at) / t->block_bytes);

		block->can_movable = block->can_kernel = true;
	}
}

static inline void put_online(struct tier_topology *t, unsigned number, size_t count,
			      enum tier_zone zone)
{
	uint64_t start = (number + 1) * 64 * GIB;

	for (size_t i = 0; i < t->block_count && count > 0; i++) {
		if (t->blocks[i].index * t->block_bytes < start)
			continue;
		t->blocks[i].state = TIER_BLOCK_ONLINE;
		t->blocks[i].zone = zone;
		count--;
	}
}

/* What its nodes say. */
static inline uint64_t machine_kernel(const struct tier_topology *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->node_count; i++)
		sum += t->nodes[i].present_kernel_bytes - t->nodes[i].cma_bytes;
	return sum;
}

static inline uint64_t machine_movable(const struct tier_topology *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->node_count; i++)
		sum += t->nodes[i].present_movable_bytes + t->nodes[i].cma_bytes;
	return sum;
}

#endif

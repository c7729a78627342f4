/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_ZONING_H
#define TIER_ZONING_H

#include "tier-topology.h"

/*
 * Which zone the kernel gives to memory that goes online: its own rule, step by step, on a machine
 * that exists in memory only. Everything here is pure.
 *
 * Source: Linux 7.2.12, mm/memory_hotplug.c zone_for_pfn_range() and what it calls, and
 * drivers/base/memory.c. All sums are of pages in 64 bits, and wrap where the kernel's unsigned long
 * does: the early kernel memory times the ratio, when it has 2^64 pages.
 */

/* The order of devices is that of their arrival; of blocks, that of their addresses. */
struct tier_zoning;

/* What is written to a block's "state", and to auto_online_blocks. */
enum tier_zoning_online {
	TIER_ZONING_OFFLINE, /* auto_online_blocks only */
	TIER_ZONING_ONLINE,
	TIER_ZONING_ONLINE_KERNEL,
	TIER_ZONING_ONLINE_MOVABLE,
};

/**
 * struct tier_zoning_policy - /sys/module/memory_hotplug/parameters, and the command line
 * @auto_movable: online_policy is auto-movable, else contig-zones
 * @ratio_percent: auto_movable_ratio; 0: everything goes to a kernel zone
 * @numa_aware: auto_movable_numa_aware: the ratio holds in the block's node, too
 * @movable_node: the kernel was booted with it; contig-zones looks at it, auto-movable does not
 *
 * It counts for TIER_ZONING_ONLINE only: the other two say the zone themselves.
 */
struct tier_zoning_policy {
	bool auto_movable;
	unsigned ratio_percent;
	bool numa_aware;
	bool movable_node;
};

/**
 * struct tier_zoning_zone - one zone of one node, as /proc/zoneinfo has it
 * @start_pfn: of the span, which may have holes and overlap the other zones' spans
 * @spanned_pages: 0: empty
 * @present_pages: online, also what the kernel itself has allocated or reserved since
 * @present_early_pages: the part of it that was there at boot; zoneinfo does not tell, see
 *                       tier_zoning_set_block()
 * @cma_pages: counted as MOVABLE where the zone is a kernel zone
 */
struct tier_zoning_zone {
	uint64_t start_pfn, spanned_pages;
	uint64_t present_pages, present_early_pages;
	uint64_t cma_pages;
};

/**
 * struct tier_zoning_group - a memory group: the memory of one device
 * @dynamic: virtio-mem; else static: an ACPI DIMM, a dax device of kmem
 * @node: of all of its blocks
 * @pages: static: what the device has in all; dynamic: its unit, a power of two and at least a
 *         block: for virtio-mem a block, or its big block if that is larger
 * @present_kernel_pages: online in a kernel zone, of this group
 * @present_movable_pages: online in ZONE_MOVABLE
 */
struct tier_zoning_group {
	bool dynamic;
	int node;
	uint64_t pages;
	uint64_t present_kernel_pages, present_movable_pages;
};

#define TIER_ZONING_NO_GROUP (-1)

/**
 * struct tier_zoning_block - a memory block
 * @index: N of memoryN
 * @group: its device, or TIER_ZONING_NO_GROUP: early memory, Hyper-V's and Xen's, probe
 * @early: was there at boot
 * @zone: NONE: offline; MIXED: in several zones or nodes ("none" in valid_zones), never goes
 *        offline
 *
 * Whether its struct pages are in the block itself (memmap_on_memory) makes no difference: the
 * kernel counts those pages in the same zone and group.
 */
struct tier_zoning_block {
	uint64_t index;
	int node, group;
	bool early;
	enum tier_zone zone;
};

/**
 * tier_zoning_new() - a machine without nodes and blocks
 * @block_pages: pages of a memory block, a power of two
 * @ret: free with tier_zoning_free()
 *
 * Return: 0; -EINVAL, -ENOMEM.
 */
int tier_zoning_new(uint64_t block_pages, struct tier_zoning **ret);

/** tier_zoning_copy() - the same machine once more, for what-if; 0 or -ENOMEM */
int tier_zoning_copy(const struct tier_zoning *zoning, struct tier_zoning **ret);

/** tier_zoning_free() - @zoning may be NULL; returns NULL */
struct tier_zoning *tier_zoning_free(struct tier_zoning *zoning);

/**
 * tier_zoning_set_zone() - say what a zone is now
 * @node: 0 .. 1023, made if it is new
 * @id: TIER_ZONE_DMA .. TIER_ZONE_MOVABLE. ZONE_DEVICE has no present pages and does not count.
 * @zone: copied
 *
 * Return: 0; -EINVAL, -ENOMEM.
 */
int tier_zoning_set_zone(struct tier_zoning *zoning, int node, enum tier_zone id,
			 const struct tier_zoning_zone *zone);

/** tier_zoning_get_zone() - what a zone is now; of an unknown node all zones are empty; -EINVAL */
int tier_zoning_get_zone(const struct tier_zoning *zoning, int node, enum tier_zone id,
			 struct tier_zoning_zone *ret);

/**
 * tier_zoning_add_group() - a device is there: memory_group_register_static(), _dynamic()
 * @group: copied; its present pages must be 0: tier_zoning_set_block() counts them
 * @ret_id: for the other calls
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int tier_zoning_add_group(struct tier_zoning *zoning, const struct tier_zoning_group *group,
			  int *ret_id);

/** tier_zoning_remove_group() - it is gone; TIER_E_BUSY if it has blocks, TIER_E_NOT_FOUND */
int tier_zoning_remove_group(struct tier_zoning *zoning, int id);

/** tier_zoning_get_group() - borrowed until the next change; NULL if there is none */
const struct tier_zoning_group *tier_zoning_get_group(const struct tier_zoning *zoning, int id);

/**
 * tier_zoning_set_block() - say that a block is there already, and in what state
 * @block: copied; not TIER_ZONE_DEVICE
 *
 * Its group counts it; its zone, whose figures tier_zoning_set_zone() was given before, does not
 * once more. But an online block that is not early is taken off the zone's present_early_pages: so
 * somebody who has only zoneinfo begins with present_pages there, and is right when all hotplugged
 * blocks are said.
 *
 * Return: 0; TIER_E_BUSY if it has been said; -EINVAL for a group or node that is not there or not
 * the block's, a zone that has not got the pages, or an early block in a group; -ENOMEM.
 */
int tier_zoning_set_block(struct tier_zoning *zoning, const struct tier_zoning_block *block);

/** tier_zoning_get_block() - borrowed until the next change; NULL if there is none */
const struct tier_zoning_block *tier_zoning_get_block(const struct tier_zoning *zoning,
						      uint64_t index);

/**
 * tier_zoning_choose() - the zone that the kernel would online a block to now
 * @index: an offline block
 *
 * Source: zone_for_pfn_range().
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_REFUSED if it is online; -EINVAL for TIER_ZONING_OFFLINE.
 */
int tier_zoning_choose(const struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       uint64_t index, enum tier_zoning_online online, enum tier_zone *ret_zone);

/**
 * tier_zoning_valid_zones() - what a block's valid_zones says
 * @ret_zones: of an online block its zone (MIXED is "none" there); else the default first
 *
 * Source: valid_zones_show().
 *
 * Return: the number of zones, 1 .. 3; TIER_E_NOT_FOUND.
 */
int tier_zoning_valid_zones(const struct tier_zoning *zoning,
			    const struct tier_zoning_policy *policy, uint64_t index,
			    enum tier_zone ret_zones[static 3]);

/**
 * tier_zoning_online() - online one block, as by its "state"
 * @ret_zone: may be NULL
 *
 * Source: memory_block_online().
 *
 * Return: as tier_zoning_choose().
 */
int tier_zoning_online(struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       uint64_t index, enum tier_zoning_online online, enum tier_zone *ret_zone);

/**
 * tier_zoning_offline() - offline one block
 *
 * That its pages can be moved away is not this model's question. The zone's span shrinks if the
 * block is at its edge. Source: memory_block_offline(), shrink_zone_span().
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_REFUSED if it is offline or mixed.
 */
int tier_zoning_offline(struct tier_zoning *zoning, uint64_t index);

/**
 * tier_zoning_add() - a driver adds a range of memory, and the kernel onlines it at once
 * @group: of a device, whose node it is; or TIER_ZONING_NO_GROUP, and then @node counts
 * @first: the first block
 * @auto_online: auto_online_blocks
 *
 * All blocks are there before the first is onlined; then from the lowest address up. A device with
 * several ranges adds one after the other, a virtio-mem device one unit after the other, see
 * tier_zoning_grow(). Source: add_memory_resource().
 *
 * Return: 0; TIER_E_BUSY if one of the blocks is there, and then nothing is done; TIER_E_NOT_FOUND
 * for the group; -EINVAL, -ENOMEM.
 */
int tier_zoning_add(struct tier_zoning *zoning, const struct tier_zoning_policy *policy, int group,
		    int node, uint64_t first, uint64_t count, enum tier_zoning_online auto_online);

/**
 * tier_zoning_remove() - a driver removes a range of offline memory
 *
 * Source: try_remove_memory().
 *
 * Return: 0; TIER_E_BUSY if a block in it is online, and then nothing is done.
 */
int tier_zoning_remove(struct tier_zoning *zoning, uint64_t first, uint64_t count);

/**
 * tier_zoning_grow() - a virtio-mem device grows
 * @group: dynamic
 * @first: the first block of the device's range, rounded up to a unit
 * @count: blocks of the range
 * @units: how many units are plugged
 *
 * The units that are not there, from the lowest up, each added and onlined before the next. Source:
 * virtio_mem_sbm_plug_request(), virtio_mem_bbm_plug_request().
 *
 * Return: 0; TIER_E_NO_SPACE if the range ends, with as much as fits done; TIER_E_NOT_FOUND for the
 * group; -EINVAL, -ENOMEM.
 */
int tier_zoning_grow(struct tier_zoning *zoning, const struct tier_zoning_policy *policy, int group,
		     uint64_t first, uint64_t count, uint64_t units,
		     enum tier_zoning_online auto_online);

/**
 * tier_zoning_shrink() - a virtio-mem device shrinks
 * @units: how many units are unplugged
 *
 * Offline units go first, then those in ZONE_MOVABLE, then the others, each kind from the highest
 * address down: so it goes when nothing is busy, and no block is plugged in part. Source:
 * virtio_mem_sbm_unplug_request(), virtio_mem_bbm_unplug_request().
 *
 * Return: 0; TIER_E_NO_SPACE if the device has fewer, all of which are gone then; TIER_E_NOT_FOUND
 * for the group; -EINVAL.
 */
int tier_zoning_shrink(struct tier_zoning *zoning, int group, uint64_t units);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_EXPLAIN_H
#define TIER_EXPLAIN_H

#include "tier-online.h"
#include "tier-zoning.h"

/* Why regions go where they go: another ratio, the kernel's own rule, what the kernel needs. */

/* Ratios between which nothing changes. */
struct tier_what_if {
	unsigned low_percent, high_percent;   /* both included */
	uint64_t kernel_bytes, movable_bytes; /* of the whole machine, when all is done */
	enum tier_zone
		*zones; /* of the requests in their order, then of the arrivals; NONE: nothing
				  is done, or refused */
};

/**
 * tier_plan_what_if() - what would change at another ratio
 * @policy: its own ratio does not matter; what is refused at one ratio is a zone of NONE there
 * @low_percent, @high_percent: low <= high <= TIER_RATIO_MAX
 * @ret: ranges from @low_percent to @high_percent without gaps, each different from the one before;
 *       free with tier_what_if_free()
 *
 * Pure. Return: 0; -EINVAL; as tier_plan_online() for what is wrong at any ratio.
 */
int tier_plan_what_if(const struct tier_topology *topology, const struct tier_online_policy *policy,
		      unsigned low_percent, unsigned high_percent, struct tier_what_if **ret,
		      size_t *ret_count, struct tier_problem *problem);

/** tier_what_if_free() - returns NULL */
struct tier_what_if *tier_what_if_free(struct tier_what_if *ranges, size_t count);

/**
 * tier_zoning_read() - the kernel's state, as its own rule sees it
 * @sysroot: as for tier_topology_read()
 * @topology: of the same place, read just before; borrowed
 * @ret: free with tier_zoning_free()
 * @ret_policy: /sys/module/memory_hotplug/parameters and movable_node of the command line
 *
 * Which devices DIMMs and virtio-mem are, no file tells: what is not a dax device's counts as memory
 * that was there at boot. Needs no privilege.
 *
 * Return: 0; TIER_E_REFUSED without zoneinfo or memory blocks; TIER_E_STALE if both do not agree, as
 * when memory goes online meanwhile; negative errno.
 */
int tier_zoning_read(const char *sysroot, const struct tier_topology *topology,
		     struct tier_zoning **ret, struct tier_zoning_policy *ret_policy,
		     struct tier_problem *problem);

/**
 * tier_zoning_region() - the zone in which the kernel would online a region that came now
 * @region: what of it is online counts as not there
 * @ret_zone: MIXED if its blocks would differ
 *
 * Pure. Return: 0; TIER_E_NOT_FOUND; TIER_E_REFUSED if it has no dax device with an address and a
 * node; -EINVAL, -ENOMEM.
 */
int tier_zoning_region(const struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
		       const struct tier_topology *topology, const char *region,
		       enum tier_zone *ret_zone);

/**
 * tier_zoning_arrival() - the same of a device that is not there, behind all memory that is
 * @node: TIER_ABSENT_NODE: one that has nothing yet
 *
 * Pure. Return: 0; -EINVAL if it is smaller than a block, -ENOMEM.
 */
int tier_zoning_arrival(const struct tier_zoning *zoning, const struct tier_zoning_policy *policy,
			const struct tier_topology *topology, int node, uint64_t bytes,
			enum tier_zone *ret_zone);

/**
 * struct tier_kernel_use - what the kernel's own allocations take now, in bytes
 * @kernel, @movable: present in the zones; CMA is movable
 * @boot: present and never free: the image, firmware, the memmap of what was there at boot
 * @page_tables: PageTables and SecPageTables
 * @slab, @slab_reclaimable: Slab, and SReclaimable in it
 * @other: KernelStack, Percpu and VmallocUsed
 * @memmap: all struct pages; TIER_UNKNOWN_U64 before Linux 6.11
 * @total, @free: MemTotal, MemFree
 * @page: size of a page
 */
struct tier_kernel_use {
	uint64_t kernel_bytes, movable_bytes;
	uint64_t boot_bytes;
	uint64_t page_tables_bytes, slab_bytes, slab_reclaimable_bytes, other_bytes;
	uint64_t memmap_bytes;
	uint64_t total_bytes, free_bytes;
	uint64_t page_bytes;
};

/**
 * tier_kernel_use_read() - read /proc/zoneinfo, meminfo and vmstat
 * @sysroot: as for tier_topology_read()
 * @topology: of the same place; borrowed
 *
 * Return: 0; TIER_E_REFUSED if a file does not say it, as in a dump without proc/meminfo; negative
 * errno.
 */
int tier_kernel_use_read(const char *sysroot, const struct tier_topology *topology,
			 struct tier_kernel_use *ret, struct tier_problem *problem);

/**
 * struct tier_bearing - how much Movable memory a use of kernel memory can bear
 * @page_tables_per_gib, @slab_per_gib, @other_per_gib: of memory in use; slab without what can be
 *                                                     reclaimed
 * @memmap_per_gib: of memory, used or not
 * @least: if all of it grows with the memory in use
 * @most: if only page tables and memmap grow
 *
 * At most half of the kernel zones may be the kernel's own then. docs/onlining.md has the arithmetic.
 */
struct tier_bearing {
	uint64_t page_tables_per_gib, slab_per_gib, other_per_gib, memmap_per_gib;
	uint64_t least_movable_bytes, most_movable_bytes;
	unsigned least_percent, most_percent; /* of @kernel_bytes */
};

/**
 * tier_kernel_use_bears() - which MOVABLE:KERNEL ratio a machine can bear
 * @kernel_bytes: in its kernel zones; @use has what it is now
 *
 * Pure.
 */
void tier_kernel_use_bears(const struct tier_kernel_use *use, uint64_t kernel_bytes,
			   struct tier_bearing *ret);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_ZONING_KERNEL_H
#define TIER_TEST_ZONING_KERNEL_H

/*
 * A second machine to compare with: the functions of Linux 7.2.12's mm/memory_hotplug.c as they
 * stand there, with their names, loops and side effects, over a small memory in which every
 * subsection and section is an element of an array. Nothing is shared with libtier: what it sums up
 * as it goes, this counts anew each time; what it does with blocks, this does with pages.
 *
 * The scale is smaller than the kernel's: a block of 2 sections, a section of 4 subsections, a
 * subsection of 4 pages. Memory for struct pages on a block takes one subsection.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	K_SUBSECTION_PAGES = 4,
	PAGES_PER_SECTION = 16,
	K_BLOCK_PAGES = 32,
	K_BLOCKS = 160,
	K_PAGES = K_BLOCKS * K_BLOCK_PAGES,
	K_NODES = 4,
	K_GROUPS = 8,
	NUMA_NO_NODE = -1,
};

enum zone_type { ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE, MAX_NR_ZONES };

enum mmop { MMOP_OFFLINE, MMOP_ONLINE, MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE };

struct zone {
	int node, idx;
	unsigned long zone_start_pfn, spanned_pages, cma_pages;
};

struct memory_group {
	bool used, is_dynamic;
	int nid;
	unsigned long pages; /* s.max_pages, d.unit_pages */
};

struct page {
	bool valid; /* not a hole */
	int nid, zone;
};

struct memory_block {
	bool exists, online, early, altmap, holes;
	int nid, group;	   /* group -1: none */
	struct zone *zone; /* NULL: none or several */
};

struct kernel {
	struct zone zones[K_NODES][MAX_NR_ZONES];
	struct memory_group groups[K_GROUPS];
	struct memory_block blocks[K_BLOCKS];
	struct page pages[K_PAGES / K_SUBSECTION_PAGES]; /* by subsection */
	bool section_online[K_PAGES / PAGES_PER_SECTION];
	unsigned int auto_movable_ratio;
	bool auto_movable, auto_movable_numa_aware, movable_node_enabled;
};

static inline struct page *pfn_to_online_page(struct kernel *k, unsigned long pfn)
{
	struct page *page = &k->pages[pfn / K_SUBSECTION_PAGES];

	return k->section_online[pfn / PAGES_PER_SECTION] && page->valid ? page : NULL;
}

/* ---- what the kernel keeps as counters ---- */

static inline unsigned long zone_present(const struct kernel *k, const struct zone *zone,
					 bool only_early)
{
	unsigned long pages = 0;

	for (int i = 0; i < K_PAGES / K_SUBSECTION_PAGES; i++) {
		const struct memory_block *mem = &k->blocks[i * K_SUBSECTION_PAGES / K_BLOCK_PAGES];

		if (mem->online && (mem->early || !only_early) && k->pages[i].valid &&
		    k->pages[i].nid == zone->node && k->pages[i].zone == zone->idx)
			pages += K_SUBSECTION_PAGES;
	}
	return pages;
}

static inline unsigned long group_present(const struct kernel *k, int group, bool movable)
{
	unsigned long pages = 0;

	for (int i = 0; i < K_BLOCKS; i++)
		if (k->blocks[i].group == group && k->blocks[i].online &&
		    (k->blocks[i].zone->idx == ZONE_MOVABLE) == movable)
			pages += K_BLOCK_PAGES;
	return pages;
}

/* ---- include/linux/mmzone.h ---- */

static inline unsigned long zone_end_pfn(const struct zone *zone)
{
	return zone->zone_start_pfn + zone->spanned_pages;
}

static inline bool zone_intersects(const struct zone *zone, unsigned long start_pfn,
				   unsigned long nr_pages)
{
	if (zone->spanned_pages == 0)
		return false;
	if (start_pfn >= zone_end_pfn(zone) || start_pfn + nr_pages <= zone->zone_start_pfn)
		return false;

	return true;
}

/* ---- the choice ---- */

struct auto_movable_stats {
	unsigned long kernel_early_pages;
	unsigned long movable_pages;
};

static inline void auto_movable_stats_account_zone(const struct kernel *k,
						   struct auto_movable_stats *stats,
						   const struct zone *zone)
{
	if (zone_present(k, zone, false) == 0)
		return;
	if (zone->idx == ZONE_MOVABLE) {
		stats->movable_pages += zone_present(k, zone, false);
	} else {
		stats->kernel_early_pages += zone_present(k, zone, true);
		stats->movable_pages += zone->cma_pages;
		stats->kernel_early_pages -= zone->cma_pages;
	}
}

struct auto_movable_group_stats {
	unsigned long movable_pages;
	unsigned long req_kernel_early_pages;
};

static inline int auto_movable_stats_account_group(const struct kernel *k, int group,
						   struct auto_movable_group_stats *stats)
{
	const int ratio = (int)k->auto_movable_ratio;
	long pages;

	if (!ratio)
		return 0;
	pages = (long)(group_present(k, group, true) * 100 / (unsigned long)(long)ratio);
	pages -= (long)group_present(k, group, false);

	if (pages > 0)
		stats->req_kernel_early_pages += (unsigned long)pages;
	stats->movable_pages += group_present(k, group, true);
	return 0;
}

static inline bool auto_movable_can_online_movable(const struct kernel *k, int nid, int group,
						   unsigned long nr_pages)
{
	unsigned long kernel_early_pages, movable_pages;
	struct auto_movable_group_stats group_stats = {};
	struct auto_movable_stats stats = {};

	for (int node = 0; node < K_NODES; node++)
		for (int i = 0; i < MAX_NR_ZONES; i++)
			if (nid == NUMA_NO_NODE || node == nid)
				auto_movable_stats_account_zone(k, &stats, &k->zones[node][i]);

	kernel_early_pages = stats.kernel_early_pages;
	movable_pages = stats.movable_pages;

	for (int i = 0; i < K_GROUPS; i++) {
		if (!k->groups[i].used || !k->groups[i].is_dynamic || i == group)
			continue;
		if (nid != NUMA_NO_NODE && k->groups[i].nid != nid)
			continue;
		auto_movable_stats_account_group(k, i, &group_stats);
	}
	if (kernel_early_pages <= group_stats.req_kernel_early_pages)
		return false;
	kernel_early_pages -= group_stats.req_kernel_early_pages;
	movable_pages -= group_stats.movable_pages;

	if (group >= 0 && k->groups[group].is_dynamic)
		kernel_early_pages += group_present(k, group, false);

	movable_pages += nr_pages;
	return movable_pages <= (k->auto_movable_ratio * kernel_early_pages) / 100;
}

static inline struct zone *default_kernel_zone_for_pfn(struct kernel *k, int nid,
						       unsigned long start_pfn,
						       unsigned long nr_pages)
{
	int zid;

	for (zid = 0; zid < ZONE_NORMAL; zid++) {
		struct zone *zone = &k->zones[nid][zid];

		if (zone_intersects(zone, start_pfn, nr_pages))
			return zone;
	}

	return &k->zones[nid][ZONE_NORMAL];
}

static inline struct zone *auto_movable_zone_for_pfn(struct kernel *k, int nid, int group,
						     unsigned long pfn, unsigned long nr_pages)
{
	unsigned long online_pages = 0, max_pages, end_pfn;
	struct page *page;

	if (!k->auto_movable_ratio)
		goto kernel_zone;

	if (group >= 0 && !k->groups[group].is_dynamic) {
		max_pages = k->groups[group].pages;
		online_pages = group_present(k, group, true);

		/* If anything is !MOVABLE online the rest !MOVABLE. */
		if (group_present(k, group, false))
			goto kernel_zone;
	} else if (group < 0 || k->groups[group].pages == nr_pages) {
		max_pages = nr_pages;
	} else {
		max_pages = k->groups[group].pages;
		pfn = pfn / k->groups[group].pages * k->groups[group].pages;
		end_pfn = pfn + k->groups[group].pages;
		for (; pfn < end_pfn; pfn += PAGES_PER_SECTION) {
			page = pfn_to_online_page(k, pfn);
			if (!page)
				continue;
			/* If anything is !MOVABLE online the rest !MOVABLE. */
			if (page->zone != ZONE_MOVABLE)
				goto kernel_zone;
			online_pages += PAGES_PER_SECTION;
		}
	}

	nr_pages = max_pages - online_pages;
	if (!auto_movable_can_online_movable(k, NUMA_NO_NODE, group, nr_pages))
		goto kernel_zone;
	if (k->auto_movable_numa_aware && !auto_movable_can_online_movable(k, nid, group, nr_pages))
		goto kernel_zone;

	return &k->zones[nid][ZONE_MOVABLE];
kernel_zone:
	return default_kernel_zone_for_pfn(k, nid, pfn, nr_pages);
}

static inline struct zone *default_zone_for_pfn(struct kernel *k, int nid, unsigned long start_pfn,
						unsigned long nr_pages)
{
	struct zone *kernel_zone = default_kernel_zone_for_pfn(k, nid, start_pfn, nr_pages);
	struct zone *movable_zone = &k->zones[nid][ZONE_MOVABLE];
	bool in_kernel = zone_intersects(kernel_zone, start_pfn, nr_pages);
	bool in_movable = zone_intersects(movable_zone, start_pfn, nr_pages);

	if (in_kernel ^ in_movable)
		return (in_kernel) ? kernel_zone : movable_zone;
	return k->movable_node_enabled ? movable_zone : kernel_zone;
}

static inline struct zone *zone_for_block(struct kernel *k, int block, enum mmop online_type)
{
	const struct memory_block *mem = &k->blocks[block];
	unsigned long start_pfn = (unsigned long)block * K_BLOCK_PAGES, nr_pages = K_BLOCK_PAGES;

	if (online_type == MMOP_ONLINE_KERNEL)
		return default_kernel_zone_for_pfn(k, mem->nid, start_pfn, nr_pages);
	if (online_type == MMOP_ONLINE_MOVABLE)
		return &k->zones[mem->nid][ZONE_MOVABLE];
	if (k->auto_movable)
		return auto_movable_zone_for_pfn(k, mem->nid, mem->group, start_pfn, nr_pages);
	return default_zone_for_pfn(k, mem->nid, start_pfn, nr_pages);
}

/* ---- spans ---- */

static inline void move_pfn_range_to_zone(struct kernel *k, struct zone *zone,
					  unsigned long start_pfn, unsigned long nr_pages)
{
	unsigned long old_end_pfn = zone_end_pfn(zone), end = start_pfn + nr_pages;

	if (zone->spanned_pages == 0 || start_pfn < zone->zone_start_pfn)
		zone->zone_start_pfn = start_pfn;
	zone->spanned_pages = (end > old_end_pfn ? end : old_end_pfn) - zone->zone_start_pfn;
	for (unsigned long pfn = start_pfn; pfn < end; pfn += K_SUBSECTION_PAGES)
		k->pages[pfn / K_SUBSECTION_PAGES] =
			(struct page){.valid = true, .nid = zone->node, .zone = zone->idx};
}

static inline bool is_in_zone(struct kernel *k, const struct zone *zone, unsigned long pfn)
{
	const struct page *page = pfn_to_online_page(k, pfn);

	return page && page->nid == zone->node && page->zone == zone->idx;
}

static inline unsigned long find_smallest_section_pfn(struct kernel *k, const struct zone *zone,
						      unsigned long start_pfn,
						      unsigned long end_pfn)
{
	for (; start_pfn < end_pfn; start_pfn += K_SUBSECTION_PAGES)
		if (is_in_zone(k, zone, start_pfn))
			return start_pfn;
	return 0;
}

static inline unsigned long find_biggest_section_pfn(struct kernel *k, const struct zone *zone,
						     unsigned long start_pfn, unsigned long end_pfn)
{
	for (unsigned long pfn = end_pfn - 1; pfn >= start_pfn; pfn -= K_SUBSECTION_PAGES)
		if (is_in_zone(k, zone, pfn))
			return pfn;
	return 0;
}

static inline void shrink_zone_span(struct kernel *k, struct zone *zone, unsigned long start_pfn,
				    unsigned long end_pfn)
{
	unsigned long pfn;

	if (zone->zone_start_pfn == start_pfn) {
		pfn = find_smallest_section_pfn(k, zone, end_pfn, zone_end_pfn(zone));
		if (pfn) {
			zone->spanned_pages = zone_end_pfn(zone) - pfn;
			zone->zone_start_pfn = pfn;
		} else {
			zone->zone_start_pfn = 0;
			zone->spanned_pages = 0;
		}
	} else if (zone_end_pfn(zone) == end_pfn) {
		pfn = find_biggest_section_pfn(k, zone, zone->zone_start_pfn, start_pfn);
		if (pfn) {
			zone->spanned_pages = pfn - zone->zone_start_pfn + 1;
		} else {
			zone->zone_start_pfn = 0;
			zone->spanned_pages = 0;
		}
	}
}

/* ---- blocks; with struct pages on the block, both do it in two parts ---- */

static inline void memory_block_online(struct kernel *k, int block, enum mmop online_type)
{
	struct memory_block *mem = &k->blocks[block];
	unsigned long start = (unsigned long)block * K_BLOCK_PAGES;
	unsigned long vmemmap = mem->altmap ? K_SUBSECTION_PAGES : 0;
	struct zone *zone = zone_for_block(k, block, online_type);

	if (vmemmap)
		move_pfn_range_to_zone(k, zone, start, vmemmap);
	move_pfn_range_to_zone(k, zone, start + vmemmap, K_BLOCK_PAGES - vmemmap);
	for (int i = 0; i < K_BLOCK_PAGES / PAGES_PER_SECTION; i++)
		k->section_online[start / PAGES_PER_SECTION + i] = true;
	mem->zone = zone;
	mem->online = true;
}

static inline void memory_block_offline(struct kernel *k, int block)
{
	struct memory_block *mem = &k->blocks[block];
	unsigned long start = (unsigned long)block * K_BLOCK_PAGES;
	unsigned long vmemmap = mem->altmap ? K_SUBSECTION_PAGES : 0;

	for (int i = 0; i < K_BLOCK_PAGES / PAGES_PER_SECTION; i++)
		k->section_online[start / PAGES_PER_SECTION + i] = false;
	shrink_zone_span(k, mem->zone, start + vmemmap, start + K_BLOCK_PAGES);
	if (vmemmap)
		shrink_zone_span(k, mem->zone, start, start + vmemmap);
	mem->zone = NULL;
	mem->online = false;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "tier-explain.h"
#include "util.h"

/* x86 and arm64: struct page is 64 bytes. */
#define STRUCT_PAGE_BYTES 64

static uint64_t per_gib(uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((__uint128_t)part * GIB / whole) : 0;
}

/*
 * The Movable memory M that solves
 *	fixed + grows * (K - fixed + M) + memmap * M = K / 2
 * where @grows and @memmap are bytes for each GiB.
 */
static uint64_t solve(uint64_t kernel, uint64_t fixed, uint64_t grows, uint64_t memmap)
{
	uint64_t half = kernel / 2, own, left;

	own = fixed + (uint64_t)((__uint128_t)grows * (kernel > fixed ? kernel - fixed : 0) / GIB);
	if (own >= half)
		return 0;
	left = half - own;
	if (grows + memmap == 0)
		return TIER_UNKNOWN_U64;
	__uint128_t movable = (__uint128_t)left * GIB / (grows + memmap);

	return movable > UINT64_MAX ? UINT64_MAX : (uint64_t)movable;
}

static unsigned percent(uint64_t movable, uint64_t kernel)
{
	__uint128_t value = kernel ? (__uint128_t)movable * 100 / kernel : 0;

	return value > UINT_MAX ? UINT_MAX : (unsigned)value;
}

void tier_kernel_use_bears(const struct tier_kernel_use *use, uint64_t kernel_bytes,
			   struct tier_bearing *ret)
{
	uint64_t used = use->total_bytes > use->free_bytes ? use->total_bytes - use->free_bytes : 0;
	uint64_t present = use->kernel_bytes + use->movable_bytes;
	/* What can be reclaimed gives way when the kernel needs room. */
	uint64_t slab = use->slab_bytes - use->slab_reclaimable_bytes;
	struct tier_bearing bearing = {
		.page_tables_per_gib = per_gib(use->page_tables_bytes, used),
		.slab_per_gib = per_gib(slab, used),
		.other_per_gib = per_gib(use->other_bytes, used),
		.memmap_per_gib = use->memmap_bytes == TIER_UNKNOWN_U64
					  ? GIB / use->page_bytes * STRUCT_PAGE_BYTES
					  : per_gib(use->memmap_bytes, present),
	};
	uint64_t stays =
		use->boot_bytes + use->slab_bytes - use->slab_reclaimable_bytes + use->other_bytes;

	bearing.least_movable_bytes =
		solve(kernel_bytes, use->boot_bytes,
		      bearing.page_tables_per_gib + bearing.slab_per_gib + bearing.other_per_gib,
		      bearing.memmap_per_gib);
	bearing.most_movable_bytes =
		solve(kernel_bytes, stays, bearing.page_tables_per_gib, bearing.memmap_per_gib);
	bearing.least_percent = percent(bearing.least_movable_bytes, kernel_bytes);
	bearing.most_percent = percent(bearing.most_movable_bytes, kernel_bytes);
	*ret = bearing;
}

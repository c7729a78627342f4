/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TIERING_FOLIOS_H
#define TIER_CORE_TIERING_FOLIOS_H

#include <stddef.h>
#include <stdint.h>

/* Of /proc/kpageflags. Source: admin-guide/mm/pagemap. */
#define TIERING_KPF_LRU	 (UINT64_C(1) << 5)
#define TIERING_KPF_HEAD (UINT64_C(1) << 15)
#define TIERING_KPF_TAIL (UINT64_C(1) << 16)

/* So many pages are looked at together; they begin at a multiple of their size. */
#define TIERING_FOLIO_PAGES 512

/* A page that is there, of these: its number, its frame, and its bits of /proc/kpageflags. */
struct tiering_page {
	unsigned index;
	uint64_t frame, flags;
};

struct tiering_folio {
	unsigned index, pages;
	uint64_t frame;
};

/*
 * Which of them are, or begin, a folio that may be moved: one page, or a huge one that is mapped as a whole. Not what
 * is on no list of the kernel's, locked, hugetlbfs', merged with others, or a folio of a few pages. Returns how many;
 * @ret has room for @count.
 */
size_t tiering_folios(const struct tiering_page *pages, size_t count, struct tiering_folio *ret);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>

#include "tiering-folios.h"

/* Source: admin-guide/mm/pagemap. */
#define KPF(bit)	(UINT64_C(1) << (bit))
#define KPF_HUGE	KPF(17)
#define KPF_UNEVICTABLE KPF(18)
#define KPF_KSM		KPF(21)

static bool may_move(uint64_t flags)
{
	return (flags & (TIERING_KPF_LRU | TIERING_KPF_TAIL | KPF_HUGE | KPF_UNEVICTABLE |
			 KPF_KSM)) == TIERING_KPF_LRU;
}

/* Of a folio that begins there, how many pages follow each other, it included. */
static size_t length(const struct tiering_page *pages, size_t first, size_t count)
{
	size_t n = 1;

	while (first + n < count && pages[first + n].flags & TIERING_KPF_TAIL &&
	       pages[first + n].frame == pages[first].frame + n &&
	       pages[first + n].index == pages[first].index + n)
		n++;
	return n;
}

size_t tiering_folios(const struct tiering_page *pages, size_t count, struct tiering_folio *ret)
{
	size_t found = 0;

	for (size_t first = 0, n; first < count; first += n) {
		n = pages[first].flags & TIERING_KPF_HEAD ? length(pages, first, count) : 1;
		if (!may_move(pages[first].flags) ||
		    (pages[first].flags & TIERING_KPF_HEAD && n != TIERING_FOLIO_PAGES))
			continue;
		ret[found++] = (struct tiering_folio){
			.index = pages[first].index,
			.pages = (unsigned)n,
			.frame = pages[first].frame,
		};
	}
	return found;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/tiering-folios.c */
#include "test.h"
#include "tiering-folios.h"

#define LRU	    (UINT64_C(1) << 5)
#define HUGETLB	    (UINT64_C(1) << 17)
#define UNEVICTABLE (UINT64_C(1) << 18)
#define KSM	    (UINT64_C(1) << 21)

static struct tiering_page pages[TIERING_FOLIO_PAGES];
static struct tiering_folio folios[TIERING_FOLIO_PAGES];

/* In a row, from a frame on. */
static void fill(size_t count, uint64_t frame, uint64_t first, uint64_t rest)
{
	for (size_t i = 0; i < count; i++)
		pages[i] = (struct tiering_page){(unsigned)i, frame + i, i ? rest : first};
}

TEST(pages_by_themselves)
{
	fill(3, 1000, LRU, LRU);
	pages[2].index = 511;
	CHECK_EQ(tiering_folios(pages, 3, folios), 3);
	CHECK_EQ(folios[2].index, 511);
	CHECK_EQ(folios[2].frame, 1002);
	CHECK_EQ(folios[2].pages, 1);
	CHECK_EQ(tiering_folios(pages, 0, folios), 0);
}

TEST(what_is_left_alone)
{
	static const uint64_t flags[] = {0, LRU | HUGETLB, LRU | UNEVICTABLE, LRU | KSM,
					 LRU | TIERING_KPF_TAIL};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		fill(1, 7, flags[i], 0);
		CHECK_EQ(tiering_folios(pages, 1, folios), 0);
	}
}

TEST(a_huge_page_as_a_whole)
{
	fill(512, 1024, LRU | TIERING_KPF_HEAD, LRU | TIERING_KPF_TAIL);
	CHECK_EQ(tiering_folios(pages, 512, folios), 1);
	CHECK_EQ(folios[0].pages, 512);
	CHECK_EQ(folios[0].frame, 1024);
	/* One page of it is missing, another's, or another folio's. */
	CHECK_EQ(tiering_folios(pages, 511, folios), 0);
	pages[300].index++;
	CHECK_EQ(tiering_folios(pages, 512, folios), 0);
	pages[300].index--;
	pages[300].frame++;
	CHECK_EQ(tiering_folios(pages, 512, folios), 0);
	pages[300].frame--;
	pages[300].flags = LRU;
	CHECK_EQ(tiering_folios(pages, 512, folios), 1);
	CHECK_EQ(folios[0].index, 300);
}

TEST(a_folio_of_a_few_pages)
{
	fill(16, 64, LRU | TIERING_KPF_HEAD, LRU | TIERING_KPF_TAIL);
	pages[16] = (struct tiering_page){16, 80, LRU};
	CHECK_EQ(tiering_folios(pages, 17, folios), 1);
	CHECK_EQ(folios[0].index, 16);
}

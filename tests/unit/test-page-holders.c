/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/kernel-page-flags.h>

#include "page-holders.h"
#include "test.h"
#include "util.h"

#define F(name) (UINT64_C(1) << KPF_##name)
/* Not in the user's header: KPF_RESERVED of linux/kernel-page-flags.h of the kernel itself. */
#define RESERVED (UINT64_C(1) << 32)
#define FREE	 F(BUDDY)

#define MOVED_PAGE (F(LRU) | F(MMAP) | F(ANON) | F(SWAPBACKED) | F(UPTODATE))
#define FILE_PAGE  (F(LRU) | F(UPTODATE) | F(REFERENCED))

#define PAGES 64
#define FIRST UINT64_C(0x40000)

static uint64_t flags[PAGES], counts[PAGES];
static unsigned char list[PAGES];
static struct tier_block_holders holders;
static char text[400];

static void begin(void)
{
	for (size_t i = 0; i < PAGES; i++) {
		flags[i] = FREE;
		counts[i] = 0;
	}
	holders = (struct tier_block_holders){.block = 34,
					      .node = 2,
					      .zone = TIER_ZONE_MOVABLE,
					      .page_bytes = 4096,
					      .room_bytes = TIER_UNKNOWN_U64};
}

static void classify(enum page_holders_end end)
{
	page_holders_classify(flags, counts, PAGES, FIRST, end, &holders, list);
}

static const char *told(void)
{
	page_holders_text(&holders, text, sizeof(text));
	return text;
}

static const char *advised(void)
{
	page_holders_next(&holders, text, sizeof(text));
	return text;
}

static void add_process(int pid, const char *comm, const char *vm, uint64_t pages, unsigned pins)
{
	struct tier_holder_process process = {.pid = pid, .pages = pages, .pins = pins};

	copy_string(process.comm, sizeof(process.comm), comm);
	copy_string(process.vm, sizeof(process.vm), vm);
	page_holders_add_process(&holders, &process);
}

TEST(every_kind)
{
	static const struct {
		uint64_t flags;
		unsigned gave_up, trying, moving;
	} kinds[] = {
#define SAME(holder) TIER_HOLDER_##holder, TIER_HOLDER_##holder, TIER_HOLDER_##holder
#define NONE	     PAGE_HOLDER_NONE
		{FREE, NONE, NONE, NONE},
		{F(NOPAGE), NONE, NONE, NONE},
		{F(SLAB), SAME(SLAB)},
		{F(SLAB) | F(COMPOUND_HEAD), SAME(SLAB)},
		{F(PGTABLE) | F(MMAP), SAME(PAGE_TABLE)},
		{RESERVED, SAME(RESERVED)},
		{F(OFFLINE), SAME(OFFLINE)},
		{F(HWPOISON) | FILE_PAGE, SAME(HWPOISON)},
		{F(HUGE) | F(COMPOUND_HEAD) | F(MMAP) | F(ANON), SAME(HUGETLB)},
		{F(COMPOUND_HEAD), SAME(COMPOUND)},
		{0, SAME(KERNEL)},
		{F(ZERO_PAGE), SAME(KERNEL)},
		{MOVED_PAGE, NONE, TIER_HOLDER_PINNED, NONE},
		/* Taken off its list to be moved. */
		{F(ANON) | F(SWAPBACKED), NONE, TIER_HOLDER_PINNED, NONE},
		{MOVED_PAGE | F(THP) | F(COMPOUND_HEAD), NONE, TIER_HOLDER_PINNED, NONE},
		{F(KSM) | F(ANON) | F(MMAP), NONE, TIER_HOLDER_PINNED, NONE},
		{FILE_PAGE, NONE, TIER_HOLDER_CACHE, NONE},
		{FILE_PAGE | F(MMAP), NONE, TIER_HOLDER_PINNED, NONE},
		{F(UPTODATE) | F(WRITEBACK), TIER_HOLDER_UNKNOWN, TIER_HOLDER_CACHE, NONE},
		{F(SWAPBACKED) | F(DIRTY), NONE, TIER_HOLDER_CACHE, NONE},
		/* A ring that the kernel shares with a process. */
		{F(MMAP), TIER_HOLDER_KERNEL, TIER_HOLDER_PINNED, NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		printf("# kind %zu\n", i);
		for (enum page_holders_end end = 0; end <= PAGE_HOLDERS_MOVING; end++) {
			const unsigned expected[] = {kinds[i].gave_up, kinds[i].trying,
						     kinds[i].moving};

			begin();
			flags[7] = kinds[i].flags;
			classify(end);
			CHECK_EQ(list[7], expected[end]);
			CHECK_EQ(holders.stay_pages, expected[end] != NONE);
			CHECK_EQ(holders.to_go_pages,
				 expected[end] == NONE && !(kinds[i].flags & (FREE | F(NOPAGE))));
			CHECK_EQ(holders.run_count, expected[end] != NONE);
		}
	}
}

/* A mapping that /proc/kpagecount knows of makes file pages a process's. */
TEST(mappings)
{
	begin();
	flags[1] = flags[2] = FILE_PAGE;
	counts[2] = 1;
	classify(PAGE_HOLDERS_TRYING);
	CHECK_EQ(list[1], TIER_HOLDER_CACHE);
	CHECK_EQ(list[2], TIER_HOLDER_PINNED);
	page_holders_classify(flags, NULL, PAGES, FIRST, PAGE_HOLDERS_TRYING, &holders, list);
	CHECK_EQ(list[2], TIER_HOLDER_CACHE);
}

/* Older kernels say what a compound page is with its first page only. */
TEST(tails)
{
	begin();
	flags[8] = MOVED_PAGE | F(THP) | F(COMPOUND_HEAD);
	flags[9] = flags[10] = F(COMPOUND_TAIL);
	flags[12] = F(SLAB) | F(COMPOUND_HEAD);
	flags[13] = F(COMPOUND_TAIL);
	flags[14] = 0;
	/* Its first page lies in another block. */
	flags[0] = F(COMPOUND_TAIL);
	classify(PAGE_HOLDERS_TRYING);
	CHECK_EQ(holders.pages[TIER_HOLDER_PINNED], 3);
	CHECK_EQ(holders.pages[TIER_HOLDER_SLAB], 2);
	CHECK_EQ(holders.pages[TIER_HOLDER_KERNEL], 1);
	CHECK_EQ(holders.pages[TIER_HOLDER_COMPOUND], 1);
}

TEST(runs)
{
	begin();
	flags[3] = flags[4] = F(SLAB);
	flags[5] = F(PGTABLE);
	flags[9] = F(PGTABLE);
	classify(PAGE_HOLDERS_GAVE_UP);
	CHECK_EQ(holders.run_count, 3);
	CHECK_EQ(holders.runs[0].first_frame, FIRST + 3);
	CHECK_EQ(holders.runs[0].pages, 2);
	CHECK_EQ(holders.runs[1].first_frame, FIRST + 5);
	CHECK_EQ(holders.runs[1].pages, 1);
	CHECK_EQ(holders.runs[1].holder, TIER_HOLDER_PAGE_TABLE);
	CHECK_EQ(holders.runs[2].first_frame, FIRST + 9);
	CHECK(!holders.runs_partial);
	CHECK_EQ(page_holders_used(flags, PAGES), 4);
}

TEST(more_runs_than_are_listed)
{
	static uint64_t many[4 * TIER_HOLDER_RUNS];
	static unsigned char of[ARRAY_SIZE(many)];

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = i % 2 ? FREE : F(SLAB);
	page_holders_classify(many, NULL, ARRAY_SIZE(many), FIRST, PAGE_HOLDERS_GAVE_UP, &holders,
			      of);
	CHECK_EQ(holders.run_count, TIER_HOLDER_RUNS);
	CHECK(holders.runs_partial);
	CHECK_EQ(holders.stay_pages, ARRAY_SIZE(many) / 2);
}

/* What could have been moved, had the kernel come to it, is not what holds the block. */
TEST(huge_pages_beside_kernel_pages)
{
	begin();
	flags[0] = F(HUGE) | F(COMPOUND_HEAD);
	classify(PAGE_HOLDERS_GAVE_UP);
	CHECK_EQ(holders.pages[TIER_HOLDER_HUGETLB], 1);
	CHECK_HAS(advised(), "free huge pages");
	flags[1] = F(PGTABLE);
	classify(PAGE_HOLDERS_GAVE_UP);
	CHECK_EQ(holders.pages[TIER_HOLDER_HUGETLB], 0);
	CHECK_EQ(holders.to_go_pages, 1);
	CHECK_STR(told(), "1 page stays: 1 page table");
	CHECK_HAS(advised(), "kernel pages cannot move");
}

TEST(no_room)
{
	begin();
	for (size_t i = 0; i < 10; i++)
		flags[i] = i < 8 ? MOVED_PAGE : FILE_PAGE;
	holders.room_bytes = 10 * 4096;
	classify(PAGE_HOLDERS_TRYING);
	CHECK_EQ(holders.pages[TIER_HOLDER_PINNED], 8);
	holders.room_bytes = 10 * 4096 - 1;
	classify(PAGE_HOLDERS_TRYING);
	CHECK_EQ(holders.pages[TIER_HOLDER_PINNED], 0);
	CHECK_EQ(holders.pages[TIER_HOLDER_CACHE], 0);
	CHECK_EQ(holders.pages[TIER_HOLDER_NO_ROOM], 10);
	CHECK_EQ(holders.run_count, 1);
	CHECK_STR(told(), "10 pages stay: 10 without room elsewhere");
	CHECK_HAS(advised(), "room for 40.0K");
}

TEST(words)
{
	begin();
	holders.zone = TIER_ZONE_NORMAL;
	for (size_t i = 0; i < 25; i++)
		flags[i] = F(SLAB);
	for (size_t i = 30; i < 36; i++)
		flags[i] = F(PGTABLE);
	flags[40] = flags[41] = MOVED_PAGE;
	classify(PAGE_HOLDERS_TRYING);
	add_process(812, "qemu-system-x86", "web1", 2, TIER_PINS_VFIO);
	CHECK_STR(told(), "33 pages stay: 25 slab, 6 page tables, 2 pinned (qemu-system-x86 pid "
			  "812, VM web1)");
	CHECK_HAS(advised(), "drop_caches");
	flags[0] = FREE;
	for (size_t i = 0; i < 36; i++)
		flags[i] = FREE;
	classify(PAGE_HOLDERS_TRYING);
	CHECK_HAS(advised(), "end what pins them (VFIO) in qemu-system-x86, pid 812");
	holders.process_count = 0;
	CHECK_HAS(advised(), "no process maps them");
}

TEST(nothing_known)
{
	begin();
	copy_string(holders.unknown, sizeof(holders.unknown), "no privilege");
	CHECK_STR(told(), "what holds it is not known: no privilege");
	CHECK_HAS(advised(), "pinned (VFIO");
	holders.zone = TIER_ZONE_NORMAL;
	CHECK_HAS(advised(), "kernel pages cannot move");
	begin();
	classify(PAGE_HOLDERS_TRYING);
	CHECK_STR(told(), "no page of it is known to stay");
	flags[0] = flags[1] = MOVED_PAGE;
	classify(PAGE_HOLDERS_MOVING);
	CHECK_STR(told(), "2 pages had still to be moved");
	CHECK_HAS(advised(), "--deadline");
}

TEST(processes)
{
	begin();
	for (int i = 0; i < 20; i++)
		add_process(100 + i, "p", "", (uint64_t)(i * 7 % 20), 0);
	CHECK_EQ(holders.processes_found, 20);
	CHECK_EQ(holders.process_count, TIER_HOLDER_PROCESSES);
	for (size_t i = 0; i < TIER_HOLDER_PROCESSES; i++)
		CHECK_EQ(holders.processes[i].pages, 19 - i);
}

/* A buffer that is too small is filled, terminated, and not more. */
TEST(text_that_does_not_fit)
{
	char small[20];

	begin();
	flags[0] = F(SLAB);
	flags[1] = F(PGTABLE);
	classify(PAGE_HOLDERS_GAVE_UP);
	memset(small, 'x', sizeof(small));
	page_holders_text(&holders, small, 12);
	CHECK_STR(small, "2 pages sta");
	CHECK_EQ(small[12], 'x');
}

TEST(json)
{
	uint64_t *stay = calloc(1, sizeof(*stay));
	struct tier_offline_result result = {.block_count = 4,
					     .block_bytes = 128 << 20,
					     .stay = stay,
					     .stay_count = 1,
					     .has_holders = true};
	char *json = NULL;

	begin();
	flags[3] = MOVED_PAGE;
	classify(PAGE_HOLDERS_TRYING);
	add_process(812, "qemu", "", 1, TIER_PINS_IO_URING);
	stay[0] = 34;
	result.holders = holders;
	copy_string(result.region, sizeof(result.region), "region7");
	CHECK_EQ(tier_offline_result_to_json(&result, TIER_E_TIMEOUT, &json), 0);
	for (const char **word =
		     (const char *[]){"\"region7\"", "\"timeout\"", "\"pinned\"", "\"frame\"",
				      "262147", "\"io_uring\"", "\"Movable\"", "812", NULL};
	     *word; word++)
		CHECK_HAS(json, *word);
	free(json);
	tier_offline_result_done(&result);
	CHECK_EQ(tier_offline_result_to_json(&result, 0, &json), 0);
	CHECK_HAS(json, "\"done\"");
	free(json);
}

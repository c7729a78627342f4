/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a page holds follows from its index and its generation alone, and the
 * generation is also kept elsewhere: so a page that came back in an older
 * state, from another place, empty or damaged is told apart when it is next
 * visited. A bad page is written anew, so that one error counts once.
 */
#include "guest.h"

enum {
	HEADER_MAGIC = 0x47505443, /* "CTPG" */
	HEADER_WORDS = 6,
	FILL_MAX = PAGE_WORDS,
	HOT_MAX = 4096,
	CHUNK_GENERATIONS = PAGE_BYTES / 4, /* a page of the table */
	CHUNKS_PER_STEP = 4,
	SCAN_PAGES = 64,
	SCAN_PAGES_FULL = 16,
	BAD_PRINTED = 16,
	/*
	 * SeaBIOS runs its own initialisation in the last 128 KiB below a zone of
	 * 16 MiB and leaves that behind: the only tested memory that is not zero at
	 * the start. Measured for pc and q35, 64 MiB to 3 GiB, QEMU 11.1.
	 */
	FIRMWARE_BELOW_END = 16 << 20,
	FIRMWARE_PAGES = (128 << 10) / PAGE_BYTES,
};

struct header {
	uint32_t magic, index, generation, generation_high, seed, sum;
};

_Static_assert(sizeof(struct header) == HEADER_WORDS * 4, "the first words of a page");
_Static_assert(PAGES_MAX * 4 <= SUMS_ADDRESS - GENERATIONS_ADDRESS,
	       "the table ends before the sums");

struct pages pages;

static struct pages_options options;
static uint32_t *const generations = (uint32_t *)GENERATIONS_ADDRESS;
static uint32_t *const chunk_sums = (uint32_t *)SUMS_ADDRESS;
static uint16_t fill_at[FILL_MAX];
static uint32_t fill_words;
static uint32_t firmware_begin;
static uint32_t hot[HOT_MAX], hot_next, hot_share;
static uint32_t order, order_mask;
static uint32_t bad_printed;
static uint32_t chunk_next;
static uint32_t program_sum;

extern const uint32_t code_begin[], code_end[];

static uint32_t mix(uint32_t a, uint32_t b)
{
	uint32_t x = a * 0x9e3779b1u ^ (b + 0x7f4a7c15u) * 0x85ebca6bu;

	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

static uint32_t next_content(uint32_t x)
{
	return x * 1664525u + 1013904223u;
}

static uint32_t add_sum(uint32_t sum, uint32_t word)
{
	return (sum << 5 | sum >> 27) + word;
}

static uint32_t *page_words(uint32_t page)
{
	return (uint32_t *)(TESTED_ADDRESS + page * PAGE_BYTES);
}

static bool page_of_firmware(uint32_t page)
{
	return page - firmware_begin < FIRMWARE_PAGES;
}

static bool page_touched(uint32_t page)
{
	uint32_t run = page / options.run_pages;

	return page_of_firmware(page) ||
	       (run + 1) * options.touch_percent / 100 != run * options.touch_percent / 100;
}

static struct header header_of(uint32_t page, uint32_t generation)
{
	struct header h = {
		.magic = HEADER_MAGIC,
		.index = page,
		.generation = generation,
		.seed = mix(page, generation),
	};
	uint32_t content = h.seed;

	h.sum = add_sum(add_sum(add_sum(h.magic, page), generation), h.seed);
	for (uint32_t i = 0; i < fill_words; i++) {
		content = next_content(content);
		h.sum = add_sum(h.sum, content);
	}
	return h;
}

static void generation_set(uint32_t page, uint32_t generation)
{
	chunk_sums[page / CHUNK_GENERATIONS] +=
		mix(page, generation) - mix(page, generations[page]);
	generations[page] = generation;
}

static void page_write(uint32_t page)
{
	uint32_t *words = page_words(page), generation = generations[page] + 1, content;
	struct header h;

	if (!generation)
		generation = 1; /* 0 is a page never written */
	h = header_of(page, generation);
	content = h.seed;
	for (uint32_t i = 0; i < fill_words; i++) {
		content = next_content(content);
		words[fill_at[i]] = content;
	}
	*(struct header *)words = h;
	generation_set(page, generation);
}

/* First word that does not fit @page in @generation, or PAGE_WORDS; @full: the words between, too. */
static uint32_t page_compare(uint32_t page, uint32_t generation, bool full)
{
	const uint32_t *words = page_words(page);
	struct header h = header_of(page, generation);
	const uint32_t *expected = (const uint32_t *)&h;
	uint32_t content = h.seed;

	for (uint32_t i = 0; i < HEADER_WORDS; i++)
		if (words[i] != expected[i])
			return i;
	for (uint32_t i = 0; i < fill_words; i++) {
		content = next_content(content);
		if (words[fill_at[i]] != content)
			return fill_at[i];
	}
	for (uint32_t at = HEADER_WORDS, i = 0; full && at < PAGE_WORDS; at++) {
		if (i < fill_words && fill_at[i] == at)
			i++;
		else if (words[at])
			return at;
	}
	return PAGE_WORDS;
}

static uint32_t page_first_nonzero(uint32_t page)
{
	const uint32_t *words = page_words(page);

	for (uint32_t i = 0; i < PAGE_WORDS; i++)
		if (words[i])
			return i;
	return PAGE_WORDS;
}

static void page_clear(uint32_t page)
{
	uint32_t *words = page_words(page);

	for (uint32_t i = 0; i < PAGE_WORDS; i++)
		words[i] = 0;
}

static const char *page_why(uint32_t page, uint32_t word)
{
	const struct header *found = (const struct header *)page_words(page);

	if (page_first_nonzero(page) == PAGE_WORDS)
		return "zero";
	if (found->magic != HEADER_MAGIC)
		return "magic";
	if (found->index != page)
		return "other-page";
	if (word >= HEADER_WORDS)
		return "content";
	if (found->generation == generations[page] || found->generation_high ||
	    page_compare(page, found->generation, false) != PAGE_WORDS)
		return "checksum";
	return found->generation < generations[page] ? "stale" : "future";
}

static void bad_page(uint32_t page, uint32_t word, const char *reason)
{
	const uint32_t *words = page_words(page);

	pages.bad++;
	if (bad_printed++ >= BAD_PRINTED)
		return;
	line_text("bad");
	line_field("page", page);
	line_text(" address=");
	line_hex((uint32_t)words);
	line_field("expected_generation", generations[page]);
	line_field("found_generation", (uint64_t)words[3] << 32 | words[2]);
	line_field("found_page", words[1]);
	line_field("word", word);
	line_text(" reason=");
	line_text(reason);
	line_end();
}

static bool page_check(uint32_t page, bool full)
{
	uint32_t word = page_compare(page, generations[page], full);

	if (word == PAGE_WORDS)
		return true;
	bad_page(page, word, page_why(page, word));
	/* The words between the filled ones may be damaged, too. */
	page_clear(page);
	return false;
}

static uint32_t chunk_sum(uint32_t chunk)
{
	uint32_t sum = 0, begin = chunk * CHUNK_GENERATIONS;

	for (uint32_t i = begin; i < begin + CHUNK_GENERATIONS && i < pages.pages; i++)
		sum += mix(i, generations[i]);
	return sum;
}

static uint32_t sum_program(void)
{
	uint32_t sum = 0;

	for (const uint32_t *word = code_begin; word < code_end; word++)
		sum = add_sum(sum, *word);
	return sum;
}

void self_check_step(void)
{
	uint32_t chunks = (pages.pages + CHUNK_GENERATIONS - 1) / CHUNK_GENERATIONS, sum;

	for (uint32_t n = 0; n < CHUNKS_PER_STEP && chunk_next < chunks; n++, chunk_next++) {
		sum = chunk_sum(chunk_next);
		if (sum == chunk_sums[chunk_next])
			continue;
		pages.bad++;
		chunk_sums[chunk_next] = sum;
		line_text("bad table");
		line_field("chunk", chunk_next);
		line_text(" address=");
		line_hex(GENERATIONS_ADDRESS + chunk_next * PAGE_BYTES);
		line_end();
	}
	if (chunk_next < chunks)
		return;
	chunk_next = 0;
	sum = sum_program();
	if (sum != program_sum) {
		pages.bad++;
		program_sum = sum;
		line_text("bad program");
		line_end();
	}
}

bool pages_init(uint32_t end, const struct pages_options *wanted)
{
	if (end < TESTED_ADDRESS + PAGE_BYTES)
		return false;
	options = *wanted;
	pages.pages = (end - TESTED_ADDRESS) / PAGE_BYTES;
	if (pages.pages > PAGES_MAX)
		pages.pages = PAGES_MAX;

	/* Wraps to a number above all pages where RAM is too small for it. */
	firmware_begin = (end - FIRMWARE_BELOW_END - TESTED_ADDRESS) / PAGE_BYTES;

	/* From the first word to the last; with 64 words, one in each cache line. */
	for (uint32_t i = 0; i < options.fill_words; i++) {
		uint32_t at = i * (PAGE_WORDS - 1) / (options.fill_words - 1);

		if (at >= HEADER_WORDS)
			fill_at[fill_words++] = (uint16_t)at;
	}
	for (uint32_t i = 0; i < pages.pages; i++)
		generations[i] = 0;
	for (uint32_t i = 0; i * CHUNK_GENERATIONS < pages.pages; i++)
		chunk_sums[i] = chunk_sum(i);
	program_sum = sum_program();
	for (order_mask = 1; order_mask < pages.pages;)
		order_mask <<= 1;
	order_mask--;
	return true;
}

void pages_fill(void (*progress)(uint32_t percent))
{
	uint32_t hots = 0;

	for (uint32_t i = 0, quarter = 1; i < pages.pages; i++) {
		if (page_touched(i)) {
			if (page_of_firmware(i))
				page_clear(i);
			page_write(i);
			pages.touched++;
		}
		if (i % 1024 == 0)
			clock_usec();
		if (i + 1 >= quarter * pages.pages / 4)
			progress(quarter++ * 25);
	}
	/* Hot pages lie far from each other, so that each of them alone keeps its surroundings warm. */
	for (uint32_t i = 0; i < options.hot_pages && pages.touched; i++) {
		uint32_t page = i * (pages.pages / options.hot_pages);

		while (page < pages.pages && !generations[page])
			page++;
		if (page < pages.pages)
			hot[hots++] = page;
	}
	options.hot_pages = hots;
}

/* Every touched page once per turn: a full-period generator over the next power of two. */
static uint32_t next_in_order(void)
{
	do
		order = (order * 1664525u + 1013904223u) & order_mask;
	while (order >= pages.pages || !generations[order]);
	return order;
}

void pages_dirty_next(void)
{
	uint32_t page;

	if (!pages.touched)
		return;
	hot_share += options.hot_percent;
	if (hot_share >= 100 && options.hot_pages) {
		page = hot[hot_next++ % options.hot_pages];
		hot_share -= 100;
	} else {
		page = next_in_order();
	}
	hot_share %= 100;
	page_check(page, false);
	pages.checked++;
	page_write(page);
	pages.dirtied++;
}

static struct {
	enum scan what;
	uint32_t next;
	uint64_t seen, bad;
} scan;

bool scan_start(enum scan what)
{
	if (scan.what != SCAN_NONE)
		return false;
	scan.what = what;
	scan.next = 0;
	scan.seen = scan.bad = 0;
	return true;
}

static void scan_page(uint32_t page)
{
	uint32_t word;

	if ((scan.what == SCAN_UNTOUCHED) == (generations[page] != 0))
		return;
	scan.seen++;
	if (scan.what != SCAN_UNTOUCHED) {
		pages.checked++;
		if (!page_check(page, scan.what == SCAN_TOUCHED_FULL)) {
			scan.bad++;
			page_write(page);
		}
		return;
	}
	word = page_first_nonzero(page);
	if (word == PAGE_WORDS)
		return;
	scan.bad++;
	bad_page(page, word, "not-zero");
	page_clear(page);
}

bool scan_step(void)
{
	uint32_t end = scan.next + (scan.what == SCAN_TOUCHED ? SCAN_PAGES : SCAN_PAGES_FULL);

	if (scan.what == SCAN_NONE)
		return false;
	for (; scan.next < end && scan.next < pages.pages; scan.next++)
		scan_page(scan.next);
	if (scan.next < pages.pages)
		return true;
	line_text(scan.what == SCAN_UNTOUCHED ? "zero" : "verify");
	line_field("pages", scan.seen);
	line_field("bad", scan.bad);
	line_end();
	scan.what = SCAN_NONE;
	return false;
}

void page_describe(uint32_t page)
{
	line_text("page");
	line_field("page", page);
	line_text(" address=");
	line_hex((uint32_t)page_words(page));
	line_field("generation", generations[page]);
	line_end();
}

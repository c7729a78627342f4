/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer that dies in the middle: whichever lines of an update have reached the memory, in whatever
 * order, a reader sees the record before or the new one, never goes back, and the next writer heals
 * the pair. And rot: a damaged byte of one copy never brings an older record back. The cache functions
 * below take the place of libtier/os/cache.c.
 */
#include <inttypes.h>
#include <setjmp.h>

#include "portal-file.h"
#include "portal-map.h"
#include "test.h"

#define LINE	  64
#define MAX_LINES 16

static char *window;
static char before[2 * TIER_RECORD_MAX_BYTES]; /* the pair as it lay in memory at the last flush */
static size_t pair_at, pair_bytes;
static unsigned flushes, die_at; /* 0: nobody dies */
static uint32_t arrived;	 /* which lines of that flush have reached the memory */
static jmp_buf death;

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	*ret = CACHE_CLFLUSH;
	return 0;
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	size_t at = (size_t)((const char *)start - window) - pair_at;

	if (!window || ++flushes != die_at) {
		if (window)
			memcpy(before, window + pair_at, pair_bytes);
		return;
	}
	for (size_t line = 0; line < bytes / LINE; line++)
		if (!(arrived & 1u << line))
			memcpy(window + pair_at + at + line * LINE, before + at + line * LINE,
			       LINE);
	longjmp(death, 1);
}

struct kind {
	const char *name;
	enum tier_record_kind kind;
	uint32_t host, index;
	int (*write)(struct tier_portal *portal, uint64_t generation);
	int (*read)(struct tier_portal *portal, uint64_t *ret_generation);
};

static int write_host(struct tier_portal *portal, uint64_t generation)
{
	struct tier_host_record record = fixture_host();

	record.stamp.generation = record.beat_usec = generation;
	return tier_portal_write_host(portal, 0, &record);
}

static int read_host(struct tier_portal *portal, uint64_t *ret)
{
	struct tier_host_record record;
	int r = tier_portal_read_host(portal, 0, &record);

	*ret = r ? 0 : record.stamp.generation;
	return r;
}

static int write_fence(struct tier_portal *portal, uint64_t generation)
{
	struct tier_fence_record record = fixture_fence();

	record.stamp.generation = record.upto = record.fenced_upto = generation;
	return tier_portal_write_fence(portal, &record);
}

static int read_fence(struct tier_portal *portal, uint64_t *ret)
{
	struct tier_fence_record record;
	int r = tier_portal_read_fence(portal, 0, 1, &record);

	*ret = r ? 0 : record.stamp.generation;
	return r;
}

static int write_extent(struct tier_portal *portal, uint64_t generation)
{
	struct tier_extent_record record = fixture_extent();

	record.stamp.generation = record.owner_incarnation = generation;
	return tier_portal_write_extent(portal, &record);
}

static int read_extent(struct tier_portal *portal, uint64_t *ret)
{
	struct tier_extent_record record;
	int r = tier_portal_read_extent(portal, 5, &record);

	*ret = r ? 0 : record.stamp.generation;
	return r;
}

static int write_offer(struct tier_portal *portal, uint64_t generation)
{
	struct tier_offer offer = fixture_offer(&portal->super);

	offer.stamp.generation = generation;
	offer.ram_bytes = generation * 4096;
	memset(offer.reason, 'a' + (int)(generation % 20), 150);
	offer.ranges[1].count = 1 + generation % 3;
	return tier_portal_write_offer(portal, 3, &offer);
}

static int read_offer(struct tier_portal *portal, uint64_t *ret)
{
	struct tier_offer offer;
	int r = tier_portal_read_offer(portal, 0, 3, &offer);

	*ret = r ? 0 : offer.stamp.generation;
	return r;
}

static int write_answer(struct tier_portal *portal, uint64_t generation)
{
	struct tier_answer answer = fixture_answer();

	answer.stamp.generation = generation;
	memset(answer.reason, 'a' + (int)(generation % 20), 150);
	return tier_portal_write_answer(portal, 1, 6, &answer);
}

static int read_answer(struct tier_portal *portal, uint64_t *ret)
{
	struct tier_answer answer;
	int r = tier_portal_read_answer(portal, 1, 6, &answer);

	*ret = r ? 0 : answer.stamp.generation;
	return r;
}

static const struct kind kinds[] = {
	{"host", TIER_RECORD_HOST, 0, 0, write_host, read_host},
	{"fence", TIER_RECORD_FENCE, 0, 1, write_fence, read_fence},
	{"extent", TIER_RECORD_EXTENT, 0, 5, write_extent, read_extent},
	{"offer", TIER_RECORD_OFFER, 0, 3, write_offer, read_offer},
	{"answer", TIER_RECORD_ANSWER, 1, 6, write_answer, read_answer},
};

static struct tier_portal *open_for(const struct kind *kind)
{
	struct tier_portal *portal;

	window = NULL;
	CHECK_EQ(tier_portal_open(file_portal(kind->name), TIER_PORTAL_WRITE, &portal, NULL), 0);
	pair_at = tier_record_offset(&portal->super, kind->kind, kind->host, kind->index, 0);
	pair_bytes = 2 * tier_record_bytes(kind->kind);
	return portal;
}

static void check_after(const struct kind *kind, struct tier_portal *portal, uint64_t old,
			uint64_t new)
{
	uint64_t seen, again;
	int r = kind->read(portal, &seen);

	if (old == 0 && r == TIER_E_NOT_FOUND)
		r = 0;
	if (r != 0 || (seen != old && seen != new))
		FAIL("%s: flush %u, lines 0x%x: %d, %" PRIu64 " between %" PRIu64 " and %" PRIu64,
		     kind->name, die_at, arrived, r, seen, old, new);
	/* The next writer heals it, and goes on from what was seen. */
	die_at = 0;
	CHECK_EQ(kind->write(portal, new + 1), 0);
	CHECK_EQ(kind->read(portal, &again), 0);
	CHECK_EQ(again, new + 1);
	CHECK(memcmp(window + pair_at, window + pair_at + pair_bytes / 2, pair_bytes / 2) == 0);
}

/* One death; @base is the pair as it was. */
static void die_once(const struct kind *kind, struct tier_portal *portal, const char *base,
		     uint64_t old, unsigned flush, uint32_t lines)
{
	memcpy(window + pair_at, base, pair_bytes);
	memcpy(before, base, pair_bytes);
	flushes = 0;
	die_at = flush;
	arrived = lines;
	if (setjmp(death) == 0) {
		CHECK_EQ(kind->write(portal, old + 1), 0);
		FAIL("%s: flush %u was not reached", kind->name, flush);
	}
	check_after(kind, portal, old, old + 1);
}

/* All subsets of up to twelve lines; of more, those that lack or have one or two, and every prefix. */
static bool worth(uint32_t set, size_t lines)
{
	unsigned have = (unsigned)__builtin_popcount(set), lack = (unsigned)lines - have;

	return lines <= 12 || have <= 2 || lack <= 2 || (set & (set + 1)) == 0 || set % 7 == 0;
}

static void die_everywhere(const struct kind *kind, struct tier_portal *portal, uint64_t old)
{
	static char base[2 * TIER_RECORD_MAX_BYTES];
	size_t body = pair_bytes / 2 / LINE - 1;

	memcpy(base, window + pair_at, pair_bytes);
	/* Of each copy the body, then the last line. */
	for (unsigned flush = 1; flush <= 4; flush++) {
		size_t lines = flush % 2 ? body : 1;

		for (uint32_t set = 0; set < 1u << lines; set++)
			if (worth(set, lines))
				die_once(kind, portal, base, old, flush, set);
	}
	memcpy(window + pair_at, base, pair_bytes);
	die_at = 0;
}

TEST(any_death_leaves_the_old_record_or_the_new)
{
	for (const struct kind *kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		struct tier_portal *portal = open_for(kind);

		window = portal->window.data;
		/* The first writing, the second, one with the copies in the other order, the tenth. */
		die_everywhere(kind, portal, 0);
		for (uint64_t generation = 1; generation <= 10; generation++) {
			die_at = 0;
			CHECK_EQ(kind->write(portal, generation), 0);
			if (generation == 1 || generation == 10)
				die_everywhere(kind, portal, generation);
		}
		window = NULL;
		tier_portal_close(portal);
	}
}

/* A writer died between the copies, or within one; the next one dies as well. */
TEST(a_second_death)
{
	for (const struct kind *kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		struct tier_portal *portal = open_for(kind);

		window = portal->window.data;
		for (unsigned first = 1; first <= 4; first++) {
			static char base[2 * TIER_RECORD_MAX_BYTES];
			uint64_t seen;

			memset(window + pair_at, 0, pair_bytes);
			die_at = 0;
			CHECK_EQ(kind->write(portal, 20), 0);
			memcpy(before, window + pair_at, pair_bytes);
			flushes = 0;
			die_at = first;
			arrived = 0;
			if (setjmp(death) == 0)
				kind->write(portal, 21);
			die_at = 0;
			memcpy(base, window + pair_at, pair_bytes);
			CHECK_EQ(kind->read(portal, &seen), 0);
			for (unsigned second = 1; second <= 4; second++)
				for (uint32_t set = 0; set < 2; set++)
					die_once(kind, portal, base, seen, second, set);
		}
		window = NULL;
		tier_portal_close(portal);
	}
}

TEST(rot_brings_nothing_back)
{
	for (const struct kind *kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		struct tier_portal *portal = open_for(kind);

		window = portal->window.data;
		for (uint64_t generation = 1; generation <= 3; generation++)
			CHECK_EQ(kind->write(portal, generation), 0);
		for (size_t at = 0; at < pair_bytes; at++) {
			uint64_t seen;

			window[pair_at + at] ^= 0x10;
			CHECK_EQ(kind->read(portal, &seen), 0);
			if (seen != 3)
				FAIL("%s: byte %zu: %" PRIu64, kind->name, at, seen);
			window[pair_at + at] ^= 0x10;
		}
		window = NULL;
		tier_portal_close(portal);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hosts whose caches do not know of each other: the writer's file stands for its cache, the
 * reader's file for the memory, and only what the writer flushes gets from one to the other, line
 * by line. At each line the reader must see the old record or the new one, and the new one at the
 * latest when the write returns. The cache functions below take the place of libtier/os/cache.c.
 */
#include "portal-file.h"
#include "portal-map.h"
#include "test.h"

#define LINE 64

static const char *window; /* of the writer, while its flushes are followed */
static char memory_path[128];
static struct tier_portal *reader;
static uint64_t old_sequence, new_sequence, last_seen;
static unsigned flushes, lines, mixed;
static int (*look)(uint64_t *ret_sequence);

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	*ret = CACHE_CLFLUSH;
	return 0;
}

/* Before the reader's line of copies has come to this one, somebody writes. */
static unsigned invalidates, intrude_at;
static void (*intrude)(void);

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	if (intrude && ++invalidates == intrude_at)
		intrude();
}

static void check_reader(void)
{
	uint64_t sequence = 0;
	int r = look(&sequence);

	/* Torn before the first record is complete: as if it had never been written. */
	if (r == TIER_E_NOT_FOUND) {
		mixed += old_sequence == 0;
		r = 0;
	}
	CHECK_EQ(r, 0);
	CHECK(sequence == old_sequence || sequence == new_sequence);
	CHECK(sequence >= last_seen);
	last_seen = sequence;
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	const char *from = start;

	if (!window)
		return;
	CHECK_EQ((uintptr_t)from % LINE, 0);
	flushes++;
	for (size_t at = 0; at < bytes; at += LINE) {
		file_write(memory_path, (uint64_t)(from + at - window), from + at, LINE);
		lines++;
		check_reader();
	}
}

static struct tier_portal *set_up(void)
{
	struct tier_portal *writer;

	window = NULL;
	strcpy(memory_path, file_portal("memory"));
	CHECK_EQ(tier_portal_open(memory_path, TIER_PORTAL_READ, &reader, NULL), 0);
	CHECK_EQ(tier_portal_open(file_portal("cache"), TIER_PORTAL_WRITE, &writer, NULL), 0);
	window = writer->window.data;
	flushes = lines = mixed = 0;
	last_seen = 0;
	return writer;
}

static void tear_down(struct tier_portal *writer)
{
	window = NULL;
	tier_portal_close(writer);
	reader = tier_portal_close(reader);
}

static int look_host(uint64_t *ret_sequence)
{
	struct tier_host_record record;
	int r = tier_portal_read_host(reader, 0, &record);

	if (r == 0)
		*ret_sequence = record.stamp.sequence;
	return r;
}

static int look_extent(uint64_t *ret_sequence)
{
	struct tier_extent_record record;
	int r = tier_portal_read_extent(reader, 5, &record);

	if (r == 0)
		*ret_sequence = record.stamp.sequence;
	return r;
}

static int look_offer(uint64_t *ret_sequence)
{
	struct tier_offer offer;
	int r = tier_portal_read_offer(reader, 0, 3, &offer);

	if (r == 0)
		*ret_sequence = offer.stamp.sequence;
	return r;
}

static int look_answer(uint64_t *ret_sequence)
{
	struct tier_answer answer;
	int r = tier_portal_read_answer(reader, 1, 6, &answer);

	if (r == 0)
		*ret_sequence = answer.stamp.sequence;
	return r;
}

static int look_fence(uint64_t *ret_sequence)
{
	struct tier_fence_record record;
	int r = tier_portal_read_fence(reader, 0, 1, &record);

	if (r == 0)
		*ret_sequence = record.stamp.sequence;
	return r;
}

static void begin(int (*function)(uint64_t *ret_sequence), uint64_t sequence)
{
	look = function;
	old_sequence = sequence - 1;
	new_sequence = sequence;
	last_seen = old_sequence;
}

/* The write has returned: the reader sees it, though nothing else is ever flushed. */
static void end(size_t bytes)
{
	uint64_t sequence = 0;

	CHECK_EQ(look(&sequence), 0);
	CHECK_EQ(sequence, new_sequence);
	/* Of each copy the body, then the last line. */
	CHECK_EQ(flushes, 4);
	CHECK_EQ(lines, 2 * bytes / LINE);
	flushes = lines = 0;
}

TEST(records_become_visible_whole)
{
	struct tier_super super = fixture_super();
	struct tier_portal *writer = set_up();
	struct tier_host_record host = fixture_host();
	struct tier_extent_record extent = fixture_extent();
	struct tier_offer offer = fixture_offer(&super);
	struct tier_answer answer = fixture_answer();
	struct tier_fence_record fence = fixture_fence();

	for (uint64_t i = 1; i <= 5; i++) {
		begin(look_fence, i);
		fence.upto = fence.fenced_upto = i;
		CHECK_EQ(tier_portal_write_fence(writer, &fence), 0);
		end(128);
		begin(look_host, i);
		host.beat_usec = i;
		CHECK_EQ(tier_portal_write_host(writer, 0, &host), 0);
		end(256);
		begin(look_extent, i);
		extent.stamp.generation = i;
		CHECK_EQ(tier_portal_write_extent(writer, &extent), 0);
		end(128);
		begin(look_offer, i);
		offer.ram_bytes = i * 4096;
		snprintf(offer.reason, sizeof(offer.reason), "%0150d", (int)i);
		CHECK_EQ(tier_portal_write_offer(writer, 3, &offer), 0);
		end(1024);
		begin(look_answer, i);
		snprintf(answer.reason, sizeof(answer.reason), "%0150d", (int)i);
		CHECK_EQ(tier_portal_write_answer(writer, 1, 6, &answer), 0);
		end(1024);
	}
	/* The first writings passed through states without any good copy. */
	CHECK(mixed > 0);
	tear_down(writer);
}

static struct tier_blob blob;
static size_t blob_lines;

static int look_blob(uint64_t *ret_sequence)
{
	blob_lines++;
	return TIER_E_NOT_FOUND;
}

TEST(blobs_are_flushed)
{
	struct tier_portal *writer = set_up();
	static char data[10000];
	void *back = NULL;

	memset(data, 'x', sizeof(data));
	look = look_blob;
	old_sequence = new_sequence = 0;
	CHECK_EQ(tier_portal_write_blob(writer, 0, &fixture_flight, 64, data, sizeof(data), &blob),
		 0);
	CHECK_EQ(blob_lines, (sizeof(data) + 63) / 64);
	CHECK_EQ(tier_portal_read_blob(reader, 0, &fixture_flight, &blob, &back, NULL), 0);
	free(back);
	tear_down(writer);
}

/* The writer dies between two lines, boots again and writes: the reader is never led back. */
TEST(crash_at_every_line)
{
	for (unsigned crash = 0; crash <= 1024 / LINE; crash++) {
		struct tier_super super = fixture_super();
		struct tier_portal *writer = set_up();
		struct tier_offer offer = fixture_offer(&super), back;
		uint8_t copy[1024];
		uint64_t at;

		look = look_offer;
		for (uint64_t i = 1; i <= 2; i++) {
			begin(look_offer, i);
			offer.ram_bytes = i * 4096;
			CHECK_EQ(tier_portal_write_offer(writer, 3, &offer), 0);
		}
		/* The third writing goes to copy 0; the first `crash` lines of it arrive. */
		offer.stamp.sequence = 3;
		offer.ram_bytes = 3 * 4096;
		tier_offer_encode(&super, 3, &offer, copy);
		at = tier_record_offset(&super, TIER_RECORD_OFFER, 0, 3, 0);
		file_write(memory_path, at, copy, crash * LINE);
		CHECK_EQ(tier_portal_read_offer(reader, 0, 3, &back), 0);
		CHECK_EQ(back.stamp.sequence, crash == 1024 / LINE ? 3 : 2);
		tear_down(writer);

		/* The new writer starts from what is in memory. */
		CHECK_EQ(tier_portal_open(memory_path, TIER_PORTAL_WRITE, &writer, NULL), 0);
		offer.ram_bytes = 4 * 4096;
		CHECK_EQ(tier_portal_write_offer(writer, 3, &offer), 0);
		CHECK_EQ(tier_portal_read_offer(writer, 0, 3, &back), 0);
		CHECK_EQ(back.ram_bytes, 4 * 4096);
		CHECK_EQ(back.stamp.sequence, crash == 1024 / LINE ? 4 : 3);
		tier_portal_close(writer);
	}
}

/* One whole writing, to the copy that was read already, and half of the next one. */
static void write_one_and_a_half(void)
{
	struct tier_super super = fixture_super();
	struct tier_host_record record = fixture_host();
	uint8_t copy[256];

	record.stamp.sequence = 8;
	tier_host_encode(&super, 0, &record, copy);
	file_write(memory_path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 0), copy, 256);
	record.stamp.sequence = 9;
	record.beat_usec++;
	tier_host_encode(&super, 0, &record, copy);
	file_write(memory_path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 1), copy, 128);
}

/* Copies 6 and 7 stand there; whatever is read after 7 was seen must not be 6. */
TEST(reader_is_not_led_back)
{
	struct tier_super super = fixture_super();
	struct tier_host_record record = fixture_host(), back;
	uint8_t copy[256];

	for (unsigned at = 1; at <= 6; at++) {
		struct tier_portal *writer = set_up();

		window = NULL;
		for (unsigned i = 0; i < 2; i++) {
			record.stamp.sequence = 6 + i;
			tier_host_encode(&super, 0, &record, copy);
			file_write(memory_path,
				   tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, i), copy,
				   256);
		}
		invalidates = 0;
		intrude_at = at;
		intrude = write_one_and_a_half;
		CHECK_EQ(tier_portal_read_host(reader, 0, &back), 0);
		CHECK(back.stamp.sequence >= 7);
		intrude = NULL;
		tear_down(writer);
	}
}

static void scribble(void)
{
	struct tier_super super = fixture_super();
	struct tier_host_record record = fixture_host();
	uint8_t copy[256];

	record.stamp.sequence = 100 + invalidates;
	tier_host_encode(&super, 0, &record, copy);
	file_write(memory_path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 0), copy, 256);
	intrude_at = invalidates + 1;
}

/* A writer that never rests does not hold a reader for ever. */
TEST(reader_gives_up)
{
	struct tier_portal *writer = set_up();
	struct tier_host_record back;

	window = NULL;
	invalidates = 0;
	intrude_at = 1;
	intrude = scribble;
	CHECK_EQ(tier_portal_read_host(reader, 0, &back), TIER_E_DAMAGED);
	CHECK(invalidates < 1000);
	intrude = NULL;
	CHECK_EQ(tier_portal_read_host(reader, 0, &back), 0);
	tear_down(writer);
}

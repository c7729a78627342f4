/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control area between hosts whose caches do not know of each other: whatever one host has written and
 * returned from is what another one reads next, however old the lines in its own cache are.
 * tests/tools/cache-discipline.py takes each flush and each invalidate away, and expects a failure here or
 * in a test like this one. With --wrap=portal_device_open, so that a file can pass for a dax device.
 */
#include "portal-pair.h"
#include "private-caches.h"

static struct tier_problem problem;
static bool as_dax;

int __real_portal_device_open(const char *path, int flags, struct portal_device *ret,
			      struct tier_problem *problem);
int __wrap_portal_device_open(const char *path, int flags, struct portal_device *ret,
			      struct tier_problem *problem);
int __wrap_portal_device_open(const char *path, int flags, struct portal_device *ret,
			      struct tier_problem *problem_)
{
	int r = __real_portal_device_open(path, flags, ret, problem_);

	if (r == 0 && as_dax) {
		ret->dax = true;
		ret->align_bytes = 2 * MIB;
	}
	return r;
}

/* A portal that one host has formatted and another one has never looked at. */
static void set_up(struct tier_super *ret_super, const char **ret_writer, const char **ret_reader)
{
	*ret_super = fixture_super();
	memory_start(ret_super->total_bytes);
	*ret_writer = memory_host("writer");
	*ret_reader = memory_host("reader");
	problem = (struct tier_problem){};
	CHECK_EQ(tier_portal_format(*ret_writer, ret_super, true, &problem), 0);
}

static void open_both(const char *writer_path, const char *reader_path, struct tier_portal **writer,
		      struct tier_portal **reader)
{
	CHECK_EQ(tier_portal_open(writer_path, TIER_PORTAL_WRITE, writer, &problem), 0);
	CHECK_EQ(tier_portal_open(reader_path, TIER_PORTAL_READ, reader, &problem), 0);
}

static void tear_down(struct tier_portal *writer, struct tier_portal *reader)
{
	tier_portal_close(writer);
	tier_portal_close(reader);
	/* Who invalidates a line must not have stored to it since it was flushed. */
	CHECK_EQ(dirty_invalidated, 0);
}

/* Copies of the superblock in the memory that are good, as bits. */
static unsigned good_copies(struct tier_super *ret)
{
	static const uint64_t offsets[] = {0, TIER_SUPER_COPY_OFFSET};
	uint8_t buffer[TIER_SUPER_BYTES];
	unsigned good = 0;

	for (unsigned i = 0; i < 2; i++) {
		line_get(memory_fd, offsets[i], buffer, sizeof(buffer));
		if (tier_super_decode(buffer, UINT64_MAX, ret, NULL) == 0)
			good |= 1u << i;
	}
	return good;
}

TEST(superblock)
{
	const char *writer, *reader;
	struct tier_super super, seen;

	set_up(&super, &writer, &reader);
	CHECK_EQ(good_copies(&seen), 3);
	CHECK_EQ(tier_portal_probe(reader, &seen, &problem), 0);
	CHECK(memcmp(&seen.uuid, &super.uuid, sizeof(super.uuid)) == 0);
	/* Formatted again: what the reader has of it is old, and good. */
	super.uuid.bytes[3] ^= 1;
	CHECK_EQ(tier_portal_format(writer, &super, true, &problem), 0);
	CHECK_EQ(tier_portal_probe(reader, &seen, &problem), 0);
	CHECK(memcmp(&seen.uuid, &super.uuid, sizeof(super.uuid)) == 0);
	CHECK_EQ(dirty_invalidated, 0);
}

TEST(records)
{
	const char *writer_path, *reader_path;
	struct tier_portal *writer, *reader;
	struct tier_super super;

	set_up(&super, &writer_path, &reader_path);
	open_both(writer_path, reader_path, &writer, &reader);
	for (uint64_t i = 1; i <= 4; i++) {
		struct tier_host_record host = fixture_host();
		struct tier_fence_record fence = fixture_fence();
		struct tier_extent_record extent = fixture_extent();
		struct tier_offer offer = fixture_offer(&super);
		struct tier_answer answer = fixture_answer();

		host.beat_usec = fence.when_usec = extent.owner_incarnation = i;
		offer.ram_bytes = i * 4096;
		answer.reason[0] = (char)('a' + i);
		CHECK_EQ(tier_portal_write_host(writer, 0, &host), 0);
		CHECK_EQ(tier_portal_write_fence(writer, &fence), 0);
		CHECK_EQ(tier_portal_write_extent(writer, &extent), 0);
		CHECK_EQ(tier_portal_write_offer(writer, 3, &offer), 0);
		CHECK_EQ(tier_portal_write_answer(writer, 1, 6, &answer), 0);
		CHECK_EQ(tier_portal_read_host(reader, 0, &host), 0);
		CHECK_EQ(tier_portal_read_fence(reader, 0, 1, &fence), 0);
		CHECK_EQ(tier_portal_read_extent(reader, 5, &extent), 0);
		CHECK_EQ(tier_portal_read_offer(reader, 0, 3, &offer), 0);
		CHECK_EQ(tier_portal_read_answer(reader, 1, 6, &answer), 0);
		CHECK_EQ(host.beat_usec, i);
		CHECK_EQ(fence.when_usec, i);
		CHECK_EQ(extent.owner_incarnation, i);
		CHECK_EQ(offer.ram_bytes, i * 4096);
		CHECK_EQ(answer.reason[0], 'a' + (int)i);
	}
	tear_down(writer, reader);
}

/* The memory is torn on purpose: no writer leaves the copies so, and none may write meanwhile. */
static void damage(uint64_t at)
{
	uint8_t byte;

	line_get(memory_fd, at, &byte, 1);
	byte ^= 0x10;
	line_put(memory_fd, at, &byte, 1);
}

TEST(pairs)
{
	struct portal_place place = {TIER_RECORD_EXTENT, 0, 5};
	struct tier_extent_record extent = fixture_extent();
	const char *writer_path, *reader_path;
	struct tier_portal *writer, *reader;
	struct tier_super super;
	unsigned bad = 9;

	set_up(&super, &writer_path, &reader_path);
	open_both(writer_path, reader_path, &writer, &reader);
	CHECK_EQ(portal_pair_look(reader, place, &bad), PORTAL_PAIR_NEVER);
	CHECK_EQ(tier_portal_write_extent(writer, &extent), 0);
	CHECK_EQ(portal_pair_look(reader, place, &bad), PORTAL_PAIR_GOOD);
	damage(tier_record_offset(&super, TIER_RECORD_EXTENT, 0, 5, 1));
	CHECK_EQ(portal_pair_look(reader, place, &bad), PORTAL_PAIR_HALF);
	CHECK_EQ(bad, 1);
	tear_down(writer, reader);
}

TEST(blobs)
{
	const char *writer_path, *reader_path;
	struct tier_portal *writer, *reader;
	static char data[10000];
	struct tier_super super;

	set_up(&super, &writer_path, &reader_path);
	open_both(writer_path, reader_path, &writer, &reader);
	for (char c = 'a'; c < 'd'; c++) {
		struct tier_blob blob;
		void *back = NULL;

		memset(data, c, sizeof(data));
		CHECK_EQ(tier_portal_write_blob(writer, 0, &fixture_flight, 64, data, sizeof(data),
						&blob),
			 0);
		CHECK_EQ(tier_portal_read_blob(reader, 0, &fixture_flight, &blob, &back, NULL), 0);
		CHECK(memcmp(back, data, sizeof(data)) == 0);
		free(back);
	}
	tear_down(writer, reader);
}

TEST(repaired_superblock)
{
	struct tier_repairing how = {.host = TIER_PORTAL_NO_HOST};

	for (unsigned copy = 0; copy < 2; copy++) {
		const char *writer_path, *reader_path;
		struct tier_portal *writer, *reader;
		struct tier_repair *repairs;
		struct tier_super super;
		size_t count;

		set_up(&super, &writer_path, &reader_path);
		damage(copy * TIER_SUPER_COPY_OFFSET + 100);
		CHECK_EQ(good_copies(&super), 1u << (copy ^ 1));
		CHECK_EQ(tier_portal_open(writer_path, TIER_PORTAL_WRITE, &writer, &problem), 0);
		CHECK_EQ(tier_portal_super_health(writer), 1u << copy);
		CHECK_EQ(tier_portal_repair(writer, &how, &repairs, &count), 0);
		free(repairs);
		CHECK_EQ(good_copies(&super), 3);
		CHECK_EQ(tier_portal_open(reader_path, TIER_PORTAL_READ, &reader, &problem), 0);
		CHECK_EQ(tier_portal_super_health(reader), 0);
		tear_down(writer, reader);
	}
}

/* ---- formatting over an older portal --------------------------------------------------------- */

#define OLD_HOST 8 /* byte of its UUID that tells the two portals apart */
static uint64_t record_at[2];
static unsigned looks;
static bool old_above_nothing, new_above_old;

static bool is_zero(int fd, uint64_t at)
{
	uint8_t record[256];

	line_get(fd, at, record, sizeof(record));
	for (size_t i = 0; i < sizeof(record); i++)
		if (record[i])
			return false;
	return true;
}

/*
 * What is in the memory now is what a crash leaves, and so is any line that was stored to and not flushed:
 * the cache may have evicted it.
 */
static void look_at_crash(void)
{
	struct private_cache *cache = &private_caches[0];
	uint8_t buffer[TIER_SUPER_BYTES];
	struct tier_super super;

	looks++;
	for (unsigned i = 0; i < 2; i++) {
		bool kept = !is_zero(memory_fd, record_at[i]);
		bool may_be_gone = !kept || is_zero(cache->seen, record_at[i]);

		if (good_copies(&super) && super.uuid.bytes[OLD_HOST] == 0 && may_be_gone)
			old_above_nothing = true;
		for (unsigned copy = 0; copy < 2; copy++) {
			line_get(cache->seen, copy * TIER_SUPER_COPY_OFFSET, buffer,
				 sizeof(buffer));
			if (tier_super_decode(buffer, UINT64_MAX, &super, NULL) == 0 &&
			    super.uuid.bytes[OLD_HOST] == 1 && kept)
				new_above_old = true;
		}
	}
}

TEST(format_over_an_older_portal)
{
	struct tier_super super = fixture_super(), seen;
	struct tier_host_record host = fixture_host();
	struct tier_portal *portal, *reader;
	const char *writer, *other;

	memory_start(super.total_bytes);
	writer = memory_host("writer");
	other = memory_host("reader");
	super.uuid.bytes[OLD_HOST] = 0;
	CHECK_EQ(tier_portal_format(writer, &super, true, &problem), 0);
	CHECK_EQ(tier_portal_open(writer, TIER_PORTAL_WRITE, &portal, &problem), 0);
	CHECK_EQ(tier_portal_write_host(portal, 0, &host), 0);
	strcpy(host.name, "B");
	CHECK_EQ(tier_portal_write_host(portal, 1, &host), 0);
	tier_portal_close(portal);
	for (uint32_t i = 0; i < 2; i++)
		record_at[i] = tier_record_offset(&super, TIER_RECORD_HOST, i, 0, 0);

	super.uuid.bytes[OLD_HOST] = 1;
	looks = 0;
	old_above_nothing = new_above_old = false;
	as_dax = true;
	before_flush = look_at_crash;
	CHECK_EQ(tier_portal_format(writer, &super, true, &problem), 0);
	before_flush = NULL;
	as_dax = false;
	look_at_crash();
	CHECK(looks > 1);
	CHECK(!old_above_nothing);
	CHECK(!new_above_old);

	CHECK_EQ(good_copies(&seen), 3);
	CHECK_EQ(tier_portal_open(other, TIER_PORTAL_READ, &reader, &problem), 0);
	CHECK_EQ(tier_portal_read_host(reader, 0, &host), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_portal_read_host(reader, 1, &host), TIER_E_NOT_FOUND);
	tear_down(NULL, reader);
}

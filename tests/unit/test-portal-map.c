/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fd.h"
#include "portal-file.h"
#include "test.h"

static struct tier_problem problem;

static struct tier_portal *open_portal(const char *path, unsigned flags)
{
	struct tier_portal *portal = NULL;
	int r = tier_portal_open(path, flags, &portal, &problem);

	if (r != 0)
		FAIL("%s: %s (%d)", problem.object, problem.text, r);
	return portal;
}

static int probe(const char *path)
{
	struct tier_super super;

	problem = (struct tier_problem){};
	return tier_portal_probe(path, &super, &problem);
}

/* Changes copies of the superblock, and seals them again. */
static void change_super(const char *path, unsigned copies, size_t offset, const void *bytes,
			 size_t count)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		uint8_t buffer[TIER_SUPER_BYTES];

		if (!(copies & (1u << copy)))
			continue;
		file_read(path, copy * TIER_SUPER_COPY_OFFSET, buffer, sizeof(buffer));
		memcpy(buffer + offset, bytes, count);
		fixture_reseal(buffer, sizeof(buffer));
		file_write(path, copy * TIER_SUPER_COPY_OFFSET, buffer, sizeof(buffer));
	}
}

TEST(format_open_probe)
{
	const char *path = file_portal("fresh");
	struct tier_super expected = fixture_super(), super;
	struct tier_portal *portal;
	struct stat status;

	CHECK_EQ(tier_portal_probe(path, &super, &problem), 0);
	CHECK(memcmp(&super, &expected, sizeof(super)) == 0);
	CHECK_EQ(stat(path, &status), 0);
	CHECK_EQ(status.st_size, (off_t)(2 * GIB));
	CHECK((uint64_t)status.st_blocks * 512 < 16 * MIB);
	portal = open_portal(path, TIER_PORTAL_READ);
	CHECK_STR(tier_portal_path(portal), path);
	CHECK_EQ(tier_portal_super_health(portal), 0);
	CHECK(memcmp(tier_portal_super(portal), &expected, sizeof(super)) == 0);
	CHECK(tier_portal_close(portal) == NULL);
	CHECK(tier_portal_close(NULL) == NULL);
}

TEST(format_refuses_what_is_there)
{
	const char *path = file_portal("busy");
	struct tier_super super = fixture_super();
	struct tier_host_record record = fixture_host();
	struct tier_portal *portal;

	portal = open_portal(path, TIER_PORTAL_WRITE);
	CHECK_EQ(tier_portal_write_host(portal, 0, &record), 0);
	tier_portal_close(portal);

	CHECK_EQ(tier_portal_format(path, &super, false, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "portal portal0 (c0010203-0405");
	CHECK_HAS(problem.next, "--force");
	CHECK_EQ(probe(path), 0);
	/* What is left of one counts, too. */
	file_flip(path, 300);
	file_flip(path, TIER_SUPER_COPY_OFFSET + 300);
	CHECK_EQ(tier_portal_format(path, &super, false, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "a portal was here");
	CHECK_EQ(tier_portal_format(path, &super, true, &problem), 0);
	/* And records do not survive. */
	portal = open_portal(path, TIER_PORTAL_READ);
	CHECK_EQ(tier_portal_read_host(portal, 0, &record), TIER_E_NOT_FOUND);
	tier_portal_close(portal);
}

TEST(format_refuses_a_file_of_somebody_else)
{
	const char *path = file_path("passwd");
	struct tier_super super = fixture_super();
	struct stat status;
	FILE *f = fopen(path, "w");

	fputs("root:x:0:0:root:/root:/bin/bash\n", f);
	fclose(f);
	CHECK_EQ(tier_portal_format(path, &super, false, &problem), TIER_E_BUSY);
	CHECK_HAS(problem.text, "something else");
	CHECK_EQ(tier_portal_unused(path, &problem), TIER_E_BUSY);
	CHECK_EQ(tier_portal_unused(file_path("absent"), &problem), 0);
	CHECK_EQ(stat(file_path("passwd"), &status), 0);
	CHECK_EQ(status.st_size, 32);
}

TEST(format_refuses_a_bad_superblock)
{
	const char *path = file_path("never");
	struct tier_super super = fixture_super();

	super.hosts[1].first_extent = 3;
	CHECK_EQ(tier_portal_format(path, &super, false, &problem), TIER_E_DAMAGED);
	CHECK_EQ(access(path, F_OK), -1);
}

TEST(format_leaves_nothing_on_failure)
{
	struct tier_super super = fixture_super();

	CHECK_EQ(tier_portal_format(file_path("no/such/directory"), &super, false, &problem),
		 -ENOENT);
	CHECK_EQ(tier_portal_format("/dev/null", &super, false, &problem), TIER_E_NOT_PORTAL);
	CHECK_HAS(problem.text, "not a dax device");
	/* Larger than any file can be. */
	super.extent_bytes = super.control_bytes = UINT64_C(1) << 40;
	super.total_bytes = UINT64_C(1) << 63;
	CHECK(tier_portal_format(file_path("huge"), &super, false, &problem) < 0);
	CHECK_EQ(access(file_path("huge"), F_OK), -1);
}

TEST(one_good_superblock_is_enough)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		const char *path = file_portal("half");
		struct tier_portal *portal;

		file_flip(path, copy * TIER_SUPER_COPY_OFFSET + 130);
		portal = open_portal(path, TIER_PORTAL_READ);
		CHECK_EQ(tier_portal_super_health(portal), 1u << copy);
		CHECK_STR(tier_portal_super(portal)->name, "portal0");
		tier_portal_close(portal);
		/* Nor does it matter what is in the other one. */
		path = file_portal("half");
		change_super(path, 1u << copy, 0, "????????", 8);
		CHECK_EQ(probe(path), 0);
		path = file_portal("half");
		change_super(path, 1u << copy, 8, "\x09", 1);
		CHECK_EQ(probe(path), 0);
	}
}

TEST(both_superblocks_bad)
{
	const char *path = file_portal("bad");

	file_flip(path, 130);
	file_flip(path, TIER_SUPER_COPY_OFFSET + 4000);
	CHECK_EQ(probe(path), TIER_E_DAMAGED);
	CHECK_STR(problem.object, path);
	CHECK_HAS(problem.text, "checksum");
	/* A magic that is gone, too: the other copy still says that a portal was here. */
	file_flip(path, 0);
	CHECK_EQ(probe(path), TIER_E_DAMAGED);
	file_flip(path, TIER_SUPER_COPY_OFFSET);
	CHECK_EQ(probe(path), TIER_E_NOT_PORTAL);
}

TEST(superblocks_that_differ)
{
	const char *path = file_portal("differ");

	change_super(path, 2, 16, "\x77", 1);
	CHECK_EQ(probe(path), TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "differ");
}

TEST(incompatible)
{
	const char *path = file_portal("newer");

	change_super(path, 3, 8, "\x02", 1);
	CHECK_EQ(probe(path), TIER_E_INCOMPATIBLE);
	path = file_portal("newer");
	change_super(path, 3, 32, "\x04", 1);
	CHECK_EQ(probe(path), TIER_E_INCOMPATIBLE);
	CHECK_HAS(problem.text, "0x4");
}

TEST(truncated)
{
	const char *path = file_portal("short");
	static const off_t sizes[] = {2 * GIB - 1, 128 * MIB, 1 << 20, 8192, 4096};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CHECK_EQ(truncate(path, sizes[i]), 0);
		CHECK_EQ(probe(path), TIER_E_TRUNCATED);
		CHECK_HAS(problem.text, "truncated");
	}
	CHECK_EQ(truncate(path, 4095), 0);
	CHECK_EQ(probe(path), TIER_E_NOT_PORTAL);
	CHECK_EQ(truncate(path, 0), 0);
	CHECK_EQ(probe(path), TIER_E_NOT_PORTAL);
}

TEST(not_a_portal)
{
	CHECK_EQ(probe("/dev/null"), TIER_E_NOT_PORTAL);
	CHECK_EQ(probe("/dev"), TIER_E_NOT_PORTAL);
	CHECK_EQ(probe(file_path("absent")), -ENOENT);
	CHECK_HAS(problem.text, "No such file");
}

/* Both copies hold the newest writing, so that damage to one never brings back the one before. */
TEST(both_copies_are_written)
{
	const char *path = file_portal("turns");
	struct tier_super super = fixture_super();
	struct tier_portal *writer = open_portal(path, TIER_PORTAL_WRITE);
	struct tier_portal *reader = open_portal(path, TIER_PORTAL_READ);
	struct tier_host_record record = fixture_host(), back;
	uint8_t copies[2][256];

	CHECK_EQ(tier_portal_read_host(reader, 0, &back), TIER_E_NOT_FOUND);
	for (uint64_t i = 1; i <= 6; i++) {
		record.beat_usec = i;
		CHECK_EQ(tier_portal_write_host(writer, 0, &record), 0);
		CHECK_EQ(tier_portal_read_host(reader, 0, &back), 0);
		CHECK_EQ(back.beat_usec, i);
		CHECK_EQ(back.stamp.sequence, i);
		for (unsigned copy = 0; copy < 2; copy++)
			file_read(path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, copy),
				  copies[copy], 256);
		CHECK_EQ(tier_host_decode(&super, 0, copies[0], &back), 0);
		CHECK_EQ(back.beat_usec, i);
		CHECK(memcmp(copies[0], copies[1], sizeof(copies[0])) == 0);
	}
	tier_portal_close(writer);
	tier_portal_close(reader);
}

TEST(every_kind_is_written_and_read)
{
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(file_portal("kinds"), TIER_PORTAL_WRITE);
	struct tier_extent_record extent = fixture_extent(), extent_back;
	struct tier_offer offer = fixture_offer(&super), offer_back;
	struct tier_answer answer = fixture_answer(), answer_back;
	uint32_t slot;

	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	CHECK_EQ(tier_portal_read_extent(portal, 5, &extent_back), 0);
	CHECK_EQ(extent_back.state, TIER_EXTENT_CLAIMED);
	CHECK_EQ(extent_back.stamp.generation, extent.stamp.generation);
	CHECK_EQ(tier_portal_read_extent(portal, 4, &extent_back), TIER_E_NOT_FOUND);
	/* The other host's area. */
	extent.extent = 8;
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	CHECK_EQ(tier_portal_read_extent(portal, 8, &extent_back), 0);
	CHECK_EQ(extent_back.extent, 8);

	CHECK_EQ(tier_portal_write_offer(portal, 3, &offer), 0);
	CHECK_EQ(tier_portal_read_offer(portal, 0, 3, &offer_back), 0);
	CHECK_STR(offer_back.vm, "demo");
	CHECK_EQ(tier_portal_find_answer(portal, offer.destination, &offer, 3, &answer_back, &slot),
		 TIER_E_NOT_FOUND);
	CHECK_EQ(tier_portal_write_answer(portal, 1, 9, &answer), 0);
	CHECK_EQ(tier_portal_read_answer(portal, 1, 9, &answer_back), 0);
	CHECK_EQ(tier_portal_find_answer(portal, offer.destination, &offer, 3, &answer_back, &slot),
		 0);
	CHECK_EQ(slot, 9);
	CHECK_EQ(answer_back.state, TIER_FLIGHT_READY);
	CHECK_EQ(tier_portal_find_answer(portal, offer.destination, &offer, 4, &answer_back, &slot),
		 TIER_E_NOT_FOUND);
	offer.stamp.generation++;
	CHECK_EQ(tier_portal_find_answer(portal, offer.destination, &offer, 3, &answer_back, &slot),
		 TIER_E_NOT_FOUND);
	tier_portal_close(portal);
}

TEST(bad_places)
{
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(file_portal("places"), TIER_PORTAL_WRITE);
	struct tier_host_record host = fixture_host();
	struct tier_extent_record extent = fixture_extent();
	struct tier_offer offer = fixture_offer(&super);
	struct tier_answer answer = fixture_answer();

	CHECK_EQ(tier_portal_read_host(portal, 2, &host), -EINVAL);
	CHECK_EQ(tier_portal_read_host(portal, UINT32_MAX, &host), -EINVAL);
	CHECK_EQ(tier_portal_read_extent(portal, 15, &extent), -EINVAL);
	CHECK_EQ(tier_portal_read_extent(portal, UINT32_MAX, &extent), -EINVAL);
	CHECK_EQ(tier_portal_read_offer(portal, 0, 16, &offer), -EINVAL);
	CHECK_EQ(tier_portal_read_offer(portal, 2, 0, &offer), -EINVAL);
	CHECK_EQ(tier_portal_read_answer(portal, 0, UINT32_MAX, &answer), -EINVAL);
	CHECK_EQ(tier_portal_write_offer(portal, 16, &offer), -EINVAL);
	extent.extent = 15;
	CHECK_EQ(tier_portal_write_extent(portal, &extent), -EINVAL);
	tier_portal_close(portal);
}

/* What a reader would refuse is not written, and the old record stays. */
TEST(bad_records_are_not_written)
{
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(file_portal("refuse"), TIER_PORTAL_WRITE);
	struct tier_offer offer = fixture_offer(&super), back;

	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), 0);
	offer.manifest.offset = 0;
	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), -EINVAL);
	offer = fixture_offer(&super);
	offer.stamp.incarnation = 0;
	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), -EINVAL);
	CHECK_EQ(tier_portal_read_offer(portal, 0, 0, &back), 0);
	CHECK_EQ(back.stamp.sequence, 1);
	tier_portal_close(portal);
}

TEST(read_only)
{
	struct tier_portal *portal = open_portal(file_portal("read"), TIER_PORTAL_READ);
	struct tier_host_record record = fixture_host();
	struct tier_blob blob;

	CHECK_EQ(tier_portal_write_host(portal, 0, &record), -EROFS);
	CHECK_EQ(tier_portal_write_blob(portal, 0, &fixture_flight, 0, "x", 1, &blob), -EROFS);
	tier_portal_close(portal);
}

/* One copy damaged: the other one counts, and the next write heals the pair. */
TEST(damaged_copies)
{
	const char *path = file_portal("damage");
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(path, TIER_PORTAL_WRITE);
	struct tier_host_record record = fixture_host(), back;
	uint64_t first = tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 0);
	uint64_t second = tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 1);

	for (record.beat_usec = 1; record.beat_usec <= 2; record.beat_usec++)
		CHECK_EQ(tier_portal_write_host(portal, 0, &record), 0);
	file_flip(path, second + 50);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), 0);
	CHECK_EQ(back.beat_usec, 2);
	file_flip(path, first + 250);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), TIER_E_DAMAGED);
	record.beat_usec = 3;
	CHECK_EQ(tier_portal_write_host(portal, 0, &record), 0);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), 0);
	CHECK_EQ(back.beat_usec, 3);
	record.beat_usec = 4;
	CHECK_EQ(tier_portal_write_host(portal, 0, &record), 0);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), 0);
	CHECK_EQ(back.beat_usec, 4);
	tier_portal_close(portal);
}

/* Both copies of one sequence: no writer does that; the next write must still count. */
TEST(equal_sequences)
{
	const char *path = file_portal("equal");
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(path, TIER_PORTAL_WRITE);
	struct tier_host_record record = fixture_host(), back;
	uint8_t buffer[256];

	record.stamp.sequence = 77;
	tier_host_encode(&super, 0, &record, buffer);
	file_write(path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 0), buffer, 256);
	record.beat_usec = 99;
	tier_host_encode(&super, 0, &record, buffer);
	file_write(path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 1), buffer, 256);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), TIER_E_DAMAGED);
	record.beat_usec = 100;
	CHECK_EQ(tier_portal_write_host(portal, 0, &record), 0);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), 0);
	CHECK_EQ(back.beat_usec, 100);
	CHECK_EQ(back.stamp.sequence, 78);
	tier_portal_close(portal);
}

TEST(last_sequence)
{
	const char *path = file_portal("last");
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(path, TIER_PORTAL_WRITE);
	struct tier_host_record record = fixture_host(), back;
	uint8_t buffer[256];

	record.stamp.sequence = UINT64_MAX;
	tier_host_encode(&super, 0, &record, buffer);
	file_write(path, tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 0), buffer, 256);
	CHECK_EQ(tier_portal_write_host(portal, 0, &record), -EOVERFLOW);
	CHECK_EQ(tier_portal_read_host(portal, 0, &back), 0);
	tier_portal_close(portal);
}

/* From another portal, from another host, from another slot: copied byte for byte. */
TEST(records_copied_elsewhere)
{
	const char *path = file_portal("copied");
	struct tier_super super = fixture_super(), other = super;
	struct tier_portal *portal = open_portal(path, TIER_PORTAL_WRITE);
	struct tier_answer answer = fixture_answer();
	struct tier_offer offer = fixture_offer(&super), back;
	uint8_t buffer[1024];

	CHECK_EQ(tier_portal_write_offer(portal, 3, &offer), 0);
	file_read(path, tier_record_offset(&super, TIER_RECORD_OFFER, 0, 3, 0), buffer, 1024);
	/* Beside a copy that was never written it is none; in both places it is damage. */
	file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 0, 4, 0), buffer, 1024);
	CHECK_EQ(tier_portal_read_offer(portal, 0, 4, &back), TIER_E_NOT_FOUND);
	file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 0, 4, 1), buffer, 1024);
	CHECK_EQ(tier_portal_read_offer(portal, 0, 4, &back), TIER_E_DAMAGED);
	file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 1, 3, 0), buffer, 1024);
	file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 1, 3, 1), buffer, 1024);
	CHECK_EQ(tier_portal_read_offer(portal, 1, 3, &back), TIER_E_DAMAGED);
	file_write(path, tier_record_offset(&super, TIER_RECORD_ANSWER, 0, 3, 0), buffer, 1024);
	file_write(path, tier_record_offset(&super, TIER_RECORD_ANSWER, 0, 3, 1), buffer, 1024);

	CHECK_EQ(tier_portal_read_answer(portal, 0, 3, &answer), TIER_E_DAMAGED);
	other.uuid.bytes[7]++;
	tier_offer_encode(&other, 5, &offer, buffer);
	file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 0, 5, 0), buffer, 1024);
	file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 0, 5, 1), buffer, 1024);
	CHECK_EQ(tier_portal_read_offer(portal, 0, 5, &back), TIER_E_DAMAGED);
	tier_portal_close(portal);
}

TEST(blobs)
{
	const char *path = file_portal("blobs");
	struct tier_super super = fixture_super();
	struct tier_portal *portal = open_portal(path, TIER_PORTAL_WRITE);
	uint64_t bytes, area = tier_blob_area(&super, 1, &bytes);
	struct tier_blob blob, bad;
	void *back = NULL;

	CHECK_EQ(
		tier_portal_write_blob(portal, 1, &fixture_flight, 1000, "device state", 12, &blob),
		0);
	CHECK_EQ(blob.offset, area + 1000);
	CHECK_EQ(blob.bytes, 12);
	CHECK_EQ(blob.crc32c, tier_crc32c(0, "device state", 12));
	CHECK_EQ(tier_portal_read_blob(portal, 1, &fixture_flight, &blob, &back, &problem), 0);
	CHECK(memcmp(back, "device state", 12) == 0);
	free(back);
	back = NULL;
	/* Up to the last byte and no further. */
	CHECK_EQ(tier_portal_write_blob(portal, 1, &fixture_flight, bytes - 12, "device state", 12,
					&bad),
		 0);
	CHECK_EQ(tier_portal_write_blob(portal, 1, &fixture_flight, bytes - 11, "device state", 12,
					&bad),
		 TIER_E_NO_SPACE);
	CHECK_EQ(tier_portal_write_blob(portal, 1, &fixture_flight, UINT64_MAX, "device state", 12,
					&bad),
		 TIER_E_NO_SPACE);
	CHECK_EQ(tier_portal_write_blob(portal, 2, &fixture_flight, 0, "device state", 12, &bad),
		 -EINVAL);
	/* Of another host, outside, too long, damaged. */
	CHECK_EQ(tier_portal_read_blob(portal, 0, &fixture_flight, &blob, &back, &problem),
		 TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "host A lies outside");
	bad = (struct tier_blob){area - 1, 12, 0};
	CHECK_EQ(tier_portal_read_blob(portal, 1, &fixture_flight, &bad, &back, &problem),
		 TIER_E_DAMAGED);
	bad = (struct tier_blob){area + 1000, UINT64_MAX, 0};
	CHECK_EQ(tier_portal_read_blob(portal, 1, &fixture_flight, &bad, &back, &problem),
		 TIER_E_DAMAGED);
	bad = (struct tier_blob){UINT64_MAX, 12, 0};
	CHECK_EQ(tier_portal_read_blob(portal, 1, &fixture_flight, &bad, &back, &problem),
		 TIER_E_DAMAGED);
	bad = (struct tier_blob){area + bytes, 1, 0};
	CHECK_EQ(tier_portal_read_blob(portal, 1, &fixture_flight, &bad, &back, &problem),
		 TIER_E_DAMAGED);
	file_flip(path, blob.offset + 3);
	CHECK_EQ(tier_portal_read_blob(portal, 1, &fixture_flight, &blob, &back, &problem),
		 TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "bad checksum");
	CHECK(back == NULL);
	tier_portal_close(portal);
}

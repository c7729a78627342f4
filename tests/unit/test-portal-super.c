/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>

#include "portal-fixture.h"
#include "test.h"

/* Field offsets, once more and by hand, so that a change of the format is noticed. */
enum {
	MAJOR = 8,
	UUID = 16,
	INCOMPAT = 32,
	COMPAT = 40,
	TOTAL = 48,
	CONTROL = 56,
	EXTENT_BYTES = 64,
	EXTENT_COUNT = 72,
	HOST_COUNT = 76,
	AREA_OFFSET = 80,
	AREA_BYTES = 88,
	FLAGS = 104,
	NAME = 128,
	HOSTS = 192,
	SLOT = 64,
	SLOT_FIRST = 32,
	SLOT_COUNT = 36,
};

static uint8_t buffer[TIER_SUPER_BYTES];
static struct tier_problem problem;

static void fresh(void)
{
	struct tier_super super = fixture_super();

	tier_super_encode(&super, buffer);
	problem = (struct tier_problem){};
}

static int decode_sized(uint64_t bytes)
{
	struct tier_super super;

	return tier_super_decode(buffer, bytes, &super, &problem);
}

static int decode(void)
{
	return decode_sized(2 * GIB);
}

static void set32(size_t offset, uint32_t value)
{
	value = htole32(value);
	memcpy(buffer + offset, &value, sizeof(value));
	fixture_reseal(buffer, sizeof(buffer));
}

static void set64(size_t offset, uint64_t value)
{
	value = htole64(value);
	memcpy(buffer + offset, &value, sizeof(value));
	fixture_reseal(buffer, sizeof(buffer));
}

/* One field of a good superblock replaced, checksum good: refused with this reason. */
#define REFUSED(set, offset, value, outcome, why)                                                  \
	do {                                                                                       \
		fresh();                                                                           \
		set(offset, value);                                                                \
		CHECK_EQ(decode(), outcome);                                                       \
		CHECK_HAS(problem.text, why);                                                      \
	} while (0)

TEST(plan)
{
	struct tier_super super = fixture_super();

	CHECK_EQ(super.extent_count, 15);
	CHECK_EQ(super.control_bytes, 128 * MIB);
	CHECK_EQ(super.host_area_offset, 2 * MIB);
	CHECK_EQ(super.host_area_bytes, 63 * MIB);
	CHECK_EQ(super.hosts[0].first_extent, 0);
	CHECK_EQ(super.hosts[0].extent_count, 8);
	CHECK_EQ(super.hosts[1].first_extent, 8);
	CHECK_EQ(super.hosts[1].extent_count, 7);
	CHECK_EQ(tier_super_host(&super, "B"), 1);
	CHECK_EQ(tier_super_host(&super, "C"), TIER_PORTAL_NO_HOST);
	CHECK_EQ(tier_super_host(&super, ""), TIER_PORTAL_NO_HOST);
	CHECK_EQ(tier_super_extent_home(&super, 7), 0);
	CHECK_EQ(tier_super_extent_home(&super, 8), 1);
	CHECK_EQ(tier_super_extent_home(&super, 15), TIER_PORTAL_NO_HOST);
}

TEST(plan_refuses)
{
	static const char *const hosts[] = {
		"A", "B", "A", "a b", "C", "", "D", "-x", "E", "a-name-that-is-32-characters-lon",
		"F"};
	struct tier_super super;
	struct {
		const char *name;
		size_t first, count;
		uint64_t total, extent;
		int code;
		const char *why;
	} cases[] = {
		{"p", 0, 1, GIB, 128 * MIB, -EINVAL, "2 to 16 hosts"},
		{"p", 0, 17, GIB, 128 * MIB, -EINVAL, "2 to 16 hosts"},
		{"p", 0, 3, GIB, 128 * MIB, -EINVAL, "named twice"},
		{"p", 3, 2, GIB, 128 * MIB, -EINVAL, "host name \"a b\""},
		{"p", 5, 2, GIB, 128 * MIB, -EINVAL, "host name \"\""},
		{"p", 7, 2, GIB, 128 * MIB, -EINVAL, "host name \"-x\""},
		{"p", 9, 2, GIB, 128 * MIB, -EINVAL, "host name \"a-name"},
		{"../p", 0, 2, GIB, 128 * MIB, -EINVAL, "a portal's name"},
		{"p", 0, 2, GIB, 64 * MIB, -EINVAL, "extent size"},
		{"p", 0, 2, GIB, 192 * MIB, -EINVAL, "extent size"},
		{"p", 0, 2, 2 * 128 * MIB, 128 * MIB, TIER_E_NO_SPACE, "fewer than the 2 hosts"},
		{"p", 0, 2, 0, 128 * MIB, TIER_E_NO_SPACE, "fewer than the 2 hosts"},
		{"p", 0, 2, (2 * 3584 + 2) * 128 * MIB, 128 * MIB, -EINVAL, "more than 2 hosts"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(tier_super_plan(cases[i].name, hosts + cases[i].first, cases[i].count,
					 cases[i].total, cases[i].extent, &fixture_uuid, &super,
					 &problem),
			 cases[i].code);
		CHECK_HAS(problem.text, cases[i].why);
	}
}

TEST(round_trip)
{
	struct tier_super super = fixture_super(), back;

	super.hardware_coherent = true;
	super.compat = 1ull << 40;
	tier_super_encode(&super, buffer);
	CHECK_EQ(tier_super_decode(buffer, 2 * GIB, &back, &problem), 0);
	CHECK(memcmp(&super, &back, sizeof(super)) == 0);
}

/* Written once by version 0 and never again: a change of the format fails here. */
TEST(bytes_stay_the_same)
{
	fresh();
	CHECK_EQ(tier_crc32c(0, buffer, TIER_SUPER_BYTES - 4), 0x73296f05u);
}

TEST(every_flipped_bit_is_found)
{
	fresh();
	for (size_t bit = 0; bit < 8 * sizeof(buffer); bit++) {
		buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (decode() == 0)
			FAIL("bit %zu of byte %zu went unnoticed", bit % 8, bit / 8);
		buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_EQ(decode(), 0);
}

TEST(reserved_bytes_are_checked)
{
	static const struct {
		size_t first, last;
	} reserved[] = {{108, 127}, {160, 191}, {HOSTS + 40, HOSTS + 63}, {1216, 4091}};

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		for (size_t at = reserved[i].first; at <= reserved[i].last; at++) {
			fresh();
			buffer[at] = 1;
			fixture_reseal(buffer, sizeof(buffer));
			CHECK_EQ(decode(), TIER_E_DAMAGED);
		}
	REFUSED(set32, FLAGS, 2, TIER_E_DAMAGED, "reserved");
	/* Behind the end of a name. */
	fresh();
	buffer[NAME + 20] = 'x';
	fixture_reseal(buffer, sizeof(buffer));
	CHECK_EQ(decode(), TIER_E_DAMAGED);
}

TEST(not_a_portal)
{
	memset(buffer, 0, sizeof(buffer));
	CHECK_EQ(decode(), TIER_E_NOT_PORTAL);
	CHECK_HAS(problem.text, "bad magic");
	fresh();
	buffer[0] ^= 1;
	fixture_reseal(buffer, sizeof(buffer));
	CHECK_EQ(decode(), TIER_E_NOT_PORTAL);
}

/* Else a rule would online what another host still has there. */
TEST(bad_magic_alone_is_damage)
{
	for (size_t i = 0; i < 8; i++) {
		fresh();
		buffer[i] ^= 0x80;
		CHECK_EQ(decode(), TIER_E_DAMAGED);
		CHECK_HAS(problem.text, "bad magic");
	}
	fresh();
	memset(buffer, 0, 8);
	CHECK_EQ(decode(), TIER_E_DAMAGED);
}

TEST(newer_version_is_refused_without_a_checksum)
{
	fresh();
	buffer[MAJOR] = 2;
	CHECK_EQ(decode(), TIER_E_INCOMPATIBLE);
	CHECK_HAS(problem.text, "format version 2.0");
}

TEST(unknown_features)
{
	REFUSED(set64, INCOMPAT, 1ull << 63, TIER_E_INCOMPATIBLE, "0x8000000000000000");
	REFUSED(set64, INCOMPAT, 2, TIER_E_INCOMPATIBLE, "unknown incompatible features 0x2");
	/* A keyed portal is a known thing. */
	fresh();
	set64(INCOMPAT, TIER_PORTAL_INCOMPAT_KEYED);
	CHECK_EQ(decode(), 0);
	fresh();
	set64(COMPAT, UINT64_MAX);
	CHECK_EQ(decode(), 0);
	/* A newer minor version is compatible by definition. */
	fresh();
	set32(MAJOR, 0x70001);
	CHECK_EQ(decode(), 0);
}

TEST(truncated)
{
	fresh();
	CHECK_EQ(decode_sized(2 * GIB - 1), TIER_E_TRUNCATED);
	CHECK_HAS(problem.text, "2147483648");
	CHECK_EQ(decode_sized(0), TIER_E_TRUNCATED);
	CHECK_EQ(decode_sized(2 * GIB), 0);
	CHECK_EQ(decode_sized(UINT64_MAX), 0);
}

TEST(geometry)
{
	REFUSED(set64, EXTENT_BYTES, 0, TIER_E_DAMAGED, "extent size");
	REFUSED(set64, EXTENT_BYTES, 128 * MIB + 1, TIER_E_DAMAGED, "extent size");
	REFUSED(set64, EXTENT_BYTES, 64 * MIB, TIER_E_DAMAGED, "extent size");
	REFUSED(set64, EXTENT_BYTES, 1ull << 63, TIER_E_DAMAGED, "extent size");
	REFUSED(set64, CONTROL, 0, TIER_E_DAMAGED, "control area");
	REFUSED(set64, CONTROL, 128 * MIB + 64, TIER_E_DAMAGED, "control area");
	REFUSED(set32, EXTENT_COUNT, 0, TIER_E_DAMAGED, "number of extents");
	REFUSED(set32, EXTENT_COUNT, UINT32_MAX, TIER_E_DAMAGED, "number of extents");
	REFUSED(set32, EXTENT_COUNT, 16, TIER_E_DAMAGED, "past the end");
	REFUSED(set64, CONTROL, UINT64_MAX - 128 * MIB + 1, TIER_E_DAMAGED, "past the end");
	REFUSED(set64, TOTAL, 2 * GIB - 1, TIER_E_DAMAGED, "past the end");
	REFUSED(set32, HOST_COUNT, 0, TIER_E_DAMAGED, "number of hosts");
	REFUSED(set32, HOST_COUNT, 17, TIER_E_DAMAGED, "number of hosts");
	REFUSED(set64, AREA_OFFSET, MIB, TIER_E_DAMAGED, "overlap the superblocks");
	REFUSED(set64, AREA_OFFSET, 2 * MIB + 64, TIER_E_DAMAGED, "overlap the superblocks");
	REFUSED(set64, AREA_OFFSET, 3 * MIB, TIER_E_DAMAGED, "do not fit");
	REFUSED(set64, AREA_OFFSET, UINT64_MAX / MIB * MIB, TIER_E_DAMAGED, "do not fit");
	REFUSED(set64, AREA_BYTES, MIB, TIER_E_DAMAGED, "do not fit");
	REFUSED(set64, AREA_BYTES, 64 * MIB, TIER_E_DAMAGED, "do not fit");
	REFUSED(set64, AREA_BYTES, 1ull << 63, TIER_E_DAMAGED, "do not fit");
}

TEST(hosts)
{
	size_t b = HOSTS + SLOT, c = HOSTS + 2 * SLOT;

	REFUSED(set32, b + SLOT_FIRST, 7, TIER_E_DAMAGED, "overlap");
	REFUSED(set32, b + SLOT_FIRST, 0, TIER_E_DAMAGED, "overlap");
	REFUSED(set32, b + SLOT_FIRST, 9, TIER_E_DAMAGED, "past the end");
	REFUSED(set32, b + SLOT_FIRST, UINT32_MAX, TIER_E_DAMAGED, "past the end");
	REFUSED(set32, b + SLOT_COUNT, 8, TIER_E_DAMAGED, "past the end");
	REFUSED(set32, b + SLOT_COUNT, 3585, TIER_E_DAMAGED, "number of extents");
	REFUSED(set32, b + SLOT_COUNT, 0, TIER_E_DAMAGED, "number of extents");
	REFUSED(set32, b + SLOT_COUNT, 6, TIER_E_DAMAGED, "no home host");
	REFUSED(set32, b, 'A', TIER_E_DAMAGED, "same name");
	REFUSED(set32, b, 0, TIER_E_DAMAGED, "not a name");
	REFUSED(set32, b, 0x2f2e2e, TIER_E_DAMAGED, "not a name");
	REFUSED(set32, b, 0x1b, TIER_E_DAMAGED, "not a name");
	REFUSED(set32, c, 'C', TIER_E_DAMAGED, "not empty");
	REFUSED(set32, c + SLOT_COUNT, 1, TIER_E_DAMAGED, "not empty");
	REFUSED(set32, NAME, 0, TIER_E_DAMAGED, "name");
	fresh();
	memset(buffer + b, 'x', TIER_PORTAL_NAME);
	fixture_reseal(buffer, sizeof(buffer));
	CHECK_EQ(decode(), TIER_E_DAMAGED);
	fresh();
	memset(buffer + UUID, 0, 16);
	fixture_reseal(buffer, sizeof(buffer));
	CHECK_EQ(decode(), TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "uuid");
}

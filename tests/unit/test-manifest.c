/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>

#include "portal-fixture.h"
#include "test.h"

#define EXTENT (128 * MIB)

static uint8_t buffer[4096];
static struct tier_problem problem;
static struct tier_super super;
static struct tier_offer offer;
static struct tier_manifest_run runs[4];

/* Extents 0, 1 and 4, 5, 6 are the flight's. */
static struct tier_manifest fresh(void)
{
	super = fixture_super();
	offer = fixture_offer(&super);
	problem = (struct tier_problem){};
	runs[0] = (struct tier_manifest_run){0, EXTENT + 2 * MIB, 512, 0x11111111};
	runs[1] = (struct tier_manifest_run){2 * MIB, EXTENT, 512, 0x22222222};
	runs[2] = (struct tier_manifest_run){16 * MIB + 4096, 8 * EXTENT - 8192, 2, 0x33333333};
	runs[3] = (struct tier_manifest_run){256 * MIB - 4096, 3 * EXTENT - 4096, 1, 0x44444444};
	return (struct tier_manifest){.flight = offer.flight,
				      .generation = 11,
				      .ram_bytes = 256 * MIB,
				      .page_bytes = 4096,
				      .runs = runs,
				      .run_count = 4};
}

static int decode(size_t bytes)
{
	struct tier_manifest *back = NULL;
	/* On the heap, so that a read past the end is seen. */
	void *copy = malloc(bytes);
	int r;

	memcpy(copy, buffer, bytes);
	r = tier_manifest_decode(&super, &offer, copy, bytes, &back, &problem);
	free(copy);
	CHECK((r == 0) == (back != NULL));
	tier_manifest_free(back);
	return r;
}

static int try(const struct tier_manifest *manifest)
{
	tier_manifest_encode(&super, manifest, buffer);
	return decode(tier_manifest_bytes(manifest->run_count));
}

static void reseal(size_t bytes)
{
	uint32_t crc = tier_crc32c(tier_crc32c(0, super.uuid.bytes, 16), buffer, bytes - 4);

	crc = htole32(crc);
	memcpy(buffer + bytes - 4, &crc, 4);
}

#define REFUSED(assignment, why)                                                                   \
	do {                                                                                       \
		struct tier_manifest manifest = fresh();                                           \
		CHECK_EQ(try(&manifest), 0);                                                       \
		assignment;                                                                        \
		if (try(&manifest) != TIER_E_DAMAGED)                                              \
			FAIL("accepted: %s", #assignment);                                         \
		CHECK_HAS(problem.text, why);                                                      \
	} while (0)

TEST(round_trip)
{
	struct tier_manifest manifest = fresh(), *back = NULL;

	CHECK_EQ(tier_manifest_bytes(4), 64 + 4 * 24 + 8);
	tier_manifest_encode(&super, &manifest, buffer);
	CHECK_EQ(tier_manifest_decode(&super, &offer, buffer, tier_manifest_bytes(4), &back,
				      &problem),
		 0);
	CHECK_EQ(back->run_count, 4);
	CHECK(memcmp(back->runs, runs, sizeof(runs)) == 0);
	CHECK(memcmp(&back->flight, &offer.flight, 16) == 0);
	CHECK_EQ(back->generation, 11);
	CHECK_EQ(back->ram_bytes, 256 * MIB);
	CHECK_EQ(back->page_bytes, 4096);
	CHECK(tier_manifest_free(back) == NULL);
}

/* Written once by version 0 and never again: a change of the format fails here. */
TEST(bytes_stay_the_same)
{
	struct tier_manifest manifest = fresh();

	CHECK_EQ(try(&manifest), 0);
	CHECK_EQ(tier_crc32c(0, buffer, tier_manifest_bytes(4) - 4), 0x052387efu);
}

TEST(no_runs)
{
	struct tier_manifest manifest = fresh();

	manifest.run_count = 0;
	CHECK_EQ(try(&manifest), 0);
}

TEST(every_flipped_bit_is_found)
{
	struct tier_manifest manifest = fresh();
	size_t bytes = tier_manifest_bytes(4);

	CHECK_EQ(try(&manifest), 0);
	for (size_t bit = 0; bit < 8 * bytes; bit++) {
		buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (decode(bytes) != TIER_E_DAMAGED)
			FAIL("bit %zu of byte %zu", bit % 8, bit / 8);
		buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

TEST(every_length_but_the_right_one_is_refused)
{
	struct tier_manifest manifest = fresh();

	CHECK_EQ(try(&manifest), 0);
	for (size_t bytes = 1; bytes < 1024; bytes++)
		CHECK_EQ(decode(bytes), bytes == tier_manifest_bytes(4) ? 0 : TIER_E_DAMAGED);
	/* The same with a checksum that fits. */
	for (size_t bytes = 8; bytes < 1024; bytes++) {
		CHECK_EQ(try(&manifest), 0);
		reseal(bytes);
		CHECK_EQ(decode(bytes), bytes == tier_manifest_bytes(4) ? 0 : TIER_E_DAMAGED);
	}
}

/* Numbers of runs whose size wraps around to the right one. */
TEST(run_count_overflow)
{
	static const uint64_t counts[] = {
		UINT64_MAX, UINT64_MAX / 24, UINT64_MAX / 24 + 5, (1ull << 61) + 4, 5, 3};
	size_t bytes = tier_manifest_bytes(4);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct tier_manifest manifest = fresh();
		uint64_t count = htole64(counts[i]);

		CHECK_EQ(try(&manifest), 0);
		memcpy(buffer + 48, &count, 8);
		reseal(bytes);
		CHECK_EQ(decode(bytes), TIER_E_DAMAGED);
		CHECK_HAS(problem.text, "number of runs");
	}
}

TEST(heads)
{
	static const struct {
		size_t at;
		const char *why;
	} bytes[] = {{0, "magic"},     {4, "version"},	 {6, "reserved"},  {44, "reserved"},
		     {47, "reserved"}, {56, "reserved"}, {63, "reserved"}, {160, "reserved"}};

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		struct tier_manifest manifest = fresh();

		CHECK_EQ(try(&manifest), 0);
		buffer[bytes[i].at] ^= 1;
		reseal(tier_manifest_bytes(4));
		CHECK_EQ(decode(tier_manifest_bytes(4)), TIER_E_DAMAGED);
		CHECK_HAS(problem.text, bytes[i].why);
	}
	REFUSED(manifest.flight.bytes[3]++, "another flight");
	REFUSED(manifest.generation = 12, "another generation");
	REFUSED(manifest.ram_bytes *= 2, "differ from the offer's");
	REFUSED(manifest.page_bytes = 8192, "differ from the offer's");
}

TEST(of_another_portal)
{
	struct tier_manifest manifest = fresh();

	CHECK_EQ(try(&manifest), 0);
	super.uuid.bytes[0]++;
	CHECK_EQ(decode(tier_manifest_bytes(4)), TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "another portal");
}

TEST(runs_are_checked)
{
	REFUSED(runs[1].pages = 0, "run 1 has a length");
	REFUSED(runs[1].pages = 513, "run 1 has a length");
	REFUSED(runs[1].pages = UINT32_MAX, "run 1 has a length");
	REFUSED(runs[2].ram_offset++, "run 2 is not aligned");
	REFUSED(runs[2].portal_offset += 2048, "run 2 is not aligned");
	REFUSED(runs[1].ram_offset -= 4096, "run 1 overlaps the one before");
	REFUSED(runs[1].ram_offset = 0, "run 1 overlaps the one before");
	REFUSED((runs[0].ram_offset = 2 * MIB, runs[1].ram_offset = 0), "not in order");
	REFUSED(runs[3].ram_offset += 4096, "run 3 lies past the end");
	REFUSED(runs[3].ram_offset = UINT64_MAX - 4095, "run 3 lies past the end");
	REFUSED(runs[3].pages = 2, "run 3 lies past the end");
}

TEST(runs_stay_in_the_flights_extents)
{
	REFUSED(runs[0].portal_offset = 0, "run 0 lies outside");
	REFUSED(runs[1].portal_offset = EXTENT - 4096, "run 1 lies outside");
	REFUSED(runs[0].portal_offset = 3 * EXTENT, "run 0 lies outside");
	REFUSED(runs[3].portal_offset = 5 * EXTENT - 4096, "run 3 lies outside");
	REFUSED(runs[2].pages = 3, "run 2 lies outside");
	REFUSED(runs[2].portal_offset = 8 * EXTENT, "run 2 lies outside");
	REFUSED(runs[2].portal_offset = UINT64_MAX - 4095, "run 2 lies outside");
	REFUSED(offer.range_count = 0, "run 0 lies outside");
}

TEST(runs_do_not_overlap_in_the_portal)
{
	REFUSED(runs[1].portal_offset = runs[0].portal_offset, "overlaps another in the portal");
	REFUSED(runs[0].portal_offset -= 4096, "overlaps another in the portal");
	REFUSED(runs[3].portal_offset = runs[2].portal_offset + 4096, "overlaps another");
	REFUSED(runs[3].portal_offset = EXTENT + MIB, "run 3 overlaps another");
}

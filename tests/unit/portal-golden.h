/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_PORTAL_GOLDEN_H
#define TIER_PORTAL_GOLDEN_H

/*
 * What the images in tests/fixtures/portal/ hold: two portals, one with a key, and in each a record of
 * every kind in every state. Every field has a value that no other has, of bytes that differ.
 */

#include "portal-fixture.h"

enum kind { SUPER, HOST, FENCE, EXTENT, OFFER, ANSWER, MANIFEST, STATE };

static const char secret[] = "a secret of version 1.0, thirty-two bytes or more";
static const struct tier_uuid keyed_uuid = {{0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
					     0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf}};
static const struct tier_uuid keyed_flight = {{0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8,
					       0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef}};

/* Three hosts, as `portal format` lays them out. */
static struct tier_super plain_super(void)
{
	return (struct tier_super){.major = 1,
				   .minor = 0,
				   .uuid = fixture_uuid,
				   .name = "golden",
				   .total_bytes = 0x100000000,
				   .control_bytes = 0x8000000,
				   .extent_bytes = 0x8000000,
				   .extent_count = 31,
				   .host_count = 3,
				   .host_area_offset = 0x200000,
				   .host_area_bytes = 0x2a00000,
				   .formatted_usec = 0x00060a24181e4000,
				   .hosts = {{"A", 0, 11}, {"B", 11, 10}, {"C", 21, 10}}};
}

/* All sixteen hosts, their extents in another order, and every flag. */
static struct tier_super keyed_super(void)
{
	struct tier_super super = {.major = 1,
				   .minor = 0,
				   .incompat = 1,
				   .compat = 0x8070605040302010,
				   .uuid = keyed_uuid,
				   .name = "golden.keyed_with-31-characters",
				   .total_bytes = 0x0102030405060708,
				   .control_bytes = 0x20000000,
				   .extent_bytes = 0x10000000,
				   .extent_count = 0x330,
				   .host_count = 16,
				   .host_area_offset = 0x300000,
				   .host_area_bytes = 0x500000,
				   .hardware_coherent = true,
				   .formatted_usec = 0x1112131415161718,
				   .has_key = true};

	for (uint32_t i = 0; i < 16; i++) {
		snprintf(super.hosts[i].name, sizeof(super.hosts[i].name), "host-%02u", i);
		super.hosts[i].first_extent = (15 - i) * 0x33;
		super.hosts[i].extent_count = 0x33;
	}
	strcpy(super.hosts[15].name, "host-15.with_thirty-one-letters");
	tier_portal_key_derive(&keyed_uuid, secret, strlen(secret), super.key);
	return super;
}

static struct tier_super super_of(bool keyed)
{
	return keyed ? keyed_super() : plain_super();
}

static struct tier_host_record host_of(bool keyed)
{
	if (!keyed)
		return (struct tier_host_record){
			.stamp = {0x3132333435363738, 0x4142434445464748, 0x5152535455565758},
			.name = "C",
			.boot = {{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
			.beat_usec = 0x6162636465666768,
			.interval_usec = 0x7172737475767778,
			.watchdog_usec = 0x8182838485868788};
	return (struct tier_host_record){
		.stamp = {1, 2, 3},
		.name = "host-15.with_thirty-one-letters",
		.boot = {{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0xb1}},
		.beat_usec = 1700000000123456,
		.interval_usec = 1000000};
}

static struct tier_fence_record fence_of(bool keyed, unsigned state)
{
	struct tier_fence_record fence = {
		.stamp = {0x3132333435363738, 0x4142434445464748, 0x5152535455565758},
		.host = keyed ? 13 : 2,
		.target = keyed ? 11 : 0,
		.state = state};

	if (state == TIER_FENCE_NONE)
		return fence;
	fence.upto = 0x6162636465666768;
	fence.heir = keyed ? 7 : 1;
	fence.when_usec = 0x7172737475767778;
	fence.fenced_upto = state == TIER_FENCE_FENCED ? fence.upto : 0x6162636465666767;
	fence.fenced_heir = state == TIER_FENCE_FENCED ? fence.heir : keyed ? 5 : 2;
	if (state == TIER_FENCE_FENCED)
		fence.method = keyed ? TIER_FENCE_METHOD_CONFIRMED : TIER_FENCE_METHOD_AGENT;
	return fence;
}

static struct tier_extent_record extent_of(bool keyed, unsigned state)
{
	struct tier_extent_record extent = {
		.stamp = {0x3132333435363738, 0x4142434445464748, 0x5152535455565758},
		.extent = keyed ? 0x2a5 : 17,
		.state = state};

	if (state == TIER_EXTENT_CLAIMED || state == TIER_EXTENT_SCRUB) {
		extent.owner = keyed ? 14 : 1;
		extent.owner_incarnation = 0x9192939495969798;
		extent.flight = keyed ? keyed_flight : fixture_flight;
	}
	return extent;
}

static const struct tier_blob manifests[] = {
	{0x2d00000, 120, 0x0c2cb4f7, {}},
	{0x4a00000,
	 144,
	 0x1ac37731,
	 {0xba, 0x5c, 0x5c, 0x81, 0xf6, 0x94, 0xd6, 0x95, 0x01, 0xac, 0x77, 0xc8, 0xb2, 0x6a, 0x04,
	  0x41}},
};
static const struct tier_blob states[] = {
	{0x2d01000, 200, 0x0afeac95, {}},
	{0x4a01080,
	 200,
	 0xc62a540f,
	 {0xa0, 0x77, 0x27, 0xc5, 0xf0, 0x17, 0xe5, 0x54, 0x7c, 0x2b, 0xed, 0xe5, 0x0e, 0xf8, 0x8e,
	  0xe3}},
};

static struct tier_offer offer_of(bool keyed, unsigned state)
{
	struct tier_offer offer = {
		.stamp = {0xa1a2a3a4a5a6a7a8, 0x0102030405060708, 0x2122232425262700 + state},
		.source = keyed ? 14 : 1,
		.state = state};

	if (state == TIER_FLIGHT_NONE)
		return offer;
	offer.flight = keyed ? keyed_flight : fixture_flight;
	offer.destination = keyed ? 9 : 2;
	strcpy(offer.vm,
	       keyed ? "a-vm.with_a_name_of_sixty-three_letters_which_is_all_that_fits_" : "demo");
	offer.ram_bytes = keyed ? 0x123456780000 : 0x10000000;
	offer.page_bytes = keyed ? 65536 : 4096;
	offer.wanted_extents = keyed ? 0x20 : 5;
	offer.source_incarnation = 0x9192939495969798;
	offer.offered_usec = 0x00060a2418280001;
	if (state == TIER_FLIGHT_REQUESTED)
		return offer;
	strcpy(offer.machine_type, keyed ? "virt-11.1" : "pc-q35-11.1");
	strcpy(offer.qemu_version, keyed ? "11.1.0" : "11.1.0 (Debian 1:11.1+ds-1)");
	if (state == TIER_FLIGHT_ABORTED || state == TIER_FLIGHT_CLOSED) {
		strcpy(offer.reason, state == TIER_FLIGHT_ABORTED ? "a page is pinned" : "");
		return offer;
	}
	offer.range_count = keyed ? 32 : 2;
	if (keyed)
		for (uint32_t i = 0; i < 32; i++)
			offer.ranges[i] = (struct tier_extent_range){0x321 - 8 * i, 1 + i % 7};
	else
		memcpy(offer.ranges, (struct tier_extent_range[]){{1, 2}, {4, 3}},
		       2 * sizeof(*offer.ranges));
	if (state == TIER_FLIGHT_OFFERED)
		return offer;
	offer.destination_incarnation = 0xb1b2b3b4b5b6b7b8;
	offer.manifest = manifests[keyed];
	offer.state_blob = states[keyed];
	if (state == TIER_FLIGHT_WITHDRAWN)
		strcpy(offer.reason, "~ all that is printable: !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}");
	return offer;
}

static struct tier_answer answer_of(bool keyed, unsigned state)
{
	struct tier_answer answer = {
		.stamp = {0xb1b2b3b4b5b6b7b8, 0x0102030405060708, 0x2122232425262700 + state},
		.state = state};

	if (state == TIER_FLIGHT_NONE)
		return answer;
	answer.flight = keyed ? keyed_flight : fixture_flight;
	answer.source = keyed ? 14 : 1;
	answer.source_slot = keyed ? 15 : 3;
	strcpy(answer.qemu_version, keyed ? "11.1.50-with-thirty-one-letters" : "11.1.0");
	if (state == TIER_FLIGHT_REFUSED)
		strcpy(answer.reason, "no room for 256 MiB of RAM");
	return answer;
}

static struct tier_manifest manifest_of(bool keyed)
{
	static struct tier_manifest_run plain[] = {
		{0, 0x10200000, 512, 0x11223344},
		{0xfffd000, 0x3fffd000, 3, 0x55667788},
	};
	static struct tier_manifest_run other[] = {
		{0x10000, 0x3230000000, 7, 0x99aabbcc},
		{0x102030000, 0x31b8880000, 0x101, 0xddeeff01},
		{0x123456770000, 0x22c0000000, 1, 0x02030405},
	};

	return (struct tier_manifest){.flight = keyed ? keyed_flight : fixture_flight,
				      .generation = 0x0102030405060708,
				      .ram_bytes = keyed ? 0x123456780000 : 0x10000000,
				      .page_bytes = keyed ? 65536 : 4096,
				      .runs = keyed ? other : plain,
				      .run_count = keyed ? 3 : 2};
}

/* Opaque to all of this: what matters are its checksum and its MAC in the offer. */
static size_t state_of(bool keyed, uint8_t *to)
{
	for (size_t i = 0; i < 200; i++)
		to[i] = (uint8_t)(keyed ? 255 - i : i * 7 + 3);
	return 200;
}

/* Places of copy 1 in the portal. */
struct place {
	enum tier_record_kind kind;
	uint32_t host, index;
	uint64_t at;
};
static const struct place places[2][ANSWER + 1] = {
	{[HOST] = {TIER_RECORD_HOST, 2, 0, 0x5600100},
	 [FENCE] = {TIER_RECORD_FENCE, 2, 0, 0x5611080},
	 [EXTENT] = {TIER_RECORD_EXTENT, 1, 17, 0x2c20680},
	 [OFFER] = {TIER_RECORD_OFFER, 1, 3, 0x2c02c00},
	 [ANSWER] = {TIER_RECORD_ANSWER, 2, 6, 0x560c400}},
	{[HOST] = {TIER_RECORD_HOST, 15, 0, 0x4e00100},
	 [FENCE] = {TIER_RECORD_FENCE, 13, 11, 0x4411b80},
	 [EXTENT] = {TIER_RECORD_EXTENT, 2, 0x2a5, 0xd20e80},
	 [OFFER] = {TIER_RECORD_OFFER, 14, 15, 0x4908c00},
	 [ANSWER] = {TIER_RECORD_ANSWER, 9, 12, 0x300f400}},
};

#endif

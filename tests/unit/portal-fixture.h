/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_PORTAL_FIXTURE_H
#define TIER_PORTAL_FIXTURE_H

/* A portal of two hosts with 8 and 7 extents, and records that fill every field. */

#include "tier-portal.h"
#include "util.h"

static const struct tier_uuid fixture_uuid = {
	{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static const struct tier_uuid fixture_flight = {
	{0xf1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static inline struct tier_super fixture_super(void)
{
	static const char *const hosts[] = {"A", "B"};
	struct tier_problem problem = {};
	struct tier_super super;

	if (tier_super_plan("portal0", hosts, 2, 2 * GIB, 128 * MIB, &fixture_uuid, &super,
			    &problem) != 0) {
		fprintf(stderr, "fixture: %s\n", problem.text);
		abort();
	}
	super.formatted_usec = 1700000000000000;
	return super;
}

static inline struct tier_host_record fixture_host(void)
{
	return (struct tier_host_record){
		.stamp = {0x1122334455667788, 42, 7},
		.name = "A",
		.boot = {{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		.beat_usec = 1700000000123456,
		.interval_usec = 1000000,
		.watchdog_usec = 30000000};
}

static inline struct tier_fence_record fixture_fence(void)
{
	return (struct tier_fence_record){.stamp = {0x1122334455667788, 2, 5},
					  .host = 0,
					  .target = 1,
					  .upto = 0x99aabbccddeeff00,
					  .state = TIER_FENCE_FENCED,
					  .method = TIER_FENCE_METHOD_AGENT,
					  .heir = 0,
					  .fenced_upto = 0x99aabbccddeeff00,
					  .when_usec = 1700000000222222};
}

static inline struct tier_extent_record fixture_extent(void)
{
	return (struct tier_extent_record){.stamp = {0x1122334455667788, 3, 9},
					   .extent = 5,
					   .state = TIER_EXTENT_CLAIMED,
					   .owner = 1,
					   .owner_incarnation = 0x99aabbccddeeff00,
					   .flight = fixture_flight};
}

static inline struct tier_offer fixture_offer(const struct tier_super *super)
{
	uint64_t bytes, blobs = tier_blob_area(super, 0, &bytes);

	return (struct tier_offer){
		.stamp = {0x1122334455667788, 11, 4},
		.flight = fixture_flight,
		.source = 0,
		.destination = 1,
		.state = TIER_FLIGHT_PUBLISHED,
		.vm = "demo",
		.machine_type = "pc-q35-11.1",
		.qemu_version = "11.1.0 (Debian 1:11.1+ds-1)",
		.ram_bytes = 256 * MIB,
		.page_bytes = 4096,
		.wanted_extents = 5,
		.source_incarnation = 0x1122334455667700,
		.destination_incarnation = 0x99aabbccddeeff00,
		.ranges = {{0, 2}, {4, 3}},
		.range_count = 2,
		.manifest = {blobs, 1024, 0x12345678, {}},
		.state_blob = {blobs + 4096, 300000, 0x9abcdef0, {}},
		.offered_usec = 1700000000654321,
		.reason = "none, yet",
	};
}

static inline struct tier_answer fixture_answer(void)
{
	return (struct tier_answer){.stamp = {0x99aabbccddeeff00, 11, 2},
				    .flight = fixture_flight,
				    .source = 0,
				    .source_slot = 3,
				    .state = TIER_FLIGHT_READY,
				    .qemu_version = "11.1.0",
				    .reason = "fine"};
}

/* After a test has changed bytes on purpose: a checksum that fits again. */
static inline void fixture_reseal(void *buffer, size_t bytes)
{
	uint32_t crc = htole32(tier_crc32c(0, buffer, bytes - 4));

	memcpy((char *)buffer + bytes - 4, &crc, sizeof(crc));
}

#endif

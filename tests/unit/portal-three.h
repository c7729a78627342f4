/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_PORTAL_THREE_H
#define TIER_PORTAL_THREE_H

/* A portal of three hosts, five extents each, with small incarnations that a test can follow. */

#include "portal-file.h"
#include "test.h"

enum { A, B, C };

static inline struct tier_super three_super(void)
{
	static const char *const hosts[] = {"A", "B", "C"};
	struct tier_problem problem = {};
	struct tier_super super;

	CHECK_EQ(tier_super_plan("three", hosts, 3, 2 * GIB, 128 * MIB, &fixture_uuid, &super,
				 &problem),
		 0);
	super.formatted_usec = 1;
	return super;
}

/* Formatted and opened; closed by the caller. */
static inline struct tier_portal *three_portal(const char *name)
{
	const char *path = file_path(name);
	struct tier_super super = three_super();
	struct tier_portal *portal = NULL;

	CHECK_EQ(tier_portal_format(path, &super, true, NULL), 0);
	CHECK_EQ(tier_portal_open(path, TIER_PORTAL_WRITE, &portal, NULL), 0);
	return portal;
}

static inline void three_host(struct tier_portal *portal, uint32_t host, uint64_t incarnation,
			      uint64_t beats)
{
	struct tier_host_record record = {
		.stamp = {.incarnation = incarnation, .generation = beats},
		.boot = {{0xb0, (uint8_t)host, (uint8_t)incarnation}},
		.interval_usec = 100000,
	};

	record.name[0] = (char)('A' + host);
	CHECK_EQ(tier_portal_write_host(portal, host, &record), 0);
}

static inline struct tier_fence_record three_fence(uint32_t host, uint64_t incarnation,
						   uint32_t target, uint64_t upto,
						   enum tier_fence_state state, uint32_t heir)
{
	return (struct tier_fence_record){
		.stamp = {.incarnation = incarnation, .generation = 1},
		.host = host,
		.target = target,
		.upto = upto,
		.state = state,
		.method = TIER_FENCE_METHOD_AGENT,
		.heir = heir,
		.fenced_upto = state == TIER_FENCE_FENCED ? upto : 0,
		.fenced_heir = state == TIER_FENCE_FENCED ? heir : 0,
	};
}

/* Of VM "demo", in extents 0 and 1; where its blobs would be, nothing is. */
static inline struct tier_offer three_offer(const struct tier_super *super, uint32_t source,
					    uint64_t source_incarnation, uint32_t destination,
					    uint64_t destination_incarnation,
					    enum tier_flight_state state)
{
	uint64_t bytes, blobs = tier_blob_area(super, source, &bytes);
	struct tier_offer offer = {
		.stamp = {.incarnation = source_incarnation, .generation = 1},
		.flight = fixture_flight,
		.source = source,
		.destination = destination,
		.state = state,
		.vm = "demo",
		.machine_type = "pc-q35-11.1",
		.ram_bytes = 256 * MIB,
		.page_bytes = 4096,
		.wanted_extents = 2,
		.source_incarnation = source_incarnation,
		.destination_incarnation = destination_incarnation,
	};

	if (state != TIER_FLIGHT_REQUESTED) {
		offer.ranges[0] = (struct tier_extent_range){0, 2};
		offer.range_count = 1;
	}
	if (state == TIER_FLIGHT_PUBLISHED || state == TIER_FLIGHT_COMMITTED) {
		offer.manifest = (struct tier_blob){blobs, 1024, 1, {}};
		offer.state_blob = (struct tier_blob){blobs + 4096, 1024, 1, {}};
	}
	return offer;
}

static inline struct tier_answer three_answer(const struct tier_offer *offer, uint32_t slot,
					      uint64_t incarnation, enum tier_flight_state state)
{
	return (struct tier_answer){
		.stamp = {.incarnation = incarnation, .generation = offer->stamp.generation},
		.flight = offer->flight,
		.source = offer->source,
		.source_slot = slot,
		.state = state,
	};
}

/* Damages copies of a record: bit 0 the first one, bit 1 the second. */
static inline void three_damage(struct tier_portal *portal, enum tier_record_kind kind,
				uint32_t host, uint32_t index, unsigned copies)
{
	const struct tier_super *super = tier_portal_super(portal);

	for (unsigned copy = 0; copy < 2; copy++)
		if (copies & (1u << copy))
			file_flip(tier_portal_path(portal),
				  tier_record_offset(super, kind, host, index, copy) + 50);
}

/* Everything that records and superblocks are made of, to see that nothing has changed. */
static inline uint32_t three_sum(struct tier_portal *portal)
{
	const struct tier_super *super = tier_portal_super(portal);
	size_t bytes = MIB;
	uint8_t *buffer = malloc(bytes);
	uint32_t sum = 0;

	file_read(tier_portal_path(portal), 0, buffer, TIER_SUPER_BYTES);
	sum = tier_crc32c(sum, buffer, TIER_SUPER_BYTES);
	file_read(tier_portal_path(portal), TIER_SUPER_COPY_OFFSET, buffer, TIER_SUPER_BYTES);
	sum = tier_crc32c(sum, buffer, TIER_SUPER_BYTES);
	for (uint32_t host = 0; host < super->host_count; host++) {
		file_read(tier_portal_path(portal),
			  tier_record_offset(super, TIER_RECORD_HOST, host, 0, 0), buffer, bytes);
		sum = tier_crc32c(sum, buffer, bytes);
	}
	free(buffer);
	return sum;
}

#endif

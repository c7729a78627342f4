/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_FUZZ_RECORDS_H
#define TIER_FUZZ_RECORDS_H

/* Records of format version 1, made of a tape's choices, broken, and sealed again. */

#include <endian.h>

#include "fuzz.h"
#include "record.h"
#include "tape.h"
#include "tier-portal.h"

static const struct tier_uuid fuzz_flight = {
	{0xf1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

#define FUZZ_GENERATION 7
#define FUZZ_HOSTS	3

/* Three hosts with 5 extents each; the smallest host areas there can be. */
static inline struct tier_super fuzz_super(bool keyed)
{
	static const char *const hosts[FUZZ_HOSTS] = {"A", "B", "C"};
	static const struct tier_uuid uuid = {{0xc0, 1, 2, 3}};
	struct tier_problem problem = {};
	struct tier_super super;

	HOLDS(tier_super_plan("portal0", hosts, FUZZ_HOSTS, 2 * GIB, 128 * MIB, &uuid, &super,
			      &problem) == 0);
	super.host_area_bytes = 2 * MIB;
	super.formatted_usec = 1700000000000000;
	if (keyed) {
		super.incompat |= TIER_PORTAL_INCOMPAT_KEYED;
		super.has_key = true;
		tier_portal_key_derive(&uuid, "0123456789abcdef0123456789abcdef", 32, super.key);
	}
	return super;
}

static inline struct tier_stamp make_stamp(struct tape *tape)
{
	struct tier_stamp stamp;

	stamp.incarnation = tape_or(tape, 1 + tape_below(tape, 3));
	stamp.generation = tape_or(tape, FUZZ_GENERATION);
	stamp.sequence = tape_or(tape, 4);
	return stamp;
}

static inline struct tier_uuid make_flight(struct tape *tape)
{
	struct tier_uuid flight = fuzz_flight;

	flight.bytes[0] = (uint8_t)tape_or(tape, flight.bytes[0]);
	if (tape_byte(tape) == 0xff)
		flight = (struct tier_uuid){};
	return flight;
}

static inline struct tier_host_record make_host(struct tape *tape, const struct tier_super *super,
						uint32_t host)
{
	struct tier_host_record record = {.stamp = make_stamp(tape)};

	tape_text(tape, record.name, sizeof(record.name), super->hosts[host].name);
	record.boot.bytes[3] = (uint8_t)tape_or(tape, 1);
	record.beat_usec = tape_or(tape, 1700000000123456);
	record.interval_usec = tape_or(tape, 1000000);
	record.watchdog_usec = tape_or(tape, 30000000);
	return record;
}

static inline struct tier_fence_record make_fence(struct tape *tape, uint32_t host, uint32_t target)
{
	struct tier_fence_record record = {
		.stamp = make_stamp(tape), .host = host, .target = target};

	record.upto = tape_or(tape, 1 + tape_below(tape, 3));
	record.state =
		(enum tier_fence_state)tape_or(tape, (TIER_FENCE_FENCED + tape_byte(tape)) % 4);
	record.method = (enum tier_fence_method)tape_or(tape, TIER_FENCE_METHOD_AGENT);
	record.heir = (uint32_t)tape_or(tape, tape_below(tape, FUZZ_HOSTS));
	record.when_usec = tape_or(tape, 1700000000222222);
	record.fenced_upto = record.state == TIER_FENCE_FENCED
				     ? record.upto
				     : MIN(tape_below(tape, 3), record.upto);
	record.fenced_upto = tape_or(tape, record.fenced_upto);
	record.fenced_heir = (uint32_t)tape_or(tape, record.fenced_upto ? record.heir : 0);
	return record;
}

static inline struct tier_extent_record make_extent(struct tape *tape, uint32_t extent)
{
	struct tier_extent_record record = {.stamp = make_stamp(tape), .extent = extent};

	record.state = (enum tier_extent_state)tape_or(tape, tape_below(tape, 4));
	if (record.state == TIER_EXTENT_FREE || record.state == TIER_EXTENT_RETIRED) {
		record.owner = (uint32_t)tape_or(tape, 0);
		return record;
	}
	record.owner = (uint32_t)tape_or(tape, tape_below(tape, FUZZ_HOSTS));
	record.owner_incarnation = tape_or(tape, 1);
	record.flight = make_flight(tape);
	return record;
}

/* At @offset of the area; now and then in another host's, over its end, or as long as all memory. */
static inline struct tier_blob make_blob(struct tape *tape, const struct tier_super *super,
					 uint32_t host, uint64_t offset, uint64_t bytes)
{
	uint64_t area_bytes, area = tier_blob_area(super, host, &area_bytes);
	struct tier_blob blob = {};

	blob.offset = tape_or(tape, area + offset);
	if (tape_byte(tape) >= 0xf0)
		blob.offset = area + area_bytes - tape_number(tape);
	blob.bytes = tape_or(tape, bytes);
	blob.crc32c = (uint32_t)tape_or(tape, 0x12345678);
	return blob;
}

static inline void make_ranges(struct tape *tape, struct tier_offer *offer)
{
	uint32_t next = 0;

	offer->range_count = (uint32_t)tape_or(tape, 1 + tape_below(tape, 3));
	for (uint32_t i = 0; i < MIN(offer->range_count, TIER_PORTAL_FLIGHT_RANGES); i++) {
		struct tier_extent_range *range = &offer->ranges[i];

		range->first = (uint32_t)tape_or(tape, next + tape_below(tape, 2));
		range->count = (uint32_t)tape_or(tape, 1 + tape_below(tape, 3));
		next = range->first + range->count;
	}
}

static inline struct tier_offer make_offer(struct tape *tape, const struct tier_super *super,
					   uint32_t source)
{
	struct tier_offer offer = {.stamp = make_stamp(tape), .source = source};

	offer.flight = make_flight(tape);
	offer.destination = (uint32_t)tape_or(tape, (source + 1) % super->host_count);
	offer.state = (enum tier_flight_state)tape_or(tape, tape_below(tape, 8));
	tape_text(tape, offer.vm, sizeof(offer.vm), "demo");
	tape_text(tape, offer.machine_type, sizeof(offer.machine_type), "pc-q35-11.1");
	tape_text(tape, offer.qemu_version, sizeof(offer.qemu_version), "11.1.0");
	offer.page_bytes = (uint32_t)tape_or(tape, 4096);
	offer.ram_bytes = tape_or(tape, 256 * MIB);
	offer.source_incarnation = tape_or(tape, 1);
	if (offer.state >= TIER_FLIGHT_PUBLISHED)
		offer.destination_incarnation = tape_or(tape, 1 + tape_below(tape, 2));
	offer.wanted_extents = (uint32_t)tape_or(tape, 3);
	if (offer.state >= TIER_FLIGHT_OFFERED)
		make_ranges(tape, &offer);
	if (offer.state >= TIER_FLIGHT_PUBLISHED) {
		offer.manifest = make_blob(tape, super, source % super->host_count, 0, 1024);
		offer.state_blob = make_blob(tape, super, source % super->host_count, 4096, 8192);
	}
	offer.offered_usec = tape_or(tape, 1700000000654321);
	tape_text(tape, offer.reason, sizeof(offer.reason), "");
	return offer;
}

static inline struct tier_answer make_answer(struct tape *tape, uint32_t source, uint32_t slot)
{
	struct tier_answer answer = {.stamp = make_stamp(tape)};

	answer.flight = make_flight(tape);
	answer.source = (uint32_t)tape_or(tape, source);
	answer.source_slot = (uint32_t)tape_or(tape, slot);
	answer.state =
		(enum tier_flight_state)tape_or(tape, TIER_FLIGHT_READY + tape_below(tape, 5));
	tape_text(tape, answer.qemu_version, sizeof(answer.qemu_version), "11.1.0");
	tape_text(tape, answer.reason, sizeof(answer.reason), "");
	return answer;
}

/* A manifest in order, then aliased, out of order, or past an end, by the tape; malloc(). */
static inline uint8_t *make_manifest(struct tape *tape, const struct tier_super *super,
				     const struct tier_offer *offer, size_t *ret_bytes)
{
	struct tier_manifest_run runs[32];
	struct tier_manifest manifest = {.runs = runs, .flight = make_flight(tape)};
	uint64_t ram = 0, at = super->control_bytes;
	uint8_t *bytes;

	manifest.generation = tape_or(tape, offer->stamp.generation);
	manifest.ram_bytes = tape_or(tape, offer->ram_bytes);
	manifest.page_bytes = (uint32_t)tape_or(tape, offer->page_bytes);
	manifest.run_count = tape_below(tape, ARRAY_SIZE(runs) + 1);
	if (offer->range_count)
		at += offer->ranges[0].first * super->extent_bytes;
	for (size_t i = 0; i < manifest.run_count; i++) {
		struct tier_manifest_run *run = &runs[i];

		run->pages = (uint32_t)tape_or(tape, 1 + tape_below(tape, 8));
		run->ram_offset = tape_or(tape, ram);
		run->portal_offset = tape_or(tape, at);
		if (tape_byte(tape) >= 0xe0)
			run->portal_offset = runs[tape_below(tape, (uint32_t)i + 1)].portal_offset;
		run->crc32c = (uint32_t)i;
		ram = run->ram_offset + run->pages * (uint64_t)manifest.page_bytes;
		at = run->portal_offset + run->pages * (uint64_t)manifest.page_bytes;
	}
	*ret_bytes = tier_manifest_bytes(manifest.run_count);
	bytes = malloc(*ret_bytes);
	HOLDS(bytes);
	tier_manifest_encode(super, &manifest, bytes);
	return bytes;
}

static inline void reseal_manifest(const struct tier_super *super, uint8_t *bytes, size_t size)
{
	uint32_t crc = tier_crc32c(0, super->uuid.bytes, sizeof(super->uuid.bytes));

	if (size < 4)
		return;
	crc = htole32(tier_crc32c(crc, bytes, size - 4));
	memcpy(bytes + size - 4, &crc, 4);
}

/* As whoever has the portal's key, or needs none, can do it. */
static inline void reseal(const struct tier_super *super, uint8_t *record, size_t bytes)
{
	uint8_t *mac = record + bytes - sizeof(struct wire_tail) + offsetof(struct wire_tail, mac);
	uint32_t crc;

	portal_mac(super, record, (size_t)(mac - record), mac);
	crc = htole32(tier_crc32c(0, record, bytes - 4));
	memcpy(record + bytes - 4, &crc, sizeof(crc));
}

/* Up to three fields of 1 to 8 bytes. Returns whether anything was overwritten. */
static inline bool break_bytes(struct tape *tape, uint8_t *record, size_t bytes)
{
	unsigned count = tape_below(tape, 4);

	for (unsigned i = 0; i < count; i++) {
		size_t at = tape_raw(tape, 2) % bytes;
		uint64_t value = htole64(tape_number(tape));
		size_t length = (size_t)1 << tape_below(tape, 4);

		memcpy(record + at, &value, MIN(bytes - at, length));
	}
	return count > 0;
}

#endif

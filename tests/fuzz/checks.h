/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_FUZZ_CHECKS_H
#define TIER_FUZZ_CHECKS_H

/* What holds for everything that a decoder accepts. */

#include <string.h>

#include "fuzz.h"
#include "records.h"
#include "tier-portal.h"

static inline void check_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	HOLDS(length < size);
	for (size_t i = 0; i < length; i++)
		HOLDS(text[i] >= ' ' && text[i] <= '~');
}

static inline void check_name(const char *text, size_t size)
{
	check_text(text, size);
	HOLDS(text[0] && text[0] != '-' && text[0] != '.' && !strpbrk(text, "/, =:\"'\\"));
}

static inline void check_stamp(const struct tier_stamp *stamp)
{
	HOLDS(stamp->incarnation != 0 && stamp->sequence != 0);
}

static inline void check_super(const struct tier_super *super)
{
	uint64_t next = 0, bytes;

	HOLDS(super->host_count >= 1 && super->host_count <= TIER_PORTAL_MAX_HOSTS);
	HOLDS(super->control_bytes + super->extent_count * super->extent_bytes <=
	      super->total_bytes);
	check_name(super->name, sizeof(super->name));
	for (uint32_t host = 0; host < super->host_count; host++) {
		const struct tier_portal_slot *slot = &super->hosts[host];
		uint64_t area, first, fences, extents;

		check_name(slot->name, sizeof(slot->name));
		HOLDS(tier_super_host(super, slot->name) == host);
		HOLDS(tier_super_extent_home(super, slot->first_extent) == host);
		HOLDS(tier_super_extent_home(super, slot->first_extent + slot->extent_count - 1) ==
		      host);
		/* In order, apart from each other, inside the control area. */
		first = tier_record_offset(super, TIER_RECORD_HOST, host, 0, 0);
		HOLDS(first >= TIER_SUPER_COPY_OFFSET + TIER_SUPER_BYTES && first >= next);
		fences = tier_record_offset(super, TIER_RECORD_FENCE, host, 0, 0);
		HOLDS(tier_record_offset(super, TIER_RECORD_ANSWER, host, TIER_PORTAL_FLIGHTS - 1,
					 1) +
			      tier_record_bytes(TIER_RECORD_ANSWER) <=
		      fences);
		extents =
			tier_record_offset(super, TIER_RECORD_EXTENT, host, slot->first_extent, 0);
		HOLDS(tier_record_offset(super, TIER_RECORD_FENCE, host, super->host_count - 1, 1) +
			      tier_record_bytes(TIER_RECORD_FENCE) <=
		      extents);
		area = tier_blob_area(super, host, &bytes);
		HOLDS(tier_record_offset(super, TIER_RECORD_EXTENT, host,
					 slot->first_extent + slot->extent_count - 1, 1) +
			      tier_record_bytes(TIER_RECORD_EXTENT) <=
		      area);
		next = area + bytes;
		HOLDS(bytes > 0 && next > area && next <= super->control_bytes);
	}
	HOLDS(tier_super_extent_home(super, super->extent_count) == TIER_PORTAL_NO_HOST);
}

static inline void check_host(const struct tier_super *super, uint32_t host,
			      const struct tier_host_record *record)
{
	check_stamp(&record->stamp);
	HOLDS(strcmp(record->name, super->hosts[host].name) == 0);
}

static inline void check_fence(const struct tier_super *super,
			       const struct tier_fence_record *record)
{
	check_stamp(&record->stamp);
	HOLDS(record->state <= TIER_FENCE_RETRACTED && record->host != record->target);
	HOLDS(record->method <= TIER_FENCE_METHOD_CONFIRMED && record->heir < super->host_count);
	HOLDS(record->fenced_heir < super->host_count);
	HOLDS(record->fenced_upto ? record->fenced_heir != record->target
				  : record->fenced_heir == 0);
	HOLDS(record->fenced_upto <= record->upto || record->state == TIER_FENCE_NONE);
	if (record->state == TIER_FENCE_NONE)
		return;
	HOLDS(record->heir != record->target && record->upto != 0);
	if (record->state == TIER_FENCE_FENCED)
		HOLDS(record->fenced_upto == record->upto && record->fenced_heir == record->heir);
	/* Nobody is off because nobody did anything. */
	if (record->state == TIER_FENCE_FENCED)
		HOLDS(record->method != TIER_FENCE_METHOD_NONE);
}

static inline void check_extent(const struct tier_super *super, uint32_t extent,
				const struct tier_extent_record *record)
{
	check_stamp(&record->stamp);
	HOLDS(record->extent == extent && record->state <= TIER_EXTENT_RETIRED);
	HOLDS(record->owner < super->host_count);
}

static inline void check_blob(const struct tier_super *super, uint32_t host,
			      const struct tier_blob *blob)
{
	uint64_t bytes, area = tier_blob_area(super, host, &bytes);

	if (blob->bytes == 0)
		return;
	HOLDS(blob->offset >= area && blob->bytes <= bytes);
	HOLDS(blob->offset + blob->bytes <= area + bytes);
}

static inline void check_offer(const struct tier_super *super, const struct tier_offer *offer)
{
	bool published =
		offer->state == TIER_FLIGHT_PUBLISHED || offer->state == TIER_FLIGHT_COMMITTED;

	check_stamp(&offer->stamp);
	HOLDS(offer->state <= TIER_FLIGHT_CLOSED);
	/* Whatever its state: hosts are indices into arrays. */
	HOLDS(offer->source < super->host_count && offer->destination < super->host_count);
	HOLDS(offer->range_count <= TIER_PORTAL_FLIGHT_RANGES);
	for (uint32_t i = 0; i < offer->range_count; i++) {
		uint64_t first = offer->ranges[i].first, end = first + offer->ranges[i].count;

		HOLDS(end > first && end <= super->extent_count);
		for (uint32_t j = 0; j < i; j++)
			HOLDS(end <= offer->ranges[j].first ||
			      (uint64_t)offer->ranges[j].first + offer->ranges[j].count <= first);
	}
	check_blob(super, offer->source, &offer->manifest);
	check_blob(super, offer->source, &offer->state_blob);
	check_text(offer->vm, sizeof(offer->vm));
	check_text(offer->machine_type, sizeof(offer->machine_type));
	check_text(offer->qemu_version, sizeof(offer->qemu_version));
	check_text(offer->reason, sizeof(offer->reason));
	if (offer->state == TIER_FLIGHT_NONE)
		return;
	HOLDS(offer->destination != offer->source);
	check_name(offer->vm, sizeof(offer->vm));
	if (offer->machine_type[0] || published || offer->state == TIER_FLIGHT_OFFERED)
		check_name(offer->machine_type, sizeof(offer->machine_type));
	HOLDS(offer->page_bytes && offer->ram_bytes && offer->ram_bytes % offer->page_bytes == 0);
	HOLDS(offer->source_incarnation != 0 &&
	      offer->source_incarnation <= offer->stamp.incarnation);
	if (published)
		HOLDS(offer->manifest.bytes && offer->state_blob.bytes && offer->range_count &&
		      offer->destination_incarnation);
}

static inline void check_answer(const struct tier_super *super, uint32_t host,
				const struct tier_answer *answer)
{
	check_stamp(&answer->stamp);
	check_text(answer->reason, sizeof(answer->reason));
	check_text(answer->qemu_version, sizeof(answer->qemu_version));
	HOLDS(answer->source < super->host_count && answer->source_slot < TIER_PORTAL_FLIGHTS);
	if (answer->state == TIER_FLIGHT_NONE)
		return;
	HOLDS(answer->source != host);
	HOLDS(answer->state >= TIER_FLIGHT_READY && answer->state <= TIER_FLIGHT_REFUSED);
}

/* Is the byte in an extent of the flight? */
static inline bool byte_inside(const struct tier_super *super, const struct tier_offer *offer,
			       uint64_t portal_offset)
{
	uint64_t extent = (portal_offset - super->control_bytes) / super->extent_bytes;

	for (uint32_t i = 0; i < offer->range_count; i++)
		if (extent >= offer->ranges[i].first &&
		    extent - offer->ranges[i].first < offer->ranges[i].count)
			return true;
	return false;
}

static inline void check_manifest(const struct tier_super *super, const struct tier_offer *offer,
				  const struct tier_manifest *manifest)
{
	uint64_t end = 0;

	for (size_t i = 0; i < manifest->run_count; i++) {
		const struct tier_manifest_run *run = &manifest->runs[i];
		uint64_t bytes = (uint64_t)run->pages * manifest->page_bytes;

		HOLDS(run->pages >= 1 && run->pages <= TIER_MANIFEST_RUN_PAGES);
		HOLDS(run->ram_offset >= end);
		end = run->ram_offset + bytes;
		HOLDS(end > run->ram_offset && end <= offer->ram_bytes);
		HOLDS(run->portal_offset >= super->control_bytes);
		HOLDS(run->portal_offset + bytes <=
		      super->control_bytes + super->extent_count * super->extent_bytes);
		HOLDS(byte_inside(super, offer, run->portal_offset));
		HOLDS(byte_inside(super, offer, run->portal_offset + bytes - 1));
		for (size_t j = 0; j < i; j++) {
			const struct tier_manifest_run *other = &manifest->runs[j];

			HOLDS(run->portal_offset >=
				      other->portal_offset +
					      (uint64_t)other->pages * manifest->page_bytes ||
			      other->portal_offset >= run->portal_offset + bytes);
		}
	}
}

/* Decodes it; what is accepted is inside the RAM and the flight's extents, and encodes the same. */
static inline void check_manifest_bytes(const struct tier_super *super,
					const struct tier_offer *offer, const uint8_t *bytes,
					size_t size)
{
	struct tier_manifest *manifest = NULL;
	struct tier_problem problem = {};
	int r = tier_manifest_decode(super, offer, bytes, size, &manifest, &problem);

	HOLDS(r == 0 || (r == TIER_E_DAMAGED && problem.text[0]));
	if (r == 0) {
		uint8_t *again = malloc(size);

		HOLDS(again && tier_manifest_bytes(manifest->run_count) == size);
		check_manifest(super, offer, manifest);
		tier_manifest_encode(super, manifest, again);
		HOLDS(memcmp(bytes, again, size) == 0);
		free(again);
	}
	tier_manifest_free(manifest);
}

#endif

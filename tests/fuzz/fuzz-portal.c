/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that a host reads from a portal. The first byte says what the rest is: the low bits
 * which decoder, the high bit whether checksums are put right first, which lets the fuzzer past
 * them. make-portal-corpus.c writes the seeds.
 */
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "../unit/portal-fixture.h"
#include "fuzz.h"

enum {
	FUZZ_SUPER, /* and the records of the portal that it describes */
	FUZZ_HOST,
	FUZZ_EXTENT,
	FUZZ_OFFER,
	FUZZ_ANSWER,
	FUZZ_MANIFEST, /* an offer, then the manifest */
	FUZZ_KINDS,
	FUZZ_RESEAL = 0x80,
};

static void check_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	HOLDS(length < size);
	for (size_t i = 0; i < length; i++)
		HOLDS(text[i] >= ' ' && text[i] <= '~');
}

static void check_super(const struct tier_super *super)
{
	uint64_t next = 0, bytes;

	HOLDS(super->host_count >= 1 && super->host_count <= TIER_PORTAL_MAX_HOSTS);
	HOLDS(super->control_bytes + super->extent_count * super->extent_bytes <=
	      super->total_bytes);
	check_text(super->name, sizeof(super->name));
	for (uint32_t host = 0; host < super->host_count; host++) {
		const struct tier_portal_slot *slot = &super->hosts[host];
		uint64_t area, first;

		check_text(slot->name, sizeof(slot->name));
		HOLDS(tier_super_host(super, slot->name) == host);
		HOLDS(tier_super_extent_home(super, slot->first_extent) == host);
		HOLDS(tier_super_extent_home(super, slot->first_extent + slot->extent_count - 1) ==
		      host);
		/* In order, apart from each other, inside the control area. */
		first = tier_record_offset(super, TIER_RECORD_HOST, host, 0, 0);
		HOLDS(first >= TIER_SUPER_COPY_OFFSET + TIER_SUPER_BYTES && first >= next);
		area = tier_blob_area(super, host, &bytes);
		HOLDS(tier_record_offset(super, TIER_RECORD_EXTENT, host,
					 slot->first_extent + slot->extent_count - 1, 1) +
			      tier_record_bytes(TIER_RECORD_EXTENT) <=
		      area);
		HOLDS(tier_record_offset(super, TIER_RECORD_ANSWER, host, TIER_PORTAL_FLIGHTS - 1,
					 1) +
			      tier_record_bytes(TIER_RECORD_ANSWER) <=
		      area);
		next = area + bytes;
		HOLDS(bytes > 0 && next > area && next <= super->control_bytes);
	}
	HOLDS(tier_super_extent_home(super, super->extent_count) == TIER_PORTAL_NO_HOST);
}

static void check_stamp(const struct tier_stamp *stamp)
{
	HOLDS(stamp->incarnation != 0 && stamp->sequence != 0);
}

static void check_blob(const struct tier_super *super, uint32_t host, const struct tier_blob *blob)
{
	uint64_t bytes, area = tier_blob_area(super, host, &bytes);

	if (blob->bytes == 0)
		return;
	HOLDS(blob->offset >= area && blob->bytes <= bytes);
	HOLDS(blob->offset + blob->bytes <= area + bytes);
}

static void check_offer(const struct tier_super *super, const struct tier_offer *offer)
{
	static uint8_t used[TIER_PORTAL_MAX_EXTENTS];

	check_stamp(&offer->stamp);
	HOLDS(offer->state <= TIER_FLIGHT_CLOSED);
	HOLDS(offer->range_count <= TIER_PORTAL_FLIGHT_RANGES);
	memset(used, 0, sizeof(used));
	for (uint32_t i = 0; i < offer->range_count; i++)
		for (uint32_t j = 0; j < offer->ranges[i].count; j++) {
			HOLDS(offer->ranges[i].first + j < super->extent_count);
			HOLDS(!used[offer->ranges[i].first + j]++);
		}
	check_blob(super, offer->source, &offer->manifest);
	check_blob(super, offer->source, &offer->state_blob);
	check_text(offer->vm, sizeof(offer->vm));
	check_text(offer->machine_type, sizeof(offer->machine_type));
	check_text(offer->qemu_version, sizeof(offer->qemu_version));
	check_text(offer->reason, sizeof(offer->reason));
	if (offer->state == TIER_FLIGHT_NONE)
		return;
	HOLDS(offer->destination < super->host_count && offer->destination != offer->source);
	HOLDS(offer->vm[0] && offer->machine_type[0] && !strpbrk(offer->vm, "/, ") &&
	      !strpbrk(offer->machine_type, "/, "));
	HOLDS(offer->page_bytes && offer->ram_bytes % offer->page_bytes == 0);
	if (offer->state == TIER_FLIGHT_PUBLISHED || offer->state == TIER_FLIGHT_COMMITTED)
		HOLDS(offer->manifest.bytes && offer->state_blob.bytes &&
		      offer->destination_incarnation);
}

static void try_record(const struct tier_super *super, unsigned kind, uint32_t host, uint32_t index,
		       const uint8_t *bytes)
{
	struct tier_host_record host_record;
	struct tier_extent_record extent;
	struct tier_offer offer;
	struct tier_answer answer;
	uint8_t again[1024];

	switch (kind) {
	case FUZZ_HOST:
		if (tier_host_decode(super, host, bytes, &host_record) != 0)
			return;
		check_stamp(&host_record.stamp);
		HOLDS(strcmp(host_record.name, super->hosts[host].name) == 0);
		tier_host_encode(super, host, &host_record, again);
		HOLDS(memcmp(bytes, again, 256) == 0);
		return;
	case FUZZ_EXTENT:
		if (tier_extent_decode(super, index, bytes, &extent) != 0)
			return;
		check_stamp(&extent.stamp);
		HOLDS(extent.extent == index && extent.state <= TIER_EXTENT_RETIRED);
		return;
	case FUZZ_OFFER:
		if (tier_offer_decode(super, host, index, bytes, &offer) != 0)
			return;
		HOLDS(offer.source == host);
		check_offer(super, &offer);
		return;
	case FUZZ_ANSWER:
		if (tier_answer_decode(super, host, index, bytes, &answer) != 0)
			return;
		check_stamp(&answer.stamp);
		check_text(answer.reason, sizeof(answer.reason));
		check_text(answer.qemu_version, sizeof(answer.qemu_version));
		if (answer.state != TIER_FLIGHT_NONE)
			HOLDS(answer.source < super->host_count && answer.source != host &&
			      answer.source_slot < TIER_PORTAL_FLIGHTS &&
			      answer.state >= TIER_FLIGHT_READY);
		return;
	}
}

static size_t kind_bytes(unsigned kind)
{
	static const size_t bytes[] = {
		[FUZZ_HOST] = 256, [FUZZ_EXTENT] = 128, [FUZZ_OFFER] = 1024, [FUZZ_ANSWER] = 1024};

	return bytes[kind];
}

/* A record in a place that the fixture's portal has; the seeds are from there. */
static void fuzz_record(const struct tier_super *super, unsigned kind, bool reseal,
			const uint8_t *data, size_t size)
{
	static const uint32_t hosts[] = {[FUZZ_HOST] = 0, 0, 0, 1},
			      indices[] = {[FUZZ_HOST] = 0, 5, 3, 6};
	uint8_t bytes[1024] = {};

	memcpy(bytes, data, size < kind_bytes(kind) ? size : kind_bytes(kind));
	if (reseal)
		fixture_reseal(bytes, kind_bytes(kind));
	try_record(super, kind, hosts[kind], indices[kind], bytes);
}

static void fuzz_super(bool reseal, const uint8_t *data, size_t size)
{
	uint8_t bytes[TIER_SUPER_BYTES] = {}, again[TIER_SUPER_BYTES];
	struct tier_problem problem = {};
	struct tier_super super;
	size_t used = size < sizeof(bytes) ? size : sizeof(bytes);
	int r;

	memcpy(bytes, data, used);
	if (reseal)
		fixture_reseal(bytes, sizeof(bytes));
	r = tier_super_decode(bytes, UINT64_C(1) << 40, &super, &problem);
	if (r != 0) {
		HOLDS(problem.text[0]);
		HOLDS(r == TIER_E_NOT_PORTAL || r == TIER_E_INCOMPATIBLE || r == TIER_E_DAMAGED ||
		      r == TIER_E_TRUNCATED);
		return;
	}
	HOLDS(super.total_bytes <= UINT64_C(1) << 40);
	check_super(&super);
	tier_super_encode(&super, again);
	HOLDS(memcmp(bytes, again, sizeof(bytes)) == 0);
	/* What follows is an offer in the last host's last slot. */
	data += used;
	size -= used;
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, data, size < 1024 ? size : 1024);
	if (reseal)
		fixture_reseal(bytes, 1024);
	try_record(&super, FUZZ_OFFER, super.host_count - 1, TIER_PORTAL_FLIGHTS - 1, bytes);
}

/* Is the byte in an extent of the flight? */
static bool byte_inside(const struct tier_super *super, const struct tier_offer *offer,
			uint64_t portal_offset)
{
	uint64_t extent = (portal_offset - super->control_bytes) / super->extent_bytes;

	for (uint32_t i = 0; i < offer->range_count; i++)
		if (extent >= offer->ranges[i].first &&
		    extent - offer->ranges[i].first < offer->ranges[i].count)
			return true;
	return false;
}

static void check_manifest(const struct tier_super *super, const struct tier_offer *offer,
			   const struct tier_manifest *manifest)
{
	uint64_t end = 0;

	for (size_t i = 0; i < manifest->run_count; i++) {
		const struct tier_manifest_run *run = &manifest->runs[i];
		uint64_t bytes = (uint64_t)run->pages * manifest->page_bytes;

		HOLDS(run->pages >= 1 && run->pages <= TIER_MANIFEST_RUN_PAGES);
		HOLDS(run->ram_offset >= end);
		end = run->ram_offset + bytes;
		HOLDS(end <= offer->ram_bytes);
		HOLDS(run->portal_offset >= super->control_bytes);
		HOLDS(run->portal_offset + bytes <=
		      super->control_bytes + super->extent_count * super->extent_bytes);
		HOLDS(byte_inside(super, offer, run->portal_offset));
		HOLDS(byte_inside(super, offer, run->portal_offset + bytes - 1));
		for (size_t j = 0; j < i && manifest->run_count < 64; j++) {
			const struct tier_manifest_run *other = &manifest->runs[j];

			HOLDS(run->portal_offset >=
				      other->portal_offset +
					      (uint64_t)other->pages * manifest->page_bytes ||
			      other->portal_offset >= run->portal_offset + bytes);
		}
	}
}

static void fuzz_manifest(const struct tier_super *super, bool reseal, const uint8_t *data,
			  size_t size)
{
	uint8_t bytes[1024] = {}, *text;
	size_t used = size < sizeof(bytes) ? size : sizeof(bytes);
	struct tier_manifest *manifest = NULL;
	struct tier_problem problem = {};
	struct tier_offer offer;
	uint32_t crc;
	int r;

	memcpy(bytes, data, used);
	if (reseal)
		fixture_reseal(bytes, sizeof(bytes));
	if (tier_offer_decode(super, 0, 3, bytes, &offer) != 0)
		return;
	data += used;
	size -= used;
	text = malloc(size ? size : 1);
	HOLDS(text);
	memcpy(text, data, size);
	if (reseal && size >= 4) {
		crc = tier_crc32c(0, super->uuid.bytes, sizeof(super->uuid.bytes));
		crc = htole32(tier_crc32c(crc, text, size - 4));
		memcpy(text + size - 4, &crc, 4);
	}
	r = tier_manifest_decode(super, &offer, text, size, &manifest, &problem);
	HOLDS(r == 0 || (r == TIER_E_DAMAGED && problem.text[0]));
	if (r == 0) {
		uint8_t *again = malloc(size);

		HOLDS(again && tier_manifest_bytes(manifest->run_count) == size);
		check_manifest(super, &offer, manifest);
		tier_manifest_encode(super, manifest, again);
		HOLDS(memcmp(text, again, size) == 0);
		free(again);
	}
	tier_manifest_free(manifest);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tier_super super = fixture_super();
	unsigned kind;
	bool reseal;

	if (size == 0)
		return 0;
	kind = (data[0] & 0x7f) % FUZZ_KINDS;
	reseal = (data[0] & FUZZ_RESEAL) != 0;
	data++;
	size--;
	if (kind == FUZZ_SUPER)
		fuzz_super(reseal, data, size);
	else if (kind == FUZZ_MANIFEST)
		fuzz_manifest(&super, reseal, data, size);
	else
		fuzz_record(&super, kind, reseal, data, size);
	return 0;
}

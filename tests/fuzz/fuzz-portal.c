/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every decoder of a portal's bytes. The first byte says which, and how what follows is meant: as
 * the record's bytes, or as a tape from which a record is made and then broken. Whatever is accepted
 * has to be exactly what the encoder writes, of this key, inside its bounds. make-portal-corpus.c
 * writes the seeds.
 */
#include "checks.h"
#include "fuzz.h"
#include "records.h"

enum {
	FUZZ_SUPER, /* and an offer of the portal that it describes */
	FUZZ_HOST,
	FUZZ_EXTENT,
	FUZZ_OFFER,
	FUZZ_ANSWER,
	FUZZ_MANIFEST, /* an offer, then the manifest */
	FUZZ_FENCE,
	FUZZ_KINDS,
	FUZZ_KIND_MASK = 0x0f,
	FUZZ_TAPE = 0x20,
	FUZZ_KEYED = 0x40,
	FUZZ_RESEAL = 0x80, /* by somebody who has the key */
};

static const enum tier_record_kind record_kinds[FUZZ_KINDS] = {
	[FUZZ_HOST] = TIER_RECORD_HOST,	  [FUZZ_EXTENT] = TIER_RECORD_EXTENT,
	[FUZZ_OFFER] = TIER_RECORD_OFFER, [FUZZ_ANSWER] = TIER_RECORD_ANSWER,
	[FUZZ_FENCE] = TIER_RECORD_FENCE,
};

/* Decodes, checks and encodes again; whether it was accepted. */
static bool accept(const struct tier_super *super, unsigned kind, uint32_t host, uint32_t index,
		   const uint8_t *bytes, uint8_t again[static TIER_RECORD_MAX_BYTES])
{
	struct tier_host_record host_record;
	struct tier_extent_record extent;
	struct tier_fence_record fence;
	struct tier_offer offer;
	struct tier_answer answer;
	int r = TIER_E_DAMAGED;

	switch (kind) {
	case FUZZ_HOST:
		r = tier_host_decode(super, host, bytes, &host_record);
		if (r == 0) {
			check_host(super, host, &host_record);
			tier_host_encode(super, host, &host_record, again);
		}
		break;
	case FUZZ_EXTENT:
		r = tier_extent_decode(super, index, bytes, &extent);
		if (r == 0) {
			check_extent(super, index, &extent);
			tier_extent_encode(super, &extent, again);
		}
		break;
	case FUZZ_OFFER:
		r = tier_offer_decode(super, host, index, bytes, &offer);
		if (r == 0) {
			HOLDS(offer.source == host);
			check_offer(super, &offer);
			tier_offer_encode(super, index, &offer, again);
		}
		break;
	case FUZZ_ANSWER:
		r = tier_answer_decode(super, host, index, bytes, &answer);
		if (r == 0) {
			check_answer(super, host, &answer);
			tier_answer_encode(super, host, index, &answer, again);
		}
		break;
	case FUZZ_FENCE:
		r = tier_fence_decode(super, host, index, bytes, &fence);
		if (r == 0) {
			HOLDS(fence.host == host && fence.target == index);
			check_fence(super, &fence);
			tier_fence_encode(super, &fence, again);
		}
		break;
	}
	HOLDS(r == 0 || r == TIER_E_DAMAGED || r == TIER_E_NOT_FOUND);
	return r == 0;
}

static void try_record(const struct tier_super *super, unsigned kind, uint32_t host, uint32_t index,
		       const uint8_t *bytes)
{
	size_t size = tier_record_bytes(record_kinds[kind]);
	uint8_t again[TIER_RECORD_MAX_BYTES], ignored[TIER_RECORD_MAX_BYTES];
	struct tier_super other = *super;

	if (!accept(super, kind, host, index, bytes, again))
		return;
	HOLDS(memcmp(bytes, again, size) == 0);
	/* Nowhere else, of no other portal, and by no other key. */
	other.uuid.bytes[15] ^= 1;
	HOLDS(!accept(&other, kind, host, index, bytes, ignored));
	other = *super;
	other.key[31] ^= 1;
	if (super->incompat & TIER_PORTAL_INCOMPAT_KEYED)
		HOLDS(!accept(&other, kind, host, index, bytes, ignored));
	if (kind == FUZZ_OFFER || kind == FUZZ_ANSWER)
		HOLDS(!accept(super, kind, host, index ^ 1, bytes, ignored));
	for (uint32_t i = 0; i < super->host_count; i++)
		if (i != host && i != index && kind != FUZZ_EXTENT)
			HOLDS(!accept(super, kind, i, index, bytes, ignored));
	if (kind == FUZZ_EXTENT && super->extent_count > 1)
		HOLDS(!accept(super, kind, host, index ? index - 1 : 1, bytes, ignored));
}

static void encode_from_tape(const struct tier_super *super, unsigned kind, uint32_t host,
			     uint32_t index, struct tape *tape, uint8_t *bytes)
{
	/* The writer may lie about its place as well. */
	uint32_t as_host = (uint32_t)tape_or(tape, host);
	uint32_t as_index = (uint32_t)tape_or(tape, index);

	switch (kind) {
	case FUZZ_HOST: {
		struct tier_host_record record = make_host(tape, super, host);
		return tier_host_encode(super, as_host, &record, bytes);
	}
	case FUZZ_EXTENT: {
		struct tier_extent_record record = make_extent(tape, as_index);
		return tier_extent_encode(super, &record, bytes);
	}
	case FUZZ_OFFER: {
		struct tier_offer record = make_offer(tape, super, host);
		record.source = as_host;
		return tier_offer_encode(super, as_index, &record, bytes);
	}
	case FUZZ_ANSWER: {
		struct tier_answer record = make_answer(tape, 0, 3);
		return tier_answer_encode(super, as_host, as_index, &record, bytes);
	}
	case FUZZ_FENCE: {
		struct tier_fence_record record = make_fence(tape, as_host, as_index);
		return tier_fence_encode(super, &record, bytes);
	}
	}
}

/* In one place of the portal. */
static void fuzz_record(const struct tier_super *super, unsigned kind, unsigned how,
			struct tape *tape)
{
	static const uint32_t
		hosts[FUZZ_KINDS] = {[FUZZ_HOST] = 0,
				     [FUZZ_EXTENT] = 1,
				     [FUZZ_OFFER] = 0,
				     [FUZZ_ANSWER] = 1,
				     [FUZZ_FENCE] = 2},
		indices[FUZZ_KINDS] = {
			[FUZZ_EXTENT] = 5, [FUZZ_OFFER] = 3, [FUZZ_ANSWER] = 6, [FUZZ_FENCE] = 1};
	size_t size = tier_record_bytes(record_kinds[kind]);
	uint8_t bytes[TIER_RECORD_MAX_BYTES] = {};

	if (how & FUZZ_TAPE) {
		encode_from_tape(super, kind, hosts[kind], indices[kind], tape, bytes);
		break_bytes(tape, bytes, size);
	} else {
		memcpy(bytes, tape->data, MIN(tape->size, size));
	}
	if (how & FUZZ_RESEAL)
		reseal(super, bytes, size);
	try_record(super, kind, hosts[kind], indices[kind], bytes);
}

static void super_from_tape(struct tape *tape, uint8_t *bytes)
{
	struct tier_super super = fuzz_super(false);

	super.minor = (uint16_t)tape_or(tape, super.minor);
	super.incompat = tape_or(tape, tape_byte(tape) & 1);
	super.compat = tape_or(tape, 0);
	super.total_bytes = tape_or(tape, super.total_bytes);
	super.control_bytes = tape_or(tape, super.control_bytes);
	super.extent_bytes = tape_or(tape, super.extent_bytes);
	super.extent_count = (uint32_t)tape_or(tape, super.extent_count);
	super.host_count = (uint32_t)tape_or(tape, super.host_count);
	super.host_area_offset = tape_or(tape, super.host_area_offset);
	super.host_area_bytes = tape_or(tape, super.host_area_bytes);
	tape_text(tape, super.name, sizeof(super.name), "portal0");
	for (unsigned i = 0; i < 6; i++) {
		struct tier_portal_slot *slot = &super.hosts[i];

		tape_text(tape, slot->name, sizeof(slot->name), i < FUZZ_HOSTS ? slot->name : "");
		slot->first_extent = (uint32_t)tape_or(tape, slot->first_extent);
		slot->extent_count = (uint32_t)tape_or(tape, slot->extent_count);
	}
	tier_super_encode(&super, bytes);
}

static void fuzz_superblock(unsigned how, struct tape *tape)
{
	uint8_t bytes[TIER_SUPER_BYTES] = {}, again[TIER_SUPER_BYTES];
	struct tier_problem problem = {};
	struct tier_super super;
	uint32_t crc;
	int r;

	if (how & FUZZ_TAPE) {
		super_from_tape(tape, bytes);
		break_bytes(tape, bytes, sizeof(bytes));
	} else {
		size_t used = MIN(tape->size, sizeof(bytes));

		memcpy(bytes, tape->data, used);
		*tape = (struct tape){tape->data + used, tape->size - used};
	}
	if (how & FUZZ_RESEAL) {
		crc = htole32(tier_crc32c(0, bytes, sizeof(bytes) - 4));
		memcpy(bytes + sizeof(bytes) - 4, &crc, sizeof(crc));
	}
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
	memset(bytes, 0, sizeof(bytes));
	if (how & FUZZ_TAPE)
		encode_from_tape(&super, FUZZ_OFFER, super.host_count - 1, TIER_PORTAL_FLIGHTS - 1,
				 tape, bytes);
	else
		memcpy(bytes, tape->data, MIN(tape->size, (size_t)FLIGHT_RECORD_BYTES));
	if (how & FUZZ_RESEAL)
		reseal(&super, bytes, FLIGHT_RECORD_BYTES);
	try_record(&super, FUZZ_OFFER, super.host_count - 1, TIER_PORTAL_FLIGHTS - 1, bytes);
}

static void fuzz_manifest(const struct tier_super *super, unsigned how, struct tape *tape)
{
	uint8_t bytes[FLIGHT_RECORD_BYTES] = {}, *text;
	struct tier_offer offer;
	size_t size;

	if (how & FUZZ_TAPE) {
		offer = make_offer(tape, super, 0);
		tier_offer_encode(super, 3, &offer, bytes);
	} else {
		size = MIN(tape->size, sizeof(bytes));
		memcpy(bytes, tape->data, size);
		*tape = (struct tape){tape->data + size, tape->size - size};
	}
	if (how & FUZZ_RESEAL)
		reseal(super, bytes, sizeof(bytes));
	if (tier_offer_decode(super, 0, 3, bytes, &offer) != 0)
		return;
	if (how & FUZZ_TAPE) {
		text = make_manifest(tape, super, &offer, &size);
		break_bytes(tape, text, size);
	} else {
		size = tape->size;
		text = malloc(size ?: 1);
		HOLDS(text);
		memcpy(text, tape->data, size);
	}
	if (how & FUZZ_RESEAL)
		reseal_manifest(super, text, size);
	check_manifest_bytes(super, &offer, text, size);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = {data, size};
	unsigned how = tape_byte(&tape), kind = (how & FUZZ_KIND_MASK) % FUZZ_KINDS;
	struct tier_super super = fuzz_super((how & FUZZ_KEYED) != 0);

	if (kind == FUZZ_SUPER)
		fuzz_superblock(how, &tape);
	else if (kind == FUZZ_MANIFEST)
		fuzz_manifest(&super, how, &tape);
	else
		fuzz_record(&super, kind, how, &tape);
	return 0;
}

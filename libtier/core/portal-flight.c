/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier-portal.h"
#include "util.h"
#include "record.h"

/* The two halves of a flight on the medium; docs/portal-format.md is the same in words. */

struct wire_range {
	le32 first, count;
};

struct wire_offer {
	struct wire_head head;
	uint8_t flight[16];
	le32 destination;
	le32 state;
	le32 page_bytes;
	le32 range_count;
	le64 ram_bytes;
	le64 destination_incarnation;
	le64 offered_usec;
	le64 manifest_offset, manifest_bytes;
	le64 state_offset, state_bytes;
	le32 manifest_crc, state_crc;
	le64 source_incarnation;
	le32 wanted_extents;
	uint8_t reserved_0[4];
	char qemu_version[32];
	char vm[64];
	char machine_type[64];
	char reason[160];
	uint8_t manifest_mac[16];
	uint8_t state_mac[16];
	struct wire_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	uint8_t reserved_1[224];
	struct wire_tail tail;
};
static_assert(sizeof(struct wire_offer) == FLIGHT_RECORD_BYTES);
static_assert(offsetof(struct wire_offer, flight) == 48);
static_assert(offsetof(struct wire_offer, destination) == 64);
static_assert(offsetof(struct wire_offer, ram_bytes) == 80);
static_assert(offsetof(struct wire_offer, manifest_offset) == 104);
static_assert(offsetof(struct wire_offer, manifest_crc) == 136);
static_assert(offsetof(struct wire_offer, source_incarnation) == 144);
static_assert(offsetof(struct wire_offer, wanted_extents) == 152);
static_assert(offsetof(struct wire_offer, qemu_version) == 160);
static_assert(offsetof(struct wire_offer, vm) == 192);
static_assert(offsetof(struct wire_offer, machine_type) == 256);
static_assert(offsetof(struct wire_offer, reason) == 320);
static_assert(offsetof(struct wire_offer, manifest_mac) == 480);
static_assert(offsetof(struct wire_offer, state_mac) == 496);
static_assert(offsetof(struct wire_offer, ranges) == 512);
static_assert(offsetof(struct wire_offer, tail) == 992);

struct wire_answer {
	struct wire_head head;
	uint8_t flight[16];
	le32 source;
	le32 source_slot;
	le32 state;
	uint8_t reserved_0[4];
	char qemu_version[32];
	char reason[160];
	uint8_t reserved_1[720];
	struct wire_tail tail;
};
static_assert(sizeof(struct wire_answer) == FLIGHT_RECORD_BYTES);
static_assert(offsetof(struct wire_answer, source) == 64);
static_assert(offsetof(struct wire_answer, qemu_version) == 80);
static_assert(offsetof(struct wire_answer, reason) == 112);
static_assert(offsetof(struct wire_answer, tail) == 992);

void tier_offer_encode(const struct tier_super *super, uint32_t slot,
		       const struct tier_offer *offer, void *buffer)
{
	struct wire_offer wire = {
		.destination = put_le32(offer->destination),
		.state = put_le32(offer->state),
		.page_bytes = put_le32(offer->page_bytes),
		.range_count = put_le32(offer->range_count),
		.ram_bytes = put_le64(offer->ram_bytes),
		.destination_incarnation = put_le64(offer->destination_incarnation),
		.offered_usec = put_le64(offer->offered_usec),
		.source_incarnation = put_le64(offer->source_incarnation),
		.wanted_extents = put_le32(offer->wanted_extents),
		.manifest_offset = put_le64(offer->manifest.offset),
		.manifest_bytes = put_le64(offer->manifest.bytes),
		.manifest_crc = put_le32(offer->manifest.crc32c),
		.state_offset = put_le64(offer->state_blob.offset),
		.state_bytes = put_le64(offer->state_blob.bytes),
		.state_crc = put_le32(offer->state_blob.crc32c),
	};

	record_put_head(&wire.head, super, TIER_RECORD_OFFER, offer->source, slot, &offer->stamp);
	memcpy(wire.flight, offer->flight.bytes, sizeof(wire.flight));
	wire_put_text(wire.qemu_version, sizeof(wire.qemu_version), offer->qemu_version);
	wire_put_text(wire.vm, sizeof(wire.vm), offer->vm);
	wire_put_text(wire.machine_type, sizeof(wire.machine_type), offer->machine_type);
	wire_put_text(wire.reason, sizeof(wire.reason), offer->reason);
	for (size_t i = 0; i < MIN(offer->range_count, TIER_PORTAL_FLIGHT_RANGES); i++)
		wire.ranges[i] = (struct wire_range){put_le32(offer->ranges[i].first),
						     put_le32(offer->ranges[i].count)};
	memcpy(wire.manifest_mac, offer->manifest.mac, sizeof(wire.manifest_mac));
	memcpy(wire.state_mac, offer->state_blob.mac, sizeof(wire.state_mac));
	record_seal(super, buffer, &wire, sizeof(wire), &offer->stamp);
}

static bool ranges_valid(const struct tier_super *super, const struct tier_offer *offer)
{
	if (offer->range_count > TIER_PORTAL_FLIGHT_RANGES)
		return false;
	for (uint32_t i = 0; i < offer->range_count; i++) {
		const struct tier_extent_range *range = &offer->ranges[i];

		if (range->count == 0 || range->first >= super->extent_count ||
		    range->count > super->extent_count - range->first)
			return false;
		for (uint32_t j = 0; j < i; j++)
			if (range->first < offer->ranges[j].first + offer->ranges[j].count &&
			    offer->ranges[j].first < range->first + range->count)
				return false;
	}
	return true;
}

/* Absent altogether, or inside the source's blob area. */
static bool blob_valid(const struct tier_super *super, uint32_t host, const struct tier_blob *blob,
		       bool required)
{
	uint64_t area_bytes, area = tier_blob_area(super, host, &area_bytes);

	if (!(super->incompat & TIER_PORTAL_INCOMPAT_KEYED) &&
	    !wire_all_zero(blob->mac, sizeof(blob->mac)))
		return false;
	if (blob->offset == 0 && blob->bytes == 0 && blob->crc32c == 0)
		return !required && wire_all_zero(blob->mac, sizeof(blob->mac));
	return blob->bytes > 0 && blob->bytes <= area_bytes && blob->offset >= area &&
	       blob->offset - area <= area_bytes - blob->bytes;
}

static bool offer_valid(const struct tier_super *super, const struct tier_offer *offer)
{
	bool published =
		offer->state == TIER_FLIGHT_PUBLISHED || offer->state == TIER_FLIGHT_COMMITTED;

	if (!ranges_valid(super, offer) ||
	    !blob_valid(super, offer->source, &offer->manifest, published) ||
	    !blob_valid(super, offer->source, &offer->state_blob, published))
		return false;
	/* In any state: it is an index into what is known of the hosts. */
	if (offer->destination >= super->host_count)
		return false;
	if (offer->state == TIER_FLIGHT_NONE)
		return true;
	if (offer->state > TIER_FLIGHT_CLOSED || offer->destination == offer->source)
		return false;
	if (wire_uuid_null(&offer->flight) || (published && offer->destination_incarnation == 0))
		return false;
	/* A later boot may write the record of a flight, an earlier one cannot. */
	if (offer->source_incarnation == 0 || offer->source_incarnation > offer->stamp.incarnation)
		return false;
	if (offer->wanted_extents == 0 || offer->wanted_extents > super->extent_count)
		return false;
	if (offer->range_count == 0 && (published || offer->state == TIER_FLIGHT_OFFERED))
		return false;
	if (offer->page_bytes < 4096 || offer->page_bytes > 65536 ||
	    (offer->page_bytes & (offer->page_bytes - 1)) != 0 || offer->ram_bytes == 0 ||
	    offer->ram_bytes % offer->page_bytes != 0)
		return false;
	if (!wire_name_valid(offer->vm, sizeof(offer->vm)))
		return false;
	/* The machine has not been looked at yet. */
	if (offer->machine_type[0] == '\0' && !published && offer->state != TIER_FLIGHT_OFFERED)
		return wire_all_zero(offer->machine_type, sizeof(offer->machine_type));
	return wire_name_valid(offer->machine_type, sizeof(offer->machine_type));
}

int tier_offer_decode(const struct tier_super *super, uint32_t host, uint32_t slot,
		      const void *buffer, struct tier_offer *ret)
{
	struct tier_offer offer = {};
	struct wire_offer wire, canonical;
	int r;

	memcpy(&wire, buffer, sizeof(wire));
	r = record_open(super, &wire, sizeof(wire), &offer.stamp);
	if (r != 0)
		return r;
	memcpy(offer.flight.bytes, wire.flight, sizeof(wire.flight));
	offer.source = host;
	offer.destination = get_le32(wire.destination);
	offer.state = get_le32(wire.state);
	memcpy(offer.vm, wire.vm, sizeof(offer.vm));
	memcpy(offer.machine_type, wire.machine_type, sizeof(offer.machine_type));
	memcpy(offer.qemu_version, wire.qemu_version, sizeof(offer.qemu_version));
	memcpy(offer.reason, wire.reason, sizeof(offer.reason));
	offer.ram_bytes = get_le64(wire.ram_bytes);
	offer.page_bytes = get_le32(wire.page_bytes);
	offer.destination_incarnation = get_le64(wire.destination_incarnation);
	offer.range_count = get_le32(wire.range_count);
	for (size_t i = 0; i < MIN(offer.range_count, TIER_PORTAL_FLIGHT_RANGES); i++)
		offer.ranges[i] = (struct tier_extent_range){get_le32(wire.ranges[i].first),
							     get_le32(wire.ranges[i].count)};
	offer.manifest = (struct tier_blob){get_le64(wire.manifest_offset),
					    get_le64(wire.manifest_bytes),
					    get_le32(wire.manifest_crc),
					    {}};
	offer.state_blob = (struct tier_blob){get_le64(wire.state_offset),
					      get_le64(wire.state_bytes),
					      get_le32(wire.state_crc),
					      {}};
	memcpy(offer.manifest.mac, wire.manifest_mac, sizeof(offer.manifest.mac));
	memcpy(offer.state_blob.mac, wire.state_mac, sizeof(offer.state_blob.mac));
	offer.offered_usec = get_le64(wire.offered_usec);
	offer.source_incarnation = get_le64(wire.source_incarnation);
	offer.wanted_extents = get_le32(wire.wanted_extents);
	if (!offer_valid(super, &offer))
		return TIER_E_DAMAGED;
	tier_offer_encode(super, slot, &offer, &canonical);
	if (memcmp(&wire, &canonical, sizeof(wire)) != 0)
		return TIER_E_DAMAGED;
	*ret = offer;
	return 0;
}

void tier_answer_encode(const struct tier_super *super, uint32_t host, uint32_t slot,
			const struct tier_answer *answer, void *buffer)
{
	struct wire_answer wire = {
		.source = put_le32(answer->source),
		.source_slot = put_le32(answer->source_slot),
		.state = put_le32(answer->state),
	};

	record_put_head(&wire.head, super, TIER_RECORD_ANSWER, host, slot, &answer->stamp);
	memcpy(wire.flight, answer->flight.bytes, sizeof(wire.flight));
	wire_put_text(wire.qemu_version, sizeof(wire.qemu_version), answer->qemu_version);
	wire_put_text(wire.reason, sizeof(wire.reason), answer->reason);
	record_seal(super, buffer, &wire, sizeof(wire), &answer->stamp);
}

static bool answer_valid(const struct tier_super *super, uint32_t host,
			 const struct tier_answer *answer)
{
	/* In any state: they are indices. */
	if (answer->source >= super->host_count || answer->source_slot >= TIER_PORTAL_FLIGHTS)
		return false;
	if (answer->state == TIER_FLIGHT_NONE)
		return true;
	return answer->state >= TIER_FLIGHT_READY && answer->state <= TIER_FLIGHT_REFUSED &&
	       answer->source != host && !wire_uuid_null(&answer->flight);
}

int tier_answer_decode(const struct tier_super *super, uint32_t host, uint32_t slot,
		       const void *buffer, struct tier_answer *ret)
{
	struct tier_answer answer = {};
	struct wire_answer wire, canonical;
	int r;

	memcpy(&wire, buffer, sizeof(wire));
	r = record_open(super, &wire, sizeof(wire), &answer.stamp);
	if (r != 0)
		return r;
	memcpy(answer.flight.bytes, wire.flight, sizeof(wire.flight));
	answer.source = get_le32(wire.source);
	answer.source_slot = get_le32(wire.source_slot);
	answer.state = get_le32(wire.state);
	memcpy(answer.qemu_version, wire.qemu_version, sizeof(answer.qemu_version));
	memcpy(answer.reason, wire.reason, sizeof(answer.reason));
	if (!answer_valid(super, host, &answer))
		return TIER_E_DAMAGED;
	tier_answer_encode(super, host, slot, &answer, &canonical);
	if (memcmp(&wire, &canonical, sizeof(wire)) != 0)
		return TIER_E_DAMAGED;
	*ret = answer;
	return 0;
}

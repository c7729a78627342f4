/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier-portal.h"
#include "util.h"
#include "record.h"

/* The records of a host area on the medium; docs/portal-format.md is the same in words. */

#define RECORD_VERSION 1

/* Where things lie in a host area. */
#define OFFSET_HOST    UINT64_C(0)
#define OFFSET_OFFERS  UINT64_C(0x1000)
#define OFFSET_ANSWERS UINT64_C(0x9000)
#define OFFSET_FENCES  UINT64_C(0x11000)
#define OFFSET_EXTENTS UINT64_C(0x20000)
#define OFFSET_BLOBS   UINT64_C(0x100000)

struct wire_host {
	struct wire_head head;
	char name[TIER_PORTAL_NAME];
	le64 beat_usec;
	uint8_t boot[16];
	le64 interval_usec;
	le64 watchdog_usec;
	uint8_t reserved[104];
	struct wire_tail tail;
};
static_assert(sizeof(struct wire_host) == 256);
static_assert(offsetof(struct wire_host, name) == 48);
static_assert(offsetof(struct wire_host, beat_usec) == 80);
static_assert(offsetof(struct wire_host, boot) == 88);
static_assert(offsetof(struct wire_host, interval_usec) == 104);
static_assert(offsetof(struct wire_host, watchdog_usec) == 112);
static_assert(offsetof(struct wire_host, tail) == 224);

struct wire_fence {
	struct wire_head head;
	le64 upto;
	le32 state;
	le32 method;
	le32 heir;
	le32 fenced_heir;
	le64 when_usec;
	le64 fenced_upto;
	uint8_t reserved[8];
	struct wire_tail tail;
};
static_assert(sizeof(struct wire_fence) == 128);
static_assert(offsetof(struct wire_fence, upto) == 48);
static_assert(offsetof(struct wire_fence, state) == 56);
static_assert(offsetof(struct wire_fence, method) == 60);
static_assert(offsetof(struct wire_fence, heir) == 64);
static_assert(offsetof(struct wire_fence, fenced_heir) == 68);
static_assert(offsetof(struct wire_fence, when_usec) == 72);
static_assert(offsetof(struct wire_fence, fenced_upto) == 80);
static_assert(offsetof(struct wire_fence, tail) == 96);

struct wire_extent {
	struct wire_head head;
	le32 state;
	le32 owner;
	uint8_t reserved_0[8];
	uint8_t flight[16];
	le64 owner_incarnation;
	uint8_t reserved_1[8];
	struct wire_tail tail;
};
static_assert(sizeof(struct wire_extent) == 128);
static_assert(offsetof(struct wire_extent, state) == 48);
static_assert(offsetof(struct wire_extent, owner) == 52);
static_assert(offsetof(struct wire_extent, flight) == 64);
static_assert(offsetof(struct wire_extent, owner_incarnation) == 80);
static_assert(offsetof(struct wire_extent, tail) == 96);

/* Two copies of each, none of which shares a cache line with another. */
static_assert(OFFSET_HOST + 2 * sizeof(struct wire_host) <= OFFSET_OFFERS);
static_assert(OFFSET_OFFERS + TIER_PORTAL_FLIGHTS * 2 * FLIGHT_RECORD_BYTES == OFFSET_ANSWERS);
static_assert(OFFSET_ANSWERS + TIER_PORTAL_FLIGHTS * 2 * FLIGHT_RECORD_BYTES == OFFSET_FENCES);
static_assert(OFFSET_FENCES + TIER_PORTAL_MAX_HOSTS * 2 * sizeof(struct wire_fence) <=
	      OFFSET_EXTENTS);
static_assert(sizeof(struct wire_fence) % WIRE_LINE == 0);
static_assert(FLIGHT_RECORD_BYTES <= TIER_RECORD_MAX_BYTES);
static_assert(OFFSET_EXTENTS + TIER_PORTAL_HOST_EXTENTS * 2 * sizeof(struct wire_extent) ==
	      OFFSET_BLOBS);
static_assert(sizeof(struct wire_host) % WIRE_LINE == 0);
static_assert(sizeof(struct wire_extent) % WIRE_LINE == 0);
static_assert(FLIGHT_RECORD_BYTES % WIRE_LINE == 0);

static const char magics[][5] = {
	[TIER_RECORD_HOST] = "TPho",   [TIER_RECORD_EXTENT] = "TPex", [TIER_RECORD_OFFER] = "TPof",
	[TIER_RECORD_ANSWER] = "TPan", [TIER_RECORD_FENCE] = "TPfe",
};

size_t tier_record_bytes(enum tier_record_kind kind)
{
	switch (kind) {
	case TIER_RECORD_HOST:
		return sizeof(struct wire_host);
	case TIER_RECORD_EXTENT:
		return sizeof(struct wire_extent);
	case TIER_RECORD_FENCE:
		return sizeof(struct wire_fence);
	case TIER_RECORD_OFFER:
	case TIER_RECORD_ANSWER:
		return FLIGHT_RECORD_BYTES;
	}
	return 0;
}

uint64_t tier_record_offset(const struct tier_super *super, enum tier_record_kind kind,
			    uint32_t host, uint32_t index, unsigned copy)
{
	uint64_t offset = super->host_area_offset + host * super->host_area_bytes;

	switch (kind) {
	case TIER_RECORD_HOST:
		offset += OFFSET_HOST;
		break;
	case TIER_RECORD_EXTENT:
		offset += OFFSET_EXTENTS;
		index -= super->hosts[host].first_extent;
		break;
	case TIER_RECORD_OFFER:
		offset += OFFSET_OFFERS;
		break;
	case TIER_RECORD_ANSWER:
		offset += OFFSET_ANSWERS;
		break;
	case TIER_RECORD_FENCE:
		offset += OFFSET_FENCES;
		break;
	}
	return offset + (index * UINT64_C(2) + copy) * tier_record_bytes(kind);
}

uint64_t tier_blob_area(const struct tier_super *super, uint32_t host, uint64_t *ret_bytes)
{
	*ret_bytes = super->host_area_bytes - OFFSET_BLOBS;
	return super->host_area_offset + host * super->host_area_bytes + OFFSET_BLOBS;
}

void record_put_head(struct wire_head *head, const struct tier_super *super,
		     enum tier_record_kind kind, uint32_t host, uint32_t index,
		     const struct tier_stamp *stamp)
{
	memcpy(head->magic, magics[kind], sizeof(head->magic));
	head->version = put_le16(RECORD_VERSION);
	head->bytes = put_le16((uint16_t)tier_record_bytes(kind));
	memcpy(head->uuid, super->uuid.bytes, sizeof(head->uuid));
	head->incarnation = put_le64(stamp->incarnation);
	head->generation = put_le64(stamp->generation);
	head->host = put_le32(host);
	head->index = put_le32(index);
}

/* The last step of every encoder: @wire is complete but for its tail. */
void record_seal(const struct tier_super *super, void *buffer, void *wire, size_t bytes,
		 const struct tier_stamp *stamp)
{
	struct wire_tail *tail = (void *)((char *)wire + bytes - sizeof(*tail));

	tail->sequence = put_le64(stamp->sequence);
	portal_mac(super, wire, (size_t)((char *)tail->mac - (char *)wire), tail->mac);
	tail->crc = put_le32(tier_crc32c(0, wire, bytes - sizeof(tail->crc)));
	memcpy(buffer, wire, bytes);
}

/*
 * The first step of every decoder: @wire is a private copy. The head is checked against the place,
 * and the MAC with it, by the comparison that ends every decoder.
 */
int record_open(const struct tier_super *super, const void *wire, size_t bytes,
		struct tier_stamp *ret_stamp)
{
	const struct wire_head *head = wire;
	const struct wire_tail *tail =
		(const void *)((const char *)wire + bytes - sizeof(struct wire_tail));

	if (wire_all_zero(wire, bytes))
		return TIER_E_NOT_FOUND;
	/* Who cannot tell who wrote it takes nothing for good. */
	if (super->incompat & TIER_PORTAL_INCOMPAT_KEYED && !super->has_key)
		return TIER_E_DAMAGED;
	if (get_le32(tail->crc) != tier_crc32c(0, wire, bytes - sizeof(tail->crc)))
		return TIER_E_DAMAGED;
	*ret_stamp = (struct tier_stamp){
		.incarnation = get_le64(head->incarnation),
		.generation = get_le64(head->generation),
		.sequence = get_le64(tail->sequence),
	};
	return ret_stamp->incarnation == 0 || ret_stamp->sequence == 0 ? TIER_E_DAMAGED : 0;
}

void tier_host_encode(const struct tier_super *super, uint32_t host,
		      const struct tier_host_record *record, void *buffer)
{
	struct wire_host wire = {
		.beat_usec = put_le64(record->beat_usec),
		.interval_usec = put_le64(record->interval_usec),
		.watchdog_usec = put_le64(record->watchdog_usec),
	};

	record_put_head(&wire.head, super, TIER_RECORD_HOST, host, 0, &record->stamp);
	wire_put_text(wire.name, sizeof(wire.name), record->name);
	memcpy(wire.boot, record->boot.bytes, sizeof(wire.boot));
	record_seal(super, buffer, &wire, sizeof(wire), &record->stamp);
}

int tier_host_decode(const struct tier_super *super, uint32_t host, const void *buffer,
		     struct tier_host_record *ret)
{
	struct tier_host_record record = {};
	struct wire_host wire, canonical;
	int r;

	memcpy(&wire, buffer, sizeof(wire));
	r = record_open(super, &wire, sizeof(wire), &record.stamp);
	if (r != 0)
		return r;
	if (memcmp(wire.name, super->hosts[host].name, sizeof(wire.name)) != 0)
		return TIER_E_DAMAGED;
	memcpy(record.name, wire.name, sizeof(record.name));
	memcpy(record.boot.bytes, wire.boot, sizeof(wire.boot));
	record.beat_usec = get_le64(wire.beat_usec);
	record.interval_usec = get_le64(wire.interval_usec);
	record.watchdog_usec = get_le64(wire.watchdog_usec);
	if (wire_uuid_null(&record.boot))
		return TIER_E_DAMAGED;
	tier_host_encode(super, host, &record, &canonical);
	if (memcmp(&wire, &canonical, sizeof(wire)) != 0)
		return TIER_E_DAMAGED;
	*ret = record;
	return 0;
}

void tier_fence_encode(const struct tier_super *super, const struct tier_fence_record *record,
		       void *buffer)
{
	struct wire_fence wire = {
		.upto = put_le64(record->upto),
		.state = put_le32(record->state),
		.method = put_le32(record->method),
		.heir = put_le32(record->heir),
		.fenced_heir = put_le32(record->fenced_heir),
		.fenced_upto = put_le64(record->fenced_upto),
		.when_usec = put_le64(record->when_usec),
	};

	record_put_head(&wire.head, super, TIER_RECORD_FENCE, record->host, record->target,
			&record->stamp);
	record_seal(super, buffer, &wire, sizeof(wire), &record->stamp);
}

static bool fence_valid(const struct tier_super *super, const struct tier_fence_record *record)
{
	if (record->state > TIER_FENCE_RETRACTED || record->method > TIER_FENCE_METHOD_CONFIRMED)
		return false;
	/* In any state: it is an index. */
	if (record->host == record->target || record->heir >= super->host_count ||
	    record->fenced_heir >= super->host_count)
		return false;
	if (record->state == TIER_FENCE_NONE)
		return record->fenced_upto == 0 && record->fenced_heir == 0;
	if (record->fenced_upto > record->upto ||
	    (record->fenced_upto ? record->fenced_heir == record->target
				 : record->fenced_heir != 0))
		return false;
	if (record->state == TIER_FENCE_FENCED &&
	    (record->fenced_upto != record->upto || record->fenced_heir != record->heir))
		return false;
	return record->upto != 0 && record->heir != record->target &&
	       (record->state != TIER_FENCE_FENCED || record->method != TIER_FENCE_METHOD_NONE);
}

int tier_fence_decode(const struct tier_super *super, uint32_t host, uint32_t target,
		      const void *buffer, struct tier_fence_record *ret)
{
	struct tier_fence_record record = {.host = host, .target = target};
	struct wire_fence wire, canonical;
	int r;

	memcpy(&wire, buffer, sizeof(wire));
	r = record_open(super, &wire, sizeof(wire), &record.stamp);
	if (r != 0)
		return r;
	record.upto = get_le64(wire.upto);
	record.state = get_le32(wire.state);
	record.method = get_le32(wire.method);
	record.heir = get_le32(wire.heir);
	record.fenced_heir = get_le32(wire.fenced_heir);
	record.fenced_upto = get_le64(wire.fenced_upto);
	record.when_usec = get_le64(wire.when_usec);
	if (!fence_valid(super, &record))
		return TIER_E_DAMAGED;
	tier_fence_encode(super, &record, &canonical);
	if (memcmp(&wire, &canonical, sizeof(wire)) != 0)
		return TIER_E_DAMAGED;
	*ret = record;
	return 0;
}

void tier_extent_encode(const struct tier_super *super, const struct tier_extent_record *record,
			void *buffer)
{
	struct wire_extent wire = {
		.state = put_le32(record->state),
		.owner = put_le32(record->owner),
		.owner_incarnation = put_le64(record->owner_incarnation),
	};

	record_put_head(&wire.head, super, TIER_RECORD_EXTENT,
			tier_super_extent_home(super, record->extent), record->extent,
			&record->stamp);
	memcpy(wire.flight, record->flight.bytes, sizeof(wire.flight));
	record_seal(super, buffer, &wire, sizeof(wire), &record->stamp);
}

static bool extent_valid(const struct tier_super *super, const struct tier_extent_record *record)
{
	switch (record->state) {
	case TIER_EXTENT_FREE:
	case TIER_EXTENT_RETIRED:
		return record->owner == 0 && record->owner_incarnation == 0 &&
		       wire_uuid_null(&record->flight);
	case TIER_EXTENT_CLAIMED:
	case TIER_EXTENT_SCRUB:
		return record->owner < super->host_count && record->owner_incarnation != 0 &&
		       !wire_uuid_null(&record->flight);
	}
	return false;
}

int tier_extent_decode(const struct tier_super *super, uint32_t extent, const void *buffer,
		       struct tier_extent_record *ret)
{
	struct tier_extent_record record = {.extent = extent};
	struct wire_extent wire, canonical;
	int r;

	memcpy(&wire, buffer, sizeof(wire));
	r = record_open(super, &wire, sizeof(wire), &record.stamp);
	if (r != 0)
		return r;
	record.state = get_le32(wire.state);
	record.owner = get_le32(wire.owner);
	record.owner_incarnation = get_le64(wire.owner_incarnation);
	memcpy(record.flight.bytes, wire.flight, sizeof(wire.flight));
	if (!extent_valid(super, &record))
		return TIER_E_DAMAGED;
	tier_extent_encode(super, &record, &canonical);
	if (memcmp(&wire, &canonical, sizeof(wire)) != 0)
		return TIER_E_DAMAGED;
	*ret = record;
	return 0;
}

const char *tier_flight_state_name(enum tier_flight_state state)
{
	static const char *const names[] = {
		[TIER_FLIGHT_NONE] = "NONE",	       [TIER_FLIGHT_REQUESTED] = "REQUESTED",
		[TIER_FLIGHT_OFFERED] = "OFFERED",     [TIER_FLIGHT_PUBLISHED] = "PUBLISHED",
		[TIER_FLIGHT_COMMITTED] = "COMMITTED", [TIER_FLIGHT_WITHDRAWN] = "WITHDRAWN",
		[TIER_FLIGHT_ABORTED] = "ABORTED",     [TIER_FLIGHT_CLOSED] = "CLOSED",
		[TIER_FLIGHT_READY] = "READY",	       [TIER_FLIGHT_ACCEPTED] = "ACCEPTED",
		[TIER_FLIGHT_RUNNING] = "RUNNING",     [TIER_FLIGHT_DONE] = "DONE",
		[TIER_FLIGHT_REFUSED] = "REFUSED",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "?";
}

const char *tier_extent_state_name(enum tier_extent_state state)
{
	static const char *const names[] = {
		[TIER_EXTENT_FREE] = "free",
		[TIER_EXTENT_CLAIMED] = "claimed",
		[TIER_EXTENT_SCRUB] = "scrub",
		[TIER_EXTENT_RETIRED] = "retired",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "?";
}

const char *tier_fence_state_name(enum tier_fence_state state)
{
	static const char *const names[] = {
		[TIER_FENCE_NONE] = "NONE",
		[TIER_FENCE_INTENT] = "INTENT",
		[TIER_FENCE_FENCED] = "FENCED",
		[TIER_FENCE_RETRACTED] = "RETRACTED",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "?";
}

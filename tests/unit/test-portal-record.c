/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>

#include "portal-fixture.h"
#include "test.h"

#define LINE 64

static uint8_t buffer[1024];

/* The kinds behind one face, so that each test is one loop. */
struct kind {
	const char *name;
	enum tier_record_kind kind;
	size_t bytes;
	void (*encode)(const struct tier_super *super, uint64_t sequence, void *to);
	/* 0 and the sequence that was read. */
	int (*decode)(const struct tier_super *super, uint32_t host, uint32_t index,
		      const void *from, uint64_t *ret_sequence);
	uint32_t host, index;
};

static void encode_host(const struct tier_super *super, uint64_t sequence, void *to)
{
	struct tier_host_record record = fixture_host();

	record.stamp.sequence = sequence;
	record.beat_usec += sequence;
	tier_host_encode(super, 0, &record, to);
}

static int decode_host(const struct tier_super *super, uint32_t host, uint32_t index,
		       const void *from, uint64_t *ret_sequence)
{
	struct tier_host_record record;
	int r = tier_host_decode(super, host, from, &record);

	if (r == 0)
		*ret_sequence = record.stamp.sequence;
	return r;
}

static void encode_extent(const struct tier_super *super, uint64_t sequence, void *to)
{
	struct tier_extent_record record = fixture_extent();

	record.stamp.sequence = sequence;
	record.stamp.generation += sequence;
	tier_extent_encode(super, &record, to);
}

static int decode_extent(const struct tier_super *super, uint32_t host, uint32_t index,
			 const void *from, uint64_t *ret_sequence)
{
	struct tier_extent_record record;
	/* The other host: its first extent. */
	int r = tier_extent_decode(super, host == 0 ? index : super->hosts[host].first_extent, from,
				   &record);

	if (r == 0)
		*ret_sequence = record.stamp.sequence;
	return r;
}

static void encode_offer(const struct tier_super *super, uint64_t sequence, void *to)
{
	struct tier_offer offer = fixture_offer(super);

	offer.stamp.sequence = sequence;
	offer.state = sequence % 2 ? TIER_FLIGHT_PUBLISHED : TIER_FLIGHT_COMMITTED;
	tier_offer_encode(super, 3, &offer, to);
}

static int decode_offer(const struct tier_super *super, uint32_t host, uint32_t index,
			const void *from, uint64_t *ret_sequence)
{
	struct tier_offer offer;
	int r = tier_offer_decode(super, host, index, from, &offer);

	if (r == 0)
		*ret_sequence = offer.stamp.sequence;
	return r;
}

static void encode_answer(const struct tier_super *super, uint64_t sequence, void *to)
{
	struct tier_answer answer = fixture_answer();

	answer.stamp.sequence = sequence;
	answer.state = sequence % 2 ? TIER_FLIGHT_READY : TIER_FLIGHT_ACCEPTED;
	tier_answer_encode(super, 1, 6, &answer, to);
}

static int decode_answer(const struct tier_super *super, uint32_t host, uint32_t index,
			 const void *from, uint64_t *ret_sequence)
{
	struct tier_answer answer;
	int r = tier_answer_decode(super, host, index, from, &answer);

	if (r == 0)
		*ret_sequence = answer.stamp.sequence;
	return r;
}

static void encode_fence(const struct tier_super *super, uint64_t sequence, void *to)
{
	struct tier_fence_record record = fixture_fence();

	record.stamp.sequence = sequence;
	record.stamp.generation += sequence;
	record.state = sequence % 4 ? TIER_FENCE_INTENT : TIER_FENCE_FENCED;
	tier_fence_encode(super, &record, to);
}

static int decode_fence(const struct tier_super *super, uint32_t host, uint32_t index,
			const void *from, uint64_t *ret_sequence)
{
	struct tier_fence_record record;
	int r = tier_fence_decode(super, host, index, from, &record);

	if (r == 0)
		*ret_sequence = record.stamp.sequence;
	return r;
}

static const struct kind kinds[] = {
	{"host", TIER_RECORD_HOST, 256, encode_host, decode_host, 0, 0},
	{"extent", TIER_RECORD_EXTENT, 128, encode_extent, decode_extent, 0, 5},
	{"offer", TIER_RECORD_OFFER, 1024, encode_offer, decode_offer, 0, 3},
	{"answer", TIER_RECORD_ANSWER, 1024, encode_answer, decode_answer, 1, 6},
	{"fence", TIER_RECORD_FENCE, 128, encode_fence, decode_fence, 0, 1},
};
#define EACH_KIND(k) for (const struct kind *(k) = kinds; (k) < kinds + ARRAY_SIZE(kinds); (k)++)

static int decode(const struct kind *kind, const struct tier_super *super, const void *from)
{
	uint64_t sequence;

	return kind->decode(super, kind->host, kind->index, from, &sequence);
}

TEST(round_trip)
{
	struct tier_super super = fixture_super();
	struct tier_host_record host = fixture_host(), host_back;
	struct tier_extent_record extent = fixture_extent(), extent_back;
	struct tier_offer offer = fixture_offer(&super), offer_back;
	struct tier_answer answer = fixture_answer(), answer_back;
	struct tier_fence_record fence = fixture_fence(), fence_back;

	tier_host_encode(&super, 0, &host, buffer);
	CHECK_EQ(tier_host_decode(&super, 0, buffer, &host_back), 0);
	CHECK_EQ(host_back.stamp.incarnation, host.stamp.incarnation);
	CHECK_EQ(host_back.stamp.generation, host.stamp.generation);
	CHECK_EQ(host_back.stamp.sequence, host.stamp.sequence);
	CHECK_STR(host_back.name, "A");
	CHECK_EQ(host_back.beat_usec, host.beat_usec);
	CHECK(memcmp(&host.boot, &host_back.boot, sizeof(host.boot)) == 0);
	CHECK_EQ(host_back.interval_usec, host.interval_usec);
	CHECK_EQ(host_back.watchdog_usec, host.watchdog_usec);

	tier_extent_encode(&super, &extent, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &extent_back), 0);
	CHECK(memcmp(&extent, &extent_back, sizeof(extent)) == 0);

	tier_offer_encode(&super, 3, &offer, buffer);
	memset(&offer_back, 0, sizeof(offer_back));
	CHECK_EQ(tier_offer_decode(&super, 0, 3, buffer, &offer_back), 0);
	CHECK_EQ(offer_back.stamp.generation, 11);
	CHECK_EQ(offer_back.stamp.sequence, 4);
	CHECK(memcmp(&offer.flight, &offer_back.flight, 16) == 0);
	CHECK_EQ(offer_back.destination, 1);
	CHECK_EQ(offer_back.state, TIER_FLIGHT_PUBLISHED);
	CHECK_STR(offer_back.vm, offer.vm);
	CHECK_STR(offer_back.machine_type, offer.machine_type);
	CHECK_STR(offer_back.qemu_version, offer.qemu_version);
	CHECK_STR(offer_back.reason, offer.reason);
	CHECK_EQ(offer_back.ram_bytes, offer.ram_bytes);
	CHECK_EQ(offer_back.page_bytes, offer.page_bytes);
	CHECK_EQ(offer_back.destination_incarnation, offer.destination_incarnation);
	CHECK_EQ(offer_back.source_incarnation, offer.source_incarnation);
	CHECK_EQ(offer_back.wanted_extents, 5);
	CHECK_EQ(offer_back.range_count, 2);
	CHECK_EQ(offer_back.ranges[1].first, 4);
	CHECK_EQ(offer_back.ranges[1].count, 3);
	CHECK(memcmp(&offer.manifest, &offer_back.manifest, 20) == 0);
	CHECK(memcmp(&offer.state_blob, &offer_back.state_blob, 20) == 0);
	CHECK_EQ(offer_back.offered_usec, offer.offered_usec);

	tier_answer_encode(&super, 1, 6, &answer, buffer);
	CHECK_EQ(tier_answer_decode(&super, 1, 6, buffer, &answer_back), 0);
	CHECK_EQ(answer_back.stamp.incarnation, answer.stamp.incarnation);
	CHECK_EQ(answer_back.source_slot, 3);
	CHECK_EQ(answer_back.state, TIER_FLIGHT_READY);
	CHECK_STR(answer_back.qemu_version, "11.1.0");
	CHECK_STR(answer_back.reason, "fine");

	tier_fence_encode(&super, &fence, buffer);
	CHECK_EQ(tier_fence_decode(&super, 0, 1, buffer, &fence_back), 0);
	CHECK(memcmp(&fence, &fence_back, sizeof(fence)) == 0);
}

TEST(sizes)
{
	EACH_KIND(k)
	CHECK_EQ(tier_record_bytes(k->kind), k->bytes);
}

/* Version 1.0 is frozen: whatever changes a byte fails here. */
TEST(bytes_stay_the_same)
{
	static const uint32_t crcs[] = {0xe7051c11, 0x0257200d, 0x1885d5bd, 0xb2eb853a, 0x8d499044};
	struct tier_super super = fixture_super();

	EACH_KIND(k)
	{
		k->encode(&super, 8, buffer);
		CHECK_EQ(tier_crc32c(0, buffer, k->bytes - 4), crcs[k - kinds]);
	}
}

TEST(never_written)
{
	struct tier_super super = fixture_super();

	memset(buffer, 0, sizeof(buffer));
	EACH_KIND(k)
	CHECK_EQ(decode(k, &super, buffer), TIER_E_NOT_FOUND);
}

TEST(every_flipped_bit_is_found)
{
	struct tier_super super = fixture_super();

	EACH_KIND(k)
	{
		k->encode(&super, 8, buffer);
		CHECK_EQ(decode(k, &super, buffer), 0);
		for (size_t bit = 0; bit < 8 * k->bytes; bit++) {
			buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (decode(k, &super, buffer) != TIER_E_DAMAGED)
				FAIL("%s: bit %zu of byte %zu", k->name, bit % 8, bit / 8);
			buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

/*
 * Whichever cache lines of an update have arrived, in whatever order they were written back: the
 * copy is the old one, the new one, or refused.
 */
TEST(any_set_of_lines_is_old_new_or_refused)
{
	struct tier_super super = fixture_super();
	static uint8_t old[1024], new[1024];

	EACH_KIND(k)
	{
		size_t lines = k->bytes / LINE;

		k->encode(&super, 20, old);
		k->encode(&super, 22, new);
		for (uint32_t set = 0; set < 1u << lines; set++) {
			uint64_t sequence = 0;
			int r;

			for (size_t line = 0; line < lines; line++)
				memcpy(buffer + line * LINE,
				       (set & 1u << line ? new : old) + line * LINE, LINE);
			r = k->decode(&super, k->host, k->index, buffer, &sequence);
			if (memcmp(buffer, old, k->bytes) == 0)
				CHECK_EQ(r == 0 ? sequence : 0, 20);
			else if (memcmp(buffer, new, k->bytes) == 0)
				CHECK_EQ(r == 0 ? sequence : 0, 22);
			else if (r != TIER_E_DAMAGED)
				FAIL("%s: lines 0x%x of the update pass", k->name, set);
		}
	}
}

TEST(first_write_torn_is_refused)
{
	struct tier_super super = fixture_super();
	static uint8_t whole[1024];

	EACH_KIND(k)
	{
		k->encode(&super, 1, whole);
		for (size_t bytes = LINE; bytes < k->bytes; bytes += LINE) {
			memset(buffer, 0, sizeof(buffer));
			memcpy(buffer, whole, bytes);
			CHECK_EQ(decode(k, &super, buffer), TIER_E_DAMAGED);
		}
	}
}

TEST(of_another_portal)
{
	struct tier_super super = fixture_super(), other = super;

	other.uuid.bytes[15] ^= 1;
	EACH_KIND(k)
	{
		k->encode(&super, 8, buffer);
		CHECK_EQ(decode(k, &other, buffer), TIER_E_DAMAGED);
	}
}

TEST(of_another_place)
{
	struct tier_super super = fixture_super();

	EACH_KIND(k)
	{
		uint64_t sequence;

		k->encode(&super, 8, buffer);
		CHECK_EQ(k->decode(&super, k->host ^ 1, k->index, buffer, &sequence),
			 TIER_E_DAMAGED);
		if (k->kind != TIER_RECORD_HOST)
			CHECK_EQ(k->decode(&super, k->host, k->index ^ 1, buffer, &sequence),
				 TIER_E_DAMAGED);
		/* An offer is no answer, and so on. */
		EACH_KIND(other)
		if (other != k)
			CHECK_EQ(decode(other, &super, buffer), TIER_E_DAMAGED);
	}
}

/* Head fields with a checksum that fits: what a broken or hostile host could store. */
TEST(heads_are_checked)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} changes[] = {{0, 'X'}, {4, 2}, {6, 1}, {40, 7}, {41, 1}, {44, 14}, {47, 1}};
	struct tier_super super = fixture_super();

	EACH_KIND(k)
	{
		for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
			k->encode(&super, 8, buffer);
			buffer[changes[i].offset] = changes[i].value;
			fixture_reseal(buffer, k->bytes);
			if (decode(k, &super, buffer) != TIER_E_DAMAGED)
				FAIL("%s: byte %zu", k->name, changes[i].offset);
		}
		/* Incarnation and sequence are never 0. */
		k->encode(&super, 8, buffer);
		memset(buffer + 24, 0, 8);
		fixture_reseal(buffer, k->bytes);
		CHECK_EQ(decode(k, &super, buffer), TIER_E_DAMAGED);
		k->encode(&super, 0, buffer);
		CHECK_EQ(decode(k, &super, buffer), TIER_E_DAMAGED);
		/* The tail's reserved bytes. */
		k->encode(&super, 8, buffer);
		buffer[k->bytes - 8] = 1;
		fixture_reseal(buffer, k->bytes);
		CHECK_EQ(decode(k, &super, buffer), TIER_E_DAMAGED);
	}
}

TEST(reserved_bytes_are_checked)
{
	static const struct {
		size_t kind, first, last;
	} reserved[] = {{0, 120, 223}, {1, 56, 63}, {1, 88, 95},   {2, 156, 159},
			{2, 768, 991}, {3, 76, 79}, {3, 272, 991}, {4, 88, 95}};
	struct tier_super super = fixture_super();

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		for (size_t at = reserved[i].first; at <= reserved[i].last; at++) {
			const struct kind *k = &kinds[reserved[i].kind];

			k->encode(&super, 8, buffer);
			buffer[at] = 1;
			fixture_reseal(buffer, k->bytes);
			if (decode(k, &super, buffer) != TIER_E_DAMAGED)
				FAIL("%s: byte %zu", k->name, at);
		}
	/* A MAC in a portal that is not keyed. */
	EACH_KIND(k)
	for (size_t at = k->bytes - 24; at < k->bytes - 8; at++) {
		k->encode(&super, 8, buffer);
		buffer[at] = 1;
		fixture_reseal(buffer, k->bytes);
		if (decode(k, &super, buffer) != TIER_E_DAMAGED)
			FAIL("%s: byte %zu of the MAC", k->name, at);
	}
}

static struct tier_super keyed_super(uint8_t secret)
{
	struct tier_super super = fixture_super();
	uint8_t bytes[32];

	memset(bytes, secret, sizeof(bytes));
	super.incompat |= TIER_PORTAL_INCOMPAT_KEYED;
	super.has_key = true;
	tier_portal_key_derive(&super.uuid, bytes, sizeof(bytes), super.key);
	return super;
}

/* A checksum that fits is no proof of who wrote it. */
TEST(keyed_records)
{
	struct tier_super keyed = keyed_super(1), other = keyed_super(2), plain = fixture_super();
	struct tier_super locked = keyed;

	locked.has_key = false;
	memset(locked.key, 0, sizeof(locked.key));
	EACH_KIND(k)
	{
		k->encode(&keyed, 8, buffer);
		CHECK_EQ(decode(k, &keyed, buffer), 0);
		CHECK_EQ(decode(k, &other, buffer), TIER_E_DAMAGED);
		CHECK_EQ(decode(k, &plain, buffer), TIER_E_DAMAGED);
		CHECK_EQ(decode(k, &locked, buffer), TIER_E_DAMAGED);
		for (size_t at = 0; at < k->bytes - 4; at++) {
			buffer[at] ^= 1;
			fixture_reseal(buffer, k->bytes);
			if (decode(k, &keyed, buffer) == 0)
				FAIL("%s: byte %zu", k->name, at);
			buffer[at] ^= 1;
		}
		k->encode(&plain, 8, buffer);
		CHECK_EQ(decode(k, &keyed, buffer), TIER_E_DAMAGED);
		/* Whoever has no key makes nothing that passes, and takes nothing for good. */
		k->encode(&locked, 8, buffer);
		CHECK_EQ(decode(k, &keyed, buffer), TIER_E_DAMAGED);
		CHECK_EQ(decode(k, &locked, buffer), TIER_E_DAMAGED);
	}
}

TEST(keys_and_blobs)
{
	struct tier_super keyed = keyed_super(1), other = keyed_super(2), plain = fixture_super();
	struct tier_uuid elsewhere = fixture_uuid, flight = fixture_flight;
	uint8_t mac[16], again[16], key[32], zero[16] = {}, secret[32] = {};

	tier_blob_mac(&plain, &flight, "state", 5, mac);
	CHECK(memcmp(mac, zero, 16) == 0);
	tier_blob_mac(&keyed, &flight, "state", 5, mac);
	tier_blob_mac(&keyed, &flight, "state", 5, again);
	CHECK(memcmp(mac, again, 16) == 0);
	tier_blob_mac(&keyed, &flight, "State", 5, again);
	CHECK(memcmp(mac, again, 16) != 0);
	tier_blob_mac(&other, &flight, "state", 5, again);
	CHECK(memcmp(mac, again, 16) != 0);
	flight.bytes[0] ^= 1;
	tier_blob_mac(&keyed, &flight, "state", 5, again);
	CHECK(memcmp(mac, again, 16) != 0);
	/* One secret, two portals, two keys. */
	memset(secret, 1, sizeof(secret));
	tier_portal_key_derive(&elsewhere, secret, sizeof(secret), key);
	CHECK(memcmp(key, keyed.key, 32) == 0);
	elsewhere.bytes[3] ^= 1;
	tier_portal_key_derive(&elsewhere, secret, sizeof(secret), key);
	CHECK(memcmp(key, keyed.key, 32) != 0);
}

TEST(host_name_is_the_slots)
{
	struct tier_super super = fixture_super();
	struct tier_host_record record = fixture_host();

	strcpy(record.name, "B");
	tier_host_encode(&super, 0, &record, buffer);
	CHECK_EQ(tier_host_decode(&super, 0, buffer, &record), TIER_E_DAMAGED);
}

TEST(extent_states)
{
	struct tier_super super = fixture_super();
	struct tier_extent_record record = fixture_extent();

	record.state = TIER_EXTENT_RETIRED + 1;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), TIER_E_DAMAGED);
	record = fixture_extent();
	memset(&record.flight, 0, sizeof(record.flight));
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), TIER_E_DAMAGED);
	/* A free one is nobody's; one with an owner has a flight, and the other way round. */
	record.state = TIER_EXTENT_FREE;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), TIER_E_DAMAGED);
	record = (struct tier_extent_record){.stamp = {1, 1, 1}, .extent = 5};
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), 0);
	record.state = TIER_EXTENT_RETIRED;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), 0);
	record.flight = fixture_flight;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), TIER_E_DAMAGED);
	record = fixture_extent();
	record.owner = 2;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), TIER_E_DAMAGED);
	record = fixture_extent();
	record.owner_incarnation = 0;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), TIER_E_DAMAGED);
	record = fixture_extent();
	record.state = TIER_EXTENT_SCRUB;
	tier_extent_encode(&super, &record, buffer);
	CHECK_EQ(tier_extent_decode(&super, 5, buffer, &record), 0);
}

static int try_fence(const struct tier_super *super, const struct tier_fence_record *fence)
{
	struct tier_fence_record back;

	tier_fence_encode(super, fence, buffer);
	return tier_fence_decode(super, fence->host, fence->target, buffer, &back);
}

#define REFUSED_FENCE(assignment)                                                                  \
	do {                                                                                       \
		struct tier_fence_record fence = fixture_fence();                                  \
		CHECK_EQ(try_fence(&super, &fence), 0);                                            \
		assignment;                                                                        \
		if (try_fence(&super, &fence) != TIER_E_DAMAGED)                                   \
			FAIL("accepted: %s", #assignment);                                         \
	} while (0)

TEST(fences_are_checked)
{
	struct tier_super super = fixture_super();
	struct tier_fence_record empty = {.stamp = {1, 1, 1}, .target = 1};

	REFUSED_FENCE(fence.upto = 0);
	REFUSED_FENCE(fence.state = TIER_FENCE_RETRACTED + 1);
	REFUSED_FENCE(fence.method = TIER_FENCE_METHOD_CONFIRMED + 1);
	REFUSED_FENCE(fence.method = TIER_FENCE_METHOD_NONE);
	REFUSED_FENCE(fence.heir = 1);
	REFUSED_FENCE(fence.heir = 2);
	REFUSED_FENCE(fence.target = 0);
	REFUSED_FENCE(fence.fenced_upto--);
	REFUSED_FENCE(fence.fenced_upto++);
	REFUSED_FENCE(fence.fenced_upto = 0);
	REFUSED_FENCE(fence.fenced_heir = 1);
	REFUSED_FENCE(fence.fenced_heir = 2);
	REFUSED_FENCE((fence.state = TIER_FENCE_INTENT, fence.fenced_upto++));
	CHECK_EQ(try_fence(&super, &empty), 0);
}

TEST(hosts_have_a_boot)
{
	struct tier_super super = fixture_super();
	struct tier_host_record record = fixture_host();

	memset(&record.boot, 0, sizeof(record.boot));
	tier_host_encode(&super, 0, &record, buffer);
	CHECK_EQ(tier_host_decode(&super, 0, buffer, &record), TIER_E_DAMAGED);
}

static struct tier_super offer_super;

static int try_offer(const struct tier_offer *offer)
{
	struct tier_offer back;

	tier_offer_encode(&offer_super, 3, offer, buffer);
	return tier_offer_decode(&offer_super, 0, 3, buffer, &back);
}

/* A good offer with one assignment made: refused. */
#define REFUSED_OFFER(assignment)                                                                  \
	do {                                                                                       \
		struct tier_offer offer = fixture_offer(&offer_super);                             \
		CHECK_EQ(try_offer(&offer), 0);                                                    \
		assignment;                                                                        \
		if (try_offer(&offer) != TIER_E_DAMAGED)                                           \
			FAIL("accepted: %s", #assignment);                                         \
	} while (0)

TEST(offers_are_checked)
{
	uint64_t bytes, area;

	offer_super = fixture_super();
	area = tier_blob_area(&offer_super, 0, &bytes);
	REFUSED_OFFER(offer.destination = 0);
	REFUSED_OFFER(offer.destination = 2);
	REFUSED_OFFER(offer.destination = UINT32_MAX);
	REFUSED_OFFER(offer.state = TIER_FLIGHT_READY);
	REFUSED_OFFER(offer.state = TIER_FLIGHT_REFUSED);
	REFUSED_OFFER(offer.state = 0x7fffffff);
	REFUSED_OFFER(memset(&offer.flight, 0, 16));
	REFUSED_OFFER(offer.destination_incarnation = 0);
	REFUSED_OFFER(offer.source_incarnation = 0);
	REFUSED_OFFER(offer.source_incarnation = offer.stamp.incarnation + 1);
	REFUSED_OFFER(offer.wanted_extents = 0);
	REFUSED_OFFER(offer.wanted_extents = 16);
	REFUSED_OFFER(offer.range_count = 0);
	REFUSED_OFFER(offer.manifest.mac[0] = 1);
	REFUSED_OFFER(offer.state_blob.mac[15] = 1);
	REFUSED_OFFER(offer.page_bytes = 0);
	REFUSED_OFFER(offer.page_bytes = 4097);
	REFUSED_OFFER(offer.page_bytes = 2048);
	REFUSED_OFFER(offer.page_bytes = 1 << 21);
	REFUSED_OFFER(offer.ram_bytes = 0);
	REFUSED_OFFER(offer.ram_bytes = 4095);
	REFUSED_OFFER(offer.vm[0] = 0);
	REFUSED_OFFER(strcpy(offer.vm, "../etc"));
	REFUSED_OFFER(strcpy(offer.vm, "-device"));
	REFUSED_OFFER(strcpy(offer.machine_type, "q35,accel=kvm"));
	REFUSED_OFFER(offer.machine_type[0] = 0);
	REFUSED_OFFER(offer.range_count = 33);
	REFUSED_OFFER(offer.range_count = UINT32_MAX);
	REFUSED_OFFER(offer.ranges[0].count = 0);
	REFUSED_OFFER(offer.ranges[1].first = 1);
	REFUSED_OFFER(offer.ranges[1].first = 15);
	REFUSED_OFFER(offer.ranges[1].count = 12);
	REFUSED_OFFER(offer.ranges[1].count = UINT32_MAX);
	REFUSED_OFFER((offer.ranges[1].first = UINT32_MAX, offer.ranges[1].count = 2));
	REFUSED_OFFER(offer.manifest = (struct tier_blob){});
	REFUSED_OFFER(offer.state_blob = (struct tier_blob){});
	REFUSED_OFFER(offer.manifest.bytes = 0);
	REFUSED_OFFER(offer.manifest.offset = area - 1);
	REFUSED_OFFER(offer.manifest.offset = 0);
	REFUSED_OFFER(offer.manifest.offset = area + bytes - 1023);
	REFUSED_OFFER(offer.manifest.bytes = bytes + 1);
	REFUSED_OFFER(offer.manifest.bytes = UINT64_MAX);
	REFUSED_OFFER(offer.state_blob.offset = UINT64_MAX);
	REFUSED_OFFER(offer.state_blob.offset = 128 * MIB);
}

TEST(offers_without_blobs)
{
	struct tier_offer offer;

	offer_super = fixture_super();
	offer = fixture_offer(&offer_super);
	offer.manifest = offer.state_blob = (struct tier_blob){};
	offer.destination_incarnation = 0;
	offer.state = TIER_FLIGHT_OFFERED;
	CHECK_EQ(try_offer(&offer), 0);
	offer.state = TIER_FLIGHT_WITHDRAWN;
	CHECK_EQ(try_offer(&offer), 0);
	/* Before the machine has been looked at. */
	memset(offer.machine_type, 0, sizeof(offer.machine_type));
	CHECK_EQ(try_offer(&offer), 0);
	offer.range_count = 0;
	memset(offer.ranges, 0, sizeof(offer.ranges));
	offer.state = TIER_FLIGHT_REQUESTED;
	CHECK_EQ(try_offer(&offer), 0);
	offer.state = TIER_FLIGHT_OFFERED;
	CHECK_EQ(try_offer(&offer), TIER_E_DAMAGED);
	offer.state = TIER_FLIGHT_ABORTED;
	CHECK_EQ(try_offer(&offer), 0);
	offer.state = TIER_FLIGHT_CLOSED;
	CHECK_EQ(try_offer(&offer), 0);
	/* An empty slot needs a stamp only. */
	offer = (struct tier_offer){.stamp = {1, 1, 1}};
	CHECK_EQ(try_offer(&offer), 0);
}

/* Text reaches terminals and logs: a writer replaces, a reader refuses. */
TEST(text_is_printable)
{
	struct tier_offer offer, back;

	offer_super = fixture_super();
	offer = fixture_offer(&offer_super);
	strcpy(offer.reason, "\x1b[2J\xc3\xa9");
	tier_offer_encode(&offer_super, 3, &offer, buffer);
	CHECK_EQ(tier_offer_decode(&offer_super, 0, 3, buffer, &back), 0);
	CHECK_STR(back.reason, "?[2J??");
	buffer[320] = 0x1b;
	fixture_reseal(buffer, 1024);
	CHECK_EQ(tier_offer_decode(&offer_super, 0, 3, buffer, &back), TIER_E_DAMAGED);
	/* Without an end. */
	tier_offer_encode(&offer_super, 3, &offer, buffer);
	memset(buffer + 320, 'x', 160);
	fixture_reseal(buffer, 1024);
	CHECK_EQ(tier_offer_decode(&offer_super, 0, 3, buffer, &back), TIER_E_DAMAGED);
}

static int try_answer(const struct tier_super *super, const struct tier_answer *answer)
{
	struct tier_answer back;

	tier_answer_encode(super, 1, 6, answer, buffer);
	return tier_answer_decode(super, 1, 6, buffer, &back);
}

#define REFUSED_ANSWER(assignment)                                                                 \
	do {                                                                                       \
		struct tier_answer answer = fixture_answer();                                      \
		CHECK_EQ(try_answer(&super, &answer), 0);                                          \
		assignment;                                                                        \
		if (try_answer(&super, &answer) != TIER_E_DAMAGED)                                 \
			FAIL("accepted: %s", #assignment);                                         \
	} while (0)

TEST(answers_are_checked)
{
	struct tier_super super = fixture_super();
	struct tier_answer empty = {.stamp = {1, 1, 1}};

	REFUSED_ANSWER(answer.source = 1);
	REFUSED_ANSWER(answer.source = 2);
	REFUSED_ANSWER(answer.source_slot = 16);
	REFUSED_ANSWER(answer.state = TIER_FLIGHT_OFFERED);
	REFUSED_ANSWER(answer.state = TIER_FLIGHT_REFUSED + 1);
	REFUSED_ANSWER(memset(&answer.flight, 0, 16));
	CHECK_EQ(try_answer(&super, &empty), 0);
}

/* No two copies of any records share a byte, and none leaves its host area. */
TEST(places_are_disjoint)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h",
					    "i", "j", "k", "l", "m", "n", "o", "p"};
	static uint8_t used[128 * MIB / LINE];
	struct tier_super super;

	CHECK_EQ(tier_super_plan("p", names, 16, (16384 + 1) * 128 * MIB, 128 * MIB, &fixture_uuid,
				 &super, NULL),
		 0);
	memset(used, 0, sizeof(used));
	for (uint32_t host = 0; host < 16; host++)
		EACH_KIND(k)
		{
			uint32_t first = 0, count = 1;

			if (k->kind == TIER_RECORD_EXTENT)
				first = super.hosts[host].first_extent,
				count = super.hosts[host].extent_count;
			else if (k->kind == TIER_RECORD_FENCE)
				count = TIER_PORTAL_MAX_HOSTS;
			else if (k->kind != TIER_RECORD_HOST)
				count = TIER_PORTAL_FLIGHTS;
			for (uint32_t i = first; i < first + count; i++)
				for (unsigned copy = 0; copy < 2; copy++) {
					uint64_t at =
						tier_record_offset(&super, k->kind, host, i, copy);

					CHECK_EQ(at % LINE, 0);
					CHECK(at >= super.host_area_offset +
							    host * super.host_area_bytes);
					for (size_t b = 0; b < k->bytes; b += LINE)
						CHECK(!used[(at + b) / LINE]++);
				}
		}
	for (uint32_t host = 0; host < 16; host++) {
		uint64_t bytes, area = tier_blob_area(&super, host, &bytes);

		for (uint64_t b = 0; b < bytes; b += LINE)
			CHECK(!used[(area + b) / LINE]++);
		CHECK(area + bytes <= super.control_bytes);
	}
}

TEST(names)
{
	CHECK_STR(tier_flight_state_name(TIER_FLIGHT_COMMITTED), "COMMITTED");
	CHECK_STR(tier_flight_state_name(99), "?");
	CHECK_STR(tier_extent_state_name(TIER_EXTENT_SCRUB), "scrub");
	CHECK_STR(tier_extent_state_name(99), "?");
	CHECK_STR(tier_fence_state_name(TIER_FENCE_INTENT), "INTENT");
	CHECK_STR(tier_fence_state_name(99), "?");
}

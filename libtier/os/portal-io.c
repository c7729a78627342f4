/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "portal-map.h"
#include "util.h"

#define LINE	   64
#define READ_TRIES 64

union record {
	struct tier_stamp stamp; /* all begin with it */
	struct tier_host_record host;
	struct tier_extent_record extent;
	struct tier_offer offer;
	struct tier_answer answer;
	struct tier_fence_record fence;
};
static_assert(offsetof(struct tier_fence_record, stamp) == 0);
static_assert(offsetof(struct tier_host_record, stamp) == 0);
static_assert(offsetof(struct tier_extent_record, stamp) == 0);
static_assert(offsetof(struct tier_offer, stamp) == 0);
static_assert(offsetof(struct tier_answer, stamp) == 0);

/* Which record of a portal. */
struct place {
	enum tier_record_kind kind;
	uint32_t host;	/* slot of the writer */
	uint32_t index; /* flight slot, extent or fenced host */
};

static bool place_valid(const struct tier_super *super, struct place place)
{
	if (place.host >= super->host_count)
		return false;
	switch (place.kind) {
	case TIER_RECORD_HOST:
		return place.index == 0;
	case TIER_RECORD_EXTENT:
		return tier_super_extent_home(super, place.index) == place.host;
	case TIER_RECORD_OFFER:
	case TIER_RECORD_ANSWER:
		return place.index < TIER_PORTAL_FLIGHTS;
	case TIER_RECORD_FENCE:
		return place.index < super->host_count && place.index != place.host;
	}
	return false;
}

static int decode(const struct tier_super *super, struct place place, const void *buffer,
		  union record *ret)
{
	switch (place.kind) {
	case TIER_RECORD_HOST:
		return tier_host_decode(super, place.host, buffer, &ret->host);
	case TIER_RECORD_EXTENT:
		return tier_extent_decode(super, place.index, buffer, &ret->extent);
	case TIER_RECORD_OFFER:
		return tier_offer_decode(super, place.host, place.index, buffer, &ret->offer);
	case TIER_RECORD_ANSWER:
		return tier_answer_decode(super, place.host, place.index, buffer, &ret->answer);
	case TIER_RECORD_FENCE:
		return tier_fence_decode(super, place.host, place.index, buffer, &ret->fence);
	}
	return -EINVAL;
}

static void encode(const struct tier_super *super, struct place place, const union record *record,
		   void *buffer)
{
	switch (place.kind) {
	case TIER_RECORD_HOST:
		return tier_host_encode(super, place.host, &record->host, buffer);
	case TIER_RECORD_EXTENT:
		return tier_extent_encode(super, &record->extent, buffer);
	case TIER_RECORD_OFFER:
		return tier_offer_encode(super, place.index, &record->offer, buffer);
	case TIER_RECORD_ANSWER:
		return tier_answer_encode(super, place.host, place.index, &record->answer, buffer);
	case TIER_RECORD_FENCE:
		return tier_fence_encode(super, &record->fence, buffer);
	}
}

static char *copy_at(const struct tier_portal *portal, struct place place, unsigned copy)
{
	return portal->window.data +
	       tier_record_offset(&portal->super, place.kind, place.host, place.index, copy);
}

static void copy_out(const struct tier_portal *portal, struct place place, size_t bytes,
		     uint8_t buffers[2][TIER_RECORD_MAX_BYTES])
{
	for (unsigned copy = 0; copy < 2; copy++) {
		const char *from = copy_at(portal, place, copy);

		cache_invalidate(portal->cache, from, bytes);
		memcpy(buffers[copy], from, bytes);
	}
}

/*
 * Both copies, as they stood at one moment. A single pass could see copy 1 before and copy 0 during
 * two writes, and so go back behind what was read earlier; two equal passes cannot.
 */
static bool copy_out_at_rest(const struct tier_portal *portal, struct place place, size_t bytes,
			     uint8_t buffers[2][TIER_RECORD_MAX_BYTES])
{
	uint8_t again[2][TIER_RECORD_MAX_BYTES];

	copy_out(portal, place, bytes, buffers);
	for (unsigned i = 0; i < READ_TRIES; i++) {
		copy_out(portal, place, bytes, again);
		if (memcmp(buffers[0], again[0], bytes) == 0 &&
		    memcmp(buffers[1], again[1], bytes) == 0)
			return true;
		memcpy(buffers, again, sizeof(again));
	}
	return false;
}

/* What a writer has to know of the pair. */
struct turn {
	unsigned copy;	   /* the one to overwrite first: it counts less */
	uint64_t sequence; /* the highest so far */
};

/* -EBUSY if the copies were never at rest. @ret_turn is written whenever the place is valid. */
static int read_pair(const struct tier_portal *portal, struct place place, union record *ret,
		     struct turn *ret_turn)
{
	uint8_t buffers[2][TIER_RECORD_MAX_BYTES];
	size_t bytes = tier_record_bytes(place.kind);
	union record records[2];
	int outcome[2];
	unsigned newer;

	if (!place_valid(&portal->super, place))
		return -EINVAL;
	if (!copy_out_at_rest(portal, place, bytes, buffers))
		return -EBUSY;
	for (unsigned copy = 0; copy < 2; copy++) {
		outcome[copy] = decode(&portal->super, place, buffers[copy], &records[copy]);
		if (outcome[copy] != 0)
			records[copy].stamp.sequence = 0;
	}
	newer = records[1].stamp.sequence > records[0].stamp.sequence ? 1 : 0;
	*ret_turn = (struct turn){newer ^ 1, records[newer].stamp.sequence};
	/*
	 * One torn and one never written: the first writing was interrupted. After any that was not,
	 * both are written.
	 */
	if (outcome[0] != 0 && outcome[1] != 0)
		return outcome[0] == TIER_E_NOT_FOUND ? outcome[0] : outcome[1];
	/* At rest the copies are the same; no writer makes two of one sequence that differ. */
	if (records[0].stamp.sequence == records[1].stamp.sequence &&
	    memcmp(buffers[0], buffers[1], bytes) != 0)
		return TIER_E_DAMAGED;
	*ret = records[newer];
	return 0;
}

/* A reader cannot tell a record that never rests from a damaged one. */
static int read_record(const struct tier_portal *portal, struct place place, union record *ret)
{
	struct turn turn;
	int r = read_pair(portal, place, ret, &turn);

	return r == -EBUSY ? TIER_E_DAMAGED : r;
}

/* Until its last line is in memory the copy is torn, and the other one counts. */
static void write_copy(struct tier_portal *portal, struct place place, unsigned copy,
		       const uint8_t *buffer, size_t bytes)
{
	char *to = copy_at(portal, place, copy);
	size_t body = bytes - LINE;

	memcpy(to, buffer, body);
	cache_flush(portal->cache, to, body);
	memcpy(to + body, buffer + body, LINE);
	cache_flush(portal->cache, to + body, LINE);
}

static int write_record(struct tier_portal *portal, struct place place, const void *record,
			size_t record_bytes)
{
	uint8_t buffer[TIER_RECORD_MAX_BYTES];
	union record old, new, check;
	size_t bytes = tier_record_bytes(place.kind);
	struct turn turn;
	int r;

	if (!portal->writable)
		return -EROFS;
	/* Never written and damaged are no obstacles: what is written now heals the pair. */
	r = read_pair(portal, place, &old, &turn);
	if (r < 0)
		return r;
	if (turn.sequence == UINT64_MAX)
		return -EOVERFLOW;
	memcpy(&new, record, record_bytes);
	new.stamp.sequence = turn.sequence + 1;
	encode(&portal->super, place, &new, buffer);
	if (decode(&portal->super, place, buffer, &check) != 0)
		return -EINVAL;

	/*
	 * The copy that counts less first: while it is torn the other one counts, and once it is
	 * whole the other one does not. Both, so that no damage to one copy brings back what was
	 * there before.
	 */
	write_copy(portal, place, turn.copy, buffer, bytes);
	write_copy(portal, place, turn.copy ^ 1, buffer, bytes);
	return 0;
}

int tier_portal_read_host(struct tier_portal *portal, uint32_t host, struct tier_host_record *ret)
{
	union record record;
	int r = read_record(portal, (struct place){TIER_RECORD_HOST, host, 0}, &record);

	if (r == 0)
		*ret = record.host;
	return r;
}

int tier_portal_read_fence(struct tier_portal *portal, uint32_t host, uint32_t target,
			   struct tier_fence_record *ret)
{
	union record record;
	int r = read_record(portal, (struct place){TIER_RECORD_FENCE, host, target}, &record);

	if (r == 0)
		*ret = record.fence;
	return r;
}

int tier_portal_read_extent(struct tier_portal *portal, uint32_t extent,
			    struct tier_extent_record *ret)
{
	uint32_t home = tier_super_extent_home(&portal->super, extent);
	union record record;
	int r = read_record(portal, (struct place){TIER_RECORD_EXTENT, home, extent}, &record);

	if (r == 0)
		*ret = record.extent;
	return r;
}

int tier_portal_read_offer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			   struct tier_offer *ret)
{
	union record record;
	int r = read_record(portal, (struct place){TIER_RECORD_OFFER, host, slot}, &record);

	if (r == 0)
		*ret = record.offer;
	return r;
}

int tier_portal_read_answer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			    struct tier_answer *ret)
{
	union record record;
	int r = read_record(portal, (struct place){TIER_RECORD_ANSWER, host, slot}, &record);

	if (r == 0)
		*ret = record.answer;
	return r;
}

int tier_portal_find_answer(struct tier_portal *portal, uint32_t host,
			    const struct tier_offer *offer, uint32_t offer_slot,
			    struct tier_answer *ret, uint32_t *ret_slot)
{
	int outcome = TIER_E_NOT_FOUND;

	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_answer answer;
		int r = tier_portal_read_answer(portal, host, slot, &answer);

		if (r < 0)
			return r;
		/* Which flight it belongs to cannot be told; maybe this one. */
		if (r == TIER_E_DAMAGED)
			outcome = r;
		if (r != 0 || answer.state == TIER_FLIGHT_NONE || answer.source != offer->source ||
		    answer.source_slot != offer_slot ||
		    answer.stamp.generation != offer->stamp.generation ||
		    memcmp(&answer.flight, &offer->flight, sizeof(offer->flight)) != 0)
			continue;
		*ret = answer;
		if (ret_slot)
			*ret_slot = slot;
		return 0;
	}
	return outcome;
}

int tier_portal_write_host(struct tier_portal *portal, uint32_t host,
			   const struct tier_host_record *record)
{
	return write_record(portal, (struct place){TIER_RECORD_HOST, host, 0}, record,
			    sizeof(*record));
}

int tier_portal_write_fence(struct tier_portal *portal, const struct tier_fence_record *record)
{
	return write_record(portal, (struct place){TIER_RECORD_FENCE, record->host, record->target},
			    record, sizeof(*record));
}

int tier_portal_write_extent(struct tier_portal *portal, const struct tier_extent_record *record)
{
	uint32_t home = tier_super_extent_home(&portal->super, record->extent);

	return write_record(portal, (struct place){TIER_RECORD_EXTENT, home, record->extent},
			    record, sizeof(*record));
}

int tier_portal_write_offer(struct tier_portal *portal, uint32_t slot,
			    const struct tier_offer *offer)
{
	return write_record(portal, (struct place){TIER_RECORD_OFFER, offer->source, slot}, offer,
			    sizeof(*offer));
}

int tier_portal_write_answer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			     const struct tier_answer *answer)
{
	return write_record(portal, (struct place){TIER_RECORD_ANSWER, host, slot}, answer,
			    sizeof(*answer));
}

int tier_portal_read_blob(struct tier_portal *portal, uint32_t host, const struct tier_uuid *flight,
			  const struct tier_blob *blob, void **ret, struct tier_problem *problem)
{
	uint8_t mac[TIER_PORTAL_MAC_BYTES];
	_cleanup_free_ void *data = NULL;
	uint64_t area, area_bytes;

	if (host >= portal->super.host_count)
		return tier_problem_set(problem, -EINVAL, portal->path, NULL, "no host %u", host);
	area = tier_blob_area(&portal->super, host, &area_bytes);
	if (blob->bytes == 0 || blob->bytes > area_bytes || blob->offset < area ||
	    blob->offset - area > area_bytes - blob->bytes)
		return tier_problem_set(problem, TIER_E_DAMAGED, portal->path, NULL,
					"a blob of host %s lies outside its area",
					portal->super.hosts[host].name);
	data = malloc(blob->bytes);
	if (!data)
		return -ENOMEM;
	cache_invalidate(portal->cache, portal->window.data + blob->offset, blob->bytes);
	memcpy(data, portal->window.data + blob->offset, blob->bytes);
	if (tier_crc32c(0, data, blob->bytes) != blob->crc32c)
		return tier_problem_set(problem, TIER_E_DAMAGED, portal->path, NULL,
					"a blob of host %s has a bad checksum",
					portal->super.hosts[host].name);
	tier_blob_mac(&portal->super, flight, data, blob->bytes, mac);
	if (memcmp(mac, blob->mac, sizeof(mac)) != 0)
		return tier_problem_set(problem, TIER_E_DAMAGED, portal->path, NULL,
					"a blob of host %s was not written with the portal's key",
					portal->super.hosts[host].name);
	*ret = TAKE(data);
	return 0;
}

int tier_portal_write_blob(struct tier_portal *portal, uint32_t host,
			   const struct tier_uuid *flight, uint64_t offset, const void *data,
			   size_t bytes, struct tier_blob *ret)
{
	uint64_t area, area_bytes;
	char *to;

	if (!portal->writable)
		return -EROFS;
	if (host >= portal->super.host_count || bytes == 0)
		return -EINVAL;
	area = tier_blob_area(&portal->super, host, &area_bytes);
	if (offset > area_bytes || bytes > area_bytes - offset)
		return TIER_E_NO_SPACE;
	/* A store into a hole of a full file system would be a SIGBUS. */
	if (!portal->device.dax) {
		int r = posix_fallocate(portal->device.fd, (off_t)(area + offset), (off_t)bytes);

		if (r != 0)
			return r == ENOSPC ? TIER_E_NO_SPACE : -r;
	}
	to = portal->window.data + area + offset;
	memcpy(to, data, bytes);
	cache_flush(portal->cache, to, bytes);
	*ret = (struct tier_blob){
		.offset = area + offset, .bytes = bytes, .crc32c = tier_crc32c(0, data, bytes)};
	tier_blob_mac(&portal->super, flight, data, bytes, ret->mac);
	return 0;
}

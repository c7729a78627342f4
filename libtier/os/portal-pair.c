/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The copies of records one by one, for whoever explains or repairs them. */
#include <poll.h>

#include "clock.h"
#include "portal-pair.h"
#include "util.h"

#define READ_TRIES   64
#define WRITER_TRIES 3
#define WRITER_USEC  10000

union record {
	struct tier_stamp stamp; /* all begin with it */
	struct tier_host_record host;
	struct tier_extent_record extent;
	struct tier_offer offer;
	struct tier_answer answer;
	struct tier_fence_record fence;
};

static int decode(const struct tier_super *super, struct portal_place place, const void *buffer,
		  struct tier_stamp *ret)
{
	union record record;
	int r = -EINVAL;

	switch (place.kind) {
	case TIER_RECORD_HOST:
		r = tier_host_decode(super, place.host, buffer, &record.host);
		break;
	case TIER_RECORD_EXTENT:
		r = tier_extent_decode(super, place.index, buffer, &record.extent);
		break;
	case TIER_RECORD_OFFER:
		r = tier_offer_decode(super, place.host, place.index, buffer, &record.offer);
		break;
	case TIER_RECORD_ANSWER:
		r = tier_answer_decode(super, place.host, place.index, buffer, &record.answer);
		break;
	case TIER_RECORD_FENCE:
		r = tier_fence_decode(super, place.host, place.index, buffer, &record.fence);
		break;
	}
	if (r == 0)
		*ret = record.stamp;
	return r;
}

static void copy_out(const struct tier_portal *portal, struct portal_place place, size_t bytes,
		     uint8_t buffers[2][TIER_RECORD_MAX_BYTES])
{
	for (unsigned copy = 0; copy < 2; copy++) {
		const char *from =
			portal->window.data + tier_record_offset(&portal->super, place.kind,
								 place.host, place.index, copy);

		cache_invalidate(portal->cache, from, bytes);
		memcpy(buffers[copy], from, bytes);
	}
}

/* Two equal passes, as in portal-io.c. */
static bool copy_out_at_rest(const struct tier_portal *portal, struct portal_place place,
			     size_t bytes, uint8_t buffers[2][TIER_RECORD_MAX_BYTES])
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

static enum portal_pair_state look_once(const struct tier_portal *portal, struct portal_place place,
					unsigned *ret_bad)
{
	uint8_t buffers[2][TIER_RECORD_MAX_BYTES];
	size_t bytes = tier_record_bytes(place.kind);
	struct tier_stamp stamps[2];
	int outcome[2];

	if (!copy_out_at_rest(portal, place, bytes, buffers))
		return PORTAL_PAIR_RESTLESS;
	for (unsigned copy = 0; copy < 2; copy++)
		outcome[copy] = decode(&portal->super, place, buffers[copy], &stamps[copy]);
	if (outcome[0] == TIER_E_NOT_FOUND && outcome[1] == TIER_E_NOT_FOUND)
		return PORTAL_PAIR_NEVER;
	if (outcome[0] != 0 && outcome[1] != 0)
		return outcome[0] == TIER_E_NOT_FOUND || outcome[1] == TIER_E_NOT_FOUND
			       ? PORTAL_PAIR_TORN
			       : PORTAL_PAIR_BAD;
	if (outcome[0] != 0 || outcome[1] != 0) {
		if (ret_bad)
			*ret_bad = outcome[0] != 0 ? 0 : 1;
		return PORTAL_PAIR_HALF;
	}
	if (memcmp(buffers[0], buffers[1], bytes) == 0)
		return PORTAL_PAIR_GOOD;
	return stamps[0].sequence == stamps[1].sequence ? PORTAL_PAIR_BAD : PORTAL_PAIR_BEHIND;
}

/* Between the two copies, a writer leaves what an interrupted one leaves. */
enum portal_pair_state portal_pair_look(const struct tier_portal *portal, struct portal_place place,
					unsigned *ret_bad)
{
	enum portal_pair_state state = look_once(portal, place, ret_bad);

	for (unsigned i = 0;
	     i < WRITER_TRIES && state != PORTAL_PAIR_GOOD && state != PORTAL_PAIR_NEVER; i++) {
		poll(NULL, 0, poll_timeout(now_usec() + WRITER_USEC));
		state = look_once(portal, place, ret_bad);
	}
	return state;
}

static void note(uint64_t *highest, bool names, int outcome, uint64_t incarnation)
{
	if (outcome == 0 && names)
		*highest = MAX(*highest, incarnation);
}

int portal_highest_incarnation(struct tier_portal *portal, uint32_t host, uint64_t *ret)
{
	const struct tier_super *super = &portal->super;
	union record record = {};
	uint64_t highest = 0;
	int r = 0;

	for (uint32_t extent = 0; r >= 0 && extent < super->extent_count; extent++) {
		r = tier_portal_read_extent(portal, extent, &record.extent);
		note(&highest, tier_super_extent_home(super, extent) == host, r,
		     record.stamp.incarnation);
		note(&highest, record.extent.owner == host, r, record.extent.owner_incarnation);
	}
	for (uint32_t i = 0; r >= 0 && i < super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		uint32_t writer = i / TIER_PORTAL_FLIGHTS, slot = i % TIER_PORTAL_FLIGHTS;

		r = tier_portal_read_offer(portal, writer, slot, &record.offer);
		/* Its source_incarnation is no later than its stamp's. */
		note(&highest, writer == host, r, record.stamp.incarnation);
		note(&highest, record.offer.destination == host, r,
		     record.offer.destination_incarnation);
		if (r >= 0)
			r = tier_portal_read_answer(portal, writer, slot, &record.answer);
		note(&highest, writer == host, r, record.stamp.incarnation);
	}
	for (uint32_t writer = 0; r >= 0 && writer < super->host_count; writer++)
		for (uint32_t target = 0; r >= 0 && target < super->host_count; target++) {
			if (writer == target)
				continue;
			r = tier_portal_read_fence(portal, writer, target, &record.fence);
			note(&highest, writer == host, r, record.stamp.incarnation);
			note(&highest, target == host, r, record.fence.upto);
		}
	if (r < 0)
		return r;
	*ret = highest;
	return 0;
}

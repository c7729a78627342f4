/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes again what is damaged and known. What is not known is left, and said to be so. */
#include <inttypes.h>
#include <stdarg.h>

#include "portal-pair.h"
#include "util.h"

struct repair {
	struct tier_portal *portal;
	const struct tier_super *super;
	const struct tier_repairing *how;
	struct tier_repair *items;
	size_t count;
	bool no_memory;
	uint64_t incarnation; /* of this host; 0: not known, not even by now */
};

__attribute__((format(printf, 4, 5))) static void note(struct repair *repair,
						       enum tier_repair_outcome outcome,
						       const char *object, const char *format, ...)
{
	struct tier_repair *item =
		array_grow(&repair->items, &repair->count, sizeof(*repair->items));
	va_list arguments;

	if (!item) {
		repair->no_memory = true;
		return;
	}
	item->outcome = outcome;
	copy_string(item->object, sizeof(item->object), object);
	va_start(arguments, format);
	vsnprintf(item->text, sizeof(item->text), format, arguments);
	va_end(arguments);
}

/* What a writing has come to; @r of the writer, or 0 in a dry run. */
static void note_written(struct repair *repair, int r, const char *object, const char *what)
{
	if (r)
		note(repair, TIER_REPAIR_LEFT, object, "cannot write it: %s", tier_strerror(r));
	else
		note(repair, repair->how->dry_run ? TIER_REPAIR_WOULD : TIER_REPAIR_DONE, object,
		     "%s", what);
}

static void repair_super(struct repair *repair)
{
	struct tier_portal *portal = repair->portal;

	for (unsigned copy = 0; copy < 2; copy++) {
		char object[64], text[64],
			*to = portal->window.data + copy * TIER_SUPER_COPY_OFFSET;
		uint8_t buffer[TIER_SUPER_BYTES];

		if (!(portal->health & (1u << copy)))
			continue;
		snprintf(object, sizeof(object), "superblock copy %u", copy);
		snprintf(text, sizeof(text), "restored from copy %u", copy ^ 1);
		if (!repair->how->dry_run) {
			/* Decoded, it is exactly what was read: else it would not have been. */
			tier_super_encode(&portal->super, buffer);
			memcpy(to, buffer, sizeof(buffer));
			cache_flush(portal->cache, to, sizeof(buffer));
			portal->health &= ~(1u << copy);
		}
		note_written(repair, 0, object, text);
	}
}

/* NULL, or why none of this place's records may be written now. */
static const char *not_ours(const struct repair *repair, struct portal_place place,
			    enum portal_pair_state state, char buffer[static 96])
{
	if (place.host != repair->how->host) {
		snprintf(buffer, 96,
			 "only %s may write it: run tierctl portal check --repair there",
			 repair->super->hosts[place.host].name);
		return buffer;
	}
	if (repair->how->no_records)
		return repair->how->no_records;
	return state == PORTAL_PAIR_RESTLESS ? "it is being written all the time" : NULL;
}

/* Needs a look, and may be written by this host. */
static bool damaged(struct repair *repair, struct portal_place place, const char *object,
		    enum portal_pair_state *ret)
{
	char buffer[96];
	const char *why;

	*ret = portal_pair_look(repair->portal, place, NULL);
	/* What is torn counts as never written, and the next writing heals it. */
	if (*ret == PORTAL_PAIR_NEVER || *ret == PORTAL_PAIR_TORN || *ret == PORTAL_PAIR_GOOD)
		return false;
	why = not_ours(repair, place, *ret, buffer);
	if (why)
		note(repair, TIER_REPAIR_LEFT, object, "%s", why);
	return !why;
}

static const char again[] = "both copies written from the good one";

/* An open flight whose VM has a process here belongs to this boot, whatever number that had. */
static bool flight_here(struct repair *repair, char vm[static 64])
{
	uint32_t self = repair->how->host;

	for (uint32_t i = 0; i < repair->super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		struct tier_offer offer;

		if (tier_portal_read_offer(repair->portal, i / TIER_PORTAL_FLIGHTS,
					   i % TIER_PORTAL_FLIGHTS, &offer) != 0 ||
		    !portal_flight_open(&offer) ||
		    (offer.source != self && offer.destination != self))
			continue;
		if (repair->how->machine_here &&
		    !repair->how->machine_here(repair->how->userdata, offer.vm))
			continue;
		memcpy(vm, offer.vm, sizeof(offer.vm));
		return true;
	}
	return false;
}

static void new_host_record(struct repair *repair, const char *object)
{
	uint32_t self = repair->how->host;
	struct tier_host_record record = {.boot = repair->how->boot};
	uint64_t highest;
	char text[96], vm[64];
	int r = portal_highest_incarnation(repair->portal, self, &highest);

	if (flight_here(repair, vm)) {
		note(repair, TIER_REPAIR_LEFT, object,
		     "VM %s of an open flight has a process here, and a new boot would end its "
		     "part: end the flight or the VM first",
		     vm);
		return;
	}
	if (r == 0 && highest >= INT64_MAX)
		r = -EOVERFLOW;
	record.stamp.incarnation = highest + 1;
	copy_string(record.name, sizeof(record.name), repair->super->hosts[self].name);
	if (r == 0 && !repair->how->dry_run)
		r = tier_portal_write_host(repair->portal, self, &record);
	snprintf(text, sizeof(text),
		 "new record, incarnation %" PRIu64 ": other records know %" PRIu64,
		 record.stamp.incarnation, highest);
	note_written(repair, r, object, text);
	if (r == 0)
		repair->incarnation = record.stamp.incarnation;
}

static void repair_host(struct repair *repair, uint32_t host)
{
	struct portal_place place = {TIER_RECORD_HOST, host, 0};
	struct tier_host_record record;
	enum portal_pair_state state;
	char object[64];
	int r = tier_portal_read_host(repair->portal, host, &record);

	if (r == 0 && host == repair->how->host)
		repair->incarnation = record.stamp.incarnation;
	snprintf(object, sizeof(object), "host %s", repair->super->hosts[host].name);
	if (!damaged(repair, place, object, &state))
		return;
	if (state == PORTAL_PAIR_BAD) {
		new_host_record(repair, object);
		return;
	}
	if (r == 0 && !repair->how->dry_run)
		r = tier_portal_write_host(repair->portal, host, &record);
	note_written(repair, r, object, again);
}

/* Of an extent nothing of which is known but what offers say. */
static int rebuild_extent(struct repair *repair, uint32_t extent, struct tier_extent_record *ret)
{
	struct tier_offer offer;
	int r = portal_extent_flight(repair->portal, extent, &offer);

	*ret = (struct tier_extent_record){
		.stamp = {.incarnation = repair->incarnation, .generation = 1},
		.extent = extent,
		.state = TIER_EXTENT_SCRUB,
		.owner = repair->how->host,
		.owner_incarnation = repair->incarnation,
		.flight = repair->super->uuid, /* of no flight: it must be something */
	};
	if (r == 0) {
		ret->state = TIER_EXTENT_CLAIMED;
		ret->owner = offer.source;
		ret->owner_incarnation = offer.source_incarnation;
		ret->flight = offer.flight;
	}
	return r == TIER_E_NOT_FOUND ? 0 : r;
}

static void repair_extent(struct repair *repair, uint32_t host, uint32_t extent)
{
	struct portal_place place = {TIER_RECORD_EXTENT, host, extent};
	struct tier_extent_record record;
	enum portal_pair_state state;
	char object[64];
	int r;

	snprintf(object, sizeof(object), "extent %u", extent);
	if (!damaged(repair, place, object, &state))
		return;
	if (state == PORTAL_PAIR_BAD && repair->incarnation == 0) {
		note(repair, TIER_REPAIR_LEFT, object,
		     "which boot of this host writes it is not known: its host record comes first");
		return;
	}
	r = state == PORTAL_PAIR_BAD ? rebuild_extent(repair, extent, &record)
				     : tier_portal_read_extent(repair->portal, extent, &record);
	if (r == TIER_E_DAMAGED) {
		note(repair, TIER_REPAIR_LEFT, object,
		     "an offer that cannot be read may list it, or several do: nobody gets it");
		return;
	}
	if (r == 0 && !repair->how->dry_run)
		r = tier_portal_write_extent(repair->portal, &record);
	note_written(repair, r, object,
		     state != PORTAL_PAIR_BAD ? again
		     : record.state == TIER_EXTENT_CLAIMED
			     ? "claimed again for the flight that lists it"
			     : "no flight lists it: to be scrubbed");
}

static void repair_fence(struct repair *repair, uint32_t host, uint32_t target)
{
	struct portal_place place = {TIER_RECORD_FENCE, host, target};
	struct tier_fence_record record;
	enum portal_pair_state state;
	char object[64];
	int r;

	snprintf(object, sizeof(object), "fence of %.24s by %.24s",
		 repair->super->hosts[target].name, repair->super->hosts[host].name);
	if (!damaged(repair, place, object, &state))
		return;
	if (state == PORTAL_PAIR_BAD) {
		note(repair, TIER_REPAIR_LEFT, object,
		     "whether it is fenced is not known: tierctl portal fence %s stores it anew",
		     repair->super->hosts[target].name);
		return;
	}
	r = tier_portal_read_fence(repair->portal, host, target, &record);
	if (r == 0 && !repair->how->dry_run)
		r = tier_portal_write_fence(repair->portal, &record);
	note_written(repair, r, object, again);
}

static const char still_open[] =
	"its flight is not over, so it is left alone; its next writing heals it";
static const char emptied[] = "the slot is emptied: nothing hangs on what was in it";

/* An emptied slot counts on from what its answers have seen. */
static uint64_t last_generation(struct repair *repair, uint32_t slot)
{
	uint64_t generation = 0;

	for (uint32_t i = 0; i < repair->super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		struct tier_answer answer;

		if (tier_portal_read_answer(repair->portal, i / TIER_PORTAL_FLIGHTS,
					    i % TIER_PORTAL_FLIGHTS, &answer) == 0 &&
		    answer.state != TIER_FLIGHT_NONE && answer.source == repair->how->host &&
		    answer.source_slot == slot)
			generation = MAX(generation, answer.stamp.generation);
	}
	return generation;
}

static void repair_offer(struct repair *repair, uint32_t host, uint32_t slot)
{
	struct portal_place place = {TIER_RECORD_OFFER, host, slot};
	struct tier_offer offer = {.source = host};
	enum portal_pair_state state;
	char object[64], why[256];
	bool needed = true;
	int r;

	snprintf(object, sizeof(object), "offer %s/%u", repair->super->hosts[host].name, slot);
	if (!damaged(repair, place, object, &state))
		return;
	r = tier_portal_read_offer(repair->portal, host, slot, &offer);
	if (state == PORTAL_PAIR_BAD) {
		portal_explain_offer(repair->portal, host, slot, &needed, why);
		r = 0;
	}
	if (r == 0 && state != PORTAL_PAIR_BAD && portal_flight_open(&offer)) {
		note(repair, TIER_REPAIR_LEFT, object, "%s", still_open);
		return;
	}
	if (state == PORTAL_PAIR_BAD && (needed || repair->incarnation == 0)) {
		note(repair, TIER_REPAIR_LEFT, object, "not known, so not invented: %s", why);
		return;
	}
	if (state == PORTAL_PAIR_BAD)
		offer.stamp = (struct tier_stamp){.incarnation = repair->incarnation,
						  .generation = last_generation(repair, slot)};
	if (r == 0 && !repair->how->dry_run)
		r = tier_portal_write_offer(repair->portal, slot, &offer);
	note_written(repair, r, object, state == PORTAL_PAIR_BAD ? emptied : again);
}

static void repair_answer(struct repair *repair, uint32_t host, uint32_t slot)
{
	struct portal_place place = {TIER_RECORD_ANSWER, host, slot};
	struct tier_answer answer = {};
	enum portal_pair_state state;
	char object[64], why[256];
	bool needed = true;
	int r;

	snprintf(object, sizeof(object), "answer %s/%u", repair->super->hosts[host].name, slot);
	if (!damaged(repair, place, object, &state))
		return;
	r = tier_portal_read_answer(repair->portal, host, slot, &answer);
	if (state == PORTAL_PAIR_BAD) {
		portal_explain_answer(repair->portal, host, &needed, why);
		r = 0;
	}
	if (r == 0 && state != PORTAL_PAIR_BAD && portal_answer_open(repair->portal, &answer)) {
		note(repair, TIER_REPAIR_LEFT, object, "%s", still_open);
		return;
	}
	if (state == PORTAL_PAIR_BAD && (needed || repair->incarnation == 0)) {
		note(repair, TIER_REPAIR_LEFT, object, "not known, so not invented: %s", why);
		return;
	}
	if (state == PORTAL_PAIR_BAD)
		answer.stamp = (struct tier_stamp){.incarnation = repair->incarnation};
	if (r == 0 && !repair->how->dry_run)
		r = tier_portal_write_answer(repair->portal, host, slot, &answer);
	note_written(repair, r, object, state == PORTAL_PAIR_BAD ? emptied : again);
}

/* Host records first: which boot this is goes into what is written after it. */
static void repair_all(struct repair *repair)
{
	uint32_t hosts = repair->super->host_count;

	repair_super(repair);
	for (uint32_t host = 0; host < hosts; host++)
		repair_host(repair, host);
	for (uint32_t host = 0; host < hosts; host++) {
		const struct tier_portal_slot *slot = &repair->super->hosts[host];

		for (uint32_t i = 0; i < slot->extent_count; i++)
			repair_extent(repair, host, slot->first_extent + i);
		for (uint32_t target = 0; target < hosts; target++)
			if (target != host)
				repair_fence(repair, host, target);
		for (uint32_t i = 0; i < TIER_PORTAL_FLIGHTS; i++) {
			repair_offer(repair, host, i);
			repair_answer(repair, host, i);
		}
	}
}

int tier_portal_repair(struct tier_portal *portal, const struct tier_repairing *repairing,
		       struct tier_repair **ret_repairs, size_t *ret_count)
{
	struct repair repair = {
		.portal = portal, .super = tier_portal_super(portal), .how = repairing};

	if (!portal->writable && !repairing->dry_run)
		return -EROFS;
	repair_all(&repair);
	if (repair.no_memory) {
		free(repair.items);
		return -ENOMEM;
	}
	*ret_repairs = repair.items;
	*ret_count = repair.count;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host concludes from the records of a flight, whatever they say, and while they change under
 * its eyes. libtier reads them from a portal in memory, decides for every host and every state of
 * its own, and is held to this: a host that is told to run the VM is the one that the records name,
 * nobody else is told the same from the same records, and nothing runs where they contradict each
 * other. make-portal-corpus.c writes the seeds.
 */
#include <inttypes.h>
#include <poll.h>

#include "checks.h"
#include "memory-portal.h"
#include "tier-flight.h"
#include "tier-handoff.h"

enum {
	FLIGHT_KEYED = 1 << 0,
	FLIGHT_NAMED = 1 << 1, /* looked at by its uuid */
	FLIGHT_STALE = 1 << 2, /* what was looked at before is left in the view */
	FLIGHT_CHECK = 7 << 5, /* also what `tierctl portal check` makes of it, which takes long */
	FLIGHT_SLOT = 3,       /* of the offer */
};

static bool plan_has(const enum tier_handoff_step *plan, enum tier_handoff_step step)
{
	bool found = false;
	unsigned i;

	for (i = 0; i < TIER_HANDOFF_STEPS && plan[i] != TIER_STEP_END; i++)
		found = found || plan[i] == step;
	HOLDS(i < TIER_HANDOFF_STEPS);
	return found;
}

/* What this host may be told, over everything that it may know of itself. */
struct told {
	bool resume; /* as the source: it is told to run the VM */
	bool run;    /* as the taker */
};

static struct told ask(const struct tier_handoff_view *from)
{
	struct tier_handoff_view view = *from;
	struct told told = {};

	for (unsigned bits = 0; bits < 3u << 6; bits++) {
		enum tier_handoff_action action;

		view.vm = (enum tier_handoff_vm)(bits >> 6);
		view.granted = bits & 1;
		view.cancelled = bits >> 1 & 1;
		view.failed = bits >> 2 & 1;
		view.stuck = bits >> 3 & 1;
		view.recovering = bits >> 4 & 1;
		view.now_usec = 2;
		view.deadline_usec = bits >> 5 & 1;
		if (view.self == view.offer.source) {
			action = tier_handoff_source(&view);
			HOLDS(action < _TIER_HANDOFF_MAX);
			told.resume = told.resume || plan_has(tier_handoff_source_plan(action),
							      TIER_STEP_RESUME_VM);
		} else if (view.self != TIER_PORTAL_NO_HOST) {
			action = tier_handoff_taker(&view);
			HOLDS(action < _TIER_HANDOFF_MAX);
			plan_has(tier_handoff_taker_plan(action), TIER_STEP_END);
			told.run = told.run || action == TIER_HANDOFF_RUN;
		}
	}
	return told;
}

static void check_advice(const struct tier_super *super, const struct tier_handoff_view *view)
{
	char text[192 + 8];

	memset(text, 0x7f, sizeof(text));
	tier_handoff_advice(super, view, text);
	check_text(text, 192);
	HOLDS(text[0] != '\0');
	for (size_t i = 192; i < sizeof(text); i++)
		HOLDS(text[i] == 0x7f);
}

static void check_view(const struct tier_super *super, const struct tier_handoff_view *view)
{
	check_stamp(view->offer.state == TIER_FLIGHT_NONE ? &(struct tier_stamp){1, 1, 1}
							  : &view->offer.stamp);
	if (view->offer.state != TIER_FLIGHT_NONE)
		check_offer(super, &view->offer);
	HOLDS(view->offer.source < super->host_count &&
	      view->offer.destination < super->host_count);
	for (uint32_t host = 0; host < TIER_PORTAL_MAX_HOSTS; host++) {
		const struct tier_handoff_fence *fence = &view->fences[host];
		const struct tier_answer *answer = &view->answers[host];

		HOLDS(host < super->host_count ||
		      (answer->state == TIER_FLIGHT_NONE && fence->intended == 0 &&
		       view->incarnations[host] == 0));
		HOLDS(fence->intended >= fence->fenced);
		if (host >= super->host_count)
			continue;
		HOLDS(fence->heir == TIER_PORTAL_NO_HOST ||
		      (fence->fenced != 0 && fence->heir < super->host_count &&
		       fence->heir != host));
		HOLDS(fence->fenced == 0 || fence->heir != TIER_PORTAL_NO_HOST);
		if (answer->state == TIER_FLIGHT_NONE)
			continue;
		check_answer(super, host, answer);
		HOLDS(view->answer_slots[host] < TIER_PORTAL_FLIGHTS);
		HOLDS(memcmp(&answer->flight, &view->offer.flight, sizeof(answer->flight)) == 0);
	}
}

/* What the records say that were read, for whoever is told that something does not hold. */
static void describe(const struct tier_super *super, const struct tier_handoff_view *view,
		     const char *what)
{
	const struct tier_offer *offer = &view->offer;

	fprintf(stderr,
		"%s, by host %u of boot %" PRIu64 ": offer %u>%u %s of boot %" PRIu64
		" to boot %" PRIu64 "\n",
		what, view->self, view->incarnation, offer->source, offer->destination,
		tier_flight_state_name(offer->state), offer->source_incarnation,
		offer->destination_incarnation);
	for (uint32_t host = 0; host < super->host_count; host++)
		fprintf(stderr,
			"  host %u: boot %" PRIu64 ", fenced to %" PRIu64 " (intent %" PRIu64
			"), heir %d, answer %s of boot %" PRIu64 "\n",
			host, view->incarnations[host], view->fences[host].fenced,
			view->fences[host].intended, (int)view->fences[host].heir,
			tier_flight_state_name(view->answers[host].state),
			view->answers[host].stamp.incarnation);
}

/* One host's look: whether it got to see all, and what it is told. */
static bool look(struct tape *tape, uint32_t source, uint32_t self, unsigned how,
		 struct tier_handoff_view *view, struct told *ret)
{
	const struct tier_super *super = &memory.portal.super;
	struct tier_handoff_holder holder;
	struct told told;
	int r;

	view->self = self;
	r = tier_portal_look(&memory.portal, source, FLIGHT_SLOT,
			     how & FLIGHT_NAMED ? &fuzz_flight : NULL, view);
	HOLDS(r == 0 || r == TIER_E_DAMAGED);
	if (r != 0)
		return false;
	check_view(super, view);
	check_advice(super, view);
	holder = tier_handoff_holder(view);
	HOLDS(holder.host == TIER_PORTAL_NO_HOST || holder.host < super->host_count);
	if (self >= super->host_count) {
		ask(view);
		*ret = (struct told){};
		return true;
	}
	/*
	 * The boot that its host record tells of, or another if that is not its own; but none before
	 * the one in which it says that it ran the VM: it knows which offers it has not written.
	 */
	view->incarnation = MAX(tape_or(tape, view->incarnations[self]), (uint64_t)1);
	if (self == source)
		view->incarnation = MAX(view->incarnation, view->offer.source_incarnation);
	told = ask(view);
	if ((told.resume || told.run) && (holder.conflict || holder.over || holder.host != self))
		describe(super, view, told.run ? "told to RUN" : "told to resume");
	if (told.resume || told.run) {
		HOLDS(!holder.conflict);
		HOLDS(!holder.over);
		HOLDS(holder.host == self);
	}
	*ret = told;
	return true;
}

static void put_blob(struct tape *tape, const struct tier_super *super, uint32_t source,
		     const uint8_t *bytes, size_t size, struct tier_blob *blob)
{
	uint64_t area_bytes, area = tier_blob_area(super, source, &area_bytes);

	if (blob->offset < area || blob->offset - area > area_bytes ||
	    size > area_bytes - (blob->offset - area))
		return;
	memory_put(blob->offset, bytes, size);
	blob->bytes = tape_or(tape, size);
	blob->crc32c = tier_crc32c(0, bytes, MIN(size, blob->bytes));
	tier_blob_mac(super, &fuzz_flight, bytes, MIN(size, blob->bytes), blob->mac);
}

/* Whose records there are, and what they say. */
static void set_scene(struct tape *tape, uint32_t source)
{
	const struct tier_super *super = &memory.portal.super;
	uint8_t bytes[TIER_RECORD_MAX_BYTES], state[256] = {};
	struct tier_offer offer;
	unsigned count;
	uint8_t *manifest;
	size_t size;

	for (uint32_t host = 0; host < FUZZ_HOSTS; host++) {
		struct tier_host_record record = make_host(tape, super, host);

		tier_host_encode(super, host, &record, bytes);
		memory_record(tape, TIER_RECORD_HOST, host, 0, bytes);
	}
	offer = make_offer(tape, super, source);
	if (offer.state >= TIER_FLIGHT_PUBLISHED && tape_byte(tape) < 0xc0) {
		manifest = make_manifest(tape, super, &offer, &size);
		put_blob(tape, super, source, manifest, size, &offer.manifest);
		free(manifest);
		put_blob(tape, super, source, state, sizeof(state), &offer.state_blob);
	}
	tier_offer_encode(super, FLIGHT_SLOT, &offer, bytes);
	memory_record(tape, TIER_RECORD_OFFER, source, FLIGHT_SLOT, bytes);
	count = tape_below(tape, 6);
	for (unsigned i = 0; i < count; i++) {
		uint32_t host = (source + 1 + tape_below(tape, FUZZ_HOSTS - 1)) % FUZZ_HOSTS;
		uint32_t slot = tape_below(tape, 3);
		struct tier_answer answer = make_answer(tape, source, FLIGHT_SLOT);

		tier_answer_encode(super, host, slot, &answer, bytes);
		memory_record(tape, TIER_RECORD_ANSWER, host, slot, bytes);
	}
	count = tape_below(tape, 4);
	for (unsigned i = 0; i < count; i++) {
		uint32_t index = tape_below(tape, super->extent_count);
		struct tier_extent_record extent = make_extent(tape, index);

		tier_extent_encode(super, &extent, bytes);
		memory_record(tape, TIER_RECORD_EXTENT, tier_super_extent_home(super, index), index,
			      bytes);
	}
	count = tape_below(tape, 6);
	for (unsigned i = 0; i < count; i++) {
		uint32_t host = tape_below(tape, FUZZ_HOSTS);
		uint32_t target = (host + 1 + tape_below(tape, FUZZ_HOSTS - 1)) % FUZZ_HOSTS;
		struct tier_fence_record fence = make_fence(tape, host, target);

		tier_fence_encode(super, &fence, bytes);
		memory_record(tape, TIER_RECORD_FENCE, host, target, bytes);
	}
}

static void read_blobs(uint32_t source)
{
	struct tier_portal *portal = &memory.portal;
	struct tier_offer offer;
	void *data = NULL;

	if (tier_portal_read_offer(portal, source, FLIGHT_SLOT, &offer) != 0)
		return;
	check_offer(&portal->super, &offer);
	if (tier_portal_read_blob(portal, source, &offer.flight, &offer.state_blob, &data, NULL) ==
	    0)
		HOLDS(tier_crc32c(0, data, offer.state_blob.bytes) == offer.state_blob.crc32c);
	free(data);
	data = NULL;
	if (tier_portal_read_blob(portal, source, &offer.flight, &offer.manifest, &data, NULL) == 0)
		check_manifest_bytes(&portal->super, &offer, data, offer.manifest.bytes);
	free(data);
}

/* Gives and takes back no extent but its own, each once. */
static void check_home(uint32_t self, const struct tier_handoff_view *view)
{
	const struct tier_super *super = &memory.portal.super;
	struct tier_home_task *tasks = NULL;
	size_t count = 0;
	bool idle;

	HOLDS(tier_portal_home_look(&memory.portal, self, view, UINT32_MAX, &tasks, &count,
				    &idle) == 0);
	HOLDS(count <= super->hosts[self].extent_count);
	for (size_t i = 0; i < count; i++) {
		HOLDS(tier_super_extent_home(super, tasks[i].extent) == self);
		HOLDS(i == 0 || tasks[i].extent > tasks[i - 1].extent);
		HOLDS(tasks[i].owner < super->host_count && tasks[i].owner_incarnation != 0);
		HOLDS(tier_handoff_home_plan(tasks[i].action)[0] != TIER_STEP_END);
	}
	free(tasks);
}

/* In the place of poll(): libtier waits for a writer that may be between two copies; none is, here. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return 0;
}

/* Whatever is found goes to a terminal. */
static void check_findings(void)
{
	struct tier_finding *findings = NULL;
	size_t count = 0;

	if (tier_portal_check(&memory.portal, &findings, &count) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		check_text(findings[i].object, sizeof(findings[i].object));
		check_text(findings[i].text, sizeof(findings[i].text));
		check_text(findings[i].next, sizeof(findings[i].next));
		HOLDS(findings[i].object[0] && findings[i].text[0]);
		HOLDS(i == 0 || !findings[i].bad || findings[i - 1].bad);
	}
	free(findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = {data, size};
	unsigned how = tape_byte(&tape);
	uint32_t source = (how >> 3 & 3) % FUZZ_HOSTS, selves[] = {0, 1, 2, TIER_PORTAL_NO_HOST};
	static struct tier_handoff_view view, fresh;
	struct told told, all = {};

	memory_reset((how & FLIGHT_KEYED) != 0);
	set_scene(&tape, source);
	view = fresh;
	/* While they change. */
	look(&tape, source, tape_below(&tape, FUZZ_HOSTS), how, &view, &told);
	read_blobs(source);
	memory.strike_count = 0;
	/* At rest: what all of them together are told. */
	for (size_t i = 0; i < ARRAY_SIZE(selves); i++) {
		if (!(how & FLIGHT_STALE))
			view = fresh;
		if (!look(&tape, source, selves[i], how, &view, &told))
			break;
		if ((told.resume || told.run) && (all.resume || all.run))
			describe(&memory.portal.super, &view, "told to run as well");
		HOLDS(!(told.resume && all.run) && !(told.run && (all.resume || all.run)));
		all.resume = all.resume || told.resume;
		all.run = all.run || told.run;
	}
	read_blobs(source);
	if ((how & FLIGHT_CHECK) == FLIGHT_CHECK)
		check_findings();
	if (tier_portal_look_hosts(&memory.portal, &view) == 0)
		check_home(source, &view);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "portal-pair.h"
#include "tier-flight.h"
#include "util.h"

/* A record of an earlier portal, or of another place in this one, fails like any other damage. */
static const char no_good_copy[] = "both copies are damaged, or not of this portal";

struct findings {
	struct tier_finding *items;
	size_t count;
	bool no_memory;
};

__attribute__((format(printf, 4, 5))) static void add(struct findings *findings, bool bad,
						      const char *object, const char *format, ...)
{
	struct tier_finding *finding =
		array_grow(&findings->items, &findings->count, sizeof(*findings->items));
	va_list arguments;

	if (!finding) {
		findings->no_memory = true;
		return;
	}
	finding->bad = bad;
	copy_string(finding->object, sizeof(finding->object), object);
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof(finding->text), format, arguments);
	va_end(arguments);
}

/* To the finding that was added last. */
__attribute__((format(printf, 2, 3))) static void advise(struct findings *findings,
							 const char *format, ...)
{
	struct tier_finding *finding;
	va_list arguments;

	if (findings->count == 0 || findings->no_memory)
		return;
	finding = &findings->items[findings->count - 1];
	va_start(arguments, format);
	vsnprintf(finding->next, sizeof(finding->next), format, arguments);
	va_end(arguments);
}

static void check_super(struct tier_portal *portal, struct findings *findings)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		bool bad = (portal->health & (1u << copy)) != 0;
		char object[64];

		snprintf(object, sizeof(object), "superblock copy %u", copy);
		add(findings, bad, object, bad ? "damaged; the other copy is used" : "good");
		if (bad)
			advise(findings, "tierctl portal check --repair restores it, on any host");
	}
}

/* Its two copies; true if there is a record that can be read. */
static bool check_pair(struct tier_portal *portal, enum tier_record_kind kind, uint32_t host,
		       uint32_t index, const char *object, struct findings *findings)
{
	unsigned copy = 0;
	enum portal_pair_state state =
		portal_pair_look(portal, (struct portal_place){kind, host, index}, &copy);

	switch (state) {
	case PORTAL_PAIR_NEVER:
		return false;
	case PORTAL_PAIR_TORN:
		add(findings, false, object,
		    "its first writing was interrupted: it counts as never written");
		return false;
	case PORTAL_PAIR_GOOD:
		return true;
	case PORTAL_PAIR_BEHIND:
		add(findings, true, object,
		    "its writing was interrupted between the copies; the newer one counts");
		break;
	case PORTAL_PAIR_HALF:
		add(findings, true, object,
		    "copy %u damaged, or its writing was interrupted; the other one counts", copy);
		break;
	case PORTAL_PAIR_BAD:
		add(findings, true, object, "%s", no_good_copy);
		break;
	case PORTAL_PAIR_RESTLESS:
		add(findings, true, object, "it is being written all the time");
		return false;
	}
	advise(findings, "tierctl portal check --repair, on %s", portal->super.hosts[host].name);
	return state != PORTAL_PAIR_BAD;
}

static void check_host(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	struct tier_host_record record;
	char object[64];
	int r;

	snprintf(object, sizeof(object), "host %s", portal->super.hosts[host].name);
	check_pair(portal, TIER_RECORD_HOST, host, 0, object, findings);
	r = tier_portal_read_host(portal, host, &record);
	if (r == TIER_E_NOT_FOUND)
		add(findings, false, object, "has never written");
	else if (r == 0)
		add(findings, false, object, "good, boot %" PRIu64 ", beat %" PRIu64,
		    record.stamp.incarnation, record.stamp.generation);
}

static void describe_fence(const struct tier_super *super, const struct tier_fence_record *record,
			   char *text, size_t size)
{
	const char *heir = super->hosts[record->fenced_heir].name;
	size_t length = (size_t)snprintf(text, size, "%s, boots up to %" PRIu64,
					 tier_fence_state_name(record->state), record->upto);

	if (record->state == TIER_FENCE_FENCED)
		snprintf(text + length, size - length, ", heir is %s", heir);
	else if (record->fenced_upto)
		snprintf(text + length, size - length, "; FENCED up to %" PRIu64 ", heir is %s",
			 record->fenced_upto, heir);
}

static void check_fences(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	const struct tier_super *super = &portal->super;

	for (uint32_t target = 0; target < super->host_count; target++) {
		struct tier_fence_record record;
		char object[64], text[192];

		if (target == host)
			continue;
		snprintf(object, sizeof(object), "fence of %.24s by %.24s",
			 super->hosts[target].name, super->hosts[host].name);
		if (!check_pair(portal, TIER_RECORD_FENCE, host, target, object, findings)) {
			if (tier_portal_read_fence(portal, host, target, &record) !=
			    TIER_E_NOT_FOUND)
				advise(findings, "tierctl portal fence %s, on %s, stores it anew",
				       super->hosts[target].name, super->hosts[host].name);
			continue;
		}
		if (tier_portal_read_fence(portal, host, target, &record) != 0 ||
		    record.state == TIER_FENCE_NONE)
			continue;
		describe_fence(super, &record, text, sizeof(text));
		add(findings, false, object, "%s", text);
		if (record.state == TIER_FENCE_INTENT)
			advise(findings, "if nobody is at it: tierctl portal fence %s, on %s",
			       super->hosts[target].name, super->hosts[host].name);
	}
}

/* The flight that may hold an extent: what the offers of all hosts say. */
static bool flight_known(struct tier_portal *portal, const struct tier_uuid *flight)
{
	struct tier_offer offer;

	for (uint32_t host = 0; host < portal->super.host_count; host++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++)
			if (tier_portal_read_offer(portal, host, slot, &offer) == 0 &&
			    memcmp(&offer.flight, flight, sizeof(*flight)) == 0)
				return true;
	return false;
}

/* Claims that nobody needs, by the table that the home goes by. */
static void check_needless(struct tier_portal *portal, uint32_t host,
			   const struct tier_handoff_view *view, struct findings *findings)
{
	_cleanup_free_ struct tier_home_task *tasks = NULL;
	size_t count = 0;
	int r = tier_portal_home_look(portal, host, view, 0, &tasks, &count, NULL);

	if (r == -ENOMEM)
		findings->no_memory = true;
	for (size_t i = 0; r == 0 && i < count; i++) {
		bool known = flight_known(portal, &tasks[i].flight);
		char object[64], uuid[37];

		if (tasks[i].action != TIER_HANDOFF_RECLAIM)
			continue;
		tier_uuid_format(&tasks[i].flight, uuid);
		snprintf(object, sizeof(object), "extent %u", tasks[i].extent);
		add(findings, !known, object,
		    known ? "claimed for flight %s, which does not need it any more"
			  : "claimed for flight %s, which nobody offers",
		    uuid);
		advise(findings, "cxl-tierd on %s takes it back", portal->super.hosts[host].name);
	}
}

static void check_extents(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	const struct tier_portal_slot *slot = &portal->super.hosts[host];
	uint32_t states[TIER_EXTENT_RETIRED + 1] = {};
	char object[64];

	for (uint32_t i = 0; i < slot->extent_count; i++) {
		uint32_t extent = slot->first_extent + i;
		struct tier_extent_record record = {.state = TIER_EXTENT_FREE};
		int r;

		snprintf(object, sizeof(object), "extent %u", extent);
		check_pair(portal, TIER_RECORD_EXTENT, host, extent, object, findings);
		r = tier_portal_read_extent(portal, extent, &record);
		if (r == 0 || r == TIER_E_NOT_FOUND)
			states[record.state]++;
	}
	snprintf(object, sizeof(object), "extents of %s", slot->name);
	add(findings, false, object, "%u free, %u claimed, %u to be scrubbed, %u retired",
	    states[TIER_EXTENT_FREE], states[TIER_EXTENT_CLAIMED], states[TIER_EXTENT_SCRUB],
	    states[TIER_EXTENT_RETIRED]);
}

/* Every extent of an open flight is claimed for it; a record has one flight, so none has two. */
static void check_claims(struct tier_portal *portal, const struct tier_offer *offer,
			 const char *object, struct findings *findings)
{
	for (uint32_t i = 0; i < offer->range_count; i++)
		for (uint32_t j = 0; j < offer->ranges[i].count; j++) {
			uint32_t extent = offer->ranges[i].first + j;
			struct tier_extent_record record;
			int r = tier_portal_read_extent(portal, extent, &record);

			if (r == 0 && record.state == TIER_EXTENT_CLAIMED &&
			    memcmp(&record.flight, &offer->flight, sizeof(offer->flight)) == 0)
				continue;
			add(findings, true, object, "extent %u is not claimed for it", extent);
		}
}

static void check_blobs(struct tier_portal *portal, const struct tier_offer *offer,
			const char *object, struct findings *findings)
{
	struct tier_manifest *manifest = NULL;
	_cleanup_free_ void *text = NULL, *state = NULL;
	struct tier_problem problem;
	int r;

	r = tier_portal_read_blob(portal, offer->source, &offer->flight, &offer->manifest, &text,
				  &problem);
	if (r == 0)
		r = tier_manifest_decode(&portal->super, offer, text, offer->manifest.bytes,
					 &manifest, &problem);
	if (r == -ENOMEM)
		findings->no_memory = true;
	else if (r != 0)
		add(findings, true, object, "manifest: %s", problem.text);
	else
		add(findings, false, object, "manifest good, %zu runs", manifest->run_count);
	tier_manifest_free(manifest);
	r = tier_portal_read_blob(portal, offer->source, &offer->flight, &offer->state_blob, &state,
				  &problem);
	if (r == -ENOMEM)
		findings->no_memory = true;
	else if (r != 0)
		add(findings, true, object, "device state: %s", problem.text);
}

/* By the records alone: does it wait for somebody who does not come? */
static bool stuck(const struct tier_handoff_view *view)
{
	const struct tier_offer *offer = &view->offer;
	struct tier_handoff_holder holder = tier_handoff_holder(view);

	return holder.conflict || holder.lost ||
	       tier_handoff_dead(view, offer->source, offer->source_incarnation) ||
	       tier_handoff_dead(view, offer->destination, offer->destination_incarnation);
}

static void check_advice(struct tier_portal *portal, const struct tier_offer *offer, uint32_t slot,
			 const char *object, struct findings *findings)
{
	struct tier_handoff_view view = {.self = TIER_PORTAL_NO_HOST};
	char advice[192];
	int r = tier_portal_look(portal, offer->source, slot, &offer->flight, &view);

	if (r) {
		add(findings, true, object,
		    "stuck: a record that it is decided on cannot be read, so nobody may act");
		return;
	}
	if (!stuck(&view))
		return;
	tier_handoff_advice(&portal->super, &view, advice);
	add(findings, true, object, "stuck: the boot of a host that it ran on or is for is over");
	advise(findings, "%s", advice);
}

static void check_offer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			struct findings *findings)
{
	struct tier_answer answer;
	struct tier_offer offer;
	char object[64], why[256];
	bool needed;
	int r;

	snprintf(object, sizeof(object), "offer %s/%u", portal->super.hosts[host].name, slot);
	if (!check_pair(portal, TIER_RECORD_OFFER, host, slot, object, findings)) {
		if (tier_portal_read_offer(portal, host, slot, &offer) == TIER_E_NOT_FOUND)
			return;
		portal_explain_offer(portal, host, slot, &needed, why);
		advise(findings, "%s", why);
		return;
	}
	if (tier_portal_read_offer(portal, host, slot, &offer) != 0 ||
	    offer.state == TIER_FLIGHT_NONE)
		return;
	r = tier_portal_find_answer(portal, offer.destination, &offer, slot, &answer, NULL);
	add(findings, false, object, "%s, VM %s, answer %s", tier_flight_state_name(offer.state),
	    offer.vm, tier_flight_state_name(r == 0 ? answer.state : TIER_FLIGHT_NONE));
	if (!portal_flight_open(&offer))
		return;
	check_advice(portal, &offer, slot, object, findings);
	/* Whoever takes the VM back gives the extents back, too. */
	if (offer.state != TIER_FLIGHT_WITHDRAWN)
		check_claims(portal, &offer, object, findings);
	if (offer.state == TIER_FLIGHT_PUBLISHED || offer.state == TIER_FLIGHT_COMMITTED)
		check_blobs(portal, &offer, object, findings);
}

static void check_answer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			 struct findings *findings)
{
	struct tier_answer answer;
	char object[64], why[256];
	bool needed;

	snprintf(object, sizeof(object), "answer %s/%u", portal->super.hosts[host].name, slot);
	if (check_pair(portal, TIER_RECORD_ANSWER, host, slot, object, findings) ||
	    tier_portal_read_answer(portal, host, slot, &answer) == TIER_E_NOT_FOUND)
		return;
	portal_explain_answer(portal, host, &needed, why);
	advise(findings, "%s", why);
}

static int bad_first(const void *a, const void *b)
{
	const struct tier_finding *const *left = a, *const *right = b;

	if ((*left)->bad != (*right)->bad)
		return (*left)->bad ? -1 : 1;
	return (*left > *right) - (*left < *right);
}

/* Bad ones first, otherwise in the order in which they were found. */
static int sort(struct findings *findings)
{
	_cleanup_free_ struct tier_finding **order = calloc(findings->count + 1, sizeof(*order));
	struct tier_finding *sorted = calloc(findings->count + 1, sizeof(*sorted));

	if (!order || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < findings->count; i++)
		order[i] = &findings->items[i];
	qsort(order, findings->count, sizeof(struct tier_finding *), bad_first);
	for (size_t i = 0; i < findings->count; i++)
		sorted[i] = *order[i];
	free(findings->items);
	findings->items = sorted;
	return 0;
}

int tier_portal_check(struct tier_portal *portal, struct tier_finding **ret_findings,
		      size_t *ret_count)
{
	struct tier_handoff_view view = {.self = TIER_PORTAL_NO_HOST};
	struct findings findings = {};
	bool known = tier_portal_look_hosts(portal, &view) == 0;

	check_super(portal, &findings);
	for (uint32_t host = 0; host < portal->super.host_count; host++) {
		check_host(portal, host, &findings);
		check_fences(portal, host, &findings);
		check_extents(portal, host, &findings);
		/* While a fence cannot be read nobody takes anything back. */
		if (known)
			check_needless(portal, host, &view, &findings);
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			check_offer(portal, host, slot, &findings);
			check_answer(portal, host, slot, &findings);
		}
	}
	if (findings.no_memory || sort(&findings) < 0) {
		free(findings.items);
		return -ENOMEM;
	}
	*ret_findings = findings.items;
	*ret_count = findings.count;
	return 0;
}

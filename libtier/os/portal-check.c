/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "portal-map.h"
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

static void check_super(struct tier_portal *portal, struct findings *findings)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		bool bad = (portal->health & (1u << copy)) != 0;
		char object[64];

		snprintf(object, sizeof(object), "superblock copy %u", copy);
		add(findings, bad, object, bad ? "damaged; the other copy is used" : "good");
	}
}

static void check_host(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	struct tier_host_record record;
	char object[64];
	int r = tier_portal_read_host(portal, host, &record);

	snprintf(object, sizeof(object), "host %s", portal->super.hosts[host].name);
	if (r == 0)
		add(findings, false, object, "good, incarnation %016" PRIx64 ", beat %" PRIu64,
		    record.stamp.incarnation, record.stamp.generation);
	else
		add(findings, r != TIER_E_NOT_FOUND, object, "%s",
		    r == TIER_E_NOT_FOUND ? "has never written" : no_good_copy);
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

static void check_extents(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	const struct tier_portal_slot *slot = &portal->super.hosts[host];
	uint32_t states[TIER_EXTENT_RETIRED + 1] = {};
	char object[64];

	for (uint32_t i = 0; i < slot->extent_count; i++) {
		uint32_t extent = slot->first_extent + i;
		struct tier_extent_record record = {.state = TIER_EXTENT_FREE};
		int r = tier_portal_read_extent(portal, extent, &record);

		snprintf(object, sizeof(object), "extent %u", extent);
		if (r != 0 && r != TIER_E_NOT_FOUND) {
			add(findings, true, object, "%s", no_good_copy);
			continue;
		}
		states[record.state]++;
		if (record.state == TIER_EXTENT_CLAIMED && !flight_known(portal, &record.flight)) {
			char uuid[37];

			tier_uuid_format(&record.flight, uuid);
			add(findings, true, object, "claimed for flight %s, which nobody offers",
			    uuid);
		}
	}
	snprintf(object, sizeof(object), "extents of %s", slot->name);
	add(findings, false, object, "%u free, %u claimed, %u to be scrubbed, %u retired",
	    states[TIER_EXTENT_FREE], states[TIER_EXTENT_CLAIMED], states[TIER_EXTENT_SCRUB],
	    states[TIER_EXTENT_RETIRED]);
}

static bool flight_open(const struct tier_offer *offer)
{
	return offer->state == TIER_FLIGHT_OFFERED || offer->state == TIER_FLIGHT_PUBLISHED ||
	       offer->state == TIER_FLIGHT_COMMITTED;
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

	r = tier_portal_read_blob(portal, offer->source, &offer->manifest, &text, &problem);
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
	r = tier_portal_read_blob(portal, offer->source, &offer->state_blob, &state, &problem);
	if (r == -ENOMEM)
		findings->no_memory = true;
	else if (r != 0)
		add(findings, true, object, "device state: %s", problem.text);
}

static void check_offers(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_offer offer;
		struct tier_answer answer;
		char object[64];
		int r = tier_portal_read_offer(portal, host, slot, &offer);

		if (r == TIER_E_NOT_FOUND)
			continue;
		snprintf(object, sizeof(object), "offer %s/%u", portal->super.hosts[host].name,
			 slot);
		if (r != 0) {
			add(findings, true, object, "%s", no_good_copy);
			continue;
		}
		r = tier_portal_find_answer(portal, &offer, slot, &answer, NULL);
		add(findings, false, object, "%s, VM %s, answer %s",
		    tier_flight_state_name(offer.state), offer.vm,
		    tier_flight_state_name(r == 0 ? answer.state : TIER_FLIGHT_NONE));
		if (flight_open(&offer))
			check_claims(portal, &offer, object, findings);
		if (offer.state == TIER_FLIGHT_PUBLISHED || offer.state == TIER_FLIGHT_COMMITTED)
			check_blobs(portal, &offer, object, findings);
	}
}

static void check_answers(struct tier_portal *portal, uint32_t host, struct findings *findings)
{
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		struct tier_answer answer;
		char object[64];
		int r = tier_portal_read_answer(portal, host, slot, &answer);

		if (r == 0 || r == TIER_E_NOT_FOUND)
			continue;
		snprintf(object, sizeof(object), "answer %s/%u", portal->super.hosts[host].name,
			 slot);
		add(findings, true, object, "%s", no_good_copy);
	}
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
	struct findings findings = {};

	check_super(portal, &findings);
	for (uint32_t host = 0; host < portal->super.host_count; host++) {
		check_host(portal, host, &findings);
		check_extents(portal, host, &findings);
		check_offers(portal, host, &findings);
		check_answers(portal, host, &findings);
	}
	if (findings.no_memory || sort(&findings) < 0) {
		free(findings.items);
		return -ENOMEM;
	}
	*ret_findings = findings.items;
	*ret_count = findings.count;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/* An error as an event: what, where, and who is hit. */

/* "region0 + 0x1000 (memory block 178)" */
static void describe(const struct tier_topology *topology, const struct tier_ras_place *place,
		     char *text, size_t size)
{
	const struct tier_region *region = tier_topology_region(topology, place->region);
	uint64_t offset = region ? place->start - region->start : 0;
	uint64_t block = topology->block_bytes ? place->start / topology->block_bytes : 0;
	bool whole = region && place->bytes == region->bytes;

	if (whole)
		snprintf(text, size, "all of %s", place->region);
	else
		snprintf(text, size, "%s + 0x%" PRIx64 ", memory block %" PRIu64, place->region,
			 offset, block);
}

static int details(const struct tier_ras_event *event, const struct tier_ras_place *place,
		   const struct users *users, sd_json_variant **ret)
{
	bool address = event->dpa != TIER_UNKNOWN_U64;
	int r = sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("source", tier_ras_kind_name(event->kind)),
		SD_JSON_BUILD_PAIR_CONDITION(event->memdev[0] != '\0', "memdev",
					     SD_JSON_BUILD_STRING(event->memdev)),
		SD_JSON_BUILD_PAIR_CONDITION(event->serial != TIER_UNKNOWN_U64, "serial",
					     SD_JSON_BUILD_UNSIGNED(event->serial)),
		SD_JSON_BUILD_PAIR_CONDITION(address, "dpa", SD_JSON_BUILD_UNSIGNED(event->dpa)),
		SD_JSON_BUILD_PAIR_CONDITION(address, "bytes",
					     SD_JSON_BUILD_UNSIGNED(event->bytes)),
		SD_JSON_BUILD_PAIR_CONDITION(event->severity[0] != '\0', "severity",
					     SD_JSON_BUILD_STRING(event->severity)),
		SD_JSON_BUILD_PAIR_BOOLEAN("uncorrectable", event->uncorrectable));

	if (r >= 0 && place)
		r = sd_json_variant_merge_objectbo(
			ret, SD_JSON_BUILD_PAIR_STRING("region", place->region),
			SD_JSON_BUILD_PAIR_UNSIGNED("start", place->start),
			SD_JSON_BUILD_PAIR_UNSIGNED("length", place->bytes));
	if (r >= 0 && users)
		r = sd_json_variant_merge_objectbo(
			ret, SD_JSON_BUILD_PAIR_VARIANT("users", users->json));
	return r;
}

/* "poison in mem0 (serial 0x1) at 0x10000000: source Internal" */
static void introduce(const struct tier_ras_event *event, char *text, size_t size)
{
	static const char *const names[] = {
		[TIER_RAS_POISON] = "poison",
		[TIER_RAS_MEDIA] = "media error",
		[TIER_RAS_DRAM] = "DRAM error",
		[TIER_RAS_MODULE] = "health event",
		[TIER_RAS_GENERIC] = "event of an unknown kind",
		[TIER_RAS_AER] = "uncorrectable error of the link",
		[TIER_RAS_OVERFLOW] = "overflow of its event log",
		[TIER_RAS_PAGE] = "page given up by the kernel",
		[TIER_RAS_LOST] = "events lost",
	};
	bool corrected = !event->uncorrectable &&
			 (event->kind == TIER_RAS_MEDIA || event->kind == TIER_RAS_DRAM);
	int n = snprintf(text, size, "%s%s%s", corrected ? "corrected " : "", names[event->kind],
			 event->cleared ? " cleared" : "");

	if (event->memdev[0] && (size_t)n < size)
		n += snprintf(text + n, size - (size_t)n, " in %s (serial 0x%" PRIx64 ")",
			      event->memdev, event->serial);
	if (event->dpa != TIER_UNKNOWN_U64 && (size_t)n < size)
		n += snprintf(text + n, size - (size_t)n,
			      " at device address 0x%" PRIx64 ", %" PRIu64 " bytes", event->dpa,
			      event->bytes);
	if (event->what[0] && (size_t)n < size)
		snprintf(text + n, size - (size_t)n, ": %s", event->what);
}

static int priority_of(const struct tier_ras_event *event)
{
	if (event->uncorrectable)
		return LOG_ERR;
	if (event->cleared || strcmp(event->severity, "Informational") == 0)
		return LOG_NOTICE;
	return LOG_WARNING;
}

void ras_note(struct manager *manager, const struct tier_ras_event *event,
	      const struct tier_ras_place *place, const struct users *users, const char *where)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = NULL;
	char text[384];

	introduce(event, text, sizeof(text));
	(void)details(event, place, users, &json);
	events_add(manager, priority_of(event), tier_ras_kind_name(event->kind),
		   place	      ? place->region
		   : event->memdev[0] ? event->memdev
				      : "memory",
		   json, "%s%s%s%s%s", text, where[0] ? "; " : "", where, users ? "; " : "",
		   users ? users->text : "");
}

/* The part of a place that was hit, as exactly as it is known. */
static struct tier_ras_place hit(const struct tier_ras_event *event,
				 const struct tier_ras_place *place)
{
	struct tier_ras_place narrow = *place;

	if (!place->exact && event->hpa != TIER_UNKNOWN_U64 && event->bytes <= 256 &&
	    event->hpa >= place->start && event->hpa - place->start < place->bytes) {
		narrow.start = event->hpa;
		narrow.bytes = event->bytes;
	}
	return narrow;
}

/* Names who is hit, in each region that has a part of it. */
void ras_note_places(struct manager *manager, const struct tier_topology *topology,
		     const struct tier_ras_event *event, const struct tier_ras_place *places,
		     size_t count, uint64_t deadline)
{
	for (size_t i = 0; i < count; i++) {
		struct tier_ras_place place = hit(event, &places[i]);
		struct users users = {};
		char where[160];

		describe(topology, &place, where, sizeof(where));
		if (event->uncorrectable)
			users_find(manager, place.start, place.bytes, deadline, &users);
		ras_note(manager, event, &place, event->uncorrectable ? &users : NULL, where);
		users_done(&users);
	}
	if (count == 0)
		ras_note(manager, event, NULL, NULL, "no region has it");
}

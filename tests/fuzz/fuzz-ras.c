/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "fuzz.h"
#include "tier-error.h"
#include "tier-ras.h"
#include "tier-topology.h"

/* The first byte says which: a trace event, or a list of retired memory. */

static void printable(const char *text, size_t size)
{
	HOLDS(memchr(text, '\0', size));
	for (; *text; text++)
		HOLDS(*text >= ' ' && *text <= '~');
}

static void check_event(const struct tier_ras_event *event)
{
	printable(event->memdev, sizeof(event->memdev));
	printable(event->region, sizeof(event->region));
	printable(event->severity, sizeof(event->severity));
	printable(event->what, sizeof(event->what));
	printable(tier_ras_kind_name(event->kind), 16);
	/* An address comes with how much of it, and does not run over the end. */
	if (event->dpa != TIER_UNKNOWN_U64)
		HOLDS(event->bytes > 0 && event->dpa <= TIER_UNKNOWN_U64 - event->bytes);
	HOLDS(!(event->uncorrectable && event->cleared));
	if (event->kind < TIER_RAS_PAGE)
		HOLDS(event->memdev[0]);
}

/* Wherever an event says that it is, it is within the region. */
static void check_place(const struct tier_ras_event *event)
{
	char memdevs[2][32] = {"mem0", "mem1"};
	uint64_t serials[] = {1, event->serial}, starts[] = {0, UINT64_C(1) << 28};
	struct tier_region region = {
		.name = "region0",
		.start = UINT64_C(1) << 34,
		.bytes = UINT64_C(1) << 30,
		.interleave_ways = 1,
		.interleave_granularity_bytes = 256,
		.memdevs = memdevs,
		.serials = serials,
		.dpa_starts = starts,
	};
	struct tier_topology topology = {
		.block_bytes = UINT64_C(128) << 20, .regions = &region, .region_count = 1};

	for (region.memdev_count = 1; region.memdev_count <= 2; region.memdev_count++) {
		struct tier_ras_place *places = NULL;
		size_t count = 0;

		region.interleave_ways = (unsigned)region.memdev_count;
		if (tier_ras_locate(&topology, event->serial, event->dpa, event->bytes, &places,
				    &count) != 0)
			continue;
		for (size_t i = 0; i < count; i++)
			HOLDS(places[i].bytes > 0 && places[i].start >= region.start &&
			      places[i].bytes <= region.bytes &&
			      places[i].start - region.start <= region.bytes - places[i].bytes);
		free(places);
	}
}

static void try_list(const char *text, size_t size)
{
	struct tier_problem problem = {};
	struct tier_retired *list, *again;
	char *formatted;
	int r = tier_retired_parse(text, size, "list", &list, &problem);

	HOLDS(r == 0 || r == TIER_E_DAMAGED || r == TIER_E_INCOMPATIBLE);
	if (r) {
		HOLDS(problem.text[0]);
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		HOLDS(list->entries[i].bytes > 0);
		printable(list->entries[i].reason, sizeof(list->entries[i].reason));
	}
	HOLDS(tier_retired_format(list, &formatted) == 0);
	HOLDS(tier_retired_parse(formatted, strlen(formatted), "list", &again, NULL) == 0);
	HOLDS(again->count == list->count);
	HOLDS(list->count == 0 ||
	      memcmp(again->entries, list->entries, list->count * sizeof(*list->entries)) == 0);
	free(formatted);
	tier_retired_free(again);
	tier_retired_free(list);
}

/* Names of devices and slots become parts of paths in sysfs. */
static void safe_name(const char *name, size_t size)
{
	printable(name, size);
	HOLDS(!strchr(name, '/') && name[0] != '.');
}

static void try_unplug(const char *line)
{
	struct tier_unplug unplug;

	if (tier_unplug_parse(line, &unplug) != 0)
		return;
	safe_name(unplug.device, sizeof(unplug.device));
	safe_name(unplug.slot, sizeof(unplug.slot));
	if (unplug.kind == TIER_UNPLUG_REQUEST)
		HOLDS(unplug.device[0] && unplug.slot[0]);
	if (unplug.kind == TIER_UNPLUG_LOST)
		HOLDS(unplug.bytes > 0 && unplug.start <= UINT64_MAX - unplug.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tier_ras_event event;
	char *line;

	if (size == 0)
		return 0;
	if (data[0] == 'R') {
		try_list((const char *)data + 1, size - 1);
		return 0;
	}
	line = strndup((const char *)data + 1, size - 1);
	HOLDS(line);
	switch (tier_ras_parse(line, &event)) {
	case 0:
		check_event(&event);
		check_place(&event);
		break;
	case TIER_E_NOT_FOUND:
	case TIER_E_DAMAGED:
		break;
	default:
		HOLDS(false);
	}
	try_unplug(line);
	free(line);
	return 0;
}

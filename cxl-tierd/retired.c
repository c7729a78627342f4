/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/*
 * Memory that errors have retired. What is written down comes first: a daemon or a host that ends in the
 * middle finds it in the list, and plans leave it out. Then the pages that were hit are given up, so that
 * nobody reads them, the kernel on its way out included; and then the memory blocks go offline.
 */

/* Pages of one range that are given up one by one; a larger one goes offline as it is. */
#define MAX_PAGES 16384

bool retired_has(const struct manager *manager, uint64_t serial, uint64_t dpa, uint64_t bytes)
{
	return manager->retired && tier_retired_covers(manager->retired, serial, dpa, bytes);
}

int retired_start(struct manager *manager)
{
	struct tier_problem *problem = &manager->retired_problem;

	if (manager->options.files_only)
		return 0;
	manager->retired_code =
		tier_retired_load(manager->options.sysroot, &manager->retired, problem);
	if (manager->retired_code == 0)
		return 0;
	log_decision(LOG_CRIT, problem->object, "retired-unknown",
		     "%s; no region is onlined until that is mended; %s", problem->text,
		     problem->next);
	return 0;
}

void retired_free(struct manager *manager)
{
	manager->retired = tier_retired_free(manager->retired);
}

/* 0 if it is in the file. */
static int write_down(struct manager *manager, uint64_t serial, uint64_t dpa, uint64_t bytes,
		      const char *reason, struct tier_problem *problem)
{
	struct tier_retirement entry = {
		.serial = serial, .dpa = dpa, .bytes = bytes, .usec = manager_now_usec()};
	int r;

	COPY(entry.reason, reason);
	if (manager->retired_code) {
		*problem = manager->retired_problem;
		return manager->retired_code;
	}
	if (!manager->retired)
		return tier_problem_set(problem, TIER_E_REFUSED, "retired", NULL,
					"this cxl-tierd has portals on plain files only "
					"(--files-only)");
	r = tier_retired_add(manager->retired, &entry);
	if (r == TIER_E_BUSY)
		return 0;
	if (r == TIER_E_NO_SPACE)
		return tier_problem_set(problem, r, TIER_RETIRED_PATH,
					"replace the device, then tierctl unretire",
					"the list is full: %u entries", TIER_RETIRED_MAX);
	if (r != 0)
		return tier_problem_set(problem, r, TIER_RETIRED_PATH, NULL, "cannot add to it");
	return tier_retired_store(manager->retired, problem);
}

static bool online(const struct tier_topology *topology, const struct tier_ras_place *place)
{
	const struct tier_block *blocks;
	size_t count = 0;

	blocks = tier_topology_range_blocks(topology, place->start, place->bytes, &count);
	for (size_t i = 0; i < count; i++)
		if (blocks[i].state != TIER_BLOCK_OFFLINE)
			return true;
	return false;
}

/*
 * Only what is known to be hit: a stripe of an interleaved region has other devices' good pages in it.
 */
static void give_up_pages(struct manager *manager, const struct tier_topology *topology,
			  const struct tier_ras_place *place)
{
	uint64_t size = topology->page_bytes, first = place->start / size;
	uint64_t end = (place->start + place->bytes - 1) / size + 1;
	struct tier_problem problem = {};
	int r = 0;

	if (!place->exact || end - first > MAX_PAGES)
		return;
	for (uint64_t page = first; page < end && r != TIER_E_NOT_FOUND; page++) {
		manager_alive(manager);
		r = tier_page_give_up(page * size, &problem);
		if (r < 0)
			log_problem(LOG_WARNING, "page-kept", &problem);
	}
}

struct taken {
	uint64_t first, last;
	size_t offline, failed;
	struct tier_problem problem; /* of the first that failed */
};

static void offline_blocks(struct manager *manager, const struct tier_topology *topology,
			   const struct tier_ras_place *place, struct taken *taken)
{
	const struct tier_block *blocks;
	size_t count = 0;

	blocks = tier_topology_range_blocks(topology, place->start, place->bytes, &count);
	if (count == 0)
		return;
	taken->first = blocks[0].index;
	taken->last = blocks[count - 1].index;
	for (size_t i = 0; i < count; i++) {
		struct tier_step step = {.action = TIER_STEP_OFFLINE, .block = blocks[i].index};
		struct tier_plan plan = {.steps = &step, .step_count = 1};
		struct tier_problem problem = {};

		if (blocks[i].state == TIER_BLOCK_OFFLINE)
			continue;
		COPY(step.region, place->region);
		/* Each by itself: one that must stay does not keep another. */
		if (manager_apply(manager, &plan, &problem) == 0)
			taken->offline++;
		else if (taken->failed++ == 0)
			taken->problem = problem;
	}
}

static void blocks_text(const struct taken *taken, char *text, size_t size)
{
	if (taken->first == taken->last)
		snprintf(text, size, "memory block %" PRIu64, taken->first);
	else
		snprintf(text, size, "memory blocks %" PRIu64 "-%" PRIu64, taken->first,
			 taken->last);
}

static void take_out(struct manager *manager, const struct tier_topology *topology,
		     const struct tier_ras_place *place, const char *kept)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = NULL;
	struct taken taken = {};
	char text[80];

	(void)sd_json_buildo(&json, SD_JSON_BUILD_PAIR_STRING("region", place->region),
			     SD_JSON_BUILD_PAIR_UNSIGNED("start", place->start),
			     SD_JSON_BUILD_PAIR_UNSIGNED("length", place->bytes));
	if (!online(topology, place)) {
		events_add(manager, LOG_NOTICE, "retired", place->region, json,
			   "retired: it is not online, and is left out when the region is; %s",
			   kept);
		return;
	}
	give_up_pages(manager, topology, place);
	offline_blocks(manager, topology, place, &taken);
	blocks_text(&taken, text, sizeof(text));
	(void)sd_json_variant_merge_objectbo(&json,
					     SD_JSON_BUILD_PAIR_UNSIGNED("firstBlock", taken.first),
					     SD_JSON_BUILD_PAIR_UNSIGNED("lastBlock", taken.last));
	if (taken.failed == 0)
		events_add(manager, LOG_NOTICE, "retired", place->region, json,
			   "retired: %s evacuated, taken offline, and left out from now on; %s",
			   text, kept);
	else
		events_add(manager, LOG_ERR, "retire-failed", place->region, json,
			   "%s retired, but %zu of %zu cannot be taken offline and stay%s in use "
			   "until the next boot: %s%s%s; %s",
			   text, taken.failed, taken.failed + taken.offline,
			   taken.failed == 1 ? "s" : "", taken.problem.text,
			   taken.problem.next[0] ? "; " : "", taken.problem.next, kept);
}

void retired_add(struct manager *manager, const struct tier_topology *topology, uint64_t serial,
		 uint64_t dpa, uint64_t bytes, const char *reason)
{
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	struct tier_problem problem = {};
	char kept[700], object[40];
	size_t count = 0;
	int r;

	snprintf(object, sizeof(object), "0x%" PRIx64 ":0x%" PRIx64, serial, dpa);
	if (manager_dry_run(manager)) {
		log_decision(LOG_NOTICE, object, "would-retire", "dry run: would be retired: %s",
			     reason);
		return;
	}
	r = write_down(manager, serial, dpa, bytes, reason, &problem);
	if (r != 0) {
		snprintf(kept, sizeof(kept), "not written down, so not over a reboot: %s: %s",
			 problem.object, problem.text);
		events_add(manager, LOG_CRIT, "retire-failed", object, NULL, "%s", kept);
	} else {
		snprintf(kept, sizeof(kept), "tierctl retired lists it as %s", object);
	}
	r = tier_ras_locate(topology, serial, dpa, bytes, &places, &count);
	if (r == TIER_E_NOT_FOUND)
		events_add(manager, LOG_NOTICE, "retired", object, NULL,
			   "retired: no region has it yet, and none will use it; %s", kept);
	for (size_t i = 0; i < count; i++)
		if (portals_by_region(manager, places[i].region))
			retired_portal(manager, topology, &places[i], kept);
		else
			take_out(manager, topology, &places[i], kept);
}

int retired_add_offset(struct manager *manager, const char *region, uint64_t offset, bool dry_run,
		       sd_json_variant **ret, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	uint64_t serial, dpa, size;
	char id[40];
	int r;

	dry_run = dry_run || manager_dry_run(manager);
	if (!dry_run && !manager->retired && manager->retired_code == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, region, NULL,
					"this cxl-tierd has portals on plain files only "
					"(--files-only)");
	if (manager->retired_code) {
		*problem = manager->retired_problem;
		return manager->retired_code;
	}
	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r != 0)
		return r;
	size = topology->page_bytes;
	offset = offset / size * size;
	r = tier_ras_device_address(topology, region, offset, &serial, &dpa, problem);
	if (r != 0)
		return r;
	snprintf(id, sizeof(id), "0x%" PRIx64 ":0x%" PRIx64, serial, dpa);
	if (!dry_run && retired_has(manager, serial, dpa, 1))
		return tier_problem_set(problem, TIER_E_BUSY, region, "tierctl retired",
					"offset 0x%" PRIx64 " is retired already", offset);
	if (!dry_run)
		retired_add(manager, topology, serial, dpa, size, "by tierctl retire");
	r = sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("id", id),
		SD_JSON_BUILD_PAIR_UNSIGNED("serial", serial),
		SD_JSON_BUILD_PAIR_UNSIGNED("dpa", dpa), SD_JSON_BUILD_PAIR_UNSIGNED("bytes", size),
		SD_JSON_BUILD_PAIR_STRING("region", region),
		SD_JSON_BUILD_PAIR_UNSIGNED("offset", offset),
		SD_JSON_BUILD_PAIR_UNSIGNED(
			"block",
			topology->block_bytes
				? (tier_topology_region(topology, region)->start + offset) /
					  topology->block_bytes
				: 0));
	return r < 0 ? tier_problem_set(problem, r, region, NULL, "cannot answer") : 0;
}

int retired_remove(struct manager *manager, uint64_t serial, uint64_t dpa,
		   struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	size_t count = 0;
	char object[40];
	int r;

	snprintf(object, sizeof(object), "0x%" PRIx64 ":0x%" PRIx64, serial, dpa);
	if (manager->retired_code) {
		*problem = manager->retired_problem;
		return manager->retired_code;
	}
	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r != 0)
		return r;
	for (size_t i = 0; manager->retired && i < manager->retired->count; i++) {
		const struct tier_retirement *entry = &manager->retired->entries[i];

		if (entry->serial == serial && entry->dpa == dpa)
			(void)tier_ras_locate(topology, serial, dpa, entry->bytes, &places, &count);
	}
	if (manager_dry_run(manager) || !manager->retired)
		return tier_problem_set(problem, TIER_E_REFUSED, object, NULL,
					"this cxl-tierd changes nothing of this machine's memory");
	r = tier_retired_remove(manager->retired, serial, dpa);
	if (r != 0)
		return tier_problem_set(problem, r, object, "tierctl retired",
					"no such entry in the list of retired memory");
	r = tier_retired_store(manager->retired, problem);
	if (r != 0) {
		/* What the file says counts. */
		manager->retired = tier_retired_free(manager->retired);
		retired_start(manager);
		return r;
	}
	events_add(
		manager, LOG_NOTICE, "unretired", object, NULL,
		"not retired any more, by tierctl unretire; its memory block stays offline until "
		"somebody onlines it");
	retired_extents_back(manager, places, count);
	return 0;
}

static int entry_to_json(const struct tier_topology *topology, const struct tier_retirement *entry,
			 sd_json_variant **array)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *object = NULL;
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	size_t count = 0;
	char id[40];
	int r;

	snprintf(id, sizeof(id), "0x%" PRIx64 ":0x%" PRIx64, entry->serial, entry->dpa);
	r = sd_json_buildo(&object, SD_JSON_BUILD_PAIR_STRING("id", id),
			   SD_JSON_BUILD_PAIR_UNSIGNED("serial", entry->serial),
			   SD_JSON_BUILD_PAIR_UNSIGNED("dpa", entry->dpa),
			   SD_JSON_BUILD_PAIR_UNSIGNED("bytes", entry->bytes),
			   SD_JSON_BUILD_PAIR_UNSIGNED("usec", entry->usec),
			   SD_JSON_BUILD_PAIR_STRING("reason", entry->reason));
	/* A device may be part of more than one region; the first is shown. */
	if (r >= 0 && tier_ras_locate(topology, entry->serial, entry->dpa, entry->bytes, &places,
				      &count) == 0) {
		const struct tier_region *region = tier_topology_region(topology, places[0].region);

		r = sd_json_variant_merge_objectbo(
			&object, SD_JSON_BUILD_PAIR_STRING("region", places[0].region),
			SD_JSON_BUILD_PAIR_UNSIGNED("offset", places[0].start - region->start));
		if (r >= 0 && topology->block_bytes > 0)
			r = sd_json_variant_merge_objectbo(
				&object,
				SD_JSON_BUILD_PAIR_UNSIGNED("block", places[0].start /
									     topology->block_bytes),
				SD_JSON_BUILD_PAIR_BOOLEAN("online", online(topology, &places[0])));
	}
	return r < 0 ? r : sd_json_variant_append_array(array, object);
}

int retired_to_json(struct manager *manager, sd_json_variant **ret)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	if (r >= 0 && tier_topology_read(manager->options.sysroot, &topology, NULL) != 0)
		r = tier_topology_new(&topology);
	for (size_t i = 0; r >= 0 && manager->retired && i < manager->retired->count; i++)
		r = entry_to_json(topology, &manager->retired->entries[i], &array);
	if (r < 0)
		return r;
	*ret = array;
	array = NULL;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/*
 * Retired memory is taken out of use: the pages that were hit are given up, so that nobody reads them, the
 * kernel on its way out included; and then the memory blocks go offline. Not while a process of ours takes
 * a region offline: the kernel does that one block at a time, and this one would wait, with the beats. And
 * what that process has taken offline it may put back.
 */

/* Pages of one range that are given up one by one; a larger one goes offline as it is. */
#define MAX_PAGES 16384

/* A place that is put off. */
struct retired_rest {
	struct retired_rest *next;
	struct tier_ras_place place;
	char kept[700];
};

bool retired_online(const struct tier_topology *topology, const struct tier_ras_place *place)
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

static sd_json_variant *describe(const struct tier_ras_place *place)
{
	sd_json_variant *json = NULL;

	(void)sd_json_buildo(&json, SD_JSON_BUILD_PAIR_STRING("region", place->region),
			     SD_JSON_BUILD_PAIR_UNSIGNED("start", place->start),
			     SD_JSON_BUILD_PAIR_UNSIGNED("length", place->bytes));
	return json;
}

static void take_blocks(struct manager *manager, const struct tier_topology *topology,
			const struct tier_ras_place *place, const char *kept)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = describe(place);
	struct taken taken = {};
	char text[80];

	if (!retired_online(topology, place)) {
		events_add(manager, LOG_NOTICE, "retired", place->region, json,
			   "retired: it is not online, and is left out when the region is; %s",
			   kept);
		return;
	}
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

static void append(struct manager *manager, struct retired_rest *rest)
{
	struct retired_rest **last = &manager->retired_rest;

	rest->next = NULL;
	while (*last)
		last = &(*last)->next;
	*last = rest;
}

static bool put_off(struct manager *manager, const struct tier_ras_place *place, const char *kept)
{
	struct retired_rest *rest = calloc(1, sizeof(*rest));

	if (!rest)
		return false;
	rest->place = *place;
	COPY(rest->kept, kept);
	append(manager, rest);
	return true;
}

void retired_take_out(struct manager *manager, const struct tier_topology *topology,
		      const struct tier_ras_place *place, const char *kept)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = describe(place);

	if (retired_online(topology, place))
		give_up_pages(manager, topology, place);
	if (!offline_defers_blocks(manager, place->region))
		take_blocks(manager, topology, place, kept);
	else if (put_off(manager, place, kept))
		events_add(manager, LOG_NOTICE, "retired", place->region, json,
			   "retired: memory is being taken offline, and its memory blocks follow "
			   "after that; %s",
			   kept);
	else
		events_add(manager, LOG_ERR, "retire-failed", place->region, json,
			   "retired, but out of memory: it stays in use until the next boot; %s",
			   kept);
}

static void take_rest(struct manager *manager, const struct tier_topology *topology,
		      const struct retired_rest *rest)
{
	const struct tier_ras_place *place = &rest->place;
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = describe(place);

	if (manager->stopping)
		events_add(manager, LOG_ERR, "retire-failed", place->region, json,
			   "retired, but cxl-tierd ends: it stays in use until the next boot, "
			   "where it is online; %s",
			   rest->kept);
	else
		take_blocks(manager, topology, place, rest->kept);
}

void retired_offline_rest(struct manager *manager)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	struct retired_rest *list = manager->retired_rest;
	struct tier_problem problem = {};
	int r;

	if (!list)
		return;
	/* As it is by then. */
	r = tier_topology_read(manager->options.sysroot, &topology, &problem);
	if (r != 0) {
		log_problem(LOG_ERR, "retire-failed", &problem);
		return;
	}
	manager->retired_rest = NULL;
	while (list) {
		struct retired_rest *rest = list;

		list = rest->next;
		/* Still at its second attempt. */
		if (offline_defers_blocks(manager, rest->place.region)) {
			append(manager, rest);
			continue;
		}
		take_rest(manager, topology, rest);
		free(rest);
	}
}

void retired_forget_rest(struct manager *manager)
{
	while (manager->retired_rest) {
		struct retired_rest *rest = manager->retired_rest;

		manager->retired_rest = rest->next;
		free(rest);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/*
 * Memory that errors have retired. What is written down comes first: a daemon or a host that ends in the
 * middle finds it in the list, and plans leave it out. Then it is taken out of use (retired-block.c).
 */

#define ID_BYTES 40

DEFINE_CLEANUP(struct tier_retired *, tier_retired_free)

/* What the list's entries are called by people. */
static void format_id(uint64_t serial, uint64_t dpa, char id[static ID_BYTES])
{
	snprintf(id, ID_BYTES, "0x%" PRIx64 ":0x%" PRIx64, serial, dpa);
}

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
	retired_forget_rest(manager);
}

static int refuse_files_only(struct tier_problem *problem)
{
	return tier_problem_set(problem, TIER_E_REFUSED, "retired", NULL,
				"this cxl-tierd has portals on plain files only (--files-only)");
}

/* Once it was begun, what the file says is known only when the next one has been stored. */
static int store(struct manager *manager, const struct tier_retired *list,
		 struct tier_problem *problem)
{
	int r = tier_retired_store(list, problem);

	manager->retired_unsaved = r != 0;
	return r;
}

static void take_list(struct manager *manager, struct tier_retired **list)
{
	tier_retired_free(manager->retired);
	manager->retired = *list;
	*list = NULL;
}

/*
 * 0 if it is in the file. @anyway: if it cannot be, it is in the list of this process all the same, and
 * retired_save() tries again; else nothing has changed then.
 */
static int write_down(struct manager *manager, const struct tier_retirement *entry, bool anyway,
		      struct tier_problem *problem)
{
	_cleanup_(tier_retired_freep) struct tier_retired *list = NULL;
	int r;

	if (manager->retired_code) {
		*problem = manager->retired_problem;
		return manager->retired_code;
	}
	if (!manager->retired)
		return refuse_files_only(problem);
	r = tier_retired_copy(manager->retired, &list);
	if (r == 0)
		r = tier_retired_add(list, entry);
	if (r == TIER_E_BUSY && !manager->retired_unsaved)
		return 0;
	if (r == TIER_E_NO_SPACE)
		return tier_problem_set(problem, r, TIER_RETIRED_PATH,
					"replace the device, then tierctl unretire",
					"the list is full: %u entries", TIER_RETIRED_MAX);
	if (r != 0 && r != TIER_E_BUSY)
		return tier_problem_set(problem, r, TIER_RETIRED_PATH, NULL, "cannot add to it");
	r = store(manager, list, problem);
	if (r == 0 || anyway)
		take_list(manager, &list);
	return r;
}

void retired_save(struct manager *manager)
{
	struct tier_problem problem = {};

	if (manager->retired && manager->retired_unsaved && !manager_dry_run(manager) &&
	    store(manager, manager->retired, &problem) == 0)
		events_add(manager, LOG_NOTICE, "retired", TIER_RETIRED_PATH, NULL,
			   "the list of retired memory can be written again, and is");
}

static void take_out(struct manager *manager, const struct tier_topology *topology,
		     const struct tier_retirement *entry, const char *id, const char *kept)
{
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	size_t count = 0;
	int r = tier_ras_locate(topology, entry->serial, entry->dpa, entry->bytes, &places, &count);

	if (r == TIER_E_NOT_FOUND)
		events_add(manager, LOG_NOTICE, "retired", id, NULL,
			   "retired: no region has it yet, and none will use it; %s", kept);
	for (size_t i = 0; i < count; i++)
		if (portals_by_region(manager, places[i].region))
			retired_portal(manager, topology, &places[i], kept);
		else
			retired_take_out(manager, topology, &places[i], kept);
}

static void make_entry(uint64_t serial, uint64_t dpa, uint64_t bytes, const char *reason,
		       struct tier_retirement *ret, char id[static ID_BYTES])
{
	*ret = (struct tier_retirement){
		.serial = serial, .dpa = dpa, .bytes = bytes, .usec = manager_now_usec()};
	COPY(ret->reason, reason);
	format_id(serial, dpa, id);
}

void retired_add(struct manager *manager, const struct tier_topology *topology, uint64_t serial,
		 uint64_t dpa, uint64_t bytes, const char *reason)
{
	struct tier_retirement entry;
	struct tier_problem problem = {};
	char kept[700], id[ID_BYTES];

	make_entry(serial, dpa, bytes, reason, &entry, id);
	if (manager_dry_run(manager)) {
		log_decision(LOG_NOTICE, id, "would-retire", "dry run: would be retired: %s",
			     reason);
		return;
	}
	if (write_down(manager, &entry, true, &problem) != 0) {
		snprintf(kept, sizeof(kept),
			 "not written down, so it is used again after a reboot: %s: %s",
			 problem.object, problem.text);
		events_add(manager, LOG_CRIT, "retire-failed", id, NULL, "%s", kept);
	} else {
		snprintf(kept, sizeof(kept), "tierctl retired lists it as %s", id);
	}
	take_out(manager, topology, &entry, id, kept);
}

static int retire_by_hand(struct manager *manager, const struct tier_topology *topology,
			  const char *region, uint64_t offset, const struct tier_retirement *entry,
			  const char *id, struct tier_problem *problem)
{
	char kept[80];
	int r;

	if (!manager->retired_unsaved &&
	    retired_has(manager, entry->serial, entry->dpa, entry->bytes))
		return tier_problem_set(problem, TIER_E_BUSY, region, "tierctl retired",
					"offset 0x%" PRIx64 " is retired already", offset);
	r = write_down(manager, entry, false, problem);
	if (r != 0)
		return r;
	snprintf(kept, sizeof(kept), "tierctl retired lists it as %s", id);
	take_out(manager, topology, entry, id, kept);
	return 0;
}

int retired_add_offset(struct manager *manager, const char *region, uint64_t offset, bool dry_run,
		       sd_json_variant **ret, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	struct tier_retirement entry;
	uint64_t serial, dpa, bytes;
	char id[ID_BYTES];
	int r;

	dry_run = dry_run || manager_dry_run(manager);
	if (!dry_run && !manager->retired && manager->retired_code == 0)
		return refuse_files_only(problem);
	if (manager->retired_code) {
		*problem = manager->retired_problem;
		return manager->retired_code;
	}
	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r != 0)
		return r;
	offset -= offset % topology->page_bytes;
	r = tier_ras_device_range(topology, region, offset, topology->page_bytes, &serial, &dpa,
				  &bytes, problem);
	if (r != 0)
		return r;
	make_entry(serial, dpa, bytes, "by tierctl retire", &entry, id);
	if (!dry_run)
		r = retire_by_hand(manager, topology, region, offset, &entry, id, problem);
	if (r != 0)
		return r;
	r = sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("id", id),
		SD_JSON_BUILD_PAIR_UNSIGNED("serial", serial),
		SD_JSON_BUILD_PAIR_UNSIGNED("dpa", dpa),
		SD_JSON_BUILD_PAIR_UNSIGNED("bytes", bytes),
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

/* The list without an entry, and where that entry's memory is. */
static int plan_remove(struct manager *manager, const struct tier_topology *topology,
		       uint64_t serial, uint64_t dpa, struct tier_retired **ret_list,
		       struct tier_ras_place **ret_places, size_t *ret_count)
{
	_cleanup_(tier_retired_freep) struct tier_retired *list = NULL;
	uint64_t bytes = 0;
	int r = tier_retired_copy(manager->retired, &list);

	for (size_t i = 0; r == 0 && i < list->count; i++)
		if (list->entries[i].serial == serial && list->entries[i].dpa == dpa)
			bytes = list->entries[i].bytes;
	r = r ?: tier_retired_remove(list, serial, dpa);
	if (r != 0)
		return r;
	r = tier_ras_locate(topology, serial, dpa, bytes, ret_places, ret_count);
	if (r != 0 && r != TIER_E_NOT_FOUND)
		return r;
	*ret_list = list;
	list = NULL;
	return 0;
}

/* The entry goes last: whatever fails before leaves all that it stands for retired. */
int retired_remove(struct manager *manager, uint64_t serial, uint64_t dpa,
		   struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(tier_retired_freep) struct tier_retired *list = NULL;
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	char id[ID_BYTES];
	size_t count = 0;
	int r;

	format_id(serial, dpa, id);
	if (manager->retired_code) {
		*problem = manager->retired_problem;
		return manager->retired_code;
	}
	if (manager_dry_run(manager) || !manager->retired)
		return tier_problem_set(problem, TIER_E_REFUSED, id, NULL,
					"this cxl-tierd changes nothing of this machine's memory");
	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r != 0)
		return r;
	r = plan_remove(manager, topology, serial, dpa, &list, &places, &count);
	if (r == TIER_E_NOT_FOUND)
		return tier_problem_set(problem, r, id, "tierctl retired",
					"no such entry in the list of retired memory");
	if (r != 0)
		return tier_problem_set(problem, r, id, NULL, "cannot take it out of the list");
	r = retired_extents_back(manager, topology, list, places, count, problem);
	r = r ?: store(manager, list, problem);
	if (r != 0) {
		/* What is free already is retired again at the next beat. */
		retired_portals(manager, topology);
		return r;
	}
	take_list(manager, &list);
	events_add(
		manager, LOG_NOTICE, "unretired", id, NULL,
		"not retired any more, by tierctl unretire; its memory block stays offline until "
		"somebody onlines it");
	return 0;
}

static int entry_to_json(const struct tier_topology *topology, const struct tier_retirement *entry,
			 sd_json_variant **array)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *object = NULL;
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	size_t count = 0;
	char id[ID_BYTES];
	int r;

	format_id(entry->serial, entry->dpa, id);
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
				SD_JSON_BUILD_PAIR_BOOLEAN("online",
							   retired_online(topology, &places[0])));
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

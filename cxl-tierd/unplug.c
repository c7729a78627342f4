/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "events.h"

/*
 * A CXL device that is asked for by its slot's button. The kernel powers the slot off five seconds later,
 * memory in use or not, and asks nobody. So the slot's driver is taken away at once, the memory is
 * evacuated in the time that this takes, and then the driver comes back and the slot is powered off; or
 * it stays on, and the log says why. Of DIMMs the kernel evacuates and refuses by itself: that is told.
 */

/* The port of a slot that is being held: the next daemon gives its driver back. */
#define HELD_PATH MANAGER_RUNTIME_DIRECTORY "/held-slot"

/* Who has memory that has gone. */
#define USERS_USEC (UINT64_C(10) * 1000000)

static void note_held(const char *port)
{
	int fd = open(HELD_PATH, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0 || dprintf(fd, "%s\n", port) < 0)
		log_decision(LOG_WARNING, HELD_PATH, "failed",
			     "cannot note which slot is held: if cxl-tierd ends, it is not given "
			     "back: %m");
	if (fd >= 0)
		close(fd);
}

/* Noted first: whoever ends between the two leaves a slot that is not held, and no harm is done. */
static int hold(const char *port, struct tier_problem *problem)
{
	int r;

	note_held(port);
	r = tier_slot_hold(port, problem);
	if (r != 0)
		unlink(HELD_PATH);
	return r;
}

/* TIER_E_NOT_FOUND: it was not held. What cannot be released stays noted. */
static int let_go(const char *port, struct tier_problem *problem)
{
	int r = tier_slot_release(port, problem);

	if (r >= 0)
		unlink(HELD_PATH);
	return r;
}

void unplug_start(struct manager *manager)
{
	struct tier_problem problem = {};
	char port[32] = "";
	FILE *file;
	int r;

	if (manager_dry_run(manager))
		return;
	file = fopen(HELD_PATH, "re");
	if (!file)
		return;
	if (fgets(port, sizeof(port), file))
		port[strcspn(port, "\n")] = '\0';
	fclose(file);
	if (!port[0] || strchr(port, '/')) {
		unlink(HELD_PATH);
		return;
	}
	r = let_go(port, &problem);
	if (r < 0)
		log_problem(LOG_WARNING, "unplug-refused", &problem);
	else if (r == 0)
		events_add(
			manager, LOG_WARNING, "unplug-refused", port, NULL,
			"cxl-tierd ended while it looked after a request to remove the device; the "
			"slot stays on; ask again");
}

/* Extents that flights have, or may have, of any host. */
static int refuse_flights(struct portal *portal, struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	uint32_t claimed = 0, unknown = 0;
	int r;

	if (portal->code != 0)
		return tier_problem_set(problem, TIER_E_REFUSED, portal->region,
					"tierctl portal check",
					"holds a portal, and which flights are in it cannot be "
					"told: %.240s",
					portal->problem.text);
	r = portal_open(portal, TIER_PORTAL_READ, &mapped, problem);
	if (r != 0)
		return r;
	for (uint32_t extent = 0; extent < portal->super.extent_count; extent++) {
		struct tier_extent_record record;

		r = tier_portal_read_extent(mapped, extent, &record);
		claimed += r == 0 && record.state == TIER_EXTENT_CLAIMED;
		/* Never written: free. */
		unknown += r != 0 && r != TIER_E_NOT_FOUND;
	}
	if (claimed > 0)
		return tier_problem_set(problem, TIER_E_BUSY, portal->region, "tierctl flights",
					"holds the portal %s, and flights have %u of its extents",
					portal_name(portal), claimed);
	if (unknown > 0)
		return tier_problem_set(problem, TIER_E_DAMAGED, portal->region,
					"tierctl portal check",
					"holds the portal %s, and whether flights have %u of its "
					"extents cannot be read",
					portal_name(portal), unknown);
	return 0;
}

/* A dax device that somebody has mapped: it would lose its memory without being asked. */
static int refuse_users(struct manager *manager, const struct tier_region *region,
			struct tier_problem *problem)
{
	struct users users = {};
	int r = 0;

	users_find(manager, region->start, region->bytes, manager_monotonic_usec() + USERS_USEC,
		   &users);
	if (users.json && sd_json_variant_elements(users.json) > 0)
		r = tier_problem_set(problem, TIER_E_BUSY, region->name, NULL, "is mapped: %.300s",
				     users.text);
	else if (!users.complete)
		r = tier_problem_set(problem, TIER_E_BUSY, region->name, "ask again",
				     "may be mapped: %.300s", users.text);
	users_done(&users);
	return r;
}

/* Why a region has to stay, as far as that can be told before anything is moved. */
static int veto(struct manager *manager, const struct tier_topology *topology,
		const struct tier_region *region, struct tier_problem *problem)
{
	struct portal *portal = portals_by_region(manager, region->name);
	int r = offline_refuse_second(manager, region->name, problem);

	if (r == 0 && portal)
		r = refuse_flights(portal, problem);
	if (r == 0 && region->committed && !region_blocks_online(topology, region))
		r = refuse_users(manager, region, problem);
	return r;
}

static int evacuate(struct manager *manager, const struct tier_topology *topology,
		    const struct tier_region *region, struct tier_problem *problem)
{
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	int r;

	if (!region_blocks_online(topology, region))
		return 0;
	r = tier_plan_offline(topology, region->name, true, &plan, problem);
	if (r == 0)
		/* So that no rule puts it back before it has gone. */
		region_decided(manager, region->name, "offlined");
	return r ?: manager_apply(manager, plan, problem);
}

static bool is_below(const struct tier_topology *topology, const struct tier_region *region,
		     const char *port)
{
	for (size_t i = 0; i < region->memdev_count; i++) {
		const struct tier_memdev *memdev =
			tier_topology_memdev(topology, region->memdevs[i]);

		if (memdev && tier_slot_has(port, memdev->host))
			return true;
	}
	return false;
}

static const struct tier_memdev *find_memdev(const struct tier_topology *topology, const char *port)
{
	for (size_t i = 0; i < topology->memdev_count; i++)
		if (tier_slot_has(port, topology->memdevs[i].host))
			return &topology->memdevs[i];
	return NULL;
}

/* Of all memdevs below the port: behind a switch there may be more than one. Nothing is moved in vain. */
static int evacuate_port(struct manager *manager, const struct tier_topology *topology,
			 const char *port, struct tier_problem *problem)
{
	static int (*const steps[])(struct manager *, const struct tier_topology *,
				    const struct tier_region *,
				    struct tier_problem *) = {veto, evacuate};
	int r = 0;

	for (size_t step = 0; step < ARRAY_SIZE(steps); step++)
		for (size_t i = 0; r == 0 && i < topology->region_count; i++)
			if (is_below(topology, &topology->regions[i], port))
				r = steps[step](manager, topology, &topology->regions[i], problem);
	return r;
}

static void refuse(struct manager *manager, const struct tier_unplug *unplug, const char *memdev,
		   const struct tier_problem *why)
{
	struct tier_problem problem = {};

	if (let_go(unplug->device, &problem) < 0)
		log_problem(LOG_ERR, "failed", &problem);
	events_add(manager, LOG_WARNING, "unplug-refused", memdev, NULL,
		   "slot %s stays on, though its removal was asked for: %s: %s%s%s", unplug->slot,
		   why->object, why->text, why->next[0] ? "; " : "", why->next);
}

/* Evacuated: it may go. */
static void give_away(struct manager *manager, const struct tier_unplug *unplug, const char *memdev,
		      bool held)
{
	struct tier_problem problem = {};

	if (!held)
		events_add(manager, LOG_NOTICE, "unplug", memdev, NULL,
			   "its memory is evacuated; slot %s is powered off by the kernel",
			   unplug->slot);
	else if (let_go(unplug->device, &problem) < 0 ||
		 tier_slot_power_off(unplug->device, unplug->slot, &problem) < 0)
		events_add(manager, LOG_ERR, "unplug-failed", memdev, NULL,
			   "its memory is evacuated, and: %s: %s", problem.object, problem.text);
	else
		events_add(manager, LOG_NOTICE, "unplugged", memdev, NULL,
			   "its memory is evacuated, and slot %s is off: it may be taken out",
			   unplug->slot);
}

static void handle_request(struct manager *manager, const struct tier_unplug *unplug)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	const struct tier_memdev *memdev;
	struct tier_problem problem = {};
	bool held;
	int r;

	if (tier_topology_read(NULL, &topology, &problem) != 0) {
		log_problem(LOG_ERR, "failed", &problem);
		return;
	}
	/* A network card is none of ours. */
	memdev = find_memdev(topology, unplug->device);
	if (!memdev)
		return;
	if (manager_dry_run(manager)) {
		events_add(
			manager, LOG_NOTICE, "unplug", memdev->name, NULL,
			"dry run: its removal from slot %s is asked for, and its memory would be "
			"evacuated; the kernel takes it in five seconds",
			unplug->slot);
		return;
	}
	held = hold(unplug->device, &problem) == 0;
	if (!held)
		log_problem(LOG_WARNING, "failed", &problem);
	events_add(manager, LOG_NOTICE, "unplug", memdev->name, NULL,
		   "removal of serial 0x%" PRIx64 " from slot %s is asked for; its memory is "
		   "evacuated%s",
		   memdev->serial, unplug->slot,
		   held ? "" : ", within the five seconds that the kernel gives");
	r = evacuate_port(manager, topology, unplug->device, &problem);
	if (r == 0)
		give_away(manager, unplug, memdev->name, held);
	else if (held)
		refuse(manager, unplug, memdev->name, &problem);
	else
		events_add(manager, LOG_CRIT, "unplug-failed", memdev->name, NULL,
			   "its memory cannot be evacuated, and the kernel will take it all the "
			   "same: %s: %s",
			   problem.object, problem.text);
	(void)monitor_rescan(manager);
}

static const char *zone_of(const struct tier_topology *topology, uint64_t block)
{
	for (size_t i = 0; i < topology->block_count; i++)
		if (topology->blocks[i].index == block)
			return tier_zone_name(topology->blocks[i].zone);
	return "unknown";
}

static void handle_eject_failed(struct manager *manager, const struct tier_unplug *unplug)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	struct tier_problem problem = {};
	const char *zone;
	char object[40];

	if (tier_topology_read(NULL, &topology, &problem) != 0)
		return;
	snprintf(object, sizeof(object), "memory block %" PRIu64, unplug->block);
	zone = zone_of(topology, unplug->block);
	events_add(
		manager, LOG_WARNING, "eject-refused", object, NULL,
		"the kernel refuses to eject its DIMM: the block cannot be taken offline, in zone "
		"%s%s; what it had taken offline is online again",
		zone,
		streq(zone, "Movable")
			? ": pages in it are pinned, or no other node has room for them"
			: ", where its own pages cannot move; only Movable is sure to be "
			  "removable");
}

static void handle_lost(struct manager *manager, const struct tier_unplug *unplug)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *json = NULL;
	struct users users = {};

	users_find(manager, unplug->start, unplug->bytes, manager_monotonic_usec() + USERS_USEC,
		   &users);
	(void)sd_json_buildo(&json, SD_JSON_BUILD_PAIR_UNSIGNED("start", unplug->start),
			     SD_JSON_BUILD_PAIR_UNSIGNED("length", unplug->bytes),
			     SD_JSON_BUILD_PAIR_VARIANT("users", users.json));
	events_add(manager, LOG_CRIT, "memory-lost", unplug->device, json,
		   "its device has gone while memory of it, 0x%" PRIx64 " bytes at 0x%" PRIx64
		   ", was online: what lay there is lost, also to the kernel; %s; boot this host "
		   "again",
		   unplug->bytes, unplug->start, users.text);
	users_done(&users);
}

void unplug_handle(struct manager *manager, const struct tier_unplug *unplug)
{
	switch (unplug->kind) {
	case TIER_UNPLUG_REQUEST:
		handle_request(manager, unplug);
		return;
	case TIER_UNPLUG_EJECT_FAILED:
		handle_eject_failed(manager, unplug);
		return;
	case TIER_UNPLUG_EJECT_DISABLED:
		events_add(manager, LOG_NOTICE, "eject-refused", unplug->device, NULL,
			   "ejecting it was asked for, and is refused: "
			   "/sys/firmware/acpi/hotplug/memory/enabled is 0");
		return;
	case TIER_UNPLUG_LOST:
		handle_lost(manager, unplug);
		return;
	}
}

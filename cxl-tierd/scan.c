/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "events.h"

/*
 * What the daemon does by itself, on start and when devices come and go. The order is the safety:
 * a region whose memory is offline is first taken to devdax and searched for a portal's superblock,
 * and only a region that is known not to be a portal comes under the rules of the configuration; they
 * are applied (rules.c) when all have been looked at.
 */

/* How often a failing look for a superblock is repeated by itself. */
#define MAX_ATTEMPTS 5

void region_decide(struct region *region, int priority, const char *decision, const char *format,
		   ...)
{
	char text[sizeof(region->text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (streq(text, region->text))
		return;
	COPY(region->text, text);
	COPY(region->decision, decision);
	log_decision(priority, region->name, decision, "%s", text);
}

void region_decide_problem(struct region *region, const char *decision,
			   const struct tier_problem *problem)
{
	bool own = streq(problem->object, region->name);

	region_decide(region, LOG_ERR, decision, "%s%s%s%s%s", own ? "" : problem->object,
		      own ? "" : ": ", problem->text, problem->next[0] ? "; " : "", problem->next);
}

struct region *region_note(struct manager *manager, const char *name, uint64_t start,
			   uint64_t bytes)
{
	struct region *noted;

	for (noted = manager->regions; noted; noted = noted->next)
		if (streq(noted->name, name))
			break;
	if (!noted) {
		noted = calloc(1, sizeof(*noted));
		if (!noted)
			return NULL;
		noted->next = manager->regions;
		manager->regions = noted;
		COPY(noted->name, name);
	}
	if (noted->start != start || noted->bytes != bytes) {
		noted->examined = noted->settled = noted->was_portal = false;
		noted->attempts = 0;
		noted->text[0] = '\0';
	}
	noted->start = start;
	noted->bytes = bytes;
	noted->scan = manager->scan;
	return noted;
}

void region_gone(struct manager *manager, const char *name)
{
	for (struct region *region = manager->regions; region; region = region->next)
		if (streq(region->name, name)) {
			region->examined = region->settled = false;
			region->attempts = 0;
			region->text[0] = '\0';
		}
}

void region_decided(struct manager *manager, const char *name, const char *decision)
{
	for (struct region *region = manager->regions; region; region = region->next)
		if (streq(region->name, name)) {
			region->settled = true;
			region->was_portal = false;
			region->text[0] = '\0';
			COPY(region->decision, decision);
		}
}

static void prune_regions(struct manager *manager)
{
	for (struct region **p = &manager->regions; *p;) {
		struct region *region = *p;

		if (region->scan == manager->scan) {
			p = &region->next;
			continue;
		}
		if (!region->ordinary)
			log_decision(LOG_INFO, region->name, "gone", "the region has gone");
		*p = region->next;
		free(region);
	}
}

void regions_free(struct manager *manager)
{
	while (manager->regions) {
		struct region *region = manager->regions;

		manager->regions = region->next;
		free(region);
	}
}

static bool range_online(const struct tier_topology *topology, uint64_t start, uint64_t bytes)
{
	const struct tier_block *blocks;
	size_t count = 0;

	if (start == TIER_UNKNOWN_U64)
		return false;
	blocks = tier_topology_range_blocks(topology, start, bytes, &count);
	for (size_t i = 0; i < count; i++)
		if (blocks[i].state != TIER_BLOCK_OFFLINE)
			return true;
	return false;
}

bool region_blocks_online(const struct tier_topology *topology, const struct tier_region *region)
{
	return range_online(topology, region->start, region->bytes);
}

/* The device that a superblock would be at the start of. */
const struct tier_dax *region_first_dax(const struct tier_topology *topology,
					const struct tier_region *region)
{
	const struct tier_dax *first = NULL, *dax = NULL;

	while ((dax = tier_topology_region_dax(topology, region->name, dax)))
		if (dax->bytes > 0 && (!first || dax->start < first->start))
			first = dax; /* the kernel keeps an empty one as a seed */
	return first;
}

/* Looks for a superblock. Nothing is changed in a dry run, so a device with kmem stays unknown. */
static int find_portal(struct manager *manager, const struct tier_region *region,
		       const struct tier_dax *dax, char path[static 64], struct tier_super *ret,
		       struct tier_problem *problem)
{
	snprintf(path, 64, "/dev/%s", dax->name);
	if (!manager_dry_run(manager))
		return tier_portal_attach(region->name, path, ret, problem);
	if (dax->mode != TIER_DAX_DEVDAX)
		return tier_problem_set(problem, TIER_E_BUSY, region->name, NULL,
					"dry run: would be taken to devdax to look for a portal");
	return tier_portal_probe(path, ret, problem);
}

static void scan_region(struct manager *manager, const struct tier_topology *topology,
			const struct tier_region *region, bool everything)
{
	const struct tier_config_portal *rule = tier_config_portal_rule(manager->config, region);
	struct region *noted = region_note(manager, region->name, region->start, region->bytes);
	const struct tier_dax *dax = region_first_dax(topology, region);
	struct tier_problem problem = {};
	struct tier_super super;
	struct portal *known = portals_by_region(manager, region->name);
	char path[64], hand[256];
	bool waits;
	int r;

	if (!noted || offline_busy(manager, region->name))
		return;
	/* Only as long as it is known to be no portal. */
	waits = noted->waits;
	noted->waits = false;
	if (everything)
		noted->settled = false, noted->attempts = 0;
	if (!dax) {
		noted->examined = false;
		region_decide(noted, LOG_DEBUG, "no-device", "no dax device on it");
		return;
	}
	if (manager->options.sysroot) {
		region_decide(noted, LOG_DEBUG, "dump", "part of a dump; nothing is decided");
		return;
	}
	if (dax->start == TIER_UNKNOWN_U64) {
		region_decide(
			noted, LOG_WARNING, "unknown",
			"its physical address cannot be read without privilege; left as it is");
		return;
	}
	if (range_online(topology, dax->start, dax->bytes)) {
		noted->examined = noted->settled = true;
		if (!known && onlining_was(manager, noted))
			noted->waits = true; /* a part of it may be missing */
		else if (known)
			region_decide(
				noted, LOG_CRIT, "portal-online",
				"holds the portal %s and has been onlined, %s: what another host "
				"has there may be overwritten; tierctl offline, tierctl doctor",
				portal_name(known), rivals_likely(manager, hand));
		else if (region_set_type(manager, topology, region, false, &problem) != 0)
			region_decide_problem(noted, "type-refused", &problem);
		else if (streq(noted->decision, "onlined") || streq(noted->decision, "taken-over"))
			return;
		else if (manager->scan == 1)
			region_decide(noted, LOG_INFO, "taken-over",
				      "its memory is online on node %d; left as it is",
				      dax->target_node);
		else
			region_decide(noted, LOG_NOTICE, "taken-over",
				      "its memory came online on node %d by another hand than "
				      "cxl-tierd's, %s; left as it is",
				      dax->target_node, rivals_likely(manager, hand));
		return;
	}
	/*
	 * It was no portal, and now somebody has given it to kmem: "tierctl online" or an operator
	 * is at work, and must not lose the device under their hands.
	 */
	if (dax->mode == TIER_DAX_SYSTEM_RAM && noted->examined && !known && !everything)
		return;

	/* Trying may itself cause device events, so there is an end to it. */
	if (noted->attempts >= MAX_ATTEMPTS) {
		if (known)
			known->scan = manager->scan;
		return;
	}

	r = find_portal(manager, region, dax, path, &super, &problem);
	noted->examined = r == 0 || r == TIER_E_NOT_PORTAL;
	noted->was_portal |=
		r == 0 || r == TIER_E_DAMAGED || r == TIER_E_INCOMPATIBLE || r == TIER_E_TRUNCATED;
	if (noted->examined)
		noted->attempts = 0;
	if (r == TIER_E_NOT_PORTAL) {
		if (region_blocks_online(topology, region))
			region_decide(noted, LOG_INFO, "taken-over",
				      "a part of its memory is online; left as it is");
		else if (region_set_type(manager, topology, region, false, &problem) != 0)
			region_decide_problem(noted, "type-refused", &problem);
		else
			noted->waits = waits || !noted->settled;
		/*
		 * Once: a rule that failed would cause device events by its own roll-back and be
		 * tried for ever, and what an operator has taken offline has to stay so.
		 */
		noted->settled = true;
	} else if (r == 0) {
		/* Its extents stay closed to others only if the kernel knows what they are. */
		if (region_set_type(manager, topology, region, true, &problem) != 0)
			log_problem(LOG_ERR, "type-refused", &problem);
		portals_note(manager, region->name, rule, path, 0, &super, NULL);
		noted->text[0] = '\0'; /* flights_announce() tells of it */
	} else if (r == TIER_E_DAMAGED || r == TIER_E_INCOMPATIBLE || r == TIER_E_TRUNCATED) {
		portals_note(manager, region->name, rule, path, r, NULL, &problem);
		noted->text[0] = '\0';
	} else {
		/* Unknown whether it is a portal, so it is treated as one. A known one stays one. */
		if (r != TIER_E_TIMEOUT)
			noted->attempts++;
		(void)monitor_rescan(manager);
		if (known)
			known->scan = manager->scan;
		region_decide_problem(noted, "unknown", &problem);
	}
}

static void warn_auto_online(struct manager *manager, const struct tier_topology *topology)
{
	bool bad = topology->hotplug.auto_online[0] &&
		   !streq(topology->hotplug.auto_online, "offline");

	if (bad && !manager->warned_auto_online)
		log_decision(LOG_WARNING, "auto_online_blocks", "unsafe",
			     "is \"%s\": the kernel onlines a portal that is there before "
			     "cxl-tierd; boot "
			     "with memhp_default_state=offline; tierctl doctor",
			     topology->hotplug.auto_online);
	manager->warned_auto_online = bad;
}

static int scan_regions(struct manager *manager, bool everything, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	int r;

	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r != 0)
		return r;
	manager->scan++;
	warn_auto_online(manager, topology);
	for (size_t i = 0; i < topology->region_count; i++) {
		manager_alive(manager);
		scan_region(manager, topology, &topology->regions[i], everything);
	}
	ordinary_look(manager, topology);
	retired_portals(manager, topology);
	retired_save(manager);
	retired_offline_rest(manager);
	ras_devices(manager, topology);
	tier_config_types(manager->config, topology);
	weights_look(manager, topology);
	tiering_choose(manager, topology);
	return 0;
}

int manager_scan(struct manager *manager, bool everything, struct tier_problem *problem)
{
	int r = 0;

	if (offline_defers_scan(manager, everything))
		return 0;
	hold_scan(manager, everything);
	if (everything && !manager->options.files_only)
		rivals_look(manager);
	declared_apply(manager, everything);
	if (manager->options.files_only)
		manager->scan++;
	else
		do {
			r = scan_regions(manager, everything, problem);
			everything = false;
		} while (r == 0 && rules_apply(manager));
	if (r != 0)
		return r;
	portals_note_files(manager);
	portals_prune(manager);
	prune_regions(manager);
	beat_new_portals(manager);
	flights_announce(manager);
	metrics_look(manager);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "manager.h"

/* The portals that this host sees: on regions (scan.c finds them) and on plain files. */

const char *portal_name(const struct portal *portal)
{
	return portal->super.name[0] ? portal->super.name : portal->path;
}

struct portal *portals_by_region(struct manager *manager, const char *region)
{
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		if (portal->region[0] && streq(portal->region, region))
			return portal;
	return NULL;
}

struct portal *portals_by_uuid(struct manager *manager, const struct tier_uuid *uuid)
{
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		if (portal->code == 0 && uuid_equal(&portal->super.uuid, uuid))
			return portal;
	return NULL;
}

int portals_find(struct manager *manager, const char *key, struct portal **ret,
		 struct tier_problem *problem)
{
	struct portal *found = NULL;

	for (struct portal *portal = manager->portals; portal; portal = portal->next) {
		if (streq(portal->path, key) || (portal->region[0] && streq(portal->region, key))) {
			found = portal;
			break;
		}
		if (!streq(portal->super.name, key))
			continue;
		if (found)
			return tier_problem_set(problem, TIER_E_REFUSED, key, "name its region",
						"more than one portal has this name");
		found = portal;
	}
	if (!found)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, key, "tierctl portal show",
					"no such portal on this host");
	if (found->code != 0) {
		*problem = found->problem;
		return found->code;
	}
	*ret = found;
	return 0;
}

/* What was known of another portal, or as another host, is not known of this one. */
static void forget_part(struct portal *portal)
{
	free(portal->scrubs);
	portal->scrubs = NULL;
	portal->scrub_count = 0;
	free(portal->retired);
	portal->retired = NULL;
	portal->retired_count = 0;
	portal->record = (struct tier_host_record){};
	portal->hosts = (struct tier_handoff_view){};
	portal->usurped = portal->idle = portal->requested = false;
	portal->absent[0] = portal->fenced[0] = portal->scrub_failed[0] = '\0';
	memset(portal->watches, 0, sizeof(portal->watches));
}

static struct portal *portal_free(struct portal *portal)
{
	forget_part(portal);
	free(portal);
	return NULL;
}

static void take_super(struct portal *portal, const struct tier_super *super)
{
	uint32_t slot = tier_super_host(super, portal->host);

	if (!uuid_equal(&portal->super.uuid, &super->uuid) || portal->slot != slot)
		forget_part(portal);
	portal->super = *super;
	printable(portal->super.name);
	for (uint32_t i = 0; i < super->host_count; i++)
		printable(portal->super.hosts[i].name);
	portal->slot = slot;
}

void portals_note(struct manager *manager, const char *region,
		  const struct tier_config_portal *rule, const char *path, int code,
		  const struct tier_super *super, const struct tier_problem *problem)
{
	struct portal *portal;

	for (portal = manager->portals; portal; portal = portal->next)
		if (region[0] ? streq(portal->region, region) : streq(portal->path, path))
			break;
	if (!portal) {
		portal = calloc(1, sizeof(*portal));
		if (!portal)
			return;
		portal->next = manager->portals;
		manager->portals = portal;
		COPY(portal->region, region);
	} else if (code != portal->code ||
		   (code == 0 ? !uuid_equal(&super->uuid, &portal->super.uuid)
			      : !streq(problem->text, portal->problem.text))) {
		portal->announced = false;
	}
	COPY(portal->path, path);
	COPY(portal->host, rule && rule->host[0] ? rule->host : manager->hostname);
	portal->keyed = rule ? rule->keyed : 0;
	portal->scan = manager->scan;
	portal->code = code;
	if (code == 0) {
		portal->problem = (struct tier_problem){};
		take_super(portal, super);
	} else {
		portal->problem = *problem;
		forget_part(portal);
		portal->slot = TIER_PORTAL_NO_HOST;
		portal->super = (struct tier_super){};
	}
}

void portals_note_files(struct manager *manager)
{
	for (size_t i = 0; i < manager->config->portal_count; i++) {
		const struct tier_config_portal *rule = &manager->config->portals[i];
		struct tier_problem problem = {};
		struct tier_super super;
		int r;

		if (!rule->file[0])
			continue;
		r = tier_portal_probe(rule->file, &super, &problem);
		portals_note(manager, "", rule, rule->file, r, &super, &problem);
	}
}

void portals_prune(struct manager *manager)
{
	for (struct portal **p = &manager->portals; *p;) {
		struct portal *portal = *p;

		if (portal->scan == manager->scan) {
			p = &portal->next;
			continue;
		}
		log_decision(LOG_NOTICE, portal_name(portal), "portal-gone",
			     "the portal on %s has gone", portal->path);
		*p = portal->next;
		portal_free(portal);
	}
}

void portals_free(struct manager *manager)
{
	while (manager->portals) {
		struct portal *portal = manager->portals;

		manager->portals = portal->next;
		portal_free(portal);
	}
}

int portal_open(struct portal *portal, unsigned flags, struct tier_portal **ret,
		struct tier_problem *problem)
{
	const struct tier_super *super;
	struct tier_portal *mapped;
	int r;

	if (portal->code != 0) {
		*problem = portal->problem;
		return portal->code;
	}
	r = tier_portal_open(portal->path, flags | portal->keyed, &mapped, problem);
	if (r != 0)
		return r;
	super = tier_portal_super(mapped);
	if (!uuid_equal(&super->uuid, &portal->super.uuid)) {
		tier_portal_close(mapped);
		return tier_problem_set(
			problem, TIER_E_STALE, portal_name(portal),
			"cxl-tierd looks again on a reload: systemctl reload cxl-tierd",
			"has been formatted again since it was found");
	}
	*ret = mapped;
	return 0;
}

int portal_scrub(struct portal *portal, const struct tier_extent_range *ranges, uint32_t count,
		 struct tier_problem *problem)
{
	const struct tier_super *super = &portal->super;
	int fd, r = 0;

	if (portal->region[0])
		return tier_extents_scrub(portal->region, super, ranges, count, problem);

	fd = open(portal->path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return tier_problem_set(problem, -errno, portal_name(portal), NULL,
					"cannot scrub extents in %s", portal->path);
	for (uint32_t i = 0; i < count && r == 0; i++)
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(super->control_bytes + ranges[i].first * super->extent_bytes),
			      (off_t)(ranges[i].count * super->extent_bytes)) < 0)
			r = tier_problem_set(problem, -errno, portal_name(portal), NULL,
					     "cannot scrub extents in %s", portal->path);
	close(fd);
	return r;
}

static const char *state_name(const struct portal *portal)
{
	switch (portal->code) {
	case 0:
		return portal->slot == TIER_PORTAL_NO_HOST ? "foreign" : "usable";
	case TIER_E_NOT_PORTAL:
		return "unformatted";
	case TIER_E_DAMAGED:
		return "damaged";
	case TIER_E_INCOMPATIBLE:
		return "incompatible";
	case TIER_E_TRUNCATED:
		return "truncated";
	default:
		return "unreadable";
	}
}

/* What this host has seen at its beats; where it takes no part, what the records say now. */
static struct host_watch watch_of(const struct portal *portal, struct tier_portal *mapped,
				  uint32_t host)
{
	struct host_watch watch = portal->watches[host];
	struct tier_host_record record = portal->record;

	if (host == portal->slot ? record.stamp.incarnation != 0
				 : portal->record.stamp.incarnation == 0 &&
					   tier_portal_read_host(mapped, host, &record) == 0)
		watch = (struct host_watch){.incarnation = record.stamp.incarnation,
					    .beats = record.stamp.generation,
					    .beat_usec = record.beat_usec};
	return watch;
}

static int hosts_to_json(struct manager *manager, const struct portal *portal,
			 struct tier_portal *mapped, sd_json_variant **ret)
{
	const struct tier_super *super = &portal->super;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < super->host_count; i++) {
		const struct tier_handoff_fence *fence = &portal->hosts.fences[i];
		struct host_watch watch = watch_of(portal, mapped, i);
		bool booted = watch.incarnation != 0;

		r = sd_json_variant_append_arraybo(
			ret, SD_JSON_BUILD_PAIR_UNSIGNED("slot", i),
			SD_JSON_BUILD_PAIR_STRING("name", super->hosts[i].name),
			SD_JSON_BUILD_PAIR_UNSIGNED("firstExtent", super->hosts[i].first_extent),
			SD_JSON_BUILD_PAIR_UNSIGNED("extents", super->hosts[i].extent_count),
			SD_JSON_BUILD_PAIR_UNSIGNED("incarnation", watch.incarnation),
			SD_JSON_BUILD_PAIR_UNSIGNED("beats", watch.beats),
			SD_JSON_BUILD_PAIR_UNSIGNED("lastBeatUsec", watch.beat_usec),
			SD_JSON_BUILD_PAIR_BOOLEAN("overdue", beat_overdue(manager, portal, i)),
			SD_JSON_BUILD_PAIR_BOOLEAN("fenced",
						   booted && fence->fenced >= watch.incarnation),
			SD_JSON_BUILD_PAIR_BOOLEAN("fencing",
						   booted && fence->intended >= watch.incarnation &&
							   fence->fenced < watch.incarnation));
	}
	return r;
}

static int portal_to_json(struct manager *manager, struct portal *portal, sd_json_variant **array)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *object = NULL, *hosts = NULL;
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	const struct tier_super *super = &portal->super;
	uint32_t counts[TIER_EXTENT_RETIRED + 1] = {};
	struct tier_problem problem = portal->problem;
	const char *state = state_name(portal);
	unsigned health;
	char uuid[37];
	int r;

	r = sd_json_buildo(&object, SD_JSON_BUILD_PAIR_STRING("path", portal->path),
			   SD_JSON_BUILD_PAIR_STRING("localHost", portal->host));
	if (r >= 0 && portal->region[0])
		r = sd_json_variant_set_field_string(&object, "region", portal->region);
	if (r >= 0 && portal->code == 0 &&
	    portal_open(portal, TIER_PORTAL_READ, &mapped, &problem) != 0)
		state = "unreadable";
	if (r >= 0 && mapped) {
		health = tier_portal_super_health(mapped);
		tier_uuid_format(&super->uuid, uuid);
		r = hosts_to_json(manager, portal, mapped, &hosts);
		if (r >= 0)
			r = sd_json_variant_merge_objectbo(
				&object, SD_JSON_BUILD_PAIR_STRING("name", super->name),
				SD_JSON_BUILD_PAIR_STRING("uuid", uuid),
				SD_JSON_BUILD_PAIR_UNSIGNED("totalBytes", super->total_bytes),
				SD_JSON_BUILD_PAIR_UNSIGNED("controlBytes", super->control_bytes),
				SD_JSON_BUILD_PAIR_UNSIGNED("extentBytes", super->extent_bytes),
				SD_JSON_BUILD_PAIR_UNSIGNED("extents", super->extent_count),
				SD_JSON_BUILD_PAIR_BOOLEAN("hardwareCoherent",
							   super->hardware_coherent),
				SD_JSON_BUILD_PAIR_UNSIGNED("damagedCopies", health),
				SD_JSON_BUILD_PAIR_VARIANT("hosts", hosts));
		if (r >= 0 && portal->slot != TIER_PORTAL_NO_HOST) {
			homes_count(portal, mapped, counts);
			r = sd_json_variant_merge_objectbo(
				&object, SD_JSON_BUILD_PAIR_UNSIGNED("slot", portal->slot),
				SD_JSON_BUILD_PAIR_UNSIGNED("incarnation",
							    portal->record.stamp.incarnation),
				SD_JSON_BUILD_PAIR_UNSIGNED("freeExtents",
							    counts[TIER_EXTENT_FREE]),
				SD_JSON_BUILD_PAIR_UNSIGNED("claimedExtents",
							    counts[TIER_EXTENT_CLAIMED]),
				SD_JSON_BUILD_PAIR_UNSIGNED("scrubExtents",
							    counts[TIER_EXTENT_SCRUB]),
				SD_JSON_BUILD_PAIR_UNSIGNED("retiredExtents",
							    counts[TIER_EXTENT_RETIRED]));
		}
	}
	if (r >= 0)
		r = sd_json_variant_set_field_string(&object, "state", state);
	if (!problem.text[0] && portal->fenced[0])
		snprintf(problem.text, sizeof(problem.text), "this boot of this host was %s",
			 portal->fenced);
	else if (!problem.text[0])
		COPY(problem.text, portal->absent);
	if (r >= 0 && problem.text[0])
		r = sd_json_variant_set_field_string(&object, "problem", problem.text);
	if (r >= 0)
		r = sd_json_variant_append_array(array, object);
	return r;
}

int portals_to_json(struct manager *manager, sd_json_variant **ret)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
	int r;

	r = sd_json_variant_new_array(&array, NULL, 0);
	for (struct portal *portal = manager->portals; r >= 0 && portal; portal = portal->next)
		r = portal_to_json(manager, portal, &array);
	if (r < 0)
		return r;
	*ret = array;
	array = NULL;
	return 0;
}

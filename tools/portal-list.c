/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal-list.h"

static void free_topology(struct tier_topology **topology)
{
	tier_topology_free(*topology);
}

static void free_config(struct tier_config **config)
{
	tier_config_free(*config);
}

static int add(struct portal_list *list, const struct portal_place *place)
{
	struct portal_place *places = reallocarray(list->places, list->count + 1, sizeof(*places));

	if (!places)
		return tool_fail_text(place->path, NULL, "out of memory");
	list->places = places;
	list->places[list->count++] = *place;
	return 0;
}

static void probe(struct portal_place *place)
{
	struct tier_super super;

	place->code = tier_portal_probe(place->path, &super, &place->problem);
	if (place->code == 0)
		snprintf(place->name, sizeof(place->name), "%s", super.name);
}

/* A portal begins where its region begins; what begins later is one of its extents. */
static bool may_carry(const struct tier_topology *topology, const struct tier_dax *dax)
{
	const struct tier_region *region = tier_topology_region(topology, dax->region);

	return dax->mode == TIER_DAX_DEVDAX && dax->bytes > 0 &&
	       (!region || region->start == TIER_UNKNOWN_U64 || dax->start == TIER_UNKNOWN_U64 ||
		region->start == dax->start);
}

static int add_devices(struct portal_list *list)
{
	__attribute__((cleanup(free_topology))) struct tier_topology *topology = NULL;
	int r = tool_topology(&topology);

	for (size_t i = 0; r == 0 && i < topology->dax_count; i++) {
		const struct tier_dax *dax = &topology->daxs[i];
		struct portal_place place = {};

		list->ram_devices += dax->mode == TIER_DAX_SYSTEM_RAM;
		if (!may_carry(topology, dax))
			continue;
		snprintf(place.path, sizeof(place.path), "/dev/%s", dax->name);
		snprintf(place.region, sizeof(place.region), "%s", dax->region);
		probe(&place);
		if (place.code != TIER_E_NOT_PORTAL)
			r = add(list, &place);
	}
	return r;
}

static int add_files(struct portal_list *list)
{
	__attribute__((cleanup(free_config))) struct tier_config *config = NULL;
	int r = tool_config(&config);

	for (size_t i = 0; r == 0 && i < config->portal_count; i++) {
		struct portal_place place = {};

		if (!config->portals[i].file[0])
			continue;
		snprintf(place.path, sizeof(place.path), "%s", config->portals[i].file);
		snprintf(place.name, sizeof(place.name), "%s", config->portals[i].name);
		probe(&place);
		r = add(list, &place);
	}
	return r;
}

int portal_list(struct portal_list *ret)
{
	struct portal_list list = {};
	int r;

	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0)
		return tool_fail_text(tool_common.sysroot, NULL,
				      "a dump of a machine does not hold its portals");
	r = add_devices(&list);
	if (r == 0)
		r = add_files(&list);
	if (r == 0)
		*ret = list;
	else
		portal_list_done(&list);
	return r;
}

void portal_list_done(struct portal_list *list)
{
	free(list->places);
	list->places = NULL;
}

int portal_find(const char *object, char path[static 256])
{
	__attribute__((cleanup(portal_list_done))) struct portal_list list = {};
	__attribute__((cleanup(free_topology))) struct tier_topology *topology = NULL;
	const struct portal_place *found = NULL, *unreadable = NULL;
	char device[64];
	int r;

	if (strchr(object, '/')) {
		if (snprintf(path, 256, "%s", object) >= 256)
			return tool_fail_text(object, NULL, "too long for a path");
		return 0;
	}
	r = portal_list(&list);
	if (r != 0)
		return r;
	for (size_t i = 0; i < list.count; i++) {
		const struct portal_place *place = &list.places[i];

		if (place->code < 0)
			unreadable = place;
		if (strcmp(place->name, object) != 0 && strcmp(place->region, object) != 0)
			continue;
		if (found)
			return tool_fail_text(object, "name its region or file",
					      "%s and %s are both called so", found->path,
					      place->path);
		found = place;
	}
	if (found) {
		snprintf(path, 256, "%s", found->path);
		return 0;
	}
	r = tool_topology(&topology);
	if (r != 0)
		return r;
	if (tier_topology_region(topology, object)) {
		struct tier_problem problem = {};

		if (tier_portal_region_path(object, device, &problem) != 0)
			return tool_fail(&problem);
		snprintf(path, 256, "%s", device);
		return 0;
	}
	if (unreadable)
		return tool_fail(&unreadable->problem);
	return tool_fail_text(object, "tierctl portal show lists those of this host",
			      "no such portal or region");
}

int portal_local_host(const char *path, char host[static 64])
{
	__attribute__((cleanup(free_config))) struct tier_config *config = NULL;
	const struct tier_config_portal *rule;
	struct tier_problem problem = {};
	int r = tool_config(&config);

	if (r)
		return r;
	if (tier_portal_rule(config, path, &rule, &problem) != 0)
		return tool_fail(&problem);
	if (rule && rule->host[0])
		snprintf(host, 64, "%s", rule->host);
	else if (gethostname(host, 64) < 0)
		return tool_fail_text(path, "give it with Host= in its [Portal] section",
				      "this host's name cannot be read: %s", strerror(errno));
	host[63] = '\0';
	return 0;
}

int portal_open(const char *path, unsigned flags, struct tier_portal **ret,
		struct tier_problem *problem)
{
	__attribute__((cleanup(free_config))) struct tier_config *config = NULL;
	int r = tier_config_load(tool_common.sysroot, tool_common.config, &config, problem);

	return r ?: tier_portal_open_configured(config, path, flags, ret, problem);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Regions that the configuration declares: what is wrong with them whatever the machine has. */
#include <inttypes.h>

#include "config-keys.h"
#include "util.h"

bool config_has_device(const struct tier_config_devices *devices, uint64_t serial)
{
	for (unsigned i = 0; i < devices->count; i++)
		if (devices->serials[i] == serial)
			return true;
	return false;
}

bool config_same_devices(const struct tier_config_devices *a, const struct tier_config_devices *b)
{
	return a->count == b->count &&
	       memcmp(a->serials, b->serials, a->count * sizeof(a->serials[0])) == 0;
}

/* Keys that mean something only beside others. */
static int check_keys(const struct tier_config *config, const struct tier_config_region *rule,
		      const char *head, struct tier_problem *problem)
{
	bool match = rule->match_serial || rule->match_uuid[0] || rule->match_path[0];
	char place[96], other[96], size[16];
	uint64_t step = 256 * MIB * rule->create.count;

	if (rule->create.count == 0 && (rule->size_bytes || rule->granularity_bytes))
		return config_contradiction(
			problem,
			config_where(config, head,
				     rule->size_bytes ? "Size" : "InterleaveGranularity", place),
			"%s= of %s is for a region that Create= declares, and there is none",
			rule->size_bytes ? "Size" : "InterleaveGranularity", head);
	if (rule->create.count == 0)
		return 0;
	if (match)
		return config_contradiction(
			problem, config_where(config, head, "Create", place),
			"Create= of %s says which region is meant, so there can be no Match "
			"beside it (%s)",
			head, config_where(config, head, "", other));
	if (rule->granularity_bytes && rule->create.count == 1)
		return config_contradiction(
			problem, config_where(config, head, "InterleaveGranularity", place),
			"InterleaveGranularity= of %s contradicts Create= (%s), which names one "
			"device: there is nothing to interleave",
			head, config_where(config, head, "Create", other));
	if (rule->size_bytes % step)
		return config_contradiction(
			problem, config_where(config, head, "Size", place),
			"Size= of %s is not a multiple of %s: 256M on each of the %u devices of "
			"Create= (%s)",
			head, format_bytes(size, step), rule->create.count,
			config_where(config, head, "Create", other));
	return 0;
}

/* What the sections say of the same device. */
static int check_pair(const struct tier_config *config, const struct tier_config_region *first,
		      const struct tier_config_region *second, struct tier_problem *problem)
{
	char head[80], other_head[80], place[96], other[96];
	uint64_t serial = 0;
	bool shared = false;

	for (unsigned i = 0; !shared && i < second->create.count; i++) {
		serial = second->create.serials[i];
		shared = config_has_device(&first->create, serial);
	}
	if (!shared)
		return 0;
	config_section_name(other_head, "Region", first->name);
	config_section_name(head, "Region", second->name);
	if (first->size_bytes == 0 || second->size_bytes == 0)
		return config_contradiction(
			problem, config_where(config, head, "Create", place),
			"Create= of %s contradicts that of %s (%s): both have device 0x%" PRIx64
			", and without Size= %s takes all of it",
			head, other_head, config_where(config, other_head, "Create", other), serial,
			first->size_bytes == 0 ? other_head : head);
	if (config_same_devices(&first->create, &second->create) &&
	    first->size_bytes == second->size_bytes)
		return config_contradiction(
			problem, config_where(config, head, "Create", place),
			"Create= and Size= of %s are those of %s (%s): nobody could tell their "
			"regions apart",
			head, other_head, config_where(config, other_head, "Create", other));
	return 0;
}

/* A portal's own Type= counts, so one that says something else would not be heard. */
static int check_portals(const struct tier_config *config, const struct tier_config_region *rule,
			 const char *head, struct tier_problem *problem)
{
	for (size_t i = 0; rule->type && i < config->portal_count; i++) {
		const struct tier_config_portal *portal = &config->portals[i];
		char other_head[80], place[96], other[96];

		if (!portal->match_serial || portal->match_uuid[0] || portal->match_path[0] ||
		    !config_has_device(&rule->create, portal->serial) ||
		    (rule->type != TIER_MEMORY_LOCAL &&
		     (portal->type == TIER_MEMORY_UNKNOWN || portal->type == rule->type)))
			continue;
		config_section_name(other_head, "Portal", portal->name);
		return config_contradiction(
			problem, config_where(config, head, "Type", place),
			"Type=%s of %s contradicts %s (%s): its region is a portal, which is %s",
			tier_memory_type_name(rule->type), head, other_head,
			config_where(config, other_head, "Type", other),
			portal->type ? tier_memory_type_name(portal->type) : "Shared or Switched");
	}
	return 0;
}

int config_check_declared(const struct tier_config *config, struct tier_problem *problem)
{
	char head[80];
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->region_count; i++) {
		const struct tier_config_region *rule = &config->regions[i];

		config_section_name(head, "Region", rule->name);
		r = check_keys(config, rule, head, problem);
		if (r == 0)
			r = check_portals(config, rule, head, problem);
		for (size_t j = 0; r == 0 && rule->create.count && j < i; j++)
			r = check_pair(config, &config->regions[j], rule, problem);
	}
	return r;
}

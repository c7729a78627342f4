/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-why.h"

#define POLICIES 3

void kernel_rule_read(struct kernel_rule *rule, const struct tier_topology *topology)
{
	if (tier_zoning_read(tool_common.sysroot, topology, &rule->zoning, &rule->set,
			     &rule->problem) != 0)
		rule->zoning = NULL;
}

void kernel_rule_done(struct kernel_rule *rule)
{
	tier_zoning_free(rule->zoning);
}

/* As it is set, and auto-movable with and without numa_aware at the ratio that is set. */
static struct tier_zoning_policy policy(const struct kernel_rule *rule, int number)
{
	struct tier_zoning_policy changed = rule->set;

	if (number == 0)
		return rule->set;
	changed.auto_movable = true;
	changed.numa_aware = number == 1;
	return changed;
}

static const char *policy_text(char text[static 80], const struct tier_zoning_policy *policy)
{
	if (!policy->auto_movable)
		snprintf(text, 80, "contig-zones%s", policy->movable_node ? ", movable_node" : "");
	else
		snprintf(text, 80, "auto-movable, %u %%, numa_aware=%c", policy->ratio_percent,
			 policy->numa_aware ? 'Y' : 'N');
	return text;
}

static int ask(const struct kernel_rule *rule, const struct tier_topology *topology,
	       const char *region, const struct tier_online_arrival *arrival, int number,
	       enum tier_zone *ret)
{
	struct tier_zoning_policy now = policy(rule, number);

	return arrival ? tier_zoning_arrival(rule->zoning, &now, topology, arrival->node,
					     arrival->bytes, ret)
		       : tier_zoning_region(rule->zoning, &now, topology, region, ret);
}

/* A policy that is the one that is set needs no line of its own. */
static bool is_repeated(const struct kernel_rule *rule, int number)
{
	struct tier_zoning_policy now = policy(rule, number);

	return number > 0 && rule->set.auto_movable && now.numa_aware == rule->set.numa_aware;
}

void kernel_rule_print(const struct kernel_rule *rule, const struct tier_topology *topology,
		       const char *region, const struct tier_online_arrival *arrival)
{
	enum tier_zone zones[POLICIES] = {};
	char text[80];

	if (!rule->zoning) {
		printf("  not known: %s %s\n", rule->problem.object, rule->problem.text);
		return;
	}
	for (int i = 0; i < POLICIES; i++) {
		struct tier_zoning_policy now = policy(rule, i);

		if (ask(rule, topology, region, arrival, i, &zones[i]) != 0) {
			printf("  not known: without an address and a node of its dax device\n");
			return;
		}
		if (!is_repeated(rule, i))
			printf("  %-38s %s%s\n", policy_text(text, &now), tier_zone_name(zones[i]),
			       i == 0 ? " (as it is set)" : "");
	}
	if (zones[1] != TIER_ZONE_MOVABLE && zones[2] == TIER_ZONE_MOVABLE)
		printf("  With numa_aware it compares with the kernel memory that the node had at "
		       "boot: a node without any,\n  as an expander's is, gets none of it Movable, "
		       "whatever the ratio.\n");
}

int kernel_rule_json(const struct kernel_rule *rule, const struct tier_topology *topology,
		     const char *region, const struct tier_online_arrival *arrival,
		     sd_json_variant **ret)
{
	sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (int i = 0; r >= 0 && rule->zoning && i < POLICIES; i++) {
		struct tier_zoning_policy now = policy(rule, i);
		enum tier_zone zone;

		if (ask(rule, topology, region, arrival, i, &zone) != 0)
			break;
		r = sd_json_variant_append_arraybo(
			&array,
			SD_JSON_BUILD_PAIR_STRING("online_policy", now.auto_movable
									   ? "auto-movable"
									   : "contig-zones"),
			SD_JSON_BUILD_PAIR_UNSIGNED("ratio_percent", now.ratio_percent),
			SD_JSON_BUILD_PAIR_BOOLEAN("numa_aware", now.numa_aware),
			SD_JSON_BUILD_PAIR_BOOLEAN("set", i == 0),
			SD_JSON_BUILD_PAIR_STRING("zone", tier_zone_name(zone)));
	}
	if (r < 0)
		sd_json_variant_unref(array);
	else
		*ret = array;
	return r;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the configuration wants of each region of a machine. */
#include "tier-config.h"
#include "util.h"

unsigned tier_config_weight(const struct tier_config *config, const struct tier_topology *topology,
			    const char *name)
{
	const struct tier_region *region = tier_topology_region(topology, name);
	const struct tier_config_region *rule =
		region ? tier_config_region_rule(config, region) : NULL;

	return rule ? rule->weight : TIER_WEIGHT_DEFAULT;
}

struct wanted {
	struct tier_online_request request;
	size_t rule; /* its place among the rules; behind them without one */
	uint64_t start;
};

static void look_up(const struct tier_config *config, const struct tier_region *region,
		    struct wanted *wanted)
{
	const struct tier_config_portal *portal = tier_config_portal_rule(config, region);
	const struct tier_config_region *rule = tier_config_region_rule(config, region);
	struct tier_online_request *request = &wanted->request;

	copy_string(request->region, sizeof(request->region), region->name);
	wanted->start = region->start;
	wanted->rule = rule ? (size_t)(rule - config->regions) : config->region_count;
	request->zone = portal ? TIER_ONLINE_NO : rule ? rule->online : config->online;
	request->weight = rule ? rule->weight : TIER_WEIGHT_DEFAULT;
	if (portal)
		snprintf(request->rule, sizeof(request->rule), "[Portal %s]", portal->name);
	else if (rule)
		snprintf(request->rule, sizeof(request->rule), "[Region %s]", rule->name);
	else
		snprintf(request->rule, sizeof(request->rule), "[Daemon]");
}

static int compare(const void *a, const void *b)
{
	const struct wanted *left = a, *right = b;

	if (left->rule != right->rule)
		return (left->rule > right->rule) - (left->rule < right->rule);
	if (left->start != right->start)
		return (left->start > right->start) - (left->start < right->start);
	return strverscmp(left->request.region, right->request.region);
}

int tier_config_requests(const struct tier_config *config, const struct tier_topology *topology,
			 struct tier_online_request **ret, size_t *ret_count)
{
	size_t count = topology->region_count;
	_cleanup_free_ struct wanted *all = calloc(count + 1, sizeof(*all));
	_cleanup_free_ struct tier_online_request *requests = NULL;

	if (!all)
		return -ENOMEM;
	if (count > 0) {
		requests = calloc(count, sizeof(*requests));
		if (!requests)
			return -ENOMEM;
		for (size_t i = 0; i < count; i++)
			look_up(config, &topology->regions[i], &all[i]);
		qsort(all, count, sizeof(*all), compare);
	}
	for (size_t i = 0; i < count; i++)
		requests[i] = all[i].request;
	*ret = TAKE(requests);
	*ret_count = count;
	return 0;
}

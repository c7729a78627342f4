/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * The configuration's rules, applied to the regions that wait for them: together, since a region may
 * have to feed the kernel so that another one can be Movable. One region is onlined, and then all is
 * looked at again: onlining takes long enough for devices to come and go, and for another host to
 * format one of them; and one that fails changes what the others may do.
 */

static struct region *find(struct manager *manager, const char *name)
{
	for (struct region *region = manager->regions; region; region = region->next)
		if (region->waits && streq(region->name, name))
			return region;
	return NULL;
}

static void settle(struct manager *manager, struct region *region)
{
	region->waits = false;
	region->settled = true;
	onlining_settled(manager, region);
}

static void nobody_waits(struct manager *manager, const struct tier_problem *problem)
{
	for (struct region *region = manager->regions; region; region = region->next) {
		if (region->waits && problem) {
			region_decide_problem(region, "online-failed", problem);
			settle(manager, region);
		}
		region->waits = false;
	}
}

/* "[Region near]", "[Daemon] Online=auto" */
static const char *rule_text(char text[static 112], const struct tier_online_request *request)
{
	bool daemon = streq(request->rule, "[Daemon]");
	uint64_t first, last;
	bool ordinary = tier_run_parse(request->region, &first, &last) == 0;

	snprintf(text, 112, "%s%s%s", request->rule,
		 !daemon    ? ""
		 : ordinary ? " OrdinaryMemory="
			    : " Online=",
		 daemon ? tier_online_zone_name(request->zone) : "");
	return text;
}

/* Is there something that its rule has to say about it beyond leaving it alone? */
static bool to_be_onlined(struct manager *manager, const struct tier_topology *topology,
			  struct region *noted, const struct tier_online_request *request)
{
	const struct tier_region *region = tier_topology_region(topology, noted->name);
	const struct tier_config_portal *portal =
		region ? tier_config_portal_rule(manager->config, region) : NULL;
	char rule[112];

	if (noted->was_portal)
		/* Another host may be formatting it again: that begins with taking the old one away. */
		region_decide(
			noted, LOG_WARNING, "left-offline",
			"held a portal and does not any more; left offline; tierctl online, if "
			"that is wanted");
	else if (portal)
		region_decide(noted, LOG_WARNING, "left-offline",
			      "[Portal %s] names this region, but there is no portal on it; left "
			      "offline; tierctl portal format %s",
			      portal->name, noted->name);
	else if (request->zone == TIER_ONLINE_NO && noted->ordinary)
		region_decide(noted, LOG_NOTICE, "left-offline",
			      "memory without a dax device; left offline by %s; tierctl online %s",
			      rule_text(rule, request), noted->name);
	else if (request->zone == TIER_ONLINE_NO)
		region_decide(noted, LOG_NOTICE, "left-offline",
			      "not a portal; left offline by %s; %s", rule_text(rule, request),
			      streq(request->rule, "[Daemon]")
				      ? "tierctl online, or a [Region] rule"
				      : "tierctl online");
	else
		return true;
	settle(manager, noted);
	return false;
}

/* Memory without a dax device; what the configuration says of it is said once for all. */
static int add_ordinary(struct manager *manager, struct tier_online_request **requests,
			size_t *count)
{
	for (struct region *region = manager->regions; region; region = region->next) {
		struct tier_online_request *grown;

		if (!region->waits || !region->ordinary)
			continue;
		grown = reallocarray(*requests, *count + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*requests = grown;
		grown[*count] = (struct tier_online_request){.zone = manager->config->ordinary};
		COPY(grown[*count].region, region->name);
		COPY(grown[*count].rule, "[Daemon]");
		(*count)++;
	}
	return 0;
}

/* The rest is not to be had, or not wanted any more, so the beginning goes as well. */
static void take_back(struct manager *manager, struct region *noted)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	struct tier_problem problem;
	int r = tier_topology_read(manager->options.sysroot, &topology, &problem);

	if (r == 0)
		r = tier_plan_offline(topology, noted->name, false, &plan, &problem);
	if (r == 0)
		r = manager_apply(manager, plan, &problem);
	if (r != 0)
		log_problem(LOG_ERR, "half-online", &problem);
}

/* Only those that wait; returns how many. */
static size_t keep_waiting(struct manager *manager, const struct tier_topology *topology,
			   struct tier_online_request *requests, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct region *noted = find(manager, requests[i].region);

		if (!noted)
			continue;
		if (onlining_was(manager, noted) && requests[i].zone == TIER_ONLINE_NO)
			take_back(manager, noted);
		/* It is finished before anything else begins. */
		else if (onlining_was(manager, noted)) {
			requests[0] = requests[i];
			requests[0].resume = true;
			requests[0].zone = manager->onlining.zone;
			return 1;
		}
		if (to_be_onlined(manager, topology, noted, &requests[i]))
			requests[kept++] = requests[i];
	}
	return kept;
}

static const struct tier_online_request *request_of(const struct tier_online_policy *policy,
						    const char *region)
{
	for (size_t i = 0; i < policy->request_count; i++)
		if (streq(policy->requests[i].region, region))
			return &policy->requests[i];
	return NULL;
}

static void online(struct manager *manager, struct region *noted, const char *rule,
		   const struct tier_plan *plan)
{
	const struct tier_decision *decision = &plan->decisions[0];
	bool resumed = onlining_was(manager, noted);
	struct tier_problem problem = {};
	int r;

	onlining_begin(manager, noted,
		       decision->zone == TIER_ZONE_MOVABLE ? TIER_ONLINE_MOVABLE
							   : TIER_ONLINE_KERNEL);
	r = manager_apply(manager, plan, &problem);
	if (r == 0) {
		region_decide(noted, LOG_NOTICE, "onlined", "onlined in zone %s by %s%s: %s",
			      tier_zone_name(decision->zone), rule,
			      resumed ? ", as an earlier cxl-tierd had begun to" : "",
			      decision->reason);
		return;
	}
	region_decide_problem(noted, "online-failed", &problem);
	if (resumed)
		take_back(manager, noted);
}

/* The first decision of a plan and its steps; in a dry run what would be done. */
static void carry_out(struct manager *manager, struct region *noted, const char *rule,
		      const struct tier_plan *plan, size_t number)
{
	struct tier_decision *decision = &plan->decisions[number];
	struct tier_plan first = {.decisions = decision, .decision_count = 1, .steps = plan->steps};
	const char *zone = tier_zone_name(decision->zone);
	struct tier_problem problem = {};

	noted->waits = false;
	if (decision->code) {
		COPY(problem.object, decision->region);
		COPY(problem.text, decision->reason);
		COPY(problem.next, decision->next);
		region_decide_problem(noted, "online-failed", &problem);
		if (onlining_was(manager, noted))
			take_back(manager, noted);
	} else if (decision->zone == TIER_ZONE_NONE) {
		region_decide(noted, LOG_INFO, "taken-over", "%s", decision->reason);
	} else if (manager_dry_run(manager)) {
		region_decide(noted, LOG_NOTICE, "would-online",
			      "dry run: would be onlined in zone %s: %s", zone, decision->reason);
	} else {
		while (first.step_count < plan->step_count &&
		       streq(plan->steps[first.step_count].region, decision->region))
			first.step_count++;
		online(manager, noted, rule, &first);
	}
	settle(manager, noted);
}

/* Plans for all that wait, and onlines the first; false when none is left. */
static bool apply_one(struct manager *manager)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(freep) struct tier_online_request *requests = NULL;
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	struct tier_online_policy policy = {.ratio_percent = manager->config->ratio_percent,
					    .keep_going = true};
	struct tier_problem problem = {};
	int r;

	manager_alive(manager);
	r = tier_topology_read(manager->options.sysroot, &topology, &problem);
	if (r == 0) {
		r = tier_config_requests(manager->config, topology, &requests,
					 &policy.request_count);
		if (r == 0)
			r = add_ordinary(manager, &requests, &policy.request_count);
		if (r < 0)
			tier_problem_set(&problem, r, "regions", NULL, "cannot plan");
	}
	if (r == 0) {
		policy.request_count =
			keep_waiting(manager, topology, requests, policy.request_count);
		policy.requests = requests;
		if (policy.request_count == 0)
			return false;
		r = tier_plan_online(topology, &policy, &plan, &problem);
	}
	if (r != 0) {
		nobody_waits(manager, &problem);
		return false;
	}
	/* In a dry run nothing changes, so that this plan is the one for all of them. */
	for (size_t i = 0; i < plan->decision_count; i++) {
		struct region *noted = find(manager, plan->decisions[i].region);
		char rule[112];

		if (!noted)
			continue;
		carry_out(manager, noted,
			  rule_text(rule, request_of(&policy, plan->decisions[i].region)), plan, i);
		if (!manager_dry_run(manager))
			return true;
	}
	return false;
}

bool rules_apply(struct manager *manager)
{
	bool any = false;

	for (struct region *region = manager->regions; region; region = region->next)
		any |= region->waits;
	if (any && apply_one(manager))
		return true;
	/* What has gone meanwhile. */
	nobody_waits(manager, NULL);
	if (manager->onlining.name[0])
		onlining_end(manager);
	return false;
}

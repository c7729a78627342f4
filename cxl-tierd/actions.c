/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"
#include "offline.h"

/* What callers ask for, as against what the daemon does by itself (scan.c). */

static int on_step(void *userdata, size_t done, size_t total, const struct tier_step *step)
{
	manager_alive(userdata);
	return 0;
}

int manager_apply(struct manager *manager, const struct tier_plan *plan,
		  struct tier_problem *problem)
{
	manager_alive(manager);
	tiering_before_steps(manager, plan);
	return tier_plan_apply(plan, on_step, manager, problem);
}

static int refuse_dump(const struct manager *manager, const char *object,
		       struct tier_problem *problem)
{
	if (manager->options.files_only)
		return tier_problem_set(problem, TIER_E_REFUSED, object, NULL,
					"this cxl-tierd has portals on plain files only "
					"(--files-only)");
	if (!manager->options.sysroot)
		return 0;
	return tier_problem_set(problem, TIER_E_REFUSED, object, NULL,
				"this cxl-tierd shows a dump (--sysroot) and changes nothing");
}

static int plan_regions(struct manager *manager, const struct tier_topology *topology,
			char **regions, enum tier_online_zone zone, unsigned ratio_percent,
			struct tier_plan **ret, struct tier_problem *problem)
{
	_cleanup_(freep) struct tier_online_request *requests = NULL;
	struct tier_online_policy policy = {.ratio_percent = ratio_percent};

	while (regions && regions[policy.request_count])
		policy.request_count++;
	if (policy.request_count == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, "regions", NULL,
					"no region named");
	requests = calloc(policy.request_count, sizeof(*requests));
	if (!requests)
		return tier_problem_set(problem, -ENOMEM, "regions", NULL, "cannot plan");
	for (size_t i = 0; i < policy.request_count; i++) {
		COPY(requests[i].region, regions[i]);
		requests[i].zone = zone;
		requests[i].weight = tier_config_weight(manager->config, topology, regions[i]);
	}
	policy.requests = requests;
	return tier_plan_online(topology, &policy, ret, problem);
}

int manager_plan(struct manager *manager, char **regions, enum tier_online_zone zone,
		 unsigned ratio_percent, struct tier_plan **ret, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	int r;

	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r != 0)
		return r;
	return plan_regions(manager, topology, regions, zone, ratio_percent, ret, problem);
}

/*
 * Looking for a superblock takes a device from kmem. What was there goes back, so that the plan still
 * fits what it was made for, and a refusal leaves what it found.
 */
static int back_to_ram(struct manager *manager, const struct tier_topology *before,
		       const char *region, struct tier_problem *problem)
{
	_cleanup_(freep) struct tier_step *steps = calloc(before->dax_count, sizeof(*steps));
	struct tier_plan plan = {.steps = steps};
	const struct tier_dax *dax = NULL;

	if (!steps)
		return tier_problem_set(problem, -ENOMEM, region, NULL, "cannot bind it to kmem");
	while ((dax = tier_topology_region_dax(before, region, dax))) {
		struct tier_step *step = &steps[plan.step_count];

		if (dax->mode != TIER_DAX_SYSTEM_RAM)
			continue;
		*step = (struct tier_step){.action = TIER_STEP_BIND_RAM, .block = TIER_UNKNOWN_U64};
		COPY(step->region, region);
		COPY(step->dax, dax->name);
		plan.step_count++;
	}
	return manager_apply(manager, &plan, problem);
}

/*
 * Refuses a region that carries a portal, or of which that is not known. A region whose memory is
 * online already cannot be looked at, and the plan says what is to be said about it.
 */
static int refuse_portal(struct manager *manager, const struct tier_topology *topology,
			 const char *name, bool dry_run, struct tier_problem *problem)
{
	const struct tier_region *region = tier_topology_region(topology, name);
	const struct portal *portal = portals_by_region(manager, name);
	char path[64];
	struct tier_super super;
	int r;

	if (portal)
		return tier_problem_set(problem, TIER_E_REFUSED, name, "tierctl portal show",
					"holds the portal %s, which is never onlined as a whole",
					portal_name(portal));
	if (!region || !region_first_dax(topology, region) || dry_run ||
	    region_blocks_online(topology, region))
		return 0;
	r = tier_portal_attach(name, path, &super, problem);
	if (r == TIER_E_NOT_PORTAL)
		return back_to_ram(manager, topology, name, problem);
	if (r == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, name, "tierctl portal show",
					"holds the portal %s, which is never onlined as a whole",
					super.name);
	return r; /* damaged and the like, or unreadable: the problem is filled in */
}

int manager_online(struct manager *manager, char **regions, enum tier_online_zone zone,
		   unsigned ratio_percent, bool dry_run, struct tier_plan **ret,
		   struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	int r;

	dry_run = dry_run || manager->options.dry_run || manager->config->dry_run;
	r = dry_run ? 0 : refuse_dump(manager, "Online", problem);
	for (size_t i = 0; r == 0 && !dry_run && regions && regions[i]; i++)
		if (offline_busy(manager, regions[i]))
			r = offline_refuse_second(manager, regions[i], problem);
	if (r == 0)
		r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r == 0) /* first for its refusals: an impossible plan must change nothing */
		r = plan_regions(manager, topology, regions, zone, ratio_percent, &plan, problem);
	for (size_t i = 0; r == 0 && regions[i]; i++)
		r = refuse_portal(manager, topology, regions[i], dry_run, problem);
	if (r != 0)
		return r;
	if (!dry_run) {
		r = manager_apply(manager, plan, problem);
		if (r != 0) {
			log_problem(LOG_ERR, "online-failed", problem);
			return r;
		}
		for (size_t i = 0; regions[i]; i++)
			region_decided(manager, regions[i], "onlined");
		for (size_t i = 0; i < plan->decision_count; i++)
			log_decision(LOG_NOTICE, plan->decisions[i].region, "onlined",
				     "onlined in zone %s on request: %s",
				     tier_zone_name(plan->decisions[i].zone),
				     plan->decisions[i].reason);
	}
	*ret = plan;
	plan = NULL;
	return 0;
}

int manager_offline(struct manager *manager, sd_varlink *link, bool more,
		    const struct offline_request *request, struct tier_plan **ret,
		    struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	const struct portal *portal = portals_by_region(manager, request->region);
	bool dry_run = request->dry_run || manager->options.dry_run || manager->config->dry_run;
	int r = dry_run ? 0 : refuse_dump(manager, "Offline", problem);

	if (r == 0 && !dry_run)
		r = offline_refuse_second(manager, request->region, problem);
	if (r != 0)
		return r;
	if (portal)
		return tier_problem_set(problem, TIER_E_REFUSED, request->region, "tierctl flights",
					"holds the portal %s; its extents are opened and closed by "
					"flights only",
					portal_name(portal));
	r = tier_topology_read(manager->options.sysroot, &topology, problem);
	if (r == 0)
		r = tier_plan_offline(topology, request->region, request->to_devdax, &plan,
				      problem);
	if (r != 0)
		return r;
	if (!dry_run && plan->step_count > 0) {
		r = offline_start(manager, link, more, request, plan, problem);
		*ret = NULL;
	} else {
		if (!dry_run)
			region_decided(manager, request->region, "offlined");
		*ret = plan;
	}
	if (r == 0)
		plan = NULL;
	return r;
}

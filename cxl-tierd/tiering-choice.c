/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"
#include "tiering-kernel.h"

/*
 * By DAMON (tiering.c), where it can, else by the kernel's own tiering, else by idle page tracking (tiering.c, too).
 * Where it is not the kernel, that demotes what does not fit meanwhile. docs/tiering.md.
 */

static const char object[] = "tiering";

static bool is_ours(const struct manager *manager)
{
	return !manager->options.sysroot && !manager->options.files_only;
}

static void note(int code, const struct tier_problem *problem, int *ret, struct tier_problem *copy)
{
	*ret = code;
	*copy = code && problem ? *problem : (struct tier_problem){};
}

/* Why DAMON cannot do it; 0 if it can, as far as is known. */
static int damon(struct tiering_choice *it, const struct tier_problem **ret)
{
	struct tier_problem problem = {};
	int r;

	*ret = it->nodes ? &it->nodes_problem : it->lacks ? &it->lacks_problem : &it->heard_problem;
	if (it->nodes || it->lacks)
		return it->nodes ?: it->lacks;
	/* While it is in use by us, nobody else can look. */
	if (it->state.now == TIER_MECHANISM_DAMON && it->probed)
		return it->heard;
	if (tiering_running(it->manager) == TIER_MECHANISM_DAMON)
		return it->heard;
	r = tier_tiering_damon_probe(!it->probed, &problem);
	if (r == 0)
		it->probed = true;
	if (r == TIER_E_NOT_FOUND) {
		note(r, &problem, &it->lacks, &it->lacks_problem);
		*ret = &it->lacks_problem;
		return r;
	}
	note(r, &problem, &it->heard, &it->heard_problem);
	return r;
}

static int kernel(struct tiering_choice *it, struct tier_problem *problem)
{
	unsigned present[TIER_KNOBS];

	*problem = it->kernel_problem;
	if (it->kernel)
		return it->kernel;
	if (it->knobs.unknown)
		return tier_problem_set(problem, TIER_E_REFUSED, TIER_TIERING_KERNEL_PATH,
					"tierctl doctor",
					"how the kernel's tiering was set before cannot be told");
	return tier_knobs_read(NULL, present, problem);
}

static int idle(struct tiering_choice *it, struct tier_problem *problem)
{
	*problem = it->idle_problem;
	return it->idle ?: tier_tiering_idle_probe(problem);
}

static void tell(struct tiering_choice *it)
{
	const struct tier_mechanism_choice *choice = &it->choice;

	if (streq(it->told, choice->reason))
		return;
	COPY(it->told, choice->reason);
	if (choice->mechanism == TIER_MECHANISM_NONE)
		log_decision(LOG_NOTICE, object, "tiering-waits", "%s", choice->reason);
	else if (choice->mechanism == TIER_MECHANISM_KERNEL)
		log_decision(LOG_NOTICE, object, "tiering",
			     "what is hot is fetched to DRAM, by the kernel's own tiering: %s%s",
			     choice->reason,
			     it->manager->config->policy_count ? "; [Policy] sections do not count"
							       : "");
}

/* True: another mechanism than before. */
static bool decide(struct tiering_choice *it)
{
	struct tier_problem kernel_problem = {}, idle_problem = {};
	struct tier_mechanism_input input = {
		.wanted = it->wanted,
		.now_usec = manager_monotonic_usec(),
		.kernel_problem = &kernel_problem,
		.idle_problem = &idle_problem,
	};
	enum tier_mechanism before = it->choice.mechanism;

	if (it->wanted == TIER_TIERING_BY_AUTO)
		input.damon = damon(it, &input.damon_problem);
	input.passing = input.damon && tier_heat_runs();
	if (it->wanted != TIER_TIERING_BY_DAMON) {
		input.kernel = kernel(it, &kernel_problem);
		input.idle = idle(it, &idle_problem);
	}
	tier_mechanism_choose(&input, &it->state, &it->choice);
	tell(it);
	if (before == it->choice.mechanism)
		return false;
	/* What it said before it was given up is no news. */
	if (it->choice.mechanism == TIER_MECHANISM_DAMON)
		note(0, NULL, &it->heard, &it->heard_problem);
	return true;
}

/* Not while a region is evacuated, nor while a flight moves pages the other way. */
static bool may_change(const struct tiering_choice *it)
{
	const struct manager *manager = it->manager;

	return !manager->offline && !manager->sessions && !manager->stopping;
}

/* Nor beside DAMON. */
static bool may_run(const struct tiering_choice *it)
{
	return it->choice.mechanism == TIER_MECHANISM_KERNEL && may_change(it) &&
	       !it->manager->tiering;
}

/* What rounds are too late for, as long as it may go to any slow node. */
static bool may_demote(const struct tiering_choice *it)
{
	return tiering_by_worker(it->manager) && may_change(it) && it->manager->config->demotion &&
	       it->kernel == 0 && !it->knobs.unknown;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* False: something of it is still there. */
static bool end_other(struct tiering_choice *it)
{
	bool may = it->knobs.promotes ? may_run(it) : may_demote(it);

	if (!it->knobs.on || may)
		return true;
	return tiering_kernel_end(&it->knobs, may_change(it)
						      ? "something else moves pages, or nothing"
						      : "until what it would disturb is over") == 0;
}

static void run(struct tiering_choice *it)
{
	struct manager *manager = it->manager;

	it->timer = sd_event_source_disable_unref(it->timer);
	if (it->choice.mechanism != TIER_MECHANISM_KERNEL)
		it->knobs.limit = (struct tier_limit_state){};
	if (!end_other(it))
		return;
	if (may_demote(it))
		tiering_kernel_demote(manager, &it->knobs);
	if (!may_run(it))
		return;
	tiering_kernel_run(manager, &it->knobs);
	/* Without a timer, whenever the devices are looked at next. */
	(void)sd_event_add_time_relative(manager->event, &it->timer, CLOCK_MONOTONIC,
					 manager->config->tiering_gap_usec, 0, on_timer, it);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct tiering_choice *it = userdata;
	bool changed = decide(it);

	run(it);
	if (changed)
		(void)monitor_rescan(it->manager);
	return 0;
}

/* Another configuration is another wish, whatever somebody else has written since. */
static void forget(struct tiering_choice *it)
{
	it->timer = sd_event_source_disable_unref(it->timer);
	it->choice = (struct tier_mechanism_choice){};
	it->state = (struct tier_mechanism_state){};
	it->probed = false;
	note(0, NULL, &it->lacks, &it->lacks_problem);
	note(0, NULL, &it->heard, &it->heard_problem);
	note(0, NULL, &it->trouble, &it->trouble_problem);
	it->told[0] = '\0';
	if (tiering_kernel_end(&it->knobs, "the configuration asks for something else") != 0)
		return;
	it->knobs.saved = (struct tier_knobs_saved){};
	it->knobs.limit = (struct tier_limit_state){};
}

void tiering_choose(struct manager *manager, const struct tier_topology *topology)
{
	struct tiering_choice *it = manager->tiering_choice;
	const struct tier_config *config = manager->config;
	struct tier_tiering_nodes nodes;
	struct tier_problem problem = {};
	/* Not even to see what DAMON has. */
	bool wanted = config->tiering != TIER_TIERING_NO && !manager->stopping &&
		      !manager_dry_run(manager);

	if (!it)
		return;
	if (!wanted || config->tiering_by != it->wanted)
		forget(it);
	it->wanted = config->tiering_by;
	if (!wanted) {
		tiering_look(manager, topology);
		return;
	}
	it->typed = false;
	it->knobs.fast_bytes = 0;
	for (size_t i = 0; i < topology->node_count; i++) {
		it->typed |= topology->nodes[i].type_by_kernel;
		if (topology->nodes[i].has_cpu)
			it->knobs.fast_bytes += topology->nodes[i].total_bytes;
	}
	note(tier_tiering_nodes(topology, TIER_MECHANISM_DAMON, &nodes, &problem), &problem,
	     &it->nodes, &it->nodes_problem);
	note(tier_tiering_nodes(topology, TIER_MECHANISM_IDLE, &nodes, &problem), &problem,
	     &it->idle, &it->idle_problem);
	note(tier_tiering_kernel_nodes(topology, &problem), &problem, &it->kernel,
	     &it->kernel_problem);
	(void)decide(it);
	(void)end_other(it);
	tiering_look(manager, topology);
	/* Which may have ended the other. */
	run(it);
}

enum tier_mechanism tiering_mechanism(const struct manager *manager)
{
	return manager->tiering_choice ? manager->tiering_choice->choice.mechanism
				       : TIER_MECHANISM_NONE;
}

bool tiering_by_worker(const struct manager *manager)
{
	enum tier_mechanism by = tiering_mechanism(manager);

	return by == TIER_MECHANISM_DAMON || by == TIER_MECHANISM_IDLE;
}

void tiering_heard(struct manager *manager, int code, const struct tier_problem *problem)
{
	struct tiering_choice *it = manager->tiering_choice;

	if (!it)
		return;
	if (tiering_mechanism(manager) == TIER_MECHANISM_IDLE) {
		note(code, problem, &it->trouble, &it->trouble_problem);
		/* It may be that one of the others can by now. */
		if (it->wanted == TIER_TIERING_BY_AUTO && decide(it))
			(void)monitor_rescan(manager);
		return;
	}
	/* A file of DAMON's is not there, and not because somebody has taken all of them away. */
	if (code == TIER_E_NOT_FOUND || (code == -ENOENT && !it->probed))
		note(TIER_E_NOT_FOUND, problem, &it->lacks, &it->lacks_problem);
	note(code, problem, &it->heard, &it->heard_problem);
	if (tiering_mechanism(manager) == TIER_MECHANISM_DAMON && decide(it))
		(void)monitor_rescan(manager);
}

void tiering_kernel_pause(struct manager *manager)
{
	struct tiering_choice *it = manager->tiering_choice;

	if (!it || !it->knobs.on)
		return;
	it->timer = sd_event_source_disable_unref(it->timer);
	(void)tiering_kernel_end(&it->knobs, "until what it would disturb is over");
}

void tiering_before_steps(struct manager *manager, const struct tier_plan *plan)
{
	struct tiering_choice *it = manager->tiering_choice;
	bool onlines = false, offlines = false;

	for (size_t i = 0; i < plan->step_count; i++) {
		offlines |= plan->steps[i].action == TIER_STEP_OFFLINE;
		onlines |= plan->steps[i].action == TIER_STEP_ONLINE_MOVABLE ||
			   plan->steps[i].action == TIER_STEP_ONLINE_KERNEL;
	}
	if (!it || it->choice.mechanism == TIER_MECHANISM_NONE)
		return;
	if (offlines)
		tiering_pause(manager);
	/* Whatever it is, it may be demoted to as soon as it is there. */
	else if (it->knobs.on && !it->typed && onlines)
		tiering_kernel_pause(manager);
	else
		return;
	(void)monitor_rescan(manager);
}

void tiering_kernel_start(struct manager *manager)
{
	struct tiering_choice *it;
	struct tier_problem problem = {};
	int r;

	if (!is_ours(manager))
		return;
	manager->tiering_choice = it = calloc(1, sizeof(*it));
	if (!it)
		return;
	it->manager = manager;
	if (manager_dry_run(manager))
		return;
	r = tier_knobs_load(NULL, &it->knobs.saved, &problem);
	if (r == 0) {
		it->knobs.on = true;
		(void)tiering_kernel_end(&it->knobs, "it was left by one that was killed");
	} else if (r != TIER_E_NOT_FOUND) {
		it->knobs.unknown = true;
		log_problem(LOG_ERR, "tiering-failed", &problem);
	}
}

void tiering_kernel_stop(struct manager *manager)
{
	struct tiering_choice *it = manager->tiering_choice;

	if (!it)
		return;
	forget(it);
	free(it);
	manager->tiering_choice = NULL;
}

int tiering_kernel_release(struct manager *manager)
{
	struct tiering_knobs knobs = {.on = true};
	struct tier_problem problem = {};
	int r = tier_knobs_load(NULL, &knobs.saved, &problem);

	if (r == TIER_E_NOT_FOUND)
		return 0;
	if (r == 0)
		return tiering_kernel_end(&knobs, "--release");
	log_problem(LOG_ERR, "tiering-failed", &problem);
	return -EIO;
}

void tiering_describe(const struct manager *manager, const char **ret_mechanism,
		      const char **ret_reason)
{
	const struct tiering_choice *it = manager->tiering_choice;

	*ret_mechanism = "no";
	*ret_reason = "";
	if (!it || manager->config->tiering == TIER_TIERING_NO)
		return;
	*ret_mechanism = tier_mechanism_name(it->choice.mechanism);
	if (it->choice.reason[0])
		*ret_reason = it->choice.reason;
	else if (it->choice.mechanism == TIER_MECHANISM_DAMON && it->heard)
		*ret_reason = it->heard_problem.text;
	else if (it->choice.mechanism == TIER_MECHANISM_IDLE && it->trouble)
		*ret_reason = it->trouble_problem.text;
	else if (!manager->tiering)
		*ret_reason = manager->tiering_told;
}

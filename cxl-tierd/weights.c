/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * Weights of weighted interleave follow the nodes that are there: docs/tiering.md. libtier plans; what was there before
 * the first write is put back when cxl-tierd ends, or when the next one starts if this one is killed.
 */

DEFINE_CLEANUP(struct tier_weights_plan *, tier_weights_plan_free)

static const char object[] = "weighted interleave";

struct weights {
	struct tier_weights_saved *saved; /* NULL: nothing of ours is there */
	char told[512];			  /* the last decision */
	char failed[512];		  /* the last failure */
	bool unknown;			  /* what was there before cannot be told: hands off */
	char calibration[512];		  /* why it is not used; told once */
	struct weights_outcome outcome;	  /* of the last look */
};

static bool is_ours(const struct manager *manager)
{
	return !manager->options.sysroot && !manager->options.files_only;
}

static void tell(struct manager *manager, const char *decision, const char *text)
{
	struct weights *weights = manager->weights;

	if (streq(weights->told, text))
		return;
	COPY(weights->told, text);
	log_decision(LOG_INFO, object, decision, "%s", text);
}

static void fail(struct manager *manager, const struct tier_problem *problem)
{
	struct weights *weights = manager->weights;

	weights->outcome.problem = *problem;
	if (streq(weights->failed, problem->text))
		return;
	COPY(weights->failed, problem->text);
	log_problem(LOG_ERR, "weights-failed", problem);
	/* A node may have come or gone since the snapshot. Once: what is refused again waits for the next event. */
	if (!manager->stopping)
		(void)monitor_rescan(manager);
}

/* What a cxl-tierd before this one has left. */
void weights_start(struct manager *manager)
{
	struct tier_problem problem = {};
	int r;

	if (!is_ours(manager))
		return;
	manager->weights = calloc(1, sizeof(*manager->weights));
	if (!manager->weights)
		return;
	r = tier_weights_saved_load(NULL, &manager->weights->saved, &problem);
	if (r == 0 || r == TIER_E_NOT_FOUND)
		return;
	manager->weights->unknown = true;
	log_problem(LOG_ERR, "weights-failed", &problem);
}

static void put_back(struct manager *manager)
{
	struct tier_problem problem = {};
	char left[160];

	if (tier_weights_restore(NULL, &manager->weights->saved, left, &problem) != 0)
		fail(manager, &problem);
	else if (left[0])
		log_decision(LOG_NOTICE, object, "weights-left", "%s", left);
	else
		log_decision(LOG_INFO, object, "weights-restored",
			     "the weights are as they were before cxl-tierd");
}

static void tell_steps(const struct tier_weights_plan *plan, const char *decision, bool dry_run)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_weight_step *step = &plan->steps[i];
		const char *reason = plan->reason;
		char node[32];

		if (step->node == TIER_ABSENT_NODE) {
			log_decision(LOG_NOTICE, object, decision, "%s",
				     dry_run ? "would be left to the kernel"
					     : "left to the kernel");
			continue;
		}
		for (size_t w = 0; w < plan->weight_count; w++)
			if (plan->weights[w].node == step->node)
				reason = plan->weights[w].reason;
		snprintf(node, sizeof(node), "node%d", step->node);
		log_decision(LOG_NOTICE, node, decision, "interleave weight %s%u, was %u: %s",
			     dry_run ? "would be " : "", step->to, step->from, reason);
	}
}

static void note_outcome(struct manager *manager, const struct tier_weights_plan *plan)
{
	struct weights_outcome *outcome = &manager->weights->outcome;
	bool idle = manager_dry_run(manager) && plan->action != TIER_WEIGHTS_NOTHING;

	*outcome = (struct weights_outcome){.action = tier_weights_action_name(plan->action)};
	snprintf(outcome->reason, sizeof(outcome->reason), "%s%s",
		 idle ? "nothing is changed with --dry-run, else: " : "", plan->reason);
	for (size_t i = 0; !idle && i < plan->weight_count; i++)
		outcome->calibrated |= plan->weights[i].source == TIER_WEIGHT_CALIBRATION;
}

static void carry_out(struct manager *manager, const struct tier_weights_plan *plan)
{
	struct weights *weights = manager->weights;
	struct tier_problem problem = {};
	bool fresh = !streq(weights->told, plan->reason);

	note_outcome(manager, plan);
	if (manager_dry_run(manager)) {
		if (fresh && plan->action == TIER_WEIGHTS_WRITE)
			tell_steps(plan, "would-weigh", true);
	} else if (plan->action == TIER_WEIGHTS_RESTORE) {
		put_back(manager);
	} else if (plan->action == TIER_WEIGHTS_REFRESH) {
		if (tier_weights_refresh(NULL, plan, &weights->saved, &problem) != 0) {
			fail(manager, &problem);
			return;
		}
	} else if (plan->action == TIER_WEIGHTS_WRITE) {
		if (tier_weights_apply(NULL, plan, &weights->saved, &problem) != 0) {
			fail(manager, &problem);
			return;
		}
		tell_steps(plan, "weighed", false);
	}
	weights->failed[0] = '\0';
	tell(manager, "weights", plan->reason);
}

/* A calibration that cannot be read is told, and is none. */
static struct tier_calibration *load_calibration(struct manager *manager)
{
	struct weights *weights = manager->weights;
	struct tier_calibration *calibration = NULL;
	struct tier_problem problem = {};
	int r = tier_calibration_load(NULL, &calibration, &problem);

	if (r && r != TIER_E_NOT_FOUND && !streq(weights->calibration, problem.text))
		log_problem(LOG_WARNING, "calibration", &problem);
	COPY(weights->calibration, r && r != TIER_E_NOT_FOUND ? problem.text : "");
	return calibration;
}

/* True: the kernel's own, or those of before, are there again, and have to be looked at. */
static bool look_once(struct manager *manager, struct tier_topology *topology, bool again)
{
	_cleanup_(tier_weights_plan_freep) struct tier_weights_plan *plan = NULL;
	struct tier_machine_identity identity;
	struct tier_calibration *calibration;
	struct tier_weights_input input = {
		.topology = topology, .config = manager->config, .refreshed = again};
	struct tier_problem unidentified = {};
	bool changed = false;

	tier_config_types(manager->config, topology);
	calibration = load_calibration(manager);
	input.calibration = calibration;
	input.saved = manager->weights->saved;
	input.unidentified = &unidentified;
	if (calibration && tier_machine_identity_read(NULL, &identity, &unidentified) == 0)
		input.identity = &identity;
	if (tier_plan_weights(&input, &plan) == 0) {
		carry_out(manager, plan);
		changed = plan->action == TIER_WEIGHTS_RESTORE ||
			  plan->action == TIER_WEIGHTS_REFRESH;
	}
	tier_calibration_free(calibration);
	return changed && !manager_dry_run(manager);
}

void weights_look(struct manager *manager, struct tier_topology *topology)
{
	_cleanup_(tier_topology_freep) struct tier_topology *again = NULL;
	struct tier_problem problem = {};

	if (!manager->weights || manager->weights->unknown || !look_once(manager, topology, false))
		return;
	if (tier_topology_read(manager->options.sysroot, &again, &problem) == 0)
		(void)look_once(manager, again, true);
}

int weights_apply(struct manager *manager, struct weights_outcome *ret,
		  struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	struct weights_outcome outcome = {.action = tier_weights_action_name(TIER_WEIGHTS_NOTHING)};
	int r = tier_topology_read(manager->options.sysroot, &topology, problem);

	if (r != 0)
		return r;
	if (!manager->weights) {
		COPY(outcome.reason, "this cxl-tierd has nothing to do with the machine's weights");
	} else if (manager->weights->unknown) {
		tier_problem_set(&outcome.problem, TIER_E_DAMAGED, TIER_WEIGHTS_PATH,
				 "tierctl doctor",
				 "what was there before cannot be told, so nothing is written");
		COPY(outcome.reason, outcome.problem.text);
	} else {
		manager->weights->outcome = outcome;
		weights_look(manager, topology);
		outcome = manager->weights->outcome;
	}
	*ret = outcome;
	return 0;
}

int weights_release(struct manager *manager)
{
	struct tier_problem problem = {};
	char left[160];
	struct tier_weights_saved *saved = NULL;
	int r = tier_weights_saved_load(NULL, &saved, &problem);

	if (r == TIER_E_NOT_FOUND)
		return 0;
	if (r == 0)
		r = tier_weights_restore(NULL, &saved, left, &problem);
	if (r)
		log_problem(LOG_ERR, "weights-failed", &problem);
	tier_weights_saved_free(saved);
	return r ? -EIO : 0;
}

void weights_stop(struct manager *manager)
{
	if (!manager->weights)
		return;
	if (manager->weights->saved && !manager_dry_run(manager))
		put_back(manager);
	tier_weights_saved_free(manager->weights->saved);
	free(manager->weights);
	manager->weights = NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"
#include "tiering-kernel.h"

/*
 * The kernel's own tiering, switched on and off; while it is on, its limit follows what comes of it. All of it is
 * a few writes, so it ends before whatever it must not be on for begins.
 */

static const char object[] = "tiering";

static void fail(struct tiering_knobs *knobs, const struct tier_problem *problem)
{
	if (!streq(knobs->failed, problem->text))
		log_problem(LOG_ERR, "tiering-failed", problem);
	COPY(knobs->failed, problem->text);
}

/* What the limit may be at most: by the configuration, or as it was before. */
static int greatest(const struct manager *manager, const struct tiering_knobs *knobs, unsigned *ret,
		    struct tier_problem *problem)
{
	const struct tier_knob_saved *limit = &knobs->saved.knobs[TIER_KNOB_LIMIT];
	unsigned present[TIER_KNOBS];
	int r;

	*ret = (unsigned)(manager->config->promote_limit_bytes >> 20);
	if (*ret || limit->seen) {
		*ret = *ret ?: limit->before;
		return 0;
	}
	r = tier_knobs_read(NULL, present, problem);
	if (r == 0)
		*ret = present[TIER_KNOB_LIMIT];
	return r;
}

static void tell_limit(const struct tier_limit_step *step)
{
	if (step->reason == TIER_LIMIT_LOWERED)
		log_decision(LOG_NOTICE, object, "tiering-limit",
			     "at most %u MiB/s are promoted: of %" PRIu64
			     " as much is demoted (%" PRIu64 "), and it does not become less",
			     step->limit_mbps, step->promoted_mbps, step->demoted_mbps);
	else if (step->reason == TIER_LIMIT_RAISED)
		log_decision(LOG_INFO, object, "tiering-limit",
			     "up to %u MiB/s are promoted: pages do not bounce any more",
			     step->limit_mbps);
}

void tiering_kernel_run(struct manager *manager, struct tiering_knobs *knobs)
{
	bool foreign = knobs->saved.knobs[TIER_KNOB_LIMIT].foreign, was_on = knobs->on;
	struct tier_limit_policy policy = {.fast_bytes = knobs->fast_bytes};
	struct tier_limit_step step = {};
	struct tier_problem problem = {};
	struct tier_traffic traffic;
	char stays[160] = "";
	int r = tier_traffic_read(NULL, &traffic, &problem);

	r = r ?: greatest(manager, knobs, &policy.max_mbps, &problem);
	if (r == 0) {
		tier_limit_next(&policy, &traffic, &knobs->limit, &step);
		/* Nobody has wished for one, and none is needed. */
		if (step.limit_mbps == policy.max_mbps && !manager->config->promote_limit_bytes)
			step.limit_mbps = 0;
		knobs->on = true;
		r = tier_knobs_apply(NULL, step.limit_mbps, &knobs->saved, stays, &problem);
	}
	if (stays[0])
		log_decision(LOG_NOTICE, object, "tiering-left", "%s; it stays", stays);
	if (r) {
		fail(knobs, &problem);
		return;
	}
	knobs->failed[0] = '\0';
	if (!foreign && was_on) {
		step.limit_mbps = step.limit_mbps ?: policy.max_mbps;
		tell_limit(&step);
	}
}

int tiering_kernel_end(struct tiering_knobs *knobs, const char *why)
{
	struct tier_problem problem = {};
	char left[160];
	int r;

	if (!knobs->on)
		return 0;
	r = tier_knobs_restore(NULL, &knobs->saved, left, &problem);
	if (r)
		log_problem(LOG_ERR, "tiering-failed", &problem);
	if (left[0])
		log_decision(LOG_NOTICE, object, "tiering-left", "%s; it stays", left);
	if (r == 0)
		log_decision(LOG_INFO, object, "tiering-ended",
			     "the kernel's own tiering is as it was before cxl-tierd: %s", why);
	/* What could not be put back is tried again. */
	knobs->on = r != 0;
	return r;
}

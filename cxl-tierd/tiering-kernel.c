/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"
#include "tiering-kernel.h"

/*
 * The kernel's own tiering, or its demotion alone, switched on and off; while it promotes, its limit follows what
 * comes of it. All of it is a few writes, so it ends before whatever it must not be on for begins.
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

/* 0, or it has been told why not. */
static int apply(struct tiering_knobs *knobs, const struct tier_knobs_wish *wish)
{
	struct tier_problem problem = {};
	char stays[160] = "";
	int r;

	knobs->on = true;
	knobs->promotes = wish->promotes;
	r = tier_knobs_apply(NULL, wish, &knobs->saved, stays, &problem);
	if (stays[0])
		log_decision(LOG_NOTICE, object, "tiering-left", "%s; it stays", stays);
	if (r)
		fail(knobs, &problem);
	else
		knobs->failed[0] = '\0';
	return r;
}

void tiering_kernel_demote(struct manager *manager, struct tiering_knobs *knobs)
{
	bool was_on = knobs->on;
	struct tier_knobs_wish wish = {};

	if (apply(knobs, &wish) == 0 && !was_on && knobs->saved.knobs[TIER_KNOB_DEMOTION].ours)
		log_decision(LOG_INFO, object, "tiering",
			     "where DRAM is short, the kernel demotes: [Tiering] Demotion=yes");
}

void tiering_kernel_run(struct manager *manager, struct tiering_knobs *knobs)
{
	bool foreign = knobs->saved.knobs[TIER_KNOB_LIMIT].foreign, was_on = knobs->on;
	struct tier_limit_policy policy = {.fast_bytes = knobs->fast_bytes};
	struct tier_knobs_wish wish = {.promotes = true};
	struct tier_limit_step step = {};
	struct tier_problem problem = {};
	struct tier_traffic traffic;
	int r = tier_traffic_read(NULL, &traffic, &problem);

	r = r ?: greatest(manager, knobs, &policy.max_mbps, &problem);
	if (r) {
		fail(knobs, &problem);
		return;
	}
	tier_limit_next(&policy, &traffic, &knobs->limit, &step);
	/* Otherwise nobody has wished for one, and none is needed. */
	if (step.limit_mbps != policy.max_mbps || manager->config->promote_limit_bytes)
		wish.limit_mbps = step.limit_mbps;
	if (apply(knobs, &wish) == 0 && !foreign && was_on)
		tell_limit(&step);
}

int tiering_kernel_end(struct tiering_knobs *knobs, const char *why)
{
	const struct tier_knob_saved *saved = knobs->saved.knobs;
	bool tiers =
		knobs->promotes || saved[TIER_KNOB_BALANCING].ours || saved[TIER_KNOB_LIMIT].ours;
	bool demotes = saved[TIER_KNOB_DEMOTION].ours;
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
	if (r == 0 && (tiers || demotes))
		log_decision(LOG_INFO, object, "tiering-ended",
			     "the kernel's own %s is as it was before cxl-tierd: %s",
			     tiers ? "tiering" : "demotion", why);
	/* What could not be put back is tried again. */
	knobs->on = r != 0;
	return r;
}

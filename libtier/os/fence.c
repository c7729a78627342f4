/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host fences another: the FENCER table of core/handoff.rules, over the records of one portal. */
#include <inttypes.h>

#include "clock.h"
#include "portal-pair.h"
#include "tier-handoff.h"
#include "util.h"

/* Each look that finds a newer boot of the target is a round; a record that never rests ends it. */
#define MAX_ROUNDS 32

struct fencer {
	struct tier_portal *portal;
	const struct tier_super *super;
	const struct tier_fencing *fencing;
	const char *target;
	uint32_t heir;
	/* as of the last look */
	struct tier_fence_record records[TIER_PORTAL_MAX_HOSTS][TIER_PORTAL_MAX_HOSTS];
	struct tier_handoff_view view; /* incarnations and what is fenced */
	struct tier_fence_record own;
	/*
	 * This host's record cannot be read. Nobody decides anything then, so that it serves as INTENT;
	 * to overwrite it with one would take a fence back that it may have been.
	 */
	bool own_damaged;
	uint64_t present; /* the target's boot */
	uint32_t other;	  /* who else is fencing it, or has; TIER_PORTAL_NO_HOST */
	bool agent_ok, agent_failed;
	struct tier_problem failure;
};

static int read_fences(struct fencer *f, struct tier_problem *problem)
{
	f->own_damaged = false;
	for (uint32_t host = 0; host < f->super->host_count; host++)
		for (uint32_t target = 0; target < f->super->host_count; target++) {
			struct tier_fence_record *record = &f->records[host][target];
			int r = TIER_E_NOT_FOUND;

			if (host != target)
				r = tier_portal_read_fence(f->portal, host, target, record);
			if (r == 0)
				continue;
			*record = (struct tier_fence_record){.host = host, .target = target};
			if (r == TIER_E_DAMAGED && host == f->fencing->host &&
			    target == f->fencing->target)
				f->own_damaged = true;
			else if (r != TIER_E_NOT_FOUND)
				return tier_problem_set(
					problem, r, f->super->name, "tierctl portal check",
					"cannot read whether %s has fenced %s",
					f->super->hosts[host].name, f->super->hosts[target].name);
		}
	return 0;
}

static int read_hosts(struct fencer *f, struct tier_problem *problem)
{
	for (uint32_t host = 0; host < f->super->host_count; host++) {
		struct tier_host_record record;
		int r = tier_portal_read_host(f->portal, host, &record);

		/* Of one that cannot be read, what other records know: no flight knows more. */
		if (r == TIER_E_DAMAGED && host == f->fencing->target)
			r = portal_highest_incarnation(f->portal, host, &record.stamp.incarnation);
		else if (r == TIER_E_DAMAGED || r == TIER_E_NOT_FOUND) {
			record.stamp.incarnation = 0;
			r = 0;
		}
		if (r)
			return tier_problem_set(problem, r, f->super->name, NULL,
						"cannot read the record of host %s",
						f->super->hosts[host].name);
		f->view.incarnations[host] = record.stamp.incarnation;
	}
	f->present = f->view.incarnations[f->fencing->target];
	if (f->present == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, f->target, NULL,
					"cannot fence it in %s: it has never taken part",
					f->super->name);
	return 0;
}

static void note_fences(struct fencer *f)
{
	for (uint32_t target = 0; target < f->super->host_count; target++) {
		struct tier_handoff_fence *fence = &f->view.fences[target];

		*fence = (struct tier_handoff_fence){.heir = TIER_PORTAL_NO_HOST};
		for (uint32_t host = 0; host < f->super->host_count; host++) {
			const struct tier_fence_record *record = &f->records[host][target];

			if (record->fenced_upto <= fence->fenced)
				continue;
			fence->fenced = record->fenced_upto;
			fence->heir = record->fenced_heir;
		}
	}
}

/*
 * Two that fence different boots of one host at a time would name two heirs, so an INTENT counts
 * whatever boot it is about; but not that of a boot which is over, since nobody goes on with it.
 */
static void find_other(struct fencer *f)
{
	f->other = TIER_PORTAL_NO_HOST;
	for (uint32_t host = 0; host < f->super->host_count; host++) {
		const struct tier_fence_record *record = &f->records[host][f->fencing->target];

		if (host == f->fencing->host)
			continue;
		if (record->state == TIER_FENCE_INTENT &&
		    !tier_handoff_dead(&f->view, host, record->stamp.incarnation))
			f->other = host;
		if (record->fenced_upto >= f->present)
			f->other = host;
	}
}

/* Fences before host records: what a boot has stored before it was fenced is seen. */
static int look(struct fencer *f, struct tier_problem *problem)
{
	int r = read_fences(f, problem);

	if (r == 0)
		r = read_hosts(f, problem);
	if (r)
		return r;
	note_fences(f);
	find_other(f);
	f->own = f->records[f->fencing->host][f->fencing->target];
	if (f->own_damaged) {
		f->own.state = TIER_FENCE_INTENT;
		f->own.upto = f->present;
		f->own.stamp = (struct tier_stamp){f->fencing->incarnation, 1, 0};
	}
	return 0;
}

static struct tier_handoff_fencing facts(const struct fencer *f)
{
	const struct tier_fence_record *own = &f->own;
	struct tier_handoff_fencing facts = {
		.state = own->state,
		.other = f->other != TIER_PORTAL_NO_HOST,
		.agent_ok = f->agent_ok,
		.agent_failed = f->agent_failed,
		.self_fenced =
			tier_handoff_dead(&f->view, f->fencing->host, f->fencing->incarnation),
	};

	if (own->state == TIER_FENCE_INTENT)
		/* That of an earlier boot counts for nobody any more: it is stored again. */
		facts.target_newer =
			own->upto < f->present || own->stamp.incarnation != f->fencing->incarnation;
	else if (own->upto < f->present)
		facts.state = TIER_FENCE_NONE;
	return facts;
}

/* Does a flight hang on one of the target's boots up to @upto? One that cannot be read may. */
static bool depended_on(struct fencer *f, uint64_t upto)
{
	uint32_t target = f->fencing->target;

	for (uint32_t host = 0; host < f->super->host_count; host++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			struct tier_offer offer;
			int r = tier_portal_read_offer(f->portal, host, slot, &offer);

			if (r == TIER_E_NOT_FOUND)
				continue;
			if (r)
				return true;
			if (offer.state == TIER_FLIGHT_NONE || offer.state == TIER_FLIGHT_ABORTED ||
			    offer.state == TIER_FLIGHT_CLOSED)
				continue;
			if (host == target && offer.source_incarnation <= upto)
				return true;
			if (offer.destination == target && offer.destination_incarnation != 0 &&
			    offer.destination_incarnation <= upto)
				return true;
		}
	return false;
}

/*
 * While a flight hangs on an earlier fence its heir stays: one who may have begun to take a VM has no
 * other beside it.
 */
static int respect_earlier(struct fencer *f, struct tier_problem *problem)
{
	const struct tier_handoff_fence *fence = &f->view.fences[f->fencing->target];

	f->heir = f->fencing->heir;
	if (f->own_damaged && f->heir == TIER_PORTAL_NO_HOST && depended_on(f, f->present))
		return tier_problem_set(problem, TIER_E_REFUSED, f->target,
					"give --heir, the same as when it was fenced first",
					"cannot read whom this host's fence of it names as heir, "
					"and a flight may hang on that");
	if (fence->heir == TIER_PORTAL_NO_HOST || fence->heir == f->heir ||
	    !depended_on(f, fence->fenced)) {
		if (f->heir == TIER_PORTAL_NO_HOST)
			f->heir = f->fencing->host;
		return 0;
	}
	if (f->heir != TIER_PORTAL_NO_HOST)
		return tier_problem_set(problem, TIER_E_REFUSED, f->target,
					"leave --heir out, or end that flight first",
					"%s is its heir since boot %" PRIu64
					" was fenced, and a flight hangs on that",
					f->super->hosts[fence->heir].name, fence->fenced);
	f->heir = fence->heir;
	return 0;
}

static struct tier_fence_record compose(const struct fencer *f, enum tier_fence_state state)
{
	struct tier_fence_record record = f->own;

	if (state == TIER_FENCE_INTENT) {
		record.stamp.generation += record.state != TIER_FENCE_INTENT;
		record.upto = f->present;
	}
	record.stamp.incarnation = f->fencing->incarnation;
	record.state = state;
	record.method = f->fencing->method;
	record.heir = f->heir;
	if (state == TIER_FENCE_FENCED) {
		record.fenced_upto = record.upto;
		record.fenced_heir = record.heir;
	}
	record.when_usec = realtime_usec();
	return record;
}

static int store(struct fencer *f, enum tier_fence_state state, struct tier_problem *problem)
{
	struct tier_fence_record record = compose(f, state);
	int r;

	if (f->own_damaged && state == TIER_FENCE_RETRACTED)
		return 0;
	r = tier_portal_write_fence(f->portal, &record);
	if (r)
		return tier_problem_set(problem, r, f->super->name, "tierctl portal check",
					"cannot write this host's fence of %s", f->target);
	f->own = record;
	return 0;
}

static void run_agent(struct fencer *f)
{
	f->agent_ok = f->fencing->end(f->fencing->userdata, &f->own, &f->failure) == 0;
	f->agent_failed = !f->agent_ok;
}

static int perform(struct fencer *f, enum tier_handoff_action action, struct tier_problem *problem)
{
	int r = 0;

	for (const enum tier_handoff_step *step = tier_handoff_fencer_plan(action);
	     r == 0 && *step != TIER_STEP_END; step++) {
		const char *record = tier_fence_state_name(f->own.state);

		if (f->fencing->step)
			f->fencing->step(f->fencing->userdata, *step, false, record);
		if (*step == TIER_STEP_RUN_AGENT)
			run_agent(f);
		else if (*step == TIER_STEP_STORE_INTENT)
			r = store(f, TIER_FENCE_INTENT, problem);
		else if (*step == TIER_STEP_STORE_FENCED)
			r = store(f, TIER_FENCE_FENCED, problem);
		else if (*step == TIER_STEP_STORE_RETRACTED)
			r = store(f, TIER_FENCE_RETRACTED, problem);
		record = tier_fence_state_name(f->own.state);
		if (r == 0 && f->fencing->step)
			f->fencing->step(f->fencing->userdata, *step, true, record);
	}
	return r;
}

static int refuse_other(const struct fencer *f, struct tier_problem *problem)
{
	if (f->other == TIER_PORTAL_NO_HOST)
		return tier_problem_set(problem, TIER_E_REFUSED, f->target, NULL,
					"the protocol has nothing to do about it");
	const struct tier_fence_record *record = &f->records[f->other][f->fencing->target];
	const char *who = f->super->hosts[f->other].name;

	if (record->fenced_upto >= f->present)
		return tier_problem_set(
			problem, TIER_E_REFUSED, f->target, "tierctl flights says who may do what",
			"%s has fenced boot %" PRIu64 " of it already, heir is %s", who,
			record->fenced_upto, f->super->hosts[record->fenced_heir].name);
	return tier_problem_set(problem, TIER_E_REFUSED, f->target,
				"let it end there, or run it there again",
				"%s is fencing it already (boot %" PRIu64 ")", who, record->upto);
}

static int conclude(struct fencer *f, enum tier_handoff_action action,
		    struct tier_fence_record *ret, struct tier_problem *problem)
{
	if (action == TIER_HANDOFF_DIE)
		return tier_problem_set(problem, TIER_E_REFUSED, f->target, "boot this host again",
					"cannot fence it: this boot of this host is over itself");
	if (f->own.state == TIER_FENCE_FENCED && (f->agent_ok || f->own.upto >= f->present)) {
		*ret = f->own;
		return 0;
	}
	if (f->agent_failed) {
		if (problem)
			*problem = f->failure;
		return TIER_E_REFUSED;
	}
	return refuse_other(f, problem);
}

static int check(const struct fencer *f, struct tier_problem *problem)
{
	const struct tier_fencing *fencing = f->fencing;

	if (fencing->host >= f->super->host_count || fencing->target >= f->super->host_count ||
	    (fencing->heir != TIER_PORTAL_NO_HOST && fencing->heir >= f->super->host_count) ||
	    fencing->incarnation == 0 || fencing->method == TIER_FENCE_METHOD_NONE)
		return -EINVAL;
	if (fencing->target == fencing->host)
		return tier_problem_set(problem, TIER_E_REFUSED, f->target,
					"fence it from another host", "a host cannot fence itself");
	if (fencing->heir == fencing->target)
		return tier_problem_set(problem, TIER_E_REFUSED, f->target, "name another --heir",
					"the host that is fenced cannot be its own heir");
	return 0;
}

/* What would be stored in the end, if the agent ended with 0. */
static void rehearse(const struct fencer *f, struct tier_fence_record *ret)
{
	*ret = compose(f, TIER_FENCE_INTENT);
	ret->state = TIER_FENCE_FENCED;
	ret->fenced_upto = ret->upto;
	ret->fenced_heir = ret->heir;
}

static int fence(struct fencer *f, struct tier_fence_record *ret, struct tier_problem *problem)
{
	for (unsigned round = 0;; round++) {
		enum tier_handoff_action action;
		struct tier_handoff_fencing known;
		int r = look(f, problem);

		/* Again once INTENT is stored: from then on nobody else names an heir. */
		if (r == 0 && !f->agent_ok && !f->agent_failed)
			r = respect_earlier(f, round == 0 ? problem : &f->failure);
		if (r == TIER_E_REFUSED && round > 0) {
			f->agent_failed = true;
			r = 0;
		}
		if (r)
			return r;
		known = facts(f);
		if (round >= MAX_ROUNDS && !f->agent_ok && !f->agent_failed) {
			tier_problem_set(&f->failure, TIER_E_REFUSED, f->target, NULL,
					 "cannot fence it: it boots again and again");
			known.agent_failed = f->agent_failed = true;
		}
		action = tier_handoff_fencer(&known);
		if (action == TIER_HANDOFF_OVER || action == TIER_HANDOFF_DIE)
			return conclude(f, action, ret, problem);
		if (!f->fencing->end) {
			if (f->other != TIER_PORTAL_NO_HOST)
				return refuse_other(f, problem);
			rehearse(f, ret);
			return 0;
		}
		r = perform(f, action, problem);
		if (r)
			return r;
		if (action == TIER_HANDOFF_RETRACT)
			return conclude(f, action, ret, problem);
	}
}

int tier_portal_fence(struct tier_portal *portal, const struct tier_fencing *fencing,
		      struct tier_fence_record *ret, struct tier_problem *problem)
{
	_cleanup_free_ struct fencer *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->portal = portal;
	f->super = tier_portal_super(portal);
	f->fencing = fencing;
	if (fencing->target < f->super->host_count)
		f->target = f->super->hosts[fencing->target].name;
	r = check(f, problem);
	return r ?: fence(f, ret, problem);
}

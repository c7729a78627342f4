/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of handoff.rules as functions, and the facts that their conditions are made of. */
#include <inttypes.h>
#include <stdio.h>

#include "tier-handoff.h"
#include "util.h"

struct facts {
	enum tier_flight_state offer, own,
		there; /* own: this host's answer; there: the destination's */
	bool addressed, ran, finished, runner_dead;
	bool s_fenced, s_fencing, s_dead, d_fenced, d_fencing, d_dead;
	bool destination, heir, self_fenced, later, recovering;
};

static bool fenced(const struct tier_handoff_view *view, uint32_t host, uint64_t incarnation)
{
	return incarnation != 0 && view->fences[host].fenced >= incarnation;
}

bool tier_handoff_dead(const struct tier_handoff_view *view, uint32_t host, uint64_t incarnation)
{
	return fenced(view, host, incarnation) ||
	       (incarnation != 0 && view->incarnations[host] > incarnation);
}

static bool ran(enum tier_flight_state answer)
{
	return answer == TIER_FLIGHT_RUNNING || answer == TIER_FLIGHT_DONE;
}

/* The host that runs it or has run it; TIER_PORTAL_NO_HOST. Answers of the source do not exist. */
static uint32_t runner(const struct tier_handoff_view *view)
{
	for (uint32_t host = 0; host < TIER_PORTAL_MAX_HOSTS; host++)
		if (ran(view->answers[host].state))
			return host;
	return TIER_PORTAL_NO_HOST;
}

/* The same for both roles, but for @own_incarnation: the boot that stored this side's record. */
static struct facts gather(const struct tier_handoff_view *view, uint64_t own_incarnation)
{
	const struct tier_offer *offer = &view->offer;
	const struct tier_answer *there = &view->answers[offer->destination];
	uint32_t there_ran = runner(view);
	struct facts f = {
		.offer = offer->state,
		.there = there->state,
		.addressed = offer->destination_incarnation == there->stamp.incarnation,
		.ran = there_ran != TIER_PORTAL_NO_HOST,
		.s_fenced = fenced(view, offer->source, offer->source_incarnation),
		.s_dead = tier_handoff_dead(view, offer->source, offer->source_incarnation),
		.d_fenced = fenced(view, offer->destination, offer->destination_incarnation),
		.d_fencing =
			offer->destination_incarnation != 0 &&
			view->fences[offer->destination].intended >= offer->destination_incarnation,
		.destination = view->self == offer->destination,
		.heir = view->fences[offer->source].heir == view->self,
		.later = own_incarnation != 0 && view->incarnation > own_incarnation,
		.recovering = view->recovering,
	};

	/* A host that has no slot in the portal only looks. */
	if (view->self < TIER_PORTAL_MAX_HOSTS) {
		f.own = view->answers[view->self].state;
		f.self_fenced = fenced(view, view->self, view->incarnation);
	}
	f.d_fencing = f.d_fencing || f.d_fenced;
	f.s_fencing =
		f.s_fenced || (offer->source_incarnation != 0 &&
			       view->fences[offer->source].intended >= offer->source_incarnation);
	if (there->state != TIER_FLIGHT_NONE)
		f.d_dead = tier_handoff_dead(view, offer->destination, there->stamp.incarnation);
	if (f.ran) {
		const struct tier_answer *answer = &view->answers[there_ran];

		f.finished = answer->state == TIER_FLIGHT_DONE;
		f.runner_dead = tier_handoff_dead(view, there_ran, answer->stamp.incarnation);
	}
	return f;
}

#define OFFER(x)    (f.offer == TIER_FLIGHT_##x)
#define ANSWER(x)   (f.own == TIER_FLIGHT_##x)
#define READY	    (f.there == TIER_FLIGHT_READY)
#define ACCEPTED    (f.there == TIER_FLIGHT_ACCEPTED)
#define REFUSED	    (f.there == TIER_FLIGHT_REFUSED)
#define ADDRESSED   (f.addressed)
#define RAN	    (f.ran)
#define FINISHED    (f.finished)
#define RUNNER_DEAD (f.runner_dead)
#define S_FENCED    (f.s_fenced)
#define S_FENCING   (f.s_fencing)
#define S_DEAD	    (f.s_dead)
#define D_FENCED    (f.d_fenced)
#define D_FENCING   (f.d_fencing)
#define D_DEAD	    (f.d_dead)
#define DESTINATION (f.destination)
#define HEIR	    (f.heir)
#define SELF_FENCED (f.self_fenced)
#define LATER	    (f.later)
#define RECOVERING  (f.recovering)
#define VM_GONE	    (view->vm == TIER_VM_NONE)
#define GRANTED	    (view->granted)
#define CANCELLED   (view->cancelled)
#define FAILED	    (view->failed)
#define STUCK	    (view->stuck)
#define EXPIRED	    (view->deadline_usec != 0 && view->now_usec > view->deadline_usec)

enum tier_handoff_action tier_handoff_source(const struct tier_handoff_view *view)
{
	struct facts f = gather(view, view->offer.source_incarnation);

#define SOURCE(when, action)                                                                       \
	if (when)                                                                                  \
		return TIER_HANDOFF_##action;
#include "handoff.rules"
	return TIER_HANDOFF_HOLD;
}

enum tier_handoff_action tier_handoff_taker(const struct tier_handoff_view *view)
{
	const struct tier_answer *own = &view->answers[view->self];
	struct facts f = gather(view, own->state == TIER_FLIGHT_NONE ? 0 : own->stamp.incarnation);

#define TAKER(when, action)                                                                        \
	if (when)                                                                                  \
		return TIER_HANDOFF_##action;
#include "handoff.rules"
	return TIER_HANDOFF_HOLD;
}

#undef SELF_FENCED
#define EXTENT(x)      (extent->state == TIER_EXTENT_##x)
#define OWNER_OFFER(x) (extent->offer == TIER_FLIGHT_##x)
#define UNREADABLE     (extent->unreadable)
#define LISTED	       (extent->listed)
#define OWNER_DEAD     (extent->owner_dead)
#define WANTED	       (extent->wanted)

enum tier_handoff_action tier_handoff_home(const struct tier_handoff_extent *extent)
{
#define HOME(when, action)                                                                         \
	if (when)                                                                                  \
		return TIER_HANDOFF_##action;
#include "handoff.rules"
	return TIER_HANDOFF_KEEP;
}

#define FENCE(x)     (fencing->state == TIER_FENCE_##x)
#define OTHER	     (fencing->other)
#define TARGET_NEWER (fencing->target_newer)
#define AGENT_OK     (fencing->agent_ok)
#define AGENT_FAILED (fencing->agent_failed)
#define SELF_FENCED  (fencing->self_fenced)

enum tier_handoff_action tier_handoff_fencer(const struct tier_handoff_fencing *fencing)
{
#define FENCER(when, action)                                                                       \
	if (when)                                                                                  \
		return TIER_HANDOFF_##action;
#include "handoff.rules"
	return TIER_HANDOFF_OVER;
}

#define S(x) TIER_STEP_##x

static const enum tier_handoff_step source_plans[_TIER_HANDOFF_MAX][TIER_HANDOFF_STEPS] = {
#define SOURCE_PLAN(action, a, b, c, d, e, f, g)                                                   \
	[TIER_HANDOFF_##action] = {S(a), S(b), S(c), S(d), S(e), S(f), S(g), S(END)},
#include "handoff.rules"
};

static const enum tier_handoff_step taker_plans[_TIER_HANDOFF_MAX][TIER_HANDOFF_STEPS] = {
#define TAKER_PLAN(action, a, b, c, d, e, f, g)                                                    \
	[TIER_HANDOFF_##action] = {S(a), S(b), S(c), S(d), S(e), S(f), S(g), S(END)},
#include "handoff.rules"
};

static const enum tier_handoff_step home_plans[_TIER_HANDOFF_MAX][TIER_HANDOFF_STEPS] = {
#define HOME_PLAN(action, a, b, c, d) [TIER_HANDOFF_##action] = {S(a), S(b), S(c), S(d), S(END)},
#include "handoff.rules"
};

static const enum tier_handoff_step fencer_plans[_TIER_HANDOFF_MAX][TIER_HANDOFF_STEPS] = {
#define FENCER_PLAN(action, a) [TIER_HANDOFF_##action] = {S(a), S(END)},
#include "handoff.rules"
};

const enum tier_handoff_step *tier_handoff_source_plan(enum tier_handoff_action action)
{
	return source_plans[action];
}

const enum tier_handoff_step *tier_handoff_taker_plan(enum tier_handoff_action action)
{
	return taker_plans[action];
}

const enum tier_handoff_step *tier_handoff_home_plan(enum tier_handoff_action action)
{
	return home_plans[action];
}

const enum tier_handoff_step *tier_handoff_fencer_plan(enum tier_handoff_action action)
{
	return fencer_plans[action];
}

struct tier_handoff_holder tier_handoff_holder(const struct tier_handoff_view *view)
{
	const struct tier_offer *offer = &view->offer;
	struct facts f = gather(view, 0);
	struct tier_handoff_holder holder = {.host = TIER_PORTAL_NO_HOST};
	bool whole = offer->state == TIER_FLIGHT_PUBLISHED || offer->state == TIER_FLIGHT_COMMITTED;

	switch (offer->state) {
	case TIER_FLIGHT_NONE:
		holder.over = true;
		return holder;
	case TIER_FLIGHT_CLOSED:
		holder.over = true;
		holder.host = f.ran ? runner(view) : offer->destination;
		return holder;
	case TIER_FLIGHT_ABORTED:
		holder.over = true;
		holder.host = offer->source;
		return holder;
	case TIER_FLIGHT_REQUESTED:
	case TIER_FLIGHT_OFFERED:
	case TIER_FLIGHT_WITHDRAWN:
		holder.host = offer->source;
		/* Nothing has been given away in these. */
		holder.conflict = f.ran;
		/* WITHDRAWN may have been stored by a later boot, which then has the VM. */
		holder.lost =
			tier_handoff_dead(view, offer->source,
					  MAX(offer->source_incarnation, offer->stamp.incarnation));
		return holder;
	default:
		break;
	}
	if (f.ran) {
		holder.host = runner(view);
		holder.lost = f.runner_dead;
		holder.conflict = offer->state == TIER_FLIGHT_PUBLISHED && !f.s_fenced;
		return holder;
	}
	if (offer->state == TIER_FLIGHT_PUBLISHED && !f.s_fenced) {
		holder.host = offer->source;
		holder.in_portal = f.s_dead;
		return holder;
	}
	holder.in_portal = whole;
	if (f.there != TIER_FLIGHT_REFUSED && !f.d_fenced) {
		holder.host = offer->destination;
	} else if (!f.s_fenced) {
		holder.host = offer->source;
		holder.in_portal = f.s_dead;
	} else {
		holder.host = view->fences[offer->source].heir;
	}
	return holder;
}

static const char *name_of(const struct tier_super *super, uint32_t host)
{
	return host < super->host_count ? super->hosts[host].name : "nobody";
}

void tier_handoff_advice(const struct tier_super *super, const struct tier_handoff_view *view,
			 char text[static 192])
{
	struct tier_handoff_holder holder = tier_handoff_holder(view);
	const struct tier_offer *offer = &view->offer;
	const char *source = name_of(super, offer->source);
	const char *who = name_of(super, holder.host);

#define SAY(...) ((void)snprintf(text, 192, __VA_ARGS__))
	if (offer->state == TIER_FLIGHT_NONE)
		SAY("no flight");
	else if (offer->state == TIER_FLIGHT_ABORTED)
		SAY("over: %s kept the VM", source);
	else if (offer->state == TIER_FLIGHT_CLOSED)
		SAY("over: %s has the VM", who);
	else if (holder.conflict)
		SAY("conflict: %s ran it without COMMITTED; resume nowhere",
		    name_of(super, runner(view)));
	else if (holder.lost && offer->state == TIER_FLIGHT_OFFERED)
		SAY("the VM ended with %s; tierctl settle there ends the flight", who);
	else if (holder.lost)
		SAY("the VM ended with the boot of %s that ran it; tierctl settle on %s ends the "
		    "flight",
		    who, source);
	else if (offer->state == TIER_FLIGHT_WITHDRAWN)
		SAY("%s has taken the VM back; tierctl settle there if nobody is at it", who);
	else if (holder.in_portal)
		SAY("whole in the portal; only %s may take it: tierctl settle there", who);
	else if (holder.host == offer->source && offer->state == TIER_FLIGHT_COMMITTED)
		SAY("%s may resume the VM: tierctl settle there", who);
	else if (holder.host == offer->source)
		SAY("the VM is %s's; either side may still give up", who);
	else
		SAY("the VM is %s's; %s may release its extents when it says DONE", who, source);
#undef SAY
}

const char *tier_handoff_action_name(enum tier_handoff_action action)
{
#define NAME(x) [TIER_HANDOFF_##x] = #x
	static const char *const names[] = {
		NAME(WAIT),	NAME(HOLD),	NAME(OVER),   NAME(DIE),     NAME(ABANDON),
		NAME(DISCARD),	NAME(BACK_OUT), NAME(OFFER),  NAME(PUBLISH), NAME(COMMIT),
		NAME(WITHDRAW), NAME(RELEASE),	NAME(TAKE),   NAME(PREPARE), NAME(ACCEPT),
		NAME(RUN),	NAME(FINISH),	NAME(REFUSE), NAME(DROP),    NAME(KEEP),
		NAME(GRANT),	NAME(RECLAIM),	NAME(SCRUB),  NAME(INTEND),  NAME(ASK),
		NAME(CONFIRM),	NAME(RETRACT),	NAME(CLEAR),
	};
#undef NAME

	return (size_t)action < ARRAY_SIZE(names) ? names[action] : "?";
}

const char *tier_handoff_step_name(enum tier_handoff_step step)
{
#define NAME(x) [TIER_STEP_##x] = #x
	static const char *const names[] = {
		NAME(END),
		NAME(STORE_OFFERED),
		NAME(STORE_PUBLISHED),
		NAME(STORE_COMMITTED),
		NAME(STORE_WITHDRAWN),
		NAME(STORE_ABORTED),
		NAME(STORE_CLOSED),
		NAME(STORE_READY),
		NAME(STORE_ACCEPTED),
		NAME(STORE_RUNNING),
		NAME(STORE_DONE),
		NAME(STORE_REFUSED),
		NAME(STORE_CLAIMED),
		NAME(STORE_SCRUB),
		NAME(STORE_FREE),
		NAME(STORE_INTENT),
		NAME(STORE_FENCED),
		NAME(STORE_RETRACTED),
		NAME(CHECK_CLAIMS),
		NAME(MOVE_VM),
		NAME(PAUSE_VM),
		NAME(PUT_VM),
		NAME(CHECK_PLACEMENT),
		NAME(START_VM),
		NAME(FETCH_VM),
		NAME(RESUME_VM),
		NAME(END_VM),
		NAME(CLOSE_EXTENTS),
		NAME(ZERO),
		NAME(RUN_AGENT),
	};
#undef NAME

	return (size_t)step < ARRAY_SIZE(names) ? names[step] : "?";
}

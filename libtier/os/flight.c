/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries a flight out, or on: look, decide by the tables, do the plan's steps, look again. */
#include <poll.h>

#include "fd.h"
#include "flight.h"

#define SECONDS UINT64_C(1000000)

int flight_because(struct flight *f, int code, const struct tier_problem *problem)
{
	if (code && !f->why) {
		f->why = code;
		f->problem = *problem;
	}
	return code;
}

static int do_step(struct flight *f, enum tier_handoff_step step, bool dying,
		   struct tier_problem *problem)
{
	switch (step) {
	case TIER_STEP_CHECK_CLAIMS:
		return flight_check_claims(f, problem);
	case TIER_STEP_MOVE_VM:
		return flight_move(f, problem);
	case TIER_STEP_PAUSE_VM:
		return flight_pause(f, problem);
	case TIER_STEP_PUT_VM:
		return flight_put(f, problem);
	case TIER_STEP_CHECK_PLACEMENT:
		return flight_check_placement(f, problem);
	case TIER_STEP_START_VM:
		return flight_start(f, problem);
	case TIER_STEP_FETCH_VM:
		return flight_fetch(f, problem);
	case TIER_STEP_RESUME_VM:
		return flight_resume(f, problem);
	case TIER_STEP_END_VM:
		return flight_end(f, dying, problem);
	case TIER_STEP_CLOSE_EXTENTS:
		return flight_close_extents(f, problem);
	default:
		return flight_store(f, step, problem);
	}
}

/* The marker is told before and after: whoever watches can stop this process exactly here. */
static void tell_step(struct flight *f, enum tier_handoff_step step, bool done)
{
	if (f->observer && f->observer->step)
		f->observer->step(f->observer->userdata, step, done, f->record ?: "");
}

static bool perform(struct flight *f, enum tier_handoff_action action)
{
	const enum tier_handoff_step *steps =
		f->source ? tier_handoff_source_plan(action) : tier_handoff_taker_plan(action);

	f->view.failed = false;
	f->action = action;
	if (action == TIER_HANDOFF_RUN)
		f->view.stuck = false;
	for (; *steps != TIER_STEP_END; steps++) {
		struct tier_problem problem = {};
		int r;

		tell_step(f, *steps, false);
		r = do_step(f, *steps, action == TIER_HANDOFF_DIE, &problem);
		if (r) {
			/* A call that failed because QEMU is gone is better told as that. */
			if (f->machine && !tier_machine_alive(f->machine) &&
			    action != TIER_HANDOFF_RELEASE)
				r = tier_problem_set(
					&problem, -ESRCH, f->info.name, NULL,
					f->source ? "the VM's process ended during the flight"
						  : "the waiting QEMU ended on the destination");
			if (problem.text[0] == '\0')
				tier_problem_set(&problem, r, f->info.name, NULL, "%s failed",
						 tier_handoff_step_name(*steps));
			flight_because(f, r, &problem);
			f->view.failed = true;
			return false;
		}
		tell_step(f, *steps, true);
	}
	return true;
}

static uint64_t patience(const struct flight *f)
{
	switch (f->view.offer.state) {
	case TIER_FLIGHT_REQUESTED:
		return f->options->grant_usec;
	case TIER_FLIGHT_OFFERED:
		return f->options->ready_usec;
	case TIER_FLIGHT_PUBLISHED:
		return f->options->step_usec;
	default:
		return f->source ? f->options->hold_usec : f->options->step_usec;
	}
}

/* Why a side gives up when no step of its own has failed. */
static void explain(struct flight *f)
{
	const struct tier_handoff_view *view = &f->view;
	const struct tier_offer *offer = &view->offer;
	const struct tier_answer *there = &view->answers[offer->destination];
	const char *next = f->source ? "it runs on here" : NULL;
	struct tier_problem p = {};
	int code;

	if (f->why)
		return;
	if (f->orphan)
		code = tier_problem_set(&p, TIER_E_CANCELLED, offer->vm, next,
					"whoever carried the flight out is gone");
	else if (f->source && view->vm == TIER_VM_NONE)
		code = tier_problem_set(&p, -ESRCH, offer->vm, NULL,
					"the VM's process ended during the flight");
	else if (!f->source && f->machine && view->vm == TIER_VM_NONE)
		code = tier_problem_set(&p, -ESRCH, offer->vm, NULL,
					"the waiting QEMU ended on the destination");
	else if (f->source && there->state == TIER_FLIGHT_REFUSED)
		code = tier_problem_set(&p, TIER_E_PEER, offer->vm, next,
					"the destination refused: %s", there->reason);
	else if (!f->source &&
		 (offer->state == TIER_FLIGHT_WITHDRAWN || offer->state == TIER_FLIGHT_ABORTED))
		code = tier_problem_set(&p, TIER_E_PEER, offer->vm, "it runs on there",
					"the source aborted: %s", offer->reason);
	else if (view->cancelled)
		code = tier_problem_set(&p, TIER_E_CANCELLED, offer->vm, next, "cancelled");
	else if (f->source && there->state != TIER_FLIGHT_NONE &&
		 tier_handoff_dead(view, offer->destination, there->stamp.incarnation))
		code = tier_problem_set(&p, TIER_E_PEER, offer->vm, next,
					"the destination has booted again, or is fenced");
	else if (!f->source && tier_handoff_dead(view, offer->source, offer->source_incarnation))
		code = tier_problem_set(&p, TIER_E_PEER, offer->vm, NULL,
					"the source has booted again, or is fenced");
	else if (f->source && offer->state == TIER_FLIGHT_REQUESTED)
		code = tier_problem_set(&p, TIER_E_NO_SPACE, offer->vm, "tierctl portal show",
					"the other hosts of the portal have not granted extents");
	else if (f->source && there->state == TIER_FLIGHT_NONE)
		code = tier_problem_set(&p, TIER_E_TIMEOUT, offer->vm,
					"start tierctl receive there; it runs on here",
					"the destination did not answer");
	else if (f->source)
		code = tier_problem_set(&p, TIER_E_TIMEOUT, offer->vm, next,
					"the destination did not go on after %s",
					tier_flight_state_name(there->state));
	else if (offer->state == TIER_FLIGHT_NONE || offer->state == TIER_FLIGHT_CLOSED)
		code = tier_problem_set(&p, TIER_E_STALE, offer->vm, NULL,
					"the flight has ended without this host");
	else
		code = tier_problem_set(&p, TIER_E_TIMEOUT, offer->vm, NULL,
					"the source did not go on after %s",
					tier_flight_state_name(offer->state));
	flight_because(f, code, &p);
}

static void begin_stage(struct flight *f, enum tier_handoff_action action)
{
	if (f->source && action == TIER_HANDOFF_PUBLISH)
		flight_stage(f, TIER_STAGE_READY);
	else if (f->source && action == TIER_HANDOFF_COMMIT)
		flight_stage(f, TIER_STAGE_ACCEPTED);
}

static bool gives_up(enum tier_handoff_action action)
{
	return action == TIER_HANDOFF_WITHDRAW || action == TIER_HANDOFF_ABANDON ||
	       action == TIER_HANDOFF_DISCARD || action == TIER_HANDOFF_REFUSE ||
	       action == TIER_HANDOFF_BACK_OUT || action == TIER_HANDOFF_DROP ||
	       action == TIER_HANDOFF_CLEAR;
}

/* What is decided on a stale look, when some record cannot be read. */
static bool harmless(enum tier_handoff_action action, enum tier_flight_state offer)
{
	return action == TIER_HANDOFF_HOLD || action == TIER_HANDOFF_REFUSE ||
	       action == TIER_HANDOFF_ABANDON ||
	       (action == TIER_HANDOFF_WITHDRAW && offer != TIER_FLIGHT_COMMITTED);
}

static void await_change(struct flight *f)
{
	bool slow =
		f->view.offer.state == TIER_FLIGHT_REQUESTED ||
		(f->source && f->view.answers[f->view.offer.destination].state == TIER_FLIGHT_NONE);
	struct pollfd poll_fd = {.fd = -1, .events = POLLIN};

	/* A process that is known to be dead is no event. */
	if (flight_vm_alive(f))
		poll_fd.fd = f->machine->pidfd;
	poll(&poll_fd, 1,
	     poll_timeout(now_usec() + (slow ? FLIGHT_SLOW_POLL_USEC : FLIGHT_POLL_USEC)));
}

/* Once: the pause ends when the VM is seen to run there. */
static void note_running(struct flight *f)
{
	enum tier_flight_state there = f->view.answers[f->view.offer.destination].state;

	if (!f->source || f->announced_running || !f->paused_usec ||
	    (there != TIER_FLIGHT_RUNNING && there != TIER_FLIGHT_DONE))
		return;
	f->announced_running = true;
	f->report->pause_usec = now_usec() - f->paused_usec;
	flight_stage(f, TIER_STAGE_RUNNING);
}

/* Until there is nothing to do for this side. Return: HOLD, OVER, or the action that ended it. */
static enum tier_handoff_action carry(struct flight *f, enum tier_handoff_action *ret_last)
{
	enum tier_handoff_action failed = TIER_HANDOFF_OVER;
	uint32_t states = UINT32_MAX, failed_states = UINT32_MAX;
	bool seen = false;

	for (;;) {
		int looked = flight_look(f);
		enum tier_handoff_action action;
		enum tier_flight_state own;

		seen = seen || looked == 0;
		if (!seen) {
			struct tier_problem problem;

			flight_because(f,
				       tier_problem_set(&problem, looked, f->grant->portal_path,
							"tierctl portal check",
							"the flight's records cannot be read"),
				       &problem);
			return TIER_HANDOFF_HOLD;
		}
		own = f->source ? f->view.offer.state : f->view.answers[f->view.self].state;
		note_running(f);
		/* Each step of the flight has a deadline of its own. */
		if ((f->view.offer.state | own << 8) != states) {
			states = f->view.offer.state | own << 8;
			f->view.deadline_usec = f->orphan ? 0 : now_usec() + patience(f);
		}
		f->view.now_usec = now_usec();
		/* After COMMITTED it would give the VM up, which only settle is asked for. */
		f->view.cancelled = f->orphan ? f->view.cancelled
					      : f->view.offer.state != TIER_FLIGHT_COMMITTED &&
							(f->view.cancelled || flight_cancelled(f));
		if (f->view.vm != TIER_VM_NONE && !flight_vm_alive(f))
			f->view.vm = TIER_VM_NONE;
		action = f->source ? tier_handoff_source(&f->view) : tier_handoff_taker(&f->view);
		if (looked && !harmless(action, f->view.offer.state)) {
			if (f->orphan)
				return TIER_HANDOFF_HOLD;
			action = TIER_HANDOFF_WAIT;
		}
		switch (action) {
		case TIER_HANDOFF_WAIT:
			if (f->orphan)
				return TIER_HANDOFF_HOLD;
			await_change(f);
			continue;
		case TIER_HANDOFF_HOLD:
		case TIER_HANDOFF_OVER:
			return action;
		default:
			break;
		}
		if (gives_up(action))
			explain(f);
		begin_stage(f, action);
		*ret_last = action;
		if (!perform(f, action)) {
			/* The tables may try the same again, which has just not helped. */
			if (action == failed && states == failed_states)
				return TIER_HANDOFF_HOLD;
			failed = action;
			failed_states = states;
			continue;
		}
		if (action == TIER_HANDOFF_CLEAR || action == TIER_HANDOFF_DIE)
			return action;
		/* What waits for the VM from here on is this process's own. */
		if (action == TIER_HANDOFF_TAKE)
			f->view.recovering = false;
	}
}

static int held(struct flight *f, struct tier_problem *problem)
{
	struct tier_handoff_holder holder = tier_handoff_holder(&f->view);
	const char *name = f->view.offer.vm;
	char advice[192];

	tier_handoff_advice(tier_portal_super(f->portal), &f->view, advice);
	if (f->why && f->view.offer.state == TIER_FLIGHT_NONE) {
		*problem = f->problem;
		return f->why;
	}
	/* Only what is left of the flight could not be given back. */
	if (f->why && f->view.vm == TIER_VM_RUNNING) {
		*problem = f->problem;
		snprintf(problem->next, sizeof(problem->next),
			 "it runs here, but the flight has not ended: tierctl settle %s", name);
		return f->why;
	}
	if (f->why && holder.host == f->view.self) {
		*problem = f->problem;
		snprintf(problem->next, sizeof(problem->next), "then tierctl settle %s", name);
		return TIER_E_BUSY;
	}
	if (holder.conflict)
		return tier_problem_set(problem, TIER_E_BUSY, name, "tierctl flights", "%s",
					advice);
	if (f->source && f->view.offer.state == TIER_FLIGHT_COMMITTED)
		return tier_problem_set(
			problem, TIER_E_BUSY, name, advice,
			"committed, but the destination has not said that it has it");
	return tier_problem_set(problem, TIER_E_BUSY, name, "tierctl flights", "%s", advice);
}

/* What came of it, for the caller. */
static int outcome(struct flight *f, enum tier_handoff_action end, struct tier_problem *problem)
{
	enum tier_flight_state own =
		f->source ? f->view.offer.state : f->view.answers[f->view.self].state;

	if (end == TIER_HANDOFF_DIE)
		return tier_problem_set(problem, TIER_E_BUSY, f->view.offer.vm,
					"tierctl portal show; reboot this host",
					"this boot of this host has been fenced; its VM was ended");
	if (end == TIER_HANDOFF_HOLD)
		return held(f, problem);
	if (own == TIER_FLIGHT_CLOSED || own == TIER_FLIGHT_DONE)
		return 0;
	if (!f->why)
		return tier_problem_set(problem, TIER_E_STALE, f->info.name, "tierctl flights",
					"the flight was ended by somebody else");
	*problem = f->problem;
	/* TIER_E_BUSY is kept for a VM that has been left without a host to run on. */
	return f->why == TIER_E_BUSY ? TIER_E_REFUSED : f->why;
}

static int open_portal(struct flight *f, struct tier_problem *problem)
{
	int r = flight_dram_node(&f->dram, problem);

	r = r
		    ?: tier_portal_open_configured(f->config, f->grant->portal_path,
						   TIER_PORTAL_WRITE, &f->portal, problem);
	if (r)
		return r;
	f->view.self = f->grant->host;
	f->view.incarnation = f->grant->incarnation;
	return 0;
}

static void done(struct flight *f)
{
	if (f->machine != f->borrowed)
		tier_machine_free(f->machine);
	ram_file_free(f->ram);
	tier_extents_free(f->extents);
	if (f->portal)
		tier_portal_close(f->portal);
	if (f->answer_lock >= 0)
		close(f->answer_lock);
}

int tier_flight_send(const struct tier_config *config, struct tier_machine *machine,
		     const struct tier_machine_info *info, const struct tier_flight_grant *grant,
		     const struct tier_flight_options *options,
		     const struct tier_flight_observer *observer, struct tier_flight_report *ret,
		     struct tier_problem *problem)
{
	_cleanup_close_ int lock = -1;
	_cleanup_(done) struct flight f = {
		.source = true,
		.config = config,
		.grant = grant,
		.options = options,
		.observer = observer,
		.report = ret,
		.machine = machine,
		.borrowed = machine,
		.info = *info,
		.node = -1,
		.dram = -1,
		.answer_lock = -1,
		.view.vm = TIER_VM_RUNNING,
	};
	enum tier_handoff_action end, last = TIER_HANDOFF_OVER;
	struct tier_problem ignored, why = {};
	uint64_t began = now_usec();
	int r;

	problem = problem ?: &ignored;
	*ret = (struct tier_flight_report){.ram_bytes = info->memory_bytes, .node = -1};
	copy_string(ret->vm, sizeof(ret->vm), info->name);
	tier_uuid_format(&grant->flight, ret->flight);
	r = machine_lock(config, info->name, &lock, problem);
	/* TIER_E_BUSY is kept for a VM that this flight has left stopped. */
	if (r == TIER_E_BUSY)
		r = TIER_E_REFUSED;
	r = r ?: open_portal(&f, problem);
	if (r)
		return r;
	/* What must hold before a page moves; the flight is ended in order if it does not. */
	r = flight_refuse_host(info->name, &why);
	if (r == 0 && !streq(info->status, "running")) {
		r = tier_problem_set(&why, TIER_E_REFUSED, info->name,
				     "tierctl flights says whether an earlier flight left it so",
				     "is %s, and only a running machine is sent", info->status);
		f.view.vm = TIER_VM_STOPPED;
	}
	if (r) {
		flight_because(&f, r, &why);
		f.view.cancelled = true;
	}
	end = carry(&f, &last);
	ret->total_usec = now_usec() - began;
	return outcome(&f, end, problem);
}

int tier_flight_receive(const struct tier_config *config, const struct tier_flight_grant *grant,
			const struct tier_flight_options *options,
			const struct tier_flight_observer *observer, struct tier_flight_report *ret,
			struct tier_problem *problem)
{
	_cleanup_close_ int lock = -1;
	_cleanup_(done) struct flight f = {
		.config = config,
		.grant = grant,
		.options = options,
		.observer = observer,
		.report = ret,
		.node = -1,
		.dram = -1,
		.answer_lock = -1,
	};
	enum tier_handoff_action end, last = TIER_HANDOFF_OVER;
	struct tier_problem ignored;
	uint64_t began = now_usec();
	int r;

	problem = problem ?: &ignored;
	*ret = (struct tier_flight_report){.node = -1};
	tier_uuid_format(&grant->flight, ret->flight);
	r = open_portal(&f, problem);
	r = r ?: flight_look(&f);
	if (r)
		return r;
	copy_string(f.info.name, sizeof(f.info.name), f.view.offer.vm);
	copy_string(ret->vm, sizeof(ret->vm), f.view.offer.vm);
	ret->ram_bytes = f.view.offer.ram_bytes;
	ret->node = f.dram;
	/* Without the lock somebody else may be answering: then not a word is written. */
	if (tier_config_machine(config, f.view.offer.vm))
		r = machine_lock(config, f.view.offer.vm, &lock, problem);
	r = r ?: flight_lock_answer_slot(&f, grant->answer_slot, problem);
	if (r)
		return r == TIER_E_BUSY ? TIER_E_REFUSED : r;
	end = carry(&f, &last);
	ret->total_usec = now_usec() - began;
	return outcome(&f, end, problem);
}

int tier_flight_settle(const struct tier_config *config, const struct tier_flight_grant *grant,
		       bool discard, const struct tier_flight_observer *observer,
		       enum tier_handoff_action *ret_action, struct tier_problem *problem)
{
	static const struct tier_flight_options options = {
		.ready_usec = 30 * SECONDS, .step_usec = 30 * SECONDS, .hold_usec = 30 * SECONDS};
	enum tier_handoff_action end, last = TIER_HANDOFF_OVER;
	_cleanup_close_ int lock = -1;
	struct tier_flight_report report = {};
	struct tier_problem ignored;
	_cleanup_(done) struct flight f = {
		.source = grant->source == grant->host,
		.config = config,
		.grant = grant,
		.options = &options,
		.observer = observer,
		.report = &report,
		.orphan = true,
		.node = -1,
		.dram = -1,
		.answer_lock = -1,
		.view.recovering = true,
		.view.cancelled = discard,
	};
	int r;

	problem = problem ?: &ignored;
	r = open_portal(&f, problem);
	r = r ?: flight_look(&f);
	if (r)
		return r;
	copy_string(f.info.name, sizeof(f.info.name), f.view.offer.vm);
	if (f.view.offer.state == TIER_FLIGHT_NONE)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, grant->portal_path,
					"tierctl flights", "that flight is not in slot %u",
					grant->source_slot);
	/* The daemon may have forgotten who carries it out; the lock has not. */
	r = machine_lock(config, f.view.offer.vm, &lock, problem);
	r = r ?: flight_choose_answer_slot(&f, problem);
	r = r ?: flight_find_vm(&f, problem);
	if (r)
		return r;
	end = carry(&f, &last);
	*ret_action = last;
	if (end == TIER_HANDOFF_HOLD) {
		r = held(&f, problem);
		return f.why ? r : TIER_E_REFUSED;
	}
	if (end == TIER_HANDOFF_DIE)
		return outcome(&f, end, problem);
	return 0;
}

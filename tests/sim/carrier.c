/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a tool does: as libtier/os/flight.c, with a process and pages that are a number each. */
#include <stdlib.h>

#include "hosts.h"

/* A step that may fail, or somebody who wants something: only where there is disorder. */
static bool whim(unsigned permille)
{
	return !w.calm && !w.directed && chance(permille);
}

/* ---- steps of a flight ----------------------------------------------------------------------- */

static int put(struct host *host, struct carrier *c)
{
	struct tier_offer *offer = &c->view.offer;
	struct blob blob = {.version = host->version, .flight = c->flight};
	int r;

	if (host->process != PROCESS_STOPPED)
		return -ESRCH;
	for (uint32_t e = 0; e < EXTENTS; e++) {
		if (!lists(offer, e))
			continue;
		if (w.content[e] && w.content[e] != tag(&c->flight))
			fail("extent %u was not zeroed before its next flight", e);
		w.content[e] = tag(&c->flight);
	}
	r = tier_portal_write_blob(&host->portal, number(host), &c->flight, 64 * 256 * c->slot,
				   &blob, sizeof(blob), &offer->manifest);
	return r
		       ?: tier_portal_write_blob(&host->portal, number(host), &c->flight,
						 64 * 256 * c->slot + 4096, "state", 6,
						 &offer->state_blob);
}

static int fetch(struct host *host, struct carrier *c)
{
	const struct tier_offer *offer = &c->view.offer;
	struct blob *blob;
	void *data;
	int r;

	if (host->process != PROCESS_WAITING)
		return -ESRCH;
	r = tier_portal_read_blob(&host->portal, offer->source, &offer->flight, &offer->manifest,
				  &data, NULL);
	if (r)
		return r;
	blob = data;
	for (uint32_t e = 0; e < EXTENTS; e++)
		if (lists(offer, e) && w.content[e] != tag(&c->flight))
			r = TIER_E_DAMAGED;
	if (r == 0) {
		host->process = PROCESS_STOPPED;
		host->version = blob->version;
	}
	free(data);
	return r;
}

static int resume(struct host *host, struct carrier *c)
{
	bool first = c->action == TIER_HANDOFF_RUN;

	if (host->process == PROCESS_NONE && first) {
		c->view.stuck = true;
		return -ESRCH;
	}
	if (host->process == PROCESS_NONE || host->process == PROCESS_RUNNING)
		return 0;
	if (host->process == PROCESS_WAITING) {
		fail("host %u: a process without a VM is resumed", number(host));
		return -EINVAL;
	}
	if (whim(30)) {
		c->view.stuck = first;
		return TIER_E_REFUSED;
	}
	if (host->version < w.newest && !host->lied_about)
		fail("host %u: version %" PRIu64 " is resumed, %" PRIu64 " has run", number(host),
		     host->version, w.newest);
	host->process = PROCESS_RUNNING;
	w.excused = false;
	return 0;
}

static int end_process(struct host *host, struct carrier *c)
{
	if (host->process == PROCESS_RUNNING && c->action != TIER_HANDOFF_DIE) {
		fail("host %u: the running VM is ended by %s", number(host),
		     tier_handoff_action_name(c->action));
		return -EBUSY;
	}
	if (host->process == PROCESS_RUNNING && !host->lied_about)
		w.dead = true;
	host->process = PROCESS_NONE;
	return 0;
}

static int check_claims(struct host *host, struct carrier *c)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t count, extents;
	int r = tier_portal_granted(&host->portal, &c->flight, ranges, &count, &extents);

	return r ?: count != c->view.offer.range_count ? TIER_E_STALE : 0;
}

static int store_offer(struct host *host, struct carrier *c, enum tier_flight_state state)
{
	struct tier_offer offer = c->view.offer;
	uint32_t extents;
	int r = 0;

	offer.state = state;
	offer.stamp.incarnation = host->incarnation;
	if (state == TIER_FLIGHT_OFFERED) {
		r = tier_portal_granted(&host->portal, &c->flight, offer.ranges, &offer.range_count,
					&extents);
		strcpy(offer.machine_type, "q35");
	} else if (state == TIER_FLIGHT_PUBLISHED) {
		offer.destination_incarnation =
			c->view.answers[offer.destination].stamp.incarnation;
	} else if ((state == TIER_FLIGHT_ABORTED || state == TIER_FLIGHT_CLOSED) && host->open) {
		fail("host %u: %s with extents open", number(host), tier_flight_state_name(state));
	}
	r = r ?: tier_portal_write_offer(&host->portal, c->slot, &offer);
	if (r == 0)
		c->view.offer = offer;
	return r;
}

static int store_answer(struct host *host, struct carrier *c, enum tier_flight_state state)
{
	struct tier_answer answer = {
		.stamp = {host->incarnation, c->view.offer.stamp.generation, 0},
		.flight = c->flight,
		.source = c->offerer,
		.source_slot = c->slot,
		.state = state,
	};
	int r;

	if (c->view.answers[number(host)].state != TIER_FLIGHT_NONE)
		answer.stamp.generation = c->view.answers[number(host)].stamp.generation;
	r = tier_portal_write_answer(&host->portal, number(host), c->answer_slot, &answer);
	if (r == 0) {
		c->view.answers[number(host)] = answer;
		c->view.answer_slots[number(host)] = c->answer_slot;
	}
	return r;
}

static int do_step(struct host *host, struct carrier *c, enum tier_handoff_step step)
{
	if (c->view.fences[number(host)].fenced >= host->incarnation && step != TIER_STEP_END_VM)
		fail("host %u is fenced, knows it, and goes on with %s", number(host),
		     tier_handoff_step_name(step));
	/* Any step of a tool may fail; then the tables say what comes of it. */
	if (whim(8) && step != TIER_STEP_RESUME_VM)
		return -EIO;
	switch (step) {
	case TIER_STEP_STORE_OFFERED:
	case TIER_STEP_STORE_PUBLISHED:
	case TIER_STEP_STORE_COMMITTED:
	case TIER_STEP_STORE_WITHDRAWN:
	case TIER_STEP_STORE_ABORTED:
	case TIER_STEP_STORE_CLOSED:
		return store_offer(host, c, step - TIER_STEP_STORE_OFFERED + TIER_FLIGHT_OFFERED);
	case TIER_STEP_STORE_READY:
	case TIER_STEP_STORE_ACCEPTED:
	case TIER_STEP_STORE_RUNNING:
	case TIER_STEP_STORE_DONE:
	case TIER_STEP_STORE_REFUSED:
		return store_answer(host, c, step - TIER_STEP_STORE_READY + TIER_FLIGHT_READY);
	case TIER_STEP_CHECK_CLAIMS:
		return check_claims(host, c);
	case TIER_STEP_MOVE_VM:
		for (uint32_t e = 0; e < EXTENTS; e++)
			if (lists(&c->view.offer, e))
				host->open |= 1u << e;
		return 0;
	case TIER_STEP_PAUSE_VM:
		if (host->process != PROCESS_RUNNING)
			return -ESRCH;
		host->process = PROCESS_STOPPED;
		return 0;
	case TIER_STEP_PUT_VM:
		return put(host, c);
	case TIER_STEP_CHECK_PLACEMENT:
		return 0;
	case TIER_STEP_START_VM:
		if (host->process != PROCESS_NONE)
			return -EBUSY;
		host->process = PROCESS_WAITING;
		return 0;
	case TIER_STEP_FETCH_VM:
		return fetch(host, c);
	case TIER_STEP_RESUME_VM:
		return resume(host, c);
	case TIER_STEP_END_VM:
		return end_process(host, c);
	case TIER_STEP_CLOSE_EXTENTS:
		host->open = 0;
		return 0;
	default:
		fail("no such step here: %s", tier_handoff_step_name(step));
		return -EINVAL;
	}
}

static void end_carrier(struct carrier *c)
{
	c->on = false;
}

static void look(struct host *host, struct carrier *c)
{
	struct tier_handoff_view view = c->view;
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t count, extents = 0;
	bool waiting_is_none = c->source || view.answers[number(host)].state == TIER_FLIGHT_NONE;

	view.self = number(host);
	view.incarnation = host->incarnation;
	if (tier_portal_look(&host->portal, c->offerer, c->slot, &c->flight, &view) != 0) {
		fail("host %u: records cannot be read", number(host));
		return;
	}
	c->view = view;
	c->view.vm = host->process == PROCESS_NONE	? TIER_VM_NONE
		     : host->process == PROCESS_RUNNING ? TIER_VM_RUNNING
		     : host->process == PROCESS_WAITING && waiting_is_none && c->source
			     ? TIER_VM_NONE
			     : TIER_VM_STOPPED;
	/* Somebody else's, before this flight has one here. */
	if (!c->source && view.answers[number(host)].state == TIER_FLIGHT_NONE &&
	    host->process != PROCESS_WAITING)
		c->view.vm = TIER_VM_NONE;
	if (c->source &&
	    tier_portal_granted(&host->portal, &c->flight, ranges, &count, &extents) == 0)
		c->view.granted = extents >= WANTED;
	c->view.now_usec = 2;
	c->view.deadline_usec = (w.directed ? w.expired : chance(10)) ? 1 : 0;
	if (!c->orphan)
		c->view.cancelled = !w.calm && c->view.offer.state != TIER_FLIGHT_COMMITTED &&
				    (c->view.cancelled || w.cancelled || whim(4));
}

static void decide(struct host *host, struct carrier *c)
{
	look(host, c);
	if (w.failure)
		return;
	c->action = c->source ? tier_handoff_source(&c->view) : tier_handoff_taker(&c->view);
	if (c->action == TIER_HANDOFF_WAIT && !c->orphan)
		return;
	trace("host %u: %s%s: %s (%s/%s)", number(host), c->source ? "source" : "taker",
	      c->view.recovering ? ", recovering" : "", tier_handoff_action_name(c->action),
	      tier_flight_state_name(c->view.offer.state),
	      tier_flight_state_name(c->view.answers[c->view.offer.destination].state));
	if (c->action == TIER_HANDOFF_WAIT || c->action == TIER_HANDOFF_HOLD ||
	    c->action == TIER_HANDOFF_OVER) {
		end_carrier(c);
		return;
	}
	c->view.failed = false;
	if (c->action == TIER_HANDOFF_RUN)
		c->view.stuck = false;
	if (c->action == TIER_HANDOFF_TAKE)
		w.outcomes[number(host) == c->view.offer.destination || c->source ? TAKEN
										  : HEIRED]++;
	c->plan = c->source ? tier_handoff_source_plan(c->action)
			    : tier_handoff_taker_plan(c->action);
}

void advance(struct host *host)
{
	struct carrier *c = &host->carrier;
	int r;

	if (!c->plan) {
		decide(host, c);
		return;
	}
	r = do_step(host, c, *c->plan);
	trace("host %u: %s: %d", number(host), tier_handoff_step_name(*c->plan), r);
	if (r) {
		c->view.failed = true;
		c->plan = NULL;
		return;
	}
	if (*++c->plan != TIER_STEP_END)
		return;
	c->plan = NULL;
	if (c->action == TIER_HANDOFF_TAKE)
		c->view.recovering = false;
	if (c->action == TIER_HANDOFF_DROP || c->action == TIER_HANDOFF_DIE)
		end_carrier(c);
}

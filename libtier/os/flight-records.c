/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A flight's records: looked at, and this side's stored. */
#include "fd.h"
#include "flight.h"

/* What OFFERED has fixed, and what was checked then, is the same in every later writing of it. */
static bool same_terms(const struct tier_offer *a, const struct tier_offer *b)
{
	return memcmp(&a->flight, &b->flight, sizeof(a->flight)) == 0 && a->source == b->source &&
	       a->destination == b->destination && streq(a->vm, b->vm) &&
	       streq(a->machine_type, b->machine_type) && streq(a->qemu_version, b->qemu_version) &&
	       a->ram_bytes == b->ram_bytes && a->page_bytes == b->page_bytes &&
	       a->source_incarnation == b->source_incarnation && a->range_count == b->range_count &&
	       memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0;
}

static bool has_terms(enum tier_flight_state state)
{
	return state == TIER_FLIGHT_OFFERED || state == TIER_FLIGHT_PUBLISHED ||
	       state == TIER_FLIGHT_COMMITTED;
}

static int look_at_grants(struct flight *f)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t range_count, extents;
	int r;

	if (!f->source || f->view.offer.state != TIER_FLIGHT_REQUESTED)
		return 0;
	r = tier_portal_granted(f->portal, &f->grant->flight, ranges, &range_count, &extents);
	if (r == 0)
		f->view.granted = extents >= f->view.offer.wanted_extents;
	return r;
}

int flight_look(struct flight *f)
{
	struct tier_handoff_view view = f->view;
	int r = tier_portal_look(f->portal, f->grant->source, f->grant->source_slot,
				 &f->grant->flight, &view);

	if (r)
		return r;
	/* Another offer under the same name: not the one that was answered. */
	if (!f->source && f->has_terms && has_terms(view.offer.state) &&
	    !same_terms(&f->terms, &view.offer))
		view.offer.state = TIER_FLIGHT_NONE;
	if (!f->source && !f->has_terms && has_terms(view.offer.state)) {
		f->terms = view.offer;
		f->has_terms = true;
	}
	f->view = view;
	return look_at_grants(f);
}

/* Which state a step stores, and which stage that is for whoever watches. */
static const struct {
	enum tier_flight_state state;
	enum tier_flight_stage stage;
	bool told;
	const char *name;
} stores[_TIER_STEP_MAX] = {
	[TIER_STEP_STORE_OFFERED] = {TIER_FLIGHT_OFFERED, TIER_STAGE_OFFERED, true, "OFFERED"},
	[TIER_STEP_STORE_PUBLISHED] = {TIER_FLIGHT_PUBLISHED, TIER_STAGE_PUBLISHED, true,
				       "PUBLISHED"},
	[TIER_STEP_STORE_COMMITTED] = {TIER_FLIGHT_COMMITTED, TIER_STAGE_COMMITTED, true,
				       "COMMITTED"},
	[TIER_STEP_STORE_WITHDRAWN] = {TIER_FLIGHT_WITHDRAWN, 0, false, "WITHDRAWN"},
	[TIER_STEP_STORE_ABORTED] = {TIER_FLIGHT_ABORTED, TIER_STAGE_ABORTED, true, "ABORTED"},
	[TIER_STEP_STORE_CLOSED] = {TIER_FLIGHT_CLOSED, TIER_STAGE_DONE, true, "CLOSED"},
	[TIER_STEP_STORE_READY] = {TIER_FLIGHT_READY, TIER_STAGE_READY, true, "READY"},
	[TIER_STEP_STORE_ACCEPTED] = {TIER_FLIGHT_ACCEPTED, TIER_STAGE_ACCEPTED, true, "ACCEPTED"},
	/* Nobody is told until the VM runs: telling may block, or end this process. */
	[TIER_STEP_STORE_RUNNING] = {TIER_FLIGHT_RUNNING, 0, false, "RUNNING"},
	[TIER_STEP_STORE_DONE] = {TIER_FLIGHT_DONE, TIER_STAGE_DONE, true, "DONE"},
	[TIER_STEP_STORE_REFUSED] = {TIER_FLIGHT_REFUSED, TIER_STAGE_ABORTED, true, "REFUSED"},
};

static int fill_offer(struct flight *f, struct tier_offer *offer, struct tier_problem *problem)
{
	const struct tier_answer *there = &f->view.answers[offer->destination];
	uint32_t extents;
	int r;

	switch (offer->state) {
	case TIER_FLIGHT_OFFERED:
		r = tier_portal_granted(f->portal, &offer->flight, offer->ranges,
					&offer->range_count, &extents);
		if (r)
			return tier_problem_set(problem, r, f->grant->portal_path,
						"tierctl portal check",
						"cannot read which extents were granted");
		copy_string(offer->machine_type, sizeof(offer->machine_type), f->info.type);
		copy_string(offer->qemu_version, sizeof(offer->qemu_version), f->info.qemu_version);
		return 0;
	case TIER_FLIGHT_PUBLISHED:
		offer->destination_incarnation = there->stamp.incarnation;
		return 0;
	case TIER_FLIGHT_WITHDRAWN:
	case TIER_FLIGHT_ABORTED:
		snprintf(offer->reason, sizeof(offer->reason), "%.150s", f->problem.text);
		return 0;
	default:
		return 0;
	}
}

static int store_offer(struct flight *f, enum tier_flight_state state, struct tier_problem *problem)
{
	struct tier_offer offer = f->view.offer;
	int r;

	offer.state = state;
	offer.stamp.incarnation = f->view.incarnation;
	r = fill_offer(f, &offer, problem);
	if (r)
		return r;
	r = tier_portal_write_offer(f->portal, f->grant->source_slot, &offer);
	if (r)
		return tier_problem_set(problem, r, f->grant->portal_path, "tierctl portal check",
					"cannot write the offer");
	f->view.offer = offer;
	return 0;
}

static int store_answer(struct flight *f, enum tier_flight_state state,
			struct tier_problem *problem)
{
	struct tier_answer answer = {
		.stamp = {.incarnation = f->view.incarnation,
			  .generation = f->view.offer.stamp.generation},
		.flight = f->grant->flight,
		.source = f->grant->source,
		.source_slot = f->grant->source_slot,
		.state = state,
	};
	int r;

	/* The slot of the offer may carry another flight by now; this one's number stays. */
	if (f->view.answers[f->view.self].state != TIER_FLIGHT_NONE)
		answer.stamp.generation = f->view.answers[f->view.self].stamp.generation;
	copy_string(answer.qemu_version, sizeof(answer.qemu_version), f->info.qemu_version);
	if (state == TIER_FLIGHT_REFUSED)
		snprintf(answer.reason, sizeof(answer.reason), "%.150s", f->problem.text);
	r = tier_portal_write_answer(f->portal, f->grant->host, f->answer_slot, &answer);
	if (r)
		return tier_problem_set(problem, r, f->grant->portal_path, "tierctl portal check",
					"cannot write the answer");
	f->view.answers[f->view.self] = answer;
	f->view.answer_slots[f->view.self] = f->answer_slot;
	return 0;
}

int flight_store(struct flight *f, enum tier_handoff_step step, struct tier_problem *problem)
{
	int r = f->source ? store_offer(f, stores[step].state, problem)
			  : store_answer(f, stores[step].state, problem);

	if (r)
		return r;
	f->record = stores[step].name;
	if (stores[step].told)
		flight_stage(f, stores[step].stage);
	return 0;
}

/* Processes of one host that answer different flights: each has its slot to itself. */
int flight_lock_answer_slot(struct flight *f, uint32_t slot, struct tier_problem *problem)
{
	const struct tier_super *super = tier_portal_super(f->portal);
	char uuid[37], name[64];
	int r;

	tier_uuid_format(&super->uuid, uuid);
	snprintf(name, sizeof(name), "answer-%s-%u", uuid, slot);
	r = file_lock(f->config, name, &f->answer_lock, problem);
	if (r == 0)
		f->answer_slot = slot;
	return r != TIER_E_BUSY ? r
				: tier_problem_set(problem, r, f->grant->portal_path,
						   "tierctl flights; wait for that process",
						   "another process of this host uses answer slot "
						   "%u",
						   slot);
}

/*
 * Where an earlier process of this host has answered; else the last free slot, since cxl-tierd gives
 * out the first ones.
 */
int flight_choose_answer_slot(struct flight *f, struct tier_problem *problem)
{
	if (f->source)
		return 0;
	if (f->view.answers[f->view.self].state != TIER_FLIGHT_NONE)
		return flight_lock_answer_slot(f, f->view.answer_slots[f->view.self], problem);
	for (uint32_t slot = TIER_PORTAL_FLIGHTS; slot-- > 0;) {
		if (tier_portal_answer_free(f->portal, f->view.self, f->view.incarnation, slot) &&
		    flight_lock_answer_slot(f, slot, NULL) == 0)
			return 0;
	}
	return tier_problem_set(problem, TIER_E_NO_SPACE, f->grant->portal_path, "tierctl flights",
				"all %d answer slots of this host are taken", TIER_PORTAL_FLIGHTS);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hand-off protocol under seeded disorder: two actors that use the real decision tables, a
 * portal whose records become visible late, tools that crash and are started again, deadlines and
 * cancellations at any step. After every single effect: at most one host runs the VM. At the end:
 * it runs on exactly one host, or is whole in the portal and the destination's.
 *
 * TIER_SIM_SEEDS=N runs N seeds from TIER_SEED on, TIER_SIM_SEED=S runs one.
 */
#include <inttypes.h>

#include "tier-flight.h"
#include "util.h"

#define STEPS 400

enum op { OP_STORE_OFFER, OP_STORE_ANSWER, OP_PAUSE, OP_RESUME, OP_START_WAITING, OP_END };

struct pending {
	enum op op;
	enum tier_flight_state state;
};

struct world;

struct actor {
	bool source;
	bool crashed;		 /* the tool; its VM process lives on */
	unsigned suspended;	 /* steps */
	struct pending queue[8]; /* effects decided on, carried out one per step */
	size_t queued;
};

struct world {
	uint64_t seed, random;
	/* The portal: what is stored, and how much of it each reader has seen. */
	struct tier_offer offers[16];
	struct tier_answer answers[16];
	size_t offer_count, answer_count;
	size_t offers_seen, answers_seen; /* by the other side: index of the newest seen */
	struct actor source, destination;
	bool running_source, running_destination;
	bool process_source, process_destination; /* do the QEMUs exist? */
	uint64_t destination_incarnation;
	const char *last;
};

static uint64_t next_random(struct world *w)
{
	uint64_t z = (w->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool chance(struct world *w, unsigned percent)
{
	return next_random(w) % 100 < percent;
}

static struct tier_offer *own_offer(struct world *w)
{
	return &w->offers[w->offer_count - 1];
}

static struct tier_answer *own_answer(struct world *w)
{
	return w->answer_count ? &w->answers[w->answer_count - 1] : NULL;
}

/* A reader sees something between what it saw last and the newest. */
static size_t seen(struct world *w, size_t *last, size_t count)
{
	if (count > *last)
		*last += 1 + next_random(w) % (count - *last);
	return *last;
}

static void push(struct actor *actor, enum op op, enum tier_flight_state state)
{
	actor->queue[actor->queued++] = (struct pending){op, state};
}

static void store_offer(struct world *w, enum tier_flight_state state)
{
	struct tier_offer offer = *own_offer(w);

	offer.state = state;
	offer.stamp.sequence++;
	if (state == TIER_FLIGHT_PUBLISHED && own_answer(w))
		offer.destination_incarnation = own_answer(w)->stamp.incarnation;
	w->offers[w->offer_count++] = offer;
}

static void store_answer(struct world *w, enum tier_flight_state state)
{
	struct tier_answer answer = {
		.stamp = {.incarnation = w->destination_incarnation, .generation = 1},
		.source_incarnation = 7,
		.state = state,
	};

	answer.stamp.sequence = w->answer_count + 1;
	w->answers[w->answer_count++] = answer;
}

static void effect(struct world *w, struct actor *actor)
{
	struct pending pending = actor->queue[0];

	memmove(actor->queue, actor->queue + 1, --actor->queued * sizeof(actor->queue[0]));
	switch (pending.op) {
	case OP_STORE_OFFER:
		store_offer(w, pending.state);
		break;
	case OP_STORE_ANSWER:
		store_answer(w, pending.state);
		break;
	case OP_PAUSE:
		w->running_source = false;
		break;
	case OP_RESUME:
		if (actor->source)
			w->running_source = w->process_source;
		else
			w->running_destination = w->process_destination;
		break;
	case OP_START_WAITING:
		w->process_destination = true;
		break;
	case OP_END:
		if (actor->source)
			w->process_source = w->running_source = false;
		else
			w->process_destination = w->running_destination = false;
		break;
	}
}

static void step_source(struct world *w)
{
	struct actor *a = &w->source;
	size_t n = seen(w, &w->answers_seen, w->answer_count);
	struct tier_handoff_view view = {
		.offer = own_offer(w),
		.answer = n ? &w->answers[n - 1] : NULL,
		.cancelled = chance(w, 1),
		.expired = chance(w, 1),
	};

	switch (tier_handoff_source(&view)) {
	case TIER_HANDOFF_MOVE:
		push(a, OP_PAUSE, 0);
		push(a, OP_STORE_OFFER, TIER_FLIGHT_PUBLISHED);
		break;
	case TIER_HANDOFF_COMMIT:
		push(a, OP_STORE_OFFER, TIER_FLIGHT_COMMITTED);
		break;
	case TIER_HANDOFF_ABORT:
	case TIER_HANDOFF_RESUME:
		push(a, OP_RESUME, 0);
		push(a, OP_STORE_OFFER, TIER_FLIGHT_ABORTED);
		break;
	case TIER_HANDOFF_RELEASE:
		push(a, OP_END, 0);
		push(a, OP_STORE_OFFER, TIER_FLIGHT_CLOSED);
		break;
	default:
		break;
	}
}

static void step_destination(struct world *w)
{
	struct actor *a = &w->destination;
	size_t n = seen(w, &w->offers_seen, w->offer_count);
	struct tier_handoff_view view = {
		.offer = &w->offers[n - 1],
		.answer = own_answer(w),
		.cancelled = chance(w, 1),
		.expired = chance(w, 1),
		.vm_gone = own_answer(w) && !w->process_destination,
	};

	if (!view.answer) {
		if (view.offer->state != TIER_FLIGHT_OFFERED)
			return;
		push(a, OP_START_WAITING, 0);
		push(a, OP_STORE_ANSWER, TIER_FLIGHT_READY);
		return;
	}
	switch (tier_handoff_destination(&view)) {
	case TIER_HANDOFF_FETCH:
		/* Verification may fail. */
		push(a, OP_STORE_ANSWER,
		     chance(w, 90) ? TIER_FLIGHT_ACCEPTED : TIER_FLIGHT_REFUSED);
		break;
	case TIER_HANDOFF_RUN:
		push(a, OP_STORE_ANSWER, TIER_FLIGHT_RUNNING);
		push(a, OP_RESUME, 0);
		push(a, OP_STORE_ANSWER, TIER_FLIGHT_DONE);
		break;
	case TIER_HANDOFF_DROP:
		push(a, OP_END, 0);
		break;
	case TIER_HANDOFF_REFUSE:
		push(a, OP_STORE_ANSWER, TIER_FLIGHT_REFUSED);
		push(a, OP_END, 0);
		break;
	default:
		break;
	}
}

/* A person, or a restarted tool, brings the source's VM back if the records allow it. */
static void recover_source(struct world *w)
{
	struct tier_offer *offer = own_offer(w);

	if (w->running_source || !w->process_source)
		return;
	if (!tier_handoff_source_may_run(offer, own_answer(w)))
		return;
	push(&w->source, OP_RESUME, 0);
	if (offer->state != TIER_FLIGHT_ABORTED)
		push(&w->source, OP_STORE_OFFER, TIER_FLIGHT_ABORTED);
}

static void recover_destination(struct world *w)
{
	struct tier_answer *answer = own_answer(w);

	if (answer && !w->running_destination && w->process_destination &&
	    tier_handoff_destination_may_run(own_offer(w), answer))
		push(&w->destination, OP_RESUME, 0);
}

static const char *broken(const struct world *w)
{
	return w->running_source && w->running_destination ? "the VM runs on both hosts" : NULL;
}

static void act(struct world *w, struct actor *actor)
{
	if (actor->suspended) {
		actor->suspended--;
		return;
	}
	if (chance(w, 2))
		actor->suspended = (unsigned)(next_random(w) % 60);
	if (!actor->crashed && chance(w, 1)) {
		actor->crashed = true;
		actor->queued = 0;
	}
	if (actor->crashed && actor->queued == 0) {
		/* Only once in a while does somebody look after a crashed tool. */
		if (chance(w, 10)) {
			if (actor->source)
				recover_source(w);
			else
				recover_destination(w);
		}
		if (actor->queued == 0)
			return;
	}
	if (actor->queued) {
		effect(w, actor);
		return;
	}
	if (actor->source)
		step_source(w);
	else
		step_destination(w);
}

static const char *settle(struct world *w)
{
	struct tier_answer *answer = own_answer(w);
	bool whole_in_portal;

	/* What has been decided is carried out; then the operator looks. */
	w->source.crashed = w->destination.crashed = true;
	w->source.queued = w->destination.queued = 0;
	recover_source(w);
	recover_destination(w);
	while (w->source.queued)
		effect(w, &w->source);
	while (w->destination.queued)
		effect(w, &w->destination);
	if (broken(w))
		return broken(w);
	if (w->running_source || w->running_destination)
		return NULL;
	whole_in_portal = own_offer(w)->state == TIER_FLIGHT_COMMITTED &&
			  (!answer || answer->state != TIER_FLIGHT_REFUSED);
	return whole_in_portal ? NULL : "the VM runs nowhere and is not whole in the portal";
}

static const char *run_seed(uint64_t seed, unsigned outcomes[3])
{
	struct world w = {
		.seed = seed,
		.random = seed,
		.source = {.source = true},
		.running_source = true,
		.process_source = true,
		.destination_incarnation = 9,
	};
	const char *failure = NULL;

	w.offers[w.offer_count++] = (struct tier_offer){
		.stamp = {.incarnation = 7, .generation = 1},
		.state = TIER_FLIGHT_OFFERED,
	};
	for (int step = 0; step < STEPS && !failure; step++) {
		act(&w, chance(&w, 50) ? &w.source : &w.destination);
		failure = broken(&w);
	}
	failure = failure ?: settle(&w);
	outcomes[w.running_source ? 0 : w.running_destination ? 1 : 2]++;
	return failure;
}

int main(void)
{
	const char *one = getenv("TIER_SIM_SEED"), *many = getenv("TIER_SIM_SEEDS");
	const char *from = getenv("TIER_SEED");
	uint64_t first = one ? strtoull(one, NULL, 0) : from ? strtoull(from, NULL, 0) : 1;
	uint64_t count = one ? 1 : many ? strtoull(many, NULL, 0) : 20000;
	unsigned outcomes[3] = {};

	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *failure = run_seed(seed, outcomes);

		if (failure) {
			printf("not ok - TIER_SIM_SEED=%" PRIu64 ": %s\n", seed, failure);
			return 1;
		}
	}
	/* A simulation that never gets anywhere proves nothing. */
	if (!one && (outcomes[0] == 0 || outcomes[1] == 0 || outcomes[2] == 0)) {
		printf("not ok - an outcome was never reached: %u source, %u destination, %u "
		       "portal\n",
		       outcomes[0], outcomes[1], outcomes[2]);
		return 1;
	}
	printf("ok - %" PRIu64 " seeds from %" PRIu64
	       ": %u on the source, %u on the destination, %u in the portal\n",
	       count, first, outcomes[0], outcomes[1], outcomes[2]);
	return 0;
}

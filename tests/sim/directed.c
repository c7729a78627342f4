/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same without lots: a flight in which everybody acts in turn is played again and again, and each
 * time one thing happens before or after one of the flushes of its hosts, until every flush has had
 * everything. What must hold is what must hold under disorder (world.c, settle.c), and more: the next
 * flight arrives, no VM ends that a crash has not ended, none waits for a host that has been fenced.
 *
 * TIER_SIM_CASE=N plays one of them, TIER_SIM_TRACE=1 tells it; TIER_SIM_EVERY=N plays every Nth, from
 * TIER_SEED on.
 */
#include <stdlib.h>

#include "hosts.h"

#define TURNS	    400 /* that a flight may take */
#define ACTS	    200 /* that may come of a blow */
#define BEAT_ROUNDS 6
#define IDLE	    (2 + HOSTS * BEAT_ROUNDS) /* turns in which everybody has looked at everything */
#define MAX_TURNS   40
#define ALL_LINES   UINT64_MAX

/* ---- blows: what happens at one flush ---- */

enum kind { CRASH, KILL, SUSPEND, CANCEL, NO_KIND };

/* What becomes of a host that has crashed; what happens while one is suspended. */
enum sequel {
	BACK,	      /* it boots again when the others have acted */
	GONE,	      /* it does not: its peer fences it */
	BOTH_GONE,    /* and its peer crashes: the third host fences both */
	PATIENT,      /* the others act */
	IMPATIENT,    /* their deadlines pass as well */
	TAKEN_FOR_OFF /* its peer fences it, and the agent is wrong */
};

static const char *const kinds[] = {"crash", "tool killed", "suspension", "cancellation"};
static const char *const sequels[] = {
	"it boots again",     "it is fenced",	    "both are fenced",
	"the others wait on", "the others give up", "it is fenced, and not off",
};

struct blow {
	uint64_t flush; /* since the flight began, from 1; 0: none */
	bool after;
	enum kind kind;
	uint64_t lines; /* of those that were not flushed: these reach the memory all the same */
	enum sequel sequel;
	bool cancelled; /* and whose tool is left is told to end it */
};

/* The one that is played; stall() has no arguments of its own. */
static const struct blow *current;
static unsigned turns, idle;
static uint64_t cases, played, only, every, offset;
static unsigned some_turns;

static struct host *peer_of(const struct host *host)
{
	return &w.hosts[number(host) == A ? B : A];
}

static void orderly_turn(void)
{
	struct host *host = &w.hosts[turns % HOSTS];
	bool beat = turns / HOSTS % BEAT_ROUNDS == 0;
	uint64_t flushes = memory.flushes;

	turns++;
	idle++;
	if (!host->up && w.calm)
		boot(host);
	if (!host->up || host->suspended)
		return;
	if (host->process == PROCESS_RUNNING && !host->lied_about)
		host->version = ++w.newest;
	if (beat)
		guarded(host, serve_home);
	else if (host->carrier.on)
		guarded(host, advance);
	else
		daemon_turn(host);
	/* Its beat is two copies of two flushes each. */
	if (memory.flushes - flushes > (beat ? 4 : 0) || (host->carrier.on && host->carrier.plan))
		idle = 0;
	check_runners();
}

/* Until nothing comes of it any more. */
static void let_act(void)
{
	idle = 0;
	for (unsigned i = 0; i < ACTS && idle < IDLE && !w.failure; i++)
		w.turn();
}

/* The host that flushes stops where it is; it goes on when this returns. */
static void stall(unsigned number_of)
{
	struct host *host = &w.hosts[number_of];

	if (current->cancelled)
		w.cancelled = true;
	if (current->kind != SUSPEND)
		return;
	trace("host %u: is suspended", number_of);
	host->suspended = true;
	if (current->sequel == TAKEN_FOR_OFF) {
		w.agent = AGENT_LIES;
		fence(peer_of(host), number_of);
		w.agent = AGENT_CUTS;
	}
	w.expired = current->sequel == IMPATIENT;
	let_act();
	idle = 0;
	w.expired = false;
	host->suspended = false;
	trace("host %u: wakes up", number_of);
}

static void check_fenced(const struct host *host)
{
	/* It has beaten since, and read that it is fenced. */
	if (host->lied_about && host->process != PROCESS_NONE)
		fail("host %u is fenced, and its VM stays", number(host));
}

/* What comes of the blow, once its host has been struck. */
static void go_on(const struct blow *blow)
{
	struct host *host = &w.hosts[memory.fault_host];

	w.cancelled = w.cancelled || blow->cancelled;
	let_act();
	if (blow->kind == SUSPEND && blow->sequel == TAKEN_FOR_OFF) {
		check_fenced(host);
		/* Whoever finds out resets it. What it ran may have ended with it. */
		crash(host);
		w.dead = false;
		w.excused = true;
	}
	if (blow->kind == CRASH && blow->sequel == BACK)
		boot(host);
	if (blow->kind == CRASH && blow->sequel == GONE)
		fence(peer_of(host), number(host));
	if (blow->kind == CRASH && blow->sequel == BOTH_GONE) {
		fences(&w.hosts[C], host);
		fences(&w.hosts[C], peer_of(host));
	}
	let_act();
	if (blow->kind == CRASH && blow->sequel != BACK && !w.failure) {
		check_fenced_off();
	}
}

/* The flight needs an extent of its destination, which grants it. */
static void retire_most(void)
{
	struct host *host = &w.hosts[A];
	const struct tier_portal_slot *home = &w.super.hosts[A];

	for (uint32_t i = 1; i < home->extent_count; i++) {
		struct tier_extent_record record = {
			.stamp = {.incarnation = host->incarnation, .generation = 1},
			.extent = home->first_extent + i,
			.state = TIER_EXTENT_RETIRED,
		};

		if (tier_portal_write_extent(&host->portal, &record) != 0)
			fail("cannot retire extent %u", record.extent);
	}
}

/* A host that may have had it crashes; the third never has it, unless something else happens. */
static bool may_end(const struct course *course, const struct blow *blow)
{
	return course->happens || (blow->flush && blow->kind == CRASH && memory.fault_host != C) ||
	       (blow->kind == SUSPEND && blow->sequel == TAKEN_FOR_OFF);
}

/* Plays a course, with a blow; @ret_first: flushes before what happens anyway. Return: all of them. */
static uint64_t play(const struct course *course, const struct blow *blow, uint64_t *ret_first)
{
	uint32_t offerer, slot;
	struct tier_offer offer;
	uint64_t first, flushes;
	bool happened = course->happens == NULL, gone_on = blow->flush == 0;

	world_new(1, orderly_turn);
	w.directed = true;
	w.some_turns = some_turns;
	turns = idle = 0;
	current = blow;
	retire_most();
	first = memory.flushes;
	if (blow->flush) {
		memory.fault_at = first + blow->flush;
		memory.fault_after = blow->after;
		memory.fault = blow->kind == CRASH  ? FAULT_CRASH
			       : blow->kind == KILL ? FAULT_KILL
						    : FAULT_STALL;
		memory.chosen = true;
		memory.fault_spilled = blow->lines;
		memory.stall = stall;
	}
	maybe_begin(B);
	for (unsigned i = 0; i < TURNS && idle < IDLE && !w.failure; i++) {
		w.turn();
		if (!happened && find_open(&offerer, &slot, &offer) &&
		    offer.state == course->when) {
			happened = true;
			if (ret_first)
				*ret_first = memory.flushes - first;
			course->happens();
		}
		if (memory.struck && !gone_on) {
			gone_on = true;
			go_on(blow);
		}
		if (at_rest())
			break;
	}
	flushes = memory.flushes - first;
	if (!w.failure && blow->flush && !memory.struck)
		fail("the flush is not reached");
	else if (!w.failure && !happened && !blow->flush)
		fail("the offer is never %s", tier_flight_state_name(course->when));
	memory.fault_at = 0;
	if (!w.failure)
		settle();
	if (!w.failure && !blow->flush)
		check_copies();
	if (!w.failure && w.dead && !may_end(course, blow))
		fail("the VM has ended, and no host that could run it crashed");
	if (!w.failure)
		w.outcomes[w.dead ? ENDED : runner() == &w.hosts[A] ? STAYED : MOVED]++;
	if (!w.failure)
		next_flight();
	return flushes;
}

/* Return: it has failed, and told so. */
static bool fails(const struct course *course, const struct blow *blow, size_t *ret_lines)
{
	bool told = tracing;

	cases++;
	/* One without any line that reaches the memory says how many there are. */
	if (!ret_lines && (only ? cases != only : (cases + offset) % every != 0))
		return false;
	played++;
	tracing = told && (!only || cases == only);
	play(course, blow, NULL);
	tracing = told;
	if (ret_lines)
		*ret_lines = memory.fault_lines;
	if (!w.failure || (only && cases != only))
		return false;
	printf("not ok - TIER_SIM_CASE=%" PRIu64 ", %s; at flush %" PRIu64 ", %s it: %s of host %u",
	       cases, course->name, blow->flush, blow->after ? "after" : "before",
	       kinds[blow->kind], memory.fault_host);
	if (blow->kind == CRASH || blow->kind == SUSPEND)
		printf(", %s", sequels[blow->sequel]);
	if (blow->cancelled)
		printf(", cancelled");
	printf(", lines %#" PRIx64
	       " reach the memory: %s (again with TIER_SIM_TRACE=1: what happened)\n",
	       blow->lines, w.failure);
	return true;
}

/* A crash, or the end of its tool, with these lines. Return: something has failed. */
static bool strike_lines(const struct course *course, uint64_t flush, bool after, uint64_t lines)
{
	/* One alone is one of many that tear a record. */
	bool alone = lines != 0 && lines != ALL_LINES;
	struct blow blow = {flush, after, CRASH, lines, BACK, false};

	for (enum sequel sequel = BACK; sequel <= BOTH_GONE; sequel++)
		for (unsigned cancelled = 0; cancelled < 2; cancelled++) {
			if ((sequel != BACK && course->how != THOROUGH) ||
			    (cancelled && (course->how != THOROUGH || alone)) ||
			    (sequel == BOTH_GONE && memory.fault_host == C))
				continue;
			blow.sequel = sequel;
			blow.cancelled = cancelled != 0;
			if (fails(course, &blow, NULL))
				return true;
		}
	blow.kind = KILL;
	blow.sequel = BACK;
	blow.cancelled = false;
	if (fails(course, &blow, NULL))
		return true;
	blow.cancelled = true;
	return course->how == THOROUGH && !alone && fails(course, &blow, NULL);
}

/* Everything that may happen at one flush. */
static bool strike_at(const struct course *course, uint64_t flush, bool after)
{
	struct blow blow = {flush, after, CRASH, 0, BACK, false};
	size_t lines = 0;

	if (fails(course, &blow, &lines) || strike_lines(course, flush, after, 0))
		return true;
	for (size_t line = 0; course->how == THOROUGH && line < lines; line++)
		if (strike_lines(course, flush, after, UINT64_C(1) << line))
			return true;
	/* After the flush there is none. */
	if (lines && strike_lines(course, flush, after, ALL_LINES))
		return true;
	blow.kind = SUSPEND;
	for (blow.sequel = PATIENT; blow.sequel <= TAKEN_FOR_OFF; blow.sequel++) {
		blow.cancelled = false;
		if (fails(course, &blow, NULL))
			return true;
		blow.cancelled = true;
		if (course->how == THOROUGH && fails(course, &blow, NULL))
			return true;
	}
	blow.kind = CANCEL;
	return fails(course, &blow, NULL);
}

/* Return: something has failed. */
static bool run_timed(const struct course *course)
{
	static const struct blow none;
	bool told = tracing;

	tracing = told && !only;
	for (some_turns = 0; some_turns <= MAX_TURNS; some_turns++) {
		play(course, &none, NULL);
		if (!w.failure)
			continue;
		printf("not ok - TIER_SIM_CASE=0, %s after %u turns: %s\n", course->name,
		       some_turns, w.failure);
		return true;
	}
	some_turns = 0;
	tracing = told;
	return false;
}

static bool run_course(const struct course *course)
{
	static const struct blow none;
	uint64_t first = 0, flushes, before = cases;
	bool told = tracing;

	tracing = told && !only;
	flushes = play(course, &none, &first);
	tracing = told;
	if (w.failure) {
		printf("not ok - TIER_SIM_CASE=0, %s: %s\n", course->name, w.failure);
		return true;
	}
	for (uint64_t flush = first + 1; flush <= flushes; flush++)
		if (strike_at(course, flush, false) || strike_at(course, flush, true))
			return true;
	printf("# %s: %" PRIu64 " flushes, %" PRIu64 " cases\n", course->name, flushes - first,
	       cases - before);
	return false;
}

int run_directed(void)
{
	const char *one = getenv("TIER_SIM_CASE"), *step = getenv("TIER_SIM_EVERY");
	const char *seed = getenv("TIER_SEED");

	every = step ? strtoull(step, NULL, 0) : 1;
	every = every ?: 1;
	offset = seed ? strtoull(seed, NULL, 0) : 0;
	only = one ? strtoull(one, NULL, 0) : 0;
	for (const struct course *course = courses; course->name; course++)
		if (course->how == TIMED ? run_timed(course) : run_course(course))
			return 1;
	printf("# moved: %u, stayed: %u, ended: %u, inherited: %u\n", w.outcomes[MOVED],
	       w.outcomes[STAYED], w.outcomes[ENDED], w.outcomes[HEIRED]);
	if (only && only > cases) {
		printf("not ok - there are %" PRIu64 " cases\n", cases);
		return 1;
	}
	printf("ok - something at each flush, %" PRIu64 " of %" PRIu64 " cases\n",
	       only ? 1 : played, cases);
	return 0;
}

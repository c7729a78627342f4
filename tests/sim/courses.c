/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may happen to a flight from A to B before anything strikes a flush of it. */
#include "hosts.h"

void fences(struct host *host, struct host *target)
{
	crash(target);
	fence(host, number(target));
}

static void is_cancelled(void)
{
	w.cancelled = true;
}

static void source_process_is_killed(void)
{
	w.cancelled = true;
	process_dies(&w.hosts[A], "QEMU is killed");
}

static void source_is_fenced(void)
{
	fences(&w.hosts[C], &w.hosts[A]);
}

static void source_boots(void)
{
	crash(&w.hosts[A]);
	boot(&w.hosts[A]);
}

static void destination_boots(void)
{
	crash(&w.hosts[B]);
	boot(&w.hosts[B]);
}

static void destination_is_fenced(void)
{
	fences(&w.hosts[A], &w.hosts[B]);
}

/* The others act, and for so long one host does not. */
static void stops(struct host *host)
{
	host->suspended = true;
	for (unsigned i = 0; i < 20 * HOSTS && !w.failure; i++)
		w.turn();
	host->suspended = false;
}

static void fence_by(enum agent agent, struct host *host, struct host *target)
{
	w.agent = agent;
	fence(host, number(target));
	w.agent = AGENT_CUTS;
}

static void act_for_a_while(void)
{
	for (unsigned i = 0; i < w.some_turns && !w.failure; i++)
		w.turn();
}

static void source_is_reset(void)
{
	fence_by(AGENT_RESETS, &w.hosts[C], &w.hosts[A]);
	stops(&w.hosts[A]);
}

static void destination_is_reset(void)
{
	fence_by(AGENT_RESETS, &w.hosts[A], &w.hosts[B]);
	stops(&w.hosts[B]);
}

/* The fencer's INTENT is that of a boot that is over. */
static void fencer_boots(void)
{
	fence_by(AGENT_NEVER, &w.hosts[C], &w.hosts[A]);
	boot(&w.hosts[C]);
	source_is_reset();
}

/* The destination is at it since the first fence, which stands. */
static void next_fence_is_refused(void)
{
	source_is_fenced();
	act_for_a_while();
	boot(&w.hosts[A]);
	fence_by(AGENT_REFUSES, &w.hosts[C], &w.hosts[A]);
	stops(&w.hosts[B]);
}

/* The third host is at it since the first fence, whose heir it is, and stays. */
static void next_fence_is_by_another(void)
{
	source_boots();
	stops(&w.hosts[A]);
	source_is_fenced();
	act_for_a_while();
	boot(&w.hosts[A]);
	w.hosts[C].suspended = true;
	fences(&w.hosts[B], &w.hosts[A]);
	stops(&w.hosts[C]);
}

static void both_are_fenced(void)
{
	crash(&w.hosts[A]);
	crash(&w.hosts[B]);
	fence(&w.hosts[C], A);
	fence(&w.hosts[C], B);
}

static void process_is_killed(void)
{
	process_dies(&w.hosts[B], "QEMU is killed");
}

const struct course courses[] = {
	{"a fence resets its source", TIER_FLIGHT_PUBLISHED, source_is_reset, TIMED},
	{"a fence resets its destination", TIER_FLIGHT_COMMITTED, destination_is_reset, TIMED},
	{"a fencer boots again", TIER_FLIGHT_PUBLISHED, fencer_boots, TIMED},
	{"the next fence of its source is refused", TIER_FLIGHT_PUBLISHED, next_fence_is_refused,
	 TIMED},
	{"another fences its source next", TIER_FLIGHT_PUBLISHED, next_fence_is_by_another, TIMED},
	{"it arrives", TIER_FLIGHT_NONE, NULL, THOROUGH},
	{"it is cancelled", TIER_FLIGHT_PUBLISHED, is_cancelled, ONCE},
	{"it is cancelled, and its source's QEMU dies", TIER_FLIGHT_PUBLISHED,
	 source_process_is_killed, ONCE},
	{"its source boots again", TIER_FLIGHT_PUBLISHED, source_boots, ONCE},
	{"its source is fenced", TIER_FLIGHT_PUBLISHED, source_is_fenced, ONCE},
	{"its destination boots again", TIER_FLIGHT_COMMITTED, destination_boots, ONCE},
	{"its destination is fenced", TIER_FLIGHT_COMMITTED, destination_is_fenced, ONCE},
	{"its destination's QEMU dies", TIER_FLIGHT_COMMITTED, process_is_killed, ONCE},
	{"both are fenced", TIER_FLIGHT_COMMITTED, both_are_fenced, ONCE},
	{},
};

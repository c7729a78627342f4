/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hand-off under seeded disorder: three hosts, the real tables and the real records over one
 * array of bytes (memory.c), one VM that flies to and fro. Tools are killed and suspended at any
 * step and in the middle of any store, hosts crash and boot again, QEMUs die, steps fail, hosts fence
 * each other. After every step: one running VM at the most, none older than one that has run, extents
 * are one flight's. When the disorder ends, everything comes to an end: the VM is in one place, or has
 * ended with what ran it, extents are free, and the next flight works.
 *
 * usage: sim-handoff [FORMER | --directed]
 *
 * FORMER is a file of seeds that are run first. TIER_SIM_SEEDS=N runs N seeds from TIER_SEED on,
 * TIER_SIM_SEED=S runs one, TIER_SIM_TRACE=1 tells it.
 */
#include <stdlib.h>

#include "hosts.h"

static void closep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static void disturb(struct host *host)
{
	switch (sim_random() % 9) {
	case 0:
		if (host->carrier.on) {
			trace("host %u: its tool is killed", number(host));
			host->carrier.on = false;
			w.outcomes[KILLED]++;
		}
		break;
	case 1:
		host->carrier.suspended = !host->carrier.suspended;
		break;
	case 2:
		crash(host);
		break;
	case 3:
		if (host->process != PROCESS_NONE)
			process_dies(host, "QEMU is killed");
		break;
	case 4:
		host->suspended = !host->suspended;
		break;
	case 5:
		fence(&w.hosts[sim_random() % HOSTS], number(host));
		break;
	default:
		/* In the middle of one of the next stores. */
		memory.fault_at = memory.flushes + 1 + sim_random() % 12;
		memory.fault_after = chance(500);
		memory.fault = chance(500) ? FAULT_KILL : FAULT_CRASH;
	}
}

static void turn(void)
{
	struct host *host = &w.hosts[sim_random() % HOSTS];

	if (!w.calm && chance(25))
		disturb(&w.hosts[sim_random() % HOSTS]);
	if (chance(100))
		memory_evict((unsigned)(sim_random() % HOSTS));
	if (!host->up) {
		if (w.calm || chance(60))
			boot(host);
		return;
	}
	if (host->suspended && !w.calm) {
		host->suspended = !chance(50);
		return;
	}
	if (host->process == PROCESS_RUNNING) {
		host->version = ++w.newest;
	}
	if (chance(150))
		guarded(host, serve_home);
	else if (host->up && host->carrier.on && (!host->carrier.suspended || w.calm))
		guarded(host, advance);
	else if (host->up && !host->carrier.on && chance(400))
		daemon_turn(host);
	check_runners();
}

static void run_seed(uint64_t seed)
{
	world_new(seed, turn);
	for (unsigned i = 0; i < STEPS && !w.failure; i++) {
		if (chance(80))
			maybe_begin(TIER_PORTAL_NO_HOST);
		if (chance(20))
			start_anew();
		turn();
	}
	if (!w.failure)
		settle();
	if (!w.failure && w.dead)
		w.outcomes[ENDED]++;
	if (!w.failure)
		next_flight();
}

/* Is there a failure? Then it has been told, and how to see it again. */
static bool fails(uint64_t seed)
{
	run_seed(seed);
	if (!w.failure)
		return false;
	printf("not ok - TIER_SIM_SEED=%" PRIu64
	       ": %s (again with TIER_SIM_TRACE=1: what happened; "
	       "mended: add it to tests/sim/seeds)\n",
	       seed, w.failure);
	return true;
}

/* Seeds that have failed once: a number each, and what it was. */
static int run_former(const char *path)
{
	_cleanup_(closep) FILE *file = fopen(path, "re");
	char line[256], *end;
	unsigned count = 0;

	if (!file) {
		printf("not ok - %s: cannot read former failures: %m\n", path);
		return 1;
	}
	while (fgets(line, sizeof(line), file)) {
		uint64_t seed;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		errno = 0;
		seed = strtoull(line, &end, 10);
		if (end == line || errno || (*end != ' ' && *end != '\n')) {
			printf("not ok - %s: not a seed: %s", path, line);
			return 1;
		}
		if (fails(seed))
			return 1;
		count++;
	}
	if (count == 0) {
		printf("not ok - %s: no seed in it\n", path);
		return 1;
	}
	printf("ok - %u former failures\n", count);
	return 0;
}

static int run_seeds(const char *former)
{
	static const char *const outcome_names[] = {"moved",	    "stayed",	    "ended",
						    "taken",	    "inherited",    "fenced",
						    "tools killed", "hosts crashed"};
	const char *one = getenv("TIER_SIM_SEED"), *many = getenv("TIER_SIM_SEEDS");
	const char *from = getenv("TIER_SEED");
	uint64_t first = one ? strtoull(one, NULL, 0) : from ? strtoull(from, NULL, 0) : 1;
	uint64_t count = one ? 1 : many ? strtoull(many, NULL, 0) : 10000;

	static_assert(ARRAY_SIZE(outcome_names) == ARRAY_SIZE(w.outcomes));
	if (!one && former && run_former(former) != 0)
		return 1;
	for (uint64_t seed = first; seed < first + count; seed++)
		if (fails(seed))
			return 1;
	for (unsigned i = 0; i < ARRAY_SIZE(outcome_names); i++) {
		printf("# %s: %u\n", outcome_names[i], w.outcomes[i]);
		/* A simulation that never gets anywhere proves nothing. One in 500 seeds is inherited. */
		if (!one && count >= (i == HEIRED ? 10000 : 1000) && w.outcomes[i] == 0) {
			printf("not ok - never reached: %s\n", outcome_names[i]);
			return 1;
		}
	}
	printf("ok - %" PRIu64 " seeds from %" PRIu64 "\n", count, first);
	return 0;
}

int main(int argc, char *argv[])
{
	static const char *const names[] = {"A", "B", "C"};
	struct tier_uuid uuid = {{1}};
	int r;

	tracing = getenv("TIER_SIM_TRACE") != NULL;
	if (tier_super_plan("sim", names, HOSTS, 2 * GIB, 128 * MIB, &uuid, &w.super, NULL) != 0 ||
	    w.super.extent_count != EXTENTS) {
		printf("not ok - no such portal\n");
		return 1;
	}
	memory_new(&w.super);
	r = argc > 1 && streq(argv[1], "--directed") ? run_directed() : run_seeds(argv[1]);
	world_free();
	return r;
}

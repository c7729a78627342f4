/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hand-off under seeded disorder: three hosts, the real tables and the real records over one
 * array of bytes (memory.c), one VM that flies to and fro. Tools are killed and suspended at any
 * step and in the middle of any store, hosts crash and boot again, QEMUs die, steps fail, hosts fence
 * each other. After every step: one running VM at the most, none older than one that has run, extents
 * are one flight's. When the disorder ends, everything comes to an end: the VM is in one place, or has
 * ended with what ran it, extents are free, and the next flight works.
 *
 * TIER_SIM_SEEDS=N runs N seeds from TIER_SEED on, TIER_SIM_SEED=S runs one, TIER_SIM_TRACE=1 tells it.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "hosts.h"

struct world w;
static bool tracing;

void trace(const char *format, ...)
{
	va_list arguments;

	if (!tracing)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void fail(const char *format, ...)
{
	va_list arguments;

	if (w.failure)
		return;
	va_start(arguments, format);
	vsnprintf(w.text, sizeof(w.text), format, arguments);
	va_end(arguments);
	w.failure = w.text;
	trace("VIOLATION: %s", w.text);
}

unsigned number(const struct host *host)
{
	return (unsigned)(host - w.hosts);
}

uint64_t tag(const struct tier_uuid *flight)
{
	uint64_t value;

	memcpy(&value, flight->bytes, sizeof(value));
	return value;
}

static bool open_offer(enum tier_flight_state state)
{
	return state != TIER_FLIGHT_NONE && state != TIER_FLIGHT_ABORTED &&
	       state != TIER_FLIGHT_CLOSED;
}

/* The one flight that is open, if one is. */
static bool find_open(uint32_t *ret_host, uint32_t *ret_slot, struct tier_offer *ret)
{
	for (*ret_host = 0; *ret_host < HOSTS; ++*ret_host)
		for (*ret_slot = 0; *ret_slot < 2; ++*ret_slot)
			if (tier_portal_read_offer(&w.oracle, *ret_host, *ret_slot, ret) == 0 &&
			    open_offer(ret->state))
				return true;
	return false;
}

bool lists(const struct tier_offer *offer, uint32_t extent)
{
	for (uint32_t i = 0; i < offer->range_count; i++)
		if (extent - offer->ranges[i].first < offer->ranges[i].count)
			return true;
	return false;
}

static void check_runners(void)
{
	unsigned running = 0;

	for (unsigned i = 0; i < HOSTS; i++)
		running += w.hosts[i].process == PROCESS_RUNNING;
	if (running > 1)
		fail("the VM runs on %u hosts", running);
	if (running && w.dead)
		fail("the VM runs though it has ended");
}

/* The process of the VM on this host is gone, by a fault. */
static void process_dies(struct host *host, const char *why)
{
	enum process was = host->process;
	uint32_t offerer, slot;
	struct tier_offer offer;
	struct tier_answer answer = {};

	host->process = PROCESS_NONE;
	if (was == PROCESS_RUNNING) {
		w.dead = true;
	} else if (was == PROCESS_STOPPED) {
		/* Stopped by a flight: whole in the portal, or its host's own until then. */
		if (!find_open(&offerer, &slot, &offer) ||
		    /* It was about to be resumed. */
		    (host->carrier.on && host->carrier.plan &&
		     (host->carrier.action == TIER_HANDOFF_WITHDRAW ||
		      (host->carrier.action == TIER_HANDOFF_TAKE && host->carrier.source) ||
		      host->carrier.action == TIER_HANDOFF_RUN)) ||
		    (offerer == number(host) && offer.state != TIER_FLIGHT_PUBLISHED &&
		     offer.state != TIER_FLIGHT_COMMITTED))
			w.excused = true;
		else if (offerer != number(host) &&
			 tier_portal_find_answer(&w.oracle, number(host), &offer, slot, &answer,
						 NULL) == 0 &&
			 answer.state == TIER_FLIGHT_RUNNING)
			w.excused = true;
	}
	trace("host %u: %s: its process was %d%s", number(host), why, was,
	      w.dead ? "; the VM has ended" : "");
}

static void crash(struct host *host)
{
	if (!host->up)
		return;
	host->up = host->suspended = false;
	host->carrier.on = false;
	host->open = 0;
	/* What it was storing has been stored, or not. */
	memory_lose(number(host));
	process_dies(host, "crash");
	w.outcomes[CRASHED]++;
}

static void guarded(struct host *host, void (*function)(struct host *host));

static void boot_now(struct host *host)
{
	struct tier_problem problem;
	struct tier_uuid boot;

	for (size_t i = 0; i < sizeof(boot.bytes); i++)
		boot.bytes[i] = (uint8_t)(sim_random() | 1);
	if (tier_portal_arrive(&host->portal, number(host), &boot, &host->record, &problem) != 0 ||
	    tier_portal_beat(&host->portal, number(host), &host->record, &problem) != 0)
		fail("host %u cannot arrive: %s", number(host), problem.text);
	host->incarnation = host->record.stamp.incarnation;
	trace("host %u: boot %" PRIu64, number(host), host->incarnation);
}

static void boot(struct host *host)
{
	host->up = true;
	host->incarnation = 0;
	guarded(host, boot_now);
	/* Its daemon starts again until it has arrived. */
	while (host->up && host->incarnation == 0)
		guarded(host, boot_now);
}

/* Runs what may be struck in the middle of a store. */
static void guarded(struct host *host, void (*function)(struct host *host))
{
	jmp_buf escape, *volatile before = memory.escape;
	struct host *struck;

	memory.escape = &escape;
	if (setjmp(escape) == 0) {
		function(host);
		memory.escape = before;
		return;
	}
	memory.escape = before;
	memory.fault_at = 0;
	struck = &w.hosts[memory.fault_host];
	trace("host %u: struck %s flush %" PRIu64, memory.fault_host,
	      memory.fault_after ? "after" : "before", memory.flushes);
	if (memory.fault == FAULT_CRASH) {
		crash(struck);
	} else {
		struck->carrier.on = false;
		w.outcomes[KILLED]++;
	}
}

/* ---- what daemons do -------------------------------------------------------------------------- */

static int zero_extent(void *userdata, uint32_t extent, struct tier_problem *problem)
{
	uint32_t offerer, slot;
	struct tier_offer offer;

	if (find_open(&offerer, &slot, &offer) && lists(&offer, extent))
		fail("extent %u is zeroed under an open flight", extent);
	for (unsigned i = 0; i < HOSTS; i++)
		if (w.hosts[i].open & 1u << extent)
			fail("extent %u is zeroed while host %u has it open", extent, i);
	w.content[extent] = 0;
	return 0;
}

/* A fault leaves serve_home() by a jump: what it had is freed by its next call. */
static struct tier_home_task *tasks;

static void serve_home(struct host *host)
{
	struct tier_handoff_view view = {.self = number(host), .incarnation = host->incarnation};
	size_t count;

	free(tasks);
	tasks = NULL;

	if (tier_portal_beat(&host->portal, number(host), &host->record, NULL) != 0 ||
	    tier_portal_look_hosts(&host->portal, &view) != 0)
		return;
	/* A host that finds itself fenced ends its VM, and does nothing else. */
	if (tier_handoff_dead(&view, number(host), host->incarnation))
		return;
	if (tier_portal_home_look(&host->portal, number(host), &view, (1u << HOSTS) - 1, &tasks,
				  &count, NULL) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		struct tier_home_task task = tasks[i];

		tier_portal_home_perform(&host->portal, host->incarnation, &task, zero_extent, NULL,
					 NULL);
	}
}

static struct tier_uuid beginning;
static uint32_t beginning_to;

/* BeginFlight: the slot is taken before extents are asked for. */
static void begin_flight(struct host *host)
{
	struct tier_offer last, offer = {
					.flight = beginning,
					.source = number(host),
					.destination = beginning_to,
					.state = TIER_FLIGHT_REQUESTED,
					.vm = "demo",
					.ram_bytes = 128 * MIB,
					.page_bytes = 4096,
					.wanted_extents = WANTED,
					.source_incarnation = host->incarnation,
					.stamp = {host->incarnation, 1, 0},
				};
	uint32_t slot = (uint32_t)(w.flights % 2);

	if (tier_portal_read_offer(&host->portal, number(host), slot, &last) == 0)
		offer.stamp.generation = last.stamp.generation + 1;
	if (tier_portal_write_offer(&host->portal, slot, &offer) != 0)
		fail("cannot reserve a slot");
	host->carrier = (struct carrier){.on = true,
					 .source = true,
					 .offerer = number(host),
					 .slot = slot,
					 .flight = beginning};
	trace("host %u: flight to %u begins", number(host), beginning_to);
}

/* A tool that carries a flight on: the one of its destination, or whoever finds it lying about. */
static void attend(struct host *host, uint32_t offerer, uint32_t slot,
		   const struct tier_uuid *flight, bool orphan)
{
	struct tier_handoff_view view = {.self = number(host)};
	struct carrier *c = &host->carrier;

	if (c->on || tier_portal_look(&host->portal, offerer, slot, flight, &view) != 0)
		return;
	*c = (struct carrier){.on = true,
			      .source = offerer == number(host),
			      .offerer = offerer,
			      .slot = slot,
			      .flight = *flight,
			      .orphan = orphan,
			      .answer_slot = (uint32_t)(w.flights % 3)};
	c->view.recovering = orphan;
	if (view.answers[number(host)].state != TIER_FLIGHT_NONE)
		c->answer_slot = view.answer_slots[number(host)];
}

static uint32_t attended_host, attended_slot;
static struct tier_uuid attended_flight;
static bool attended_orphan;

static void attend_now(struct host *host)
{
	attend(host, attended_host, attended_slot, &attended_flight, attended_orphan);
}

static void daemon_turn(struct host *host)
{
	struct tier_offer offer;

	if (!find_open(&attended_host, &attended_slot, &offer)) {
		/* What is left of a flight that has ended elsewhere. */
		if (host->process != PROCESS_WAITING && host->process != PROCESS_STOPPED)
			return;
		for (attended_slot = 0; attended_slot < 3; attended_slot++) {
			struct tier_answer answer;

			if (tier_portal_read_answer(&host->portal, number(host), attended_slot,
						    &answer) != 0 ||
			    (answer.state != TIER_FLIGHT_READY &&
			     answer.state != TIER_FLIGHT_ACCEPTED))
				continue;
			attended_host = answer.source;
			attended_slot = answer.source_slot;
			attended_flight = answer.flight;
			attended_orphan = true;
			guarded(host, attend_now);
			return;
		}
		/* Started for a flight, and never announced: its tool died before READY. */
		if (host->process == PROCESS_WAITING)
			host->process = PROCESS_NONE;
		return;
	}
	attended_flight = offer.flight;
	attended_orphan = !(offer.destination == number(host) &&
			    offer.state == TIER_FLIGHT_OFFERED && chance(500));
	guarded(host, attend_now);
}

/* ---- fencing ---------------------------------------------------------------------------------- */

static uint32_t fence_target;
static void turn(void);

static int power_off(void *userdata, const struct tier_fence_record *intent,
		     struct tier_problem *problem)
{
	struct host *target = &w.hosts[fence_target];

	/* The agent takes its time, and the others theirs. */
	for (unsigned i = 0; i < sim_random() % 12 && !w.failure; i++)
		turn();
	if (w.calm || chance(300))
		return TIER_E_REFUSED;
	crash(target);
	/* Some agents switch it on again. */
	if (chance(500))
		boot(target);
	for (unsigned i = 0; i < sim_random() % 8 && !w.failure; i++)
		turn();
	return 0;
}

static void fence_now(struct host *host)
{
	struct tier_fencing fencing = {
		.host = number(host),
		.target = fence_target,
		.heir = TIER_PORTAL_NO_HOST,
		.incarnation = host->incarnation,
		.method = TIER_FENCE_METHOD_AGENT,
		.end = power_off,
	};
	struct tier_fence_record record;
	struct tier_problem problem = {};
	int r = tier_portal_fence(&host->portal, &fencing, &record, &problem);

	trace("host %u: fences %u: %d %s", number(host), fence_target, r, problem.text);
	if (r == 0)
		w.outcomes[FENCED]++;
}

static void fence(struct host *host, uint32_t target)
{
	if (w.fencing || !host->up || host->suspended || target == number(host))
		return;
	w.fencing = true;
	fence_target = target;
	guarded(host, fence_now);
	w.fencing = false;
}

/* ---- the run ---------------------------------------------------------------------------------- */

static struct host *runner(void)
{
	for (unsigned i = 0; i < HOSTS; i++)
		if (w.hosts[i].process == PROCESS_RUNNING)
			return &w.hosts[i];
	return NULL;
}

/* A VM that has ended is started anew, from its disk. */
static void start_anew(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;
	unsigned i = (unsigned)(sim_random() % HOSTS);

	if (!(w.dead || w.excused) || find_open(&offerer, &slot, &offer) || !w.hosts[i].up)
		return;
	for (unsigned h = 0; h < HOSTS; h++)
		if (w.hosts[h].process != PROCESS_NONE || w.hosts[h].carrier.on)
			return;
	w.dead = w.excused = false;
	w.hosts[i].process = PROCESS_RUNNING;
	w.hosts[i].version = w.newest;
	trace("host %u: the VM is started anew", i);
}

static void maybe_begin(void)
{
	struct host *from = runner();
	uint32_t offerer, slot;
	struct tier_offer offer;

	if (!from || !from->up || from->suspended || from->carrier.on ||
	    find_open(&offerer, &slot, &offer))
		return;
	w.flights++;
	for (size_t i = 0; i < sizeof(beginning.bytes); i++)
		beginning.bytes[i] = (uint8_t)sim_random();
	beginning.bytes[0] |= 1;
	beginning_to = (number(from) + 1 + (uint32_t)(sim_random() % 2)) % HOSTS;
	guarded(from, begin_flight);
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

static unsigned claimed(void)
{
	struct tier_extent_record record;
	unsigned count = 0;

	for (uint32_t e = 0; e < EXTENTS; e++)
		count += tier_portal_read_extent(&w.oracle, e, &record) == 0 &&
			 record.state != TIER_EXTENT_FREE;
	return count;
}

/* Nothing is left to be done. */
static bool at_rest(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;

	for (unsigned i = 0; i < HOSTS; i++)
		if (!w.hosts[i].up || w.hosts[i].carrier.on ||
		    w.hosts[i].process == PROCESS_WAITING || w.hosts[i].process == PROCESS_STOPPED)
			return false;
	return !find_open(&offerer, &slot, &offer) && !claimed();
}

/* Everybody is well, and whoever may do something does it. */
static void calm_down(unsigned turns)
{
	w.calm = true;
	memory.fault_at = 0;
	for (unsigned i = 0; i < HOSTS; i++)
		w.hosts[i].suspended = w.hosts[i].carrier.suspended = false;
	for (unsigned i = 0; i < turns && !w.failure; i++) {
		turn();
		if (i % 16 == 0 && at_rest())
			return;
	}
}

/* An INTENT whose tool has gone: its operator runs it again, and the agent refuses. */
static void end_intents(void)
{
	for (uint32_t host = 0; host < HOSTS; host++)
		for (uint32_t target = 0; target < HOSTS; target++) {
			struct tier_fence_record record;

			if (host != target &&
			    tier_portal_read_fence(&w.oracle, host, target, &record) == 0 &&
			    record.state == TIER_FENCE_INTENT)
				fence(&w.hosts[host], target);
		}
}

static void settle(void)
{
	uint32_t offerer, slot;
	struct tier_offer offer;
	unsigned places = 0;

	calm_down(300);
	end_intents();
	calm_down(1500);
	if (w.failure)
		return;
	for (unsigned i = 0; i < HOSTS; i++)
		places += w.hosts[i].process != PROCESS_NONE;
	w.dead = w.dead || (w.excused && places == 0);
	if (find_open(&offerer, &slot, &offer))
		fail("the flight from %u does not end: it stays %s", offerer,
		     tier_flight_state_name(offer.state));
	else if (!w.dead && (!runner() || places != 1))
		fail("the VM is lost: %u processes, %s", places,
		     runner() ? "one runs" : "none runs");
	else if (w.dead && places)
		fail("%u processes are left of a VM that has ended", places);
	else if (claimed())
		fail("%u extents are not free", claimed());
}

/* Without any fault it arrives. */
static void next_flight(void)
{
	struct host *from;

	for (unsigned i = 0; i < 2000 && !w.failure && w.dead; i++) {
		start_anew();
		turn();
	}
	from = runner();
	if (!from || w.failure)
		return;
	maybe_begin();
	for (unsigned i = 0; i < 3000 && !w.failure; i++) {
		turn();
		if (i % 16 == 0 && i > 64 && at_rest())
			break;
	}
	/* The first look of a destination may be a recovery's: then it is not answered. */
	if (!w.failure && !runner())
		fail("the next flight loses the VM");
	w.outcomes[runner() != from ? MOVED : STAYED]++;
}

static const char *run_seed(uint64_t seed)
{
	struct tier_super super = w.super;
	unsigned outcomes[8];

	memcpy(outcomes, w.outcomes, sizeof(outcomes));
	memset(&w, 0, sizeof(w));
	memcpy(w.outcomes, outcomes, sizeof(outcomes));
	w.seed = seed;
	w.super = super;
	w.oracle = memory_oracle(&super);
	memory_reset();
	memory.random = seed;
	memory.escape = NULL;
	for (unsigned i = 0; i < HOSTS; i++) {
		w.hosts[i].portal = memory_portal(&super, i);
		boot(&w.hosts[i]);
	}
	w.hosts[0].process = PROCESS_RUNNING;
	for (unsigned i = 0; i < STEPS && !w.failure; i++) {
		if (chance(80))
			maybe_begin();
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
	return w.failure;
}

int main(void)
{
	static const char *const names[] = {"A", "B", "C"};
	static const char *const outcome_names[] = {"moved",	    "stayed",	    "ended",
						    "taken",	    "inherited",    "fenced",
						    "tools killed", "hosts crashed"};
	const char *one = getenv("TIER_SIM_SEED"), *many = getenv("TIER_SIM_SEEDS");
	const char *from = getenv("TIER_SEED");
	uint64_t first = one ? strtoull(one, NULL, 0) : from ? strtoull(from, NULL, 0) : 1;
	uint64_t count = one ? 1 : many ? strtoull(many, NULL, 0) : 10000;
	struct tier_uuid uuid = {{1}};

	tracing = getenv("TIER_SIM_TRACE") != NULL;
	if (tier_super_plan("sim", names, HOSTS, 2 * GIB, 128 * MIB, &uuid, &w.super, NULL) != 0 ||
	    w.super.extent_count != EXTENTS) {
		printf("not ok - no such portal\n");
		return 1;
	}
	memory_new(&w.super);
	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *failure = run_seed(seed);

		if (failure) {
			printf("not ok - TIER_SIM_SEED=%" PRIu64 ": %s\n", seed, failure);
			free(tasks);
			return 1;
		}
	}
	free(tasks);
	for (unsigned i = 0; i < ARRAY_SIZE(outcome_names); i++) {
		printf("# %s: %u\n", outcome_names[i], w.outcomes[i]);
		/* A simulation that never gets anywhere proves nothing. */
		if (!one && count >= 1000 && w.outcomes[i] == 0) {
			printf("not ok - never reached: %s\n", outcome_names[i]);
			return 1;
		}
	}
	printf("ok - %" PRIu64 " seeds from %" PRIu64 "\n", count, first);
	return 0;
}

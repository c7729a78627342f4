/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes wrong with a host: its processes, its boots, and being fenced. */
#include <stdlib.h>

#include "hosts.h"

/*
 * Says this host that the VM is its own, in a record that may be in its own cache only? Whoever
 * carries the flight on there reads it, and cannot tell whether the VM has run since.
 */
static bool has_said_so(struct host *host, uint32_t offerer, uint32_t slot,
			const struct tier_offer *offer)
{
	struct tier_offer own;
	struct tier_answer answer;

	if (offerer == number(host))
		return tier_portal_read_offer(&host->portal, offerer, slot, &own) == 0 &&
		       own.state == TIER_FLIGHT_WITHDRAWN;
	return tier_portal_find_answer(&host->portal, number(host), offer, slot, &answer, NULL) ==
		       0 &&
	       answer.state == TIER_FLIGHT_RUNNING;
}

/* The process of the VM on this host is gone, by a fault. */
void process_dies(struct host *host, const char *why)
{
	enum process was = host->process;
	uint32_t offerer, slot;
	struct tier_offer offer;

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
		else if (has_said_so(host, offerer, slot, &offer))
			w.excused = true;
	}
	trace("host %u: %s: its process was %d%s", number(host), why, was,
	      w.dead ? "; the VM has ended" : "");
}

void crash(struct host *host)
{
	if (!host->up)
		return;
	host->up = host->suspended = host->lied_about = false;
	host->carrier.on = false;
	host->open = 0;
	/* What it was storing has been stored, or not. */
	memory_lose(number(host));
	process_dies(host, "crash");
	w.outcomes[CRASHED]++;
}

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

void boot(struct host *host)
{
	host->up = true;
	host->incarnation = 0;
	guarded(host, boot_now);
	/* Its daemon starts again until it has arrived. */
	while (host->up && host->incarnation == 0)
		guarded(host, boot_now);
}

static bool fencer_gone;

/* Runs what may be struck in the middle of a store. */
void guarded(struct host *host, void (*function)(struct host *host))
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
	if (fencer_gone) {
		fencer_gone = false;
		return;
	}
	memory.fault_at = 0;
	if (memory.chosen)
		memory_spill(memory.fault_host, memory.fault_spilled, memory.fault == FAULT_CRASH);
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

/* ---- fencing ---------------------------------------------------------------------------------- */

static uint32_t fence_target;
static const struct host *fencing_host;

/* The fencer may have ended meanwhile: nothing of it goes on then. */
static int directed_agent(struct host *target)
{
	const struct host *fencer = fencing_host;
	uint64_t incarnation = fencer->incarnation;

	if (w.calm || w.agent == AGENT_REFUSES)
		return TIER_E_REFUSED;
	if (w.agent == AGENT_NEVER) {
		/* Whoever asked it is gone before it answers. */
		crash(&w.hosts[number(fencer)]);
		fencer_gone = true;
		longjmp(*memory.escape, 1);
	}
	if (w.agent == AGENT_LIES) {
		target->lied_about = true;
		return 0;
	}
	crash(target);
	if (w.agent == AGENT_CUTS)
		return 0;
	boot(target);
	for (unsigned i = 0; i < w.some_turns && !w.failure; i++)
		w.turn();
	if (fencer->up && fencer->incarnation == incarnation)
		return 0;
	fencer_gone = true;
	longjmp(*memory.escape, 1);
}

static int power_off(void *userdata, const struct tier_fence_record *intent,
		     struct tier_problem *problem)
{
	struct host *target = &w.hosts[fence_target];

	if (w.directed)
		return directed_agent(target);
	/* The agent takes its time, and the others theirs. */
	for (unsigned i = 0; i < sim_random() % 12 && !w.failure; i++)
		w.turn();
	if (w.calm || chance(300))
		return TIER_E_REFUSED;
	crash(target);
	/* Some agents switch it on again. */
	if (chance(500))
		boot(target);
	for (unsigned i = 0; i < sim_random() % 8 && !w.failure; i++)
		w.turn();
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

void fence(struct host *host, uint32_t target)
{
	if (w.fencing || !host->up || host->suspended || target == number(host))
		return;
	w.fencing = true;
	fence_target = target;
	fencing_host = host;
	guarded(host, fence_now);
	w.fencing = false;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_TIERING_KERNEL_H
#define TIER_TIERING_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tier-config.h"
#include "tier-error.h"
#include "tier-tiering.h"

/*
 * The kernel's own tiering, for where DAMON cannot do it: NUMA balancing promotes what is touched soon after it was
 * unmapped for that, and reclaim demotes instead of swapping. Three settings of the whole machine; what was there
 * before is noted, and put back. Source: sysctl_numa_balancing() in kernel/sched/core.c,
 * should_numa_migrate_memory() in kernel/sched/fair.c, demotion_enabled_store() in mm/memory-tiers.c.
 */

/* What was there before cxl-tierd switched it on, for as long as it is not put back. */
#define TIER_TIERING_KERNEL_PATH "/run/cxl-tier/tiering-kernel"

enum tier_knob {
	TIER_KNOB_LIMIT, /* numa_balancing_promote_rate_limit_MBps: MiB a second, for each node */
	TIER_KNOB_DEMOTION,  /* demotion_enabled: 0 or 1 */
	TIER_KNOB_BALANCING, /* numa_balancing: bit 1 is for tiers */
	TIER_KNOBS,
};

/* proc_dointvec_minmax() */
#define TIER_KNOB_MAX 2147483647U

/**
 * struct tier_knob_saved - a setting that is ours for now
 * @ours: it has been written, or is about to be
 * @foreign: somebody else has written it since: it stays, and is not written again
 * @seen: tier_knobs_plan() has looked at it
 * @before: what was there before the first write
 * @written, @next: after a kill either of the two may be there
 */
struct tier_knob_saved {
	bool ours, foreign, seen;
	unsigned before, written, next;
};

/* All zero: nothing is ours. */
struct tier_knobs_saved {
	struct tier_knob_saved knobs[TIER_KNOBS];
};

/**
 * struct tier_knobs_wish - what the kernel is to do
 * @promotes: it promotes as well; else it only demotes, where memory is short
 * @limit_mbps: at most so much is promoted in a second, MiB; 0: as it was before
 */
struct tier_knobs_wish {
	bool promotes;
	unsigned limit_mbps;
};

/** tier_knob_name() - its file's name */
const char *tier_knob_name(enum tier_knob knob);

/**
 * tier_knobs_plan() - what is to be written for the kernel to tier
 * @present: what is there
 * @wish: borrowed; what it does not speak of is not touched
 * @saved: changed: @next is what is to be there, @foreign what is somebody else's by now
 * @ret: for each knob, is it to be written?
 *
 * What is on already by another hand is not written, and so not put back. Pure.
 */
void tier_knobs_plan(const unsigned present[TIER_KNOBS], const struct tier_knobs_wish *wish,
		     struct tier_knobs_saved *saved, bool ret[TIER_KNOBS]);

/** tier_knobs_format() - the text of TIER_TIERING_KERNEL_PATH; new string. 0 or -ENOMEM. Pure */
int tier_knobs_format(const struct tier_knobs_saved *saved, char **ret);
/** tier_knobs_parse() - and back. 0 or TIER_E_DAMAGED. Pure */
int tier_knobs_parse(const char *text, struct tier_knobs_saved *ret);

/**
 * tier_knobs_read() - the settings as they are
 * @sysroot: prefix; NULL for none
 *
 * Return: 0; TIER_E_NOT_FOUND if the kernel lacks one: it has all of them since Linux 6.1, with
 * CONFIG_NUMA_BALANCING; negative errno.
 */
int tier_knobs_read(const char *sysroot, unsigned ret[TIER_KNOBS], struct tier_problem *problem);

/**
 * tier_knobs_apply() - switch it on, or set another limit
 * @sysroot: prefix; NULL for none
 * @wish: as for tier_knobs_plan(); the kernel need not have the rest
 * @saved: what is ours; changed
 * @ret_foreign: what somebody else has written meanwhile, or empty
 *
 * What was there is noted first. If the kernel refuses something, all is put back. Needs root.
 *
 * Return: 0; TIER_E_NOT_FOUND as tier_knobs_read(); negative errno.
 */
int tier_knobs_apply(const char *sysroot, const struct tier_knobs_wish *wish,
		     struct tier_knobs_saved *saved, char ret_foreign[static 160],
		     struct tier_problem *problem);

/** tier_knobs_wished() - is the setting one that @wish speaks of? Pure */
bool tier_knobs_wished(const struct tier_knobs_wish *wish, enum tier_knob knob);

/**
 * tier_knobs_restore() - put back what was there before
 * @saved: what is ours; all zero but @foreign then
 * @ret_left: what stays as somebody else has written it, or empty
 *
 * Return: 0, also if nothing is ours; a negative errno: what could not be put back stays noted.
 */
int tier_knobs_restore(const char *sysroot, struct tier_knobs_saved *saved,
		       char ret_left[static 160], struct tier_problem *problem);

/**
 * tier_knobs_load() - what has not been put back
 *
 * Return: 0; TIER_E_NOT_FOUND if there is nothing; TIER_E_DAMAGED; negative errno.
 */
int tier_knobs_load(const char *sysroot, struct tier_knobs_saved *ret,
		    struct tier_problem *problem);

/**
 * tier_tiering_kernel_nodes() - can the kernel tier here?
 * @topology: borrowed
 * @problem: may be NULL
 *
 * Any number of nodes of a kind. Pure.
 *
 * Return: 0; TIER_E_NOT_FOUND if there is no slow node, or no fast one; TIER_E_REFUSED if memory of a shared node is
 * online and the kernel does not keep ordinary memory off it: what is demoted would go there.
 */
int tier_tiering_kernel_nodes(const struct tier_topology *topology, struct tier_problem *problem);

/**
 * tier_tiering_damon_probe() - could DAMON do it?
 * @thorough: claim it for a moment, to see whether its schemes have what is needed
 * @problem: why not; may be NULL
 *
 * Return: 0; TIER_E_BUSY if somebody else uses it; TIER_E_NOT_FOUND if the kernel has none, or lacks what is
 * needed; negative errno.
 */
int tier_tiering_damon_probe(bool thorough, struct tier_problem *problem);

/**
 * tier_tiering_idle_probe() - is there idle page tracking?
 * @problem: why not; may be NULL
 *
 * Return: 0; TIER_E_NOT_FOUND if the kernel has none; negative errno.
 */
int tier_tiering_idle_probe(struct tier_problem *problem);

/**
 * struct tier_traffic - what the kernel has moved since it was booted
 * @now_usec: CLOCK_MONOTONIC
 * @promoted_bytes, @demoted_bytes: between nodes of different tiers
 *
 * Source: /proc/vmstat, pgpromote_success and pgdemote_*.
 */
struct tier_traffic {
	uint64_t now_usec;
	uint64_t promoted_bytes, demoted_bytes;
};

/** tier_traffic_read() - read it; 0, TIER_E_NOT_FOUND without these counters, negative errno */
int tier_traffic_read(const char *sysroot, struct tier_traffic *ret, struct tier_problem *problem);
/** tier_traffic_parse() - the text of /proc/vmstat. 0 or TIER_E_NOT_FOUND. Pure */
int tier_traffic_parse(const char *vmstat, uint64_t page_bytes, struct tier_traffic *ret);

enum tier_limit_reason {
	TIER_LIMIT_FIRST,    /* nothing is known yet */
	TIER_LIMIT_QUIET,    /* too little is moved to matter */
	TIER_LIMIT_FRUITFUL, /* what is promoted stays, or becomes less */
	TIER_LIMIT_BOUNCING, /* as much is demoted as promoted, and it does not become less */
	TIER_LIMIT_LOWERED,  /* ... for a while now */
	TIER_LIMIT_RAISED,   /* it is tried again whether more helps */
};

/**
 * struct tier_limit_policy - what the limit depends on
 * @max_mbps: what it may be at most
 * @fast_bytes: of the nodes that are promoted to
 */
struct tier_limit_policy {
	unsigned max_mbps;
	uint64_t fast_bytes;
};

/* What is remembered from one look to the next. All zero is one that is new. */
struct tier_limit_state {
	bool begun;
	bool raised;		/* since it was lowered last */
	unsigned bouncing;	/* so many looks in a row */
	uint64_t bounced_bytes; /* promoted in these */
	unsigned limit_mbps;
	unsigned max_mbps;  /* as it was then */
	uint64_t hold_usec; /* so long it stays after a change, before it is raised */
	uint64_t changed_usec;
	uint64_t promoted_mbps; /* at the last look */
	struct tier_traffic last;
};

/**
 * struct tier_limit_step - how much may be promoted from now on
 * @limit_mbps: MiB a second
 * @promoted_mbps, @demoted_mbps: since the last look
 */
struct tier_limit_step {
	unsigned limit_mbps;
	uint64_t promoted_mbps, demoted_mbps;
	enum tier_limit_reason reason;
};

/**
 * tier_limit_next() - lower the limit where pages bounce, and raise it again by steps
 * @policy: borrowed
 * @traffic: now
 * @state: changed
 *
 * Pages bounce if as much is demoted as promoted, look after look, and promotion does not become less though half
 * of fast memory has been promoted meanwhile: then more is hot than there is room for. Pure.
 */
void tier_limit_next(const struct tier_limit_policy *policy, const struct tier_traffic *traffic,
		     struct tier_limit_state *state, struct tier_limit_step *ret);

/** tier_limit_reason_name() - "first", "quiet", "fruitful", "bouncing", "lowered", "raised" */
const char *tier_limit_reason_name(enum tier_limit_reason reason);

/**
 * struct tier_mechanism_input - what decides
 * @wanted: Mechanism=
 * @now_usec: CLOCK_MONOTONIC
 * @damon, @damon_problem: 0, or why DAMON cannot: TIER_E_NOT_FOUND and TIER_E_REFUSED as long as kernel and nodes
 *                         are what they are, anything else for now
 * @passing: whoever has DAMON is known to end
 * @kernel, @kernel_problem: the same of the kernel's own tiering
 * @idle, @idle_problem: ... and of idle page tracking
 */
struct tier_mechanism_input {
	enum tier_tiering_by wanted;
	uint64_t now_usec;
	int damon, kernel, idle;
	bool passing;
	const struct tier_problem *damon_problem, *kernel_problem, *idle_problem;
};

/* All zero is one that is new. */
struct tier_mechanism_state {
	enum tier_mechanism now;
	uint64_t trouble_usec; /* since then DAMON cannot, for now; 0: it can */
	uint64_t good_usec;    /* since then it could again; 0: it cannot */
	uint64_t wait_usec;    /* so long it must be, before it takes over */
};

/* @reason: why not the better one, or why none; empty if there is nothing to be said */
struct tier_mechanism_choice {
	enum tier_mechanism mechanism;
	char reason[640];
};

/**
 * tier_mechanism_choose() - DAMON where it can, else the kernel, else idle page tracking
 * @input: borrowed
 * @state: changed
 *
 * Not for a moment's trouble: DAMON is given up after five minutes of it, and taken up again after one without; each
 * time, that becomes twice as long, up to an hour. Pure.
 */
void tier_mechanism_choose(const struct tier_mechanism_input *input,
			   struct tier_mechanism_state *state, struct tier_mechanism_choice *ret);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_FLIGHT_H
#define TIER_OS_FLIGHT_H

/* One side of a flight, carried out: flight.c decides by the tables, the other files do the steps. */

#include "clock.h"
#include "extent.h"
#include "machine.h"
#include "ram-file.h"
#include "tier-flight.h"

/* How often the records are read while waiting for another side's. */
#define FLIGHT_POLL_USEC      UINT64_C(5000)
#define FLIGHT_SLOW_POLL_USEC UINT64_C(20000) /* before anybody has answered */

struct flight {
	bool source; /* this side's role; else the taker's */
	const struct tier_config *config;
	const struct tier_flight_grant *grant;
	const struct tier_flight_options *options;
	const struct tier_flight_observer *observer;
	struct tier_flight_report *report;
	struct tier_portal *portal;
	struct tier_handoff_view view;
	struct tier_offer terms; /* taker: what OFFERED fixed, and was checked then */
	bool has_terms;
	bool orphan;		       /* carried on from records: this process did not begin it */
	struct tier_machine *machine;  /* NULL: none has been found or started */
	struct tier_machine *borrowed; /* the caller's: not ours to free */
	struct tier_machine_info info;
	struct ram_file *ram;
	struct tier_extents *extents;
	int node, dram;
	bool announced_running;
	enum tier_handoff_action action; /* the one that is being carried out */
	uint32_t answer_slot;
	int answer_lock;	 /* -1: none is needed */
	uint64_t paused_usec;	 /* source: when */
	uint64_t published_usec; /* taker: when it was seen */
	const char *record;	 /* the last one stored */
	/* Why the flight does not go on, once something says so. */
	int why;
	struct tier_problem problem;
};

static inline void portal_closep(struct tier_portal **portal)
{
	if (*portal)
		tier_portal_close(*portal);
}
#define _cleanup_portal_ _cleanup_(portal_closep)

static inline void flight_stage(const struct flight *f, enum tier_flight_stage stage)
{
	if (f->observer && f->observer->stage)
		f->observer->stage(f->observer->userdata, stage);
}

static inline void flight_progress(const struct flight *f, enum tier_flight_stage stage,
				   uint64_t done, uint64_t total)
{
	if (f->observer && f->observer->progress)
		f->observer->progress(f->observer->userdata, stage, done, total);
}

static inline bool flight_cancelled(const struct flight *f)
{
	return f->observer && f->observer->cancelled &&
	       f->observer->cancelled(f->observer->userdata);
}

static inline bool flight_vm_alive(const struct flight *f)
{
	return f->machine && tier_machine_alive(f->machine);
}

/* The first reason counts. Return: @code. */
int flight_because(struct flight *f, int code, const struct tier_problem *problem);

/* Is this a boot of the host after the one in which the VM ran? */
static inline bool flight_later(const struct flight *f)
{
	return f->view.incarnation > f->view.offer.source_incarnation;
}

/* flight-records.c */
int flight_look(struct flight *f);
int flight_store(struct flight *f, enum tier_handoff_step step, struct tier_problem *problem);
int flight_choose_answer_slot(struct flight *f, struct tier_problem *problem);
int flight_lock_answer_slot(struct flight *f, uint32_t slot, struct tier_problem *problem);

/* flight-source.c */
int flight_check_claims(struct flight *f, struct tier_problem *problem);
int flight_move(struct flight *f, struct tier_problem *problem);
int flight_pause(struct flight *f, struct tier_problem *problem);
int flight_put(struct flight *f, struct tier_problem *problem);
int flight_check_placement(struct flight *f, struct tier_problem *problem);
int flight_move_back(struct flight *f);
int flight_refuse_host(const char *vm, struct tier_problem *problem);

/* flight-fetch.c */
int flight_start(struct flight *f, struct tier_problem *problem);
int flight_fetch(struct flight *f, struct tier_problem *problem);

/* flight-local.c */
int flight_find_vm(struct flight *f, struct tier_problem *problem);
int flight_resume(struct flight *f, struct tier_problem *problem);
int flight_end(struct flight *f, bool at_once, struct tier_problem *problem);
int flight_find_extents(struct flight *f, struct tier_problem *problem);
int flight_close_extents(struct flight *f, struct tier_problem *problem);

/* The node with CPUs that has most free memory: where RAM goes that leaves a portal. */
int flight_dram_node(int *ret_node, struct tier_problem *problem);

/*
 * Before a portal's node may be seen by the other host, every page on it that is not the flight's
 * must be free. Mapped ones are moved to @dram; what remains is counted.
 */
int foreign_pages_evacuate(const struct tier_extents *extents, const struct ram_file *ram, int node,
			   int dram, pid_t except, struct tier_problem *problem);

/* Pages of @path on @node in /proc/PID/numa_maps; 0 if it cannot be read. */
uint64_t numa_maps_pages(pid_t pid, const char *path, int node);

/* Runs of at most TIER_MANIFEST_RUN_PAGES pages that are neighbours in the RAM and in the portal. */
int manifest_build(const struct tier_extents *extents, const struct ram_file *ram,
		   const struct tier_offer *offer, struct tier_manifest **ret,
		   struct tier_problem *problem);

/* The checksum of a run from those of its pages. */
uint32_t manifest_run_checksum(const uint32_t *checksums, uint32_t pages);

#endif

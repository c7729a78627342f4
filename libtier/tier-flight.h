/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_FLIGHT_H
#define TIER_FLIGHT_H

/* The passage of a VM through a portal. docs/hand-off.md says why each step is where it is. */

#include <stdbool.h>
#include <stdint.h>

#include "tier-config.h"
#include "tier-error.h"
#include "tier-handoff.h"
#include "tier-machine.h"
#include "tier-mover.h"
#include "tier-portal.h"

/* ---- extents on this host: effects ----------------------------------------------------------- */

/* Extents of a portal opened as system RAM (a node) or as character devices. */
struct tier_extents;

/** tier_extents_needed() - extents for @ram_bytes, with room for the zone's watermarks */
uint32_t tier_extents_needed(const struct tier_super *super, uint64_t ram_bytes);

/**
 * tier_extents_open_ram() - online extents of a region as ZONE_MOVABLE
 * @region: CXL region that carries the portal
 * @ret_node: the node the memory is on
 *
 * A dax device per range, at the extents' fixed offsets, bound to kmem. Needs root.
 */
int tier_extents_open_ram(const char *region, const struct tier_super *super,
			  const struct tier_extent_range *ranges, uint32_t range_count,
			  struct tier_extents **ret, int *ret_node, struct tier_problem *problem);

/** tier_extents_open_devdax() - map extents through character devices of their own */
int tier_extents_open_devdax(const char *region, const struct tier_super *super,
			     const struct tier_extent_range *ranges, uint32_t range_count,
			     bool writable, struct tier_extents **ret,
			     struct tier_problem *problem);

/** tier_extents_at() - address of a portal offset in a devdax mapping; NULL if not inside */
void *tier_extents_at(struct tier_extents *extents, uint64_t portal_offset, uint64_t bytes);

/** tier_extents_portal_offset() - portal offset of a physical address; TIER_UNKNOWN_U64 if outside */
uint64_t tier_extents_portal_offset(const struct tier_extents *extents, uint64_t physical);

/**
 * tier_extents_close() - offline or unmap, and destroy the dax devices
 *
 * Return: 0; -EBUSY if memory could not be taken offline, with the block in @problem; then
 * @extents stays valid and the call may be repeated.
 */
int tier_extents_close(struct tier_extents *extents, struct tier_problem *problem);

/** tier_extents_free() - forget without closing. Return: NULL. */
struct tier_extents *tier_extents_free(struct tier_extents *extents);

/**
 * tier_extents_find() - the extents that an earlier process left open on this host
 * Finds dax devices of @region inside @ranges, whatever their mode. TIER_E_NOT_FOUND if none.
 */
int tier_extents_find(const char *region, const struct tier_super *super,
		      const struct tier_extent_range *ranges, uint32_t range_count,
		      struct tier_extents **ret, struct tier_problem *problem);

/**
 * tier_extents_scrub() - zero extents through a devdax of their own, and flush
 * TIER_E_TIMEOUT while a flight opens or closes extents there.
 */
int tier_extents_scrub(const char *region, const struct tier_super *super,
		       const struct tier_extent_range *ranges, uint32_t range_count,
		       struct tier_problem *problem);

/**
 * tier_portal_granted() - the extents that their homes have claimed for a flight
 * @ranges: sorted; extents that do not fit into them are not counted
 * @ret_extents: in @ranges
 *
 * Return: 0; -EINVAL.
 */
int tier_portal_granted(struct tier_portal *portal, const struct tier_uuid *flight,
			struct tier_extent_range ranges[static TIER_PORTAL_FLIGHT_RANGES],
			uint32_t *ret_range_count, uint32_t *ret_extents);

/* ---- this host in a portal: effects ---------------------------------------------------------- */

/**
 * tier_portal_arrive() - which boot of this host it is, by the portal's count
 * @host: this host's slot
 * @boot: the kernel's boot id
 * @ret: for tier_portal_beat(), its incarnation for every other record; nothing has been written
 *
 * The incarnation of this host's record if that was written in the same boot; else one more than it,
 * and than any boot that a fence is about.
 *
 * Return: 0; TIER_E_DAMAGED: cannot be told, so this host must write nothing; -EINVAL.
 */
int tier_portal_arrive(struct tier_portal *portal, uint32_t host, const struct tier_uuid *boot,
		       struct tier_host_record *ret, struct tier_problem *problem);

/**
 * tier_portal_beat() - write this host's record again
 * @record: as it was last written; its generation and time are advanced
 *
 * Return: 0; TIER_E_STALE: a machine of another boot id writes as this host, and nothing is written;
 * negative errno.
 */
int tier_portal_beat(struct tier_portal *portal, uint32_t host, struct tier_host_record *record,
		     struct tier_problem *problem);

/* What a home host has to do with one of its extents. */
struct tier_home_task {
	uint32_t extent;
	enum tier_handoff_action action; /* GRANT, RECLAIM or SCRUB */
	uint32_t owner;			 /* whose flight it is for, or was */
	uint64_t owner_incarnation;
	struct tier_uuid flight;
};

/**
 * tier_portal_home_look() - what is to be done with this host's home extents
 * @view: fences and incarnations: tier_portal_look_hosts()
 * @granting: the other hosts that grant extents, one bit each. A flight gets its source's first,
 *	then those of the hosts after it; this host gives what is wanted beyond theirs.
 * @ret_tasks: new array; free()
 * @ret_idle: no flight has an extent of this host; until an offer is REQUESTED, another look finds
 *	nothing to do. May be NULL
 *
 * Return: 0; -ENOMEM, -EINVAL.
 */
int tier_portal_home_look(struct tier_portal *portal, uint32_t host,
			  const struct tier_handoff_view *view, uint32_t granting,
			  struct tier_home_task **ret_tasks, size_t *ret_count, bool *ret_idle);

/* Zeroes an extent; 0, or why not. */
typedef int (*tier_home_zero)(void *userdata, uint32_t extent, struct tier_problem *problem);

/**
 * tier_portal_home_perform() - the steps of one task, by the plan of its action
 * @incarnation: of this host, the extent's home
 * @zero: NULL: only the steps before zeroing; the extent stays to be scrubbed
 *
 * Return: 0; TIER_E_STALE: the extent is not any more what the task was made for; what @zero
 * returned; negative errno.
 */
int tier_portal_home_perform(struct tier_portal *portal, uint64_t incarnation,
			     const struct tier_home_task *task, tier_home_zero zero, void *userdata,
			     struct tier_problem *problem);

/**
 * tier_portal_retire_extent() - grant a home extent to nobody any more
 * @incarnation: of this host, the extent's home
 * @ret_was: its state before; RETIRED: nothing was done
 *
 * One that waits to be zeroed is retired as it is: writing to it may not be possible.
 *
 * Return: 0; TIER_E_BUSY: a flight has it, try again when it comes back; TIER_E_DAMAGED; negative errno.
 */
int tier_portal_retire_extent(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
			      enum tier_extent_state *ret_was);

/**
 * tier_portal_unretire_extent() - the reverse
 * @zero: called for one that is RETIRED, before it is free: it may hold what a VM has left in it
 * @ret_was: its state before; what is not RETIRED is not zeroed, and stays as it is
 *
 * Return: 0; TIER_E_DAMAGED: its record cannot be read; what @zero returned; negative errno.
 */
int tier_portal_unretire_extent(struct tier_portal *portal, uint64_t incarnation, uint32_t extent,
				tier_home_zero zero, void *userdata,
				enum tier_extent_state *ret_was, struct tier_problem *problem);

/* ---- flights: effects ------------------------------------------------------------------------ */

enum tier_flight_stage {
	TIER_STAGE_OFFERED,
	TIER_STAGE_READY,
	TIER_STAGE_MOVING,    /* progress: bytes */
	TIER_STAGE_CHECKSUMS, /* progress: bytes */
	TIER_STAGE_PAUSED,
	TIER_STAGE_PUBLISHED,
	TIER_STAGE_VERIFYING, /* destination; progress: bytes */
	TIER_STAGE_ACCEPTED,
	TIER_STAGE_COMMITTED,
	TIER_STAGE_RUNNING,
	TIER_STAGE_DONE,
	TIER_STAGE_ABORTED,
};

/*
 * How a flight tells what it does. Every member may be NULL. @step is called before and after each
 * step of a plan, with the last record that this side has stored and flushed ("" if none).
 */
struct tier_flight_observer {
	void *userdata;
	void (*stage)(void *userdata, enum tier_flight_stage stage);
	void (*step)(void *userdata, enum tier_handoff_step step, bool done, const char *record);
	void (*progress)(void *userdata, enum tier_flight_stage stage, uint64_t done,
			 uint64_t total);
	bool (*cancelled)(void *userdata);
};

/* Measured by this side with CLOCK_MONOTONIC; 0: not this side's to measure. */
struct tier_flight_report {
	char vm[64];
	char flight[37];
	uint64_t ram_bytes;
	uint64_t moved_pages;	  /* base pages that lie in the portal */
	uint64_t precopied_pages; /* of these, moved before the pause */
	uint64_t huge_folios;
	uint64_t
		node_pages_at_publish; /* source: /proc/PID/numa_maps of the RAM on the portal's node */
	uint64_t absent_pages;	       /* never touched */
	uint64_t runs;
	uint64_t state_bytes;
	uint64_t pause_usec; /* source: stop until RUNNING was seen; destination: PUBLISHED
					  seen until cont returned */
	uint64_t total_usec;
	uint64_t move_usec;
	uint64_t checksum_usec;
	uint64_t verified_pages; /* destination */
	int node;		 /* source: the portal's node; destination: where the RAM is */
};

/* Where a flight is, and as whom it is carried out: what cxl-tierd hands out. */
struct tier_flight_grant {
	char portal_path[64]; /* control area */
	char region[32];      /* that carries the portal */
	uint32_t host;	      /* own slot */
	uint32_t source;      /* the source's slot, and */
	uint32_t source_slot; /* its flight slot: the offer's place */
	uint32_t answer_slot; /* taker: where its answer goes */
	uint64_t incarnation; /* own, in this portal */
	struct tier_uuid flight;
};

/**
 * struct tier_flight_options - deadlines and choices
 * @grant_usec: how long the source waits for other homes' extents
 * @ready_usec: how long either side waits between OFFERED and PUBLISHED
 * @step_usec: how long either side waits for the other from PUBLISHED on, before COMMITTED
 * @hold_usec: how long the source waits for DONE after COMMITTED before it returns; the VM stays
 *	       stopped and belongs to the destination
 * @rate_bytes_per_sec: limit of the move while the VM runs; 0: none
 */
struct tier_flight_options {
	uint64_t grant_usec;
	uint64_t ready_usec;
	uint64_t step_usec;
	uint64_t hold_usec;
	uint64_t rate_bytes_per_sec;
};

/**
 * tier_flight_send() - the source's side, from REQUESTED to the end
 * @config: where the machine's lock is; no other process may start, send or settle it meanwhile
 * @machine: attached and inspected
 * @grant: from the daemon, which has stored REQUESTED
 *
 * On every failure before COMMITTED the VM runs on here, its pages are back in DRAM, the extents
 * are closed and ABORTED is stored. After COMMITTED the VM is never resumed here unless the
 * destination has stored REFUSED or has been fenced.
 *
 * Return: 0: DONE, the VM runs there; TIER_E_PEER, TIER_E_TIMEOUT, TIER_E_CANCELLED, TIER_E_STALE,
 * TIER_E_REFUSED: it runs here; TIER_E_BUSY: it does not run here: COMMITTED but no answer yet, so
 * it is the destination's, or it could not be resumed, the problem says which; negative errno: it
 * runs here.
 */
int tier_flight_send(const struct tier_config *config, struct tier_machine *machine,
		     const struct tier_machine_info *info, const struct tier_flight_grant *grant,
		     const struct tier_flight_options *options,
		     const struct tier_flight_observer *observer, struct tier_flight_report *ret,
		     struct tier_problem *problem);

/**
 * tier_flight_receive() - the destination's side of one offer
 * @config: only its machines are started
 * @grant: from the daemon
 *
 * Return: 0: the VM runs here; TIER_E_PEER: the source took it back; TIER_E_REFUSED,
 * TIER_E_DAMAGED, TIER_E_TIMEOUT, TIER_E_CANCELLED, negative errno: REFUSED was stored and nothing
 * runs here; TIER_E_BUSY: it is this host's, but could not be resumed.
 */
int tier_flight_receive(const struct tier_config *config, const struct tier_flight_grant *grant,
			const struct tier_flight_options *options,
			const struct tier_flight_observer *observer, struct tier_flight_report *ret,
			struct tier_problem *problem);

/**
 * tier_flight_settle() - carry on a flight that nobody carries out any more
 * @config: names the machine, so that it can be started, resumed or ended
 * @grant: answer_slot is not looked at
 * @discard: give a VM up that only this host could still bring out of the portal
 * @ret_action: the last thing that was done: TIER_HANDOFF_WITHDRAW (it runs here again),
 *	RELEASE (it runs there), TAKE and RUN (it was brought out of the portal and runs here),
 *	FINISH, REFUSE, DROP, CLEAR, ABANDON, or OVER: there was nothing to do
 *
 * As the records say whose the VM is, on either side or on an heir. Does not wait for anybody.
 *
 * Return: 0; TIER_E_NOT_FOUND: no flight there; TIER_E_REFUSED: it is not for this host to act,
 * the problem says who may do what; TIER_E_BUSY: somebody carries it out, or a step failed;
 * negative errno.
 */
int tier_flight_settle(const struct tier_config *config, const struct tier_flight_grant *grant,
		       bool discard, const struct tier_flight_observer *observer,
		       enum tier_handoff_action *ret_action, struct tier_problem *problem);

/** tier_flight_report_to_json() - the report as JSON text; free() */
int tier_flight_report_to_json(const struct tier_flight_report *report, char **ret_json);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_FLIGHT_H
#define TIER_FLIGHT_H

/* The passage of a VM through a portal. docs/hand-off.md says why each step is where it is. */

#include <stdbool.h>
#include <stdint.h>

#include "tier-config.h"
#include "tier-error.h"
#include "tier-machine.h"
#include "tier-mover.h"
#include "tier-portal.h"

/* ---- the protocol: pure --------------------------------------------------------------------- */

/* What a side should do now. */
enum tier_handoff_action {
	TIER_HANDOFF_WAIT,    /* for the other side */
	TIER_HANDOFF_MOVE,    /* source: READY seen; move pages, then publish */
	TIER_HANDOFF_COMMIT,  /* source: ACCEPTED seen; check the placement, then store COMMITTED */
	TIER_HANDOFF_RELEASE, /* source: DONE seen; end the process, give everything back */
	TIER_HANDOFF_ABORT,   /* source: store ABORTED, resume, take the pages back */
	TIER_HANDOFF_RESUME,  /* source: refused after COMMITTED: resume, take the pages back */
	TIER_HANDOFF_HOLD,    /* source: COMMITTED and no answer: keep everything, run nothing */
	TIER_HANDOFF_FETCH,  /* destination: PUBLISHED seen; verify, fill the RAM, load the state */
	TIER_HANDOFF_RUN,    /* destination: COMMITTED seen; store RUNNING, then resume */
	TIER_HANDOFF_DROP,   /* destination: ABORTED seen; end the waiting machine */
	TIER_HANDOFF_REFUSE, /* destination: store REFUSED, end the waiting machine */
	TIER_HANDOFF_FOREIGN, /* the record is not of this flight: touch nothing */
};

/* What one side knows when it asks what to do. */
struct tier_handoff_view {
	const struct tier_offer *offer;	  /* as last read or written */
	const struct tier_answer *answer; /* NULL: never written */
	bool cancelled;			  /* the operator asked to stop */
	bool expired;			  /* this step's deadline has passed */
	bool vm_gone;			  /* the local process has ended */
};

/** tier_handoff_source() - pure; called whenever the answer, a deadline or the VM has changed */
enum tier_handoff_action tier_handoff_source(const struct tier_handoff_view *view);

/** tier_handoff_destination() - pure */
enum tier_handoff_action tier_handoff_destination(const struct tier_handoff_view *view);

/** tier_handoff_source_may_run() - may the source (re)start the VM in this state? */
bool tier_handoff_source_may_run(const struct tier_offer *offer, const struct tier_answer *answer);

/** tier_handoff_destination_may_run() - may the destination start it? */
bool tier_handoff_destination_may_run(const struct tier_offer *offer,
				      const struct tier_answer *answer);

/** tier_handoff_advice() - who may do what next, in one line for a person; a constant string */
const char *tier_handoff_advice(enum tier_flight_state offer, enum tier_flight_state answer);

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

/** tier_extents_scrub() - zero extents through a devdax of their own, and flush */
int tier_extents_scrub(const char *region, const struct tier_super *super,
		       const struct tier_extent_range *ranges, uint32_t range_count,
		       struct tier_problem *problem);

/**
 * tier_portal_claim() - claim free home extents for a flight
 * @host: this host's slot
 * @needed: extents
 *
 * Extents in state SCRUB are not free. Records are written and flushed one by one; on failure those
 * already claimed are freed again.
 *
 * Return: 0; TIER_E_NO_SPACE with the numbers in @problem.
 */
int tier_portal_claim(struct tier_portal *portal, uint32_t host, uint64_t incarnation,
		      const struct tier_uuid *flight, uint32_t needed,
		      struct tier_extent_range ranges[static TIER_PORTAL_FLIGHT_RANGES],
		      uint32_t *ret_range_count, struct tier_problem *problem);

/** tier_portal_set_extents() - write the state of every extent of @ranges that @flight claims */
int tier_portal_set_extents(struct tier_portal *portal, uint64_t incarnation,
			    const struct tier_uuid *flight, const struct tier_extent_range *ranges,
			    uint32_t range_count, enum tier_extent_state state);

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

/* How a flight tells what it does. Every member may be NULL. */
struct tier_flight_observer {
	void *userdata;
	void (*stage)(void *userdata, enum tier_flight_stage stage);
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

/* What the daemon has granted to one flight. */
struct tier_flight_grant {
	char portal_path[64]; /* control area */
	char region[32];
	uint32_t host;	    /* own slot */
	uint32_t peer;	    /* the other host's slot */
	uint32_t slot;	    /* own flight slot */
	uint32_t peer_slot; /* destination: the flight slot of the source */
	uint64_t incarnation;
	uint64_t generation;
	struct tier_uuid flight;
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t range_count;
};

/**
 * struct tier_flight_options - deadlines and choices
 * @ready_usec: how long the source waits for READY
 * @step_usec: how long either side waits for the other in every later step before COMMITTED
 * @hold_usec: how long the source waits for RUNNING after COMMITTED before it returns; the VM
 *	       stays stopped and belongs to the destination
 * @rate_bytes_per_sec: limit of the move while the VM runs; 0: none
 */
struct tier_flight_options {
	uint64_t ready_usec;
	uint64_t step_usec;
	uint64_t hold_usec;
	uint64_t rate_bytes_per_sec;
};

/**
 * tier_flight_send() - the source's side, from OFFERED to the end
 * @config: where the machine's lock is; no other process may start, send or settle it meanwhile
 * @machine: attached and inspected
 * @grant: from the daemon: slot and claimed extents
 *
 * On every failure before COMMITTED the VM runs on here, its pages are back in DRAM, the extents
 * are closed and ABORTED is written. After COMMITTED the VM is never resumed here unless the
 * destination has written REFUSED.
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
 * tier_flight_receive() - the destination's side, for one offer
 * @config: only its machines are started
 * @grant: from the daemon: own slot and the source's ranges, copied from @offer
 * @offer: the offer being answered
 *
 * Return: 0: the VM runs here; TIER_E_PEER: the source aborted; TIER_E_REFUSED, TIER_E_DAMAGED,
 * TIER_E_TIMEOUT, TIER_E_CANCELLED, negative errno: REFUSED was written and nothing runs here;
 * TIER_E_BUSY: COMMITTED but it could not be resumed; it stays whole in the portal.
 */
int tier_flight_receive(const struct tier_config *config, const struct tier_flight_grant *grant,
			const struct tier_offer *offer, const struct tier_flight_options *options,
			const struct tier_flight_observer *observer, struct tier_flight_report *ret,
			struct tier_problem *problem);

/**
 * tier_flight_settle() - end a flight whose tool has died, on its source
 * @config: names the machine, so that it can be resumed or ended
 * @portal_path: control area, @region: the CXL region that carries it
 * @host, @slot, @flight: its place, and that it is still the one meant
 * @ret_state: ABORTED or CLOSED
 *
 * As the records say whose the VM is. The source's (before COMMITTED, or REFUSED): it is resumed if
 * it still exists, and ABORTED is written. The destination's, which has said DONE: what is left of
 * it here is ended, and CLOSED is written. Either way the extents are closed. No process may be
 * carrying the flight out.
 *
 * Return: 0; TIER_E_NOT_FOUND: no flight there; TIER_E_REFUSED: it is not for the source to end,
 * the problem says who may do what; negative errno.
 */
int tier_flight_settle(const struct tier_config *config, const char *portal_path,
		       const char *region, uint32_t host, uint32_t slot,
		       const struct tier_uuid *flight, enum tier_flight_state *ret_state,
		       struct tier_problem *problem);

/** tier_flight_report_to_json() - the report as JSON text; free() */
int tier_flight_report_to_json(const struct tier_flight_report *report, char **ret_json);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_HANDOFF_H
#define TIER_HANDOFF_H

/*
 * The hand-off protocol, pure: what the records of a flight and the state of this host say is to be
 * done. The rules are in libtier/core/handoff.rules; docs/hand-off.md says why they are so.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tier-portal.h"

/* What a side should do now. */
enum tier_handoff_action {
	TIER_HANDOFF_WAIT, /* for another record, or the deadline */
	TIER_HANDOFF_HOLD, /* nothing: it is for another host or a person */
	TIER_HANDOFF_OVER, /* nothing: the flight has ended for this side */
	TIER_HANDOFF_DIE,  /* this host is fenced: end the VM, write nothing */
	/* source */
	TIER_HANDOFF_ABANDON,  /* end the flight without resuming anything */
	TIER_HANDOFF_DISCARD,  /* the same for a VM that is in the portal: a person gives it up */
	TIER_HANDOFF_OFFER,    /* the extents are there */
	TIER_HANDOFF_PUBLISH,  /* READY seen */
	TIER_HANDOFF_COMMIT,   /* ACCEPTED seen */
	TIER_HANDOFF_WITHDRAW, /* the VM stays, or comes back to its process */
	TIER_HANDOFF_RELEASE,  /* the VM is there: give everything back */
	/* source and taker */
	TIER_HANDOFF_TAKE, /* bring the VM out of the portal into a new process */
	/* taker: the destination, or an heir */
	TIER_HANDOFF_PREPARE,
	TIER_HANDOFF_ACCEPT, /* PUBLISHED seen: verify, fill the RAM, load the state */
	TIER_HANDOFF_RUN,    /* COMMITTED seen */
	TIER_HANDOFF_FINISH, /* RUNNING is stored: whatever is missing after it */
	TIER_HANDOFF_REFUSE,
	TIER_HANDOFF_BACK_OUT, /* RUNNING is stored, and it would not run */
	TIER_HANDOFF_DROP,     /* the flight has ended without this host */
	TIER_HANDOFF_CLEAR,    /* a process was started for it, and never announced */
	/* home of an extent */
	TIER_HANDOFF_KEEP,
	TIER_HANDOFF_GRANT,
	TIER_HANDOFF_RECLAIM,
	TIER_HANDOFF_SCRUB,
	/* fencer */
	TIER_HANDOFF_INTEND,
	TIER_HANDOFF_ASK,
	TIER_HANDOFF_CONFIRM,
	TIER_HANDOFF_RETRACT,
	_TIER_HANDOFF_MAX,
};

/* One step of an action; each may be the last before a crash. Storing is flushed when it returns. */
enum tier_handoff_step {
	TIER_STEP_END,
	TIER_STEP_STORE_OFFERED,
	TIER_STEP_STORE_PUBLISHED,
	TIER_STEP_STORE_COMMITTED,
	TIER_STEP_STORE_WITHDRAWN,
	TIER_STEP_STORE_ABORTED,
	TIER_STEP_STORE_CLOSED,
	TIER_STEP_STORE_READY,
	TIER_STEP_STORE_ACCEPTED,
	TIER_STEP_STORE_RUNNING,
	TIER_STEP_STORE_DONE,
	TIER_STEP_STORE_REFUSED,
	TIER_STEP_STORE_CLAIMED,
	TIER_STEP_STORE_SCRUB,
	TIER_STEP_STORE_FREE,
	TIER_STEP_STORE_INTENT,
	TIER_STEP_STORE_FENCED,
	TIER_STEP_STORE_RETRACTED,
	TIER_STEP_CHECK_CLAIMS, /* each extent of the offer is claimed for it */
	TIER_STEP_MOVE_VM,	/* open the extents, move pages while it runs */
	TIER_STEP_PAUSE_VM,	/* stop it */
	TIER_STEP_PUT_VM, /* state, last pages, manifest: all of it into the portal, flushed */
	TIER_STEP_CHECK_PLACEMENT, /* no page has moved since */
	TIER_STEP_START_VM,	   /* a process that waits for the VM */
	TIER_STEP_FETCH_VM,	   /* out of the portal, verified, into that process */
	TIER_STEP_RESUME_VM,	   /* unless it runs, or has no process */
	TIER_STEP_END_VM,	   /* its process and its RAM here */
	TIER_STEP_CLOSE_EXTENTS,   /* no page, mapping or device of them is left here */
	TIER_STEP_ZERO,		   /* the extent */
	TIER_STEP_RUN_AGENT,
	_TIER_STEP_MAX,
};

#define TIER_HANDOFF_STEPS 8 /* at the most, with the END that terminates them */

/* What all hosts' fence records say about one host: which of its boots, up to and including. */
struct tier_handoff_fence {
	uint64_t intended; /* being fenced, or fenced; 0: none */
	uint64_t fenced;
	uint32_t heir; /* of the record that says @fenced; TIER_PORTAL_NO_HOST: none */
};

enum tier_handoff_vm {
	TIER_VM_NONE,	 /* no process here */
	TIER_VM_STOPPED, /* paused, or waiting for a device state */
	TIER_VM_RUNNING,
};

/**
 * struct tier_handoff_view - what one side knows when it asks what to do
 * @offer: as last read; state NONE if its slot carries another flight by now
 * @answers: by host, of this flight; state NONE: has none
 * @incarnations: by host, as its host record says; 0: never written
 * @fences: by host
 * @self, @incarnation: this host and its present boot; TIER_PORTAL_NO_HOST: one that only looks, and
 *	takes no part in a flight
 *
 * The records are looked at in the order fences, host records, offer, answers: see docs/hand-off.md.
 * tier_portal_look() does that.
 */
struct tier_handoff_view {
	struct tier_handoff_fence fences[TIER_PORTAL_MAX_HOSTS];
	uint64_t incarnations[TIER_PORTAL_MAX_HOSTS];
	struct tier_offer offer;
	struct tier_answer answers[TIER_PORTAL_MAX_HOSTS];
	uint32_t answer_slots[TIER_PORTAL_MAX_HOSTS]; /* where they are, if they are */
	uint32_t self;
	uint64_t incarnation;
	enum tier_handoff_vm vm;
	bool granted;	 /* source: enough extents are claimed */
	bool cancelled;	 /* the operator asked to stop, or to discard */
	bool failed;	 /* the last plan stopped at a step */
	bool stuck;	 /* taker: RUNNING stored by this process, and the VM would not run */
	bool recovering; /* whoever carried it out has gone */
	uint64_t now_usec, deadline_usec; /* 0: no deadline */
};

/** tier_handoff_source() - pure; called whenever a record, the clock or the VM has changed */
enum tier_handoff_action tier_handoff_source(const struct tier_handoff_view *view);

/** tier_handoff_taker() - the same for the destination and for an heir */
enum tier_handoff_action tier_handoff_taker(const struct tier_handoff_view *view);

/** tier_handoff_source_plan() - the steps of an action, up to TIER_STEP_END */
const enum tier_handoff_step *tier_handoff_source_plan(enum tier_handoff_action action);
const enum tier_handoff_step *tier_handoff_taker_plan(enum tier_handoff_action action);

/** struct tier_handoff_extent - what a home host knows of one of its extents */
struct tier_handoff_extent {
	enum tier_extent_state state;
	enum tier_flight_state
		offer;	 /* of the flight that it is claimed for; NONE: there is none */
	bool unreadable; /* that offer */
	bool listed;	 /* by that offer */
	bool owner_dead; /* the boot that asked for it */
	bool wanted;	 /* some offer is REQUESTED and has too few */
};

/** tier_handoff_home() - KEEP, GRANT, RECLAIM or SCRUB */
enum tier_handoff_action tier_handoff_home(const struct tier_handoff_extent *extent);
const enum tier_handoff_step *tier_handoff_home_plan(enum tier_handoff_action action);

/** struct tier_handoff_fencing - what a fencer knows */
struct tier_handoff_fencing {
	enum tier_fence_state state; /* of this host's record about the target's present boot */
	bool other;		     /* another host fences it, or has */
	bool target_newer;	     /* it has booted since INTENT was stored */
	bool agent_ok, agent_failed;
	bool self_fenced;
};

/** tier_handoff_fencer() - INTEND, ASK, CONFIRM, RETRACT, OVER or DIE */
enum tier_handoff_action tier_handoff_fencer(const struct tier_handoff_fencing *fencing);
/** tier_handoff_fencer_plan() - the steps of an action, up to TIER_STEP_END */
const enum tier_handoff_step *tier_handoff_fencer_plan(enum tier_handoff_action action);

/* Whose the VM is, by the records alone. */
struct tier_handoff_holder {
	uint32_t host;	/* who has it, or alone may take it; TIER_PORTAL_NO_HOST: nobody */
	bool in_portal; /* it is whole in the portal and runs nowhere */
	bool lost;	/* it ended with the host that ran it */
	bool over;	/* the flight has ended */
	bool conflict;	/* the records cannot be so: nothing may be resumed */
};

/**
 * tier_handoff_holder() - the one host that the records name
 * @view: its records; what it says of this host is not looked at
 */
struct tier_handoff_holder tier_handoff_holder(const struct tier_handoff_view *view);

/**
 * tier_handoff_advice() - who may do what next, in one line for a person
 * @super: names of the hosts
 */
void tier_handoff_advice(const struct tier_super *super, const struct tier_handoff_view *view,
			 char text[static 192]);

/**
 * tier_portal_answer_free() - may @host answer another flight in this slot?
 * @incarnation: its present boot
 *
 * When the flight of what stands there is over and this boot has said that nothing of it is left
 * here. A record that cannot be read is not free.
 */
bool tier_portal_answer_free(struct tier_portal *portal, uint32_t host, uint64_t incarnation,
			     uint32_t slot);

/* Is @incarnation of @host over: fenced, or followed by a later boot? */
bool tier_handoff_dead(const struct tier_handoff_view *view, uint32_t host, uint64_t incarnation);

/**
 * tier_portal_look() - read everything that the protocol decides a flight on
 * @source, @slot: where its offer is
 * @flight: which flight is meant; an offer of another one is none. NULL: whichever is there
 * @view: its records are written, the rest is the caller's; zero before the first look, then what
 *	  the last one left, so that answers are looked for where they were
 *
 * Fences, host records, offer, answers, in this order.
 *
 * Return: 0; TIER_E_DAMAGED: something of it cannot be read, so nothing may be decided; -EINVAL.
 */
int tier_portal_look(struct tier_portal *portal, uint32_t source, uint32_t slot,
		     const struct tier_uuid *flight, struct tier_handoff_view *view);

/** tier_portal_look_hosts() - only fences and host records */
int tier_portal_look_hosts(struct tier_portal *portal, struct tier_handoff_view *view);

/**
 * struct tier_fencing - one host fences another
 * @host, @incarnation: the fencer's slot and present boot
 * @target: slot of the host that is fenced
 * @heir: who takes what only @target could take; TIER_PORTAL_NO_HOST: whom an earlier fence names
 *	  that a flight hangs on, else @host
 * @end: cuts the target's power, or resets it, and returns 0 when that is certain; INTENT is stored
 *	 by then. NULL: nothing is stored or done
 * @step: called before and after each step, with the state of this host's fence record; may be NULL
 */
struct tier_fencing {
	uint32_t host, target, heir;
	uint64_t incarnation;
	enum tier_fence_method method;
	void *userdata;
	int (*end)(void *userdata, const struct tier_fence_record *intent,
		   struct tier_problem *problem);
	void (*step)(void *userdata, enum tier_handoff_step step, bool done, const char *record);
};

/**
 * tier_portal_fence() - fence a host in one portal, by the FENCER table
 * @ret: the record that is stored now; without @fencing->end the one that would be
 *
 * One at a time on each host. After a crash it is called again, and goes on from what is stored.
 *
 * Return: 0: the target's boot is FENCED, also if it was by this host before; TIER_E_REFUSED: it is
 * not, because it never took part, another host is at it or has done it, @fencing->end failed, or a
 * flight hangs on what an earlier fence says; TIER_E_DAMAGED: a fence record cannot be read;
 * -EINVAL; other negative errno.
 */
int tier_portal_fence(struct tier_portal *portal, const struct tier_fencing *fencing,
		      struct tier_fence_record *ret, struct tier_problem *problem);

/**
 * tier_portal_silent() - watch a host's beat for three of its intervals, at least 2 s
 * @cancelled: asked about ten times a second; may be NULL
 *
 * Return: 0: it does not beat; TIER_E_BUSY: it does; TIER_E_CANCELLED; negative errno.
 */
int tier_portal_silent(struct tier_portal *portal, uint32_t host, bool (*cancelled)(void *userdata),
		       void *userdata, struct tier_problem *problem);

/** tier_portal_silence_usec() - how long that takes if it does not beat */
int tier_portal_silence_usec(struct tier_portal *portal, uint32_t host, uint64_t *ret_usec);

/** tier_handoff_action_name() - a constant string, as in core/handoff.rules */
const char *tier_handoff_action_name(enum tier_handoff_action action);
const char *tier_handoff_step_name(enum tier_handoff_step step);

#endif

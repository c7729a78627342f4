/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_PORTAL_PAIR_H
#define TIER_PORTAL_PAIR_H

#include "portal-map.h"

/* The two copies of one record, which a reader makes one of. */
enum portal_pair_state {
	PORTAL_PAIR_NEVER,    /* never written */
	PORTAL_PAIR_TORN,     /* the first writing was interrupted: as if never written */
	PORTAL_PAIR_GOOD,     /* two equal copies */
	PORTAL_PAIR_BEHIND,   /* two good copies, one of which lacks the last writing */
	PORTAL_PAIR_HALF,     /* one good copy */
	PORTAL_PAIR_BAD,      /* none, or two that contradict each other */
	PORTAL_PAIR_RESTLESS, /* it is being written all the time */
};

struct portal_place {
	enum tier_record_kind kind;
	uint32_t host;	/* slot of the writer */
	uint32_t index; /* flight slot, extent or fenced host */
};

/* @ret_bad: which copy is not good, of a HALF one; may be NULL. The place must be one of the portal's. */
enum portal_pair_state portal_pair_look(const struct tier_portal *portal, struct portal_place place,
					unsigned *ret_bad);

/* The highest boot of @host that any record of the portal names, but for its own host record; 0: none. */
int portal_highest_incarnation(struct tier_portal *portal, uint32_t host, uint64_t *ret);

/* ---- portal-explain.c: what is known of records that cannot be read --------------------------- */

/* The flight is not over: its records and extents are needed. */
bool portal_flight_open(const struct tier_offer *offer);

/*
 * What may be done about an offer or an answer of which both copies are damaged, by what other
 * records say. @needed: some flight may hang on it; else the slot may be emptied.
 */
void portal_explain_offer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			  bool *ret_needed, char text[static 256]);
void portal_explain_answer(struct tier_portal *portal, uint32_t host, bool *ret_needed,
			   char text[static 256]);

/* Is this host's answer to a flight that is not over, or may it be? */
bool portal_answer_open(struct tier_portal *portal, const struct tier_answer *answer);

/*
 * The open flight that lists an extent. TIER_E_NOT_FOUND: none; TIER_E_DAMAGED: an offer that cannot
 * be read may, or several do.
 */
int portal_extent_flight(struct tier_portal *portal, uint32_t extent, struct tier_offer *ret);

#endif

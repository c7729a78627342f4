/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_SIM_HOSTS_H
#define TIER_SIM_HOSTS_H

/* The hosts of the simulation, their tools, and the one VM. */

#include "world.h"

#define STEPS	400
#define WANTED	2
#define EXTENTS 15

enum process { PROCESS_NONE, PROCESS_WAITING, PROCESS_STOPPED, PROCESS_RUNNING };

struct carrier {
	bool on, source, suspended, orphan;
	uint32_t offerer, slot, answer_slot;
	struct tier_uuid flight;
	struct tier_handoff_view view;
	enum tier_handoff_action action;
	const enum tier_handoff_step *plan; /* what is left of it; NULL: look again */
};

struct host {
	bool up, suspended;
	uint64_t incarnation;
	struct tier_host_record record;
	struct tier_portal portal;
	struct carrier carrier;
	enum process process;
	uint64_t version; /* of the VM in that process */
	uint32_t open;	  /* extents that are open here as a node, one bit each */
};

struct blob {
	uint64_t version;
	struct tier_uuid flight;
	uint8_t fill[40];
};

struct world {
	uint64_t seed;
	struct tier_super super;
	struct tier_portal oracle;
	struct host hosts[HOSTS];
	uint64_t newest;	   /* version that has run */
	uint64_t content[EXTENTS]; /* whose pages: the flight's first bytes; 0: zero */
	bool dead;		   /* the VM ended with what ran it */
	bool excused;		   /* it may have, with what was about to */
	bool calm;		   /* no more faults */
	bool fencing;
	uint64_t flights;
	const char *failure;
	char text[256];
	unsigned outcomes[8];
};

extern struct world w;

enum { MOVED, STAYED, ENDED, TAKEN, HEIRED, FENCED, KILLED, CRASHED };

/* test-handoff.c */
__attribute__((format(printf, 1, 2))) void trace(const char *format, ...);
/* A violation: the first one counts. */
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);
unsigned number(const struct host *host);
uint64_t tag(const struct tier_uuid *flight);
bool lists(const struct tier_offer *offer, uint32_t extent);

/* carrier.c: one step of a tool that carries a flight out, or looks what to do next */
void advance(struct host *host);

#endif

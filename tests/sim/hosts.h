/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_SIM_HOSTS_H
#define TIER_SIM_HOSTS_H

/* The hosts of the simulation, their tools, and the one VM. */

#include "world.h"

#define STEPS	400
#define WANTED	2
#define EXTENTS 15

/* Their slots in the portal, where one is meant. */
enum { A, B, C };

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
	uint64_t version;	      /* of the VM in that process */
	uint32_t open;		      /* extents that are open here as a node, one bit each */
	bool lied_about;	      /* somebody has been told that it is off, and it is not */
	struct tier_home_task *tasks; /* what it found to do for its home extents */
};

struct blob {
	uint64_t version;
	struct tier_uuid flight;
	uint8_t fill[40];
};

/* What an agent does that says it has ended a host. */
enum agent { AGENT_CUTS, AGENT_RESETS, AGENT_REFUSES, AGENT_NEVER, AGENT_LIES };

struct world {
	struct tier_super super;
	struct tier_portal oracle;
	struct host hosts[HOSTS];
	uint64_t newest;	   /* version that has run */
	uint64_t content[EXTENTS]; /* whose pages: the flight's first bytes; 0: zero */
	bool dead;		   /* the VM ended with what ran it */
	bool excused;		   /* it may have, with what was about to */
	bool calm;		   /* no more faults */
	bool fencing;
	/* Nobody draws lots: what happens is said by directed.c. */
	bool directed, cancelled, expired;
	enum agent agent;
	unsigned some_turns; /* of a course that is TIMED */
	void (*turn)(void);  /* somebody does something */
	uint64_t flights;
	const char *failure;
	char text[256];
	unsigned outcomes[8];
};

extern struct world w;
extern bool tracing;

enum { MOVED, STAYED, ENDED, TAKEN, HEIRED, FENCED, KILLED, CRASHED };

/* ---- world.c: what everybody asks of it, and what must hold of it at any time ---- */

__attribute__((format(printf, 1, 2))) void trace(const char *format, ...);
/* A violation: the first one counts. */
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);
unsigned number(const struct host *host);
uint64_t tag(const struct tier_uuid *flight);
bool open_offer(enum tier_flight_state state);
/* The one flight that is open, if one is. */
bool find_open(uint32_t *ret_host, uint32_t *ret_slot, struct tier_offer *ret);
bool lists(const struct tier_offer *offer, uint32_t extent);
struct host *runner(void);
unsigned claimed(void);
void check_runners(void);
/* All hosts boot, and the VM runs on the first. */
void world_new(uint64_t seed, void (*turn)(void));
void world_free(void);

/* ---- faults.c: what goes wrong with a host ---- */

/* The process of the VM on this host is gone, by a fault. */
void process_dies(struct host *host, const char *why);
void crash(struct host *host);
void boot(struct host *host);
/* Runs what may be struck in the middle of a store. */
void guarded(struct host *host, void (*function)(struct host *host));
void fence(struct host *host, uint32_t target);

/* ---- daemons.c ---- */

void serve_home(struct host *host);
/* Carries on what nobody carries out. */
void daemon_turn(struct host *host);
/* A flight of the VM begins, if it can: to @to, TIER_PORTAL_NO_HOST: to either. */
void maybe_begin(uint32_t to);

/* ---- carrier.c: one step of a tool that carries a flight out, or looks what to do next ---- */

void advance(struct host *host);

/* ---- settle.c: when the disorder ends, everything comes to an end ---- */

/* A VM that has ended is started anew, from its disk. */
void start_anew(void);
bool at_rest(void);
/* Until the flight has ended, and what is left of the VM is in one place. */
void settle(void);
/* Whoever is down has been fenced: the others have the VM, unless it has ended, and their extents. */
void check_fenced_off(void);
/* Where no writer was interrupted, neither copy of a record is older than the other. */
void check_copies(void);
/* Without any fault it arrives. */
void next_flight(void);

/* ---- courses.c: flights from A to B, each with something that happens in it anyway ---- */

struct course {
	const char *name;
	enum tier_flight_state when; /* the offer is in this state: */
	void (*happens)(void);
	/* Each line, and each sequel; or no blow, but some turns, from none on. */
	enum { ONCE, THOROUGH, TIMED } how;
};

/* A crash, and the fence that says so. */
void fences(struct host *host, struct host *target);
extern const struct course courses[]; /* the last has no name */

/* ---- directed.c ---- */

int run_directed(void);

#endif

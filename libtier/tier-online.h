/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_ONLINE_H
#define TIER_ONLINE_H

#include "tier-topology.h"

/* What is wanted for one region. */
enum tier_online_zone {
	TIER_ONLINE_AUTO,    /* Movable as far as the ratio allows, else a kernel zone */
	TIER_ONLINE_MOVABLE, /* Movable, or refuse: memory that must stay removable */
	TIER_ONLINE_KERNEL,  /* never Movable: memory that has to feed the kernel's allocations */
	TIER_ONLINE_NO,	     /* leave offline */
};

/* A ratio that is given in percent is at most this. */
#define TIER_RATIO_MAX 10000

#define TIER_WEIGHT_DEFAULT 100
#define TIER_WEIGHT_MAX	    1000

/**
 * struct tier_online_request - one region that is to be onlined
 * @region: or a run of memory blocks without a dax device, see tier_run_name()
 * @weight: how much a byte of it counts, if not all that may be Movable can be; 0: the default
 * @resume: what of it is online already came so by an attempt that did not get to its end; the rest
 *          goes to the same zone, and it is not refused for being partly online
 * @rule: who wants it so, e.g. "[Region expander0]", for the reason; may be empty
 */
struct tier_online_request {
	char region[32];
	enum tier_online_zone zone;
	unsigned weight;
	bool resume;
	char rule[80];
};

/* A device that is not there yet. It comes when all that was requested is online. */
struct tier_online_arrival {
	char name[32];
	uint64_t bytes; /* what is less than a memory block of it does not count */
	int node;	/* TIER_ABSENT_NODE: a node of its own */
};

/**
 * struct tier_online_policy - the rule under which zones are chosen
 * @ratio_percent: at most this many percent MOVABLE per KERNEL memory, e.g. 301 = 3.01 to 1;
 *                 0: everything goes to a kernel zone
 * @requests: wanted regions; where nothing else decides, the earlier one becomes Movable
 * @keep_going: a region that is refused is a decision that says so, and the others are planned
 * @arrivals: come one after the other, each decided by itself
 */
struct tier_online_policy {
	unsigned ratio_percent;
	const struct tier_online_request *requests;
	size_t request_count;
	bool keep_going;
	const struct tier_online_arrival *arrivals;
	size_t arrival_count;
};

enum tier_step_action {
	TIER_STEP_BIND_RAM,	  /* give the dax device to kmem */
	TIER_STEP_ONLINE_MOVABLE, /* online the block into ZONE_MOVABLE */
	TIER_STEP_ONLINE_KERNEL,  /* online the block into a kernel zone */
	TIER_STEP_OFFLINE,	  /* evacuate and offline the block */
	TIER_STEP_BIND_DEVDAX,	  /* take the dax device from kmem, back to a character device */
};

struct tier_step {
	enum tier_step_action action;
	char region[32];
	char dax[32];
	uint64_t block; /* index; for ONLINE and OFFLINE; TIER_UNKNOWN_U64 while the device has no
			   blocks, when it is the first .. last of the dax device's range */
};

/* One region's decision, with the sum that led to it. */
struct tier_decision {
	char region[32];
	enum tier_online_zone wanted;
	enum tier_zone zone; /* TIER_ZONE_NONE: nothing to do, or refused */
	int code;	     /* with keep_going: why refused; else 0 */
	bool arrival;	     /* the region is a tier_online_arrival */
	uint64_t bytes;
	uint64_t kernel_bytes_before, movable_bytes_before; /* of the whole machine */
	unsigned ratio_percent_after; /* MOVABLE:KERNEL when this has been carried out */
	char reason[384];	      /* plain words */
	char next[256];		      /* of a refusal: what to do */
};

/* Decisions and steps are in the order in which they are carried out. */
struct tier_plan {
	/* The whole machine's before it; tier_plan_online() only. */
	uint64_t kernel_bytes, movable_bytes;
	struct tier_decision *decisions;
	size_t decision_count;
	struct tier_step *steps;
	size_t step_count;
};

/**
 * tier_plan_online() - choose a zone for each wanted region, whole device or nothing
 * @topology: snapshot; borrowed
 * @policy: ratio and requests; borrowed
 * @ret_plan: new plan; free with tier_plan_free(); untouched on failure
 * @problem: may be NULL
 *
 * Pure. All requests are looked at together. What must be Movable is so if it fits at all, and what is
 * wanted automatically feeds the kernel if that is needed for it; of the rest as much as possible is
 * Movable, by weight and size. Kernel memory is what is present in kernel zones of any node but for
 * CMA, whenever it came, and what this plan adds to it: that is carried out first, so that the ratio
 * holds after every step. No node is judged by itself. A region that is already online as wanted
 * yields a decision without steps. A region that is partly online, online in another zone, or whose
 * dax device is missing is refused. docs/onlining.md has the reasons.
 *
 * Return: 0; TIER_E_NOT_FOUND for an unknown region; TIER_E_BUSY if it is online otherwise;
 * TIER_E_RATIO if Movable was demanded and the ratio forbids it; TIER_E_REFUSED if it has no dax
 * device, its address or the zones' sizes are not readable, or the kernel does not offer the zone;
 * -EINVAL, -ENOMEM.
 */
int tier_plan_online(const struct tier_topology *topology, const struct tier_online_policy *policy,
		     struct tier_plan **ret_plan, struct tier_problem *problem);

/**
 * tier_plan_offline() - the steps that take a region's memory offline
 * @to_devdax: also hand the dax devices back to devdax
 *
 * Pure. Blocks are offlined from the highest down.
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_REFUSED if its address is not readable; -ENOMEM.
 */
int tier_plan_offline(const struct tier_topology *topology, const char *region, bool to_devdax,
		      struct tier_plan **ret_plan, struct tier_problem *problem);

/**
 * tier_block_is_ordinary() - does a memory block belong to no CXL window, region or dax device?
 *
 * DIMMs, virtio-mem and balloons add such memory; most of it was there at boot.
 */
bool tier_block_is_ordinary(const struct tier_topology *topology, const struct tier_block *block);

/** tier_run_name() - the name of a run of adjacent memory blocks: "memory48-143", or "memory48" */
void tier_run_name(char name[static 32], uint64_t first, uint64_t last);
/** tier_run_parse() - the reverse; 0, or -EINVAL */
int tier_run_parse(const char *name, uint64_t *ret_first, uint64_t *ret_last);
/**
 * tier_run_blocks() - the blocks of a run, borrowed from @topology
 *
 * Return: the first of them; NULL if @name is no run, a block is absent or not ordinary, or they are
 * of different nodes.
 */
const struct tier_block *tier_run_blocks(const struct tier_topology *topology, const char *name,
					 size_t *ret_count);

struct tier_plan *tier_plan_free(struct tier_plan *plan);

/** tier_online_zone_name() - "auto", "movable", "kernel", "no", as in Online= */
const char *tier_online_zone_name(enum tier_online_zone zone);
/** tier_online_zone_parse() - the reverse; -EINVAL */
int tier_online_zone_parse(const char *name, enum tier_online_zone *ret);

/** tier_plan_to_json() - a plan as JSON text, the same for --dry-run, varlink and tests */
int tier_plan_to_json(const struct tier_plan *plan, char **ret_json);

/** tier_step_action_name() - as in JSON, e.g. "online-movable"; a constant string */
const char *tier_step_action_name(enum tier_step_action action);

/**
 * tier_memory_type_set() - say what a region's memory is, where the kernel acts on it
 * @region: its memory must be offline, unless it is @type already
 * @type: not TIER_MEMORY_UNKNOWN
 *
 * Needs root. Source: kernel/README.md, regionN/memory_type.
 *
 * Return: 0; TIER_E_NOT_FOUND if this kernel has no types, or no such region; TIER_E_BUSY if its
 * memory is online; negative errno.
 */
int tier_memory_type_set(const char *region, enum tier_memory_type type,
			 struct tier_problem *problem);

/**
 * tier_plan_apply() - carry a plan out
 * @plan: borrowed
 * @progress: called after each step, may be NULL; a non-zero return cancels and rolls back
 * @problem: names the block or device, what the kernel said, and the next step
 *
 * Whole device or nothing: when a step of a region fails, that region's steps are undone, and
 * regions that are already complete stay. A step without a block is carried out, and reported to
 * @progress, block by block. Needs root.
 *
 * Return: 0; TIER_E_CANCELLED; TIER_E_REFUSED if the kernel would online a device's memory by
 * itself as soon as it is bound; -EBUSY, -EPERM and other negative errno of the failing step.
 */
int tier_plan_apply(const struct tier_plan *plan,
		    int (*progress)(void *userdata, size_t done, size_t total,
				    const struct tier_step *step),
		    void *userdata, struct tier_problem *problem);

#endif

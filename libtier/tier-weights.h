/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_WEIGHTS_H
#define TIER_WEIGHTS_H

/*
 * Weights of weighted interleave: how many pages in a row go to each node when a task spreads its memory over nodes
 * (MPOL_WEIGHTED_INTERLEAVE). Source: mm/mempolicy.c,
 * Documentation/ABI/testing/sysfs-kernel-mm-mempolicy-weighted-interleave.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-calibration.h"
#include "tier-config.h"
#include "tier-error.h"
#include "tier-topology.h"

/* node_store(): a u8, and 0 is refused. */
#define TIER_INTERLEAVE_WEIGHT_MAX 255
/* What was there before cxl-tierd wrote weights, for as long as it is not restored. */
#define TIER_WEIGHTS_PATH "/run/cxl-tier/weights"

enum tier_weight_source {
	TIER_WEIGHT_LEFT,	 /* not ours to set: typed, or by another hand */
	TIER_WEIGHT_FIXED,	 /* by the configuration */
	TIER_WEIGHT_CALIBRATION, /* by what was measured */
	TIER_WEIGHT_FIRMWARE,	 /* by HMAT or CDAT */
	TIER_WEIGHT_EQUAL,	 /* nobody knows */
};

enum tier_weights_action {
	TIER_WEIGHTS_NOTHING, /* what is there stays */
	TIER_WEIGHTS_WRITE,   /* the steps */
	TIER_WEIGHTS_RESTORE, /* what was there before the first write */
	TIER_WEIGHTS_REFRESH, /* the kernel is to compute its own anew */
};

struct tier_weight {
	int node;
	int present;	 /* in the kernel now; TIER_UNKNOWN_INT if it has none for this node */
	unsigned wanted; /* 1 to 255 */
	enum tier_weight_source source;
	uint64_t mbps; /* that it is derived from; TIER_UNKNOWN_U64 */
	char reason[192];
};

struct tier_weight_step {
	int node; /* TIER_ABSENT_NODE: the kernel's own mode; then @to is 1 */
	unsigned from;
	unsigned to;
};

struct tier_weights_plan {
	enum tier_weights_action action;
	char reason[320];
	int auto_weights;	     /* the kernel's mode before; TIER_UNKNOWN_INT */
	struct tier_weight *weights; /* of the nodes with memory, ascending */
	size_t weight_count;
	struct tier_weight_step *steps; /* in the order in which they are carried out */
	size_t step_count;
	uint32_t figures; /* of these nodes and their bandwidths; 0: not compared */
};

/* What was there before the first write, and what has been written since. */
struct tier_weight_saved {
	int node;
	unsigned before;
	unsigned written; /* the same if nothing was */
	unsigned next;	  /* being written: after a kill either of the two may be there */
};

struct tier_weights_saved {
	int auto_weights;  /* TIER_UNKNOWN_INT if the kernel has no such mode */
	bool auto_written; /* the mode was switched on, and no weight was written */
	bool auto_refused; /* all is as before but the mode, which has no bandwidths */
	uint32_t
		wrong_figures; /* with which the kernel computed weights that were wrong; 0: none */
	struct tier_weight_saved *nodes; /* ascending */
	size_t node_count;
};

/**
 * tier_weights_reduce() - bandwidths to weights, as the kernel does
 * @mbps: of each node; 0 for what is not known
 * @count: how many
 * @ret: as many weights, at least 1
 *
 * Pure. Source: reduce_interleave_weights() in mm/mempolicy.c.
 */
void tier_weights_reduce(const uint64_t *mbps, size_t count, unsigned *ret);

/* What decides about weights. */
struct tier_weights_input {
	const struct tier_topology *topology; /* with types, see tier_config_types() */
	const struct tier_config *config;
	const struct tier_calibration *calibration;   /* NULL: none */
	const struct tier_machine_identity *identity; /* of this machine; NULL: unknown */
	const struct tier_problem *unidentified;      /* why it is unknown; may be NULL */
	const struct tier_weights_saved *saved;	      /* NULL: nothing of ours is there */
	bool refreshed; /* the kernel has computed its weights anew for these very nodes */
};

/**
 * tier_plan_weights() - which weights the nodes are to have, and why
 *
 * Pure. By the configuration; else by a calibration that holds for every node in question; else by firmware, and then
 * the kernel's own mode is left to do it; else alike. Nodes whose memory is Shared or Switched are left as the
 * kernel has them, and so is what somebody else has written. Weights whose shares are within a tenth of
 * what they should be stay as they are.
 *
 * Return: 0; -ENOMEM.
 */
int tier_plan_weights(const struct tier_weights_input *input, struct tier_weights_plan **ret);
/** tier_weights_plan_free() - may be NULL; returns NULL */
struct tier_weights_plan *tier_weights_plan_free(struct tier_weights_plan *plan);

/** tier_weights_plan_to_json() - the plan as JSON text; new string. 0 or -ENOMEM */
int tier_weights_plan_to_json(const struct tier_weights_plan *plan, char **ret_json);

/** tier_weight_source_name() - "left", "configuration", "calibration", "firmware", "equal" */
const char *tier_weight_source_name(enum tier_weight_source source);

/** tier_weights_action_name() - "nothing", "write", "restore", "refresh" */
const char *tier_weights_action_name(enum tier_weights_action action);

/** tier_weights_saved_free() - may be NULL; returns NULL */
struct tier_weights_saved *tier_weights_saved_free(struct tier_weights_saved *saved);
/** tier_weights_saved_format() - the text of TIER_WEIGHTS_PATH; new string. 0 or -ENOMEM */
int tier_weights_saved_format(const struct tier_weights_saved *saved, char **ret);
/** tier_weights_saved_parse() - and back. 0; TIER_E_DAMAGED; -ENOMEM */
int tier_weights_saved_parse(const char *text, size_t bytes, struct tier_weights_saved **ret);

/**
 * tier_weights_saved_load() - what cxl-tierd has not restored
 * @sysroot: prefix; NULL for none
 *
 * Return: 0; TIER_E_NOT_FOUND if there is nothing; TIER_E_DAMAGED; negative errno.
 */
int tier_weights_saved_load(const char *sysroot, struct tier_weights_saved **ret,
			    struct tier_problem *problem);

/**
 * tier_weights_apply() - carry out a plan's steps
 * @saved: what was there before; *saved is NULL before the first write, and grows
 *
 * First writes down what is there, and what comes. If the kernel refuses a step, those before it are undone; a node that
 * has gone meanwhile has nothing to be refused. Needs root.
 *
 * Return: 0; negative errno with node, attempt and cause; *saved and TIER_WEIGHTS_PATH are then as before, or have what
 * could not be undone.
 */
int tier_weights_apply(const char *sysroot, const struct tier_weights_plan *plan,
		       struct tier_weights_saved **saved, struct tier_problem *problem);

/**
 * tier_weights_refresh() - have the kernel compute its own weights anew
 * @plan: what is there
 * @saved: as for tier_weights_apply(); as before unless the kernel's mode does not come back
 *
 * The kernel does so when bandwidths come, and for a CXL region's node only once: not when its memory goes offline and
 * comes again (cxl_region_perf_attrs_callback()). Its mode is switched off and on.
 *
 * Return: 0; negative errno: what was there is then in TIER_WEIGHTS_PATH if it is not there any more.
 */
int tier_weights_refresh(const char *sysroot, const struct tier_weights_plan *plan,
			 struct tier_weights_saved **saved, struct tier_problem *problem);

/**
 * tier_weights_restore() - put back what was there before the first write
 * @saved: freed, and NULL, if it is done
 * @ret_left: why something was left: empty, or a node's weight that somebody else has written since, or
 * the kernel's own mode, which it refuses without bandwidths; the weights are then written, and *saved and
 * TIER_WEIGHTS_PATH stay, with auto_refused, so that the manual mode is known as ours
 *
 * Return: 0; negative errno: what could not be is still in TIER_WEIGHTS_PATH.
 */
int tier_weights_restore(const char *sysroot, struct tier_weights_saved **saved,
			 char ret_left[static 160], struct tier_problem *problem);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_DECLARE_H
#define TIER_DECLARE_H

#include "tier-config.h"

/*
 * Regions that the configuration declares: [Region NAME] with Create=. Volatile regions do not survive a reboot, so
 * they are made again, in the order of the configuration.
 */

enum tier_declared_state {
	TIER_DECLARED_EXISTS,  /* as it is declared */
	TIER_DECLARED_CREATE,  /* can be made */
	TIER_DECLARED_WAITS,   /* for devices that are not there */
	TIER_DECLARED_REFUSED, /* cannot be made, or something else is in its place */
};

struct tier_declared {
	char name[64]; /* of the section */
	enum tier_declared_state state;
	char region[32]; /* that it is, or that is in its place; empty */
	char window[32]; /* CREATE: where it is going to be */
	uint64_t bytes;	 /* of all devices; 0 if it is not known */
	unsigned granularity_bytes;
	char memdevs[TIER_WAYS_MAX][32]; /* empty where a device is missing */
	uint64_t serials[TIER_WAYS_MAX];
	unsigned ways;
	enum tier_memory_type type;  /* what its memory must be; UNKNOWN: the kernel's default */
	struct tier_problem problem; /* WAITS, REFUSED: why; the object is "[Region NAME]" */
};

/**
 * tier_declared_plan() - what is to be made, is there, or cannot be made
 * @config: borrowed
 * @topology: snapshot; borrowed
 * @ret: new array, one for each declaration in the order of the configuration; free()
 * @ret_count: its length
 *
 * Pure. A later declaration reckons with what the earlier ones are going to take. What exists and is
 * not declared is never touched: it is in the way of a declaration that has one of its devices.
 *
 * Return: 0, -ENOMEM.
 */
int tier_declared_plan(const struct tier_config *config, const struct tier_topology *topology,
		       struct tier_declared **ret, size_t *ret_count);

/** tier_declared_state_name() - "exists", "create", "waits", "refused" */
const char *tier_declared_state_name(enum tier_declared_state state);

/**
 * tier_declared_to_json() - declarations as JSON text
 * @ret_json: new string; free()
 *
 * Return: 0, -ENOMEM.
 */
int tier_declared_to_json(const struct tier_declared *declared, size_t count, char **ret_json);

/**
 * tier_declared_create() - make one region
 * @declared: in state CREATE
 * @ret_region: its name
 *
 * Through libcxl. Its memory has its type before the region is committed, where the kernel has types; nothing is
 * onlined. A region that fails midway is destroyed again; before anything is begun, one that was left half made.
 *
 * Return: 0; TIER_E_STALE if a device or the window is not there any more; TIER_E_BUSY if a region that was left half
 * made cannot be destroyed; negative errno. The problem names the object, what was tried and, if something was left
 * behind, what.
 */
int tier_declared_create(const struct tier_declared *declared, char ret_region[static 32],
			 struct tier_problem *problem);

/**
 * tier_declared_remove_unfinished() - destroy what a process that died left half made
 * @ret_region: its name; empty if there was none
 *
 * tier_declared_create() notes the region that it is about, and its decoders, in a file of /run, which goes when the
 * region is finished. One that has been finished is left as it is, and so is another of its name: one that has a
 * decoder that was not noted. What noted decoders have of their devices is given back unless a region has it.
 *
 * Return: 0, negative errno.
 */
int tier_declared_remove_unfinished(char ret_region[static 32], struct tier_problem *problem);

#endif

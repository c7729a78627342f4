/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_INTERLEAVE_H
#define TIER_OS_INTERLEAVE_H

#include "sysfs.h"
#include "tier-weights.h"

/* What writing weights and putting them back share. */
#define INTERLEAVE_DIRECTORY "sys/kernel/mm/mempolicy/weighted_interleave"

/* The node has no memory any more: there is nothing to be written. */
#define INTERLEAVE_GONE 1

/* 0; INTERLEAVE_GONE; the kernel's negative errno. */
int interleave_write(const struct sysfs *sysfs, int node, unsigned weight);
/* The kernel's own mode: 0; -ENODEV if it knows no bandwidth; another negative errno. */
int interleave_write_auto(const struct sysfs *sysfs);

/* TIER_WEIGHTS_PATH; without @saved it is removed. 0, or a negative errno with the problem. */
int interleave_store(const char *sysroot, const struct tier_weights_saved *saved,
		     struct tier_problem *problem);

/* Returns @r. @others: "; ..." what has become of the other weights, or empty. */
int interleave_describe(struct tier_problem *problem, const struct tier_weight_step *step, int r,
			const char *others);

#endif

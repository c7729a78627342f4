/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interleave.h"
#include "util.h"

/* Weights as they were before cxl-tierd: what somebody else has written since stays. */

static bool by_us(const struct tier_weight_saved *node, int present)
{
	return present == (int)node->before || present == (int)node->written ||
	       present == (int)node->next;
}

/* The weights themselves; those of nodes that have gone are nobody's. */
static int restore_nodes(const struct sysfs *sysfs, const struct tier_weights_saved *saved,
			 char left[static 160], struct tier_problem *problem)
{
	int result = 0;

	for (size_t i = 0; i < saved->node_count; i++) {
		const struct tier_weight_saved *node = &saved->nodes[i];
		int present, r;

		if (sysfs_read_int(sysfs, &present, INTERLEAVE_DIRECTORY "/node%d", node->node) !=
		    0)
			continue;
		if (present == (int)node->before)
			continue;
		if (!by_us(node, present)) {
			snprintf(left, 160,
				 "node %d has the weight %d by another hand, which stays",
				 node->node, present);
			continue;
		}
		r = interleave_write(sysfs, node->node, node->before);
		if (r < 0)
			result = interleave_describe(problem,
						     &(struct tier_weight_step){node->node,
										(unsigned)present,
										node->before},
						     r, "");
	}
	return result;
}

/* Has nobody else written since? */
static bool is_ours(const struct sysfs *sysfs, const struct tier_weights_saved *saved,
		    char left[static 160])
{
	for (size_t i = 0; i < saved->node_count; i++) {
		const struct tier_weight_saved *node = &saved->nodes[i];
		int present;

		if (sysfs_read_int(sysfs, &present, INTERLEAVE_DIRECTORY "/node%d", node->node) !=
			    0 ||
		    by_us(node, present))
			continue;
		snprintf(left, 160, "node %d has the weight %d by another hand: all of them stay",
			 node->node, present);
		return false;
	}
	return true;
}

/* What the kernel has computed is written down first: after a kill halfway it is not another hand's. */
static int restore_after_auto(const char *sysroot, const struct sysfs *sysfs,
			      struct tier_weights_saved *saved, char left[static 160],
			      struct tier_problem *problem)
{
	int r;

	for (size_t i = 0; i < saved->node_count; i++) {
		struct tier_weight_saved *node = &saved->nodes[i];
		int present;

		if (sysfs_read_int(sysfs, &present, INTERLEAVE_DIRECTORY "/node%d", node->node) ==
			    0 &&
		    present > 0 && present <= TIER_INTERLEAVE_WEIGHT_MAX)
			node->written = node->next = (unsigned)present;
	}
	r = interleave_store(sysroot, saved, problem);
	if (r < 0)
		return r;
	/* Or the mode stays on where the kernel's weights are those of before. */
	r = sysfs_write(sysfs, "0", INTERLEAVE_DIRECTORY "/auto");
	if (r < 0)
		return tier_problem_set(problem, r, "weighted_interleave/auto", "tierctl weights",
					"cannot leave the kernel's own mode");
	return restore_nodes(sysfs, saved, left, problem);
}

/* The kernel's own mode; @ret_refused: it knows no bandwidth, and only the weights are as before. */
static int restore_mode(const struct sysfs *sysfs, const struct tier_weights_saved *saved,
			char left[static 160], bool *ret_refused, struct tier_problem *problem)
{
	int r;

	if (!is_ours(sysfs, saved, left))
		return 0;
	r = interleave_write_auto(sysfs);
	if (r != -ENODEV)
		return r == 0 ? 0
			      : interleave_describe(
					problem, &(struct tier_weight_step){TIER_ABSENT_NODE, 0, 1},
					r, "");
	snprintf(left, 160,
		 "the kernel knows no bandwidth and refuses its own mode; the weights are those of "
		 "before");
	*ret_refused = true;
	return restore_nodes(sysfs, saved, left, problem);
}

static int restore(const char *sysroot, const struct sysfs *sysfs, struct tier_weights_saved *saved,
		   char left[static 160], bool *ret_refused, struct tier_problem *problem)
{
	bool automatic = false;
	int r;

	if (!sysfs_exists(sysfs, INTERLEAVE_DIRECTORY))
		return 0;
	if (saved->auto_weights == TIER_UNKNOWN_INT)
		return restore_nodes(sysfs, saved, left, problem);
	r = sysfs_read_bool(sysfs, &automatic, INTERLEAVE_DIRECTORY "/auto");
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, "weighted_interleave/auto",
					NULL, "cannot be read");
	if (saved->auto_weights == 1)
		return automatic ? 0 : restore_mode(sysfs, saved, left, ret_refused, problem);
	if (!automatic)
		return restore_nodes(sysfs, saved, left, problem);
	if (saved->auto_written)
		return restore_after_auto(sysroot, sysfs, saved, left, problem);
	/* Somebody else has chosen the kernel's mode since. */
	snprintf(left, 160, "the kernel's own mode is on by another hand");
	return 0;
}

int tier_weights_restore(const char *sysroot, struct tier_weights_saved **saved,
			 char ret_left[static 160], struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	bool refused = false;
	int r = sysfs_open(&sysfs, sysroot);

	ret_left[0] = '\0';
	if (r < 0)
		return tier_problem_set(problem, r, "weighted_interleave", NULL,
					"cannot restore interleave weights");
	r = restore(sysroot, &sysfs, *saved, ret_left, &refused, problem);
	if (r != 0)
		return r;
	if (!refused) {
		r = interleave_store(sysroot, NULL, problem);
		if (r == 0)
			*saved = tier_weights_saved_free(*saved);
		return r;
	}
	/* The manual mode is still ours, and would otherwise be taken for another hand's. */
	(*saved)->auto_refused = true;
	for (size_t i = 0; i < (*saved)->node_count; i++)
		(*saved)->nodes[i].written = (*saved)->nodes[i].next = (*saved)->nodes[i].before;
	return interleave_store(sysroot, *saved, problem);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <unistd.h>

#include "file-replace.h"
#include "sysfs.h"
#include "tier-weights.h"
#include "util.h"

/*
 * Writing a node's weight takes the kernel out of its own mode, and all other weights stay as they are; writing 1 to
 * "auto" makes it compute all of them anew. What was there is in a file before anything is written, so that whoever
 * comes after a kill knows.
 */
static const char directory[] = "sys/kernel/mm/mempolicy/weighted_interleave";

DEFINE_CLEANUP(struct tier_weights_saved *, tier_weights_saved_free)
#define _cleanup_saved_ _cleanup_(tier_weights_saved_freep)

static int write_weight(const struct sysfs *sysfs, int node, unsigned weight)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", weight);
	return sysfs_write(sysfs, text, "%s/node%d", directory, node);
}

static int write_auto(const struct sysfs *sysfs)
{
	return sysfs_write(sysfs, "1", "%s/auto", directory);
}

static const char *saved_path(const char *sysroot, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s%s", sysroot ?: "", TIER_WEIGHTS_PATH);
	return path;
}

static int store(const char *sysroot, const struct tier_weights_saved *saved,
		 struct tier_problem *problem)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	int r = 0;

	saved_path(sysroot, path);
	if (!saved)
		r = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	else
		r = tier_weights_saved_format(saved, &text);
	if (r == 0 && saved)
		r = file_replace(path, text, strlen(text));
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL,
					"cannot write down which interleave weights were there");
	return 0;
}

int tier_weights_saved_load(const char *sysroot, struct tier_weights_saved **ret,
			    struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *text = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_read_text(&sysfs, &text, "%s", TIER_WEIGHTS_PATH + 1);
	if (r == SYSFS_ABSENT)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, TIER_WEIGHTS_PATH, NULL,
					"nothing has been written");
	if (r == SYSFS_DENIED)
		r = -EACCES;
	if (r == 0)
		r = tier_weights_saved_parse(text, strlen(text), ret);
	if (r)
		return tier_problem_set(
			problem, r, TIER_WEIGHTS_PATH,
			"echo 1 > /sys/kernel/mm/mempolicy/weighted_interleave/auto, and remove "
			"the "
			"file",
			"cannot tell which interleave weights were there before%s",
			r == TIER_E_DAMAGED ? ": the file is damaged" : "");
	return 0;
}

static struct tier_weight_saved *find(const struct tier_weights_saved *saved, int node)
{
	for (size_t i = 0; i < saved->node_count; i++)
		if (saved->nodes[i].node == node)
			return &saved->nodes[i];
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const struct tier_weight_saved *left = a, *right = b;

	return (left->node > right->node) - (left->node < right->node);
}

/* What was there before, and what is about to be written. */
static int extend(const struct tier_weights_saved *saved, const struct tier_weights_plan *plan,
		  struct tier_weights_saved **ret)
{
	_cleanup_saved_ struct tier_weights_saved *wider = calloc(1, sizeof(*wider));

	if (!wider)
		return -ENOMEM;
	wider->auto_weights = saved ? saved->auto_weights : plan->auto_weights;
	for (size_t i = 0; saved && i < saved->node_count; i++) {
		struct tier_weight_saved *node =
			array_grow(&wider->nodes, &wider->node_count, sizeof(*node));

		if (!node)
			return -ENOMEM;
		*node = saved->nodes[i];
	}
	for (size_t i = 0; i < plan->weight_count; i++) {
		const struct tier_weight *weight = &plan->weights[i];
		struct tier_weight_saved *node;

		if (weight->present <= 0 || find(wider, weight->node))
			continue;
		node = array_grow(&wider->nodes, &wider->node_count, sizeof(*node));
		if (!node)
			return -ENOMEM;
		*node = (struct tier_weight_saved){weight->node, (unsigned)weight->present,
						   (unsigned)weight->present};
	}
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_weight_step *step = &plan->steps[i];
		struct tier_weight_saved *node = find(wider, step->node);

		if (node)
			node->written = step->to;
		else
			wider->auto_written |= step->node == TIER_ABSENT_NODE;
	}
	if (wider->node_count > 0)
		qsort(wider->nodes, wider->node_count, sizeof(*wider->nodes), compare);
	*ret = TAKE(wider);
	return 0;
}

static int describe(struct tier_problem *problem, const struct tier_weight_step *step, int r)
{
	char object[32];

	if (step->node == TIER_ABSENT_NODE)
		return tier_problem_set(problem, r, "weighted_interleave/auto",
					r == -ENODEV ? "firmware tells no bandwidths; "
						       "InterleaveWeights=auto, tierctl calibrate"
						     : "tierctl weights",
					"cannot leave the interleave weights to the kernel");
	snprintf(object, sizeof(object), "node%d", step->node);
	return tier_problem_set(problem, r, object, "tierctl weights",
				"cannot set its interleave weight to %u instead of %u; the others "
				"are as before",
				step->to, step->from);
}

/* What cannot be undone has gone with its node, or is left for tier_weights_restore(). */
static void undo(const struct sysfs *sysfs, const struct tier_weights_plan *plan, size_t done)
{
	if (done > 0 && plan->auto_weights == 1 && write_auto(sysfs) == 0)
		return;
	while (done-- > 0)
		if (plan->steps[done].node != TIER_ABSENT_NODE)
			(void)write_weight(sysfs, plan->steps[done].node, plan->steps[done].from);
}

int tier_weights_apply(const char *sysroot, const struct tier_weights_plan *plan,
		       struct tier_weights_saved **saved, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_saved_ struct tier_weights_saved *wider = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = extend(*saved, plan, &wider);
	if (r < 0)
		return tier_problem_set(problem, r, "weighted_interleave", NULL,
					"cannot set interleave weights");
	r = store(sysroot, wider, problem);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_weight_step *step = &plan->steps[i];

		r = step->node == TIER_ABSENT_NODE ? write_auto(&sysfs)
						   : write_weight(&sysfs, step->node, step->to);
		if (r == 0)
			continue;
		undo(&sysfs, plan, i);
		(void)store(sysroot, *saved, NULL);
		return describe(problem, step, r);
	}
	tier_weights_saved_free(*saved);
	*saved = TAKE(wider);
	return 0;
}

int tier_weights_refresh(const char *sysroot, const struct tier_weights_plan *plan,
			 struct tier_weights_saved **saved, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_saved_ struct tier_weights_saved *wider = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = extend(*saved, plan, &wider);
	if (r < 0)
		return tier_problem_set(problem, r, "weighted_interleave", NULL,
					"cannot have the kernel compute its weights");
	r = store(sysroot, wider, problem);
	if (r < 0)
		return r;
	r = sysfs_write(&sysfs, "0", "%s/auto", directory);
	if (r == 0) {
		r = write_auto(&sysfs);
		if (r < 0) {
			tier_weights_saved_free(*saved);
			*saved = TAKE(wider);
			return describe(problem, &(struct tier_weight_step){TIER_ABSENT_NODE, 0, 1},
					r);
		}
	}
	(void)store(sysroot, *saved, NULL);
	return r == 0 ? 0
		      : tier_problem_set(problem, r, "weighted_interleave/auto", "tierctl weights",
					 "cannot have the kernel compute its weights; they are as "
					 "before");
}

/* The weights themselves; those of nodes that have gone are nobody's. */
static int restore_nodes(const struct sysfs *sysfs, const struct tier_weights_saved *saved,
			 char left[static 160], struct tier_problem *problem)
{
	int result = 0;

	for (size_t i = 0; i < saved->node_count; i++) {
		const struct tier_weight_saved *node = &saved->nodes[i];
		int present, r;

		if (sysfs_read_int(sysfs, &present, "%s/node%d", directory, node->node) != 0)
			continue;
		if (present == (int)node->before)
			continue;
		if (present != (int)node->written) {
			snprintf(left, 160,
				 "node %d has the weight %d by another hand, which stays",
				 node->node, present);
			continue;
		}
		r = write_weight(sysfs, node->node, node->before);
		if (r < 0 && r != -ENOENT)
			result = describe(
				problem,
				&(struct tier_weight_step){node->node, node->written, node->before},
				r);
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

		if (sysfs_read_int(sysfs, &present, "%s/node%d", directory, node->node) != 0 ||
		    present == (int)node->before || present == (int)node->written)
			continue;
		snprintf(left, 160, "node %d has the weight %d by another hand: all of them stay",
			 node->node, present);
		return false;
	}
	return true;
}

/* The kernel has computed all of them since. */
static int restore_after_auto(const struct sysfs *sysfs, const struct tier_weights_saved *saved,
			      struct tier_problem *problem)
{
	int result = 0;

	for (size_t i = 0; i < saved->node_count; i++) {
		const struct tier_weight_saved *node = &saved->nodes[i];
		int r = write_weight(sysfs, node->node, node->before);

		if (r < 0 && r != -ENOENT)
			result = describe(
				problem,
				&(struct tier_weight_step){node->node, node->written, node->before},
				r);
	}
	return result;
}

static int restore(const struct sysfs *sysfs, const struct tier_weights_saved *saved,
		   char left[static 160], struct tier_problem *problem)
{
	bool automatic = false;
	int r;

	if (!sysfs_exists(sysfs, "%s", directory))
		return 0;
	if (saved->auto_weights == TIER_UNKNOWN_INT)
		return restore_nodes(sysfs, saved, left, problem);
	r = sysfs_read_bool(sysfs, &automatic, "%s/auto", directory);
	if (r < 0)
		return tier_problem_set(problem, r, "weighted_interleave/auto", NULL,
					"cannot be read");
	if (saved->auto_weights == 0) {
		/* The kernel's mode, which somebody else has chosen since. */
		if (automatic && !saved->auto_written) {
			snprintf(left, 160, "the kernel's own mode is on by another hand");
			return 0;
		}
		return saved->auto_written ? restore_after_auto(sysfs, saved, problem)
					   : restore_nodes(sysfs, saved, left, problem);
	}
	if (automatic || !is_ours(sysfs, saved, left))
		return 0;
	r = write_auto(sysfs);
	if (r != -ENODEV)
		return r == 0 ? 0
			      : describe(problem,
					 &(struct tier_weight_step){TIER_ABSENT_NODE, 0, 1}, r);
	/* Without any bandwidth its weights are what they were at boot, and it cannot go back to them by itself. */
	snprintf(left, 160,
		 "the kernel knows no bandwidth and refuses its own mode; the weights are those of "
		 "before");
	return restore_nodes(sysfs, saved, left, problem);
}

int tier_weights_restore(const char *sysroot, struct tier_weights_saved **saved,
			 char ret_left[static 160], struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, sysroot);

	ret_left[0] = '\0';
	if (r < 0)
		return tier_problem_set(problem, r, "weighted_interleave", NULL,
					"cannot restore interleave weights");
	r = restore(&sysfs, *saved, ret_left, problem);
	if (r == 0)
		r = store(sysroot, NULL, problem);
	if (r == 0)
		*saved = tier_weights_saved_free(*saved);
	return r;
}

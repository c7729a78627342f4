/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <unistd.h>

#include "file-replace.h"
#include "interleave.h"
#include "util.h"

/*
 * Writing a node's weight takes the kernel out of its own mode, and all other weights stay as they are; writing 1 to
 * "auto" makes it compute all of them anew. What was there is in a file before anything is written, so that whoever
 * comes after a kill knows.
 */
DEFINE_CLEANUP(struct tier_weights_saved *, tier_weights_saved_free)
#define _cleanup_saved_ _cleanup_(tier_weights_saved_freep)

int interleave_write(const struct sysfs *sysfs, int node, unsigned weight)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", weight);
	r = sysfs_write(sysfs, text, INTERLEAVE_DIRECTORY "/node%d", node);
	/* kernfs says ENODEV of a file that goes while it is open; node_store() never does. */
	return r == -ENOENT || r == -ENODEV ? INTERLEAVE_GONE : r;
}

int interleave_write_auto(const struct sysfs *sysfs)
{
	return sysfs_write(sysfs, "1", INTERLEAVE_DIRECTORY "/auto");
}

static const char *saved_path(const char *sysroot, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s%s", sysroot ?: "", TIER_WEIGHTS_PATH);
	return path;
}

int interleave_store(const char *sysroot, const struct tier_weights_saved *saved,
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

/* Of a node's two weights by cxl-tierd, only the one that is there has been written. */
static void settle(struct tier_weight_saved *node, int present)
{
	if (present == (int)node->next)
		node->written = node->next;
	else if (present == (int)node->written)
		node->next = node->written;
}

static int copy(const struct tier_weights_saved *saved, struct tier_weights_saved *ret)
{
	for (size_t i = 0; i < saved->node_count; i++) {
		struct tier_weight_saved *node =
			array_grow(&ret->nodes, &ret->node_count, sizeof(*node));

		if (!node)
			return -ENOMEM;
		*node = saved->nodes[i];
	}
	return 0;
}

/* What was there before, what has been written, and what is about to be. */
static int extend(const struct tier_weights_saved *saved, const struct tier_weights_plan *plan,
		  struct tier_weights_saved **ret)
{
	_cleanup_saved_ struct tier_weights_saved *wider = calloc(1, sizeof(*wider));

	if (!wider || (saved && copy(saved, wider) < 0))
		return -ENOMEM;
	wider->auto_weights = saved ? saved->auto_weights : plan->auto_weights;
	/* With its mode on, it is the kernel's own that are written over. */
	wider->wrong_figures = plan->auto_weights == 1 ? plan->figures
			       : saved		       ? saved->wrong_figures
						       : 0;
	for (size_t i = 0; i < plan->weight_count; i++) {
		const struct tier_weight *weight = &plan->weights[i];
		struct tier_weight_saved *node;
		unsigned present = (unsigned)weight->present;

		if (weight->present <= 0)
			continue;
		node = find(wider, weight->node);
		if (node) {
			settle(node, weight->present);
			if (saved->auto_written && plan->auto_weights == 1)
				node->written = node->next = present;
			continue;
		}
		node = array_grow(&wider->nodes, &wider->node_count, sizeof(*node));
		if (!node)
			return -ENOMEM;
		*node = (struct tier_weight_saved){weight->node, present, present, present};
	}
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_weight_step *step = &plan->steps[i];
		struct tier_weight_saved *node = find(wider, step->node);

		if (node)
			node->next = step->to;
		else
			wider->auto_written |= step->node == TIER_ABSENT_NODE;
	}
	if (wider->node_count > 0)
		qsort(wider->nodes, wider->node_count, sizeof(*wider->nodes), compare);
	*ret = TAKE(wider);
	return 0;
}

int interleave_describe(struct tier_problem *problem, const struct tier_weight_step *step, int r,
			const char *others)
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
				"cannot set its interleave weight to %u instead of %u%s", step->to,
				step->from, others);
}

/* True: all is as before, the kernel's mode as well. */
static bool undo(const struct sysfs *sysfs, const struct tier_weights_plan *plan, size_t done)
{
	bool all = done == 0 || plan->auto_weights != 1;

	if (!all && interleave_write_auto(sysfs) == 0)
		return true;
	while (done-- > 0)
		if (plan->steps[done].node != TIER_ABSENT_NODE &&
		    interleave_write(sysfs, plan->steps[done].node, plan->steps[done].from) < 0)
			all = false;
	return all;
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
	r = interleave_store(sysroot, wider, problem);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_weight_step *step = &plan->steps[i];

		r = step->node == TIER_ABSENT_NODE ? interleave_write_auto(&sysfs)
						   : interleave_write(&sysfs, step->node, step->to);
		if (r == 0 || r == INTERLEAVE_GONE)
			continue;
		if (undo(&sysfs, plan, i)) {
			(void)interleave_store(sysroot, *saved, NULL);
			return interleave_describe(problem, step, r, "; the others are as before");
		}
		/* What is there now is in the file, and is cxl-tierd's. */
		tier_weights_saved_free(*saved);
		*saved = TAKE(wider);
		return interleave_describe(problem, step, r,
					   "; not all others, or not the kernel's mode, are as "
					   "before");
	}
	for (size_t i = 0; i < wider->node_count; i++)
		wider->nodes[i].written = wider->nodes[i].next;
	/* Without it, weights count as ours which are not any more. */
	(void)interleave_store(sysroot, wider, NULL);
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
	r = interleave_store(sysroot, wider, problem);
	if (r < 0)
		return r;
	r = sysfs_write(&sysfs, "0", INTERLEAVE_DIRECTORY "/auto");
	if (r == 0) {
		r = interleave_write_auto(&sysfs);
		if (r < 0) {
			tier_weights_saved_free(*saved);
			*saved = TAKE(wider);
			return interleave_describe(
				problem, &(struct tier_weight_step){TIER_ABSENT_NODE, 0, 1}, r, "");
		}
	}
	(void)interleave_store(sysroot, *saved, NULL);
	return r == 0 ? 0
		      : tier_problem_set(problem, r, "weighted_interleave/auto", "tierctl weights",
					 "cannot have the kernel compute its weights; they are as "
					 "before");
}

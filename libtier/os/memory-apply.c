/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-apply.h"

#include "online-plan.h"

/* How to take one step back: the state that it found. */
struct undo {
	enum { UNDO_BLOCK, UNDO_PLUG, UNDO_BIND } kind;
	const char *region; /* borrowed from the step */
	uint64_t block;
	enum tier_zone zone; /* NONE: was offline */
	char dax[32];
	enum tier_dax_mode mode;
	bool unplugged; /* had no blocks */
};

struct apply {
	struct sysfs sysfs;
	struct undo *undos; /* of the region in hand */
	size_t undo_count;
	struct tier_problem *problem;
};

static void apply_done(struct apply *apply)
{
	sysfs_done(&apply->sysfs);
	free(apply->undos);
	apply->undos = NULL;
}

static struct undo *add_undo(struct apply *apply)
{
	return array_grow(&apply->undos, &apply->undo_count, sizeof(*apply->undos));
}

/* Steps that mean a whole device become one per block, so that each can be counted and undone. */
static int expand(struct apply *apply, const struct tier_plan *plan, struct tier_plan *expanded)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_step *step = &plan->steps[i];
		bool whole = step->block == TIER_UNKNOWN_U64 &&
			     step->action != TIER_STEP_BIND_RAM &&
			     step->action != TIER_STEP_BIND_DEVDAX;
		_cleanup_free_ uint64_t *blocks = NULL;
		size_t count = 1;
		int r = whole ? memory_dax_blocks(&apply->sysfs, step->dax, &blocks, &count,
						  apply->problem)
			      : 0;

		if (r < 0)
			return r;
		for (size_t b = 0; b < count; b++) {
			struct tier_step *copy =
				array_grow(&expanded->steps, &expanded->step_count, sizeof(*copy));
			if (!copy)
				return tier_problem_set(apply->problem, -ENOMEM, step->region, NULL,
							"cannot prepare its steps");
			*copy = *step;
			if (whole)
				copy->block =
					blocks[step->action == TIER_STEP_OFFLINE ? count - 1 - b
										 : b];
		}
	}
	return 0;
}

static int run_bind(struct apply *apply, const struct tier_step *step)
{
	bool ram = step->action == TIER_STEP_BIND_RAM;
	enum tier_dax_mode before;
	char text[32] = "";
	int r = memory_dax_mode(&apply->sysfs, step->dax, &before);

	if (r < 0)
		return tier_problem_set(apply->problem, r, step->dax, NULL,
					"cannot read its driver");
	/* The kernel would online all of it at once, in a zone of its choice, perhaps for good. */
	if (ram && before != TIER_DAX_SYSTEM_RAM) {
		(void)sysfs_read_string(&apply->sysfs, text, sizeof(text),
					"sys/devices/system/memory/auto_online_blocks");
		if (!streq(text, "offline"))
			return tier_problem_set(
				apply->problem, TIER_E_REFUSED, step->region,
				"boot with memhp_default_state=offline; see tierctl doctor",
				"cannot choose its zone: the kernel onlines new memory by itself "
				"(auto_online_blocks is \"%s\")",
				text);
	}
	/* Memory first: once it is bound, it must be possible to say how to go back. */
	struct undo *undo = add_undo(apply);
	if (!undo)
		return tier_problem_set(apply->problem, -ENOMEM, step->dax, NULL, "cannot bind it");
	*undo = (struct undo){.kind = UNDO_BIND, .region = step->region, .mode = before};
	copy_string(undo->dax, sizeof(undo->dax), step->dax);
	r = memory_dax_bind(&apply->sysfs, step->dax, ram ? TIER_DAX_SYSTEM_RAM : TIER_DAX_DEVDAX,
			    apply->problem);
	if (r < 0)
		apply->undo_count--;
	return r;
}

static int run_block(struct apply *apply, const struct tier_step *step)
{
	enum tier_zone before = TIER_ZONE_NONE;
	struct undo *undo = add_undo(apply);
	bool changed = false;
	int r;

	if (!undo)
		return tier_problem_set(apply->problem, -ENOMEM, step->region, NULL,
					"cannot change its memory blocks");
	if (step->action == TIER_STEP_OFFLINE) {
		r = memory_block_offline(&apply->sysfs, step->region, step->block, &before,
					 apply->problem);
		changed = before != TIER_ZONE_NONE;
	} else {
		r = memory_block_online(&apply->sysfs, step->region, step->block,
					step->action == TIER_STEP_ONLINE_MOVABLE, &changed,
					apply->problem);
	}
	if (r < 0 || !changed) {
		apply->undo_count--;
		return r;
	}
	*undo = (struct undo){
		.kind = UNDO_BLOCK, .region = step->region, .block = step->block, .zone = before};
	return 0;
}

/* Onlined at once, nobody hears of it before the end; cxl-tierd has to be heard of. */
#define AT_ONCE_BLOCKS 4096

/* How many blocks of its device go online from this step on, if it is the first of them. */
static size_t first_of(const struct tier_plan *plan, size_t at)
{
	const struct tier_step *step = &plan->steps[at];
	size_t end = at;

	if ((step->action != TIER_STEP_ONLINE_MOVABLE && step->action != TIER_STEP_ONLINE_KERNEL) ||
	    !step->dax[0] ||
	    (at > 0 && step[-1].action == step->action && streq(step[-1].dax, step->dax)))
		return 0;
	while (end < plan->step_count && plan->steps[end].action == step->action &&
	       streq(plan->steps[end].dax, step->dax))
		end++;
	return end - at;
}

/*
 * If these are all of a device's blocks, and the kernel has a way to online a device: at once. The steps
 * then find each block online, or online what the kernel has passed over.
 */
static int run_device(struct apply *apply, const struct tier_step *step, size_t count)
{
	_cleanup_free_ uint64_t *blocks = NULL;
	struct undo *undo;
	bool changed;
	size_t all = 0;
	int r;

	if (count > AT_ONCE_BLOCKS ||
	    !sysfs_exists(&apply->sysfs, "sys/bus/dax/devices/%s/state", step->dax))
		return 0;
	r = memory_dax_blocks(&apply->sysfs, step->dax, &blocks, &all, apply->problem);
	if (r < 0 || all != count || !memory_plug_can(&apply->sysfs, step->dax, blocks, count))
		return r;
	undo = add_undo(apply);
	if (!undo)
		return tier_problem_set(apply->problem, -ENOMEM, step->region, NULL,
					"cannot online its memory");
	*undo = (struct undo){.kind = UNDO_PLUG, .region = step->region};
	copy_string(undo->dax, sizeof(undo->dax), step->dax);
	r = memory_plug(&apply->sysfs, step->region, step->dax,
			step->action == TIER_STEP_ONLINE_MOVABLE, &undo->unplugged, &changed,
			apply->problem);
	if (!changed)
		apply->undo_count--;
	return r;
}

static int undo_one(struct apply *apply, const struct undo *undo, struct tier_problem *problem)
{
	enum tier_zone zone;
	bool changed;
	int r;

	if (undo->kind == UNDO_BIND)
		return memory_dax_bind(&apply->sysfs, undo->dax, undo->mode, problem);
	if (undo->kind == UNDO_PLUG) {
		r = memory_unplug(&apply->sysfs, undo->region, undo->dax, problem);
		/* Bound anew, it has its blocks again, offline. */
		if (r == 0 && !undo->unplugged)
			r = memory_dax_bind(&apply->sysfs, undo->dax, TIER_DAX_DISABLED, problem);
		return r == 0 && !undo->unplugged ? memory_dax_bind(&apply->sysfs, undo->dax,
								    TIER_DAX_SYSTEM_RAM, problem)
						  : r;
	}
	if (undo->zone == TIER_ZONE_NONE)
		return memory_block_offline(&apply->sysfs, undo->region, undo->block, &zone,
					    problem);
	return memory_block_online(&apply->sysfs, undo->region, undo->block,
				   undo->zone == TIER_ZONE_MOVABLE, &changed, problem);
}

/* Undoes all that can be; what cannot is told as the next step of the problem. */
static void roll_back(struct apply *apply)
{
	struct tier_problem problem, first = {};
	size_t failed = 0;

	while (apply->undo_count > 0) {
		if (undo_one(apply, &apply->undos[apply->undo_count - 1], &problem) != 0 &&
		    failed++ == 0)
			first = problem;
		apply->undo_count--;
	}
	if (failed > 0 && apply->problem)
		snprintf(apply->problem->next, sizeof(apply->problem->next),
			 "%zu steps back failed as well: %.80s: %.120s", failed, first.object,
			 first.text);
}

int tier_plan_apply(const struct tier_plan *plan,
		    int (*progress)(void *userdata, size_t done, size_t total,
				    const struct tier_step *step),
		    void *userdata, struct tier_problem *problem)
{
	_cleanup_(apply_done) struct apply apply = {.sysfs = SYSFS_CLOSED, .problem = problem};
	_cleanup_plan_ struct tier_plan *expanded = calloc(1, sizeof(*expanded));
	int r;

	if (plan->step_count == 0)
		return 0;
	r = expanded ? sysfs_open(&apply.sysfs, NULL) : -ENOMEM;
	if (r < 0)
		return tier_problem_set(problem, r, plan->steps[0].region, NULL,
					"cannot open sysfs");
	r = expand(&apply, plan, expanded);
	if (r < 0)
		return r;
	for (size_t i = 0; i < expanded->step_count; i++) {
		const struct tier_step *step = &expanded->steps[i];

		/* A region that is complete stays as it is, whatever happens to the next. */
		if (i > 0 && !streq(step->region, expanded->steps[i - 1].region))
			apply.undo_count = 0;
		size_t count = first_of(expanded, i);

		r = count > 0 ? run_device(&apply, step, count) : 0;
		if (r == 0)
			r = step->action == TIER_STEP_BIND_RAM ||
					    step->action == TIER_STEP_BIND_DEVDAX
				    ? run_bind(&apply, step)
				    : run_block(&apply, step);
		if (r == 0 && progress &&
		    progress(userdata, i + 1, expanded->step_count, step) != 0)
			r = tier_problem_set(problem, TIER_E_CANCELLED, step->region, NULL,
					     "cancelled after %zu of %zu steps", i + 1,
					     expanded->step_count);
		if (r != 0) {
			roll_back(&apply);
			return r;
		}
	}
	return 0;
}

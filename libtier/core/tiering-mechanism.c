// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tier-tiering-kernel.h"
#include "util.h"

#define TROUBLE_USEC  (UINT64_C(300) * 1000000)
#define WAIT_USEC     (UINT64_C(60) * 1000000)
#define WAIT_MAX_USEC (UINT64_C(3600) * 1000000)

int tier_tiering_kernel_nodes(const struct tier_topology *topology, struct tier_problem *problem)
{
	bool fast = false, slow = false;

	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];
		bool typed = node->type == TIER_MEMORY_SHARED || node->type == TIER_MEMORY_SWITCHED;

		if (!node->has_memory || node->total_bytes == 0)
			continue;
		if (typed && !node->type_by_kernel)
			return tier_problem_set(
				problem, TIER_E_REFUSED, "tiering",
				"boot a kernel with the patches of kernel/series, or take that "
				"memory offline",
				"node%d is shared, and this kernel does not keep ordinary memory "
				"off it",
				node->id);
		fast |= !typed && node->has_cpu;
		slow |= !typed && !node->has_cpu;
	}
	if (!fast || !slow)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "tiering",
					"online a private region: tierctl list",
					"there is no node %s to tier with",
					fast ? "without processors that has ordinary memory"
					     : "with processors and memory");
	return 0;
}

const char *tier_mechanism_name(enum tier_mechanism mechanism)
{
	static const char *const names[] = {
		[TIER_MECHANISM_NONE] = "none",
		[TIER_MECHANISM_DAMON] = "damon",
		[TIER_MECHANISM_KERNEL] = "kernel",
		[TIER_MECHANISM_IDLE] = "idle",
	};

	return mechanism < ARRAY_SIZE(names) ? names[mechanism] : "unknown";
}

static const char *text_of(int code, const struct tier_problem *problem)
{
	return problem && problem->text[0] ? problem->text : tier_strerror(code);
}

/* A kernel or nodes that lack something lack it in an hour, too. */
static bool lasting(int code)
{
	return code == TIER_E_NOT_FOUND || code == TIER_E_REFUSED;
}

static void note_damon(const struct tier_mechanism_input *input, struct tier_mechanism_state *state)
{
	if (input->damon == 0) {
		state->trouble_usec = 0;
		if (!state->good_usec)
			state->good_usec = MAX(input->now_usec, 1);
	} else {
		state->good_usec = 0;
		if (!state->trouble_usec || input->passing)
			state->trouble_usec = MAX(input->now_usec, 1);
	}
}

/* Whether DAMON is to have it: from what is in use now, only after a while. */
static bool by_damon(const struct tier_mechanism_input *input, struct tier_mechanism_state *state)
{
	if (input->kernel && input->idle)
		return input->damon == 0 || !lasting(input->damon);
	if (state->now == TIER_MECHANISM_KERNEL || state->now == TIER_MECHANISM_IDLE)
		return input->damon == 0 &&
		       input->now_usec >= state->good_usec + (state->wait_usec ?: WAIT_USEC);
	return input->damon == 0 ||
	       (!lasting(input->damon) && input->now_usec < state->trouble_usec + TROUBLE_USEC);
}

static enum tier_mechanism choose(const struct tier_mechanism_input *input,
				  struct tier_mechanism_state *state)
{
	if (input->wanted == TIER_TIERING_BY_DAMON)
		return TIER_MECHANISM_DAMON;
	if (input->wanted == TIER_TIERING_BY_AUTO && by_damon(input, state))
		return TIER_MECHANISM_DAMON;
	if (input->wanted != TIER_TIERING_BY_IDLE && input->kernel == 0)
		return TIER_MECHANISM_KERNEL;
	if (input->wanted != TIER_TIERING_BY_KERNEL && input->idle == 0)
		return TIER_MECHANISM_IDLE;
	return TIER_MECHANISM_NONE;
}

/* Each once: nodes that lack something are in the way of all. */
static void explain_none(const struct tier_mechanism_input *input, char *text, size_t size)
{
	const char *damon = text_of(input->damon, input->damon_problem);
	const char *kernel = text_of(input->kernel, input->kernel_problem);
	const char *idle = text_of(input->idle, input->idle_problem);
	int used;

	if (input->wanted != TIER_TIERING_BY_AUTO) {
		snprintf(text, size, "%s", input->wanted == TIER_TIERING_BY_IDLE ? idle : kernel);
		return;
	}
	if (strcmp(kernel, damon) == 0 && strcmp(idle, damon) == 0) {
		snprintf(text, size, "%s", damon);
		return;
	}
	used = snprintf(text, size, "not by DAMON: %.200s; nor by the kernel: %.200s", damon,
			kernel);
	if (strcmp(idle, damon) != 0)
		snprintf(text + used, size - (size_t)used, "; nor by idle page tracking: %.150s",
			 idle);
}

/* Why not the better one, or why none. */
static void explain(const struct tier_mechanism_input *input, struct tier_mechanism_choice *choice)
{
	const char *damon = input->damon ? text_of(input->damon, input->damon_problem)
					 : "it could not until a moment ago";
	char *text = choice->reason;
	size_t size = sizeof(choice->reason);

	if (choice->mechanism == TIER_MECHANISM_NONE)
		explain_none(input, text, size);
	else if (choice->mechanism == TIER_MECHANISM_DAMON)
		return;
	else if (input->wanted != TIER_TIERING_BY_AUTO)
		snprintf(text, size, "Mechanism=%s", tier_mechanism_name(choice->mechanism));
	else if (choice->mechanism == TIER_MECHANISM_KERNEL)
		snprintf(text, size, "not by DAMON: %.600s", damon);
	else
		snprintf(text, size, "not by DAMON: %.280s; nor by the kernel: %.280s", damon,
			 text_of(input->kernel, input->kernel_problem));
}

void tier_mechanism_choose(const struct tier_mechanism_input *input,
			   struct tier_mechanism_state *state, struct tier_mechanism_choice *ret)
{
	struct tier_mechanism_choice choice = {};

	note_damon(input, state);
	choice.mechanism = choose(input, state);
	/* Given up for trouble that may come again. */
	if (choice.mechanism != TIER_MECHANISM_DAMON && state->now == TIER_MECHANISM_DAMON &&
	    input->wanted == TIER_TIERING_BY_AUTO && !lasting(input->damon))
		state->wait_usec =
			state->wait_usec ? MIN(2 * state->wait_usec, WAIT_MAX_USEC) : WAIT_USEC;
	state->now = choice.mechanism;
	explain(input, &choice);
	*ret = choice;
}

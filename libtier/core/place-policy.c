/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From nodes to a policy of the kernel. */
#include "place.h"

static bool is_empty(const struct tier_node_set *set)
{
	for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
		if (set->bits[i])
			return false;
	return true;
}

int tier_place_policy(const struct tier_place *place, enum tier_place_how how,
		      const struct tier_policy_kernel *kernel, struct tier_policy *ret,
		      struct tier_problem *problem)
{
	struct tier_policy policy = {.mode = TIER_POLICY_BIND, .nodes = place->taken};

	if (how == TIER_PLACE_WEIGHTED && !kernel->weighted)
		return tier_problem_set(problem, TIER_E_REFUSED, "--weighted",
					"use --interleave, or Linux 6.9 or later",
					"this kernel has no weighted interleave");
	switch (how) {
	case TIER_PLACE_INTERLEAVE:
	case TIER_PLACE_WEIGHTED:
		/* Also while all weights are the same: the policy outlives them. */
		policy.mode =
			kernel->weighted ? TIER_POLICY_WEIGHTED_INTERLEAVE : TIER_POLICY_INTERLEAVE;
		break;
	default:
		if (how == TIER_PLACE_PREFERRED || place->tier == TIER_PLACE_AUTO)
			policy.mode = TIER_POLICY_PREFERRED_MANY;
		/* What is not preferred is what the kernel falls back to by itself. */
		if (place->tier == TIER_PLACE_AUTO)
			policy.nodes = place->dram;
		break;
	}
	if (is_empty(&policy.nodes))
		return tier_problem_set(problem, TIER_E_REFUSED, "nodes",
					"the nodes: tierctl nodes",
					"no node of DRAM fits, which auto prefers");
	*ret = policy;
	return 0;
}

const char *tier_policy_mode_name(enum tier_policy_mode mode)
{
	static const char *const names[] = {
		[TIER_POLICY_BIND] = "MPOL_BIND",
		[TIER_POLICY_PREFERRED_MANY] = "MPOL_PREFERRED_MANY",
		[TIER_POLICY_INTERLEAVE] = "MPOL_INTERLEAVE",
		[TIER_POLICY_WEIGHTED_INTERLEAVE] = "MPOL_WEIGHTED_INTERLEAVE",
	};

	return (size_t)mode < ARRAY_SIZE(names) ? names[mode] : "unknown";
}

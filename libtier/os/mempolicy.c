/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NUMA memory policies of this process. */
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sysfs.h"
#include "tier-place.h"
#include "util.h"

static_assert(sizeof(unsigned long) == sizeof(uint64_t), "a node set is what the kernel reads");

/* The kernel reads one bit less than it is told. */
#define MAXNODE (TIER_NODES_MAX + 1UL)

/* Not by libnuma: it is loaded once with the nodes of that moment, and checks against them. */
int tier_policy_read(struct tier_policy_kernel *ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	struct tier_policy_kernel kernel = {};
	int r;

	if (syscall(SYS_get_mempolicy, NULL, kernel.allowed.bits, MAXNODE, NULL,
		    MPOL_F_MEMS_ALLOWED) < 0)
		return tier_problem_set(problem, -errno, "nodes", NULL,
					"cannot read which ones this process may use");
	r = sysfs_open(&sysfs, NULL);
	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot open it");
	kernel.weighted = sysfs_exists(&sysfs, "sys/kernel/mm/mempolicy/weighted_interleave");
	*ret = kernel;
	return 0;
}

int tier_policy_set(const struct tier_policy *policy, struct tier_problem *problem)
{
	static const int modes[] = {
		[TIER_POLICY_BIND] = MPOL_BIND,
		[TIER_POLICY_PREFERRED_MANY] = MPOL_PREFERRED_MANY,
		[TIER_POLICY_INTERLEAVE] = MPOL_INTERLEAVE,
		[TIER_POLICY_WEIGHTED_INTERLEAVE] = MPOL_WEIGHTED_INTERLEAVE,
	};

	if (syscall(SYS_set_mempolicy, modes[policy->mode] | MPOL_F_STATIC_NODES,
		    policy->nodes.bits, MAXNODE) < 0)
		return tier_problem_set(problem, -errno, tier_policy_mode_name(policy->mode),
					"the nodes: tierctl nodes", "cannot set this policy");
	return 0;
}

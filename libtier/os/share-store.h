/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_SHARE_STORE_H
#define TIER_OS_SHARE_STORE_H

#include "sysfs.h"
#include "tier-share.h"

#define SHARE_DIRECTORY "run/cxl-tier/policy"

/* As tier_share_load(); a cgroup that is gone, or a process whose number another has, says nothing. */
int share_load_cgroup(const char *directory, struct tier_share *ret, struct tier_problem *problem);
int share_load_process(const struct sysfs *root, pid_t pid, struct tier_share *ret,
		       struct tier_problem *problem);

#endif

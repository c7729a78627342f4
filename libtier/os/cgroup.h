/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_CGROUP_H
#define TIER_OS_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "tier-error.h"

/*
 * Calls @each with the process ids of a cgroup and all below it, 0 for one of another PID namespace. What
 * goes away meanwhile is left out. Returns 0; what @each returned if it was not 0; -ENOENT if @path is no
 * cgroup; other negative errno.
 */
int cgroup_processes(const char *path, int (*each)(void *userdata, pid_t pid), void *userdata);

/*
 * The cgroup of that name somewhere below @top. Only root's directories are looked through: in the others
 * users make what names they like, and would choose whose processes root moves. As tier_cgroup_find().
 */
int cgroup_search(const char *name, const char *top, char **ret, struct tier_problem *problem);

/* Where cgroups of version 2 are mounted; NULL: nowhere. */
const char *cgroup_mount_point(void);

/*
 * Calls @each with every cgroup: its directory, its path below the root, "/" for the root itself, and whether only
 * root can have given it that name. Returns 0; what @each returned if it was not 0; negative errno.
 */
int cgroup_each(int (*each)(void *userdata, const char *directory, const char *path,
			    bool named_by_root),
		void *userdata);

/* Path below the root of the cgroup that a process is in, "" if it cannot be told. */
struct sysfs;
void cgroup_of_process(const struct sysfs *root, pid_t pid, char *path, size_t size);

#endif

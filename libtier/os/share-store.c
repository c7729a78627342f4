/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cgroup's policy is an attribute of its directory, and goes with it; a process' is a file that names the process. */
#include <inttypes.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file-replace.h"
#include "mover-process.h"
#include "share-store.h"
#include "util.h"

static int parse(const char *text, const char *object, struct tier_share *ret,
		 struct tier_problem *problem)
{
	const char *reason = NULL;

	if (tier_share_parse(text, ret, &reason) == 0)
		return 0;
	return tier_problem_set(problem, TIER_E_DAMAGED, object, "tierctl policy clear",
				"its policy is not understood: %s", reason);
}

int share_load_cgroup(const char *directory, struct tier_share *ret, struct tier_problem *problem)
{
	char text[TIER_SHARE_TEXT_MAX];
	ssize_t n = getxattr(directory, TIER_SHARE_XATTR, text, sizeof(text) - 1);

	*ret = (struct tier_share){};
	/* ENOENT: removed since. */
	if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP || errno == ENOENT))
		return 0;
	if (n < 0)
		return tier_problem_set(problem, -errno, directory, NULL,
					"its policy cannot be read");
	text[n] = '\0';
	return parse(text, directory, ret, problem);
}

int share_load_process(const struct sysfs *root, pid_t pid, struct tier_share *ret,
		       struct tier_problem *problem)
{
	struct process_identity then, now;
	_cleanup_free_ char *text = NULL;
	char object[32];
	int length = 0, r = sysfs_read_text(root, &text, SHARE_DIRECTORY "/%d", pid);

	*ret = (struct tier_share){};
	if (r == SYSFS_ABSENT)
		return 0;
	snprintf(object, sizeof(object), "process %d", pid);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, object, NULL,
					"its policy cannot be read");
	if (sscanf(text, "%" SCNu64 " %" SCNu64 "%n", &then.start_ticks, &then.stack, &length) != 2)
		return tier_problem_set(problem, TIER_E_DAMAGED, object, "tierctl policy clear",
					"its policy is not understood");
	/* Somebody else has its number by now. */
	if (mover_identify(root, pid, &now) != 0 || then.start_ticks != now.start_ticks)
		return 0;
	return parse(text + length, object, ret, problem);
}

int tier_share_load(const char *cgroup, pid_t pid, struct tier_share *ret,
		    struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs root = SYSFS_CLOSED;
	int r;

	if (cgroup)
		return share_load_cgroup(cgroup, ret, problem);
	r = sysfs_open(&root, NULL);
	return r ?: share_load_process(&root, pid, ret, problem);
}

static int store_cgroup(const char *directory, const struct tier_share *policy)
{
	char text[TIER_SHARE_TEXT_MAX];

	if (tier_share_says(policy)) {
		tier_share_format(policy, text);
		return setxattr(directory, TIER_SHARE_XATTR, text, strlen(text), 0) < 0 ? -errno
											: 0;
	}
	return removexattr(directory, TIER_SHARE_XATTR) < 0 && errno != ENODATA ? -errno : 0;
}

/* Files of processes that have ended. */
static void sweep(const struct sysfs *root)
{
	_cleanup_names_ struct sysfs_names names = {};
	char path[64];

	if (sysfs_list(root, &names, "", SHARE_DIRECTORY) != 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		if (sysfs_exists(root, "proc/%s", names.names[i]))
			continue;
		snprintf(path, sizeof(path), "/" SHARE_DIRECTORY "/%.20s", names.names[i]);
		(void)unlink(path);
	}
}

static int store_process(pid_t pid, const struct tier_share *policy)
{
	_cleanup_sysfs_ struct sysfs root = SYSFS_CLOSED;
	char path[64], said[TIER_SHARE_TEXT_MAX], text[TIER_SHARE_TEXT_MAX + 64];
	struct process_identity identity;
	int r = sysfs_open(&root, NULL);

	snprintf(path, sizeof(path), "/" SHARE_DIRECTORY "/%d", pid);
	/* Also of one that has ended since. */
	if (r == 0 && !tier_share_says(policy))
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	r = r ?: mover_identify(&root, pid, &identity);
	if (r)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n%s\n", identity.start_ticks,
		 identity.stack, tier_share_format(policy, said));
	sweep(&root);
	return file_replace(path, text, strlen(text));
}

int tier_share_store(const char *cgroup, pid_t pid, const struct tier_share *policy,
		     struct tier_problem *problem)
{
	char object[32];
	int r = cgroup ? store_cgroup(cgroup, policy) : store_process(pid, policy);

	snprintf(object, sizeof(object), "process %d", pid);
	if (r == -ESRCH)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, object, NULL, "no such process");
	if (r == -EPERM || r == -EACCES)
		return tier_problem_set(problem, -EPERM, cgroup ?: object, "do it as root",
					"its policy cannot be stored");
	if (r == -EOPNOTSUPP || r == -EROFS)
		return tier_problem_set(problem, r, cgroup ?: object, "use a [Policy] section",
					"its directory takes no attribute");
	return r < 0 ? tier_problem_set(problem, r, cgroup ?: object, NULL,
					"its policy cannot be stored")
		     : 0;
}

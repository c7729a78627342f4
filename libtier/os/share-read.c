/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup.h"
#include "share-store.h"
#include "share.h"
#include "tiering-mapping.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_share_groups *, tier_share_groups_free)

struct reading {
	struct sysfs root;
	const struct tier_config *config;
	const struct tier_tiering_nodes *nodes;
	struct tier_share_groups *groups;
	struct tier_problem *problem;
};

/* It is left out, and said. */
static void leave_out(struct reading *reading, const char *object, const char *reason)
{
	tier_problem_set(reading->problem, TIER_E_REFUSED, object, "see tierctl policy",
			 "its policy does not count: %s", reason);
	if (reading->problem)
		make_printable(reading->problem->object);
}

static int add(struct reading *reading, const char *path, pid_t pid, enum tier_share_source source,
	       const struct tier_share *policy)
{
	const char *wrong = tier_share_check(policy);

	if (wrong) {
		leave_out(reading, path, wrong);
		return 0;
	}
	return tier_share_says(policy) ? share_add(reading->groups, path, pid, source, policy) : 0;
}

static bool matches(const struct tier_config_policy *rule, const char *path, bool named_by_root)
{
	const char *name = strrchr(path, '/');

	if (rule->cgroup[0] == '/')
		return streq(rule->cgroup, path);
	/* Users choose what their cgroups are called, and not what policy counts for them. */
	return named_by_root && streq(rule->cgroup, name + 1);
}

static int on_cgroup(void *userdata, const char *directory, const char *path, bool named_by_root)
{
	struct reading *reading = userdata;
	struct tier_share policy;
	int r = 0;

	for (size_t i = 0; i < reading->config->policy_count && r == 0; i++) {
		const struct tier_config_policy *rule = &reading->config->policies[i];

		if (matches(rule, path, named_by_root))
			r = add(reading, path, 0, TIER_SHARE_CONFIG, &rule->policy);
	}
	if (r || share_load_cgroup(directory, &policy, reading->problem) != 0)
		return r;
	return add(reading, path, 0, TIER_SHARE_CGROUP, &policy);
}

static int add_processes(struct reading *reading)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(&reading->root, &names, "", SHARE_DIRECTORY);

	if (r == SYSFS_ABSENT || r == SYSFS_DENIED)
		return 0;
	for (size_t i = 0; i < names.count && r == 0; i++) {
		pid_t pid = (pid_t)strtol(names.names[i], NULL, 10);
		struct tier_share policy;
		char path[4096];

		if (share_load_process(&reading->root, pid, &policy, reading->problem) != 0)
			continue;
		cgroup_of_process(&reading->root, pid, path, sizeof(path));
		r = add(reading, path, pid, TIER_SHARE_PROCESS, &policy);
	}
	return r;
}

struct sum {
	struct reading *reading;
	struct tier_share_group *group;
};

static int add_bytes(void *userdata, pid_t pid)
{
	struct sum *sum = userdata;
	_cleanup_free_ char *text = NULL;
	char *save = NULL;

	if (pid == 0 || sysfs_read_text(&sum->reading->root, &text, "proc/%d/numa_maps", pid) != 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct tiering_mapping mapping;

		if (!tiering_mapping_parse(line, sum->reading->nodes, &mapping))
			continue;
		/* What several have counts once. */
		sum->group->fast_bytes += mapping.fast_bytes / MAX(mapping.mapped_by, 1);
		sum->group->slow_bytes += mapping.slow_bytes / MAX(mapping.mapped_by, 1);
	}
	return 0;
}

/* Without the memory controller, what its processes have. */
static void read_bytes(struct reading *reading, struct tier_share_group *group, bool all)
{
	const char *top = cgroup_mount_point();
	struct sum sum = {reading, group};
	_cleanup_free_ char *text = NULL, *directory = NULL;

	all = all || group->min_bytes || group->max_bytes != UINT64_MAX;
	if (group->pid) {
		if (all)
			(void)add_bytes(&sum, group->pid);
		return;
	}
	if (!top || asprintf(&directory, "%s%s", top, group->path) < 0) {
		directory = NULL;
		return;
	}
	if (sysfs_read_text(&reading->root, &text, "%s/memory.numa_stat", directory + 1) == 0) {
		group->fast_bytes = share_numa_stat(text, reading->nodes->fast);
		group->slow_bytes = share_numa_stat(text, reading->nodes->slow);
		return;
	}
	if (all)
		(void)cgroup_processes(directory, add_bytes, &sum);
}

int tier_share_groups_read(const struct tier_config *config, const struct tier_tiering_nodes *nodes,
			   uint64_t fast_total_bytes, bool all, struct tier_share_groups **ret,
			   struct tier_problem *problem)
{
	_cleanup_(tier_share_groups_freep) struct tier_share_groups *groups =
		calloc(1, sizeof(*groups));
	struct reading reading = {SYSFS_CLOSED, config, nodes, groups, problem};
	int r = groups ? sysfs_open(&reading.root, NULL) : -ENOMEM;

	if (r == 0) {
		groups->fast_total_bytes = fast_total_bytes;
		r = cgroup_each(on_cgroup, &reading);
		r = r < 0 ? r : add_processes(&reading);
		share_resolve(groups);
		for (size_t i = 0; i < groups->count && r == 0; i++)
			read_bytes(&reading, &groups->groups[i], all);
	}
	sysfs_done(&reading.root);
	if (r < 0)
		return tier_problem_set(problem, r, "/sys/fs/cgroup", NULL,
					"cannot see who has a policy");
	*ret = TAKE(groups);
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>

#include "cgroup.h"
#include "tier-share.h"
#include "tiering-process.h"
#include "util.h"

/* A number of kB in /proc/PID/status; 0 if it has none, as a kernel thread. */
static uint64_t status_bytes(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 10) * KIB : 0;
}

/* A cpuset may allow less; DAMON takes no notice of it. */
static bool may_use(const char *status, const struct tier_tiering_nodes *nodes)
{
	static const char name[] = "\nMems_allowed_list:";
	const char *at = strstr(status, name);
	char list[512];

	if (!at || sscanf(at + strlen(name), " %511s", list) != 1)
		return false;
	for (int node = 0; node < 64; node++)
		if (tiering_mask_has(nodes->fast | nodes->slow, node) &&
		    !list_has(list, (unsigned)node))
			return false;
	return true;
}

static enum tier_tiering_stay stay_of(const char *status, const struct tier_tiering_nodes *nodes,
				      uint64_t least_bytes)
{
	if (status_bytes(status, "\nVmRSS:") < least_bytes)
		return TIER_STAY_LEAST;
	if (!may_use(status, nodes))
		return TIER_STAY_CPUSET;
	if (status_bytes(status, "\nVmLck:") > 0)
		return TIER_STAY_LOCKED;
	return status_bytes(status, "\nVmPin:") > 0 ? TIER_STAY_PINNED : TIER_STAY_NOT;
}

/* Where the next mapping that begins at @start ends; both files have them in the same order. 0: there is none. */
static uint64_t end_of(char **maps, uint64_t start)
{
	uint64_t from, to;

	for (char *line; (line = strsep(maps, "\n"));)
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 && from >= start)
			return from == start ? to : 0;
	return 0;
}

static int read_ranges(const struct sysfs *sysfs, pid_t pid, const struct tier_tiering_nodes *nodes,
		       struct tiering_process *process)
{
	_cleanup_free_ char *numa_maps = NULL, *maps = NULL;
	char *rest, *at, *save = NULL;
	int r = sysfs_read_text(sysfs, &numa_maps, "proc/%d/numa_maps", pid);

	r = r ?: sysfs_read_text(sysfs, &maps, "proc/%d/maps", pid);
	if (r)
		return r;
	at = maps;
	for (rest = strtok_r(numa_maps, "\n", &save); rest; rest = strtok_r(NULL, "\n", &save)) {
		struct tiering_mapping mapping;
		struct tiering_range *range;
		uint64_t end;

		if (!tiering_mapping_parse(rest, nodes, &mapping))
			continue;
		end = end_of(&at, mapping.start);
		if (!end)
			continue;
		if (mapping.stay == TIER_STAY_NOT && tiering_mapping_is_sparse(&mapping, end))
			mapping.stay = TIER_STAY_SPARSE;
		range = array_grow(&process->ranges, &process->count, sizeof(*range));
		if (!range)
			return -ENOMEM;
		*range = (struct tiering_range){mapping, end};
	}
	return 0;
}

int tiering_process_read(const struct sysfs *sysfs, pid_t pid,
			 const struct tier_tiering_nodes *nodes, uint64_t least_bytes, bool all,
			 struct tiering_process *ret)
{
	_cleanup_process_ struct tiering_process process = {};
	_cleanup_free_ char *status = NULL;
	int r = sysfs_read_text(sysfs, &status, "proc/%d/status", pid);

	if (r)
		return r;
	process.stay = stay_of(status, nodes, least_bytes);
	if (all || process.stay == TIER_STAY_NOT) {
		r = mover_identify(sysfs, pid, &process.identity);
		r = r ?: read_ranges(sysfs, pid, nodes, &process);
	}
	if (r)
		return r;
	*ret = process;
	process = (struct tiering_process){};
	return 0;
}

void tiering_process_done(struct tiering_process *process)
{
	free(process->ranges);
}

int tiering_process_group(const struct sysfs *sysfs, pid_t pid,
			  const struct tier_share_groups *groups)
{
	char path[4096];

	if (!groups || !groups->count)
		return -1;
	cgroup_of_process(sysfs, pid, path, sizeof(path));
	return tier_share_group_of(groups, pid, path);
}

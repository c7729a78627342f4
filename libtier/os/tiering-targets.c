// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <dirent.h>

#include "fd.h"
#include "tiering-targets.h"

static int look_at(const struct sysfs *sysfs, int pid, const struct tier_tiering_nodes *nodes,
		   uint64_t least_bytes, const struct tier_share_groups *groups,
		   struct tier_tiering_targets *targets)
{
	_cleanup_process_ struct tiering_process process = {};
	size_t before = targets->count;
	int r = tiering_process_read(sysfs, pid, nodes, least_bytes, false, &process);
	int group;

	/* It has ended, or is somebody's who must not be looked at. */
	if (r)
		return r == -ENOMEM ? r : 0;
	group = process.count ? tiering_process_group(sysfs, pid, groups) : -1;
	for (size_t i = 0; i < process.count; i++) {
		const struct tiering_range *range = &process.ranges[i];
		struct tiering_piece *piece;

		if (range->mapping.stay != TIER_STAY_NOT)
			continue;
		piece = array_grow(&targets->pieces, &targets->count, sizeof(*piece));
		if (!piece)
			return -ENOMEM;
		*piece = (struct tiering_piece){
			.pid = pid,
			.identity = process.identity,
			.range = {range->mapping.start, range->end},
			.group = group,
		};
	}
	targets->processes += targets->count > before;
	return 0;
}

static int by_process(const void *a, const void *b)
{
	const struct tiering_piece *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

int tier_tiering_targets_new(const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			     const struct tier_share_groups *groups,
			     struct tier_tiering_targets **ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_(closedirp) DIR *proc = NULL;
	_cleanup_(freep) struct tier_tiering_targets *targets = calloc(1, sizeof(*targets));
	const struct dirent *entry;
	int r = targets ? sysfs_open(&sysfs, NULL) : -ENOMEM;

	if (r == 0) {
		proc = opendir("/proc");
		r = proc ? 0 : -errno;
	}
	while (r == 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			r = look_at(&sysfs, (int)strtol(entry->d_name, NULL, 10), nodes,
				    least_bytes, groups, targets);
	if (r < 0) {
		if (targets)
			free(targets->pieces);
		return tier_problem_set(problem, r, "/proc", NULL, "cannot look at the processes");
	}
	if (targets->count)
		qsort(targets->pieces, targets->count, sizeof(*targets->pieces), by_process);
	*ret = TAKE(targets);
	return 0;
}

struct tier_tiering_targets *tier_tiering_targets_free(struct tier_tiering_targets *targets)
{
	if (targets) {
		free(targets->pieces);
		tiering_looks_done(&targets->looks);
	}
	free(targets);
	return NULL;
}

size_t tier_tiering_targets_processes(const struct tier_tiering_targets *targets)
{
	return targets->processes;
}

int tier_tiering_targets_renew(const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			       const struct tier_share_groups *groups,
			       struct tier_tiering_targets *targets, struct tier_problem *problem)
{
	struct tier_tiering_targets *now;
	size_t kept = 0;
	int r = tier_tiering_targets_new(nodes, least_bytes, groups, &now, problem);

	if (r)
		return r;
	targets->processes = 0;
	for (size_t i = 0; i < targets->count; i++) {
		const struct tiering_piece *piece = &targets->pieces[i], *found;

		found = now->count ? bsearch(piece, now->pieces, now->count, sizeof(*piece),
					     by_process)
				   : NULL;
		if (!found || found->range.end != piece->range.end ||
		    found->group != piece->group ||
		    !process_identity_same(&found->identity, &piece->identity))
			continue;
		targets->processes += kept == 0 || targets->pieces[kept - 1].pid != piece->pid;
		targets->pieces[kept++] = *piece;
	}
	targets->count = kept;
	tier_tiering_targets_free(now);
	return 0;
}

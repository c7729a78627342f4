/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "metrics.h"
#include "sysfs.h"

static const char nodes_path[] = "sys/devices/system/node";

int tier_node_stats_read(const char *sysroot, uint64_t page_bytes, struct tier_node_stat **ret,
			 size_t *ret_count, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_names_ struct sysfs_names names = {};
	_cleanup_free_ struct tier_node_stat *stats = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_list(&sysfs, &names, "node", "%s", nodes_path);
	if (r > 0 || (r == 0 && names.count == 0))
		r = -ENOENT;
	if (r < 0)
		return tier_problem_set(problem, r, sysroot ?: "/", NULL, "cannot read %s",
					nodes_path);
	stats = calloc(names.count, sizeof(*stats));
	if (!stats)
		return tier_problem_set(problem, -ENOMEM, sysroot ?: "/", NULL, "cannot read %s",
					nodes_path);
	for (size_t i = 0; i < names.count; i++) {
		_cleanup_free_ char *meminfo = NULL, *vmstat = NULL;

		/* A node that goes meanwhile has no numbers. */
		(void)sysfs_read_text(&sysfs, &meminfo, "%s/%s/meminfo", nodes_path,
				      names.names[i]);
		(void)sysfs_read_text(&sysfs, &vmstat, "%s/%s/vmstat", nodes_path, names.names[i]);
		stats[i].node = atoi(names.names[i] + strlen("node"));
		node_stat_parse(meminfo, vmstat, page_bytes, &stats[i]);
	}
	*ret = TAKE(stats);
	*ret_count = names.count;
	return 0;
}

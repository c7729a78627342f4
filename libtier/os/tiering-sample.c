// SPDX-License-Identifier: LGPL-2.1-or-later
#include <unistd.h>

#include "clock.h"
#include "tiering-mapping.h"
#include "tier-tiering.h"
#include "util.h"
#include "zoneinfo.h"

int tier_tiering_sample_read(const struct tier_tiering_nodes *nodes,
			     struct tier_tiering_sample *ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_zoneinfo_ struct zoneinfo info = {};
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct tier_tiering_sample sample = {.now_usec = now_usec()};
	int r = sysfs_open(&sysfs, NULL);

	r = r ?: zoneinfo_read(&sysfs, &info);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, "/proc/zoneinfo", NULL,
					"cannot be read");
	for (size_t i = 0; i < info.count; i++) {
		const struct zoneinfo_zone *zone = &info.zones[i];
		uint64_t total = zone->managed_pages * page_bytes;
		uint64_t free = zone->free_pages * page_bytes;
		uint64_t kept = zone->high_pages + zone->reserved_pages;
		uint64_t above =
			zone->free_pages > kept ? (zone->free_pages - kept) * page_bytes : 0;
		uint64_t used = total > free ? total - free : 0;

		if (tiering_mask_has(nodes->fast, zone->node)) {
			sample.fast_total_bytes += total;
			sample.group_fast_bytes += used;
			sample.fast_free_bytes += above;
		} else if (tiering_mask_has(nodes->slow, zone->node)) {
			sample.group_slow_bytes += used;
			sample.slow_free_bytes += above;
		}
	}
	*ret = sample;
	return 0;
}

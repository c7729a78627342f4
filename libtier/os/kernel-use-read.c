/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "sysfs.h"
#include "tier-explain.h"
#include "util.h"
#include "zoneinfo.h"

/* "Slab:   1234 kB" or "nr_memmap_pages 12"; 0 for a line that is not there. */
static uint64_t number(const char *text, const char *name, bool *found)
{
	size_t length = strlen(name);

	for (const char *line = text; line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, name, length) == 0 &&
		    (line[length] == ':' || line[length] == ' ')) {
			if (found)
				*found = true;
			return strtoull(line + length + 1, NULL, 10);
		}
	return 0;
}

static int read_meminfo(const struct sysfs *sysfs, struct tier_kernel_use *use)
{
	_cleanup_free_ char *text = NULL;
	bool total = false;
	int r = sysfs_read_text(sysfs, &text, "proc/meminfo");

	if (r)
		return r;
	use->total_bytes = number(text, "MemTotal", &total) * KIB;
	use->free_bytes = number(text, "MemFree", NULL) * KIB;
	use->page_tables_bytes =
		(number(text, "PageTables", NULL) + number(text, "SecPageTables", NULL)) * KIB;
	use->slab_bytes = number(text, "Slab", NULL) * KIB;
	use->slab_reclaimable_bytes =
		MIN(number(text, "SReclaimable", NULL) * KIB, use->slab_bytes);
	use->other_bytes = (number(text, "KernelStack", NULL) + number(text, "Percpu", NULL) +
			    number(text, "VmallocUsed", NULL)) *
			   KIB;
	return total ? 0 : SYSFS_ABSENT;
}

static int read_zones(const struct sysfs *sysfs, struct tier_kernel_use *use)
{
	_cleanup_zoneinfo_ struct zoneinfo info = {};
	int r = zoneinfo_read(sysfs, &info);

	for (size_t i = 0; r == 0 && i < info.count; i++) {
		const struct zoneinfo_zone *zone = &info.zones[i];
		bool movable = zone->id == TIER_ZONE_MOVABLE;
		uint64_t present = zone->present_pages * use->page_bytes;
		uint64_t cma = movable ? 0 : zone->cma_pages * use->page_bytes;

		*(movable ? &use->movable_bytes : &use->kernel_bytes) += present - cma;
		use->movable_bytes += cma;
		if (!movable && zone->managed_pages < zone->present_pages)
			use->boot_bytes +=
				(zone->present_pages - zone->managed_pages) * use->page_bytes;
	}
	return r;
}

int tier_kernel_use_read(const char *sysroot, const struct tier_topology *topology,
			 struct tier_kernel_use *ret, struct tier_problem *problem)
{
	struct tier_kernel_use use = {.page_bytes = topology->page_bytes ?: 4096,
				      .memmap_bytes = TIER_UNKNOWN_U64};
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *text = NULL;
	const char *object = "/proc/meminfo";
	bool found = false;
	uint64_t pages;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = read_meminfo(&sysfs, &use);
	if (r == 0) {
		object = "/proc/zoneinfo";
		r = read_zones(&sysfs, &use);
	}
	if (r == SYSFS_ABSENT || r == SYSFS_DENIED)
		return tier_problem_set(problem, TIER_E_REFUSED, object, NULL,
					"does not say what the kernel uses");
	if (r < 0)
		return tier_problem_set(problem, r, object, NULL, "cannot read it");
	if (sysfs_read_text(&sysfs, &text, "proc/vmstat") == 0) {
		pages = number(text, "nr_memmap_pages", &found) +
			number(text, "nr_memmap_boot_pages", NULL);
		/* Both at 0: a kernel that knows the names and does not count. */
		if (found && pages > 0)
			use.memmap_bytes = pages * use.page_bytes;
	}
	*ret = use;
	return 0;
}

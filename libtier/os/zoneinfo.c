/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "util.h"
#include "zoneinfo.h"

void zoneinfo_done(struct zoneinfo *info)
{
	free(info->zones);
	*info = (struct zoneinfo){};
}

/* "Node 0, zone   Normal", then lines of "name value" about that zone, among others of no use here. */
static int read_line(struct zoneinfo *info, const char *line, bool *wanted)
{
	struct zoneinfo_zone *zone = info->count ? &info->zones[info->count - 1] : NULL;
	char name[32];
	int node;

	if (sscanf(line, "Node %d, zone %31s", &node, name) == 2) {
		/* A kernel zone by any other name (HighMem, Secure) is one all the same. */
		enum tier_zone id = TIER_ZONE_NORMAL;

		for (enum tier_zone i = TIER_ZONE_DMA; i <= TIER_ZONE_DEVICE; i++)
			if (streq(name, tier_zone_name(i)))
				id = i;
		*wanted = id != TIER_ZONE_DEVICE;
		if (!*wanted)
			return 0;
		zone = array_grow(&info->zones, &info->count, sizeof(*zone));
		if (!zone)
			return -ENOMEM;
		*zone = (struct zoneinfo_zone){.node = node, .id = id};
		return 0;
	}
	if (!zone || !*wanted)
		return 0;
	if (strncmp(line + strspn(line, " "), "protection:", 11) == 0) {
		for (const char *at = strchr(line, '('); at && *at; at = strpbrk(at + 1, ","))
			zone->reserved_pages =
				MAX(zone->reserved_pages, strtoull(at + 1, NULL, 10));
		return 0;
	}
	(void)(sscanf(line, " spanned %" SCNu64, &zone->spanned_pages) == 1 ||
	       sscanf(line, " present %" SCNu64, &zone->present_pages) == 1 ||
	       sscanf(line, " managed %" SCNu64, &zone->managed_pages) == 1 ||
	       sscanf(line, " cma %" SCNu64, &zone->cma_pages) == 1 ||
	       sscanf(line, " pages free %" SCNu64, &zone->free_pages) == 1 ||
	       sscanf(line, " high %" SCNu64, &zone->high_pages) == 1 ||
	       sscanf(line, " start_pfn: %" SCNu64, &zone->start_pfn) == 1);
	return 0;
}

int zoneinfo_read(const struct sysfs *sysfs, struct zoneinfo *ret)
{
	_cleanup_zoneinfo_ struct zoneinfo info = {};
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	bool wanted = false;
	int r = sysfs_read_text(sysfs, &text, "proc/zoneinfo");

	if (r)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		r = read_line(&info, line, &wanted);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < info.count; i++)
		info.zones[i].cma_pages = MIN(info.zones[i].cma_pages, info.zones[i].present_pages);
	*ret = info;
	info = (struct zoneinfo){};
	return 0;
}

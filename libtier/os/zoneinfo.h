/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_ZONEINFO_H
#define TIER_OS_ZONEINFO_H

#include "sysfs.h"
#include "tier-topology.h"

/* /proc/zoneinfo: a zone of a node, empty ones and those of memoryless nodes too. No ZONE_DEVICE. */
struct zoneinfo_zone {
	int node;
	enum tier_zone id;
	uint64_t start_pfn, spanned_pages, present_pages, managed_pages;
	uint64_t cma_pages;		 /* at most those that are present */
	uint64_t free_pages, high_pages; /* the latter: the high watermark */
	uint64_t reserved_pages;	 /* against what could as well be had from other zones */
};

struct zoneinfo {
	struct zoneinfo_zone *zones;
	size_t count;
};

/* 0; SYSFS_ABSENT, SYSFS_DENIED; negative errno. */
int zoneinfo_read(const struct sysfs *sysfs, struct zoneinfo *ret);
void zoneinfo_done(struct zoneinfo *info);
#define _cleanup_zoneinfo_ __attribute__((cleanup(zoneinfo_done)))

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_DAEMON_RAS_H
#define TIER_TEST_DAEMON_RAS_H

/*
 * What the tests of cxl-tierd's files about errors have in common: a machine with a region0 of 1 GiB on
 * mem0, serial number 7, in eight memory blocks, and what was told, one line for each event. After test.h.
 */
#include "events.h"

#include <stdarg.h>

#define GIB	     (UINT64_C(1) << 30)
#define BLOCK	     (UINT64_C(128) << 20)
#define REGION_START (64 * GIB)
#define FIRST_BLOCK  (REGION_START / BLOCK)

static char told[8192]; /* "KIND OBJECT: TEXT" */
static bool memory_online, dry_run;
static struct tier_config no_config;

static inline void daemon_begin(struct manager *manager)
{
	*manager = (struct manager){.config = &no_config};
	told[0] = '\0';
	memory_online = true;
	dry_run = false;
}

static inline void __attribute__((format(printf, 1, 0))) tell_test(const char *format,
								   va_list arguments)
{
	size_t used = strlen(told);

	vsnprintf(told + used, sizeof(told) - used, format, arguments);
	used = strlen(told);
	snprintf(told + used, sizeof(told) - used, "\n");
}

void events_add(struct manager *manager, int priority, const char *kind, const char *object,
		sd_json_variant *details, const char *format, ...)
{
	size_t used = strlen(told);
	va_list arguments;

	snprintf(told + used, sizeof(told) - used, "%s %s: ", kind, object);
	va_start(arguments, format);
	tell_test(format, arguments);
	va_end(arguments);
}

void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
{
}

void log_problem(int priority, const char *decision, const struct tier_problem *problem)
{
}

void manager_alive(struct manager *manager)
{
}

bool manager_dry_run(const struct manager *manager)
{
	return dry_run;
}

uint64_t manager_now_usec(void)
{
	return 5;
}

uint64_t manager_monotonic_usec(void)
{
	return 5;
}

static inline void *allocate(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		abort();
	return p;
}

static inline struct tier_topology *daemon_machine(void)
{
	struct tier_topology *t = NULL;
	struct tier_region *region;

	if (tier_topology_new(&t) != 0)
		abort();
	t->page_bytes = 4096;
	t->block_bytes = BLOCK;
	t->memdevs = allocate(t->memdev_count = 1, sizeof(*t->memdevs));
	t->memdevs[0].serial = 7;
	t->memdevs[0].enabled = true;
	COPY(t->memdevs[0].name, "mem0");
	COPY(t->memdevs[0].host, "0000:21:00.0");
	t->regions = region = allocate(t->region_count = 1, sizeof(*t->regions));
	COPY(region->name, "region0");
	region->start = REGION_START;
	region->bytes = GIB;
	region->committed = true;
	region->interleave_ways = 1;
	region->memdevs = allocate(region->memdev_count = 1, sizeof(*region->memdevs));
	COPY(region->memdevs[0], "mem0");
	region->serials = allocate(1, sizeof(*region->serials));
	region->serials[0] = 7;
	region->dpa_starts = allocate(1, sizeof(*region->dpa_starts));
	t->blocks = allocate(t->block_count = GIB / BLOCK, sizeof(*t->blocks));
	for (size_t i = 0; i < t->block_count; i++) {
		t->blocks[i].index = FIRST_BLOCK + i;
		t->blocks[i].state = memory_online ? TIER_BLOCK_ONLINE : TIER_BLOCK_OFFLINE;
		t->blocks[i].zone = TIER_ZONE_MOVABLE;
	}
	return t;
}

int __wrap_tier_topology_read(const char *sysroot, struct tier_topology **ret,
			      struct tier_problem *problem);
int __wrap_tier_topology_read(const char *sysroot, struct tier_topology **ret,
			      struct tier_problem *problem)
{
	*ret = daemon_machine();
	return 0;
}

#endif

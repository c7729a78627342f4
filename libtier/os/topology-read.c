/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "dax.h"
#include "fd.h"
#include "tier-error.h"
#include "tier-ras.h"
#include "topology-read.h"

/* The last init_on_free= on the command line counts, as in the kernel. */
static bool command_line_bool(const char *line, const char *key)
{
	size_t length = strlen(key);
	bool value = false;

	for (const char *p = line; (p = strstr(p, key)); p += length) {
		if ((p != line && p[-1] != ' ') || p[length] != '=')
			continue;
		const char *v = p + length + 1;
		value = *v == '1' || *v == 'y' || *v == 'Y' || strncmp(v, "on", 2) == 0;
	}
	return value;
}

static void read_hotplug(const struct sysfs *sysfs, struct tier_hotplug *hotplug)
{
	static const char parameters[] = "sys/module/memory_hotplug/parameters";
	_cleanup_free_ char *line = NULL;
	char text[32];
	uint64_t ratio;
	bool automatic;

	(void)sysfs_read_string(sysfs, hotplug->auto_online, sizeof(hotplug->auto_online),
				"sys/devices/system/memory/auto_online_blocks");
	(void)sysfs_read_string(sysfs, hotplug->online_policy, sizeof(hotplug->online_policy),
				"%s/online_policy", parameters);
	if (sysfs_read_u64(sysfs, &ratio, "%s/auto_movable_ratio", parameters) == 0)
		hotplug->ratio_percent = (unsigned)ratio;
	(void)sysfs_read_bool(sysfs, &hotplug->numa_aware, "%s/auto_movable_numa_aware",
			      parameters);
	/* Y, N or "force" */
	if (sysfs_read_string(sysfs, text, sizeof(text), "%s/memmap_on_memory", parameters) == 0)
		hotplug->memmap_on_memory = text[0] == 'Y' || text[0] == '1' || text[0] == 'f';
	(void)sysfs_read_bool(sysfs, &hotplug->demotion, "sys/kernel/mm/numa/demotion_enabled");
	if (sysfs_read_bool(sysfs, &automatic,
			    "sys/kernel/mm/mempolicy/weighted_interleave/auto") == 0)
		hotplug->auto_weights = automatic;
	(void)sysfs_read_int(sysfs, &hotplug->numa_balancing, "proc/sys/kernel/numa_balancing");
	(void)dax_is_held(sysfs, &hotplug->dax_held);
	if (sysfs_read_text(sysfs, &line, "proc/cmdline") == 0)
		hotplug->init_on_free = command_line_bool(line, "init_on_free");
}

int topology_read_system(const struct sysfs *sysfs, bool live, struct tier_topology *topology)
{
	char text[32];

	(void)sysfs_read_string(sysfs, topology->kernel, sizeof(topology->kernel),
				"proc/sys/kernel/osrelease");
	(void)sysfs_read_string(sysfs, topology->hostname, sizeof(topology->hostname),
				"proc/sys/kernel/hostname");
	/* No file of the kernel says it, so the capture script adds one of its own. */
	if (live)
		topology->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	else if (sysfs_read_u64(sysfs, &topology->page_bytes, "page_bytes") != 0)
		topology->page_bytes = 4096;
	/* Hexadecimal without 0x. */
	if (sysfs_read_string(sysfs, text, sizeof(text),
			      "sys/devices/system/memory/block_size_bytes") == 0)
		topology->block_bytes = strtoull(text, NULL, 16);
	read_hotplug(sysfs, &topology->hotplug);
	return 0;
}

enum tier_memory_type topology_read_type(const struct sysfs *sysfs, const char *format, ...)
{
	char path[128], text[32];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	return sysfs_read_string(sysfs, text, sizeof(text), "%s", path) == 0
		       ? tier_memory_type_parse(text)
		       : TIER_MEMORY_UNKNOWN;
}

static void derive_regions(const struct sysfs *sysfs, struct tier_topology *topology)
{
	for (size_t i = 0; i < topology->region_count; i++) {
		struct tier_region *region = &topology->regions[i];

		/* A kernel that gives regions nodes of their own tells before there is a device. */
		if (region->target_node == TIER_ABSENT_NODE)
			(void)sysfs_read_int(sysfs, &region->target_node,
					     "sys/bus/cxl/devices/%s/target_node", region->name);
		/*
		 * What the firmware gave out as RAM is online before there is a region, which then
		 * has no device: cxl_region_probe() in drivers/cxl/core/region.c.
		 */
		if (region->target_node == TIER_ABSENT_NODE)
			region->target_node =
				topology_range_node(topology, region->start, region->bytes);
		region->type = topology_read_type(sysfs, "sys/bus/cxl/devices/%s/memory_type",
						  region->name);
		region->type_by_kernel = region->type != TIER_MEMORY_UNKNOWN;
	}
	for (size_t i = 0; i < topology->region_count; i++)
		for (size_t j = 0; j < topology->region_count; j++)
			topology->regions[i].shares_node |=
				i != j && topology->regions[i].target_node >= 0 &&
				topology->regions[i].target_node ==
					topology->regions[j].target_node;
}

/* What follows from what was read. */
static void derive(const struct sysfs *sysfs, struct tier_topology *topology)
{
	for (size_t i = 0; i < topology->region_count; i++) {
		struct tier_region *region = &topology->regions[i];
		struct tier_dax *dax =
			(struct tier_dax *)tier_topology_region_dax(topology, region->name, NULL);

		if (!dax)
			continue;
		region->target_node = dax->target_node;
		/*
		 * Everybody may read a region's address, and only root that of a dax device. They
		 * are the same if one device takes up the whole region.
		 */
		if (dax->start == TIER_UNKNOWN_U64 && dax->bytes == region->bytes)
			dax->start = region->start;
	}
	derive_regions(sysfs, topology);
	for (size_t i = 0; i < topology->window_count; i++)
		topology->windows[i].available_bytes =
			topology_window_available(topology, &topology->windows[i]);
}

/* A list that cannot be read hides nothing else, but nobody can say what may be onlined. */
static int read_retired(const char *sysroot, struct tier_topology *topology)
{
	struct tier_retired *retired;
	int r;

	topology->retired_code = tier_retired_load(sysroot, &retired, &topology->retired_problem);
	if (topology->retired_code)
		return 0;
	r = tier_retired_mark(topology, retired);
	tier_retired_free(retired);
	return r;
}

int tier_topology_read(const char *sysroot, struct tier_topology **ret,
		       struct tier_problem *problem)
{
	bool live = !sysroot || streq(sysroot, "/");
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_topology_ struct tier_topology *topology = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r < 0)
		return tier_problem_set(problem, r, sysroot ?: "/", NULL, "cannot open");
	if (!sysfs_exists(&sysfs, "sys/devices/system/node"))
		return tier_problem_set(problem, -ENOENT, sysroot ?: "/",
					live ? "mount sysfs on /sys"
					     : "make a dump with tests/fixtures/capture",
					"holds no sys/devices/system/node");
	r = tier_topology_new(&topology);
	if (r == 0)
		r = topology_read_system(&sysfs, live, topology);
	if (r == 0)
		r = topology_read_nodes(&sysfs, topology);
	if (r == 0)
		r = topology_read_blocks(&sysfs, topology);
	if (r == 0)
		r = topology_read_cxl(&sysfs, topology);
	if (r == 0)
		r = topology_read_ports(&sysfs, topology);
	if (r == 0)
		r = topology_read_dax(&sysfs, topology);
	if (r < 0)
		return tier_problem_set(problem, r, sysroot ?: "/", NULL,
					"cannot read the topology");
	topology_sort(topology);
	derive(&sysfs, topology);
	r = read_retired(sysroot, topology);
	if (r < 0)
		return tier_problem_set(problem, r, sysroot ?: "/", NULL,
					"cannot read the topology");
	*ret = TAKE(topology);
	return 0;
}

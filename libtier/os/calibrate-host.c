/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a calibration needs of the machine, and whether others use it. */
#include <limits.h>

#include "sysfs.h"
#include "tier-calibration.h"
#include "util.h"

#define SMALLEST_BYTES (64 * MIB)
/* More than twice the caches of any CPUs that there are: a smaller buffer would be measured in them. */
#define LARGEST_BYTES (8 * GIB)

/* "0.25" in hundredths. */
static bool parse_centi(const char *text, unsigned *ret)
{
	unsigned whole, hundredths;

	if (sscanf(text, "%u.%2u", &whole, &hundredths) != 2 || whole > 1000000)
		return false;
	*ret = whole * 100 + hundredths;
	return true;
}

/* "some avg10=1.53 avg60=..." */
static unsigned read_stall(const struct sysfs *sysfs, const char *name)
{
	_cleanup_free_ char *text = NULL;
	unsigned stall = UINT_MAX;
	const char *some;

	if (sysfs_read_text(sysfs, &text, "proc/pressure/%s", name) == 0 &&
	    (some = strstr(text, "some avg10=")))
		(void)parse_centi(some + strlen("some avg10="), &stall);
	return stall;
}

static unsigned count_list(const char *list)
{
	unsigned count = 0;

	for (const char *p = list; *p >= '0' && *p <= '9';) {
		char *end;
		unsigned long first = strtoul(p, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		count += last >= first ? (unsigned)(last - first) + 1 : 0;
		p = *end == ',' ? end + 1 : end;
	}
	return count;
}

int tier_load_read(const char *sysroot, struct tier_load *ret)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	struct tier_load load = {UINT_MAX, 0, UINT_MAX, UINT_MAX};
	_cleanup_free_ char *cpus = NULL;
	char text[128];
	int r = sysfs_open(&sysfs, sysroot);

	if (r < 0)
		return r;
	if (sysfs_read_string(&sysfs, text, sizeof(text), "proc/loadavg") == 0)
		(void)parse_centi(text, &load.load_centi);
	(void)sysfs_read_text(&sysfs, &cpus, "sys/devices/system/cpu/online");
	load.cpus = MAX(1, count_list(cpus ?: ""));
	load.cpu_stall_centi = read_stall(&sysfs, "cpu");
	load.memory_stall_centi = read_stall(&sysfs, "memory");
	*ret = load;
	return 0;
}

/* A CPU's largest cache, if the CPU is the first of those that share it; else 0. */
static uint64_t own_cache(const struct sysfs *sysfs, unsigned cpu)
{
	static const char path[] = "sys/devices/system/cpu/cpu";
	_cleanup_names_ struct sysfs_names names = {};
	uint64_t bytes = 0, highest = 0;

	if (sysfs_list(sysfs, &names, "index", "%s%u/cache", path, cpu) != 0)
		return 0;
	for (size_t i = 0; i < names.count; i++) {
		uint64_t level, size;
		_cleanup_free_ char *shared = NULL;
		char text[64];

		if (sysfs_read_u64(sysfs, &level, "%s%u/cache/%s/level", path, cpu,
				   names.names[i]) != 0 ||
		    sysfs_read_string(sysfs, text, sizeof(text), "%s%u/cache/%s/size", path, cpu,
				      names.names[i]) != 0 ||
		    sysfs_read_text(sysfs, &shared, "%s%u/cache/%s/shared_cpu_list", path, cpu,
				    names.names[i]) != 0 ||
		    parse_bytes(text, &size) != 0 || level < highest)
			continue;
		highest = level;
		bytes = strtoul(shared, NULL, 10) == cpu ? size : 0;
	}
	return bytes;
}

uint64_t tier_measure_bytes(const char *sysroot, const struct tier_topology *topology, int cpu_node)
{
	const struct tier_node *node = tier_topology_node(topology, cpu_node);
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	uint64_t caches = 0;

	if (!node || !node->cpus || sysfs_open(&sysfs, sysroot) < 0)
		return SMALLEST_BYTES;
	for (unsigned cpu = 0; cpu < 4096 && caches < LARGEST_BYTES; cpu++)
		if (list_has(node->cpus, cpu))
			caches += own_cache(&sysfs, cpu);
	return MIN(MAX(ROUND_UP(caches * 2, 2 * MIB), SMALLEST_BYTES), LARGEST_BYTES);
}

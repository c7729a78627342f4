/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cxl-library.h"
#include "dax.h"
#include "fd.h"
#include "memory-apply.h"

#define DEVICES "sys/bus/dax/devices"

int memory_dax_mode(const struct sysfs *sysfs, const char *name, enum tier_dax_mode *ret)
{
	char driver[64];
	int r = sysfs_read_link_name(sysfs, driver, sizeof(driver), DEVICES "/%s/driver", name);

	if (r == SYSFS_ABSENT) {
		*ret = TIER_DAX_DISABLED;
		return sysfs_exists(sysfs, DEVICES "/%s", name) ? 0 : -ENODEV;
	}
	if (r)
		return r < 0 ? r : -EACCES;
	*ret = streq(driver, "kmem")	     ? TIER_DAX_SYSTEM_RAM
	       : streq(driver, "device_dax") ? TIER_DAX_DEVDAX
					     : TIER_DAX_DISABLED;
	return 0;
}

static int no_device(const char *name, struct tier_problem *problem)
{
	return tier_problem_set(problem, -ENODEV, name, "see tierctl list regions",
				"cannot find the dax device");
}

static int append_range(uint64_t start, uint64_t bytes, uint64_t size, uint64_t **blocks,
			size_t *count)
{
	uint64_t first = (start + size - 1) / size, end = (start + bytes) / size;

	for (uint64_t block = first; block < end; block++) {
		uint64_t *place = array_grow(blocks, count, sizeof(*place));

		if (!place)
			return -ENOMEM;
		*place = block;
	}
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* "mapping0" and so on; one that was made of the whole region may have none. */
static int append_ranges(const struct sysfs *sysfs, const char *name, uint64_t size,
			 uint64_t **blocks, size_t *count)
{
	_cleanup_names_ struct sysfs_names mappings = {};
	uint64_t start, last;
	int r = sysfs_list(sysfs, &mappings, "mapping", DEVICES "/%s", name);

	if (r)
		return r < 0 ? r : -EACCES;
	if (mappings.count == 0) {
		if (sysfs_read_u64(sysfs, &start, DEVICES "/%s/resource", name) ||
		    sysfs_read_u64(sysfs, &last, DEVICES "/%s/size", name))
			return -EACCES;
		return append_range(start, last, size, blocks, count);
	}
	for (size_t i = 0; i < mappings.count; i++) {
		if (sysfs_read_u64(sysfs, &start, DEVICES "/%s/%s/start", name,
				   mappings.names[i]) ||
		    sysfs_read_u64(sysfs, &last, DEVICES "/%s/%s/end", name, mappings.names[i]))
			return -EACCES;
		r = append_range(start, last - start + 1, size, blocks, count);
		if (r < 0)
			return r;
	}
	return 0;
}

int memory_dax_blocks(const struct sysfs *sysfs, const char *name, uint64_t **ret_blocks,
		      size_t *ret_count, struct tier_problem *problem)
{
	_cleanup_free_ uint64_t *blocks = NULL;
	size_t count = 0;
	uint64_t size;
	char text[32];
	int r;

	if (!sysfs_exists(sysfs, DEVICES "/%s", name))
		return no_device(name, problem);
	if (sysfs_read_string(sysfs, text, sizeof(text),
			      "sys/devices/system/memory/block_size_bytes") != 0 ||
	    (size = strtoull(text, NULL, 16)) == 0)
		return tier_problem_set(problem, -ENOTSUP, name, NULL,
					"this kernel has no memory hotplug");
	r = append_ranges(sysfs, name, size, &blocks, &count);
	if (r == -EACCES)
		return tier_problem_set(problem, r, name, "try again as root",
					"cannot read its physical address");
	if (r < 0)
		return tier_problem_set(problem, r, name, NULL, "cannot list its memory blocks");
	if (count)
		qsort(blocks, count, sizeof(*blocks), compare_u64);
	*ret_blocks = TAKE(blocks);
	*ret_count = count;
	return 0;
}

/*
 * Taking kmem away from memory that is online leaves it in use and its resource claimed until the
 * next boot, and the kernel only warns. So look first.
 */
static int check_offline(const struct sysfs *sysfs, const char *name, struct tier_problem *problem)
{
	_cleanup_free_ uint64_t *blocks = NULL;
	size_t count = 0;
	int r = memory_dax_blocks(sysfs, name, &blocks, &count, problem);

	for (size_t i = 0; r == 0 && i < count; i++) {
		enum tier_zone zone;

		if (memory_block_zone(sysfs, blocks[i], &zone) == 0 && zone != TIER_ZONE_NONE)
			return tier_problem_set(problem, -EBUSY, name, "take it offline first",
						"cannot unbind kmem: memory block %llu is online "
						"in zone %s",
						(unsigned long long)blocks[i],
						tier_zone_name(zone));
	}
	return r;
}

static const char *driver_name(enum tier_dax_mode mode)
{
	return mode == TIER_DAX_SYSTEM_RAM ? "kmem" : "device_dax";
}

static struct daxctl_dev *find(struct daxctl_ctx *ctx, const char *name)
{
	struct daxctl_region *region;
	struct daxctl_dev *device;

	for (region = sym_daxctl_region_get_first(ctx); region;
	     region = sym_daxctl_region_get_next(region))
		for (device = sym_daxctl_dev_get_first(region); device;
		     device = sym_daxctl_dev_get_next(device))
			if (streq(sym_daxctl_dev_get_devname(device), name))
				return device;
	return NULL;
}

/* By libdaxctl, which loads the driver's module as modprobe's configuration has it. */
static int load_and_bind(const char *name, enum tier_dax_mode mode)
{
	_cleanup_daxctl_ struct daxctl_ctx *ctx = NULL;
	struct daxctl_dev *device;
	int r = daxctl_open_quietly(&ctx);

	if (r < 0)
		return r;
	device = find(ctx, name);
	r = device ? sym_daxctl_dev_disable(device) : -ENODEV;
	if (r == 0)
		r = mode == TIER_DAX_SYSTEM_RAM ? sym_daxctl_dev_enable_ram(device)
						: sym_daxctl_dev_enable_devdax(device);
	return r;
}

static int unbind_or_bind(const struct sysfs *sysfs, const char *name, enum tier_dax_mode mode,
			  struct tier_problem *problem)
{
	int r;

	if (mode == TIER_DAX_DISABLED)
		return dax_unbind(sysfs, name, problem);
	if (sysfs_exists(sysfs, "sys/bus/dax/drivers/%s", driver_name(mode)))
		return dax_bind(sysfs, name, driver_name(mode), problem);
	r = load_and_bind(name, mode);
	return r == 0 ? 0
		      : tier_problem_set(problem, r, name,
					 "is the module there? modprobe kmem; see the kernel log",
					 "cannot bind it to %s", driver_name(mode));
}

int memory_dax_bind(const struct sysfs *sysfs, const char *name, enum tier_dax_mode mode,
		    struct tier_problem *problem)
{
	enum tier_dax_mode now;
	int r = memory_dax_mode(sysfs, name, &now);

	if (r == -ENODEV)
		return no_device(name, problem);
	if (r < 0)
		return tier_problem_set(problem, r, name, NULL, "cannot read its driver");
	if (now == mode)
		return 0;
	if (now == TIER_DAX_SYSTEM_RAM) {
		r = check_offline(sysfs, name, problem);
		if (r < 0)
			return r;
	}
	if (geteuid() != 0)
		return tier_problem_set(problem, -EPERM, name, "try again as root",
					"cannot bind it to %s", driver_name(mode));
	r = unbind_or_bind(sysfs, name, mode, problem);
	if (r != 0 && now != TIER_DAX_DISABLED)
		/* Not left without a driver if it had one. */
		(void)dax_bind(sysfs, name, driver_name(now), NULL);
	return r;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <daxctl/libdaxctl.h>

#include "dax.h"
#include "fd.h"
#include "memory-apply.h"

struct memory_dax {
	struct daxctl_ctx *ctx;
};

static void no_log(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
		   const char *format, va_list arguments)
{
}

int memory_dax_new(struct memory_dax **ret)
{
	_cleanup_(memory_dax_freep) struct memory_dax *dax = calloc(1, sizeof(*dax));
	int r;

	if (!dax)
		return -ENOMEM;
	r = daxctl_new(&dax->ctx);
	if (r < 0)
		return r;
	daxctl_set_log_fn(dax->ctx, no_log);
	*ret = TAKE(dax);
	return 0;
}

struct memory_dax *memory_dax_free(struct memory_dax *dax)
{
	if (dax && dax->ctx)
		daxctl_unref(dax->ctx);
	free(dax);
	return NULL;
}

static struct daxctl_dev *find(struct memory_dax *dax, const char *name)
{
	struct daxctl_region *region;
	struct daxctl_dev *device;

	daxctl_region_foreach(dax->ctx, region)
	{
		daxctl_dev_foreach(region, device)
		{
			if (streq(daxctl_dev_get_devname(device), name))
				return device;
		}
	}
	return NULL;
}

int memory_dax_mode(const struct sysfs *sysfs, const char *name, enum tier_dax_mode *ret)
{
	char driver[64];
	int r = sysfs_read_link_name(sysfs, driver, sizeof(driver), "sys/bus/dax/devices/%s/driver",
				     name);

	if (r == SYSFS_ABSENT) {
		*ret = TIER_DAX_DISABLED;
		return sysfs_exists(sysfs, "sys/bus/dax/devices/%s", name) ? 0 : -ENODEV;
	}
	if (r)
		return r < 0 ? r : -EACCES;
	*ret = streq(driver, "kmem")	     ? TIER_DAX_SYSTEM_RAM
	       : streq(driver, "device_dax") ? TIER_DAX_DEVDAX
					     : TIER_DAX_DISABLED;
	return 0;
}

static int no_device(struct memory_dax *dax, const struct sysfs *sysfs, const char *name,
		     struct tier_problem *problem)
{
	/* libdaxctl passes over a device without a node in /dev. */
	return tier_problem_set(problem, -ENODEV, name,
				sysfs_exists(sysfs, "sys/bus/dax/devices/%s", name)
					? "it has no node in /dev; is /dev private to this service?"
					: "see tierctl list regions",
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

int memory_dax_blocks(struct memory_dax *dax, const struct sysfs *sysfs, const char *name,
		      uint64_t **ret_blocks, size_t *ret_count, struct tier_problem *problem)
{
	_cleanup_free_ uint64_t *blocks = NULL;
	struct daxctl_dev *device = find(dax, name);
	struct daxctl_mapping *mapping;
	size_t count = 0, ranges = 0;
	uint64_t size;
	char text[32];
	int r = 0;

	if (!device)
		return no_device(dax, sysfs, name, problem);
	if (sysfs_read_string(sysfs, text, sizeof(text),
			      "sys/devices/system/memory/block_size_bytes") != 0 ||
	    (size = strtoull(text, NULL, 16)) == 0)
		return tier_problem_set(problem, -ENOTSUP, name, NULL,
					"this kernel has no memory hotplug");
	daxctl_mapping_foreach(device, mapping)
	{
		/* Without privilege they read as zero. */
		if (daxctl_mapping_get_start(mapping) == 0 || r < 0)
			continue;
		ranges++;
		r = append_range(daxctl_mapping_get_start(mapping),
				 daxctl_mapping_get_size(mapping), size, &blocks, &count);
	}
	if (ranges == 0 && daxctl_dev_get_resource(device) != 0) {
		ranges++;
		r = append_range(daxctl_dev_get_resource(device), daxctl_dev_get_size(device), size,
				 &blocks, &count);
	}
	if (ranges == 0)
		return tier_problem_set(problem, -EACCES, name, "try again as root",
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
static int check_offline(struct memory_dax *dax, const struct sysfs *sysfs, const char *name,
			 struct tier_problem *problem)
{
	_cleanup_free_ uint64_t *blocks = NULL;
	size_t count = 0;
	int r = memory_dax_blocks(dax, sysfs, name, &blocks, &count, problem);

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

/* In sysfs: libdaxctl reads modprobe's configuration each time, and runs what that says. */
static int unbind_or_bind(struct daxctl_dev *device, const struct sysfs *sysfs, const char *name,
			  enum tier_dax_mode mode, struct tier_problem *problem)
{
	int r;

	if (mode == TIER_DAX_DISABLED)
		return dax_unbind(sysfs, name, problem);
	if (sysfs_exists(sysfs, "sys/bus/dax/drivers/%s", driver_name(mode)))
		return dax_bind(sysfs, name, driver_name(mode), problem);
	/* Its module is not there yet. */
	r = daxctl_dev_disable(device);
	if (r == 0)
		r = mode == TIER_DAX_SYSTEM_RAM ? daxctl_dev_enable_ram(device)
						: daxctl_dev_enable_devdax(device);
	return r == 0 ? 0
		      : tier_problem_set(problem, r, name,
					 "is the module there? modprobe kmem; see the kernel log",
					 "cannot bind it to %s", driver_name(mode));
}

int memory_dax_bind(struct memory_dax *dax, const struct sysfs *sysfs, const char *name,
		    enum tier_dax_mode mode, struct tier_problem *problem)
{
	enum tier_dax_mode now;
	struct daxctl_dev *device = find(dax, name);
	int r = memory_dax_mode(sysfs, name, &now);

	if (!device || r == -ENODEV)
		return no_device(dax, sysfs, name, problem);
	if (r < 0)
		return tier_problem_set(problem, r, name, NULL, "cannot read its driver");
	if (now == mode)
		return 0;
	if (now == TIER_DAX_SYSTEM_RAM) {
		r = check_offline(dax, sysfs, name, problem);
		if (r < 0)
			return r;
	}
	if (geteuid() != 0)
		return tier_problem_set(problem, -EPERM, name, "try again as root",
					"cannot bind it to %s", driver_name(mode));
	r = unbind_or_bind(device, sysfs, name, mode, problem);
	if (r != 0 && now != TIER_DAX_DISABLED)
		/* Not left without a driver if it had one. */
		(void)dax_bind(sysfs, name, driver_name(now), NULL);
	return r;
}

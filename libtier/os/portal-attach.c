/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dax.h"
#include "fd.h"
#include "memory-apply.h"
#include "tier-portal.h"
#include "util.h"

static int to_devdax(const struct sysfs *sysfs, const char *name, struct tier_problem *problem)
{
	if (sysfs_exists(sysfs, "sys/bus/dax/drivers/device_dax"))
		return dax_bind(sysfs, name, "device_dax", problem);
	/* Its module is not there yet. */
	return memory_dax_bind(sysfs, name, TIER_DAX_DEVDAX, problem);
}

int tier_portal_attach(const char *region, char path[static 64], struct tier_super *ret,
		       struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ struct dax_device *devices = NULL;
	const struct dax_device *control = NULL;
	_cleanup_close_ int lock = -1;
	struct tier_super super;
	uint64_t start;
	size_t count;
	int r;

	r = sysfs_open(&sysfs, NULL);
	if (r)
		return r;
	r = sysfs_read_u64(&sysfs, &start, "sys/bus/cxl/devices/%s/resource", region);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : TIER_E_NOT_FOUND, region,
					"tierctl list regions", "cannot tell where it lies");
	r = dax_lock(&sysfs, region, DAX_SHORT_WAIT_USEC, &lock, problem);
	r = r ?: dax_list(&sysfs, region, &devices, &count, problem);
	if (r)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (devices[i].start == start)
			control = &devices[i];
	}
	if (!control)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, region,
					"daxctl list -RD shows its devices",
					"no dax device begins where the region begins");
	/* Other devices of the region may carry extents of a flight: only this one is touched. */
	if (streq(control->driver, "kmem"))
		r = tier_portal_region_to_devdax(region, problem);
	else
		r = to_devdax(&sysfs, control->name, problem);
	r = r ?: dax_await_node(control->name, path, problem);
	r = r ?: tier_portal_probe(path, &super, problem);
	if (r)
		return r;
	/* Extents become devices of their own; no byte of memory changes by this. */
	if (control->bytes > super.control_bytes) {
		r = dax_unbind(&sysfs, control->name, problem);
		r = r ?: dax_resize(&sysfs, control->name, super.control_bytes, problem);
		r = dax_bind(&sysfs, control->name, "device_dax", r ? NULL : problem) ?: r;
		r = r ?: dax_await_node(control->name, path, problem);
	}
	if (r)
		return r;
	*ret = super;
	return 0;
}

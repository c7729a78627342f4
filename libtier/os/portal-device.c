/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "dax.h"
#include "fd.h"
#include "portal-map.h"
#include "sysfs.h"
#include "util.h"

#define DEVDAX_ALIGN (2 * MIB)

/*
 * A dax device may be cut down to the control area while extents are devices of their own; the
 * portal then still has the whole dax region behind it.
 */
static int dax_sizes(const struct stat *status, struct portal_device *device)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char subsystem[32], device_path[64];
	uint64_t start, region_start, region_bytes;
	int r;

	r = sysfs_open(&sysfs, NULL);
	if (r != 0)
		return r;
	snprintf(device_path, sizeof(device_path), "sys/dev/char/%u:%u", major(status->st_rdev),
		 minor(status->st_rdev));
	r = sysfs_read_link_name(&sysfs, subsystem, sizeof(subsystem), "%s/subsystem", device_path);
	if (r != 0 || !streq(subsystem, "dax"))
		return -ENOTTY;
	r = sysfs_read_u64(&sysfs, &device->bytes, "%s/size", device_path);
	if (r != 0)
		return r < 0 ? r : -ENODEV;
	r = sysfs_read_u64(&sysfs, &device->align_bytes, "%s/align", device_path);
	if (r != 0 || device->align_bytes < DEVDAX_ALIGN)
		device->align_bytes = DEVDAX_ALIGN;
	device->capacity_bytes = device->bytes;
	/* The parents are the dax region and the CXL region; only the latter tells its address. */
	if (sysfs_read_u64(&sysfs, &start, "%s/resource", device_path) == 0 &&
	    sysfs_read_u64(&sysfs, &region_start, "%s/../../resource", device_path) == 0 &&
	    sysfs_read_u64(&sysfs, &region_bytes, "%s/../../size", device_path) == 0 &&
	    start == region_start && region_bytes > device->bytes)
		device->capacity_bytes = region_bytes;
	return dax_check_open(device->fd);
}

int portal_device_open(const char *path, int flags, struct portal_device *ret,
		       struct tier_problem *problem)
{
	static const char next_portal[] = "tierctl portal show lists what there is";
	_cleanup_device_ struct portal_device device = PORTAL_DEVICE_CLOSED;
	struct stat status;
	int r;

	device.fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (device.fd < 0) {
		r = -errno;
		return tier_problem_set(
			problem, r, path,
			r == -ENXIO    ? "it may be system RAM: tierctl offline REGION --to-devdax"
			: r == -EACCES ? "root may"
				       : NULL,
			"cannot open it");
	}
	if (fstat(device.fd, &status) < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot stat it");
	if (S_ISCHR(status.st_mode)) {
		device.dax = true;
		r = dax_sizes(&status, &device);
		if (r == -ENOTTY)
			return tier_problem_set(problem, TIER_E_NOT_PORTAL, path, next_portal,
						"not a dax device, nor a plain file");
		if (r != 0)
			return tier_problem_set(
				problem, r, path, NULL,
				"the device is going away, or sysfs has no size of it");
	} else if (S_ISREG(status.st_mode)) {
		device.bytes = device.capacity_bytes = (uint64_t)status.st_size;
		device.align_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	} else {
		return tier_problem_set(problem, TIER_E_NOT_PORTAL, path, next_portal,
					"not a dax device, nor a plain file");
	}
	*ret = device;
	device.fd = -1;
	return 0;
}

void portal_device_done(struct portal_device *device)
{
	if (device->fd >= 0)
		close(device->fd);
	device->fd = -1;
}

int portal_window_open(const struct portal_device *device, uint64_t bytes, bool writable,
		       struct portal_window *ret)
{
	struct portal_window window = {};

	bytes = MIN(bytes, device->bytes);
	if (bytes > SIZE_MAX - device->align_bytes)
		return -EFBIG;
	/* A device takes whole units of its alignment only; a file may end inside its last page. */
	if (device->dax)
		bytes = MIN(ROUND_UP(bytes, device->align_bytes), device->bytes);
	if (bytes > 0) {
		void *data = mmap(NULL, (size_t)bytes, PROT_READ | (writable ? PROT_WRITE : 0),
				  MAP_SHARED, device->fd, 0);

		if (data == MAP_FAILED)
			return -errno;
		window = (struct portal_window){.data = data, .bytes = (size_t)bytes};
	}
	*ret = window;
	return 0;
}

void portal_window_done(struct portal_window *window)
{
	if (window->data)
		munmap(window->data, window->bytes);
	window->data = NULL;
}

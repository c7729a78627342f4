/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "clock.h"
#include "dax.h"
#include "fd.h"
#include "util.h"

#define DEVICES	   "sys/bus/dax/devices"
#define DRIVERS	   "sys/bus/dax/drivers"
#define READY_USEC UINT64_C(1000000)
#define NODE_USEC  (5 * UINT64_C(1000000))
#define POLL_USEC  UINT64_C(10000)

/* The directory that holds the region's dax devices and dax_region/create. */
static int region_directory(const struct sysfs *sysfs, const char *region, char path[static 160],
			    struct tier_problem *problem)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "dax_region", "sys/bus/cxl/devices/%s", region);

	if (r == SYSFS_ABSENT || (r == 0 && names.count == 0))
		return tier_problem_set(problem, TIER_E_NOT_FOUND, region,
					"modprobe dax_cxl, or create it with cxl create-region",
					"no such region, or it has no dax region");
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, region, NULL,
					"cannot list its dax region");
	snprintf(path, 160, "sys/bus/cxl/devices/%s/%s", region, names.names[0]);
	return 0;
}

/* ".../decoder0.0/region0/dax_region0/dax0.0": the CXL region is a directory on the way. */
int dax_region_of(const struct sysfs *sysfs, const char *name, char region[static 32])
{
	char path[PATH_MAX];
	int r = sysfs_read_link(sysfs, path, sizeof(path), DEVICES "/%s", name);

	region[0] = '\0';
	if (r)
		return r;
	for (const char *p = path; (p = strstr(p, "/region")); p++) {
		size_t length = strcspn(p + 1, "/");

		if (p[strlen("/region")] < '0' || p[strlen("/region")] > '9' || length >= 32 ||
		    strncmp(p + 1 + length, "/dax_region", strlen("/dax_region")) != 0)
			continue;
		memcpy(region, p + 1, length);
		region[length] = '\0';
	}
	return 0;
}

int dax_lock(const struct sysfs *sysfs, const char *region, uint64_t wait_usec, int *ret_fd,
	     struct tier_problem *problem)
{
	uint64_t deadline = now_usec() + wait_usec;
	_cleanup_close_ int fd = -1;
	char path[160];
	int r = region_directory(sysfs, region, path, problem);

	if (r)
		return r;
	fd = openat(sysfs->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return tier_problem_set(problem, -errno, region, NULL,
					"cannot open its dax region");
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR && errno != EWOULDBLOCK)
			return tier_problem_set(problem, -errno, region, NULL,
						"cannot lock its dax region");
		if (now_usec() > deadline)
			return tier_problem_set(problem, TIER_E_TIMEOUT, region, "tierctl flights",
						"another process changes its dax devices");
		poll(NULL, 0, poll_timeout(now_usec() + POLL_USEC));
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int dax_list(const struct sysfs *sysfs, const char *region, struct dax_device **ret, size_t *count,
	     struct tier_problem *problem)
{
	_cleanup_free_ struct dax_device *devices = NULL;
	_cleanup_names_ struct sysfs_names names = {};
	char directory[160];
	size_t n = 0;
	int r;

	r = region_directory(sysfs, region, directory, problem);
	if (r)
		return r;
	r = sysfs_list(sysfs, &names, "dax", "%s", directory);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, region, NULL,
					"cannot list its dax devices");
	for (size_t i = 0; i < names.count; i++) {
		struct dax_device device = {.target_node = -1};

		if (sysfs_read_u64(sysfs, &device.bytes, DEVICES "/%s/size", names.names[i]) ||
		    device.bytes == 0)
			continue;
		r = sysfs_read_u64(sysfs, &device.start, DEVICES "/%s/resource", names.names[i]);
		if (r)
			return tier_problem_set(problem, r < 0 ? r : -EACCES, names.names[i],
						"run as root", "cannot read its address");
		(void)sysfs_read_int(sysfs, &device.target_node, DEVICES "/%s/target_node",
				     names.names[i]);
		if (sysfs_read_link_name(sysfs, device.driver, sizeof(device.driver),
					 DEVICES "/%s/driver", names.names[i]))
			device.driver[0] = '\0';
		copy_string(device.name, sizeof(device.name), names.names[i]);
		if (!array_grow(&devices, &n, sizeof(*devices)))
			return -ENOMEM;
		devices[n - 1] = device;
	}
	*ret = TAKE(devices);
	*count = n;
	return 0;
}

int dax_create(const struct sysfs *sysfs, const char *region, uint64_t start, uint64_t bytes,
	       char name[static 32], struct tier_problem *problem)
{
	char directory[160], seed[32], range[64];
	uint64_t found_start, found_bytes;
	int r;

	r = region_directory(sysfs, region, directory, problem);
	if (r)
		return r;
	/* The seed is the device that create made last; an unused one of size 0 may be left. */
	r = sysfs_read_string(sysfs, seed, sizeof(seed), "%s/dax_region/seed", directory);
	if (r == 0 && seed[0]) {
		uint64_t size = 1;

		if (sysfs_read_u64(sysfs, &size, DEVICES "/%s/size", seed) || size != 0)
			seed[0] = '\0';
	}
	if (r || !seed[0]) {
		r = sysfs_write(sysfs, "1", "%s/dax_region/create", directory);
		if (r == 0)
			r = sysfs_read_string(sysfs, seed, sizeof(seed), "%s/dax_region/seed",
					      directory);
		if (r)
			return tier_problem_set(problem, r < 0 ? r : -EACCES, region, NULL,
						"cannot create a dax device");
	}
	snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, start, start + bytes - 1);
	r = sysfs_write(sysfs, range, DEVICES "/%s/mapping", seed);
	if (r) {
		(void)sysfs_write(sysfs, seed, "%s/dax_region/delete", directory);
		return tier_problem_set(problem, r, seed,
					"see which dax device has that range: tierctl list",
					"cannot map %s of %s", range, region);
	}
	/* mapping appends: a device that somebody else has begun would have two ranges by now. */
	if (sysfs_read_u64(sysfs, &found_start, DEVICES "/%s/resource", seed) ||
	    sysfs_read_u64(sysfs, &found_bytes, DEVICES "/%s/size", seed) || found_start != start ||
	    found_bytes != bytes)
		return tier_problem_set(
			problem, -EBUSY, seed, "daxctl list -RD",
			"is not the device that was created: somebody else carves %s", region);
	/* Page structures must never lie in memory that another host can write. */
	r = sysfs_write(sysfs, "0", DEVICES "/%s/memmap_on_memory", seed);
	if (r && r != -ENOENT) {
		(void)dax_destroy(sysfs, region, seed, NULL);
		return tier_problem_set(problem, r, seed, NULL, "cannot turn memmap_on_memory off");
	}
	copy_string(name, 32, seed);
	return 0;
}

static int driver_of(const struct sysfs *sysfs, const char *name, char driver[static 32])
{
	int r = sysfs_read_link_name(sysfs, driver, 32, DEVICES "/%s/driver", name);

	if (r == SYSFS_ABSENT)
		driver[0] = '\0';
	return r == SYSFS_ABSENT ? 0 : r < 0 ? r : r == SYSFS_DENIED ? -EACCES : 0;
}

int dax_unbind(const struct sysfs *sysfs, const char *name, struct tier_problem *problem)
{
	char driver[32];
	int r = driver_of(sysfs, name, driver);

	if (r == 0 && driver[0])
		r = sysfs_write(sysfs, name, DRIVERS "/%s/unbind", driver);
	if (r)
		return tier_problem_set(problem, r, name, NULL, "cannot unbind from %s", driver);
	/* kmem reports success and stays bound in effect when its memory is online. */
	if (driver[0])
		(void)sysfs_write(sysfs, name, DRIVERS "/%s/remove_id", driver);
	return 0;
}

/* As soon as the kernel lets the device have one: its event comes a moment before. */
static int bind_when_ready(const struct sysfs *sysfs, const char *name, const char *driver)
{
	uint64_t deadline = now_usec() + READY_USEC;
	int r;

	while ((r = sysfs_write(sysfs, name, DRIVERS "/%s/bind", driver)) == -EAGAIN &&
	       now_usec() < deadline)
		poll(NULL, 0, 1);
	return r;
}

/*
 * The device is not one for that driver by itself. new_id binds at once, and with it all others that are for
 * the driver and have none: of kmem, devices that nobody has looked at yet.
 */
static int bind_by_id(const struct sysfs *sysfs, const char *name, const char *driver)
{
	char now[32] = "";
	int r = sysfs_write(sysfs, name, DRIVERS "/%s/new_id", driver);

	driver_of(sysfs, name, now);
	if (streq(now, driver))
		return 0;
	/* It may have been known. */
	if (r == 0 || r == -EEXIST)
		r = bind_when_ready(sysfs, name, driver);
	driver_of(sysfs, name, now);
	if (!streq(now, driver))
		(void)sysfs_write(sysfs, name, DRIVERS "/%s/remove_id", driver);
	return r;
}

int dax_bind(const struct sysfs *sysfs, const char *name, const char *driver,
	     struct tier_problem *problem)
{
	char now[32];
	int r = driver_of(sysfs, name, now);

	if (r)
		return tier_problem_set(problem, r, name, NULL, "cannot tell its driver");
	if (streq(now, driver))
		return 0;
	r = dax_unbind(sysfs, name, problem);
	if (r)
		return r;
	r = bind_when_ready(sysfs, name, driver);
	if (r == -ENODEV)
		r = bind_by_id(sysfs, name, driver);
	if (r == -ENOENT)
		return tier_problem_set(problem, r, name, "modprobe it", "no driver %s", driver);
	driver_of(sysfs, name, now);
	if (!streq(now, driver))
		return tier_problem_set(problem, r ?: -EIO, name, "dmesg says why",
					"cannot bind to %s", driver);
	return 0;
}

int dax_resize(const struct sysfs *sysfs, const char *name, uint64_t bytes,
	       struct tier_problem *problem)
{
	char text[32];
	int r;

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	r = sysfs_write(sysfs, text, DEVICES "/%s/size", name);
	if (r)
		return tier_problem_set(problem, r, name, NULL, "cannot resize to %s bytes", text);
	return 0;
}

int dax_destroy(const struct sysfs *sysfs, const char *region, const char *name,
		struct tier_problem *problem)
{
	char directory[160];
	int r;

	r = region_directory(sysfs, region, directory, problem);
	r = r ?: dax_unbind(sysfs, name, problem);
	r = r ?: dax_resize(sysfs, name, 0, problem);
	if (r)
		return r;
	r = sysfs_write(sysfs, name, "%s/dax_region/delete", directory);
	if (r)
		return tier_problem_set(problem, r, name, NULL, "cannot destroy");
	return 0;
}

int dax_await_node(const char *name, char path[static 64], struct tier_problem *problem)
{
	uint64_t deadline = now_usec() + NODE_USEC;
	struct stat st;

	snprintf(path, 64, "/dev/%s", name);
	while (stat(path, &st) < 0 || !S_ISCHR(st.st_mode)) {
		if (now_usec() > deadline)
			return tier_problem_set(problem, TIER_E_TIMEOUT, path,
						"is devtmpfs mounted?",
						"the device node did not appear");
		poll(NULL, 0, poll_timeout(now_usec() + POLL_USEC));
	}
	return 0;
}

int dax_check_open(int fd)
{
	/* The device's own, and its parent's. */
	static const char *const drivers[] = {"driver", "../driver"};
	struct stat status;
	char path[64];

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISCHR(status.st_mode))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/%s", major(status.st_rdev),
			 minor(status.st_rdev), drivers[i]);
		if (access(path, F_OK) < 0)
			return -ENODEV;
	}
	/* Its node has gone, so what is there by now is another device. */
	if (fstat(fd, &status) < 0 || status.st_nlink == 0)
		return -ENODEV;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "fd.h"
#include "portal-map.h"
#include "util.h"

#define PROBE_BYTES (2 * MIB)

/* Refuses what --force is for: a portal, or a file with something else in it. */
static int check_unused(const char *path, const struct portal_device *device,
			struct tier_problem *problem)
{
	_cleanup_window_ struct portal_window window = {};
	struct tier_problem found;
	struct tier_super old;
	char uuid[37];
	int r;

	r = portal_window_open(device, PROBE_BYTES, false, &window);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL, "cannot map it");
	r = portal_super_read(device, &window, path, &old, NULL, &found);
	if (r == 0) {
		tier_uuid_format(&old.uuid, uuid);
		return tier_problem_set(problem, TIER_E_BUSY, path,
					"--force destroys it and any VM that lies in it",
					"portal %s (%s) is here", old.name, uuid);
	}
	if (r < 0)
		return r;
	if (r != TIER_E_NOT_PORTAL)
		return tier_problem_set(problem, TIER_E_BUSY, path,
					"--force destroys what is left of it",
					"a portal was here: %s", found.text);
	/* Memory holds anything after power-on; a file holds what somebody put there. */
	if (!device->dax)
		for (size_t i = 0; i < window.bytes; i++)
			if (window.data[i])
				return tier_problem_set(problem, TIER_E_BUSY, path,
							"--force overwrites it",
							"the file is in use for something else");
	return 0;
}

/*
 * A file is sparse: all zero after the hole is punched, and what records lie in is allocated, since
 * a store into a hole of a full file system would be a SIGBUS. Blobs are allocated when written.
 */
static int prepare_file(int fd, const struct tier_super *super, uint64_t bytes)
{
	int r;

	if (bytes < super->total_bytes && ftruncate(fd, (off_t)super->total_bytes) < 0)
		return -errno;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)super->control_bytes) < 0)
		return -errno;
	r = posix_fallocate(fd, 0, PROBE_BYTES);
	for (uint32_t host = 0; r == 0 && host < super->host_count; host++) {
		uint64_t blobs_bytes, blobs = tier_blob_area(super, host, &blobs_bytes);
		uint64_t area = tier_record_offset(super, TIER_RECORD_HOST, host, 0, 0);

		r = posix_fallocate(fd, (off_t)area, (off_t)(blobs - area));
	}
	return -r;
}

/* The old superblocks go first: no crash in here leaves one above zeroed records. */
static void zero(enum cache_method cache, char *data, uint64_t bytes)
{
	memset(data, 0, TIER_SUPER_BYTES);
	memset(data + TIER_SUPER_COPY_OFFSET, 0, TIER_SUPER_BYTES);
	cache_flush(cache, data, TIER_SUPER_BYTES);
	cache_flush(cache, data + TIER_SUPER_COPY_OFFSET, TIER_SUPER_BYTES);
	memset(data, 0, bytes);
	cache_flush(cache, data, bytes);
}

static int write_portal(const char *path, struct portal_device *device,
			const struct tier_super *super, struct tier_problem *problem)
{
	_cleanup_window_ struct portal_window window = {};
	uint8_t buffer[TIER_SUPER_BYTES];
	struct tier_super check;
	enum cache_method cache;
	unsigned health;
	int r;

	r = cache_method(super->hardware_coherent, &cache);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL,
					"this processor's caches cannot be flushed for a portal");
	if (!device->dax) {
		r = prepare_file(device->fd, super, device->bytes);
		if (r < 0)
			return tier_problem_set(problem, r, path, NULL, "cannot make room for it");
		device->bytes = MAX(device->bytes, super->total_bytes);
		device->capacity_bytes = device->bytes;
	}
	r = portal_window_open(device, super->control_bytes, true, &window);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL, "cannot map the control area");
	if (device->dax)
		zero(cache, window.data, super->control_bytes);
	tier_super_encode(super, buffer);
	memcpy(window.data + TIER_SUPER_COPY_OFFSET, buffer, sizeof(buffer));
	cache_flush(cache, window.data + TIER_SUPER_COPY_OFFSET, sizeof(buffer));
	memcpy(window.data, buffer, sizeof(buffer));
	cache_flush(cache, window.data, sizeof(buffer));

	r = portal_super_read(device, &window, path, &check, &health, problem);
	if (r == 0 && health != 0)
		r = tier_problem_set(problem, -EIO, path, NULL,
				     "what was written does not read back");
	return r;
}

int tier_portal_unused(const char *path, struct tier_problem *problem)
{
	_cleanup_device_ struct portal_device device = PORTAL_DEVICE_CLOSED;
	int r = portal_device_open(path, O_RDONLY, &device, problem);

	if (r == -ENOENT)
		return 0;
	return r ? r : check_unused(path, &device, problem);
}

int tier_portal_format(const char *path, const struct tier_super *super, bool force,
		       struct tier_problem *problem)
{
	_cleanup_device_ struct portal_device device = PORTAL_DEVICE_CLOSED;
	uint8_t buffer[TIER_SUPER_BYTES];
	struct tier_super check;
	bool created = false;
	uint64_t old_bytes;
	int r;

	/* What a reader would refuse is not written. */
	tier_super_encode(super, buffer);
	r = tier_super_decode(buffer, super->total_bytes, &check, problem);
	if (r != 0)
		return r;

	r = portal_device_open(path, O_RDWR, &device, problem);
	if (r == -ENOENT) {
		created = true;
		r = portal_device_open(path, O_RDWR | O_CREAT | O_EXCL, &device, problem);
	}
	if (r != 0)
		return r;
	/* The device may have been cut down to the control area; no more than that is written. */
	if (device.dax &&
	    (super->total_bytes > device.capacity_bytes || super->control_bytes > device.bytes))
		return tier_problem_set(problem, TIER_E_TRUNCATED, path,
					"daxctl list -RD shows the region's devices",
					"the portal has %" PRIu64 " bytes, %" PRIu64
					" of these for control; the region has %" PRIu64
					", its first dax device %" PRIu64,
					super->total_bytes, super->control_bytes,
					device.capacity_bytes, device.bytes);
	r = force ? 0 : check_unused(path, &device, problem);
	if (r != 0)
		return r;
	old_bytes = device.bytes;
	r = write_portal(path, &device, super, problem);
	if (r != 0 && created)
		unlink(path);
	else if (r != 0 && !device.dax && old_bytes < super->total_bytes)
		/* What has been punched out is lost; --force or emptiness allowed that. */
		(void)!ftruncate(device.fd, (off_t)old_bytes);
	return r;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_PORTAL_MAP_H
#define TIER_PORTAL_MAP_H

#include "tier-portal.h"
#include "cache.h"

/* What a portal lies on: a dax character device or a plain file. */
struct portal_device {
	int fd; /* -1: closed */
	bool dax;
	uint64_t bytes;		 /* can be mapped through this device */
	uint64_t capacity_bytes; /* of the region below it, counted from the device's start */
	uint64_t align_bytes;
};

#define PORTAL_DEVICE_CLOSED ((struct portal_device){.fd = -1})

/* @flags: O_RDONLY or O_RDWR, with O_CREAT for a file. @problem's object is @path. */
int portal_device_open(const char *path, int flags, struct portal_device *ret,
		       struct tier_problem *problem);
void portal_device_done(struct portal_device *device);
#define _cleanup_device_ __attribute__((cleanup(portal_device_done)))

/* A mapping of the first bytes of a device. */
struct portal_window {
	char *data; /* NULL: none */
	size_t bytes;
};

/* Maps at most @bytes, fewer if the device is smaller. */
int portal_window_open(const struct portal_device *device, uint64_t bytes, bool writable,
		       struct portal_window *ret);
void portal_window_done(struct portal_window *window);
#define _cleanup_window_ __attribute__((cleanup(portal_window_done)))

/* Copies out and checks both copies; outcomes and health as in tier-portal.h. */
int portal_super_read(const struct portal_device *device, const struct portal_window *window,
		      const char *path, struct tier_super *ret, unsigned *ret_health,
		      struct tier_problem *problem);

struct tier_portal {
	char *path;
	bool writable;
	unsigned health;
	enum cache_method cache;
	struct tier_super super;
	struct portal_device device;
	struct portal_window window; /* the control area */
};

/* tier_portal_open(), with the keys of another directory. */
int portal_open_with_keys(const char *path, unsigned flags, const char *key_directory,
			  struct tier_portal **ret, struct tier_problem *problem);

#endif

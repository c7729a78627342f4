/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_DAX_H
#define TIER_OS_DAX_H

#include <stdbool.h>
#include <stdint.h>

#include "sysfs.h"
#include "tier-error.h"

/*
 * Dax devices of a CXL region: carved at fixed offsets, bound to a driver, given back. In sysfs and
 * not through libdaxctl, which can neither place a device at an offset of our choice and keep it
 * unbound, nor take an id back from a driver.
 */
struct dax_device {
	char name[32];	 /* "dax0.1" */
	char driver[32]; /* "kmem", "device_dax", or empty */
	uint64_t start;	 /* host physical */
	uint64_t bytes;
	int target_node;
};

/* The devices of @region that have a size. free() the array. */
int dax_list(const struct sysfs *sysfs, const char *region, struct dax_device **ret, size_t *count,
	     struct tier_problem *problem);

/*
 * Carving a region is several writes to sysfs that nothing else ties together: whoever creates,
 * resizes or destroys devices of a region holds this lock (of its sysfs directory) meanwhile.
 * TIER_E_TIMEOUT: somebody has held it for @wait_usec.
 */
#define DAX_WAIT_USEC	    (120 * UINT64_C(1000000)) /* whoever has nothing else to do */
#define DAX_SHORT_WAIT_USEC (200 * UINT64_C(1000))    /* whoever has to beat */
int dax_lock(const struct sysfs *sysfs, const char *region, uint64_t wait_usec, int *ret_fd,
	     struct tier_problem *problem);

/*
 * The CXL region that a dax device is of, empty if it is of none (hmem, pmem). Returns 0; SYSFS_ABSENT if it has
 * gone; SYSFS_DENIED; negative errno.
 */
int dax_region_of(const struct sysfs *sysfs, const char *name, char region[static 32]);

/* As tier_dax_is_held() and so on. */
int dax_is_held(const struct sysfs *sysfs, bool *ret);
int dax_hold(const struct sysfs *sysfs, bool hold, struct tier_problem *problem);
int dax_waiting(const struct sysfs *sysfs, char (**ret)[32], size_t *ret_count,
		struct tier_problem *problem);
int dax_release(const struct sysfs *sysfs, const char *name, struct tier_problem *problem);

/* A new device over [start, start + bytes), bound to nothing, its memmap in DRAM. */
int dax_create(const struct sysfs *sysfs, const char *region, uint64_t start, uint64_t bytes,
	       char name[static 32], struct tier_problem *problem);

/* Unbinds and destroys. -EBUSY while its memory is online. */
int dax_destroy(const struct sysfs *sysfs, const char *region, const char *name,
		struct tier_problem *problem);

/* Binds to "kmem" or "device_dax"; from the other driver if need be. */
int dax_bind(const struct sysfs *sysfs, const char *name, const char *driver,
	     struct tier_problem *problem);
int dax_unbind(const struct sysfs *sysfs, const char *name, struct tier_problem *problem);

/* Sets the size of an unbound device; growing and shrinking happen at its end. */
int dax_resize(const struct sysfs *sysfs, const char *name, uint64_t bytes,
	       struct tier_problem *problem);

/* Waits until udev has made /dev/NAME; @path is filled in. */
int dax_await_node(const char *name, char path[static 64], struct tier_problem *problem);

/*
 * To be asked between opening and mapping a dax device: 0, or -ENODEV if it, or its driver, is going
 * away. Linux (7.2.12, dax_open()) gives out a file without a device meanwhile, and dereferences NULL when
 * that is mapped. When a driver is unbound, its link in sysfs goes first of all; when a device is removed, that
 * of its parent's driver, by which it is, and the device's own only after it has been made unusable. If both are there
 * after the opening, and the node is still the one that was opened, the file has its device. A plain file
 * needs none.
 */
int dax_check_open(int fd);

#endif

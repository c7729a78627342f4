/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_DAX_H
#define TIER_DAX_H

/*
 * Dax devices that arrive. The kernel binds each to a driver at once, and one of a CXL region to kmem,
 * which adds its memory: before anybody could look whether it holds a portal.
 */

#include <stdbool.h>
#include <stddef.h>

#include "tier-error.h"

/**
 * tier_dax_is_held() - do dax devices that arrive stay without a driver?
 * @ret: from /sys/bus/dax/drivers_autoprobe
 *
 * Return: 0; TIER_E_NOT_FOUND if this kernel has no dax devices; negative errno.
 */
int tier_dax_is_held(bool *ret);

/**
 * tier_dax_hold() - let those that arrive from now on stay without a driver, or have one again
 *
 * Holding them is somebody's duty until they are not held any more: each is to be bound, or released. A
 * driver that is loaded meanwhile does not take those that wait, either. Needs root.
 *
 * Return: 0; TIER_E_NOT_FOUND as above; negative errno.
 */
int tier_dax_hold(bool hold, struct tier_problem *problem);

/**
 * tier_dax_waiting() - devices that have no driver and are of no CXL region
 * @ret: their names, "dax1.0"; new array; free(); NULL if there is none
 * @ret_count: its length
 *
 * Return: 0; negative errno.
 */
int tier_dax_waiting(char (**ret)[32], size_t *ret_count, struct tier_problem *problem);

/**
 * tier_dax_release() - have a device that waits bound to the driver that it would have got
 *
 * One of a CXL region is left as it is: whether it may be added to memory is to be found out first.
 * Needs root.
 *
 * Return: 0 if nothing is left to be done: it has a driver, is of a CXL region, or has gone; -EAGAIN if no
 * driver has taken it: the kernel is not ready to let it have one, the driver is not loaded, or refuses it;
 * other negative errno.
 */
int tier_dax_release(const char *name, struct tier_problem *problem);

#endif

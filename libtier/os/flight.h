/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_FLIGHT_H
#define TIER_OS_FLIGHT_H

/* What both sides of a flight share. */

#include "clock.h"
#include "extent.h"
#include "machine.h"
#include "ram-file.h"
#include "tier-flight.h"

/* How often the other side's record is read while waiting for it. */
#define FLIGHT_POLL_USEC UINT64_C(5000)

static inline void portal_closep(struct tier_portal **portal)
{
	if (*portal)
		tier_portal_close(*portal);
}
#define _cleanup_portal_ _cleanup_(portal_closep)

static inline void flight_stage(const struct tier_flight_observer *observer,
				enum tier_flight_stage stage)
{
	if (observer && observer->stage)
		observer->stage(observer->userdata, stage);
}

static inline void flight_progress(const struct tier_flight_observer *observer,
				   enum tier_flight_stage stage, uint64_t done, uint64_t total)
{
	if (observer && observer->progress)
		observer->progress(observer->userdata, stage, done, total);
}

static inline bool flight_cancelled(const struct tier_flight_observer *observer)
{
	return observer && observer->cancelled && observer->cancelled(observer->userdata);
}

/* The node with CPUs that has most free memory: where RAM goes that leaves a portal. */
int flight_dram_node(int *ret_node, struct tier_problem *problem);

/*
 * Before a portal's node may be seen by the other host, every page on it that is not the flight's
 * must be free. Mapped ones are moved to @dram; what remains is counted.
 */
int foreign_pages_evacuate(const struct tier_extents *extents, const struct ram_file *ram, int node,
			   int dram, pid_t except, struct tier_problem *problem);

/* Pages of @path on @node in /proc/PID/numa_maps; 0 if it cannot be read. */
uint64_t numa_maps_pages(pid_t pid, const char *path, int node);

/* Runs of at most TIER_MANIFEST_RUN_PAGES pages that are neighbours in the RAM and in the portal. */
int manifest_build(const struct tier_extents *extents, const struct ram_file *ram,
		   const struct tier_offer *offer, struct tier_manifest **ret,
		   struct tier_problem *problem);

/* The checksum of a run from those of its pages. */
uint32_t manifest_run_checksum(const uint32_t *checksums, uint32_t pages);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_MEMORY_APPLY_H
#define TIER_OS_MEMORY_APPLY_H

#include "sysfs.h"
#include "tier-online.h"
#include "util.h"

/*
 * One memory block. All return 0 or a negative errno; @problem is filled in, and names @region,
 * since that is what people know.
 */

/* The zone of an online block, NONE of an offline one. */
int memory_block_zone(const struct sysfs *sysfs, uint64_t block, enum tier_zone *ret);
/* TIER_ABSENT_NODE if it has none. */
int memory_block_node(const struct sysfs *sysfs, uint64_t block);
/*
 * Onlines into Movable, or into a kernel zone. A block that is online there already is left alone
 * and *ret_changed is false; one that is online elsewhere is -EBUSY: somebody else did that.
 */
int memory_block_online(const struct sysfs *sysfs, const char *region, uint64_t block, bool movable,
			bool *ret_changed, struct tier_problem *problem);
/*
 * Evacuates and offlines. The kernel migrates what it can each time it is asked, so EBUSY is tried
 * again a few times and within a deadline. *ret_zone is where it was, NONE if it was offline.
 */
int memory_block_offline(const struct sysfs *sysfs, const char *region, uint64_t block,
			 enum tier_zone *ret_zone, struct tier_problem *problem);

/*
 * On a kernel with types, memory that other hosts see comes online only block by block and after
 * somebody has allowed it. Elsewhere all of it is, and these do nothing.
 */
bool memory_block_allowed(const struct sysfs *sysfs, uint64_t block);
int memory_block_allow(const struct sysfs *sysfs, uint64_t block);
void memory_block_disallow(const struct sysfs *sysfs, uint64_t block);

/*
 * All memory of a dax device at once, where the kernel can. _can: its blocks, all of them, are offline or
 * not there. *ret_unplugged: they were not there before. *ret_changed: there is something to take back,
 * also after a failure.
 */
bool memory_plug_can(const struct sysfs *sysfs, const char *dax, const uint64_t *blocks,
		     size_t count);
int memory_plug(const struct sysfs *sysfs, const char *region, const char *dax, bool movable,
		bool *ret_unplugged, bool *ret_changed, struct tier_problem *problem);
/* Evacuates, if it has to, and removes the blocks. */
int memory_unplug(const struct sysfs *sysfs, const char *region, const char *dax,
		  struct tier_problem *problem);

int memory_dax_mode(const struct sysfs *sysfs, const char *name, enum tier_dax_mode *ret);
/*
 * Binds it to the driver of @mode, or to none; loads the driver if need be. Bound to that already: nothing
 * happens.
 */
int memory_dax_bind(const struct sysfs *sysfs, const char *name, enum tier_dax_mode mode,
		    struct tier_problem *problem);
/* The memory blocks that its ranges fill, ascending; free(). */
int memory_dax_blocks(const struct sysfs *sysfs, const char *name, uint64_t **ret_blocks,
		      size_t *ret_count, struct tier_problem *problem);

#endif

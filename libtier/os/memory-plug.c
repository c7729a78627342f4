/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-apply.h"

/*
 * The state file that kmem gives a dax device since Linux 7.3 speaks of all its memory at once. Unplugged,
 * it has no memory blocks; onlined from there, they appear online in the zone that was asked for, and
 * nobody can come in between. Blocks that are there and offline must go for that: "offline" leads to
 * "unplugged" only, and cannot be written.
 */

static const char dax_path[] = "sys/bus/dax/devices";

static bool has_state(const struct sysfs *sysfs, const char *dax, bool *ret_unplugged)
{
	char state[32];

	if (sysfs_read_string(sysfs, state, sizeof(state), "%s/%s/state", dax_path, dax) != 0)
		return false;
	*ret_unplugged = streq(state, "unplugged");
	return true;
}

/* Of typed memory each block has to be allowed, which one that is not there cannot be. */
static bool is_idle(const struct sysfs *sysfs, uint64_t block)
{
	enum tier_zone zone;
	int r = memory_block_zone(sysfs, block, &zone);

	return r == -ENOENT ||
	       (r == 0 && zone == TIER_ZONE_NONE && memory_block_allowed(sysfs, block));
}

bool memory_plug_can(const struct sysfs *sysfs, const char *dax, const uint64_t *blocks,
		     size_t count)
{
	char text[32] = "";
	bool unplugged;

	if (!has_state(sysfs, dax, &unplugged))
		return false;
	/* What is undone must be there again, and offline. */
	(void)sysfs_read_string(sysfs, text, sizeof(text),
				"sys/devices/system/memory/auto_online_blocks");
	if (!unplugged && !streq(text, "offline"))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_idle(sysfs, blocks[i]))
			return false;
	return true;
}

static int write_state(const struct sysfs *sysfs, const char *region, const char *dax,
		       const char *state, struct tier_problem *problem)
{
	int r = sysfs_write(sysfs, state, "%s/%s/state", dax_path, dax);

	return r == 0 ? 0
		      : tier_problem_set(problem, r, region,
					 r == -EACCES || r == -EPERM ? "try again as root"
								     : "see the kernel log",
					 "cannot make the memory of %s %s", dax, state);
}

int memory_plug(const struct sysfs *sysfs, const char *region, const char *dax, bool movable,
		bool *ret_unplugged, bool *ret_changed, struct tier_problem *problem)
{
	bool unplugged = false;
	int r = has_state(sysfs, dax, &unplugged) && unplugged
			? 0
			: memory_unplug(sysfs, region, dax, problem);

	*ret_unplugged = unplugged;
	*ret_changed = r == 0;
	return r
		       ?: write_state(sysfs, region, dax,
				      movable ? "online_movable" : "online_kernel", problem);
}

int memory_unplug(const struct sysfs *sysfs, const char *region, const char *dax,
		  struct tier_problem *problem)
{
	return write_state(sysfs, region, dax, "unplugged", problem);
}

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
	bool allowed;
	int r = memory_block_zone(sysfs, block, &zone);

	if (r == -ENOENT)
		return true;
	if (r < 0 || zone != TIER_ZONE_NONE)
		return false;
	return sysfs_read_bool(sysfs, &allowed, "%s/memory%llu/online_allowed",
			       "sys/devices/system/memory", (unsigned long long)block) != 0 ||
	       allowed;
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

int memory_plug(const struct sysfs *sysfs, const char *region, const char *dax, bool movable,
		bool *ret_unplugged, struct tier_problem *problem)
{
	bool unplugged = false;
	int r = has_state(sysfs, dax, &unplugged) && unplugged
			? 0
			: memory_unplug(sysfs, region, dax, problem);

	if (r < 0)
		return r;
	*ret_unplugged = unplugged;
	r = sysfs_write(sysfs, movable ? "online_movable" : "online_kernel", "%s/%s/state",
			dax_path, dax);
	return r == 0 ? 0
		      : tier_problem_set(problem, r, region,
					 r == -EACCES || r == -EPERM ? "try again as root"
								     : "see the kernel log",
					 "cannot online the memory of %s to %s", dax,
					 movable ? "Movable" : "a kernel zone");
}

int memory_unplug(const struct sysfs *sysfs, const char *region, const char *dax,
		  struct tier_problem *problem)
{
	int r = sysfs_write(sysfs, "unplugged", "%s/%s/state", dax_path, dax);

	return r == 0 ? 0
		      : tier_problem_set(problem, r, region,
					 r == -EACCES || r == -EPERM ? "try again as root"
								     : "see the kernel log",
					 "cannot unplug the memory of %s", dax);
}

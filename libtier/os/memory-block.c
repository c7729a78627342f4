/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "memory-apply.h"

static const char blocks_path[] = "sys/devices/system/memory";

/*
 * Each attempt drains the per-CPU lists and migrates again, and takes the time that this needs; a
 * short pin or writeback has ended by then. Kernel pages hardly ever go away, each attempt is slow
 * and writes a page's state into the kernel log, so there one answer is believed. In Movable the
 * kernel does not give up at all while a page is pinned, only a deadline ends it.
 */
enum {
	MOVABLE_ATTEMPTS = 5,
	KERNEL_ATTEMPTS = 1,
	OFFLINE_DEADLINE_MSEC = 60 * 1000,
};

static int read_state(const struct sysfs *sysfs, uint64_t block, bool *ret_online)
{
	char state[32];
	int r = sysfs_read_string(sysfs, state, sizeof(state), "%s/memory%" PRIu64 "/state",
				  blocks_path, block);

	if (r)
		return r == SYSFS_ABSENT ? -ENOENT : r == SYSFS_DENIED ? -EACCES : r;
	*ret_online = !streq(state, "offline");
	return 0;
}

int memory_block_zone(const struct sysfs *sysfs, uint64_t block, enum tier_zone *ret)
{
	char text[64];
	bool online = false;
	int r = read_state(sysfs, block, &online);

	if (r < 0)
		return r;
	if (!online) {
		*ret = TIER_ZONE_NONE;
		return 0;
	}
	r = sysfs_read_string(sysfs, text, sizeof(text), "%s/memory%" PRIu64 "/valid_zones",
			      blocks_path, block);
	if (r)
		return r < 0 ? r : -ENOENT;
	for (enum tier_zone zone = TIER_ZONE_DMA; zone <= TIER_ZONE_DEVICE; zone++) {
		if (streq(text, tier_zone_name(zone))) {
			*ret = zone;
			return 0;
		}
	}
	*ret = TIER_ZONE_MIXED;
	return 0;
}

static bool zone_is(enum tier_zone zone, bool movable)
{
	return movable ? zone == TIER_ZONE_MOVABLE
		       : zone == TIER_ZONE_NORMAL || zone == TIER_ZONE_DMA32 ||
				 zone == TIER_ZONE_DMA;
}

int memory_block_node(const struct sysfs *sysfs, uint64_t block)
{
	_cleanup_names_ struct sysfs_names nodes = {};

	if (sysfs_list(sysfs, &nodes, "node", "%s/memory%" PRIu64, blocks_path, block) == 0 &&
	    nodes.count > 0)
		return atoi(nodes.names[0] + strlen("node"));
	return TIER_ABSENT_NODE;
}

/* "node 2, ZONE_NORMAL" for a message. */
static void describe(const struct sysfs *sysfs, uint64_t block, enum tier_zone zone, char *text,
		     size_t size)
{
	snprintf(text, size, "node %d, zone %s", memory_block_node(sysfs, block),
		 tier_zone_name(zone));
}

bool memory_block_allowed(const struct sysfs *sysfs, uint64_t block)
{
	bool allowed;

	/* True of every block of an ordinary node. */
	return sysfs_read_bool(sysfs, &allowed, "%s/memory%" PRIu64 "/online_allowed", blocks_path,
			       block) != 0 ||
	       allowed;
}

int memory_block_allow(const struct sysfs *sysfs, uint64_t block)
{
	if (memory_block_allowed(sysfs, block))
		return 0;
	return sysfs_write(sysfs, "1", "%s/memory%" PRIu64 "/online_allowed", blocks_path, block);
}

/* It cannot be helped if this fails: the block is offline, and somebody may be told so. */
void memory_block_disallow(const struct sysfs *sysfs, uint64_t block)
{
	(void)sysfs_write(sysfs, "0", "%s/memory%" PRIu64 "/online_allowed", blocks_path, block);
}

int memory_block_online(const struct sysfs *sysfs, const char *region, uint64_t block, bool movable,
			bool *ret_changed, struct tier_problem *problem)
{
	const char *wanted = movable ? "Movable" : "a kernel zone";
	enum tier_zone zone;
	char where[64];
	int r = memory_block_zone(sysfs, block, &zone);

	if (r == -ENOENT)
		return tier_problem_set(problem, r, region, NULL,
					"the kernel has made no memory block %" PRIu64, block);
	if (r < 0)
		return tier_problem_set(problem, r, region, NULL,
					"cannot read the state of memory block %" PRIu64, block);
	if (zone != TIER_ZONE_NONE && zone_is(zone, movable)) {
		*ret_changed = false;
		return 0;
	}
	if (zone != TIER_ZONE_NONE) {
		describe(sysfs, block, zone, where, sizeof(where));
		return tier_problem_set(problem, -EBUSY, region,
					"another program or a udev rule onlines memory here; see "
					"tierctl doctor",
					"cannot online memory block %" PRIu64
					" to %s: it came online by itself (%s)",
					block, wanted, where);
	}
	r = memory_block_allow(sysfs, block);
	r = r
		    ?: sysfs_write(sysfs, movable ? "online_movable" : "online_kernel",
				   "%s/memory%" PRIu64 "/state", blocks_path, block);
	if (r < 0)
		memory_block_disallow(sysfs, block);
	if (r < 0)
		return tier_problem_set(
			problem, r, region,
			r == -EACCES || r == -EPERM ? "try again as root"
			: r == -EINVAL ? "its valid_zones file says what the kernel offers"
				       : "see the kernel log",
			"cannot online memory block %" PRIu64 " to %s", block, wanted);
	*ret_changed = true;
	return 0;
}

static int64_t now_msec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *next_step(int error, enum tier_zone zone)
{
	if (error == -EACCES || error == -EPERM)
		return "try again as root";
	if (error != -EBUSY)
		return "see the kernel log";
	if (zone == TIER_ZONE_MOVABLE)
		return "pages in it are pinned (VFIO, RDMA, io_uring), or no other node has room "
		       "for them";
	return "it holds kernel pages, which cannot move, so it stays until the next boot; what is "
	       "onlined as movable can be taken back";
}

int memory_block_offline(const struct sysfs *sysfs, const char *region, uint64_t block,
			 enum tier_zone *ret_zone, struct tier_problem *problem)
{
	int64_t deadline = now_msec() + OFFLINE_DEADLINE_MSEC;
	enum tier_zone zone;
	char where[64];
	int attempts = 0;
	int r = memory_block_zone(sysfs, block, &zone);

	if (r < 0)
		return tier_problem_set(problem, r, region, NULL,
					"cannot read the state of memory block %" PRIu64, block);
	if (zone == TIER_ZONE_NONE) {
		*ret_zone = zone;
		return 0;
	}
	describe(sysfs, block, zone, where, sizeof(where));
	do {
		int64_t left = deadline - now_msec();

		r = sysfs_write_deadline(sysfs, "offline", left > 0 ? (int)left : 0,
					 "%s/memory%" PRIu64 "/state", blocks_path, block);
		attempts++;
	} while ((r == -EBUSY || r == -EAGAIN) && now_msec() < deadline &&
		 attempts < (zone == TIER_ZONE_MOVABLE ? MOVABLE_ATTEMPTS : KERNEL_ATTEMPTS));
	if (r == 0) {
		memory_block_disallow(sysfs, block);
		*ret_zone = zone;
		return 0;
	}
	/* Whoever asks is told what it means; that the kernel would have tried on is no news. */
	if (r == -ETIMEDOUT)
		return tier_problem_set(problem, -EBUSY, region, next_step(-EBUSY, zone),
					"cannot offline memory block %" PRIu64
					" (%s) within %d seconds",
					block, where, OFFLINE_DEADLINE_MSEC / 1000);
	return tier_problem_set(problem, r, region, next_step(r, zone),
				"cannot offline memory block %" PRIu64 " (%s)", block, where);
}

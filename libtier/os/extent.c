/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extents of a portal on this host. Each range of extents is a dax device of its own at its fixed
 * offset, so that one extent can be a node here while its neighbour is a character device there.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/mman.h>

#include "cache.h"
#include "clock.h"
#include "dax.h"
#include "extent.h"
#include "fd.h"
#include "memory-apply.h"

#define OFFLINE_USEC (30 * UINT64_C(1000000))
#define RETRY_USEC   UINT64_C(50000)

struct piece {
	struct tier_extent_range range;
	uint64_t start, bytes;	/* host physical */
	uint64_t portal_offset; /* of start */
	char dax[32];		/* empty: no device */
	bool ram;		/* a node of this host: the kernel has written to it */
	void *map;		/* devdax only */
};

struct tier_extents {
	struct sysfs sysfs;
	char region[32];
	uint64_t block_bytes;
	enum cache_method cache;
	struct piece pieces[TIER_PORTAL_FLIGHT_RANGES];
	uint32_t count;
};

struct tier_extents *tier_extents_free(struct tier_extents *extents)
{
	if (!extents)
		return NULL;
	for (uint32_t i = 0; i < extents->count; i++) {
		if (extents->pieces[i].map)
			munmap(extents->pieces[i].map, extents->pieces[i].bytes);
	}
	sysfs_done(&extents->sysfs);
	free(extents);
	return NULL;
}

uint32_t tier_extents_needed(const struct tier_super *super, uint64_t ram_bytes)
{
	/*
	 * What the zone keeps back: its low watermark (at most 128 pages and a quarter for the
	 * Movable zone of a machine with default settings, more with watermark_scale_factor), and
	 * what per-CPU lists hold. One part in 64 and 8 MiB are ample.
	 */
	uint64_t bytes = ram_bytes + ram_bytes / 64 + 8 * MIB;

	return (uint32_t)((bytes + super->extent_bytes - 1) / super->extent_bytes);
}

/* Where the region lies, and the geometry of every piece. */
static int locate(const char *region, const struct tier_super *super,
		  const struct tier_extent_range *ranges, uint32_t count, struct tier_extents **ret,
		  struct tier_problem *problem)
{
	_cleanup_(tier_extents_freep) struct tier_extents *extents = calloc(1, sizeof(*extents));
	char text[32];
	uint64_t start;
	int r;

	if (!extents)
		return -ENOMEM;
	extents->sysfs = SYSFS_CLOSED;
	if (count > ARRAY_SIZE(extents->pieces))
		return -EINVAL;
	copy_string(extents->region, sizeof(extents->region), region);
	r = cache_method(super->hardware_coherent, &extents->cache);
	if (r)
		return tier_problem_set(problem, r, region, NULL,
					"cannot write this processor's caches back");
	r = sysfs_open(&extents->sysfs, NULL);
	if (r)
		return r;
	r = sysfs_read_u64(&extents->sysfs, &start, "sys/bus/cxl/devices/%s/resource", region);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : TIER_E_NOT_FOUND, region,
					"tierctl list regions", "cannot tell where it lies");
	r = sysfs_read_string(&extents->sysfs, text, sizeof(text),
			      "sys/devices/system/memory/block_size_bytes");
	if (r || sscanf(text, "%" SCNx64, &extents->block_bytes) != 1)
		return tier_problem_set(problem, r < 0 ? r : -ENOTSUP, region, NULL,
					"this kernel has no memory hotplug");
	for (uint32_t i = 0; i < count; i++) {
		struct piece *piece = &extents->pieces[i];

		piece->range = ranges[i];
		piece->portal_offset = super->control_bytes + ranges[i].first * super->extent_bytes;
		piece->bytes = ranges[i].count * super->extent_bytes;
		piece->start = start + piece->portal_offset;
	}
	extents->count = count;
	*ret = TAKE(extents);
	return 0;
}

static int block_write(struct tier_extents *extents, uint64_t block, const char *value)
{
	return sysfs_write(&extents->sysfs, value,
			   "sys/devices/system/memory/memory%" PRIu64 "/state", block);
}

/* Offline from the top down; EBUSY is retried, since a transient reference goes away. */
static int offline_piece(struct tier_extents *extents, struct piece *piece,
			 struct tier_problem *problem)
{
	uint64_t first = piece->start / extents->block_bytes;
	uint64_t count = piece->bytes / extents->block_bytes;
	uint64_t deadline = now_usec() + OFFLINE_USEC;

	for (uint64_t i = count; i-- > 0;) {
		char state[32];
		int r = sysfs_read_string(&extents->sysfs, state, sizeof(state),
					  "sys/devices/system/memory/memory%" PRIu64 "/state",
					  first + i);

		if (r == SYSFS_ABSENT || (r == 0 && streq(state, "offline")))
			continue;
		while ((r = block_write(extents, first + i, "offline")) == -EBUSY || r == -EAGAIN ||
		       r == -EINTR) {
			if (now_usec() > deadline)
				break;
			poll(NULL, 0, poll_timeout(now_usec() + RETRY_USEC));
		}
		memory_block_disallow(&extents->sysfs, first + i);
		if (r)
			return tier_problem_set(problem, r, extents->region,
						"end what holds its pages, then tierctl flights",
						"cannot offline memory block %" PRIu64, first + i);
	}
	return 0;
}

static int map_piece(struct piece *piece, bool writable, struct tier_problem *problem)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	int r = dax_await_node(piece->dax, path, problem);

	if (r)
		return r;
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot open");
	r = dax_check_open(fd);
	if (r != 0)
		return tier_problem_set(problem, r, path, NULL, "cannot map");
	piece->map = mmap(NULL, piece->bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
			  fd, 0);
	if (piece->map == MAP_FAILED) {
		r = -errno;
		piece->map = NULL;
		return tier_problem_set(problem, r, path, NULL, "cannot map");
	}
	return 0;
}

/*
 * The kernel has zeroed its pages, through this host's caches: a line that is written back later
 * would fall on whoever has the extent by then.
 */
static int leave_nothing_in_caches(struct tier_extents *extents, struct piece *piece,
				   struct tier_problem *problem)
{
	int r;

	if (!piece->ram || extents->cache == CACHE_COHERENT)
		return 0;
	r = dax_bind(&extents->sysfs, piece->dax, "device_dax", problem);
	r = r ?: map_piece(piece, true, problem);
	if (r)
		return r;
	cache_flush(extents->cache, piece->map, piece->bytes);
	munmap(piece->map, piece->bytes);
	piece->map = NULL;
	piece->ram = false;
	return 0;
}

static int close_piece(struct tier_extents *extents, struct piece *piece,
		       struct tier_problem *problem)
{
	int r;

	if (piece->map && munmap(piece->map, piece->bytes) < 0)
		return -errno;
	piece->map = NULL;
	if (!piece->dax[0])
		return 0;
	r = offline_piece(extents, piece, problem);
	r = r ?: leave_nothing_in_caches(extents, piece, problem);
	r = r ?: dax_destroy(&extents->sysfs, extents->region, piece->dax, problem);
	if (r == 0)
		piece->dax[0] = '\0';
	return r;
}

int tier_extents_close(struct tier_extents *extents, struct tier_problem *problem)
{
	_cleanup_close_ int lock = -1;
	int locked = dax_lock(&extents->sysfs, extents->region, DAX_WAIT_USEC, &lock, problem);

	if (locked)
		return locked;
	for (uint32_t i = extents->count; i-- > 0;) {
		int r = close_piece(extents, &extents->pieces[i], problem);

		if (r)
			return r;
	}
	tier_extents_free(extents);
	return 0;
}

static int open_ram_piece(struct tier_extents *extents, struct piece *piece, int *ret_node,
			  struct tier_problem *problem)
{
	uint64_t first = piece->start / extents->block_bytes;
	uint64_t count = piece->bytes / extents->block_bytes;
	int r, node = -1;

	if (piece->start % extents->block_bytes || piece->bytes % extents->block_bytes)
		return tier_problem_set(problem, TIER_E_REFUSED, extents->region,
					"format the portal with a larger --extent-size",
					"extents are not whole memory blocks (%" PRIu64
					" MiB) here",
					extents->block_bytes / MIB);
	r = dax_create(&extents->sysfs, extents->region, piece->start, piece->bytes, piece->dax,
		       problem);
	piece->ram = r == 0;
	r = r ?: dax_bind(&extents->sysfs, piece->dax, "kmem", problem);
	if (r)
		return r;
	for (uint64_t i = 0; i < count; i++) {
		r = memory_block_allow(&extents->sysfs, first + i);
		r = r ?: block_write(extents, first + i, "online_movable");
		if (r)
			return tier_problem_set(
				problem, r, extents->region,
				r == -EINVAL ? "is auto_online_blocks offline? tierctl "
					       "doctor"
					     : NULL,
				"cannot online memory block %" PRIu64 " as movable", first + i);
	}
	r = sysfs_read_int(&extents->sysfs, &node, "sys/bus/dax/devices/%s/target_node",
			   piece->dax);
	if (r || node < 0)
		return tier_problem_set(problem, r < 0 ? r : -ENODEV, piece->dax, NULL,
					"cannot tell its node");
	if (*ret_node >= 0 && *ret_node != node)
		return tier_problem_set(problem, -EXDEV, extents->region, NULL,
					"its extents lie on different nodes");
	*ret_node = node;
	return 0;
}

/* Pages are sent to a node, not to an extent: two flights on one node would get into each other. */
static int refuse_second_node(struct tier_extents *extents, struct tier_problem *problem)
{
	_cleanup_free_ struct dax_device *devices = NULL;
	size_t count;
	int r = dax_list(&extents->sysfs, extents->region, &devices, &count, problem);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (streq(devices[i].driver, "kmem"))
			r = tier_problem_set(problem, TIER_E_REFUSED, extents->region,
					     "wait for the other flight; tierctl flights",
					     "extents of another flight are open on its node (%s)",
					     devices[i].name);
	}
	return r;
}

int tier_extents_open_ram(const char *region, const struct tier_super *super,
			  const struct tier_extent_range *ranges, uint32_t range_count,
			  struct tier_extents **ret, int *ret_node, struct tier_problem *problem)
{
	_cleanup_(tier_extents_freep) struct tier_extents *extents = NULL;
	_cleanup_close_ int lock = -1;
	char policy[32];
	int r, node = -1;

	r = locate(region, super, ranges, range_count, &extents, problem);
	r = r ?: dax_lock(&extents->sysfs, region, DAX_WAIT_USEC, &lock, problem);
	r = r ?: refuse_second_node(extents, problem);
	if (r)
		return r;
	/* Blocks that come online by themselves would go to a kernel zone, and stay. */
	r = sysfs_read_string(&extents->sysfs, policy, sizeof(policy),
			      "sys/devices/system/memory/auto_online_blocks");
	if (r == 0 && !streq(policy, "offline"))
		return tier_problem_set(problem, TIER_E_REFUSED, region,
					"boot with memhp_default_state=offline; tierctl doctor",
					"the kernel onlines hot-added memory by itself (%s)",
					policy);
	for (uint32_t i = 0; i < extents->count; i++) {
		r = open_ram_piece(extents, &extents->pieces[i], &node, problem);
		if (r) {
			for (uint32_t j = i + 1; j-- > 0;)
				(void)close_piece(extents, &extents->pieces[j], NULL);
			return r;
		}
	}
	*ret_node = node;
	*ret = TAKE(extents);
	return 0;
}

static int open_devdax_piece(struct tier_extents *extents, struct piece *piece, bool writable,
			     struct tier_problem *problem)
{
	int r;

	r = dax_create(&extents->sysfs, extents->region, piece->start, piece->bytes, piece->dax,
		       problem);
	r = r ?: dax_bind(&extents->sysfs, piece->dax, "device_dax", problem);
	r = r ?: map_piece(piece, writable, problem);
	if (r)
		return r;
	cache_invalidate(extents->cache, piece->map, piece->bytes);
	return 0;
}

static int open_devdax(const char *region, const struct tier_super *super,
		       const struct tier_extent_range *ranges, uint32_t range_count, bool writable,
		       uint64_t wait_usec, struct tier_extents **ret, struct tier_problem *problem)
{
	_cleanup_(tier_extents_freep) struct tier_extents *extents = NULL;
	_cleanup_close_ int lock = -1;
	int r;

	r = locate(region, super, ranges, range_count, &extents, problem);
	r = r ?: dax_lock(&extents->sysfs, region, wait_usec, &lock, problem);
	if (r)
		return r;
	for (uint32_t i = 0; i < extents->count; i++) {
		r = open_devdax_piece(extents, &extents->pieces[i], writable, problem);
		if (r) {
			for (uint32_t j = i + 1; j-- > 0;)
				(void)close_piece(extents, &extents->pieces[j], NULL);
			return r;
		}
	}
	*ret = TAKE(extents);
	return 0;
}

int tier_extents_open_devdax(const char *region, const struct tier_super *super,
			     const struct tier_extent_range *ranges, uint32_t range_count,
			     bool writable, struct tier_extents **ret, struct tier_problem *problem)
{
	return open_devdax(region, super, ranges, range_count, writable, DAX_WAIT_USEC, ret,
			   problem);
}

int tier_extents_find(const char *region, const struct tier_super *super,
		      const struct tier_extent_range *ranges, uint32_t range_count,
		      struct tier_extents **ret, struct tier_problem *problem)
{
	_cleanup_(tier_extents_freep) struct tier_extents *extents = NULL;
	_cleanup_free_ struct dax_device *devices = NULL;
	size_t count, found = 0;
	int r;

	r = locate(region, super, ranges, range_count, &extents, problem);
	r = r ?: dax_list(&extents->sysfs, region, &devices, &count, problem);
	if (r)
		return r;
	for (uint32_t i = 0; i < extents->count; i++) {
		struct piece *piece = &extents->pieces[i];

		for (size_t j = 0; j < count; j++) {
			if (devices[j].start != piece->start || devices[j].bytes != piece->bytes)
				continue;
			copy_string(piece->dax, sizeof(piece->dax), devices[j].name);
			piece->ram = streq(devices[j].driver, "kmem");
			found++;
		}
	}
	if (found == 0)
		return TIER_E_NOT_FOUND;
	*ret = TAKE(extents);
	return 0;
}

void *tier_extents_at(struct tier_extents *extents, uint64_t portal_offset, uint64_t bytes)
{
	for (uint32_t i = 0; i < extents->count; i++) {
		struct piece *piece = &extents->pieces[i];
		uint64_t inside = portal_offset - piece->portal_offset;

		if (portal_offset >= piece->portal_offset && inside < piece->bytes &&
		    bytes <= piece->bytes - inside && piece->map)
			return (char *)piece->map + inside;
	}
	return NULL;
}

uint64_t tier_extents_portal_offset(const struct tier_extents *extents, uint64_t physical)
{
	for (uint32_t i = 0; i < extents->count; i++) {
		const struct piece *piece = &extents->pieces[i];

		if (physical >= piece->start && physical - piece->start < piece->bytes)
			return physical - piece->start + piece->portal_offset;
	}
	return TIER_UNKNOWN_U64;
}

bool extents_physical(const struct tier_extents *extents, uint32_t index, uint64_t *ret_start,
		      uint64_t *ret_bytes)
{
	if (index >= extents->count)
		return false;
	*ret_start = extents->pieces[index].start;
	*ret_bytes = extents->pieces[index].bytes;
	return true;
}

int tier_extents_scrub(const char *region, const struct tier_super *super,
		       const struct tier_extent_range *ranges, uint32_t range_count,
		       struct tier_problem *problem)
{
	struct tier_extents *extents;
	int r;

	r = open_devdax(region, super, ranges, range_count, true, DAX_SHORT_WAIT_USEC, &extents,
			problem);
	if (r)
		return r;
	for (uint32_t i = 0; i < extents->count; i++) {
		memset(extents->pieces[i].map, 0, extents->pieces[i].bytes);
		cache_flush(extents->cache, extents->pieces[i].map, extents->pieces[i].bytes);
	}
	return tier_extents_close(extents, problem);
}

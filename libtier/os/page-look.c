/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "fd.h"
#include "mover-room.h"
#include "page-look.h"
#include "topology-read.h"

int page_look_new(struct page_look *ret, uint64_t block, uint64_t block_bytes)
{
	struct page_look look = {.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};

	look.page_count = (size_t)(block_bytes / look.page_bytes);
	look.first_frame = block * look.page_count;
	look.flags = calloc(look.page_count, sizeof(*look.flags));
	look.holders = calloc(look.page_count, 1);
	if (!look.flags || !look.holders) {
		page_look_done(&look);
		return -ENOMEM;
	}
	*ret = look;
	return 0;
}

void page_look_done(struct page_look *look)
{
	free(look->flags);
	free(look->counts);
	free(look->holders);
	*look = (struct page_look){};
}

/* A number for each page. 0; SYSFS_ABSENT, SYSFS_DENIED; negative errno; -ENODATA past the end. */
static int read_numbers(const struct page_look *look, const struct sysfs *sysfs, const char *name,
			uint64_t *numbers)
{
	_cleanup_close_ int fd = sysfs_open_file(sysfs, O_RDONLY, "proc/%s", name);
	size_t bytes = look->page_count * sizeof(*numbers);

	if (fd < 0)
		return fd == -ENOENT		       ? SYSFS_ABSENT
		       : fd == -EACCES || fd == -EPERM ? SYSFS_DENIED
						       : fd;
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pread(fd, (char *)numbers + done, bytes - done,
				  (off_t)(look->first_frame * sizeof(*numbers) + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPERM || errno == EACCES ? SYSFS_DENIED : -errno;
		if (n == 0)
			return -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

int page_look_flags(struct page_look *look, const struct sysfs *sysfs)
{
	uint64_t *flags = calloc(look->page_count, sizeof(*flags));
	int r = flags ? read_numbers(look, sysfs, "kpageflags", flags) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < look->page_count; i++)
		if (page_holders_used(&flags[i], 1))
			flags[i] |= look->flags[i];
	if (r == 0) {
		free(look->flags);
		look->flags = TAKE(flags);
	}
	free(flags);
	return r;
}

static uint64_t room_elsewhere(const struct page_look *look, const struct sysfs *sysfs, int node)
{
	_cleanup_names_ struct sysfs_names nodes = {};
	uint64_t pages = 0;

	if (sysfs_list(sysfs, &nodes, "node", "sys/devices/system/node") != 0)
		return TIER_UNKNOWN_U64;
	for (size_t i = 0; i < nodes.count; i++) {
		int other = atoi(nodes.names[i] + strlen("node"));
		struct room room = room_at(sysfs, other, look->page_bytes);
		enum tier_memory_type type = topology_read_type(
			sysfs, "sys/devices/system/node/node%d/memory_type", other);
		bool typed = type == TIER_MEMORY_SHARED || type == TIER_MEMORY_SWITCHED;
		uint64_t free_pages = room_pages(&room);

		/* Nobody's pages go to a typed node who did not name it; from there, it comes first. */
		if (typed != (other == node))
			continue;
		if (free_pages == UINT64_MAX)
			return TIER_UNKNOWN_U64;
		pages += free_pages;
	}
	return pages * look->page_bytes;
}

int page_look_classify(struct page_look *look, const struct sysfs *sysfs, enum page_holders_end end,
		       uint64_t timeout_usec, struct tier_block_holders *holders)
{
	free(look->counts);
	look->counts = calloc(look->page_count, sizeof(*look->counts));
	if (!look->counts)
		return -ENOMEM;
	if (read_numbers(look, sysfs, "kpagecount", look->counts) != 0) {
		free(look->counts);
		look->counts = NULL;
	}
	holders->page_bytes = look->page_bytes;
	holders->room_bytes = room_elsewhere(look, sysfs, holders->node);
	page_holders_classify(look->flags, look->counts, look->page_count, look->first_frame, end,
			      holders, look->holders);
	return page_mappers_find(look, sysfs, timeout_usec, holders);
}

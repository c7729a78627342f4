/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node-ranges.h"
#include "util.h"

void node_ranges_done(struct node_ranges *ranges)
{
	free(ranges->ranges);
}

static bool is_online(const struct sysfs *sysfs, const char *block)
{
	char state[32];

	return sysfs_read_string(sysfs, state, sizeof(state), "sys/devices/system/memory/%s/state",
				 block) == 0 &&
	       streq(state, "online");
}

static int add_node(const struct sysfs *sysfs, int node, bool online, uint64_t block_bytes,
		    struct node_ranges *ret)
{
	_cleanup_names_ struct sysfs_names blocks = {};
	int r = sysfs_list(sysfs, &blocks, "memory", "sys/devices/system/node/node%d", node);

	if (r)
		return r < 0 ? r : -ENODEV;
	for (size_t i = 0; i < blocks.count; i++) {
		uint64_t start =
			strtoull(blocks.names[i] + strlen("memory"), NULL, 10) * block_bytes;
		struct damon_range *last = ret->count ? &ret->ranges[ret->count - 1] : NULL;

		if (online && !is_online(sysfs, blocks.names[i]))
			continue;
		if (last && last->end == start) {
			last->end += block_bytes;
			continue;
		}
		last = array_grow(&ret->ranges, &ret->count, sizeof(*last));
		if (!last)
			return -ENOMEM;
		*last = (struct damon_range){start, start + block_bytes};
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct damon_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int node_ranges_read(const struct sysfs *sysfs, uint64_t mask, bool online, struct node_ranges *ret)
{
	uint64_t block_bytes;
	char text[32];
	int r = sysfs_read_string(sysfs, text, sizeof(text),
				  "sys/devices/system/memory/block_size_bytes");

	if (r)
		return r < 0 ? r : -ENODEV;
	block_bytes = strtoull(text, NULL, 16);
	for (int node = 0; node < 64 && r == 0; node++)
		if (mask >> node & 1)
			r = add_node(sysfs, node, online, block_bytes, ret);
	if (r)
		return r;
	if (ret->count == 0)
		return -ENODEV;
	qsort(ret->ranges, ret->count, sizeof(*ret->ranges), by_start);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node-ranges.h"
#include "util.h"

void node_ranges_done(struct node_ranges *ranges)
{
	free(ranges->ranges);
}

uint64_t node_ranges_bytes(const struct node_ranges *ranges)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < ranges->count; i++)
		bytes += ranges->ranges[i].end - ranges->ranges[i].start;
	return bytes;
}

uint64_t node_ranges_common(const struct node_ranges *a, const struct node_ranges *b)
{
	uint64_t bytes = 0;
	size_t k = 0;

	for (size_t i = 0; i < a->count; i++) {
		while (k < b->count && b->ranges[k].end <= a->ranges[i].start)
			k++;
		for (size_t n = k; n < b->count && b->ranges[n].start < a->ranges[i].end; n++)
			bytes += MIN(a->ranges[i].end, b->ranges[n].end) -
				 MAX(a->ranges[i].start, b->ranges[n].start);
	}
	return bytes;
}

int node_ranges_cut(const struct node_ranges *ranges, uint64_t piece_bytes, bool odd,
		    struct node_ranges *ret)
{
	for (size_t i = 0; i < ranges->count; i++) {
		const struct damon_range *range = &ranges->ranges[i];
		uint64_t piece = range->start / piece_bytes;

		for (piece += (piece & 1) != odd; piece * piece_bytes < range->end; piece += 2) {
			struct damon_range *next =
				array_grow(&ret->ranges, &ret->count, sizeof(*next));

			if (!next)
				return -ENOMEM;
			next->start = MAX(piece * piece_bytes, range->start);
			next->end = MIN((piece + 1) * piece_bytes, range->end);
		}
	}
	return ret->count ? 0 : -ENODEV;
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

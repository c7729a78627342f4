/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "mover-room.h"
#include "util.h"

/*
 * Per zone of the node, a watermark and what it keeps for requests that can use no other zone: the
 * last entry of "protection", since a movable page may lie anywhere. Allocations fail at the "min"
 * watermark; from "high" down to it is room for what the count of free pages does not tell: pages
 * that lie on lists of other CPUs, and updates of the count that are still due.
 */
static uint64_t reserve_of(const char *zoneinfo, int node)
{
	uint64_t reserve = 0, number;
	bool here = false;
	int id;

	for (const char *line = zoneinfo; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "Node %d, zone", &id) == 1)
			here = id == node;
		if (!here)
			continue;
		if (sscanf(line, " high %" SCNu64, &number) == 1) {
			reserve += number;
		} else if (strncmp(line, "        protection: (", 21) == 0) {
			size_t length = strcspn(line, ")\n"), last = length;

			while (last > 0 && line[last - 1] >= '0' && line[last - 1] <= '9')
				last--;
			if (last < length)
				reserve += strtoull(line + last, NULL, 10);
		}
	}
	return reserve;
}

int room_open(struct room *ret, int node, uint64_t page_bytes)
{
	struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	if (r < 0)
		return r;
	*ret = room_at(&sysfs, node, page_bytes);
	return 0;
}

struct room room_at(const struct sysfs *sysfs, int node, uint64_t page_bytes)
{
	struct room room = {.sysfs = *sysfs, .node = node, .page_bytes = page_bytes};
	_cleanup_free_ char *zoneinfo = NULL;

	if (sysfs_read_text(sysfs, &zoneinfo, "proc/zoneinfo") == 0)
		room.reserve_pages = reserve_of(zoneinfo, node);
	return room;
}

void room_done(struct room *room)
{
	sysfs_done(&room->sysfs);
}

static uint64_t field_kib(const char *meminfo, const char *name)
{
	const char *found = strstr(meminfo, name);

	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

uint64_t room_pages(const struct room *room)
{
	_cleanup_free_ char *meminfo = NULL;
	uint64_t pages;

	if (sysfs_read_text(&room->sysfs, &meminfo, "sys/devices/system/node/node%d/meminfo",
			    room->node) != 0 ||
	    !strstr(meminfo, " MemFree:"))
		return UINT64_MAX;
	pages = (field_kib(meminfo, " MemFree:") + field_kib(meminfo, " Active(file):") +
		 field_kib(meminfo, " Inactive(file):")) *
		KIB / room->page_bytes;
	return pages - MIN(pages, room->reserve_pages);
}

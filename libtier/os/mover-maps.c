/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <signal.h>

#include "fd.h"
#include "mover-maps.h"
#include "util.h"

void ranges_done(struct ranges *ranges)
{
	free(ranges->list);
}

/* Pages of the kernel that every process maps, and that move_pages() cannot even look at. */
static bool special(const char *name)
{
	static const char *const prefixes[] = {"[vvar", "[vdso", "[vsyscall", "[uprobes"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static int add_range(struct ranges *ranges, uint64_t start, uint64_t end)
{
	struct range *last = ranges->count ? &ranges->list[ranges->count - 1] : NULL;

	/* A folio may lie across two mappings that adjoin; together they are one piece of work. */
	if (last && last->end == start) {
		last->end = end;
		return 0;
	}
	last = array_grow(&ranges->list, &ranges->count, sizeof(*ranges->list));
	if (!last)
		return -ENOMEM;
	*last = (struct range){start, end};
	return 0;
}

int ranges_read(const struct tier_move_request *request, struct ranges *ranges)
{
	_cleanup_fclose_ FILE *maps = NULL;
	_cleanup_free_ char *line = NULL;
	uint64_t low = request->start, high = request->end ?: UINT64_MAX;
	char path[64];
	size_t size = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", request->pid);
	maps = fopen(path, "re");
	if (!maps && errno == ENOENT)
		/* With hidepid= it may just not be shown. */
		return kill(request->pid, 0) < 0 && errno == ESRCH ? -ESRCH : -EPERM;
	if (!maps)
		return errno == EACCES ? -EPERM : -errno;
	while (errno = 0, getline(&line, &size, maps) >= 0) {
		uint64_t start, end;
		int name = 0, r;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &start, &end,
			   &name) < 2)
			return -EIO;
		ranges->any = true;
		start = MAX(start, low);
		end = MIN(end, high);
		if (start >= end || special(name ? line + name : ""))
			continue;
		r = add_range(ranges, start, end);
		if (r < 0)
			return r;
	}
	return -errno;
}

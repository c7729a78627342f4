/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where memory is, from the kernel's texts. */
#include <ctype.h>

#include "top.h"

int top_row_add(struct tier_top_row *row, int node, uint64_t bytes)
{
	size_t at = 0;

	if (bytes == 0)
		return 0;
	while (at < row->part_count && row->parts[at].node < node)
		at++;
	if (at == row->part_count || row->parts[at].node != node) {
		if (!array_grow(&row->parts, &row->part_count, sizeof(*row->parts)))
			return -ENOMEM;
		memmove(&row->parts[at + 1], &row->parts[at],
			(row->part_count - 1 - at) * sizeof(*row->parts));
		row->parts[at] = (struct tier_top_part){.node = node};
	}
	row->parts[at].bytes += bytes;
	row->total_bytes += bytes;
	return 0;
}

void top_row_done(struct tier_top_row *row)
{
	free(row->parts);
	*row = (struct tier_top_row){};
}

void tier_top_rows_done(struct tier_top_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		top_row_done(&rows->rows[i]);
	free(rows->rows);
	*rows = (struct tier_top_rows){};
}

/* " N0=12 N2=3" up to the line's end. */
static int add_nodes(const char *at, uint64_t unit, struct tier_top_row *row)
{
	while (*at && *at != '\n') {
		char *end;
		long node;
		int r;

		at += strspn(at, " ");
		if (at[0] == 'N' && isdigit((unsigned char)at[1])) {
			node = strtol(at + 1, &end, 10);
			if (*end == '=' && isdigit((unsigned char)end[1]) &&
			    node < TIER_NODES_MAX) {
				r = top_row_add(row, (int)node, strtoull(end + 1, NULL, 10) * unit);
				if (r < 0)
					return r;
			}
		}
		at += strcspn(at, " \n");
	}
	return 0;
}

int top_parse_numa_stat(const char *text, struct tier_top_row *row)
{
	/* Each page of a cgroup is on one of these lists; "anon" and "file" both count what is in the swap cache. */
	static const char *const names[] = {
		"inactive_anon", "active_anon", "inactive_file",
		"active_file",	 "unevictable", "hugetlb",
	};
	bool any = false;

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t length = strcspn(line, " \n");

		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			if (strlen(names[i]) != length || strncmp(line, names[i], length) != 0)
				continue;
			if (add_nodes(line + length, 1, row) < 0)
				return -ENOMEM;
			any = true;
		}
	}
	return any ? 0 : TIER_E_NOT_FOUND;
}

/* Behind the name, if the line has it. */
static const char *find(const char *line, size_t length, const char *name)
{
	size_t bytes = strlen(name);

	for (size_t i = 0; i + bytes <= length; i++)
		if (memcmp(line + i, name, bytes) == 0)
			return line + i + bytes;
	return NULL;
}

int top_parse_numa_maps(const char *text, struct tier_top_row *row)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t length = strcspn(line, "\n");
		/* A file's name may be anything, but for spaces. */
		const char *numbers = find(line, length, " file=");
		const char *unit;

		numbers = numbers ? numbers + strcspn(numbers, " \n") : line;
		/* Pages are counted in the mapping's own size, which is hugetlbfs'. */
		unit = find(numbers, length - (size_t)(numbers - line), " kernelpagesize_kB=");
		if (add_nodes(numbers, (unit ? strtoull(unit, NULL, 10) : 4) * KIB, row) < 0)
			return -ENOMEM;
	}
	return 0;
}

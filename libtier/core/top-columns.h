/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TOP_COLUMNS_H
#define TIER_CORE_TOP_COLUMNS_H

#include "top.h"

#define TOP_WIDTH_MAX 512

/* A column: what has no room is left out, the highest rank first; rank 0 never is. The flexible one gets the rest. */
struct top_column {
	const char *title;
	unsigned width;
	unsigned rank;
	bool left, flexible;
	bool shown;
};

/* Decides which are shown. */
void top_fit(struct top_column *columns, size_t count, unsigned width);

struct top_text {
	char text[TOP_WIDTH_MAX + 1];
	unsigned used;
};

/* Adds a cell, unless its column is not shown. What is cut ends with a plus. */
void top_put(struct top_text *line, const struct top_column *column, const char *text);
/* A copy of the text, no wider than that. 0 or -ENOMEM. */
int top_add_line(struct tier_top_lines *lines, const char *text, unsigned width,
		 enum tier_top_style style);
/* "1.2M/s" */
const char *top_rate_text(char text[static 8], uint64_t rate);

#endif

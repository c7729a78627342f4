/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers, columns and lines of a given width. */
#include "top-columns.h"

const char *top_scale(char text[static 8], uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes == TIER_UNKNOWN_U64)
		return strcpy(text, "-");
	/* 999.5 would be rounded to 1000. */
	for (; value >= 999.5 && units[unit + 1]; unit++)
		value /= 1024;
	if (bytes == 0)
		return strcpy(text, "0");
	snprintf(text, 8, unit > 0 && value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
	return text;
}

const char *top_rate_text(char text[static 8], uint64_t rate)
{
	top_scale(text, rate);
	if (rate != TIER_UNKNOWN_U64)
		strcat(text, "/s");
	return text;
}

void top_fit(struct top_column *columns, size_t count, unsigned width)
{
	for (size_t i = 0; i < count; i++)
		columns[i].shown = true;
	for (;;) {
		struct top_column *last = NULL;
		unsigned total = 0;

		for (size_t i = 0; i < count; i++) {
			if (!columns[i].shown)
				continue;
			total += columns[i].width + (total > 0);
			if (columns[i].rank > 0 && (!last || columns[i].rank >= last->rank))
				last = &columns[i];
		}
		if (total > width && last) {
			last->shown = false;
			continue;
		}
		for (size_t i = 0; i < count && total < width; i++)
			if (columns[i].flexible) {
				columns[i].width += width - total;
				break;
			}
		return;
	}
}

void top_put(struct top_text *line, const struct top_column *column, const char *text)
{
	unsigned length = (unsigned)strlen(text);
	unsigned width = MIN(column->width, TOP_WIDTH_MAX - line->used - (line->used > 0));
	unsigned pad = length < width ? width - length : 0;

	if (!column->shown || line->used >= TOP_WIDTH_MAX)
		return;
	if (line->used > 0)
		line->text[line->used++] = ' ';
	if (!column->left)
		for (; pad > 0; pad--)
			line->text[line->used++] = ' ';
	for (unsigned i = 0; i < MIN(length, width); i++)
		line->text[line->used++] = length > width && i + 1 == width ? '+' : text[i];
	for (; pad > 0; pad--)
		line->text[line->used++] = ' ';
	line->text[line->used] = '\0';
}

int top_add_line(struct tier_top_lines *lines, const char *text, unsigned width,
		 enum tier_top_style style)
{
	struct tier_top_line *line;
	char *copy = strndup(text, width);

	if (!copy)
		return -ENOMEM;
	for (size_t end = strlen(copy); end > 0 && copy[end - 1] == ' '; end--)
		copy[end - 1] = '\0';
	line = array_grow(&lines->lines, &lines->count, sizeof(*line));
	if (!line) {
		free(copy);
		return -ENOMEM;
	}
	line->text = copy;
	line->style = style;
	return 0;
}

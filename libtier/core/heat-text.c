/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "heat.h"

#define BAR_MAX 32
/* So many levels in a line. */
#define LEGEND 5

static const char characters[HEAT_LEVELS + 1] = " .:-=+*#%@";
/* Of the 256 colours of xterm: black, blue, purple, red, orange, yellow, white. */
static const unsigned char palette[HEAT_LEVELS] = {16, 17, 18, 54, 90, 125, 160, 202, 214, 226};
/* Not looked at. */
#define UNKNOWN_COLOUR 240

/* A run of cells; -1: not looked at. */
static void print_cell(FILE *out, bool colours, int level, int *before)
{
	if (!colours) {
		fputc(level < 0 ? '?' : characters[level], out);
		return;
	}
	if (level != *before)
		fprintf(out, "\033[48;5;%um", level < 0 ? UNKNOWN_COLOUR : palette[level]);
	*before = level;
	fputc(' ', out);
}

static int cell_level(const struct tier_heat *heat, double per_second)
{
	return per_second < 0 ? -1 : (int)heat_level(heat, per_second);
}

static void print_row(FILE *out, bool colours, const struct tier_heat *heat, size_t row)
{
	int before = -2;

	fprintf(out, "%016" PRIx64 " |", heat->rows[row].start);
	for (size_t i = 0; i < heat->columns; i++)
		print_cell(out, colours, cell_level(heat, heat->cells[row * heat->columns + i]),
			   &before);
	fprintf(out, "%s|", colours ? "\033[0m" : "");
	if (heat->rows[row].per_second < 0)
		fputs(" not known\n", out);
	else
		fprintf(out, " %7.1f\n", heat->rows[row].per_second);
}

static void print_space(FILE *out, const struct heat_space *space)
{
	if (space->pid > 0)
		fprintf(out, "process %d (%s)\n", space->pid, space->name);
	else
		fprintf(out, "node %d\n", space->node);
}

static void print_map(FILE *out, bool colours, const struct tier_heat *heat)
{
	const struct heat_segment *last = NULL;
	char length[32], gap[16];

	for (size_t i = 0; i < heat->segment_count; i++) {
		const struct heat_segment *segment = &heat->segments[i];

		if (last && last->space == segment->space)
			fprintf(out, "%16s ~ %s without pages, left out\n", "",
				format_bytes(gap, segment->start - last->end));
		else if (heat->record.space_count > 1 || heat->record.spaces[0].pid == 0)
			print_space(out, &heat->record.spaces[segment->space]);
		for (size_t n = 0; n < segment->rows; n++)
			print_row(out, colours, heat, segment->first_row + n);
		last = segment;
	}
	snprintf(length, sizeof(length), "%.1f s", (double)heat->elapsed_usec / 1e6);
	fprintf(out, "%16s  0 s%*s  touched/s\n", "", MAX((int)heat->columns - 3, 7), length);
}

static void print_legend(FILE *out, bool colours, const struct tier_heat *heat)
{
	fputs("\nTouched so often a second, up to:", out);
	for (unsigned i = 0; i < HEAT_LEVELS; i++) {
		int before = -2;

		fputs(i % LEGEND ? "   " : "\n  ", out);
		if (!colours)
			fputc('\'', out);
		print_cell(out, colours, (int)i, &before);
		fprintf(out, "%s %6.1f%s", colours ? "\033[0m" : "'", heat_level_most(heat, i),
			i + 1 < HEAT_LEVELS ? "" : " or more");
	}
	fputc('\n', out);
}

static void print_bar(FILE *out, uint64_t bytes, uint64_t most)
{
	size_t length = most ? (size_t)((double)bytes / (double)most * BAR_MAX + 0.5) : 0;

	for (size_t i = 0; i < MIN(length, (size_t)BAR_MAX); i++)
		fputc('#', out);
	fputc('\n', out);
}

static void print_bins(FILE *out, const struct tier_heat *heat)
{
	uint64_t most = 0;
	char words[64], bytes[16];

	for (size_t i = 0; i < HEAT_BINS; i++)
		most = MAX(most, heat->bins[i].bytes);
	fputs("\nHow much was touched how often, on average:\n", out);
	for (size_t i = HEAT_BINS; i-- > 0;) {
		heat_bin_words(heat, i, words, sizeof(words));
		fprintf(out, "  %-20s %8s%s", words, format_bytes(bytes, heat->bins[i].bytes),
			heat->bins[i].bytes ? "  " : "");
		print_bar(out, heat->bins[i].bytes, most);
	}
}

static void print_nodes(FILE *out, const struct tier_heat *heat)
{
	char bytes[16], hot[16];

	if (heat->hot <= 0) {
		fputs("\nNothing was touched.\n", out);
		return;
	}
	fprintf(out, "\nHot are rows of %.1f/s and more: %s.", heat->hot,
		format_bytes(hot, heat->hot_bytes));
	if (heat->node_count == 0) {
		fputs(" On which nodes that is could not be seen.\n", out);
		return;
	}
	fputc('\n', out);
	for (size_t i = 0; i < heat->node_count; i++) {
		const struct heat_node *node = &heat->nodes[i];

		fprintf(out, "  node %-3d %8s of %s there\n", node->node,
			format_bytes(hot, node->hot_bytes), format_bytes(bytes, node->bytes));
	}
}

static void print_all(FILE *out, bool colours, const struct tier_heat *heat)
{
	const struct heat_record *record = &heat->record;
	char summary[256];

	heat_summary(heat, summary, sizeof(summary));
	fprintf(out, "%s: %s\n", record->title, summary);
	if (record->left_out)
		fprintf(out, "Smaller processes that are left out: %u\n", record->left_out);
	if (record->hidden)
		fprintf(out, "Processes of another PID namespace that are left out: %u\n",
			record->hidden);
	fputc('\n', out);
	print_map(out, colours, heat);
	print_legend(out, colours, heat);
	print_bins(out, heat);
	print_nodes(out, heat);
}

int tier_heat_to_text(const struct tier_heat *heat, bool colours, char **ret)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	print_all(out, colours, heat);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

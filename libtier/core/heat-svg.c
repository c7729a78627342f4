/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "heat.h"

#define LEFT   180 /* of the map: room for addresses */
#define TOP    70
#define MAP    720 /* how wide it is */
#define ROW    14
#define GAP    20  /* between two segments */
#define SIDE   300 /* beside the map */
#define BOTTOM 80
#define BAR    150
#define TICKS  6

/* From black by purple and orange to a light yellow, as light as they are hot; so it is read without colours, too. */
static const unsigned palette[HEAT_LEVELS] = {0x000004, 0x1b0c41, 0x4a0c6b, 0x781c6d, 0xa52c60,
					      0xcf4446, 0xed6925, 0xfb9b06, 0xf7d13d, 0xfcffa4};

static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			/* XML has no characters below ' ' that a name could need. */
			fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
		}
	}
}

static void print_text(FILE *out, unsigned x, unsigned y, const char *class, const char *text)
{
	fprintf(out, "<text x=\"%u\" y=\"%u\" class=\"%s\">", x, y, class);
	print_escaped(out, text);
	fputs("</text>\n", out);
}

static void print_box(FILE *out, double x, double y, double width, double height, unsigned colour)
{
	fprintf(out,
		"<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#%06x\"/>\n", x,
		y, width, height, colour);
}

/* Cells alike beside each other are one. Those that were not looked at stay as the background is. */
static void print_row(FILE *out, const struct tier_heat *heat, size_t row, unsigned y)
{
	const double *cells = &heat->cells[row * heat->columns];
	double width = (double)MAP / (double)heat->columns;

	for (size_t first = 0, end; first < heat->columns; first = end) {
		unsigned level = heat_level(heat, cells[first]);
		bool known = cells[first] >= 0;

		for (end = first + 1; end < heat->columns && (cells[end] >= 0) == known &&
				      heat_level(heat, cells[end]) == level;)
			end++;
		if (known)
			print_box(out, LEFT + (double)first * width, y,
				  (double)(end - first) * width, ROW, palette[level]);
	}
}

static void print_address(FILE *out, uint64_t address, unsigned y)
{
	char text[24];

	snprintf(text, sizeof(text), "%012" PRIx64, address);
	print_text(out, LEFT - 8, y, "end", text);
}

static void print_heading(FILE *out, const struct tier_heat *heat, size_t segment, unsigned y)
{
	const struct heat_segment *now = &heat->segments[segment];
	const struct heat_space *space = &heat->record.spaces[now->space];
	char text[96], gap[16];

	if (segment > 0 && now[-1].space == now->space)
		snprintf(text, sizeof(text), "%s without pages, left out",
			 format_bytes(gap, now->start - now[-1].end));
	else if (space->pid > 0)
		snprintf(text, sizeof(text), "process %d (%s)", space->pid, space->name);
	else
		snprintf(text, sizeof(text), "node %d", space->node);
	print_text(out, LEFT, y, "note", text);
}

/* Returns where it ends. */
static unsigned print_map(FILE *out, const struct tier_heat *heat)
{
	unsigned y = TOP;

	for (size_t i = 0; i < heat->segment_count; i++) {
		const struct heat_segment *segment = &heat->segments[i];

		y += GAP;
		print_heading(out, heat, i, y - 5);
		fprintf(out,
			"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%zu\" fill=\"#b0b0b0\"/>\n",
			LEFT, y, MAP, segment->rows * ROW);
		for (size_t n = 0; n < segment->rows; n++) {
			size_t row = segment->first_row + n;

			if (n % 4 == 0)
				print_address(out, heat->rows[row].start, y + ROW - 3);
			print_row(out, heat, row, y);
			y += ROW;
		}
	}
	return y;
}

static void print_time_axis(FILE *out, const struct tier_heat *heat, unsigned y)
{
	for (unsigned i = 0; i < TICKS; i++) {
		unsigned x = LEFT + MAP * i / (TICKS - 1);
		char text[32];

		fprintf(out, "<path d=\"M%u %uv6\" class=\"line\"/>\n", x, y);
		snprintf(text, sizeof(text), "%.1f",
			 (double)heat->elapsed_usec / 1e6 * i / (TICKS - 1));
		print_text(out, x, y + 20, "middle", text);
	}
	print_text(out, LEFT + MAP / 2, y + 40, "middle", "time, in seconds");
}

static void print_legend(FILE *out, const struct tier_heat *heat, unsigned x, unsigned *y)
{
	print_text(out, x, *y, "head", "Touched so often a second, up to");
	*y += 10;
	for (unsigned i = 0; i < HEAT_LEVELS; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%.1f%s", heat_level_most(heat, i),
			 i + 1 < HEAT_LEVELS ? "" : " or more");
		print_box(out, x, *y, 30, ROW, palette[i]);
		print_text(out, x + 40, *y + ROW - 3, "start", text);
		*y += ROW;
	}
	fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"30\" height=\"%u\" fill=\"#b0b0b0\"/>\n", x,
		*y, ROW);
	print_text(out, x + 40, *y + ROW - 3, "start", "not looked at");
	*y += ROW + 30;
}

static void print_bins(FILE *out, const struct tier_heat *heat, unsigned x, unsigned *y)
{
	uint64_t most = 1;

	for (size_t i = 0; i < HEAT_BINS; i++)
		most = MAX(most, heat->bins[i].bytes);
	print_text(out, x, *y, "head", "How much was touched how often, on average");
	*y += 10;
	for (size_t i = HEAT_BINS; i-- > 0;) {
		double length = (double)heat->bins[i].bytes / (double)most * BAR;
		char words[64], text[96], bytes[16];

		heat_bin_words(heat, i, words, sizeof(words));
		snprintf(text, sizeof(text), "%s: %s", words,
			 format_bytes(bytes, heat->bins[i].bytes));
		print_text(out, x, *y + 11, "start", text);
		print_box(out, x, *y + 15, length, 8, palette[i * 9 / (HEAT_BINS - 1)]);
		*y += 28;
	}
	*y += 24;
}

static void print_nodes(FILE *out, const struct tier_heat *heat, unsigned x, unsigned *y)
{
	char text[128], hot[16], bytes[16];

	if (heat->hot > 0)
		snprintf(text, sizeof(text), "Hot (%.1f/s and more): %s", heat->hot,
			 format_bytes(hot, heat->hot_bytes));
	else
		snprintf(text, sizeof(text), "Nothing was touched.");
	print_text(out, x, *y, "head", text);
	*y += 18;
	if (heat->hot > 0 && heat->node_count == 0)
		print_text(out, x, *y, "start", "On which nodes could not be seen.");
	for (size_t i = 0; heat->hot > 0 && i < heat->node_count; i++) {
		snprintf(text, sizeof(text), "node %d: %s of %s there", heat->nodes[i].node,
			 format_bytes(hot, heat->nodes[i].hot_bytes),
			 format_bytes(bytes, heat->nodes[i].bytes));
		print_text(out, x, *y, "start", text);
		*y += 16;
	}
}

static void print_head(FILE *out, const struct tier_heat *heat, unsigned width, unsigned height)
{
	char summary[256];

	heat_summary(heat, summary, sizeof(summary));
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" role=\"img\">\n<title>",
		width, height, width, height);
	print_escaped(out, heat->record.title);
	fputs("</title>\n<desc>", out);
	print_escaped(out, summary);
	fputs("</desc>\n<style>text{font:12px sans-serif;fill:#202020}"
	      ".title{font-size:18px}.head{font-weight:bold}.note{font-style:italic}"
	      ".middle{text-anchor:middle}.end{text-anchor:end;font-family:monospace}"
	      ".line{stroke:#202020}</style>\n"
	      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
	      out);
	print_text(out, 20, 30, "title", heat->record.title);
	print_text(out, 20, 52, "start", summary);
}

static void print_all(FILE *out, const struct tier_heat *heat)
{
	unsigned map = TOP + (unsigned)(heat->row_count * ROW + heat->segment_count * GAP);
	unsigned side = TOP + 420 + 16 * (unsigned)heat->node_count;
	unsigned x = LEFT + MAP + 30, y = TOP + GAP;

	print_head(out, heat, LEFT + MAP + 30 + SIDE, MAX(map, side) + BOTTOM);
	print_text(out, LEFT - 8, TOP + GAP - 5, "end", "address");
	print_time_axis(out, heat, print_map(out, heat));
	print_legend(out, heat, x, &y);
	print_bins(out, heat, x, &y);
	print_nodes(out, heat, x, &y);
	fputs("</svg>\n", out);
}

int tier_heat_to_svg(const struct tier_heat *heat, char **ret)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	print_all(out, heat);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

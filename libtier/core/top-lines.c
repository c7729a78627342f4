/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture as lines, none of which is wider than it may be. */
#include "top-columns.h"

#define NAME_MIN 12
/* Nodes and tiers may have so much of a screen, and rows the rest. */
#define PART 3

static int add_head(struct tier_top_lines *lines, const struct top_column *columns, size_t count,
		    unsigned width)
{
	struct top_text line = {};

	for (size_t i = 0; i < count; i++)
		top_put(&line, &columns[i], columns[i].title);
	return top_add_line(lines, line.text, width, TIER_TOP_HEAD);
}

static int add_cells(struct tier_top_lines *lines, const struct top_column *columns, size_t count,
		     unsigned width, const char *const *cells, enum tier_top_style style)
{
	struct top_text line = {};

	for (size_t i = 0; i < count; i++)
		top_put(&line, &columns[i], cells[i]);
	return top_add_line(lines, line.text, width, style);
}

static bool is_typed(enum tier_top_group group)
{
	return group == TIER_TOP_SHARED || group == TIER_TOP_SWITCHED;
}

static void percent_text(char text[static 8], uint64_t used, uint64_t total)
{
	snprintf(text, 8, "%.0f%%", total ? (double)used * 100 / (double)total : 0.0);
}

static int add_title(const struct tier_top *top, unsigned width, struct tier_top_lines *lines)
{
	char text[256], every[32] = "", tiering[96] = "", up[8], down[8];

	if (top->elapsed_usec)
		snprintf(every, sizeof(every), ", over %.1f s", (double)top->elapsed_usec / 1e6);
	if (top->tiering.promoted != TIER_UNKNOWN_U64)
		snprintf(tiering, sizeof(tiering), "; Tier=auto promotes %s, demotes %s",
			 top_rate_text(up, top->tiering.promoted),
			 top_rate_text(down, top->tiering.demoted));
	snprintf(text, sizeof(text), "%s%s%s", top->hostname[0] ? top->hostname : "tierctl top",
		 every, tiering);
	return top_add_line(lines, text, width, TIER_TOP_TITLE);
}

static int add_more(struct tier_top_lines *lines, unsigned width, size_t more, const char *what)
{
	char text[64];

	snprintf(text, sizeof(text), "... and %zu more %s", more, what);
	return more ? top_add_line(lines, text, width, TIER_TOP_NOTE) : 0;
}

/* How many of @count lines are shown if there is room for @room, one of which says that there are more. */
static size_t shown_of(size_t count, size_t room)
{
	return count <= room ? count : room > 1 ? room - 1 : 0;
}

static int add_nodes(const struct tier_top *top, unsigned width, size_t room,
		     struct tier_top_lines *lines)
{
	struct top_column columns[] = {
		{"NODE", 4},
		{"TIER", 4, 6},
		{"CLASS", 5, 5, .left = true},
		{"TYPE", 8, 2, .left = true},
		{"REGIONS", 7, 7, .left = true, .flexible = true},
		{"SIZE", 4, 4},
		{"USED", 4, 0},
		{"USE%", 4, 3},
		{"PROMOTED", 8, 1},
		{"DEMOTED", 8, 1},
	};
	size_t shown = shown_of(top->node_count, room);
	int r;

	top_fit(columns, ARRAY_SIZE(columns), width);
	r = add_head(lines, columns, ARRAY_SIZE(columns), width);
	for (size_t i = 0; r == 0 && i < shown; i++) {
		const struct tier_top_node *node = &top->nodes[i];
		char id[16], tier[16] = "-", size[8], used[8], percent[8], up[8], down[8];
		const char *cells[] = {
			id,
			tier,
			tier_place_class_name(node->class),
			node->type == TIER_MEMORY_UNKNOWN ? "-" : tier_memory_type_name(node->type),
			node->regions[0] ? node->regions : "-",
			top_scale(size, node->total_bytes),
			top_scale(used, node->used_bytes),
			percent,
			top_rate_text(up, node->rates.promoted),
			top_rate_text(down, node->rates.demoted),
		};

		snprintf(id, sizeof(id), "%d", node->id);
		if (node->tier >= 0)
			snprintf(tier, sizeof(tier), "%d", node->tier);
		percent_text(percent, node->used_bytes, node->total_bytes);
		r = add_cells(lines, columns, ARRAY_SIZE(columns), width, cells,
			      is_typed(node->group) ? TIER_TOP_TYPED : TIER_TOP_PLAIN);
	}
	return r ?: add_more(lines, width, top->node_count - shown, "nodes");
}

static int add_tiers(const struct tier_top *top, unsigned width, size_t room,
		     struct tier_top_lines *lines)
{
	struct top_column columns[] = {
		{"TIER", 4},	   {"NODES", 5, 4, .left = true, .flexible = true},
		{"SIZE", 4, 3},	   {"USED", 4},
		{"USE%", 4, 2},	   {"PROMOTED", 8, 1},
		{"DEMOTED", 8, 1},
	};
	size_t shown = shown_of(top->tier_count, room);
	int r;

	if (top->tier_count == 0)
		return 0;
	top_fit(columns, ARRAY_SIZE(columns), width);
	r = add_head(lines, columns, ARRAY_SIZE(columns), width);
	for (size_t i = 0; r == 0 && i < shown; i++) {
		const struct tier_top_tier *tier = &top->tiers[i];
		char id[16], size[8], used[8], percent[8], up[8], down[8];
		const char *cells[] = {
			id,
			tier->nodes,
			top_scale(size, tier->total_bytes),
			top_scale(used, tier->used_bytes),
			percent,
			top_rate_text(up, tier->rates.promoted),
			top_rate_text(down, tier->rates.demoted),
		};

		snprintf(id, sizeof(id), "%d", tier->tier);
		percent_text(percent, tier->used_bytes, tier->total_bytes);
		r = add_cells(lines, columns, ARRAY_SIZE(columns), width, cells, TIER_TOP_PLAIN);
	}
	return r ?: add_more(lines, width, top->tier_count - shown, "tiers");
}

/* ---- rows -------------------------------------------------------------------------------------- */

/* As many columns as a wide screen has room for. */
#define COLUMNS_MAX 64

struct table {
	struct top_column columns[COLUMNS_MAX];
	int what[COLUMNS_MAX]; /* a kind, or a node's place in the list */
	char titles[COLUMNS_MAX][16];
	size_t count;
};

enum { PID, NAME, TOTAL, FIRST };

static void add_column(struct table *table, int what, const char *title, unsigned width,
		       unsigned rank)
{
	if (table->count == COLUMNS_MAX)
		return;
	copy_string(table->titles[table->count], sizeof(table->titles[0]), title);
	table->what[table->count] = what;
	table->columns[table->count] = (struct top_column){
		.title = table->titles[table->count],
		.width = MAX(width, (unsigned)strlen(title)),
		.rank = rank,
	};
	table->count++;
}

static void layout(const struct tier_top *top, const struct tier_top_view *view, unsigned width,
		   struct table *table)
{
	char title[16];

	add_column(table, 0, "PID", 7, 0);
	add_column(table, 0, top->processes ? "PROCESS" : "UNIT", NAME_MIN, 0);
	add_column(table, 0, "TOTAL", 5, 1);
	table->columns[NAME].left = table->columns[NAME].flexible = true;
	/* Those on the right go first. */
	for (size_t i = 0; view->by_node && i < top->node_count; i++) {
		const struct tier_top_node *node = &top->nodes[i];

		snprintf(title, sizeof(title), "N%d%s", node->id,
			 node->group == TIER_TOP_SHARED	    ? ":Sh"
			 : node->group == TIER_TOP_SWITCHED ? ":Sw"
							    : "");
		add_column(table, (int)i, title, 5, 2 + (unsigned)i);
	}
	/* Ordinary memory is the machine's own affair; typed memory is what somebody has to answer for. */
	for (int i = 0; !view->by_node && i < TIER_TOP_BY_TOTAL; i++)
		if (top->groups[i])
			add_column(table, i, tier_top_group_name((enum tier_top_group)i), 5,
				   is_typed((enum tier_top_group)i) ? 2 : 3 + (unsigned)i);
	top_fit(table->columns + !top->processes, table->count - !top->processes, width);
}

static uint64_t on_node(const struct tier_top_row *row, int node)
{
	for (size_t i = 0; i < row->part_count; i++)
		if (row->parts[i].node == node)
			return row->parts[i].bytes;
	return 0;
}

static bool has_typed(const struct tier_top *top, const struct tier_top_row *row)
{
	return tier_top_row_bytes(top, row, TIER_TOP_SHARED) > 0 ||
	       tier_top_row_bytes(top, row, TIER_TOP_SWITCHED) > 0;
}

static int add_row(const struct tier_top *top, const struct tier_top_view *view, unsigned width,
		   const struct table *table, const struct tier_top_row *row,
		   struct tier_top_lines *lines)
{
	char numbers[COLUMNS_MAX][8], pid[16];
	const char *cells[COLUMNS_MAX];

	snprintf(pid, sizeof(pid), "%d", (int)row->pid);
	cells[PID] = pid;
	cells[NAME] = row->name;
	cells[TOTAL] = top_scale(numbers[TOTAL], row->total_bytes);
	for (size_t i = FIRST; i < table->count; i++)
		cells[i] = top_scale(
			numbers[i],
			view->by_node ? on_node(row, top->nodes[table->what[i]].id)
				      : tier_top_row_bytes(top, row,
							   (enum tier_top_group)table->what[i]));
	return add_cells(lines, table->columns, table->count, width, cells,
			 has_typed(top, row) ? TIER_TOP_TYPED : TIER_TOP_PLAIN);
}

/* Sentences, in as many lines as it takes. */
static int add_note(struct tier_top_lines *lines, const char *note, unsigned width)
{
	while (*note) {
		size_t length = strlen(note), taken = MIN(length, (size_t)width);
		char text[TOP_WIDTH_MAX + 1];
		int r;

		while (taken < length && taken > 0 && note[taken] != ' ')
			taken--;
		if (taken == 0)
			taken = MIN(length, (size_t)width);
		if (taken == 0)
			return 0;
		memcpy(text, note, taken);
		text[taken] = '\0';
		r = top_add_line(lines, text, width, TIER_TOP_NOTE);
		if (r)
			return r;
		note += taken;
		note += strspn(note, " ");
	}
	return 0;
}

static int add_rows(const struct tier_top *top, struct tier_top_view *view, unsigned width,
		    size_t room, struct tier_top_lines *lines)
{
	struct table table = {};
	size_t last, before;
	int r;

	layout(top, view, width, &table);
	r = add_head(lines, table.columns, table.count, width);
	before = lines->count;
	if (r == 0)
		r = add_note(lines, top->note, width);
	room -= MIN(room, lines->count - before);
	if (view->first + room > top->rows.count)
		view->first = top->rows.count > room ? top->rows.count - room : 0;
	last = MIN(top->rows.count, view->first + room);
	for (size_t i = view->first; r == 0 && i < last; i++, lines->rows++)
		r = add_row(top, view, width, &table, &top->rows.rows[i], lines);
	return r;
}

static int add_keys(const struct tier_top *top, const struct tier_top_view *view, unsigned width,
		    struct tier_top_lines *lines)
{
	char text[160];

	snprintf(text, sizeof(text), "q quit  p %s  n by %s  s sort: %s  up/down: %zu of %zu",
		 top->processes ? "units" : "processes", view->by_node ? "kind" : "node",
		 view->by >= TIER_TOP_BY_TOTAL || view->by < 0
			 ? "TOTAL"
			 : tier_top_group_name((enum tier_top_group)view->by),
		 top->rows.count ? view->first + 1 : 0, top->rows.count);
	/* At the bottom, whatever is above it. */
	while (lines->count + 1 < view->height)
		if (top_add_line(lines, "", width, TIER_TOP_PLAIN) < 0)
			return -ENOMEM;
	return top_add_line(lines, text, width, TIER_TOP_KEYS);
}

static int add_all(const struct tier_top *top, struct tier_top_view *view,
		   struct tier_top_lines *lines)
{
	unsigned width = MIN(view->width, (unsigned)TOP_WIDTH_MAX);
	size_t part = view->height ? MAX(view->height / PART, 2) : SIZE_MAX, room = SIZE_MAX / 2;
	int r = add_title(top, width, lines);

	r = r ?: add_nodes(top, width, part, lines);
	r = r ?: add_tiers(top, width, part / 2, lines);
	/* The head and the keys. */
	if (view->height)
		room = view->height > lines->count + 2 ? view->height - lines->count - 2 : 0;
	r = r ?: add_rows(top, view, width, room, lines);
	if (r || !view->height)
		return r;
	/* Of a screen with no room for all of it the keys stay. */
	while (lines->count > 0 && lines->count >= view->height) {
		free(lines->lines[--lines->count].text);
	}
	return add_keys(top, view, width, lines);
}

int tier_top_lines(const struct tier_top *top, struct tier_top_view *view,
		   struct tier_top_lines *ret)
{
	struct tier_top_lines lines = {};
	int r = add_all(top, view, &lines);

	if (r < 0) {
		tier_top_lines_done(&lines);
		return r;
	}
	*ret = lines;
	return 0;
}

void tier_top_lines_done(struct tier_top_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->lines[i].text);
	free(lines->lines);
	*lines = (struct tier_top_lines){};
}

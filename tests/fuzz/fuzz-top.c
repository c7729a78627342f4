/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "fuzz.h"
#include "metrics.h"
#include "top.h"

/* The first byte says which: memory.numa_stat ('S'), numa_maps ('M'), a node's files ('V'), a label, or a name. */

static void check_row(const char *text, bool maps)
{
	struct tier_top_row row = {};
	uint64_t sum = 0;
	int r = maps ? top_parse_numa_maps(text, &row) : top_parse_numa_stat(text, &row);

	HOLDS(r == 0 || (!maps && r == TIER_E_NOT_FOUND));
	for (size_t i = 0; i < row.part_count; i++) {
		HOLDS(row.parts[i].node >= 0 && row.parts[i].node < TIER_NODES_MAX);
		HOLDS(i == 0 || row.parts[i - 1].node < row.parts[i].node);
		sum += row.parts[i].bytes;
	}
	HOLDS(sum == row.total_bytes);
	top_row_done(&row);
}

static size_t count_of(const char *text, char what)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == what;
	return count;
}

/* Whatever it is: three lines, of ASCII, and its quotation marks and lines are escaped. */
static void check_label(const char *value)
{
	struct tier_metrics *metrics;
	char *text, *json;

	HOLDS(tier_metrics_new(NULL, &metrics) == 0);
	tier_metrics_family(metrics, &(struct tier_metric){.name = "x", .help = "h"});
	TIER_METRICS_ADD(metrics, 1, {"a", value}, {"b", ""});
	HOLDS(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &text) == 0);
	HOLDS(tier_metrics_to_json(metrics, &json) == 0);
	HOLDS(count_of(text, '\n') == 3);
	HOLDS(strcmp(text + strlen(text) - strlen("\",b=\"\"} 1\n"), "\",b=\"\"} 1\n") == 0);
	for (const char *at = text; *at; at++)
		HOLDS(*at == '\n' || (*at >= ' ' && *at <= '~'));
	free(text);
	free(json);
	tier_metrics_free(metrics);
}

/* Nor has a name more room than there is. */
static void check_lines(const char *name, unsigned width)
{
	struct tier_top_row row = {.total_bytes = 1};
	struct tier_top top = {.rows = {.rows = &row, .count = 1}};
	struct tier_top_view view = {.width = width};
	struct tier_top_lines lines;

	copy_string(row.name, sizeof(row.name), name);
	make_printable(row.name);
	copy_string(top.note, sizeof(top.note), name);
	make_printable(top.note);
	HOLDS(tier_top_lines(&top, &view, &lines) == 0);
	for (size_t i = 0; i < lines.count; i++)
		HOLDS(strlen(lines.lines[i].text) <= width);
	tier_top_lines_done(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tier_node_stat stat;
	char *text;

	if (size < 2)
		return 0;
	text = strndup((const char *)data + 2, size - 2);
	HOLDS(text != NULL);
	switch (data[0]) {
	case 'S':
		check_row(text, false);
		break;
	case 'M':
		check_row(text, true);
		break;
	case 'V':
		node_stat_parse(text, text, 4096, &stat);
		break;
	case 'L':
		check_label(text);
		break;
	default:
		check_lines(text, data[1]);
	}
	free(text);
	return 0;
}

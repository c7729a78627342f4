/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include <libsmartcols.h>

#include "tool.h"

struct tool_table {
	struct libscols_table *table;
	size_t column_count;
};

int tool_table_new(struct tool_table **ret, const char *const *columns, size_t column_count,
		   const char *align)
{
	struct tool_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->column_count = column_count;
	table->table = scols_new_table();
	if (!table->table) {
		tool_table_free(table);
		return -ENOMEM;
	}
	for (size_t i = 0; i < column_count; i++) {
		if (!scols_table_new_column(table->table, columns[i], 0,
					    align[i] == 'r' ? SCOLS_FL_RIGHT : 0)) {
			tool_table_free(table);
			return -ENOMEM;
		}
	}
	*ret = table;
	return 0;
}

int tool_table_row(struct tool_table *table, ...)
{
	struct libscols_line *line = scols_table_new_line(table->table, NULL);
	va_list cells;
	int r = 0;

	if (!line)
		return -ENOMEM;
	va_start(cells, table);
	for (size_t i = 0; r == 0 && i < table->column_count; i++) {
		const char *cell = va_arg(cells, const char *);

		r = scols_line_set_data(line, i, cell && cell[0] ? cell : "-");
	}
	va_end(cells);
	return r;
}

void tool_table_print(struct tool_table *table)
{
	/* It writes to the descriptor's stream itself; what was printed before comes first. */
	fflush(stdout);
	scols_print_table(table->table);
}

struct tool_table *tool_table_free(struct tool_table *table)
{
	if (table)
		scols_unref_table(table->table);
	free(table);
	return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl retired, retire, unretire */
#include <time.h>

#include <systemd/sd-json.h>

#include "client.h"
#include "json.h"
#include "tool.h"

static int add_row(struct tool_table *table, sd_json_variant *entry)
{
	char bytes[16], where[64] = "no region", block[32] = "-", when[32] = "";
	time_t seconds = (time_t)(json_number(entry, "usec") / 1000000);
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	tool_bytes(bytes, json_number(entry, "bytes"));
	if (json_text(entry, "region")[0])
		snprintf(where, sizeof(where), "%s + 0x%" PRIx64, json_text(entry, "region"),
			 json_number(entry, "offset"));
	if (sd_json_variant_by_key(entry, "block"))
		snprintf(block, sizeof(block), "%" PRIu64 "%s", json_number(entry, "block"),
			 json_flag(entry, "online") ? " (online)" : "");
	return tool_table_row(table, json_text(entry, "id"), bytes, where, block, when,
			      json_text(entry, "reason"));
}

static int print_table(sd_json_variant *retired)
{
	static const char *const columns[] = {"ENTRY", "BYTES", "REGION", "BLOCK", "SINCE", "WHY"};
	size_t count = retired ? sd_json_variant_elements(retired) : 0;
	struct tool_table *table = NULL;
	int r;

	if (count == 0) {
		printf("Nothing is retired.\n");
		return TOOL_OK;
	}
	r = tool_table_new(&table, columns, sizeof(columns) / sizeof(columns[0]), "lrlrll");
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_row(table, sd_json_variant_by_index(retired, i));
	if (r == 0)
		tool_table_print(table);
	tool_table_free(table);
	return r < 0 ? tool_fail_text("retired", NULL, "cannot print") : TOOL_OK;
}

int cmd_retired(int argc, char **argv)
{
	sd_json_variant *reply = NULL, *retired;
	int r = tool_parse(argc, argv, NULL, 0, 0, 0, NULL, NULL);

	if (r == 0)
		r = client_call("Retired", NULL, &reply);
	if (r)
		return r;
	retired = sd_json_variant_by_key(reply, "retired");
	if (!tool_common.json)
		r = print_table(retired);
	else if (!retired ||
		 sd_json_variant_dump(retired, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
				      stdout, NULL) < 0)
		r = tool_fail_text("retired", NULL, "cannot print");
	sd_json_variant_unref(reply);
	return r;
}

int cmd_retire(int argc, char **argv)
{
	uint64_t offset = UINT64_MAX;
	bool dry_run = false;
	const struct tool_option table[] = {
		{"offset", "BYTES", "which: the one that has this byte of the region", TOOL_BYTES,
		 &offset},
		{"dry-run", NULL, "say what would be retired, change nothing", TOOL_FLAG, &dry_run},
	};
	sd_json_variant *parameters = NULL, *reply = NULL, *entry;
	char **names;
	int r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 1, 1, &names, NULL);
	if (r)
		return r;
	if (offset == UINT64_MAX)
		return tool_usage("retire needs --offset BYTES");
	if (sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("region", names[0]),
			   SD_JSON_BUILD_PAIR_UNSIGNED("offset", offset),
			   SD_JSON_BUILD_PAIR_BOOLEAN("dryRun", dry_run)) < 0)
		return tool_fail_text(names[0], NULL, "out of memory");
	r = client_call("Retire", parameters, &reply);
	sd_json_variant_unref(parameters);
	if (r)
		return r;
	entry = sd_json_variant_by_key(reply, "entry");
	if (tool_common.json)
		r = entry && sd_json_variant_dump(entry,
						  SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
						  stdout, NULL) >= 0
			    ? TOOL_OK
			    : tool_fail_text(names[0], NULL, "cannot print");
	else
		printf("%s + 0x%" PRIx64 ", memory block %" PRIu64 ": %sretired as %s%s\n",
		       names[0], json_number(entry, "offset"), json_number(entry, "block"),
		       dry_run ? "would be " : "", json_text(entry, "id"),
		       dry_run ? "" : "; what became of it: tierctl events --since 1m");
	sd_json_variant_unref(reply);
	return r;
}

int cmd_unretire(int argc, char **argv)
{
	sd_json_variant *parameters = NULL;
	char **names;
	int r = tool_parse(argc, argv, NULL, 0, 1, 1, &names, NULL);

	if (r)
		return r;
	if (sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("id", names[0])) < 0)
		return tool_fail_text(names[0], NULL, "out of memory");
	r = client_call("Unretire", parameters, NULL);
	sd_json_variant_unref(parameters);
	if (r == 0 && tool_common.json)
		printf("{\"id\":\"%s\"}\n", names[0]);
	else if (r == 0)
		printf("%s: not retired any more\n", names[0]);
	return r;
}

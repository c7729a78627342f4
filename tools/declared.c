/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Regions that the configuration declares: tierctl list declared, and what tierctl doctor says of them. */
#include "doctor.h"

static void devices_text(const struct tier_declared *declared, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < declared->ways && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s%s0x%" PRIx64 "%s",
					 i ? ", " : "", declared->memdevs[i],
					 declared->memdevs[i][0] ? " (" : "", declared->serials[i],
					 declared->memdevs[i][0] ? ")" : "");
}

static int print_table(const struct tier_declared *all, size_t count)
{
	static const char *const columns[] = {"DECLARED", "STATE",  "REGION",
					      "SIZE",	  "WINDOW", "DEVICES"};
	struct tool_table *table;

	if (count == 0) {
		printf("The configuration declares no regions: Create= in cxl-tierd.conf(5).\n");
		return 0;
	}
	if (tool_table_new(&table, columns, sizeof(columns) / sizeof(columns[0]), "lllrll") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct tier_declared *declared = &all[i];
		char size[16], devices[512];

		devices_text(declared, devices, sizeof(devices));
		tool_table_row(table, declared->name, tier_declared_state_name(declared->state),
			       declared->region[0] ? declared->region : NULL,
			       declared->bytes ? tool_bytes(size, declared->bytes) : NULL,
			       declared->window[0] ? declared->window : NULL, devices);
	}
	tool_table_print(table);
	tool_table_free(table);
	for (size_t i = 0; i < count; i++)
		if (all[i].problem.text[0])
			printf("%s: %s; %s\n", all[i].name, all[i].problem.text,
			       all[i].problem.next);
	return 0;
}

static int print_json(const struct tier_declared *all, size_t count)
{
	char *text = NULL;
	int r = tier_declared_to_json(all, count, &text);

	if (r == 0)
		fputs(text, stdout);
	free(text);
	return r;
}

int list_declared(const struct tier_topology *topology)
{
	struct tier_declared *all = NULL;
	struct tier_config *config;
	size_t count = 0;
	int r = tool_config(&config);

	if (r)
		return r;
	r = tier_declared_plan(config, topology, &all, &count);
	if (r == 0)
		r = tool_common.json ? print_json(all, count) : print_table(all, count);
	free(all);
	tier_config_free(config);
	if (r < 0)
		return tool_fail_text("list", NULL, "cannot print: %s", tier_strerror(r));
	return TOOL_OK;
}

void list_absent(const struct tier_topology *topology)
{
	struct tier_declared *all = NULL;
	struct tier_config *config;
	size_t count = 0, absent = 0;

	/* Whoever asks for regions has been told of a configuration that cannot be read. */
	if (tier_config_load(tool_common.sysroot, tool_common.config, &config, NULL) != 0)
		return;
	if (tier_declared_plan(config, topology, &all, &count) == 0)
		for (size_t i = 0; i < count; i++)
			absent += all[i].state != TIER_DECLARED_EXISTS;
	if (absent > 0)
		printf("%zu of %zu declared regions %s not there: tierctl list declared\n", absent,
		       count, absent == 1 ? "is" : "are");
	free(all);
	tier_config_free(config);
}

void doctor_declared(struct doctor_report *report, const struct tier_topology *topology)
{
	struct tier_declared *all = NULL;
	struct tier_problem problem;
	struct tier_config *config;
	size_t count = 0, there = 0;

	if (tier_config_load(tool_common.sysroot, tool_common.config, &config, &problem) != 0) {
		doctor_add(report, FAIL, problem.object, "cxl-tierd does not start with it",
			   "correct the line; man cxl-tierd.conf", "%s", problem.text);
		return;
	}
	if (tier_declared_plan(config, topology, &all, &count) != 0)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct tier_declared *declared = &all[i];
		char section[80];

		snprintf(section, sizeof(section), "[Region %s]", declared->name);
		there += declared->state == TIER_DECLARED_EXISTS;
		if (declared->state == TIER_DECLARED_CREATE)
			doctor_add(report, WARN, section, "its memory is not there",
				   "systemctl reload cxl-tierd; journalctl -u cxl-tierd",
				   "a declared region that could be made in %s, and has not been",
				   declared->window);
		else if (declared->state != TIER_DECLARED_EXISTS)
			doctor_add(report, declared->state == TIER_DECLARED_WAITS ? WARN : FAIL,
				   section, "its memory is not there", declared->problem.next, "%s",
				   declared->problem.text);
	}
	if (there == count && count > 0)
		doctor_add(report, OK, "declared regions", NULL, NULL, "all %zu are there", count);
	free(all);
	tier_config_free(config);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl vm start, stop, list: the machines that this host's configuration defines */
#include <systemd/sd-json.h>

#include <string.h>

#include "client.h"
#include "flight-json.h"
#include "json.h"
#include "tool.h"

static int needs_root(const char *name, const char *verb)
{
	if (geteuid() == 0)
		return 0;
	return tool_fail_text(name, "run it with sudo", "%s needs root", verb);
}

static int print_info(const struct tier_machine_info *info)
{
	char bytes[16];

	if (tool_common.json) {
		sd_json_variant *json = NULL;

		if (sd_json_build(
			    &json,
			    SD_JSON_BUILD_OBJECT(
				    SD_JSON_BUILD_PAIR_STRING("name", info->name),
				    SD_JSON_BUILD_PAIR_INTEGER("pid", info->pid),
				    SD_JSON_BUILD_PAIR_STRING("status", info->status),
				    SD_JSON_BUILD_PAIR_STRING("type", info->type),
				    SD_JSON_BUILD_PAIR_STRING("qemu", info->qemu_version),
				    SD_JSON_BUILD_PAIR_UNSIGNED("ram_bytes", info->memory_bytes),
				    SD_JSON_BUILD_PAIR_STRING("ram_path", info->memory_path))) < 0)
			return TOOL_FAILED;
		sd_json_variant_dump(json, SD_JSON_FORMAT_NEWLINE, stdout, NULL);
		sd_json_variant_unref(json);
		return TOOL_OK;
	}
	printf("%s: %s, process %d, %s, QEMU %s, RAM %s in %s\n", info->name, info->status,
	       info->pid, info->type, info->qemu_version, tool_bytes(bytes, info->memory_bytes),
	       info->memory_path);
	return TOOL_OK;
}

/* Does a flight that has not ended have this host as a side, or may this host take what it carries? */
static bool in_flight(sd_json_variant *flights, sd_json_variant *portals, const char *name)
{
	for (size_t i = 0; flights && i < sd_json_variant_elements(flights); i++) {
		sd_json_variant *flight = sd_json_variant_by_index(flights, i);

		if (strcmp(json_text(flight, "vm"), name) == 0 &&
		    flight_portal(flight, portals) != NULL)
			return true;
	}
	return false;
}

/* Booted from its disk, it would be a second one beside what is in the portal or on another host. */
static int refuse_in_flight(const struct tier_config *config, const char *name)
{
	sd_json_variant *flights = NULL, *portals = NULL;
	int r;

	if (!client_daemon_running())
		return config->portal_count == 0
			       ? 0
			       : tool_fail_text(name, "systemctl start cxl-tierd",
						"cannot tell whether a flight has it: cxl-tierd "
						"does not answer");
	r = client_call("Flights", NULL, &flights);
	r = r ?: client_call("Portals", NULL, &portals);
	if (r == 0 && in_flight(sd_json_variant_by_key(flights, "flights"),
				sd_json_variant_by_key(portals, "portals"), name))
		r = tool_fail_text(name, "tierctl flights says whose it is; tierctl settle",
				   "a flight of it has not ended");
	sd_json_variant_unref(flights);
	sd_json_variant_unref(portals);
	return r;
}

int cmd_vm_start(int argc, char **argv)
{
	struct tier_machine_info info;
	struct tier_machine *machine = NULL;
	struct tier_problem problem = {};
	struct tier_config *config;
	char **names;
	int r;

	r = tool_parse(argc, argv, NULL, 0, 1, 1, &names, NULL);
	r = r ?: needs_root(names[0], "starting a machine");
	if (r || tool_config(&config))
		return r ?: TOOL_FAILED;
	r = refuse_in_flight(config, names[0]);
	if (r == 0) {
		r = tier_machine_start(config, names[0], false, &machine, &problem);
		r = r ?: tier_machine_inspect(machine, &info, &problem);
		r = r ? tool_fail(&problem) : print_info(&info);
	}
	tier_machine_free(machine);
	tier_config_free(config);
	return r;
}

int cmd_vm_stop(int argc, char **argv)
{
	struct tier_machine *machine = NULL;
	struct tier_problem problem = {};
	struct tier_config *config;
	char **names;
	int r;

	r = tool_parse(argc, argv, NULL, 0, 1, 1, &names, NULL);
	r = r ?: needs_root(names[0], "ending a machine");
	if (r || tool_config(&config))
		return r ?: TOOL_FAILED;
	r = tier_machine_attach(config, names[0], &machine, &problem);
	r = r ?: tier_machine_quit(machine, &problem);
	if (r)
		r = tool_fail(&problem);
	else if (!tool_common.json)
		printf("%s: ended\n", names[0]);
	tier_machine_free(machine);
	tier_config_free(config);
	return r;
}

/* What `vm list` shows of one machine. A machine that cannot fly says why. */
struct row {
	const char *state;
	char detail[512];
	struct tier_machine_info info;
};

static void look(const struct tier_config *config, const char *name, struct row *row)
{
	struct tier_problem problem = {};
	struct tier_machine *machine = NULL;
	int r = tier_machine_attach(config, name, &machine, &problem);

	*row = (struct row){.state = "off"};
	if (r == TIER_E_NOT_FOUND)
		return;
	row->state = "unknown";
	if (r == 0)
		r = tier_machine_inspect(machine, &row->info, &problem);
	if (row->info.status[0])
		row->state = row->info.status;
	if (r)
		snprintf(row->detail, sizeof(row->detail), "%s", problem.text);
	tier_machine_free(machine);
}

int cmd_vm_list(int argc, char **argv)
{
	static const char *const columns[] = {"MACHINE", "STATE", "PID",
					      "TYPE",	 "RAM",	  "CANNOT FLY"};
	sd_json_variant *array = NULL;
	struct tool_table *table = NULL;
	struct tier_config *config;
	int r;

	r = tool_parse(argc, argv, NULL, 0, 0, 0, NULL, NULL);
	r = r ?: needs_root("vm list", "asking QEMU");
	if (r || tool_config(&config))
		return r ?: TOOL_FAILED;
	if (!tool_common.json)
		r = tool_table_new(&table, columns, 6, "llrlrl");
	for (size_t i = 0; r == 0 && i < config->machine_count; i++) {
		const struct tier_config_machine *machine = &config->machines[i];
		char pid[16], bytes[16];
		struct row row;

		look(config, machine->name, &row);
		if (tool_common.json) {
			r = sd_json_variant_append_arraybo(
				&array, SD_JSON_BUILD_PAIR_STRING("name", machine->name),
				SD_JSON_BUILD_PAIR_STRING("state", row.state),
				SD_JSON_BUILD_PAIR_INTEGER("pid", row.info.pid),
				SD_JSON_BUILD_PAIR_STRING("cannot_fly", row.detail),
				SD_JSON_BUILD_PAIR_UNSIGNED("ram_bytes", machine->memory_bytes));
			continue;
		}
		snprintf(pid, sizeof(pid), "%d", row.info.pid);
		tool_table_row(table, machine->name, row.state, row.info.pid ? pid : NULL,
			       row.info.type[0] ? row.info.type : machine->type,
			       tool_bytes(bytes, machine->memory_bytes),
			       row.detail[0] ? row.detail : NULL);
	}
	if (table) {
		tool_table_print(table);
		tool_table_free(table);
	} else if (r == 0 && array) {
		sd_json_variant_dump(array, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, stdout,
				     NULL);
	} else if (r == 0) {
		puts("[]");
	}
	sd_json_variant_unref(array);
	tier_config_free(config);
	return r ? TOOL_FAILED : TOOL_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl metrics */
#include <systemd/sd-json.h>

#include "client.h"
#include "json.h"
#include "tool.h"

/* From cxl-tierd, which counts what has happened since its start. */
static int print_daemons(bool textfile)
{
	const char *format = tool_common.json ? "json" : textfile ? "textfile" : "openmetrics";
	sd_json_variant *parameters = NULL, *reply = NULL, *families;
	int r;

	if (sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("format", format)) < 0)
		return tool_fail_text("metrics", NULL, "out of memory");
	r = client_call("Metrics", parameters, &reply);
	sd_json_variant_unref(parameters);
	if (r)
		return r;
	families = sd_json_variant_by_key(reply, "families");
	if (!tool_common.json)
		fputs(json_text(reply, "text"), stdout);
	else if (!families ||
		 sd_json_variant_dump(families, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
				      stdout, NULL) < 0)
		r = tool_fail_text("metrics", NULL, "cannot print");
	sd_json_variant_unref(reply);
	return r;
}

static int read_machine(struct tier_metrics *metrics, struct tier_topology *topology,
			struct tier_problem *problem)
{
	struct tier_node_stat *stats;
	struct tier_retired *retired;
	size_t count;
	int r = tier_node_stats_read(tool_common.sysroot, topology->page_bytes, &stats, &count,
				     problem);

	if (r)
		return r;
	tier_metrics_nodes(metrics, topology, stats, count);
	free(stats);
	r = tier_retired_load(tool_common.sysroot, &retired, problem);
	if (r)
		return r;
	tier_metrics_retired(metrics, retired);
	tier_retired_free(retired);
	return 0;
}

/* What can be read without cxl-tierd. */
static int print_own(bool textfile)
{
	struct tier_topology *topology;
	struct tier_metrics *metrics;
	struct tier_config *config;
	struct tier_problem problem = {};
	char *text = NULL;
	int r = tool_config(&config);

	if (r)
		return r;
	r = tool_topology_tiers(&topology);
	if (r == 0) {
		tier_config_types(config, topology);
		r = tier_metrics_new(NULL, &metrics);
		if (r == 0) {
			r = read_machine(metrics, topology, &problem);
			if (r == 0)
				r = tool_common.json ? tier_metrics_to_json(metrics, &text)
						     : tier_metrics_format(
							       metrics,
							       textfile ? TIER_METRICS_TEXTFILE
									: TIER_METRICS_OPENMETRICS,
							       &text);
			tier_metrics_free(metrics);
		}
		r = r ? tool_fail(&problem) : TOOL_OK;
		tier_topology_free(topology);
	}
	tier_config_free(config);
	if (r == TOOL_OK)
		fputs(text, stdout);
	free(text);
	return r;
}

int cmd_metrics(int argc, char **argv)
{
	bool textfile = false;
	const struct tool_option options[] = {
		{"textfile", NULL, "the format of node_exporter's textfile collector", TOOL_FLAG,
		 &textfile},
	};
	int r = tool_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), 0, 0, NULL,
			   NULL);

	if (r)
		return r;
	if (textfile && tool_common.json)
		return tool_usage("metrics: --textfile and --json exclude each other");
	if (!tool_common.sysroot && client_daemon_running())
		return print_daemons(textfile);
	r = print_own(textfile);
	if (r == TOOL_OK)
		fprintf(stderr,
			"tierctl: metrics: those of portals, flights, events and Tier=auto are "
			"missing, since %s\n",
			tool_common.sysroot ? "a dump has none"
					    : "cxl-tierd does not run; systemctl start cxl-tierd");
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl weights */
#include "tool.h"
#include "weights.h"

static const char *weight_text(char buffer[static 16], int weight)
{
	if (weight < 0)
		return NULL;
	snprintf(buffer, 16, "%d", weight);
	return buffer;
}

static int print_table(const struct tier_weights_plan *plan)
{
	static const char *const columns[] = {"NODE",	"WEIGHT",    "WANTED",
					      "SOURCE", "BANDWIDTH", "WHY"};
	struct tool_table *table;
	int r = tool_table_new(&table, columns, sizeof(columns) / sizeof(columns[0]), "rrrlrl");

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < plan->weight_count; i++) {
		const struct tier_weight *weight = &plan->weights[i];
		char node[16], present[16], wanted[16], mbps[32];

		snprintf(mbps, sizeof(mbps), "%" PRIu64 " MB/s", weight->mbps);
		r = tool_table_row(
			table, weight_text(node, weight->node),
			weight_text(present, weight->present),
			weight_text(wanted, weight->present < 0 ? -1 : (int)weight->wanted),
			tier_weight_source_name(weight->source),
			weight->mbps == TIER_UNKNOWN_U64 ? NULL : mbps, weight->reason);
	}
	if (r == 0)
		tool_table_print(table);
	tool_table_free(table);
	if (r < 0)
		return r;
	printf("\nWeights: %s.\n", plan->reason);
	if (plan->action == TIER_WEIGHTS_WRITE)
		printf("cxl-tierd changes %zu of them, if it runs, at its next look at the "
		       "nodes.\n",
		       plan->step_count);
	else if (plan->action == TIER_WEIGHTS_REFRESH)
		printf("cxl-tierd has the kernel do so, if it runs, at its next look at the "
		       "nodes.\n");
	else if (plan->action == TIER_WEIGHTS_RESTORE)
		printf("cxl-tierd puts back what was there before it, if it runs.\n");
	return 0;
}

int weights_plan(struct tier_topology *topology, struct tier_weights_plan **ret,
		 struct tier_problem *calibration_problem)
{
	struct tier_machine_identity identity;
	struct tier_calibration *calibration = NULL;
	struct tier_weights_saved *saved = NULL;
	struct tier_config *config;
	struct tier_problem problem = {}, unidentified = {};
	int r = tool_config(&config);

	if (r)
		return r;
	tier_config_types(config, topology);
	struct tier_weights_input input = {
		.topology = topology, .config = config, .unidentified = &unidentified};
	r = tier_calibration_load(tool_common.sysroot, &calibration, calibration_problem);
	if (r == 0 || r == TIER_E_NOT_FOUND)
		*calibration_problem = (struct tier_problem){};
	if (calibration &&
	    tier_machine_identity_read(tool_common.sysroot, &identity, &unidentified) == 0)
		input.identity = &identity;
	input.calibration = calibration;
	r = tier_weights_saved_load(tool_common.sysroot, &saved, &problem);
	if (r && r != TIER_E_NOT_FOUND) {
		r = tool_fail(&problem);
	} else {
		input.saved = saved;
		r = tier_plan_weights(&input, ret);
		if (r < 0)
			r = tool_fail_text("weights", NULL, "%s", tier_strerror(r));
	}
	tier_weights_saved_free(saved);
	tier_calibration_free(calibration);
	tier_config_free(config);
	return r;
}

int cmd_weights(int argc, char **argv)
{
	struct tier_weights_plan *plan = NULL;
	struct tier_topology *topology;
	struct tier_problem problem = {};
	char *text = NULL;
	int r = tool_parse(argc, argv, NULL, 0, 0, 0, NULL, NULL);

	if (r == 0)
		r = tool_topology(&topology);
	if (r)
		return r;
	r = weights_plan(topology, &plan, &problem);
	tier_topology_free(topology);
	if (r)
		return r;
	if (problem.text[0])
		fprintf(stderr, "tierctl: %s: %s; %s\n", problem.object, problem.text,
			problem.next);
	r = tool_common.json ? tier_weights_plan_to_json(plan, &text) : print_table(plan);
	if (r == 0 && text)
		fputs(text, stdout);
	free(text);
	tier_weights_plan_free(plan);
	return r < 0 ? tool_fail_text("weights", NULL, "cannot print: %s", tier_strerror(r))
		     : TOOL_OK;
}

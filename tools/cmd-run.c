/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl run: a command whose memory lies where somebody wants it */
#include <systemd/sd-json.h>

#include "place-input.h"

struct run_input {
	struct place_input place;
	bool interleave;
	bool weighted;
	bool preferred;
	bool dry_run;
};

static int parse(int argc, char **argv, struct run_input *input, char ***ret_command)
{
	const struct tool_option options[] = {
		PLACE_OPTIONS(&input->place),
		{"interleave", NULL,
		 "spread pages over the nodes, by weight if the kernel has weights", TOOL_FLAG,
		 &input->interleave},
		{"weighted", NULL, "the same, and refused if it has none", TOOL_FLAG,
		 &input->weighted},
		{"preferred", NULL, "elsewhere if the nodes are full", TOOL_FLAG,
		 &input->preferred},
		{"dry-run", NULL, "say which policy it would be, and run nothing", TOOL_FLAG,
		 &input->dry_run},
	};
	bool is_auto;
	int r = tool_parse_command(argc, argv, options, sizeof(options) / sizeof(options[0]),
				   ret_command);

	if (r)
		return r;
	if (!input->place.tier && !input->place.types.count && !input->place.regions.count)
		return tool_usage("run: where to? Give --tier, --region or --type");
	is_auto = input->place.tier && strcmp(input->place.tier, "auto") == 0;
	if (input->interleave && input->weighted)
		return tool_usage("run: --interleave and --weighted exclude each other");
	if (input->preferred && (input->interleave || input->weighted))
		return tool_usage("run: --preferred cannot be had with interleaving");
	if (is_auto && input->preferred)
		return tool_usage("run: --tier auto prefers DRAM already");
	/* DRAM, then this region or type and no other: there is no such policy. */
	if (is_auto && (input->place.regions.count || input->place.types.count) &&
	    !input->interleave && !input->weighted)
		return tool_usage("run: --tier auto takes --%s with --interleave or --weighted",
				  input->place.regions.count ? "region" : "type");
	return 0;
}

static int choose(const struct run_input *input, struct tier_policy *ret)
{
	_cleanup_machine_ struct place_machine machine = {};
	enum tier_place_how how = input->interleave  ? TIER_PLACE_INTERLEAVE
				  : input->weighted  ? TIER_PLACE_WEIGHTED
				  : input->preferred ? TIER_PLACE_PREFERRED
						     : TIER_PLACE_BIND;
	struct tier_policy_kernel kernel = {};
	struct tier_place_request request;
	struct tier_place *place = NULL;
	struct tier_problem problem = {};
	bool live = place_is_live();
	int r = place_request("run", &input->place, live ? &kernel.allowed : NULL, &request);

	if (r == 0 && !live && !input->dry_run)
		r = place_needs_machine("run");
	if (r)
		return r;
	if (live && tier_policy_read(&kernel, &problem) < 0)
		return tool_fail(&problem);
	r = place_machine_read(&machine);
	if (r == 0)
		r = place_read_tiers(&request, machine.topology);
	if (r)
		return r;
	r = tier_place_select(&request, machine.topology, machine.config, &place, &problem);
	if (r == 0)
		r = tier_place_policy(place, how, &kernel, ret, &problem);
	tier_place_free(place);
	return r ? tool_fail(&problem) : 0;
}

static int print_json(const struct tier_policy *policy, char **command)
{
	sd_json_variant *nodes = NULL, *words = NULL, *whole = NULL;
	int r = sd_json_variant_new_array(&nodes, NULL, 0);

	for (int i = 0; r >= 0 && i < TIER_NODES_MAX; i++)
		if (tier_node_set_has(&policy->nodes, i))
			r = sd_json_variant_append_arrayb(&nodes, SD_JSON_BUILD_INTEGER(i));
	if (r >= 0)
		r = sd_json_variant_new_array_strv(&words, command);
	if (r >= 0)
		r = sd_json_buildo(
			&whole,
			SD_JSON_BUILD_PAIR_STRING("policy", tier_policy_mode_name(policy->mode)),
			SD_JSON_BUILD_PAIR_VARIANT("nodes", nodes),
			SD_JSON_BUILD_PAIR_VARIANT("command", words));
	if (r >= 0)
		r = sd_json_variant_dump(whole, SD_JSON_FORMAT_NEWLINE, stdout, NULL);
	sd_json_variant_unref(nodes);
	sd_json_variant_unref(words);
	sd_json_variant_unref(whole);
	return r < 0 ? tool_fail_text("run", NULL, "cannot print: %s", tier_strerror(r)) : TOOL_OK;
}

static int print_plan(const struct tier_policy *policy, char **command)
{
	char *list;

	if (tool_common.json)
		return print_json(policy, command);
	if (tier_node_set_list(&policy->nodes, &list) < 0)
		return tool_fail_text("run", NULL, "cannot print: out of memory");
	printf("%s of nodes %s for %s\n", tier_policy_mode_name(policy->mode), list, command[0]);
	free(list);
	return TOOL_OK;
}

int cmd_run(int argc, char **argv)
{
	struct run_input input = {};
	struct tier_policy policy;
	struct tier_problem problem = {};
	char **command;
	int r = parse(argc, argv, &input, &command);

	if (r == 0)
		r = choose(&input, &policy);
	if (r)
		return r;
	if (input.dry_run)
		return print_plan(&policy, command);
	if (tier_policy_set(&policy, &problem) < 0)
		return tool_fail(&problem);
	return tool_exec(command);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-json.h>

#include "change.h"
#include "client.h"
#include "plan-input.h"
#include "plan-print.h"
#include "tool.h"

/*
 * A dry run is planned here with the library, from the same snapshot and by the same function that
 * the daemon uses; the real thing is the daemon's, which also looks for a portal in the region first.
 */

static int ask_daemon(const char *method, sd_json_variant *parameters)
{
	sd_json_variant *reply = NULL, *plan;
	int r = client_call(method, parameters, &reply);

	if (r == 0) {
		plan = sd_json_variant_by_key(reply, "plan");
		r = plan_print(plan ?: reply, true);
	}
	sd_json_variant_unref(reply);
	return r;
}

struct online_options {
	const char *zone;
	uint64_t ratio;
	bool dry_run;
};

static int plan_locally(char **names, int count, enum tier_online_zone zone,
			const struct online_options *options)
{
	struct plan_input input = {};
	struct tier_plan *plan = NULL;
	struct tier_problem problem;
	int r = plan_input_read(&input, options->ratio);

	if (r == 0)
		r = plan_input_regions(&input, names, count, zone);
	if (r == 0) {
		if (tier_plan_online(input.topology, &input.policy, &plan, &problem) != 0)
			r = tool_fail(&problem);
		else
			r = plan_print_local(plan);
	}
	tier_plan_free(plan);
	plan_input_done(&input);
	return r;
}

static int online_via_daemon(char **names, int count, const struct online_options *options)
{
	sd_json_variant *regions = NULL, *parameters = NULL;
	int r = change_allowed("online", names[0]);

	if (r == 0)
		r = change_check_regions(names, count);
	if (r)
		return r;
	r = sd_json_variant_new_array(&regions, NULL, 0);
	for (int i = 0; r >= 0 && i < count; i++)
		r = sd_json_variant_append_arrayb(&regions, SD_JSON_BUILD_STRING(names[i]));
	if (r >= 0)
		/* Without a ratio the daemon uses the one of its configuration. */
		r = sd_json_buildo(
			&parameters, SD_JSON_BUILD_PAIR_VARIANT("regions", regions),
			SD_JSON_BUILD_PAIR_STRING("zone", options->zone),
			SD_JSON_BUILD_PAIR_CONDITION(options->ratio != PLAN_NO_RATIO, "ratio",
						     SD_JSON_BUILD_UNSIGNED(options->ratio)),
			SD_JSON_BUILD_PAIR_BOOLEAN("dryRun", false));
	if (r < 0)
		r = tool_fail_text(names[0], NULL, "cannot online: %s", tier_strerror(r));
	else
		r = ask_daemon("Online", parameters);
	sd_json_variant_unref(regions);
	sd_json_variant_unref(parameters);
	return r;
}

int cmd_online(int argc, char **argv)
{
	struct online_options given = {.zone = "auto", .ratio = PLAN_NO_RATIO};
	const struct tool_option options[] = {
		{"ratio", "PERCENT",
		 "limit of Movable per kernel memory, 301: 3.01 to 1 (default: Ratio=)",
		 TOOL_NUMBER, &given.ratio},
		{"zone", "ZONE", "auto (Movable if the ratio allows it), movable, kernel",
		 TOOL_STRING, &given.zone},
		{"dry-run", NULL, "print the plan and change nothing", TOOL_FLAG, &given.dry_run},
	};
	enum tier_online_zone zone = TIER_ONLINE_AUTO;
	char **names;
	int count;
	int r = tool_parse(argc, argv, options, 3, 1, 32, &names, &count);

	if (r == 0)
		r = plan_parse_zone(argv[0], given.zone, &zone);
	if (r == 0)
		r = plan_check_ratio(argv[0], given.ratio);
	if (r)
		return r;
	return given.dry_run ? plan_locally(names, count, zone, &given)
			     : online_via_daemon(names, count, &given);
}

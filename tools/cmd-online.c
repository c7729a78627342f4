/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-json.h>

#include "client.h"
#include "tool.h"

/*
 * plan, online and offline. A dry run is planned here with the library, from the same snapshot and
 * by the same function that the daemon uses; the real thing is the daemon's, which also looks for
 * a portal in the region first.
 */

static const char *text_of(sd_json_variant *object, const char *key)
{
	sd_json_variant *v = sd_json_variant_by_key(object, key);

	return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : NULL;
}

static uint64_t number_of(sd_json_variant *object, const char *key)
{
	sd_json_variant *v = sd_json_variant_by_key(object, key);

	return v && sd_json_variant_is_unsigned(v) ? sd_json_variant_unsigned(v) : 0;
}

static size_t count_steps(sd_json_variant *plan, const char *region, const char *prefix)
{
	sd_json_variant *steps = sd_json_variant_by_key(plan, "steps");
	size_t count = 0;

	for (size_t i = 0; steps && i < sd_json_variant_elements(steps); i++) {
		sd_json_variant *step = sd_json_variant_by_index(steps, i);
		const char *owner = text_of(step, "region"), *action = text_of(step, "action");

		count += owner && action && strcmp(owner, region) == 0 &&
			 strncmp(action, prefix, strlen(prefix)) == 0;
	}
	return count;
}

/* "region0: 1G would go to Movable", and under it why and in which steps. */
static void print_decision(sd_json_variant *plan, sd_json_variant *decision, bool done)
{
	const char *region = text_of(decision, "region") ?: "?";
	const char *zone = text_of(decision, "zone"), *reason = text_of(decision, "reason") ?: "";
	size_t binds = count_steps(plan, region, "bind-");
	size_t offlines = count_steps(plan, region, "offline");
	char bytes[16];

	tool_bytes(bytes, number_of(decision, "bytes"));
	if (zone)
		printf("%s: %s %s %s\n  %s\n", region, bytes, done ? "is online in" : "would go to",
		       zone, reason);
	else if (offlines > 0)
		printf("%s: %s %s offline\n  %s\n", region, bytes, done ? "is" : "would go",
		       reason);
	else
		printf("%s: %s%s\n", region, binds == 0 ? "nothing to do: " : "", reason);
	if (!done && count_steps(plan, region, "bind-ram") > 0)
		printf("  its dax device would be bound to kmem first\n");
	if (count_steps(plan, region, "bind-devdax") > 0)
		printf("  its dax device %s\n", done ? "is a character device again"
						     : "would become a character device again");
}

/* The same output for a dry run and for what the daemon says that it did. */
static int print_plan(sd_json_variant *plan, bool done)
{
	sd_json_variant *decisions = sd_json_variant_by_key(plan, "decisions");

	if (tool_common.json) {
		sd_json_variant_dump(plan, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, stdout,
				     NULL);
		return TOOL_OK;
	}
	for (size_t i = 0; decisions && i < sd_json_variant_elements(decisions); i++)
		print_decision(plan, sd_json_variant_by_index(decisions, i), done);
	return TOOL_OK;
}

static int print_local(const struct tier_plan *plan)
{
	sd_json_variant *variant = NULL;
	char *text = NULL;
	int r = tier_plan_to_json(plan, &text);

	if (r == 0)
		r = sd_json_parse(text, 0, &variant, NULL, NULL);
	free(text);
	if (r < 0)
		return tool_fail_text("plan", NULL, "cannot print it: %s", tier_strerror(r));
	r = print_plan(variant, false);
	sd_json_variant_unref(variant);
	return r;
}

/* Every changing verb: as root, and never on somebody's dump. */
static int may_change(const char *verb, const char *object)
{
	char next[256];

	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0)
		return tool_usage("%s: a dump cannot be changed; leave --sysroot out or add "
				  "--dry-run",
				  verb);
	if (geteuid() == 0)
		return 0;
	snprintf(next, sizeof(next), "sudo tierctl %s %s", verb, object);
	return tool_fail_text(object, next, "cannot %s: needs root", verb);
}

/* Better said before the daemon is asked, and also when it does not run. */
static int check_regions(char **names, int count)
{
	struct tier_topology *topology = NULL;
	int r = tool_topology(&topology);

	for (int i = 0; r == 0 && i < count; i++)
		if (!tier_topology_region(topology, names[i]))
			r = tool_fail_text(names[i], "see tierctl list regions", "no such region");
	tier_topology_free(topology);
	return r;
}

static int ask_daemon(const char *method, sd_json_variant *parameters)
{
	sd_json_variant *reply = NULL, *plan;
	int r = client_call(method, parameters, &reply);

	if (r == 0) {
		plan = sd_json_variant_by_key(reply, "plan");
		r = print_plan(plan ?: reply, true);
	}
	sd_json_variant_unref(reply);
	return r;
}

struct online_options {
	const char *zone;
	uint64_t ratio;
	bool ratio_given;
	bool dry_run;
};

static int parse_zone(const char *verb, const char *name, enum tier_online_zone *ret)
{
	static const struct {
		const char *name;
		enum tier_online_zone zone;
	} zones[] = {{"auto", TIER_ONLINE_AUTO},
		     {"movable", TIER_ONLINE_MOVABLE},
		     {"kernel", TIER_ONLINE_KERNEL}};

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		if (strcmp(zones[i].name, name) == 0) {
			*ret = zones[i].zone;
			return 0;
		}
	}
	return tool_usage("%s: --zone takes auto, movable or kernel, not \"%s\"", verb, name);
}

static int plan_locally(char **names, int count, enum tier_online_zone zone,
			const struct online_options *options)
{
	struct tier_online_policy policy = {.ratio_percent = (unsigned)options->ratio};
	struct tier_online_request *requests = calloc((size_t)count, sizeof(*requests));
	struct tier_topology *topology = NULL;
	struct tier_plan *plan = NULL;
	struct tier_problem problem;
	int r = 0;

	if (!requests)
		return tool_fail_text("plan", NULL, "out of memory");
	if (!options->ratio_given) {
		struct tier_config *config;

		r = tool_config(&config);
		if (r == 0) {
			policy.ratio_percent = config->ratio_percent;
			tier_config_free(config);
		}
	}
	for (int i = 0; i < count; i++) {
		requests[i].zone = zone;
		snprintf(requests[i].region, sizeof(requests[i].region), "%s", names[i]);
	}
	policy.requests = requests;
	policy.request_count = (size_t)count;
	if (r == 0)
		r = tool_topology(&topology);
	if (r == 0) {
		if (tier_plan_online(topology, &policy, &plan, &problem) != 0)
			r = tool_fail(&problem);
		else
			r = print_local(plan);
	}
	tier_plan_free(plan);
	tier_topology_free(topology);
	free(requests);
	return r;
}

static int online_via_daemon(char **names, int count, const struct online_options *options)
{
	sd_json_variant *regions = NULL, *parameters = NULL;
	int r = may_change("online", names[0]);

	if (r == 0)
		r = check_regions(names, count);
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
			SD_JSON_BUILD_PAIR_CONDITION(options->ratio_given, "ratio",
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

static int run_online(int argc, char **argv, bool plan_only)
{
	struct online_options given = {.zone = "auto", .ratio = UINT64_MAX};
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
	int r = tool_parse(argc, argv, options, plan_only ? 2 : 3, 1, 32, &names, &count);

	if (r == 0)
		r = parse_zone(argv[0], given.zone, &zone);
	if (r)
		return r;
	given.ratio_given = given.ratio != UINT64_MAX;
	if (given.ratio_given && given.ratio > 100000)
		return tool_usage("%s: --ratio takes a percentage up to 100000, not %" PRIu64,
				  argv[0], given.ratio);
	return plan_only || given.dry_run ? plan_locally(names, count, zone, &given)
					  : online_via_daemon(names, count, &given);
}

int cmd_plan(int argc, char **argv)
{
	return run_online(argc, argv, true);
}

int cmd_online(int argc, char **argv)
{
	return run_online(argc, argv, false);
}

static int plan_offline_locally(const char *region, bool to_devdax)
{
	struct tier_topology *topology;
	struct tier_plan *plan;
	struct tier_problem problem;
	int r = tool_topology(&topology);

	if (r)
		return r;
	if (tier_plan_offline(topology, region, to_devdax, &plan, &problem) != 0) {
		r = tool_fail(&problem);
	} else {
		r = print_local(plan);
		tier_plan_free(plan);
	}
	tier_topology_free(topology);
	return r;
}

int cmd_offline(int argc, char **argv)
{
	bool to_devdax = false, dry_run = false;
	const struct tool_option options[] = {
		{"to-devdax", NULL, "then make the dax device a character device again", TOOL_FLAG,
		 &to_devdax},
		{"dry-run", NULL, "print the plan and change nothing", TOOL_FLAG, &dry_run},
	};
	sd_json_variant *parameters = NULL;
	char **names;
	int count;
	int r = tool_parse(argc, argv, options, 2, 1, 1, &names, &count);

	if (r)
		return r;
	if (dry_run)
		return plan_offline_locally(names[0], to_devdax);
	r = may_change("offline", names[0]);
	if (r == 0)
		r = check_regions(names, 1);
	if (r)
		return r;
	r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("region", names[0]),
			   SD_JSON_BUILD_PAIR_BOOLEAN("toDevdax", to_devdax));
	r = r < 0 ? tool_fail_text(names[0], NULL, "cannot offline: %s", tier_strerror(r))
		  : ask_daemon("Offline", parameters);
	sd_json_variant_unref(parameters);
	return r;
}

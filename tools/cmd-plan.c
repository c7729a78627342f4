/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-print.h"
#include "plan-why.h"

struct options {
	const char *zone, *what_if;
	uint64_t ratio;
	struct tool_strings added;
	unsigned low, high;
	bool whole; /* no region named: all of the machine, by the configuration */
};

struct answer {
	struct plan_input input;
	struct kernel_rule rule;
	struct tier_plan *plan;
	struct tier_what_if *ranges;
	size_t range_count;
};

static void answer_done(struct answer *answer)
{
	tier_what_if_free(answer->ranges, answer->range_count);
	tier_plan_free(answer->plan);
	kernel_rule_done(&answer->rule);
	plan_input_done(&answer->input);
}

static int think(struct answer *answer, const struct options *options, char **names, int count,
		 enum tier_online_zone zone)
{
	struct plan_input *input = &answer->input;
	struct tier_problem problem;
	int r = plan_input_read(input, options->ratio);

	if (r == 0)
		r = options->whole ? plan_input_rules(input)
				   : plan_input_regions(input, names, count, zone);
	if (r == 0)
		r = plan_input_arrivals(input, "plan", &options->added);
	if (r)
		return r;
	if (tier_plan_online(input->topology, &input->policy, &answer->plan, &problem) != 0)
		return tool_fail(&problem);
	if (options->what_if &&
	    tier_plan_what_if(input->topology, &input->policy, options->low, options->high,
			      &answer->ranges, &answer->range_count, &problem) != 0)
		return tool_fail(&problem);
	if (options->added.count > 0)
		kernel_rule_read(&answer->rule, input->topology);
	return 0;
}

static int print_text(const struct answer *answer, const struct options *options)
{
	const struct plan_input *input = &answer->input;
	char movable[16], kernel[16];
	int r;

	if (options->whole)
		printf("Now: %s movable against %s kernel; allowed %u %%\n",
		       tool_bytes(movable, answer->plan->movable_bytes),
		       tool_bytes(kernel, answer->plan->kernel_bytes), input->policy.ratio_percent);
	if (options->whole && input->policy.request_count == 0)
		printf("No CXL regions.\n");
	r = plan_print_local(answer->plan);
	for (size_t i = 0; r == 0 && options->whole && i < input->policy.request_count; i++)
		if (input->requests[i].zone == TIER_ONLINE_NO) {
			printf("Where one that is left would go, were it asked for: tierctl "
			       "explain %s\n",
			       input->requests[i].region);
			break;
		}
	for (size_t i = 0; r == 0 && i < input->policy.arrival_count; i++) {
		printf("\nThe kernel by itself would put %s, should it come now, into:\n",
		       input->arrivals[i].name);
		kernel_rule_print(&answer->rule, input->topology, NULL, &input->arrivals[i]);
	}
	if (r == 0 && options->what_if) {
		printf("\nAt another ratio:\n");
		what_if_print(input, answer->ranges, answer->range_count, -1);
	}
	if (r == 0 && options->whole)
		bearing_print(input->topology, input->policy.ratio_percent);
	return r;
}

/* Adds {KEY: value}, and drops the reference to it. */
static int add(sd_json_variant **object, const char *key, int code, sd_json_variant *value)
{
	if (code >= 0)
		code = sd_json_variant_set_field(object, key, value);
	sd_json_variant_unref(value);
	return code;
}

static int arrivals_json(const struct answer *answer, sd_json_variant **ret)
{
	const struct plan_input *input = &answer->input;
	sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < input->policy.arrival_count; i++) {
		const struct tier_online_arrival *arrival = &input->arrivals[i];
		sd_json_variant *rule = NULL;

		r = kernel_rule_json(&answer->rule, input->topology, NULL, arrival, &rule);
		if (r >= 0)
			r = sd_json_variant_append_arraybo(
				&array, SD_JSON_BUILD_PAIR_STRING("region", arrival->name),
				SD_JSON_BUILD_PAIR_UNSIGNED("bytes", arrival->bytes),
				SD_JSON_BUILD_PAIR_VARIANT("kernel_rule", rule));
		sd_json_variant_unref(rule);
	}
	if (r < 0)
		sd_json_variant_unref(array);
	else
		*ret = array;
	return r;
}

static int print_json(const struct answer *answer, const struct options *options)
{
	sd_json_variant *whole = NULL, *part = NULL;
	int r = plan_to_variant(answer->plan, &whole), code = 0;

	if (r)
		return r;
	if (options->what_if) {
		code = what_if_json(&answer->input, answer->ranges, answer->range_count, &part);
		code = add(&whole, "what_if", code, part);
	}
	part = NULL;
	if (code >= 0 && options->added.count > 0) {
		code = arrivals_json(answer, &part);
		code = add(&whole, "arrivals", code, part);
	}
	part = NULL;
	if (code >= 0 && options->whole) {
		code = bearing_json(answer->input.topology, &part);
		code = add(&whole, "bearing", code, part);
	}
	r = code < 0 ? tool_fail_text("plan", NULL, "cannot print it: %s", tier_strerror(code))
		     : plan_print(whole, false);
	sd_json_variant_unref(whole);
	return r;
}

int cmd_plan(int argc, char **argv)
{
	struct options given = {.ratio = PLAN_NO_RATIO};
	const struct tool_option options[] = {
		{"ratio", "PERCENT",
		 "limit of Movable per kernel memory, 301: 3.01 to 1 (default: Ratio=)",
		 TOOL_NUMBER, &given.ratio},
		{"zone", "ZONE",
		 "of the named regions: auto (Movable if the ratio allows it), movable, kernel",
		 TOOL_STRING, &given.zone},
		{"what-if", "LOW..HIGH", "what would change at ratios from LOW to HIGH percent",
		 TOOL_STRING, &given.what_if},
		{"add", "SIZE[@nodeN]", "what happens when such a device comes next; repeatable",
		 TOOL_STRINGS, &given.added},
	};
	enum tier_online_zone zone = TIER_ONLINE_AUTO;
	struct answer answer = {};
	char **names;
	int count;
	int r = tool_parse(argc, argv, options, 4, 0, 32, &names, &count);

	if (r == 0)
		r = plan_check_ratio(argv[0], given.ratio);
	if (r == 0 && given.what_if)
		r = plan_parse_range(argv[0], given.what_if, &given.low, &given.high);
	if (r == 0 && given.zone)
		r = plan_parse_zone(argv[0], given.zone, &zone);
	if (r)
		return r;
	given.whole = count == 0;
	if (given.whole && given.zone)
		return tool_usage("plan: --zone needs a REGION; without one the configuration says "
				  "what is wanted");
	r = think(&answer, &given, names, count, zone);
	if (r == 0)
		r = tool_common.json ? print_json(&answer, &given) : print_text(&answer, &given);
	answer_done(&answer);
	return r;
}

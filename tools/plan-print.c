/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "plan-print.h"
#include "tool.h"

static size_t count_steps(sd_json_variant *plan, const char *region, const char *prefix)
{
	sd_json_variant *steps = sd_json_variant_by_key(plan, "steps");
	size_t count = 0;

	for (size_t i = 0; steps && i < sd_json_variant_elements(steps); i++) {
		sd_json_variant *step = sd_json_variant_by_index(steps, i);
		const char *owner = json_text(step, "region"), *action = json_text(step, "action");

		count += strcmp(owner, region) == 0 && strncmp(action, prefix, strlen(prefix)) == 0;
	}
	return count;
}

/* "region0: 1G would go to Movable", and under it why and in which steps. */
static void print_decision(sd_json_variant *plan, sd_json_variant *decision, bool done)
{
	const char *region = json_text(decision, "region"), *zone = json_text(decision, "zone");
	const char *reason = json_text(decision, "reason"), *next = json_text(decision, "next");
	size_t binds = count_steps(plan, region, "bind-");
	size_t offlines = count_steps(plan, region, "offline");
	char bytes[16];

	tool_bytes(bytes, json_number(decision, "bytes"));
	if (json_flag(decision, "refused"))
		printf("%s: refused: %s%s%s\n", region, reason, next[0] ? "; " : "", next);
	else if (zone[0] && json_flag(decision, "arrival"))
		printf("%s: %s that comes would go to %s\n  %s\n", region, bytes, zone, reason);
	else if (zone[0])
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
int plan_print(sd_json_variant *plan, bool done)
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

int plan_to_variant(const struct tier_plan *plan, sd_json_variant **ret)
{
	char *text = NULL;
	int r = tier_plan_to_json(plan, &text);

	if (r == 0)
		r = sd_json_parse(text, 0, ret, NULL, NULL);
	free(text);
	return r < 0 ? tool_fail_text("plan", NULL, "cannot print it: %s", tier_strerror(r)) : 0;
}

int plan_print_local(const struct tier_plan *plan)
{
	sd_json_variant *variant = NULL;
	int r = plan_to_variant(plan, &variant);

	if (r == 0)
		r = plan_print(variant, false);
	sd_json_variant_unref(variant);
	return r;
}

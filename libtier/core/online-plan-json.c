/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include "online-plan.h"

const char *tier_step_action_name(enum tier_step_action action)
{
	static const char *const names[] = {
		[TIER_STEP_BIND_RAM] = "bind-ram",
		[TIER_STEP_ONLINE_MOVABLE] = "online-movable",
		[TIER_STEP_ONLINE_KERNEL] = "online-kernel",
		[TIER_STEP_OFFLINE] = "offline",
		[TIER_STEP_BIND_DEVDAX] = "bind-devdax",
	};

	return (size_t)action < ARRAY_SIZE(names) ? names[action] : "unknown";
}

static const char *const zone_names[] = {
	[TIER_ONLINE_AUTO] = "auto",
	[TIER_ONLINE_MOVABLE] = "movable",
	[TIER_ONLINE_KERNEL] = "kernel",
	[TIER_ONLINE_NO] = "no",
};

const char *tier_online_zone_name(enum tier_online_zone zone)
{
	return (size_t)zone < ARRAY_SIZE(zone_names) ? zone_names[zone] : "unknown";
}

int tier_online_zone_parse(const char *name, enum tier_online_zone *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(zone_names); i++)
		if (streq(name, zone_names[i])) {
			*ret = (enum tier_online_zone)i;
			return 0;
		}
	return -EINVAL;
}

static int append_decision(sd_json_variant **array, const struct tier_decision *d)
{
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_STRING("region", d->region),
		SD_JSON_BUILD_PAIR_STRING("wanted", tier_online_zone_name(d->wanted)),
		JSON_ZONE("zone", d->zone), SD_JSON_BUILD_PAIR_BOOLEAN("refused", d->code != 0),
		SD_JSON_BUILD_PAIR_BOOLEAN("arrival", d->arrival),
		SD_JSON_BUILD_PAIR_UNSIGNED("bytes", d->bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("kernel_bytes_before", d->kernel_bytes_before),
		SD_JSON_BUILD_PAIR_UNSIGNED("movable_bytes_before", d->movable_bytes_before),
		SD_JSON_BUILD_PAIR_UNSIGNED("ratio_percent_after", d->ratio_percent_after),
		SD_JSON_BUILD_PAIR_STRING("reason", d->reason), JSON_TEXT("next", d->next));
}

static int append_step(sd_json_variant **array, const struct tier_step *s)
{
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_STRING("action", tier_step_action_name(s->action)),
		SD_JSON_BUILD_PAIR_STRING("region", s->region),
		SD_JSON_BUILD_PAIR_STRING("dax", s->dax), JSON_U64("block", s->block));
}

int tier_plan_to_json(const struct tier_plan *plan, char **ret_json)
{
	_cleanup_json_ sd_json_variant *decisions = NULL, *steps = NULL, *whole = NULL;
	int r = sd_json_variant_new_array(&decisions, NULL, 0);

	if (r >= 0)
		r = sd_json_variant_new_array(&steps, NULL, 0);
	for (size_t i = 0; r >= 0 && i < plan->decision_count; i++)
		r = append_decision(&decisions, &plan->decisions[i]);
	for (size_t i = 0; r >= 0 && i < plan->step_count; i++)
		r = append_step(&steps, &plan->steps[i]);
	if (r >= 0)
		r = sd_json_buildo(&whole, SD_JSON_BUILD_PAIR_VARIANT("decisions", decisions),
				   SD_JSON_BUILD_PAIR_VARIANT("steps", steps));
	return r < 0 ? r : json_format(whole, ret_json);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-input.h"

int plan_check_ratio(const char *verb, uint64_t ratio)
{
	if (ratio == PLAN_NO_RATIO || ratio <= TIER_RATIO_MAX)
		return 0;
	return tool_usage("%s: --ratio takes a percentage up to %d, not %" PRIu64, verb,
			  TIER_RATIO_MAX, ratio);
}

int plan_parse_zone(const char *verb, const char *name, enum tier_online_zone *ret)
{
	/* "no" is the configuration's word. */
	if (tier_online_zone_parse(name, ret) == 0 && *ret != TIER_ONLINE_NO)
		return 0;
	return tool_usage("%s: --zone takes auto, movable or kernel, not \"%s\"", verb, name);
}

static const char *parse_percent(const char *text, unsigned *ret)
{
	unsigned value = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9' && value <= TIER_RATIO_MAX; text++)
		value = value * 10 + (unsigned)(*text - '0');
	*ret = value;
	return value <= TIER_RATIO_MAX ? text : NULL;
}

int plan_parse_range(const char *verb, const char *text, unsigned *ret_low, unsigned *ret_high)
{
	const char *end = parse_percent(text, ret_low);

	end = end && strncmp(end, "..", 2) == 0 ? parse_percent(end + 2, ret_high) : NULL;
	if (!end || *end)
		return tool_usage("%s: --what-if takes two percentages up to %d such as 200..500, "
				  "not \"%s\"",
				  verb, TIER_RATIO_MAX, text);
	if (*ret_low > *ret_high)
		return tool_usage("%s: --what-if %s: the lower one comes first: %u..%u", verb, text,
				  *ret_high, *ret_low);
	return 0;
}

int plan_input_read(struct plan_input *input, uint64_t ratio)
{
	int r = tool_config(&input->config);

	if (r)
		return r;
	input->policy.ratio_percent =
		ratio == PLAN_NO_RATIO ? input->config->ratio_percent : (unsigned)ratio;
	return tool_topology(&input->topology);
}

int plan_input_regions(struct plan_input *input, char **names, int count,
		       enum tier_online_zone zone)
{
	input->requests = calloc((size_t)count + 1, sizeof(*input->requests));
	if (!input->requests)
		return tool_fail_text("plan", NULL, "out of memory");
	for (int i = 0; i < count; i++) {
		struct tier_online_request *request = &input->requests[i];

		request->zone = zone;
		request->weight = tier_config_weight(input->config, input->topology, names[i]);
		snprintf(request->region, sizeof(request->region), "%s", names[i]);
	}
	input->policy.requests = input->requests;
	input->policy.request_count = (size_t)count;
	return 0;
}

int plan_input_rules(struct plan_input *input)
{
	if (tier_config_requests(input->config, input->topology, &input->requests,
				 &input->policy.request_count) < 0)
		return tool_fail_text("plan", NULL, "out of memory");
	input->policy.requests = input->requests;
	input->policy.keep_going = true;
	return 0;
}

/* "16G", "16G@node3" */
static int parse_arrival(const char *verb, const char *text, struct tier_online_arrival *ret)
{
	const char *at = strchr(text, '@');
	uint64_t bytes, node = 0;
	char size[32];
	bool good;

	snprintf(size, sizeof(size), "%.*s", (int)(at ? at - text : 31), text);
	good = tool_parse_number(size, true, &bytes) == 0 && bytes > 0;
	if (at)
		good = good && strncmp(at, "@node", 5) == 0 &&
		       tool_parse_number(at + 5, false, &node) == 0 && node < 1024;
	/* As much as fits into 52 bits of address. */
	if (!good || bytes > UINT64_C(1) << 52)
		return tool_usage("%s: --add takes a size and a node such as 16G or 16G@node3, not "
				  "\"%s\"",
				  verb, text);
	ret->bytes = bytes;
	ret->node = at ? (int)node : TIER_ABSENT_NODE;
	return 0;
}

int plan_input_arrivals(struct plan_input *input, const char *verb,
			const struct tool_strings *added)
{
	int r = 0;

	input->arrivals = calloc(added->count + 1, sizeof(*input->arrivals));
	if (!input->arrivals)
		return tool_fail_text("plan", NULL, "out of memory");
	for (size_t i = 0; r == 0 && i < added->count; i++) {
		struct tier_online_arrival *arrival = &input->arrivals[i];

		r = parse_arrival(verb, added->values[i], arrival);
		snprintf(arrival->name, sizeof(arrival->name), "new%zu", i);
	}
	input->policy.arrivals = input->arrivals;
	input->policy.arrival_count = added->count;
	return r;
}

void plan_input_done(struct plan_input *input)
{
	tier_topology_free(input->topology);
	tier_config_free(input->config);
	free(input->requests);
	free(input->arrivals);
}

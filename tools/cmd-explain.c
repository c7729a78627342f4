/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "explain-process.h"
#include "plan-why.h"

/*
 * Why a region is where it is, or where it would go. One that is online is explained as if it came now:
 * in a snapshot in which its memory is not online.
 */

struct explanation {
	struct plan_input input;
	struct kernel_rule rule;
	struct tier_plan *plan;
	struct tier_what_if *ranges;
	size_t range_count;
	const struct tier_region *region;
	const struct tier_decision *decision;
	struct tier_online_request wanted; /* by the configuration */
	int place;			   /* among the requests */
	size_t blocks, online;
	enum tier_zone zone; /* of what is online */
};

static void explanation_done(struct explanation *e)
{
	tier_what_if_free(e->ranges, e->range_count);
	tier_plan_free(e->plan);
	kernel_rule_done(&e->rule);
	plan_input_done(&e->input);
}

static void take_off(struct tier_topology *topology, const struct tier_block *block)
{
	for (size_t i = 0; i < topology->node_count; i++) {
		struct tier_node *node = &topology->nodes[i];
		uint64_t *sum = block->zone == TIER_ZONE_MOVABLE ? &node->present_movable_bytes
								 : &node->present_kernel_bytes;

		if (node->id == block->node && *sum != TIER_UNKNOWN_U64 &&
		    *sum >= topology->block_bytes)
			*sum -= topology->block_bytes;
	}
}

/* Counts the region's blocks, and takes those offline, in the snapshot, that are online. */
static void pretend_offline(struct explanation *e)
{
	struct tier_topology *topology = e->input.topology;
	const struct tier_dax *dax = NULL;

	while ((dax = tier_topology_region_dax(topology, e->region->name, dax))) {
		size_t count;
		const struct tier_block *first =
			tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);

		for (size_t i = 0; dax->mode == TIER_DAX_SYSTEM_RAM && i < count; i++) {
			/* The snapshot is this program's own. */
			struct tier_block *block = &topology->blocks[first - topology->blocks + i];

			e->blocks++;
			if (block->state == TIER_BLOCK_OFFLINE)
				continue;
			e->zone = e->online == 0 || e->zone == block->zone ? block->zone
									   : TIER_ZONE_MIXED;
			e->online++;
			take_off(topology, block);
			block->state = TIER_BLOCK_OFFLINE;
			block->zone = TIER_ZONE_NONE;
			block->can_movable = block->can_kernel = true;
		}
	}
}

/* As the daemon would plan it; one that is left alone by itself, as tierctl online would. */
static int request(struct explanation *e)
{
	struct plan_input *input = &e->input;
	int r = plan_input_rules(input);

	for (size_t i = 0; r == 0 && i < input->policy.request_count; i++)
		if (strcmp(input->requests[i].region, e->region->name) == 0) {
			e->wanted = input->requests[i];
			e->place = (int)i;
		}
	if (r == 0 && e->wanted.zone == TIER_ONLINE_NO) {
		input->requests[0] = e->wanted;
		input->requests[0].zone = TIER_ONLINE_AUTO;
		input->policy.request_count = 1;
		e->place = 0;
	}
	return r;
}

static int think(struct explanation *e, const char *name, uint64_t ratio)
{
	struct plan_input *input = &e->input;
	struct tier_problem problem;
	int r = plan_input_read(input, ratio);

	if (r)
		return r;
	e->region = tier_topology_region(input->topology, name);
	if (!e->region)
		return tool_fail_text(name, "see tierctl list regions", "no such region");
	kernel_rule_read(&e->rule, input->topology);
	pretend_offline(e);
	r = request(e);
	if (r)
		return r;
	if (tier_plan_online(input->topology, &input->policy, &e->plan, &problem) != 0 ||
	    tier_plan_what_if(input->topology, &input->policy, 0, TIER_RATIO_MAX, &e->ranges,
			      &e->range_count, &problem) != 0)
		return tool_fail(&problem);
	for (size_t i = 0; i < e->plan->decision_count; i++)
		if (strcmp(e->plan->decisions[i].region, name) == 0)
			e->decision = &e->plan->decisions[i];
	return 0;
}

/* Section, its line, and what it says. */
static void rule_text(const struct explanation *e, char text[static 256])
{
	const struct tier_config *config = e->input.config;
	char where[96];

	if (strncmp(e->wanted.rule, "[Portal ", 8) == 0) {
		snprintf(text, 256, "%s names it: never onlined as a whole", e->wanted.rule);
		return;
	}
	snprintf(text, 256, "%s Online=%s (%s), Weight=%u", e->wanted.rule,
		 tier_online_zone_name(e->wanted.zone),
		 tier_config_where(config, e->wanted.rule, "Online", where), e->wanted.weight);
}

static void print_state(const struct explanation *e)
{
	const struct tier_topology *topology = e->input.topology;
	const struct tier_node *node = tier_topology_node(topology, e->region->target_node);
	char bytes[16], block[16];

	printf("%s: %s", e->region->name, tool_bytes(bytes, e->region->bytes));
	if (e->region->target_node >= 0)
		printf(" on node %d%s", e->region->target_node,
		       node && !node->has_cpu ? ", which has no CPUs" : "");
	if (e->online > 0)
		printf("; %zu of its %zu memory blocks of %s are online, in %s\n", e->online,
		       e->blocks, tool_bytes(block, topology->block_bytes),
		       tier_zone_name(e->zone));
	else
		printf("; offline\n");
	if (e->zone == TIER_ZONE_MOVABLE)
		printf("  It can be taken offline: what lies in Movable can be moved away.\n");
	else if (e->online > 0)
		printf("  It feeds the kernel's own allocations, which cannot be moved away: "
		       "expect "
		       "that it stays online.\n");
}

static void print_sum(const struct explanation *e)
{
	const struct tier_decision *d = e->decision;
	unsigned ratio = e->input.policy.ratio_percent;
	uint64_t allowed, kernel = d->kernel_bytes_before, movable = d->movable_bytes_before;
	char text[16];

	if (d->zone == TIER_ZONE_NORMAL)
		kernel += d->bytes;
	else if (d->zone == TIER_ZONE_MOVABLE)
		movable += d->bytes;
	allowed = (uint64_t)((unsigned __int128)kernel * ratio / 100);
	printf("\nThe sum, with it:\n");
	printf("  kernel zones  %8s  what the kernel's own allocations can use, on any node\n",
	       tool_bytes(text, kernel));
	printf("  allowed       %8s  %u %% of that\n", tool_bytes(text, allowed), ratio);
	printf("  Movable       %8s  with CMA\n", tool_bytes(text, movable));
	if (allowed >= movable)
		printf("  left          %8s  for what comes next\n",
		       tool_bytes(text, allowed - movable));
	else
		printf("  too much      %8s\n", tool_bytes(text, movable - allowed));
}

static int print_text(const struct explanation *e)
{
	const struct tier_decision *d = e->decision;
	char text[256], bytes[16];

	print_state(e);
	rule_text(e, text);
	printf("\nRule: %s\n", text);
	if (e->wanted.zone == TIER_ONLINE_NO)
		printf("  Nothing onlines it by itself. With tierctl online:\n");
	if (d->code)
		printf("%s refused: %s%s%s\n",
		       e->online > 0 ? "If it came now, it would be" : "It is", d->reason,
		       d->next[0] ? "; " : "", d->next);
	else
		printf("%s go to %s: %s\n", e->online > 0 ? "If it came now, it would" : "It would",
		       tier_zone_name(d->zone), tool_bytes(bytes, d->bytes));
	if (!d->code)
		printf("  %s\n", d->reason);
	print_sum(e);
	printf("\nAt another ratio:\n");
	what_if_print(&e->input, e->ranges, e->range_count, e->place);
	printf("\nThe kernel by itself would put it into:\n");
	kernel_rule_print(&e->rule, e->input.topology, e->region->name, NULL);
	bearing_print(e->input.topology, e->input.policy.ratio_percent);
	return TOOL_OK;
}

static int build_json(const struct explanation *e, sd_json_variant **ret)
{
	const struct tier_decision *d = e->decision;
	sd_json_variant *ranges = NULL, *rule = NULL, *bearing = NULL;
	char where[96];
	int r = what_if_json(&e->input, e->ranges, e->range_count, &ranges);

	if (r >= 0)
		r = kernel_rule_json(&e->rule, e->input.topology, e->region->name, NULL, &rule);
	if (r >= 0)
		r = bearing_json(e->input.topology, &bearing);
	if (r >= 0)
		r = sd_json_buildo(
			ret, SD_JSON_BUILD_PAIR_STRING("region", e->region->name),
			SD_JSON_BUILD_PAIR_UNSIGNED("bytes", d->bytes),
			SD_JSON_BUILD_PAIR_INTEGER("node", e->region->target_node),
			SD_JSON_BUILD_PAIR_UNSIGNED("blocks", e->blocks),
			SD_JSON_BUILD_PAIR_UNSIGNED("online_blocks", e->online),
			SD_JSON_BUILD_PAIR_STRING("online_zone", tier_zone_name(e->zone)),
			SD_JSON_BUILD_PAIR_STRING("rule", e->wanted.rule),
			SD_JSON_BUILD_PAIR_STRING("rule_where",
						  tier_config_where(e->input.config, e->wanted.rule,
								    "Online", where)),
			SD_JSON_BUILD_PAIR_STRING("wanted", tier_online_zone_name(e->wanted.zone)),
			SD_JSON_BUILD_PAIR_UNSIGNED("weight", e->wanted.weight),
			SD_JSON_BUILD_PAIR_STRING("zone", tier_zone_name(d->zone)),
			SD_JSON_BUILD_PAIR_BOOLEAN("refused", d->code != 0),
			SD_JSON_BUILD_PAIR_STRING("reason", d->reason),
			SD_JSON_BUILD_PAIR_STRING("next", d->next),
			SD_JSON_BUILD_PAIR_UNSIGNED("ratio_percent", e->input.policy.ratio_percent),
			SD_JSON_BUILD_PAIR_UNSIGNED("ratio_percent_after", d->ratio_percent_after),
			SD_JSON_BUILD_PAIR_UNSIGNED("kernel_bytes_before", d->kernel_bytes_before),
			SD_JSON_BUILD_PAIR_UNSIGNED("movable_bytes_before",
						    d->movable_bytes_before),
			SD_JSON_BUILD_PAIR_VARIANT("what_if", ranges),
			SD_JSON_BUILD_PAIR_VARIANT("kernel_rule", rule),
			SD_JSON_BUILD_PAIR_VARIANT("bearing", bearing));
	sd_json_variant_unref(ranges);
	sd_json_variant_unref(rule);
	sd_json_variant_unref(bearing);
	return r;
}

static int print_json(const struct explanation *e)
{
	sd_json_variant *whole = NULL;
	int r = build_json(e, &whole);

	if (r >= 0)
		r = sd_json_variant_dump(whole, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
					 stdout, NULL);
	sd_json_variant_unref(whole);
	return r < 0 ? tool_fail_text(e->region->name, NULL, "cannot print it: %s",
				      tier_strerror(r))
		     : TOOL_OK;
}

int cmd_explain(int argc, char **argv)
{
	struct explanation e = {};
	uint64_t ratio = PLAN_NO_RATIO;
	const struct tool_option options[] = {
		{"ratio", "PERCENT",
		 "limit of Movable per kernel memory, 301: 3.01 to 1 (default: Ratio=)",
		 TOOL_NUMBER, &ratio},
	};
	char **names;
	int r = tool_parse(argc, argv, options, 1, 1, 1, &names, NULL);

	if (r == 0)
		r = plan_check_ratio(argv[0], ratio);
	if (r)
		return r;
	if (names[0][strspn(names[0], "0123456789")] == '\0')
		return explain_process(names[0]);
	r = think(&e, names[0], ratio);
	if (r == 0)
		r = tool_common.json ? print_json(&e) : print_text(&e);
	explanation_done(&e);
	return r;
}

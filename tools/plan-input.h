/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_PLAN_INPUT_H
#define TIERCTL_PLAN_INPUT_H

#include "tool.h"

/* What plan, explain and a dry run of online plan with: machine, configuration, policy. */
struct plan_input {
	struct tier_topology *topology;
	struct tier_config *config;
	struct tier_online_request *requests;
	struct tier_online_arrival *arrivals;
	struct tier_online_policy policy; /* borrows both */
};

/* A value of --ratio that was not given. */
#define PLAN_NO_RATIO UINT64_MAX

/* Each returns 0, or complains and returns TOOL_FAILED or TOOL_USAGE. */
int plan_check_ratio(const char *verb, uint64_t ratio);
int plan_parse_zone(const char *verb, const char *name, enum tier_online_zone *ret);
int plan_parse_range(const char *verb, const char *text, unsigned *ret_low, unsigned *ret_high);
/* Without a ratio that of the configuration. */
int plan_input_read(struct plan_input *input, uint64_t ratio);
/* Requests: the regions of a command line, or whatever the configuration wants. */
int plan_input_regions(struct plan_input *input, char **names, int count,
		       enum tier_online_zone zone);
int plan_input_rules(struct plan_input *input);
/* SIZE[@nodeN] each. */
int plan_input_arrivals(struct plan_input *input, const char *verb,
			const struct tool_strings *added);
void plan_input_done(struct plan_input *input);

#endif

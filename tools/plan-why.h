/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_PLAN_WHY_H
#define TIERCTL_PLAN_WHY_H

#include <systemd/sd-json.h>

#include "plan-input.h"

/* What plan and explain say besides the decisions. */

/* The kernel's own rule, under three policies: the one that is set, and auto-movable of both kinds. */
struct kernel_rule {
	struct tier_zoning *zoning; /* NULL: the state cannot be read, problem says why */
	struct tier_zoning_policy set;
	struct tier_problem problem;
};

void kernel_rule_read(struct kernel_rule *rule, const struct tier_topology *topology);
void kernel_rule_done(struct kernel_rule *rule);
/* One line for each policy, with an indent of two; @arrival or the name of a region. */
void kernel_rule_print(const struct kernel_rule *rule, const struct tier_topology *topology,
		       const char *region, const struct tier_online_arrival *arrival);
int kernel_rule_json(const struct kernel_rule *rule, const struct tier_topology *topology,
		     const char *region, const struct tier_online_arrival *arrival,
		     sd_json_variant **ret);

/* Which ratio the machine bears, by what its kernel uses now. */
void bearing_print(const struct tier_topology *topology, unsigned ratio_percent);
/* NULL if it cannot be told. */
int bearing_json(const struct tier_topology *topology, sd_json_variant **ret);

/* Ranges of ratios, with what changes; of one request, or of all (-1). */
void what_if_print(const struct plan_input *input, const struct tier_what_if *ranges, size_t count,
		   int only);
int what_if_json(const struct plan_input *input, const struct tier_what_if *ranges, size_t count,
		 sd_json_variant **ret);

#endif

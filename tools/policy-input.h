/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_POLICY_INPUT_H
#define TIERCTL_POLICY_INPUT_H

/* What the verbs about policies of cgroups and processes share. */

#include "place-input.h"

struct policy_input {
	struct place_machine machine;
	struct tier_tiering_nodes nodes; /* with and without processors, as far as there are any */
	struct tier_problem tiering; /* why Tier=auto does not move pages between them; or empty */
	struct tier_share_groups *groups;
	struct tier_problem ignored; /* a policy that does not count; or empty */
};

/* Returns 0; TOOL_FAILED after saying why. */
int policy_input_read(struct policy_input *ret);
void policy_input_done(struct policy_input *input);
#define _cleanup_policy_ __attribute__((cleanup(policy_input_done)))

/* "/system.slice/db.service", "process 123 (python3)": printable. */
const char *policy_group_name(const struct tier_share_group *group, char *text, size_t size);

#endif

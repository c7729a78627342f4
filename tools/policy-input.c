/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy-input.h"

int policy_input_read(struct policy_input *ret)
{
	struct policy_input input = {};
	struct tier_tiering_sample sample = {};
	struct tier_problem problem = {};
	enum tier_mechanism by;
	int r;

	if (!place_is_live())
		return tool_fail_text(tool_common.sysroot, NULL,
				      "is a dump, which has no processes");
	r = place_machine_read(&input.machine);
	if (r)
		return r;
	by = input.machine.config->tiering_by == TIER_TIERING_BY_IDLE ? TIER_MECHANISM_IDLE
								      : TIER_MECHANISM_DAMON;
	if (tier_tiering_nodes(input.machine.topology, by, &input.nodes, &input.tiering) != 0)
		for (size_t i = 0; i < input.machine.topology->node_count; i++) {
			const struct tier_node *node = &input.machine.topology->nodes[i];
			uint64_t bit = node->id < 64 ? UINT64_C(1) << node->id : 0;

			if (node->has_cpu)
				input.nodes.fast |= bit;
			else if (node->has_memory)
				input.nodes.slow |= bit;
		}
	else
		input.tiering = (struct tier_problem){};
	r = tier_tiering_sample_read(&input.nodes, &sample, &problem);
	if (r == 0)
		r = tier_share_groups_read(input.machine.config, &input.nodes,
					   sample.fast_total_bytes, true, &input.groups,
					   &input.ignored);
	if (r) {
		policy_input_done(&input);
		return tool_fail(problem.text[0] ? &problem : &input.ignored);
	}
	*ret = input;
	return 0;
}

void policy_input_done(struct policy_input *input)
{
	input->groups = tier_share_groups_free(input->groups);
	place_machine_done(&input->machine);
}

static void read_name(pid_t pid, char name[static 32])
{
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, 32, file))
		strcpy(name, "?");
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = '\0';
}

const char *policy_group_name(const struct tier_share_group *group, char *text, size_t size)
{
	char name[32];

	if (group->pid) {
		read_name(group->pid, name);
		snprintf(text, size, "process %d (%s)", group->pid, name);
	} else {
		snprintf(text, size, "%s", group->path);
	}
	return tool_printable(text);
}

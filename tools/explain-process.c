/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include <systemd/sd-json.h>

#include "explain-process.h"

static const char *because(enum tier_tiering_stay stay)
{
	static const char *const texts[] = {
		[TIER_STAY_NOT] = "may be moved",
		[TIER_STAY_POLICY] = "stays: a memory policy says where it is to be",
		[TIER_STAY_HUGETLB] = "stays: huge pages of hugetlbfs",
		[TIER_STAY_SHARED] = "stays: another process has it as well",
		[TIER_STAY_OTHER_NODE] =
			"stays: some of the mapping is on a node that takes no part",
		[TIER_STAY_SMALL] = "stays: in mappings of less than 256K",
		[TIER_STAY_SPARSE] = "stays: in mappings of which less than a 64th is there",
	};

	return texts[stay];
}

static const char *because_all(enum tier_tiering_stay stay)
{
	switch (stay) {
	case TIER_STAY_LEAST:
		return "it has less than LeastMemory=";
	case TIER_STAY_CPUSET:
		return "its cpuset does not allow all of the nodes";
	case TIER_STAY_LOCKED:
		return "it has memory locked";
	case TIER_STAY_PINNED:
		return "it has memory pinned for devices";
	default:
		return NULL;
	}
}

static void print_policy(const struct policy_input *input, int i)
{
	for (; i >= 0; i = input->groups->groups[i].parent) {
		const struct tier_share_group *group = &input->groups->groups[i];
		char name[256], said[TIER_SHARE_TEXT_MAX], fast[16];

		printf("  policy of %s: %s; it has %s of DRAM\n",
		       policy_group_name(group, name, sizeof(name)),
		       tier_share_format(&group->own, said), tool_bytes(fast, group->fast_bytes));
	}
}

static void print_text(const struct policy_input *input, const char *name,
		       const struct tier_tiering_outline *outline)
{
	const struct tier_share_group *group =
		outline->group >= 0 ? &input->groups->groups[outline->group] : NULL;
	char fast[16], slow[16], other[16], bytes[16];

	printf("%s: %s of DRAM, %s of CXL", name, tool_bytes(fast, outline->fast_bytes),
	       tool_bytes(slow, outline->slow_bytes));
	if (outline->other_bytes)
		printf(", %s on nodes that take no part", tool_bytes(other, outline->other_bytes));
	putchar('\n');
	for (unsigned stay = 0; stay < TIER_STAY_LEAST; stay++)
		if (outline->bytes[stay])
			printf("  %8s %s\n", tool_bytes(bytes, outline->bytes[stay]),
			       because((enum tier_tiering_stay)stay));
	print_policy(input, outline->group);
	if (input->machine.config->tiering == TIER_TIERING_NO)
		printf("Nothing of it is moved: [Tiering] has Tier=no.\n");
	else if (input->tiering.text[0])
		printf("Nothing of it is moved: %s.\n", input->tiering.text);
	else if (outline->whole != TIER_STAY_NOT)
		printf("Nothing of it is moved: %s.\n", because_all(outline->whole));
	else if (group && !group->demote && !group->promote)
		printf("Nothing of it is moved: its policy allows neither.\n");
	else
		printf("What is hot of it is fetched to DRAM%s, and what is cold makes room%s. "
		       "What was moved: "
		       "journalctl -u cxl-tierd\n",
		       group && !group->promote ? " (not by its policy)" : "",
		       group && !group->demote ? " (not by its policy)" : "");
}

static int print_json(const struct policy_input *input, pid_t pid, const char *name,
		      const struct tier_tiering_outline *outline)
{
	sd_json_variant *v = NULL, *stays = NULL;
	char text[256];
	int r = 0;

	for (unsigned stay = 0; stay < TIER_STAY_LEAST && r >= 0; stay++)
		r = sd_json_variant_set_field_unsigned(
			&stays, tier_tiering_stay_name((enum tier_tiering_stay)stay),
			outline->bytes[stay]);
	if (r >= 0)
		r = sd_json_buildo(
			&v, SD_JSON_BUILD_PAIR_INTEGER("pid", pid),
			SD_JSON_BUILD_PAIR_STRING("name", name),
			SD_JSON_BUILD_PAIR_UNSIGNED("dram_bytes", outline->fast_bytes),
			SD_JSON_BUILD_PAIR_UNSIGNED("cxl_bytes", outline->slow_bytes),
			SD_JSON_BUILD_PAIR_UNSIGNED("other_bytes", outline->other_bytes),
			SD_JSON_BUILD_PAIR_STRING("whole", tier_tiering_stay_name(outline->whole)),
			SD_JSON_BUILD_PAIR_VARIANT("bytes", stays),
			SD_JSON_BUILD_PAIR_BOOLEAN("tiering", input->machine.config->tiering !=
									      TIER_TIERING_NO &&
								      !input->tiering.text[0]));
	if (r >= 0 && outline->group >= 0)
		r = sd_json_variant_set_field_string(
			&v, "policy",
			policy_group_name(&input->groups->groups[outline->group], text,
					  sizeof(text)));
	if (r >= 0)
		r = sd_json_variant_dump(v, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, stdout,
					 NULL);
	sd_json_variant_unref(stays);
	sd_json_variant_unref(v);
	return r < 0 ? r : 0;
}

int explain_process(const char *text)
{
	_cleanup_policy_ struct policy_input input = {};
	struct tier_tiering_outline outline;
	struct tier_problem problem = {};
	struct tier_share_group self = {};
	uint64_t pid;
	char name[64];
	int r;

	if (tool_parse_number(text, false, &pid) < 0 || pid == 0 || pid > INT_MAX)
		return tool_fail_text(text, NULL, "is no process");
	r = policy_input_read(&input);
	if (r)
		return r;
	r = tier_tiering_explain((pid_t)pid, &input.nodes,
				 input.machine.config->tiering_least_bytes, input.groups, &outline,
				 &problem);
	if (r)
		return tool_fail(&problem);
	self.pid = (pid_t)pid;
	policy_group_name(&self, name, sizeof(name));
	if (tool_common.json)
		r = print_json(&input, (pid_t)pid, name, &outline);
	else
		print_text(&input, name, &outline);
	return r < 0 ? tool_fail_text(text, NULL, "cannot print: %s", tier_strerror(r)) : TOOL_OK;
}

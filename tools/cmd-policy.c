/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl policy, policy set, policy clear */
#include <limits.h>

#include <systemd/sd-json.h>

#include "policy-input.h"

static const char *bound(char text[static 16], uint64_t bytes, uint64_t unsaid)
{
	return bytes == unsaid ? NULL : tool_bytes(text, bytes);
}

static const char *from(const struct tier_share_group *group, char text[static 64])
{
	text[0] = '\0';
	for (unsigned source = 0; source <= TIER_SHARE_PROCESS; source++)
		if (group->sources >> source & 1)
			snprintf(text + strlen(text), 64 - strlen(text), "%s%s",
				 text[0] ? ", " : "",
				 tier_share_source_name((enum tier_share_source)source));
	return text;
}

static const char *words(const struct tier_share_group *group, char text[static 64])
{
	snprintf(text, 64, "%s%s%s", group->latency_sensitive ? "latency-sensitive " : "",
		 group->demote ? "" : "no-demote ", group->promote ? "" : "no-promote ");
	if (text[0])
		text[strlen(text) - 1] = '\0';
	return text[0] ? text : NULL;
}

static int print_table(const struct tier_share_groups *groups)
{
	static const char *const columns[] = {"WHO", "DRAM",	  "CXL", "MIN",
					      "MAX", "OTHERWISE", "FROM"};
	struct tool_table *table;
	int r;

	if (groups->count == 0) {
		printf("No cgroup and no process has a policy.\n");
		return 0;
	}
	r = tool_table_new(&table, columns, sizeof(columns) / sizeof(columns[0]), "lrrrrll");
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < groups->count; i++) {
		const struct tier_share_group *group = &groups->groups[i];
		char name[256], fast[16], slow[16], least[16], most[16], otherwise[64], source[64];

		r = tool_table_row(table, policy_group_name(group, name, sizeof(name)),
				   tool_bytes(fast, group->fast_bytes),
				   tool_bytes(slow, group->slow_bytes),
				   bound(least, group->min_bytes, 0),
				   bound(most, group->max_bytes, UINT64_MAX),
				   words(group, otherwise), from(group, source));
	}
	if (r == 0)
		tool_table_print(table);
	tool_table_free(table);
	return r;
}

static int group_to_json(const struct tier_share_group *group, sd_json_variant **ret)
{
	char name[256], source[64], said[TIER_SHARE_TEXT_MAX];
	int r;

	policy_group_name(group, name, sizeof(name));
	r = sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("name", name),
		SD_JSON_BUILD_PAIR_STRING("from", from(group, source)),
		SD_JSON_BUILD_PAIR_STRING("said", tier_share_format(&group->own, said)),
		SD_JSON_BUILD_PAIR_UNSIGNED("dram_bytes", group->fast_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("cxl_bytes", group->slow_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("dram_min_bytes", group->min_bytes),
		SD_JSON_BUILD_PAIR_BOOLEAN("demote", group->demote),
		SD_JSON_BUILD_PAIR_BOOLEAN("promote", group->promote),
		SD_JSON_BUILD_PAIR_BOOLEAN("latency_sensitive", group->latency_sensitive));
	if (r >= 0 && group->pid)
		r = sd_json_variant_set_field_integer(ret, "pid", group->pid);
	if (r >= 0 && group->max_bytes != UINT64_MAX)
		r = sd_json_variant_set_field_unsigned(ret, "dram_max_bytes", group->max_bytes);
	return r;
}

static int print_json(const struct tier_share_groups *groups)
{
	sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < groups->count; i++) {
		sd_json_variant *group = NULL;

		r = group_to_json(&groups->groups[i], &group);
		if (r >= 0)
			r = sd_json_variant_append_array(&array, group);
		sd_json_variant_unref(group);
	}
	if (r >= 0)
		r = sd_json_variant_dump(array, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
					 stdout, NULL);
	sd_json_variant_unref(array);
	return r < 0 ? r : 0;
}

static void warn(const struct policy_input *input)
{
	char text[512];

	if (geteuid() != 0)
		fprintf(stderr, "tierctl: policies: only root sees those that tierctl policy set "
				"has stored\n");
	if (input->ignored.text[0])
		fprintf(stderr, "tierctl: %s: %s; %s\n", input->ignored.object, input->ignored.text,
			input->ignored.next);
	if (tier_share_contradiction(input->groups, text, sizeof(text)))
		fprintf(stderr, "tierctl: policies: %s\n", text);
	if (input->machine.config->tiering == TIER_TIERING_NO)
		fprintf(stderr, "tierctl: policies: nothing is moved, since [Tiering] has Tier=no; "
				"see cxl-tierd.conf(5)\n");
	else if (input->machine.config->tiering_by == TIER_TIERING_BY_KERNEL)
		fprintf(stderr,
			"tierctl: policies: none of them counts, since the kernel moves the "
			"pages: [Tiering] has Mechanism=kernel; see cxl-tierd.conf(5)\n");
	else if (input->tiering.text[0])
		fprintf(stderr, "tierctl: policies: nothing is moved: %s\n", input->tiering.text);
}

int cmd_policy(int argc, char **argv)
{
	_cleanup_policy_ struct policy_input input = {};
	int r = tool_parse(argc, argv, NULL, 0, 0, 0, NULL, NULL);

	if (r == 0)
		r = policy_input_read(&input);
	if (r)
		return r;
	warn(&input);
	r = tool_common.json ? print_json(input.groups) : print_table(input.groups);
	return r < 0 ? tool_fail_text("policy", NULL, "cannot print: %s", tier_strerror(r))
		     : TOOL_OK;
}

struct who {
	char *cgroup; /* NULL: a process */
	pid_t pid;
};

static int find(const char *name, struct who *ret)
{
	struct tier_problem problem = {};
	uint64_t pid;

	if (!place_is_live())
		return tool_fail_text(tool_common.sysroot, NULL,
				      "is a dump, which has no processes");
	*ret = (struct who){};
	if (name[strspn(name, "0123456789")] != '\0')
		return tier_cgroup_find(name, &ret->cgroup, &problem) == 0 ? 0
									   : tool_fail(&problem);
	if (tool_parse_number(name, false, &pid) < 0 || pid == 0 || pid > INT_MAX)
		return tool_fail_text(name, NULL, "is no process");
	ret->pid = (pid_t)pid;
	return 0;
}

static int store(const struct who *who, const struct tier_share *share)
{
	struct tier_problem problem = {};

	return tier_share_store(who->cgroup, who->pid, share, &problem) == 0 ? TOOL_OK
									     : tool_fail(&problem);
}

/* What a unit's drop-in has to say, so that it counts whenever the unit is started. */
static int print_drop_in(const char *unit, const struct tier_share *share)
{
	static const char suffix[] = ".service";
	size_t length = strlen(unit);
	char text[TIER_SHARE_TEXT_MAX];
	const char *words = tier_share_format(share, text);

	if (strchr(unit, '/') || length <= strlen(suffix) ||
	    strcmp(unit + length - strlen(suffix), suffix) != 0)
		return tool_fail_text(
			unit, "use a [Policy] section: cxl-tierd.conf(5)",
			"is no service, and only these run a command when they start");
	printf("# systemctl edit --stdin --drop-in=50-cxl-tier.conf %s\n"
	       "[Service]\nExecStartPre=+/usr/bin/tierctl policy set %%n",
	       unit);
	for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
		/* A percent sign is systemd's own. */
		for (const char *c = (putchar(' '), at); *c && *c != ' '; c++)
			*c == '%' ? fputs("%%", stdout) : putchar(*c);
	putchar('\n');
	return TOOL_OK;
}

int cmd_policy_set(int argc, char **argv)
{
	bool drop_in = false;
	const struct tool_option options[] = {
		{"drop-in", NULL, "change nothing, print what does it whenever the service starts",
		 TOOL_FLAG, &drop_in},
	};
	struct tier_share share = {}, before = {};
	struct tier_problem problem = {};
	const char *reason = NULL;
	struct who who;
	char **words;
	int count, r;

	r = tool_parse(argc, argv, options, 1, 2, 16, &words, &count);
	for (int i = 1; r == 0 && i < count; i++) {
		char *equals = strchr(words[i], '=');

		if (!equals)
			return tool_usage("policy set: \"%s\" is not KEY=VALUE", words[i]);
		*equals = '\0';
		if (tier_share_set(&share, words[i], equals + 1, &reason) != 0)
			return tool_usage("policy set: %s=%s: %s; see tierctl(1)", words[i],
					  equals + 1, reason);
		*equals = '=';
	}
	if (r)
		return r;
	reason = tier_share_check(&share);
	if (drop_in && (reason || !tier_share_says(&share)))
		return tool_fail_text(words[0], NULL, "%s; nothing is printed",
				      reason ?: "nothing is said of it");
	if (drop_in)
		return print_drop_in(words[0], &share);
	r = find(words[0], &who);
	if (r)
		return r;
	/* What was said before of other keys stays; an empty value takes it back. */
	if (tier_share_load(who.cgroup, who.pid, &before, &problem) == 0)
		for (int i = 1; i < count; i++) {
			char *equals = strchr(words[i], '=');

			*equals = '\0';
			(void)tier_share_set(&before, words[i], equals + 1, &reason);
		}
	else
		before = share;
	reason = tier_share_check(&before);
	r = reason ? tool_fail_text(words[0], NULL, "%s; nothing is changed", reason)
		   : store(&who, &before);
	free(who.cgroup);
	return r;
}

int cmd_policy_clear(int argc, char **argv)
{
	const struct tier_share nothing = {};
	struct who who;
	char **names;
	int r = tool_parse(argc, argv, NULL, 0, 1, 1, &names, NULL);

	if (r == 0)
		r = find(names[0], &who);
	if (r)
		return r;
	r = store(&who, &nothing);
	free(who.cgroup);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "tool.h"

/* The verbs that exist; man page and completion are checked against this table. */
static const struct tool_verb verbs[] = {
	{"list", "[nodes|regions|blocks|memdevs|windows|declared]",
	 "show the CXL and NUMA topology", cmd_list},
	{"plan", "[REGION...]", "say which zone each region would go to, and why", cmd_plan},
	{"explain", "REGION|PID",
	 "say why a region is where it is, with the sum, or what Tier=auto does with a process",
	 cmd_explain},
	{"online", "REGION...", "online whole regions under the MOVABLE:KERNEL ratio", cmd_online},
	{"offline", "REGION", "evacuate a region and take it offline", cmd_offline},
	{"doctor", "", "check what this host lacks, and what that costs", cmd_doctor},
	{"weights", "", "show the weights of weighted interleave, what they should be, and why",
	 cmd_weights},
	{"calibrate", "", "measure bandwidth and latency of each node's memory", cmd_calibrate},
	{"top", "", "show nodes, flows between them, and who has memory where", cmd_top},
	{"metrics", "", "print metrics in the formats of Prometheus", cmd_metrics},
	{"events", "", "show errors of memory and what was done about them", cmd_events},
	{"retired", "", "list memory that is not to be used again", cmd_retired},
	{"retire", "REGION", "take a memory block or an extent out of use for good", cmd_retire},
	{"unretire", "ENTRY", "let retired memory be used again", cmd_unretire},
	{"move", "", "move pages of a process or a cgroup to a node", cmd_move},
	{"heat", "PID|CGROUP|UNIT|host",
	 "draw which memory is touched how often, over a while, by DAMON", cmd_heat},
	{"nodes", "", "show which nodes a tier, a type or a region has, also for numactl and QEMU",
	 cmd_nodes},
	{"policy set", "UNIT|PATH|PID KEY=VALUE...",
	 "say what a cgroup or a process may have of DRAM", cmd_policy_set},
	{"policy clear", "UNIT|PATH|PID", "take back what policy set has said", cmd_policy_clear},
	{"policy", "", "show who has a policy, how much of DRAM, and why", cmd_policy},
	{"run", "COMMAND...", "run a command with its memory on a tier or a region", cmd_run},
	{"numactl", "ARGUMENT...", "run numactl, with names of regions where it takes nodes",
	 cmd_numactl},
	{"portal format", "REGION|FILE", "make a portal of a shared region", cmd_portal_format},
	{"portal show", "[PORTAL]", "show hosts, extents and flights of a portal", cmd_portal_show},
	{"portal fence", "HOST", "declare a host of a portal dead, after making sure of it",
	 cmd_portal_fence},
	{"portal check", "[PORTAL]", "verify every record of a portal, and repair it",
	 cmd_portal_check},
	{"flights", "", "list flights and who may do what next", cmd_flights},
	{"send", "VM", "hand a running VM to another host through a portal", cmd_send},
	{"receive", "", "wait for a VM and take it over", cmd_receive},
	{"settle", "VM|FLIGHT", "end a flight whose tool has died, as its records say", cmd_settle},
	{"vm start", "MACHINE", "start a machine that the configuration defines", cmd_vm_start},
	{"vm stop", "MACHINE", "end a machine started here", cmd_vm_stop},
	{"vm list", "", "list the machines that the configuration defines", cmd_vm_list},
};

static int help(void)
{
	printf("Usage: tierctl VERB [OBJECT] [OPTION...]\n\n"
	       "Decide and see what happens to CXL memory.\n\nVerbs:\n");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		char head[64];

		snprintf(head, sizeof(head), "%s %s", verbs[i].name, verbs[i].arguments);
		if (strlen(head) > 24)
			printf("  %s\n  %-24s  %s\n", head, "", verbs[i].summary);
		else
			printf("  %-24s  %s\n", head, verbs[i].summary);
	}
	printf("\nOptions of every verb:\n"
	       "  --json         machine-readable output\n"
	       "  --sysroot DIR  read a dump of a machine instead of this one\n"
	       "  --config FILE  read one configuration file instead of the usual places\n"
	       "  --help         options of a verb: tierctl VERB --help\n"
	       "  --version\n");
	return TOOL_OK;
}

static const struct tool_verb *find(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const char *space = strchr(verbs[i].name, ' ');
		size_t first = space ? (size_t)(space - verbs[i].name) : strlen(verbs[i].name);

		if (strlen(argv[0]) != first || strncmp(argv[0], verbs[i].name, first) != 0)
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
			continue;
		*ret_words = space ? 2 : 1;
		return &verbs[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct tool_verb *verb;
	int words;

	if (argc < 2)
		return tool_usage("no verb; see tierctl --help");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return help();
	if (strcmp(argv[1], "--version") == 0) {
		printf("tierctl %s\n", TIER_VERSION);
		return TOOL_OK;
	}
	verb = find(argc - 1, argv + 1, &words);
	if (!verb)
		return tool_usage("no such verb: %s%s%s; see tierctl --help", argv[1],
				  argc > 2 && argv[2][0] != '-' ? " " : "",
				  argc > 2 && argv[2][0] != '-' ? argv[2] : "");
	/* The verb's own name takes the place of argv[0]. */
	argv[words] = (char *)verb->name;
	return verb->run(argc - words, argv + words);
}

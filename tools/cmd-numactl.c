/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl numactl: numactl with names of regions */
#include <getopt.h>

#include <systemd/sd-json.h>

#include "place-input.h"

enum {
	CPU_COMPRESS = 300,
	VERSION,
};

/* As numactl 2.0.19 has them, numactl.c, by which abbreviations are as ambiguous as they are there. */
static const struct option numactl_options[] = {
	{"all", no_argument, NULL, 'a'},
	{"interleave", required_argument, NULL, 'i'},
	{"weighted-interleave", required_argument, NULL, 'w'},
	{"preferred", required_argument, NULL, 'p'},
	{"preferred-many", required_argument, NULL, 'P'},
	{"cpubind", required_argument, NULL, 'c'},
	{"cpunodebind", required_argument, NULL, 'N'},
	{"physcpubind", required_argument, NULL, 'C'},
	{"membind", required_argument, NULL, 'm'},
	{"show", no_argument, NULL, 's'},
	{"localalloc", no_argument, NULL, 'l'},
	{"balancing", no_argument, NULL, 'b'},
	{"hardware", no_argument, NULL, 'H'},
	{"shm", required_argument, NULL, 'S'},
	{"file", required_argument, NULL, 'f'},
	{"offset", required_argument, NULL, 'o'},
	{"length", required_argument, NULL, 'L'},
	{"strict", no_argument, NULL, 't'},
	{"shmmode", required_argument, NULL, 'M'},
	{"dump", no_argument, NULL, 'd'},
	{"dump-nodes", no_argument, NULL, 'D'},
	{"shmid", required_argument, NULL, 'I'},
	{"huge", no_argument, NULL, 'u'},
	{"touch", no_argument, NULL, 'T'},
	{"cpu-compress", no_argument, NULL, CPU_COMPRESS},
	{"verify", no_argument, NULL, 'V'},
	{"version", no_argument, NULL, VERSION},
	{},
};
#define NUMACTL_LETTERS "+ai:w:p:P:c:N:C:m:slbHS:f:o:L:tM:dDI:uTV"

static bool takes_nodes(int option)
{
	return option > 0 && option < 128 && strchr("iwpPmcN", option);
}

static bool is_about_cpus(int option)
{
	return option == 'c' || option == 'N';
}

/* The word of the command line in which the last option's value lies, with other nodes for those there. */
static int replace(char **word, const char *value, const char *nodes)
{
	char *changed;

	if (asprintf(&changed, "%.*s%s", (int)(value - *word), *word, nodes) < 0)
		return -ENOMEM;
	/* Never freed: it becomes the command line of numactl. */
	*word = changed;
	return 0;
}

/* numactl reads its options up to the command; what it does not know, it complains of itself. */
static int resolve(int argc, char **argv, bool typed, const struct place_machine *machine)
{
	struct tier_policy_kernel kernel;
	struct tier_node_list list = {.typed = typed};
	struct tier_problem problem = {};
	int option;

	/* Without NUMA numactl says so. */
	if (place_is_live() && tier_policy_read(&kernel, NULL) == 0)
		list.allowed = &kernel.allowed;
	opterr = 0;
	/* From the start, whatever was parsed before. */
	optind = 0;
	while ((option = getopt_long(argc, argv, NUMACTL_LETTERS, numactl_options, NULL)) >= 0) {
		char *nodes;
		int r;

		if (option == '?')
			return 0;
		if (!takes_nodes(option))
			continue;
		list.list = optarg;
		list.for_cpus = is_about_cpus(option);
		if (tier_place_node_list(&list, machine->topology, machine->config, &nodes,
					 &problem) != 0)
			return tool_fail(&problem);
		r = strcmp(nodes, optarg) == 0 ? 0 : replace(&argv[optind - 1], optarg, nodes);
		free(nodes);
		if (r < 0)
			return tool_fail_text("numactl", NULL, "cannot run it: out of memory");
	}
	return 0;
}

/* How many of the words are options of tierctl: those before the first that is not. */
static int own_words(int argc, char **argv)
{
	static const char *const flags[] = {"--json", "--dry-run", "--typed", "--help"};
	static const char *const values[] = {"--sysroot", "--config"};
	int at = 1;

	while (at < argc) {
		int before = at;

		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
			at += at == before && strcmp(argv[at], flags[i]) == 0;
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			size_t length = strlen(values[i]);

			if (at != before || strncmp(argv[at], values[i], length) != 0)
				continue;
			if (argv[before][length] == '=')
				at++;
			else if (argv[before][length] == '\0')
				at += before + 1 < argc ? 2 : 1;
		}
		if (at == before)
			break;
	}
	return at;
}

/* As a shell reads it: what is more than letters, digits and a few signs stands between quotes. */
static void print_word(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "%+,-./:=@_";

	if (word[0] && word[strspn(word, plain)] == '\0') {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++)
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*word);
	putchar('\'');
}

static int print_words(char **words)
{
	sd_json_variant *list = NULL;

	if (!tool_common.json) {
		for (size_t i = 0; words[i]; i++) {
			if (i)
				putchar(' ');
			print_word(words[i]);
		}
		putchar('\n');
		return TOOL_OK;
	}
	if (sd_json_variant_new_array_strv(&list, words) < 0 ||
	    sd_json_variant_dump(list, SD_JSON_FORMAT_NEWLINE, stdout, NULL) < 0)
		return tool_fail_text("numactl", NULL, "cannot print: out of memory");
	sd_json_variant_unref(list);
	return TOOL_OK;
}

int cmd_numactl(int argc, char **argv)
{
	_cleanup_machine_ struct place_machine machine = {};
	bool dry_run = false, typed = false;
	const struct tool_option options[] = {
		{"dry-run", NULL, "print the command line of numactl, and run nothing", TOOL_FLAG,
		 &dry_run},
		{"typed", NULL, "numbers may be those of Shared and Switched nodes", TOOL_FLAG,
		 &typed},
	};
	int own = own_words(argc, argv), r;

	r = tool_parse(own, argv, options, sizeof(options) / sizeof(options[0]), 0, 0, NULL, NULL);
	if (r)
		return r;
	if (own == argc)
		return tool_usage("numactl: an argument is missing; see tierctl --help");
	r = dry_run ? 0 : place_needs_machine("numactl");
	if (r == 0)
		r = place_machine_read(&machine);
	if (r)
		return r;
	argc -= own - 1;
	argv += own - 1;
	argv[0] = (char *)"numactl";
	r = resolve(argc, argv, typed, &machine);
	if (r)
		return r;
	return dry_run ? print_words(argv) : tool_exec(argv);
}

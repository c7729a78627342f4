/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include <systemd/sd-daemon.h>

#include "config.h"
#include "manager.h"

static int help(void)
{
	printf("Usage: cxl-tierd [OPTION...]\n\n"
	       "Manage CXL memory tiers and this host's part of shared-memory portals.\n\n"
	       "Options:\n"
	       "  --config FILE   read one configuration file instead of the usual places\n"
	       "  --socket PATH   listen here instead of " MANAGER_SOCKET "\n"
	       "  --sysroot DIR   show a dump of a machine; change nothing\n"
	       "  --dry-run       decide and log, change nothing\n"
	       "  --files-only    portals on plain files only; leave this machine's memory alone\n"
	       "  --release       do what a cxl-tierd that was killed could not do at its end\n"
	       "  --help\n"
	       "  --version\n");
	return 0;
}

/* 0: go on with @ret; otherwise the exit status plus one. */
static int parse(int argc, char **argv, struct manager_options *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, 's'},
		{"sysroot", required_argument, NULL, 'r'},
		{"dry-run", no_argument, NULL, 'n'},
		{"files-only", no_argument, NULL, 'f'},
		{"release", no_argument, NULL, 'R'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{},
	};
	const char *sysroot = getenv("TIER_SYSROOT");
	int c;

	if (sysroot && sysroot[0])
		ret->sysroot = sysroot;
	/* For tests: another boot, and a stand-in for the tool. */
	ret->boot_id = getenv("CXL_TIERD_BOOT_ID");
	ret->tierctl = getenv("CXL_TIERD_TIERCTL");
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 's':
			ret->socket = optarg;
			break;
		case 'r':
			ret->sysroot = optarg;
			break;
		case 'n':
			ret->dry_run = true;
			break;
		case 'f':
			ret->files_only = true;
			break;
		case 'R':
			ret->release = true;
			break;
		case 'h':
			return help() + 1;
		case 'v':
			printf("cxl-tierd %s\n", TIER_VERSION);
			return 1;
		case ':':
			fprintf(stderr, "cxl-tierd: %s needs a value\n", argv[optind - 1]);
			return 3;
		default:
			fprintf(stderr, "cxl-tierd: unknown option %s; see cxl-tierd --help\n",
				argv[optind - 1]);
			return 3;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "cxl-tierd: unexpected argument \"%s\"\n", argv[optind]);
		return 3;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct manager_options options = {.socket = MANAGER_SOCKET};
	_cleanup_(manager_freep) struct manager *manager = NULL;
	int r;

	r = parse(argc, argv, &options);
	if (r > 0)
		return r - 1;

	/* Whatever goes wrong from here on has been logged where it happened. */
	r = manager_new(&options, &manager);
	if (r == 0 && options.release)
		return manager_release(manager) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (r == 0)
		r = manager_start(manager);
	if (r != 0)
		return EXIT_FAILURE;

	sd_notify(false, "READY=1");
	r = sd_event_loop(manager->event);
	sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
	if (r < 0)
		log_decision(LOG_ERR, "cxl-tierd", "failed", "event loop: %s", strerror(-r));
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

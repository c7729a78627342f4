/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include <systemd/sd-json.h>

#include "place-input.h"

struct move {
	struct tool_progress progress;
};

struct move_input {
	struct tier_move_request request;
	const char *cgroup;
	const char *to;
	bool typed;
};

static int on_progress(void *userdata, const struct tier_move_result *so_far, uint64_t total_pages)
{
	struct move *move = userdata;

	if (tool_interrupted())
		return 1;
	tool_progress_update(&move->progress, so_far->scanned_pages * so_far->page_bytes,
			     total_pages * so_far->page_bytes, "bytes");
	return 0;
}

/* "0,2" to a mask. */
static int parse_nodes(const char *text, uint64_t *ret)
{
	uint64_t mask = 0;

	for (;;) {
		char *end;
		unsigned long node;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		node = strtoul(text, &end, 10);
		if (node > 63)
			return -ERANGE;
		mask |= UINT64_C(1) << node;
		if (*end == '\0')
			break;
		if (*end != ',')
			return -EINVAL;
		text = end + 1;
	}
	*ret = mask;
	return 0;
}

/* "7f0000000000-7f0000200000", as /proc/PID/maps has it, with or without 0x. */
static int parse_range(const char *text, uint64_t *ret_start, uint64_t *ret_end)
{
	static const char digits[] = "0123456789abcdefABCDEFx";
	size_t first = strspn(text, digits);
	char *end;

	if (first == 0 || text[first] != '-' || text[first + 1] == '\0' ||
	    text[first + 1 + strspn(text + first + 1, digits)] != '\0')
		return -EINVAL;
	errno = 0;
	*ret_start = strtoull(text, &end, 16);
	if (errno || end != text + first)
		return -EINVAL;
	*ret_end = strtoull(text + first + 1, &end, 16);
	if (errno || *end != '\0' || *ret_start >= *ret_end)
		return -EINVAL;
	return 0;
}

static const char *outcome_name(int code)
{
	switch (code) {
	case 0:
		return "done";
	case TIER_E_CANCELLED:
		return "cancelled";
	case TIER_E_NO_SPACE:
		return "no-space";
	case -ESRCH:
		return "process-ended";
	default:
		return "failed";
	}
}

static void print_counts(const struct tier_move_result *result)
{
	printf("\"page_bytes\":%" PRIu64 ",\"scanned_pages\":%" PRIu64 ",\"moved_pages\":%" PRIu64
	       ",\"already_pages\":%" PRIu64 ",\"elsewhere_pages\":%" PRIu64
	       ",\"absent_pages\":%" PRIu64 ",\"shared_pages\":%" PRIu64
	       ",\"pinned_pages\":%" PRIu64 ",\"failed_pages\":%" PRIu64
	       ",\"no_memory_pages\":%" PRIu64 ",\"huge_folios\":%" PRIu64
	       ",\"elapsed_usec\":%" PRIu64 "}\n",
	       result->page_bytes, result->scanned_pages, result->moved_pages,
	       result->already_pages, result->elsewhere_pages, result->absent_pages,
	       result->shared_pages, result->pinned_pages, result->failed_pages,
	       result->no_memory_pages, result->huge_folios, result->elapsed_usec);
}

static void print_json(const struct tier_move_request *request,
		       const struct tier_move_result *result, int code)
{
	printf("{\"pid\":%d,\"to\":%d,\"dry_run\":%s,\"outcome\":\"%s\",", request->pid,
	       request->to, request->dry_run ? "true" : "false", outcome_name(code));
	print_counts(result);
}

static void print_group_json(char *cgroup, const struct tier_move_request *request,
			     const struct tier_move_group_result *result, int code)
{
	sd_json_variant *name = NULL;
	char *text = NULL;

	/* JSON escapes what is text, and has no other strings. */
	if (sd_json_variant_new_string(&name, cgroup) >= 0 ||
	    sd_json_variant_new_string(&name, tool_printable(cgroup)) >= 0)
		(void)sd_json_variant_format(name, 0, &text);
	printf("{\"cgroup\":%s,\"to\":%d,\"dry_run\":%s,\"outcome\":\"%s\",\"processes\":%u,"
	       "\"gone_processes\":%u,\"refused_processes\":%u,\"hidden_processes\":%u,",
	       text ?: "null", request->to, request->dry_run ? "true" : "false",
	       code < 0 && result->refused ? "refused" : outcome_name(code), result->processes,
	       result->gone, result->refused, result->hidden);
	print_counts(&result->pages);
	free(text);
	sd_json_variant_unref(name);
}

static void print_text(const char *who, const struct tier_move_request *request,
		       const struct tier_move_result *result)
{
	const struct {
		const char *name;
		uint64_t pages;
		const char *hint;
	} rows[] = {
		{request->dry_run ? "would move" : "moved", result->moved_pages, NULL},
		{"already there", result->already_pages, NULL},
		{"on other nodes", result->elsewhere_pages, "not among --from"},
		{"absent", result->absent_pages, "never touched, or swapped out"},
		{"shared", result->shared_pages,
		 request->shared ? "still refused" : "mapped by other processes; see --shared"},
		{"pinned", result->pinned_pages, "in use by a device or the kernel"},
		{"no room", result->no_memory_pages, "the node is full"},
		{"failed", result->failed_pages, "of a kind that cannot be moved"},
	};
	double seconds = (double)result->elapsed_usec / 1e6;
	uint64_t bytes = result->moved_pages * result->page_bytes;
	char size[16];

	printf("%s to node %d: %s %s in %.1f s", who, request->to, tool_bytes(size, bytes),
	       request->dry_run ? "to move, looked at" : "moved", seconds);
	if (!request->dry_run && seconds > 0 && bytes)
		printf(", %s/s", tool_bytes(size, (uint64_t)((double)bytes / seconds)));
	if (result->huge_folios)
		printf(", %" PRIu64 " folios of 2M whole", result->huge_folios);
	putchar('\n');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].pages || i == 0)
			printf("  %-14s %12" PRIu64 " pages %8s%s%s\n", rows[i].name, rows[i].pages,
			       tool_bytes(size, rows[i].pages * result->page_bytes),
			       rows[i].hint ? "  " : "", rows[i].hint ?: "");
}

/* What the options ask for, or TOOL_USAGE after saying what is wrong. */
static int parse(int argc, char **argv, struct move_input *input)
{
	uint64_t pid = UINT64_MAX, rate = 0;
	const char *from = NULL, *range = NULL;
	struct tier_move_request *request = &input->request;
	const struct tool_option options[] = {
		{"pid", "PID", "whose pages", TOOL_NUMBER, &pid},
		{"cgroup", "PATH|UNIT", "pages of all processes of a cgroup and those below it",
		 TOOL_STRING, &input->cgroup},
		{"from", "NODE[,NODE]", "only pages on these nodes; default: any but --to",
		 TOOL_STRING, &from},
		{"to", "NODE|REGION", "where they go; required", TOOL_STRING, &input->to},
		{"typed", NULL, "--to may be the number of a Shared or Switched node", TOOL_FLAG,
		 &input->typed},
		{"rate", "BYTES", "at most so much a second, e.g. 100M", TOOL_BYTES, &rate},
		{"range", "START-END", "only these addresses, as in /proc/PID/maps", TOOL_STRING,
		 &range},
		{"shared", NULL, "also pages that other processes map (CAP_SYS_NICE)", TOOL_FLAG,
		 &request->shared},
		{"dry-run", NULL, "count, and move nothing", TOOL_FLAG, &request->dry_run},
	};
	int r = tool_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), 0, 0, NULL,
			   NULL);

	if (r)
		return r;
	if (pid == UINT64_MAX && !input->cgroup)
		return tool_usage("move: --pid or --cgroup is missing; see tierctl move --help");
	if (pid != UINT64_MAX && input->cgroup)
		return tool_usage("move: --pid and --cgroup exclude each other");
	if (!input->to)
		return tool_usage("move: --to is missing; see tierctl move --help");
	if (!input->cgroup && (pid == 0 || pid > INT_MAX))
		return tool_usage("move: --pid %" PRIu64 " is no process", pid);
	if (input->cgroup && range)
		return tool_usage("move: --range is about one process, and --cgroup about many");
	if (from && parse_nodes(from, &request->from) < 0)
		return tool_usage("move: --from takes nodes from 0 to 63 such as 0,2, not \"%s\"",
				  from);
	if (range && parse_range(range, &request->start, &request->end) < 0)
		return tool_usage("move: --range takes START-END in hexadecimal, not \"%s\"",
				  range);
	request->pid = input->cgroup ? 0 : (pid_t)pid;
	request->rate_bytes_per_sec = rate;
	return 0;
}

/* Nodes are numbered by this machine, whatever --sysroot says: it is its processes that are moved. */
static int find_destination(struct move_input *input)
{
	_cleanup_machine_ struct place_machine machine = {};
	struct tier_problem problem = {};
	int r;

	if (!place_is_live())
		return tool_usage("move: a dump has no processes; leave --sysroot out");
	r = place_machine_read(&machine);
	if (r)
		return r;
	r = tier_place_destination(input->to, input->typed, machine.topology, machine.config,
				   &input->request.to, &problem);
	if (r == -EINVAL)
		return tool_usage("move: --to %s is no node and no region", input->to);
	return r ? tool_fail(&problem) : 0;
}

static int failed_pages(uint64_t pages, const char *whose)
{
	if (pages)
		return tool_fail_text("move", NULL, "%" PRIu64 " pages of %s cannot be moved",
				      pages, whose);
	return TOOL_OK;
}

static int move_process(const struct tier_move_request *request)
{
	struct move move = {.progress = {.label = "moving"}};
	struct tier_move_result result = {};
	struct tier_problem problem = {};
	char who[32];
	int r = tier_move(request, on_progress, &move, &result, &problem);

	tool_progress_end(&move.progress);
	snprintf(who, sizeof(who), "process %d", request->pid);
	/* Refused before anything was looked at: the reason is all that there is to say. */
	if (r == 0 || result.scanned_pages > 0) {
		if (tool_common.json)
			print_json(request, &result, r);
		else
			print_text(who, request, &result);
		fflush(stdout);
	}
	return r ? tool_fail(&problem) : failed_pages(result.failed_pages, who);
}

static void print_group(const char *cgroup, const struct tier_move_request *request,
			const struct tier_move_group_result *result)
{
	char *who;

	if (asprintf(&who, "cgroup %s (%u process%s)", cgroup, result->processes,
		     result->processes == 1 ? "" : "es") < 0)
		return;
	print_text(who, request, &result->pages);
	free(who);
	if (result->gone)
		printf("  %-14s %12u processes, or without memory of their own\n", "ended",
		       result->gone);
	if (result->refused)
		printf("  %-14s %12u processes\n", "refused", result->refused);
}

static int move_cgroup(const char *cgroup, const struct tier_move_request *request)
{
	struct move move = {.progress = {.label = "moving"}};
	struct tier_move_group_result result = {};
	struct tier_problem problem = {};
	char *path;
	int r;

	if (tier_cgroup_find(cgroup, &path, &problem) != 0)
		return tool_fail(&problem);
	r = tier_move_group(path, request, on_progress, &move, &result, &problem);
	tool_progress_end(&move.progress);
	if (r == 0 || result.pages.scanned_pages > 0) {
		if (tool_common.json)
			print_group_json(path, request, &result, r);
		else
			print_group(tool_printable(path), request, &result);
		fflush(stdout);
	}
	r = r ? tool_fail(&problem) : failed_pages(result.pages.failed_pages, tool_printable(path));
	free(path);
	return r;
}

int cmd_move(int argc, char **argv)
{
	struct move_input input = {};
	int r = parse(argc, argv, &input);

	if (r == 0)
		r = find_destination(&input);
	if (r)
		return r;
	tool_catch_interrupt();
	return input.cgroup ? move_cgroup(input.cgroup, &input.request)
			    : move_process(&input.request);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-json.h>

#include "change.h"
#include "client.h"
#include "json.h"
#include "plan-print.h"
#include "tool.h"

/* A dry run is planned here, the real thing is the daemon's; what it says meanwhile is drawn. */

#define DEADLINE_MAX (TIER_OFFLINE_DEADLINE_MAX_USEC / 1000000)

/* Runs of pages that a person is shown of each kind. */
#define SHOWN 4

static int plan_locally(const char *region, bool to_devdax)
{
	struct tier_topology *topology;
	struct tier_problem problem;
	struct tier_plan *plan;
	int r = tool_topology(&topology);

	if (r)
		return r;
	if (tier_plan_offline(topology, region, to_devdax, &plan, &problem) != 0) {
		r = tool_fail(&problem);
	} else {
		r = plan_print_local(plan);
		tier_plan_free(plan);
	}
	tier_topology_free(topology);
	return r;
}

struct bars {
	struct tool_progress evacuating, putting_back;
	uint64_t taken; /* bytes, when putting back began */
};

static void on_progress(void *userdata, sd_json_variant *reply)
{
	struct bars *bars = userdata;
	uint64_t done = json_number(reply, "doneBytes");

	if (!reply) {
		tool_progress_end(&bars->evacuating);
		tool_progress_end(&bars->putting_back);
		return;
	}
	if (strcmp(json_text(reply, "phase"), "putting-back") != 0) {
		tool_progress_update(&bars->evacuating, done, json_number(reply, "totalBytes"),
				     "bytes");
		return;
	}
	tool_progress_end(&bars->evacuating);
	if (bars->taken < done)
		bars->taken = done;
	tool_progress_update(&bars->putting_back, bars->taken - done, bars->taken, "bytes");
}

/* "  pinned: frames 0x44000-0x44003, 0x44010, ..." */
static void print_frames(sd_json_variant *held, const char *holder)
{
	sd_json_variant *runs = sd_json_variant_by_key(held, "runs");
	size_t shown = 0;

	for (size_t i = 0; runs && i < sd_json_variant_elements(runs); i++) {
		sd_json_variant *run = sd_json_variant_by_index(runs, i);
		uint64_t frame = json_number(run, "frame"), pages = json_number(run, "pages");

		if (strcmp(json_text(run, "holder"), holder) != 0)
			continue;
		if (shown == SHOWN) {
			fprintf(stderr, ", ...");
			break;
		}
		fprintf(stderr, "%s0x%" PRIx64, shown ? ", " : " in frames ", frame);
		if (pages > 1)
			fprintf(stderr, "-0x%" PRIx64, frame + pages - 1);
		shown++;
	}
	fputc('\n', stderr);
}

static void print_processes(sd_json_variant *held)
{
	sd_json_variant *list = sd_json_variant_by_key(held, "processes");

	for (size_t i = 0; list && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *process = sd_json_variant_by_index(list, i);
		const char *vm = json_text(process, "vm");
		uint64_t pages = json_number(process, "pages");

		fprintf(stderr, "  %" PRIu64 " mapped by %s, pid %" PRIu64 "%s%s%s%s%s\n", pages,
			json_text(process, "comm"), json_number(process, "pid"),
			vm[0] ? ", VM " : "", vm,
			json_flag(process, "vfio") ? ", has VFIO open" : "",
			json_flag(process, "rdma") ? ", has RDMA open" : "",
			json_flag(process, "io_uring") ? ", has io_uring open" : "");
	}
	if (json_flag(held, "processes_partial"))
		fprintf(stderr, "  not all processes have been looked at\n");
}

/* Below the one line that says what failed. */
static void print_held(sd_json_variant *report)
{
	sd_json_variant *held = sd_json_variant_by_key(report, "held");
	sd_json_variant *pages = sd_json_variant_by_key(held, "pages");

	for (enum tier_holder holder = 0; pages && holder < _TIER_HOLDER_MAX; holder++) {
		const char *name = tier_holder_name(holder);

		if (json_number(pages, name) == 0)
			continue;
		fprintf(stderr, "  %" PRIu64 " %s", json_number(pages, name), name);
		print_frames(held, name);
	}
	print_processes(held);
}

static int offline_via_daemon(const char *region, bool keep_partial, sd_json_variant *parameters)
{
	struct tier_problem interrupted;
	struct bars bars = {.evacuating.label = "evacuating", .putting_back.label = "putting back"};
	sd_json_variant *reply = NULL, *report, *plan;
	int r;

	tool_catch_interrupt();
	tier_problem_set(&interrupted, TIER_E_CANCELLED, region, "tierctl list regions",
			 keep_partial ? "interrupted; what went offline stays so"
				      : "interrupted; what was taken offline is being put back");
	r = client_follow("Offline", parameters, &interrupted, on_progress, &bars, &reply);
	report = sd_json_variant_by_key(reply, "report");
	if (r == 0) {
		plan = sd_json_variant_ref(sd_json_variant_by_key(reply, "plan") ?: reply);
		if (report && sd_json_variant_set_field(&plan, "report", report) < 0)
			r = tool_fail_text("plan", NULL, "cannot print it: out of memory");
		r = r ?: plan_print(plan, true);
		sd_json_variant_unref(plan);
	} else if (report && tool_common.json) {
		sd_json_variant_dump(report, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, stdout,
				     NULL);
	} else if (report) {
		print_held(report);
	}
	sd_json_variant_unref(reply);
	return r;
}

int cmd_offline(int argc, char **argv)
{
	bool to_devdax = false, keep_partial = false, dry_run = false;
	uint64_t deadline = UINT64_MAX;
	const struct tool_option options[] = {
		{"deadline", "SECONDS",
		 "for all of it (default: 60, and one for each 256M; 30 where nothing moves)",
		 TOOL_NUMBER, &deadline},
		{"keep-partial", NULL, "leave offline what went, also if a part stays", TOOL_FLAG,
		 &keep_partial},
		{"to-devdax", NULL, "then make the dax device a character device again", TOOL_FLAG,
		 &to_devdax},
		{"dry-run", NULL, "print the plan and change nothing", TOOL_FLAG, &dry_run},
	};
	sd_json_variant *parameters = NULL;
	char **names;
	int count;
	int r = tool_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), 1, 1, &names,
			   &count);

	if (r)
		return r;
	if (deadline == 0 || (deadline > DEADLINE_MAX && deadline != UINT64_MAX))
		return tool_usage("offline: --deadline takes 1 to %" PRIu64 " seconds",
				  DEADLINE_MAX);
	if (dry_run)
		return plan_locally(names[0], to_devdax);
	r = change_allowed("offline", names[0]);
	if (r == 0)
		r = change_check_regions(names, 1);
	if (r)
		return r;
	r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("region", names[0]),
			   SD_JSON_BUILD_PAIR_BOOLEAN("toDevdax", to_devdax),
			   SD_JSON_BUILD_PAIR_BOOLEAN("keepPartial", keep_partial),
			   SD_JSON_BUILD_PAIR_CONDITION(deadline != UINT64_MAX, "deadlineSec",
							SD_JSON_BUILD_UNSIGNED(deadline)));
	r = r < 0 ? tool_fail_text(names[0], NULL, "cannot offline: %s", tier_strerror(r))
		  : offline_via_daemon(names[0], keep_partial, parameters);
	sd_json_variant_unref(parameters);
	return r;
}

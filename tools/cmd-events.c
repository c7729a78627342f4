/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl events */
#include <time.h>

#include <systemd/sd-json.h>

#include "client.h"
#include "json.h"
#include "since.h"
#include "tool.h"

static void print_text(sd_json_variant *event)
{
	time_t seconds = (time_t)(json_number(event, "usec") / 1000000);
	const char *priority = json_text(event, "priority");
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s  %-8s %s: %s\n", when, strcmp(priority, "err") == 0 ? "error" : priority,
	       json_text(event, "object"), json_text(event, "text"));
}

/* With --json one object per line, since there is no end of the list. */
static int on_reply(void *userdata, sd_json_variant *reply)
{
	sd_json_variant *events = sd_json_variant_by_key(reply, "events");
	size_t count = events ? sd_json_variant_elements(events) : 0;

	for (size_t i = 0; i < count; i++) {
		sd_json_variant *event = sd_json_variant_by_index(events, i);

		if (!tool_common.json)
			print_text(event);
		else if (sd_json_variant_dump(event, SD_JSON_FORMAT_NEWLINE, stdout, NULL) < 0)
			return tool_fail_text("events", NULL, "cannot print");
	}
	fflush(stdout);
	return 0;
}

static int print_all(sd_json_variant *parameters)
{
	sd_json_variant *reply = NULL, *events;
	int r = client_call("Events", parameters, &reply);

	if (r)
		return r;
	events = sd_json_variant_by_key(reply, "events");
	if (!tool_common.json)
		r = on_reply(NULL, reply);
	else if (!events ||
		 sd_json_variant_dump(events, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
				      stdout, NULL) < 0)
		r = tool_fail_text("events", NULL, "cannot print");
	sd_json_variant_unref(reply);
	return r;
}

int cmd_events(int argc, char **argv)
{
	const char *since = NULL;
	bool follow = false;
	const struct tool_option table[] = {
		{"follow", NULL, "go on, and print each event as it happens", TOOL_FLAG, &follow},
		{"since", "TIME", "only from then on: 10m, 2h, 3d ago, or \"2026-11-21 20:15\"",
		 TOOL_STRING, &since},
	};
	sd_json_variant *parameters = NULL;
	struct timespec now;
	uint64_t usec = 0;
	int r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 0, 0, NULL, NULL);
	if (r)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	if (since &&
	    since_parse(since, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
			&usec) < 0)
		return tool_usage("--since %s: expected 10m, 2h, 3d, or \"YYYY-MM-DD HH:MM\"",
				  since);
	if (sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_UNSIGNED("sinceUsec", usec)) < 0)
		return tool_fail_text("events", NULL, "out of memory");
	if (follow) {
		tool_catch_interrupt();
		r = client_listen("Events", parameters, on_reply, NULL);
	} else {
		r = print_all(parameters);
	}
	sd_json_variant_unref(parameters);
	return r;
}

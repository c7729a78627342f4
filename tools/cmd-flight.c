/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl send, receive, flights */
#include <poll.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-json.h>
#include <time.h>

#include "client.h"
#include "json.h"
#include "tool.h"

#define SECONDS	       UINT64_C(1000000)
#define OFFERS_POLL_MS 100

static const char *const stage_names[] = {
	[TIER_STAGE_OFFERED] = "offered",     [TIER_STAGE_READY] = "ready",
	[TIER_STAGE_MOVING] = "moving",	      [TIER_STAGE_CHECKSUMS] = "checksums",
	[TIER_STAGE_PAUSED] = "paused",	      [TIER_STAGE_PUBLISHED] = "published",
	[TIER_STAGE_VERIFYING] = "verifying", [TIER_STAGE_ACCEPTED] = "accepted",
	[TIER_STAGE_COMMITTED] = "committed", [TIER_STAGE_RUNNING] = "running",
	[TIER_STAGE_DONE] = "done",	      [TIER_STAGE_ABORTED] = "aborted",
};

/* What each stage means, said by the side that it happens on. */
static const char *const source_texts[] = {
	[TIER_STAGE_OFFERED] = "offered; waiting for the destination",
	[TIER_STAGE_READY] = "the destination is ready",
	[TIER_STAGE_PAUSED] = "paused",
	[TIER_STAGE_PUBLISHED] = "published: manifest and device state are in the portal",
	[TIER_STAGE_ACCEPTED] = "the destination has verified everything",
	[TIER_STAGE_COMMITTED] = "committed: it will not run here again",
	[TIER_STAGE_RUNNING] = "runs on the destination",
	[TIER_STAGE_DONE] = "done: its memory here is free again",
	[TIER_STAGE_ABORTED] = "aborted: it runs on here",
};

static const char *const destination_texts[] = {
	[TIER_STAGE_READY] = "ready: QEMU waits here",
	[TIER_STAGE_PUBLISHED] = "published by the source; verifying",
	[TIER_STAGE_ACCEPTED] = "accepted: every checksum matched",
	[TIER_STAGE_COMMITTED] = "committed by the source: the VM is ours",
	[TIER_STAGE_RUNNING] = "runs here",
	[TIER_STAGE_DONE] = "done: its memory is our own DRAM",
	[TIER_STAGE_ABORTED] = "aborted: nothing runs here",
};

/* How a flight is shown. */
struct display {
	const char *vm;
	const char *const *texts;
	size_t text_count;
	struct tool_progress progress;
	enum tier_flight_stage progress_stage;
	bool progressing;
};

static void end_progress(struct display *display)
{
	if (display->progressing)
		tool_progress_end(&display->progress);
	display->progressing = false;
}

static void on_stage(void *userdata, enum tier_flight_stage stage)
{
	struct display *display = userdata;

	end_progress(display);
	if (tool_common.json)
		printf("{\"vm\":\"%s\",\"stage\":\"%s\"}\n", display->vm, stage_names[stage]);
	else if ((size_t)stage < display->text_count && display->texts[stage])
		printf("%s: %s\n", display->vm, display->texts[stage]);
	fflush(stdout);
}

static void on_progress(void *userdata, enum tier_flight_stage stage, uint64_t done, uint64_t total)
{
	struct display *display = userdata;

	if (!display->progressing || display->progress_stage != stage) {
		end_progress(display);
		display->progress = (struct tool_progress){.label = stage_names[stage]};
		display->progress_stage = stage;
		display->progressing = true;
	}
	tool_progress_update(&display->progress, done, total, "bytes");
}

static bool on_cancelled(void *userdata)
{
	return tool_interrupted();
}

static struct tier_flight_observer observe(struct display *display)
{
	return (struct tier_flight_observer){
		.userdata = display,
		.stage = on_stage,
		.step = tool_break,
		.progress = on_progress,
		.cancelled = on_cancelled,
	};
}

static void copy_text(char *to, size_t size, sd_json_variant *object, const char *key)
{
	snprintf(to, size, "%s", json_text(object, key));
}

static int parse_uuid(const char *text, struct tier_uuid *ret)
{
	sd_id128_t id;

	if (sd_id128_from_string(text, &id) < 0)
		return -EINVAL;
	memcpy(ret->bytes, id.bytes, sizeof(ret->bytes));
	return 0;
}

/* What BeginFlight and AcceptFlight answer. @slot: this side's own. */
static int parse_grant(sd_json_variant *reply, struct tier_flight_grant *ret, uint32_t *ret_slot)
{
	struct tier_flight_grant grant = {};

	copy_text(grant.portal_path, sizeof(grant.portal_path), reply, "portalPath");
	copy_text(grant.region, sizeof(grant.region), reply, "region");
	grant.host = (uint32_t)json_number(reply, "host");
	grant.incarnation = json_number(reply, "incarnation");
	if (!grant.portal_path[0] || grant.incarnation == 0 ||
	    parse_uuid(json_text(reply, "flight"), &grant.flight) < 0)
		return tool_fail_text("cxl-tierd", "are tierctl and cxl-tierd of one version?",
				      "its answer cannot be understood");
	*ret = grant;
	/* In *ret. */
	*ret_slot = (uint32_t)json_number(reply, "slot");
	return 0;
}

/* Calls a method of this session with the arguments built. */
#define call(client, method, ret, ...)                                                             \
	({                                                                                         \
		sd_json_variant *arguments_ = NULL;                                                \
		int r_ = sd_json_build(&arguments_, SD_JSON_BUILD_OBJECT(__VA_ARGS__));            \
		r_ = r_ < 0 ? tool_fail_text("cxl-tierd", NULL, "out of memory")                   \
			    : client_session_call(client, method, arguments_, ret);                \
		sd_json_variant_unref(arguments_);                                                 \
		r_;                                                                                \
	})

/* The daemon scrubs the extents and frees the claim; it refuses while the flight has not ended. */
static int end_flight(struct client *client, const struct tier_flight_grant *grant, bool failed)
{
	sd_json_variant *arguments = NULL;
	char uuid[37];
	int r = 0;

	tier_uuid_format(&grant->flight, uuid);
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("flight", uuid)) < 0)
		return tool_fail_text("cxl-tierd", NULL, "out of memory");
	if (failed)
		client_session_try(client, "EndFlight", arguments);
	else
		r = client_session_call(client, "EndFlight", arguments, NULL);
	sd_json_variant_unref(arguments);
	return r;
}

static void print_report(const struct tier_flight_report *report, const char *where)
{
	char bytes[16], *json;

	if (tool_common.json) {
		if (tier_flight_report_to_json(report, &json) == 0) {
			printf("{\"report\":%s}\n", json);
			free(json);
		}
		return;
	}
	printf("%s: %s: %" PRIu64 " pages (%s) in %" PRIu64 " runs, %" PRIu64
	       " bytes of device state, paused %.3f s, %.3f s in all\n",
	       report->vm, where,
	       report->verified_pages ? report->verified_pages : report->moved_pages,
	       tool_bytes(bytes,
			  (report->verified_pages ? report->verified_pages : report->moved_pages) *
				  (uint64_t)sysconf(_SC_PAGESIZE)),
	       report->runs, report->state_bytes, (double)report->pause_usec / 1e6,
	       (double)report->total_usec / 1e6);
}

static int send_with(struct client *client, const struct tier_config *config,
		     struct tier_machine *machine, const struct tier_machine_info *info,
		     const char *to, const char *portal, const struct tier_flight_options *options)
{
	struct display display = {.vm = info->name,
				  .texts = source_texts,
				  .text_count = sizeof(source_texts) / sizeof(source_texts[0])};
	struct tier_flight_observer observer = observe(&display);
	struct tier_flight_report report;
	struct tier_flight_grant grant;
	struct tier_problem problem = {};
	sd_json_variant *reply = NULL;
	int r, ended;

	r = call(client, "BeginFlight", &reply, SD_JSON_BUILD_PAIR_STRING("vm", info->name),
		 SD_JSON_BUILD_PAIR_STRING("destination", to),
		 SD_JSON_BUILD_PAIR_CONDITION(portal != NULL, "portal",
					      SD_JSON_BUILD_STRING(portal)),
		 SD_JSON_BUILD_PAIR_UNSIGNED("ramBytes", info->memory_bytes));
	if (r)
		return r;
	r = parse_grant(reply, &grant, &grant.source_slot);
	grant.source = grant.host;
	sd_json_variant_unref(reply);
	if (r)
		return r;
	r = tier_flight_send(config, machine, info, &grant, options, &observer, &report, &problem);
	end_progress(&display);
	ended = end_flight(client, &grant, r != 0);
	if (r)
		return tool_fail(&problem);
	print_report(&report, "handed over");
	return ended;
}

int cmd_send(int argc, char **argv)
{
	struct tier_flight_options options = {
		.grant_usec = 30 * SECONDS, .step_usec = 300 * SECONDS, .hold_usec = 300 * SECONDS};
	const char *to = NULL, *portal = NULL;
	uint64_t timeout = 120;
	const struct tool_option table[] = {
		{"to", "HOST", "destination host, as the portal names it", TOOL_STRING, &to},
		{"portal", "PORTAL", "which portal; default: one that both hosts share",
		 TOOL_STRING, &portal},
		{"rate", "BYTES", "limit of the move while the VM runs, per second", TOOL_BYTES,
		 &options.rate_bytes_per_sec},
		{"timeout", "SECONDS", "how long to wait for the destination; default 120",
		 TOOL_NUMBER, &timeout},
	};
	struct tier_config *config;
	struct tier_machine *machine = NULL;
	struct tier_machine_info info;
	struct tier_problem problem = {};
	struct client *client = NULL;
	char **names;
	int r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 1, 1, &names, NULL);
	if (r)
		return r;
	if (!to)
		return tool_usage("send: --to HOST is missing");
	options.ready_usec = timeout * SECONDS;
	if (geteuid() != 0)
		return tool_fail_text(names[0], "sudo tierctl send", "sending a VM needs root");
	if (tool_config(&config))
		return TOOL_FAILED;
	tool_catch_interrupt();
	r = client_open(&client);
	if (r == 0) {
		r = tier_machine_attach(config, names[0], &machine, &problem);
		r = r ?: tier_machine_inspect(machine, &info, &problem);
		r = r ? tool_fail(&problem)
		      : send_with(client, config, machine, &info, to, portal, &options);
	}
	tier_machine_free(machine);
	client_close(client);
	tier_config_free(config);
	return r;
}

/* An offer for this host that fits --machine and --from; NULL if there is none now. */
static sd_json_variant *choose_offer(sd_json_variant *reply, const char *machine, const char *from)
{
	sd_json_variant *offers = sd_json_variant_by_key(reply, "offers");

	for (size_t i = 0; offers && i < sd_json_variant_elements(offers); i++) {
		sd_json_variant *offer = sd_json_variant_by_index(offers, i);

		if (machine && strcmp(json_text(offer, "vm"), machine) != 0)
			continue;
		if (from && strcmp(json_text(offer, "sourceName"), from) != 0)
			continue;
		return sd_json_variant_ref(offer);
	}
	return NULL;
}

/* Nobody offered anything, or this host cannot read where somebody does: then why. */
static int tell_no_offer(struct client *client, const char *machine, uint64_t seconds)
{
	sd_json_variant *reply = NULL, *portals;
	const char *problem = NULL;

	if (client_session_call(client, "Portals", NULL, &reply))
		return TOOL_FAILED;
	portals = sd_json_variant_by_key(reply, "portals");
	for (size_t i = 0; portals && i < sd_json_variant_elements(portals) && !problem; i++) {
		sd_json_variant *portal = sd_json_variant_by_index(portals, i);

		if (strcmp(json_text(portal, "state"), "usable") != 0 &&
		    *json_text(portal, "problem"))
			problem = json_text(portal, "problem");
	}
	if (problem)
		tool_fail_text(machine ?: "receive", NULL,
			       "no offer for this host within %" PRIu64 " s; %s", seconds, problem);
	else
		tool_fail_text(machine ?: "receive", "tierctl send there",
			       "no offer for this host within %" PRIu64 " s", seconds);
	sd_json_variant_unref(reply);
	return TOOL_FAILED;
}

static int await_offer(struct client *client, const char *machine, const char *from,
		       uint64_t timeout_seconds, sd_json_variant **ret)
{
	struct timespec now;
	time_t deadline;

	clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = now.tv_sec + (time_t)timeout_seconds;
	for (;;) {
		sd_json_variant *reply = NULL;
		int r = client_session_call(client, "Offers", NULL, &reply);

		if (r)
			return r;
		*ret = choose_offer(reply, machine, from);
		sd_json_variant_unref(reply);
		if (*ret)
			return 0;
		if (tool_interrupted())
			return tool_fail_text(machine ?: "receive", NULL, "cancelled");
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > deadline)
			return tell_no_offer(client, machine, timeout_seconds);
		poll(NULL, 0, OFFERS_POLL_MS);
	}
}

/* The daemon hands out a slot; the offer itself is read from the portal, where it is checked. */
static int receive_offer(struct client *client, const struct tier_config *config,
			 sd_json_variant *found, const struct tier_flight_options *options)
{
	struct display display = {.vm = json_text(found, "vm"),
				  .texts = destination_texts,
				  .text_count =
					  sizeof(destination_texts) / sizeof(destination_texts[0])};
	struct tier_flight_observer observer = observe(&display);
	struct tier_flight_report report;
	struct tier_flight_grant grant;
	struct tier_problem problem = {};
	sd_json_variant *reply = NULL;
	int r, ended;

	r = call(client, "AcceptFlight", &reply,
		 SD_JSON_BUILD_PAIR_STRING("portal", json_text(found, "portalPath")),
		 SD_JSON_BUILD_PAIR_UNSIGNED("source", json_number(found, "source")),
		 SD_JSON_BUILD_PAIR_UNSIGNED("sourceSlot", json_number(found, "sourceSlot")),
		 SD_JSON_BUILD_PAIR_STRING("flight", json_text(found, "flight")));
	if (r)
		return r;
	r = parse_grant(reply, &grant, &grant.answer_slot);
	sd_json_variant_unref(reply);
	if (r)
		return r;
	grant.source = (uint32_t)json_number(found, "source");
	grant.source_slot = (uint32_t)json_number(found, "sourceSlot");
	r = tier_flight_receive(config, &grant, options, &observer, &report, &problem);
	end_progress(&display);
	ended = end_flight(client, &grant, r != 0);
	if (r)
		return tool_fail(&problem);
	print_report(&report, "received");
	return ended;
}

int cmd_receive(int argc, char **argv)
{
	const char *machine = NULL, *from = NULL;
	uint64_t timeout = 3600;
	const struct tool_option table[] = {
		{"machine", "NAME", "only this machine; default: any that is configured here",
		 TOOL_STRING, &machine},
		{"from", "HOST", "only from this host", TOOL_STRING, &from},
		{"timeout", "SECONDS", "how long to wait in each step; default 3600", TOOL_NUMBER,
		 &timeout},
	};
	struct tier_flight_options options;
	struct tier_config *config;
	struct client *client = NULL;
	sd_json_variant *found = NULL;
	int r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 0, 0, NULL, NULL);
	if (r)
		return r;
	if (geteuid() != 0)
		return tool_fail_text(machine ?: "receive", "sudo tierctl receive",
				      "receiving a VM needs root");
	if (tool_config(&config))
		return TOOL_FAILED;
	options = (struct tier_flight_options){.ready_usec = timeout * SECONDS,
					       .step_usec = timeout * SECONDS};
	if (machine && !tier_config_machine(config, machine))
		r = tool_fail_text(machine, "add a [Machine] section to cxl-tierd.conf",
				   "no such machine in this host's configuration");
	tool_catch_interrupt();
	r = r ?: client_open(&client);
	r = r ?: await_offer(client, machine, from, timeout, &found);
	r = r ?: receive_offer(client, config, found, &options);
	sd_json_variant_unref(found);
	client_close(client);
	tier_config_free(config);
	return r;
}

static void print_flight(struct tool_table *table, sd_json_variant *flight)
{
	char state[48];
	const char *there = json_text(flight, "destinationState");

	snprintf(state, sizeof(state), "%s%s%s", json_text(flight, "sourceState"),
		 there[0] ? "/" : "", there);
	tool_table_row(table, json_text(flight, "vm"), json_text(flight, "source"),
		       json_text(flight, "destination"), json_text(flight, "portal"), state,
		       json_text(flight, "advice"));
}

int cmd_flights(int argc, char **argv)
{
	static const char *const columns[] = {"VM", "FROM", "TO", "PORTAL", "STATE", "NEXT"};
	struct tool_table *table;
	sd_json_variant *reply = NULL, *flights;
	int r;

	r = tool_parse(argc, argv, NULL, 0, 0, 0, NULL, NULL);
	r = r ?: client_call("Flights", NULL, &reply);
	if (r)
		return r;
	flights = sd_json_variant_by_key(reply, "flights");
	if (tool_common.json) {
		sd_json_variant_dump(flights, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
				     stdout, NULL);
	} else if (tool_table_new(&table, columns, 6, "llllll") == 0) {
		for (size_t i = 0; i < sd_json_variant_elements(flights); i++)
			print_flight(table, sd_json_variant_by_index(flights, i));
		tool_table_print(table);
		tool_table_free(table);
	}
	sd_json_variant_unref(reply);
	return TOOL_OK;
}

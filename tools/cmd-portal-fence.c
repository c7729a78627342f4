/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl portal fence */
#include <systemd/sd-json.h>

#include "client.h"
#include "fence-agent.h"
#include "json.h"
#include "lock.h"
#include "portal-list.h"
#include "tool.h"

#define DEFAULT_TIMEOUT 120
#define MAX_TIMEOUT	86400

struct request {
	const char *host, *key, *command, *heir;
	bool confirmed, dry_run;
	struct fence_agent agent;
	/* found out */
	struct tier_portal *portal;
	const struct tier_super *super;
	uint32_t self, target;
	uint64_t incarnation;
};

static void unref(sd_json_variant **variant)
{
	sd_json_variant_unref(*variant);
}
#define _cleanup_json_ __attribute__((cleanup(unref)))

static bool interrupted(void *userdata)
{
	return tool_interrupted();
}

/* INTENT is stored. 0: the host is off, or has been since then. */
static int make_sure(void *userdata, const struct tier_fence_record *intent,
		     struct tier_problem *problem)
{
	struct request *request = userdata;
	uint64_t usec = 0;

	if (request->command)
		return fence_agent_run(&request->agent, problem);
	if (tier_portal_silence_usec(request->portal, request->target, &usec) == 0)
		fprintf(stderr, "watching for %" PRIu64 " s whether %s beats\n",
			(usec + 999999) / 1000000, request->host);
	return tier_portal_silent(request->portal, request->target, interrupted, NULL, problem);
}

static bool has_host(sd_json_variant *portal, const char *name)
{
	sd_json_variant *hosts = sd_json_variant_by_key(portal, "hosts");

	for (size_t i = 0; hosts && i < sd_json_variant_elements(hosts); i++)
		if (strcmp(json_text(sd_json_variant_by_index(hosts, i), "name"), name) == 0)
			return true;
	return false;
}

static bool called(sd_json_variant *portal, const char *key)
{
	return strcmp(key, json_text(portal, "name")) == 0 ||
	       strcmp(key, json_text(portal, "path")) == 0 ||
	       strcmp(key, json_text(portal, "region")) == 0;
}

/* The portal that --portal names; without it the only one that has the host. */
static int find_portal(const struct request *request, sd_json_variant *portals,
		       sd_json_variant **ret)
{
	sd_json_variant *found = NULL;

	for (size_t i = 0; portals && i < sd_json_variant_elements(portals); i++) {
		sd_json_variant *portal = sd_json_variant_by_index(portals, i);

		if (request->key ? !called(portal, request->key) : !has_host(portal, request->host))
			continue;
		if (found)
			return tool_fail_text(request->host, "say which with --portal",
					      "%s and %s are both meant", json_text(found, "path"),
					      json_text(portal, "path"));
		found = portal;
	}
	if (!found && request->key)
		return tool_fail_text(request->key, "tierctl portal show",
				      "no such portal on this host");
	if (!found)
		return tool_fail_text(request->host, "tierctl portal show",
				      "no portal of this host has a host of this name");
	if (json_number(found, "incarnation") == 0) {
		const char *why = json_text(found, "problem");

		return tool_fail_text(json_text(found, "path"), "tierctl portal check",
				      "this host takes no part in it%s%s", why[0] ? ": " : "", why);
	}
	*ret = found;
	return 0;
}

/* Appends to @array, and prints unless --json. */
static int tell_flight(const struct request *request, const struct tier_fence_record *record,
		       uint32_t source, uint32_t slot, sd_json_variant **array)
{
	struct tier_handoff_view view = {.self = request->self};
	const struct tier_super *super = request->super;
	struct tier_handoff_holder holder;
	const char *vm = view.offer.vm, *from = super->hosts[source].name, *to;
	char advice[192], flight[37];
	bool ours;
	int r = tier_portal_look(request->portal, source, slot, NULL, &view);

	if (r == TIER_E_DAMAGED && !tool_common.json)
		printf("  a flight from %s cannot be read: tierctl portal check\n", from);
	if (r || view.offer.state == TIER_FLIGHT_NONE)
		return r < 0 ? r : 0;
	/* In a dry run it is not so yet. */
	view.fences[request->target] =
		(struct tier_handoff_fence){record->upto, record->upto, record->heir};
	holder = tier_handoff_holder(&view);
	if (holder.over ||
	    (source != request->target && view.offer.destination != request->target &&
	     view.answers[request->target].state == TIER_FLIGHT_NONE))
		return 0;
	to = super->hosts[view.offer.destination].name;
	ours = holder.host == request->self && !holder.conflict;
	tier_handoff_advice(super, &view, advice);
	tier_uuid_format(&view.offer.flight, flight);
	if (!tool_common.json) {
		printf("  VM %s, from %s to %s: %s\n", vm, from, to, advice);
		if (ours)
			printf("    on this host: tierctl settle %s\n", vm);
	}
	return sd_json_variant_append_arraybo(array, SD_JSON_BUILD_PAIR_STRING("vm", vm),
					      SD_JSON_BUILD_PAIR_STRING("flight", flight),
					      SD_JSON_BUILD_PAIR_STRING("source", from),
					      SD_JSON_BUILD_PAIR_STRING("destination", to),
					      SD_JSON_BUILD_PAIR_STRING("advice", advice),
					      SD_JSON_BUILD_PAIR_BOOLEAN("settle_here", ours));
}

static int tell(const struct request *request, const struct tier_fence_record *record)
{
	_cleanup_json_ sd_json_variant *flights = NULL, *object = NULL;
	const struct tier_super *super = request->super;
	const char *heir = super->hosts[record->heir].name;
	int r = sd_json_variant_new_array(&flights, NULL, 0);

	if (!tool_common.json)
		printf("%s: boot %" PRIu64 " in %s %s; heir is %s; it takes part again once it has "
		       "booted\n",
		       request->host, record->upto, super->name,
		       request->dry_run ? "would be fenced" : "is fenced", heir);
	for (uint32_t i = 0; r >= 0 && i < super->host_count * TIER_PORTAL_FLIGHTS; i++)
		r = tell_flight(request, record, i / TIER_PORTAL_FLIGHTS, i % TIER_PORTAL_FLIGHTS,
				&flights);
	if (r >= 0 && tool_common.json)
		r = sd_json_buildo(&object, SD_JSON_BUILD_PAIR_STRING("portal", super->name),
				   SD_JSON_BUILD_PAIR_STRING("host", request->host),
				   SD_JSON_BUILD_PAIR_BOOLEAN("fenced", !request->dry_run),
				   SD_JSON_BUILD_PAIR_UNSIGNED("incarnation", record->upto),
				   SD_JSON_BUILD_PAIR_STRING(
					   "method", record->method == TIER_FENCE_METHOD_AGENT
							     ? "agent"
							     : "confirmed"),
				   SD_JSON_BUILD_PAIR_STRING("heir", heir),
				   SD_JSON_BUILD_PAIR_VARIANT("flights", flights));
	if (r >= 0 && tool_common.json)
		r = sd_json_variant_dump(object, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
					 stdout, NULL);
	/* What was to be done is done. */
	if (r < 0)
		return tool_fail_text(request->host, "tierctl flights",
				      "%s, but its flights cannot be told: %s",
				      request->dry_run ? "not fenced" : "fenced", tier_strerror(r));
	return TOOL_OK;
}

static int slot_of(const struct request *request, const char *name, uint32_t *ret)
{
	*ret = tier_super_host(request->super, name);
	if (*ret != TIER_PORTAL_NO_HOST)
		return 0;
	return tool_fail_text(name, "tierctl portal show", "no host of portal %s has this name",
			      request->super->name);
}

static int fence(struct request *request)
{
	struct tier_problem problem = {};
	struct tier_fence_record record;
	struct tier_fencing fencing = {
		.host = request->self,
		.incarnation = request->incarnation,
		.method = request->command ? TIER_FENCE_METHOD_AGENT : TIER_FENCE_METHOD_CONFIRMED,
		.heir = TIER_PORTAL_NO_HOST,
		.userdata = request,
		.end = request->dry_run ? NULL : make_sure,
		.step = tool_break,
	};
	int r = slot_of(request, request->host, &request->target);

	if (r == 0 && request->heir)
		r = slot_of(request, request->heir, &fencing.heir);
	if (r)
		return r;
	fencing.target = request->target;
	request->agent.host = request->host;
	request->agent.portal = request->super->name;
	tool_catch_interrupt();
	r = tier_portal_fence(request->portal, &fencing, &record, &problem);
	if (r == -EINVAL)
		return tool_fail_text(request->host, "systemctl restart cxl-tierd",
				      "what cxl-tierd says of the portal does not fit it");
	return r ? tool_fail(&problem) : tell(request, &record);
}

static int open_and_fence(struct request *request, sd_json_variant *place)
{
	struct tier_problem problem = {};
	int r;

	request->self = (uint32_t)json_number(place, "slot");
	request->incarnation = json_number(place, "incarnation");
	if (portal_open(json_text(place, "path"),
			request->dry_run ? TIER_PORTAL_READ : TIER_PORTAL_WRITE, &request->portal,
			&problem) != 0)
		return tool_fail(&problem);
	request->super = tier_portal_super(request->portal);
	r = fence(request);
	tier_portal_close(request->portal);
	return r;
}

/* One at a time: this host has one record of each other host. */
static int lock_and_fence(struct request *request, sd_json_variant *place)
{
	char path[300];
	int fd, r;

	if (request->dry_run)
		return open_and_fence(request, place);
	r = lock_fences(&fd, path);
	if (r == TIER_E_BUSY)
		return tool_fail_text(request->host, "let it end first",
				      "another tierctl portal fence runs on this host");
	if (r)
		return tool_fail_text(path, NULL, "cannot lock it: %s", tier_strerror(r));
	r = open_and_fence(request, place);
	close(fd);
	return r;
}

static int check_usage(struct request *request)
{
	if (!request->command == !request->confirmed)
		return tool_usage(
			"portal fence: give one of --agent CMD and --confirm-powered-off");
	if (request->agent.timeout_sec == 0 || request->agent.timeout_sec > MAX_TIMEOUT)
		return tool_usage("portal fence: --timeout takes 1 to %d seconds", MAX_TIMEOUT);
	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0)
		return tool_usage("portal fence: not in a dump of a machine");
	return 0;
}

int cmd_portal_fence(int argc, char **argv)
{
	struct request request = {.agent = {.timeout_sec = DEFAULT_TIMEOUT}};
	const struct tool_option table[] = {
		{"portal", "PORTAL", "in which portal; default: the only one that has the host",
		 TOOL_STRING, &request.key},
		{"agent", "CMD", "a fencing agent and its arguments; it must cut the power",
		 TOOL_STRING, &request.command},
		{"confirm-powered-off", NULL, "you have made sure yourself that it is off",
		 TOOL_FLAG, &request.confirmed},
		{"heir", "HOST", "who takes what it alone could take; default: this host",
		 TOOL_STRING, &request.heir},
		{"timeout", "SECONDS", "how long the agent may take; default: 120", TOOL_NUMBER,
		 &request.agent.timeout_sec},
		{"dry-run", NULL, "say what would be so, and run and store nothing", TOOL_FLAG,
		 &request.dry_run},
	};
	_cleanup_json_ sd_json_variant *reply = NULL;
	sd_json_variant *place = NULL;
	char **names, *command = NULL;
	int r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 1, 1, &names, NULL);

	r = r ?: check_usage(&request);
	if (r == 0 && request.command) {
		command = strdup(request.command);
		r = command ? fence_agent_split(&request.agent, command)
			    : tool_fail_text("tierctl", NULL, "out of memory");
	}
	if (r == 0) {
		request.host = names[0];
		if (!request.dry_run && geteuid() != 0)
			r = tool_fail_text(request.host, "sudo tierctl portal fence",
					   "fencing a host needs root");
	}
	r = r ?: client_call("Portals", NULL, &reply);
	r = r ?: find_portal(&request, sd_json_variant_by_key(reply, "portals"), &place);
	r = r ?: lock_and_fence(&request, place);
	free(command);
	return r;
}

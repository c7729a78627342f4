/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl settle */
#include <systemd/sd-id128.h>
#include <systemd/sd-json.h>

#include "client.h"
#include "flight-json.h"
#include "json.h"
#include "tool.h"

static bool named(sd_json_variant *flight, const char *name)
{
	return strcmp(json_text(flight, "vm"), name) == 0 ||
	       strcmp(json_text(flight, "flight"), name) == 0;
}

static const char *done_text(enum tier_handoff_action action)
{
	switch (action) {
	case TIER_HANDOFF_WITHDRAW:
		return "it runs on here; the flight is ABORTED";
	case TIER_HANDOFF_TAKE:
	case TIER_HANDOFF_RUN:
		return "brought out of the portal; it runs here";
	case TIER_HANDOFF_FINISH:
		return "it is this host's; the flight is DONE";
	case TIER_HANDOFF_RELEASE:
		return "it is the other host's; the flight is CLOSED";
	case TIER_HANDOFF_ABANDON:
	case TIER_HANDOFF_DISCARD:
		return "given up; the flight is ABORTED";
	case TIER_HANDOFF_REFUSE:
	case TIER_HANDOFF_BACK_OUT:
		return "refused; the source may go on with it";
	case TIER_HANDOFF_DROP:
	case TIER_HANDOFF_CLEAR:
		return "the source has kept it; nothing of it is left here";
	default:
		return "nothing is left to do here";
	}
}

static int settle_flight(const struct tier_config *config, sd_json_variant *flight,
			 sd_json_variant *portal, bool discard)
{
	const char *vm = json_text(flight, "vm");
	struct tier_flight_observer observer = {.step = tool_break};
	enum tier_handoff_action action;
	struct tier_flight_grant grant = {
		.host = (uint32_t)json_number(portal, "slot"),
		.source = (uint32_t)json_number(flight, "sourceHost"),
		.source_slot = (uint32_t)json_number(flight, "sourceSlot"),
		.incarnation = json_number(portal, "incarnation"),
	};
	struct tier_problem problem = {};
	sd_id128_t id;
	int r;

	if (strcmp(json_text(flight, "session"), "held") == 0)
		return tool_fail_text(vm, "end that tierctl send or receive with Ctrl-C",
				      "a process is carrying its flight out");
	if (sd_id128_from_string(json_text(flight, "flight"), &id) < 0)
		return tool_fail_text(vm, "tierctl portal check", "its flight's record is damaged");
	memcpy(grant.flight.bytes, id.bytes, sizeof(grant.flight.bytes));
	snprintf(grant.portal_path, sizeof(grant.portal_path), "%s",
		 json_text(flight, "portalPath"));
	snprintf(grant.region, sizeof(grant.region), "%s", json_text(flight, "region"));
	r = tier_flight_settle(config, &grant, discard, &observer, &action, &problem);
	if (r)
		return tool_fail(&problem);
	if (tool_common.json)
		printf("{\"vm\":\"%s\",\"flight\":\"%s\",\"action\":\"%s\"}\n", vm,
		       json_text(flight, "flight"), tier_handoff_action_name(action));
	else
		printf("%s: flight from %s to %s: %s\n", vm, json_text(flight, "source"),
		       json_text(flight, "destination"), done_text(action));
	return TOOL_OK;
}

/* The extents are free again when this returns; cxl-tierd would see to it by itself, later. */
static void end_flight(const char *uuid)
{
	sd_json_variant *arguments = NULL;
	struct client *client;

	if (client_open(&client))
		return;
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("flight", uuid)) >= 0)
		client_session_try(client, "EndFlight", arguments);
	sd_json_variant_unref(arguments);
	client_close(client);
}

/* Every one of them: an earlier flight of the VM may wait for its end beside the one that matters. */
static int settle_all(const struct tier_config *config, sd_json_variant *flights,
		      sd_json_variant *portals, const char *name, bool discard)
{
	size_t count = flights ? sd_json_variant_elements(flights) : 0;
	bool found = false;
	int outcome = TOOL_OK;

	for (size_t i = 0; i < count; i++) {
		sd_json_variant *flight = sd_json_variant_by_index(flights, i);
		sd_json_variant *portal = flight_portal(flight, portals);
		int r;

		if (!portal || !named(flight, name))
			continue;
		found = true;
		r = settle_flight(config, flight, portal, discard);
		if (r == 0)
			end_flight(json_text(flight, "flight"));
		else
			outcome = r;
	}
	return found ? outcome
		     : tool_fail_text(name, "tierctl flights",
				      "no flight of it concerns this host");
}

int cmd_settle(int argc, char **argv)
{
	sd_json_variant *flights = NULL, *portals = NULL;
	bool discard = false;
	const struct tool_option table[] = {
		{"discard", NULL, "give up a VM that only this host could bring out of the portal",
		 TOOL_FLAG, &discard},
	};
	struct tier_config *config;
	char **names;
	int r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 1, 1, &names, NULL);
	if (r)
		return r;
	if (geteuid() != 0)
		return tool_fail_text(names[0], "sudo tierctl settle",
				      "settling a flight needs root");
	if (tool_config(&config))
		return TOOL_FAILED;
	r = client_call("Flights", NULL, &flights);
	r = r ?: client_call("Portals", NULL, &portals);
	r = r
		    ?: settle_all(config, sd_json_variant_by_key(flights, "flights"),
				  sd_json_variant_by_key(portals, "portals"), names[0], discard);
	sd_json_variant_unref(flights);
	sd_json_variant_unref(portals);
	tier_config_free(config);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl settle */
#include <systemd/sd-id128.h>
#include <systemd/sd-json.h>

#include "client.h"
#include "json.h"
#include "tool.h"

/* The flight of @vm that left this host and whose end has not been seen to; NULL if none. */
static sd_json_variant *find_flight(sd_json_variant *flights, const char *vm)
{
	sd_json_variant *found = NULL;

	for (size_t i = 0; flights && i < sd_json_variant_elements(flights); i++) {
		sd_json_variant *flight = sd_json_variant_by_index(flights, i);

		if (strcmp(json_text(flight, "vm"), vm) != 0 || !json_flag(flight, "ours"))
			continue;
		/* One that has ended may still have its extents open; one under way comes first. */
		if (!json_flag(flight, "ended"))
			return flight;
		if (strcmp(json_text(flight, "session"), "orphaned") == 0)
			found = flight;
	}
	return found;
}

static int settle_flight(const struct tier_config *config, sd_json_variant *flight, const char *vm)
{
	struct tier_problem problem = {};
	sd_json_variant *arguments = NULL;
	enum tier_flight_state state = TIER_FLIGHT_NONE;
	struct tier_uuid uuid;
	const char *name;
	sd_id128_t id;
	int r;

	if (strcmp(json_text(flight, "session"), "held") == 0)
		return tool_fail_text(vm, "end that tierctl send with Ctrl-C",
				      "a process is carrying its flight out");
	if (sd_id128_from_string(json_text(flight, "flight"), &id) < 0)
		return tool_fail_text(vm, "tierctl portal check", "its flight's record is damaged");
	memcpy(uuid.bytes, id.bytes, sizeof(uuid.bytes));
	r = tier_flight_settle(config, json_text(flight, "portalPath"), json_text(flight, "region"),
			       (uint32_t)json_number(flight, "sourceHost"),
			       (uint32_t)json_number(flight, "sourceSlot"), &uuid, &state,
			       &problem);
	if (r)
		return tool_fail(&problem);
	if (sd_json_buildo(&arguments,
			   SD_JSON_BUILD_PAIR_STRING("flight", json_text(flight, "flight"))) < 0)
		return tool_fail_text(vm, NULL, "out of memory");
	r = client_call("EndFlight", arguments, NULL);
	sd_json_variant_unref(arguments);
	if (r)
		return r;
	name = tier_flight_state_name(state);
	if (tool_common.json)
		printf("{\"vm\":\"%s\",\"flight\":\"%s\",\"state\":\"%s\"}\n", vm,
		       json_text(flight, "flight"), name);
	else
		printf("%s: flight to %s is %s; its extents are free again\n", vm,
		       json_text(flight, "destination"), name);
	return TOOL_OK;
}

int cmd_settle(int argc, char **argv)
{
	sd_json_variant *reply = NULL, *flight;
	struct tier_config *config;
	char **names;
	int r;

	r = tool_parse(argc, argv, NULL, 0, 1, 1, &names, NULL);
	if (r)
		return r;
	if (geteuid() != 0)
		return tool_fail_text(names[0], "sudo tierctl settle",
				      "settling a flight needs root");
	if (tool_config(&config))
		return TOOL_FAILED;
	r = client_call("Flights", NULL, &reply);
	if (r == 0) {
		flight = find_flight(sd_json_variant_by_key(reply, "flights"), names[0]);
		r = flight ? settle_flight(config, flight, names[0])
			   : tool_fail_text(names[0], "tierctl flights",
					    "no flight of it leaves this host");
	}
	sd_json_variant_unref(reply);
	tier_config_free(config);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-id128.h>

#include "manager.h"
#include "varlink.h"

/* The methods that carry flights, and what all methods that refuse or need root have in common. */

#define ERROR_REFUSED "io.cxltier.Manager.Refused"
#define ERROR_DENIED  "io.cxltier.Manager.PermissionDenied"

int varlink_refuse(sd_varlink *link, const struct tier_problem *problem)
{
	return varlink_refuse_with(link, problem, NULL);
}

int varlink_refuse_with(sd_varlink *link, const struct tier_problem *problem,
			sd_json_variant *report)
{
	return sd_varlink_errorbo(link, ERROR_REFUSED,
				  SD_JSON_BUILD_PAIR_STRING("object", problem->object),
				  SD_JSON_BUILD_PAIR_STRING("text", problem->text),
				  SD_JSON_BUILD_PAIR_STRING("next", problem->next),
				  SD_JSON_BUILD_PAIR_CONDITION(report != NULL, "report",
							       SD_JSON_BUILD_VARIANT(report)));
}

bool varlink_denied(sd_varlink *link, const char *method, int *ret)
{
	uid_t uid;

	*ret = sd_varlink_get_peer_uid(link, &uid);
	if (*ret >= 0 && uid == 0)
		return false;
	*ret = sd_varlink_errorbo(
		link, ERROR_DENIED, SD_JSON_BUILD_PAIR_STRING("object", method),
		SD_JSON_BUILD_PAIR_STRING("text", "changes the host, so only root "
						  "may call it"),
		SD_JSON_BUILD_PAIR_STRING("next", "call it as root, e.g. with sudo"));
	return true;
}

static int parse_uuid(const char *text, struct tier_uuid *ret)
{
	sd_id128_t id;
	int r = sd_id128_from_string(text, &id);

	if (r < 0)
		return r;
	memcpy(ret->bytes, id.bytes, sizeof(ret->bytes));
	return 0;
}

struct flight_parameters {
	const char *vm, *destination, *portal, *flight;
	uint64_t ram_bytes;
	uint32_t source, source_slot;
};

#define PARAMETER(name, type, callback, field, flags)                                              \
	{name, SD_JSON_VARIANT_##type, sd_json_dispatch_##callback,                                \
	 offsetof(struct flight_parameters, field), SD_JSON_##flags}

int varlink_on_begin(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		     void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("vm", STRING, const_string, vm, MANDATORY),
		PARAMETER("destination", STRING, const_string, destination, MANDATORY),
		PARAMETER("portal", STRING, const_string, portal, NULLABLE),
		PARAMETER("ramBytes", UNSIGNED, uint64, ram_bytes, MANDATORY),
		{},
	};
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *grant = NULL;
	struct tier_problem problem = {};
	struct flight_parameters p = {};
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0 || varlink_denied(link, "BeginFlight", &r))
		return r;
	if (p.ram_bytes == 0 || p.ram_bytes > INT64_MAX)
		return sd_varlink_error_invalid_parameter_name(link, "ramBytes");
	r = session_begin(userdata, link,
			  &(struct session_request){.vm = p.vm,
						    .destination = p.destination,
						    .portal = p.portal,
						    .ram_bytes = p.ram_bytes},
			  &grant, &problem);
	return r != 0 ? varlink_refuse(link, &problem) : sd_varlink_reply(link, grant);
}

int varlink_on_accept(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("portal", STRING, const_string, portal, MANDATORY),
		PARAMETER("source", UNSIGNED, uint32, source, MANDATORY),
		PARAMETER("sourceSlot", UNSIGNED, uint32, source_slot, MANDATORY),
		PARAMETER("flight", STRING, const_string, flight, MANDATORY),
		{},
	};
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *grant = NULL;
	struct tier_problem problem = {};
	struct flight_parameters p = {};
	struct tier_uuid flight;
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0 || varlink_denied(link, "AcceptFlight", &r))
		return r;
	if (parse_uuid(p.flight, &flight) < 0)
		return sd_varlink_error_invalid_parameter_name(link, "flight");
	r = session_accept(userdata, link, p.portal, p.source, p.source_slot, &flight, &grant,
			   &problem);
	return r != 0 ? varlink_refuse(link, &problem) : sd_varlink_reply(link, grant);
}

int varlink_on_end(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		   void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("flight", STRING, const_string, flight, MANDATORY),
		{},
	};
	struct tier_problem problem = {};
	struct flight_parameters p = {};
	struct tier_uuid flight;
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0 || varlink_denied(link, "EndFlight", &r))
		return r;
	if (parse_uuid(p.flight, &flight) < 0)
		return sd_varlink_error_invalid_parameter_name(link, "flight");
	r = session_end(userdata, link, &flight, &problem);
	manager_status(userdata);
	return r != 0 ? varlink_refuse(link, &problem)
		      : homes_reply_when_zeroed(userdata, link, &flight);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"
#include "varlink.h"

/* The methods of io.cxltier.Manager about events and retired memory. */

struct parameters {
	const char *region, *id;
	uint64_t since_usec, offset;
	bool dry_run;
};

#define PARAMETER(name, type, callback, field, flags)                                              \
	{name, SD_JSON_VARIANT_##type, sd_json_dispatch_##callback,                                \
	 offsetof(struct parameters, field), SD_JSON_##flags}

int varlink_on_events(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("sinceUsec", UNSIGNED, uint64, since_usec, NULLABLE),
		{},
	};
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *events = NULL;
	struct parameters p = {};
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0)
		return r;
	r = events_to_json(userdata, p.since_usec, &events);
	if (r < 0)
		return sd_varlink_error_errno(link, r);
	if (!(flags & SD_VARLINK_METHOD_MORE))
		return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("events", events));
	r = sd_varlink_notifybo(link, SD_JSON_BUILD_PAIR_VARIANT("events", events));
	return r < 0 ? r : events_follow(userdata, link);
}

int varlink_on_retired(sd_varlink *link, sd_json_variant *parameters,
		       sd_varlink_method_flags_t flags, void *userdata)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *retired = NULL;
	struct manager *manager = userdata;
	int r;

	/* An empty list would be a lie. */
	if (manager->retired_code)
		return varlink_refuse(link, &manager->retired_problem);
	r = retired_to_json(manager, &retired);
	if (r < 0)
		return sd_varlink_error_errno(link, r);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("retired", retired));
}

int varlink_on_retire(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("region", STRING, const_string, region, MANDATORY),
		PARAMETER("offset", UNSIGNED, uint64, offset, MANDATORY),
		PARAMETER("dryRun", BOOLEAN, stdbool, dry_run, NULLABLE),
		{},
	};
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *entry = NULL;
	struct tier_problem problem = {};
	struct parameters p = {};
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0 || (!p.dry_run && varlink_denied(link, "Retire", &r)))
		return r;
	r = retired_add_offset(userdata, p.region, p.offset, p.dry_run, &entry, &problem);
	if (r != 0)
		return varlink_refuse(link, &problem);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("entry", entry));
}

int varlink_on_unretire(sd_varlink *link, sd_json_variant *parameters,
			sd_varlink_method_flags_t flags, void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("id", STRING, const_string, id, MANDATORY),
		{},
	};
	struct tier_problem problem = {};
	struct parameters p = {};
	uint64_t serial, dpa;
	int r, end = 0;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0 || varlink_denied(link, "Unretire", &r))
		return r;
	if (sscanf(p.id, "0x%" SCNx64 ":0x%" SCNx64 "%n", &serial, &dpa, &end) != 2 ||
	    p.id[end] != '\0')
		return sd_varlink_error_invalid_parameter_name(link, "id");
	r = retired_remove(userdata, serial, dpa, &problem);
	return r != 0 ? varlink_refuse(link, &problem) : sd_varlink_reply(link, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "events.h"
#include "manager.h"
#include "offline.h"
#include "varlink.h"

/* The methods of io.cxltier.Manager. Each parses, asks a function of the manager, and replies. */

/* "no" is the configuration's word; nobody asks for it. */
static int parse_zone(const char *text, enum tier_online_zone *ret)
{
	return streq(text, "no") ? -EINVAL : tier_online_zone_parse(text, ret);
}

/* Replies with {KEY: the object that a text of the library is}. */
static int reply_json(sd_varlink *link, const char *key, int code, const char *json)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *object = NULL;

	if (code == 0)
		code = sd_json_parse(json, 0, &object, NULL, NULL);
	if (code < 0)
		return sd_varlink_error_errno(link, code);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT(key, object));
}

int varlink_reply_plan(sd_varlink *link, const struct tier_plan *plan, sd_json_variant *report)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *object = NULL;
	_cleanup_(freep) char *json = NULL;
	int r = tier_plan_to_json(plan, &json);

	if (r == 0)
		r = sd_json_parse(json, 0, &object, NULL, NULL);
	if (r < 0)
		return sd_varlink_error_errno(link, r);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("plan", object),
				  SD_JSON_BUILD_PAIR_CONDITION(report != NULL, "report",
							       SD_JSON_BUILD_VARIANT(report)));
}

static int reply_array(sd_varlink *link, const char *key, int code, sd_json_variant *array)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *owned = code >= 0 ? array : NULL;

	if (code < 0)
		return sd_varlink_error_errno(link, code);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT(key, owned));
}

static int on_ping(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		   void *userdata)
{
	return sd_varlink_reply(link, NULL);
}

static int on_info(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		   void *userdata)
{
	struct manager *manager = userdata;
	const char *config = manager->options.config, *tiering, *why;

	tiering_describe(manager, &tiering, &why);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_STRING("version", TIER_VERSION),
				  SD_JSON_BUILD_PAIR_INTEGER("pid", getpid()),
				  SD_JSON_BUILD_PAIR_STRING("hostname", manager->hostname),
				  SD_JSON_BUILD_PAIR_BOOLEAN("dryRun", manager_dry_run(manager)),
				  SD_JSON_BUILD_PAIR_BOOLEAN("hearsErrors", ras_listens(manager)),
				  SD_JSON_BUILD_PAIR_STRING("tiering", tiering),
				  SD_JSON_BUILD_PAIR_STRING("tieringReason", why),
				  SD_JSON_BUILD_PAIR_CONDITION(config != NULL, "configFile",
							       SD_JSON_BUILD_STRING(config)));
}

static int on_list(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		   void *userdata)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	struct manager *manager = userdata;
	_cleanup_(freep) char *json = NULL;
	struct tier_problem problem = {};
	int r;

	r = tier_topology_read(manager->options.sysroot, &topology, &problem);
	if (r != 0)
		return varlink_refuse(link, &problem);
	/* Not while a process of ours takes memory offline. */
	if (!manager->offline)
		(void)tier_topology_read_tiers(manager->options.sysroot, topology);
	tier_config_types(manager->config, topology);
	r = tier_topology_to_json(topology, &json);
	return reply_json(link, "topology", r, json);
}

struct online_parameters {
	char **regions;
	const char *region;
	const char *zone;
	uint32_t ratio;
	bool dry_run;
	bool to_devdax;
	bool keep_partial;
	uint64_t deadline_sec;
};

static void online_parameters_done(struct online_parameters *parameters)
{
	for (char **region = parameters->regions; region && *region; region++)
		free(*region);
	free(parameters->regions);
}

#define PARAMETER(name, type, callback, field, flags)                                              \
	{name, SD_JSON_VARIANT_##type, sd_json_dispatch_##callback,                                \
	 offsetof(struct online_parameters, field), SD_JSON_##flags}

static int online_later(sd_varlink *link, sd_json_variant *parameters, struct manager *manager);

/* Not of a region that is being taken offline: that is refused at once. */
static bool put_off(struct manager *manager, sd_varlink *link, sd_json_variant *parameters,
		    char **regions)
{
	for (size_t i = 0; regions && regions[i]; i++)
		if (offline_busy(manager, regions[i]))
			return false;
	return offline_defers_call(manager, link, parameters, online_later);
}

static int online_or_plan(sd_varlink *link, sd_json_variant *parameters, struct manager *manager,
			  bool online)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("regions", ARRAY, strv, regions, MANDATORY),
		PARAMETER("zone", STRING, const_string, zone, NULLABLE),
		PARAMETER("ratio", UNSIGNED, uint32, ratio, NULLABLE),
		PARAMETER("dryRun", BOOLEAN, stdbool, dry_run, NULLABLE),
		{},
	};
	_cleanup_(online_parameters_done) struct online_parameters p = {
		.ratio = manager->config->ratio_percent,
	};
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	enum tier_online_zone zone = TIER_ONLINE_AUTO;
	struct tier_problem problem = {};
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0)
		return r;
	if (p.zone && parse_zone(p.zone, &zone) < 0)
		return sd_varlink_error_invalid_parameter_name(link, "zone");
	if (p.ratio > TIER_RATIO_MAX)
		return sd_varlink_error_invalid_parameter_name(link, "ratio");
	if (online && !p.dry_run && varlink_denied(link, "Online", &r))
		return r;
	if (online && !p.dry_run && put_off(manager, link, parameters, p.regions))
		return 0;
	if (online)
		r = manager_online(manager, p.regions, zone, p.ratio, p.dry_run, &plan, &problem);
	else
		r = manager_plan(manager, p.regions, zone, p.ratio, &plan, &problem);
	manager_status(manager);
	return r != 0 ? varlink_refuse(link, &problem) : varlink_reply_plan(link, plan, NULL);
}

static int online_later(sd_varlink *link, sd_json_variant *parameters, struct manager *manager)
{
	return online_or_plan(link, parameters, manager, true);
}

static int on_plan(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		   void *userdata)
{
	return online_or_plan(link, parameters, userdata, false);
}

static int on_online(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		     void *userdata)
{
	return online_or_plan(link, parameters, userdata, true);
}

static int on_offline(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("region", STRING, const_string, region, MANDATORY),
		PARAMETER("toDevdax", BOOLEAN, stdbool, to_devdax, NULLABLE),
		PARAMETER("keepPartial", BOOLEAN, stdbool, keep_partial, NULLABLE),
		PARAMETER("deadlineSec", UNSIGNED, uint64, deadline_sec, NULLABLE),
		PARAMETER("dryRun", BOOLEAN, stdbool, dry_run, NULLABLE),
		{},
	};
	_cleanup_(tier_plan_freep) struct tier_plan *plan = NULL;
	struct online_parameters p = {};
	struct tier_problem problem = {};
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0)
		return r;
	if (p.deadline_sec > TIER_OFFLINE_DEADLINE_MAX_USEC / 1000000)
		return sd_varlink_error_invalid_parameter_name(link, "deadlineSec");
	if (!p.dry_run && varlink_denied(link, "Offline", &r))
		return r;
	r = manager_offline(userdata, link, flags & SD_VARLINK_METHOD_MORE,
			    &(struct offline_request){
				    .region = p.region,
				    .to_devdax = p.to_devdax,
				    .keep_partial = p.keep_partial,
				    .dry_run = p.dry_run,
				    .deadline_usec = p.deadline_sec * 1000000,
			    },
			    &plan, &problem);
	manager_status(userdata);
	if (r != 0)
		return varlink_refuse(link, &problem);
	return plan ? varlink_reply_plan(link, plan, NULL) : 0;
}

static int on_portals(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata)
{
	sd_json_variant *array = NULL;
	int r = portals_to_json(userdata, &array);

	return reply_array(link, "portals", r, array);
}

static int on_flights(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata)
{
	sd_json_variant *array = NULL;
	int r = flights_to_json(userdata, &array);

	return reply_array(link, "flights", r, array);
}

static int on_offers(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		     void *userdata)
{
	sd_json_variant *array = NULL;
	int r = offers_to_json(userdata, &array);

	return reply_array(link, "offers", r, array);
}

static int on_rescan(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		     void *userdata)
{
	struct tier_problem problem = {};
	int r;

	if (varlink_denied(link, "Rescan", &r))
		return r;
	ras_look_again(userdata);
	r = manager_scan(userdata, true, &problem);
	manager_status(userdata);
	return r != 0 ? varlink_refuse(link, &problem) : sd_varlink_reply(link, NULL);
}

static int on_reload(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		     void *userdata)
{
	struct tier_problem problem = {};
	int r;

	if (varlink_denied(link, "Reload", &r))
		return r;
	r = manager_reload(userdata, &problem);
	return r != 0 ? varlink_refuse(link, &problem) : sd_varlink_reply(link, NULL);
}

static int on_apply_weights(sd_varlink *link, sd_json_variant *parameters,
			    sd_varlink_method_flags_t flags, void *userdata)
{
	struct tier_problem problem = {};
	struct weights_outcome outcome;
	int r;

	if (varlink_denied(link, "ApplyWeights", &r))
		return r;
	r = weights_apply(userdata, &outcome, &problem);
	if (r != 0)
		return varlink_refuse(link, &problem);
	if (outcome.problem.text[0])
		return varlink_refuse(link, &outcome.problem);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_STRING("action", outcome.action),
				  SD_JSON_BUILD_PAIR_STRING("reason", outcome.reason),
				  SD_JSON_BUILD_PAIR_BOOLEAN("calibrated", outcome.calibrated));
}

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct manager *manager = userdata;

	offline_disconnected(manager, link);
	if (!manager->stopping)
		sessions_disconnected(manager, link);
	events_disconnected(manager, link);
}

int varlink_start(struct manager *manager)
{
	/* Everybody may connect and look; what changes something asks who is calling. */
	const sd_varlink_server_flags_t flags =
		SD_VARLINK_SERVER_INHERIT_USERDATA | SD_VARLINK_SERVER_ACCOUNT_UID;
	int r;

	r = sd_varlink_server_new(&manager->server, flags);
	if (r < 0)
		goto fail;
	sd_varlink_server_set_userdata(manager->server, manager);
	r = sd_varlink_server_set_info(manager->server, "cxl-tier", "cxl-tierd", TIER_VERSION,
				       NULL);
	if (r >= 0)
		r = sd_varlink_server_add_interface(manager->server,
						    &vl_interface_io_cxltier_Manager);
#define METHOD(name) "io.cxltier.Manager." name
	if (r >= 0)
		r = sd_varlink_server_bind_method_many(
			manager->server, METHOD("Ping"), on_ping, METHOD("GetInfo"), on_info,
			METHOD("List"), on_list, METHOD("Plan"), on_plan, METHOD("Online"),
			on_online, METHOD("Offline"), on_offline, METHOD("Portals"), on_portals,
			METHOD("Flights"), on_flights, METHOD("Offers"), on_offers,
			METHOD("Rescan"), on_rescan, METHOD("Reload"), on_reload,
			METHOD("ApplyWeights"), on_apply_weights, METHOD("BeginFlight"),
			varlink_on_begin, METHOD("AcceptFlight"), varlink_on_accept,
			METHOD("EndFlight"), varlink_on_end, METHOD("Events"), varlink_on_events,
			METHOD("Retired"), varlink_on_retired, METHOD("Retire"), varlink_on_retire,
			METHOD("Unretire"), varlink_on_unretire, METHOD("Metrics"),
			varlink_on_metrics);
	if (r >= 0)
		r = sd_varlink_server_bind_disconnect(manager->server, on_disconnect);
	if (r >= 0)
		r = sd_varlink_server_listen_address(manager->server, manager->options.socket,
						     0666);
	if (r >= 0)
		r = sd_varlink_server_attach_event(manager->server, manager->event,
						   SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		return 0;
fail:
	log_decision(LOG_ERR, manager->options.socket, "failed", "cannot listen: %s", strerror(-r));
	return r;
}

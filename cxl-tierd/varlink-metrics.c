/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "varlink.h"

DEFINE_CLEANUP(struct tier_metrics *, tier_metrics_free)

struct parameters {
	const char *format, *only;
};

#define PARAMETER(name, field)                                                                     \
	{name, SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string,                              \
	 offsetof(struct parameters, field), SD_JSON_NULLABLE}

static int reply_families(sd_varlink *link, const struct tier_metrics *metrics)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *families = NULL;
	_cleanup_(freep) char *json = NULL;
	int r = tier_metrics_to_json(metrics, &json);

	if (r == 0)
		r = sd_json_parse(json, 0, &families, NULL, NULL);
	if (r < 0)
		return sd_varlink_error_errno(link, r);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("families", families));
}

int varlink_on_metrics(sd_varlink *link, sd_json_variant *parameters,
		       sd_varlink_method_flags_t flags, void *userdata)
{
	static const sd_json_dispatch_field table[] = {
		PARAMETER("format", format),
		PARAMETER("only", only),
		{},
	};
	_cleanup_(tier_metrics_freep) struct tier_metrics *metrics = NULL;
	enum tier_metrics_dialect dialect = TIER_METRICS_OPENMETRICS;
	_cleanup_(freep) char *text = NULL;
	struct parameters p = {};
	struct tier_problem problem = {};
	int r;

	r = sd_varlink_dispatch(link, parameters, table, &p);
	if (r != 0)
		return r;
	if (p.format && streq(p.format, "textfile"))
		dialect = TIER_METRICS_TEXTFILE;
	else if (p.format && !streq(p.format, "openmetrics") && !streq(p.format, "json"))
		return sd_varlink_error_invalid_parameter_name(link, "format");
	r = metrics_collect(userdata, p.only, &metrics, &problem);
	if (r != 0)
		return varlink_refuse(link, &problem);
	if (p.format && streq(p.format, "json"))
		return reply_families(link, metrics);
	r = tier_metrics_format(metrics, dialect, &text);
	if (r < 0)
		return sd_varlink_error_errno(link, r);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_STRING("text", text));
}

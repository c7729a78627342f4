/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-json.h>

#include "tier-flight.h"
#include "util.h"

int tier_flight_report_to_json(const struct tier_flight_report *report, char **ret_json)
{
	sd_json_variant *json = NULL;
	int r;

	r = sd_json_build(
		&json,
		SD_JSON_BUILD_OBJECT(
			SD_JSON_BUILD_PAIR_STRING("vm", report->vm),
			SD_JSON_BUILD_PAIR_STRING("flight", report->flight),
			SD_JSON_BUILD_PAIR_UNSIGNED("ram_bytes", report->ram_bytes),
			SD_JSON_BUILD_PAIR_UNSIGNED("moved_pages", report->moved_pages),
			SD_JSON_BUILD_PAIR_UNSIGNED("precopied_pages", report->precopied_pages),
			SD_JSON_BUILD_PAIR_UNSIGNED("huge_folios", report->huge_folios),
			SD_JSON_BUILD_PAIR_UNSIGNED("node_pages_at_publish",
						    report->node_pages_at_publish),
			SD_JSON_BUILD_PAIR_UNSIGNED("absent_pages", report->absent_pages),
			SD_JSON_BUILD_PAIR_UNSIGNED("runs", report->runs),
			SD_JSON_BUILD_PAIR_UNSIGNED("state_bytes", report->state_bytes),
			SD_JSON_BUILD_PAIR_UNSIGNED("pause_usec", report->pause_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("total_usec", report->total_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("move_usec", report->move_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("checksum_usec", report->checksum_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("verified_pages", report->verified_pages),
			SD_JSON_BUILD_PAIR_INTEGER("node", report->node)));
	if (r >= 0)
		r = sd_json_variant_format(json, 0, ret_json);
	sd_json_variant_unref(json);
	return r < 0 ? r : 0;
}

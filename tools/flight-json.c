/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flight-json.h"

#include <string.h>

#include "json.h"

/* This host, as the portal at @path knows it; NULL if it is none of the portal's. */
static sd_json_variant *find_portal(sd_json_variant *portals, const char *path)
{
	for (size_t i = 0; portals && i < sd_json_variant_elements(portals); i++) {
		sd_json_variant *portal = sd_json_variant_by_index(portals, i);

		if (strcmp(json_text(portal, "path"), path) == 0 &&
		    json_number(portal, "incarnation") != 0)
			return portal;
	}
	return NULL;
}

sd_json_variant *flight_portal(sd_json_variant *flight, sd_json_variant *portals)
{
	sd_json_variant *portal = find_portal(portals, json_text(flight, "portalPath"));
	const char *self;

	if (!portal || json_flag(flight, "ended"))
		return NULL;
	self = json_text(portal, "localHost");
	return json_flag(flight, "ours") || strcmp(json_text(flight, "destination"), self) == 0 ||
			       strcmp(json_text(flight, "holder"), self) == 0
		       ? portal
		       : NULL;
}

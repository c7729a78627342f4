/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_FLIGHT_JSON_H
#define TIERCTL_FLIGHT_JSON_H

#include <systemd/sd-json.h>

/*
 * The portal of a flight that has not ended, and that this host is a side of, or may take; NULL: it
 * is none of those. Both are members of what cxl-tierd answers to Flights and Portals.
 */
sd_json_variant *flight_portal(sd_json_variant *flight, sd_json_variant *portals);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_PLAN_PRINT_H
#define TIERCTL_PLAN_PRINT_H

#include <systemd/sd-json.h>

#include <libtier.h>

/* The same output for a plan and for what the daemon says that it did; as JSON or as text. */
int plan_print(sd_json_variant *plan, bool done);
int plan_print_local(const struct tier_plan *plan);

/* A plan as JSON, or complains and returns TOOL_FAILED. */
int plan_to_variant(const struct tier_plan *plan, sd_json_variant **ret);

#endif

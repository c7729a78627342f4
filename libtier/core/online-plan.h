/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ONLINE_PLAN_H
#define TIER_CORE_ONLINE_PLAN_H

#include "tier-online.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_plan *, tier_plan_free)
#define _cleanup_plan_ _cleanup_(tier_plan_freep)

#endif

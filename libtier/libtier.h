/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBTIER_H
#define LIBTIER_H

/* Everything that libtier exports. */

#include "tier-error.h"
#include "tier-topology.h"
#include "tier-online.h"
#include "tier-offline.h"
#include "tier-zoning.h"
#include "tier-explain.h"
#include "tier-mover.h"
#include "tier-tiering.h"
#include "tier-share.h"
#include "tier-heat.h"
#include "tier-config.h"
#include "tier-declare.h"
#include "tier-dax.h"
#include "tier-rivals.h"
#include "tier-portal.h"
#include "tier-handoff.h"
#include "tier-machine.h"
#include "tier-flight.h"
#include "tier-ras.h"
#include "tier-place.h"
#include "tier-calibration.h"
#include "tier-weights.h"
#include "tier-tiering-kernel.h"
#include "tier-metrics.h"
#include "tier-top.h"

#endif

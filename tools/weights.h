/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_WEIGHTS_H
#define TIERCTL_WEIGHTS_H

#include <libtier.h>

/*
 * What is planned for this machine, or for the dump. @topology gets types by the configuration; @calibration_problem is
 * empty unless there is a calibration that cannot be read. An exit status.
 */
int weights_plan(struct tier_topology *topology, struct tier_weights_plan **ret,
		 struct tier_problem *calibration_problem);

#endif

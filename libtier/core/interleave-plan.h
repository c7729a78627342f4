/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_INTERLEAVE_PLAN_H
#define TIER_CORE_INTERLEAVE_PLAN_H

#include "tier-weights.h"
#include "util.h"

/* What the parts of the planner of interleave weights share. */
struct planner {
	const struct tier_weights_input *in;
	struct tier_weights_plan *plan;
	bool foreign; /* somebody else has written weights */
	bool fixed;   /* the configuration has a weight for a node */
};

static inline const struct tier_node *node_of(const struct planner *p,
					      const struct tier_weight *weight)
{
	return tier_topology_node(p->in->topology, weight->node);
}

/* Nodes that get a weight from us: it is in the kernel, and their memory is this host's alone. */
static inline bool takes_part(const struct planner *p, const struct tier_weight *weight)
{
	return weight->present >= 0 && node_of(p, weight)->type <= TIER_MEMORY_LOCAL;
}

/* Those of them that are weighed against each other. */
static inline bool is_weighed(const struct planner *p, const struct tier_weight *weight)
{
	return takes_part(p, weight) && weight->source != TIER_WEIGHT_FIXED;
}

/* The slower of two bandwidths; UNKNOWN, the largest number, if neither is known. */
static inline uint64_t slower_mbps(uint64_t read, uint64_t write)
{
	uint64_t mbps = MIN(read, write);

	return mbps == TIER_UNKNOWN_U64 ? mbps : MIN(mbps, TIER_CALIBRATION_MBPS_MAX);
}

void weight_decide(struct tier_weight *weight, enum tier_weight_source source, unsigned wanted,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- interleave-source.c: whose figures ---- */

/* Is what the kernel has neither what was there before nor what cxl-tierd has written? */
bool weights_are_foreign(const struct planner *p);
/* Is there anything to be put back that the kernel would not refuse again? */
bool weights_can_restore(const struct planner *p);
/* Were those before the first write in manual mode, and yet as the kernel's own would have been? */
bool weights_were_nobodys(const struct planner *p);
/* What the configuration has for a node, if anything. */
void weights_take_fixed(struct planner *p, struct tier_weight *weight);
/* Does the calibration hold for all that are weighed? @why: "; ..." why not, or empty. */
bool weights_take_calibration(struct planner *p, char why[static 200]);
/* The first node of which firmware does not say what it says of others; TIER_ABSENT_NODE if there is none. */
int weights_take_firmware(struct planner *p);

/* ---- interleave-fit.c: from figures to weights, and whether weights are near them ---- */

/* 0, -ENOMEM */
int weights_weigh(struct planner *p, enum tier_weight_source source);
/* Are those that are there near enough? */
int weights_keep(const struct planner *p, enum tier_weight_source source, bool *ret);
/* Would those be that the kernel computes from what it tells? */
int weights_kernel_fits(const struct planner *p, enum tier_weight_source source, bool *ret);
/* Has the kernel computed what is there from more than it tells? */
int weights_kernel_knows(const struct planner *p, bool *ret);
/* Can it know more? All nodes of which it tells nothing are those of CXL regions. */
bool weights_kernel_hides(const struct planner *p);
/* Other nodes or other figures have another number. Never 0. */
uint32_t weights_figures(const struct planner *p, enum tier_weight_source source);
/* Has it any bandwidth to compute from? */
bool weights_kernel_has(const struct planner *p);

#endif

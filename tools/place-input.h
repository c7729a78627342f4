/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_PLACE_INPUT_H
#define TIERCTL_PLACE_INPUT_H

/* What the verbs that place memory share: the nodes with their types, and what is asked of them. */

#include "tool.h"

struct place_machine {
	struct tier_topology *topology;
	struct tier_config *config;
};

/* Nodes and regions, typed by kernel or configuration. Returns 0; TOOL_FAILED after saying why. */
int place_machine_read(struct place_machine *ret);
void place_machine_done(struct place_machine *machine);
#define _cleanup_machine_ __attribute__((cleanup(place_machine_done)))

/* The options --tier, --type and --region, as given. */
struct place_input {
	const char *tier;
	struct tool_strings types;
	struct tool_strings regions;
};

#define PLACE_OPTIONS(input)                                                                       \
	{"tier", "TIER", "cxl, dram, auto (all, DRAM first), or a memory tier's number",           \
	 TOOL_STRING, &(input)->tier},                                                             \
		{"type", "TYPE", "only of this type; repeat it for several", TOOL_STRINGS,         \
		 &(input)->types},                                                                 \
	{                                                                                          \
		"region", "REGION", "only of this region; repeat it for several", TOOL_STRINGS,    \
			&(input)->regions                                                          \
	}

/* Of @verb. @allowed stays borrowed. Returns 0; TOOL_USAGE after saying what is wrong. */
int place_request(const char *verb, const struct place_input *input,
		  const struct tier_node_set *allowed, struct tier_place_request *ret);

/* Reads the tiers of the nodes if the request depends on them. Returns 0; TOOL_FAILED after saying why. */
int place_read_tiers(const struct tier_place_request *request, struct tier_topology *topology);

/* Not a dump: what the kernel says of this process belongs to these nodes. */
bool place_is_live(void);

/* A dump has nodes to look at and none to use. Returns 0; TOOL_FAILED after saying so. */
int place_needs_machine(const char *verb);

#endif

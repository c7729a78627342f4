/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TOPOLOGY_READ_H
#define TIER_OS_TOPOLOGY_READ_H

#include "sysfs.h"
#include "topology.h"

/*
 * The parts of a snapshot. Each adds to @topology and returns 0 or a negative errno; what a kernel
 * or a dump does not have is left unknown and is no error.
 */
int topology_read_system(const struct sysfs *sysfs, bool live, struct tier_topology *topology);
int topology_read_nodes(const struct sysfs *sysfs, struct tier_topology *topology);
/* After the nodes: a block's node comes from the node's directory. */
int topology_read_blocks(const struct sysfs *sysfs, struct tier_topology *topology);

int topology_read_cxl(const struct sysfs *sysfs, struct tier_topology *topology);
int topology_read_dax(const struct sysfs *sysfs, struct tier_topology *topology);

/*
 * Ports, free decoders, and what is free of the memdevs. After memdevs and windows.
 */
int topology_read_ports(const struct sysfs *sysfs, struct tier_topology *topology);

/* From the PCI path of a memdev: is there more than a root port above it? */
bool topology_behind_switch(const struct sysfs *sysfs, const char *memdev);

/* The type in a memory_type file; UNKNOWN without one. */
enum tier_memory_type topology_read_type(const struct sysfs *sysfs, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

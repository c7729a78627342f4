/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_TOPOLOGY_H
#define TIER_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-error.h"

/*
 * A snapshot of a host's CXL and NUMA topology. It never changes after it was read; every array is
 * sorted by id. Unknown numbers are the TIER_UNKNOWN_* values: absent, denied and zero differ.
 */
#define TIER_UNKNOWN_U64 UINT64_MAX
#define TIER_UNKNOWN_INT (-1)
#define TIER_ABSENT_NODE (-1)

enum tier_zone {
	TIER_ZONE_NONE, /* offline, or not told */
	TIER_ZONE_DMA,
	TIER_ZONE_DMA32,
	TIER_ZONE_NORMAL,
	TIER_ZONE_MOVABLE,
	TIER_ZONE_DEVICE,
	TIER_ZONE_MIXED, /* a block that spans zones */
};

enum tier_block_state {
	TIER_BLOCK_OFFLINE,
	TIER_BLOCK_GOING_OFFLINE,
	TIER_BLOCK_ONLINE,
};

/*
 * What a node's memory is: by the kernel, if it knows types (kernel/README.md), else by the
 * configuration, see tier_config_types().
 */
enum tier_memory_type {
	TIER_MEMORY_UNKNOWN,  /* not told */
	TIER_MEMORY_LOCAL,    /* one host's */
	TIER_MEMORY_SHARED,   /* more than one host sees the device */
	TIER_MEMORY_SWITCHED, /* the same, through a switch */
};

/* A memory block: /sys/devices/system/memory/memoryN. */
struct tier_block {
	uint64_t index; /* N; the physical address is N * block_bytes */
	enum tier_block_state state;
	enum tier_zone zone; /* of an online block */
	int node;	     /* TIER_ABSENT_NODE if no node claims it */
	bool removable;
	bool can_movable; /* valid_zones of an offline block lists Movable */
	bool can_kernel;  /* ... lists a kernel zone */
};

struct tier_node_distance {
	int node;
	unsigned distance; /* SLIT, 10 is local */
};

/* A NUMA node. */
struct tier_node {
	int id;
	bool online;
	bool has_cpu;
	bool has_memory;
	char *cpus;	      /* list format, e.g. "0-3", of any length; NULL: unknown */
	uint64_t total_bytes; /* managed; 0 when memoryless */
	uint64_t free_bytes;
	uint64_t present_kernel_bytes;	/* pages present in kernel zones, from zoneinfo */
	uint64_t present_movable_bytes; /* ... in ZONE_MOVABLE */
	uint64_t cma_bytes;		/* the part of the kernel zones that is CMA */
	uint64_t read_latency_nsec;	/* access class 0; TIER_UNKNOWN_U64 without HMAT or CDAT */
	uint64_t write_latency_nsec;
	uint64_t read_bandwidth_mbps; /* MB/s */
	uint64_t write_bandwidth_mbps;
	uint64_t cpu_read_bandwidth_mbps; /* access class 1: from the nearest node with CPUs */
	uint64_t cpu_write_bandwidth_mbps;
	int interleave_weight; /* of weighted interleave; TIER_UNKNOWN_INT if the kernel has none */
	int tier; /* memory tier id; TIER_UNKNOWN_INT if none; by tier_topology_read_tiers() */
	enum tier_memory_type type;
	bool type_by_kernel;
	struct tier_node_distance *distances;
	size_t distance_count;
};

/* A CXL port: of a host bridge, a switch or a memory device. The roots, whose decoders are windows, are none. */
struct tier_port {
	char name[16]; /* "port1", "endpoint4" */
	int target; /* of a host bridge's: its number in windows' target lists; TIER_UNKNOWN_INT */
	int decoders; /* TIER_UNKNOWN_INT if it is not told which of them are free */
	int free_decoders;
};

#define TIER_PORTS_MAX 8

/* A CXL memory device. Names are not stable over a boot; the serial number is. */
struct tier_memdev {
	char name[32];			/* "mem0" */
	char host[64];			/* its PCI device */
	char ports[TIER_PORTS_MAX][16]; /* from the host bridge's down to its own */
	unsigned port_count;		/* 0 without a driver */
	uint64_t serial;
	uint64_t ram_bytes;
	uint64_t ram_free_bytes; /* behind what decoders have of it; TIER_UNKNOWN_U64 */
	uint64_t pmem_bytes;
	int node; /* of the PCI device */
	bool enabled;
	bool behind_switch;
};

/* As many memory devices as CXL interleaves, and as many host bridges. */
#define TIER_WAYS_MAX 16

/* A CXL window: a root decoder over a CFMWS. */
struct tier_window {
	char name[32]; /* "decoder0.0" */
	uint64_t start;
	uint64_t bytes;
	uint64_t available_bytes; /* largest free extent */
	bool volatile_capable;
	bool pmem_capable;
	unsigned interleave_ways;
	unsigned interleave_granularity_bytes; /* 0 if it is not told */
	int targets[TIER_WAYS_MAX]; /* numbers of host bridges, in the order of the interleave */
	unsigned target_count;
};

/* A CXL region, with the dax region of the same memory. */
struct tier_region {
	char name[32]; /* "region0" */
	char window[32];
	char uuid[37];	/* empty for volatile regions, which have none */
	uint64_t start; /* host physical */
	uint64_t bytes;
	bool committed;
	char mode[16]; /* "ram", "pmem", "dax" */
	unsigned interleave_ways;
	unsigned interleave_granularity_bytes;
	char (*memdevs)[32];
	size_t memdev_count;
	uint64_t *serials;    /* one per memdev, same order */
	uint64_t *dpa_starts; /* where its part of each memdev begins, in the device's addresses */
	int target_node;  /* node its memory goes to when onlined; TIER_ABSENT_NODE if not told */
	bool shares_node; /* another region's memory goes to the same node */
	enum tier_memory_type type;
	bool type_by_kernel; /* else by the configuration, and the kernel does not act on it */
};

enum tier_dax_mode {
	TIER_DAX_DISABLED,
	TIER_DAX_DEVDAX,
	TIER_DAX_SYSTEM_RAM,
};

/* A dax device: a part of a region that is either a character device or system RAM. */
struct tier_dax {
	char name[32];	 /* "dax0.0" */
	char region[32]; /* owning CXL region; empty for others (hmem, pmem) */
	enum tier_dax_mode mode;
	uint64_t start; /* first range; host physical; TIER_UNKNOWN_U64 without privilege */
	uint64_t bytes;
	uint64_t align_bytes;
	int target_node;
	bool memmap_on_memory;
	/* What kmem says of all its memory, as in its state file (Linux 7.3): "unplugged", which has no
	   memory blocks, "offline", "online_movable"...; empty if it has no such file. */
	char state[24];
};

/* System-wide switches that decide what happens to hot-added memory. */
struct tier_hotplug {
	char auto_online[24];	/* "offline", "online", "online_kernel", "online_movable" */
	char online_policy[24]; /* "contig-zones", "auto-movable", empty if unknown */
	unsigned ratio_percent; /* the kernel's auto_movable_ratio */
	bool numa_aware;
	bool memmap_on_memory;
	bool init_on_free;  /* from the kernel command line */
	bool demotion;	    /* /sys/kernel/mm/numa/demotion_enabled */
	int numa_balancing; /* sysctl value; TIER_UNKNOWN_INT if absent */
	bool dax_held;	    /* dax devices that arrive stay without a driver, see tier-dax.h */
	int auto_weights; /* the kernel sets interleave weights itself; TIER_UNKNOWN_INT before Linux 6.16 */
};

struct tier_topology {
	char kernel[64]; /* uname -r */
	char hostname[64];
	uint64_t page_bytes;
	uint64_t block_bytes; /* size of a memory block; 0 without memory hotplug */
	struct tier_hotplug hotplug;
	struct tier_node *nodes;
	size_t node_count;
	struct tier_block *blocks;
	size_t block_count;
	struct tier_memdev *memdevs;
	size_t memdev_count;
	struct tier_port *ports;
	size_t port_count;
	struct tier_window *windows;
	size_t window_count;
	struct tier_region *regions;
	size_t region_count;
	struct tier_dax *daxs;
	size_t dax_count;
	/* Indices of memory blocks that errors have retired, ascending; also of blocks that are not there. */
	uint64_t *retired_blocks;
	size_t retired_block_count;
	int retired_code; /* not 0: which blocks are retired is not known; why: retired_problem */
	struct tier_problem retired_problem;
};

/**
 * tier_topology_new() - an empty snapshot, to be filled by a reader or a test
 * @ret: new snapshot; free with tier_topology_free()
 *
 * Return: 0, -ENOMEM.
 */
int tier_topology_new(struct tier_topology **ret);

/**
 * tier_topology_free() - free a snapshot
 * @topology: may be NULL
 *
 * Return: NULL.
 */
struct tier_topology *tier_topology_free(struct tier_topology *topology);

/**
 * tier_topology_read() - read the machine, or a dump of one
 * @sysroot: "/" or NULL for this machine; else a directory that holds sys/ and proc/
 * @ret: new snapshot
 * @problem: filled in on failure; may be NULL
 *
 * On this machine memdevs, windows, regions and dax devices come from libcxl and libdaxctl and
 * nodes from libnuma and sysfs; in a dump everything comes from sysfs files. Needs no privilege,
 * but without it physical addresses are TIER_UNKNOWN_U64.
 *
 * Return: 0; -ENOENT if @sysroot holds no sys/devices/system/node; other negative errno.
 */
int tier_topology_read(const char *sysroot, struct tier_topology **ret,
		       struct tier_problem *problem);

/**
 * tier_topology_read_tiers() - the memory tier of each node, for people to see
 * @sysroot: where the snapshot is from
 * @topology: a fresh one; the nodes' @tier is filled in
 *
 * Apart from the rest, since Linux may hang for good if memory goes offline at the very moment. Not for
 * whoever reads again and again.
 *
 * Return: 0; TIER_E_BUSY if a memory block is going offline, and the tiers stay unknown; negative errno.
 */
int tier_topology_read_tiers(const char *sysroot, struct tier_topology *topology);

/**
 * tier_topology_keep_tiers() - the memory tiers of nodes that an earlier snapshot knows
 * @topology: changed; a node's tier stays what it is for as long as the node has memory
 * @earlier: may be NULL
 *
 * For whoever looks again and again. Pure.
 *
 * Return: is the tier of every node with memory known, so that nothing has to be read?
 */
bool tier_topology_keep_tiers(struct tier_topology *topology, const struct tier_topology *earlier);

/**
 * tier_topology_to_json() - the snapshot as JSON text
 * @topology: borrowed
 * @ret_json: new string; free()
 *
 * Unknown numbers are null. Bytes are plain numbers with the suffix _bytes in their key.
 *
 * Return: 0, -ENOMEM.
 */
int tier_topology_to_json(const struct tier_topology *topology, char **ret_json);

/* Lookups; NULL if there is none. The result is borrowed from @topology. */
const struct tier_node *tier_topology_node(const struct tier_topology *topology, int id);
const struct tier_region *tier_topology_region(const struct tier_topology *topology,
					       const char *name);
const struct tier_memdev *tier_topology_memdev(const struct tier_topology *topology,
					       const char *name);
const struct tier_port *tier_topology_port(const struct tier_topology *topology, const char *name);
/* The next dax device of region @name after @after (NULL: the first). */
const struct tier_dax *tier_topology_region_dax(const struct tier_topology *topology,
						const char *name, const struct tier_dax *after);
/* The blocks that lie wholly or partly in [start, start + bytes); returns the first, sets count. */
const struct tier_block *tier_topology_range_blocks(const struct tier_topology *topology,
						    uint64_t start, uint64_t bytes,
						    size_t *ret_count);

/** tier_dax_has_blocks() - is it system RAM, and has not been unplugged? */
bool tier_dax_has_blocks(const struct tier_dax *dax);

/** tier_topology_block_retired() - is a memory block retired, whether it is there or not? */
bool tier_topology_block_retired(const struct tier_topology *topology, uint64_t index);

/** tier_zone_name() - "Normal", "Movable" and so on as in valid_zones; "none", "mixed" */
/* Names as in JSON; constant strings. */
const char *tier_zone_name(enum tier_zone zone);
/** tier_memory_type_name() - "Local", "Shared", "Switched" as in memory_type; "unknown" */
const char *tier_memory_type_name(enum tier_memory_type type);
/** tier_memory_type_parse() - the type of that name in any case; UNKNOWN if there is none */
enum tier_memory_type tier_memory_type_parse(const char *name);
/** tier_block_state_name() - "online", "offline", "going-offline", as in a block's state file */
const char *tier_block_state_name(enum tier_block_state state);
/** tier_dax_mode_name() - "system-ram", "devdax", "disabled", as daxctl calls them */
const char *tier_dax_mode_name(enum tier_dax_mode mode);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CONFIG_H
#define TIER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-error.h"
#include "tier-online.h"
#include "tier-topology.h"

/* Who sets the weights of weighted interleave: tier-weights.h. */
enum tier_weights_policy {
	TIER_WEIGHTS_AUTO, /* by calibration, else by firmware; the kernel where it does so itself */
	TIER_WEIGHTS_KERNEL, /* the kernel, by firmware */
	TIER_WEIGHTS_NO,     /* whoever does */
};

/* Whether hot memory is fetched to DRAM: tier-tiering.h. */
enum tier_tiering_mode {
	TIER_TIERING_NO,
	TIER_TIERING_AUTO, /* by what the kernel has for it */
};

/* Mechanism=: what moves pages then, tier-tiering-kernel.h. */
enum tier_tiering_by {
	TIER_TIERING_BY_AUTO, /* DAMON where it can, else the kernel */
	TIER_TIERING_BY_DAMON,
	TIER_TIERING_BY_KERNEL,
	TIER_TIERING_BY_IDLE, /* idle page tracking, and move_pages() */
};

/* The memory devices of a region that is declared, by serial number, in the order of the interleave. */
struct tier_config_devices {
	unsigned count; /* 0: no region is declared */
	uint64_t serials[TIER_WAYS_MAX];
};

/* [Region NAME]: a rule for the regions that match every Match* given (at least one), or for the one that is declared. */
struct tier_config_region {
	char name[64];
	bool match_serial;
	uint64_t serial;      /* MatchSerial=: of any memdev of the region */
	char match_uuid[37];  /* MatchUUID= */
	char match_path[256]; /* MatchPath=: sysfs path, e.g. /sys/bus/cxl/devices/region0 */
	enum tier_online_zone online;	   /* Online=no|auto|movable|kernel */
	unsigned weight;		   /* Weight=, default 100 */
	enum tier_memory_type type;	   /* Type=; UNKNOWN: the kernel's default */
	struct tier_config_devices create; /* Create=: see tier-declare.h */
	uint64_t size_bytes;		   /* Size= of a declared region; 0: all of the devices */
	unsigned granularity_bytes;	   /* InterleaveGranularity=; 0: the window's */
	unsigned interleave_weight;	   /* InterleaveWeight= of its node; 0: by [Tiering] */
};

/* [Portal NAME]: a region (Match* as above) or a plain file that this host shares with others. */
struct tier_config_portal {
	char name[64];
	bool match_serial;
	uint64_t serial;
	char match_uuid[37];
	char match_path[256];
	char file[256];		    /* File=: a portal on a plain file, for tests */
	char host[32];		    /* Host=: this host's slot; empty: the hostname */
	enum tier_memory_type type; /* Type=; UNKNOWN: by how the region is reached */
	unsigned keyed; /* Keyed=: TIER_PORTAL_KEYED or _UNKEYED, to open it with; 0: auto */
};

/* [Machine NAME]: a virtual machine that may be started here, and nothing else may. */
struct tier_config_machine {
	char name[64];
	char qemu[256];	       /* Qemu=, default /usr/bin/qemu-system-x86_64 */
	char type[64];	       /* Type=, default q35 */
	uint64_t memory_bytes; /* Memory=, e.g. 256M; required */
	unsigned cpus;	       /* Cpus=, default 1 */
	char accelerator[32];  /* Accelerator=, default "kvm:tcg" (QEMU's -accel fallback) */
	char user[32];	       /* User=, whom QEMU runs as; default cxl-tier-vm */
	char **arguments;      /* Argument=, repeatable, one QEMU argument each, in order */
	size_t argument_count;
};

/* Of fast memory. */
struct tier_share_amount {
	enum { TIER_SHARE_UNSAID, TIER_SHARE_BYTES, TIER_SHARE_PERCENT } kind;
	uint64_t value;
};

enum tier_share_answer { TIER_SHARE_UNANSWERED, TIER_SHARE_NO, TIER_SHARE_YES };

/* What a cgroup or a process may have of DRAM: tier-share.h. All zero says nothing. */
struct tier_share {
	struct tier_share_amount dram_min; /* DramMin=: nothing is demoted below it */
	struct tier_share_amount
		dram_max;		/* DramMax=: nothing is promoted beyond it; what is, goes */
	enum tier_share_answer demote;	/* Demote=, default yes */
	enum tier_share_answer promote; /* Promote=, default yes */
	enum tier_share_answer latency_sensitive; /* LatencySensitive=, default no */
};

/* [Policy NAME] */
struct tier_config_policy {
	char name[64];
	char cgroup[256]; /* Cgroup=: a unit's name, or a path below the root; required */
	struct tier_share policy;
};

/* Where a key was given its value last. */
struct tier_config_place {
	char section[80]; /* "[Region near]" */
	const char *key;  /* a constant string */
	size_t file;	  /* of the configuration's files */
	unsigned line;
};

struct tier_config {
	unsigned ratio_percent;		/* [Daemon] Ratio=, default 301 */
	bool dry_run;			/* [Daemon] DryRun=, default no */
	enum tier_online_zone online;	/* [Daemon] Online=: regions without a rule; default no */
	enum tier_online_zone ordinary; /* [Daemon] OrdinaryMemory=: not CXL's; default auto */
	char vm_directory[256];		/* [Daemon] VmDirectory=, default /run/cxl-tier/vm */
	uint64_t beat_usec;		/* [Daemon] BeatSec=, default 1s */
	uint64_t cut_off_usec;		/* [Daemon] CutOffSec=, default 30s */
	bool recover;			/* [Daemon] Recover=, default yes */
	char watchdog_device[256];	/* [Daemon] WatchdogDevice=; empty: none */
	char metrics_file[256];		/* [Daemon] MetricsFile=; empty: none */
	uint64_t metrics_usec;		/* [Daemon] MetricsSec=, default 15s */

	enum tier_weights_policy weights;    /* [Tiering] InterleaveWeights=, default auto */
	unsigned ordinary_interleave_weight; /* [Tiering] OrdinaryInterleaveWeight=; 0: none */
	enum tier_tiering_mode tiering;	     /* [Tiering] Tier=, default no */
	uint64_t tiering_least_bytes;	     /* [Tiering] LeastMemory= of a process, default 16M */
	uint64_t tiering_gap_usec;	     /* [Tiering] MeasureSec= at most, default 5 */
	enum tier_tiering_by tiering_by;     /* [Tiering] Mechanism=, default auto */
	bool demotion;			     /* [Tiering] Demotion=, default yes */
	uint64_t promote_limit_bytes; /* [Tiering] PromoteRateLimit= a second; 0: the kernel's */

	struct tier_config_region *regions;
	size_t region_count;
	struct tier_config_portal *portals;
	size_t portal_count;
	struct tier_config_machine *machines;
	size_t machine_count;
	struct tier_config_policy *policies;
	size_t policy_count;
	char **files; /* names of those that were parsed */
	size_t file_count;
	struct tier_config_place *places; /* of the keys that decide about regions */
	size_t place_count;
};

/** tier_config_new() - the defaults */
int tier_config_new(struct tier_config **ret);
struct tier_config *tier_config_free(struct tier_config *config);

/**
 * tier_config_parse() - add one file's text to a configuration
 * @config: changed in place; a later assignment wins, an empty one resets a list
 * @text, @bytes: the file; need not be terminated
 * @file: its name, for the problem
 * @problem: object is "file:line", the text quotes what is wrong
 *
 * Pure. Syntax: [Section] or [Section NAME], Key=Value, comments with # or ;, continuation lines
 * are not supported. A section of the same name continues the earlier one.
 *
 * Return: 0; -EINVAL with file, line and reason for an unknown section or key or a bad value;
 * -ENOMEM. On failure @config may hold a part of the file and must be thrown away.
 */
int tier_config_parse(struct tier_config *config, const char *text, size_t bytes, const char *file,
		      struct tier_problem *problem);

/**
 * tier_config_load() - the configuration of this host
 * @sysroot: prefix of the directories, NULL for none
 * @path: a single file to read instead, NULL for the usual places
 *
 * Reads cxl-tier/cxl-tierd.conf from the first of /etc, /run, /usr/lib that has one, then every
 * cxl-tier/cxl-tierd.conf.d/NAME.conf of /usr/lib, /run and /etc in the order of NAME; a file in
 * /etc hides one of the same name in /run and /usr/lib.
 *
 * Return: 0; -EINVAL with file, line and reason; other negative errno with the file.
 */
int tier_config_load(const char *sysroot, const char *path, struct tier_config **ret,
		     struct tier_problem *problem);

/** tier_config_machine() - the [Machine] section of that name, or NULL */
const struct tier_config_machine *tier_config_machine(const struct tier_config *config,
						      const char *name);

/**
 * tier_config_region_rule() - the rule that applies to a region: the first that matches, or NULL
 */
const struct tier_config_region *tier_config_region_rule(const struct tier_config *config,
							 const struct tier_region *region);

/**
 * tier_config_weight() - how much a byte of a region, or of another device of that name, counts, for tier_online_request
 */
unsigned tier_config_weight(const struct tier_config *config, const struct tier_topology *topology,
			    const char *name);

/**
 * tier_config_requests() - what the configuration wants of every region of a machine
 * @ret: new array, for tier_plan_online(); free(); NULL if there is no region
 * @ret_count: its length
 *
 * In the order of the rules, and of the regions' addresses where one rule, or none, has several: names
 * follow the order of probing. A region that a [Portal] section names is left offline.
 *
 * Return: 0, -ENOMEM.
 */
int tier_config_requests(const struct tier_config *config, const struct tier_topology *topology,
			 struct tier_online_request **ret, size_t *ret_count);

/** tier_config_where() - "FILE:LINE" of a key's last value; "the default" if it was given none */
const char *tier_config_where(const struct tier_config *config, const char *section,
			      const char *key, char text[static 96]);

/**
 * tier_config_portal_rule() - the [Portal] section that matches a region, or NULL
 */
const struct tier_config_portal *tier_config_portal_rule(const struct tier_config *config,
							 const struct tier_region *region);

/**
 * tier_config_region_type() - the type that a region's memory must have by the configuration
 *
 * A portal's is Type= of its section, else Switched if one of its devices is behind a switch, else
 * Shared. Any other region's is Type= of its rule.
 *
 * Return: UNKNOWN if the configuration leaves it to the kernel.
 */
enum tier_memory_type tier_config_region_type(const struct tier_config *config,
					      const struct tier_topology *topology,
					      const struct tier_region *region);

/**
 * tier_config_types() - types of regions and nodes that the kernel does not tell
 * @topology: changed; what the kernel told stays
 *
 * A region of a rule without Type= is Local; one that the configuration does not name stays
 * UNKNOWN, since it may hold a portal. Of a node's regions the one that most hosts may reach says
 * what the node is; memory that is no region's is Local.
 */
void tier_config_types(const struct tier_config *config, struct tier_topology *topology);

/**
 * tier_portal_rule() - the [Portal] section for the portal at @path
 * @path: a dax character device or a plain file, under whatever name
 * @ret: NULL if there is none; borrowed from @config
 *
 * Return: 0; negative errno if it cannot be told what lies there.
 */
int tier_portal_rule(const struct tier_config *config, const char *path,
		     const struct tier_config_portal **ret, struct tier_problem *problem);

struct tier_portal;

/**
 * tier_portal_open_configured() - tier_portal_open(), keyed or not as its [Portal] section has it
 */
int tier_portal_open_configured(const struct tier_config *config, const char *path, unsigned flags,
				struct tier_portal **ret, struct tier_problem *problem);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CALIBRATION_H
#define TIER_CALIBRATION_H

/*
 * Bandwidth and latency of memory as measured on this machine, for those whose firmware says nothing. Unproven on CXL
 * hardware: in emulation all memory is equally fast.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-error.h"
#include "tier-topology.h"

#define TIER_CALIBRATION_PATH	    "/var/lib/cxl-tier/calibration.json"
#define TIER_CALIBRATION_NODES_MAX  64
#define TIER_CALIBRATION_PAIRS_MAX  1024
#define TIER_CALIBRATION_ROUNDS_MAX 31
/* MB/s and ps: what no memory reaches, so that sums of them stay far from overflow. */
#define TIER_CALIBRATION_MBPS_MAX   UINT64_C(1000000000)
#define TIER_CALIBRATION_PSEC_MAX   UINT64_C(1000000000000)
#define TIER_CALIBRATION_SPREAD_MAX 100000

/* Which machine it is: what was measured on another one says nothing. */
struct tier_machine_identity {
	char machine
		[80]; /* "uuid:..." by DMI's, or "machine-id:..."; a hash, since the file is for everybody */
	char cpu[96]; /* the processors' model */
};

/* What stands behind a node: another region there is other memory. */
struct tier_calibration_node {
	int node;
	uint64_t bytes;			 /* of its regions; of others' what is present */
	uint64_t serials[TIER_WAYS_MAX]; /* of its regions' memdevs, ascending; the first ones */
	size_t serial_count;		 /* 0: no region's */
};

/* From the CPUs of a node to the memory of a node. */
struct tier_calibration_pair {
	int cpu_node;
	int node;
	unsigned rounds;
	uint64_t read_mbps;	       /* MB/s, all CPUs of the node; median of the rounds */
	unsigned read_spread_permille; /* (largest - smallest) / median */
	uint64_t latency_psec;	       /* ps per access, one CPU; median */
	unsigned latency_spread_permille;
	bool huge_pages;
};

struct tier_calibration {
	struct tier_machine_identity identity;
	uint64_t made_usec;		     /* CLOCK_REALTIME */
	struct tier_calibration_node *nodes; /* ascending */
	size_t node_count;
	struct tier_calibration_pair *pairs; /* ascending by CPU node, then by node */
	size_t pair_count;
};

/** tier_calibration_free() - may be NULL; returns NULL */
struct tier_calibration *tier_calibration_free(struct tier_calibration *calibration);

/**
 * tier_calibration_parse() - a calibration from its file's text
 * @text, @bytes: need not be terminated
 * @name: of the file, for the problem
 *
 * Pure. Every number is within the limits above, every pair's node is described, and nothing is there twice.
 *
 * Return: 0; TIER_E_DAMAGED; TIER_E_INCOMPATIBLE for another version; -ENOMEM.
 */
int tier_calibration_parse(const char *text, size_t bytes, const char *name,
			   struct tier_calibration **ret, struct tier_problem *problem);

/** tier_calibration_format() - the file's text, and that of --json; new string. 0 or -ENOMEM */
int tier_calibration_format(const struct tier_calibration *calibration, char **ret);

/**
 * tier_calibration_stale() - why a calibration does not hold for a node
 * @identity: of the machine that the snapshot is of
 * @why: empty if it holds: "made on another machine", "region's devices were 0x1, are 0x2"
 *
 * Pure. Ordinary memory may differ by an eighth: how much of it the kernel keeps changes from boot to boot.
 *
 * Return: is it stale?
 */
bool tier_calibration_stale(const struct tier_calibration *calibration,
			    const struct tier_machine_identity *identity,
			    const struct tier_topology *topology, int node, char why[static 160]);

/** tier_calibration_mbps() - a node's bandwidth from the CPU node that reaches it best; TIER_UNKNOWN_U64 */
uint64_t tier_calibration_mbps(const struct tier_calibration *calibration, int node);

/**
 * tier_calibration_load() - this machine's calibration
 * @sysroot: prefix; NULL for none
 *
 * Return: 0; TIER_E_NOT_FOUND without one; TIER_E_DAMAGED, TIER_E_INCOMPATIBLE; negative errno.
 */
int tier_calibration_load(const char *sysroot, struct tier_calibration **ret,
			  struct tier_problem *problem);

/** tier_calibration_store() - as a whole or not at all; 0 or a negative errno with the problem */
int tier_calibration_store(const char *sysroot, const struct tier_calibration *calibration,
			   struct tier_problem *problem);

/**
 * tier_machine_identity_read() - which machine this is, or a dump is of
 *
 * DMI's product_uuid is root's to read, and may be absent: then /etc/machine-id. Of either this has 128 bits of an
 * HMAC-SHA-256, from which neither follows.
 *
 * Return: 0; -ENOENT if neither is there; other negative errno.
 */
int tier_machine_identity_read(const char *sysroot, struct tier_machine_identity *ret,
			       struct tier_problem *problem);

/* What measures: the machine, or a test's tables. Each returns 0, -ENODEV if the node has gone, or another negative errno. */
struct tier_calibrate_backend {
	void *userdata;
	/* Makes ready for rounds of one pair; end() follows if it returned 0. */
	int (*begin)(void *userdata, int cpu_node, int node, bool *ret_huge_pages);
	int (*bandwidth)(void *userdata, uint64_t *ret_mbps);
	int (*latency)(void *userdata, uint64_t *ret_psec);
	void (*end)(void *userdata);
};

struct tier_calibrate_request {
	const struct tier_topology *topology;
	const struct tier_machine_identity *identity;
	const int *nodes; /* whose memory; ascending */
	size_t node_count;
	unsigned rounds; /* odd, so that there is a median; 1 to TIER_CALIBRATION_ROUNDS_MAX */
	uint64_t made_usec;
	/* After each round; not 0: stop. May be NULL. */
	int (*progress)(void *userdata, uint64_t done, uint64_t total);
	void *userdata;
};

/**
 * tier_calibrate() - measure every pair of a CPU node and a memory node
 *
 * Pure but for the back end.
 *
 * Return: 0; TIER_E_STALE if a node has gone meanwhile; TIER_E_CANCELLED; TIER_E_REFUSED without CPUs or memory;
 * negative errno. Untouched @ret unless 0: there is no half of a calibration.
 */
int tier_calibrate(const struct tier_calibrate_request *request,
		   const struct tier_calibrate_backend *backend, struct tier_calibration **ret,
		   struct tier_problem *problem);

/* How busy a machine is. */
struct tier_load {
	unsigned
		load_centi; /* runnable tasks of the last minute, in hundredths; UINT_MAX: unknown */
	unsigned cpus;	    /* that are online */
	unsigned
		cpu_stall_centi; /* PSI, some, avg10, in hundredths of a percent; UINT_MAX: unknown */
	unsigned memory_stall_centi; /* the same of memory */
};

/** tier_load_read() - of this machine; 0 or a negative errno */
int tier_load_read(const char *sysroot, struct tier_load *ret);

/**
 * tier_load_busy() - would others be measured as well?
 * @why: what says so
 *
 * More than a quarter of the CPUs, and more than one task, runs; or tasks wait for a CPU for 10 %, or for memory for
 * 1 %, of the time.
 */
bool tier_load_busy(const struct tier_load *load, char why[static 160]);

struct tier_measure;

/**
 * tier_measure_new() - the back end that measures this machine
 * @round_usec: how long a round of streaming, or of chasing, lasts
 * @ret_backend: borrows @ret
 *
 * Runs a thread on each CPU of a node, and memory bound to a node: the kernel may kill this process, and no other, if
 * the node has not enough. Source: set_mempolicy(2), mbind(2).
 *
 * Return: 0, -ENOMEM.
 */
int tier_measure_new(const struct tier_topology *topology, uint64_t round_usec,
		     struct tier_measure **ret, struct tier_calibrate_backend *ret_backend);
struct tier_measure *tier_measure_free(struct tier_measure *measure);

/**
 * tier_measure_bytes() - memory that a pair's rounds need
 *
 * Twice the last level caches of the CPU node, at least 64 MiB, at most 8 GiB.
 */
uint64_t tier_measure_bytes(const char *sysroot, const struct tier_topology *topology,
			    int cpu_node);

#endif

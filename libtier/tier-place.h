/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_PLACE_H
#define TIER_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-config.h"
#include "tier-error.h"
#include "tier-topology.h"

/* As many nodes as Linux can be built for. */
#define TIER_NODES_MAX 1024

struct tier_node_set {
	uint64_t bits[TIER_NODES_MAX / 64];
};

static inline bool tier_node_set_has(const struct tier_node_set *set, int node)
{
	return node >= 0 && node < TIER_NODES_MAX && (set->bits[node / 64] >> (node % 64) & 1);
}

static inline void tier_node_set_add(struct tier_node_set *set, int node)
{
	if (node >= 0 && node < TIER_NODES_MAX)
		set->bits[node / 64] |= UINT64_C(1) << (node % 64);
}

/* What is asked for. AUTO: every node, DRAM first. */
enum tier_place_tier {
	TIER_PLACE_ANY,
	TIER_PLACE_CXL,	 /* nodes that memory of CXL regions goes to */
	TIER_PLACE_DRAM, /* nodes with CPUs or in the fastest memory tier, and not a CXL region's */
	TIER_PLACE_AUTO, /* DRAM, and what an allocation falls back to */
	TIER_PLACE_NUMBER, /* the kernel's memory tier of that number */
};

/**
 * struct tier_place_request - which nodes
 * @tier_number: with TIER_PLACE_NUMBER; the nodes' tiers must have been read, see tier_topology_read_tiers()
 * @types: bit mask of 1 << enum tier_memory_type; 0: any, but for nodes that have to be named and are not
 * @regions, @region_count: names of regions or of [Region] sections; none: of any or no region
 * @allowed: nodes that this process may have memory of, see tier_policy_read(); NULL: any
 *
 * A node has to fit everything that is given. One that is Shared or Switched counts as named by a
 * region's name or by @types. A node of CXL regions whose type neither the kernel nor the configuration
 * tells (see tier_config_types()) may hold a portal: it is taken only if its regions are named.
 */
struct tier_place_request {
	enum tier_place_tier tier;
	int tier_number;
	unsigned types;
	const char *const *regions;
	size_t region_count;
	const struct tier_node_set *allowed;
};

enum tier_place_class {
	TIER_PLACE_CLASS_OTHER,
	TIER_PLACE_CLASS_DRAM,
	TIER_PLACE_CLASS_CXL,
};

/* Why a node was taken or left out, by how many of the conditions it meets. */
enum tier_place_verdict {
	TIER_PLACE_NOT_TIER,
	TIER_PLACE_NOT_REGION,
	TIER_PLACE_NOT_TYPE,
	TIER_PLACE_NO_MEMORY,	/* policies reject such nodes */
	TIER_PLACE_NOT_TOLD,	/* of a region whose type nobody has told, and nobody named it */
	TIER_PLACE_NOT_NAMED,	/* Shared or Switched, and nobody named it */
	TIER_PLACE_NOT_ALLOWED, /* by the cpuset */
	TIER_PLACE_TAKEN,
};

struct tier_place_node {
	const struct tier_node *node; /* of the snapshot */
	enum tier_place_class class;
	enum tier_place_verdict verdict;
};

/* Every node of a snapshot, which must outlive this, and those that were taken. */
struct tier_place {
	const struct tier_topology *topology;
	struct tier_place_node *nodes;
	size_t node_count;
	enum tier_place_tier tier;
	size_t taken_count;
	struct tier_node_set taken;
	struct tier_node_set dram; /* of those taken */
};

/**
 * tier_place_select() - the nodes that fit
 * @request: borrowed
 * @topology: borrowed for as long as @ret lives
 * @config: for names of [Region] sections; may be NULL
 * @ret: every node with its verdict, also on TIER_E_NOT_FOUND and TIER_E_REFUSED if all regions are in
 * order; else NULL; free with tier_place_free()
 *
 * Pure. Source: mpol_set_nodemask() in mm/mempolicy.c, which drops nodes without memory or outside of the
 * cpuset without a word and fails only if none is left; this says so instead.
 *
 * Return: 0; TIER_E_NOT_FOUND if there is no such region, or no node fits; TIER_E_REFUSED if a region
 * that was named is offline, shares its node with one that was not named, or is not allowed by the
 * cpuset, or if the only nodes that fit have no memory, are typed or of unknown type and not named, or are
 * not allowed;
 * -ENOMEM.
 */
int tier_place_select(const struct tier_place_request *request,
		      const struct tier_topology *topology, const struct tier_config *config,
		      struct tier_place **ret, struct tier_problem *problem);

/** tier_place_free() - free a selection; may be NULL. Return: NULL. */
struct tier_place *tier_place_free(struct tier_place *place);

/** tier_place_class_name() - "dram", "cxl", "other" */
const char *tier_place_class_name(enum tier_place_class class);

/** tier_place_verdict_text() - why a node was left out, in a few words; "" for TIER_PLACE_TAKEN */
const char *tier_place_verdict_text(enum tier_place_verdict verdict);

/**
 * tier_place_to_json() - a selection as JSON text
 * @ret_json: new string; free()
 *
 * Return: 0, -ENOMEM.
 */
int tier_place_to_json(const struct tier_place *place, char **ret_json);

/**
 * tier_node_set_list() - "2,4" as numactl and libvirt's nodeset take it
 * @ret: new string, empty for an empty set; free()
 *
 * Return: 0, -ENOMEM.
 */
int tier_node_set_list(const struct tier_node_set *set, char **ret);

/**
 * tier_node_set_qemu() - "host-nodes=2,host-nodes=4,policy=bind" for QEMU's -object memory-backend-*
 * @ret: new string; free()
 *
 * Return: 0, -ENOMEM.
 */
int tier_node_set_qemu(const struct tier_node_set *set, char **ret);

/**
 * struct tier_node_list - a list of nodes as numactl takes it, with names of regions in it
 * @list: such as "0,region3"
 * @for_cpus: it is about CPUs, which a region has none of
 * @typed: a number may be that of a Shared or Switched node
 * @allowed: as in struct tier_place_request
 */
struct tier_node_list {
	const char *list;
	bool for_cpus;
	bool typed;
	const struct tier_node_set *allowed;
};

/**
 * tier_place_node_list() - such a list without names of regions
 * @request: borrowed
 * @ret: new string; free()
 *
 * Pure. Forms that numactl knows itself are left as they are, unless there are nodes that
 * tier_place_select() takes only if they are named: then "all" and "!" become the numbers of the others.
 * Source: numa(3), numa_parse_nodestring().
 *
 * Return: 0; TIER_E_NOT_FOUND, TIER_E_REFUSED as tier_place_select(), and for a name in a range, a name
 * behind "+", a name where CPUs are meant, and a typed node's number without @typed; while there are nodes
 * that have to be named, also for positions ("+"), for "!" of "file:" and the like, and for "!" of all
 * that need no name; -ENOMEM.
 */
int tier_place_node_list(const struct tier_node_list *request, const struct tier_topology *topology,
			 const struct tier_config *config, char **ret,
			 struct tier_problem *problem);

/**
 * tier_place_destination() - the one node that a number, or the name of a region, stands for
 * @typed: a number may be that of a Shared or Switched node
 *
 * Pure. A number that is no node's is passed on: who works with it refuses it.
 *
 * Return: 0; TIER_E_NOT_FOUND, TIER_E_REFUSED as tier_place_select(), also for a section whose regions are
 * on several nodes; -EINVAL if @name is neither a number nor can be a name.
 */
int tier_place_destination(const char *name, bool typed, const struct tier_topology *topology,
			   const struct tier_config *config, int *ret_node,
			   struct tier_problem *problem);

enum tier_policy_mode {
	TIER_POLICY_BIND,
	TIER_POLICY_PREFERRED_MANY,
	TIER_POLICY_INTERLEAVE,
	TIER_POLICY_WEIGHTED_INTERLEAVE,
};

/* A NUMA memory policy of a task. */
struct tier_policy {
	enum tier_policy_mode mode;
	struct tier_node_set nodes;
};

/** tier_policy_mode_name() - "MPOL_BIND" and so on, as in the kernel */
const char *tier_policy_mode_name(enum tier_policy_mode mode);

/* What the kernel says of policies to this process. */
struct tier_policy_kernel {
	struct tier_node_set allowed; /* Mems_allowed: by its cpuset */
	bool weighted;		      /* MPOL_WEIGHTED_INTERLEAVE is there: Linux 6.9 */
};

/* How pages are spread over the nodes of a selection. */
enum tier_place_how {
	TIER_PLACE_BIND,       /* on these nodes or not at all; with TIER_PLACE_AUTO: DRAM first */
	TIER_PLACE_PREFERRED,  /* on these nodes first */
	TIER_PLACE_INTERLEAVE, /* by weight; one after the other if the kernel has no weights */
	TIER_PLACE_WEIGHTED,   /* by weight, or not at all */
};

/**
 * tier_place_policy() - the policy for a selection
 * @kernel: from tier_policy_read()
 *
 * Pure. Source: admin-guide/mm/numa_memory_policy.
 *
 * Return: 0; TIER_E_REFUSED if the kernel has no MPOL_WEIGHTED_INTERLEAVE, or if AUTO finds no DRAM.
 */
int tier_place_policy(const struct tier_place *place, enum tier_place_how how,
		      const struct tier_policy_kernel *kernel, struct tier_policy *ret,
		      struct tier_problem *problem);

/**
 * tier_policy_read() - what the kernel says of policies to this process
 *
 * Source: get_mempolicy(2), /sys/kernel/mm/mempolicy/weighted_interleave.
 *
 * Return: 0; -ENOSYS without NUMA; other negative errno.
 */
int tier_policy_read(struct tier_policy_kernel *ret, struct tier_problem *problem);

/**
 * tier_policy_set() - set this process's policy, which what it executes inherits
 *
 * With MPOL_F_STATIC_NODES: a node whose memory goes and comes back is meant again, and meanwhile no other
 * is put in for it, but that the kernel takes any node while none is left.
 * Source: set_mempolicy(2).
 *
 * Return: 0; negative errno.
 */
int tier_policy_set(const struct tier_policy *policy, struct tier_problem *problem);

#endif

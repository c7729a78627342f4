// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>

#include "tiering-mapping.h"
#include "util.h"

/* Mappings of less are left where they are: libraries, stacks. */
#define LEAST_BYTES (64 * 4096)
/* ... and those of which less than one part in so many is there. */
#define SPARSE 64

struct fields {
	char policy[32];
	bool huge;
	unsigned long mapped_by;
	uint64_t page_bytes;
	uint64_t fast_pages, slow_pages, other_pages;
};

static void take_node(const char *field, const struct tier_tiering_nodes *nodes,
		      struct fields *fields)
{
	char *end;
	int node = (int)strtol(field + 1, &end, 10);
	uint64_t pages;

	if (*end != '=')
		return;
	pages = strtoull(end + 1, NULL, 10);
	if (tiering_mask_has(nodes->fast, node))
		fields->fast_pages += pages;
	else if (tiering_mask_has(nodes->slow, node))
		fields->slow_pages += pages;
	else
		fields->other_pages += pages;
}

static enum tier_tiering_stay stay_of(const struct fields *fields)
{
	/* One that is not the default says where the memory is to be. */
	if (!streq(fields->policy, "default") && !streq(fields->policy, "local"))
		return TIER_STAY_POLICY;
	if (fields->huge)
		return TIER_STAY_HUGETLB;
	/* Whether others use it, and how they want it placed, is not seen from here. */
	if (fields->mapped_by > 1)
		return TIER_STAY_SHARED;
	if (fields->other_pages)
		return TIER_STAY_OTHER_NODE;
	if ((fields->fast_pages + fields->slow_pages) * fields->page_bytes < LEAST_BYTES)
		return TIER_STAY_SMALL;
	return TIER_STAY_NOT;
}

bool tiering_mapping_parse(const char *line, const struct tier_tiering_nodes *nodes,
			   struct tiering_mapping *ret)
{
	struct fields fields = {.page_bytes = 4096};
	uint64_t start;
	int length = 0;
	char *end;

	start = strtoull(line, &end, 16);
	if (end == line || sscanf(end, " %31s%n", fields.policy, &length) != 1)
		return false;
	for (const char *at = end + length; *at; at += strcspn(at, " \n")) {
		at += strspn(at, " \n");
		if (strncmp(at, "huge", 4) == 0 && (at[4] == ' ' || at[4] == '\n' || !at[4]))
			fields.huge = true;
		else if (strncmp(at, "mapmax=", 7) == 0)
			fields.mapped_by = strtoul(at + 7, NULL, 10);
		else if (strncmp(at, "kernelpagesize_kB=", 18) == 0)
			fields.page_bytes = strtoull(at + 18, NULL, 10) * KIB;
		else if (at[0] == 'N' && isdigit((unsigned char)at[1]))
			take_node(at, nodes, &fields);
	}
	*ret = (struct tiering_mapping){
		.start = start,
		.fast_bytes = fields.fast_pages * fields.page_bytes,
		.slow_bytes = fields.slow_pages * fields.page_bytes,
		.other_bytes = fields.other_pages * fields.page_bytes,
		.mapped_by = fields.mapped_by,
		.stay = stay_of(&fields),
	};
	return true;
}

/* Memory mostly reserved: passes would see nothing but emptiness. */
bool tiering_mapping_is_sparse(const struct tiering_mapping *mapping, uint64_t end)
{
	return (mapping->fast_bytes + mapping->slow_bytes) * SPARSE < end - mapping->start;
}

const char *tier_tiering_stay_name(enum tier_tiering_stay stay)
{
	static const char *const names[] = {
		[TIER_STAY_NOT] = "may-move",	       [TIER_STAY_POLICY] = "memory-policy",
		[TIER_STAY_HUGETLB] = "hugetlb",       [TIER_STAY_SHARED] = "shared",
		[TIER_STAY_OTHER_NODE] = "other-node", [TIER_STAY_SMALL] = "small",
		[TIER_STAY_SPARSE] = "sparse",	       [TIER_STAY_LEAST] = "least-memory",
		[TIER_STAY_CPUSET] = "cpuset",	       [TIER_STAY_LOCKED] = "locked",
		[TIER_STAY_PINNED] = "pinned",
	};

	return stay < ARRAY_SIZE(names) ? names[stay] : "unknown";
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel counts for each node. */
#include <ctype.h>

#include "metrics.h"

static const char *const names[] = {
	[TIER_FLOW_PROMOTED] = "pgpromote_success",
	[TIER_FLOW_CANDIDATE] = "pgpromote_candidate",
	[TIER_FLOW_DEMOTED_KSWAPD] = "pgdemote_kswapd",
	[TIER_FLOW_DEMOTED_DIRECT] = "pgdemote_direct",
	[TIER_FLOW_DEMOTED_KHUGEPAGED] = "pgdemote_khugepaged",
	[TIER_FLOW_DEMOTED_PROACTIVE] = "pgdemote_proactive",
};

/* The number behind a name that stands at the beginning of a line, or behind a space; unknown if there is none. */
static uint64_t number_of(const char *text, const char *name)
{
	size_t length = strlen(name);
	char *end;

	for (const char *at = text; (at = strstr(at, name)); at += length) {
		uint64_t value;

		if (at > text && at[-1] != '\n' && at[-1] != ' ')
			continue;
		if (at[length] != ' ')
			continue;
		value = strtoull(at + length, &end, 10);
		if (end > at + length && !isalnum((unsigned char)end[0]))
			return value;
	}
	return TIER_UNKNOWN_U64;
}

static uint64_t scaled(uint64_t number, uint64_t unit)
{
	uint64_t bytes;

	if (number == TIER_UNKNOWN_U64 || __builtin_mul_overflow(number, unit, &bytes))
		return TIER_UNKNOWN_U64;
	return bytes;
}

void node_stat_parse(const char *meminfo, const char *vmstat, uint64_t page_bytes,
		     struct tier_node_stat *stat)
{
	stat->total_bytes = scaled(number_of(meminfo ?: "", "MemTotal:"), KIB);
	stat->free_bytes = scaled(number_of(meminfo ?: "", "MemFree:"), KIB);
	for (size_t i = 0; i < _TIER_FLOW_MAX; i++)
		stat->flow_bytes[i] = scaled(number_of(vmstat ?: "", names[i]), page_bytes);
}

const struct tier_node_stat *tier_node_stat_find(const struct tier_node_stat *stats, size_t count,
						 int node)
{
	for (size_t i = 0; i < count; i++)
		if (stats[i].node == node)
			return &stats[i];
	return NULL;
}

bool tier_node_stats_same(const struct tier_node_stat *a, size_t a_count,
			  const struct tier_node_stat *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (a[i].node != b[i].node || a[i].total_bytes != b[i].total_bytes)
			return false;
	return true;
}

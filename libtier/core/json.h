/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_JSON_H
#define TIER_CORE_JSON_H

#include <systemd/sd-json.h>

#include "tier-topology.h"
#include "util.h"

static inline void json_unrefp(sd_json_variant **v)
{
	sd_json_variant_unref(*v);
}
#define _cleanup_json_ _cleanup_(json_unrefp)

/* A number that is null when unknown, e.g. JSON_U64("start", region->start). */
#define JSON_U64(key, value)                                                                       \
	SD_JSON_BUILD_PAIR_CONDITION((value) != TIER_UNKNOWN_U64, key,                             \
				     SD_JSON_BUILD_UNSIGNED(value)),                               \
		SD_JSON_BUILD_PAIR_CONDITION((value) == TIER_UNKNOWN_U64, key, SD_JSON_BUILD_NULL)

#define JSON_NODE(key, value)                                                                      \
	SD_JSON_BUILD_PAIR_CONDITION((value) >= 0, key, SD_JSON_BUILD_INTEGER(value)),             \
		SD_JSON_BUILD_PAIR_CONDITION((value) < 0, key, SD_JSON_BUILD_NULL)

/* A string that is null when empty. */
#define JSON_TEXT(key, value)                                                                      \
	SD_JSON_BUILD_PAIR_CONDITION((value)[0] != '\0', key, SD_JSON_BUILD_STRING(value)),        \
		SD_JSON_BUILD_PAIR_CONDITION((value)[0] == '\0', key, SD_JSON_BUILD_NULL)

/* A zone that is null when there is none. */
#define JSON_ZONE(key, value)                                                                      \
	SD_JSON_BUILD_PAIR_CONDITION((value) != TIER_ZONE_NONE, key,                               \
				     SD_JSON_BUILD_STRING(tier_zone_name(value))),                 \
		SD_JSON_BUILD_PAIR_CONDITION((value) == TIER_ZONE_NONE, key, SD_JSON_BUILD_NULL)

/* A memory type that is null when the kernel has none. */
#define JSON_MEMORY_TYPE(key, value)                                                               \
	SD_JSON_BUILD_PAIR_CONDITION((value) != TIER_MEMORY_UNKNOWN, key,                          \
				     SD_JSON_BUILD_STRING(tier_memory_type_name(value))),          \
		SD_JSON_BUILD_PAIR_CONDITION((value) == TIER_MEMORY_UNKNOWN, key,                  \
					     SD_JSON_BUILD_NULL)

/* Formats for a file or a pipe: no colours, sorted as built, newline at the end. */
static inline int json_format(sd_json_variant *v, char **ret)
{
	int r = sd_json_variant_format(v, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, ret);

	return r < 0 ? r : 0;
}

#endif

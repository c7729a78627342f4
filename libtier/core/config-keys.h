/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_CONFIG_KEYS_H
#define TIER_CORE_CONFIG_KEYS_H

#include <stdint.h>

#include "tier-config.h"

/* Which keys exist, and what a value must look like. */

enum config_section {
	CONFIG_DAEMON,
	CONFIG_TIERING,
	CONFIG_REGION,
	CONFIG_PORTAL,
	CONFIG_MACHINE,
	CONFIG_POLICY,
};

/* Stores one assignment; an empty @value restores the default. 0; -EINVAL with the reason. */
typedef int (*config_store)(void *field, size_t bytes, const char *value, const char **ret_reason);

struct config_key {
	enum config_section section;
	const char *name;
	config_store store;
	size_t offset;	      /* into the struct of the section */
	size_t bytes;	      /* of the field */
	const char *fallback; /* what an empty value means, in the key's own syntax; NULL: zero */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* [A-Za-z0-9._-]+, not starting with '.' or '-', since a name becomes a path and an argument. */
bool config_name_valid(const char *name);

/*
 * What a single key cannot tell, once every file has been read: a section may be spread over
 * several files, so that something is missing, or contradicts something else, is known only at the
 * end. The problem's object is the section, or of a contradiction the later line. Returns 0 or -EINVAL.
 */
int config_check(const struct tier_config *config, struct tier_problem *problem);

/*
 * Why a machine's Argument= may not be given, or NULL if it may. @previous is the argument before
 * it, NULL for the first.
 */
const char *config_argument_refused(const char *previous, const char *argument);

/* Where values come from: config-check.c. The problem of a contradiction names both lines. */
int config_note_file(struct tier_config *config, const char *file, size_t *ret_number);
int config_note_place(struct tier_config *config, const char *section, const struct config_key *key,
		      size_t file, unsigned line);
/* "FILE:LINE"; of a long name the end. */
const char *config_place_text(char text[static 96], const char *file, unsigned line);

/* "FILE:LINE" of a key, or of what the section is matched by if the key has its default. */
const char *config_where(const struct tier_config *config, const char *section, const char *key,
			 char text[static 96]);
const char *config_section_name(char text[static 80], const char *kind, const char *name);
/* Two lines that cannot both hold; @place is the later one, and the text names the other. -EINVAL. */
int config_contradiction(struct tier_problem *problem, const char *place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What is wrong with the regions that are declared: config-declare.c. */
int config_check_declared(const struct tier_config *config, struct tier_problem *problem);
/* Is it the region that the section declares, by what tells it apart from others? */
bool config_is_declared(const struct tier_config_region *rule, const struct tier_region *region);
bool config_same_devices(const struct tier_config_devices *a, const struct tier_config_devices *b);
bool config_has_device(const struct tier_config_devices *devices, uint64_t serial);

/* Gives every key of a section its default. */
void config_section_defaults(enum config_section section, void *target);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_PORTAL_KEY_H
#define TIER_PORTAL_KEY_H

#include "tier-portal.h"

/* Where keys are: /etc/cxl-tier/keys, or what CXL_TIER_KEYS in the environment says. */
const char *portal_key_directory(void);

/*
 * Fills in @super's key from @directory/NAME.key if it is keyed. TIER_E_REFUSED: it is keyed and
 * there is no key, or one that is not safe; it is not keyed, and there is a key. Negative errno.
 */
int portal_key_load(const char *directory, struct tier_super *super, struct tier_problem *problem);

/* The public functions of these names, of keys in @directory. */
int portal_key_find(const char *directory, const char *name, struct tier_problem *problem);
int portal_key_generate(const char *directory, const char *name, struct tier_problem *problem);

#endif

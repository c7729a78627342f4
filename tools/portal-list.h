/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_PORTAL_LIST_H
#define TIERCTL_PORTAL_LIST_H

#include "tool.h"

/* A place where a portal is, or was expected. */
struct portal_place {
	char path[256];
	char region[32]; /* empty: a file */
	char name[64];	 /* the portal's own, else that of its section in the configuration */
	int code;	 /* of tier_portal_probe() */
	struct tier_problem problem;
};

struct portal_list {
	struct portal_place *places;
	size_t count;
	size_t ram_devices; /* dax devices that are system RAM: nobody can look into them */
};

/*
 * The portals on this host's devdax devices and in the files of its configuration. Devices without
 * a portal are left out. Complains and returns TOOL_FAILED.
 */
int portal_list(struct portal_list *ret);
void portal_list_done(struct portal_list *list);

/*
 * Where the portal is that somebody calls @object: a path, a region, or a portal's name. Complains
 * and returns TOOL_FAILED.
 */
int portal_find(const char *object, char path[static 256]);

/*
 * The name that this host has in the portal at @path: that of the configuration's section for it,
 * else its hostname. Complains and returns TOOL_FAILED.
 */
int portal_local_host(const char *path, char host[static 64]);

/* tier_portal_open_configured() by this host's configuration. */
int portal_open(const char *path, unsigned flags, struct tier_portal **ret,
		struct tier_problem *problem);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this host's configuration says of a portal, found by where it lies and not by its name. */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sysfs.h"
#include "tier-config.h"
#include "tier-portal.h"
#include "tier-topology.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_topology *, tier_topology_free)

/* File= may name it by another path. */
static const struct tier_config_portal *by_file(const struct tier_config *config,
						const struct stat *status)
{
	for (size_t i = 0; i < config->portal_count; i++) {
		const struct tier_config_portal *rule = &config->portals[i];
		struct stat other;

		if (rule->file[0] && stat(rule->file, &other) == 0 &&
		    other.st_dev == status->st_dev && other.st_ino == status->st_ino)
			return rule;
	}
	return NULL;
}

static int by_region(const struct tier_config *config, const struct stat *status,
		     const struct tier_config_portal **ret, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char name[32];
	int r = sysfs_open(&sysfs, NULL);

	r = r
		    ?: sysfs_read_link_name(&sysfs, name, sizeof(name), "sys/dev/char/%u:%u",
					    major(status->st_rdev), minor(status->st_rdev));
	/* Opening it tells that it is no dax device. */
	if (r == TIER_E_NOT_FOUND)
		return 0;
	if (r)
		return tier_problem_set(problem, r, "/sys/dev/char", NULL,
					"cannot tell which device it is");
	r = tier_topology_read(NULL, &topology, problem);
	if (r)
		return r;
	for (size_t i = 0; i < topology->dax_count; i++) {
		const struct tier_region *region;

		if (!streq(topology->daxs[i].name, name))
			continue;
		region = tier_topology_region(topology, topology->daxs[i].region);
		*ret = region ? tier_config_portal_rule(config, region) : NULL;
	}
	return 0;
}

int tier_portal_rule(const struct tier_config *config, const char *path,
		     const struct tier_config_portal **ret, struct tier_problem *problem)
{
	const struct tier_config_portal *rule = NULL;
	struct stat status;
	int r = 0;

	/* If it is not there, opening it tells why. */
	if (stat(path, &status) == 0)
		rule = by_file(config, &status);
	else
		status.st_mode = 0;
	if (!rule && S_ISCHR(status.st_mode))
		r = by_region(config, &status, &rule, problem);
	if (r == 0)
		*ret = rule;
	return r;
}

int tier_portal_open_configured(const struct tier_config *config, const char *path, unsigned flags,
				struct tier_portal **ret, struct tier_problem *problem)
{
	const struct tier_config_portal *rule;
	int r = tier_portal_rule(config, path, &rule, problem);

	if (r)
		return r;
	return tier_portal_open(path, flags | (rule ? rule->keyed : 0), ret, problem);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-survey.h"
#include "sysfs.h"
#include "tier-explain.h"
#include "zoneinfo.h"
#include "zoning.h"

static int read_zones(const struct sysfs *sysfs, struct tier_zoning *zoning)
{
	_cleanup_zoneinfo_ struct zoneinfo info = {};
	int r = zoneinfo_read(sysfs, &info);

	for (size_t i = 0; r == 0 && i < info.count; i++) {
		const struct zoneinfo_zone *from = &info.zones[i];
		struct tier_zoning_zone zone = {
			.start_pfn = from->start_pfn,
			.spanned_pages = from->spanned_pages,
			.present_pages = from->present_pages,
			/* Until the blocks that are not early are told. */
			.present_early_pages = from->present_pages,
			.cma_pages = from->cma_pages,
		};

		if (zone.present_pages > 0 || zone.spanned_pages > 0)
			r = tier_zoning_set_zone(zoning, from->node, from->id, &zone);
	}
	return r;
}

/* The device of kmem that a block is a part of; NULL: none, so the block counts as early. */
static const struct tier_dax *device_of(const struct tier_topology *topology, uint64_t index)
{
	uint64_t start = index * topology->block_bytes;

	for (size_t i = 0; i < topology->dax_count; i++) {
		const struct tier_dax *dax = &topology->daxs[i];

		if (tier_dax_has_blocks(dax) && dax->start != TIER_UNKNOWN_U64 &&
		    start >= dax->start && start - dax->start < dax->bytes)
			return dax;
	}
	return NULL;
}

/* kmem makes a static group of each dax device. */
static int add_groups(const struct tier_topology *topology, struct tier_zoning *zoning, int *groups)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < topology->dax_count; i++) {
		const struct tier_dax *dax = &topology->daxs[i];
		struct tier_zoning_group group = {
			.node = dax->target_node,
			.pages = online_usable_bytes(topology, dax) / topology->page_bytes,
		};

		groups[i] = TIER_ZONING_NO_GROUP;
		if (tier_dax_has_blocks(dax) && dax->start != TIER_UNKNOWN_U64 &&
		    dax->target_node >= 0 && group.pages > 0)
			r = tier_zoning_add_group(zoning, &group, &groups[i]);
	}
	return r;
}

static int add_blocks(const struct tier_topology *topology, struct tier_zoning *zoning,
		      const int *groups)
{
	for (size_t i = 0; i < topology->block_count; i++) {
		const struct tier_block *from = &topology->blocks[i];
		const struct tier_dax *dax = device_of(topology, from->index);
		struct tier_zoning_block block = {
			.index = from->index,
			.node = from->node,
			.group = dax ? groups[dax - topology->daxs] : TIER_ZONING_NO_GROUP,
			.early = !dax,
			.zone = from->state == TIER_BLOCK_OFFLINE ? TIER_ZONE_NONE : from->zone,
		};
		int r;

		if (from->node < 0 ||
		    (from->state != TIER_BLOCK_OFFLINE && from->zone == TIER_ZONE_NONE))
			continue;
		r = zoning_need_node(zoning, from->node);
		if (r == 0)
			r = tier_zoning_set_block(zoning, &block);
		if (r == -EINVAL)
			return TIER_E_STALE;
		if (r != 0)
			return r;
	}
	return 0;
}

static bool booted_movable_node(const struct sysfs *sysfs)
{
	_cleanup_free_ char *line = NULL;
	char *save = NULL;

	if (sysfs_read_text(sysfs, &line, "proc/cmdline") != 0)
		return false;
	for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		if (streq(word, "movable_node"))
			return true;
	return false;
}

int tier_zoning_read(const char *sysroot, const struct tier_topology *topology,
		     struct tier_zoning **ret, struct tier_zoning_policy *ret_policy,
		     struct tier_problem *problem)
{
	const struct tier_hotplug *hotplug = &topology->hotplug;
	_cleanup_free_ int *groups = calloc(topology->dax_count + 1, sizeof(*groups));
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_zoning_ struct tier_zoning *zoning = NULL;
	int r = groups ? sysfs_open(&sysfs, sysroot) : -ENOMEM;

	if (r == 0 && (topology->block_bytes == 0 || topology->page_bytes == 0))
		return tier_problem_set(problem, TIER_E_REFUSED, "memory blocks",
					"boot a kernel with CONFIG_MEMORY_HOTPLUG",
					"this kernel has none");
	if (r == 0)
		r = tier_zoning_new(topology->block_bytes / topology->page_bytes, &zoning);
	if (r == 0)
		r = read_zones(&sysfs, zoning);
	if (r == SYSFS_ABSENT || r == SYSFS_DENIED)
		return tier_problem_set(problem, TIER_E_REFUSED, "/proc/zoneinfo", NULL,
					"cannot be read");
	if (r == 0)
		r = add_groups(topology, zoning, groups);
	if (r == 0)
		r = add_blocks(topology, zoning, groups);
	if (r > 0)
		return tier_problem_set(problem, TIER_E_STALE, "/proc/zoneinfo", "try again",
					"does not agree with the memory blocks; has memory gone "
					"online meanwhile?");
	if (r < 0)
		return tier_problem_set(problem, r, "/proc/zoneinfo", NULL,
					"cannot make out the state of the zones");
	*ret_policy = (struct tier_zoning_policy){
		.auto_movable = streq(hotplug->online_policy, "auto-movable"),
		.ratio_percent = hotplug->ratio_percent,
		.numa_aware = hotplug->numa_aware,
		.movable_node = booted_movable_node(&sysfs),
	};
	*ret = TAKE(zoning);
	return 0;
}

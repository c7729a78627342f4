/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "tier-ras.h"
#include "util.h"

/* How much of each of its devices a region takes. */
static uint64_t device_bytes(const struct tier_region *region)
{
	return region->bytes / MAX(region->interleave_ways, 1u);
}

static bool usable(const struct tier_region *region)
{
	return region->start != TIER_UNKNOWN_U64 && region->bytes != TIER_UNKNOWN_U64 &&
	       region->bytes > 0 && region->start <= TIER_UNKNOWN_U64 - region->bytes;
}

static void whole(const struct tier_region *region, struct tier_ras_place *place)
{
	place->start = region->start;
	place->bytes = region->bytes;
	place->exact = false;
}

/* Clips to what the region has of the device; false: nothing. */
static bool locate(const struct tier_region *region, size_t position, uint64_t dpa, uint64_t bytes,
		   struct tier_ras_place *place)
{
	uint64_t base = region->dpa_starts[position], size = device_bytes(region), end, unit;
	uint64_t ways = MAX(region->interleave_ways, 1u);

	copy_string(place->region, sizeof(place->region), region->name);
	if (dpa == TIER_UNKNOWN_U64 || base == TIER_UNKNOWN_U64) {
		whole(region, place);
		return true;
	}
	end = dpa > TIER_UNKNOWN_U64 - bytes ? TIER_UNKNOWN_U64 : dpa + bytes;
	if (end <= base || dpa >= base + size)
		return false;
	dpa = MAX(dpa, base) - base;
	end = MIN(end - base, size);
	if (ways == 1) {
		place->start = region->start + dpa;
		place->bytes = end - dpa;
		place->exact = true;
		return true;
	}
	unit = region->interleave_granularity_bytes;
	if (unit == 0) {
		whole(region, place);
		return true;
	}
	/* Each device has one unit of each stripe. */
	dpa = dpa / unit * unit * ways;
	end = MIN((end + unit - 1) / unit * unit * ways, region->bytes);
	place->start = region->start + dpa;
	place->bytes = end - dpa;
	place->exact = false;
	return true;
}

int tier_ras_locate(const struct tier_topology *topology, uint64_t serial, uint64_t dpa,
		    uint64_t bytes, struct tier_ras_place **ret, size_t *ret_count)
{
	_cleanup_free_ struct tier_ras_place *places = NULL;
	size_t count = 0;

	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];

		for (size_t p = 0; usable(region) && p < region->memdev_count; p++) {
			struct tier_ras_place place = {}, *added;

			if (region->serials[p] != serial || !locate(region, p, dpa, bytes, &place))
				continue;
			added = array_grow(&places, &count, sizeof(*added));
			if (!added)
				return -ENOMEM;
			*added = place;
		}
	}
	if (count == 0)
		return TIER_E_NOT_FOUND;
	*ret = TAKE(places);
	*ret_count = count;
	return 0;
}

int tier_ras_device_range(const struct tier_topology *topology, const char *name, uint64_t offset,
			  uint64_t bytes, uint64_t *ret_serial, uint64_t *ret_dpa,
			  uint64_t *ret_bytes, struct tier_problem *problem)
{
	const struct tier_region *region = tier_topology_region(topology, name);
	uint64_t ways, unit, first, end;

	if (!region)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "see tierctl list regions",
					"no such region");
	if (!usable(region) || offset >= region->bytes || bytes == 0)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, NULL,
					"offset 0x%" PRIx64 " is beyond its end", offset);
	ways = MAX(region->interleave_ways, 1u);
	unit = ways == 1 ? 1 : region->interleave_granularity_bytes;
	if (region->memdev_count == 0 || region->dpa_starts[0] == TIER_UNKNOWN_U64 || unit == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, name, NULL,
					"which addresses of its devices it has is not known");
	*ret_serial = region->serials[0];
	first = offset / (unit * ways);
	end = (MIN(bytes, region->bytes - offset) + offset - 1) / (unit * ways) + 1;
	*ret_dpa = region->dpa_starts[0] + first * unit;
	*ret_bytes = (end - first) * unit;
	return 0;
}

const struct tier_region *tier_ras_region_of(const struct tier_topology *topology, uint64_t address)
{
	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];

		if (usable(region) && address >= region->start &&
		    address - region->start < region->bytes)
			return region;
	}
	return NULL;
}

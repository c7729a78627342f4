/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a region fits into a window, by the rules of Linux's drivers/cxl/core/region.c: said beforehand, with the
 * reason, where the kernel says ENXIO.
 */
#include <inttypes.h>
#include <stdarg.h>

#include "declare-fit.h"

/* What decoders can interleave by. */
#define GRANULARITY_MAX 16384
#define PORT_WAYS_MAX	8

static bool is_power(unsigned number)
{
	return number && (number & (number - 1)) == 0;
}

void space_done(struct space *space)
{
	free(space->taken);
	free(space->ram_free_bytes);
	free(space->free_decoders);
	*space = (struct space){};
}

uint64_t *space_free(struct space *space, const struct tier_memdev *memdev)
{
	return &space->ram_free_bytes[memdev - space->topology->memdevs];
}

static int note(struct space *space, const char *name, uint64_t start, uint64_t bytes,
		const struct members *members)
{
	struct taken *taken = array_grow(&space->taken, &space->taken_count, sizeof(*taken));

	if (!taken)
		return -ENOMEM;
	*taken = (struct taken){.start = start, .bytes = bytes, .members = *members};
	copy_string(taken->name, sizeof(taken->name), name);
	return 0;
}

int space_init(struct space *space, const struct tier_topology *topology)
{
	int r = 0;

	*space = (struct space){.topology = topology};
	space->ram_free_bytes = calloc(topology->memdev_count + 1, sizeof(*space->ram_free_bytes));
	space->free_decoders = calloc(topology->port_count + 1, sizeof(*space->free_decoders));
	if (!space->ram_free_bytes || !space->free_decoders)
		return -ENOMEM;
	for (size_t i = 0; i < topology->port_count; i++)
		space->free_decoders[i] = topology->ports[i].free_decoders;
	for (size_t i = 0; i < topology->memdev_count; i++) {
		const struct tier_memdev *memdev = &topology->memdevs[i];

		space->ram_free_bytes[i] = memdev->ram_free_bytes != TIER_UNKNOWN_U64
						   ? memdev->ram_free_bytes
						   : memdev->ram_bytes;
	}
	for (size_t i = 0; r == 0 && i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];
		struct members members = {};

		for (size_t m = 0; m < region->memdev_count && m < TIER_WAYS_MAX; m++) {
			const struct tier_memdev *memdev =
				tier_topology_memdev(topology, region->memdevs[m]);

			if (!memdev)
				continue;
			members.memdevs[members.count++] = memdev;
			if (memdev->ram_free_bytes == TIER_UNKNOWN_U64 &&
			    region->bytes != TIER_UNKNOWN_U64 && !streq(region->mode, "pmem")) {
				uint64_t *left = space_free(space, memdev);

				*left -= MIN(*left, region->bytes / region->memdev_count);
			}
		}
		if (region->start != TIER_UNKNOWN_U64 && region->bytes != TIER_UNKNOWN_U64)
			r = note(space, region->name, region->start, region->bytes, &members);
	}
	return r;
}

/* Once for a port that several members have in common. */
static bool first_through(const struct members *members, unsigned member, unsigned level)
{
	for (unsigned i = 0; i < member; i++)
		if (level < members->memdevs[i]->port_count &&
		    streq(members->memdevs[i]->ports[level],
			  members->memdevs[member]->ports[level]))
			return false;
	return true;
}

int space_take(struct space *space, const char *name, uint64_t start, uint64_t bytes,
	       const struct members *members)
{
	for (unsigned i = 0; i < members->count; i++) {
		const struct tier_memdev *memdev = members->memdevs[i];
		uint64_t *left = space_free(space, memdev);

		*left -= MIN(*left, bytes / members->count);
		for (unsigned level = 0; level < memdev->port_count; level++) {
			const struct tier_port *port =
				tier_topology_port(space->topology, memdev->ports[level]);
			int *decoders =
				port ? &space->free_decoders[port - space->topology->ports] : NULL;

			if (decoders && *decoders > 0 && first_through(members, i, level))
				--*decoders;
		}
	}
	return note(space, name, start, bytes, members);
}

struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static bool no(const struct reason *reason,
						     const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason->text, reason->size, format, arguments);
	va_end(arguments);
	return false;
}

/*
 * The members below one port, by their positions: its downstream ports take turns, in powers of two, and interleave by
 * all that is interleaved above it.
 */
static bool port_fits(const struct members *all, unsigned level, uint64_t granularity,
		      const struct reason *reason)
{
	const char *port = all->memdevs[0]->ports[level];
	unsigned ways = 0;

	if (level + 1 >= all->memdevs[0]->port_count)
		return true;
	while (ways < all->count) {
		unsigned i;

		for (i = 0; i < ways; i++)
			if (streq(all->memdevs[i]->ports[level + 1],
				  all->memdevs[ways]->ports[level + 1]))
				break;
		if (i < ways)
			break;
		ways++;
	}
	for (unsigned i = ways; i < all->count; i++)
		if (!streq(all->memdevs[i]->ports[level + 1],
			   all->memdevs[i % ways]->ports[level + 1]))
			return no(reason,
				  "the devices below %s do not take turns there, as the order of "
				  "Create= has them: %s comes where one next to %s is needed",
				  port, all->memdevs[i]->name, all->memdevs[i % ways]->name);
	if (!is_power(ways) || ways > PORT_WAYS_MAX)
		return no(reason, "%s would interleave over %u of its ports, and can do 1, 2, 4, 8",
			  port, ways);
	if (granularity > GRANULARITY_MAX)
		return no(reason,
			  "%s would interleave by %" PRIu64 "K, and can do no more than 16K", port,
			  granularity / 1024);
	for (unsigned turn = 0; turn < ways; turn++) {
		struct members some = {};

		for (unsigned i = turn; i < all->count; i += ways)
			some.memdevs[some.count++] = all->memdevs[i];
		if (!port_fits(&some, level + 1, granularity * ways, reason))
			return false;
	}
	return true;
}

static bool interleave_fits(const struct space *space, const struct tier_window *window,
			    const struct members *members, unsigned granularity,
			    const struct reason *reason)
{
	unsigned bridges = window->interleave_ways;

	if (bridges == 0 || members->count % bridges || !is_power(members->count / bridges))
		return no(reason,
			  "it interleaves over %u host bridges, and %u devices are not a power of "
			  "two times that",
			  bridges, members->count);
	if (bridges > 1 && granularity != window->interleave_granularity_bytes)
		return no(reason, "it interleaves by %u bytes, not by %u",
			  window->interleave_granularity_bytes, granularity);
	for (unsigned i = 0; i < members->count && window->target_count > 0; i++) {
		const struct tier_memdev *memdev = members->memdevs[i];
		const struct tier_port *port =
			tier_topology_port(space->topology, memdev->ports[0]);
		int wanted = window->targets[i % bridges % window->target_count];

		if (!port || port->target == TIER_UNKNOWN_INT || port->target == wanted)
			continue;
		for (unsigned t = 0; t < window->target_count; t++)
			if (window->targets[t] == port->target)
				return no(reason,
					  "%s, device %u of Create=, is below another host bridge "
					  "than its turn is",
					  memdev->name, i + 1);
		return no(reason, "it does not reach %s", memdev->name);
	}
	/* A third of 3, 6 or 12 is decoded by the host bridges' number modulo 3. */
	if (!is_power(bridges))
		bridges /= 3;
	for (unsigned turn = 0; turn < window->interleave_ways; turn++) {
		struct members some = {};

		for (unsigned i = turn; i < members->count; i += window->interleave_ways)
			some.memdevs[some.count++] = members->memdevs[i];
		if (!port_fits(&some, 0, (uint64_t)granularity * bridges, reason))
			return false;
	}
	return true;
}

static bool have_port(const struct members *a, const struct members *b, const char **ret)
{
	for (unsigned i = 0; i < a->count; i++)
		for (unsigned level = 0; level < a->memdevs[i]->port_count; level++)
			for (unsigned j = 0; j < b->count; j++)
				if (level < b->memdevs[j]->port_count &&
				    streq(a->memdevs[i]->ports[level],
					  b->memdevs[j]->ports[level])) {
					*ret = a->memdevs[i]->ports[level];
					return true;
				}
	return false;
}

/* Decoders of a port are used in the order of their addresses. */
static bool order_fits(const struct space *space, const struct members *members, uint64_t start,
		       const struct reason *reason)
{
	const char *port;

	for (size_t i = 0; i < space->taken_count; i++)
		if (space->taken[i].start >= start &&
		    have_port(members, &space->taken[i].members, &port))
			return no(reason,
				  "its free space is below %s, and the decoders of %s have to go "
				  "up",
				  space->taken[i].name, port);
	return true;
}

static bool decoders_fit(const struct space *space, const struct members *members,
			 const struct reason *reason)
{
	for (unsigned i = 0; i < members->count; i++)
		for (unsigned level = 0; level < members->memdevs[i]->port_count; level++) {
			const char *name = members->memdevs[i]->ports[level];
			const struct tier_port *port = tier_topology_port(space->topology, name);

			if (port && space->free_decoders[port - space->topology->ports] == 0)
				return no(reason,
					  "all %d decoders of %s, on the way to %s, are in use",
					  port->decoders, name, members->memdevs[i]->name);
		}
	return true;
}

/* The lowest hole, as the kernel takes it; TIER_UNKNOWN_U64 if there is none. */
static uint64_t find_hole(const struct space *space, const struct tier_window *window,
			  uint64_t bytes)
{
	uint64_t at = ROUND_UP(window->start, REGION_STEP), end, taken_end, next;

	if (__builtin_add_overflow(window->start, window->bytes, &end) || at < window->start)
		return TIER_UNKNOWN_U64;
	for (size_t i = 0; at <= end && end - at >= bytes; i++) {
		const struct taken *taken = &space->taken[i];

		if (i == space->taken_count)
			return at;
		if (taken->bytes == 0 || taken->start >= at + bytes ||
		    __builtin_add_overflow(taken->start, taken->bytes, &taken_end) ||
		    taken_end <= at)
			continue;
		next = ROUND_UP(taken_end, REGION_STEP);
		if (next <= at)
			break;
		at = next;
		i = (size_t)-1;
	}
	return TIER_UNKNOWN_U64;
}

uint64_t window_fit(const struct space *space, const struct tier_window *window,
		    const struct members *members, uint64_t bytes, unsigned *granularity_bytes,
		    char *why, size_t why_size)
{
	struct reason reason = {why, why_size};
	unsigned granularity = *granularity_bytes ?: window->interleave_granularity_bytes;
	uint64_t start;
	char size[16];

	if (!window->volatile_capable) {
		no(&reason, "it takes no volatile memory");
		return TIER_UNKNOWN_U64;
	}
	if (!interleave_fits(space, window, members, granularity, &reason))
		return TIER_UNKNOWN_U64;
	if (window->start == TIER_UNKNOWN_U64 || window->bytes == TIER_UNKNOWN_U64) {
		no(&reason, "its addresses cannot be read without privilege");
		return TIER_UNKNOWN_U64;
	}
	start = find_hole(space, window, bytes);
	if (start == TIER_UNKNOWN_U64) {
		no(&reason, "it has no %s free in one piece", format_bytes(size, bytes));
		return start;
	}
	if (!order_fits(space, members, start, &reason) || !decoders_fit(space, members, &reason))
		return TIER_UNKNOWN_U64;
	*granularity_bytes = granularity;
	return start;
}

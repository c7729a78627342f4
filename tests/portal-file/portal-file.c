/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Portals on plain files for the daemon's tests: what "portal format" and a flight's two tools would
 * write, one record at a time.
 *
 *	portal-file format PATH BYTES HOST...
 *	portal-file offer PATH HOST SLOT GENERATION UUID DESTINATION STATE FIRST COUNT [INCARNATION [VM]]
 *	portal-file answer PATH HOST SLOT GENERATION UUID SOURCE SOURCE-SLOT STATE [INCARNATION]
 *	portal-file fence PATH HOST TARGET UPTO STATE
 *	portal-file extent PATH EXTENT     prints its state
 *	portal-file granted PATH UUID      prints "FIRST COUNT" of each range
 *	portal-file state PATH HOST SLOT   prints the offer's state
 *	portal-file host PATH HOST         prints "INCARNATION BEATS INTERVAL-USEC WATCHDOG-USEC"
 *	portal-file layout PATH            prints "CONTROL-BYTES EXTENT-BYTES"
 *	portal-file super PATH NAME KEYED  changes that in both superblocks, as a peer may
 *
 * Hosts are slot numbers except in "format". An offer names the extents, and wants as many.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libtier.h>
#include <systemd/sd-id128.h>

static struct tier_problem problem;

__attribute__((noreturn)) static void die(const char *what, int code)
{
	fprintf(stderr, "portal-file: %s: %s (%s: %s)\n", what, tier_strerror(code), problem.object,
		problem.text);
	exit(1);
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 0);
}

static struct tier_uuid uuid(const char *text)
{
	struct tier_uuid result;
	sd_id128_t id;

	if (sd_id128_from_string(text, &id) < 0)
		die(text, -EINVAL);
	memcpy(result.bytes, id.bytes, sizeof(result.bytes));
	return result;
}

static enum tier_flight_state state(const char *name)
{
	for (int i = TIER_FLIGHT_NONE; i <= TIER_FLIGHT_REFUSED; i++)
		if (strcasecmp(tier_flight_state_name(i), name) == 0)
			return i;
	die(name, -EINVAL);
}

static struct tier_portal *open_portal(const char *path, unsigned flags)
{
	struct tier_portal *portal;
	int r = tier_portal_open(path, flags, &portal, &problem);

	if (r != 0)
		die(path, r);
	return portal;
}

static int format(int argc, char **argv)
{
	struct tier_uuid id;
	struct tier_super super;
	sd_id128_t random;
	int r;

	sd_id128_randomize(&random);
	memcpy(id.bytes, random.bytes, sizeof(id.bytes));
	r = tier_super_plan("lake", (const char *const *)argv + 4, (size_t)argc - 4,
			    strtoull(argv[3], NULL, 0), TIER_PORTAL_EXTENT_DEFAULT, &id, &super,
			    &problem);
	if (r == 0)
		r = tier_portal_format(argv[2], &super, true, &problem);
	if (r != 0)
		die(argv[2], r);
	return 0;
}

static int write_offer(int argc, char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_WRITE);
	uint64_t incarnation = argc > 11 ? number(argv[11]) : 1;
	struct tier_offer offer = {
		.stamp = {.incarnation = incarnation, .generation = number(argv[5])},
		.flight = uuid(argv[6]),
		.source = number(argv[3]),
		.destination = number(argv[7]),
		.state = state(argv[8]),
		.vm = "box",
		.machine_type = "pc-q35-11.1",
		.qemu_version = "11.1.0",
		.ram_bytes = UINT64_C(64) << 20,
		.page_bytes = 4096,
		.destination_incarnation = 1,
		.range_count = 1,
		.wanted_extents = number(argv[10]),
		.source_incarnation = incarnation,
		.offered_usec = 1,
	};
	int r;

	if (argc > 12)
		snprintf(offer.vm, sizeof(offer.vm), "%s", argv[12]);
	if (offer.state == TIER_FLIGHT_REQUESTED)
		offer.range_count = 0;
	else
		offer.ranges[0] = (struct tier_extent_range){number(argv[9]), number(argv[10])};
	r = tier_portal_write_blob(portal, offer.source, &offer.flight, 0, "manifest", 8,
				   &offer.manifest);
	if (r == 0)
		r = tier_portal_write_blob(portal, offer.source, &offer.flight, 64, "state", 5,
					   &offer.state_blob);
	if (r == 0)
		r = tier_portal_write_offer(portal, number(argv[4]), &offer);
	if (r != 0)
		die("offer", r);
	tier_portal_close(portal);
	return 0;
}

static int write_answer(int argc, char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_WRITE);
	struct tier_answer answer = {
		.stamp = {.incarnation = argc > 10 ? number(argv[10]) : 1,
			  .generation = number(argv[5])},
		.flight = uuid(argv[6]),
		.source = number(argv[7]),
		.source_slot = number(argv[8]),
		.state = state(argv[9]),
		.qemu_version = "11.1.0",
	};
	int r = tier_portal_write_answer(portal, number(argv[3]), number(argv[4]), &answer);

	if (r != 0)
		die("answer", r);
	tier_portal_close(portal);
	return 0;
}

static int write_fence(char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_WRITE);
	struct tier_fence_record fence = {
		.stamp = {.incarnation = 1, .generation = 1},
		.host = number(argv[3]),
		.target = number(argv[4]),
		.upto = number(argv[5]),
		.method = TIER_FENCE_METHOD_CONFIRMED,
		.heir = number(argv[3]),
		.when_usec = UINT64_C(1700000000000000),
	};
	int r;

	for (int i = TIER_FENCE_NONE; i <= TIER_FENCE_RETRACTED; i++)
		if (strcasecmp(tier_fence_state_name(i), argv[6]) == 0)
			fence.state = i;
	if (fence.state == TIER_FENCE_FENCED) {
		fence.fenced_upto = fence.upto;
		fence.fenced_heir = fence.heir;
	}
	r = tier_portal_write_fence(portal, &fence);
	if (r != 0)
		die("fence", r);
	tier_portal_close(portal);
	return 0;
}

static int show_granted(char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_READ);
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	struct tier_uuid flight = uuid(argv[3]);
	uint32_t count, extents;
	int r = tier_portal_granted(portal, &flight, ranges, &count, &extents);

	if (r != 0)
		die("granted", r);
	for (uint32_t i = 0; i < count; i++)
		printf("%" PRIu32 " %" PRIu32 "\n", ranges[i].first, ranges[i].count);
	tier_portal_close(portal);
	return 0;
}

static int show_state(char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_READ);
	struct tier_offer offer = {.state = TIER_FLIGHT_NONE};
	int r = tier_portal_read_offer(portal, number(argv[3]), number(argv[4]), &offer);

	if (r != 0 && r != TIER_E_NOT_FOUND)
		die("offer", r);
	puts(tier_flight_state_name(offer.state));
	tier_portal_close(portal);
	return 0;
}

static int show_host(char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_READ);
	struct tier_host_record record = {};
	int r = tier_portal_read_host(portal, number(argv[3]), &record);

	if (r != 0 && r != TIER_E_NOT_FOUND)
		die("host", r);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", record.stamp.incarnation,
	       record.stamp.generation, record.interval_usec, record.watchdog_usec);
	tier_portal_close(portal);
	return 0;
}

static int show_extent(char **argv)
{
	struct tier_portal *portal = open_portal(argv[2], TIER_PORTAL_READ);
	struct tier_extent_record record;
	int r = tier_portal_read_extent(portal, number(argv[3]), &record);

	if (r != 0 && r != TIER_E_NOT_FOUND)
		die("extent", r);
	puts(r == 0 ? tier_extent_state_name(record.state) : "unused");
	tier_portal_close(portal);
	return 0;
}

static int show_layout(char **argv)
{
	struct tier_super super;
	int r = tier_portal_probe(argv[2], &super, &problem);

	if (r != 0)
		die(argv[2], r);
	printf("%" PRIu64 " %" PRIu64 "\n", super.control_bytes, super.extent_bytes);
	return 0;
}

static int write_super(char **argv)
{
	static const long offsets[] = {0, TIER_SUPER_COPY_OFFSET};
	unsigned char bytes[TIER_SUPER_BYTES];
	struct tier_super super;
	FILE *file;
	int r = tier_portal_probe(argv[2], &super, &problem);

	if (r != 0)
		die(argv[2], r);
	snprintf(super.name, sizeof(super.name), "%s", argv[3]);
	super.incompat = number(argv[4]) ? TIER_PORTAL_INCOMPAT_KEYED : 0;
	tier_super_encode(&super, bytes);
	file = fopen(argv[2], "r+e");
	for (size_t i = 0; file && i < 2; i++)
		if (fseek(file, offsets[i], SEEK_SET) < 0 ||
		    fwrite(bytes, sizeof(bytes), 1, file) != 1)
			die(argv[2], -errno);
	if (!file || fclose(file) != 0)
		die(argv[2], -errno);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (strcmp(verb, "format") == 0 && argc > 4)
		return format(argc, argv);
	if (strcmp(verb, "offer") == 0 && argc >= 11 && argc <= 13)
		return write_offer(argc, argv);
	if (strcmp(verb, "answer") == 0 && (argc == 10 || argc == 11))
		return write_answer(argc, argv);
	if (strcmp(verb, "fence") == 0 && argc == 7)
		return write_fence(argv);
	if (strcmp(verb, "granted") == 0 && argc == 4)
		return show_granted(argv);
	if (strcmp(verb, "state") == 0 && argc == 5)
		return show_state(argv);
	if (strcmp(verb, "host") == 0 && argc == 4)
		return show_host(argv);
	if (strcmp(verb, "extent") == 0 && argc == 4)
		return show_extent(argv);
	if (strcmp(verb, "layout") == 0 && argc == 3)
		return show_layout(argv);
	if (strcmp(verb, "super") == 0 && argc == 5)
		return write_super(argv);
	fprintf(stderr, "portal-file: see the comment in its source\n");
	return 2;
}

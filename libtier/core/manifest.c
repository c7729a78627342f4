/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "tier-portal.h"
#include "util.h"
#include "wire.h"

/*
 * A manifest on the medium: head, runs, tail. Its checksum is seeded with the portal's uuid; the
 * offer that names it carries the writer's incarnation and the checksum of the whole blob.
 */

#define MANIFEST_MAGIC	 "TPmf"
#define MANIFEST_VERSION 1

struct wire_manifest {
	char magic[4];
	le16 version;
	le16 bytes; /* of this head */
	uint8_t flight[16];
	le64 generation;
	le64 ram_bytes;
	le32 page_bytes;
	uint8_t reserved_0[4];
	le64 run_count;
	uint8_t reserved_1[8];
};
static_assert(sizeof(struct wire_manifest) == 64);
static_assert(offsetof(struct wire_manifest, flight) == 8);
static_assert(offsetof(struct wire_manifest, generation) == 24);
static_assert(offsetof(struct wire_manifest, ram_bytes) == 32);
static_assert(offsetof(struct wire_manifest, page_bytes) == 40);
static_assert(offsetof(struct wire_manifest, run_count) == 48);

struct wire_run {
	le64 ram_offset;
	le64 portal_offset;
	le32 pages;
	le32 crc32c;
};
static_assert(sizeof(struct wire_run) == 24);

struct wire_manifest_tail {
	uint8_t reserved[4];
	le32 crc;
};
static_assert(sizeof(struct wire_manifest_tail) == 8);

#define FRAME_BYTES (sizeof(struct wire_manifest) + sizeof(struct wire_manifest_tail))

static uint32_t manifest_crc(const struct tier_super *super, const void *buffer, size_t bytes)
{
	uint32_t seed = tier_crc32c(0, super->uuid.bytes, sizeof(super->uuid.bytes));

	return tier_crc32c(seed, buffer, bytes - sizeof(le32));
}

size_t tier_manifest_bytes(size_t runs)
{
	return FRAME_BYTES + runs * sizeof(struct wire_run);
}

static struct wire_manifest make_head(const struct tier_manifest *manifest)
{
	struct wire_manifest head = {
		.magic = {'T', 'P', 'm', 'f'},
		.version = put_le16(MANIFEST_VERSION),
		.bytes = put_le16(sizeof(head)),
		.generation = put_le64(manifest->generation),
		.ram_bytes = put_le64(manifest->ram_bytes),
		.page_bytes = put_le32(manifest->page_bytes),
		.run_count = put_le64(manifest->run_count),
	};

	static_assert(sizeof(MANIFEST_MAGIC) - 1 == sizeof(head.magic));
	memcpy(head.flight, manifest->flight.bytes, sizeof(head.flight));
	return head;
}

void tier_manifest_encode(const struct tier_super *super, const struct tier_manifest *manifest,
			  void *buffer)
{
	struct wire_manifest head = make_head(manifest);
	struct wire_manifest_tail tail = {};
	size_t bytes = tier_manifest_bytes(manifest->run_count);
	char *p = buffer;

	memcpy(p, &head, sizeof(head));
	p += sizeof(head);
	for (size_t i = 0; i < manifest->run_count; i++, p += sizeof(struct wire_run)) {
		const struct tier_manifest_run *run = &manifest->runs[i];
		struct wire_run wire = {
			.ram_offset = put_le64(run->ram_offset),
			.portal_offset = put_le64(run->portal_offset),
			.pages = put_le32(run->pages),
			.crc32c = put_le32(run->crc32c),
		};

		memcpy(p, &wire, sizeof(wire));
	}
	memcpy(p, &tail, sizeof(tail));
	tail.crc = put_le32(manifest_crc(super, buffer, bytes));
	memcpy(p, &tail, sizeof(tail));
}

static bool in_ranges(const struct tier_super *super, const struct tier_offer *offer,
		      uint64_t portal_offset, uint64_t bytes)
{
	for (uint32_t i = 0; i < offer->range_count; i++) {
		/* The offer's ranges end inside the portal, so nothing here overflows. */
		uint64_t start =
			super->control_bytes + offer->ranges[i].first * super->extent_bytes;
		uint64_t range_bytes = offer->ranges[i].count * super->extent_bytes;

		if (portal_offset >= start && bytes <= range_bytes &&
		    portal_offset - start <= range_bytes - bytes)
			return true;
	}
	return false;
}

static int by_portal_offset(const void *a, const void *b)
{
	uint64_t left = ((const struct tier_manifest_run *)a)->portal_offset;
	uint64_t right = ((const struct tier_manifest_run *)b)->portal_offset;

	return (left > right) - (left < right);
}

/* NULL, or what is wrong; *ret_run is the run. Every run has been found to be inside the portal. */
static const char *check_portal_overlap(const struct tier_manifest *manifest,
					struct tier_manifest_run *sorted, size_t *ret_run)
{
	memcpy(sorted, manifest->runs, manifest->run_count * sizeof(*sorted));
	qsort(sorted, manifest->run_count, sizeof(*sorted), by_portal_offset);
	for (size_t i = 1; i < manifest->run_count; i++) {
		const struct tier_manifest_run *last = &sorted[i - 1];

		if (last->portal_offset + (uint64_t)last->pages * manifest->page_bytes >
		    sorted[i].portal_offset) {
			*ret_run = 0;
			while (manifest->runs[*ret_run].portal_offset != sorted[i].portal_offset)
				++*ret_run;
			return "overlaps another in the portal";
		}
	}
	return NULL;
}

static const char *check_runs(const struct tier_super *super, const struct tier_offer *offer,
			      const struct tier_manifest *manifest, size_t *ret_run)
{
	uint64_t ram_end = 0; /* of the runs so far */

	for (size_t i = 0; i < manifest->run_count; i++) {
		const struct tier_manifest_run *run = &manifest->runs[i];
		uint64_t bytes = (uint64_t)run->pages * manifest->page_bytes;

		*ret_run = i;
		if (run->pages == 0 || run->pages > TIER_MANIFEST_RUN_PAGES)
			return "has a length out of range";
		if (run->ram_offset % manifest->page_bytes != 0 ||
		    run->portal_offset % manifest->page_bytes != 0)
			return "is not aligned to a page";
		if (run->ram_offset < ram_end)
			return "overlaps the one before it in the RAM, or is not in order";
		if (bytes > manifest->ram_bytes || run->ram_offset > manifest->ram_bytes - bytes)
			return "lies past the end of the RAM";
		if (!in_ranges(super, offer, run->portal_offset, bytes))
			return "lies outside the flight's extents";
		ram_end = run->ram_offset + bytes;
	}
	return NULL;
}

static const char *check_head(const struct tier_offer *offer, const struct wire_manifest *head,
			      size_t bytes)
{
	struct tier_manifest expected = {
		.flight = offer->flight,
		.generation = offer->stamp.generation,
		.ram_bytes = offer->ram_bytes,
		.page_bytes = offer->page_bytes,
		.run_count = get_le64(head->run_count),
	};
	struct wire_manifest canonical = make_head(&expected);

	/* Such an offer says nothing, nor how large a page is. */
	if (offer->state == TIER_FLIGHT_NONE)
		return "its offer is of no flight";
	if (memcmp(head->magic, MANIFEST_MAGIC, sizeof(head->magic)) != 0)
		return "bad magic";
	if (get_le16(head->version) != MANIFEST_VERSION)
		return "unknown version";
	if (get_le64(head->run_count) > (bytes - FRAME_BYTES) / sizeof(struct wire_run) ||
	    tier_manifest_bytes(get_le64(head->run_count)) != bytes)
		return "its size does not fit its number of runs";
	if (memcmp(head->flight, offer->flight.bytes, sizeof(head->flight)) != 0)
		return "it belongs to another flight";
	if (get_le64(head->generation) != offer->stamp.generation)
		return "it belongs to another generation of the flight";
	if (get_le64(head->ram_bytes) != offer->ram_bytes ||
	    get_le32(head->page_bytes) != offer->page_bytes)
		return "RAM or page size differ from the offer's";
	if (memcmp(head, &canonical, sizeof(*head)) != 0)
		return "reserved bytes are not zero";
	return NULL;
}

DEFINE_CLEANUP(struct tier_manifest *, tier_manifest_free)

int tier_manifest_decode(const struct tier_super *super, const struct tier_offer *offer,
			 const void *buffer, size_t bytes, struct tier_manifest **ret,
			 struct tier_problem *problem)
{
	_cleanup_(tier_manifest_freep) struct tier_manifest *manifest = NULL;
	_cleanup_free_ struct tier_manifest_run *sorted = NULL;
	struct wire_manifest head;
	struct wire_manifest_tail tail;
	const char *p = buffer, *wrong;
	size_t run = 0;

	if (bytes < FRAME_BYTES)
		return tier_problem_set(problem, TIER_E_DAMAGED, offer->vm, NULL,
					"manifest of %zu bytes is too short", bytes);
	memcpy(&head, p, sizeof(head));
	memcpy(&tail, p + bytes - sizeof(tail), sizeof(tail));
	wrong = get_le32(tail.crc) != manifest_crc(super, buffer, bytes)
			? "bad checksum, or of another portal"
			: check_head(offer, &head, bytes);
	if (!wrong && !wire_all_zero(tail.reserved, sizeof(tail.reserved)))
		wrong = "reserved bytes are not zero";
	if (wrong)
		return tier_problem_set(problem, TIER_E_DAMAGED, offer->vm, NULL,
					"manifest is refused: %s", wrong);

	manifest = calloc(1, sizeof(*manifest));
	if (!manifest)
		return -ENOMEM;
	manifest->flight = offer->flight;
	manifest->generation = offer->stamp.generation;
	manifest->ram_bytes = offer->ram_bytes;
	manifest->page_bytes = offer->page_bytes;
	manifest->run_count = get_le64(head.run_count);
	manifest->runs = calloc(MAX(manifest->run_count, (size_t)1), sizeof(*manifest->runs));
	sorted = calloc(MAX(manifest->run_count, (size_t)1), sizeof(*sorted));
	if (!manifest->runs || !sorted)
		return -ENOMEM;
	p += sizeof(head);
	for (size_t i = 0; i < manifest->run_count; i++, p += sizeof(struct wire_run)) {
		struct wire_run wire;

		memcpy(&wire, p, sizeof(wire));
		manifest->runs[i] = (struct tier_manifest_run){
			.ram_offset = get_le64(wire.ram_offset),
			.portal_offset = get_le64(wire.portal_offset),
			.pages = get_le32(wire.pages),
			.crc32c = get_le32(wire.crc32c),
		};
	}
	wrong = check_runs(super, offer, manifest, &run)
			?: check_portal_overlap(manifest, sorted, &run);
	if (wrong)
		return tier_problem_set(problem, TIER_E_DAMAGED, offer->vm, NULL,
					"manifest is refused: run %zu %s", run, wrong);
	*ret = TAKE(manifest);
	return 0;
}

struct tier_manifest *tier_manifest_free(struct tier_manifest *manifest)
{
	if (manifest) {
		free(manifest->runs);
		free(manifest);
	}
	return NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source's steps: the VM into the portal. docs/hand-off.md has the order and its reasons. */
#include <inttypes.h>

#include "fd.h"
#include "flight.h"

/* Passes of the mover while the VM runs: what it touches meanwhile is left to the last pass. */
#define RUNNING_PASSES 3

static bool paused(const struct flight *f)
{
	return f->paused_usec != 0;
}

/* What must hold on this host before a page moves. */
int flight_refuse_host(const char *vm, struct tier_problem *problem)
{
	struct tier_topology *topology;
	int r = tier_topology_read(NULL, &topology, problem);

	if (r)
		return r;
	if (!topology->hotplug.init_on_free)
		r = tier_problem_set(
			problem, TIER_E_REFUSED, vm,
			"boot with init_on_free=1 (packaged kernel command line); tierctl doctor",
			"freed pages keep their contents on this host, and the portal's node would "
			"show other processes' to the other host");
	tier_topology_free(topology);
	return r;
}

/* After OFFERED is stored: a home that gave an extent away again had not seen it. */
int flight_check_claims(struct flight *f, struct tier_problem *problem)
{
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES];
	const struct tier_offer *offer = &f->view.offer;
	uint32_t range_count, extents;
	int r = tier_portal_granted(f->portal, &offer->flight, ranges, &range_count, &extents);

	if (r == 0 && (range_count != offer->range_count ||
		       memcmp(ranges, offer->ranges, range_count * sizeof(ranges[0])) != 0))
		r = TIER_E_STALE;
	if (r)
		return tier_problem_set(problem, r, offer->vm, "tierctl portal check",
					"its extents are not claimed for this flight any more");
	return 0;
}

static int cancelled(struct flight *f, struct tier_problem *problem)
{
	f->view.cancelled = true;
	return tier_problem_set(problem, TIER_E_CANCELLED, f->info.name, "it runs on here",
				"cancelled");
}

static int on_move(void *userdata, const struct tier_move_result *so_far, uint64_t total_pages)
{
	struct flight *f = userdata;

	flight_progress(f, TIER_STAGE_MOVING, so_far->scanned_pages * so_far->page_bytes,
			total_pages * so_far->page_bytes);
	return !paused(f) && flight_cancelled(f);
}

/* Moves what the RAM file holds; our own mapping stands for every other one. */
static int move_ram(struct flight *f, int to, tier_move_progress progress,
		    struct tier_move_result *ret, struct tier_problem *problem)
{
	uintptr_t start = (uintptr_t)f->ram->map;
	struct tier_move_request request = {
		.pid = getpid(),
		.start = start,
		.end = start + f->ram->bytes,
		.to = to,
		.rate_bytes_per_sec = paused(f) ? 0 : f->options->rate_bytes_per_sec,
		.shared = true,
	};
	int r = ram_file_locate(f->ram, problem);

	return r ?: tier_move(&request, progress, f, ret, problem);
}

static int move_while_running(struct flight *f, struct tier_problem *problem)
{
	uint64_t began = now_usec();
	int r = 0;

	flight_stage(f, TIER_STAGE_MOVING);
	for (int pass = 0; pass < RUNNING_PASSES && r == 0; pass++) {
		struct tier_move_result moved = {};

		r = move_ram(f, f->node, on_move, &moved, problem);
		f->report->precopied_pages += moved.moved_pages;
		f->report->huge_folios += moved.huge_folios;
		if (r == 0 && !tier_machine_alive(f->machine))
			r = -ESRCH;
		if (moved.moved_pages == 0)
			break;
	}
	f->report->move_usec = now_usec() - began;
	return r == TIER_E_CANCELLED ? cancelled(f, problem) : r;
}

static int on_checksum(void *userdata, uint64_t done, uint64_t total)
{
	struct flight *f = userdata;

	flight_progress(f, TIER_STAGE_CHECKSUMS, done * f->ram->page_bytes,
			total * f->ram->page_bytes);
	return flight_cancelled(f);
}

static int checksum_while_running(struct flight *f, struct tier_problem *problem)
{
	uint64_t began = now_usec();
	int r;

	flight_stage(f, TIER_STAGE_CHECKSUMS);
	r = ram_file_locate(f->ram, problem);
	r = r ?: ram_file_watch(f->ram, f->info.pid, problem);
	if (r)
		return r;
	r = ram_file_checksum(f->ram, on_checksum, f, NULL);
	if (r == TIER_E_CANCELLED)
		return cancelled(f, problem);
	f->report->checksum_usec = now_usec() - began;
	return r;
}

/* Opens the extents as a node of this host, and moves and sums while the VM runs. */
int flight_move(struct flight *f, struct tier_problem *problem)
{
	const struct tier_super *super = tier_portal_super(f->portal);
	const struct tier_offer *offer = &f->view.offer;
	int r = tier_extents_open_ram(f->grant->region, super, offer->ranges, offer->range_count,
				      &f->extents, &f->node, problem);

	if (r)
		return r;
	f->report->node = f->node;
	r = ram_file_open(f->info.memory_path, f->info.memory_bytes, false, &f->ram, problem);
	r = r ?: cache_method(super->hardware_coherent, &f->ram->cache);
	r = r ?: move_while_running(f, problem);
	return r ?: checksum_while_running(f, problem);
}

int flight_pause(struct flight *f, struct tier_problem *problem)
{
	int r;

	f->paused_usec = now_usec();
	/* Whatever comes of it, it may be paused from here on. */
	f->view.vm = TIER_VM_STOPPED;
	r = tier_machine_pause(f->machine, problem);
	if (r == 0)
		flight_stage(f, TIER_STAGE_PAUSED);
	return r;
}

static int count_pages(struct flight *f, struct tier_problem *problem)
{
	uint64_t outside = 0;

	for (uint64_t page = 0; page < f->ram->pages; page++) {
		uint64_t pfn = f->ram->pfns[page];

		if (pfn == 0)
			f->report->absent_pages++;
		else if (tier_extents_portal_offset(f->extents, pfn * f->ram->page_bytes) ==
			 TIER_UNKNOWN_U64)
			outside++;
		else
			f->report->moved_pages++;
	}
	if (outside)
		return tier_problem_set(problem, TIER_E_REFUSED, f->info.name,
					"end what pins them; it runs on here",
					"%" PRIu64 " of its pages could not be moved to the portal",
					outside);
	return 0;
}

/*
 * The blob area is shared out evenly among the flight slots, so that flights of one host never
 * write each other's bytes.
 */
static int write_blobs(struct flight *f, const void *manifest, size_t manifest_bytes,
		       const void *state, size_t state_bytes)
{
	uint64_t area, share, at;
	int r;

	tier_blob_area(tier_portal_super(f->portal), f->grant->host, &area);
	share = area / TIER_PORTAL_FLIGHTS / 64 * 64;
	at = share * f->grant->source_slot;
	if (ROUND_UP(manifest_bytes, 64) + state_bytes > share)
		return TIER_E_NO_SPACE;
	r = tier_portal_write_blob(f->portal, f->grant->host, &f->grant->flight, at, manifest,
				   manifest_bytes, &f->view.offer.manifest);
	return r
		       ?: tier_portal_write_blob(f->portal, f->grant->host, &f->grant->flight,
						 at + ROUND_UP(manifest_bytes, 64), state,
						 state_bytes, &f->view.offer.state_blob);
}

static int hold_ram(struct flight *f, struct tier_problem *problem)
{
	int r = ram_file_hold(f->ram);

	if (r)
		return tier_problem_set(problem, r, f->info.name, "it runs on here",
					"its pages cannot be held where they are");
	return 0;
}

static int encode_manifest(struct flight *f, void **ret, size_t *ret_bytes,
			   struct tier_problem *problem)
{
	struct tier_manifest *manifest;
	int r = manifest_build(f->extents, f->ram, &f->view.offer, &manifest, problem);

	if (r)
		return r;
	f->report->runs = manifest->run_count;
	*ret_bytes = tier_manifest_bytes(manifest->run_count);
	*ret = malloc(*ret_bytes);
	if (*ret)
		tier_manifest_encode(tier_portal_super(f->portal), manifest, *ret);
	tier_manifest_free(manifest);
	return *ret ? 0 : -ENOMEM;
}

/* Everything between stop and PUBLISHED: what the guest sees as the first half of its pause. */
int flight_put(struct flight *f, struct tier_problem *problem)
{
	_cleanup_free_ void *state = NULL, *manifest = NULL;
	struct tier_move_result moved = {};
	size_t state_bytes, manifest_bytes = 0;
	/* Devices may write to the RAM while their state is saved, so the pages come after. */
	int r = tier_machine_save_state(f->machine, &state, &state_bytes, problem);

	r = r ?: move_ram(f, f->node, NULL, &moved, problem);
	r = r ?: ram_file_locate(f->ram, problem);
	/* One that has moved in between is found where it is held. */
	r = r ?: hold_ram(f, problem);
	r = r ?: ram_file_locate(f->ram, problem);
	r = r ?: ram_file_mark_written(f->ram, f->info.pid, f->info.memory_start, problem);
	r = r ?: ram_file_checksum(f->ram, NULL, NULL, NULL);
	if (r == 0)
		ram_file_flush(f->ram);
	r = r ?: count_pages(f, problem);
	r = r ?: foreign_pages_evacuate(f->extents, f->ram, f->node, f->dram, f->info.pid, problem);
	r = r ?: encode_manifest(f, &manifest, &manifest_bytes, problem);
	if (r)
		return r;
	f->report->state_bytes = state_bytes;
	r = write_blobs(f, manifest, manifest_bytes, state, state_bytes);
	if (r)
		return tier_problem_set(problem, r, tier_portal_super(f->portal)->name,
					"use 2 MiB folios, or a portal with a larger control area",
					"no room for a manifest of %zu and a state of %zu bytes",
					manifest_bytes, state_bytes);
	f->report->node_pages_at_publish =
		numa_maps_pages(f->info.pid, f->info.memory_path, f->node);
	return 0;
}

int flight_check_placement(struct flight *f, struct tier_problem *problem)
{
	return ram_file_verify_placement(f->ram, problem);
}

/* As far as it goes: offlining moves what is left, by the kernel's own means. */
int flight_move_back(struct flight *f)
{
	struct tier_move_result moved;

	ram_file_release(f->ram);
	return move_ram(f, f->dram, NULL, &moved, NULL);
}

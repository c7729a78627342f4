/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source's side of a flight. docs/hand-off.md has the order and its reasons. */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>

#include "fd.h"
#include "flight.h"

/* Passes of the mover while the VM runs: what it touches meanwhile is left to the last pass. */
#define RUNNING_PASSES 3

struct source {
	struct tier_machine *machine;
	const struct tier_machine_info *info;
	const struct tier_flight_grant *grant;
	const struct tier_flight_options *options;
	const struct tier_flight_observer *observer;
	struct tier_flight_report *report;
	struct tier_portal *portal;
	struct tier_extents *extents;
	struct ram_file *ram;
	struct tier_offer offer;
	struct tier_answer answer;
	int node, dram;
	bool paused;
	uint64_t paused_usec; /* when */
};

static int write_offer(struct source *s, enum tier_flight_state state, enum tier_flight_stage stage,
		       struct tier_problem *problem)
{
	struct tier_offer next = s->offer;
	int r;

	next.state = state;
	r = tier_portal_write_offer(s->portal, s->grant->slot, &next);
	if (r)
		return tier_problem_set(problem, r, s->grant->portal_path, NULL,
					"cannot write the offer");
	s->offer = next;
	flight_stage(s->observer, stage);
	return 0;
}

/* Waits until there is something to do. */
static enum tier_handoff_action await(struct source *s, uint64_t usec)
{
	uint64_t deadline = now_usec() + usec;

	for (;;) {
		struct tier_handoff_view view = {.offer = &s->offer};
		struct pollfd poll_fd = {.fd = s->machine->pidfd, .events = POLLIN};
		bool running_there = s->answer.state == TIER_FLIGHT_RUNNING;
		enum tier_handoff_action action;
		struct tier_answer answer;

		/* A destination that has said RUNNING has the VM, whatever else it says later. */
		if (tier_portal_find_answer(s->portal, &s->offer, s->grant->slot, &answer, NULL) ==
			    0 &&
		    (s->answer.state != TIER_FLIGHT_RUNNING || answer.state == TIER_FLIGHT_DONE))
			s->answer = answer;
		if (s->answer.state != TIER_FLIGHT_NONE)
			view.answer = &s->answer;
		if (!running_there && (s->answer.state == TIER_FLIGHT_RUNNING ||
				       s->answer.state == TIER_FLIGHT_DONE)) {
			s->report->pause_usec = now_usec() - s->paused_usec;
			flight_stage(s->observer, TIER_STAGE_RUNNING);
		}
		view.cancelled = flight_cancelled(s->observer);
		view.expired = now_usec() > deadline;
		view.vm_gone = !tier_machine_alive(s->machine);
		action = tier_handoff_source(&view);
		if (action != TIER_HANDOFF_WAIT)
			return action;
		/* After COMMITTED a dead source process is no event: do not spin on its pidfd. */
		if (view.vm_gone)
			poll_fd.fd = -1;
		poll(&poll_fd, 1, poll_timeout(now_usec() + FLIGHT_POLL_USEC));
	}
}

/* Why the flight does not go on, from what await() saw. */
static int explain(struct source *s, struct tier_problem *problem)
{
	if (!tier_machine_alive(s->machine))
		return tier_problem_set(problem, -ESRCH, s->info->name, NULL,
					"the VM's process ended during the flight");
	if (s->answer.state == TIER_FLIGHT_REFUSED)
		return tier_problem_set(problem, TIER_E_PEER, s->info->name, "it runs on here",
					"the destination refused: %s", s->answer.reason);
	if (flight_cancelled(s->observer))
		return tier_problem_set(problem, TIER_E_CANCELLED, s->info->name, "it runs on here",
					"cancelled");
	if (s->answer.state == TIER_FLIGHT_NONE)
		return tier_problem_set(problem, TIER_E_TIMEOUT, s->info->name,
					"start tierctl receive there; it runs on here",
					"the destination did not answer");
	return tier_problem_set(problem, TIER_E_TIMEOUT, s->info->name, "it runs on here",
				"the destination did not go on after %s",
				tier_flight_state_name(s->answer.state));
}

static int on_move(void *userdata, const struct tier_move_result *so_far, uint64_t total_pages)
{
	struct source *s = userdata;

	flight_progress(s->observer, TIER_STAGE_MOVING, so_far->scanned_pages * so_far->page_bytes,
			total_pages * so_far->page_bytes);
	return !s->paused && flight_cancelled(s->observer);
}

/* Moves what the RAM file holds; our own mapping stands for every other one. */
static int move_ram(struct source *s, int to, tier_move_progress progress,
		    struct tier_move_result *ret, struct tier_problem *problem)
{
	uintptr_t start = (uintptr_t)s->ram->map;
	struct tier_move_request request = {
		.pid = getpid(),
		.start = start,
		.end = start + s->ram->bytes,
		.to = to,
		.rate_bytes_per_sec = s->paused ? 0 : s->options->rate_bytes_per_sec,
		.shared = true,
	};
	int r = ram_file_locate(s->ram, problem);

	return r ?: tier_move(&request, progress, s, ret, problem);
}

static int move_while_running(struct source *s, struct tier_problem *problem)
{
	uint64_t began = now_usec();
	int r = 0;

	flight_stage(s->observer, TIER_STAGE_MOVING);
	for (int pass = 0; pass < RUNNING_PASSES && r == 0; pass++) {
		struct tier_move_result moved = {};

		r = move_ram(s, s->node, on_move, &moved, problem);
		s->report->precopied_pages += moved.moved_pages;
		s->report->huge_folios += moved.huge_folios;
		if (!tier_machine_alive(s->machine))
			return explain(s, problem);
		if (moved.moved_pages == 0)
			break;
	}
	s->report->move_usec = now_usec() - began;
	return r == TIER_E_CANCELLED ? explain(s, problem) : r;
}

static int on_checksum(void *userdata, uint64_t done, uint64_t total)
{
	struct source *s = userdata;

	flight_progress(s->observer, TIER_STAGE_CHECKSUMS, done * s->ram->page_bytes,
			total * s->ram->page_bytes);
	return flight_cancelled(s->observer);
}

static int checksum_while_running(struct source *s, struct tier_problem *problem)
{
	uint64_t began = now_usec();
	int r;

	flight_stage(s->observer, TIER_STAGE_CHECKSUMS);
	r = ram_file_locate(s->ram, problem);
	r = r ?: ram_file_watch(s->ram, s->info->pid, problem);
	if (r)
		return r;
	r = ram_file_checksum(s->ram, on_checksum, s, NULL);
	if (r == TIER_E_CANCELLED)
		return explain(s, problem);
	s->report->checksum_usec = now_usec() - began;
	return r;
}

static int count_pages(struct source *s, struct tier_problem *problem)
{
	uint64_t outside = 0;

	for (uint64_t page = 0; page < s->ram->pages; page++) {
		uint64_t pfn = s->ram->pfns[page];

		if (pfn == 0)
			s->report->absent_pages++;
		else if (tier_extents_portal_offset(s->extents, pfn * s->ram->page_bytes) ==
			 TIER_UNKNOWN_U64)
			outside++;
		else
			s->report->moved_pages++;
	}
	if (outside)
		return tier_problem_set(problem, TIER_E_REFUSED, s->info->name,
					"end what pins them; it runs on here",
					"%" PRIu64 " of its pages could not be moved to the portal",
					outside);
	return 0;
}

/*
 * The blob area is shared out evenly among the flight slots, so that flights of one host never
 * write each other's bytes.
 */
static int write_blobs(struct source *s, const void *manifest, size_t manifest_bytes,
		       const void *state, size_t state_bytes)
{
	uint64_t area, share, at;
	int r;

	tier_blob_area(tier_portal_super(s->portal), s->grant->host, &area);
	share = area / TIER_PORTAL_FLIGHTS / 64 * 64;
	at = share * s->grant->slot;
	if (ROUND_UP(manifest_bytes, 64) + state_bytes > share)
		return TIER_E_NO_SPACE;
	r = tier_portal_write_blob(s->portal, s->grant->host, at, manifest, manifest_bytes,
				   &s->offer.manifest);
	return r
		       ?: tier_portal_write_blob(s->portal, s->grant->host,
						 at + ROUND_UP(manifest_bytes, 64), state,
						 state_bytes, &s->offer.state_blob);
}

/* Everything between stop and PUBLISHED: what the guest sees as the first half of its pause. */
static int publish(struct source *s, struct tier_problem *problem)
{
	_cleanup_free_ void *state = NULL, *encoded = NULL;
	struct tier_manifest *manifest = NULL;
	struct tier_move_result moved = {};
	size_t state_bytes, encoded_bytes = 0;
	const struct tier_super *super = tier_portal_super(s->portal);
	int r;

	s->paused_usec = now_usec();
	s->paused = true;
	r = tier_machine_pause(s->machine, problem);
	if (r)
		return r;
	flight_stage(s->observer, TIER_STAGE_PAUSED);
	/* Devices may write to the RAM while their state is saved, so the pages come after. */
	r = tier_machine_save_state(s->machine, &state, &state_bytes, problem);
	r = r ?: move_ram(s, s->node, NULL, &moved, problem);
	r = r ?: ram_file_locate(s->ram, problem);
	r = r ?: ram_file_mark_written(s->ram, s->info->pid, s->info->memory_start, problem);
	r = r ?: ram_file_checksum(s->ram, NULL, NULL, NULL);
	if (r == 0)
		ram_file_flush(s->ram);
	r = r ?: count_pages(s, problem);
	r = r
		    ?: foreign_pages_evacuate(s->extents, s->ram, s->node, s->dram, s->info->pid,
					      problem);
	r = r ?: manifest_build(s->extents, s->ram, &s->offer, &manifest, problem);
	if (r)
		return r;
	s->report->runs = manifest->run_count;
	s->report->state_bytes = state_bytes;
	encoded_bytes = tier_manifest_bytes(manifest->run_count);
	encoded = malloc(encoded_bytes);
	if (encoded)
		tier_manifest_encode(super, manifest, encoded);
	tier_manifest_free(manifest);
	if (!encoded)
		return -ENOMEM;

	r = write_blobs(s, encoded, encoded_bytes, state, state_bytes);
	if (r)
		return tier_problem_set(problem, r, super->name,
					"use 2 MiB folios, or a portal with a larger control area",
					"no room for a manifest of %zu and a state of %zu bytes",
					encoded_bytes, state_bytes);
	s->report->node_pages_at_publish =
		numa_maps_pages(s->info->pid, s->info->memory_path, s->node);
	return write_offer(s, TIER_FLIGHT_PUBLISHED, TIER_STAGE_PUBLISHED, problem);
}

/* The pages back to DRAM, the memory offline, the devices gone. */
static int take_back(struct source *s, struct tier_problem *problem)
{
	struct tier_move_result moved;
	int r = 0;

	if (s->ram && s->extents)
		(void)move_ram(s, s->dram, NULL, &moved, NULL);
	s->ram = ram_file_free(s->ram);
	/* Offlining moves what is left, by the kernel's own means. */
	if (s->extents)
		r = tier_extents_close(s->extents, problem);
	if (r == 0)
		s->extents = NULL;
	return r;
}

/* Nothing was committed: the VM is ours and runs on. */
static int abort_flight(struct source *s, int code, struct tier_problem *problem)
{
	struct tier_problem second = {};
	int r = 0;

	if (s->paused && tier_machine_alive(s->machine))
		r = tier_machine_resume(s->machine, &second);
	/* Not ABORTED, which says that it runs: settle tries again. */
	if (r)
		return tier_problem_set(problem, TIER_E_BUSY, s->info->name, "tierctl settle",
					"could not be resumed, it is paused on this host: %s",
					second.text);
	if (problem)
		snprintf(s->offer.reason, sizeof(s->offer.reason), "%.150s", problem->text);
	(void)write_offer(s, TIER_FLIGHT_ABORTED, TIER_STAGE_ABORTED, NULL);
	r = take_back(s, &second);
	if (r && problem)
		snprintf(problem->next, sizeof(problem->next), "its memory is still open: %.200s",
			 second.text);
	return code;
}

/* COMMITTED and refused: the destination has written that it never ran the VM and never will. */
static int resume_refused(struct source *s, struct tier_problem *problem)
{
	explain(s, problem);
	return abort_flight(s, TIER_E_PEER, problem);
}

/* The VM runs there. Its memory here goes with the process. */
static int release(struct source *s, struct tier_problem *problem)
{
	int r = tier_machine_quit(s->machine, problem);

	if (r)
		return r;
	s->ram = ram_file_free(s->ram);
	r = machine_remove_ram(s->machine, s->info, problem);
	r = r ?: tier_extents_close(s->extents, problem);
	if (r)
		return r;
	s->extents = NULL;
	return write_offer(s, TIER_FLIGHT_CLOSED, TIER_STAGE_DONE, problem);
}

static int commit(struct source *s, struct tier_problem *problem)
{
	int r;

	flight_stage(s->observer, TIER_STAGE_ACCEPTED);
	r = ram_file_verify_placement(s->ram, problem);
	if (r)
		return abort_flight(s, r, problem);
	/* From the first store of this on, the VM is not ours any more. */
	r = write_offer(s, TIER_FLIGHT_COMMITTED, TIER_STAGE_COMMITTED, problem);
	/* A write that fails has stored nothing. */
	if (r)
		return abort_flight(s, r, problem);
	switch (await(s, s->options->hold_usec)) {
	case TIER_HANDOFF_RELEASE:
		return release(s, problem);
	case TIER_HANDOFF_RESUME:
		return resume_refused(s, problem);
	default:
		return tier_problem_set(problem, TIER_E_BUSY, s->info->name,
					"it is the destination's; tierctl flights",
					"committed, but the destination has not said that it runs");
	}
}

/* What came instead of the step that was awaited. */
static int give_up(struct source *s, enum tier_handoff_action action, struct tier_problem *problem)
{
	if (action == TIER_HANDOFF_ABORT)
		return abort_flight(s, explain(s, problem), problem);
	/* It runs there against the rules, or the records are not this flight's: never beside it. */
	return tier_problem_set(
		problem, TIER_E_BUSY, s->info->name, "tierctl flights",
		"the destination says %s before it was committed; nothing is resumed",
		tier_flight_state_name(s->answer.state));
}

static int fly(struct source *s, struct tier_problem *problem)
{
	enum tier_handoff_action action;
	int r = write_offer(s, TIER_FLIGHT_OFFERED, TIER_STAGE_OFFERED, problem);

	if (r)
		return r;
	action = await(s, s->options->ready_usec);
	if (action != TIER_HANDOFF_MOVE)
		return give_up(s, action, problem);
	flight_stage(s->observer, TIER_STAGE_READY);
	s->offer.destination_incarnation = s->answer.stamp.incarnation;

	r = tier_extents_open_ram(s->grant->region, tier_portal_super(s->portal), s->grant->ranges,
				  s->grant->range_count, &s->extents, &s->node, problem);
	r = r
		    ?: ram_file_open(s->info->memory_path, s->info->memory_bytes, false, &s->ram,
				     problem);
	if (r == 0)
		r = cache_method(tier_portal_super(s->portal)->hardware_coherent, &s->ram->cache);
	s->report->node = s->node;
	r = r ?: move_while_running(s, problem);
	r = r ?: checksum_while_running(s, problem);
	r = r ?: publish(s, problem);
	if (r) {
		/* A QMP call that failed because QEMU is gone is better told as that. */
		if (!tier_machine_alive(s->machine))
			r = explain(s, problem);
		return abort_flight(s, r, problem);
	}
	action = await(s, s->options->step_usec);
	if (action != TIER_HANDOFF_COMMIT)
		return give_up(s, action, problem);
	return commit(s, problem);
}

/* What must hold on this host before a page moves. */
static int refuse_host(const char *vm, struct tier_problem *problem)
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

int tier_flight_send(const struct tier_config *config, struct tier_machine *machine,
		     const struct tier_machine_info *info, const struct tier_flight_grant *grant,
		     const struct tier_flight_options *options,
		     const struct tier_flight_observer *observer, struct tier_flight_report *ret,
		     struct tier_problem *problem)
{
	_cleanup_portal_ struct tier_portal *portal = NULL;
	_cleanup_close_ int lock = -1;
	struct tier_problem ignored;
	struct source s = {
		.machine = machine,
		.info = info,
		.grant = grant,
		.options = options,
		.observer = observer,
		.report = ret,
		.node = -1,
		.dram = -1,
	};
	uint64_t began = now_usec();
	int r;

	problem = problem ?: &ignored;
	*ret = (struct tier_flight_report){.ram_bytes = info->memory_bytes, .node = -1};
	copy_string(ret->vm, sizeof(ret->vm), info->name);
	tier_uuid_format(&grant->flight, ret->flight);
	r = machine_lock(config, info->name, &lock, problem);
	/* TIER_E_BUSY is kept for a VM that this flight has left stopped. */
	if (r == TIER_E_BUSY)
		r = TIER_E_REFUSED;
	r = r ?: refuse_host(info->name, problem);
	if (r == 0 && !streq(info->status, "running"))
		r = tier_problem_set(problem, TIER_E_REFUSED, info->name,
				     "tierctl flights says whether an earlier flight left it so",
				     "is %s, and only a running machine is sent", info->status);
	r = r ?: flight_dram_node(&s.dram, problem);
	r = r ?: tier_portal_open(grant->portal_path, TIER_PORTAL_WRITE, &portal, problem);
	if (r)
		return r;
	s.portal = portal;
	s.offer = (struct tier_offer){
		.stamp = {.incarnation = grant->incarnation, .generation = grant->generation},
		.flight = grant->flight,
		.source = grant->host,
		.destination = grant->peer,
		.ram_bytes = info->memory_bytes,
		.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
		.range_count = grant->range_count,
		.offered_usec = realtime_usec(),
	};
	memcpy(s.offer.ranges, grant->ranges, sizeof(s.offer.ranges));
	copy_string(s.offer.vm, sizeof(s.offer.vm), info->name);
	copy_string(s.offer.machine_type, sizeof(s.offer.machine_type), info->type);
	copy_string(s.offer.qemu_version, sizeof(s.offer.qemu_version), info->qemu_version);

	r = fly(&s, problem);
	ret->total_usec = now_usec() - began;
	ram_file_free(s.ram);
	tier_extents_free(s.extents);
	return r;
}

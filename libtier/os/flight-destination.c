/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The destination's side of a flight. docs/hand-off.md has the order and its reasons. */
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <poll.h>

#include "fd.h"
#include "flight.h"

struct destination {
	const struct tier_config *config;
	const struct tier_flight_grant *grant;
	const struct tier_flight_options *options;
	const struct tier_flight_observer *observer;
	struct tier_flight_report *report;
	struct tier_portal *portal;
	struct tier_extents *extents;
	struct tier_machine *machine;
	struct tier_machine_info info;
	struct ram_file *ram;
	struct tier_offer offer;
	struct tier_answer answer;
	uint64_t published_usec; /* when it was seen */
	int dram;
};

static int write_answer(struct destination *d, enum tier_flight_state state,
			enum tier_flight_stage stage, struct tier_problem *problem)
{
	struct tier_answer next = d->answer;
	int r;

	next.state = state;
	r = tier_portal_write_answer(d->portal, d->grant->host, d->grant->slot, &next);
	if (r)
		return tier_problem_set(problem, r, d->grant->portal_path, NULL,
					"cannot write the answer");
	d->answer = next;
	flight_stage(d->observer, stage);
	return 0;
}

/* What OFFERED has fixed, and what was checked then, is the same in every later writing of it. */
static bool same_offer(const struct tier_offer *a, const struct tier_offer *b)
{
	return memcmp(&a->flight, &b->flight, sizeof(a->flight)) == 0 && a->source == b->source &&
	       a->destination == b->destination && streq(a->vm, b->vm) &&
	       streq(a->machine_type, b->machine_type) && streq(a->qemu_version, b->qemu_version) &&
	       a->ram_bytes == b->ram_bytes && a->page_bytes == b->page_bytes &&
	       a->range_count == b->range_count &&
	       memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0;
}

static enum tier_handoff_action await(struct destination *d, uint64_t usec)
{
	uint64_t deadline = now_usec() + usec;

	for (;;) {
		struct tier_handoff_view view = {.offer = &d->offer, .answer = &d->answer};
		struct pollfd poll_fd = {.fd = d->machine->pidfd, .events = POLLIN};
		enum tier_handoff_action action;
		struct tier_offer offer;

		/* A record that cannot be read now may be read later; the deadline decides. */
		if (tier_portal_read_offer(d->portal, d->grant->peer, d->answer.source_slot,
					   &offer) == 0) {
			if (!same_offer(&d->offer, &offer))
				return TIER_HANDOFF_REFUSE;
			d->offer = offer;
		}
		view.cancelled = flight_cancelled(d->observer);
		view.expired = now_usec() > deadline;
		view.vm_gone = !tier_machine_alive(d->machine);
		action = tier_handoff_destination(&view);
		if (action != TIER_HANDOFF_WAIT)
			return action;
		poll(&poll_fd, 1, poll_timeout(now_usec() + FLIGHT_POLL_USEC));
	}
}

/* REFUSED with the reason, and nothing of the machine stays. */
static int refuse(struct destination *d, int code, struct tier_problem *problem)
{
	snprintf(d->answer.reason, sizeof(d->answer.reason), "%.150s", problem->text);
	(void)write_answer(d, TIER_FLIGHT_REFUSED, TIER_STAGE_ABORTED, NULL);
	if (d->machine) {
		(void)tier_machine_quit(d->machine, NULL);
		(void)machine_remove_ram(d->machine, &d->info, NULL);
	}
	/* TIER_E_BUSY is kept for a VM that was committed to us. */
	return code == TIER_E_BUSY ? TIER_E_REFUSED : code;
}

static int give_up(struct destination *d, enum tier_handoff_action action,
		   struct tier_problem *problem)
{
	int code;

	if (action == TIER_HANDOFF_DROP) {
		tier_problem_set(problem, TIER_E_PEER, d->offer.vm, "it runs on there",
				 "the source aborted: %s", d->offer.reason);
		(void)tier_machine_quit(d->machine, NULL);
		(void)machine_remove_ram(d->machine, &d->info, NULL);
		flight_stage(d->observer, TIER_STAGE_ABORTED);
		return TIER_E_PEER;
	}
	if (!tier_machine_alive(d->machine))
		code = tier_problem_set(problem, -ESRCH, d->offer.vm, NULL,
					"the waiting QEMU ended on the destination");
	else if (flight_cancelled(d->observer))
		code = tier_problem_set(problem, TIER_E_CANCELLED, d->offer.vm, NULL, "cancelled");
	else
		code = tier_problem_set(problem, TIER_E_TIMEOUT, d->offer.vm, NULL,
					"the source did not go on after %s",
					tier_flight_state_name(d->answer.state));
	return refuse(d, code, problem);
}

/* Only what this host's own configuration defines, and only if it is the same machine. */
static int prepare(struct destination *d, struct tier_problem *problem)
{
	const struct tier_config_machine *machine = tier_config_machine(d->config, d->offer.vm);
	int r;

	if (!machine)
		return tier_problem_set(
			problem, TIER_E_REFUSED, d->offer.vm,
			"add a [Machine] section to cxl-tierd.conf there",
			"no machine of that name in the destination's configuration");
	if (machine->memory_bytes != d->offer.ram_bytes)
		return tier_problem_set(problem, TIER_E_REFUSED, d->offer.vm, NULL,
					"memory size differs: %" PRIu64 " MiB in the destination's "
					"configuration, %" PRIu64 " MiB flying",
					machine->memory_bytes / MIB, d->offer.ram_bytes / MIB);
	r = machine_start_locked(d->config, d->offer.vm, true, &d->machine, problem);
	r = r ?: tier_machine_inspect(d->machine, &d->info, problem);
	if (r)
		return r;
	if (!streq(d->info.type, d->offer.machine_type))
		return tier_problem_set(problem, TIER_E_REFUSED, d->offer.vm,
					"set Type= to the versioned type on both hosts",
					"machine type differs: %s on the destination, %s flying",
					d->info.type, d->offer.machine_type);
	if (!streq(d->info.qemu_version, d->offer.qemu_version))
		return tier_problem_set(problem, TIER_E_REFUSED, d->offer.vm, NULL,
					"QEMU version differs: %s on the destination, %s flying",
					d->info.qemu_version, d->offer.qemu_version);
	if (d->offer.page_bytes != (uint32_t)sysconf(_SC_PAGESIZE))
		return tier_problem_set(problem, TIER_E_REFUSED, d->offer.vm, NULL,
					"page size differs: %u flying", d->offer.page_bytes);
	copy_string(d->answer.qemu_version, sizeof(d->answer.qemu_version), d->info.qemu_version);
	return ram_file_open(d->info.memory_path, d->info.memory_bytes, true, &d->ram, problem);
}

/* New pages of the RAM file go to @node: those of a file follow the task that touches them first. */
static void prefer_node(int node)
{
	struct bitmask *mask = numa_allocate_nodemask();

	numa_bitmask_setbit(mask, (unsigned)node);
	(void)set_mempolicy(MPOL_PREFERRED, mask->maskp, mask->size + 1);
	numa_free_nodemask(mask);
}

/* Copies one run out of the portal, then verifies the copy: nobody can change it any more. */
static int fetch_run(struct destination *d, const struct tier_manifest_run *run,
		     struct tier_problem *problem)
{
	uint32_t checksums[TIER_MANIFEST_RUN_PAGES];
	uint64_t page_bytes = d->ram->page_bytes, bytes = run->pages * page_bytes, done = 0;
	const uint8_t *from = tier_extents_at(d->extents, run->portal_offset, bytes);

	if (!from)
		return tier_problem_set(problem, TIER_E_DAMAGED, d->offer.vm, NULL,
					"a run of the manifest lies outside the extents");
	while (done < bytes) {
		ssize_t n = pwrite(d->ram->fd, from + done, bytes - done,
				   (off_t)(run->ram_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return tier_problem_set(problem, n ? -errno : -ENOSPC, d->info.memory_path,
						"free memory in VmDirectory",
						"cannot fill the VM's RAM");
		done += (uint64_t)n;
	}
	for (uint32_t i = 0; i < run->pages; i++)
		checksums[i] = d->ram->crc32c(0, d->ram->map + run->ram_offset + i * page_bytes,
					      page_bytes);
	if (manifest_run_checksum(checksums, run->pages) != run->crc32c)
		return tier_problem_set(problem, TIER_E_DAMAGED, d->offer.vm, NULL,
					"checksum of %u pages at RAM offset 0x%" PRIx64
					" does not match",
					run->pages, run->ram_offset);
	d->report->verified_pages += run->pages;
	return 0;
}

static int fetch_ram(struct destination *d, const struct tier_manifest *manifest,
		     struct tier_problem *problem)
{
	uint64_t total = 0, done = 0;
	int r = 0;

	for (size_t i = 0; i < manifest->run_count; i++)
		total += manifest->runs[i].pages * d->ram->page_bytes;
	flight_stage(d->observer, TIER_STAGE_VERIFYING);
	prefer_node(d->dram);
	for (size_t i = 0; i < manifest->run_count && r == 0; i++) {
		r = fetch_run(d, &manifest->runs[i], problem);
		done += manifest->runs[i].pages * d->ram->page_bytes;
		if (i % 256 == 0)
			flight_progress(d->observer, TIER_STAGE_VERIFYING, done, total);
		if (r == 0 && i % 256 == 0 && flight_cancelled(d->observer))
			r = tier_problem_set(problem, TIER_E_CANCELLED, d->offer.vm, NULL,
					     "cancelled");
	}
	(void)set_mempolicy(MPOL_DEFAULT, NULL, 0);
	flight_progress(d->observer, TIER_STAGE_VERIFYING, done, total);
	return r;
}

/* Manifest, pages and device state: out of the portal, verified, into the waiting QEMU. */
static int fetch(struct destination *d, struct tier_problem *problem)
{
	_cleanup_free_ void *encoded = NULL, *state = NULL;
	const struct tier_super *super = tier_portal_super(d->portal);
	struct tier_manifest *manifest = NULL;
	int r;

	d->published_usec = now_usec();
	flight_stage(d->observer, TIER_STAGE_PUBLISHED);
	r = tier_portal_read_blob(d->portal, d->grant->peer, &d->offer.manifest, &encoded, problem);
	r = r
		    ?: tier_portal_read_blob(d->portal, d->grant->peer, &d->offer.state_blob,
					     &state, problem);
	r = r
		    ?: tier_manifest_decode(super, &d->offer, encoded, d->offer.manifest.bytes,
					    &manifest, problem);
	if (r)
		return r;
	d->report->runs = manifest->run_count;
	d->report->state_bytes = d->offer.state_blob.bytes;
	r = tier_extents_open_devdax(d->grant->region, super, d->offer.ranges, d->offer.range_count,
				     false, &d->extents, problem);
	r = r ?: fetch_ram(d, manifest, problem);
	tier_manifest_free(manifest);
	return r ?: tier_machine_load_state(d->machine, state, d->offer.state_blob.bytes, problem);
}

/* COMMITTED: the VM is ours. RUNNING is stored and flushed before it runs. */
static int run(struct destination *d, struct tier_problem *problem)
{
	struct tier_answer next = d->answer;
	int r;

	/* Nobody is told until the VM runs: telling may block, or end this process. */
	next.state = TIER_FLIGHT_RUNNING;
	if (tier_portal_write_answer(d->portal, d->grant->host, d->grant->slot, &next))
		return tier_problem_set(problem, TIER_E_BUSY, d->offer.vm, "tierctl flights",
					"cannot write the answer");
	d->answer = next;
	if (!tier_handoff_destination_may_run(&d->offer, &d->answer))
		return tier_problem_set(problem, TIER_E_BUSY, d->offer.vm, "tierctl flights",
					"may not run here");
	r = tier_machine_resume(d->machine, problem);
	if (r)
		return TIER_E_BUSY;
	d->report->pause_usec = now_usec() - d->published_usec;
	flight_stage(d->observer, TIER_STAGE_COMMITTED);
	flight_stage(d->observer, TIER_STAGE_RUNNING);
	r = tier_extents_close(d->extents, problem);
	if (r == 0)
		d->extents = NULL;
	/* Copied and verified: the portal is not needed any more, whatever became of the devices. */
	return write_answer(d, TIER_FLIGHT_DONE, TIER_STAGE_DONE, problem) ?: r;
}

static int serve(struct destination *d, struct tier_problem *problem)
{
	enum tier_handoff_action action;
	int r = prepare(d, problem);

	if (r)
		return refuse(d, r, problem);
	r = write_answer(d, TIER_FLIGHT_READY, TIER_STAGE_READY, problem);
	if (r)
		return refuse(d, r, problem);
	action = await(d, d->options->ready_usec);
	if (action != TIER_HANDOFF_FETCH)
		return give_up(d, action, problem);
	r = fetch(d, problem);
	if (r)
		return refuse(d, r, problem);
	r = write_answer(d, TIER_FLIGHT_ACCEPTED, TIER_STAGE_ACCEPTED, problem);
	if (r)
		return refuse(d, r, problem);
	action = await(d, d->options->step_usec);
	if (action != TIER_HANDOFF_RUN)
		return give_up(d, action, problem);
	return run(d, problem);
}

int tier_flight_receive(const struct tier_config *config, const struct tier_flight_grant *grant,
			const struct tier_offer *offer, const struct tier_flight_options *options,
			const struct tier_flight_observer *observer, struct tier_flight_report *ret,
			struct tier_problem *problem)
{
	_cleanup_portal_ struct tier_portal *portal = NULL;
	_cleanup_close_ int lock = -1;
	struct tier_problem ignored = {};
	struct destination d = {
		.config = config,
		.grant = grant,
		.options = options,
		.observer = observer,
		.report = ret,
		.offer = *offer,
		.dram = -1,
		.answer =
			{
				.stamp = {.incarnation = grant->incarnation,
					  .generation = offer->stamp.generation},
				.flight = offer->flight,
				.source = offer->source,
				.source_slot = grant->peer_slot,
				.source_incarnation = offer->stamp.incarnation,
			},
	};
	uint64_t began = now_usec();
	int r;

	problem = problem ?: &ignored;
	*ret = (struct tier_flight_report){.ram_bytes = offer->ram_bytes, .node = -1};
	copy_string(ret->vm, sizeof(ret->vm), offer->vm);
	tier_uuid_format(&offer->flight, ret->flight);
	r = flight_dram_node(&d.dram, problem);
	ret->node = d.dram;
	r = r ?: tier_portal_open(grant->portal_path, TIER_PORTAL_WRITE, &portal, problem);
	if (r)
		return r;
	d.portal = portal;
	/* Without the lock somebody else may be answering: then not a word is written. */
	if (tier_config_machine(config, offer->vm))
		r = machine_lock(config, offer->vm, &lock, problem);
	if (r)
		return r == TIER_E_BUSY ? TIER_E_REFUSED : r;
	r = serve(&d, problem);
	ret->total_usec = now_usec() - began;
	if (d.extents) {
		struct tier_problem second;

		if (tier_extents_close(d.extents, &second))
			tier_extents_free(d.extents);
	}
	ram_file_free(d.ram);
	tier_machine_free(d.machine);
	return r;
}

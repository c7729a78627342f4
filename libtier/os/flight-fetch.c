/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VM out of the portal: a process that waits for it, and everything verified into that. */
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>

#include "fd.h"
#include "flight.h"

/* The refusal is read on both hosts, so it names this one. */
static const char *here(const struct flight *f)
{
	return tier_portal_super(f->portal)->hosts[f->view.self].name;
}

/* Only what this host's own configuration defines, and only if it is the same machine. */
static int compare_machine(struct flight *f, struct tier_problem *problem)
{
	const struct tier_offer *offer = &f->view.offer;

	if (!streq(f->info.type, offer->machine_type))
		return tier_problem_set(problem, TIER_E_REFUSED, offer->vm,
					"set Type= to the versioned type on both hosts",
					"machine type differs: %s on %s, %s flying", f->info.type,
					here(f), offer->machine_type);
	if (!streq(f->info.qemu_version, offer->qemu_version))
		return tier_problem_set(problem, TIER_E_REFUSED, offer->vm, NULL,
					"QEMU version differs: %s on %s, %s flying",
					f->info.qemu_version, here(f), offer->qemu_version);
	if (offer->page_bytes != (uint32_t)sysconf(_SC_PAGESIZE))
		return tier_problem_set(problem, TIER_E_REFUSED, offer->vm, NULL,
					"page size differs: %u flying", offer->page_bytes);
	return 0;
}

/* The RAM file of a source's process that has ended in this boot holds the VM's RAM. */
static bool has_ram(const struct flight *f)
{
	return f->source && !flight_later(f);
}

int flight_start(struct flight *f, struct tier_problem *problem)
{
	const struct tier_offer *offer = &f->view.offer;
	const struct tier_config_machine *machine = tier_config_machine(f->config, offer->vm);
	int r;

	if (!machine)
		return tier_problem_set(problem, TIER_E_REFUSED, offer->vm,
					"add a [Machine] section to cxl-tierd.conf there",
					"no machine of that name in %s's configuration", here(f));
	if (machine->memory_bytes != offer->ram_bytes)
		return tier_problem_set(problem, TIER_E_REFUSED, offer->vm, NULL,
					"memory size differs: %" PRIu64
					" MiB in %s's configuration, %" PRIu64 " MiB flying",
					machine->memory_bytes / MIB, here(f),
					offer->ram_bytes / MIB);
	if (f->machine != f->borrowed)
		tier_machine_free(f->machine);
	f->machine = NULL;
	r = machine_start_locked(f->config, offer->vm,
				 has_ram(f) ? MACHINE_INCOMING_KEEP_RAM : MACHINE_INCOMING,
				 &f->machine, problem);
	if (r)
		return r;
	/* The source's VM is not there before its state is. */
	f->view.vm = f->source ? TIER_VM_NONE : TIER_VM_STOPPED;
	r = tier_machine_inspect(f->machine, &f->info, problem);
	return r ?: compare_machine(f, problem);
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
static int fetch_run(struct flight *f, const struct tier_manifest_run *run,
		     struct tier_problem *problem)
{
	uint32_t checksums[TIER_MANIFEST_RUN_PAGES];
	uint64_t page_bytes = f->ram->page_bytes, bytes = run->pages * page_bytes, done = 0;
	const uint8_t *from = tier_extents_at(f->extents, run->portal_offset, bytes);

	if (!from)
		return tier_problem_set(problem, TIER_E_DAMAGED, f->view.offer.vm, NULL,
					"a run of the manifest lies outside the extents");
	while (done < bytes) {
		ssize_t n = pwrite(f->ram->fd, from + done, bytes - done,
				   (off_t)(run->ram_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return tier_problem_set(problem, n ? -errno : -ENOSPC, f->info.memory_path,
						"free memory in VmDirectory",
						"cannot fill the VM's RAM");
		done += (uint64_t)n;
	}
	for (uint32_t i = 0; i < run->pages; i++)
		checksums[i] = f->ram->crc32c(0, f->ram->map + run->ram_offset + i * page_bytes,
					      page_bytes);
	if (manifest_run_checksum(checksums, run->pages) != run->crc32c)
		return tier_problem_set(problem, TIER_E_DAMAGED, f->view.offer.vm, NULL,
					"checksum of %u pages at RAM offset 0x%" PRIx64
					" does not match",
					run->pages, run->ram_offset);
	f->report->verified_pages += run->pages;
	return 0;
}

/* Before COMMITTED the operator may still stop it. */
static bool may_cancel(const struct flight *f)
{
	return f->view.offer.state == TIER_FLIGHT_PUBLISHED && flight_cancelled(f);
}

static int fetch_ram(struct flight *f, const struct tier_manifest *manifest,
		     struct tier_problem *problem)
{
	uint64_t total = 0, done = 0;
	int r = 0;

	for (size_t i = 0; i < manifest->run_count; i++)
		total += manifest->runs[i].pages * f->ram->page_bytes;
	flight_stage(f, TIER_STAGE_VERIFYING);
	prefer_node(f->dram);
	for (size_t i = 0; i < manifest->run_count && r == 0; i++) {
		r = fetch_run(f, &manifest->runs[i], problem);
		done += manifest->runs[i].pages * f->ram->page_bytes;
		if (i % 256 == 0)
			flight_progress(f, TIER_STAGE_VERIFYING, done, total);
		if (r == 0 && i % 256 == 0 && may_cancel(f))
			r = tier_problem_set(problem, TIER_E_CANCELLED, f->view.offer.vm, NULL,
					     "cancelled");
	}
	(void)set_mempolicy(MPOL_DEFAULT, NULL, 0);
	flight_progress(f, TIER_STAGE_VERIFYING, done, total);
	return r;
}

/* What a tool that has died left open of these extents would be in the way. */
static int close_leftovers(struct flight *f, struct tier_problem *problem)
{
	int r = flight_find_extents(f, problem);

	if (r || !f->extents)
		return r;
	r = tier_extents_close(f->extents, problem);
	if (r == 0)
		f->extents = NULL;
	return r;
}

static int fetch_pages(struct flight *f, struct tier_problem *problem)
{
	_cleanup_free_ void *encoded = NULL;
	const struct tier_super *super = tier_portal_super(f->portal);
	const struct tier_offer *offer = &f->view.offer;
	struct tier_manifest *manifest = NULL;
	int r;

	r = tier_portal_read_blob(f->portal, offer->source, &offer->flight, &offer->manifest,
				  &encoded, problem);
	r = r
		    ?: tier_manifest_decode(super, offer, encoded, offer->manifest.bytes, &manifest,
					    problem);
	if (r)
		return r;
	f->report->runs = manifest->run_count;
	f->ram = ram_file_free(f->ram);
	r = ram_file_open(f->info.memory_path, f->info.memory_bytes, true, &f->ram, problem);
	if (r == 0 && !f->extents && f->orphan)
		r = close_leftovers(f, problem);
	if (r == 0 && !f->extents)
		r = tier_extents_open_devdax(f->grant->region, super, offer->ranges,
					     offer->range_count, false, &f->extents, problem);
	r = r ?: fetch_ram(f, manifest, problem);
	tier_manifest_free(manifest);
	f->ram = ram_file_free(f->ram);
	return r;
}

/* Manifest, pages and device state: out of the portal, verified, into the waiting QEMU. */
int flight_fetch(struct flight *f, struct tier_problem *problem)
{
	_cleanup_free_ void *state = NULL;
	const struct tier_offer *offer = &f->view.offer;
	int r;

	f->published_usec = now_usec();
	flight_stage(f, TIER_STAGE_PUBLISHED);
	r = tier_portal_read_blob(f->portal, offer->source, &offer->flight, &offer->state_blob,
				  &state, problem);
	if (r)
		return r;
	f->report->state_bytes = offer->state_blob.bytes;
	r = has_ram(f) ? 0 : fetch_pages(f, problem);
	r = r ?: tier_machine_load_state(f->machine, state, offer->state_blob.bytes, problem);
	if (r == 0)
		f->view.vm = TIER_VM_STOPPED;
	return r;
}

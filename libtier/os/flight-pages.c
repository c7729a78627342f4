/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of a flight: where they are, whose the others on the node are, and their manifest. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <numa.h>
#include <stdlib.h>

#include "fd.h"
#include "flight.h"

/* Bits of /proc/kpageflags: Documentation/admin-guide/mm/pagemap.rst. */
#define KPF_BUDDY    (UINT64_C(1) << 10)
#define KPF_HWPOISON (UINT64_C(1) << 19)
#define KPF_NOPAGE   (UINT64_C(1) << 20)
#define KPF_OFFLINE  (UINT64_C(1) << 23)
/* A page with one of these is somebody's: locked, LRU, slab, mmap, anon, swap cache, swap backed,
 * compound, huge, unevictable, page table, reserved, mlocked, private (zsmalloc and the like). */
#define KPF_IN_USE                                                                                 \
	((UINT64_C(1) << 0) | (UINT64_C(1) << 5) | (UINT64_C(1) << 7) | (UINT64_C(1) << 11) |      \
	 (UINT64_C(1) << 12) | (UINT64_C(1) << 13) | (UINT64_C(1) << 14) | (UINT64_C(1) << 15) |   \
	 (UINT64_C(1) << 16) | (UINT64_C(1) << 17) | (UINT64_C(1) << 18) | (UINT64_C(1) << 26) |   \
	 (UINT64_C(1) << 32) | (UINT64_C(1) << 33) | (UINT64_C(1) << 36) | (UINT64_C(1) << 37))

int flight_dram_node(int *ret_node, struct tier_problem *problem)
{
	struct tier_topology *topology;
	uint64_t most = 0;
	int r = tier_topology_read(NULL, &topology, problem);

	if (r)
		return r;
	*ret_node = -1;
	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];

		if (node->has_cpu && node->has_memory && node->free_bytes >= most) {
			most = node->free_bytes;
			*ret_node = node->id;
		}
	}
	tier_topology_free(topology);
	if (*ret_node < 0)
		return tier_problem_set(problem, -ENODEV, "nodes", NULL,
					"no node has both CPUs and memory");
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Counts pages in use that are not among the sorted @own. */
static int count_foreign(const struct tier_extents *extents, const uint64_t *own, size_t own_count,
			 uint64_t page_bytes, uint64_t *ret)
{
	_cleanup_close_ int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t start, bytes, flags[512], foreign = 0;

	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; extents_physical(extents, i, &start, &bytes); i++) {
		uint64_t first = start / page_bytes, count = bytes / page_bytes;

		for (uint64_t done = 0; done < count;) {
			uint64_t wanted = MIN(count - done, (uint64_t)ARRAY_SIZE(flags));
			ssize_t n = pread(fd, flags, wanted * sizeof(flags[0]),
					  (off_t)((first + done) * sizeof(flags[0])));

			if (n < (ssize_t)sizeof(flags[0]))
				return n < 0 ? -errno : -EIO;
			for (size_t j = 0; j < (size_t)n / sizeof(flags[0]); j++) {
				uint64_t pfn = first + done + j;

				if (flags[j] &
				    (KPF_BUDDY | KPF_NOPAGE | KPF_OFFLINE | KPF_HWPOISON))
					continue;
				if (flags[j] & KPF_IN_USE &&
				    !bsearch(&pfn, own, own_count, sizeof(pfn), compare_u64))
					foreign++;
			}
			done += (size_t)n / sizeof(flags[0]);
		}
	}
	*ret = foreign;
	return 0;
}

/* Asks every process but @except to leave @node. Failures show in the next count. */
static void migrate_others(int node, int dram, pid_t except)
{
	struct bitmask *from = numa_allocate_nodemask(), *to = numa_allocate_nodemask();
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	numa_bitmask_setbit(from, (unsigned)node);
	numa_bitmask_setbit(to, (unsigned)dram);
	while (proc && (entry = readdir(proc))) {
		uint64_t pid;

		/* Our own mapping of the RAM must stay where it is. */
		if (parse_u64(entry->d_name, &pid) < 0 || (pid_t)pid == except ||
		    (pid_t)pid == getpid())
			continue;
		(void)numa_migrate_pages((int)pid, from, to);
	}
	if (proc)
		closedir(proc);
	numa_free_nodemask(from);
	numa_free_nodemask(to);
}

int foreign_pages_evacuate(const struct tier_extents *extents, const struct ram_file *ram, int node,
			   int dram, pid_t except, struct tier_problem *problem)
{
	_cleanup_free_ uint64_t *own = calloc(ram->pages, sizeof(*own));
	size_t own_count = 0;
	uint64_t foreign;
	int r;

	if (!own)
		return -ENOMEM;
	for (uint64_t page = 0; page < ram->pages; page++) {
		if (ram->pfns[page])
			own[own_count++] = ram->pfns[page];
	}
	qsort(own, own_count, sizeof(*own), compare_u64);
	r = count_foreign(extents, own, own_count, ram->page_bytes, &foreign);
	if (r == 0 && foreign) {
		migrate_others(node, dram, except);
		r = count_foreign(extents, own, own_count, ram->page_bytes, &foreign);
	}
	if (r)
		return tier_problem_set(problem, r, "/proc/kpageflags", NULL,
					"cannot tell whose pages are on node %d", node);
	if (foreign)
		return tier_problem_set(problem, TIER_E_REFUSED, "portal",
					"free memory on this host, or drop its page cache",
					"%" PRIu64 " pages of other owners are on its node %d and "
					"would be shown to the other host",
					foreign, node);
	return 0;
}

uint64_t numa_maps_pages(pid_t pid, const char *path, int node)
{
	_cleanup_fclose_ FILE *maps = NULL;
	char name[64], wanted[320], field[24], line[4096];
	uint64_t pages = 0, count;

	snprintf(name, sizeof(name), "/proc/%d/numa_maps", pid);
	snprintf(wanted, sizeof(wanted), " file=%s ", path);
	snprintf(field, sizeof(field), " N%d=", node);
	maps = fopen(name, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		const char *at = strstr(line, wanted) ? strstr(line, field) : NULL;

		if (at && sscanf(at + strlen(field), "%" SCNu64, &count) == 1)
			pages += count;
	}
	return pages;
}

uint32_t manifest_run_checksum(const uint32_t *checksums, uint32_t pages)
{
	uint32_t crc = 0;

	for (uint32_t i = 0; i < pages; i++) {
		uint8_t bytes[4] = {(uint8_t)checksums[i], (uint8_t)(checksums[i] >> 8),
				    (uint8_t)(checksums[i] >> 16), (uint8_t)(checksums[i] >> 24)};

		crc = tier_crc32c(crc, bytes, sizeof(bytes));
	}
	return crc;
}

int manifest_build(const struct tier_extents *extents, const struct ram_file *ram,
		   const struct tier_offer *offer, struct tier_manifest **ret,
		   struct tier_problem *problem)
{
	struct tier_manifest *manifest = calloc(1, sizeof(*manifest));
	struct tier_manifest_run *run = NULL;

	if (!manifest)
		return -ENOMEM;
	manifest->flight = offer->flight;
	manifest->generation = offer->stamp.generation;
	manifest->ram_bytes = ram->bytes;
	manifest->page_bytes = (uint32_t)ram->page_bytes;
	for (uint64_t page = 0; page < ram->pages; page++) {
		uint64_t at;

		if (!ram->pfns[page]) {
			run = NULL;
			continue;
		}
		at = tier_extents_portal_offset(extents, ram->pfns[page] * ram->page_bytes);
		if (at == TIER_UNKNOWN_U64) {
			tier_manifest_free(manifest);
			return tier_problem_set(problem, -EXDEV, offer->vm, NULL,
						"page %" PRIu64 " is not in the portal", page);
		}
		if (run && run->pages < TIER_MANIFEST_RUN_PAGES &&
		    at == run->portal_offset + run->pages * ram->page_bytes) {
			run->pages++;
			continue;
		}
		run = array_grow(&manifest->runs, &manifest->run_count, sizeof(*run));
		if (!run) {
			tier_manifest_free(manifest);
			return -ENOMEM;
		}
		*run = (struct tier_manifest_run){
			.ram_offset = page * ram->page_bytes, .portal_offset = at, .pages = 1};
	}
	for (size_t i = 0; i < manifest->run_count; i++) {
		run = &manifest->runs[i];
		run->crc32c = manifest_run_checksum(
			&ram->checksums[run->ram_offset / ram->page_bytes], run->pages);
	}
	*ret = manifest;
	return 0;
}

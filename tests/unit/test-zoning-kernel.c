/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model against the kernel's own functions (zoning-kernel.h): random machines and sequences,
 * after each step of which zones, groups and valid_zones must agree. TIER_SEED=N begins elsewhere,
 * TIER_ZONING_MACHINES=N makes more of them.
 */
#include "test.h"

#include "tier-error.h"
#include "zoning.h"
#include "zoning-kernel.h"

enum {
	MACHINES = 8,
	STEPS = 150,
	LOW_END = 24,	 /* blocks below "4 GiB" */
	HOTPLUG_AT = 48, /* devices from here on, and in the hole below LOW_END */
};

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((random_state >> 33) % n);
}

struct machine {
	struct kernel k;
	struct tier_zoning *z;
	struct tier_zoning_policy policy;
	int ids[K_GROUPS]; /* of the model, by the kernel's */
};

static void boot_range(struct kernel *k, int nid, int zone, unsigned long start, unsigned long end)
{
	struct zone *z = &k->zones[nid][zone];

	move_pfn_range_to_zone(k, z, start, end - start);
	for (unsigned long pfn = start; pfn < end; pfn += K_SUBSECTION_PAGES) {
		struct memory_block *mem = &k->blocks[pfn / K_BLOCK_PAGES];

		k->section_online[pfn / PAGES_PER_SECTION] = true;
		mem->zone = mem->exists && mem->zone != z ? NULL : z;
		mem->exists = mem->online = mem->early = true;
		mem->nid = nid;
	}
}

static void boot_kernel(struct kernel *k)
{
	unsigned long low = (12 + random_below(8)) * K_BLOCK_PAGES,
		      high = (28 + random_below(8)) * K_BLOCK_PAGES;
	unsigned long cut = random_below(8) * K_SUBSECTION_PAGES;

	memset(k, 0, sizeof(*k));
	for (int node = 0; node < K_NODES; node++)
		for (int i = 0; i < MAX_NR_ZONES; i++)
			k->zones[node][i] = (struct zone){.node = node, .idx = i};
	for (int i = 0; i < K_BLOCKS; i++)
		k->blocks[i].group = -1;
	boot_range(k, 0, ZONE_DMA, K_SUBSECTION_PAGES, K_BLOCK_PAGES / 2);
	boot_range(k, 0, ZONE_DMA32, K_BLOCK_PAGES / 2, low - cut);
	k->blocks[(low - cut - 1) / K_BLOCK_PAGES].holes = cut % K_BLOCK_PAGES != 0;
	if (random_below(2)) /* the span up to 4 GiB, as on a machine of one node */
		k->zones[0][ZONE_DMA32].spanned_pages =
			LOW_END * K_BLOCK_PAGES - k->zones[0][ZONE_DMA32].zone_start_pfn;
	cut = random_below(8) * K_SUBSECTION_PAGES;
	boot_range(k, 0, ZONE_NORMAL, LOW_END * K_BLOCK_PAGES, high - cut);
	k->blocks[(high - cut - 1) / K_BLOCK_PAGES].holes = cut % K_BLOCK_PAGES != 0;
	if (random_below(2)) /* kernelcore= or movable_node: Movable at boot */
		boot_range(k, 0, ZONE_MOVABLE, high, high + 2 * K_BLOCK_PAGES);
	if (random_below(2))
		boot_range(k, 1, ZONE_NORMAL, 40 * K_BLOCK_PAGES, 46 * K_BLOCK_PAGES);
	if (random_below(2)) {
		k->zones[0][ZONE_NORMAL].cma_pages = K_BLOCK_PAGES / 2;
		k->blocks[LOW_END].holes = true; /* or it would go offline with that */
	}
}

static enum tier_zone their_zone(const struct zone *zone)
{
	return zone ? TIER_ZONE_DMA + (enum tier_zone)zone->idx : TIER_ZONE_NONE;
}

/* From what a user sees: zoneinfo, valid_zones. */
static void describe(struct machine *m)
{
	CHECK_EQ(tier_zoning_new(K_BLOCK_PAGES, &m->z), 0);
	for (int node = 0; node < K_NODES; node++)
		for (int i = 0; i < MAX_NR_ZONES; i++) {
			const struct zone *zone = &m->k.zones[node][i];
			struct tier_zoning_zone ours = {
				.start_pfn = zone->zone_start_pfn,
				.spanned_pages = zone->spanned_pages,
				.present_pages = zone_present(&m->k, zone, false),
				.present_early_pages = zone_present(&m->k, zone, false),
				.cma_pages = zone->cma_pages,
			};
			CHECK_EQ(tier_zoning_set_zone(m->z, node, their_zone(zone), &ours), 0);
		}
	for (int i = 0; i < K_GROUPS; i++) {
		const struct memory_group *group = &m->k.groups[i];
		struct tier_zoning_group ours = {
			.dynamic = group->is_dynamic, .node = group->nid, .pages = group->pages};

		if (group->used)
			CHECK_EQ(tier_zoning_add_group(m->z, &ours, &m->ids[i]), 0);
	}
	for (int i = 0; i < K_BLOCKS; i++) {
		const struct memory_block *mem = &m->k.blocks[i];
		struct tier_zoning_block ours = {
			.index = (uint64_t)i,
			.node = mem->nid,
			.early = mem->early,
			.group = mem->group >= 0 ? m->ids[mem->group] : TIER_ZONING_NO_GROUP,
			.zone = mem->online && !mem->zone ? TIER_ZONE_MIXED : their_zone(mem->zone),
		};
		if (mem->exists)
			CHECK_EQ(tier_zoning_set_block(m->z, &ours), 0);
	}
}

static void compare_zone(struct machine *m, const struct zone *zone)
{
	struct tier_zoning_zone ours;

	CHECK_EQ(tier_zoning_get_zone(m->z, zone->node, their_zone(zone), &ours), 0);
	CHECK_EQ(ours.present_pages, zone_present(&m->k, zone, false));
	CHECK_EQ(ours.present_early_pages, zone_present(&m->k, zone, true));
	/* To a block: see shrink_span(). */
	CHECK_EQ(ours.start_pfn / K_BLOCK_PAGES, zone->zone_start_pfn / K_BLOCK_PAGES);
	CHECK_EQ(ROUND_UP(zoning_end_pfn(&ours), K_BLOCK_PAGES),
		 ROUND_UP(zone_end_pfn(zone), K_BLOCK_PAGES));
}

static void compare_block(struct machine *m, int block)
{
	const struct memory_block *mem = &m->k.blocks[block];
	const struct tier_zoning_block *ours = tier_zoning_get_block(m->z, (uint64_t)block);
	enum tier_zone valid[3], theirs[3];
	int count = 0, r;

	CHECK_EQ(ours != NULL, mem->exists);
	if (!ours)
		return;
	if (mem->online) {
		CHECK_EQ(ours->zone, mem->zone ? their_zone(mem->zone) : TIER_ZONE_MIXED);
		return;
	}
	theirs[count++] = their_zone(zone_for_block(&m->k, block, MMOP_ONLINE));
	for (enum mmop type = MMOP_ONLINE_KERNEL; type <= MMOP_ONLINE_MOVABLE; type++) {
		enum tier_zone zone = their_zone(zone_for_block(&m->k, block, type));

		if (zone != theirs[0])
			theirs[count++] = zone;
	}
	r = tier_zoning_valid_zones(m->z, &m->policy, (uint64_t)block, valid);
	CHECK_EQ(r, count);
	for (int i = 0; i < count; i++)
		CHECK_EQ(valid[i], theirs[i]);
}

static void compare(struct machine *m)
{
	for (int node = 0; node < K_NODES; node++)
		for (int i = 0; i < MAX_NR_ZONES; i++)
			compare_zone(m, &m->k.zones[node][i]);
	for (int i = 0; i < K_GROUPS; i++) {
		const struct tier_zoning_group *group;

		if (!m->k.groups[i].used)
			continue;
		group = tier_zoning_get_group(m->z, m->ids[i]);
		CHECK_EQ(group->present_kernel_pages, group_present(&m->k, i, false));
		CHECK_EQ(group->present_movable_pages, group_present(&m->k, i, true));
	}
	for (int i = 0; i < K_BLOCKS; i++)
		compare_block(m, i);
}

/* ---- steps ---- */

static enum mmop random_type(void)
{
	static const enum mmop types[] = {MMOP_OFFLINE, MMOP_ONLINE,	    MMOP_ONLINE,
					  MMOP_ONLINE,	MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE};

	return types[random_below(ARRAY_SIZE(types))];
}

static void kernel_add(struct machine *m, int group, int nid, int first, int count, enum mmop type)
{
	bool altmap = random_below(3) == 0;

	for (int i = first; i < first + count; i++)
		m->k.blocks[i] = (struct memory_block){
			.exists = true, .altmap = altmap, .nid = nid, .group = group};
	for (int i = first; type != MMOP_OFFLINE && i < first + count; i++)
		memory_block_online(&m->k, i, type);
}

static void add(struct machine *m, int group, int nid, int first, int count)
{
	enum mmop type = random_type();

	for (int i = first; i < first + count; i++)
		if (m->k.blocks[i].exists) {
			CHECK_EQ(tier_zoning_add(m->z, &m->policy,
						 group >= 0 ? m->ids[group] : TIER_ZONING_NO_GROUP,
						 nid, (uint64_t)first, (uint64_t)count,
						 (enum tier_zoning_online)type),
				 TIER_E_BUSY);
			return;
		}
	kernel_add(m, group, nid, first, count, type);
	CHECK_EQ(tier_zoning_add(m->z, &m->policy,
				 group >= 0 ? m->ids[group] : TIER_ZONING_NO_GROUP, nid,
				 (uint64_t)first, (uint64_t)count, (enum tier_zoning_online)type),
		 0);
}

static int device_at(int group)
{
	return HOTPLUG_AT + group * 12;
}

/* A device that was not there: a DIMM of one or two ranges, virtio-mem, or some pages of nobody. */
static void step_arrive(struct machine *m)
{
	int group = (int)random_below(K_GROUPS), at = device_at(group);
	struct memory_group *g = &m->k.groups[group];
	struct tier_zoning_group ours = {.node = (int)random_below(K_NODES)};
	unsigned blocks = 1 + random_below(8);

	if (random_below(8) == 0) {
		add(m, -1, (int)random_below(K_NODES), K_BLOCKS - 12 + (int)random_below(10), 2);
		return;
	}
	if (g->used)
		return;
	ours.dynamic = random_below(2);
	ours.pages = (uint64_t)K_BLOCK_PAGES * (ours.dynamic ? 1U << random_below(3) : blocks);
	*g = (struct memory_group){
		.used = true, .is_dynamic = ours.dynamic, .nid = ours.node, .pages = ours.pages};
	CHECK_EQ(tier_zoning_add_group(m->z, &ours, &m->ids[group]), 0);
	if (ours.dynamic)
		return;
	if (blocks > 3 && random_below(2)) {
		add(m, group, ours.node, at, 2);
		add(m, group, ours.node, at + 4, (int)blocks - 2);
	} else if (blocks < 4 && ours.node == 0 && random_below(2)) {
		add(m, group, ours.node, LOW_END - 4 + (int)random_below(2), (int)blocks);
	} else {
		add(m, group, ours.node, at, (int)blocks);
	}
}

static void kernel_remove(struct machine *m, int first, int count)
{
	for (int i = first; i < first + count; i++) {
		if (m->k.blocks[i].online)
			memory_block_offline(&m->k, i);
		m->k.blocks[i] = (struct memory_block){.group = -1};
	}
}

static void step_leave(struct machine *m)
{
	int group = (int)random_below(K_GROUPS), first;
	struct memory_group *g = &m->k.groups[group];

	if (!g->used)
		return;
	for (first = 0; first < K_BLOCKS; first++)
		if (m->k.blocks[first].exists && m->k.blocks[first].group == group) {
			CHECK_EQ(tier_zoning_remove_group(m->z, m->ids[group]), TIER_E_BUSY);
			if (m->k.blocks[first].online) {
				CHECK_EQ(tier_zoning_remove(m->z, (uint64_t)first, 1), TIER_E_BUSY);
				CHECK_EQ(tier_zoning_offline(m->z, (uint64_t)first), 0);
			}
			CHECK_EQ(tier_zoning_remove(m->z, (uint64_t)first, 1), 0);
			kernel_remove(m, first, 1);
		}
	CHECK_EQ(tier_zoning_remove_group(m->z, m->ids[group]), 0);
	g->used = false;
}

static int first_unit(int group, int unit)
{
	return (device_at(group) + unit - 1) / unit * unit;
}

static void step_grow(struct machine *m)
{
	int group = (int)random_below(K_GROUPS), units = 1 + (int)random_below(3), at, unit, end;
	struct memory_group *g = &m->k.groups[group];
	enum mmop type = random_type();

	if (!g->used || !g->is_dynamic)
		return;
	unit = (int)(g->pages / K_BLOCK_PAGES);
	at = first_unit(group, unit);
	end = device_at(group) + 8;
	int r = tier_zoning_grow(m->z, &m->policy, m->ids[group], (uint64_t)at,
				 (uint64_t)(end - at), (uint64_t)units,
				 (enum tier_zoning_online)type);
	for (int i = at; units > 0 && i + unit <= end; i += unit)
		if (!m->k.blocks[i].exists) {
			kernel_add(m, group, g->nid, i, unit, type);
			units--;
		}
	CHECK_EQ(r, units > 0 ? TIER_E_NO_SPACE : 0);
}

/* virtio_mem_bbm_bb_is_offline(), virtio_mem_bbm_bb_is_movable() */
static bool unit_is(const struct kernel *k, int first, int unit, int pass)
{
	for (int i = first; i < first + unit; i++)
		if (pass == 0 ? k->blocks[i].online
			      : pass == 1 && (!k->blocks[i].online ||
					      k->blocks[i].zone->idx != ZONE_MOVABLE))
			return false;
	return true;
}

static void step_shrink(struct machine *m)
{
	int group = (int)random_below(K_GROUPS), units = 1 + (int)random_below(3), unit;
	struct memory_group *g = &m->k.groups[group];

	if (!g->used || !g->is_dynamic)
		return;
	unit = (int)(g->pages / K_BLOCK_PAGES);
	int r = tier_zoning_shrink(m->z, m->ids[group], (uint64_t)units);

	for (int pass = 0; pass < 3; pass++)
		for (int i = (device_at(group) + 8) / unit * unit; units > 0 && i >= 0; i -= unit)
			if (i + unit <= K_BLOCKS && m->k.blocks[i].exists &&
			    m->k.blocks[i].group == group && unit_is(&m->k, i, unit, pass)) {
				kernel_remove(m, i, unit);
				units--;
			}
	CHECK_EQ(r, units > 0 ? TIER_E_NO_SPACE : 0);
}

static void step_toggle(struct machine *m)
{
	int block = (int)random_below(K_BLOCKS);
	struct memory_block *mem = &m->k.blocks[block];
	enum mmop type = (enum mmop)(1 + random_below(3));

	if (!mem->exists || mem->holes)
		return;
	if (!mem->online) {
		CHECK_EQ(tier_zoning_offline(m->z, (uint64_t)block), TIER_E_REFUSED);
		CHECK_EQ(tier_zoning_online(m->z, &m->policy, (uint64_t)block,
					    (enum tier_zoning_online)type, NULL),
			 0);
		memory_block_online(&m->k, block, type);
	} else if (!mem->zone) {
		CHECK_EQ(tier_zoning_offline(m->z, (uint64_t)block), TIER_E_REFUSED);
	} else {
		CHECK_EQ(tier_zoning_offline(m->z, (uint64_t)block), 0);
		memory_block_offline(&m->k, block);
	}
}

static void step_policy(struct machine *m)
{
	static const unsigned ratios[] = {0,   1,    33,   99,	 100,	     301,
					  301, 1000, 5000, 1000, 0x7fffffff, 0xffffffff};

	m->policy = (struct tier_zoning_policy){
		.auto_movable = random_below(4) > 0,
		.ratio_percent = random_below(2) ? ratios[random_below(ARRAY_SIZE(ratios))]
						 : random_below(1001),
		.numa_aware = random_below(2),
		.movable_node = random_below(2),
	};
	m->k.auto_movable = m->policy.auto_movable;
	m->k.auto_movable_ratio = m->policy.ratio_percent;
	m->k.auto_movable_numa_aware = m->policy.numa_aware;
	m->k.movable_node_enabled = m->policy.movable_node;
}

static void (*const steps[])(struct machine *m) = {step_arrive, step_leave,  step_grow,
						   step_grow,	step_shrink, step_toggle,
						   step_toggle, step_toggle, step_policy};

TEST(random_sequences_agree_with_the_kernels_functions)
{
	const char *from = getenv("TIER_SEED"), *many = getenv("TIER_ZONING_MACHINES");
	uint64_t seed = from ? strtoull(from, NULL, 0) : 1;
	uint64_t machines = many ? strtoull(many, NULL, 0) : MACHINES;
	static struct machine m;

	for (uint64_t i = 0; i < machines; i++) {
		random_state = seed + i;
		printf("# TIER_SEED=%" PRIu64 "\n", seed + i);
		boot_kernel(&m.k);
		describe(&m);
		step_policy(&m);
		for (int step = 0; step < STEPS; step++) {
			steps[random_below(ARRAY_SIZE(steps))](&m);
			compare(&m);
			if (step % 50 != 49)
				continue;
			/* What a copy, and what somebody who comes now, makes of it. */
			struct tier_zoning *copy = NULL;

			CHECK_EQ(tier_zoning_copy(m.z, &copy), 0);
			tier_zoning_free(m.z);
			m.z = copy;
			compare(&m);
			m.z = tier_zoning_free(m.z);
			describe(&m);
			compare(&m);
		}
		m.z = tier_zoning_free(m.z);
	}
}

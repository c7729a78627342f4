/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-why.h"

/* ---- what the machine bears ---- */

static int measure(const struct tier_topology *topology, struct tier_kernel_use *use,
		   struct tier_bearing *bearing, struct tier_problem *problem)
{
	int r = tier_kernel_use_read(tool_common.sysroot, topology, use, problem);

	if (r == 0)
		tier_kernel_use_bears(use, use->kernel_bytes, bearing);
	return r;
}

void bearing_print(const struct tier_topology *topology, unsigned ratio_percent)
{
	char a[16], b[16], c[16], d[16];
	struct tier_kernel_use use;
	struct tier_bearing bears;
	struct tier_problem problem;

	printf("\nWhat this machine can bear, by what its kernel uses now:\n");
	if (measure(topology, &use, &bears, &problem) != 0) {
		printf("  not known: %s %s\n", problem.object, problem.text);
		return;
	}
	printf("  per GiB in use: page tables %s, slab %s, other %s; per GiB at all: memmap %s\n",
	       tool_bytes(a, bears.page_tables_per_gib), tool_bytes(b, bears.slab_per_gib),
	       tool_bytes(c, bears.other_per_gib), tool_bytes(d, bears.memmap_per_gib));
	printf("  %s kernel memory, half of it for the kernel's own use, less %s since boot\n",
	       tool_bytes(a, use.kernel_bytes), tool_bytes(b, use.boot_bytes));
	printf("  bears %u %% (%s Movable) if all of it grows with use,\n", bears.least_percent,
	       tool_bytes(a, bears.least_movable_bytes));
	printf("  and %u %% (%s) if only page tables and memmap do\n", bears.most_percent,
	       tool_bytes(a, bears.most_movable_bytes));
	if (use.total_bytes > 0 && use.free_bytes > use.total_bytes / 2)
		printf("  more than half of its memory is free now: look again when it is at "
		       "work\n");
	if (ratio_percent > bears.most_percent)
		printf("  The ratio of %u %% allows more than that: see docs/onlining.md\n",
		       ratio_percent);
}

int bearing_json(const struct tier_topology *topology, sd_json_variant **ret)
{
	struct tier_kernel_use use;
	struct tier_bearing bears;
	struct tier_problem problem;

	if (measure(topology, &use, &bears, &problem) != 0) {
		*ret = NULL;
		return 0;
	}
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_UNSIGNED("kernel_bytes", use.kernel_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("movable_bytes", use.movable_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("boot_bytes", use.boot_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("total_bytes", use.total_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("free_bytes", use.free_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("page_tables_bytes", use.page_tables_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("slab_bytes", use.slab_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("slab_reclaimable_bytes", use.slab_reclaimable_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("other_bytes", use.other_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("page_tables_bytes_per_gib", bears.page_tables_per_gib),
		SD_JSON_BUILD_PAIR_UNSIGNED("slab_bytes_per_gib", bears.slab_per_gib),
		SD_JSON_BUILD_PAIR_UNSIGNED("other_bytes_per_gib", bears.other_per_gib),
		SD_JSON_BUILD_PAIR_UNSIGNED("memmap_bytes_per_gib", bears.memmap_per_gib),
		SD_JSON_BUILD_PAIR_UNSIGNED("least_movable_bytes", bears.least_movable_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("least_percent", bears.least_percent),
		SD_JSON_BUILD_PAIR_UNSIGNED("most_movable_bytes", bears.most_movable_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("most_percent", bears.most_percent));
}

/* ---- another ratio ---- */

static const char *name_of(const struct plan_input *input, size_t place)
{
	return place < input->policy.request_count
		       ? input->requests[place].region
		       : input->arrivals[place - input->policy.request_count].name;
}

static const char *zone_text(enum tier_zone zone)
{
	return zone == TIER_ZONE_NONE ? "unchanged" : tier_zone_name(zone);
}

void what_if_print(const struct plan_input *input, const struct tier_what_if *ranges, size_t count,
		   int only)
{
	size_t places = input->policy.request_count + input->policy.arrival_count, next;

	for (size_t i = 0; i < count; i = next) {
		char movable[16], kernel[16];

		/* Of one region, ranges that differ in others are one. */
		for (next = i + 1; next < count; next++)
			if (only < 0 || ranges[next].zones[only] != ranges[i].zones[only])
				break;
		printf("  %5u .. %5u %%  ", ranges[i].low_percent, ranges[next - 1].high_percent);
		if (only >= 0) {
			printf("%s\n", zone_text(ranges[i].zones[only]));
			continue;
		}
		printf("%s movable, %s kernel:", tool_bytes(movable, ranges[i].movable_bytes),
		       tool_bytes(kernel, ranges[i].kernel_bytes));
		for (size_t p = 0; p < places; p++)
			printf("%s %s %s", p ? "," : "", name_of(input, p),
			       zone_text(ranges[i].zones[p]));
		putchar('\n');
	}
}

static int zones_json(const struct plan_input *input, const struct tier_what_if *range,
		      sd_json_variant **ret)
{
	size_t places = input->policy.request_count + input->policy.arrival_count;
	sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t p = 0; r >= 0 && p < places; p++) {
		bool none = range->zones[p] == TIER_ZONE_NONE;

		r = sd_json_variant_append_arraybo(
			&array, SD_JSON_BUILD_PAIR_STRING("region", name_of(input, p)),
			SD_JSON_BUILD_PAIR_CONDITION(
				!none, "zone",
				SD_JSON_BUILD_STRING(tier_zone_name(range->zones[p]))),
			SD_JSON_BUILD_PAIR_CONDITION(none, "zone", SD_JSON_BUILD_NULL));
	}
	if (r < 0)
		sd_json_variant_unref(array);
	else
		*ret = array;
	return r;
}

int what_if_json(const struct plan_input *input, const struct tier_what_if *ranges, size_t count,
		 sd_json_variant **ret)
{
	sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		sd_json_variant *zones = NULL;

		r = zones_json(input, &ranges[i], &zones);
		if (r >= 0)
			r = sd_json_variant_append_arraybo(
				&array,
				SD_JSON_BUILD_PAIR_UNSIGNED("low_percent", ranges[i].low_percent),
				SD_JSON_BUILD_PAIR_UNSIGNED("high_percent", ranges[i].high_percent),
				SD_JSON_BUILD_PAIR_UNSIGNED("kernel_bytes", ranges[i].kernel_bytes),
				SD_JSON_BUILD_PAIR_UNSIGNED("movable_bytes",
							    ranges[i].movable_bytes),
				SD_JSON_BUILD_PAIR_VARIANT("regions", zones));
		sd_json_variant_unref(zones);
	}
	if (r < 0)
		sd_json_variant_unref(array);
	else
		*ret = array;
	return r;
}

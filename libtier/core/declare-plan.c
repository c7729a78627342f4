/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "config-keys.h"
#include "declare-fit.h"
#include "json.h"

/* One declaration under consideration. */
struct look {
	const struct tier_config *config;
	const struct tier_config_region *rule;
	struct space *space;
	struct tier_declared *declared;
	struct members members;
};

__attribute__((format(printf, 4, 5))) static void decide(struct look *look,
							 enum tier_declared_state state,
							 const char *next, const char *format, ...)
{
	struct tier_declared *declared = look->declared;
	char head[80], text[sizeof(declared->problem.text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	declared->state = state;
	tier_problem_set(&declared->problem, TIER_E_REFUSED,
			 config_section_name(head, "Region", look->rule->name), next, "%s", text);
}

static const struct tier_memdev *by_serial(const struct tier_topology *topology, uint64_t serial,
					   unsigned *ret_count)
{
	const struct tier_memdev *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < topology->memdev_count; i++)
		if (topology->memdevs[i].serial == serial) {
			found = found ?: &topology->memdevs[i];
			++*ret_count;
		}
	return found;
}

/* Every device there, with its driver? */
static bool find_devices(struct look *look)
{
	struct tier_declared *declared = look->declared;
	const struct tier_memdev *without_driver = NULL;
	char missing[200] = "";
	bool twice = false;

	for (unsigned i = 0; i < declared->ways; i++) {
		uint64_t serial = declared->serials[i];
		size_t used = strlen(missing);
		unsigned count;
		const struct tier_memdev *memdev = by_serial(look->space->topology, serial, &count);

		twice |= count > 1;
		if (!memdev)
			snprintf(missing + used, sizeof(missing) - used, "%s0x%" PRIx64,
				 used ? ", " : "", serial);
		else if (!memdev->enabled)
			without_driver = memdev;
		if (!memdev)
			continue;
		copy_string(declared->memdevs[i], sizeof(declared->memdevs[i]), memdev->name);
		look->members.memdevs[look->members.count++] = memdev;
	}
	if (missing[0])
		decide(look, TIER_DECLARED_WAITS, "tierctl list memdevs",
		       "waits for memory devices that are not there: serial number %s", missing);
	else if (twice)
		decide(look, TIER_DECLARED_REFUSED, "tierctl list memdevs",
		       "two memory devices have the same serial number");
	else if (without_driver)
		decide(look, TIER_DECLARED_WAITS, "dmesg",
		       "waits for the driver of %s (serial number 0x%" PRIx64 ")",
		       without_driver->name, without_driver->serial);
	return !missing[0] && !twice && !without_driver;
}

/* What no Size= means: all of every device, as much as of the smallest. */
static uint64_t whole(const struct members *members)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < members->count; i++)
		least = MIN(least, members->memdevs[i]->ram_bytes);
	return least / REGION_STEP * REGION_STEP;
}

static bool is_size_declared(const struct look *look, const struct tier_region *region)
{
	return look->rule->size_bytes ||
	       region->bytes == whole(&look->members) * look->members.count;
}

/* The region that is there under this declaration: is it what it says? */
static void judge_existing(struct look *look, const struct tier_region *region)
{
	struct tier_declared *declared = look->declared;
	char size[16], other[16], next[96];

	copy_string(declared->region, sizeof(declared->region), region->name);
	copy_string(declared->window, sizeof(declared->window), region->window);
	declared->bytes = region->bytes;
	snprintf(next, sizeof(next), "cxl destroy-region %s, if its memory is not in use",
		 region->name);
	if (!region->committed)
		decide(look, TIER_DECLARED_REFUSED, next,
		       "%s is there and not committed: somebody is making it, or has left it half "
		       "made",
		       region->name);
	else if (look->members.count == declared->ways && !is_size_declared(look, region))
		decide(look, TIER_DECLARED_REFUSED, next,
		       "%s has %s, and without Size= all of its devices is meant, %s; left as it "
		       "is",
		       region->name, format_bytes(size, region->bytes),
		       format_bytes(other, whole(&look->members) * declared->ways));
	else if (look->rule->granularity_bytes &&
		 region->interleave_granularity_bytes != look->rule->granularity_bytes)
		decide(look, TIER_DECLARED_REFUSED, next,
		       "%s interleaves by %u bytes, and %u are declared; left as it is",
		       region->name, region->interleave_granularity_bytes,
		       look->rule->granularity_bytes);
	else
		declared->state = TIER_DECLARED_EXISTS;
	declared->granularity_bytes = region->interleave_granularity_bytes;
}

static bool has_member(const struct tier_region *region, const struct members *members,
		       const struct tier_memdev **ret)
{
	for (size_t i = 0; i < region->memdev_count; i++)
		for (unsigned m = 0; m < members->count; m++)
			if (streq(region->memdevs[i], members->memdevs[m]->name)) {
				*ret = members->memdevs[m];
				return true;
			}
	return false;
}

/* A region of volatile memory on one of the devices that no section declares. */
static bool is_obstructed(struct look *look)
{
	const struct tier_topology *topology = look->space->topology;

	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];
		const struct tier_memdev *memdev;
		bool declared = false;
		char next[96], size[16];

		for (size_t r = 0; r < look->config->region_count; r++)
			declared |= look->config->regions[r].create.count &&
				    config_is_declared(&look->config->regions[r], region);
		if (declared || streq(region->mode, "pmem") ||
		    !has_member(region, &look->members, &memdev))
			continue;
		copy_string(look->declared->region, sizeof(look->declared->region), region->name);
		snprintf(next, sizeof(next), "cxl destroy-region %s, if its memory is not in use",
			 region->name);
		decide(look, TIER_DECLARED_REFUSED, next,
		       "%s, of %s, is in the way on %s (serial number 0x%" PRIx64
		       "), and is not declared; left as it is",
		       region->name, format_bytes(size, region->bytes), memdev->name,
		       memdev->serial);
		return true;
	}
	return false;
}

/* "[Region a] 768M + [Region b] 512M": what is declared on that device; 0 if only one section has it. */
static uint64_t declared_sum(const struct tier_config *config, uint64_t serial, char *text,
			     size_t size)
{
	uint64_t sum = 0;
	unsigned sections = 0;

	text[0] = '\0';
	for (size_t i = 0; i < config->region_count; i++) {
		const struct tier_config_region *rule = &config->regions[i];
		size_t used = strlen(text);
		char part[16];

		if (!config_has_device(&rule->create, serial) || rule->size_bytes == 0)
			continue;
		snprintf(text + used, size - used, "%s%.30s %s", used ? " + " : "", rule->name,
			 format_bytes(part, rule->size_bytes / rule->create.count));
		sum += rule->size_bytes / rule->create.count;
		sections++;
	}
	return sections > 1 ? sum : 0;
}

static bool devices_are_large_enough(struct look *look)
{
	struct tier_declared *declared = look->declared;
	uint64_t each = look->rule->size_bytes ? look->rule->size_bytes / declared->ways
					       : whole(&look->members);

	declared->bytes = each * declared->ways;
	for (unsigned i = 0; i < look->members.count; i++) {
		const struct tier_memdev *memdev = look->members.memdevs[i];
		uint64_t left = *space_free(look->space, memdev), sum;
		char needed[16], has[16], of[16], total[16], text[200];

		if (each > 0 && left >= each)
			continue;
		format_bytes(of, memdev->ram_bytes);
		sum = declared_sum(look->config, memdev->serial, text, sizeof(text));
		if (each == 0)
			decide(look, TIER_DECLARED_REFUSED, "tierctl list memdevs",
			       "%s (serial number 0x%" PRIx64
			       ") has %s of volatile memory, less than the 256M that CXL decodes",
			       memdev->name, memdev->serial, of);
		else if (sum > memdev->ram_bytes)
			decide(look, TIER_DECLARED_REFUSED, "give them a smaller Size=",
			       "%s (serial number 0x%" PRIx64
			       ") is too small: it has %s, and %s = %s are declared on it",
			       memdev->name, memdev->serial, of, text, format_bytes(total, sum));
		else
			decide(look, TIER_DECLARED_REFUSED, "give it a smaller Size=",
			       "%s (serial number 0x%" PRIx64
			       ") is too small: %s of its %s are free, and %s on each of %u "
			       "device%s %s needed",
			       memdev->name, memdev->serial, format_bytes(has, left), of,
			       format_bytes(needed, each), declared->ways,
			       declared->ways == 1 ? "" : "s", declared->ways == 1 ? "is" : "are");
		return false;
	}
	return true;
}

static void find_window(struct look *look, uint64_t *ret_start)
{
	const struct tier_topology *topology = look->space->topology;
	struct tier_declared *declared = look->declared;
	char reasons[256] = "";

	for (size_t i = 0; i < topology->window_count; i++) {
		const struct tier_window *window = &topology->windows[i];
		unsigned granularity = look->rule->granularity_bytes;
		size_t used = strlen(reasons);
		char why[200] = "";

		*ret_start = window_fit(look->space, window, &look->members, declared->bytes,
					&granularity, why, sizeof(why));
		if (*ret_start != TIER_UNKNOWN_U64) {
			copy_string(declared->window, sizeof(declared->window), window->name);
			declared->granularity_bytes = granularity;
			declared->state = TIER_DECLARED_CREATE;
			return;
		}
		snprintf(reasons + used, sizeof(reasons) - used, "%s%s: %s", used ? "; " : "",
			 window->name, why);
	}
	decide(look, TIER_DECLARED_REFUSED, "tierctl list windows", "no window fits: %s",
	       reasons[0] ? reasons : "there is none");
}

/* Another host's VM may lie in it before anybody has looked. */
static bool would_be_onlined(struct look *look)
{
	const struct tier_topology *topology = look->space->topology;
	const char *policy = topology->hotplug.auto_online;

	if (look->declared->type <= TIER_MEMORY_LOCAL || !policy[0] || streq(policy, "offline"))
		return false;
	/* Blocks of a typed node refuse, and the type is set before there are any. */
	for (size_t i = 0; i < topology->node_count; i++)
		if (topology->nodes[i].type_by_kernel)
			return false;
	decide(look, TIER_DECLARED_REFUSED, "boot with memhp_default_state=offline; tierctl doctor",
	       "it is %s, and the kernel onlines new memory at once (auto_online_blocks is \"%s\")",
	       tier_memory_type_name(look->declared->type), policy);
	return true;
}

static enum tier_memory_type wanted_type(struct look *look)
{
	struct tier_declared *declared = look->declared;
	struct tier_region region = {
		.bytes = declared->bytes,
		.memdevs = declared->memdevs,
		.serials = declared->serials,
		.memdev_count = declared->ways,
	};

	return tier_config_region_type(look->config, look->space->topology, &region);
}

static const struct tier_region *find_existing(const struct look *look)
{
	const struct tier_topology *topology = look->space->topology;

	for (size_t i = 0; i < topology->region_count; i++)
		if (config_is_declared(look->rule, &topology->regions[i]))
			return &topology->regions[i];
	return NULL;
}

static int plan_one(struct look *look)
{
	struct tier_declared *declared = look->declared;
	const struct tier_region *existing = find_existing(look);
	uint64_t start = TIER_UNKNOWN_U64;

	copy_string(declared->name, sizeof(declared->name), look->rule->name);
	declared->ways = look->rule->create.count;
	declared->bytes = look->rule->size_bytes;
	declared->granularity_bytes = look->rule->granularity_bytes;
	memcpy(declared->serials, look->rule->create.serials, sizeof(declared->serials));
	/* A region outlives the driver of its device for a moment: what is missing is said first. */
	if (!find_devices(look))
		return 0;
	if (existing) {
		judge_existing(look, existing);
		declared->type = wanted_type(look);
		return 0;
	}
	if (is_obstructed(look) || !devices_are_large_enough(look))
		return 0;
	declared->type = wanted_type(look);
	if (would_be_onlined(look))
		return 0;
	find_window(look, &start);
	if (declared->state != TIER_DECLARED_CREATE)
		return 0;
	return space_take(look->space, look->rule->name, start, declared->bytes, &look->members);
}

int tier_declared_plan(const struct tier_config *config, const struct tier_topology *topology,
		       struct tier_declared **ret, size_t *ret_count)
{
	_cleanup_free_ struct tier_declared *all = calloc(config->region_count + 1, sizeof(*all));
	_cleanup_(space_done) struct space space = {};
	size_t count = 0;
	int r = all ? space_init(&space, topology) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < config->region_count; i++) {
		struct look look = {
			.config = config,
			.rule = &config->regions[i],
			.space = &space,
			.declared = &all[count],
		};

		if (look.rule->create.count == 0)
			continue;
		count++;
		r = plan_one(&look);
	}
	if (r < 0)
		return r;
	*ret = TAKE(all);
	*ret_count = count;
	return 0;
}

const char *tier_declared_state_name(enum tier_declared_state state)
{
	static const char *const names[] = {
		[TIER_DECLARED_EXISTS] = "exists",
		[TIER_DECLARED_CREATE] = "create",
		[TIER_DECLARED_WAITS] = "waits",
		[TIER_DECLARED_REFUSED] = "refused",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static int build_one(const struct tier_declared *d, sd_json_variant **array)
{
	_cleanup_json_ sd_json_variant *memdevs = NULL;
	int r = sd_json_variant_new_array(&memdevs, NULL, 0);

	for (unsigned i = 0; r >= 0 && i < d->ways; i++)
		r = sd_json_variant_append_arraybo(&memdevs, JSON_TEXT("name", d->memdevs[i]),
						   JSON_U64("serial", d->serials[i]));
	if (r < 0)
		return r;
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_STRING("name", d->name),
		SD_JSON_BUILD_PAIR_STRING("state", tier_declared_state_name(d->state)),
		JSON_TEXT("region", d->region), JSON_TEXT("window", d->window),
		JSON_U64("bytes", d->bytes ?: TIER_UNKNOWN_U64),
		SD_JSON_BUILD_PAIR_UNSIGNED("interleave_ways", d->ways),
		JSON_U64("interleave_granularity_bytes", d->granularity_bytes ?: TIER_UNKNOWN_U64),
		JSON_MEMORY_TYPE("type", d->type), SD_JSON_BUILD_PAIR_VARIANT("memdevs", memdevs),
		JSON_TEXT("reason", d->problem.text), JSON_TEXT("next", d->problem.next));
}

int tier_declared_to_json(const struct tier_declared *declared, size_t count, char **ret_json)
{
	_cleanup_json_ sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < count; i++)
		r = build_one(&declared[i], &array);
	return r < 0 ? r : json_format(array, ret_json);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include "topology.h"

/*
 * Every element is built by one function of this form, and append() collects them. The keys are
 * the names of the fields, so that the header documents the JSON as well.
 */
typedef int (*element_fn)(const void *element, sd_json_variant **ret);

static int array_of(const void *elements, size_t count, size_t bytes, element_fn build,
		    sd_json_variant **ret)
{
	_cleanup_json_ sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		_cleanup_json_ sd_json_variant *element = NULL;

		r = build((const char *)elements + i * bytes, &element);
		if (r >= 0)
			r = sd_json_variant_append_array(&array, element);
	}
	if (r < 0)
		return r;
	*ret = TAKE(array);
	return 0;
}

static int build_distance(const void *element, sd_json_variant **ret)
{
	const struct tier_node_distance *d = element;

	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_INTEGER("node", d->node),
			      SD_JSON_BUILD_PAIR_UNSIGNED("distance", d->distance));
}

static int build_node(const void *element, sd_json_variant **ret)
{
	const struct tier_node *n = element;
	_cleanup_json_ sd_json_variant *distances = NULL;
	int r = array_of(n->distances, n->distance_count, sizeof(*n->distances), build_distance,
			 &distances);

	if (r < 0)
		return r;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_INTEGER("id", n->id),
		SD_JSON_BUILD_PAIR_BOOLEAN("online", n->online),
		SD_JSON_BUILD_PAIR_BOOLEAN("has_cpu", n->has_cpu),
		SD_JSON_BUILD_PAIR_BOOLEAN("has_memory", n->has_memory),
		SD_JSON_BUILD_PAIR_CONDITION(!!n->cpus, "cpus", SD_JSON_BUILD_STRING(n->cpus)),
		SD_JSON_BUILD_PAIR_CONDITION(!n->cpus, "cpus", SD_JSON_BUILD_NULL),
		JSON_U64("total_bytes", n->total_bytes), JSON_U64("free_bytes", n->free_bytes),
		JSON_U64("present_kernel_bytes", n->present_kernel_bytes),
		JSON_U64("present_movable_bytes", n->present_movable_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("cma_bytes", n->cma_bytes),
		JSON_U64("read_latency_nsec", n->read_latency_nsec),
		JSON_U64("write_latency_nsec", n->write_latency_nsec),
		JSON_U64("read_bandwidth_mbps", n->read_bandwidth_mbps),
		JSON_U64("write_bandwidth_mbps", n->write_bandwidth_mbps),
		JSON_U64("cpu_read_bandwidth_mbps", n->cpu_read_bandwidth_mbps),
		JSON_U64("cpu_write_bandwidth_mbps", n->cpu_write_bandwidth_mbps),
		JSON_NODE("interleave_weight", n->interleave_weight), JSON_NODE("tier", n->tier),
		JSON_MEMORY_TYPE("type", n->type),
		SD_JSON_BUILD_PAIR_BOOLEAN("type_by_kernel", n->type_by_kernel),
		SD_JSON_BUILD_PAIR_VARIANT("distances", distances));
}

static int build_block(const void *element, sd_json_variant **ret)
{
	const struct tier_block *b = element;

	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("index", b->index),
			      SD_JSON_BUILD_PAIR_STRING("state", tier_block_state_name(b->state)),
			      JSON_ZONE("zone", b->zone), JSON_NODE("node", b->node),
			      SD_JSON_BUILD_PAIR_BOOLEAN("removable", b->removable),
			      SD_JSON_BUILD_PAIR_BOOLEAN("can_movable", b->can_movable),
			      SD_JSON_BUILD_PAIR_BOOLEAN("can_kernel", b->can_kernel));
}

static int build_memdev(const void *element, sd_json_variant **ret)
{
	const struct tier_memdev *m = element;
	_cleanup_json_ sd_json_variant *ports = NULL;
	int r = sd_json_variant_new_array(&ports, NULL, 0);

	for (unsigned i = 0; r >= 0 && i < m->port_count; i++)
		r = sd_json_variant_append_arrayb(&ports, SD_JSON_BUILD_STRING(m->ports[i]));
	if (r < 0)
		return r;
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", m->name),
			      SD_JSON_BUILD_PAIR_STRING("host", m->host),
			      JSON_U64("serial", m->serial), JSON_U64("ram_bytes", m->ram_bytes),
			      JSON_U64("ram_free_bytes", m->ram_free_bytes),
			      JSON_U64("pmem_bytes", m->pmem_bytes), JSON_NODE("node", m->node),
			      SD_JSON_BUILD_PAIR_BOOLEAN("enabled", m->enabled),
			      SD_JSON_BUILD_PAIR_BOOLEAN("behind_switch", m->behind_switch),
			      SD_JSON_BUILD_PAIR_VARIANT("ports", ports));
}

static int build_port(const void *element, sd_json_variant **ret)
{
	const struct tier_port *p = element;

	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", p->name),
			      JSON_NODE("target", p->target), JSON_NODE("decoders", p->decoders),
			      JSON_NODE("free_decoders", p->free_decoders));
}

static int build_window(const void *element, sd_json_variant **ret)
{
	const struct tier_window *w = element;
	_cleanup_json_ sd_json_variant *targets = NULL;
	int r = sd_json_variant_new_array(&targets, NULL, 0);

	for (unsigned i = 0; r >= 0 && i < w->target_count; i++)
		r = sd_json_variant_append_arrayb(&targets, SD_JSON_BUILD_INTEGER(w->targets[i]));
	if (r < 0)
		return r;
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", w->name),
			      JSON_U64("start", w->start), JSON_U64("bytes", w->bytes),
			      JSON_U64("available_bytes", w->available_bytes),
			      SD_JSON_BUILD_PAIR_BOOLEAN("volatile_capable", w->volatile_capable),
			      SD_JSON_BUILD_PAIR_BOOLEAN("pmem_capable", w->pmem_capable),
			      SD_JSON_BUILD_PAIR_UNSIGNED("interleave_ways", w->interleave_ways),
			      SD_JSON_BUILD_PAIR_UNSIGNED("interleave_granularity_bytes",
							  w->interleave_granularity_bytes),
			      SD_JSON_BUILD_PAIR_VARIANT("targets", targets));
}

static int build_region(const void *element, sd_json_variant **ret)
{
	const struct tier_region *g = element;
	_cleanup_json_ sd_json_variant *memdevs = NULL;
	int r = sd_json_variant_new_array(&memdevs, NULL, 0);

	for (size_t i = 0; r >= 0 && i < g->memdev_count; i++)
		r = sd_json_variant_append_arraybo(
			&memdevs, SD_JSON_BUILD_PAIR_STRING("name", g->memdevs[i]),
			JSON_U64("serial", g->serials[i]), JSON_U64("dpa_start", g->dpa_starts[i]));
	if (r < 0)
		return r;
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", g->name),
			      SD_JSON_BUILD_PAIR_STRING("window", g->window),
			      JSON_TEXT("uuid", g->uuid), JSON_U64("start", g->start),
			      JSON_U64("bytes", g->bytes),
			      SD_JSON_BUILD_PAIR_BOOLEAN("committed", g->committed),
			      SD_JSON_BUILD_PAIR_STRING("mode", g->mode),
			      SD_JSON_BUILD_PAIR_UNSIGNED("interleave_ways", g->interleave_ways),
			      SD_JSON_BUILD_PAIR_UNSIGNED("interleave_granularity_bytes",
							  g->interleave_granularity_bytes),
			      JSON_NODE("target_node", g->target_node),
			      SD_JSON_BUILD_PAIR_BOOLEAN("shares_node", g->shares_node),
			      JSON_MEMORY_TYPE("type", g->type),
			      SD_JSON_BUILD_PAIR_BOOLEAN("type_by_kernel", g->type_by_kernel),
			      SD_JSON_BUILD_PAIR_VARIANT("memdevs", memdevs));
}

static int build_dax(const void *element, sd_json_variant **ret)
{
	const struct tier_dax *d = element;

	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("name", d->name), JSON_TEXT("region", d->region),
		SD_JSON_BUILD_PAIR_STRING("mode", tier_dax_mode_name(d->mode)),
		JSON_U64("start", d->start), JSON_U64("bytes", d->bytes),
		JSON_U64("align_bytes", d->align_bytes), JSON_NODE("target_node", d->target_node),
		SD_JSON_BUILD_PAIR_BOOLEAN("memmap_on_memory", d->memmap_on_memory),
		JSON_TEXT("state", d->state));
}

static int build_number(const void *element, sd_json_variant **ret)
{
	return sd_json_variant_new_unsigned(ret, *(const uint64_t *)element);
}

static int build_hotplug(const struct tier_hotplug *h, sd_json_variant **ret)
{
	return sd_json_buildo(ret, JSON_TEXT("auto_online", h->auto_online),
			      JSON_TEXT("online_policy", h->online_policy),
			      SD_JSON_BUILD_PAIR_UNSIGNED("ratio_percent", h->ratio_percent),
			      SD_JSON_BUILD_PAIR_BOOLEAN("numa_aware", h->numa_aware),
			      SD_JSON_BUILD_PAIR_BOOLEAN("memmap_on_memory", h->memmap_on_memory),
			      SD_JSON_BUILD_PAIR_BOOLEAN("init_on_free", h->init_on_free),
			      SD_JSON_BUILD_PAIR_BOOLEAN("demotion", h->demotion),
			      JSON_NODE("numa_balancing", h->numa_balancing),
			      SD_JSON_BUILD_PAIR_BOOLEAN("dax_held", h->dax_held),
			      JSON_NODE("auto_weights", h->auto_weights));
}

int tier_topology_to_json(const struct tier_topology *t, char **ret_json)
{
	_cleanup_json_ sd_json_variant *hotplug = NULL, *nodes = NULL, *blocks = NULL,
				       *memdevs = NULL, *windows = NULL, *regions = NULL,
				       *daxs = NULL, *ports = NULL, *retired = NULL, *whole = NULL;
	int r = build_hotplug(&t->hotplug, &hotplug);

	if (r >= 0)
		r = array_of(t->nodes, t->node_count, sizeof(*t->nodes), build_node, &nodes);
	if (r >= 0)
		r = array_of(t->blocks, t->block_count, sizeof(*t->blocks), build_block, &blocks);
	if (r >= 0)
		r = array_of(t->memdevs, t->memdev_count, sizeof(*t->memdevs), build_memdev,
			     &memdevs);
	if (r >= 0)
		r = array_of(t->ports, t->port_count, sizeof(*t->ports), build_port, &ports);
	if (r >= 0)
		r = array_of(t->windows, t->window_count, sizeof(*t->windows), build_window,
			     &windows);
	if (r >= 0)
		r = array_of(t->regions, t->region_count, sizeof(*t->regions), build_region,
			     &regions);
	if (r >= 0)
		r = array_of(t->daxs, t->dax_count, sizeof(*t->daxs), build_dax, &daxs);
	if (r >= 0)
		r = array_of(t->retired_blocks, t->retired_block_count, sizeof(*t->retired_blocks),
			     build_number, &retired);
	if (r >= 0)
		r = sd_json_buildo(&whole, SD_JSON_BUILD_PAIR_STRING("kernel", t->kernel),
				   SD_JSON_BUILD_PAIR_STRING("hostname", t->hostname),
				   SD_JSON_BUILD_PAIR_UNSIGNED("page_bytes", t->page_bytes),
				   SD_JSON_BUILD_PAIR_UNSIGNED("block_bytes", t->block_bytes),
				   SD_JSON_BUILD_PAIR_VARIANT("hotplug", hotplug),
				   SD_JSON_BUILD_PAIR_VARIANT("windows", windows),
				   SD_JSON_BUILD_PAIR_VARIANT("memdevs", memdevs),
				   SD_JSON_BUILD_PAIR_VARIANT("ports", ports),
				   SD_JSON_BUILD_PAIR_VARIANT("regions", regions),
				   SD_JSON_BUILD_PAIR_VARIANT("daxs", daxs),
				   SD_JSON_BUILD_PAIR_VARIANT("nodes", nodes),
				   SD_JSON_BUILD_PAIR_VARIANT("blocks", blocks),
				   SD_JSON_BUILD_PAIR_VARIANT("retired_blocks", retired),
				   JSON_TEXT("retired_problem", t->retired_problem.text));
	return r < 0 ? r : json_format(whole, ret_json);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "metrics.h"

/* What can be counted: docs/metrics.md. Nothing here is kept over a restart. */

#define ADD(metrics, value, ...) TIER_METRICS_ADD(metrics, value, __VA_ARGS__)
#define FAMILY(metrics, ...)	 tier_metrics_family(metrics, &(struct tier_metric){__VA_ARGS__})

int metrics_start(struct manager *manager)
{
	manager->metrics = calloc(1, sizeof(*manager->metrics));
	if (!manager->metrics)
		return -ENOMEM;
	manager->metrics->started_usec = manager_now_usec();
	manager->metrics->stale = true;
	return 0;
}

void metrics_free(struct manager *manager)
{
	if (!manager->metrics)
		return;
	metrics_file_stop(manager);
	tier_topology_free(manager->metrics->topology);
	free(manager->metrics->stats);
	free(manager->metrics);
	manager->metrics = NULL;
}

void metrics_look(struct manager *manager)
{
	manager->metrics->stale = true;
	metrics_file_look(manager);
}

void metrics_tiering(struct manager *manager, const struct tier_tiering_counts *counts)
{
	struct metrics *metrics = manager->metrics;

	if (!metrics)
		return;
	if (counts) {
		metrics->running = *counts;
		return;
	}
	tier_tiering_counts_add(&metrics->ended, &metrics->running);
	metrics->running = (struct tier_tiering_counts){};
}

/* Memory tiers are not read again and again: see tier_topology_read_tiers(). */
static int read_topology(struct manager *manager, struct tier_problem *problem)
{
	struct metrics *metrics = manager->metrics;
	struct tier_topology *topology;
	int r = tier_topology_read(manager->options.sysroot, &topology, problem);

	if (r != 0)
		return r;
	if (!tier_topology_keep_tiers(topology, metrics->topology) && !manager->offline)
		(void)tier_topology_read_tiers(manager->options.sysroot, topology);
	tier_config_types(manager->config, topology);
	tier_topology_free(metrics->topology);
	metrics->topology = topology;
	metrics->stale = false;
	return 0;
}

static int look_at_nodes(struct manager *manager, struct tier_problem *problem)
{
	struct metrics *metrics = manager->metrics;
	struct tier_node_stat *stats;
	size_t count;
	int r = metrics->topology ? 0 : read_topology(manager, problem);

	r = r
		    ?: tier_node_stats_read(manager->options.sysroot, metrics->topology->page_bytes,
					    &stats, &count, problem);
	if (r != 0)
		return r;
	if (metrics->stats &&
	    !tier_node_stats_same(stats, count, metrics->stats, metrics->stat_count))
		metrics->stale = true;
	free(metrics->stats);
	metrics->stats = stats;
	metrics->stat_count = count;
	return metrics->stale ? read_topology(manager, problem) : 0;
}

static void add_daemon(struct manager *manager, struct tier_metrics *metrics)
{
	FAMILY(metrics, .kind = TIER_METRIC_INFO, .name = "cxltier_daemon",
	       .help = "cxl-tierd, which counts since its start.");
	ADD(metrics, 1, {"version", TIER_VERSION});
	FAMILY(metrics, .name = "cxltier_daemon_start_time_seconds", .unit = "seconds",
	       .help = "When cxl-tierd started, in seconds since 1970.");
	tier_metrics_add(metrics, manager->metrics->started_usec, NULL, 0);
}

static void add_tiering(struct manager *manager, struct tier_metrics *metrics)
{
	struct tier_tiering_counts counts = manager->metrics->ended;

	FAMILY(metrics, .name = "cxltier_tiering_active",
	       .help = "1 while the process that moves pages for Tier=auto is there.");
	tier_metrics_add(metrics, tiering_active(manager), NULL, 0);
	tier_tiering_counts_add(&counts, &manager->metrics->running);
	tier_metrics_tiering(metrics, &counts, manager->metrics->started_usec);
}

static void add_events(struct manager *manager, struct tier_metrics *metrics)
{
	const char *kind;
	uint64_t count;

	FAMILY(metrics, .kind = TIER_METRIC_COUNTER, .name = "cxltier_events",
	       .help = "Errors of memory, devices that came or went, and what was done about it, "
		       "as "
		       "in tierctl events, since cxl-tierd started.",
	       .created_usec = manager->metrics->started_usec);
	for (size_t i = 0; (kind = events_kind(manager, i, &count)); i++)
		ADD(metrics, count, {"kind", kind});
	/* What has not happened yet: of one that is there already nothing is kept. */
	for (unsigned k = TIER_RAS_POISON; k <= TIER_RAS_LOST; k++)
		ADD(metrics, 0, {"kind", tier_ras_kind_name((enum tier_ras_kind)k)});
	ADD(metrics, 0, {"kind", "retired"});
	ADD(metrics, 0, {"kind", "retire-failed"});
}

static const char *text_of(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value && sd_json_variant_is_string(value) ? sd_json_variant_string(value) : "";
}

static size_t count_of(sd_json_variant *array, const char *path, const char *key, const char *word)
{
	size_t count = 0;

	for (size_t i = 0; i < sd_json_variant_elements(array); i++) {
		sd_json_variant *object = sd_json_variant_by_index(array, i);
		const char *state = text_of(object, key);

		if (path && !streq(text_of(object, "portalPath"), path))
			continue;
		/* Of a flight whose record is damaged no state is told. */
		count += streq(state[0] ? state : "damaged", word);
	}
	return count;
}

static void add_extents(struct tier_metrics *metrics, sd_json_variant *portal)
{
	static const struct {
		const char *state, *key;
	} states[] = {
		{"free", "freeExtents"},
		{"claimed", "claimedExtents"},
		{"scrub", "scrubExtents"},
		{"retired", "retiredExtents"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		sd_json_variant *value = sd_json_variant_by_key(portal, states[i].key);

		if (value && sd_json_variant_is_unsigned(value))
			ADD(metrics, sd_json_variant_unsigned(value),
			    {"portal", text_of(portal, "name")}, {"path", text_of(portal, "path")},
			    {"state", states[i].state});
	}
}

static int add_portals(struct manager *manager, struct tier_metrics *metrics)
{
	static const char *const states[] = {"usable",	     "foreign",	  "unformatted", "damaged",
					     "incompatible", "truncated", "unreadable"};
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *portals = NULL;
	int r = portals_to_json(manager, &portals);

	if (r < 0)
		return r;
	FAMILY(metrics, .name = "cxltier_portals",
	       .help = "Portals that this host sees, by what they are to it.");
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		ADD(metrics, count_of(portals, NULL, "state", states[i]), {"state", states[i]});
	FAMILY(metrics, .name = "cxltier_portal_extents",
	       .help = "This host's extents of a portal, by what has them.");
	for (size_t i = 0; i < sd_json_variant_elements(portals); i++)
		add_extents(metrics, sd_json_variant_by_index(portals, i));
	return 0;
}

static int add_flights(struct manager *manager, struct tier_metrics *metrics)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *flights = NULL;
	int r = flights_to_json(manager, &flights);

	if (r < 0)
		return r;
	FAMILY(metrics, .name = "cxltier_flights",
	       .help = "Flights of every host of a portal, by the last step that their source has "
		       "stored; those that are over stay until their slot is used again.");
	for (struct portal *portal = manager->portals; portal; portal = portal->next) {
		const char *name = portal->super.name;

		if (portal->code != 0)
			continue;
		for (unsigned s = TIER_FLIGHT_REQUESTED; s <= TIER_FLIGHT_CLOSED; s++) {
			const char *state = tier_flight_state_name((enum tier_flight_state)s);

			ADD(metrics, count_of(flights, portal->path, "sourceState", state),
			    {"portal", name}, {"path", portal->path}, {"state", state});
		}
		ADD(metrics, count_of(flights, portal->path, "sourceState", "damaged"),
		    {"portal", name}, {"path", portal->path}, {"state", "damaged"});
	}
	return 0;
}

static int collect(struct manager *manager, struct tier_metrics *metrics,
		   struct tier_problem *problem)
{
	int r = 0;

	if (tier_metrics_wanted(metrics, "cxltier_daemon"))
		add_daemon(manager, metrics);
	if (tier_metrics_wanted(metrics, "cxltier_node_") ||
	    tier_metrics_wanted(metrics, "cxltier_memory_tier_")) {
		r = look_at_nodes(manager, problem);
		if (r != 0)
			return r;
		tier_metrics_nodes(metrics, manager->metrics->topology, manager->metrics->stats,
				   manager->metrics->stat_count);
	}
	add_tiering(manager, metrics);
	if (tier_metrics_wanted(metrics, "cxltier_portal"))
		r = add_portals(manager, metrics);
	if (r == 0 && tier_metrics_wanted(metrics, "cxltier_flights"))
		r = add_flights(manager, metrics);
	if (tier_metrics_wanted(metrics, "cxltier_events"))
		add_events(manager, metrics);
	/* An unreadable list is no empty one. */
	if (manager->retired && !manager->retired_code)
		tier_metrics_retired(metrics, manager->retired);
	return r == 0 ? 0 : tier_problem_set(problem, r, "metrics", NULL, "cannot collect them");
}

int metrics_collect(struct manager *manager, const char *only, struct tier_metrics **ret,
		    struct tier_problem *problem)
{
	struct tier_metrics *metrics;
	int r = tier_metrics_new(only, &metrics);

	if (r < 0)
		return tier_problem_set(problem, r, "metrics", NULL, "cannot collect them");
	r = collect(manager, metrics, problem);
	if (r != 0) {
		tier_metrics_free(metrics);
		return r;
	}
	*ret = metrics;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl calibrate */
#include <limits.h>
#include <time.h>

#include "client.h"
#include "tool.h"

#define ROUNDS 5
/* Each pair: so many rounds of streaming, and as many of chasing. */
#define DEFAULT_SECONDS_PER_PAIR 2
#define SHORTEST_ROUND_USEC	 1000
/* What a node keeps free beside the buffer. */
#define SPARE_BYTES (UINT64_C(64) << 20)

struct options {
	const char *nodes;
	uint64_t seconds;
	bool typed, force, dry_run;
};

struct chosen {
	int nodes[TIER_CALIBRATION_NODES_MAX];
	size_t count;
	size_t cpu_nodes;
};

static uint64_t realtime_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* "0,2-3" */
static bool is_listed(const char *list, int node)
{
	for (const char *p = list; *p;) {
		char *end;
		long first = strtol(p, &end, 10),
		     last = *end == '-' ? strtol(end + 1, &end, 10) : first;

		if (node >= first && node <= last)
			return true;
		p = *end == ',' ? end + 1 : "";
	}
	return false;
}

static int check_list(const char *list, const struct tier_topology *topology)
{
	const char *p = list;

	while (*p >= '0' && *p <= '9') {
		char *end;
		long first = strtol(p, &end, 10), last = first;

		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			last = strtol(end + 1, &end, 10);
		if (last < first || last > INT_MAX || (*end && *end != ','))
			break;
		for (long node = first; node <= last; node++) {
			const struct tier_node *found = tier_topology_node(topology, (int)node);

			if (!found || !found->has_memory)
				return tool_fail_text("calibrate", "tierctl list nodes",
						      "node %ld has no memory", node);
		}
		if (!*end)
			return TOOL_OK;
		p = end + 1;
	}
	return tool_usage("calibrate: --nodes takes nodes such as 0,2-3, not \"%s\"", list);
}

/* Which nodes' memory is measured; others see that of typed ones, and would be disturbed. */
static int choose(const struct options *options, const struct tier_topology *topology,
		  struct chosen *chosen)
{
	int r = options->nodes ? check_list(options->nodes, topology) : TOOL_OK;

	for (size_t i = 0; r == 0 && i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];
		bool typed = node->type > TIER_MEMORY_LOCAL;

		chosen->cpu_nodes += node->has_cpu;
		if (!node->has_memory || (options->nodes ? !is_listed(options->nodes, node->id)
							 : typed && !options->typed))
			continue;
		if (typed && !options->typed)
			return tool_fail_text("calibrate", "--typed measures it all the same",
					      "node %d is %s memory, which other hosts see",
					      node->id, tier_memory_type_name(node->type));
		if (chosen->count == TIER_CALIBRATION_NODES_MAX)
			return tool_fail_text("calibrate", "--nodes", "more than %d nodes",
					      TIER_CALIBRATION_NODES_MAX);
		chosen->nodes[chosen->count++] = node->id;
	}
	for (size_t i = 0; r == 0 && i < topology->node_count; i++)
		if (topology->nodes[i].has_cpu && !topology->nodes[i].cpus)
			return tool_fail_text("calibrate", "tierctl list nodes",
					      "the CPUs of node %d cannot be read from "
					      "/sys/devices/system/node/node%d/cpulist",
					      topology->nodes[i].id, topology->nodes[i].id);
	if (r == 0 && (chosen->count == 0 || chosen->cpu_nodes == 0))
		r = tool_fail_text("calibrate", "tierctl list nodes",
				   "there is no node with memory to be measured");
	return r;
}

/* The buffer of the CPUs that need the largest. */
static uint64_t bytes_needed(const struct tier_topology *topology)
{
	uint64_t most = 0;

	for (size_t i = 0; i < topology->node_count; i++) {
		uint64_t bytes;

		if (!topology->nodes[i].has_cpu)
			continue;
		bytes = tier_measure_bytes(tool_common.sysroot, topology, topology->nodes[i].id);
		most = bytes > most ? bytes : most;
	}
	return most + SPARE_BYTES;
}

static int check_room(const struct tier_topology *topology, const struct chosen *chosen)
{
	uint64_t needed = bytes_needed(topology);
	char has[16], needs[16];

	for (size_t i = 0; i < chosen->count; i++) {
		const struct tier_node *node = tier_topology_node(topology, chosen->nodes[i]);

		if (node->free_bytes != TIER_UNKNOWN_U64 && node->free_bytes >= needed)
			continue;
		tool_bytes(has, node->free_bytes == TIER_UNKNOWN_U64 ? 0 : node->free_bytes);
		return tool_fail_text("calibrate", "free some, or leave it out with --nodes",
				      "node %d has %s of free memory, and %s are needed", node->id,
				      has, tool_bytes(needs, needed));
	}
	return TOOL_OK;
}

static int check_busy(const struct options *options)
{
	struct tier_load load;
	char why[160];

	if (options->force || tier_load_read(tool_common.sysroot, &load) < 0 ||
	    !tier_load_busy(&load, why))
		return TOOL_OK;
	return tool_fail_text("calibrate", "wait, or --force",
			      "this machine is busy, and others would be measured, too: %s", why);
}

static int on_progress(void *userdata, uint64_t done, uint64_t total)
{
	tool_progress_update(userdata, done, total, "rounds");
	return tool_interrupted();
}

static int print_result(const struct tier_calibration *calibration)
{
	static const char *const columns[] = {"CPUS OF", "NODE",    "READ",  "SPREAD",
					      "LATENCY", "SPREAD ", "PAGES", "ROUNDS"};
	struct tool_table *table;
	int r = tool_table_new(&table, columns, sizeof(columns) / sizeof(columns[0]), "rrrrrrlr");

	for (size_t i = 0; r == 0 && i < calibration->pair_count; i++) {
		const struct tier_calibration_pair *pair = &calibration->pairs[i];
		char cpus[16], node[16], read[32], spread[16], latency[32], jitter[16], rounds[16];

		snprintf(cpus, sizeof(cpus), "%d", pair->cpu_node);
		snprintf(node, sizeof(node), "%d", pair->node);
		snprintf(read, sizeof(read), "%" PRIu64 " MB/s", pair->read_mbps);
		snprintf(spread, sizeof(spread), "%u.%u %%", pair->read_spread_permille / 10,
			 pair->read_spread_permille % 10);
		snprintf(latency, sizeof(latency), "%" PRIu64 ".%" PRIu64 " ns",
			 pair->latency_psec / 1000, pair->latency_psec % 1000 / 100);
		snprintf(jitter, sizeof(jitter), "%u.%u %%", pair->latency_spread_permille / 10,
			 pair->latency_spread_permille % 10);
		snprintf(rounds, sizeof(rounds), "%u", pair->rounds);
		r = tool_table_row(table, cpus, node, read, spread, latency, jitter,
				   pair->huge_pages ? "huge" : "small", rounds);
	}
	if (r < 0)
		return r;
	tool_table_print(table);
	tool_table_free(table);
	return 0;
}

static int report(const struct tier_calibration *calibration)
{
	char *text = NULL;
	int r = tool_common.json ? tier_calibration_format(calibration, &text)
				 : print_result(calibration);

	if (r == 0 && text)
		fputs(text, stdout);
	free(text);
	if (r < 0)
		return tool_fail_text("calibrate", NULL, "cannot print: %s", tier_strerror(r));
	fflush(stdout);
	return TOOL_OK;
}

/* What becomes of the result; whoever is not there reads it when it starts. */
static int apply(void)
{
	sd_json_variant *reply = NULL, *reason;
	int r;

	if (!client_daemon_running())
		return TOOL_OK;
	r = client_call("ApplyWeights", NULL, &reply);
	if (r)
		return r;
	reason = sd_json_variant_by_key(reply, "reason");
	if (!sd_json_variant_boolean(sd_json_variant_by_key(reply, "calibrated")))
		fprintf(stderr,
			"tierctl: calibrate: stored, and no weight is set by it: %s; "
			"tierctl weights\n",
			reason ? sd_json_variant_string(reason) : "cxl-tierd does not say why");
	sd_json_variant_unref(reply);
	return TOOL_OK;
}

static int run(const struct options *options, const struct tier_topology *topology,
	       const struct chosen *chosen, const struct tier_machine_identity *identity)
{
	size_t pairs = chosen->count * chosen->cpu_nodes;
	uint64_t seconds = options->seconds ?: pairs * DEFAULT_SECONDS_PER_PAIR;
	uint64_t round_usec = seconds * 1000000 / (pairs * ROUNDS * 2);
	struct tool_progress progress = {.label = "calibrating"};
	struct tier_calibrate_request request = {
		.topology = topology,
		.identity = identity,
		.nodes = chosen->nodes,
		.node_count = chosen->count,
		.rounds = ROUNDS,
		.made_usec = realtime_usec(),
		.progress = on_progress,
		.userdata = &progress,
	};
	struct tier_calibrate_backend backend;
	struct tier_calibration *calibration = NULL;
	struct tier_measure *measure;
	struct tier_problem problem = {};
	int r;

	if (round_usec < SHORTEST_ROUND_USEC)
		return tool_usage("calibrate: --for %" PRIu64 " is too short for %zu pairs",
				  seconds, pairs);
	r = tier_measure_new(topology, round_usec, &measure, &backend);
	if (r < 0)
		return tool_fail_text("calibrate", NULL, "%s", tier_strerror(r));
	tool_catch_interrupt();
	r = tier_calibrate(&request, &backend, &calibration, &problem);
	tool_progress_end(&progress);
	tier_measure_free(measure);
	if (r == 0)
		r = tier_calibration_store(NULL, calibration, &problem);
	if (r)
		return tool_fail(&problem);
	r = report(calibration);
	tier_calibration_free(calibration);
	return r == 0 ? apply() : r;
}

static void print_list(const int *nodes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%s%d", i ? "," : "", nodes[i]);
}

static int say(const struct chosen *chosen, const struct tier_topology *topology)
{
	uint64_t bytes = bytes_needed(topology);
	bool first = true;
	char size[16];

	printf(tool_common.json ? "{\"nodes\":[" : "Would measure the memory of node ");
	print_list(chosen->nodes, chosen->count);
	printf(tool_common.json ? "],\"cpu_nodes\":[" : " from the CPUs of node ");
	for (size_t i = 0; i < topology->node_count; i++) {
		if (!topology->nodes[i].has_cpu)
			continue;
		printf("%s%d", first ? "" : ",", topology->nodes[i].id);
		first = false;
	}
	if (tool_common.json)
		printf("],\"bytes\":%" PRIu64 ",\"dry_run\":true}\n", bytes);
	else
		printf(", with %s of each.\n", tool_bytes(size, bytes));
	return TOOL_OK;
}

int cmd_calibrate(int argc, char **argv)
{
	struct options options = {};
	const struct tool_option table[] = {
		{"nodes", "LIST", "whose memory, such as 0,2-3; default: all but typed ones",
		 TOOL_STRING, &options.nodes},
		{"for", "SEC", "how long all of it takes; default: 2 for each pair", TOOL_NUMBER,
		 &options.seconds},
		{"typed", NULL, "also memory that other hosts see", TOOL_FLAG, &options.typed},
		{"force", NULL, "also if the machine is busy", TOOL_FLAG, &options.force},
		{"dry-run", NULL, "check, and measure nothing", TOOL_FLAG, &options.dry_run},
	};
	struct tier_machine_identity identity;
	struct chosen chosen = {};
	struct tier_topology *topology;
	struct tier_config *config;
	struct tier_problem problem;
	int r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 0, 0, NULL, NULL);
	if (r)
		return r;
	if (options.seconds > 86400)
		return tool_usage("calibrate: --for takes at most a day, 86400 seconds");
	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0 && !options.dry_run)
		return tool_fail_text("calibrate", "--dry-run", "a dump cannot be measured");
	r = tool_topology(&topology);
	if (r)
		return r;
	r = tool_config(&config);
	if (r == 0) {
		tier_config_types(config, topology);
		tier_config_free(config);
		r = choose(&options, topology, &chosen);
	}
	if (r == 0)
		r = check_room(topology, &chosen);
	if (r == 0)
		r = check_busy(&options);
	if (r == 0 && !options.dry_run &&
	    tier_machine_identity_read(tool_common.sysroot, &identity, &problem) != 0)
		r = tool_fail(&problem);
	if (r == 0)
		r = options.dry_run ? say(&chosen, topology)
				    : run(&options, topology, &chosen, &identity);
	tier_topology_free(topology);
	return r;
}

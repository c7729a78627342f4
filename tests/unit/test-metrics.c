/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Metrics: what the kernel's text says, families and labels, and the dialects. */
#include "fixture.h"
#include "metrics.h"
#include "topology.h"

static struct tier_metrics *page(void)
{
	struct tier_metrics *metrics;

	CHECK_EQ(tier_metrics_new(NULL, &metrics), 0);
	tier_metrics_family(metrics, &(struct tier_metric){
					     .kind = TIER_METRIC_COUNTER,
					     .name = "x_moved_bytes",
					     .unit = "bytes",
					     .help = "A \"back\\slash\".",
					     .created_usec = 1700000000250000,
				     });
	TIER_METRICS_ADD(metrics, UINT64_MAX - 1, {"a", "1"}, {"b", "two"});
	tier_metrics_family(metrics, &(struct tier_metric){
					     .kind = TIER_METRIC_INFO,
					     .name = "x_build",
					     .help = "Which one.",
				     });
	TIER_METRICS_ADD(metrics, 1, {"version", "0.1"});
	tier_metrics_family(metrics, &(struct tier_metric){
					     .name = "x_empty",
					     .help = "Never seen.",
				     });
	tier_metrics_family(metrics, &(struct tier_metric){
					     .name = "x_age_seconds",
					     .unit = "seconds",
					     .help = "How old.",
				     });
	tier_metrics_add(metrics, 1500000, NULL, 0);
	return metrics;
}

TEST(openmetrics)
{
	_cleanup_metrics_ struct tier_metrics *metrics = page();
	_cleanup_free_ char *text = NULL;

	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_OPENMETRICS, &text), 0);
	CHECK_STR(text, "# HELP x_moved_bytes A \\\"back\\\\slash\\\".\n"
			"# TYPE x_moved_bytes counter\n"
			"# UNIT x_moved_bytes bytes\n"
			"x_moved_bytes_total{a=\"1\",b=\"two\"} 18446744073709551614\n"
			"x_moved_bytes_created{a=\"1\",b=\"two\"} 1700000000.250000\n"
			"# HELP x_build Which one.\n"
			"# TYPE x_build info\n"
			"x_build_info{version=\"0.1\"} 1\n"
			"# HELP x_age_seconds How old.\n"
			"# TYPE x_age_seconds gauge\n"
			"# UNIT x_age_seconds seconds\n"
			"x_age_seconds 1.500000\n"
			"# EOF\n");
}

/* Of the older format a counter's TYPE has the sample's name, and nobody knows of units, infos and creation. */
TEST(textfile)
{
	_cleanup_metrics_ struct tier_metrics *metrics = page();
	_cleanup_free_ char *text = NULL;

	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &text), 0);
	CHECK_STR(text, "# HELP x_moved_bytes_total A \"back\\\\slash\".\n"
			"# TYPE x_moved_bytes_total counter\n"
			"x_moved_bytes_total{a=\"1\",b=\"two\"} 18446744073709551614\n"
			"# HELP x_build_info Which one.\n"
			"# TYPE x_build_info gauge\n"
			"x_build_info{version=\"0.1\"} 1\n"
			"# HELP x_age_seconds How old.\n"
			"# TYPE x_age_seconds gauge\n"
			"x_age_seconds 1.500000\n");
}

TEST(json)
{
	_cleanup_metrics_ struct tier_metrics *metrics = page();
	_cleanup_free_ char *text = NULL;

	CHECK_EQ(tier_metrics_to_json(metrics, &text), 0);
	CHECK_HAS(text, "\"name\" : \"x_moved_bytes\"");
	CHECK_HAS(text, "18446744073709551614");
	CHECK_HAS(text, "\"two\"");
	CHECK(strstr(text, "x_empty") == NULL);
}

/* Whoever chose the value: it stays inside of its quotes, and the text stays ASCII. */
TEST(hostile_labels)
{
	_cleanup_metrics_ struct tier_metrics *metrics = NULL;
	_cleanup_free_ char *text = NULL;

	CHECK_EQ(tier_metrics_new(NULL, &metrics), 0);
	tier_metrics_family(metrics, &(struct tier_metric){.name = "x", .help = "h"});
	TIER_METRICS_ADD(metrics, 1, {"a", "q\"} 9\nx 3\\"}, {"b", "\x1b[2J\xff\x80é"});
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &text), 0);
	CHECK_HAS(text, "\nx{a=\"q\\\"} 9\\nx 3\\\\\",b=\"?[2J????\"} 1\n");
}

/* A reader refuses a text with the same sample twice as a whole. */
TEST(no_sample_twice)
{
	_cleanup_metrics_ struct tier_metrics *metrics = NULL;
	_cleanup_free_ char *text = NULL;

	CHECK_EQ(tier_metrics_new(NULL, &metrics), 0);
	tier_metrics_family(metrics, &(struct tier_metric){.name = "x", .help = "h"});
	TIER_METRICS_ADD(metrics, 1, {"a", "\x01"});
	TIER_METRICS_ADD(metrics, 2, {"a", "\x02"});
	TIER_METRICS_ADD(metrics, 3, {"b", "?"});
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &text), 0);
	CHECK_STR(text, "# HELP x h\n# TYPE x gauge\nx{a=\"?\"} 1\nx{b=\"?\"} 3\n");
}

/* What is not asked for is not there, whatever is added to it. */
TEST(some_only)
{
	_cleanup_metrics_ struct tier_metrics *metrics = NULL;
	_cleanup_free_ char *text = NULL;

	CHECK_EQ(tier_metrics_new("x_b", &metrics), 0);
	CHECK(tier_metrics_wanted(metrics, "x_"));
	CHECK(tier_metrics_wanted(metrics, "x_bytes"));
	CHECK(!tier_metrics_wanted(metrics, "x_a"));
	tier_metrics_family(metrics, &(struct tier_metric){.name = "x_b", .help = "h"});
	tier_metrics_add(metrics, 1, NULL, 0);
	tier_metrics_family(metrics, &(struct tier_metric){.name = "x_a", .help = "h"});
	tier_metrics_add(metrics, 2, NULL, 0);
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &text), 0);
	CHECK_STR(text, "# HELP x_b h\n# TYPE x_b gauge\nx_b 1\n");
}

static const char meminfo[] = "Node 2 MemTotal:        1048576 kB\n"
			      "Node 2 MemFree:          524288 kB\n"
			      "Node 2 MemUsed:          524288 kB\n";

TEST(node_stat)
{
	struct tier_node_stat stat;

	node_stat_parse(meminfo,
			"nr_free_pages 1\npgpromote_success 10\npgpromote_candidate_nrl 77\n"
			"pgpromote_candidate 12\npgdemote_kswapd 3\npgdemote_direct 0\n",
			4096, &stat);
	CHECK_EQ(stat.total_bytes, GIB);
	CHECK_EQ(stat.free_bytes, GIB / 2);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_PROMOTED], 40960);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_CANDIDATE], 12 * 4096);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_DEMOTED_KSWAPD], 3 * 4096);
	/* Zero, and not told. */
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_DEMOTED_DIRECT], 0);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_DEMOTED_PROACTIVE], TIER_UNKNOWN_U64);
	node_stat_parse(NULL, NULL, 4096, &stat);
	CHECK_EQ(stat.total_bytes, TIER_UNKNOWN_U64);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_PROMOTED], TIER_UNKNOWN_U64);
	node_stat_parse(meminfo, "pgpromote_success 99999999999999999999\npgdemote_direct x\n",
			4096, &stat);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_PROMOTED], TIER_UNKNOWN_U64);
	CHECK_EQ(stat.flow_bytes[TIER_FLOW_DEMOTED_DIRECT], TIER_UNKNOWN_U64);
}

TEST(stats_of_the_same_nodes)
{
	struct tier_node_stat a[] = {{.node = 0, .total_bytes = 5}, {.node = 2}}, b[2];

	memcpy(b, a, sizeof(a));
	b[0].free_bytes = 3;
	CHECK(tier_node_stats_same(a, 2, b, 2));
	CHECK(!tier_node_stats_same(a, 2, b, 1));
	b[1].total_bytes = 7;
	CHECK(!tier_node_stats_same(a, 2, b, 2));
	CHECK(tier_node_stat_find(a, 2, 2) == &a[1]);
	CHECK(tier_node_stat_find(a, 2, 1) == NULL);
}

/* Node 0 has CPUs, node 2 the Switched region2; node 3 has no memory. */
static struct tier_topology *machine(void)
{
	struct tier_topology *t;
	struct tier_node *node;

	CHECK_EQ(tier_topology_new(&t), 0);
	node = topology_add_node(t, 0);
	node->has_cpu = node->has_memory = true;
	node->type = TIER_MEMORY_LOCAL;
	node->tier = 4;
	node = topology_add_node(t, 2);
	node->has_memory = true;
	node->type = TIER_MEMORY_SWITCHED;
	node->tier = 22;
	topology_add_node(t, 3);
	topology_add_region(t, "region2")->target_node = 2;
	topology_sort(t);
	return t;
}

TEST(nodes)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	_cleanup_metrics_ struct tier_metrics *metrics = NULL;
	_cleanup_free_ char *text = NULL, *tiers = NULL;
	struct tier_node_stat stats[] = {{.node = 0}, {.node = 2}, {.node = 3}};

	node_stat_parse(meminfo, "pgpromote_success 10\npgdemote_kswapd 3\n", 4096, &stats[0]);
	node_stat_parse("MemTotal: 4 kB\nMemFree: 4 kB\n", "pgpromote_success 0\n", 4096,
			&stats[1]);
	node_stat_parse("MemTotal: 0 kB\nMemFree: 0 kB\n", NULL, 4096, &stats[2]);
	CHECK_EQ(tier_metrics_new(NULL, &metrics), 0);
	tier_metrics_nodes(metrics, t, stats, 3);
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_OPENMETRICS, &text), 0);
	CHECK_HAS(text,
		  "\ncxltier_node_size_bytes{node=\"0\",tier=\"dram\",type=\"Local\",region=\"\"} "
		  "1073741824\n");
	CHECK_HAS(text,
		  "\ncxltier_node_free_bytes{node=\"2\",tier=\"cxl\",type=\"Switched\",region="
		  "\"region2\"} 4096\n");
	CHECK_HAS(text, "\ncxltier_node_promoted_bytes_total{node=\"0\",tier=\"dram\"} 40960\n");
	CHECK_HAS(text, "\ncxltier_node_promoted_bytes_total{node=\"2\",tier=\"cxl\"} 0\n");
	CHECK_HAS(text,
		  "\ncxltier_node_demoted_bytes_total{node=\"0\",tier=\"dram\",by=\"kswapd\"} "
		  "12288\n");
	CHECK_HAS(text, "\ncxltier_memory_tier_size_bytes{memory_tier=\"4\"} 1073741824\n");
	CHECK_HAS(text, "\ncxltier_memory_tier_node_info{node=\"2\",memory_tier=\"22\"} 1\n");
	/* What has no memory has no series, and what is not counted is not 0. */
	CHECK(strstr(text, "node=\"3\"") == NULL);
	CHECK(strstr(text, "by=\"direct\"") == NULL);
	tier_metrics_free(metrics);
	CHECK_EQ(tier_metrics_new("cxltier_memory_tier_", &metrics), 0);
	tier_metrics_nodes(metrics, t, stats, 3);
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &tiers), 0);
	CHECK_HAS(tiers, "# TYPE cxltier_memory_tier_size_bytes gauge\n");
	CHECK(strstr(tiers, "cxltier_node_") == NULL);
}

/* They are not read again for nodes that stay; for one that comes, they are. */
TEST(tiers_of_before)
{
	_cleanup_topology_ struct tier_topology *before = machine(), *now = machine();

	now->nodes[0].tier = now->nodes[1].tier = TIER_UNKNOWN_INT;
	CHECK(tier_topology_keep_tiers(now, before));
	CHECK_EQ(now->nodes[0].tier, 4);
	CHECK_EQ(now->nodes[1].tier, 22);
	now->nodes[1].tier = TIER_UNKNOWN_INT;
	before->nodes[1].has_memory = false;
	CHECK(!tier_topology_keep_tiers(now, before));
	CHECK_EQ(now->nodes[1].tier, TIER_UNKNOWN_INT);
	now->nodes[1].has_memory = false;
	CHECK(tier_topology_keep_tiers(now, before));
	now->nodes[0].tier = TIER_UNKNOWN_INT;
	CHECK(!tier_topology_keep_tiers(now, NULL));
}

TEST(tiering)
{
	_cleanup_metrics_ struct tier_metrics *metrics = NULL;
	_cleanup_free_ char *text = NULL;
	struct tier_tiering_counts counts = {}, more = {};
	struct tier_tiering_step step = {.act = TIER_TIERING_PROMOTE, .reason = TIER_TIERING_HOT};
	struct tier_tiering_result result = {.moved_bytes = 8192, .elapsed_usec = 2500000};

	tier_tiering_count(&counts, &step, &result, 0);
	tier_tiering_count(&counts, &step, &result, 0);
	/* What was moved before it failed has moved. */
	result = (struct tier_tiering_result){.moved_bytes = 4096};
	tier_tiering_count(&counts, &step, &result, TIER_E_BUSY);
	step = (struct tier_tiering_step){.act = TIER_TIERING_FORGET,
					  .reason = TIER_TIERING_WANTED};
	result = (struct tier_tiering_result){.elapsed_usec = 1000};
	tier_tiering_count(&more, &step, &result, 0);
	tier_tiering_count(&more, &step, &result, -EIO);
	/* Of a measurement the window is waiting, and no work. */
	step = (struct tier_tiering_step){.act = TIER_TIERING_MEASURE,
					  .reason = TIER_TIERING_FITTING,
					  .window_usec = 2000000};
	result.elapsed_usec = 2250000;
	tier_tiering_count(&more, &step, &result, 0);
	result.elapsed_usec = 1000000;
	tier_tiering_count(&more, &step, &result, 0);
	/* No place for it: nothing else is overwritten. */
	step = (struct tier_tiering_step){.act = (enum tier_tiering_act)99};
	tier_tiering_count(&more, &step, &result, 0);
	tier_tiering_counts_add(&counts, &more);
	CHECK_EQ(tier_metrics_new(NULL, &metrics), 0);
	tier_metrics_tiering(metrics, &counts, 5000000);
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_OPENMETRICS, &text), 0);
	CHECK_HAS(text, "\ncxltier_tiering_steps_total{act=\"promote\",reason=\"hot\"} 2\n");
	CHECK_HAS(text,
		  "\ncxltier_tiering_steps_created{act=\"promote\",reason=\"hot\"} 5.000000\n");
	CHECK_HAS(text, "\ncxltier_tiering_steps_total{act=\"forget\",reason=\"wanted\"} 1\n");
	CHECK_HAS(text, "\ncxltier_tiering_step_seconds_total{act=\"measure\",reason=\"fitting\"} "
			"0.250000\n");
	CHECK_HAS(text, "\ncxltier_tiering_step_failures_total 2\n");
	CHECK_HAS(text,
		  "\ncxltier_tiering_moved_bytes_total{act=\"promote\",reason=\"hot\"} 20480\n");
	/* From the beginning, so that a first move is seen as a rise. */
	CHECK_HAS(text, "\ncxltier_tiering_moved_bytes_total{act=\"demote\",reason=\"room\"} 0\n");
	CHECK_HAS(
		text,
		"\ncxltier_tiering_step_seconds_total{act=\"promote\",reason=\"hot\"} 5.000000\n");
	CHECK(strstr(text, "moved_bytes_total{act=\"forget\"") == NULL);
}

TEST(retired)
{
	_cleanup_metrics_ struct tier_metrics *metrics = NULL;
	_cleanup_free_ char *text = NULL;
	struct tier_retirement entries[] = {{.serial = 1, .bytes = 10},
					    {.serial = 1, .dpa = 64, .bytes = 5},
					    {.serial = 9, .bytes = 2}};

	CHECK_EQ(tier_metrics_new(NULL, &metrics), 0);
	tier_metrics_retired(metrics, &(struct tier_retired){entries, 3});
	CHECK_EQ(tier_metrics_format(metrics, TIER_METRICS_TEXTFILE, &text), 0);
	CHECK_HAS(text, "\ncxltier_retired_entries 3\n");
	CHECK_HAS(text, "\ncxltier_retired_bytes{serial=\"0x1\"} 15\n");
	CHECK_HAS(text, "\ncxltier_retired_bytes{serial=\"0x9\"} 2\n");
}

TEST(files)
{
	char root[64], path[128];
	struct tier_problem problem = {};

	scratch_new(root);
	snprintf(path, sizeof(path), "%s/t.prom", root);
	CHECK_EQ(tier_metrics_write(path, "one\n", &problem), 0);
	/* What is in the way is taken away, and not written through. */
	scratch_file(root, "secret", "kept\n");
	char link_at[160], secret[160], text[16] = "";
	snprintf(link_at, sizeof(link_at), "%s.new", path);
	snprintf(secret, sizeof(secret), "%s/secret", root);
	CHECK_EQ(symlink(secret, link_at), 0);
	CHECK_EQ(tier_metrics_write(path, "two\n", &problem), 0);
	FILE *file = fopen(path, "re");
	CHECK(file && fgets(text, sizeof(text), file));
	fclose(file);
	CHECK_STR(text, "two\n");
	file = fopen(secret, "re");
	CHECK(file && fgets(text, sizeof(text), file));
	fclose(file);
	CHECK_STR(text, "kept\n");
	CHECK(access(link_at, F_OK) < 0);
	snprintf(path, sizeof(path), "%s/none/t.prom", root);
	CHECK_EQ(tier_metrics_write(path, "two\n", &problem), -ENOENT);
	CHECK_HAS(problem.next, "MetricsFile=");
	scratch_done(root);
}

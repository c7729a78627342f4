/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tierctl top reads, what it makes of it, and the lines: no longer than the screen is wide, and printable. */
#include "fixture.h"
#include "metrics.h"
#include "topology.h"
#include "top.h"

static void top_freep(struct tier_top **top)
{
	tier_top_free(*top);
}
#define _cleanup_top_ _cleanup_(top_freep)

static const char *scale(uint64_t bytes)
{
	static char text[8];

	return top_scale(text, bytes);
}

TEST(scale)
{
	CHECK_STR(scale(0), "0");
	CHECK_STR(scale(999), "999B");
	CHECK_STR(scale(1000), "1.0K");
	CHECK_STR(scale(10188), "9.9K");
	CHECK_STR(scale(10189), "10K");
	CHECK_STR(scale(999 * MIB), "999M");
	CHECK_STR(scale(1000 * MIB), "1.0G");
	CHECK_STR(scale(3 * GIB / 2), "1.5G");
	CHECK_STR(scale(UINT64_MAX - 1), "16E");
	CHECK_STR(scale(TIER_UNKNOWN_U64), "-");
	for (uint64_t bytes = 1; bytes < UINT64_MAX / 3; bytes = bytes * 3 / 2 + 1)
		CHECK(strlen(scale(bytes)) <= 4);
}

TEST(numa_stat)
{
	struct tier_top_row row = {};

	/* What is counted twice, and what is the kernel's own, is not memory that lives there. */
	CHECK_EQ(top_parse_numa_stat(
			 "anon N0=99 N2=99\nfile N0=99\nkernel_stack N0=99\nshmem N0=99\n"
			 "inactive_anon N0=1 N2=20\nactive_anon N2=300\n"
			 "inactive_file N0=0 N2=0 N11=7\nunevictable N0=4096\nhugetlb N2=5\n",
			 &row),
		 0);
	CHECK_EQ(row.part_count, 3);
	CHECK_EQ(row.parts[0].node, 0);
	CHECK_EQ(row.parts[0].bytes, 4097);
	CHECK_EQ(row.parts[1].node, 2);
	CHECK_EQ(row.parts[1].bytes, 325);
	CHECK_EQ(row.parts[2].node, 11);
	CHECK_EQ(row.total_bytes, 4097 + 325 + 7);
	top_row_done(&row);
	CHECK_EQ(top_parse_numa_stat("", &row), TIER_E_NOT_FOUND);
	CHECK_EQ(top_parse_numa_stat("anon N0=1\n", &row), TIER_E_NOT_FOUND);
	CHECK_EQ(top_parse_numa_stat("active_anon N0= N=1 Nx=2 N99999=3 N1=x N1", &row), 0);
	CHECK_EQ(row.part_count, 0);
}

TEST(numa_maps)
{
	struct tier_top_row row = {};

	CHECK_EQ(top_parse_numa_maps(
			 "7f00 default anon=10 dirty=10 N0=4 N2=6 kernelpagesize_kB=4\n"
			 "7f01 bind:2 file=/x\\040N0=9\\075N2=9 mapped=3 N2=3 kernelpagesize_kB=4\n"
			 "7f02 default file=/dev/hugepages/N0=77 huge anon=2 N0=2 "
			 "kernelpagesize_kB=2048\n"
			 "7f03 default file=/nothing/there\n"
			 "7f04 default heap anon=1 N1=1",
			 &row),
		 0);
	CHECK_EQ(row.part_count, 3);
	CHECK_EQ(row.parts[0].bytes, 4 * 4096 + 2 * 2 * MIB);
	CHECK_EQ(row.parts[1].node, 1);
	CHECK_EQ(row.parts[1].bytes, 4096);
	CHECK_EQ(row.parts[2].bytes, 9 * 4096);
	top_row_done(&row);
}

TEST(rate)
{
	CHECK_EQ(tier_top_rate(3000, 1000, 500000), 4000);
	CHECK_EQ(tier_top_rate(1000, 1000, 1), 0);
	/* Nothing before, not told, begun anew, no time. */
	CHECK_EQ(tier_top_rate(1, TIER_UNKNOWN_U64, 1), TIER_UNKNOWN_U64);
	CHECK_EQ(tier_top_rate(TIER_UNKNOWN_U64, 1, 1), TIER_UNKNOWN_U64);
	CHECK_EQ(tier_top_rate(1, 2, 1), TIER_UNKNOWN_U64);
	CHECK_EQ(tier_top_rate(2, 1, 0), TIER_UNKNOWN_U64);
}

/* Node 0 has CPUs, 2 is region2's, 3 the Switched region3's, 4 is without memory. */
static struct tier_topology *machine(void)
{
	struct tier_topology *t;
	struct tier_node *node;

	CHECK_EQ(tier_topology_new(&t), 0);
	copy_string(t->hostname, sizeof(t->hostname), "ho\x1bst");
	node = topology_add_node(t, 0);
	node->has_cpu = node->has_memory = true;
	node->type = TIER_MEMORY_LOCAL;
	node->tier = 4;
	node = topology_add_node(t, 2);
	node->has_memory = true;
	node->type = TIER_MEMORY_LOCAL;
	node->tier = 22;
	node = topology_add_node(t, 3);
	node->has_memory = true;
	node->type = TIER_MEMORY_SWITCHED;
	node->tier = 22;
	topology_add_node(t, 4);
	topology_add_region(t, "region2")->target_node = 2;
	topology_add_region(t, "region3")->target_node = 3;
	topology_sort(t);
	return t;
}

static void add_row(struct tier_top_rows *rows, const char *name, pid_t pid, uint64_t zero,
		    uint64_t two, uint64_t three)
{
	struct tier_top_row *row = array_grow(&rows->rows, &rows->count, sizeof(*row));

	copy_string(row->name, sizeof(row->name), name);
	row->pid = pid;
	CHECK_EQ(top_row_add(row, 3, three), 0);
	CHECK_EQ(top_row_add(row, 0, zero), 0);
	CHECK_EQ(top_row_add(row, 2, two), 0);
}

static struct tier_top *picture(struct tier_top_rows *rows, const char *note)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	struct tier_node_stat now[4] = {{.node = 0}, {.node = 2}, {.node = 3}, {.node = 4}},
			      before[4];
	struct tier_top *top;

	memcpy(before, now, sizeof(now));
	for (size_t i = 0; i < 4; i++) {
		node_stat_parse(i < 3 ? "MemTotal: 1048576 kB\nMemFree: 786432 kB\n"
				      : "MemTotal: 0 kB\n",
				"pgpromote_success 100\npgdemote_kswapd 50\npgdemote_direct 7\n",
				4096, &before[i]);
		now[i] = before[i];
		now[i].node = before[i].node = (int)(i ? i + 1 : 0);
	}
	now[0].flow_bytes[TIER_FLOW_PROMOTED] += 2 * MIB;
	now[0].flow_bytes[TIER_FLOW_DEMOTED_DIRECT] += MIB;
	now[0].flow_bytes[TIER_FLOW_DEMOTED_KSWAPD] += MIB;
	now[2].flow_bytes[TIER_FLOW_PROMOTED] = TIER_UNKNOWN_U64;
	CHECK_EQ(tier_top_new(&(struct tier_top_input){.topology = t,
						       .stats = now,
						       .stat_count = 4,
						       .before = before,
						       .before_count = 4,
						       .elapsed_usec = 2000000,
						       .tiering = {3 * MIB, 0},
						       .rows = rows,
						       .note = note},
			      &top),
		 0);
	return top;
}

TEST(model)
{
	struct tier_top_rows rows = {};

	add_row(&rows, "small", 0, 5, 0, 0);
	add_row(&rows, "typed", 0, 1, 0, MIB);
	add_row(&rows, "far", 0, 0, 7 * MIB, 0);
	_cleanup_top_ struct tier_top *top = picture(&rows, NULL);
	CHECK_EQ(rows.count, 0);
	CHECK_EQ(top->node_count, 3);
	CHECK_EQ(top->nodes[0].group, TIER_TOP_DRAM);
	CHECK_EQ(top->nodes[1].group, TIER_TOP_CXL);
	CHECK_EQ(top->nodes[2].group, TIER_TOP_SWITCHED);
	CHECK_EQ(top->nodes[0].used_bytes, 256 * MIB);
	CHECK_EQ(top->nodes[0].rates.promoted, MIB);
	CHECK_EQ(top->nodes[0].rates.demoted, MIB);
	CHECK_EQ(top->nodes[1].rates.promoted, 0);
	CHECK_EQ(top->nodes[2].rates.promoted, TIER_UNKNOWN_U64);
	CHECK_EQ(top->tier_count, 2);
	CHECK_EQ(top->tiers[0].tier, 4);
	CHECK_STR(top->tiers[1].nodes, "2,3");
	CHECK_EQ(top->tiers[1].total_bytes, 2 * GIB);
	CHECK_EQ(top->tiers[1].rates.promoted, 0);
	/* The most first, by all of it and by each kind that there is. */
	CHECK_STR(top->rows.rows[0].name, "far");
	CHECK_STR(top->rows.rows[2].name, "small");
	CHECK_EQ(tier_top_next_sort(top, TIER_TOP_BY_TOTAL), TIER_TOP_DRAM);
	CHECK_EQ(tier_top_next_sort(top, TIER_TOP_CXL), TIER_TOP_SWITCHED);
	CHECK_EQ(tier_top_next_sort(top, TIER_TOP_SWITCHED), TIER_TOP_BY_TOTAL);
	tier_top_sort(top, TIER_TOP_SWITCHED);
	CHECK_STR(top->rows.rows[0].name, "typed");
	CHECK_STR(top->rows.rows[1].name, "far");
	tier_top_sort(top, TIER_TOP_DRAM);
	CHECK_STR(top->rows.rows[0].name, "small");
	CHECK_EQ(tier_top_row_bytes(top, &top->rows.rows[1], TIER_TOP_SWITCHED), MIB);
}

static const struct tier_top_line *find(const struct tier_top_lines *lines, const char *words)
{
	for (size_t i = 0; i < lines->count; i++)
		if (strstr(lines->lines[i].text, words))
			return &lines->lines[i];
	return NULL;
}

static void check_lines(const struct tier_top_lines *lines, unsigned width, unsigned height)
{
	if (height && lines->count != height)
		FAIL("%zu lines on a screen of %u", lines->count, height);
	for (size_t i = 0; i < lines->count; i++) {
		if (strlen(lines->lines[i].text) > width)
			FAIL("wider than %u: %s", width, lines->lines[i].text);
		for (const char *at = lines->lines[i].text; *at; at++)
			if (*at < ' ' || *at > '~')
				FAIL("not printable at %u x %u: line %zu", width, height, i);
	}
}

static struct tier_top *crowd(size_t count)
{
	struct tier_top_rows rows = {};
	char name[64];

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "u%zu-%.*s", i, (int)(i % 40),
			 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		add_row(&rows, name, 0, (count - i) * MIB, i * 999 * KIB, i % 3 ? 0 : 7 * GIB);
	}
	return picture(&rows, NULL);
}

TEST(lines)
{
	_cleanup_top_ struct tier_top *top = crowd(40);
	struct tier_top_view view = {.width = 80, .height = 24, .by = TIER_TOP_BY_TOTAL};
	struct tier_top_lines lines;

	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	check_lines(&lines, 80, 24);
	CHECK_STR(lines.lines[0].text, "ho?st, over 2.0 s; Tier=auto promotes 3.0M/s, demotes 0/s");
	CHECK_STR(
		lines.lines[1].text,
		"NODE TIER CLASS TYPE     REGIONS                SIZE USED USE% PROMOTED  DEMOTED");
	CHECK_STR(
		lines.lines[2].text,
		"   0    4 dram  Local    -                      1.0G 256M  25%   1.0M/s   1.0M/s");
	CHECK_STR(
		lines.lines[4].text,
		"   3   22 cxl   Switched region3                1.0G 256M  25%        -      0/s");
	CHECK_EQ(lines.lines[4].style, TIER_TOP_TYPED);
	CHECK(find(&lines, "  22 2,3 ") != NULL);
	CHECK_STR(
		lines.lines[8].text,
		"UNIT                                                  TOTAL  DRAM   CXL SWITCHED");
	CHECK_EQ(lines.lines[9].style, TIER_TOP_TYPED);
	CHECK_EQ(lines.rows, 14);
	CHECK_EQ(lines.lines[23].style, TIER_TOP_KEYS);
	CHECK_HAS(lines.lines[23].text, "q quit");
	CHECK_HAS(lines.lines[23].text, "sort: TOTAL");
	CHECK_HAS(lines.lines[23].text, "1 of 40");
	tier_top_lines_done(&lines);
	/* Beyond the end there is nothing to be seen. */
	view.first = 1000;
	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	CHECK_EQ(view.first, 26);
	CHECK_EQ(lines.rows, 14);
	tier_top_lines_done(&lines);
	view.by_node = true;
	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	CHECK(find(&lines, "N3:Sw") != NULL);
	tier_top_lines_done(&lines);
	/* Without an end, all of them and no keys. */
	view = (struct tier_top_view){.width = 80};
	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	CHECK_EQ(lines.rows, 40);
	CHECK(find(&lines, "q quit") == NULL);
	tier_top_lines_done(&lines);
}

TEST(every_size_of_screen)
{
	_cleanup_top_ struct tier_top *top = crowd(25);

	for (unsigned processes = 0; processes < 2; processes++)
		for (unsigned width = 1; width < 140; width++)
			for (unsigned height = 1; height < 40; height++) {
				struct tier_top_view view = {
					.width = width, .height = height, .by_node = height & 1};
				struct tier_top_lines lines;

				top->processes = processes;
				CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
				check_lines(&lines, width, height);
				tier_top_lines_done(&lines);
			}
	struct tier_top_view view = {.width = 100000};
	struct tier_top_lines lines;
	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	tier_top_lines_done(&lines);
}

/* Of a narrow screen, what says least goes first. */
TEST(narrow)
{
	_cleanup_top_ struct tier_top *top = crowd(3);
	struct tier_top_view view = {.width = 40, .by = TIER_TOP_BY_TOTAL};
	struct tier_top_lines lines;

	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	CHECK(find(&lines, "SWITCHED") != NULL);
	CHECK(find(&lines, "USED") != NULL);
	CHECK(find(&lines, "REGIONS") == NULL);
	tier_top_lines_done(&lines);
}

TEST(notes)
{
	_cleanup_top_ struct tier_top *top = picture(
		NULL, "no unit tells where its\x07 memory is; look at processes instead of them");
	struct tier_top_view view = {.width = 30, .height = 24};
	struct tier_top_lines lines;

	CHECK_EQ(tier_top_lines(top, &view, &lines), 0);
	check_lines(&lines, 30, 24);
	CHECK(find(&lines, "no unit tells where its? memory") == NULL);
	CHECK(find(&lines, "no unit tells where its?") != NULL);
	CHECK(find(&lines, "instead of them") != NULL);
	tier_top_lines_done(&lines);
}

TEST(json)
{
	struct tier_top_rows rows = {};
	_cleanup_free_ char *text = NULL;

	add_row(&rows, "typed", 12, 1, 0, MIB);
	_cleanup_top_ struct tier_top *top = picture(&rows, NULL);
	top->processes = true;
	CHECK_EQ(tier_top_to_json(top, &text), 0);
	CHECK_HAS(text, "\"processes\"");
	CHECK_HAS(text, "\"pid\" : 12");
	CHECK_HAS(text, "\"type\" : \"Switched\"");
	CHECK_HAS(text, "\"promoted_bytes_per_second\" : null");
	CHECK_HAS(text, "\"promoted_bytes_per_second\" : 1048576");
}

/* ---- files ------------------------------------------------------------------------------------- */

static const struct tier_top_row *row_of(const struct tier_top_rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->count; i++)
		if (strcmp(rows->rows[i].name, name) == 0)
			return &rows->rows[i];
	FAIL("no row %s among %zu", name, rows->count);
}

TEST(units)
{
	struct tier_problem problem = {};
	struct tier_top_rows rows;
	char root[64];

	scratch_new(root);
	CHECK_EQ(tier_top_units(root, &rows, &problem), TIER_E_NOT_FOUND);
	CHECK_HAS(problem.text, "not mounted");
	scratch_file(root, "sys/fs/cgroup/cgroup.controllers", "memory\n");
	scratch_file(root, "sys/fs/cgroup/a.slice/x.service/cgroup.procs", "");
	CHECK_EQ(tier_top_units(root, &rows, &problem), TIER_E_NOT_FOUND);
	CHECK_HAS(problem.text, "memory controller");
	scratch_file(root, "sys/fs/cgroup/a.slice/memory.numa_stat", "active_anon N0=999\n");
	scratch_file(root, "sys/fs/cgroup/a.slice/x.service/memory.numa_stat",
		     "active_anon N0=5\n");
	scratch_file(root, "sys/fs/cgroup/a.slice/x.service/below/memory.numa_stat",
		     "active_anon N0=4\n");
	scratch_file(root, "sys/fs/cgroup/a.slice/a-b.slice/\x1b[2Jevil\xff.scope/memory.numa_stat",
		     "active_anon N2=6\n");
	scratch_file(root, "sys/fs/cgroup/init.scope/memory.numa_stat", "active_anon N0=0\n");
	scratch_file(root, "sys/fs/cgroup/plain/memory.numa_stat", "active_file N0=8\n");
	CHECK_EQ(tier_top_units(root, &rows, &problem), 0);
	/* A slice's memory is its units'; one that is below a unit is its unit's. */
	CHECK_EQ(rows.count, 3);
	CHECK_EQ(row_of(&rows, "x.service")->total_bytes, 5);
	CHECK_STR(row_of(&rows, "x.service")->path, "/a.slice/x.service");
	CHECK_EQ(row_of(&rows, "?[2Jevil?.scope")->parts[0].node, 2);
	CHECK_STR(row_of(&rows, "?[2Jevil?.scope")->path, "/a.slice/a-b.slice/?[2Jevil?.scope");
	CHECK_EQ(row_of(&rows, "plain")->total_bytes, 8);
	tier_top_rows_done(&rows);
	scratch_done(root);
}

TEST(processes)
{
	struct tier_problem problem = {};
	struct tier_top_rows rows;
	char root[64];

	scratch_new(root);
	scratch_file(root, "proc/meminfo", "");
	scratch_file(root, "proc/7/statm", "1000 512 1 1 0 1 0\n");
	scratch_file(root, "proc/7/comm", "a\x1b]0;b\n");
	scratch_file(root, "proc/7/numa_maps", "7f00 default anon=1 N2=1 kernelpagesize_kB=4\n");
	scratch_file(root, "proc/8/statm", "0 0 0 0 0 0 0\n");
	scratch_file(root, "proc/8/comm", "kthread\n");
	scratch_file(root, "proc/9/statm", "1000 2 1 1 0 1 0\n");
	scratch_file(root, "proc/9/numa_maps", "7f00 default anon=1 N2=1 kernelpagesize_kB=4\n");
	scratch_file(root, "proc/9/comm", "small\n");
	CHECK_EQ(tier_top_processes(root, 4096, MIB, &rows, &problem), 0);
	CHECK_EQ(rows.count, 1);
	CHECK_EQ(rows.rows[0].pid, 7);
	CHECK_STR(rows.rows[0].name, "a?]0;b");
	CHECK_EQ(rows.rows[0].total_bytes, 4096);
	tier_top_rows_done(&rows);
	scratch_done(root);
}

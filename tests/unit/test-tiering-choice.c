/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cxl-tierd/tiering-choice.c, tiering-kernel.c: which of the two moves pages, and when neither does. */
#include "test.h"
#include "manager.h"

#define SECOND UINT64_C(1000000)

static struct manager manager;
static struct tier_config config;
static struct tier_node nodes[3];
static struct tier_topology topology = {.nodes = nodes};
static bool dry_run;
static enum tier_mechanism running; /* while there is a process */
static unsigned pauses;
static uint64_t now;
static int idle_code, probe_code, knobs_code, load_code, apply_code, restore_code;
static unsigned probes, thorough_probes, rescans, looks;
static bool on;	     /* the kernel's tiering */
static bool demotes; /* its demotion alone */
static unsigned limit;
static struct tier_traffic traffic;
static sd_event_time_handler_t timer;
static void *timer_data;
static char told[4096];

static void tell(const char *decision, const char *text)
{
	size_t used = strlen(told);

	snprintf(told + used, sizeof(told) - used, "%s: %s\n", decision, text);
}

void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(decision, text);
}

void log_problem(int priority, const char *decision, const struct tier_problem *problem)
{
	tell(decision, problem->text);
}

int monitor_rescan(struct manager *asked)
{
	rescans++;
	return 0;
}

enum tier_mechanism tiering_running(const struct manager *asked)
{
	return manager.tiering ? running : TIER_MECHANISM_NONE;
}

void tiering_pause(struct manager *asked)
{
	pauses++;
	tiering_kernel_pause(asked);
}

bool manager_dry_run(const struct manager *asked)
{
	return dry_run;
}

uint64_t manager_monotonic_usec(void)
{
	return now;
}

void tiering_look(struct manager *asked, const struct tier_topology *at)
{
	looks++;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
				      uint64_t usec, uint64_t accuracy,
				      sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
				      uint64_t usec, uint64_t accuracy,
				      sd_event_time_handler_t callback, void *userdata)
{
	CHECK(callback);
	timer = callback;
	timer_data = userdata;
	return 0;
}

int __wrap_tier_topology_read(const char *sysroot, struct tier_topology **ret,
			      struct tier_problem *problem);
int __wrap_tier_topology_read(const char *sysroot, struct tier_topology **ret,
			      struct tier_problem *problem)
{
	FAIL("the topology is at hand");
}

int __wrap_tier_tiering_damon_probe(bool thorough, struct tier_problem *problem);
int __wrap_tier_tiering_damon_probe(bool thorough, struct tier_problem *problem)
{
	CHECK(!manager.tiering || running != TIER_MECHANISM_DAMON);
	probes++;
	thorough_probes += thorough;
	return probe_code ? tier_problem_set(problem, probe_code, "DAMON", NULL, "is not to be had")
			  : 0;
}

int __wrap_tier_tiering_idle_probe(struct tier_problem *problem);
int __wrap_tier_tiering_idle_probe(struct tier_problem *problem)
{
	return idle_code ? tier_problem_set(problem, idle_code, "bitmap", NULL, "no idle pages")
			 : 0;
}

int __wrap_tier_knobs_read(const char *sysroot, unsigned ret[TIER_KNOBS],
			   struct tier_problem *problem);
int __wrap_tier_knobs_read(const char *sysroot, unsigned ret[TIER_KNOBS],
			   struct tier_problem *problem)
{
	if (knobs_code)
		return tier_problem_set(problem, knobs_code, "tiering", NULL, "no such file");
	ret[TIER_KNOB_LIMIT] = 65536;
	ret[TIER_KNOB_DEMOTION] = ret[TIER_KNOB_BALANCING] = 0;
	return 0;
}

int __wrap_tier_knobs_load(const char *sysroot, struct tier_knobs_saved *ret,
			   struct tier_problem *problem);
int __wrap_tier_knobs_load(const char *sysroot, struct tier_knobs_saved *ret,
			   struct tier_problem *problem)
{
	if (load_code)
		return tier_problem_set(problem, load_code, TIER_TIERING_KERNEL_PATH, NULL,
					"not known");
	ret->knobs[TIER_KNOB_DEMOTION].ours = true;
	return 0;
}

int __wrap_tier_knobs_apply(const char *sysroot, const struct tier_knobs_wish *wish,
			    struct tier_knobs_saved *saved, char ret_foreign[static 160],
			    struct tier_problem *problem);
int __wrap_tier_knobs_apply(const char *sysroot, const struct tier_knobs_wish *wish,
			    struct tier_knobs_saved *saved, char ret_foreign[static 160],
			    struct tier_problem *problem)
{
	/* Two would move the same pages. */
	CHECK(!wish->promotes || !manager.tiering);
	CHECK(!manager.sessions && !manager.offline && !dry_run);
	/* The one has been put back before the other. */
	CHECK(wish->promotes ? !demotes : !on);
	ret_foreign[0] = '\0';
	if (apply_code)
		return tier_problem_set(problem, apply_code, "numa_balancing", NULL,
					"cannot be set");
	on = wish->promotes;
	demotes = !on;
	saved->knobs[TIER_KNOB_DEMOTION].ours = true;
	limit = wish->limit_mbps;
	return 0;
}

int __wrap_tier_knobs_restore(const char *sysroot, struct tier_knobs_saved *saved,
			      char ret_left[static 160], struct tier_problem *problem);
int __wrap_tier_knobs_restore(const char *sysroot, struct tier_knobs_saved *saved,
			      char ret_left[static 160], struct tier_problem *problem)
{
	ret_left[0] = '\0';
	if (restore_code)
		return tier_problem_set(problem, restore_code, "numa_balancing", NULL,
					"cannot be put back");
	on = demotes = false;
	*saved = (struct tier_knobs_saved){};
	return 0;
}

int __wrap_tier_traffic_read(const char *sysroot, struct tier_traffic *ret,
			     struct tier_problem *problem);
int __wrap_tier_traffic_read(const char *sysroot, struct tier_traffic *ret,
			     struct tier_problem *problem)
{
	*ret = traffic;
	ret->now_usec = now;
	return 0;
}

/* One node of each kind, which DAMON can do, or a third one. */
static void look(size_t count)
{
	topology.node_count = count;
	tiering_choose(&manager, &topology);
}

static void tick(void)
{
	CHECK(timer);
	CHECK_EQ(timer(NULL, 0, timer_data), 0);
}

static void begin(void)
{
	restore_code = 0;
	manager.tiering = NULL;
	tiering_kernel_stop(&manager);
	manager = (struct manager){.config = &config};
	config = (struct tier_config){
		.tiering = TIER_TIERING_AUTO, .tiering_gap_usec = 10 * SECOND, .demotion = true};
	dry_run = on = demotes = false;
	now = 1000 * SECOND;
	probe_code = knobs_code = apply_code = 0;
	load_code = idle_code = TIER_E_NOT_FOUND;
	running = TIER_MECHANISM_DAMON;
	pauses = 0;
	probes = thorough_probes = rescans = looks = limit = 0;
	traffic = (struct tier_traffic){};
	timer = NULL;
	for (int i = 0; i < 3; i++)
		nodes[i] = (struct tier_node){
			.id = i,
			.has_cpu = i == 0,
			.has_memory = true,
			.total_bytes = UINT64_C(1) << 30,
			.type = TIER_MEMORY_LOCAL,
		};
	tiering_kernel_start(&manager);
	told[0] = '\0';
}

static bool by_damon(void)
{
	return tiering_mechanism(&manager) == TIER_MECHANISM_DAMON;
}

static const char *mechanism(void)
{
	const char *name, *reason;

	tiering_describe(&manager, &name, &reason);
	return name;
}

TEST(nothing_unless_it_is_asked_for)
{
	begin();
	config.tiering = TIER_TIERING_NO;
	look(3);
	CHECK(!on && !by_damon());
	CHECK_EQ(probes, 0);
	CHECK_EQ(looks, 1);
	CHECK_STR(mechanism(), "no");
}

TEST(damon_where_it_can)
{
	begin();
	look(2);
	CHECK(by_damon() && !on);
	CHECK_EQ(thorough_probes, 1);
	CHECK_STR(mechanism(), "damon");
	CHECK_EQ(looks, 1);
	told[0] = '\0';
	look(2);
	CHECK_EQ(probes, 1);
	CHECK_STR(told, "");
}

TEST(the_kernel_where_nodes_are_too_many)
{
	begin();
	config.policy_count = 1;
	look(3);
	CHECK(on && !by_damon());
	CHECK_HAS(told, "[Policy] sections do not count");
	CHECK_EQ(limit, 0);
	CHECK_STR(mechanism(), "kernel");
	CHECK_HAS(told, "tiering: what is hot is fetched to DRAM, by the kernel's own tiering: not "
			"by DAMON: more "
			"than one");
	/* One goes: DAMON, after a while. */
	told[0] = '\0';
	look(2);
	CHECK(on);
	now += 61 * SECOND;
	tick();
	CHECK(!on && by_damon());
	CHECK_EQ(rescans, 1);
	CHECK_HAS(told, "tiering-ended");
}

TEST(the_kernel_where_damon_lacks_something)
{
	begin();
	probe_code = TIER_E_NOT_FOUND;
	look(2);
	CHECK(on);
	CHECK_HAS(told, "is not to be had");
	/* It is not asked again. */
	probe_code = 0;
	now += 4000 * SECOND;
	tick();
	CHECK(on);
	CHECK_EQ(probes, 1);
	/* Neither. */
	begin();
	probe_code = knobs_code = TIER_E_NOT_FOUND;
	look(2);
	CHECK(!on && !by_damon());
	CHECK_HAS(told, "tiering-waits: not by DAMON: is not to be had; nor by the kernel: no such "
			"file; nor by idle page tracking: no idle pages");
	CHECK_STR(mechanism(), "none");
}

TEST(idle_page_tracking_where_the_kernel_does_neither)
{
	struct tier_problem problem = {.text = "cannot look"};
	const char *name, *reason;
	int worker;

	begin();
	idle_code = 0;
	probe_code = TIER_E_BUSY;
	knobs_code = TIER_E_NOT_FOUND;
	look(2);
	/* That may pass. */
	CHECK(by_damon());
	now += 301 * SECOND;
	look(2);
	CHECK_STR(mechanism(), "idle");
	CHECK(tiering_by_worker(&manager) && demotes && !on);
	manager.tiering = (void *)&worker;
	running = TIER_MECHANISM_IDLE;
	tiering_heard(&manager, -EIO, &problem);
	tiering_describe(&manager, &name, &reason);
	CHECK_HAS(reason, "nor by the kernel: no such file");
	/* DAMON can be had again: after a minute, which what it does tells. */
	probe_code = 0;
	tiering_heard(&manager, 0, &problem);
	CHECK_STR(mechanism(), "idle");
	CHECK_EQ(rescans, 0);
	now += 61 * SECOND;
	tiering_heard(&manager, 0, &problem);
	CHECK(by_damon());
	CHECK_EQ(rescans, 1);

	begin();
	idle_code = 0;
	config.tiering_by = TIER_TIERING_BY_IDLE;
	look(2);
	CHECK_STR(mechanism(), "idle");
	CHECK_EQ(probes, 0);
	/* Beside shared memory, which the kernel would demote to. */
	nodes[2].type = TIER_MEMORY_SHARED;
	look(3);
	CHECK_STR(mechanism(), "idle");
	CHECK(!demotes);
	/* One node of each kind, as for DAMON. */
	nodes[2].type = TIER_MEMORY_LOCAL;
	look(3);
	CHECK_STR(mechanism(), "none");
	CHECK_HAS(told, "tiering-waits: more than one");
}

TEST(somebody_uses_damon_for_good)
{
	struct tier_problem problem = {.text = "kdamonds of somebody else are there"};
	int worker;

	begin();
	look(2);
	manager.tiering = (void *)&worker;
	for (int i = 0; i < 10; i++) {
		tiering_heard(&manager, TIER_E_BUSY, &problem);
		CHECK(by_damon());
		now += 30 * SECOND;
	}
	CHECK_EQ(rescans, 0);
	tiering_heard(&manager, TIER_E_BUSY, &problem);
	CHECK_EQ(rescans, 1);
	CHECK(!by_damon());
	/* Not before its process is gone. */
	look(2);
	CHECK(!on);
	manager.tiering = NULL;
	probe_code = TIER_E_BUSY;
	look(2);
	CHECK(on);
	CHECK_HAS(told, "kdamonds of somebody else are there");
	now += 1000 * SECOND;
	tick();
	CHECK(on);
	probe_code = 0;
	tick();
	CHECK(on);
	now += 61 * SECOND;
	tick();
	CHECK(!on && by_damon());
	/* What was heard before is forgotten. */
	look(2);
	CHECK(by_damon());
	CHECK_EQ(thorough_probes, 1);
}

TEST(a_file_of_damons_that_is_not_there)
{
	struct tier_problem problem = {.text = "cannot write dests"};
	int worker;

	begin();
	probe_code = TIER_E_BUSY;
	look(2);
	manager.tiering = (void *)&worker;
	tiering_heard(&manager, 0, &problem);
	CHECK(by_damon());
	tiering_heard(&manager, -ENOENT, &problem);
	CHECK(!by_damon());
	manager.tiering = NULL;
	look(2);
	CHECK(on);
}

TEST(it_ends_before_what_it_would_disturb)
{
	struct tier_step steps[] = {{.action = TIER_STEP_BIND_RAM},
				    {.action = TIER_STEP_ONLINE_MOVABLE}};
	struct tier_plan plan = {.steps = steps, .step_count = 1};
	struct session session;
	int offline;

	begin();
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	look(2);
	CHECK(on);
	/* A flight, or a region that is evacuated. */
	tiering_kernel_pause(&manager);
	CHECK(!on);
	manager.sessions = &session;
	look(2);
	CHECK(!on);
	manager.sessions = NULL;
	manager.offline = (void *)&offline;
	look(2);
	CHECK(!on);
	manager.offline = NULL;
	look(2);
	CHECK(on);
	/* What comes online, on a kernel that would demote to it. */
	tiering_before_steps(&manager, &plan);
	CHECK(on);
	plan.step_count = 2;
	tiering_before_steps(&manager, &plan);
	CHECK(!on);
	CHECK_EQ(rescans, 1);
	nodes[2].type = TIER_MEMORY_SWITCHED;
	look(3);
	CHECK(!on);
	CHECK_HAS(told, "tiering-waits: node2 is shared");
	nodes[2].type_by_kernel = true;
	look(3);
	CHECK(on);
	tiering_before_steps(&manager, &plan);
	CHECK(on);
	CHECK_EQ(probes, 0);
}

TEST(beside_damon_the_kernel_demotes)
{
	struct tier_step steps[] = {{.action = TIER_STEP_ONLINE_MOVABLE}};
	struct tier_plan plan = {.steps = steps, .step_count = 1};
	struct session session;
	int worker;

	begin();
	look(2);
	CHECK(demotes && !on);
	CHECK_HAS(told, "where DRAM is short, the kernel demotes");
	told[0] = '\0';
	manager.tiering = (void *)&worker;
	look(2);
	CHECK(demotes);
	CHECK_STR(told, "");
	tiering_kernel_pause(&manager);
	CHECK(!demotes);
	CHECK_HAS(told, "the kernel's own demotion is as it was");
	manager.sessions = &session;
	look(2);
	CHECK(!demotes);
	manager.sessions = NULL;
	look(2);
	CHECK(demotes);
	tiering_before_steps(&manager, &plan);
	CHECK(!demotes);
	CHECK_EQ(rescans, 1);
	CHECK_EQ(pauses, 0);
	/* What the daemon itself takes offline must not be filled by anybody. */
	look(2);
	steps[0].action = TIER_STEP_OFFLINE;
	nodes[2].type_by_kernel = true;
	tiering_before_steps(&manager, &plan);
	CHECK(!demotes);
	CHECK_EQ(pauses, 1);
	CHECK_EQ(rescans, 2);
	nodes[2].type_by_kernel = false;
	/* Somebody else's memory came online: DAMON knows where it moves to, reclaim does not. */
	nodes[2].type = TIER_MEMORY_SHARED;
	look(3);
	CHECK(!demotes);
	nodes[2].type_by_kernel = true;
	look(3);
	CHECK(demotes);
	config.demotion = false;
	look(3);
	CHECK(!demotes);
	config.demotion = true;
	look(3);
	CHECK(demotes);
	config.tiering = TIER_TIERING_NO;
	look(3);
	CHECK(!demotes);
}

TEST(from_demotion_to_all_of_it_and_back)
{
	begin();
	look(2);
	CHECK(demotes);
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	look(2);
	CHECK(on && !demotes);
	restore_code = -EIO;
	config.tiering_by = TIER_TIERING_BY_AUTO;
	look(2);
	CHECK(on && by_damon());
	restore_code = 0;
	look(2);
	CHECK(demotes && !on);
	look(3);
	CHECK(on && !demotes);
}

/* By hand: it is seen when the daemon looks. */
TEST(shared_memory_that_is_online)
{
	begin();
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	look(2);
	CHECK(on);
	nodes[2].type = TIER_MEMORY_SHARED;
	look(3);
	CHECK(!on);
	CHECK_STR(mechanism(), "none");
}

TEST(another_configuration)
{
	begin();
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	config.promote_limit_bytes = UINT64_C(256) << 20;
	look(2);
	CHECK(on);
	CHECK_EQ(limit, 256);
	config.promote_limit_bytes = 0;
	look(2);
	CHECK_EQ(limit, 0);
	config.tiering_by = TIER_TIERING_BY_DAMON;
	look(2);
	CHECK(!on && by_damon());
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	look(2);
	CHECK(on);
	config.tiering = TIER_TIERING_NO;
	look(2);
	CHECK(!on);
	config.tiering = TIER_TIERING_AUTO;
	dry_run = true;
	probes = 0;
	look(2);
	CHECK(!on);
	CHECK_EQ(probes, 0);
	dry_run = false;
	look(2);
	CHECK(on);
	tiering_kernel_stop(&manager);
	CHECK(!on);
}

TEST(the_limit_follows_what_comes_of_it)
{
	begin();
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	look(2);
	told[0] = '\0';
	for (int i = 0; i < 6; i++) {
		now += 10 * SECOND;
		traffic.promoted_bytes += UINT64_C(4000) << 20;
		traffic.demoted_bytes += UINT64_C(4000) << 20;
		tick();
	}
	CHECK_EQ(limit, 200);
	CHECK_HAS(told,
		  "tiering-limit: at most 200 MiB/s are promoted: of 400 as much is demoted (400)");
	now += 61 * SECOND;
	tick();
	CHECK_EQ(limit, 400);
	CHECK_HAS(told, "tiering-limit: up to 400 MiB/s");
	for (int i = 0; i < 10; i++) {
		now += 61 * SECOND;
		tick();
	}
	/* As it was before. */
	CHECK_EQ(limit, 0);
}

TEST(a_refusal_is_told_once_and_tried_again)
{
	begin();
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	apply_code = -EPERM;
	look(2);
	CHECK_HAS(told, "tiering-failed: cannot be set");
	told[0] = '\0';
	tick();
	CHECK(!strstr(told, "tiering-failed"));
	apply_code = 0;
	tick();
	CHECK(on);
	restore_code = -EIO;
	config.tiering = TIER_TIERING_NO;
	look(2);
	CHECK_HAS(told, "tiering-failed: cannot be put back");
	restore_code = 0;
	look(2);
	CHECK(!on);
}

TEST(what_a_killed_daemon_has_left)
{
	begin();
	on = true;
	load_code = 0;
	CHECK_EQ(tiering_kernel_release(&manager), 0);
	CHECK(!on);
	on = true;
	tiering_kernel_stop(&manager);
	tiering_kernel_start(&manager);
	CHECK(!on);
	load_code = TIER_E_DAMAGED;
	CHECK_EQ(tiering_kernel_release(&manager), -EIO);
	/* What was there is not known, so it is not touched. */
	tiering_kernel_stop(&manager);
	tiering_kernel_start(&manager);
	config.tiering_by = TIER_TIERING_BY_KERNEL;
	look(2);
	CHECK(!on);
	CHECK_HAS(told, "cannot be told");
	begin();
}

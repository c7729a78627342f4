/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which dax devices wait for cxl-tierd, and until when. The bus and the rest of the daemon are the test's. */
#include <stdarg.h>

#include "fixture.h"
#include "manager.h"

static struct manager manager;
static char directory[64], socket_path[80], mark[96];
static bool cxl, dax, held, dry_run, no_write;
static unsigned rescans, warnings;
static uint64_t now;
/* Without a driver and of no region; how often each is not taken. */
static char waiting[4][32];
static unsigned waiting_count, refusals;
static char released[128];

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __wrap_tier_dax_is_held(bool *ret);
int __wrap_tier_dax_hold(bool hold, struct tier_problem *problem);
int __wrap_tier_dax_waiting(char (**ret)[32], size_t *count, struct tier_problem *problem);
int __wrap_tier_dax_release(const char *name, struct tier_problem *problem);

int __wrap_access(const char *path, int mode)
{
	if (!streq(path, "/sys/bus/cxl"))
		return __real_access(path, mode);
	return cxl ? 0 : -1;
}

int __wrap_tier_dax_is_held(bool *ret)
{
	if (!dax)
		return TIER_E_NOT_FOUND;
	*ret = held;
	return 0;
}

int __wrap_tier_dax_hold(bool hold, struct tier_problem *problem)
{
	if (no_write)
		return tier_problem_set(problem, -EROFS, "autoprobe", NULL, "cannot write");
	held = hold;
	return 0;
}

int __wrap_tier_dax_waiting(char (**ret)[32], size_t *count, struct tier_problem *problem)
{
	*count = waiting_count;
	*ret = calloc(waiting_count + 1, sizeof(**ret));
	memcpy(*ret, waiting, waiting_count * sizeof(**ret));
	return 0;
}

int __wrap_tier_dax_release(const char *name, struct tier_problem *problem)
{
	size_t used = strlen(released);

	if (refusals > 0) {
		refusals--;
		return tier_problem_set(problem, -EAGAIN, name, NULL, "no driver has taken it");
	}
	snprintf(released + used, sizeof(released) - used, " %s", name);
	return 0;
}

bool manager_dry_run(const struct manager *asked)
{
	return dry_run;
}

void manager_alive(struct manager *asked)
{
}

uint64_t manager_monotonic_usec(void)
{
	return now;
}

int monitor_rescan(struct manager *asked)
{
	rescans++;
	return 0;
}

void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
{
	warnings++;
}

void log_problem(int priority, const char *decision, const struct tier_problem *problem)
{
	warnings++;
}

static bool marked(void)
{
	return __real_access(mark, F_OK) == 0;
}

static void start(void)
{
	memset(&manager, 0, sizeof(manager));
	manager.options.socket = socket_path;
	manager.event = (sd_event *)&manager;
	released[0] = '\0';
	rescans = warnings = refusals = 0;
}

static void set_up(void)
{
	scratch_new(directory);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	snprintf(mark, sizeof(mark), "%s.holds", socket_path);
	cxl = dax = true;
	held = dry_run = no_write = false;
	waiting_count = 0;
	now = 1000;
	start();
}

TEST(from_start_to_end)
{
	set_up();
	hold_scan(&manager, true);
	CHECK(held && manager.hold.on && manager.hold.own && marked());
	hold_arrived(&manager, "dax2.0");
	hold_arrived(&manager, "dax2.0");
	CHECK_STR(released, "");
	hold_scan(&manager, false);
	CHECK_STR(released, " dax2.0");
	hold_scan(&manager, false);
	CHECK_STR(released, " dax2.0");
	/* One that has not been seen to. */
	hold_arrived(&manager, "dax3.0");
	hold_stop(&manager);
	CHECK_STR(released, " dax2.0 dax3.0");
	CHECK(!held && !manager.hold.on && !marked());
	CHECK_EQ(warnings, 0);
	scratch_done(directory);
}

/* What somebody has unbound stays so, whoever comes and whenever the daemon ends. */
TEST(only_those_that_arrive_are_released)
{
	set_up();
	strcpy(waiting[waiting_count++], "dax9.0");
	hold_scan(&manager, true);
	hold_arrived(&manager, "dax2.0");
	hold_scan(&manager, true);
	hold_stop(&manager);
	CHECK_STR(released, " dax2.0");
	scratch_done(directory);
}

TEST(a_driver_that_comes_later)
{
	set_up();
	hold_scan(&manager, true);
	hold_arrived(&manager, "dax2.0");
	refusals = 1;
	hold_scan(&manager, false);
	/* Maybe its event was too early. */
	CHECK_EQ(rescans, 1);
	CHECK_EQ(warnings, 0);
	now += 3000000;
	refusals = 2;
	hold_scan(&manager, false);
	hold_scan(&manager, false);
	CHECK_EQ(rescans, 1);
	CHECK_EQ(warnings, 1);
	hold_scan(&manager, false);
	CHECK_STR(released, " dax2.0");
	hold_stop(&manager);
	scratch_done(directory);
}

TEST(after_a_kill)
{
	set_up();
	hold_scan(&manager, true);
	start();
	strcpy(waiting[waiting_count++], "dax2.0");
	hold_scan(&manager, true);
	CHECK(held && manager.hold.own && marked());
	CHECK_STR(released, " dax2.0");
	/* Killed between its two steps. */
	held = false;
	start();
	hold_scan(&manager, true);
	CHECK(held && manager.hold.own && marked());
	start();
	CHECK_EQ(hold_release(&manager), 0);
	CHECK(!held && !marked());
	CHECK_STR(released, " dax2.0");
	start();
	CHECK_EQ(hold_release(&manager), 0);
	CHECK_STR(released, "");
	scratch_done(directory);
}

TEST(the_end_fails)
{
	set_up();
	hold_scan(&manager, true);
	start();
	no_write = true;
	CHECK(hold_release(&manager) < 0);
	CHECK(held && marked());
	CHECK_EQ(warnings, 1);
	no_write = false;
	start();
	CHECK_EQ(hold_release(&manager), 0);
	CHECK(!held && !marked());
	scratch_done(directory);
}

TEST(an_operators_choice)
{
	set_up();
	held = true;
	hold_scan(&manager, true);
	CHECK(manager.hold.on && !manager.hold.own && !marked());
	hold_arrived(&manager, "dax2.0");
	hold_lost(&manager);
	hold_scan(&manager, false);
	hold_stop(&manager);
	CHECK_STR(released, "");
	CHECK(held);
	CHECK_EQ(hold_release(&manager), 0);
	CHECK(held);
	scratch_done(directory);
}

TEST(somebody_lets_them_go)
{
	set_up();
	hold_scan(&manager, true);
	held = false;
	hold_scan(&manager, false);
	CHECK(!manager.hold.on);
	CHECK_EQ(warnings, 1);
	hold_scan(&manager, false);
	CHECK(!held);
	CHECK_EQ(warnings, 1);
	/* Rescan, reload */
	hold_scan(&manager, true);
	CHECK(held && manager.hold.on && manager.hold.own);
	hold_stop(&manager);
	CHECK(!held);
	scratch_done(directory);
}

TEST(a_dry_run_holds_nothing)
{
	set_up();
	dry_run = true;
	hold_scan(&manager, true);
	CHECK(!held && !marked());
	dry_run = false;
	hold_scan(&manager, true);
	CHECK(held);
	dry_run = true;
	hold_scan(&manager, true);
	CHECK(!held && !marked());
	/* Nor does it clear up for others. */
	dry_run = false;
	hold_scan(&manager, true);
	start();
	dry_run = true;
	hold_scan(&manager, true);
	hold_stop(&manager);
	CHECK(held && marked());
	scratch_done(directory);
}

TEST(only_with_cxl_and_what_can_be_written)
{
	set_up();
	cxl = false;
	hold_scan(&manager, true);
	CHECK(!held && !manager.hold.on);
	cxl = true;
	dax = false;
	hold_scan(&manager, false);
	CHECK(!held && !manager.hold.on);
	/* The first device brings the modules. */
	dax = true;
	hold_scan(&manager, false);
	CHECK(held);
	hold_stop(&manager);
	no_write = true;
	hold_scan(&manager, true);
	hold_scan(&manager, false);
	CHECK(!manager.hold.on && !marked());
	CHECK_EQ(warnings, 1);
	no_write = false;
	hold_stop(&manager);
	/* No place for the file that tells the next one. */
	snprintf(socket_path, sizeof(socket_path), "%s/none/socket", directory);
	hold_scan(&manager, true);
	CHECK(!held && !manager.hold.on);
	scratch_done(directory);
}

TEST(events_were_lost)
{
	set_up();
	hold_scan(&manager, true);
	strcpy(waiting[waiting_count++], "dax5.0");
	hold_lost(&manager);
	hold_scan(&manager, false);
	CHECK_STR(released, " dax5.0");
	hold_stop(&manager);
	scratch_done(directory);
}

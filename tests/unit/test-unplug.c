/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cxl-tierd/unplug.c: who keeps a device, and what becomes of its slot. */
#include "test.h"
#include "daemon-ras.h"

#include <fcntl.h>
#include <stdarg.h>

#define HELD "/run/cxl-tier/held-slot"

static struct manager manager;
static char noted[128]; /* a file that stands for HELD */
static char order[256];
static int hold_code, release_code, power_code, busy_code;
static unsigned evacuated;

/* Of refuse_users() and refuse_flights(). */
static unsigned user_count;
static bool complete;
static struct portal portal;
static bool has_portal;
static int record_code;
static enum tier_extent_state record_state;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	return __real_open64(strcmp(path, HELD) == 0 ? noted : path, flags, 0644);
}

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	return __real_fopen64(strcmp(path, HELD) == 0 ? noted : path, mode);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	return __real_unlink(strcmp(path, HELD) == 0 ? noted : path);
}

static bool is_noted(void)
{
	return access(noted, F_OK) == 0;
}

bool __wrap_tier_slot_has(const char *port, const char *device);
bool __wrap_tier_slot_has(const char *port, const char *device)
{
	return strcmp(port, "0000:20:00.0") == 0;
}

static int slot(const char *what, int code, struct tier_problem *problem)
{
	strcat(order, what);
	/* Whoever dies here has left a note. */
	strcat(order, is_noted() ? "(noted) " : " ");
	return code ? tier_problem_set(problem, code, "0000:20:00.0", NULL, "cannot") : 0;
}

int __wrap_tier_slot_hold(const char *port, struct tier_problem *problem);
int __wrap_tier_slot_hold(const char *port, struct tier_problem *problem)
{
	return slot("hold", hold_code, problem);
}

int __wrap_tier_slot_release(const char *port, struct tier_problem *problem);
int __wrap_tier_slot_release(const char *port, struct tier_problem *problem)
{
	CHECK_STR(port, "0000:20:00.0");
	return slot("release", release_code, problem);
}

int __wrap_tier_slot_power_off(const char *port, const char *name, struct tier_problem *problem);
int __wrap_tier_slot_power_off(const char *port, const char *name, struct tier_problem *problem)
{
	return slot("off", power_code, problem);
}

int __wrap_tier_plan_offline(const struct tier_topology *topology, const char *region,
			     bool to_devdax, struct tier_plan **ret, struct tier_problem *problem);
int __wrap_tier_plan_offline(const struct tier_topology *topology, const char *region,
			     bool to_devdax, struct tier_plan **ret, struct tier_problem *problem)
{
	*ret = NULL;
	return 0;
}

int __wrap_tier_portal_read_extent(struct tier_portal *mapped, uint32_t extent,
				   struct tier_extent_record *ret);
int __wrap_tier_portal_read_extent(struct tier_portal *mapped, uint32_t extent,
				   struct tier_extent_record *ret)
{
	*ret = (struct tier_extent_record){.state = record_state};
	return extent == 1 ? record_code : TIER_E_NOT_FOUND;
}

int portal_open(struct portal *of, unsigned flags, struct tier_portal **ret,
		struct tier_problem *problem)
{
	return 0;
}

const char *portal_name(const struct portal *of)
{
	return "lake";
}

struct portal *portals_by_region(struct manager *of, const char *region)
{
	return has_portal ? &portal : NULL;
}

int manager_apply(struct manager *of, const struct tier_plan *plan, struct tier_problem *problem)
{
	evacuated++;
	return 0;
}

void region_decided(struct manager *of, const char *name, const char *decision)
{
}

bool region_blocks_online(const struct tier_topology *topology, const struct tier_region *region)
{
	return memory_online;
}

int monitor_rescan(struct manager *of)
{
	return 0;
}

int offline_refuse_second(const struct manager *of, const char *region,
			  struct tier_problem *problem)
{
	return busy_code ? tier_problem_set(problem, busy_code, region, NULL,
					    "region9 is being taken offline")
			 : 0;
}

void users_find(struct manager *of, uint64_t start, uint64_t bytes, uint64_t deadline_usec,
		struct users *ret)
{
	*ret = (struct users){.complete = complete};
	(void)sd_json_variant_new_array(&ret->json, NULL, 0);
	for (unsigned i = 0; i < user_count; i++)
		(void)sd_json_variant_append_arraybo(&ret->json,
						     SD_JSON_BUILD_PAIR_INTEGER("pid", 12));
	COPY(ret->text,
	     complete ? "process 12 (cat) maps it" : "not every process could be looked at");
}

void users_done(struct users *users)
{
	users->json = sd_json_variant_unref(users->json);
}

static void forget_note(void)
{
	__real_unlink(noted);
}

static void begin(void)
{
	if (!noted[0]) {
		snprintf(noted, sizeof(noted), "/tmp/tier-test-held-%d", getpid());
		atexit(forget_note);
	}
	forget_note();
	daemon_begin(&manager);
	memory_online = false;
	order[0] = '\0';
	hold_code = release_code = power_code = busy_code = 0;
	evacuated = user_count = 0;
	complete = true;
	has_portal = false;
	portal = (struct portal){.region = "region0", .super.extent_count = 3};
	record_code = 0;
	record_state = TIER_EXTENT_FREE;
}

static void press(void)
{
	const struct tier_unplug unplug = {
		.kind = TIER_UNPLUG_REQUEST, .device = "0000:20:00.0", .slot = "2"};

	unplug_handle(&manager, &unplug);
}

static void refused_with(const char *text)
{
	press();
	CHECK_HAS(told, "unplug-refused mem0: slot 2 stays on");
	CHECK_HAS(told, text);
	CHECK_STR(order, "hold(noted) release(noted) ");
	CHECK(!is_noted());
	CHECK_EQ(evacuated, 0);
}

TEST(nobody_has_it)
{
	begin();
	press();
	CHECK_STR(order, "hold(noted) release(noted) off ");
	CHECK_HAS(told, "unplugged mem0: its memory is evacuated, and slot 2 is off");
	CHECK(!is_noted());
	CHECK_EQ(evacuated, 0);
	begin();
	memory_online = true;
	press();
	CHECK_EQ(evacuated, 1);
	CHECK_HAS(told, "unplugged");
}

TEST(who_has_it_mapped_keeps_it)
{
	begin();
	user_count = 1;
	refused_with("region0: is mapped: process 12 (cat) maps it");
}

TEST(a_search_that_did_not_end_has_not_found_nobody)
{
	begin();
	complete = false;
	refused_with("region0: may be mapped: not every process could be looked at");
}

TEST(a_portal_is_kept_by_its_flights_and_by_what_cannot_be_read)
{
	begin();
	has_portal = true;
	press();
	CHECK_HAS(told, "unplugged");

	begin();
	has_portal = true;
	record_state = TIER_EXTENT_CLAIMED;
	refused_with("holds the portal lake, and flights have 1 of its extents");

	begin();
	has_portal = true;
	record_code = TIER_E_DAMAGED;
	refused_with("whether flights have 1 of its extents cannot be read");

	begin();
	has_portal = true;
	portal.code = TIER_E_DAMAGED;
	COPY(portal.problem.text, "its superblock is spoilt");
	refused_with("which flights are in it cannot be told: its superblock is spoilt");

	/* A portal's memory is mapped as any other. */
	begin();
	has_portal = true;
	user_count = 1;
	refused_with("is mapped");
}

TEST(while_memory_goes_offline_it_stays)
{
	begin();
	memory_online = true;
	busy_code = TIER_E_BUSY;
	refused_with("region0: region9 is being taken offline");
}

TEST(a_slot_that_is_not_held_is_not_said_to_be_off)
{
	begin();
	memory_online = true;
	hold_code = -EIO;
	press();
	CHECK_STR(order, "hold(noted) ");
	CHECK(!is_noted());
	CHECK_EQ(evacuated, 1);
	CHECK(!strstr(told, "unplugged"));
	CHECK_HAS(told, "slot 2 is powered off by the kernel");
}

TEST(what_cannot_be_released_stays_noted)
{
	begin();
	release_code = -EIO;
	user_count = 1;
	press();
	CHECK(is_noted());
	/* The next daemon tries again. */
	order[0] = told[0] = '\0';
	unplug_start(&manager);
	CHECK_STR(order, "release(noted) ");
	CHECK(is_noted());
	CHECK_STR(told, "");
	release_code = 0;
	unplug_start(&manager);
	CHECK(!is_noted());
	CHECK_HAS(told, "unplug-refused 0000:20:00.0: cxl-tierd ended while it looked after");
	order[0] = '\0';
	unplug_start(&manager);
	CHECK_STR(order, "");
}

TEST(a_note_of_a_slot_that_is_not_held_is_thrown_away)
{
	begin();
	release_code = -EIO;
	user_count = 1;
	press();
	told[0] = '\0';
	release_code = TIER_E_NOT_FOUND;
	unplug_start(&manager);
	CHECK(!is_noted());
	CHECK_STR(told, "");
}

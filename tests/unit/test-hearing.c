/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cxl-tierd/ras.c: what is made of the kernel's lines. */
#include "test.h"
#include "daemon-ras.h"

#include <sys/eventfd.h>

static struct manager manager;
static const char *lines[8];
static size_t next_line;
static int open_code, read_code;
static unsigned started, enabled, retirements, notes;

/* Of the opaque kind: only its address counts. */
static char trace;

int __wrap_tier_trace_open(struct tier_trace **ret, struct tier_problem *problem);
int __wrap_tier_trace_open(struct tier_trace **ret, struct tier_problem *problem)
{
	if (open_code)
		return open_code;
	*ret = (struct tier_trace *)&trace;
	return 0;
}

struct tier_trace *__wrap_tier_trace_close(struct tier_trace *of);
struct tier_trace *__wrap_tier_trace_close(struct tier_trace *of)
{
	return NULL;
}

int __wrap_tier_trace_fd(const struct tier_trace *of);
int __wrap_tier_trace_fd(const struct tier_trace *of)
{
	static int fd = -1;

	if (fd < 0)
		fd = eventfd(1, EFD_CLOEXEC);
	return fd;
}

unsigned __wrap_tier_trace_enable(struct tier_trace *of);
unsigned __wrap_tier_trace_enable(struct tier_trace *of)
{
	return enabled;
}

int __wrap_tier_trace_next(struct tier_trace *of, const char **ret);
int __wrap_tier_trace_next(struct tier_trace *of, const char **ret)
{
	if (!lines[next_line])
		return read_code ? read_code : TIER_E_NOT_FOUND;
	*ret = lines[next_line++];
	return 0;
}

int __wrap_tier_trace_poison_list(const char *memdev);
int __wrap_tier_trace_poison_list(const char *memdev)
{
	return 0;
}

void unplug_start(struct manager *of)
{
	started++;
}

void unplug_handle(struct manager *of, const struct tier_unplug *unplug)
{
}

void ras_note(struct manager *of, const struct tier_ras_event *event,
	      const struct tier_ras_place *place, const struct users *users, const char *where)
{
}

void ras_note_places(struct manager *of, const struct tier_topology *topology,
		     const struct tier_ras_event *event, const struct tier_ras_place *places,
		     size_t count, uint64_t deadline_usec)
{
	notes++;
}

bool retired_has(const struct manager *of, uint64_t serial, uint64_t dpa, uint64_t bytes)
{
	return tier_retired_covers(of->retired, serial, dpa, bytes);
}

void retired_add(struct manager *of, const struct tier_topology *topology, uint64_t serial,
		 uint64_t dpa, uint64_t bytes, const char *reason)
{
	struct tier_retirement entry = {.serial = serial, .dpa = dpa, .bytes = bytes};

	CHECK_EQ(tier_retired_add(of->retired, &entry), 0);
	retirements++;
}

static void begin(void)
{
	daemon_begin(&manager);
	manager.retired = allocate(1, sizeof(*manager.retired));
	CHECK(sd_event_new(&manager.event) >= 0);
	memset(lines, 0, sizeof(lines));
	next_line = 0;
	open_code = read_code = 0;
	enabled = 5;
	started = retirements = notes = 0;
}

static void end(void)
{
	ras_free(&manager);
	sd_event_unref(manager.event);
	tier_retired_free(manager.retired);
}

static void hear(void)
{
	CHECK(sd_event_run(manager.event, 0) > 0);
}

static void look(void)
{
	struct tier_topology *topology = daemon_machine();

	ras_devices(&manager, topology);
	tier_topology_free(topology);
}

TEST(a_held_slot_is_given_back_without_a_trace)
{
	begin();
	open_code = TIER_E_REFUSED;
	CHECK_EQ(ras_start(&manager), 0);
	CHECK_EQ(started, 1);
	CHECK(!ras_listens(&manager));
	end();
	/* A dump is another machine. */
	begin();
	manager.options.sysroot = "/dump";
	CHECK_EQ(ras_start(&manager), 0);
	CHECK_EQ(started, 0);
	end();
}

TEST(it_listens_as_long_as_it_can)
{
	begin();
	enabled = 0;
	CHECK_EQ(ras_start(&manager), 0);
	look();
	CHECK(!ras_listens(&manager));
	enabled = 3;
	look();
	CHECK(ras_listens(&manager));
	read_code = -EIO;
	hear();
	CHECK(!ras_listens(&manager));
	end();
}

#define PAGE(frame)                                                                                \
	"memory_failure_event: pfn " frame ": recovery action for dirty LRU page: Recovered"

#define POISON(dpa, bytes)                                                                         \
	"cxl_poison: memdev=mem0 host=0000:21:00.0 serial=7 trace_type=List region=region0 "       \
	"hpa=0x0 "                                                                                 \
	"dpa=" dpa " dpa_length=" bytes " source=Internal flags= overflow_time=0"

TEST(one_error_is_retired_once)
{
	begin();
	CHECK_EQ(ras_start(&manager), 0);
	/* A line in the middle of a page, and what the kernel says of that page when it is given up. */
	struct tier_retirement entry = {.serial = 7, .dpa = 0x5080, .bytes = 64};
	CHECK_EQ(tier_retired_add(manager.retired, &entry), 0);
	lines[0] = PAGE("0x1000005");
	hear();
	CHECK_EQ(next_line, 1);
	CHECK_EQ(retirements, 0);
	CHECK_EQ(notes, 0);
	/* Another page is another error. */
	lines[1] = PAGE("0x1000006");
	hear();
	CHECK_EQ(retirements, 1);
	CHECK_EQ(notes, 1);
	CHECK(tier_retired_covers(manager.retired, 7, 0x6000, 4096));
	CHECK(!tier_retired_covers(manager.retired, 7, 0x5000, 4096));
	/* The other way round: the page first. What goes on behind its end is written down. */
	lines[2] = POISON("0x6040", "0x40");
	hear();
	CHECK_EQ(retirements, 1);
	lines[3] = POISON("0x6fc0", "0x80");
	hear();
	CHECK_EQ(retirements, 2);
	CHECK(tier_retired_covers(manager.retired, 7, 0x6000, 0x1040));
	end();
}

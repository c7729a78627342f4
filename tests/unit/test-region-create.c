/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a region, with every single step failing in turn; libcxl and /run/cxl-tier are stand-ins. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tier-declare.h"

#include "cxl-model.h"
#include "fixture.h"

static char run[64]; /* in the place of /run/cxl-tier */
static struct tier_problem problem;
static char region[32];

static const char *redirect(const char *path, char other[static 256])
{
	static const char directory[] = "/run/cxl-tier";

	if (strncmp(path, directory, strlen(directory)) != 0)
		return path;
	snprintf(other, 256, "%s%s", run, path + strlen(directory));
	return other;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_open64(const char *path, int flags, ...)
{
	char other[256];
	const char *actual = redirect(path, other);
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (actual != path && model_fails()) {
		errno = EROFS;
		return -1;
	}
	return __real_open64(actual, flags, mode);
}

FILE *__wrap_fopen64(const char *path, const char *mode)
{
	char other[256];

	return __real_fopen64(redirect(path, other), mode);
}

int __wrap_unlink(const char *path)
{
	char other[256];

	return __real_unlink(redirect(path, other));
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	char other[256];

	return __real_mkdir(redirect(path, other), mode);
}

/* The model's functions are this program's own; whether there is a library at all, a test says. */
static bool library_is_there = true;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
	CHECK_STR(name, "libcxl.so.1");
	return library_is_there ? __real_dlopen(NULL, flags) : NULL;
}

static bool noted(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/region-unfinished", run);
	return access(path, F_OK) == 0;
}

static struct tier_declared pair(void)
{
	return (struct tier_declared){
		.name = "pair",
		.state = TIER_DECLARED_CREATE,
		.window = "decoder0.0",
		.bytes = GIB,
		.granularity_bytes = 512,
		.memdevs = {"mem1", "mem0"},
		.serials = {2, 1},
		.ways = 2,
		.type = TIER_MEMORY_SHARED,
	};
}

static int create(void)
{
	struct tier_declared declared = pair();

	memset(&problem, 0, sizeof(problem));
	region[0] = '\0';
	return tier_declared_create(&declared, region, &problem);
}

static void check_made(void)
{
	CHECK(model_region.enabled && model_region.committed);
	CHECK_EQ(model_region.size, GIB);
	CHECK_EQ(model_region.granularity, 512);
	CHECK(model_region.targets[0] == &model_memdevs[1].decoders[0]);
	CHECK(model_region.targets[1] == &model_memdevs[0].decoders[0]);
	CHECK_EQ(model_region.targets[1]->dpa, 512 * MIB);
	CHECK(!noted());
}

TEST(made_as_declared)
{
	scratch_new(run);
	model_new();
	CHECK_EQ(create(), 0);
	CHECK_STR(region, "region0");
	check_made();
	CHECK_EQ(model_ctx.used, 0);
	CHECK_EQ(model_region.type, TIER_MEMORY_SHARED);
	/* A kernel without types is no failure. */
	model_new();
	model_has_types = false;
	CHECK_EQ(create(), 0);
	check_made();
	scratch_done(run);
}

TEST(without_the_library)
{
	scratch_new(run);
	model_new();
	library_is_there = false;
	CHECK_EQ(create(), -ELIBACC);
	CHECK_STR(problem.object, "[Region pair]");
	CHECK_HAS(problem.text, "open libcxl");
	CHECK(!noted() && !model_region.there);
	library_is_there = true;
	CHECK_EQ(create(), 0);
	check_made();
	scratch_done(run);
}

TEST(the_next_decoder_is_taken)
{
	scratch_new(run);
	model_new();
	model_memdevs[0].decoders[0].dpa = 256 * MIB;
	CHECK_EQ(create(), 0);
	CHECK(model_region.targets[1] == &model_memdevs[0].decoders[1]);
	model_new();
	model_memdevs[0].decoders[0].dpa = model_memdevs[0].decoders[1].dpa = 256 * MIB;
	CHECK_EQ(create(), -EBUSY);
	CHECK_HAS(problem.text, "no decoder of mem0 is free");
	CHECK(!model_region.there && model_memdevs[1].decoders[0].dpa == 0);
	scratch_done(run);
}

/* Each step by itself fails: nothing is left, and the problem says what was tried, of what. */
TEST(whole_or_nothing)
{
	static const char *const tried[] = {
		"open libcxl",
		"the kernel does not add one",
		"note it in /run/cxl-tier: Read-only",
		"interleave by 512 bytes: Invalid",
		"interleave over 2 devices",
		"give it 1G of the window",
		"note decoder4.0 in /run/cxl-tier",
		"give decoder4.0 512M of mem1: No space",
		"make mem1, by decoder4.0, its device 1",
		"note decoder3.0",
		"use decoder3.0 of mem0 for volatile memory",
		"give decoder3.0 512M of mem0",
		"make mem0, by decoder3.0, its device 2: No such device",
		"make its memory Shared: Operation not permitted",
		"program its decoders: Input/output error",
		"bind its driver",
	};

	scratch_new(run);
	for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
		model_new();
		model_fail = (int)i + 1;
		int r = create();

		if (r >= 0 || !model_is_clean() || noted() || model_ctx.used != 0)
			FAIL("step %zu (%s): %d, clean %d, noted %d", i + 1, tried[i], r,
			     model_is_clean(), noted());
		CHECK_STR(problem.object, "[Region pair]");
		CHECK_HAS(problem.text, tried[i]);
		CHECK_HAS(problem.text, "decoder0.0");
		CHECK_STR(region, "");
		/* And the next attempt is as good as the first. */
		model_fail = 0;
		CHECK_EQ(create(), 0);
		check_made();
	}
	model_new();
	CHECK_EQ(create(), 0);
	CHECK_EQ(model_calls, ARRAY_SIZE(tried));
	scratch_done(run);
}

/* What cannot be undone is said, stays noted, and the next start undoes it. */
TEST(failures_of_the_way_back)
{
	int failed = 0;

	scratch_new(run);
	for (int second = 17; second < 24; second++) {
		model_new();
		/* The driver; then one of the steps back. */
		model_fail = 16;
		model_fail_again = second;
		CHECK(create() < 0);
		if (model_is_clean())
			continue;
		failed++;
		CHECK(noted());
		CHECK_HAS(problem.text, "nor can what there is of it be destroyed");
		CHECK_HAS(problem.next, "cxl destroy-region -f region0");
		model_fail = model_fail_again = 0;
		CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
		CHECK(model_is_clean());
		CHECK(!noted());
	}
	/* Reset, two decoders, and the region itself. */
	CHECK_EQ(failed, 4);
	scratch_done(run);
}

TEST(devices_that_have_gone)
{
	scratch_new(run);
	model_new();
	model_memdevs[0].serial = 9;
	CHECK_EQ(create(), TIER_E_STALE);
	CHECK_HAS(problem.text, "mem0 is not there any more");
	CHECK(model_is_clean());
	model_new();
	strcpy(model_window.name, "decoder0.1");
	CHECK_EQ(create(), TIER_E_STALE);
	CHECK_HAS(problem.text, "the window is not there any more");
	scratch_done(run);
}

/* What a process that was killed has left, its successor destroys; what was finished it leaves alone. */
TEST(killed_before_every_step)
{
	scratch_new(run);
	/* 1 opens libcxl, 2 adds the region; killed before 3 it is not noted, has nothing, and is in nobody's way. */
	for (volatile int step = 4; step <= 16; step++) {
		model_new();
		model_kill = step;
		if (setjmp(model_killed) == 0) {
			create();
			FAIL("not killed before step %d", step);
		}
		model_kill = 0;
		CHECK(noted());
		CHECK(model_region.there);
		CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
		CHECK_STR(region, "region0");
		if (!model_is_clean() || noted())
			FAIL("something is left of what was killed before step %d", step);
		CHECK_EQ(create(), 0);
	}
	CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
	CHECK_STR(region, "");
	scratch_done(run);
}

static void write_note(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/region-unfinished", run);
	FILE *file = fopen(path, "we");
	CHECK(file != NULL);
	fputs("region0\ndecoder4.0\ndecoder3.0\n", file);
	CHECK_EQ(fclose(file), 0);
}

TEST(a_note_that_is_out_of_date)
{
	scratch_new(run);
	model_new();
	CHECK_EQ(create(), 0);
	write_note();
	CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
	CHECK_STR(region, "");
	check_made();
	/* The region has gone, and its devices' memory is still given away. */
	model_new();
	model_memdevs[1].decoders[0].dpa = 512 * MIB;
	write_note();
	CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
	CHECK(model_is_clean());
	CHECK(!noted());
	scratch_done(run);
}

/* The kernel gives a name anew: what has it is another's as soon as one of its decoders is not in the note. */
TEST(a_note_of_a_name_that_another_has)
{
	struct cxl_decoder *left, *foreign;

	scratch_new(run);
	for (int committed = 0; committed < 2; committed++) {
		model_new();
		left = &model_memdevs[1].decoders[0];
		foreign = &model_memdevs[0].decoders[1];
		left->dpa = foreign->dpa = 512 * MIB;
		/* Below the noted ones a decoder that is not; nothing is said of the first position. */
		model_region = (struct cxl_region){.there = true,
						   .committed = committed,
						   .ways = 2,
						   .size = GIB,
						   .targets[1] = foreign};
		foreign->region = &model_region;
		write_note();
		CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
		CHECK_STR(region, "");
		CHECK(model_region.there && model_region.committed == committed);
		CHECK(model_region.targets[1] == foreign && foreign->dpa == 512 * MIB);
		/* What the note is about has been given back all the same. */
		CHECK_EQ(left->dpa, 0);
		CHECK(!noted());
	}
	scratch_done(run);
}

/* Somebody's region has taken a decoder that was noted, and had got nothing yet: it keeps it. */
TEST(a_noted_decoder_that_another_has)
{
	scratch_new(run);
	for (int there = 0; there < 2; there++) {
		struct cxl_decoder *ours = &model_memdevs[1].decoders[0];
		struct cxl_decoder *other = &model_memdevs[0].decoders[0];

		model_new();
		ours->dpa = other->dpa = 512 * MIB;
		other->region = &model_other;
		if (there) {
			model_region = (struct cxl_region){
				.there = true, .ways = 2, .size = GIB, .targets[0] = ours};
			ours->region = &model_region;
		}
		write_note();
		CHECK_EQ(tier_declared_remove_unfinished(region, &problem), 0);
		CHECK_STR(region, there ? "region0" : "");
		CHECK(!model_region.there && ours->dpa == 0);
		CHECK(other->region == &model_other && other->dpa == 512 * MIB);
		CHECK(!noted());
	}
	scratch_done(run);
}

/* There is one note: nothing is begun as long as it is about something that is still there. */
TEST(a_note_is_not_overwritten)
{
	scratch_new(run);
	model_new();
	/* The driver, then the region's end. */
	model_fail = 16;
	model_fail_again = 18;
	CHECK(create() < 0);
	CHECK(noted() && model_region.there);
	/* The next attempt opens libcxl, and cannot destroy it either. */
	model_calls = 0;
	model_fail = 2;
	model_fail_again = 0;
	CHECK_EQ(create(), TIER_E_BUSY);
	CHECK_EQ(model_calls, 2);
	CHECK_STR(problem.object, "[Region pair]");
	CHECK_STR(problem.text,
		  "cannot make a region in decoder0.0 before another is out of the way: region0 is "
		  "half made, and cannot be destroyed: Device or resource busy");
	CHECK_STR(problem.next, "cxl destroy-region -f region0");
	CHECK(noted() && model_region.there);
	/* Without its region, what a decoder has of its device is in the way as well. */
	model_calls = 0;
	model_fail = 3;
	CHECK_EQ(create(), TIER_E_BUSY);
	CHECK_HAS(problem.text, "region0 is half made, and cannot be destroyed: No space");
	CHECK(noted() && !model_region.there);
	model_calls = 0;
	model_fail = 2;
	CHECK_EQ(create(), TIER_E_BUSY);
	CHECK_HAS(problem.text,
		  "region0 was half made, and what its decoders have of their devices");
	CHECK(noted());
	model_fail = 0;
	CHECK_EQ(create(), 0);
	check_made();
	scratch_done(run);
}

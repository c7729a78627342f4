/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "clock.h"
#include "memory-offline.h"
#include "page-look.h"

#define SECOND UINT64_C(1000000)

/* While the kernel works on a block it lets nobody else change memory, so an attempt has an end. */
#define QUIET_USEC (10 * SECOND)
/* Who sets no deadline does not want to wait for a pin that has lasted so long. */
#define STUCK_USEC (30 * SECOND)
/* Within that, the kernel has tried each page that is left several times. */
#define SETTLED_USEC (3 * SECOND)
/* Between two looks at the block's pages, and how much longer than a look that is at least. */
#define LOOK_USEC    (SECOND / 5)
#define LOOK_SHARE   10
#define MAPPERS_USEC (10 * SECOND)

/*
 * EBUSY: a page that cannot be moved. Kernel pages hardly ever go away, each attempt is slow and
 * writes a page's state into the kernel log, so there one answer is believed.
 */
enum {
	MOVABLE_ATTEMPTS = 5,
	KERNEL_ATTEMPTS = 1,
};

/* The block in hand. */
struct work {
	struct offline_job *job;
	uint64_t block;
	enum tier_zone zone;
	int node;
	struct page_look look;
	int look_code; /* of the last one */
	bool fresh;    /* an attempt has begun since */
	uint64_t used_pages, changed_usec, look_usec;
	bool tried;
	bool waiting; /* for the kernel's lock: the block is not being evacuated */
};

static void work_done(struct work *work)
{
	page_look_done(&work->look);
}

void offline_tell(const struct offline_job *job, enum tier_offline_phase phase, uint64_t block,
		  uint64_t part_bytes)
{
	const struct tier_offline_result *result = job->result;

	if (job->options->progress)
		job->options->progress(
			job->options->userdata,
			&(struct tier_offline_progress){.phase = phase,
							.block = block,
							.done_bytes = job->done_bytes + part_bytes,
							.total_bytes = result->block_count *
								       result->block_bytes});
}

static void forget_looks(struct work *work)
{
	memset(work->look.flags, 0, work->look.page_count * sizeof(*work->look.flags));
	work->fresh = true;
}

/* Somebody else is adding, onlining or offlining memory. */
static bool is_waiting(const struct work *work)
{
	char state[32];

	return work->tried &&
	       sysfs_read_string(work->job->sysfs, state, sizeof(state),
				 "sys/devices/system/memory/memory%" PRIu64 "/state",
				 work->block) == 0 &&
	       streq(state, "online");
}

static void take_look(struct work *work)
{
	uint64_t begun = now_usec(), now, used;

	work->look_code = page_look_flags(&work->look, work->job->sysfs);
	work->waiting = is_waiting(work);
	now = now_usec();
	work->look_usec = now + MAX(LOOK_USEC, LOOK_SHARE * (now - begun));
	if (work->waiting)
		work->changed_usec = now;
	if (work->look_code != 0)
		return;
	used = page_holders_used(work->look.flags, work->look.page_count);
	if (!work->fresh && used < work->used_pages)
		work->changed_usec = now;
	if (work->fresh || used < work->used_pages) {
		work->used_pages = used;
		offline_tell(work->job, TIER_OFFLINE_EVACUATING, work->block,
			     work->job->result->block_bytes - used * work->look.page_bytes);
	}
	work->fresh = false;
}

/* One write. 0; -ETIMEDOUT: ended here; -EINPROGRESS; what the kernel says. */
static int attempt(struct work *work)
{
	struct offline_job *job = work->job;
	uint64_t begun = now_usec();
	struct sysfs_writer writer;
	int r = sysfs_write_begin(job->sysfs, &writer, "offline",
				  "sys/devices/system/memory/memory%" PRIu64 "/state", work->block);

	if (r < 0)
		return r;
	work->tried = true;
	forget_looks(work);
	for (;;) {
		uint64_t end = MIN(job->deadline_usec, MAX(begun, work->changed_usec) + QUIET_USEC);
		uint64_t next = MIN(end, work->look_usec);
		enum sysfs_write_event event =
			sysfs_write_wait(&writer, job->options->wake_fd, poll_timeout(next));

		if (event == SYSFS_WRITE_ENDED)
			break;
		if (event == SYSFS_WRITE_WAKE && job->options->wake(job->options->userdata) != 0) {
			job->cancelled = true;
			break;
		}
		/* The last one before it is given up: what is left is isolated, nothing is new. */
		if (now_usec() >= next)
			take_look(work);
		if (now_usec() >= end)
			break;
	}
	r = sysfs_write_end(&writer, SYSFS_GRACE_MSEC);
	job->hung |= r == -EINPROGRESS;
	return r;
}

uint64_t offline_between(struct offline_job *job)
{
	uint64_t began = now_usec(), spent;

	if (job->options->between && job->options->between(job->options->userdata) != 0)
		job->cancelled = true;
	spent = now_usec() - began;
	job->begun_usec += spent;
	job->deadline_usec += spent;
	return spent;
}

/* May others change memory for a moment? False: cancelled. */
static bool between(struct work *work)
{
	work->changed_usec += offline_between(work->job);
	return !work->job->cancelled;
}

/* How the kernel left the block. */
static enum page_holders_end end_of(const struct work *work, int error)
{
	if (error == -EBUSY || error == -EAGAIN)
		return PAGE_HOLDERS_GAVE_UP;
	return work->tried && now_usec() - work->changed_usec >= SETTLED_USEC ? PAGE_HOLDERS_TRYING
									      : PAGE_HOLDERS_MOVING;
}

static void read_holders(struct work *work, int error, struct tier_block_holders *holders)
{
	enum page_holders_end end = end_of(work, error);

	*holders = (struct tier_block_holders){
		.block = work->block,
		.node = work->node,
		.zone = work->zone,
		.page_bytes = work->look.page_bytes,
		.room_bytes = TIER_UNKNOWN_U64,
	};
	if (end == PAGE_HOLDERS_GAVE_UP) {
		forget_looks(work);
		work->look_code = page_look_flags(&work->look, work->job->sysfs);
	}
	if (work->look_code == SYSFS_ABSENT)
		copy_string(holders->unknown, sizeof(holders->unknown),
			    "this kernel has no /proc/kpageflags (CONFIG_PROC_PAGE_MONITOR)");
	else if (work->look_code == SYSFS_DENIED)
		copy_string(holders->unknown, sizeof(holders->unknown),
			    "/proc/kpageflags cannot be read without privilege");
	else if (work->look_code < 0)
		snprintf(holders->unknown, sizeof(holders->unknown), "/proc/kpageflags: %s",
			 strerror(-work->look_code));
	else if (page_look_classify(&work->look, work->job->sysfs, end, MAPPERS_USEC, holders) < 0)
		copy_string(holders->unknown, sizeof(holders->unknown), "out of memory");
}

static int fail_held(struct work *work, int error, const char *where)
{
	struct offline_job *job = work->job;
	struct tier_block_holders *holders = calloc(1, sizeof(*holders));
	bool late = error == -ETIMEDOUT && now_usec() >= job->deadline_usec;
	char text[300], next[256], within[48] = "";

	if (!holders)
		return tier_problem_set(job->problem, -ENOMEM, job->region, NULL,
					"cannot offline memory block %" PRIu64, work->block);
	if (!job->result->has_holders)
		read_holders(work, error, holders);
	page_holders_text(holders, text, sizeof(text));
	page_holders_next(holders, next, sizeof(next));
	if (late)
		snprintf(within, sizeof(within), " within %" PRIu64 " s",
			 (job->deadline_usec - job->begun_usec + SECOND / 2) / SECOND);
	if (!job->result->has_holders) {
		job->result->holders = *holders;
		job->result->has_holders = true;
	}
	free(holders);
	return tier_problem_set(job->problem, late ? TIER_E_TIMEOUT : TIER_E_BUSY, job->region,
				next, "cannot offline memory block %" PRIu64 " (%s)%s: %s",
				work->block, where, within, text);
}

static int fail(struct work *work, int error)
{
	struct offline_job *job = work->job;
	uint64_t *place;
	char where[64];

	if (job->cancelled)
		return tier_problem_set(job->problem, TIER_E_CANCELLED, job->region, NULL,
					"cancelled at memory block %" PRIu64, work->block);
	place = array_grow(&job->result->stay, &job->result->stay_count, sizeof(*place));
	if (!place)
		return tier_problem_set(job->problem, -ENOMEM, job->region, NULL,
					"cannot offline memory block %" PRIu64, work->block);
	*place = work->block;
	snprintf(where, sizeof(where), "node %d, zone %s", work->node, tier_zone_name(work->zone));
	if (error == -ETIMEDOUT && work->waiting)
		return tier_problem_set(job->problem, TIER_E_TIMEOUT, job->region,
					"wait until that has ended; tierctl list blocks",
					"cannot offline memory block %" PRIu64
					" (%s): all the time somebody else was adding, onlining or "
					"offlining memory",
					work->block, where);
	if (error == -EBUSY || error == -EAGAIN || error == -ETIMEDOUT)
		return fail_held(work, error, where);
	if (error == -EINPROGRESS)
		return tier_problem_set(job->problem, TIER_E_TIMEOUT, job->region,
					"see the kernel log for storage or a driver that does not "
					"answer; tierctl list blocks",
					"memory block %" PRIu64 " (%s): the kernel does not stop "
					"evacuating it, though its process was killed",
					work->block, where);
	return tier_problem_set(job->problem, error, job->region,
				error == -EACCES || error == -EPERM ? "try again as root"
								    : "see the kernel log",
				"cannot offline memory block %" PRIu64 " (%s)", work->block, where);
}

static int evacuate(struct work *work)
{
	struct offline_job *job = work->job;
	int limit = work->zone == TIER_ZONE_MOVABLE ? MOVABLE_ATTEMPTS : KERNEL_ATTEMPTS;
	int refusals = 0, r = -ETIMEDOUT;

	while (now_usec() < job->deadline_usec) {
		bool again;

		r = attempt(work);
		if (r == 0 || job->cancelled)
			break;
		if (r == -ETIMEDOUT)
			/* Without a look there is no telling that it is stuck. Others may have a chance. */
			again = work->look_code != 0 || work->waiting ||
				(!job->options->keep_partial &&
				 (job->options->deadline_usec > 0 ||
				  now_usec() - work->changed_usec < STUCK_USEC));
		else
			again = (r == -EBUSY || r == -EAGAIN) && ++refusals < limit;
		if (!again || !between(work))
			break;
	}
	return r == 0 ? 0 : fail(work, r);
}

int offline_block(struct offline_job *job, uint64_t block, enum tier_zone *ret_zone)
{
	_cleanup_(work_done) struct work work = {
		.job = job, .block = block, .node = TIER_ABSENT_NODE, .fresh = true};
	int r = memory_block_zone(job->sysfs, block, &work.zone);

	if (r < 0)
		return tier_problem_set(job->problem, r, job->region, NULL,
					"cannot read the state of memory block %" PRIu64, block);
	*ret_zone = work.zone;
	if (work.zone == TIER_ZONE_NONE)
		return 0;
	work.node = memory_block_node(job->sysfs, block);
	r = page_look_new(&work.look, block, job->result->block_bytes);
	if (r < 0)
		return tier_problem_set(job->problem, r, job->region, NULL,
					"cannot offline memory block %" PRIu64, block);
	take_look(&work);
	work.changed_usec = now_usec();
	r = evacuate(&work);
	if (r == 0)
		memory_block_disallow(job->sysfs, block);
	return r;
}

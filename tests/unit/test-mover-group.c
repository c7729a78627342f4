/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes of a cgroup that come, go, fork and execute while they are moved. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mover-group.h"
#include "mover-process.h"
#include "test.h"

/* What a process does when its turn comes, or what its number stands for. */
struct model_process {
	pid_t pid;
	uint64_t start, stack;
	uint64_t pages;
	int code;	/* of its move */
	int came;	/* in which listing it is first */
	int left;	/* and from which on no more; 0: never */
	unsigned moves; /* how often it was moved */
	uint64_t asked; /* total_pages that its move told of */
};

struct model {
	struct model_process *processes;
	size_t count;
	int listings;
	bool hasty; /* who comes and leaves with the next listing has done so before anybody is moved */
	bool forks; /* each listing has one more */
	uint64_t last_scanned, last_total;
	bool stop; /* the progress says so */
};

static bool is_there(const struct model_process *p, int now)
{
	return now >= p->came && (!p->left || now < p->left);
}

static int model_list(void *userdata, struct group_list *list)
{
	struct model *m = userdata;
	int now = m->listings++;

	for (size_t i = 0; i < m->count; i++) {
		const struct model_process *p = &m->processes[i];

		if (!is_there(p, now))
			continue;
		/* cgroup.procs may tell one twice. */
		for (int twice = 0; twice < 2; twice++) {
			struct group_process *place =
				array_grow(&list->list, &list->count, sizeof(*place));

			*place = (struct group_process){p->pid, {p->start, p->stack}};
			if (p->pid == 0)
				break;
		}
	}
	if (m->forks) {
		struct group_process *place = array_grow(&list->list, &list->count, sizeof(*place));

		*place = (struct group_process){1000 + now, {1, 1}};
	}
	return 0;
}

/* Whoever has the number now, as for the kernel; NULL if nobody. */
static struct model_process *find(struct model *m, pid_t pid)
{
	static struct model_process child;
	int now = m->listings - !m->hasty;

	for (size_t i = 0; i < m->count; i++)
		if (m->processes[i].pid == pid && is_there(&m->processes[i], now))
			return &m->processes[i];
	child = (struct model_process){.pid = pid, .start = 1, .stack = 1, .pages = 1};
	return pid >= 1000 ? &child : NULL;
}

static uint64_t model_pages(void *userdata, const struct group_process *process)
{
	const struct model_process *p = find(userdata, process->pid);

	return p ? p->pages : 0;
}

static int model_move(void *userdata, const struct group_process *process,
		      tier_move_progress progress, void *progress_userdata,
		      struct tier_move_result *ret, struct tier_problem *problem)
{
	struct model_process *p = find(userdata, process->pid);
	char object[32];

	*ret = (struct tier_move_result){.page_bytes = 4096};
	if (!p || !process_identity_same(&(struct process_identity){p->start, p->stack},
					 &process->identity))
		return tier_problem_set(problem, -ESRCH, "process", NULL, "another's number");
	p->moves++;
	if (p->code == 0 || p->code > 0) {
		ret->scanned_pages = p->pages;
		ret->moved_pages = p->pages / 2;
		ret->absent_pages = p->pages - p->pages / 2;
		if (progress(progress_userdata, ret, p->pages) != 0)
			return tier_problem_set(problem, TIER_E_CANCELLED, "process", NULL,
						"stopped");
	}
	snprintf(object, sizeof(object), "process %d", p->pid);
	return p->code ? tier_problem_set(problem, p->code, object, NULL, "no") : 0;
}

static int on_progress(void *userdata, const struct tier_move_result *so_far, uint64_t total_pages)
{
	struct model *m = userdata;

	m->last_scanned = so_far->scanned_pages;
	m->last_total = total_pages;
	return m->stop;
}

static const struct group_ops model_ops = {model_list, model_pages, model_move};
static struct tier_move_group_result result;
static struct tier_problem problem;

static int move(struct model *m)
{
	struct group group = {&model_ops, m, on_progress, m, &result};

	result = (struct tier_move_group_result){};
	problem = (struct tier_problem){};
	return group_move(&group, &problem);
}

#define MODEL(name, ...)                                                                           \
	struct model_process name##_processes[] = {__VA_ARGS__};                                   \
	struct model name = {name##_processes, ARRAY_SIZE(name##_processes)}

TEST(each_is_moved_once)
{
	MODEL(m, {.pid = 10, .start = 1, .pages = 100}, {.pid = 11, .start = 2, .pages = 50});

	CHECK_EQ(move(&m), 0);
	CHECK_EQ(result.processes, 2);
	CHECK_EQ(m_processes[0].moves, 1);
	CHECK_EQ(m_processes[1].moves, 1);
	CHECK_EQ(result.pages.scanned_pages, 150);
	CHECK_EQ(result.pages.moved_pages, 75);
	CHECK_EQ(result.pages.absent_pages, 75);
	CHECK_EQ(m.last_scanned, 150);
	CHECK_EQ(m.last_total, 150);
}

TEST(some_come_meanwhile)
{
	MODEL(m, {.pid = 10, .start = 1, .pages = 100},
	      {.pid = 11, .start = 2, .pages = 50, .came = 1},
	      {.pid = 12, .start = 3, .pages = 20, .came = 2});

	CHECK_EQ(move(&m), 0);
	CHECK_EQ(m.listings, 4);
	CHECK_EQ(result.processes, 3);
	CHECK_EQ(m_processes[2].moves, 1);
	CHECK_EQ(result.pages.scanned_pages, 170);
	CHECK_EQ(m.last_total, 170);
}

/* The same number: another process, or another program. */
TEST(numbers_are_given_again)
{
	MODEL(m, {.pid = 10, .start = 1, .stack = 5, .pages = 10, .left = 1},
	      {.pid = 10, .start = 2, .stack = 5, .pages = 10, .came = 1, .left = 2},
	      {.pid = 10, .start = 2, .stack = 6, .pages = 10, .came = 2});

	CHECK_EQ(move(&m), 0);
	CHECK_EQ(result.processes, 3);
	for (size_t i = 0; i < m.count; i++)
		CHECK_EQ(m_processes[i].moves, 1);
}

/* Listed, ended, and its number another's when its turn comes: nobody is moved for it. */
TEST(a_number_is_given_away_before_its_turn)
{
	MODEL(m, {.pid = 10, .start = 1, .stack = 5, .pages = 100, .left = 1},
	      {.pid = 10, .start = 2, .stack = 5, .pages = 10, .came = 1},
	      {.pid = 11, .start = 1, .stack = 5, .pages = 20, .left = 1},
	      {.pid = 11, .start = 1, .stack = 6, .pages = 30, .came = 1});

	m.hasty = true;
	CHECK_EQ(move(&m), 0);
	CHECK_EQ(result.gone, 2);
	CHECK_EQ(result.processes, 2);
	CHECK_EQ(m_processes[0].moves, 0);
	CHECK_EQ(m_processes[1].moves, 1);
	CHECK_EQ(m_processes[3].moves, 1);
	CHECK_EQ(result.pages.scanned_pages, 40);
}

#define TO_21	    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18"
#define FROM_23	    "23 24 25 26 27"
#define STAT(start) "S " TO_21 " " start " " FROM_23

TEST(identities)
{
	static const char *const names[] = {"sh", "a b", ") S 1 (", "tmux: server", "x) 1 2 3", ""};
	static const char *const bad[] = {"",
					  "12",
					  "12 (sh",
					  "12 (sh) S 1 2 3",
					  "12 (sh) " STAT("x") " 28 29",
					  "12 (sh) " STAT("22")};
	struct process_identity identity;
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		identity = (struct process_identity){};
		snprintf(text, sizeof(text), "12 (%s) " STAT("22") " 28 29 30\n", names[i]);
		CHECK(process_identity_parse(text, &identity));
		CHECK_EQ(identity.start_ticks, 22);
		CHECK_EQ(identity.stack, 28);
	}
	snprintf(text, sizeof(text), "1 (sh) " STAT("18446744073709551615") " 140736000000000 0\n");
	CHECK(process_identity_parse(text, &identity));
	CHECK_EQ(identity.start_ticks, UINT64_MAX);
	CHECK_EQ(identity.stack, 140736000000000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!process_identity_parse(bad[i], &identity));
	CHECK_EQ(identity.start_ticks, UINT64_MAX);
}

/* A process of this machine: by its number and another's identity it is not there. */
TEST(a_number_alone_is_not_enough)
{
	_cleanup_sysfs_ struct sysfs root = SYSFS_CLOSED;
	struct process_identity identity, wrong;
	struct tier_move_request request = {.to = 0, .dry_run = true};
	struct tier_move_result pages;
	uint64_t ready_usec = 0;

	CHECK_EQ(sysfs_open(&root, NULL), 0);
	request.pid = fork();
	CHECK(request.pid >= 0);
	if (request.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	CHECK_EQ(mover_identify(&root, request.pid, &identity), 0);
	CHECK(identity.start_ticks > 0);
	/* What else it says is of this machine. */
	CHECK(mover_process(&request, &identity, NULL, NULL, &ready_usec, &pages, &problem) !=
	      -ESRCH);
	wrong = identity;
	wrong.start_ticks--;
	CHECK_EQ(mover_process(&request, &wrong, NULL, NULL, &ready_usec, &pages, &problem),
		 -ESRCH);
	wrong = identity;
	wrong.stack += 16;
	CHECK_EQ(mover_process(&request, &wrong, NULL, NULL, &ready_usec, &pages, &problem),
		 -ESRCH);
	CHECK_EQ(pages.scanned_pages, 0);
	kill(request.pid, SIGKILL);
	CHECK_EQ(waitpid(request.pid, NULL, 0), request.pid);
	CHECK_EQ(mover_identify(&root, request.pid, &identity), -ESRCH);
}

TEST(some_end)
{
	MODEL(m, {.pid = 10, .start = 1, .pages = 100, .code = -ESRCH},
	      {.pid = 11, .start = 2, .pages = 50});

	CHECK_EQ(move(&m), 0);
	CHECK_EQ(result.gone, 1);
	CHECK_EQ(result.processes, 1);
	/* Who is gone is not waited for. */
	CHECK_EQ(m.last_total, 50);
}

TEST(the_refused_do_not_keep_the_others)
{
	MODEL(m, {.pid = 10, .start = 1, .pages = 100, .code = -EPERM},
	      {.pid = 11, .start = 2, .pages = 50, .code = -EACCES},
	      {.pid = 12, .start = 3, .pages = 20});

	CHECK_EQ(move(&m), -EPERM);
	CHECK_STR(problem.object, "process 10");
	CHECK_EQ(result.refused, 2);
	CHECK_EQ(result.processes, 1);
	CHECK_EQ(m_processes[2].moves, 1);
}

TEST(a_full_node_ends_it)
{
	MODEL(m, {.pid = 10, .start = 1, .pages = 100, .code = TIER_E_NO_SPACE},
	      {.pid = 11, .start = 2, .pages = 50});

	CHECK_EQ(move(&m), TIER_E_NO_SPACE);
	CHECK_STR(problem.object, "process 10");
	CHECK_EQ(m_processes[1].moves, 0);
	CHECK_EQ(result.pages.scanned_pages, 100);
}

TEST(cancelled)
{
	MODEL(m, {.pid = 10, .start = 1, .pages = 100}, {.pid = 11, .start = 2, .pages = 50});

	m.stop = true;
	CHECK_EQ(move(&m), TIER_E_CANCELLED);
	CHECK_EQ(m_processes[1].moves, 0);
	CHECK_EQ(m.last_total, 150);
}

TEST(forks_without_end)
{
	struct model m = {.forks = true};

	CHECK_EQ(move(&m), TIER_E_BUSY);
	CHECK(result.processes >= 100 && m.listings < 200);
	CHECK_HAS(problem.text, "processes have come");
}

TEST(nobody_there)
{
	struct model m = {};

	CHECK_EQ(move(&m), TIER_E_NOT_FOUND);
}

/* Those that have no number here are told, whatever became of the others. */
TEST(other_namespaces)
{
	MODEL(m, {.pid = 0}, {.pid = 0}, {.pid = 12, .start = 3, .pages = 20});

	CHECK_EQ(move(&m), TIER_E_REFUSED);
	CHECK_EQ(result.hidden, 2);
	CHECK_EQ(result.processes, 1);
	CHECK_HAS(problem.text, "2 of its processes");
}

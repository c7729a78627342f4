/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cgroups and processes that have a policy: what follows for each, and in which order a step goes over them. */
#include "share.h"
#include "util.h"

/* A round is over in a few seconds, whoever makes cgroups. */
#define TURNS_MAX 32

struct tier_share_groups *tier_share_groups_free(struct tier_share_groups *groups)
{
	if (!groups)
		return NULL;
	for (size_t i = 0; i < groups->count; i++)
		free(groups->groups[i].path);
	free(groups->groups);
	free(groups);
	return NULL;
}

int share_add(struct tier_share_groups *groups, const char *path, pid_t pid,
	      enum tier_share_source source, const struct tier_share *policy)
{
	struct tier_share_group *group = NULL;

	for (size_t i = 0; i < groups->count && !group; i++)
		if (groups->groups[i].pid == pid && (pid || streq(groups->groups[i].path, path)))
			group = &groups->groups[i];
	if (!group) {
		_cleanup_free_ char *copy = strdup(path);

		group = copy ? array_grow(&groups->groups, &groups->count, sizeof(*group)) : NULL;
		if (!group)
			return -ENOMEM;
		group->path = TAKE(copy);
		group->pid = pid;
	}
	struct tier_share merged = *policy;

	share_merge(&group->own, &merged);
	group->own = merged;
	group->sources |= 1U << source;
	return 0;
}

/* "/" is above all. */
static bool is_within(const char *path, const char *above)
{
	size_t length = strlen(above);

	if (streq(above, "/"))
		return path[0] == '/';
	return strncmp(path, above, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Cgroups, which have no number, before processes, and those above before those below. */
static int in_order(const void *a, const void *b)
{
	const struct tier_share_group *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return strcmp(x->path, y->path);
}

static int cgroup_of(const struct tier_share_groups *groups, size_t count, const char *path)
{
	int found = -1;

	/* The longest one. */
	for (size_t i = 0; i < count; i++)
		if (!groups->groups[i].pid && is_within(path, groups->groups[i].path) &&
		    (found < 0 ||
		     strlen(groups->groups[i].path) >= strlen(groups->groups[found].path)))
			found = (int)i;
	return found;
}

void share_resolve(struct tier_share_groups *groups)
{
	if (groups->count)
		qsort(groups->groups, groups->count, sizeof(*groups->groups), in_order);
	for (size_t i = 0; i < groups->count; i++) {
		struct tier_share_group *group = &groups->groups[i];
		struct tier_share said = group->own;

		group->parent = cgroup_of(groups, i, group->path);
		/* A bound is of the cgroup as a whole, and not of each that is below it. */
		group->min_bytes = share_amount_bytes(&said.dram_min, groups->fast_total_bytes, 0);
		group->max_bytes =
			share_amount_bytes(&said.dram_max, groups->fast_total_bytes, UINT64_MAX);
		for (int above = group->parent; above >= 0; above = groups->groups[above].parent)
			share_merge(&groups->groups[above].own, &said);
		group->demote = said.demote != TIER_SHARE_NO;
		group->promote = said.promote != TIER_SHARE_NO;
		group->latency_sensitive = said.latency_sensitive == TIER_SHARE_YES;
	}
}

int tier_share_group_of(const struct tier_share_groups *groups, pid_t pid, const char *cgroup)
{
	for (size_t i = 0; i < groups->count; i++)
		if (groups->groups[i].pid == pid)
			return (int)i;
	return cgroup_of(groups, groups->count, cgroup);
}

static uint64_t over(const struct tier_share_group *group)
{
	return group->fast_bytes > group->max_bytes ? group->fast_bytes - group->max_bytes : 0;
}

/* What it, or one above it, has beyond its DramMax. */
static uint64_t over_with_those_above(const struct tier_share_groups *groups, int i)
{
	uint64_t most = 0;

	for (; i >= 0; i = groups->groups[i].parent)
		most = MAX(most, over(&groups->groups[i]));
	return most;
}

/* All DramMin hold. */
static uint64_t may_lose(const struct tier_share_groups *groups, int i)
{
	uint64_t least = UINT64_MAX;

	for (; i >= 0; i = groups->groups[i].parent) {
		const struct tier_share_group *group = &groups->groups[i];

		least = MIN(least, group->fast_bytes - MIN(group->fast_bytes, group->min_bytes));
	}
	return least;
}

/* All DramMax hold. */
static uint64_t may_get(const struct tier_share_groups *groups, int i)
{
	uint64_t least = UINT64_MAX;

	for (; i >= 0; i = groups->groups[i].parent) {
		const struct tier_share_group *group = &groups->groups[i];

		least = MIN(least, group->max_bytes - MIN(group->max_bytes, group->fast_bytes));
	}
	return least;
}

/* Of it and of those below it; what is not worth a round does not count. */
static uint64_t over_in_all(const struct tier_share_groups *groups, int i)
{
	const struct tier_share_group *group = &groups->groups[i];
	uint64_t own = over(group), below = 0;

	for (size_t n = 0; n < groups->count; n++)
		if (groups->groups[n].parent == i)
			below += over_in_all(groups, (int)n);
	if (!group->demote || own <= MAX(MIB, group->max_bytes / 64))
		return below;
	/* Their memory is its own. */
	return MAX(below, MIN(own, may_lose(groups, i)));
}

uint64_t tier_share_over(const struct tier_share_groups *groups)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < groups->count; i++)
		if (groups->groups[i].parent < 0)
			sum += over_in_all(groups, (int)i);
	return sum;
}

/* A part of its bound, so that a round fetches a good deal, and what is there of use stays. */
static uint64_t tight(const struct tier_share_groups *groups, int i)
{
	const struct tier_share_group *group = &groups->groups[i];
	uint64_t wanted = MIN(group->max_bytes / 4, group->slow_bytes), got = may_get(groups, i);

	if (group->max_bytes == UINT64_MAX || !group->demote || !group->promote || got >= wanted)
		return 0;
	return MIN(wanted - got, may_lose(groups, i));
}

uint64_t tier_share_tight(const struct tier_share_groups *groups)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < groups->count; i++)
		sum += tight(groups, (int)i);
	return sum;
}

/* What it has on slow nodes and may not have promoted, for its own sake or for that of those below it. */
static uint64_t blocked(const struct tier_share_groups *groups, int i)
{
	const struct tier_share_group *group = &groups->groups[i];
	uint64_t own = group->slow_bytes, sum = 0;

	for (size_t n = 0; n < groups->count; n++)
		if (groups->groups[n].parent == i) {
			own -= MIN(own, groups->groups[n].slow_bytes);
			sum += blocked(groups, (int)n);
		}
	if (!group->promote)
		sum += own;
	return MAX(sum, group->slow_bytes - MIN(group->slow_bytes, may_get(groups, i)));
}

uint64_t tier_share_blocked(const struct tier_share_groups *groups)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < groups->count; i++)
		if (groups->groups[i].parent < 0)
			sum += blocked(groups, (int)i);
	return sum;
}

/* What is asked for at least: by it, or by those below it together. */
static uint64_t asked(const struct tier_share_groups *groups, int i)
{
	uint64_t sum = 0;

	for (size_t n = 0; n < groups->count; n++)
		if (groups->groups[n].parent == i)
			sum += asked(groups, (int)n);
	return MAX(sum, groups->groups[i].min_bytes);
}

static bool contradiction(const struct tier_share_groups *groups, char *text, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < groups->count; i++) {
		const struct tier_share_group *group = &groups->groups[i];
		char least[16], most[16];

		if (group->min_bytes > group->max_bytes) {
			snprintf(text, size, "%s has a DramMin of %s, and a DramMax of %s",
				 group->path, format_bytes(least, group->min_bytes),
				 format_bytes(most, group->max_bytes));
			return true;
		}
		for (int above = group->parent; above >= 0; above = groups->groups[above].parent)
			if (group->min_bytes > groups->groups[above].max_bytes) {
				snprintf(text, size,
					 "%s has a DramMin of %s, and %s above it a DramMax of %s",
					 group->path, format_bytes(least, group->min_bytes),
					 groups->groups[above].path,
					 format_bytes(most, groups->groups[above].max_bytes));
				return true;
			}
		if (group->max_bytes != UINT64_MAX && !group->demote) {
			snprintf(text, size,
				 "%s has a DramMax, which cannot be kept with Demote=no",
				 group->path);
			return true;
		}
		if (group->parent < 0)
			sum += asked(groups, (int)i);
	}
	if (sum <= groups->fast_total_bytes)
		return false;
	char asked[16], there[16];

	snprintf(text, size,
		 "all DramMin together are %s, and there are %s: nothing is demoted that would be "
		 "needed",
		 format_bytes(asked, sum), format_bytes(there, groups->fast_total_bytes));
	return true;
}

bool tier_share_contradiction(const struct tier_share_groups *groups, char *text, size_t size)
{
	bool found = contradiction(groups, text, size);

	if (found)
		make_printable(text);
	return found;
}

/* Has it, or one above it, a bound, or a rank of its own? */
static bool has_turn(const struct tier_share_groups *groups, int i)
{
	if (groups->groups[i].latency_sensitive)
		return true;
	for (; i >= 0; i = groups->groups[i].parent)
		if (groups->groups[i].min_bytes || groups->groups[i].max_bytes != UINT64_MAX)
			return true;
	return false;
}

static bool allowed(const struct tier_share_groups *groups, enum tier_tiering_act act, int i)
{
	return act == TIER_TIERING_DEMOTE ? groups->groups[i].demote : groups->groups[i].promote;
}

bool tier_share_in_turn(const struct tier_share_groups *groups, enum tier_tiering_act act,
			const struct tier_share_turn *turn, int group)
{
	if (turn->group >= 0)
		return group == turn->group;
	return group < 0 || (allowed(groups, act, group) && !has_turn(groups, group));
}

uint64_t tier_share_limit(const struct tier_share_groups *groups, enum tier_tiering_act act,
			  const struct tier_share_turn *turn, uint64_t room_bytes)
{
	uint64_t limit;

	if (act == TIER_TIERING_PROMOTE)
		return turn->group < 0 ? UINT64_MAX : may_get(groups, turn->group);
	if (turn->group < 0)
		return room_bytes;
	limit = may_lose(groups, turn->group);
	if (turn->why == TIER_SHARE_OVER)
		return MIN(limit, over_with_those_above(groups, turn->group));
	if (turn->why == TIER_SHARE_TIGHT)
		return MAX(tight(groups, turn->group), MIN(limit, room_bytes));
	return MIN(limit, room_bytes);
}

void tier_share_moved(struct tier_share_groups *groups, enum tier_tiering_act act,
		      const struct tier_share_turn *turn, uint64_t bytes)
{
	for (int i = turn->group; i >= 0; i = groups->groups[i].parent) {
		struct tier_share_group *group = &groups->groups[i];
		uint64_t *from =
			act == TIER_TIERING_DEMOTE ? &group->fast_bytes : &group->slow_bytes;
		uint64_t *to = act == TIER_TIERING_DEMOTE ? &group->slow_bytes : &group->fast_bytes;

		*from -= MIN(*from, bytes);
		*to += bytes;
	}
}

struct turns {
	struct tier_share_turn *turns;
	size_t count;
};

static int add_turn(struct turns *turns, int group, enum tier_share_why why)
{
	/* The rest has its turn, however many groups there are; and so have some that are in nobody's way. */
	size_t most = group < 0			? TURNS_MAX
		      : why == TIER_SHARE_TIGHT ? TURNS_MAX / 2
						: TURNS_MAX - 1;
	struct tier_share_turn *turn;

	if (turns->count >= most)
		return 0;
	turn = array_grow(&turns->turns, &turns->count, sizeof(*turn));
	if (!turn)
		return -ENOMEM;
	*turn = (struct tier_share_turn){group, why};
	return 0;
}

enum rank { IN_ITS_OWN_WAY, FIRST, WITH_ALL, LAST, RANKS };

/* Each has one turn: a pass forgets what it sees, and to a second one all would be cold. */
static enum rank rank_of(const struct tier_share_groups *groups, enum tier_tiering_act act, int i)
{
	if (act == TIER_TIERING_DEMOTE && tight(groups, i))
		return IN_ITS_OWN_WAY;
	if (!groups->groups[i].latency_sensitive)
		return WITH_ALL;
	return act == TIER_TIERING_DEMOTE ? LAST : FIRST;
}

static int add_over(const struct tier_share_groups *groups, uint64_t number, struct turns *turns)
{
	int r = 0;

	for (unsigned last = 0; last <= 1; last++)
		for (size_t n = 0; n < groups->count && r == 0; n++) {
			int i = (int)((n + number) % groups->count);

			if (allowed(groups, TIER_TIERING_DEMOTE, i) &&
			    groups->groups[i].latency_sensitive == last &&
			    over_with_those_above(groups, i))
				r = add_turn(turns, i, TIER_SHARE_OVER);
		}
	return r;
}

static int add_ranks(const struct tier_share_groups *groups, enum tier_tiering_act act,
		     uint64_t number, struct turns *turns)
{
	int r = 0;

	for (unsigned rank = 0; rank < RANKS && r == 0; rank++) {
		/* In one round the groups come before the rest, in the next after it. */
		if (rank == WITH_ALL && number & 1)
			r = add_turn(turns, -1, TIER_SHARE_ANY);
		for (size_t n = 0; n < groups->count && r == 0; n++) {
			int i = (int)((n + number) % groups->count);

			if (has_turn(groups, i) && allowed(groups, act, i) &&
			    rank_of(groups, act, i) == rank)
				r = add_turn(turns, i,
					     rank == IN_ITS_OWN_WAY ? TIER_SHARE_TIGHT
								    : TIER_SHARE_ANY);
		}
		if (rank == WITH_ALL && !(number & 1) && r == 0)
			r = add_turn(turns, -1, TIER_SHARE_ANY);
	}
	return r;
}

ssize_t tier_share_turns(const struct tier_share_groups *groups, enum tier_tiering_act act,
			 bool only_over, uint64_t number, struct tier_share_turn **ret)
{
	struct turns turns = {};
	int r = only_over ? add_over(groups, number, &turns)
			  : add_ranks(groups, act, number, &turns);

	if (r) {
		free(turns.turns);
		return r;
	}
	*ret = turns.turns;
	return (ssize_t)turns.count;
}

uint64_t share_numa_stat(const char *text, uint64_t nodes)
{
	uint64_t sum = 0;

	while (*text) {
		const char *end = text + strcspn(text, "\n");
		/* The LRU lists have the same once more, and the rest stays where it is. */
		bool counts = strncmp(text, "anon ", 5) == 0 || strncmp(text, "file ", 5) == 0;

		for (const char *at = text; counts && at < end;) {
			char *after;
			unsigned long node;

			at = memchr(at, ' ', (size_t)(end - at));
			if (!at)
				break;
			at++;
			if (*at != 'N')
				continue;
			node = strtoul(at + 1, &after, 10);
			if (after == at + 1 || *after != '=')
				continue;
			if (node < 64 && (nodes >> node & 1))
				sum += strtoull(after + 1, NULL, 10);
		}
		text = *end ? end + 1 : end;
	}
	return sum;
}

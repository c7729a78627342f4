/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config-keys.h"
#include "share.h"
#include "test.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_share_groups *, tier_share_groups_free)
#define _cleanup_groups_ _cleanup_(tier_share_groups_freep)

static struct tier_share parse(const char *text)
{
	struct tier_share share = {};
	const char *reason = "";

	if (tier_share_parse(text, &share, &reason) != 0)
		FAIL("\"%s\": %s", text, reason);
	return share;
}

static struct tier_share_groups *groups_new(void)
{
	struct tier_share_groups *groups = calloc(1, sizeof(*groups));

	CHECK(groups);
	groups->fast_total_bytes = 8 * GIB;
	return groups;
}

static void add(struct tier_share_groups *groups, const char *path, pid_t pid,
		enum tier_share_source source, const char *text)
{
	struct tier_share share = parse(text);

	CHECK_EQ(share_add(groups, path, pid, source, &share), 0);
}

static struct tier_share_group *at(struct tier_share_groups *groups, const char *path)
{
	for (size_t i = 0; i < groups->count; i++)
		if (!groups->groups[i].pid && streq(groups->groups[i].path, path))
			return &groups->groups[i];
	FAIL("no %s", path);
}

TEST(text_and_back)
{
	static const char *const same[] = {
		"",
		"DramMin=1073741824",
		"DramMin=25% DramMax=50%",
		"DramMax=4096 Demote=yes Promote=no LatencySensitive=no",
	};
	char text[TIER_SHARE_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct tier_share share = parse(same[i]);

		CHECK_STR(tier_share_format(&share, text), same[i]);
		CHECK_EQ(tier_share_says(&share), same[i][0] != '\0');
	}
	CHECK_EQ(parse(" DramMin=2G\n\tDemote=off ").dram_min.value, 2 * GIB);
}

TEST(what_is_not_understood)
{
	static const char *const bad[] = {
		"DramMin",
		"DramMin=-1",
		"DramMin=1X",
		"DramMin=101%",
		"DramMin=0x10%",
		"DramMin=%",
		"DramMin=1.5G",
		"Demote=maybe",
		"Nothing=1",
		"DramMin = 1G",
		"=",
		"Demote=no,Promote=no",
		"DramMin=11111111111111111111111111111111111111111111111111111111111111111111",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tier_share share = {.demote = TIER_SHARE_YES};
		const char *reason = NULL;

		if (tier_share_parse(bad[i], &share, &reason) != -EINVAL || !reason)
			FAIL("\"%s\" is taken", bad[i]);
		CHECK_EQ(share.demote, TIER_SHARE_YES);
	}
}

TEST(contradictions_of_one)
{
	static const struct {
		const char *text;
		bool wrong;
	} cases[] = {
		{"DramMin=2G DramMax=1G", true},
		{"DramMin=50% DramMax=20%", true},
		{"DramMin=1G DramMax=1G", false},
		/* Of how much memory, nobody knows here. */
		{"DramMin=2G DramMax=10%", false},
		{"DramMax=1G Demote=no", true},
		{"LatencySensitive=yes Promote=no", true},
		{"LatencySensitive=no Promote=no Demote=no", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tier_share share = parse(cases[i].text);

		if ((tier_share_check(&share) != NULL) != cases[i].wrong)
			FAIL("%s", cases[i].text);
	}
}

TEST(who_says_what)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	struct tier_share_group *db;

	add(groups, "/a.slice/db.service", 0, TIER_SHARE_CONFIG, "DramMin=1G Demote=no");
	add(groups, "/a.slice", 0, TIER_SHARE_CONFIG, "Promote=no LatencySensitive=yes");
	add(groups, "/a.slice/db.service", 0, TIER_SHARE_CGROUP, "Demote=yes DramMax=25%");
	add(groups, "/a.slice/db.service/x", 7, TIER_SHARE_PROCESS, "Promote=yes");
	share_resolve(groups);

	CHECK_EQ(groups->count, 3);
	db = at(groups, "/a.slice/db.service");
	CHECK_EQ(db->sources, 1U << TIER_SHARE_CONFIG | 1U << TIER_SHARE_CGROUP);
	CHECK_EQ(db->min_bytes, GIB);
	CHECK_EQ(db->max_bytes, 8 * GIB / 100 * 25);
	CHECK(db->demote && !db->promote && db->latency_sensitive);
	CHECK_STR(groups->groups[db->parent].path, "/a.slice");
	/* A bound is of the whole, and is not inherited; the rest is. */
	CHECK_EQ(groups->groups[2].pid, 7);
	CHECK_EQ(groups->groups[2].min_bytes, 0);
	CHECK(groups->groups[2].promote && groups->groups[2].latency_sensitive);

	CHECK_EQ(tier_share_group_of(groups, 7, "/elsewhere"), 2);
	CHECK_EQ(tier_share_group_of(groups, 8, "/a.slice/db.service/x"), db - groups->groups);
	CHECK_EQ(tier_share_group_of(groups, 8, "/a.slice/db.service2"), 0);
	CHECK_EQ(tier_share_group_of(groups, 8, "/a.slicer"), -1);
	CHECK_EQ(tier_share_group_of(groups, 8, ""), -1);
}

/* What the turn allows of the group of that path, "" for the rest; 0 without a turn. */
static uint64_t allowed(struct tier_share_groups *groups, enum tier_tiering_act act,
			const char *path, enum tier_share_why why, uint64_t room_bytes)
{
	struct tier_share_turn *turns;
	ssize_t count = tier_share_turns(groups, act, why == TIER_SHARE_OVER, 0, &turns);
	uint64_t limit = 0;
	unsigned found = 0;

	for (ssize_t i = 0; i < count; i++) {
		const char *whose = turns[i].group < 0 ? "" : groups->groups[turns[i].group].path;

		if (!streq(whose, path))
			continue;
		/* To a second pass, all would be cold. */
		CHECK_EQ(found++, 0);
		if (turns[i].why == why)
			limit = tier_share_limit(groups, act, &turns[i], room_bytes);
	}
	free(turns);
	return limit;
}

TEST(bounds_hold_also_of_those_above)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();

	add(groups, "/a", 0, TIER_SHARE_CONFIG, "DramMin=3G DramMax=4G");
	add(groups, "/a/b", 0, TIER_SHARE_CONFIG, "DramMax=2G");
	add(groups, "/a/c", 0, TIER_SHARE_CONFIG, "DramMin=512M");
	add(groups, "/d", 0, TIER_SHARE_CONFIG, "Demote=no");
	share_resolve(groups);
	at(groups, "/a")->fast_bytes = 3 * GIB + 256 * MIB;
	at(groups, "/a/b")->fast_bytes = GIB;
	at(groups, "/a/c")->fast_bytes = 600 * MIB;

	CHECK_EQ(allowed(groups, TIER_TIERING_PROMOTE, "/a/b", TIER_SHARE_ANY, UINT64_MAX),
		 768 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/a/b", TIER_SHARE_ANY, UINT64_MAX),
		 256 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/a/c", TIER_SHARE_ANY, UINT64_MAX),
		 88 * MIB);
	/* Without bounds, and demotion forbidden: no turn, and not one with all the rest. */
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/d", TIER_SHARE_ANY, UINT64_MAX), 0);

	struct tier_share_turn rest = {.group = -1},
			       c = {.group = (int)(at(groups, "/a/c") - groups->groups)};
	int d = (int)(at(groups, "/d") - groups->groups);

	CHECK(!tier_share_in_turn(groups, TIER_TIERING_DEMOTE, &rest, d));
	CHECK(tier_share_in_turn(groups, TIER_TIERING_PROMOTE, &rest, d));
	CHECK(tier_share_in_turn(groups, TIER_TIERING_DEMOTE, &rest, -1));
	CHECK(!tier_share_in_turn(groups, TIER_TIERING_DEMOTE, &rest, c.group));
	CHECK(tier_share_in_turn(groups, TIER_TIERING_DEMOTE, &c, c.group));
	/* What one loses, its siblings cannot lose as well. */
	tier_share_moved(groups, TIER_TIERING_DEMOTE, &c, 88 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/a/b", TIER_SHARE_ANY, UINT64_MAX),
		 168 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/a/c", TIER_SHARE_ANY, UINT64_MAX), 0);
	CHECK_EQ(tier_share_over(groups), 0);
}

TEST(what_is_over_goes)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	struct tier_share_turn *turns;
	ssize_t count;

	add(groups, "/first", 0, TIER_SHARE_CONFIG, "LatencySensitive=yes");
	add(groups, "/fat", 0, TIER_SHARE_CONFIG, "DramMax=1G");
	add(groups, "/fat/child", 0, TIER_SHARE_CONFIG, "DramMin=1200M");
	add(groups, "/fat/late", 0, TIER_SHARE_CONFIG, "LatencySensitive=yes");
	add(groups, "/stuck", 0, TIER_SHARE_CONFIG, "DramMax=1G");
	add(groups, "/stuck", 0, TIER_SHARE_CGROUP, "Demote=no");
	share_resolve(groups);
	at(groups, "/fat")->fast_bytes = 3 * GIB;
	at(groups, "/fat/child")->fast_bytes = 1300 * MIB;
	at(groups, "/stuck")->fast_bytes = 3 * GIB;

	/* Not twice, by the one above and by the one below; and not what may not be demoted. */
	CHECK_EQ(tier_share_over(groups), 2 * GIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/fat", TIER_SHARE_OVER, 0), 2 * GIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/fat/child", TIER_SHARE_OVER, 0), 100 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_PROMOTE, "/fat/child", TIER_SHARE_ANY, 0), 0);

	for (uint64_t round = 0; round < 8; round++) {
		/* Nobody else gives for it. */
		count = tier_share_turns(groups, TIER_TIERING_DEMOTE, true, round, &turns);
		CHECK_EQ(count, 3);
		for (ssize_t i = 0; i < count; i++)
			CHECK_EQ(turns[i].why, TIER_SHARE_OVER);
		CHECK_STR(groups->groups[turns[2].group].path, "/fat/late");
		free(turns);
		count = tier_share_turns(groups, TIER_TIERING_DEMOTE, false, round, &turns);
		CHECK(groups->groups[turns[count - 1].group].latency_sensitive);
		free(turns);
		count = tier_share_turns(groups, TIER_TIERING_PROMOTE, false, round, &turns);
		CHECK(turns[0].group >= 0 && groups->groups[turns[0].group].latency_sensitive);
		free(turns);
	}
	/* Of a bound of 1 GiB, 16 MiB are not worth a round. */
	at(groups, "/fat")->fast_bytes = GIB + 16 * MIB;
	CHECK_EQ(tier_share_over(groups), 0);
	at(groups, "/fat")->fast_bytes = GIB + 17 * MIB;
	CHECK_EQ(tier_share_over(groups), 17 * MIB);
}

TEST(one_below_is_over_by_more)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();

	add(groups, "/a", 0, TIER_SHARE_CONFIG, "DramMax=6G");
	add(groups, "/a/b", 0, TIER_SHARE_CONFIG, "DramMax=1G");
	share_resolve(groups);
	at(groups, "/a")->fast_bytes = 6 * GIB + 200 * MIB;
	at(groups, "/a/b")->fast_bytes = 5 * GIB;
	CHECK_EQ(tier_share_over(groups), 4 * GIB);
}

TEST(promoted_though_those_above_are_not)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();

	add(groups, "/", 0, TIER_SHARE_CONFIG, "Promote=no");
	add(groups, "/db", 0, TIER_SHARE_CONFIG, "Promote=yes");
	add(groups, "/db/batch", 0, TIER_SHARE_CONFIG, "Promote=no");
	share_resolve(groups);
	at(groups, "/")->slow_bytes = 7 * GIB;
	at(groups, "/db")->slow_bytes = 4 * GIB;
	at(groups, "/db/batch")->slow_bytes = GIB;
	CHECK_EQ(tier_share_blocked(groups), 4 * GIB);
}

TEST(who_is_at_its_bound_makes_room_with_its_own)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	struct tier_share_turn *turns;

	add(groups, "/full", 0, TIER_SHARE_CONFIG, "DramMax=2G");
	add(groups, "/whole", 0, TIER_SHARE_CONFIG, "DramMax=2G");
	add(groups, "/roomy", 0, TIER_SHARE_CONFIG, "DramMax=2G");
	add(groups, "/kept", 0, TIER_SHARE_CONFIG, "DramMax=2G Promote=no");
	add(groups, "/stays", 0, TIER_SHARE_CONFIG, "DramMax=2G");
	add(groups, "/stays", 0, TIER_SHARE_CGROUP, "Demote=no");
	add(groups, "/low", 0, TIER_SHARE_CONFIG, "DramMax=2G DramMin=1900M");
	share_resolve(groups);
	for (size_t i = 0; i < groups->count; i++) {
		groups->groups[i].fast_bytes = 2 * GIB;
		groups->groups[i].slow_bytes = GIB;
	}
	at(groups, "/whole")->slow_bytes = 0;
	at(groups, "/roomy")->fast_bytes = GIB;
	/* For its own sake, or for more if there is no room at all. */
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/full", TIER_SHARE_TIGHT, 0), 512 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/full", TIER_SHARE_TIGHT, GIB), GIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/roomy", TIER_SHARE_ANY, 0), 0);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "", TIER_SHARE_ANY, 64 * MIB), 64 * MIB);
	CHECK_EQ(allowed(groups, TIER_TIERING_DEMOTE, "/low", TIER_SHARE_TIGHT, UINT64_MAX),
		 148 * MIB);
	CHECK_EQ(tier_share_tight(groups), 660 * MIB);
	/* All of six but of the one that has room, and of the one that is all there. */
	CHECK_EQ(tier_share_blocked(groups), 4 * GIB);
	CHECK_EQ(tier_share_turns(groups, TIER_TIERING_DEMOTE, false, 0, &turns), 5 + 1);
	CHECK_EQ(turns[0].why, TIER_SHARE_TIGHT);
	tier_share_moved(groups, TIER_TIERING_DEMOTE, &turns[0], 512 * MIB);
	CHECK_EQ(tier_share_limit(groups, TIER_TIERING_DEMOTE, &turns[0], 0), 0);
	CHECK_EQ(tier_share_limit(groups, TIER_TIERING_PROMOTE, &turns[0], 0), 512 * MIB);
	free(turns);
}

TEST(many_groups_leave_the_rest_its_turn)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	bool seen[100] = {};
	unsigned all = 0;

	for (unsigned i = 0; i < 100; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/group%u", i);
		add(groups, path, 0, TIER_SHARE_CONFIG, "DramMax=1G");
	}
	share_resolve(groups);
	for (uint64_t round = 0; round < 100; round++) {
		struct tier_share_turn *turns;
		ssize_t count =
			tier_share_turns(groups, TIER_TIERING_PROMOTE, false, round, &turns);
		bool rest = false;

		CHECK(count <= 32);
		for (ssize_t i = 0; i < count; i++) {
			rest |= turns[i].group < 0;
			if (turns[i].group >= 0)
				seen[turns[i].group] = true;
		}
		CHECK(rest);
		free(turns);
	}
	for (unsigned i = 0; i < 100; i++)
		all += seen[i];
	CHECK_EQ(all, 100);
}

TEST(those_in_their_own_way_leave_the_others_turns)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	struct tier_share_turn *turns;
	unsigned tight = 0, others = 0, rest = 0;
	ssize_t count;

	for (unsigned i = 0; i < 60; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/group%u", i);
		add(groups, path, 0, TIER_SHARE_CONFIG, i % 2 ? "DramMax=1G" : "DramMax=2G");
		groups->groups[i].fast_bytes = GIB;
		groups->groups[i].slow_bytes = GIB;
	}
	share_resolve(groups);
	count = tier_share_turns(groups, TIER_TIERING_DEMOTE, false, 0, &turns);
	for (ssize_t i = 0; i < count; i++) {
		tight += turns[i].why == TIER_SHARE_TIGHT;
		others += turns[i].why == TIER_SHARE_ANY && turns[i].group >= 0;
		rest += turns[i].group < 0;
	}
	CHECK_EQ(tight, 16);
	CHECK_EQ(others, 15);
	CHECK_EQ(rest, 1);
	/* Who has no bound takes what there is. */
	for (ssize_t i = 0; i < count; i++)
		if (turns[i].group < 0)
			CHECK_EQ(tier_share_limit(groups, TIER_TIERING_PROMOTE, &turns[i], MIB),
				 UINT64_MAX);
	free(turns);
}

TEST(contradictions_of_several)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	char text[256];

	add(groups, "/a", 0, TIER_SHARE_CONFIG, "DramMin=5G");
	add(groups, "/a/b", 0, TIER_SHARE_CONFIG, "DramMin=4G");
	share_resolve(groups);
	/* The one is a part of the other. */
	CHECK(!tier_share_contradiction(groups, text, sizeof(text)));
	add(groups, "/c", 0, TIER_SHARE_CONFIG, "DramMin=4G");
	share_resolve(groups);
	CHECK(tier_share_contradiction(groups, text, sizeof(text)));
	CHECK(strstr(text, "9G") && strstr(text, "8G"));
	add(groups, "/a", 0, TIER_SHARE_CGROUP, "DramMax=3G");
	share_resolve(groups);
	CHECK(tier_share_contradiction(groups, text, sizeof(text)));
	CHECK(strstr(text, "/a has a DramMin of 5G"));
}

TEST(more_groups_over_than_turns)
{
	_cleanup_groups_ struct tier_share_groups *groups = groups_new();
	bool seen[101] = {};
	unsigned all = 0;

	add(groups, "/a", 0, TIER_SHARE_CONFIG, "DramMax=1G");
	for (unsigned i = 0; i < 100; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/a/b%u", i);
		add(groups, path, 0, TIER_SHARE_CONFIG, "DramMax=4G");
	}
	share_resolve(groups);
	at(groups, "/a")->fast_bytes = 2 * GIB;
	for (uint64_t round = 0; round < 101; round++) {
		struct tier_share_turn *turns;
		ssize_t count = tier_share_turns(groups, TIER_TIERING_DEMOTE, true, round, &turns);

		for (ssize_t i = 0; i < count; i++)
			seen[turns[i].group] = true;
		free(turns);
	}
	for (unsigned i = 0; i < 101; i++)
		all += seen[i];
	CHECK_EQ(all, 101);
}

TEST(numa_stat)
{
	static const char text[] = "anon N0=4096 N1=8192 N12=100\n"
				   "file N0=10 N1=20\n"
				   "kernel_stack N0=1000 N1=1000\n"
				   "inactive_anon N0=4096 N1=8192\n"
				   "file_mapped N0=7 N1=7\n";

	CHECK_EQ(share_numa_stat(text, 1), 4106);
	CHECK_EQ(share_numa_stat(text, 2), 8212);
	CHECK_EQ(share_numa_stat(text, UINT64_C(1) << 12), 100);
	CHECK_EQ(share_numa_stat(text, 0), 0);
	CHECK_EQ(share_numa_stat("", 1), 0);
	CHECK_EQ(share_numa_stat("anon ", 1), 0);
	CHECK_EQ(share_numa_stat("anon N", 1), 0);
	CHECK_EQ(share_numa_stat("anon N0", 1), 0);
	CHECK_EQ(share_numa_stat("anon N99=5 N0=1", 1), 1);
}

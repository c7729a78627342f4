// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tier-tiering-kernel.h"
#include "util.h"

/* NUMA_BALANCING_MEMORY_TIERING of include/linux/sched/sysctl.h; the other bits are somebody else's. */
#define BALANCING_TIERS 2U

const char *tier_knob_name(enum tier_knob knob)
{
	static const char *const names[] = {
		[TIER_KNOB_LIMIT] = "numa_balancing_promote_rate_limit_MBps",
		[TIER_KNOB_DEMOTION] = "demotion_enabled",
		[TIER_KNOB_BALANCING] = "numa_balancing",
	};

	return knob < ARRAY_SIZE(names) ? names[knob] : "unknown";
}

bool tier_knobs_wished(const struct tier_knobs_wish *wish, enum tier_knob knob)
{
	return wish->promotes || knob == TIER_KNOB_DEMOTION;
}

static unsigned wanted(enum tier_knob knob, unsigned before, unsigned limit_mbps)
{
	if (knob == TIER_KNOB_BALANCING)
		return before | BALANCING_TIERS;
	if (knob == TIER_KNOB_DEMOTION)
		return 1;
	return limit_mbps ?: before;
}

void tier_knobs_plan(const unsigned present[TIER_KNOBS], const struct tier_knobs_wish *wish,
		     struct tier_knobs_saved *saved, bool ret[TIER_KNOBS])
{
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		struct tier_knob_saved *it = &saved->knobs[knob];

		ret[knob] = false;
		if (it->foreign || !tier_knobs_wished(wish, knob))
			continue;
		if (!it->ours && !it->seen)
			it->before = it->written = it->next = present[knob];
		if (present[knob] == it->next) {
			it->written = it->next;
		} else if (present[knob] == it->written) {
			it->next = it->written;
		} else {
			*it = (struct tier_knob_saved){.foreign = true};
			continue;
		}
		it->seen = true;
		it->next = wanted(knob, it->before, wish->limit_mbps);
		ret[knob] = it->next != present[knob];
		it->ours |= ret[knob];
	}
}

int tier_knobs_format(const struct tier_knobs_saved *saved, char **ret)
{
	char text[512] = "";

	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		const struct tier_knob_saved *it = &saved->knobs[knob];
		size_t used = strlen(text);

		if (it->ours)
			snprintf(text + used, sizeof(text) - used, "%s %u %u %u\n",
				 tier_knob_name(knob), it->before, it->written, it->next);
	}
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int parse_line(const char *line, struct tier_knobs_saved *saved)
{
	char name[48], words[3][16];
	uint64_t values[3];
	int end = 0;

	if (sscanf(line, "%47s %15s %15s %15s%n", name, words[0], words[1], words[2], &end) != 4 ||
	    line[end] != '\0')
		return TIER_E_DAMAGED;
	for (int i = 0; i < 3; i++)
		if (parse_u64(words[i], &values[i]) < 0 || values[i] > TIER_KNOB_MAX)
			return TIER_E_DAMAGED;
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		struct tier_knob_saved *it = &saved->knobs[knob];

		if (!streq(name, tier_knob_name(knob)) || it->ours)
			continue;
		*it = (struct tier_knob_saved){
			.ours = true,
			.before = (unsigned)values[0],
			.written = (unsigned)values[1],
			.next = (unsigned)values[2],
		};
		return 0;
	}
	return TIER_E_DAMAGED;
}

int tier_knobs_parse(const char *text, struct tier_knobs_saved *ret)
{
	struct tier_knobs_saved saved = {};
	char line[128];

	/* An empty one has been cut off. */
	if (!*text)
		return TIER_E_DAMAGED;
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (text[length] != '\n' || length >= sizeof(line))
			return TIER_E_DAMAGED;
		memcpy(line, text, length);
		line[length] = '\0';
		if (parse_line(line, &saved) != 0)
			return TIER_E_DAMAGED;
		text += length + 1;
	}
	*ret = saved;
	return 0;
}

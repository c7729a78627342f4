/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>

#include "share.h"
#include "util.h"

int share_parse_amount(const char *value, struct tier_share_amount *ret, const char **ret_reason)
{
	static const char reason[] = "not a size such as 2G, nor a percentage such as 50%";
	size_t length = strlen(value);
	uint64_t number = 0;

	if (length == 0) {
		*ret = (struct tier_share_amount){};
		return 0;
	}
	*ret_reason = reason;
	if (value[length - 1] == '%') {
		char digits[8];

		if (!copy_string(digits, sizeof(digits), value) ||
		    !isdigit((unsigned char)value[0]))
			return -EINVAL;
		digits[length - 1] = '\0';
		if (parse_u64(digits, &number) < 0 || strchr(digits, 'x') || number > 100)
			return -EINVAL;
		*ret = (struct tier_share_amount){TIER_SHARE_PERCENT, number};
		return 0;
	}
	if (parse_bytes(value, &number) < 0)
		return -EINVAL;
	*ret = (struct tier_share_amount){TIER_SHARE_BYTES, number};
	return 0;
}

int share_parse_answer(const char *value, enum tier_share_answer *ret, const char **ret_reason)
{
	static const struct {
		const char *word;
		enum tier_share_answer answer;
	} words[] = {
		{"", TIER_SHARE_UNANSWERED}, {"no", TIER_SHARE_NO},    {"yes", TIER_SHARE_YES},
		{"false", TIER_SHARE_NO},    {"true", TIER_SHARE_YES}, {"off", TIER_SHARE_NO},
		{"on", TIER_SHARE_YES},	     {"0", TIER_SHARE_NO},     {"1", TIER_SHARE_YES},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(value, words[i].word)) {
			*ret = words[i].answer;
			return 0;
		}
	*ret_reason = "not yes or no";
	return -EINVAL;
}

int tier_share_set(struct tier_share *policy, const char *key, const char *value,
		   const char **ret_reason)
{
	if (streq(key, "DramMin"))
		return share_parse_amount(value, &policy->dram_min, ret_reason);
	if (streq(key, "DramMax"))
		return share_parse_amount(value, &policy->dram_max, ret_reason);
	if (streq(key, "Demote"))
		return share_parse_answer(value, &policy->demote, ret_reason);
	if (streq(key, "Promote"))
		return share_parse_answer(value, &policy->promote, ret_reason);
	if (streq(key, "LatencySensitive"))
		return share_parse_answer(value, &policy->latency_sensitive, ret_reason);
	*ret_reason = "no such key";
	return -ENOENT;
}

int tier_share_parse(const char *text, struct tier_share *ret, const char **ret_reason)
{
	static const char blanks[] = " \t\n";
	struct tier_share policy = {};
	char word[64];

	for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
		size_t length = strcspn(text, blanks);
		char *equals;

		*ret_reason = "not Key=Value";
		if (length >= sizeof(word))
			return -EINVAL;
		memcpy(word, text, length);
		word[length] = '\0';
		equals = strchr(word, '=');
		if (!equals)
			return -EINVAL;
		*equals = '\0';
		if (tier_share_set(&policy, word, equals + 1, ret_reason) != 0)
			return -EINVAL;
		text += length;
	}
	*ret = policy;
	return 0;
}

static void put_share(char text[static TIER_SHARE_TEXT_MAX], const char *key,
		      const struct tier_share_amount *share)
{
	size_t length = strlen(text);

	if (share->kind != TIER_SHARE_UNSAID)
		snprintf(text + length, TIER_SHARE_TEXT_MAX - length, "%s%s=%" PRIu64 "%s",
			 length ? " " : "", key, share->value,
			 share->kind == TIER_SHARE_PERCENT ? "%" : "");
}

static void put_answer(char text[static TIER_SHARE_TEXT_MAX], const char *key,
		       enum tier_share_answer answer)
{
	size_t length = strlen(text);

	if (answer != TIER_SHARE_UNANSWERED)
		snprintf(text + length, TIER_SHARE_TEXT_MAX - length, "%s%s=%s", length ? " " : "",
			 key, answer == TIER_SHARE_YES ? "yes" : "no");
}

const char *tier_share_format(const struct tier_share *policy,
			      char text[static TIER_SHARE_TEXT_MAX])
{
	text[0] = '\0';
	put_share(text, "DramMin", &policy->dram_min);
	put_share(text, "DramMax", &policy->dram_max);
	put_answer(text, "Demote", policy->demote);
	put_answer(text, "Promote", policy->promote);
	put_answer(text, "LatencySensitive", policy->latency_sensitive);
	return text;
}

bool tier_share_says(const struct tier_share *policy)
{
	return policy->dram_min.kind || policy->dram_max.kind || policy->demote ||
	       policy->promote || policy->latency_sensitive;
}

const char *tier_share_check(const struct tier_share *policy)
{
	if (policy->dram_min.kind && policy->dram_min.kind == policy->dram_max.kind &&
	    policy->dram_min.value > policy->dram_max.value)
		return "DramMin is more than DramMax";
	if (policy->dram_max.kind && policy->demote == TIER_SHARE_NO)
		return "DramMax cannot be kept with Demote=no";
	if (policy->latency_sensitive == TIER_SHARE_YES && policy->promote == TIER_SHARE_NO)
		return "LatencySensitive=yes asks for what Promote=no forbids";
	return NULL;
}

void share_merge(const struct tier_share *outer, struct tier_share *inner)
{
	if (!inner->dram_min.kind)
		inner->dram_min = outer->dram_min;
	if (!inner->dram_max.kind)
		inner->dram_max = outer->dram_max;
	if (!inner->demote)
		inner->demote = outer->demote;
	if (!inner->promote)
		inner->promote = outer->promote;
	if (!inner->latency_sensitive)
		inner->latency_sensitive = outer->latency_sensitive;
}

uint64_t share_amount_bytes(const struct tier_share_amount *share, uint64_t total_bytes,
			    uint64_t unsaid)
{
	switch (share->kind) {
	case TIER_SHARE_BYTES:
		return share->value;
	case TIER_SHARE_PERCENT:
		return total_bytes / 100 * share->value;
	default:
		return unsaid;
	}
}

const char *tier_share_source_name(enum tier_share_source source)
{
	static const char *const names[] = {
		[TIER_SHARE_CONFIG] = "configuration",
		[TIER_SHARE_CGROUP] = "cgroup",
		[TIER_SHARE_PROCESS] = "process",
	};

	return source < ARRAY_SIZE(names) ? names[source] : "unknown";
}

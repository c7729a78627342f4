/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "online-words.h"

unsigned online_percent(const struct online_sum *sum)
{
	__uint128_t value = sum->kernel ? (__uint128_t)sum->movable * 100 / sum->kernel : UINT_MAX;

	return value > UINT_MAX ? UINT_MAX : (unsigned)value;
}

void online_sum_text(char text[static 160], const struct online_sum *sum, unsigned ratio_percent)
{
	unsigned percent = online_percent(sum);
	bool hardly = percent == ratio_percent && !online_fits(sum, ratio_percent);
	char movable[16], kernel[16];

	snprintf(text, 160, "%s movable after this against %s kernel is %s%u %%, allowed %u %%",
		 format_bytes(movable, sum->movable), format_bytes(kernel, sum->kernel),
		 hardly ? "more than " : "", percent, ratio_percent);
}

void online_reason(struct tier_decision *decision, const struct online_sum *after,
		   const struct online_sum *final, unsigned ratio_percent, bool no_movable)
{
	struct online_sum other = *final;
	char text[160];

	if (decision->zone == TIER_ZONE_MOVABLE) {
		online_sum_text(text, after, ratio_percent);
		snprintf(decision->reason, sizeof(decision->reason), "Movable: %s", text);
	} else if (decision->wanted == TIER_ONLINE_KERNEL) {
		snprintf(decision->reason, sizeof(decision->reason),
			 "Normal: a kernel zone was asked for");
	} else if (ratio_percent == 0) {
		snprintf(decision->reason, sizeof(decision->reason),
			 "Normal: a ratio of 0 sends everything to a kernel zone");
	} else if (no_movable) {
		snprintf(decision->reason, sizeof(decision->reason),
			 "Normal: the kernel does not offer Movable for all of it");
	} else {
		/* If it were Movable as well, and did not feed the kernel. */
		other.movable += decision->bytes;
		other.kernel -= decision->bytes;
		online_sum_text(text, &other, ratio_percent);
		snprintf(decision->reason, sizeof(decision->reason), "Normal: as Movable, %s",
			 text);
	}
}

void online_tell_retired(struct tier_decision *decision, size_t blocks)
{
	size_t used = strlen(decision->reason);

	snprintf(decision->reason + used, sizeof(decision->reason) - used,
		 "; %zu retired memory block%s stay%s offline", blocks, blocks == 1 ? "" : "s",
		 blocks == 1 ? "s" : "");
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heat.h"

unsigned heat_level(const struct tier_heat *heat, double per_second)
{
	double level;

	if (per_second <= 0 || heat->scale <= 0)
		return 0;
	level = per_second / heat->scale * (HEAT_LEVELS - 1);
	if (level >= HEAT_LEVELS - 1)
		return HEAT_LEVELS - 1;
	/* Whatever was touched at all is seen. */
	return (unsigned)level + 1;
}

double heat_level_most(const struct tier_heat *heat, unsigned level)
{
	return heat->scale * level / (HEAT_LEVELS - 1);
}

void heat_bin_words(const struct tier_heat *heat, size_t bin, char *text, size_t size)
{
	if (bin == 0)
		snprintf(text, size, "not touched");
	else if (bin == 1)
		snprintf(text, size, "up to %.1f/s", heat->bins[bin].most);
	else if (bin == HEAT_BINS - 1)
		snprintf(text, size, "more than %.1f/s", heat->bins[bin].above);
	else
		snprintf(text, size, "%.1f to %.1f/s", heat->bins[bin].above, heat->bins[bin].most);
}

void heat_time_words(const struct tier_heat *heat, char *text, size_t size)
{
	const struct heat_record *record = &heat->record;
	const char *then = "";

	if (record->end == TIER_HEAT_PROCESS_ENDED)
		then = streq(record->kind, "cgroup") ? ", then its processes had ended"
						     : ", then the process ended";
	else if (record->end == TIER_HEAT_STOPPED)
		then = ", then it was stopped";
	if (record->end == TIER_HEAT_DONE)
		snprintf(text, size, "%.1f s", (double)heat->elapsed_usec / 1e6);
	else
		snprintf(text, size, "%.1f of %.1f s%s", (double)heat->elapsed_usec / 1e6,
			 (double)record->wanted_usec / 1e6, then);
}

void heat_summary(const struct tier_heat *heat, char *text, size_t size)
{
	const struct heat_record *record = &heat->record;
	char time[96], bytes[16];
	uint64_t sum = 0;

	for (size_t i = 0; i < heat->row_count; i++)
		sum += heat->rows[i].end - heat->rows[i].start;
	heat_time_words(heat, time, sizeof(time));
	snprintf(text, size, "%s in %zu range%s, %s, %zu snapshots, looked at every %.1f ms",
		 format_bytes(bytes, sum), heat->segment_count, heat->segment_count == 1 ? "" : "s",
		 time, record->snapshot_count, (double)record->sample_usec / 1000);
}

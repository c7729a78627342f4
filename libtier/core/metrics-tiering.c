/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Tier=auto has done, and what is retired, as metrics. */
#include <assert.h>
#include <inttypes.h>

#include "metrics.h"

static_assert(TIER_TIERING_PROMOTE < TIER_TIERING_COUNTED_ACTS &&
		      TIER_TIERING_FORBIDDEN < TIER_TIERING_COUNTED_REASONS,
	      "every step has a place");

void tier_tiering_count(struct tier_tiering_counts *counts, const struct tier_tiering_step *step,
			const struct tier_tiering_result *result, int code)
{
	struct tier_tiering_count *count;

	counts->failures += code != 0;
	if ((unsigned)step->act >= TIER_TIERING_COUNTED_ACTS ||
	    (unsigned)step->reason >= TIER_TIERING_COUNTED_REASONS)
		return;
	count = &counts->by[step->act][step->reason];
	count->steps += code == 0;
	count->moved_bytes += result->moved_bytes;
	/* The window itself is waiting, not work. */
	count->usec += result->elapsed_usec - MIN(result->elapsed_usec, step->window_usec);
}

void tier_tiering_counts_add(struct tier_tiering_counts *counts,
			     const struct tier_tiering_counts *others)
{
	counts->failures += others->failures;
	for (size_t a = 0; a < TIER_TIERING_COUNTED_ACTS; a++)
		for (size_t r = 0; r < TIER_TIERING_COUNTED_REASONS; r++) {
			counts->by[a][r].steps += others->by[a][r].steps;
			counts->by[a][r].moved_bytes += others->by[a][r].moved_bytes;
			counts->by[a][r].usec += others->by[a][r].usec;
		}
}

/* Those that a reader looks for are there from the beginning, at 0. */
static bool is_shown(const struct tier_tiering_counts *counts, enum tier_tiering_act act,
		     enum tier_tiering_reason reason)
{
	return counts->by[act][reason].steps > 0 || counts->by[act][reason].moved_bytes > 0 ||
	       (act == TIER_TIERING_DEMOTE && reason == TIER_TIERING_ROOM) ||
	       (act == TIER_TIERING_PROMOTE && reason == TIER_TIERING_HOT) ||
	       (act == TIER_TIERING_MEASURE && reason == TIER_TIERING_QUIET);
}

static bool moves(enum tier_tiering_act act)
{
	return act == TIER_TIERING_DEMOTE || act == TIER_TIERING_PROMOTE;
}

enum what { STEPS, MOVED, TIME };

static void add(struct tier_metrics *metrics, const struct tier_tiering_counts *counts,
		enum what what)
{
	for (unsigned a = 0; a < TIER_TIERING_COUNTED_ACTS; a++)
		for (unsigned r = 0; r < TIER_TIERING_COUNTED_REASONS; r++) {
			const struct tier_tiering_count *count = &counts->by[a][r];
			enum tier_tiering_act act = (enum tier_tiering_act)a;
			enum tier_tiering_reason reason = (enum tier_tiering_reason)r;

			if (!is_shown(counts, act, reason) || (what == MOVED && !moves(act)))
				continue;
			TIER_METRICS_ADD(metrics,
					 what == STEPS	 ? count->steps
					 : what == MOVED ? count->moved_bytes
							 : count->usec,
					 {"act", tier_tiering_act_name(act)},
					 {"reason", tier_tiering_reason_name(reason)});
		}
}

void tier_metrics_tiering(struct tier_metrics *metrics, const struct tier_tiering_counts *counts,
			  uint64_t created_usec)
{
	struct tier_metric metric = {.kind = TIER_METRIC_COUNTER, .created_usec = created_usec};

	if (!tier_metrics_wanted(metrics, "cxltier_tiering_"))
		return;
	metric.name = "cxltier_tiering_steps";
	metric.help = "Measurements and passes of Tier=auto, since cxl-tierd started.";
	tier_metrics_family(metrics, &metric);
	add(metrics, counts, STEPS);
	metric.name = "cxltier_tiering_step_failures";
	metric.help = "Steps of Tier=auto that could not be carried out, since cxl-tierd started.";
	tier_metrics_family(metrics, &metric);
	tier_metrics_add(metrics, counts->failures, NULL, 0);
	metric.name = "cxltier_tiering_moved_bytes";
	metric.unit = "bytes";
	metric.help = "What Tier=auto has moved, since cxl-tierd started.";
	tier_metrics_family(metrics, &metric);
	add(metrics, counts, MOVED);
	metric.name = "cxltier_tiering_step_seconds";
	metric.unit = "seconds";
	metric.help = "How long passes of Tier=auto took, and measurements beyond their window, "
		      "since cxl-tierd started.";
	tier_metrics_family(metrics, &metric);
	add(metrics, counts, TIME);
}

void tier_metrics_retired(struct tier_metrics *metrics, const struct tier_retired *retired)
{
	if (!tier_metrics_wanted(metrics, "cxltier_retired_"))
		return;
	tier_metrics_family(
		metrics,
		&(struct tier_metric){
			.name = "cxltier_retired_entries",
			.help = "Entries of the list of memory that is not to be used again.",
		});
	tier_metrics_add(metrics, retired->count, NULL, 0);
	tier_metrics_family(metrics, &(struct tier_metric){
					     .name = "cxltier_retired_bytes",
					     .unit = "bytes",
					     .help = "Memory at retired addresses of a device; the "
						     "memory block or extent around them is "
						     "out of use as well.",
				     });
	/* Sorted by serial number. */
	for (size_t i = 0, next; i < retired->count; i = next) {
		uint64_t bytes = 0;
		char serial[32];

		for (next = i; next < retired->count &&
			       retired->entries[next].serial == retired->entries[i].serial;
		     next++)
			bytes += retired->entries[next].bytes;
		snprintf(serial, sizeof(serial), "0x%" PRIx64, retired->entries[i].serial);
		TIER_METRICS_ADD(metrics, bytes, {"serial", serial});
	}
}

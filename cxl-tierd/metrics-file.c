/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "metrics.h"

/* MetricsFile=: a file for node_exporter's textfile collector. Without it there is no timer. */

DEFINE_CLEANUP(struct tier_metrics *, tier_metrics_free)

static void write_file(struct manager *manager)
{
	_cleanup_(tier_metrics_freep) struct tier_metrics *page = NULL;
	struct metrics *metrics = manager->metrics;
	_cleanup_(freep) char *text = NULL;
	struct tier_problem problem = {};
	int r = metrics_collect(manager, NULL, &page, &problem);

	if (r == 0) {
		r = tier_metrics_format(page, TIER_METRICS_TEXTFILE, &text);
		if (r < 0)
			tier_problem_set(&problem, r, metrics->path, NULL,
					 "cannot write the metrics");
	}
	r = r ?: tier_metrics_write(metrics->path, text, &problem);
	if (r != 0 && !streq(metrics->failed, problem.text))
		log_problem(LOG_ERR, "metrics-failed", &problem);
	COPY(metrics->failed, problem.text);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	write_file(manager);
	if (sd_event_source_set_time_relative(source, manager->metrics->every_usec) < 0)
		return 0;
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* What is not written any more would be read as if it were. */
void metrics_file_stop(struct manager *manager)
{
	struct metrics *metrics = manager->metrics;

	metrics->timer = sd_event_source_disable_unref(metrics->timer);
	if (metrics->path[0] && unlink(metrics->path) < 0 && errno != ENOENT)
		log_decision(LOG_WARNING, metrics->path, "metrics-failed",
			     "cannot be removed, and is not written any more: %m");
	metrics->path[0] = '\0';
	metrics->failed[0] = '\0';
}

void metrics_file_look(struct manager *manager)
{
	struct metrics *metrics = manager->metrics;
	const char *path = manager_dry_run(manager) ? "" : manager->config->metrics_file;
	int r;

	if (streq(metrics->path, path) &&
	    (!path[0] || (metrics->timer && metrics->every_usec == manager->config->metrics_usec)))
		return;
	if (streq(metrics->path, path))
		metrics->timer = sd_event_source_disable_unref(metrics->timer);
	else
		metrics_file_stop(manager);
	if (!path[0])
		return;
	COPY(metrics->path, path);
	metrics->every_usec = manager->config->metrics_usec;
	/* At once, and then every so often; another time is as good as the exact one. */
	r = sd_event_add_time_relative(manager->event, &metrics->timer, CLOCK_MONOTONIC, 0,
				       manager->config->metrics_usec / 8, on_timer, manager);
	if (r < 0)
		log_decision(LOG_ERR, path, "metrics-failed", "cannot be written: %s",
			     strerror(-r));
}

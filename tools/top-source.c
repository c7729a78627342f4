/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <time.h>

#include <systemd/sd-json.h>

#include "client.h"
#include "json.h"
#include "top.h"

/* A look at processes takes as long as they have memory; between two of them it is left alone for so many times that. */
#define REST	      10
#define REST_MIN_USEC (UINT64_C(2) * 1000000)

uint64_t top_now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Memory tiers are not read again and again: see tier_topology_read_tiers(). */
static int read_topology(struct top_source *source, struct tier_problem *problem)
{
	struct tier_topology *topology;
	int r = tier_topology_read(tool_common.sysroot, &topology, problem);

	if (r)
		return r;
	if (!tier_topology_keep_tiers(topology, source->topology))
		(void)tier_topology_read_tiers(tool_common.sysroot, topology);
	tier_config_types(source->config, topology);
	tier_topology_free(source->topology);
	source->topology = topology;
	return 0;
}

int top_source_open(struct top_source *source)
{
	struct tier_problem problem = {};
	int r = tool_config(&source->config);

	source->promoted_bytes = source->demoted_bytes = TIER_UNKNOWN_U64;
	if (r)
		return r;
	return read_topology(source, &problem) ? tool_fail(&problem) : 0;
}

void top_source_done(struct top_source *source)
{
	tier_top_rows_done(&source->rows);
	tier_topology_free(source->topology);
	tier_config_free(source->config);
	free(source->stats);
}

static uint64_t sum_of(sd_json_variant *family, const char *act)
{
	sd_json_variant *samples = sd_json_variant_by_key(family, "samples");
	size_t count = samples ? sd_json_variant_elements(samples) : 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		sd_json_variant *sample = sd_json_variant_by_index(samples, i);
		sd_json_variant *labels = sd_json_variant_by_key(sample, "labels");

		if (labels && strcmp(json_text(labels, "act"), act) == 0)
			sum += json_number(sample, "value");
	}
	return sum;
}

/* What Tier=auto has moved so far, which the kernel does not count as promoted; unknown without it. */
static void read_tiering(uint64_t *ret_promoted, uint64_t *ret_demoted)
{
	sd_json_variant *parameters = NULL, *reply = NULL, *families;
	size_t count;
	bool active = false;

	*ret_promoted = *ret_demoted = TIER_UNKNOWN_U64;
	if (tool_common.sysroot ||
	    sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("format", "json"),
			   SD_JSON_BUILD_PAIR_STRING("only", "cxltier_tiering_")) < 0)
		return;
	client_try("Metrics", parameters, &reply);
	sd_json_variant_unref(parameters);
	families = reply ? sd_json_variant_by_key(reply, "families") : NULL;
	count = families ? sd_json_variant_elements(families) : 0;
	for (size_t i = 0; i < count; i++) {
		sd_json_variant *family = sd_json_variant_by_index(families, i);

		if (strcmp(json_text(family, "name"), "cxltier_tiering_active") == 0)
			active = sum_of(family, "") > 0;
		if (strcmp(json_text(family, "name"), "cxltier_tiering_moved_bytes") != 0)
			continue;
		*ret_promoted = sum_of(family, "promote");
		*ret_demoted = sum_of(family, "demote");
	}
	if (!active)
		*ret_promoted = *ret_demoted = TIER_UNKNOWN_U64;
	sd_json_variant_unref(reply);
}

static void copy_note(struct top_source *source, const struct tier_problem *problem)
{
	snprintf(source->note, sizeof(source->note), "%s%s%s", problem->text,
		 problem->next[0] ? "; " : "", problem->next);
}

static void read_rows(struct top_source *source, bool processes)
{
	uint64_t began = top_now_usec(), took;
	struct tier_problem problem = {};
	size_t unread;
	int r;

	if (processes && source->rows_of_processes && began < source->rows_until_usec)
		return;
	tier_top_rows_done(&source->rows);
	source->note[0] = '\0';
	source->rows_of_processes = processes;
	r = processes ? tier_top_processes(tool_common.sysroot, source->topology->page_bytes,
					   source->least_bytes, &source->rows, &problem)
		      : tier_top_units(tool_common.sysroot, &source->rows, &problem);
	unread = source->rows.unread;
	if (r)
		copy_note(source, &problem);
	else if (unread)
		snprintf(source->note, sizeof(source->note), "%zu %s could not be looked at%s",
			 unread,
			 processes     ? unread == 1 ? "process" : "processes"
			 : unread == 1 ? "unit"
				       : "units",
			 geteuid() == 0 ? "" : "; sudo tierctl top");
	took = top_now_usec() - began;
	source->rows_until_usec =
		began + took + (took * REST > REST_MIN_USEC ? took * REST : REST_MIN_USEC);
}

/* The picture gets a copy: rows outlive it if they are not read anew. */
static int copy_rows(const struct tier_top_rows *rows, struct tier_top_rows *ret)
{
	*ret = (struct tier_top_rows){.unread = rows->unread};
	ret->rows = calloc(rows->count ? rows->count : 1, sizeof(*ret->rows));
	if (!ret->rows)
		return -ENOMEM;
	for (size_t i = 0; i < rows->count; i++) {
		struct tier_top_row *row = &ret->rows[ret->count++];

		*row = rows->rows[i];
		row->parts = calloc(row->part_count ? row->part_count : 1, sizeof(*row->parts));
		if (!row->parts)
			return -ENOMEM;
		if (row->part_count)
			memcpy(row->parts, rows->rows[i].parts,
			       row->part_count * sizeof(*row->parts));
	}
	return 0;
}

static int look(struct top_source *source, struct tier_top_input *input, struct tier_top **ret)
{
	struct tier_top_rows rows = {};
	int r = copy_rows(&source->rows, &rows);

	input->topology = source->topology;
	input->rows = &rows;
	input->processes = source->rows_of_processes;
	input->note = source->note;
	if (r == 0)
		r = tier_top_new(input, ret);
	tier_top_rows_done(&rows);
	return r;
}

int top_source_look(struct top_source *source, bool processes, struct tier_top **ret,
		    struct tier_problem *problem)
{
	struct tier_node_stat *stats;
	uint64_t promoted, demoted, now;
	size_t count;
	int r = tier_node_stats_read(tool_common.sysroot, source->topology->page_bytes, &stats,
				     &count, problem);

	if (r)
		return r;
	now = top_now_usec();
	if (source->stats_told &&
	    !tier_node_stats_same(stats, count, source->stats, source->stat_count)) {
		r = read_topology(source, problem);
		if (r) {
			free(stats);
			return r;
		}
	}
	read_tiering(&promoted, &demoted);
	read_rows(source, processes);
	struct tier_top_input input = {
		.stats = stats,
		.stat_count = count,
		.before = source->stats,
		.before_count = source->stat_count,
		.elapsed_usec = source->stats_told ? now - source->usec : 0,
	};
	input.tiering.promoted =
		tier_top_rate(promoted, source->promoted_bytes, input.elapsed_usec);
	input.tiering.demoted = tier_top_rate(demoted, source->demoted_bytes, input.elapsed_usec);
	r = look(source, &input, ret);
	free(source->stats);
	source->stats = stats;
	source->stat_count = count;
	source->stats_told = true;
	source->usec = now;
	source->promoted_bytes = promoted;
	source->demoted_bytes = demoted;
	return r ? tier_problem_set(problem, r, "top", NULL, "cannot make a picture") : 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two text formats of Prometheus, and JSON. */
#include <inttypes.h>

#include "json.h"
#include "metrics.h"

/* Of OpenMetrics a sample's name has a suffix that its family's has not; of the older format both have it. */
static const char *suffix_of(enum tier_metric_kind kind)
{
	return kind == TIER_METRIC_COUNTER ? "_total" : kind == TIER_METRIC_INFO ? "_info" : "";
}

/* A quotation mark in HELP is escaped in OpenMetrics only. */
static void put_escaped(FILE *file, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", file);
			continue;
		}
		if (*text == '\\' || (quotes && *text == '"'))
			fputc('\\', file);
		fputc(*text, file);
	}
}

static void put_head(FILE *file, const struct tier_metric *metric,
		     enum tier_metrics_dialect dialect)
{
	static const char *const kinds[] = {
		[TIER_METRIC_GAUGE] = "gauge",
		[TIER_METRIC_COUNTER] = "counter",
		[TIER_METRIC_INFO] = "info",
	};
	bool open = dialect == TIER_METRICS_OPENMETRICS;
	const char *suffix = open ? "" : suffix_of(metric->kind);
	bool info = metric->kind == TIER_METRIC_INFO;

	fprintf(file, "# HELP %s%s ", metric->name, suffix);
	put_escaped(file, metric->help, open);
	/* The older format does not know of infos. */
	fprintf(file, "\n# TYPE %s%s %s\n", metric->name, suffix,
		info && !open ? "gauge" : kinds[metric->kind]);
	if (open && metric->unit)
		fprintf(file, "# UNIT %s %s\n", metric->name, metric->unit);
}

static void put_labels(FILE *file, const struct metrics_sample *sample)
{
	for (size_t i = 0; i < sample->label_count; i++) {
		fprintf(file, "%s%s=\"", i ? "," : "{", sample->labels[i].name);
		put_escaped(file, sample->labels[i].value, true);
		fputc('"', file);
	}
	if (sample->label_count)
		fputc('}', file);
}

static void put_usec(FILE *file, uint64_t usec)
{
	fprintf(file, " %" PRIu64 ".%06" PRIu64 "\n", usec / 1000000, usec % 1000000);
}

static bool is_seconds(const struct tier_metric *metric)
{
	return metric->unit && streq(metric->unit, "seconds");
}

static void put_family(FILE *file, const struct metrics_family *family,
		       enum tier_metrics_dialect dialect)
{
	const struct tier_metric *metric = &family->metric;
	bool created = dialect == TIER_METRICS_OPENMETRICS && metric->kind == TIER_METRIC_COUNTER &&
		       metric->created_usec != 0;

	put_head(file, metric, dialect);
	for (size_t i = 0; i < family->sample_count; i++) {
		const struct metrics_sample *sample = &family->samples[i];

		fprintf(file, "%s%s", metric->name, suffix_of(metric->kind));
		put_labels(file, sample);
		if (is_seconds(metric))
			put_usec(file, sample->value);
		else
			fprintf(file, " %" PRIu64 "\n", sample->value);
		if (!created)
			continue;
		fprintf(file, "%s_created", metric->name);
		put_labels(file, sample);
		put_usec(file, metric->created_usec);
	}
}

int tier_metrics_format(const struct tier_metrics *metrics, enum tier_metrics_dialect dialect,
			char **ret)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = metrics->failed ? NULL : open_memstream(&text, &size);
	bool bad;

	if (!file)
		return -ENOMEM;
	for (size_t i = 0; i < metrics->family_count; i++)
		if (metrics->families[i].sample_count > 0)
			put_family(file, &metrics->families[i], dialect);
	if (dialect == TIER_METRICS_OPENMETRICS)
		fputs("# EOF\n", file);
	bad = fflush(file) != 0;
	if (fclose(file) != 0 || bad) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static int append_sample(sd_json_variant **array, const struct tier_metric *metric,
			 const struct metrics_sample *sample)
{
	_cleanup_json_ sd_json_variant *labels = NULL, *object = NULL;
	int r = sd_json_variant_new_object(&labels, NULL, 0);

	for (size_t i = 0; r >= 0 && i < sample->label_count; i++)
		r = sd_json_variant_set_field_string(&labels, sample->labels[i].name,
						     sample->labels[i].value);
	if (r < 0)
		return r;
	if (is_seconds(metric))
		return sd_json_variant_append_arraybo(
			array, SD_JSON_BUILD_PAIR_VARIANT("labels", labels),
			SD_JSON_BUILD_PAIR_REAL("value", (double)sample->value / 1e6));
	return sd_json_variant_append_arraybo(array, SD_JSON_BUILD_PAIR_VARIANT("labels", labels),
					      SD_JSON_BUILD_PAIR_UNSIGNED("value", sample->value));
}

static int append_family(sd_json_variant **array, const struct metrics_family *family)
{
	static const char *const kinds[] = {
		[TIER_METRIC_GAUGE] = "gauge",
		[TIER_METRIC_COUNTER] = "counter",
		[TIER_METRIC_INFO] = "info",
	};
	const struct tier_metric *metric = &family->metric;
	_cleanup_json_ sd_json_variant *samples = NULL;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < family->sample_count; i++)
		r = append_sample(&samples, metric, &family->samples[i]);
	if (r < 0)
		return r;
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_STRING("name", metric->name),
		SD_JSON_BUILD_PAIR_STRING("type", kinds[metric->kind]),
		JSON_TEXT("unit", metric->unit ?: ""),
		SD_JSON_BUILD_PAIR_STRING("help", metric->help),
		SD_JSON_BUILD_PAIR_CONDITION(metric->created_usec != 0, "created_usec",
					     SD_JSON_BUILD_UNSIGNED(metric->created_usec)),
		SD_JSON_BUILD_PAIR_VARIANT("samples", samples));
}

int tier_metrics_to_json(const struct tier_metrics *metrics, char **ret_json)
{
	_cleanup_json_ sd_json_variant *array = NULL;
	int r = metrics->failed ? -ENOMEM : sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < metrics->family_count; i++)
		if (metrics->families[i].sample_count > 0)
			r = append_family(&array, &metrics->families[i]);
	if (r >= 0)
		r = json_format(array, ret_json);
	return r < 0 ? -ENOMEM : 0;
}

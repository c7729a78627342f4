/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Families of samples, before they are text. */
#include "metrics.h"

int tier_metrics_new(const char *only, struct tier_metrics **ret)
{
	_cleanup_metrics_ struct tier_metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return -ENOMEM;
	if (only && !(metrics->only = strdup(only)))
		return -ENOMEM;
	*ret = TAKE(metrics);
	return 0;
}

static void sample_done(struct metrics_sample *sample)
{
	for (size_t i = 0; i < sample->label_count; i++)
		free(sample->labels[i].value);
}

struct tier_metrics *tier_metrics_free(struct tier_metrics *metrics)
{
	if (!metrics)
		return NULL;
	for (size_t f = 0; f < metrics->family_count; f++) {
		for (size_t s = 0; s < metrics->families[f].sample_count; s++)
			sample_done(&metrics->families[f].samples[s]);
		free(metrics->families[f].samples);
	}
	free(metrics->families);
	free(metrics->only);
	free(metrics);
	return NULL;
}

void tier_metrics_family(struct tier_metrics *metrics, const struct tier_metric *metric)
{
	struct metrics_family *family;

	metrics->skips =
		metrics->only && strncmp(metric->name, metrics->only, strlen(metrics->only)) != 0;
	if (metrics->skips)
		return;
	family = array_grow(&metrics->families, &metrics->family_count, sizeof(*family));
	if (family)
		family->metric = *metric;
	else
		metrics->failed = true;
}

/* Line feeds are escaped when it becomes text. */
static char *clean_copy(const char *value)
{
	char *copy = strdup(value);

	for (char *at = copy; at && *at; at++)
		if ((*at < ' ' || *at > '~') && *at != '\n')
			*at = '?';
	return copy;
}

static bool same_labels(const struct metrics_sample *a, const struct metrics_sample *b)
{
	if (a->label_count != b->label_count)
		return false;
	for (size_t i = 0; i < a->label_count; i++)
		if (!streq(a->labels[i].name, b->labels[i].name) ||
		    !streq(a->labels[i].value, b->labels[i].value))
			return false;
	return true;
}

static bool has_sample(const struct metrics_family *family, const struct metrics_sample *sample)
{
	for (size_t i = 0; i < family->sample_count; i++)
		if (same_labels(&family->samples[i], sample))
			return true;
	return false;
}

void tier_metrics_add(struct tier_metrics *metrics, uint64_t value,
		      const struct tier_metric_label *labels, size_t count)
{
	struct metrics_family *family =
		metrics->family_count ? &metrics->families[metrics->family_count - 1] : NULL;
	struct metrics_sample sample = {.value = value}, *added = NULL;

	if (metrics->failed || metrics->skips || !family)
		return;
	for (size_t i = 0; i < MIN(count, (size_t)TIER_METRIC_LABELS_MAX); i++) {
		char *copy = clean_copy(labels[i].value);

		if (!copy) {
			metrics->failed = true;
			break;
		}
		sample.labels[sample.label_count].name = labels[i].name;
		sample.labels[sample.label_count++].value = copy;
	}
	if (!metrics->failed && !has_sample(family, &sample)) {
		added = array_grow(&family->samples, &family->sample_count, sizeof(*added));
		metrics->failed = !added;
	}
	if (added)
		*added = sample;
	else
		sample_done(&sample);
}

bool tier_metrics_wanted(const struct tier_metrics *metrics, const char *name)
{
	const char *only = metrics->only;

	return !only || strncmp(only, name, MIN(strlen(only), strlen(name))) == 0;
}

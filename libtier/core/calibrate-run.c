/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibration.h"
#include "util.h"

/* Which pairs are measured in which order, and what becomes of the rounds. The back end measures. */

DEFINE_CLEANUP(struct tier_calibration *, tier_calibration_free)

struct run {
	const struct tier_calibrate_request *request;
	const struct tier_calibrate_backend *backend;
	struct tier_calibration *calibration;
	uint64_t done, total; /* rounds, of streaming and of chasing */
	struct tier_problem *problem;
};

static int fail(struct run *run, const struct tier_calibration_pair *pair, const char *what, int r)
{
	char object[32];

	snprintf(object, sizeof(object), "node%d", pair->node);
	if (r == -ENODEV)
		return tier_problem_set(run->problem, TIER_E_STALE, object, "tierctl calibrate",
					"has gone while its %s from node %d was measured; nothing "
					"is stored",
					what, pair->cpu_node);
	return tier_problem_set(run->problem, r, object, "tierctl list nodes",
				"cannot measure its %s from node %d", what, pair->cpu_node);
}

static int advance(struct run *run)
{
	const struct tier_calibrate_request *request = run->request;

	run->done++;
	if (!request->progress || request->progress(request->userdata, run->done, run->total) == 0)
		return 0;
	return tier_problem_set(run->problem, TIER_E_CANCELLED, "calibrate", NULL,
				"stopped; nothing is stored");
}

static int measure(struct run *run, const struct tier_calibration_pair *pair, const char *what,
		   int (*round)(void *userdata, uint64_t *ret), uint64_t maximum,
		   uint64_t *ret_median, unsigned *ret_spread)
{
	uint64_t values[TIER_CALIBRATION_ROUNDS_MAX];

	for (unsigned i = 0; i < pair->rounds; i++) {
		int r = round(run->backend->userdata, &values[i]);

		if (r)
			return fail(run, pair, what, r);
		/* No clock is so coarse, and no memory so fast. */
		if (values[i] == 0 || values[i] > maximum)
			return fail(run, pair, what, -ERANGE);
		r = advance(run);
		if (r)
			return r;
	}
	*ret_median = calibration_median(values, pair->rounds, ret_spread);
	return 0;
}

static int measure_pair(struct run *run, struct tier_calibration_pair *pair)
{
	const struct tier_calibrate_backend *backend = run->backend;
	int r = backend->begin(backend->userdata, pair->cpu_node, pair->node, &pair->huge_pages);

	if (r)
		return fail(run, pair, "memory", r);
	r = measure(run, pair, "bandwidth", backend->bandwidth, TIER_CALIBRATION_MBPS_MAX,
		    &pair->read_mbps, &pair->read_spread_permille);
	if (r == 0)
		r = measure(run, pair, "latency", backend->latency, TIER_CALIBRATION_PSEC_MAX,
			    &pair->latency_psec, &pair->latency_spread_permille);
	backend->end(backend->userdata);
	return r;
}

static int add_pairs(struct run *run)
{
	const struct tier_calibrate_request *request = run->request;
	const struct tier_topology *topology = request->topology;
	struct tier_calibration *calibration = run->calibration;

	for (size_t i = 0; i < request->node_count; i++) {
		struct tier_calibration_node *node =
			array_grow(&calibration->nodes, &calibration->node_count, sizeof(*node));

		if (!node)
			return -ENOMEM;
		calibration_describe(topology, request->nodes[i], node);
	}
	for (size_t c = 0; c < topology->node_count; c++) {
		if (!topology->nodes[c].has_cpu)
			continue;
		for (size_t i = 0; i < request->node_count; i++) {
			struct tier_calibration_pair *pair = array_grow(
				&calibration->pairs, &calibration->pair_count, sizeof(*pair));

			if (!pair)
				return -ENOMEM;
			pair->cpu_node = topology->nodes[c].id;
			pair->node = request->nodes[i];
			pair->rounds = request->rounds;
		}
	}
	return 0;
}

int tier_calibrate(const struct tier_calibrate_request *request,
		   const struct tier_calibrate_backend *backend, struct tier_calibration **ret,
		   struct tier_problem *problem)
{
	_cleanup_(tier_calibration_freep) struct tier_calibration *calibration =
		calloc(1, sizeof(*calibration));
	struct run run = {request, backend, calibration, 0, 0, problem};
	int r;

	if (!calibration)
		return tier_problem_set(problem, -ENOMEM, "calibrate", NULL, "cannot begin");
	calibration->identity = *request->identity;
	calibration->made_usec = request->made_usec;
	r = add_pairs(&run);
	if (r < 0)
		return tier_problem_set(problem, r, "calibrate", NULL, "cannot begin");
	if (calibration->pair_count == 0 || calibration->pair_count > TIER_CALIBRATION_PAIRS_MAX ||
	    calibration->node_count > TIER_CALIBRATION_NODES_MAX)
		return tier_problem_set(problem, TIER_E_REFUSED, "calibrate", "tierctl list nodes",
					"%zu pairs of CPUs and memory; there must be 1 to %d",
					calibration->pair_count, TIER_CALIBRATION_PAIRS_MAX);
	run.total = calibration->pair_count * request->rounds * 2;
	for (size_t i = 0; i < calibration->pair_count; i++) {
		r = measure_pair(&run, &calibration->pairs[i]);
		if (r)
			return r;
	}
	*ret = TAKE(calibration);
	return 0;
}

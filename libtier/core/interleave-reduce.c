/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier-weights.h"

/* "weightiness" of mm/mempolicy.c: few pages in a row against shares that are near the bandwidths'. */
#define WEIGHTINESS 32

static unsigned gcd(unsigned a, unsigned b)
{
	while (b) {
		unsigned rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

void tier_weights_reduce(const uint64_t *mbps, size_t count, unsigned *ret)
{
	uint64_t sum = 0;
	unsigned common = 0;

	for (size_t i = 0; i < count; i++)
		sum += mbps[i];
	for (size_t i = 0; i < count; i++) {
		uint64_t scaled = WEIGHTINESS * mbps[i];

		/* Rounded down, but a node always gets its turn. */
		ret[i] = mbps[i] && sum < scaled ? (unsigned)(scaled / sum) : 1;
		common = gcd(ret[i], common);
	}
	for (size_t i = 0; i < count; i++)
		ret[i] /= common;
}

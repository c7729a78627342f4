/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes the seeds of fuzz-portal and fuzz-flight: make-portal-corpus tests/fuzz/corpus */
#include "records.h"

/* As in fuzz-portal.c. */
#define RESEALED 0x80
#define KEYED	 0x40
#define TAPE	 0x20

static void save(const char *directory, const char *name, uint8_t how, const void *data,
		 size_t bytes)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	if (!file || fputc(how, file) == EOF || fwrite(data, 1, bytes, file) != bytes ||
	    fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

/* A record that is accepted as it is, and one whose bytes may change and are sealed again. */
static void save_record(const char *root, const char *name, uint8_t kind, bool keyed,
			const void *data, size_t bytes)
{
	char directory[2048], file[64];

	snprintf(directory, sizeof(directory), "%s/portal", root);
	for (int resealed = 0; resealed < 2; resealed++) {
		snprintf(file, sizeof(file), "seed-%s%s%s", name, keyed ? "-keyed" : "",
			 resealed ? "-resealed" : "");
		save(directory, file,
		     (uint8_t)(kind | (keyed ? KEYED : 0) | (resealed ? RESEALED : 0)), data,
		     bytes);
	}
}

static void save_records(const char *root, bool keyed)
{
	static uint8_t bytes[TIER_SUPER_BYTES + FLIGHT_RECORD_BYTES];
	struct tape usual = {}, published = {};
	/* The offer's stamp, flight and destination as usual; then its state. */
	static const uint8_t choices[16] = {[11] = TIER_FLIGHT_PUBLISHED};
	struct tier_super super = fuzz_super(keyed);
	struct tier_host_record host = make_host(&usual, &super, 0);
	struct tier_fence_record fence = make_fence(&usual, 2, 1);
	struct tier_extent_record extent = make_extent(&usual, 5);
	struct tier_answer answer = make_answer(&usual, 0, 3);
	struct tier_offer offer;
	uint8_t *manifest;
	size_t size;

	tier_host_encode(&super, 0, &host, bytes);
	save_record(root, "host", 1, keyed, bytes, tier_record_bytes(TIER_RECORD_HOST));
	tier_extent_encode(&super, &extent, bytes);
	save_record(root, "extent", 2, keyed, bytes, tier_record_bytes(TIER_RECORD_EXTENT));
	tier_answer_encode(&super, 1, 6, &answer, bytes);
	save_record(root, "answer", 4, keyed, bytes, FLIGHT_RECORD_BYTES);
	tier_fence_encode(&super, &fence, bytes);
	save_record(root, "fence", 6, keyed, bytes, tier_record_bytes(TIER_RECORD_FENCE));

	for (size_t i = 0; i < sizeof(choices); i++) {
		published = (struct tape){choices + sizeof(choices) - 1 - i, i + 1};
		offer = make_offer(&published, &super, 0);
		if (offer.state == TIER_FLIGHT_PUBLISHED)
			break;
	}
	HOLDS(offer.state == TIER_FLIGHT_PUBLISHED);
	tier_offer_encode(&super, 3, &offer, bytes);
	HOLDS(tier_offer_decode(&super, 0, 3, bytes, &offer) == 0);
	save_record(root, "offer", 3, keyed, bytes, FLIGHT_RECORD_BYTES);
	usual = (struct tape){(const uint8_t *)"\0\0\0\0\0\5", 6};
	manifest = make_manifest(&usual, &super, &offer, &size);
	memcpy(bytes + FLIGHT_RECORD_BYTES, manifest, size);
	save_record(root, "manifest", 5, keyed, bytes, FLIGHT_RECORD_BYTES + size);
	free(manifest);

	tier_super_encode(&super, bytes);
	offer.source = super.host_count - 1;
	offer.destination = 0;
	offer.state = TIER_FLIGHT_OFFERED;
	offer.manifest = offer.state_blob = (struct tier_blob){};
	tier_offer_encode(&super, TIER_PORTAL_FLIGHTS - 1, &offer, bytes + TIER_SUPER_BYTES);
	save_record(root, "super", 0, keyed, bytes, sizeof(bytes));
}

/* The same numbers on every machine. */
static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 16;
}

/* Choices that are mostly usual ones, of which each makes other records. */
static void save_tape(const char *root, const char *target, unsigned number, uint8_t how)
{
	char directory[2048], file[64];
	uint32_t state = number + 1;
	uint8_t bytes[400];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		uint32_t value = next(&state);

		bytes[i] = (uint8_t)(next(&state) % 16 ? value % 0x60 & ~0x08u : value);
	}
	snprintf(directory, sizeof(directory), "%s/%s", root, target);
	snprintf(file, sizeof(file), "tape-%02u", number);
	save(directory, file, how, bytes, sizeof(bytes));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	save_records(argv[1], false);
	save_records(argv[1], true);
	for (unsigned i = 0; i < 14; i++)
		save_tape(argv[1], "portal", i,
			  (uint8_t)(i % 7 | TAPE | (i & 1 ? RESEALED : 0) | (i < 7 ? 0 : KEYED)));
	for (unsigned i = 0; i < 24; i++)
		save_tape(argv[1], "flight", i, (uint8_t)i);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes the seeds of fuzz-portal into a directory: one good input per decoder. */
#include "../unit/portal-fixture.h"

static void save(const char *directory, const char *name, uint8_t kind, const void *data,
		 size_t bytes)
{
	char path[4096];
	FILE *file;

	for (int reseal = 0; reseal < 2; reseal++) {
		snprintf(path, sizeof(path), "%s/seed-%s%s", directory, name,
			 reseal ? "-resealed" : "");
		file = fopen(path, "we");
		if (!file || fputc(reseal ? kind | 0x80 : kind, file) == EOF ||
		    fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
			perror(path);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct tier_super super = fixture_super();
	struct tier_host_record host = fixture_host();
	struct tier_extent_record extent = fixture_extent();
	struct tier_offer offer = fixture_offer(&super);
	struct tier_answer answer = fixture_answer();
	struct tier_manifest_run runs[] = {
		{0, super.control_bytes + 2 * MIB, 512, 1},
		{2 * MIB, super.control_bytes, 512, 2},
		{64 * MIB, super.control_bytes + 7 * super.extent_bytes - 4096, 1, 3},
	};
	struct tier_manifest manifest = {offer.flight, 11, offer.ram_bytes, 4096, runs, 3};
	static uint8_t bytes[TIER_SUPER_BYTES + 1024];

	if (argc != 2)
		return 2;
	tier_super_encode(&super, bytes);
	offer.source = 1;
	offer.destination = 0;
	offer.state = TIER_FLIGHT_OFFERED;
	offer.manifest = offer.state_blob = (struct tier_blob){};
	tier_offer_encode(&super, TIER_PORTAL_FLIGHTS - 1, &offer, bytes + TIER_SUPER_BYTES);
	save(argv[1], "super", 0, bytes, TIER_SUPER_BYTES + 1024);
	tier_host_encode(&super, 0, &host, bytes);
	save(argv[1], "host", 1, bytes, 256);
	tier_extent_encode(&super, &extent, bytes);
	save(argv[1], "extent", 2, bytes, 128);
	offer = fixture_offer(&super);
	tier_offer_encode(&super, 3, &offer, bytes);
	save(argv[1], "offer", 3, bytes, 1024);
	tier_manifest_encode(&super, &manifest, bytes + 1024);
	save(argv[1], "manifest", 5, bytes, 1024 + tier_manifest_bytes(3));
	tier_answer_encode(&super, 1, 6, &answer, bytes);
	save(argv[1], "answer", 4, bytes, 1024);
	return 0;
}

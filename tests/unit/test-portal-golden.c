/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Portal format version 1.0, byte by byte: images in tests/fixtures/portal/ that are kept for ever,
 * and the values that they hold. tests/check/portal-format.py reads the same images by the tables of
 * docs/portal-format.md. "test-portal-golden --write DIR" makes images that are not there yet.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <unistd.h>

#include "portal-golden.h"

int test_main(int argc, char **argv);
#define main test_main
#include "test.h"
#undef main

#define MAX_BYTES TIER_SUPER_BYTES

struct image {
	char name[64];
	bool keyed;
	enum kind kind;
	unsigned state;
};

/* ---- each image by its name ---------------------------------------------------------------- */

static struct image images[64];
static size_t image_count;

static void list_images(void)
{
	static const struct {
		enum kind kind;
		const char *name, *states[16]; /* by their numbers; NULL in between: none */
	} kinds[] = {
		{SUPER, "superblock", {""}},
		{HOST, "host", {""}},
		{FENCE, "fence", {"-none", "-intent", "-fenced", "-retracted"}},
		{EXTENT, "extent", {"-free", "-claimed", "-scrub", "-retired"}},
		{OFFER,
		 "offer",
		 {"-none", "-requested", "-offered", "-published", "-committed", "-withdrawn",
		  "-aborted", "-closed"}},
		{ANSWER,
		 "answer",
		 {"-none", [TIER_FLIGHT_READY] = "-ready", "-accepted", "-running", "-done",
		  "-refused"}},
		{MANIFEST, "manifest", {""}},
		{STATE, "state", {""}},
	};

	image_count = 0;
	for (unsigned keyed = 0; keyed < 2; keyed++)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			for (unsigned state = 0; state < 16; state++) {
				struct image *image = &images[image_count];

				if (!kinds[i].states[state])
					continue;
				*image = (struct image){
					.keyed = keyed, .kind = kinds[i].kind, .state = state};
				snprintf(image->name, sizeof(image->name), "%s-%s%s.bin",
					 keyed ? "keyed" : "plain", kinds[i].name,
					 kinds[i].states[state]);
				image_count++;
			}
}
#define EACH_IMAGE(i)                                                                              \
	for (struct image * (i) = (list_images(), images); (i) < images + image_count; (i)++)

/* The image that the values make; returns its size. */
static size_t encode(const struct image *image, uint8_t *to)
{
	struct tier_super super = super_of(image->keyed);
	const struct place *place = &places[image->keyed][MIN(image->kind, ANSWER)];
	struct tier_host_record host = host_of(image->keyed);
	struct tier_fence_record fence = fence_of(image->keyed, image->state);
	struct tier_extent_record extent = extent_of(image->keyed, image->state);
	struct tier_offer offer = offer_of(image->keyed, image->state);
	struct tier_answer answer = answer_of(image->keyed, image->state);
	struct tier_manifest manifest = manifest_of(image->keyed);

	switch (image->kind) {
	case SUPER:
		tier_super_encode(&super, to);
		return 4096;
	case HOST:
		tier_host_encode(&super, place->host, &host, to);
		return 256;
	case FENCE:
		tier_fence_encode(&super, &fence, to);
		return 128;
	case EXTENT:
		tier_extent_encode(&super, &extent, to);
		return 128;
	case OFFER:
		tier_offer_encode(&super, place->index, &offer, to);
		return 1024;
	case ANSWER:
		tier_answer_encode(&super, place->host, place->index, &answer, to);
		return 1024;
	case MANIFEST:
		tier_manifest_encode(&super, &manifest, to);
		return manifests[image->keyed].bytes;
	case STATE:
		return state_of(image->keyed, to);
	}
	return 0;
}

/* Fields of a structure that was decoded and of the values. */
static const char *current; /* the image */
#define SAME(field)                                                                                \
	do {                                                                                       \
		if (got->field != want->field)                                                     \
			FAIL("%s: " #field ": 0x%" PRIx64 ", not 0x%" PRIx64, current,             \
			     (uint64_t)got->field, (uint64_t)want->field);                         \
	} while (0)
#define SAME_TEXT(field)                                                                           \
	do {                                                                                       \
		if (!streq(got->field, want->field))                                               \
			FAIL("%s: " #field ": \"%s\", not \"%s\"", current, got->field,            \
			     want->field);                                                         \
	} while (0)
#define SAME_BYTES(field)                                                                          \
	do {                                                                                       \
		if (memcmp(&got->field, &want->field, sizeof(got->field)) != 0)                    \
			FAIL("%s: " #field, current);                                              \
	} while (0)
/* What a decoder returned. */
#define DECODED(r)                                                                                 \
	do {                                                                                       \
		int r_ = (r);                                                                      \
		if (r_ != 0)                                                                       \
			FAIL("%s: is not decoded: %d", current, r_);                               \
	} while (0)

static void same_stamp(const struct tier_stamp *got, const struct tier_stamp *want)
{
	SAME(incarnation);
	SAME(generation);
	SAME(sequence);
}

static void same_super(const struct tier_super *got, const struct tier_super *want)
{
	SAME(major);
	SAME(minor);
	SAME(incompat);
	SAME(compat);
	SAME_BYTES(uuid);
	SAME_TEXT(name);
	SAME(total_bytes);
	SAME(control_bytes);
	SAME(extent_bytes);
	SAME(extent_count);
	SAME(host_count);
	SAME(host_area_offset);
	SAME(host_area_bytes);
	SAME(hardware_coherent);
	SAME(formatted_usec);
	for (unsigned i = 0; i < 16; i++) {
		SAME_TEXT(hosts[i].name);
		SAME(hosts[i].first_extent);
		SAME(hosts[i].extent_count);
	}
}

static void same_host(const struct tier_host_record *got, const struct tier_host_record *want)
{
	same_stamp(&got->stamp, &want->stamp);
	SAME_TEXT(name);
	SAME_BYTES(boot);
	SAME(beat_usec);
	SAME(interval_usec);
	SAME(watchdog_usec);
}

static void same_fence(const struct tier_fence_record *got, const struct tier_fence_record *want)
{
	same_stamp(&got->stamp, &want->stamp);
	SAME(host);
	SAME(target);
	SAME(upto);
	SAME(state);
	SAME(method);
	SAME(heir);
	SAME(fenced_upto);
	SAME(fenced_heir);
	SAME(when_usec);
}

static void same_extent(const struct tier_extent_record *got, const struct tier_extent_record *want)
{
	same_stamp(&got->stamp, &want->stamp);
	SAME(extent);
	SAME(state);
	SAME(owner);
	SAME(owner_incarnation);
	SAME_BYTES(flight);
}

static void same_offer(const struct tier_offer *got, const struct tier_offer *want)
{
	same_stamp(&got->stamp, &want->stamp);
	SAME_BYTES(flight);
	SAME(source);
	SAME(destination);
	SAME(state);
	SAME_TEXT(vm);
	SAME_TEXT(machine_type);
	SAME_TEXT(qemu_version);
	SAME(ram_bytes);
	SAME(page_bytes);
	SAME(wanted_extents);
	SAME(source_incarnation);
	SAME(destination_incarnation);
	SAME(range_count);
	SAME_BYTES(ranges);
	SAME(manifest.offset);
	SAME(manifest.bytes);
	SAME(manifest.crc32c);
	SAME_BYTES(manifest.mac);
	SAME(state_blob.offset);
	SAME(state_blob.bytes);
	SAME(state_blob.crc32c);
	SAME_BYTES(state_blob.mac);
	SAME(offered_usec);
	SAME_TEXT(reason);
}

static void same_answer(const struct tier_answer *got, const struct tier_answer *want)
{
	same_stamp(&got->stamp, &want->stamp);
	SAME_BYTES(flight);
	SAME(source);
	SAME(source_slot);
	SAME(state);
	SAME_TEXT(qemu_version);
	SAME_TEXT(reason);
}

static void same_manifest(const struct tier_manifest *got, const struct tier_manifest *want)
{
	SAME_BYTES(flight);
	SAME(generation);
	SAME(ram_bytes);
	SAME(page_bytes);
	SAME(run_count);
	for (size_t i = 0; i < want->run_count; i++) {
		SAME(runs[i].ram_offset);
		SAME(runs[i].portal_offset);
		SAME(runs[i].pages);
		SAME(runs[i].crc32c);
	}
}

/* A field that is new must be compared above: these have none between the ones that are. */
static_assert(sizeof(struct tier_host_record) == 24 + 32 + 16 + 3 * 8);
static_assert(sizeof(struct tier_fence_record) == 24 + 2 * 4 + 8 + 3 * 4 + 4 + 8 + 4 + 4 + 8);
static_assert(sizeof(struct tier_extent_record) == 24 + 4 * 4 + 8 + 16);
static_assert(sizeof(struct tier_answer) == 24 + 16 + 3 * 4 + 32 + 160 + 4);

static void check_flight_blobs(const struct image *image, const uint8_t *from, size_t bytes)
{
	struct tier_super super = super_of(image->keyed);
	struct tier_offer offer = offer_of(image->keyed, TIER_FLIGHT_PUBLISHED);
	const struct tier_blob *blob =
		image->kind == MANIFEST ? &offer.manifest : &offer.state_blob;
	uint8_t mac[TIER_PORTAL_MAC_BYTES];

	CHECK_EQ(bytes, blob->bytes);
	CHECK_EQ(tier_crc32c(0, from, bytes), blob->crc32c);
	tier_blob_mac(&super, &offer.flight, from, bytes, mac);
	CHECK(memcmp(mac, blob->mac, sizeof(mac)) == 0);
}

static void check_decoded(const struct image *image, const uint8_t *from, size_t bytes)
{
	struct tier_super super = super_of(image->keyed), super_back = {};
	struct place place = places[image->keyed][MIN(image->kind, ANSWER)];
	struct tier_host_record host = host_of(image->keyed), host_back;
	struct tier_fence_record fence = fence_of(image->keyed, image->state), fence_back;
	struct tier_extent_record extent = extent_of(image->keyed, image->state), extent_back;
	struct tier_offer offer = offer_of(image->keyed, image->state), offer_back;
	struct tier_answer answer = answer_of(image->keyed, image->state), answer_back;
	struct tier_manifest manifest = manifest_of(image->keyed), *manifest_back = NULL;
	struct tier_problem problem = {};

	switch (image->kind) {
	case SUPER:
		DECODED(tier_super_decode(from, super.total_bytes, &super_back, &problem));
		same_super(&super_back, &super);
		break;
	case HOST:
		DECODED(tier_host_decode(&super, place.host, from, &host_back));
		same_host(&host_back, &host);
		break;
	case FENCE:
		DECODED(tier_fence_decode(&super, place.host, place.index, from, &fence_back));
		same_fence(&fence_back, &fence);
		break;
	case EXTENT:
		DECODED(tier_extent_decode(&super, place.index, from, &extent_back));
		same_extent(&extent_back, &extent);
		break;
	case OFFER:
		DECODED(tier_offer_decode(&super, place.host, place.index, from, &offer_back));
		same_offer(&offer_back, &offer);
		break;
	case ANSWER:
		DECODED(tier_answer_decode(&super, place.host, place.index, from, &answer_back));
		same_answer(&answer_back, &answer);
		break;
	case MANIFEST:
		offer = offer_of(image->keyed, TIER_FLIGHT_PUBLISHED);
		CHECK_EQ(
			tier_manifest_decode(&super, &offer, from, bytes, &manifest_back, &problem),
			0);
		same_manifest(manifest_back, &manifest);
		tier_manifest_free(manifest_back);
		check_flight_blobs(image, from, bytes);
		break;
	case STATE:
		check_flight_blobs(image, from, bytes);
		break;
	}
}

/* ---- the files ----------------------------------------------------------------------------- */

static const char *in_directory(const char *directory, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static const char *fixture(const char *name)
{
	const char *fixtures = getenv("TIER_FIXTURES");
	static char directory[2048];

	if (!fixtures)
		FAIL("TIER_FIXTURES must name tests/fixtures");
	snprintf(directory, sizeof(directory), "%s/portal", fixtures);
	return in_directory(directory, name);
}

static size_t read_image(const char *name, uint8_t to[static MAX_BYTES + 1])
{
	FILE *file = fopen(fixture(name), "re");
	size_t bytes;

	if (!file)
		FAIL("%s: %s", name, strerror(errno));
	bytes = fread(to, 1, MAX_BYTES + 1, file);
	fclose(file);
	return bytes;
}

static void sum(const void *data, size_t bytes, char text[static 65])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, bytes, data);
	sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static struct image *find_image(const char *name)
{
	EACH_IMAGE(i)
	if (streq(i->name, name))
		return i;
	return NULL;
}

/* ---- the tests ----------------------------------------------------------------------------- */

TEST(images_are_what_they_were)
{
	FILE *list = fopen(fixture("SHA256SUMS"), "re");
	char wanted[65], name[64], found[65];
	uint8_t buffer[MAX_BYTES + 1];
	size_t lines = 0;

	CHECK(list != NULL);
	while (fscanf(list, "%64s %63s\n", wanted, name) == 2) {
		if (!find_image(name))
			FAIL("%s: no test knows its values", name);
		sum(buffer, read_image(name, buffer), found);
		if (!streq(found, wanted))
			FAIL("%s: its SHA-256 is %s, not %s", name, found, wanted);
		lines++;
	}
	CHECK(feof(list));
	fclose(list);
	EACH_IMAGE(i);
	CHECK_EQ(lines, image_count);
}

TEST(no_image_is_left_out)
{
	DIR *directory = opendir(fixture(""));
	size_t found = 0;

	CHECK(directory != NULL);
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (entry->d_name[0] == '.' || streq(entry->d_name, "SHA256SUMS") ||
		    streq(entry->d_name, "fields.json"))
			continue;
		if (!find_image(entry->d_name))
			FAIL("%s: no test knows its values", entry->d_name);
		found++;
	}
	closedir(directory);
	CHECK_EQ(found, image_count);
}

TEST(images_hold_these_values)
{
	EACH_IMAGE(i)
	{
		uint8_t buffer[MAX_BYTES + 1];
		size_t bytes = read_image(i->name, buffer);

		current = i->name;
		check_decoded(i, buffer, bytes);
	}
}

TEST(these_values_make_the_images)
{
	EACH_IMAGE(i)
	{
		uint8_t wanted[MAX_BYTES + 1], got[MAX_BYTES];
		size_t bytes = encode(i, got);

		CHECK_EQ(read_image(i->name, wanted), bytes);
		for (size_t at = 0; at < bytes; at++)
			if (got[at] != wanted[at])
				FAIL("%s: byte %zu is 0x%02x, not 0x%02x", i->name, at, got[at],
				     wanted[at]);
	}
}

TEST(records_lie_where_they_did)
{
	for (unsigned keyed = 0; keyed < 2; keyed++) {
		struct tier_super super = super_of(keyed);
		uint64_t bytes;

		for (unsigned kind = HOST; kind <= ANSWER; kind++) {
			const struct place *place = &places[keyed][kind];

			CHECK_EQ(tier_record_offset(&super, place->kind, place->host, place->index,
						    1),
				 place->at);
		}
		CHECK_EQ(tier_blob_area(&super, keyed ? 14 : 1, &bytes), manifests[keyed].offset);
		CHECK_EQ(bytes, keyed ? 0x400000 : 0x2900000);
	}
}

/* ---- making them ---------------------------------------------------------------------------- */

static int put_new(const char *directory, const char *name, const void *data, size_t bytes)
{
	int fd = open(in_directory(directory, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool whole = fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes;

	if (!whole)
		fprintf(stderr, "%s/%s: %s\n", directory, name, strerror(errno));
	if (fd >= 0)
		close(fd);
	return whole ? 0 : 1;
}

static int write_images(const char *directory)
{
	static char sums[16384];
	size_t used = 0;

	EACH_IMAGE(i)
	{
		uint8_t buffer[MAX_BYTES];
		size_t bytes = encode(i, buffer);
		char text[65];

		if (put_new(directory, i->name, buffer, bytes))
			return 1;
		sum(buffer, bytes, text);
		used += (size_t)snprintf(sums + used, sizeof(sums) - used, "%s  %s\n", text,
					 i->name);
	}
	return put_new(directory, "SHA256SUMS", sums, used);
}

int main(int argc, char **argv)
{
	if (argc == 3 && streq(argv[1], "--write"))
		return write_images(argv[2]);
	return test_main(argc, argv);
}

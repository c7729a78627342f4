/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include <nettle/hmac.h>

#include "file-replace.h"
#include "sysfs.h"
#include "tier-calibration.h"
#include "util.h"

int tier_calibration_load(const char *sysroot, struct tier_calibration **ret,
			  struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *text = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_read_text(&sysfs, &text, "%s", TIER_CALIBRATION_PATH + 1);
	if (r == SYSFS_ABSENT)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, TIER_CALIBRATION_PATH,
					"tierctl calibrate", "nothing has been measured");
	if (r == SYSFS_DENIED)
		r = -EACCES;
	if (r < 0)
		return tier_problem_set(problem, r, TIER_CALIBRATION_PATH, NULL, "cannot read it");
	return tier_calibration_parse(text, strlen(text), TIER_CALIBRATION_PATH, ret, problem);
}

int tier_calibration_store(const char *sysroot, const struct tier_calibration *calibration,
			   struct tier_problem *problem)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	int r = tier_calibration_format(calibration, &text);

	snprintf(path, sizeof(path), "%s%s", sysroot ?: "", TIER_CALIBRATION_PATH);
	if (r == 0)
		r = file_replace(path, text, strlen(text));
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL, "cannot store the calibration");
	return 0;
}

/* For this purpose alone, as machine-id(5) asks: product_uuid is root's, and must not be in a file that all can read. */
static void hash_id(const char *kind, const char *id, char ret[static 80])
{
	static const char purpose[] = "cxl-tier calibration";
	struct hmac_sha256_ctx context;
	uint8_t digest[16];
	int length = snprintf(ret, 80, "%s:", kind);

	hmac_sha256_set_key(&context, strlen(id), (const uint8_t *)id);
	hmac_sha256_update(&context, sizeof(purpose) - 1, (const uint8_t *)purpose);
	hmac_sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		length += snprintf(ret + length, 80 - (size_t)length, "%02x", digest[i]);
}

int tier_machine_identity_read(const char *sysroot, struct tier_machine_identity *ret,
			       struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *cpus = NULL;
	struct tier_machine_identity identity = {.cpu = "unknown"};
	const char *kind = "uuid", *model;
	char id[64] = "";
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_read_string(&sysfs, id, sizeof(id), "sys/class/dmi/id/product_uuid");
	if (r == SYSFS_ABSENT) {
		kind = "machine-id";
		r = sysfs_read_string(&sysfs, id, sizeof(id), "etc/machine-id");
	}
	if (r == SYSFS_ABSENT || (r == 0 && !id[0]))
		r = -ENOENT;
	if (r == SYSFS_DENIED)
		r = -EACCES;
	if (r < 0)
		return tier_problem_set(problem, r, "/sys/class/dmi/id/product_uuid",
					r == -EACCES ? "run it as root"
						     : "systemd-machine-id-setup",
					"cannot tell which machine this is");
	hash_id(kind, id, identity.machine);
	if (sysfs_read_text(&sysfs, &cpus, "proc/cpuinfo") == 0 &&
	    (model = strstr(cpus, "model name")) && (model = strchr(model, ':'))) {
		size_t length;

		model += 1 + strspn(model + 1, " \t");
		length = strcspn(model, "\n");
		if (length > 0)
			snprintf(identity.cpu, sizeof(identity.cpu), "%.*s",
				 (int)MIN(length, sizeof(identity.cpu) - 1), model);
	}
	make_printable(identity.cpu);
	*ret = identity;
	return 0;
}

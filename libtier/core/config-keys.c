/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "config-keys.h"
#include "share.h"
#include "tier-portal.h"
#include "tier-weights.h"
#include "util.h"

#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

bool config_name_valid(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && name[0] != '-' &&
	       name[strspn(name, NAME_BYTES)] == '\0';
}

static int put(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (!copy_string(field, bytes, value)) {
		*ret_reason = "too long";
		return -EINVAL;
	}
	return 0;
}

static int refuse(const char **ret_reason, const char *reason)
{
	*ret_reason = reason;
	return -EINVAL;
}

static int store_name(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (value[0] && !config_name_valid(value))
		return refuse(ret_reason, "only letters, digits, '.', '_' and '-', and neither "
					  "'.' nor '-' first");
	return put(field, bytes, value, ret_reason);
}

/* QEMU takes commas for the start of another option; colons separate accelerators. */
static int store_word(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (strchr(value, ','))
		return refuse(ret_reason, "must not contain a comma");
	if (value[strspn(value, NAME_BYTES ":+")])
		return refuse(ret_reason, "only letters, digits, '.', '_', '-', '+' and ':'");
	return put(field, bytes, value, ret_reason);
}

static int store_path(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (value[0] && value[0] != '/')
		return refuse(ret_reason, "must be an absolute path");
	return put(field, bytes, value, ret_reason);
}

/* Goes into QEMU options, where a comma would have to be doubled. */
static int store_directory(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (strchr(value, ','))
		return refuse(ret_reason, "must not contain a comma");
	return store_path(field, bytes, value, ret_reason);
}

static int store_sysfs_path(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (value[0] && (strncmp(value, "/sys/", 5) != 0 || value[strlen(value) - 1] == '/'))
		return refuse(ret_reason,
			      "must be a path below /sys, e.g. /sys/bus/cxl/devices/region0");
	return put(field, bytes, value, ret_reason);
}

static int store_uuid(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	if (value[0] == '\0')
		return put(field, bytes, value, ret_reason);
	for (i = 0; shape[i]; i++)
		if (shape[i] == 'x' ? !isxdigit((unsigned char)value[i]) : value[i] != '-')
			break;
	if (shape[i] || value[i])
		return refuse(ret_reason, "not a UUID");
	return put(field, bytes, value, ret_reason);
}

static int store_online(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (tier_online_zone_parse(value, field) < 0)
		return refuse(ret_reason, "not one of no, auto, movable, kernel");
	return 0;
}

static int store_type(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	enum tier_memory_type type = tier_memory_type_parse(value);

	if (value[0] && type == TIER_MEMORY_UNKNOWN)
		return refuse(ret_reason, "not one of local, shared, switched");
	*(enum tier_memory_type *)field = type;
	return 0;
}

/* A portal is memory that other hosts see. */
static int store_portal_type(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (tier_memory_type_parse(value) == TIER_MEMORY_LOCAL)
		return refuse(ret_reason, "a portal is shared or switched");
	return store_type(field, bytes, value, ret_reason);
}

static int store_bool(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(value, words[i])) {
			*(bool *)field = i & 1;
			return 0;
		}
	return refuse(ret_reason, "not yes or no");
}

static int store_keyed(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	bool keyed;

	if (streq(value, "auto")) {
		*(unsigned *)field = 0;
		return 0;
	}
	if (store_bool(&keyed, sizeof(keyed), value, ret_reason) < 0)
		return refuse(ret_reason, "not one of yes, no, auto");
	*(unsigned *)field = keyed ? TIER_PORTAL_KEYED : TIER_PORTAL_UNKEYED;
	return 0;
}

static int store_unsigned(void *field, const char *value, uint64_t minimum, uint64_t maximum)
{
	uint64_t number;

	if (strncmp(value, "0x", 2) == 0 || parse_u64(value, &number) < 0 || number < minimum ||
	    number > maximum)
		return -EINVAL;
	*(unsigned *)field = (unsigned)number;
	return 0;
}

static int store_ratio(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (store_unsigned(field, value, 0, TIER_RATIO_MAX) < 0)
		return refuse(ret_reason, "not a whole number of percent from 0 to 10000");
	return 0;
}
static_assert(TIER_RATIO_MAX == 10000, "store_ratio() says so");

static int store_weight(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (store_unsigned(field, value, 1, TIER_WEIGHT_MAX) < 0)
		return refuse(ret_reason, "not a whole number from 1 to 1000");
	return 0;
}
static_assert(TIER_WEIGHT_MAX == 1000, "store_weight() says so");

static int store_interleave_weight(void *field, size_t bytes, const char *value,
				   const char **ret_reason)
{
	if (value[0] == '\0') {
		*(unsigned *)field = 0;
		return 0;
	}
	if (store_unsigned(field, value, 1, TIER_INTERLEAVE_WEIGHT_MAX) < 0)
		return refuse(ret_reason,
			      "not a whole number from 1 to 255, which the kernel has room for");
	return 0;
}
static_assert(TIER_INTERLEAVE_WEIGHT_MAX == 255, "store_interleave_weight() says so");

static int store_weights(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	static const char *const words[] = {
		[TIER_WEIGHTS_AUTO] = "auto",
		[TIER_WEIGHTS_KERNEL] = "kernel",
		[TIER_WEIGHTS_NO] = "no",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(value, words[i])) {
			*(enum tier_weights_policy *)field = (enum tier_weights_policy)i;
			return 0;
		}
	return refuse(ret_reason, "not one of auto, kernel, no");
}

static int store_tiering(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	static const char *const words[] = {
		[TIER_TIERING_NO] = "no",
		[TIER_TIERING_AUTO] = "auto",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(value, words[i])) {
			*(enum tier_tiering_mode *)field = (enum tier_tiering_mode)i;
			return 0;
		}
	return refuse(ret_reason, "not one of no, auto");
}

/* A unit, or a path below the root of the hierarchy. */
static int store_cgroup(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (strstr(value, "//") || strstr(value, "/.") ||
	    (value[0] && value[1] && value[strlen(value) - 1] == '/'))
		return refuse(ret_reason, "not a unit such as db.service, nor a path such as "
					  "/system.slice/db.service");
	if (strchr(value, '/') && value[0] != '/')
		return refuse(ret_reason, "a path begins with /, at the root of the hierarchy");
	return put(field, bytes, value, ret_reason);
}

static int store_share(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	return share_parse_amount(value, field, ret_reason);
}

static int store_answer(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	return share_parse_answer(value, field, ret_reason);
}

static int store_size(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	uint64_t size;

	if (parse_bytes(value, &size) < 0 || size == 0)
		return refuse(ret_reason, "not a size such as 16M");
	*(uint64_t *)field = size;
	return 0;
}

/* "2", "0.5", "30s": microseconds. */
static int store_seconds(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	static const char reason[] = "not a number of seconds from 0.1 to 3600";
	uint64_t whole, fraction = 0, scale = 1000000;
	const char *digits = value;

	for (whole = 0; isdigit((unsigned char)*digits) && whole <= 3600; digits++)
		whole = whole * 10 + (uint64_t)(*digits - '0');
	if (digits == value)
		return refuse(ret_reason, reason);
	if (*digits == '.') {
		digits++;
		for (; isdigit((unsigned char)*digits) && scale > 1; digits++) {
			scale /= 10;
			fraction += (uint64_t)(*digits - '0') * scale;
		}
	}
	if ((*digits && !streq(digits, "s")) || whole * 1000000 + fraction < 100000 ||
	    whole * 1000000 + fraction > UINT64_C(3600) * 1000000)
		return refuse(ret_reason, reason);
	*(uint64_t *)field = whole * 1000000 + fraction;
	return 0;
}

static int store_mechanism(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	static const char *const words[] = {
		[TIER_TIERING_BY_AUTO] = "auto",
		[TIER_TIERING_BY_DAMON] = "damon",
		[TIER_TIERING_BY_KERNEL] = "kernel",
		[TIER_TIERING_BY_IDLE] = "idle",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(value, words[i])) {
			*(enum tier_tiering_by *)field = (enum tier_tiering_by)i;
			return 0;
		}
	return refuse(ret_reason, "not one of auto, damon, kernel, idle");
}

static int store_promote_limit(void *field, size_t bytes, const char *value,
			       const char **ret_reason)
{
	uint64_t size = 0;

	if (value[0] && (parse_bytes(value, &size) < 0 || size < MIB || size > 65536 * MIB))
		return refuse(ret_reason, "not a size such as 512M, from 1M to 64G");
	*(uint64_t *)field = size;
	return 0;
}

static int store_device(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (value[0] && strncmp(value, "/dev/", 5) != 0)
		return refuse(ret_reason, "must be a path below /dev, e.g. /dev/watchdog0");
	return put(field, bytes, value, ret_reason);
}

/* node_exporter passes over files with other names. */
static int store_metrics_file(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	const char *name = strrchr(value, '/');
	size_t length = name ? strlen(name) : 0;

	if (value[0] && (value[0] != '/' || length < strlen("/x.prom") ||
			 !streq(name + length - strlen(".prom"), ".prom")))
		return refuse(ret_reason, "must be an absolute path that ends in .prom");
	return put(field, bytes, value, ret_reason);
}

static int store_cpus(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	if (store_unsigned(field, value, 1, 1024) < 0)
		return refuse(ret_reason, "not a whole number from 1 to 1024");
	return 0;
}

static int store_memory(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	uint64_t size = 0;

	if (value[0] && (parse_bytes(value, &size) < 0 || size == 0))
		return refuse(ret_reason, "not a size such as 256M");
	if (size % (2 * MIB) != 0)
		return refuse(ret_reason, "not a multiple of 2M, the size of a huge page");
	*(uint64_t *)field = size;
	return 0;
}

/* The same layout in a region and a portal: the flag stands right before the number. */
struct serial {
	bool match;
	uint64_t serial;
};
static_assert(offsetof(struct tier_config_region, serial) -
			      offsetof(struct tier_config_region, match_serial) ==
		      offsetof(struct serial, serial),
	      "store_serial() writes both fields");
static_assert(offsetof(struct tier_config_portal, serial) -
			      offsetof(struct tier_config_portal, match_serial) ==
		      offsetof(struct serial, serial),
	      "store_serial() writes both fields");

static int store_serial(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	struct serial *serial = field;
	uint64_t number = 0;

	if (value[0] && parse_u64(value, &number) < 0)
		return refuse(ret_reason, "not a serial number, decimal or with 0x");
	serial->match = value[0] != '\0';
	serial->serial = number;
	return 0;
}

/* In the order of the interleave, separated by spaces or commas. */
static int store_devices(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	struct tier_config_devices devices = {};

	for (const char *p = value + strspn(value, " \t,"); *p; p += strspn(p, " \t,")) {
		size_t length = strcspn(p, " \t,");
		uint64_t serial;
		char text[32];

		snprintf(text, sizeof(text), "%.*s", (int)length, p);
		if (length >= sizeof(text) || parse_u64(text, &serial) < 0)
			return refuse(ret_reason, "not serial numbers, decimal or with 0x");
		if (config_has_device(&devices, serial))
			return refuse(ret_reason, "a device is there twice");
		if (devices.count == TIER_WAYS_MAX)
			return refuse(ret_reason, "more than 16 devices");
		devices.serials[devices.count++] = serial;
		p += length;
	}
	/* Powers of two, and three times a power of two. */
	if ((devices.count & (devices.count - 1)) != 0 && devices.count != 3 &&
	    devices.count != 6 && devices.count != 12)
		return refuse(ret_reason,
			      "CXL interleaves over 1, 2, 3, 4, 6, 8, 12 or 16 devices");
	*(struct tier_config_devices *)field = devices;
	return 0;
}

static int store_region_size(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	uint64_t size = 0;

	if (value[0] && (parse_bytes(value, &size) < 0 || size == 0))
		return refuse(ret_reason, "not a size such as 4G");
	if (size % (256 * MIB) != 0)
		return refuse(ret_reason, "not a multiple of 256M, which CXL decodes");
	*(uint64_t *)field = size;
	return 0;
}

static int store_granularity(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	uint64_t size = 0;

	if (value[0] && (parse_bytes(value, &size) < 0 || size < 256 || size > 16 * KIB ||
			 (size & (size - 1)) != 0))
		return refuse(ret_reason, "not 256, 512, 1K, 2K, 4K, 8K or 16K");
	*(unsigned *)field = (unsigned)size;
	return 0;
}

/* The machine's list; the field is its pointer, and the count follows it. */
struct arguments {
	char **values;
	size_t count;
};
static_assert(offsetof(struct tier_config_machine, argument_count) -
			      offsetof(struct tier_config_machine, arguments) ==
		      offsetof(struct arguments, count),
	      "store_argument() writes both fields");

const char *config_argument_refused(const char *previous, const char *argument)
{
	/* What cxl-tierd decides by itself, by the name that QEMU gives the option. */
	static const struct {
		const char *option, *reason;
	} owned[] = {
		{"incoming", "cxl-tierd decides when a machine waits for a flight"},
		{"qmp", "cxl-tierd has the machine's QMP socket"},
		{"qmp-pretty", "cxl-tierd has the machine's QMP socket"},
		{"daemonize", "cxl-tierd watches the process that it started"},
		{"sandbox", "cxl-tierd sets the sandbox"},
		{"S", "cxl-tierd decides when a machine runs"},
		{"preconfig", "cxl-tierd decides when a machine runs"},
		{"loadvm", "a machine's state comes from a flight or from nowhere"},
		{"runas", "use User="},
		{"run-with", "use User="},
		{"chroot", "use User="},
		{"pidfile", "cxl-tierd watches the process that it started"},
		{"machine", "use Type="},
		{"M", "use Type="},
		{"accel", "use Accelerator="},
		{"enable-kvm", "use Accelerator="},
		{"smp", "use Cpus="},
		{"m", "use Memory="},
		{"mem-path", "use Memory=; the RAM's file belongs to cxl-tierd"},
		{"mem-prealloc", "use Memory=; the RAM's file belongs to cxl-tierd"},
		{"readconfig", "a file could bring any of the options that cxl-tierd sets"},
	};
	const char *option = argument;

	/* QEMU takes -option and --option for the same. */
	if (previous && (streq(previous, "-object") || streq(previous, "--object")) &&
	    strstr(argument, "memory-backend"))
		return "use Memory=; memory backends belong to cxl-tierd";
	if (option[0] != '-')
		return NULL;
	option += option[1] == '-' ? 2 : 1;
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		if (streq(option, owned[i].option))
			return owned[i].reason;
	return NULL;
}

static int store_argument(void *field, size_t bytes, const char *value, const char **ret_reason)
{
	struct arguments *list = field;
	const char *reason;
	char **slot;

	if (value[0] == '\0') {
		for (size_t i = 0; i < list->count; i++)
			free(list->values[i]);
		free(list->values);
		*list = (struct arguments){};
		return 0;
	}
	reason = config_argument_refused(list->count ? list->values[list->count - 1] : NULL, value);
	if (reason)
		return refuse(ret_reason, reason);
	if (list->count == 1024)
		return refuse(ret_reason, "more than 1024 arguments");
	_cleanup_free_ char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	slot = array_grow(&list->values, &list->count, sizeof(*list->values));
	if (!slot)
		return -ENOMEM;
	*slot = TAKE(copy);
	return 0;
}

#define KEY(section, type, name, field, store, fallback)                                           \
	{section, name, store, offsetof(type, field), sizeof(((type *)0)->field), fallback}
#define DAEMON(...)  KEY(CONFIG_DAEMON, struct tier_config, __VA_ARGS__)
#define TIERING(...) KEY(CONFIG_TIERING, struct tier_config, __VA_ARGS__)
#define REGION(...)  KEY(CONFIG_REGION, struct tier_config_region, __VA_ARGS__)
#define PORTAL(...)  KEY(CONFIG_PORTAL, struct tier_config_portal, __VA_ARGS__)
#define MACHINE(...) KEY(CONFIG_MACHINE, struct tier_config_machine, __VA_ARGS__)
#define POLICY(...)  KEY(CONFIG_POLICY, struct tier_config_policy, __VA_ARGS__)

const struct config_key config_keys[] = {
	DAEMON("Ratio", ratio_percent, store_ratio, "301"),
	DAEMON("DryRun", dry_run, store_bool, "no"),
	DAEMON("Online", online, store_online, "no"),
	DAEMON("OrdinaryMemory", ordinary, store_online, "auto"),
	DAEMON("VmDirectory", vm_directory, store_directory, "/run/cxl-tier/vm"),
	DAEMON("BeatSec", beat_usec, store_seconds, "1"),
	DAEMON("CutOffSec", cut_off_usec, store_seconds, "30"),
	DAEMON("Recover", recover, store_bool, "yes"),
	DAEMON("WatchdogDevice", watchdog_device, store_device, NULL),
	DAEMON("MetricsFile", metrics_file, store_metrics_file, NULL),
	DAEMON("MetricsSec", metrics_usec, store_seconds, "15"),
	TIERING("InterleaveWeights", weights, store_weights, "auto"),
	TIERING("OrdinaryInterleaveWeight", ordinary_interleave_weight, store_interleave_weight,
		NULL),
	TIERING("Tier", tiering, store_tiering, "no"),
	TIERING("LeastMemory", tiering_least_bytes, store_size, "16M"),
	TIERING("MeasureSec", tiering_gap_usec, store_seconds, "5"),
	TIERING("Mechanism", tiering_by, store_mechanism, "auto"),
	TIERING("Demotion", demotion, store_bool, "yes"),
	TIERING("PromoteRateLimit", promote_limit_bytes, store_promote_limit, NULL),
	REGION("MatchSerial", match_serial, store_serial, NULL),
	REGION("MatchUUID", match_uuid, store_uuid, NULL),
	REGION("MatchPath", match_path, store_sysfs_path, NULL),
	REGION("Online", online, store_online, "no"),
	REGION("Weight", weight, store_weight, "100"),
	REGION("Type", type, store_type, NULL),
	REGION("Create", create, store_devices, NULL),
	REGION("Size", size_bytes, store_region_size, NULL),
	REGION("InterleaveGranularity", granularity_bytes, store_granularity, NULL),
	REGION("InterleaveWeight", interleave_weight, store_interleave_weight, NULL),
	PORTAL("MatchSerial", match_serial, store_serial, NULL),
	PORTAL("MatchUUID", match_uuid, store_uuid, NULL),
	PORTAL("MatchPath", match_path, store_sysfs_path, NULL),
	PORTAL("File", file, store_path, NULL),
	PORTAL("Host", host, store_name, NULL),
	PORTAL("Type", type, store_portal_type, NULL),
	PORTAL("Keyed", keyed, store_keyed, "auto"),
	MACHINE("Qemu", qemu, store_path, "/usr/bin/qemu-system-x86_64"),
	MACHINE("Type", type, store_word, "q35"),
	MACHINE("Memory", memory_bytes, store_memory, NULL),
	MACHINE("Cpus", cpus, store_cpus, "1"),
	MACHINE("Accelerator", accelerator, store_word, "kvm:tcg"),
	MACHINE("User", user, store_name, "cxl-tier-vm"),
	MACHINE("Argument", arguments, store_argument, NULL),
	POLICY("Cgroup", cgroup, store_cgroup, NULL),
	POLICY("DramMin", policy.dram_min, store_share, NULL),
	POLICY("DramMax", policy.dram_max, store_share, NULL),
	POLICY("Demote", policy.demote, store_answer, NULL),
	POLICY("Promote", policy.promote, store_answer, NULL),
	POLICY("LatencySensitive", policy.latency_sensitive, store_answer, NULL),
};
const size_t config_key_count = ARRAY_SIZE(config_keys);

void config_section_defaults(enum config_section section, void *target)
{
	const char *reason;

	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->section == section)
			key->store((char *)target + key->offset, key->bytes, key->fallback ?: "",
				   &reason);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl portal format */
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "client.h"
#include "tool.h"

struct request {
	const char *object;
	struct tool_strings hosts;
	const char *name;
	uint64_t extent_bytes, size_bytes;
	bool hardware_coherent, keyed, generate_key, force, dry_run;
	/* found out */
	bool is_region;
	char path[256]; /* of a file; of a region's device once it is devdax */
	uint64_t total_bytes;
	char default_name[TIER_PORTAL_NAME];
	unsigned wanted; /* Keyed= of its section */
};

static void free_topology(struct tier_topology **topology)
{
	tier_topology_free(*topology);
}

static void free_config(struct tier_config **config)
{
	tier_config_free(*config);
}

/* What the configuration calls it; otherwise portal0, since each host may number its regions so. */
static int choose_name(struct request *request, const struct tier_region *region)
{
	__attribute__((cleanup(free_config))) struct tier_config *config = NULL;
	const struct tier_config_portal *rule = NULL;
	int r = tool_config(&config);

	if (r != 0)
		return r;
	if (region)
		rule = tier_config_portal_rule(config, region);
	for (size_t i = 0; !rule && i < config->portal_count; i++)
		if (!request->is_region && strcmp(config->portals[i].file, request->object) == 0)
			rule = &config->portals[i];
	snprintf(request->default_name, sizeof(request->default_name), "%.31s",
		 rule ? rule->name : "portal0");
	request->wanted = rule ? rule->keyed : 0;
	return 0;
}

static int examine_region(struct request *request)
{
	__attribute__((cleanup(free_topology))) struct tier_topology *topology = NULL;
	const struct tier_block *blocks;
	const struct tier_region *region;
	size_t count, online = 0;
	int r = tool_topology(&topology);

	if (r != 0)
		return r;
	region = tier_topology_region(topology, request->object);
	if (!region)
		return tool_fail_text(request->object,
				      "tierctl list regions; a file is named with a '/'",
				      "no such region");
	if (region->start == TIER_UNKNOWN_U64)
		return tool_fail_text(request->object, "run it as root", "cannot see its address");
	/* Each extent is to be a memory block or several. */
	if (topology->block_bytes > 0 && (region->start % topology->block_bytes != 0 ||
					  request->extent_bytes % topology->block_bytes != 0)) {
		char size[16];

		return tool_fail_text(request->object, NULL,
				      "its start and the extent size must be multiples of the "
				      "memory block size, %s",
				      tool_bytes(size, topology->block_bytes));
	}
	blocks = tier_topology_range_blocks(topology, region->start, region->bytes, &count);
	for (size_t i = 0; i < count; i++)
		online += blocks[i].state != TIER_BLOCK_OFFLINE;
	if (online > 0) {
		char next[96];

		snprintf(next, sizeof(next), "tierctl offline %s --to-devdax", request->object);
		return tool_fail_text(request->object, next,
				      "%zu of its %zu memory blocks are online", online, count);
	}
	request->total_bytes = region->bytes;
	return choose_name(request, region);
}

static int examine_file(struct request *request)
{
	struct stat status;

	if (snprintf(request->path, sizeof(request->path), "%s", request->object) >=
	    (int)sizeof(request->path))
		return tool_fail_text(request->object, NULL, "too long for a path");
	if (stat(request->path, &status) == 0) {
		if (!S_ISREG(status.st_mode))
			return tool_fail_text(request->object,
					      "for a dax device name its region: tierctl list "
					      "regions",
					      "not a plain file");
		request->total_bytes = (uint64_t)status.st_size;
	} else if (errno != ENOENT) {
		return tool_fail_text(request->object, NULL, "cannot stat it: %s", strerror(errno));
	} else if (request->size_bytes == 0) {
		return tool_fail_text(request->object, "--size says how large to make it",
				      "no such file");
	}
	if (request->size_bytes > 0)
		request->total_bytes = request->size_bytes;
	return choose_name(request, NULL);
}

static int split_hosts(const struct tool_strings *given, char **texts, const char **hosts,
		       size_t maximum, size_t *ret_count)
{
	size_t count = 0;

	/* "--host A --host B" and "--host A,B" */
	for (size_t i = 0; i < given->count; i++) {
		char *rest = texts[i] = strdup(given->values[i]);

		while (rest && count < maximum)
			hosts[count++] = strsep(&rest, ",");
		if (!texts[i] || rest)
			return tool_usage("portal format: at most %d hosts", TIER_PORTAL_MAX_HOSTS);
	}
	*ret_count = count;
	return 0;
}

static int plan(const struct request *request, struct tier_super *ret)
{
	const char *hosts[TIER_PORTAL_MAX_HOSTS];
	char *texts[32] = {};
	struct tier_problem problem = {};
	struct tier_uuid uuid;
	struct timespec now;
	sd_id128_t random;
	size_t count = 0;
	int r = split_hosts(&request->hosts, texts, hosts, TIER_PORTAL_MAX_HOSTS, &count);

	if (r == 0 && sd_id128_randomize(&random) < 0)
		r = tool_fail_text(request->object, NULL, "no random numbers");
	if (r == 0) {
		memcpy(uuid.bytes, random.bytes, sizeof(uuid.bytes));
		if (tier_super_plan(request->name ? request->name : request->default_name, hosts,
				    count, request->total_bytes, request->extent_bytes, &uuid, ret,
				    &problem) != 0)
			r = tool_fail(&problem);
	}
	for (size_t i = 0; i < 32; i++)
		free(texts[i]);
	if (r == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		ret->formatted_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
		ret->hardware_coherent = request->hardware_coherent;
		if (request->keyed)
			ret->incompat |= TIER_PORTAL_INCOMPAT_KEYED;
	}
	return r;
}

static int print(const struct request *request, const struct tier_super *super)
{
	char uuid[37], total[16], control[16], extent[16], *json;

	if (tool_common.json) {
		int r = tier_super_to_json(super, &json);

		if (r < 0)
			return tool_fail_text(super->name, NULL, "cannot make JSON: %s",
					      tier_strerror(r));
		fputs(json, stdout);
		free(json);
		return TOOL_OK;
	}
	tier_uuid_format(&super->uuid, uuid);
	printf("%s: %s %s (%s), format %u.%u, uuid %s\n", super->name,
	       request->dry_run ? "would be made of" : "made of",
	       request->path[0] ? request->path : request->object,
	       tool_bytes(total, super->total_bytes), super->major, super->minor, uuid);
	printf("  control area %s, then %u extents of %s\n",
	       tool_bytes(control, super->control_bytes), super->extent_count,
	       tool_bytes(extent, super->extent_bytes));
	for (uint32_t i = 0; i < super->host_count; i++)
		printf("  host %s: slot %u, home of extents %u-%u\n", super->hosts[i].name, i,
		       super->hosts[i].first_extent,
		       super->hosts[i].first_extent + super->hosts[i].extent_count - 1);
	printf(super->hardware_coherent
		       ? "  caches are left to the hardware, as declared; this host cannot check "
			 "that\n"
		       : "  caches are flushed by software; this is not proven on hardware\n");
	if (request->keyed)
		printf("  keyed: each host needs a copy of this host's key %s.key\n", super->name);
	return TOOL_OK;
}

/* Before anything is overwritten: nobody could open a portal whose key is missing, or one too many. */
static int check_key(const struct request *request, const char *name)
{
	struct tier_problem problem = {};
	int r;

	if (request->wanted == (request->keyed ? TIER_PORTAL_UNKEYED : TIER_PORTAL_KEYED))
		return tool_fail_text(request->object,
				      request->keyed ? "leave out --keyed, or change that"
						     : "--keyed, or change that",
				      "its [Portal] section says Keyed=%s",
				      request->keyed ? "no" : "yes");
	if (request->wanted == TIER_PORTAL_UNKEYED)
		return 0;
	r = tier_portal_key_find(name, &problem);
	if (r != 0 && r != TIER_E_NOT_FOUND)
		return tool_fail(&problem);
	if (request->generate_key && r == 0)
		return tool_fail_text(name, "--keyed alone takes it",
				      "this host has a key for a portal of this name");
	if (request->keyed && !request->generate_key && r != 0)
		return tool_fail(&problem);
	if (!request->keyed && r == 0)
		return tool_fail_text(name,
				      "--keyed uses it; else remove it or choose another name",
				      "this host has a key for a portal of this name");
	return 0;
}

/* A dry run is refused like the real one, as far as memory that is not devdax yet can be read. */
static int rehearse(struct request *request)
{
	struct tier_problem problem = {};
	char device[64];
	int r;

	if (request->is_region) {
		if (tier_portal_region_path(request->object, device, &problem) != 0)
			return TOOL_OK;
		snprintf(request->path, sizeof(request->path), "%s", device);
	}
	r = request->force ? 0 : tier_portal_unused(request->path, &problem);
	return r ? tool_fail(&problem) : TOOL_OK;
}

static int carry_out(struct request *request, const struct tier_super *super)
{
	struct tier_problem problem = {};
	char device[64];
	int r = 0;

	if (request->is_region && geteuid() != 0)
		return tool_fail_text(request->object, "sudo tierctl portal format",
				      "cannot format: needs root");
	if (request->is_region) {
		r = tier_portal_region_to_devdax(request->object, &problem);
		if (r == 0)
			r = tier_portal_region_path(request->object, device, &problem);
		if (r == 0)
			snprintf(request->path, sizeof(request->path), "%s", device);
	}
	if (r == 0 && !request->force)
		r = tier_portal_unused(request->path, &problem);
	if (r == 0 && request->generate_key)
		r = tier_portal_key_generate(super->name, &problem);
	if (r == 0)
		r = tier_portal_format(request->path, super, request->force, &problem);
	if (r != 0)
		return tool_fail(&problem);
	/* It is formatted, whatever the daemon says. */
	if (client_daemon_running())
		(void)client_call("Rescan", NULL, NULL);
	return TOOL_OK;
}

int cmd_portal_format(int argc, char **argv)
{
	struct request request = {.extent_bytes = TIER_PORTAL_EXTENT_DEFAULT};
	const struct tool_option options[] = {
		{"host", "NAME", "a host that may use it; repeat for each", TOOL_STRINGS,
		 &request.hosts},
		{"name", "PORTAL", "the portal's name; default: the configuration's, or portal0",
		 TOOL_STRING, &request.name},
		{"extent-size", "BYTES", "unit of ownership; default: 128M", TOOL_BYTES,
		 &request.extent_bytes},
		{"size", "BYTES", "size of a new file", TOOL_BYTES, &request.size_bytes},
		{"hardware-coherent", NULL, "the hosts' caches know of each other: flush nothing",
		 TOOL_FLAG, &request.hardware_coherent},
		{"keyed", NULL, "records carry a MAC by a key that the hosts share", TOOL_FLAG,
		 &request.keyed},
		{"generate-key", NULL, "make that key; implies --keyed", TOOL_FLAG,
		 &request.generate_key},
		{"force", NULL, "also over an existing portal, with all that lies in it", TOOL_FLAG,
		 &request.force},
		{"dry-run", NULL, "say what would be done", TOOL_FLAG, &request.dry_run},
	};
	struct tier_super super;
	char **objects;
	int r = tool_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), 1, 1,
			   &objects, NULL);

	if (r != 0)
		return r;
	request.object = objects[0];
	request.is_region = !strchr(request.object, '/');
	request.keyed |= request.generate_key;
	if (request.hosts.count == 0)
		return tool_usage("portal format: give --host NAME for each host");
	if (request.is_region && request.size_bytes > 0)
		return tool_usage("portal format: --size is for files; a region has its own");
	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0)
		return tool_usage("portal format: not in a dump of a machine");
	r = request.is_region ? examine_region(&request) : examine_file(&request);
	if (r == 0)
		r = plan(&request, &super);
	if (r == 0)
		r = check_key(&request, super.name);
	if (r == 0)
		r = request.dry_run ? rehearse(&request) : carry_out(&request, &super);
	return r ? r : print(&request, &super);
}

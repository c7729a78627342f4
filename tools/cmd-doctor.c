/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libkmod.h>
#include <systemd/sd-json.h>

#include "client.h"
#include "doctor.h"
#include "tool.h"

void doctor_add(struct doctor_report *report, enum doctor_verdict verdict, const char *object,
		const char *cost, const char *action, const char *format, ...)
{
	struct doctor_finding *finding,
		*grown = reallocarray(report->findings, report->count + 1, sizeof(*grown));
	va_list arguments;

	if (!grown) {
		report->incomplete = true;
		return;
	}
	report->findings = grown;
	finding = &grown[report->count++];
	finding->verdict = verdict;
	snprintf(finding->object, sizeof(finding->object), "%s", object);
	va_start(arguments, format);
	vsnprintf(finding->found, sizeof(finding->found), format, arguments);
	va_end(arguments);
	snprintf(finding->cost, sizeof(finding->cost), "%s", verdict == OK ? "" : cost);
	snprintf(finding->action, sizeof(finding->action), "%s", verdict == OK ? "" : action);
}

/* A file of the machine, or of the dump; false if it cannot be read. */
static bool read_line(const char *path, char *text, size_t size)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", tool_common.sysroot ?: "", path);
	FILE *file = fopen(full, "re");
	if (!file)
		return false;
	bool read = fgets(text, (int)size, file) != NULL;
	fclose(file);
	if (read)
		text[strcspn(text, "\n")] = '\0';
	return read;
}

static bool has_word(const char *line, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = line; (p = strstr(p, word)); p += length)
		if ((p == line || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0'))
			return true;
	return false;
}

static void check_hotplug(struct doctor_report *report, const struct tier_topology *topology)
{
	const struct tier_hotplug *hotplug = &topology->hotplug;
	bool offline = strcmp(hotplug->auto_online, "offline") == 0;
	char line[4096] = "";

	if (!hotplug->auto_online[0])
		doctor_add(report, FAIL, "memory hotplug", "no CXL memory can become RAM",
			   "boot a kernel with CONFIG_MEMORY_HOTPLUG", "this kernel has none");
	else
		doctor_add(
			report, offline ? OK : FAIL, "auto_online_blocks",
			"a portal would be onlined when it appears, and another host's VM "
			"overwritten",
			"echo offline > /sys/devices/system/memory/auto_online_blocks; for good: "
			"boot with memhp_default_state=offline, as the package sets up",
			offline ? "%s: new memory stays offline"
				: "%s: the kernel onlines new memory",
			hotplug->auto_online);
	(void)read_line("proc/cmdline", line, sizeof(line));
	if (has_word(line, "memhp_default_state=offline"))
		doctor_add(report, OK, "kernel command line", NULL, NULL,
			   "memhp_default_state=offline");
	else
		doctor_add(
			report, WARN, "kernel command line",
			"between boot and the first service, new memory is the kernel's to online",
			"add memhp_default_state=offline to the boot loader's kernel command line",
			"lacks memhp_default_state=offline");
	doctor_add(report, hotplug->init_on_free ? OK : WARN, "init_on_free",
		   "tierctl send refuses: pages of other processes could stay readable in a portal",
		   "add init_on_free=1 to the boot loader's kernel command line",
		   hotplug->init_on_free ? "freed pages are wiped" : "freed pages are not wiped");
	for (size_t i = 0; i < topology->dax_count; i++)
		if (hotplug->memmap_on_memory && topology->daxs[i].memmap_on_memory)
			doctor_add(
				report, FAIL, topology->daxs[i].name,
				"the kernel's page structures lie in memory that another host may "
				"write",
				"boot with memory_hotplug.memmap_on_memory=0",
				"memmap_on_memory is on");
}

static void check_tiering(struct doctor_report *report, const struct tier_topology *topology)
{
	bool slow_node = false, one_tier = true;
	int tier = TIER_UNKNOWN_INT;

	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];

		if (!node->has_memory)
			continue;
		slow_node |= !node->has_cpu;
		one_tier &= tier == TIER_UNKNOWN_INT || node->tier == tier;
		tier = node->tier;
	}
	if (!slow_node) {
		doctor_add(report, OK, "tiering", NULL, NULL, "no memory without CPUs is online");
		return;
	}
	if (tier == TIER_UNKNOWN_INT)
		doctor_add(
			report, WARN, "memory tiers", "what is promoted or demoted is not known",
			"if memory is going offline, run tierctl doctor again after that; else see "
			"/sys/devices/virtual/memory_tiering",
			"which node is in which tier cannot be read");
	else
		doctor_add(report, one_tier ? WARN : OK, "memory tiers",
			   "nothing is promoted or demoted: the kernel sees no difference between "
			   "the nodes",
			   "firmware with HMAT or CDAT figures; see tierctl list nodes",
			   one_tier ? "all nodes with memory are in one tier"
				    : "the nodes differ in tier");
	doctor_kernel_tiering(report, topology);
}

static void check_module(struct doctor_report *report, struct kmod_ctx *ctx, const char *name,
			 const char *cost)
{
	struct kmod_module *module = NULL;
	int state;

	if (!ctx || kmod_module_new_from_name(ctx, name, &module) < 0) {
		doctor_add(report, WARN, name, "unknown", "run depmod -a",
			   "libkmod cannot read the list of modules");
		return;
	}
	state = kmod_module_get_initstate(module);
	if (state == KMOD_MODULE_BUILTIN || state == KMOD_MODULE_LIVE)
		doctor_add(report, OK, name, NULL, NULL,
			   state == KMOD_MODULE_LIVE ? "module is loaded"
						     : "built into the kernel");
	else if (kmod_module_get_path(module))
		doctor_add(report, OK, name, NULL, NULL, "module is installed, not loaded yet");
	else
		doctor_add(report, FAIL, name, cost, "boot a kernel that has the module",
			   "neither built in nor installed for this kernel");
	kmod_module_unref(module);
}

static void check_qemu(struct doctor_report *report)
{
	static const char cost[] = "tierctl send and receive cannot hand over VMs";
	FILE *pipe = popen("qemu-system-x86_64 --version 2>/dev/null", "re");
	unsigned major = 0, minor = 0;
	char line[256] = "";
	const char *version;

	if (pipe) {
		(void)!fgets(line, sizeof(line), pipe);
		pclose(pipe);
	}
	version = strstr(line, "version ");
	if (!version || sscanf(version, "version %u.%u", &major, &minor) != 2)
		doctor_add(report, WARN, "qemu", cost, "install qemu-system-x86", "not installed");
	else
		doctor_add(report, major >= 11 ? OK : WARN, "qemu", cost,
			   "install QEMU 11 or newer", "version %u.%u", major, minor);
}

/* Our kernel series types every node, and gives every region one; see kernel/ in the source. */
static void check_typed_nodes(struct doctor_report *report, const struct tier_topology *topology)
{
	size_t typed = 0;

	for (size_t i = 0; i < topology->node_count; i++)
		typed += topology->nodes[i].type_by_kernel;
	doctor_add(
		report, typed ? OK : WARN, "typed nodes",
		"nothing keeps ordinary allocations from shared memory that is online: extents are "
		"open for the length of a flight only, and types are what the configuration says",
		"boot a kernel with the project's patch series (kernel/)",
		typed ? "this kernel types its nodes" : "this kernel has no typed nodes");
}

static void check_region_nodes(struct doctor_report *report, const struct tier_topology *topology)
{
	char sharing[100] = "";
	int node = TIER_ABSENT_NODE;

	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];
		size_t used = strlen(sharing);

		if (!region->shares_node || (node >= 0 && region->target_node != node))
			continue;
		node = region->target_node;
		snprintf(sharing + used, sizeof(sharing) - used, "%s%s", used ? ", " : "",
			 region->name);
	}
	if (node < 0)
		doctor_add(report, OK, "nodes of regions", NULL, NULL,
			   "no two regions share a node");
	else
		doctor_add(report, WARN, "nodes of regions",
			   "numactl, tiers and types cannot tell them apart",
			   "boot a kernel with the project's patch series (kernel/), with "
			   "cxl_region_nodes=N for N regions",
			   "%s share node %d", sharing, node);
}

static void check_held(struct doctor_report *report, bool held, bool running)
{
	doctor_add(report, held == running ? OK : WARN, "dax devices",
		   held ? "those that arrive stay without a driver: their memory is not used"
			: "the memory of a region that arrives is added before it is known whether "
			  "it is a portal, taken away for the look, and added again",
		   held ? "systemctl start cxl-tierd; or cxl-tierd --release; or, if somebody "
			  "else holds them, echo 1 > /sys/bus/dax/drivers_autoprobe"
			: "systemctl reload cxl-tierd; its journal says why it does not hold "
			  "them, unless it runs dry",
		   held	     ? "those that arrive wait for cxl-tierd"
		   : running ? "those that arrive do not wait for cxl-tierd"
			     : "those that arrive wait for nobody");
}

static void check_live(struct doctor_report *report, const struct tier_topology *topology)
{
	struct kmod_ctx *ctx = kmod_new(NULL, NULL);
	bool running;

	doctor_add(report, geteuid() == 0 ? OK : WARN, "root",
		   "physical addresses are hidden, so regions cannot be matched with memory blocks",
		   "sudo tierctl doctor", geteuid() == 0 ? "yes" : "no");
	check_module(report, ctx, "dax_cxl", "CXL regions get no dax device, so nothing uses them");
	check_module(report, ctx, "kmem", "CXL memory cannot be onlined");
	check_module(report, ctx, "device_dax", "portals cannot be opened");
	kmod_unref(ctx);
	running = client_daemon_running();
	doctor_add(report, running ? OK : FAIL, "cxl-tierd",
		   "regions are not onlined, VMs are neither sent nor received",
		   "systemctl enable --now cxl-tierd", running ? "answers" : "does not answer");
	check_held(report, topology->hotplug.dax_held, running);
	doctor_errors(report, running);
	doctor_leftover_weights(report, running);
	doctor_tiering(report, running);
	check_qemu(report);
}

static const char *const verdict_names[] = {[OK] = "ok", [WARN] = "warn", [FAIL] = "FAIL"};

static void print_text(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		printf("%-4s  %-20s %s\n", verdict_names[finding->verdict], finding->object,
		       finding->found);
		if (finding->verdict != OK)
			printf("        costs: %s\n        do:    %s\n", finding->cost,
			       finding->action);
	}
}

static int print_json(const struct doctor_report *report)
{
	sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < report->count; i++) {
		const struct doctor_finding *f = &report->findings[i];

		r = sd_json_variant_append_arraybo(
			&array,
			SD_JSON_BUILD_PAIR_STRING(
				"verdict", f->verdict == FAIL ? "fail" : verdict_names[f->verdict]),
			SD_JSON_BUILD_PAIR_STRING("object", f->object),
			SD_JSON_BUILD_PAIR_STRING("found", f->found),
			SD_JSON_BUILD_PAIR_STRING("cost", f->cost),
			SD_JSON_BUILD_PAIR_STRING("action", f->action));
	}
	if (r >= 0)
		r = sd_json_variant_dump(array, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
					 stdout, NULL);
	sd_json_variant_unref(array);
	return r;
}

static int print_report(const struct doctor_report *report)
{
	if (!tool_common.json)
		print_text(report);
	else if (print_json(report) < 0)
		return tool_fail_text("doctor", NULL, "cannot print");
	if (report->incomplete)
		return tool_fail_text("doctor", NULL, "cannot tell more: %s",
				      tier_strerror(-ENOMEM));
	for (size_t i = 0; i < report->count; i++)
		if (report->findings[i].verdict == FAIL)
			return TOOL_FAILED;
	return TOOL_OK;
}

int cmd_doctor(int argc, char **argv)
{
	struct tier_topology *topology;
	struct doctor_report report = {};
	int r = tool_parse(argc, argv, NULL, 0, 0, 0, NULL, NULL);

	if (r == 0)
		r = tool_topology_tiers(&topology);
	if (r)
		return r;
	check_hotplug(&report, topology);
	doctor_rivals(&report);
	/* A dump says nothing about these. */
	if (!tool_common.sysroot || strcmp(tool_common.sysroot, "/") == 0)
		check_live(&report, topology);
	doctor_retired(&report, topology);
	check_tiering(&report, topology);
	check_region_nodes(&report, topology);
	check_typed_nodes(&report, topology);
	doctor_declared(&report, topology);
	doctor_calibration(&report, topology);
	tier_topology_free(topology);
	r = print_report(&report);
	free(report.findings);
	return r;
}

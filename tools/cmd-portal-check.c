/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl portal check */
#include <systemd/sd-id128.h>
#include <systemd/sd-json.h>

#include "lock.h"
#include "portal-list.h"

struct request {
	bool repair, dry_run;
	bool several;	    /* say which portal each is about */
	const char *locked; /* why this host's records cannot be written now; NULL: they can */
	struct tier_config *config;
};

/* Of one portal. */
struct result {
	struct tier_portal *portal;
	struct tier_finding *findings;
	struct tier_repair *repairs;
	size_t finding_count, repair_count;
	size_t bad; /* findings */
};

static void result_done(struct result *result)
{
	tier_portal_close(result->portal);
	free(result->findings);
	free(result->repairs);
}

static void unref(sd_json_variant **variant)
{
	sd_json_variant_unref(*variant);
}
#define _cleanup_json_ __attribute__((cleanup(unref)))

static const char *outcome_name(enum tier_repair_outcome outcome)
{
	return outcome == TIER_REPAIR_DONE    ? "done"
	       : outcome == TIER_REPAIR_WOULD ? "would"
					      : "left";
}

static int build_json(const struct result *result, bool repair, sd_json_variant **ret)
{
	_cleanup_json_ sd_json_variant *findings = NULL, *repairs = NULL;
	int r = sd_json_variant_new_array(&findings, NULL, 0);

	for (size_t i = 0; r >= 0 && i < result->finding_count; i++)
		r = sd_json_variant_append_arraybo(
			&findings, SD_JSON_BUILD_PAIR_BOOLEAN("bad", result->findings[i].bad),
			SD_JSON_BUILD_PAIR_STRING("object", result->findings[i].object),
			SD_JSON_BUILD_PAIR_STRING("text", result->findings[i].text),
			SD_JSON_BUILD_PAIR_STRING("next", result->findings[i].next));
	r = r < 0 ? r : sd_json_variant_new_array(&repairs, NULL, 0);
	for (size_t i = 0; r >= 0 && i < result->repair_count; i++)
		r = sd_json_variant_append_arraybo(
			&repairs,
			SD_JSON_BUILD_PAIR_STRING("outcome",
						  outcome_name(result->repairs[i].outcome)),
			SD_JSON_BUILD_PAIR_STRING("object", result->repairs[i].object),
			SD_JSON_BUILD_PAIR_STRING("text", result->repairs[i].text));
	if (r < 0)
		return r;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("portal", tier_portal_super(result->portal)->name),
		SD_JSON_BUILD_PAIR_STRING("path", tier_portal_path(result->portal)),
		SD_JSON_BUILD_PAIR_UNSIGNED("bad", result->bad),
		SD_JSON_BUILD_PAIR_VARIANT("findings", findings),
		SD_JSON_BUILD_PAIR_CONDITION(repair, "repairs", SD_JSON_BUILD_VARIANT(repairs)));
}

static int print_json(const struct result *result, bool repair)
{
	_cleanup_json_ sd_json_variant *object = NULL;
	int r = build_json(result, repair, &object);

	r = r < 0 ? r
		  : sd_json_variant_dump(object, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE,
					 stdout, NULL);
	return r < 0 ? tool_fail_text(tier_portal_path(result->portal), NULL,
				      "cannot make JSON: %s", tier_strerror(r))
		     : 0;
}

static void print_text(const struct request *request, const struct result *result)
{
	if (request->several)
		printf("%s on %s:\n", tier_portal_super(result->portal)->name,
		       tier_portal_path(result->portal));
	for (size_t i = 0; i < result->finding_count; i++) {
		const struct tier_finding *finding = &result->findings[i];

		printf("%-4s %s: %s%s%s\n", finding->bad ? "BAD" : "ok", finding->object,
		       finding->text, finding->next[0] ? "; " : "", finding->next);
	}
	for (size_t i = 0; i < result->repair_count; i++)
		printf("%s %s: %s\n", outcome_name(result->repairs[i].outcome),
		       result->repairs[i].object, result->repairs[i].text);
}

static int look(struct result *result)
{
	int r;

	free(result->findings);
	result->findings = NULL;
	result->bad = 0;
	r = tier_portal_check(result->portal, &result->findings, &result->finding_count);
	if (r != 0)
		return tool_fail_text(tier_portal_path(result->portal), NULL, "cannot check it: %s",
				      tier_strerror(r));
	for (size_t i = 0; i < result->finding_count; i++)
		result->bad += result->findings[i].bad;
	return 0;
}

/* One that does not answer, or is not configured here, was not started here. */
static bool machine_here(void *userdata, const char *vm)
{
	const struct request *request = userdata;
	struct tier_machine *machine = NULL;
	struct tier_problem problem;
	int r = tier_machine_attach(request->config, vm, &machine, &problem);

	tier_machine_free(machine);
	return r != TIER_E_NOT_FOUND;
}

/* As cxl-tierd has it; the variable is for its tests. */
static int read_boot(struct tier_uuid *ret)
{
	const char *text = getenv("CXL_TIERD_BOOT_ID");
	sd_id128_t boot;
	int r = text ? sd_id128_from_string(text, &boot) : sd_id128_get_boot(&boot);

	if (r < 0)
		return tool_fail_text("/proc/sys/kernel/random/boot_id", NULL,
				      "cannot read the boot's id: %s", tier_strerror(r));
	memcpy(ret->bytes, boot.bytes, sizeof(ret->bytes));
	return 0;
}

static int repair(struct request *request, struct result *result)
{
	struct tier_repairing repairing = {
		.no_records = request->locked,
		.machine_here = machine_here,
		.userdata = request,
		.dry_run = request->dry_run,
	};
	char host[64];
	int r = portal_local_host(tier_portal_path(result->portal), host);

	r = r ?: read_boot(&repairing.boot);
	if (r)
		return r;
	repairing.host = tier_super_host(tier_portal_super(result->portal), host);
	r = tier_portal_repair(result->portal, &repairing, &result->repairs, &result->repair_count);
	if (r)
		return tool_fail_text(tier_portal_path(result->portal), NULL,
				      "cannot repair it: %s", tier_strerror(r));
	return 0;
}

/* What is said is what was found; what counts is what is left. */
static int conclude(const struct request *request, struct result *result)
{
	const char *name = tier_portal_super(result->portal)->name;
	size_t found = result->bad, total = result->finding_count;
	int r;

	if (!request->repair || request->dry_run || found == 0) {
		if (found == 0)
			return TOOL_OK;
		return tool_fail_text(name, NULL, "%zu of %zu findings are bad", found, total);
	}
	r = look(result);
	if (r || result->bad == 0)
		return r;
	return tool_fail_text(name, "tierctl portal check shows them",
			      "%zu of %zu bad findings are left", result->bad, found);
}

static int check_path(struct request *request, const char *path)
{
	__attribute__((cleanup(result_done))) struct result result = {};
	bool write = request->repair && !request->dry_run;
	struct tier_problem problem = {};
	int r = portal_open(path, write ? TIER_PORTAL_WRITE : TIER_PORTAL_READ, &result.portal,
			    &problem);

	if (r == TIER_E_DAMAGED && request->repair)
		snprintf(problem.next, sizeof(problem.next),
			 "there is no copy to restore it from: if other hosts cannot read it "
			 "either, tierctl portal format --force gives it up");
	if (r)
		return tool_fail(&problem);
	r = look(&result);
	if (r == 0 && request->repair)
		r = repair(request, &result);
	if (r == 0 && tool_common.json)
		r = print_json(&result, request->repair);
	else if (r == 0)
		print_text(request, &result);
	return r ?: conclude(request, &result);
}

static int check_all(struct request *request)
{
	__attribute__((cleanup(portal_list_done))) struct portal_list list = {};
	const char *separator = "";
	int result = TOOL_OK, r = portal_list(&list);

	if (r != 0)
		return r;
	request->several = true;
	if (tool_common.json)
		printf("[");
	else if (list.count == 0)
		printf("no portal on this host\n");
	for (size_t i = 0; i < list.count; i++) {
		fputs(separator, stdout);
		separator = tool_common.json ? "," : "\n";
		r = check_path(request, list.places[i].path);
		if (r != 0)
			result = r;
	}
	if (tool_common.json)
		printf("]\n");
	return result;
}

/*
 * cxl-tierd writes this host's records while it runs, and tierctl portal fence its fences. A dry run
 * asks, too, and says the same.
 */
static int take_locks(struct request *request, int fds[static 2])
{
	char path[300];
	int r = lock_daemon(&fds[0], path);

	if (r == 0) {
		r = lock_fences(&fds[1], path);
		if (r == TIER_E_BUSY)
			request->locked = "tierctl portal fence runs on this host; let it end";
	} else if (r == TIER_E_BUSY) {
		request->locked = "cxl-tierd of this host writes it while it runs: systemctl stop "
				  "cxl-tierd, repair, start it again";
	}
	if (r < 0 && !request->dry_run)
		return tool_fail_text(path, NULL, "cannot lock it: %s", tier_strerror(r));
	return 0;
}

static int check(struct request *request, const char *object)
{
	int fds[2] = {-1, -1}, r = 0;
	char path[256];

	if (request->repair)
		r = tool_config(&request->config) ?: take_locks(request, fds);
	if (r == 0 && object)
		r = portal_find(object, path) ?: check_path(request, path);
	else if (r == 0)
		r = check_all(request);
	for (size_t i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	tier_config_free(request->config);
	return r;
}

int cmd_portal_check(int argc, char **argv)
{
	struct request request = {};
	const struct tool_option table[] = {
		{"repair", NULL, "write again what is damaged and known", TOOL_FLAG,
		 &request.repair},
		{"dry-run", NULL, "with --repair: say what would be written, and write nothing",
		 TOOL_FLAG, &request.dry_run},
	};
	char **names;
	int count, r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 0, 1, &names,
				  &count);

	if (r != 0)
		return r;
	if (request.dry_run && !request.repair)
		return tool_usage("portal check: --dry-run goes with --repair");
	if (request.repair && !request.dry_run && geteuid() != 0)
		return tool_fail_text(count ? names[0] : "portal check",
				      "sudo tierctl portal check --repair",
				      "repairing a portal needs root");
	return check(&request, count ? names[0] : NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include "tier-offline.h"

static const char *outcome(int code)
{
	switch (code) {
	case 0:
		return "done";
	case TIER_E_BUSY:
		return "busy";
	case TIER_E_TIMEOUT:
		return "timeout";
	case TIER_E_CANCELLED:
		return "cancelled";
	case TIER_E_REFUSED:
		return "refused";
	default:
		return "failed";
	}
}

static int append_numbers(sd_json_variant **array, const uint64_t *numbers, size_t count)
{
	int r = sd_json_variant_new_array(array, NULL, 0);

	for (size_t i = 0; r >= 0 && i < count; i++)
		r = sd_json_variant_append_arrayb(array, SD_JSON_BUILD_UNSIGNED(numbers[i]));
	return r;
}

static int build_pages(const struct tier_block_holders *h, sd_json_variant **pages,
		       sd_json_variant **runs)
{
	int r = sd_json_variant_new_object(pages, NULL, 0);

	for (enum tier_holder i = 0; r >= 0 && i < _TIER_HOLDER_MAX; i++)
		if (h->pages[i] > 0)
			r = sd_json_variant_set_field_unsigned(pages, tier_holder_name(i),
							       h->pages[i]);
	if (r >= 0)
		r = sd_json_variant_new_array(runs, NULL, 0);
	for (size_t i = 0; r >= 0 && i < h->run_count; i++)
		r = sd_json_variant_append_arraybo(
			runs, SD_JSON_BUILD_PAIR_UNSIGNED("frame", h->runs[i].first_frame),
			SD_JSON_BUILD_PAIR_UNSIGNED("pages", h->runs[i].pages),
			SD_JSON_BUILD_PAIR_STRING("holder", tier_holder_name(h->runs[i].holder)));
	return r;
}

static int build_processes(const struct tier_block_holders *h, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < h->process_count; i++) {
		const struct tier_holder_process *p = &h->processes[i];

		r = sd_json_variant_append_arraybo(
			ret, SD_JSON_BUILD_PAIR_INTEGER("pid", p->pid),
			SD_JSON_BUILD_PAIR_STRING("comm", p->comm), JSON_TEXT("vm", p->vm),
			SD_JSON_BUILD_PAIR_UNSIGNED("pages", p->pages),
			SD_JSON_BUILD_PAIR_BOOLEAN("vfio", p->pins & TIER_PINS_VFIO),
			SD_JSON_BUILD_PAIR_BOOLEAN("rdma", p->pins & TIER_PINS_RDMA),
			SD_JSON_BUILD_PAIR_BOOLEAN("io_uring", p->pins & TIER_PINS_IO_URING));
	}
	return r;
}

static int build_holders(const struct tier_block_holders *h, sd_json_variant **ret)
{
	_cleanup_json_ sd_json_variant *pages = NULL, *runs = NULL, *processes = NULL;
	int r = build_pages(h, &pages, &runs);

	if (r >= 0)
		r = build_processes(h, &processes);
	if (r < 0)
		return r;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_UNSIGNED("block", h->block), JSON_NODE("node", h->node),
		JSON_ZONE("zone", h->zone),
		SD_JSON_BUILD_PAIR_UNSIGNED("page_bytes", h->page_bytes),
		JSON_TEXT("unknown", h->unknown), SD_JSON_BUILD_PAIR_BOOLEAN("moving", h->moving),
		SD_JSON_BUILD_PAIR_UNSIGNED("stay_pages", h->stay_pages),
		SD_JSON_BUILD_PAIR_UNSIGNED("to_go_pages", h->to_go_pages),
		SD_JSON_BUILD_PAIR_VARIANT("pages", pages), JSON_U64("room_bytes", h->room_bytes),
		SD_JSON_BUILD_PAIR_VARIANT("runs", runs),
		SD_JSON_BUILD_PAIR_BOOLEAN("runs_partial", h->runs_partial),
		SD_JSON_BUILD_PAIR_VARIANT("processes", processes),
		SD_JSON_BUILD_PAIR_UNSIGNED("processes_found", h->processes_found),
		SD_JSON_BUILD_PAIR_BOOLEAN("processes_partial", h->processes_partial));
}

int tier_offline_result_to_json(const struct tier_offline_result *result, int code, char **ret_json)
{
	_cleanup_json_ sd_json_variant *stay = NULL, *lost = NULL, *holders = NULL, *whole = NULL;
	int r = append_numbers(&stay, result->stay, result->stay_count);

	if (r >= 0)
		r = append_numbers(&lost, result->lost, result->lost_count);
	if (r >= 0)
		r = result->has_holders ? build_holders(&result->holders, &holders)
					: sd_json_variant_new_null(&holders);
	if (r >= 0)
		r = sd_json_buildo(
			&whole, SD_JSON_BUILD_PAIR_STRING("region", result->region),
			SD_JSON_BUILD_PAIR_STRING("outcome", outcome(code)),
			SD_JSON_BUILD_PAIR_BOOLEAN("keep_partial", result->keep_partial),
			SD_JSON_BUILD_PAIR_UNSIGNED("block_bytes", result->block_bytes),
			SD_JSON_BUILD_PAIR_UNSIGNED("elapsed_usec", result->elapsed_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("blocks", result->block_count),
			SD_JSON_BUILD_PAIR_UNSIGNED("offline_blocks", result->offline_count),
			SD_JSON_BUILD_PAIR_VARIANT("stay", stay),
			SD_JSON_BUILD_PAIR_VARIANT("not_put_back", lost),
			SD_JSON_BUILD_PAIR_VARIANT("held", holders));
	return r < 0 ? r : json_format(whole, ret_json);
}

void tier_offline_result_done(struct tier_offline_result *result)
{
	free(result->stay);
	free(result->lost);
	*result = (struct tier_offline_result){};
}

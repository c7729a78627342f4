/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tier-error.h"
#include "tier-ras.h"
#include "test.h"

/* As Linux 7.2 prints them, from the emulated hosts. */
static const char poison[] =
	"cxl_poison: memdev=mem0 host=0000:21:00.0 serial=1 trace_type=List region=region0 "
	"region_uuid=00000000-0000-0000-0000-000000000000 hpa=0x5a0000000 "
	"hpa_alias0=0xffffffffffffffff dpa=0x10000000 dpa_length=0x100 source=Internal flags= "
	"overflow_time=0";
static const char media[] =
	"cxl_general_media: memdev=mem0 host=0000:21:00.0 serial=1 log=Fatal : "
	"time=1795292102890243992 uuid=fbcd0a77-c260-417f-85a9-088b1621eba6 len=128 flags='0x1' "
	"handle=1 related_handle=0 maint_op_class=0 maint_op_sub_class=0 ld_id=0 head_id=0 : "
	"dpa=10001000 dpa_flags='' descriptor='UNCORRECTABLE_EVENT|THRESHOLD_EVENT' "
	"type='ECC Error' sub_type='Not Reported' transaction_type='Host Read' channel=0 rank=0 "
	"device=0 validity_flags='' comp_id=00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
	"comp_id_pldm_valid_flags='' pldm_entity_id=0x00 pldm_resource_id=0x00 hpa=5a0001000 "
	"hpa_alias0=ffffffffffffffff region=region0 "
	"region_uuid=00000000-0000-0000-0000-000000000000 cme_threshold_ev_flags='' cme_count=0";
static const char dram[] =
	"cxl_dram: memdev=mem0 host=0000:21:00.0 serial=1 log=Failure : time=1795292103136258610 "
	"uuid=601dcbb3-9c06-4eab-b8af-4e9bfb5c9624 len=128 flags='0x1' handle=1 related_handle=0 "
	"maint_op_class=0 maint_op_sub_class=0 ld_id=0 head_id=0 : dpa=20001000 dpa_flags='' "
	"descriptor='THRESHOLD_EVENT' type='ECC Error' sub_type='Not Reported' "
	"transaction_type='Host Read' channel=0 rank=0 nibble_mask=0 bank_group=0 bank=0 row=0 "
	"column=0 cor_mask=00 00 validity_flags='' comp_id=00 00 comp_id_pldm_valid_flags='' "
	"pldm_entity_id=0x00 pldm_resource_id=0x00 hpa=ffffffffffffffff "
	"hpa_alias0=ffffffffffffffff region= region_uuid=00000000-0000-0000-0000-000000000000 "
	"sub_channel=0 cme_threshold_ev_flags='' cvme_count=7";
static const char module[] =
	"cxl_memory_module: memdev=mem1 host=0000:41:00.0 serial=2 log=Warning : "
	"time=1795292103312010270 uuid=fe927475-dd59-4339-a586-79bab113b774 len=128 flags='0x1' "
	"handle=1 related_handle=0 maint_op_class=0 maint_op_sub_class=0 ld_id=0 head_id=0 : "
	"event_type='Media Status Change' event_sub_type='Not Reported' "
	"health_status='PERFORMANCE_DEGRADED' media_status='Not Ready' as_life_used=Normal";
static const char aer[] =
	"cxl_aer_uncorrectable_error: memdev=mem1 host=0000:41:00.0 serial=-2: status: 'Cache Data "
	"Parity Error | Received Poison From Peer' first_error: 'Cache Data Parity Error'";

TEST(poison_has_device_address_and_length)
{
	struct tier_ras_event e;

	CHECK_EQ(tier_ras_parse(poison, &e), 0);
	CHECK_EQ(e.kind, TIER_RAS_POISON);
	CHECK_STR(e.memdev, "mem0");
	CHECK_STR(e.region, "region0");
	CHECK_EQ(e.serial, 1);
	CHECK_EQ(e.dpa, 0x10000000);
	CHECK_EQ(e.bytes, 0x100);
	CHECK_EQ(e.hpa, 0x5a0000000);
	CHECK(e.uncorrectable && !e.cleared);
	CHECK_STR(e.what, "source Internal");
}

TEST(poison_that_was_cleared_is_no_error)
{
	struct tier_ras_event e;

	CHECK_EQ(tier_ras_parse("cxl_poison: memdev=mem0 serial=1 trace_type=Clear region= "
				"hpa=0xffffffffffffffff dpa=0x40 dpa_length=0x40 source=Unknown",
				&e),
		 0);
	CHECK(e.cleared && !e.uncorrectable);
	CHECK_EQ(e.hpa, TIER_UNKNOWN_U64);
	CHECK_STR(e.region, "");
}

TEST(media_records)
{
	struct tier_ras_event e;

	CHECK_EQ(tier_ras_parse(media, &e), 0);
	CHECK_EQ(e.kind, TIER_RAS_MEDIA);
	CHECK_EQ(e.dpa, 0x10001000); /* without 0x, unlike poison's */
	CHECK_EQ(e.hpa, 0x5a0001000);
	CHECK_EQ(e.bytes, 64);
	CHECK(e.uncorrectable);
	CHECK_STR(e.severity, "Fatal");
	CHECK_STR(e.what, "ECC Error, Host Read");
	CHECK_EQ(tier_ras_parse(dram, &e), 0);
	CHECK_EQ(e.kind, TIER_RAS_DRAM);
	CHECK(!e.uncorrectable);
	CHECK_EQ(e.hpa, TIER_UNKNOWN_U64);
	CHECK_STR(e.region, "");
	CHECK_STR(e.what, "ECC Error, Host Read, THRESHOLD_EVENT");
}

TEST(records_without_an_address)
{
	struct tier_ras_event e;

	CHECK_EQ(tier_ras_parse(module, &e), 0);
	CHECK_EQ(e.kind, TIER_RAS_MODULE);
	CHECK_EQ(e.dpa, TIER_UNKNOWN_U64);
	CHECK_EQ(e.bytes, 0);
	CHECK(!e.uncorrectable);
	CHECK_STR(e.what, "Media Status Change, PERFORMANCE_DEGRADED, media Not Ready");
	CHECK_EQ(tier_ras_parse(aer, &e), 0);
	CHECK_EQ(e.kind, TIER_RAS_AER);
	CHECK_EQ(e.serial, UINT64_MAX - 1); /* %lld in the kernel */
	CHECK(e.uncorrectable);
	CHECK_STR(e.what, "Cache Data Parity Error | Received Poison From Peer");
	CHECK_EQ(tier_ras_parse("CPU:1 [LOST 12 EVENTS]", &e), 0);
	CHECK_EQ(e.kind, TIER_RAS_LOST);
}

TEST(a_page_that_the_kernel_gave_up)
{
	struct tier_ras_event e;

	CHECK_EQ(tier_ras_parse("memory_failure_event: pfn 0x5c0000: recovery action for dirty LRU "
				"page: Recovered",
				&e),
		 0);
	CHECK_EQ(e.kind, TIER_RAS_PAGE);
	CHECK_EQ(e.hpa, 0x5c0000000);
	CHECK_EQ(e.bytes, 4096);
	CHECK_STR(e.what, "dirty LRU page: Recovered");
	CHECK_EQ(tier_ras_parse("memory_failure_event: pfn 0x5c0000", &e), TIER_E_DAMAGED);
	CHECK_EQ(tier_ras_parse("memory_failure_event: pfn 0xffffffffffffffffff: recovery action "
				"for x: y",
				&e),
		 TIER_E_DAMAGED);
}

TEST(fields_that_are_new_or_elsewhere_are_passed_over)
{
	struct tier_ras_event e;

	CHECK_EQ(tier_ras_parse("cxl_poison: later=1 dpa_length=0x40 unknown='a dpa=0x1 b' "
				"dpa=0x80 serial=7 memdev=mem3 : trace_type=List more=2",
				&e),
		 0);
	CHECK_EQ(e.dpa, 0x80);
	CHECK_EQ(e.serial, 7);
	CHECK_EQ(e.bytes, 0x40);
	CHECK_EQ(e.hpa, TIER_UNKNOWN_U64);
}

TEST(what_lacks_something_or_lies_is_damaged)
{
	static const char *const lines[] = {
		"cxl_poison: ",
		"cxl_poison: memdev=mem0 serial=1 dpa=0x40 dpa_length=0x0 trace_type=List",
		"cxl_poison: memdev=mem0 serial=1 dpa=0x40 trace_type=List",
		"cxl_poison: memdev=mem0 serial=x dpa=0x40 dpa_length=0x40",
		"cxl_poison: memdev=mem0 serial=1 dpa=0x40z dpa_length=0x40",
		"cxl_poison: memdev= serial=1 dpa=0x40 dpa_length=0x40",
		"cxl_poison: memdev=mem0 serial=1 dpa=0xffffffffffffffff dpa_length=0x40",
		"cxl_poison: memdev=mem0 serial=1 dpa=0x11111111111111111 dpa_length=0x40",
		"cxl_general_media: memdev=mem0 serial=1 log=Fatal : type='ECC Error'",
		"cxl_general_media: memdev='mem0 serial=1 dpa=40",
	};
	struct tier_ras_event e = {.serial = 99};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (tier_ras_parse(lines[i], &e) != TIER_E_DAMAGED)
			FAIL("taken: %s", lines[i]);
	CHECK_EQ(e.serial, 99); /* untouched */
}

TEST(other_events_are_none_of_ours)
{
	static const char *const lines[] = {
		"",
		":",
		"sched_switch: prev_comm=cxl_poison: memdev=mem0",
		"cxl_poison",
		"cxl_poison:memdev=mem0",
		" cxl_poison: memdev=mem0 serial=1 dpa=0x40 dpa_length=0x40",
		"cxl_poisonous: memdev=mem0 serial=1 dpa=0x40 dpa_length=0x40",
	};
	struct tier_ras_event e;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (tier_ras_parse(lines[i], &e) != TIER_E_NOT_FOUND)
			FAIL("taken: %s", lines[i]);
}

TEST(what_is_long_is_cut)
{
	struct tier_ras_event e;
	char line[4096], name[1024];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(line, sizeof(line), "cxl_memory_module: memdev=%s serial=1 log=%s event_type='%s'",
		 name, name, name);
	CHECK_EQ(tier_ras_parse(line, &e), 0);
	CHECK_EQ(strlen(e.memdev), sizeof(e.memdev) - 1);
	CHECK_EQ(strlen(e.severity), sizeof(e.severity) - 1);
}

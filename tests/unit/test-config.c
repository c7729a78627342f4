/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config-keys.h"
#include "test.h"
#include "tier-portal.h"
#include "tier-topology.h"

static struct tier_problem problem;

static struct tier_config *config_of(const char *text)
{
	struct tier_config *config;

	memset(&problem, 0, sizeof(problem));
	if (tier_config_new(&config) != 0)
		FAIL("no memory");
	int r = tier_config_parse(config, text, strlen(text), "t.conf", &problem);
	if (r == 0)
		return config;
	tier_config_free(config);
	FAIL("%s: %s", problem.object, problem.text);
}

/* The text is refused on that line, and the reason holds these words. */
static void check_refused(const char *text, size_t bytes, const char *object, const char *words)
{
	struct tier_config *config;

	memset(&problem, 0, sizeof(problem));
	CHECK_EQ(tier_config_new(&config), 0);
	int r = tier_config_parse(config, text, bytes, "t.conf", &problem);
	tier_config_free(config);
	if (r != -EINVAL)
		FAIL("returned %d for \"%s\"", r, text);
	CHECK_STR(problem.object, object);
	CHECK_HAS(problem.text, words);
	/* Without memory for a problem it is refused all the same. */
	CHECK_EQ(tier_config_new(&config), 0);
	r = tier_config_parse(config, text, bytes, "t.conf", NULL);
	tier_config_free(config);
	CHECK_EQ(r, -EINVAL);
}
#define REFUSED(text, line, words) check_refused(text, strlen(text), "t.conf:" #line, words)

TEST(defaults)
{
	struct tier_config *config = config_of("");

	CHECK_EQ(config->ratio_percent, 301);
	CHECK_EQ(config->dry_run, false);
	CHECK_EQ(config->online, TIER_ONLINE_NO);
	CHECK_STR(config->vm_directory, "/run/cxl-tier/vm");
	CHECK_EQ(config->beat_usec, 1000000);
	CHECK_EQ(config->cut_off_usec, 30000000);
	CHECK_EQ(config->recover, true);
	CHECK_STR(config->watchdog_device, "");
	CHECK_EQ(config->region_count + config->portal_count + config->machine_count, 0);
	tier_config_free(config);
	config = config_of("[Region r]\n[Portal p]\n[Machine m]");
	CHECK_EQ(config->portals[0].keyed, 0);
	CHECK_EQ(config->regions[0].online, TIER_ONLINE_NO);
	CHECK_EQ(config->regions[0].match_serial, false);
	CHECK_STR(config->machines[0].qemu, "/usr/bin/qemu-system-x86_64");
	CHECK_STR(config->machines[0].type, "q35");
	CHECK_STR(config->machines[0].accelerator, "kvm:tcg");
	CHECK_STR(config->machines[0].user, "cxl-tier-vm");
	CHECK_EQ(config->machines[0].cpus, 1);
	tier_config_free(config);
	CHECK(!tier_config_free(NULL));
}

TEST(every_key)
{
	struct tier_config *config = config_of(
		"# a comment\n; another\r\n\n"
		"[Daemon]\nRatio=200\nDryRun=yes\nOnline=auto\nVmDirectory=/var/vm\n"
		"BeatSec=0.25\nCutOffSec=90s\nRecover=no\nWatchdogDevice=/dev/watchdog1\n"
		"[Region near]\n MatchSerial = 0x1F \nOnline=movable\nWeight=250\nType=switched\n"
		"[Region far]\nMatchUUID=01234567-89ab-cdef-0123-456789ABCDEF\n"
		"MatchPath=/sys/bus/cxl/devices/region0\nOnline=kernel\n"
		"[Portal p.0]\nMatchSerial=47\nHost=a-host\nKeyed=yes\nType=Shared\n"
		"[ Portal  file ]\nFile=/tmp/portal\nKeyed=no\n"
		"[Machine web_1]\nQemu=/opt/qemu\nType=pc-q35-9.0\nMemory=256M\nCpus=2\n"
		"Accelerator=tcg\nUser=nobody\nArgument=-device\nArgument=virtio-net-pci,id=a=b\n");

	CHECK_EQ(config->ratio_percent, 200);
	CHECK_EQ(config->dry_run, true);
	CHECK_EQ(config->online, TIER_ONLINE_AUTO);
	CHECK_STR(config->vm_directory, "/var/vm");
	CHECK_EQ(config->beat_usec, 250000);
	CHECK_EQ(config->cut_off_usec, 90000000);
	CHECK_EQ(config->recover, false);
	CHECK_STR(config->watchdog_device, "/dev/watchdog1");
	CHECK_EQ(config->region_count, 2);
	CHECK_STR(config->regions[0].name, "near");
	CHECK(config->regions[0].match_serial);
	CHECK_EQ(config->regions[0].serial, 31);
	CHECK_EQ(config->regions[0].online, TIER_ONLINE_MOVABLE);
	CHECK_EQ(config->regions[0].weight, 250);
	CHECK_EQ(config->regions[1].weight, 100);
	CHECK_EQ(config->regions[0].type, TIER_MEMORY_SWITCHED);
	CHECK_EQ(config->regions[1].type, TIER_MEMORY_UNKNOWN);
	CHECK(!config->regions[1].match_serial);
	CHECK_STR(config->regions[1].match_uuid, "01234567-89ab-cdef-0123-456789ABCDEF");
	CHECK_STR(config->regions[1].match_path, "/sys/bus/cxl/devices/region0");
	CHECK_EQ(config->regions[1].online, TIER_ONLINE_KERNEL);
	CHECK_EQ(config->portal_count, 2);
	CHECK(config->portals[0].match_serial);
	CHECK_EQ(config->portals[0].serial, 47);
	CHECK_STR(config->portals[0].host, "a-host");
	CHECK_EQ(config->portals[0].keyed, TIER_PORTAL_KEYED);
	CHECK_EQ(config->portals[0].type, TIER_MEMORY_SHARED);
	CHECK_EQ(config->portals[1].type, TIER_MEMORY_UNKNOWN);
	CHECK_STR(config->portals[1].file, "/tmp/portal");
	CHECK_EQ(config->portals[1].keyed, TIER_PORTAL_UNKEYED);
	CHECK_EQ(config->machine_count, 1);
	CHECK_STR(config->machines[0].qemu, "/opt/qemu");
	CHECK_STR(config->machines[0].type, "pc-q35-9.0");
	CHECK_EQ(config->machines[0].memory_bytes, UINT64_C(256) << 20);
	CHECK_EQ(config->machines[0].cpus, 2);
	CHECK_STR(config->machines[0].accelerator, "tcg");
	CHECK_STR(config->machines[0].user, "nobody");
	CHECK_EQ(config->machines[0].argument_count, 2);
	CHECK_STR(config->machines[0].arguments[1], "virtio-net-pci,id=a=b");
	CHECK_EQ(config_check(config, &problem), 0);
	CHECK(tier_config_machine(config, "web_1") == &config->machines[0]);
	CHECK(!tier_config_machine(config, "web"));
	tier_config_free(config);
}

TEST(later_assignments_win_and_empty_ones_reset)
{
	struct tier_config *config = config_of(
		"[Daemon]\nRatio=1\nRatio=2\nOnline=auto\nOnline=\n"
		"[Region r]\nMatchSerial=0\nMatchUUID=01234567-89ab-cdef-0123-456789abcdef\n"
		"[Machine m]\nMemory=4M\nArgument=-a\nArgument=-b\nType=pc\nType=\n"
		"[Region r]\nMatchSerial=\nOnline=auto\n"
		"[Portal p]\nKeyed=yes\n[Portal q]\nKeyed=yes\nKeyed=\n[Portal r]\nKeyed=no\n"
		"Keyed=auto\n"
		"[Machine m]\nArgument=\nArgument=-c\n");

	CHECK_EQ(config->ratio_percent, 2);
	CHECK_EQ(config->online, TIER_ONLINE_NO);
	CHECK_EQ(config->region_count, 1);
	CHECK(!config->regions[0].match_serial);
	CHECK_EQ(strlen(config->regions[0].match_uuid), 36);
	CHECK_EQ(config->regions[0].online, TIER_ONLINE_AUTO);
	CHECK_EQ(config->machine_count, 1);
	CHECK_EQ(config->machines[0].memory_bytes, 4 << 20);
	CHECK_STR(config->machines[0].type, "q35");
	CHECK_EQ(config->machines[0].argument_count, 1);
	CHECK_STR(config->machines[0].arguments[0], "-c");
	CHECK_EQ(config->portals[0].keyed, TIER_PORTAL_KEYED);
	CHECK_EQ(config->portals[1].keyed, 0);
	CHECK_EQ(config->portals[2].keyed, 0);
	tier_config_free(config);
}

TEST(bad_files_name_line_and_reason)
{
	REFUSED("[Deamon]\n", 1, "unknown section [Deamon]");
	REFUSED("\n\n[Daemon x]\n", 3, "takes no name");
	REFUSED("[Region]\n", 1, "needs a name");
	REFUSED("[Region a/b]\n", 1, "a/b");
	REFUSED("[Machine ..]\n", 1, "..");
	REFUSED("[Machine -x]\n", 1, "-x");
	REFUSED("[Machine a b]\n", 1, "a b");
	REFUSED("[Machine aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
		1, "too long");
	REFUSED("[Daemon\n", 1, "ends with ]");
	REFUSED("Ratio=1\n", 1, "before the first section");
	REFUSED("[Daemon]\nRatio\n", 2, "neither [Section] nor Key=Value");
	REFUSED("[Daemon]\n\nRation=3\n", 3, "unknown key \"Ration\"");
	REFUSED("[Region r]\nMemory=2M\n", 2, "unknown key \"Memory\"");
	REFUSED("[Daemon]\nBeatSec=0.05\n", 2, "not a number of seconds");
	REFUSED("[Daemon]\nBeatSec=1,5\n", 2, "not a number of seconds");
	REFUSED("[Daemon]\nBeatSec=.5\n", 2, "not a number of seconds");
	REFUSED("[Daemon]\nCutOffSec=3601\n", 2, "not a number of seconds");
	REFUSED("[Daemon]\nCutOffSec=99999999999999999999\n", 2, "not a number of seconds");
	REFUSED("[Daemon]\nWatchdogDevice=watchdog\n", 2, "below /dev");
	REFUSED("[Daemon]\nRatio=x\n", 2, "Ratio=x: not a whole number");
	REFUSED("[Daemon]\nRatio=-1\n", 2, "not a whole number");
	REFUSED("[Daemon]\nRatio=3.01\n", 2, "not a whole number");
	REFUSED("[Daemon]\nRatio=99999999999999999999\n", 2, "not a whole number");
	REFUSED("[Daemon]\nRatio=10001\n", 2, "from 0 to 10000");
	REFUSED("[Region r]\nWeight=0\n", 2, "Weight=0: not a whole number from 1 to 1000");
	REFUSED("[Region r]\nWeight=1001\n", 2, "from 1 to 1000");
	REFUSED("[Region r]\nWeight=heavy\n", 2, "from 1 to 1000");
	REFUSED("[Daemon]\nDryRun=perhaps\n", 2, "not yes or no");
	REFUSED("[Daemon]\nOnline=all\n", 2, "no, auto, movable, kernel");
	REFUSED("[Daemon]\nVmDirectory=vm\n", 2, "absolute");
	REFUSED("[Daemon]\nVmDirectory=/a,b\n", 2, "comma");
	REFUSED("[Region r]\nMatchSerial=0xg\n", 2, "serial");
	REFUSED("[Region r]\nMatchSerial=-1\n", 2, "serial");
	REFUSED("[Region r]\nMatchUUID=0123\n", 2, "UUID");
	REFUSED("[Region r]\nMatchUUID=01234567-89ab-cdef-0123-456789abcdef0\n", 2, "UUID");
	REFUSED("[Region r]\nMatchPath=region0\n", 2, "/sys");
	REFUSED("[Region r]\nMatchPath=/sys/bus/\n", 2, "/sys");
	REFUSED("[Portal p]\nFile=x\n", 2, "absolute");
	REFUSED("[Portal p]\nHost=a/b\n", 2, "only letters");
	REFUSED("[Portal p]\nHost=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 2, "too long");
	REFUSED("[Region r]\nType=far\n", 2, "Type=far: not one of local, shared, switched");
	REFUSED("[Portal p]\nType=Local\n", 2, "Type=Local: a portal is shared or switched");
	REFUSED("[Portal p]\nKeyed=maybe\n", 2, "Keyed=maybe: not one of yes, no, auto");
	REFUSED("[Machine m]\nMemory=3M\n", 2, "multiple of 2M");
	REFUSED("[Machine m]\nMemory=0\n", 2, "not a size");
	REFUSED("[Machine m]\nMemory=lots\n", 2, "not a size");
	REFUSED("[Machine m]\nType=q35,accel=kvm\n", 2, "comma");
	REFUSED("[Machine m]\nAccelerator=tcg,thread=x\n", 2, "comma");
	REFUSED("[Machine m]\nCpus=0\n", 2, "1 to 1024");
	REFUSED("[Machine m]\nQemu=qemu\n", 2, "absolute");
	REFUSED("[Daemon]\nVmDirectory=/a\tb\x1b[0m\n", 2, "control character \\x1b");
	check_refused("[Daemon]\nRatio=1\0\n", 18, "t.conf:2", "control character \\x00");
}

TEST(arguments_that_are_not_the_users)
{
	REFUSED("[Machine m]\nArgument=-incoming\n", 2, "flight");
	REFUSED("[Machine m]\nArgument=--incoming\n", 2, "flight");
	REFUSED("[Machine m]\nArgument=-qmp\n", 2, "QMP");
	REFUSED("[Machine m]\nArgument=-daemonize\n", 2, "process");
	REFUSED("[Machine m]\nArgument=-sandbox\n", 2, "sandbox");
	REFUSED("[Machine m]\nArgument=-m\n", 2, "Memory=");
	REFUSED("[Machine m]\nArgument=-object\nArgument=memory-backend-ram,id=x\n", 3, "Memory=");
	REFUSED("[Machine m]\nArgument=--object\nArgument={\"qom-type\":\"memory-backend-file\"}\n",
		3, "Memory=");
	REFUSED("[Machine m]\nArgument=-object\n[Daemon]\n[Machine m]\n"
		"Argument=memory-backend-ram,id=x\n",
		5, "Memory=");
	CHECK(!config_argument_refused(NULL, "-device"));
	CHECK(!config_argument_refused("-object", "rng-random,id=r"));
	CHECK(!config_argument_refused("-device", "memory-backend"));
	CHECK(!config_argument_refused(NULL, "-monitor"));
}

TEST(a_long_file_name_keeps_its_line)
{
	char file[300];
	struct tier_config *config;

	memset(file, 'd', sizeof(file));
	strcpy(file + sizeof(file) - 12, "/last.conf");
	CHECK_EQ(tier_config_new(&config), 0);
	CHECK_EQ(tier_config_parse(config, "\nx\n", 3, file, &problem), -EINVAL);
	CHECK_HAS(problem.object, "/last.conf:2");
	tier_config_free(config);
}

TEST(incomplete_sections)
{
	static const struct {
		const char *text, *object;
	} cases[] = {
		{"[Region r]\nOnline=auto\n", "[Region r]"},
		{"[Portal p]\nHost=a\n", "[Portal p]"},
		{"[Portal p]\nFile=/a\nMatchSerial=1\n", "[Portal p]"},
		{"[Machine m]\nCpus=1\n", "[Machine m]"},
		{"[Daemon]\nBeatSec=10\n", "[Daemon]"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tier_config *config = config_of(cases[i].text);

		CHECK_EQ(config_check(config, &problem), -EINVAL);
		CHECK_STR(problem.object, cases[i].object);
		tier_config_free(config);
	}
}

/* Both lines are named: the object is the later one's, the text has the other. */
TEST(rules_that_contradict_each_other)
{
	static const struct {
		const char *text, *object, *words[2];
	} cases[] = {
		{"[Region a]\nMatchSerial=1\nOnline=auto\n[Region "
		 "b]\nOnline=kernel\nMatchSerial=1\n",
		 "t.conf:5",
		 {"Online=kernel of [Region b] contradicts Online=auto of [Region a] (t.conf:3)"}},
		/* The second one's is the default, so that its Match= is what there is to name. */
		{"[Region a]\nMatchSerial=1\nOnline=auto\n[Region b]\nMatchSerial=1\n"
		 "MatchPath=/sys/bus/cxl/devices/region0\n",
		 "t.conf:5",
		 {"Online=no of [Region b]", "(t.conf:3)"}},
		{"[Region a]\nMatchPath=/sys/x/region0\nWeight=5\n[Region b]\nMatchSerial=1\n"
		 "MatchPath=/sys/y/region0\nWeight=6\n",
		 "t.conf:7",
		 {"Weight=6 of [Region b] contradicts Weight=5 of [Region a] (t.conf:3)"}},
		{"[Region a]\nMatchUUID=01234567-89AB-CDEF-0123-456789ABCDEF\nType=local\n[Region "
		 "b]\n"
		 "MatchUUID=01234567-89ab-cdef-0123-456789abcdef\nType=shared\n",
		 "t.conf:6",
		 {"Type=Shared of [Region b] contradicts Type=Local of [Region a] (t.conf:3)"}},
		{"[Region a]\nMatchSerial=1\nType=switched\nOnline=kernel\n",
		 "t.conf:4",
		 {"Online=kernel of [Region a] contradicts its Type=Switched (t.conf:3)"}},
		{"[Region "
		 "a]\nMatchSerial=1\nOnline=no\nOnline=movable\n[Daemon]\nRatio=9\nRatio=0\n",
		 "t.conf:4",
		 {"Online=movable of [Region a] contradicts Ratio=0 (t.conf:7)"}},
		{"[Region a]\nMatchSerial=1\nOnline=movable\n[Daemon]\nRatio=0\n",
		 "t.conf:3",
		 {"Online=movable of [Region a] contradicts Ratio=0 (t.conf:5)"}},
		{"[Daemon]\nOnline=movable\nRatio=0\n",
		 "t.conf:2",
		 {"Online=movable contradicts Ratio=0 (t.conf:3)"}},
		{"[Portal p]\nMatchSerial=1\n[Region a]\nMatchSerial=1\nOnline=auto\n",
		 "t.conf:5",
		 {"Online=auto of [Region a] contradicts [Portal p] (t.conf:2)"}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tier_config *config = config_of(cases[i].text);

		CHECK_EQ(config_check(config, &problem), -EINVAL);
		CHECK_STR(problem.object, cases[i].object);
		for (size_t w = 0; w < 2 && cases[i].words[w]; w++)
			CHECK_HAS(problem.text, cases[i].words[w]);
		tier_config_free(config);
	}
}

TEST(rules_that_get_along)
{
	static const char *const texts[] = {
		/* The same twice; the narrower one first; one of two ways to match; nothing to online. */
		"[Region a]\nMatchSerial=1\nOnline=auto\n[Region b]\nMatchSerial=1\nOnline=auto\n",
		"[Region a]\nMatchSerial=1\nMatchPath=/sys/x/region0\nOnline=auto\n"
		"[Region b]\nMatchSerial=1\nOnline=kernel\n",
		"[Region a]\nMatchSerial=1\nOnline=auto\n[Region "
		"b]\nMatchSerial=2\nOnline=kernel\n",
		"[Region a]\nMatchSerial=1\nType=shared\n[Portal p]\nMatchSerial=1\n",
		"[Region a]\nMatchSerial=1\nOnline=auto\n[Portal p]\nMatchSerial=1\n"
		"MatchPath=/sys/x/region0\n[Portal q]\nFile=/x\n",
		"[Daemon]\nRatio=0\nOnline=auto\n[Region a]\nMatchSerial=1\nOnline=kernel\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tier_config *config = config_of(texts[i]);

		if (config_check(config, &problem) != 0)
			FAIL("%zu: %s: %s", i, problem.object, problem.text);
		tier_config_free(config);
	}
}

TEST(what_moves_pages)
{
	struct tier_config *config = config_of("");

	CHECK_EQ(config->tiering, TIER_TIERING_NO);
	CHECK_EQ(config->tiering_by, TIER_TIERING_BY_AUTO);
	CHECK_EQ(config->promote_limit_bytes, 0);
	tier_config_free(config);
	config = config_of("[Tiering]\nMechanism=kernel\nPromoteRateLimit=512M\n");
	CHECK_EQ(config->tiering_by, TIER_TIERING_BY_KERNEL);
	CHECK_EQ(config->promote_limit_bytes, UINT64_C(512) << 20);
	tier_config_free(config);
	config = config_of("[Tiering]\nMechanism=damon\nPromoteRateLimit=1M\nPromoteRateLimit=\n");
	CHECK_EQ(config->tiering_by, TIER_TIERING_BY_DAMON);
	CHECK_EQ(config->promote_limit_bytes, 0);
	tier_config_free(config);
	config = config_of("[Tiering]\nMechanism=damon\nMechanism=\nPromoteRateLimit=64G\n");
	CHECK_EQ(config->tiering_by, TIER_TIERING_BY_AUTO);
	CHECK_EQ(config->promote_limit_bytes, UINT64_C(64) << 30);
	tier_config_free(config);
	REFUSED("[Tiering]\nMechanism=both\n", 2, "not one of auto, damon, kernel");
	REFUSED("[Tiering]\nPromoteRateLimit=1023K\n", 2, "from 1M to 64G");
	REFUSED("[Tiering]\nPromoteRateLimit=65G\n", 2, "from 1M to 64G");
	REFUSED("[Tiering]\nPromoteRateLimit=fast\n", 2, "from 1M to 64G");
}

/* By rule, then by address: names follow the order of probing. */
TEST(what_is_wanted_of_each_region)
{
	static const struct {
		const char *name;
		uint64_t serial, start;
	} regions[] = {{"region0", 9, 4}, {"region1", 2, 9}, {"region2", 5, 1},
		       {"region3", 2, 3}, {"region4", 1, 7}, {"region10", 9, 4}};
	static const char *const wanted[] = {"region4", "region3", "region1",
					     "region2", "region0", "region10"};
	struct tier_region list[6] = {};
	uint64_t serials[6];
	struct tier_topology topology = {.regions = list, .region_count = 6};
	struct tier_online_request *requests = NULL;
	char text[96];
	size_t count;
	struct tier_config *config = config_of(
		"[Daemon]\nOnline=auto\n[Region first]\nMatchSerial=1\nOnline=movable\nWeight=7\n"
		"[Region second]\nMatchSerial=2\nOnline=kernel\n[Portal p]\nMatchSerial=5\n");

	for (size_t i = 0; i < 6; i++) {
		strcpy(list[i].name, regions[i].name);
		serials[i] = regions[i].serial;
		list[i].serials = &serials[i];
		list[i].memdev_count = 1;
		list[i].start = regions[i].start;
	}
	CHECK_EQ(tier_config_requests(config, &topology, &requests, &count), 0);
	CHECK_EQ(count, 6);
	for (size_t i = 0; i < 6; i++)
		CHECK_STR(requests[i].region, wanted[i]);
	CHECK_EQ(requests[0].zone, TIER_ONLINE_MOVABLE);
	CHECK_EQ(requests[0].weight, 7);
	CHECK_STR(requests[0].rule, "[Region first]");
	CHECK_EQ(requests[1].zone, TIER_ONLINE_KERNEL);
	CHECK_EQ(requests[1].weight, 100);
	CHECK_EQ(requests[3].zone, TIER_ONLINE_NO);
	CHECK_STR(requests[3].rule, "[Portal p]");
	CHECK_EQ(requests[4].zone, TIER_ONLINE_AUTO);
	CHECK_STR(requests[4].rule, "[Daemon]");
	CHECK_EQ(tier_config_weight(config, &topology, "region4"), 7);
	CHECK_EQ(tier_config_weight(config, &topology, "region0"), 100);
	CHECK_EQ(tier_config_weight(config, &topology, "memory48-143"), 100);
	free(requests);
	topology.region_count = 0;
	CHECK_EQ(tier_config_requests(config, &topology, &requests, &count), 0);
	CHECK(!requests && count == 0);
	CHECK_STR(tier_config_where(config, "[Region first]", "Weight", text), "t.conf:6");
	CHECK_STR(tier_config_where(config, "[Region second]", "Weight", text), "the default");
	tier_config_free(config);
}

TEST(rules_match_all_that_is_given)
{
	uint64_t serials[] = {7, 9};
	struct tier_region region = {
		.name = "region3",
		.uuid = "01234567-89ab-cdef-0123-456789abcdef",
		.serials = serials,
		.memdev_count = 2,
	};
	struct tier_config *config =
		config_of("[Region none]\nOnline=auto\n"
			  "[Region other]\nMatchSerial=8\n"
			  "[Region both]\nMatchSerial=9\nMatchPath=/sys/bus/cxl/devices/region30\n"
			  "[Region uuid]\nMatchUUID=01234567-89AB-CDEF-0123-456789ABCDEF\n"
			  "[Region late]\nMatchSerial=9\n"
			  "[Portal file]\nFile=/x\n"
			  "[Portal p]\nMatchPath=/sys/devices/x/region3\nMatchSerial=9\n");

	CHECK(tier_config_region_rule(config, &region));
	CHECK_STR(tier_config_region_rule(config, &region)->name, "uuid");
	CHECK(tier_config_portal_rule(config, &region));
	CHECK_STR(tier_config_portal_rule(config, &region)->name, "p");
	region.uuid[0] = '\0';
	CHECK_STR(tier_config_region_rule(config, &region)->name, "late");
	region.memdev_count = 1;
	CHECK(!tier_config_region_rule(config, &region));
	CHECK(!tier_config_portal_rule(config, &region));
	tier_config_free(config);
}

TEST(types_where_the_kernel_tells_none)
{
	uint64_t serials[] = {1, 2, 3, 4};
	char memdevs[][32] = {"mem0", "mem1", "mem2", "mem3"};
	struct tier_memdev devices[] = {
		{.name = "mem0"},
		{.name = "mem1"},
		{.name = "mem2", .behind_switch = true},
		{.name = "mem3", .behind_switch = true},
	};
	struct tier_region regions[4] = {};
	struct tier_node nodes[] = {{.id = 0}, {.id = 2}, {.id = 3}, {.id = 4}};
	struct tier_topology topology = {
		.regions = regions,
		.region_count = 4,
		.memdevs = devices,
		.memdev_count = 4,
		.nodes = nodes,
		.node_count = 4,
	};
	struct tier_config *config = config_of("[Region own]\nMatchSerial=1\nOnline=auto\n"
					       "[Region far]\nMatchSerial=2\nType=switched\n"
					       "[Portal direct]\nMatchSerial=4\n"
					       "[Portal typed]\nMatchSerial=3\nType=shared\n");

	for (size_t i = 0; i < 4; i++) {
		snprintf(regions[i].name, sizeof(regions[i].name), "region%zu", i);
		regions[i].memdevs = &memdevs[i];
		regions[i].serials = &serials[i];
		regions[i].memdev_count = 1;
	}
	/* Two on one node: who places memory there must take it for the more foreign of them. */
	regions[0].target_node = regions[1].target_node = 2;
	regions[2].target_node = 3;
	regions[3].target_node = 4;
	CHECK_EQ(tier_config_region_type(config, &topology, &regions[0]), TIER_MEMORY_UNKNOWN);
	tier_config_types(config, &topology);
	CHECK_EQ(regions[0].type, TIER_MEMORY_LOCAL);
	CHECK_EQ(regions[1].type, TIER_MEMORY_SWITCHED);
	CHECK_EQ(regions[2].type, TIER_MEMORY_SHARED);
	CHECK_EQ(regions[3].type, TIER_MEMORY_SWITCHED);
	CHECK_EQ(nodes[0].type, TIER_MEMORY_LOCAL);
	CHECK_EQ(nodes[1].type, TIER_MEMORY_SWITCHED);
	CHECK_EQ(nodes[2].type, TIER_MEMORY_SHARED);
	CHECK_EQ(nodes[3].type, TIER_MEMORY_SWITCHED);
	/* Nobody named it, so it may be anything. */
	serials[0] = 9;
	regions[0].target_node = 0;
	tier_config_types(config, &topology);
	CHECK_EQ(regions[0].type, TIER_MEMORY_UNKNOWN);
	CHECK_EQ(nodes[0].type, TIER_MEMORY_UNKNOWN);
	CHECK_EQ(nodes[1].type, TIER_MEMORY_SWITCHED);
	devices[3].behind_switch = false;
	tier_config_types(config, &topology);
	CHECK_EQ(regions[3].type, TIER_MEMORY_SHARED);

	/* What the kernel says stays. */
	regions[1].type = nodes[1].type = TIER_MEMORY_LOCAL;
	regions[1].type_by_kernel = nodes[1].type_by_kernel = true;
	tier_config_types(config, &topology);
	CHECK_EQ(regions[1].type, TIER_MEMORY_LOCAL);
	CHECK_EQ(nodes[1].type, TIER_MEMORY_LOCAL);
	CHECK_EQ(tier_config_region_type(config, &topology, &regions[1]), TIER_MEMORY_SWITCHED);
	tier_config_free(config);
}

/* tier_config_load() on a tree in a temporary directory. */

static char root[64];

static void put(const char *path, const char *text)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	FILE *file = fopen(full, "we");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		FAIL("cannot write %s", full);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void new_root(void)
{
	strcpy(root, "/tmp/tier-config-XXXXXX");
	CHECK(mkdtemp(root));
}

static void remove_root(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TEST(drop_ins)
{
	struct tier_config *config;
	char path[128];

	new_root();
	CHECK_EQ(tier_config_load(root, NULL, &config, &problem), 0);
	CHECK_EQ(config->ratio_percent, 301);
	tier_config_free(config);

	put("/usr/lib/cxl-tier/cxl-tierd.conf", "[Daemon]\nRatio=1\nOnline=auto\n");
	put("/etc/cxl-tier/cxl-tierd.conf", "[Daemon]\nRatio=2\n");
	CHECK_EQ(tier_config_load(root, NULL, &config, &problem), 0);
	CHECK_EQ(config->ratio_percent, 2);
	CHECK_EQ(config->online, TIER_ONLINE_NO);
	tier_config_free(config);

	put("/usr/lib/cxl-tier/cxl-tierd.conf.d/50-z.conf", "[Daemon]\nRatio=3\n");
	put("/etc/cxl-tier/cxl-tierd.conf.d/70-a.conf", "[Daemon]\nRatio=4\nDryRun=yes\n");
	put("/usr/lib/cxl-tier/cxl-tierd.conf.d/60-b.conf", "[Daemon]\nRatio=broken\n");
	put("/run/cxl-tier/cxl-tierd.conf.d/60-b.conf", "[Daemon]\nOnline=kernel\n");
	put("/etc/cxl-tier/cxl-tierd.conf.d/90.conf.bak", "rubbish");
	put("/etc/cxl-tier/cxl-tierd.conf.d/.90.conf", "rubbish");
	CHECK_EQ(tier_config_load(root, NULL, &config, &problem), 0);
	CHECK_EQ(config->ratio_percent, 4);
	CHECK_EQ(config->dry_run, true);
	CHECK_EQ(config->online, TIER_ONLINE_KERNEL);
	tier_config_free(config);

	put("/etc/cxl-tier/cxl-tierd.conf.d/50-z.conf", "\n[Daemon]\nRatio=bad\n");
	config = NULL;
	CHECK_EQ(tier_config_load(root, NULL, &config, &problem), -EINVAL);
	CHECK(!config);
	snprintf(path, sizeof(path), "%s/etc/cxl-tier/cxl-tierd.conf.d/50-z.conf:3", root);
	CHECK_STR(problem.object, path);

	/* A file that is named stands alone, and must be there. */
	snprintf(path, sizeof(path), "%s/usr/lib/cxl-tier/cxl-tierd.conf", root);
	CHECK_EQ(tier_config_load(root, path, &config, &problem), 0);
	CHECK_EQ(config->ratio_percent, 1);
	tier_config_free(config);
	CHECK_EQ(tier_config_load(NULL, "/nowhere/x.conf", &config, &problem), -ENOENT);
	CHECK_STR(problem.object, "/nowhere/x.conf");
	put("/etc/one.conf", "[Machine m]\n");
	snprintf(path, sizeof(path), "%s/etc/one.conf", root);
	CHECK_EQ(tier_config_load(NULL, path, &config, &problem), -EINVAL);
	CHECK_HAS(problem.text, "Memory=");
	snprintf(path, sizeof(path), "%s/etc", root);
	CHECK_EQ(tier_config_load(NULL, path, &config, &problem), -EISDIR);
	remove_root();
}

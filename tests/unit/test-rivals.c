/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fixture.h"
#include "rivals.h"

/* What was found, for one test at a time. */
static struct rivals rivals;

static void forget(void)
{
	free(rivals.all);
	rivals = (struct rivals){};
}

static void parse(int (*parser)(struct rivals *, const char *, const char *), const char *path,
		  const char *text)
{
	forget();
	CHECK_EQ(parser(&rivals, path, text), 0);
}

#define CHECK_RIVAL(number, wanted_kind, wanted_place, words)                                      \
	do {                                                                                       \
		if (rivals.count <= (number))                                                      \
			FAIL("%zu found", rivals.count);                                           \
		CHECK_EQ(rivals.all[number].kind, wanted_kind);                                    \
		CHECK_STR(rivals.all[number].place, wanted_place);                                 \
		CHECK_HAS(rivals.all[number].what, words);                                         \
	} while (0)

/* Rules as distributions have them, and as people are told to write them. */
TEST(udev_rules_that_online_memory)
{
	static const char *const rules[] = {
		"SUBSYSTEM==\"memory\", ACTION==\"add\", ATTR{state}=\"online\"",
		"ACTION==\"add\", SUBSYSTEM==\"memory\", TEST==\"state\", "
		"ATTR{state}==\"offline\", "
		"ATTR{state}=\"online_movable\"",
		"SUBSYSTEM==\"memory\", ACTION==\"add\", "
		"DEVPATH==\"/devices/system/memory/memory[0-9]*\","
		" ATTR{state}!=\"online\", ATTR{state}=\"online\"",
		"SUBSYSTEM==\"memory\", ACTION==\"add\", PROGRAM=\"/bin/uname -p\", "
		"RESULT!=\"s390*\", "
		"ATTR{state}==\"offline\", ATTR{state}=\"online\"",
		"SUBSYSTEM==\"cpu|memory\",ATTR{state}:=\"online_kernel\"",
		"KERNEL==\"memory[0-9]*\", ATTR{online}=\"1\"",
		"ACTION==\"add\" ATTR{state}=\"online_movable\"",
		"SUBSYSTEM==\"memory\", RUN+=\"/bin/sh -c '[ -f /sys$devpath/state ] && echo "
		"online > "
		"/sys$devpath/state'\"",
		"SUBSYSTEM==\"memory\", ACTION==\"add\", RUN{program}+=\"/usr/bin/chmem -e %k\"",
	};
	static const char *const others[] = {
		"",
		"# SUBSYSTEM==\"memory\", ATTR{state}=\"online\"",
		"SUBSYSTEM==\"memory\", ATTR{state}==\"online\", SYMLINK+=\"x\"",
		"SUBSYSTEM==\"memory\", ATTR{state}=\"offline\"",
		"SUBSYSTEM==\"memory\", ACTION==\"remove\", ATTR{state}=\"online\"",
		"SUBSYSTEM==\"memory\", ACTION==\"add\", ATTR{power/state}=\"on\"",
		"SUBSYSTEM==\"cpu\", ACTION==\"add\", ATTR{online}=\"1\"",
		"SUBSYSTEM==\"net\", ATTR{state}=\"online\"",
		"SUBSYSTEM!=\"memory\", ATTR{state}=\"online_movable\"",
		"SUBSYSTEM==\"memory\", ENV{ID}=\"online\"",
		"SUBSYSTEM==\"memory_tiering\", ATTR{state}=\"online\"",
		/* As udev does: a line that is wrong is no rule. */
		"SUBSYSTEM==\"memory\", ATTR{state}=\"online",
		"SUBSYSTEM==\"memory\", ATTR{state=\"online\"",
		"SUBSYSTEM==\"memory\" ATTR{state} \"online\"",
		"SUBSYSTEM==\"memory\", ATTR{state}=\"online\", nothing",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		parse(rivals_parse_udev, "/etc/udev/rules.d/x.rules", rules[i]);
		if (rivals.count != 1 || rivals.all[0].kind != TIER_RIVAL_BLOCKS ||
		    tier_rival_stands_back(&rivals.all[0]))
			FAIL("%zu rivals in %s", rivals.count, rules[i]);
		CHECK_STR(rivals.all[0].place, "/etc/udev/rules.d/x.rules:1");
		CHECK_HAS(rivals.all[0].next, "take that rule out of /etc/udev/rules.d/x.rules");
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		parse(rivals_parse_udev, "/etc/udev/rules.d/x.rules", others[i]);
		if (rivals.count)
			FAIL("%s in %s", rivals.all[0].what, others[i]);
	}
	forget();
}

/* As RHEL has it: what the rule is about was said before it. */
TEST(udev_rules_behind_a_goto)
{
	static const char text[] =
		"# comment\n"
		"SUBSYSTEM!=\"memory\", GOTO=\"memory_hotplug_end\"\n"
		"ACTION!=\"add\", GOTO=\"memory_hotplug_end\"\n"
		"PROGRAM=\"/bin/uname -p\", RESULT==\"s390*\", GOTO=\"memory_hotplug_end\"\n"
		"\n"
		"ENV{.state}=\"online\"\n"
		"ATTR{state}==\"offline\", ATTR{state}=\"$env{.state}\"\n"
		"LABEL=\"memory_hotplug_end\"\n"
		"ATTR{state}=\"$env{.state}\"\n";

	parse(rivals_parse_udev, "/usr/lib/udev/rules.d/40-redhat.rules", text);
	CHECK_EQ(rivals.count, 1);
	CHECK_RIVAL(0, TIER_RIVAL_BLOCKS, "/usr/lib/udev/rules.d/40-redhat.rules:7",
		    "\"$env{.state}\"");
	CHECK_HAS(rivals.all[0].next, "/dev/null /etc/udev/rules.d/40-redhat.rules");
	/* The other way round, and a rule on two lines with a comment between. */
	parse(rivals_parse_udev, "/etc/udev/rules.d/a.rules",
	      "SUBSYSTEM==\"memory\", GOTO=\"mem\"\nGOTO=\"end\"\nLABEL=\"mem\"\n"
	      "ACTION==\"add\", \\\n  # why\n  ATTR{state}=\"$env{.s}\"\nLABEL=\"end\"\n"
	      "ATTR{state}=\"$env{.s}\"\n");
	CHECK_EQ(rivals.count, 1);
	CHECK_RIVAL(0, TIER_RIVAL_BLOCKS, "/etc/udev/rules.d/a.rules:4", "$env{.s}");
	forget();
}

/* Of DIMMs, say: whoever names blocks knows what they are. */
TEST(udev_rules_for_some_blocks)
{
	parse(rivals_parse_udev, "/etc/udev/rules.d/dimm.rules",
	      "SUBSYSTEM==\"memory\", KERNEL==\"memory4[89]|memory50\", ATTR{state}=\"online\"\n"
	      "SUBSYSTEM==\"memory\", KERNEL==\"memory4*\", ATTR{state}=\"online\"\n");
	CHECK_EQ(rivals.count, 2);
	CHECK(tier_rival_stands_back(&rivals.all[0]));
	CHECK_HAS(rivals.all[0].what, "the named memory blocks");
	CHECK(!tier_rival_stands_back(&rivals.all[1]));
	forget();
}

TEST(udev_rules_that_set_the_policy)
{
	parse(rivals_parse_udev, "/etc/udev/rules.d/p.rules",
	      "SUBSYSTEM==\"memory\", KERNEL==\"memory\", "
	      "ATTR{auto_online_blocks}=\"online_movable\"\n"
	      "KERNEL==\"x\", ATTR{auto_online_blocks}=\"offline\"\n");
	CHECK_EQ(rivals.count, 1);
	CHECK_RIVAL(0, TIER_RIVAL_POLICY, "/etc/udev/rules.d/p.rules:1", "online_movable");
	forget();
}

static const char daxctl_rule[] = "ACTION==\"add\", SUBSYSTEM==\"dax\", TAG+=\"systemd\",\\\n"
				  "  PROGRAM=\"/usr/bin/systemd-escape -p "
				  "--template=daxdev-reconfigure@.service $env{DEVNAME}\",\\\n"
				  "  ENV{SYSTEMD_WANTS}=\"%c\"\n";

TEST(rules_for_dax_devices)
{
	static const char path[] = "/usr/lib/udev/rules.d/90-daxctl-device.rules";

	parse(rivals_parse_udev, path, daxctl_rule);
	CHECK_RIVAL(0, TIER_RIVAL_DAXCTL_RULE, "/usr/lib/udev/rules.d/90-daxctl-device.rules:1",
		    "which is not there");
	CHECK(tier_rival_stands_back(&rivals.all[0]));
	forget();
	strcpy(rivals.unit, "/usr/lib/systemd/system/daxdev-reconfigure@.service");
	CHECK_EQ(rivals_parse_udev(&rivals, path, daxctl_rule), 0);
	CHECK(!tier_rival_stands_back(&rivals.all[0]));
	CHECK_HAS(rivals.all[0].next, "remove or mask /usr/lib/systemd/system/daxdev");
	rivals.unit_is_ours = true;
	CHECK_EQ(rivals_parse_udev(&rivals, path, daxctl_rule), 0);
	CHECK(tier_rival_stands_back(&rivals.all[1]));
	CHECK_HAS(rivals.all[1].what, "leaves devices to cxl-tierd");
	parse(rivals_parse_udev, "/etc/udev/rules.d/d.rules",
	      "SUBSYSTEM==\"dax\", RUN+=\"/usr/bin/daxctl reconfigure-device --mode=system-ram "
	      "%k\"");
	CHECK_RIVAL(0, TIER_RIVAL_COMMAND, "/etc/udev/rules.d/d.rules:1",
		    "daxctl reconfigure-device for new dax devices");
	forget();
}

TEST(units_scripts_and_tmpfiles)
{
	parse(rivals_parse_unit, "/etc/systemd/system/cxl-ram.service",
	      "[Unit]\nDescription=daxctl reconfigure-device, as a text\n[Service]\n"
	      "ExecStart=/usr/bin/daxctl reconfigure-device \\\n  --mode=system-ram dax0.0\n"
	      "ExecStartPre=/bin/sh -c 'echo online_movable > "
	      "/sys/devices/system/memory/auto_online_blocks'\n"
	      "ExecStop=/usr/bin/daxctl list\n");
	CHECK_EQ(rivals.count, 2);
	CHECK_RIVAL(0, TIER_RIVAL_COMMAND, "/etc/systemd/system/cxl-ram.service:4",
		    "runs daxctl reconfigure-device, when it is started");
	CHECK_STR(rivals.all[0].next, "systemctl mask --now cxl-ram.service");
	CHECK_RIVAL(1, TIER_RIVAL_POLICY, "/etc/systemd/system/cxl-ram.service:6",
		    "auto_online_blocks");
	parse(rivals_parse_script, "/etc/rc.local",
	      "#!/bin/sh\n# echo online > /sys/devices/system/memory/auto_online_blocks\n"
	      "for b in /sys/devices/system/memory/memory*/state; do echo online >$b; done\n"
	      "echo offline > /sys/devices/system/memory/auto_online_blocks\n"
	      "echo online > /sys/devices/system/memory/auto_online_blocks\n"
	      "@reboot root daxctl online-memory all\n"
	      "daxctl reconfigure-device --check-config /dev/dax0.0\n"
	      "/usr/libexec/cxl-tier/x; chmem -e 1\nchmem --enable 2g\nchmem -d 2g\n");
	CHECK_EQ(rivals.count, 4);
	CHECK_RIVAL(0, TIER_RIVAL_COMMAND, "/etc/rc.local:3", "onlines memory blocks");
	CHECK_RIVAL(1, TIER_RIVAL_POLICY, "/etc/rc.local:5", "sets auto_online_blocks");
	CHECK_RIVAL(2, TIER_RIVAL_COMMAND, "/etc/rc.local:6", "daxctl online-memory");
	CHECK_RIVAL(3, TIER_RIVAL_COMMAND, "/etc/rc.local:9", "chmem");
	parse(rivals_parse_tmpfiles, "/etc/tmpfiles.d/mem.conf",
	      "w /sys/devices/system/memory/auto_online_blocks - - - - online_movable\n"
	      "w /sys/devices/system/memory/auto_online_blocks - - - - offline\n"
	      "w- /sys/devices/system/memory/memory*/state - - - - online\n"
	      "d /run/online\n");
	CHECK_EQ(rivals.count, 2);
	CHECK_RIVAL(0, TIER_RIVAL_POLICY, "/etc/tmpfiles.d/mem.conf:1", "to online_movable");
	CHECK_RIVAL(1, TIER_RIVAL_BLOCKS, "/etc/tmpfiles.d/mem.conf:3", "blocks: online");
	forget();
}

TEST(daxctl_configuration)
{
	parse(rivals_parse_daxctl, "/etc/daxctl.conf.d/d.conf",
	      "# [reconfigure-device commented]\n# nvdimm.uuid=1\n"
	      "[reconfigure-device a]\nnvdimm.uuid = ed93e918-e165-49d8-921d-383d7b9660c5\n"
	      "[reconfigure-device b]\nnvdimm.uuid = 1\nmode = devdax\n"
	      "[other]\nnvdimm.uuid = 2\n"
	      "[reconfigure-device c]\nmode = system-ram\nnvdimm.uuid = 3\n");
	CHECK_EQ(rivals.count, 2);
	CHECK_RIVAL(0, TIER_RIVAL_DAXCTL_CONFIG, "/etc/daxctl.conf.d/d.conf:3",
		    "[reconfigure-device a]");
	CHECK_RIVAL(1, TIER_RIVAL_DAXCTL_CONFIG, "/etc/daxctl.conf.d/d.conf:10",
		    "[reconfigure-device c]");
	CHECK(tier_rival_stands_back(&rivals.all[0]));
	forget();
}

TEST(kernel_command_line)
{
	forget();
	CHECK_EQ(rivals_parse_command_line(&rivals, "quiet memhp_default_state=offline"), 0);
	CHECK_EQ(rivals_parse_command_line(
			 &rivals, "memhp_default_state=online memhp_default_state=offline ro"),
		 0);
	CHECK_EQ(rivals_parse_command_line(&rivals, "xmemhp_default_state=online"), 0);
	CHECK_EQ(rivals.count, 0);
	CHECK_EQ(rivals_parse_command_line(&rivals, "a memhp_default_state=online_movable\n"), 0);
	CHECK_RIVAL(0, TIER_RIVAL_COMMAND_LINE, "kernel command line",
		    "memhp_default_state=online_movable: the kernel");
	forget();
}

/* Whatever is in a file: long lines are cut, nothing of it can look like another line of a log. */
TEST(anything_may_be_in_a_file)
{
	char *text = malloc(20001);

	CHECK(text != NULL);
	memset(text, 'A', 20000);
	text[20000] = '\0';
	memcpy(text, "SUBSYSTEM==\"memory\", ATTR{state}=\"on\x1bline", 40);
	parse(rivals_parse_udev, "/etc/udev/rules.d/x.rules", text);
	CHECK_EQ(rivals.count, 0);
	text[39] = 'e', text[40] = '"', text[41] = '\0';
	parse(rivals_parse_udev, "/etc/udev/rules.d/x.rules", text);
	CHECK_EQ(rivals.count, 1);
	CHECK(!strchr(rivals.all[0].what, '\x1b'));
	parse(rivals_parse_udev, "/etc/udev/rules.d/x.rules", "\\");
	parse(rivals_parse_udev, "/etc/udev/rules.d/x.rules", "\\\n\\\n\"=={}");
	parse(rivals_parse_tmpfiles, "/etc/tmpfiles.d/x.conf", "w\n\\");
	parse(rivals_parse_daxctl, "/etc/daxctl.conf.d/x.conf", "[reconfigure-device");
	free(text);
	forget();
}

static void link_to(const char *root, const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	CHECK_EQ(symlink(target, path), 0);
}

/* Of files with one name the first directory's counts, and one that is masked hides the others. */
TEST(the_files_of_a_machine)
{
	static const char rule[] = "SUBSYSTEM==\"memory\", ATTR{state}=\"online\"\n";
	struct tier_rival *all = NULL;
	struct tier_rivals_unread unread;
	const struct tier_rival *likely;
	size_t count = 0;
	char root[64];

	scratch_new(root);
	CHECK_EQ(tier_rivals_read(root, &all, &count, &unread, NULL), 0);
	CHECK_EQ(count, 0);
	CHECK(!tier_rivals_likely(all, count));
	free(all);
	scratch_file(root, "sys/devices/system/memory/auto_online_blocks", "offline\n");
	scratch_file(root, "dev/null", "");
	scratch_file(root, "proc/cmdline", "ro memhp_default_state=offline\n");
	scratch_file(root, "usr/lib/udev/rules.d/80-b.rules", rule);
	scratch_file(root, "usr/lib/udev/rules.d/70-masked.rules", rule);
	scratch_file(root, "usr/lib/udev/rules.d/60-replaced.rules", rule);
	scratch_file(root, "usr/lib/udev/rules.d/50-empty.rules", rule);
	scratch_file(root, "usr/lib/udev/rules.d/40-note.txt", rule);
	scratch_file(root, "run/udev/rules.d/60-replaced.rules", "# nothing\n");
	scratch_file(root, "etc/udev/rules.d/90-a.rules", rule);
	scratch_file(root, "etc/udev/rules.d/50-empty.rules", "");
	link_to(root, "etc/udev/rules.d/70-masked.rules", "/dev/null");
	scratch_file(root, "usr/lib/udev/rules.d/90-daxctl-device.rules", daxctl_rule);
	scratch_file(root, "usr/lib/systemd/system/daxdev-reconfigure@.service",
		     "[Service]\nExecStart=/usr/libexec/cxl-tier/daxdev-reconfigure %f\n");
	scratch_file(root, "etc/rc.local", "daxctl online-memory dax0.0\n");
	/* Neither is a file. */
	scratch_file(root, "etc/udev/rules.d/30-directory.rules/file", "");
	link_to(root, "etc/udev/rules.d/20-nowhere.rules", "/nowhere");
	CHECK_EQ(tier_rivals_read(root, &all, &count, &unread, NULL), 0);
	CHECK_EQ(count, 4);
	CHECK_STR(all[0].place, "/usr/lib/udev/rules.d/80-b.rules:1");
	CHECK_STR(all[1].place, "/etc/udev/rules.d/90-a.rules:1");
	CHECK_EQ(all[2].kind, TIER_RIVAL_DAXCTL_RULE);
	CHECK(tier_rival_stands_back(&all[2]));
	CHECK_STR(all[3].place, "/etc/rc.local:1");
	CHECK_EQ(unread.count, 0);
	CHECK_STR(unread.first, "");
	likely = tier_rivals_likely(all, count);
	CHECK(likely == &all[0]);
	free(all);
	/* The distribution's unit before ours: it is the one that runs. */
	scratch_file(root, "etc/systemd/system/daxdev-reconfigure@.service",
		     "[Service]\nExecStart=/bin/sh -c \"exec daxctl reconfigure-device %I\"\n");
	CHECK_EQ(tier_rivals_read(root, &all, &count, &unread, NULL), 0);
	CHECK_EQ(count, 4);
	CHECK(!tier_rival_stands_back(&all[2]));
	CHECK_HAS(all[2].next, "/etc/systemd/system/daxdev-reconfigure@.service");
	free(all);
	/* Masked, nothing runs. */
	char path[256];
	snprintf(path, sizeof(path), "%s/etc/systemd/system/daxdev-reconfigure@.service", root);
	CHECK_EQ(unlink(path), 0);
	link_to(root, "etc/systemd/system/daxdev-reconfigure@.service", "/dev/null");
	CHECK_EQ(tier_rivals_read(root, &all, &count, &unread, NULL), 0);
	CHECK(tier_rival_stands_back(&all[2]));
	CHECK_HAS(all[2].what, "which is not there");
	free(all);
	/* The kernel comes first: it is the quickest. */
	scratch_file(root, "sys/devices/system/memory/auto_online_blocks", "online_movable\n");
	CHECK_EQ(tier_rivals_read(root, &all, &count, &unread, NULL), 0);
	CHECK_EQ(all[0].kind, TIER_RIVAL_KERNEL);
	CHECK_HAS(all[0].what, "online_movable");
	CHECK(tier_rivals_likely(all, count) == &all[0]);
	free(all);
	scratch_done(root);
	for (int kind = TIER_RIVAL_KERNEL; kind <= TIER_RIVAL_DAXCTL_CONFIG; kind++)
		CHECK(tier_rival_cost((enum tier_rival_kind)kind)[0] != '\0');
	struct tier_problem problem;
	CHECK_EQ(tier_rivals_read("/nonexistent", &all, &count, &unread, &problem), -ENOENT);
	CHECK_STR(problem.object, "/nonexistent");
}

static void forbid(const char *root, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	CHECK_EQ(chmod(path, 0), 0);
}

static int read_unprivileged(const char *root, struct tier_rival **ret, size_t *ret_count,
			     struct tier_rivals_unread *unread)
{
	int r;

	if (geteuid() == 0)
		CHECK_EQ(seteuid(65534), 0);
	r = tier_rivals_read(root, ret, ret_count, unread, NULL);
	CHECK_EQ(seteuid(getuid()), 0);
	return r;
}

/* What is denied may have anything, and is not the same as what is not there. */
TEST(what_cannot_be_read)
{
	static const char unit[] = "usr/lib/systemd/system/daxdev-reconfigure@.service";
	static const char policy[] = "sys/devices/system/memory/auto_online_blocks";
	static const char *const files[] = {
		"etc/udev/rules.d/40-vm.rules",
		"etc/systemd/system/x.service",
		"etc/cron.d/x",
		"etc/tmpfiles.d/x.conf",
		"etc/daxctl.conf.d/x.conf",
		"etc/rc.local",
		"etc/rc.d/rc.local",
		"etc/crontab",
		"proc/cmdline",
	};
	struct tier_rivals_unread unread = {};
	struct tier_rival *all = NULL;
	char root[64], wanted[128];
	size_t count = 0;

	scratch_new(root);
	CHECK_EQ(chmod(root, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		scratch_file(root, files[i], "");
		forbid(root, files[i]);
		CHECK_EQ(read_unprivileged(root, &all, &count, &unread), 0);
		free(all);
		if (unread.count != 1)
			FAIL("%zu unread with %s", unread.count, files[i]);
		snprintf(wanted, sizeof(wanted), "/%s", files[i]);
		CHECK_STR(unread.first, wanted);
		CHECK_EQ(unread.code, -EACCES);
		snprintf(wanted, sizeof(wanted), "%s/%s", root, files[i]);
		CHECK_EQ(unlink(wanted), 0);
	}
	/* A directory, what would be started by a rule, and the kernel's own. */
	scratch_file(root, "usr/lib/udev/rules.d/90-daxctl-device.rules", daxctl_rule);
	scratch_file(root, unit,
		     "[Service]\nExecStart=/usr/libexec/cxl-tier/daxdev-reconfigure %f\n");
	scratch_file(root, policy, "offline\n");
	forbid(root, unit);
	forbid(root, policy);
	forbid(root, "etc/cron.d");
	CHECK_EQ(read_unprivileged(root, &all, &count, &unread), 0);
	CHECK_EQ(unread.count, 3);
	snprintf(wanted, sizeof(wanted), "/%s", policy);
	CHECK_STR(unread.first, wanted);
	/* Nobody knows that it is ours. */
	CHECK_EQ(count, 1);
	CHECK_EQ(all[0].kind, TIER_RIVAL_DAXCTL_RULE);
	CHECK(!tier_rival_stands_back(&all[0]));
	free(all);
	snprintf(wanted, sizeof(wanted), "%s/etc/cron.d", root);
	CHECK_EQ(chmod(wanted, 0755), 0);
	scratch_done(root);
}

# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for several regions, decided together; and what the kernel would do, as explain says beforehand."""

import re

from flying import refused
from rules import DROP_IN, blocks, call, configure, decision, expect_offline, expect_online, reload

SECONDS = 35
TOPOLOGY = "one-host-two-regions"
PARAMETERS = "/sys/module/memory_hotplug/parameters"
GIB = 1 << 30
# By serial number: 1 has 1 GiB, 2 has 512 MiB.
REGIONS = {}


def setup(lab):
    a = lab["A"]
    a.start_daemon()
    for serial in 1, 2:
        REGIONS[serial] = a.create_region(serial)
    a.rescan()


def case_explain_knows_the_kernels_rule(lab):
    """The zone that each policy of the kernel gives to an expander's first block is the one that explain names."""
    a = lab["A"]
    region = REGIONS[1]
    said = a.tierctl("explain", region, "--json").json()
    assert (said["zone"], said["bytes"], said["online_blocks"]) == ("Movable", GIB, 0), said
    rules = said["kernel_rule"]
    assert {(rule["online_policy"], rule["numa_aware"]) for rule in rules} >= \
        {("auto-movable", True), ("auto-movable", False)}, rules
    before = a.run(f"grep -H . {PARAMETERS}/*").out
    a.run("daxctl", "reconfigure-device", "--mode=system-ram", "--no-online", *blocks(a, region)[1])
    block = min(blocks(a, region)[0])
    try:
        for rule in rules:
            # A ratio that is not set would be refused.
            a.run(f"cd {PARAMETERS} && echo {rule['online_policy']} >online_policy && "
                  f"echo {rule['ratio_percent']} >auto_movable_ratio && "
                  f"echo {'Y' if rule['numa_aware'] else 'N'} >auto_movable_numa_aware")
            zones = a.run("cat", f"/sys/devices/system/memory/memory{block}/valid_zones").out.split()
            assert zones[0] == rule["zone"], f"{rule}: the kernel says {zones}"
        assert len({rule["zone"] for rule in rules}) > 1, f"the policies make no difference: {rules}"
    finally:
        for path, value in re.findall(r"^(.*?):(.*)$", before, re.MULTILINE):
            a.run(f"echo {value} >{path}", check=False)
    a.tierctl("offline", region, "--to-devdax")


def case_one_region_feeds_the_kernel_for_the_other(lab):
    """512 MiB have to be Movable, which the ratio allows only when the other 1 GiB is kernel memory: that comes first."""
    a = lab["A"]
    near, far = REGIONS[1], REGIONS[2]
    kernel = a.tierctl("explain", far, "--json").json()["kernel_bytes_before"]
    ratio = (GIB // 2) * 100 // (kernel + GIB) + 1
    assert ratio * kernel < 100 * GIB // 2, f"{kernel} bytes are enough at {ratio} %"
    expect_offline(a, near, "device_dax")
    refused(a.tierctl("plan", far, "--zone", "movable", "--ratio", str(ratio), check=False), far, "cannot go to Movable")
    already = len(a.daemon.text())
    configure(a, f"[Daemon]\nRatio={ratio}\n[Region far]\nMatchSerial=2\nOnline=movable\n"
                 "[Region near]\nMatchSerial=1\nOnline=auto\n")
    assert re.search(rf"^{near}: .*Normal(.|\n)*^{far}: .*Movable", a.tierctl("plan").out, re.MULTILINE), a.tierctl("plan").out
    reload(a)
    expect_online(a, near, "Normal")
    expect_online(a, far, "Movable")
    assert "onlined in zone Normal by [Region near]" in decision(a, near), decision(a, near)
    assert "onlined in zone Movable by [Region far]" in decision(a, far), decision(a, far)
    text = a.daemon.text()[already:]
    assert text.index(f"cxl-tierd: {near}: onlined") < text.index(f"cxl-tierd: {far}: onlined"), text
    # By the kernel's own figures, which nobody here has added up.
    present = {True: 0, False: 0}
    for zone, pages in re.findall(r"zone +(\w+)\n.*?\n +present +(\d+)", a.run("cat /proc/zoneinfo").out, re.S):
        present[zone == "Movable"] += int(pages)
    assert 0 < present[True] * 100 <= ratio * present[False], f"{present}, allowed {ratio} %"


def case_rules_that_contradict_each_other(lab):
    """Both lines are named, and what runs goes on as it was."""
    a = lab["A"]
    before = blocks(a, REGIONS[1]), blocks(a, REGIONS[2])
    configure(a, "[Region far]\nMatchSerial=2\nOnline=movable\n[Region also-far]\nMatchSerial=2\nOnline=kernel\n")
    result = call(a, "Reload")
    text = result.out + result.err
    assert result.code != 0 and f"{DROP_IN}:6" in text and f"({DROP_IN}:3)" in text, text
    assert "stays in force" in a.daemon.text().splitlines()[-1], a.daemon.text()[-500:]
    refused(a.tierctl("plan", check=False), DROP_IN, "also-far")
    configure(a, "")
    reload(a)
    assert (blocks(a, REGIONS[1]), blocks(a, REGIONS[2])) == before, "a change of the rules changed memory"
    a.stop_daemon()

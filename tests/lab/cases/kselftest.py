# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests that the kernel series brings: its kselftests, and on the debug kernel its KUnit tests.

kernel/build has made them with the kernel. A has two devices in one window, and no cxl-tierd runs.
"""

import os
import re

import kernels
from cases import Skip, deadline

SECONDS = 90
TOPOLOGY = "switched"
KERNEL = "patched"
SETUP_DEADLINE = 400
TESTS = "/tmp/selftests"
TAP = re.compile(r"^(not ok|ok) \d+ ?(?:- )?([^#\n]*?) *(?:# *(\w+)(.*))?$", re.MULTILINE)
KUNIT = "cxl-region-nodes", "node-type"


def stage(a):
    """Those that were made with the kernel that the host has booted."""
    made = os.path.join(kernels.choose().name, "selftests")
    if not os.path.isdir(made):
        raise Skip(f"{kernels.choose().name} comes without the series' kselftests")
    for directory, _, names in os.walk(made):
        for name in names:
            path = os.path.join(directory, name)
            a.push(path, os.path.join(TESTS, os.path.relpath(path, made)))
    a.run("mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug")


def judge(text, code=0):
    """Every test of a TAP text has to have passed: one that is left out tests nothing."""
    plan = re.search(r"^1\.\.(\d+)", text, re.MULTILINE)
    found = TAP.findall(text)
    bad = [f"{name}: {word or state}{why}" for state, name, word, why in found if state != "ok" or word.upper() == "SKIP"]
    notes = [line for line in text.splitlines() if line.startswith("# ") and not re.match(r"# +(RUN|OK) |# Starting|# PASSED",
                                                                                          line)]
    assert not bad and code == 0, f"exit {code}; {'; '.join(bad)}; {' '.join(notes)[-1000:]}"
    assert plan and len(found) == int(plan[1]) > 0, f"{len(found)} results, plan {plan and plan[1]}: {text[-1000:]}"
    print(f"# {len(found)} passed: {' '.join(name for _, name, _, _ in found)}", flush=True)


def memdevs(host):
    return [host.run(f"cxl list -M -s {serial} | sed -n 's/.*\"memdev\":\"\\([^\"]*\\)\".*/\\1/p'").out.strip()
            for serial in (1, 2)]


@deadline(400)
def case_region_nodes(lab):
    """tools/testing/selftests/cxl"""
    a = lab["A"]
    stage(a)
    done = a.run("env", f"MEMDEVS={' '.join(memdevs(a))}", "DECODER=decoder0.0", f"{TESTS}/cxl/region_nodes.sh", check=False,
                 timeout=380)
    judge(done.out + done.err, done.code)
    assert a.run("ls /sys/bus/cxl/devices | grep -c '^region[0-9]'", check=False).out.strip() == "0", "regions are left"


@deadline(900)
def case_typed_nodes(lab):
    """tools/testing/selftests/mm, on the node of a region"""
    a = lab["A"]
    stage(a)
    region = a.create_region(2)
    node = a.run("cat", f"/sys/bus/cxl/devices/{region}/target_node").out.strip()
    a.wait_for(f"ls /sys/devices/system/node/node{node}/ | grep -q '^memory[0-9]'", "memory block")
    try:
        done = a.run("env", f"TYPED_NODE={node}", f"{TESTS}/mm/typed_nodes", check=False, timeout=880)
    finally:
        a.run(f"for block in /sys/devices/system/node/node{node}/memory[0-9]*; do echo offline >$block/state; done; "
              f"cxl disable-region {region}; cxl destroy-region -f {region}", check=False)
    judge(done.out + done.err, done.code)


def _kunit(lab):
    """They ran at boot; a suite is a subtest of the whole."""
    text = re.sub(r"^\[ *[\d.]+\] ?", "", lab["A"].dmesg(), flags=re.MULTILINE)
    for suite in KUNIT:
        part = re.search(rf"^ +# Subtest: {suite}\n(.*?)^(?:not )?ok \d+ {suite}", text, re.MULTILINE | re.DOTALL)
        assert part, f"{suite} did not run"
        judge(re.sub(r"^    ", "", part[1], flags=re.MULTILINE))


# Other kernels have no KUnit.
if kernels.choose().kind == "debug":
    case_kunit = _kunit

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""runner.py TOP BUILD: every test there is gets run, and the runners notice what fails."""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402


def check_registered(tree, tests, suites):
    """tests: (suite, name) of what meson runs."""
    findings = []
    for pattern, suite, name in ((r"tests/unit/test-(.*)\.c", "unit", "{}"), (r"tests/sim/test-(.*)\.c", "sim", "{}"),
                                 (r"tests/fuzz/fuzz-(.*)\.c", "fuzz", "replay-{}"),
                                 (r"tests/check/(?!habit)(.*)\.py", "check", "{}"),
                                 (r"tests/daemon/test-(.*)\.py", "daemon", "{}")):
        for file in tree.files(pattern):
            if (suite, name.format(re.fullmatch(pattern, file)[1])) not in tests:
                findings.append(f"{file} is not run: it is missing in tests/{suite}/meson.build")
    findings += [f"no suite runs {name} of {suite}" for suite, name in sorted(tests) if suite not in suites]
    for file in tree.files(r"tests/lab/cases/.*"):
        if not re.fullmatch(r"tests/lab/cases/[^/]+\.py", file):
            findings.append(f"{file} is not run: cases are tests/lab/cases/NAME.py")
        elif not re.search(r"^def case_\w+\(", tree.text(file), re.M):
            findings.append(f"{file} has no case")
    return findings


CASES = {"tests/unit/test-a.c": "", "tests/lab/cases/b.py": "def case_b(lab):\n    pass\n"}
SAMPLES = [
    ("tests that are run", CASES, None),
    ("a unit test that meson does not know", CASES | {"tests/unit/test-z.c": ""}, "test-z.c is not run"),
    ("a lab file without a case", CASES | {"tests/lab/cases/c.py": "def helper():\n    pass\n"}, "has no case"),
    ("a lab file in a folder", CASES | {"tests/lab/cases/more/c.py": "def case_c(lab):\n    pass\n"}, "is not run"),
]


def prove_suites(top):
    """tests/suites.py judges as it says."""
    sys.path.insert(0, f"{top}/tests")
    import suites

    def states(status, text):
        return sorted(o.state for o in suites.judge(status, text, "x"))

    wrong = []
    for what, got, wanted in (
            ("TAP", states(1, "ok 1 - a\n# why\nnot ok 2 - b\nok 3 - c # SKIP\n"), ["failed", "passed", "skipped"]),
            ("lines", states(1, "ok a\nnot ok b: why\nskip c: why\n"), ["failed", "passed", "skipped"]),
            ("a crash after good lines", states(-11, "ok 1 - a\n"), ["failed", "passed"]),
            ("a silent failure", states(1, ""), ["failed"]),
            ("a silent success", states(0, ""), ["passed"]),
            ("a silent skip", states(77, "needs root\n"), ["skipped"]),
            ("the reason of a failure", suites.parse_lines("# a.c:1: why\nnot ok 1 - b\n")[0].reason, "a.c:1: why")):
        if got != wanted:
            wrong.append(f"{what}: {got}")
    for name, ci, wanted in (("a", True, "failed"), ("a", False, "skipped"), ("hardware_a", True, "skipped")):
        if suites.strict(suites.Outcome(name, "skipped"), ci).state != wanted:
            wrong.append(f"a skip of {name}, CI={ci}, is not {wanted}")
    good = {key: bounds[0] if bounds else "x" for key, bounds in suites.REPORT.items()}
    for change, failed in (({}, 0), ({"qemu": ""}, 1), ({"guest.bad_pages": 1}, 1), ({"kernel": None}, 1),
                           ({"flight.moved_pages": 0}, 1), ({"flight.ram_bytes_over_network": 1 << 20}, 1)):
        if sum(o.state == "failed" for o in suites.judge_report(good | change)) != failed:
            wrong.append(f"a report with {change}")
    issue = ["kernel", "qemu", "portal.bytes", "portal.device", "vm.ram_bytes", "vm.dirty_bytes_per_sec",
             "vm.pages_on_portal_node", "flight.moved_pages", "flight.pause_usec", "flight.total_usec",
             "flight.state_bytes", "flight.ram_bytes_over_network", "guest.pages_checked", "guest.bad_pages",
             "guest.longest_pause_usec"]
    wrong += [f"the demo's report is not checked for {key}" for key in issue if key not in suites.REPORT]
    files = {"any.py": "", "other.py": "", "typed.py": 'KERNEL = "patched"\n', "rule.py": 'KERNEL = "stock"\n'}
    two, chosen = ["patched", "stock"], {}
    with habit.sample(files) as at:
        for key, labels, mode, seeds in (("normal", two, "normal", range(40)), ("long", two, "long", (4,)),
                                         ("stock", ["stock"], "long", (4,)), ("own", ["own"], "long", (4,))):
            runs = [[(os.path.basename(path)[0], label[0]) for path, label in
                     suites.on_which([f"{at}/{name}" for name in files], labels, mode, seed)] for seed in seeds]
            chosen[key] = set(sum(runs, []))
            if key == "normal" and {len(run) for run in runs} != {len(files)}:
                wrong.append(f"a file runs on two kernels, or on none: {runs}")
    both = {(file, label) for file in "ao" for label in "ps"} | {("t", "p"), ("r", "s")}
    if (chosen["normal"] != both or chosen["long"] != both or chosen["stock"] != {(file, "s") for file in "aotr"}
            or chosen["own"] != {(file, "o") for file in "aot"}):
        wrong.append(f"which file runs on which kernel: {chosen}")
    third = suites.LAB_SECONDS // 3
    files = {f"{letter}.py": f"SECONDS = {third}\n" for letter in "bcdefg"} | {"a.py": "SECONDS = 9\nALWAYS = True\n"}
    with habit.sample(files) as at:
        samples = [suites.sample([f"{at}/{name}" for name in files], seed) for seed in range(40)]
        names = [tuple(os.path.basename(path)[0] for path in taken) for taken, _ in samples]
        if ({len(taken) for taken in names} != {4} or any(taken[0] != "a" for taken in names)
                or set("".join(map("".join, names))) != set("abcdefg")
                or any(set(taken) & set(left) or len(taken) + len(left) != len(files) for taken, left in samples)):
            wrong.append(f"which files are the sample: {names}")
    slow = suites.Suite("slow", -1, lambda context: [])
    with tempfile.TemporaryFile("w+") as out:
        kept, sys.stdout = sys.stdout, out
        try:
            outcomes = suites.run_suite(slow, suites.Context("normal", 1), False)[0]
        finally:
            sys.stdout = kept
        out.seek(0)
        if outcomes or "slow slow: took 0 s, more than 2 times its budget of -1 s" not in out.read():
            wrong.append("it is not told that a suite exceeds its budget, or is a failure")
    return habit.say("suites judge as they say", wrong), {suite.name for suite in suites.SUITES}


LAB_FILE = """
from cases import Skip, deadline
from scenario import Failure
import signal
TOPOLOGY = None
def setup(lab):
    lab.ready = True
def case_good(lab):
    assert lab.ready
def case_bad(lab):
    raise Failure("broken")
def case_bug(lab):
    raise KeyError
def case_skip(lab):
    raise Skip("not here")
@deadline(1)
def case_hang(lab):
    signal.pause()
def case_last(lab):
    pass
"""
LAB_LINES = ["ok good", "not ok bad: broken", "not ok bug: KeyError", "skip skip: not here",
             "not ok hang: still running after 1 s", "ok last", "ok dmesg"]


def prove_cases(top):
    """tests/lab/lib/cases.py, on a file that needs no host, in a lab of its own."""
    runner = f"{top}/tests/lab/lib/cases.py"
    if not os.environ.get("LAB_INSIDE"):
        print("skip cases report what happened: outside of the lab's root")
        return True
    environment = dict(os.environ, LAB_ID="selftest", LAB_INSTANCE="selftest", LAB_PATIENCE="1")
    os.makedirs("/run/cxl-tier-lab-selftest", exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cases.") as directory:
        wrong = []
        for text, lines, status in ((LAB_FILE, LAB_LINES, 1), ("def case_a(lab):\n    pass\n", ["ok a", "ok dmesg"], 0),
                                    ("def setup(lab):\n    assert 0\ndef case_a(lab):\n    pass\n",
                                     ["not ok setup", "not ok a: the set-up failed", "ok dmesg"], 1),
                                    ("x = 1\n", ["not ok file"], 1)):
            with open(f"{directory}/sample.py", "w") as file:
                file.write(text)
            done = subprocess.run([sys.executable, "-I", "-S", runner, f"{directory}/sample.py"], text=True,
                                  capture_output=True, env=environment, check=False)
            got = [line for line in done.stdout.splitlines() if not line.startswith("#")]
            if done.returncode != status or len(got) != len(lines) or any(
                    not line.startswith(wanted) for line, wanted in zip(got, lines)):
                wrong.append(f"exit {done.returncode}: {got} {done.stderr.strip()[-300:]}")
    sys.path.insert(0, f"{top}/tests/lab/lib")
    import cases
    with habit.sample({"A/console.log": "[1] a\n[2] WARNING: CPU: 0\n", "B/console.log.old": "Call Trace:\n",
                       "C/dmesg.log": "quiet\n", "C/qemu.log": "BUG: not a kernel's\n",
                       "D/dmesg.log": "hog invoked oom-killer: order=0\nCPU: 0\nCall Trace:\n"}) as top_directory:
        lab = type("Lab", (), {"names": lambda self: []})()
        found = cases.complaints(lab, habit.pathlib.Path(top_directory))
        if len(found) != 2:
            wrong.append(f"kernels' complaints: {found}")
    with habit.sample({"D/dmesg.log": "hog invoked oom-killer: order=0\nCPU: 0\nCall Trace:\na\nCall Trace:\n"}) as top_directory:
        if len(cases.complaints(lab, habit.pathlib.Path(top_directory))) != 1:
            wrong.append("a complaint after somebody ran out of memory is not seen")
    return habit.say("cases report what happened", wrong)


def main(argv):
    top, build = argv[1:3]
    good, suites = prove_suites(top)
    with open(glob.glob(f"{build}/meson-info/intro-tests.json")[0]) as file:
        tests = {(suite.split(":")[-1], test["name"]) for test in json.load(file) for suite in test["suite"]}
    good &= habit.prove("registration", lambda tree: check_registered(tree, {("unit", "a")}, {"unit"}), SAMPLES)
    good &= habit.say("registration", check_registered(habit.Tree(top), tests, suites))
    return not (prove_cases(top) & good)


if __name__ == "__main__":
    sys.exit(main(sys.argv))

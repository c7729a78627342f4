# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: tests/run [--fast|--long] [SUITE...]

Runs the suites and prints, for each, what failed, the time used and its budget. Exit 0 if nothing failed, 1 if
something did, 2 for a wrong command line. The last line is "N passed, N failed", with ", N skipped" if any was.

  CI=true       a skip is a failure, unless "hardware" is part of the test's name
  TIER_SEED=N   where samples that rotate with the commit begin; by default made from the commit
  KERNEL=stock  the emulated hosts boot Debian's kernel; by default the one of kernel/series, and some Debian's
"""

import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

# Budgets are what two idle cores need with room to spare. A machine may be busy or slow: a suite that takes this many
# times its budget is told, and one that takes three times as long as that hangs, and is killed.
ALLOWANCE = 2
TOTAL_BUDGET, TOTAL_LIMIT = 45 * 60, 80 * 60
# Files of lab cases are taken until they need so many seconds on two idle cores; check-long takes all.
LAB_SECONDS = 1000
# How often a randomized simulation runs.
SIM_SEEDS = {"fast": 1000, "normal": 10000, "long": 1000000}
# Of the simulation's directed cases one in so many.
SIM_EVERY = {"fast": 8, "normal": 1, "long": 1}

ENTER = "tests/lab/enter"
LOGS = "build/check"
HARDWARE = "hardware"


class Outcome:
    """What became of one test: passed, failed or skipped."""

    def __init__(self, name, state, reason=""):
        self.name, self.state, self.reason = name, state, reason


class Suite:
    def __init__(self, name, budget, run, fast=False, long_budget=None, only_long=False):
        self.name, self.budget, self.run, self.fast, self.only_long = name, budget, run, fast, only_long
        self.long_budget = long_budget or budget

    def belongs_to(self, mode):
        return self.fast if mode == "fast" else mode == "long" or not self.only_long


class Context:
    """What every suite needs to know of the run."""

    def __init__(self, mode, seed):
        self.mode, self.seed = mode, seed
        self.suite, self.budget, self.built, self.staged, self.told = None, 0, None, None, False
        self.kernels, self.kernel_outcomes, self.set_up_seconds = {}, None, 0

    def command(self, *words, live=False, env=None, name=None):
        """Run one command; its output goes to a log, and is shown at once if live. Status and text come back."""
        path = f"{LOGS}/{name or self.suite}.log"
        environment = dict(os.environ, TIER_SEED=str(self.seed), TIER_SIM_SEEDS=str(SIM_SEEDS[self.mode]),
                           TIER_SIM_EVERY=str(SIM_EVERY[self.mode]))
        if self.mode == "long":
            environment["LAB_SANITIZE"] = environment["LAB_ALL"] = "1"
        environment.update(env or {})
        text, killed = [], []
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", env=environment, start_new_session=True)

        def expired(*_):
            # A minute to take hosts down.
            if not killed:
                text.append(f"not ok {self.suite}: killed after {self.hard_limit():.0f} s\n")
            killed.append(time.monotonic())
            os.killpg(process.pid, signal.SIGKILL if killed[-1] > killed[0] + 60 else signal.SIGTERM)

        previous = signal.signal(signal.SIGALRM, expired)
        signal.setitimer(signal.ITIMER_REAL, max(1, self.deadline - time.monotonic()), 10)
        try:
            with open(path, "w") as log:
                for line in process.stdout:
                    text.append(line)
                    log.write(line)
                    log.flush()
                    if live:
                        print(f"  {line}", end="", flush=True)
            return process.wait(), "".join(text)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    def hard_limit(self):
        return 3 * ALLOWANCE * self.budget


def last(text, lines=30):
    return "\n".join(text.rstrip().splitlines()[-lines:])


def parse_lines(text):
    """Outcomes from lines "ok NAME", "not ok NAME: REASON", "skip NAME: REASON", and from TAP, which is nearly that."""
    outcomes, notes = [], []
    for line in text.splitlines():
        if line.startswith("# "):
            notes.append(line[2:])
            continue
        found = re.match(r"(ok|not ok|skip)(?: +\d+)?(?: +-)? +(.*)", line)
        if not found:
            continue
        state, rest = found.groups()
        name, _, reason = rest.partition(": ")
        name, skipped, why = name.partition(" # SKIP")
        if state == "not ok":
            outcomes.append(Outcome(name, "failed", reason or "; ".join(notes)))
        elif state == "skip" or skipped:
            outcomes.append(Outcome(name, "skipped", reason or why.strip() or "; ".join(notes)))
        else:
            outcomes.append(Outcome(name, "passed"))
        notes = []
    return outcomes


def judge(status, text, name):
    """The outcomes in a program's output; a status that they do not explain is one more failure."""
    outcomes = parse_lines(text)
    states = {outcome.state for outcome in outcomes}
    if status == 77 and "skipped" not in states:
        outcomes.append(Outcome(name, "skipped", last(text, 1)))
    elif status not in (0, 77) and "failed" not in states:
        outcomes.append(Outcome(name, "failed", f"ended with {status}\n{last(text)}"))
    elif status == 0 and not outcomes:
        outcomes.append(Outcome(name, "passed"))
    return outcomes


# ---- the suites -----------------------------------------------------------------------------------------------------


def run_format(context):
    files = []
    for directory, subdirectories, names in os.walk("."):
        subdirectories[:] = [s for s in subdirectories if s[0] != "." and not s.startswith("build")]
        files += sorted(f"{directory}/{name}" for name in names if name.endswith((".c", ".h")))
    status, text = context.command(ENTER, "clang-format", "--dry-run", "-Werror", *files)
    return [Outcome("format", "failed" if status else "passed", last(text))]


def build(context):
    """The developer's build: -Werror, ASan and UBSan. Once per run; what fails here fails every suite that needs it."""
    if context.built is None:
        status, text = 0, ""
        if not os.path.exists("build/dev/build.ninja"):
            status, text = context.command(ENTER, "meson", "setup", "--native-file", "build-dev.ini", "build/dev",
                                           name="build")
        if status == 0:
            status, text = context.command(ENTER, "ninja", "-C", "build/dev", "-k", "0", name="build")
        errors = [line for line in text.splitlines() if re.search(r"\berror: |\bERROR: |undefined (reference|symbol)", line)]
        context.built = "" if status == 0 else "\n".join(errors[:20]) or last(text)
    return [Outcome("build", "failed", context.built)] if context.built else []


def not_built(context, why):
    """The reason has been told if the set-up was a suite of this run."""
    return [Outcome(context.suite, "failed", "was not built" + ("" if context.told else f": {why}"))]


def run_build(context):
    context.told = True
    return build(context)


def run_meson(context):
    if build(context):
        return not_built(context, context.built)
    status, text = context.command(ENTER, "meson", "test", "-C", "build/dev", "--no-rebuild", "--suite", context.suite,
                                   "--logbase", context.suite, "--timeout-multiplier", "0" if context.mode == "long" else str(3 * ALLOWANCE))
    try:
        with open(f"build/dev/meson-logs/{context.suite}.json") as log:
            programs = [json.loads(line) for line in log]
    except FileNotFoundError:
        programs = []
    if not programs:
        return [Outcome(context.suite, "failed", f"no tests ran\n{last(text)}")]
    outcomes = []
    for program in programs:
        output = (program.get("stdout") or "") + (program.get("stderr") or "")
        result = program["result"]
        code = {"OK": 0, "EXPECTEDFAIL": 0, "SKIP": 77}.get(result, program.get("returncode") or 1)
        name = program["name"].split(":")[-1].strip().split(" / ")[-1]
        for outcome in judge(code, output if result != "TIMEOUT" else output + "\nnot ok timeout\n", name):
            outcome.name = name if outcome.name == name else f"{name}/{outcome.name}"
            outcomes.append(outcome)
        if any(o.state == "failed" for o in outcomes):
            with open(f"{LOGS}/{context.suite}.log", "a") as log:
                log.write(f"\n==== {name}: {result}\n{output}")
    return outcomes


def run_guest(context):
    status, text = context.command(ENTER, "tests/lab/guest/selftest")
    proofs = [line for line in text.splitlines() if re.match(r"(pause|clean|damage|pc|refusal): ", line)]
    outcomes = [Outcome(line, "passed") for line in proofs]
    if status != 0 or not proofs:
        failures = re.search(r"^selftest: FAILED: (.*)", text, re.M)
        outcomes += [Outcome("guest", "failed", reason) for reason in
                     (failures[1].split("; ") if failures else [last(text)])]
    return outcomes


def run_model(context):
    status, text = context.command(ENTER, "tests/model/run", *(["--long"] if context.mode == "long" else []))
    return judge(status, text, "model")


def stage(context):
    """What the emulated hosts boot from."""
    if context.staged is None:
        status, text = context.command("tests/lab/build", name="stage")
        if status == 0:
            status, text = context.command(ENTER, "tests/lab/guest/build", "build/lab/guest", name="stage")
        context.staged = "" if status == 0 else last(text)
    return [Outcome("stage", "failed", context.staged)] if context.staged else []


def kernel(context):
    """Which kernels the hosts boot: {label: KERNEL}. Built here if they are not there."""
    if context.kernel_outcomes is None:
        context.kernel_outcomes = []
        asked, began = os.environ.get("KERNEL", ""), time.monotonic()
        status, text = context.command("tests/lab/kernel", live=context.suite == "kernel", name="kernel")
        lines = text.rstrip().splitlines() or [""]
        if status != 0:
            context.kernel_outcomes = [Outcome("kernel", "failed", last(text, 1))]
        elif asked:
            # A path is no name.
            context.kernels = {asked if re.fullmatch(r"[a-z]+", asked) else "own": lines[-1]}
        elif lines[-1] == "stock":
            # What needs the other one says this when it is skipped.
            os.environ["KERNEL_FALLBACK"] = lines[-3] if len(lines) > 2 else lines[0]
            context.kernels = {"stock": "stock"}
            context.kernel_outcomes = [Outcome("kernel", "skipped", os.environ["KERNEL_FALLBACK"])]
        else:
            context.kernels = {"patched": lines[-1], "stock": "stock"}
        if context.suite != "kernel":
            # Who runs one suite alone waits for the kernel, too, and that is not of its time.
            context.set_up_seconds = time.monotonic() - began
            context.deadline += context.set_up_seconds
    return [outcome for outcome in context.kernel_outcomes if outcome.state == "failed"]


def run_kernel(context):
    context.told = True
    return kernel(context) or context.kernel_outcomes


def run_stage(context):
    context.told = True
    return stage(context)


def value(path, name, default):
    """What a file of cases says of itself."""
    with open(path) as file:
        found = re.search(f"^{name} = (.*)$", file.read(), re.M)
    return found[1].strip('"') if found else default


def sample(files, seed):
    """What every run has, then others in an order that the seed gives, until LAB_SECONDS are used up."""
    chosen = [path for path in files if value(path, "ALWAYS", "") == "True"]
    others = [path for path in files if path not in chosen]
    seconds = sum(int(value(path, "SECONDS", 60)) for path in chosen)
    random.Random(seed).shuffle(others)
    while others and seconds < LAB_SECONDS:
        chosen.append(others.pop())
        seconds += int(value(chosen[-1], "SECONDS", 60))
    return sorted(chosen), sorted(others)


def on_which(files, labels, mode, seed):
    """[(file, label of a kernel)]: of two kernels each file gets both in a long run, else one that the seed chooses."""
    chosen = []
    toss = random.Random(seed)
    for path in files:
        needs, which = value(path, "KERNEL", ""), toss.randrange(2)
        if needs == "stock":
            these = [label for label in labels if label in ("stock", "debian")]
        elif needs == "patched":
            these = labels[:1]
        else:
            these = labels if mode == "long" else [labels[which % len(labels)]]
        chosen += [(path, label) for label in these]
    return chosen


def run_cases(context, pairs, **environment):
    outcomes = []
    for path, label in pairs:
        name = os.path.basename(path)[:-len(".py")]
        print(f"  # {name}, {label} kernel", flush=True)
        status, text = context.command("python3", "-I", "-S", "tests/lab/lib/cases.py", path, live=True,
                                       env={"KERNEL": context.kernels[label], **environment},
                                       name=f"lab-{name}-{label}")
        if status == 0 and re.search("^# left out", text, re.M) and not parse_lines(text):
            continue
        for outcome in judge(status, text, name):
            outcome.name = f"{name}/{outcome.name} ({label})"
            outcomes.append(outcome)
    return outcomes or [Outcome(context.suite, "failed", "there are no cases")]


def run_lab(context):
    if stage(context):
        return not_built(context, context.staged)
    if kernel(context):
        return not_built(context, context.kernel_outcomes[0].reason)
    files, left_out = sorted(glob.glob("tests/lab/cases/*.py")), []
    if context.mode != "long":
        files, left_out = sample(files, context.seed)
        names = ", ".join(os.path.basename(path)[:-len(".py")] for path in left_out)
        print(f"  {len(files)} files of cases by TIER_SEED={context.seed}; not in this run: {names}", flush=True)
    return run_cases(context, on_which(files, list(context.kernels), context.mode, context.seed))


def run_on(context, label, choose, **environment):
    """Cases on a kernel of its own: @choose says which files."""
    if stage(context):
        return not_built(context, context.staged)
    status, text = context.command("tests/lab/kernel", env={"KERNEL": label}, live=True, name=f"kernel-{label}")
    if status != 0:
        return [Outcome("kernel", "failed", last(text, 1))]
    context.kernels[label] = text.rstrip().splitlines()[-1]
    files = [path for path in sorted(glob.glob("tests/lab/cases/*.py")) if choose(path)]
    return run_cases(context, [(path, label) for path in files], **environment)


def run_debug(context):
    """What is about the series, on a kernel with KASAN, lockdep, DEBUG_VM and page poisoning: samples, as in the lab
    suite, since everything takes several times as long there."""
    return run_on(context, "debug", lambda path: value(path, "KERNEL", "") == "patched", LAB_ALL="0")


def run_next(context):
    """What depends on the kernel's way to online memory, on the newest kernel that Debian has."""
    return run_on(context, "next", lambda path: os.path.basename(path) in ("arrive.py", "inject.py", "online.py"))


# What the demo's report must say, and what is sane. None: any text that is not empty.
REPORT = {
    "kernel": None,
    "qemu": None,
    "portal.bytes": (1 << 28, 1 << 50),
    "portal.device": None,
    "vm.ram_bytes": (1 << 24, 1 << 40),
    "vm.dirty_bytes_per_sec": (4096, 1 << 40),
    "vm.pages_on_portal_node": (1, 1 << 40),
    "flight.moved_pages": (1, 1 << 40),
    "flight.pause_usec": (1, 60_000_000),
    "flight.total_usec": (1, 300_000_000),
    "flight.state_bytes": (1000, 1 << 30),
    "flight.ram_bytes_over_network": (0, 65536),
    "guest.pages_checked": (1, 1 << 60),
    "guest.bad_pages": (0, 0),
    "guest.longest_pause_usec": (1, 120_000_000),
}


def judge_report(report):
    outcomes = []
    for key, bounds in REPORT.items():
        value, reason = report.get(key), ""
        if value is None:
            reason = "is missing"
        elif bounds is None:
            reason = "" if isinstance(value, str) and value else f"is {value!r}, not a text"
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not bounds[0] <= value <= bounds[1]:
            reason = f"is {value!r}, not between {bounds[0]} and {bounds[1]}"
        outcomes.append(Outcome(f"report {key}", "failed" if reason else "passed", reason))
    return outcomes


def run_demo(context):
    if kernel(context):
        return not_built(context, context.kernel_outcomes[0].reason)
    path = "build/demo/report.json"
    if os.path.exists(path):
        os.unlink(path)
    try:
        status, text = context.command("tests/lab/demo", live=True, env={"KERNEL": next(iter(context.kernels.values()))})
    finally:
        # Also when it was killed.
        if os.environ.get("HOLD", "") in ("", "0"):
            subprocess.run(["tests/lab/host", "down", "--all"], check=False, stdout=subprocess.DEVNULL,
                           env=dict(os.environ, LAB_INSTANCE=os.environ.get("LAB_INSTANCE", "demo")))
    end = text.rstrip().splitlines()[-1:] or [""]
    if status != 0 or end[0] != "demo: ok":
        return [Outcome("demo", "failed", end[0] if end[0].startswith("demo: FAILED") else last(text, 1))]
    try:
        with open(path) as file:
            report = json.load(file)
    except (OSError, json.JSONDecodeError) as error:
        return [Outcome("demo", "passed"), Outcome("report", "failed", str(error))]
    return [Outcome("demo", "passed")] + judge_report(report)


# In the order of what they cost, so that what is wrong is known early. "build", "stage" and "kernel" are set-up with a
# budget.
SUITES = [
    Suite("format", 10, run_format, fast=True),
    Suite("build", 120, run_build, fast=True),
    Suite("check", 20, run_meson, fast=True),
    Suite("unit", 60, run_meson, fast=True),
    Suite("sim", 150, run_meson, fast=True, long_budget=9000),
    Suite("fuzz", 20, run_meson),
    Suite("mutation", 120, run_meson),
    Suite("daemon", 60, run_meson),
    Suite("model", 120, run_model, long_budget=1800),
    Suite("guest", 40, run_guest),
    Suite("stage", 60, run_stage),
    Suite("kernel", 600, run_kernel),
    Suite("lab", 1400, run_lab, long_budget=18000),
    Suite("debug", 7200, run_debug, only_long=True),
    Suite("next", 1800, run_next, only_long=True),
    Suite("demo", 300, run_demo, long_budget=900),
]
SET_UP = ("build", "stage", "kernel")


# ---- the run --------------------------------------------------------------------------------------------------------


def commit():
    done = subprocess.run(["git", "-c", "safe.directory=*", "rev-parse", "HEAD"], text=True, capture_output=True,
                          check=False) if any(os.access(f"{p}/git", os.X_OK) for p in os.get_exec_path()) else None
    return done.stdout.strip() if done and done.returncode == 0 else ""


def strict(outcome, ci):
    """In CI nothing may be left out in silence."""
    if ci and outcome.state == "skipped" and HARDWARE not in outcome.name:
        outcome.state, outcome.reason = "failed", f"skipped, which fails in CI: {outcome.reason}"
    return outcome


def run_suite(suite, context, ci):
    context.suite = suite.name
    context.budget = suite.long_budget if context.mode == "long" else suite.budget
    context.set_up_seconds = 0
    began = time.monotonic()
    context.deadline = began + context.hard_limit()
    print(f"== {suite.name}", flush=True)
    outcomes = [strict(outcome, ci) for outcome in suite.run(context)]
    seconds = time.monotonic() - began
    if seconds - context.set_up_seconds > ALLOWANCE * context.budget:
        print(f"slow {suite.name}: took {seconds:.0f} s, more than {ALLOWANCE} times its budget of {context.budget} s")
    for outcome in outcomes:
        if outcome.state == "failed":
            print(f"FAILED {suite.name}: {outcome.name}: {outcome.reason.strip() or f'see {LOGS}/{suite.name}.log'}")
        elif outcome.state == "skipped":
            print(f"skipped {suite.name}: {outcome.name}: {outcome.reason}")
    return outcomes, seconds, context.budget


def count(outcomes, state):
    return sum(outcome.state == state for outcome in outcomes)


def main(words):
    mode = "normal"
    if "--help" in words:
        print(__doc__.strip())
        print("\nsuites:", " ".join(suite.name for suite in SUITES))
        return 0
    if words and words[0] in ("--fast", "--long"):
        mode = words.pop(0)[2:]
    unknown = [word for word in words if word not in {suite.name for suite in SUITES}]
    if unknown:
        print(f"tests/run: no such suite: {unknown[0]}; there are {', '.join(s.name for s in SUITES)}", file=sys.stderr)
        return 2
    chosen = [s for s in SUITES if (s.name in words if words else s.belongs_to(mode))]

    def terminated(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    os.makedirs(LOGS, exist_ok=True)
    head = commit()
    seed = int(os.environ.get("TIER_SEED") or int(head[:8] or "1", 16))
    print(f"commit {head or 'unknown'}, TIER_SEED={seed}", flush=True)
    began = float(os.environ.get("TIER_CHECK_STARTED", time.time()))
    context, ci = Context(mode, seed), os.environ.get("CI", "") in ("true", "1")
    rows, everything = [], []
    try:
        for suite in chosen:
            outcomes, seconds, budget = run_suite(suite, context, ci)
            everything += outcomes
            rows.append((suite.name, outcomes, seconds, budget))
    except KeyboardInterrupt:
        print("\ninterrupted")
        everything.append(Outcome("run", "failed"))
    total = time.time() - began
    print(f"\n{'suite':<8} {'passed':>7} {'failed':>7} {'skipped':>8} {'time':>9} {'budget':>9}")
    for name, outcomes, seconds, budget in rows:
        print(f"{name:<8} {count(outcomes, 'passed'):>7} {count(outcomes, 'failed'):>7} "
              f"{count(outcomes, 'skipped'):>8} {seconds:>7.1f} s {budget:>7} s")
    print(f"{'total':<8} {count(everything, 'passed'):>7} {count(everything, 'failed'):>7} "
          f"{count(everything, 'skipped'):>8} {total:>7.1f} s" + (f" {TOTAL_BUDGET:>7} s" if mode == "normal" else ""))
    if mode == "normal" and total > TOTAL_BUDGET:
        print(f"the whole run took {total:.0f} s; on two idle cores it should take less than {TOTAL_BUDGET} s")
    if mode == "normal" and total > TOTAL_LIMIT:
        print(f"FAILED: the whole run took {total:.0f} s, more than {TOTAL_LIMIT} s")
        everything.append(Outcome("total", "failed"))
    # A failed set-up is a failure, but a set-up that succeeds proves nothing.
    skipped = count(everything, "skipped")
    line = (f"{count(everything, 'passed')} passed, {count(everything, 'failed')} failed" +
            (f", {skipped} skipped" if skipped else ""))
    with open(f"{LOGS}/summary", "w") as file:
        print(line, file=file)
    print(line, flush=True)
    nothing = not everything and any(name not in SET_UP for name, *_ in rows)
    return 1 if nothing or count(everything, "failed") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

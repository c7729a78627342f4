# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: python3 -I -S tests/lab/lib/cases.py FILE[:CASE[,CASE...]]...

Runs the lab cases of each file on emulated hosts that the file's cases share. In a file:

  TOPOLOGY    name of a topology to bring up, or None: then setup() brings up what it needs
  OPTIONS     further words for "host up"
  setup(lab)  runs once, when the hosts are up; may be absent
  case_*(lab) the cases, run in the order in which they are written. One ends by returning, or by raising Failure, an
              AssertionError, or Skip; the others run all the same.
  KERNEL      "patched": needs the kernel of kernel/series; left out, and said so, where somebody wants Debian's, and a
              skip where the other one should be there and is not. "stock": is about Debian's kernel
  SECONDS     what the file needs on two idle cores: make check takes files, in an order that TIER_SEED gives, until their
              sum is what the suite may use; make check-long takes all
  ALWAYS      True: every make check has it
  DEADLINE    seconds that one case may take; 120 unless set. @deadline(N) sets it for one case.
  SAMPLE      how many of the cases run, chosen by TIER_SEED; all of them if LAB_ALL=1, or if one is named

Prints "ok NAME", "not ok NAME: REASON" or "skip NAME: REASON" for each, and "dmesg" as the last: a kernel that
complained on any of the hosts fails the file. The hosts are taken down whatever happens. Each file has a lab of its
own; LAB_INSTANCE=NAME sets that apart from another run's. Exit 1 if anything failed.
"""

import fcntl
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.abspath(__file__))
COMPLAINTS = re.compile(r"WARNING:|BUG:|\bOops\b|rcu: INFO:|INFO: task|Call Trace|Kernel panic")
SETUP_SECONDS = 300


class Skip(Exception):
    """This case cannot run here; the text says why."""


class Expired(BaseException):
    """A case has used up its time. Not an Exception, so that no case takes it for one of its own."""


def deadline(seconds):
    """How long one case may take, where DEADLINE does not fit."""
    def mark(function):
        function.deadline = seconds
        return function
    return mark


class Lab:
    """The hosts of a file: lab["A"] is a scenario.Host."""

    def __init__(self, scenario):
        self.scenario = scenario
        self._hosts = {}

    def __getitem__(self, name):
        if name not in self._hosts:
            self._hosts[name] = self.scenario.Host(name)
        return self._hosts[name]

    def up(self, *names, topology=None, options=()):
        return self.scenario.up(*names, topology=topology, options=options)

    def names_up(self):
        """Hosts whose QEMU runs."""
        done = subprocess.run([self.scenario.HOST, "list", "--json"], text=True, capture_output=True, check=False)
        return [host["name"] for host in json.loads(done.stdout) if host["state"] == "up"] if done.stdout.startswith(
            "[") else []

    def names(self):
        done = subprocess.run([self.scenario.HOST, "list", "--json"], text=True, capture_output=True, check=False)
        return [host["name"] for host in json.loads(done.stdout)] if done.stdout.startswith("[") else []


def report(state, name, reason=""):
    reason = " ".join(str(reason).split())
    print(f"{state} {name}{': ' if reason else ''}{reason[:1500]}", flush=True)
    return state == "not ok"


def attempt(name, function, lab, seconds, failures):
    """True if it failed."""
    import paths

    def expired(*_):
        raise Expired

    seconds = int(paths.patience(seconds))
    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    began = time.monotonic()
    try:
        function(lab)
    except Skip as skip:
        signal.alarm(0)
        return report("skip", name, skip)
    except Expired:
        return report("not ok", name, f"still running after {seconds} s")
    except failures as failure:
        signal.alarm(0)
        where = traceback.extract_tb(failure.__traceback__)
        at = next((f for f in reversed(where) if "/cases/" in f.filename), where[-1])
        return report("not ok", name, f"{failure or type(failure).__name__} (line {at.lineno}: {at.line})")
    except Exception:
        signal.alarm(0)
        traceback.print_exc()
        return report("not ok", name, traceback.format_exc().strip().splitlines()[-1])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    print(f"# {name}: {time.monotonic() - began:.1f} s", flush=True)
    return False if function.__name__ == "set_up" else report("ok", name)


def complaints(lab, hosts_directory):
    """What the kernels of the hosts complained about, also of those that a case took down or booted again."""
    found = []
    logs = {}
    for name in lab.names():
        done = subprocess.run([lab.scenario.HOST, "dmesg", name], capture_output=True, check=False)
        logs[f"{name}'s dmesg"] = done.stdout
    for path in sorted(hosts_directory.glob("*/*.log*")):
        if path.name.startswith(("console.log", "dmesg.log")):
            logs[f"{path.parent.name}'s {path.name}"] = path.read_bytes()
    for name, text in logs.items():
        # Whoever runs out of memory, or waits for it, as a test may want, is shown where it was.
        lines = re.sub(r"((?:invoked oom-killer|page allocation stall).*\n(?:.*\n){,8}?.*)Call Trace", r"\1",
                       text.decode(errors="replace"))
        bad = [line for line in lines.splitlines() if COMPLAINTS.search(line)]
        if bad:
            found.append(f"{name}: {'; '.join(bad[:3])}")
    return found


def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-len(".py")], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = [(name[len("case_"):], function) for name, function in vars(module).items()
             if name.startswith("case_") and callable(function)]
    return module, cases


def run_file(path, only):
    """True if anything failed. Inside the lab's root."""
    sys.path.insert(0, HERE)
    # Case files write "from cases import Skip", and must get this module's, not a second copy.
    sys.modules["cases"] = sys.modules["__main__"]
    import kernels
    import paths
    import scenario
    module, cases = load(path)
    if getattr(module, "KERNEL", "") == "stock":
        os.environ["KERNEL"] = "stock"
    kernel = kernels.pin()
    if getattr(module, "KERNEL", "") == "patched" and not kernel.has_series:
        if not kernel.why:
            print(f"# left out: {os.path.basename(path)} needs the kernel of kernel/series", flush=True)
        for name, _ in cases if kernel.why else ():
            report("skip", name, f"needs the kernel of kernel/series: {kernel.why}")
        return False
    if only:
        unknown = set(only.split(",")) - {name for name, _ in cases}
        if unknown:
            return report("not ok", "file", f"{path} has no case_{min(unknown)}")
        cases = [(name, function) for name, function in cases if name in only.split(",")]
    elif getattr(module, "SAMPLE", 0) and os.environ.get("LAB_ALL") != "1":
        chosen = random.Random(int(os.environ.get("TIER_SEED", "1"))).sample(range(len(cases)), module.SAMPLE)
        print(f"# {module.SAMPLE} of {len(cases)} cases, by TIER_SEED={os.environ.get('TIER_SEED', '1')}", flush=True)
        cases = [cases[i] for i in sorted(chosen)]
    if not cases:
        return report("not ok", "file", f"{path} has no cases")
    lab = Lab(scenario)
    failures = (scenario.Failure, AssertionError)
    failed = False
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        scenario.down_all()
        for old in paths.HOSTS.glob("*/*.log*"):
            old.unlink()

        def set_up(lab):
            if getattr(module, "TOPOLOGY", None):
                print(f"# {lab.up(topology=module.TOPOLOGY, options=getattr(module, 'OPTIONS', ()))}".replace(
                    "\n", "\n# "), flush=True)
            getattr(module, "setup", lambda lab: None)(lab)

        if attempt("setup", set_up, lab, getattr(module, "SETUP_DEADLINE", SETUP_SECONDS), failures):
            for name, _ in cases:
                report("not ok", name, "the set-up failed")
            failed = True
        else:
            for name, function in cases:
                seconds = getattr(function, "deadline", getattr(module, "DEADLINE", 120))
                failed |= attempt(name, function, lab, seconds, failures)
        bad = complaints(lab, paths.HOSTS)
        failed |= report("not ok" if bad else "ok", "dmesg", " | ".join(bad))
    finally:
        # Whoever wants this to end does not mean that the hosts should stay.
        for number in signal.SIGTERM, signal.SIGINT:
            signal.signal(number, signal.SIG_IGN)
        signal.alarm(0)
        scenario.down_all()
        for number, handler in handlers:
            signal.signal(number, handler)
    return failed


def main(words):
    if not words or words[0].startswith("-"):
        print(__doc__.strip())
        return 0 if words == ["--help"] else 2

    def terminated(*_):
        sys.exit(1)

    signal.signal(signal.SIGTERM, terminated)
    if os.environ.get("LAB_INSIDE"):
        failed = [run_file(*(word + ":").split(":")[:2]) for word in words]
        return 1 if any(failed) else 0
    # From outside, each file gets a lab of its own, so that nothing of one is in the way of another.
    checkout = os.path.realpath(os.path.join(HERE, "../../.."))
    failed = False
    for word in words:
        path, _, only = word.partition(":")
        name = os.path.basename(path)[:-len(".py")]
        if not os.path.realpath(path).startswith(checkout + "/") or not os.path.exists(path):
            print(f"cases: no such file in this checkout: {path}", file=sys.stderr)
            return 2
        inside = "/src/" + os.path.relpath(os.path.realpath(path), checkout)
        instance = f"{os.environ.get('LAB_INSTANCE', 'case')}-{name}"
        # A second run would take this one's hosts down.
        os.makedirs(f"{checkout}/build/lab", exist_ok=True)
        held = open(f"{checkout}/build/lab/{instance}.lock", "w")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"# another run of {name} is under way; waiting for it", flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        child = subprocess.Popen([f"{checkout}/tests/lab/enter", "python3", "-I", "-S", "/src/tests/lab/lib/cases.py",
                                  f"{inside}:{only}"], cwd=checkout,
                                 env=dict(os.environ, LAB_INSTANCE=instance, LAB_CHECKOUT=checkout))
        try:
            failed |= child.wait() != 0
        except BaseException:
            child.terminate()
            child.wait()
            raise
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

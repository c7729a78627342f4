#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""cache-discipline.py TOP BUILD: without any one flush or invalidate, a test fails.

Each call of what libtier/os/cache.h declares is taken out of libtier in turn, its arguments still evaluated: one object
is compiled anew and the tests whose caches are private are linked with it, until one of them fails. A call that none
misses is a finding: either a test is missing, or the call. Nothing but cache.c writes lines back by itself.
"""

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "check"))

import habit  # noqa: E402

# Tests that take the place of cache.c, the quickest first.
TESTS = ["tests/unit/test-page-caches", "tests/unit/test-portal-caches", "tests/unit/test-portal-visible",
         "tests/unit/test-portal-torn", "tests/sim/sim-handoff"]
# FILE:FUNCTION of calls that no test can miss, and why each of them stays.
EXEMPT = {}
AT_ONCE = 2
SECONDS = 60
SEEDS = 100
PRODUCT = r"(libtier|cxl-tierd|tools)/.*\.[ch]"
FLUSHES = re.compile(r"\b(msync|_mm_(?:clflush(?:opt)?|clwb|[slm]fence)|__builtin_ia32_\w+|pmem_\w+)\s*\(|"
                     r"\"[^\"\n]*\b(clflush(?:opt)?|clwb|wbinvd|[slm]fence|dc\s+[ci]\w+|dsb)\b")


class Call:
    """One call: [start, end) of a file's text, without the semicolon."""

    def __init__(self, file, text, start, end, name):
        self.file, self.text, self.start, self.end, self.name = file, text, start, end, name
        self.line = text.count("\n", 0, start) + 1

    def __str__(self):
        return f"{self.file}:{self.line} {self.name}"

    def without(self):
        """The file's text with the arguments evaluated and nothing done."""
        inside = self.text[self.text.index("(", self.start) + 1:self.end - 1]
        arguments, depth, last = [], 0, 0
        for i, char in enumerate(inside):
            depth += (char in "([{") - (char in ")]}")
            if char == "," and depth == 0:
                arguments.append(inside[last:i])
                last = i + 1
        arguments.append(inside[last:])
        return (self.text[:self.start] + ", ".join(f"(void)({argument})" for argument in arguments) +
                self.text[self.end:])


def functions_of(tree):
    """What writes back or forgets lines."""
    return re.findall(r"^void (cache_\w+)\(", habit.without_comments(tree.text("libtier/os/cache.h")), re.M)


def calls_of(tree, functions):
    calls, findings = [], []
    for file in tree.files(PRODUCT):
        if file in ("libtier/os/cache.c", "libtier/os/cache.h"):
            continue
        text = habit.without_comments(tree.text(file))
        for found in re.finditer(rf"\b({'|'.join(functions)})\b", text):
            end, depth = text.find("(", found.end()) + 1, 1
            while end and depth and end < len(text):
                depth += (text[end] == "(") - (text[end] == ")")
                end += 1
            call = Call(file, tree.text(file), found.start(), end, found[1])
            if not re.match(r"\s*\(", text[found.end():]) or text[end:end + 1] != ";" or not file.endswith(".c"):
                findings.append(f"{call} is no plain call in a C file, so it cannot be taken out")
            else:
                calls.append(call)
    return calls, findings


def check_module(tree):
    """One module writes lines back."""
    return [f"{file}:{number} does by itself what libtier/os/cache.c is for: {line.strip()}"
            for file in tree.files(PRODUCT) if file != "libtier/os/cache.c"
            for number, line in enumerate(habit.without_comments(tree.text(file)).splitlines(), 1)
            if FLUSHES.search(line)]


HEADER = "void cache_flush(int method);\n"
MODULE_SAMPLES = [
    ("an intrinsic elsewhere", {"libtier/os/a.c": "_mm_clwb(p);\n"}, "a.c:1"),
    ("an instruction elsewhere", {"libtier/os/a.c": 'x;\n__asm__("dc civac, %0" : : "r"(p));\n'}, "a.c:2"),
    ("msync() elsewhere", {"cxl-tierd/a.c": "msync(p, n, MS_SYNC);\n"}, "a.c:1"),
    ("cache.c", {"libtier/os/cache.c": "_mm_clwb(p);\n", "libtier/os/a.c": "/* clwb(x) */\n"}, None),
]
CALL_SAMPLES = [
    ("a function that is passed on", {"libtier/os/cache.h": HEADER, "libtier/os/a.c": "f = cache_flush;\n"}, "a.c:1"),
    ("a call in a header", {"libtier/os/cache.h": HEADER, "libtier/os/a.h": "cache_flush(1);\n"}, "a.h:1"),
    ("a plain call", {"libtier/os/cache.h": HEADER, "libtier/os/a.c": "cache_flush(f(1, 2));\n"}, None),
]


class Build:
    """Compiles and links by the commands of a build directory."""

    def __init__(self, top, build):
        self.build = os.path.abspath(build)
        self.scratch = os.path.join(self.build, "cache-discipline")
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.mkdir(self.scratch)
        with open(f"{self.build}/compile_commands.json") as file:
            self.compiles = {entry["output"]: shlex.split(entry["command"]) for entry in json.load(file)}
        self.links = {test: shlex.split(self.command("ninja", "-t", "commands", "-s", test)) for test in TESTS}
        self.environment = dict(os.environ, TIER_SIM_SEEDS=str(SEEDS), TIER_FIXTURES=f"{top}/tests/fixtures")

    def command(self, *words):
        done = subprocess.run(words, cwd=self.build, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"not ok cache discipline: {shlex.join(words)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def compile(self, output, source, to):
        words = iter(self.compiles[output])
        kept = []
        for word in words:
            if word in ("-MD", "-g", "-Werror") or word.startswith("-fsanitize="):
                continue
            if word in ("-MQ", "-MF", "-o", "-c"):
                next(words)
                continue
            kept.append(word)
        self.command(*kept, "-o", to, "-c", source)

    def linked(self, test, file, text, directory):
        """The test with one file of libtier replaced; None if it does not have that file."""
        link = self.links[test]
        name = file.removeprefix("libtier/").replace("/", "_") + ".o"
        # Either the test has it as an object of its own, or one of the archives has.
        own = [word for word in link if word.endswith(f"libtier_{name}")]
        archived = f"libtier/libtier-{file.split('/')[1]}.a"
        if not own and archived not in link:
            return None
        output = own[0] if own else f"{archived}.p/{name}"
        source, made = f"{directory}/{os.path.basename(file)}", f"{directory}/{'own-' if own else ''}{name}"
        if not os.path.exists(made):
            with open(source, "w") as stream:
                stream.write(text)
            self.compile(output, source, made)
        program = f"{directory}/{os.path.basename(test)}"
        words = [made if own and word == own[0] else program if word == test else word for word in link]
        if not own:
            # Before the archives, whose own member is not wanted then.
            words.insert(words.index(program) + 1, made)
        self.command(*words)
        return program

    def fails(self, program):
        try:
            done = subprocess.run([program], cwd=self.scratch, env=self.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return True
        if done.returncode == 77:
            raise SystemExit(f"not ok cache discipline: {os.path.basename(program)} cannot run here")
        return done.returncode != 0

    def who_notices(self, number, file, text):
        """The first test that fails with this text of the file; None: no test does."""
        directory = f"{self.scratch}/{number}"
        os.mkdir(directory)
        try:
            for test in TESTS:
                program = self.linked(test, file, text, directory)
                if program and self.fails(program):
                    return os.path.basename(test)
            return None
        finally:
            shutil.rmtree(directory)


def prove_build(build, tree, pool):
    """Linked in the same way, with a file that is as it was, the tests pass: what fails later fails by the change."""
    files = ["libtier/os/portal-io.c", "libtier/os/ram-file.c"]
    runs = [pool.submit(build.who_notices, f"plain-{i}", file, tree.text(file)) for i, file in enumerate(files)]
    return habit.say("the tests pass as they are", [f"{run.result()} fails" for run in runs if run.result()])


def main(argv):
    top, directory = os.path.abspath(argv[1]), argv[2]
    tree = habit.Tree(top)
    good = habit.prove("one module", check_module, MODULE_SAMPLES)
    good &= habit.prove("calls", lambda sample: calls_of(sample, functions_of(sample))[1], CALL_SAMPLES)
    good &= habit.say("one module writes lines back", check_module(tree))
    calls, findings = calls_of(tree, functions_of(tree))
    good &= habit.say("calls are plain", findings)
    good &= habit.say("there are calls", [] if len(calls) > 10 else [f"only {len(calls)}"])
    sites = [f"{call.file}:{call.name}" for call in calls]
    good &= habit.say("exemptions are of calls", [f"there is no {site}" for site in EXEMPT if site not in sites])
    build = Build(top, directory)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        good &= prove_build(build, tree, pool)
        todo = [call for call, site in zip(calls, sites) if site not in EXEMPT]
        runs = [pool.submit(build.who_notices, i, call.file, call.without()) for i, call in enumerate(todo)]
        for call, run in zip(todo, runs):
            noticed = run.result()
            good &= habit.say(str(call), [] if noticed else ["can be left out, and no test fails"])
            print(f"# without it {noticed} fails" if noticed else "# write that test, or take the call away",
                  flush=True)
    print(f"# {len(todo)} calls, {time.monotonic() - began:.0f} s")
    shutil.rmtree(build.scratch)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))

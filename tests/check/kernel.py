#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel.py TOP: the kernel's build refuses, in one line, a configuration that lost a line and a series that does not
apply; and what is in kernel/ would pass the checks that need no compiler."""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402

CONFIG = 'CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_S="a b=c"\nCONFIG_N=10\n'
CONFIGS = [
    ("what survived", ['CONFIG_A=y\nCONFIG_S="a b=c"\nCONFIG_N=10\n# CONFIG_C is not set\n# CONFIG_D is not set\n'], None),
    ("an option that is gone", ["CONFIG_A=y\nCONFIG_D=y\n"], "CONFIG_D=y of 0.config is not set"),
    ("a module that should be built in", ["CONFIG_B=y\n"], "CONFIG_B=y of 0.config is m"),
    ("an option that should be off", ["# CONFIG_A is not set\n"], "CONFIG_A=n of 0.config is y"),
    ("another number", ["CONFIG_N=1\n"], "CONFIG_N=1 of 0.config is 10"),
    ("two lines", ["CONFIG_C=y\nCONFIG_D=y\n"], "CONFIG_C=y of 0.config is not set, CONFIG_D=y"),
    ("a later fragment that says otherwise", ["CONFIG_B=y\n", "CONFIG_B=m\n"], None),
    ("a later fragment that is lost", ["CONFIG_A=y\n", "CONFIG_C=y\n"], "CONFIG_C=y of 1.config"),
]

TREE = {"mm/a.c": "".join(f"line {n}\n" for n in range(20)), "mm/b.c": "one\ntwo\nthree\n"}


def patch(file, start, lines):
    """A hunk of one file, as git format-patch writes it."""
    old = sum(line[0] in " -" for line in lines)
    new = sum(line[0] in " +" for line in lines)
    return (f"From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: [PATCH] x\n\n---\ndiff --git a/{file} b/{file}\n"
            f"--- a/{file}\n+++ b/{file}\n@@ -{start},{old} +{start},{new} @@\n" + "".join(f"{line}\n" for line in lines)
            + "-- \n2.40\n\n")


FIRST = patch("mm/a.c", 5, [" line 4", " line 5", "-line 6", "+line six", " line 7", " line 8"])
SECOND = patch("mm/a.c", 6, [" line 5", "-line six", "+line 6!", " line 7"])
NEW_FILE = ("Subject: x\n\n---\ndiff --git a/mm/c.c b/mm/c.c\nnew file mode 100644\n--- /dev/null\n+++ b/mm/c.c\n"
            "@@ -0,0 +1 @@\n+int c;\n")
SERIES = [
    ("patches that build on each other", {"0001-a.patch": FIRST, "0002-b.patch": SECOND, "0003-c.patch": NEW_FILE}, None),
    ("a cover letter", {"0000-cover-letter.patch": "no patch\n", "0001-a.patch": FIRST}, None),
    ("lines that have moved", {"0001-a.patch": FIRST.replace("-5,5 +5,5", "-2,5 +2,5")}, None),
    ("no patches", {"README": ""}, None),
    ("a context that is another", {"0001-a.patch": FIRST.replace(" line 4", " line four")}, "0001-a.patch does not apply"),
    ("a patch that waits for another", {"0001-a.patch": FIRST, "0002-b.patch": SECOND.replace("-line six", "-line seven")},
     "0002-b.patch does not apply"),
    ("a file that is not there", {"0001-a.patch": FIRST.replace("mm/a.c", "mm/z.c")}, "mm/z.c"),
]


def refused(words, wanted, env=None):
    """What is wrong with how kernel/build took this; wanted: part of its one line, None if it should agree."""
    done = subprocess.run(words, text=True, capture_output=True, env=dict(os.environ, **(env or {})), check=False)
    if wanted is None:
        return [f"refused: {done.stderr.strip()}"] if done.returncode else []
    lines = done.stderr.splitlines()
    if done.returncode != 1 or len(lines) != 1 or wanted not in lines[0] or not lines[0].startswith("kernel: "):
        return [f"exit {done.returncode}, not one line with {wanted!r}: {done.stderr.strip()!r}"]
    return []


def check_fragments(tree):
    """An option that one fragment names twice is an oversight; a licence is wanted as in sources."""
    findings = []
    for name in tree.files(r"kernel/config/.*\.config"):
        seen = set()
        if "SPDX-License-Identifier: GPL-2.0-only" not in tree.text(name):
            findings.append(f"{name} has no SPDX line")
        for number, line in tree.lines(name):
            option = re.match(r"(?:# )?(CONFIG_\w+)(?:=| is not set)", line)
            if option and option[1] in seen:
                findings.append(f"{name}:{number}: {option[1]} once more")
            elif option:
                seen.add(option[1])
            elif line and not line.startswith("#"):
                findings.append(f"{name}:{number}: neither option nor comment: {line}")
    return findings


HEAD = "# SPDX-License-Identifier: GPL-2.0-only\n"
SAMPLES = [
    ("an option named twice", {"kernel/config/a.config": HEAD + "CONFIG_A=y\n# CONFIG_A is not set\n"}, "once more"),
    ("a line that is none", {"kernel/config/a.config": HEAD + "CONFIG_A y\n"}, "neither"),
    ("a good fragment", {"kernel/config/a.config": HEAD + "# why\nCONFIG_A=y\n\n# CONFIG_B is not set\n"}, None),
]


def main(argv):
    top = habit.top_from(argv)
    build, good = f"{top}/kernel/build", True
    for what, fragments, wanted in CONFIGS:
        with habit.sample({"config": CONFIG} | {f"{n}.config": text for n, text in enumerate(fragments)}) as at:
            files = [f"{at}/{n}.config" for n in range(len(fragments))]
            good &= habit.say(f"configuration: {what}", refused([build, "--check-config", f"{at}/config", *files], wanted))
    for what, patches, wanted in SERIES:
        with habit.sample(TREE) as tree, habit.sample(patches) as series:
            good &= habit.say(f"series: {what}", refused([build, "--check-series", tree], wanted, {"KERNEL_SERIES": series}))
            with open(f"{tree}/mm/a.c", encoding="utf-8") as file:
                good &= habit.say(f"series: {what}: the tree stays as it is", [] if file.read() == TREE["mm/a.c"] else ["changed"])
    good &= habit.say("series: no tree", refused([build, "--check-series", "/nonexistent"], "needs the directory"))
    return habit.run("fragments", check_fragments, SAMPLES, top) | (not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv))

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hygiene.py TOP: licence lines, leftovers, names of machines, sleeping tests, long files, man pages."""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402

SPDX = re.compile(r"SPDX-License-Identifier: (\S+)")


def licence(name):
    if name.startswith("kernel/"):
        return "GPL-2.0-only"
    return "LGPL-2.1-or-later" if name.startswith("libtier/") else "GPL-2.0-or-later"


def is_source(tree, name):
    if re.search(r"\.([chS]|py|sh|ld)$", name) or name == "Makefile":
        return True
    if os.path.splitext(name)[1] in ("", ".in"):
        with open(tree.top / name, "rb") as file:
            return file.read(2) == b"#!"
    return False


def check_spdx(tree):
    findings = []
    for name in tree.files():
        if not is_source(tree, name):
            continue
        found = SPDX.search("\n".join(tree.text(name).splitlines()[:5]))
        if not found:
            findings.append(f"{name} has no SPDX line")
        elif found[1] != licence(name):
            findings.append(f"{name} is {found[1]}, not {licence(name)}")
    return findings


# Split, so that this file does not find itself.
LEFTOVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
HOSTS = re.compile(r"\b((deb|security|ftp|snapshot|backports)\.debian\.org|archive\.ubuntu\.com|pypi\.org|crates\.io|"
                   r"registry\.npmjs\.org|proxy\.golang\.org|files\.pythonhosted\.org|docker\.io|ghcr\.io)\b")
PATHS = re.compile(r"""(?<![\w$}"'.*-])/(work|root|home/\w+|Users/\w+)/""")


def check_leftovers(tree):
    findings = []
    for name in tree.files():
        for number, line in tree.lines(name):
            for pattern, what in (LEFTOVERS, "leftover"), (HOSTS, "name of a registry"), (PATHS, "machine's path"):
                found = pattern.search(line)
                # In an initramfs /root is where the system's root is mounted.
                if found and name != "tests/check/hygiene.py" and not (
                        found[0] == "/root/" and name.startswith("tests/lab/image/")):
                    findings.append(f"{name}:{number}: {what} {found[0]}")
    return findings


SLEEPS = re.compile(r"\b(time\.sleep|(u|nano|clock_nano)?sleep)\s*\(|^\s*sleep\s+[0-9$]|[;&|]\s*sleep\s+[0-9$]|"
                    r"""["']sleep["']\s*,\s*["'0-9]""")


def check_sleeps(tree):
    """A test waits for an event with a deadline, never for a time. The lab's own parts poll what gives no event."""
    findings = []
    for name in tree.files(r"tests/(unit|sim|fuzz|daemon|check|lab/cases)/.*"):
        for number, line in tree.lines(name):
            if SLEEPS.search(line) and name != "tests/check/hygiene.py" and "interval of a deadline" not in line:
                findings.append(f"{name}:{number} sleeps: {line.strip()}")
    return findings


def check_length(tree):
    return [f"{name} has {count} lines, more than 800" for name in tree.files(r".*\.[ch]")
            if (count := tree.text(name).count("\n")) > 800]


def check_man(tree):
    findings = []
    for name in tree.files(r"docs/man/.*\.[1-9]"):
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(tree.top / name)], text=True, capture_output=True,
                              check=False)
        lines = (done.stdout + done.stderr).splitlines()
        # "referenced manual not found" and the like are about the machine, not the page.
        findings += [line.replace(f"{tree.top}/", "") for line in lines if " not found" not in line]
    return findings


MAN = '.TH X 1 "2026-01-01" "x" "x"\n.SH NAME\nx \\- y\n'
CHECKS = [
    ("licences", check_spdx, [
        ("a file without a licence", {"tools/a.c": "int x;\n"}, "no SPDX"),
        ("a library file under the tools' licence",
         {"libtier/os/a.c": "/* SPDX-License-Identifier: GPL-2.0-or-later */\n"}, "not LGPL"),
        ("a script without a licence", {"tests/thing": "#!/bin/sh\n"}, "no SPDX"),
        ("the right ones", {"kernel/check": "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-only\n"}, None),
    ]),
    ("leftovers", check_leftovers, [
        ("a leftover", {"tools/a.c": "/* TO" "DO: later */\n"}, "leftover"),
        ("a registry", {"a.sh": "curl http://deb.debian" ".org/x\n"}, "registry"),
        ("a machine's path", {"docs/a.md": "see /wor" "k/shared/x\n"}, "machine's path"),
        ("a pattern of mkdtemp and a variable's folder", {"a.c": 'x = "/tmp/XXX' 'XXX"; y = "$top/root/x";\n'}, None),
    ]),
    ("no sleeping tests", check_sleeps, [
        ("a sleeping case", {"tests/lab/cases/a.py": "import time\ntime.slee" "p(1)\n"}, "a.py:2"),
        ("a sleeping unit test", {"tests/unit/a.c": "\tuslee" "p(10);\n"}, "a.c:1"),
        ("a sleeping script", {"tests/daemon/a": "slee" "p 1\n"}, "a:1"),
        ("a test that mentions it", {"tests/unit/a.c": "/* no sleep here */\n"}, None),
    ]),
    ("lengths", check_length, [("a long file", {"tools/a.c": "\n" * 801}, "801")]),
    ("man pages", check_man, [
        ("a broken man page", {"docs/man/a.1": MAN + ".SH A\n.XYZ\n"}, "XYZ"),
        ("a good man page", {"docs/man/a.1": MAN + ".SH DESCRIPTION\nx does y.\n"}, None),
    ]),
]


def main(argv):
    status = 0
    for name, check, samples in CHECKS:
        status |= habit.run(name, check, samples, habit.top_from(argv))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv))

# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checks of habits share.

A check is a function of a tree (a directory with the project's sources) that returns what it found wrong, a line for
each. Its samples are trees that are wrong in one way each: a check that does not find that proves nothing, so the
samples are tried on every run, before the tree itself.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

# What others wrote, what was built, what tests feed to the programs, and patches, whose lines are not all ours.
OUTSIDE = re.compile(r"^(build[^/]*|\.git|LICENSES|tests/fuzz/corpus|tests/fixtures/[^/]+|kernel/series)/|\.patch$")


class Tree:
    """A project's files, by their names relative to its top."""

    def __init__(self, top):
        self.top = pathlib.Path(top)

    def files(self, pattern=".*"):
        for directory, subdirectories, names in os.walk(self.top):
            here = os.path.relpath(directory, self.top)
            prefix = "" if here == "." else here + "/"
            subdirectories[:] = sorted(s for s in subdirectories
                                       if s != "__pycache__" and not OUTSIDE.search(f"{prefix}{s}/"))
            for name in sorted(names):
                if re.fullmatch(pattern, prefix + name) and not OUTSIDE.search(prefix + name):
                    yield prefix + name

    def text(self, name):
        try:
            return (self.top / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def lines(self, name):
        """(number, line) from 1."""
        return enumerate(self.text(name).splitlines(), 1)


def without_comments(text):
    """C without comments; line numbers stay."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)


def output(*words, env=None):
    done = subprocess.run(words, text=True, capture_output=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"not ok {os.path.basename(words[0])}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def sample(files):
    """A tree of {name: text} that lives as long as what is returned."""
    directory = tempfile.TemporaryDirectory(prefix="habit.")
    for name, text in files.items():
        path = pathlib.Path(directory.name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def say(name, findings):
    """True if there are none. A line in the form that tests/suites.py counts."""
    print(f"{'not ok' if findings else 'ok'} {name}{': ' if findings else ''}{'; '.join(findings[:20])}"
          f"{f'; and {len(findings) - 20} more' if len(findings) > 20 else ''}", flush=True)
    return not findings


def prove(name, check, samples):
    """samples: (what is wrong, files, a word that the finding must contain; None if nothing is wrong)."""
    good = True
    for what, files, wanted in samples:
        with sample(files) as top:
            found = check(Tree(top))
        if wanted is None:
            wrong = [f"finds fault with {what}: {found[0]}"] if found else []
        else:
            wrong = [] if any(wanted in line for line in found) else [f"does not find {what}: {found}"]
        good &= say(f"{name} sees {what}", wrong)
    return good


def run(name, check, samples, top):
    """Exit status of a check that needs nothing but the tree."""
    good = prove(name, check, samples)
    good &= say(name, check(Tree(top)))
    return 0 if good else 1


def top_from(argv):
    if len(argv) < 2:
        sys.exit(f"usage: {os.path.basename(argv[0])} TOP ...")
    return argv[1]

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The shell's completion of names that others chose: each is offered as one quoted word, and none of it is run.

test-completion.py TIERCTL
"""

import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import each_test  # noqa: E402

TIERCTL = os.path.abspath(sys.argv[1])
COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "completion", "tierctl")
# Units are looked for below $UNITS instead of in /sys/fs/cgroup. Words come back with zeros behind them, and, read by a
# shell as it would read them from the command line, once more.
SCRIPT = """
source "$1"; shift
find() { shift; command find "$UNITS" "$@"; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_tierctl
for word in "${COMPREPLY[@]}"; do
	printf '%s\\0' "$word"
	eval "printf '%s\\0' $word"
done
"""
EVIL = ("$(touch PWNED).service", "`touch PWNED`.service", "a b; touch PWNED.service", "x$IFS'y.service")


def offered(directory, *words):
    """[(as offered, as a shell understands it)] after these words, in a directory that has nothing new then."""
    units = os.path.join(directory, "units")
    before = sorted(os.listdir(directory)), sorted(os.listdir(units))
    environment = dict(os.environ, UNITS=units, PATH=f"{os.path.dirname(TIERCTL)}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", SCRIPT, "bash", COMPLETION, "tierctl", *words], text=True, cwd=directory,
                          capture_output=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == "", done
    assert (sorted(os.listdir(directory)), sorted(os.listdir(units))) == before, f"{words}: something was run"
    found = done.stdout.split("\0")[:-1]
    return list(zip(found[::2], found[1::2]))


def machine():
    directory = tempfile.TemporaryDirectory(prefix="completion.")
    os.mkdir(os.path.join(directory.name, "units"))
    return directory


def test_units():
    with machine() as directory:
        for name in EVIL + ("plain.service",):
            os.mkdir(os.path.join(directory, "units", name))
        found = offered(directory, "move", "--cgroup", "")
        read = {word for _, word in found}
        assert read >= set(EVIL) | {"plain.service"}, found
        assert ("plain.service", "plain.service") in found, found
        assert offered(directory, "move", "--cgroup", "pl") == [("plain.service", "plain.service")]
        assert ("host", "host") in offered(directory, "heat", "ho") and ("plain.service",) * 2 in offered(directory, "heat", "")
        # What has been typed of it is quoted, or not yet.
        for begun in "$(to", "\\$\\(to":
            assert [word for _, word in offered(directory, "move", "--cgroup", begun)] == [EVIL[0]], begun


def test_directories():
    """PATH is completed by what has been typed, and by nothing else."""
    with machine() as directory:
        for name in EVIL:
            os.mkdir(os.path.join(directory, name))
        assert {word for _, word in offered(directory, "move", "--cgroup", "")} >= set(EVIL)
        assert offered(directory, "move", "--cgroup", "no-such") == []
        read = {word for _, word in offered(directory, "list", "--sysroot", "")}
        assert read == set(EVIL) | {"units"}, read


def test_files():
    with machine() as directory:
        for name in EVIL:
            open(os.path.join(directory, name), "w").close()
        read = {word for _, word in offered(directory, "list", "--config", "")}
        assert read == set(EVIL) | {"units"}, read


def test_words_that_are_typed():
    """Those before the one to complete choose the help that is read, and are no patterns."""
    with machine() as directory:
        for words in (("*", ""), ("$(touch PWNED)", ""), ("portal", ".*", "--"), ("list", "--x/e touch PWNED;/", "")):
            offered(directory, *words)
        assert offered(directory, ".*", "--") == []


def test_home():
    with machine() as directory:
        os.mkdir(os.path.join(directory, "units", "mine"))
        os.environ["HOME"] = os.path.join(directory, "units")
        assert offered(directory, "list", "--sysroot", "~/mi") == [("~/mine", os.path.join(directory, "units", "mine"))]


each_test.run(globals())

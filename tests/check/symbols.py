#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""symbols.py TOP LIBTIER.SO: what the library exports is what libtier.sym lists, declared in a public header and
explained there.

symbols.py --write TOP: make libtier.sym anew from the public headers.
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402

SYM = "libtier/libtier.sym"
HEADERS = r"libtier/[^/]*\.h"
DECLARATION = re.compile(r"^[a-z][^;{}#=]*?\b(tier_\w+)\s*\([^;{}]*\)\s*(__attribute__\s*\(\(.*?\)\)\s*)?;", re.M | re.S)


def declared(tree):
    """Function name to (where, explained): a comment right above it, or above the lines that it follows on."""
    functions = {}
    for name in tree.files(HEADERS):
        text = tree.text(name)
        bare = habit.without_comments(text)
        named = set(re.findall(r"\b(tier_\w+)\(\)", "".join(re.findall(r"/\*\*.*?\*/", text, re.S))))
        lines = text.splitlines()
        for found in DECLARATION.finditer(bare):
            line = bare.count("\n", 0, found.start())
            above = line - 1
            while above >= 0 and lines[above].strip() and not lines[above].rstrip().endswith("*/") and (
                    not lines[above].startswith("}")):
                above -= 1
            explained = found[1] in named or (above >= 0 and lines[above].rstrip().endswith("*/"))
            functions[found[1]] = (f"{name}:{line + 1}", explained)
    return functions


def listed(tree):
    return re.findall(r"^\t(tier_\w+);", tree.text(SYM), re.M)


def check(tree):
    findings, functions, names = [], declared(tree), listed(tree)
    if "*" in habit.without_comments(tree.text(SYM)).replace("local:\n\t*;", ""):
        findings.append(f"{SYM} has a wildcard among what is exported")
    if names != sorted(set(names)):
        findings.append(f"{SYM} is not sorted")
    for name, (where, explained) in functions.items():
        if not explained:
            findings.append(f"{where}: {name}() has no comment")
        if name not in names:
            findings.append(f"{where}: {name}() is not in {SYM}")
    findings += [f"{SYM}: {name} is in no public header" for name in names if name not in functions]
    return findings


def check_library(tree, exported):
    names = set(listed(tree))
    return sorted([f"the library exports {name}, which {SYM} does not list" for name in exported - names] +
                  [f"{SYM} lists {name}, which the library does not define" for name in names - exported])


def exports(library):
    return {line.split()[0].split("@")[0] for line in habit.output("nm", "-DP", "--defined-only", library).splitlines()
            if line.split()[1] != "A"}


def write(top):
    tree = habit.Tree(top)
    with open(tree.top / SYM, "w") as file:
        file.write("LIBTIER_0 {\nglobal:\n" + "".join(f"\t{name};\n" for name in sorted(declared(tree))) +
                   "local:\n\t*;\n};\n")


GOOD = {SYM: "LIBTIER_0 {\nglobal:\n\ttier_a;\n\ttier_b;\nlocal:\n\t*;\n};\n",
        "libtier/p.h": "/** tier_a() - a */\nint tier_a(void);\n\n/* b */\nconst struct x *tier_b(int a,\n\tint b);\n"}
SAMPLES = [
    ("a good library", GOOD, None),
    ("a function without a comment", GOOD | {"libtier/p.h": GOOD["libtier/p.h"] + "\nint tier_c(void);\n"},
     "tier_c() has no comment"),
    ("a function that is not exported", GOOD | {"libtier/q.h": "/* c */\nint tier_c(void);\n"}, "is not in"),
    ("an export without a header", GOOD | {SYM: GOOD[SYM].replace("tier_b;", "tier_b;\n\ttier_z;")}, "no public header"),
    ("a wildcard", GOOD | {SYM: GOOD[SYM].replace("tier_a;", "tier_*;")}, "wildcard"),
    ("a list out of order", GOOD | {SYM: GOOD[SYM].replace("tier_a", "tier_c")}, "not sorted"),
]


def main(argv):
    if argv[1:2] == ["--write"]:
        write(argv[2])
        return 0
    status = habit.run("symbols", check, SAMPLES, habit.top_from(argv))
    with habit.sample(GOOD) as top:
        tree = habit.Tree(top)
        status |= not habit.say("symbols sees a stray and a missing export",
                                [] if len(check_library(tree, {"tier_a", "stray"})) == 2 else ["it does not"])
    return status | (not habit.say("exports", check_library(habit.Tree(argv[1]), exports(argv[2]))))


if __name__ == "__main__":
    sys.exit(main(sys.argv))

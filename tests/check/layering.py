#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""layering.py TOP CORE-ARCHIVE: includes point one way, and what is pure calls nothing that acts.

  cxl-tierd/, tools/   ->  libtier/*.h (public)
  libtier/os/          ->  libtier/core/, libtier/*.h
  libtier/core/        ->  libtier/*.h
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')

# Headers with types, arithmetic and text; nothing in them reaches out of the process. sd-json is here because it is
# the project's one JSON library and pure; see docs/architecture.md.
PURE = set("""assert.h ctype.h endian.h errno.h inttypes.h limits.h stdarg.h stdbool.h stddef.h stdint.h stdio.h
    stdlib.h string.h strings.h sys/types.h systemd/sd-json.h arm_acle.h nmmintrin.h nettle/hmac.h nettle/sha2.h""".split())

# Which folders' headers a folder may include besides its own. The public headers are "libtier".
MAY = {
    "libtier": {"libtier"},
    "libtier/core": {"libtier"},
    "libtier/os": {"libtier", "libtier/core"},
    "cxl-tierd": {"libtier"},
    "tools": {"libtier"},
}

# What the objects of core may ask of others: memory, text, numbers. Sanitizers and the compiler add theirs.
CALLS = re.compile(r"^(mem(cpy|cmp|set|move|chr)|str\w+|strn?dup|(v?sn|vas|as)printf|(m|c|re)alloc|reallocarray|free|abort"
                   r"|qsort|bsearch|sd_json_\w+|json_\w+|fprintf|fputs|fputc|fwrite|fclose|fflush|open_memstream"
                   r"|__(asan|ubsan|lsan|sanitizer|stack_chk|errno_location|assert_fail|ctype_b_loc|ctype_tolower_loc)\w*"
                   r"|__(isoc23_)?(strto\w+|sscanf)|__\w+_chk|_GLOBAL_OFFSET_TABLE_|__tls_get_addr|__cpu_model"
                   r"|__cpu_indicator_init|getauxval|nettle_\w+|to(upper|lower)|__u?(div|mod)ti3|tier_\w+|config_\w+|parse_\w+)$")


def headers(tree):
    """Base name of each header of ours to the folders that have one."""
    where = {}
    for name in tree.files(r"(libtier|cxl-tierd|tools)/.*\.(h|rules)"):
        where.setdefault(os.path.basename(name), set()).add(os.path.dirname(name))
    return where


def check(tree):
    where, findings = headers(tree), []
    for name in tree.files(r"(libtier|cxl-tierd|tools)/.*\.[ch]"):
        folder = os.path.dirname(name)
        for number, line in enumerate(habit.without_comments(tree.text(name)).splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            included, at = found[2], f"{name}:{number}"
            base = os.path.basename(included)
            if "/" in included and found[1] == '"':
                findings.append(f'{at} includes "{included}" by a path')
            elif base in where and "/" not in included:
                if not where[base] & ({folder} | MAY[folder]):
                    findings.append(f"{at} includes {base} of {', '.join(sorted(where[base]))}")
            elif found[1] == '"' and base != "config.h":
                findings.append(f'{at} includes "{included}", which is no header of ours')
            elif folder == "libtier/core" and base != "config.h" and included not in PURE:
                findings.append(f"{at} includes <{included}>: core is pure")
            elif folder == "libtier" and included not in PURE:
                findings.append(f"{at} includes <{included}>: public headers need types only")
    return findings


def effects(undefined, defined):
    return sorted(f"core calls {symbol}(), which acts outside of it" for symbol in undefined - defined
                  if not CALLS.match(symbol))


def symbols(archive):
    undefined, defined = set(), set()
    for line in habit.output("nm", "-P", archive).splitlines():
        words = line.split()
        if len(words) >= 2 and not line.startswith(archive):
            (undefined if words[1] in "Uw" else defined).add(words[0])
    return undefined, defined


SAMPLES = [
    ("core that includes os", {"libtier/os/qmp.h": "", "libtier/core/a.c": '#include "qmp.h"\n'}, "qmp.h of libtier/os"),
    ("core that includes fcntl.h", {"libtier/core/a.c": "#include <fcntl.h>\n"}, "core is pure"),
    ("a tool that includes core", {"libtier/core/a.h": "", "tools/t.c": '#include "a.h"\n'}, "a.h of libtier/core"),
    ("a daemon that includes tools", {"tools/t.h": "", "cxl-tierd/m.c": '#include "t.h"\n'}, "t.h of tools"),
    ("a public header that includes core", {"libtier/core/a.h": "", "libtier/p.h": '#include "a.h"\n'}, "a.h of"),
    ("a way around by a path", {"libtier/core/a.h": "", "tools/t.c": '#include "../libtier/core/a.h"\n'}, "by a path"),
    ("an include in a comment", {"libtier/core/a.c": "/*\n#include <fcntl.h>\n*/\n"}, None),
    ("os that includes core", {"libtier/core/a.h": "", "libtier/os/b.c": '#include "a.h"\n'}, None),
]


def main(argv):
    status = habit.run("layering", check, SAMPLES, habit.top_from(argv))
    status |= not habit.say("effects sees a core that opens files",
                            [] if effects({"open64", "strlen"}, set()) else ["it does not"])
    return status | (not habit.say("effects", effects(*symbols(argv[2]))))


if __name__ == "__main__":
    sys.exit(main(sys.argv))

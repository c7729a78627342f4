#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""options.py TOP TIERCTL CXL-TIERD: verbs, options and configuration keys against manual pages, completion, example."""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402

COMMON = "Options of every verb"


def help_verbs(text):
    """Verb to the arguments after it."""
    listed = re.search(r"^Verbs:\n(.*?)\n\n", text, re.S | re.M)[1]
    verbs = {}
    for line in listed.splitlines():
        if found := re.match(r"  ([a-z]+(?: [a-z]+)?)(?: ([A-Z\[]\S*(?: [A-Z\[]\S*)*))?(?:  |$)", line):
            verbs[found[1]] = found[2] or ""
    return verbs


def help_options(text):
    """Option to the name of its value, or nothing."""
    return {found[1]: found[2] or "" for found in re.finditer(r"^  --([a-z-]+)(?: ([A-Z]\S*))?(?: |$)", text, re.M)}


def page_options(text):
    """Heading to {option: value name}, of a page in mdoc."""
    sections, now = {}, {}
    for line in text.replace("\\-", "-").splitlines():
        if found := re.match(r"\.S[hs] (.*)", line):
            now = sections.setdefault(found[1].strip('"'), {})
        elif re.match(r"\.It Fl ", line):
            for word in re.findall(r"(?:Fl|,) -([a-z][a-z-]*)(?: Ar (\S+))?", line):
                now[word[0]] = word[1]
    return sections


def differ(what, wanted, where, has):
    findings = [f"{what}: {where} lacks {name}" for name in sorted(set(wanted) - set(has))]
    findings += [f"{what}: {where} has {name}, which does not exist" for name in sorted(set(has) - set(wanted))]
    if isinstance(wanted, dict) and isinstance(has, dict):
        findings += [f"{what}: {where} says {name} {has[name]}, not {wanted[name]}" for name in wanted
                     if name in has and wanted[name] != has[name]]
    return findings


def check_page(program, page):
    """program: {"": general options, VERB: (arguments, options)}."""
    sections, findings = page_options(page), []
    verbs = {verb: about for verb, about in program.items() if verb}
    common = program[""]
    documented = {}
    for heading, options in sections.items():
        found = re.match(r"tierctl ([a-z]+(?: [a-z]+)?)(?: (.*))?$", heading)
        if found:
            documented[found[1]] = (found[2] or "", options)
    findings += differ("verbs", list(verbs), "tierctl.1", list(documented))
    for verb, (arguments, options) in verbs.items():
        if verb not in documented:
            continue
        if documented[verb][0] != arguments:
            findings.append(f"{verb}: tierctl.1 says \"{documented[verb][0]}\", not \"{arguments}\"")
        own = {name: value for name, value in options.items() if name not in common}
        findings += differ(verb, own, "tierctl.1", documented[verb][1])
    listed = {name: value for name, value in sections.get(COMMON, {}).items() if name != "help"}
    return findings + differ("every verb", common, "tierctl.1", listed)


def completions(top, tierctl, *words):
    """What bash offers after these words, the last of which is begun."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tierctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    environment = dict(os.environ, PATH=f"{os.path.dirname(os.path.abspath(tierctl))}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", script, "bash", f"{top}/completion/tierctl", "tierctl", *words], text=True,
                          capture_output=True, env=environment, check=False)
    if done.returncode or done.stderr.strip():
        return {f"(bash says: {done.stderr.strip()})"}
    return set(done.stdout.split())


def check_completion(program, complete):
    findings = []
    verbs = {verb: about for verb, about in program.items() if verb}
    firsts = {verb.split()[0] for verb in verbs} | {"--help", "--version"}
    findings += differ("verbs", firsts, "completion", complete(""))
    for first in sorted({verb.split()[0] for verb in verbs if " " in verb}):
        seconds = {verb.split()[1] for verb in verbs if verb.startswith(first + " ")}
        findings += differ(first, seconds, "completion", complete(first, ""))
    for verb, (arguments, options) in verbs.items():
        wanted = {f"--{name}" for name in options} | {"--help"}
        findings += differ(verb, wanted, "completion", complete(*verb.split(), "--"))
        if re.fullmatch(r"\[[a-z|]+\]", arguments):
            findings += differ(verb, set(arguments.strip("[]").split("|")), "completion", complete(*verb.split(), ""))
    return findings


# ---- configuration --------------------------------------------------------------------------------------------------


def keys_in_code(text):
    return {(section.capitalize(), key)
            for section, key in re.findall(r'^\t(DAEMON|TIERING|REGION|PORTAL|MACHINE|POLICY)\("(\w+)"', text, re.M)}


def keys_in_page(text):
    keys, section = set(), ""
    for line in text.splitlines():
        if found := re.match(r"\.S[sh] (?:\[(\w+).*\])?", line):
            section = found[1] or ""
        elif section and (found := re.match(r"\.It (?:Li|Va|Cm) (.*)", line)):
            keys |= {(section, key) for key in re.findall(r"(\w+)=", found[1])}
    return keys


def keys_in_example(text):
    keys, section = set(), ""
    for line in text.splitlines():
        if found := re.match(r"#?\[(\w+)", line):
            section = found[1]
        elif found := re.match(r"#?(\w+)=", line):
            keys.add((section, found[1]))
    return keys


def check_config(tree):
    code = keys_in_code(tree.text("libtier/core/config-keys.c"))
    findings = [] if code else ["no keys found in config-keys.c"]
    for where, keys in (("cxl-tierd.conf.5", keys_in_page(tree.text("docs/man/cxl-tierd.conf.5"))),
                        ("the example", keys_in_example(tree.text("packaging/cxl-tierd.conf")))):
        findings += differ("keys", {f"[{s}] {k}=" for s, k in code}, where, {f"[{s}] {k}=" for s, k in keys})
    return findings


CODE = '\tDAEMON("Ratio", x),\n\tREGION("Online", x),\n'
PAGE = ".Ss [Daemon]\n.It Li Ratio=\n.Ss [Region NAME]\n.It Li Online=\n"
EXAMPLE = "#[Daemon]\n#Ratio=1\n#[Region x]\n#Online=no\n"


def config(code=CODE, page=PAGE, example=EXAMPLE):
    return {"libtier/core/config-keys.c": code, "docs/man/cxl-tierd.conf.5": page, "packaging/cxl-tierd.conf": example}


CONFIG_SAMPLES = [
    ("a documented configuration", config(), None),
    ("a key without documentation", config(page=PAGE.replace(".It Li Ratio=\n", "")), "lacks [Daemon] Ratio="),
    ("a documented key that does not exist", config(page=PAGE + ".It Li Colour=\n"), "[Region] Colour="),
    ("a key that the example lacks", config(example="#[Daemon]\n#Ratio=1\n"), "the example lacks [Region] Online="),
]


def prove_page():
    program = {"": {"json": ""}, "list": ("[a|b]", {"json": ""}), "send": ("VM", {"to": "HOST", "json": ""})}
    page = (f".Ss tierctl list [a|b]\n.Ss tierctl send VM\n.It Fl \\-to Ar HOST\n.Ss {COMMON}\n.It Fl \\-json\n")
    complete = {("",): {"list", "send", "--help", "--version"}, ("list", "--"): {"--json", "--help"},
                ("list", ""): {"a", "b"}, ("send", "--"): {"--json", "--to", "--help"}}
    good = habit.say("manual sees a good page", check_page(program, page))
    good &= habit.say("completion sees a good one", check_completion(program, lambda *words: complete[words]))
    for what, changed, wanted in (
            ("a verb without a section", page.replace(".Ss tierctl list [a|b]\n", ""), "lacks list"),
            ("an option without an entry", page.replace(".It Fl \\-to Ar HOST\n", ""), "lacks to"),
            ("an entry without an option", page.replace("HOST\n", "HOST\n.It Fl \\-by\n"), "has by"),
            ("another value", page.replace("HOST", "NAME"), "says to NAME"),
            ("other arguments", page.replace("send VM", "send MACHINE"), "MACHINE")):
        found = check_page(program, changed)
        good &= habit.say(f"manual sees {what}", [] if any(wanted in f for f in found) else [f"it does not: {found}"])
    complete["send", "--"] = {"--json", "--help", "--too"}
    found = check_completion(program, lambda *words: complete[words])
    return good & habit.say("completion sees a missing and a wrong option", [] if len(found) == 2 else [str(found)])


def main(argv):
    top = habit.top_from(argv)
    tierctl, daemon = argv[2:4]
    tree = habit.Tree(top)
    good = prove_page()
    verbs = help_verbs(habit.output(tierctl, "--help"))
    options = {verb: help_options(habit.output(tierctl, *verb.split(), "--help")) for verb in verbs}
    common = dict.fromkeys(set.intersection(*(set(o) for o in options.values())))
    common = {name: next(iter(options.values()))[name] for name in common}
    program = {verb: (verbs[verb], options[verb]) for verb in verbs}
    good &= habit.say("tierctl.1", check_page(program | {"": common}, tree.text("docs/man/tierctl.1")))
    good &= habit.say("completion", check_completion(program | {"": common},
                                                     lambda *words: completions(top, tierctl, *words)))
    page = page_options(tree.text("docs/man/cxl-tierd.8"))
    has = {name: value for section in page.values() for name, value in section.items()}
    good &= habit.say("cxl-tierd.8", differ("cxl-tierd", help_options(habit.output(daemon, "--help")), "cxl-tierd.8", has))
    return habit.run("configuration", check_config, CONFIG_SAMPLES, top) | (not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv))

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: mutations.py TOP BUILD [--find] [NAME...]

Breaks one thing at a time in a copy of a source, links it into the simulation, and requires that this fails for what
the simulation is about. Each row says where it is known to be noticed; if it is not there any more, all of the directed
part and SEEDS seeds are searched. --find does so at once, and says where.
"""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

RULES, TABLES = "libtier/core/handoff.rules", "libtier/core/handoff.c"
IO, LOOK, HOME = "libtier/os/portal-io.c", "libtier/os/portal-look.c", "libtier/os/portal-home.c"
FENCE, BEAT, CLAIM = "libtier/os/fence.c", "libtier/os/portal-beat.c", "libtier/os/portal-claim.c"
SIM = "tests/sim/sim-handoff.p/"
SEEDS = 3000
SECONDS = 200
DIRECTED = "directed"

# What it may fail with. That a case was not reached, or that nothing works at all, is none of it.
VIOLATION = re.compile(
    r"not ok - TIER_SIM_(?:SEED|CASE)=(\d+).*?: ("
    r"(?:the VM (?:runs|is lost|has ended)|nobody runs the VM|\d+ processes|\d+ extents|extent \d+ (?:is|was)"
    r"|the flight from|the next flight|host \d (?:is fenced|cannot arrive|has a record)"
    r"|host \d: (?:version|a process without|the running VM|records cannot|\w+ with extents)) ?[^(]*)")

GIVEN = "#define GIVEN	   (OFFER(COMMITTED) ||"
WITHDRAW = "SOURCE_PLAN(WITHDRAW, STORE_WITHDRAWN, RESUME_VM, CLOSE_EXTENTS, STORE_ABORTED,"
FLUSH_BODY = "	cache_flush(portal->cache, to, body);\n"
FLUSH_LAST = "	cache_flush(portal->cache, to + body, LINE);\n"
COPY_BODY = "	memcpy(to, buffer, body);\n"
COPY_LAST = "	memcpy(to + body, buffer + body, LINE);\n"
FIRST_COPY = "	write_copy(portal, place, turn.copy, buffer, bytes);\n"
OTHER_COPY = "	write_copy(portal, place, turn.copy ^ 1, buffer, bytes);\n"
DEAD = """	return fenced(view, host, incarnation) ||
	       (incarnation != 0 && view->incarnations[host] > incarnation);
"""

# Name, source, edits (text, replacement), where it is noticed: a seed, or in the directed part.
MUTATIONS = [
    # ---- when something is done
    ("the destination does not wait for COMMITTED", RULES,
     [(GIVEN, GIVEN.replace("(OFFER(COMMITTED)", "(OFFER(PUBLISHED) || OFFER(COMMITTED)"))], 6),
    ("COMMITTED is taken back at the deadline", RULES,
     [("SOURCE(EXPIRED || RECOVERING, HOLD)", "SOURCE(EXPIRED || RECOVERING, WITHDRAW)")], 16),
    ("COMMITTED is taken back when the destination boots", RULES,
     [("SOURCE(REFUSED || D_FENCED, WITHDRAW)", "SOURCE(REFUSED || D_DEAD, WITHDRAW)")], 225),
    ("INTENT about the source is not heeded", RULES, [("SOURCE(LATER && S_FENCING, HOLD)\n", "")], DIRECTED),
    ("INTENT about the destination is not heeded", RULES, [("TAKER(GIVEN && D_FENCING, HOLD)\n", "")], DIRECTED),
    ("a source goes on when it is fenced", RULES, [("SOURCE(SELF_FENCED, DIE)\n", "")], DIRECTED),
    ("a destination goes on when it is fenced", RULES, [("TAKER(SELF_FENCED, DIE)\n", "")], DIRECTED),
    ("an earlier boot's flight is withdrawn as one's own", TABLES,
     [(".later = own_incarnation != 0 && view->incarnation > own_incarnation,", ".later = false,")], DIRECTED),
    ("a VM without a process is not taken from the portal", RULES,
     [("SOURCE(OFFER(PUBLISHED) && (LATER || VM_GONE), TAKE)", "SOURCE(OFFER(PUBLISHED) && LATER, TAKE)")], 19),
    ("there are no heirs", RULES, [("TAKER(INHERITED, TAKE)\n", "")], 178),
    ("whoever is not the heir inherits", TABLES, [(".heir = view->fences[offer->source].heir == view->self,",
     ".heir = true,")],
     1664),
    ("an heir does not wait for the destination", RULES,
     [("HEIR && !RAN &&                     \\\n	 (REFUSED || D_FENCED))", "HEIR && !RAN)")],
     1727),
    ("an heir takes what has run", RULES, [("S_FENCED && HEIR && !RAN && ", "S_FENCED && HEIR && ")], DIRECTED),
    ("cancelling gives the VM up", RULES, [("(CANCELLED && RECOVERING)", "CANCELLED")], DIRECTED),
    ("what would not run is refused at once", RULES,
     [("TAKER(ANSWER(RUNNING) && STUCK, BACK_OUT)", "TAKER(ANSWER(RUNNING) && STUCK, REFUSE)")], 221),
    ("a process that nobody announced stays", RULES, [("TAKER(ANSWER(NONE) && !VM_GONE, CLEAR)\n", "")], DIRECTED),
    ("what is left of a flight that has ended stays", RULES,
     [("TAKER(!OFFER(OFFERED) && !OFFER(PUBLISHED) && !OFFER(COMMITTED), DROP)",
       "TAKER(!OFFER(OFFERED) && !OFFER(PUBLISHED) && !OFFER(COMMITTED), HOLD)")], 13),
    # ---- in which order
    ("resumed before RUNNING is stored", RULES,
     [("TAKER_PLAN(RUN, STORE_RUNNING, RESUME_VM,", "TAKER_PLAN(RUN, RESUME_VM, STORE_RUNNING,")], 49),
    ("resumed before WITHDRAWN is stored", RULES,
     [(WITHDRAW, "SOURCE_PLAN(WITHDRAW, RESUME_VM, STORE_WITHDRAWN, CLOSE_EXTENTS, STORE_ABORTED,")], 32),
    ("taken back before WITHDRAWN is stored", RULES,
     [("FETCH_VM, STORE_WITHDRAWN, RESUME_VM,", "FETCH_VM, RESUME_VM, STORE_WITHDRAWN,")], 632),
    ("REFUSED before the process has ended", RULES,
     [("TAKER_PLAN(REFUSE, END_VM, CLOSE_EXTENTS, STORE_REFUSED,",
      "TAKER_PLAN(REFUSE, STORE_REFUSED, END_VM, CLOSE_EXTENTS,")],
     1795),
    ("ABORTED before the extents are closed", RULES,
     [(WITHDRAW, "SOURCE_PLAN(WITHDRAW, STORE_WITHDRAWN, RESUME_VM, STORE_ABORTED, CLOSE_EXTENTS,")], 3),
    ("DONE before RUNNING", RULES, [("TAKER_PLAN(RUN, STORE_RUNNING, RESUME_VM, CLOSE_EXTENTS, STORE_DONE,",
                                     "TAKER_PLAN(RUN, STORE_DONE, RESUME_VM, CLOSE_EXTENTS, STORE_RUNNING,")], 4),
    # ---- extents
    ("free before it is zeroed", RULES, [("STORE_SCRUB, ZERO, STORE_FREE,", "STORE_SCRUB, STORE_FREE, ZERO,")], 330),
    ("free without being zeroed", RULES, [("STORE_SCRUB, ZERO, STORE_FREE,", "STORE_SCRUB, STORE_FREE, END,")], 3),
    ("a claim outlives its flight", RULES, [("HOME(EXTENT(CLAIMED) && (OWNER_OFFER(NONE) || OWNER_OFFER(ABORTED) || "
                                             "OWNER_OFFER(CLOSED)), RECLAIM)\n", "")], 3),
    ("a claim outlives the boot that asked for it", RULES,
     [("HOME(EXTENT(CLAIMED) && OWNER_OFFER(REQUESTED), RECLAIM)",
       "HOME(EXTENT(CLAIMED) && OWNER_OFFER(REQUESTED), KEEP)")], DIRECTED),
    ("extents are taken back under a flight", RULES,
     [("HOME(EXTENT(CLAIMED) && !LISTED, RECLAIM)", "HOME(EXTENT(CLAIMED), RECLAIM)")], 1),
    ("a half scrub is not gone on with", RULES, [("HOME(EXTENT(SCRUB), SCRUB)\n", "")], 21),
    ("any claim is this flight's", CLAIM,
     [("memcmp(&record.flight, flight, sizeof(*flight)) == 0", "true")], 3),
    # ---- who somebody is
    ("incarnations are not looked at", TABLES, [(DEAD, "	return false;\n")], DIRECTED),
    ("a fence ends no boot", TABLES, [("view->fences[host].fenced >= incarnation;", "false;")], 32),
    ("a fence ends later boots too", TABLES, [("view->fences[host].fenced >= incarnation;",
     "view->fences[host].fenced != 0;")],
     4),
    ("boots are not counted", BEAT, [("	new.stamp.incarnation++;\n",
     "	new.stamp.incarnation += new.stamp.incarnation == 0;\n")],
     1),
    ("an answer to another flight counts", IO,
     [("		    answer.stamp.generation != offer->stamp.generation ||\n"
       "		    memcmp(&answer.flight, &offer->flight, sizeof(offer->flight)) != 0)", "		    false)")], 67),
    # ---- fences
    ("FENCED before the agent has run", FENCE,
     [("		if (*step == TIER_STEP_RUN_AGENT)\n			run_agent(f);",
       "		if (*step == TIER_STEP_RUN_AGENT) {\n			r = store(f, TIER_FENCE_FENCED, problem);\n"
       "			run_agent(f);\n		}")], 18),
    ("FENCED though the agent has refused", RULES,
     [("FENCER(FENCE(INTENT) && AGENT_OK, CONFIRM)", "FENCER(FENCE(INTENT) && (AGENT_OK || AGENT_FAILED), CONFIRM)")],
     18),
    ("FENCED without INTENT", RULES,
     [("FENCER(FENCE(NONE) || FENCE(RETRACTED), INTEND)", "FENCER(FENCE(NONE) || FENCE(RETRACTED), ASK)"),
      ("FENCER(FENCE(INTENT) && AGENT_OK, CONFIRM)", "FENCER(AGENT_OK, CONFIRM)")], DIRECTED),
    ("INTENT is nothing to others", LOOK, [("			if (record->state == TIER_FENCE_INTENT &&", "			if (false &&")],
     DIRECTED),
    ("a later fence takes an earlier one back", LOOK,
     [("			if (record->fenced_upto <= fence->fenced)",
       "			if (record->state != TIER_FENCE_FENCED || record->fenced_upto <= fence->fenced)")], DIRECTED),
    ("a later fence forgets an earlier one", FENCE,
     [("		record.upto = f->present;\n",
      "		record.upto = f->present;\n		record.fenced_upto = record.fenced_heir = 0;\n")],
     DIRECTED),
    ("a later fence names another heir", FENCE,
     [("	if (fence->heir == TIER_PORTAL_NO_HOST || fence->heir == f->heir ||",
       "	if (true || fence->heir == TIER_PORTAL_NO_HOST || fence->heir == f->heir ||")], DIRECTED),
    ("an INTENT of a boot that is over is kept", FENCE,
     [("own->upto < f->present || own->stamp.incarnation != f->fencing->incarnation;", "own->upto < f->present;")],
      DIRECTED),
    # ---- records
    ("the body of a record is not flushed", IO, [(FLUSH_BODY, "")], 1),
    ("the last line of a record is not flushed", IO, [(FLUSH_LAST, "")], 1),
    ("a record is stored at once and flushed then", IO,
     [(COPY_BODY + FLUSH_BODY + COPY_LAST, COPY_BODY + COPY_LAST + FLUSH_BODY)], 118),
    ("only one copy is written", IO, [(OTHER_COPY, "")], DIRECTED),
    ("always the same copy is written", IO, [(FIRST_COPY + OTHER_COPY,
     "	write_copy(portal, place, 0, buffer, bytes);\n")],
     20),
    ("the copy that counts is written first", IO, [(FIRST_COPY + OTHER_COPY, OTHER_COPY + FIRST_COPY)], 67),
    ("both copies are torn at once", IO,
     [(FIRST_COPY + OTHER_COPY, "	memcpy(copy_at(portal, place, 0), buffer, bytes);\n"
       "	memcpy(copy_at(portal, place, 1), buffer, bytes);\n" + FIRST_COPY + OTHER_COPY)], 118),
    ("sequences do not grow", IO, [("	new.stamp.sequence = turn.sequence + 1;", "	new.stamp.sequence = 1;")], 1),
    ("a first writing that is torn is damage", IO,
     [("outcome[0] == TIER_E_NOT_FOUND ? outcome[0] : outcome[1];",
      "outcome[0] == TIER_E_NOT_FOUND ? outcome[1] : outcome[0];")],
     12),
    ("readers do not invalidate", IO,
     [("		cache_invalidate(portal->cache, from, bytes);\n", "")], 82),
    ("contents are not flushed", IO, [("	cache_flush(portal->cache, to, bytes);\n", "")], 84),
    ("contents are not invalidated", IO,
     [("	cache_invalidate(portal->cache, portal->window.data + blob->offset, blob->bytes);\n", "")], 84),
]


def environment(settings):
    """What a person has set for one run is not for these."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TIER_")}, **dict(settings)}


def run(words, settings=()):
    """Status and output; both are a failure if it takes too long."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", env=environment(settings), timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None, f"not ended within {SECONDS} s"
    return done.returncode, done.stdout


class Simulation:
    """How the simulation was compiled and is linked."""

    def __init__(self, top, build):
        self.top, self.build = top, build
        with open(f"{build}/compile_commands.json") as file:
            self.objects = {}
            for command in json.load(file):
                if command["output"].startswith(SIM):
                    source = os.path.normpath(os.path.join(build, command["file"]))
                    self.objects[os.path.relpath(source, top)] = command
        status, libraries = run(["pkg-config", "--libs", "libsystemd", "nettle"])
        if status != 0 or not self.objects:
            raise SystemExit(f"not ok mutations: no objects of {SIM} in {build}, or pkg-config: {libraries.strip()}")
        self.libraries = libraries.split()

    def mutate(self, source, edits, directory):
        """The simulation with one source edited. Return: its path, or what is wrong."""
        unit = TABLES if source == RULES else source
        for name in {unit, source}:
            with open(f"{self.top}/{name}") as file:
                text = file.read()
            for old, new in edits if name == source else []:
                if text.count(old) != 1:
                    return None, f"{source} has {text.count(old)} times: {old.strip()}"
                text = text.replace(old, new)
            with open(f"{directory}/{os.path.basename(name)}", "w") as file:
                file.write(text)
        command = self.objects[unit]
        words = [word for word in shlex.split(command["command"]) if word not in ("-Werror", "-O3", "-g", "-MD")]
        compiler = words[:words.index(next(word for word in words if word.startswith("-")))]
        for option in "-o", "-c", "-MQ", "-MF":
            at = words.index(option)
            del words[at:at + 2]
        words += ["-O2", "-w", f"-I{self.top}/{os.path.dirname(unit)}", "-c", f"{directory}/{os.path.basename(unit)}",
        "-o",
                  f"{directory}/mutated.o"]
        others = [f"{self.build}/{c['output']}" for name, c in self.objects.items() if name != unit]
        for step in words, [*compiler, "-o", f"{directory}/sim", f"{directory}/mutated.o", *others, *self.libraries]:
            done = subprocess.run(step, cwd=self.build, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
            if done.returncode != 0:
                return None, f"{step[0]}: {done.stdout.strip()[-500:]}"
        return f"{directory}/sim", ""


def play(path, where):
    """Return: what it has failed with, and where; else nothing, and its last line."""
    if where == DIRECTED:
        status, text = run([path, "--directed"])
    else:
        first, _, count = str(where).partition("+")
        status, text = run([path], {"TIER_SEED": first, "TIER_SIM_SEEDS": count or "1"})
    end = (text.strip().splitlines() or [""])[-1]
    found = VIOLATION.match(end) if status == 1 else None
    if not found:
        return "", f"{status}: {end}"
    return found[2].strip(), f"{where if where == DIRECTED else 'seed'} {found[1]}"


def judge(simulation, name, source, edits, where, find):
    with tempfile.TemporaryDirectory(prefix="sim-") as directory:
        path, problem = simulation.mutate(source, edits, directory)
        if problem:
            return [f"not ok mutation/{name}: {problem}"]
        lines = []
        for place in ([] if find else [where]) + [f"1+{SEEDS}", DIRECTED]:
            violation, at = play(path, place)
            lines.append(f"# {name}: {at}: {violation or 'nothing'}")
            if violation:
                return lines + [f"ok mutation/{name}"]
        return lines + [f"not ok mutation/{name}: not noticed"]


def main(words):
    find = "--find" in words
    words = [word for word in words if word != "--find"]
    if len(words) < 2 or any(word.startswith("-") for word in words):
        print(__doc__.strip())
        return 2
    simulation, chosen = Simulation(os.path.abspath(words[0]), os.path.abspath(words[1])), words[2:]
    rows = [row for row in MUTATIONS if not chosen or row[0] in chosen]
    failed = not rows
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(judge, simulation, *row, find) for row in rows]
        for future in concurrent.futures.as_completed(futures):
            lines = future.result()
            failed = failed or lines[-1].startswith("not ok")
            print("\n".join(lines), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

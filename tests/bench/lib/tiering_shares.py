# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run of tests/bench/guest/tiering.py comes to. Nothing but arithmetic."""

import math
import statistics

from tiering_peers import WORKERS

PAGES_PER_MIB = 256
# From when on a load counts as recovered: of the ideal share.
RECOVERED = 0.9
# The last so many seconds are what it has settled to.
SETTLED_SECONDS = 10


def ideal(load, capacity_pages, hot_share=0.9):
    """The share of accesses that goes to DRAM if the hottest pages are there, as many as fit."""
    pages, hot = load["mib"] * PAGES_PER_MIB, load["hot_mib"] * PAGES_PER_MIB
    fit = min(capacity_pages, pages)
    if load["pattern"] == "zipf":
        return math.log(fit + 1) / math.log(pages + 1)
    # In heat.c, those that are drawn from all pages fall on hot ones, too.
    hot_share = hot_share + (1 - hot_share) * hot / pages if load["exact"] else hot_share
    return hot_share * min(fit, hot) / hot + (1 - hot_share) * max(fit - hot, 0) / (pages - hot)


def shares(run):
    return [line for line in run if "share" in line]


def capacity(runs):
    """The most pages of a load that were in DRAM at any time, whoever put them there. runs: [(load, run)]"""
    return max((line["all"] * load["mib"] * PAGES_PER_MIB for load, run in runs for line in shares(run)), default=None)


def _counters(run):
    return [(line["at"], line["counters"]) for line in run if "counters" in line]


def _difference(later, earlier):
    return {key: number - earlier.get(key, 0) for key, number in later.items() if number != earlier.get(key, 0)}


def processor(run, seconds=None):
    """{task: part of one processor}, of the last seconds, or of all; and the time in the kernel of all processors."""
    found = _counters(run)
    last_at, last = found[-1]
    first_at, first = next((at, c) for at, c in found if seconds is None or at >= last_at - seconds)
    spent = _difference(last["cpu"], first["cpu"])
    parts = {name: sum(nsec for task, nsec in spent.items() if task.startswith(name)) / 1e9 / (last_at - first_at)
             for name in WORKERS}
    return ({name: round(part, 4) for name, part in parts.items() if part},
            round((last["system"] - first["system"]) / (last_at - first_at), 4))


def recovery(lines, phase, wanted):
    """Seconds from the phase's begin; None if the share was not reached in it."""
    return next((line["seconds"] for line in lines if line["phase"] == phase and line["share"] >= wanted), None)


def _requests(lines, phase):
    """A second, of the phase's latter half."""
    mine = [line for line in lines if line["phase"] == phase]
    half = mine[len(mine) // 2:]
    before = mine[len(mine) // 2 - 1]["seconds"] if len(mine) > 1 else 0
    return round(sum(line["requests"] for line in half) / (half[-1]["seconds"] - before), 2) if half else None


def summary(load, run, reasons, capacity_pages):
    """All that is reported of a run. reasons: of its peer's moves"""
    found = _counters(run)
    moved = _difference(found[-1][1]["moved"], found[0][1]["moved"])
    lines = [line for line in run if "phase" in line]
    last = max(line["phase"] for line in lines)
    at = lines[-1]["at"]
    workers, system = processor(run)
    result = {
        "pages_moved": sum(moved.get(reason, 0) for reason in reasons), "pages_moved_by_reason": moved,
        "vmstat": _difference(found[-1][1]["vmstat"], found[0][1]["vmstat"]),
        "processor": workers, "system_time": system, "resident_kib": found[-1][1]["resident"],
    }
    seen = next((line["seen"] for line in run if "seen" in line), {})
    if sum(seen.values()):
        result["seen_share"] = round(seen.get("0", 0) / sum(seen.values()), 4)
    if not load["exact"]:
        hot = [line["hot_requests"] / line["requests"] for line in lines if line.get("requests") and "hot_requests" in line]
        result["hot_share"] = round(statistics.mean(hot), 4) if hot else 0.9
        result["requests_per_second"] = [_requests(lines, phase) for phase in range(last + 1)]
        if capacity_pages:
            result["ideal"] = round(ideal(load, capacity_pages, result["hot_share"]), 4)
        return result
    best = ideal(load, capacity_pages)
    settled = statistics.mean(line["share"] for line in lines if line["at"] >= at - SETTLED_SECONDS)
    result |= {
        "ideal": round(best, 4), "share": round(settled, 4), "of_ideal": round(settled / best, 4),
        "recovery_seconds": [recovery(lines, phase, RECOVERED * best) for phase in range(last + 1)],
        "share_by_phase": [round([line["share"] for line in lines if line["phase"] == phase][-1], 4)
                           for phase in range(last + 1)],
        "pages_that_had_to_move": lines[-1]["necessary"], "pages_moved_as_the_load_sees_it": lines[-1]["moves"],
        "moves_per_necessary": round(result["pages_moved"] / lines[-1]["necessary"], 3) if lines[-1]["necessary"] else None,
    }
    if load["still_seconds"]:
        result["processor_when_still"], _ = processor(run, load["still_seconds"])
    return result

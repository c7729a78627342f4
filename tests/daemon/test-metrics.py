#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics as Prometheus reads them: through varlink, tierctl, and the file that the configuration asks for.

test-metrics.py CXL-TIERD PORTAL-FILE CLIENT-CALL [TEST...]; exit 77 without root. TIER_TIERCTL is tierctl.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as textfile

from harness import PROGRAM, Daemon, as_nobody, config, main, make_portal, wait_for

FIXTURES = f"{os.path.dirname(os.path.abspath(__file__))}/../fixtures"
UUID = "11111111-2222-4333-8444-555555555555"
KINDS = {"poison", "media", "dram", "module", "generic", "aer", "overflow", "page", "lost", "retired", "retire-failed"}


def samples(text, parse):
    """{name: {labels: value}}; a parser complains about what is no text of its format."""
    found = {}
    for family in parse(text):
        assert family.documentation, f"{family.name} has no HELP"
        for sample in family.samples:
            assert sample.name.startswith("cxltier_"), sample
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), f"twice: {sample}"
            found[sample.name][labels] = sample.value
    return found


def of(found, name, **labels):
    return found[name][tuple(sorted(labels.items()))]


def types(text, parse):
    return {family.name: family.type for family in parse(text)}


def metrics(daemon, **parameters):
    return daemon.call("Metrics", **parameters)["text"]


def tierctl(daemon, *arguments):
    return subprocess.run([os.environ["TIER_TIERCTL"], "metrics", *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "CXL_TIERD_SOCKET": daemon.socket if daemon else "/nonexistent"})


def dump(directory):
    """With counters of the nodes, which the fixture lacks."""
    path = f"{directory}/dump"
    shutil.copytree(f"{FIXTURES}/expanders", path, symlinks=True)
    for node, text in (0, "nr_free_pages 7\npgpromote_success 3\npgpromote_candidate 5\npgdemote_kswapd 2\n"), (2, ""):
        with open(f"{path}/sys/devices/system/node/node{node}/vmstat", "w") as file:
            file.write(text)
    return path


def test_nodes(directory):
    daemon = Daemon(PROGRAM, directory, dump=dump(directory), config="[Region zero]\nMatchSerial=1\nType=switched\n")
    text = metrics(daemon)
    assert text.endswith("# EOF\n")
    found = samples(text, openmetrics)
    of(found, "cxltier_node_size_bytes", node="0", tier="dram", type="Local", region="")
    assert of(found, "cxltier_node_size_bytes", node="2", tier="cxl", type="Switched", region="region0") == 1 << 30
    assert of(found, "cxltier_node_promoted_bytes_total", node="0", tier="dram") == 3 * 4096
    assert of(found, "cxltier_node_promotion_candidate_bytes_total", node="0", tier="dram") == 5 * 4096
    assert found["cxltier_node_demoted_bytes_total"] == {(("by", "kswapd"), ("node", "0"), ("tier", "dram")): 2 * 4096}
    assert {dict(labels)["memory_tier"] for labels in found["cxltier_memory_tier_size_bytes"]} == {"4", "4996"}
    assert of(found, "cxltier_memory_tier_node_info", node="2", memory_tier="4996") == 1
    # The older format: the same numbers, and other names of types.
    older = samples(metrics(daemon, format="textfile"), textfile)
    assert {n: v for n, v in found.items() if not n.endswith("_created")} == older
    assert types(text, openmetrics)["cxltier_node_promoted_bytes"] == "counter"
    assert types(metrics(daemon, format="textfile"), textfile)["cxltier_node_promoted_bytes"] == "counter"
    assert types(text, openmetrics)["cxltier_daemon"] == "info"
    assert of(found, "cxltier_retired_entries") == 0
    # What has changed in the machine is there the next time.
    with open(f"{directory}/dump/sys/devices/system/node/node2/meminfo", "w") as file:
        file.write("Node 2 MemTotal: 2048 kB\nNode 2 MemFree: 1024 kB\n")
    found = samples(metrics(daemon), openmetrics)
    assert of(found, "cxltier_node_free_bytes", node="2", tier="cxl", type="Switched", region="region0") == 1 << 20
    assert of(found, "cxltier_memory_tier_size_bytes", memory_tier="4996") == 2 << 20
    assert daemon.stop() == 0


def test_what_the_daemon_counts(directory):
    portal = make_portal(directory)
    subprocess.run([sys.argv[2], "offer", portal, "1", "3", "7", UUID, "0", "committed", "5", "2"], check=True,
                   capture_output=True)
    with open(f"{directory}/empty", "wb") as file:
        file.truncate(os.stat(portal).st_size)
    daemon = Daemon(PROGRAM, directory, config=config(portal) + f"[Portal none]\nFile={directory}/empty\n",
                    arguments=["--dry-run"])
    found = samples(as_nobody(lambda: metrics(daemon)), openmetrics)
    assert {dict(labels)["state"]: value for labels, value in found["cxltier_portals"].items()} == {
        "usable": 1, "unformatted": 1, "foreign": 0, "damaged": 0, "incompatible": 0, "truncated": 0, "unreadable": 0}
    extents = {dict(labels)["state"]: value for labels, value in found["cxltier_portal_extents"].items()}
    assert extents == {"free": 4, "claimed": 0, "scrub": 0, "retired": 0}, extents
    of(found, "cxltier_portal_extents", portal="lake", path=portal, state="free")
    flights = {dict(labels)["state"].lower(): value for labels, value in found["cxltier_flights"].items()}
    assert flights["committed"] == 1 and sum(flights.values()) == 1 and "damaged" in flights, flights
    assert {dict(labels)["kind"] for labels in found["cxltier_events_total"]} == KINDS
    assert set(found["cxltier_events_total"].values()) == {0}
    assert of(found, "cxltier_tiering_moved_bytes_total", act="promote", reason="hot") == 0
    assert of(found, "cxltier_tiering_active") == 0
    started = of(found, "cxltier_daemon_start_time_seconds")
    assert abs(os.stat(daemon.config).st_mtime - started) < 60, started
    assert of(found, "cxltier_events_created", kind="poison") == started
    # Memory of this machine is none of its business, so none of it is not told, either.
    assert "cxltier_retired_entries" not in found
    only = samples(metrics(daemon, only="cxltier_tiering_"), openmetrics)
    assert only and all(name.startswith("cxltier_tiering_") for name in only), only
    only = samples(metrics(daemon, only="cxltier_node_f"), openmetrics)
    assert set(only) == {"cxltier_node_free_bytes"}, only
    assert metrics(daemon, only="nothing") == "# EOF\n"
    assert daemon.refused("Metrics", format="xml").parameters == {"parameter": "format"}
    daemon.stop()


def test_tierctl(directory):
    daemon = Daemon(PROGRAM, directory, config=config(make_portal(directory)))
    for arguments, parse in ((), openmetrics), (("--textfile",), textfile):
        result = tierctl(daemon, *arguments)
        assert result.returncode == 0 and result.stderr == "", result
        assert "cxltier_portals" in samples(result.stdout, parse)
    families = {family["name"]: family for family in json.loads(tierctl(daemon, "--json").stdout)}
    assert families["cxltier_events"]["type"] == "counter" and families["cxltier_events"]["created_usec"] > 0
    assert {"labels": {"state": "usable"}, "value": 1} in families["cxltier_portals"]["samples"]
    result = tierctl(daemon, "--json", "--textfile")
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result
    daemon.stop()
    # Without it: what there is, and a line about the rest.
    result = tierctl(None)
    assert result.returncode == 0 and result.stderr.count("\n") == 1, result
    assert "portals, flights, events" in result.stderr and "systemctl start cxl-tierd" in result.stderr, result
    found = samples(result.stdout, openmetrics)
    assert "cxltier_node_size_bytes" in found and "cxltier_portals" not in found, found


def wakes_up_in(daemon):
    """Seconds until the first of the daemon's timers ends, but for the watchdog's, which the harness sets to less than
    one; 0 if none is set. It is READY before its loop has set any."""
    texts = []
    for path in glob.glob(f"/proc/{daemon.process.pid}/fdinfo/*"):
        with contextlib.suppress(FileNotFoundError), open(path) as file:  # it has closed that one since
            texts.append(file.read())
    return min((int(seconds) for text in texts for seconds in re.findall(r"it_value: \(([1-9]\d*),", text)), default=0)


def test_no_wake_up_unless_asked_for(directory):
    rare = "[Daemon]\nBeatSec=900\nCutOffSec=3600\n"
    daemon = Daemon(PROGRAM, directory, config=rare)
    wait_for("no timer that ends soon", lambda: wakes_up_in(daemon) > 500)
    daemon.configure(f"{rare}MetricsFile={directory}/x.prom\nMetricsSec=60\n")
    daemon.call("Reload")
    wait_for("a timer of a minute", lambda: 30 < wakes_up_in(daemon) <= 68)
    daemon.configure(rare)
    daemon.call("Reload")
    wait_for("none again", lambda: wakes_up_in(daemon) > 500)
    daemon.stop()


def test_file(directory):
    path, other = f"{directory}/cxl-tier.prom", f"{directory}/other.prom"
    daemon = Daemon(PROGRAM, directory)
    assert glob.glob(f"{directory}/*.prom*") == [], "a file that nobody has asked for"
    daemon.configure(f"[Daemon]\nMetricsFile={path}\nMetricsSec=0.1\n")
    daemon.call("Reload")
    wait_for("the file", lambda: os.path.exists(path))
    assert os.stat(path).st_mode & 0o777 == 0o644
    # Each is a whole one, whenever it is read.
    seen = set()

    def read():
        with open(path) as file:
            seen.add(os.fstat(file.fileno()).st_mtime_ns)
            text = file.read()
        assert text.endswith("\n") and "cxltier_daemon_info" in samples(text, textfile)
        return len(seen) > 5

    wait_for("it is written again and again", read)
    daemon.configure(f"[Daemon]\nMetricsFile={other}\nMetricsSec=0.1\n")
    daemon.call("Reload")
    wait_for("the other file", lambda: os.path.exists(other))
    assert not os.path.exists(path), "the old one is still there, and would be read as if it were new"
    # It cannot be written, which is told once; then it can.
    def in_its_way():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(other)
        with contextlib.suppress(FileExistsError):
            os.mkdir(other)
        return os.path.isdir(other)

    wait_for("a directory where the file is to be", in_its_way)
    wait_for("that it is told", lambda: "cannot write the metrics" in daemon.log())
    os.rmdir(other)
    wait_for("it is written again", lambda: os.path.isfile(other))
    assert daemon.log().count("cannot write the metrics") == 1, daemon.log()
    assert daemon.stop() == 0
    assert glob.glob(f"{directory}/*.prom*") == [], "it is still there"
    for value in "relative.prom", f"{directory}/metrics.txt", "/.prom":
        daemon.configure(f"[Daemon]\nMetricsFile={value}\n")
        result = subprocess.run([PROGRAM, "--config", daemon.config, "--socket", f"{directory}/s"], capture_output=True,
                                text=True, timeout=20)
        assert result.returncode == 1 and f"{daemon.config}:2" in result.stderr and ".prom" in result.stderr, result


if __name__ == "__main__":
    sys.exit(main(dict(globals())))

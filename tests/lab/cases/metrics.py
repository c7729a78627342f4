# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl metrics and top on a host with a Switched and a private region: what Prometheus' own parsers make of the one,
and whose memory the other finds where."""

import sys

import nodes
from nodes import hog, node_of

sys.path.append("/usr/lib/python3/dist-packages")
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families as textfile  # noqa: E402

SECONDS = 25
KERNEL = "patched"
TOPOLOGY = None
HOST = ("--dram", "768M", "--cpus", "1", "--cxl", "serial=1,size=512M", "--cxl", "serial=2,size=256M")
FILE = "/run/cxl-tier/cxl-tier.prom"


def setup(lab):
    nodes.bring_up_own(lab, HOST, nodes.OPENED, {1: 512, 2: 256})


def samples(text, parse):
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parse(text) for sample in family.samples}


def of(found, name, **labels):
    return found[name, tuple(sorted(labels.items()))]


def expect_nodes(host, found):
    """As tierctl nodes and the kernel have it."""
    said = host.tierctl("nodes", "--json").json()["nodes"]
    assert {node["class"] for node in said} == {"dram", "cxl"}, said
    for node in said:
        labels = {"node": str(node["node"]), "tier": node["class"]}
        assert of(found, "cxltier_node_size_bytes", **labels, type=node["type"],
                  region=",".join(node["regions"])) == node["total_bytes"], node
        text = host.run("cat", f"/sys/devices/system/node/node{node['node']}/vmstat").out
        counters = dict(line.split() for line in text.splitlines())
        assert of(found, "cxltier_node_promoted_bytes_total", **labels) == int(counters["pgpromote_success"]) * 4096
        for by in "kswapd", "direct", "khugepaged", "proactive":
            assert of(found, "cxltier_node_demoted_bytes_total", **labels, by=by) <= int(counters[f"pgdemote_{by}"]) * 4096
        assert of(found, "cxltier_memory_tier_node_info", node=str(node["node"]), memory_tier=str(node["tier"])) == 1


def case_metrics(lab):
    a = lab["A"]
    found = samples(a.run(*nodes.NOBODY, "tierctl", "metrics").out, openmetrics)
    expect_nodes(a, found)
    assert of(found, "cxltier_portals", state="usable") == 0 and of(found, "cxltier_retired_entries") == 0
    assert of(found, "cxltier_events_total", kind="poison") == 0 and of(found, "cxltier_tiering_active") == 0
    expect_nodes(a, samples(a.tierctl("metrics", "--textfile").out, textfile))


def retired(host):
    found = samples(host.tierctl("metrics").out, openmetrics)
    return {dict(labels).get("serial", "entries"): value for (name, labels), value in found.items()
            if name.startswith("cxltier_retired_")}


def case_retired_memory(lab):
    """A person retires a block: it is counted, in the events as well."""
    a = lab["A"]
    region = nodes.region_of(a, 2)["name"]
    a.tierctl("retire", region, "--offset", "0")
    assert retired(a) == {"entries": 1, "0x2": 4096}, retired(a)
    a.wait_for("tierctl metrics | grep -q 'cxltier_events_total{kind=\"retired\"} [1-9]'", "the event", 60)
    entry = a.tierctl("retired", "--json").json()[0]["id"]
    a.tierctl("unretire", entry)
    assert retired(a) == {"entries": 0}, retired(a)


def case_file_and_end(lab):
    """A file for node_exporter, as long as there is a daemon; without it what can be read is printed."""
    a = lab["A"]
    assert a.run("test", "-e", FILE, check=False).code != 0, "nobody has asked for it"
    nodes.configure(a, nodes.OPENED + f"[Daemon]\nMetricsFile={FILE}\nMetricsSec=0.5\n")
    a.wait_for(f"test -s {FILE}", "the file", 30)
    expect_nodes(a, samples(a.run("cat", FILE).out, textfile))
    a.stop_daemon()
    assert a.run("test", "-e", FILE, check=False).code != 0, "it is still there"
    result = a.tierctl("metrics")
    expect_nodes(a, samples(result.out, openmetrics))
    assert "cxl-tierd does not run" in result.err and result.err.count("\n") == 1, result.err
    a.write(nodes.CONFIG, nodes.OPENED)
    a.start_daemon()


def rows(host, kind, *words):
    said = host.tierctl("top", "--once", "--json", *words).json()
    assert {node["node"] for node in said["nodes"]} >= {0, node_of(host, 1)}, said
    return said[kind]


def case_top(lab):
    """A unit's and a process' memory, and that it lies on a typed node."""
    a = lab["A"]
    typed, own = node_of(a, 1), node_of(a, 2)
    with nodes.cgroup(a, "crowd") as within, \
            hog(a, 48, "small", wrap=("numactl", f"--membind={typed}"), within=within) as it:
        assert it.pages_on(typed) >= 48 << 8
        for kind, words, key, value in (("units", (), "cgroup", "/crowd"),
                                        ("processes", ("--processes",), "pid", it.pid)):
            row, = [row for row in rows(a, kind, *words) if row.get(key) == value]
            parts = {part["node"]: part for part in row["nodes"]}
            assert 47 << 20 <= parts[typed]["bytes"] < 64 << 20 and parts[typed]["type"] == "Switched", row
            assert own not in parts, row
        text = a.tierctl("top", "--once").out
        assert max(map(len, text.splitlines())) <= 80, text
        assert any(line.startswith("crowd ") for line in text.splitlines()), text
    assert not [row for row in rows(a, "units") if row["cgroup"] == "/crowd"]

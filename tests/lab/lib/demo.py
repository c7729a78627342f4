# SPDX-License-Identifier: GPL-2.0-or-later
"""make demo: a running VM crosses from host A to host B through a shared CXL device. HOLD=1 leaves the hosts up."""

import json
import os
import pathlib
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import scenario  # noqa: E402
from scenario import Failure, Guest, Host  # noqa: E402

REPORT = pathlib.Path("/src/build/demo/report.json")
RATE = 400
MEMORY = "256M"
VERIFY_SECONDS = 120

_began = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - _began:6.1f} s] {text}", flush=True)


def mib(count):
    return f"{count / 2**20:.0f} MiB"


class Bar:
    """A progress bar that is redrawn on a terminal, and drawn at each fifth elsewhere."""

    def __init__(self, label):
        self.label, self.last, self.terminal = label, -1, sys.stdout.isatty()

    def update(self, done, total):
        fifth = 5 * done // max(total, 1)
        if not self.terminal and fifth == self.last:
            return
        self.last = fifth
        filled = 30 * done // max(total, 1)
        text = f"           {self.label:<10} [{'#' * filled}{'.' * (30 - filled)}] {mib(done)} of {mib(total)}"
        print(f"\r{text}" if self.terminal else text, end="" if self.terminal else "\n", flush=True)

    def end(self):
        if self.terminal and self.last >= 0:
            print(flush=True)


STAGES = {
    "offered": "A offers the VM in the portal; B answers by its own configuration",
    "ready": "B is READY: its own QEMU for this machine waits there",
    "moving": "A opens extents of the portal as a node and moves the VM's pages there with move_pages, while it runs",
    "checksums": "A takes the pages' checksums, while the VM runs",
    "paused": "the VM is paused",
    "published": "PUBLISHED: manifest and device state are in the portal; B verifies every checksum",
    "accepted": "ACCEPTED: everything matched; A checks that no page has moved since",
    "committed": "COMMITTED: A will not run this VM again",
    "running": "RUNNING: B has resumed it",
    "done": "DONE: A's process has ended, its extents are closed",
    "aborted": "ABORTED: it runs on A",
}


def follow(stream):
    """Tell what the sender says; returns its report."""
    report, bar = None, None
    while (line := stream.next_line(300)) is not None:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "done" in event and "total" in event:
            if bar is None:
                bar = Bar(event.get("progress", "moving"))
            bar.update(event["done"], event["total"])
            continue
        if bar:
            bar.end()
            bar = None
        if "stage" in event:
            say(STAGES.get(event["stage"], event["stage"]))
        report = event.get("report", report)
    if stream.wait(60) != 0:
        raise Failure(f"tierctl send: {' '.join(stream.errors)[-500:]}")
    if report is None:
        raise Failure("tierctl send ended without a report")
    return report


def wait_stop_counted(guest, seconds=30):
    """The guest knows how long a stop was at the second turn of its clock after it."""
    deadline = time.monotonic() + seconds
    while True:
        beat = guest.beat()
        if beat["stops"] > 0:
            return beat
        if time.monotonic() > deadline:
            raise Failure(f"the guest did not notice that it was stopped: {beat}")


def run():
    report = {}
    a, b = Host("A"), Host("B")

    say("Two emulated hosts boot. Each sees the same 1 GiB CXL memory device behind a root port of its own.")
    for line in scenario.up(topology="two-hosts").splitlines():
        say(line)
    report["kernel"] = a.run("uname", "-r").out.strip()
    # The guest measures its pause by the hosts' time of day.
    clocks = [scenario.set_clock(host) for host in (a, b)]
    apart = abs(clocks[0][0] - clocks[1][0]) + clocks[0][1] + clocks[1][1]
    say(f"Kernel {report['kernel']} on both; their clocks are at most {apart * 1000:.0f} ms apart.")

    for host in a, b:
        region = host.create_region(1)
        daxes = host.run("ls /dev | grep ^dax || true").out.split()
        say(f"{host.name}: the device is {region}; nothing of it is online"
            f"{' (' + ', '.join(daxes) + ')' if daxes else ''}")
        host.push("/src/build/lab/guest/guest.elf", "/usr/lib/cxl-tier-lab/guest.elf")
        Guest.configure(host, memory=MEMORY, rate=RATE)

    done = a.tierctl("portal", "format", "region0", "--host", "A", "--host", "B", "--name", "portal0", "--json").json()
    report["portal.bytes"] = done["total_bytes"]
    say(f"A formats the device as portal0: {mib(done['total_bytes'])}, {done['extents']} extents of "
        f"{mib(done['extent_bytes'])}, shared out between A and B.")
    for host in a, b:
        host.start_daemon()
        portals = host.run("varlinkctl", "call", "-j", "/run/cxl-tier/cxl-tierd.socket", "io.cxltier.Manager.Portals",
                           "{}").json()["portals"]
        if [p["state"] for p in portals] != ["usable"]:
            raise Failure(f"{host.name}: cxl-tierd does not see one good portal: {portals}")
        if host is b:
            report["portal.device"] = portals[0]["path"]
        say(f"{host.name}: cxl-tierd runs, found {portals[0]['name']} on {portals[0]['path']}, and left it alone.")
    print(a.tierctl("list").out, flush=True)

    guest = Guest(a)
    vm = a.tierctl("vm", "start", "demo", "--json").json()
    report["qemu"], report["vm.ram_bytes"] = vm["qemu"], vm["ram_bytes"]
    guest.wait_ready()
    guest.tell("c")
    first = guest.beat()
    a.wait_for(f"test \"$(grep -c ^beat {guest.directory}/console.log)\" -ge 3", "third beat of the guest")
    second = guest.beat()
    rate = (second["dirtied"] - first["dirtied"]) * 4096 * 1_000_000 // max(1, second["run_usec"] - first["run_usec"])
    report["vm.dirty_bytes_per_sec"] = rate
    say(f"A: VM demo runs (QEMU {vm['qemu']}, {mib(vm['ram_bytes'])} RAM). It rewrites {second['rate']} pages a second, "
        f"{rate / 2**20:.1f} MiB/s, and checks each page's generation and checksum before it does.")
    if rate == 0:
        raise Failure("the VM does not write to its memory")

    receiver = b.start("tierctl", "receive", "--machine", "demo", "--json")
    before = a.stats()
    sent = follow(a.start("tierctl", "send", "demo", "--to", "B", "--json"))
    after = a.stats()
    if receiver.wait(60) != 0:
        raise Failure(f"tierctl receive: {' '.join(receiver.errors)[-500:]}")
    received = next(json.loads(line)["report"] for line in receiver.lines if '"report"' in line)

    report["vm.pages_on_portal_node"] = sent["node_pages_at_publish"]
    for key in "moved_pages", "pause_usec", "total_usec", "state_bytes", "precopied_pages", "huge_folios", "runs":
        report[f"flight.{key}"] = sent[key]
    report["flight.verified_pages"] = received["verified_pages"]
    # Hosts can reach each other over the cluster network only; whatever crossed it is counted as RAM.
    crossed = sum(after["cluster"][key] - before["cluster"][key] for key in ("sent_bytes", "received_bytes"))
    report["flight.ram_bytes_over_network"] = crossed
    say(f"{sent['moved_pages']} pages ({mib(sent['moved_pages'] * 4096)}) crossed through the portal, "
        f"{sent['precopied_pages']} of them moved before the pause; {sent['state_bytes']} bytes of device state; "
        f"paused {sent['pause_usec'] / 1e6:.3f} s, {sent['total_usec'] / 1e6:.1f} s in all.")
    say(f"{crossed} bytes crossed the network between the hosts meanwhile.")

    guest = guest.on(b)
    beat = wait_stop_counted(guest)
    say(f"B: the guest goes on: {beat['checked']} pages checked so far, {beat['bad']} bad; it is asked to verify all.")
    verified = guest.ask("v", "verify", VERIFY_SECONDS)
    beat = guest.beat()
    report["guest.pages_checked"] = beat["checked"]
    report["guest.bad_pages"] = beat["bad"] + verified["bad"]
    report["guest.longest_pause_usec"] = max(beat["longest_pause_usec"], beat["longest_stop_usec"])
    nodes = guest.numa_maps()
    dram = int(b.run("cat /sys/devices/system/node/has_cpu").out.split("-")[0].split(",")[0])
    report["vm.pages_per_node_after"] = {str(node): pages for node, pages in nodes.items()}
    say(f"B: the VM's RAM lies on {', '.join(f'node {n}: {p} pages' for n, p in sorted(nodes.items()))} "
        f"(node {dram} is B's DRAM).")
    say(f"B: verified {verified['pages']} pages, {verified['bad']} bad. The longest pause that the guest itself saw: "
        f"{report['guest.longest_pause_usec'] / 1e6:.3f} s.")

    check(report, nodes, dram, verified, a, b)
    return report


def check(report, nodes, dram, verified, a, b):
    """What makes a demo a success."""
    def demand(condition, text):
        if not condition:
            raise Failure(text)

    demand(report["guest.bad_pages"] == 0, f"{report['guest.bad_pages']} bad pages")
    demand(verified["pages"] > 0, "the guest verified nothing")
    demand(report["flight.moved_pages"] >= verified["pages"], "fewer pages flew than the guest has")
    demand(report["vm.pages_on_portal_node"] > 0, "no page was on the portal's node when it was published")
    demand(report["flight.ram_bytes_over_network"] < 64 * 1024, "memory seems to have crossed the network")
    demand(set(nodes) == {dram}, f"after the flight the RAM is on nodes {nodes}, not only on DRAM node {dram}")
    demand(sum(nodes.values()) >= verified["pages"], f"numa_maps shows only {nodes} of the guest's pages")
    demand(Guest(a).pid() == 0, "a process of the VM is left on A")
    flights = b.tierctl("flights", "--json").json()
    demand([f["sourceState"] for f in flights] == ["CLOSED"] and flights[0]["destinationState"] == "DONE",
           f"the flight is not closed: {flights}")
    for host in a, b:
        bad = [line for line in host.dmesg().splitlines()
               if any(word in line for word in ("WARNING:", "BUG:", "Oops", "Call Trace"))]
        demand(not bad, f"{host.name}'s kernel complains: {bad[:3]}")


def main():
    hold = os.environ.get("HOLD", "") not in ("", "0")
    code = 1
    scenario.down_all()
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)
    try:
        report = run()
        REPORT.write_text(json.dumps(report, indent=2) + "\n")
        say("report: build/demo/report.json")
        print("demo: ok", flush=True)
        code = 0
    except Failure as failure:
        print(f"demo: FAILED: {failure}", flush=True)
    finally:
        if hold:
            print(f"The hosts stay up. Look inside with:\n"
                  f"  export LAB_INSTANCE={os.environ.get('LAB_INSTANCE', '')}\n"
                  f"  tests/lab/host exec B -- tierctl flights\n"
                  f"  tests/lab/host exec B -- tail -f /run/cxl-tier/vm/demo/console.log\n"
                  f"  tests/lab/host down --all", flush=True)
        else:
            scenario.down_all()
    return code


if __name__ == "__main__":
    sys.exit(main())

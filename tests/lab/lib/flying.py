# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts with a portal between them and machine demo on both: where the flight cases start."""

from scenario import Failure, Guest

GUEST = "/src/build/lab/guest/guest.elf"
NAME = "demo"


def prepare_host(host, memory="192M", rate=400, daemon=""):
    """A host that has just booted, up to its daemon: region, guest, machine demo; @daemon: lines of [Daemon]."""
    host.create_region(1)
    host.push(GUEST, "/usr/lib/cxl-tier-lab/guest.elf")
    Guest.configure(host, NAME, memory=memory, rate=rate)
    host.write("/etc/cxl-tier/cxl-tierd.conf.d/daemon.conf", f"[Daemon]\n{daemon}")


def prepare(lab, memory="192M", rate=400, names=("A", "B"), daemon=""):
    """Regions, portal0 formatted on the first, daemons on all, machine demo configured on all."""
    for name in names:
        prepare_host(lab[name], memory, rate, daemon)
    lab[names[0]].tierctl("portal", "format", "region0", *[word for name in names for word in ("--host", name)],
                          "--name", "portal0")
    for name in names:
        lab[name].start_daemon()


def start(host):
    host.tierctl("vm", "start", NAME)
    guest = Guest(host, NAME)
    guest.wait_ready()
    return guest


def stop(*hosts):
    for host in hosts:
        host.tierctl("vm", "stop", NAME, check=False)


def refused(result, *words):
    """One line on stderr that says all of @words, exit 1, nothing on stdout that claims success."""
    lines = [line for line in result.err.splitlines() if line.startswith("tierctl: ")]
    if result.code != 1 or len(lines) != 1:
        raise Failure(f"expected exit 1 and one line, got exit {result.code}: {result.err.strip()[-600:]}")
    for word in words:
        if word not in lines[0]:
            raise Failure(f"\"{word}\" is missing from: {lines[0]}")


def send(host, *options, to="B", check=False, timeout=240):
    return host.run("tierctl", "send", NAME, "--to", to, *options, check=check, timeout=timeout)


def receive(host, *options):
    return host.start("tierctl", "receive", "--machine", NAME, "--json", *options)


def wait_stage(stream, stage, seconds=180):
    stream.wait_line(f'"stage":"{stage}"', seconds)


def extents(host):
    """This host's free, claimed and unscrubbed home extents."""
    portal = host.run("varlinkctl", "call", "-j", "/run/cxl-tier/cxl-tierd.socket", "io.cxltier.Manager.Portals",
                      "{}").json()["portals"][0]
    return portal["freeExtents"], portal["claimedExtents"], portal["scrubExtents"]


def expect_clean(host):
    """After a flight, however it ended: no extent claimed, no block of the portal online, no stray dax device."""
    free, claimed, scrub = extents(host)
    if claimed or scrub or not free:
        raise Failure(f"{host.name}: {free} extents free, {claimed} claimed, {scrub} to scrub")
    devices = host.run("ls /sys/bus/dax/devices").out.split()
    if devices != ["dax0.0"]:
        raise Failure(f"{host.name}: dax devices are left: {devices}")
    movable = host.run("grep -l online /sys/devices/system/memory/memory*/state | "
                       "while read f; do grep -H Movable ${f%state}valid_zones; done || true").out.strip()
    if movable:
        raise Failure(f"{host.name}: blocks are still online: {movable}")


def expect_alive(guest, verify=True):
    """It runs here, goes on, and has lost nothing."""
    first = guest.beat()
    guest.host.wait_for(f"test \"$(tail -n 1 {guest.directory}/console.log | grep -c 'seq={first['seq']} ')\" = 0",
                        "next beat of the guest", 60)
    second = guest.beat()
    if second["checked"] <= first["checked"]:
        raise Failure(f"{guest.host.name}: the guest does not go on: {first} then {second}")
    bad = second["bad"] + (guest.ask("v", "verify", 120)["bad"] if verify else 0)
    if bad:
        raise Failure(f"{guest.host.name}: {bad} bad pages")

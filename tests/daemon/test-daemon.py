#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""cxl-tierd as its callers see it: start, configuration, permissions, portals.

test-daemon.py CXL-TIERD PORTAL-FILE CLIENT-CALL [TEST...]; exit 77 without root.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys

from harness import (CLIENT_CALL, MIB, PORTAL_BYTES, PROGRAM, Daemon, as_nobody, config, digest, host_record, main,
                     make_portal, portal_file, wait_for)


def run_refused(*arguments):
    """A cxl-tierd that must not start: exit 1, one line."""
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1, (result.returncode, result.stderr)
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


# ---- start, stop, configuration ------------------------------------------------------------------


def test_introspect(directory):
    daemon = Daemon(PROGRAM, directory)
    text = subprocess.run(["varlinkctl", "introspect", daemon.socket, "io.cxltier.Manager"],
                          capture_output=True, text=True, check=True).stdout
    for word in ("interface io.cxltier.Manager", "method BeginFlight(", "# Who may do what next",
                 "error Refused("):
        assert word in text, f"introspection lacks {word!r}"
    info = daemon.call("GetInfo")
    assert info["pid"] == daemon.process.pid and not info["dryRun"]
    assert daemon.call("Ping") == {}
    daemon.stop()


def test_list(directory):
    daemon = Daemon(PROGRAM, directory)
    topology = daemon.call("List")["topology"]
    assert topology["page_bytes"] == os.sysconf("SC_PAGESIZE")
    assert any(node["has_cpu"] for node in topology["nodes"])
    assert as_nobody(lambda: daemon.call("List"))["topology"]["kernel"] == topology["kernel"]
    refused = daemon.refused("Plan", regions=["region99"])
    assert refused.error == "Refused" and "region99" in refused.object, refused
    assert daemon.refused("Plan", regions=["region99"], zone="warm").parameters == {"parameter": "zone"}
    assert daemon.refused("Offline", region="region99", deadlineSec=604801).parameters == {"parameter": "deadlineSec"}
    for method, parameters in (("Online", {"regions": ["region99"]}), ("Offline", {"region": "region99"})):
        assert "plain files only" in daemon.refused(method, **parameters).text, method
    daemon.stop()


def test_dump(directory):
    node = f"{directory}/dump/sys/devices/system/node"
    os.makedirs(f"{node}/node7")
    for name, text in (("online", "7"), ("possible", "7"), ("has_cpu", ""), ("has_memory", "7"),
                       ("has_normal_memory", "7")):
        with open(f"{node}/{name}", "w") as file:
            file.write(text + "\n")
    for name, text in (("cpulist", ""), ("distance", "10"), ("meminfo", "Node 7 MemTotal: 1024 kB")):
        with open(f"{node}/node7/{name}", "w") as file:
            file.write(text + "\n")
    daemon = Daemon(PROGRAM, directory, dump=f"{directory}/dump")
    nodes = daemon.call("List")["topology"]["nodes"]
    assert [node["id"] for node in nodes] == [7], nodes
    assert "dump" in daemon.refused("Online", regions=["region0"]).text
    assert daemon.stop() == 0


def test_declared_and_rivals(directory):
    """What the configuration declares, and who else onlines memory: told once, and nothing is made of a dump."""
    dump, source = f"{directory}/dump", os.path.dirname(os.path.abspath(__file__))
    shutil.copytree(f"{source}/../fixtures/expanders", dump, symlinks=True)
    # As before region1 was made.
    os.unlink(f"{dump}/sys/bus/cxl/devices/region1")
    for path in glob.glob(f"{dump}/sys/bus/cxl/devices/decoder[135].0/*"):
        if path.endswith(("/region", "/dpa_size")):
            with open(path, "w") as file:
                file.write("\n" if path.endswith("region") else "0x0\n")
    rule = "/etc/udev/rules.d/40-vm.rules"
    os.makedirs(os.path.dirname(dump + rule))
    with open(dump + rule, "w") as file:
        file.write('SUBSYSTEM=="memory", ATTR{state}="online"\n')
    os.makedirs(f"{dump}/etc/cron.d")
    os.symlink("loop", f"{dump}/etc/cron.d/loop")
    daemon = Daemon(PROGRAM, directory, dump=dump, config="[Region there]\nCreate=1\nSize=1G\n"
                    "[Region new]\nCreate=2\nSize=512M\n[Region late]\nCreate=7\n"
                    "[Region large]\nCreate=1 2\nSize=4G\n")
    daemon.call("Rescan")
    lines = daemon.log().splitlines()
    for words in ("[Region there]: is region0", "[Region new]: dry run: 512 MiB on mem0 would be made a region in decoder0.1",
                  "[Region late]: waits for memory devices that are not there: serial number 0x7",
                  "[Region large]: mem1 (serial number 0x1) is too small", f"{rule}:1: sets the state of new memory blocks",
                  "/etc/cron.d/loop: cannot be read: Too many levels of symbolic links"):
        assert len([line for line in lines if words in line]) == 1, f"{words}: {daemon.log()}"
    assert daemon.stop() == 0


def test_events_and_retired(directory):
    """A daemon that has nothing to do with this machine's memory has no events of it, and retires none of it."""
    daemon = Daemon(PROGRAM, directory)
    assert daemon.call("GetInfo")["hearsErrors"] is False
    assert daemon.call("Events") == {"events": []}
    assert daemon.call("Events", sinceUsec=1) == {"events": []}
    assert daemon.call("Retired") == {"retired": []}
    assert "plain files only" in daemon.refused("Retire", region="region0", offset=0).text
    assert daemon.refused("Unretire", id="0x1").parameters == {"parameter": "id"}
    assert daemon.refused("Unretire", id="0x1:0x2x").parameters == {"parameter": "id"}
    # Who follows is answered at once, and may go away.
    connection = daemon.connect()
    connection.socket.sendall(b'{"method":"io.cxltier.Manager.Events","parameters":{},"more":true}\0')
    assert connection.receive("Events") == {"events": []}
    assert not connection.replied()
    connection.close()
    daemon.call("Ping")
    assert daemon.stop() == 0


def test_unknown_key(directory):
    with open(f"{directory}/bad.conf", "w") as file:
        file.write("[Daemon]\nRatio=301\nRation=1\n")
    line = run_refused("--config", f"{directory}/bad.conf", "--socket", f"{directory}/s")
    assert f"{directory}/bad.conf:3" in line and "Ration" in line, line
    assert not os.path.exists(f"{directory}/s")


def test_example(directory):
    """Every key of the packaged example is one, and cxl-tierd.conf(5) has it."""
    source = f"{os.path.dirname(os.path.abspath(__file__))}/../.."
    with open(f"{source}/packaging/cxl-tierd.conf") as file:
        lines = [line[1:] for line in file if re.match(r"#(\[|\w+=)", line)]
    with open(f"{source}/docs/man/cxl-tierd.conf.5") as file:
        manual = file.read()
    keys = {line.partition("=")[0] for line in lines if "=" in line}
    assert len(keys) > 15, keys
    missing = [key for key in keys if f"Li {key}=" not in manual]
    assert not missing, f"cxl-tierd.conf(5) lacks {missing}"
    assert Daemon(PROGRAM, directory, config="".join(lines)).stop() == 0


def test_grub(directory):
    """The kernel command line gets each word once, and never against the administrator."""
    script = f"{os.path.dirname(os.path.abspath(__file__))}/../../packaging/grub.cfg"

    def line(before="", default="", times=1):
        command = f". {script}\n" * times + 'echo "$GRUB_CMDLINE_LINUX"'
        return subprocess.run(["sh", "-euc", command], capture_output=True, text=True, check=True, env={
            "GRUB_CMDLINE_LINUX": before, "GRUB_CMDLINE_LINUX_DEFAULT": default}).stdout.rstrip("\n")

    both = "memhp_default_state=offline init_on_free=1"
    assert line() == both
    assert line("quiet", times=2) == f"quiet {both}"
    assert line("init_on_free=0 quiet") == "init_on_free=0 quiet memhp_default_state=offline"
    assert line(default="memhp_default_state=online") == "init_on_free=1"


def test_command_line(directory):
    for arguments in (["--conifg"], ["--config"], ["word"]):
        result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20)
        assert result.returncode == 2 and result.stderr.count("\n") == 1, (arguments, result)
        assert arguments[0] in result.stderr


def test_reload(directory):
    portal = make_portal(directory)
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    assert len(daemon.call("Portals")["portals"]) == 1

    daemon.configure("[Daemon]\n\nOnline=perhaps\n")
    refused = daemon.refused("Reload")
    assert refused.object == f"{daemon.config}:3" and "perhaps" in refused.text, refused
    assert len(daemon.call("Portals")["portals"]) == 1, "the old configuration has gone"

    # At its start, after the reload that was refused, and now.
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("READY=1 after SIGHUP", lambda: daemon.notified("READY=1") >= 3)
    assert daemon.notified("RELOADING=1"), daemon.notify
    assert any("MONOTONIC_USEC=" in message for message in daemon.notify)
    assert daemon.log().count("stays in force") == 2, daemon.log()
    assert f"{daemon.config}:3: " in daemon.log()
    assert len(daemon.call("Portals")["portals"]) == 1

    daemon.configure("")
    assert daemon.call("Reload") == {}
    assert daemon.call("Portals")["portals"] == []
    assert daemon.stop() == 0


def test_stop(directory):
    for how in (signal.SIGTERM, signal.SIGINT):
        daemon = Daemon(PROGRAM, directory)
        wait_for("WATCHDOG=1", lambda: daemon.notified("WATCHDOG=1"))
        assert daemon.stop(how) == 0, daemon.log()
        assert not os.path.exists(daemon.socket), "its socket is still there"
        wait_for("STOPPING=1", lambda: daemon.notified("STOPPING=1"))


def test_second_instance(directory):
    daemon = Daemon(PROGRAM, directory)
    line = run_refused("--config", daemon.config, "--socket", daemon.socket, "--files-only")
    assert f"pid {daemon.process.pid}" in line, line
    assert daemon.call("Ping") == {}, "the first one does not answer any more"
    daemon.stop(signal.SIGKILL)
    again = Daemon(PROGRAM, directory)
    assert again.call("Ping") == {}, "a killed one's lock is in the way"
    again.stop()


# ---- who may call --------------------------------------------------------------------------------


def test_permissions(directory):
    portal = make_portal(directory)
    # Its beats would be changes too.
    daemon = Daemon(PROGRAM, directory, config=config(portal), arguments=["--dry-run"])
    before = digest(portal)
    uuid = "00000000-0000-4000-8000-000000000001"
    calls = {
        "Online": {"regions": ["region0"]},
        "Offline": {"region": "region0"},
        "Rescan": {},
        "Reload": {},
        "ApplyWeights": {},
        "BeginFlight": {"vm": "box", "destination": "B", "ramBytes": MIB},
        "AcceptFlight": {"portal": "lake", "source": 0, "sourceSlot": 0, "flight": uuid},
        "EndFlight": {"flight": uuid},
        "Retire": {"region": "region0", "offset": 0},
        "Unretire": {"id": "0x1:0x2"},
    }
    for method, parameters in calls.items():
        error, what, following = as_nobody(lambda: (lambda r: (r.error, r.object, r.next))(
            daemon.refused(method, **parameters)))
        assert error == "PermissionDenied", (method, error)
        assert what == method and "root" in following, (what, following)
    # Whatever only looks is for everybody; so is a rehearsal.
    for method in ("Ping", "GetInfo", "List", "Portals", "Flights", "Offers", "Events", "Retired", "Metrics"):
        as_nobody(lambda: daemon.call(method))
    assert as_nobody(lambda: daemon.refused("Online", regions=["region99"], dryRun=True).error) == "Refused"
    assert digest(portal) == before
    daemon.stop()


def test_weights_are_not_a_matter_of_files(directory):
    daemon = Daemon(PROGRAM, directory)
    said = daemon.call("ApplyWeights")
    assert said["action"] == "nothing" and said["calibrated"] is False and "nothing to do with" in said["reason"], said
    daemon.stop()


def test_client(directory):
    environment = {**os.environ, "CXL_TIERD_SOCKET": f"{directory}/d.socket"}

    def client(*arguments):
        return subprocess.run([CLIENT_CALL, *arguments], capture_output=True, text=True, env=environment)

    assert client("running").returncode == 1
    result = client("Portals")
    assert (result.returncode, result.stderr) == (1, (
        f"tierctl: cxl-tierd: not running (no answer on {directory}/d.socket); "
        "systemctl start cxl-tierd\n")), result
    daemon = Daemon(PROGRAM, directory)
    assert client("running").returncode == 0
    assert client("Portals").stdout == '{"portals":[]}\n'
    result = client("Plan", '{"regions":["region99"]}')
    assert result.returncode == 1 and result.stderr.startswith("tierctl: region99: no such region"), result
    assert '"zone"' in client("Plan", '{"regions":["region9"],"zone":"warm"}').stderr
    daemon.stop()


# ---- portals -------------------------------------------------------------------------------------


def test_portals_untouched(directory):
    """In a dry run not one byte changes, whatever is called; flights are told."""
    portal = make_portal(directory)
    uuid = "11111111-2222-4333-8444-555555555555"
    portal_file("offer", portal, 1, 3, 7, uuid, 0, "committed", 5, 2)
    before = digest(portal)
    daemon = Daemon(PROGRAM, directory, config=config(portal), arguments=["--dry-run"])
    [listed] = daemon.call("Portals")["portals"]
    assert (listed["name"], listed["state"], listed["slot"], listed["freeExtents"]) == ("lake", "usable", 0, 4), listed
    assert [host["name"] for host in listed["hosts"]] == ["A", "B"]
    [flight] = daemon.call("Flights")["flights"]
    assert (flight["flight"], flight["source"], flight["destination"]) == (uuid, "B", "A"), flight
    assert flight["sourceState"].lower() == "committed" and flight["generation"] == 7
    assert not flight["ended"] and flight["session"] == "none" and flight["advice"]
    assert uuid in daemon.log() and flight["advice"] in daemon.log(), daemon.log()
    daemon.call("Reload")
    daemon.call("Rescan")
    daemon.call("Offers")
    refused = daemon.refused("BeginFlight", vm="crate", destination="B", ramBytes=MIB)
    assert "dry run" in refused.text, refused
    daemon.stop()
    assert digest(portal) == before, "the portal was written to"


def test_only_the_host_record(directory):
    """Starting writes this host's record and nothing else; not even a flight that concerns nobody here."""
    portal = make_portal(directory, ("A", "B", "C"))
    portal_file("offer", portal, 1, 3, 7, "11111111-2222-4333-8444-555555555555", 2, "committed", 5, 2)
    quiet = digest(portal, without=(2 * MIB, 2 * MIB + 4096))
    daemon = Daemon(PROGRAM, directory, config=config(portal))
    wait_for("beats", lambda: host_record(portal, 0)[1] >= 3)
    daemon.call("Reload")
    daemon.stop()
    assert digest(portal, without=(2 * MIB, 2 * MIB + 4096)) == quiet, "more than the host record was written"
    assert host_record(portal, 1) == (0, 0, 0, 0)


def test_bad_portals(directory):
    foreign, damaged = make_portal(directory, ("X", "Y"), "foreign"), make_portal(directory, name="damaged")
    with open(damaged, "r+b") as file:
        for offset in (64, MIB + 64):
            file.seek(offset)
            file.write(b"\xff")
    empty = f"{directory}/empty"
    with open(empty, "wb") as file:
        file.truncate(PORTAL_BYTES)
    before = digest(damaged)
    text = "[Daemon]\nBeatSec=0.1\n" + "".join(f"[Portal {n}]\nFile={directory}/{n}\n" for n in ("foreign", "damaged", "empty", "absent"))
    daemon = Daemon(PROGRAM, directory, config=text)
    states = {os.path.basename(p["path"]): p for p in daemon.call("Portals")["portals"]}
    assert {n: p["state"] for n, p in states.items()} == {
        "foreign": "foreign", "damaged": "damaged", "empty": "unformatted", "absent": "unreadable"}, states
    assert states["damaged"]["problem"] and damaged in daemon.log()
    refused = daemon.refused("BeginFlight", vm="box", destination="Y", portal="lake", ramBytes=MIB)
    assert "no slot" in refused.text, refused
    assert daemon.refused("BeginFlight", vm="box", destination="B", portal=damaged, ramBytes=MIB).error == "Refused"
    assert "no portal" in daemon.refused("BeginFlight", vm="box", destination="B", ramBytes=MIB).text
    assert digest(damaged) == before
    daemon.stop()


def test_keyed(directory):
    """A keyed portal that a peer makes look unkeyed is refused by its name's key, or by Keyed=yes."""
    portal = make_portal(directory)
    keys = f"{directory}/keys"
    os.mkdir(keys, 0o700)
    with open(os.open(f"{keys}/lake.key", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("0123456789abcdef" * 2)
    os.environ["CXL_TIER_KEYS"] = keys
    try:
        portal_file("super", portal, "lake", 1)
        refuses_unkeyed(directory, portal)
    finally:
        del os.environ["CXL_TIER_KEYS"]


def refuses_unkeyed(directory, portal):
    daemon = Daemon(PROGRAM, directory, config=config(portal) + "[Portal lake]\nKeyed=yes\n")

    def state():
        return daemon.call("Portals")["portals"][0]

    def refused_now(says):
        """Whatever it does at a beat fails for this reason, and nothing is written any more."""
        wait_for("a refusal", lambda: daemon.log().count(says) == 1)
        before = digest(portal)
        shown = state()
        assert shown["state"] == "unreadable" and says in shown["problem"], shown
        refused = daemon.refused("BeginFlight", vm="box", destination="B", ramBytes=MIB)
        assert says in refused.text, refused
        assert daemon.call("Flights")["flights"] == []
        daemon.call("Reload")
        assert digest(portal) == before, "written to"

    wait_for("beats", lambda: host_record(portal, 0)[1] >= 3)
    assert state()["state"] == "usable", state()
    # While it runs, under a name that this host has no key for.
    portal_file("super", portal, "pond", 0)
    refused_now("cannot use portal pond: it is not keyed, which Keyed=yes demands")
    # It is well again as soon as it is.
    portal_file("super", portal, "lake", 1)
    beats = host_record(portal, 0)[1]
    wait_for("beats again", lambda: host_record(portal, 0)[1] >= beats + 3)
    # With no more than the key for its name.
    daemon.configure(config(portal))
    daemon.call("Reload")
    portal_file("super", portal, "lake", 0)
    refused_now("the portal is not keyed, but")
    # As it is found at a start.
    daemon.stop()
    portal_file("super", portal, "pond", 0)
    daemon = Daemon(PROGRAM, directory, name="e", config=config(portal) + "[Portal lake]\nKeyed=yes\n")
    refused_now("cannot use portal pond: it is not keyed, which Keyed=yes demands")
    # Somebody who means it.
    daemon.configure(config(portal) + "[Portal lake]\nKeyed=no\n")
    daemon.call("Reload")
    wait_for("usable", lambda: state()["state"] == "usable")
    portal_file("super", portal, "lake", 1)
    wait_for("a refusal", lambda: "it is keyed, which Keyed=no forbids" in daemon.log())
    daemon.stop()


if __name__ == "__main__":
    sys.exit(main(dict(globals())))

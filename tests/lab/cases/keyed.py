# SPDX-License-Identifier: GPL-2.0-or-later
"""A keyed portal whose hosts insist on the key, by the device and not by the portal's name."""

import secrets
import subprocess

import paths
from cases import deadline
from flying import NAME, expect_alive, expect_clean, prepare_host, receive, refused, send, start
from portal_bytes import digest
from scenario import Guest

SECONDS = 95
TOPOLOGY = "two-hosts"
SETUP_DEADLINE = 400
DEADLINE = 300
DEVICE = paths.DEVICES / "portal0"
PORTAL_FILE = "/src/build/lab/portal-file"
KEY = "/etc/cxl-tier/keys/lake.key"
CONFIG = "/etc/cxl-tier/cxl-tierd.conf.d/keyed.conf"
DEMANDS = "it is not keyed, which Keyed=yes demands"


def put_key(host, key):
    host.write(KEY, key)
    host.run(f"chmod 700 {KEY.rsplit('/', 1)[0]} && chmod 600 {KEY}")


def change_superblock(name, keyed):
    """As anybody can who writes to the memory: no key vouches for it."""
    subprocess.run([PORTAL_FILE, "super", DEVICE, name, keyed], check=True)


def portal(host):
    return host.run("varlinkctl", "call", "-j", "/run/cxl-tier/cxl-tierd.socket", "io.cxltier.Manager.Portals",
                    "{}").json()["portals"][0]


def setup(lab):
    key = secrets.token_hex(32)
    for host in lab["A"], lab["B"]:
        prepare_host(host)
        put_key(host, key)
        host.write(CONFIG, "[Portal shared]\nMatchSerial=1\nKeyed=yes\n")
    lab["A"].tierctl("portal", "format", "region0", "--host", "A,B", "--name", "lake", "--keyed")
    for host in lab["A"], lab["B"]:
        host.start_daemon()
    start(lab["A"])


def fly(source, target):
    receiver = receive(target)
    send(source, to=target.name, check=True)
    assert receiver.wait(60) == 0, receiver.text()
    expect_alive(Guest(target, NAME))
    for host in source, target:
        expect_clean(host)


@deadline(500)
def case_there_and_back(lab):
    assert all(portal(lab[name])["state"] == "usable" for name in "AB")
    fly(lab["A"], lab["B"])
    fly(lab["B"], lab["A"])


def case_made_unkeyed_by_a_peer(lab):
    """Under a name that nobody has a key for: neither host reads or writes it, and the VM runs on."""
    a, b = lab["A"], lab["B"]
    change_superblock("pond", "0")
    try:
        for host in a, b:
            host.rescan()
            shown = portal(host)
            assert shown["state"] == "unreadable" and DEMANDS in shown["problem"], shown
        before = digest(DEVICE)
        for host in a, b:
            for verb in "show", "check":
                refused(host.tierctl("portal", verb, "region0", check=False), "pond", DEMANDS)
        refused(send(a, "--timeout", "2"), DEMANDS)
        refused(b.tierctl("receive", "--machine", NAME, "--timeout", "2", check=False), DEMANDS)
        assert digest(DEVICE) == before, "written to"
        expect_alive(Guest(a, NAME), verify=False)
    finally:
        change_superblock("lake", "1")
    for host in a, b:
        host.rescan()
        assert portal(host)["state"] == "usable", portal(host)


def case_another_key(lab):
    """Of a host whose key differs nothing counts, for either side; with the right one it goes on."""
    a, b = lab["A"], lab["B"]
    key = b.run("cat", KEY).out
    b.stop_daemon()
    put_key(b, secrets.token_hex(32))
    refused(b.tierctl("portal", "check", "lake", check=False), "lake", "bad")
    put_key(b, key)
    b.start_daemon()
    fly(a, b)

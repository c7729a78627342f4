# SPDX-License-Identifier: GPL-2.0-or-later
"""One portal that two hosts see: made, checked, and damaged in every way. What is wrong is named, and never onlined."""

import struct
import subprocess

import paths
from cases import deadline
from flying import refused
from portal_bytes import digest

SECONDS = 130
ALWAYS = True
TOPOLOGY = "two-hosts"
DEADLINE = 180
REGION = "region0"
SOCKET = "/run/cxl-tier/cxl-tierd.socket"
CONFIG = "/etc/cxl-tier/cxl-tierd.conf.d/50-test.conf"
# What must never be obeyed while there is anything of a portal on the region.
CARELESS = "[Daemon]\nOnline=movable\n[Region careless]\nMatchSerial=1\nOnline=movable\n"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
PORTAL_FILE = "/src/build/lab/portal-file"
DEVICE = paths.DEVICES / "portal0"
MIB = 1 << 20
COPIES = 0, MIB
# Offsets of docs/portal-format.md.
MAGIC, MAJOR, MINOR, INCOMPAT, TOTAL, EXTENTS, HOST_AREAS, RESERVED, NAME, SLOTS, CRC = \
    0, 8, 10, 32, 48, 72, 80, 108, 128, 192, 4092
FIRST, COUNT, SLOT = 32, 36, 64


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value = value >> 8 ^ CRC_TABLE[(value ^ byte) & 0xff]
    return value ^ 0xffffffff


def read(offset, size):
    with open(DEVICE, "rb") as device:
        device.seek(offset)
        return device.read(size)


def write(offset, data):
    with open(DEVICE, "r+b") as device:
        device.seek(offset)
        device.write(data)


def sealed(super_block, *changes):
    """A superblock with (offset, bytes) changed and a checksum that fits again."""
    data = bytearray(super_block)
    for offset, new in changes:
        data[offset:offset + len(new)] = new
    data[CRC:] = struct.pack("<I", crc32c(data[:CRC]))
    return bytes(data)


def portals(host):
    return host.run("varlinkctl", "call", "-j", SOCKET, "io.cxltier.Manager.Portals", "{}").json()["portals"]


def expect_offline(host):
    online = host.run("grep -l online /sys/devices/system/memory/memory*/state | while read -r f; do "
                      "grep -H Movable ${f%state}valid_zones; done || true").out
    assert not online, f"{host.name}: onlined: {online}"
    region = next(r for r in host.tierctl("list", "regions", "--json").json() if r["name"] == REGION)
    nodes = {n["id"]: n["total_bytes"] for n in host.tierctl("list", "nodes", "--json").json()}
    assert nodes.get(region["target_node"], 0) in (0, None), f"{host.name}: {REGION} is online: {nodes}"


def decisions(host):
    return [line for line in host.daemon.text().splitlines() if REGION in line or "/dev/dax" in line or "lake" in line]


def expect_refused(lab, words, state):
    """Both hosts name it in one line each, at every way of looking, and leave every byte and every block alone."""
    before = digest(DEVICE)
    for host in lab["A"], lab["B"]:
        for verb in "show", "check":
            refused(host.tierctl("portal", verb, REGION, check=False), "/dev/dax", "; ", *words)
    b = lab["B"]
    b.rescan()
    [portal] = portals(b)
    assert portal["state"] == state and words[0] in portal["problem"], portal
    assert words[0] in decisions(b)[-1], decisions(b)
    refused(b.tierctl("online", REGION, check=False), REGION)
    expect_offline(b)
    assert digest(DEVICE) == before, "looking changed bytes of the device"


def expect_usable(host, uuid):
    host.rescan()
    [portal] = portals(host)
    assert (portal["state"], portal["uuid"]) == ("usable", uuid), portal
    result = host.tierctl("portal", "check", "lake")
    assert "BAD" not in result.out and "superblock copy 0: good" in result.out, result.out


def damaged(lab, variants):
    """For each (what, copy 0, copy 1, words, state): put it there, expect the refusals, and put the good one back."""
    good = read(0, 4096)
    for what, first, second, words, state in variants(good):
        print(f"# {what}", flush=True)
        write(COPIES[0], first)
        write(COPIES[1], second)
        try:
            expect_refused(lab, words, state)
        except Exception as failure:
            raise AssertionError(f"{what}: {failure}") from failure
        finally:
            write(COPIES[0], good)
            write(COPIES[1], good)


def uuid_of(host):
    return host.tierctl("portal", "show", "lake", "--json").json()["uuid"]


def setup(lab):
    for host in lab["A"], lab["B"]:
        assert host.create_region(1) == REGION


def case_format_and_see(lab):
    """Made on A with the daemon running; B's tool sees it, and B's daemon at its start, against a careless rule."""
    a, b = lab["A"], lab["B"]
    a.start_daemon()
    planned = a.tierctl("portal", "format", REGION, "--host", "A", "--host", "B", "--name", "lake", "--dry-run", "--json")
    assert planned.json()["extents"] == 7 and read(0, 4096) == bytes(4096), "a dry run wrote something"
    made = a.tierctl("portal", "format", REGION, "--host", "A,B", "--name", "lake", "--json").json()
    assert read(COPIES[0], 4096) == read(COPIES[1], 4096) and read(0, 8) == b"CXLTIER\0"
    assert crc32c(read(0, CRC)) == struct.unpack("<I", read(CRC, 4))[0], "the checksum is not CRC-32C"
    expect_usable(a, made["uuid"])
    before = digest(DEVICE)
    b.write(CONFIG, CARELESS)
    b.start_daemon()
    expect_usable(b, made["uuid"])
    for host in a, b:
        shown = host.tierctl("portal", "show", "lake", "--json").json()
        assert shown["uuid"] == made["uuid"] and shown["extents"] == 7, shown
        text = host.tierctl("portal", "show").out
        assert made["uuid"] in text and "no flights" in text and "damaged" not in text, text
        assert [h["name"] for h in portals(host)[0]["hosts"]] == ["A", "B"]
        expect_offline(host)
    refused(b.tierctl("online", REGION, check=False), REGION, "holds the portal lake")
    assert digest(DEVICE) == before, "looking changed bytes of the portal"


def case_one_bad_copy(lab):
    """The other one is used; check says so and fails; everything else works."""
    b = lab["B"]
    good, uuid = read(0, 4096), uuid_of(lab["A"])
    try:
        for number, change in (0, (CRC, b"\1\2\3\4")), (1, (CRC, b"\1\2\3\4")), (0, (MAGIC, b"XXL")), (1, (NAME, b"sea")), \
                (0, (MAGIC, bytes(4096))):
            bad = bytearray(good)
            bad[change[0]:change[0] + len(change[1])] = change[1]
            write(COPIES[number], bad)
            before = digest(DEVICE)
            result = b.tierctl("portal", "check", REGION, check=False)
            refused(result, "lake", "1 of", "bad")
            assert f"BAD  superblock copy {number}" in result.out, result.out
            shown = b.tierctl("portal", "show").out
            assert f"copy {number} of the superblock is damaged" in shown and uuid in shown, shown
            b.rescan()
            [portal] = portals(b)
            assert (portal["state"], portal["damagedCopies"]) == ("usable", 1 << number), portal
            expect_offline(b)
            assert digest(DEVICE) == before, "looking changed bytes of the portal"
            write(COPIES[number], good)
    finally:
        for copy in COPIES:
            write(copy, good)
    expect_usable(b, uuid)


@deadline(400)
def case_bad_superblocks(lab):
    uuid = uuid_of(lab["A"])

    def variants(good):
        def broken(offset, new):
            data = bytearray(good)
            data[offset:offset + len(new)] = new
            return bytes(data)

        def both(data):
            return data, data

        def slot(number, field, value):
            return SLOTS + number * SLOT + field, struct.pack("<I", value)

        total = struct.unpack_from("<Q", good, TOTAL)[0]
        yield "checksum", *both(broken(CRC, b"\0\0\0\0")), ["checksum"], "damaged"
        yield "magic", *both(broken(MAGIC, b"NOTTIER")), ["bad magic"], "damaged"
        yield "one gone, one bad", bytes(4096), broken(NAME, b"sea"), ["checksum"], "damaged"
        yield "truncated", *both(sealed(good, (TOTAL, struct.pack("<Q", 2 * total)))), ["truncated", "2G", "1G"], "truncated"
        yield "newer version", *both(sealed(good, (MAJOR, b"\2"))), ["format version 2.0", "use a version"], "incompatible"
        yield "newer feature", *both(sealed(good, (INCOMPAT, b"\4"))), ["incompatible features 0x4"], "incompatible"
        yield "overlap", *both(sealed(good, slot(1, FIRST, 3))), ["extents of two hosts overlap"], "damaged"
        yield "past the last", *both(sealed(good, slot(1, COUNT, 4))), ["lie past the end"], "damaged"
        yield "past the end", *both(sealed(good, (EXTENTS, struct.pack("<I", 8)), slot(1, COUNT, 4))), \
            ["lie past the end"], "damaged"
        yield "host areas", *both(sealed(good, (HOST_AREAS, struct.pack("<Q", MIB)))), ["overlap the superblocks"], "damaged"
        yield "reserved", *both(sealed(good, (RESERVED, b"\1"))), ["reserved bytes"], "damaged"
        yield "two portals", good, sealed(good, (NAME, b"sea\0")), ["differ"], "damaged"

    damaged(lab, variants)
    for host in lab["A"], lab["B"]:
        expect_usable(host, uuid)


def case_newer_minor_version_is_read(lab):
    good, uuid = read(0, 4096), uuid_of(lab["A"])
    new = sealed(good, (MINOR, b"\x09"))
    try:
        for copy in COPIES:
            write(copy, new)
        expect_usable(lab["B"], uuid)
        assert "format 1.9" in lab["B"].tierctl("portal", "show").out
    finally:
        for copy in COPIES:
            write(copy, good)


def case_daemon_starts_on_a_damaged_portal(lab):
    """A daemon that has never seen it good, with a rule that wants the region: still nothing is onlined."""
    b = lab["B"]
    good = read(0, 4096)
    try:
        for offset, new, words in (CRC, b"\0\0\0\0", "checksum"), (MAGIC, b"NOTTIER", "bad magic"), (MAJOR, b"\2", "2.0"):
            b.stop_daemon()
            bad = bytearray(good)
            bad[offset:offset + len(new)] = new
            for copy in COPIES:
                write(copy, bad)
            before = digest(DEVICE)
            b.start_daemon()
            assert words in decisions(b)[-1], decisions(b)
            expect_offline(b)
            assert digest(DEVICE) == before, f"{words}: bytes of the device changed"
    finally:
        for copy in COPIES:
            write(copy, good)
    expect_usable(b, uuid_of(lab["A"]))


def case_portal_that_is_being_formatted(lab):
    """A format begins with taking the old superblocks away: a rule must not take that for permission."""
    b = lab["B"]
    good = read(0, 4096)
    try:
        for copy in COPIES:
            write(copy, bytes(4096))
        before = digest(DEVICE)
        for verb in "show", "check":
            refused(b.tierctl("portal", verb, REGION, check=False), "bad magic", "tierctl portal format")
        b.rescan()
        b.rescan()
        assert portals(b) == []
        told = [line for line in decisions(b) if f" {REGION}: " in line][-1]
        assert "held a portal and does not any more; left offline" in told, told
        expect_offline(b)
        assert digest(DEVICE) == before, "looking changed bytes of the device"
    finally:
        for copy in COPIES:
            write(copy, good)
    expect_usable(b, uuid_of(lab["A"]))


def case_damaged_records(lab):
    """A flight's offer: one copy is enough; none is named by check, told by the daemon, and held against its extents."""
    a, b = lab["A"], lab["B"]
    # Whose flights these are would end them.
    a.stop_daemon()
    flight = "0123456789abcdef0123456789abcdef"
    subprocess.run([PORTAL_FILE, "offer", DEVICE, "0", "0", "1", flight, "1", "offered", "0", "1"], check=True)
    area = struct.unpack("<Q", read(HOST_AREAS, 8))[0]
    first, second = area + 0x1000, area + 0x1400
    good = read(first, 2048)
    assert good[:4] == good[1024:1028] == b"TPof", "the format has changed"
    assert "OFFERED" in b.tierctl("portal", "show").out
    result = b.tierctl("portal", "check", "lake", check=False)
    refused(result, "lake", "bad")
    assert "BAD  offer A/0: extent 0 is not claimed for it" in result.out, result.out

    for number, copy in enumerate((first, second)):
        write(copy + 700, b"\x55")
        before = digest(DEVICE)
        result = b.tierctl("portal", "check", "lake", check=False)
        refused(result, "lake", "bad")
        assert f"BAD  offer A/0: copy {number} damaged, or its writing was interrupted" in result.out, result.out
        assert "OFFERED" in b.tierctl("portal", "show").out
        b.rescan()
        [told] = [f for f in b.tierctl("flights", "--json").json() if f["source"] == "A"]
        assert told["flight"].replace("-", "") == flight, told
        assert digest(DEVICE) == before, "looking changed bytes of the portal"
        write(first, good)

    write(first + 700, b"\x55")
    write(second + 700, b"\x55")
    before = digest(DEVICE)
    result = b.tierctl("portal", "check", "lake", check=False)
    refused(result, "lake", "1 of")
    assert "BAD  offer A/0: both copies are damaged" in result.out, result.out
    assert "damaged" in b.tierctl("portal", "show").out
    b.rescan()
    [told] = [f for f in b.tierctl("flights", "--json").json() if f["source"] == "A"]
    assert "flight" not in told and not told["ended"] and told["advice"], told
    assert digest(DEVICE) == before, "looking changed bytes of the portal"
    write(first, good)


def case_records_of_another_portal(lab):
    """Left by an earlier format, or copied there by somebody: nothing of them counts."""
    a, b = lab["A"], lab["B"]
    area = struct.unpack("<Q", read(HOST_AREAS, 8))[0]
    old, old_uuid = read(area, MIB), uuid_of(a)
    assert any(old), "there are no records to copy"
    made = a.tierctl("portal", "format", REGION, "--host", "A", "--host", "B", "--name", "lake", "--force", "--json").json()
    assert made["uuid"] != old_uuid and not any(read(area, MIB)), "format left records of the old portal"
    expect_usable(b, made["uuid"])
    write(area, old)
    before = digest(DEVICE)
    result = b.tierctl("portal", "check", "lake", check=False)
    refused(result, "lake", "bad")
    assert "BAD  offer A/0: both copies are damaged, or not of this portal" in result.out, result.out
    b.rescan()
    assert not [f for f in b.tierctl("flights", "--json").json() if "flight" in f], "a flight of another portal counts"
    assert digest(DEVICE) == before, "looking changed bytes of the portal"
    write(area, bytes(MIB))
    a.start_daemon()
    for host in a, b:
        expect_usable(host, made["uuid"])


def case_format_refuses(lab):
    a = lab["A"]
    before, uuid = digest(DEVICE), uuid_of(a)
    hosts = "--host", "A", "--host", "B"
    for words in ("--dry-run",), ():
        refused(a.tierctl("portal", "format", REGION, *hosts, *words, check=False), "/dev/dax", f"portal lake ({uuid})",
                "--force")
    refused(a.tierctl("portal", "format", "region77", *hosts, check=False), "region77", "no such region")
    refused(a.tierctl("portal", "format", REGION, "--host", "A", "--force", check=False), "2 to 16 hosts", "--host")
    refused(a.tierctl("portal", "format", REGION, "--host", "A", "--host", "A", "--force", check=False), "named twice")
    refused(a.tierctl("portal", "format", REGION, "--host", "A", "--host", "../B", "--force", check=False), "../B")
    refused(a.tierctl("portal", "format", REGION, *hosts, "--extent-size", "64M", "--force", check=False), "multiple")
    refused(a.tierctl("portal", "format", REGION, *hosts, "--extent-size", "1G", "--force", check=False), "fewer than")
    refused(a.run(*NOBODY, "tierctl", "portal", "format", REGION, *hosts, "--force", check=False), REGION, "needs root")
    for words in (REGION,), (REGION, *hosts, "--size", "1G"), hosts, (REGION, *hosts, "--extent-size", "big"):
        result = a.tierctl("portal", "format", *words, check=False)
        assert result.code == 2 and result.err.count("\n") == 1, f"{words}: exit {result.code}: {result.err}"
    assert digest(DEVICE) == before, "a refused format wrote something"


def case_without_privilege(lab):
    """The device is root's; who may not read it is told so."""
    for verb in "show", "check":
        refused(lab["B"].run(*NOBODY, "tierctl", "portal", verb, REGION, check=False), "/dev/dax", "Permission denied",
                "root may")
    refused(lab["B"].tierctl("portal", "show", "nosuch", check=False), "nosuch", "no such portal or region")
    refused(lab["B"].tierctl("portal", "check", "/dev/null", check=False), "/dev/null", "not a dax device")


def case_foreign_portal(lab):
    """Two other hosts' portal: shown and checked, but none of its extents is ours, and no rule onlines it."""
    a, b = lab["A"], lab["B"]
    made = a.tierctl("portal", "format", REGION, "--host", "X", "--host", "Y", "--name", "lake", "--force", "--json").json()
    before = digest(DEVICE)
    b.stop_daemon()
    b.start_daemon()
    [portal] = portals(b)
    assert (portal["state"], portal["uuid"]) == ("foreign", made["uuid"]) and "slot" not in portal, portal
    expect_offline(b)
    refused(b.tierctl("online", REGION, check=False), REGION, "holds the portal lake")
    assert "BAD" not in b.tierctl("portal", "check", "lake").out
    assert made["uuid"] in b.tierctl("portal", "show").out
    b.rescan()
    expect_offline(b)
    assert digest(DEVICE) == before, "looking changed bytes of another's portal"


def case_portal_on_a_file(lab):
    """For a laptop: on a tmpfs, by anybody."""
    a = lab["A"]
    toy, hosts = "/dev/shm/toy", ("--host", "A", "--host", "B")

    def tierctl(*words, check=True):
        return a.run(*NOBODY, "tierctl", "portal", *words, check=check)

    refused(tierctl("format", toy, *hosts, check=False), toy, "no such file", "--size")
    refused(tierctl("format", toy, *hosts, "--size", "256M", check=False), "fewer than")
    a.run(f"test ! -e {toy}")
    made = tierctl("format", toy, *hosts, "--size", "512M", "--name", "toy", "--json").json()
    assert tierctl("show", toy, "--json").json()["uuid"] == made["uuid"]
    assert "BAD" not in tierctl("check", toy).out
    refused(tierctl("format", toy, *hosts, check=False), toy, "portal toy", "--force")
    assert tierctl("show", toy, "--json").json()["uuid"] == made["uuid"]
    again = tierctl("format", toy, *hosts, "--force", "--json").json()
    assert tierctl("show", toy, "--json").json()["uuid"] == again["uuid"] != made["uuid"]
    a.run(*NOBODY, "truncate", "-s", "300M", toy)
    for verb in "show", "check":
        refused(tierctl(verb, toy, check=False), toy, "truncated", "512M", "300M")
    a.run(f"printf x | dd of={toy} bs=1 conv=notrunc seek=5000 status=none && dd if=/dev/zero of={toy} bs=4k count=1 "
          f"conv=notrunc status=none && dd if=/dev/zero of={toy} bs=4k seek=256 count=1 conv=notrunc status=none")
    refused(tierctl("show", toy, check=False), toy, "no portal superblock", "tierctl portal format")
    refused(tierctl("format", toy, *hosts, "--size", "512M", check=False), toy, "in use for something else", "--force")
    a.run("rm", toy)

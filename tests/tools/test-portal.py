#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl portal format, show, check and fence on plain files.

test-portal.py TIERCTL [TEST...]

Every refusal: one line on stderr, exit 1 (2 for a wrong command line), and not one byte changed.
"""

import fcntl
import hashlib
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

TIERCTL = os.path.abspath(sys.argv[1])
MIB, GIB = 1 << 20, 1 << 30
SUPER, COPY = 4096, MIB
# Where the records of host A are, and how far those of B from them; in a portal of 1 GiB.
HOST_A, AREA, OFFERS, FENCES, BLOBS = 2 * MIB, 63 * MIB, 0x1000, 0x11000, MIB
NEW = ["--host", "A", "--host", "B", "--size", "1G"]


def tierctl(*arguments, config="/dev/null", **environment):
    # Root of a namespace of its own is root enough for files.
    root = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    return subprocess.run([*root, TIERCTL, *arguments, "--config", config], input="typed\n", capture_output=True,
                          text=True, timeout=60,
                          env={**os.environ, "CXL_TIERD_SOCKET": "/nonexistent", "CXL_TIER_KEYS": "/nonexistent",
                               **environment})


def good(*arguments, **how):
    result = tierctl(*arguments, **how)
    assert result.returncode == 0, result
    assert result.stderr == "", result.stderr
    return result.stdout


def digest(path):
    """Of a sparse file: its size, and every byte that is not zero. To have read a hole makes it data."""
    if not os.path.isfile(path):
        return None
    total, at = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            page = os.pread(file.fileno(), SUPER, at)
            if any(page):
                total.update(b"%d" % at + page)
            at += SUPER
    return total.hexdigest(), os.stat(path).st_size


def refused(path, *arguments, status=1, says=(), **how):
    before = digest(path)
    result = tierctl(*arguments, **how)
    assert result.returncode == status, result
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("tierctl: "), result.stderr
    for word in says:
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"
    assert digest(path) == before, "something changed"
    return result


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def alter(path, offset, value, copies=(0, 1), seal=True):
    """Bytes of the superblock, as somebody with a checksum at hand would alter them."""
    with open(path, "r+b") as file:
        for copy in copies:
            file.seek(copy * COPY)
            block = bytearray(file.read(SUPER))
            block[offset:offset + len(value)] = value
            if seal:
                block[-4:] = struct.pack("<I", crc32c(block[:-4]))
            file.seek(copy * COPY)
            file.write(block)


def test_format_and_show(path):
    out = good("portal", "format", path, *NEW, "--name", "lab")
    assert "lab: made of" in out and "not proven on hardware" in out and "home of extents 0-3" in out, out
    out = good("portal", "show", path)
    assert "lab: 1G on " + path in out and "format 1.0" in out and "no flights" in out, out
    assert "not proven on hardware" in out and out.count("never") == 2, out
    shown = json.loads(good("portal", "show", path, "--json"))
    assert shown["name"] == "lab" and shown["extents"] == 7 and not shown["hardware_coherent"]
    assert [host["name"] for host in shown["hosts"]] == ["A", "B"]
    assert [host["free_extents"] for host in shown["hosts"]] == [4, 3]
    assert shown["flights"] == [] and os.stat(path).st_size == GIB
    out = good("portal", "check", path)
    assert "BAD" not in out and "superblock copy 1: good" in out, out
    checked = json.loads(good("portal", "check", path, "--json"))
    assert checked["bad"] == 0 and checked["findings"]


def test_options(path):
    made = json.loads(good("portal", "format", path, "--host", "A,B,C", "--size", "4G", "--extent-size", "256M",
                           "--hardware-coherent", "--json"))
    assert made["extent_bytes"] == 256 * MIB and made["extents"] == 15 and made["hardware_coherent"]
    assert [host["extents"] for host in made["hosts"]] == [5, 5, 5]
    assert json.loads(good("portal", "show", path, "--json"))["uuid"] == made["uuid"]
    assert "coherent by hardware" in good("portal", "show", path)


def test_dry_run(path):
    assert "would be made of" in good("portal", "format", path, *NEW, "--dry-run")
    assert not os.path.exists(path)
    good("portal", "format", path, *NEW)
    refused(path, "portal", "format", path, *NEW, "--dry-run", says=["--force"])
    before = digest(path)
    good("portal", "format", path, *NEW, "--dry-run", "--force")
    assert digest(path) == before


def test_over_a_portal(path):
    good("portal", "format", path, *NEW)
    old = json.loads(good("portal", "show", path, "--json"))["uuid"]
    refused(path, "portal", "format", path, *NEW, says=[old, "--force"])
    good("portal", "format", path, *NEW, "--force")
    assert json.loads(good("portal", "show", path, "--json"))["uuid"] != old


def test_over_other_files(path):
    with open(path, "w") as file:
        file.write("something of mine\n")
    refused(path, "portal", "format", path, *NEW, says=["in use for something else"])
    refused(path, "portal", "show", path)
    refused("/dev/null", "portal", "format", "/dev/null", *NEW, says=["not a plain file"])


def test_bad_requests(path):
    for arguments, word in (
        (["--host", "A", "--size", "1G"], "2 to 16 hosts"),
        (["--host", "A", "--host", "A", "--size", "1G"], "named twice"),
        (["--host", "A", "--host", "../B", "--size", "1G"], "../B"),
        (["--host", "A", "--host", "B", "--size", "256M"], "fewer than the 2 hosts"),
        ([*NEW, "--extent-size", "64M"], "extent size"),
        ([*NEW, "--extent-size", "192M"], "extent size"),
        ([*NEW, "--name", "a/b"], "a portal's name"),
        (["--host", "A", "--host", "B"], "--size"),
    ):
        refused(path, "portal", "format", path, *arguments, says=[word])
    assert not os.path.exists(path)
    for arguments in ([*NEW, "--extent-size", "much"], ["--size", "1G"], [*NEW, "--no-such-option"], [*NEW, "more"]):
        refused(path, "portal", "format", path, *arguments, status=2)
    refused(path, "portal", "format", *NEW, status=2)
    refused(path, "portal", "check", "one", "two", status=2)
    refused(path, "portal", "format", "no-such-region", "--host", "A", "--host", "B", says=["no such region"])
    refused(path, "portal", "show", "no-such-portal", says=["no such portal"])
    refused(path, "portal", "show", path, says=["No such file"])
    refused(path, "portal", "check", path, says=["No such file"])


def each_reader(path, *says):
    for verb in ("show", "check"):
        refused(path, "portal", verb, path, says=says)


def test_bad_magic(path):
    good("portal", "format", path, *NEW)
    alter(path, 0, b"X")
    each_reader(path, "bad magic")


def test_bad_checksums(path):
    good("portal", "format", path, *NEW)
    for copy in (0, 1):
        alter(path, 200, b"x", copies=[copy], seal=False)
        assert f"copy {copy} of the superblock is damaged" in good("portal", "show", path)
        result = tierctl("portal", "check", path)
        assert result.returncode == 1 and f"BAD  superblock copy {copy}: damaged" in result.stdout, result
        assert result.stderr.count("\n") == 1, result.stderr
        good("portal", "format", path, *NEW, "--force")
    alter(path, 200, b"x", seal=False)
    each_reader(path, "checksum")
    refused(path, "portal", "format", path, *NEW, says=["a portal was here", "--force"])


def test_truncated(path):
    good("portal", "format", path, *NEW)
    for size in (GIB - 1, 200 * MIB, 2 * MIB, SUPER):
        os.truncate(path, size)
        each_reader(path, "truncated")


def test_newer_version(path):
    good("portal", "format", path, *NEW)
    alter(path, 8, b"\x02")
    each_reader(path, "version 2.0")
    alter(path, 8, b"\x01")
    alter(path, 32, b"\x10")
    each_reader(path, "unknown incompatible features 0x10")
    refused(path, "portal", "format", path, *NEW, says=["a portal was here"])


def test_bad_extents(path):
    good("portal", "format", path, *NEW)
    first, count = 192 + 64 + 32, 192 + 64 + 36
    alter(path, first, struct.pack("<I", 3))
    each_reader(path, "the extents of two hosts overlap")
    alter(path, first, struct.pack("<I", 5))
    each_reader(path, "past the end")
    alter(path, first, struct.pack("<II", 4, 0xffffffff))
    each_reader(path, "number of extents")
    alter(path, count, struct.pack("<I", 3))
    good("portal", "show", path)
    alter(path, 72, struct.pack("<I", 8))
    each_reader(path, "extents lie past the end")


def scribble(path, *places):
    with open(path, "r+b") as file:
        for place in places:
            file.seek(place)
            file.write(b"scribble")


def test_damaged_record(path):
    good("portal", "format", path, *NEW)
    scribble(path, HOST_A, HOST_A + 256)
    result = tierctl("portal", "check", path)
    assert result.returncode == 1 and "BAD  host A: both copies are damaged" in result.stdout, result
    assert "; tierctl portal check --repair, on A" in result.stdout, result
    assert "damaged" in good("portal", "show", path)
    assert json.loads(good("portal", "show", path, "--json"))["hosts"][0]["damaged"]


def test_show_by_name(path):
    good("portal", "format", path, *NEW, "--name", "byname")
    config = path + ".conf"
    with open(config, "w") as file:
        file.write(f"[Portal here]\nFile={path}\n")

    def run(*arguments):
        return subprocess.run([TIERCTL, *arguments, "--config", config], capture_output=True, text=True, timeout=60)

    result = run("portal", "show", "byname")
    assert result.returncode == 0 and "byname: 1G" in result.stdout, result
    result = run("portal", "show")
    assert result.returncode == 0 and "byname: 1G" in result.stdout, result
    assert json.loads(run("portal", "show", "--json").stdout)[0]["name"] == "byname"
    # Without --name the configuration's is taken.
    os.unlink(path)
    result = run("portal", "format", path, *NEW)
    assert result.stdout.startswith("here: made of"), result
    alter(path, 200, b"x", seal=False)
    result = run("portal", "show")
    assert result.returncode == 1 and "checksum" in result.stderr, result


# ---- records, written as another host would ------------------------------------------------------------------------


def write_record(path, offset, magic, host, index, incarnation, generation, body, size, sequence=1):
    """Both copies."""
    with open(path, "r+b") as file:
        file.seek(16)
        uuid = file.read(16)
        record = struct.pack("<4sHH16sQQII", magic, 1, size, uuid, incarnation, generation, host, index)
        record += body.ljust(size - 48 - 32, b"\0") + struct.pack("<Q", sequence) + bytes(16 + 4)
        record += struct.pack("<I", crc32c(record))
        assert len(record) == size
        file.seek(HOST_A + host * AREA + offset + 2 * size * index)
        file.write(record * 2)


def write_host(path, host, incarnation, beats=1, sequence=1, interval=100000):
    body = struct.pack("<32sQ16sQQ", b"AB"[host:host + 1], 0, b"boot" * 4, interval, 0)
    write_record(path, 0, b"TPho", host, 0, incarnation, beats, body, 256, sequence)


def write_fence(path, host, target, upto, state, incarnation=1):
    body = struct.pack("<QIII", upto, state, 1, host)
    write_record(path, FENCES, b"TPfe", host, target, incarnation, 1, body, 128)


def write_offer(path, source, incarnation, state, destination_incarnation):
    """Of VM demo in extent 0, to the other host."""
    blobs = HOST_A + source * AREA + BLOBS
    body = struct.pack("<16sIIIIQQQQQQQIIQI4x32s64s64s160s16x16xII", b"flight" + bytes(10), 1 - source, state, 4096, 1,
                       64 * MIB, destination_incarnation, 0, blobs, 64, blobs + 4096, 64, 1, 1, incarnation, 1,
                       b"", b"demo", b"pc-q35", b"", 0, 1)
    write_record(path, OFFERS, b"TPof", source, 0, incarnation, 1, body, 1024)


def read_fence(path, host, target):
    """Boots up to, state, method, heir."""
    with open(path, "rb") as file:
        file.seek(HOST_A + host * AREA + FENCES + 256 * target + 48)
        return struct.unpack("<QIII", file.read(20))


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_keyed(path):
    keys = path + ".keys"
    key = os.path.join(keys, "lab.key")
    here = {"CXL_TIER_KEYS": keys}
    new = [*NEW, "--name", "lab"]
    refused(path, "portal", "format", path, *new, "--keyed", says=[key, "--generate-key"], **here)
    good("portal", "format", path, *new, "--generate-key", "--dry-run", **here)
    assert not os.path.exists(path) and not os.path.exists(keys)
    out = good("portal", "format", path, *new, "--generate-key", **here)
    assert "keyed: each host needs a copy" in out, out
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600 and os.stat(key).st_size == 32
    assert "keyed" in good("portal", "show", path, **here)
    assert json.loads(good("portal", "show", path, "--json", **here))["keyed"] is True
    good("portal", "check", path, **here)
    with open(key, "rb") as file:
        secret = file.read()
    refused(path, "portal", "format", path, *new, "--force", "--generate-key", says=["has a key"], **here)
    refused(path, "portal", "format", path, *new, "--force", says=["has a key", "--keyed"], **here)
    good("portal", "format", path, *new, "--force", "--keyed", **here)
    with open(key, "rb") as file:
        assert file.read() == secret, "the key has changed"
    # Nothing is formatted, so no key is left behind either.
    refused(path, "portal", "format", path, *NEW, "--name", "other", "--generate-key", says=["--force"], **here)
    assert os.listdir(keys) == ["lab.key"]
    # Another host, without the key; with one that others can read.
    each_reader(path, "its key is not on this host")
    os.chmod(key, 0o644)
    for verb in ("show", "check"):
        refused(path, "portal", verb, path, says=["not its owner's alone"], **here)
    os.chmod(key, 0o600)
    # A portal of the same name without a key in its place.
    os.unlink(path)
    good("portal", "format", path, *new)
    assert json.loads(good("portal", "show", path, "--json"))["keyed"] is False
    for verb in ("show", "check"):
        refused(path, "portal", verb, path, says=["may have been replaced"], **here)


def test_keyed_by_configuration(path):
    config, link = path + ".conf", path + ".link"
    os.symlink(path, link)

    def say(keyed):
        with open(config, "w") as file:
            file.write(f"[Portal lab]\nFile={path}\nKeyed={keyed}\n")

    here = {"CXL_TIER_KEYS": path + ".keys", "config": config}
    say("yes")
    refused(path, "portal", "format", path, *NEW, says=["Keyed=yes", "--keyed"], **here)
    good("portal", "format", path, *NEW, "--generate-key", **here)
    good("portal", "show", path, **here)
    # One of another name, made elsewhere, in its place; and called by another path.
    os.unlink(path)
    good("portal", "format", path, *NEW, "--name", "other")
    for verb in ("show", "check"):
        for name in (path, link):
            refused(path, "portal", verb, name, says=["not keyed", "Keyed=yes"], **here)
    refused(path, "portal", "check", "--repair", link, says=["not keyed", "Keyed=yes"], CXL_TIERD_SOCKET=path + ".socket",
            **here)
    refused(path, "portal", "show", says=["not keyed", "Keyed=yes"], **here)
    say("no")
    good("portal", "show", path, **here)
    refused(path, "portal", "format", path, *NEW, "--keyed", "--force", says=["Keyed=no", "leave out"], **here)
    # A key for its name is there, and does not matter.
    good("portal", "format", path, *NEW, "--force", **here)
    assert json.loads(good("portal", "show", path, "--json", **here))["keyed"] is False


# ---- repairs -------------------------------------------------------------------------------------------------------


def configure(path, host):
    """The configuration of a host, and what else it needs in its environment."""
    config = f"{path}.{host}.conf"
    with open(config, "w") as file:
        file.write(f"[Portal lab]\nFile={path}\nHost={host}\n")
    return {"config": config, "CXL_TIERD_SOCKET": os.path.join(os.path.dirname(path), f"run-{host}", "socket")}


def lines(text, word):
    return [line.removeprefix(word + " ") for line in text.splitlines() if line.startswith(word + " ")]


def test_repair(path):
    here = configure(path, "A")
    good("portal", "format", path, *NEW, "--name", "lab")
    write_fence(path, 1, 0, 7, 3)
    scribble(path, HOST_A, HOST_A + 256, COPY)
    before = digest(path)
    planned = tierctl("portal", "check", path, "--repair", "--dry-run", **here)
    assert planned.returncode == 1 and planned.stderr.count("\n") == 1, planned
    assert digest(path) == before, "a dry run has written"
    assert len(lines(planned.stdout, "would")) == 2, planned
    result = tierctl("portal", "check", path, "--repair", **here)
    assert result.returncode == 0 and result.stderr == "", result
    assert lines(result.stdout, "done") == lines(planned.stdout, "would"), result
    assert "done superblock copy 1: restored from copy 0" in result.stdout, result
    # B's record knows of its boot 7.
    assert "done host A: new record, incarnation 8" in result.stdout, result
    assert "BAD" not in good("portal", "check", path)
    assert "ok   host A: good, boot 8" in good("portal", "check", path)
    assert lines(good("portal", "check", path, "--repair", **here), "done") == []
    made = json.loads(good("portal", "check", path, "--repair", "--json", **here))
    assert made["bad"] == 0 and made["repairs"] == [] and made["path"] == path, made


def test_repair_is_for_the_writer(path):
    good("portal", "format", path, *NEW, "--name", "lab")
    scribble(path, HOST_A, HOST_A + 256)
    refused(path, "portal", "check", path, "--dry-run", status=2, says=["--repair"])
    before = digest(path)
    result = tierctl("portal", "check", path, "--repair", **configure(path, "B"))
    assert result.returncode == 1 and "left host A: only A may write it" in result.stdout, result
    assert "1 of 1 bad findings are left" in result.stderr, result
    # While cxl-tierd runs the record is its own to write. A superblock is anybody's.
    here = configure(path, "A")
    scribble(path, COPY)
    with open(made_directory(here) + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = tierctl("portal", "check", path, "--repair", "--json", **here)
        assert result.returncode == 1, result
        repairs = {repair["object"]: repair for repair in json.loads(result.stdout)["repairs"]}
        assert repairs["superblock copy 1"]["outcome"] == "done", repairs
        assert repairs["host A"]["outcome"] == "left" and "systemctl stop" in repairs["host A"]["text"], repairs
    assert digest(path) == before
    with open(os.path.join(os.path.dirname(here["CXL_TIERD_SOCKET"]), "fence.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = tierctl("portal", "check", path, "--repair", **here)
        assert result.returncode == 1 and "left host A: tierctl portal fence runs" in result.stdout, result
    good("portal", "check", path, "--repair", **here)


def made_directory(here):
    os.makedirs(os.path.dirname(here["CXL_TIERD_SOCKET"]), exist_ok=True)
    return here["CXL_TIERD_SOCKET"]


def test_nothing_to_repair_from(path):
    good("portal", "format", path, *NEW)
    scribble(path, 200, COPY + 200)
    refused(path, "portal", "check", path, "--repair", says=["no copy to restore it from", "format --force"],
            **configure(path, "A"))


def test_check_all(path):
    here = configure(path, "A")
    good("portal", "format", path, *NEW, "--name", "lab")
    out = good("portal", "check", **here)
    assert f"lab on {path}:" in out and "superblock copy 0: good" in out, out
    found = json.loads(good("portal", "check", "--json", **here))
    assert [portal["portal"] for portal in found] == ["lab"] and "repairs" not in found[0]
    scribble(path, COPY)
    result = tierctl("portal", "check", "--repair", **here)
    assert result.returncode == 0 and "done superblock copy 1" in result.stdout, result


def test_repair_needs_root(path):
    if os.geteuid() != 0:
        return unprivileged(path, [])
    os.chmod(os.path.dirname(path), 0o755)
    return unprivileged(path, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])


def unprivileged(path, prefix):
    good("portal", "format", path, *NEW)
    for arguments in (["check", path, "--repair"], ["fence", "B", "--agent", "true"]):
        result = subprocess.run([*prefix, TIERCTL, "portal", *arguments, "--config", "/dev/null"], capture_output=True,
                                text=True, timeout=60, env={**os.environ, "CXL_TIER_KEYS": "/nonexistent"})
        assert result.returncode == 1 and "needs root" in result.stderr and result.stderr.count("\n") == 1, result


# ---- fences --------------------------------------------------------------------------------------------------------


class Daemon:
    """Answers Portals as the cxl-tierd of host A would, and nothing else."""

    def __init__(self, here, portals):
        self.reply = json.dumps({"parameters": {"portals": portals}}).encode() + b"\0"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(made_directory(here))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                pending = b""
                while data := connection.recv(65536):
                    pending += data
                    while b"\0" in pending:
                        call, pending = pending.split(b"\0", 1)
                        assert json.loads(call)["method"] == "io.cxltier.Manager.Portals", call
                        connection.sendall(self.reply)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def seen(path, name="lab", hosts=("A", "B"), **more):
    return {"path": path, "name": name, "localHost": "A", "slot": 0, "incarnation": 1, "state": "usable",
            "hosts": [{"slot": slot, "name": host} for slot, host in enumerate(hosts)], **more}


def set_up_fence(path):
    """B in its boot 5, A in its boot 1."""
    good("portal", "format", path, *NEW, "--name", "lab")
    write_host(path, 0, 1)
    write_host(path, 1, 5)
    return configure(path, "A")


def script(path, text):
    with open(path + ".agent", "w") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path + ".agent", 0o755)
    return path + ".agent"


def test_fence(path):
    here = set_up_fence(path)
    agent = script(path, 'echo noise; echo "$@ $CXL_TIER_HOST $CXL_TIER_PORTAL $(cat | wc -c)" > "$0.log"\n'
                         f'od -An -tu4 -j {HOST_A + FENCES + 256 + 56} -N 4 {path} >> "$0.log"\n')
    with Daemon(here, [seen(path)]):
        before = digest(path)
        out = good("portal", "fence", "B", "--agent", f"{agent}  -a  10.0.0.1 'off'", "--dry-run", **here)
        assert "boot 5 in lab would be fenced; heir is A" in out, out
        assert digest(path) == before and not os.path.exists(agent + ".log")
        result = tierctl("portal", "fence", "B", "--agent", f"{agent}  -a  10.0.0.1 'off'", **here)
        assert result.returncode == 0 and "boot 5 in lab is fenced; heir is A" in result.stdout, result
        # What the agent says is for a person.
        assert "noise" not in result.stdout and "noise" in result.stderr, result
        with open(agent + ".log") as file:
            said, state = file.read().splitlines()
        # Words as they are, the host, the portal, an empty stdin; and INTENT was stored.
        assert said == "-a 10.0.0.1 'off' B lab 0" and int(state) == 1, (said, state)
        assert read_fence(path, 0, 1) == (5, 2, 1, 0), read_fence(path, 0, 1)
        # Again: it is so already, and nobody is shot twice.
        os.unlink(agent + ".log")
        good("portal", "fence", "B", "--agent", agent, **here)
        assert not os.path.exists(agent + ".log")
    assert "FENCED, boots up to 5, heir is A" in good("portal", "check", path)


def test_fence_that_fails(path):
    here = set_up_fence(path)
    with Daemon(here, [seen(path)]):
        for text, says, seconds in (("exit 3\n", "ended with 3", 30), ("kill -9 $$\n", "ended by signal 9", 30),
                                    ("sleep 300 & wait\n", "did not end within 1 s", 1)):
            agent = script(path, text)
            result = tierctl("portal", "fence", "B", "--agent", agent, "--timeout", str(seconds), **here)
            assert result.returncode == 1 and says in result.stderr, result
            assert read_fence(path, 0, 1)[1] == 3, "not RETRACTED"
        result = tierctl("portal", "fence", "B", "--agent", "/nonexistent/agent", **here)
        assert result.returncode == 1 and "cannot run /nonexistent/agent" in result.stderr, result
        assert result.stderr.count("\n") == 1, result


def test_fence_flights(path):
    here = set_up_fence(path)
    write_offer(path, 1, 5, 3, 1)
    with Daemon(here, [seen(path)]):
        out = good("portal", "fence", "B", "--agent", "true", "--dry-run", **here)
        assert "only A may take it" in out and "tierctl settle demo" in out, out
        made = json.loads(good("portal", "fence", "B", "--agent", "true", "--json", **here))
        assert made["fenced"] and made["incarnation"] == 5 and made["heir"] == "A" and made["method"] == "agent", made
        assert [(f["vm"], f["settle_here"]) for f in made["flights"]] == [("demo", True)], made
        assert "only A may take it" in made["flights"][0]["advice"], made


def test_fence_confirmed(path):
    here = set_up_fence(path)
    stop = threading.Event()

    def beat():
        beats = 1
        while not stop.wait(0.2):
            beats += 1
            write_host(path, 1, 5, beats, beats)

    with Daemon(here, [seen(path)]):
        beating = threading.Thread(target=beat)
        beating.start()
        try:
            result = tierctl("portal", "fence", "B", "--confirm-powered-off", **here)
        finally:
            stop.set()
            beating.join()
        assert result.returncode == 1 and "it beats: it is not powered off" in result.stderr, result
        assert read_fence(path, 0, 1)[1] == 3
        good_result = tierctl("portal", "fence", "B", "--confirm-powered-off", **here)
        assert good_result.returncode == 0 and "watching for 2 s" in good_result.stderr, good_result
        assert read_fence(path, 0, 1) == (5, 2, 2, 0)


def test_fence_refusals(path):
    here = set_up_fence(path)
    fence = ["portal", "fence", "B", "--agent", "true"]
    refused(path, *fence, says=["cxl-tierd", "not running"], **here)
    for arguments, says in ((["portal", "fence", "B"], "one of --agent"),
                            ([*fence, "--confirm-powered-off"], "one of --agent"),
                            (["portal", "fence", "B", "--agent", "  "], "no command"),
                            ([*fence, "--timeout", "0"], "--timeout"),
                            (["portal", "fence", "--agent", "true"], "missing")):
        refused(path, *arguments, status=2, says=[says], **here)
    with Daemon(here, [seen(path)]):
        refused(path, "portal", "fence", "A", "--agent", "true", says=["cannot fence itself"], **here)
        refused(path, *fence, "--heir", "B", says=["its own heir"], **here)
        refused(path, *fence, "--heir", "Z", says=["Z: no host of portal lab"], **here)
        refused(path, "portal", "fence", "Z", "--agent", "true", says=["no portal of this host"], **here)
        refused(path, *fence, "--portal", "pond", says=["pond: no such portal"], **here)
        with open(os.path.join(os.path.dirname(here["CXL_TIERD_SOCKET"]), "fence.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            refused(path, *fence, says=["another tierctl portal fence"], **here)
        # Each way to say which portal.
        for key in ("lab", path, "region9"):
            good(*fence, "--portal", key, "--dry-run", **two_portals(here, path, key))
    for portals, says in (([seen(path), seen(path + "2", "pond")], ["say which with --portal"]),
                          ([seen(path, incarnation=0, problem="it was fenced")], ["takes no part", "it was fenced"])):
        other = dict(here, CXL_TIERD_SOCKET=here["CXL_TIERD_SOCKET"] + says[0][:5].strip())
        with Daemon(other, portals):
            refused(path, *fence, says=says, **other)


KEEP = []


def two_portals(here, path, key):
    other = dict(here, CXL_TIERD_SOCKET=f"{here['CXL_TIERD_SOCKET']}-{re.sub('[^a-z0-9]', '', key)}")
    KEEP.append(Daemon(other, [seen(path, region="region9"), seen(path + "2", "pond")]))
    return other


def main():
    wanted, failed = sys.argv[2:], 0
    for name, test in [(n, t) for n, t in globals().items() if n.startswith("test_")]:
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="tier-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as work:
            try:
                test(os.path.join(work, "portal"))
                print(f"ok {name}")
            except Exception:
                traceback.print_exc(file=sys.stdout)
                print(f"not ok {name}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

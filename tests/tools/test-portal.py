#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tierctl portal format, show and check on plain files.

test-portal.py TIERCTL [TEST...]

Every refusal: one line on stderr, exit 1 (2 for a wrong command line), and not one byte changed.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import traceback

TIERCTL = os.path.abspath(sys.argv[1])
MIB, GIB = 1 << 20, 1 << 30
SUPER, COPY = 4096, MIB
NEW = ["--host", "A", "--host", "B", "--size", "1G"]


def tierctl(*arguments):
    return subprocess.run([TIERCTL, *arguments, "--config", "/dev/null"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "CXL_TIERD_SOCKET": "/nonexistent"})


def good(*arguments):
    result = tierctl(*arguments)
    assert result.returncode == 0, result
    assert result.stderr == "", result.stderr
    return result.stdout


def digest(path):
    """Of a sparse file: its size, and every byte that was ever written."""
    if not os.path.isfile(path):
        return None
    total, at = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            total.update(b"%d %d" % (at, end) + os.pread(file.fileno(), end - at, at))
            at = end
    return total.hexdigest(), os.stat(path).st_size


def refused(path, *arguments, status=1, says=()):
    before = digest(path)
    result = tierctl(*arguments)
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
    assert "lab: 1G on " + path in out and "format 0.1" in out and "no flights" in out, out
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
    refused(path, "portal", "check", status=2)
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
    alter(path, 8, b"\x01")
    each_reader(path, "version 1.1")
    alter(path, 8, b"\x00")
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


def test_damaged_record(path):
    good("portal", "format", path, *NEW)
    with open(path, "r+b") as file:
        file.seek(2 * MIB)
        file.write(b"scribble")
    result = tierctl("portal", "check", path)
    assert result.returncode == 1 and "BAD  host A: both copies are damaged" in result.stdout, result
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

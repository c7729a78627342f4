#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""portal-format.py TOP: the images of the portal format hold what docs/portal-format.md says, where it says so.

A reader that shares nothing with libtier: offsets and sizes come from the document's tables, values from
tests/fixtures/portal/fields.json, checksums and MACs are computed here. A field that the document puts elsewhere than
the images have it, a gap in a table, or a table that overlaps itself is a finding.
"""

import functools
import hashlib
import hmac
import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import habit  # noqa: E402

DOCUMENT = "docs/portal-format.md"
IMAGES = "tests/fixtures/portal"
# Which table says what, by the line that comes before it or by its heading.
TABLES = {"superblock": r"## Superblock, (\d+) bytes", "host slot": r"Host slot, (\d+) bytes",
          "area": r"## Host area()", "record": r"## Records()",
          "host": r"### Host record, (\d+) bytes", "fence": r"### Fence record, (\d+) bytes",
          "extent": r"### Extent record, (\d+) bytes", "offer": r"### Offer, (\d+) bytes",
          "answer": r"### Answer, (\d+) bytes", "manifest": r"## Manifest()", "run": r"A run:()"}
RECORDS = ("host", "fence", "extent", "offer", "answer")
AREAS = {"host": "host record", "fence": "fences", "extent": "extent records", "offer": "offers", "answer": "answers"}
KINDS = ("superblock", "manifest", "opaque") + RECORDS


class Wrong(Exception):
    """What the document and an image do not agree on."""


# ---- the document -----------------------------------------------------------------------------------------------


def tables_of(text):
    """{name: (bytes or None, rows)}; a row is the list of its cells."""
    tables, wanted, size, rows = {}, None, None, None
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if wanted and rows is None:
                rows = []  # the heading
            elif rows is not None and not set(line) <= set("|- "):
                rows.append(cells)
            continue
        if rows is not None:
            tables[wanted], wanted, rows = (size, rows), None, None
        for name, pattern in TABLES.items():
            found = re.match(pattern, line)
            if found:
                wanted, size = name, int(found[1]) if found[1] else None
    missing = sorted(set(TABLES) - set(tables))
    if missing:
        raise Wrong(f"{DOCUMENT} has no table for: {', '.join(missing)}")
    return tables


class Field:
    """One row: what lies where."""

    def __init__(self, cells, total):
        place, width, what = (cells + ["", ""])[:3]
        found = re.fullmatch(r"(?:(size|end) - )?(\d+)", place)
        if not found:
            raise Wrong(f"{DOCUMENT}: no offset: {place}")
        self.at = int(found[2]) if not found[1] else None if total is None else total - int(found[2])
        self.name = re.split(r"[,;:]", what)[0].strip()
        found = re.fullmatch(r"(?:(\d+|n) x )?(\d+)", width)
        if not found and width:
            raise Wrong(f"{DOCUMENT}: no number of bytes: {width}")
        self.count = found[1] if found else None
        self.each = int(found[2]) if found else 0
        self.parts = [int(part) for part in re.findall(r"\((\d)\)", what)]

    def bytes(self, runs):
        return self.each * (1 if self.count is None else runs if self.count == "n" else int(self.count))


def fields_of(tables, kind, total, runs):
    """The fields of a structure in the order of their offsets; every byte belongs to exactly one."""
    fields = [Field(cells, total) for cells in tables[kind][1]]
    if kind in RECORDS:
        common = [Field(cells, total) for cells in tables["record"][1]]
        fields += [field for field in common if field.each]  # the row of the contents has no size
    fields.sort(key=lambda field: field.at)
    end = 0
    for field in fields:
        if field.at != end:
            raise Wrong(f"{DOCUMENT}: {kind}: {field.name} is at {field.at}, what is before it ends at {end}")
        end += field.bytes(runs)
    if end != total:
        raise Wrong(f"{DOCUMENT}: {kind}: ends at {end}, not {total}")
    return fields


def placed(tables, super_fields, kind, host, index):
    """Offset of copy 1 of a record in its portal."""
    for at, what, *_ in tables["area"][1]:
        found = re.match(rf"{AREAS[kind]}[,:] (?:(\d+) (?:slots|hosts) x |(\d+) x |)2 copies x (\d+)", what)
        if not found:
            continue
        if kind == "extent":
            index -= super_fields["host slots"][host][1]
        return (number(super_fields["offset of the host areas"]) + host * number(super_fields["bytes of a host area"]) +
                int(at, 0) + (2 * index + 1) * int(found[3]))
    raise Wrong(f"{DOCUMENT}: the host area has no {AREAS[kind]}")


# ---- values -----------------------------------------------------------------------------------------------------


def number(value):
    return int(value, 0) if isinstance(value, str) else value


def bytes_of(value, width):
    """As the document's conventions have it: numbers little-endian, text filled with zeros."""
    if isinstance(value, dict):
        data = bytes.fromhex(value["hex"])
    elif isinstance(value, str) and not re.fullmatch(r"0x[0-9a-f]+", value):
        data = value.encode("ascii").ljust(width, b"\0")
    else:
        data = number(value).to_bytes(width, "little")
    if len(data) != width:
        raise Wrong(f"{value!r} has not {width} bytes")
    return data


CASTAGNOLI = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
    CASTAGNOLI.append(byte)


@functools.cache
def crc32c(data, seed=0):
    crc = seed ^ 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CASTAGNOLI[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def expected(field, tables, values, runs):
    """The bytes of one field."""
    total = field.bytes(runs)
    if field.name == "reserved":
        return bytes(total)
    if field.name not in values:
        raise Wrong(f"{field.name} has no value in fields.json")
    value = values[field.name]
    if field.count is None:
        return bytes_of(value, total)
    table = {"host slots": "host slot", "runs": "run"}.get(field.name)
    widths = field.parts
    if table:
        widths = [part.each for part in fields_of(tables, table, field.each, 0) if part.name != "reserved"]
    data = b""
    for item in value:
        if len(item) != len(widths):
            raise Wrong(f"{field.name}: {item} is not {len(widths)} values")
        data += b"".join(map(bytes_of, item, widths)).ljust(field.each, b"\0")
    return data.ljust(total, b"\0")


def check_image(name, kind, data, tables, values, portal):
    """Every byte of one image."""
    total = tables[kind][0] or len(data)
    if len(data) != total:
        raise Wrong(f"has {len(data)} bytes, not {total}")
    runs = number(values["number of runs"]) if kind == "manifest" else 0
    used = {"CRC", "MAC"}
    for field in fields_of(tables, kind, total, runs):
        used.add(field.name)
        if field.name == "CRC":
            # A manifest's is seeded by its portal.
            wanted = crc32c(data[:field.at], crc32c(portal["uuid"]) if kind == "manifest" else 0).to_bytes(4, "little")
        elif field.name == "MAC":
            wanted = bytes(field.each)
            if portal["key"]:
                wanted = hmac.new(portal["key"], data[:field.at], hashlib.sha256).digest()[:field.each]
        else:
            wanted = expected(field, tables, values, runs)
        got = data[field.at:field.at + field.bytes(runs)]
        if got != wanted:
            raise Wrong(f"{field.name} at {field.at}: {got.hex()}, not {wanted.hex()}")
    unknown = sorted(set(values) - used)
    if unknown:
        raise Wrong(f"{DOCUMENT} has no {unknown[0]!r} in {kind}")


# ---- the images ---------------------------------------------------------------------------------------------------


def resolve(images, name):
    """The entry of an image with what it takes from another."""
    entry = dict(images[name])
    if "like" in entry:
        like = resolve(images, entry.pop("like"))
        entry = like | entry | {"fields": like["fields"] | entry["fields"]}
    return entry


def check_blob(read, portal_name, values, what, blob, portal, flight):
    """An offer's checksum and MAC of a blob are those of the blob beside it."""
    data = read(f"{portal_name}-{blob}.bin")
    mac = hmac.new(portal["key"], flight + data, hashlib.sha256).digest()[:16] if portal["key"] else bytes(16)
    for field, wanted in ((f"bytes of the {what}", len(data)), (f"CRC of the {what}'s bytes", crc32c(data)),
                          (f"MAC of the {what}", mac)):
        value = values[field]
        if (bytes.fromhex(value["hex"]) if isinstance(value, dict) else number(value)) != wanted:
            raise Wrong(f"{field} is not that of {portal_name}-{blob}.bin")


def check_format(tree, document=None):
    """document: instead of the tree's; then the first finding is enough."""
    directory = tree.top / IMAGES

    def read(name):
        try:
            return (directory / name).read_bytes()
        except FileNotFoundError:
            raise Wrong("there is no such file") from None

    findings = []
    text = tree.text(DOCUMENT) if document is None else document
    derived = re.search(r"of `(cxl-tier [^`]*)`, its terminating zero", text)
    try:
        tables = tables_of(text)
        if not derived:
            raise Wrong(f"{DOCUMENT} does not say what the key is derived of")
        given = json.loads(read("fields.json"))
        images = given["images"]
    except Wrong as wrong:
        return [str(wrong)]
    listed = dict(reversed(line.split()) for line in read("SHA256SUMS").decode().splitlines())
    files = {path.name for path in directory.iterdir()} - {"fields.json", "SHA256SUMS"}
    for name in sorted(files ^ set(images) | files ^ set(listed)):
        findings.append(f"{name} is not in all of {IMAGES}, fields.json and SHA256SUMS")
    seen = set()
    for name in images:
        portal_name = name.split("-")[0]
        try:
            entry, data = resolve(images, name), read(name)
            kind, values = entry["kind"], entry["fields"]
            seen.add(kind)
            if hashlib.sha256(data).hexdigest() != listed.get(name):
                raise Wrong("its SHA-256 is not that of SHA256SUMS")
            if kind == "opaque":
                continue
            super_fields = resolve(images, f"{portal_name}-superblock.bin")["fields"]
            uuid = bytes.fromhex(super_fields["portal UUID"]["hex"])
            portal = {"uuid": uuid, "key": None}
            if number(super_fields["incompatible features"]) & 1:
                portal["key"] = hmac.new(given["secret"].encode(), derived[1].encode() + b"\0" + uuid,
                                         hashlib.sha256).digest()
            check_image(name, kind, data, tables, values, portal)
            if kind in RECORDS:
                host, index, at = entry["place"]
                if placed(tables, super_fields, kind, host, index) != number(at):
                    raise Wrong(f"lies at {placed(tables, super_fields, kind, host, index):#x}, not {at}")
            if kind == "offer" and number(values["bytes of the manifest"]):
                flight = bytes.fromhex(values["UUID of the flight"]["hex"])
                check_blob(read, portal_name, values, "manifest", "manifest", portal, flight)
                check_blob(read, portal_name, values, "device state", "state", portal, flight)
        except Wrong as wrong:
            findings.append(f"{name}: {wrong}")
            if document is not None:
                return findings
    return findings + [f"no image of kind {kind}" for kind in KINDS if kind not in seen]


def prove(tree):
    """Each number of each table, changed by one, is found."""
    text = tree.text(DOCUMENT)
    missed, tried, tables, wanted = [], 0, 0, None
    lines = text.splitlines(keepends=True)
    for i, line in enumerate(lines):
        if not line.startswith("|"):
            headings = [name for name, pattern in TABLES.items() if re.match(pattern, line)]
            wanted = headings[0] if headings else None if line.strip() and line[0] == "#" else wanted
            continue
        # The blobs' and the unused part's offset in the area are no record's.
        if wanted is None or (wanted == "area" and re.search(r"\| (blobs|unused)", line)):
            continue
        tables += lines[i - 1].strip() == ""
        found = re.match(r"\| (?:(?:size|end) - )?(0x)?(\w+) ", line)
        if not found or not found[2][0].isdigit():
            continue
        changed = f"{int(found[2], 16) + 1:x}" if found[1] else str(int(found[2]) + 1)
        # The row of the contents, which is no field.
        if re.match(r"\| \d+ +\| +\| contents", line):
            continue
        start, end = found.span(2)
        broken = "".join(lines[:i]) + line[:start] + changed + line[end:] + "".join(lines[i + 1:])
        tried += 1
        if not check_format(tree, broken):
            missed.append(line.strip()[:60])
    if tables != len(TABLES) or tried < 90:
        missed.append(f"tried only {tried} offsets of {tables} tables")
    return habit.say(f"portal format sees each of {tried} offsets changed", missed)


def main(argv):
    tree = habit.Tree(habit.top_from(argv))
    good = habit.say("portal format", check_format(tree))
    if good:
        good &= prove(tree)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))

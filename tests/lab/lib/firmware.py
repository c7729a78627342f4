# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables that a device or the firmware hands to Linux, where QEMU's own do not say what a test needs."""

import struct

_DSMAS, _DSLBIS, _DSEMTS = 0, 1, 4
_SHAREABLE = 1 << 3
# Type of data as in the HMAT, unit (picoseconds or MB/s), value: 150 ns to read, 250 ns to write, 16 GB/s.
_PERFORMANCE = (1, 10000, 15), (2, 10000, 25), (4, 1000, 16), (5, 1000, 16)
_ENABLED = 1


def _summed(table, at):
    """With the byte at this offset such that the sum of all of them is 0."""
    table = bytearray(table)
    table[at] = -sum(table) & 0xff
    return bytes(table)


def cdat(size, shareable):
    """A CXL device's coherent device attribute table (revision 1.03): one volatile range that takes up all of it."""
    body = struct.pack("<BxHBBxxQQ", _DSMAS, 24, 0, _SHAREABLE if shareable else 0, 0, size)
    for kind, unit, value in _PERFORMANCE:
        body += struct.pack("<BxHBBBxQHHHxx", _DSLBIS, 24, 0, 0, kind, unit, value, 0, 0)
    body += struct.pack("<BxHBBxxQQ", _DSEMTS, 24, 0, 0, 0, size)
    return _summed(struct.pack("<IBB6xI", 16 + len(body), 2, 0, 0) + body, 5)


def srat(cpus, ranges):
    """ACPI's static resource affinity table: CPUs in proximity domain 0, ranges as (domain, base, size)."""
    body = struct.pack("<I8x", 1)
    for cpu in range(cpus):
        body += struct.pack("<BBBBIB3xI", 0, 16, 0, cpu, _ENABLED, 0, 0)
    for domain, base, size in ranges:
        body += struct.pack("<BBIxxQQ4xI8x", 1, 40, domain, base, size, _ENABLED)
    header = struct.pack("<4sIBB6s8sI4sI", b"SRAT", 36 + len(body), 3, 0, b"CXLTIE", b"CXLTIER ", 1, b"LAB ", 1)
    return _summed(header + body, 9)

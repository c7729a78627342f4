# SPDX-License-Identifier: GPL-2.0-or-later
"""An empty ext2 of up to 128 MiB, as hosts have no mke2fs: a file system whose page cache gets dirty."""

import struct

_BLOCK = 4096
_INODES, _FIRST_INODE = 64, 11
# Superblock and group descriptor, bitmaps of blocks and inodes, two blocks of inodes, the root directory.
_DESCRIPTOR, _BLOCK_MAP, _INODE_MAP, _INODE_TABLE, _ROOT, _USED = 1, 2, 3, 4, 6, 7


def _bitmap(used, valid):
    """Bits below @used and from @valid on are set."""
    return (((1 << _BLOCK * 8) - 1) & ~(((1 << valid) - 1) & ~((1 << used) - 1))).to_bytes(_BLOCK, "little")


def image(size):
    """Its first blocks; the rest, up to @size, is zero."""
    blocks = size // _BLOCK
    free, free_inodes = blocks - _USED, _INODES - _FIRST_INODE + 1
    superblock = struct.pack("<11I", _INODES, blocks, 0, free, free_inodes, 0, 2, 2, 8 * _BLOCK, 8 * _BLOCK, _INODES)
    superblock += struct.pack("<2I6H4I", 0, 0, 0, 0xffff, 0xef53, 1, 1, 0, 0, 0, 0, 0)
    descriptor = struct.pack("<3I3H", _BLOCK_MAP, _INODE_MAP, _INODE_TABLE, free, free_inodes, 1)
    root = struct.pack("<2H5I2H4I", 0o40755, 0, _BLOCK, 0, 0, 0, 0, 0, 2, 8, 0, 0, _ROOT)
    entries = struct.pack("<IHH4s", 2, 12, 1, b".") + struct.pack("<IHH4s", 2, _BLOCK - 12, 2, b"..")
    parts = {0: bytes(1024) + superblock, _DESCRIPTOR: descriptor, _BLOCK_MAP: _bitmap(_USED, blocks),
             _INODE_MAP: _bitmap(_FIRST_INODE - 1, _INODES), _INODE_TABLE: bytes(128) + root, _ROOT: entries}
    return b"".join(parts.get(number, b"").ljust(_BLOCK, b"\0") for number in range(_USED))

# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of memory, injected by a host's QEMU, and a process to be hit by them."""

import json
import subprocess

import scenario

# Touches its memory, says where one page of it lies, becomes another user if told so, and reads it all again when
# /run/holder has gone.
HOLDER = r"""
import ctypes, mmap, os, struct, sys, time
m = mmap.mmap(-1, 4 << 20)
for at in range(0, len(m), 4096):
    m[at] = 7
address = ctypes.addressof(ctypes.c_char.from_buffer(m)) + (2 << 20)
with open("/proc/self/pagemap", "rb") as f:
    f.seek(address // 4096 * 8)
    entry, = struct.unpack("<Q", f.read(8))
if len(sys.argv) > 1:
    os.setuid(int(sys.argv[1]))
print("holder", os.getpid(), (entry & ((1 << 55) - 1)) * 4096, flush=True)
while os.path.exists("/run/holder"):
    time.sleep(0.05)  # interval of a deadline
print("others", m[1 << 20], flush=True)
print("bad", m[2 << 20], flush=True)
"""


def hold(host, region, *arguments):
    """The holder with memory of a region's node: the command, its pid, and where its page lies."""
    node = next(r["target_node"] for r in host.tierctl("list", "regions", "--json").json() if r["name"] == region)
    host.run("touch /run/holder")
    holder = host.start("numactl", f"--membind={node}", "python3", "-I", "-S", "-c", HOLDER, *arguments)
    pid, address = map(int, holder.wait_line("holder", 60).split()[1:])
    return holder, pid, address


def qmp(host, command, **arguments):
    text = json.dumps({"execute": command, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}})
    done = subprocess.run([scenario.HOST, "qmp", host.name, text], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def poison(host, device, dpa, length=64):
    qmp(host, "cxl-inject-poison", path=f"/machine/peripheral/dev{device}", start=dpa, length=length)


def media_error(host, device, dpa):
    """What a device says when it meets a line that it cannot correct."""
    qmp(host, "cxl-inject-general-media-event", path=f"/machine/peripheral/dev{device}", log="fatal", flags=1, dpa=dpa,
        descriptor=1, type=0, sub_type=0, transaction_type=1, cme_ev_flags=0, cme_count=0)

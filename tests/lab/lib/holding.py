# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that keep memory online, and what tierctl offline says of them."""

from rules import objects

PINS = 5

# Memory that a pipe refers to, by vmsplice(): for longer pins the kernel takes pages out of Movable first. Tells where it is.
PINNER = f"""
import ctypes, mmap, os, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
area = mmap.mmap(-1, {PINS} * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area[:] = b"x" * len(area)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
receive, send = os.pipe()
n = libc.vmsplice(send, ctypes.byref(iovec(address, len(area))), 1, 0)
assert n == len(area), (n, os.strerror(ctypes.get_errno()))
with open("/proc/self/pagemap", "rb") as f:
    f.seek(address // 4096 * 8)
    pages = struct.unpack("<{PINS}Q", f.read({PINS} * 8))
print("held by", os.getpid(), *((page & ((1 << 55) - 1)) * 4096 for page in pages), flush=True)
signal.pause()
"""


class Holder:
    """A process whose memory is on a node, for as long as this lasts."""

    def __init__(self, host, node, script, policy="preferred", user=()):
        self.host = host
        self.stream = host.start(*user, "numactl", f"--{policy}={node}", "python3", "-I", "-S", "-c", script)
        self.pid, *self.addresses = map(int, self.stream.wait_line("held by", 90).split()[2:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.host.run(f"kill -KILL {self.pid}", check=False)
        self.stream.wait(30)


def offline(host, *options, check=False, timeout=200):
    """The tool's answer, its progress and its report."""
    done = host.tierctl("offline", *options, "--json", check=check, timeout=timeout)
    found = objects(done.out)
    report = found[-1] if found else None
    return done, [o for o in found if "progress" in o], report.get("report", report) if report else None

# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel series costs who has no typed node: instructions, on one machine each with and without it.

Both kernels have the same configuration but for what the series adds. QEMU counts instructions (-icount) and makes the
processor's time stamp of them, so the figures do not depend on the machine that emulates.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

TITLE = "Instructions per page without a typed node, with the series against without"
# What is left when nothing is added to the path: other code around it, and where a round happens to begin.
TARGET = 1.002
SIZE_TARGET = 1.005
SECONDS = 600
# As few instructions as can be for zeroing pages, which is the same in both and would hide what differs: no string
# instructions that count once for each byte, and no second zeroing by the allocator.
CPU = "max,-hypervisor,-erms,-fsrm,-fzrm"
APPEND = "console=ttyS0 quiet panic=-1 nokaslr tsc=reliable init_on_alloc=0"
LOOPS = {"page-faults": "anonymous page fault", "allocations": "page allocated and freed in the kernel",
         "system-calls": "system call that allocates nothing"}


def _kernel(*flavour):
    subprocess.run(["kernel/build", *flavour], check=True, stdout=sys.stderr)
    done = subprocess.run(["kernel/build", *flavour, "--path"], text=True, capture_output=True, check=True)
    # Where the lab's root has it, in which all of this runs.
    return pathlib.Path("/var/cache/cxl-tier/linux", os.path.basename(done.stdout.strip()))


def _initramfs(directory):
    """In the lab's root, where the compiler is: one static program."""
    script = (f"set -e; cd {directory}; gcc -O2 -static -o init /src/tests/bench/cost.c; mkdir dev; "
              "mknod dev/console c 5 1; printf '%s\\n' init dev dev/console | cpio --quiet -o -H newc >initramfs")
    subprocess.run(["tests/lab/enter", "sh", "-c", script], check=True)
    return f"{directory}/initramfs"


def _measure(kernel, initramfs):
    """{loop: instructions per page}"""
    done = subprocess.run(
        ["tests/lab/enter", "qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35",
         "-accel", "tcg", "-icount", "shift=0,sleep=off", "-cpu", CPU, "-smp", "1", "-m", "1G", "-kernel",
         kernel / "bzImage", "-initrd", initramfs, "-append", APPEND, "-serial", "stdio"], text=True, errors="replace", capture_output=True, check=False, timeout=SECONDS,
        stdin=subprocess.DEVNULL)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("cost ")]
    if lines[-1:] != [["cost", "end"]]:
        raise RuntimeError(f"{kernel.name} did not get to its end: {done.stdout[-800:]}{done.stderr[-400:]}")
    return {words[1]: int(words[3]) / int(words[2]) for words in lines[:-1]}


def _bloat(patched, unpatched):
    """Bytes of the kernel's functions and data with and without the series; each function's into build/bench."""
    script = f"exec /var/cache/cxl-tier/linux/source-*/scripts/bloat-o-meter {unpatched}/vmlinux {patched}/vmlinux"
    done = subprocess.run(["tests/lab/enter", "sh", "-c", script], text=True, capture_output=True, check=True)
    pathlib.Path("build/bench/kernel-bloat.txt").write_text(done.stdout)
    before, after = re.search(r"^Total: Before=(\d+), After=(\d+)", done.stdout, re.M).groups()
    return int(after), int(before)


def run():
    patched, unpatched = _kernel(), _kernel("--unpatched")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        initramfs = _initramfs(directory)
        ours, peer = (_measure(kernel, initramfs) for kernel in (patched, unpatched))
    figures = [{"figure": LOOPS[loop], "unit": "instructions", "ours": round(ours[loop], 2), "peer": round(peer[loop], 2),
                "target": TARGET} for loop in LOOPS]
    size = _bloat(patched, unpatched)
    figures.append({"figure": "functions and data of the kernel, by bloat-o-meter", "unit": "bytes", "ours": size[0], "peer": size[1],
                    "target": SIZE_TARGET})
    for figure in figures:
        figure["peer_name"] = "Linux without the series"
    return figures

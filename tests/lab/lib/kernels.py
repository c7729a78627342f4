# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel the hosts boot: --kernel, else KERNEL, else the one of kernel/series if it is built, else Debian's."""

import os
import subprocess

import paths

STOCK = ("stock", "debian")
BUILT = {"patched": ["kernel/build"], "debug": ["kernel/build", "--debug"], "unpatched": ["kernel/build", "--unpatched"],
         "next": ["kernel/next"]}


class Choice:
    """kind: stock, patched, debug, unpatched, next or own; name: as image.Kernel takes it; why: what led to a stock kernel."""

    def __init__(self, kind, name, why=""):
        self.kind, self.name, self.why = kind, name, why

    @property
    def has_series(self):
        """True unless it is known not to: of a kernel of somebody's own, nothing is known."""
        return self.kind not in ("stock", "unpatched", "next")


def has_series():
    return any(not p.name.startswith("0000-") for p in (paths.SRC / "kernel/series").glob("[0-9]*.patch"))


def _built(kind):
    """The directory of a kernel that kernel/build or kernel/next made, or None."""
    done = subprocess.run([paths.SRC / BUILT[kind][0], *BUILT[kind][1:], "--path"], text=True, capture_output=True,
                          check=False)
    path = done.stdout.strip()
    if done.returncode == 0:
        # It counts as used now.
        os.utime(path)
        return path
    return None


def _flavour(path):
    """What kernel/build or kernel/next says that it is; anybody else's is their own."""
    try:
        with open(f"{path}/made-from") as file:
            return next((line.split()[1] for line in file if line.startswith("flavour: ")), "own")
    except OSError:
        return "own"


def pin():
    """Choose once for a whole run: kernel/series may change while it lasts."""
    choice = choose()
    be_patient(choice)
    os.environ["KERNEL"] = "stock" if choice.kind == "stock" else choice.name
    if choice.why:
        os.environ["KERNEL_FALLBACK"] = choice.why
    return choice


def be_patient(choice):
    """A kernel that checks everything needs longer for everything."""
    if choice.kind == "debug":
        os.environ.setdefault("LAB_PATIENCE", "6")


def choose(name=None):
    wanted = name or os.environ.get("KERNEL") or ""
    if wanted in STOCK:
        # Set by tests/run, which found no other one.
        return Choice("stock", "debian", "" if name else os.environ.get("KERNEL_FALLBACK", ""))
    if wanted in BUILT:
        path = _built(wanted)
        if path is None:
            raise paths.LabError(f"kernel {wanted}: is not built: {' '.join(BUILT[wanted])}, or KERNEL=stock")
        return Choice(wanted, path)
    if wanted:
        path = wanted if os.path.exists(wanted) else str(paths.SRC / wanted)
        return Choice(_flavour(path), path)
    if not has_series():
        return Choice("stock", "debian", "kernel/series is empty")
    path = _built("patched")
    if path is None:
        return Choice("stock", "debian", "the kernel of kernel/series is not built: make kernel")
    return Choice("patched", path)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are, as seen inside the lab's root, and how a user is told that something is missing."""

import os
import pathlib

LAB_ID = os.environ["LAB_ID"]
ROOT_HASH = os.environ["LAB_ROOT_HASH"]

SRC = pathlib.Path("/src")
LAB = SRC / "tests/lab"
CACHE = pathlib.Path("/var/cache/cxl-tier")
# The root once more, without anything mounted in it.
ROOT = CACHE / f"root-{ROOT_HASH}"
BUILD = SRC / "build/lab"
STAGE = BUILD / "stage"
HOSTS = BUILD / "-".join(filter(None, ("hosts", os.environ.get("LAB_INSTANCE"))))
# Sockets and locks: a short path, since a socket's may have 107 characters.
RUN = pathlib.Path(f"/run/cxl-tier-lab-{LAB_ID}")
# The contents of the CXL devices. tmpfs: only there do userfaultfd and dax behave as on the device.
DEVICES = pathlib.Path(f"/dev/shm/cxl-tier-lab-{LAB_ID}")


class LabError(Exception):
    """What the user did or lacks, in one line."""


def patience(seconds):
    """A deadline for this lab: LAB_PATIENCE says how many times longer everything may take."""
    return seconds * float(os.environ.get("LAB_PATIENCE", "1"))


def outside(path):
    """The path as the machine's user types it."""
    path = str(path)
    checkout = os.environ.get("LAB_CHECKOUT", "/src")
    return checkout + path[len("/src"):] if path.startswith("/src/") else path

# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks between concurrent runs of the lab's tools; released when the process ends, however it ends."""

import contextlib
import fcntl

import paths


@contextlib.contextmanager
def lock(name):
    paths.RUN.mkdir(parents=True, exist_ok=True)
    with open(paths.RUN / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that outlive the command that started them: identified by pid and start time, so that a pid which the
kernel gave to somebody else is never signalled."""

import os
import time


def start_time(pid):
    """The process's start in clock ticks since boot, or None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def identity(pid):
    return {"pid": pid, "start": start_time(pid)}


def alive(process):
    return process is not None and process["start"] is not None and start_time(process["pid"]) == process["start"]


def send(process, signal):
    """True if the process was still ours to signal."""
    if not alive(process):
        return False
    try:
        os.kill(process["pid"], signal)
    except ProcessLookupError:
        return False
    return True


def wait_gone(process, seconds):
    end = time.monotonic() + seconds
    while alive(process):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

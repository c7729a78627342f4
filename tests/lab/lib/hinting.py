# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases about the kernel's own tiering share, beside heating: how its hinting faults see a load in time."""

# Touches a second. The kernel takes a page for hot that is touched within a second, as few cold ones are to be.
RATE = 100000
_SCAN = "/sys/kernel/debug/sched/numa_balancing/scan_period_max_ms"


def scan_often(host):
    """By itself the kernel unmaps a process' pages ever more seldom, up to once a minute."""
    host.run(f"echo 4000 >{_SCAN}")

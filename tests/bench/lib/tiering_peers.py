# SPDX-License-Identifier: GPL-2.0-or-later
"""Who moves pages in tests/bench/tiering.py: each as those who made it recommend it, with where that is said."""

# Off, whatever the kernel's configuration has as default, so that one moves pages at a time.
_KERNEL_OFF = ["echo 0 >/proc/sys/kernel/numa_balancing", "echo 0 >/sys/kernel/mm/numa/demotion_enabled"]

# scripts/mem_tier.sh of damo: node 0 is the fast one here as well. Its goals are 0.5 % free and 99.7 % used. The kernel keeps
# a larger part free of a node as small as this host's than of a large one, so that with the script's own figures nothing was
# moved here: there is no room for what would be promoted. They are scaled, by an estimate of what is kept free of a large node.
_DAMO = """damo start \
--numa_node 0 --monitoring_intervals_goal 4% 3 5ms 10s \
--damos_action migrate_cold 1 --damos_access_rate 0% 0% --damos_apply_interval 1s \
--damos_quota_interval 1s --damos_quota_space 200MB --damos_quota_goal node_mem_free_bp 3% 0 \
--damos_filter reject young \
--numa_node 1 --monitoring_intervals_goal 4% 3 5ms 10s \
--damos_action migrate_hot 0 --damos_access_rate 5% max --damos_apply_interval 1s \
--damos_quota_interval 1s --damos_quota_space 200MB --damos_quota_goal node_mem_used_bp 98.2% 0 \
--damos_filter allow young --damos_nr_quota_goals 1 1 --damos_nr_filters 1 1 \
--nr_targets 1 1 --nr_schemes 1 1 --nr_ctxs 1 1"""

CONFIG = "/etc/cxl-tier/cxl-tierd.conf.d/50-bench.conf"
# For the kernel's own use, too: with DRAM full of a load's pages, which nobody may move yet, there is none for page tables
# in a node that is Movable, and the OOM killer comes while it is half empty.
RULES = "[Region own]\nMatchSerial=1\nOnline=kernel\n[Tiering]\nTier=%s\n"
PID, LOG = "/run/cxl-tierd.pid", "/run/cxl-tierd.log"


def start_daemon(tier):
    """In a host without an init system. Its output goes to a file, as it would go to the journal."""
    return [f"mkdir -p {CONFIG.rpartition('/')[0]}; printf '{RULES % tier}' >{CONFIG}".replace("\n", "\\n"),
            f"setsid /usr/sbin/cxl-tierd </dev/null >>{LOG} 2>&1 & echo $! >{PID}",
            "timeout 60 sh -c 'until varlinkctl call /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Ping {} "
            ">/dev/null 2>&1; do :; done'"]


STOP_DAEMON = [f"kill $(cat {PID})", f"timeout 90 tail --pid=$(cat {PID}) -f /dev/null"]

# name: what begins it and ends it (shell); the kernel's reasons for its moves; where its settings come from.
PEERS = {
    "first touch": {
        "begin": _KERNEL_OFF, "end": [], "moves": [],
        "source": "nobody moves anything: a page stays where it was first touched"},
    "kernel": {
        "begin": ["echo 2 >/proc/sys/kernel/numa_balancing", "echo 1 >/sys/kernel/mm/numa/demotion_enabled"],
        "end": _KERNEL_OFF, "moves": ["numa_misplaced", "demotion"],
        "source": "Linux, Documentation/admin-guide/sysctl/kernel.rst (numa_balancing) and "
                  "Documentation/ABI/testing/sysfs-kernel-mm-numa; all else as Debian has it"},
    "damo": {
        "begin": [*_KERNEL_OFF, "damo module stat write enabled N", _DAMO], "end": ["damo stop"], "moves": ["damon"],
        "source": "damo, scripts/mem_tier.sh, its authors' example of memory tiering (added after 2.8.3, which takes all "
                  "of its options), the same policy and figures as Linux, samples/damon/mtier.c; the goals of 0.5 % free "
                  "and 99.7 % used are 3 % and 98.2 %, scaled by estimate to what the kernel keeps free of a small node"},
    "cxl-tierd": {
        "begin": [*_KERNEL_OFF, *start_daemon("auto")], "end": STOP_DAEMON,
        "moves": ["damon", "numa_misplaced", "demotion"],
        "source": "docs/tiering.md, cxl-tierd.conf(5): Tier=auto, all else by default"},
}
OURS, NOBODY = "cxl-tierd", "first touch"
# Tasks that do somebody's work apart from the load: by how their name begins.
WORKERS = "kdamond", "kswapd", "kcompactd", "cxl-tierd", "tierd-tiering", "damo"
VERSIONS = "uname -r; damo version; valkey-server --version; sqlite3 --version; cxl-tierd --version"

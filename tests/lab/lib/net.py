# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's network namespace: a bridge for management, a bridge for the cluster, two taps per host.

A sleeping process holds the namespace; with it go bridges and taps. No IPv6 and no spanning tree, so that nothing
flows while nobody sends.
"""

import json
import os
import signal
import subprocess
import time

import paths
import process

MANAGEMENT = "10.65.0"
CLUSTER = "10.66.0"
# The machine's own address on the management bridge, from which commands are sent.
OURS = 254

_STATE = paths.RUN / "net.json"


def _holder():
    try:
        holder = json.loads(_STATE.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return holder if process.alive(holder) else None


def _run(commands):
    subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)


def ensure():
    """Make the namespace if there is none. Call with the lab's lock held."""
    if _holder():
        return
    child = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{child.pid}/ns/net") == ours:
        if child.poll() is not None:
            raise paths.LabError("cannot make a network namespace: is this machine a container without the right?")
        time.sleep(0.005)
    _STATE.write_text(json.dumps(process.identity(child.pid)))
    pid = os.fork()
    if pid == 0:
        try:
            enter()
            for scope in "default", "all":
                # Absent where the kernel has no IPv6 at all.
                knob = f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"
                if os.path.exists(knob):
                    with open(knob, "w") as file:
                        file.write("1")
            _run(f"""link set lo up
link add mgmt type bridge stp_state 0 mcast_snooping 0 forward_delay 0
link add cluster type bridge stp_state 0 mcast_snooping 0 forward_delay 0
address add {MANAGEMENT}.{OURS}/24 dev mgmt
link set mgmt up
link set cluster up
""")
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        remove()
        raise paths.LabError("cannot make the lab's bridges: the kernel needs bridge and tun")


def enter():
    """Move this process (its calling thread) into the lab's network namespace."""
    holder = _holder()
    if not holder:
        raise paths.LabError("no host is up")
    fd = os.open(f"/proc/{holder['pid']}/ns/net", os.O_RDONLY)
    os.setns(fd, os.CLONE_NEWNET)
    os.close(fd)


def holder_pid():
    holder = _holder()
    return holder["pid"] if holder else None


def add_taps(index):
    """Two taps for host number index; what an earlier host left behind is replaced. In the namespace."""
    for bridge in "mgmt", "cluster":
        tap = f"{bridge}{index}"
        if os.path.exists(f"/proc/self/net/dev_snmp6/{tap}") or f"{tap}:" in counters_text():
            subprocess.run(["ip", "link", "delete", tap], stderr=subprocess.DEVNULL)
        # Hosts reach each other over the cluster network only, so that its counters are all there is to count.
        isolated = f"link set {tap} type bridge_slave isolated on\n" if bridge == "mgmt" else ""
        _run(f"tuntap add {tap} mode tap\nlink set {tap} master {bridge}\n{isolated}link set {tap} up\n")


def remove_taps(index):
    for bridge in "mgmt", "cluster":
        subprocess.run(["ip", "link", "delete", f"{bridge}{index}"], stderr=subprocess.DEVNULL)


def counters_text():
    with open("/proc/thread-self/net/dev") as file:
        return file.read()


def counters(index):
    """Bytes and packets on the host's two networks, in the host's own sense of sent and received. In the namespace.

    Counted on the taps, outside the host: what a tap receives is what the host sent.
    """
    stats = {}
    for line in counters_text().splitlines():
        name, _, values = line.strip().partition(":")
        for bridge in "mgmt", "cluster":
            if name == f"{bridge}{index}":
                v = [int(x) for x in values.split()]
                stats[bridge] = {"sent_bytes": v[0], "sent_packets": v[1], "received_bytes": v[8],
                                 "received_packets": v[9]}
    return stats


def remove():
    holder = _holder()
    if holder:
        process.send(holder, signal.SIGKILL)
    _STATE.unlink(missing_ok=True)

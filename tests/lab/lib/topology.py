# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host consists of: from a topology file or the command line to QEMU's arguments. Pure but for reading files.

A host is a dictionary with the keys of _DEFAULTS; README.md describes them.
"""

import json
import re

import paths

_DEFAULTS = {
    "dram": "2G",           # node 0, which has the CPUs
    "cpus": 2,
    "nodes": [],            # more DRAM nodes without CPUs: {"dram": SIZE}
    "distances": [],        # SLIT: [from, to, value]
    "hmat": [],             # HMAT entries as QEMU's -numa takes them: {"type": "hmat-lb", ...}
    "generic_ports": [],    # {"bridge": N}: a node for the path to that CXL host bridge, for use in hmat
    "cxl": [],              # devices
    "windows": [],          # fixed memory windows; those that are not listed are made as devices need them
    "slots": 4,             # memory hotplug; never 0, since the SRAT depends on it
    "maxmem": "16G",
    "watchdog": False,      # an Intel 6300ESB; when it expires the host ends, as with a reset and --no-reboot
    "srat": None,           # instead of QEMU's own: "none", or a file as firmware.srat() makes it
}
_CXL_KEYS = {"serial", "size", "file", "window", "bridge", "switch", "cdat"}
_WINDOW_KEYS = {"size", "targets", "granularity"}
_MIB = 1 << 20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,7}$")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


def check_name(name):
    if not _NAME.match(name):
        raise paths.LabError(f"host name {name}: 1 to 8 letters, digits or hyphens, a letter first")
    return name


def size_bytes(text):
    match = re.fullmatch(r"(\d+)([KMGT]?)", str(text))
    if not match or int(match[1]) == 0:
        raise paths.LabError(f"size {text}: expected a number with K, M, G or T")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[match[2]]


def parse_pairs(option, text):
    """"serial=1,size=1G" as a dictionary; a list within a value is separated by colons."""
    pairs = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator or not key or not value:
            raise paths.LabError(f"{option} {text}: expected KEY=VALUE, separated by commas")
        pairs[key] = value
    return pairs


def _number(value, what):
    try:
        return int(str(value), 0)
    except ValueError:
        raise paths.LabError(f"{what} {value}: expected a number") from None


def _plain_name(what, name):
    if not _FILE.match(name):
        raise paths.LabError(f"{what} {name}: a plain name, without directories")
    return name


def load(name):
    """The hosts of a topology file, by name; a name without a slash is one of those shipped."""
    path = paths.LAB / "topologies" / f"{name}.json" if "/" not in name else name
    try:
        with open(path) as file:
            data = json.load(file)
    except FileNotFoundError:
        have = ", ".join(sorted(p.stem for p in (paths.LAB / "topologies").glob("*.json")))
        raise paths.LabError(f"no topology {name}; there are: {have}") from None
    except json.JSONDecodeError as error:
        raise paths.LabError(f"{path}: {error}") from None
    return {check_name(host): normalise(spec) for host, spec in data["hosts"].items()}


def normalise(spec):
    """Defaults filled in, keys and values checked, every device and window complete."""
    unknown = set(spec) - set(_DEFAULTS)
    if unknown:
        raise paths.LabError(f"topology: unknown key {sorted(unknown)[0]}")
    host = {**_DEFAULTS, **spec}
    host["cpus"] = _number(host["cpus"], "cpus")
    host["slots"] = max(1, _number(host["slots"], "slots"))
    host["watchdog"] = bool(host["watchdog"])
    if host["srat"] is not None:
        host["srat"] = _plain_name("srat", host["srat"])
        given = [key for key in ("nodes", "distances", "hmat", "generic_ports") if host[key]]
        if given:
            raise paths.LabError(f"srat: QEMU makes tables of its own for {given[0]}")

    devices = []
    for position, given in enumerate(host["cxl"]):
        if set(given) - _CXL_KEYS:
            raise paths.LabError(f"cxl device: unknown key {sorted(set(given) - _CXL_KEYS)[0]}")
        if "serial" not in given or "size" not in given:
            raise paths.LabError("cxl device: needs serial= and size=")
        size = size_bytes(given["size"])
        if size % (256 * _MIB):
            raise paths.LabError(f"cxl device: size {given['size']} is not a multiple of 256M, as CXL requires")
        file, cdat = (given.get(key) and _plain_name(f"cxl device: {key}", given[key]) for key in ("file", "cdat"))
        window = _number(given.get("window", 0), "window")
        devices.append({"serial": _number(given["serial"], "serial"), "size": size, "file": file, "window": window,
                        "bridge": _number(given.get("bridge", window), "bridge"), "switch": given.get("switch"),
                        "cdat": cdat, "position": position})
    host["cxl"] = devices
    if len({d["serial"] for d in devices}) < len(devices):
        raise paths.LabError("cxl devices: a serial number is used twice in one host")

    windows = []
    listed = [dict(w) for w in host["windows"]]
    for number in range(max([len(listed)] + [d["window"] + 1 for d in devices])):
        given = listed[number] if number < len(listed) else {}
        if set(given) - _WINDOW_KEYS:
            raise paths.LabError(f"window: unknown key {sorted(set(given) - _WINDOW_KEYS)[0]}")
        bridges = sorted({d["bridge"] for d in devices if d["window"] == number}) or [number]
        targets = given.get("targets", bridges)
        if isinstance(targets, str):
            targets = [_number(t, "targets") for t in targets.split(":")]
        needed = sum(d["size"] for d in devices if d["window"] == number)
        size = size_bytes(given["size"]) if "size" in given else max(4 << 30, needed)
        windows.append({"size": size, "targets": targets, "granularity": given.get("granularity")})
    host["windows"] = windows
    return host


def files(host):
    """Backing file names and sizes."""
    return {d["file"]: d["size"] for d in host["cxl"] if d["file"]}


def node_count(host):
    """Nodes that the firmware tables describe; CXL windows get the numbers after these."""
    return 1 + len(host["nodes"]) + len(host["generic_ports"])


def _numa(host):
    args = []
    total = size_bytes(host["dram"])
    if host.get("srat"):
        # QEMU makes an SRAT for any -numa, and for memory hotplug as well.
        table = [] if host["srat"] == "none" else ["-acpitable", f"file={paths.DEVICES / host['srat']}"]
        return ["-m", f"size={total // _MIB}M"] + table
    args += ["-object", f"memory-backend-ram,id=dram0,size={total}", "-numa", _node(host, 0, "memdev=dram0")]
    for number, node in enumerate(host["nodes"], 1):
        size = size_bytes(node["dram"])
        total += size
        args += ["-object", f"memory-backend-ram,id=dram{number},size={size}",
                 "-numa", _node(host, number, f"memdev=dram{number}")]
    for number, _ in enumerate(host["generic_ports"], 1 + len(host["nodes"])):
        args += ["-numa", f"node,nodeid={number}"]
    args += ["-numa", f"cpu,node-id=0,socket-id=0"]
    for start, end, value in host["distances"]:
        args += ["-numa", f"dist,src={start},dst={end},val={value}"]
    # QEMU wants the latencies and bandwidths before the caches that refer to them.
    for entry in sorted(host["hmat"], key=lambda e: e["type"] != "hmat-lb"):
        pairs = ",".join(f"{key}={value}" for key, value in entry.items() if key != "type")
        args += ["-numa", f"{entry['type']},{pairs}"]
    maxmem = max(size_bytes(host["maxmem"]), total + (1 << 30))
    return ["-m", f"size={total // _MIB}M,slots={host['slots']},maxmem={maxmem // _MIB}M"] + args


def _node(host, number, rest):
    return f"node,nodeid={number},{rest}" + (",initiator=0" if host["hmat"] else "")


def _cxl(host):
    args = []
    bridges = sorted({d["bridge"] for d in host["cxl"]} | {t for w in host["windows"] for t in w["targets"]})
    if len(bridges) > 6:
        raise paths.LabError("at most 6 CXL host bridges")
    for place, bridge in enumerate(bridges):
        # Bus numbers far enough apart for a switch with many ports below each bridge. Decoders even for a single root
        # port: without them the bridge passes everything to that port, and Linux gives it one region, not several.
        args += ["-device",
                 f"pxb-cxl,id=cxl.{bridge},bus=pcie.0,bus_nr={32 * (place + 1)},hdm_for_passthrough=on"]
    chassis = 0
    switches = {}
    ports = dict.fromkeys(bridges, 0)
    for device in host["cxl"]:
        bridge, name = device["bridge"], f"dev{device['position']}"
        if device["switch"] is None or (bridge, device["switch"]) not in switches:
            args += ["-device", f"cxl-rp,id=rp{chassis},bus=cxl.{bridge},port={ports[bridge]},chassis={chassis},"
                                f"slot={chassis + 2}"]
            above = f"rp{chassis}"
            ports[bridge] += 1
            chassis += 1
        if device["switch"] is not None:
            key = bridge, device["switch"]
            if key not in switches:
                switches[key] = 0
                args += ["-device", f"cxl-upstream,id=us-{bridge}-{key[1]},bus={above}"]
            port, switches[key] = switches[key], switches[key] + 1
            above = f"ds{chassis}"
            args += ["-device", f"cxl-downstream,id={above},bus=us-{bridge}-{key[1]},port={port},chassis={chassis},"
                                f"slot={chassis + 2}"]
            chassis += 1
        if device["file"]:
            backend = f"memory-backend-file,mem-path={paths.DEVICES / device['file']}"
        else:
            backend = "memory-backend-ram"
        args += ["-object", f"{backend},id={name}-mem,share=on,size={device['size']}",
                 "-device", f"cxl-type3,id={name},bus={above},volatile-memdev={name}-mem,sn={device['serial']}"
                 + (f",cdat={paths.DEVICES / device['cdat']}" if device.get("cdat") else "")]
    # One option for all of them: QEMU takes the list only as a whole.
    words = []
    for number, window in enumerate(host["windows"]):
        prefix = f"cxl-fmw.{number}"
        words += [f"{prefix}.targets.{i}=cxl.{target}" for i, target in enumerate(window["targets"])]
        words.append(f"{prefix}.size={window['size'] // _MIB}M")
        if window["granularity"]:
            words.append(f"{prefix}.interleave-granularity={window['granularity']}")
    if words:
        args += ["-M", ",".join(words)]
    for number, port in enumerate(host["generic_ports"], 1 + len(host["nodes"])):
        args += ["-object", f"acpi-generic-port,id=gp{port['bridge']},pci-bus=cxl.{port['bridge']},node={number}"]
    return args


def qemu_args(host):
    """Machine, memory and CXL; disks, networks and monitors are added by hosts.py."""
    machine = "q35,cxl=on" + (",hmat=on" if host["hmat"] else "")
    watchdog = ["-device", "i6300esb,bus=pcie.0", "-action", "watchdog=reset"] if host.get("watchdog") else []
    return (["-machine", machine, "-accel", "tcg,thread=multi", "-cpu", "max,-hypervisor",
             "-smp", f"{host['cpus']},sockets=1"] + _numa(host) + _cxl(host) + watchdog)

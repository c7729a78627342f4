# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated hosts: their state on disk, bringing them up, taking them down."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import agent
import image
import net
import paths
import process
import qmp
import topology
from locks import lock

_FAST_SECONDS = 180
_SYSTEMD_SECONDS = 180
_SILENT_SECONDS = 60
_BOOT_ATTEMPTS = 2


def _directory(name):
    return paths.HOSTS / topology.check_name(name)


def _read(directory):
    try:
        return json.loads((directory / "host.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _write(directory, state):
    new = directory / "host.json.new"
    new.write_text(json.dumps(state, indent=2) + "\n")
    new.rename(directory / "host.json")


def all_hosts():
    """Everything that was brought up and not taken down, running or not."""
    if not paths.HOSTS.is_dir():
        return []
    states = [_read(d) for d in sorted(paths.HOSTS.iterdir())]
    return [s for s in states if s and s["qemu"]]


def running(state):
    return process.alive(state["qemu"])


def get(name):
    state = _read(_directory(name))
    if not state or not state["qemu"]:
        raise paths.LabError(f"host {name} is not up: tests/lab/host up {name}")
    if not running(state):
        raise paths.LabError(f"host {name} has died: see {paths.outside(state['console_log'])}, then host down {name}")
    return state


def _index(name, taken):
    """The same number for the same name where possible, so that logs of different runs compare."""
    wanted = ord(name.upper()) - ord("A") + 1 if len(name) == 1 else 27
    number = wanted
    while number in taken:
        number = number + 1 if number < 250 else 1
        if number == wanted:
            raise paths.LabError("too many hosts")
    return number


def _prepare_files(spec):
    paths.DEVICES.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, size in topology.files(spec).items():
        path = paths.DEVICES / name
        if not path.exists():
            with open(path, "wb") as file:
                file.truncate(size)
        elif path.stat().st_size != size:
            raise paths.LabError(f"file {name} exists with {path.stat().st_size >> 20} MiB, not {size >> 20}: "
                                 f"give the same size, or remove it: tests/lab/host rm-file {name}")


def _allocate(names):
    """Numbers for hosts that come up together, so that each boots knowing all of them. With the lab's lock held."""
    taken = {s["index"]: s["name"] for s in all_hosts()}
    for name in names:
        old = _read(_directory(name))
        if old and old["qemu"] and running(old):
            raise paths.LabError(f"host {name} is up already")
        if old and old["qemu"]:
            taken.pop(old["index"], None)
    numbers = {}
    for name in names:
        numbers[name] = _index(name, {**taken, **{n: None for n in numbers.values()}})
    return numbers


def _disks(layers):
    args = []
    for serial, path in layers:
        args += ["-drive", f"file={path},format=raw,if=none,readonly=on,id={serial},file.locking=off",
                 "-device", f"virtio-blk-pci,drive={serial},serial={serial},bus=pcie.0"]
    return args


def _networks(index):
    args = []
    for number, bridge in enumerate(("mgmt", "cluster")):
        args += ["-netdev", f"tap,id={bridge},ifname={bridge}{index},script=no,downscript=no",
                 "-device", f"virtio-net-pci,netdev={bridge},bus=pcie.0,romfile=,"
                            f"mac=52:54:00:{65 + number:02x}:00:{index:02x}"]
    return args


def _root_lock():
    """The descriptor by which tests/lab/enter says that the root is in use."""
    try:
        return [7] if os.readlink("/proc/self/fd/7").endswith(".users") else []
    except OSError:
        return []


def start(specs, options):
    """Start QEMU for each host of {name: spec}; returns their states. They boot from here on by themselves."""
    kernel = image.Kernel(options["kernel"])
    layers = [("base", image.base()), ("lab", image.lab())]
    arguments = []
    if options["package"]:
        layers.append(("package", image.package()))
        arguments = image.package_kernel_arguments()
    if kernel.layer:
        layers.append(("kernel", kernel.layer))
    systemd = options["init"] == "systemd"
    initramfs = kernel.systemd_initramfs(options["package"]) if systemd else kernel.fast_initramfs()

    states = []
    with lock("lab"):
        numbers = _allocate(specs)
        net.ensure()
        net.enter()
        known = _known() | numbers
        for name, spec in specs.items():
            states.append(_start_one(name, spec, numbers[name], known, kernel, initramfs, layers, arguments, options))
    for state in all_hosts():
        if running(state) and state["name"] not in specs:
            _tell_names(state)
    return states


def _start_one(name, spec, index, known, kernel, initramfs, layers, package_arguments, options):
    _prepare_files(spec)
    directory = _directory(name)
    directory.mkdir(parents=True, exist_ok=True)
    sockets = {key: paths.RUN / f"{name}.{key}" for key in ("qmp", "lab")}
    for path in sockets.values():
        path.unlink(missing_ok=True)
    for log in "console.log", "dmesg.log", "qemu.log":
        if (directory / log).exists():
            (directory / log).rename(directory / f"{log}.old")
    hosts = ",".join(f"{host}={number}" for host, number in sorted(known.items()))
    # The kernel skips this check where it sees a hypervisor, which these hosts must not see; under load it panics.
    cmdline = ["console=ttyS0", "panic=-1", "no_timer_check", "net.ifnames=0", f"lab.name={name}", f"lab.index={index}",
               f"lab.hosts={hosts}"]
    # A host whose QEMU was stopped finds its clock ahead; that is no stall of its kernel (seconds; 300 is the most).
    cmdline += ["rcupdate.rcu_cpu_stall_timeout=300", "watchdog_thresh=60"]
    if "debug" in (kernel.version or ""):
        # An interrupt while identify_cpu() has forgotten its five levels: to KASAN any address is a wild one.
        cmdline += ["no5lvl"]
    if options["init"] == "systemd":
        cmdline += ["boot=lab", "root=lab", "systemd.show_status=1"]
    cmdline += package_arguments + options["append"]
    net.add_taps(index)
    argv = ["qemu-system-x86_64", "-name", f"lab-{paths.LAB_ID}-{name}", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", *topology.qemu_args(spec),
            "-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", " ".join(cmdline),
            *_disks(layers), *_networks(index),
            "-serial", f"file:{directory}/console.log",
            *(x for s in sockets.values() for x in ("-qmp", f"unix:{s},server=on,wait=off"))]
    state = {"name": name, "index": index, "argv": argv, "qmp_socket": str(sockets["qmp"]),
             "lab_socket": str(sockets["lab"]), "console_log": str(directory / "console.log"),
             "dmesg_log": str(directory / "dmesg.log"), "qemu_log": str(directory / "qemu.log"),
             "management_address": f"{net.MANAGEMENT}.{index}", "address": f"{net.CLUSTER}.{index}",
             "taps": {"mgmt": f"mgmt{index}", "cluster": f"cluster{index}"}, "init": options["init"],
             "kernel": kernel.version or str(kernel.image), "package": options["package"],
             "kernel_arguments": " ".join(cmdline), "started": time.time(), "up_seconds": None, "booted_with": known,
             "spec": spec}
    _launch(state)
    return state


def _launch(state):
    with open(state["qemu_log"], "wb") as log:
        log.write(f"{' '.join(state['argv'])}\n".encode())
        log.flush()
        # QEMU runs from the root, so the root stays in use until it ends.
        child = subprocess.Popen(state["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True, pass_fds=_root_lock())
    state["qemu"] = process.identity(child.pid)
    _write(_directory(state["name"]), state)


def _hung(state):
    """Has a host that boots said nothing for a long time?"""
    try:
        silent = time.time() - max(os.stat(state["console_log"]).st_mtime, state["started"])
    except FileNotFoundError:
        return False
    return silent > paths.patience(_SILENT_SECONDS)


def _boot_again(state):
    """On a busy machine a vCPU that lost its slice while the kernel calibrated its timers may hang for good."""
    print(f"{state['name']}: hung or died while booting, which the emulation does on a busy machine; booting it again",
          file=sys.stderr, flush=True)
    process.send(state["qemu"], signal.SIGKILL)
    while running(state):
        time.sleep(0.01)
    state["started"] = time.time()
    _launch(state)


def wait_up(state):
    """Until the agent answers. A host that does not come up is taken down, and its last words are shown."""
    seconds = paths.patience(_SYSTEMD_SECONDS if state["init"] == "systemd" else _FAST_SECONDS)
    ready = agent.wait_ready(state["index"], seconds, lambda: running(state) and not _hung(state))
    for _ in range(_BOOT_ATTEMPTS - 1):
        if ready:
            break
        _boot_again(state)
        ready = agent.wait_ready(state["index"], seconds, lambda: running(state) and not _hung(state))
    if ready:
        if state["init"] == "systemd":
            # The agent starts while udev is still finding devices.
            agent.run(state["index"], ["udevadm", "settle", "--timeout=30"], timeout=35.0)
        state["up_seconds"] = round(time.time() - state["started"], 1)
        _write(_directory(state["name"]), state)
        if _known() != state["booted_with"]:
            _tell_names(state)
        return
    dead = not running(state)
    log = pathlib.Path(state["qemu_log"] if dead else state["console_log"])
    last = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if dead and len(last) < 2:
        log = pathlib.Path(state["console_log"])
        last = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    down(state["name"], fetch_dmesg=False)
    what = "died while booting" if dead else f"did not come up within {seconds} s"
    raise paths.LabError(f"host {state['name']} {what}: {last[-1] if last else 'no output'} "
                         f"(see {paths.outside(log)})")


def _known():
    return {s["name"]: s["index"] for s in all_hosts() if running(s)}


def _tell_names(state):
    """Hosts that came up while this one booted or later."""
    text = "127.0.0.1 localhost\n" + "".join(
        f"{net.CLUSTER}.{n} {host}\n{net.MANAGEMENT}.{n} {host}.mgmt\n" for host, n in sorted(_known().items()))
    try:
        agent.run(state["index"], ["sh", "-c", "cat >/etc/hosts"], timeout=2.0, stdin=text.encode())
    except OSError:
        # Suspended or hung, or still booting, and then it is told when it is up.
        pass


def fetch_dmesg(state):
    try:
        status, out, _ = agent.run(state["index"], ["dmesg"], timeout=5.0)
    except OSError:
        return None
    if status != 0:
        return None
    pathlib.Path(state["dmesg_log"]).write_bytes(out)
    return out


def down(name, fetch_dmesg=True):
    """Take a host down: its dmesg is kept, its disks are read-only and its memory goes, so there is nothing to save."""
    directory = _directory(name)
    state = _read(directory)
    if not state or not state["qemu"]:
        raise paths.LabError(f"host {name} is not up")
    if running(state):
        process.send(state["qemu"], signal.SIGCONT)
        if fetch_dmesg:
            net.enter()
            globals()["fetch_dmesg"](state)
        try:
            monitor = qmp.Qmp(state["lab_socket"], timeout=2)
            monitor.command({"execute": "quit"})
        except (OSError, paths.LabError, json.JSONDecodeError):
            process.send(state["qemu"], signal.SIGTERM)
        if not process.wait_gone(state["qemu"], 3):
            process.send(state["qemu"], signal.SIGKILL)
            process.wait_gone(state["qemu"], 10)
    with lock("lab"):
        if net.holder_pid():
            net.enter()
            net.remove_taps(state["index"])
        for key in "qmp_socket", "lab_socket":
            pathlib.Path(state[key]).unlink(missing_ok=True)
        state["qemu"] = None
        _write(directory, state)
        if not all_hosts():
            net.remove()


def down_all():
    """Every host, and the contents of the CXL devices."""
    for state in all_hosts():
        down(state["name"])
    with lock("lab"):
        if not all_hosts():
            net.remove()
            shutil.rmtree(paths.DEVICES, ignore_errors=True)


def remove_file(name):
    for state in all_hosts():
        if running(state) and name in topology.files(state["spec"]):
            raise paths.LabError(f"file {name} is in use by host {state['name']}")
    path = paths.DEVICES / pathlib.Path(name).name
    if not path.exists():
        raise paths.LabError(f"no file {name} in {paths.DEVICES}")
    path.unlink()

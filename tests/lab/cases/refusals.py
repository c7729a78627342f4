# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that cannot fly are refused before anything moves: one line, exit 1, and they run on untouched."""

from flying import expect_clean, refused
from scenario import Failure

SECONDS = 30
NAME = "odd"
DIRECTORY = f"/run/cxl-tier/vm/{NAME}"
SHARED = f"-object memory-backend-file,id=ram,size=128M,mem-path={DIRECTORY}/ram,share=on,align=2M"


def setup(lab):
    lab.up("A", options=("--cxl", "serial=1,size=1G,file=portal0"))
    a = lab["A"]
    a.create_region(1)
    a.write("/etc/cxl-tier/cxl-tierd.conf.d/odd.conf", f"[Machine {NAME}]\nMemory=128M\n")
    a.tierctl("portal", "format", "region0", "--host", "A", "--host", "B", "--name", "portal0")
    a.start_daemon()


def _attempt(lab, arguments, *words, before="", after=""):
    """Start a QEMU by hand as the machine's, try to send it, and look whether anything changed."""
    a = lab["A"]
    a.run(f"rm -rf {DIRECTORY}; mkdir -p {DIRECTORY}; {before} "
          f"qemu-system-x86_64 -nodefaults -display none -daemonize -pidfile {DIRECTORY}/pid "
          f"-qmp unix:{DIRECTORY}/qmp,server=on,wait=off {arguments} {after}")
    pid = a.run(f"cat {DIRECTORY}/pid").out.strip()
    try:
        refused(a.tierctl("send", NAME, "--to", "B", check=False), NAME, *words)
        expect_clean(a)
        flights = a.tierctl("flights", "--json").out.strip()
        if flights not in ("[]", ""):
            raise Failure(f"a flight was begun: {flights}")
        status = a.tierctl("vm", "list", "--json").json()
        if [m["state"] for m in status] != ["running"] or not status[0]["cannot_fly"]:
            raise Failure(f"tierctl vm list: {status}")
    finally:
        a.run(f"kill -KILL {pid}; rm -f {DIRECTORY}/qmp")


def case_anonymous_ram(lab):
    _attempt(lab, "-M q35 -m 128M", "not in a file that can be shared", "memory-backend-file")


def case_memfd_ram(lab):
    _attempt(lab, "-M q35,memory-backend=ram -m 128M -object memory-backend-memfd,id=ram,size=128M,share=on",
             "not in a file that can be shared", "memory-backend-memfd")


def case_private_file(lab):
    _attempt(lab, f"-M q35,memory-backend=ram -m 128M {SHARED.replace('share=on', 'share=off')}", "share=off")


def case_two_backends(lab):
    _attempt(lab, "-M q35 -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=a,size=64M "
                  "-object memory-backend-ram,id=b,size=64M -numa node,memdev=a -numa node,memdev=b",
             "2 memory backends")


def case_locked_ram(lab):
    _attempt(lab, f"-M q35,memory-backend=ram -m 128M {SHARED} -overcommit mem-lock=on", "are locked", "mem-lock=on")


def case_vfio(lab):
    lab["A"].run("modprobe vfio")
    _attempt(lab, f"-M q35,memory-backend=ram -m 128M {SHARED}", "VFIO", "detach", after="9<>/dev/vfio/vfio")


def case_device_that_cannot_migrate(lab):
    _attempt(lab, f"-M q35,memory-backend=ram -m 128M {SHARED} "
                  f"-drive if=none,id=d,file=fat:rw:{DIRECTORY}/fat,format=raw -device virtio-blk-pci,drive=d",
             "cannot migrate", before=f"mkdir {DIRECTORY}/fat;")


def case_machine_that_is_not_here(lab):
    refused(lab["A"].tierctl("send", NAME, "--to", "B", check=False), NAME, "not running")
    refused(lab["A"].tierctl("vm", "stop", NAME, check=False), NAME, "not running")


def case_machine_that_cannot_start(lab):
    """QEMU's own words come back in one line."""
    a = lab["A"]
    a.write("/etc/cxl-tier/cxl-tierd.conf.d/zz.conf", f"[Machine {NAME}]\nArgument=-device\nArgument=nosuchdevice\n")
    refused(a.tierctl("vm", "start", NAME, check=False), NAME, "QEMU ended at once", "nosuchdevice")
    a.write("/etc/cxl-tier/cxl-tierd.conf.d/zz.conf", f"[Machine {NAME}]\nUser=nosuchuser\n")
    refused(a.tierctl("vm", "start", NAME, check=False), NAME, "nosuchuser")
    a.run("rm /etc/cxl-tier/cxl-tierd.conf.d/zz.conf")


def case_unprivileged_caller(lab):
    a = lab["A"]
    for words in (("send", NAME, "--to", "B"), ("receive",), ("vm", "start", NAME), ("vm", "stop", NAME),
                  ("settle", NAME)):
        result = a.run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "tierctl", *words, check=False)
        refused(result, "root")


def case_host_that_does_not_clear_freed_pages(lab):
    """Without init_on_free the portal's node could show other processes' memory to the other host."""
    a = lab["A"]
    a.run("sed 's/init_on_free=1//' /proc/cmdline >/run/cmdline && mount --bind /run/cmdline /proc/cmdline")
    try:
        a.run(f"rm -rf {DIRECTORY}")
        a.tierctl("vm", "start", NAME)
        refused(a.tierctl("send", NAME, "--to", "B", check=False), NAME, "init_on_free=1")
        expect_clean(a)
    finally:
        a.run("umount /proc/cmdline")
        a.tierctl("vm", "stop", NAME)

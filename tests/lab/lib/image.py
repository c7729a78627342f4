# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks and initramfs that hosts boot from. All are read-only and shared; each is named by a hash of what it was
made from, made in a temporary file and renamed, and reused while its source is the same.

  base      the lab's root without compilers, headers and documents; per root, in the cache
  lab       agent and init; in the cache
  kernel    a kernel's modules, uncompressed, since unpacking one costs an emulated host a second
  package   the project as installed (build/lab/stage); in build/lab
"""

import gzip
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import paths
from locks import lock

# Paths below the root, as extended regular expressions that must match a whole path.
_NOT_IN_HOSTS = r"""
boot/.*|initrd\.img.*|vmlinuz.*|src/.*|tmp/.*|var/cache/.*|var/lib/apt/.*|var/lib/dpkg/.*|var/log/.*|\.complete
usr/include/.*|usr/libexec/gcc/.*|usr/lib/gcc/.*|usr/lib32/.*|usr/lib/llvm-.*|usr/lib/git-core/.*|usr/share/doc/.*
usr/share/man/.*|usr/share/perl/.*|usr/lib/x86_64-linux-gnu/perl/.*|usr/lib/x86_64-linux-gnu/libcap2/.*
usr/lib/x86_64-linux-gnu/lib(LLVM|clang|z3|perl)[^/]*|usr/lib/(.*/)?[^/]*\.a|usr/lib/x86_64-linux-gnu/gconv/.*
usr/lib/python3/dist-packages/mesonbuild/.*|usr/lib/udev/hwdb\.d/.*|usr/share/zoneinfo/.*
usr/bin/(x86_64-linux-gnu-.*|git.*|scalar|qemu-(img|io|nbd|storage-daemon|system-x86_64-microvm)|c?lang.*)
usr/lib/modules/.*
"""
_KEEP_SECONDS = 24 * 60 * 60
# Drivers for what no emulated host has.
_NOT_IN_MODULES = r"(sound|drivers/(gpu|media|infiniband|scsi|staging|iio|hid|bluetooth|usb|ata|mtd|input|hwmon|isdn)" \
    r"|drivers/net/(ethernet|wireless|usb|can|dsa|phy)|net/(wireless|mac80211|bluetooth|can))/"
# What a fast host's initramfs needs to reach its root; modprobe adds what these depend on.
_EARLY_MODULES = "virtio_pci", "virtio_blk", "erofs", "overlay"


def _say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def _hash(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def _erofs(source, target, *options):
    # Somebody else may be making the same: who is last has made it.
    new = f"{target}.new.{os.getpid()}"
    done = subprocess.run(["mkfs.erofs", "--quiet", "-T0", *options, new, str(source)], capture_output=True, text=True)
    if done.returncode != 0:
        pathlib.Path(new).unlink(missing_ok=True)
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise paths.LabError(f"mkfs.erofs {source}: {reason[-1] if reason else 'failed'}")
    os.rename(new, target)


def _remove_unused(directory, pattern, keep):
    """What other checkouts use is made again or touched by them; running hosts have theirs open."""
    for old in pathlib.Path(directory).glob(pattern):
        if old != keep and time.time() - old.stat().st_mtime > _KEEP_SECONDS:
            old.unlink()


def _ready(target):
    """True if this file is made already; it then counts as used now."""
    if not target.exists():
        return False
    os.utime(target)
    return True


def base():
    pattern = "|".join(_NOT_IN_HOSTS.split())
    target = paths.CACHE / f"image-{paths.ROOT_HASH}-{_hash(pattern)}.erofs"
    with lock("images"):
        if not _ready(target):
            _say("making the image of the hosts' system (once)")
            _erofs(paths.ROOT, target, f"--exclude-regex=^({pattern})$")
            _remove_unused(paths.CACHE, "image-*.erofs*", target)
    return target


def lab():
    """Agent and init, put into every host by the lab and by no package."""
    sources = [paths.LAB / "agent.c"] + sorted((paths.LAB / "image").iterdir())
    target = paths.CACHE / f"lab-{_hash(paths.ROOT_HASH, *(s.read_bytes() for s in sources))}.erofs"
    with lock("images"):
        if not _ready(target):
            with tempfile.TemporaryDirectory() as tmp:
                home = pathlib.Path(tmp) / "usr/lib/cxl-tier-lab"
                home.mkdir(parents=True)
                subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", home / "agent",
                                paths.LAB / "agent.c"], check=True)
                for name in "init", "setup":
                    shutil.copy(paths.LAB / "image" / name, home / name)
                units = pathlib.Path(tmp) / "usr/lib/systemd/system"
                (units / "multi-user.target.wants").mkdir(parents=True)
                shutil.copy(paths.LAB / "image/cxl-tier-lab-agent.service", units)
                (units / "multi-user.target.wants/cxl-tier-lab-agent.service").symlink_to(
                    "../cxl-tier-lab-agent.service")
                _erofs(tmp, target, "--all-root")
            _remove_unused(paths.CACHE, "lab-*.erofs", target)
    return target


def _fingerprint(tree):
    lines = []
    for directory, names, files in os.walk(tree):
        names.sort()
        for name in sorted(files + names):
            path = os.path.join(directory, name)
            st = os.lstat(path)
            lines.append(f"{path} {st.st_mode:o} {st.st_size if stat.S_ISREG(st.st_mode) else 0} {st.st_mtime_ns}")
    return _hash("\n".join(lines))


def package():
    """The installed package's layer."""
    if not paths.STAGE.is_dir():
        raise paths.LabError("nothing is built yet: run tests/lab/build, or use --no-package for a bare host")
    for merged in "bin", "sbin", "lib", "lib64":
        if (paths.STAGE / merged).is_dir():
            raise paths.LabError(f"the build installs into /{merged}; Debian 13 has everything under /usr")
    target = paths.BUILD / f"package-{_fingerprint(paths.STAGE)}.erofs"
    with lock("images"):
        if not _ready(target):
            with tempfile.TemporaryDirectory() as tmp:
                enabled = _enabled_units(pathlib.Path(tmp))
                tree = pathlib.Path(tmp) / "tree"
                subprocess.run(["cp", "-a", "--reflink=auto", paths.STAGE, tree], check=True)
                for link, unit in enabled:
                    place = tree / link.lstrip("/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.unlink(missing_ok=True)
                    place.symlink_to(unit)
                _erofs(tree, target, "--all-root")
            for old in paths.BUILD.glob("package-*.erofs"):
                if old != target:
                    old.unlink()
    return target


def _enabled_units(tmp):
    """The links that a package's post-installation script makes: systemctl preset for each unit of ours."""
    units = paths.STAGE / "usr/lib/systemd/system"
    names = [u.name for u in sorted(units.iterdir()) if u.is_file()
             and "[Install]" in u.read_text(errors="replace")] if units.is_dir() else []
    if not names:
        return []
    scratch = tmp / "preset"
    shutil.copytree(units, scratch / "usr/lib/systemd/system", symlinks=True)
    for presets in paths.ROOT / "usr/lib/systemd/system-preset", paths.STAGE / "usr/lib/systemd/system-preset":
        if presets.is_dir():
            shutil.copytree(presets, scratch / "usr/lib/systemd/system-preset", dirs_exist_ok=True)
    for name in names:
        if "@." not in name:
            subprocess.run(["systemctl", f"--root={scratch}", "preset", name], check=True, capture_output=True)
    links = []
    for path in (scratch / "etc").rglob("*"):
        if path.is_symlink():
            links.append(("/" + str(path.relative_to(scratch)), os.readlink(path)))
    return links


class Kernel:
    """A kernel to boot: Debian's, or a directory or file that somebody built.

    A directory holds vmlinuz or bzImage and, unless everything is built in, lib/modules/VERSION.
    """

    def __init__(self, name):
        self.layer = None
        if name == "debian":
            self.image = max((paths.ROOT / "boot").glob("vmlinuz-*"))
            self.modules = paths.ROOT
            self.version = self.image.name[len("vmlinuz-"):]
            self.layer = self._modules_layer(paths.CACHE, paths.ROOT_HASH)
            return
        path = pathlib.Path(name)
        if path.is_dir():
            images = [path / n for n in ("vmlinuz", "bzImage") if (path / n).exists()]
            if not images:
                raise paths.LabError(f"kernel {name}: neither vmlinuz nor bzImage in it")
            self.image = images[0]
            versions = sorted((path / "lib/modules").glob("*")) if (path / "lib/modules").is_dir() else []
            self.modules, self.version = (path, versions[0].name) if versions else (None, None)
        elif path.is_file():
            self.image, self.modules, self.version = path, None, None
        else:
            raise paths.LabError(f"kernel {name}: no such file; give debian, a bzImage or a directory")
        if self.modules:
            self.layer = self._modules_layer(paths.BUILD, _fingerprint(path / "lib"))

    def _modules_layer(self, directory, key):
        target = directory / f"kernel-{key}-{_hash(_NOT_IN_MODULES)}.erofs"
        with lock("images"):
            if not _ready(target):
                _say(f"making the image of the modules of {self.version} (once)")
                with tempfile.TemporaryDirectory() as tmp:
                    modules = pathlib.Path(tmp) / "usr/lib/modules" / self.version
                    source = self.modules / "lib/modules" / self.version
                    for file in source.rglob("*"):
                        inside = file.relative_to(source)
                        if not file.is_file() or inside.parts[0] in ("build", "source"):
                            continue
                        if inside.parts[0] == "kernel" and re.match(_NOT_IN_MODULES, str(inside)[len("kernel/"):]):
                            continue
                        name, data = _uncompressed(file)
                        (modules / inside.parent).mkdir(parents=True, exist_ok=True)
                        (modules / inside.parent / name).write_bytes(data)
                    (pathlib.Path(tmp) / "lib").symlink_to("usr/lib")
                    subprocess.run(["depmod", "-b", tmp, self.version], check=True)
                    (pathlib.Path(tmp) / "lib").unlink()
                    _erofs(tmp, target, "--all-root")
                _remove_unused(directory, "kernel-*.erofs*", target)
        return target

    def _module_files(self):
        if not self.modules:
            return []
        order = []
        for name in _EARLY_MODULES:
            shown = subprocess.run(["modprobe", "-d", self.modules, "-S", self.version, "--show-depends", name],
                                   capture_output=True, text=True)
            for line in shown.stdout.splitlines():
                words = line.split()
                if words[0] == "insmod" and words[1] not in order:
                    order.append(words[1])
        return order

    def fast_initramfs(self):
        """Busybox, the modules that reach the root, uncompressed, and our init."""
        scripts = [paths.LAB / "image/initramfs-init", paths.LAB / "image/mount-layers"]
        key = _hash(paths.ROOT_HASH, self.version, self.layer and self.layer.name,
                    pathlib.Path(__file__).read_bytes(), *(s.read_bytes() for s in scripts))
        target = paths.CACHE / f"initramfs-{key}.cpio"
        with lock("images"):
            if _ready(target):
                return target
            with tempfile.TemporaryDirectory() as tmp:
                top = pathlib.Path(tmp)
                for name in "bin", "dev", "proc", "sys", "root", "modules", "layers":
                    (top / name).mkdir()
                shutil.copy("/usr/bin/busybox", top / "bin/busybox")
                (top / "bin/sh").symlink_to("busybox")
                for tool in "cat", "ls", "mkdir", "mount", "sleep":
                    (top / "bin" / tool).symlink_to("busybox")
                shutil.copy(scripts[0], top / "init")
                shutil.copy(scripts[1], top / "mount-layers")
                order = []
                for file in self._module_files():
                    name, data = _uncompressed(file)
                    (top / "modules" / name).write_bytes(data)
                    order.append(name)
                (top / "modules.order").write_text("\n".join(order) + "\n")
                _cpio(top, target)
            _remove_unused(paths.CACHE, "initramfs-*.cpio", target)
        return target

    def systemd_initramfs(self, with_package):
        """What update-initramfs would make on an installed host: initramfs-tools in the root with the package."""
        if not self.modules:
            raise paths.LabError("--init systemd needs a kernel with modules: give a directory with lib/modules")
        scripts = [paths.LAB / "image/initramfs-tools-lab", paths.LAB / "image/mount-layers"]
        stage = [_fingerprint(paths.STAGE / part) for part in
                 ("etc", "usr/share/initramfs-tools", "usr/lib/modprobe.d")] if with_package else []
        key = _hash(paths.ROOT_HASH, self.version, self.layer and self.layer.name, pathlib.Path(__file__).read_bytes(),
                    *stage, *(s.read_bytes() for s in scripts))
        target = paths.BUILD / f"initramfs-systemd-{key}.img"
        with lock("images"):
            if _ready(target):
                return target
            _say("making the initramfs with initramfs-tools")
            with tempfile.TemporaryDirectory() as tmp:
                lab_layer = pathlib.Path(tmp) / "lab"
                conf = lab_layer / "etc/initramfs-tools"
                (conf / "scripts").mkdir(parents=True)
                (conf / "conf.d").mkdir()
                (conf / "modules").write_text("".join(f"{m}\n" for m in _EARLY_MODULES))
                (conf / "conf.d/lab").write_text("MODULES=list\nBUSYBOX=y\nCOMPRESS=zstd\nFSTYPE=erofs\n")
                shutil.copy(scripts[0], conf / "scripts/lab")
                shutil.copy(scripts[1], conf / "scripts/mount-layers")
                lower = [lab_layer] + ([paths.STAGE] if with_package else [])
                if self.modules != paths.ROOT:
                    modules = pathlib.Path(tmp) / "kernel/usr"
                    modules.mkdir(parents=True)
                    subprocess.run(["cp", "-a", self.modules / "lib", modules / "lib"], check=True)
                    if (self.modules / "config").exists():
                        (modules.parent / "boot").mkdir()
                        shutil.copy(self.modules / "config", modules.parent / f"boot/config-{self.version}")
                    lower.append(modules.parent)
                _run_in_overlay(lower + [paths.ROOT], self.version, tmp, target)
            _remove_unused(paths.BUILD, "initramfs-systemd-*", target)
        return target


def _run_in_overlay(lower, version, tmp, target):
    script = """
set -e
mkdir -p "$2/rw" "$2/top"
mount -t tmpfs tmpfs "$2/rw"
mkdir "$2/rw/up" "$2/rw/work"
mount -t overlay -o "lowerdir=$1,upperdir=$2/rw/up,workdir=$2/rw/work" overlay "$2/top"
mount --bind /proc "$2/top/proc"
mount --bind /dev "$2/top/dev"
cp /boot/config-"$3" "$2/top/boot/" 2>/dev/null || :
chroot "$2/top" /usr/sbin/mkinitramfs -o /var/tmp/initramfs "$3"
cat "$2/top/var/tmp/initramfs" >"$4.new"
"""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "initramfs", ":".join(map(str, lower)), tmp,
                           version, str(target)], capture_output=True, text=True)
    if done.returncode != 0:
        raise paths.LabError(f"mkinitramfs failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    if done.stderr.strip():
        _say(f"mkinitramfs: {done.stderr.strip()}")
    os.rename(f"{target}.new", target)


def _uncompressed(module):
    """Name and contents of a module file, without the compression that the busybox insmod cannot undo."""
    data, name = pathlib.Path(module).read_bytes(), os.path.basename(module)
    if name.endswith(".xz"):
        return name.removesuffix(".xz"), lzma.decompress(data)
    if name.endswith(".gz"):
        return name.removesuffix(".gz"), gzip.decompress(data)
    if name.endswith(".zst"):
        return name.removesuffix(".zst"), subprocess.run(["zstd", "-dcq", module], capture_output=True, check=True).stdout
    return name, data


def _cpio(top, target):
    names = sorted(str(p.relative_to(top)) for p in top.rglob("*"))
    # Somebody else may be making the same: who is last has made it.
    new = f"{target}.new.{os.getpid()}"
    with open(new, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=top, stdout=out,
                       input="\n".join(names).encode(), check=True)
    os.rename(new, target)


def package_kernel_arguments():
    """The kernel command line that the installed package asks for, assembled as grub-mkconfig does."""
    script = """
GRUB_CMDLINE_LINUX= GRUB_CMDLINE_LINUX_DEFAULT=
for file in "$1"/etc/default/grub.d/*.cfg; do
    [ -e "$file" ] && . "$file"
done
printf %s "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
"""
    done = subprocess.run(["sh", "-c", script, "grub", paths.STAGE], env={"PATH": os.environ["PATH"]},
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise paths.LabError(f"the package's /etc/default/grub.d: {done.stderr.strip()}")
    return done.stdout.split()

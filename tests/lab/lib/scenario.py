# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo and lab cases share: hosts as objects, commands in them, and waiting for events with a deadline."""

import json
import os
import subprocess
import threading
import time

import paths

HOST = "/src/tests/lab/host"


class Failure(Exception):
    """Something is not as it should be; the text says what, for a person."""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)


class Host:
    """One emulated host of the running lab."""

    def __init__(self, name):
        self.name = name
        self.daemon = None

    def run(self, *command, check=True, stdin=None, timeout=120):
        """Run a command; a single string goes to sh -c."""
        if len(command) == 1:
            command = ("sh", "-c", command[0])
        words = [HOST, "exec", self.name, "--stdin" if stdin is not None else "--no-stdin", "--", *command]
        timeout = paths.patience(timeout)
        try:
            done = subprocess.run(words, input=stdin or "", text=True, capture_output=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}: still running after {timeout} s: {' '.join(command)}") from None
        if check and done.returncode != 0:
            raise Failure(f"{self.name}: exit {done.returncode}: {' '.join(command)}: "
                          f"{(done.stderr or done.stdout).strip()[-2000:]}")
        return Result(done.returncode, done.stdout, done.stderr)

    def tierctl(self, *words, check=True, timeout=120):
        return self.run("tierctl", *words, check=check, timeout=timeout)

    def start(self, *command):
        """A command that goes on while others run; its output is read line by line."""
        return Stream(self.name, command)

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "write", path, stdin=text)

    def push(self, source, target):
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        with open(source, "rb") as file:
            subprocess.run([HOST, "exec", self.name, "--stdin", "--", "sh", "-c", script, "push", target,
                            f"{os.stat(source).st_mode & 0o777:o}"], stdin=file, check=True)

    def stats(self):
        return json.loads(subprocess.run([HOST, "stats", self.name], text=True, capture_output=True, check=True).stdout)

    def info(self):
        done = subprocess.run([HOST, "info", self.name, "--json"], text=True, capture_output=True, check=True)
        return json.loads(done.stdout)

    def control(self, verb):
        """suspend, resume, kill"""
        subprocess.run([HOST, verb, self.name], check=True)

    def create_region(self, serial):
        """A volatile region of the device with that serial number, the whole of it, in a window that reaches it."""
        script = r'''
set -e
memdev=$(cxl list -M -s "$1" | sed -n 's/.*"memdev":"\([^"]*\)".*/\1/p')
for window in $(cxl list -D -d root -m "$memdev" | sed -n 's/.*"decoder":"\([^"]*\)".*/\1/p'); do
    if cxl create-region -m -t ram -d "$window" "$memdev" >/tmp/region.json 2>/tmp/region.err; then
        sed -n 's/.*"region":"\([^"]*\)".*/\1/p' /tmp/region.json
        exit 0
    fi
done
cat /tmp/region.err >&2
exit 1'''
        region = self.run("sh", "-c", script, "create-region", str(serial)).out.strip()
        self.wait_for(f"ls /sys/bus/cxl/devices/{region}/dax_region*/ | grep -q '^dax[0-9]'", "its dax device")
        return region

    def wait_for(self, condition, what, seconds=30):
        """Wait in the host until a shell condition holds."""
        seconds = int(paths.patience(seconds))
        script = f'''end=$(( $(date +%s) + {seconds} ))
until {condition}; do [ "$(date +%s)" -lt "$end" ] || exit 1; read -t 0.05 <> <(:) || :; done'''
        if self.run("bash", "-c", script, check=False, timeout=seconds + 60).code != 0:
            raise Failure(f"{self.name}: no {what} within {seconds} s")

    def start_daemon(self, *options, environment=()):
        """cxl-tierd as a plain process, for hosts without an init system; the OOM killer spares it as it does the unit."""
        script = 'echo $$ >/run/cxl-tierd.pid; echo -900 >/proc/self/oom_score_adj; exec env "$@"'
        self.daemon = self.start("sh", "-c", script, "cxl-tierd", *environment, "/usr/sbin/cxl-tierd", *options)
        self.wait_for("varlinkctl call /run/cxl-tier/cxl-tierd.socket io.cxltier.Manager.Ping '{}' >/dev/null 2>&1",
                      "answer of cxl-tierd")

    def stop_daemon(self):
        self.run('kill "$(cat /run/cxl-tierd.pid)"')
        code = self.daemon.wait(20)
        if code != 0:
            raise Failure(f"{self.name}: cxl-tierd ended with {code}: {self.daemon.text()[-1000:]}")

    def rescan(self):
        # Its own deadline knows nothing of this lab's patience; the case has one.
        self.run("varlinkctl", "--timeout=infinity", "call", "/run/cxl-tier/cxl-tierd.socket",
                 "io.cxltier.Manager.Rescan", "{}")

    def dmesg(self):
        return self.run("dmesg").out


class Stream:
    """A command in a host, read as it prints."""

    started = []

    def __init__(self, host, command):
        self.process = subprocess.Popen([HOST, "exec", host, "--no-stdin", "--", *command], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.errors, self._at = [], [], 0
        Stream.started.append(self)
        self._new = threading.Condition()
        self._threads = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True),
                         threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True)]
        for thread in self._threads:
            thread.start()

    def _read(self, pipe, lines):
        for line in pipe:
            with self._new:
                lines.append(line.rstrip("\n"))
                self._new.notify_all()
        with self._new:
            self._new.notify_all()

    def text(self):
        return "\n".join(self.lines + self.errors)

    def next_line(self, seconds):
        """The next line of stdout; None at the end; a Failure at the deadline."""
        return self._line_until(time.monotonic() + paths.patience(seconds), seconds)

    def _line_until(self, deadline, seconds):
        with self._new:
            while self._at >= len(self.lines):
                if not self._threads[0].is_alive():
                    return None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"no further output within {seconds} s; so far: {self.text()[-1000:]}")
                self._new.wait(min(left, 0.5))
            self._at += 1
            return self.lines[self._at - 1]

    def wait_line(self, wanted, seconds):
        """Read until a line contains the text; returns that line."""
        deadline = time.monotonic() + paths.patience(seconds)
        while True:
            line = self._line_until(deadline, seconds)
            if line is None:
                raise Failure(f"ended without \"{wanted}\": {self.text()[-1000:]}")
            if wanted in line:
                return line

    def wait_text(self, wanted, seconds):
        """Wait until the text is in what it has printed, on stderr too."""
        deadline = time.monotonic() + paths.patience(seconds)
        with self._new:
            while wanted not in self.text():
                left = deadline - time.monotonic()
                if left <= 0 or not any(thread.is_alive() for thread in self._threads):
                    raise Failure(f"no \"{wanted}\" within {seconds} s: {self.text()[-1000:]}")
                self._new.wait(min(left, 0.5))

    def wait(self, seconds):
        try:
            code = self.process.wait(paths.patience(seconds))
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {seconds} s: {self.text()[-1000:]}") from None
        for thread in self._threads:
            thread.join(5)
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()


class Guest:
    """The test guest of tests/lab/guest as machine NAME of a host: its serial console is a socket."""

    CONFIG = """[Machine {name}]
Type={type}
Memory={memory}
Argument=-kernel
Argument=/usr/lib/cxl-tier-lab/guest.elf
Argument=-append
Argument=rate={rate} touch=75
Argument=-rtc
Argument=base=utc,clock=host
Argument=-chardev
Argument=socket,id=console,path=%d/console,server=on,wait=off,logfile=%d/console.log,logappend=on
Argument=-serial
Argument=chardev:console
"""
    TALK = r'''
import select, socket, sys, time
path, command, wanted, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
s = socket.socket(socket.AF_UNIX); s.connect(path); s.sendall(command.encode() + b"\n")
deadline, text = time.monotonic() + seconds, b""
while time.monotonic() < deadline and wanted:
    if select.select([s], [], [], 0.2)[0]:
        data = s.recv(4096)
        if not data: break
        text += data
        for line in text.split(b"\n")[:-1]:
            if line.startswith(wanted.encode()):
                print(line.decode().strip()); sys.exit(0)
sys.exit(0 if not wanted else 1)
'''

    def __init__(self, host, name="demo", directory="/run/cxl-tier/vm"):
        self.host, self.name, self.directory = host, name, f"{directory}/{name}"

    @classmethod
    def configure(cls, host, name="demo", memory="256M", rate=400, type="q35", extra=""):
        host.write(f"/etc/cxl-tier/cxl-tierd.conf.d/{name}.conf",
                   cls.CONFIG.format(name=name, memory=memory, rate=rate, type=type) + extra)

    def on(self, host):
        return Guest(host, self.name, os.path.dirname(self.directory))

    def ask(self, command, answer, seconds=60):
        """Send a serial command; returns the fields of the line that starts with @answer."""
        seconds = paths.patience(seconds)
        result = self.host.run("python3", "-I", "-S", "-c", self.TALK, f"{self.directory}/console", command, answer,
                               str(seconds), check=False, timeout=seconds + 30)
        if result.code != 0:
            raise Failure(f"{self.host.name}: guest {self.name} did not answer {command!r} within {seconds} s: "
                          f"{result.err.strip()[-300:]}")
        return fields(result.out)

    def tell(self, command):
        self.ask(command, "")

    def beat(self):
        return self.ask("s", "beat")

    def wait_ready(self, seconds=90):
        self.host.wait_for(f"grep -q '^guest: ready' {self.directory}/console.log", "start of the guest", seconds)

    def pid(self):
        for machine in self.host.tierctl("vm", "list", "--json").json():
            if machine["name"] == self.name:
                return machine["pid"]
        return 0

    def numa_maps(self):
        """Pages of the VM's RAM per node."""
        line = self.host.run(f"grep 'file={self.directory}/ram ' /proc/{self.pid()}/numa_maps || true").out
        return {int(word[1:].split("=")[0]): int(word.split("=")[1]) for word in line.split()
                if word[0] == "N" and word[1].isdigit()}


def fields(line):
    """key=value words of a line; whole numbers as such."""
    pairs = (word.split("=", 1) for word in line.split() if "=" in word)
    return {key: int(value) if value.lstrip("-").isdigit() else value for key, value in pairs}


def up(*names, topology=None, options=()):
    """Bring hosts up; with a topology all of its hosts or those named."""
    words = [HOST, "up", *(names if len(names) == 1 else ()), *(["--topology", topology] if topology else []), *options]
    done = subprocess.run(words, text=True, capture_output=True)
    if done.returncode != 0:
        raise Failure((done.stderr or done.stdout).strip())
    return done.stdout.strip()


def down_all():
    # A host that goes down says no farewell: who still listens to it would listen for ever.
    for stream in Stream.started:
        if stream.process.poll() is None:
            stream.kill()
    Stream.started.clear()
    subprocess.run([HOST, "down", "--all"], stdout=subprocess.DEVNULL, check=False)


def _clock_offset(host):
    before = time.time()
    theirs = float(host.run("date", "+%s.%N").out)
    after = time.time()
    return theirs - (before + after) / 2, (after - before) / 2


def set_clock(host):
    """Bring a host's time of day near the machine's; returns offset and uncertainty of the last look, in seconds."""
    best = (0.0, 1e9)
    for _ in range(3):
        offset, uncertainty = _clock_offset(host)
        best = min(best, (offset, uncertainty), key=lambda pair: pair[1])
        host.run("date", "-s", f"+{-offset:.6f} seconds" if offset < 0 else f"-{offset:.6f} seconds")
    return _clock_offset(host)


# SPDX-License-Identifier: GPL-2.0-or-later
"""A cxl-tierd in a directory of its own, connections to it, and waiting with deadlines."""

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PROGRAM, PORTAL_FILE, CLIENT_CALL = (os.path.abspath(path) for path in sys.argv[1:4])
MIB = 1 << 20
# One control extent, then four home extents for each of A and B.
PORTAL_BYTES = 9 * 128 * MIB
DEADLINE = 20.0
NOBODY = 65534


class Refused(Exception):
    def __init__(self, error, parameters):
        super().__init__(f"{error} {parameters}")
        self.error = error.removeprefix("io.cxltier.Manager.")
        self.object = parameters.get("object", "")
        self.text = parameters.get("text", "")
        self.next = parameters.get("next", "")
        self.parameters = parameters


def wait_for(what, condition, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.01)  # interval of a deadline


class Connection:
    """One varlink connection."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path)
        self.pending = b""

    def send(self, method, **parameters):
        message = {"method": "io.cxltier.Manager." + method, "parameters": parameters}
        self.socket.sendall(json.dumps(message).encode() + b"\0")

    def replied(self):
        return bool(self.pending or select.select([self.socket], [], [], 0)[0])

    def receive(self, method):
        while b"\0" not in self.pending:
            data = self.socket.recv(65536)
            assert data, f"{method}: the daemon closed the connection"
            self.pending += data
        reply, _, self.pending = self.pending.partition(b"\0")
        reply = json.loads(reply)
        if "error" in reply:
            raise Refused(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {})

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive(method)

    def refused(self, method, **parameters):
        try:
            reply = self.call(method, **parameters)
        except Refused as refused:
            return refused
        raise AssertionError(f"{method} was not refused: {reply}")

    def close(self):
        self.socket.close()


class Daemon:
    """A running cxl-tierd: its log, its notifications, its socket."""

    running = []

    def __init__(self, program, directory, name="d", config="", arguments=(), dump=False, boot=None, preload=None):
        self.directory = directory
        self.config = f"{directory}/{name}.conf"
        self.socket = f"{directory}/{name}.socket"
        self.log_path = f"{directory}/{name}.log"
        self.notify = []
        self.configure(config)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = f"{directory}/{name}.notify"
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        notify.bind(notify_path)
        threading.Thread(target=self._listen, args=(notify,), daemon=True).start()
        environment = {k: v for k, v in os.environ.items() if k not in ("JOURNAL_STREAM", "INVOCATION_ID")}
        environment.update(NOTIFY_SOCKET=notify_path, WATCHDOG_USEC="400000",
                           CXL_TIERD_TIERCTL=f"{directory}/tierctl")
        if boot:
            environment.update(CXL_TIERD_BOOT_ID=boot_id(boot))
        if preload:
            environment.update(LD_PRELOAD=preload, ASAN_OPTIONS="verify_asan_link_order=0")
        command = [program, "--config", self.config, "--socket", self.socket]
        # This machine's own memory is none of the tests'.
        command += ["--sysroot", dump] if dump else ["--files-only"]
        self.process = subprocess.Popen(command + list(arguments), stderr=open(self.log_path, "w"),
                                        stdout=subprocess.DEVNULL, env=environment)
        Daemon.running.append(self.process)
        wait_for("READY=1", lambda: self.notified("READY=1") or self.process.poll() is not None)
        assert self.process.poll() is None, f"cxl-tierd ended: {self.log()}"

    def _listen(self, notify):
        while True:
            self.notify.append(notify.recv(4096).decode())

    def notified(self, word):
        return sum(word in message.split("\n") for message in self.notify)

    def configure(self, text):
        with open(self.config, "w") as file:
            file.write(text)

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def connect(self):
        return Connection(self.socket)

    def call(self, method, **parameters):
        connection = self.connect()
        try:
            return connection.call(method, **parameters)
        finally:
            connection.close()

    def refused(self, method, **parameters):
        connection = self.connect()
        try:
            return connection.refused(method, **parameters)
        finally:
            connection.close()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(DEADLINE)


def as_nobody(function):
    """Runs function() in a child whose uid is nobody's; returns what it printed as JSON."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(send, json.dumps(function()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(send)
    with os.fdopen(receive) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child that runs as nobody failed ({status})"
    return json.loads(text)


def portal_file(*arguments):
    result = subprocess.run([PORTAL_FILE, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def boot_id(number):
    return f"b007b007-0000-4000-8000-{number:012x}"


def config(portal, host="A", more="", beat=0.1):
    """@more: lines of [Daemon], and sections."""
    return f"[Portal lake]\nFile={portal}\nHost={host}\n[Daemon]\nBeatSec={beat}\n{more}"


def host_record(portal, host):
    """Incarnation, beats, interval and watchdog in microseconds."""
    return tuple(map(int, portal_file("host", portal, host).split()))


def within_few_beats(portal, host, what, act, condition):
    """What follows from act() in few beats of the host, far from one at which it looks at everything anyway."""
    wait_for("a beat after the 64th", lambda: 0 < host_record(portal, host)[1] % 64 < 16)
    first = host_record(portal, host)[1]
    act()
    value = wait_for(what, condition)
    assert host_record(portal, host)[1] < first // 64 * 64 + 64, f"too late: {what}"
    return value


def granted(portal, flight):
    """The numbers of a flight's extents."""
    ranges = [tuple(map(int, line.split())) for line in portal_file("granted", portal, flight).splitlines()]
    return [first + i for first, count in ranges for i in range(count)]


def extent_states(portal, extents):
    return {portal_file("extent", portal, extent) for extent in extents}


def make_portal(directory, hosts=("A", "B"), name="lake"):
    path = f"{directory}/{name}"
    portal_file("format", path, PORTAL_BYTES, *hosts)
    return path


def digest(path, without=(0, 0)):
    """Of every page that is not zero, whether the file has holes there or not; a range is left out."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        position, end = 0, file.seek(0, os.SEEK_END)
        while position < end:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA) & ~4095
            except OSError:
                break
            file.seek(position)
            page = file.read(4096)
            if any(page) and not without[0] <= position < without[1]:
                total.update(f"{position} ".encode() + page)
            position += 4096
    return total.hexdigest()


def main(tests):
    """Runs tests, or those that the command line names, each in a directory of its own."""
    if os.geteuid() != 0:
        print("skipped: needs root, since half of it is about who is not root")
        return 77
    chosen = sys.argv[4:]
    failed = 0
    for name, function in tests.items():
        if not name.startswith("test_") or (chosen and name not in chosen):
            continue
        with tempfile.TemporaryDirectory(prefix="tierd.") as directory:
            os.chmod(directory, 0o755)
            try:
                function(directory)
                print(f"ok {name}", flush=True)
            except Exception as error:
                failed += 1
                traceback.print_exc(file=sys.stdout)
                for entry in sorted(os.listdir(directory)):
                    if entry.endswith(".log"):
                        with open(f"{directory}/{entry}") as file:
                            print(f"--- {entry}\n{file.read()}---")
                reason = " ".join(str(error).split()) or "see above"
                print(f"not ok {name}: {type(error).__name__}: {reason}", flush=True)
            finally:
                for process in Daemon.running:
                    process.kill()  # does nothing if it has been waited for
                    process.wait()
                Daemon.running.clear()
    return 1 if failed else 0

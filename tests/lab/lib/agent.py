# SPDX-License-Identifier: GPL-2.0-or-later
"""The client of agent.c, whose head describes the frames."""

import os
import select
import socket
import struct
import time

import net
import paths

PORT = 7000
_CHUNK = 32 * 1024


def _frame(kind, payload=b""):
    return kind + struct.pack(">I", len(payload)) + payload


def connect(index, timeout=10.0):
    """Only from inside the lab's network namespace."""
    sock = socket.create_connection((f"{net.MANAGEMENT}.{index}", PORT), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def wait_ready(index, seconds, alive):
    """True once the agent answers. The attempts are short: a host that boots does not answer ARP."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        try:
            if run(index, ["true"], timeout=1.0)[0] == 0:
                return True
        except OSError:
            time.sleep(0.05)
    return False


def _begin(sock, argv):
    message = b"".join(_frame(b"A", os.fsencode(arg)) for arg in argv)
    sock.sendall(message + _frame(b"R"))


def _frames(buffer):
    while len(buffer) >= 5:
        size = struct.unpack(">I", buffer[1:5])[0]
        if len(buffer) < 5 + size:
            return
        yield bytes(buffer[:1]), bytes(buffer[5:5 + size])
        del buffer[:5 + size]


def run(index, argv, timeout=10.0, stdin=b""):
    """Status, stdout and stderr of a short command."""
    out = {b"1": b"", b"2": b""}
    buffer = bytearray()
    with connect(index, timeout) as sock:
        _begin(sock, argv)
        for at in range(0, len(stdin), _CHUNK):
            sock.sendall(_frame(b"0", stdin[at:at + _CHUNK]))
        sock.sendall(_frame(b"C"))
        while chunk := sock.recv(1 << 16):
            buffer += chunk
            for kind, payload in _frames(buffer):
                if kind == b"X":
                    return struct.unpack(">I", payload)[0], out[b"1"], out[b"2"]
                if kind == b"F":
                    return 127, out[b"1"], payload
                out[kind] += payload
    raise OSError("the connection ended before the command")


def _write(fd, data):
    while data:
        data = data[os.write(fd, data):]


def stream(index, argv, stdin):
    """Run a command with our own stdout and stderr, and our stdin if wanted; its exit status is returned."""
    try:
        sock = connect(index)
    except OSError as error:
        raise paths.LabError(f"the agent does not answer: {error}") from None
    _begin(sock, argv)
    if not stdin:
        sock.sendall(_frame(b"C"))
    sock.setblocking(False)
    buffer = bytearray()
    # What the host has not taken yet. Never a blocking send: the command may be waiting for us to read.
    pending = b""
    while True:
        readers = [sock, 0] if stdin and not pending else [sock]
        readable, writable, _ = select.select(readers, [sock] if pending else [], [])
        if sock in readable:
            try:
                chunk = sock.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                chunk = b""
            if not chunk:
                raise paths.LabError("the host went away while the command ran")
            buffer += chunk
            for kind, payload in _frames(buffer):
                if kind == b"X":
                    return struct.unpack(">I", payload)[0]
                if kind == b"F":
                    _write(2, payload + b"\n")
                    return 127
                _write(1 if kind == b"1" else 2, payload)
        if 0 in readable:
            data = os.read(0, _CHUNK)
            pending = _frame(b"0", data) if data else _frame(b"C")
            stdin = bool(data)
        elif sock in writable:
            try:
                pending = pending[sock.send(pending):]
            except BlockingIOError:
                pass
            except OSError:
                pending, stdin = b"", False

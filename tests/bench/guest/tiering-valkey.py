# SPDX-License-Identifier: GPL-2.0-or-later
"""usage, in an emulated host: tiering-valkey.py MIB HOT_MIB PHASE_SEC PHASES

valkey-server with MIB of values, and two valkey-benchmarks, one of which asks for a random key of HOT_MIB, with nine
times as many connections as the other, which asks for a random one of all. The hot keys are others in each phase; the
last goes on until it is killed. A line of JSON each second: phase, seconds, requests since the line before, and how
many of these were the first one's. Who started it ends all of them, as a process group.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time

PATH = "/run/tiering-valkey.sock"
# With what belongs to a string it just fits into an allocator's class, of 4096.
VALUE_BYTES, CLASS_BYTES = 4000, 4096
PIPELINE, HOT_CLIENTS, OTHER_CLIENTS = 16, 9, 1
# Keys as valkey-benchmark makes them: twelve digits, from 0.
FILL = ("local value = string.rep('v', tonumber(ARGV[3])) for i = 0, tonumber(ARGV[2]) - 1 do "
        "redis.call('SET', ARGV[1] .. string.format('%012d', i), value) end")


class Server:
    def __init__(self):
        self.process = subprocess.Popen(["valkey-server", "--port", "0", "--unixsocket", PATH, "--save", "",
                                         "--appendonly", "no", "--dir", "/run"], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(PATH)
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)  # interval of a deadline

    def ask(self, *words):
        """An answer in one piece: a status, a number, or a string with its length before it."""
        self.socket.sendall(b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in
                                                                  (str(word).encode() for word in words)]))
        text = b""
        while not text.endswith(b"\r\n") or (text[:1] == b"$" and text[:2] != b"$-" and
                                             len(text) < text.index(b"\r\n") + 4 + int(text[1:text.index(b"\r\n")])):
            data = self.socket.recv(1 << 16)
            if not data:
                raise SystemExit("tiering-valkey: the server has gone")
            text += data
        if text[:1] == b"-":
            raise SystemExit(f"tiering-valkey: {words[0]}: {text.decode(errors='replace').strip()}")
        return text.decode()

    def calls(self):
        """Of the hot keys' command, and of the other's."""
        text = self.ask("INFO", "commandstats")
        return [int(found[1]) if (found := re.search(rf"cmdstat_{name}:calls=(\d+)", text)) else 0
                for name in ("get", "getrange")]


def benchmark(clients, keys, *command):
    return subprocess.Popen(["valkey-benchmark", "-s", PATH, "-q", "-n", "1000000000", "-r", str(keys), "-P",
                             str(PIPELINE), "-c", str(clients), *command], stdout=subprocess.DEVNULL)


def main(words):
    mib, hot_mib, seconds, phases = int(words[0]), int(words[1]), float(words[2]), int(words[3])
    hot = hot_mib * 2 ** 20 // CLASS_BYTES
    rest = mib * 2 ** 20 // CLASS_BYTES - phases * hot
    server = Server()
    # Those that become hot come last, where DRAM is full.
    server.ask("EVAL", FILL, 0, "cold:", rest, VALUE_BYTES)
    for phase in range(phases):
        server.ask("EVAL", FILL, 0, f"hot{phase}:", hot, VALUE_BYTES)
    print("touched", flush=True)
    before = server.calls()
    for phase in range(phases):
        begin = time.monotonic()
        children = [benchmark(HOT_CLIENTS, hot, "GET", f"hot{phase}:__rand_int__"),
                    benchmark(OTHER_CLIENTS, rest, "GETRANGE", "cold:__rand_int__", "0", "-1")]
        while phase == phases - 1 or time.monotonic() - begin < seconds:
            # A sample each second, unless one ends.
            with contextlib.suppress(subprocess.TimeoutExpired):
                children[0].wait(1)
            after = server.calls()
            print(json.dumps({"phase": phase, "seconds": round(time.monotonic() - begin, 2),
                              "requests": sum(after) - sum(before), "hot_requests": after[0] - before[0]}), flush=True)
            before = after
            if any(child.poll() is not None for child in children):
                raise SystemExit("tiering-valkey: a valkey-benchmark has ended")
        for child in children:
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

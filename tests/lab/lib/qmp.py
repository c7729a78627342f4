# SPDX-License-Identifier: GPL-2.0-or-later
"""A host's QEMU monitor."""

import json
import socket

import paths


class Qmp:
    def __init__(self, path, timeout=10):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("r")
        self._file.readline()
        self.command({"execute": "qmp_capabilities"})

    def command(self, command):
        """The command's return value; events in between are dropped."""
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        for line in self._file:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise paths.LabError(f"qmp: {command['execute']}: {answer['error']['desc']}")
        raise paths.LabError(f"qmp: {command['execute']}: the monitor closed the connection")

    def close(self):
        self._socket.close()


def parse(words):
    """A whole JSON object, or a command name followed by key=value arguments whose values may be JSON."""
    if words[0].lstrip().startswith("{"):
        try:
            return json.loads(" ".join(words))
        except json.JSONDecodeError as error:
            raise paths.LabError(f"qmp: not JSON: {error}") from None
    arguments = {}
    for word in words[1:]:
        key, separator, value = word.partition("=")
        if not separator:
            raise paths.LabError(f"qmp: {word}: expected KEY=VALUE")
        try:
            arguments[key] = json.loads(value)
        except json.JSONDecodeError:
            arguments[key] = value
    return {"execute": words[0], "arguments": arguments}

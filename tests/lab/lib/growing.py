# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: python3 -I -S growing.py NAME [OPTION...] -- [QEMU-ARGUMENT...]

"host up" for a host whose memory grows in ways that a topology does not describe, and for lab cases what such memory
is: Model, the kernel's onlining as libtier's tier-zoning.h predicts it; Memory, a host's blocks and its devices.
"""

import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

SOURCES = ["tests/lab/zoning.c", "libtier/core/zoning.c", "libtier/core/zoning-choose.c", "libtier/core/zoning-step.c",
           "libtier/core/zoning-device.c", "libtier/core/topology.c", "libtier/core/util.c"]
PROGRAM = "/src/build/lab/zoning"
BLOCK = 128 << 20
PAGES = BLOCK // 4096
ZONES = "DMA", "DMA32", "Normal", "Movable"
PARAMETERS = "/sys/module/memory_hotplug/parameters"
# A block: index, node, state and valid_zones. One may come or go meanwhile; its node is linked last.
LOOK = r"""cd /sys/devices/system/memory && for b in memory[0-9]*; do
{ read -r state <$b/state && read -r zones <$b/valid_zones; } 2>/dev/null || continue
set -- $b/node[0-9]*; echo "${b#memory} ${1##*/node} $state $zones"; done; echo zoneinfo; cat /proc/zoneinfo"""


def up(name, *options, qemu=()):
    done = subprocess.run([sys.executable, "-I", "-S", os.path.abspath(__file__), name, *options, "--", *qemu],
                          text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError((done.stderr or done.stdout).strip())
    return done.stdout.strip()


class Model:
    """tests/lab/zoning.c, asked and answering line by line."""

    def __init__(self):
        sources = [f"/src/{source}" for source in SOURCES]
        subprocess.run(["gcc", "-O1", "-g", "-Wall", "-Werror", "-std=gnu2x", "-D_GNU_SOURCE",
                        "-fsanitize=address,undefined", "-I/src/libtier", "-I/src/libtier/core", "-o", PROGRAM + ".new",
                        *sources], check=True)
        os.rename(PROGRAM + ".new", PROGRAM)
        self._process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.log = []

    def tell(self, *words):
        """The answer; an error is one of the case."""
        line = " ".join(str(word) for word in words)
        self._process.stdin.write(line + "\n")
        answer = self._process.stdout.readline().strip()
        self.log.append(f"{line}: {answer}")
        assert not answer.startswith("error"), f"model: {line}: {answer}"
        return answer

    def zones(self):
        """{index: valid_zones}"""
        blocks = self.tell("blocks").split()
        return dict(zip(map(int, blocks), (zones.replace(",", " ") for zones in self.tell("valid", *blocks).split())))

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(10) == 0, "the model's program failed"


class Memory:
    """A host's memory blocks, and what QEMU plugs into it."""

    def __init__(self, host):
        import qmp
        self.host = host
        self.qmp = qmp.Qmp(host.info()["qmp_socket"])
        self.blocks, self.zoneinfo = {}, {}

    def command(self, name, **arguments):
        return self.qmp.command({"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}})

    def look(self):
        """blocks: {index: (node, state, valid_zones)}; zoneinfo: {(node, zone): {field: pages}}"""
        text, _, info = self.host.run(LOOK).out.partition("zoneinfo\n")
        self.blocks = {}
        for line in text.splitlines():
            index, node, state, zones = line.split(" ", 3)
            self.blocks[int(index)] = int(node) if node.isdigit() else -1, state, zones
        self.zoneinfo = {}
        for node, zone, body in re.findall(r"^Node (\d+), zone +(\w+)\n(.*?)(?=^Node|\Z)", info, re.M | re.S):
            found = dict(re.findall(r"^ +(spanned|present|cma|start_pfn):? +(\d+)$", body, re.M))
            self.zoneinfo[int(node), zone] = {key: int(value) for key, value in found.items()}
        return self.blocks

    def valid(self):
        return {index: zones for index, (_, _, zones) in self.blocks.items()}

    def describe(self, model):
        """A machine that has nothing but what it booted with."""
        self.look()
        model.tell("new", PAGES)
        for (node, zone), has in self.zoneinfo.items():
            if zone in ZONES:
                assert has["present"] or not has["spanned"], f"node {node} {zone}: {has}"
                model.tell("zone", node, zone, has.get("start_pfn", 0), has["spanned"], has["present"], has["present"],
                           has.get("cma", 0))
        for index, (node, state, zones) in self.blocks.items():
            assert state == "online", f"block {index} is {state} at boot"
            model.tell("block", index, node, -1, 1, "mixed" if zones == "none" else zones)

    def parameters(self, **values):
        self.host.run(" && ".join(f"echo {value} >{PARAMETERS}/{name}" for name, value in values.items()))

    def auto_online(self, kind):
        self.host.run(f"echo {kind} >/sys/devices/system/memory/auto_online_blocks")

    def device(self, name):
        for device in self.command("query-memory-devices"):
            if device["data"].get("id") == name:
                return device["data"]
        return None

    def plug_dimm(self, name, node, index, count):
        self.command("object-add", qom_type="memory-backend-ram", id=f"{name}-ram", size=count * BLOCK)
        self.command("device_add", driver="pc-dimm", id=name, memdev=f"{name}-ram", node=node, addr=index * BLOCK)

    def unplug_dimm(self, name):
        """Of which every block is offline."""
        self.command("device_del", id=name)
        for _ in range(200):
            if self.device(name) is None:
                break
            self.host.run("true")
        else:
            raise AssertionError(f"{name} is still there")
        self.command("object-del", id=f"{name}-ram")

    def request(self, name, bytes_wanted):
        self.command("qom-set", path=name, property="requested-size", value=bytes_wanted)


def compare(memory, model, what):
    """Every block's valid_zones, and each zone's pages, as the model says."""
    theirs, ours = memory.valid(), model.zones()
    wrong = [f"block {i}: kernel \"{theirs.get(i, 'absent')}\", model \"{ours.get(i, 'absent')}\""
             for i in sorted(theirs.keys() | ours.keys()) if theirs.get(i) != ours.get(i)]
    for (node, zone), has in memory.zoneinfo.items():
        if zone not in ZONES:
            continue
        start, spanned, present, _ = map(int, model.tell("present", node, zone).split())
        if present != has["present"]:
            wrong.append(f"node {node} {zone}: kernel {has['present']} pages present, model {present}")
        # To a block, see shrink_span() in libtier/core/zoning-step.c.
        if "start_pfn" in has and (start // PAGES, -(-(start + spanned) // PAGES)) != (
                has["start_pfn"] // PAGES, -(-(has["start_pfn"] + has["spanned"]) // PAGES)):
            wrong.append(f"node {node} {zone}: kernel {has['start_pfn']}+{has['spanned']}, model {start}+{spanned}")
    assert not wrong, f"{what}: {'; '.join(wrong[:8])}; before: {' | '.join(model.log[-12:])}"


def _main(words):
    import main
    import topology
    at = words.index("--")
    plain = topology.qemu_args
    topology.qemu_args = lambda host: plain(host) + words[at + 1:]
    return main.main(["up", *words[:at]])


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))

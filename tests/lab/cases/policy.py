# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own onlining, and that libtier's model of it (libtier/tier-zoning.h) says every block's zone beforehand.

A bare Debian host on Debian's kernel, which onlines everything that comes. Random sequences of DIMMs, virtio-mem and
CXL regions that come and go, of blocks taken offline and online by hand, under random policies. Before each step the
model is told what will happen; after it every block's valid_zones and every zone's pages and span are as it said. Only
what can be taken offline at all is the guest's to say, and so TIER_SEED=N repeats them as far as that is the same.
"""

import os
import random

import growing
from cases import deadline
from growing import BLOCK, PAGES

SECONDS = 150
KERNEL = "stock"
LONG = os.environ.get("LAB_ALL") == "1"
SEED = int(os.environ.get("TIER_SEED", "1"))
SEQUENCES, STEPS, PER_BOOT = 200 if LONG else 20, 4, 10
KINDS = "online", "online", "online", "online", "online", "online_kernel", "online_movable", "offline"
# 36 blocks are early: these are the ratios at which a few more or less of them decide.
RATIOS = 0, 1, 25, 50, 75, 100, 150, 200, 301, 500, 1000
# Blocks: QEMU's room for devices begins at 7 GiB here; virtio-mem has 4 and 2 GiB of it, and DIMMs 8.
SMALL, BIG, DIMMS, DIMMS_END = range(56, 88), range(88, 104), 104, 168
VIRTIO = ["-object", "memory-backend-ram,id=small-ram,size=4G,reserve=off",
          "-device", f"virtio-mem-pci,bus=pcie.0,id=small,memdev=small-ram,node=0,requested-size=0,memaddr={7 << 30}",
          "-object", "memory-backend-ram,id=big-ram,size=2G,reserve=off",
          "-device", f"virtio-mem-pci,bus=pcie.0,id=big,memdev=big-ram,node=1,requested-size=0,memaddr={11 << 30},"
                     "block-size=256M"]
# What a kernel may be booted with that bears on the rule.
BOOTS = "", "memory_hotplug.memmap_on_memory=1 movable_node", "kernelcore=3G"


class Device:
    def __init__(self, name, group, blocks, unit=0, region=None):
        self.name, self.group, self.blocks, self.unit, self.region = name, group, blocks, unit, region
        self.stuck = False


class Player:
    """One host, and the model of it."""

    def __init__(self, lab, boot, chance):
        lab.scenario.down_all()
        growing.up("A", "--dram", "4G", "--node", "dram=512M", "--slots", "16", "--maxmem", "20G",
                   "--cxl", "serial=1,size=512M,window=0", "--cxl", "serial=2,size=1G,window=1",
                   "--cxl", "serial=3,size=256M,window=2", "--kernel", "stock", "--no-package", "--append",
                   f"memory_hotplug.online_policy=auto-movable {BOOTS[boot % len(BOOTS)]}", qemu=VIRTIO)
        self.host, self.chance = lab["A"], chance
        self.memory, self.model = growing.Memory(self.host), growing.Model()
        self.movable_node = "movable_node" in BOOTS[boot % len(BOOTS)]
        self.host.run("modprobe virtio_mem")
        self.memory.describe(self.model)
        self.early = set(self.memory.blocks)
        self.devices, self.number, self.kind, self.done = {}, 0, "online", []
        self.seen, self.counts = set(self.early), {}
        for name, node, blocks, unit in ("small", 0, SMALL, 1), ("big", 1, BIG, 2):
            group = self.model.tell("group", "dynamic", node, unit * PAGES)
            self.devices[name] = Device(name, group, blocks, unit)
        self.policy()
        growing.compare(self.memory, self.model, "after booting")

    # ---- what somebody does ----

    def policy(self, aware=None):
        ratio = self.chance.choice([*RATIOS, self.chance.randrange(200), self.chance.randrange(1001)])
        name = self.chance.choice(["auto-movable"] * 5 + ["contig-zones"])
        aware = self.chance.random() < 0.5 if aware is None else aware
        self.model.tell("policy", name, ratio, int(aware), int(self.movable_node))
        self.memory.parameters(online_policy=name, auto_movable_ratio=ratio, auto_movable_numa_aware="NY"[aware])
        return f"{name} {ratio} %{' numa_aware' if aware else ''}"

    def auto_online(self):
        self.kind = self.chance.choice(KINDS)
        self.memory.auto_online(self.kind)
        return f"auto_online_blocks {self.kind}"

    def dimm(self):
        used = {i for device in self.devices.values() for i in device.blocks}
        count = self.chance.choice([1, 2, 3, 4, 6, 8])
        first = self.chance.randrange(DIMMS, DIMMS_END - count)
        dimms = [d for d in self.devices.values() if d.name.startswith("dimm")]
        if used & set(range(first, first + count)) or len(dimms) > 8:
            return None
        self.number += 1
        name, node = f"dimm{self.number}", self.chance.randrange(2)
        self._add(name, node, first, count)
        self.memory.plug_dimm(name, node, first, count)
        return f"{name} of {count} blocks at {first} on node {node}"

    def _add(self, name, node, first, count, region=None):
        group = self.model.tell("group", "static", node, count * PAGES)
        self.model.tell("add", group, node, first, count, self.kind)
        self.devices[name] = Device(name, group, range(first, first + count), region=region)

    def cxl(self):
        serial = self.chance.choice([1, 2, 3])
        if f"cxl{serial}" in self.devices:
            return None
        # Where all of it goes to Normal, the kernel soon has something there that stays.
        policy = self.policy(aware=False) if self.chance.random() < 0.7 else "as it is"
        decoder = f"/sys/bus/cxl/devices/decoder0.{serial - 1}/start"
        first = int(self.host.run("cat", decoder).out, 16) // BLOCK
        # A window's node comes after those of the tables.
        count = (4, 8, 2)[serial - 1]
        self._add(f"cxl{serial}", 1 + serial, first, count)
        self.devices[f"cxl{serial}"].region = self.host.create_region(serial)
        return f"{policy}, cxl{serial} of {count} blocks at {first}"

    def grow(self):
        device = self.devices[self.chance.choice(["small", "big"])]
        have = [i for i in device.blocks if i in self.memory.blocks]
        units = min(self.chance.randrange(1, 6), (len(device.blocks) - len(have)) // device.unit)
        if units == 0:
            return None
        # It stops when 1 GiB of it is offline.
        kind = self.kind if self.kind != "offline" else "online"
        self.memory.auto_online(kind)
        self.model.tell("grow", device.group, device.blocks[0], len(device.blocks), units, kind)
        self.memory.request(device.name, (len(have) + units * device.unit) * BLOCK)
        self.settle(f"{device.name} grows")
        self.memory.auto_online(self.kind)
        return f"{device.name} grows by {units}"

    def shrink(self):
        """Which blocks go depends on what lies in them: the model is told."""
        device = self.devices[self.chance.choice(["small", "big"])]
        have = [i for i in device.blocks if i in self.memory.blocks]
        movable = sum(self.memory.blocks[i][2] == "Movable" for i in have) // device.unit
        if not have:
            return None
        units = self.chance.randrange(1, max(movable, 1) + 1)
        wanted = max(0, len(have) - units * device.unit) * BLOCK
        self.memory.request(device.name, wanted)
        size, same = None, 0
        # What is busy stays; the driver tries again after 50 s. Until then nothing changes, and the request ends here.
        while same < 15 and (now := self.memory.device(device.name)["size"]) > wanted:
            size, same = now, same + 1 if now == size else 0
            self.memory.look()
        if self.memory.device(device.name)["size"] > wanted:
            self.memory.request(device.name, self.memory.device(device.name)["size"])
        self.memory.look()
        gone = [i for i in have if i not in self.memory.blocks]
        for i in reversed(gone):
            if "," not in self.model.tell("valid", i):
                self.model.tell("offline", i)
            self.model.tell("remove", i, 1)
        return f"{device.name} shrinks by {units}: {gone} go"

    def leave(self):
        """A DIMM or a region, all of whose blocks can be taken offline; else they come back by hand."""
        names = [name for name, device in self.devices.items() if not device.unit and not device.stuck]
        if not names:
            return None
        device = self.devices[self.chance.choice(names)]
        online = [i for i in device.blocks if self.memory.blocks[i][1] == "online"]
        self.chance.shuffle(online)
        offline = self.take_offline(online)
        if len(offline) < len(online):
            device.stuck = True
            self.settle(f"{device.name}: {offline} offline")
            for i in offline:
                self.bring_online(i)
            return f"{device.name} stays"
        if device.region:
            self.host.run(f"cd /sys/bus/dax/drivers/kmem && dax=$(ls /sys/bus/cxl/devices/{device.region}/dax_region*/ "
                          f"| grep '^dax[0-9]*\\.[0-9]') && echo $dax >unbind && cxl destroy-region -f {device.region}")
        else:
            self.memory.unplug_dimm(device.name)
        self.model.tell("remove", device.blocks[0], len(device.blocks))
        self.model.tell("ungroup", device.group)
        del self.devices[device.name]
        return f"{device.name} leaves"

    def take_offline(self, blocks):
        """Those that would go."""
        script = "".join(f"timeout 5 sh -c 'echo offline >/sys/devices/system/memory/memory{i}/state' 2>/dev/null && "
                         f"echo {i}\n" for i in blocks)
        gone = [int(i) for i in self.host.run(script + "true").out.split()]
        for i in gone:
            self.model.tell("offline", i)
        return gone

    def bring_online(self, block):
        kind = self.chance.choice(["online", "online", "online_kernel", "online_movable"])
        self.model.tell("online", block, kind)
        self.host.run(f"echo {kind} >/sys/devices/system/memory/memory{block}/state")

    def by_hand(self):
        """Some blocks offline, or those that are offline online; early ones of node 1 as well."""
        offline = [i for i, (_, state, _) in self.memory.blocks.items() if state == "offline"]
        if offline and self.chance.random() < 0.6:
            some = self.chance.sample(offline, min(len(offline), 4))
            for i in some:
                self.bring_online(i)
            return f"{some} online by hand"
        online = [i for i, (node, state, zones) in self.memory.blocks.items()
                  if state == "online" and zones != "none" and (i not in self.early or node == 1)]
        in_virtio = [i for i in offline if i in SMALL or i in BIG]
        some = [i for i in self.chance.sample(online, min(len(online), 3))
                if len(in_virtio) < 3 or not (i in SMALL or i in BIG)]
        return f"{self.take_offline(some)} of {some} offline by hand"

    # ---- and what comes of it ----

    def settle(self, what):
        """Until the kernel has done what it does on its own, or has had the time for it."""
        for left in range(60, -1, -1):
            self.memory.look()
            try:
                growing.compare(self.memory, self.model, what)
                break
            except AssertionError:
                if left == 0:
                    raise
        online = {i: zones for i, (_, state, zones) in self.memory.blocks.items() if state == "online"}
        for i in online.keys() - self.seen:
            self.counts[online[i]] = self.counts.get(online[i], 0) + 1
        self.seen = set(online)

    def step(self):
        acts = (self.dimm, self.dimm, self.cxl, self.grow, self.grow, self.shrink, self.leave, self.leave, self.by_hand,
                self.by_hand, self.policy, self.auto_online)
        what = None
        while what is None:
            what = self.chance.choice(acts)()
        self.done.append(what)
        self.settle(what)

    def play(self):
        self.done = [self.policy()]
        for _ in range(STEPS):
            try:
                self.step()
            except AssertionError as failure:
                raise AssertionError(f"{failure}; TIER_SEED={SEED}; steps: {'; '.join(self.done)}") from None
        print(f"# {'; '.join(self.done)}", flush=True)

    def end(self, total):
        for zone, count in self.counts.items():
            total[zone] = total.get(zone, 0) + count
        self.memory.qmp.close()
        self.model.close()


@deadline(7200 if LONG else 900)
def case_every_block_is_in_the_zone_that_the_model_says(lab):
    chance = random.Random(SEED)
    player, total = None, {}
    for number in range(SEQUENCES):
        if number % PER_BOOT == 0:
            if player:
                player.end(total)
            player = Player(lab, SEED + number // PER_BOOT, chance)
        player.play()
    player.end(total)
    print(f"# onlined: {', '.join(f'{count} {zone}' for zone, count in total.items())}", flush=True)
    assert {"Normal", "Movable"} <= total.keys(), total


def _seed_000(lab, act, qemu=()):
    """The VM of 4 GiB in seed 000: the kernel's policy with the figures that it has by itself."""
    lab.scenario.down_all()
    growing.up("A", "--dram", "4G", "--maxmem", "24G", "--slots", "8", "--kernel", "stock", "--no-package", "--append",
               "memory_hotplug.online_policy=auto-movable", qemu=qemu)
    a = lab["A"]
    a.run("modprobe virtio_mem")
    memory, model = growing.Memory(a), growing.Model()
    memory.describe(model)
    model.tell("policy", "auto-movable", 301, 1, 0)
    act(memory, model)
    for _ in range(200):
        memory.look()
        if model.zones() == memory.valid():
            break
    growing.compare(memory, model, "seed 000")
    memory.qmp.close()
    model.close()
    found = {}
    for i, (_, _, zones) in sorted(memory.blocks.items()):
        found.setdefault(zones, []).append(i)
    assert found["DMA32"] == [*range(1, 16)] and found["Normal"][:16] == [*range(32, 48)], found
    return found["Normal"][16:], found["Movable"]


@deadline(300)
def case_seed_000_dimms(lab):
    """Blocks 48 to 143 Movable, the rest Normal."""
    def act(memory, model):
        for number in range(4):
            group = model.tell("group", "static", 0, 32 * PAGES)
            model.tell("add", group, 0, 48 + 32 * number, 32, "online")
            memory.plug_dimm(f"dimm{number}", 0, 48 + 32 * number, 32)

    normal, movable = _seed_000(lab, act)
    assert movable == [*range(48, 144)] and normal == [*range(144, 176)], (normal, movable)


@deadline(300)
def case_seed_000_virtio_mem(lab):
    """12 GiB Movable, then 128 MiB Normal to 384 MiB Movable in turn."""
    def act(memory, model):
        group = model.tell("group", "dynamic", 0, PAGES)
        model.tell("grow", group, 48, 128, 96 + 4 * 4, "online")
        memory.request("one", (96 + 4 * 4) * BLOCK)

    normal, movable = _seed_000(lab, act, [
        "-object", "memory-backend-ram,id=one-ram,size=16G,reserve=off",
        "-device", f"virtio-mem-pci,bus=pcie.0,id=one,memdev=one-ram,node=0,requested-size=0,memaddr={6 << 30}"])
    assert normal == [144, 148, 152, 156] and len(movable) == 96 + 12, (normal, movable)

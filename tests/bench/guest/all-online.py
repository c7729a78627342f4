# SPDX-License-Identifier: GPL-2.0-or-later
"""usage, in an emulated host: all-online.py WANTED SECONDS [--half] REGION...

Waits until as many devices have all their memory online, or time is up, and prints how many do: each of the regions,
and each memory block of another device that was hot-added, which is a DIMM of one block. --half: until half of them do.
"""

import glob
import os
import re
import sys
import time

MEMORY = "/sys/devices/system/memory"
# QEMU plugs DIMMs behind this address; what lies below was there at boot.
HOT_ADDED = 4 << 30


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def count(regions):
    size = int(read(f"{MEMORY}/block_size_bytes"), 16)
    states = {int(re.search(r"\d+$", path)[0]): read(f"{path}/state") for path in glob.glob(f"{MEMORY}/memory[0-9]*")}
    whole = 0
    for region in os.listdir("/sys/bus/cxl/devices"):
        if not region.startswith("region"):
            continue
        start, length = (int(read(f"/sys/bus/cxl/devices/{region}/{name}") or "0", 16) for name in ("resource", "size"))
        own = [states.pop(block, "") for block in range(start // size, (start + length) // size)]
        whole += region in regions and own != [] and set(own) == {"online"}
    return whole + sum(state == "online" and block * size >= HOT_ADDED for block, state in states.items())


def main(words):
    regions = [word for word in words[2:] if word != "--half"]
    wanted, end = int(words[0]) // (2 if "--half" in words else 1), time.monotonic() + int(words[1])
    while (found := count(regions)) < wanted and time.monotonic() < end:
        time.sleep(0.05)  # interval of a deadline
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

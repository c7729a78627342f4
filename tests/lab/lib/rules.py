# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases about onlining share: the daemon's rules, its log, and what sysfs says of a region's memory."""

import json

SOCKET = "/run/cxl-tier/cxl-tierd.socket"
DROP_IN = "/etc/cxl-tier/cxl-tierd.conf.d/50-test.conf"

BLOCKS = r'''
read -r size </sys/devices/system/memory/block_size_bytes
size=$((0x$size))
read -r start </sys/bus/cxl/devices/$1/resource
read -r bytes </sys/bus/cxl/devices/$1/size
i=$((start / size))
end=$(((start + bytes) / size))
while [ $i -lt $end ]; do
    directory=/sys/devices/system/memory/memory$i
    state=absent zones=
    if [ -e $directory ]; then
        read -r state <$directory/state
        read -r zones <$directory/valid_zones
    fi
    echo "$i $state $zones"
    i=$((i + 1))
done
for dax in /sys/bus/cxl/devices/$1/dax_region*/dax[0-9]*; do
    driver=$(readlink $dax/driver) || driver=none
    echo "${dax##*/} ${driver##*/}"
done'''


def blocks(host, region):
    """What sysfs says of a region: {block: (state, zones)} and {dax device: driver}."""
    found, daxs = {}, {}
    for line in host.run("sh", "-c", BLOCKS, "blocks", region).out.splitlines():
        words = line.split()
        if words[0].isdigit():
            found[int(words[0])] = (words[1], " ".join(words[2:]))
        else:
            daxs[words[0]] = words[1]
    return found, daxs


def expect_online(host, region, zone):
    found, daxs = blocks(host, region)
    assert found and set(found.values()) == {("online", zone)}, f"{region}: not all in {zone}: {found}"
    assert set(daxs.values()) == {"kmem"}, daxs


def expect_offline(host, region, driver=None):
    found, daxs = blocks(host, region)
    online = {block: state for block, state in found.items() if state[0] not in ("offline", "absent")}
    assert found and not online, f"{region}: blocks are online: {online}"
    assert driver is None or set(daxs.values()) == {driver}, daxs


def configure(host, text):
    if text:
        host.write(DROP_IN, text)
    else:
        host.run("rm", "-f", DROP_IN)


def call(host, method, parameters=None, user=()):
    return host.run(*user, "varlinkctl", "--timeout=infinity", "call", "-j", SOCKET, f"io.cxltier.Manager.{method}",
                    json.dumps(parameters or {}), check=False)


def reload(host):
    result = call(host, "Reload")
    assert result.code == 0, result.err


def decision(host, region):
    """The last line of the daemon's log about a region, which may come later than what it tells of."""
    host.daemon.wait_text(f"cxl-tierd: {region}: ", 30)
    lines = [line for line in host.daemon.text().splitlines() if line.startswith(f"cxl-tierd: {region}: ")]
    return lines[-1]


def objects(text):
    """Objects of JSON, one after the other: progress, and in the end what came of it."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found

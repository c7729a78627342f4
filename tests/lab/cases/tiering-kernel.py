# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own tiering for Tier=auto: it moves pages, ends before what it would disturb, and is put back.

On Debian's kernel, which would demote to shared memory as well. A has two regions, of which a case may make one shared.
"""

import heating
import hinting
import nodes
from heating import heat, until
from nodes import node_of, region_of

SECONDS = 90
HOST = ("--dram", "768M", "--cpus", "2", "--cxl", "serial=1,size=256M,window=0", "--cxl", "serial=2,size=1G,window=1")
KERNEL = "stock"
DEADLINE = 420
CONFIG = ("[Region far]\nMatchSerial=1\nType=%s\nOnline=%s\n[Region own]\nMatchSerial=2\nOnline=movable\n"
          "[Tiering]\nTier=%s\nMeasureSec=3\nMechanism=%s\nPromoteRateLimit=%s\n")
BALANCING, LIMIT = ("/proc/sys/kernel/numa_balancing" + tail for tail in ("", "_promote_rate_limit_MBps"))
DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"
NOTE = "/run/cxl-tier/tiering-kernel"
_before = []


def configure(host, tier="auto", mechanism="kernel", limit="", far=("switched", "no")):
    nodes.configure(host, CONFIG % (*far, tier, mechanism, limit))


def settings(host):
    return host.run("cat", BALANCING, DEMOTION, LIMIT).out.split()


def is_on(host):
    balancing, demotion, _ = settings(host)
    return bool(int(balancing) & 2) and demotion == "true"


def expect_as_before(host):
    assert settings(host) == _before, f"{settings(host)}, and before {_before}"
    assert not host.run(f"ls {NOTE} || :").out


def expect_demotion_alone(host):
    assert settings(host) == [_before[0], "true", _before[2]], f"{settings(host)}, and before {_before}"


def counter(host, name):
    return sum(int(line.split()[1]) for line in host.run("cat", "/proc/vmstat").out.splitlines()
               if line.startswith(name))


def setup(lab):
    a = nodes.bring_up_own(lab, HOST, CONFIG % ("switched", "no", "no", "auto", ""), {2: 1024})
    heating.prepare(a)
    hinting.scan_often(a)
    _before[:] = settings(a)
    assert not is_on(a), _before


def case_moves_pages_and_is_put_back(lab):
    """What is hot is in DRAM after a while; without Tier=auto all is as before."""
    a = lab["A"]
    with heat(a, 700, 100, "contiguous", hinting.RATE, 1, 1) as program:
        first = until(program, "the hot pages begin on the slow node", lambda line: True)
        assert first["hot"] < 0.5, first
        promoted = counter(a, "pgpromote_success")
        configure(a, limit="256M")
        assert is_on(a) and settings(a)[2] == "256", settings(a)
        reached = until(program, "most of the hot pages are in DRAM", lambda line: line["hot"] >= 0.7, 300)
        print(f"# {reached}", flush=True)
        assert counter(a, "pgpromote_success") > promoted
        assert counter(a, "pgdemote_") > 0
    assert "by the kernel's own tiering: Mechanism=kernel" in a.daemon.text(), a.daemon.text()
    doctor = a.tierctl("doctor", check=False).out
    assert "Tier=auto has the kernel move pages: Mechanism=kernel" in doctor, doctor
    assert "policies: none of them counts" in a.tierctl("policy").err
    # No limit is wished for any more, and then nothing at all.
    configure(a)
    assert is_on(a) and settings(a)[2] == _before[2], settings(a)
    configure(a, tier="no")
    expect_as_before(a)


def case_put_back_at_the_end(lab):
    """By a daemon that ends, by the next one after a kill, and by --release; doctor names what was left."""
    a = lab["A"]
    configure(a, limit="64M")
    assert is_on(a)
    a.stop_daemon()
    expect_as_before(a)
    a.start_daemon()
    assert is_on(a)
    a.run("kill -KILL $(cat /run/cxl-tierd.pid)")
    a.daemon.wait(60)
    assert is_on(a) and settings(a)[2] == "64", settings(a)
    left = "left by a cxl-tierd that was killed: numa_balancing_promote_rate_limit_MBps, demotion_enabled, numa_balancing"
    doctor = a.tierctl("doctor", check=False).out
    assert left in doctor, doctor
    a.run("cxl-tierd", "--release")
    expect_as_before(a)
    # The same, and another start in between.
    a.start_daemon()
    a.run("kill -KILL $(cat /run/cxl-tierd.pid)")
    a.daemon.wait(60)
    a.write(nodes.CONFIG, CONFIG % ("switched", "no", "no", "auto", ""))
    a.start_daemon()
    expect_as_before(a)


def case_another_hand(lab):
    """What somebody else has switched off stays off, and what he has switched on stays on."""
    a = lab["A"]
    configure(a)
    a.run(f"echo 0 >{BALANCING}; echo 1000 >{LIMIT}")
    a.rescan()
    assert settings(a) == ["0", "true", "1000"], settings(a)
    assert "numa_balancing_promote_rate_limit_MBps is 1000 by another hand, numa_balancing is 0; it stays" in a.daemon.text(), a.daemon.text()
    doctor = a.tierctl("doctor", check=False).out
    assert "0 by another hand" in doctor, doctor
    configure(a, tier="no")
    assert settings(a) == ["0", _before[1], "1000"], settings(a)
    a.run(f"echo {_before[2]} >{LIMIT}; echo 3 >{BALANCING}")
    configure(a)
    assert settings(a) == ["3", "true", _before[2]], settings(a)
    configure(a, tier="no")
    assert settings(a) == ["3", _before[1], _before[2]], settings(a)
    a.run(f"echo {_before[0]} >{BALANCING}")
    expect_as_before(a)


def case_beside_damon(lab):
    """The kernel demotes where DRAM is short, and does not promote: doctor warns if it does, and if it demotes no more."""
    a = lab["A"]
    configure(a, mechanism="auto")
    a.wait_for("pgrep -x tierd-tiering", "the process that uses DAMON", 60)
    expect_demotion_alone(a)
    doctor = a.tierctl("doctor", check=False).out
    assert "where DRAM is short, reclaim makes room" in doctor, doctor
    a.run(f"echo 2 >{BALANCING}; echo 0 >{DEMOTION}")
    doctor = a.tierctl("doctor", check=False).out
    a.run(f"echo {_before[0]} >{BALANCING}")
    assert "promotes between tiers beside Tier=auto" in doctor and "off beside Tier=auto" in doctor, doctor
    # By another hand.
    a.rescan()
    assert settings(a) == _before, settings(a)
    assert "demotion_enabled is 0 by another hand; it stays" in a.daemon.text(), a.daemon.text()
    configure(a, tier="no")
    configure(a, mechanism="auto")
    assert settings(a)[1] == "true", settings(a)
    nodes.configure(a, CONFIG % ("switched", "no", "auto", "auto", "") + "Demotion=no\n")
    expect_as_before(a)
    configure(a, tier="no")
    heating.expect_ended(a)
    expect_as_before(a)


def case_two_slow_nodes(lab):
    """More than DAMON can tell apart: the kernel does it, until one of them has been gone for a minute."""
    a = lab["A"]
    configure(a, mechanism="auto", far=("local", "movable"))
    nodes.expect_memory(a, 1, 256)
    a.rescan()
    a.wait_for(f"grep -qx true {DEMOTION} && ! pgrep -x tierd-tiering >/dev/null", "the kernel's tiering", 90)
    assert "by the kernel's own tiering: not by DAMON: more than one node" in a.daemon.text(), a.daemon.text()
    # It must not fill what is being evacuated; afterwards it may.
    a.tierctl("offline", region_of(a, 1)["name"])
    a.wait_for("pgrep -x tierd-tiering", "DAMON again", 180)
    expect_demotion_alone(a)
    configure(a, tier="no")
    heating.expect_ended(a)


def case_shared_memory_online(lab):
    """It is off before that comes online, and stays so; not for memory of this host."""
    a = lab["A"]
    configure(a)
    assert is_on(a)
    configure(a, far=("switched", "movable"))
    nodes.expect_memory(a, 1, 256)
    a.rescan()
    expect_as_before(a)
    text = a.daemon.text()
    told = f"node{node_of(a, 1)} is shared, and this kernel does not keep ordinary memory off it"
    assert told in text, text
    # By the log's order: it had ended when the region came online.
    ended, onlined = text.rfind("the kernel's own tiering is as it was"), text.rfind("onlined in zone")
    assert -1 < ended < onlined, text
    doctor = a.tierctl("doctor", check=False).out
    assert f"Tier=auto moves nothing for now: {told}" in doctor, doctor
    assert nodes.used_mib(a, node_of(a, 1)) == 0, nodes.used_mib(a, node_of(a, 1))
    a.tierctl("offline", region_of(a, 1)["name"])
    a.wait_for(f"grep -qx true {DEMOTION}", "the kernel's tiering again", 60)
    configure(a, tier="no")
    expect_as_before(a)

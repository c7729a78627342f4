# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/lab/host: the verbs."""

import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agent  # noqa: E402
import hosts  # noqa: E402
import kernels  # noqa: E402
import net  # noqa: E402
import paths  # noqa: E402
import process  # noqa: E402
import qmp  # noqa: E402
import topology  # noqa: E402

USAGE = """\
usage: tests/lab/host VERB ...

  up NAME [OPTION...]            bring a host up; --topology T takes it from there
  up --topology T [OPTION...]    bring up every host of a topology
  exec NAME [--stdin] -- CMD...  run a command in it; exit status, stdout and stderr come back
  push NAME SRC DST              copy a file into it
  pull NAME SRC DST              copy a file out of it
  list [--json]                  the hosts that are up
  info NAME --json               process, sockets, logs, addresses of a host
  stats NAME                     bytes and packets on its networks, counted outside of it, as JSON
  qmp NAME CMD [KEY=VALUE...]    a QMP command, by name or as one JSON object; - reads objects from stdin
  dmesg NAME                     its kernel messages, from the log if it is down
  console NAME                   where its console is logged
  suspend NAME | resume NAME     stop and continue its QEMU
  kill NAME                      kill its QEMU as a power failure would; host down tidies up
  down NAME... | --all           take it down; --all empties the CXL devices too
  rm-file FILE                   empty one CXL device
  topologies                     the topologies that are shipped

options of up:
  --dram SIZE  --cpus N  --node dram=SIZE  --slots N  --maxmem SIZE
  --cxl serial=N,size=SIZE[,file=NAME][,window=N][,bridge=N][,switch=NAME]   (repeatable)
  --window size=SIZE[,targets=N:N...][,granularity=N]                        (repeatable, in order)
  --distance FROM,TO,VALUE  --generic-port bridge=N  --hmat type=hmat-lb,...  --watchdog
  --kernel patched|stock|debug|FILE|DIR  --append ARGS  --init fast|systemd  --no-package
"""


class Usage(Exception):
    pass


def _up(words):
    options = {"kernel": None, "append": [], "init": "fast", "package": True}
    spec, name, chosen = {}, None, None

    def value():
        if not words:
            raise Usage(f"{word} needs a value")
        return words.pop(0)

    while words:
        word = words.pop(0)
        if word in ("--dram", "--maxmem", "--cpus", "--slots"):
            spec[word[2:]] = value()
        elif word == "--cxl":
            spec.setdefault("cxl", []).append(topology.parse_pairs(word, value()))
        elif word == "--window":
            spec.setdefault("windows", []).append(topology.parse_pairs(word, value()))
        elif word == "--node":
            spec.setdefault("nodes", []).append(topology.parse_pairs(word, value()))
        elif word == "--hmat":
            spec.setdefault("hmat", []).append(topology.parse_pairs(word, value()))
        elif word == "--generic-port":
            spec.setdefault("generic_ports", []).append(topology.parse_pairs(word, value()))
        elif word == "--distance":
            spec.setdefault("distances", []).append([int(x) for x in value().split(",")])
        elif word == "--topology":
            chosen = value()
        elif word == "--watchdog":
            spec["watchdog"] = True
        elif word == "--kernel":
            options["kernel"] = value()
        elif word == "--append":
            options["append"] += value().split()
        elif word == "--init":
            options["init"] = value()
            if options["init"] not in ("fast", "systemd"):
                raise Usage("--init is fast or systemd")
        elif word == "--no-package":
            options["package"] = False
        elif word.startswith("-") or name is not None:
            raise Usage(f"up: unexpected {word}")
        else:
            name = word
    if chosen is not None:
        if spec:
            raise Usage(f"up: --{next(iter(spec))} and --topology exclude each other")
        specs = topology.load(chosen)
        if name is not None:
            if name not in specs:
                raise paths.LabError(f"topology {chosen} has no host {name}; it has {', '.join(specs)}")
            specs = {name: specs[name]}
    elif name is None:
        raise Usage("up needs a name or --topology")
    else:
        specs = {topology.check_name(name): topology.normalise(spec)}
    choice = kernels.choose(options["kernel"])
    if choice.why and not os.environ.get("KERNEL"):
        print(f"lab: Debian's kernel: {choice.why}", file=sys.stderr, flush=True)
    kernels.be_patient(choice)
    options["kernel"] = choice.name
    states = hosts.start(specs, options)
    for state in states:
        hosts.wait_up(state)
        print(f"{state['name']}: up in {state['up_seconds']} s, {state['address']}", flush=True)
    return 0


def _exec(words):
    if not words:
        raise Usage("exec needs a host")
    name, stdin = words.pop(0), not sys.stdin.isatty() and _has_input()
    while words and words[0] != "--":
        word = words.pop(0)
        if word == "--stdin":
            stdin = True
        elif word == "--no-stdin":
            stdin = False
        else:
            raise Usage(f"exec: unexpected {word}: the command follows after --")
    if len(words) < 2:
        raise Usage("exec: -- and a command are needed")
    state = hosts.get(name)
    net.enter()
    return agent.stream(state["index"], words[1:], stdin)


def _has_input():
    """Standard input is passed on when it is a file or a pipe that somebody gave us."""
    return not os.path.samestat(os.fstat(0), os.stat("/dev/null"))


def _list(words):
    states = hosts.all_hosts()
    if words == ["--json"]:
        print(json.dumps([_public(s) for s in states], indent=2))
        return 0
    if words:
        raise Usage(f"list: unexpected {words[0]}")
    if not states:
        print("no hosts are up")
        return 0
    print(f"{'NAME':<9} {'STATE':<8} {'ADDRESS':<12} {'DRAM':>5} {'CPUS':>4}  {'INIT':<8} {'KERNEL':<24} CXL")
    for s in states:
        devices = " ".join(f"{d['file'] or 'private'}:{d['size'] >> 20}M" + (f"@{d['switch']}" if d["switch"] else "")
                           for d in s["spec"]["cxl"])
        print(f"{s['name']:<9} {_condition(s):<8} {s['address']:<12} {s['spec']['dram']:>5} {s['spec']['cpus']:>4}  "
              f"{s['init']:<8} {s['kernel']:<24} {devices}")
    return 0


def _condition(state):
    if not hosts.running(state):
        return "dead"
    with open(f"/proc/{state['qemu']['pid']}/stat") as file:
        stopped = file.read().rpartition(")")[2].split()[0] == "T"
    return "stopped" if stopped else "up" if state["up_seconds"] is not None else "booting"


def _public(state):
    public = {key: value for key, value in state.items() if key not in ("qemu", "argv", "lab_socket", "booted_with")}
    public |= {"state": _condition(state), "pid": state["qemu"]["pid"], "netns_pid": net.holder_pid()}
    for key in "console_log", "dmesg_log", "qemu_log":
        public[key] = paths.outside(public[key])
    return public


def _info(words):
    name = [w for w in words if w != "--json"]
    if len(name) != 1:
        raise Usage("info needs one host")
    print(json.dumps(_public(hosts.get(name[0])), indent=2))
    return 0


def _stats(words):
    state = hosts.get(_one(words, "stats"))
    net.enter()
    print(json.dumps(net.counters(state["index"])))
    return 0


def _qmp(words):
    if len(words) < 2:
        raise Usage("qmp needs a host and a command")
    monitor = qmp.Qmp(hosts.get(words[0])["qmp_socket"])
    if words[1] == "-":
        commands = [json.loads(line) for line in sys.stdin if line.strip()]
    else:
        commands = [qmp.parse(words[1:])]
    for command in commands:
        print(json.dumps(monitor.command(command)))
    return 0


def _dmesg(words):
    name = _one(words, "dmesg")
    try:
        state = hosts.get(name)
        net.enter()
        text = hosts.fetch_dmesg(state)
    except paths.LabError:
        text = None
    if text is None:
        for log in "dmesg.log", "console.log":
            path = paths.HOSTS / topology.check_name(name) / log
            if path.exists():
                text = path.read_bytes()
                break
        else:
            raise paths.LabError(f"host {name} has never been up")
    sys.stdout.buffer.write(text)
    return 0


def _console(words):
    print(paths.outside(paths.HOSTS / topology.check_name(_one(words, "console")) / "console.log"))
    return 0


def _signal(number):
    def verb(words):
        state = hosts.get(_one(words, "host"))
        if not process.send(state["qemu"], number):
            raise paths.LabError(f"host {state['name']} has died")
        if number == signal.SIGKILL:
            process.wait_gone(state["qemu"], 10)
        return 0
    return verb


def _down(words):
    if words == ["--all"]:
        hosts.down_all()
        return 0
    if not words:
        raise Usage("down needs a host or --all")
    for name in words:
        hosts.down(name)
    return 0


def _rm_file(words):
    hosts.remove_file(_one(words, "rm-file"))
    return 0


def _topologies(words):
    for path in sorted((paths.LAB / "topologies").glob("*.json")):
        print(f"{path.stem:<24} {json.loads(path.read_text())['description']}")
    return 0


def _one(words, verb):
    if len(words) != 1:
        raise Usage(f"{verb} needs one argument")
    return words[0]


_VERBS = {"up": _up, "exec": _exec, "list": _list, "info": _info, "stats": _stats, "qmp": _qmp, "dmesg": _dmesg,
          "console": _console, "suspend": _signal(signal.SIGSTOP), "resume": _signal(signal.SIGCONT),
          "kill": _signal(signal.SIGKILL), "down": _down, "rm-file": _rm_file, "topologies": _topologies}


def main(words):
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if words else 2
    verb = _VERBS.get(words[0])
    if verb is None:
        print(f"host: unknown verb {words[0]}: see tests/lab/host --help", file=sys.stderr)
        return 2
    try:
        return verb(words[1:])
    except Usage as error:
        print(f"host: {error}: see tests/lab/host --help", file=sys.stderr)
        return 2
    except paths.LabError as error:
        print(f"host: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.close(1)
        return 141


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A node: how fast it is there, what it takes, and what a change of its map costs."""
import re

from benching.run import peers, runs, Skip, collect, official, program, report, simnet, spread


def time_of(events, kind, after=0.0, text=""):
    return next(e["t"] for e in events if e["kind"] == kind and e["t"] >= after and text in e["text"])


def nodes_started(events):
    """Nodes are those that become ready after the server."""
    starts, servers = [], 0.0
    for e in events:
        m = re.match(r"(\S+) is ready, ([\d.]+) s", e["text"]) if e["kind"] == "ready" else None
        if m and m[1] in ("alice", "bob"):
            starts.append(e["t"] - float(m[2]))
        elif m:
            servers = max(servers, e["t"])
        elif e["kind"] == "ping":
            break
    return max(min(starts), servers)


def flat_times(client):
    # An official node without its server does not come up: that step is left out for it.
    events, _ = simnet("join-flat", client, None if client == "ropewalk" else "  - kill: control")
    pings = [e["t"] for e in events if e["kind"] == "ping"]
    spawns = [e["t"] for e in events if e["kind"] == "spawn"]
    return {"join": pings[0] - nodes_started(events), "up": pings[1] - spawns[0],
            "down": pings[2] - spawns[1] if len(pings) > 2 else None}


def nat_times(client):
    events, _ = simnet("join-nat", client)
    ping = next(e for e in events if e["kind"] == "ping")
    first = ping["t"] - float(re.search(r"after ([\d.]+) s", ping["text"])[1])
    lost = next(e for e in events if e["kind"] == "expect" and "longest gap" in e["text"])
    return {"join": ping["t"] - nodes_started(events),
            "direct": max(time_of(events, "path", text="is direct") - first, 0.001),
            "lost": float(re.search(r"longest gap ([\d.]+) s", lost["text"])[1])}


def bench_join():
    ours, other = collect(flat_times, runs, "ropewalk"), official(flat_times)
    report("nodes started -> first reply by name, flat", ours["join"], 0.6, "s", other.get("join"))
    report("restart with state, control server up", ours["up"], 0.5, "s", other.get("up"))
    report("restart with state, control server down", ours["down"], 0.5, "s", other.get("down"))


def bench_nat():
    ours, other = collect(nat_times, runs, "ropewalk"), official(nat_times)
    report("nodes started -> first reply by name, NATs", ours["join"], 1, "s", other.get("join"))
    report("first packet -> direct, both EIM/APDF", ours["direct"], 1, "s", other.get("direct"))
    report("direct path lost -> traffic by relay", ours["lost"], 3, "s", other.get("lost"))


def bench_word():
    _, out = simnet("word")
    for name, what in (("network", "first answer by a network behind a machine"), ("exit", "first answer by an exit"),
                       ("file", "first file sent to another user's machine")):
        words = [float(line) for line in open(f"{out}/{name}.words")]
        if name == "file":
            answers = [float(line) for line in open(f"{out}/file.sent")]
        else:
            answers = [float(m[1]) for m in re.finditer(r"^\[([\d.]+)\] \d+ bytes from", open(f"{out}/{name}.pings").read(), re.M)]
        first = [next(t for t in answers if t >= word) - word for word in words]
        if any(t < word for t in answers for word in words if word - t < 0.5):
            raise RuntimeError(f"{what} answers before the word")
        report(f"{what}, after the word", first, 0.3, "s")


def memory(client):
    _, out = simnet("memory", client)
    return {name: int(open(f"{out}/{name}.rss").read()) / 1024 for name in ("two", "thousand")}


def bench_memory():
    ours, other = collect(memory, max(runs // 2, 1), "ropewalk"), official(memory)
    report("RSS of an idle node with 2 peers", ours["two"], 16, "MiB", other.get("two"))
    report("RSS of an idle node with 1000 peers", ours["thousand"], 20, "MiB", other.get("thousand"))


def bench_many():
    """A node whose map of 10,000 machines comes and goes; it speaks to none of them."""
    said = [[float(v) for v in program("node_rename_bench", "10000", "memory").split()] for _ in range(max(runs // 2, 1))]
    if not all(said):
        raise Skip("no network namespace here")
    for i, (what, floor) in enumerate((("with one peer", 12), ("with 10000 peers", 24), ("after they left", 12))):
        report(f"RSS of a node {what}", [v[i] for v in said], floor, "MiB")


def bench_rename():
    """The greater of what the loop computed and how long it slept; with the wait for a processor beside."""
    for peers, floor, change, what in ((1000, 1, "name", "get new names"), (1000, 1, "member", "leave and come back"),
                                       (10000, 2, "name", "get new names"), (10000, 2, "member", "leave and come back")):
        said = [program("node_rename_bench", str(peers), change).split() for _ in range(max(runs // 2, 1))]
        if not all(said):
            raise Skip("no network namespace here")
        values = [[float(v) for v in line] for line in said]
        report(f"packets stand while {peers} peers {what}", [max(v[0], v[1]) for v in values], floor, "ms")
        print(f"      with the wait for a processor: {spread([v[2] for v in values], 'ms')}")
    for peers, floor in ((1000, 0.2), (10000, 0.5)):
        cpu = {}
        for change in ("name", "online", "endpoint", "member", "record"):
            said = [program("node_rename_bench", str(peers), change).split() for _ in range(max(runs // 2, 1))]
            cpu[change] = [float(line[3]) for line in said]
        report(f"CPU of one peer's change, of {peers} peers", [max(v) for v in zip(*cpu.values())], floor, "ms")
        print("      " + ", ".join(f"{change} {spread(v, 'ms')}" for change, v in cpu.items()))

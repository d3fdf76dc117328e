"""What goes through a tunnel."""
import glob, json, os, re, shutil, statistics, subprocess

from benching.run import peers, runs, Skip, install_debian, program, report, simnet, skip, spread


beside = {"now": ("current wireguard-go", "wireguard/wireguard"), "box": ("boringtun", "boringtun/boringtun-cli"),
          "old": ("Debian's wireguard-go", "debian/usr/bin/wireguard-go"), "ts": ("official", "v1.*/tailscaled"),
          "sealed": ("a bare tunnel, sealed", None), "plain": ("a bare tunnel, not sealed", None), "none": ("no tunnel", None)}


def missing_peers(names):
    return [n for n in names if beside[n][1] and not glob.glob(os.path.join(peers, beside[n][1]))]


def stream_runs(out, name):
    """Of each run: Gb/s, and s of CPU of both ends of the tunnel for a GB; where there is none, that is nothing."""
    said = [[float(v) for v in line.split()] for line in open(f"{out}/{name}.stream")]
    files = [f"{out}/{name}-{end}.ran" for end in "ab"]
    ends = [[int(line) for line in open(f)] for f in files if os.path.exists(f)]
    spent = [sum(e[i + 1] - e[i] for e in ends) / 1e9 / gb for i, (_, gb) in enumerate(said)]
    return [gbit for gbit, _ in said], spent


def bench_stream():
    """In turns through a tunnel of ours and through others; a bare one is a TUN, UDP and at most the cipher. The first run of each
    warms up."""
    what, cost = "one TCP stream, MTU 1280", "CPU of both ends for a GB of it"
    if not shutil.which("iperf3"):
        return skip(what, "iperf3 is missing: apt install iperf3")
    install_debian()
    missing = missing_peers(beside)
    for name in missing:
        skip(f"{what}, {beside[name][0]}", "ci/peers/install builds it; Debian's is in its archive")
    _, out = simnet("stream", without=missing)
    got = {name: [v[1:] for v in stream_runs(out, name)] for name in ["ours", *beside] if name not in missing}
    gbps, spent = got.pop("ours")
    report(cost, spent, 2, "s")
    for name, (theirs, theirs_spent) in got.items():
        text, floor = beside[name][0], {"now": 2.2, "old": 2, "ts": 1, "box": 1}.get(name)
        if floor:
            report(what, gbps, 0, "Gb/s", (text, theirs), False, floor)
            report(cost, spent, 0, "s", (text, theirs_spent), True, 1)
        else:
            costs = f", {spread(theirs_spent, 's')}" if name != "none" else ""
            print(f"      {text}: {spread(theirs, 'Gb/s')}{costs}")


def small_runs(out, name):
    """Of each run: thousands a second that came through the tunnel, and CPU of both nodes for one, in us."""
    ends = [[[int(v) for v in line.split()] for line in open(f"{out}/{name}-{end}.spent")] for end in "ab"]
    rate, cpu = [], []
    for i in range(0, len(ends[1]), 2):
        (a0, _, _), (a1, _, _) = ends[0][i:i + 2]
        (b0, p0, t0), (b1, p1, t1) = ends[1][i:i + 2]
        rate.append((p1 - p0) / (t1 - t0) * 1e6)
        cpu.append((a1 - a0 + b1 - b0) / (p1 - p0) / 1000)
    return rate, cpu


def burst_runs(out, name):
    """Of each run: thousands a second that the receiver got."""
    return [int(n) / float(seconds) / 1000 for n, seconds in map(str.split, open(f"{out}/{name}.received"))]


def bench_small():
    """Small packets: how many come through, what one costs, and how long one takes. The sender sends what it can, one with each
    call or 32."""
    if not shutil.which("iperf3"):
        raise Skip("iperf3 is missing: apt install iperf3")
    for name in ("now", "box"):
        if missing_peers([name]):
            raise Skip(f"{beside[name][1]} is missing: ci/peers/install builds it")
    others = [name for name in ("now", "box", "ts") if not missing_peers([name])]
    _, out = simnet("small", without={"now", "box", "ts"}.difference(others))
    rate, burst, cpu, rtt = {}, {}, {}, {}
    bare = [json.load(open(f))["end"]["sum"] for f in glob.glob(f"{out}/bare-*.json")]
    sent = [b["packets"] / b["seconds"] / 1000 for b in bare]
    received = [(b["packets"] - b["lost_packets"]) / b["seconds"] / 1000 for b in bare]
    for name in ["ours", *others]:
        rate[name], cpu[name] = small_runs(out, name)
        burst[name] = burst_runs(out, name)
        rtt[name] = [statistics.median(float(ms) for ms in re.findall(r"time=([\d.]+) ms", open(f).read())) * 1000
                     for f in glob.glob(f"{out}/{name}-*.ping")]
    for name in others:
        text = beside[name][0]
        report("datagrams of 64 bytes through the tunnel", rate["ours"], 0, "k/s", (text, rate[name]), False, 1)
        report("the same, 32 with a call of the sender", burst["ours"], 450, "k/s", (text, burst[name]), False)
        report("CPU of both nodes for one of them", cpu["ours"], 0, "us", (text, cpu[name]), True, 1.5)
        report("RTT at 1,000 pings a second, p50", rtt["ours"], 0, "us", (text, rtt[name]), True, 1)
    print(f"      one with a call, no tunnel between the two: sent {spread(sent, 'k/s')}, received {spread(received, 'k/s')}")


def thread_runs(out, name):
    """Of each load and run: what came through (Gb/s; k/s of datagrams), CPU of both nodes for a GB, and of the busier thread of
    a node, the mean of both."""
    ends = [[[int(v) for v in line.split()] for line in open(f"{out}/{name}-{end}.threads")] for end in "ab"]
    got = {}
    for i, load in enumerate(("stream", "both", "small")):
        said, at = open(f"{out}/{name}-{load}.json").read(), 0
        for run in range(3):
            end, at = json.JSONDecoder().raw_decode(said, at)
            at += len(said[at:]) - len(said[at:].lstrip())
            end = end["end"]
            if load == "small":
                size, seconds = end["sum"]["bytes"] * (1 - end["sum"]["lost_percent"] / 100), end["sum"]["seconds"]
            else:
                size = end["sum_received"]["bytes"] + end.get("sum_received_bidir_reverse", {"bytes": 0})["bytes"]
                seconds = end["sum_received"]["seconds"]
            ran = [[after - before for before, after in zip(*e[4 * run + i:4 * run + i + 2])] for e in ends]
            row = got.setdefault(load, ([], [], []))
            row[0].append(size / seconds / 64e3 if load == "small" else size / seconds * 8e-9)
            row[1].append(sum(map(sum, ran)) / size)
            row[2].append(sum(map(max, ran)) / 2 / size)
    return got


def bench_threads():
    """The second data thread beside one: with all processors, then with one, where both have to be alike. Senders, nodes and
    receivers share this machine, so that the last figure says what a second thread is good for: how much less the busier one does."""
    if not shutil.which("iperf3"):
        raise Skip("iperf3 is missing: apt install iperf3")
    allowed = os.sched_getaffinity(0)
    for processors, where in (allowed, ""), ({min(allowed)}, ", one processor"):
        os.sched_setaffinity(0, processors)
        try:
            _, out = simnet("threads")
        finally:
            os.sched_setaffinity(0, allowed)
        one, two = thread_runs(out, "one"), thread_runs(out, "two")
        for load, text, unit in (("stream", "one TCP stream", "Gb/s"), ("both", "one each way", "Gb/s"), ("small", "64 bytes", "k/s")):
            text = "two data threads: " + text + where
            report(text, two[load][0], 0, unit, ("one thread", one[load][0]), False, 0.9)
            report(text, two[load][1], 0, "CPU s/GB", ("one thread", one[load][1]), True, 0.85)
            if not where:
                report(text + ", busier", two[load][2], 0, "CPU s/GB", ("one thread", one[load][2]), True, 0.9)


def bench_forward():
    what = "one TCP stream to a host behind a router"
    if not shutil.which("iperf3"):
        return skip(what, "iperf3 is missing: apt install iperf3")
    gbps = {"node": [], "behind": []}
    _, out = simnet("forward")
    for name in gbps:
        for f in glob.glob(f"{out}/{name}-*.json"):
            gbps[name].append(json.load(open(f))["end"]["sum_received"]["bits_per_second"] / 1e9)
    report(what, gbps["behind"], 0, "Gb/s", ("the router itself", gbps["node"]), False, 0.9)


def bench_file():
    what = "a file of 1 GB, direct"
    if not shutil.which("iperf3"):
        return skip(what, "iperf3 is missing: apt install iperf3")
    _, out = simnet("file")
    files = [8 / (int(open(f).read()) / 1e9) for f in glob.glob(f"{out}/file-*.ns")]
    stream = [json.load(open(f))["end"]["sum_received"]["bits_per_second"] / 1e9 for f in glob.glob(f"{out}/stream-*.json")]
    report(what, files, 0, "Gb/s", ("one TCP stream", stream), False, 0.9)


def bench_packet():
    """All steps of a packet, out and in, in CPU time; below it each step, the median of the runs."""
    said = [program("node_plane_packet_bench") for _ in range(max(runs // 2, 1))]
    steps = [re.findall(r"^(\S.*?) +(\d+) ns", s, re.M) for s in said]
    if not all(steps):
        raise Skip("no network namespace, or no TUN, here")
    report("CPU for a packet that fills the MTU, both ends", [float(s[-1][1]) for s in steps], 4000, "ns")
    for step in zip(*(s[:-1] for s in steps)):
        print(f"      {step[0][0]}: {statistics.median(int(ns) for _, ns in step):.0f} ns")


def bench_flow():
    """A flow's first packet, by how much there is to look through: the program's own ratios to one rule and one peer."""
    said = [program("node_plane_flow_bench") for _ in range(max(runs // 2, 1))]
    found = [re.search(r"10,000 routes +in +([\d.]+) ns, ([\d.]+) x; out +([\d.]+) ns, ([\d.]+) x", s) for s in said]
    for way, at in (("in", 1), ("out", 3)):
        report(f"first packet {way}, 1,000 rules, 10,000 routes", [float(m[at + 1]) for m in found], 2, "x")
        print(f"      {spread([float(m[at]) for m in found], 'ns')}")

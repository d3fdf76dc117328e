"""What goes over a relay."""
import json, os, shutil

from benching.run import runs, official, program, report, simnet, skip, spread

relay_parts = [f"{who}, {where}" for who in ("sender", "receiver", "relay") for where in ("itself", "kernel")]


def relay_load(client):
    """Gb/s; s of processor time for a GB, of both nodes and the relay, and of each in itself and in the kernel; ms of a ping
    beside: half of them, 99 of 100."""
    _, out = simnet("relay", client, relay="run: derper}")
    fast, slow = ([json.loads(line) for line in open(os.path.join(out, name))] for name in ("fast", "slow"))
    used = [float(v) for v in open(os.path.join(out, "cpu")).read().split()]
    shots = [used[i:i + 6] for i in range(0, len(used), 6)]  # of all three, before and after each
    spent = [[(b - a) / l["gb"] for a, b in zip(before, after)] for before, after, l in zip(shots, shots[1:], fast)]
    found = {"gbit": [l["gbit"] for l in fast], "cpu": [sum(v) for v in spent]}
    found.update(zip(relay_parts, ([v[i] for v in spent] for i in range(6))))
    for name, lines in (("fast", fast), ("slow", slow)):
        for part in (50, 99):
            found[f"{name}{part}"] = [l["rtt"][int(len(l["rtt"]) * part / 100)] for l in lines]
    return found


def bench_relay():
    if shutil.which("iperf3"):
        turns = [relay_load("ropewalk") for _ in range(max(runs // 2, 1))]
        ours = {k: [v for t in turns for v in t[k]] for k in turns[0]}
        other = official(relay_load, 1)
        other = {k: (who, [v for some in values for v in some]) for k, (who, values) in other.items()}
        report("relay: one TCP stream", ours["gbit"], 2.5, "Gb/s", other.get("gbit"), False)
        report("relay: CPU of both nodes and the relay for a GB", ours["cpu"], 4, "s", other.get("cpu"))
        print("      " + "; ".join(f"{part} {spread(ours[part], 's')}" for part in relay_parts))
        report("relay: a ping beside the stream, p50", ours["fast50"], 3, "ms", other.get("fast50"))
        report("relay: a ping beside the stream, p99", ours["fast99"], 8, "ms", other.get("fast99"))
        report("relay: a ping beside one to 20 Mbit/s, p50", ours["slow50"], 100, "ms", other.get("slow50"))
        report("relay: a ping beside one to 20 Mbit/s, p99", ours["slow99"], 200, "ms", other.get("slow99"))
    else:
        skip("relay: one TCP stream", "iperf3 is missing: apt install iperf3")
    values = []
    for _ in range(max(runs // 2, 1)):
        said = json.loads(program("relay_idle_bench", "1000"))
        values.append(said["bytes_each"] / 1024)
    report("relay memory per idle TLS client", values, 32, "KiB")

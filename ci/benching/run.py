"""What all rows run with, and print by."""
import glob, json, os, re, statistics, subprocess, sys, tempfile

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
build = os.path.join(root, "build/release")
results = os.path.join(root, "build/bench")  # of the last run
bin_dir = os.environ.get("RW_BIN_DIR") or os.path.join(build, "bin")
peers = os.environ.get("RW_PEERS_DIR") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ropewalk-peers")
runs = int(os.environ.get("RW_BENCH_RUNS", "5"))
below = skipped = 0


class Skip(Exception):
    pass


def simnet(name, client="ropewalk", until=None, relay='run: ropewalk-relay, with: {fast-start: "false"}}', without=()):
    """Runs a bench scenario, up to the step `until`; its events, and the folder that its steps wrote to. Other clients
    get that relay. Lines about those that are left out are left out."""
    out = tempfile.mkdtemp(prefix=f"{name}-{client}-", dir=results)
    path = os.path.join(root, "scenarios/bench", name + ".yaml")
    if client != "ropewalk" or without:
        lines = [line for line in open(path) if line.startswith("about:") or
                 not any(re.search(rf"(?<![\w.-]){w}(-[ab]|-ran-[ab])?(?!\w)", line) for w in without)]
        text = "".join(lines).split(until or "\0")[0]
    if client != "ropewalk":
        for ours, other in (("[ropewalk,", '["{alice.cli}",'), ("run: ropewalk}", f"run: {client}}}"),
                            ("run: ropewalk,", f"run: {client},"),
                            ("run: ropewalk-relay}", relay)):
            text = text.replace(ours, other)
    if client != "ropewalk" or without:
        path = os.path.join(out, name + ".yaml")
        open(path, "w").write(text)
    env = dict(os.environ, RW_BIN_DIR=bin_dir, RW_BENCH=os.path.join(root, "ci/bench"), RW_BENCH_OUT=out, SIMNET_WRITABLE=out,
               SIMNET_ADAPTERS=os.path.join(root, "simnet/adapters"))
    done = subprocess.run([os.path.join(bin_dir, "simnet"), "run", "--json", path], env=env, cwd=root,
                          stdout=subprocess.PIPE, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 3:
        raise Skip(events[-1]["text"] if events else "this machine cannot run it")
    if done.returncode:
        raise RuntimeError(next((e["text"] for e in events if e["kind"] == "fail"), "simnet failed"))
    return events, out


def program(name, *args):
    """Output of a bench program of ours; its exit code says only what we judge here too."""
    path = os.path.join(bin_dir, name)
    if not os.path.exists(path):
        raise Skip(f"{path} is not built")
    return subprocess.run([path, *args], stdout=subprocess.PIPE, text=True).stdout


def spread(values, unit):
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{low:.3g}/{mid:.3g}/{high:.3g} {unit} ({len(values)})"


def report(what, values, floor, unit, peer=None, less=True, ratio_floor=None):
    """ratio_floor: the floor is a ratio to the peer, not an amount."""
    global below
    mid = statistics.median(values)
    ratio = None
    if peer:
        other = statistics.median(peer[1])
        ratio = (other / mid if less else mid / other) if mid and other else None
    if ratio_floor is not None:
        good = ratio is not None and ratio >= ratio_floor
        wanted = f">= {ratio_floor:g} x {peer[0]}" if peer else "-"
    else:
        good = mid <= floor if less else mid >= floor
        wanted = f"{'<=' if less else '>='} {floor:g} {unit}"
    beside = f"{ratio:.2f} x {peer[0]}: {spread(peer[1], unit)}" if ratio else "-"
    below += not good
    print(f"{'PASS ' if good else 'BELOW'} {what:44} {spread(values, unit):28} {wanted:24} {beside}", flush=True)


def skip(what, why):
    global skipped
    skipped += 1
    print(f"SKIP  {what:44} {why}", flush=True)


def collect(measure, n, client):
    got = [measure(client) for _ in range(n)]
    return {key: [r[key] for r in got if r.get(key) is not None] for key in got[0]}


def official(measure, n=2):
    newest = sorted(glob.glob(os.path.join(peers, "v1.*/tailscaled")))
    if not newest:
        return {}
    try:
        return {k: ("official", v) for k, v in collect(measure, n, "tailscale").items() if v}
    except (RuntimeError, Skip, StopIteration, IndexError) as e:
        print(f"      official client: {e}", file=sys.stderr)
        return {}


def install_debian():
    program = os.path.join(peers, "debian/usr/bin/wireguard-go")
    if not os.path.exists(program):
        os.makedirs(os.path.join(peers, "debian"), exist_ok=True)
        with tempfile.TemporaryDirectory() as d:
            subprocess.run(["apt-get", "download", "-q", "wireguard-go"], cwd=d, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for deb in glob.glob(d + "/*.deb"):
                subprocess.run(["dpkg", "-x", deb, os.path.join(peers, "debian")], check=True)
    return os.path.exists(program)

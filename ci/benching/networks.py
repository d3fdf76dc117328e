"""simnet: networks built, and how exact they are."""
import json, os, re, subprocess, tempfile, time

from benching.run import bin_dir, peers, root, runs, Skip, program, report, spread


def bench_build():
    said = [program("simnet_net_bench", "7") for _ in range(runs)]
    for what, words, floor, unit in (("home-to-home's network, built and torn down", "build and tear down", 300, "ms"),
                                     ("50 nodes, 20 routers: built, probed, torn down", "50 nodes, whole run", 500, "ms"),
                                     ("500 nodes, 150 routers: built", "500 nodes, built", 5000, "ms"),
                                     ("500 nodes, 150 routers: memory", "500 nodes, memory", 1024, "MiB")):
        report(what, [float(re.search(rf"{words}: ([\d.]+) {unit}", s)[1]) for s in said], floor, unit)
    host = [re.search(r"a host, built: ([\d.]+) ms.* by the kernel alone ([\d.]+) ms", s) for s in said]
    report("a host, built", [float(m[1]) for m in host], 2, "ms", ("the kernel alone", [float(m[2]) for m in host]))


def bench_grid():
    """Every kind of NAT against every other, with real nodes, as many at once as it takes to do nothing but wait."""
    took, cpu = [], []
    for _ in range(max(runs // 2, 1)):
        start, had = time.monotonic(), os.times()
        done = subprocess.run([os.path.join(bin_dir, "simnet"), "run", "-j", "8", os.path.join(root, "scenarios/nat-grid.yaml")],
                              env=dict(os.environ, RW_BIN_DIR=bin_dir), stdout=subprocess.PIPE, text=True)
        if done.returncode == 3:
            raise Skip("no network namespace here")
        if done.returncode:
            raise RuntimeError(done.stdout.splitlines()[-1])
        now = os.times()
        took.append(time.monotonic() - start)
        cpu.append(now.children_user + now.children_system - had.children_user - had.children_system)
    report("the grid of 16 NATs, 8 at once", took, 8, "s")
    print(f"      CPU: {spread(cpu, 's')}")


def bench_harness():
    """An empty run of one network, from the start of the program to its end: with simnet, which probes every router besides, and
    with patchbay. Taken in turns."""
    other = os.path.join(peers, "patchbay/patchbay-empty")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("simnet: 1\nname: empty\nrouters:\n  r: {nat: home, count: 20}\nnodes:\n")
        file.writelines(f"  n{i}: {{at: r-{i % 20 + 1}}}\n" for i in range(50))
        file.flush()

        def seconds(*argv):
            start = time.monotonic()
            done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode == 3:
                raise Skip("no network namespace here")
            if done.returncode:
                raise RuntimeError(f"{argv[0]}: {done.stderr.strip()[-200:]}")
            return time.monotonic() - start

        ours, theirs = [], []
        for _ in range(runs):
            ours.append(seconds(os.path.join(bin_dir, "simnet"), "run", file.name))
            if os.path.exists(other):
                theirs.append(seconds(other, "20", "50"))
    if not theirs:
        raise Skip("no patchbay-empty (ci/peers/install patchbay)")
    report("50 nodes, 20 routers: an empty run", ours, None, "s", peer=("patchbay", theirs), ratio_floor=4)


def bench_matrix():
    """Every class of NAT against every other by UDP and TCP, both engines; then all sheets. A wrong cell fails."""
    def seconds(*words):
        start = time.monotonic()
        done = subprocess.run([os.path.join(bin_dir, "simnet"), "matrix", "-j", "2", "--json", *words],
                              stdout=subprocess.PIPE, text=True)
        if done.returncode == 3:
            raise Skip("no network namespace here")
        cells = [json.loads(line) for line in done.stdout.splitlines()]
        wrong = [c for c in cells if not c["ok"]]
        if done.returncode or wrong:
            raise RuntimeError(f"simnet matrix {' '.join(words)}: {len(wrong)} cells are wrong")
        return time.monotonic() - start, len(cells) // 2

    both = [seconds("--engine", "kernel")[0] + seconds("--engine", "user")[0] for _ in range(runs)]
    report("81 cells of NATs by UDP and TCP, both engines", both, 30, "s")
    took, cells = seconds("--all")
    report(f"{cells - 81} modified cells of NATs, auto engine", [took * 300 / (cells - 81)], 90, "s for 300")


def bench_link():
    """A link in userspace with a loss model on, beside a bare veth pair; and how exact its delays are."""
    values = [json.loads(program("simnet_link_bench")) for _ in range(runs)]
    report("link with losses against a bare veth, one TCP stream", [v["link_bps"] / v["veth_bps"] for v in values], 0.05, "x",
           less=False)
    print(f"      link: {spread([v['link_bps'] / 1e9 for v in values], 'Gb/s')}, "
          f"veth {spread([v['veth_bps'] / 1e9 for v in values], 'Gb/s')}")
    for engine in ("kernel", "user"):
        report(f"a delay of 20 ms is late by, p99, router of the {engine} engine", [v[engine]["p99_us"] / 1000 for v in values], 1, "ms")
        print(f"      median {spread([v[engine]['median_us'] / 1000 for v in values], 'ms')}")

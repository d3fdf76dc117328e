"""Names: answered, held, blocked."""
import contextlib, os, re, shutil, socket, subprocess, tempfile, time

from benching.run import bin_dir, results, runs, Skip, program, report, spread


def dnsmasq(port, hosts):
    return ["dnsmasq", "-k", "-C", "/dev/null", "-p", str(port), "-a", "127.0.0.1", "-z", "-R", "-h", "-u", "root", "-H", hosts]


@contextlib.contextmanager
def answering(argv, port, name):
    """A server's process, from its first answer until the end of the block."""
    began = time.monotonic()
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ask_block(port, name):
            if server.poll() is not None or time.monotonic() - began > 120:
                raise Skip(f"{argv[0]} does not answer")
        yield server
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def others():
    """unbound and dnsmasq, where they are, each with the names that the bench asks for; as arguments of the bench."""
    names = [(f"host-{i}.tail.ts.net", f"100.64.{i >> 8}.{i & 255}") for i in range(1000)]
    words = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        conf, hosts = (os.path.join(folder, name) for name in ("unbound.conf", "hosts"))
        with open(conf, "w") as f:
            f.write("server:\n num-threads: 1\n interface: 127.0.0.1@5394\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n"
                    " do-daemonize: no\n use-syslog: no\n local-zone: \"tail.ts.net.\" static\n")
            f.writelines(f" local-data: \"{name}. A {ip}\"\n" for name, ip in names)
        with open(hosts, "w") as f:
            f.writelines(f"{ip} {name}\n" for name, ip in names)
        for port, argv in ((5394, ["unbound", "-c", conf]), (5395, dnsmasq(5395, hosts))):
            path = shutil.which(argv[0], path=os.environ["PATH"] + ":/usr/sbin")
            if path:
                server = running.enter_context(answering([path, *argv[1:]], port, names[-1][0]))
                words += [argv[0], str(port), str(server.pid)]
        yield words


def bench_name():
    """The server's CPU time per query is what the floors are about, against a bare echo's; wall time is told beside it, and what
    an echo takes that waits in a loop for more than one socket, and other servers for names of their own. What is forwarded is
    measured so too."""
    with others() as beside:
        said = [program("resolver_echo_bench", *beside) for _ in range(max(runs // 2, 1))]
    for window, how, floor in ((1, "one at a time", 1.1), (64, "64 at once", 0.9)):
        line = [re.search(rf"^window={window} .*$", s, re.M)[0] for s in said]
        v = {k: [float(re.search(rf"{k}=([\d.]+)", s)[1]) for s in line]
             for k in ("mesh_wall_ns", "echo_wall_ns", "wall_ratio", "mesh_cpu_ns", "echo_cpu_ns", "cpu_ratio")}
        us = {k: spread([n / 1000 for n in v[k]], "us") for k in v if k.endswith("ns")}
        report(f"a mesh name against UDP echo, {how}, CPU", v["cpu_ratio"], floor, "x")
        print(f"      CPU: {us['mesh_cpu_ns']}, echo {us['echo_cpu_ns']};"
              f" wall: {us['mesh_wall_ns']}, echo {us['echo_wall_ns']}, {spread(v['wall_ratio'], 'x')}")
        loop = [float(found[1]) for found in (re.search(rf"^loop={window} cpu_ratio=([\d.]+)", s, re.M) for s in said) if found]
        if loop:
            print(f"      an echo that waits in a loop: {spread(loop, 'x')}")
        for name in beside[::3]:
            ratio = [float(re.search(rf"^other={name} window={window} cpu_ratio=([\d.]+)", s, re.M)[1]) for s in said]
            print(f"      {name} against the same echo: {spread(ratio, 'x')}")
    found = [(re.search(r"^forward=.*cpu_ratio=([\d.]+)", s, re.M), re.search(r"^dead=.*\bp99_us=(\d+) echo_p99_us=(\d+)", s, re.M))
             for s in said]
    if not all(forward and dead for forward, dead in found):
        raise Skip("the bench of forwarded names did not come to its end")
    report("a new name from another server, 50 at once, CPU", [float(forward[1]) for forward, _ in found], 3, "x")
    report("a mesh name, 1,000 wait for dead servers, p99", [float(dead[1]) / 1000 for _, dead in found], 2, "ms",
           ("UDP echo", [float(dead[2]) / 1000 for _, dead in found]))


def bench_names():
    """Ten thousand names: what they take, and how long the loop stands when all of them are exchanged at once. Twice as many questions
    for others as there are places: each has its answer."""
    names = os.path.join(results, "names.hosts")
    with open(names, "w") as f:
        f.writelines(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255} host-{i}.names.example\n" for i in range(10000))
    conf = os.path.join(results, "names.yaml")
    with open(conf, "w") as f:
        f.write(f"listen: 127.0.0.1:5397\nnames-from: [ {{ hosts: {names} }} ]\n")
    argv = [os.path.join(bin_dir, "ropewalk-resolver"), "-c", conf]
    ours = [block_server(argv, 5397, "host-9999.names.example")[1] for _ in range(max(runs // 2, 1))]
    other = None
    if shutil.which("dnsmasq"):
        other = "dnsmasq", [block_server(dnsmasq(5396, names), 5396, "host-9999.names.example")[1] for _ in range(max(runs // 2, 1))]
    report("RSS with 10,000 names, an empty cache", ours, 8, "MiB", other)
    said = [program("resolver_overload_bench") for _ in range(max(runs // 2, 1))]
    found = [re.search(r"asked=(\d+) answered=(\d+) last_ms=(\d+)", s) for s in said]
    report("answered, at twice as many as there are places", [100 * int(m[2]) / int(m[1]) for m in found], 100, "%", less=False)
    print(f"      the last answer: {spread([int(m[3]) / 1000 for m in found], 's')}")
    said = [program("node_swap_bench") for _ in range(max(runs // 2, 1))]
    loop, threads, before, after = ([float(re.search(rf"{k}=([\d.]+)", s)[1]) for s in said]
                                    for k in ("loop_ms", "threads_ms", "before_mib", "after_mib"))
    report("10,000 names exchanged at once: the loop's CPU", loop, 1, "ms")
    print(f"      of threads beside it: {spread(threads, 'ms')}; resident: {spread(before, 'MiB')}, after 15 such: {spread(after, 'MiB')}")


def ask_block(port, name):
    """Whether something answers there, by one question for an A record."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.05)
        s.connect(("127.0.0.1", port))
        wire = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        try:
            s.send(b"\0\1\1\0\0\1\0\0\0\0\0\0" + wire + b"\0\1\0\1")
            return bool(s.recv(512))
        except OSError:  # nobody yet
            return False


def block_server(argv, port, name):
    """Seconds to the first answer, and MiB of RSS then."""
    began = time.monotonic()
    with answering(argv, port, name) as server:
        took = time.monotonic() - began
        with open(f"/proc/{server.pid}/status") as f:
            return took, int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024


def bench_block():
    """A million blocked names, as a hosts file: read, held, and asked for. dnsmasq reads the same file."""
    names = os.path.join(results, "million.hosts")
    with open(names, "w") as f:
        f.writelines(f"0.0.0.0 host-{i}.ads{i % 977}.example\n" for i in range(1000000))
    conf = os.path.join(results, "block.yaml")
    with open(conf, "w") as f:
        f.write(f"listen: 127.0.0.1:5397\nblocking: {{ lists: [ {{ name: million, file: {names} }} ] }}\n")
    asked = "host-999999.ads518.example"
    ours = [block_server([os.path.join(bin_dir, "ropewalk-resolver"), "-c", conf], 5397, asked) for _ in range(runs)]
    other = []
    if shutil.which("dnsmasq"):
        other = [block_server(dnsmasq(5396, names), 5396, asked) for _ in range(max(runs // 2, 1))]
    for i, (what, floor, unit) in enumerate((("a million blocked names: read and answering", 2, "s"),
                                             ("a million blocked names: RSS", 60, "MiB"))):
        report(what, [v[i] for v in ours], floor, unit, ("dnsmasq", [v[i] for v in other]) if other else None)
    said = [program("resolver_block_bench") for _ in range(max(runs // 2, 1))]
    value = {k: [float(re.search(rf"{k}=([\d.]+)", s)[1]) for s in said] for k in
             ("added_percent", "allocations", "plain_ns", "passed_ns", "beside_ns", "blocked_ns")}
    report("what they add to another name's question", value["added_percent"], 5, "%")
    report("allocations for questions, cached and blocked", value["allocations"], 0, "")
    print("      without sockets: " + ", ".join(f"{k[:-3]} {spread(value[k], 'ns')}" for k in value if k.endswith("_ns")))

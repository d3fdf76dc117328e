"""The coordination server, its REST API and its console."""
import json, os, shutil, statistics, subprocess, tempfile, time

from benching.run import bin_dir, peers, runs, Skip, program, report, simnet


def bench_server():
    """Nodes join a server of their own one after the other and stream their maps: CPU and memory of the server."""
    many = json.loads(program("control_join_bench", "5000"))
    report("5,000 nodes join: CPU of the server", [many["cpu_s"]], 15, "s")
    report("5,000 nodes leave at once: CPU of the server", [many["left_cpu_s"]], 5, "s")
    report("5,000 nodes joined: memory of the server", [many["rss_mib"]], 150, "MiB")
    plain, ruled = [], []
    for _ in range(max(runs // 2, 1)):  # in turns, so that what else the machine does is in both
        for spent, n in ((plain, "0"), (ruled, "102")):
            spent.append(json.loads(program("control_join_bench", "1000", n))["cpu_s"])
    ratio = statistics.median(ruled) / statistics.median(plain)
    report("1,000 nodes join under 102 rules, against none", [ratio], 1.3, "x")


def bench_list():
    """All nodes by Headscale's REST API, as consoles and exporters ask for them."""
    report("the REST API lists 1,000 nodes", [float(ms) for ms in program("control_list_bench", "1000").split()], 20, "ms")


def bench_console():
    """The console with 1,000 machines in a browser that has seen nothing of it yet."""
    look = os.path.join(peers, "console/look")
    control = os.path.join(bin_dir, "ropewalk-control")
    if not os.path.exists(look) or not shutil.which("chromium"):
        raise Skip("no Chromium, or ci/peers/install has not got what drives it")
    with tempfile.TemporaryDirectory() as folder:
        settings, password = os.path.join(folder, "config.yaml"), "a long password"
        open(settings, "w").write("server_url: http://127.0.0.1\nlisten_addr: 127.0.0.1:0\nunix_socket: ctl.sock\n"
                                  "noise: {private_key_path: noise.key}\ndatabase: {sqlite: {path: db.sqlite}}\nlog: {level: error}\n")
        verb = lambda *words, **more: subprocess.run([control, "-c", settings, *words], check=True, stdout=subprocess.DEVNULL, **more)

        def serve():
            server = subprocess.Popen([control, "-c", settings, "serve", "--json"], stdout=subprocess.PIPE, text=True)
            return server, json.loads(server.stdout.readline())["listen"]

        server, _ = serve()
        try:
            verb("users", "create", "alice")
            verb("admins", "create", "root", input=password, text=True)
        finally:
            server.terminate()
            server.wait()
        fill_machines(os.path.join(folder, "db.sqlite"), 1000)
        server, listen = serve()
        try:
            subprocess.run([look, folder, f"http://{listen}/admin", "login", "root", password, "paint", str(max(runs, 3))],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        finally:
            server.terminate()
            server.wait()
        took = json.loads(open(os.path.join(folder, "said")).read())
    report("the console's first paint, 1,000 machines", took["paint"], 1000, "ms")
    report("a word typed into its search, until painted", took["search"], 100, "ms")
    report("a frame while 1,000 machines scroll by, p95", took["frame"], 51, "ms")  # three of a screen with 60 Hz


def fill_machines(path, n):
    """Machines of the server's only user, as those of some months look."""
    import sqlite3
    db, now = sqlite3.connect(path), int(time.time() * 1000)
    for i in range(n):
        routes = f"10.{i % 250}.0.0/16" if i % 9 == 0 else ""
        row = {"user": 1, "machine": os.urandom(32), "node_key": os.urandom(32), "disco": os.urandom(32), "name": f"spare-{i}",
               "hostname": f"spare-{i}", "v4": f"100.80.{i >> 8}.{i & 255}", "v6": f"fd7a:115c:a1e0::9:{i:x}", "home_derp": 0, "cap": 100,
               "endpoints": "", "tags": "tag:web,tag:prod" if i % 5 == 0 else "", "ephemeral": 0, "renamed": 0, "preauth": 0,
               "created_ms": now - i * 10**6, "last_seen_ms": now - i * 10**5, "expiry_ms": now + i * 10**6, "routes": routes,
               "hostinfo": json.dumps({"OS": "linux", "Hostname": f"spare-{i}", "IPNVersion": "1.90.1-t1", "RoutableIPs": [routes] if routes else []})}
        db.execute(f"INSERT INTO nodes ({','.join(row)}) VALUES ({','.join('?' * len(row))})", list(row.values()))
    db.commit()


def bench_policy():
    """1,000 rules over 5,000 nodes: read and compiled for all of them, one node's change, what another policy changes."""
    found = {}
    for _ in range(runs):
        for line in program("control_policy_compile_bench").splitlines():
            name, ms = line.split()
            found.setdefault(name, []).append(float(ms))
    report("a policy of 1,000 rules for 5,000 nodes", found["whole"], 150, "ms")
    report("a node changes under it, until all rules are known", found["change"], 1, "ms")
    report("a node joins under it", found["join"], 1, "ms")
    report("what another such policy changes", found["difference"], 500, "ms")


def bench_login():
    _, out = simnet("login")
    values = [float(line) for line in open(os.path.join(out, "login.ms"))]
    report("up by a login in a browser, without the provider", values[1:], 500, "ms")  # the first makes the user

"""What scenarios call, inside their hosts."""
import glob, json, os, re, subprocess, time

from benching.run import runs


def node_here():
    """Folder in /proc of the node in this network namespace; None: there is none."""
    net = os.readlink("/proc/self/ns/net")
    for status in glob.glob("/proc/[0-9]*/status"):
        try:
            if re.match(r"Name:\s+(ropewalkd|tailscaled|wireguard|wireguard-go|boringtun-cli|node_plane_bare)\n", open(status).read()) and \
                    os.readlink(status[:-6] + "ns/net") == net:
                return status[:-6]
        except OSError:
            pass
    return None


def rss(name):
    """Resident memory of the node's daemon."""
    proc = node_here()
    if not proc:
        return 1
    kib = int(re.search(r"VmRSS:\s+(\d+)", open(proc + "status").read())[1])
    open(os.path.join(os.environ["RW_BENCH_OUT"], name + ".rss"), "w").write(str(kib))
    return 0


def ran(name):
    """A line with the CPU time of the node's threads, in ns."""
    proc = node_here()
    if not proc:
        return 1
    with open(os.path.join(os.environ["RW_BENCH_OUT"], name + ".ran"), "a") as f:
        print(sum(int(open(t).read().split()[0]) for t in glob.glob(proc + "task/*/schedstat")), file=f)
    return 0


def stream(name, to):
    """One TCP stream for 2 s: Gb/s and GB, a line."""
    said = subprocess.run(["iperf3", "-c", to, "-t", "2", "-J"], stdout=subprocess.PIPE, text=True).stdout
    end = json.loads(said)["end"]["sum_received"]
    with open(os.path.join(os.environ["RW_BENCH_OUT"], name + ".stream"), "a") as f:
        print(end["bits_per_second"] / 1e9, end["bytes"] / 1e9, file=f)
    return 0


def spent(name):
    """A line with the CPU time of the node's threads, in ns, and the datagrams of 64 bytes that its interface gave the machine:
    those that it gave joined have one header together."""
    proc = node_here()
    if not proc:
        return 1
    ran = sum(int(open(f).read().split()[0]) for f in glob.glob(proc + "task/*/schedstat"))
    size, packets = map(int, re.search(r"(?:rope0|wg0|tailscale0):\s*(\d+)\s+(\d+)", open("/proc/self/net/dev").read()).groups())
    with open(os.path.join(os.environ["RW_BENCH_OUT"], name + ".spent"), "a") as f:
        print(ran, (size - 28 * packets) // 64, time.monotonic_ns(), file=f)
    return 0


def threads(name):
    """A line with the CPU time of the node's first thread, and of all others together, in ns."""
    proc = node_here()
    if not proc:
        return 1
    ran = {int(f.split("/")[-2]): int(open(f).read().split()[0]) for f in glob.glob(proc + "task/*/schedstat")}
    with open(os.path.join(os.environ["RW_BENCH_OUT"], name + ".threads"), "a") as f:
        print(ran[min(ran)], sum(ran.values()) - ran[min(ran)], file=f)
    return 0


def cpu():
    """Processor time of this network's daemon and relay so far, its own and the kernel's for it, a line more of a file."""
    net, ticks = os.readlink("/proc/self/ns/net"), [0, 0]
    for comm in glob.glob("/proc/[0-9]*/comm"):
        at = os.path.dirname(comm)
        try:
            if (open(comm).read().strip() in ("ropewalkd", "tailscaled", "ropewalk-relay", "derper")
                    and os.readlink(at + "/ns/net") == net):
                took = open(at + "/stat").read().rsplit(")", 1)[1].split()[11:13]
                ticks = [sum(v) for v in zip(ticks, map(int, took))]
        except OSError:
            pass
    with open(os.path.join(os.environ["RW_BENCH_OUT"], "cpu"), "a") as f:
        print(*(v / os.sysconf("SC_CLK_TCK") for v in ticks), file=f)
    return 0


def load(name, to):
    """One TCP stream for 4 s and pings beside it: Gb/s, GB, and each round trip in ms, a line more of a file."""
    pings = subprocess.Popen(["ping", "-i", "0.005", "-w", "4", to], stdout=subprocess.PIPE, text=True)
    # What fills a queue until it loses something shows how long the queue is.
    said = subprocess.run(["iperf3", "-c", to, "-t", "4", "-C", "cubic", "-J"], stdout=subprocess.PIPE, text=True).stdout
    rtt = [float(ms) for ms in re.findall(r"time=([\d.]+)", pings.communicate()[0])]
    end = json.loads(said)["end"]["sum_received"]
    with open(os.path.join(os.environ["RW_BENCH_OUT"], name), "a") as f:
        f.write(json.dumps({"gbit": end["bits_per_second"] / 1e9, "gb": end["bytes"] / 1e9, "rtt": sorted(rtt)}) + "\n")
    return 0


def add_peers(path, n):
    """Copies of the server's first node, with keys and addresses of their own."""
    import sqlite3
    db = sqlite3.connect(path, timeout=10)
    names = [c[1] for c in db.execute("PRAGMA table_info(nodes)")]
    row = dict(zip(names, db.execute("SELECT * FROM nodes ORDER BY id LIMIT 1").fetchone()))
    for i in range(int(n)):
        new = dict(row, id=1000 + i, machine=os.urandom(32), node_key=os.urandom(32), disco=os.urandom(32),
                   name=f"spare-{i}", hostname=f"spare-{i}", v4=f"100.80.{i >> 8}.{i & 255}",
                   v6=f"fd7a:115c:a1e0::9:{i:x}")
        db.execute(f"INSERT INTO nodes ({','.join(names)}) VALUES ({','.join('?' * len(names))})",
                   [new[c] for c in names])
    db.commit()
    return 0


def log_in(path):
    """`ropewalk up` by a login in a browser, again and again: what of it is ours, in milliseconds, a line each."""
    import html, http.cookiejar, ssl, urllib.parse, urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    def visit(browser, url, form=None):
        """Status, text and where it leads to, by one request."""
        body = urllib.parse.urlencode(form).encode() if form else None
        try:
            answer = browser.open(urllib.request.Request(url, body), timeout=30)
        except urllib.error.HTTPError as e:
            answer = e
        to = answer.headers.get("Location")
        return answer.status, answer.read().decode(), urllib.parse.urljoin(url, to) if to else None

    def at_provider(browser, url):
        """Through its pages, until it sends us back."""
        while not url.startswith("https://hs.test/"):
            _, text, to = visit(browser, url)
            if not to:
                action = html.unescape(re.search(r'action="([^"]+)"', text)[1])
                prompt = re.search(r'name="prompt" value="([^"]+)"', text)[1]
                _, _, to = visit(browser, urllib.parse.urljoin(url, action),
                                 {"prompt": prompt, "login": "alice@example.com", "password": "any"})
            url = to
        return url

    def once(out):
        browser = urllib.request.build_opener(Stay, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
                                              urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
        begin = time.monotonic()
        up = subprocess.Popen(["ropewalk", "--socket", path, "up", "--login-server", "https://hs.test"],
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        page = next(word for line in up.stderr for word in line.split() if word.startswith("https://"))
        _, text, _ = visit(browser, page)
        _, _, provider = visit(browser, urllib.parse.urljoin(page, html.unescape(
            re.search(r'href="(/oidc/begin[^"]*)"', text)[1])))
        there = time.monotonic()
        back = at_provider(browser, provider)
        there = time.monotonic() - there
        _, _, page = visit(browser, back)
        _, text, _ = visit(browser, page)
        status, _, _ = visit(browser, page, {"form": re.search(r'name="form" value="([^"]+)"', text)[1]})
        if status != 303 or up.wait(30):
            raise RuntimeError(f"not let in: {status}")
        print((time.monotonic() - begin - there) * 1000, file=out, flush=True)
        subprocess.run(["ropewalk", "--socket", path, "logout"], check=True, stdout=subprocess.DEVNULL)

    with open(os.path.join(os.environ["RW_BENCH_OUT"], "login.ms"), "w") as out:
        for _ in range(runs + 1):
            once(out)
    return 0

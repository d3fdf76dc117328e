#!/usr/bin/env python3
"""browse.py [--dark] [--size WxH] [--shot FILE] URL EXPRESSION...: opens a page in headless Chromium and waits, 20 s at most each, until one
expression of JavaScript after the other is true there. Prints their values. Ends with 1 when one stays false, and when the page's
console says anything. Speaks the DevTools protocol over a pipe: no port, and nothing besides Python and Chromium."""
import argparse
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BOUND = 20


class Browser:
    def __init__(self, profile):
        self.profile = profile
        to_read, self.write_fd = os.pipe()
        self.read_fd, to_write = os.pipe()
        for fd in (to_read, to_write):
            os.set_inheritable(fd, True)

        def plug():
            # the protocol has 3 and 4; by way of numbers that nobody has
            os.dup2(to_read, 103), os.dup2(to_write, 104)
            os.dup2(103, 3), os.dup2(104, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
             f"--user-data-dir={profile}", "about:blank"], env=dict(os.environ, TMPDIR=profile),  # it leaves its sockets there
            preexec_fn=plug, close_fds=False, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read), os.close(to_write)
        self.buffer, self.last, self.session, self.said = b"", 0, None, []

    def end(self):
        """All its processes at once: one that outlives the first still writes into the profile."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        until = time.monotonic() + BOUND
        while os.path.exists(self.profile) and time.monotonic() < until:
            shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            answer = self.receive(until - time.monotonic())
            if answer.get("id") == self.last:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']['message']}")
                return answer["result"]
        sys.exit(f"{method}: no answer from Chromium")

    def receive(self, wait):
        while b"\0" not in self.buffer:
            if not select.select([self.read_fd], [], [], wait)[0]:
                return {}
            got = os.read(self.read_fd, 1 << 20)
            if not got:
                sys.exit("Chromium has ended")
            self.buffer += got
        one, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(one)
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif message.get("method") == "Log.entryAdded":
            self.said.append(params["entry"]["text"])
        elif message.get("method") == "Runtime.consoleAPICalled":
            self.said.append(json.dumps(params["args"]))
        return message

    def until_true(self, expression):
        until = time.monotonic() + BOUND
        while True:
            result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
            if result.get("value") and result.get("subtype") != "error":
                return result["value"]
            if time.monotonic() > until:
                sys.exit(f"not true in {BOUND} s: {expression}\nthe page says: {self.said}\n" + self.call(
                    "Runtime.evaluate", expression="document.body.innerText.slice(0, 3000)", returnByValue=True)["result"]["value"])
            self.receive(0.1)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--dark", action="store_true")
    options.add_argument("--size", default="1280x800")
    options.add_argument("--shot")
    options.add_argument("url")
    options.add_argument("expressions", nargs="*")
    o = options.parse_args()
    profile = tempfile.mkdtemp(prefix="browse.")
    b = Browser(profile)
    try:
        target = b.call("Target.createTarget", url="about:blank")["targetId"]
        b.session = b.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            b.call(domain + ".enable")
        width, height = map(int, o.size.split("x"))
        b.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)
        b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if o.dark else "light"}])
        b.call("Page.navigate", url=o.url)
        for expression in o.expressions:
            print(b.until_true(expression))
        if o.shot:
            with open(o.shot, "wb") as out:
                out.write(base64.b64decode(b.call("Page.captureScreenshot")["data"]))
    finally:
        b.end()
    if b.said:
        sys.exit("the page's console says: " + "\n".join(b.said))


main()

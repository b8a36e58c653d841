# SPDX-License-Identifier: Apache-2.0
"""What the wire tests share: a daemon of one's own, raw sockets, /metrics as numbers.

Python's standard library only. A test file ends with wire.main(); it then runs as
    python3 tests/wire/test_x.py --ssmd build/ssmd --model DIR [unittest names]
FAKE_* variables slow the stand-in engine down; a real engine does not read them.
"""
import argparse
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ARGS = None
LIMIT = 200  # seconds after which something hangs; generous, for busy machines and sanitizers


class Daemon:
    """One ssmd on a free port. Use as a context manager; ends by pid."""

    def __init__(self, *flags, env=None, wait=True, config=None, preexec=None):
        self.dir = tempfile.TemporaryDirectory(prefix="ssmd-wire-")
        argv = [ARGS.ssmd, "serve", "--model", ARGS.model, "--port", "0"]
        if config is not None:
            path = os.path.join(self.dir.name, "config.json")
            with open(path, "w") as f:
                json.dump(config, f)
            argv += ["--config", path]
        argv += [str(x) for x in flags]
        self.started = time.monotonic()
        self.proc = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                     env={**os.environ, **(env or {})}, preexec_fn=preexec)
        self.lines = []
        self.grew = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = self.wait_line("listening")["port"]
        if wait:
            self.wait_line("ready")

    def _read(self):
        for raw in self.proc.stderr:
            with self.grew:
                self.lines.append(raw.decode("utf-8", "replace"))
                self.grew.notify_all()
        with self.grew:
            self.lines.append(None)
            self.grew.notify_all()

    def _logged(self, name, fields):
        lines = [json.loads(x) for x in self.lines
                 if x and x.startswith("{") and '"event":"%s"' % name in x]
        return [x for x in lines if all(x.get(k) == v for k, v in fields.items())]

    def events(self, name, least=0, timeout=LIMIT, **fields):
        """The log lines of an event with these fields, once there are at least so many: a line
        is read by another thread than the one that reads an answer, and may come later."""
        end = time.monotonic() + timeout
        with self.grew:
            while len(found := self._logged(name, fields)) < least:
                if None in self.lines or time.monotonic() > end:
                    raise AssertionError("%d of %d %r lines from the daemon: %s"
                                         % (len(found), least, name, self.log()))
                self.grew.wait(0.1)
        return found

    def wait_line(self, name, count=1, timeout=LIMIT):
        return self.events(name, count, timeout)[count - 1]

    def log(self):
        return "".join(x for x in self.lines if x)[-4000:]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def signal(self, signum):
        os.kill(self.proc.pid, signum)

    def stop(self):
        """Ends the daemon; answers its exit code. A crash is an assertion."""
        if self.proc.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.proc.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.proc.wait()
                raise AssertionError("the daemon did not end: " + self.log())
        self.reader.join(5)
        self.proc.stderr.close()
        self.dir.cleanup()
        reported = any(x and ("Sanitizer" in x or "runtime error" in x) for x in self.lines)
        if reported or self.proc.returncode not in (0, 1, 2):
            raise AssertionError("the daemon died by %d: %s" % (self.proc.returncode, self.log()))
        return self.proc.returncode

    # ---- talking

    def connect(self, timeout=LIMIT):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def call(self, method, path, body=None, headers=None, timeout=LIMIT):
        """One request on its own connection: (status, headers, bytes)."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            head = dict(headers or {})
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            if body is not None:
                head.setdefault("Content-Type", "application/json")
            c.request(method, path, body=body, headers=head)
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def complete(self, timeout=LIMIT, headers=None, **fields):
        body = {"prompt": "hello", "max_tokens": 4, "temperature": 0, "ignore_eos": True}
        body.update(fields)
        status, head, data = self.call("POST", "/v1/completions", body, headers, timeout)
        return status, head, json.loads(data)

    def raw(self, data, timeout=LIMIT):
        """Sends bytes, answers all that comes until the end (or a reset)."""
        s = self.connect(timeout)
        try:
            try:
                s.sendall(data)
            except OSError:
                pass
            return read_all(s)
        finally:
            s.close()

    def open_stream(self, rcvbuf=None, **fields):
        """Posts a streamed completion, answers the socket without reading."""
        body = {"prompt": "hello", "max_tokens": 1000, "temperature": 0, "ignore_eos": True,
                "stream": True}
        body.update(fields)
        return self.post(body, rcvbuf)

    def post(self, body, rcvbuf=None, path="/v1/completions"):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(LIMIT)
        s.connect(("127.0.0.1", self.port))
        s.sendall(request("POST", path, json.dumps(body)))
        return s

    def metrics(self):
        status, _, data = self.call("GET", "/metrics")
        if status != 200:
            raise http.client.HTTPException("/metrics answered %d" % status)
        out = {}
        for line in data.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out

    def metric(self, name):
        return self.metrics()[name]

    def wait_metric(self, name, test, timeout=LIMIT):
        """Seconds until test(value) holds."""
        begin = time.monotonic()
        while True:
            value = self.metric(name)
            if test(value):
                return time.monotonic() - begin
            if time.monotonic() - begin > timeout:
                raise AssertionError("%s stayed %r" % (name, value))
            time.sleep(0.02)


def anonymous(pid):
    """Bytes of memory that are the process's own."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon"))


def under_sanitizer(pid):
    """Whether the program maps a sanitizer's shadow: its runtime is a library of that name."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as f:
        return re.search(r"lib[atu]\w*san\.so", f.read()) is not None


def knows(flag):
    """Whether the program has this option, so that an older one can be measured beside it."""
    done = subprocess.run([ARGS.ssmd, "serve", "--help"], capture_output=True, text=True)
    return flag in done.stdout


def request(method, path, body="", extra="", version="HTTP/1.1"):
    head = "%s %s %s\r\nHost: x\r\n%s" % (method, path, version, extra)
    if body:
        head += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body.encode())
    return (head + "\r\n").encode() + body.encode()


def read_all(s):
    data = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return data
            data += piece
    except (ConnectionError, socket.timeout, TimeoutError):
        return data


def read_until(s, mark):
    data = b""
    while mark not in data:
        piece = s.recv(65536)
        if not piece:
            raise AssertionError("the connection ended before %r: %r" % (mark, data[-300:]))
        data += piece
    return data


def read_response(f):
    """One response with a Content-Length from a file: (status, headers, body)."""
    line = f.readline()
    if not line:
        raise AssertionError("the connection ended before a response")
    head = {}
    while True:
        h = f.readline().rstrip(b"\r\n")
        if not h:
            break
        k, v = h.split(b":", 1)
        head[k.decode().lower()] = v.strip().decode()
    return int(line.split()[1]), head, f.read(int(head.get("content-length", 0)))


def statuses(data):
    return [int(x) for x in re.findall(rb"HTTP/1\.[01] (\d\d\d)", data)]


def dechunk(data):
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return out, True
        out += data[:n]
        data = data[n + 2:]
    return out, False


def sse(data):
    """The data lines of an event stream."""
    return [e[6:] for e in data.decode().split("\n\n") if e.startswith("data: ")]


def main():
    global ARGS
    p = argparse.ArgumentParser()
    p.add_argument("--ssmd", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("names", nargs="*")
    ARGS = p.parse_args()
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    suite = (loader.loadTestsFromNames(ARGS.names, module) if ARGS.names
             else loader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    # A failed subtest names its test; a test counts once however many of its subtests failed.
    failed = len({getattr(t, "test_case", t).id() for t, _ in result.failures + result.errors})
    passed = max(0, result.testsRun - failed - len(result.skipped))
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


def read_all_from(s):
    """The body of one chunked response, its connection still open; the socket is closed."""
    data = read_until(s, b"\r\n\r\n")
    body = data.split(b"\r\n\r\n", 1)[1]
    while not body.endswith(b"0\r\n\r\n"):
        piece = s.recv(65536)
        if not piece:
            break
        body += piece
    s.close()
    return body

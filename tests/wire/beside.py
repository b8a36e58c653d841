# SPDX-License-Identifier: Apache-2.0
"""What others see while a daemon is attacked: a stream, /livez and /metrics, and its memory.

A process of its own, so that the attackers' interpreter delays nothing here: one loop reads a
stream that is started again when it ends, asks /livez every 10 ms and /metrics every 100 ms on
kept connections, and samples the daemon's anonymous memory. Beside(d) starts it; mark() begins a
window, report() says what was seen since: gap (the longest between two events of one stream, or
between its request and its first event, in ms), livez and metrics (p99 in ms), and memory in
bytes (now, peak). A gap that lasts still counts.

    beside.py PORT PID    (begins with the first line on stdin, one report a line)
"""
import json
import os
import select
import socket
import subprocess
import sys
import time

STREAM = json.dumps({"prompt": "The river", "max_tokens": 3500, "stream": True,
                     "ignore_eos": True, "temperature": 0}).encode()


class Beside:
    """The process, from the attacker's side."""

    def __init__(self, d):
        self.child = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(d.port),
                                       str(d.proc.pid)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def report(self):
        self.child.stdin.write("report\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    mark = report

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()


class Probe:
    """One GET after the other on a kept connection, at most one under way."""

    def __init__(self, port, path, every):
        self.port, self.every, self.due, self.sock, self.sent = port, every, 0, None, None
        self.request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path
        self.got, self.seen = b"", []

    def step(self, now):
        """Sends when it is time; the seconds until the next time."""
        if self.sent is None and now >= self.due:
            try:
                if not self.sock:
                    self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                    self.sock.setblocking(False)
                self.sock.send(self.request)
            except OSError:
                self.lost()
            self.sent, self.due = time.monotonic(), now + self.every
        return self.every if self.sent else self.due - now

    def lost(self):
        self.sock, self.got = self.sock and self.sock.close(), b""

    def read(self, now):
        try:
            piece = self.sock.recv(1 << 18)
        except OSError:
            piece = b""
        self.got += piece
        head, mark, body = self.got.partition(b"\r\n\r\n")
        if not piece:
            self.lost()
        elif mark and len(body) >= int(head.lower().split(b"content-length:")[1].split()[0]):
            self.got = b""
        else:
            return
        if self.sent:
            self.seen.append(now - self.sent)
        self.sent = None

    def take(self, now):
        """[samples, p99 in ms] since the last time; one under way counts when it is late."""
        seen = sorted(self.seen + ([now - self.sent] if self.sent else []))
        self.seen = []
        return [len(seen), 1000 * seen[(99 * len(seen) - 1) // 100] if seen else 0]


class Watched:
    """The stream: when its last event came, and the longest wait for one."""

    def __init__(self, port):
        self.port, self.sock, self.last, self.gap, self.tail, self.due = port, None, None, 0, b"", 0
        self.refused = 0

    def step(self, now):
        if self.sock is None and now >= self.due:
            try:
                self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                self.sock.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: "
                                  b"application/json\r\nContent-Length: %d\r\n\r\n" % len(STREAM)
                                  + STREAM)
                self.sock.setblocking(False)
                self.tail, self.last = b"", time.monotonic()
            except OSError:
                self.end(now)

    def end(self, now):
        if self.sock:
            self.sock.close()
        self.sock, self.last, self.due = None, None, now + 0.05

    def read(self, now):
        try:
            piece = self.sock.recv(1 << 18)
        except OSError:
            piece = b""
        if piece and not self.tail and b" 200 " not in piece[:20]:
            self.refused += 1
            self.end(now)
            return
        self.gap, self.last = max(self.gap, now - self.last), now
        self.tail = (self.tail + piece)[-80:]
        if not piece or b"[DONE]" in self.tail:
            self.end(now)

    def take(self, now):
        gap = max(self.gap, now - self.last if self.last else 0)
        self.gap, self.last = 0, now if self.last else None
        refused, self.refused = self.refused, 0
        return 1000 * gap, refused


def anonymous(pid):
    try:
        with open("/proc/%s/status" % pid, encoding="ascii") as f:
            return next(int(x.split()[1]) << 10 for x in f if x.startswith("RssAnon"))
    except (OSError, StopIteration):
        return 0


def main():
    port, pid = int(sys.argv[1]), sys.argv[2]
    try:
        os.nice(-10)  # a busy machine delays the attackers, not who measures
    except OSError:
        pass
    stream = Watched(port)
    livez, metrics = Probe(port, b"/livez", 0.01), Probe(port, b"/metrics", 0.1)
    peak = 0
    while True:
        now = time.monotonic()
        wait = min(p.step(now) for p in (livez, metrics))
        stream.step(now)
        peak = max(peak, anonymous(pid))
        watched = [x for x in (stream, livez, metrics) if x.sock]
        readable = select.select([sys.stdin] + [x.sock for x in watched], [], [],
                                 min(max(wait, 0), 0.02))[0]
        now = time.monotonic()
        for x in watched:
            if x.sock in readable:
                x.read(now)
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return
            gap, refused = stream.take(now)
            print(json.dumps({"gap": gap, "refused": refused, "livez": livez.take(now),
                              "metrics": metrics.take(now), "memory": anonymous(pid),
                              "peak": peak}), flush=True)
            peak = 0


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What connections cost: memory of the daemon, and latencies of requests among them.

    bench_connections.py --ssmd build/ssmd [--model DIR] [--n 10000] [--streams 1000]

Three daemons: n connections that never asked; n that were answered once each (a completion every
hundredth, /livez the rest) and are kept; and `streams` streamed completions at once, each with
a slot and pages of its own, which the figure holds too. Memory is the proportional set size (PSS) of the daemon over that of the same daemon
before, warmed up; with kernel's socket buffers it would be more. Latencies are of 200 requests,
each on a connection of its own. Judged: n answered ones cost at most 10 KB each (100 MB of
10,000), all stay open, p99 of /livez among idle ones is at most 5 ms (20 ms among streams).
"""
import argparse
import pathlib
import re
import resource
import select
import socket
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "wire"))
import attacks
import crowds
import wire

PER_CONNECTION = 10000  # bytes, of one that was answered
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def pss(d):
    text = pathlib.Path("/proc/%d/smaps_rollup" % d.proc.pid).read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) * 1024


def latencies(d, data, n=200):
    """(median, p99) in ms of n requests on connections of their own; failed ones count 99 s."""
    took = []
    for _ in range(n):
        r = attacks.exchange(d, [data], limit=10)
        took.append(1000 * r.seconds if r.status == 200 else 99000)
    took.sort()
    return took[n // 2], took[99 * n // 100 - 1]


def answered(d, n):
    """n kept connections, each answered once, in groups of 100."""
    socks, kept = [], attacks.completion().replace(b"Connection: close\r\n", b"")
    while len(socks) < n:
        group = [attacks.connect(d) for _ in range(min(100, n - len(socks)))]
        for i, s in enumerate(group):
            s.sendall(GET if i else kept)
        for s in group:
            data = b""
            while not (b"\r\n\r\n" in data and complete(data)):
                piece = s.recv(65536)
                if not piece:
                    raise SystemExit("a connection was ended: %r" % data[:200])
                data += piece
        socks += group
    return socks


def complete(data):
    head, _, body = data.partition(b"\r\n\r\n")
    return len(body) >= int(re.search(rb"(?i)content-length: (\d+)", head).group(1))


def silent(d, n):
    return [attacks.connect(d) for _ in range(n)]


def streams(d, n):
    socks = []
    for i in range(n):
        s = attacks.connect(d)
        s.sendall(crowds.streamed(40, prompt="stream %d" % i))
        socks.append(s)
    return socks


def read_streams(socks, seconds):
    """Reads what comes for some seconds; how many have been begun, and ended."""
    poll, by, heads, ends = select.poll(), {s.fileno(): s for s in socks}, set(), set()
    for fd, s in by.items():
        s.setblocking(False)
        poll.register(fd, select.POLLIN)
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(ends) < len(socks):
        for fd, _ in poll.poll(100):
            try:
                piece = by[fd].recv(1 << 16)
            except OSError:
                piece = b""
            heads.add(fd)
            if not piece or b"[DONE]" in piece:
                ends.add(fd)
                poll.unregister(fd)
    return len(heads), len(ends)


def still_open(socks):
    poll = select.poll()
    for s in socks:
        poll.register(s, select.POLLIN | select.POLLRDHUP)
    return len(socks) - sum(bool(e & (select.POLLRDHUP | select.POLLHUP)) for _, e in poll.poll(0))


def measure(name, make, n, flags, judge_bytes, probe_ms):
    with wire.Daemon(*flags) as d:
        for _ in range(3):
            latencies(d, attacks.get(), 50)
            attacks.together(8, lambda i: attacks.exchange(d, [attacks.completion(max_tokens=50)]))
        before = pss(d)
        socks = make(d, n)
        try:
            time.sleep(1)
            begun = read_streams(socks, 5) if make is streams else None
            more = pss(d) - before
            live, done = latencies(d, attacks.get()), None
            if make is not streams:
                done = latencies(d, attacks.completion(), 100)
            left = still_open(socks) if make is not streams else read_streams(socks, 90)[1]
        finally:
            for s in socks:
                s.close()
        d.wait_metric("ssmd_open_connections", lambda v: v <= 2, timeout=30)
        time.sleep(1)
        after = pss(d) - before
    print("| %d %s | %.1f | %.1f | %.1f | %.1f / %.1f | %s |%s" % (
        n, name, more / 1e6, more / n / 1000, after / 1e6, *live,
        "%.1f / %.1f" % done if done else "",
        " %d of them begun after 5 s, %d ended" % begun if begun else ""), flush=True)
    checks = {"%.0f bytes each" % (more / n): not judge_bytes or more <= judge_bytes * n,
              "%d of %d %s" % (left, n, "ended" if make is streams else "are open"): left == n,
              "/livez p99 %.1f ms" % live[1]: live[1] <= probe_ms}
    return ["%d %s: %s" % (n, name, what) for what, good in checks.items() if not good]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    p.add_argument("--model", default=str(ROOT / "models/default"))
    p.add_argument("--n", type=int, default=10000)
    p.add_argument("--streams", type=int, default=1000)
    args = wire.ARGS = p.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args.n = min(args.n, hard - 200)
    print("| connections | MB more | KB each | MB after | /livez, ms, median / p99 | completion |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: |")
    base = ("--max-connections", args.n + 50, "--keepalive-idle", 600, "--body-timeout", 300,
            "--memory-bytes", "128MiB", "--max-seqs", 16)
    failed = measure("that never asked", silent, args.n, base, PER_CONNECTION, 5)
    failed += measure("answered once", answered, args.n, base, PER_CONNECTION, 5)
    failed += measure("streams at once", streams, args.streams, base + (
        "--max-seqs", args.streams, "--context", 512, "--memory-bytes", "1GiB"), 0, 20)
    for why in failed:
        print("- " + why)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

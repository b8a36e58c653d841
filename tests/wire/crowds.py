# SPDX-License-Identifier: Apache-2.0
"""Attacks of many clients, or on a limit of the daemon: rows of the table in attacks.py.

An honest request beside them is what has to be answered: its Reply is what send() returns.
"""
import contextlib
import json
import os
import resource
import socket
import struct
import threading
import time

import attacks
import wire
from attacks import Attack, Reply, completion, connect, exchange, get, head, together

TCP_REPAIR = 19  # a socket closed in this mode sends neither FIN nor RST (needs root)


def bad(text, seconds=0.0):
    r = Reply(b"", seconds, False)
    r.answers, r.faults = [(200, b"", {})], [text]
    return [r]


@contextlib.contextmanager
def held(d, n, *pieces, **how):
    """n connections that have sent something and are neither read nor closed."""
    socks = []
    try:
        for i in range(n):
            s = connect(d, **how)
            s.settimeout(0.5)
            with contextlib.suppress(OSError):
                for p in pieces:
                    s.sendall(p(i) if callable(p) else p)
            socks.append(s)
        yield socks
    finally:
        for s in socks:
            s.close()


def streamed(n_tokens=3000, **fields):
    return completion(stream=True, max_tokens=n_tokens, **fields)


def metrics(d):
    """/metrics on one connection of its own, {} when it is not answered in time."""
    try:
        return d.metrics()
    except (OSError, ValueError, wire.http.client.HTTPException):
        return {}


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def warm_up(d):
    """Touches what is planned: slots, pages, the prefix cache."""
    for turn in range(2):
        together(16, lambda i: exchange(d, [completion(
            prompt=("%d %d of the river " % (turn, i)) * 60, max_tokens=60)], limit=60))


def planned(d):
    """Bytes of the plan without the budgets before admission: what an idle daemon may hold."""
    plan = d.wait_line("memory")
    return plan["planned_bytes"] - plan.get("request_bytes", 0) - plan.get("work_bytes", 0)


# ---- fairness ----------------------------------------------------------------------------

def beside_a_wide_one(d):
    """max_seqs wide, while a stream holds one slot: small ones pass it for wide_wait."""
    with held(d, 1, streamed(2000)), held(d, 1, completion(n=8, max_tokens=300)):
        time.sleep(0.2)
        out = []
        for _ in range(5):
            out += [exchange(d, [completion(max_tokens=4)])]
            time.sleep(0.1)
    return out


def wide_ends(d):
    """A wide one is answered although small ones keep coming."""
    ending = threading.Event()

    def small(_):
        while not ending.is_set():
            exchange(d, [completion(max_tokens=100)])
    crowd = threading.Thread(target=together, args=(6, small))
    crowd.start()
    time.sleep(0.3)
    out = [exchange(d, [completion(n=8, max_tokens=20)])]
    ending.set()
    crowd.join()
    return out


def starved(d):
    """Twelve clients of the first priority without a pause; another address asks without."""
    ending, first = threading.Event(), -2 ** 31

    def greedy(i):
        while not ending.is_set():
            exchange(d, [completion(prompt="p%d" % i, max_tokens=100, priority=first)])
    crowd = threading.Thread(target=together, args=(12, greedy))
    crowd.start()
    time.sleep(1)
    out = [exchange(d, [completion(max_tokens=4)], address="127.0.0.9", limit=8)
           for _ in range(2)]
    ending.set()
    crowd.join()
    return out


def first_burst(d):
    """What is turned away in the first burst of a process is told no wait of half a minute."""
    out = together(60, lambda i: exchange(d, [completion(prompt="b%d" % i, max_tokens=40)]))
    for r in out:
        wait = r.answers and r.answers[0][0] == 429 and r.answers[0][2].get(b"retry-after")
        if wait and not 1 <= int(wait) <= 5:
            r.faults.append("Retry-After %s of a queue that empties in a second" % wait.decode())
    return out


# ---- connections -------------------------------------------------------------------------

def idle_at_the_limit(d):
    """More idle connections than may be open; each has been answered once, or never asked."""
    with held(d, 50, get().replace(b"Connection: close\r\n", b"")), held(d, 60):
        return [exchange(d, [get()]), exchange(d, [completion()])]


def busy_at_the_limit(d):
    """Every place has a request: an open route is answered, others may get a 503."""
    with held(d, 70, lambda i: streamed(prompt="s%d" % i)):
        time.sleep(0.5)
        return [exchange(d, [get()]), exchange(d, [get(path=b"/metrics")]),
                exchange(d, [completion()], limit=4)]


def no_descriptor(d):
    """Silent ones take every descriptor that is left; one that is not idle longest asks."""
    with held(d, 30):
        kept = connect(d)
        time.sleep(0.2)
        old = resource.prlimit(d.proc.pid, resource.RLIMIT_NOFILE)
        most = 1 + max(int(x) for x in os.listdir("/proc/%d/fd" % d.proc.pid))
        resource.prlimit(d.proc.pid, resource.RLIMIT_NOFILE, (most + 10, old[1]))
        try:
            with held(d, 30):
                time.sleep(0.5)
                kept.sendall(get())
                data = wire.read_all(kept)
        finally:
            resource.prlimit(d.proc.pid, resource.RLIMIT_NOFILE, old)
            kept.close()
    return [Reply(data, 0, True), exchange(d, [get()]), exchange(d, [completion()])]


def idlers(d):
    """Hundreds that are silent, have sent a part, or have closed their side."""
    body = head(b"Content-Length: 10") + b"{"
    with held(d, 100), held(d, 100, b"GET /li"), held(d, 100, body), held(d, 100) as half:
        for s in half:
            s.shutdown(socket.SHUT_WR)
        return [exchange(d, [get()]), exchange(d, [completion()])]


def opens_and_aborts(d):
    for i in range(10000):
        s = connect(d)
        if i % 3:
            s.sendall(completion(max_tokens=50)[:None if i % 3 == 1 else 40])
        reset(s) if i % 2 else s.close()
    return [exchange(d, [completion()])]


def unread(d):
    """40 that read nothing: their answers are held back at stream_buffer_bytes, so none ends."""
    with held(d, 40, lambda i: streamed(500, prompt="r%d" % i, logprobs=5), rcvbuf=4096):
        until, seen, left = time.monotonic() + 25, [0], 40
        while left >= 40 and time.monotonic() < until and (
                not seen[-1] or len(seen) < 8 or len(set(seen[-8:])) > 1):  # held back for 2 s
            time.sleep(0.25)
            m = metrics(d)
            seen.append(m.get("ssmd_stream_buffer_bytes", 0))
            left = m.get("ssmd_requests_running", 0) + m.get("ssmd_requests_waiting", 0)
        if left < 40:
            return bad("the kernel's buffers took whole answers: %d of 40 still run" % left)
        if max(seen) > 40 * 3 * 16384:
            return bad("%d bytes wait in streams" % max(seen))
        return [exchange(d, [completion()])]


def vanish(d):
    """Clients that are gone without a word in the queue and while decoding."""
    with held(d, 24, lambda i: streamed(prompt="v%d" % i)) as socks:
        time.sleep(0.5)
        for s in socks:
            s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    return [exchange(d, [completion()])]


def queue_flood(d):
    return together(150, lambda i: exchange(d, [completion(prompt="q%d" % i, max_tokens=20)]))


def short_keepalive(d):
    """keepalive_idle below body_timeout (a start-up error since): the answer is not silence."""
    return together(2, lambda i: exchange(d, [(
        head(b"Content-Length: 500") + b"{", head(b"Content-Length: 60000000"))[i]] + (
            [1.5, b" "] if i else [])))


def all_rows():
    yield Attack("small ones beside a wide one", beside_a_wide_one, (200,), 1,
                 ("--max-seqs", 8), fills=True)
    yield Attack("a wide one beside small ones", wide_ends, (200,), 5, ("--max-seqs", 9),
                 fills=True)
    yield Attack("priority -2147483648", starved, (200,), 2, ("--max-seqs", 4), fills=True)
    yield Attack("the first burst", first_burst, (200, 429), 5,
                 ("--max-seqs", 4, "--queue-limit", 8), fills=True)
    yield Attack("idle ones at max_connections", idle_at_the_limit, (200,), 1,
                 ("--max-connections", 64))
    yield Attack("busy ones at max_connections", busy_at_the_limit, (200, 429, 503), 2,
                 ("--max-connections", 64, "--max-seqs", 80, "--memory-bytes", "128MiB"),
                 fills=True)
    yield Attack("no descriptors", no_descriptor, (200, 503), 2)
    yield Attack("400 idle and half-closed", idlers, (200,), 1)
    yield Attack("10,000 opens and aborts", opens_and_aborts, (200, 429), 2)
    yield Attack("40 readers that read nothing", unread, (200,), 2,
                 ("--stream-buffer-bytes", 16384, "--max-seqs", 48,
                  "--memory-bytes", "256MiB"), fills=True)
    if os.geteuid() == 0:
        yield Attack("24 that vanish", vanish, (200,), 2, ("--max-seqs", 16), fills=True)
    yield Attack("a flood of 150 requests", queue_flood, (200, 429), 8,
                 ("--max-seqs", 16, "--queue-limit", 40), fills=True)

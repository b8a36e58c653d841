#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A minute at three times the capacity: of one replica, then of three behind HAProxy.

    bench_overload.py --ssmd build/ssmd [--model DIR] [--seconds 60] [--only one|three]

Capacity is what as many clients as there are slots and a few more get without a pause, before
and after; the queue holds WAIT seconds of it. Then twelve equal clients, each with an address of its own, send requests by chance (Poisson) at three
times that rate together, do as the official clients do with a 429 (wait for Retry-After, at most
two more attempts), and read streams. Judged, exit status 1 when one fails:

- goodput, completions a second over capacity, at least 0.9;
- Jain's index over the clients' completions at least 0.9;
- Retry-After within a factor of two of the true wait, in 9 of 10 refusals. The true wait is that
  of the next request which was accepted after the refusal, from its arrival to its first token;
- the worst wait is below queue_timeout; no other status than 200 and 429;
- behind HAProxy besides: no 503, and no server is marked down.

Each replica computes with one thread; all clients are one process. Answers are long enough for
what refusals cost the clients to be small beside what the replicas compute.
"""
import argparse
import asyncio
import bisect
import contextlib
import json
import os
import pathlib
import random
import re
import statistics
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "wire"), str(ROOT / "tests" / "deploy")]
import replicas
import wire

CLIENTS, OVER, SLOTS, TOKENS, WAIT, QUEUE_TIMEOUT = 12, 3, 4, 160, 6, 30
FLAGS = ["--max-seqs", SLOTS, "--memory-bytes", "64MiB", "--threads", 1, "--prefix-cache", "off",
         "--queue-timeout", QUEUE_TIMEOUT]
BODY = json.dumps({"prompt": "The rain had stopped. She opened the window and", "stream": True,
                   "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}).encode()
REQUEST = (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
           b"application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)) + BODY


class Seen:
    """What the clients saw: every attempt, by client."""

    def __init__(self):
        self.attempts, self.gave_up, self.begun = [], 0, time.monotonic()

    def add(self, client, sent, status, wait, retry_after):
        self.attempts.append((client, sent, status, wait, retry_after, time.monotonic()))

    def of(self, status):
        return [a for a in self.attempts if a[2] == status]


async def ask(port, client, seen):
    """One attempt: (status, Retry-After or None). 0: the connection failed or broke off."""
    sent, status, first, retry = time.monotonic(), 0, None, None
    writer = None
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=("127.0.0.%d" % (client + 2), 0))
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        found = int(head.split()[1])
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"retry-after:"):
                retry = int(line.split(b":")[1])
        body = b""
        while piece := await reader.read(65536):
            if first is None and b"data: " in piece:
                first = time.monotonic()
            body = (body + piece)[-200:]
        # A request that waited in vain ends its open stream by an error event.
        status = found if found != 200 or b"[DONE]" in body else 429 if b"rate_limit" in body else 0
    except (OSError, ValueError, asyncio.IncompleteReadError):
        pass
    finally:
        if writer:
            writer.close()
    seen.add(client, sent, status, (first or time.monotonic()) - sent, retry)
    return status, retry


async def task(port, client, seen):
    """What an official client does: two more attempts, after what Retry-After says."""
    for attempt in range(3):
        status, retry = await ask(port, client, seen)
        if status == 200:
            return
        await asyncio.sleep(retry if retry and retry <= 60 else 0.5 * 2 ** attempt)
    seen.gave_up += 1


async def one_after_the_other(port, client, seen, until):
    while time.monotonic() < until:
        await ask(port, client, seen)


async def capacity(port, n, seconds):
    """Completions a second of n clients without a pause."""
    seen = Seen()
    until = time.monotonic() + seconds
    await asyncio.gather(*[one_after_the_other(port, i % CLIENTS, seen, until)
                           for i in range(n)])
    done = [a for a in seen.of(200) if a[5] <= until]
    return len(done) / seconds


async def overload(port, rate, seconds, chance):
    """`rate` requests a second by chance for `seconds`; what was seen until they ended."""
    seen, tasks = Seen(), []
    at = time.monotonic()
    until = at + seconds
    while at < until:
        at += chance.expovariate(rate)
        await asyncio.sleep(max(0, at - time.monotonic()))
        tasks.append(asyncio.create_task(task(port, chance.randrange(CLIENTS), seen)))
    seen.until = time.monotonic()
    for t in tasks:
        t.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen


def ratios(seen):
    """Retry-After over the true wait, of every refusal that an accepted request followed."""
    accepted = sorted((sent, wait) for _, sent, _, wait, *_ in seen.of(200))
    times, out = [sent for sent, _ in accepted], []
    for _, sent, _, _, retry, _ in seen.of(429):
        at = bisect.bisect(times, sent)
        if retry and at < len(accepted):
            out.append(retry / max(accepted[at][1], 1))
    return sorted(out)


def jain(counts):
    return sum(counts) ** 2 / (len(counts) * sum(c * c for c in counts)) if any(counts) else 0


def judge(name, capacity, seen, seconds):
    """Prints the figures of a run; what misses its bound."""
    warm = seen.begun + seconds / 6  # the queue fills
    done = [a for a in seen.of(200) if warm <= a[5] <= seen.until]
    goodput = len(done) / (seen.until - warm) / capacity
    per_client = [sum(a[0] == i for a in done) for i in range(CLIENTS)]
    others = [a for a in seen.attempts if a[2] not in (200, 429)]
    r, worst = ratios(seen), max((a[3] for a in seen.of(200)), default=0)
    near = sum(0.5 <= x <= 2 for x in r) / len(r) if r else 0
    print("%s: capacity %.1f/s, offered %.1f/s and %d attempts in all: %d completions, %d 429, "
          "%d others, %d gave up" % (name, capacity, OVER * capacity, len(seen.attempts),
                                     len(seen.of(200)), len(seen.of(429)), len(others),
                                     seen.gave_up))
    print("  goodput %.2f of capacity; Jain's index %.3f (%s); waits: median %.1f s, worst %.1f s"
          % (goodput, jain(per_client), " ".join(map(str, per_client)),
             statistics.median([a[3] for a in seen.of(200)] or [0]), worst))
    if r:
        print("  Retry-After over the true wait: median %.2f, 5 %% below %.2f, 5 %% above %.2f; "
              "%.0f %% within a factor of two" % (statistics.median(r), r[len(r) // 20],
                                                  r[-1 - len(r) // 20], 100 * near))
    checks = {"goodput %.2f" % goodput: goodput >= 0.9,
              "Jain's index %.3f" % jain(per_client): jain(per_client) >= 0.9,
              "Retry-After: %.0f %% of %d within a factor of two" % (100 * near, len(r)): near >= 0.9,
              "worst wait %.1f s" % worst: worst < QUEUE_TIMEOUT,
              "statuses %s" % sorted({a[2] for a in others}): not others}
    return ["%s: %s" % (name, what) for what, good in checks.items() if not good]


def measured(port, args, n_replicas):
    return asyncio.run(capacity(port, n_replicas * (SLOTS + 2), args.seconds / 6))


def run(name, start, args, n_replicas):
    """start(flags) is a context of a port; (what misses its bound, what was seen)."""
    with start([]) as port:
        before = measured(port, args, n_replicas)
    limit = max(8, min(256, round(WAIT * before / n_replicas)))
    with start(["--queue-limit", limit]) as port:
        seen = asyncio.run(overload(port, OVER * before, args.seconds, random.Random(1)))
        time.sleep(2)
        after = measured(port, args, n_replicas)
        print("%s: %.1f completions a second before, %.1f after; queue_limit %d"
              % (name, before, after, limit))
    return judge(name, (before + after) / 2, seen, args.seconds), seen


def one(args):
    @contextlib.contextmanager
    def start(flags):
        with wire.Daemon(*FLAGS, *flags) as d:
            yield d.port
    return run("one replica", start, args, 1)[0]


def three(args):
    replicas.options.ssmd = pathlib.Path(args.ssmd).resolve()
    replicas.options.model = pathlib.Path(args.model).resolve()
    # The balancer's clients are told apart by X-Forwarded-For, where the daemon knows it.
    trusts = ["--trusted-peers", "127.0.0.1"] if wire.knows("--trusted-peers") else []
    downs = []

    @contextlib.contextmanager
    def start(flags):
        try:
            daemons = replicas.start_replicas(3, FLAGS + trusts + flags)
            balancer = replicas.Balancer([r.port for r in daemons])
            balancer.wait_all_checked()
            yield balancer.port
            downs.extend(re.findall(r"Server ssmd/(\S+) is DOWN", balancer.process.output()))
        finally:
            unittest.doModuleCleanups()
    failed, seen = run("three behind HAProxy", start, args, 3)
    print("  %d answers 503, %d server-down events" % (len(seen.of(503)), len(downs)))
    return failed + ["three behind HAProxy: %d server-down events" % len(downs)] * bool(downs)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    p.add_argument("--model", default=str(ROOT / "models/default"))
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--only", default="", choices=["", "one", "three"])
    args = wire.ARGS = p.parse_args()
    failed = []
    for name, part in (("one", one), ("three", three)):
        if args.only in ("", name):
            failed += part(args)
    print("load %.1f" % os.getloadavg()[0])
    for why in failed:
        print("- " + why)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

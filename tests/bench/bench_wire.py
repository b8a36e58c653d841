#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every attack of tests/wire against a daemon that serves others meanwhile, judged.

    bench_wire.py --ssmd build/ssmd [--model DIR] [--only PATTERN] [--brief]

A line for each attack: the statuses that came, milliseconds to the slowest answer, the longest
gap of a stream beside it (and before it), the delay of the daemon's loop (p99 and the bucket of
its maximum, from /metrics), p99 of /livez and /metrics, anonymous memory before, at its peak and
after (which may be what it was before, or what an idle daemon may hold by the plan, and 20 MiB).
A daemon is started for each set of flags and replaced when an attack has stopped it. The exit status is 1 when any line misses its bound;
those are repeated at the end with the reason. The attackers share the cores with the daemon.
"""
import argparse
import contextlib
import http.client
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "wire"))
import attacks
import beside
import crowds
import wire

FLAGS = ("--max-seqs", 16, "--memory-bytes", "64MiB", "--body-timeout", 5, "--drain-timeout", 3)
WINDOW = 1.0         # seconds that are watched at least
GAP = 100            # ms over the gap without the attack
PROBE_IDLE, PROBE_BUSY = 5, 20  # ms, p99 of /livez and /metrics
LOOP = 20            # ms, p99 of the loop's delay
MEMORY = 20 << 20    # bytes that may stay
BACK = 5             # seconds to give memory back
STOP = 3 + 1         # seconds from SIGTERM to the end: the drain and its last turn

HEADS = ("attack", "status", "answer, ms", "gap before", "gap", "loop p99", "loop max",
         "/livez p99", "/metrics p99", "MiB before", "peak", "after")


def loop_delays(d):
    """The histogram of the loop's delay, {upper bound in ms: count}; {} without one."""
    found = re.compile(r'ssmd_loop_delay_seconds_bucket\{le="([^"]+)"\}')
    out, below = {}, 0
    for name, value in crowds.metrics(d).items():
        m = found.match(name)
        if m:
            out[1000 * float(m.group(1))] = value - below
            below = value
    return out


def delays_between(before, after):
    """(p99, maximum) in ms as upper bounds of their buckets."""
    counts = [(le, n - before.get(le, 0)) for le, n in sorted(after.items())]
    total, below, p99, most = sum(n for _, n in counts), 0, 0, 0
    for le, n in counts:
        if n > 0:
            p99 = le if below < 0.99 * total else p99
            most = le
        below += n
    return (p99, most) if total else (None, None)


class Stage:
    """A warmed-up daemon with its watcher, for the attacks that want the same flags."""

    def __init__(self, flags):
        self.flags, self.alive = flags, True
        self.d = wire.Daemon(*FLAGS, *flags)
        crowds.warm_up(self.d)
        self.planned = crowds.planned(self.d)
        self.beside = beside.Beside(self.d)
        time.sleep(1)

    def settled(self, before):
        """What is seen once memory is back, or after BACK seconds; the window's extremes."""
        end, seen = time.monotonic() + BACK, self.beside.report()
        last = seen
        while last["memory"] > self.bound(before) and time.monotonic() < end:
            time.sleep(0.25)
            last = self.beside.report()
            seen["gap"] = max(seen["gap"], last["gap"])
            seen["peak"] = max(seen["peak"], last["peak"])
        return {**seen, "memory": last["memory"]}

    def bound(self, before):
        """Bytes that may stay: what was there or may be by the plan, and a little."""
        return max(before, self.planned) + MEMORY

    def answers(self):
        """Whether a small completion is answered, for the old fault is that none is."""
        try:
            return self.d.complete(timeout=5)[0] in (200, 429)
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def play(self, attack):
        self.beside.mark()
        time.sleep(WINDOW)
        before, delays = self.beside.report(), loop_delays(self.d)
        began = time.monotonic()
        replies = attack.send(self.d)
        self.alive = self.answers()
        time.sleep(max(0, WINDOW - (time.monotonic() - began)))
        seen = self.settled(before["memory"])
        seen["bound"] = self.bound(before["memory"])
        return replies, before, seen, delays_between(delays, loop_delays(self.d))

    def close(self):
        """Seconds from SIGTERM to the end; STOP and more: it had to be killed."""
        self.beside.__exit__()
        began = time.monotonic()
        self.d.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.d.proc.wait(STOP + 2)
        took = time.monotonic() - began
        if self.d.proc.poll() is None:
            self.d.signal(signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            self.d.stop()
        return took


def judged(attack, replies, before, seen, delays, alive):
    """What misses its bound: texts."""
    wrong = attacks.judge(attack, replies)
    if not alive:
        wrong.append("no completion is answered after it")
    if not attack.fills and seen["gap"] > before["gap"] + GAP:
        wrong.append("the stream beside stood for %.0f ms" % seen["gap"])
    for name in ("livez", "metrics"):
        if seen[name][1] > max(PROBE_BUSY, before[name][1]):
            wrong.append("/%s took %.0f ms" % (name, seen[name][1]))
    if delays[0] and delays[0] > LOOP:
        wrong.append("the loop was %.0f ms late" % delays[0])
    if seen["memory"] > seen["bound"]:
        wrong.append("%d MiB stay" % ((seen["memory"] - before["memory"]) >> 20))
    return wrong


def cells(attack, replies, before, seen, delays):
    status = sorted({s for r in replies for s, *_ in r.answers})
    ms = 1000 * max((r.seconds for r in replies), default=0)
    return [attack.name, ", ".join(map(str, status)) or "none", "%.0f" % ms if replies else "",
            "%.0f" % before["gap"], "%.0f" % seen["gap"],
            *("" if x is None else "%.1f" % x for x in delays),
            "%.1f" % seen["livez"][1], "%.1f" % seen["metrics"][1],
            *("%d" % (x >> 20) for x in (before["memory"], seen["peak"], seen["memory"]))]


def idle_probes(args):
    """The p99 of /livez and /metrics of a daemon that does nothing."""
    with wire.Daemon(*FLAGS) as d:
        took, kept = {"/livez": [], "/metrics": []}, http.client.HTTPConnection("127.0.0.1", d.port)
        for _ in range(300):
            for path, seen in took.items():
                began = time.monotonic()
                kept.request("GET", path)
                kept.getresponse().read()
                seen.append(1000 * (time.monotonic() - began))
            time.sleep(0.003)
        kept.close()
    p99 = {path: sorted(seen)[297] for path, seen in took.items()}
    print("idle: p99 of %s" % ", ".join("%s %.1f ms" % x for x in p99.items()))
    return [("idle", "%s took %.1f ms" % (path, ms)) for path, ms in p99.items()
            if ms > PROBE_IDLE]


def sigterm_beside(args):
    """SIGTERM while a chunk-size line without end is open."""
    d = wire.Daemon(*FLAGS)
    with crowds.held(d, 1, attacks.chunked(attacks.EXT)):
        time.sleep(0.5)
        began = time.monotonic()
        d.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            d.proc.wait(STOP + 2)
        took = time.monotonic() - began
    if d.proc.poll() is None:
        d.signal(signal.SIGKILL)
    with contextlib.suppress(AssertionError):
        d.stop()
    print("SIGTERM beside a chunk-size line without end: ended after %.1f s" % took)
    return [("SIGTERM beside a chunk-size line", "%.1f s" % took)] if took > STOP else []


def short_keepalive(args):
    """keepalive_idle below body_timeout: a start-up error by name, or 408 and 413 all the same."""
    flags = ("--keepalive-idle", 1, "--body-timeout", 3)
    argv = [args.ssmd, "serve", "--model", args.model, "--port", "0", *map(str, flags)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=2)
        print("keepalive_idle below body_timeout: exit %d" % done.returncode)
        return [] if done.returncode == 2 and "keepalive_idle" in done.stderr else [
            ("keepalive_idle below body_timeout", done.stderr[-200:])]
    with wire.Daemon(*flags) as d:
        replies = crowds.short_keepalive(d)
    print("keepalive_idle below body_timeout: starts, %s" % [r.answers[:1] for r in replies])
    return [("keepalive_idle below body_timeout", "no answer in %.1f s" % r.seconds)
            for r in replies if not r.answers]


def table(args, rows):
    print("\n| %s |\n|%s" % (" | ".join(HEADS), " --- |" + " ---: |" * (len(HEADS) - 1)))
    stage, failed = None, []
    for attack in rows:
        if stage and (stage.flags != attack.flags or not stage.alive):
            failed += ended(stage)
            stage = None
        stage = stage or Stage(attack.flags)
        replies, before, seen, delays = stage.play(attack)
        wrong = judged(attack, replies, before, seen, delays, stage.alive)
        if not args.brief or wrong:
            print("| %s |" % " | ".join(cells(attack, replies, before, seen, delays)), flush=True)
        failed += [(attack.name, w) for w in dict.fromkeys(wrong)]
    return failed + (ended(stage) if stage else [])


def ended(stage):
    took = stage.close()
    return [("SIGTERM", "ended after %.1f s" % took)] if took > STOP else []


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    p.add_argument("--model", default=str(ROOT / "models/default"))
    p.add_argument("--only", default="", help="regular expression over the names of attacks")
    p.add_argument("--brief", action="store_true", help="only lines that miss a bound")
    args = wire.ARGS = p.parse_args()
    failed = []
    if not args.only:
        failed = idle_probes(args) + sigterm_beside(args) + short_keepalive(args)
    rows = [a for a in (*attacks.single(), *crowds.all_rows()) if re.search(args.only, a.name)]
    failed += table(args, rows)
    print("\n%d attacks, %d miss a bound; load %.1f"
          % (len(rows), len({name for name, _ in failed}), os.getloadavg()[0]))
    for name, why in failed:
        print("- %s: %s" % (name, why))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A minute of all attacks at once, in a memory cgroup 100 MB above the plan.

    bench_cgroup.py --ssmd build/ssmd [--model DIR] [--seconds 60] [--slack 100000000]

The plan is what a first daemon logs (planned_bytes). A second one is started in a cgroup of its
own with that much memory and the slack; attackers play the rows of tests/wire/attacks.py in random
order, some at a time, and readers stream completions whose text is known from before. Judged: the
daemon is alive and answers at the end, no process of the cgroup was killed, every stream that was
begun has the undisturbed text. Version 1 and 2 of cgroups; without the right to make one it says
so and ends with 0.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "wire"))
import attacks
import crowds
import wire
from beside import anonymous

FLAGS = ("--max-seqs", 16, "--memory-bytes", "128MiB", "--body-timeout", 5)
ATTACKERS, READERS = 6, 4
LOUD = ("a million chunks", "six JSON", "a JSON tree", "uploads of 60", "a string of 50 MB",
        "chunk-size line", "closed at once", "a million blanks", "joiners", "nested")
CROWDS = ("400 idle and half-closed", "a flood of 150 requests")


class Cgroup:
    """A memory cgroup below this process's own hierarchy; None from make() when there is none."""

    def __init__(self, path, limit, files):
        self.path, self.files = path, files
        path.mkdir()
        try:
            (path / files["limit"]).write_text(str(limit))
        except OSError:
            path.rmdir()
            raise

    @classmethod
    def make(cls, limit):
        name = "ssmd-bench-%d" % os.getpid()
        v1 = {"limit": "memory.limit_in_bytes", "peak": "memory.max_usage_in_bytes",
              "events": "memory.oom_control", "fails": "memory.failcnt"}
        v2 = {"limit": "memory.max", "peak": "memory.peak", "events": "memory.events"}
        for root, files in (("/sys/fs/cgroup/memory", v1), ("/sys/fs/cgroup", v2)):
            try:
                return cls(pathlib.Path(root) / name, limit, files)
            except OSError as e:
                why = e
        print("no memory cgroup can be made here (%s): nothing was tried" % why)
        return None

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def read(self, what):
        try:
            return (self.path / self.files[what]).read_text()
        except (OSError, KeyError):
            return ""

    def killed(self):
        words = [line.split() for line in self.read("events").splitlines()]
        return next((int(w[1]) for w in words if w[0] == "oom_kill"), 0)

    def remove(self):
        for _ in range(50):
            try:
                return self.path.rmdir()
            except OSError:
                time.sleep(0.1)


def flags():
    """A budget before admission of the smallest default, where there is one."""
    return FLAGS + (("--request-bytes", "64MiB") if wire.knows("--request-bytes") else ())


def planned():
    with wire.Daemon(*flags()) as d:
        return d.wait_line("memory")["planned_bytes"]


BODIES = [{"prompt": "Reader %d looks at the river" % i, "max_tokens": 120, "ignore_eos": True,
           "stream": True, "temperature": 0.8 * (i % 2), "seed": i} for i in range(READERS)]


def text_of(d, body):
    """(status, text of a stream, whether it ended by [DONE])."""
    data = attacks.exchange(d, [attacks.post(json.dumps(body).encode())], limit=60, silent=30)
    if data.status != 200:
        return data.status or 0, "", False
    events = wire.sse(data.answers[0][1])
    text = "".join(c["text"] for e in events if e.startswith("{")
                   for c in json.loads(e).get("choices", []))
    return 200, text, events[-1:] == ["[DONE]"]


class Siege:
    def __init__(self, d, expected, seconds):
        self.d, self.expected, self.until = d, expected, time.monotonic() + seconds
        self.most = 0
        self.streams, self.played, self.wrong = collections.Counter(), collections.Counter(), []

    def going(self):
        return time.monotonic() < self.until and self.d.proc.poll() is None

    def reader(self, i):
        while self.going():
            try:
                status, text, ended = text_of(self.d, BODIES[i])
            except (OSError, ValueError, IndexError) as e:
                status, text, ended = 0, repr(e), False
            self.streams[status] += 1
            if status == 200 and (text, ended) != (self.expected[i], True):
                self.wrong.append("reader %d: %s %r" % (i, ended, text[-60:]))

    def attacker(self, i):
        chance = random.Random(i)
        rows = [a for a in attacks.single() if not a.flags]
        rows = [a for a in rows if i % 2 or any(x in a.name for x in LOUD)]
        rows += [a for a in crowds.all_rows() if a.name in CROWDS and i == 0]
        while self.going():
            attack = chance.choice(rows)
            try:
                for r in attack.send(self.d):
                    self.played[r.status or 0] += 1
            except OSError:
                self.played[-1] += 1

    def run(self):
        jobs = [(self.reader, i) for i in range(READERS)]
        jobs += [(self.attacker, i) for i in range(ATTACKERS)]
        threads = [threading.Thread(target=f, args=(i,), daemon=True) for f, i in jobs]
        for t in threads:
            t.start()
        while self.going():
            time.sleep(0.05)
            self.most = max(self.most, anonymous(self.d.proc.pid))
        for t in threads:
            t.join(60)


def besieged(args, group):
    with wire.Daemon(*flags(), preexec=group.enter) as d:
        siege = Siege(d, [text_of(d, b)[1] for b in BODIES], args.seconds)
        siege.run()
        alive = d.proc.poll() is None
        answers = alive and d.complete(timeout=60)[0] == 200
        print("peak %s MB of the cgroup, %d MB anonymous; streams by status %s, answers to attackers %s"
              % (int(group.read("peak") or 0) // 1000000, siege.most // 1000000, dict(siege.streams),
                 dict(siege.played)))
        failed = [] if alive else ["the daemon ended by %s" % d.proc.returncode]
        if alive and not answers:
            failed.append("it answers no completion")
        if group.killed():
            failed.append("%d processes were killed" % group.killed())
        if not siege.streams[200]:
            failed.append("no stream was answered")
        if not alive:
            d.proc.returncode = 1  # reported here, not by an assertion
        return failed + siege.wrong[:10]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    p.add_argument("--model", default=str(ROOT / "models/default"))
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--slack", type=int, default=100000000)
    args = wire.ARGS = p.parse_args()
    plan = planned()
    group = Cgroup.make(plan + args.slack)
    if not group:
        return 0
    try:
        print("plan %d MB, limit %d MB" % (plan // 1000000, (plan + args.slack) // 1000000))
        failed = besieged(args, group)
    finally:
        group.remove()
    for why in failed:
        print("- " + why)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

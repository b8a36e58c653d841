#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What known prefixes are worth: figures of a daemon with its prefix cache on and off.

    bench_prefix.py --ssmd build/ssmd [--sets turns,branches,many] [--shape FILE | --model DIR]

turns: conversations, 480 tokens asked and 20 answered a turn; tokens read and the time to the
first token with the cache on (the median of several conversations), and, in one of them, with it
off and reading the whole prompt anew (a salt of its own), one after the other in each turn.
branches: what is found of 1,000 tokens in the next turn, when the question behind them or the
length changes, for the first and the second time, and of 700 that were saved and loaded, at two
intervals. many: 200 conversations with a shared beginning, in random order, in a budget of 40 of
their states: what is found, what is evicted, and resident memory.
Prompts are ids; answers are greedy. Prints Markdown; asserts nothing.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import re
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "wire"))
import wire

ASK, ANSWER, SHARED = 480, 20, 1000


def ids(rng, n):
    return [rng.randrange(1, 8000) for _ in range(n)]


def ask(d, prompt, n=ANSWER, salt="", **fields):
    """Seconds to the first token, the answer's ids, tokens found, bytes of the state found."""
    c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=600)
    body = {"prompt": prompt, "max_tokens": n, "temperature": 0, "ignore_eos": True,
            "stream": True, "return_token_ids": True, "cache_salt": salt, **fields}
    began = time.monotonic()
    c.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    if r.status != 200:
        raise SystemExit("%d: %s" % (r.status, r.read().decode()))
    first, said = None, []
    for line in r:
        if line.startswith(b"data: {"):
            first = first or time.monotonic() - began
            for choice in json.loads(line[6:]).get("choices", []):
                said += choice["token_ids"]
    hit, _, size = map(int, re.findall(r"=(\d+)", r.getheader("X-SSMD-State")))
    c.close()
    return first, said, hit, size


def load():
    return "load %.1f" % os.getloadavg()[0]


def table(heads, rows):
    print("| %s |\n|%s" % (" | ".join(heads), " ---: |" * len(heads)))
    for r in rows:
        print("| %s |" % " | ".join(r))
    print()


# ---- conversations -----------------------------------------------------------------------

def talk(d, rng, n_turns, beside=None):
    """(prompt's length, tokens found, seconds, bytes, what `beside` says) of each turn."""
    prompt, rows = [], []
    for turn in range(1, n_turns + 1):
        prompt = prompt + ids(rng, ASK)
        first, said, hit, size = ask(d, prompt)
        rows.append((len(prompt), hit, first, size, beside(prompt, turn) if beside else None))
        prompt = prompt + said
    return rows


def turns(args, serve):
    rng = random.Random(1)
    with serve() as on:
        with serve("--prefix-cache", "off") as off:
            def beside(prompt, turn):
                return ask(off, prompt, 1)[0], ask(on, prompt, 1, "turn %d" % turn)[0]
            whole = talk(on, rng, args.turns, beside)
        talks = [whole] + [talk(on, rng, args.turns) for _ in range(args.talks - 1)]
    firsts = [statistics.median(t[i][2] for t in talks) for i in range(args.turns)]
    rows = [["%d" % (i + 1), "%d" % n, "%d" % hit, "%d" % (n - hit), "%.3f" % firsts[i],
             "%.3f" % other[0], "%.3f" % other[1], "%.1f" % (size / 2 ** 20)]
            for i, (n, hit, _, size, other) in enumerate(whole)]
    table(["turn", "prompt", "known", "read", "first token, s", "cache off", "read anew",
           "state found, MiB"], rows)
    print("The last turn's first token over the second's: %.2f with the cache, %.2f without. %s"
          % (firsts[-1] / firsts[1], whole[-1][4][0] / whole[1][4][0], load()))


# ---- branches ----------------------------------------------------------------------------

NEXT, OTHER, OTHER2, FEWER, FEWER2, SAVED = (
    "the next turn of 1,000 tokens and 28 answered", "the same 1,000, another question, first time",
    "another question, from the second on", "the first 400 of them and 20 new, first time",
    "the same again, other 20", "700 saved, loaded, 20 new")
PEER = {NEXT: "1027 / 21", OTHER: "504 / 516", FEWER: "0 / 420", SAVED: "0 / 720"}


def branch(d, rng):
    """What is known / read again in each case."""
    told = {}

    def tell(what, prompt, n=28, **fields):
        said, hit = ask(d, prompt, n, **fields)[1:3]
        told[what] = "%d / %d" % (hit, len(prompt) - hit)
        return said
    prompt = ids(rng, 1000)
    said = tell(NEXT, prompt)
    tell(NEXT, prompt + said + ids(rng, 20))
    shared = ids(rng, 1000)
    for what in (OTHER, OTHER, OTHER2):  # the first one meets nothing
        tell(what, shared + ids(rng, 20))
    tell(FEWER, shared[:400] + ids(rng, 20))
    tell(FEWER2, shared[:400] + ids(rng, 20))
    # a state of 700 tokens and one that is pending
    prompt = ids(rng, 696)
    said = tell(SAVED, prompt, 5, state={"save": "talk"})
    tell(SAVED, prompt + said + ids(rng, 19), salt="other", state={"load": "talk"})
    return told


def branches(args, serve):
    del args
    told = []
    for interval in (32, 256):
        with tempfile.TemporaryDirectory(prefix="ssmd-bench-") as states, \
                serve("--checkpoint-interval", interval, "--state-dir", states) as d:
            told.append(branch(d, random.Random(2)))
    table(["known / read again", "interval 32", "interval 256", "another server"],
          [[what, told[0][what], told[1][what], PEER.get(what, "")] for what in told[0]])


# ---- many conversations ------------------------------------------------------------------

def many(args, serve):
    rng = random.Random(3)
    system = ids(rng, SHARED)
    with serve("--max-seqs", 4) as d:  # what a state of such a depth takes
        ask(d, system + [1], 2)
        one = ask(d, system + [1], 2)[3]
    budget = 40 * one
    talks = [system + ids(rng, 30) for _ in range(200)]
    with serve("--max-seqs", 4, "--context", 2048, "--memory-bytes", budget) as d:
        before, most = d.metric("process_resident_memory_bytes"), 0
        order = [i for i in range(len(talks)) for _ in range(args.rounds)]
        rng.shuffle(order)
        n_hits = 0
        for i in order:
            _, said, hit, _ = ask(d, talks[i], 8)
            n_hits += hit >= SHARED
            talks[i] = talks[i] + said + ids(rng, 12)
            most = max(most, d.metric("process_resident_memory_bytes"))
        m = d.metrics()
    total, known = m["ssmd_prompt_tokens_total"], m["ssmd_prompt_tokens_cached_total"]
    lost = ", ".join("%s %d" % (why, m['ssmd_prefix_lost_tokens_total{why="%s"}' % why])
                     for why in ("no_checkpoint", "evicted", "salt", "retokenised"))
    print("%d turns of 200 conversations behind %d shared tokens; a state of %.2f MiB, a budget of "
          "%.1f MiB\n" % (len(order), SHARED, one / 2 ** 20, budget / 2 ** 20))
    print("- known: %.1f %% of %d prompt tokens, the shared ones in %.1f %% of the turns; read: "
          "%d; lost: %s" % (100 * known / total, total, 100 * n_hits / len(order), total - known,
                            lost))
    print("- checkpoints: %d kept, %d hits, %d evicted; %.1f MiB at the end" % (
        m['ssmd_checkpoints_total{op="create"}'], m['ssmd_checkpoints_total{op="hit"}'],
        m['ssmd_checkpoints_total{op="evict"}'], m["ssmd_checkpoint_bytes"] / 2 ** 20))
    print("- resident memory above the idle daemon's: %.1f MiB at most, %.3f of the budget" % (
        (most - before) / 2 ** 20, (most - before) / budget))


SETS = {"turns": turns, "branches": branches, "many": many}


# ---- the daemon --------------------------------------------------------------------------

def options(doc, sets):
    p = argparse.ArgumentParser(description=doc.split("\n", 1)[0])
    p.add_argument("--ssmd", required=True)
    p.add_argument("--sets", default=",".join(sets))
    p.add_argument("--shape", default=str(ROOT / "configs/shapes/transxssm-125m.json"))
    p.add_argument("--model", default="", help="a folder, instead of a shape")
    p.add_argument("--weights", default="q8")
    p.add_argument("--kv", default="f16")
    return p


def server(args):
    """What starts a daemon with more flags; a context manager."""
    wire.ARGS = argparse.Namespace(ssmd=args.ssmd, model=args.model)

    def serve(*flags):
        d = wire.Daemon("--shape", "" if args.model else args.shape, "--weights", args.weights,
                        "--kv", args.kv, *flags, wait=False)
        d.wait_line("ready", timeout=600)
        return d
    return serve


def run(args, sets):
    serve = server(args)
    for name in args.sets.split(","):
        what = pathlib.Path(args.model or args.shape).stem
        print("\n## %s: %s, %s, K/V %s\n" % (name, what, args.weights, args.kv), flush=True)
        sets[name](args, serve)


def main():
    p = options(__doc__, SETS)
    p.add_argument("--turns", type=int, default=20)
    p.add_argument("--talks", type=int, default=3)
    p.add_argument("--rounds", type=int, default=4)
    run(p.parse_args(), SETS)


if __name__ == "__main__":
    main()

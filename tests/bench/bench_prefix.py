#!/usr/bin/env python3
"""What known prefixes are worth: figures of a daemon with its prefix cache on and off.

    bench_prefix.py --ssmd build/ssmd [--sets turns,branches,many] [--shape FILE | --model DIR]

turns: one conversation, 480 tokens asked and 20 answered a turn; the time to the first token with
the cache on, with it off, and reading the whole prompt anew (a salt of its own), one after the
other in each turn. branches: what is found of 1,000 tokens when the question behind them, or the
length, changes, at two intervals. many: 200 conversations with a shared beginning, in random
order, in a budget of 40 of their states: what is found, what is evicted, and resident memory.
Prompts are ids; answers are greedy. Prints Markdown; asserts nothing.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "wire"))
import wire

ASK, ANSWER, SHARED = 480, 20, 1000


def ids(rng, n):
    return [rng.randrange(1, 8000) for _ in range(n)]


def ask(d, prompt, n=ANSWER, salt=""):
    """Seconds to the first token, the answer's ids, tokens found, bytes of the state found."""
    c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=600)
    body = {"prompt": prompt, "max_tokens": n, "temperature": 0, "ignore_eos": True,
            "stream": True, "return_token_ids": True, "cache_salt": salt}
    began = time.monotonic()
    c.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    first, said = None, []
    for line in r:
        if line.startswith(b"data: {"):
            first = first or time.monotonic() - began
            for choice in json.loads(line[6:])["choices"]:
                said += choice["token_ids"]
    hit, _, size = map(int, re.findall(r"=(\d+)", r.getheader("X-SSMD-State")))
    c.close()
    return first, said, hit, size


def load():
    return "load %.1f" % os.getloadavg()[0]


# ---- one conversation --------------------------------------------------------------------

def turns(args, serve):
    rng, prompt, rows = random.Random(1), [], []
    with serve() as on, serve("--prefix-cache", "off") as off:
        for turn in range(1, args.turns + 1):
            prompt = prompt + ids(rng, ASK)
            with_cache, said, hit, size = ask(on, prompt)
            without = ask(off, prompt, 1)[0]
            anew = ask(on, prompt, 1, "turn %d" % turn)[0]
            rows.append((turn, len(prompt), hit, len(prompt) - hit, with_cache, without, anew,
                         size))
            prompt = prompt + said
    print("| turn | prompt | known | read | first token, s | cache off | read anew | state MiB |")
    print("| ---: " * 8 + "|")
    for r in rows:
        print("| %d | %d | %d | %d | %.3f | %.3f | %.3f | %.1f |" % (*r[:7], r[7] / 2 ** 20))
    late = [r for r in rows if r[0] > 1]
    print("\nThe last turn's first token over the second's: %.2f with the cache, %.2f without. %s"
          % (late[-1][4] / late[0][4], late[-1][5] / late[0][5], load()))


# ---- branches ----------------------------------------------------------------------------

def branches(args, serve):
    del args
    print("| known / read again | interval 32 | interval 256 |\n| --- | ---: | ---: |")
    table = {}
    for interval in (32, 256):
        rng = random.Random(2)
        with serve("--checkpoint-interval", interval) as d:
            def told(what, prompt, d=d):
                said, hit = ask(d, prompt, 28)[1:3]
                table.setdefault(what, []).append("%d / %d" % (hit, len(prompt) - hit))
                return said
            shared = ids(rng, 1000)
            said = told("1,000 tokens, new", shared + ids(rng, 20))
            told("another question, first time", shared + ids(rng, 20))
            told("another question, second time", shared + ids(rng, 20))
            told("the first 400 and 20 new ones", shared[:400] + ids(rng, 20))
            told("the same again", shared[:400] + ids(rng, 20))
            prompt = ids(rng, 1000)
            said = told("1,000 other tokens", prompt)
            told("their next turn", prompt + said + ids(rng, 20))
    for what, figures in table.items():
        print("| %s | %s |" % (what, " | ".join(figures)))


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
        for i in order:
            said = ask(d, talks[i], 8)[1]
            talks[i] = talks[i] + said + ids(rng, 12)
            most = max(most, d.metric("process_resident_memory_bytes"))
        m = d.metrics()
    read = m["ssmd_prompt_tokens_total"] - m["ssmd_prompt_tokens_cached_total"]
    lost = {k: m['ssmd_prefix_lost_tokens_total{why="%s"}' % k]
            for k in ("no_checkpoint", "evicted", "salt", "retokenised")}
    print("%d turns of 200 conversations behind %d shared tokens; a state of %.2f MiB, a budget of "
          "%.1f MiB" % (len(order), SHARED, one / 2 ** 20, budget / 2 ** 20))
    print("- known: %.1f %% of %d prompt tokens; read: %d; lost: %s" % (
        100 * m["ssmd_prompt_tokens_cached_total"] / m["ssmd_prompt_tokens_total"],
        m["ssmd_prompt_tokens_total"], read, ", ".join("%s %d" % x for x in lost.items())))
    print("- checkpoints: %d kept, %d hits, %d evicted; %.1f MiB at the end" % (
        m['ssmd_checkpoints_total{op="create"}'], m['ssmd_checkpoints_total{op="hit"}'],
        m['ssmd_checkpoints_total{op="evict"}'], m["ssmd_checkpoint_bytes"] / 2 ** 20))
    print("- resident memory above the idle daemon's: %.1f MiB at most, %.3f of the budget" % (
        (most - before) / 2 ** 20, (most - before) / budget))


SETS = {"turns": turns, "branches": branches, "many": many}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--ssmd", required=True)
    p.add_argument("--sets", default="turns,branches,many")
    p.add_argument("--shape", default=str(ROOT / "configs/shapes/transxssm-125m.json"))
    p.add_argument("--model", default="", help="a folder, instead of a shape")
    p.add_argument("--weights", default="q8")
    p.add_argument("--kv", default="f16")
    p.add_argument("--turns", type=int, default=20)
    p.add_argument("--rounds", type=int, default=4)
    args = p.parse_args()
    wire.ARGS = argparse.Namespace(ssmd=args.ssmd, model=args.model)
    what = args.model or args.shape

    def serve(*flags):
        d = wire.Daemon("--shape", "" if args.model else args.shape, "--weights", args.weights,
                        "--kv", args.kv, *flags, wait=False)
        d.wait_line("ready", timeout=600)
        return d
    for name in args.sets.split(","):
        print("\n## %s: %s, %s, K/V %s\n" % (name, pathlib.Path(what).stem, args.weights,
                                             args.kv))
        SETS[name](args, serve)


if __name__ == "__main__":
    main()

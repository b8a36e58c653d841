#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What speculation is worth: tokens a second and accepted proposals of off, auto and on.

    bench_speculate.py --ssmd build/ssmd [--model DIR] [--weights q8] [--tokens 256] [--runs 5]

The same greedy answers to text like code, lists and prose, one conversation at a time, by three
daemons in turn; the median of the ratios of each run. Compares the answers; a difference is an
error. Prints Markdown.
"""
import argparse
import json
import pathlib
import re
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "wire"))
import wire

MODES = ["off", "auto", "on"]
TEXTS = {
    "code": """#include <stdio.h>

static int add(int a, int b)
{
    return a + b;
}

static int sub(int a, int b)
{
    return a - b;
}

static int mul(int a, int b)
{
    return a * b;
}

static int div(int a, int b)
{
""",
    "list": "".join(f"{i}. The {c} of the {c} is the capital of the {c}.\n" for i, c in enumerate(
        ["river", "city", "county", "state", "river", "city", "county", "state"], 1)) + "9.",
    "records": "".join('{"name": "%s", "kind": "city", "people": %d, "country": "France"}\n' % (n, p)
                       for n, p in [("Lyon", 520000), ("Nice", 340000), ("Nantes", 320000),
                                    ("Lille", 230000)]) + '{"name":',
    "prose": "The castle was built in the twelfth century by the bishop, who wanted to control the "
             "road along the river. In the following centuries it was",
}


def proposals(d):
    page = d.call("GET", "/metrics")[2].decode()
    found = re.findall(r'ssmd_speculated_tokens_total\{result="(\w+)"\} (\d+)', page)
    return {k: int(v) for k, v in found}


def measure(d, text, args, temperature):
    before, began = proposals(d), time.monotonic()
    status, _, found = d.complete(prompt=text, max_tokens=args.tokens, temperature=temperature,
                                  seed=1, ignore_eos=True, cache_salt="none")
    seconds, after = time.monotonic() - began, proposals(d)
    if status != 200:
        sys.exit(f"status {status}: {found}")
    return (args.tokens / seconds, found["choices"][0]["text"],
            {k: after[k] - before[k] for k in after})


def row(name, runs):
    """runs: [{mode: (tokens_s, answer, proposals)}]"""
    if len({r[m][1] for r in runs for m in MODES}) != 1:
        sys.exit(f"{name}: the answers differ")
    cells = [name]
    for mode in MODES:
        cells.append("%.0f" % statistics.median(r[mode][0] for r in runs))
    for mode in MODES[1:]:
        counts = runs[0][mode][2]
        total = sum(counts.values())
        share = "%.0f %% of %d" % (100 * counts["accepted"] / total, total) if total else "none"
        ratio = statistics.median(r[mode][0] / r["off"][0] for r in runs)
        cells += [share, "× %.2f" % ratio]
    return "| " + " | ".join(cells) + " |"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--ssmd", default=str(ROOT / "build" / "ssmd"))
    p.add_argument("--model", default=str(ROOT / "models" / "default"))
    p.add_argument("--weights", default="own")
    p.add_argument("--tokens", type=int, default=256)
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    wire.ARGS = argparse.Namespace(ssmd=args.ssmd, model=args.model)
    print("| text | off, tokens/s | auto | on | auto accepted | over off | on accepted | over off |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    daemons = {m: wire.Daemon("--weights", args.weights, "--speculate", m) for m in MODES}
    try:
        for name, text in TEXTS.items():
            for temperature in [0, 0.8]:
                runs = [{m: measure(daemons[m], text, args, temperature) for m in MODES}
                        for _ in range(args.runs)]
                print(row(f"{name}, temperature {temperature}", runs), flush=True)
    finally:
        for d in daemons.values():
            d.stop()


if __name__ == "__main__":
    main()

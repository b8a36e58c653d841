#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each weight format costs in quality: perplexity against f32, as a table.

    quality.py [--ssmd build/ssmd] [--model models/default] [--formats q8,q4] [--kv f32] TEXT...

Each TEXT is scored whole with matrices held as f32 and as each format (`ssmd perplexity`), and
the last lines say how much of the memory of f32 the formats take. A single text is a sample:
where a model does not know its kind of text, an error may even help. Several kinds say more.
"""
import argparse
import json
import math
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    parser.add_argument("--model", default=str(ROOT / "models/default"))
    parser.add_argument("--formats", default="bf16,q8,q4")
    parser.add_argument("--kv", default="f32")
    parser.add_argument("texts", nargs="+")
    return parser.parse_args()


def run(args, *words):
    done = subprocess.run([args.ssmd, *words], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.decode()


def score(args, weights, text):
    """(tokens, nats a token)"""
    kv = "f32" if weights == "f32" else args.kv
    found = json.loads(run(args, "perplexity", "--json", "--model", args.model, "--weights",
                           weights, "--kv", kv, text))
    return found["tokens"], found["nats_per_token"]


def mebibytes(args, weights):
    told = run(args, "check", "--model", args.model, "--weights", weights, "--context", "64")
    return float(re.search(r"^weights .*?([\d.]+) MiB", told, re.M)[1])


def main():
    args = arguments()
    formats = args.formats.split(",")
    print("| text | tokens | f32 | " + " | ".join(formats) + " |")
    print("| --- " * (3 + len(formats)) + "|")
    for text in args.texts:
        tokens, plain = score(args, "f32", text)
        cells = [pathlib.Path(text).name, str(tokens), f"{math.exp(plain):.3f}"]
        for weights in formats:
            _, nats = score(args, weights, text)
            more = 100 * (math.exp(nats - plain) - 1)
            cells.append(f"{math.exp(nats):.3f} ({more:+.2f} %)")
        print("| " + " | ".join(cells) + " |", flush=True)
    cells = ["MiB of weights", "", *(f"{mebibytes(args, w):.1f}" for w in ["f32", *formats])]
    print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

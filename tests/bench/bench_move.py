#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to move a conversation: sizes of state objects, and times to save, fetch, store
and load them, by depth and shape.

    bench_move.py --ssmd build/ssmd [--shapes FILE,FILE] [--depths 1024,8192,32768]

Of each shape two daemons that share nothing. On the first a prompt is read up to each depth and
saved; the object goes from there to the second by GET and PUT; there it is loaded and gone on
from by one token. save: a completion of a known prompt that saves, less one that does not, each
with one token; so it is the object's way to the disk, synced. load: the time to the first token
of a completion that loads, beside that of the same prompt read anew on the second (once). All
but the latter are medians. Prints Markdown; asserts nothing, but that both say the same.
"""
import http.client
import pathlib
import random
import statistics
import tempfile
import time

import bench_prefix
from bench_prefix import ROOT, ask, ids, load, table

MORE = 16  # new tokens behind a loaded state


def timed(run, *args, **fields):
    began = time.monotonic()
    out = run(*args, **fields)
    return time.monotonic() - began, out


def fetch(d, name):
    status, _, body = d.call("GET", "/v1/states/" + name, timeout=600)
    if status != 200:
        raise SystemExit("GET: %d" % status)
    return body


def store(d, name, body):
    c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=600)
    c.request("PUT", "/v1/states/" + name, body)
    status = c.getresponse().status
    c.close()
    if status not in (201, 204):
        raise SystemExit("PUT: %d" % status)


def median(run, n):
    return statistics.median(run() for _ in range(n))


def move(one, other, prompt, n):
    """Bytes, and seconds of save, GET, PUT, load and of reading anew, at the prompt's depth."""
    ask(one, prompt, 1)
    last = ask(one, prompt, 1)[1]
    plain = median(lambda: timed(ask, one, prompt, 1)[0], n)
    saved = median(lambda: timed(ask, one, prompt, 1, state={"save": "a"})[0], n)
    body = fetch(one, "a")
    got = median(lambda: timed(fetch, one, "a")[0], n)
    put = median(lambda: timed(store, other, "a", body)[0], n)
    whole = prompt + last + ids(random.Random(len(prompt)), MORE)
    first, said, hit, _ = ask(other, whole, 8, state={"load": "a"})
    loaded = median(lambda: ask(other, whole, 1, state={"load": "a"})[0], n)
    anew, expected = ask(other, whole, 8, "depth %d" % len(prompt))[:2]
    if said != expected or hit != len(prompt):
        raise SystemExit("%d tokens known, and it says something else" % hit)
    return len(body), saved - plain, got, put, loaded, anew


def moves(args, serve):
    rng, prompt, rows = random.Random(7), [], []
    with tempfile.TemporaryDirectory(prefix="ssmd-bench-") as at:
        flags = ["--max-seqs", 2, "--context", max(args.depths) + 64, "--request-timeout", 0,
                 "--state-dir"]
        with serve(*flags, at + "/one") as one, serve(*flags, at + "/other") as other:
            for depth in args.depths:
                prompt = prompt + ids(rng, depth - len(prompt))
                size, *seconds = move(one, other, prompt, args.rounds)
                rows.append((depth, size, seconds))
    return rows


def main():
    p = bench_prefix.options(__doc__, [])
    p.add_argument("--shapes", default=",".join(
        str(ROOT / "configs/shapes" / s) for s in ("transxssm-125m.json", "llama-125m.json")))
    p.add_argument("--depths", default="1024,8192,32768")
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    args.depths = [int(x) for x in args.depths.split(",")]
    rows = []
    for args.shape in args.shapes.split(","):
        name = pathlib.Path(args.shape).stem
        for depth, size, seconds in moves(args, bench_prefix.server(args)):
            rows.append([name, "%d" % depth, "%.2f" % (size / 2 ** 20)] +
                        ["%.1f" % (1000 * s) for s in seconds])
    rows.sort(key=lambda r: int(r[1]))
    print("%s weights, K/V %s; milliseconds\n" % (args.weights, args.kv))
    table(["shape", "depth", "MiB", "save", "GET", "PUT", "load, first token",
           "read anew, first token"], rows)
    print(load())


if __name__ == "__main__":
    main()

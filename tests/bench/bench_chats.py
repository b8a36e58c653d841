#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chats without any limit, all at once, on a model of four billion parameters.

    bench_chats.py --ssmd build/ssmd [--chats 16] [--weights q8] [--dir build/load] [FLAG ...]

The folder has random weights (bench_load.py) and the built-in ChatML template; more FLAGs go to
the daemon, such as --default-max-tokens 128 on a small machine. Prints how each chat ended, its
tokens, and the time of all; fails when one ends by anything but its default length.
"""
import argparse
import json
import pathlib
import sys
import threading
import time

import bench_load
import bench_prefix

import wire

FLAGS = ["--chat-template", "chatml", "--request-timeout", "0", "--context", "8192"]


def chat(d, i, out):
    body = {"messages": [{"role": "system", "content": "Answer at length."},
                         {"role": "user", "content": "Question %d: what is a river?" % i}],
            "temperature": 1, "seed": i, "ignore_eos": True}
    status, _, data = d.call("POST", "/v1/chat/completions", body, timeout=bench_load.LONG)
    out[i] = status, json.loads(data)


def all_at_once(d, n):
    """The answers, and the most sequences that ran together."""
    out, most = [None] * n, 0
    threads = [threading.Thread(target=chat, args=(d, i, out)) for i in range(n)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        most = max(most, d.metric("ssmd_requests_running"))
        time.sleep(1)
    return out, most


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--ssmd", required=True)
    p.add_argument("--chats", default=16, type=int)
    p.add_argument("--weights", default="q8")
    p.add_argument("--dir", default="build/load", type=pathlib.Path)
    args, flags = p.parse_known_args()
    wire.ARGS, args.model = args, ""
    path, _ = bench_load.folder("Qwen3.5-4B", bench_load.QWEN_4B, args.dir)
    with wire.Daemon("--model", path, "--weights", args.weights, *FLAGS, *flags,
                     wait=False) as d:
        plan = d.wait_line("memory", timeout=bench_load.LONG)
        d.wait_line("ready", timeout=bench_load.LONG)
        began = time.monotonic()
        answers, most = all_at_once(d, args.chats)
        seconds = time.monotonic() - began
    ends = [(status, a["choices"][0]["finish_reason"], a["usage"]["completion_tokens"])
            if status == 200 else (status, a) for status, a in answers]
    for end in sorted(set(map(str, ends))):
        print("%d of %s" % (sum(str(e) == end for e in ends), end))
    tokens = sum(e[2] for e in ends if e[0] == 200)
    print("%d ran together; %d tokens in %.0f s, %.0f a second; %d pages of %d tokens, %d slots"
          % (most, tokens, seconds, tokens / seconds, plan["pages"], plan["page_tokens"],
             plan["slots"]))
    return any(e[:2] != (200, "length") for e in ends)


if __name__ == "__main__":
    sys.exit(main())

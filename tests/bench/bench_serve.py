#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon as a whole: time from exec to ready, resident memory, one stream against many.

    bench_serve.py [--ssmd build/ssmd] [--model models/default] [--rounds 5] [--streams 16]

Whole rounds alternate (one stream, many streams, one, many …) in one daemon; medians and the
ratio pair by pair are what to quote. Load and steal are printed beside. It asserts nothing.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    parser.add_argument("--model", default=str(ROOT / "models/default"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=256)
    return parser.parse_args()


def start(args):
    """The daemon on a free port: (process, port, seconds from exec to ready)."""
    began = time.monotonic()
    process = subprocess.Popen([args.ssmd, "serve", "--model", args.model, "--port", "0"],
                               stderr=subprocess.PIPE, text=True,
                               env={k: v for k, v in os.environ.items()
                                    if not k.startswith("SSMD_")})
    for line in process.stderr:
        if '"event":"ready"' in line:
            ready = time.monotonic() - began
            port = int(re.search(r'"port":(\d+)', line).group(1))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, port, ready
    raise SystemExit("bench_serve: the daemon did not become ready")


def resident_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) / 1024


def stream(port, tokens, seed):
    """Streams one completion to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = {"prompt": "The river", "max_tokens": tokens, "stream": True, "ignore_eos": True,
            "temperature": 0.8, "seed": seed}
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status != 200 or not data.endswith(b"data: [DONE]\n\n"):
        raise SystemExit(f"bench_serve: a stream failed: {response.status} {data[-200:]!r}")


def rate(port, n, tokens, pid):
    """(tokens a second of n streams together, resident MiB in the middle)."""
    threads = [threading.Thread(target=stream, args=(port, tokens, i)) for i in range(n)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    resident = resident_mib(pid)
    for thread in threads:
        thread.join()
    return n * tokens / (time.monotonic() - began), resident


def main():
    args = arguments()
    starts = []
    for _ in range(args.rounds):
        process, port, ready = start(args)
        starts.append(ready)
        if len(starts) < args.rounds:
            process.terminate()
            process.wait()
    idle = resident_mib(process.pid)
    stat = pathlib.Path("/proc/stat").read_text().split()
    one, many, resident = [], [], 0
    for i in range(args.rounds):
        one.append(rate(port, 1, args.tokens, process.pid)[0])
        speed, mib = rate(port, args.streams, args.tokens, process.pid)
        many.append(speed)
        resident = max(resident, mib)
        print(f"round {i + 1}: 1 stream {one[-1]:.0f} tok/s, {args.streams} streams "
              f"{many[-1]:.0f} tok/s (x {many[-1] / one[-1]:.2f})")
    process.terminate()
    process.wait()
    steal = int(pathlib.Path("/proc/stat").read_text().split()[8]) - int(stat[8])
    ratio = statistics.median(m / o for m, o in zip(many, one))
    print(f"exec to ready: median {statistics.median(starts) * 1000:.0f} ms, "
          f"most {max(starts) * 1000:.0f} ms")
    print(f"resident: idle {idle:.0f} MiB, with {args.streams} streams {resident:.0f} MiB")
    print(f"median: 1 stream {statistics.median(one):.0f} tok/s, {args.streams} streams "
          f"{statistics.median(many):.0f} tok/s, ratio {ratio:.2f}; load "
          f"{os.getloadavg()[0]:.1f}, steal {steal} ticks")


if __name__ == "__main__":
    main()

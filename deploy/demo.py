#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows what ssmd promises, on the embedded model: `make demo`.

    demo.py --ssmd build/ssmd --model models/default [--port 8080]

The same request eight times at once and eight times alone gives one hash; a conversation that is
saved goes on with the same bytes after kill -9; turn 20 starts as fast as turn 2. Then it serves
until Ctrl-C; with DEMO_EXIT=1 it ends. Exit status 1 when bytes differ. Standard library only.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request

STORY = {"prompt": "The rain had stopped. She opened the window and", "max_tokens": 80,
         "temperature": 0.7, "top_p": 0.85, "repetition_penalty": 1.1, "seed": 15}
GO_ON = "\n\nThe next morning"
TURNS = ["\n\nShe", "\n\nThen", "\n\nAt last", "\n\nThe old man", "\n\nHe"]
TIMES, ROUNDS, LAST_TURN = 8, 3, 20


class Daemon:
    """One ssmd; ready when made."""

    def __init__(self, args, states):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SSMD_")}
        self.log = collections.deque(maxlen=20)
        self.process = subprocess.Popen(
            [args.ssmd, "serve", "--model", args.model, "--port", str(args.port),
             "--state-dir", states], env=clean, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            self.log.append(line)
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "ready":
                self.page, self.load_ms = event["page"], event["load_ms"]
                threading.Thread(target=self.log.extend, args=(self.process.stderr,),
                                 daemon=True).start()
                return
        sys.exit("ssmd did not start:\n" + "".join(self.log))

    def ask(self, **request):
        """(text, the reply's body) of one completion."""
        body = json.loads(self.open(request).read())
        return body["choices"][0]["text"], body

    def first_token(self, **request):
        """(text, seconds until its first token) of one completion."""
        began, first, text = time.monotonic(), None, ""
        for line in self.open({**request, "stream": True}):
            if line.startswith(b"data: {"):
                first = first or time.monotonic() - began
                text += "".join(c["text"] for c in json.loads(line[6:])["choices"])
        return text, first

    def open(self, request):
        return urllib.request.urlopen(urllib.request.Request(
            self.page + "v1/completions", json.dumps(request).encode(),
            {"Content-Type": "application/json"}), timeout=300)

    def end(self, signum):
        self.process.send_signal(signum)
        self.process.wait()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def same_bytes(daemon):
    """One request many times, at once and alone; True when there is one hash."""
    print(f"1. The same request, {TIMES} times at once and {TIMES} times alone\n")
    with concurrent.futures.ThreadPoolExecutor(TIMES) as pool:
        together = [t for t, _ in pool.map(lambda _: daemon.ask(**STORY), range(TIMES))]
    alone = [daemon.ask(**STORY)[0] for _ in range(TIMES)]
    story = "\n\n".join(textwrap.fill(p, 74) for p in (STORY["prompt"] + alone[0]).split("\n\n"))
    print(textwrap.indent(story, "   | ", lambda line: True))
    hashes = {digest(t) for t in together + alone}
    print(f"\n   at once: {digest(together[0])[:16]}   alone: {digest(alone[0])[:16]}")
    print(f"   {2 * TIMES} answers, {len(hashes)} hash{'es' if len(hashes) > 1 else ''}\n")
    return len(hashes) == 1


def after_a_kill(daemon, args, states):
    """Saves, kills, restarts and goes on. (the new daemon, True when the bytes are the same.)"""
    print("2. Saved, killed by kill -9, restarted, continued\n")
    told, reply = daemon.ask(**STORY, state={"save": "demo"})
    saved = reply["state"]["saved"]
    request = {**STORY, "prompt": STORY["prompt"] + told + GO_ON}
    uninterrupted = daemon.ask(**request)[0]
    daemon.end(signal.SIGKILL)
    print(f"   saved {saved['depth']} tokens, {saved['bytes'] / 1e6:.1f} MB; kill -9")
    daemon = Daemon(args, states)
    text, reply = daemon.ask(**request, state={"load": "demo"})
    usage = reply["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    print(f"   restarted in {daemon.load_ms:.0f} ms; {cached} of {usage['prompt_tokens']} tokens of "
          "the prompt came from the saved state")
    print(f"   uninterrupted: {digest(uninterrupted)[:16]}   after the kill: {digest(text)[:16]}")
    same = text == uninterrupted
    print(f"   {'the same bytes' if same else 'DIFFERENT BYTES'}\n")
    return daemon, same


def conversation(daemon, number):
    """Seconds to the first token of turns 2 and 20, and of turn 20 without the prefix cache."""
    text, times = STORY["prompt"], {}
    for turn in range(1, LAST_TURN + 1):
        request = {**STORY, "prompt": text, "max_tokens": 24, "seed": 100 * number + turn,
                   "cache_salt": f"conversation {number}"}
        answer, times[turn] = daemon.first_token(**request)
        text += answer + TURNS[turn % len(TURNS)]
    cold = daemon.first_token(**{**request, "cache_salt": f"nobody's {number}"})[1]
    return times[2], times[LAST_TURN], cold


def twenty_turns(daemon):
    print(f"3. A conversation of {LAST_TURN} turns: time to the first token, median of {ROUNDS}\n")
    second, last, cold = (statistics.median(column) * 1e3 for column in
                          zip(*(conversation(daemon, n) for n in range(ROUNDS))))
    print(f"   turn  2: {second:6.1f} ms")
    print(f"   turn {LAST_TURN}: {last:6.1f} ms")
    print(f"   turn {LAST_TURN} without the prefix cache: {cold:.1f} ms\n")


def serve(daemon):
    if os.environ.get("DEMO_EXIT") == "1":
        print(f"make run serves the page: {daemon.page}")
        return
    print(f"ssmd serves until Ctrl-C. Write a story with it: {daemon.page}", flush=True)
    daemon.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ssmd", default="build/ssmd")
    parser.add_argument("--model", default="models/default")
    parser.add_argument("--port", type=int, default=8080)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssmd-demo-") as states:
        daemon = Daemon(args, states)
        try:
            print(f"\nssmd with {pathlib.Path(args.model)}, ready in {daemon.load_ms:.0f} ms\n")
            same = same_bytes(daemon)
            daemon, same_later = after_a_kill(daemon, args, states)
            twenty_turns(daemon)
            serve(daemon)
        finally:
            if daemon.process.poll() is None:
                daemon.end(signal.SIGTERM)
    return 0 if same and same_later else 1


interrupted = threading.Event()


def interrupt(*_):
    """Ctrl-C reaches the daemon, too: what is asked of it after that fails."""
    interrupted.set()
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupt)
    try:
        sys.exit(main())
    except (KeyboardInterrupt, OSError, http.client.HTTPException):
        if not interrupted.is_set():
            raise
        print()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JSON bodies: what is accepted, against Python's own reading of them; what a body may weigh, and
that its memory comes back.

    test_json.py --ssmd build/test/ssmd --model models/default
"""
import json
import os
import random
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

MIB = 1 << 20
DOCUMENTS, PIPELINED = 4000, 50
ROUTES = ("/v1/completions", "/tokenize", "/detokenize")


def post(body):
    return (b"POST /detokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


class Refused(ValueError):
    pass


def members(pairs):
    names = [k for k, _ in pairs]
    if len(set(names)) != len(names) or any("\0" in k for k in names):
        raise Refused("names")
    return dict(pairs)


def refuse(word):
    raise Refused(word)


def alone(value):
    """Whether a string in it has half of a surrogate pair, which Python lets pass."""
    if isinstance(value, str):
        return re.search("[\ud800-\udfff]", value) is not None
    if isinstance(value, dict):
        return any(alone(k) or alone(v) for k, v in value.items())
    return isinstance(value, list) and any(map(alone, value))


def python_accepts(body):
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=members, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and not alone(value)


TEXTS = ["", "a", "é", "€", "😀", "\0", "\n", "\\", "\"", "/", "\x7f", "a" * 70]
PIECES = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud83d", b"\\ude00", b"0", b"1",
          b"-", b"+", b".", b"e", b"E", b"true", b"null", b"NaN", b" ", b"\t", b"\n", b"\v", b"\0",
          b"\x80", b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\xf0", b"\xef\xbb\xbf", b'"a":', b'"\\u0061":',
          b"9223372036854775808", b"1e999", b"/", b"'"]


def value(r, depth):
    kind = r.randrange(9 if depth else 6)
    if kind < 2:
        return r.choice(TEXTS)
    if kind < 6:
        return r.choice([None, True, False, 0, -1, 1.5, -2e-7, 1e300, 2**63, -2**64, 10**30])
    if kind == 6:
        return [value(r, depth - 1) for _ in range(r.randrange(4))]
    return {r.choice(TEXTS[1:5]) * r.randrange(3): value(r, depth - 1) for _ in range(r.randrange(4))}


def document(r):
    """A body whose unknown member was changed at up to two places."""
    text = json.dumps(value(r, 4), ensure_ascii=r.random() < 0.5,
                      separators=r.choice([None, (",", ":"), (" , ", " :\r\n")])).encode()
    for _ in range(r.randrange(3)):
        at, end = r.randrange(len(text) + 1), r.randrange(3)
        text = text[:at] + (r.choice(PIECES) if r.random() < 0.8 else b"") + text[at + end:]
    return b'{"prompt":"a","tokens":[1],"x":' + text + b"}"


class Grammar(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon("--threads", 1)

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def test_as_another_reader_reads_it(self):
        r = random.Random(9)
        accepted = 0
        with self.d.connect() as s, s.makefile("rb") as answers:
            for _ in range(DOCUMENTS // PIPELINED):
                bodies = [document(r) for _ in range(PIPELINED)]
                s.sendall(b"".join(map(post, bodies)))
                for body in bodies:
                    expected = python_accepts(body)
                    status, _, said = wire.read_response(answers)
                    self.assertEqual(status, 200 if expected else 400, (body, said))
                    accepted += expected
        self.assertGreater(accepted, DOCUMENTS // 5)
        self.assertLess(accepted, DOCUMENTS * 4 // 5)

    def test_large_numbers(self):
        for number in ("9223372036854775808", "-9223372036854775809", "1e999", "1" + "0" * 5000):
            for name in ("max_tokens", "temperature", "seed", "priority", "top_k"):
                body = '{"prompt":"a","max_tokens":1,"x":[%s]}' % number
                self.assertEqual(self.d.call("POST", "/v1/completions", body)[0], 200)
                body = '{"prompt":"a","%s":%s}' % (name, number)
                status, _, data = self.d.call("POST", "/v1/completions", body)
                self.assertEqual(status, 400, data)
                self.assertEqual(json.loads(data)["error"]["param"], name)


class Weight(unittest.TestCase):
    def refused(self, d, body):
        for route in ROUTES:
            status, head, data = d.call("POST", route, body)
            self.assertEqual(status, 413, data)
            e = json.loads(data)["error"]
            self.assertEqual((e["code"], e["param"]), ("body_too_complex", None))
            self.assertRegex(e["message"], r"\b%d\b.*\b1000000\b" % (body.count(",") + 7))
            self.assertNotEqual(head.get("connection"), "close")

    def test_too_many_values(self):
        with wire.Daemon("--threads", 1) as d:
            self.refused(d, '{"prompt":"a","tokens":[1],"x":[%s]}' % ",".join(["{}"] * 1200000))
            self.refused(d, '{"prompt":[%s],"tokens":[1],"x":0}' % ",".join("0" * 1500000))

    def test_the_longest_prompt_of_ids(self):
        with wire.Daemon("--threads", 1) as d:
            body = '{"prompt":[%s]}' % ",".join("7" * 524288)
            status, _, data = d.call("POST", "/v1/completions", body)
            self.assertEqual(status, 400)
            self.assertIn("(524288 tokens)", json.loads(data)["error"]["message"])


class Memory(unittest.TestCase):
    """Six large bodies at once, a stream beside them."""

    def setUp(self):
        self.d = wire.Daemon("--threads", 1, "--max-seqs", 4, "--memory-bytes", 8 * MIB)
        self.over = threading.Event()
        self.gap = self.peak = 0
        self.streamed = False

    def tearDown(self):
        self.d.stop()

    def stream(self):
        while not self.over.is_set():
            with self.d.open_stream(max_tokens=700) as s:
                piece, last = b" ", time.monotonic()
                while not self.over.is_set() and piece and b"[DONE]" not in piece:
                    piece, now = s.recv(65536), time.monotonic()
                    self.gap, last = max(self.gap, now - last), now
                    self.streamed = self.streamed or b"data: " in piece

    def watch(self):
        while not self.over.is_set():
            self.peak = max(self.peak, wire.anonymous(self.d.proc.pid))
            time.sleep(0.005)

    def together(self, route, body, n=6):
        """What n posts at once were answered."""
        found = []
        posts = [threading.Thread(target=lambda: found.append(self.d.call("POST", route, body)[0]))
                 for _ in range(n)]
        beside = [threading.Thread(target=self.stream), threading.Thread(target=self.watch)]
        for t in beside + posts:
            t.start()
        for t in posts:
            t.join()
        self.over.set()
        for t in beside:
            t.join()
        return set(found)

    def begin(self):
        if wire.under_sanitizer(self.d.proc.pid):
            self.skipTest("a sanitizer keeps what is freed")
        self.d.complete()
        return wire.anonymous(self.d.proc.pid)

    def comes_back(self, before):
        end = time.monotonic() + 2
        while (left := wire.anonymous(self.d.proc.pid) - before) > 16 * MIB and time.monotonic() < end:
            time.sleep(0.05)
        self.assertLess(left, 16 * MIB)

    def check(self, status, body, most):
        before = self.begin()
        self.assertEqual(self.together("/v1/completions", body.encode()), {status})
        self.assertTrue(self.streamed)
        self.assertLess(self.gap, 2)
        self.assertLess(self.peak - before, most)
        self.comes_back(before)

    def test_values_of_an_unknown_field(self):
        self.check(413, '{"prompt":"a","x":[%s]}' % ",".join(["{}"] * 1300000), 96 * MIB)

    def test_names_of_a_known_field(self):
        names = ",".join('"%06d":0' % i for i in range(340000))
        self.check(400, '{"prompt":"a","logit_bias":{%s}}' % names, 112 * MIB)

    def test_text(self):
        self.check(400, '{"prompt":"%s"}' % ("\u00e9" * 1000000), 128 * MIB)

    def test_bodies_that_never_end(self):
        """Their memory is in pieces; some of them stay and hold the rest of the heap up."""
        before = self.begin()
        held = []
        for _ in range(600):
            s = self.d.connect()
            s.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 61000\r\n"
                      b"Content-Type: application/json\r\n\r\n" + b" " * 60000)
            held.append(s)
        self.d.wait_metric("ssmd_request_bytes_used", lambda v: v >= 600 * 60000)
        self.assertGreater(wire.anonymous(self.d.proc.pid) - before, 32 * MIB)
        for i, s in enumerate(held):
            if i % 60:
                s.close()
        self.d.wait_metric("ssmd_open_connections", lambda v: v <= 20)
        self.comes_back(before)
        for s in held:
            s.close()


if __name__ == "__main__":
    wire.main()

# SPDX-License-Identifier: Apache-2.0
"""HTTP on the wire beyond the table of attacks: what clients send while an answer is given, behind
it, or never, and how connections end. tests/server/http/test_http.c has the callbacks and memory.
Needs the stand-in engine: build/<variant>/ssmd-fake."""
import json
import os
import select
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

SLOW = {"FAKE_STEP_US": "30000"}
BODY = json.dumps({"prompt": "a", "max_tokens": 8, "ignore_eos": True})
GET = wire.request("GET", "/livez", extra="Connection: close\r\n")


def read_to_end(s):
    """All that comes until the end; a reset is an error, unlike wire.read_all."""
    data = b""
    while piece := s.recv(1 << 16):
        data += piece
    s.close()
    return data


class Ends(unittest.TestCase):
    def test_bytes_behind_the_last_request_reset_nothing(self):
        """Bytes that nobody reads would turn the end of the answer into a reset."""
        with wire.Daemon(env=SLOW) as d:
            for close, extra in ((b"Connection: close\r\n", b"\r\n"), (b"", GET)):
                with self.subTest(extra=extra):
                    s = d.connect()
                    s.sendall(wire.request("POST", "/v1/completions", BODY, close.decode()))
                    d.wait_metric("ssmd_requests_running", lambda n: n > 0)
                    s.sendall(extra)
                    d.wait_metric("ssmd_requests_running", lambda n: n == 0)
                    time.sleep(0.2)
                    self.assertEqual(wire.statuses(read_to_end(s)), [200] if close else [200, 200])

    def test_who_reads_an_answer_too_slowly_is_cut(self):
        """A byte now and then is no progress: the answer's memory comes back."""
        with wire.Daemon("--body-timeout", 1, env={"FAKE_TOKEN_BYTES": "4000"}) as d:
            fields = {"prompt": "a", "max_tokens": 50, "ignore_eos": True}
            slow = [d.post(dict(fields, stream=stream), rcvbuf=4096) for stream in (False, True)]
            end = time.monotonic() + 20  # TCP's own limit is 30 s without a window
            while len(cut := d.events("request", route="/v1/completions")) < 2:
                self.assertLess(time.monotonic(), end)
                for s in slow:
                    s.recv(10)
                time.sleep(0.1)
            self.assertEqual([r["sent"] for r in cut], [False, False])
            for s in slow:
                s.close()

    def test_kept_connections_end_with_their_answer_in_the_drain(self):
        with wire.Daemon("--drain-grace", 20) as d:
            s = d.connect()
            kept = GET.replace(b"Connection: close\r\n", b"")
            s.sendall(kept)
            wire.read_until(s, b"\r\n\r\n")
            d.signal(signal.SIGTERM)
            d.wait_metric("ssmd_draining", lambda n: n == 1)
            s.sendall(kept)
            data = read_to_end(s)
            self.assertIn(b"connection: close", data.lower())
            self.assertEqual(d.stop(), 1)  # by its second signal

    def test_excess_connections_have_a_second(self):
        """Though one that may stay has been idle for longer."""
        with wire.Daemon("--connections-per-address", 2) as d:
            kept = [d.connect(), d.connect()]
            time.sleep(0.2)
            excess = d.connect(timeout=30)
            self.assertEqual(wire.read_all(excess), b"")
            for s in kept[1:]:
                s.sendall(GET)
                self.assertEqual(wire.statuses(read_to_end(s)), [200])
            kept[0].close()
            excess.close()


KEY = "Authorization: Bearer k\r\n"
JSON = "Content-Type: application/json\r\n"
LENGTH, CHUNKED = "Content-Length: 200000\r\n", "Transfer-Encoding: chunked\r\n"
CHUNK = b"10000\r\n" + b"a" * 65536 + b"\r\n"
# What is answered while the body comes: status, the head, and whether the next request is too.
EARLY = (
    (401, ("POST", "/v1/completions", JSON + LENGTH), True),
    (404, ("POST", "/nowhere", KEY + JSON + LENGTH), True),
    (404, ("GET", "/nowhere", KEY + CHUNKED), True),
    (405, ("DELETE", "/v1/completions", KEY + LENGTH), True),
    (405, ("PUT", "/v1/models", KEY + CHUNKED), True),
    (413, ("POST", "/v1/completions", KEY + JSON + LENGTH), False),
    (413, ("POST", "/v1/completions", KEY + JSON + CHUNKED), False),
    (415, ("POST", "/v1/completions", KEY + LENGTH.replace("200", "90")), True),
    (415, ("POST", "/tokenize", KEY + JSON + "Content-Encoding: gzip\r\n" + CHUNKED), True),
)


def head_of(method, path, fields, version="HTTP/1.1"):
    return wire.request(method, path, extra=fields, version=version)


def rest_of(fields):
    if CHUNKED in fields:
        return CHUNK * 3 + b"0\r\nT: u\r\n\r\n"
    return b"a" * int(fields.partition("Content-Length: ")[2].split()[0])


def descriptors(d):
    return len(os.listdir("/proc/%d/fd" % d.proc.pid))


class EarlyAnswers(unittest.TestCase):
    """Answers to requests whose body still comes. Everything taken is given back: connections,
    bytes of the budget, descriptors."""

    def setUp(self):
        self.d = wire.Daemon("--api-key", "k", "--max-body-bytes", 100000, "--body-timeout", 3)
        self.addCleanup(self.d.stop)
        with self.d.connect() as s:  # the first answer leaves a writer
            s.sendall(GET)
            wire.read_all(s)
        self.idle = min(self.d.metric("ssmd_request_bytes_used") for _ in range(10))
        time.sleep(0.2)  # the last one's end is seen
        self.files = descriptors(self.d)

    def given_back(self):
        self.d.wait_metric("ssmd_open_connections", lambda n: n == 1, 30)
        self.d.wait_metric("ssmd_request_bytes_used", lambda n: n <= self.idle, 30)
        end = time.monotonic() + 30
        while descriptors(self.d) > self.files and time.monotonic() < end:
            time.sleep(0.05)
        self.assertLessEqual(descriptors(self.d), self.files)

    def each(self, play):
        for status, what, kept in EARLY:
            with self.subTest(status=status, what=what):
                play(status, what, kept)
                self.given_back()

    def test_with_the_rest(self):
        """The whole in one write: the next request is answered, unless the connection ends."""
        def play(status, what, kept):
            s = self.d.connect(30)
            s.sendall(head_of(*what) + rest_of(what[2]) + GET)
            self.assertEqual(wire.statuses(read_to_end(s)), [status, 200] if kept else [status])
        self.each(play)

    def test_with_the_rest_after_the_answer(self):
        def play(status, what, kept):
            s = self.d.connect(30)
            s.sendall(head_of(*what) + (CHUNK * 2 if CHUNKED in what[2] else b""))
            self.assertEqual(wire.statuses(wire.read_until(s, b"}}")), [status])
            s.sendall(rest_of(what[2]) + GET)
            self.assertEqual(wire.statuses(read_to_end(s)), [200] if kept else [])
        self.each(play)

    def test_without_the_rest(self):
        """The client ends, or is reset, once it has the answer."""
        def play(status, what, kept):
            for how in (socket.SHUT_WR, socket.SHUT_RDWR):
                with self.d.connect(30) as s:
                    s.sendall(head_of(*what) + (CHUNK * 2 if CHUNKED in what[2] else b"a"))
                    self.assertEqual(wire.statuses(wire.read_until(s, b"}}")), [status])
                    s.shutdown(how)
        self.each(play)

    def test_continue(self):
        """Who waits for 100 gets the answer alone, and no 100; the connection ends."""
        def play(status, what, kept):
            s = self.d.connect(30)
            s.sendall(head_of(what[0], what[1], what[2] + "Expect: 100-continue\r\n"))
            if status == 413 and CHUNKED in what[2]:  # the head is good
                self.assertEqual(wire.statuses(wire.read_until(s, b"\r\n\r\n")), [100])
                s.sendall(rest_of(what[2]))
            data = read_to_end(s)
            self.assertEqual(wire.statuses(data), [status])
            self.assertIn(b"connection: close", data.lower())
        self.each(play)

    def test_http_1_0(self):
        def play(status, what, kept):
            for fields in ("", "Connection: keep-alive\r\n"):
                s = self.d.connect(30)
                s.sendall(head_of(what[0], what[1], what[2] + fields, "HTTP/1.0")
                          + rest_of(what[2]) + GET)
                self.assertEqual(wire.statuses(read_to_end(s)),
                                 [status, 200] if kept and fields and CHUNKED not in what[2]
                                 else [400] if CHUNKED in what[2] else [status])
        self.each(play)

    def test_a_rest_beyond_any_bound(self):
        """100 MB behind the answer are not read to their end."""
        s = self.d.connect()
        s.sendall(head_of("POST", "/nowhere", KEY + JSON + "Content-Length: 100000000\r\n"))
        data = wire.read_until(s, b"}}")
        self.assertEqual(wire.statuses(data), [404])
        self.assertIn(b"connection: close", data.lower())
        with self.assertRaises(OSError):
            for _ in range(1000):
                s.sendall(b"a" * 100000)
        s.close()
        self.given_back()

    def test_the_next_request_behind_a_bad_one(self):
        """What follows bytes that are no request is not read as one."""
        for bad in (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\0\r\n\r\n",
                    head_of("POST", "/nowhere", KEY + CHUNKED) + b"-1\r\n"):
            with self.subTest(bad=bad):
                s = self.d.connect()
                s.sendall(GET.replace(b"Connection: close\r\n", b"") + bad + GET * 3)
                found = wire.statuses(read_to_end(s))
                self.assertEqual(found[0], 200)
                self.assertEqual(len(found), 2)
                self.given_back()


class Pipelines(unittest.TestCase):
    def test_ten_thousand_in_one_write(self):
        """Each is answered, in order, while others are served."""
        with wire.Daemon() as d:
            kept = GET.replace(b"Connection: close\r\n", b"")
            s = d.connect()
            s.setblocking(False)
            out, data = memoryview(kept * 9999 + GET), b""
            d.call("GET", "/livez")
            while True:
                readable, writable, _ = select.select([s], [s] if out else [], [], wire.LIMIT)
                if writable:
                    out = out[s.send(out):]
                if readable:
                    piece = s.recv(1 << 16)
                    data += piece
                    if not piece:
                        break
            s.close()
            self.assertEqual(data.count(b"HTTP/1.1 200 OK"), 10000)
            self.assertEqual(d.call("GET", "/livez")[0], 200)

    def test_bodies_and_methods(self):
        """HEAD and OPTIONS among others: no body is taken for the next answer."""
        with wire.Daemon() as d:
            kept = [wire.request("HEAD", "/livez"), wire.request("OPTIONS", "/v1/completions"),
                    wire.request("POST", "/tokenize", json.dumps({"prompt": "a"})),
                    wire.request("HEAD", "/nowhere"), wire.request("POST", "/v1/completions", BODY),
                    b"POST /tokenize HTTP/1.1\r\nHost: x\r\n" + JSON.encode() + CHUNKED.encode()
                    + b"\r\n2\r\n{}\r\n0\r\n\r\n"]
            for step in (1 << 20, 100, 7):
                data = b"".join(kept) + GET
                s = d.connect()
                for i in range(0, len(data), step):
                    s.sendall(data[i:i + step])
                self.assertEqual(wire.statuses(read_to_end(s)),
                                 [200, 204, 200, 404, 200, 400, 200])


if __name__ == "__main__":
    wire.main()

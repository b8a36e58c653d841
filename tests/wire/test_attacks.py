# SPDX-License-Identifier: Apache-2.0
"""What hostile or broken clients send. Afterwards the daemon serves as before."""
import json
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire

POST = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon("--body-timeout", 3)

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def tearDown(self):
        self.assertEqual(self.d.complete()[0], 200)

    def refused(self, data, *want):
        """One refusal (the library writes its own head twice) or none, then the end."""
        got = wire.statuses(self.d.raw(data, timeout=8))
        self.assertTrue(len(set(got)) <= 1, got)
        self.assertTrue(not got or got[0] in (want or (400,)), got)
        return got

    def test_header_tricks(self):
        body = b'{"prompt":"a"}'
        n = b"%d" % len(body)
        for extra in (b"Content-Length : " + n, b"Content-Length: %s\r\nContent-Length: 3" % n,
                      b"Content-Length: " + n + b"\r\nContent-Length: " + n,
                      b"Content-Length: " + n + b"\r\nX: a\0b", b"Content-Length: -1",
                      b"Content-Length: 18446744073709551616", b"Content-Length: 1x",
                      b"Content-Length: " + n + b"\r\nTransfer-Encoding: chunked",
                      b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
                      b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                      b"Transfer-Encoding : chunked", b"Content-Length: " + n + b"\r\nHost: y",
                      b"Content-Length: " + n + b"\r\nA: b\r\n folded: c",
                      b"Content-Length: " + n + b"\r\nNo-Colon", b": empty"):
            with self.subTest(extra=extra):
                self.refused(POST + extra + b"\r\n\r\n" + body, 400, 413)

    def test_two_lengths(self):
        """Both ways to end a body at once are refused even where they agree."""
        body = b'e\r\n{"prompt":"a"}\r\n0\r\n\r\n'
        self.assertEqual(self.refused(POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked"
                                      b"\r\nConnection: close\r\n\r\n" % len(body) + body), [400])

    def test_smuggling(self):
        """The body of a refused request is never read as the next one."""
        inner = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        got = self.refused(POST + b"Content-Length : %d\r\n\r\n" % len(inner) + inner)
        self.assertEqual(got, [400])

    def test_bare_lf(self):
        data = self.d.raw(b"GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n")
        self.assertEqual(wire.statuses(data), [200])

    def test_request_lines(self):
        for line in (b"GET", b"GET /livez", b"GET /livez HTTP/2.0", b"GET /a b HTTP/1.1",
                     b"GET /a\0b HTTP/1.1", b"\x16\x03\x01\x02\x00", b"G\0T / HTTP/1.1",
                     b"GET /livez HTTP/1.1 x"):
            with self.subTest(line=line):
                self.refused(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n", 400, 404, 505)

    def test_no_host(self):
        self.refused(b"GET /livez HTTP/1.1\r\n\r\n")

    def test_methods(self):
        for method in (b"TRACE", b"CONNECT", b"PATCH", b"BREW"):
            got = wire.statuses(self.d.raw(method + b" /livez HTTP/1.1\r\nHost: x\r\n"
                                           b"Connection: close\r\n\r\n"))
            self.assertEqual(got, [405])
        self.refused(b"CONNECT example.com:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                     400, 404)

    def test_large_headers(self):
        self.refused(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
                     431)
        many = b"".join(b"X-%d: y\r\n" % i for i in range(10000))
        self.refused(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n", 431)
        self.refused(b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414)

    def test_chunk_sizes(self):
        for size in (b"-2", b"FFFFFFFFFFFFFFFF", b"10000000000000000", b"0x10", b"", b"zz", b" 5"):
            with self.subTest(size=size):
                self.refused(POST + b"Transfer-Encoding: chunked\r\n\r\n" + size
                             + b"\r\nhello\r\n0\r\n\r\n", 400, 408, 413)

    def test_many_tiny_chunks(self):
        s = self.d.connect()
        s.sendall(POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        begin = time.monotonic()
        block = b"1\r\n \r\n" * 10000
        try:
            for _ in range(100):
                s.sendall(block)
            s.sendall(b"0\r\n\r\n")
        except OSError:
            pass
        got = wire.statuses(wire.read_all(s))
        self.assertIn(got, ([400], [408], []))
        self.assertLess(time.monotonic() - begin, 60)
        s.close()

    def test_trailer_flood(self):
        self.refused(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
                     + b"".join(b"T-%d: x\r\n" % i for i in range(20000)) + b"\r\n", 400, 431)

    def test_slow_heads_and_idlers(self):
        """Hundreds of idle, half-open and half-closed connections cost nothing."""
        socks = []
        for i in range(400):
            s = self.d.connect()
            if i % 4 == 1:
                s.sendall(b"GET /li")
            elif i % 4 == 2:
                s.sendall(POST + b"Content-Length: 10\r\n\r\n{")
            elif i % 4 == 3:
                s.shutdown(socket.SHUT_WR)
            socks.append(s)
        begin = time.monotonic()
        self.assertEqual(self.d.call("GET", "/livez")[0], 200)
        self.assertLess(time.monotonic() - begin, 20)
        for s in socks:
            s.close()
        self.d.wait_metric("ssmd_open_connections", lambda v: v <= 1)

    def test_json(self):
        deep = "[" * 100000
        for body in (deep, '{"prompt":%s}' % deep, '{"prompt":"a","temperature":1e999}',
                     '{"prompt":"a","max_tokens":18446744073709551616}',
                     '{"prompt":"\\ud800"}', '{"prompt":"a"} x', "null", "\"x\"", "NaN",
                     '{"prompt":["a",1]}', '{"prompt":{}}', '{"prompt":null}',
                     '{"prompt":[[]]}', '{"prompt":[1.5]}', '{"prompt":[-1]}'):
            with self.subTest(body=body[:40]):
                status, _, data = self.d.call("POST", "/v1/completions", body)
                self.assertEqual(status, 400, data)
        status, _, _ = self.d.call("POST", "/v1/completions", b'{"prompt":"\xff\xfe"}')
        self.assertEqual(status, 400)
        status, _, data = self.d.call("POST", "/v1/completions",
                                      '{"prompt":"a\\u0000b","max_tokens":1}')
        self.assertEqual(status, 200, data)

    def test_50_megabytes(self):
        body = b'{"prompt":"' + b"a" * 50000000 + b'"}'
        self.assertEqual(self.d.call("POST", "/v1/completions", body)[0], 413)

    def test_parameters(self):
        limits = {"max_tokens": (0, None), "temperature": (0, 2), "top_p": (None, 1),
                  "n": (1, 128), "logprobs": (0, 5), "presence_penalty": (-2, 2),
                  "frequency_penalty": (-2, 2)}
        for name, (low, high) in limits.items():
            wrong = ["x", [], {}, True]
            if low is not None:
                wrong.append(low - 1)
            if high is not None:
                wrong.append(high + 1)
            for value in wrong:
                with self.subTest(name=name, value=value):
                    status, _, e = self.d.complete(**{name: value})
                    self.assertEqual(status, 400, e)
                    self.assertEqual(e["error"]["param"], name)
        for name in ("max_tokens", "n", "logprobs", "best_of"):
            status, _, e = self.d.complete(**{name: 1.5})
            self.assertEqual(status, 400, e)

    def test_ten_thousand_prompts(self):
        status, _, e = self.d.complete(prompt=["a"] * 10000)
        self.assertEqual(status, 400, e)

    def test_worst_case_is_budgeted(self):
        status, _, e = self.d.complete(prompt=["a"] * 100, n=128, best_of=20, max_tokens=4000)
        self.assertEqual(status, 400, e)

    def test_long_prompts_are_linear(self):
        for text in (" " * 1000000, "a" * 1000000, "\u200d" * 300000):
            begin = time.monotonic()
            status, _, e = self.d.complete(prompt=text)
            self.assertEqual(status, 400)
            self.assertEqual(e["error"]["code"], "context_length_exceeded")
            self.assertLess(time.monotonic() - begin, 60)


if __name__ == "__main__":
    wire.main()

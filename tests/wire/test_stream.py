# SPDX-License-Identifier: Apache-2.0
"""Server-sent events, and the connection under them: keep-alive, pipelining, HTTP/1.0, chunks."""
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire


class Stream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def stream(self, **fields):
        status, head, data = self.d.call(
            "POST", "/v1/completions",
            {"prompt": "hello", "max_tokens": 12, "temperature": 0, "ignore_eos": True,
             "stream": True, **fields})
        self.assertEqual(status, 200, data)
        return head, data

    def test_head_and_frames(self):
        head, data = self.stream()
        self.assertEqual(head["content-type"], "text/event-stream; charset=utf-8")
        self.assertEqual(head["cache-control"], "no-cache")
        self.assertEqual(head["x-accel-buffering"], "no")
        self.assertIn("x-ssmd-state", head)
        self.assertIn("x-request-id", head)
        for frame in data.decode().split("\n\n")[:-1]:
            self.assertRegex(frame, r"\Adata: [^\n]+\Z")
        events = wire.sse(data)
        self.assertEqual(events[-1], "[DONE]")
        chunks = [json.loads(e) for e in events[:-1]]
        self.assertEqual(len({(c["id"], c["created"]) for c in chunks}), 1)
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "length")
        self.assertTrue(all(c.get("usage") is None for c in chunks))

    def test_streamed_is_not_streamed(self):
        for fields in ({}, {"n": 3, "best_of": 3}, {"prompt": ["one", "two", "three"]},
                       {"echo": True, "logprobs": 2}):
            _, data = self.stream(**fields)
            text = {}
            for e in wire.sse(data)[:-1]:
                for c in json.loads(e)["choices"]:
                    text[c["index"]] = text.get(c["index"], "") + c["text"]
            status, _, whole = self.d.complete(max_tokens=12, **fields)
            self.assertEqual(status, 200, whole)
            self.assertEqual(text, {c["index"]: c["text"] for c in whole["choices"]})

    def test_include_usage(self):
        _, data = self.stream(stream_options={"include_usage": True})
        last = json.loads(wire.sse(data)[-2])
        self.assertEqual(last["choices"], [])
        self.assertEqual(last["usage"]["completion_tokens"], 12)
        self.assertIn("cached_tokens", last["usage"]["prompt_tokens_details"])

    def test_fault_before_admission_is_plain(self):
        status, head, _ = self.d.call("POST", "/v1/completions",
                                      {"prompt": "a", "stream": True, "max_tokens": 10 ** 8})
        self.assertEqual(status, 400)
        self.assertEqual(head["content-type"], "application/json")

    def test_http10(self):
        body = json.dumps({"prompt": "hello", "max_tokens": 3, "stream": True})
        data = self.d.raw(wire.request("POST", "/v1/completions", body, version="HTTP/1.0"))
        head, _, rest = data.partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head.lower())
        self.assertTrue(rest.endswith(b"data: [DONE]\n\n"), rest)
        data = self.d.raw(b"GET /livez HTTP/1.0\r\n\r\n")
        self.assertEqual(wire.statuses(data), [200])

    def test_keep_alive_and_pipelining(self):
        s = self.d.connect()
        f = s.makefile("rb")
        body = json.dumps({"prompt": "hello", "max_tokens": 4, "temperature": 0})
        one = wire.request("POST", "/v1/completions", body, "X-Request-Id: %s\r\n")
        s.sendall(b"".join(one.replace(b"%s", b"r%d" % i) for i in range(5))
                  + wire.request("GET", "/livez"))
        for i in range(5):
            status, head, _ = wire.read_response(f)
            self.assertEqual((status, head["x-request-id"]), (200, "r%d" % i))
        self.assertEqual(wire.read_response(f)[0], 200)
        for _ in range(3):
            s.sendall(wire.request("GET", "/v1/models"))
            self.assertEqual(wire.read_response(f)[0], 200)
        s.sendall(wire.request("POST", "/v1/completions", "{"))
        self.assertEqual(wire.read_response(f)[0], 400)
        s.sendall(wire.request("GET", "/v1/models"))
        self.assertEqual(wire.read_response(f)[0], 200)
        s.close()

    def test_chunked_body(self):
        body = json.dumps({"prompt": "hello", "max_tokens": 2}).encode()
        pieces = b"".join(b"1\r\n%c\r\n" % b for b in body) + b"0\r\nX-Trailer: y\r\n\r\n"
        s = self.d.connect()
        s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                  b"Content-Type: application/json\r\n\r\n" + pieces
                  + wire.request("GET", "/livez", extra="Connection: close\r\n"))
        self.assertEqual(wire.statuses(wire.read_all(s)), [200, 200])
        s.close()

    def test_expect_continue(self):
        body = json.dumps({"prompt": "hello", "max_tokens": 2}).encode()
        head = (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n")
        s = self.d.connect()
        s.sendall(head % len(body))
        wire.read_until(s, b"100 Continue\r\n\r\n")
        s.sendall(body)
        self.assertIn(b" 200 OK", wire.read_until(s, b"\r\n\r\n"))
        s.close()
        s = self.d.connect()
        s.sendall(head % (1 << 30))
        self.assertEqual(wire.statuses(wire.read_all(s)), [413])
        s.close()

    def test_head(self):
        models = json.loads(self.d.call("GET", "/v1/models")[2])["data"]
        for path in ("/", "/livez", "/readyz", "/health", "/metrics", "/v1/models", "/models",
                     "/v1/models/" + models[0]["id"], "/models/" + models[0]["id"]):
            status, head, body = self.d.call("HEAD", path)
            self.assertEqual((status, body), (200, b""))
            self.assertGreater(int(head["content-length"]), 0)
        self.assertEqual(self.d.call("HEAD", "/tokenize")[0], 405)

    def test_options(self):
        status, head, body = self.d.call("OPTIONS", "/v1/completions")
        self.assertEqual((status, body), (204, b""))
        self.assertEqual(head["allow"], "POST, OPTIONS")
        self.assertNotIn("access-control-allow-origin", head)
        self.assertEqual(self.d.call("OPTIONS", "/nothing")[0], 404)
        self.assertEqual(wire.statuses(self.d.raw(
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")), [204])

    def test_paths(self):
        model = json.loads(self.d.call("GET", "/v1/models")[2])["data"][0]["id"]
        escaped = "".join("%%%02x" % b for b in model.encode())
        for path, want in (("/v1/models/" + escaped, 200), ("/v1%2fmodels", 404),
                           ("/%6civez", 200), ("/livez?a=b", 200), ("/v1/models/a%2fb", 404),
                           ("/livez%00", 400), ("/livez%0", 400), ("/livez%zz", 400),
                           ("//livez", 404), ("/livez/", 404), ("/../etc/passwd", 404)):
            self.assertEqual(self.d.call("GET", path)[0], want, path)
        data = self.d.raw(b"GET http://x/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(wire.statuses(data), [200])

    def test_page(self):
        status, head, body = self.d.call("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn("default-src 'none'", head["content-security-policy"])
        self.assertNotIn("unsafe", head["content-security-policy"])
        self.assertNotIn(b"http://", body)
        self.assertNotIn(b"https://", body)
        self.assertIn(b"/v1/completions", body)

    def test_tokenize(self):
        status, _, body = self.d.call("POST", "/tokenize", {"prompt": "hello world"})
        ids = json.loads(body)["tokens"]
        self.assertEqual((status, json.loads(body)["count"]), (200, len(ids)))
        status, _, body = self.d.call("POST", "/detokenize", {"tokens": ids})
        self.assertEqual(status, 200)
        self.assertIn("hello world", json.loads(body)["prompt"])


class Options(unittest.TestCase):
    def test_ping(self):
        """A silent stream gets a comment."""
        with wire.Daemon("--sse-keepalive", 0.3, "--step-rows", 2,
                         env={"FAKE_STEP_US": "700000"}) as d:
            s = d.open_stream(prompt=[65] * 6, max_tokens=1)
            begin = time.monotonic()
            data = wire.read_all_from(s)
            if time.monotonic() - begin < 1:
                self.skipTest("the engine is too fast to be silent")
            self.assertIn(b":\n\n", data)
            self.assertTrue(wire.dechunk(data)[0].endswith(b"data: [DONE]\n\n"))

    def test_cors(self):
        with wire.Daemon("--cors-allow-origins", "https://a.example,https://b.example") as d:
            for origin, want in (("https://b.example", "https://b.example"),
                                 ("https://evil.example", None)):
                for method, path in (("GET", "/v1/models"), ("OPTIONS", "/v1/completions")):
                    _, head, _ = d.call(method, path, headers={"Origin": origin})
                    self.assertEqual(head.get("access-control-allow-origin"), want)
                    self.assertNotIn("access-control-allow-credentials", head)
                    self.assertEqual(head["vary"], "Origin")

    def test_preflight_lets_clients_name_their_headers(self):
        """The official client sends a dozen X-Stainless headers from a browser."""
        with wire.Daemon("--cors-allow-origins", "https://a.example") as d:
            _, head, _ = d.call("OPTIONS", "/v1/completions",
                                headers={"Origin": "https://a.example"})
            allowed = head["access-control-allow-headers"].split(", ")
            self.assertIn("Authorization", allowed)  # the star does not stand for it
            self.assertIn("*", allowed)

    def test_idle_connection_is_closed(self):
        with wire.Daemon("--keepalive-idle", 1, "--body-timeout", 1) as d:
            s = d.connect()
            s.sendall(wire.request("GET", "/livez"))
            self.assertEqual(wire.read_response(s.makefile("rb"))[0], 200)
            begin = time.monotonic()
            self.assertEqual(s.recv(1), b"")
            self.assertLess(time.monotonic() - begin, 30)  # by default it is 75
            s.close()


if __name__ == "__main__":
    wire.main()

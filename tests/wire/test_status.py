# SPDX-License-Identifier: Apache-2.0
"""Every row of the status table, and the error object that goes with it."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire


class Status(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon("--max-body-bytes", 100000, "--api-key", "secret-key")
        cls.auth = {"Authorization": "Bearer secret-key"}

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def error(self, status, answer, code=None, param=None):
        got, head, body = answer
        self.assertEqual(got, status, body)
        self.assertEqual(head["content-type"], "application/json")
        self.assertIn("x-request-id", head)
        e = json.loads(body)["error"]
        self.assertEqual(set(e), {"message", "type", "param", "code"})
        if code:
            self.assertEqual(e["code"], code)
        if param:
            self.assertEqual(e["param"], param)
        return head, e

    def post(self, body, path="/v1/completions", **headers):
        return self.d.call("POST", path, body, {**self.auth, **headers})

    def test_good(self):
        status, head, body = self.post({"prompt": "hello", "max_tokens": 3})
        self.assertEqual(status, 200, body)
        self.assertEqual(head["x-ssmd-state"], "hit=0; depth=0; bytes=0")
        self.assertEqual(json.loads(body)["usage"]["completion_tokens"], 3)

    def test_bad_json(self):
        self.error(400, self.post("{"))
        self.error(400, self.post(""))
        self.error(400, self.post("[]"))
        self.error(400, self.post('{"prompt":"a","prompt":"b"}'))

    def test_bad_values(self):
        self.error(400, self.post({"prompt": "a", "temperature": 3}), param="temperature")
        self.error(400, self.post({"prompt": "a", "max_tokens": "x"}), param="max_tokens")
        self.error(400, self.post({"prompt": [10 ** 9]}), param="prompt")
        self.error(400, self.post({"prompt": []}), param="prompt")

    def test_context(self):
        _, e = self.error(400, self.post({"prompt": "hello", "max_tokens": 10 ** 7}),
                          "context_length_exceeded")
        self.assertIn("10000000", e["message"])

    def test_keys(self):
        body = {"prompt": "a"}
        head, _ = self.error(401, self.d.call("POST", "/v1/completions", body),
                             "invalid_api_key")
        self.assertEqual(head["www-authenticate"], "Bearer")
        for wrong in ("Bearer secret-kez", "Bearer secret-key2", "Bearer SECRET-KEY",
                      "Bearer ", "Basic secret-key", "secret-key"):
            self.error(401, self.post(body, Authorization=wrong), "invalid_api_key")
        for path in ("/livez", "/readyz", "/health", "/metrics", "/"):
            self.assertEqual(self.d.call("GET", path)[0], 200)
        self.error(401, self.d.call("GET", "/v1/models"), "invalid_api_key")

    def test_model(self):
        self.error(404, self.post({"prompt": "a", "model": "no-such"}), "model_not_found")
        self.error(404, self.d.call("GET", "/v1/models/no-such", headers=self.auth),
                   "model_not_found")

    def test_not_found(self):
        self.error(404, self.d.call("GET", "/v1/nothing", headers=self.auth))
        self.error(404, self.d.call("GET", "/v1/states", headers=self.auth))

    def test_method(self):
        head, _ = self.error(405, self.d.call("GET", "/v1/completions", headers=self.auth))
        self.assertEqual(head["allow"], "POST, OPTIONS")
        head, _ = self.error(405, self.d.call("DELETE", "/v1/models", headers=self.auth))
        self.assertEqual(head["allow"], "GET, HEAD, OPTIONS")
        head, _ = self.error(405, self.d.call("POST", "/", "{}"))
        self.assertEqual(head["allow"], "GET, HEAD, OPTIONS")

    def test_too_large_by_length(self):
        head, _ = self.error(413, self.post("x" * 3000000))
        self.assertEqual(head["connection"].lower(), "close")

    def test_too_large_by_chunks(self):
        s = self.d.connect()
        s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                  b"Content-Type: application/json\r\nAuthorization: Bearer secret-key\r\n\r\n")
        for _ in range(40):
            s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        s.sendall(b"0\r\n\r\n")
        self.assertEqual(wire.statuses(wire.read_all(s)), [413])
        s.close()

    def test_far_too_large_is_cut(self):
        s = self.d.connect()
        s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n"
                  b"Content-Type: application/json\r\nAuthorization: Bearer secret-key\r\n\r\n")
        sent = 0
        with self.assertRaises(OSError):
            for sent in range(900):
                s.sendall(b"x" * (1 << 20))
        self.assertLess(sent, 200)
        s.close()

    def test_media(self):
        body = {"prompt": "a"}
        self.error(415, self.post(json.dumps(body), **{"Content-Type": "text/plain"}))
        self.error(415, self.post(body, **{"Content-Encoding": "gzip"}))
        status, _, _ = self.post(json.dumps(body),
                                 **{"Content-Type": "application/json; charset=utf-8"})
        self.assertEqual(status, 200)

    def test_header_block(self):
        self.error(431, self.d.call("GET", "/livez", headers={"X-Long": "x" * 20000}))

    def test_uri(self):
        self.error(414, self.d.call("GET", "/livez?" + "x" * 9000))

    def test_request_id(self):
        _, head, _ = self.d.call("GET", "/livez", headers={"X-Request-Id": "mine-42"})
        self.assertEqual(head["x-request-id"], "mine-42")
        for bad in ("x" * 300, "a b", "\x7f"):
            _, head, _ = self.d.call("GET", "/livez", headers={"X-Request-Id": bad})
            self.assertNotEqual(head["x-request-id"], bad)

    def test_internal_text_is_hidden(self):
        _, e = self.error(404, self.d.call("GET", "/etc/passwd"))
        self.assertNotIn("0x", e["message"])

    def test_no_prompt_in_log(self):
        self.post({"prompt": "zebra-in-the-prompt", "max_tokens": 1})
        self.d.wait_line("request")
        self.assertNotIn("zebra", self.d.log())


class Fault(unittest.TestCase):
    def test_engine_fault(self):
        """A request that the engine gives up on: 500, in a stream an error event."""
        with wire.Daemon(env={"FAKE_POISON": "33"}) as d:
            status, _, body = d.complete(prompt="!boom", headers={"X-Request-Id": "mine"})
            if status == 200:
                self.skipTest("the engine has no faults to offer")
            self.assertEqual((status, body["error"]["type"]), (500, "server_error"))
            self.assertEqual(d.wait_line("fault")["id"], "mine")
            s = d.open_stream(prompt="!boom")
            data, ended = wire.dechunk(wire.read_all_from(s))
            self.assertTrue(ended)
            self.assertEqual(json.loads(wire.sse(data)[-1])["error"]["type"], "server_error")
            self.assertEqual(d.complete()[0], 200)
            self.assertEqual(d.metric('ssmd_requests_finished_total{reason="error"}'), 2)

    def test_out_of_memory(self):
        """Each allocation on a request's way fails once: a 500 or a cut, never more."""
        import http.client
        with wire.Daemon(env={"FAKE_MEM_FAIL": "80"}) as d:
            seen = {}
            for i in range(400):
                try:
                    status = d.call("POST", "/v1/completions",
                                    {"prompt": ["a", "b"], "max_tokens": 3, "n": 2,
                                     "stream": i % 2 == 1, "logprobs": 1})[0]
                except (ConnectionError, http.client.HTTPException):
                    status = None
                seen[status] = seen.get(status, 0) + 1
            if set(seen) == {200}:
                self.skipTest("nothing fails in this engine")
            self.assertEqual(set(seen) - {200, 500, None}, set(), seen)
            self.assertGreater(seen[500], 0)
            self.assertGreater(seen[200], 100)
            self.assertLess(seen.get(None, 0), 200)

            def gone(v):
                return v == 0
            for name in ("ssmd_requests_running", "ssmd_requests_waiting",
                         "ssmd_state_slots_used"):
                for _ in range(3):
                    try:
                        d.wait_metric(name, gone)
                        break
                    except (ConnectionError, http.client.HTTPException):
                        pass

    def test_library_refusals_are_counted(self):
        with wire.Daemon() as d:
            d.raw(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                  b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            name = 'ssmd_http_requests_total{route="/v1/completions",code="%d"}'
            self.assertEqual((d.metric(name % 400), d.metric(name % 499)), (1, 0))


class Slow(unittest.TestCase):
    def test_body_too_slow(self):
        with wire.Daemon("--body-timeout", 1) as d:
            s = d.connect()
            s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
                      b"Content-Type: application/json\r\n\r\n{")
            data = wire.read_all(s)
            self.assertEqual(wire.statuses(data), [408])
            self.assertIn(b'"error"', data)
            s.close()

    def test_refused_with_the_body_to_come(self):
        """Who is refused and then sends no more gets the whole answer all the same."""
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("acme:secret\n")
            f.flush()
            with wire.Daemon("--api-keys-file", f.name) as d:
                held = []
                for method, path in (("POST", "/v1/completions"), ("PUT", "/tokenize")):
                    held.append(d.connect())
                    held[-1].sendall(wire.request(method, path, extra="Content-Length: 9\r\n"))
                first, second = (wire.read_all(s) for s in held)
                self.assertTrue(first.startswith(b"HTTP/1.1 401 Unauthorized\r\n"), first)
                self.assertIn(b"\r\nWWW-Authenticate: Bearer\r\n", first)
                self.assertTrue(second.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n"), second)
                self.assertIn(b"\r\nAllow: POST, OPTIONS\r\n", second)
                for s in held:
                    s.close()

    def test_trickle(self):
        with wire.Daemon("--body-timeout", 1) as d:
            s = d.connect()
            s.settimeout(0.1)
            s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n")
            got = b""
            for i in range(60):
                try:
                    s.sendall(b"X-%d: y\r\n" % i)
                    piece = s.recv(4096)
                    if not piece:
                        break
                    got += piece
                except (TimeoutError, ConnectionError):
                    pass
            self.assertEqual(wire.statuses(got), [408])
            s.close()

    def test_request_timeout(self):
        with wire.Daemon("--request-timeout", 0.5, env={"FAKE_STEP_US": "20000"}) as d:
            status, _, body = d.complete(max_tokens=2000)
            self.assertEqual(status, 408, body)
            self.assertEqual(d.metric('ssmd_requests_finished_total{reason="timeout"}'), 1)
            s = d.open_stream(max_tokens=2000)
            data, ended = wire.dechunk(wire.read_all_from(s))
            self.assertTrue(ended)
            last = wire.sse(data)[-1]
            self.assertIn("error", json.loads(last))


if __name__ == "__main__":
    wire.main()

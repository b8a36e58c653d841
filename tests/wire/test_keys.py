#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the words of the keys file limit, over HTTP. FAKE_STEP_US makes answers last."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import objects
import wire

TOKENS = [104, 101, 108, 108, 111] * 7


def bearer(key):
    return {"Authorization": "Bearer " + key}


class Words(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory(prefix="ssmd-keys-")
        self.addCleanup(self.temp.cleanup)
        self.path = os.path.join(self.temp.name, "keys")

    def write(self, *lines):
        with open(self.path, "w") as f:
            f.write("".join(line + "\n" for line in lines))

    def daemon(self, *flags, step_us=0):
        return wire.Daemon("--api-keys-file", self.path, *flags,
                           env={"FAKE_STEP_US": str(step_us)})

    def read_anew(self, d, *lines):
        n = len(d.events("reload"))
        self.write(*lines)
        d.signal(signal.SIGHUP)
        return d.wait_line("reload", n + 1)

    def limited(self, answer):
        """A refusal for a limit; the seconds of its Retry-After."""
        status, head, body = answer
        self.assertEqual(status, 429, body)
        self.assertEqual(body["error"]["code"], "rate_limit_exceeded")
        return int(head["retry-after"])

    def stream(self, d, key, **fields):
        """A completion of a thousand tokens that has begun."""
        s = d.connect()
        self.addCleanup(s.close)
        body = ('{"prompt":"hello","max_tokens":1000,"temperature":0,"ignore_eos":true,'
                '"stream":true}')
        s.sendall(wire.request("POST", "/v1/completions", body,
                               "Authorization: Bearer %s\r\n" % key))
        wire.read_until(s, b"data:")
        return s

    def test_rate(self):
        """A burst of ten seconds is free; then the debt of the answer under way is waited for,
        by this tenant alone, and Retry-After is when it is paid."""
        self.write("slow:a rate=1", "slow:a2 rate=1", "other:b")
        with self.daemon() as d:
            prompt, rejected = "p" * 100, 'ssmd_requests_rejected_total{reason="rate"}'
            self.assertEqual(d.metric(rejected), 0)
            self.assertEqual(d.complete(prompt=prompt, max_tokens=4, headers=bearer("a"))[0], 200)
            for key in ("a", "a2"):
                seconds = self.limited(d.complete(headers=bearer(key)))
                self.assertIn(seconds, range(60, 96))  # 104 less 10, less what has passed
            self.assertEqual(d.metric(rejected), 2)
            self.assertEqual(d.complete(headers=bearer("b"))[0], 200)
            line = self.read_anew(d, "slow:a rate=2", "other:b")
            self.assertTrue(line["keys"])
            self.limited(d.complete(headers=bearer("a")))  # the debt is still there
            self.read_anew(d, "slow:a", "other:b")
            self.assertEqual(d.complete(headers=bearer("a"))[0], 200)

    def test_rate_before_and_after_the_body(self):
        """A request over the rate is refused by its head; a head that came before is, too."""
        self.write("slow:a rate=1")
        with self.daemon() as d:
            body = b'{"prompt":"hello","max_tokens":1}'
            head = (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\n"
                    b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
            early = d.connect()
            self.addCleanup(early.close)
            early.sendall(head + b"\r\n" + body[:5])
            d.wait_metric("ssmd_open_connections", lambda n: n >= 1)
            self.assertEqual(d.complete(max_tokens=60, headers=bearer("a"))[0], 200)
            early.sendall(body[5:])
            wire.read_until(early, b"HTTP/1.1 429 ")
            late = d.connect()
            self.addCleanup(late.close)
            late.sendall(head + b"Expect: 100-continue\r\n\r\n")
            wire.read_until(late, b"HTTP/1.1 429 ")

    def test_rate_counts_what_is_generated(self):
        self.write("slow:a rate=1")
        with self.daemon() as d:
            d.complete(prompt="a", max_tokens=50, n=2, headers=bearer("a"))
            self.assertIn(self.limited(d.complete(headers=bearer("a"))), range(60, 92))

    def test_running(self):
        """Queued or running, it counts; what has ended or was given up does not."""
        self.write("a:a running=2", "b:b")
        with self.daemon("--max-seqs", 1, step_us=2000) as d:
            one, two = self.stream(d, "a"), d.connect()
            self.addCleanup(two.close)
            body = '{"prompt":"hello","max_tokens":1000,"ignore_eos":true}'
            two.sendall(wire.request("POST", "/v1/completions", body,
                                     "Authorization: Bearer a\r\n"))
            d.wait_metric("ssmd_requests_waiting", lambda n: n == 1)
            self.assertIn(self.limited(d.complete(headers=bearer("a"))), range(1, 31))
            self.assertEqual(d.metric('ssmd_requests_rejected_total{reason="running"}'), 1)
            self.read_anew(d, "a:a running=2 share=3", "b:b")
            self.limited(d.complete(headers=bearer("a")))
            two.close()
            one.close()
            d.wait_metric("ssmd_requests_waiting", lambda n: n == 0)
            d.wait_metric("ssmd_requests_running", lambda n: n == 0)
            status, _, body = d.complete(prompt=["a", "b", "c"], headers=bearer("a"))
            self.assertEqual((status, body["error"]["param"]), (400, "prompt"))
            self.assertIn("3 prompts", body["error"]["message"])
            self.assertEqual(d.complete(prompt=["a", "b"], max_tokens=1,
                                        headers=bearer("a"))[0], 200)
            self.assertEqual(d.complete(prompt=["a", "b", "c"], max_tokens=1,
                                        headers=bearer("b"))[0], 200)

    def test_state_bytes(self):
        """In the place of state.tenant_bytes, larger or smaller, and anew with SIGHUP."""
        one = {t: objects.make(TOKENS, tenant=t) for t in "abc"}
        n = len(one["a"])

        def put(d, tenant, name):
            status, _, body = d.call("PUT", "/v1/states/" + name, one[tenant],
                                     headers=bearer(tenant))
            if status == 413:
                self.assertEqual(json.loads(body)["error"]["code"], "state_quota_exceeded")
            return status

        self.write("a:a state_bytes=%d" % (2 * n), "b:b state_bytes=1", "c:c")
        with self.daemon("--state-dir", os.path.join(self.temp.name, "states"),
                         "--state-tenant-bytes", n) as d:
            self.assertEqual([put(d, "a", x) for x in "xyz"], [201, 201, 413])
            self.assertEqual([put(d, "b", "x"), put(d, "c", "x"), put(d, "c", "y")],
                             [413, 201, 413])
            status, _, answer = d.complete(state={"save": "s"}, headers=bearer("b"))
            self.assertEqual((status, answer["state"]["error"]["code"]),
                             (200, "state_quota_exceeded"))
            self.read_anew(d, "a:a", "b:b state_bytes=%d" % n, "c:c state_bytes=%d" % (3 * n))
            self.assertEqual([put(d, "a", "z"), put(d, "b", "x"), put(d, "c", "y")],
                             [413, 201, 201])
            self.assertEqual(d.metric('ssmd_state_dir_bytes{kind="client"}'), 5 * n)
            self.assertEqual(d.metric('ssmd_state_dir_objects{kind="client"}'), 5)

    def test_bad_words_end_the_start_and_not_the_service(self):
        bad = ("alice:s3cret speed=3", "alice:s3cret rate=x", "alice:s3cret rate=1 rate=1",
               "alice:s3cret\nalice:k2 rate=1", "alice:s3cret\nbob:s3cret")
        for lines in bad:
            with self.subTest(lines):
                self.write("# one", lines)
                n = 2 + lines.count("\n")
                p = subprocess.run([wire.ARGS.ssmd, "serve", "--model", wire.ARGS.model, "--port",
                                    "0", "--api-keys-file", self.path],
                                   stderr=subprocess.PIPE, timeout=wire.LIMIT)
                self.assertEqual(p.returncode, 2)
                self.assertIn(b"keys line %d" % n, p.stderr)
                self.assertNotIn(b"s3cret", p.stderr)
        self.write("alice:good running=5")
        with self.daemon() as d:
            for n, lines in enumerate(bad, 1):
                line = self.read_anew(d, lines)
                self.assertEqual((line["level"], "line" in line["message"]), ("error", True))
                self.assertNotIn("s3cret", d.log())
                self.assertEqual(d.complete(headers=bearer("good"))[0], 200)


if __name__ == "__main__":
    wire.main()

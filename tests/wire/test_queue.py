# SPDX-License-Identifier: Apache-2.0
"""The queue: its limit, what those turned away are told, and that the rest is served."""
import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire


class Queue(unittest.TestCase):
    def test_full(self):
        with wire.Daemon("--max-seqs", 1, "--queue-limit", 2,
                         env={"FAKE_STEP_US": "20000"}) as d:
            running = d.open_stream(max_tokens=3000)
            d.wait_metric("ssmd_requests_running", lambda v: v == 1)
            waiting = [d.open_stream(max_tokens=3) for _ in range(2)]
            d.wait_metric("ssmd_requests_waiting", lambda v: v == 2)
            status, head, body = d.call("POST", "/v1/completions", {"prompt": "a"})
            self.assertEqual(status, 429, body)
            self.assertEqual(json.loads(body)["error"]["code"], "rate_limit_exceeded")
            self.assertTrue(1 <= int(head["retry-after"]) <= 30)
            self.assertEqual(d.metric('ssmd_requests_rejected_total{reason="queue_full"}'), 1)
            # Overload is this 429 alone: were it in /readyz, a balancer would take out every replica.
            self.assertEqual(d.call("GET", "/readyz")[0], 200)
            self.assertEqual(d.metric("ssmd_ready"), 1)
            self.assertEqual(d.call("POST", "/tokenize", {"prompt": "a"})[0], 200)
            running.close()
            for s in waiting:
                data, ended = wire.dechunk(wire.read_all_from(s))
                self.assertTrue(ended)

    def test_waits_too_long(self):
        with wire.Daemon("--max-seqs", 1, "--queue-timeout", 0.5,
                         env={"FAKE_STEP_US": "20000"}) as d:
            running = d.open_stream(max_tokens=3000)
            d.wait_metric("ssmd_requests_running", lambda v: v == 1)
            for stream in (True, False):
                status, head, body = d.call("POST", "/v1/completions",
                                            {"prompt": "a", "stream": stream})
                self.assertEqual(status, 429, body)
                self.assertIn("retry-after", head)
            self.assertEqual(d.metric("ssmd_requests_waiting"), 0)
            running.close()

    def test_a_step_longer_than_the_queue_may_wait(self):
        """Who comes while a long step runs has not been turned away by it."""
        with wire.Daemon("--max-seqs", 4, "--queue-timeout", 0.3,
                         env={"FAKE_STEP_US": "1200000"}) as d:
            running = d.open_stream(max_tokens=3000)
            d.wait_metric("ssmd_requests_running", lambda v: v == 1)
            status, _, e = d.complete(max_tokens=1)
            self.assertEqual(status, 200, e)
            running.close()

    def test_flood(self):
        """Every one of a burst is served or told 429; nothing hangs, nothing leaks."""
        with wire.Daemon("--max-seqs", 4, "--queue-limit", 20,
                         env={"FAKE_STEP_US": "1000"}) as d:
            seen, lock = [], threading.Lock()

            def one(i):
                status, head, body = d.call("POST", "/v1/completions",
                                            {"prompt": "p%d" % i, "max_tokens": 20})
                with lock:
                    seen.append(status)
                    if status == 429:
                        assert 1 <= int(head["retry-after"]) <= 30
            threads = [threading.Thread(target=one, args=(i,)) for i in range(150)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(60)
            self.assertEqual(len(seen), 150)
            self.assertEqual(set(seen) - {200, 429}, set())
            self.assertGreaterEqual(seen.count(200), 24)
            for name in ("requests_running", "requests_waiting", "state_slots_used"):
                d.wait_metric("ssmd_" + name, lambda v: v == 0)

    def test_many_prompts(self):
        with wire.Daemon("--max-seqs", 2, "--queue-limit", 4) as d:
            status, _, e = d.complete(prompt=["p%d" % i for i in range(6)], n=2)
            self.assertEqual(status, 200, e)
            self.assertEqual([c["index"] for c in e["choices"]], list(range(12)))
            status, _, e = d.complete(prompt=["p%d" % i for i in range(7)])
            self.assertEqual(status, 400, e)

    def test_slots_are_given_back(self):
        with wire.Daemon("--max-seqs", 2) as d:
            for _ in range(50):
                self.assertEqual(d.complete(n=2)[0], 200)
            d.wait_metric("ssmd_state_slots_used", lambda v: v == 0)

    def test_bodies_under_way_are_bounded(self):
        """Many large bodies that never end do not fill the memory."""
        with wire.Daemon("--max-body-bytes", 10000, "--request-bytes", 600000) as d:
            self.assertEqual(d.metric("ssmd_request_bytes_limit"), 600000)
            empty = d.metric("ssmd_request_bytes_used")
            held = []
            for _ in range(80):
                s = d.connect()
                s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999"
                          b"\r\nContent-Type: application/json\r\n\r\n" + b" " * 9000)
                held.append(s)
            d.wait_metric("ssmd_open_connections", lambda v: v >= 80)
            held[-1].sendall(b" " * 999)
            self.assertIn(b" 429 ", wire.read_until(held[-1], b"\r\n\r\n"))
            m = d.metrics()
            self.assertGreaterEqual(m['ssmd_requests_rejected_total{reason="memory"}'], 1)
            self.assertGreater(m["ssmd_request_bytes_used"], 40 * 9000)
            self.assertLessEqual(m["ssmd_request_bytes_used"], 600000)
            for s in held[:20]:
                s.close()
            d.wait_metric("ssmd_request_bytes_used", lambda v: v < 550000)
            self.assertEqual(d.complete()[0], 200)
            for s in held:
                s.close()
            d.wait_metric("ssmd_open_connections", lambda v: v <= 1)
            d.wait_metric("ssmd_request_bytes_used", lambda v: v <= empty + 4096)
            self.assertEqual(d.complete()[0], 200)

    def test_beyond_the_budget(self):
        with wire.Daemon("--max-seqs", 2) as d:
            status, _, e = d.complete(n=100)
            self.assertEqual(status, 400, e)


if __name__ == "__main__":
    wire.main()

# SPDX-License-Identifier: Apache-2.0
"""Who is served next, with the engine itself: its own tests measure shares; here is what the
server passes to it. Requests end in the order in which they were admitted, one at a time."""
import json
import os
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire


class Fairness(unittest.TestCase):
    def ask(self, d, name, key=None, address="127.0.0.1", **fields):
        """Sends a completion; its connection."""
        s = socket.create_connection(("127.0.0.1", d.port), wire.LIMIT, (address, 0))
        self.addCleanup(s.close)
        body = {"prompt": "a", "max_tokens": 8, "ignore_eos": True, **fields}
        head = "X-Request-Id: %s\r\n" % name
        if key:
            head += "Authorization: Bearer %s\r\n" % key
        s.sendall(wire.request("POST", "/v1/completions", json.dumps(body), head))
        return s

    def order(self, d, first, queue):
        """The names of requests in the order in which they ended. `first` runs until all of
        `queue` wait, in this order."""
        s = self.ask(d, **first, max_tokens=3500, stream=True)
        wire.read_until(s, b"data:")
        for n, one in enumerate(queue, 1):
            self.ask(d, **{"max_tokens": 100, **one})  # so that lines keep the order
            d.wait_metric("ssmd_requests_waiting", lambda v: v == n)
        s.close()
        lines = d.events("request", least=len(queue), status=200, stream=False)
        return [x["id"] for x in lines if x["id"] in [one["name"] for one in queue]]

    def test_priorities_are_clamped_without_keys(self):
        with wire.Daemon("--max-seqs", 1) as d:
            queue = [{"name": "later", "priority": 3}, {"name": "plain"},
                     {"name": "urgent", "priority": -2147483648}]
            self.assertEqual(self.order(d, {"name": "first"}, queue),
                             ["plain", "urgent", "later"])

    def test_priorities_are_clamped_to_the_key(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("a:a\nops:o priority=-10\nbatch:b priority=10\n")
            keys.flush()
            with wire.Daemon("--max-seqs", 1, "--api-keys-file", keys.name) as d:
                queue = [{"name": "batch", "key": "b", "priority": -5},
                         {"name": "a", "key": "a", "priority": -5},
                         {"name": "ops", "key": "o", "priority": -5}]
                self.assertEqual(self.order(d, {"name": "first", "key": "a"}, queue),
                                 ["ops", "a", "batch"])

    def test_shares_are_the_keys(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("a:a share=3\nb:b\nc:c\n")
            keys.flush()
            with wire.Daemon("--max-seqs", 1, "--api-keys-file", keys.name) as d:
                queue = [{"name": "%s%d" % (key, i), "key": key} for i in range(4) for key in "ba"]
                order = self.order(d, {"name": "first", "key": "c"}, queue)
                self.assertEqual(sorted(name[0] for name in order[:4]), ["a", "a", "a", "b"])

    def test_what_fits_passes_a_wide_request(self):
        for wait, order in ((1000, ["small", "wide"]), (0, ["wide", "small"])):
            with self.subTest(wide_wait=wait), \
                    wire.Daemon("--max-seqs", 4, "--wide-wait", wait) as d:
                s = self.ask(d, "first", max_tokens=3500, stream=True)
                wire.read_until(s, b"data:")
                self.ask(d, "wide", n=4)
                d.wait_metric("ssmd_requests_waiting", lambda v: v == 1)
                small = self.ask(d, "small", max_tokens=200)  # is over after the wide one
                if wait:
                    wire.read_until(small, b"\r\n\r\n")
                    self.assertEqual(d.metric("ssmd_requests_waiting"), 1)
                else:
                    d.wait_metric("ssmd_requests_waiting", lambda v: v == 2)
                s.close()
                lines = d.events("request", least=2, status=200, stream=False)
                self.assertEqual([x["id"] for x in lines
                                  if x["id"] in ("small", "wide")], order)

    def test_a_flood_leaves_places_in_the_queue(self):
        """Who floods the queue is refused in favour of another address, at once."""
        with wire.Daemon("--max-seqs", 1, "--queue-limit", 4) as d:
            first = self.ask(d, "first", max_tokens=3500, stream=True)
            wire.read_until(first, b"data:")
            flood = []
            for n in range(1, 5):
                flood.append(self.ask(d, "flood-%d" % n))
                d.wait_metric("ssmd_requests_waiting", lambda v: v == n)
            self.ask(d, "other", address="127.0.0.9")
            answer = wire.read_until(flood[-1], b"}}").decode()
            self.assertIn(" 429 ", answer)
            self.assertIn("Retry-After: ", answer)
            self.assertEqual(d.metric('ssmd_requests_rejected_total{reason="queue_full"}'), 1)
            first.close()
            lines = d.events("request", least=4, status=200, stream=False)
            self.assertEqual([x["id"] for x in lines][:2], ["other", "flood-1"])

    def test_who_waits_too_long_costs_nothing(self):
        """No row of a prompt is computed that is refused for its time in the queue."""
        with wire.Daemon("--max-seqs", 1, "--queue-timeout", 0.3, "--speculate", "off") as d:
            first = self.ask(d, "first", max_tokens=3500, stream=True)
            wire.read_until(first, b"data:")
            names = "ssmd_step_rows_sum", "ssmd_generation_tokens_total"
            before = [d.metric(name) for name in names]
            late = [self.ask(d, "late-%d" % n, prompt="word " * 1000) for n in range(5)]
            for s in late:
                self.assertIn(b" 429 ", wire.read_until(s, b"\r\n\r\n"))
            rows, tokens = [d.metric(name) - n for name, n in zip(names, before)]
            self.assertLess(abs(rows - tokens), 500)  # read one after the other


if __name__ == "__main__":
    wire.main()

# SPDX-License-Identifier: Apache-2.0
"""The table of attacks (attacks.py, crowds.py) against a daemon that streams to others meanwhile:
statuses and form of every answer, and coarse bounds. Times in detail are bench_wire.py's."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attacks
import beside
import crowds
import wire

SLACK = 5             # times the seconds of the table, for busy machines and sanitizers
GAP, MEMORY = 2000, 16 << 20  # ms a stream beside may stand, bytes over the plan that may stay
DRAIN = 2
LIMITS = ("idle ones at max_connections", "busy ones at max_connections", "no descriptors",
          "400 idle and half-closed")


class Rows(unittest.TestCase):
    """Rows with the same flags, played on one daemon."""

    def play(self, rows, flags=()):
        with wire.Daemon("--memory-bytes", "64MiB", "--max-seqs", 16, "--drain-timeout", DRAIN,
                         *flags) as d:
            slow = wire.under_sanitizer(d.proc.pid)
            with beside.Beside(d) as seen:
                time.sleep(0.5)
                seen.mark()
                for attack in rows:
                    with self.subTest(attack=attack.name):
                        self.assertEqual(attacks.judge(attack, attack.send(d), SLACK), [])
                        self.assertIn(self.answer(d), (200, 429))
                        after = seen.report()
                        if not attack.fills and not slow:
                            self.assertLess(after["gap"], GAP)
                if not slow:
                    self.memory_comes_back(seen, crowds.planned(d))
            begin = time.monotonic()
            self.assertEqual(d.stop(), 0)
            self.assertLess(time.monotonic() - begin, SLACK * (DRAIN + 1))

    def answer(self, daemon):
        """The status of a request behind an attack, once its connections are seen to be closed."""
        end = time.monotonic() + 10
        while (status := daemon.complete(timeout=60)[0]) == 503 and time.monotonic() < end:
            time.sleep(0.05)
        return status

    def memory_comes_back(self, seen, planned):
        end = time.monotonic() + 20
        while (now := seen.report()["memory"]) > planned + MEMORY and time.monotonic() < end:
            time.sleep(0.2)
        self.assertLess(now, planned + MEMORY)


class Table(Rows):
    """The rows of one client; a test for each part, added below."""


def play_part(part):
    rows = [attacks.Attack(*row) for row in part()]
    return lambda self: self.play([a for a in rows if not a.flags])


for _part in (attacks.framing, attacks.smuggling, attacks.heads, attacks.bodies):
    setattr(Table, "test_" + _part.__name__, play_part(_part))


class Slow(Rows):
    def test_clients(self):
        """Those that trickle, stop or half close, all at once: none outlasts body_timeout."""
        rows = [attacks.Attack(*row) for row in attacks.clients()]
        out = {}

        def send(d):
            def one(i):
                out[i] = rows[i].send(d)
            attacks.together(len(rows), one)
            return []
        self.play([attacks.Attack("slow clients", send, (), 4)], rows[0].flags)
        for i, attack in enumerate(rows):
            with self.subTest(attack=attack.name):
                self.assertEqual(attacks.judge(attack, out[i], SLACK), [])

    def test_sigterm_beside_a_line_without_end(self):
        with wire.Daemon("--drain-timeout", DRAIN) as d:
            with crowds.held(d, 1, attacks.chunked(attacks.EXT)):
                self.assertEqual(d.complete(timeout=60)[0], 200)
                d.signal(wire.signal.SIGTERM)
                self.assertEqual(d.proc.wait(SLACK * (DRAIN + 1)), 0)


class Crowds(Rows):
    """Limits of connections; fairness has a file of its own, and readers that do not read too."""

    def test_limits_of_connections(self):
        for attack in crowds.all_rows():
            if attack.name in LIMITS:
                with self.subTest(name=attack.name):
                    self.play([attack], attack.flags)


class Parameters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = wire.Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def test_numbers(self):
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

    def test_prompts(self):
        for body in ('{"prompt":["a",1]}', '{"prompt":{}}', '{"prompt":null}',
                     '{"prompt":[[]]}', '{"prompt":[1.5]}', '{"prompt":[-1]}', '"x"'):
            with self.subTest(body=body):
                status, _, data = self.d.call("POST", "/v1/completions", body)
                self.assertEqual(status, 400, data)
        status, _, data = self.d.call("POST", "/v1/completions",
                                      '{"prompt":"a\\u0000b","max_tokens":1}')
        self.assertEqual(status, 200, data)

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

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resident memory against the plan that is logged at start, and the warning about slow kernels.

    test_memory.py --ssmd build/test/ssmd --model models/default
"""
import concurrent.futures
import unittest

import wire

MIB = 1 << 20
SLACK = 3 * MIB  # stacks, libraries, connections: what does not grow with the plan


class Plan(unittest.TestCase):
    def test_resident_memory_is_what_was_planned(self):
        with wire.Daemon("--max-seqs", 8, "--memory-bytes", 16 * MIB, "--threads", 2) as d:
            plan = d.wait_line("memory")
            if plan["weights_bytes"] < MIB or wire.under_sanitizer(d.proc.pid):
                self.skipTest("no model, or a sanitizer's own memory beside it")
            idle = plan["weights_bytes"] + plan["tokenizer_bytes"] + plan["index_bytes"]
            self.assertLess(wire.anonymous(d.proc.pid), idle + SLACK)

            def ask(i):
                return d.call("POST", "/v1/completions",
                              {"prompt": f"{i} times the fox " * (20 + i), "max_tokens": 8})[0]
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                self.assertEqual(set(pool.map(ask, range(24))), {200})
            engine = plan["planned_bytes"] - plan["request_bytes"] - plan["work_bytes"]
            self.assertLess(wire.anonymous(d.proc.pid), engine + SLACK)


class Kernels(unittest.TestCase):
    def test_slow_ones_are_warned_of_once(self):
        with wire.Daemon("--cpu", "c") as d:
            warned = d.events("cpu_slow")
        self.assertEqual([line["level"] for line in warned], ["warn"])

    def test_others_are_not(self):
        with wire.Daemon() as d:
            if d.wait_line("memory")["cpu"] != "c":
                self.assertEqual(d.events("cpu_slow"), [])


if __name__ == "__main__":
    wire.main()

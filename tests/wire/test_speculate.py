# SPDX-License-Identifier: Apache-2.0
"""Speculation over HTTP: off, automatic and on say the same bytes, alone and together, and /metrics
tells what was proposed."""
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers
import wire

MODES = ["off", "auto", "on"]
CODE = "".join("static int %s(int a, int b)\n{\n    return a %s b;\n}\n\n" % x
               for x in [("add", "+"), ("sub", "-"), ("mul", "*")]) + "static int"
RESULT = 'ssmd_speculated_tokens_total{result="%s"}'
ASKED = [
    {"prompt": CODE, "max_tokens": 90, "logprobs": 2},
    {"prompt": CODE, "max_tokens": 60, "temperature": 0.7, "seed": 4, "n": 2},
    {"prompt": CODE, "max_tokens": 80, "stop": ["return", "}\n\n"]},
    {"prompt": CODE, "max_tokens": 70, "temperature": 1, "seed": 9, "repetition_penalty": 1.2,
     "frequency_penalty": 0.3, "min_tokens": 20, "ignore_eos": False, "stop_token_ids": [10, 13]},
    {"prompt": "1, 2, 3, 1, 2, 3, 1, 2, 3,", "max_tokens": 64, "logit_bias": {"20": 5}},
]


class SpeculateCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemons = {}
        for mode in MODES:
            cls.daemons[mode] = wire.Daemon("--speculate", mode)
            cls.addClassCleanup(cls.daemons[mode].stop)

    def body(self, fields):
        return {"temperature": 0, "ignore_eos": True, "cache_salt": self.id(), **fields}

    def ask(self, mode, fields):
        """The answer's bytes."""
        status, found, _ = answers.ask(self.daemons[mode], self.body(fields))
        self.assertEqual(status, 200, found)
        return found

    def test_the_answers_are_the_same(self):
        for fields in ASKED:
            plain = self.ask("off", fields)
            for mode in MODES[1:]:
                with self.subTest(mode=mode, fields=fields):
                    self.assertEqual(self.ask(mode, fields), plain)

    def test_the_answers_are_the_same_in_company(self):
        plain = [self.ask("off", fields) for fields in ASKED]
        for mode in MODES[1:]:
            found = [None] * len(ASKED)

            def run(i, mode=mode, found=found):
                found[i] = self.ask(mode, ASKED[i])
            threads = [threading.Thread(target=run, args=[i]) for i in range(len(ASKED))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(found, plain, mode)

    def test_a_stream_says_the_same(self):
        plain = answers.stream(self.daemons["off"], self.body(ASKED[0])).frames()
        for mode in MODES[1:]:
            found = answers.stream(self.daemons[mode], self.body(ASKED[0]))
            self.assertEqual(found.frames(), plain, mode)

    def test_it_is_counted(self):
        for mode in MODES:
            self.ask(mode, ASKED[0])
            accepted, rejected = (self.daemons[mode].metric(RESULT % x)
                                  for x in ("accepted", "rejected"))
            if mode == "off":
                self.assertEqual((accepted, rejected), (0, 0))
            else:
                self.assertGreater(accepted, 0)


if __name__ == "__main__":
    wire.main()

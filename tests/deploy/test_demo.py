#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make demo` shows equal bytes, names the page last, and leaves nothing running."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import program  # noqa: E402

def demo(ssmd, **more):
    return subprocess.Popen(
        [sys.executable, program.ROOT / "deploy/demo.py", "--ssmd", ssmd, "--model",
         program.args.model, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True, env={**os.environ, **more})


class Demo(unittest.TestCase):
    def test_it_shows_what_it_promises(self):
        with demo(program.args.ssmd, DEMO_EXIT="1") as shown:
            text = shown.stdout.read()
            self.assertEqual(shown.wait(program.LIMIT), 0, text)
        self.assertIn("16 answers, 1 hash\n", text)
        self.assertIn("the same bytes\n", text)
        self.assertRegex(text, r"turn  2: +[\d.]+ ms\n +turn 20: +[\d.]+ ms\n")
        page = re.search(r"http://127\.0\.0\.1:\d+/$", text.strip())
        self.assertIsNotNone(page, text)
        with self.assertRaises(OSError):
            urllib.request.urlopen(page.group(0))

    def test_ctrl_c_ends_it_and_the_daemon(self):
        with demo(program.args.ssmd, PYTHONUNBUFFERED="1") as shown:
            shown.stdout.readline()
            self.assertIn("ready", shown.stdout.readline())
            children = pathlib.Path(f"/proc/{shown.pid}/task/{shown.pid}/children")
            daemon = pathlib.Path("/proc", children.read_text().split()[0])
            os.killpg(shown.pid, signal.SIGINT)  # as a terminal does
            self.assertNotIn("Traceback", shown.stdout.read())
            shown.wait(program.LIMIT)
        self.assertFalse(daemon.exists())


if __name__ == "__main__":
    program.main()

# SPDX-License-Identifier: Apache-2.0
"""The program under test, for scripts: --ssmd PATH and --model DIR, running it, counting.

A script ends with program.main(); that runs its unittest cases and prints "N passed, N failed"
last. Standard library only.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 240  # seconds for one run; generous, for sanitizers

_parser = argparse.ArgumentParser()
_parser.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
_parser.add_argument("--model", default=str(ROOT / "models/default"))
_parser.add_argument("names", nargs="*", help="unittest names, all by default")
args = _parser.parse_args()
args.ssmd = os.path.abspath(args.ssmd)
args.model = os.path.abspath(args.model)


def run(*words, env=None, **more):
    """Runs ssmd with an environment free of SSMD_*; returns what subprocess.run returns."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSMD_")}
    clean.update(env or {})
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([args.ssmd, *map(str, words)], env=clean, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=LIMIT, check=False, **more)


def main(module="__main__"):
    loader = unittest.defaultTestLoader
    suite = (loader.loadTestsFromNames(args.names, sys.modules[module]) if args.names
             else loader.loadTestsFromModule(sys.modules[module]))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    # A failed subtest names its test; a test counts once however many of its subtests failed.
    failed = len({getattr(t, "test_case", t).id() for t, _ in result.failures + result.errors})
    skipped = len(result.skipped)
    if skipped:
        print("skipped:", ", ".join(sorted({why for _, why in result.skipped})))
    print(f"{max(0, result.testsRun - failed - skipped)} passed, {failed} failed")
    sys.exit(1 if failed else 0)

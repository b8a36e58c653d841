#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test of the tree and counts.

    run.py --build build/test [--model models/default] [--only PATTERN] [--quick] [--style]
           [--junit FILE]

With --quick it is the short tests, which want nothing but python3. With --style layers.py and
lint.py are tests too, one each.

A test is a program: a C test under BUILD/tests (one per tests/**/test_*.c, and
tests/kernels/check_kernels), a Python script tests/{golden,wire,deploy,runner}/test_*.py or a
node script tests/clients/*/test_*.{js,mjs}, run by the node of its own node_modules where it has
one. Scripts get --ssmd BUILD/ssmd and --model DIR; those that set FAKE_* get BUILD/ssmd-fake, the
server over the stand-in engine of tests/fake. A tests/clients/*/compare.js or compare.py gets the
path of the C program beside it instead. As many programs run at a time as there are processors, the slowest
first, so that none of them runs alone at the end. A program says how many of its tests passed
and failed, as cmocka does or by a line "N passed, N failed". A program that says nothing, is not there,
runs too long, or leaves a sanitizer's report counts as one failure. Output is shown only of
programs that failed. The last line is "N passed, N failed"; the exit status is 1 when any
failed or nothing was found.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import junit

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ["tests/golden/test_*.py", "tests/wire/test_*.py", "tests/clients/*/test_*.py",
           "tests/clients/*/test_*.js", "tests/clients/*/test_*.mjs",
           "tests/clients/*/compare.js", "tests/clients/*/compare.py", "tests/deploy/test_*.py",
           "tests/runner/test_*.py"]
STYLE = ["tests/layers.py", "tests/lint.py"]  # tests by their exit status
KERNELS = ROOT / "tests/kernels/check_kernels.c"
SLOWEST = ["tests/golden/test_golden.py", "tests/clients/tokenizer/compare.js",
           "tests/clients/template/compare.py", "tests/clients/marks/compare.py",
           "tests/engine/test_equality", "tests/wire/test_states.py",
           "tests/wire/test_load_leave.py"]
# Left out by --quick: what takes more than a few seconds, or wants more than python3.
SLOW = re.compile(r"test_equality$|^tests/(golden|clients|deploy)/"
                  r"|^tests/wire/(?!test_(cli|status|process|stream)\.py)")
SHOWN_LINES = 200

CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] (\d+) test\(s\)", re.M)
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed", re.M)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/test")
    parser.add_argument("--model", default="models/default")
    parser.add_argument("--only", default="", help="regular expression over test names")
    parser.add_argument("--quick", action="store_true", help="the short tests only")
    parser.add_argument("--style", action="store_true", help="layers and lint, too")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--timeout", type=float, default=0, help="seconds for one program")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def given(args, script):
    """The arguments of a script."""
    build = ROOT / args.build
    if script.stem == "compare":
        return [str(build / c.relative_to(ROOT).with_suffix(""))
                for c in sorted(script.parent.glob("*.c"))]
    fake = "FAKE_" in script.read_text(encoding="utf-8")
    return ["--ssmd", str(build / ("ssmd-fake" if fake else "ssmd")),
            "--model", str(ROOT / args.model)]


def node(folder):
    """The node that a client's folder brings, where Debian's is too old for it."""
    own = sorted(folder.glob("node_modules/node-linux-*/bin/node"))
    return str(own[0]) if own else "node"


def commands(args):
    """(name, command, working folder) of every test, the slowest first."""
    found = [(name, [sys.executable, str(ROOT / name)], ROOT) for name in STYLE if args.style]
    for source in sorted(ROOT.glob("tests/**/test_*.c")) + [KERNELS]:
        name = source.relative_to(ROOT).with_suffix("")
        found.append((str(name), [str(ROOT / args.build / name)], ROOT))
    for pattern in SCRIPTS:
        for script in sorted(ROOT.glob(pattern)):
            program = sys.executable if script.suffix == ".py" else node(script.parent)
            folder = ROOT if script.suffix == ".py" else script.parent
            found.append((str(script.relative_to(ROOT)),
                          [program, str(script)] + given(args, script), folder))
    keep = re.compile(args.only)
    found.sort(key=lambda c: SLOWEST.index(c[0]) if c[0] in SLOWEST else len(SLOWEST))
    return [c for c in found
            if keep.search(c[0]) and not (args.quick and SLOW.search(c[0]))]


def environment(reports):
    """Sanitizers write into files, so that a daemon's report is not lost with its stderr."""
    found = dict(os.environ, PYTHONUNBUFFERED="1")
    for name in list(found):
        if name.startswith("SSMD_"):
            del found[name]
    common = f"log_path={reports}/report:exitcode=99:"
    found["ASAN_OPTIONS"] = common + "detect_leaks=1:" + found.get("ASAN_OPTIONS", "")
    found["UBSAN_OPTIONS"] = common + "print_stacktrace=1:" + found.get("UBSAN_OPTIONS", "")
    supp = ROOT / "tests/tsan.supp"
    found["TSAN_OPTIONS"] = (common + (f"suppressions={supp}:" if supp.exists() else "") +
                             found.get("TSAN_OPTIONS", ""))
    return found


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def execute(command, folder, timeout):
    """(exit status or None after a timeout, output, sanitizers' reports)."""
    with tempfile.TemporaryDirectory(prefix="ssmd-reports-") as reports:
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(command, cwd=folder, env=environment(reports), stdout=out,
                                       stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                                       start_new_session=True)
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                status = None
            kill_group(process)  # whatever it started and left behind
            process.wait()
            out.seek(0)
            text = out.read().decode("utf-8", "replace")
        found = [p.read_text(errors="replace") for p in sorted(pathlib.Path(reports).iterdir())]
    return status, text, "\n".join(found)


def count(text):
    """(passed, failed) as the program itself says, None when it says nothing."""
    passed = [int(n) for n in CMOCKA_PASSED.findall(text)]
    failed = [int(n) for n in CMOCKA_FAILED.findall(text)]
    summaries = SUMMARY.findall(text)
    if summaries and not passed:
        return int(summaries[-1][0]), int(summaries[-1][1])
    if passed or failed:
        return sum(passed), sum(failed)
    return None


def judge(name, status, text, reports, timeout):
    """(passed, failed, what went wrong besides)."""
    counted = count(text)
    if name in STYLE:
        counted = (1, 0) if status == 0 else (0, 1)
    passed, failed = counted or (0, 0)
    wrong = ""
    if status is None:
        wrong = f"killed after {timeout:.0f} s"
    elif status < 0:
        wrong = f"died of signal {-status}"
    elif reports:
        wrong = "a sanitizer reported"
    elif counted is None:
        wrong = "counted nothing"
    elif status != 0 and failed == 0:
        wrong = f"exit status {status}"
    elif passed + failed == 0:
        wrong = "ran no test"
    return passed, failed + bool(wrong), wrong


Result = collections.namedtuple("Result", "name passed failed wrong seconds text")


def run_one(entry, timeout):
    name, command, folder = entry
    began = time.monotonic()
    if not shutil.which(command[0]):
        status, text, reports = 127, f"{command[0]}: not found\n", ""
    else:
        status, text, reports = execute(command, folder, timeout)
    passed, failed, wrong = judge(name, status, text, reports, timeout)
    return Result(name, passed, failed, wrong, time.monotonic() - began, text + reports)


def show(result):
    line = f"{'FAIL' if result.failed else 'ok  '} {result.name}: {result.passed} passed"
    line += f", {result.failed} failed" if result.failed else ""
    line += f" ({result.wrong})" if result.wrong else ""
    line += f"  [{result.seconds:.1f} s]"
    if result.failed:
        line += "".join(f"\n    | {t}" for t in result.text.splitlines()[-SHOWN_LINES:])
    print(line, flush=True)
    return result


def main():
    args = arguments()
    slow = 4 if re.search(r"asan|ubsan|tsan", args.build) else 1
    timeout = args.timeout or 900 * slow
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        runs = [pool.submit(run_one, entry, timeout) for entry in commands(args)]
        results = [show(run.result()) for run in concurrent.futures.as_completed(runs)]
    if args.junit:
        junit.write(args.junit, results)
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    if passed + failed == 0:
        print("no test was found")
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

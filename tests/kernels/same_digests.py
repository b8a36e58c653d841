#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two builds of check_kernels, for two processors, give the same bits.

    same_digests.py PROGRAM OTHER [ARGUMENT …]

Runs PROGRAM, then OTHER with its arguments (an emulator's are the program and its own), and
compares the digest of each kernel's outputs. Shows what OTHER prints and ends with "N passed,
N failed", kernels of OTHER's levels and digests together; the exit status is 1 when any failed.
"""
import re
import subprocess
import sys

LINE = re.compile(r"^(?:ok  |FAIL) (.*?) +\d+ cases, digest (\w+):")
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed")


def run(command, show):
    """(digests by kernel, passed, failed) of one program; one more failed if it died."""
    digests, passed, failed = {}, 0, 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            kernel, summary = LINE.match(line), SUMMARY.match(line)
            if kernel:
                digests[kernel[1]] = kernel[2]
            if summary:
                passed, failed = int(summary[1]), int(summary[2])
            elif show:
                print(line, end="", flush=True)
    return digests, passed, failed + (process.returncode != 0 and failed == 0)


def main():
    here, _, wrong = run(sys.argv[1:2], show=False)
    there, passed, failed = run(sys.argv[2:], show=True)
    names = sorted(here.keys() | there.keys())
    differ = [name for name in names if here.get(name) != there.get(name)]
    for name in differ:
        print(f"FAIL {name}: digest {here.get(name)} here, {there.get(name)} there")
    print(f"{len(names) - len(differ)} of {len(names)} kernels give the same digest on both")
    if wrong:
        print("FAIL: the check of this processor's own sets")
    passed, failed = passed + len(names) - len(differ), failed + len(differ) + bool(wrong)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

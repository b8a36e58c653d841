#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two builds of ssmd, for two processors, write the same logits.

    same_bits.py SSMD OTHER [ARGUMENT ...]

Runs `logits` of every golden model, in several formats, by SSMD and by OTHER with its arguments
(an emulator's are the program and its own) and compares the bytes. Prints "N passed, N failed";
the exit status is 1 when any differ.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FORMATS = [[], ["--weights", "bf16"], ["--weights", "q8", "--kv", "q8"],
           ["--weights", "q4", "--kv", "f16"]]


def logits(ssmd, folder, options):
    """The bytes written, or what the program said instead."""
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(
            ssmd + ["logits", "--model", str(folder), "--ids", ",".join(map(str, golden["ids"])),
                    "--context", str(golden["context"]), "--out", out.name] + options,
            capture_output=True, text=True, check=False)
        return pathlib.Path(out.name).read_bytes() if done.returncode == 0 else done.stderr


def compare(case):
    """What is wrong with a case; nothing when both wrote the same bytes."""
    folder, options = case
    here, there = logits(sys.argv[1:2], folder, options), logits(sys.argv[2:], folder, options)
    if not isinstance(here, bytes) or not isinstance(there, bytes):
        return "; ".join(x.strip() for x in (here, there) if isinstance(x, str))
    if here != there:
        n = sum(here[i:i + 4] != there[i:i + 4] for i in range(0, len(here), 4))
        return f"{n} of {len(here) // 4} logits differ"
    return "" if here else "no logits"


def main():
    folders = sorted(path.parent for path in HERE.glob("*/golden.json"))
    cases = [(folder, options) for folder in folders for options in FORMATS]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for (folder, options), wrong in zip(cases, pool.map(compare, cases)):
            if wrong:
                failed += 1
                print(f"FAIL {folder.name} {' '.join(options)}: {wrong}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())

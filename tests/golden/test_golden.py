#!/usr/bin/env python3
"""`ssmd logits` against the golden files, and the promise that nothing changes a bit.

Each folder holds a tiny random model with the float64 logits of models/recipe/reference.py.
For every one of them: max |difference| <= 1e-4 max |logit|, the greedy ids are the reference's,
and any --split, --step-rows, --threads and --cpu write the same bytes.
"""
import array
import json
import pathlib
import random
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import program  # noqa: E402

TOLERANCE = 1e-4  # times max |logit|


def read_floats(path, kind):
    values = array.array(kind)
    values.frombytes(pathlib.Path(path).read_bytes())
    return values


def kernel_sets():
    """The sets that this processor runs."""
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    sets = ["c"]
    if {"avx2", "fma", "f16c"} <= set(flags):
        sets.append("avx2")
    if "avx2" in sets and {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(flags):
        sets.append("avx512")
    return sets


def cuts(n, seed):
    """Ways of writing n as a sum: single tokens, odd pieces, one piece and a rest, random."""
    rng = random.Random(seed)
    ways = [[1] * n, [n], [1, n - 1], [n - 1, 1]]
    for step in (2, 7, 16, 33):
        ways.append([step] * (n // step) + ([n % step] if n % step else []))
    for _ in range(3):
        way = []
        while sum(way) < n:
            way.append(rng.randint(1, min(n - sum(way), rng.choice((3, 20)))))
        ways.append(way)
    return ways


class Case:
    def __init__(self, folder):
        self.folder = folder
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        self.ids, self.greedy, self.context = golden["ids"], golden["greedy"], golden["context"]
        self.wanted = read_floats(folder / "logits.f64", "d")
        self.vocab = len(self.wanted) // len(self.ids)
        self.scale = max(map(abs, self.wanted))
        self.base = None

    def logits(self, *more):
        """The bytes written by one run."""
        with tempfile.NamedTemporaryFile() as out:
            done = program.run("logits", "--model", self.folder, "--ids",
                               ",".join(map(str, self.ids)), "--context", self.context,
                               "--out", out.name, *more)
            if done.returncode:
                raise AssertionError(f"{more}: {done.stderr.decode()}")
            return pathlib.Path(out.name).read_bytes()

    def plain(self):
        if self.base is None:
            self.base = self.logits()
        return self.base

    def next_ids(self, n, *more):
        done = program.run("logits", "--model", self.folder, "--ids",
                           ",".join(map(str, self.ids)), "--context", self.context,
                           "--greedy", n, *more)
        if done.returncode:
            raise AssertionError(done.stderr.decode())
        return json.loads(done.stdout)


class GoldenTest(unittest.TestCase):
    """Its methods are made below, one per folder and promise."""

    def near_the_reference(self, case, raw):
        found = array.array("f")
        found.frombytes(raw)
        self.assertEqual(len(found), len(case.wanted), "expected f32 [T,V]")
        worst = max(abs(a - b) for a, b in zip(found, case.wanted))
        self.assertLessEqual(worst, TOLERANCE * case.scale)

    def check_reference(self, case):
        self.near_the_reference(case, case.plain())

    def check_blas(self, case):
        self.near_the_reference(case, case.logits("--math", "blas"))

    def check_greedy(self, case):
        found = case.next_ids(len(case.greedy))
        self.assertEqual(len(found), len(case.greedy))
        self.assertEqual(found, case.greedy)
        half = len(case.ids) // 2
        self.assertEqual(case.next_ids(3, "--split", f"{half},{len(case.ids) - half}"), found[:3])

    def check_split(self, case):
        for way in cuts(len(case.ids), case.folder.name):
            raw = case.logits("--split", ",".join(map(str, way)))
            self.assertTrue(raw == case.plain(), f"--split {way} changes bits")
        for rows in (1, 5, 64):
            raw = case.logits("--step-rows", rows)
            self.assertTrue(raw == case.plain(), f"--step-rows {rows} changes bits")

    def check_cpu(self, case):
        for name in kernel_sets():
            self.assertTrue(case.logits("--cpu", name) == case.plain(), f"--cpu {name}")

    def check_threads(self, case):
        for n in (1, 2, 3, 8):
            self.assertTrue(case.logits("--threads", n) == case.plain(), f"--threads {n}")


class KernelSetTest(unittest.TestCase):
    def test_the_sets_that_this_processor_lacks_are_refused(self):
        folder = next(HERE.glob("llama-default"))
        for name in {"avx2", "avx512"} - set(kernel_sets()):
            done = program.run("logits", "--model", folder, "--ids", "1", "--cpu", name,
                               "--out", "/dev/null")
            self.assertEqual(done.returncode, 2)
            self.assertIn(name, done.stderr.decode())

    def test_there_is_a_golden_file_of_every_architecture(self):
        kinds = {json.loads(p.read_text(encoding="utf-8"))["model_type"]
                 for p in HERE.glob("*/config.json")}
        self.assertLessEqual({"TransXSSM", "pha", "llama"}, kinds)


def make_tests():
    for golden in sorted(HERE.glob("*/golden.json")):
        case = Case(golden.parent)
        for check in [name for name in dir(GoldenTest) if name.startswith("check_")]:
            method = getattr(GoldenTest, check)
            name = f"test_{case.folder.name}_{check[6:]}".replace("-", "_")
            setattr(GoldenTest, name, lambda self, m=method, c=case: m(self, c))


make_tests()

if __name__ == "__main__":
    program.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`ssmd logits` against the golden files, and the promise that nothing changes a bit.

Each folder holds a tiny random model with the float64 logits of models/recipe/reference.py.
For every one of them: max |difference| <= 1e-4 max |logit|, the greedy ids are the reference's,
and any --split, --step-rows, --threads and --cpu write the same bytes; so they do with matrices
held as bf16, q8 and q4, and quantising ahead gives the bytes of quantising while loading.
Folders of public families hold what transformers made of them (models/recipe/public_golden.py);
the same model under its makers' names of keys and tensors gives the same bytes.
"""
import array
import json
import math
import pathlib
import random
import re
import statistics
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import program  # noqa: E402

sys.path.insert(0, str(program.ROOT / "models/recipe"))
import hub_spelling  # noqa: E402

TOLERANCE = 1e-4  # times max |logit|


def read_floats(path, kind):
    values = array.array(kind)
    values.frombytes(pathlib.Path(path).read_bytes())
    return values


# What each set asks of the processor, in the words of /proc/cpuinfo.
SETS = {"c": set(), "avx2": {"avx2", "fma", "f16c"}, "avxvnni": {"avx2", "fma", "avx_vnni"},
        "avx512": {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"},
        "vnni": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"},
        "neon": {"asimd", "asimddp"}}


def kernel_sets():
    """The sets that this processor runs."""
    flags = set(pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    return [name for name, needs in SETS.items() if needs <= flags]


def log_softmax(row):
    top = max(row)
    rest = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - rest for x in row]


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
    def __init__(self, folder, model=None):
        self.folder, self.name = folder, folder.name
        self.source = ("--model", model or folder)
        self.public = (folder / "config.hub.json").exists()
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        self.ids, self.greedy, self.context = golden["ids"], golden["greedy"], golden["context"]
        self.wanted = read_floats(folder / "logits.f64", "d")
        self.vocab = len(self.wanted) // len(self.ids)
        self.scale = max(map(abs, self.wanted))
        self.bases = {}

    def logits(self, *more):
        """The bytes written by one run."""
        with tempfile.NamedTemporaryFile() as out:
            done = program.run("logits", *self.source, "--ids",
                               ",".join(map(str, self.ids)), "--context", self.context,
                               "--out", out.name, *more)
            if done.returncode:
                raise AssertionError(f"{more}: {done.stderr.decode()}")
            return pathlib.Path(out.name).read_bytes()

    def plain(self):
        return self.held("own")

    def held(self, weights):
        """The bytes with matrices held as this type, by one plain run."""
        if weights not in self.bases:
            self.bases[weights] = self.logits("--weights", weights)
        return self.bases[weights]

    def excess(self, weights):
        """By how much text that the f32 model writes is more perplexing to the same model with
        these weights: exp of the mean divergence of their predictions, less 1. No text is
        drawn: the sum is over all that might follow."""
        known, found = (array.array("f"), array.array("f"))
        known.frombytes(self.held("f32"))
        found.frombytes(self.held(weights))
        nats = 0
        for t in range(0, len(known), self.vocab):
            p, q = log_softmax(known[t:t + self.vocab]), log_softmax(found[t:t + self.vocab])
            nats += sum(math.exp(a) * (a - b) for a, b in zip(p, q))
        return math.exp(nats / len(self.ids)) - 1

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

    def check_published(self, case):
        with tempfile.TemporaryDirectory() as out:
            golden = json.loads((case.folder / "golden.json").read_text(encoding="utf-8"))
            hub_spelling.write_twin(case.folder, golden, out)
            self.assertTrue(Case(case.folder, model=out).plain() == case.plain())

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

    def check_ways(self, case):
        """Cuts, row budgets, sets and threads, each with some of the others."""
        ways = [["--split", ",".join(map(str, way))] for way in cuts(len(case.ids), case.name)]
        ways += [["--step-rows", rows] for rows in (1, 5, 64)]
        sets = kernel_sets()
        for i, way in enumerate(ways):
            way += ["--cpu", sets[i % len(sets)], "--threads", (3, 1, 8, 2)[i % 4]]
            self.assertTrue(case.logits(*way) == case.plain(), f"{way} change bits")

    def check_threads(self, case):
        for n in (1, 2, 3, 8):
            self.assertTrue(case.logits("--threads", n) == case.plain(), f"--threads {n}")


    def same_bytes(self, case, weights):
        """Sets, threads, cuts and row budgets, several of them in one run."""
        ways = cuts(len(case.ids), case.name)
        sets = kernel_sets() * (1 if weights == "bf16" or case.public else 2)
        for i, name in enumerate(sets):
            more = ["--cpu", name, "--threads", (3, 1, 8, 2)[i % 4]]
            if i % 3:
                more += ["--split", ",".join(map(str, ways[i % len(ways)]))]
            else:
                more += ["--step-rows", (1, 5, 64)[i // 3 % 3]]
            raw = case.logits("--weights", weights, *more)
            self.assertTrue(raw == case.held(weights), f"{weights}: {more} change bits")

    def check_bf16(self, case):
        self.same_bytes(case, "bf16")

    def check_q8(self, case):
        self.same_bytes(case, "q8")

    def check_q4(self, case):
        """Matrices this small are q8 under q4; ShapeTest has larger ones."""
        self.assertTrue(case.held("q4") == case.held("q8"))

    def check_f32(self, case):
        self.near_the_reference(case, case.held("f32"))

    def check_quantised_ahead(self, case):
        for weights in ("q8", "bf16") if case.public else ("q8", "q4", "bf16"):
            with tempfile.TemporaryDirectory() as parent:
                out = pathlib.Path(parent) / "out"
                done = program.run("quantize", case.folder, out, "--weights", weights)
                self.assertEqual(done.returncode, 0, done.stderr)
                ahead = Case(case.folder, model=out)
                for asked in ("own", weights):
                    self.assertTrue(ahead.held(asked) == case.held(weights),
                                    f"{weights} ahead, --weights {asked}")


# Random weights of shapes whose matrices are large enough for q4, with sizes that fill
# neither panels nor groups.
ODD = {"vocab_size": 70, "hidden_size": 372, "num_attention_heads": 6, "num_hidden_layers": 2,
       "intermediate_size": 420, "max_position_embeddings": 128, "rms_norm_eps": 1e-6}
SHAPES = {
    "llama": {"model_type": "llama", "num_key_value_heads": 6, "attention_bias": True},
    "transxssm": {"model_type": "TransXSSM", "attn_layer_period": 2, "attn_layer_offset": 1},
    "pha-dss": {"model_type": "pha", "gss_kind": "dss", "gss_gate_size": 400,
                "gss_hidden_size": 368, "gss_state_size": 16, "aux_intermediate_size": 390},
    "gss_hybrid": {"model_type": "gss_hybrid", "attention_layers": [1], "gss_gate_size": 400,
                   "gss_hidden_size": 368, "gss_state_size": 16},
    "hedgehog": {"model_type": "hedgehog", "num_key_value_heads": 2, "feature_dim": 21},
    "h3": {"model_type": "h3", "attn_layer_idx": [1], "ssm_state_size": 14},
    "qwen3_5_text": {"model_type": "qwen3_5_text", "num_key_value_heads": 2, "head_dim": 72,
                     "full_attention_interval": 2, "linear_num_key_heads": 3,
                     "linear_num_value_heads": 6, "linear_key_head_dim": 46,
                     "linear_value_head_dim": 74},
    "olmo_hybrid": {"model_type": "olmo_hybrid", "linear_num_value_heads": 12},
    "mamba2": {"model_type": "mamba2", "num_heads": 12, "head_dim": 62, "state_size": 14,
               "n_groups": 3},
    "granitemoehybrid": {"model_type": "granitemoehybrid", "layer_types": ["mamba", "attention"],
                         "mamba_n_heads": 12, "mamba_d_head": 62, "mamba_d_state": 14,
                         "mamba_n_groups": 3, "shared_intermediate_size": 420,
                         "num_local_experts": 0, "num_key_value_heads": 3},
    "falcon_h1": {"model_type": "falcon_h1", "mamba_d_ssm": 372, "mamba_n_heads": 6,
                  "mamba_d_head": 62, "mamba_d_state": 14, "mamba_n_groups": 2,
                  "num_key_value_heads": 2},
    "nemotron_h": {"model_type": "nemotron_h", "hybrid_override_pattern": "M*-",
                   "mamba_num_heads": 12, "mamba_head_dim": 62, "ssm_state_size": 14,
                   "n_groups": 3, "head_dim": 66, "num_key_value_heads": 2},
    "lfm2": {"model_type": "lfm2", "layer_types": ["conv", "full_attention"],
             "num_key_value_heads": 2},
    "mistral": {"model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 19},
    "gemma3_text": {"model_type": "gemma3_text", "num_key_value_heads": 2, "head_dim": 70,
                    "sliding_window": 19, "sliding_window_pattern": 2},
    "pha-gated": {"model_type": "pha", "gss_kind": "gated", "gss_state_size": 400,
                  "aux_intermediate_size": 390},
}


class ShapeCase(Case):
    def __init__(self, name, path):
        self.name, self.source, self.bases, self.public = name, ("--shape", path), {}, False
        self.ids, self.context = [i * 31 % ODD["vocab_size"] for i in range(45)], 128


class ShapeTest(unittest.TestCase):
    """One method a shape, made below."""

    same_bytes = GoldenTest.same_bytes

    def check(self, name):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "shape.json"
            path.write_text(json.dumps({**ODD, **SHAPES[name]}), encoding="utf-8")
            case = ShapeCase(name, path)
            self.assertFalse(case.held("q4") == case.held("q8"))
            for weights in ("q8", "q4"):
                self.same_bytes(case, weights)


class QualityTest(unittest.TestCase):
    """Formats against f32. These models are random and 24 to 36 wide, so that a single one may
    magnify an error without limit: what is bounded is the middle of them, by what a trained
    model must keep (tests/bench/quality.py measures that)."""

    def excess(self, weights):
        return statistics.median(case.excess(weights) for case in CASES)

    def test_bf16(self):
        self.assertLessEqual(self.excess("bf16"), 0.0002)

    def test_q8(self):
        self.assertLessEqual(self.excess("q8"), 0.002)

    def test_q4(self):
        self.assertLessEqual(self.excess("q4"), 0.03)


class KernelSetTest(unittest.TestCase):
    def test_the_sets_that_this_processor_lacks_are_refused(self):
        folder = next(HERE.glob("llama-default"))
        for name in sorted(set(SETS) - set(kernel_sets())):
            done = program.run("logits", "--model", folder, "--ids", "1", "--cpu", name,
                               "--out", "/dev/null")
            self.assertEqual(done.returncode, 2)
            self.assertIn(name, done.stderr.decode())

    def test_there_is_a_golden_file_of_every_architecture(self):
        kinds = {json.loads(p.read_text(encoding="utf-8"))["model_type"]
                 for p in HERE.glob("*/config.json")}
        page = (program.ROOT / "docs/MODELS.md").read_text(encoding="utf-8")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"model_type": "none"}')
            file.flush()
            text = program.run("check", "--sizes", "--shape", file.name).stderr.decode()
        served = re.search(r"expected (.*), found", text)[1].replace(" or ", ", ").split(", ")
        self.assertGreater(len(served), 10)
        for kind in served:
            self.assertIn(kind, kinds)
            self.assertIn(f"`{kind}`", page.partition("## What was checked")[0])


CASES = [Case(golden.parent) for golden in sorted(HERE.glob("*/golden.json"))]


# Folders that were made here have one spelling; public ones, of which there are many, are run
# in several ways at once, or the launches alone would take minutes.
PUBLIC = {"check_published", "check_ways"}
OURS = {"check_split", "check_cpu", "check_threads"}


def make_tests():
    for case in CASES:
        for check in [name for name in dir(GoldenTest) if name.startswith("check_")]:
            if check in (OURS if case.public else PUBLIC):
                continue
            method = getattr(GoldenTest, check)
            name = f"test_{case.folder.name}_{check[6:]}".replace("-", "_")
            setattr(GoldenTest, name, lambda self, m=method, c=case: m(self, c))


make_tests()
for shape in SHAPES:
    setattr(ShapeTest, f"test_{shape}".replace("-", "_"),
            lambda self, name=shape: self.check(name))

if __name__ == "__main__":
    program.main()

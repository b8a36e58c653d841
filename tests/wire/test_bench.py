#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`ssmd bench` and shape files from outside: the object's form, what it counts, refusals.

Bytes and operations are counted here a second time, from the shape's sizes alone. No time is
asserted: only that what is derived from it agrees with itself.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import program  # noqa: E402

SHAPES = program.ROOT / "configs/shapes"
NAMES = ["llama-125m", "llama-320m", "transxssm-125m", "transxssm-320m", "pha-dss-125m",
         "pha-gated-125m", "pha-180m", "attention-180m"]
# Of public models and of the papers' baselines: million parameters, and how to make them small.
PUBLIC = {
    "falcon-h1-0.5b": (521.41, {"num_hidden_layers": 2}),
    "granite-4-h-1b": (1461.54, {"num_hidden_layers": 2, "layer_types": ["mamba", "attention"]}),
    "granite-4-h-350m": (340.33, {"num_hidden_layers": 2, "layer_types": ["mamba", "attention"]}),
    "gss-125m": (124.58, {"num_hidden_layers": 2, "attention_layers": [1]}),
    "h3-125m": (126.38, {"num_hidden_layers": 2, "attn_layer_idx": [1]}),
    "hedgehog-125m": (125.85, {"num_hidden_layers": 1}),
    "lfm2-1.2b": (1170.34, {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]}),
    "lfm2-350m": (354.48, {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]}),
    "mamba2-140m": (139.52, {"num_hidden_layers": 2}),
    "nemotron-h-4b": (4489.22, {"num_hidden_layers": 3, "hybrid_override_pattern": "M-*"}),
    "qwen3.5-0.8b": (752.39, {"num_hidden_layers": 4}),
    "qwen3.5-2b": (1881.83, {"num_hidden_layers": 4}),
}
SMALL = {"vocab_size": 96, "max_position_embeddings": 512}
RESULT_KEYS = {"shape", "case", "format", "sequences", "depth", "tokens_s", "bytes_per_token",
               "ops_per_token", "of_memory_limit", "of_compute_limit"}
KV_BYTES = {"f32": 4, "f16": 2, "q8": 34 / 32}

BASE = {"vocab_size": 96, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 96, "max_position_embeddings": 512,
        "tie_word_embeddings": False}
TINY = {
    "llama": {**BASE, "model_type": "llama"},
    "transxssm": {**BASE, "model_type": "TransXSSM", "attn_layer_period": 3,
                  "attn_layer_offset": 1, "ssd_state_dim": 24},
    "dss": {**BASE, "model_type": "pha", "aux_intermediate_size": 32, "gss_kind": "dss",
            "gss_gate_size": 128, "gss_hidden_size": 20, "gss_state_size": 24},
    "gated": {**BASE, "model_type": "pha", "aux_intermediate_size": 32, "gss_kind": "gated",
              "gss_state_size": 80, "tie_word_embeddings": True},
}


class Sizes:
    """What a shape has: matrices, other parameters, recurrent state, K/V, by hand."""

    def __init__(self, c):
        self.c, d = c, c["hidden_size"]
        self.v, self.d = c["vocab_size"], d
        self.heads, self.kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
        self.hd = d // self.heads
        self.matrices = []    # (outputs, inputs) of the layers
        self.vectors = d      # parameters in no matrix; the last norm
        self.coefficients = 0  # f32 values beside matrices that a step reads
        self.state = 0        # bytes of fixed state
        self.filling = 0      # bytes that fill it up in memory
        self.state_ops = 0    # of the recurrences, a token
        self.attention_layers = 0
        for i in range(c["num_hidden_layers"]):
            getattr(self, c["model_type"].lower())(i)
        self.head = (self.v, d)
        tied = c["tie_word_embeddings"]
        self.parameters = (sum(o * i for o, i in self.matrices) + self.vectors +
                           self.v * d * (1 if tied else 2))

    def attention(self):
        self.attention_layers += 1
        wide, narrow = self.heads * self.hd, self.kv_heads * self.hd
        self.matrices += [(wide, self.d), (narrow, self.d), (narrow, self.d), (self.d, wide)]

    def ffn(self, size):
        self.matrices += [(size, self.d), (size, self.d), (self.d, size)]

    def llama(self, _):
        self.vectors += 2 * self.d
        self.attention()
        self.ffn(self.c["intermediate_size"])

    def transxssm(self, i):
        self.vectors += 4 * self.d
        self.ffn(self.c["intermediate_size"])
        if i % self.c["attn_layer_period"] == self.c["attn_layer_offset"]:
            return self.attention()
        n, h = self.c["ssd_state_dim"], self.heads
        self.matrices += [(h * n, self.d), (h * n, self.d), (self.d, self.d), (h, self.d),
                          (self.d, self.d)]
        self.vectors += h
        self.state += h * n * self.hd * 4
        self.state_ops += 5 * h * n * self.hd
        return None

    def pha(self, _):
        c = self.c
        self.vectors += 5 * self.d + 3 + self.heads
        self.attention()
        self.ffn(c["intermediate_size"])
        self.ffn(c["aux_intermediate_size"])
        n = c["gss_state_size"]
        if c["gss_kind"] == "gated":
            self.matrices += [(n, self.d)] * 3 + [(self.d, n)]
            self.vectors += n
            self.state += 4 * n
            self.state_ops += 3 * n
            return
        gate, ch = c["gss_gate_size"], c["gss_hidden_size"]
        self.matrices += [(gate, self.d), (ch, self.d), (gate, ch), (self.d, gate)]
        self.vectors += 2 * ch + 2 * n + 2 * ch * n + ch
        self.coefficients += 2 * ch * n
        self.state += 2 * 4 * n * ch
        self.filling += 2 * 4 * n * (-ch % 16)
        self.state_ops += 11 * ch * n

    def step(self, n_seqs, rows, depth, sampled, kv):
        """(bytes, operations) of a step in f32."""
        weights = sum(o * i for o, i in self.matrices)
        total = 4 * (weights + self.coefficients) + 2 * n_seqs * self.state
        ops = 2 * weights * n_seqs * rows + self.state_ops * n_seqs * rows
        if sampled:
            total += 4 * self.v * self.d
            ops += 2 * self.v * self.d * sampled
        for _ in range(self.attention_layers):
            total += n_seqs * (depth + rows) * 2 * self.kv_heads * self.hd * KV_BYTES[kv]
            for row in range(rows):
                ops += n_seqs * 4 * self.heads * self.hd * (depth + row + 1)
        return total, ops


class BenchCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def shape(self, which, **changes):
        path = self.dir / f"tiny-{which}.json"
        path.write_text(json.dumps({**TINY[which], **changes}), encoding="utf-8")
        return path

    def bench(self, *words, **more):
        done = program.run("bench", "--runs", "2", "--threads", "2", *words, **more)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def results(self, *words, **more):
        return json.loads(self.bench("--json", *words, **more))

    def refused(self, *words, says):
        done = program.run("bench", *words)
        self.assertEqual(done.returncode, 2, done.stderr.decode())
        self.assertEqual(done.stdout, b"")
        for word in says:
            self.assertIn(word, done.stderr.decode())


class CountTest(BenchCase):
    def check_row(self, found, row, sizes, step_rows):
        """Bytes and operations of the whole run, step by step."""
        n, tokens, depth = row["sequences"], row["tokens"], row["depth"]
        steps = [(1, depth + 1 + i, n) for i in range(tokens)]
        if row["case"] == "prefill":
            cuts = range(0, tokens, step_rows)
            steps = [(min(step_rows, tokens - at), depth + at, at + step_rows >= tokens)
                     for at in cuts]
        sums = [0, 0]
        for rows, at, sampled in steps:
            for i, x in enumerate(sizes.step(n, rows, at, int(sampled), row["kv"])):
                sums[i] += x
        self.assertAlmostEqual(row["bytes_per_token"] * n * tokens / sums[0], 1, 9)
        self.assertAlmostEqual(row["ops_per_token"] * n * tokens / sums[1], 1, 9)
        limits = found["limits"]
        seconds = 1 / row["tokens_s"]
        self.assertAlmostEqual(
            row["of_memory_limit"] * seconds * limits["memory_gb_s"] * 1e9 /
            row["bytes_per_token"], 1, 9)
        self.assertAlmostEqual(
            row["of_compute_limit"] * seconds * limits["f32_gflop_s"] * 1e9 /
            row["ops_per_token"], 1, 9)
        held = sizes.state + sizes.filling
        self.assertGreaterEqual(row["state_bytes"], held)
        self.assertLess(row["state_bytes"], held + 1024)  # and what aligns it

    def test_bytes_and_operations_of_every_architecture(self):
        for which, config in TINY.items():
            with self.subTest(which):
                found = self.results("--shape", self.shape(which), "--prefill", "10,150",
                                     "--decode", "1,3", "--depth", "0,50", "--step-rows", "64")
                self.assertEqual(len(found["results"]), 8)
                for row in found["results"]:
                    self.check_row(found, row, Sizes(config), 64)

    def test_pages_count_by_their_type(self):
        for kv in ["f16", "q8"]:
            found = self.results("--shape", self.shape("llama"), "--decode", "2", "--depth",
                                 "100", "--kv", kv)
            self.assertEqual(found["results"][0]["kv"], kv)
            self.check_row(found, found["results"][0], Sizes(TINY["llama"]), 256)


class ObjectTest(BenchCase):
    def test_the_object_alone(self):
        found = self.results("--shape", self.shape("llama"), "--prefill", "20", "--decode",
                             "1,2", "--depth", "7", "--format", "f32,bf16")
        self.assertTrue({"limits", "results"} <= set(found))
        self.assertEqual(set(found["limits"]), {"memory_gb_s", "f32_gflop_s", "int8_gop_s"})
        self.assertTrue(all(x > 0 for x in found["limits"].values()))
        rows = found["results"]
        self.assertEqual([(r["case"], r["sequences"], r["format"]) for r in rows],
                         [(c, n, f) for c, n in [("prefill", 1), ("decode", 1), ("decode", 2)]
                          for f in ["f32", "bf16"]])
        for row in rows:
            self.assertTrue(RESULT_KEYS <= set(row), row)
            self.assertEqual((row["shape"], row["depth"]), ("tiny-llama", 7))
            self.assertEqual(len(row["runs"]), 2)
            self.assertAlmostEqual(row["tokens_s"] * (1 / row["runs"][0] + 1 / row["runs"][1]),
                                   2, 9)
            for key in ["tokens_s", "bytes_per_token", "ops_per_token", "of_memory_limit",
                        "of_compute_limit", "memory_bytes", "resident_bytes"]:
                self.assertGreater(row[key], 0, key)

    def test_formats_weigh_what_they_hold(self):
        """Under q4 the head and matrices of fewer than 2^17 weights are q8."""
        changes = {"hidden_size": 512, "num_attention_heads": 8, "num_key_value_heads": 4}
        sizes = Sizes({**TINY["llama"], **changes})
        layers = [o * i for o, i in sizes.matrices]
        q8 = 34 / 32
        weigh = {"f32": lambda n: 4, "bf16": lambda n: 2, "q8": lambda n: q8,
                 "q4": lambda n: q8 if n < 2 ** 17 else 18 / 32}
        self.assertEqual(len({weigh["q4"](n) for n in layers}), 2)
        found = self.results("--shape", self.shape("llama", **changes), "--decode", "2",
                             "--depth", "0", "--format", ",".join(weigh))
        for row, (name, each) in zip(found["results"], weigh.items()):
            head = sizes.v * sizes.d
            wanted = sum(n * each(n) for n in layers) + head * (q8 if name == "q4" else each(head))
            self.assertEqual(row["format"], name)
            self.assertAlmostEqual(row["weight_bytes_per_token"] * 2 / wanted, 1, 9)
            int8 = 2 * (sum(layers) + head) if name in ("q8", "q4") else 0
            self.assertEqual(row["int8_ops_per_token"], int8)
            f32_ops = row["ops_per_token"] - int8
            self.assertAlmostEqual(
                row["of_compute_limit"] / row["tokens_s"] /
                (int8 / found["limits"]["int8_gop_s"] + f32_ops / found["limits"]["f32_gflop_s"])
                * 1e9, 1, 9)

    def test_own_is_told_as_what_the_file_has(self):
        """Whatever was opened after it."""
        found = self.results("--model", program.ROOT / "tests/golden/llama-default", "--decode",
                             "1", "--depth", "0", "--format", "own,bf16,q8")
        self.assertEqual([r["format"] for r in found["results"]], ["f32", "bf16", "q8"])

    def test_the_peak_is_that_of_the_largest_case(self):
        found = self.results("--shape", self.shape("llama"), "--decode", "1,2", "--depth", "0")
        self.assertEqual(found["machine"]["peak_resident_bytes"],
                         max(r["resident_bytes"] for r in found["results"]))

    def test_a_token_that_is_counted_was_emitted(self):
        """Steps that could say more than a token a sequence do not: a run that emits other
        than what it counts is an error."""
        words = ["--shape", self.shape("llama"), "--prefill", "40", "--decode", "1,3", "--depth",
                 "0,30"]
        for row in self.results(*words, env={"SSMD_SPECULATE": "on"})["results"]:
            self.assertEqual(row["emitted"], 1 if row["case"] == "prefill" else
                             row["sequences"] * row["tokens"])

    def test_the_table(self):
        table = self.bench("--shape", self.shape("dss"), "--prefill", "20", "--decode", "2",
                           "--depth", "9")
        self.assertIn("tiny-dss: pha, ", table)
        self.assertRegex(table, r"(?m)^limits: memory \d+\.\d GB/s, f32 \d+ GFLOP/s, int8 \d+")
        self.assertRegex(table, r"(?m)^prefill 20 +f32 +1 +9 +\d+")
        self.assertRegex(table, r"(?m)^decode +f32 +2 +9 +\d+")
        self.assertRegex(table, r"(?m)^medians of 2 runs, .*; load .*, steal .* %; peak")

    def test_the_same_work_every_time(self):
        words = ["--shape", self.shape("transxssm"), "--prefill", "33", "--depth", "5"]
        a, b = (self.results(*words)["results"][0] for _ in range(2))
        for key in ["bytes_per_token", "ops_per_token", "state_bytes", "memory_bytes", "tokens"]:
            self.assertEqual(a[key], b[key])

    def test_without_lists_a_short_set_of_a_folder(self):
        found = self.results("--model", program.ROOT / "tests/golden/llama-default")
        self.assertEqual({r["case"] for r in found["results"]}, {"prefill", "decode"})
        self.assertEqual({r["shape"] for r in found["results"]}, {"llama-default"})

    def test_what_does_not_fit_is_told_with_its_bytes(self):
        words = ["--shape", self.shape("llama"), "--decode", "1,2", "--depth", "0,2000",
                 "--memory-bytes", "2MiB"]
        rows = self.results(*words)["results"]
        self.assertEqual([r["fits"] for r in rows], [True, True, True, False])
        self.assertIsNone(rows[3]["tokens_s"])
        kv_bytes = 3 * 2 * 2 * 16 * 4
        self.assertGreater(rows[3]["memory_bytes"], 2 * 2000 * kv_bytes)
        self.assertTrue(RESULT_KEYS <= set(rows[3]))
        self.assertRegex(self.bench(*words), r"(?m)^decode .* 2000 does not fit .* \d+ MiB$")

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = program.run("bench", "--shape", self.shape("llama"), "--decode", "1",
                               "--runs", "1", stdout=full)
        self.assertEqual(done.returncode, 1)


NODE = """#!{python}
import sys
print("{first}", flush=True)
for line in sys.stdin:
    kind, tokens, depth = line.split()
    open("{log}", "a").write(line)
    print({answer}, flush=True)
"""


class PeerTest(BenchCase):
    """A program of another name in the peer's place: what is asked, and what of the answers."""

    def setUp(self):
        super().setUp()
        self.log = self.dir / "log"
        (self.dir / "build").mkdir()
        shutil.copy(program.args.ssmd, self.dir / "build/ssmd")

    def install(self, first="ready x", answer="int(tokens) / 1000"):
        package = self.dir / "tests/bench/peer/node_modules/node-llama-cpp/package.json"
        package.parent.mkdir(parents=True)
        package.write_text("{}")
        node = self.dir / "node"
        node.write_text(NODE.format(python=sys.executable, first=first, answer=answer,
                                    log=self.log))
        node.chmod(0o755)

    def run_beside(self, *words):
        env = {**{k: v for k, v in os.environ.items() if not k.startswith("SSMD_")},
               "PATH": f"{self.dir}:{os.environ['PATH']}"}
        return subprocess.run(
            [self.dir / "build/ssmd", "bench", "--shape", self.shape("llama"), "--runs", "3",
             "--prefill", "30", "--decode", "1,2", "--depth", "6", "--peer", *words],
            cwd=self.dir, env=env, capture_output=True, timeout=program.LIMIT, check=False)

    def test_pairs_and_their_ratio(self):
        self.install()
        done = self.run_beside("--json")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        prefill, one, two = json.loads(done.stdout)["results"]
        self.assertNotIn("peer_ratio", two)
        for row in (prefill, one):
            self.assertEqual(len(row["peer_runs"]), 3)
            for rate in row["peer_runs"]:
                self.assertAlmostEqual(rate, 1000, 6)
            ratios = sorted(a / b for a, b in zip(row["runs"], row["peer_runs"]))
            self.assertAlmostEqual(row["peer_ratio"] / ratios[1], 1, 9)
        asked = self.log.read_text().splitlines()
        runs = ["prefill 30 6", f"decode {one['tokens']} 6"]
        self.assertEqual(sorted(asked[:2]), sorted(runs))  # to warm up
        self.assertEqual(asked[2:], runs * 3)
        self.assertIn(" x the peer", self.run_beside().stdout.decode())

    def test_its_troubles_are_told(self):
        self.assertIn(b"not installed", self.run_beside().stderr)
        self.install(first="error: no such thing")
        done = self.run_beside()
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"--peer: no such thing", done.stderr)

    def test_a_shape_that_it_refuses_is_measured_without_it(self):
        self.install(first="refused: no such layers")
        done = self.run_beside("--format", "f32,q8")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        text = done.stdout.decode()
        for name in ("f32", "q8"):
            self.assertIn(f"the peer does not run this shape in {name}: no such layers\n", text)
        self.assertNotIn("x the peer", text)
        self.assertFalse(self.log.exists())
        for row in json.loads(self.run_beside("--json").stdout)["results"]:
            self.assertEqual(row["peer_refusal"], "no such layers")
            self.assertNotIn("peer_ratio", row)
            self.assertGreater(row["tokens_s"], 0)

    def test_an_answer_that_is_no_time(self):
        self.install(answer="'soon'")
        self.assertIn(b'expected seconds, found "soon"', self.run_beside().stderr)

    def test_an_end_without_an_answer(self):
        self.install(answer="sys.exit(3)")
        self.assertIn(b"it ended without an answer", self.run_beside().stderr)

    def test_only_beside_a_shape(self):
        self.refused("--peer", "--model", program.ROOT / "tests/golden/llama-default",
                     says=["--peer", "--shape"])


class RefusalTest(BenchCase):
    def test_lists(self):
        s = self.shape("llama")
        for flag, text in [("--prefill", "0"), ("--prefill", ""), ("--prefill", "5,"),
                           ("--decode", "x"), ("--decode", "1,,2"), ("--decode", "1;2"),
                           ("--decode", "9999"), ("--depth", "-1"), ("--depth", "1.5"),
                           ("--depth", "99999999999999999999"), ("--runs", "0"),
                           ("--runs", "1,2"), ("--runs", "100"), ("--format", "q9"),
                           ("--format", "f32,"), ("--format", ""),
                           ("--decode", ",".join(["1"] * 17))]:
            with self.subTest(flag=flag, text=text):
                self.refused("--shape", s, flag, text, says=[flag])

    def test_files(self):
        self.refused("--shape", self.dir / "none.json", says=["none.json"])
        self.refused("--shape", self.dir, says=[str(self.dir)])
        self.refused("--model", self.dir, says=[str(self.dir)])
        self.refused("--shape", self.shape("llama"), "--model", self.dir,
                     says=["shape", "no model beside it"])
        self.refused("--shape", self.shape("llama", model_type="abacus"), says=["abacus"])
        self.refused("--shape", self.shape("llama", hidden_size=63), says=["hidden_size"])
        self.refused("--shape", self.shape("llama", what=1), says=["what"])
        self.refused("--shape", self.shape("llama"), "stray", says=["stray"])


class ShapeTest(BenchCase):
    def check(self, path, *words):
        done = program.run("check", "--shape", path, "--max-seqs", "1", *words)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def test_parameters_are_counted_as_the_engine_does(self):
        for which, config in TINY.items():
            told = float(re.search(r"parameters +([\d.]+) million",
                                   self.check(self.shape(which))).group(1))
            self.assertAlmostEqual(told, Sizes(config).parameters / 1e6, delta=0.0051)

    def test_shipped_shapes_are_as_large_as_their_names(self):
        self.assertEqual(sorted(p.stem for p in SHAPES.glob("*.json")),
                         sorted([*NAMES, *PUBLIC]))
        sizes = {name: Sizes(json.loads((SHAPES / f"{name}.json").read_text()))
                 for name in NAMES}
        for name, s in sizes.items():
            wanted = 1e6 * int(re.search(r"(\d+)m$", name).group(1))
            self.assertLess(abs(s.parameters / wanted - 1), 0.02, name)
            self.assertGreaterEqual(s.c["max_position_embeddings"], 65536)
        self.assertAlmostEqual(sizes["llama-125m"].parameters / 1e6, 124.6, delta=0.1)
        for a, b in [("llama-125m", "transxssm-125m"), ("pha-180m", "attention-180m"),
                     ("llama-125m", "pha-dss-125m"), ("llama-125m", "pha-gated-125m"),
                     ("llama-320m", "transxssm-320m")]:
            self.assertLess(abs(sizes[a].parameters / sizes[b].parameters - 1), 0.02)
            for key in ["hidden_size", "vocab_size", "num_attention_heads",
                        "num_key_value_heads", "tie_word_embeddings"]:
                self.assertEqual(sizes[a].c[key], sizes[b].c[key], (a, b, key))

    def test_shipped_shapes_have_keys_that_the_engine_knows(self):
        for name in NAMES:
            small = {**json.loads((SHAPES / f"{name}.json").read_text()), "vocab_size": 64,
                     "num_hidden_layers": 1, "intermediate_size": 32}
            path = self.dir / f"{name}.json"
            path.write_text(json.dumps(small))
            page = self.check(path)
            self.assertIn(f'"{name}"', page)
            self.assertIn("tokenizer      none: prompts are ids only", page)

    def test_public_shapes_are_as_large_as_the_models(self):
        for name, (millions, _) in PUBLIC.items():
            text = self.check(SHAPES / f"{name}.json", "--sizes")
            self.assertIn(f"parameters     {millions:.2f} million", text, name)

    def test_public_shapes_run(self):
        for name, (_, small) in PUBLIC.items():
            config = {**json.loads((SHAPES / f"{name}.json").read_text()), **SMALL, **small}
            path = self.dir / f"{name}.json"
            path.write_text(json.dumps(config))
            done = program.run("bench", "--shape", path, "--prefill", "20", "--decode", "1",
                               "--depth", "40", "--runs", "1", "--format", "q8", "--json")
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            rows = json.loads(done.stdout)["results"]
            self.assertEqual([r["case"] for r in rows], ["prefill", "decode"], name)
            for row in rows:
                self.assertGreater(row["tokens_s"], 0, name)

    def test_logits_of_a_shape_are_finite_and_the_same_again(self):
        for which in TINY:
            out = [self.dir / f"{which}-{i}" for i in range(2)]
            ids = ",".join(str(i % 96) for i in range(100))
            for path in out:
                done = program.run("logits", "--shape", self.shape(which), "--ids", ids,
                                   "--out", path)
                self.assertEqual(done.returncode, 0, done.stderr.decode())
            data = out[0].read_bytes()
            self.assertEqual(data, out[1].read_bytes())
            self.assertEqual(len(data), 4 * 100 * 96)
            exponents = {data[i + 3] & 0x7f for i in range(0, len(data), 4)}
            self.assertLess(max(exponents), 0x44)  # every |logit| < 512
            self.assertGreater(max(exponents), 0x3d)


if __name__ == "__main__":
    os.environ.pop("SSMD_SHAPE", None)
    program.main()

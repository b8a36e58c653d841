#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`ssmd check --sizes` over configurations as makers publish them, tests/published/*.json.

Real sizes, no weights. For each: how many parameters it has, as its maker counts them, which
layers, and what a sequence takes; and a changed key is refused by name.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import program  # noqa: E402

PUBLISHED = program.ROOT / "tests/published"

# Million parameters; layers; bytes of state in all layers; of K/V in f16 a token.
MODELS = {
    "Bamba-9B": (9780.24, ["29 of Mamba-2, feed-forward", "3 of attention, feed-forward"],
                 29 * 4 * (128 * 64 * 128 + 3 * (8192 + 256)), 3 * 2 * 2 * 8 * 128),
    "Falcon-H1-0.5B": (521.41, ["36 of Mamba-2, attention, feed-forward"],
                       36 * 4 * (24 * 64 * 128 + 3 * (1536 + 256)), 36 * 2 * 2 * 2 * 64),
    "Gemma-3-1B": (999.89, ["22 of attention (window of 512), feed-forward", "4 of attention, feed-forward"],
                   22 * (512 + 64) * 2 * 2 * 256, 4 * 2 * 2 * 256),
    "Granite-3.3-2B": (2533.54, ["40 of attention, feed-forward"], 0, 40 * 2 * 2 * 8 * 64),
    "Granite-4.0-H-1B": (1461.54, ["36 of Mamba-2, feed-forward",
                                   "4 of attention, feed-forward"],
                         36 * 4 * (48 * 64 * 128 + 3 * (3072 + 256)), 4 * 2 * 2 * 4 * 128),
    "Granite-4.0-H-350M": (340.33, ["28 of Mamba-2, feed-forward",
                                    "4 of attention, feed-forward"],
                           28 * 4 * (48 * 32 * 128 + 3 * (1536 + 256)), 4 * 2 * 2 * 4 * 64),
    "OLMo-Hybrid-7B": (7430.87, ["24 of gated DeltaNet, feed-forward",
                                 "8 of attention, feed-forward"],
                       24 * 4 * (30 * 96 * 192 + 3 * 30 * (96 + 96 + 192)),
                       8 * 2 * 2 * 30 * 128),
    "Qwen3.5-0.8B": (752.39, ["18 of gated DeltaNet, feed-forward",
                              "6 of attention, feed-forward"],
                     18 * 4 * (16 * 128 * 128 + 3 * 16 * 3 * 128), 6 * 2 * 2 * 2 * 256),
    "Qwen3.5-4B": (4205.75, ["24 of gated DeltaNet, feed-forward",
                             "8 of attention, feed-forward"],
                   24 * 4 * (32 * 128 * 128 + 3 * (2 * 16 + 32) * 128), 8 * 2 * 2 * 4 * 256),
    "Qwen2.5-0.5B": (494.03, ["24 of attention, feed-forward"], 0, 24 * 2 * 2 * 2 * 64),
    "Qwen3-0.6B": (596.05, ["28 of attention, feed-forward"], 0, 28 * 2 * 2 * 8 * 128),
    "SmolLM3-3B": (3075.10, ["36 of attention, feed-forward"], 0, 36 * 2 * 2 * 4 * 128),
    "LFM2-1.2B": (1170.34, ["10 of short convolution, feed-forward",
                            "6 of attention, feed-forward"],
                  10 * 4 * 2 * 2048, 6 * 2 * 2 * 8 * 64),
    "LFM2-350M": (354.48, ["10 of short convolution, feed-forward",
                           "6 of attention, feed-forward"],
                  10 * 4 * 2 * 1024, 6 * 2 * 2 * 8 * 64),
    "Llama-3.2-1B": (1235.81, ["16 of attention, feed-forward"], 0, 16 * 2 * 2 * 8 * 64),
    "Mamba2-130M": (128.99, ["24 of Mamba-2"],
                    24 * 4 * (24 * 64 * 128 + 3 * (1536 + 256)), 0),
    "Mistral-7B-v0.1": (7241.73, ["32 of attention, feed-forward"], 0, 32 * 2 * 2 * 8 * 128),
    "Nemotron-H-4B": (4489.22, ["24 of Mamba-2", "24 of feed-forward", "4 of attention"],
                      24 * 4 * (112 * 64 * 128 + 3 * (7168 + 2048)), 4 * 2 * 2 * 8 * 128),
}
SEQUENCE_ROW = 64  # what a slot has beside the layers' states: a row of f32, in these bytes


class PublishedTest(unittest.TestCase):
    def check(self, path):
        done = program.run("check", "--sizes", "--kv", "f16", "--shape", path)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def test_every_file_is_known_here(self):
        self.assertEqual(sorted(MODELS), sorted(p.stem for p in PUBLISHED.glob("*.json")))

    def test_sizes(self):
        for name, (millions, layers, state, token) in MODELS.items():
            with self.subTest(model=name):
                text = self.check(PUBLISHED / f"{name}.json")
                self.assertEqual(re.findall(r"(\d+ of [^;\n]*)(?:;.*)?\n", text), layers)
                self.assertIn(f"parameters     {millions:.2f} million", text)
                found = int(re.search(r"^state +(\d+) bytes", text, re.M)[1])
                width = int(re.search(r" of width (\d+)$", text, re.M)[1])
                row = -(-width * 4 // SEQUENCE_ROW) * SEQUENCE_ROW
                self.assertEqual(found, state + row)
                if token:
                    self.assertRegex(text, rf"\n +f16: {token} bytes a token")
                else:
                    self.assertIn("K/V            none\n", text)

    def test_an_unknown_key_is_named(self):
        for name in MODELS:
            keys = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
            keys.get("text_config", keys)["odd_multiplier"] = 2
            with self.subTest(model=name), tempfile.NamedTemporaryFile("w") as file:
                json.dump(keys, file)
                file.flush()
                done = program.run("check", "--sizes", "--shape", file.name)
                self.assertEqual(done.returncode, 2)
                self.assertIn("odd_multiplier", done.stderr.decode())

    def test_the_page_says_what_is_computed(self):
        done = subprocess.run([sys.executable, program.ROOT / "tests/golden/tables.py", "--ssmd",
                               program.args.ssmd, "memory"], capture_output=True, text=True,
                              check=True)
        page = (program.ROOT / "docs/MODELS.md").read_text(encoding="utf-8")
        table = f"<!-- memory table -->\n{done.stdout.rstrip()}\n<!-- end -->"
        self.assertTrue(table in page, "tests/golden/tables.py docs was not run")


if __name__ == "__main__":
    program.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders in shards, as they come from a hub: how much memory opening one takes, and what is said
of one that is incomplete or does not fit its configuration.

    test_loading.py --ssmd build/test/ssmd --model models/default
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

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
import public_folder
import wire

MIB = 1 << 20
CONFIG = {"model_type": "llama", "vocab_size": 16384, "hidden_size": 512, "num_hidden_layers": 6,
          "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 1536,
          "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
          "hidden_act": "silu", "eos_token_id": 16380}
INDEX = "model.safetensors.index.json"
EMBEDDING = "model.embed_tokens.weight"


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        there = tempfile.TemporaryDirectory(prefix="ssmd-loading-")
        cls.addClassCleanup(there.cleanup)
        cls.path = pathlib.Path(public_folder.write(CONFIG, there.name, shard=12 * MIB))
        cls.map = json.loads((cls.path / INDEX).read_text())["weight_map"]
        cls.shards = sorted(set(cls.map.values()))
        cls.bytes = sum((cls.path / s).stat().st_size for s in cls.shards)


class Memory(Folder):
    def peak(self, weights):
        """Most bytes ever resident, and bytes of the weights as they are held."""
        with wire.Daemon("--model", self.path, "--weights", weights, "--max-seqs", 1) as d:
            if wire.under_sanitizer(d.proc.pid):
                self.skipTest("a sanitizer's own memory")
            status = pathlib.Path(f"/proc/{d.proc.pid}/status").read_text()
            held = d.wait_line("memory")["weights_bytes"]
        return int(re.search(r"VmHWM:\s*(\d+) kB", status).group(1)) * 1024, held

    def test_weights_are_not_held_twice(self):
        largest = 2 * CONFIG["vocab_size"] * CONFIG["hidden_size"]
        for weights in ("own", "q8"):
            peak, held = self.peak(weights)
            with self.subTest(weights=weights, file=self.bytes // MIB, held=held // MIB):
                self.assertLess(peak, held + largest + 20 * MIB)


class Refusals(Folder):
    def refused(self, *says, change=None):
        """What check says of a copy of the folder that change(path) has changed."""
        with tempfile.TemporaryDirectory() as there:
            copy = pathlib.Path(there, "model")
            shutil.copytree(self.path, copy, copy_function=os.link)
            change(copy)
            done = subprocess.run([wire.ARGS.ssmd, "check", "--model", copy], text=True,
                                  capture_output=True, timeout=wire.LIMIT, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            for words in says:
                self.assertIn(words, done.stderr)

    def rewrite(self, path, change):
        value = json.loads(path.read_text())
        change(value)
        path.unlink()  # a link to the original
        path.write_text(json.dumps(value))

    def test_a_shard_is_missing(self):
        last = self.shards[-1]
        name = next(n for n, s in self.map.items() if s == last)
        self.refused(INDEX, f"tensor {name}", f"expected in {last}", "found no such file",
                     change=lambda p: (p / last).unlink())

    def test_the_index_is_missing(self):
        self.refused(self.shards[0], f"expected {INDEX}", "found none",
                     change=lambda p: (p / INDEX).unlink())

    def test_a_shard_is_cut(self):
        def cut(p):
            data = (p / self.shards[1]).read_bytes()
            (p / self.shards[1]).unlink()
            (p / self.shards[1]).write_bytes(data[:-100])
        self.refused(self.shards[1], "tensor ", "past the", change=cut)

    def test_the_index_disagrees(self):
        name = "model.norm.weight"
        here = self.map[name]
        other = next(s for s in self.shards if s != here)

        def move(p):
            self.rewrite(p / INDEX, lambda i: i["weight_map"].update({name: other}))

        def leave_out(p):
            self.rewrite(p / INDEX, lambda i: i["weight_map"].pop(name))
        self.refused(INDEX, f"tensor {name}", f"expected in {other}", f"found {here}", change=move)
        self.refused(INDEX, f"tensor {name}", here, "found none", change=leave_out)

    def test_another_shape(self):
        self.refused(self.map[EMBEDDING], f"tensor {EMBEDDING}", "expected shape [16500, 512]",
                     "found [16384, 512]",
                     change=lambda p: self.rewrite(p / "config.json",
                                                   lambda c: c.update(vocab_size=16500)))

    def test_names_too_many_and_too_few(self):
        def layers(n):
            return lambda p: self.rewrite(p / "config.json",
                                          lambda c: c.update(num_hidden_layers=n))
        self.refused(".safetensors: tensor model.layers.5.", "surplus", change=layers(5))
        self.refused("tensor model.layers.6.", "expected [512", "found nothing",
                     change=layers(7))


if __name__ == "__main__":
    wire.main()

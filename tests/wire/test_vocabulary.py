#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers with more and with fewer tokens than the embedding has rows."""
import json
import pathlib
import subprocess
import tempfile
import unittest

import wire


class VocabularyCase(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.path = pathlib.Path(self.dir.name)
        source = pathlib.Path(wire.ARGS.model).resolve()
        for path in source.iterdir():
            if path.name != "tokenizer.json":
                (self.path / path.name).symlink_to(path)
        self.rows = json.loads((source / "config.json").read_text())["vocab_size"]
        self.doc = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))

    def write(self):
        (self.path / "tokenizer.json").write_text(json.dumps(self.doc), encoding="utf-8")

    def add(self, token_id, content):
        self.doc["added_tokens"].append({
            "id": token_id, "content": content, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": True})

    def refused(self, found):
        self.write()
        done = subprocess.run([wire.ARGS.ssmd, "check", "--model", self.dir.name],
                              capture_output=True, timeout=60, check=False, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        for part in ("tokenizer.json", "vocab_size %d" % self.rows, "found %d" % found):
            self.assertIn(part, done.stderr)

    def test_a_larger_vocabulary_is_refused_with_both_numbers(self):
        vocab = self.doc["model"]["vocab"]
        vocab["\u0120\u0120zzz"] = self.rows + 6
        self.refused(self.rows + 6)

    def test_a_begin_token_beyond_the_embedding_is_refused(self):
        self.add(self.rows, "<begin>")
        self.doc["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<begin>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"<begin>": {"id": "<begin>", "ids": [self.rows],
                                           "tokens": ["<begin>"]}}}
        self.refused(self.rows)

    def test_an_added_token_beyond_it_is_refused_in_prompts(self):
        self.add(self.rows + 2, "<image>")
        self.write()
        with wire.Daemon("--model", self.dir.name) as d:
            self.assertEqual(d.complete(prompt="a river")[0], 200)
            status, _, found = d.complete(prompt="a <image> river")
            self.assertEqual(status, 400)
            self.assertEqual(found["error"]["param"], "prompt")
            self.assertIn("found %d" % (self.rows + 2), found["error"]["message"])
            lines = [x for x in d.lines if x and "tokens_beyond_model" in x]
        self.assertEqual(len(lines), 1, lines)
        self.assertEqual(json.loads(lines[0])["largest_id"], self.rows + 2)

    def test_a_smaller_one_leaves_rows_without_text(self):
        last = max(self.doc["model"]["vocab"], key=self.doc["model"]["vocab"].get)
        del self.doc["model"]["vocab"][last]
        self.doc["model"]["merges"] = [
            m for m in self.doc["model"]["merges"]
            if "".join(m if isinstance(m, list) else m.split(" ")) != last]
        self.write()
        with wire.Daemon("--model", self.dir.name) as d:
            self.assertEqual(d.complete(prompt=[self.rows - 1, 5])[0], 200)
            status, _, found = d.complete(prompt=[5], max_tokens=1,
                                          logit_bias={str(self.rows - 1): 100})
            self.assertEqual((status, found["choices"][0]["text"]), (200, ""))


if __name__ == "__main__":
    wire.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`ssmd serve --shape FILE`: random weights over HTTP. Prompts are ids, texts are refused."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import wire

SHAPE = {"model_type": "TransXSSM", "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
         "max_position_embeddings": 256, "attn_layer_period": 3, "attn_layer_offset": 2}


class ShapeCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.dir.name) / "small-one.json"
        cls.path.write_text(json.dumps(SHAPE))

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def serve(self, *flags):
        return wire.Daemon("--model", "", "--shape", self.path, *flags)

    def test_ids_are_answered_the_same_every_time(self):
        texts = []
        for flags in [[], ["--threads", "1"]]:
            with self.serve(*flags) as d:
                for _ in range(2):
                    status, _, found = d.complete(prompt=[5, 6, 7], max_tokens=8, logprobs=1)
                    self.assertEqual(status, 200)
                    self.assertEqual(found["model"], "small-one")
                    self.assertEqual(found["usage"]["completion_tokens"], 8)
                    texts.append(found["choices"][0]["logprobs"])
        self.assertTrue(all(t == texts[0] for t in texts))

    def test_texts_are_refused_with_the_reason(self):
        with self.serve() as d:
            status, _, found = d.complete(prompt="hello")
            self.assertEqual(status, 400)
            self.assertIn("no tokenizer", found["error"]["message"])
            self.assertEqual(found["error"]["param"], "prompt")
            self.assertEqual(d.complete(prompt=[96])[0], 400)

    def test_a_depth_cannot_be_asked_for_over_http(self):
        with self.serve() as d:
            d.complete(prompt=[1, 2], max_tokens=4)
            plain = d.complete(prompt=[1, 2], max_tokens=4)[2]  # both from what is kept
            for name in ["synthetic_tokens", "depth"]:
                _, _, found = d.complete(prompt=[1, 2], max_tokens=4, **{name: 50})
                self.assertIn(found.get("usage"), [plain["usage"], None])

    def test_its_name_is_listed(self):
        with self.serve() as d:
            listed = json.loads(d.call("GET", "/v1/models")[2])
            self.assertEqual([m["id"] for m in listed["data"]], ["small-one"])
            self.assertEqual(listed["data"][0]["max_model_len"], 256)

    def test_a_broken_shape_ends_the_daemon_with_its_reason(self):
        path = pathlib.Path(self.dir.name) / "broken.json"
        path.write_text(json.dumps({**SHAPE, "ssd_state_dim": 7}))
        done = subprocess.run([wire.ARGS.ssmd, "serve", "--shape", str(path), "--port", "0"],
                                   capture_output=True, timeout=60, check=False,
                                   env={k: v for k, v in os.environ.items()
                                        if not k.startswith("SSMD_")})
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"broken.json", done.stderr)
        self.assertIn(b"ssd_state_dim", done.stderr)


if __name__ == "__main__":
    wire.main()

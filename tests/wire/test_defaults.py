#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`--model-defaults on`: what a request leaves out is as generation_config.json says."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import wire

ASK = {"prompt": "The river", "max_tokens": 24, "seed": 7, "ignore_eos": True}
MADE = {"temperature": 0.3, "top_k": 5, "repetition_penalty": 1.3, "num_beams": 4,
        "max_length": 20, "transformers_version": "5.17.0"}


class DefaultsCase(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        for path in pathlib.Path(wire.ARGS.model).resolve().iterdir():
            if path.name != "generation_config.json":
                (pathlib.Path(self.dir.name) / path.name).symlink_to(path)

    def write(self, doc):
        path = pathlib.Path(self.dir.name) / "generation_config.json"
        path.write_text(json.dumps(doc))

    def serve(self, *flags):
        return wire.Daemon("--model", self.dir.name, *flags)

    def text(self, d, **fields):
        status, _, data = d.call("POST", "/v1/completions", {**ASK, **fields})
        self.assertEqual(status, 200, data)
        return json.loads(data)["choices"][0]["text"]

    def lines(self, d):
        return [json.loads(x) for x in d.lines if x and '"model_defaults"' in x]

    def test_fields_left_out_are_the_models_and_fields_given_win(self):
        self.write(MADE)
        explicit = {k: MADE[k] for k in ("temperature", "top_k", "repetition_penalty")}
        neutral = {"temperature": 1, "top_k": 0, "repetition_penalty": 1}
        with self.serve() as off, self.serve("--model-defaults", "on") as on:
            as_model, as_server = self.text(off, **explicit), self.text(off, **neutral)
            self.assertNotEqual(as_model, as_server)
            self.assertEqual(self.text(off), as_server)
            self.assertEqual(self.text(on), as_model)
            self.assertEqual(self.text(on, temperature=None), as_model)
            self.assertEqual(self.text(on, **neutral), as_server)
            self.assertEqual(self.text(on, temperature=0, repetition_penalty=1),
                             self.text(off, temperature=0))
            self.assertEqual(self.lines(off), [])
            found = self.lines(on)
        self.assertEqual(len(found), 1, found)
        self.assertEqual(found[0]["not_honoured"], "num_beams, max_length")
        self.assertIn("top_k 5", found[0]["honoured"])

    def test_a_value_out_of_range_is_an_error_only_when_it_is_used(self):
        self.write({"top_p": 7})
        done = subprocess.run([wire.ARGS.ssmd, "check", "--model", self.dir.name,
                               "--model-defaults", "on"], capture_output=True, timeout=60,
                              check=False, text=True, env={**os.environ})
        self.assertEqual(done.returncode, 2, done.stderr)
        for part in ("generation_config.json", "top_p", "above 0 to 1", "found 7"):
            self.assertIn(part, done.stderr)
        with self.serve() as d:
            self.assertTrue(self.text(d))


if __name__ == "__main__":
    wire.main()

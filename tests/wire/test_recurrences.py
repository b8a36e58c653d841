#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the project promises of every model, over one small model of each kind of state: Mamba-2
alone, Mamba-2 beside attention, the gated delta rule, the gated short convolution, and attention
with sliding windows. Equality, prefixes, states that move, persisted prefixes, speculation,
formats.

    test_recurrences.py --ssmd build/test/ssmd --model models/default
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import answers
import public_folder
import wire
from test_equality import together

VOCAB = 400
COMMON = {"vocab_size": VOCAB, "eos_token_id": VOCAB - 6, "tie_word_embeddings": True,
          "max_position_embeddings": 2048, "torch_dtype": "bfloat16"}
HEADS = {"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 16}
MODELS = {
    "mamba2": {
        "model_type": "mamba2", "hidden_size": 30, "num_hidden_layers": 3, "num_heads": 6,
        "head_dim": 10, "state_size": 12, "n_groups": 3, "conv_kernel": 4, "expand": 2,
        "use_bias": True, "use_conv_bias": True, "hidden_act": "silu", "rms_norm": True,
        "layer_norm_epsilon": 1e-5, "residual_in_fp32": True},
    "nemotron_h": {
        "model_type": "nemotron_h", "hidden_size": 48, "intermediate_size": 72,
        "num_hidden_layers": 5, "hybrid_override_pattern": "M-M*-", **HEADS,
        "attention_head_dim": 16, "mamba_num_heads": 6, "mamba_head_dim": 8,
        "ssm_state_size": 10, "n_groups": 3, "conv_kernel": 4, "use_bias": True,
        "use_conv_bias": True, "mlp_bias": False, "mlp_hidden_act": "relu2",
        "layer_norm_epsilon": 1e-5, "tie_word_embeddings": False},
    "qwen3_5_text": {
        "model_type": "qwen3_5_text", "hidden_size": 48, "intermediate_size": 80,
        "num_hidden_layers": 4, "full_attention_interval": 4, **HEADS, "hidden_act": "silu",
        "rms_norm_eps": 1e-6, "attention_bias": False, "attn_output_gate": True,
        "linear_conv_kernel_dim": 4, "linear_key_head_dim": 12, "linear_value_head_dim": 20,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0,
                            "partial_rotary_factor": 0.25}},
    "lfm2": {
        "model_type": "lfm2", "hidden_size": 48, "num_hidden_layers": 4,
        "layer_types": ["conv", "full_attention", "conv", "conv"],
        "num_attention_heads": 3, "num_key_value_heads": 1, "norm_eps": 1e-5, "conv_bias": False,
        "conv_L_cache": 3, "block_ff_dim": 96, "block_auto_adjust_ff_dim": False,
        "rope_theta": 1000000.0},
    "gemma3_text": {
        "model_type": "gemma3_text", "hidden_size": 48, "intermediate_size": 80,
        "num_hidden_layers": 3, "num_attention_heads": 3, "num_key_value_heads": 1,
        "head_dim": 16, "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6,
        "sliding_window": 40, "sliding_window_pattern": 3, "query_pre_attn_scalar": 16,
        "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "attention_bias": False},
    "mistral": {  # windows alone: no pages
        "model_type": "mistral", "hidden_size": 48, "intermediate_size": 80,
        "num_hidden_layers": 3, **HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "sliding_window": 50, "rope_theta": 10000.0},
}
ROUNDS = "the old tree and the rain and " * 30


def config(name):
    return {**COMMON, **MODELS[name]}


def ids_of(choice):
    return [int(t) for t in choice["token_ids"]]


def figures(choice):
    """All but the text: a character that a saved state ends in is shown behind it."""
    return choice["token_ids"], choice["logprobs"]["token_logprobs"], choice["finish_reason"]


class Case(unittest.TestCase):
    """The tests; a class for each model is below."""
    name = None

    @classmethod
    def setUpClass(cls):
        there = tempfile.TemporaryDirectory(prefix="ssmd-recurrence-")
        cls.addClassCleanup(there.cleanup)
        cls.temp = there.name
        cls.folder = public_folder.write(config(cls.name), os.path.join(there.name, "model"))
        # As different as two of them can be.
        cls.d = cls.started("--threads", 2, "--speculate", "on")
        cls.plain = cls.started("--threads", 1, "--step-rows", 84, "--cpu", "c",
                                "--prefix-cache", "off", "--speculate", "off")

    @classmethod
    def started(cls, *flags):
        d = cls.daemon(*flags)
        cls.addClassCleanup(d.stop)
        return d

    @classmethod
    def daemon(cls, *flags, model=None):
        return wire.Daemon("--model", model or cls.folder, "--served-name", "m", "--max-seqs", 6,
                           *flags)

    def setUp(self):
        self.rng = random.Random(self.id())

    def ids(self, n):
        return [self.rng.randrange(VOCAB - 6) for _ in range(n)]

    def ask(self, d, prompt, **fields):
        """(the answer as values, prompt tokens that were cached)"""
        body = {"prompt": prompt, "max_tokens": 12, "temperature": 0, "ignore_eos": True,
                "return_token_ids": True, "logprobs": 3, **fields}
        status, _, found = answers.ask(d, body)
        self.assertEqual(status, 200, found)
        return (found["choices"],
                int(found["usage"]["prompt_tokens_details"]["cached_tokens"]))

    def known(self, text):
        return json.loads(self.plain.call("POST", "/tokenize", {"prompt": text})[2])["tokens"]

    def expect(self, prompt, found, **fields):
        self.assertEqual(found, self.ask(self.plain, prompt, **fields)[0])

    # ---- equality

    def test_equality(self):
        jobs = [{"prompt": self.ids(n), "temperature": i % 2, "seed": i, "n": 1 + i % 2}
                for i, n in enumerate((1, 5, 64, 150, 37, 200))]
        alone = [self.ask(self.plain, **job)[0] for job in jobs]
        for _ in range(2):  # the second time from stored prefixes
            found = together(self.d, jobs, 0, lambda d, job: self.ask(d, **job)[0])
            self.assertEqual(found, alone)
        self.assertGreater(len({str(x) for x in alone}), 5)

    # ---- prefixes

    def test_prefixes(self):
        shared = self.ids(140)
        for tail, least in (([], 0), ([], 140), (self.ids(1), 140), (self.ids(30), 140)):
            found, cached = self.ask(self.d, shared + tail)
            self.assertGreaterEqual(cached, min(least, len(shared + tail) - 1))
            self.expect(shared + tail, found)
        for cut in (100, 100, 17):  # where prompts part
            prompt = shared[:cut] + self.ids(25)
            self.expect(prompt, self.ask(self.d, prompt)[0])
        again = shared[:100] + self.ids(25)
        found, cached = self.ask(self.d, again)
        self.assertEqual(cached, 100)
        self.expect(again, found)

    def test_checkpoints_on_the_way(self):
        prompt = self.ids(180)
        with self.daemon("--checkpoint-interval", 32) as d:
            self.ask(d, prompt)
            for depth in (160, 96, 32):
                other = prompt[:depth + 9] + self.ids(20)
                found, cached = self.ask(d, other)
                self.assertIn(cached, range(depth, depth + 10))
                self.expect(other, found)

    def test_interval(self):
        n = self.d.wait_line("memory")["checkpoint_interval"]
        self.assertEqual(n, 4096 if self.name in ("mamba2", "mistral") else 256)

    def test_little_memory(self):
        talks = [self.ids(60) for _ in range(8)]
        line = self.d.wait_line("memory")
        size = 4 * line["slot_bytes"] + 40 * line["page_bytes"] + (256 << 10)
        with self.daemon("--max-seqs", 2, "--context", 256, "--memory-bytes", size) as d:
            for _ in range(2):
                for i, talk in enumerate(talks):
                    found, _ = self.ask(d, talk)
                    self.expect(talk, found)
                    talks[i] = talk + ids_of(found[0]) + self.ids(3)
            d.wait_metric("ssmd_requests_running", lambda v: v == 0)
            self.assertEqual(d.metric("ssmd_state_slots_used"), 0)

    # ---- states

    def test_a_state_moves(self):
        whole = self.ask(self.plain, self.ids(130), max_tokens=60)[0][0]
        self.setUp()  # the same ids
        prompt = self.ids(130)
        with self.daemon("--state-dir", self.temp + "/one") as one, \
             self.daemon("--state-dir", self.temp + "/two", "--speculate", "on") as two:
            said, = self.ask(one, prompt, max_tokens=25, state={"save": "a"})[0]
            status, _, body = one.call("GET", "/v1/states/a")
            self.assertEqual(status, 200)
            self.assertEqual(two.call("PUT", "/v1/states/b", body)[0], 201)
            prompt += ids_of(said)
            more, cached = self.ask(two, prompt, max_tokens=35, state={"load": "b"})
            self.assertGreaterEqual(cached, len(prompt) - 1)
            self.assertEqual(said["token_ids"] + more[0]["token_ids"], whole["token_ids"])
            other = bytearray(body)
            other[-200] ^= 1
            self.assertEqual(two.call("PUT", "/v1/states/c", bytes(other))[0], 409)

    def test_persisted_prefixes(self):
        prompt, flags = self.ids(90), ("--state-dir", self.temp + "/kept", "--state-persist", "on")
        with self.daemon(*flags) as d:
            for _ in range(2):
                said = self.ask(d, prompt)[0]
        with self.daemon(*flags) as d:
            found, cached = self.ask(d, prompt)
            self.assertEqual((found, cached), (said, 90))
            self.expect(prompt, found)

    # ---- speculation

    def test_speculation(self):
        accepted = 'ssmd_speculated_tokens_total{result="accepted"}'
        before = self.d.metric(accepted)
        for fields in ({}, {"temperature": 0.7, "seed": 5, "n": 2}, {"stop": ["q", " a"]},
                       {"logit_bias": {str(i): 4 for i in b"rain "}}):
            fields = {"max_tokens": 120, **fields}
            self.expect(ROUNDS, self.ask(self.d, ROUNDS, **fields)[0], **fields)
        self.assertGreater(self.d.metric(accepted), before)

    def test_a_state_is_saved_amid_speculation(self):
        known = self.known(ROUNDS)
        with self.daemon("--state-dir", self.temp + "/amid", "--speculate", "on") as d:
            for n in range(40, 47):
                fields = {"max_tokens": n, "temperature": 0.9, "seed": n}
                said, = self.ask(d, ROUNDS, state={"save": "s"}, **fields)[0]
                plain, = self.ask(self.plain, ROUNDS, **fields)[0]
                self.assertEqual(figures(said), figures(plain))
                prompt = known + ids_of(said)
                (more,), cached = self.ask(d, prompt, state={"load": "s"})
                self.assertGreaterEqual(cached, len(prompt) - 1)
                self.assertEqual(figures(more), figures(self.ask(self.plain, prompt)[0][0]))

    # ---- formats

    def test_formats(self):
        prompt = self.ids(80)
        for flags in (("--weights", "q8", "--kv", "f16"), ("--weights", "q4", "--kv", "q8"),
                      ("--weights", "f32", "--kv", "q8")):
            with self.daemon(*flags, "--speculate", "on") as d, \
                 self.daemon(*flags, "--threads", 1, "--cpu", "c", "--prefix-cache", "off") as p:
                for tail in ([], self.ids(20), []):
                    self.assertEqual(self.ask(d, prompt + tail)[0], self.ask(p, prompt + tail)[0])

    def test_a_quantised_folder(self):
        prompt, out = self.ids(60), self.temp + "/q8"
        done = subprocess.run([wire.ARGS.ssmd, "quantize", self.folder, out, "--weights", "q8"],
                              capture_output=True, timeout=wire.LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with self.daemon("--weights", "q8") as one, self.daemon(model=out) as two:
            self.assertEqual(self.ask(one, prompt)[0], self.ask(two, prompt)[0])


class Mamba2(Case):
    name = "mamba2"


class NemotronH(Case):
    name = "nemotron_h"


class Qwen35(Case):
    name = "qwen3_5_text"


class Lfm2(Case):
    name = "lfm2"


class Gemma3(Case):
    name = "gemma3_text"


class Mistral(Case):
    name = "mistral"


def load_tests(loader, tests, pattern):
    """Case itself is none."""
    del loader, pattern
    return unittest.TestSuite(t for suite in tests for t in suite if type(t) is not Case)


if __name__ == "__main__":
    wire.main()

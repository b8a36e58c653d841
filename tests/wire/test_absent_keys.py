#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A key that a config.json leaves out is what transformers' configuration class has.

For each family a small shape with random weights, as short as it may be: its logits are, bit
for bit, those of the same file with every default of the class (transformers 5.17) written out.
A default that changes sizes changes the weights, one that changes arithmetic the logits.
"""
import json
import math
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import program  # noqa: E402

LEAST = {"vocab_size": 20, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 8,
         "intermediate_size": 16, "max_position_embeddings": 64}
LIMIT = [0.0, math.inf]
BIASES = {"attention_bias": False, "mlp_bias": False}
COMMON = {"rms_norm_eps": 1e-6, "rope_theta": 1e4, "tie_word_embeddings": False,
          "hidden_act": "silu"}
UPPER = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
MAMBA = {"mamba_n_heads": 128, "mamba_d_state": 256, "mamba_n_groups": 1, "mamba_d_conv": 4,
         "mamba_expand": 2, "mamba_conv_bias": True, "mamba_proj_bias": False,
         "time_step_limit": LIMIT}
GRANITE = {"embedding_multiplier": 1.0, "attention_multiplier": 1.0, "residual_multiplier": 1.0,
           "logits_scaling": 1.0}
LINEAR, FULL = "linear_attention", "full_attention"

# (model_type, what stands beside LEAST; None takes a key away, what the class has).
FAMILIES = [
    ("llama", {}, COMMON | BIASES | {"num_key_value_heads": 8, "head_dim": 8}),
    ("granite", {}, COMMON | BIASES | GRANITE | {"num_key_value_heads": 8}),
    ("qwen2", {"num_attention_heads": 32}, COMMON | UPPER | {"num_key_value_heads": 32}),
    ("qwen3", {"num_attention_heads": 32},
     COMMON | UPPER | {"num_key_value_heads": 32, "head_dim": 128, "attention_bias": False}),
    ("mistral", {}, COMMON | {"num_key_value_heads": 8, "head_dim": 8, "sliding_window": 4096}),
    ("smollm3", {}, COMMON | BIASES | {
        "num_key_value_heads": 4, "rope_theta": 2e6, "tie_word_embeddings": True,
        "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4,
        "use_sliding_window": False, "sliding_window": None}),
    ("gemma3_text", {"num_hidden_layers": 6}, {
        "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "attention_bias": False,
        "hidden_activation": "gelu_pytorch_tanh",
        "layer_types": 5 * ["sliding_attention"] + [FULL]}),
    ("mamba2", {"hidden_size": 256, "num_heads": 8, "num_attention_heads": None,
                "intermediate_size": None, "max_position_embeddings": None}, {
        "head_dim": 64, "state_size": 128, "expand": 2, "conv_kernel": 4, "n_groups": 8,
        "use_bias": False, "use_conv_bias": True, "hidden_act": "silu", "rms_norm": True,
        "layer_norm_epsilon": 1e-5, "time_step_limit": LIMIT, "tie_word_embeddings": False}),
    ("nemotron_h", {"hybrid_override_pattern": "M*-M", "num_hidden_layers": None}, {
        "num_key_value_heads": 8, "head_dim": 128, "layer_norm_epsilon": 1e-5,
        "mamba_num_heads": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8,
        "conv_kernel": 4, "use_conv_bias": True, "use_bias": False, "mlp_bias": False,
        "time_step_limit": LIMIT, "mlp_hidden_act": "relu2", "tie_word_embeddings": False}),
    ("falcon_h1", {}, COMMON | MAMBA | BIASES | {
        "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "mamba_d_ssm": 1024,
        "mamba_d_head": "auto", "mamba_norm_before_gate": True, "mamba_rms_norm": False,
        "projectors_bias": False, "lm_head_multiplier": 1.0, "embedding_multiplier": 1.0,
        "mlp_multipliers": [1.0, 1.0], "key_multiplier": 1.0, "attention_out_multiplier": 1.0,
        "attention_in_multiplier": 1.0, "ssm_multipliers": 5 * [1.0], "ssm_in_multiplier": 1.0,
        "ssm_out_multiplier": 1.0}),
    ("falcon_h1", {"mamba_rms_norm": True}, {"mamba_norm_before_gate": True}),
    ("falcon_h1", {"mamba_d_ssm": None, "mamba_n_heads": 16, "mamba_d_head": 8},
     {"mamba_expand": 2, "mamba_d_ssm": 128}),
    ("granitemoehybrid", {"num_local_experts": 0, "layer_types": 2 * ["mamba", "attention"]},
     COMMON | MAMBA | GRANITE | {
         "num_key_value_heads": 8, "shared_intermediate_size": 1024, "mamba_d_head": "auto",
         "position_embedding_type": "nope", "attention_bias": False}),
    ("granitemoehybrid", {"num_local_experts": 0}, {"layer_types": 4 * ["mamba"]}),
    ("bamba", {"attn_layer_indices": [1]}, COMMON | MAMBA | BIASES | {
        "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "mamba_d_head": "auto",
        "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}),
    ("bamba", {}, {"attn_layer_indices": []}),
    ("lfm2", {"full_attn_idxs": [1, 3]}, {
        "num_key_value_heads": 8, "norm_eps": 1e-5, "rope_theta": 1e6,
        "tie_word_embeddings": True, "conv_bias": False, "conv_L_cache": 3,
        "block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": True}),
    ("lfm2", {}, {"layer_types": 4 * [FULL]}),
    ("qwen3_5_text", {}, COMMON | {
        "num_key_value_heads": 4, "head_dim": 256, "attention_bias": False,
        "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32,
        "layer_types": 3 * [LINEAR] + [FULL],
        "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.25}}),
    ("olmo_hybrid", {}, COMMON | {
        "num_key_value_heads": 8, "attention_bias": False, "linear_num_key_heads": 8,
        "linear_num_value_heads": 8, "linear_key_head_dim": 6, "linear_value_head_dim": 12,
        "linear_conv_kernel_dim": 4, "linear_allow_neg_eigval": True,
        "layer_types": 3 * [LINEAR] + [FULL]}),
]


def short(model_type, beside):
    config = {"model_type": model_type} | LEAST | beside
    return {k: v for k, v in config.items() if v is not None or k not in LEAST}


class AbsentKeysTest(unittest.TestCase):
    def logits(self, config):
        with tempfile.TemporaryDirectory(prefix="ssmd-absent-") as name:
            shape, out = (pathlib.Path(name) / n for n in ("shape.json", "logits"))
            shape.write_text(json.dumps(config), encoding="utf-8")
            done = program.run("logits", "--shape", shape, "--ids", "3,1,4,1,5,9,2,6", "--out", out)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            return out.read_bytes()

    def test_they_are_what_transformers_has(self):
        for model_type, beside, defaults in FAMILIES:
            with self.subTest(model_type=model_type, beside=beside):
                config = short(model_type, beside)
                self.assertFalse(set(config) & set(defaults) - {"mamba_d_ssm"})
                self.assertTrue(self.logits(config) == self.logits(config | defaults),
                                "other bits")

    def test_nothing_less_is_read(self):
        """The files above are as short as they may be: taking a size away is refused."""
        for model_type, beside, _ in FAMILIES:
            config = short(model_type, beside)
            for key in ("vocab_size", "hidden_size"):
                with self.subTest(model_type=model_type, key=key), \
                        tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                    json.dump({k: v for k, v in config.items() if k != key}, file)
                    file.flush()
                    done = program.run("check", "--sizes", "--shape", file.name)
                    self.assertEqual(done.returncode, 2)
                    self.assertIn(f"{key}: expected a value, found nothing",
                                  done.stderr.decode())


if __name__ == "__main__":
    program.main()

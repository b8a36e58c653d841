# SPDX-License-Identifier: Apache-2.0
"""The small random models of the golden files and of the self-test.

A case is a config and how its tensors are stored. Shapes are odd on purpose: widths
and head sizes that are no powers of two, N != P, K < H, a vocabulary of a prime size,
so that a transposed or padded read shows. Weights come from numpy's PCG64, whose
streams do not change between versions.
"""
import math
from types import SimpleNamespace

import numpy
import torch

import mixers
from config import parse_config
from reference import BUILD

TRANSXSSM = {
    "model_type": "TransXSSM", "vocab_size": 61, "hidden_size": 30,
    "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 38,
    "max_position_embeddings": 128, "attn_layer_period": 3, "attn_layer_offset": 1}
PHA = {
    "model_type": "pha", "vocab_size": 59, "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 34, "aux_intermediate_size": 20,
    "max_position_embeddings": 96, "gss_state_size": 18}
GATED = {**PHA, "gss_kind": "gated"}
del GATED["gss_state_size"]
LLAMA = {
    "model_type": "llama", "vocab_size": 53, "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 34, "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
LONG = {"type": "longrope", "long_factor": [1.0, 1.3, 2.0, 4.5, 9.0, 16.0],
        "short_factor": [1.0, 1.1, 1.2, 1.05, 1.4, 1.6]}
HEDGEHOG = {**LLAMA, "model_type": "hedgehog", "hidden_size": 30,
            "num_attention_heads": 3, "num_key_value_heads": 1}
GSS_HYBRID = {**LLAMA, "model_type": "gss_hybrid", "num_hidden_layers": 3,
              "attention_layers": [1], "gss_state_size": 22, "gss_gate_size": 40}
H3 = {"model_type": "h3", "vocab_size": 47, "hidden_size": 30, "num_hidden_layers": 3,
      "num_attention_heads": 3, "intermediate_size": 34, "max_position_embeddings": 96,
      "attn_layer_idx": [1], "ssm_state_size": 10}


def case(base, store="F32", n_ids=44, served=None, without=(), n_shards=1, seed=None,
         **changes):
    """store: F32, F16, BF16, or mixed (matrices BF16, vectors F32).
    without: name endings of optional tensors to leave out, all others are present.
    seed: the first that is tried; None: the name's."""
    config = {key: value for key, value in {**base, **changes}.items() if value is not None}
    return SimpleNamespace(config=config, store=store, n_ids=n_ids, without=tuple(without),
                           served=served or config["max_position_embeddings"],
                           n_shards=n_shards, seed=seed)


CASES = {
    "transxssm-default": case(TRANSXSSM, n_ids=70, vocab_size=97, num_hidden_layers=3),
    "transxssm-bias-untied": case(TRANSXSSM, hidden_size=36, num_attention_heads=6,
                                  num_key_value_heads=2, hidden_bias=True,
                                  tie_word_embeddings=False),
    "transxssm-nstate": case(TRANSXSSM, ssd_state_dim=14),
    "transxssm-no-rope-ssd": case(TRANSXSSM, rope_on_ssd=False, ssd_state_dim=6),
    "transxssm-no-rope-attn": case(TRANSXSSM, rope_on_attn=False),
    "transxssm-period": case(TRANSXSSM, without=["dt_bias"], num_hidden_layers=3,
                             attn_layer_period=2, attn_layer_offset=0, n_ids=48,
                             rope_theta=500.0, rms_norm_eps=1e-5),
    "transxssm-f16": case(TRANSXSSM, "F16"),
    # Eight layers and no period given: the defaults 8 and 7.
    "transxssm-bf16": case(TRANSXSSM, "mixed", attn_layer_period=None,
                           attn_layer_offset=None, num_hidden_layers=8, hidden_size=24,
                           num_attention_heads=4, intermediate_size=36),
    "transxssm-sharded": case(TRANSXSSM, "BF16", n_shards=3),
    "transxssm-yarn": case(TRANSXSSM, rope_scaling=YARN, ssd_state_dim=12, n_ids=72),
    "pha-dss-cosine": case(PHA, "mixed", gss_state_size=None, n_ids=67),
    "pha-dss-dot": case(PHA, attention_score="dot"),
    "pha-gated": case(GATED),
    "pha-gated-nobias": case(GATED, without=["b_g"], gss_state_size=30,
                             attention_score="dot"),
    "pha-switches": case(PHA, ffn_residual=False, final_norm=False, embed_scale=1.5,
                         tie_word_embeddings=False, residual_alpha=0.7),
    "pha-sizes": case(PHA, hidden_size=30, num_attention_heads=3, num_key_value_heads=1,
                      gss_gate_size=26, gss_hidden_size=7, gss_state_size=13),
    "llama-default": case(LLAMA, n_ids=68, vocab_size=97, hidden_size=36,
                          num_attention_heads=3),
    "llama-gqa-bias": case(LLAMA, hidden_size=36, num_attention_heads=6, num_key_value_heads=2,
                           attention_bias=True, mlp_bias=True),
    "llama-headdim": case(LLAMA, head_dim=10, num_key_value_heads=1, hidden_size=28),
    "llama-tied": case(LLAMA, tie_word_embeddings=True),
    "llama-rope-linear": case(LLAMA, rope_scaling={"type": "linear", "factor": 2.5}),
    "llama-rope-dynamic": case(LLAMA, max_position_embeddings=32, served=96, n_ids=66,
                               rope_scaling={"rope_type": "dynamic", "factor": 2.0}),
    "llama-rope-llama3": case(LLAMA, rope_scaling=LLAMA3),
    "llama-rope-yarn": case(LLAMA, rope_scaling=YARN),
    "llama-rope-longrope": case(LLAMA, n_ids=66, rope_scaling={
        **LONG, "original_max_position_embeddings": 32}),
    "llama-rope-longrope-short": case(LLAMA, rope_scaling=LONG),
    "llama-rope-parameters": case(LLAMA, rope_theta=500.0, rope_parameters={
        "rope_type": "linear", "factor": 2.0, "rope_theta": 20000.0}),
    "gss_hybrid-default": case(GSS_HYBRID, "mixed", seed=2439000),
    "h3-default": case(H3, "mixed", seed=1524000),
    "hedgehog-default": case(HEDGEHOG, "mixed", seed=2196000),
    "hedgehog-feature": case(HEDGEHOG, num_key_value_heads=3, feature_dim=8,
                             linear_attention_layers=[1], seed=2203000),
}


class Recorder(dict):
    """Stands in for Weights while a model is built: records names and shapes.

    A tied head may be stored too; it never is.
    """

    def __init__(self, without):
        super().__init__()
        self.without = tuple(without) + ("lm_head.weight",)

    def take(self, name, *shape):
        self[name] = shape
        return torch.zeros(shape, dtype=torch.float64)

    def maybe(self, name, *shape):
        return None if name.endswith(self.without) else self.take(name, *shape)

    def linear(self, name, n_out, n_in, bias=False):
        self.take(name + ".weight", n_out, n_in)
        if bias:
            self.take(name + ".bias", n_out)
        return mixers.Linear(None)


def shapes_of(config, without=()):
    """name -> shape of every tensor that a config asks for."""
    recorder = Recorder(without)
    BUILD[config.model_type](recorder, config, config.max_position_embeddings)
    return dict(recorder)


def normal(mean, spread):
    return lambda rng, shape: mean + spread * rng.standard_normal(shape)


def uniform(low, high):
    return lambda rng, shape: rng.uniform(low, high, shape)


def matrix(rng, shape):
    return rng.standard_normal(shape) * 1.3 / math.sqrt(shape[-1])


# The first ending that fits wins. logit_scale crosses its cap of ln 100 = 4.6.
INITIAL = [
    ("embed.weight", normal(0, 0.6)), ("embed_tokens.weight", normal(0, 0.3)),
    ("word_embeddings.weight", normal(0, 0.6)),
    ("residual.weight", normal(1, 0.15)), ("mix.weight", normal(0.5, 1)),
    ("logit_scale", uniform(0.5, 5.5)), ("ssd.A", uniform(-4, -0.1)),
    ("dt_bias", uniform(-3, 0)), ("b_g", normal(1, 0.5)), ("a_log", uniform(-4, -0.5)),
    ("lam_re", uniform(-5, 0)), ("lam_im", uniform(-2, 1)),
    ("c_re", normal(0, 0.3)), ("c_im", normal(0, 0.3)), ("gss.d", normal(0, 1)),
    ("log_dt", uniform(-4, -0.7)), ("inv_A_real", normal(-0.7, 0.5)),
    ("A_imag", uniform(0, 12)), ("kernel.kernel.B", normal(0.5, 0.5)),
    ("kernel.kernel.C", normal(0, 0.5)), ("ssm_k_D", normal(0, 1)), ("mixer.D", normal(0, 1)),
    ("feature_map_q.layer", normal(0, 0.5)), ("feature_map_k.layer", normal(0, 0.5)),
]


def initial(name, shape, rng):
    for ending, draw in INITIAL:
        if name.endswith(ending):
            return draw(rng, shape)
    if len(shape) > 1:
        return matrix(rng, shape)
    return normal(0, 0.2)(rng, shape) if name.endswith("bias") else normal(1, 0.2)(rng, shape)


STORES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def make_tensors(entry, seed):
    """The stored tensors of a case: rounded to their type, in the order of their names."""
    rng = numpy.random.Generator(numpy.random.PCG64(seed))
    tensors = {}
    for name, shape in sorted(shapes_of(parse_config(entry.config), entry.without).items()):
        values = torch.from_numpy(initial(name, shape, rng).astype(numpy.float32))
        mixed = "BF16" if len(shape) > 1 else "F32"
        tensors[name] = values.to(STORES.get(entry.store, STORES[mixed]))
    return tensors


def make_ids(entry, seed):
    rng = numpy.random.Generator(numpy.random.PCG64(seed + 1))
    return rng.integers(0, entry.config["vocab_size"], entry.n_ids).tolist()

# SPDX-License-Identifier: Apache-2.0
"""config.json of every architecture: known fields, defaults, refusals.

A field that is unknown, or known but not honoured by the arithmetic, is an error that
names the field, what was expected and what was found. Nothing is guessed over.
"""
import json
import os
from types import SimpleNamespace

REQUIRED = object()

# Written by training frameworks; they do not change a logit.
FREE = {"model_type", "auto_map", "_name_or_path", "id2label", "label2id", "return_dict",
        "architectures", "dtype", "torch_dtype", "transformers_version",
        "initializer_range", "use_cache", "ssd_chunk_size", "bos_token_id",
        "eos_token_id", "pad_token_id"}
# Accepted only with the value that the format implies.
FIXED = {"hidden_act": "silu", "sliding_window": None, "dynamic_mask_ratio": 0,
         "pretraining_tp": 1, "partial_rotary_factor": 1}

SHARED = {
    "vocab_size": ("int", REQUIRED), "hidden_size": ("int", REQUIRED),
    "num_hidden_layers": ("int", REQUIRED), "num_attention_heads": ("int", REQUIRED),
    "num_key_value_heads": ("int", None), "intermediate_size": ("int", REQUIRED),
    "max_position_embeddings": ("int", REQUIRED), "rms_norm_eps": ("float", 1e-6),
    "rope_theta": ("float", 10000.0), "rope_scaling": ("dict", None),
    "rope_parameters": ("dict", None), "tie_word_embeddings": ("bool", False),
}
LLAMA = {"head_dim": ("int", None), "attention_bias": ("bool", False),
         "mlp_bias": ("bool", False)}
DSS = {"gss_gate_size": ("int", None), "gss_hidden_size": ("int", None),
       "gss_state_size": ("int", None)}
OWN = {
    "TransXSSM": {
        "tie_word_embeddings": ("bool", True), "attn_layer_period": ("int", 8),
        "attn_layer_offset": ("nat", 7), "ssd_state_dim": ("int", None),
        "hidden_bias": ("bool", False), "rope_on_ssd": ("bool", True),
        "rope_on_attn": ("bool", True)},
    "pha": {
        "tie_word_embeddings": ("bool", True), "head_dim": ("int", None),
        "aux_intermediate_size": ("int", REQUIRED), "embed_scale": ("float", None),
        "residual_alpha": ("float", None), "ffn_residual": ("bool", True),
        "final_norm": ("bool", True), "attention_score": (("cosine", "dot"), "cosine"),
        "gss_kind": (("dss", "gated"), "dss"), **DSS},
    "llama": LLAMA,
    "gss_hybrid": {"attention_layers": ("nats", REQUIRED), **DSS, **LLAMA},
    "h3": {
        "tie_word_embeddings": ("bool", True), "attn_layer_idx": ("nats", REQUIRED),
        "ssm_state_size": ("int", REQUIRED)},
    "hedgehog": {"linear_attention_layers": ("nats", None), "feature_dim": ("int", None),
                 **LLAMA},
}


class ConfigError(ValueError):
    """A configuration that the arithmetic does not honour."""


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_nat(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


CHECKS = {
    "int": lambda value: is_nat(value) and value > 0,
    "nat": is_nat,
    "float": lambda value: is_number(value) and value > 0,
    "bool": lambda value: isinstance(value, bool),
    "dict": lambda value: isinstance(value, dict),
    "nats": lambda value: isinstance(value, list) and all(map(is_nat, value)),
}


def read_config(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return parse_config(json.load(file))


def parse_config(raw):
    """A namespace with every field of the architecture, defaults filled in."""
    kind = raw.get("model_type")
    if kind not in OWN:
        raise ConfigError(f"model_type: expected one of {sorted(OWN)}, found {kind!r}")
    fields = {**SHARED, **OWN[kind]}
    for key, value in raw.items():
        refuse_unknown(key, value, fields)
    config = SimpleNamespace(model_type=kind)
    for key, (check, default) in fields.items():
        setattr(config, key, checked(key, raw.get(key), check, default))
    derive(config)
    return config


def refuse_unknown(key, value, fields):
    if key in fields or key in FREE or key.startswith("output_") \
            or "dropout" in key or key.endswith("_pdrop"):
        return
    if key not in FIXED:
        raise ConfigError(f"{key}: unknown field (value {value!r})")
    if value != FIXED[key]:
        raise ConfigError(f"{key}: expected {FIXED[key]!r}, found {value!r}")


def checked(key, value, check, default):
    if value is None:
        if default is REQUIRED:
            raise ConfigError(f"{key}: required field is absent")
        return default
    valid = value in check if isinstance(check, tuple) else CHECKS[check](value)
    if not valid:
        raise ConfigError(f"{key}: expected {check}, found {value!r}")
    return value


def derive(config):
    """Fills the fields whose defaults depend on others and checks them together."""
    heads, width = config.num_attention_heads, config.hidden_size
    config.num_key_value_heads = config.num_key_value_heads or heads
    config.head_dim = getattr(config, "head_dim", None) or exact("hidden_size", width, heads)
    exact("num_attention_heads", heads, config.num_key_value_heads)
    if config.model_type == "h3":
        if config.num_key_value_heads != heads:
            raise ConfigError(f"num_key_value_heads: expected {heads}, "
                              f"found {config.num_key_value_heads}")
        exact("ssm_state_size", config.ssm_state_size, 2)
    if config.model_type == "h3" and not config.tie_word_embeddings:
        raise ConfigError("tie_word_embeddings: expected true, found false")
    if config.model_type == "TransXSSM":
        config.ssd_state_dim = config.ssd_state_dim or width // heads
        exact("ssd_state_dim", config.ssd_state_dim, 2)
    if config.model_type in ("pha", "gss_hybrid"):
        derive_gss(config)


def derive_gss(config):
    width, kind = config.hidden_size, getattr(config, "gss_kind", "dss")
    if kind == "gated":
        for key in ("gss_gate_size", "gss_hidden_size"):
            if getattr(config, key) is not None:
                raise ConfigError(f"{key}: the gated branch has none")
        config.gss_state_size = config.gss_state_size or 2 * width
        return
    config.gss_gate_size = config.gss_gate_size or 4 * width
    config.gss_hidden_size = config.gss_hidden_size or exact("hidden_size", width, 4)
    config.gss_state_size = config.gss_state_size or 512


def exact(key, value, divisor):
    if value % divisor:
        raise ConfigError(f"{key}: expected a multiple of {divisor}, found {value}")
    return value // divisor

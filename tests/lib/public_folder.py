#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders of public model families with random weights, as their makers lay them out.

    public_folder.py CONFIG.json DIR [--shard BYTES]

DIR gets the config as it is, bf16 weights in one file or in shards with an index, and a byte-level
tokenizer with as many ids as the vocabulary, but for a few. tensors() lists what a family's folder
holds; that is written here from the families' descriptions, not from what the engine asks for, so
that a name which one of the two has wrong is an error. Values repeat after a block; they are
bytes of a generator with sign and exponent put in, so that a gigabyte takes seconds. The same call
writes the same bytes. Standard library only.
"""
import argparse
import json
import math
import pathlib
import random
import struct
import sys

BLOCK = 1048573  # values; a prime, so that no two rows of a matrix are the same


# ---- what a family holds -----------------------------------------------------------------

def linear(name, n_out, n_in, bias=False):
    yield name + ".weight", [n_out, n_in]
    if bias:
        yield name + ".bias", [n_out]


def attention(c, at, out="o_proj", rows=1):
    heads, bias = c["num_attention_heads"], c.get("attention_bias", False)
    size = c.get("head_dim") or c["hidden_size"] // heads
    kv = c["num_key_value_heads"] * size
    yield from linear(at + "q_proj", rows * heads * size, c["hidden_size"], bias)
    yield from linear(at + "k_proj", kv, c["hidden_size"], bias)
    yield from linear(at + "v_proj", kv, c["hidden_size"], bias)
    yield from linear(at + out, c["hidden_size"], heads * size, bias)


def head_norms(c, at, names=("q_norm", "k_norm")):
    size = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    for name in names:
        yield f"{at}{name}.weight", [size]


def gated(c, at, size, names=("gate_proj", "up_proj", "down_proj")):
    for name in names[:2]:
        yield from linear(at + name, size, c["hidden_size"])
    yield from linear(at + names[2], c["hidden_size"], size)


def mamba2(at, hidden, heads, size, state, groups, taps, bias=False):
    inner, wide = heads * size, heads * size + 2 * groups * state
    yield from linear(at + "in_proj", inner + wide + heads, hidden, bias)
    yield at + "conv1d.weight", [wide, 1, taps]
    yield at + "conv1d.bias", [wide]
    for name in ("dt_bias", "A_log", "D"):
        yield at + name, [heads]
    yield at + "norm.weight", [inner]
    yield from linear(at + "out_proj", hidden, inner, bias)


def llama(c):
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", [c["hidden_size"]]
        yield at + "post_attention_layernorm.weight", [c["hidden_size"]]
        yield from attention(c, at + "self_attn.")
        yield from gated(c, at + "mlp.", c["intermediate_size"])
    yield "model.norm.weight", [c["hidden_size"]]


def gemma3_text(c):
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            yield f"{at}{name}_layernorm.weight", [c["hidden_size"]]
        yield from attention(c, at + "self_attn.")
        yield from head_norms(c, at + "self_attn.")
        yield from gated(c, at + "mlp.", c["intermediate_size"])
    yield "model.norm.weight", [c["hidden_size"]]


def mamba2_lm(c):
    for i in range(c["num_hidden_layers"]):
        at = f"backbone.layers.{i}."
        yield at + "norm.weight", [c["hidden_size"]]
        yield from mamba2(at + "mixer.", c["hidden_size"], c["num_heads"], c["head_dim"],
                          c["state_size"], c["n_groups"], c["conv_kernel"], c["use_bias"])
    yield "backbone.norm_f.weight", [c["hidden_size"]]


def nemotron_h(c):
    hidden = c["hidden_size"]
    for i, letter in enumerate(c["hybrid_override_pattern"]):
        at = f"backbone.layers.{i}."
        yield at + "norm.weight", [hidden]
        if letter == "M":
            yield from mamba2(at + "mixer.", hidden, c["mamba_num_heads"], c["mamba_head_dim"],
                              c["ssm_state_size"], c["n_groups"], c["conv_kernel"],
                              c["use_bias"])
        elif letter == "*":
            yield from attention(c, at + "mixer.")
        else:
            yield from linear(at + "mixer.up_proj", c["intermediate_size"], hidden)
            yield from linear(at + "mixer.down_proj", hidden, c["intermediate_size"])
    yield "backbone.norm_f.weight", [hidden]


def granitemoehybrid(c):
    hidden, size = c["hidden_size"], c["shared_intermediate_size"]
    for i, kind in enumerate(c["layer_types"]):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", [hidden]
        yield at + "post_attention_layernorm.weight", [hidden]
        if kind == "attention":
            yield from attention(c, at + "self_attn.")
        else:
            yield from mamba2(at + "mamba.", hidden, c["mamba_n_heads"], c["mamba_d_head"],
                              c["mamba_d_state"], c["mamba_n_groups"], c["mamba_d_conv"],
                              c["mamba_proj_bias"])
        yield from linear(at + "shared_mlp.input_linear", 2 * size, hidden)
        yield from linear(at + "shared_mlp.output_linear", hidden, size)
    yield "model.norm.weight", [hidden]


def lfm2(c):
    hidden, size = c["hidden_size"], c.get("block_ff_dim", c.get("intermediate_size"))
    if c.get("block_auto_adjust_ff_dim", True):
        size = int(c.get("block_ffn_dim_multiplier", 1) * int(2 * size / 3))
        size = -(-size // c["block_multiple_of"]) * c["block_multiple_of"]
    for i, kind in enumerate(c["layer_types"]):
        at = f"model.layers.{i}."
        yield at + "operator_norm.weight", [hidden]
        yield at + "ffn_norm.weight", [hidden]
        if kind == "conv":
            yield from linear(at + "conv.in_proj", 3 * hidden, hidden, c["conv_bias"])
            yield at + "conv.conv.weight", [hidden, 1, c["conv_L_cache"]]
            yield from linear(at + "conv.out_proj", hidden, hidden, c["conv_bias"])
            if c["conv_bias"]:
                yield at + "conv.conv.bias", [hidden]
        else:
            yield from attention(c, at + "self_attn.", out="out_proj")
            yield from head_norms(c, at + "self_attn.", ("q_layernorm", "k_layernorm"))
        yield from gated(c, at + "feed_forward.", size, ("w1", "w3", "w2"))
    yield "model.embedding_norm.weight", [hidden]


def delta(c, at):
    keys = c["linear_num_key_heads"] * c["linear_key_head_dim"]
    heads, size = c["linear_num_value_heads"], c["linear_value_head_dim"]
    hidden, wide = c["hidden_size"], 2 * keys + heads * size
    yield from linear(at + "in_proj_qkv", wide, hidden)
    yield from linear(at + "in_proj_z", heads * size, hidden)
    yield from linear(at + "in_proj_b", heads, hidden)
    yield from linear(at + "in_proj_a", heads, hidden)
    yield at + "conv1d.weight", [wide, 1, c["linear_conv_kernel_dim"]]
    yield at + "A_log", [heads]
    yield at + "dt_bias", [heads]
    yield at + "norm.weight", [size]
    yield from linear(at + "out_proj", hidden, heads * size)


def qwen3_5(c, root="model."):
    every = c["full_attention_interval"]
    for i in range(c["num_hidden_layers"]):
        at = f"{root}layers.{i}."
        yield at + "input_layernorm.weight", [c["hidden_size"]]
        yield at + "post_attention_layernorm.weight", [c["hidden_size"]]
        if (i + 1) % every == 0:
            yield from attention(c, at + "self_attn.", rows=2)
            yield from head_norms(c, at + "self_attn.")
        else:
            yield from delta(c, at + "linear_attn.")
        yield from gated(c, at + "mlp.", c["intermediate_size"])
    yield f"{root}norm.weight", [c["hidden_size"]]


def qwen3_5_vision(c):
    """The text model of a checkpoint that also has another one and a draft layer."""
    text, v = c["text_config"], c["vision_config"]
    hidden = text["hidden_size"]
    yield from qwen3_5(text, "model.language_model.")
    yield from linear("mtp.fc", hidden, 2 * hidden)
    yield "mtp.norm.weight", [hidden]
    for i in range(v["depth"]):
        yield from linear(f"model.visual.blocks.{i}.attn.qkv", 3 * v["hidden_size"],
                          v["hidden_size"], True)


# By model_type: the layers, the embedding's name, and norms that multiply by 1 + w.
FAMILIES = {
    "llama": (llama, "model.embed_tokens", ()),
    "mistral": (llama, "model.embed_tokens", ()),
    "gemma3_text": (gemma3_text, "model.embed_tokens", ("norm",)),
    "mamba2": (mamba2_lm, "backbone.embeddings", ()),
    "nemotron_h": (nemotron_h, "backbone.embeddings", ()),
    "granitemoehybrid": (granitemoehybrid, "model.embed_tokens", ()),
    "lfm2": (lfm2, "model.embed_tokens", ()),
    "qwen3_5_text": (qwen3_5, "model.embed_tokens", ("layernorm", "_norm", "model.norm")),
    "qwen3_5": (qwen3_5_vision, "model.language_model.embed_tokens",
                ("layernorm", "_norm", "model.norm")),
}


def text_config(config):
    return config.get("text_config", config)


def tensors(config):
    """(name, shape) of all tensors, the embedding first."""
    family, embedding, _ = FAMILIES[config["model_type"]]
    c = text_config(config)
    yield from linear(embedding, c["vocab_size"], c["hidden_size"])
    yield from family(config)
    if not config.get("tie_word_embeddings", c.get("tie_word_embeddings", True)):
        yield from linear("lm_head", c["vocab_size"], c["hidden_size"])


# ---- values ------------------------------------------------------------------------------

def habit(config, name, shape):
    """(sign or None for either, exponent, kept mantissa bits): values of ±[1, 2) · 2^exponent."""
    last = name.rsplit(".", 2)[-2:]
    one_plus = FAMILIES[config["model_type"]][2]
    if "norm" in last[0]:
        shifted = any(word in name for word in one_plus) and "linear_attn.norm" not in name
        return (None, -4, 7) if shifted else (0, 0, 5)  # 1 to 1.25
    if last[-1] == "A_log":
        return 0, 0, 7
    if last[-1] == "dt_bias":
        return 1, 1, 7  # -2 to -4
    if last[-1] == "D":
        return 0, 0, 5
    if last[-1] == "bias":
        return None, -5, 7
    if len(shape) == 3:
        return None, -1, 7
    return None, math.floor(-math.log2(shape[-1]) / 2), 7


class Values:
    """Blocks of bf16 by habit. bf16 is a sign, 8 bits of exponent and 7 of mantissa."""

    def __init__(self):
        self.blocks = {}

    def block(self, kind):
        if kind not in self.blocks:
            sign, exponent, bits = kind
            rng = random.Random(repr(kind))
            top = [(b & 0x80 if sign is None else sign << 7) | (exponent + 127) >> 1
                   for b in range(256)]
            low = [b & (1 << bits) - 1 | ((exponent + 127) & 1) << 7 for b in range(256)]
            out = bytearray(2 * BLOCK)
            out[0::2] = rng.randbytes(BLOCK).translate(bytes(low))
            out[1::2] = rng.randbytes(BLOCK).translate(bytes(top))
            self.blocks[kind] = bytes(out)
        return self.blocks[kind]

    def pieces(self, kind, n, seed):
        """n values in pieces; the block is read from a place that the seed gives."""
        block = self.block(kind)
        at, left = seed * 7919 % BLOCK * 2, 2 * n
        while left:
            piece = block[at:at + left]
            yield piece
            at, left = 0, left - len(piece)


# ---- files -------------------------------------------------------------------------------

def cut(sizes, shard):
    """Lists of (name, shape) of at most shard bytes each, if no tensor is larger."""
    files, room = [], 0
    for name, shape in sizes:
        size = 2 * math.prod(shape)
        if not files or size > room:
            files.append([])
            room = shard
        files[-1].append((name, shape))
        room -= size
    return files


def write_file(path, config, content, values, seeds):
    header, at = {}, 0
    for name, shape in content:
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in content:
            kind = habit(config, name, shape)
            for piece in values.pieces(kind, math.prod(shape), seeds[name]):
                f.write(piece)
    return at


def write_weights(folder, config, shard=None):
    """model.safetensors, or files named NAME-00001-of-N with their index."""
    sizes = list(tensors(config))
    seeds = {name: i for i, (name, _) in enumerate(sizes)}
    values = Values()
    if not shard:
        return write_file(folder / "model.safetensors", config, sizes, values, seeds)
    files, total, where = cut(sorted(sizes), shard), 0, {}
    for i, content in enumerate(files, 1):
        name = f"model-{i:05}-of-{len(files):05}.safetensors"
        total += write_file(folder / name, config, content, values, seeds)
        where.update((t, name) for t, _ in content)
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": total}, "weight_map": where}, indent=2))
    return total


# ---- a tokenizer -------------------------------------------------------------------------

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_letters():
    """The letter that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def merge_pairs(n):
    """n pairs: letters to words of two, those and a letter to words of three, and so on."""
    letters = [byte_letters()[b] for b in b" etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLUCMFWYPVBGKJQXZ"]
    known, words = set(letters), letters
    while True:
        longer = []
        for word in words:
            for letter in letters[1:]:
                if n == 0:
                    return
                if word + letter in known:
                    continue
                known.add(word + letter)
                longer.append(word + letter)
                yield word, letter
                n -= 1
        words = longer


def tokenizer(n_ids):
    """tokenizer.json with ids 0 to n_ids - 1: bytes, merged words, and two special ones."""
    letters = byte_letters()
    pairs = list(merge_pairs(n_ids - 256 - 2))
    words = [letters[b] for b in range(256)] + [a + b for a, b in pairs]
    special = [{"id": len(words) + i, "content": text, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True}
               for i, text in enumerate(("<|endoftext|>", "<|im_end|>"))]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
             "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated",
                 "invert": False}, level]},
            "post_processor": level, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {w: i for i, w in enumerate(words)},
                      "merges": [f"{a} {b}" for a, b in pairs]}}


def write(config, folder, shard=None, unused=4):
    """The whole folder; `unused` ids of the vocabulary have no token. Returns its path."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    write_weights(folder, config, shard)
    n_ids = text_config(config)["vocab_size"] - unused
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(n_ids), ensure_ascii=False),
                                           encoding="utf-8")
    return str(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("config")
    p.add_argument("dir")
    p.add_argument("--shard", type=int, default=0, help="most bytes of a file; 0: one file")
    a = p.parse_args()
    config = json.loads(pathlib.Path(a.config).read_text())
    print(write(config, a.dir, a.shard))


if __name__ == "__main__":
    sys.exit(main())

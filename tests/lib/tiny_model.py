#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small model folders that can be served: a golden fixture given a tokenizer, or a cycle of tokens.

    tiny_model.py NAME DIR      NAME: a folder of tests/golden, or "cycle"

A fixture of tests/golden has weights of odd shapes but neither a tokenizer nor a vocabulary that
holds all bytes. golden() repeats its embedding's rows, each shifted, up to VOCAB tokens and adds
a byte-level tokenizer. cycle() writes a model whose answers are known: after token t it is all
but sure of the token that follows t in a given ring. Standard library only; nothing is drawn
from a generator, so the same call writes the same bytes.
"""
import hashlib
import json
import math
import pathlib
import shutil
import struct
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
MERGES = [b"th", b"the", b" t", b" the", b"in", b"er", b" a", b"\xf0\x9f", b"\xe4\xb8", b"ing"]
END = 256 + len(MERGES)  # <|endoftext|>; ids from END + 1 on have no token
VOCAB = 290
CONTEXT = 4096
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
RING = "\U0001f600\u4e16\u00e9\ud55c\u30a2 end."  # no byte of it occurs twice


# ---- tokenizer ---------------------------------------------------------------------------

def byte_letters():
    """The letter that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


LETTERS = byte_letters()


def spelt(data):
    return "".join(LETTERS[b] for b in data)


def write_tokenizer(folder):
    """Ids 0..255 are the bytes, then the merges, then the end token."""
    known = {bytes([b]) for b in range(256)}
    pairs = []
    for m in MERGES:
        cut = next(i for i in range(len(m) - 1, 0, -1) if m[:i] in known and m[i:] in known)
        pairs.append(f"{spelt(m[:cut])} {spelt(m[cut:])}")
        known.add(m)
    words = [bytes([b]) for b in range(256)] + MERGES
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    end = {"id": END, "content": "<|endoftext|>", "single_word": False, "lstrip": False,
           "rstrip": False, "normalized": False, "special": True}
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end],
        "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {spelt(w): i for i, w in enumerate(words)}, "merges": pairs}})


def token(data):
    """The id of one token's bytes."""
    return data[0] if len(data) == 1 else 256 + MERGES.index(data)


# ---- files -------------------------------------------------------------------------------

def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


def read_tensors(path):
    """{name: (dtype, shape, bytes)}"""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size:]
    return {name: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])])
            for name, t in header.items()}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text
                     + b"".join(data for _, _, data in tensors.values()))


# ---- a golden fixture --------------------------------------------------------------------

def more_rows(tensor, n):
    """n rows: row v is row v mod V, turned round by some elements in each repetition."""
    dtype, (n_rows, width), data = tensor
    item = ITEM_BYTES[dtype]
    size = width * item
    rows = []
    for v in range(n):
        row = data[v % n_rows * size:][:size]
        by = v // n_rows * 5 % width * item
        rows.append(row[by:] + row[:by])
    return dtype, [n, width], b"".join(rows)


def golden(name, folder, context=CONTEXT):
    """tests/golden/NAME as a servable folder; returns the folder."""
    source, folder = GOLDEN / name, pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    tensors = read_tensors(source / "model.safetensors")
    for key, (_, shape, _) in list(tensors.items()):
        if key.endswith(("embed.weight", "embed_tokens.weight", "lm_head.weight")):
            assert shape[0] == config["vocab_size"], key
            tensors[key] = more_rows(tensors[key], VOCAB)
    config.update(vocab_size=VOCAB, max_position_embeddings=context, eos_token_id=END)
    write_json(folder / "config.json", config)
    write_tensors(folder / "model.safetensors", tensors)
    write_tokenizer(folder)
    return str(folder)


# ---- a cycle -----------------------------------------------------------------------------

def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def code(v, width):
    """A unit vector for token v, of signs; two of them are far from parallel."""
    bits = int.from_bytes(hashlib.sha256(b"%d" % v).digest(), "big")
    return [(1 - 2 * (bits >> i & 1)) / math.sqrt(width) for i in range(width)]


def cycle(folder, ring, width=64, context=CONTEXT):
    """A Transformer that follows t by the token after t in ring, a list of distinct ids. Its one
    layer adds nothing. Returns the folder."""
    assert len(set(ring)) == len(ring)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    codes = [code(v, width) for v in range(VOCAB)]
    head = [[0.0] * width for _ in range(VOCAB)]
    for i, t in enumerate(ring):
        head[ring[(i + 1) % len(ring)]] = [4 * x for x in codes[t]]
    norm = lambda n: ("F32", [n], floats([1.0] * n))
    flat = lambda rows: floats([x for row in rows for x in row])
    zero = lambda n, m: ("F32", [n, m], bytes(4 * n * m))
    at = "model.layers.0."
    tensors = {"model.embed_tokens.weight": ("F32", [VOCAB, width], flat(codes)),
               "model.norm.weight": norm(width),
               "lm_head.weight": ("F32", [VOCAB, width], flat(head)),
               at + "input_layernorm.weight": norm(width),
               at + "post_attention_layernorm.weight": norm(width)}
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        tensors[f"{at}self_attn.{name}.weight"] = zero(width, width)
    for name, shape in (("gate_proj", (8, width)), ("up_proj", (8, width)),
                        ("down_proj", (width, 8))):
        tensors[f"{at}mlp.{name}.weight"] = zero(*shape)
    write_json(folder / "config.json", {
        "model_type": "llama", "vocab_size": VOCAB, "hidden_size": width,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
        "max_position_embeddings": context, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "tie_word_embeddings": False, "eos_token_id": END})
    write_tensors(folder / "model.safetensors", tensors)
    write_tokenizer(folder)
    return str(folder)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    name, folder = sys.argv[1:]
    print(cycle(folder, list(RING.encode())) if name == "cycle" else golden(name, folder))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad model folders of every architecture: status 2, and the file, key or tensor, what was
expected and what was found.

A golden folder of each model_type, with one thing changed. Copies are links to its weights
unless these change.
"""
import json
import math
import pathlib
import re
import shutil
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import program  # noqa: E402
import public_folder  # noqa: E402

FILE = "model.safetensors"
LISTS = ("layer_types", "layers_block_type", "no_rope_layers")
# What a family takes without effect, as transformers does.
WINDOWS_IGNORED = ("nemotron_h",)
LISTS_AS_DEPTH = ("nemotron_h",)


def text(config):
    return config.get("text_config", config)


def families():
    """A folder of one file for each model_type, by it."""
    found = {}
    for path in sorted((program.ROOT / "tests/golden").glob(f"*/{FILE}")):
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        found.setdefault(config["model_type"], (path.parent, config))
    return found


FAMILIES = families()


def read(folder):
    """[name, dtype, shape, bytes] of each tensor."""
    data = (folder / FILE).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, data = json.loads(data[8:8 + size]), data[8 + size:]
    return [[name, t["dtype"], t["shape"], data[slice(*t["data_offsets"])]]
            for name, t in header.items() if name != "__metadata__"]


def packed(tensors):
    header, at = {}, 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(t[3] for t in tensors)


class BadFolderTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ssmd-bad-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def put(self, folder, config, weights=None):
        self.type = config["model_type"]
        (self.dir / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (self.dir / FILE).unlink(missing_ok=True)
        if weights is None:
            (self.dir / FILE).symlink_to(folder / FILE)
        else:
            (self.dir / FILE).write_bytes(weights)

    def refused(self, *says, command=("logits", "--ids", "1,2", "--out", "/dev/null")):
        done = program.run(*command, "--model", self.dir)
        last = done.stderr.decode().strip().split("\n")[-1]
        self.assertEqual(done.returncode, 2, f"{self.type}: {last}")
        for words in (str(self.dir), *says):
            self.assertIn(words, last, self.type)

    def each(self):
        """model_type, folder and a copy of its configuration."""
        for model_type, (folder, config) in FAMILIES.items():
            yield model_type, folder, json.loads(json.dumps(config))

    def changed(self, says, **keys):
        """Every family with these keys."""
        for _, folder, config in self.each():
            text(config).update(keys)
            self.put(folder, config)
            self.refused("config.json", *says)

    def test_every_family_is_there(self):
        folder, config = FAMILIES["llama"]
        self.put(folder, {**config, "model_type": "zonk"})
        done = program.run("logits", "--ids", "1", "--out", "/dev/null", "--model", self.dir)
        names = re.search(r"expected (.*), found", done.stderr.decode())[1]
        self.assertEqual(set(re.split(", | or ", names)), set(FAMILIES))

    def test_keys_that_are_not_known(self):
        self.changed(("odd_multiplier", "not a key"), odd_multiplier=2)

    def test_quantised_checkpoints(self):
        self.changed(("quantization_config: expected none", 'found "fp8"'),
                     quantization_config={"quant_method": "fp8", "weight_block_size": [1, 1]})

    def test_activations(self):
        self.changed(('hidden_act: expected "silu"', 'found "gelu"'), hidden_act="gelu")

    def test_sizes_that_are_no_numbers(self):
        for value, found in ((0, "found 0"), ("4", 'found "4"'), (1.5, "found 1.5"),
                             (2**40, "found 1099511627776")):
            self.changed(("hidden_size: expected an integer", found), hidden_size=value)

    def test_windows_of_no_token(self):
        for model_type, folder, config in self.each():
            if model_type not in WINDOWS_IGNORED:
                text(config)["sliding_window"] = 0
                self.put(folder, config)
                self.refused("config.json", "sliding_window: expected", "found 0")

    def test_lists_of_another_length(self):
        for model_type, folder, config in self.each():
            for key in LISTS:
                whole = text(config).get(key)
                if not isinstance(whole, list) or model_type in LISTS_AS_DEPTH:
                    continue
                for cut in (whole[:-1], whole + whole[-1:]):
                    text(config)[key] = cut
                    self.put(folder, config)
                    self.refused(f"config.json ({model_type}): {key}",
                                 f"expected one entry for each of {len(whole)} layers",
                                 f"found {len(cut)}")
                text(config)[key] = whole

    def test_words_that_are_no_layer(self):
        for model_type, folder, config in self.each():
            for key in LISTS[:2]:
                whole = text(config).get(key)
                if isinstance(whole, list):
                    text(config)[key] = whole[:-1] + ["mixture"]
                    self.put(folder, config)
                    self.refused(f"config.json ({model_type}): {key}: layer {len(whole) - 1}",
                                 "expected one of", 'found "mixture"')
                    text(config)[key] = whole

    def test_vocabularies_that_the_embedding_lacks(self):
        for _, folder, config in self.each():
            size = text(config)["vocab_size"]
            text(config)["vocab_size"] = size + 1
            self.put(folder, config)
            self.refused(FILE, "tensor ", f"expected shape [{size + 1}, ", f"found [{size}, ")

    def test_tokenizers_larger_than_the_embedding(self):
        for _, folder, config in self.each():
            self.put(folder, config)
            (self.dir / "tokenizer.json").write_text(json.dumps(public_folder.tokenizer(300)),
                                                     encoding="utf-8")
            for command in ("check", "serve"):
                self.refused("tokenizer.json: expected ids below vocab_size "
                             f"{text(config)['vocab_size']}", "found 2", command=(command,))

    def test_tensors_that_are_missing(self):
        for _, folder, config in self.each():
            tensors = read(folder)
            at = max(i for i, t in enumerate(tensors) if "layers.0." in t[0])
            name = tensors[at][0]
            self.put(folder, config, packed(tensors[:at] + tensors[at + 1:]))
            self.refused(f"tensor {name}: expected [", "found nothing")

    def test_tensors_of_unknown_names(self):
        for _, folder, config in self.each():
            tensors = read(folder)
            tensors.append(["model.layers.0.odd.weight", *tensors[-1][1:]])
            self.put(folder, config, packed(tensors))
            self.refused(FILE, "tensor model.layers.0.odd.weight: surplus")

    def test_tensors_of_other_shapes(self):
        for _, folder, config in self.each():
            tensors = read(folder)
            wide = next(t for t in tensors
                        if "layers." in t[0] and len(t[2]) == 2 and t[2][0] != t[2][1])
            before = wide[2]
            wide[2] = before[::-1]
            self.put(folder, config, packed(tensors))
            self.refused(FILE, f"tensor {wide[0]}: expected shape {before}",
                         f"found {before[::-1]}")

    def test_tensors_of_types_that_need_scales(self):
        for _, folder, config in self.each():
            tensors = read(folder)
            wide = next(t for t in tensors if "layers." in t[0] and len(t[2]) == 2)
            for dtype in ("F8_E4M3", "I8"):
                wide[1], wide[3] = dtype, bytes(math.prod(wide[2]))
                self.put(folder, config, packed(tensors))
                self.refused(FILE, f"tensor {wide[0]}: expected F32, F16 or BF16",
                             f"found {dtype}")

    def test_shards_that_are_missing(self):
        for _, folder, config in self.each():
            names = [t[0] for t in read(folder)]
            self.put(folder, config)
            (self.dir / FILE).rename(self.dir / "model-00001-of-00002.safetensors")
            where = {n: f"model-0000{1 + (n == names[-1])}-of-00002.safetensors" for n in names}
            (self.dir / f"{FILE}.index.json").write_text(json.dumps({"weight_map": where}))
            self.refused("weight_map", f"tensor {names[-1]}",
                         "expected in model-00002-of-00002.safetensors", "no such file")
            (self.dir / f"{FILE}.index.json").unlink()
            (self.dir / "model-00001-of-00002.safetensors").unlink()

    def test_models_of_images_alone(self):
        folder, config = FAMILIES["qwen3_5"]
        visual = [t for t in read(folder) if t[0].startswith("model.visual.")]
        self.put(folder, config, packed(visual))
        self.refused("tensor model.language_model.", "expected", "found")
        self.put(folder, {k: v for k, v in config.items() if k != "text_config"})
        self.refused("config.json: text_config: expected an object", "qwen3_5_text",
                     "found nothing")
        config = json.loads(json.dumps(config))
        config["text_config"]["model_type"] = "qwen3_5_moe_text"
        self.put(folder, config)
        self.refused("config.json", 'text_config.model_type: expected "qwen3_5_text"',
                     'found "qwen3_5_moe_text"')

    def test_every_command_refuses(self):
        for command in ("check", "serve"):
            for _, folder, config in self.each():
                text(config)["odd_multiplier"] = 2
                self.put(folder, config)
                self.refused("config.json", "odd_multiplier: not a key", command=(command,))


if __name__ == "__main__":
    program.main()

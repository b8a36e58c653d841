#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`ssmd quantize` from outside: what it writes, read by a second program, and what it refuses.

The reader below knows the format from engine/load/quant.h alone. What it makes of a quantised
file is held against the weights that went in; given back as plain floats, the same codes come
out again, which they would not if a single one had been read from a wrong place.
"""
import array
import json
import math
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import program  # noqa: E402

GOLDEN = program.ROOT / "tests/golden"
NAMES = ("transxssm-default", "transxssm-sharded", "pha-sizes", "llama-tied", "llama-gqa-bias")
FLOATS = {"F32": "f", "F16": "e"}


# ---- a reader of model files ----------------------------------------------------------------

def read_tensors(folder):
    """{name: (dtype, shape, bytes, offset in its file)} and the metadata of all files."""
    tensors, metadata = {}, {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        raw = path.read_bytes()
        size = struct.unpack_from("<Q", raw)[0]
        header = json.loads(raw[8:8 + size])
        metadata.update(header.pop("__metadata__", {}))
        for name, t in header.items():
            begin, end = (8 + size + at for at in t["data_offsets"])
            tensors[name] = (t["dtype"], t["shape"], raw[begin:end], begin)
    return tensors, metadata


def floats(dtype, raw):
    if dtype == "BF16":
        halves = struct.unpack(f"<{len(raw) // 2}H", raw)
        return list(struct.unpack(f"<{len(halves)}f",
                                  struct.pack(f"<{len(halves)}I", *(h << 16 for h in halves))))
    kind = FLOATS[dtype]
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw))


def levels():
    """As quant.h lists them."""
    text = (program.ROOT / "engine/load/quant.h").read_text(encoding="utf-8")
    found = [int(x) for x in re.search(r"quant_levels is ([-\d\s*]+)",
                                       text)[1].replace("*", " ").split()]
    assert len(found) == 16
    return found


def dequantise(name, tensors, metadata, level=tuple(levels())):
    """The weights of a quantised tensor, rows one after the other."""
    n_out, n_in = json.loads(metadata["ssmd.shape." + name])
    kind = "q8" if name + ".q8" in tensors else "q4"
    _, (_, groups, per, _, _), codes, _ = tensors[f"{name}.{kind}"]
    scales = floats("F16", tensors[name + ".scale"][2])
    weights = []
    for o in range(n_out):
        for k in range(n_in):
            tile = o // 32 * groups + k // 32
            j, i = (k % 32 if kind == "q8" else k % 16) // 4, k % 4
            code = codes[((tile * per + j) * 32 + o % 32) * 4 + i]
            value = code - 128 if kind == "q8" else level[code >> (k % 32 // 16 * 4) & 15]
            weights.append(scales[tile * 32 + o % 32] * value)
    return weights, [n_out, n_in]


def read_weights(folder):
    """{name: (shape, floats)} of any model folder."""
    tensors, metadata = read_tensors(folder)
    quantised = {n[:-3] for n in tensors if n.endswith((".q8", ".q4"))}
    weights = {n: (s, floats(d, raw)) for n, (d, s, raw, _) in tensors.items() if d != "U8"
               and not (n.endswith(".scale") and n[:-6] in quantised)}
    for name in quantised:
        values, shape = dequantise(name, tensors, metadata)
        weights[name] = (shape, values)
    return weights


def write_floats(folder, source, weights):
    """A plain f32 checkpoint of these weights with source's configuration."""
    folder.mkdir()
    shutil.copy(source / "config.json", folder)
    header, data = {}, b""
    for name, (shape, values) in weights.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_large(folder):
    """A random Llama of one layer whose feed-forward matrices are large enough for q4."""
    rng, width, inner, vocab = random.Random(3), 128, 1050, 50
    shapes = {"model.embed_tokens.weight": [vocab, width], "model.norm.weight": [width]}
    for name, shape in (("input_layernorm", [width]), ("post_attention_layernorm", [width]),
                        ("self_attn.q_proj", [width, width]), ("self_attn.k_proj", [32, width]),
                        ("self_attn.v_proj", [32, width]), ("self_attn.o_proj", [width, width]),
                        ("mlp.gate_proj", [inner, width]), ("mlp.up_proj", [inner, width]),
                        ("mlp.down_proj", [width, inner])):
        shapes[f"model.layers.0.{name}.weight"] = shape
    config = {"model_type": "llama", "vocab_size": vocab, "hidden_size": width,
              "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 1,
              "intermediate_size": inner, "max_position_embeddings": 64,
              "tie_word_embeddings": True}
    source = folder.parent / f"{folder.name}-config"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_floats(folder, source, {
        name: (shape, [rng.gauss(0, shape[-1] ** -0.5) for _ in range(math.prod(shape))]
               if len(shape) == 2 else [1.0] * shape[0]) for name, shape in shapes.items()})
    ids = [i * 7 % vocab for i in range(20)]
    (folder / "golden.json").write_text(json.dumps({"ids": ids}), encoding="utf-8")
    shutil.rmtree(source)


# ---- tests ----------------------------------------------------------------------------------

class WithFolder(unittest.TestCase):
    def setUp(self):
        self.parent = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent, True)
        self.out = self.parent / "out"

    def quantize(self, model, out, weights, **more):
        return program.run("quantize", model, out, "--weights", weights, **more)

    def make(self, model, weights, name="out"):
        out = self.parent / name
        done = self.quantize(model, out, weights)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def logits(self, model, *more):
        path = self.parent / "logits"
        ids = json.loads((model / "golden.json").read_text(encoding="utf-8"))["ids"]
        done = program.run("logits", "--model", model, "--ids", ",".join(map(str, ids)), "--out",
                           path, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return path.read_bytes()

    def left(self):
        return sorted(p.name for p in self.parent.iterdir())


class FormatTest(WithFolder):
    def models(self):
        write_large(self.parent / "large")
        return [self.parent / "large", *(GOLDEN / name for name in NAMES)]

    def test_the_weights_are_near_those_that_went_in(self):
        for model in self.models():
            before = read_weights(model)
            for kind in ("q8", "q4"):
                out = self.make(model, kind, f"{model.name}-{kind}")
                after, tensors = read_weights(out), read_tensors(out)[0]
                self.assertLessEqual(set(after), set(before))
                for tensor, (shape, values) in after.items():
                    worst = 0.25 if tensor + ".q4" in tensors else 0.5 / 127
                    with self.subTest(model=model.name, kind=kind, tensor=tensor):
                        self.assertEqual(shape, before[tensor][0])
                        self.near(before[tensor][1], values, shape[-1], worst)

    def near(self, before, after, width, worst):
        """Within a share of the largest weight of the group of 32."""
        for row in range(0, len(before), width):
            for g in range(row, row + width, 32):
                end = min(g + 32, row + width)
                most = max(map(abs, before[g:end]))
                off = max(abs(a - b) for a, b in zip(before[g:end], after[g:end]))
                self.assertLessEqual(off, worst * 1.001 * most)

    def test_the_reader_s_floats_lead_to_the_same_codes(self):
        for name in NAMES:
            with self.subTest(model=name):
                first = self.make(GOLDEN / name, "q8", f"{name}-first")
                write_floats(self.parent / f"{name}-plain", first, read_weights(first))
                second = self.make(self.parent / f"{name}-plain", "q8", f"{name}-second")
                a, b = read_tensors(first)[0], read_tensors(second)[0]
                self.assertEqual(set(a), set(b))
                for tensor in a:
                    if a[tensor][0] in ("U8", "F16") and tensor.endswith((".q8", ".scale")):
                        self.assertEqual(a[tensor][:3], b[tensor][:3], tensor)

    def test_logits_are_those_of_the_reader_s_weights(self):
        """Products round their rows to 8 bits and sum in another order; no more lies between."""
        write_large(self.parent / "large")
        for kind, model in (("q8", GOLDEN / "llama-gqa-bias"), ("q8", GOLDEN / "pha-sizes"),
                            ("q8", self.parent / "large"), ("q4", self.parent / "large")):
            with self.subTest(kind=kind, model=model.name):
                packed = self.make(model, kind, f"{model.name}-{kind}")
                plain = self.parent / f"{model.name}-{kind}-plain"
                write_floats(plain, packed, read_weights(packed))
                shutil.copy(model / "golden.json", plain)
                a, b = array.array("f"), array.array("f")
                a.frombytes(self.logits(packed))
                b.frombytes(self.logits(plain))
                power = sum(x * x for x in b)
                off = sum((x - y) ** 2 for x, y in zip(a, b))
                self.assertLess(math.sqrt(off / power), 0.03)

    def test_quantised_arrays_come_first_and_aligned(self):
        write_large(self.parent / "large")
        for kind in ("q8", "q4"):
            tensors, metadata = read_tensors(self.make(self.parent / "large", kind, kind))
            kinds = {n.rsplit(".", 1)[1] for n in tensors} & {"q8", "q4"}
            self.assertEqual(kinds, {"q8"} if kind == "q8" else {"q8", "q4"})
            self.assertEqual(metadata["ssmd.layout"], "1")
            ends = [at + len(raw) for n, (_, _, raw, at) in tensors.items()
                    if n.endswith((".q8", ".q4", ".scale"))]
            others = [at for n, (_, _, _, at) in tensors.items()
                      if not n.endswith((".q8", ".q4", ".scale"))]
            self.assertLessEqual(max(ends), min(others))
            for name, (_, _, _, at) in tensors.items():
                if name.endswith((".q8", ".q4", ".scale")):
                    self.assertEqual(at % 64, 0, name)

    def test_bf16_and_f32_files_are_plain(self):
        before = read_weights(GOLDEN / NAMES[0])
        tensors, _ = read_tensors(self.make(GOLDEN / NAMES[0], "bf16", "b"))
        matrices = [n for n, t in tensors.items() if len(t[1]) == 2 and "dt_proj" not in n]
        self.assertTrue(matrices)
        for name in matrices:
            self.assertEqual(tensors[name][0], "BF16")
            for x, y in zip(before[name][1], floats("BF16", tensors[name][2])):
                self.assertLessEqual(abs(x - y), abs(x) / 256)
        half = read_tensors(self.make(GOLDEN / "transxssm-bf16", "f32", "f"))[0]
        self.assertEqual({t[0] for t in half.values() if len(t[1]) == 2}, {"F32"})


class FolderTest(WithFolder):
    def test_other_files_are_copied_and_weights_are_one_file(self):
        source = self.parent / "source"
        shutil.copytree(GOLDEN / "transxssm-sharded", source)
        (source / "LICENSE").write_text("terms", encoding="utf-8")
        (source / "pytorch_model.bin").write_text("old", encoding="utf-8")
        (source / ".hidden").write_text("no", encoding="utf-8")
        (source / "more").mkdir()
        (source / "link.json").symlink_to(GOLDEN / "llama-tied/config.json")
        out = self.make(source, "q8")
        self.assertEqual(sorted(p.name for p in out.iterdir()),
                         ["LICENSE", "config.json", "golden.json", "link.json", "logits.f64",
                          "model.safetensors"])
        for name in ("LICENSE", "config.json", "golden.json", "link.json", "logits.f64"):
            self.assertEqual((out / name).read_bytes(), (source / name).read_bytes())
        self.assertFalse((out / "link.json").is_symlink())
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(out.stat().st_mode & 0o777, 0o777 & ~mask)

    def test_a_head_that_repeats_its_embedding_is_left_out(self):
        source = self.parent / "source"
        weights = read_weights(GOLDEN / "llama-tied")
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        write_floats(source, GOLDEN / "llama-tied", weights)
        tensors, _ = read_tensors(self.make(source, "q8"))
        self.assertFalse([n for n in tensors if n.startswith("lm_head")])

    def test_a_slash_behind_the_name_is_no_part_of_it(self):
        done = self.quantize(GOLDEN / NAMES[0], f"{self.out}//", "q8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.left(), ["out"])

    def test_a_quantised_folder_can_be_written_again_as_it_is(self):
        first = self.make(GOLDEN / NAMES[0], "q8", "first")
        second = self.make(first, "q8", "second")
        self.assertEqual((first / "model.safetensors").read_bytes(),
                         (second / "model.safetensors").read_bytes())

    def test_check_tells_formats_bytes_and_the_parameters_that_went_in(self):
        plain = program.run("check", "--model", program.args.model).stdout.decode()
        count = re.search(r"^parameters .*$", plain, re.M)[0]
        for kind in ("q8", "q4"):
            out = self.make(program.args.model, kind, kind)
            told = program.run("check", "--model", out).stdout.decode()
            self.assertIn(count, told)
            line = re.search(r"^weights +(\S+), ([\d.]+) MiB in memory \((.*)\)", told, re.M)
            self.assertEqual(line[1], kind)
            parts = dict(part.split(" ", 1) for part in line[3].split(", "))
            self.assertIn("q8", parts)
            self.assertEqual("q4" in parts, kind == "q4")
            self.assertAlmostEqual(sum(float(x.split()[0]) for x in parts.values()),
                                   float(line[2]), delta=0.3)


class RefusalTest(WithFolder):
    def refused(self, done, code, *texts):
        self.assertEqual(done.returncode, code, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr.decode())

    def test_arguments(self):
        model = GOLDEN / NAMES[0]
        self.refused(program.run("quantize"), 2, "MODEL and OUT")
        self.refused(program.run("quantize", model), 2, "MODEL and OUT")
        self.refused(program.run("quantize", model, self.out), 2, "--weights", "found nothing")
        self.refused(self.quantize(model, self.out, "q5"), 2, "--weights", '"q5"')
        self.refused(self.quantize(model, self.out, "own"), 2, "--weights", '"own"')
        self.refused(program.run("quantize", model, self.out, "third", "--weights", "q8"), 2,
                     "third")
        self.assertEqual(self.left(), [])

    def test_what_exists_is_not_written_over(self):
        self.out.mkdir()
        self.refused(self.quantize(GOLDEN / NAMES[0], self.out, "q8"), 2, str(self.out), "exists")
        self.assertEqual(list(self.out.iterdir()), [])
        link = self.parent / "link"
        link.symlink_to(self.parent / "nowhere")
        self.refused(self.quantize(GOLDEN / NAMES[0], link, "q8"), 2, "exists")
        self.assertEqual(self.left(), ["link", "out"])

    def test_folders_that_are_not_there(self):
        self.refused(self.quantize(self.parent / "none", self.out, "q8"), 2, "none")
        self.refused(self.quantize(GOLDEN / NAMES[0], self.parent / "a/b", "q8"), 2, "a/b")
        self.assertEqual(self.left(), [])

    def test_a_broken_model_leaves_nothing(self):
        source = self.parent / "source"
        shutil.copytree(GOLDEN / NAMES[0], source)
        path = source / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        self.refused(self.quantize(source, self.out, "q8"), 2, "model.safetensors")
        self.assertEqual(self.left(), ["source"])

    def test_weights_that_are_not_finite(self):
        weights = read_weights(GOLDEN / "llama-tied")
        name = "model.layers.1.mlp.up_proj.weight"
        weights[name][1][5] = math.nan
        write_floats(self.parent / "source", GOLDEN / "llama-tied", weights)
        for kind in ("q8", "q4"):
            self.refused(self.quantize(self.parent / "source", self.out, kind), 2, name, "row 0",
                         "finite")
        self.assertEqual(self.left(), ["source"])

    def test_a_disk_that_is_full(self):
        def limit(size):
            def set_limit():
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            return set_limit
        size = (self.make(GOLDEN / NAMES[0], "q8", "whole") / "model.safetensors").stat().st_size
        (self.parent / "source").mkdir()
        for path in (GOLDEN / NAMES[0]).iterdir():
            shutil.copy(path, self.parent / "source")
        (self.parent / "source/notes.txt").write_bytes(b"x" * (size + 5000))
        for room in (0, 100, size // 2, size - 1, size + 1000):
            self.refused(self.quantize(self.parent / "source", self.out, "q8",
                                       preexec_fn=limit(room)), 1, ".partial-", "File too large")
            self.assertEqual(self.left(), ["source", "whole"])

    def test_formats_that_a_quantised_file_cannot_give(self):
        write_large(self.parent / "large")
        q8 = self.make(self.parent / "large", "q8", "q8")
        q4 = self.make(self.parent / "large", "q4", "q4")
        for model, asked, found in ((q8, "q4", "q8"), (q8, "f32", "q8"), (q8, "bf16", "q8"),
                                    (q4, "q8", "q4"), (q4, "f32", "q")):
            done = program.run("check", "--model", model, "--weights", asked, "--context", 64)
            self.refused(done, 2, "weights: tensor", f"to make {asked} of, found {found}")
        for model, asked in ((q8, "own"), (q8, "q8"), (q4, "own"), (q4, "q4")):
            self.logits(model, "--weights", asked)

    def test_every_broken_byte_of_a_header_is_refused_or_harmless(self):
        """No flip may crash; the header says everything twice, so most are errors."""
        out = self.make(GOLDEN / "llama-tied", "q8")
        path = out / "model.safetensors"
        whole = bytearray(path.read_bytes())
        size = struct.unpack_from("<Q", whole)[0]
        rng, refused = random.Random(1), 0
        for _ in range(60):
            at = rng.randrange(8 + size)
            broken = bytearray(whole)
            broken[at] ^= 1 << rng.randrange(7)
            path.write_bytes(broken)
            done = program.run("logits", "--model", out, "--ids", "1,2", "--out", "/dev/null")
            self.assertIn(done.returncode, (0, 2), done.stderr)
            refused += done.returncode == 2
        self.assertGreater(refused, 30)

    def test_surplus_and_missing_parts(self):
        out = self.make(GOLDEN / "llama-tied", "q8")
        path = out / "model.safetensors"
        whole = path.read_bytes()
        name = b"model.layers.0.mlp.up_proj.weight"
        for old, new, text in ((name + b".scale", name + b".scalf", "found nothing"),
                               (name + b".q8\"", name + b".q9\"", "found nothing"),
                               (b'"ssmd.layout":"1"', b'"ssmd.layout":"0"', "ssmd.layout"),
                               (b"ssmd.shape." + name, b"ssmd.shapf." + name, "ssmd.shape.")):
            self.assertEqual(whole.count(old), 1)
            path.write_bytes(whole.replace(old, new))
            done = program.run("logits", "--model", out, "--ids", "1", "--out", "/dev/null")
            self.refused(done, 2, text)


if __name__ == "__main__":
    program.main()

# SPDX-License-Identifier: Apache-2.0
"""Reads and writes safetensors files and sharded folders as torch tensors.

Owns the byte layout only: an 8-byte little-endian header length, a JSON header, then
the tensors without gaps (the format of github.com/huggingface/safetensors). It refuses
what it cannot map exactly: unknown types, holes, overlaps, sizes that disagree with
shapes, an index that names absent shards or tensors.
"""
import json
import os
import struct

import torch

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NAMES = {dtype: name for name, dtype in TYPES.items()}
INDEX = "model.safetensors.index.json"


class FormatError(ValueError):
    """A file that is not what its header says."""


def read_file(path):
    """All tensors of one file, name -> tensor in its stored type."""
    with open(path, "rb") as file:
        blob = file.read()
    header, data = split_header(path, blob)
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        if start != end:
            raise FormatError(f"{path}: {name}: begins at {start}, expected {end}")
        tensors[name] = decode(f"{path}: {name}", entry, data[start:stop])
        end = stop
    if end != len(data):
        raise FormatError(f"{path}: {len(data)} bytes of data, header covers {end}")
    return tensors


def split_header(path, blob):
    if len(blob) < 8:
        raise FormatError(f"{path}: {len(blob)} bytes is no safetensors file")
    (length,) = struct.unpack("<Q", blob[:8])
    if length > len(blob) - 8:
        raise FormatError(f"{path}: header of {length} bytes in {len(blob)} bytes")
    header = json.loads(blob[8:8 + length].decode("utf-8"))
    header.pop("__metadata__", None)
    return header, memoryview(blob)[8 + length:]


def decode(where, entry, data):
    if entry["dtype"] not in TYPES:
        raise FormatError(f"{where}: type {entry['dtype']}, expected one of {list(TYPES)}")
    dtype, shape = TYPES[entry["dtype"]], entry["shape"]
    count = 1
    for extent in shape:
        count *= extent
    expected = count * torch.empty((), dtype=dtype).element_size()
    if len(data) != expected:
        raise FormatError(f"{where}: {len(data)} bytes, shape {shape} needs {expected}")
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def write_file(path, tensors):
    """Writes tensors (each F32, F16 or BF16) in the order of their names."""
    header, chunks, end = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(tensors):
        data = encode(tensors[name])
        header[name] = {"dtype": NAMES[tensors[name].dtype],
                        "shape": list(tensors[name].shape),
                        "data_offsets": [end, end + len(data)]}
        chunks.append(data)
        end += len(data)
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def encode(tensor):
    tensor = tensor.detach().cpu().contiguous()
    if tensor.element_size() == 2:
        tensor = tensor.view(torch.int16)  # numpy has no bfloat16
    return tensor.numpy().tobytes()


def read_folder(folder):
    """All tensors of a model folder, single file or shards."""
    single, index = os.path.join(folder, "model.safetensors"), os.path.join(folder, INDEX)
    if os.path.exists(single) == os.path.exists(index):
        raise FormatError(f"{folder}: expected either model.safetensors or {INDEX}")
    if os.path.exists(single):
        return read_file(single)
    with open(index, encoding="utf-8") as file:
        places = json.load(file)["weight_map"]
    tensors = {}
    for shard in sorted(set(places.values())):
        found = read_file(os.path.join(folder, shard))
        listed = {name for name, place in places.items() if place == shard}
        if set(found) != listed:
            raise FormatError(f"{folder}/{shard}: differs from {INDEX} in "
                              f"{sorted(set(found) ^ listed)}")
        tensors.update(found)
    return tensors


def write_folder(folder, tensors, n_shards=1):
    """Writes model.safetensors, or n_shards of about equal bytes and their index."""
    if n_shards == 1:
        write_file(os.path.join(folder, "model.safetensors"), tensors)
        return
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    places, done = {}, 0
    for name in sorted(tensors):
        shard = min(done * n_shards // total, n_shards - 1)
        places[name] = f"model-{shard + 1:05d}-of-{n_shards:05d}.safetensors"
        done += tensors[name].numel() * tensors[name].element_size()
    for shard in sorted(set(places.values())):
        write_file(os.path.join(folder, shard),
                   {name: t for name, t in tensors.items() if places[name] == shard})
    with open(os.path.join(folder, INDEX), "w", encoding="utf-8") as file:
        json.dump({"metadata": {"total_size": total}, "weight_map": places}, file,
                  indent=1, sort_keys=True)
        file.write("\n")

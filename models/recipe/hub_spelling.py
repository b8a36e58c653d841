# SPDX-License-Identifier: Apache-2.0
"""The same model as its makers published it: other names of keys and tensors, equal numbers.

A golden folder of a public family holds config.json and the weights as transformers writes
them, and config.hub.json; golden.json may say how the published tensors differ:
  hub_names    {name in the file: published name}
  hub_cuts     [[names, rows], ...]: the rows of these tensors, joined, are cut anew
  hub_surplus  {name: shape}: tensors that a published folder has beside these
write_twin makes the published folder from the others. Python alone; files are small.
"""
import json
import pathlib
import shutil
import struct


def read_tensors(folder):
    """{name: (type, shape, bytes)} of all files of a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        raw = path.read_bytes()
        n, = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8:8 + n])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            first, end = entry["data_offsets"]
            found[name] = entry["dtype"], entry["shape"], raw[8 + n + first:8 + n + end]
    return found


def write_tensors(path, tensors):
    """One file, tensors in the order given."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (kind, shape, raw) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, raw in tensors.values():
            file.write(raw)


def cut_anew(tensors, names, rows):
    """The rows of the named tensors, joined in that order, go to the same names by new counts."""
    kind, shape, _ = tensors[names[0]]
    joined = b"".join(tensors[name][2] for name in names)
    row_bytes = len(joined) // sum(tensors[name][1][0] for name in names)
    at = 0
    for name, n in zip(names, rows):
        tensors[name] = kind, [n, *shape[1:]], joined[at:at + n * row_bytes]
        at += n * row_bytes
    if at != len(joined):
        raise ValueError(f"{names[0]}: {rows} rows of {len(joined) // row_bytes}")


def write_twin(folder, golden, out):
    """Writes the published form of FOLDER, whose golden.json was read, into the folder OUT."""
    folder, out = pathlib.Path(folder), pathlib.Path(out)
    shutil.copyfile(folder / "config.hub.json", out / "config.json")
    tensors = read_tensors(folder)
    for names, rows in golden.get("hub_cuts", []):
        cut_anew(tensors, names, rows)
    names = golden.get("hub_names", {})
    tensors = {names.get(name, name): entry for name, entry in tensors.items()}
    for name, shape in golden.get("hub_surplus", {}).items():
        n = 4
        for size in shape:
            n *= size
        tensors[name] = "F32", shape, bytes(n)
    write_tensors(out / "model.safetensors", tensors)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measurements of the README: `ssmd bench` over several shapes in rounds.

    rounds.py --ssmd build/ssmd --out build/bench [--rounds 5] [--sets depth,batch]

A round measures every shape of a set once, one after the other, so that a machine that changes
its mind changes it for all of them; what is reported is the median over the rounds, and for a
comparison the median of the ratios of each round. Writes OUT/<set>.json in the form of `ssmd
bench --json` and OUT/<set>.md, and prints the latter. Asserts nothing.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KEY = ["shape", "case", "format", "kv", "sequences", "depth"]  # and the tokens of a prompt

# Shapes that differ from a file's by some keys: name: (file, keys).
TWICE = "transxssm-125m-twice"  # two attention layers of twelve, where it has one
VARIANTS = {TWICE: ("transxssm-125m", {"attn_layer_offset": 3})}

TRIO = ["llama-125m", "transxssm-125m", "pha-dss-125m"]
DEPTHS = "0,1024,4096,8192,16384,32768"
# name: [(shape, options of ssmd bench)]
SETS = {
    "formats": [(s, ["--format", "f32,q8,q4", "--kv", "f16", "--prefill", "512,2048",
                     "--decode", "1,16,64", "--depth", "0", "--step-rows", "512"])
                for s in TRIO[:2]],
    "depth": [(s, ["--format", "q8", "--kv", "f16", "--decode", "1,16", "--depth", DEPTHS])
              for s in TRIO],
    "depth-q8": [(s, ["--format", "q8", "--kv", "q8", "--decode", "1,16", "--depth",
                      "0,1024,4096,16384,32768"]) for s in [*TRIO[:2], TWICE]],
    "batch": [(s, ["--format", "q8", "--kv", "f16", "--decode", "1,2,4,8,16,32,64",
                   "--depth", "0"]) for s in TRIO],
    "180m": [(s, ["--format", "q8", "--kv", "f16", "--decode", "1,16", "--depth",
                  "0,2048,8192,16384"]) for s in ["attention-180m", "pha-180m"]],
}
# set: [(what, selection, its divisor)]; a selection is of results, by the keys given.
COMPARISONS = {
    "formats": [(f"{s}, decode: q4 over q8", {"shape": s, "format": "q4", "sequences": 1,
                                              "case": "decode"}, {"format": "q8"})
                for s in TRIO[:2]] +
               [(f"{s}, q8: {n} sequences over 1", {"shape": s, "format": "q8", "sequences": n,
                                                    "case": "decode"}, {"sequences": 1})
                for s in TRIO[:2] for n in (16, 64)],
    "depth": [(f"{s} over llama-125m, {n} sequences at {d}",
               {"shape": s, "sequences": n, "depth": d}, {"shape": "llama-125m"})
              for s in TRIO[1:] for n in (1, 16) for d in (4096, 32768)] +
             [("transxssm-125m: cost a token at 32768 over 1024, 1 sequence, kv f16",
               {"shape": "transxssm-125m", "sequences": 1, "depth": 1024}, {"depth": 32768})],
    "depth-q8": [(f"{s}: cost a token at 32768 over 1024, {n} sequences, kv q8",
                  {"shape": s, "sequences": n, "depth": 1024},
                  {"depth": 32768}) for s in (TRIO[1], TWICE) for n in (1, 16)] +
                [(f"{s} over llama-125m, 16 sequences at 4096, kv q8",
                  {"shape": s, "sequences": 16, "depth": 4096},
                  {"shape": "llama-125m"}) for s in (TRIO[1], TWICE)],
    "180m": [(f"pha-180m over attention-180m, {n} sequences at {d}",
              {"shape": "pha-180m", "sequences": n, "depth": d}, {"shape": "attention-180m"})
             for n in (1, 16) for d in (0, 8192)],
}


def shape_file(shape, folder):
    """The shape's file; that of a variant is made in the folder."""
    name, changes = VARIANTS.get(shape, (shape, {}))
    path = ROOT / f"configs/shapes/{name}.json"
    if changes:
        keys = {**json.loads(path.read_text()), **changes}
        path = pathlib.Path(folder) / f"{shape}.json"
        path.write_text(json.dumps(keys))
    return path


def measure(ssmd, shape, options):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SSMD_")}
    with tempfile.TemporaryDirectory() as folder:
        path = str(shape_file(shape, folder))
        command = [ssmd, "bench", "--shape", path, "--json", "--runs", "1", *options]
        return json.loads(subprocess.run(command, env=clean, stdout=subprocess.PIPE,
                                         check=True).stdout)


def key_of(result):
    tokens = result["tokens"] if result["case"] == "prefill" else 0
    return (*[result[k] for k in KEY], tokens)


def middle(values):
    """The median of numbers; of anything else the first."""
    first = values[0]
    if isinstance(first, bool) or not isinstance(first, (int, float)):
        return first
    return statistics.median(values)


def merge(objects):
    """One object of many: the medians, and every round's rate under "runs"."""
    rows = {}
    for found in objects:
        for result in found["results"]:
            rows.setdefault(key_of(result), []).append(result)
    results = []
    for same in rows.values():
        row = {k: middle([r[k] for r in same]) for k in same[0]}
        if row["fits"]:
            row["runs"] = [r["tokens_s"] for r in same]
            row["tokens_s_min"], row["tokens_s_max"] = min(row["runs"]), max(row["runs"])
        results.append(row)
    first, machines = objects[0], [o["machine"] for o in objects]
    machine = {**first["machine"], "runs": max(len(same) for same in rows.values()),
               "order": "shapes in turn in every round",
               "load_before": machines[0]["load_before"],
               "load_after": machines[-1]["load_after"],
               "steal": statistics.mean(m["steal"] for m in machines),
               "peak_resident_bytes": max(m["peak_resident_bytes"] for m in machines)}
    limits = {k: middle([o["limits"][k] for o in objects]) for k in first["limits"]}
    return {"limits": limits, "machine": machine, "results": results}


def select(found, wanted):
    """The one result that has these values, None when it is missing or did not fit."""
    same = [r for r in found["results"] if all(r[k] == v for k, v in wanted.items())]
    return same[0] if len(same) == 1 and same[0]["fits"] else None


def ratio(found, wanted, divisor):
    """(median, least, most) of the rounds' ratios of rates, or None."""
    a, b = select(found, wanted), select(found, {**wanted, **divisor})
    if not a or not b:
        return None
    pairs = [x / y for x, y in zip(a["runs"], b["runs"])]
    return statistics.median(pairs), min(pairs), max(pairs)


def percent(x):
    return "not measured" if x is None else f"{100 * x:.0f} %"


def rate(x, digits, unit):
    """A limit."""
    return "not measured" if x is None else f"{x:.{digits}f} {unit}"


def line(r):
    name = f"prefill {r['tokens']}" if r["case"] == "prefill" else "decode"
    head = f"| {r['shape']} | {name} | {r['format']} | {r['sequences']} | {r['depth']} |"
    if not r["fits"]:
        return f"{head} does not fit: {r['memory_bytes'] / 2**20:.0f} MiB | | | | |"
    share = r["state_bytes_per_token"] / r["bytes_per_token"]
    return (f"{head} {r['tokens_s']:.1f} ({r['tokens_s_min']:.1f} to {r['tokens_s_max']:.1f}) |"
            f" {percent(r['of_memory_limit'])} | {percent(r['of_compute_limit'])} |"
            f" {100 * share:.0f} % | {r['resident_bytes'] / 2**20:.0f} |")


def page(name, found):
    limits, m = found["limits"], found["machine"]
    text = ["| shape | case | format | sequences | depth | tokens/s | of memory limit |"
            " of compute limit | state's share of the bytes | resident MiB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    text += [line(r) for r in found["results"]]
    kv = ", ".join(sorted({r["kv"] for r in found["results"]}))
    text += ["", f"{m['threads']} threads, {m['cpu']}, keys and values {kv}. Limits:"
             f" memory {rate(limits['memory_gb_s'], 1, 'GB/s')},"
             f" f32 {rate(limits['f32_gflop_s'], 0, 'GFLOP/s')},"
             f" int8 {rate(limits['int8_gop_s'], 0, 'GOP/s')}. Medians of {m['runs']} rounds;"
             f" load {m['load_before']:.2f} before, {m['load_after']:.2f} after, steal"
             f" {100 * m['steal']:.1f} %.", ""]
    for what, wanted, divisor in COMPARISONS.get(name, []):
        found_ratio = ratio(found, wanted, divisor)
        if found_ratio:
            text.append("- %s: × %.2f (%.2f to %.2f)" % (what, *found_ratio))
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ssmd", default=str(ROOT / "build/ssmd"))
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sets", default=",".join(SETS))
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in args.sets.split(","):
        objects = []
        for n in range(args.rounds):
            for shape, options in SETS[name]:
                print(f"{name}: round {n + 1} of {args.rounds}: {shape}", file=sys.stderr)
                objects.append(measure(args.ssmd, shape, options))
        found = merge(objects)
        (out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / f"{name}.md").write_text(page(name, found))
        print(f"## {name}\n\n{page(name, found)}", flush=True)


if __name__ == "__main__":
    main()

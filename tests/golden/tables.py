#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/MODELS.md: what each golden folder shows, and what real models take.

    tables.py --ssmd build/ssmd golden     folders against float64 and against themselves
    tables.py --ssmd build/ssmd loss       logits by format of weights and of K/V against f32
    tables.py --ssmd build/ssmd memory     sizes by `ssmd check --sizes`
    tables.py --ssmd build/ssmd docs       writes all into docs/MODELS.md

A cell of the golden table says what was seen in this run: = for equal bytes.
"""
import array
import concurrent.futures
import json
import os
import re
import sys
import tempfile

import test_golden
from test_golden import Case, HERE, cuts, kernel_sets, program

sys.path.insert(0, str(program.ROOT / "tests/wire"))
import hub_spelling  # noqa: E402
import test_cli  # noqa: E402
import wire  # noqa: E402

DOCS = program.ROOT / "docs/MODELS.md"
PUBLISHED = program.ROOT / "tests/published"
OURS = {"TransXSSM", "pha", "llama"}  # with golden folders of our own reference
SAME, DIFFERENT = "=", "**differs**"


def verdict(good):
    return SAME if good else DIFFERENT


# ---- a golden folder ---------------------------------------------------------------------

def error_of(case):
    """The largest difference from float64, of the largest logit."""
    found = array.array("f")
    found.frombytes(case.plain())
    return max(abs(a - b) for a, b in zip(found, case.wanted)) / case.scale


def greedy_of(case):
    found = case.next_ids(len(case.greedy))
    equal = next((i for i, (a, b) in enumerate(zip(found, case.greedy)) if a != b), len(found))
    return f"{equal} of {len(case.greedy)}"


def published_of(case):
    if not (case.folder / "config.hub.json").exists():
        return "–"
    with tempfile.TemporaryDirectory() as out:
        golden = json.loads((case.folder / "golden.json").read_text(encoding="utf-8"))
        hub_spelling.write_twin(case.folder, golden, out)
        return verdict(Case(case.folder, model=out).plain() == case.plain())


def split_of(case):
    ways = [["--split", ",".join(map(str, way))] for way in cuts(len(case.ids), case.name)]
    ways += [["--step-rows", n] for n in (1, 5, 64)]
    return verdict(all(case.logits(*way) == case.plain() for way in ways))


def threads_of(case):
    return verdict(all(case.logits("--threads", n) == case.plain() for n in (1, 2, 3, 8)))


def levels_of(case):
    return verdict(all(case.logits("--cpu", name) == case.plain() for name in kernel_sets()))


def formats_of(case):
    """bf16, q8 and q4: in every set and some cuts, and quantised ahead."""
    good = True
    for weights in ("bf16", "q8", "q4"):
        for i, name in enumerate(kernel_sets()):
            way = ",".join(map(str, cuts(len(case.ids), case.name)[i]))
            good &= case.logits("--weights", weights, "--cpu", name, "--threads", 1 + i,
                                "--split", way) == case.held(weights)
        with tempfile.TemporaryDirectory() as parent:
            out = os.path.join(parent, "out")
            done = program.run("quantize", case.folder, out, "--weights", weights)
            good &= done.returncode == 0
            good = good and Case(case.folder, model=out).held("own") == case.held(weights)
    return verdict(good)


# ---- over HTTP ---------------------------------------------------------------------------

def ask(daemon, ids, salt):
    status, _, answer = daemon.complete(prompt=ids, max_tokens=16, logprobs=5, cache_salt=salt)
    if status != 200:
        raise SystemExit(f"{status}: {answer}")
    return answer


def batch_and_cache(case):
    """An answer beside seven others, and one from a checkpoint, against the answer alone."""
    served = test_cli.Folder(case.folder)
    try:
        with wire.Daemon("--model", served.path, "--context", case.context,
                         "--memory-bytes", "64MiB") as daemon:
            ids = case.ids[:len(case.ids) - 40]
            alone = ask(daemon, ids, "alone")["choices"][0]["logprobs"]
            prompts = [ids] + [case.ids[i:i + 30 + 9 * i] for i in range(7)]
            with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
                beside = list(pool.map(lambda p: ask(daemon, p, "beside"), prompts))[0]
            again = ask(daemon, ids, "alone")
            hit = again["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
            return (verdict(beside["choices"][0]["logprobs"] == alone),
                    verdict(hit and again["choices"][0]["logprobs"] == alone))
    finally:
        served.close()


GOLDEN_HEAD = ["`model_type`", "case", "weights", "error", "greedy", "published names", "split",
               "batch", "cache", "threads", "sets", "formats"]


def parameters_of(text):
    return re.search(r"^parameters +([\d.]+) million", text, re.M)[1]


def golden_row(case):
    kind = json.loads((case.folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    n = sum(len(raw) // (4 if dtype == "F32" else 2)
            for dtype, _, raw in hub_spelling.read_tensors(case.folder).values())
    batch, cache = batch_and_cache(case)
    return [f"`{kind}`", case.name.split("-", 1)[1], f"{n:,}", f"{error_of(case):.1e}",
            greedy_of(case), published_of(case), split_of(case), batch, cache,
            threads_of(case), levels_of(case), formats_of(case)]


def golden_cases():
    """Folders of public families and of the baselines; our own families have many alike."""
    for case in test_golden.CASES:
        kind = json.loads((case.folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        if kind not in OURS or case.name.endswith(("-default", "-dss-cosine", "-public")):
            yield case


def golden_table():
    yield GOLDEN_HEAD
    for case in golden_cases():
        yield golden_row(case)


# ---- what formats cost ----------------------------------------------------------------------

LOSS_HEAD = ["`model_type`", "q8", "q4", "K/V f16", "K/V q8"]


def loss_of(case, *more):
    """The largest difference from f32, of the largest logit."""
    known, found = array.array("f"), array.array("f")
    known.frombytes(case.held("f32"))
    found.frombytes(case.logits("--weights", "f32", *more))
    top = max(map(abs, known))
    worst = max(abs(a - b) for a, b in zip(known, found))
    return f"{100 * worst / top:.2g} %"


def loss_table():
    """Random models some 370 wide (ShapeTest), which are large enough for q4."""
    yield LOSS_HEAD
    for name, keys in test_golden.SHAPES.items():
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({**test_golden.ODD, **keys}, file)
            file.flush()
            case = test_golden.ShapeCase(name, file.name)
            ways = [("--weights", "q8"), ("--weights", "q4"), ("--kv", "f16"), ("--kv", "q8")]
            yield [f"`{keys['model_type']}`"] + [loss_of(case, *way) for way in ways]


# ---- real models -------------------------------------------------------------------------

MEMORY_HEAD = ["model", "`model_type`", "parameters", "bf16", "q8", "q4", "state",
               "K/V a token", "4,096 tokens", "32,768 tokens", "state ="]


def memory_row(path):
    done = program.run("check", "--sizes", "--kv", "f16", "--shape", path)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    text = done.stdout.decode()
    kind = re.search(r"^architecture +(\w+):", text, re.M)[1]
    formats = dict(re.findall(r"(bf16|q8|q4) ([\d.]+) MiB", text))
    state = int(re.search(r"^state +(\d+)", text, re.M)[1])
    token = re.search(r"^ +f16: (\d+) bytes a token.*?(?:state at (\d+))?$", text, re.M)
    per_token = int(token[1]) if token else 0
    row = [path.stem, f"`{kind}`", f"{float(parameters_of(text)):,.0f} M"]
    row += [f"{float(formats[name]):,.0f}" for name in ("bf16", "q8", "q4")]
    row += [f"{state / 2**20:.2f}", f"{per_token:,}"]
    row += [f"{(state + n * per_token) / 2**20:,.0f}" for n in (4096, 32768)]
    return row + [f"{int(token[2]):,}" if token and token[2] else "–"]


def memory_table():
    yield MEMORY_HEAD
    for path in sorted(PUBLISHED.glob("*.json")):
        yield memory_row(path)


# ---- printing ----------------------------------------------------------------------------

def markdown(rows):
    rows = list(rows)
    lines = [rows[0], ["---"] * len(rows[0])] + rows[1:]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


TABLES = {"golden": golden_table, "loss": loss_table, "memory": memory_table}


def write_docs():
    text = DOCS.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} table -->\n", "<!-- end -->\n"
        first = text.index(begin) + len(begin)
        text = text[:first] + markdown(table()) + text[text.index(end, first):]
    DOCS.write_text(text, encoding="utf-8")


def main():
    wire.ARGS = program.args
    for name in program.args.names or list(TABLES):
        if name == "docs":
            write_docs()
        else:
            print(markdown(TABLES[name]()), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden files of the public families, by transformers: public_golden.py FOLDER [--only REGEX].

Each folder is what save_pretrained writes of a tiny random model in float32, config.hub.json
with the makers' spelling, golden.json and logits.f64 as golden.py has them; the logits are those
of the same numbers in float64, eager attention. A case that fails costs no other one.
--tar FILE packs all folders, --list prints the cases without torch.
"""
import argparse
import copy
import json
import os
import pathlib
import random
import re
import shutil
import sys
import tarfile
import tempfile
import time
import traceback

from hub_spelling import write_twin
from public_cases import CASES, REMOVED

os.environ.update(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

N_GREEDY = 16
CLOSEST = 2e-3  # the two best logits of a greedy step differ by more, times max |logit|
SMALLEST, LARGEST = 4.0, 16.0  # max |logit|; outside, the head is scaled
WANTED = 8.0
TIED_EMBEDDING = 0.08  # or a tied model repeats its last id for ever


def value_of(torch, name, tensor, case, generator):
    """Random numbers for a parameter, of a kind told by its name and shape."""
    def normal(scale, mean=0.0):
        return mean + scale * torch.randn(tensor.shape, generator=generator)

    def uniform(low, high):
        return low + (high - low) * torch.rand(tensor.shape, generator=generator)

    last = name.rsplit(".", 1)[-1]
    if last == "A_log":
        return uniform(-3.0, 1.0)
    if last == "dt_bias":
        return uniform(-2.0, 0.5)
    if last == "D":
        return normal(0.5, 1.0)
    if tensor.dim() == 1 and last == "weight":
        added = (any(part in name for part in case.one_plus)
                 and not any(part in name for part in case.not_one_plus))
        return normal(0.25, 0.0 if added else 1.0)
    if tensor.dim() == 1:
        return normal(0.3)
    if tensor.dim() == 3:
        return normal(tensor.shape[-1] ** -0.5)
    if "embed" in name:
        return normal(TIED_EMBEDDING if case.tied else 1.0)
    gain = 1.5 if re.search(r"\.[qk]_proj\.", name) else 2.5 if "lm_head" in name else 1.0
    return normal(gain * tensor[0].numel() ** -0.5)


def fill(torch, model, case, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        parameter.copy_(value_of(torch, name, parameter, case, generator))


def make_model(torch, transformers, case):
    config = getattr(transformers, case.classes[0])(**case.class_arguments())
    for part in (config, getattr(config, "text_config", None)):
        if part is not None:
            part._attn_implementation = "eager"
            if hasattr(part, "_experts_implementation"):
                part._experts_implementation = "eager"
    kind = getattr(transformers, case.classes[1])
    try:
        model = kind._from_config(config, attn_implementation="eager", dtype=torch.float32)
    except TypeError:
        model = kind(config)
    return model.to(torch.float32).eval()


def logits_of(torch, model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].to(torch.float64)


def scale_head(model, case, factor):
    """The last norm or, of an untied model, its head is scaled."""
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        head.weight.mul_(factor)
        return
    names = [name for name, p in model.named_parameters() if p.dim() == 1 and re.search(
        r"(^|\.)(norm|norm_f|final_layernorm|embedding_norm)\.weight$", name)
        and ".layers." not in name and "visual" not in name]
    weight = dict(model.named_parameters())[names[-1]]
    if case.one_plus:
        weight.copy_((1 + weight) * factor - 1)
    else:
        weight.mul_(factor)


def greedy(torch, model, ids):
    """(the ids that follow, the smallest relative lead of a best one), each of the whole."""
    found, lead = [], 1.0
    for _ in range(N_GREEDY):
        last = logits_of(torch, model, ids + found)[-1]
        best = last.topk(2).values
        lead = min(lead, float((best[0] - best[1]) / last.abs().max()))
        found.append(int(last.argmax()))
    return found, lead


def make_golden(torch, transformers, name, case):
    """The first seed whose greedy steps have a clear winner and do not all agree."""
    model = make_model(torch, transformers, case)
    first = sum(map(ord, name)) * 1000
    best = None
    for seed in range(first, first + 24):
        ids = [random.Random(seed + i * 7919).randrange(3, case.vocab - 4)
               for i in range(case.n_ids)]
        fill(torch, model, case, seed)
        exact = copy.deepcopy(model).double()
        top = float(logits_of(torch, exact, ids).abs().max())
        if not SMALLEST < top < LARGEST:
            scale_head(model, case, WANTED / top)
            exact = copy.deepcopy(model).double()
        logits = logits_of(torch, exact, ids)
        if not bool(torch.isfinite(logits).all()):
            raise RuntimeError("logits are not finite")
        found, lead = greedy(torch, exact, ids)
        if best is None or lead > best[0]:
            best = lead, seed
        if lead > CLOSEST and len(set(found)) > N_GREEDY // 3:
            return model, ids, found, logits
    raise RuntimeError(f"every seed has a near tie; best lead {best}")


def published(case):
    """config.json in the makers' spelling."""
    return case.hub


def how_tensors_differ(case, written):
    """What golden.json says of the published tensors."""
    names = {}
    for name in sorted(written):
        for pattern, replacement in case.names:
            if re.search(pattern, name):
                names[name] = re.sub(pattern, replacement, name)
                break
    told = {"hub_names": names} if names else {}
    if case.conv_rows:
        told["hub_cuts"] = [
            [[name.replace("q_conv1d", part + "_conv1d") for part in "qkv"], case.conv_rows]
            for name in sorted(written) if name.endswith("q_conv1d.weight")]
    if case.surplus:
        told["hub_surplus"] = case.surplus
    return told


def write_golden(folder, case, model, ids, found, logits):
    import numpy
    import safetensors
    shutil.rmtree(folder, ignore_errors=True)
    more = {"max_shard_size": case.shard} if case.shard else {}
    model.save_pretrained(folder, **more)
    (folder / "README.md").unlink(missing_ok=True)
    written = {}
    for path in folder.glob("*.safetensors"):
        with safetensors.safe_open(path, "pt") as file:
            written.update({key: list(file.get_slice(key).get_shape()) for key in file.keys()})
    with open(folder / "config.hub.json", "w", encoding="utf-8") as file:
        json.dump(published(case), file, indent=1)
        file.write("\n")
    golden = {"ids": ids, "greedy": found, "context": case.served,
              **how_tensors_differ(case, written)}
    with open(folder / "golden.json", "w", encoding="utf-8") as file:
        json.dump(golden, file)
        file.write("\n")
    rounded = numpy.round(logits.numpy(), 10) + 0.0
    rounded.astype("<f8").tofile(folder / "logits.f64")
    return golden, written


def agreement(torch, transformers, case, folder, ids, logits):
    """How far the model read back from FOLDER is from the logits, in words."""
    kind = getattr(transformers, case.classes[1])
    more = {key: value for key, value in case.build.items() if value != REMOVED}
    try:
        model, told = kind.from_pretrained(folder, dtype=torch.float64, output_loading_info=True,
                                           attn_implementation="eager", **more)
        far = float((logits_of(torch, model.eval(), ids) - logits).abs().max())
        missing = sorted(told["missing_keys"])
        return f"{far:.1e}" + (f" missing {missing[:3]}" if missing else "")
    except Exception as error:  # a word in the table, whatever went wrong
        return f"{type(error).__name__}: {str(error)[:160]}"


def run_case(torch, transformers, name, case, parent):
    started = time.time()
    model, ids, found, logits = make_golden(torch, transformers, name, case)
    folder = parent / name
    golden, written = write_golden(folder, case, model, ids, found, logits)
    again = agreement(torch, transformers, case, folder, ids, logits)
    with tempfile.TemporaryDirectory() as twin:
        write_twin(folder, golden, twin)
        hub = agreement(torch, transformers, case, twin, ids, logits)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    n_weights = sum(parameter.numel() for parameter in model.parameters())
    return (f"{name:24s} {n_weights:8d} weights  max {float(logits.abs().max()):6.2f}  "
            f"std {float(logits.std()):5.2f}  {n_bytes:7d} bytes  {time.time() - started:5.1f} s  "
            f"read back {again}  published {hub}  greedy {found}"), written


def short_traceback():
    kind, error, trace = sys.exc_info()
    frames = traceback.extract_tb(trace)[-4:]
    lines = [f"  {pathlib.Path(f.filename).name}:{f.lineno} {f.name}: {f.line}" for f in frames]
    return "\n".join(lines + [f"  {kind.__name__}: {str(error)[:1500]}"])


def show_names(written):
    """Tensors of the layers, equal ones once, so that spellings can be read in the log."""
    seen = {}
    for name, shape in sorted(written.items()):
        seen.setdefault(re.sub(r"\.\d+\.", ".#.", name), []).append(shape)
    return "\n".join(f"    {name} {shapes[0]} x{len(shapes)}" for name, shapes in seen.items())


def list_cases(wanted):
    for name, case in CASES.items():
        if wanted.search(name):
            print(f"{name:24s} {case.classes[1]:32s} {json.dumps(published(case))}")


def run_cases(wanted, parent):
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    torch.set_num_threads(int(os.environ.get("GOLDEN_THREADS", "1")))
    rows, failed = [], []
    for name, case in CASES.items():
        if not wanted.search(name):
            continue
        try:
            row, written = run_case(torch, transformers, name, case, parent)
            print(f"{name}\n{show_names(written)}", flush=True)
            rows.append(row)
        except Exception:  # printed, and the others go on
            shutil.rmtree(parent / name, ignore_errors=True)
            failed.append(name)
            print(f"FAILED {name}\n{short_traceback()}", flush=True)
    print(f"\ntransformers {transformers.__version__}, torch {torch.__version__}, "
          f"python {sys.version.split()[0]}")
    print("\n".join(rows))
    print(f"{len(rows)} written, {len(failed)} failed: {' '.join(failed)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--only", default="", help="cases whose name this pattern finds")
    parser.add_argument("--list", action="store_true", help="print the cases, needs no torch")
    parser.add_argument("--tar", help="pack the folders into this file")
    options = parser.parse_args()
    wanted = re.compile(options.only)
    if options.list:
        return list_cases(wanted)
    if not options.folder:
        parser.error("FOLDER is missing")
    parent = pathlib.Path(options.folder)
    parent.mkdir(parents=True, exist_ok=True)
    run_cases(wanted, parent)
    if options.tar:
        with tarfile.open(options.tar, "w:gz") as file:
            file.add(parent, arcname=".")
    return None


if __name__ == "__main__":
    main()

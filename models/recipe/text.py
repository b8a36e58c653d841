# SPDX-License-Identifier: Apache-2.0
"""Text in and out of a reference model: generation and scoring."""
import json
import lzma
import math
import os

import torch

from tokenizer import Tokenizer


def read_text(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        return file.read()


def special(folder, name):
    """bos_token_id or eos_token_id; generation_config.json wins over config.json."""
    value = None
    for file_name in ("config.json", "generation_config.json"):
        path = os.path.join(folder, file_name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                value = json.load(file).get(name, value)
    return value


def generate(model, folder, prompt, args):
    """The prompt and what follows, up to args.tokens or the end-of-text id."""
    tokenizer, bos = Tokenizer(folder), special(folder, "bos_token_id")
    ids = ([] if bos is None else [bos]) + tokenizer.encode(prompt)
    n_prompt, state, draw = len(ids), model.start(), torch.Generator().manual_seed(args.seed)
    position = 0
    while len(ids) < n_prompt + args.tokens:
        logits = model.step(ids[position], position, state).cpu()
        position += 1
        if position == len(ids):
            ids.append(choose(logits, args.temperature, draw))
            if ids[-1] == special(folder, "eos_token_id"):
                break
    return tokenizer.decode(ids if bos is None else ids[1:])


def choose(logits, temperature, draw):
    if temperature <= 0:
        return int(logits.argmax())
    weights = torch.softmax(logits.double() / temperature, -1)
    return int(torch.multinomial(weights, 1, generator=draw))


def perplexity(model, folder, path, context):
    """Scores a file: encoded whole, cut into windows of `context` ids, each after bos."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        context = context or json.load(file)["max_position_embeddings"]
    text = read_text(path)
    nats, n_tokens = score(model, Tokenizer(folder).encode(text), context,
                           special(folder, "bos_token_id"))
    return {"nats": nats, "tokens": n_tokens, "bytes": len(text.encode("utf-8")),
            "words": len(text.split()), "lines": text.count("\n")}


def score(model, ids, context, bos):
    """(total nats, ids scored). Without bos a window's first id has nothing before it."""
    nats, scored = 0.0, 0
    for start in range(0, len(ids), context):
        window = ids[start:start + context]
        if bos is not None:
            window = [bos] + window
        if len(window) < 2:
            continue
        logits = model.logits(window[:-1])
        nats += float(torch.nn.functional.cross_entropy(
            logits, torch.tensor(window[1:], device=logits.device), reduction="sum"))
        scored += len(window) - 1
    return nats, scored


def report(found):
    nats = found["nats"]
    print(f"tokens {found['tokens']}  bytes {found['bytes']}  words {found['words']}")
    print(f"bits per byte {nats / math.log(2) / found['bytes']:.4f}")
    print(f"perplexity per token {math.exp(nats / found['tokens']):.3f}")
    print(f"perplexity per word {math.exp(nats / found['words']):.3f}")
    with_ends = found["words"] + found["lines"]
    print(f"perplexity per word, one end of line a line ({with_ends}) "
          f"{math.exp(nats / with_ends):.3f}")

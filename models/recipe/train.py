# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded model and writes its folder.

  train.py --tokens DIR --tokenizer DIR --out DIR [--seconds S] [--device cuda] ...

DIR of --tokens is what `bpe.py encode` wrote. The length of the run is given in
seconds, the learning rate follows the share of it that has passed, so that the run ends
where the machine's time ends; the steps it took are printed and recorded. The last part
is trained at the full context. Muon (Keller Jordan, 2024; scaled as arXiv 2502.16982,
section 2.2) steps the matrices, AdamW everything else.
"""
import argparse
import json
import math
import os
import shutil
import time

import numpy
import torch

from config import parse_config
from safetensors_io import write_folder
from trainable import TransXssm

SHAPE = {
    "architectures": ["TransXSSMForCausalLM"], "model_type": "TransXSSM",
    "vocab_size": 8192, "hidden_size": 320, "num_hidden_layers": 10,
    "num_attention_heads": 5, "num_key_value_heads": 5, "intermediate_size": 896,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "rope_scaling": None, "tie_word_embeddings": True, "attn_layer_period": 3,
    "attn_layer_offset": 2, "ssd_state_dim": 64, "hidden_bias": False,
    "rope_on_ssd": True, "rope_on_attn": True, "hidden_act": "silu",
    "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "bfloat16"}


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are replaced by their nearest orthogonal ones."""

    def __init__(self, params, lr, weight_decay, momentum=0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay,
                                  "momentum": momentum})
        self.orthogonal = newton_schulz

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():
                self.step_shape(group, shape, params)

    def step_shape(self, group, shape, params):
        for p in params:
            self.state[p].setdefault("m", torch.zeros_like(p))
        grads, moments = [p.grad for p in params], [self.state[p]["m"] for p in params]
        torch._foreach_lerp_(moments, grads, 1 - group["momentum"])
        updates = torch._foreach_lerp(grads, moments, group["momentum"])  # Nesterov
        update = self.orthogonal(torch.stack(updates))
        scale = 0.2 * math.sqrt(max(shape)) * group["lr"]
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, list(update.to(params[0].dtype).unbind()), alpha=-scale)


def newton_schulz(g):
    """g [n,rows,columns] -> about U V^T, five steps of a quintic in bfloat16."""
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


def make_optimizers(model, args):
    named = dict(model.named_parameters())
    matrices = [p for n, p in named.items() if p.ndim == 2 and "embed" not in n
                and "dt_proj" not in n]
    chosen = set(map(id, matrices))
    rest = [p for p in named.values() if id(p) not in chosen]
    groups = [{"params": [p for p in rest if p.ndim == 2], "weight_decay": args.decay},
              {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0}]
    fused = args.device != "cpu"
    extra = {"fused": True} if fused else {}
    adam = torch.optim.AdamW(groups, lr=args.adam_lr, betas=(0.9, 0.95), eps=1e-10, **extra)
    return [Muon(matrices, args.lr, args.decay), adam]


def rate(share, step):
    """Warm-up over 200 steps, flat, then linear to zero over the last 70 % of the run."""
    return min(1.0, (step + 1) / 200) * min(1.0, max(0.0, (1 - share) / 0.7))


class Batches:
    """Windows of length+1 ids at a fresh offset and in a fresh order each pass."""

    def __init__(self, path, device, seed=1):
        ids = numpy.fromfile(path, numpy.uint16).astype(numpy.int32)
        self.ids = torch.from_numpy(ids).to(device)
        self.draw, self.device = torch.Generator().manual_seed(seed), device
        self.length, self.left = 0, torch.empty(0, dtype=torch.long)

    def next(self, rows, length):
        if length != self.length or len(self.left) < rows:
            self.length = length
            offset = int(torch.randint(length, (1,), generator=self.draw))
            n = (len(self.ids) - offset - 1) // length
            self.left = torch.randperm(n, generator=self.draw) * length + offset
        starts, self.left = self.left[:rows], self.left[rows:]
        at = starts.to(self.device)[:, None] + torch.arange(length + 1, device=self.device)
        window = self.ids[at].long()
        return window[:, :-1], window[:, 1:]


def held_windows(document, context, end):
    """Inputs and targets as `ssmd perplexity` cuts a file: each window after bos."""
    ids = document["ids"]
    for start in range(0, len(ids), context):
        targets = ids[start:start + context]
        yield [end] + targets[:-1], targets


@torch.no_grad()
def bits_per_byte(model, documents, context, device, rows=8):
    windows = [w for d in documents for w in held_windows(d, context, 0)]
    windows.sort(key=lambda w: len(w[0]))
    nats = 0.0
    run_block, model.run_block = model.run_block, type(model.model.layers[0]).forward
    run_head, model.run_head = model.run_head, head_loss_sum
    for at in range(0, len(windows), rows):
        some = windows[at:at + rows]
        length = -(-max(len(w[0]) for w in some) // 64) * 64
        ids = torch.zeros(len(some), length, dtype=torch.long)
        targets = torch.full((len(some), length), -1)
        for row, (source, target) in enumerate(some):
            ids[row, :len(source)] = torch.tensor(source)
            targets[row, :len(target)] = torch.tensor(target)
        with torch.autocast(device, torch.bfloat16):
            nats += float(model(ids.to(device), targets.to(device)))
    model.run_block, model.run_head = run_block, run_head
    return nats / math.log(2) / sum(d["bytes"] for d in documents)


def head_loss_sum(h, norm, weight, targets):
    logits = torch.nn.functional.linear(norm(h), weight)
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1),
                                             targets.flatten(), ignore_index=-1,
                                             reduction="sum")


def save(model, raw, tokenizer, out, record):
    """The model folder in bfloat16 shards, with the record of the run beside it."""
    os.makedirs(out, exist_ok=True)
    write_folder(out, model.stored(torch.bfloat16), n_shards=2)
    for name, value in (("config.json", raw), ("training.json", record)):
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
            file.write("\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(os.path.join(tokenizer, name), out)


class Run:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        torch.set_float32_matmul_precision("high")
        self.raw = {**SHAPE, **json.loads(args.shape)}
        self.args, config = args, parse_config(self.raw)
        self.model = TransXssm(config).to(args.device)
        self.optimizers = make_optimizers(self.model, args)
        self.batches = Batches(os.path.join(args.tokens, "train.u16"), args.device)
        with open(os.path.join(args.tokens, "held.json"), encoding="utf-8") as file:
            self.held = json.load(file)
        if args.compile:
            self.model.compile()
            self.optimizers[0].orthogonal = torch.compile(newton_schulz, dynamic=False)
        self.steps = self.seen = 0
        self.record = {"held": []}

    def step(self, length, share):
        """One optimizer step; the loss stays on the device."""
        factor, loss = rate(share, self.steps), 0.0
        for _ in range(self.args.parts):
            rows = self.args.batch // length // self.args.parts
            ids, targets = self.batches.next(rows, length)
            with torch.autocast(self.args.device, torch.bfloat16):
                part = self.model(ids, targets) / self.args.parts
            part.backward()
            loss = loss + part.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group.setdefault("peak", group["lr"])
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.seen += self.args.batch
        return loss

    def warm_up(self):
        """Compiles both lengths before the clock starts; the weights are kept."""
        before = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        for length in (self.args.length, self.args.context):
            self.step(length, 1.0)
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(before[name])
        for optimizer in self.optimizers:
            optimizer.state.clear()
        self.steps = self.seen = 0

    def evaluate(self, share, loss, elapsed):
        """Held-out bits per byte; only the last time of more than 40 documents a source."""
        limit = None if share >= 1 else 40
        found = {source: round(bits_per_byte(self.model, documents[:limit],
                                             self.args.context, self.args.device), 4)
                 for source, documents in self.held.items()}
        line = {"step": self.steps, "tokens": self.seen, "share": round(share, 3),
                "seconds": round(elapsed), "loss": round(float(loss), 4), **found}
        self.record["held"].append(line)
        print(json.dumps(line), flush=True)

    def train(self):
        args = self.args
        self.warm_up()
        print(f"{sum(p.numel() for p in self.model.parameters())} parameters, "
              f"{len(self.batches.ids)} tokens", flush=True)
        began, share, marks = time.time(), 0.0, 0
        while share < 1:
            length = args.context if share > 1 - args.long else args.length
            loss = self.step(length, share)
            if self.steps % 10 == 0:
                loss.item()  # keeps the host within ten steps of the device
            elapsed = time.time() - began
            share = elapsed / args.seconds if args.seconds else self.steps / args.steps
            if share * args.evals >= marks + 1 or share >= 1:
                marks += 1
                self.evaluate(share, loss, elapsed)
                save(self.model, self.raw, args.tokenizer, args.out, self.record)
        print(f"{self.steps} steps, {self.seen} tokens, {self.seen / elapsed:.0f} a second")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, help="length of the run")
    parser.add_argument("--steps", type=int, default=1000, help="its length without --seconds")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batch", type=int, default=131072, help="tokens a step")
    parser.add_argument("--parts", type=int, default=1, help="passes that share a step")
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--long", type=float, default=0.2, help="share at full context")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--adam-lr", type=float, default=1e-2)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--evals", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", default="{}", help="JSON that replaces config fields")
    Run(parser.parse_args()).train()


if __name__ == "__main__":
    main()

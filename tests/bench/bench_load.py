#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long opening a public model takes, in what memory, and how soon it answers.

    bench_load.py --ssmd build/ssmd [--only REGEX] [--weights own,q8,q4] [--dir build/load]

Folders of random weights as their makers lay them out (bf16, shards with an index, a tokenizer of
the whole vocabulary, tensors that are left out) are written once and stay. Of each weight format
one daemon that reads the files from the disk (their pages are dropped first) and one that finds
them in the page cache: seconds to ready; resident memory then, its highest so far, and the weights
in it; seconds from a request of 16 tokens to its first token, and of a second request. Prints
Markdown; asserts nothing, but that every format answers.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import sys

import bench_prefix

sys.path.insert(0, str(bench_prefix.ROOT / "tests" / "lib"))
import public_folder
import wire

MIB, PROMPT = 1 << 20, 16
LONG = 3600  # seconds

QWEN = {
    "model_type": "qwen3_5", "architectures": ["Qwen3_5ForConditionalGeneration"],
    "image_token_id": 248056, "video_token_id": 248057, "vision_start_token_id": 248053,
    "vision_end_token_id": 248054, "tie_word_embeddings": True,
    "text_config": {
        "model_type": "qwen3_5_text", "attention_bias": False, "attention_dropout": 0.0,
        "attn_output_gate": True, "dtype": "bfloat16", "eos_token_id": 248044,
        "full_attention_interval": 4, "head_dim": 256, "hidden_act": "silu",
        "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3584,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 6,
        "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
        "linear_num_value_heads": 16, "linear_value_head_dim": 128,
        "max_position_embeddings": 262144, "mtp_num_hidden_layers": 1,
        "mtp_use_dedicated_embeddings": False, "num_attention_heads": 8,
        "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
        "tie_word_embeddings": True, "use_cache": True, "vocab_size": 248320,
        "mamba_ssm_dtype": "float32",
        "rope_parameters": {"mrope_interleaved": True, "mrope_section": [11, 11, 10],
                            "rope_type": "default", "rope_theta": 10000000,
                            "partial_rotary_factor": 0.25}},
    "vision_config": {"model_type": "qwen3_5", "depth": 12, "hidden_size": 768,
                      "intermediate_size": 3072, "num_heads": 12, "out_hidden_size": 1024},
}
GRANITE = {
    "model_type": "granitemoehybrid", "architectures": ["GraniteMoeHybridForCausalLM"],
    "attention_bias": False, "attention_dropout": 0.0, "attention_multiplier": 0.015625,
    "bos_token_id": 100257, "embedding_multiplier": 12, "eos_token_id": 100257,
    "hidden_act": "silu", "hidden_size": 768, "init_method": "mup", "initializer_range": 0.1,
    "intermediate_size": 2048,
    "layer_types": ["attention" if i in (10, 13, 17, 27) else "mamba" for i in range(32)],
    "logits_scaling": 3, "mamba_chunk_size": 256, "mamba_conv_bias": True, "mamba_d_conv": 4,
    "mamba_d_head": 32, "mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1,
    "mamba_n_heads": 48, "mamba_proj_bias": False, "max_position_embeddings": 32768,
    "normalization_function": "rmsnorm", "num_attention_heads": 12, "num_experts_per_tok": 0,
    "num_hidden_layers": 32, "num_key_value_heads": 4, "num_local_experts": 0,
    "output_router_logits": False, "pad_token_id": 100256, "position_embedding_type": "nope",
    "residual_multiplier": 0.246, "rms_norm_eps": 1e-05, "rope_scaling": None,
    "rope_theta": 10000, "router_aux_loss_coef": 0.01, "shared_intermediate_size": 2048,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
    "vocab_size": 100352,
}
BIGGER = {
    "hidden_size": 2560, "intermediate_size": 9216, "num_hidden_layers": 32,
    "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 8,
    "linear_num_value_heads": 32, "num_attention_heads": 16, "num_key_value_heads": 4,
}
QWEN_4B = {**QWEN, "text_config": {**QWEN["text_config"], **BIGGER}}
MODELS = {"Qwen3.5-0.8B": QWEN, "Granite-4-H-350M": GRANITE}


def folder(name, config, at):
    """The model's folder, and the bytes of its files. Written anew if its writer is newer."""
    path, source = at / name, pathlib.Path(public_folder.__file__)
    text = json.dumps(config, indent=2)
    made = path / "tokenizer.json"  # the last file that is written
    good = made.exists() and made.stat().st_mtime > source.stat().st_mtime
    if not good or (path / "config.json").read_text() != text:
        shutil.rmtree(path, ignore_errors=True)
        public_folder.write(config, path, shard=600_000_000, unused=32)
    return path, sum(f.stat().st_size for f in path.iterdir())


def drop_cache(path):
    for file in path.iterdir():
        fd = os.open(file, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return [int(re.search(rf"{key}:\s*(\d+) kB", text).group(1)) / 1024
            for key in ("VmRSS", "VmHWM")]


def opened(path, weights):
    """(seconds, resident MiB, their peak, MiB of weights, seconds to two first tokens)"""
    rng = random.Random(3)
    with wire.Daemon("--model", path, "--weights", weights, "--max-seqs", 4, "--context", 4096,
                     wait=False) as d:
        seconds = d.wait_line("ready", timeout=LONG)["load_ms"] / 1000
        now, peak = resident(d.proc.pid)
        held = d.wait_line("memory")["weights_bytes"] / MIB
        firsts = [bench_prefix.ask(d, bench_prefix.ids(rng, PROMPT), 2)[0] for _ in range(2)]
    return seconds, now, peak, held, *firsts


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--ssmd", required=True)
    p.add_argument("--only", default="")
    p.add_argument("--weights", default="own,q8,q4")
    p.add_argument("--dir", default="build/load", type=pathlib.Path)
    args = wire.ARGS = p.parse_args()
    args.model = ""
    rows = []
    print(bench_prefix.load())
    for name in filter(re.compile(args.only).search, MODELS):
        path, size = folder(name, MODELS[name], args.dir)
        for weights in args.weights.split(","):
            drop_cache(path)
            cold = opened(path, weights)[0]
            warm, now, peak, held, first, second = opened(path, weights)
            rows.append([name, "%.0f" % (size / MIB), weights, "%.1f" % cold, "%.1f" % warm,
                         "%.0f" % held, "%.0f" % now, "%.0f" % peak, "%.0f" % (1e3 * first),
                         "%.0f" % (1e3 * second)])
    bench_prefix.table(["model", "folder, MiB", "weights", "disk, s", "cached, s", "weights, MiB",
                        "resident, MiB", "peak, MiB", "first token, ms", "second, ms"], rows)


if __name__ == "__main__":
    main()

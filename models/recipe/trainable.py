# SPDX-License-Identifier: Apache-2.0
"""TransXSSM as a torch module for training: batched, mixed precision, chunked scan.

The mathematics is reference.py's; parameters are named as the stored tensors, except
A_log: A = -exp(A_log) keeps the decay below one during training, the checkpoint stores
the signed A.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

CHUNK = 64


def rotate(x, cos, sin):
    """x [b,H,T,d]; cos, sin [T,d/2] float32."""
    low, high = x.float().chunk(2, -1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1).to(x.dtype)


def ssd_scan(c, b, x, dt, decay, chunk=CHUNK):
    """The chunked matrix form (arXiv 2405.21060, section 6): b, c [B,H,T,N],
    x [B,H,T,P], dt [B,H,T] float32, decay [H] -> [B,H,T,P].

    Inside a chunk it is masked attention; chunks are joined through their final states.
    Decays are float32 throughout and enter products as exponentials of differences <= 0.
    """
    batch, heads, length, n = b.shape
    shape = (batch, heads, length // chunk, chunk)
    c, b, x = (part.reshape(*shape, -1) for part in (c, b, x * dt[..., None].to(x.dtype)))
    total = torch.cumsum((dt * decay[:, None]).reshape(shape), -1)
    gap = total[..., :, None] - total[..., None, :]
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=c.device).triu(1)
    weight = torch.exp(gap.masked_fill(future, -math.inf)).to(c.dtype)
    y = (c @ b.transpose(-1, -2) * weight) @ x
    last = total[..., -1]  # [B,H,chunks]
    fresh = (b * torch.exp(last[..., None] - total)[..., None].to(b.dtype)).transpose(-1, -2) @ x
    ends = torch.cumsum(last, -1)
    # The state before chunk i holds fresh_j, decayed over the chunks j+1..i-1.
    before = (ends - last)[..., :, None] - ends[..., None, :]
    n_chunks = length // chunk
    past = torch.ones(n_chunks, n_chunks, dtype=torch.bool, device=c.device).tril(-1)
    join = torch.exp(before.masked_fill(~past, -math.inf)).to(fresh.dtype)
    state = (join @ fresh.flatten(-2)).reshape(fresh.shape)
    return (y + (c * torch.exp(total)[..., None].to(c.dtype)) @ state).reshape(
        batch, heads, length, -1)


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps)


def linear(n_in, n_out, gain=1.0):
    layer = nn.Linear(n_in, n_out, bias=False)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(n_in))
    return layer


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.kv_heads, hd = config.num_key_value_heads, config.head_dim
        self.q_proj = linear(width, width)
        self.k_proj, self.v_proj = (linear(width, self.kv_heads * hd) for _ in range(2))
        self.o_proj = linear(width, width, 1 / math.sqrt(2 * config.num_hidden_layers))

    def forward(self, u, cos, sin):
        q = split_heads(self.q_proj(u), self.heads)
        k, v = (split_heads(f(u), self.kv_heads) for f in (self.k_proj, self.v_proj))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        repeat = self.heads // self.kv_heads
        if repeat > 1:
            k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Ssd(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        state = self.heads * config.ssd_state_dim
        # C.B sums N products, unscaled, over all past inputs: start it small.
        self.c_proj, self.b_proj = (linear(width, state, config.ssd_state_dim ** -0.25)
                                    for _ in range(2))
        self.x_proj = linear(width, width)
        self.dt_proj = linear(width, self.heads, 0.3)
        self.out_proj = linear(width, width, 1 / math.sqrt(2 * config.num_hidden_layers))
        # Mamba's start (arXiv 2312.00752, section 3.6; 2405.21060): dt log-uniform.
        dt = torch.exp(torch.empty(self.heads).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.log(torch.empty(self.heads).uniform_(1, 16)))

    def forward(self, u, cos, sin):
        c, b, x = (split_heads(f(u), self.heads)
                   for f in (self.c_proj, self.b_proj, self.x_proj))
        c, b = rotate(c, cos, sin), rotate(b, cos, sin)
        dt = F.softplus(self.dt_proj(u).float() + self.dt_bias).transpose(1, 2)
        y = ssd_scan(c, b, x, dt, -torch.exp(self.A_log))
        return self.out_proj(y.transpose(1, 2).flatten(2))


def split_heads(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class SwiGlu(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj, self.up_proj = linear(width, inner), linear(width, inner)
        self.down_proj = linear(inner, width, 1 / math.sqrt(2 * config.num_hidden_layers))

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Scale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Block(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        attends = index % config.attn_layer_period == config.attn_layer_offset
        setattr(self, "attn" if attends else "ssd", (Attention if attends else Ssd)(config))
        self.mixer_name = "attn" if attends else "ssd"
        self.feed_forward = SwiGlu(config)
        self.pre_sequence_layernorm, self.pre_state_layernorm = (
            RmsNorm(width, eps) for _ in range(2))
        self.post_sequence_residual, self.post_state_residual = (
            Scale(width) for _ in range(2))

    def forward(self, h, cos, sin):
        mixer = getattr(self, self.mixer_name)
        y = mixer(self.pre_sequence_layernorm(h), cos, sin)
        h = self.post_sequence_residual.weight * h + y
        y = self.feed_forward(self.pre_state_layernorm(h))
        return self.post_state_residual.weight * h + y


class Stack(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.word_embed = nn.Embedding(config.vocab_size, config.hidden_size)
        nn.init.normal_(self.word_embed.weight, std=0.02)
        self.layers = nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers))
        self.final_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)


def head_loss(h, norm, weight, targets):
    """Mean nats of targets; -1 marks a row that is not scored."""
    logits = F.linear(norm(h), weight)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-1)


class TransXssm(nn.Module):
    """Tied embedding, shared rotary table, N = P: the shape of the embedded model."""

    def __init__(self, config):
        super().__init__()
        if not config.tie_word_embeddings or config.ssd_state_dim != config.head_dim:
            raise ValueError("trained shape: tied embedding and ssd_state_dim = head size")
        self.model, self.config = Stack(config), config
        self.run_block, self.run_head = Block.forward, head_loss

    def compile(self):
        """Blocks are compiled once a kind, not once a layer."""
        self.run_block = torch.compile(Block.forward, dynamic=False)
        self.run_head = torch.compile(head_loss, dynamic=False)

    def angles(self, length, device):
        hd = self.config.head_dim
        inv = self.config.rope_theta ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd)
        angle = torch.arange(length, dtype=torch.float64)[:, None] * inv
        return angle.cos().float().to(device), angle.sin().float().to(device)

    def forward(self, ids, targets):
        cos, sin = self.angles(ids.shape[1], ids.device)
        h = self.model.word_embed(ids)
        for block in self.model.layers:
            h = self.run_block(block, h, cos, sin)
        return self.run_head(h, self.model.final_layernorm, self.model.word_embed.weight,
                             targets)

    def stored(self, dtype):
        """The tensors of the checkpoint."""
        tensors = {}
        for name, value in self.state_dict().items():
            if name.endswith("A_log"):
                name, value = name[:-len("_log")], -torch.exp(value)
            tensors[name] = value.detach().cpu().to(dtype)
        return tensors

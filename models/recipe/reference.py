# SPDX-License-Identifier: Apache-2.0
"""The reference of every architecture: clear, slow, float64 unless told otherwise.

Loads a model folder strictly and runs it token by token or all at once; both forms
must agree (--self-test). This is the meaning that a fast engine is tested against, so
nothing here is optimised. Python >= 3.9, torch >= 1.13, numpy.

  reference.py --self-test
  reference.py MODEL --generate TEXT [--tokens N] [--temperature T --seed S]
  reference.py MODEL --perplexity FILE [--context N]
"""
import argparse
import math
import sys

import torch

import mixers
from config import ConfigError, read_config
from rope import make_rope
from safetensors_io import read_folder


class WeightError(ValueError):
    """A missing, surplus, mis-shaped or contradictory tensor."""


class Weights:
    """Hands out named tensors once each, checked and converted."""

    def __init__(self, tensors, dtype=torch.float64, device="cpu"):
        self.tensors, self.dtype, self.device, self.used = tensors, dtype, device, set()

    def take(self, name, *shape):
        if name not in self.tensors:
            raise WeightError(f"{name}: absent, expected shape {list(shape)}")
        found = list(self.tensors[name].shape)
        if found != list(shape):
            raise WeightError(f"{name}: expected shape {list(shape)}, found {found}")
        self.used.add(name)
        return self.tensors[name].to(self.device, self.dtype)

    def maybe(self, name, *shape):
        return self.take(name, *shape) if name in self.tensors else None

    def linear(self, name, n_out, n_in, bias=False):
        return mixers.Linear(self.take(name + ".weight", n_out, n_in),
                             self.take(name + ".bias", n_out) if bias else None)

    def finish(self):
        surplus = [name for name in self.tensors if name not in self.used
                   and not name.endswith(".rotary_emb.inv_freq")]
        if surplus:
            raise WeightError(f"surplus tensors {sorted(surplus)}")


class Serial:
    """h = r1*h + first(norm1(h)); h = r2*h + second(norm2(h)); r = 1 where absent."""

    def __init__(self, *branches):
        """Each branch is (norm, mixer, residual weight or None)."""
        self.branches = branches

    def start(self):
        return [mixer.start() for _, mixer, _ in self.branches]

    def run(self, h, positions, states):
        for i, (norm, mixer, residual) in enumerate(self.branches):
            y = mixer.run(norm(h), positions, states and states[i])
            h = y + (h if residual is None else residual * h)
        return h


class Parallel:
    """PHA's block: three branches on one input, mixed by static weights, then an ffn."""

    def __init__(self, norms, branches, mix, alpha, main, keep):
        self.norm_in, *self.norms_out, self.norm_post = norms
        self.branches, self.alpha, self.main, self.keep = branches, alpha, main, keep
        self.mix = mixers.softplus(mix) / mixers.softplus(mix).sum()

    def start(self):
        return [mixer.start() for mixer in self.branches]

    def run(self, x, positions, states):
        n, r = self.norm_in(x), self.alpha * x
        for i, mixer in enumerate(self.branches):
            z = mixer.run(n, positions, states and states[i])
            r = r + self.mix[i] * self.norms_out[i](z)
        m = self.norm_post(r)
        y = self.main.run(m, positions)
        return m + y if self.keep else y


class Model:
    def __init__(self, embed, layers, final_norm, head, scale=1.0):
        self.embed, self.layers, self.norm = embed, layers, final_norm
        self.head, self.scale = head, scale

    def logits(self, ids, first=0):
        """All rows at once: [T,V]; first is the position of ids[0]."""
        positions = torch.arange(first, first + len(ids), device=self.embed.device)
        return self.run(torch.as_tensor(ids), positions, [None] * len(self.layers))

    def start(self):
        return [layer.start() for layer in self.layers]

    def step(self, token, position, state):
        """One row: [V]; advances state, which start() made."""
        at = torch.tensor([position], device=self.embed.device)
        return self.run(torch.tensor([token]), at, state)[0]

    def run(self, ids, positions, states):
        h = self.embed[ids.to(self.embed.device)] * self.scale
        for layer, state in zip(self.layers, states):
            h = layer.run(h, positions, state)
        return (h if self.norm is None else self.norm(h)) @ self.head.T


def read_head(w, config, embed_name):
    """(embedding, head); a tied checkpoint may carry an identical lm_head."""
    shape = (config.vocab_size, config.hidden_size)
    embed = w.take(embed_name, *shape)
    if not config.tie_word_embeddings:
        return embed, w.take("lm_head.weight", *shape)
    head = w.maybe("lm_head.weight", *shape)
    if head is not None and not torch.equal(head, embed):
        raise WeightError(f"lm_head.weight: tied, but differs from {embed_name}")
    return embed, embed


def read_norm(w, config, name):
    return mixers.RmsNorm(w.take(name + ".weight", config.hidden_size), config.rms_norm_eps)


def read_swiglu(w, name, width, inner, bias=False):
    return mixers.SwiGlu(w.linear(name + ".gate_proj", inner, width, bias),
                         w.linear(name + ".up_proj", inner, width, bias),
                         w.linear(name + ".down_proj", width, inner, bias))


def read_qkvo(w, config, name, bias=False):
    width, hd = config.hidden_size, config.head_dim
    q, kv = config.num_attention_heads * hd, config.num_key_value_heads * hd
    return [w.linear(f"{name}.q_proj", q, width, bias),
            w.linear(f"{name}.k_proj", kv, width, bias),
            w.linear(f"{name}.v_proj", kv, width, bias),
            w.linear(f"{name}.o_proj", width, q, bias)]


def head_sizes(config):
    return config.num_attention_heads, config.num_key_value_heads, config.head_dim


def build_transxssm(w, config, served):
    heads, n = config.num_attention_heads, config.ssd_state_dim
    rope = make_rope(config, config.head_dim, served)
    ssd_rope = rope if n == config.head_dim else None
    if ssd_rope is None and config.rope_on_ssd:
        ssd_rope = make_rope(config, n, served)
    embed, head = read_head(w, config, "model.word_embed.weight")
    layers = []
    for i in range(config.num_hidden_layers):
        at, bias = f"model.layers.{i}.", config.hidden_bias
        if i % config.attn_layer_period == config.attn_layer_offset:
            mixer = mixers.Attention(read_qkvo(w, config, at + "attn", bias),
                                     *head_sizes(config),
                                     rope if config.rope_on_attn else None)
        else:
            mixer = read_ssd(w, config, at + "ssd.", ssd_rope if config.rope_on_ssd else None)
        ffn = read_swiglu(w, at + "feed_forward", config.hidden_size,
                          config.intermediate_size, bias)
        r1 = w.take(at + "post_sequence_residual.weight", config.hidden_size)
        r2 = w.take(at + "post_state_residual.weight", config.hidden_size)
        layers.append(Serial(
            (read_norm(w, config, at + "pre_sequence_layernorm"), mixer, r1),
            (read_norm(w, config, at + "pre_state_layernorm"), ffn, r2)))
    return Model(embed, layers, read_norm(w, config, "model.final_layernorm"), head)


def read_ssd(w, config, at, rope):
    width, heads, bias = config.hidden_size, config.num_attention_heads, config.hidden_bias
    sizes = {"c_proj": heads * config.ssd_state_dim, "b_proj": heads * config.ssd_state_dim,
             "x_proj": width, "dt_proj": heads, "out_proj": width}
    projections = [w.linear(at + name, size, width, bias) for name, size in sizes.items()]
    return mixers.Ssd(projections, w.maybe(at + "dt_bias", heads), w.take(at + "A", heads),
                      heads, rope)


def build_pha(w, config, served):
    width, depth = config.hidden_size, config.num_hidden_layers
    cosine = config.attention_score == "cosine"
    rope = make_rope(config, config.head_dim, served, with_factor=not cosine)
    embed, head = read_head(w, config, "model.embed_tokens.weight")
    alpha = config.residual_alpha or (2 * depth) ** 0.25
    layers = []
    for i in range(depth):
        at = f"model.layers.{i}."
        scale = w.take(at + "attn.logit_scale", config.num_attention_heads) if cosine else None
        attention = mixers.Attention(read_qkvo(w, config, at + "attn"), *head_sizes(config),
                                     rope, scale)
        branches = [attention, READ_GSS[config.gss_kind](w, config, at + "gss."),
                    read_swiglu(w, at + "aux", width, config.aux_intermediate_size)]
        norms = [read_norm(w, config, at + name) for name in
                 ("norm_in", "norm_attn", "norm_gss", "norm_ffn", "norm_post")]
        main = read_swiglu(w, at + "main", width, config.intermediate_size)
        layers.append(Parallel(norms, branches, w.take(at + "mix.weight", 3), alpha, main,
                               config.ffn_residual))
    norm = read_norm(w, config, "model.norm") if config.final_norm else None
    return Model(embed, layers, norm, head, config.embed_scale or math.sqrt(width))


def read_dss(w, config, at):
    width, f = config.hidden_size, config.gss_gate_size
    c, n = config.gss_hidden_size, config.gss_state_size
    projections = [w.linear(at + "w_v", f, width), w.linear(at + "w_u", c, width),
                   w.linear(at + "w_c", f, c), w.linear(at + "w_o", width, f)]
    norm = mixers.LayerNorm(w.take(at + "dss_norm.weight", c), w.take(at + "dss_norm.bias", c))
    lam = torch.complex(-torch.exp(w.take(at + "lam_re", n)),
                        torch.exp(w.take(at + "lam_im", n)))
    read = torch.complex(w.take(at + "c_re", c, n), w.take(at + "c_im", c, n))
    return mixers.Dss(projections, norm, lam, read, w.take(at + "d", c))


def read_gated(w, config, at):
    width, s = config.hidden_size, config.gss_state_size
    gate = mixers.Linear(w.take(at + "w_g.weight", s, width), w.maybe(at + "b_g", s))
    return mixers.Gated(gate, w.linear(at + "w_b", s, width), w.linear(at + "w_f", s, width),
                        w.linear(at + "w_o", width, s), w.take(at + "a_log", s))


READ_GSS = {"dss": read_dss, "gated": read_gated}


def read_llama_block(w, config, at, mixer):
    ffn = read_swiglu(w, at + "mlp", config.hidden_size, config.intermediate_size,
                      config.mlp_bias)
    return Serial((read_norm(w, config, at + "input_layernorm"), mixer, None),
                  (read_norm(w, config, at + "post_attention_layernorm"), ffn, None))


def read_softmax(w, config, at, rope):
    projections = read_qkvo(w, config, at + "self_attn", config.attention_bias)
    return mixers.Attention(projections, *head_sizes(config), rope)


def read_hedgehog(w, config, at, rope):
    heads, hd = config.num_attention_heads, config.head_dim
    shape = (heads, hd, config.feature_dim or hd)
    projections = read_qkvo(w, config, at + "self_attn", config.attention_bias)
    return mixers.Hedgehog(projections, *head_sizes(config), rope,
                           w.take(at + "self_attn.feature_map_q.layer", *shape),
                           w.take(at + "self_attn.feature_map_k.layer", *shape))


def build_llama_like(w, config, served, read_layer):
    rope = make_rope(config, config.head_dim, served)
    embed, head = read_head(w, config, "model.embed_tokens.weight")
    layers = [read_layer(i, f"model.layers.{i}.", rope)
              for i in range(config.num_hidden_layers)]
    return Model(embed, layers, read_norm(w, config, "model.norm"), head)


def build_llama(w, config, served):
    return build_llama_like(w, config, served, lambda i, at, rope: read_llama_block(
        w, config, at, read_softmax(w, config, at, rope)))


def build_hedgehog(w, config, served):
    linear = config.linear_attention_layers
    if linear is None:
        linear = range(config.num_hidden_layers)

    def read_layer(i, at, rope):
        read = read_hedgehog if i in linear else read_softmax
        return read_llama_block(w, config, at, read(w, config, at, rope))
    return build_llama_like(w, config, served, read_layer)


def build_gss_hybrid(w, config, served):
    def read_layer(i, at, rope):
        if i in config.attention_layers:
            return read_llama_block(w, config, at, read_softmax(w, config, at, rope))
        return Serial((read_norm(w, config, at + "norm"), read_dss(w, config, at + "gss."),
                       None))
    return build_llama_like(w, config, served, read_layer)


def build_h3(w, config, served):
    width, inner = config.hidden_size, config.intermediate_size
    embed, head = read_head(w, config, "backbone.embeddings.word_embeddings.weight")
    layers = []
    for i in range(config.num_hidden_layers):
        at = f"backbone.layers.{i}."
        read = read_h3_attention if i in config.attn_layer_idx else read_h3
        mlp = mixers.GeluMlp(w.linear(at + "mlp.fc1", inner, width, True),
                             w.linear(at + "mlp.fc2", width, inner, True))
        layers.append(Serial(
            (read_layer_norm(w, at + "norm1", width), read(w, config, at + "mixer."), None),
            (read_layer_norm(w, at + "norm2", width), mlp, None)))
    return Model(embed, layers, read_layer_norm(w, "backbone.ln_f", width), head)


def read_layer_norm(w, name, width):
    return mixers.LayerNorm(w.take(name + ".weight", width), w.take(name + ".bias", width))


def read_h3_attention(w, config, at):
    width = config.hidden_size
    weight, bias = w.take(at + "Wqkv.weight", 3 * width, width), w.take(at + "Wqkv.bias",
                                                                        3 * width)
    qkv = [mixers.Linear(*pair) for pair in zip(weight.chunk(3), bias.chunk(3))]
    return mixers.Attention(qkv + [w.linear(at + "out_proj", width, width, True)],
                            *head_sizes(config))


def read_h3(w, config, at):
    width, n = config.hidden_size, config.ssm_state_size
    projections = [w.linear(at + name, width, width, True)
                   for name in ("q_proj", "k_proj", "v_proj", "output_linear")]
    shift = (w.take(at + "ssm_k_kernel.kernel.B", width, n),
             w.take(at + "ssm_k_kernel.kernel.C", 1, width, n)[0],
             w.take(at + "ssm_k_D", width))
    c = torch.view_as_complex(w.take(at + "kernel.kernel.C", 1, width, n // 2, 2)[0])
    b = torch.view_as_complex(w.take(at + "kernel.kernel.B", width, n // 2, 2))
    a = torch.complex(-torch.exp(w.take(at + "kernel.kernel.inv_A_real", width, n // 2)),
                      w.take(at + "kernel.kernel.A_imag", width, n // 2))
    dt = torch.exp(w.take(at + "kernel.kernel.log_dt", width))
    return mixers.H3(projections, shift, (c, b, a, dt, w.take(at + "D", width)))


BUILD = {"TransXSSM": build_transxssm, "pha": build_pha, "llama": build_llama,
         "gss_hybrid": build_gss_hybrid, "h3": build_h3, "hedgehog": build_hedgehog}


def build(config, tensors, served=None, dtype=torch.float64, device="cpu"):
    """A Model from a parsed config and its tensors; refuses surplus tensors."""
    w = Weights(tensors, dtype, device)
    model = BUILD[config.model_type](w, config, served or config.max_position_embeddings)
    w.finish()
    return model


def load(folder, served=None, dtype=torch.float64, device="cpu"):
    try:
        return build(read_config(folder), read_folder(folder), served, dtype, device)
    except (ConfigError, WeightError) as error:
        raise type(error)(f"{folder}: {error}") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--generate", metavar="TEXT")
    parser.add_argument("--perplexity", metavar="FILE")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--context", type=int)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    if args.self_test:
        import selftest
        sys.exit(selftest.run())
    if args.model is None or not (args.generate or args.perplexity):
        parser.error("give --self-test, or MODEL with --generate or --perplexity")
    import text
    model = load(args.model, args.context, device=args.device)
    if args.generate:
        print(text.generate(model, args.model, args.generate, args))
    if args.perplexity:
        text.report(text.perplexity(model, args.model, args.perplexity, args.context))


if __name__ == "__main__":
    main()

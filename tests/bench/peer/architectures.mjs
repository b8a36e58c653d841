// SPDX-License-Identifier: Apache-2.0
// What a shape (the keys of config.json) is called in a GGUF file: the architecture, its keys and
// its tensors, as llama.cpp names them, for the families that both programs run. Multipliers that
// its converter folds into weights are left out: they change no work.
//
// A tensor is {name, shape: [outputs, inputs] or [n], type, fill}: without a type a matrix is in
// the format asked for ("outer": embedding and head), and a vector is f32; fill is one value for
// all, or none for noise.

const MINUS_A = -1, DT_BIAS = -3;  // a state that neither vanishes nor grows

function list() {
    const tensors = [];
    return {
        tensors,
        matrix: (name, outputs, inputs, type) =>
            tensors.push({name: `${name}.weight`, shape: [outputs, inputs], type}),
        vector: (name, n, fill = 1) => tensors.push({name, shape: [n], type: "f32", fill}),
        filled: (name, shape, fill) => tensors.push({name, shape, type: "f32", fill}),
    };
}

function sizes(c) {
    const hd = c.head_dim ?? c.hidden_size / c.num_attention_heads;
    const kv = c.num_key_value_heads ?? c.num_attention_heads;
    return {d: c.hidden_size, hd, wide: c.num_attention_heads * hd, narrow: kv * hd, kv};
}

function attention(l, at, c, query = 1) {
    const s = sizes(c);
    l.matrix(`${at}.attn_q`, query * s.wide, s.d);
    l.matrix(`${at}.attn_k`, s.narrow, s.d);
    l.matrix(`${at}.attn_v`, s.narrow, s.d);
    l.matrix(`${at}.attn_output`, s.d, s.wide);
}

function queryNorms(l, at, c) {
    l.vector(`${at}.attn_q_norm.weight`, sizes(c).hd);
    l.vector(`${at}.attn_k_norm.weight`, sizes(c).hd);
}

function feedForward(l, at, d, inner, norm = `${at}.ffn_norm.weight`) {
    l.vector(norm, d);
    l.matrix(`${at}.ffn_gate`, inner, d);
    l.matrix(`${at}.ffn_up`, inner, d);
    l.matrix(`${at}.ffn_down`, d, inner);
}

function mamba2(l, at, d, m, norm = true) {
    const channels = m.inner + 2 * m.groups * m.state;
    l.matrix(`${at}.ssm_in`, m.inner + channels + m.heads, d);
    l.filled(`${at}.ssm_conv1d.weight`, [channels, m.taps], 1 / m.taps);
    l.vector(`${at}.ssm_conv1d.bias`, channels, 0);
    l.vector(`${at}.ssm_dt.bias`, m.heads, DT_BIAS);
    l.filled(`${at}.ssm_a`, [m.heads, 1], MINUS_A);
    l.filled(`${at}.ssm_d`, [m.heads, 1], 1);
    if (norm)
        l.filled(`${at}.ssm_norm.weight`, [m.groups, m.inner / m.groups], 1);
    l.matrix(`${at}.ssm_out`, d, m.inner);
}

function stateKeys(m) {
    return {"ssm.conv_kernel": m.taps, "ssm.inner_size": m.inner, "ssm.state_size": m.state,
            "ssm.time_step_rank": m.heads, "ssm.group_count": m.groups};
}

function mambaSizes(c) {
    return {inner: c.mamba_d_ssm ?? c.mamba_n_heads * c.mamba_d_head, heads: c.mamba_n_heads,
            state: c.mamba_d_state, groups: c.mamba_n_groups, taps: c.mamba_d_conv};
}

/** Embedding, the layers that `each` adds, final norm and head. */
function model(c, tied, finalNorm, each) {
    const l = list();
    l.matrix("token_embd", c.vocab_size, c.hidden_size, "outer");
    for (let i = 0; i < c.num_hidden_layers; i++)
        each(l, `blk.${i}`, i);
    l.vector(`${finalNorm}.weight`, c.hidden_size);
    if (!tied)
        l.matrix("output", c.vocab_size, c.hidden_size, "outer");
    return l.tensors;
}

const common = (c) => ({
    "context_length": c.max_position_embeddings, "embedding_length": c.hidden_size,
    "block_count": c.num_hidden_layers, "vocab_size": c.vocab_size,
});

const attentionKeys = (c) => ({
    "feed_forward_length": c.intermediate_size, "attention.head_count": c.num_attention_heads,
    "attention.head_count_kv": sizes(c).kv, "rope.dimension_count": sizes(c).hd,
});

function llama(c) {
    return {
        name: "llama", numbers: {...common(c), ...attentionKeys(c)},
        reals: {"attention.layer_norm_rms_epsilon": c.rms_norm_eps ?? 1e-6,
                "rope.freq_base": c.rope_theta ?? 10000},
        tensors: model(c, c.tie_word_embeddings, "output_norm", (l, at) => {
            l.vector(`${at}.attn_norm.weight`, c.hidden_size);
            attention(l, at, c);
            feedForward(l, at, c.hidden_size, c.intermediate_size);
        }),
    };
}

/** Layers without keys and values are the recurrent ones. */
function kvHeads(c, isAttention) {
    return Array.from({length: c.num_hidden_layers}, (_, i) => isAttention(i) ? sizes(c).kv : 0);
}

function graniteHybrid(c) {
    const isAttention = (i) => c.layer_types[i] === "attention", m = mambaSizes(c);
    if (c.num_local_experts)
        throw new Error(`num_local_experts: expected 0, found ${c.num_local_experts}`);
    return {
        name: "granitehybrid",
        numbers: {...common(c), ...attentionKeys(c), ...stateKeys(m),
                  "feed_forward_length": c.shared_intermediate_size,
                  "attention.head_count_kv": kvHeads(c, isAttention)},
        reals: {"attention.layer_norm_rms_epsilon": c.rms_norm_eps, "rope.freq_base": c.rope_theta,
                "embedding_scale": c.embedding_multiplier, "residual_scale": c.residual_multiplier,
                "attention.scale": c.attention_multiplier, "logit_scale": c.logits_scaling},
        flags: {"rope.scaling.finetuned": c.position_embedding_type === "rope"},
        tensors: model(c, c.tie_word_embeddings, "output_norm", (l, at, i) => {
            l.vector(`${at}.attn_norm.weight`, c.hidden_size);
            if (isAttention(i))
                attention(l, at, c);
            else
                mamba2(l, at, c.hidden_size, m);
            feedForward(l, at, c.hidden_size, c.shared_intermediate_size);
        }),
    };
}

function mamba2Alone(c) {
    const m = {inner: c.num_heads * c.head_dim, heads: c.num_heads, state: c.state_size,
               groups: c.n_groups, taps: c.conv_kernel};
    return {
        name: "mamba2",
        numbers: {...common(c), ...stateKeys(m), "feed_forward_length": 0,
                  "attention.head_count": 0},
        reals: {"attention.layer_norm_rms_epsilon": c.layer_norm_epsilon},
        tensors: model(c, c.tie_word_embeddings, "output_norm", (l, at) => {
            l.vector(`${at}.attn_norm.weight`, c.hidden_size);
            mamba2(l, at, c.hidden_size, m);
        }),
    };
}

function falconH1(c) {
    const m = mambaSizes(c), hd = sizes(c).hd;
    return {
        name: "falcon-h1",
        numbers: {...common(c), ...attentionKeys(c), ...stateKeys(m), "attention.key_length": hd,
                  "attention.value_length": hd},
        reals: {"attention.layer_norm_rms_epsilon": c.rms_norm_eps, "rope.freq_base": c.rope_theta},
        tensors: model(c, c.tie_word_embeddings, "output_norm", (l, at) => {
            l.vector(`${at}.attn_norm.weight`, c.hidden_size);
            mamba2(l, at, c.hidden_size, m, c.mamba_rms_norm);
            attention(l, at, c);
            feedForward(l, at, c.hidden_size, c.intermediate_size, `${at}.ffn_norm`);
        }),
    };
}

function lfm2(c) {
    const isAttention = (i) => c.layer_types[i] === "full_attention", d = c.hidden_size;
    return {
        name: "lfm2",
        numbers: {...common(c), ...attentionKeys(c), "shortconv.l_cache": c.conv_L_cache,
                  "attention.head_count_kv": kvHeads(c, isAttention)},
        reals: {"attention.layer_norm_rms_epsilon": c.norm_eps, "rope.freq_base": c.rope_theta},
        tensors: model(c, c.tie_word_embeddings ?? true, "token_embd_norm", (l, at, i) => {
            l.vector(`${at}.attn_norm.weight`, d);
            if (isAttention(i)) {
                attention(l, at, c);
                queryNorms(l, at, c);
            } else {
                l.filled(`${at}.shortconv.conv.weight`, [d, c.conv_L_cache], 1 / c.conv_L_cache);
                l.matrix(`${at}.shortconv.in_proj`, 3 * d, d);
                l.matrix(`${at}.shortconv.out_proj`, d, d);
            }
            feedForward(l, at, d, c.intermediate_size);
        }),
    };
}

function deltaNet(l, at, c) {
    const d = c.hidden_size, hv = c.linear_num_value_heads, dv = c.linear_value_head_dim;
    const channels = 2 * c.linear_num_key_heads * c.linear_key_head_dim + hv * dv;
    l.matrix(`${at}.attn_qkv`, channels, d);
    l.matrix(`${at}.attn_gate`, hv * dv, d);
    l.filled(`${at}.ssm_conv1d.weight`, [channels, c.linear_conv_kernel_dim],
             1 / c.linear_conv_kernel_dim);
    l.vector(`${at}.ssm_dt.bias`, hv, DT_BIAS);
    l.vector(`${at}.ssm_a`, hv, MINUS_A);
    l.matrix(`${at}.ssm_beta`, hv, d, "f32");
    l.matrix(`${at}.ssm_alpha`, hv, d, "f32");
    l.vector(`${at}.ssm_norm.weight`, dv);
    l.matrix(`${at}.ssm_out`, d, hv * dv);
}

function qwen35(c) {
    const d = c.hidden_size, interval = c.full_attention_interval, rope = c.rope_parameters;
    const state = {inner: c.linear_num_value_heads * c.linear_value_head_dim,
                   heads: c.linear_num_value_heads, state: c.linear_key_head_dim,
                   groups: c.linear_num_key_heads, taps: c.linear_conv_kernel_dim};
    const width = c.head_dim * rope.partial_rotary_factor;
    if (c.linear_key_head_dim !== c.linear_value_head_dim)
        throw new Error("linear_value_head_dim: expected linear_key_head_dim " +
                        `${c.linear_key_head_dim}, found ${c.linear_value_head_dim}`);
    return {
        name: "qwen35",
        numbers: {...common(c), ...attentionKeys(c), ...stateKeys(state),
                  "full_attention_interval": interval, "attention.key_length": c.head_dim,
                  "attention.value_length": c.head_dim, "rope.dimension_count": width,
                  "rope.dimension_sections": [width / 2, 0, 0, 0]},
        reals: {"attention.layer_norm_rms_epsilon": c.rms_norm_eps,
                "rope.freq_base": rope.rope_theta},
        tensors: model(c, c.tie_word_embeddings, "output_norm", (l, at, i) => {
            l.vector(`${at}.attn_norm.weight`, d);
            if ((i + 1) % interval === 0) {
                attention(l, at, c, 2);
                queryNorms(l, at, c);
            } else {
                deltaNet(l, at, c);
            }
            feedForward(l, at, d, c.intermediate_size, `${at}.post_attention_norm.weight`);
        }),
    };
}

const ARCHITECTURES = {llama, granitemoehybrid: graniteHybrid, mamba2: mamba2Alone,
                       falcon_h1: falconH1, lfm2, qwen3_5_text: qwen35};

/** {name, numbers (lists for values by layer), reals, flags, tensors} of a shape. */
export function describe(c) {
    const known = Object.keys(ARCHITECTURES).join(", ");
    if (!Object.hasOwn(ARCHITECTURES, c.model_type))
        throw new Error(`model_type: expected one of ${known}, found "${c.model_type}"`);
    return ARCHITECTURES[c.model_type](c);
}

/* Tensors by the names that the families' makers give them. On the test's one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/family_maker.h"

#include <stdarg.h>
#include <stdio.h>

static const struct maker_fill near_one = {0.1f, 1}, near_zero = {0.1f, 0};

/* What tensors of a layer are added to. */
struct layer {
    struct maker *m;
    const struct maker_sizes *s;
    int i;
    struct maker_fill norm;
};

static const char *name_of(const struct layer *l, const char *name)
{
    static char full[128];
    snprintf(full, sizeof full, "model.layers.%d.%s", l->i, name);
    return full;
}

static void matrix(const struct layer *l, const char *name, int n_out, int n_in)
{
    maker_matrix(l->m, name_of(l, name), n_out, n_in);
}

static void vector(const struct layer *l, const char *name, int n, struct maker_fill fill)
{
    maker_vector(l->m, name_of(l, name), n, fill);
}

/* Depthwise, [channels][1][taps]. */
static void taps(const struct layer *l, const char *name, int channels, int n)
{
    const int64_t shape[] = {channels, 1, n};
    maker_tensor(l->m, name_of(l, name), 3, shape, NULL, (struct maker_fill){0.8f, 0});
}

/* Query rows are doubled where each head has a gate. */
static void attention(const struct layer *l, const char *out, const char *const norms[2],
                      int query_parts)
{
    const struct maker_sizes *s = l->s;
    int head = s->hidden / s->heads, narrow = head * s->kv_heads;
    matrix(l, "self_attn.q_proj.weight", query_parts * s->hidden, s->hidden);
    matrix(l, "self_attn.k_proj.weight", narrow, s->hidden);
    matrix(l, "self_attn.v_proj.weight", narrow, s->hidden);
    matrix(l, out, s->hidden, s->hidden);
    vector(l, norms[0], head, l->norm);
    vector(l, norms[1], head, l->norm);
}

static void gated(const struct layer *l, const char *const names[3])
{
    matrix(l, names[0], l->s->ffn, l->s->hidden);
    matrix(l, names[1], l->s->ffn, l->s->hidden);
    matrix(l, names[2], l->s->hidden, l->s->ffn);
}

static const char *const qk_norms[] = {"self_attn.q_norm.weight",
                                       "self_attn.k_norm.weight"};
static const char *const mlp[] = {"mlp.gate_proj.weight", "mlp.up_proj.weight",
                                  "mlp.down_proj.weight"};

/* The keys that all have, then the family's. */
__attribute__((format(printf, 3, 4))) static void begin(struct maker *m,
                                                        const struct maker_sizes *s,
                                                        const char *fmt, ...)
{
    char text[1024];
    va_list more;
    int n = snprintf(text, sizeof text,
                     "{\"vocab_size\":%d,\"hidden_size\":%d,\"num_hidden_layers\":%d,"
                     "\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
                     "\"max_position_embeddings\":%d,\"tie_word_embeddings\":true,",
                     s->vocab, s->hidden, s->layers, s->heads, s->kv_heads, s->context);
    va_start(more, fmt);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, more);
    va_end(more);
    maker_text(m, "config.json", text);
    maker_matrix(m, "model.embed_tokens.weight", s->vocab, s->hidden);
}

void family_maker_lfm2(struct maker *m, const struct maker_sizes *s)
{
    static const char *const norms[] = {"self_attn.q_layernorm.weight",
                                        "self_attn.k_layernorm.weight"};
    static const char *const ffn[] = {"feed_forward.w1.weight", "feed_forward.w3.weight",
                                      "feed_forward.w2.weight"};
    begin(m, s,
          "\"model_type\":\"lfm2\",\"conv_bias\":false,\"conv_L_cache\":3,"
          "\"block_ff_dim\":%d,\"block_auto_adjust_ff_dim\":false,\"norm_eps\":1e-5,"
          "\"full_attn_idxs\":[1]}",
          s->ffn);
    for (int i = 0; i < s->layers; i++) {
        struct layer l = {m, s, i, near_one};
        vector(&l, "operator_norm.weight", s->hidden, near_one);
        vector(&l, "ffn_norm.weight", s->hidden, near_one);
        if (i == 1) {
            attention(&l, "self_attn.out_proj.weight", norms, 1);
        } else {
            matrix(&l, "conv.in_proj.weight", 3 * s->hidden, s->hidden);
            taps(&l, "conv.conv.weight", s->hidden, 3);
            matrix(&l, "conv.out_proj.weight", s->hidden, s->hidden);
        }
        gated(&l, ffn);
    }
    maker_vector(m, "model.embedding_norm.weight", s->hidden, near_one);
    maker_save(m, "model.safetensors");
}

enum { KEY_HEADS = 2, VALUE_HEADS = 4, KEY_DIM = 6, VALUE_DIM = 18, TAPS = 4 };

static void delta(const struct layer *l)
{
    int wide = VALUE_HEADS * VALUE_DIM, d = l->s->hidden;
    int channels = 2 * KEY_HEADS * KEY_DIM + wide;
    matrix(l, "linear_attn.in_proj_qkv.weight", channels, d);
    matrix(l, "linear_attn.in_proj_z.weight", wide, d);
    matrix(l, "linear_attn.in_proj_b.weight", VALUE_HEADS, d);
    matrix(l, "linear_attn.in_proj_a.weight", VALUE_HEADS, d);
    taps(l, "linear_attn.conv1d.weight", channels, TAPS);
    vector(l, "linear_attn.A_log", VALUE_HEADS, (struct maker_fill){1, 0});
    vector(l, "linear_attn.dt_bias", VALUE_HEADS, (struct maker_fill){1, -3});
    vector(l, "linear_attn.norm.weight", VALUE_DIM, near_one);
    matrix(l, "linear_attn.out_proj.weight", d, wide);
}

void family_maker_qwen3_5(struct maker *m, const struct maker_sizes *s)
{
    begin(m, s,
          "\"model_type\":\"qwen3_5_text\",\"head_dim\":%d,\"intermediate_size\":%d,"
          "\"linear_num_key_heads\":%d,\"linear_num_value_heads\":%d,"
          "\"linear_key_head_dim\":%d,\"linear_value_head_dim\":%d,"
          "\"linear_conv_kernel_dim\":%d,\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-6,"
          "\"partial_rotary_factor\":0.5,\"layer_types\":[\"linear_attention\","
          "\"full_attention\",\"linear_attention\"]}",
          s->hidden / s->heads, s->ffn, KEY_HEADS, VALUE_HEADS, KEY_DIM, VALUE_DIM, TAPS);
    for (int i = 0; i < s->layers; i++) {
        struct layer l = {m, s, i, near_zero}; /* 1 + w */
        vector(&l, "input_layernorm.weight", s->hidden, near_zero);
        vector(&l, "post_attention_layernorm.weight", s->hidden, near_zero);
        if (i == 1)
            attention(&l, "self_attn.o_proj.weight", qk_norms, 2);
        else
            delta(&l);
        gated(&l, mlp);
    }
    maker_vector(m, "model.norm.weight", s->hidden, near_zero);
    maker_save(m, "model.safetensors");
}

void family_maker_gemma3(struct maker *m, const struct maker_sizes *s)
{
    static const char *const norms[] = {
        "input_layernorm.weight", "post_attention_layernorm.weight",
        "pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight"};
    begin(m, s,
          "\"model_type\":\"gemma3_text\",\"head_dim\":%d,\"intermediate_size\":%d,"
          "\"hidden_activation\":\"gelu_pytorch_tanh\",\"rms_norm_eps\":1e-6,"
          "\"query_pre_attn_scalar\":16,\"sliding_window\":%d,\"layer_types\":["
          "\"sliding_attention\",\"full_attention\",\"sliding_attention\"]}",
          s->hidden / s->heads, s->ffn, FAMILY_WINDOW);
    for (int i = 0; i < s->layers; i++) {
        struct layer l = {m, s, i, near_zero}; /* 1 + w */
        for (int n = 0; n < 4; n++)
            vector(&l, norms[n], s->hidden, near_zero);
        attention(&l, "self_attn.o_proj.weight", qk_norms, 1);
        gated(&l, mlp);
    }
    maker_vector(m, "model.norm.weight", s->hidden, near_zero);
    maker_save(m, "model.safetensors");
}

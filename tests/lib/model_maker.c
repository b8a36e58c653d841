/* Making model folders. Used by tests only, on their one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void maker_open(struct maker *m)
{
    const char *tmp = getenv("TMPDIR");
    *m = (struct maker){.seed = 88172645463325252u};
    snprintf(m->dir, sizeof m->dir, "%.200s/ssmd-test-XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(m->dir));
}

void maker_close(struct maker *m)
{
    struct dirent *entry;
    DIR *d = opendir(m->dir);
    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.' && unlink(maker_path(m, entry->d_name)) != 0)
            rmdir(maker_path(m, entry->d_name));
    if (d)
        closedir(d);
    rmdir(m->dir);
    free(m->header);
    free(m->data);
    *m = (struct maker){0};
}

const char *maker_path(const struct maker *m, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", m->dir, name);
    return path;
}

void maker_file(const struct maker *m, const char *name, const void *data, size_t len)
{
    FILE *f = fopen(maker_path(m, name), "wb");
    assert_non_null(f);
    assert_int_equal(len ? fwrite(data, 1, len, f) : 0, len);
    assert_int_equal(fclose(f), 0);
}

void maker_text(const struct maker *m, const char *name, const char *text)
{
    maker_file(m, name, text, strlen(text));
}

void maker_raw(const struct maker *m, const char *name, const char *header,
               const void *data, size_t data_len)
{
    size_t n = strlen(header), len = 8 + n + data_len;
    unsigned char *all = malloc(len);
    assert_non_null(all);
    for (int i = 0; i < 8; i++)
        all[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(all + 8, header, n);
    if (data_len)
        memcpy(all + 8 + n, data, data_len);
    maker_file(m, name, all, len);
    free(all);
}

static void append(char **to, size_t *len, const void *bytes, size_t n)
{
    char *grown = realloc(*to, *len + n + 1);
    assert_non_null(grown);
    if (bytes)
        memcpy(grown + *len, bytes, n);
    grown[*len + n] = '\0';
    *to = grown;
    *len += n;
}

static float random_float(struct maker *m)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return (float)(m->seed >> 40) / 8388608.0f - 1.0f;
}

void maker_tensor(struct maker *m, const char *name, int n_dims, const int64_t *shape,
                  const float *values, struct maker_fill fill)
{
    char text[512];
    size_t n = 1, begin = m->data_len;
    int at = snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                      m->header ? "," : "{", name);
    for (int i = 0; i < n_dims; i++) {
        n *= (size_t)shape[i];
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%lld", i ? "," : "",
                       (long long)shape[i]);
    }
    append(&m->data, &m->data_len, values, n * sizeof *values);
    for (size_t i = 0; i < n && !values; i++) {
        float x = fill.middle + fill.scale * random_float(m);
        memcpy(m->data + begin + i * sizeof x, &x, sizeof x);
    }
    at += snprintf(text + at, sizeof text - (size_t)at, "],\"data_offsets\":[%zu,%zu]}",
                   begin, m->data_len);
    append(&m->header, &m->header_len, text, (size_t)at);
}

void maker_matrix(struct maker *m, const char *name, int n_out, int n_in)
{
    const int64_t shape[] = {n_out, n_in};
    float scale = 1;
    while (scale * scale * (float)n_in > 3)
        scale *= 0.9f;
    maker_tensor(m, name, 2, shape, NULL, (struct maker_fill){scale, 0});
}

void maker_vector(struct maker *m, const char *name, int n, struct maker_fill fill)
{
    const int64_t shape[] = {n};
    maker_tensor(m, name, 1, shape, NULL, fill);
}

void maker_save(struct maker *m, const char *file)
{
    append(&m->header, &m->header_len, "}", 1);
    maker_raw(m, file, m->header, m->data, m->data_len);
    free(m->header);
    free(m->data);
    m->header = m->data = NULL;
    m->header_len = m->data_len = 0;
}

/* ---- whole models ----------------------------------------------------------- */

static const struct maker_fill near_one = {0.2f, 1};

static void write_config(const struct maker *m, const char *type,
                         const struct maker_sizes *s, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"model_type\":\"%s\",\"vocab_size\":%d,\"hidden_size\":%d,"
             "\"num_hidden_layers\":%d,\"num_attention_heads\":%d,"
             "\"num_key_value_heads\":%d,\"intermediate_size\":%d,"
             "\"max_position_embeddings\":%d%s}",
             type, s->vocab, s->hidden, s->layers, s->heads, s->kv_heads, s->ffn,
             s->context, more);
    maker_text(m, "config.json", text);
}

/* "model.layers.i." + name */
static const char *in_layer(int i, const char *name)
{
    static char full[128];
    snprintf(full, sizeof full, "model.layers.%d.%s", i, name);
    return full;
}

static void add_attention(struct maker *m, int i, const char *prefix,
                          const struct maker_sizes *s)
{
    char name[64];
    int narrow = s->hidden / s->heads * s->kv_heads;
    const char *const parts[] = {"q_proj", "k_proj", "v_proj", "o_proj"};
    for (int p = 0; p < 4; p++) {
        snprintf(name, sizeof name, "%s.%s.weight", prefix, parts[p]);
        maker_matrix(m, in_layer(i, name), p == 1 || p == 2 ? narrow : s->hidden,
                     s->hidden);
    }
}

static void add_ffn(struct maker *m, int i, const char *prefix, int hidden, int size)
{
    char name[64];
    const char *const parts[] = {"gate_proj", "up_proj", "down_proj"};
    for (int p = 0; p < 3; p++) {
        snprintf(name, sizeof name, "%s.%s.weight", prefix, parts[p]);
        maker_matrix(m, in_layer(i, name), p == 2 ? hidden : size,
                     p == 2 ? size : hidden);
    }
}

static void add_ssd(struct maker *m, int i, const struct maker_sizes *s)
{
    maker_matrix(m, in_layer(i, "ssd.c_proj.weight"), s->hidden, s->hidden);
    maker_matrix(m, in_layer(i, "ssd.b_proj.weight"), s->hidden, s->hidden);
    maker_matrix(m, in_layer(i, "ssd.x_proj.weight"), s->hidden, s->hidden);
    maker_matrix(m, in_layer(i, "ssd.dt_proj.weight"), s->heads, s->hidden);
    maker_vector(m, in_layer(i, "ssd.dt_bias"), s->heads, (struct maker_fill){1, -2});
    maker_vector(m, in_layer(i, "ssd.A"), s->heads, (struct maker_fill){0.5f, -1});
    maker_matrix(m, in_layer(i, "ssd.out_proj.weight"), s->hidden, s->hidden);
}

void maker_transxssm(struct maker *m, const struct maker_sizes *s)
{
    write_config(m, "TransXSSM", s, ",\"attn_layer_period\":2,\"attn_layer_offset\":1");
    maker_matrix(m, "model.word_embed.weight", s->vocab, s->hidden);
    for (int i = 0; i < s->layers; i++) {
        maker_vector(m, in_layer(i, "pre_sequence_layernorm.weight"), s->hidden,
                     near_one);
        maker_vector(m, in_layer(i, "post_sequence_residual.weight"), s->hidden,
                     near_one);
        maker_vector(m, in_layer(i, "pre_state_layernorm.weight"), s->hidden, near_one);
        maker_vector(m, in_layer(i, "post_state_residual.weight"), s->hidden, near_one);
        if (i % 2)
            add_attention(m, i, "attn", s);
        else
            add_ssd(m, i, s);
        add_ffn(m, i, "feed_forward", s->hidden, s->ffn);
    }
    maker_vector(m, "model.final_layernorm.weight", s->hidden, near_one);
    maker_save(m, "model.safetensors");
}

void maker_llama(struct maker *m, const struct maker_sizes *s)
{
    write_config(m, "llama", s, "");
    maker_matrix(m, "model.embed_tokens.weight", s->vocab, s->hidden);
    for (int i = 0; i < s->layers; i++) {
        maker_vector(m, in_layer(i, "input_layernorm.weight"), s->hidden, near_one);
        maker_vector(m, in_layer(i, "post_attention_layernorm.weight"), s->hidden,
                     near_one);
        add_attention(m, i, "self_attn", s);
        add_ffn(m, i, "mlp", s->hidden, s->ffn);
    }
    maker_vector(m, "model.norm.weight", s->hidden, near_one);
    maker_matrix(m, "lm_head.weight", s->vocab, s->hidden);
    maker_save(m, "model.safetensors");
}

static void add_dss(struct maker *m, int i, int d)
{
    int channels = d / 4, modes = 24;
    const int64_t shape[] = {channels, modes};
    maker_matrix(m, in_layer(i, "gss.w_v.weight"), 4 * d, d);
    maker_matrix(m, in_layer(i, "gss.w_u.weight"), channels, d);
    maker_vector(m, in_layer(i, "gss.dss_norm.weight"), channels, near_one);
    maker_vector(m, in_layer(i, "gss.dss_norm.bias"), channels,
                 (struct maker_fill){0.1f, 0});
    maker_vector(m, in_layer(i, "gss.lam_re"), modes, (struct maker_fill){1, -2});
    maker_vector(m, in_layer(i, "gss.lam_im"), modes, (struct maker_fill){1, 0});
    maker_tensor(m, in_layer(i, "gss.c_re"), 2, shape, NULL,
                 (struct maker_fill){0.3f, 0});
    maker_tensor(m, in_layer(i, "gss.c_im"), 2, shape, NULL,
                 (struct maker_fill){0.3f, 0});
    maker_vector(m, in_layer(i, "gss.d"), channels, near_one);
    maker_matrix(m, in_layer(i, "gss.w_c.weight"), 4 * d, channels);
    maker_matrix(m, in_layer(i, "gss.w_o.weight"), d, 4 * d);
}

static void add_gated(struct maker *m, int i, int d)
{
    maker_matrix(m, in_layer(i, "gss.w_g.weight"), 24, d);
    maker_vector(m, in_layer(i, "gss.b_g"), 24, (struct maker_fill){0.1f, 0});
    maker_vector(m, in_layer(i, "gss.a_log"), 24, (struct maker_fill){1, -1});
    maker_matrix(m, in_layer(i, "gss.w_b.weight"), 24, d);
    maker_matrix(m, in_layer(i, "gss.w_f.weight"), 24, d);
    maker_matrix(m, in_layer(i, "gss.w_o.weight"), d, 24);
}

void maker_pha(struct maker *m, const struct maker_sizes *s, const char *gss_kind)
{
    static const char *const norms[] = {"norm_in", "norm_attn", "norm_gss", "norm_ffn",
                                        "norm_post"};
    char more[128], name[64];
    snprintf(more, sizeof more,
             ",\"gss_kind\":\"%s\",\"gss_state_size\":24,\"aux_intermediate_size\":%d",
             gss_kind, s->ffn);
    write_config(m, "pha", s, more);
    maker_matrix(m, "model.embed_tokens.weight", s->vocab, s->hidden);
    for (int i = 0; i < s->layers; i++) {
        for (int n = 0; n < 5; n++) {
            snprintf(name, sizeof name, "%s.weight", norms[n]);
            maker_vector(m, in_layer(i, name), s->hidden, near_one);
        }
        maker_vector(m, in_layer(i, "mix.weight"), 3, near_one);
        add_attention(m, i, "attn", s);
        maker_vector(m, in_layer(i, "attn.logit_scale"), s->heads, near_one);
        if (strcmp(gss_kind, "dss") == 0)
            add_dss(m, i, s->hidden);
        else
            add_gated(m, i, s->hidden);
        add_ffn(m, i, "aux", s->hidden, s->ffn);
        add_ffn(m, i, "main", s->hidden, s->ffn);
    }
    maker_vector(m, "model.norm.weight", s->hidden, near_one);
    maker_save(m, "model.safetensors");
}

/* ---- the chain -------------------------------------------------------------- */

static void add_zeros(struct maker *m, const char *name, int rows, int cols)
{
    const int64_t shape[] = {rows, cols};
    maker_tensor(m, name, 2, shape, NULL, (struct maker_fill){0, 0});
}

/* Embedding = identity, no layer adds anything, lm_head[next[t]][t] = 1. */
void maker_chain(struct maker *m, const int32_t *next, int n_vocab, int context, int eos)
{
    static const struct maker_fill one = {0, 1};
    size_t v = (size_t)n_vocab;
    const int64_t square[] = {n_vocab, n_vocab};
    struct maker_sizes s = {n_vocab, n_vocab, 1, 2, 1, 8, context};
    char more[64] = "";
    if (eos >= 0)
        snprintf(more, sizeof more, ",\"eos_token_id\":%d", eos);
    write_config(m, "llama", &s, more);
    float *values = calloc(v * v, sizeof *values);
    assert_non_null(values);
    for (size_t t = 0; t < v; t++)
        values[t * v + t] = 1;
    maker_tensor(m, "model.embed_tokens.weight", 2, square, values, one);
    memset(values, 0, v * v * sizeof *values);
    for (size_t t = 0; t < v; t++)
        values[(size_t)next[t] * v + t] = 1;
    maker_tensor(m, "lm_head.weight", 2, square, values, one);
    free(values);
    maker_vector(m, "model.layers.0.input_layernorm.weight", n_vocab, one);
    maker_vector(m, "model.layers.0.post_attention_layernorm.weight", n_vocab, one);
    maker_matrix(m, "model.layers.0.self_attn.q_proj.weight", n_vocab, n_vocab);
    maker_matrix(m, "model.layers.0.self_attn.k_proj.weight", n_vocab / 2, n_vocab);
    maker_matrix(m, "model.layers.0.self_attn.v_proj.weight", n_vocab / 2, n_vocab);
    add_zeros(m, "model.layers.0.self_attn.o_proj.weight", n_vocab, n_vocab);
    maker_matrix(m, "model.layers.0.mlp.gate_proj.weight", 8, n_vocab);
    maker_matrix(m, "model.layers.0.mlp.up_proj.weight", 8, n_vocab);
    add_zeros(m, "model.layers.0.mlp.down_proj.weight", n_vocab, 8);
    maker_vector(m, "model.norm.weight", n_vocab, one);
    maker_save(m, "model.safetensors");
}

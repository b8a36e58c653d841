/* Opens a model folder, and runs the forward pass: embed → blocks → norm → head.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/model.h"

#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/load/model_path.h"
#include "engine/load/random_weights.h"
#include "engine/load/safetensors.h"
#include "engine/mixer/ring.h"
#include "engine/model/arch.h"

#include <stdio.h>
#include <string.h>

/* ---- parts that arch files ask for ------------------------------------------ */

int model_bind_embed(struct model *m, const struct bind *b, const char *name,
                     struct err *err)
{
    const struct matrix_spec s = {.name = name,
                                  .n_out = m->hp.vocab_size,
                                  .n_in = m->hp.hidden_size,
                                  .role = QUANT_TABLE};
    return bind_table(&m->embed.table, b, &s, err);
}

/* A head tensor that is in the file although it is tied to the embedding. */
static int check_twin(struct model *m, const struct bind *b, const char *name,
                      struct err *err)
{
    const int64_t shape[] = {m->hp.vocab_size, m->hp.hidden_size};
    const struct tensor_spec s = {.name = name, .n_dims = 2, .shape = shape};
    const struct tensor *embed = m->embed.table.source;
    struct tensor *t = NULL;
    int rc = weights_take(b->weights, &s, &t, err);
    if (rc)
        return rc;
    bool alike = embed && t->type == embed->type;
    if (alike && (b->sizes || memcmp(t->data, embed->data, t->bytes) == 0)) {
        t->twin = true;
        return 0;
    }
    return err_set(
        err, ERR_FORMAT,
        "%s: tensor %s: tie_word_embeddings is set: expected the same values as the "
        "embedding, found others",
        t->file, t->name);
}

int model_bind_head(struct model *m, const struct bind *b, const char *name,
                    struct err *err)
{
    const struct table *embed = &m->embed.table;
    const struct matrix_spec s = {.name = name,
                                  .n_out = m->hp.vocab_size,
                                  .n_in = m->hp.hidden_size,
                                  .role = QUANT_TABLE};
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    m->tied = m->hp.tied;
    if (!m->tied)
        return bind_matrix(&m->head, b, &s, err);
    int rc = weights_find(b->weights, full) ? check_twin(m, b, full, err) : 0;
    m->head = embed->m;
    if (rc || b->sizes || !embed->rows)
        return rc;
    return gemm_pack(&m->head, b->arena, embed->rows, b->blas, err);
}

int model_rope(struct model *m, const struct rope **out, const struct rope_params *p,
               int dim, bool plain_length, struct err *err)
{
    struct rope_use use = {dim, m->hp.max_position, m->context, plain_length, m->sizes};
    struct rope *r = arena_alloc(&m->arena, sizeof *r);
    if (!r)
        return err_set(err, ERR_MEMORY, "out of memory for a RoPE table");
    *out = r;
    m->rope_by_length |= p->kind == ROPE_DYNAMIC || p->kind == ROPE_LONG;
    if (p->kind == ROPE_DYNAMIC)
        log_line(LOG_INFO, "rope_dynamic",
                 "\"context\":%d,\"note\":\"rotary table fixed for this length\"",
                 m->context);
    int rc = rope_open(r, &m->arena, p, &use, err);
    return rc == -ERR_FORMAT ? err_prefix(err, "config.json (%s)", m->hp.arch) : rc;
}

/* ---- opening ---------------------------------------------------------------- */

static void place_mixer(struct mixer *mx, void *arg)
{
    struct model *m = arg;
    size_t *fixed = mx->need.ring ? &m->ring_bytes : &m->slot_bytes;
    mx->fixed_offset = *fixed;
    mx->page_offset = m->page_bytes;
    *fixed += (mx->need.fixed_bytes + 63) / 64 * 64;
    m->page_bytes += (mx->need.page_bytes + 63) / 64 * 64;
}

static void place_ring(struct mixer *mx, void *arg)
{
    const struct model *m = arg;
    mx->fixed_offset += mx->need.ring ? m->rings_at : 0;
}

static void place_mixers(struct model *m)
{
    for (int i = 0; i < m->hp.n_layers; i++)
        block_each_mixer(&m->blocks[i], place_mixer, m);
    m->rings_at = m->slot_bytes + mixer_floats_bytes((size_t)m->hp.hidden_size);
    for (int i = 0; i < m->hp.n_layers; i++)
        block_each_mixer(&m->blocks[i], place_ring, m);
}

static void count_params(struct model *m)
{
    for (size_t i = 0; i < m->weights.n_tensors; i++) {
        const struct tensor *t = &m->weights.tensors[i];
        m->n_params += t->used && !t->twin ? t->n_values : 0;
    }
}

static int check_sizes(const struct hparams *hp, struct err *err)
{
    enum { WIDTH_MAX = 1 << 24 };
    if (hp->head_dim == 0 && !hp->family->no_attention)
        return err_set(
            err, ERR_FORMAT,
            "config.json: hidden_size: expected a multiple of num_attention_heads "
            "%d, found %d",
            hp->n_heads, hp->hidden_size);
    if ((int64_t)hp->n_heads * hp->head_dim > WIDTH_MAX)
        return err_set(
            err, ERR_FORMAT,
            "config.json: head_dim: expected at most %d in all heads, found %d x %d",
            WIDTH_MAX, hp->n_heads, hp->head_dim);
    if (hp->ffn_size == 0 && !hp->family->no_ffn)
        return err_set(err, ERR_FORMAT,
                       "config.json: intermediate_size: expected a value, found nothing");
    return 0;
}

static int fix_context(struct model *m, int context, struct err *err)
{
    enum { CONTEXT_MAX = 1 << 24 };
    m->context = context ? context : m->hp.max_position;
    if (m->context < 1 || m->context > CONTEXT_MAX)
        return err_param(err, ERR_ARGUMENT, "context",
                         "context: expected 1 to %d, found %d", CONTEXT_MAX, m->context);
    if (m->context > m->hp.max_position)
        log_line(LOG_WARN, "context_beyond_model",
                 "\"context\":%d,\"max_position_embeddings\":%d", m->context,
                 m->hp.max_position);
    return 0;
}

/* Over the configuration and every byte of the weights. */
static int hash_model(struct model *m, const struct model_options *o, struct err *err)
{
    enum { CONFIG_MAX_BYTES = 8 << 20 };
    char path[4096];
    struct buf text = {0};
    uint64_t weights = 0;
    snprintf(path, sizeof path, o->shape ? "%s" : "%s/config.json",
             o->shape ? o->shape : o->dir);
    int rc = file_read(&text, path, CONFIG_MAX_BYTES, err);
    if (rc == 0)
        rc = weights_hash(&m->weights, &weights, err);
    if (rc == 0)
        m->hash = hash_bytes(text.data, text.len) * 31 + weights;
    buf_free(&text);
    return rc;
}

/* A type other than the file's gives other values. */
static void hash_formats(struct model *m)
{
    for (const struct bound *x = m->bound.first; x; x = x->next)
        if (x->source && x->m.type != x->source->type)
            m->hash = m->hash * 31 + (uint64_t)x->m.type + 1;
}

static int build(struct model *m, struct pool *pool, struct err *err)
{
    struct holding held;
    int rc = check_sizes(&m->hp, err);
    if (rc)
        return rc;
    m->blocks = arena_zalloc(&m->arena, (size_t)m->hp.n_layers, sizeof *m->blocks);
    if (!m->blocks)
        return err_set(err, ERR_MEMORY, "out of memory for %d layers", m->hp.n_layers);
    struct bind b = {.weights = &m->weights,
                     .arena = &m->arena,
                     .blas = m->blas,
                     .sizes = m->sizes,
                     .held = m->weights_ask,
                     .kv = m->kv,
                     .pool = pool,
                     .prefix = "",
                     .hidden_size = m->hp.hidden_size,
                     .quant_in = &m->quant_in,
                     .list = &m->bound};
    rc = arch_find(m->hp.arch)->build(m, &b, err);
    if (rc == 0)
        rc = weights_finish(&m->weights, m->hp.family->left_out, err);
    if (rc)
        return rc;
    place_mixers(m);
    count_params(m);
    hash_formats(m);
    model_holding(m, &held);
    m->type_mask = held.types;
    weights_release_pages(&m->weights);
    return 0;
}

static int open_generation(struct model *m, const struct model_options *o,
                           struct err *err)
{
    m->generation = (struct generation_config){.ids = m->hp.ids};
    return o->shape ? 0
                    : generation_config_open(&m->generation, o->dir, &m->hp.ids,
                                             m->hp.vocab_size, err);
}

static int open_weights(struct model *m, const struct model_options *o, struct err *err)
{
    if (!o->shape)
        return safetensors_open(&m->weights, o->dir, err);
    return o->sizes ? random_weights_open_sizes(&m->weights, err)
                    : random_weights_open(&m->weights, err);
}

int model_open(struct model *m, const struct model_options *o, struct err *err)
{
    *m = (struct model){
        .blas = o->blas,
        .sizes = o->sizes,
        .weights_ask = o->weights,
        .kv = o->kv,
        .logit_scale = 1,
        .embed.scale = 1,
    };
    arena_init(&m->arena);
    int rc = o->shape ? 0 : model_path_check(o->dir, err);
    if (rc == 0)
        rc = o->shape ? hparams_open_file(&m->hp, o->shape, arch_family, err)
                      : hparams_open(&m->hp, o->dir, arch_family, err);
    if (rc)
        return rc;
    rc = open_generation(m, o, err);
    if (!m->hp.head_dim && m->hp.n_heads && m->hp.hidden_size % m->hp.n_heads == 0)
        m->hp.head_dim = m->hp.hidden_size / m->hp.n_heads;
    if (rc == 0)
        rc = fix_context(m, o->context, err);
    if (rc == 0)
        rc = open_weights(m, o, err);
    if (rc == 0 && !o->sizes)
        rc = hash_model(m, o, err);
    if (rc == 0) {
        rc = build(m, o->pool, err);
        if (rc)
            err_prefix(err, "%.200s", o->shape ? o->shape : o->dir);
    }
    if (rc)
        model_close(m);
    return rc;
}

static size_t held_bytes(const struct bound *x)
{
    if (x->rows)
        return (size_t)x->m.n_out * (size_t)x->m.n_in * dtype_bytes(x->m.type);
    return matrix_panel_bytes(&x->m) + matrix_scale_bytes(&x->m);
}

/* The values of a tied head once more, in panels; NULL where the embedding has these. */
static const struct bound *tied_head(const struct model *m, struct bound *out)
{
    *out = (struct bound){.m = m->head};
    return m->tied && !dtype_quantised(m->head.type) ? out : NULL;
}

/* Of a model of sizes: what was not packed or copied. */
static size_t missing_bytes(const struct model *m)
{
    struct bound head;
    size_t sum = 0;
    for (const struct bound *x = m->bound.first; x; x = x->next)
        if (x->rows ? !x->source->kept : !x->m.panels)
            sum += held_bytes(x);
    return tied_head(m, &head) ? sum + held_bytes(&head) : sum;
}

static void hold(struct holding *h, const struct bound *x)
{
    size_t bytes = held_bytes(x);
    h->bytes[DTYPE_F32] -= bytes;
    h->bytes[x->m.type] += bytes;
}

void model_holding(const struct model *m, struct holding *out)
{
    unsigned others = 0;
    *out = (struct holding){.bytes = {[DTYPE_F32] = model_weights_bytes(m)}};
    for (const struct bound *x = m->bound.first; x; x = x->next) {
        bool never = x->role == QUANT_EXACT || x->m.n_out < QUANT_MIN_OUT;
        *(never ? &others : &out->types) |= 1u << x->m.type;
        hold(out, x);
    }
    struct bound head;
    if (tied_head(m, &head))
        hold(out, &head);
    out->types = out->types ? out->types : others;
}

size_t model_weights_bytes(const struct model *m)
{
    size_t there = m->arena.used_bytes + weights_kept_bytes(&m->weights);
    return m->sizes ? there + missing_bytes(m) : there;
}

void model_close(struct model *m)
{
    hparams_close(&m->hp);
    weights_close(&m->weights);
    arena_free(&m->arena);
    *m = (struct model){0};
}

/* ---- the forward pass ------------------------------------------------------- */

struct scratch_max {
    size_t bytes;
    int rows;
};

static void widest_mixer(struct mixer *mx, void *arg)
{
    struct scratch_max *x = arg;
    size_t bytes = mx->kind->scratch(mx, x->rows);
    x->bytes = bytes > x->bytes ? bytes : x->bytes;
}

size_t model_scratch(const struct model *m, int max_rows, int max_logits)
{
    struct scratch_max x = {0, max_rows};
    for (int i = 0; i < m->hp.n_layers; i++)
        block_each_mixer(&m->blocks[i], widest_mixer, &x);
    size_t d = (size_t)m->hp.hidden_size;
    return x.bytes + (1 + BLOCK_BUFFERS) * mixer_floats_bytes((size_t)max_rows * d) +
           mixer_floats_bytes((size_t)max_logits * d);
}

struct embed_job {
    const struct model *m;
    const int32_t *ids;
    float *h;
};

static void embed_rows(const void *arg, const struct ctx *c, int row0, int row1)
{
    const struct embed_job *j = arg;
    const struct embedding *e = &j->m->embed;
    const struct table *t = &e->table;
    const struct kernels *k = c->gemm->k;
    size_t d = (size_t)j->m->hp.hidden_size, row_bytes = d * dtype_bytes(t->m.type);
    for (int r = row0; r < row1; r++) {
        float *h = j->h + (size_t)r * d;
        if (t->rows)
            k->widen[t->m.type]((const char *)t->rows + (size_t)j->ids[r] * row_bytes, d,
                                h);
        else
            quant_row(&t->m, j->ids[r], h);
        if (e->scale != 1)
            k->scale(h, e->scale, d, h);
    }
}

float *model_forward(const struct model *m, const struct ctx *c, const int32_t *ids)
{
    size_t d = (size_t)m->hp.hidden_size;
    float *h = mixer_floats(c, (size_t)c->n_rows * d);
    struct embed_job j = {m, ids, h};
    mixer_rows(c, embed_rows, &j, d);
    for (int i = 0; i < m->hp.n_layers; i++)
        block_run(&m->blocks[i], c, h, m->hp.hidden_size);
    return h;
}

void model_head(const struct model *m, const struct ctx *c, const float *h,
                const int *rows, int n, float *logits)
{
    size_t mark = arena_mark(c->scratch), d = (size_t)m->hp.hidden_size;
    float *x = mixer_floats(c, (size_t)n * d);
    for (int i = 0; i < n; i++)
        memcpy(x + (size_t)i * d, h + (size_t)rows[i] * d, d * sizeof *x);
    norm_rows(&m->final_norm, c->gemm->k, x, x, 0, n);
    if (m->logit_scale != 1)
        c->gemm->k->scale(x, m->logit_scale, (size_t)n * d, x);
    gemm_run(c->gemm, &m->head, x, d, n, logits, (size_t)m->hp.vocab_size);
    arena_release(c->scratch, mark);
}

/* ---- others ----------------------------------------------------------------- */

struct forget_job {
    char *slot;
    int depth;
};

static void forget_mixer(struct mixer *mx, void *arg)
{
    const struct forget_job *j = arg;
    if (mx->need.ring)
        ring_forget(mx->need.ring, j->slot + mx->fixed_offset, j->depth);
}

void model_forget(const struct model *m, char *slot, int depth)
{
    struct forget_job j = {slot, depth};
    for (int i = 0; m->ring_bytes && i < m->hp.n_layers; i++)
        block_each_mixer(&m->blocks[i], forget_mixer, &j);
}

struct cost_job {
    const struct engine_batch *step;
    struct engine_cost *sum;
};

static void add_cost(struct mixer *mx, void *arg)
{
    const struct cost_job *j = arg;
    mx->kind->cost(mx, j->step, j->sum);
}

void model_cost(const struct model *m, const struct engine_batch *s,
                struct engine_cost *sum)
{
    const struct matrix *const head[] = {&m->head};
    struct cost_job j = {s, sum};
    for (int i = 0; i < m->hp.n_layers; i++)
        block_each_mixer(&m->blocks[i], add_cost, &j);
    if (s->n_sampled)
        cost_linears(sum, head, 1, s->n_sampled);
}

/* Running one mixer. Used by tests only, on their one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/mixer_steps.h"

#include "engine/kernel/cpu.h"
#include "engine/load/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rng_state = 0x9E3779B97F4A7C15u;

static int random_below(int n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (int)((rng_state >> 33) % (uint64_t)n);
}

static size_t values_of(const struct mixer_steps *b)
{
    return (size_t)b->n_seqs * (size_t)b->n_tokens * (size_t)b->bind.hidden_size;
}

void mixer_steps_open(struct mixer_steps *b, int hidden, int n_seqs, int n_tokens)
{
    assert_true(n_seqs <= MIXER_STEPS_SEQS);
    *b = (struct mixer_steps){.n_seqs = n_seqs, .n_tokens = n_tokens};
    maker_open(&b->maker);
    arena_init(&b->arena);
    b->bind = (struct bind){
        .weights = &b->weights, .arena = &b->arena, .prefix = "", .hidden_size = hidden};
    b->x = malloc(values_of(b) * sizeof *b->x);
    b->y = malloc(values_of(b) * sizeof *b->y);
    assert_true(b->x && b->y);
    for (size_t i = 0; i < values_of(b); i++)
        b->x[i] = (float)(random_below(20001) - 10000) / 10000;
}

void mixer_steps_load(struct mixer_steps *b)
{
    struct err err = {0};
    maker_save(&b->maker, "model.safetensors");
    if (safetensors_open(&b->weights, b->maker.dir, &err))
        fail_msg("%s", err.text);
}

static int pages_of(const struct mixer_steps *b)
{
    return (b->n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

static size_t pages_bytes(const struct mixer_steps *b)
{
    return (size_t)(b->n_seqs * pages_of(b)) * b->mx.need.page_bytes;
}

static void unbind(struct mixer_steps *b)
{
    free(b->slots);
    free(b->pages);
    free(b->table);
    arena_free(&b->scratch);
    if (b->pool)
        pool_close(b->pool);
    b->pool = NULL;
    b->slots = b->pages = NULL;
    b->table = NULL;
}

void mixer_steps_close(struct mixer_steps *b)
{
    unbind(b);
    weights_close(&b->weights);
    arena_free(&b->arena);
    maker_close(&b->maker);
    free(b->x);
    free(b->y);
}

void mixer_steps_bind(struct mixer_steps *b, const struct mixer_kind *kind,
                      const void *spec, const struct kernels *k, int threads)
{
    struct err err = {0};
    unbind(b);
    b->mx = (struct mixer){.kind = kind};
    if (kind->bind(&b->mx, spec, &b->bind, &err))
        fail_msg("%s", err.text);
    assert_int_equal(pool_open(&b->pool, threads, &err), 0);
    b->gemm = (struct gemm){k, b->pool, false, NULL};
    size_t scratch = kind->scratch(&b->mx, b->n_seqs * b->n_tokens);
    assert_true(arena_fixed(&b->scratch, scratch ? scratch : 64));
    b->slot_bytes = b->mx.need.fixed_bytes / 64 * 64 + 64;
    b->slots = aligned_alloc(64, b->slot_bytes * (size_t)b->n_seqs);
    b->pages = aligned_alloc(64, pages_bytes(b) / 64 * 64 + 64);
    b->table = malloc((size_t)(b->n_seqs * pages_of(b)) * sizeof *b->table);
    assert_true(b->slots && b->pages && b->table);
    for (int i = 0; i < b->n_seqs * pages_of(b); i++)
        b->table[i] = i;
}

/* The rows of a step and what the mixer makes of them. */
struct step {
    float *x, *y;
    int32_t *positions, *row_span;
    struct span spans[MIXER_STEPS_SEQS];
    int seq[MIXER_STEPS_SEQS]; /* of a span */
    struct ctx c;
};

static void step_open(struct step *t, const struct mixer_steps *b)
{
    size_t rows = (size_t)b->n_seqs * (size_t)b->n_tokens;
    *t = (struct step){.x = malloc(values_of(b) * sizeof *t->x),
                       .y = malloc(values_of(b) * sizeof *t->y),
                       .positions = malloc(rows * sizeof *t->positions),
                       .row_span = malloc(rows * sizeof *t->row_span)};
    assert_true(t->x && t->y && t->positions && t->row_span);
}

static void step_close(struct step *t)
{
    free(t->x);
    free(t->y);
    free(t->positions);
    free(t->row_span);
}

/* n rows of sequence s from position pos on. */
static void add_rows(struct step *t, const struct mixer_steps *b, int s, int pos, int n)
{
    struct ctx *c = &t->c;
    size_t d = (size_t)b->bind.hidden_size;
    const float *from = b->x + (size_t)(s * b->n_tokens + pos) * d;
    t->spans[c->n_spans] = (struct span){
        .row0 = c->n_rows,
        .n_rows = n,
        .pos = b->first_pos + pos,
        .fixed = b->slots + (size_t)s * b->slot_bytes,
        .pages = b->table + s * pages_of(b),
    };
    t->seq[c->n_spans] = s;
    memcpy(t->x + (size_t)c->n_rows * d, from, (size_t)n * d * sizeof *t->x);
    for (int i = 0; i < n; i++, c->n_rows++) {
        t->positions[c->n_rows] = b->first_pos + pos + i;
        t->row_span[c->n_rows] = c->n_spans;
    }
    c->n_spans++;
}

/* The next n[s] rows of each sequence, from done[s] on. */
static void run_step(struct mixer_steps *b, int *done, const int *n)
{
    struct step t;
    size_t d = (size_t)b->bind.hidden_size;
    step_open(&t, b);
    t.c = (struct ctx){.gemm = &b->gemm,
                       .scratch = &b->scratch,
                       .spans = t.spans,
                       .positions = t.positions,
                       .row_span = t.row_span,
                       .pages = b->pages,
                       .page_bytes = b->mx.need.page_bytes};
    for (int s = 0; s < b->n_seqs; s++)
        if (n[s] > 0)
            add_rows(&t, b, s, done[s], n[s]);
    b->mx.kind->run(&b->mx, &t.c, t.x, t.y);
    assert_int_equal(arena_mark(&b->scratch), 0);
    for (int i = 0; i < t.c.n_spans; i++) {
        const struct span *s = &t.spans[i];
        memcpy(b->y + (size_t)(t.seq[i] * b->n_tokens + done[t.seq[i]]) * d,
               t.y + (size_t)s->row0 * d, (size_t)s->n_rows * d * sizeof *t.y);
        done[t.seq[i]] += s->n_rows;
    }
    step_close(&t);
}

void mixer_steps_run(struct mixer_steps *b, int most)
{
    int done[MIXER_STEPS_SEQS] = {0}, left = b->n_seqs * b->n_tokens;
    memset(b->slots, 0, (size_t)b->n_seqs * b->slot_bytes);
    memset(b->pages, 0, pages_bytes(b));
    while (left > 0) {
        int n[MIXER_STEPS_SEQS], rows = 0;
        for (int s = 0; s < b->n_seqs; s++) {
            int rest = b->n_tokens - done[s];
            n[s] = most ? random_below(most + 1) : rest;
            n[s] = n[s] < rest ? n[s] : rest;
            rows += n[s];
        }
        if (rows)
            run_step(b, done, n);
        left -= rows;
    }
}

const float *mixer_steps_values(const struct mixer_steps *b, const char *name)
{
    const float *out = NULL;
    const struct tensor *t = weights_find(&b->weights, name);
    struct err err = {0};
    assert_non_null(t);
    const struct tensor_spec s = {.name = name, .n_dims = t->n_dims, .shape = t->shape};
    assert_int_equal(bind_tensor(&out, &b->bind, &s, &err), 0);
    return out;
}

void mixer_steps_multiply(const double *in, int n_rows,
                          const struct mixer_steps_linear *l, double *out)
{
    for (int r = 0; r < n_rows; r++)
        for (int o = 0; o < l->n_out; o++) {
            double sum = l->bias ? (double)l->bias[o] : 0;
            for (int k = 0; k < l->n_in; k++)
                sum += in[r * l->n_in + k] * (double)l->w[o * l->n_in + k];
            out[r * l->n_out + o] = sum;
        }
}

void mixer_steps_expect(const struct mixer_steps *b, const double *want, double tolerance)
{
    double max = 1e-3;
    for (size_t i = 0; i < values_of(b); i++)
        max = fmax(max, fabs(want[i]));
    for (size_t i = 0; i < values_of(b); i++)
        if (!(fabs(want[i] - (double)b->y[i]) <= tolerance * max))
            fail_msg("value %zu: expected %g, found %g", i, want[i], (double)b->y[i]);
}

static void *copy_of(const void *from, size_t bytes)
{
    void *copy = malloc(bytes + 1);
    assert_non_null(copy);
    memcpy(copy, from, bytes);
    return copy;
}

/* Rows of the first sequence that are no numbers, from its middle on: no other sequence's
 * results change, nor those before them. y is what clean rows gave. */
static void expect_alone(struct mixer_steps *b, const float *y)
{
    size_t d = (size_t)b->bind.hidden_size, before = (size_t)(b->n_tokens / 2) * d;
    size_t own = (size_t)b->n_tokens * d;
    float *x = copy_of(b->x, values_of(b) * sizeof *x);
    for (size_t i = before; i < own; i++)
        b->x[i] = NAN;
    mixer_steps_run(b, 7);
    assert_memory_equal(y, b->y, before * sizeof *y);
    for (size_t i = before; i < own; i++)
        assert_true(isnan(b->y[i]));
    assert_memory_equal(y + own, b->y + own, (values_of(b) - own) * sizeof *y);
    memcpy(b->x, x, values_of(b) * sizeof *x);
    free(x);
}

void mixer_steps_expect_same(struct mixer_steps *b, const struct mixer_kind *kind,
                             const void *spec)
{
    static const char *const sets[] = {"c", "avx2", "avx512", "vnni", "neon"};
    const struct kernels *k;
    mixer_steps_bind(b, kind, spec, &kernel_c, 1);
    mixer_steps_run(b, 0);
    size_t y_bytes = values_of(b) * sizeof *b->y;
    size_t slots_bytes = (size_t)b->n_seqs * b->slot_bytes;
    void *y = copy_of(b->y, y_bytes), *slots = copy_of(b->slots, slots_bytes);
    void *pages = copy_of(b->pages, pages_bytes(b));
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (cpu_kernels(&k, sets[i], NULL))
            continue;
        for (int most = 0; most <= 20; most = most * 3 + 1) {
            mixer_steps_bind(b, kind, spec, k, 1 + random_below(3));
            mixer_steps_run(b, most);
            if (memcmp(y, b->y, y_bytes) != 0)
                fail_msg("%s, cuts up to %d: other results", k->name, most);
            if (memcmp(slots, b->slots, slots_bytes) != 0)
                fail_msg("%s, cuts up to %d: other states", k->name, most);
            if (memcmp(pages, b->pages, pages_bytes(b)) != 0)
                fail_msg("%s, cuts up to %d: other pages", k->name, most);
        }
    }
    expect_alone(b, y);
    free(y);
    free(slots);
    free(pages);
}

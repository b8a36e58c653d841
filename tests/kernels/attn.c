/*
 * Cases of attention and of its pages, for every page type: numbers of keys around pages
 * and blocks, groups of query heads around the tiles, head widths around the vector.
 * Pages lie in reverse order and what belongs to absent keys is NaN, so that its use
 * shows. And queries together are the queries one by one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/case.h"
#include "tests/kernels/input.h"

#include <stdio.h>
#include <string.h>

enum { LINE = 64, MARGIN = LINE }; /* bytes of another head before K */

struct size {
    int n_keys, n_rows, group, head_dim; /* n_keys of the first row */
    int window;
};

static unsigned number; /* of the case, within its subject */

static size_t values_bytes(enum engine_kv type, int head_dim)
{
    static const size_t width[ENGINE_KV_N] = {4, 2, 1};
    return (size_t)(head_dim * PAGE_TOKENS) * width[type];
}

static size_t scales_count(enum engine_kv type, int head_dim)
{
    size_t groups = ((size_t)head_dim + QUANT_GROUP - 1) / QUANT_GROUP;
    return type == ENGINE_KV_Q8 ? groups * PAGE_TOKENS : 0;
}

/* Of K or V of a page, up to the next line. */
static size_t half_bytes(enum engine_kv type, int head_dim)
{
    size_t n = values_bytes(type, head_dim) + 2 * scales_count(type, head_dim);
    return (n + LINE - 1) / LINE * LINE;
}

static size_t page_bytes(enum engine_kv type, int head_dim)
{
    return MARGIN + 2 * half_bytes(type, head_dim);
}

static int pages_of(int n_keys)
{
    return (n_keys + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

static const int32_t *reverse_table(int slot, int n_pages)
{
    size_t n = (size_t)n_pages;
    int32_t *table = (int32_t *)(void *)input_bytes(slot, n * sizeof *table);
    for (int t = 0; t < n_pages; t++)
        table[t] = n_pages - 1 - t;
    return table;
}

/* ---- attending -------------------------------------------------------------- */

static void run_attn(const struct subject *s, const struct kernels *k,
                     const struct attn_args *args, float *out)
{
    struct attn_args a = *args;
    a.out = out;
    k->attn[s->type](&a);
}

struct call {
    struct attn_args args;
    const struct subject *s;
};

static void run_together(const struct kernels *k, const void *args, void *const *out)
{
    const struct call *c = args;
    run_attn(c->s, k, &c->args, out[0]);
}

/* Every head of every row for itself. */
static void run_alone(const struct kernels *k, const void *args, void *const *out)
{
    const struct call *c = args;
    for (int r = 0; r < c->args.n_rows; r++)
        for (int g = 0; g < c->args.group; g++) {
            struct attn_args a = c->args;
            size_t at = (size_t)r * a.ld + (size_t)(g * a.head_dim);
            a.q += at;
            a.n_keys += r;
            a.n_rows = a.group = 1;
            run_attn(c->s, k, &a, (float *)out[0] + at);
        }
}

/* NaN where a token's values are: what they are scaled with, if anything is. */
static void forget(char *half, enum engine_kv type, int head_dim, int token, bool key)
{
    int n = type == ENGINE_KV_Q8 ? (head_dim + QUANT_GROUP - 1) / QUANT_GROUP : head_dim;
    size_t width = type == ENGINE_KV_F32 ? 4 : 2;
    static const uint32_t nan = 0x7fc07e00; /* as float, and its low half as f16 */
    half += type == ENGINE_KV_Q8 ? values_bytes(type, head_dim) : 0;
    for (int d = 0; d < n; d++) {
        int at =
            key || type == ENGINE_KV_Q8 ? d * PAGE_TOKENS + token : token * head_dim + d;
        memcpy(half + (size_t)at * width, &nan, width);
    }
}

static const char *pages_input(enum engine_kv type, int n_pages, int head_dim,
                               enum kind kind)
{
    size_t n = (size_t)n_pages * page_bytes(type, head_dim);
    size_t half = half_bytes(type, head_dim), n_scales = scales_count(type, head_dim);
    if (type == ENGINE_KV_F32)
        return (const char *)input_floats(0, n / sizeof(float), kind);
    if (type == ENGINE_KV_F16)
        return (const char *)input_halves(0, n / 2, DTYPE_F16, kind);
    char *pages = (char *)input_bytes(0, n);
    const uint16_t *scales = input_halves(3, n / 2, DTYPE_F16, kind);
    for (size_t at = MARGIN; at < n; at += page_bytes(type, head_dim))
        for (int v = 0; v < 2; v++, scales += n_scales)
            memcpy(pages + at + (size_t)v * half + values_bytes(type, head_dim), scales,
                   2 * n_scales);
    return pages;
}

/* Keys in front of the first row's window and behind n_keys. */
static void forget_absent(const struct attn_args *a, enum engine_kv type, int n_keys)
{
    int first = a->window && a->n_keys > a->window ? a->n_keys - a->window : 0;
    for (int key = 0; key < pages_of(n_keys) * PAGE_TOKENS; key++) {
        if (key >= first && key < n_keys)
            continue;
        size_t page = (size_t)a->table[key / PAGE_TOKENS] * a->page_bytes;
        char *at = (char *)(uintptr_t)a->pages + page;
        forget(at + a->k_offset, type, a->head_dim, key % PAGE_TOKENS, true);
        forget(at + a->v_offset, type, a->head_dim, key % PAGE_TOKENS, false);
    }
}

static void visit_attn(const struct subject *s, visit_fn *visit, struct size z,
                       enum kind kind, bool timed)
{
    enum engine_kv type = (enum engine_kv)s->type;
    int last = z.n_keys + z.n_rows - 1, n_pages = pages_of(last);
    input_begin(s->name, number++);
    size_t ld = (size_t)(z.group * z.head_dim) + input_below(3);
    size_t n_q = (size_t)(z.n_rows - 1) * ld + (size_t)(z.group * z.head_dim);
    struct call c = {.s = s};
    c.args = (struct attn_args){.page_bytes = page_bytes(type, z.head_dim),
                                .k_offset = MARGIN,
                                .v_offset = MARGIN + half_bytes(type, z.head_dim),
                                .ld = ld,
                                .scale = 0.37f,
                                .n_keys = z.n_keys,
                                .n_rows = z.n_rows,
                                .group = z.group,
                                .head_dim = z.head_dim,
                                .window = z.window};
    c.args.pages = pages_input(type, n_pages, z.head_dim, kind);
    c.args.table = reverse_table(1, n_pages);
    c.args.q = input_floats(2, n_q, kind);
    forget_absent(&c.args, type, last);
    char size[64];
    snprintf(size, sizeof size,
             z.window ? "%d keys, %d x %d of %d, window %d" : "%d keys, %d x %d of %d",
             z.n_keys, z.n_rows, z.group, z.head_dim, z.window);
    double seen = z.n_keys + 0.5 * (z.n_rows - 1);
    seen = z.window && z.window < seen ? z.window : seen;
    double flops = 4e-9 * seen * z.n_rows * z.group * z.head_dim;
    visit(s, &(struct kernel_case){.size = size,
                                   .args = &c,
                                   .out = {{n_q * sizeof(float), UNIT_F32, NULL}},
                                   .work = timed ? flops : 0});
}

static const int windows[] = {1, 15, 16, 17, 63, 64, 65, 101};
enum { N_WINDOWS = sizeof windows / sizeof *windows };

/* Windows that begin and end in a page, at a page and at a block; rows of a batch in
 * which each begins elsewhere. */
static void window_cases(const struct subject *s, visit_fn *visit)
{
    static const int keys[] = {1, 16, 63, 64, 65, 79, 128, 150, 333};
    static const int dims[] = {8, 17, 64, 80};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int w = 0; w < N_WINDOWS; w++) {
            int rows = 1 + (int)(i * 5 + (size_t)w * 3) % 21,
                group = 1 + (w + (int)i) % 5;
            struct size z = {keys[i], rows, group, dims[(i + (size_t)w) % 4], windows[w]};
            visit_attn(s, visit, z, PLAIN, false);
        }
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (int w = 0; w < N_WINDOWS; w++)
            visit_attn(s, visit, (struct size){150, 1 + w * 3, 2, 20, windows[w]}, kind,
                       false);
}

static void attn_cases(const struct subject *s, visit_fn *visit)
{
    static const int keys[] = {1, 15, 16, 17, 63, 64, 65, 100, 128, 333};
    static const int dims[] = {1, 8, 17, 33, 64, 80};
    static const struct size timed[] = {{1024, 1, 1, 64, 0},
                                        {1024, 1, 4, 64, 0},
                                        {1024, 1, 3, 128, 0},
                                        {1024, 16, 3, 64, 0},
                                        {4096, 1, 4, 64, 1024}};
    number = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t j = 0; j < sizeof dims / sizeof *dims; j++) {
            int group = 1 + (int)(i + j) % 9, rows = 1 + (int)(i * 3 + j) % 4;
            visit_attn(s, visit, (struct size){keys[i], rows, group, dims[j], 0}, PLAIN,
                       false);
        }
    for (int group = 1; group <= 20; group++)
        visit_attn(s, visit, (struct size){77, 1, group, 24, 0}, PLAIN, false);
    for (int rows = 2; rows <= 40; rows += 1 + rows / 4)
        visit_attn(s, visit, (struct size){50, rows, 3, 32, 0}, PLAIN, false);
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (int rows = 1; rows <= 3; rows += 2)
            visit_attn(s, visit, (struct size){150, rows, 3, 20, 0}, kind, false);
    window_cases(s, visit);
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        visit_attn(s, visit, timed[i], PLAIN, true);
}

static void alone_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (int group = 1; group <= 17; group += 1 + group / 4)
        for (int rows = 1; rows <= 9; rows += 1 + rows / 2)
            for (int w = -1; w < N_WINDOWS; w += 2)
                visit_attn(s, visit,
                           (struct size){61, rows, group, 40, w < 0 ? 0 : windows[w]},
                           PLAIN, false);
}

/* ---- storing ---------------------------------------------------------------- */

struct store {
    struct kv_args args;
    enum engine_kv type;
};

static void run_store(const struct kernels *k, const void *args, void *const *out)
{
    const struct store *c = args;
    struct kv_args a = c->args;
    a.pages = out[0];
    k->kv_store[c->type](&a);
}

static void visit_store(const struct subject *s, visit_fn *visit, struct kv_args a,
                        enum kind kind, bool timed)
{
    static const enum unit units[ENGINE_KV_N] = {UNIT_F32, UNIT_F16, UNIT_BYTES};
    struct store c = {.args = a, .type = (enum engine_kv)s->type};
    int n_pages = pages_of(a.pos + a.n_rows);
    input_begin(s->name, number++);
    c.args.ld = (size_t)a.head_dim + input_below(3);
    size_t n = (size_t)(a.n_rows - 1) * c.args.ld + (size_t)a.head_dim;
    c.args.table = reverse_table(0, n_pages);
    c.args.page_bytes = page_bytes(c.type, a.head_dim);
    c.args.k_offset = MARGIN;
    c.args.v_offset = MARGIN + half_bytes(c.type, a.head_dim);
    c.args.k = input_floats(1, n, kind);
    c.args.v = input_floats(2, n, kind);
    char size[64];
    snprintf(size, sizeof size, "%d rows of %d at %d", a.n_rows, a.head_dim, a.pos);
    struct output out = {(size_t)n_pages * c.args.page_bytes, units[c.type], NULL};
    double work = timed ? 2e-9 * a.n_rows * a.head_dim : 0;
    visit(s, &(struct kernel_case){.size = size, .args = &c, .out = {out}, .work = work});
}

static void store_cases(const struct subject *s, visit_fn *visit)
{
    static const int dims[] = {1, 8, 16, 17, 32, 33, 64, 80};
    number = 0;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int pos = 0; pos < 40; pos += 7)
            for (int rows = 1; rows <= 36; rows += 1 + rows * 2) {
                struct kv_args a = {.pos = pos, .n_rows = rows, .head_dim = dims[i]};
                visit_store(s, visit, a, PLAIN, false);
            }
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (int rows = 1; rows <= 20; rows++) {
            struct kv_args a = {.pos = 3, .n_rows = rows, .head_dim = 72};
            visit_store(s, visit, a, kind, false);
        }
    visit_store(s, visit, (struct kv_args){.pos = 5, .n_rows = 1, .head_dim = 64}, PLAIN,
                true);
    visit_store(s, visit, (struct kv_args){.n_rows = 64, .head_dim = 64}, PLAIN, true);
}

const struct subject attn_subjects[] = {
    {"kv_store f32", store_cases, run_store, NULL, ENGINE_KV_F32, "G/s"},
    {"kv_store f16", store_cases, run_store, NULL, ENGINE_KV_F16, "G/s"},
    {"kv_store q8", store_cases, run_store, NULL, ENGINE_KV_Q8, "G/s"},
    {"attn f32", attn_cases, run_together, NULL, ENGINE_KV_F32, "GFLOP/s"},
    {"attn f16", attn_cases, run_together, NULL, ENGINE_KV_F16, "GFLOP/s"},
    {"attn q8", attn_cases, run_together, NULL, ENGINE_KV_Q8, "GFLOP/s"},
    {"attn f32, alone", alone_cases, run_alone, run_together, ENGINE_KV_F32, ""},
    {"attn f16, alone", alone_cases, run_alone, run_together, ENGINE_KV_F16, ""},
    {"attn q8, alone", alone_cases, run_alone, run_together, ENGINE_KV_Q8, ""},
    {NULL, NULL, NULL, NULL, 0, NULL},
};

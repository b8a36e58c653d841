/*
 * Attention and its pages: every kernel set stores the bytes and computes the bits of the
 * C set, for every page type; rows together are the rows alone; nothing but what is named
 * is read or written, keys in front of every window included; and the C set means what kernel.h says, against f64.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/cpu.h"
#include "engine/kernel/kernel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_PAGES = 40, MOST_HEAD = 256, MOST_QUERIES = 160, GUARD = 24, GAP = 64 };

static const unsigned char UNTOUCHED = 0xA5;

static const char *const type_names[ENGINE_KV_N] = {"f32", "f16", "q8"};

/* ---- input ------------------------------------------------------------------ */

enum kind { PLAIN, TINY, HUGE_VALUES, ZEROS, INFINITE, NANS, N_KINDS };

static uint64_t rng_state = 88172645463325252u;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 16);
}

static float plain(void)
{
    return ((float)(rng() & 0xffffff) / 8388608.0f - 1.0f) * 3.0f;
}

static float value(enum kind kind)
{
    static const float odd[] = {0.0f,   -0.0f,    1e-40f,    -1e-42f, 1e30f,
                                -3e38f, INFINITY, -INFINITY, NAN};
    switch (kind) {
    case TINY:
        return plain() * (rng() % 2 ? 1e-38f : 1e-6f);
    case HUGE_VALUES:
        return plain() * (rng() % 4 ? 3e4f : 1e38f);
    case ZEROS:
        return rng() % 64 ? (rng() % 2 ? 0.0f : -0.0f) : plain();
    case INFINITE:
        return rng() % 64 ? plain() : odd[rng() % 8];
    case NANS:
        return rng() % 64 ? plain() : odd[rng() % 9];
    default:
        return plain();
    }
}

static void fill(float *x, size_t n, enum kind kind)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value(kind);
}

static const struct kernels *const *sets(void)
{
    static const char *const names[] = {"avx2", "avx512", "neon"};
    static const struct kernels *list[4];
    int n = 0;
    for (size_t i = 0; !list[0] && i < sizeof names / sizeof *names; i++)
        if (cpu_kernels(&list[n], names[i], NULL) == 0)
            n++;
    return list;
}

/* ---- pages ------------------------------------------------------------------ */

/* Pages of one head, the last by address before a page nobody may touch, in scattered
 * order; between the halves and the pages lies a gap that stays as it is. */
struct cache {
    enum engine_kv type;
    char *map, *base;
    size_t map_bytes, half, page_bytes, bytes;
    int32_t table[MOST_PAGES];
    int n_tokens, n_pages, head_dim;
    float *k, *v; /* [n_tokens][head_dim] */
};

static size_t half_bytes(enum engine_kv type, int head_dim)
{
    size_t n = (size_t)(head_dim * PAGE_TOKENS), groups = ((size_t)head_dim + 31) / 32;
    return type == ENGINE_KV_F32   ? n * sizeof(float)
           : type == ENGINE_KV_F16 ? n * 2
                                   : n + groups * PAGE_TOKENS * 2;
}

static void open_cache(struct cache *c, enum engine_kv type, int n_tokens, int head_dim)
{
    size_t system = (size_t)sysconf(_SC_PAGESIZE);
    *c = (struct cache){.type = type, .n_tokens = n_tokens, .head_dim = head_dim};
    c->n_pages = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    c->half = half_bytes(type, head_dim);
    c->page_bytes = (2 * (c->half + 63) / 64 + 1) * 64 + GAP;
    c->bytes = (size_t)c->n_pages * c->page_bytes - c->page_bytes + 2 * c->half +
               ((64 - c->half % 64) % 64);
    c->map_bytes = (c->bytes + system - 1) / system * system;
    c->map = mmap(NULL, c->map_bytes + system, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(c->map != MAP_FAILED);
    assert_int_equal(mprotect(c->map + c->map_bytes, system, PROT_NONE), 0);
    c->base = c->map + c->map_bytes - c->bytes;
    memset(c->map, UNTOUCHED, c->map_bytes);
    for (int i = 0; i < c->n_pages; i++)
        c->table[i] = (i + 1) % c->n_pages;
    size_t n = (size_t)(n_tokens * head_dim);
    c->k = malloc(n * sizeof *c->k);
    c->v = malloc(n * sizeof *c->v);
    assert_true(c->k && c->v);
}

static void close_cache(struct cache *c)
{
    munmap(c->map, c->map_bytes + (size_t)sysconf(_SC_PAGESIZE));
    free(c->k);
    free(c->v);
}

static size_t v_offset(const struct cache *c)
{
    return (c->half + 63) / 64 * 64;
}

static struct kv_args store_args(const struct cache *c, int pos, int n_rows)
{
    return (struct kv_args){.pages = c->base,
                            .table = c->table,
                            .page_bytes = c->page_bytes,
                            .v_offset = v_offset(c),
                            .k = c->k + pos * c->head_dim,
                            .v = c->v + pos * c->head_dim,
                            .ld = (size_t)c->head_dim,
                            .pos = pos,
                            .n_rows = n_rows,
                            .head_dim = c->head_dim};
}

static void fill_cache(struct cache *c, enum kind kind)
{
    size_t n = (size_t)(c->n_tokens * c->head_dim);
    fill(c->k, n, kind);
    fill(c->v, n, kind);
    struct kv_args a = store_args(c, 0, c->n_tokens);
    kernel_c.kv_store[c->type](&a);
}

static char *half_at(const struct cache *c, int token, size_t offset)
{
    return c->base + (size_t)c->table[token / PAGE_TOKENS] * c->page_bytes + offset;
}

static uint16_t *halves(char *p)
{
    return (uint16_t *)(void *)p;
}

static void poison(const struct cache *c, char *half, int token, size_t place)
{
    if (c->type == ENGINE_KV_F32)
        ((float *)(void *)half)[place] = NAN;
    else if (c->type == ENGINE_KV_F16)
        halves(half)[place] = 0x7e00;
    int groups = (c->head_dim + QUANT_GROUP - 1) / QUANT_GROUP;
    for (int g = 0; c->type == ENGINE_KV_Q8 && g < groups; g++)
        halves(half + c->head_dim * PAGE_TOKENS)[g * PAGE_TOKENS + token] = 0x7e00;
}

/* What lies in front of a token and behind the last one of its page is NaN. */
static void poison_absent(const struct cache *c, int first)
{
    for (int key = 0; key < c->n_pages * PAGE_TOKENS; key++)
        for (int d = 0; (key < first || key >= c->n_tokens) && d < c->head_dim; d++) {
            int t = key % PAGE_TOKENS;
            poison(c, half_at(c, key, 0), t, (size_t)(d * PAGE_TOKENS + t));
            poison(c, half_at(c, key, v_offset(c)), t, (size_t)(t * c->head_dim + d));
        }
}

/* ---- storing ---------------------------------------------------------------- */

static void expect_bytes(const char *want, const char *got, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (want[i] != got[i])
            fail_msg("%s: byte %zu of %zu: C writes %02x, this set %02x", what, i, n,
                     (unsigned char)want[i], (unsigned char)got[i]);
}

/* Every set writes the same bytes, whichever way the rows are cut, and no others. */
static void one_store(enum engine_kv type, int n_tokens, int head_dim, enum kind kind)
{
    struct cache want, got;
    open_cache(&want, type, n_tokens, head_dim);
    fill_cache(&want, kind);
    for (int s = 0; sets()[s]; s++) {
        open_cache(&got, type, n_tokens, head_dim);
        size_t n = (size_t)(n_tokens * head_dim);
        memcpy(got.k, want.k, n * sizeof *got.k);
        memcpy(got.v, want.v, n * sizeof *got.v);
        for (int pos = 0, rows; pos < n_tokens; pos += rows) {
            rows = rng() % 3 ? 1 + (int)(rng() % 40) : PAGE_TOKENS - pos % PAGE_TOKENS;
            rows = rows < n_tokens - pos ? rows : n_tokens - pos;
            struct kv_args a = store_args(&got, pos, rows);
            sets()[s]->kv_store[type](&a);
        }
        expect_bytes(want.map, got.map, want.map_bytes, type_names[type]);
        close_cache(&got);
    }
    close_cache(&want);
}

static void test_store(void **state)
{
    static const int dims[] = {1, 8, 16, 17, 24, 32, 40, 64, 80, 128};
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
            for (enum kind kind = 0; kind < N_KINDS; kind++)
                one_store(type, 1 + (int)(rng() % 90), dims[i], kind);
}

/* One row of floats stored as tokens 0, 1, … of head_dim values; V is returned. */
static char *stored(struct cache *c, enum engine_kv type, const float *x, int n_tokens,
                    int head_dim)
{
    open_cache(c, type, n_tokens, head_dim);
    memcpy(c->k, x, (size_t)(n_tokens * head_dim) * sizeof *x);
    memcpy(c->v, x, (size_t)(n_tokens * head_dim) * sizeof *x);
    struct kv_args a = store_args(c, 0, n_tokens);
    kernel_c.kv_store[type](&a);
    return half_at(c, 0, v_offset(c));
}

/* Every finite half comes back, its neighbours round to it, and ties go to the even one.
 */
static void test_halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        struct cache c;
        uint16_t next = (uint16_t)(h + 1);
        float at[2], x[8];
        kernel_c.widen[DTYPE_F16](&(uint16_t){(uint16_t)h}, 1, &at[0]);
        kernel_c.widen[DTYPE_F16](&next, 1, &at[1]);
        float above = next == 0x7c00 ? 65536.0f : at[1], tie = (at[0] + above) / 2;
        if (h % 97 && h % 1024 > 2 && h % 1024 < 1022)
            continue;
        x[0] = at[0];
        x[1] = -at[0];
        x[2] = tie;
        x[3] = -tie;
        x[4] = nextafterf(tie, 0);
        x[5] = nextafterf(tie, INFINITY);
        x[6] = 1e30f;
        x[7] = -INFINITY;
        const uint16_t *got = halves(stored(&c, ENGINE_KV_F16, x, 1, 8));
        uint16_t even = (uint16_t)(h + (h & 1));
        assert_int_equal(got[0], h);
        assert_int_equal(got[1], h | 0x8000);
        assert_int_equal(got[2], even);
        assert_int_equal(got[3], even | 0x8000);
        assert_int_equal(got[4], h);
        assert_int_equal(got[5], next);
        assert_int_equal(got[6], 0x7c00);
        assert_int_equal(got[7], 0xfc00);
        close_cache(&c);
    }
}

/* Codes times scale are the values within half a step; the greatest has code ±127. */
static void test_q8_codes(void **state)
{
    enum { HD = 72 };
    float x[PAGE_TOKENS * HD];
    struct cache c;
    (void)state;
    fill(x, PAGE_TOKENS * HD, PLAIN);
    memset(x, 0, QUANT_GROUP * sizeof *x);
    x[QUANT_GROUP] = NAN;
    x[2 * QUANT_GROUP] = -INFINITY;
    x[HD] = 1e8f;
    const int8_t *code = (const int8_t *)stored(&c, ENGINE_KV_Q8, x, PAGE_TOKENS, HD);
    const uint16_t *scales = (const uint16_t *)(const void *)(code + HD * PAGE_TOKENS);
    for (int t = 0; t < PAGE_TOKENS; t++)
        for (int g = 0; g < 3; g++) {
            float scale, most = 0;
            kernel_c.widen[DTYPE_F16](&scales[g * PAGE_TOKENS + t], 1, &scale);
            bool lost = (t == 0 && g > 0) || (t == 1 && g == 0);
            assert_int_equal(isnan(scale), lost);
            for (int d = g * QUANT_GROUP; d < HD && d < (g + 1) * QUANT_GROUP; d++) {
                float q = code[t * HD + d], v = x[t * HD + d];
                assert_true(lost ? q == 0.0f : fabsf(q * scale - v) <= scale * 0.57f);
                most = fmaxf(most, fabsf(q));
            }
            assert_true(most == (lost || (t == 0 && g == 0) ? 0.0f : 127.0f));
        }
    close_cache(&c);
}

/* ---- attending -------------------------------------------------------------- */

static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

/* Queries and results that end at an unreadable page, results amid guards. */
static float *q_end, *out_end;

static int open_rows(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = ((MOST_QUERIES + 8) * MOST_HEAD * sizeof(float) / page + 2) * page;
    float **ends[] = {&q_end, &out_end};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char *p = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + bytes, page, PROT_NONE))
            return -1;
        *ends[i] = (float *)(void *)(p + bytes);
    }
    return 0;
}

struct asked {
    int n_keys, n_rows, group; /* n_keys: of the first row */
    int window;
};

/* The first key that the first row sees. */
static int first_key(struct asked w)
{
    return w.window && w.n_keys > w.window ? w.n_keys - w.window : 0;
}

/* n floats of results, of them the last n - GUARD to be written by rows. */
static struct attn_args attn_args(const struct cache *c, struct asked w, size_t ld)
{
    size_t n = (size_t)(w.n_rows - 1) * ld + (size_t)(w.group * c->head_dim);
    return (struct attn_args){.pages = c->base,
                              .table = c->table,
                              .page_bytes = c->page_bytes,
                              .v_offset = v_offset(c),
                              .q = q_end - n,
                              .out = out_end - n,
                              .ld = ld,
                              .scale = 0.37f,
                              .n_keys = w.n_keys,
                              .n_rows = w.n_rows,
                              .group = w.group,
                              .head_dim = c->head_dim,
                              .window = w.window};
}

static void expect_same(const float *want, const float *got, size_t n, const char *what,
                        const char *set)
{
    for (size_t i = 0; i < n; i++)
        if (!same(want[i], got[i]))
            fail_msg("%s: element %zu of %zu: C gives %a, %s %a", what, i, n,
                     (double)want[i], set, (double)got[i]);
}

/* Rows one by one by the C set: what every set must give for all together. */
static void define(const struct attn_args *a, enum engine_kv type, float *want, size_t n)
{
    memset(a->out, UNTOUCHED, n * sizeof *a->out);
    for (int r = 0; r < a->n_rows; r++) {
        struct attn_args one = *a;
        one.n_keys = a->n_keys + r;
        one.n_rows = 1;
        one.q = a->q + (size_t)r * a->ld;
        one.out = a->out + (size_t)r * a->ld;
        kernel_c.attn[type](&one);
    }
    memcpy(want, a->out, n * sizeof *want);
}

static void one_attn(enum engine_kv type, struct asked w, int head_dim, enum kind kind)
{
    static float want[(MOST_QUERIES + 8) * MOST_HEAD];
    struct cache c;
    open_cache(&c, type, w.n_keys + w.n_rows - 1, head_dim);
    fill_cache(&c, kind);
    poison_absent(&c, first_key(w));
    size_t ld = (size_t)(w.group * head_dim) + rng() % 3;
    size_t n = (size_t)(w.n_rows - 1) * ld + (size_t)(w.group * head_dim);
    assert_true(n <= sizeof want / sizeof *want);
    struct attn_args a = attn_args(&c, w, ld);
    fill((float *)(uintptr_t)a.q, n, kind);
    define(&a, type, want, n);
    for (size_t i = 0; kind == PLAIN && i < n; i++)
        assert_true(i % ld >= (size_t)(w.group * head_dim) || isfinite(want[i]));
    memset(a.out - GUARD, UNTOUCHED, (n + GUARD) * sizeof *a.out);
    kernel_c.attn[type](&a);
    expect_same(want, a.out, n, type_names[type], "C with all rows");
    for (int s = 0; sets()[s]; s++) {
        memset(a.out - GUARD, UNTOUCHED, (n + GUARD) * sizeof *a.out);
        sets()[s]->attn[type](&a);
        expect_same(want, a.out, n, type_names[type], sets()[s]->name);
        for (size_t i = 0; i < GUARD * sizeof(float); i++)
            assert_int_equal(((unsigned char *)(a.out - GUARD))[i], UNTOUCHED);
    }
    close_cache(&c);
}

static void test_attn_keys(void **state)
{
    static const int dims[] = {24, 40, 64, 80, 128};
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (int keys = 1; keys <= 300;
             keys += keys % 16 == 15 || keys % 16 == 0 ? 1 : 1 + (int)(rng() % 6))
            one_attn(type, (struct asked){keys, 1, 1 + (int)(rng() % 8), 0},
                     dims[rng() % 5], PLAIN);
}

static void test_attn_shapes(void **state)
{
    static const int dims[] = {1, 7, 16, 17, 24, 33, 40, 64, 80, 100, 128, 256};
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
            for (int group = 1; group <= 8; group++)
                one_attn(type, (struct asked){1 + (int)(rng() % 140), 1, group, 0},
                         dims[i], PLAIN);
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (int group = 9; group <= 40; group += 5)
            one_attn(type, (struct asked){77, 1, group, 0}, 24, PLAIN);
}

/* Rows whose limits lie in one block, in two, or in one page. */
static void test_attn_rows(void **state)
{
    static const int starts[] = {1, 2, 15, 49, 50, 60, 63, 64, 65, 120, 128, 250};
    static const int dims[] = {17, 64, 80};
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
            for (int rows = 2; rows <= 40; rows += 1 + (int)(rng() % 9)) {
                int most = MOST_QUERIES / rows < 8 ? MOST_QUERIES / rows : 8;
                one_attn(
                    type,
                    (struct asked){starts[i], rows, 1 + (int)(rng() % (unsigned)most), 0},
                    dims[rng() % 3], PLAIN);
            }
}

static const int windows[] = {1, 2, 15, 16, 17, 33, 63, 64, 65, 100};
enum { N_WINDOWS = sizeof windows / sizeof *windows };

/* Windows and numbers of keys about each other, pages and blocks. */
static void test_attn_windows(void **state)
{
    static const int dims[] = {17, 40, 64, 80};
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (int i = 0; i < N_WINDOWS; i++)
            for (int keys = 1; keys <= 260; keys += 1 + (int)(rng() % 24)) {
                int rows = 1 + (int)(rng() % 20);
                int most = MOST_QUERIES / rows < 8 ? MOST_QUERIES / rows : 8;
                int group = 1 + (int)(rng() % (unsigned)most);
                one_attn(type, (struct asked){keys, rows, group, windows[i]},
                         dims[rng() % 4], PLAIN);
            }
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
            for (int i = 0; i < N_WINDOWS; i++)
                one_attn(type, (struct asked){120, 13, 3, windows[i]}, 40, kind);
}

/* A window that holds all keys is none. */
static void test_a_wide_window_is_none(void **state)
{
    enum { ROWS = 9, GROUP = 2, HD = 40, N = ROWS * GROUP * HD };
    float want[N];
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++) {
        struct cache c;
        open_cache(&c, type, 150 + ROWS - 1, HD);
        fill_cache(&c, PLAIN);
        struct attn_args a =
            attn_args(&c, (struct asked){150, ROWS, GROUP, 0}, GROUP * HD);
        fill((float *)(uintptr_t)a.q, N, PLAIN);
        a.scale = 0.02f; /* every key counts */
        kernel_c.attn[type](&a);
        memcpy(want, a.out, sizeof want);
        a.window = 150 + ROWS - 1;
        kernel_c.attn[type](&a);
        expect_same(want, a.out, N, type_names[type], "C with a window");
        a.window--;
        kernel_c.attn[type](&a);
        size_t last = (ROWS - 1) * GROUP * HD;
        expect_same(want, a.out, last, type_names[type], "C with a window");
        assert_memory_not_equal(want + last, a.out + last, GROUP * HD * sizeof *want);
        close_cache(&c);
    }
}

static void test_attn_hostile(void **state)
{
    (void)state;
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
            for (int i = 0; i < 6; i++) {
                one_attn(type, (struct asked){1 + (int)(rng() % 200), 1, 3, 0}, 20, kind);
                one_attn(type, (struct asked){1 + (int)(rng() % 200), 13, 3, 0}, 64,
                         kind);
            }
}

/* A row that is not finite stains no row before it. */
static void test_attn_rows_are_apart(void **state)
{
    enum { ROWS = 16, GROUP = 3, HD = 64, BAD = 9, N = ROWS * GROUP * HD };
    static float want[N];
    (void)state;
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (int s = 0; sets()[s]; s++) {
            struct cache c;
            struct asked w = {50, ROWS, GROUP, 0};
            open_cache(&c, type, 50 + ROWS - 1, HD);
            fill_cache(&c, PLAIN);
            struct attn_args a = attn_args(&c, w, GROUP * HD);
            fill((float *)(uintptr_t)a.q, N, PLAIN);
            sets()[s]->attn[type](&a);
            memcpy(want, a.out, sizeof want);
            c.k[(49 + BAD) * HD + 5] = NAN;
            c.v[(49 + BAD) * HD + 7] = INFINITY;
            struct kv_args put = store_args(&c, 0, c.n_tokens);
            sets()[s]->kv_store[type](&put);
            sets()[s]->attn[type](&a);
            expect_same(want, a.out, BAD * GROUP * HD, "rows before", sets()[s]->name);
            for (int i = BAD * GROUP * HD; i < N; i++)
                assert_true(isnan(a.out[i]));
            close_cache(&c);
        }
}

/* ---- what it means ---------------------------------------------------------- */

static void expect_meaning(const struct cache *c, const struct attn_args *a,
                           double tolerance)
{
    for (int i = 0; i < a->n_rows * a->group; i++) {
        size_t at = (size_t)(i / a->group) * a->ld + (size_t)(i % a->group * c->head_dim);
        int n_keys = a->n_keys + i / a->group;
        double o[MOST_HEAD] = {0}, l = 0;
        for (int j = 0; j < n_keys; j++) {
            if (a->window && j < n_keys - a->window)
                continue;
            double s = 0;
            for (int d = 0; d < c->head_dim; d++)
                s += (double)a->q[at + (size_t)d] * (double)c->k[j * c->head_dim + d];
            double p = exp(s * (double)a->scale);
            l += p;
            for (int d = 0; d < c->head_dim; d++)
                o[d] += p * (double)c->v[j * c->head_dim + d];
        }
        for (int d = 0; d < c->head_dim; d++)
            assert_true(fabs(o[d] / l - (double)a->out[at + (size_t)d]) < tolerance);
    }
}

/* Softmax attention in f64 over the values before they were stored. */
static void test_meaning(void **state)
{
    static const double tolerances[ENGINE_KV_N] = {1e-5, 3e-3, 5e-2};
    (void)state;
    for (int i = 0; i < ENGINE_KV_N * (N_WINDOWS + 1); i++) {
        enum engine_kv type = (enum engine_kv)(i % ENGINE_KV_N);
        int window = i / ENGINE_KV_N;
        struct cache c;
        struct asked w = {140, 5, 2, window < N_WINDOWS ? windows[window] : 0};
        open_cache(&c, type, 144, 72);
        fill_cache(&c, PLAIN);
        struct attn_args a = attn_args(&c, w, 2 * 72);
        fill((float *)(uintptr_t)a.q, 5 * 2 * 72, PLAIN);
        a.scale = 0.1f;
        kernel_c.attn[type](&a);
        expect_meaning(&c, &a, tolerances[type]);
        close_cache(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_halves_round_to_nearest_even),
        cmocka_unit_test(test_q8_codes),
        cmocka_unit_test(test_attn_keys),
        cmocka_unit_test(test_attn_shapes),
        cmocka_unit_test(test_attn_rows),
        cmocka_unit_test(test_attn_windows),
        cmocka_unit_test(test_a_wide_window_is_none),
        cmocka_unit_test(test_attn_hostile),
        cmocka_unit_test(test_attn_rows_are_apart),
        cmocka_unit_test(test_meaning),
    };
    return cmocka_run_group_tests(tests, open_rows, NULL);
}

/*
 * What an attention layer may do besides attending, each alone and all together, against
 * the formulas in f64: biases, gates, norms of queries and keys, partial rotation, scales
 * of keys and scores, windows. The other side is written from the formulas, one query at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/safetensors.h"
#include "engine/mixer/attn.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 40, HEADS = 6, KV_HEADS = 2, HD = 20, ROWS = 181, TURNED = 12 };
enum { WIDE = HEADS * HD, NARROW = KV_HEADS * HD };
static const double theta = 500, eps = 1e-3;

struct bench {
    struct maker maker;
    struct weights weights;
    struct arena arena;
    struct rope whole, part; /* RoPE over HD and over TURNED dimensions */
    float x[ROWS * D], got[ROWS * D];
    double want[ROWS * D];
};

static void open_bench(struct bench *b)
{
    struct err err = {0};
    struct rope_params p = {.theta = theta};
    struct rope_use whole = {HD, ROWS, ROWS, false, false},
                    part = {TURNED, ROWS, ROWS, false, false};
    static const struct maker_fill about_zero = {0.5f, 0}, about_one = {0.4f, 1};
    memset(b, 0, sizeof *b);
    maker_open(&b->maker);
    maker_matrix(&b->maker, "q.weight", WIDE, D);
    maker_matrix(&b->maker, "qg.weight", 2 * WIDE, D);
    maker_matrix(&b->maker, "k.weight", NARROW, D);
    maker_matrix(&b->maker, "v.weight", NARROW, D);
    maker_matrix(&b->maker, "o.weight", D, WIDE);
    maker_vector(&b->maker, "q.bias", WIDE, about_zero);
    maker_vector(&b->maker, "qg.bias", 2 * WIDE, about_zero);
    maker_vector(&b->maker, "k.bias", NARROW, about_zero);
    maker_vector(&b->maker, "v.bias", NARROW, about_zero);
    maker_vector(&b->maker, "o.bias", D, about_zero);
    maker_vector(&b->maker, "q_head", HD, about_one);
    maker_vector(&b->maker, "k_head", HD, about_one);
    maker_vector(&b->maker, "q_whole", WIDE, about_one);
    maker_vector(&b->maker, "k_whole", NARROW, about_one);
    maker_save(&b->maker, "model.safetensors");
    arena_init(&b->arena);
    assert_int_equal(safetensors_open(&b->weights, b->maker.dir, &err), 0);
    assert_int_equal(rope_open(&b->whole, &b->arena, &p, &whole, &err), 0);
    assert_int_equal(rope_open(&b->part, &b->arena, &p, &part, &err), 0);
    for (int i = 0; i < ROWS * D; i++)
        b->x[i] = (float)(i * 7919 % 1009) / 300 - 1.6f;
}

static void close_bench(struct bench *b)
{
    weights_close(&b->weights);
    arena_free(&b->arena);
    maker_close(&b->maker);
}

/* ---- the formulas ------------------------------------------------------------ */

static const float *values(struct bench *b, const char *name, const char *suffix)
{
    struct bind bind = {.weights = &b->weights, .arena = &b->arena, .prefix = ""};
    const float *out = NULL;
    char full[32];
    strcpy(full, name);
    strcat(full, suffix);
    const struct tensor *t = weights_find(&b->weights, full);
    assert_non_null(t);
    const struct tensor_spec s = {.name = full, .n_dims = t->n_dims, .shape = t->shape};
    assert_int_equal(bind_tensor(&out, &bind, &s, NULL), 0);
    return out;
}

/* y = W x + bias. */
static void multiply(struct bench *b, const char *name, bool bias, const double *x,
                     int n_in, int n_out, double *y)
{
    const float *w = values(b, name, ".weight");
    const float *v = bias ? values(b, name, ".bias") : NULL;
    for (int o = 0; o < n_out; o++) {
        y[o] = v ? (double)v[o] : 0;
        for (int k = 0; k < n_in; k++)
            y[o] += (double)w[o * n_in + k] * x[k];
    }
}

static void normalise(double *x, const float *w, double plus, int n)
{
    double squares = 0;
    for (int i = 0; i < n; i++)
        squares += x[i] * x[i] / n;
    for (int i = 0; i < n; i++)
        x[i] = x[i] / sqrt(squares + eps) * ((double)w[i] + plus);
}

/* All of one projection's heads, at a position. */
static void prepare(struct bench *b, const struct attn_spec *s, const char *norm,
                    int n_heads, double *x, int pos)
{
    if (norm && s->norm_whole)
        normalise(x, values(b, norm, ""), s->norm_one_plus, n_heads * HD);
    for (int h = 0; h < n_heads; h++) {
        double *head = x + h * HD;
        if (norm && !s->norm_whole)
            normalise(head, values(b, norm, ""), s->norm_one_plus, HD);
        int d = s->rope ? s->rope->dim : 0;
        for (int i = 0; i < d / 2; i++) {
            double angle = pos * pow(theta, -2.0 * i / d);
            double low = head[i], high = head[i + d / 2];
            head[i] = low * cos(angle) - high * sin(angle);
            head[i + d / 2] = high * cos(angle) + low * sin(angle);
        }
    }
}

static double q[ROWS][2 * WIDE], k[ROWS][NARROW], v[ROWS][NARROW];

static void project(struct bench *b, const struct attn_spec *s, int t)
{
    double x[D], projected[2 * WIDE];
    for (int i = 0; i < D; i++)
        x[i] = b->x[t * D + i];
    multiply(b, s->q, s->bias, x, D, s->gated ? 2 * WIDE : WIDE, projected);
    multiply(b, s->k, s->bias, x, D, NARROW, k[t]);
    multiply(b, s->v, s->bias, x, D, NARROW, v[t]);
    for (int i = 0; i < WIDE; i++) /* queries in front, gates behind */
        q[t][i] = projected[s->gated ? i / HD * 2 * HD + i % HD : i];
    for (int i = 0; s->gated && i < WIDE; i++)
        q[t][WIDE + i] = projected[i / HD * 2 * HD + HD + i % HD];
    for (int i = 0; s->k_scale && i < NARROW; i++)
        k[t][i] *= s->k_scale;
    prepare(b, s, s->q_norm, HEADS, q[t], t);
    prepare(b, s, s->k_norm, KV_HEADS, k[t], t);
}

/* softmax(q·k scale) v of one head. */
static void attend(const struct attn_spec *s, int t, int h, double *out)
{
    int kv = h * KV_HEADS / HEADS * HD;
    double scale = s->score_scale ? s->score_scale : 1 / sqrt(HD), sum = 0;
    memset(out, 0, HD * sizeof *out);
    for (int j = s->window && t >= s->window ? t - s->window + 1 : 0; j <= t; j++) {
        double score = 0;
        for (int d = 0; d < HD; d++)
            score += q[t][h * HD + d] * k[j][kv + d];
        double p = exp(score * scale);
        sum += p;
        for (int d = 0; d < HD; d++)
            out[d] += p * v[j][kv + d];
    }
    for (int d = 0; d < HD; d++)
        out[d] /= sum;
}

static void define(struct bench *b, const struct attn_spec *s)
{
    for (int t = 0; t < ROWS; t++) {
        double heads[WIDE];
        project(b, s, t);
        for (int h = 0; h < HEADS; h++)
            attend(s, t, h, heads + h * HD);
        for (int i = 0; s->gated && i < WIDE; i++)
            heads[i] /= 1 + exp(-q[t][WIDE + i]);
        multiply(b, s->o, s->o_bias, heads, WIDE, D, b->want + t * D);
    }
}

/* ---- the mixer --------------------------------------------------------------- */

static void run(struct bench *b, const struct attn_spec *spec)
{
    struct err err = {0};
    struct arena scratch;
    struct pool *pool;
    struct mixer mx = {.kind = &mixer_attn};
    struct bind bind = {
        .weights = &b->weights, .arena = &b->arena, .prefix = "", .hidden_size = D};
    int32_t positions[ROWS], row_span[ROWS] = {0}, table[ROWS / PAGE_TOKENS + 1];
    if (mixer_attn.bind(&mx, spec, &bind, &err))
        fail_msg("%s", err.text);
    assert_true(arena_fixed(&scratch, mixer_attn.scratch(&mx, ROWS)));
    assert_int_equal(pool_open(&pool, 2, &err), 0);
    for (int i = 0; i < ROWS; i++)
        positions[i] = i;
    for (int i = 0; i <= ROWS / PAGE_TOKENS; i++)
        table[i] = i;
    struct gemm gemm = {&kernel_c, pool, false, NULL};
    char *slot = calloc(1, mx.need.fixed_bytes + 1);
    struct span span = {0, ROWS, 0, slot, table};
    struct ctx c = {.gemm = &gemm,
                    .scratch = &scratch,
                    .spans = &span,
                    .n_spans = 1,
                    .n_rows = ROWS,
                    .positions = positions,
                    .row_span = row_span,
                    .page_bytes = mx.need.page_bytes};
    c.pages = calloc(ROWS / PAGE_TOKENS + 1, mx.need.page_bytes + 1);
    assert_true(c.pages && slot);
    mixer_attn.run(&mx, &c, b->x, b->got);
    free(slot);
    free(c.pages);
    pool_close(pool);
    arena_free(&scratch);
}

static void expect(struct bench *b, const struct attn_spec *s, const char *what)
{
    double max = 0;
    define(b, s);
    run(b, s);
    for (int i = 0; i < ROWS * D; i++)
        max = fmax(max, fabs(b->want[i]));
    for (int i = 0; i < ROWS * D; i++)
        if (!(fabs(b->want[i] - (double)b->got[i]) <= 2e-5 * max))
            fail_msg("%s: value %d of row %d: expected %g, found %g", what, i % D, i / D,
                     b->want[i], (double)b->got[i]);
}

static struct attn_spec plain(struct bench *b)
{
    return (struct attn_spec){.q = "q",
                              .k = "k",
                              .v = "v",
                              .o = "o",
                              .n_heads = HEADS,
                              .n_kv_heads = KV_HEADS,
                              .head_dim = HD,
                              .norm_eps = eps,
                              .rope = &b->whole};
}

static void each_option_is_its_formula(void **state)
{
    static struct bench b;
    (void)state;
    open_bench(&b);
    struct attn_spec s = plain(&b);
    expect(&b, &s, "nothing else");
    s.rope = NULL;
    expect(&b, &s, "no position code");
    s.rope = &b.part;
    expect(&b, &s, "partial rotation");
    s.bias = true;
    expect(&b, &s, "biases of q, k and v");
    s = plain(&b);
    s.o_bias = true;
    expect(&b, &s, "bias of o");
    s = plain(&b);
    s.score_scale = 0.31;
    expect(&b, &s, "scale of scores");
    s = plain(&b);
    s.k_scale = 0.4;
    expect(&b, &s, "scale of keys");
    s = plain(&b);
    s.q = "qg";
    s.gated = true;
    expect(&b, &s, "gate");
    close_bench(&b);
}

static void norms_of_queries_and_keys(void **state)
{
    static struct bench b;
    (void)state;
    open_bench(&b);
    struct attn_spec s = plain(&b);
    s.q_norm = "q_head";
    s.k_norm = "k_head";
    expect(&b, &s, "norms of heads");
    s.norm_one_plus = true;
    expect(&b, &s, "norms of heads by 1 + w");
    s.norm_one_plus = false;
    s.norm_whole = true;
    s.q_norm = "q_whole";
    s.k_norm = "k_whole";
    expect(&b, &s, "norms of projections");
    close_bench(&b);
}

static void all_together(void **state)
{
    static struct bench b;
    (void)state;
    open_bench(&b);
    struct attn_spec s = plain(&b);
    s.q = "qg";
    s.gated = s.bias = s.o_bias = s.norm_one_plus = true;
    s.q_norm = "q_head";
    s.k_norm = "k_head";
    s.k_scale = 0.4;
    s.score_scale = 0.31;
    s.rope = &b.part;
    expect(&b, &s, "all");
    close_bench(&b);
}

/* In a ring, whose rows are overwritten from a window and 64 rows on. */
static void a_window_hides_what_is_older(void **state)
{
    static const int windows[] = {1, 2, 15, 16, 17, 33, 63, 64, 65, 83, 84};
    static struct bench b;
    (void)state;
    open_bench(&b);
    struct attn_spec s = plain(&b);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        s.window = windows[i];
        expect(&b, &s, "window");
    }
    close_bench(&b);
}

/* Norms have the length that the spec implies. */
static void a_norm_of_another_length_is_refused(void **state)
{
    static struct bench b;
    struct mixer mx = {.kind = &mixer_attn};
    struct err err = {0};
    (void)state;
    open_bench(&b);
    struct bind bind = {
        .weights = &b.weights, .arena = &b.arena, .prefix = "", .hidden_size = D};
    struct attn_spec s = plain(&b);
    s.q_norm = "q_whole";
    assert_int_equal(mixer_attn.bind(&mx, &s, &bind, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "q_whole"));
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_option_is_its_formula),
        cmocka_unit_test(norms_of_queries_and_keys),
        cmocka_unit_test(all_together),
        cmocka_unit_test(a_window_hides_what_is_older),
        cmocka_unit_test(a_norm_of_another_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

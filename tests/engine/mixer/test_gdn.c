/*
 * Gated DeltaNet as a mixer: what kernel.h and gdn.h say, computed here in f64 from the
 * same weights, in both layouts of its tensors and with odd sizes; the same bytes for any
 * cut, company, threads and kernel set; what it needs and costs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/gdn.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEQS = 2, TOKENS = 70 };

/* ---- two layouts ------------------------------------------------------------ */

/* As Qwen 3.5 has it. */
static const struct gdn_spec joined = {.qkv = {"in_proj_qkv"},
                                       .z = "in_proj_z",
                                       .b = "in_proj_b",
                                       .a = "in_proj_a",
                                       .out = "out_proj",
                                       .conv = {"conv1d"},
                                       .a_log = "A_log",
                                       .dt_bias = "dt_bias",
                                       .norm = "norm.weight",
                                       .n_key_heads = 2,
                                       .n_value_heads = 6,
                                       .key_dim = 5,
                                       .value_dim = 19,
                                       .n_taps = 4,
                                       .norm_eps = 1e-2,
                                       .beta_scale = 1};

/* As OLMo Hybrid has it; heads are wider than a unit of work. */
static const struct gdn_spec separate = {.qkv = {"q_proj", "k_proj", "v_proj"},
                                         .z = "g_proj",
                                         .b = "b_proj",
                                         .a = "a_proj",
                                         .out = "o_proj",
                                         .conv = {"q_conv1d", "k_conv1d", "v_conv1d"},
                                         .a_log = "A_log",
                                         .dt_bias = "dt_bias",
                                         .norm = "o_norm.weight",
                                         .n_key_heads = 3,
                                         .n_value_heads = 6,
                                         .key_dim = 8,
                                         .value_dim = 70,
                                         .n_taps = 3,
                                         .norm_eps = 1e-5,
                                         .beta_scale = 2};

static int key_width(const struct gdn_spec *s)
{
    return s->n_key_heads * s->key_dim;
}

static int value_width(const struct gdn_spec *s)
{
    return s->n_value_heads * s->value_dim;
}

static int row_width(const struct gdn_spec *s)
{
    return 2 * key_width(s) + value_width(s);
}

/* name.weight, until the next call. */
static const char *weight(const char *name)
{
    static char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    return full;
}

static void add_matrix(struct mixer_steps *b, const char *name, int n_out, int n_in)
{
    maker_matrix(&b->maker, weight(name), n_out, n_in);
}

/* The convolution in pieces of these numbers of channels, up to a 0. */
static void open_gdn(struct mixer_steps *b, const struct gdn_spec *s, const int *pieces)
{
    static const int hidden = 21;
    int widths[] = {key_width(s), key_width(s), value_width(s)};
    mixer_steps_open(b, hidden, SEQS, TOKENS);
    if (!s->qkv[1])
        add_matrix(b, s->qkv[0], row_width(s), hidden);
    for (int i = 0; s->qkv[1] && i < 3; i++)
        add_matrix(b, s->qkv[i], widths[i], hidden);
    add_matrix(b, s->z, value_width(s), hidden);
    add_matrix(b, s->b, s->n_value_heads, hidden);
    add_matrix(b, s->a, s->n_value_heads, hidden);
    add_matrix(b, s->out, hidden, value_width(s));
    for (int i = 0; pieces[i]; i++)
        maker_tensor(&b->maker, weight(s->conv[i]), 3,
                     (int64_t[]){pieces[i], 1, s->n_taps}, NULL,
                     (struct maker_fill){1, 0});
    maker_vector(&b->maker, s->a_log, s->n_value_heads, (struct maker_fill){2, -1});
    maker_vector(&b->maker, s->dt_bias, s->n_value_heads, (struct maker_fill){1, -1});
    maker_vector(&b->maker, s->norm, s->value_dim, (struct maker_fill){0.5f, 1});
    mixer_steps_load(b);
}

static void open_joined(struct mixer_steps *b)
{
    open_gdn(b, &joined, (const int[]){row_width(&joined), 0});
}

static void open_separate(struct mixer_steps *b)
{
    int third = row_width(&separate) / 3;
    open_gdn(b, &separate, (const int[]){third, third, third, 0});
    assert_int_not_equal(third, key_width(&separate));
}

/* ---- the same in f64 -------------------------------------------------------- */

/* Zeroed; the caller frees it. */
static double *doubles(size_t n)
{
    double *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* x · wᵀ for all rows. */
static double *product(const struct mixer_steps *b, const char *name, const double *x,
                       int n_in, int n_out)
{
    double *y = doubles((size_t)SEQS * TOKENS * (size_t)n_out);
    struct mixer_steps_linear l = {mixer_steps_values(b, weight(name)), NULL, n_in,
                                   n_out};
    mixer_steps_multiply(x, SEQS * TOKENS, &l, y);
    return y;
}

/* q ‖ k ‖ v before the convolution. */
static double *project(const struct mixer_steps *b, const struct gdn_spec *s,
                       const double *x)
{
    int widths[] = {key_width(s), key_width(s), value_width(s)};
    int all = row_width(s), at = 0;
    if (!s->qkv[1])
        return product(b, s->qkv[0], x, b->bind.hidden_size, all);
    double *y = doubles((size_t)SEQS * TOKENS * (size_t)all);
    for (int i = 0; i < 3; at += widths[i++]) {
        double *part = product(b, s->qkv[i], x, b->bind.hidden_size, widths[i]);
        for (int r = 0; r < SEQS * TOKENS; r++)
            memcpy(y + r * all + at, part + r * widths[i], (size_t)widths[i] * sizeof *y);
        free(part);
    }
    return y;
}

/* Tap j of channel c, whichever piece it is in. */
static double tap(const struct mixer_steps *b, const struct gdn_spec *s, int c, int j)
{
    int i = 0, rows;
    while (c >= (rows = (int)weights_find(&b->weights, weight(s->conv[i]))->shape[0])) {
        c -= rows;
        i++;
    }
    return (double)mixer_steps_values(b, weight(s->conv[i]))[c * s->n_taps + j];
}

static double *convolve(const struct mixer_steps *b, const struct gdn_spec *s,
                        const double *x)
{
    int n = row_width(s);
    double *y = doubles((size_t)SEQS * TOKENS * (size_t)n);
    for (int c = 0; c < n; c++)
        for (int j = 0; j < s->n_taps; j++) {
            double w = tap(b, s, c, j);
            for (int r = 0; r < SEQS * TOKENS; r++) {
                int from = r % TOKENS - s->n_taps + 1 + j;
                if (from >= 0)
                    y[r * n + c] += w * x[(r - s->n_taps + 1 + j) * n + c];
            }
        }
    for (int i = 0; i < SEQS * TOKENS * n; i++)
        y[i] *= sigmoid(y[i]);
    return y;
}

static void unit_length(double *x, int n)
{
    double sum = 1e-6;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < n; i++)
        x[i] /= sqrt(sum);
}

/* A row of one value head: o from S, which it advances. */
struct token {
    const double *q, *k, *v;
    double alpha, beta;
};

static void delta_rule(const struct gdn_spec *s, double *state, const struct token *t,
                       double *o)
{
    int dk = s->key_dim, dv = s->value_dim;
    for (int p = 0; p < dv; p++) {
        double kept = 0;
        o[p] = 0;
        for (int i = 0; i < dk; i++) {
            state[i * dv + p] *= t->alpha;
            kept += state[i * dv + p] * t->k[i];
        }
        double u = t->beta * (t->v[p] - kept);
        for (int i = 0; i < dk; i++) {
            state[i * dv + p] += t->k[i] * u;
            o[p] += state[i * dv + p] * t->q[i] / sqrt(dk);
        }
    }
}

static void scan_head(const struct mixer_steps *b, const struct gdn_spec *s, int h,
                      double *const in[4], double *o)
{
    int dk = s->key_dim, dv = s->value_dim, n = row_width(s), hv = s->n_value_heads;
    int key = h * s->n_key_heads / hv;
    double *state = doubles((size_t)dk * (size_t)dv);
    double rate = exp((double)mixer_steps_values(b, s->a_log)[h]);
    double bias = (double)mixer_steps_values(b, s->dt_bias)[h];
    for (int r = 0; r < SEQS * TOKENS; r++) {
        double q[64], k[64], step = log1p(exp(in[2][r * hv + h] + bias));
        if (r % TOKENS == 0)
            memset(state, 0, (size_t)(dk * dv) * sizeof *state);
        memcpy(q, in[0] + r * n + key * dk, (size_t)dk * sizeof *q);
        memcpy(k, in[0] + r * n + key_width(s) + key * dk, (size_t)dk * sizeof *k);
        unit_length(q, dk);
        unit_length(k, dk);
        const struct token t = {q, k, in[0] + r * n + 2 * key_width(s) + h * dv,
                                exp(-rate * step),
                                (double)s->beta_scale * sigmoid(in[1][r * hv + h])};
        delta_rule(s, state, &t, o + r * value_width(s) + h * dv);
    }
    free(state);
}

/* o of one head and row, normed and gated in place. */
static void gate(const struct mixer_steps *b, const struct gdn_spec *s, const double *z,
                 double *o)
{
    const float *w = mixer_steps_values(b, s->norm);
    double square = 0;
    for (int p = 0; p < s->value_dim; p++)
        square += o[p] * o[p] / s->value_dim;
    for (int p = 0; p < s->value_dim; p++)
        o[p] *= (double)w[p] / sqrt(square + s->norm_eps) * z[p] * sigmoid(z[p]);
}

static double *expected(const struct mixer_steps *b, const struct gdn_spec *s)
{
    int d = b->bind.hidden_size, nv = value_width(s);
    double *x = doubles((size_t)SEQS * TOKENS * (size_t)d);
    double *o = doubles((size_t)SEQS * TOKENS * (size_t)nv);
    for (int i = 0; i < SEQS * TOKENS * d; i++)
        x[i] = (double)b->x[i];
    double *raw = project(b, s, x);
    double *in[] = {convolve(b, s, raw), product(b, s->b, x, d, s->n_value_heads),
                    product(b, s->a, x, d, s->n_value_heads), product(b, s->z, x, d, nv)};
    for (int h = 0; h < s->n_value_heads; h++)
        scan_head(b, s, h, in, o);
    for (int i = 0; i < SEQS * TOKENS * s->n_value_heads; i++)
        gate(b, s, in[3] + i * s->value_dim, o + i * s->value_dim);
    double *y = product(b, s->out, o, nv, d);
    for (int i = 0; i < 4; i++)
        free(in[i]);
    free(raw);
    free(x);
    free(o);
    return y;
}

/* ---- the tests -------------------------------------------------------------- */

static void it_computes_what_its_header_says(void **state)
{
    (void)state;
    const struct gdn_spec *const specs[] = {&joined, &separate};
    for (int i = 0; i < 2; i++) {
        struct mixer_steps b;
        (i ? open_separate : open_joined)(&b);
        double *want = expected(&b, specs[i]);
        mixer_steps_bind(&b, &mixer_gdn, specs[i], &kernel_c, 1);
        mixer_steps_run(&b, 0);
        mixer_steps_expect(&b, want, 2e-6);
        free(want);
        mixer_steps_close(&b);
    }
}

static void any_cut_and_any_set_give_the_same_bytes(void **state)
{
    (void)state;
    struct mixer_steps b;
    open_joined(&b);
    mixer_steps_expect_same(&b, &mixer_gdn, &joined);
    mixer_steps_close(&b);
    open_separate(&b);
    mixer_steps_expect_same(&b, &mixer_gdn, &separate);
    mixer_steps_close(&b);
}

/* Heads padded to 16 columns, and three rows of the convolution. */
static void a_state_takes_the_bytes_it_says(void **state)
{
    (void)state;
    struct mixer_steps b;
    open_joined(&b);
    mixer_steps_bind(&b, &mixer_gdn, &joined, &kernel_c, 1);
    size_t conv = 3 * (size_t)row_width(&joined);
    assert_int_equal(b.mx.need.fixed_bytes, (6 * 5 * 32 + conv) * sizeof(float));
    mixer_steps_close(&b);
}

static void a_step_costs_its_weights_states_and_operations(void **state)
{
    (void)state;
    struct mixer_steps b;
    struct engine_cost sum = {0};
    const struct engine_batch step = {.n_seqs = 3, .n_rows = 10};
    open_joined(&b);
    mixer_steps_bind(&b, &mixer_gdn, &joined, &kernel_c, 1);
    mixer_gdn.cost(&b.mx, &step, &sum);
    double n = row_width(&joined), nv = value_width(&joined), d = 21;
    double weights = n * d + nv * d + 2 * 6 * d + nv * d;
    assert_true(sum.weight_bytes == weights * sizeof(float));
    assert_true(sum.state_bytes == 2.0 * 3 * (nv * 5 + 3 * n) * sizeof(float));
    assert_true(sum.f32_ops == 30 * (2 * weights + 7 * nv * 5 + 2 * 4 * n));
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_computes_what_its_header_says),
        cmocka_unit_test(any_cut_and_any_set_give_the_same_bytes),
        cmocka_unit_test(a_state_takes_the_bytes_it_says),
        cmocka_unit_test(a_step_costs_its_weights_states_and_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

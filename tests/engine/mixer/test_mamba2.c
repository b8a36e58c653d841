/*
 * Mamba-2 against its formulas in f64, with the recurrence as the sum over all earlier
 * tokens: groups, biases, multipliers, every form of the gated norm, the clamp of dt; and
 * the same bytes for any cut, number of threads and kernel set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/mamba2.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 21, HEADS = 6, HD = 5, STATE = 7, GROUPS = 3, TAPS = 4 };
enum { SEQS = 2, TOKENS = 26, ROWS = SEQS * TOKENS };
enum { X = HEADS * HD, BC = GROUPS * STATE, XBC = X + 2 * BC, IN = X + XBC + HEADS };

static const double scales[] = {0.7, -1.3, 0.4, 1.9, 0.6};

static const struct mamba2_spec plain = {
    .n_heads = HEADS,
    .head_dim = HD,
    .n_state = STATE,
    .n_groups = GROUPS,
    .n_taps = TAPS,
    .norm = MAMBA2_NORM_WHOLE,
    .eps = 1e-3,
    .dt_max = INFINITY,
};

static void open_with(struct mixer_steps *b, struct maker_fill dt_bias)
{
    static const struct maker_fill around_zero = {0.5f, 0}, near_one = {0.4f, 1};
    mixer_steps_open(b, D, SEQS, TOKENS);
    maker_matrix(&b->maker, "in_proj.weight", IN, D);
    maker_vector(&b->maker, "in_proj.bias", IN, around_zero);
    maker_tensor(&b->maker, "conv1d.weight", 3, (int64_t[]){XBC, 1, TAPS}, NULL,
                 around_zero);
    maker_vector(&b->maker, "conv1d.bias", XBC, around_zero);
    maker_vector(&b->maker, "dt_bias", HEADS, dt_bias);
    maker_vector(&b->maker, "A_log", HEADS, (struct maker_fill){1, 0});
    maker_vector(&b->maker, "D", HEADS, near_one);
    maker_vector(&b->maker, "norm.weight", X, near_one);
    maker_matrix(&b->maker, "out_proj.weight", D, X);
    maker_vector(&b->maker, "out_proj.bias", D, around_zero);
    mixer_steps_load(b);
}

static void open_steps(struct mixer_steps *b)
{
    open_with(b, (struct maker_fill){1, -1});
}

/* ---- the formulas ----------------------------------------------------------- */

struct formula {
    const struct mixer_steps *b;
    const struct mamba2_spec *s;
    double in[ROWS][IN], xbc[ROWS][XBC], dt[ROWS][HEADS], y[ROWS][X];
};

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static void project(const struct formula *f, const char *name, bool bias,
                    const double *in, struct mixer_steps_linear l, double *out)
{
    char weight[32], vector[32];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(vector, sizeof vector, "%s.bias", name);
    l.w = mixer_steps_values(f->b, weight);
    l.bias = bias ? mixer_steps_values(f->b, vector) : NULL;
    mixer_steps_multiply(in, ROWS, &l, out);
}

static void define_input(struct formula *f)
{
    static double x[ROWS * D];
    static const int end[] = {X, 2 * X, 2 * X + BC, 2 * X + 2 * BC, IN};
    for (int i = 0; i < ROWS * D; i++)
        x[i] = (double)f->b->x[i];
    project(f, "in_proj", f->s->in_bias, x,
            (struct mixer_steps_linear){.n_in = D, .n_out = IN}, f->in[0]);
    for (int r = 0; r < ROWS && f->s->scales; r++)
        for (int i = 0, part = 0; i < IN; i++) {
            part += i == end[part];
            f->in[r][i] *= f->s->scales[part];
        }
}

static void define_convolution(struct formula *f)
{
    const float *w = mixer_steps_values(f->b, "conv1d.weight");
    const float *bias = mixer_steps_values(f->b, "conv1d.bias");
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < XBC; c++) {
            double sum = f->s->conv_bias ? (double)bias[c] : 0;
            for (int back = 0; back < TAPS && back <= r % TOKENS; back++)
                sum += (double)w[c * TAPS + TAPS - 1 - back] * f->in[r - back][X + c];
            f->xbc[r][c] = silu(sum);
        }
}

static void define_steps(struct formula *f)
{
    const float *bias = mixer_steps_values(f->b, "dt_bias");
    for (int r = 0; r < ROWS; r++)
        for (int h = 0; h < HEADS; h++) {
            double dt = log1p(exp(f->in[r][X + XBC + h] + (double)bias[h]));
            f->dt[r][h] = fmin(fmax(dt, f->s->dt_min), f->s->dt_max);
        }
}

/* y_t = Σ_{s<=t} (C_t·B_s) exp(A Σ_{s<i<=t} dt_i) dt_s x_s + D x_t */
static void define_recurrence(struct formula *f)
{
    const float *a_log = mixer_steps_values(f->b, "A_log");
    const float *d = mixer_steps_values(f->b, "D");
    memset(f->y, 0, sizeof f->y);
    for (int t = 0; t < ROWS; t++)
        for (int h = 0; h < HEADS; h++) {
            const double *c = f->xbc[t] + X + BC + h * GROUPS / HEADS * STATE;
            double sum_dt = 0;
            for (int s = t; s >= t / TOKENS * TOKENS; sum_dt += f->dt[s--][h]) {
                const double *b = f->xbc[s] + X + h * GROUPS / HEADS * STATE;
                double score = 0;
                for (int n = 0; n < STATE; n++)
                    score += c[n] * b[n];
                score *= exp(-exp((double)a_log[h]) * sum_dt) * f->dt[s][h];
                for (int p = 0; p < HD; p++)
                    f->y[t][h * HD + p] += score * f->xbc[s][h * HD + p];
            }
            for (int p = 0; p < HD; p++)
                f->y[t][h * HD + p] += (double)d[h] * f->xbc[t][h * HD + p];
        }
}

static void norm_row(const struct formula *f, double *y)
{
    const float *w = mixer_steps_values(f->b, "norm.weight");
    int n = f->s->norm == MAMBA2_NORM_GROUPS ? X / GROUPS : X;
    for (int at = 0; at < X && f->s->norm != MAMBA2_NORM_NONE; at += n) {
        double square = 0;
        for (int i = at; i < at + n; i++)
            square += y[i] * y[i] / n;
        for (int i = at; i < at + n; i++)
            y[i] *= (double)w[i] / sqrt(square + f->s->eps);
    }
}

static void define_gate(struct formula *f)
{
    for (int r = 0; r < ROWS; r++) {
        if (f->s->norm_before_gate)
            norm_row(f, f->y[r]);
        for (int i = 0; i < X; i++)
            f->y[r][i] *= silu(f->in[r][i]);
        if (!f->s->norm_before_gate)
            norm_row(f, f->y[r]);
    }
}

static void check(struct mixer_steps *b, const struct mamba2_spec *s)
{
    static struct formula f;
    static double want[ROWS * D];
    f.b = b;
    f.s = s;
    define_input(&f);
    define_convolution(&f);
    define_steps(&f);
    define_recurrence(&f);
    define_gate(&f);
    project(&f, "out_proj", s->out_bias, f.y[0],
            (struct mixer_steps_linear){.n_in = X, .n_out = D}, want);
    mixer_steps_bind(b, &mixer_mamba2, s, &kernel_c, 2);
    mixer_steps_run(b, 2);
    mixer_steps_expect(b, want, 5e-6);
}

/* ---- tests ------------------------------------------------------------------ */

static void it_is_its_formula(void **state)
{
    struct mixer_steps b;
    struct mamba2_spec all = plain;
    (void)state;
    open_steps(&b);
    check(&b, &plain);
    all.conv_bias = all.in_bias = all.out_bias = true;
    all.scales = scales;
    all.dt_min = 0.3;
    all.dt_max = 0.9;
    all.norm = MAMBA2_NORM_GROUPS;
    check(&b, &all);
    mixer_steps_expect_same(&b, &mixer_mamba2, &all);
    mixer_steps_expect_same(&b, &mixer_mamba2, &plain);
    mixer_steps_close(&b);
}

static void each_option_is_its_formula(void **state)
{
    struct mixer_steps b;
    (void)state;
    open_steps(&b);
    for (int i = 0; i < 6; i++) {
        struct mamba2_spec s = plain;
        s.conv_bias = i == 0;
        s.in_bias = i == 1;
        s.out_bias = i == 2;
        s.scales = i == 3 ? scales : NULL;
        s.dt_min = i == 4 ? 0.4 : 0;
        s.dt_max = i == 5 ? 0.4 : INFINITY;
        check(&b, &s);
    }
    for (int i = 0; i < 6; i++) {
        struct mamba2_spec s = plain;
        s.norm = (enum mamba2_norm)(i / 2);
        s.norm_before_gate = i % 2;
        check(&b, &s);
    }
    mixer_steps_close(&b);
}

static void a_norm_that_is_absent_has_no_tensor(void **state)
{
    struct mixer_steps b;
    struct mamba2_spec s = plain;
    (void)state;
    open_steps(&b);
    s.norm = MAMBA2_NORM_NONE;
    mixer_steps_bind(&b, &mixer_mamba2, &s, &kernel_c, 1);
    assert_false(weights_find(&b.weights, "norm.weight")->used);
    mixer_steps_close(&b);
}

static void sizes_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        int heads, groups, head_dim;
        const char *text;
    } cases[] = {
        {6, 4, HD, "expected a number of heads that its 4 groups divide, found 6"},
        {2, 3, HD, "expected a number of heads that its 3 groups divide, found 2"},
        {1 << 16, 1, 1 << 16, "expected at most 16777216 outputs of in_proj"}};
    struct mixer_steps b;
    (void)state;
    open_steps(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mamba2_spec s = plain;
        struct mixer mx = {.kind = &mixer_mamba2};
        struct err err = {0};
        s.n_heads = cases[i].heads;
        s.n_groups = cases[i].groups;
        s.head_dim = cases[i].head_dim;
        assert_int_equal(mixer_mamba2.bind(&mx, &s, &b.bind, &err), -ERR_FORMAT);
        if (!strstr(err.text, cases[i].text))
            fail_msg("expected \"%s\", found \"%s\"", cases[i].text, err.text);
    }
    mixer_steps_close(&b);
}

/* Matrices of 4 bytes a weight; the state is the convolution's and the heads'. */
static void its_state_and_cost_are_counted(void **state)
{
    const struct engine_batch step = {.n_seqs = 2, .n_rows = 5};
    struct mixer_steps b;
    struct engine_cost sum = {0};
    int weights = D * (IN + X), fixed = 4 * ((TAPS - 1) * XBC + X * STATE);
    (void)state;
    open_steps(&b);
    mixer_steps_bind(&b, &mixer_mamba2, &plain, &kernel_c, 1);
    mixer_mamba2.cost(&b.mx, &step, &sum);
    assert_int_equal(b.mx.need.fixed_bytes, fixed);
    assert_true(sum.weight_bytes == 4 * weights);
    assert_true(sum.state_bytes == 2 * 2 * fixed);
    assert_true(sum.f32_ops ==
                10 * (2 * weights + 2 * TAPS * XBC + 5 * X * STATE + 2 * X));
    mixer_steps_close(&b);
}

/* The clamp does not replace a step that is no number. */
static void a_nan_in_dt_is_not_hidden(void **state)
{
    struct mixer_steps b;
    struct mamba2_spec spec = plain;
    (void)state;
    open_with(&b, (struct maker_fill){0, NAN});
    spec.dt_min = 0.1;
    spec.dt_max = 0.5;
    mixer_steps_bind(&b, &mixer_mamba2, &spec, &kernel_c, 1);
    mixer_steps_run(&b, 0);
    for (int i = 0; i < ROWS * D; i++)
        assert_true(isnan(b.y[i]));
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nan_in_dt_is_not_hidden),
        cmocka_unit_test(it_is_its_formula),
        cmocka_unit_test(each_option_is_its_formula),
        cmocka_unit_test(a_norm_that_is_absent_has_no_tensor),
        cmocka_unit_test(sizes_that_do_not_fit_are_refused),
        cmocka_unit_test(its_state_and_cost_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Hedgehog's linear attention against the matrix that it implies: rows of weights over all
 * positions so far, computed here in f64, which sum to one; and the same bytes for any cut,
 * number of threads and kernel set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/hedgehog.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { D = 24, HEADS = 6, KV_HEADS = 2, HD = 6, F = 5, ROWS = 40 };
enum { WIDE = HEADS * HD, NARROW = KV_HEADS * HD };

static void open_steps(struct mixer_steps *b, int n_seqs)
{
    static const struct maker_fill spread = {1.5f, 0};
    struct maker *m = &b->maker;
    const int64_t map[] = {HEADS, HD, F}, narrow[] = {NARROW, D}, row[] = {NARROW};
    mixer_steps_open(b, D, n_seqs, ROWS);
    maker_matrix(m, "q.weight", WIDE, D);
    maker_matrix(m, "k.weight", NARROW, D);
    maker_matrix(m, "v.weight", NARROW, D);
    maker_matrix(m, "o.weight", D, WIDE);
    maker_tensor(m, "map_q", 3, map, NULL, spread);
    maker_tensor(m, "map_k", 3, map, NULL, spread);
    maker_tensor(m, "steep_q", 3, map, NULL, (struct maker_fill){60, 0});
    maker_tensor(m, "steep_k", 3, map, NULL, (struct maker_fill){60, 0});
    maker_tensor(m, "nan_q", 3, map, NULL, (struct maker_fill){0, NAN});
    /* Another layer, whose values are all 1. */
    maker_matrix(m, "one.q.weight", WIDE, D);
    maker_matrix(m, "one.k.weight", NARROW, D);
    maker_tensor(m, "one.v.weight", 2, narrow, NULL, (struct maker_fill){0, 0});
    maker_matrix(m, "one.o.weight", D, WIDE);
    maker_vector(m, "one.q.bias", WIDE, spread);
    maker_vector(m, "one.k.bias", NARROW, spread);
    maker_tensor(m, "one.v.bias", 1, row, NULL, (struct maker_fill){0, 1});
    maker_tensor(m, "one.o.bias", 1, (int64_t[]){D}, NULL, (struct maker_fill){0, 0});
    mixer_steps_load(b);
}

static void multiply(const double *in, const float *w, int n_in, int n_out, double *out)
{
    const struct mixer_steps_linear l = {w, NULL, n_in, n_out};
    mixer_steps_multiply(in, ROWS, &l, out);
}

static const struct hedgehog_spec plain = {.q = "q",
                                           .k = "k",
                                           .v = "v",
                                           .o = "o",
                                           .map_q = "map_q",
                                           .map_k = "map_k",
                                           .n_heads = HEADS,
                                           .n_kv_heads = KV_HEADS,
                                           .head_dim = HD,
                                           .n_features = F};

/* x [HD], map [HD][F] -> [2F]: both softmaxes, and the least feature. */
static void define_features(const double *x, const float *map, double *out)
{
    double y[F], sum[2] = {0};
    for (int f = 0; f < F; f++) {
        y[f] = 0;
        for (int i = 0; i < HD; i++)
            y[f] += x[i] * (double)map[i * F + f];
        sum[0] += exp(y[f]);
        sum[1] += exp(-y[f]);
    }
    for (int f = 0; f < F; f++) {
        out[f] = fmax(exp(y[f]) / sum[0], 1e-12);
        out[F + f] = fmax(exp(-y[f]) / sum[1], 1e-12);
    }
}

/* The weights of a head's row t over positions [0, t]; they sum to 1, unless all that
 * they are made of is least features. */
static void define_row(double (*phi_q)[2 * F], double (*phi_k)[2 * F], int t,
                       double *weights)
{
    double sum = 1e-12, whole = 0;
    for (int s = 0; s <= t; s++) {
        weights[s] = 0;
        for (int f = 0; f < 2 * F; f++)
            weights[s] += phi_q[t][f] * phi_k[s][f];
        sum += weights[s];
    }
    for (int s = 0; s <= t; s++)
        whole += weights[s] /= sum;
    if (sum > 0.01)
        assert_float_equal(whole, 1, 1e-10);
}

static void define_head(const struct mixer_steps *b, const struct hedgehog_spec *spec,
                        int h, double *const qkv[3], double *y)
{
    static double phi_q[ROWS][2 * F], phi_k[ROWS][2 * F];
    double weights[ROWS];
    int g = h * KV_HEADS / HEADS;
    for (int t = 0; t < ROWS; t++) {
        define_features(qkv[0] + t * WIDE + h * HD,
                        mixer_steps_values(b, spec->map_q) + h * HD * F, phi_q[t]);
        define_features(qkv[1] + t * NARROW + g * HD,
                        mixer_steps_values(b, spec->map_k) + h * HD * F, phi_k[t]);
    }
    for (int t = 0; t < ROWS; t++) {
        double *out = y + t * WIDE + h * HD;
        define_row(phi_q, phi_k, t, weights);
        memset(out, 0, HD * sizeof *out);
        for (int s = 0; s <= t; s++)
            for (int i = 0; i < HD; i++)
                out[i] += weights[s] * qkv[2][s * NARROW + g * HD + i];
    }
}

static void expect_matrix(struct mixer_steps *b, const struct hedgehog_spec *spec)
{
    static double in[ROWS * D], q[ROWS * WIDE], k[ROWS * NARROW], v[ROWS * NARROW],
        y[ROWS * WIDE], want[ROWS * D];
    mixer_steps_bind(b, &mixer_hedgehog, spec, &kernel_c, 2);
    for (int i = 0; i < ROWS * D; i++)
        in[i] = b->x[i];
    multiply(in, mixer_steps_values(b, "q.weight"), D, WIDE, q);
    multiply(in, mixer_steps_values(b, "k.weight"), D, NARROW, k);
    multiply(in, mixer_steps_values(b, "v.weight"), D, NARROW, v);
    for (int h = 0; h < HEADS; h++)
        define_head(b, spec, h, (double *[]){q, k, v}, y);
    multiply(y, mixer_steps_values(b, "o.weight"), WIDE, D, want);
    mixer_steps_run(b, 0);
    mixer_steps_expect(b, want, 2e-5);
}

/* With steep maps most features are the least there are, and decide early rows. */
static void the_recurrence_is_the_implied_matrix(void **state)
{
    struct mixer_steps b;
    struct hedgehog_spec steep = plain;
    (void)state;
    open_steps(&b, 1);
    expect_matrix(&b, &plain);
    steep.map_q = "steep_q";
    steep.map_k = "steep_k";
    expect_matrix(&b, &steep);
    mixer_steps_close(&b);
}

/* With values of 1 every output is the sum of its row of weights. */
static void the_weights_of_a_row_sum_to_one(void **state)
{
    static double want[ROWS * D];
    struct mixer_steps b;
    struct hedgehog_spec spec = plain;
    (void)state;
    open_steps(&b, 1);
    spec.q = "one.q";
    spec.k = "one.k";
    spec.v = "one.v";
    spec.o = "one.o";
    spec.bias = true;
    mixer_steps_bind(&b, &mixer_hedgehog, &spec, &kernel_c, 2);
    const float *o = mixer_steps_values(&b, "one.o.weight");
    for (int i = 0; i < ROWS * D; i++) {
        want[i] = 0;
        for (int k = 0; k < WIDE; k++)
            want[i] += (double)o[i % D * WIDE + k];
    }
    mixer_steps_run(&b, 0);
    mixer_steps_expect(&b, want, 2e-6);
    mixer_steps_close(&b);
}

static void cuts_threads_and_sets_change_nothing(void **state)
{
    struct mixer_steps b;
    (void)state;
    open_steps(&b, 3);
    mixer_steps_expect_same(&b, &mixer_hedgehog, &plain);
    mixer_steps_close(&b);
}

/* Products of q, k, v and the output, the maps of each query head, and the state. */
static void its_cost_is_counted(void **state)
{
    const struct engine_batch s = {.n_seqs = 2, .n_rows = 5};
    const double weights = 2.0 * D * (WIDE + NARROW) + 2.0 * HEADS * HD * F;
    const double elements = HEADS * 2.0 * F * (HD + 1);
    struct mixer_steps b;
    struct engine_cost sum = {0};
    (void)state;
    open_steps(&b, 1);
    mixer_steps_bind(&b, &mixer_hedgehog, &plain, &kernel_c, 1);
    mixer_hedgehog.cost(&b.mx, &s, &sum);
    assert_true(sum.weight_bytes == 4 * weights);
    assert_true(sum.state_bytes == 2 * 2 * 4 * elements);
    assert_true(sum.f32_ops == 10 * (2 * weights + 5 * elements));
    mixer_steps_close(&b);
}

/* The least feature does not replace one that is no number. */
static void a_nan_in_q_is_not_hidden(void **state)
{
    struct mixer_steps b;
    struct hedgehog_spec spec = plain;
    (void)state;
    open_steps(&b, 1);
    spec.map_q = "nan_q";
    mixer_steps_bind(&b, &mixer_hedgehog, &spec, &kernel_c, 1);
    mixer_steps_run(&b, 0);
    for (int i = 0; i < ROWS * D; i++)
        assert_true(isnan(b.y[i]));
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recurrence_is_the_implied_matrix),
        cmocka_unit_test(the_weights_of_a_row_sum_to_one),
        cmocka_unit_test(cuts_threads_and_sets_change_nothing),
        cmocka_unit_test(its_cost_is_counted),
        cmocka_unit_test(a_nan_in_q_is_not_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

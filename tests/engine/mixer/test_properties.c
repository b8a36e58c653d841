/*
 * What the mathematics promises, checked on the mixers themselves: relative positions,
 * linear attention, a recurrence as a convolution, shares that sum to one. The other side
 * of each equation is computed here in f64 from the same weights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/attn.h"
#include "engine/mixer/gss.h"
#include "engine/mixer/ssd.h"
#include "engine/model/model.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 24, HEADS = 3, KV_HEADS = 1, HD = D / HEADS, ROWS = 40, SHIFTS = 300 };
enum { CHANNELS = 18, MODES = 10, GATE = 20 };

/* A mixer, and a rotary table of the heads' width. */
struct bench {
    struct mixer_steps b;
    struct rope rope;
};

static void add_tensors(struct maker *m)
{
    static const struct maker_fill around_zero = {0.5f, 0}, small = {0.3f, -1.5f};
    const int64_t modes[] = {CHANNELS, MODES};
    maker_matrix(m, "q.weight", D, D);
    maker_matrix(m, "k.weight", HD * KV_HEADS, D);
    maker_matrix(m, "v.weight", HD * KV_HEADS, D);
    maker_matrix(m, "o.weight", D, D);
    maker_matrix(m, "c.weight", D, D);
    maker_matrix(m, "b.weight", D, D);
    maker_matrix(m, "x.weight", D, D);
    maker_matrix(m, "dt.weight", HEADS, D);
    maker_vector(m, "A", HEADS, small);
    maker_vector(m, "A0", HEADS, (struct maker_fill){0, 0});
    maker_matrix(m, "w_v.weight", GATE, D);
    maker_matrix(m, "w_u.weight", CHANNELS, D);
    maker_vector(m, "dss_norm.weight", CHANNELS, (struct maker_fill){0.2f, 1});
    maker_vector(m, "dss_norm.bias", CHANNELS, around_zero);
    maker_vector(m, "lam_re", MODES, small);
    maker_vector(m, "lam_im", MODES, around_zero);
    maker_tensor(m, "c_re", 2, modes, NULL, around_zero);
    maker_tensor(m, "c_im", 2, modes, NULL, around_zero);
    maker_vector(m, "d", CHANNELS, around_zero);
    maker_matrix(m, "w_c.weight", GATE, CHANNELS);
    maker_matrix(m, "w_o.weight", D, GATE);
    maker_matrix(m, "gated.w_g.weight", CHANNELS, D);
    maker_matrix(m, "gated.w_b.weight", CHANNELS, D);
    maker_matrix(m, "gated.w_f.weight", CHANNELS, D);
    maker_matrix(m, "gated.w_o.weight", D, CHANNELS);
    maker_vector(m, "gated.a_log", CHANNELS, small);
}

static void open_bench(struct bench *b, int n_seqs)
{
    struct err err = {0};
    struct rope_params p = {.theta = 10000};
    struct rope_use use = {HD, ROWS + SHIFTS, ROWS + SHIFTS, false, false};
    mixer_steps_open(&b->b, D, n_seqs, ROWS);
    add_tensors(&b->b.maker);
    mixer_steps_load(&b->b);
    assert_int_equal(rope_open(&b->rope, &b->b.arena, &p, &use, &err), 0);
}

static void close_bench(struct bench *b)
{
    mixer_steps_close(&b->b);
}

/* y is that of another run, nearly. */
static void expect_near(const struct mixer_steps *b, const float *want)
{
    double wide[ROWS * D];
    for (size_t i = 0; i < ROWS * D; i++)
        wide[i] = want[i];
    mixer_steps_expect(b, wide, 1e-4);
}

static double most_apart(const struct mixer_steps *b, const float *from)
{
    double most = 0;
    for (int i = 0; i < ROWS * D; i++)
        most = fmax(most, fabs((double)from[i] - (double)b->y[i]));
    return most;
}

static void multiply(const double *in, const float *w, int n_in, int n_out, double *out)
{
    const struct mixer_steps_linear l = {w, NULL, n_in, n_out};
    mixer_steps_multiply(in, ROWS, &l, out);
}

static const struct ssd_spec ssd_of = {.c = "c",
                                       .b = "b",
                                       .x = "x",
                                       .dt = "dt",
                                       .out = "o",
                                       .a = "A",
                                       .dt_bias = "none",
                                       .n_heads = HEADS,
                                       .head_dim = HD,
                                       .n_state = HD};

/* ---- relative positions ----------------------------------------------------- */

static void shifting_positions_leaves_ssd_unchanged(void **state)
{
    struct bench b;
    float first[ROWS * D];
    struct ssd_spec spec = ssd_of;
    (void)state;
    open_bench(&b, 1);
    spec.rope = &b.rope;
    mixer_steps_bind(&b.b, &mixer_ssd, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    memcpy(first, b.b.y, sizeof first);
    for (int shift = 1; shift <= SHIFTS; shift = shift * 3 + 1) {
        b.b.first_pos = shift;
        mixer_steps_run(&b.b, 0);
        expect_near(&b.b, first);
    }
    b.b.first_pos = 0;
    spec.rope =
        NULL; /* and the rotation does something: without it the output is another */
    mixer_steps_bind(&b.b, &mixer_ssd, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    assert_true(most_apart(&b.b, first) > 1e-2);
    close_bench(&b);
}

/* Attention reads every key from position 0 on, so the rows stay where they are and the
 * table moves: the rotation by position + shift. */
static void shifting_positions_leaves_attention_unchanged(void **state)
{
    struct bench b;
    float first[ROWS * D];
    (void)state;
    open_bench(&b, 1);
    struct attn_spec spec = {.q = "q",
                             .k = "k",
                             .v = "v",
                             .o = "o",
                             .n_heads = HEADS,
                             .n_kv_heads = KV_HEADS,
                             .head_dim = HD,
                             .rope = &b.rope};
    mixer_steps_bind(&b.b, &mixer_attn, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    memcpy(first, b.b.y, sizeof first);
    for (int shift = 1; shift <= SHIFTS; shift = shift * 3 + 1) {
        struct rope moved =
            b.rope; /* a table that begins at `shift` moves every position */
        moved.n_pos -= shift;
        moved.cos += (size_t)shift * HD / 2;
        moved.sin += (size_t)shift * HD / 2;
        spec.rope = &moved;
        mixer_steps_bind(&b.b, &mixer_attn, &spec, &kernel_c, 2);
        mixer_steps_run(&b.b, 0);
        expect_near(&b.b, first);
    }
    spec.rope = NULL;
    mixer_steps_bind(&b.b, &mixer_attn, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    assert_true(most_apart(&b.b, first) > 1e-3);
    close_bench(&b);
}

/* ---- SSD with A = 0 --------------------------------------------------------- */

/* y_t = Σ_{s<=t} (C_t·B_s) dt_s X_s, per head: attention without softmax. */
static void define_linear_attention(const struct bench *b, double *out)
{
    static double in[ROWS * D], c[ROWS * D], bb[ROWS * D], xx[ROWS * D], dt[ROWS * HEADS],
        y[ROWS * D];
    for (int i = 0; i < ROWS * D; i++)
        in[i] = b->b.x[i];
    multiply(in, mixer_steps_values(&b->b, "c.weight"), D, D, c);
    multiply(in, mixer_steps_values(&b->b, "b.weight"), D, D, bb);
    multiply(in, mixer_steps_values(&b->b, "x.weight"), D, D, xx);
    multiply(in, mixer_steps_values(&b->b, "dt.weight"), D, HEADS, dt);
    memset(y, 0, sizeof y);
    for (int t = 0; t < ROWS; t++)
        for (int s = 0; s <= t; s++)
            for (int h = 0; h < HEADS; h++) {
                double score = 0;
                for (int n = 0; n < HD; n++)
                    score += c[t * D + h * HD + n] * bb[s * D + h * HD + n];
                score *= log1p(exp(dt[s * HEADS + h]));
                for (int p = 0; p < HD; p++)
                    y[t * D + h * HD + p] += score * xx[s * D + h * HD + p];
            }
    multiply(y, mixer_steps_values(&b->b, "o.weight"), D, D, out);
}

static void ssd_without_decay_is_linear_attention(void **state)
{
    static double want[ROWS * D];
    struct bench b;
    struct ssd_spec spec = ssd_of;
    (void)state;
    open_bench(&b, 1);
    spec.a = "A0";
    mixer_steps_bind(&b.b, &mixer_ssd, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    define_linear_attention(&b, want);
    mixer_steps_expect(&b.b, want, 1e-5);
    spec.a = "A";
    mixer_steps_bind(&b.b, &mixer_ssd, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    double most = 0;
    for (int i = 0; i < ROWS * D; i++)
        most = fmax(most, fabs(want[i] - (double)b.b.y[i]));
    assert_true(most > 1e-2);
    close_bench(&b);
}

/* ---- DSS as a convolution --------------------------------------------------- */

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void define_input(const struct bench *b, const double *in, double *s)
{
    const float *w = mixer_steps_values(&b->b, "dss_norm.weight"),
                *bias = mixer_steps_values(&b->b, "dss_norm.bias");
    multiply(in, mixer_steps_values(&b->b, "w_u.weight"), D, CHANNELS, s);
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, var = 0, *row = s + r * CHANNELS;
        for (int c = 0; c < CHANNELS; c++)
            mean += (row[c] = gelu(row[c])) / CHANNELS;
        for (int c = 0; c < CHANNELS; c++)
            var += (row[c] - mean) * (row[c] - mean) / CHANNELS;
        for (int c = 0; c < CHANNELS; c++)
            row[c] = (row[c] - mean) / sqrt(var + 1e-5) * (double)w[c] + (double)bias[c];
    }
}

/* K_c[l] = Re Σ_n C[c,n] (exp(Λ_n) - 1)/Λ_n exp(Λ_n l); y = K * s + d s. */
static void define_dss(const struct bench *b, double *out)
{
    static double in[ROWS * D], s[ROWS * CHANNELS], y[ROWS * CHANNELS], v[ROWS * GATE],
        g[ROWS * GATE], kernel[ROWS];
    const float *lam_re = mixer_steps_values(&b->b, "lam_re"),
                *lam_im = mixer_steps_values(&b->b, "lam_im");
    const float *c_re = mixer_steps_values(&b->b, "c_re"),
                *c_im = mixer_steps_values(&b->b, "c_im"),
                *d = mixer_steps_values(&b->b, "d");
    for (int i = 0; i < ROWS * D; i++)
        in[i] = b->b.x[i];
    define_input(b, in, s);
    for (int c = 0; c < CHANNELS; c++) {
        for (int l = 0; l < ROWS; l++) {
            kernel[l] = 0;
            for (int n = 0; n < MODES; n++) {
                double complex lambda = -exp(lam_re[n]) + I * exp(lam_im[n]);
                double complex w =
                    (double)c_re[c * MODES + n] + I * (double)c_im[c * MODES + n];
                kernel[l] += creal(w * (cexp(lambda) - 1) / lambda * cexp(lambda * l));
            }
        }
        for (int t = 0; t < ROWS; t++) {
            y[t * CHANNELS + c] = (double)d[c] * s[t * CHANNELS + c];
            for (int l = 0; l <= t; l++)
                y[t * CHANNELS + c] += kernel[l] * s[(t - l) * CHANNELS + c];
        }
    }
    multiply(in, mixer_steps_values(&b->b, "w_v.weight"), D, GATE, v);
    multiply(y, mixer_steps_values(&b->b, "w_c.weight"), CHANNELS, GATE, g);
    for (int i = 0; i < ROWS * GATE; i++)
        g[i] *= gelu(v[i]);
    multiply(g, mixer_steps_values(&b->b, "w_o.weight"), GATE, D, out);
}

static void dss_is_the_convolution_with_its_kernel(void **state)
{
    static double want[ROWS * D];
    struct bench b;
    struct dss_spec spec = {GATE, CHANNELS, MODES};
    (void)state;
    open_bench(&b, 1);
    mixer_steps_bind(&b.b, &mixer_dss, &spec, &kernel_c, 2);
    mixer_steps_run(&b.b, 0);
    define_dss(&b, want);
    mixer_steps_expect(&b.b, want, 2e-5);
    close_bench(&b);
}

/* ---- one order --------------------------------------------------------------- */

static void cuts_threads_and_sets_change_nothing(void **state)
{
    struct bench b;
    struct ssd_spec ssd = ssd_of;
    (void)state;
    open_bench(&b, 3);
    ssd.rope = &b.rope;
    mixer_steps_expect_same(&b.b, &mixer_ssd, &ssd);
    mixer_steps_expect_same(&b.b, &mixer_dss, &(struct dss_spec){GATE, CHANNELS, MODES});
    b.b.bind.prefix = "gated.";
    mixer_steps_expect_same(&b.b, &mixer_gss, &(struct gss_spec){CHANNELS});
    close_bench(&b);
}

/* ---- PHA's shares ----------------------------------------------------------- */

static void the_branches_of_pha_share_one(void **state)
{
    static const struct maker_sizes sizes = {11, 8, 3, 2, 1, 6, 32};
    struct maker m;
    struct model model;
    struct err err = {0};
    (void)state;
    maker_open(&m);
    maker_pha(&m, &sizes, "dss");
    assert_int_equal(model_open(&model, &(struct model_options){.dir = m.dir}, &err), 0);
    for (int i = 0; i < 3; i++) {
        const struct branch *br = model.blocks[i].stages[0].branches;
        double sum = 0, all = 0;
        float mix[3];
        char name[64];
        snprintf(name, sizeof name, "model.layers.%d.mix.weight", i);
        memcpy(mix, weights_find(&model.weights, name)->data, sizeof mix);
        assert_int_equal(model.blocks[i].stages[0].n_branches, 3);
        for (int k = 0; k < 3; k++)
            all += log1p(exp(mix[k]));
        for (int k = 0; k < 3; k++) {
            assert_float_equal(br[k].weight, log1p(exp(mix[k])) / all, 1e-6);
            sum += br[k].weight;
        }
        assert_float_equal(sum, 1, 1e-6);
    }
    model_close(&model);
    maker_close(&m);
}

/* A prefix that could not be made is out of memory, not a missing tensor. */
static void names_that_find_no_memory_say_so(void **state)
{
    struct bench b;
    struct err err = {0};
    struct matrix m;
    const float *v = NULL;
    (void)state;
    open_bench(&b, 1);
    struct arena none = {.fixed = true};
    b.b.bind.arena = &none;
    struct bind under = bind_under(&b.b.bind, "layer.%d.", 3);
    assert_null(under.prefix);
    assert_int_equal(bind_vector(&v, &under, "A", HEADS, &err), -ERR_MEMORY);
    const struct matrix_spec q = {.name = "q", .n_out = D, .n_in = D};
    assert_int_equal(bind_matrix(&m, &under, &q, &err), -ERR_MEMORY);
    assert_false(bind_has(&under, "A"));
    b.b.bind.arena = &b.b.arena;
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifting_positions_leaves_ssd_unchanged),
        cmocka_unit_test(shifting_positions_leaves_attention_unchanged),
        cmocka_unit_test(ssd_without_decay_is_linear_attention),
        cmocka_unit_test(dss_is_the_convolution_with_its_kernel),
        cmocka_unit_test(cuts_threads_and_sets_change_nothing),
        cmocka_unit_test(the_branches_of_pha_share_one),
        cmocka_unit_test(names_that_find_no_memory_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Cases of the recurrences: widths around the vector's, every remainder of the state's
 * chains, hostile values; outputs are the state and the rows. And a run cut in two is the
 * whole run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/case.h"
#include "tests/kernels/input.h"

#include <stdio.h>
#include <string.h>

static unsigned number; /* of the case, within its subject */

/* Width is a head's inputs, or channels. A timed case is damped, lest it overflow. */
struct scan {
    int width, n_state, n_rows;
    enum kind kind;
    double work;
};

static size_t rows_floats(int n_rows, size_t stride, int width)
{
    return (size_t)(n_rows - 1) * stride + (size_t)width;
}

/* What lies between rows: something, but of a timed case nothing. */
static size_t gap(const struct scan *n, size_t floats)
{
    return n->work > 0 ? 0 : floats;
}

static void damp(float *x, size_t n, double work, float by)
{
    for (size_t i = 0; work > 0 && i < n; i++)
        x[i] *= by;
}

static void visit_scan(const struct subject *s, visit_fn *visit, const struct scan *n,
                       const void *args, const struct output *out)
{
    char size[64];
    snprintf(size, sizeof size, "%d x %d, %d row%s", n->width, n->n_state, n->n_rows,
             n->n_rows > 1 ? "s" : "");
    visit(s, &(struct kernel_case){
                 .size = size, .args = args, .out = {out[0], out[1]}, .work = n->work});
}

/* ---- ssd -------------------------------------------------------------------- */

static void ssd_rows(const struct kernels *k, const struct ssd_args *all,
                     void *const *out, int row0, int n_rows)
{
    struct ssd_args a = *all;
    size_t row = (size_t)row0;
    a.state = out[0];
    a.y = (float *)out[1] + row * a.ld_y;
    a.x += row * a.ld_x;
    a.b += row * a.ld_bc;
    a.c += row * a.ld_bc;
    a.a += row * a.ld_t;
    a.dt += row * a.ld_t;
    a.n_rows = n_rows;
    k->ssd(&a);
}

static void run_ssd(const struct kernels *k, const void *args, void *const *out)
{
    const struct ssd_args *a = args;
    ssd_rows(k, a, out, 0, a->n_rows);
}

static void run_ssd_cut(const struct kernels *k, const void *args, void *const *out)
{
    const struct ssd_args *a = args;
    ssd_rows(k, a, out, 0, a->n_rows / 3);
    ssd_rows(k, a, out, a->n_rows / 3, a->n_rows - a->n_rows / 3);
}

static void one_ssd(const struct subject *s, visit_fn *visit, struct scan n)
{
    input_begin(s->name, number++);
    size_t head = (size_t)n.width, states = (size_t)n.n_state;
    struct ssd_args a = {.ld_x = head + gap(&n, 1),
                         .ld_bc = states + gap(&n, 2),
                         .ld_t = 1 + gap(&n, 2),
                         .ld_y = head + gap(&n, 2),
                         .n_rows = n.n_rows,
                         .n_head = n.width,
                         .n_state = n.n_state};
    size_t n_t = rows_floats(n.n_rows, a.ld_t, 1);
    float *decay = input_floats(3, n_t, n.kind);
    damp(decay, n_t, n.work, 0.25f);
    a.x = input_floats(0, rows_floats(n.n_rows, a.ld_x, n.width), n.kind);
    a.b = input_floats(1, rows_floats(n.n_rows, a.ld_bc, n.n_state), n.kind);
    a.c = input_floats(2, rows_floats(n.n_rows, a.ld_bc, n.n_state), n.kind);
    a.a = decay;
    a.dt = input_floats(4, n_t, n.kind);
    struct output out[2] = {
        {states * head * sizeof(float), UNIT_F32, input_floats(5, states * head, n.kind)},
        {rows_floats(n.n_rows, a.ld_y, n.width) * sizeof(float), UNIT_F32, NULL}};
    visit_scan(s, visit, &n, &a, out);
}

static void ssd_cases(const struct subject *s, visit_fn *visit)
{
    static const int heads[] = {1, 15, 16, 17, 33, 64, 80, 144};
    number = 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        for (int n_state = 1; n_state <= 64; n_state = n_state * 2 + 1)
            one_ssd(s, visit,
                    (struct scan){heads[i], n_state, 1 + n_state % 5, PLAIN, 0});
    for (int n_state = 1; n_state <= 9; n_state++)
        one_ssd(s, visit, (struct scan){64, n_state, 3, PLAIN, 0});
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        one_ssd(s, visit, (struct scan){72, 10, 3, kind, 0});
    one_ssd(s, visit, (struct scan){64, 64, 1, PLAIN, 5e-9 * 64 * 64});
    one_ssd(s, visit, (struct scan){64, 64, 32, PLAIN, 5e-9 * 64 * 64 * 32});
    one_ssd(s, visit, (struct scan){64, 128, 32, PLAIN, 5e-9 * 64 * 128 * 32});
}

/* ---- gss -------------------------------------------------------------------- */

static void gss_rows(const struct kernels *k, const struct gss_args *all,
                     void *const *out, int row0, int n_rows)
{
    struct gss_args a = *all;
    size_t row = (size_t)row0;
    a.h = out[0];
    a.y = (float *)out[1] + row * a.ld_y;
    a.g += row * a.ld_g;
    a.b += row * a.ld_b;
    a.n_rows = n_rows;
    k->gss(&a);
}

static void run_gss(const struct kernels *k, const void *args, void *const *out)
{
    const struct gss_args *a = args;
    gss_rows(k, a, out, 0, a->n_rows);
}

static void run_gss_cut(const struct kernels *k, const void *args, void *const *out)
{
    const struct gss_args *a = args;
    gss_rows(k, a, out, 0, a->n_rows / 3);
    gss_rows(k, a, out, a->n_rows / 3, a->n_rows - a->n_rows / 3);
}

static void one_gss(const struct subject *s, visit_fn *visit, struct scan n)
{
    input_begin(s->name, number++);
    size_t w = (size_t)n.width;
    struct gss_args a = {.ld_g = w + gap(&n, 1),
                         .ld_b = w + gap(&n, 2),
                         .ld_y = w + gap(&n, 3),
                         .n_rows = n.n_rows,
                         .n = n.width};
    float *decay = input_floats(0, w, n.kind);
    damp(decay, w, n.work, 0.25f);
    a.a = decay;
    a.g = input_floats(1, rows_floats(n.n_rows, a.ld_g, n.width), n.kind);
    a.b = input_floats(2, rows_floats(n.n_rows, a.ld_b, n.width), n.kind);
    struct output out[2] = {
        {w * sizeof(float), UNIT_F32, input_floats(3, w, n.kind)},
        {rows_floats(n.n_rows, a.ld_y, n.width) * sizeof(float), UNIT_F32, NULL}};
    visit_scan(s, visit, &n, &a, out);
}

static void gss_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (int n = 1; n <= 70; n++)
        one_gss(s, visit, (struct scan){n, 1, 1 + n % 6, PLAIN, 0});
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        one_gss(s, visit, (struct scan){40, 1, 5, kind, 0});
    one_gss(s, visit, (struct scan){1536, 1, 1, PLAIN, 3e-9 * 1536});
    one_gss(s, visit, (struct scan){1536, 1, 32, PLAIN, 3e-9 * 1536 * 32});
}

/* ---- dss -------------------------------------------------------------------- */

static void dss_rows(const struct kernels *k, const struct dss_args *all,
                     void *const *out, int row0, int n_rows)
{
    struct dss_args a = *all;
    size_t row = (size_t)row0;
    a.state = out[0];
    a.y = (float *)out[1] + row * a.ld_y;
    a.s += row * a.ld_s;
    a.n_rows = n_rows;
    k->dss(&a);
}

static void run_dss(const struct kernels *k, const void *args, void *const *out)
{
    const struct dss_args *a = args;
    dss_rows(k, a, out, 0, a->n_rows);
}

static void run_dss_cut(const struct kernels *k, const void *args, void *const *out)
{
    const struct dss_args *a = args;
    dss_rows(k, a, out, 0, a->n_rows / 3);
    dss_rows(k, a, out, a->n_rows / 3, a->n_rows - a->n_rows / 3);
}

/* n floats of which those of absent channels are zero. */
static float *channels(int slot, size_t n, const struct scan *c)
{
    float *x = input_floats(slot, n, c->kind);
    for (size_t i = 0; i < n; i++)
        if (i % LANES >= (size_t)c->width)
            x[i] = 0.0f;
    return x;
}

static void one_dss(const struct subject *s, visit_fn *visit, struct scan n)
{
    input_begin(s->name, number++);
    size_t states = (size_t)n.n_state * 2;
    struct dss_args a = {.ld_s = (size_t)n.width + gap(&n, 1),
                         .ld_y = (size_t)n.width + gap(&n, 2),
                         .n_rows = n.n_rows,
                         .n_state = n.n_state,
                         .n_channels = n.width};
    float *e = input_floats(1, states, n.kind);
    damp(e, states, n.work, 0.25f);
    a.e = e;
    a.coef = channels(0, states * LANES, &n);
    a.d = channels(2, LANES, &n);
    a.s = input_floats(3, rows_floats(n.n_rows, a.ld_s, n.width), n.kind);
    struct output out[2] = {
        {states * LANES * sizeof(float), UNIT_F32, channels(4, states * LANES, &n)},
        {rows_floats(n.n_rows, a.ld_y, n.width) * sizeof(float), UNIT_F32, NULL}};
    visit_scan(s, visit, &n, &a, out);
}

static void dss_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (int channel = 1; channel <= LANES; channel++)
        for (int n_state = 1; n_state <= 9; n_state++)
            one_dss(s, visit, (struct scan){channel, n_state, 1 + n_state % 4, PLAIN, 0});
    for (enum kind kind = TINY; kind < N_KINDS; kind++) {
        one_dss(s, visit, (struct scan){16, 6, 3, kind, 0});
        one_dss(s, visit, (struct scan){11, 7, 3, kind, 0});
    }
    one_dss(s, visit, (struct scan){16, 512, 1, PLAIN, 11e-9 * 16 * 512});
    one_dss(s, visit, (struct scan){16, 512, 32, PLAIN, 11e-9 * 16 * 512 * 32});
}

/* ---- s4d -------------------------------------------------------------------- */

static void s4d_rows(const struct kernels *k, const struct s4d_args *all,
                     void *const *out, int row0, int n_rows)
{
    struct s4d_args a = *all;
    size_t row = (size_t)row0;
    a.state = out[0];
    a.y = (float *)out[1] + row * a.ld_y;
    a.x += row * a.ld_x;
    a.n_rows = n_rows;
    k->s4d(&a);
}

static void run_s4d(const struct kernels *k, const void *args, void *const *out)
{
    const struct s4d_args *a = args;
    s4d_rows(k, a, out, 0, a->n_rows);
}

static void run_s4d_cut(const struct kernels *k, const void *args, void *const *out)
{
    const struct s4d_args *a = args;
    s4d_rows(k, a, out, 0, a->n_rows / 3);
    s4d_rows(k, a, out, a->n_rows / 3, a->n_rows - a->n_rows / 3);
}

static void one_s4d(const struct subject *s, visit_fn *visit, struct scan n)
{
    input_begin(s->name, number++);
    size_t states = (size_t)n.n_state * 2;
    struct s4d_args a = {.ld_x = (size_t)n.width + gap(&n, 1),
                         .ld_y = (size_t)n.width + gap(&n, 2),
                         .n_rows = n.n_rows,
                         .n_state = n.n_state,
                         .n_channels = n.width};
    float *coef = channels(0, 2 * states * LANES, &n);
    damp(coef, 2 * states * LANES, n.work, 0.25f);
    a.coef = coef;
    a.d = channels(1, LANES, &n);
    a.x = input_floats(2, rows_floats(n.n_rows, a.ld_x, n.width), n.kind);
    struct output out[2] = {
        {states * LANES * sizeof(float), UNIT_F32, channels(3, states * LANES, &n)},
        {rows_floats(n.n_rows, a.ld_y, n.width) * sizeof(float), UNIT_F32, NULL}};
    visit_scan(s, visit, &n, &a, out);
}

static void s4d_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (int channel = 1; channel <= LANES; channel++)
        for (int n_state = 1; n_state <= 9; n_state++)
            one_s4d(s, visit, (struct scan){channel, n_state, 1 + n_state % 4, PLAIN, 0});
    for (enum kind kind = TINY; kind < N_KINDS; kind++) {
        one_s4d(s, visit, (struct scan){16, 6, 3, kind, 0});
        one_s4d(s, visit, (struct scan){11, 7, 3, kind, 0});
    }
    one_s4d(s, visit, (struct scan){16, 32, 1, PLAIN, 11e-9 * 16 * 32});
    one_s4d(s, visit, (struct scan){16, 32, 32, PLAIN, 11e-9 * 16 * 32 * 32});
}

/* ---- gdn -------------------------------------------------------------------- */

static void gdn_rows(const struct kernels *k, const struct gdn_args *all,
                     void *const *out, int row0, int n_rows)
{
    struct gdn_args a = *all;
    size_t row = (size_t)row0;
    a.state = out[0];
    a.y = (float *)out[1] + row * a.ld_y;
    a.q += row * a.ld_qk;
    a.k += row * a.ld_qk;
    a.v += row * a.ld_v;
    a.decay += row * a.ld_t;
    a.beta += row * a.ld_t;
    a.n_rows = n_rows;
    k->gdn(&a);
}

static void run_gdn(const struct kernels *k, const void *args, void *const *out)
{
    const struct gdn_args *a = args;
    gdn_rows(k, a, out, 0, a->n_rows);
}

static void run_gdn_cut(const struct kernels *k, const void *args, void *const *out)
{
    const struct gdn_args *a = args;
    if (a->n_rows > 2)
        gdn_rows(k, a, out, 0, a->n_rows / 3);
    gdn_rows(k, a, out, a->n_rows / 3, a->n_rows - a->n_rows / 3);
}

/* Where y begins as a copy of v. */
static void run_gdn_in_place(const struct kernels *k, const void *args, void *const *out)
{
    struct gdn_args a = *(const struct gdn_args *)args;
    a.v = out[1];
    gdn_rows(k, &a, out, 0, a.n_rows);
}

/* A panel after the other, as the mixer may divide the columns. */
static void run_gdn_panels(const struct kernels *k, const void *args, void *const *out)
{
    const struct gdn_args *all = args;
    for (int p = 0; p < all->n_value; p += LANES) {
        struct gdn_args a = *all;
        a.state = (float *)out[0] + p * a.n_key;
        a.v += p;
        a.y = (float *)out[1] + p;
        a.n_value = a.n_value - p < LANES ? a.n_value - p : LANES;
        k->gdn(&a);
    }
}

static void one_gdn(const struct subject *s, visit_fn *visit, struct scan n)
{
    input_begin(s->name, number++);
    size_t values = (size_t)n.width, keys = (size_t)n.n_state;
    size_t n_state = (values + LANES - 1) / LANES * LANES * keys;
    struct gdn_args a = {.ld_qk = keys + gap(&n, 3),
                         .ld_v = values + gap(&n, 2),
                         .ld_t = 1 + gap(&n, 2),
                         .ld_y = values + gap(&n, 2),
                         .n_rows = n.n_rows,
                         .n_key = n.n_state,
                         .n_value = n.width};
    size_t n_t = rows_floats(n.n_rows, a.ld_t, 1);
    size_t n_k = rows_floats(n.n_rows, a.ld_qk, n.n_state);
    size_t n_v = rows_floats(n.n_rows, a.ld_v, n.width);
    float *decay = input_floats(3, n_t, n.kind), *k = input_floats(1, n_k, n.kind);
    damp(decay, n_t, n.work, 0.25f);
    damp(k, n_k, n.work, 1.0f / 64);
    a.q = input_floats(0, n_k, n.kind);
    a.k = k;
    a.v = input_floats(2, n_v, n.kind);
    a.decay = decay;
    a.beta = input_floats(4, n_t, n.kind);
    struct output out[2] = {
        {n_state * sizeof(float), UNIT_F32, input_floats(5, n_state, n.kind)},
        {n_v * sizeof(float), UNIT_F32, a.v}};
    visit_scan(s, visit, &n, &a, out);
}

static void gdn_cases(const struct subject *s, visit_fn *visit)
{
    static const int values[] = {1, 15, 16, 17, 33, 48, 64, 80, 144};
    number = 0;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int n_key = 1; n_key <= 64; n_key = n_key * 2 + 1)
            one_gdn(s, visit, (struct scan){values[i], n_key, 1 + n_key % 5, PLAIN, 0});
    for (int n_key = 1; n_key <= 9; n_key++)
        one_gdn(s, visit, (struct scan){64, n_key, 3, PLAIN, 0});
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        one_gdn(s, visit, (struct scan){72, 10, 3, kind, 0});
    one_gdn(s, visit, (struct scan){128, 128, 1, PLAIN, 7e-9 * 128 * 128});
    one_gdn(s, visit, (struct scan){128, 128, 32, PLAIN, 7e-9 * 128 * 128 * 32});
    one_gdn(s, visit, (struct scan){192, 96, 32, PLAIN, 7e-9 * 192 * 96 * 32});
}

const struct subject scan_subjects[] = {
    {"ssd", ssd_cases, run_ssd, NULL, 0, "GFLOP/s"},
    {"ssd, cut", ssd_cases, run_ssd_cut, run_ssd, 0, "GFLOP/s"},
    {"gss", gss_cases, run_gss, NULL, 0, "GFLOP/s"},
    {"gss, cut", gss_cases, run_gss_cut, run_gss, 0, "GFLOP/s"},
    {"dss", dss_cases, run_dss, NULL, 0, "GFLOP/s"},
    {"dss, cut", dss_cases, run_dss_cut, run_dss, 0, "GFLOP/s"},
    {"s4d", s4d_cases, run_s4d, NULL, 0, "GFLOP/s"},
    {"s4d, cut", s4d_cases, run_s4d_cut, run_s4d, 0, "GFLOP/s"},
    {"gdn", gdn_cases, run_gdn, NULL, 0, "GFLOP/s"},
    {"gdn, cut", gdn_cases, run_gdn_cut, run_gdn, 0, "GFLOP/s"},
    {"gdn, in place", gdn_cases, run_gdn_in_place, run_gdn, 0, "GFLOP/s"},
    {"gdn, by panels", gdn_cases, run_gdn_panels, run_gdn, 0, "GFLOP/s"},
    {NULL, NULL, NULL, NULL, 0, NULL},
};

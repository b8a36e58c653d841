/*
 * Cases of the causal convolution: widths around the vector's, numbers of taps with and
 * without a form of their own, fewer rows than the state has, hostile values; outputs are
 * the state and the rows. A run cut in two, and one in place, is the whole run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/case.h"
#include "tests/kernels/input.h"

#include <stdio.h>

static unsigned number; /* of the case, within its subject */

struct size {
    int channels, taps, rows;
    enum kind kind;
    double work;
};

static void conv_rows(const struct kernels *k, const struct conv_args *all,
                      void *const *out, int row0, int n_rows)
{
    struct conv_args a = *all;
    a.state = out[0];
    a.y = (float *)out[1] + (size_t)row0 * a.ld_y;
    a.x += (size_t)row0 * a.ld_x;
    a.n_rows = n_rows;
    k->conv(&a);
}

static void run_conv(const struct kernels *k, const void *args, void *const *out)
{
    const struct conv_args *a = args;
    conv_rows(k, a, out, 0, a->n_rows);
}

static void run_conv_cut(const struct kernels *k, const void *args, void *const *out)
{
    const struct conv_args *a = args;
    conv_rows(k, a, out, 0, a->n_rows / 3);
    conv_rows(k, a, out, a->n_rows / 3, a->n_rows - a->n_rows / 3);
}

/* Of each case y's rows are as far apart as x's. */
static void run_conv_in_place(const struct kernels *k, const void *args, void *const *out)
{
    struct conv_args a = *(const struct conv_args *)args;
    float *y = out[1];
    for (size_t t = 0; t < (size_t)a.n_rows; t++)
        for (size_t i = 0; i < (size_t)a.n; i++)
            y[t * a.ld_y + i] = a.x[t * a.ld_x + i];
    a.x = y;
    conv_rows(k, &a, out, 0, a.n_rows);
}

static size_t rows_floats(int rows, size_t stride, int channels)
{
    return rows > 0 ? (size_t)(rows - 1) * stride + (size_t)channels : 0;
}

static void one_conv(const struct subject *s, visit_fn *visit, struct size n)
{
    char size[64];
    size_t gap = n.work > 0 ? 0 : 3;
    input_begin(s->name, number++);
    struct conv_args a = {.ld = (size_t)n.channels + gap,
                          .ld_x = (size_t)n.channels + gap,
                          .ld_y = (size_t)n.channels + gap,
                          .n_rows = n.rows,
                          .n = n.channels,
                          .n_taps = n.taps,
                          .silu = number % 2 == 0};
    size_t y_floats = rows_floats(n.rows, a.ld_y, n.channels);
    size_t state_floats = rows_floats(n.taps - 1, a.ld, n.channels);
    a.w = input_floats(0, rows_floats(n.taps, a.ld, n.channels), n.kind);
    a.x = input_floats(1, rows_floats(n.rows, a.ld_x, n.channels), n.kind);
    a.bias = number % 3 ? input_floats(2, (size_t)n.channels, n.kind) : NULL;
    struct output out[2] = {
        {state_floats * sizeof(float), UNIT_F32, input_floats(3, state_floats, n.kind)},
        {y_floats * sizeof(float), UNIT_F32, NULL}};
    snprintf(size, sizeof size, "%d channels, %d taps, %d row%s", n.channels, n.taps,
             n.rows, n.rows > 1 ? "s" : "");
    visit(s, &(struct kernel_case){
                 .size = size, .args = &a, .out = {out[0], out[1]}, .work = n.work});
}

static void conv_cases(const struct subject *s, visit_fn *visit)
{
    static const int channels[] = {1, 15, 16, 17, 33, 64, 70};
    number = 0;
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int taps = 1; taps <= 9; taps++)
            one_conv(s, visit,
                     (struct size){channels[i], taps, 1 + (int)number % 11, PLAIN, 0});
    for (int rows = 1; rows <= 70; rows += 23)
        one_conv(s, visit, (struct size){20, 64, rows, PLAIN, 0});
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (int taps = 2; taps <= 5; taps++)
            one_conv(s, visit, (struct size){37, taps, 6, kind, 0});
    one_conv(s, visit, (struct size){2048, 4, 1, PLAIN, 8e-9 * 2048});
    one_conv(s, visit, (struct size){2048, 4, 32, PLAIN, 8e-9 * 2048 * 32});
    one_conv(s, visit, (struct size){2048, 3, 32, PLAIN, 6e-9 * 2048 * 32});
    one_conv(s, visit, (struct size){768, 64, 32, PLAIN, 128e-9 * 768 * 32});
}

const struct subject conv_subjects[] = {
    {"conv", conv_cases, run_conv, NULL, 0, "GFLOP/s"},
    {"conv, cut", conv_cases, run_conv_cut, run_conv, 0, "GFLOP/s"},
    {"conv, in place", conv_cases, run_conv_in_place, run_conv, 0, "GFLOP/s"},
    {NULL, NULL, NULL, NULL, 0, NULL},
};

/*
 * Cases of the linear layers over float weights: every number of rows that a tile can
 * have, blocks of k and rows, last panels with fewer outputs, parts of the panels,
 * hostile values. And rows together are the rows one by one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/case.h"
#include "tests/kernels/input.h"

#include <stdio.h>

struct shape {
    int n_in, n_out, n_rows, panel0, panel1;
};

struct call {
    struct linear_args args;
    enum dtype type;
};

static void run_linear(const struct kernels *k, const void *args, void *const *out)
{
    const struct call *c = args;
    struct linear_args a = c->args;
    a.y = out[0];
    k->linear[c->type](&a);
}

static void run_rows(const struct kernels *k, const void *args, void *const *out)
{
    const struct call *c = args;
    for (int r = 0; r < c->args.n_rows; r++) {
        struct linear_args a = c->args;
        a.x += (size_t)r * a.ldx;
        a.y = (float *)out[0] + (size_t)r * a.ldy;
        a.n_rows = 1;
        k->linear[c->type](&a);
    }
}

static const void *weights(enum dtype type, size_t n, enum kind kind)
{
    return type == DTYPE_F32 ? (const void *)input_floats(0, n, kind)
                             : (const void *)input_halves(0, n, type, kind);
}

static unsigned number; /* of the case, within its subject */

static void visit_shape(const struct subject *s, visit_fn *visit, struct shape p,
                        enum kind kind, double work)
{
    input_begin(s->name, number++);
    size_t n_in = (size_t)p.n_in, n_out = (size_t)p.n_out, rows = (size_t)p.n_rows;
    size_t n_panels = (n_out + PANEL - 1) / PANEL;
    size_t gap = work > 0 ? 0 : input_below(3);
    size_t ldy = n_out + gap, n_y = (rows - 1) * ldy + n_out;
    struct call c = {.type = (enum dtype)s->type};
    c.args = (struct linear_args){.ldx = n_in + gap,
                                  .ldy = ldy,
                                  .n_in = p.n_in,
                                  .n_out = p.n_out,
                                  .n_rows = p.n_rows,
                                  .panel0 = p.panel0,
                                  .panel1 = p.panel1 ? p.panel1 : (int)n_panels};
    c.args.panels = weights(c.type, n_panels * PANEL * n_in, kind);
    c.args.x = input_floats(1, (rows - 1) * c.args.ldx + n_in, kind);
    if (number % 2)
        c.args.bias = input_floats(2, n_out, kind);
    char size[64];
    snprintf(size, sizeof size, "%d to %d, %d row%s", p.n_in, p.n_out, p.n_rows,
             p.n_rows > 1 ? "s" : "");
    visit(s, &(struct kernel_case){.size = size,
                                   .args = &c,
                                   .out = {{n_y * sizeof(float), UNIT_F32, NULL}},
                                   .work = work});
}

static void plain(const struct subject *s, visit_fn *visit, struct shape p)
{
    visit_shape(s, visit, p, PLAIN, 0);
}

static void odd_shapes(const struct subject *s, visit_fn *visit)
{
    static const int ins[] = {1, 3, 16, 255, 257, 600}, outs[] = {1, 17, 32, 33, 70};
    for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
            plain(s, visit,
                  (struct shape){ins[i], outs[o], 1 + (int)(i * 7 + o * 3) % 20, 0, 0});
    for (int rows = 1; rows <= 31; rows++)
        plain(s, visit, (struct shape){37, 40, rows, 0, 0});
    for (int rows = 55; rows <= 115; rows += 12)
        plain(s, visit, (struct shape){270, 33, rows, 0, 0});
    for (int rows = 1; rows <= 9; rows += 4)
        plain(s, visit, (struct shape){2500, 40, rows, 0, 0});
    for (int rows = 1; rows <= 16; rows += 3) {
        plain(s, visit, (struct shape){20, 150, rows, 1, 3});
        plain(s, visit, (struct shape){20, 150, rows, 4, 5});
        plain(s, visit, (struct shape){20, 150, rows, 2, 2});
    }
}

static void linear_cases(const struct subject *s, visit_fn *visit)
{
    static const int timed[] = {1, 4, 16, 128};
    number = 0;
    odd_shapes(s, visit);
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (int rows = 1; rows <= 16; rows += 5)
            visit_shape(s, visit, (struct shape){300, 45, rows, 0, 0}, kind, 0);
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        visit_shape(s, visit, (struct shape){768, 512, timed[i], 0, 0}, PLAIN,
                    2e-9 * 768 * 512 * timed[i]);
}

static void row_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (int rows = 2; rows <= 40; rows += 1 + rows / 8)
        plain(s, visit, (struct shape){70, 50, rows, 0, 0});
    plain(s, visit, (struct shape){1100, 64, 90, 0, 0});
}

const struct subject linear_subjects[] = {
    {"linear f32", linear_cases, run_linear, NULL, DTYPE_F32, "GFLOP/s"},
    {"linear f16", linear_cases, run_linear, NULL, DTYPE_F16, "GFLOP/s"},
    {"linear bf16", linear_cases, run_linear, NULL, DTYPE_BF16, "GFLOP/s"},
    {"linear f32, rows", row_cases, run_rows, run_linear, DTYPE_F32, ""},
    {"linear f16, rows", row_cases, run_rows, run_linear, DTYPE_F16, ""},
    {"linear bf16, rows", row_cases, run_rows, run_linear, DTYPE_BF16, ""},
    {NULL, NULL, NULL, NULL, 0, NULL},
};

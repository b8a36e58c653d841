/*
 * Cases of the quantised formats: rows of x into groups, and products with q8 and q4
 * weights at the ends of their range, where a kernel that saturates or overflows shows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/case.h"
#include "tests/kernels/input.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What codes and the values of x are: any; ±the greatest; all the greatest. */
enum codes { ANY, ENDS, GREATEST, N_CODES };

struct shape {
    int n_in, n_out, n_rows, panel0, panel1;
};

struct call {
    struct linear_args args;
    enum dtype type;
    size_t n_groups;
};

static unsigned number; /* of the case, within its subject */

static void run_linear(const struct kernels *k, const void *args, void *const *out)
{
    const struct call *c = args;
    struct linear_args a = c->args;
    a.y = out[0];
    k->linear[c->type](&a);
}

/* Where group 0 of a row is; *stride: how far the next is from it. */
static size_t row_at(size_t row, size_t n_rows, size_t per_row, size_t *stride)
{
    size_t block = row / QUANT_BLOCK * QUANT_BLOCK;
    *stride = n_rows - block < QUANT_BLOCK ? n_rows - block : QUANT_BLOCK;
    return block * per_row + row - block;
}

static void run_rows(const struct kernels *k, const void *args, void *const *out)
{
    const struct call *c = args;
    static struct quant_group row[256];
    for (int r = 0; r < c->args.n_rows; r++) {
        struct linear_args a = c->args;
        size_t rows = (size_t)c->args.n_rows, stride;
        size_t at = row_at((size_t)r, rows, c->n_groups, &stride);
        for (size_t g = 0; g < c->n_groups; g++)
            row[g] = a.q[at + g * stride];
        a.q = row;
        a.y = (float *)out[0] + (size_t)r * a.ldy;
        a.n_rows = 1;
        k->linear[c->type](&a);
    }
}

/* The random byte as a code of the kind: of q8 -127 to 127 above 128, of q4 two nibbles,
 * whose ends are the ends of quant_levels. */
static uint8_t code_of(uint8_t random, enum dtype type, enum codes codes)
{
    if (type == DTYPE_Q8) {
        if (codes == ANY)
            return random ? random : 1;
        return codes == ENDS && random & 1 ? 1 : 255;
    }
    if (codes == ANY)
        return random;
    return codes == GREATEST ? 0
                             : (uint8_t)((random & 1 ? 15 : 0) | (random & 2 ? 240 : 0));
}

static const void *codes_input(enum dtype type, size_t n_groups, enum codes codes)
{
    size_t n = n_groups * PANEL * QUANT_GROUP / (type == DTYPE_Q4 ? 2 : 1);
    uint8_t *w = input_bytes(0, n);
    for (size_t i = 0; i < n; i++)
        w[i] = code_of(w[i], type, codes);
    return w;
}

/* Groups as the quantiser leaves them; an absent k is 0. */
static const struct quant_group *groups_input(int n_rows, int n_in, enum codes codes,
                                              enum kind kind)
{
    size_t per_row = ((size_t)n_in + QUANT_GROUP - 1) / QUANT_GROUP, stride;
    size_t n = per_row * (size_t)n_rows;
    struct quant_group *q = (void *)input_bytes(1, n * sizeof *q);
    for (size_t i = 0; i < n; i++) {
        size_t group = i % per_row;
        size_t g = row_at(i / per_row, (size_t)n_rows, per_row, &stride);
        g += group * stride;
        int sum = 0, left = n_in - (int)group * QUANT_GROUP;
        for (int k = 0; k < QUANT_GROUP; k++) {
            int random = q[g].q[k] == -128 ? 0 : q[g].q[k];
            int end = codes == ENDS && random & 1 ? -127 : 127;
            int value = codes == ANY ? random : end;
            q[g].q[k] = (int8_t)(k < left ? value : 0);
            sum += q[g].q[k];
        }
        q[g].offset = -128 * sum;
        q[g].scale = fabsf(input_value(1, kind)) / 127.0f;
    }
    return q;
}

static void visit_shape(const struct subject *s, visit_fn *visit, struct shape p,
                        enum codes codes, enum kind kind, double work)
{
    input_begin(s->name, number++);
    size_t n_out = (size_t)p.n_out, rows = (size_t)p.n_rows;
    size_t n_panels = (n_out + PANEL - 1) / PANEL;
    size_t n_groups = ((size_t)p.n_in + QUANT_GROUP - 1) / QUANT_GROUP;
    size_t ldy = n_out + (work > 0 ? 0 : input_below(3)), n_y = (rows - 1) * ldy + n_out;
    struct call c = {.type = (enum dtype)s->type, .n_groups = n_groups};
    c.args = (struct linear_args){.ldy = ldy,
                                  .n_in = p.n_in,
                                  .n_out = p.n_out,
                                  .n_rows = p.n_rows,
                                  .panel0 = p.panel0,
                                  .panel1 = p.panel1 ? p.panel1 : (int)n_panels};
    c.args.panels = codes_input(c.type, n_panels * n_groups, codes);
    c.args.q = groups_input(p.n_rows, p.n_in, codes, kind);
    uint16_t *scales = input_halves(2, n_panels * n_groups * PANEL, DTYPE_F16, kind);
    for (size_t i = 0; i < n_panels * n_groups * PANEL; i++)
        if (i / PANEL / n_groups * PANEL + i % PANEL >= n_out)
            scales[i] = 0;
    c.args.scales = scales;
    if (number % 2)
        c.args.bias = input_floats(3, n_out, kind);
    char size[64];
    snprintf(size, sizeof size, "%d to %d, %d row%s", p.n_in, p.n_out, p.n_rows,
             p.n_rows > 1 ? "s" : "");
    visit(s, &(struct kernel_case){.size = size,
                                   .args = &c,
                                   .out = {{n_y * sizeof(float), UNIT_F32, NULL}},
                                   .work = work});
}

static void any(const struct subject *s, visit_fn *visit, struct shape p)
{
    visit_shape(s, visit, p, ANY, PLAIN, 0);
}

static void odd_shapes(const struct subject *s, visit_fn *visit)
{
    static const int ins[] = {1, 31, 32, 33, 256, 600}, outs[] = {1, 17, 32, 33, 70};
    for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
            any(s, visit,
                (struct shape){ins[i], outs[o], 1 + (int)(i * 7 + o * 3) % 20, 0, 0});
    for (int rows = 1; rows <= 31; rows++)
        any(s, visit, (struct shape){100, 40, rows, 0, 0});
    for (int rows = 55; rows <= 115; rows += 12)
        any(s, visit, (struct shape){270, 33, rows, 0, 0});
    for (int rows = 1; rows <= 9; rows += 4)
        any(s, visit, (struct shape){5000, 40, rows, 0, 0});
    for (int rows = 1; rows <= 16; rows += 3) {
        any(s, visit, (struct shape){40, 150, rows, 1, 3});
        any(s, visit, (struct shape){40, 150, rows, 4, 5});
        any(s, visit, (struct shape){40, 150, rows, 2, 2});
    }
}

static void linear_cases(const struct subject *s, visit_fn *visit)
{
    static const int timed[] = {1, 4, 16, 128};
    number = 0;
    odd_shapes(s, visit);
    for (enum codes codes = ENDS; codes < N_CODES; codes++)
        for (int rows = 1; rows <= 16; rows += 3)
            visit_shape(s, visit, (struct shape){320, 64, rows, 0, 0}, codes, PLAIN, 0);
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (int rows = 1; rows <= 16; rows += 5)
            visit_shape(s, visit, (struct shape){300, 45, rows, 0, 0}, ANY, kind, 0);
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        visit_shape(s, visit, (struct shape){768, 512, timed[i], 0, 0}, ANY, PLAIN,
                    2e-9 * 768 * 512 * timed[i]);
}

static void row_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (int rows = 2; rows <= 40; rows += 1 + rows / 8)
        any(s, visit, (struct shape){70, 50, rows, 0, 0});
    any(s, visit, (struct shape){1100, 64, 90, 0, 0});
}

/* ---- rows of x into groups -------------------------------------------------- */

struct row {
    const float *x;
    size_t n, stride; /* of groups */
};

static void run_quantise(const struct kernels *k, const void *args, void *const *out)
{
    const struct row *r = args;
    k->quantise(r->x, r->n, out[0], r->stride);
}

static void visit_row(const struct subject *s, visit_fn *visit, struct row r, double work)
{
    char size[32];
    size_t n_groups = (r.n - 1) / QUANT_GROUP * r.stride + 1;
    struct output out = {n_groups * sizeof(struct quant_group), UNIT_GROUPS, NULL};
    snprintf(size, sizeof size, "%zu, stride %zu", r.n, r.stride);
    visit(s, &(struct kernel_case){.size = size, .args = &r, .out = {out}, .work = work});
}

/* Quotients that lie halfway between two integers, and such as just miss it. */
static void put_halves(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float half = (float)(int)input_below(254) - 126.5f;
        uint32_t near = input_below(3);
        x[i] = near ? nextafterf(half, near > 1 ? 999.0f : -999.0f) : half;
    }
    for (size_t i = 0; i < n; i += QUANT_GROUP)
        x[i] = 127.0f;
}

static void quantise_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (size_t n = 1; n <= 300; n += kind == PLAIN ? 1 : 37) {
            input_begin(s->name, number++);
            visit_row(s, visit, (struct row){input_floats(0, n, kind), n, 1 + n % 3}, 0);
        }
    for (int i = 0; i < 8; i++) {
        input_begin(s->name, number++);
        float *x = input_floats(0, 1000, PLAIN);
        put_halves(x, 1000);
        visit_row(s, visit, (struct row){x, 1000, 2}, 0);
    }
    input_begin(s->name, number++);
    visit_row(s, visit, (struct row){input_floats(0, 2048, PLAIN), 2048, 1}, 2048e-9);
}

const struct subject quant_subjects[] = {
    {"linear q8", linear_cases, run_linear, NULL, DTYPE_Q8, "GOP/s"},
    {"linear q4", linear_cases, run_linear, NULL, DTYPE_Q4, "GOP/s"},
    {"linear q8, rows", row_cases, run_rows, run_linear, DTYPE_Q8, ""},
    {"linear q4, rows", row_cases, run_rows, run_linear, DTYPE_Q4, ""},
    {"quantise", quantise_cases, run_quantise, NULL, 0, "G/s"},
    {NULL, NULL, NULL, NULL, 0, NULL},
};

/*
 * Cases of everything over one row: norms, reductions, rotary embedding, the elementwise
 * kernels and the widenings. Every width up to a few vectors, hostile values, and for
 * functions of one float all of their range.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/poly.h"
#include "tests/kernels/case.h"
#include "tests/kernels/input.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct row {
    const float *a, *b, *wb[2];
    size_t n;
};

#define RUN(name, call)                                                                  \
    static void run_##name(const struct kernels *k, const void *args, void *const *out)  \
    {                                                                                    \
        const struct row *r = args;                                                      \
        float *y = out[0];                                                               \
        call;                                                                            \
    }

RUN(rmsnorm, k->rmsnorm(r->a, r->b, 1e-5f, (int)r->n, y))
RUN(rmsnorm_in_place, k->rmsnorm(y, r->b, 1e-5f, (int)r->n, y))
RUN(layernorm, k->layernorm(r->a, (const float **)(uintptr_t)r->wb, 1e-5f, (int)r->n, y))
RUN(layernorm_in_place,
    k->layernorm(y, (const float **)(uintptr_t)r->wb, 1e-5f, (int)r->n, y))
RUN(sum_squares, y[0] = k->sum_squares(r->a, (int)r->n))
RUN(max, y[0] = k->max(r->a, r->n))
RUN(sum_exp, y[0] = k->sum_exp(r->a, r->b[0], r->n))
RUN(rope, k->rope(y, r->a, r->b, (int)r->n & ~1))
RUN(silu_mul, k->silu_mul(r->a, r->b, r->n, y))
RUN(silu_mul_in_place, k->silu_mul(y, r->b, r->n, y))
RUN(gelu_tanh_mul, k->gelu_tanh_mul(r->a, r->b, r->n, y))
RUN(gelu_tanh_mul_in_place, k->gelu_tanh_mul(y, r->b, r->n, y))
RUN(mul, k->mul(r->a, r->b, r->n, y))
RUN(scale, k->scale(r->a, r->b[0], r->n, y))
RUN(add, k->add(r->a, r->b, r->n, y))
RUN(add_in_place, k->add(y, r->b, r->n, y))
RUN(axpy, k->axpy(r->b[0], r->a, r->n, y))
RUN(residual, k->residual(r->a, r->b, r->n, y))
RUN(exp, k->exp(r->a, r->n, y))
RUN(exp_in_place, k->exp(y, r->n, y))
RUN(sigmoid, k->sigmoid(r->a, r->n, y))
RUN(softplus, k->softplus(r->a, r->n, y))
RUN(gelu, k->gelu(r->a, r->n, y))
RUN(gelu_tanh, k->gelu_tanh(r->a, r->n, y))
RUN(relu2, k->relu2(r->a, r->n, y))

static unsigned number; /* of the case, within its subject */

static void visit_row(const struct subject *s, visit_fn *visit, const struct row *r,
                      size_t n_out, const float *start, double work)
{
    char size[32];
    snprintf(size, sizeof size, "%zu", r->n);
    visit(s, &(struct kernel_case){.size = size,
                                   .args = r,
                                   .out = {{n_out * sizeof(float), UNIT_F32, start}},
                                   .work = work});
}

/* What the kernel leaves is compared over n floats, or over the one result. */
static void one_row(const struct subject *s, visit_fn *visit, size_t n, enum kind kind,
                    double work)
{
    input_begin(s->name, number++);
    struct row r = {.n = n};
    r.a = input_floats(0, n, kind);
    r.b = input_floats(1, n, kind);
    r.wb[0] = input_floats(2, n, kind);
    r.wb[1] = input_floats(3, n, kind);
    visit_row(s, visit, &r, s->type == 1 ? 1 : n, input_floats(4, n, kind), work);
}

static void row_cases(const struct subject *s, visit_fn *visit)
{
    number = 0;
    for (size_t n = 1; n <= 100; n++)
        one_row(s, visit, n, PLAIN, 0);
    one_row(s, visit, 4099, PLAIN, 0);
    for (enum kind kind = TINY; kind < N_KINDS; kind++)
        for (size_t n = 1; n <= 200; n += 7)
            one_row(s, visit, n, kind, 0);
    one_row(s, visit, 2048, PLAIN, 2048e-9);
}

/* The floats around the places where a function changes its form. */
static void edge_case(const struct subject *s, visit_fn *visit)
{
    static const float edges[] = {0.0f,     EXP_HIGH,  EXP_LOW,   -104.0f,
                                  -87.336f, 88.7228f,  -LOG_LN2,  SOFTPLUS_LINEAR,
                                  ERFC_MAX, -ERFC_MAX, LOG_SPLIT, 0.88137359f};
    enum { N = sizeof edges / sizeof *edges, NEAR = 33 };
    input_begin(s->name, number++);
    float *a = input_floats(0, N * NEAR, PLAIN);
    for (int32_t i = 0; i < N * NEAR; i++) {
        int32_t bits;
        memcpy(&bits, &edges[i / NEAR], sizeof bits);
        bits += i % NEAR - NEAR / 2;
        memcpy(&a[i], &bits, sizeof bits);
    }
    struct row r = {.a = a, .b = input_floats(1, N * NEAR, PLAIN), .n = N * NEAR};
    visit_row(s, visit, &r, r.n, NULL, 0);
}

/* Every exponent and sign, many mantissas. */
static void function_cases(const struct subject *s, visit_fn *visit)
{
    enum { CHUNK = 4096 };
    row_cases(s, visit);
    edge_case(s, visit);
    for (uint32_t chunk = 0; chunk < 64; chunk++) {
        input_begin(s->name, number++);
        struct row r = {.n = CHUNK};
        float *a = input_floats(0, CHUNK, PLAIN);
        for (uint32_t i = 0; i < CHUNK; i++) {
            uint32_t bits = (chunk * CHUNK + i) * 16384u + input_below(16384);
            memcpy(&a[i], &bits, sizeof bits);
        }
        r.a = a;
        r.b = input_floats(1, CHUNK, PLAIN);
        visit_row(s, visit, &r, CHUNK, NULL, 0);
    }
}

/* Where the greatest and a NaN stand must not matter, nor the sign of a zero. */
static void max_cases(const struct subject *s, visit_fn *visit)
{
    static const float put[] = {NAN, 5.0f, INFINITY, 0.0f};
    row_cases(s, visit);
    for (size_t n = 0; n < 200; n += 7)
        for (size_t at = 0; at < n + 1; at += 3) {
            input_begin(s->name, number++);
            struct row r = {.n = n};
            float *a = input_floats(0, n, PLAIN);
            for (size_t i = 0; i < n; i++)
                a[i] = at % 2 ? -0.0f : -INFINITY;
            if (at < n)
                a[at] = put[at % 4];
            r.a = a;
            visit_row(s, visit, &r, 1, NULL, 0);
        }
}

/* ---- widenings -------------------------------------------------------------- */

struct halves {
    const void *x;
    size_t n;
    enum dtype type;
};

static void run_widen(const struct kernels *k, const void *args, void *const *out)
{
    const struct halves *h = args;
    k->widen[h->type](h->x, h->n, out[0]);
}

/* All 65,536 halves, at odd addresses, and every length of a tail; as floats the same
 * bytes are random. */
static void widen_cases(const struct subject *s, visit_fn *visit)
{
    size_t width = s->type == DTYPE_F32 ? 4 : 2;
    number = 0;
    for (size_t n = 4097; n >= 4080; n--)
        for (uint32_t part = 0; part < 65536 / 4080 + 1; part += n == 4080 ? 1 : 8) {
            char size[32];
            input_begin(s->name, number++);
            uint8_t *x = input_bytes(0, n * width + 1) + number % 2;
            for (uint32_t i = 0; i < n && width == 2; i++) {
                uint16_t half = (uint16_t)(part * 4080 + i);
                memcpy(x + 2 * i, &half, sizeof half);
            }
            snprintf(size, sizeof size, "%zu", n);
            struct halves h = {x, n, (enum dtype)s->type};
            visit(s, &(struct kernel_case){.size = size,
                                           .args = &h,
                                           .out = {{n * sizeof(float), UNIT_F32, NULL}},
                                           .work = n == 4096 && part == 0 ? 4096e-9 : 0});
        }
}

#define ROW(name, cases, scalar)                                                         \
    {                                                                                    \
#name, cases, run_##name, NULL, scalar, "G/s"                                    \
    }

const struct subject row_subjects[] = {
    ROW(rmsnorm, row_cases, 0),
    {"rmsnorm, in place", row_cases, run_rmsnorm_in_place, NULL, 0, "G/s"},
    ROW(layernorm, row_cases, 0),
    {"layernorm, in place", row_cases, run_layernorm_in_place, NULL, 0, "G/s"},
    ROW(sum_squares, row_cases, 1),
    ROW(max, max_cases, 1),
    ROW(sum_exp, row_cases, 1),
    ROW(rope, row_cases, 0),
    ROW(silu_mul, function_cases, 0),
    {"silu_mul, in place", row_cases, run_silu_mul_in_place, NULL, 0, "G/s"},
    ROW(gelu_tanh_mul, function_cases, 0),
    {"gelu_tanh_mul, in place", row_cases, run_gelu_tanh_mul_in_place, NULL, 0, "G/s"},
    ROW(mul, row_cases, 0),
    ROW(scale, row_cases, 0),
    ROW(add, row_cases, 0),
    {"add, in place", row_cases, run_add_in_place, NULL, 0, "G/s"},
    ROW(axpy, row_cases, 0),
    ROW(residual, row_cases, 0),
    ROW(exp, function_cases, 0),
    {"exp, in place", row_cases, run_exp_in_place, NULL, 0, "G/s"},
    ROW(sigmoid, function_cases, 0),
    ROW(softplus, function_cases, 0),
    ROW(gelu, function_cases, 0),
    ROW(gelu_tanh, function_cases, 0),
    ROW(relu2, function_cases, 0),
    {"widen f32", widen_cases, run_widen, NULL, DTYPE_F32, "G/s"},
    {"widen f16", widen_cases, run_widen, NULL, DTYPE_F16, "G/s"},
    {"widen bf16", widen_cases, run_widen, NULL, DTYPE_BF16, "G/s"},
    {NULL, NULL, NULL, NULL, 0, NULL},
};

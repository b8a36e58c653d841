/*
 * The convolution as a part of a mixer, through a mixer that is nothing else: its formula
 * in f64, parts that are joined, shapes that are refused, spans shorter than its state,
 * and the same bytes for any cut, number of threads and kernel set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/conv.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 77, TAPS = 4, LONG = 9, SEQS = 3, TOKENS = 31, FIRST = 30, SECOND = 12 };
enum { BEFORE = 64 }; /* bytes of the slot before the state */

/* ---- a mixer of one convolution --------------------------------------------- */

static int only_bind(struct mixer *mx, const void *spec, const struct bind *b,
                     struct err *err)
{
    struct conv *cv = arena_zalloc(b->arena, 1, sizeof *cv);
    assert_non_null(cv);
    mx->impl = cv;
    int rc = conv_bind(cv, b, spec, err);
    mx->need.fixed_bytes = BEFORE + (rc ? 0 : conv_state_bytes(cv));
    return rc;
}

static size_t only_scratch(const struct mixer *mx, int max_rows)
{
    (void)mx, (void)max_rows;
    return 0;
}

static void only_run(const struct mixer *mx, const struct ctx *c, const float *x,
                     float *y)
{
    conv_run(&(struct conv_rows){.conv = mx->impl,
                                 .state_offset = mx->fixed_offset + BEFORE,
                                 .x = x,
                                 .y = y,
                                 .ld_x = D,
                                 .ld_y = D},
             c);
}

static void only_cost(const struct mixer *mx, const struct engine_batch *s,
                      struct engine_cost *sum)
{
    conv_cost(mx->impl, s, sum);
}

static const struct mixer_kind only = {"conv", only_bind, only_scratch, only_run,
                                       only_cost};

/* ---- tensors ---------------------------------------------------------------- */

static void add(struct mixer_steps *b, const char *name, int channels, int taps)
{
    const int64_t shape[] = {channels, 1, taps};
    maker_tensor(&b->maker, name, 3, shape, NULL, (struct maker_fill){0.8f, 0});
}

static void open_steps(struct mixer_steps *b)
{
    mixer_steps_open(b, D, SEQS, TOKENS);
    add(b, "whole.weight", D, TAPS);
    maker_vector(&b->maker, "whole.bias", D, (struct maker_fill){0.5f, 0});
    add(b, "long.weight", D, LONG);
    add(b, "q.weight", FIRST, TAPS);
    add(b, "k.weight", SECOND, TAPS);
    add(b, "v.weight", D - FIRST - SECOND, TAPS);
    mixer_steps_load(b);
}

/* ---- the formula ------------------------------------------------------------ */

struct formula {
    const float *w, *bias; /* [channels][taps]; bias NULL: none */
    int c0, channels, taps;
    bool silu;
};

static void define(const struct mixer_steps *b, const struct formula *f, double *want)
{
    for (int s = 0; s < SEQS; s++)
        for (int t = 0; t < TOKENS; t++)
            for (int c = 0; c < f->channels; c++) {
                double sum = f->bias ? (double)f->bias[c] : 0;
                for (int j = 0; j < f->taps; j++) {
                    int at = t - f->taps + 1 + j;
                    if (at >= 0)
                        sum += (double)f->w[c * f->taps + j] *
                               (double)b->x[(s * TOKENS + at) * D + f->c0 + c];
                }
                want[(s * TOKENS + t) * D + f->c0 + c] =
                    f->silu ? sum / (1 + exp(-sum)) : sum;
            }
}

static void it_is_the_convolution(void **state)
{
    static double want[SEQS * TOKENS * D];
    struct mixer_steps b;
    struct conv_spec s = {.parts = {{"whole", D}}, .taps = TAPS};
    (void)state;
    open_steps(&b);
    for (int i = 0; i < 5; i++) {
        s.bias = i % 2 && i < 4;
        s.silu = i / 2 == 1;
        if (i == 4) {
            s.parts[0].name = "long";
            s.taps = LONG;
        }
        struct formula f = {
            mixer_steps_values(&b, i == 4 ? "long.weight" : "whole.weight"),
            s.bias ? mixer_steps_values(&b, "whole.bias") : NULL,
            0,
            D,
            s.taps,
            s.silu};
        define(&b, &f, want);
        mixer_steps_bind(&b, &only, &s, &kernel_c, 2);
        mixer_steps_run(&b, 2); /* fewer rows than the state has */
        mixer_steps_expect(&b, want, 1e-6);
        mixer_steps_expect_same(&b, &only, &s);
    }
    mixer_steps_close(&b);
}

/* The file's first part has 30 channels where 20 are expected; only the sum counts. */
static void parts_are_joined_along_channels(void **state)
{
    static double want[SEQS * TOKENS * D];
    static const char *const names[] = {"q.weight", "k.weight", "v.weight"};
    static const int channels[] = {FIRST, SECOND, D - FIRST - SECOND};
    struct mixer_steps b;
    struct conv_spec s = {.parts = {{"q", 20}, {"k", 20}, {"v", D - 40}}, .taps = TAPS};
    (void)state;
    open_steps(&b);
    for (int i = 0, c0 = 0; i < 3; c0 += channels[i], i++) {
        struct formula f = {
            mixer_steps_values(&b, names[i]), NULL, c0, channels[i], TAPS, false};
        define(&b, &f, want);
    }
    mixer_steps_bind(&b, &only, &s, &kernel_c, 1);
    mixer_steps_run(&b, 0);
    mixer_steps_expect(&b, want, 1e-6);
    mixer_steps_close(&b);
}

static void the_input_can_be_scaled(void **state)
{
    static double want[SEQS * TOKENS * D];
    static float scaled[D * TAPS];
    struct mixer_steps b;
    struct conv_spec s = {.parts = {{"whole", D}}, .taps = TAPS};
    (void)state;
    open_steps(&b);
    memcpy(scaled, mixer_steps_values(&b, "whole.weight"), sizeof scaled);
    for (int i = 20 * TAPS; i < 50 * TAPS; i++)
        scaled[i] *= -3;
    define(&b, &(struct formula){scaled, NULL, 0, D, TAPS, false}, want);
    mixer_steps_bind(&b, &only, &s, &kernel_c, 1);
    conv_scale_input(b.mx.impl, 20, 50, -3);
    mixer_steps_run(&b, 0);
    mixer_steps_expect(&b, want, 1e-6);
    mixer_steps_close(&b);
}

static void refuse(struct mixer_steps *b, const struct conv_spec *s, const char *text)
{
    struct conv cv;
    struct err err = {0};
    assert_int_equal(conv_bind(&cv, &b->bind, s, &err), -ERR_FORMAT);
    if (!strstr(err.text, text))
        fail_msg("expected \"%s\", found \"%s\"", text, err.text);
}

static void other_shapes_are_refused(void **state)
{
    struct mixer_steps b;
    (void)state;
    open_steps(&b);
    refuse(&b, &(struct conv_spec){.parts = {{"whole", D + 1}}, .taps = TAPS},
           "whole.weight");
    refuse(&b, &(struct conv_spec){.parts = {{"whole", D}}, .taps = TAPS - 1},
           "whole.weight");
    refuse(&b, &(struct conv_spec){.parts = {{"long", D}}, .taps = LONG, .bias = true},
           "long.bias");
    refuse(&b,
           &(struct conv_spec){.parts = {{"q", FIRST}, {"k", 5}, {"v", 5}}, .taps = TAPS},
           "k.weight: expected 40 channels in all parts of the convolution, found 42");
    refuse(&b,
           &(struct conv_spec){.parts = {{"q", FIRST}, {"k", SECOND}, {"v", 99}},
                               .taps = TAPS},
           "v.weight: expected 141 channels in all parts of the convolution, found 77");
    mixer_steps_close(&b);
}

/* The last rows, the oldest first, and nothing before them. */
static void its_state_is_where_it_is_told(void **state)
{
    static const char zeros[BEFORE];
    struct mixer_steps b;
    struct conv_spec s = {.parts = {{"whole", D}}, .taps = TAPS};
    (void)state;
    open_steps(&b);
    mixer_steps_bind(&b, &only, &s, &kernel_c, 2);
    mixer_steps_run(&b, 2);
    for (int i = 0; i < SEQS; i++) {
        const char *slot = b.slots + (size_t)i * b.slot_bytes;
        const float *last = b.x + ((i + 1) * TOKENS - (TAPS - 1)) * D;
        assert_memory_equal(slot, zeros, BEFORE);
        assert_memory_equal(slot + BEFORE, last, (TAPS - 1) * D * sizeof *last);
    }
    mixer_steps_close(&b);
}

static void its_state_and_cost_are_counted(void **state)
{
    const struct engine_batch step = {.n_seqs = 2, .n_rows = 5};
    struct mixer_steps b;
    struct conv_spec s = {.parts = {{"whole", D}}, .taps = TAPS};
    struct engine_cost sum = {0};
    (void)state;
    open_steps(&b);
    mixer_steps_bind(&b, &only, &s, &kernel_c, 1);
    assert_int_equal(b.mx.need.fixed_bytes, BEFORE + (TAPS - 1) * D * 4);
    only.cost(&b.mx, &step, &sum);
    assert_true(sum.f32_ops == 2 * TAPS * D * 10 && sum.state_bytes == 0);
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_convolution),
        cmocka_unit_test(parts_are_joined_along_channels),
        cmocka_unit_test(the_input_can_be_scaled),
        cmocka_unit_test(other_shapes_are_refused),
        cmocka_unit_test(its_state_is_where_it_is_told),
        cmocka_unit_test(its_state_and_cost_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

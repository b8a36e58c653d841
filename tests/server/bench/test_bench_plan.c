/* Lists to cases, and what fits. (Refused lists: tests/wire/test_bench.py.)
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/bench_plan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static struct arena arena;

static int make(struct bench_plan *p, const struct bench_lists *lists)
{
    struct err err;
    arena_init(&arena);
    return bench_plan_make(p, lists, ENGINE_WEIGHTS_Q8, &arena, &err);
}

static void formats_change_fastest_then_depths(void **state)
{
    (void)state;
    struct bench_plan p;
    const struct bench_lists lists = {.prefill = "9",
                                      .decode = "4,2",
                                      .depth = "0,70",
                                      .format = "f32,q4",
                                      .runs = "3"};
    assert_int_equal(make(&p, &lists), 0);
    assert_int_equal(p.n_cases, 12);
    assert_int_equal(p.n_runs, 3);
    assert_int_equal(p.max_seqs, 4);
    assert_true(p.context > 70 + PLAN_STEPS_MOST);
    for (int i = 0; i < p.n_cases; i++) {
        const struct bench_case *c = &p.cases[i];
        assert_int_equal(c->kind, i < 4 ? CASE_PREFILL : CASE_DECODE);
        assert_int_equal(c->n_seqs, i < 4 ? 1 : i < 8 ? 4 : 2);
        assert_int_equal(c->n_tokens, i < 4 ? 9 : 0);
        assert_int_equal(c->depth, i / 2 % 2 ? 70 : 0);
        assert_int_equal(c->format, i % 2);
    }
    assert_string_equal(bench_plan_format(p.formats[1]), "q4");
    arena_free(&arena);
}

static void without_lists_there_is_a_set_in_the_given_format(void **state)
{
    (void)state;
    struct bench_plan p;
    const struct bench_lists none = {0}, only = {.decode = "1"};
    assert_int_equal(make(&p, &none), 0);
    assert_int_equal(p.n_formats, 1);
    assert_int_equal(p.formats[0], ENGINE_WEIGHTS_Q8);
    assert_int_equal(p.cases[0].kind, CASE_PREFILL);
    assert_int_equal(p.cases[p.n_cases - 1].kind, CASE_DECODE);
    assert_int_equal(p.n_runs, 5);
    arena_free(&arena);
    assert_int_equal(make(&p, &only), 0);
    assert_int_equal(p.cases[0].kind, CASE_DECODE);
    arena_free(&arena);
}

/* 16 tokens a page: a run of 5 tokens behind 90 needs 7 pages, with those that are not
 * measured. */
static void a_case_fits_by_slots_and_pages(void **state)
{
    (void)state;
    struct engine_info in = {.page_tokens = 16,
                             .weights = "mixed",
                             .page_bytes = 100,
                             .slot_bytes = 1000,
                             .weights_bytes = 70000,
                             .scratch_bytes = 500000,
                             .n_slots = 3,
                             .n_pages = 21};
    struct bench_case c = {.kind = CASE_DECODE, .n_seqs = 3, .depth = 90, .n_tokens = 5};
    bench_plan_fit(&c, &in);
    assert_true(c.fits);
    assert_int_equal(bench_plan_sequences_bytes(&c, &in), 3 * (1000 + 7 * 100));
    assert_int_equal(c.memory_bytes, 570000 + 3 * (1000 + 7 * 100));
    assert_int_equal(c.state_bytes, 1000);
    assert_true(c.kv_bytes == 100.0 / 16);
    assert_true(bench_plan_tokens(&c) == 15);
    assert_string_equal(c.held, "mixed");
    in.n_pages = 20;
    bench_plan_fit(&c, &in);
    assert_false(c.fits);
    in.n_pages = 21;
    in.n_slots = 2;
    bench_plan_fit(&c, &in);
    assert_false(c.fits);
    in.n_slots = 3;
    c.depth = 120;
    bench_plan_fit(&c, &in);
    assert_false(c.fits);
    in.page_bytes = 0; /* nothing but recurrent layers */
    bench_plan_fit(&c, &in);
    assert_true(c.fits);
}

/* A million weights and 500 bytes of scratch; the largest case of the first format takes
 * 1000 more. Its size says nothing of the others' weights. */
static void engines_are_as_large_as_their_formats(void **state)
{
    (void)state;
    enum { Q4, F32, OWN, N };
    const enum engine_weights formats[N] = {ENGINE_WEIGHTS_Q4, ENGINE_WEIGHTS_F32,
                                            ENGINE_WEIGHTS_OWN};
    const double bytes[N] = {562500, 4e6, 4e6};
    for (int first = 0; first < N; first++) {
        struct engine_info in = {.n_params = 1000000,
                                 .weights_bytes = (size_t)bytes[first]};
        struct bench_case cases[] = {
            {.format = 0, .fits = true, .memory_bytes = in.weights_bytes + 1500},
            {.format = 1, .fits = true, .memory_bytes = 99 << 20},
            {.format = 0, .fits = false, .memory_bytes = 99 << 20}};
        struct bench_plan p = {.formats = {formats[first], formats[(first + 1) % N]},
                               .n_formats = 2,
                               .cases = cases,
                               .n_cases = 3};
        double found = bench_plan_engines_bytes(&p, &in);
        assert_true(found == bytes[first] + bytes[(first + 1) % N] + 2 * 1500);
        p.n_formats = 1;
        assert_true(bench_plan_engines_bytes(&p, &in) == bytes[first] + 1500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_change_fastest_then_depths),
        cmocka_unit_test(without_lists_there_is_a_set_in_the_given_format),
        cmocka_unit_test(a_case_fits_by_slots_and_pages),
        cmocka_unit_test(engines_are_as_large_as_their_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

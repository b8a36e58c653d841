/* Medians, fractions and both ways of telling them, from runs that never were.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/bench_report.h"

#include "engine/base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct engine_info info = {.arch = "llama",
                                        .cpu = "c",
                                        .weights = "q8", /* of the last one opened */
                                        .kv = "f16",
                                        .n_threads = 2,
                                        .n_params = 1000000};
static struct bench_case cases[2];
static struct bench_plan plan;
static struct bench_limits limits;

static struct bench_report invented(void)
{
    cases[0] = (struct bench_case){
        .kind = CASE_DECODE,
        .n_seqs = 4,
        .n_tokens = 10,
        .depth = 7,
        .fits = true,
        .held = "bf16",
        .cost = {.weight_bytes = 600,
                 .state_bytes = 300,
                 .kv_bytes = 100,
                 .int8_ops = 4000,
                 .f32_ops = 2000},
        .seconds = {4, 2, 1, 8}, /* median 3 */
        .memory_bytes = 5 << 20,
        .resident_bytes = 6 << 20,
    };
    cases[1] = (struct bench_case){
        .kind = CASE_PREFILL, .n_seqs = 1, .n_tokens = 50, .memory_bytes = 9 << 20};
    plan = (struct bench_plan){.formats = {ENGINE_WEIGHTS_OWN},
                               .n_formats = 1,
                               .cases = cases,
                               .n_cases = 2,
                               .n_runs = 4};
    limits = (struct bench_limits){.n = 3};
    for (int i = 0; i < 3; i++) {
        limits.samples[ENGINE_PEAK_READ][i] = (double[]){5e9, 1e3, 900}[i];
        limits.samples[ENGINE_PEAK_F32][i] = (double[]){1000, 900, 5000}[i];
        limits.samples[ENGINE_PEAK_INT8][i] = (double[]){1, 9e9, 8000}[i];
    }
    return (struct bench_report){.shape = "a\"shape",
                                 .plan = &plan,
                                 .limits = &limits,
                                 .info = &info,
                                 .before = {1, 10, 100},
                                 .after = {2, 15, 200},
                                 .order = "cases in turn"};
}

static double number(const struct json *o, const char *key)
{
    assert_true(json_numeric(json_get(o, key)));
    return json_as_number(json_get(o, key));
}

static void check(const struct json *o, const char *key, double wanted)
{
    double found = number(o, key);
    if (fabs(found - wanted) > 1e-12 * fabs(wanted))
        fail_msg("%s: %.17g, not %.17g", key, found, wanted);
}

static void the_object_says_what_was_measured(void **state)
{
    (void)state;
    struct bench_report r = invented();
    struct buf out = {0};
    struct json *doc = NULL;
    struct err err;
    bench_report_json(&r, &out);
    assert_int_equal(json_parse(&doc, out.data, out.len, &err), 0);
    const struct json *l = json_get(doc, "limits"), *all = json_get(doc, "results");
    const struct json *row = json_at(all, 0);
    check(l, "memory_gb_s", 1e-6);
    check(l, "f32_gflop_s", 1e-6);
    check(l, "int8_gop_s", 8e-6);
    assert_string_equal(json_as_string(json_get(row, "shape"), NULL), "a\"shape");
    assert_string_equal(json_as_string(json_get(row, "case"), NULL), "decode");
    assert_string_equal(json_as_string(json_get(row, "format"), NULL), "bf16");
    check(row, "sequences", 4);
    check(row, "depth", 7);
    check(row, "tokens_s", 40 / 3.0);
    check(row, "tokens_s_min", 5);
    check(row, "tokens_s_max", 40);
    check(row, "bytes_per_token", 25);
    check(row, "ops_per_token", 150);
    check(row, "of_memory_limit", 1000 / 3.0 / 1000);
    check(row, "of_compute_limit", (4000 / 8000.0 + 2000 / 1000.0) / 3);
    check(json_get(doc, "machine"), "steal", 0.05);
    check(json_get(doc, "machine"), "peak_resident_bytes", 6 << 20);
    assert_int_equal(json_len(json_get(row, "runs")), 4);
    assert_int_equal(json_kind(json_get(row, "peer_ratio")), JK_ABSENT);
    json_free(doc);
    buf_free(&out);
}

static void what_does_not_fit_has_no_rate(void **state)
{
    (void)state;
    struct bench_report r = invented();
    struct buf out = {0}, table = {0};
    struct json *doc = NULL;
    struct err err;
    bench_report_json(&r, &out);
    bench_report_table(&r, &table);
    assert_int_equal(json_parse(&doc, out.data, out.len, &err), 0);
    const struct json *row = json_at(json_get(doc, "results"), 1);
    assert_int_equal(json_kind(json_get(row, "tokens_s")), JK_NULL);
    assert_int_equal(json_kind(json_get(row, "of_compute_limit")), JK_NULL);
    assert_false(json_as_bool(json_get(row, "fits")));
    check(row, "memory_bytes", 9 << 20);
    assert_non_null(strstr(table.data, "does not fit in memory: needs 9 MiB"));
    assert_non_null(strstr(table.data, "13.3"));
    json_free(doc);
    buf_free(&out);
    buf_free(&table);
}

/* Neither infinite nor zero: there is nothing to tell. */
static void a_limit_of_zero_was_not_measured(void **state)
{
    (void)state;
    struct bench_report r = invented();
    struct buf out = {0}, table = {0};
    struct json *doc = NULL;
    struct err err;
    memset(limits.samples[ENGINE_PEAK_F32], 0, sizeof *limits.samples);
    bench_report_json(&r, &out);
    bench_report_table(&r, &table);
    assert_int_equal(json_parse(&doc, out.data, out.len, &err), 0);
    const struct json *row = json_at(json_get(doc, "results"), 0);
    const struct json *f32 = json_get(json_get(doc, "limits"), "f32_gflop_s");
    assert_int_equal(json_kind(f32), JK_NULL);
    assert_int_equal(json_kind(json_get(row, "of_compute_limit")), JK_NULL);
    check(row, "of_memory_limit", 1000 / 3.0 / 1000);
    assert_non_null(strstr(table.data, ", f32 not measured, int8 0 GOP/s\n"));
    assert_non_null(strstr(table.data, "    33.3       -        6\n"));
    assert_null(strstr(table.data, "inf"));
    assert_null(strstr(table.data, "nan"));
    json_free(doc);
    buf_free(&out);
    buf_free(&table);
}

static void a_peer_is_told_pair_by_pair(void **state)
{
    (void)state;
    struct bench_report r = invented();
    struct buf out = {0}, table = {0};
    struct json *doc = NULL;
    struct err err;
    const double peer[] = {8, 2, 3, 32}; /* ratios 2, 1, 3, 4 */
    memcpy(cases[0].peer_seconds, peer, sizeof peer);
    bench_report_json(&r, &out);
    bench_report_table(&r, &table);
    assert_int_equal(json_parse(&doc, out.data, out.len, &err), 0);
    const struct json *row = json_at(json_get(doc, "results"), 0);
    check(row, "peer_ratio", 2.5);
    assert_int_equal(json_len(json_get(row, "peer_runs")), 4);
    assert_non_null(strstr(table.data, "  2.50 (1.00 to 4.00) x the peer\n"));
    json_free(doc);
    buf_free(&out);
    buf_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_object_says_what_was_measured),
        cmocka_unit_test(what_does_not_fit_has_no_rate),
        cmocka_unit_test(a_limit_of_zero_was_not_measured),
        cmocka_unit_test(a_peer_is_told_pair_by_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

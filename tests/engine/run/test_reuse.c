/* How far apart checkpoints are, by what they cost.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/reuse.h"
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Bytes of a page of so many attention layers with so many values a key, in halves. */
static size_t page(size_t layers, size_t width)
{
    return layers * 2 * width * sizeof(uint16_t) * PAGE_TOKENS;
}

/* Delta rule: 128 x 128 a head, and three rows of the convolution. */
static size_t delta(size_t layers, size_t key_heads, size_t value_heads)
{
    size_t tiles = value_heads * 128 * 128, rows = (2 * key_heads + value_heads) * 128;
    return layers * (tiles + 3 * rows) * sizeof(float);
}

/* Mamba-2 of the 312M shape: 28 layers of 48 heads, 32 x 128 each, four taps. */
static size_t granite(void)
{
    return 28 * (48 * 32 * 128 + 3 * (48 * 32 + 2 * 128)) * sizeof(float);
}

static void a_checkpoint_costs_what_the_keys_and_values_since_the_last_one_cost(void **s)
{
    static const size_t mib = 1 << 20;
    (void)s;
    assert_in_range(delta(18, 16, 16), 19 * mib, 20 * mib);
    assert_int_equal(reuse_interval(delta(18, 16, 16), page(6, 512)), 1648);
    assert_in_range(delta(24, 16, 32), 50 * mib, 51 * mib);
    assert_int_equal(reuse_interval(delta(24, 16, 32), page(8, 1024)), 1616);
    assert_in_range(granite(), 21 * mib, 23 * mib);
    assert_int_equal(reuse_interval(granite(), page(4, 256)), 4096);        /* 5,500 */
    assert_int_equal(reuse_interval(10 * 2 * 1024 * 4, page(6, 512)), 256); /* 7 */
    assert_int_equal(reuse_interval(2 * mib, page(1, 256)), 2048);
}

static void the_type_of_keys_and_values_decides_too(void **s)
{
    (void)s;
    size_t halves = page(6, 512), state = delta(18, 16, 16);
    assert_int_equal(reuse_interval(state, 2 * halves), 832);
    assert_int_equal(reuse_interval(state, halves * 34 / 64), 3104);
    assert_int_equal(reuse_interval(state / 2, halves), 832);
}

static void it_is_a_multiple_of_the_page_within_bounds(void **s)
{
    (void)s;
    for (size_t n = 0; n < 300; n++)
        for (size_t more = 0; more < 2 && n + more > 0; more++) {
            int tokens = reuse_interval(n * 640 + more, 640);
            assert_int_equal(tokens % PAGE_TOKENS, 0);
            assert_in_range(tokens, 256, 4096);
            size_t fit = (n + more) * PAGE_TOKENS;
            assert_true(tokens == 256 || tokens == 4096 || (size_t)tokens == fit);
        }
    assert_int_equal(reuse_interval(SIZE_MAX / 2, 1), 4096);
}

static void attention_alone_needs_none_and_without_it_they_are_far_apart(void **s)
{
    (void)s;
    assert_int_equal(reuse_interval(0, 4096), 0);
    assert_int_equal(reuse_interval(1 << 20, 0), 4096);
    assert_int_equal(reuse_interval(64, 0), 4096);
}

/* ---- of an engine ------------------------------------------------------------- */

static int interval(const struct maker *m, enum engine_kv kv, int given, bool cache)
{
    struct engine_options o = {.model_dir = m->dir,
                               .kv = kv,
                               .n_threads = 1,
                               .max_seqs = 2,
                               .prefix_cache = cache,
                               .checkpoint_interval = given,
                               .no_tokenizer = true};
    struct drive d;
    drive_open(&d, &o);
    int n = engine_info(d.e)->checkpoint_interval;
    drive_close(&d);
    return n;
}

/* Two layers of 128 KiB of state each, and one whose keys and values are 512 bytes of f32 a
 * token. */
static void an_engine_says_which_is_in_force(void **s)
{
    static const struct maker_sizes sizes = {64, 512, 3, 8, 1, 16, 4096};
    enum { AUTO = ENGINE_INTERVAL_AUTO };
    struct maker m;
    (void)s;
    maker_open(&m);
    maker_transxssm(&m, &sizes);
    assert_int_equal(interval(&m, ENGINE_KV_F32, AUTO, true), 512);
    assert_int_equal(interval(&m, ENGINE_KV_F16, AUTO, true), 1024);
    assert_int_equal(interval(&m, ENGINE_KV_F16, 100, true), 100);
    assert_int_equal(interval(&m, ENGINE_KV_F16, 0, true), 0);
    assert_int_equal(interval(&m, ENGINE_KV_F16, AUTO, false), 0);
    maker_close(&m);
    maker_open(&m);
    maker_llama(&m, &sizes);
    assert_int_equal(interval(&m, ENGINE_KV_F32, AUTO, true), 0);
    maker_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_checkpoint_costs_what_the_keys_and_values_since_the_last_one_cost),
        cmocka_unit_test(the_type_of_keys_and_values_decides_too),
        cmocka_unit_test(it_is_a_multiple_of_the_page_within_bounds),
        cmocka_unit_test(attention_alone_needs_none_and_without_it_they_are_far_apart),
        cmocka_unit_test(an_engine_says_which_is_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

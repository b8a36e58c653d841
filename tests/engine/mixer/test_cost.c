/* What products and states cost, against arithmetic done by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/cost.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct engine_cost linears(enum dtype type, int n_out, int n_in, double rows)
{
    struct matrix m = {.type = type, .n_out = n_out, .n_in = n_in};
    const struct matrix *const all[] = {&m};
    struct engine_cost sum = {0};
    cost_linears(&sum, all, 1, rows);
    return sum;
}

static void bytes_follow_the_format(void **state)
{
    (void)state;
    assert_true(linears(DTYPE_F32, 3, 64, 1).weight_bytes == 3 * 64 * 4);
    assert_true(linears(DTYPE_F16, 3, 64, 1).weight_bytes == 3 * 64 * 2);
    assert_true(linears(DTYPE_BF16, 3, 64, 9).weight_bytes == 3 * 64 * 2);
    assert_true(linears(DTYPE_Q8, 3, 64, 9).weight_bytes == 3 * 2 * 34);
    assert_true(linears(DTYPE_Q4, 3, 64, 1).weight_bytes == 3 * 2 * 18);
    assert_true(linears(DTYPE_Q8, 5, 33, 1).weight_bytes == 5 * 2 * 34);
}

static void operations_are_two_a_weight_and_row(void **state)
{
    (void)state;
    struct engine_cost f = linears(DTYPE_BF16, 3, 64, 5), q = linears(DTYPE_Q4, 3, 64, 5);
    assert_true(f.f32_ops == 2 * 3 * 64 * 5 && f.int8_ops == 0);
    assert_true(q.int8_ops == 2 * 3 * 64 * 5 && q.f32_ops == 0);
}

static void several_are_added_up(void **state)
{
    (void)state;
    struct matrix a = {.type = DTYPE_F32, .n_out = 2, .n_in = 32};
    struct matrix b = {.type = DTYPE_Q8, .n_out = 7, .n_in = 32};
    const struct matrix *const all[] = {&a, &b};
    struct engine_cost sum = {.weight_bytes = 1, .f32_ops = 2, .int8_ops = 3};
    cost_linears(&sum, all, 2, 1);
    assert_true(sum.weight_bytes == 1 + 2 * 32 * 4 + 7 * 34);
    assert_true(sum.f32_ops == 2 + 128 && sum.int8_ops == 3 + 448);
}

static void a_state_is_read_and_written_once_a_step(void **state)
{
    (void)state;
    struct engine_batch s = {.n_seqs = 3, .n_rows = 10, .depth = 99};
    struct engine_cost sum = {0};
    cost_state(&sum, &s, 1000);
    assert_true(cost_rows(&s) == 30);
    assert_true(sum.state_bytes == 2 * 3 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_follow_the_format),
        cmocka_unit_test(operations_are_two_a_weight_and_row),
        cmocka_unit_test(several_are_added_up),
        cmocka_unit_test(a_state_is_read_and_written_once_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

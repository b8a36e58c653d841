/* Sizes of a matrix: whole panels, and of quantised types whole groups.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/matrix.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void sizes_are_those_of_whole_panels_and_groups(void **state)
{
    (void)state;
    static const struct {
        enum dtype type;
        int n_out, n_in;
        size_t panels, scales;
    } cases[] = {
        {DTYPE_F32, 1, 1, 32 * 4, 0},
        {DTYPE_F32, 33, 10, 64 * 10 * 4, 0},
        {DTYPE_BF16, 32, 10, 32 * 10 * 2, 0},
        {DTYPE_Q8, 32, 32, 1024, 32 * 2},
        {DTYPE_Q8, 33, 65, 2 * 3 * 1024, 2 * 3 * 32 * 2},
        {DTYPE_Q4, 33, 65, 2 * 3 * 512, 2 * 3 * 32 * 2},
        {DTYPE_Q8, 1 << 24, 1 << 10, (size_t)1 << 34, (size_t)1 << 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct matrix m = {
            .type = cases[i].type, .n_out = cases[i].n_out, .n_in = cases[i].n_in};
        assert_int_equal(matrix_panel_bytes(&m), cases[i].panels);
        assert_int_equal(matrix_scale_bytes(&m), cases[i].scales);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_whole_panels_and_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

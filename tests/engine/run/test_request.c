/* What a request may need: pages of its choices, for sizes that no server has.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/kernel.h"
#include "engine/run/request.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int64_t pages_of(int n, int n_prompt, int max_tokens)
{
    struct request r = {.gen = {.n = n, .max_tokens = max_tokens}, .n_prompt = n_prompt};
    return request_pages(&r);
}

static void choices_share_full_pages_only(void **state)
{
    (void)state;
    assert_int_equal(seq_pages(0), 0);
    assert_int_equal(seq_pages(1), 1);
    assert_int_equal(seq_pages(PAGE_TOKENS), 1);
    assert_int_equal(seq_pages(PAGE_TOKENS + 1), 2);
    assert_int_equal(pages_of(1, PAGE_TOKENS, PAGE_TOKENS), 2);
    assert_int_equal(pages_of(3, PAGE_TOKENS, PAGE_TOKENS), 1 + 3);
    assert_int_equal(pages_of(3, PAGE_TOKENS - 1, PAGE_TOKENS + 1), 3 * 2);
    assert_int_equal(pages_of(3, PAGE_TOKENS, 0), 1);
    assert_int_equal(pages_of(3, PAGE_TOKENS + 1, 0), 1 + 3);
}

/* 4,096 choices of the longest context: more than an int counts. */
static void the_worst_of_all_requests_is_counted(void **state)
{
    (void)state;
    assert_true(pages_of(4096, 1, (1 << 24) - 1) == (int64_t)1 << 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_share_full_pages_only),
        cmocka_unit_test(the_worst_of_all_requests_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Prompt look-up: which tokens are proposed, and how many an automatic draft proposes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/draft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ROOM = 64 };

static int look(int32_t *tokens, int n, int most)
{
    for (int i = n; i < ROOM; i++)
        tokens[i] = -1;
    return draft_lookup(tokens, n, most);
}

static void the_tokens_after_a_match_are_proposed(void **state)
{
    (void)state;
    int32_t t[ROOM] = {1, 2, 3, 4, 5, 6, 9, 1, 2, 3};
    assert_int_equal(look(t, 10, 3), 3);
    assert_memory_equal(t + 10, ((int32_t[]){4, 5, 6, -1}), 4 * sizeof *t);
}

static void two_matching_tokens_are_too_few(void **state)
{
    (void)state;
    int32_t t[ROOM] = {1, 2, 3, 4, 7, 2, 3};
    assert_int_equal(look(t, 7, 3), 0);
    assert_int_equal(look((int32_t[ROOM]){5}, 1, 3), 0);
    assert_int_equal(look((int32_t[ROOM]){5, 5, 5}, 3, 3), 0);
}

static void the_longest_match_wins_then_the_latest(void **state)
{
    (void)state;
    int32_t longest[ROOM] = {8, 0, 1, 2, 3, 9, 0, 1, 2, 4, 8, 0, 1, 2};
    assert_int_equal(look(longest, 14, 1), 1);
    assert_int_equal(longest[14], 3);
    int32_t latest[ROOM] = {0, 1, 2, 3, 9, 0, 1, 2, 4, 8, 0, 1, 2};
    assert_int_equal(look(latest, 13, 1), 1);
    assert_int_equal(latest[13], 4);
}

static void a_loop_is_continued(void **state)
{
    (void)state;
    int32_t t[ROOM] = {6, 1, 2, 1, 2, 1, 2};
    assert_int_equal(look(t, 7, 5), 5);
    assert_memory_equal(t + 7, ((int32_t[]){1, 2, 1, 2, 1}), 5 * sizeof *t);
    int32_t same[ROOM] = {4, 4, 4, 4};
    assert_int_equal(look(same, 4, 2), 2);
    assert_memory_equal(same + 4, ((int32_t[]){4, 4}), 2 * sizeof *t);
}

static void nothing_is_written_without_room(void **state)
{
    (void)state;
    int32_t t[ROOM] = {1, 2, 1, 2, 1, 2};
    assert_int_equal(look(t, 6, 0), 0);
    assert_int_equal(t[6], -1);
}

static int after(struct draft *d, int n, int accepted)
{
    d->n = n;
    draft_learn(d, accepted);
    return draft_allowance(d);
}

static void a_full_success_lengthens_the_draft(void **state)
{
    (void)state;
    struct draft d = {0};
    int n = draft_allowance(&d), before = n;
    assert_true(n >= 1);
    while ((n = after(&d, n, n)) > before)
        before = n;
    assert_int_equal(n, DRAFT_MAX);
    assert_int_equal(after(&d, n, 3), 3);
}

static void failures_cause_growing_pauses(void **state)
{
    (void)state;
    struct draft d = {0};
    int n = draft_allowance(&d), last = 0;
    while (n > 0)
        n = after(&d, n, 0);
    for (int round = 0; round < 4; round++) {
        int pause = 1;
        while ((n = draft_allowance(&d)) == 0)
            pause++;
        assert_true(pause > last);
        assert_int_equal(n, 1);
        last = pause;
        assert_int_equal(after(&d, n, 0), 0);
    }
    for (int i = 0; i < 1000; i++)
        if (draft_allowance(&d))
            return;
    fail_msg("a draft that failed is never tried again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tokens_after_a_match_are_proposed),
        cmocka_unit_test(two_matching_tokens_are_too_few),
        cmocka_unit_test(the_longest_match_wins_then_the_latest),
        cmocka_unit_test(a_loop_is_continued),
        cmocka_unit_test(nothing_is_written_without_room),
        cmocka_unit_test(a_full_success_lengthens_the_draft),
        cmocka_unit_test(failures_cause_growing_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

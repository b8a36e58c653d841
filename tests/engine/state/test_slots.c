/* The slot pool: slots are zeroed when taken, copied whole, and have one owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/state/slots.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { N = 5, BYTES = 192 };

static void a_taken_slot_is_zeroed(void **state)
{
    struct slots s;
    int32_t got[N];
    (void)state;
    assert_int_equal(slots_open(&s, N, BYTES, NULL), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            got[i] = slots_take(&s);
            assert_in_range(got[i], 0, N - 1);
            for (int b = 0; b < BYTES; b++)
                assert_int_equal(slots_at(&s, got[i])[b], 0);
            memset(slots_at(&s, got[i]), 0xFF, BYTES);
        }
        assert_int_equal(slots_used(&s), N);
        assert_int_equal(slots_take(&s), -1);
        for (int i = 0; i < N; i++)
            slots_drop(&s, got[(i + round) % N]);
        assert_int_equal(slots_used(&s), 0);
    }
    slots_close(&s);
}

static void slots_do_not_overlap_and_a_copy_is_whole(void **state)
{
    struct slots s;
    (void)state;
    assert_int_equal(slots_open(&s, 3, BYTES, NULL), 0);
    int32_t a = slots_take(&s), b = slots_take(&s), c = slots_take(&s);
    memset(slots_at(&s, a), 1, BYTES);
    memset(slots_at(&s, b), 2, BYTES);
    memset(slots_at(&s, c), 3, BYTES);
    slots_copy(&s, b, a);
    for (int i = 0; i < BYTES; i++) {
        assert_int_equal(slots_at(&s, a)[i], 1);
        assert_int_equal(slots_at(&s, b)[i], 1);
        assert_int_equal(slots_at(&s, c)[i], 3);
    }
    assert_int_equal(slots_dup(&s, a), -1);
    slots_drop(&s, c);
    c = slots_dup(&s, a);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(slots_at(&s, c)[i], 1);
    slots_close(&s);
}

static void a_model_without_constant_state_still_counts_slots(void **state)
{
    struct slots s;
    (void)state;
    assert_int_equal(slots_open(&s, 2, 0, NULL), 0);
    assert_true(slots_take(&s) >= 0);
    assert_true(slots_take(&s) >= 0);
    assert_int_equal(slots_take(&s), -1);
    slots_close(&s);
}

static void trimming_forgets_free_slots_only(void **state)
{
    enum { LARGE = 1 << 20 };
    struct slots s;
    (void)state;
    assert_int_equal(slots_open(&s, 4, LARGE, NULL), 0);
    int32_t a = slots_take(&s);
    memset(slots_at(&s, a), 7, LARGE);
    slots_trim(&s);
    for (int i = 0; i < LARGE; i++)
        assert_int_equal(slots_at(&s, a)[i], 7);
    slots_drop(&s, a);
    slots_trim(&s);
    assert_int_equal(s.base[LARGE / 2], 0); /* the system's page, not ours */
    assert_int_equal(slots_take(&s), a);
    slots_close(&s);
}

static void out_of_memory_leaks_nothing(void **state)
{
    struct slots s;
    struct err err = {0};
    (void)state;
    for (int n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_int_equal(slots_open(&s, N, BYTES, &err), -ERR_MEMORY);
        mem_fail_after(0);
        assert_non_null(strstr(err.text, "5 slots of 192 bytes"));
        slots_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_slot_is_zeroed),
        cmocka_unit_test(slots_do_not_overlap_and_a_copy_is_whole),
        cmocka_unit_test(a_model_without_constant_state_still_counts_slots),
        cmocka_unit_test(trimming_forgets_free_slots_only),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

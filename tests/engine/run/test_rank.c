/* Candidates come in the order of a full sort, however they are asked for: ties by id,
 * zeros of both signs equal, minus infinity last; the first of the largest is found.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/rank.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

enum { MAX = 3000 };

static float y[MAX], peaks[MAX];
static struct candidate heap[MAX], order[MAX], expected[MAX];

static uint32_t noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int by_order(const void *a, const void *b)
{
    const struct candidate *p = a, *q = b;
    if (p->y != q->y)
        return p->y > q->y ? -1 : 1;
    return p->id < q->id ? -1 : 1;
}

enum kind { SPREAD, TIES, ZEROS, ABSENT, N_KINDS };

static float value(enum kind kind, uint32_t r)
{
    switch (kind) {
    case TIES:
        return -(float)(r % 7);
    case ZEROS:
        return r % 3 ? -0.0f : r % 2 ? 0.0f : -1e-40f;
    case ABSENT:
        return r % 4 ? -INFINITY : -(float)(r % 1000);
    default:
        return -(float)r * 1e-5f;
    }
}

static struct rank made(int n, enum kind kind, uint32_t seed)
{
    struct rank r = {
        .k = &kernel_c, .n = n, .peaks = peaks, .heap = heap, .order = order};
    for (int i = 0; i < n; i++) {
        y[i] = value(kind, noise(&seed));
        expected[i] = (struct candidate){y[i], i};
    }
    qsort(expected, (size_t)n, sizeof *expected, by_order);
    rank_peaks(&r, y);
    return r;
}

/* Every one is given once, in order, and nothing after the last. */
static void check(int n, enum kind kind, int wanted)
{
    struct rank r = made(n, kind, (uint32_t)(n * 31 + wanted));
    int given = 0;
    rank_begin(&r, y, wanted);
    for (int some; (some = rank_more(&r, y)) > 0; given += some) {
        assert_in_range(some, 1, RANK_BLOCK);
        for (int i = given; i < given + some; i++)
            assert_int_equal(order[i].id, expected[i].id);
    }
    assert_int_equal(given, n);
}

static void test_order_of_a_full_sort(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 127, 128, 129, 640, 641, 2999};
    static const int wanted[] = {1, 3, 24, 64, MAX};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < N_KINDS; kind++)
            for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++)
                check(sizes[s], (enum kind)kind, wanted[w]);
}

static void test_first_of_the_largest(void **state)
{
    (void)state;
    for (int n = 1; n < MAX; n += 97) {
        struct rank r = made(n, TIES, (uint32_t)n);
        assert_int_equal(rank_first(&r, y, rank_peaks(&r, y)), expected[0].id);
    }
}

static void test_peaks(void **state)
{
    (void)state;
    struct rank r = made(300, SPREAD, 5);
    assert_int_equal(rank_blocks(300), 3);
    assert_int_equal(rank_block_end(300, 2), 300);
    y[257] = 2;
    assert_true(rank_peaks(&r, y) == 2 && peaks[2] == 2 && peaks[1] <= 0);
    y[0] = NAN;
    assert_true(isnan(rank_peaks(&r, y)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_a_full_sort),
        cmocka_unit_test(test_first_of_the_largest),
        cmocka_unit_test(test_peaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The heap: what comes out is what a sorted list would give, whatever was taken out or
 * changed in between, and every element knows its place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/heap.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { N = 257 };

struct element {
    int key;
    struct heap_node place;
};

static struct element elements[N];
static uint64_t rng = 1;

static int below(int n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (int)((rng >> 33) % (uint64_t)n);
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    const struct element *x = HEAP_OF(a, const struct element, place);
    const struct element *y = HEAP_OF(b, const struct element, place);
    return x->key != y->key ? x->key < y->key : x < y;
}

static void expect_places(const struct heap *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        assert_int_equal(h->nodes[i]->at, i + 1);
}

/* The element that has to come first, by a walk over all. */
static struct element *least(void)
{
    struct element *best = NULL;
    for (int i = 0; i < N; i++)
        if (elements[i].place.at && (!best || before(&elements[i].place, &best->place)))
            best = &elements[i];
    return best;
}

static void expect_sorted(struct heap *h)
{
    for (struct heap_node *n; (n = heap_first(h));) {
        assert_ptr_equal(HEAP_OF(n, struct element, place), least());
        heap_remove(h, n);
        assert_int_equal(n->at, 0);
        expect_places(h);
    }
    assert_null(least());
}

static void whatever_happens_the_least_is_first(void **state)
{
    (void)state;
    struct heap h = {.before = before};
    memset(elements, 0, sizeof elements);
    assert_true(heap_reserve(&h, N));
    for (int i = 0; i < 20000; i++) {
        struct element *e = &elements[below(N)];
        e->key = below(60);
        if (!e->place.at)
            heap_insert(&h, &e->place);
        else if (below(3))
            heap_update(&h, &e->place);
        else
            heap_remove(&h, &e->place);
        struct heap_node *first = heap_first(&h);
        assert_ptr_equal(first ? HEAP_OF(first, struct element, place) : NULL, least());
    }
    expect_places(&h);
    assert_true(h.n > 10);
    expect_sorted(&h);
    heap_free(&h);
}

static void what_is_out_is_left_alone(void **state)
{
    (void)state;
    struct heap h = {.before = before};
    struct element e = {0};
    assert_null(heap_first(&h));
    heap_remove(&h, &e.place);
    heap_update(&h, &e.place);
    assert_int_equal(h.n, 0);
    heap_free(&h);
}

static void room_that_is_not_there_changes_nothing(void **state)
{
    (void)state;
    struct heap h = {.before = before};
    memset(elements, 0, sizeof elements);
    assert_true(heap_reserve(&h, 1));
    heap_insert(&h, &elements[0].place);
    mem_fail_after(1);
    assert_false(heap_reserve(&h, 100));
    mem_fail_after(0);
    assert_false(heap_reserve(&h, SIZE_MAX));
    assert_ptr_equal(heap_first(&h), &elements[0].place);
    assert_true(heap_reserve(&h, 100));
    assert_ptr_equal(heap_first(&h), &elements[0].place);
    heap_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_least_is_first),
        cmocka_unit_test(what_is_out_is_left_alone),
        cmocka_unit_test(room_that_is_not_there_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

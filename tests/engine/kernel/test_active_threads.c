/* The number of active threads, on a clock of the test's own: it falls when threads wait
 * for processors and rises again after a rest, which grows with every failure.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/active_threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MS = 1000000 };

struct world {
    struct active_threads c;
    uint64_t now, waited;
};

/* ms pass, of which a thread (or two: up to 200 %) waited some percent. */
static int pass(struct world *w, int ms, int percent)
{
    w->now += (uint64_t)ms * MS;
    w->waited += (uint64_t)ms * MS * (uint64_t)percent / 100;
    active_threads_observe(&w->c, w->now, w->waited);
    return w->c.n_active;
}

static struct world made(int n_threads)
{
    struct world w = {.now = 77 * MS};
    active_threads_init(&w.c, n_threads);
    active_threads_observe(&w.c, w.now, w.waited);
    return w;
}

/* The same twice: once may be an accident. */
static int pass_twice(struct world *w, int ms, int percent)
{
    int before = w->c.n_active;
    assert_int_equal(pass(w, ms, percent), before);
    return pass(w, ms, percent);
}

static void test_all_take_part(void **state)
{
    (void)state;
    struct world w = made(4);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pass(&w, 20, 16), 4); /* less than a thread's part */
        assert_int_equal(pass(&w, 20, i % 2 ? 300 : 10), 4);
    }
}

static void test_shrinks_by_what_is_missing(void **state)
{
    (void)state;
    struct world w = made(8);
    assert_int_equal(pass_twice(&w, 20, 12), 7);
    assert_int_equal(pass_twice(&w, 20, 310), 4);
    assert_int_equal(pass_twice(&w, 20, 5000), 1);
    assert_int_equal(pass_twice(&w, 20, 100), 1); /* the caller stays */
    w = made(1);
    assert_int_equal(pass_twice(&w, 20, 100), 1);
}

static void test_comes_back(void **state)
{
    (void)state;
    struct world w = made(3);
    assert_int_equal(pass_twice(&w, 20, 250), 1);
    assert_int_equal(pass(&w, 39, 0), 1);
    assert_int_equal(pass(&w, 1, 300), 1); /* not in the midst of trouble */
    assert_int_equal(pass(&w, 1, 0), 2);
    assert_int_equal(pass(&w, 39, 0), 2);
    assert_int_equal(pass(&w, 1, 0), 3);
    assert_int_equal(pass(&w, 1000, 0), 3);
}

/* How long a number of two rests after a failure, in milliseconds. */
static int rest_of(struct world *w)
{
    int ms = 0;
    assert_int_equal(pass_twice(w, 4, 50), 1);
    for (; w->c.n_active == 1; ms++)
        pass(w, 1, 0);
    return ms;
}

static void test_rests_grow_and_are_forgiven(void **state)
{
    (void)state;
    struct world w = made(2);
    static const int rests[] = {40, 80, 160, 160};
    for (int i = 0; i < 4; i++)
        assert_int_equal(rest_of(&w), rests[i]);
    for (int i = 0; i < 20; i++)
        pass(&w, 4, 0);
    assert_int_equal(rest_of(&w), 40);
}

/* The pool looks only while it works: a long pause before a look is no loss. */
static void test_pause_between_looks(void **state)
{
    (void)state;
    struct world w = made(2);
    assert_int_equal(pass_twice(&w, 20, 100), 1);
    assert_int_equal(pass(&w, 60000, 0), 2);
    w.waited += 30 * MS;
    assert_int_equal(pass_twice(&w, 60000, 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_take_part),
        cmocka_unit_test(test_shrinks_by_what_is_missing),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_rests_grow_and_are_forgiven),
        cmocka_unit_test(test_pause_between_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

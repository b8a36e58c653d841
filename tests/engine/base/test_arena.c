/* Arenas, the allocator behind them, and its fault seam.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/arena.h"
#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool aligned(const void *p)
{
    return p && (uintptr_t)p % 64 == 0;
}

static void pieces_are_aligned_apart_and_lasting(void **state)
{
    struct arena a;
    unsigned char *pieces[500];
    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < 500; i++) {
        pieces[i] = arena_alloc(&a, i * 7);
        assert_true(aligned(pieces[i]));
        memset(pieces[i], (int)(i & 0xFF), i * 7);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t k = 0; k < i * 7; k++)
            assert_int_equal(pieces[i][k], i & 0xFF);
    assert_true(aligned(arena_alloc(&a, 10 << 20))); /* larger than a block */
    arena_free(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_true(aligned(arena_alloc(&a, 1)));
    arena_free(&a);
    arena_free(&a);
}

static void a_fixed_arena_ends_and_is_a_stack(void **state)
{
    struct arena a;
    (void)state;
    assert_true(arena_fixed(&a, 1024));
    char *first = arena_alloc(&a, 100);
    size_t mark = arena_mark(&a);
    char *second = arena_alloc(&a, 500);
    assert_true(aligned(first) && aligned(second) && second >= first + 100);
    assert_null(arena_alloc(&a, 500));
    assert_non_null(arena_alloc(&a, 1024 - 128 - 512)); /* to the last byte */
    assert_null(arena_alloc(&a, 1));
    arena_release(&a, mark);
    assert_ptr_equal(arena_alloc(&a, 500), second);
    arena_release(&a, 0);
    assert_ptr_equal(arena_alloc(&a, 1), first);
    arena_free(&a);
}

static void sizes_that_overflow_are_refused(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, (size_t)PTRDIFF_MAX));
    assert_null(arena_zalloc(&a, SIZE_MAX / 2, 3));
    assert_null(arena_strdup(&a, "x", SIZE_MAX));
    assert_null(mem_alloc(SIZE_MAX));
    assert_null(mem_zalloc((size_t)1 << 33, (size_t)1 << 33));
    assert_false(arena_fixed(&a, SIZE_MAX));
    arena_free(&a);
}

static void copies_end_with_nul_and_zeroes_are_zero(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a);
    assert_string_equal(arena_strdup(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_strdup(&a, "", 0), "");
    const char *z = arena_zalloc(&a, 30, 7);
    for (int i = 0; i < 210; i++)
        assert_int_equal(z[i], 0);
    arena_free(&a);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    mem_fail_after(3);
    void *first = mem_alloc(1), *second = mem_zalloc(2, 8);
    assert_true(aligned(first) && aligned(second));
    assert_null(mem_alloc(1));
    void *fourth = mem_alloc(1);
    assert_non_null(fourth);
    mem_fail_after(1);
    memcpy(second, "keep", 4);
    assert_null(mem_grow(second, 16, 99)); /* the old block stays */
    assert_memory_equal(second, "keep", 4);
    second = mem_grow(second, 16, 4);
    assert_memory_equal(second, "keep", 4);
    mem_free(first);
    mem_free(second);
    mem_free(fourth);
    mem_free(NULL);
}

static void an_allocation_under_the_guard_ends_the_process(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(2); /* the message belongs to nobody */
        mem_guard(true);
        mem_free(mem_alloc(1));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    mem_guard(true);
    mem_guard(false);
    mem_free(mem_alloc(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_apart_and_lasting),
        cmocka_unit_test(a_fixed_arena_ends_and_is_a_stack),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(copies_end_with_nul_and_zeroes_are_zero),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(an_allocation_under_the_guard_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

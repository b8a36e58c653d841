/* Ids of jobs: found while they live, never again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/job.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = 500 };

static void found_while_they_live(void **state)
{
    (void)state;
    static struct job jobs[N];
    struct job_table t = {0};
    uint64_t old[N];
    for (int i = 0; i < N; i++)
        assert_int_equal(job_add(&t, &jobs[i], NULL), 0);
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(job_find(&t, jobs[i].id), &jobs[i]);
        old[i] = jobs[i].id;
    }
    for (int i = 0; i < N; i += 3)
        job_remove(&t, &jobs[i]);
    for (int i = 0; i < N; i += 3) {
        assert_int_equal(jobs[i].id, 0);
        assert_null(job_find(&t, old[i]));
        assert_int_equal(job_add(&t, &jobs[i], NULL), 0);
        assert_null(job_find(&t, old[i]));
        assert_int_not_equal(jobs[i].id, old[i]);
        assert_ptr_equal(job_find(&t, jobs[i].id), &jobs[i]);
    }
    for (int i = 1; i < N; i += 3)
        assert_ptr_equal(job_find(&t, old[i]), &jobs[i]);
    job_table_free(&t);
}

static void odd_ids_find_nothing(void **state)
{
    (void)state;
    struct job_table t = {0};
    struct job j = {0};
    assert_null(job_find(&t, 0));
    assert_null(job_find(&t, UINT64_MAX));
    job_remove(&t, &j);
    mem_fail_after(1);
    assert_int_equal(job_add(&t, &j, NULL), -ERR_MEMORY);
    mem_fail_after(0);
    assert_int_equal(j.id, 0);
    assert_int_equal(job_add(&t, &j, NULL), 0);
    job_remove(&t, &j);
    job_remove(&t, &j);
    job_table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_while_they_live),
        cmocka_unit_test(odd_ids_find_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

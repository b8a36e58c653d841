/* Tenants' buckets and counts, at invented times, and what reading the file anew leaves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/tenant.h"

#include "engine/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/ssmd-tenants-XXXXXX";
static struct tenant_table table;
static const uint64_t SECOND = 1000000000;

/* Reads these lines at a time. */
static int read_keys(const char *text, uint64_t now_ns)
{
    struct keys *k = NULL;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(keys_open(&k, path, "", NULL), 0);
    int rc = tenant_table_update(&table, k, now_ns, NULL);
    keys_close(k);
    return rc;
}

static int retry_after(struct tenant *t, uint64_t now_ns)
{
    int seconds = 0;
    struct err err;
    int rc = tenant_check_rate(t, now_ns, &seconds, &err);
    assert_int_equal(rc, seconds ? -ERR_BUSY : 0);
    return seconds;
}

static void a_bucket_holds_ten_seconds_and_may_owe(void **state)
{
    (void)state;
    assert_int_equal(read_keys("a:k rate=100\n", SECOND), 0);
    struct tenant *a = tenant_find(&table, "a");
    assert_int_equal(retry_after(a, SECOND), 0);
    tenant_charge(a, 1000, SECOND); /* all of a full bucket */
    assert_int_equal(retry_after(a, SECOND), 0);
    tenant_charge(a, 1, SECOND);
    assert_int_equal(retry_after(a, SECOND), 1);
    tenant_charge(a, 4999, SECOND); /* an answer under way */
    assert_int_equal(retry_after(a, SECOND), 50);
    assert_int_equal(retry_after(a, 31 * SECOND), 20);
    assert_int_equal(retry_after(a, 51 * SECOND - SECOND / 1000), 1);
    assert_int_equal(retry_after(a, 51 * SECOND), 0); /* when it was said */
    assert_int_equal(retry_after(a, 1000 * SECOND), 0);
    tenant_charge(a, 1001, 1000 * SECOND); /* a long silence saves no more than a burst */
    assert_int_equal(retry_after(a, 1000 * SECOND), 1);
}

static void without_a_rate_nothing_is_charged(void **state)
{
    (void)state;
    assert_int_equal(read_keys("a:k running=1\n", SECOND), 0);
    struct tenant *a = tenant_find(&table, "a");
    tenant_charge(a, 1000000, SECOND);
    assert_int_equal(retry_after(a, SECOND), 0);
    tenant_charge(&table.anyone, 1000000, SECOND);
    assert_int_equal(retry_after(&table.anyone, SECOND), 0);
    assert_int_equal(tenant_check_running(&table.anyone, 1000000, NULL), 0);
    assert_int_equal(table.anyone.limits.share, 1);
}

static void prompts_under_way_are_counted(void **state)
{
    (void)state;
    assert_int_equal(read_keys("a:k running=3\n", SECOND), 0);
    struct tenant *a = tenant_find(&table, "a");
    struct err err;
    assert_int_equal(tenant_check_running(a, 3, NULL), 0);
    assert_int_equal(tenant_check_running(a, 4, &err), -ERR_BUDGET);
    assert_non_null(strstr(err.text, "4 prompts"));
    assert_non_null(strstr(err.text, "is 3"));
    a->admitted = 2;
    assert_int_equal(tenant_check_running(a, 1, NULL), 0);
    assert_int_equal(tenant_check_running(a, 2, &err), -ERR_BUSY);
    a->admitted = 5; /* from before a lower limit */
    assert_int_equal(tenant_check_running(a, 1, &err), -ERR_BUSY);
}

static void reading_the_file_anew_loses_no_count(void **state)
{
    (void)state;
    assert_int_equal(read_keys("a:k rate=100 running=3\nb:l\n", SECOND), 0);
    struct tenant *a = tenant_find(&table, "a"), *b = tenant_find(&table, "b");
    tenant_charge(a, 2000, SECOND); /* 1000 below zero */
    a->admitted = 2;
    b->admitted = 1;
    assert_int_equal(read_keys("a:new rate=10 running=2\nc:m\nb:l rate=5\n", 6 * SECOND),
                     0);
    assert_ptr_equal(tenant_find(&table, "a"), a);
    assert_int_equal(a->admitted, 2);
    assert_int_equal(b->admitted, 1);
    assert_int_equal(retry_after(a, 6 * SECOND), 50); /* 500 of it were paid at 100 */
    assert_int_equal(retry_after(b, 6 * SECOND), 0);  /* a new bucket is full */
    tenant_charge(b, 51, 6 * SECOND);
    assert_int_equal(retry_after(b, 6 * SECOND), 1);
    assert_int_equal(read_keys("c:m\n", 6 * SECOND), 0); /* without a and b */
    assert_int_equal(a->admitted, 2);
    assert_int_equal(read_keys("a:k rate=10\n", 6 * SECOND), 0); /* and with it again */
    assert_int_equal(retry_after(a, 6 * SECOND), 50);
}

static void without_memory_no_limit_changes(void **state)
{
    (void)state;
    char text[4096] = "a:k rate=7\n";
    assert_int_equal(read_keys("a:k rate=5\n", SECOND), 0);
    for (int i = 0; i < 40; i++)
        snprintf(text + strlen(text), 32, "t%d:k%d\n", i, i);
    struct keys *k = NULL;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(keys_open(&k, path, "", NULL), 0);
    int failed = 0;
    for (long n = 1;; n++) {
        mem_fail_after(n);
        int rc = tenant_table_update(&table, k, SECOND, NULL);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ERR_MEMORY);
        assert_int_equal(tenant_find(&table, "a")->limits.rate, 5);
        failed++;
    }
    assert_true(failed > 0);
    assert_int_equal(tenant_find(&table, "a")->limits.rate, 7);
    keys_close(k);
}

static int fresh(void **state)
{
    (void)state;
    return tenant_table_open(&table, NULL);
}

static int gone(void **state)
{
    (void)state;
    tenant_table_close(&table);
    return 0;
}

static int open_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bucket_holds_ten_seconds_and_may_owe),
        TEST(without_a_rate_nothing_is_charged),
        TEST(prompts_under_way_are_counted),
        TEST(reading_the_file_anew_loses_no_count),
        TEST(without_memory_no_limit_changes),
    };
    return cmocka_run_group_tests(tests, open_path, remove_path);
}

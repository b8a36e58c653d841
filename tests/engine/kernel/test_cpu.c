/* Choosing a kernel set by name, and counting processors by affinity and cgroup quota. */
#include "engine/kernel/cpu.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_cpu.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

/* Writes text to dir/name, making the folders on the way. */
static void put(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0755);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int quota(void)
{
    char membership[100];
    snprintf(membership, sizeof membership, "%s/cgroup", dir);
    return cpu_quota(membership, dir);
}

static void test_names(void **state)
{
    (void)state;
    const struct kernels *k = NULL, *best = NULL;
    struct err err;
    assert_int_equal(cpu_kernels(&k, "c", &err), 0);
    assert_ptr_equal(k, &kernel_c);
    assert_int_equal(cpu_kernels(&best, NULL, &err), 0);
    assert_non_null(best);
    assert_int_equal(cpu_kernels(&k, "sse9", &err), -ERR_ARGUMENT);
    assert_string_equal(err.param, "cpu");
    assert_non_null(strstr(err.text, "sse9"));
    static const char *const names[] = {"avx2", "avx512"};
    for (int i = 0; i < 2; i++) {
        int rc = cpu_kernels(&k, names[i], &err);
        assert_true(rc == 0 || rc == -ERR_UNSUPPORTED);
        if (rc == 0)
            assert_string_equal(k->name, names[i]);
    }
}

static void test_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int n = cpu_count(), first = 0;
    assert_true(n >= 1 && n <= CPU_COUNT(&before));
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void test_quota_v2(void **state)
{
    (void)state;
    put("cgroup", "0::/a/b\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "max 100000\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "250000 100000\n");
    assert_int_equal(quota(), 3);
    put("a/cpu.max", "100000 100000\n"); /* a parent's limit binds too */
    assert_int_equal(quota(), 1);
    put("a/cpu.max", "nonsense\n");
    assert_int_equal(quota(), 3);
    put("a/b/cpu.max", "1 100000\n");
    assert_int_equal(quota(), 1);
    put("a/b/cpu.max", "100000 0\n");
    assert_int_equal(quota(), 0);
}

static void test_quota_v1(void **state)
{
    (void)state;
    put("cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/x\n1:name=systemd:/x\n");
    assert_int_equal(quota(), 0);
    put("cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    put("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
    put("cpu,cpuacct/x/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(quota(), 2);
    put("cgroup",
        "4:cpuacct,cpu:/not-here\n"); /* a container sees its group as the root */
    put("cpuacct,cpu/cpu.cfs_quota_us", "400000\n");
    put("cpuacct,cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 4);
    put("cgroup", "garbage\n::\n:\n4:cpuset,cpux:/x\n");
    assert_int_equal(quota(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test_setup_teardown(test_quota_v2, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_quota_v1, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

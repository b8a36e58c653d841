/* Limits of control groups in a folder of the test's own: processors and memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_cgroup.XXXXXX");
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
    return cgroup_cpus(membership, dir);
}

static size_t group_left(void)
{
    char membership[100];
    snprintf(membership, sizeof membership, "%s/cgroup", dir);
    return cgroup_memory(membership, dir);
}

static void quotas_bind_from_every_group_above(void **state)
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

static void quotas_of_the_older_cgroups(void **state)
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

static void every_group_above_this_one_binds(void **state)
{
    (void)state;
    assert_true(group_left() == SIZE_MAX); /* no cgroups at all */
    put("cgroup", "0::/a/b.service\n");
    put("a/b.service/memory.max", "max\n");
    put("a/b.service/memory.current", "300\n");
    assert_true(group_left() == SIZE_MAX);
    put("a/b.service/memory.max", "1000\n");
    assert_int_equal(group_left(), 700);
    put("a/memory.max", "900\n");
    put("a/memory.current", "850\n");
    assert_int_equal(group_left(), 50);
    put("a/memory.current", "950\n");
    assert_int_equal(group_left(), 1); /* known, and nothing */
    put("cgroup", "0::/not-here\n");   /* a container sees its group as the root */
    put("memory.max", "5000\n");
    put("memory.current", "1000\n");
    assert_int_equal(group_left(), 4000);
}

static void a_limit_is_found_whatever_is_used(void **state)
{
    (void)state;
    char membership[100];
    snprintf(membership, sizeof membership, "%s/cgroup", dir);
    assert_true(cgroup_memory_limit(membership, dir) == SIZE_MAX);
    put("cgroup", "0::/a\n5:memory:/x\n");
    put("a/memory.max", "max\n");
    assert_true(cgroup_memory_limit(membership, dir) == SIZE_MAX);
    put("a/memory.max", "1000\n");
    put("a/memory.current", "990\n");
    assert_int_equal(cgroup_memory_limit(membership, dir), 1000);
    put("memory.max", "900\n");
    assert_int_equal(cgroup_memory_limit(membership, dir), 900);
    put("memory/x/memory.limit_in_bytes", "800\n");
    assert_int_equal(cgroup_memory_limit(membership, dir), 800);
}

static void cached_files_are_not_taken_memory(void **state)
{
    (void)state;
    put("cgroup", "0::/a\n");
    put("a/memory.max", "1000\n");
    put("a/memory.current", "900\n");
    put("a/memory.stat", "anon 300\nfile 600\ninactive_anon 9\ninactive_file 400\n"
                         "active_file 150\n");
    assert_int_equal(group_left(), 1000 - 350);
    put("a/memory.stat", "inactive_file 4000\n"); /* not of the same moment */
    assert_int_equal(group_left(), 1000);
}

static void the_older_cgroups_count_too(void **state)
{
    (void)state;
    put("cgroup", "9:cpu:/x\n5:memory:/x\n1:name=systemd:/y\n");
    put("memory/x/memory.limit_in_bytes", "800\n");
    put("memory/x/memory.usage_in_bytes", "200\n");
    assert_int_equal(group_left(), 600);
    put("memory/memory.limit_in_bytes", "700\n");
    put("memory/memory.usage_in_bytes", "200\n");
    assert_int_equal(group_left(), 500);
}

/* The files' own root counts even if the process is in no group that can be named. */
static void without_a_membership_the_root_binds(void **state)
{
    (void)state;
    put("cpu.max", "200000 100000\n");
    put("memory.max", "1000\n");
    put("memory.current", "400\n");
    assert_int_equal(quota(), 2);
    assert_int_equal(group_left(), 600);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(quotas_bind_from_every_group_above),
        IN_A_FOLDER(quotas_of_the_older_cgroups),
        IN_A_FOLDER(every_group_above_this_one_binds),
        IN_A_FOLDER(a_limit_is_found_whatever_is_used),
        IN_A_FOLDER(cached_files_are_not_taken_memory),
        IN_A_FOLDER(the_older_cgroups_count_too),
        IN_A_FOLDER(without_a_membership_the_root_binds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

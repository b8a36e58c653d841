/*
 * What this machine has: kernel sets and processors. Called at open, any thread; no
 * state. A set counts as present only if the processor has every extension that its file
 * is compiled with and the operating system saves its registers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/cpu.h"

#include "engine/base/cgroup.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

struct level {
    const char *name;
    const struct kernels *kernels; /* NULL: not built for this architecture */
    bool (*present)(void);
};

static bool always(void)
{
    return true;
}

#ifdef __x86_64__
#include <cpuid.h>

static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static bool has_vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

/* Leaf 7.1, EAX bit 4; the registers are AVX2's. */
static bool has_avxvnni(void)
{
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

#define X86(set, present) &(set), present
#else
#define X86(set, present) NULL, NULL
#endif

#ifdef __aarch64__
#include <sys/auxv.h>

/* Vectors, the dot product of bytes, and what else Armv8.2 has. */
static bool has_neon(void)
{
    unsigned long need =
        HWCAP_ASIMD | HWCAP_ASIMDDP | HWCAP_ASIMDRDM | HWCAP_ATOMICS | HWCAP_CRC32;
    return (getauxval(AT_HWCAP) & need) == need;
}

#define ARM(set, present) &(set), present
#else
#define ARM(set, present) NULL, NULL
#endif

static const struct level levels[] = {
    /* best last */
    {"c", &kernel_c, always},
    {"avx2", X86(kernel_avx2, has_avx2)},
    {"avxvnni", X86(kernel_avxvnni, has_avxvnni)},
    {"avx512", X86(kernel_avx512, has_avx512)},
    {"vnni", X86(kernel_vnni, has_vnni)},
    {"neon", ARM(kernel_neon, has_neon)},
};

enum { N_LEVELS = sizeof levels / sizeof levels[0] };

static bool usable(const struct level *l)
{
    return l->kernels && l->present();
}

const char *cpu_level(int i)
{
    return i < N_LEVELS ? levels[i].name : NULL;
}

static int unknown(const char *name, struct err *err)
{
    char names[100] = "";
    for (int i = 0; i < N_LEVELS; i++) {
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s\"%s\"", i ? ", " : "",
                 levels[i].name);
    }
    return err_param(err, ERR_ARGUMENT, "cpu", "cpu: expected one of %s, found \"%s\"",
                     names, name);
}

int cpu_kernels(const struct kernels **out, const char *name, struct err *err)
{
    for (int i = N_LEVELS - 1; i >= 0; i--) {
        const struct level *l = &levels[i];
        if (name && strcmp(name, l->name) != 0)
            continue;
        if (usable(l)) {
            *out = l->kernels;
            return 0;
        }
        if (name)
            return err_param(err, ERR_UNSUPPORTED, "cpu",
                             "cpu: this processor cannot run \"%s\"", name);
    }
    return unknown(name, err);
}

/* Room for 16,384 processors; Linux builds go to 8,192. */
static int affinity_count(void)
{
    cpu_set_t set[16];
    if (sched_getaffinity(0, sizeof set, set) != 0)
        return 1;
    int n = CPU_COUNT_S(sizeof set, set);
    return n > 0 ? n : 1;
}

int cpu_count(void)
{
    int n = affinity_count();
    int quota = cgroup_cpus(CGROUP_MEMBERSHIP, CGROUP_MOUNT);
    return quota > 0 && quota < n ? quota : n;
}

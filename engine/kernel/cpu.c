/*
 * What this machine has: kernel sets and processors. Called at open, any thread; no
 * state. A set counts as present only if the processor has every extension that its file
 * is compiled with and the operating system saves its registers.
 */
#include "engine/kernel/cpu.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Reads a small file whole into buf, with a NUL; false when it cannot be read. */
static bool read_small(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t n = 0;
    while (len + 1 < size && (n = read(fd, buf + len, size - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    buf[len] = 0;
    return n >= 0;
}

static int whole_processors(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return 0;
    long long n = (quota_us + period_us - 1) / period_us;
    return n > 1 << 20 ? 0 : (int)n;
}

/* Version 2: "max 100000" or "150000 100000". */
static int quota_v2(const char *dir)
{
    char path[1200], text[128];
    long long quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (!read_small(path, text, sizeof text) ||
        sscanf(text, "%lld %lld", &quota, &period) != 2)
        return 0;
    return whole_processors(quota, period);
}

/* Version 1: two files; a quota of -1 is none. */
static int quota_v1(const char *dir)
{
    char path[1200], quota[64], period[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_small(path, quota, sizeof quota))
        return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (!read_small(path, period, sizeof period))
        return 0;
    return whole_processors(atoll(quota), atoll(period));
}

static int smaller_quota(int a, int b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* Walks from the group up to the mount's root, for any of them may set a limit. In a
 * container the group's path may not exist below the mount; the mount's root then is the
 * container's group. */
static int smallest_quota(const char *root, const char *group,
                          int (*quota)(const char *dir))
{
    char dir[1100];
    size_t root_len = strlen(root);
    int least = 0;
    snprintf(dir, sizeof dir, "%s%s", root, group);
    for (;;) {
        least = smaller_quota(least, quota(dir));
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < root_len)
            return least;
        *slash = 0;
    }
}

/* Whether the comma-separated list names the controller "cpu". */
static bool lists_cpu(const char *list, size_t len)
{
    for (size_t i = 0; i + 3 <= len; i++)
        if ((i == 0 || list[i - 1] == ',') && memcmp(list + i, "cpu", 3) == 0 &&
            (i + 3 == len || list[i + 3] == ','))
            return true;
    return false;
}

/* One line: id ":" controllers ":" path. No controllers: version 2. */
static int line_quota(const char *line, const char *mount)
{
    const char *list = strchr(line, ':');
    const char *group = list ? strchr(list + 1, ':') : NULL;
    if (!group)
        return 0;
    size_t len = (size_t)(group - list - 1);
    if (len == 0)
        return smallest_quota(mount, group + 1, quota_v2);
    if (!lists_cpu(list + 1, len))
        return 0;
    char root[600];
    snprintf(root, sizeof root, "%s/%.*s", mount, (int)len, list + 1);
    int n = smallest_quota(root, group + 1, quota_v1);
    snprintf(root, sizeof root, "%s/cpu", mount);
    return smaller_quota(n, smallest_quota(root, group + 1, quota_v1));
}

int cpu_quota(const char *membership, const char *mount)
{
    char text[4096], *rest = text;
    int least = 0;
    if (!read_small(membership, text, sizeof text))
        return 0;
    for (char *line; (line = strsep(&rest, "\n"));)
        least = smaller_quota(least, line_quota(line, mount));
    return least;
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
    int quota = cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota > 0 && quota < n ? quota : n;
}

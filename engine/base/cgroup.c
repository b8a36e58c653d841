/*
 * Limits of control groups. A controller is its name and how a group's folder is read in
 * each version; finding the folders is the same for all.
 *
 * The subtle point: in a container the group's own path may not exist below the mount,
 * whose root then is the container's group; so the walk goes up to that root.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/cgroup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1200 };

/* Of one folder; SIZE_MAX: no limit there. */
typedef size_t limit_fn(const char *dir);

struct controller {
    const char *name;
    limit_fn *version1, *version2;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The beginning of dir/name, with a NUL; false when it cannot be read. */
static bool read_file(const char *dir, const char *name, char *text, size_t size)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t n = 0;
    while (len + 1 < size && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = 0;
    return n >= 0;
}

/* ---- processors ------------------------------------------------------------- */

static size_t whole_processors(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return SIZE_MAX;
    long long n = (quota_us + period_us - 1) / period_us;
    return n > 1 << 20 ? SIZE_MAX : (size_t)n;
}

/* "max 100000" or "150000 100000". */
static size_t cpus_version2(const char *dir)
{
    char text[128];
    long long quota, period;
    if (!read_file(dir, "cpu.max", text, sizeof text) ||
        sscanf(text, "%lld %lld", &quota, &period) != 2)
        return SIZE_MAX;
    return whole_processors(quota, period);
}

/* Two files; a quota of -1 is none. */
static size_t cpus_version1(const char *dir)
{
    char quota[64], period[64];
    if (!read_file(dir, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !read_file(dir, "cpu.cfs_period_us", period, sizeof period))
        return SIZE_MAX;
    return whole_processors(atoll(quota), atoll(period));
}

/* ---- memory ----------------------------------------------------------------- */

/* The number in a file of one line; SIZE_MAX when it says "max". */
static size_t read_bytes(const char *dir, const char *name)
{
    char text[64];
    unsigned long long x;
    bool is_number =
        read_file(dir, name, text, sizeof text) && sscanf(text, "%llu", &x) == 1;
    return is_number ? (size_t)x : SIZE_MAX;
}

/* Cached pages of files, a mapped model's among them: the system drops them for whoever
 * needs memory. */
static size_t file_pages(const char *dir)
{
    char text[8192], *rest = text;
    unsigned long long n, sum = 0;
    if (!read_file(dir, "memory.stat", text, sizeof text))
        return 0;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (sscanf(line, "inactive_file %llu", &n) == 1 ||
            sscanf(line, "active_file %llu", &n) == 1)
            sum += n;
    return (size_t)sum;
}

static size_t memory_left(const char *dir, size_t limit, size_t used)
{
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    used -= smaller(used, file_pages(dir));
    return limit > used ? limit - used : 1;
}

static size_t limit_version2(const char *dir)
{
    return read_bytes(dir, "memory.max");
}

static size_t limit_version1(const char *dir)
{
    return read_bytes(dir, "memory.limit_in_bytes");
}

static size_t memory_version2(const char *dir)
{
    return memory_left(dir, limit_version2(dir), read_bytes(dir, "memory.current"));
}

static size_t memory_version1(const char *dir)
{
    return memory_left(dir, limit_version1(dir),
                       read_bytes(dir, "memory.usage_in_bytes"));
}

/* ---- groups ----------------------------------------------------------------- */

/* From the group up to the hierarchy's root. */
static size_t least_upward(const char *root, const char *group, limit_fn *limit)
{
    char dir[PATH_BYTES - 100];
    size_t root_len = strlen(root), least = SIZE_MAX;
    snprintf(dir, sizeof dir, "%s%s", root, group);
    for (;;) {
        least = smaller(least, limit(dir));
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < root_len)
            return least;
        *slash = 0;
    }
}

/* Whether the comma-separated list names the controller. */
static bool lists(const char *list, size_t len, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i + n <= len; i++)
        if ((i == 0 || list[i - 1] == ',') && memcmp(list + i, name, n) == 0 &&
            (i + n == len || list[i + n] == ','))
            return true;
    return false;
}

/* One line: id ":" controllers ":" path. No controllers: version 2. */
static size_t line_limit(const struct controller *c, const char *line, const char *mount)
{
    const char *list = strchr(line, ':');
    const char *group = list ? strchr(list + 1, ':') : NULL;
    char root[600];
    if (!group)
        return SIZE_MAX;
    size_t len = (size_t)(group - list - 1);
    if (len == 0)
        return least_upward(mount, group + 1, c->version2);
    if (!lists(list + 1, len, c->name))
        return SIZE_MAX;
    snprintf(root, sizeof root, "%s/%.*s", mount, (int)len, list + 1);
    size_t least = least_upward(root, group + 1, c->version1);
    snprintf(root, sizeof root, "%s/%s", mount, c->name);
    return smaller(least, least_upward(root, group + 1, c->version1));
}

static size_t least_limit(const struct controller *c, const char *membership,
                          const char *mount)
{
    char line[PATH_BYTES], root[600];
    snprintf(root, sizeof root, "%s/%s", mount, c->name);
    size_t least = smaller(c->version2(mount), c->version1(root));
    FILE *f = fopen(membership, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        least = smaller(least, line_limit(c, line, mount));
    }
    if (f)
        fclose(f);
    return least;
}

int cgroup_cpus(const char *membership, const char *mount)
{
    static const struct controller cpu = {"cpu", cpus_version1, cpus_version2};
    size_t n = least_limit(&cpu, membership, mount);
    return n == SIZE_MAX ? 0 : (int)n;
}

size_t cgroup_memory_limit(const char *membership, const char *mount)
{
    static const struct controller memory = {"memory", limit_version1, limit_version2};
    return least_limit(&memory, membership, mount);
}

size_t cgroup_memory(const char *membership, const char *mount)
{
    static const struct controller memory = {"memory", memory_version1, memory_version2};
    return least_limit(&memory, membership, mount);
}

/* /proc/self, RLIMIT_NOFILE and the service manager's socket. Allocates nothing through
 * mem.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/process.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static double boot_unix_seconds(void)
{
    char line[256];
    double t = 0;
    FILE *f = fopen("/proc/stat", "re");
    while (f && t == 0 && fgets(line, sizeof line, f))
        sscanf(line, "btime %lf", &t);
    if (f)
        fclose(f);
    return t;
}

/* /proc/self/stat after the parenthesised name: fields 3.. of proc(5). */
static void read_stat(struct process_stats *out)
{
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    unsigned long utime, stime, virt;
    unsigned long long began;
    long resident;
    if (!p ||
        sscanf(p + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d"
               " %*d %*d %llu %lu %ld",
               &utime, &stime, &began, &virt, &resident) != 5)
        return;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    out->cpu_seconds = (double)(utime + stime) / ticks;
    out->start_unix_seconds = boot_unix_seconds() + (double)began / ticks;
    out->virtual_bytes = virt;
    out->resident_bytes = (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;
    struct dirent *e;
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n ? n - 1 : 0; /* without the directory's own */
}

void process_stats(struct process_stats *out)
{
    *out = (struct process_stats){0};
    read_stat(out);
    out->open_fds = count_fds();
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0)
        out->max_fds = r.rlim_cur;
}

uint64_t process_raise_files(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r))
        return 1024;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    getrlimit(RLIMIT_NOFILE, &r);
    return r.rlim_cur;
}

void process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    size_t len = strlen(path);
    memcpy(to.sun_path, path, len);
    if (*path == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
    close(fd);
}

/* {"time":"2026-01-02T03:04:05.678Z","level":"info","event":"…",fields}. Allocates
 * nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/json_log.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void json_log_line(enum log_level level, const char *event, const char *fields)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec t;
    struct tm tm;
    char day[32], head[192];
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(head, sizeof head,
                     "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"%s", day,
                     t.tv_nsec / 1000000, names[level], event, *fields ? "," : "");
    struct iovec parts[] = {{head, (size_t)n},
                            {(char *)(size_t)fields, strlen(fields)},
                            {(char *)(size_t) "}\n", 2}};
    if (writev(STDERR_FILENO, parts, 3) < 0)
        return; /* nowhere left to say so */
}

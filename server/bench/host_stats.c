/* Host statistics from /proc. Any thread; keeps no state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/host_stats.h"

#include <stdio.h>
#include <string.h>

static double read_load(void)
{
    double load = 0;
    FILE *f = fopen("/proc/loadavg", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%lf", &load) != 1)
        load = 0;
    fclose(f);
    return load;
}

void host_stats_read(struct host_stats *m)
{
    enum { STEAL = 7, FIELDS = 8 }; /* of the line "cpu", see proc(5) */
    double ticks[FIELDS] = {0};
    *m = (struct host_stats){.load = read_load()};
    FILE *f = fopen("/proc/stat", "r");
    if (!f)
        return;
    if (fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &ticks[0], &ticks[1], &ticks[2],
               &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[STEAL]) == FIELDS)
        m->stolen = ticks[STEAL];
    for (int i = 0; i < FIELDS; i++)
        m->total += ticks[i];
    fclose(f);
}

double host_stats_steal(const struct host_stats *from, const struct host_stats *to)
{
    double total = to->total - from->total;
    return total > 0 ? (to->stolen - from->stolen) / total : 0;
}

/* The line VmRSS of /proc/self/status, in KiB there. */
size_t host_stats_resident(void)
{
    static const char key[] = "VmRSS";
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            sscanf(line + strlen(key), ": %lu", &kib);
    fclose(f);
    return (size_t)kib * 1024;
}

/*
 * Statistics of the host during a benchmark: load, processor time stolen by other guests,
 * resident memory of this process. Read from /proc. Any thread; a value that the system
 * does not give is zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_BENCH_HOST_STATS_H
#define SERVER_BENCH_HOST_STATS_H

#include <stddef.h>

struct host_stats {
    double load;          /* runnable threads, mean of the last minute */
    double stolen, total; /* processor time since boot, in ticks of all processors */
};

/* Fills *m with the current values. */
void host_stats_read(struct host_stats *m);

/* Share of processor time, 0 to 1, that other guests took between two readings. */
double host_stats_steal(const struct host_stats *from, const struct host_stats *to);

size_t host_stats_resident(void); /* bytes of this process in memory */

#endif

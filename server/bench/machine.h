/*
 * What else this machine was doing, and what this process holds: load, stolen time,
 * resident memory. Any thread; zero where the system does not say.
 */
#ifndef SERVER_BENCH_MACHINE_H
#define SERVER_BENCH_MACHINE_H

#include <stddef.h>

struct machine {
    double load;          /* runnable threads, mean of the last minute */
    double stolen, total; /* processor time since boot, in ticks of all processors */
};

void machine_look(struct machine *m);

/* Share of processor time that other guests took between the two looks, 0 to 1. */
double machine_steal(const struct machine *from, const struct machine *to);

size_t machine_resident(void); /* bytes of this process in memory */

#endif

/*
 * How many of a pool's threads take part: all of them, unless other processes take their
 * processors.
 *
 * A thread that loses its processor in the middle of a task makes all the others wait for
 * it, several milliseconds at a time; two threads beside one busy neighbour on two
 * processors are then slower than one thread that has a processor to itself. So the
 * number falls while threads wait for processors, and rises by one after a rest that
 * doubles with every failure. Pure arithmetic on times that the pool measures; no result
 * depends on the number.
 */
#ifndef ENGINE_KERNEL_ACTIVE_THREADS_H
#define ENGINE_KERNEL_ACTIVE_THREADS_H

#include <stdint.h>

struct active_threads {
    int n_threads, n_active;       /* 1 <= n_active <= n_threads */
    int n_bad;                     /* looks in a row that found too much waiting */
    uint64_t looked_ns, waited_ns; /* at the last look */
    uint64_t until_ns, rest_ns;    /* no larger number before; the next rest */
};

void active_threads_init(struct active_threads *c, int n_threads);

/* Tells the time, any steady clock's, and for how long all active threads together
 * have been ready to run without a processor since they began. Changes n_active by what
 * happened since the last look. */
void active_threads_observe(struct active_threads *c, uint64_t now_ns,
                            uint64_t waited_ns);

#endif

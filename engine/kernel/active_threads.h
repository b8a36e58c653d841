/*
 * How many of a pool's threads take part: all of them, unless other processes take their
 * processors.
 *
 * A thread that loses its processor in the middle of a task makes all the others wait for
 * it, several milliseconds at a time; two threads beside one busy process on two
 * processors are then slower than one thread that has a processor to itself. So the
 * number falls while threads wait for processors, and rises by one after a rest that
 * doubles with every failure. Pure arithmetic on times that the pool measures; no result
 * depends on the number.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_ACTIVE_THREADS_H
#define ENGINE_KERNEL_ACTIVE_THREADS_H

#include <stdint.h>

struct active_threads {
    int n_threads, n_active;       /* 1 <= n_active <= n_threads */
    int n_bad;                     /* observations in a row with too much waiting */
    uint64_t looked_ns, waited_ns; /* at the last observation */
    uint64_t until_ns, rest_ns;    /* no rise before until_ns; the next rest */
};

void active_threads_init(struct active_threads *a, int n_threads);

/* now_ns: of any steady clock. waited_ns: for how long all threads together were ready to
 * run and had no processor, since they began. Sets n_active by the time since the last
 * observation. */
void active_threads_observe(struct active_threads *a, uint64_t now_ns,
                            uint64_t waited_ns);

#endif

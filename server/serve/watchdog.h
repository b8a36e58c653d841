/*
 * Ends the process when the event loop no longer turns: /livez cannot say so itself, for
 * the loop answers it. Opened and closed on the loop thread; the watching is a thread of
 * its own that shares one counter of turns with it. Refuses to mend anything: whoever
 * started the process starts it again.
 *
 * The subtle points: a turn counts once it has polled, so a loop that spins in its timers
 * is late too; and lateness is counted in the watching thread's ticks, not by a clock, so
 * that a process that was stopped or suspended is not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_WATCHDOG_H
#define SERVER_SERVE_WATCHDOG_H

#include "engine/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

struct watchdog {
    uv_check_t polled; /* loop thread: runs after each poll */
    atomic_uint turns;
    uv_thread_t thread;
    uv_mutex_t lock; /* guards stop */
    uv_cond_t stopped;
    bool stop;
    bool open;
    double limit_s; /* constant */
};

/* Watches the loop from its next turn on: late by limit_s, the process ends with a log line
 * and exit code 1. The loop must turn by itself several times within the limit. 0: does
 * nothing. ERR_INTERNAL when no thread starts. */
int watchdog_open(struct watchdog *w, uv_loop_t *loop, double limit_s, struct err *err);

/* Ends the watching; the loop must run once more for the handle to close. Accepts a zeroed
 * struct. */
void watchdog_close(struct watchdog *w);

#endif

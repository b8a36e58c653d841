/*
 * llama.cpp as a child process, run for run beside our own engine: tests/bench/peer, when
 * it is installed there (npm ci). Main thread.
 *
 * One line to it is one run, one line back the seconds it took. The subtle point: it
 * computes the context that we fill, once, outside of what is timed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_BENCH_BENCH_PEER_H
#define SERVER_BENCH_BENCH_PEER_H

#include "server/bench/bench_plan.h"

#include <stdio.h>
#include <sys/types.h>

struct bench_peer {
    pid_t pid;         /* 0 = not running */
    FILE *to, *from;   /* own the pipes */
    char refusal[320]; /* why it does not run the shape; "" = it does */
};

struct bench_peer_options {
    const char *shape, *kv;
    enum engine_weights format; /* own: f32, as a shape's */
    int threads, context;
};

/* Starts it and waits until its model is there. A shape that it does not run is no error:
 * it has ended then, and says why. ERR_UNSUPPORTED when it is not installed, ERR_IO with
 * its own reason when it cannot start. */
int bench_peer_open(struct bench_peer *p, const struct bench_peer_options *o,
                    struct err *err);
void bench_peer_close(struct bench_peer *p); /* accepts a zeroed struct; keeps refusal */

/* A run of as many tokens as ours; 0 seconds for more than one sequence, which it is not
 * asked for. ERR_IO. */
int bench_peer_run(struct bench_peer *p, const struct bench_case *c, double *seconds,
                   struct err *err);

#endif

/*
 * The queue's limit, and Retry-After for requests beyond it. Loop thread.
 *
 * The unit is a job, the engine's request for one prompt. The queue is full when more
 * jobs would wait than queue_limit beyond what free sequences will take at once. Time is
 * an argument; nothing here knows the engine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_ADMIT_H
#define SERVER_SERVE_ADMIT_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct admit {
    int queue_limit, max_seqs; /* constant; max_seqs is set when the engine is open */
    int waiting, running;      /* jobs */
    int seqs;                  /* sequences of the running jobs */
    double rate;               /* jobs ended a second, as of rate_ns */
    uint64_t rate_ns;
};

/* Takes n jobs into the queue, or ERR_BUSY without a change. With nothing queued or running,
 * any n is admitted. */
int admit_take(struct admit *a, int n, struct err *err);

/* A job with n sequences left the queue and runs. */
void admit_started(struct admit *a, int n_seqs);

/* A job is over; `started`: it ran, else it waited. */
void admit_ended(struct admit *a, bool started, int n_seqs, uint64_t now_ns);

/* Whole seconds, 1..30, until the queue has likely moved on. */
int admit_retry_after(const struct admit *a, uint64_t now_ns);

#endif

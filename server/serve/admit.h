/*
 * The queue's limit, and Retry-After for requests beyond it. Loop thread.
 *
 * The unit is a job, the engine's request for one prompt. At most queue_limit jobs wait
 * beyond what free sequences will take at once. Which of more give way the engine decides
 * (engine/run/flows.h), so that a quarter more, at most 64, are let through to it.
 * Beyond these a request is refused before its body is parsed, and costs the engine
 * nothing.
 *
 * Retry-After is how long the queue, as it is, will take to drain: its tokens over the
 * rows a second that the engine ran while jobs waited. A job's tokens are its prompt, less
 * the share of prompts that was cached of late, and for each choice max_tokens or, where
 * that is less, the mean answer of late: what clients ask for and what models say can be
 * far apart. Nothing else is averaged over time: the rate's clock stands still while
 * nothing waits, so a rate of long ago counts in full until there is a newer one; and
 * jobs that were cancelled or refused change nothing but the queue.
 *
 * Time and chance are arguments; nothing here knows the engine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_ADMIT_H
#define SERVER_SERVE_ADMIT_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADMIT_SIZES = 32 };

/* What a job asks for. */
struct admit_job {
    int n_prompt, n_choices, max_tokens;
};

struct admit_share { /* a ratio of sums in which older terms weigh less */
    double part, whole;
};

struct admit {
    int queue_limit, max_seqs; /* constant; max_seqs is set when the engine is open */
    int waiting, running;      /* jobs */
    int seqs;                  /* sequences of the running jobs */

    /* of those that wait and whose tokens are known: the rest is taken to be like them */
    int n_queued;
    double prompt_tokens;
    struct {
        double n, tokens;   /* choices and their max_tokens, */
    } answers[ADMIT_SIZES]; /* by the power of two that max_tokens is below */

    struct admit_share uncached; /* tokens of prompts that ran */
    struct admit_share answer;   /* tokens of answers that ended, over choices */
    struct admit_share rate; /* rows of the engine, over seconds in which jobs waited */
    double rows;             /* of the engine, */
    uint64_t rows_ns;        /* when they had last changed or jobs began to wait */
};

/* Whether n jobs would be taken: 0 or ERR_BUSY. With nothing queued or running, any n is
 * admitted. */
int admit_check(const struct admit *a, int n, struct err *err);

/* Takes n jobs, or ERR_BUSY without a change. */
int admit_take(struct admit *a, int n, struct err *err);

/* A job that was taken will never be queued. */
void admit_drop(struct admit *a);

/* A job that was taken is in the engine's queue. */
void admit_queue(struct admit *a, const struct admit_job *j);

/* It runs; n_cached tokens of its prompt are not computed. */
void admit_start(struct admit *a, const struct admit_job *j, int n_cached);

/* It was cancelled or refused in the queue. */
void admit_leave(struct admit *a, const struct admit_job *j);

/* It ran and has ended with so many tokens, all choices together; -1: it was cut short. */
void admit_end(struct admit *a, const struct admit_job *j, int n_generated);

/* The engine has run so many rows since it was opened. Call it often. */
void admit_measure(struct admit *a, double rows, uint64_t now_ns);

/* Whole seconds, 1..30, within which the queue has likely drained; 1 while nothing was
 * measured. `chance` in [0, 1) spreads them, upwards and by less than a third. */
int admit_retry_after(const struct admit *a, double chance);

#endif

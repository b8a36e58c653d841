/*
 * A job: the engine's request for one prompt of one connection, and the table that finds
 * it by the id that the engine's events carry. Loop thread. An id is never used twice, so an
 * event of a job that is gone finds nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_JOB_H
#define SERVER_SERVE_JOB_H

#include "engine/base/err.h"
#include "server/serve/admit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

struct job {
    uint64_t id;        /* 0 = not in the table */
    struct conn *conn;  /* borrows; a conn outlives its jobs */
    const int32_t *ids; /* borrows: the conn's */
    size_t n_ids;
    struct admit_job asks;
    int choices_left;
    int n_generated; /* by choices that ended; -1: one was cut short */
    bool started, paused;
    uint64_t submit_ns;
};

struct job_table {      /* zeroed = empty */
    struct job **slots; /* owns the array, borrows the jobs */
    size_t cap, free_hint;
    uint32_t serial;
};

int job_add(struct job_table *t, struct job *j, struct err *err); /* sets j->id */
void job_remove(struct job_table *t, struct job *j);
struct job *job_find(const struct job_table *t, uint64_t id);
void job_table_free(struct job_table *t);

#endif

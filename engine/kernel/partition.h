/*
 * Divides a job's units into tasks for the threads of a pool. The first tasks are long,
 * because long runs of weights stream best; the last ones are short, so that the threads
 * end together. Pure arithmetic; no result depends on the division.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_PARTITION_H
#define ENGINE_KERNEL_PARTITION_H

enum { PARTITION_CAP = 256 };

struct partition {
    int n;
    int begin[PARTITION_CAP + 1]; /* task i: units [begin[i], begin[i + 1]) */
};

/* A task has at least `least` units (>= 1), except the last; more where there would be
 * more tasks than PARTITION_CAP. n_units >= 0. */
void partition_cut(struct partition *p, int n_units, int least, int n_threads);

#endif

/*
 * A job's units cut into tasks for the threads of a pool. The first tasks are long, for
 * long runs of weights stream best, the last ones short, so that the threads end
 * together. Pure arithmetic; where the cuts are never shows in a result.
 */
#ifndef ENGINE_KERNEL_PARTITION_H
#define ENGINE_KERNEL_PARTITION_H

enum { PARTITION_CAP = 256 };

struct partition {
    int n;
    int begin[PARTITION_CAP + 1]; /* task i: units [begin[i], begin[i + 1]) */
};

/* At least `least` units a task (>= 1), but for the last; more where there would be more
 * tasks than PARTITION_CAP. n_units >= 0. */
void partition_cut(struct partition *p, int n_units, int least, int n_threads);

#endif

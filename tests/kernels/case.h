/*
 * A kernel under examination, and one call of it. The lists of kernels at the end are the
 * only place where cases are made; compare.c checks them and timing.c times them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_KERNELS_CASE_H
#define TESTS_KERNELS_CASE_H

#include "engine/kernel/kernel.h"

/* How an output is read: NaNs of floats are all the same. */
enum unit { UNIT_BYTES, UNIT_F16, UNIT_F32, UNIT_GROUPS, UNIT_N };

enum { CASE_OUTPUTS = 3 };

struct output {
    size_t n_bytes;
    enum unit unit;
    const void *start; /* what it holds before the call; NULL: what guards hold */
};

/* Runs a kernel of k on args, writing outputs 0 …; nothing else may change. */
typedef void run_fn(const struct kernels *k, const void *args, void *const *out);

struct kernel_case {
    const char *size; /* as text */
    const void *args;
    struct output out[CASE_OUTPUTS]; /* those that have bytes */
    double work; /* of one call, in the subject's unit; 0: not timed */
};

struct subject;
typedef void visit_fn(const struct subject *s, const struct kernel_case *c);

struct subject {
    const char *name;
    void (*cases)(const struct subject *s,
                  visit_fn *visit); /* makes and visits them all */
    run_fn *run;
    run_fn *reference; /* what the C set runs beside; NULL: the same */
    int type;          /* of weights or pages, where there are several */
    const char *unit;  /* of work a second */
};

/* Each in the file of its name, ended by a subject without a name. */
extern const struct subject linear_subjects[], quant_subjects[], attn_subjects[],
    scan_subjects[], conv_subjects[], row_subjects[];

#endif

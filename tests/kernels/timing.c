/*
 * Times cases, in seconds of the processor, so that other programs count little. Levels
 * alternate, A B A B, so that what still disturbs meets all of them; the figure is the
 * median of the rounds. One thread, input in the cache if it fits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/timing.h"

#include "tests/kernels/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7 };

static const double ROUND_S = 0.004;

static const struct levels *levels;
static struct region outputs[CASE_OUTPUTS];

void timing_open(const struct levels *l)
{
    levels = l;
    printf("%-20s %-30s %-8s", "kernel", "size", "unit");
    for (int i = 0; i < l->n; i++)
        printf(" %10s", l->set[i]->name);
    printf("\n");
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one call. */
static double timed(const struct subject *s, const struct kernel_case *c,
                    const struct kernels *k, void *const *out, int calls)
{
    double t = now();
    for (int i = 0; i < calls; i++)
        s->run(k, c->args, out);
    return (now() - t) / calls;
}

static int calls_for(double one_s)
{
    double n = ROUND_S / (one_s + 1e-9);
    return n < 1 ? 1 : (int)n;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void timing_case(const struct subject *s, const struct kernel_case *c)
{
    double t[LEVELS_CAP][ROUNDS];
    int calls[LEVELS_CAP];
    void *out[CASE_OUTPUTS];
    if (c->work <= 0 || s->reference)
        return;
    for (int i = 0; i < CASE_OUTPUTS; i++) {
        out[i] = memory_place(&outputs[i], c->out[i].n_bytes, true);
        if (c->out[i].start)
            memcpy(out[i], c->out[i].start, c->out[i].n_bytes);
    }
    for (int i = 0; i < levels->n; i++)
        calls[i] = calls_for(timed(s, c, levels->set[i], out, 1));
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < levels->n; i++)
            t[i][r] = timed(s, c, levels->set[i], out, calls[i]);
    printf("%-20s %-30s %-8s", s->name, c->size, s->unit);
    for (int i = 0; i < levels->n; i++) {
        qsort(t[i], ROUNDS, sizeof t[i][0], by_size);
        printf(" %10.2f", c->work / t[i][ROUNDS / 2]);
    }
    printf("\n");
    fflush(stdout);
}

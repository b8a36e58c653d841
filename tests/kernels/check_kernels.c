/*
 * Every kernel of every set that this processor runs: the same bits as the C set, and how
 * fast. It needs no library, so that it can be built for any machine. Usage:
 *
 *   check_kernels [--level NAME] [--only WORD] [--bench]
 *
 * Checking prints a line for each kernel and ends with "N passed, N failed", each kernel
 * of each level counting once; the exit status is 1 if any failed. The line holds a
 * digest of all outputs at the best level: whoever gets the same digest on another
 * processor has the same bits there (same_digests.py). --bench times the same cases
 * instead.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/kernels/compare.h"
#include "tests/kernels/timing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct subject *const lists[] = {linear_subjects, quant_subjects,
                                              attn_subjects,   scan_subjects,
                                              conv_subjects,   row_subjects};

/* A kernel that is added to the table needs cases in a list, then counts here: the name,
 * linear, quantise, kv_store, attn, scans, conv, norms and reductions, rope, elementwise,
 * widen.
 */
_Static_assert(sizeof(struct kernels) == (1 + DTYPE_N + 1 + ENGINE_KV_N + ENGINE_KV_N +
                                          5 + 1 + 5 + 1 + 13 + DTYPE_FLOATS) *
                                             sizeof(void *),
               "a kernel of the table has no cases");

struct options {
    const char *level, *only;
    bool bench;
};

static bool parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--bench") == 0)
            o->bench = true;
        else if (strcmp(argv[i], "--level") == 0 && more)
            o->level = argv[++i];
        else if (strcmp(argv[i], "--only") == 0 && more)
            o->only = argv[++i];
        else
            return false;
    }
    return true;
}

/* Levels of the subject that failed. */
static int report(const struct subject *s, const struct levels *l)
{
    const struct totals *t = compare_totals();
    int failed = 0;
    for (int i = 0; i < l->n; i++)
        failed += t->failed[i] > 0;
    printf("%s %-20s %4u cases, digest %016" PRIx64 ":", failed ? "FAIL" : "ok  ",
           s->name, t->n_cases, t->digest);
    for (int i = 0; i < l->n; i++)
        if (t->failed[i])
            printf(" %s (%u failed)", l->set[i]->name, t->failed[i]);
        else
            printf(" %s", l->set[i]->name);
    printf("\n");
    fflush(stdout);
    return failed;
}

static int check(const struct subject *s, const struct levels *l, const struct options *o)
{
    if (o->bench) {
        s->cases(s, timing_case);
        return 0;
    }
    compare_begin();
    s->cases(s, compare_case);
    return report(s, l);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct levels l;
    int n = 0, failed = 0;
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: %s [--level NAME] [--only WORD] [--bench]\n", argv[0]);
        return 2;
    }
    if (!level_find(&l, o.level)) {
        fprintf(stderr, "this processor has no level \"%s\"\n", o.level);
        return 2;
    }
    compare_open(&l);
    if (o.bench)
        timing_open(&l);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct subject *s = lists[i]; s->name; s++) {
            if (o.only && !strstr(s->name, o.only))
                continue;
            failed += check(s, &l, &o);
            n += l.n;
        }
    if (!o.bench)
        printf("%d passed, %d failed\n", n - failed, failed);
    return failed > 0;
}

/* Looking back, and how far to trust it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/draft.h"

enum {
    FIRST = 2,       /* tokens proposed at first */
    SHORT_REST = 4,  /* steps */
    LONG_REST = 128, /* at most */
    SHORTEST = 3,    /* tokens of common past that are asked */
    LONGEST = 8      /* beyond it no place is better than another */
};

/* Tokens that the texts before two places have in common. */
static int common_past(const int32_t *tokens, int a, int b)
{
    int n = 0;
    while (n < LONGEST && n < a && tokens[a - 1 - n] == tokens[b - 1 - n])
        n++;
    return n;
}

/* The place whose past is most like that of n; 0: none. */
static int find(const int32_t *tokens, int n)
{
    int best = 0, longest = SHORTEST - 1;
    for (int at = n - 1; at >= SHORTEST && longest < LONGEST; at--) {
        if (tokens[at - 1] != tokens[n - 1])
            continue;
        int common = common_past(tokens, at, n);
        if (common > longest) {
            longest = common;
            best = at;
        }
    }
    return best;
}

/* A place near the end is read on into what was just written: a loop goes on. */
int draft_lookup(int32_t *tokens, int n, int most)
{
    int from = most > 0 ? find(tokens, n) : 0;
    if (from == 0)
        return 0;
    for (int i = 0; i < most; i++)
        tokens[n + i] = tokens[from + i];
    return most;
}

int draft_allowance(struct draft *d)
{
    if (d->most == 0)
        *d = (struct draft){.most = FIRST, .rest = SHORT_REST};
    if (d->wait == 0)
        return d->most;
    d->wait--;
    return 0;
}

static void pause(struct draft *d)
{
    d->wait = d->rest;
    d->rest = 2 * d->rest < LONG_REST ? 2 * d->rest : LONG_REST;
}

void draft_learn(struct draft *d, int n_accepted)
{
    if (n_accepted == d->n) {
        d->most = 2 * d->most < DRAFT_MAX ? 2 * d->most : DRAFT_MAX;
        d->rest = SHORT_REST;
    } else if (n_accepted > 0) {
        d->most = n_accepted;
    } else if (d->most > 1) {
        d->most /= 2;
    } else {
        pause(d);
    }
}

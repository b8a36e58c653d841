/*
 * Proposals for a sequence's next tokens without a second model: what followed the last
 * time its latest tokens were seen (prompt lookup decoding, an instance of speculative
 * decoding: Leviathan et al. 2023, arXiv:2211.17192, section 2.1). Whoever verifies them
 * decides what is said; nothing here changes a result. Pure but for the struct; engine
 * thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_DRAFT_H
#define ENGINE_RUN_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

enum { DRAFT_MAX = 7 }; /* tokens: with the one that is known, eight rows */

struct draft {      /* of a sequence; zeroed = nothing is known of it */
    int n;          /* tokens proposed in this step */
    int n_known;    /* tokens known when they were */
    int most;       /* automatic: so many next time; 0 = not begun */
    int wait, rest; /* automatic: steps without proposals left; the next such pause */
};

/* Writes at most `most` tokens behind tokens[0, n) and returns how many. The last three
 * tokens at least must have been seen before; of several places the one with the longest
 * common past wins, then the latest. */
int draft_lookup(int32_t *tokens, int n, int most);

/* How many tokens an automatic draft may propose now: 0 while it pauses. */
int draft_allowance(struct draft *d);

/* What became of d->n proposals. All accepted: more next time; none: fewer, then a pause.
 */
void draft_learn(struct draft *d, int n_accepted);

#endif

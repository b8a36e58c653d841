/* Counting lost tokens. A token has one reason: the nearest to what would have helped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/prefix_miss.h"

#include <string.h>

enum { LOOK_TOKENS = 64 };

/* Bytes of a run of tokens, token by token. */
struct bytes {
    const struct vocab *vocab;
    const int32_t *ids;
    int n, n_done;  /* tokens; of them, those whose bytes are all taken */
    const char *at; /* of the token at n_done */
    size_t left;
};

static bool refill(struct bytes *b)
{
    while (b->left == 0 && b->n_done < b->n) {
        b->at = vocab_token_bytes(b->vocab, b->ids[b->n_done], &b->left);
        if (!b->at || b->left == 0) {
            b->left = 0;
            b->n_done++;
        }
    }
    return b->left > 0;
}

static void take(struct bytes *b, size_t n)
{
    b->at += n;
    b->left -= n;
    b->n_done += b->left == 0;
}

/* How many tokens of a say what b says; -1 when a is not another cut of b's text: their
 * first tokens differ, but the text goes on past both, or to b's end. */
static int count_same_text(struct bytes *a, struct bytes *b)
{
    while (refill(a) && refill(b)) {
        size_t n = a->left < b->left ? a->left : b->left;
        if (memcmp(a->at, b->at, n) != 0)
            return a->n_done && b->n_done ? a->n_done : -1;
        take(a, n);
        take(b, n);
    }
    return b->n_done && (a->n_done || b->n_done == b->n) ? a->n_done : -1;
}

/* The depth up to which the prompt repeats a stored text in other tokens, or 0. */
static int retokenised(const struct prefix *p, const struct vocab *vocab,
                       const struct request *r, const struct prefix_match *m)
{
    int32_t beyond[LOOK_TOKENS];
    int rest = r->n_prompt - m->known;
    if (!vocab || rest == 0)
        return 0;
    struct bytes a = {.vocab = vocab,
                      .ids = r->seqs[0].tokens + m->known,
                      .n = rest < LOOK_TOKENS ? rest : LOOK_TOKENS};
    struct bytes b = {.vocab = vocab, .ids = beyond};
    b.n = prefix_beyond(p, m, beyond, LOOK_TOKENS);
    int n = b.n ? count_same_text(&a, &b) : -1;
    return n < 0 ? 0 : m->known + n;
}

static int count(uint64_t *missed, int from, int to)
{
    if (to <= from)
        return from;
    *missed += (uint64_t)(to - from);
    return to;
}

void prefix_miss_count(const struct prefix *p, const struct vocab *vocab,
                       const struct request *r, const struct prefix_match *m,
                       uint64_t *missed)
{
    struct prefix_path path = {
        .key = r->key, .tokens = r->seqs[0].tokens, .n = r->n_prompt};
    int at = r->n_cached;
    at = count(&missed[ENGINE_MISS_SALT], at, prefix_elsewhere(p, &path));
    at = count(&missed[ENGINE_MISS_EVICTED], at, m->evicted);
    at = count(&missed[ENGINE_MISS_RETOKENISED], at, retokenised(p, vocab, r, m));
    count(&missed[ENGINE_MISS_NO_CHECKPOINT], at, m->known);
}

/*
 * The text is cut at its added tokens as for encoding, and the ids at the same tokens, so
 * that what a normalizer has changed in one segment displaces nothing behind it. Between
 * them the bytes of the tokens are counted. Runs on any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/depths.h"

#include "engine/base/buf.h"
#include "engine/tokenizer/marks.h"
#include "engine/tokenizer/segment.h"

struct walk {
    const struct vocab *v;
    const struct engine_text *t;
    const struct ids *ids;
    size_t at, n_ids; /* bytes and ids that are passed */
    const size_t *offsets;
    int32_t *depths;
    size_t n, found; /* offsets, and those before `at` */
};

/* The next id ends at byte `end`. */
static void pass(struct walk *w, size_t end)
{
    while (w->found < w->n && w->offsets[w->found] < end)
        w->depths[w->found++] = (int32_t)w->n_ids;
    w->n_ids++;
    w->at = end;
}

/* Bytes of the text that an id spells. A tokenizer may put a space before a segment. */
static size_t spelt(const struct walk *w, bool first)
{
    size_t len = 0;
    const char *s = vocab_token_bytes(w->v, w->ids->data[w->n_ids], &len);
    bool put = first && len > 0 && s[0] == ' ' && w->t->text[w->at] != ' ';
    return len - put;
}

/* Passes a segment: the text up to `end`, which the ids up to `last` make. */
static void pass_segment(struct walk *w, size_t end, size_t last)
{
    for (bool first = true; w->n_ids < last; first = false) {
        size_t left = end - w->at, len = left > 0 ? spelt(w, first) : 0;
        pass(w, len < left && w->n_ids + 1 < last ? w->at + len : end);
    }
    w->at = end;
}

/* Where an id comes next; ids->n: nowhere. */
static size_t find_id(const struct walk *w, int32_t id)
{
    size_t i = w->n_ids;
    while (i < w->ids->n && w->ids->data[i] != id)
        i++;
    return i;
}

/* Up to an added token that is not among the ids, as one that a stored conversation has
 * spelt otherwise. What follows is then one segment. */
static void pass_added(struct walk *w, struct segment_cursor *c)
{
    struct segment seg;
    size_t begin = 0;
    while (segment_next(c, &seg)) {
        if (seg.id >= 0) {
            size_t i = find_id(w, seg.id);
            if (i == w->ids->n)
                return;
            pass_segment(w, begin, i);
            pass(w, c->done);
        }
        begin = c->done;
    }
}

bool depths_find(const struct vocab *v, const struct engine_text *t,
                 const struct ids *ids, const size_t *offsets, size_t n, int32_t *depths)
{
    struct walk w = {
        .v = v, .t = t, .ids = ids, .offsets = offsets, .depths = depths, .n = n};
    struct buf marks = {0};
    marks_spread(&marks, t);
    struct segment_cursor c = {.vocab = v,
                               .tokens = &v->raw,
                               .s = t->text,
                               .marks = marks.len ? marks.data : NULL,
                               .len = t->len};
    if (!marks.failed)
        pass_added(&w, &c);
    bool ok = !marks.failed;
    buf_free(&marks);
    pass_segment(&w, t->len, ids->n);
    while (w.found < n)
        depths[w.found++] = (int32_t)ids->n;
    return ok;
}

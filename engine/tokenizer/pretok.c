/*
 * Each step turns one list of pieces into the next; the steps that change the text (byte
 * level, Metaspace) rewrite it. A pattern is matched against one piece at a time, without
 * the text around it. Time is linear if the patterns are; regex.c limits them. Runs on
 * the encoding thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/pretok.h"

#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/byte_level.h"

#include <string.h>

bool pretok_init(struct pretok *t)
{
    *t = (struct pretok){0};
    return regex_scan_init(&t->scan);
}

void pretok_free(struct pretok *t)
{
    buf_free(&t->text);
    buf_free(&t->spare);
    mem_free(t->list.data);
    mem_free(t->next.data);
    regex_scan_free(&t->scan);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for pieces of text");
}

static bool list_push(struct pretok_list *l, size_t begin, size_t end)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct pretok_piece *data =
            mem_grow(l->data, l->n * sizeof *data, cap * sizeof *data);
        if (!data)
            return false;
        l->data = data;
        l->cap = cap;
    }
    l->data[l->n++] = (struct pretok_piece){begin, end};
    return true;
}

/* ---- Split ------------------------------------------------------------------ */

/* The state of splitting one piece. */
struct cut {
    struct pretok_list *out;
    enum split_behavior behavior;
    bool invert;
    bool any;     /* out already holds a part of this piece */
    bool matched; /* the last part was a match */
};

static bool extend(struct cut *c, size_t end)
{
    c->out->data[c->out->n - 1].end = end;
    return true;
}

/* Adds one part, matching or not: as a piece, as the end of the last one, or not at
 * all. */
static bool cut_part(struct cut *c, size_t begin, size_t end, bool match)
{
    bool was = c->matched;
    match ^= c->invert;
    if (begin == end)
        return true;
    c->matched = match;
    switch (c->behavior) {
    case SPLIT_REMOVED:
        return match || list_push(c->out, begin, end);
    case SPLIT_ISOLATED:
        return list_push(c->out, begin, end);
    case SPLIT_CONTIGUOUS:
        if (c->any && match == was)
            return extend(c, end);
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        if (c->any && match && !was)
            return extend(c, end);
        break;
    case SPLIT_MERGED_WITH_NEXT:
        if (c->any && !match && was)
            return extend(c, end);
        break;
    }
    c->any = true;
    return list_push(c->out, begin, end);
}

static int split_piece(struct pretok *t, const struct regex *re, struct cut *c,
                       const struct pretok_piece *piece, struct err *err)
{
    size_t base = piece->begin, from = 0, len = piece->end - piece->begin;
    int found = 0;
    t->scan.s = t->text.data + base;
    t->scan.len = len;
    while (from < len && (found = regex_find(re, &t->scan, from, err)) > 0) {
        if (!cut_part(c, base + from, base + t->scan.begin, false) ||
            !cut_part(c, base + t->scan.begin, base + t->scan.end, true))
            return no_memory(err);
        from = t->scan.end;
    }
    if (found < 0)
        return found;
    return cut_part(c, base + from, base + len, false) ? 0 : no_memory(err);
}

static int split(struct pretok *t, const struct regex *re, enum split_behavior behavior,
                 bool invert, struct err *err)
{
    t->next.n = 0;
    for (size_t i = 0; i < t->list.n; i++) {
        struct cut c = {.out = &t->next, .behavior = behavior, .invert = invert};
        int rc = split_piece(t, re, &c, &t->list.data[i], err);
        if (rc != 0)
            return rc;
    }
    struct pretok_list l = t->list;
    t->list = t->next;
    t->next = l;
    return 0;
}

/* ---- steps that rewrite the text -------------------------------------------- */

typedef void rewrite_fn(struct buf *out, const struct pretok_step *st, const char *s,
                        size_t len);

static void to_byte_level(struct buf *out, const struct pretok_step *st, const char *s,
                          size_t len)
{
    (void)st;
    if (!buf_reserve(out, len * 2))
        return;
    for (size_t i = 0; i < len; i++) {
        char c[4];
        unsigned char b = (unsigned char)s[i];
        if (b > 0x20 && b < 0x7F)
            out->data[out->len++] = (char)b;
        else
            buf_put(out, c, (size_t)utf8_encode(byte_level_char(b), c));
    }
}

static void as_is(struct buf *out, const struct pretok_step *st, const char *s,
                  size_t len)
{
    (void)st;
    buf_put(out, s, len);
}

static void to_mark(struct buf *out, const struct pretok_step *st, const char *s,
                    size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] == ' ')
            buf_put(out, st->text, st->text_len);
        else
            buf_putc(out, s[i]);
    }
}

static bool begins(const char *s, size_t len, const char *with, size_t with_len)
{
    return len >= with_len && memcmp(s, with, with_len) == 0;
}

/* Rewrites each piece with fn. `lead` is put before pieces that do not begin with it:
 * never, before the first of a text, or always, as the step's prepend says. */
static int rewrite(struct pretok *t, const struct pretok_step *st, rewrite_fn *fn,
                   bool first, struct err *err)
{
    const char *lead = st->kind == PRETOK_METASPACE ? st->text : " ";
    size_t lead_len = st->kind == PRETOK_METASPACE ? st->text_len : 1;
    buf_reset(&t->spare);
    for (size_t i = 0; i < t->list.n; i++) {
        struct pretok_piece *p = &t->list.data[i];
        const char *s = t->text.data + p->begin;
        size_t len = p->end - p->begin, begin = t->spare.len;
        bool wants = st->prepend == PREPEND_ALWAYS ||
                     (st->prepend == PREPEND_FIRST && first && i == 0);
        bool has = begins(s, len, lead, lead_len) ||
                   (st->kind == PRETOK_METASPACE && s[0] == ' ');
        if (wants && !has)
            fn(&t->spare, st, lead, lead_len);
        fn(&t->spare, st, s, len);
        *p = (struct pretok_piece){begin, t->spare.len};
    }
    if (t->spare.failed)
        return no_memory(err);
    struct buf b = t->text;
    t->text = t->spare;
    t->spare = b;
    return 0;
}

static int byte_level(struct pretok *t, const struct pretok_step *st, bool first,
                      struct err *err)
{
    static const struct pretok_step plain = {.kind = PRETOK_BYTE_LEVEL};
    int rc = 0;
    if (!st->pattern)
        return rewrite(t, st, to_byte_level, first, err);
    if (st->prepend != PREPEND_NEVER)
        rc = rewrite(t, st, as_is, first, err);
    if (rc == 0)
        rc = split(t, st->pattern, SPLIT_ISOLATED, false, err);
    return rc == 0 ? rewrite(t, &plain, to_byte_level, first, err) : rc;
}

static int metaspace(struct pretok *t, const struct pretok_step *st, bool first,
                     struct err *err)
{
    int rc = rewrite(t, st, to_mark, first, err);
    if (rc == 0 && st->split)
        rc = split(t, st->pattern, SPLIT_MERGED_WITH_NEXT, false, err);
    return rc;
}

int pretok_run(struct pretok *t, const struct pipeline *p, const struct buf *segment,
               bool first, struct err *err)
{
    buf_reset(&t->text);
    buf_put(&t->text, segment->data, segment->len);
    t->list.n = 0;
    if (segment->len == 0)
        return 0;
    int rc = t->text.failed || !list_push(&t->list, 0, segment->len) ? no_memory(err) : 0;
    for (size_t i = 0; rc == 0 && i < p->n_pretok; i++) {
        const struct pretok_step *st = &p->pretok[i];
        if (st->kind == PRETOK_SPLIT)
            rc = split(t, st->pattern, st->behavior, st->invert, err);
        else if (st->kind == PRETOK_BYTE_LEVEL)
            rc = byte_level(t, st, first, err);
        else
            rc = metaspace(t, st, first, err);
    }
    return rc;
}

/*
 * The conversation is decoded into pieces of text, then the prompt is compared with them
 * in order. A piece that a prompt may leave out is skipped where the prompt continues
 * otherwise; a new part that begins with the same characters is taken for the piece.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/match.h"

#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "engine/tokenizer/detok.h"
#include "engine/tokenizer/normal.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/* ---- the conversation as pieces of text ------------------------------------- */

enum piece_kind {
    PIECE_SHOWN,    /* must be there */
    PIECE_OPTIONAL, /* may be left out */
    PIECE_UNSEEN,   /* the same: an answer's end, to its end or its stop string's */
    PIECE_BEHIND    /* behind that stop string: only where that was not left out */
};

struct piece {
    enum piece_kind kind;
    size_t len;
};

struct text {
    const char *at;
    size_t len;
};

struct pieces {
    const struct vocab *v;
    struct detok detok;   /* owns */
    struct buf text, all; /* own; all: of struct piece */
    size_t spaces;        /* that the decoder strips from the beginning */
    bool apart;           /* the next piece is not the last one's continuation */
};

static void put(struct pieces *p, enum piece_kind kind, const char *s, size_t len)
{
    struct piece *last =
        p->all.len ? (struct piece *)(void *)(p->all.data + p->all.len) - 1 : NULL;
    if (len == 0)
        return;
    buf_put(&p->text, s, len);
    if (last && last->kind == kind && !p->apart && !p->text.failed)
        last->len += len;
    else
        buf_put(&p->all, &(struct piece){kind, len}, sizeof(struct piece));
    p->apart = kind == PIECE_OPTIONAL;
}

static size_t clamp(size_t n, size_t least, size_t most)
{
    return n < least ? least : n < most ? n : most;
}

/* A token's text from `at` on: it was shown up to `shown`, the stop string ends at `stop`.
 */
static void put_parts(struct pieces *p, struct text s, size_t at, size_t shown,
                      size_t stop)
{
    shown = clamp(shown, at, s.len);
    stop = clamp(stop, shown, s.len);
    put(p, PIECE_SHOWN, s.at + at, shown - at);
    put(p, PIECE_UNSEEN, s.at + shown, stop - shown);
    put(p, PIECE_BEHIND, s.at + stop, s.len - stop);
}

/* What a token's text has in front that may be missing in a prompt: U+FFFD of a character
 * that an answer before it did not complete, or a space that the decoder strips. */
static size_t put_front(struct pieces *p, const char *s, size_t len, bool cut)
{
    size_t n = 0;
    if (cut && len >= 3 && memcmp(s, REPLACEMENT, 3) == 0) {
        put(p, PIECE_OPTIONAL, s, 3);
        n = 3;
    }
    for (; p->spaces > 0 && n < len && s[n] == ' '; n++)
        p->spaces--;
    p->spaces = n < len ? 0 : p->spaces;
    return n;
}

/* Token i; e: the next end. *cut: an answer ended before it, inside a character. */
static void put_token(struct pieces *p, const int32_t *ids, int32_t i,
                      const struct answer_end *e, bool *cut)
{
    size_t len = 0, shown = SIZE_MAX, stop = SIZE_MAX;
    const char *s = vocab_token_bytes(p->v, ids[i], &len);
    struct detok_out out;
    if (s && vocab_special(p->v, ids[i])) {
        put(p, PIECE_OPTIONAL, s, len);
        return;
    }
    detok_push(&p->detok, ids[i], 0, &out);
    if (e && i >= e->from)
        shown = i == e->from ? (size_t)e->shown : 0;
    if (e && i == e->at - 1 && e->stop > 0)
        stop = (size_t)e->stop;
    s = out.tokens[0].text;
    len = out.tokens[0].text_len;
    size_t front = put_front(p, s, len, *cut);
    *cut = *cut && len == 0;
    put_parts(p, (struct text){s, len}, front, shown, stop);
}

static int put_all(struct pieces *p, const struct history *h, struct err *err)
{
    const struct answer_end *e = h->ends, *last = e + h->n_ends;
    bool cut = false;
    int rc = detok_init(&p->detok, p->v, NULL, err);
    if (rc)
        return rc;
    p->spaces = p->v->pipe.strip_spaces;
    for (int32_t i = 0; i < (int32_t)h->n_ids; i++) {
        for (; e < last && e->at <= i; e++)
            cut = p->apart = true;
        cut = cut && p->detok.tail_len > 0;
        put_token(p, h->ids, i, e < last ? e : NULL, &cut);
    }
    if (p->detok.tail_len > 0)
        put(p, PIECE_OPTIONAL, REPLACEMENT, 3);
    return p->text.failed || p->all.failed
               ? err_set(err, ERR_MEMORY, "out of memory for a conversation's text")
               : 0;
}

static void pieces_free(struct pieces *p)
{
    detok_free(&p->detok);
    buf_free(&p->text);
    buf_free(&p->all);
}

/* ---- the prompt ------------------------------------------------------------- */

struct prompt {
    const char *text;
    size_t len, at;
    struct pipeline forms; /* the normalizer's steps that change characters in place */
    struct normal_text form;
};

/* What other steps change depends on more than a character, or decoders undo it. */
static void take_forms(struct pipeline *to, const struct pipeline *from)
{
    *to = (struct pipeline){0};
    for (size_t i = 0; i < from->n_normal; i++)
        if (from->normal[i].kind <= NORMAL_NFKD || from->normal[i].kind == NORMAL_LOWER)
            to->normal[to->n_normal++] = from->normal[i];
}

/* The normal form of the cluster that the prompt is in; *begin and *end: its place. */
static int normalise_cluster(struct prompt *p, size_t *begin, size_t *end,
                             struct err *err)
{
    normal_cluster(p->text, p->len, p->at, begin, end);
    int rc = normal_set(&p->form, p->text + *begin, *end - *begin, NULL, err);
    return rc ? rc : normal_run(&p->forms, &p->form, err);
}

/* Passes s[0..len), which is as the prompt has it, cluster by cluster, or as its normal
 * form has it. ERR_CONFLICT: they part at p->at. */
static int pass(struct prompt *p, const char *s, size_t len, struct err *err)
{
    size_t least = p->at, begin, end; /* before `least` they have been compared */
    for (size_t i = 0; i < len;) {
        if (p->at < p->len && p->text[p->at] == s[i]) {
            p->at++;
            i++;
            continue;
        }
        if (p->at == p->len || p->forms.n_normal == 0)
            return -ERR_CONFLICT;
        int rc = normalise_cluster(p, &begin, &end, err);
        if (rc)
            return rc;
        size_t back = p->at - begin, n = p->form.text.len;
        if (begin < least || n > len - i + back ||
            memcmp(s + i - back, p->form.text.data, n) != 0)
            return -ERR_CONFLICT;
        i += n - back;
        least = p->at = end;
    }
    return 0;
}

static bool pass_if_there(struct prompt *p, const char *s, size_t len)
{
    if (len > p->len - p->at || memcmp(p->text + p->at, s, len) != 0)
        return false;
    p->at += len;
    return true;
}

/* The conversation, piece by piece, against the prompt. */
static int compare(struct prompt *p, const struct pieces *said, struct err *err)
{
    const struct piece *piece = (const void *)said->all.data;
    const char *s = said->text.data;
    bool taken = true;
    int rc = 0;
    for (size_t left = said->all.len / sizeof *piece; rc == 0 && left > 0; left--) {
        if (piece->kind == PIECE_SHOWN)
            rc = pass(p, s, piece->len, err);
        else if (piece->kind != PIECE_BEHIND || taken)
            taken = pass_if_there(p, s, piece->len);
        taken = taken || piece->kind != PIECE_UNSEEN;
        s += piece->len;
        piece++;
    }
    return rc;
}

static int parted(struct err *err, const char *unit, size_t at)
{
    return err_set(err, ERR_CONFLICT, "they part at %s %zu", unit, at);
}

int match_text(const struct vocab *v, const struct history *h, const char *text,
               size_t len, size_t *at, struct err *err)
{
    struct pieces said = {.v = v};
    struct prompt p = {.text = text, .len = len};
    take_forms(&p.forms, &v->pipe);
    int rc = put_all(&said, h, err);
    if (rc == 0)
        rc = compare(&p, &said, err);
    *at = p.at;
    pieces_free(&said);
    normal_free(&p.form);
    return rc == -ERR_CONFLICT ? parted(err, "byte", *at) : rc;
}

void match_unseen(const struct vocab *v, const struct history *h, struct buf *text)
{
    const struct answer_end *e = h->n_ends ? &h->ends[h->n_ends - 1] : NULL;
    struct pieces said = {.v = v};
    struct err err;
    bool cut = false;
    if (!e || (size_t)e->at != h->n_ids || e->from == e->at)
        return;
    if (detok_init(&said.detok, v, NULL, &err)) {
        text->failed = true;
        return;
    }
    detok_resume(&said.detok, h->ids, (size_t)e->from);
    for (int32_t i = e->from; i < e->at; i++)
        put_token(&said, h->ids, i, e, &cut);
    size_t shown = clamp((size_t)e->shown, 0, said.text.len);
    buf_put(text, said.text.data + shown, said.text.len - shown);
    text->failed |= said.text.failed || said.all.failed;
    pieces_free(&said);
}

/* ---- ids -------------------------------------------------------------------- */

/* Passes h's ids up to `to`. */
static bool pass_ids(const struct history *h, const int32_t *ids, size_t n, size_t *i,
                     size_t to, size_t *at)
{
    while (*i < to && *at < n && ids[*at] == h->ids[*i]) {
        ++*i;
        ++*at;
    }
    return *i == to;
}

int match_ids(const struct history *h, const int32_t *ids, size_t n, size_t *at,
              struct err *err)
{
    size_t i = 0;
    *at = 0;
    for (const struct answer_end *e = h->ends; e < h->ends + h->n_ends; e++) {
        size_t from = (size_t)e->from + (e->shown > 0), unseen = (size_t)e->at - from;
        if (!pass_ids(h, ids, n, &i, from, at))
            return parted(err, "id", *at);
        if (unseen <= n - *at &&
            memcmp(ids + *at, h->ids + from, unseen * sizeof *ids) == 0)
            *at += unseen;
        i = (size_t)e->at;
    }
    return pass_ids(h, ids, n, &i, h->n_ids, at) ? 0 : parted(err, "id", *at);
}

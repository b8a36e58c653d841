/*
 * The steps of encoding: repair UTF-8, split at added tokens, normalise each segment,
 * split at normalised added tokens, pre-tokenise into pieces, turn each piece into
 * symbols and merge them. Runs on any thread and only reads the vocab. The subtle points:
 * each segment is normalised alone, so that no character composes across an added token;
 * and in a text with content no piece becomes a special token by way of the model's own
 * vocabulary, which may have it too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/bpe.h"

#include "engine/base/utf8.h"
#include "engine/tokenizer/bpe_merge.h"
#include "engine/tokenizer/marks.h"
#include "engine/tokenizer/normal.h"
#include "engine/tokenizer/pretok.h"
#include "engine/tokenizer/segment.h"

#include <string.h>

struct encoder {
    const struct vocab *v;
    bool find_added;
    bool first;      /* no segment has been encoded yet */
    bool more;       /* the text continues another: its first segment uses `within` */
    bool no_special; /* pieces do not become special tokens */
    struct pipeline within;  /* the pipeline without prefixes; borrows the vocab's */
    struct normal_text text; /* owns; a segment during normalisation */
    struct buf part;         /* owns; a segment between normalised added tokens */
    struct pretok pretok;
    struct bpe_merge merge;
    struct ids *out;
    struct err *err;
};

static int no_memory(struct encoder *e)
{
    return err_set(e->err, ERR_MEMORY, "out of memory while tokenising");
}

/* ---- one piece -------------------------------------------------------------- */

static int32_t may_be(const struct encoder *e, int32_t id)
{
    return e->no_special && vocab_special(e->v, id) ? -1 : id;
}

static int32_t char_id(const struct encoder *e, const char *s, size_t len, uint32_t c)
{
    const struct vocab *v = e->v;
    return may_be(e,
                  c < VOCAB_DIRECT ? v->direct[c] : strmap_get(&v->by_text, s, len, -1));
}

/* Adds the <0xXX> token of each byte of a character. False: some byte has none, and
 * nothing was added. */
static bool add_bytes(struct encoder *e, const char *s, size_t len, bool *failed)
{
    const int32_t *byte_ids = e->v->byte_ids;
    for (size_t i = 0; i < len; i++)
        if (byte_ids[(unsigned char)s[i]] < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        *failed |= !bpe_merge_add(&e->merge, byte_ids[(unsigned char)s[i]]);
    return true;
}

/* Adds one symbol for each character. An unknown character is added when the next symbol
 * is seen, so that fuse_unk can turn several into one. */
static bool add_symbols(struct encoder *e, const char *s, size_t len)
{
    const struct vocab *v = e->v;
    bool failed = false, unknown = false;
    for (size_t at = 0, n; at < len && !failed; at += n) {
        uint32_t c = 0;
        n = (size_t)utf8_decode(s + at, len - at, &c);
        int32_t id = char_id(e, s + at, n, c);
        if (id < 0 && add_bytes(e, s + at, n, &failed))
            continue;
        if (unknown && (id >= 0 || !v->fuse_unk))
            failed |= !bpe_merge_add(&e->merge, v->unk_id);
        if (id >= 0)
            failed |= !bpe_merge_add(&e->merge, id);
        unknown = id < 0 && v->unk_id >= 0;
    }
    if (unknown)
        failed |= !bpe_merge_add(&e->merge, v->unk_id);
    return !failed;
}

static int encode_piece(struct encoder *e, const char *s, size_t len)
{
    if (e->v->ignore_merges) {
        int32_t id = may_be(e, strmap_get(&e->v->by_text, s, len, -1));
        if (id >= 0)
            return ids_push(e->out, id) ? 0 : no_memory(e);
    }
    e->merge.n = 0;
    if (!add_symbols(e, s, len) || !bpe_merge_run(&e->merge, e->v) ||
        !ids_reserve(e->out, e->merge.n))
        return no_memory(e);
    for (size_t i = 0; i < e->merge.n; i++)
        e->out->data[e->out->n++] = e->merge.symbols[i].id;
    return 0;
}

/* ---- segments --------------------------------------------------------------- */

/* A text that continues another gets no prefix from the normalizer or pre-tokenizer. */
static void begin_within(struct encoder *e)
{
    struct pipeline *p = &e->within;
    size_t n = 0;
    *p = e->v->pipe;
    for (size_t i = 0; i < p->n_normal; i++)
        if (p->normal[i].kind != NORMAL_PREPEND)
            p->normal[n++] = p->normal[i];
    p->n_normal = n;
    for (size_t i = 0; i < p->n_pretok; i++)
        p->pretok[i].prepend = PREPEND_NEVER;
    e->more = true;
}

static const struct pipeline *pipe_of(const struct encoder *e)
{
    return e->more && e->first ? &e->within : &e->v->pipe;
}

static int encode_part(struct encoder *e, const struct segment *seg)
{
    buf_reset(&e->part);
    buf_put(&e->part, seg->s, seg->len);
    if (e->part.failed)
        return no_memory(e);
    int rc = pretok_run(&e->pretok, pipe_of(e), &e->part, e->first, e->err);
    e->first = false;
    for (size_t i = 0; rc == 0 && i < e->pretok.list.n; i++) {
        const struct pretok_piece *p = &e->pretok.list.data[i];
        rc = encode_piece(e, e->pretok.text.data + p->begin, p->end - p->begin);
    }
    return rc;
}

typedef int segment_fn(struct encoder *e, const struct segment *seg);

static int each_segment(struct encoder *e, struct segment_cursor *c, segment_fn *fn)
{
    struct segment seg;
    int rc = 0;
    while (rc == 0 && segment_next(c, &seg)) {
        if (seg.id < 0) {
            rc = fn(e, &seg);
            continue;
        }
        e->first = false;
        rc = ids_push(e->out, seg.id) ? 0 : no_memory(e);
    }
    return rc;
}

static int encode_segment(struct encoder *e, const struct segment *seg)
{
    struct normal_text *t = &e->text;
    bool find = e->find_added && e->v->normalized.n_nodes > 0;
    int rc = normal_set(t, seg->s, seg->len, find ? seg->marks : NULL, e->err);
    if (rc == 0)
        rc = normal_run(pipe_of(e), t, e->err);
    if (rc != 0)
        return rc;
    struct segment_cursor c = {.vocab = e->v,
                               .tokens = find ? &e->v->normalized : NULL,
                               .s = t->text.data,
                               .marks = t->marks.len ? t->marks.data : NULL,
                               .len = t->text.len};
    return each_segment(e, &c, encode_part);
}

/* ---- the door --------------------------------------------------------------- */

/* A text as it is encoded: valid UTF-8, with its marks. */
struct source {
    const char *s; /* the caller's, or text's */
    size_t len;
    struct buf text, marks; /* own; marks: empty without content */
};

/* s with U+FFFD for each ill-formed part, which has the largest of its bytes' marks. */
static void repair(struct source *out, const char *s, size_t len)
{
    struct buf marks = out->marks;
    out->marks = (struct buf){0};
    for (size_t at = 0; at < len;) {
        uint32_t c;
        size_t n = 1;
        int whole = utf8_decode(s + at, len - at, &c);
        if (whole > 0)
            n = (size_t)whole;
        while (whole <= 0 && at + n < len && utf8_decode(s + at, n + 1, &c) == 0)
            n++;
        buf_put(&out->text, whole > 0 ? s + at : "\xEF\xBF\xBD", whole > 0 ? n : 3);
        if (marks.len)
            marks_put(&out->marks, marks_largest(marks.data, at, at + n),
                      whole > 0 ? n : 3);
        at += n;
    }
    buf_free(&marks);
    out->s = out->text.data;
    out->len = out->text.len;
}

static int source_open(struct encoder *e, struct source *out, const struct engine_text *t)
{
    *out = (struct source){.s = t->text, .len = t->len};
    if (e->find_added)
        marks_spread(&out->marks, t);
    if (!out->marks.failed && !utf8_valid(t->text, t->len))
        repair(out, t->text, t->len);
    if (out->text.failed || out->marks.failed)
        return no_memory(e);
    if (out->marks.len)
        marks_whole(out->marks.data, out->s, out->len);
    e->no_special = out->marks.len > 0;
    e->merge.no_special = e->no_special;
    return 0;
}

static int encode_source(struct encoder *e, const struct source *t)
{
    struct segment_cursor c = {.vocab = e->v,
                               .tokens = e->find_added ? &e->v->raw : NULL,
                               .s = t->s,
                               .marks = t->marks.len ? t->marks.data : NULL,
                               .len = t->len};
    return each_segment(e, &c, encode_segment);
}

static int encode_all(struct encoder *e, const struct engine_text *t, bool bos)
{
    const struct pipeline *p = &e->v->pipe;
    struct source source;
    int rc = source_open(e, &source, t);
    if (rc == 0 && bos && !ids_append(e->out, p->prefix, p->n_prefix))
        rc = no_memory(e);
    if (rc == 0)
        rc = encode_source(e, &source);
    if (rc == 0 && bos && !ids_append(e->out, p->suffix, p->n_suffix))
        rc = no_memory(e);
    buf_free(&source.text);
    buf_free(&source.marks);
    return rc;
}

static void encoder_free(struct encoder *e)
{
    normal_free(&e->text);
    buf_free(&e->part);
    pretok_free(&e->pretok);
    bpe_merge_free(&e->merge);
}

int bpe_encode(const struct vocab *v, const struct engine_text *text, unsigned flags,
               struct ids *out, struct err *err)
{
    struct encoder e = {.v = v, .out = out, .err = err, .first = true};
    size_t n_before = out->n;
    e.find_added = flags & ENCODE_SPECIAL;
    if (flags & ENCODE_MORE)
        begin_within(&e);
    int rc = pretok_init(&e.pretok) ? 0 : no_memory(&e);
    if (rc == 0)
        rc = encode_all(&e, text, flags & ENCODE_BOS);
    encoder_free(&e);
    if (rc != 0)
        out->n = n_before;
    return rc;
}

int bpe_decode(const struct vocab *v, const int32_t *ids, size_t n, bool skip_special,
               struct buf *out, struct err *err)
{
    size_t spaces = v->pipe.strip_spaces;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *s = vocab_token_bytes(v, ids[i], &len);
        if (!s)
            return err_set(err, ERR_ARGUMENT, "expected ids of tokens below %d, found %d",
                           v->n_ids, ids[i]);
        if (skip_special && vocab_special(v, ids[i]))
            continue;
        for (; spaces > 0 && len > 0 && s[0] == ' '; spaces--, len--)
            s++;
        spaces = len > 0 ? 0 : spaces;
        buf_put(out, s, len);
    }
    return out->failed ? err_set(err, ERR_MEMORY, "out of memory for text") : 0;
}

/*
 * tokenizer.json: whatever the bytes say, loading ends in a vocab or an error with a
 * text, and a loaded vocab encodes and decodes any text. The bytes behind the last
 * newline are the text, those before it the file. In the text 01 and 02 begin a mark, the
 * second kind with `added`, and 03 ends it: no special token covers a marked byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/utf8.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/depths.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_always)
{
    if (!true_always)
        abort();
}

/* ---- texts with marks -------------------------------------------------------- */

struct marked {
    char text[MAX_TEXT];
    struct text_mark marks[MAX_TEXT];
    size_t len, n;
};

static void read_marks(struct marked *m, const char *s, size_t len)
{
    bool open = false;
    *m = (struct marked){0};
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 1 || s[i] > 3) {
            m->text[m->len++] = s[i];
            continue;
        }
        if (open)
            m->marks[m->n++].end = m->len;
        open = s[i] < 3;
        if (open)
            m->marks[m->n] = (struct text_mark){.begin = m->len, .added = s[i] == 2};
    }
    if (open)
        m->marks[m->n++].end = m->len;
}

static bool overlaps(const struct marked *m, size_t begin, size_t end)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->marks[i].begin < end && m->marks[i].end > begin)
            return true;
    return false;
}

/* Whether each token stands where its bytes are: bytes for bytes, nothing put before. */
static bool is_plain(const struct vocab *v)
{
    const struct pipeline *p = &v->pipe;
    for (size_t i = 0; i < p->n_pretok; i++)
        if (p->pretok[i].kind != PRETOK_BYTE_LEVEL || p->pretok[i].prepend)
            return false;
    return p->n_normal == 0 && p->strip_spaces == 0;
}

/* The ids of a text of which they spell every byte. */
static void check_places(const struct vocab *v, const struct marked *m,
                         const struct ids *ids)
{
    struct engine_text t = {m->text, m->len, m->marks, m->n};
    size_t at = 0, len;
    for (size_t i = 0; i < ids->n; i++, at += len) {
        int32_t depth;
        require(vocab_token_bytes(v, ids->data[i], &len) != NULL);
        require(depths_find(v, &t, ids, &at, 1, &depth) && (size_t)depth >= i);
        if (vocab_special(v, ids->data[i]) && ids->data[i] != v->unk_id)
            require(!overlaps(m, at, at + len));
    }
}

static void check_marked(const struct vocab *v, const struct marked *m)
{
    struct engine_text t = {m->text, m->len, m->marks, m->n};
    struct ids ids = {0};
    struct buf out = {0};
    struct err err = {0};
    size_t offsets[MAX_TEXT + 2];
    int32_t depths[MAX_TEXT + 2];
    if (bpe_encode(v, &t, ENCODE_SPECIAL, &ids, &err) == 0) {
        for (size_t i = 0; i < MAX_TEXT + 2; i++)
            offsets[i] = i;
        require(depths_find(v, &t, &ids, offsets, MAX_TEXT + 2, depths));
        for (size_t i = 0; i < MAX_TEXT + 2; i++)
            require(depths[i] >= (i ? depths[i - 1] : 0) && (size_t)depths[i] <= ids.n);
        require(bpe_decode(v, ids.data, ids.n, false, &out, &err) == 0);
        if (is_plain(v) && out.len == m->len && m->len > 0 &&
            memcmp(out.data, m->text, m->len) == 0)
            check_places(v, m, &ids);
    }
    buf_free(&out);
    ids_free(&ids);
}

/* All of it content: whatever the tokenizer, none of its ids is special. */
static void check_content(const struct vocab *v, const struct marked *m, bool added)
{
    struct text_mark all = {0, m->len, added};
    struct engine_text t = {m->text, m->len, &all, 1};
    struct ids ids = {0};
    struct err err = {0};
    if (bpe_encode(v, &t, ENCODE_SPECIAL, &ids, &err) == 0)
        for (size_t i = 0; i < ids.n; i++)
            require(!vocab_special(v, ids.data[i]) || ids.data[i] == v->unk_id);
    ids_free(&ids);
}

/* ---- texts without ----------------------------------------------------------- */

static void encode(const struct vocab *v, const char *text, size_t len, unsigned flags)
{
    struct ids ids = {0};
    struct buf out = {0};
    struct err err = {0};
    int rc = bpe_encode(v, &(struct engine_text){text, len, NULL, 0}, flags, &ids, &err);
    require(rc == 0 || (err.text[0] && ids.n == 0));
    for (size_t i = 0; i < ids.n; i++)
        require(vocab_token_bytes(v, ids.data[i], &(size_t){0}) != NULL);
    require(bpe_decode(v, ids.data, ids.n, flags & ENCODE_SPECIAL, &out, &err) == 0);
    buf_free(&out);
    ids_free(&ids);
}

static void check_texts(const struct vocab *v, const char *text, size_t len)
{
    struct marked m;
    for (unsigned flags = 0; flags < 4; flags++)
        encode(v, text, len, flags);
    read_marks(&m, text, len);
    check_marked(v, &m);
    check_content(v, &m, false);
    check_content(v, &m, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data;
    size_t len = size;
    struct vocab *v = NULL;
    struct err err = {0};
    while (len > 0 && json[len - 1] != '\n')
        len--;
    int rc = vocab_parse(&v, json, len, NULL, 0, &err);
    require(rc == 0 ? v != NULL : err.text[0] != '\0' && !v);
    size_t n = size - len < MAX_TEXT ? size - len : MAX_TEXT;
    if (v)
        check_texts(v, json + len, n);
    vocab_free(v);
    return 0;
}

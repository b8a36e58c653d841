/* Prompts are compared byte by byte from their ends: they are short.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/script.h"

#include "engine/base/json.h"
#include "engine/base/mem.h"

#include <string.h>

enum { MAX_FILE = 1 << 22 };

static int wrong(struct err *err, size_t i, const char *expected)
{
    return err_set(err, ERR_FORMAT, "[%zu]: expected %s", i, expected);
}

/* The id of a special piece; -1: out of memory. */
static int32_t special(struct script *s, const char *text, size_t len)
{
    struct script_special *all = s->specials;
    for (size_t i = 0; i < s->n_specials; i++)
        if (all[i].len == len && memcmp(all[i].text, text, len) == 0)
            return s->end + 1 + (int32_t)i;
    all = mem_grow(all, s->n_specials * sizeof *all, (s->n_specials + 1) * sizeof *all);
    char *copy = mem_alloc(len + 1);
    if (all)
        s->specials = all;
    if (!all || !copy) {
        mem_free(copy);
        return -1;
    }
    memcpy(copy, text, len + 1);
    all[s->n_specials++] = (struct script_special){copy, len};
    return s->end + (int32_t)s->n_specials;
}

/* Bytes of the character that begins with this byte. */
static size_t char_len(char first)
{
    unsigned char c = (unsigned char)first;
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static bool put_text(struct script_answer *a, const char *text, size_t len)
{
    bool ok = true;
    for (size_t i = 0, n; i < len; i += n) {
        n = char_len(text[i]);
        for (size_t k = 0; k < n; k++) {
            int32_t end = (int32_t)(a->text.len + (k + 1 == n ? n : 0));
            ok = ok && ids_push(&a->ids, (unsigned char)text[i + k]) &&
                 ids_push(&a->at, end);
        }
        buf_put(&a->text, text + i, n);
    }
    return ok && !a->text.failed;
}

static bool put_token(struct script_answer *a, int32_t id)
{
    return id >= 0 && ids_push(&a->ids, id) && ids_push(&a->at, (int32_t)a->text.len);
}

static int read_piece(struct script *s, size_t i, const struct json *piece,
                      struct err *err)
{
    struct script_answer *a = &s->answers[i];
    const struct json *named = json_get(piece, "special");
    size_t len;
    const char *text = json_as_string(named ? named : piece, &len);
    if (json_kind(named ? named : piece) != JK_STRING)
        return wrong(err, i, "pieces that are a text or {\"special\": text}");
    bool ok = named ? put_token(a, special(s, text, len)) : put_text(a, text, len);
    return ok ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

static int read_answer(struct script *s, size_t i, const struct json *entry,
                       struct err *err)
{
    struct script_answer *a = &s->answers[i];
    const struct json *when = json_get(entry, "when"), *say = json_get(entry, "say");
    bool list = json_kind(say) == JK_ARRAY;
    if ((when && json_kind(when) != JK_STRING) || !say)
        return wrong(err, i, "a text `when` and `say`");
    size_t len = 0, n = list ? json_len(say) : 1;
    const char *text = json_as_string(when, &len);
    int rc = 0;
    buf_put(&a->when, text, len);
    for (size_t k = 0; rc == 0 && k < n; k++)
        rc = read_piece(s, i, list ? json_at(say, k) : say, err);
    if (rc == 0 && (a->when.failed || !put_token(a, s->end)))
        rc = err_set(err, ERR_MEMORY, "out of memory");
    return rc;
}

int script_open(struct script *s, const char *path, int32_t end, struct err *err)
{
    struct json *file;
    *s = (struct script){.end = end};
    int rc = json_load(&file, path, MAX_FILE, err);
    if (rc)
        return rc;
    size_t n = json_len(file);
    if (json_kind(file) != JK_ARRAY || n == 0)
        rc = err_set(err, ERR_FORMAT, "expected a list of answers");
    else if (!(s->answers = mem_zalloc(n, sizeof *s->answers)))
        rc = err_set(err, ERR_MEMORY, "out of memory");
    for (; rc == 0 && s->n_answers < n; s->n_answers++)
        rc = read_answer(s, s->n_answers, json_at(file, s->n_answers), err);
    json_free(file);
    return rc ? err_prefix(err, "%s", path) : 0;
}

void script_close(struct script *s)
{
    for (size_t i = 0; i < s->n_answers; i++) {
        buf_free(&s->answers[i].when);
        buf_free(&s->answers[i].text);
        ids_free(&s->answers[i].ids);
        ids_free(&s->answers[i].at);
    }
    for (size_t i = 0; i < s->n_specials; i++)
        mem_free(s->specials[i].text);
    mem_free(s->answers);
    mem_free(s->specials);
    *s = (struct script){0};
}

static bool is_at(const struct buf *text, const int32_t *ids)
{
    for (size_t i = 0; i < text->len; i++)
        if (ids[i] != (unsigned char)text->data[i])
            return false;
    return true;
}

/* Where its last occurrence ends, if behind `least`; else -1. */
static long found(const struct buf *when, const int32_t *prompt, size_t n, long least)
{
    for (size_t end = n; end >= when->len && (long)end >= least; end--) {
        if (when->len == 0)
            return 0;
        if (is_at(when, prompt + end - when->len))
            return (long)end;
    }
    return -1;
}

const struct script_answer *script_find(const struct script *s, const int32_t *prompt,
                                        size_t n)
{
    const struct script_answer *best = NULL;
    long last = 0;
    for (size_t i = 0; i < s->n_answers; i++) {
        long end = found(&s->answers[i].when, prompt, n, last);
        if (end < last)
            continue;
        last = end;
        best = &s->answers[i];
    }
    return best;
}

const char *script_text(const struct script_answer *a, size_t i, size_t *len)
{
    size_t from = i ? (size_t)a->at.data[i - 1] : 0, to = (size_t)a->at.data[i];
    const char *text = a->text.data ? a->text.data : "";
    *len = to - from;
    return text + from;
}

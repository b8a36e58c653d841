/*
 * Reads model.merges. A merge names two tokens of model.vocab whose joined text is a
 * token too; its index is its rank. Runs while a model is opened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/merge_list.h"

#include "engine/base/buf.h"

#include <string.h>

enum { SHOWN = 40 };

struct reader {
    struct vocab *v;
    struct buf joined; /* owns; the joined text of a merge */
    struct err *err;
};

static int no_memory(struct reader *r)
{
    return err_set(r->err, ERR_MEMORY, "out of memory for merges");
}

static int merge_parts(struct reader *r, const struct json *m, size_t i,
                       struct json_text part[2])
{
    if (json_kind(m) == JK_ARRAY && json_len(m) == 2) {
        for (size_t k = 0; k < 2; k++)
            part[k].s = json_as_string(json_at(m, k), &part[k].len);
        if (json_kind(json_at(m, 0)) == JK_STRING &&
            json_kind(json_at(m, 1)) == JK_STRING)
            return 0;
    }
    if (json_kind(m) == JK_STRING) {
        size_t len;
        const char *s = json_as_string(m, &len), *space = memchr(s, ' ', len);
        if (space && !memchr(space + 1, ' ', len - (size_t)(space + 1 - s))) {
            part[0] = (struct json_text){s, (size_t)(space - s)};
            part[1] = (struct json_text){space + 1, len - (size_t)(space + 1 - s)};
            return 0;
        }
    }
    return err_set(
        r->err, ERR_FORMAT,
        "model.merges[%zu]: expected \"left right\" or [left, right], found %s", i,
        json_kind_name(m));
}

static int merge_token(struct reader *r, size_t i, const char *s, size_t len)
{
    int32_t id = strmap_get(&r->v->by_text, s, len, -1);
    if (id >= 0)
        return id;
    return err_set(r->err, ERR_FORMAT,
                   "model.merges[%zu]: expected tokens of model.vocab, "
                   "found \"%.*s\"",
                   i, len < SHOWN ? (int)len : SHOWN, s);
}

static int read_merge(struct reader *r, const struct json *m, size_t i)
{
    struct json_text part[2];
    int rc = merge_parts(r, m, i, part);
    if (rc != 0)
        return rc;
    int left = merge_token(r, i, part[0].s, part[0].len);
    int right = left < 0 ? left : merge_token(r, i, part[1].s, part[1].len);
    if (right < 0)
        return right;
    buf_reset(&r->joined);
    buf_put(&r->joined, part[0].s, part[0].len);
    buf_put(&r->joined, part[1].s, part[1].len);
    if (r->joined.failed)
        return no_memory(r);
    int joined = merge_token(r, i, r->joined.data, r->joined.len);
    if (joined < 0)
        return joined;
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    if (map64_get(&r->v->merges, key, -1) >= 0)
        return err_set(r->err, ERR_FORMAT, "model.merges[%zu]: repeats merge %d", i,
                       map64_get(&r->v->merges, key, -1));
    r->v->merged[i] = joined;
    return map64_put(&r->v->merges, key, (int32_t)i) ? 0 : no_memory(r);
}

int merge_list_read(struct vocab *v, const struct json_reader *model, struct err *err)
{
    struct reader r = {.v = v, .err = err};
    const struct json *merges = json_get(model->j, "merges");
    if (json_kind(merges) != JK_ARRAY)
        return json_reader_wrong(model, "merges", "an array", err);
    v->n_merges = json_len(merges);
    if (v->n_merges > INT32_MAX)
        return json_reader_wrong(model, "merges", "fewer merges", err);
    v->merged = arena_alloc(&v->arena, v->n_merges * sizeof *v->merged);
    if (!v->merged || !map64_init(&v->merges, v->n_merges))
        return no_memory(&r);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->n_merges; i++)
        rc = read_merge(&r, json_at(merges, i), i);
    buf_free(&r.joined);
    return rc;
}

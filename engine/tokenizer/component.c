/* Runs on the thread that opens the model. Refuses types that the table does not list,
 * keys that a type does not have, and deeply nested Sequences.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/component.h"

#include <string.h>

enum { MAX_DEPTH = 4, MAX_KINDS = 16 };

static int walk(struct component_reader *r, const struct component *q,
                const struct json_reader *f, int depth);

static int walk_list(struct component_reader *r, const struct component *q,
                     const struct json_reader *f, int depth)
{
    const struct json *list = json_get(f->j, q->list);
    int rc = json_reader_only(f, (const char *const[]){"type", q->list, NULL}, r->err);
    if (rc == 0 && json_kind(list) != JK_ARRAY)
        rc = json_reader_wrong(f, q->list, "an array", r->err);
    if (rc == 0 && depth == MAX_DEPTH)
        rc =
            err_set(r->err, ERR_FORMAT, "%s: Sequences nested deeper than %d are refused",
                    f->path, MAX_DEPTH);
    for (size_t i = 0; rc == 0 && i < json_len(list); i++) {
        struct json_reader one;
        rc = json_reader_open(&one, json_at(list, i), r->err, "%.80s.%s[%zu]", f->path,
                              q->list, i);
        if (rc == 0)
            rc = walk(r, q, &one, depth + 1);
    }
    return rc;
}

static int check_keys(const struct component_kind *k, const struct json_reader *f,
                      struct err *err)
{
    const char *keys[MAX_KINDS] = {"type"};
    for (size_t i = 0; k->keys[i] && i + 2 < MAX_KINDS; i++)
        keys[i + 1] = k->keys[i];
    return json_reader_only(f, keys, err);
}

static int walk(struct component_reader *r, const struct component *q,
                const struct json_reader *f, int depth)
{
    const char *names[MAX_KINDS] = {"Sequence"};
    for (size_t i = 0; q->kinds[i].type && i + 2 < MAX_KINDS; i++)
        names[i + 1] = q->kinds[i].type;
    int kind = json_reader_choice(f, "type", names, r->err);
    if (kind < 0)
        return kind;
    if (kind == 0)
        return walk_list(r, q, f, depth);
    int rc = check_keys(&q->kinds[kind - 1], f, r->err);
    return rc == 0 ? q->kinds[kind - 1].read(r, f) : rc;
}

int component_walk(struct component_reader *r, const struct component *q,
                   const struct json *root)
{
    const struct json *j = json_get(root, q->member);
    if (json_kind(j) == JK_ABSENT || json_kind(j) == JK_NULL)
        return 0;
    struct json_reader f;
    int rc = json_reader_open(&f, j, r->err, "%s", q->member);
    return rc == 0 ? walk(r, q, &f, 0) : rc;
}

const char *component_keep(struct component_reader *r, const struct json_text *t)
{
    const char *s = arena_strdup(r->arena, t->s, t->len);
    if (!s)
        err_set(r->err, ERR_MEMORY, "out of memory");
    return s;
}

static int compile(struct component_reader *r, const struct json_reader *pattern,
                   struct regex **out)
{
    struct json_text regex, string;
    int rc =
        json_reader_only(pattern, (const char *const[]){"Regex", "String", NULL}, r->err);
    if (rc == 0)
        rc = json_reader_text(pattern, "Regex", &regex, r->err);
    if (rc == 0)
        rc = json_reader_text(pattern, "String", &string, r->err);
    if (rc != 0)
        return rc;
    const struct json_text *t = regex.s ? &regex : &string;
    if (!t->s || t->len == 0 || (regex.s && string.s))
        return err_set(r->err, ERR_FORMAT, "%s: expected one non-empty Regex or String",
                       pattern->path);
    rc = regex.s ? regex_compile(out, t->s, t->len, r->err)
                 : regex_literal(out, t->s, t->len, r->err);
    return rc == 0 ? 0 : err_prefix(r->err, "%s", pattern->path);
}

int component_pattern(struct component_reader *r, const struct json_reader *f,
                      const char *key, struct regex **out)
{
    struct json_reader pattern;
    int rc = json_reader_open(&pattern, json_get(f->j, key), r->err, "%.100s.%s", f->path,
                              key);
    return rc == 0 ? compile(r, &pattern, out) : rc;
}

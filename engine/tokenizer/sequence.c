/* Runs while a model is opened, on the opening thread. Refuses types that its tables do
 * not list, keys that a type does not have, and Sequences nested deeper than anyone
 * writes them. */
#include "engine/tokenizer/sequence.h"

#include <string.h>

enum { MAX_DEPTH = 4, MAX_KINDS = 16 };

static int walk(struct sequence_reader *r, const struct sequence *q,
                const struct members *f, int depth);

static int walk_list(struct sequence_reader *r, const struct sequence *q,
                     const struct members *f, int depth)
{
    const struct json *list = json_get(f->j, q->list);
    int rc = members_only(f, (const char *const[]){"type", q->list, NULL}, r->err);
    if (rc == 0 && json_kind(list) != JK_ARRAY)
        rc = members_wrong(f, q->list, "an array", r->err);
    if (rc == 0 && depth == MAX_DEPTH)
        rc =
            err_set(r->err, ERR_FORMAT, "%s: Sequences nested deeper than %d are refused",
                    f->path, MAX_DEPTH);
    for (size_t i = 0; rc == 0 && i < json_len(list); i++) {
        struct members one;
        rc = members_open(&one, json_at(list, i), r->err, "%.80s.%s[%zu]", f->path,
                          q->list, i);
        if (rc == 0)
            rc = walk(r, q, &one, depth + 1);
    }
    return rc;
}

static int check_keys(const struct sequence_kind *k, const struct members *f,
                      struct err *err)
{
    const char *keys[MAX_KINDS] = {"type"};
    for (size_t i = 0; k->keys[i] && i + 2 < MAX_KINDS; i++)
        keys[i + 1] = k->keys[i];
    return members_only(f, keys, err);
}

static int walk(struct sequence_reader *r, const struct sequence *q,
                const struct members *f, int depth)
{
    const char *names[MAX_KINDS] = {"Sequence"};
    for (size_t i = 0; q->kinds[i].type && i + 2 < MAX_KINDS; i++)
        names[i + 1] = q->kinds[i].type;
    int kind = members_choice(f, "type", names, r->err);
    if (kind < 0)
        return kind;
    if (kind == 0)
        return walk_list(r, q, f, depth);
    int rc = check_keys(&q->kinds[kind - 1], f, r->err);
    return rc == 0 ? q->kinds[kind - 1].read(r, f) : rc;
}

int sequence_walk(struct sequence_reader *r, const struct sequence *q,
                  const struct json *root)
{
    const struct json *j = json_get(root, q->member);
    if (json_kind(j) == JK_ABSENT || json_kind(j) == JK_NULL)
        return 0;
    struct members f;
    int rc = members_open(&f, j, r->err, "%s", q->member);
    return rc == 0 ? walk(r, q, &f, 0) : rc;
}

const char *sequence_keep(struct sequence_reader *r, const struct text *t)
{
    const char *s = arena_strdup(r->arena, t->s, t->len);
    if (!s)
        err_set(r->err, ERR_MEMORY, "out of memory");
    return s;
}

static int compile(struct sequence_reader *r, const struct members *pattern,
                   struct regex **out)
{
    struct text regex, string;
    int rc =
        members_only(pattern, (const char *const[]){"Regex", "String", NULL}, r->err);
    if (rc == 0)
        rc = members_text(pattern, "Regex", &regex, r->err);
    if (rc == 0)
        rc = members_text(pattern, "String", &string, r->err);
    if (rc != 0)
        return rc;
    const struct text *t = regex.s ? &regex : &string;
    if (!t->s || t->len == 0 || (regex.s && string.s))
        return err_set(r->err, ERR_FORMAT, "%s: expected one non-empty Regex or String",
                       pattern->path);
    rc = regex.s ? regex_compile(out, t->s, t->len, r->err)
                 : regex_literal(out, t->s, t->len, r->err);
    return rc == 0 ? 0 : err_prefix(r->err, "%s", pattern->path);
}

int sequence_pattern(struct sequence_reader *r, const struct members *f, const char *key,
                     struct regex **out)
{
    struct members pattern;
    int rc =
        members_open(&pattern, json_get(f->j, key), r->err, "%.100s.%s", f->path, key);
    return rc == 0 ? compile(r, &pattern, out) : rc;
}

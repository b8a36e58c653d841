/* Reading prompts. A first pass checks every element, a second one copies, so that a
 * refused request has allocated nothing for its ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/prompt.h"

#include <inttypes.h>
#include <stdio.h>

/* Where an element stands, for messages: "prompt[3]" or "tokens". */
struct spot {
    const char *field;
    bool nested;
    size_t index;
};

static void spot_text(const struct spot *at, char *text, size_t cap)
{
    if (at->nested)
        snprintf(text, cap, "%s[%zu]", at->field, at->index);
    else
        snprintf(text, cap, "%s", at->field);
}

static int check_ids(const struct json *v, const struct spot *at, int vocab_size,
                     struct err *err)
{
    char where[80];
    spot_text(at, where, sizeof where);
    size_t n = json_len(v);
    for (size_t i = 0; i < n; i++) {
        const struct json *x = json_at(v, i);
        if (json_kind(x) != JK_INT)
            return err_param(err, ERR_ARGUMENT, at->field,
                             "`%s[%zu]` must be a token id, not %s", where, i,
                             json_kind_name(x));
        int64_t id = json_as_int(x);
        if (id < 0 || id >= vocab_size)
            return err_param(err, ERR_ARGUMENT, at->field,
                             "`%s[%zu]` is %" PRId64 ", outside the vocabulary 0..%d",
                             where, i, id, vocab_size - 1);
    }
    return 0;
}

static int copy_ids(struct prompt *out, const struct json *v, struct arena *arena,
                    struct err *err)
{
    size_t n = json_len(v);
    int32_t *ids = arena_alloc(arena, n ? n * sizeof *ids : 1);
    if (!ids)
        return err_set(err, ERR_MEMORY, "out of memory for %zu ids", n);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_as_int(json_at(v, i));
    *out = (struct prompt){.ids = ids, .n_ids = n};
    return 0;
}

static int copy_text(struct prompt *out, const struct json *v, struct arena *arena,
                     struct err *err)
{
    size_t len;
    const char *s = json_as_string(v, &len);
    char *text = arena_strdup(arena, s, len);
    if (!text)
        return err_set(err, ERR_MEMORY, "out of memory for a text of %zu bytes", len);
    *out = (struct prompt){.text = text, .text_len = len};
    return 0;
}

/* One prompt: a text or a list of ids, as `kind` says. */
static int check_one(const struct json *v, enum json_kind kind, const struct spot *at,
                     const struct api_limits *limits, struct err *err)
{
    char where[80];
    spot_text(at, where, sizeof where);
    if (json_kind(v) != kind)
        return err_param(err, ERR_ARGUMENT, at->field,
                         "`%s` must be %s like the prompts before it, not %s", where,
                         kind == JK_STRING ? "a string" : "an array of token ids",
                         json_kind_name(v));
    size_t len = json_len(v);
    if (kind == JK_STRING)
        json_as_string(v, &len);
    if (len == 0)
        return err_param(err, ERR_ARGUMENT, at->field, "`%s` must not be empty", where);
    return kind == JK_ARRAY ? check_ids(v, at, limits->vocab_size, err) : 0;
}

static int copy_one(struct prompt *out, const struct json *v, struct arena *arena,
                    struct err *err)
{
    return json_kind(v) == JK_STRING ? copy_text(out, v, arena, err)
                                     : copy_ids(out, v, arena, err);
}

/* The element of v that is prompt i: v itself unless it is a list of prompts. */
static const struct json *element(const struct json *v, bool many, size_t i)
{
    return many ? json_at(v, i) : v;
}

static int check_all(const struct json *v, bool many, size_t n, const struct field *f,
                     const struct api_limits *limits, struct err *err)
{
    enum json_kind kind = json_kind(element(v, many, 0));
    if (kind == JK_STRING && !limits->has_tokenizer)
        return err_param(err, ERR_UNSUPPORTED, f->name,
                         "`%s` must be token ids: this model has no tokenizer", f->name);
    if (n > limits->max_prompts)
        return err_param(err, ERR_BUDGET, f->name,
                         "`%s` holds %zu prompts; one request may hold %zu", f->name, n,
                         limits->max_prompts);
    for (size_t i = 0; i < n; i++) {
        struct spot at = {f->name, many, i};
        int rc = check_one(element(v, many, i), kind, &at, limits, err);
        if (rc)
            return rc;
    }
    return 0;
}

int prompt_read(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                void *into, struct err *err)
{
    static const char expected[] =
        "a string, an array of strings, an array of token ids or an array of such arrays";
    struct prompts *out = (struct prompts *)(void *)((char *)into + f->at);
    enum json_kind kind = json_kind(v), first = json_kind(json_at(v, 0));
    if (kind != JK_STRING && kind != JK_ARRAY)
        return fields_wrong(err, f->name, expected, v);
    bool many = kind == JK_ARRAY && (first == JK_STRING || first == JK_ARRAY);
    if (kind == JK_ARRAY && !many && first != JK_ABSENT && first != JK_INT)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must be %s; its first element is %s", f->name, expected,
                         json_kind_name(json_at(v, 0)));
    size_t n = many ? json_len(v) : 1;
    int rc = check_all(v, many, n, f, ctx->limits, err);
    if (rc)
        return rc;
    out->list = arena_zalloc(ctx->arena, n, sizeof *out->list);
    if (!out->list)
        return err_set(err, ERR_MEMORY, "out of memory for %zu prompts", n);
    out->n = n;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = copy_one(&out->list[i], element(v, many, i), ctx->arena, err);
    return rc;
}

int prompt_read_text(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                     void *into, struct err *err)
{
    if (json_kind(v) != JK_STRING)
        return fields_wrong(err, f->name, "a string", v);
    struct prompt *out = (struct prompt *)(void *)((char *)into + f->at);
    return copy_text(out, v, ctx->arena, err);
}

int prompt_read_ids(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                    void *into, struct err *err)
{
    if (json_kind(v) != JK_ARRAY)
        return fields_wrong(err, f->name, "an array of token ids", v);
    size_t n = json_len(v);
    if (n < (size_t)f->min || n > (size_t)f->max)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must hold %.0f to %.0f ids, not %zu", f->name, f->min,
                         f->max, n);
    struct spot at = {.field = f->name};
    int rc = check_ids(v, &at, ctx->limits->vocab_size, err);
    struct prompt *out = (struct prompt *)(void *)((char *)into + f->at);
    return rc ? rc : copy_ids(out, v, ctx->arena, err);
}

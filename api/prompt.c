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

static int check_ids(const struct value *v, const struct spot *at, int vocab_size,
                     struct err *err)
{
    char where[80];
    spot_text(at, where, sizeof where);
    size_t n = value_len(v);
    const struct value *x = value_first(v);
    for (size_t i = 0; i < n; i++, x = value_next(x)) {
        if (value_kind(x) != VALUE_INT)
            return err_param(err, ERR_ARGUMENT, at->field,
                             "`%s[%zu]` must be a token id, not %s", where, i,
                             value_kind_name(x));
        int64_t id = value_int(x);
        if (id < 0 || id >= vocab_size)
            return err_param(err, ERR_ARGUMENT, at->field,
                             "`%s[%zu]` is %" PRId64 ", outside the vocabulary 0..%d",
                             where, i, id, vocab_size - 1);
    }
    return 0;
}

static int copy_ids(struct prompt *out, const struct value *v, struct arena *arena,
                    struct err *err)
{
    size_t n = value_len(v);
    int32_t *ids = arena_alloc(arena, n ? n * sizeof *ids : 1);
    if (!ids)
        return err_set(err, ERR_MEMORY, "out of memory for %zu ids", n);
    const struct value *x = value_first(v);
    for (size_t i = 0; i < n; i++, x = value_next(x))
        ids[i] = (int32_t)value_int(x);
    *out = (struct prompt){.ids = ids, .n_ids = n};
    return 0;
}

static int copy_text(struct prompt *out, const struct value *v, struct arena *arena,
                     struct err *err)
{
    size_t len = value_text_len(v);
    char *text = value_text(v, arena);
    if (!text)
        return err_set(err, ERR_MEMORY, "out of memory for a text of %zu bytes", len);
    *out = (struct prompt){.text = text, .text_len = len};
    return 0;
}

/* One prompt: a text or a list of ids, as `kind` says. */
static int check_one(const struct value *v, enum value_kind kind, const struct spot *at,
                     const struct api_limits *limits, struct err *err)
{
    char where[80];
    spot_text(at, where, sizeof where);
    if (value_kind(v) != kind)
        return err_param(err, ERR_ARGUMENT, at->field,
                         "`%s` must be %s like the prompts before it, not %s", where,
                         kind == VALUE_STRING ? "a string" : "an array of token ids",
                         value_kind_name(v));
    if ((kind == VALUE_STRING ? value_text_len(v) : value_len(v)) == 0)
        return err_param(err, ERR_ARGUMENT, at->field, "`%s` must not be empty", where);
    return kind == VALUE_ARRAY ? check_ids(v, at, limits->vocab_size, err) : 0;
}

static int copy_one(struct prompt *out, const struct value *v, struct arena *arena,
                    struct err *err)
{
    return value_kind(v) == VALUE_STRING ? copy_text(out, v, arena, err)
                                         : copy_ids(out, v, arena, err);
}

static int check_all(const struct value *v, bool many, size_t n, const struct field *f,
                     const struct api_limits *limits, struct err *err)
{
    const struct value *x = many ? value_first(v) : v;
    enum value_kind kind = value_kind(x);
    if (kind == VALUE_STRING && !limits->has_tokenizer)
        return err_param(err, ERR_UNSUPPORTED, f->name,
                         "`%s` must be token ids: this model has no tokenizer", f->name);
    if (n > limits->max_prompts)
        return err_param(err, ERR_BUDGET, f->name,
                         "`%s` holds %zu prompts; one request may hold %zu", f->name, n,
                         limits->max_prompts);
    for (size_t i = 0; i < n; i++, x = value_next(x)) {
        struct spot at = {f->name, many, i};
        int rc = check_one(x, kind, &at, limits, err);
        if (rc)
            return rc;
    }
    return 0;
}

int prompt_read(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                void *into, struct err *err)
{
    static const char expected[] =
        "a string, an array of strings, an array of token ids or an array of such arrays";
    struct prompts *out = (struct prompts *)(void *)((char *)into + f->at);
    enum value_kind kind = value_kind(v), first = value_kind(value_first(v));
    if (kind != VALUE_STRING && kind != VALUE_ARRAY)
        return fields_wrong(err, f->name, expected, v);
    bool many = kind == VALUE_ARRAY && (first == VALUE_STRING || first == VALUE_ARRAY);
    if (kind == VALUE_ARRAY && !many && first != VALUE_ABSENT && first != VALUE_INT)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must be %s; its first element is %s", f->name, expected,
                         value_kind_name(value_first(v)));
    size_t n = many ? value_len(v) : 1;
    int rc = check_all(v, many, n, f, ctx->limits, err);
    if (rc)
        return rc;
    out->list = arena_zalloc(ctx->arena, n, sizeof *out->list);
    if (!out->list)
        return err_set(err, ERR_MEMORY, "out of memory for %zu prompts", n);
    out->n = n;
    const struct value *x = many ? value_first(v) : v;
    for (size_t i = 0; i < n && rc == 0; i++, x = value_next(x))
        rc = copy_one(&out->list[i], x, ctx->arena, err);
    return rc;
}

int prompt_read_text(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    if (value_kind(v) != VALUE_STRING)
        return fields_wrong(err, f->name, "a string", v);
    struct prompt *out = (struct prompt *)(void *)((char *)into + f->at);
    return copy_text(out, v, ctx->arena, err);
}

int prompt_read_ids(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                    void *into, struct err *err)
{
    if (value_kind(v) != VALUE_ARRAY)
        return fields_wrong(err, f->name, "an array of token ids", v);
    size_t n = value_len(v);
    if (n < (size_t)f->min || n > (size_t)f->max)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must hold %.0f to %.0f ids, not %zu", f->name, f->min,
                         f->max, n);
    struct spot at = {.field = f->name};
    int rc = check_ids(v, &at, ctx->limits->vocab_size, err);
    struct prompt *out = (struct prompt *)(void *)((char *)into + f->at);
    return rc ? rc : copy_ids(out, v, ctx->arena, err);
}
